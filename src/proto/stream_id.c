#include "proto/stream_id.h"

enum { TEXT_BYTES_MAX = 127 };

bool sp_stream_id_increment(struct sp_entry_id *id) {
    if (id->seq != UINT64_MAX) {
        id->seq++;
        return true;
    }
    if (id->ms == UINT64_MAX) {
        return false;
    }
    id->ms++;
    id->seq = 0;
    return true;
}

bool sp_stream_id_decrement(struct sp_entry_id *id) {
    if (id->seq != 0) {
        id->seq--;
        return true;
    }
    if (id->ms == 0) {
        return false;
    }
    id->ms--;
    id->seq = UINT64_MAX;
    return true;
}

static bool parse_number(const char *at, const char *end, uint64_t *ret_value) {
    uint64_t value = 0;
    if (at == end) {
        return false;
    }
    for (; at < end; at++) {
        uint64_t digit = (uint64_t)(uint8_t)*at - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return false;
        }
    }
    *ret_value = value;
    return true;
}

/* Reads the milliseconds and says where the sequence begins, NULL where there is none. */
static bool parse_ms(sp_str text, uint64_t *ret_ms, const char **ret_seq) {
    if (text.len == 0 || text.len > TEXT_BYTES_MAX) {
        return false;
    }
    const char *end = text.ptr + text.len;
    const char *hyphen = memchr(text.ptr, '-', text.len);
    if (!parse_number(text.ptr, hyphen != NULL ? hyphen : end, ret_ms)) {
        return false;
    }
    *ret_seq = hyphen != NULL ? hyphen + 1 : NULL;
    return true;
}

bool sp_stream_id_parse(sp_str text, uint64_t missing_seq, struct sp_entry_id *ret_id) {
    struct sp_entry_id id = {.ms = 0, .seq = missing_seq};
    const char *seq = NULL;
    if (!parse_ms(text, &id.ms, &seq)) {
        return false;
    }
    if (seq != NULL && !parse_number(seq, text.ptr + text.len, &id.seq)) {
        return false;
    }
    *ret_id = id;
    return true;
}

bool sp_stream_id_parse_bound(sp_str text, uint64_t missing_seq, struct sp_entry_id *ret_id) {
    if (sp_str_eq(text, SP_STR("-"))) {
        *ret_id = SP_ENTRY_ID_NONE;
        return true;
    }
    if (sp_str_eq(text, SP_STR("+"))) {
        *ret_id = SP_ENTRY_ID_MAX;
        return true;
    }
    return sp_stream_id_parse(text, missing_seq, ret_id);
}

bool sp_stream_id_parse_add(sp_str text, enum sp_stream_id_add *ret_kind,
                            struct sp_entry_id *ret_id) {
    if (sp_str_eq(text, SP_STR("*"))) {
        *ret_kind = SP_STREAM_ADD_AUTO;
        *ret_id = SP_ENTRY_ID_NONE;
        return true;
    }
    struct sp_entry_id id = {.ms = 0, .seq = 0};
    if (sp_str_ends_with(text, SP_STR("-*"))) {
        text.len -= 2;
        const char *seq = NULL;
        if (!parse_ms(text, &id.ms, &seq) || seq != NULL) {
            return false;
        }
        *ret_kind = SP_STREAM_ADD_AUTO_SEQ;
        *ret_id = id;
        return true;
    }
    if (!sp_stream_id_parse(text, 0, &id)) {
        return false;
    }
    *ret_kind = SP_STREAM_ADD_ID;
    *ret_id = id;
    return true;
}

bool sp_stream_id_parse_read(sp_str text, enum sp_stream_id_read *ret_kind,
                             struct sp_entry_id *ret_id) {
    enum sp_stream_id_read kind = SP_STREAM_READ_AFTER;
    struct sp_entry_id id = SP_ENTRY_ID_NONE;
    if (sp_str_eq(text, SP_STR("$"))) {
        kind = SP_STREAM_READ_NEW;
    } else if (sp_str_eq(text, SP_STR("+"))) {
        kind = SP_STREAM_READ_LAST;
    } else if (sp_str_eq(text, SP_STR(">"))) {
        kind = SP_STREAM_READ_NEVER;
    } else if (!sp_stream_id_parse(text, 0, &id)) {
        return false;
    }
    *ret_kind = kind;
    *ret_id = id;
    return true;
}

/* Reads one end of an interval; *ret_excluded says whether it was written behind `(`. */
static bool parse_end(sp_str text, uint64_t missing_seq, struct sp_entry_id *ret_id,
                      bool *ret_excluded) {
    *ret_excluded = text.len > 1 && text.ptr[0] == '(';
    if (*ret_excluded) {
        return sp_stream_id_parse(sp_str_from_byte(text, 1), missing_seq, ret_id);
    }
    return sp_stream_id_parse_bound(text, missing_seq, ret_id);
}

const char *sp_stream_id_parse_start(sp_str text, struct sp_entry_id *ret_id) {
    struct sp_entry_id id;
    bool excluded = false;
    if (!parse_end(text, 0, &id, &excluded)) {
        return SP_STREAM_ID_INVALID;
    }
    if (excluded && !sp_stream_id_increment(&id)) {
        return SP_STREAM_ID_INVALID_START;
    }
    *ret_id = id;
    return NULL;
}

const char *sp_stream_id_parse_end(sp_str text, struct sp_entry_id *ret_id) {
    struct sp_entry_id id;
    bool excluded = false;
    if (!parse_end(text, UINT64_MAX, &id, &excluded)) {
        return SP_STREAM_ID_INVALID;
    }
    if (excluded && !sp_stream_id_decrement(&id)) {
        return SP_STREAM_ID_INVALID_END;
    }
    *ret_id = id;
    return NULL;
}
