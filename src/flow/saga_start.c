/*
 * How a saga begins: by call or by an event; and what is said of answers that change nothing.
 */
#include "event/attributes.h"
#include "flow/saga_int.h"

static const sp_str nothing = {.ptr = NULL, .len = 0};

/* The id of saga.started: one key begins one saga. */
static sp_str started_id(sp_str name, sp_str key, const char sagaid[SP_UUID_TEXT_SIZE],
                         struct sp_buf *room) {
    if (key.len == 0) {
        return sp_str_of(sagaid, SP_UUID_TEXT_SIZE);
    }
    sp_buf_reset(room);
    sp_buf_add_str(room, SP_STR("saga:"));
    sp_buf_add_str(room, name);
    sp_buf_add_byte(room, ':');
    sp_buf_add_str(room, key);
    return sp_buf_str(room);
}

static void write_data(const struct sp_saga_beginning *from, uint64_t due_us, struct sp_buf *to) {
    const struct sp_saga_definition *definition = from->definition;
    char sha256[2 * SP_SHA256_BYTES];
    sp_sha256_hex(from->definition->sha256, sha256);
    sp_json_open(to);
    sp_json_text(to, "saga", definition->name);
    sp_json_text(to, "version", definition->version.len > 0 ? definition->version : nothing);
    sp_json_text(to, "definition", sp_str_of(sha256, sizeof(sha256)));
    sp_json_text(to, "key", from->key.len > 0 ? from->key : nothing);
    sp_json_raw(to, "data", from->data);
    sp_json_time(to, "timeout_at", due_us);
    sp_json_text(to, "by", from->by.len > 0 ? from->by : nothing);
    if (from->forked_from.len > 0) {
        sp_json_member(to, "forked_from");
        sp_json_open(to);
        sp_json_text(to, "sagaid", from->forked_from);
        sp_json_text(to, "step", from->forked_at);
        sp_json_close(to);
        sp_json_raw(to, "inherited", from->inherited);
    }
    sp_json_close(to);
}

void sp_saga_write_started(const struct sp_saga_beginning *from, struct sp_flow_out *out,
                           struct sp_buf *room) {
    const struct sp_saga_definition *definition = from->definition;
    char stream[5 + SP_UUID_TEXT_SIZE] = "saga:";
    char sha256[2 * SP_SHA256_BYTES];
    uint64_t timeout_us = definition->nodes[0].timeout_us;
    uint64_t due_us = timeout_us == 0 ? 0 : from->now_us + timeout_us;
    sp_uuid_format(from->id, stream + 5);
    sp_sha256_hex(from->definition->sha256, sha256);
    sp_str sagaid = sp_str_of(stream + 5, SP_UUID_TEXT_SIZE);
    sp_flow_out_begin(out, SP_STR("saga.started"), sp_str_of(stream, sizeof(stream)));
    sp_flow_out_attr(out, SP_ATTR_ID, started_id(definition->name, from->key, stream + 5, room));
    sp_flow_out_attr(out, SP_ATTR_CORRELATION,
                     from->correlation.len > 0 ? from->correlation : sagaid);
    if (from->causation.len > 0) {
        sp_flow_out_attr(out, SP_ATTR_CAUSATION, from->causation);
    }
    sp_flow_out_text(out, SP_STR("sagaid"), sagaid);
    sp_flow_out_text(out, SP_STR("saga"), definition->name);
    sp_flow_out_text(out, SP_STR("definition"), sp_str_of(sha256, sizeof(sha256)));
    if (due_us != 0) {
        sp_flow_out_number(out, SP_STR("dueus"), due_us);
    }
    if (from->trigger != 0) {
        sp_flow_out_number(out, SP_STR("trigger"), from->trigger);
    }
    if (from->depth > 0) {
        sp_flow_out_number(out, SP_STR("depth"), from->depth);
    }
    if (from->inherited_count > 0) {
        sp_flow_out_number(out, SP_STR("inherited"), from->inherited_count);
    }
    write_data(from, due_us, sp_flow_out_data_begin(out));
    sp_flow_out_data_end(out);
}

/* A key as it stands in the id: as it is, or where that would be too long, its hash. */
static sp_str short_key(sp_str key, char hex[2 * SP_SHA256_BYTES]) {
    uint8_t hash[SP_SHA256_BYTES];
    if (key.len <= SP_SAGA_KEY_BYTES_MAX) {
        return key;
    }
    sp_sha256_salted("", 0, key.ptr, key.len, hash);
    sp_sha256_hex(hash, hex);
    return sp_str_of(hex, (size_t)2 * SP_SHA256_BYTES);
}

static sp_status find_version(const struct sp_sagas *sagas, sp_str text,
                              struct sp_saga_version **ret_version, struct sp_error *error) {
    const struct sp_saga_name *name = sp_sagas_name(sagas, text);
    if (name == NULL || name->current == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "there is no saga definition '%.*s'",
                            SP_STR_ARG(text));
    }
    if (name->current->definition == NULL) {
        return sp_error_set(error, SP_UNSUPPORTED, "the definition of '%.*s' cannot be used: %s",
                            SP_STR_ARG(text), name->current->unusable);
    }
    *ret_version = name->current;
    return SP_OK;
}

