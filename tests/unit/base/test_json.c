#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/prng.h"
#include "base/scan.h"

/* A copy without a byte to spare, so that the sanitizer sees every read beyond the text. */
static sp_str exact_copy(const void *bytes, size_t len) {
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    return sp_str_of(copy, len);
}

static void free_copy(sp_str copy) {
    free((void *)(uintptr_t)copy.ptr);
}

/* Scans the text and writes one letter a token, so that a test reads as a picture. */
static void picture(const char *text, char *out, size_t size) {
    static const char LETTERS[] = "!{}[]ksntf0.";
    sp_str copy = exact_copy(text, strlen(text));
    struct sp_json json;
    sp_json_init(&json, copy);
    size_t at = 0;
    enum sp_json_type type;
    do {
        type = sp_json_next(&json).type;
        assert_true(at + 1 < size);
        out[at++] = LETTERS[type];
    } while (type != SP_JSON_END && type != SP_JSON_ERROR);
    out[at] = '\0';
    assert_int_equal(sp_json_next(&json).type, type); /* both are sticky */
    free_copy(copy);
}

static void tokens_come_in_order(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *tokens;
    } CASES[] = {
        {"{}", "{}."},
        {" [ ] ", "[]."},
        {"1", "n."},
        {"\"\"", "s."},
        {"null", "0."},
        {"{\"a\" : 1 , \"b\":[true,false,null]}", "{knk[tf0]}."},
        {"[[[]],{\"x\":{}}]", "[[[]]{k{}}]."},
        {"[1,]", "[n!"},
        {"[1 2]", "[n!"},
        {"{\"a\"}", "{!"},
        {"{\"a\":1,}", "{kn!"},
        {"{1:2}", "{!"},
        {"[}", "[!"},
        {"{]", "{!"},
        {"{\"a\":1]", "{kn!"},
        {"[1}", "[n!"},
        {"", "!"},
        {"  ", "!"},
        {"1 1", "n!"},
        {"01", "n!"},
        {"-", "!"},
        {"1.", "!"},
        {"1.5e", "!"},
        {"1.5e+", "!"},
        {".5", "!"},
        {"tru", "!"},
        {"nullx", "0!"},
        {"\"a", "!"},
        {"\"a\\", "!"},
        {"\"\\u12", "!"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        char tokens[64];
        picture(CASES[i].text, tokens, sizeof(tokens));
        assert_string_equal(tokens, CASES[i].tokens);
    }
}

static void tokens_borrow_their_bytes(void **state) {
    (void)state;
    sp_str text = SP_STR("{\"na\\u006de\": -12.5e3, \"s\": \"x y\"}");
    struct sp_json json;
    sp_json_init(&json, text);
    assert_int_equal(sp_json_next(&json).type, SP_JSON_OBJECT);
    struct sp_json_token key = sp_json_next(&json);
    assert_int_equal(key.type, SP_JSON_KEY);
    assert_true(key.escaped);
    assert_true(sp_str_eq(key.raw, SP_STR("na\\u006de")));
    assert_true(sp_json_equal(key, SP_STR("name")));
    assert_true(sp_str_eq(sp_json_next(&json).raw, SP_STR("-12.5e3")));
    key = sp_json_next(&json);
    assert_false(key.escaped);
    struct sp_json_token value = sp_json_next(&json);
    assert_int_equal(value.type, SP_JSON_STRING);
    assert_ptr_equal(value.raw.ptr, strstr(text.ptr, "x y"));
    assert_int_equal(sp_json_next(&json).type, SP_JSON_OBJECT_END);
    assert_int_equal(sp_json_next(&json).type, SP_JSON_END);
}

static void skip_returns_the_raw_value(void **state) {
    (void)state;
    static const char *const VALUES[] = {
        "{\"a\":[1,{\"b\":\"}\"}],\"c\":null}",
        "[ [ ] , [ 1 ] ]",
        "\"a\\\"b\"",
        "-0.5",
        "true",
        "false",
        "null",
        "{}",
        "\"\"",
    };
    for (size_t i = 0; i < sizeof(VALUES) / sizeof(VALUES[0]); i++) {
        struct sp_buf buf;
        sp_buf_init(&buf, 1024);
        sp_buf_add_str(&buf, SP_STR("{\"v\": "));
        sp_buf_add_str(&buf, sp_str_from(VALUES[i]));
        sp_buf_add_str(&buf, SP_STR(" , \"after\":1}"));
        struct sp_json json;
        sp_json_init(&json, sp_buf_str(&buf));
        (void)sp_json_next(&json);
        (void)sp_json_next(&json);
        sp_str raw = sp_json_skip(&json, sp_json_next(&json));
        assert_true(sp_str_eq(raw, sp_str_from(VALUES[i])));
        assert_true(sp_json_equal(sp_json_next(&json), SP_STR("after")));
        sp_buf_fini(&buf);
    }
}

