/*
 * What a step begins with: its command with saga.step.started, in one append; the proposal of an
 * approval; the choice of a branch, the list of a for_each …
 */
#include "flow/saga_int.h"

static const sp_str nothing = {.ptr = NULL, .len = 0};

static bool is_null(sp_str json) {
    return sp_str_eq(json, SP_STR("null"));
}

/* It cannot be begun, and never can: a program is wrong, or what it gave. */
static sp_status fail(struct sp_saga_turn *turn, sp_str error) {
    sp_turn_begin_step(turn, SP_STR("saga.step.failed"), turn->act->attempt, nothing);
    struct sp_buf *to = sp_flow_out_data_begin(turn->out);
    sp_json_open(to);
    sp_json_text(to, "step", turn->step);
    sp_json_u64(to, "attempt", turn->act->attempt);
    sp_json_text(to, "error", error);
    sp_json_bool(to, "retryable", false);
    sp_json_time(to, "retry_at", 0);
    sp_json_close(to);
    sp_flow_out_data_end(turn->out);
    if (sp_saga_asks(turn->saga)) {
        sp_turn_ask(turn, false, error);
    }
    return SP_OK;
}

static sp_status skip(struct sp_saga_turn *turn, const char *reason) {
    sp_turn_begin_step(turn, SP_STR("saga.step.skipped"), 0, nothing);
    struct sp_buf *to = sp_flow_out_data_begin(turn->out);
    sp_json_open(to);
    sp_json_text(to, "step", turn->step);
    sp_json_text(to, "reason", sp_str_from(reason));
    sp_json_close(to);
    sp_flow_out_data_end(turn->out);
    return SP_OK;
}

/* saga.step.started up to its data, which is left open behind `step`. */
static struct sp_buf *started(struct sp_saga_turn *turn, uint32_t attempt, uint64_t due_us,
                              const char *kind) {
    sp_turn_begin_step(turn, SP_STR("saga.step.started"), attempt, nothing);
    sp_turn_due(turn, due_us);
    if (kind == NULL) {
        return NULL; /* more extensions are to come */
    }
    struct sp_buf *to = sp_flow_out_data_begin(turn->out);
    sp_json_open(to);
    sp_json_text(to, "step", turn->step);
    sp_json_text(to, "kind", sp_str_from(kind));
    return to;
}

static void finish(struct sp_saga_turn *turn, struct sp_buf *to) {
    sp_json_close(to);
    sp_flow_out_data_end(turn->out);
}

static uint64_t due_in(const struct sp_saga_turn *turn, uint64_t us) {
    return us == 0 ? 0 : turn->now->now_us + us;
}

/* ---- actions ---- */

static void action_started(struct sp_saga_turn *turn, sp_str id, uint32_t attempt) {
    uint64_t due_us = due_in(turn, turn->node->timeout_us);
    const struct sp_saga_compensation *undo = turn->node->compensation;
    sp_turn_begin_step(turn, SP_STR("saga.step.started"), attempt, nothing);
    sp_turn_due(turn, due_us);
    struct sp_buf *to = sp_flow_out_data_begin(turn->out);
    sp_json_open(to);
    sp_json_text(to, "step", turn->step);
    sp_json_text(to, "action", turn->node->action);
    sp_json_u64(to, "attempt", attempt);
    sp_json_text(to, "command", id);
    sp_json_time(to, "timeout_at", due_us);
    sp_json_text(to, "compensation", undo == NULL ? nothing : undo->action);
    sp_json_bool(to, "irreversible", turn->node->irreversible);
    sp_json_bool(to, "pivot", turn->node->pivot);
    finish(turn, to);
}

/* The data that a step has which does not say: that of the scope's start, or the item. */
static sp_status default_data(struct sp_saga_turn *turn) {
    struct sp_buf *to = sp_flow_out_data_begin(turn->out);
    sp_status status =
        sp_saga_write_default(turn->sagas, turn->saga, turn->at, turn->now->ports, to, turn->error);
    sp_flow_out_data_end(turn->out);
    return status;
}