sp_status sp_saga_start_events(const struct sp_sagas *sagas, const struct sp_saga_start *start,
                               const uint8_t new_id[16], uint64_t now_us, struct sp_flow_out *out,
                               struct sp_error *error) {
    struct sp_saga_version *version = NULL;
    char hex[2 * SP_SHA256_BYTES];
    sp_status status = find_version(sagas, start->name, &version, error);
    if (status != SP_OK) {
        return status;
    }
    if (sagas->count >= SP_SAGAS_RUNNING_MAX) {
        return sp_error_set(error, SP_LIMIT, "%d sagas run already", SP_SAGAS_RUNNING_MAX);
    }
    if (start->data.len > SP_SAGA_DATA_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "start data of %zu bytes, more than %d",
                            start->data.len, SP_SAGA_DATA_BYTES_MAX);
    }
    if (start->data.len > 0) {
        enum sp_json_type type = SP_JSON_NULL;
        status = sp_json_check_value(start->data, SP_JSON_DEPTH_MAX - 2, &type, error);
        if (status != SP_OK) {
            return sp_error_prefix(error, status, "start data");
        }
    }
    struct sp_saga_beginning from = {.definition = version->definition,
                                     .data = start->data,
                                     .key = short_key(start->key, hex),
                                     .correlation = start->correlation,
                                     .causation = start->causation,
                                     .by = start->by,
                                     .depth = start->depth,
                                     .now_us = now_us,
                                     .id = new_id};
    struct sp_buf room;
    sp_buf_init(&room, SP_EVENT_ID_BYTES_MAX);
    sp_saga_write_started(&from, out, &room);
    sp_buf_fini(&room);
    return sp_flow_out_status(out);
}

/* ---- by an event ---- */

static sp_status start_ignored(const struct sp_saga_pending *start, sp_str key, const char *reason,
                               sp_str why, const struct sp_event *event, struct sp_flow_out *out) {
    char sha256[2 * SP_SHA256_BYTES];
    sp_sha256_hex(start->version->sha256, sha256);
    sp_flow_out_begin(out, SP_STR("saga.start.ignored"), SP_STR("$sagas"));
    if (event != NULL) {
        sp_flow_out_attr(out, SP_ATTR_CAUSATION, event->attr[SP_ATTR_ID]);
        sp_flow_out_attr(out, SP_ATTR_CORRELATION, event->attr[SP_ATTR_CORRELATION]);
    }
    sp_flow_out_number(out, SP_STR("trigger"), start->position);
    sp_flow_out_text(out, SP_STR("definition"), sp_str_of(sha256, sizeof(sha256)));
    struct sp_buf *to = sp_flow_out_data_begin(out);
    sp_json_open(to);
    sp_json_text(to, "saga", start->version->definition->name);
    sp_json_u64(to, "trigger", start->position);
    sp_json_text(to, "key", key.len > 0 ? key : nothing);
    sp_json_text(to, "reason", sp_str_from(reason));
    sp_json_text(to, "error", why);
    sp_json_close(to);
    sp_flow_out_data_end(out);
    return SP_OK;
}

/* The key as text: of text and numbers; false: it is neither. */
static bool read_key(const struct sp_member *member, sp_str *ret_key) {
    if (member->type == SP_TYPE_TEXT || member->type == SP_TYPE_NUMBER) {
        *ret_key = member->text;
        return true;
    }
    return false;
}

struct trigger {
    struct sp_sagas *sagas;
    const struct sp_saga_pending *start;
    const struct sp_flow_now *now;
    struct sp_flow_out *out;
    struct sp_event event;
};

static sp_status begin_by(const struct trigger *trigger, sp_str key, sp_str data) {
    char hex[2 * SP_SHA256_BYTES];
    struct sp_sagas *sagas = trigger->sagas;
    const struct sp_saga_pending *start = trigger->start;
    const struct sp_flow_now *now = trigger->now;
    struct sp_saga_beginning from = {.definition = start->version->definition,
                                     .data = data,
                                     .key = short_key(key, hex),
                                     .correlation = trigger->event.attr[SP_ATTR_CORRELATION],
                                     .causation = trigger->event.attr[SP_ATTR_ID],
                                     .trigger = start->position,
                                     .depth = start->depth,
                                     .now_us = now->now_us,
                                     .id = now->new_id};
    if (now->answer.refused) {
        bool is_there = now->answer.status == SP_CONFLICT;
        return start_ignored(start, key, is_there ? "duplicate" : "failed", now->answer.error,
                             &trigger->event, trigger->out);
    }
    if (start->depth > SP_SAGA_CHAIN_MAX) {
        return start_ignored(start, key, "chain", SP_STR("too many sagas have led to one another"),
                             &trigger->event, trigger->out);
    }
    if (sagas->count >= SP_SAGAS_RUNNING_MAX || data.len > SP_SAGA_DATA_BYTES_MAX) {
        return start_ignored(start, key, "limit",
                             data.len > SP_SAGA_DATA_BYTES_MAX
                                 ? SP_STR("the start data is too large")
                                 : SP_STR("too many sagas run"),
                             &trigger->event, trigger->out);
    }
    sp_saga_write_started(&from, trigger->out, &sagas->scratch_more);
    return SP_OK;
}