static void skip_validates_what_it_passes(void **state) {
    (void)state;
    struct sp_json json;
    sp_json_init(&json, SP_STR("[{\"a\":[1,2,\"\\x\"]},3]"));
    (void)sp_json_next(&json);
    sp_str raw = sp_json_skip(&json, sp_json_next(&json));
    assert_int_equal(raw.len, 0);
    struct sp_error error;
    assert_int_equal(sp_json_fail(&json, &error), SP_INVALID);
    assert_int_equal(error.offset, 12);
}

static void errors_name_place_and_expectation(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t offset;
        const char *expectation;
        const char *found;
    } CASES[] = {
        {"{\"a\":}", 5, "expected a value", "found '}'"},
        {"[1,2", 4, "expected ',' or ']'", "found the end of the text"},
        {"{\"a\" 1}", 5, "expected ':'", "found '1'"},
        {"{a:1}", 1, "expected a key", "found 'a'"},
        {"\"a\nb\"", 2, "expected a closing quote", "found byte 0x0a"},
        {"\"a\\qb\"", 2, "expected an escape", "found '\\'"},
        {"\"\\u00g0\"", 1, "four hexadecimal digits", "found '\\'"},
        {"\"\\ud800x\"", 1, "expected a surrogate pair", "found '\\'"},
        {"\"\\udc00\"", 1, "expected a surrogate pair", "found '\\'"},
        {"\"abc\xff\"", 4, "expected well-formed UTF-8", "found byte 0xff"},
        {"\"abc\xc3\xa4\xe4\"", 6, "expected well-formed UTF-8", "found byte 0xe4"},
        {"[-a]", 2, "expected a digit", "found 'a'"},
        {"nul", 0, "expected true, false or null", "found 'n'"},
        {"{} x", 3, "expected nothing after the value", "found 'x'"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct sp_error error;
        assert_int_equal(sp_json_check(sp_str_from(CASES[i].text), &error), SP_INVALID);
        assert_int_equal(error.offset, CASES[i].offset);
        assert_non_null(strstr(error.text, CASES[i].expectation));
        assert_non_null(strstr(error.text, CASES[i].found));
        assert_int_equal(sp_json_check(sp_str_from(CASES[i].text), NULL), SP_INVALID);
    }
}

static void nesting_has_a_limit(void **state) {
    (void)state;
    char text[2 * (SP_JSON_DEPTH_MAX + 1)];
    for (size_t depth = SP_JSON_DEPTH_MAX; depth <= SP_JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct sp_error error;
        sp_status status = sp_json_check(sp_str_of(text, 2 * depth), &error);
        assert_int_equal(status, depth <= SP_JSON_DEPTH_MAX ? SP_OK : SP_INVALID);
    }
}

/* Objects and arrays in every mixture up to a depth that spans more than one word of bits. */
static void nesting_remembers_each_level(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(7);
    for (int round = 0; round < 200; round++) {
        struct sp_buf buf;
        sp_buf_init(&buf, 4096);
        char closers[200];
        size_t depth = 1 + sp_prng_below(&prng, sizeof(closers));
        for (size_t i = 0; i < depth; i++) {
            bool object = sp_prng_below(&prng, 2) == 1;
            sp_buf_add_str(&buf, object ? SP_STR("{\"k\":") : SP_STR("["));
            closers[i] = object ? '}' : ']';
        }
        sp_buf_add_byte(&buf, '1');
        size_t wrong = sp_prng_below(&prng, (uint32_t)(2 * depth));
        for (size_t i = depth; i > 0; i--) {
            char closer = closers[i - 1];
            bool spoil = i - 1 == wrong;
            sp_buf_add_byte(&buf, (uint8_t)(!spoil ? closer : closer == '}' ? ']' : '}'));
        }
        sp_status expected = wrong < depth ? SP_INVALID : SP_OK;
        assert_int_equal(sp_json_check(sp_buf_str(&buf), NULL), expected);
        sp_buf_fini(&buf);
    }
}

static void unescaped(const char *raw, const char *expected, size_t length) {
    struct sp_buf buf;
    sp_buf_init(&buf, 256);
    sp_json_unescape(&buf, sp_str_from(raw));
    assert_int_equal(buf.len, length);
    assert_memory_equal(buf.len > 0 ? buf.data : (const void *)"", expected, length);
    sp_buf_fini(&buf);
}