static sp_status begin_action(struct sp_saga_turn *turn, sp_str value) {
    char room[SP_COMMAND_ID_SIZE];
    uint32_t attempt = turn->act->attempt + 1;
    sp_str id = sp_turn_command_id(turn, false, attempt, room);
    if (value.len > SP_SAGA_DATA_BYTES_MAX) {
        return fail(turn, SP_STR("what `input` gave is too large for an event"));
    }
    sp_turn_command(turn, turn->node->action, id, false, attempt);
    if (turn->node->input.len > 0) {
        sp_flow_out_data(turn->out, value);
    } else {
        sp_status status = default_data(turn);
        if (status != SP_OK) {
            return status;
        }
    }
    action_started(turn, id, attempt);
    return SP_OK;
}

sp_status sp_saga_act_retry(struct sp_saga_turn *turn) {
    struct sp_event before;
    char room[SP_COMMAND_ID_SIZE];
    uint32_t attempt = turn->act->attempt + 1;
    if (turn->now->answer.refused) {
        return fail(turn, turn->now->answer.error);
    }
    sp_status status = sp_saga_read(turn->now->ports, turn->act->input, &before, turn->error);
    if (status != SP_OK) {
        return status;
    }
    sp_str id = sp_turn_command_id(turn, false, attempt, room);
    sp_turn_command(turn, turn->node->action, id, false, attempt);
    sp_saga_event_data(&before, sp_flow_out_data_begin(turn->out));
    sp_flow_out_data_end(turn->out);
    action_started(turn, id, attempt);
    return SP_OK;
}

/* ---- waits ---- */

/* The text of a JSON value that is text, or a number as it stands; false: neither. */
static bool read_text(struct sp_saga_turn *turn, sp_str json, sp_str *ret_text) {
    struct sp_json scanner;
    sp_json_init(&scanner, json);
    struct sp_json_token token = sp_json_next(&scanner);
    if (token.type == SP_JSON_NUMBER) {
        *ret_text = token.raw;
        return true;
    }
    if (token.type != SP_JSON_STRING) {
        return false;
    }
    sp_buf_reset(&turn->sagas->scratch);
    sp_json_unescape(&turn->sagas->scratch, token.raw);
    *ret_text = sp_buf_str(&turn->sagas->scratch);
    return turn->sagas->scratch.status == SP_OK;
}

/* Seconds with a fraction, as microseconds. */
static bool read_seconds(sp_str raw, uint64_t *ret_us) {
    double us = sp_json_number(raw) * 1e6;
    if (!(us >= 0 && us <= (double)SP_SAGA_DURATION_US_MAX)) {
        return false;
    }
    *ret_us = (uint64_t)us;
    return true;
}

static bool read_duration(struct sp_saga_turn *turn, sp_str json, uint64_t *ret_us) {
    sp_str text = nothing;
    if (!read_text(turn, json, &text)) {
        return false;
    }
    if (json.ptr[0] != '"') {
        return read_seconds(text, ret_us);
    }
    return sp_duration_parse(text, ret_us, NULL) == SP_OK && *ret_us <= SP_SAGA_DURATION_US_MAX;
}

static sp_status begin_wait_until(struct sp_saga_turn *turn, uint64_t due_us) {
    struct sp_buf *to = started(turn, 0, due_us, "wait");
    sp_json_time(to, "until", due_us);
    finish(turn, to);
    return SP_OK;
}

static sp_status begin_wait_event(struct sp_saga_turn *turn, sp_str value) {
    const struct sp_saga_wait *wait = turn->node->wait;
    uint64_t due_us = due_in(turn, turn->node->timeout_us);
    sp_str key = nothing;
    if (wait->key.len > 0 && (!read_text(turn, value, &key) || key.len > SP_SAGA_KEY_BYTES_MAX)) {
        return fail(turn, SP_STR("`key` is to give text or a number, of at most 1024 bytes"));
    }
    struct sp_buf *to = started(turn, 0, due_us, "wait");
    sp_json_text(to, "event", wait->pattern);
    sp_json_text(to, "key", key);
    sp_json_time(to, "timeout_at", due_us);
    finish(turn, to);
    return SP_OK;
}

