/*
 * The first line is a regular expression, the rest a text. The search takes no more steps than it
 * may, and finds the same whether the text comes as bytes or as a JSON string.
 */
#include "fuzz.h"

#include "base/json.h"
#include "match/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t len = end != NULL ? (size_t)(end - data) : size;
    sp_str text = end != NULL ? sp_str_of(end + 1, size - len - 1) : SP_STR("");
    struct sp_regex *regex = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_regex_compile(sp_str_of(data, len), &regex, &error) != SP_OK) {
        sp_require(error.text[0] != '\0' && error.offset <= len);
        return 0;
    }
    uint64_t steps = 0;
    bool found = sp_regex_search_counted(regex, text, false, &steps);
    uint64_t most = sp_regex_is_table(regex) ? 1 : SP_REGEX_PROGRAM_MAX;
    sp_require(steps <= most * (text.len + 1));
    (void)sp_regex_search(regex, text, true); /* as escapes that nobody has checked */
    if (sp_utf8_valid(text)) {
        struct sp_buf json;
        sp_buf_init(&json, 1 << 26);
        sp_json_add_string(&json, text);
        sp_require(json.status == SP_OK && json.len >= 2);
        sp_str inner = sp_str_of(json.data + 1, json.len - 2);
        sp_require(sp_regex_search(regex, inner, true) == found);
        sp_buf_fini(&json);
    }
    sp_regex_free(regex);
    return 0;
}