static void escapes_are_resolved(void **state) {
    (void)state;
    unescaped("", "", 0);
    unescaped("plain", "plain", 5);
    unescaped("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8);
    unescaped("a\\u0041b", "aAb", 3);
    unescaped("\\u0000", "\0", 1);
    unescaped("\\u00e4\\u20AC", "ä€", 5);
    unescaped("\\ud83d\\ude00", "😀", 4);
    unescaped("ä\\nö", "ä\nö", 5);
}

static void unescape_never_grows_beyond_the_raw_text(void **state) {
    (void)state;
    struct sp_buf buf;
    sp_buf_init(&buf, 6);
    sp_json_unescape(&buf, SP_STR("\\u20ac"));
    assert_int_equal(buf.status, SP_OK);
    sp_json_unescape(&buf, SP_STR("12345"));
    assert_int_equal(buf.status, SP_LIMIT);
    sp_buf_fini(&buf);
}

static int sign(int x) {
    return (x > 0) - (x < 0);
}

static int compared(const char *raw, const char *text) {
    struct sp_json_token token = {
        .type = SP_JSON_STRING, .escaped = strchr(raw, '\\') != NULL, .raw = sp_str_from(raw)};
    assert_int_equal(sp_json_equal(token, sp_str_from(text)),
                     sp_json_compare(token, sp_str_from(text)) == 0);
    return sign(sp_json_compare(token, sp_str_from(text)));
}

static void comparing_resolves_escapes(void **state) {
    (void)state;
    assert_int_equal(compared("abc", "abc"), 0);
    assert_int_equal(compared("ab\\u0063", "abc"), 0);
    assert_int_equal(compared("\\u0061bc", "abd"), -1);
    assert_int_equal(compared("\\u0061bc", "abb"), 1);
    assert_int_equal(compared("ab\\u0063", "ab"), 1);
    assert_int_equal(compared("a\\u0062", "abc"), -1);
    assert_int_equal(compared("\\u20ac", "€"), 0);
    assert_int_equal(compared("\\u20ac", "\xe2\x82"), 1);
    assert_int_equal(compared("\\ud83d\\ude00", "😀"), 0);
    assert_int_equal(compared("\\n", ""), 1);
    assert_int_equal(compared("", ""), 0);
}

static void strings_are_written_and_read_back(void **state) {
    (void)state;
    struct sp_buf buf;
    sp_buf_init(&buf, 1024);
    sp_json_add_string(&buf, SP_STR("a\"b\\c/\n\t\x01\x1f\x7f ä€😀"));
    assert_true(
        sp_str_eq(sp_buf_str(&buf), SP_STR("\"a\\\"b\\\\c/\\n\\t\\u0001\\u001f\x7f ä€😀\"")));
    sp_buf_reset(&buf);
    sp_json_add_string(&buf, sp_str_of(NULL, 0));
    assert_true(sp_str_eq(sp_buf_str(&buf), SP_STR("\"\"")));
    sp_buf_fini(&buf);

    struct sp_prng prng = sp_prng_seed(11);
    for (int round = 0; round < 2000; round++) {
        char text[96];
        size_t length = 0;
        while (length < 80 && sp_prng_below(&prng, 24) != 0) {
            uint32_t code = sp_prng_below(&prng, sp_prng_below(&prng, 3) == 0 ? 0xd800 : 0x80);
            length += sp_utf8_encode(code, text + length);
        }
        struct sp_buf written;
        struct sp_buf back;
        sp_buf_init(&written, 4096);
        sp_buf_init(&back, 4096);
        sp_json_add_string(&written, sp_str_of(text, length));
        assert_int_equal(sp_json_check(sp_buf_str(&written), NULL), SP_OK);
        sp_json_unescape(&back, sp_str_of(written.data + 1, written.len - 2));
        assert_true(sp_str_eq(sp_buf_str(&back), sp_str_of(text, length)));
        sp_buf_fini(&written);
        sp_buf_fini(&back);
    }
}

/* The definition, byte by byte, that the fast versions must agree with. */
static size_t plain_run(const char *text, size_t from, size_t length) {
    while (from < length && (uint8_t)text[from] >= 0x20 && (uint8_t)text[from] < 0x80 &&
           text[from] != '"' && text[from] != '\\') {
        from++;
    }
    return from;
}

static void fast_scans_agree_with_the_definition(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(3);
    static const uint8_t EDGES[] = {0x00, 0x1f, 0x20, 0x21, '"',  '#',
                                    '[',  '\\', ']',  0x7f, 0x80, 0xff};
    for (int round = 0; round < 20000; round++) {
        size_t length = sp_prng_below(&prng, 70);
        char bytes[70];
        memset(bytes, 'a', sizeof(bytes));
        for (uint32_t n = sp_prng_below(&prng, 4); n > 0 && length > 0; n--) {
            uint8_t edge = EDGES[sp_prng_below(&prng, sizeof(EDGES))];
            bytes[sp_prng_below(&prng, (uint32_t)length)] = (char)edge;
        }
        sp_str text = exact_copy(bytes, length);
        const char *end = text.ptr + length;
        const char *plain_end = text.ptr + plain_run(text.ptr, 0, length);
        assert_ptr_equal(sp_scan_plain(text.ptr, end), plain_end);
        assert_ptr_equal(sp_scan_plain_swar(text.ptr, end), plain_end);
        const char *ascii_end = text.ptr;
        while (ascii_end < end && (uint8_t)*ascii_end < 0x80) {
            ascii_end++;
        }
        assert_ptr_equal(sp_scan_ascii(text.ptr, end), ascii_end);
        assert_ptr_equal(sp_scan_ascii_swar(text.ptr, end), ascii_end);
        const char *visible_end = text.ptr;
        while (visible_end < end && visible_end[0] > ' ' && visible_end[0] != 0x7f) {
            visible_end++;
        }
        assert_ptr_equal(sp_scan_visible(text.ptr, end), visible_end);
        assert_ptr_equal(sp_scan_visible_swar(text.ptr, end), visible_end);
        free_copy(text);
    }
}

static void assert_one_verdict(sp_str text) {
    struct sp_json json;
    sp_json_init(&json, text);
    enum sp_json_type type;
    do {
        type = sp_json_next(&json).type;
    } while (type != SP_JSON_END && type != SP_JSON_ERROR);
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_json_check(text, &error);
    assert_int_equal(status, type == SP_JSON_END ? SP_OK : SP_INVALID);
    assert_true(status == SP_OK || error.offset == (uint64_t)(json.at - json.start));
}

/* Every single byte of a valid text replaced by every other byte, and every beginning of it: no
 * crash, and the same verdict from pulling tokens as from skipping the whole. */
static void mutations_get_one_verdict(void **state) {
    (void)state;
    static const char *const TEXTS[] = {
        "{\"a\\u00e9\":[1.5e-3,\"x\\n\xc3\xa4\",true,null],\"b\":{\"c\":\"\"}}",
        ("{\"task\":120,\"cost\":0.25,\"in\":{\"limit\":20, \"text\": \"more than sixteen bytes\"},"
         "\"e\":\"\",\"z\":0,\"last\":[{},{\"a\":\"b\"}]}"),
        "[{\"number\":10},{\"number\":3}]",
    };
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(*TEXTS); i++) {
        sp_str text = sp_str_from(TEXTS[i]);
        for (size_t at = 0; at < text.len; at++) {
            for (int byte = 0; byte < 256; byte++) {
                sp_str copy = exact_copy(text.ptr, text.len);
                ((char *)(uintptr_t)copy.ptr)[at] = (char)byte;
                assert_one_verdict(copy);
                free_copy(copy);
            }
        }
        for (size_t len = 0; len < text.len; len++) {
            sp_str copy = exact_copy(text.ptr, len);
            assert_one_verdict(copy);
            free_copy(copy);
        }
    }
}