static sp_status begin_wait(struct sp_saga_turn *turn, sp_str value) {
    const struct sp_saga_wait *wait = turn->node->wait;
    uint64_t us = wait->for_us;
    if (wait->pattern.len > 0) {
        return begin_wait_event(turn, value);
    }
    if (wait->until.len > 0) {
        sp_str text = nothing;
        struct sp_error error;
        sp_error_clear(&error);
        if (!read_text(turn, value, &text) || sp_time_parse(text, false, &us, &error) != SP_OK) {
            return fail(turn, SP_STR("`until` is to give a time as RFC 3339 has it"));
        }
        return begin_wait_until(turn, us > 0 ? us : 1);
    }
    if (wait->for_program.len > 0 && !read_duration(turn, value, &us)) {
        return fail(turn, SP_STR("`for` is to give a duration, such as \"1h30m\", or seconds"));
    }
    return begin_wait_until(turn, turn->now->now_us + us);
}

/* ---- approvals ---- */

static void add_texts(struct sp_buf *to, const char *name, const struct sp_saga_texts *texts) {
    sp_json_member(to, name);
    sp_buf_add_byte(to, '[');
    for (uint32_t i = 0; i < texts->count; i++) {
        if (i > 0) {
            sp_buf_add_byte(to, ',');
        }
        sp_json_bytes(to, texts->items[i]);
    }
    sp_buf_add_byte(to, ']');
}

static void approval_data(struct sp_saga_turn *turn, sp_str id, bool is_proposal, sp_str value,
                          uint64_t due_us, uint64_t escalate_us) {
    const struct sp_saga_approval *approval = turn->node->approval;
    struct sp_buf *to = sp_flow_out_data_begin(turn->out);
    sp_json_open(to);
    if (is_proposal) {
        sp_json_text(to, "saga", turn->saga->version->definition->name);
        sp_json_text(to, "sagaid", sp_str_of(turn->id, sizeof(turn->id)));
    }
    sp_json_text(to, "step", turn->step);
    sp_json_text(to, "prompt", approval->prompt);
    add_texts(to, "choices", &approval->choices);
    add_texts(to, "who", &approval->who);
    sp_json_time(to, "deadline", due_us);
    sp_json_time(to, "escalate_at", escalate_us);
    if (!is_proposal) {
        sp_json_text(to, "proposal", id);
    }
    sp_json_raw(to, "data", value);
    sp_json_close(to);
    sp_flow_out_data_end(turn->out);
}

static sp_status begin_approval(struct sp_saga_turn *turn, sp_str value) {
    char room[SP_COMMAND_ID_SIZE];
    uint32_t attempt = turn->act->attempt + 1;
    uint64_t due_us = due_in(turn, turn->node->timeout_us);
    uint64_t escalate_us = due_in(turn, turn->node->approval->escalate_after_us);
    sp_str id = sp_turn_command_id(turn, false, attempt, room);
    if (value.len > SP_SAGA_DATA_BYTES_MAX / 2) {
        return fail(turn, SP_STR("what `data` gave is too large for an event"));
    }
    sp_turn_begin_step(turn, SP_STR("action.proposed"), attempt, nothing);
    sp_flow_out_attr(turn->out, SP_ATTR_ID, id);
    approval_data(turn, id, true, value, due_us, escalate_us);
    sp_turn_begin_step(turn, SP_STR("saga.approval.requested"), attempt, nothing);
    sp_turn_due(turn, due_us);
    if (escalate_us != 0) {
        sp_flow_out_number(turn->out, SP_STR("escalateus"), escalate_us);
    }
    approval_data(turn, id, false, value, due_us, escalate_us);
    return SP_OK;
}

