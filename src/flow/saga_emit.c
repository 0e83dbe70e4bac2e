#include "flow/saga_int.h"

/* ---- JSON ---- */

void sp_json_open(struct sp_buf *to) {
    sp_buf_add_byte(to, '{');
}

void sp_json_close(struct sp_buf *to) {
    sp_buf_add_byte(to, '}');
}

void sp_json_member(struct sp_buf *to, const char *name) {
    if (to->len > 0 && to->data[to->len - 1] != '{') {
        sp_buf_add_byte(to, ',');
    }
    sp_buf_add_byte(to, '"');
    sp_buf_add_str(to, sp_str_from(name));
    sp_buf_add_str(to, SP_STR("\":"));
}

/* A string of any bytes: what is not UTF-8 is shown as `?`. */
void sp_json_bytes(struct sp_buf *to, sp_str bytes) {
    if (sp_utf8_valid(bytes)) {
        sp_json_add_string(to, bytes);
        return;
    }
    sp_buf_add_byte(to, '"');
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = (uint8_t)bytes.ptr[i];
        bool is_plain = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
        sp_buf_add_byte(to, is_plain ? byte : '?');
    }
    sp_buf_add_byte(to, '"');
}

void sp_json_text(struct sp_buf *to, const char *name, sp_str value) {
    sp_json_member(to, name);
    if (value.ptr == NULL) {
        sp_buf_add_str(to, SP_STR("null"));
    } else {
        sp_json_bytes(to, value);
    }
}

void sp_json_raw(struct sp_buf *to, const char *name, sp_str json) {
    sp_json_member(to, name);
    sp_buf_add_str(to, json.len == 0 ? SP_STR("null") : json);
}

void sp_json_u64(struct sp_buf *to, const char *name, uint64_t value) {
    sp_json_member(to, name);
    sp_buf_add_u64(to, value);
}

void sp_json_bool(struct sp_buf *to, const char *name, bool value) {
    sp_json_member(to, name);
    sp_buf_add_str(to, value ? SP_STR("true") : SP_STR("false"));
}

void sp_json_time(struct sp_buf *to, const char *name, uint64_t time_us) {
    char text[SP_TIME_TEXT_SIZE];
    if (time_us == 0) {
        sp_json_raw(to, name, (sp_str){.ptr = NULL});
        return;
    }
    sp_time_format(time_us > SP_TIME_US_MAX ? SP_TIME_US_MAX : time_us, text);
    sp_json_text(to, name, sp_str_from(text));
}

void sp_saga_event_data(const struct sp_event *event, struct sp_buf *to) {
    if (!event->has_data || event->data.len == 0) {
        sp_buf_add_str(to, SP_STR("null"));
    } else if (event->data_is_json) {
        sp_buf_add_str(to, event->data);
    } else {
        sp_json_bytes(to, event->data);
    }
}

/* ---- hashes as text ---- */

void sp_sha256_hex(const uint8_t sha256[SP_SHA256_BYTES], char text[2 * SP_SHA256_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SP_SHA256_BYTES; i++) {
        text[2 * i] = digits[sha256[i] >> 4];
        text[2 * i + 1] = digits[sha256[i] & 15];
    }
}