static void prefixes_are_never_whole(void **state) {
    (void)state;
    static const char TEXT[] = "{\"a\":[1.5e-3,\"x\\n\xc3\xa4\\ud83d\\ude00\",true,false,null]}";
    for (size_t length = 0; length < sizeof(TEXT) - 1; length++) {
        sp_str copy = exact_copy(TEXT, length);
        assert_int_equal(sp_json_check(copy, NULL), SP_INVALID);
        free_copy(copy);
    }
    assert_int_equal(sp_json_check(SP_STR(TEXT), NULL), SP_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_come_in_order),
        cmocka_unit_test(tokens_borrow_their_bytes),
        cmocka_unit_test(skip_returns_the_raw_value),
        cmocka_unit_test(skip_validates_what_it_passes),
        cmocka_unit_test(errors_name_place_and_expectation),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(nesting_remembers_each_level),
        cmocka_unit_test(escapes_are_resolved),
        cmocka_unit_test(unescape_never_grows_beyond_the_raw_text),
        cmocka_unit_test(comparing_resolves_escapes),
        cmocka_unit_test(strings_are_written_and_read_back),
        cmocka_unit_test(fast_scans_agree_with_the_definition),
        cmocka_unit_test(mutations_get_one_verdict),
        cmocka_unit_test(prefixes_are_never_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