/* ---- events ---- */

static sp_status begin_emit(struct sp_saga_turn *turn, sp_str value) {
    const struct sp_saga_emit *emit = turn->node->emit;
    char room[SP_COMMAND_ID_SIZE];
    sp_str id = sp_turn_command_id(turn, false, turn->act->attempt + 1, room);
    if (value.len > SP_SAGA_DATA_BYTES_MAX) {
        return fail(turn, SP_STR("what `data` gave is too large for an event"));
    }
    sp_turn_begin_step(turn, emit->type, 0, nothing);
    sp_flow_out_attr(turn->out, SP_ATTR_ID, id);
    if (emit->stream.len > 0) {
        sp_flow_out_attr(turn->out, SP_ATTR_STREAM, emit->stream);
    }
    if (emit->data.len > 0) {
        sp_flow_out_data(turn->out, value);
    } else {
        sp_status status = default_data(turn);
        if (status != SP_OK) {
            return status;
        }
    }
    struct sp_buf *to = started(turn, 0, 0, "emit");
    sp_json_text(to, "type", emit->type);
    sp_json_text(to, "event", id);
    finish(turn, to);
    sp_turn_begin_step(turn, SP_STR("saga.step.completed"), 0, id);
    to = sp_flow_out_data_begin(turn->out);
    sp_json_open(to);
    sp_json_text(to, "step", turn->step);
    sp_json_raw(to, "result", nothing);
    finish(turn, to);
    return SP_OK;
}

/* ---- containers ---- */

static sp_status begin_choice(struct sp_saga_turn *turn, sp_str value) {
    uint32_t branch = 0;
    if (sp_str_eq(value, SP_STR("-1"))) {
        return skip(turn, "choice");
    }
    for (size_t i = 0; i < value.len && i < 4; i++) {
        branch = branch * 10 + (uint32_t)(value.ptr[i] - '0');
    }
    (void)started(turn, 0, 0, NULL);
    sp_flow_out_number(turn->out, SP_STR("branch"), branch);
    struct sp_buf *to = sp_flow_out_data_begin(turn->out);
    sp_json_open(to);
    sp_json_text(to, "step", turn->step);
    sp_json_text(to, "kind", SP_STR("choice"));
    sp_json_u64(to, "branch", branch);
    finish(turn, to);
    return SP_OK;
}

/* The number of items; UINT32_MAX: it is no array. */
static uint32_t count_items(sp_str array) {
    struct sp_json json;
    uint32_t count = 0;
    sp_json_init(&json, array);
    struct sp_json_token token = sp_json_next(&json);
    if (token.type != SP_JSON_ARRAY) {
        return UINT32_MAX;
    }
    for (token = sp_json_next(&json);
         token.type != SP_JSON_ARRAY_END && token.type != SP_JSON_ERROR;
         token = sp_json_next(&json)) {
        (void)sp_json_skip(&json, token);
        count++;
    }
    return token.type == SP_JSON_ERROR ? UINT32_MAX : count;
}

static sp_status begin_for_each(struct sp_saga_turn *turn, sp_str value) {
    uint32_t count = count_items(value);
    if (count == UINT32_MAX) {
        return fail(turn, SP_STR("`for_each` is to give an array"));
    }
    if (count > SP_SAGA_ITEMS_MAX || value.len > SP_SAGA_DATA_BYTES_MAX) {
        return fail(turn, SP_STR("`for_each` gave more than 10000 items, or more than 900 KiB"));
    }
    (void)started(turn, 0, 0, NULL);
    sp_flow_out_number(turn->out, SP_STR("items"), count);
    struct sp_buf *to = sp_flow_out_data_begin(turn->out);
    sp_json_open(to);
    sp_json_text(to, "step", turn->step);
    sp_json_text(to, "kind", SP_STR("for_each"));
    sp_json_u64(to, "count", count);
    sp_json_raw(to, "items", value);
    finish(turn, to);
    return SP_OK;
}