static int digit_of(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sp_sha256_parse(sp_str text, uint8_t ret_sha256[SP_SHA256_BYTES]) {
    if (text.len != (size_t)2 * SP_SHA256_BYTES) {
        return false;
    }
    for (size_t i = 0; i < SP_SHA256_BYTES; i++) {
        int high = digit_of(text.ptr[2 * i]);
        int low = digit_of(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret_sha256[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool sp_sha256_is_hex(const uint8_t sha256[SP_SHA256_BYTES], sp_str text) {
    uint8_t other[SP_SHA256_BYTES];
    return sp_sha256_parse(text, other) && memcmp(sha256, other, SP_SHA256_BYTES) == 0;
}

/* ---- events ---- */

void sp_saga_out_begin(const struct sp_saga *saga, struct sp_flow_out *out, sp_str type,
                       sp_str causation) {
    char stream[5 + SP_UUID_TEXT_SIZE] = "saga:";
    char id[SP_UUID_TEXT_SIZE];
    sp_uuid_format(saga->id, stream + 5);
    sp_flow_out_begin(out, type, sp_str_of(stream, sizeof(stream)));
    sp_flow_out_attr(out, SP_ATTR_CORRELATION, sp_saga_correlation(saga, id));
    sp_flow_out_attr(out, SP_ATTR_CAUSATION,
                     causation.len > 0 ? causation : sp_saga_started_id(saga, id));
    sp_flow_out_text(out, SP_STR("sagaid"), sp_str_of(stream + 5, SP_UUID_TEXT_SIZE));
    sp_flow_out_text(out, SP_STR("saga"), saga->version->definition->name);
    if (saga->depth > 0) {
        sp_flow_out_number(out, SP_STR("depth"), saga->depth);
    }
}

void sp_turn_begin(struct sp_saga_turn *turn, sp_str type, sp_str causation) {
    sp_saga_out_begin(turn->saga, turn->out, type, causation);
}

void sp_turn_begin_step(struct sp_saga_turn *turn, sp_str type, uint32_t attempt,
                        sp_str causation) {
    sp_saga_out_begin(turn->saga, turn->out, type, causation);
    sp_flow_out_text(turn->out, SP_STR("sagastep"), turn->step);
    if (attempt > 0) {
        sp_flow_out_number(turn->out, SP_STR("attempt"), attempt);
    }
}

void sp_turn_ask(struct sp_saga_turn *turn, bool is_undo, sp_str error) {
    sp_turn_begin_step(turn, SP_STR("saga.needs_attention"), 0, (sp_str){.ptr = NULL});
    struct sp_buf *to = sp_flow_out_data_begin(turn->out);
    bool may_undo = !is_undo && !turn->saga->is_past_pivot;
    sp_json_open(to);
    sp_json_text(to, "step", turn->step);
    sp_json_text(to, "phase", is_undo ? SP_STR("compensation") : SP_STR("forward"));
    sp_json_text(to, "error", error);
    sp_json_raw(to, "options",
                may_undo ? SP_STR("[\"retry\",\"skip\",\"mark_done\",\"compensate\"]")
                         : SP_STR("[\"retry\",\"skip\",\"mark_done\"]"));
    sp_json_close(to);
    sp_flow_out_data_end(turn->out);
}

/* ---- when the next attempt begins ---- */

/* backoff * factor ^ (attempts - 1), at most max. */
static uint64_t backoff_us(const struct sp_saga_retry *retry, uint32_t attempts) {
    uint64_t most = retry->max_us > 0 ? retry->max_us : SP_SAGA_DURATION_US_MAX;
    uint64_t us = retry->backoff_us < most ? retry->backoff_us : most;
    for (uint32_t i = 1; i < attempts && us < most && us > 0 && retry->factor_milli > 1000; i++) {
        /* us is below 2^49, a factor in thousandths below 2^32 */
        uint64_t whole = us / 1000 * retry->factor_milli;
        us = whole + us % 1000 * retry->factor_milli / 1000;
        us = us < most ? us : most;
    }
    return us;
}

uint64_t sp_retry_at(const struct sp_saga_retry *retry, uint32_t attempts,
                     const struct sp_flow_now *now) {
    if (retry->limit != 0 && attempts >= retry->limit) {
        return 0;
    }
    uint64_t us = backoff_us(retry, attempts);
    uint64_t jitter = retry->jitter_milli < 1000 ? retry->jitter_milli : 1000;
    uint64_t spread = us / 1000 * jitter; /* to either side */
    uint64_t wait_us = us - spread + (spread > 0 ? now->random % (2 * spread + 1) : 0);
    return now->now_us + (wait_us > 0 ? wait_us : 1);
}

/* ---- commands and answers ---- */

sp_str sp_turn_command_id(const struct sp_saga_turn *turn, bool is_undo, uint32_t attempt,
                          char text[SP_COMMAND_ID_SIZE]) {
    size_t len = sizeof(turn->id);
    char digits[12];
    size_t at = sizeof(digits);
    memcpy(text, turn->id, len);
    text[len++] = '/';
    memcpy(text + len, turn->step.ptr, turn->step.len);
    len += turn->step.len;
    text[len++] = is_undo ? '~' : ':';
    do {
        digits[--at] = (char)('0' + attempt % 10);
        attempt /= 10;
    } while (attempt > 0);
    memcpy(text + len, digits + at, sizeof(digits) - at);
    return sp_str_of(text, len + sizeof(digits) - at);
}

void sp_turn_command(struct sp_saga_turn *turn, sp_str type, sp_str id, bool is_undo,
                     uint32_t attempt) {
    /* The key is the id without the attempt: the same for all of them. */
    size_t len = sizeof(turn->id) + 1 + turn->step.len + (is_undo ? 1 : 0);
    sp_turn_begin_step(turn, type, attempt, (sp_str){.ptr = NULL});
    sp_flow_out_attr(turn->out, SP_ATTR_ID, id);
    sp_flow_out_text(turn->out, SP_STR("idempotencykey"), sp_str_of(id.ptr, len));
    if (turn->node->at_most_once && !is_undo) {
        sp_flow_out_text(turn->out, SP_STR("semantics"), SP_STR("at_most_once"));
    }
}

void sp_turn_due(struct sp_saga_turn *turn, uint64_t due_us) {
    if (due_us != 0) {
        sp_flow_out_number(turn->out, SP_STR("dueus"), due_us);
    }
}

static sp_str cut(sp_str text, size_t max) {
    if (text.len <= max) {
        return text;
    }
    text.len = max;
    while (text.len > 0 && ((uint8_t)text.ptr[text.len] & 0xc0) == 0x80) {
        text.len--; /* not within a character */
    }
    return text;
}

sp_status sp_failure_read(const struct sp_event *event, struct sp_buf *scratch,
                          struct sp_failure *ret_failure) {
    enum { ERROR_BYTES_MAX = 4096 };
    struct sp_member members[] = {{.name = "error"}, {.name = "retryable"}, {.name = "unknown"}};
    sp_buf_reset(scratch);
    if (sp_members_of(event, members, 3, scratch) != SP_OK) {
        return SP_NO_MEMORY;
    }
    sp_str error = sp_member_text(&members[0]);
    if (error.ptr == NULL && members[0].type != SP_TYPE_MISSING &&
        members[0].type != SP_TYPE_NULL) {
        error = members[0].json;
    }
    if (error.len == 0 && event->has_data && members[0].type == SP_TYPE_MISSING) {
        error = event->data; /* whatever it said */
    }
    *ret_failure = (struct sp_failure){
        .is_retryable = members[1].type != SP_TYPE_FALSE,
        .is_unknown = members[2].type == SP_TYPE_TRUE,
        .error =
            error.len == 0 ? SP_STR("the worker did not say why") : cut(error, ERROR_BYTES_MAX),
    };
    return SP_OK;
}

void sp_json_result(struct sp_buf *to, const struct sp_event *answer) {
    if (answer->has_data && answer->data.len > SP_SAGA_RESULT_BYTES_MAX) {
        sp_json_u64(to, "result_position", answer->position);
    } else {
        sp_json_member(to, "result");
        sp_saga_event_data(answer, to);
    }
}
