#include "client/decode.h"

#include "base/json.h"
#include "base/time.h"
#include "event/event_json.h"

void sp_decoded_init(struct sp_decoded *decoded) {
    sp_buf_init(&decoded->scratch, SIZE_MAX / 2);
    decoded->has_hash = false;
}

void sp_decoded_fini(struct sp_decoded *decoded) {
    sp_buf_fini(&decoded->scratch);
}

static bool read_u64(sp_str digits, uint64_t *ret_value) {
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        uint64_t digit = (uint64_t)(uint8_t)digits.ptr[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret_value = value;
    return digits.len > 0;
}

static int nibble(char digit) {
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                          : -1;
}

static bool read_hash(sp_str text, uint8_t to[SP_DECODED_HASH_BYTES]) {
    if (text.len != (size_t)2 * SP_DECODED_HASH_BYTES) {
        return false;
    }
    for (size_t i = 0; i < SP_DECODED_HASH_BYTES; i++) {
        int high = nibble(text.ptr[2 * i]);
        int low = nibble(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* A member that the store assigned; false where its value is not what it must be. */
static bool take_assigned(struct sp_decoded *to, sp_str name, sp_str value) {
    uint64_t ms = 0;
    bool has_seq = false;
    if (sp_str_eq(name, SP_STR("position"))) {
        return read_u64(value, &to->event.position);
    }
    if (sp_str_eq(name, SP_STR("version"))) {
        return read_u64(value, &to->event.version);
    }
    if (sp_str_eq(name, SP_STR("recordedtime"))) {
        return sp_time_parse(value, false, &to->event.recorded_us, NULL) == SP_OK;
    }
    if (sp_str_eq(name, SP_STR("entryid"))) {
        return sp_entryid_parse(value, &ms, &to->event.entry_seq, &has_seq, NULL) == SP_OK;
    }
    if (sp_str_eq(name, SP_STR("hash"))) {
        to->has_hash = read_hash(value, to->hash);
        return to->has_hash;
    }
    return true;
}

/* They stand at the object's own level, behind everything else. */
static bool read_assigned(struct sp_decoded *to, sp_str text) {
    struct sp_json json;
    sp_json_init(&json, text);
    (void)sp_json_next(&json);
    for (;;) {
        struct sp_json_token key = sp_json_next(&json);
        if (key.type != SP_JSON_KEY) {
            return key.type == SP_JSON_OBJECT_END;
        }
        struct sp_json_token value = sp_json_next(&json);
        (void)sp_json_skip(&json, value);
        if (!key.escaped && !take_assigned(to, key.raw, value.raw)) {
            return false;
        }
    }
}

sp_status sp_decode(struct sp_decoded *to, sp_str text, struct sp_error *error) {
    sp_buf_reset(&to->scratch);
    to->has_hash = false;
    sp_status status = sp_event_from_json(text, SP_EVENT_LENIENT, &to->scratch, &to->event, error);
    to->event.position = 0;
    to->event.version = 0;
    to->event.recorded_us = 0;
    to->event.entry_seq = 0;
    if (status == SP_OK && (!read_assigned(to, text) || to->event.position == 0)) {
        return sp_error_set(error, SP_INVALID, "what the server sent is no event of a log");
    }
    return status;
}