static sp_status begin_nested(struct sp_saga_turn *turn, sp_str value) {
    uint64_t due_us = due_in(turn, turn->node->timeout_us);
    if (value.len > SP_SAGA_DATA_BYTES_MAX) {
        return fail(turn, SP_STR("what `input` gave is too large for an event"));
    }
    struct sp_buf *to = started(turn, 0, due_us, "saga");
    sp_json_text(to, "saga", turn->node->saga);
    sp_json_time(to, "timeout_at", due_us);
    if (turn->node->input.len > 0) {
        sp_json_raw(to, "data", value);
    }
    finish(turn, to);
    return SP_OK;
}

static sp_status begin_plain(struct sp_saga_turn *turn, const char *kind) {
    finish(turn, started(turn, 0, 0, kind));
    return SP_OK;
}

/* ---- all of them ---- */

/* Takes `[value]`, which a step with `when` gives where that holds; [] where it has no program. */
static bool unwrap(sp_str array, sp_str *ret_value) {
    struct sp_json json;
    sp_json_init(&json, array);
    struct sp_json_token token = sp_json_next(&json);
    if (token.type != SP_JSON_ARRAY) {
        return false;
    }
    token = sp_json_next(&json);
    if (token.type == SP_JSON_ARRAY_END) {
        *ret_value = nothing;
        return true;
    }
    *ret_value = sp_json_skip(&json, token);
    return sp_json_next(&json).type == SP_JSON_ARRAY_END; /* one value, not several */
}

static bool has_body(const struct sp_saga_turn *turn) {
    const struct sp_saga_node *node = turn->node;
    return node->input.len > 0 || node->items.len > 0 || node->kind == SP_SAGA_CHOICE ||
           (node->kind == SP_SAGA_WAIT && (node->wait->for_program.len > 0 ||
                                           node->wait->until.len > 0 || node->wait->key.len > 0)) ||
           (node->kind == SP_SAGA_APPROVAL && node->approval->data.len > 0) ||
           (node->kind == SP_SAGA_EMIT && node->emit->data.len > 0);
}

static sp_status begin_with(struct sp_saga_turn *turn, sp_str value) {
    switch (turn->node->kind) {
    case SP_SAGA_ACTION:
        return begin_action(turn, value);
    case SP_SAGA_WAIT:
        return begin_wait(turn, value);
    case SP_SAGA_APPROVAL:
        return begin_approval(turn, value);
    case SP_SAGA_EMIT:
        return begin_emit(turn, value);
    case SP_SAGA_CHOICE:
        return begin_choice(turn, value);
    case SP_SAGA_FOR_EACH:
        return begin_for_each(turn, value);
    case SP_SAGA_NESTED:
        return begin_nested(turn, value);
    case SP_SAGA_SEQUENCE:
        return begin_plain(turn, "sequence");
    case SP_SAGA_PARALLEL:
        return begin_plain(turn, "parallel");
    case SP_SAGA_ROOT:
    case SP_SAGA_BRANCH:
        break;
    }
    sp_never();
}

sp_status sp_saga_act_begin(struct sp_saga_turn *turn) {
    const struct sp_flow_answer *answer = &turn->now->answer;
    sp_str value = nothing;
    if (answer->refused) {
        return fail(turn, answer->error);
    }
    if (turn->saga->version->begin[turn->act->node].len > 0) {
        if (answer->status != SP_OK) {
            return fail(turn, answer->error);
        }
        value = answer->value;
        if (turn->node->when.len > 0) {
            if (is_null(value)) {
                return skip(turn, "when");
            }
            if (!unwrap(value, &value) || (value.len == 0) == has_body(turn)) {
                return fail(turn, SP_STR("its program is to give one value, no more and no less"));
            }
        }
    }
    return begin_with(turn, value);
}