sp_status sp_saga_act_start(struct sp_sagas *sagas, const struct sp_saga_pending *start,
                            const struct sp_flow_now *now, struct sp_flow_out *out,
                            struct sp_error *error) {
    const struct sp_saga_definition *definition = start->version->definition;
    struct trigger trigger = {.sagas = sagas, .start = start, .now = now, .out = out};
    struct sp_member members[] = {{.name = "key"}, {.name = "data"}};
    char position[24];
    size_t at = sizeof(position);
    sp_status status = sp_saga_read(now->ports, start->position, &trigger.event, error);
    if (status != SP_OK) {
        return status;
    }
    bool has_program = start->version->start.len > 0;
    if (has_program && !now->answer.refused && now->answer.status != SP_OK) {
        return start_ignored(start, nothing, "failed", now->answer.error, &trigger.event, out);
    }
    sp_buf_reset(&sagas->scratch);
    if (has_program && !now->answer.refused &&
        sp_members_read(now->answer.value, members, 2, &sagas->scratch) != SP_OK) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    for (uint64_t rest = start->position; rest > 0; rest /= 10) {
        position[--at] = (char)('0' + rest % 10);
    }
    bool has_key = definition->start_key.len > 0;
    sp_str key = has_key ? nothing : sp_str_of(position + at, sizeof(position) - at);
    sp_str data = members[1].json;
    if (has_key && !now->answer.refused && !read_key(&members[0], &key)) {
        return start_ignored(start, nothing, "failed", SP_STR("`key` is to give text or a number"),
                             &trigger.event, out);
    }
    struct sp_buf text;
    sp_buf_init(&text, SP_EVENT_SIZE_BYTES_MAX);
    if (definition->start_data.len == 0) {
        sp_saga_event_data(&trigger.event, &text);
        data = sp_buf_str(&text);
    }
    status = text.status == SP_OK ? begin_by(&trigger, key, data)
                                  : sp_error_set(error, text.status, "the event is too large");
    sp_buf_fini(&text);
    return status;
}

/* ---- answers that change nothing ---- */

static const char *const reasons[SP_IGNORED_REASONS] = {
    "",
    "late",
    "duplicate",
    "wrong_attempt",
    "unknown_step",
    "not_waiting",
    "not_allowed",
    "unknown_choice",
};

static void ignored_begin(const struct sp_sagas *sagas, const struct sp_saga_ignored *ignored,
                          const struct sp_event *answer, struct sp_flow_out *out) {
    const struct sp_saga *saga = sp_sagas_get(sagas, ignored->id);
    char stream[5 + SP_UUID_TEXT_SIZE] = "saga:";
    if (saga != NULL) {
        sp_saga_out_begin(saga, out, SP_STR("saga.answer.ignored"), answer->attr[SP_ATTR_ID]);
        return;
    }
    sp_uuid_format(ignored->id, stream + 5);
    sp_flow_out_begin(out, SP_STR("saga.answer.ignored"), sp_str_of(stream, sizeof(stream)));
    sp_flow_out_attr(out, SP_ATTR_CORRELATION, answer->attr[SP_ATTR_CORRELATION]);
    sp_flow_out_attr(out, SP_ATTR_CAUSATION, answer->attr[SP_ATTR_ID]);
    sp_flow_out_text(out, SP_STR("sagaid"), sp_str_of(stream + 5, SP_UUID_TEXT_SIZE));
}

sp_status sp_saga_act_ignore(struct sp_sagas *sagas, const struct sp_saga_ignored *ignored,
                             const struct sp_flow_now *now, struct sp_flow_out *out,
                             struct sp_error *error) {
    struct sp_event answer;
    struct sp_command_id id = {.attempt = 0};
    sp_status status = sp_saga_read(now->ports, ignored->position, &answer, error);
    if (status != SP_OK) {
        return status;
    }
    if (!sp_command_id_parse(answer.attr[SP_ATTR_CAUSATION], &id)) {
        id = (struct sp_command_id){.path = nothing}; /* a decision that named it in its data */
    }
    ignored_begin(sagas, ignored, &answer, out);
    if (id.path.len > 0) {
        sp_flow_out_text(out, SP_STR("sagastep"), id.path);
    }
    sp_flow_out_number(out, SP_STR("answerposition"), ignored->position);
    struct sp_buf *to = sp_flow_out_data_begin(out);
    sp_json_open(to);
    sp_json_text(to, "step", id.path);
    sp_json_u64(to, "attempt", id.attempt);
    sp_json_text(to, "answer", answer.attr[SP_ATTR_ID]);
    sp_json_u64(to, "answer_position", ignored->position);
    sp_json_text(to, "type", answer.attr[SP_ATTR_TYPE]);
    sp_json_text(to, "reason", sp_str_from(reasons[ignored->reason]));
    sp_json_close(to);
    sp_flow_out_data_end(out);
    return SP_OK;
}
