/*
 * The JSON scanner on any bytes. Pulling every token, skipping the value as a whole, and skipping
 * at every depth must come to one verdict; a string must survive being unescaped and written again;
 * a number must compare equal to itself.
 */
#include "fuzz.h"

#include <math.h>

#include "base/json.h"

static void check_string(struct sp_json_token token) {
    struct sp_buf text;
    struct sp_buf written;
    struct sp_buf again;
    sp_buf_init(&text, 1 << 24);
    sp_buf_init(&written, 1 << 27);
    sp_buf_init(&again, 1 << 24);
    sp_json_unescape(&text, token.raw);
    sp_require(text.status == SP_OK && text.len <= token.raw.len);
    sp_require(sp_utf8_valid(sp_buf_str(&text)));
    sp_require(sp_json_compare(token, sp_buf_str(&text)) == 0);
    sp_json_add_string(&written, sp_buf_str(&text));
    sp_require(written.status == SP_OK && sp_json_check(sp_buf_str(&written), NULL) == SP_OK);
    sp_json_unescape(&again, sp_str_of(written.data + 1, written.len - 2));
    sp_require(sp_str_eq(sp_buf_str(&text), sp_buf_str(&again)));
    sp_buf_fini(&text);
    sp_buf_fini(&written);
    sp_buf_fini(&again);
}

/* Pulls every token; from `skip_depth` on values are passed as a whole. Returns the last type. */
static enum sp_json_type pull(sp_str text, uint32_t skip_depth) {
    struct sp_json json;
    sp_json_init(&json, text);
    for (;;) {
        struct sp_json_token token = sp_json_next(&json);
        switch (token.type) {
        case SP_JSON_OBJECT:
        case SP_JSON_ARRAY:
            if (json.depth >= skip_depth) {
                sp_str raw = sp_json_skip(&json, token);
                sp_require(raw.len == 0 || sp_json_check(raw, NULL) == SP_OK);
            }
            break;
        case SP_JSON_KEY:
        case SP_JSON_STRING:
            check_string(token);
            break;
        case SP_JSON_NUMBER:
            sp_require(!isnan(sp_json_number(token.raw)));
            sp_require(sp_json_compare_numbers(token.raw, token.raw) == 0);
            break;
        case SP_JSON_END:
        case SP_JSON_ERROR:
            sp_require(sp_json_next(&json).type == token.type);
            return token.type;
        case SP_JSON_OBJECT_END:
        case SP_JSON_ARRAY_END:
        case SP_JSON_TRUE:
        case SP_JSON_FALSE:
        case SP_JSON_NULL:
            break;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sp_str text = sp_str_of(data, size);
    struct sp_error error;
    enum sp_json_type verdict = sp_json_check(text, &error) == SP_OK ? SP_JSON_END : SP_JSON_ERROR;
    sp_require(verdict == SP_JSON_END || error.offset <= size);
    for (uint32_t depth = 1; depth <= 4; depth++) {
        sp_require(pull(text, depth) == verdict);
    }
    sp_require(pull(text, UINT32_MAX) == verdict);
    return 0;
}
