/*
 * The scanner is a state machine with one state a token:
 *
 *     VALUE ──[──▶ VALUE_OR_END ──value──▶ COMMA_IN_ARRAY ──,──▶ value ─┐ (again COMMA_IN_ARRAY)
 *       │                └──]──▶ up              └──]──▶ up  ◀──────────┘
 *       ├──{──▶ KEY_OR_END ──key:──▶ VALUE ──value──▶ COMMA_IN_OBJECT ──, key:──▶ VALUE
 *       │                └──}──▶ up                          └──}──▶ up
 *       └─scalar─▶ the state kept in expect_after: COMMA_IN_ARRAY, COMMA_IN_OBJECT or END
 *
 * A comma is read with the element or key that follows it, a colon with the key before it. What can
 * go wrong leads to FAILED, which nothing leaves; json->at then stands on the first wrong byte.
 */
#include "base/json.h"

#include "base/json_escape.h"
#include "base/scan.h"

enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END,
    EXPECT_KEY_OR_END,
    EXPECT_COMMA_IN_ARRAY,
    EXPECT_COMMA_IN_OBJECT,
    EXPECT_END,
    EXPECT_FAILED,
};

static const char PROBLEM_VALUE[] = "expected a value";
static const char PROBLEM_VALUE_OR_END[] = "expected a value or ']'";
static const char PROBLEM_KEY[] = "expected a key in double quotes";
static const char PROBLEM_KEY_OR_END[] = "expected a key in double quotes or '}'";
static const char PROBLEM_COLON[] = "expected ':'";
static const char PROBLEM_COMMA_IN_ARRAY[] = "expected ',' or ']'";
static const char PROBLEM_COMMA_IN_OBJECT[] = "expected ',' or '}'";
static const char PROBLEM_END[] = "expected nothing after the value";
static const char PROBLEM_DEPTH[] = "expected fewer levels of nesting";
static const char PROBLEM_LITERAL[] = "expected true, false or null";
static const char PROBLEM_DIGIT[] = "expected a digit";
static const char PROBLEM_QUOTE[] = "expected a closing quote or a printable character";
static const char PROBLEM_UTF8[] = "expected well-formed UTF-8";
static const char PROBLEM_ESCAPE[] = "expected an escape of one of \"\\/bfnrtu";
static const char PROBLEM_HEX[] = "expected four hexadecimal digits";
static const char PROBLEM_SURROGATE[] = "expected a surrogate pair, a high half and then a low one";

void sp_json_init(struct sp_json *json, sp_str text) {
    sp_require(text.ptr != NULL || text.len == 0);
    const char *start = text.ptr != NULL ? text.ptr : "";
    json->start = start;
    json->at = start;
    json->end = start + text.len;
    json->problem = NULL;
    json->depth = 0;
    json->depth_max = SP_JSON_DEPTH_MAX;
    json->expect = EXPECT_VALUE;
    json->expect_after = EXPECT_END; /* is_object is set level by level */
}

/* Stops the scanner for good. */
static void stop(struct sp_json *json, const char *at, const char *problem) {
    sp_require(at >= json->start && at <= json->end && json->expect != EXPECT_FAILED);
    json->at = at;
    json->problem = problem;
    json->expect = EXPECT_FAILED;
}

/* Fills a token. Its fields are written one by one, for a copy of the whole would wait for them. */
static inline void put(struct sp_json_token *out, enum sp_json_type type, const char *from,
                       const char *to) {
    out->type = type;
    out->escaped = false;
    out->raw.ptr = from;
    out->raw.len = (size_t)(to - from);
}

static void failed(struct sp_json *json, struct sp_json_token *out, const char *at,
                   const char *problem) {
    stop(json, at, problem);
    put(out, SP_JSON_ERROR, at, at);
}

static inline const char *skip_space(const char *at, const char *end) {
    while (at < end && (uint8_t)*at <= ' ') {
        if (*at != ' ' && *at != '\n' && *at != '\t' && *at != '\r') {
            break;
        }
        at++;
    }
    return at;
}

/* The byte at `at`, or 0, which is nowhere allowed outside a string, at the end. */
static inline char peek(const struct sp_json *json, const char *at) {
    return at < json->end ? *at : '\0';
}

/* Passes the \u escape at `at`, of both halves where it writes a pair; NULL where it is none. */
static const char *pass_unicode(struct sp_json *json, const char *at) {
    sp_require(json->end - at >= 2 && at[0] == '\\' && at[1] == 'u');
    const char *end = json->end;
    uint32_t unit = end - at >= 6 ? sp_json_hex4(at + 2) : UINT32_MAX;
    if (unit == UINT32_MAX) {
        stop(json, at, PROBLEM_HEX);
        return NULL;
    }
    if ((unit & 0xfffff800) != 0xd800) {
        return at + 6;
    }
    bool paired = sp_json_is_high_surrogate(unit) && end - at >= 12 && at[6] == '\\' &&
                  at[7] == 'u' && sp_json_is_low_surrogate(sp_json_hex4(at + 8));
    if (!paired) {
        stop(json, at, PROBLEM_SURROGATE);
        return NULL;
    }
    return at + 12;
}

/* Passes one or more bytes that are not plain, `at` being the first; NULL where they are wrong. */
static const char *pass_special(struct sp_json *json, const char *at) {
    if (at == json->end || (uint8_t)*at < 0x20) {
        stop(json, at, PROBLEM_QUOTE);
        return NULL;
    }
    if (*at == '\\') {
        uint8_t letter = json->end - at >= 2 ? (uint8_t)at[1] : 0;
        if (letter == 'u') {
            return pass_unicode(json, at);
        }
        if (sp_json_escaped[letter] == 0) {
            stop(json, at, PROBLEM_ESCAPE);
            return NULL;
        }
        return at + 2;
    }
    do {
        uint32_t code = 0;
        size_t length = sp_utf8_decode(at, json->end, &code);
        if (length == 0) {
            stop(json, at, PROBLEM_UTF8);
            return NULL;
        }
        at += length;
    } while (at < json->end && (uint8_t)*at >= 0x80);
    return at;
}

/* Passes a string from behind its opening quote; returns its closing one, NULL on an error. */
static SP_ALWAYS_INLINE const char *pass_string(struct sp_json *json, const char *at,
                                                bool *ret_escaped) {
    bool escaped = false;
    for (;;) {
        sp_invariant(at <= json->end);
        at = sp_scan_plain(at, json->end);
        if (SP_LIKELY(at < json->end && *at == '"')) {
            *ret_escaped = escaped;
            return at;
        }
        escaped |= at < json->end && *at == '\\';
        at = pass_special(json, at);
        if (at == NULL) {
            return NULL;
        }
    }
}

static inline bool is_digit(char byte) {
    return (uint8_t)(byte - '0') < 10;
}

static inline const char *pass_digits(const char *at, const char *end) {
    while (at < end && is_digit(*at)) {
        at++;
    }
    return at;
}

/* Passes a fraction and an exponent where they follow an integer; NULL on an error. */
static const char *pass_fraction(struct sp_json *json, const char *at) {
    if (peek(json, at) == '.') {
        at++;
        if (!is_digit(peek(json, at))) {
            stop(json, at, PROBLEM_DIGIT);
            return NULL;
        }
        at = pass_digits(at, json->end);
    }
    if ((peek(json, at) | 0x20) == 'e') {
        at++;
        if (peek(json, at) == '+' || peek(json, at) == '-') {
            at++;
        }
        if (!is_digit(peek(json, at))) {
            stop(json, at, PROBLEM_DIGIT);
            return NULL;
        }
        at = pass_digits(at, json->end);
    }
    return at;
}

static SP_ALWAYS_INLINE void scan_number(struct sp_json *json, struct sp_json_token *out,
                                         const char *from) {
    const char *at = from + (*from == '-');
    char first = peek(json, at);
    if (!is_digit(first)) {
        failed(json, out, at, PROBLEM_DIGIT);
        return;
    }
    /* A zero stands alone: what follows it must not be a digit, and a digit is no separator. */
    at = first == '0' ? at + 1 : pass_digits(at + 1, json->end);
    char next = peek(json, at);
    if (next == '.' || (next | 0x20) == 'e') {
        at = pass_fraction(json, at);
        if (at == NULL) {
            put(out, SP_JSON_ERROR, json->at, json->at);
            return;
        }
    }
    json->at = at;
    json->expect = json->expect_after;
    put(out, SP_JSON_NUMBER, from, at);
}

static inline void scan_literal(struct sp_json *json, struct sp_json_token *out, const char *at,
                                enum sp_json_type type, sp_str word) {
    if ((size_t)(json->end - at) < word.len || memcmp(at, word.ptr, word.len) != 0) {
        failed(json, out, at, PROBLEM_LITERAL);
        return;
    }
    json->at = at + word.len;
    json->expect = json->expect_after;
    put(out, type, at, json->at);
}

static SP_ALWAYS_INLINE void scan_string(struct sp_json *json, struct sp_json_token *out,
                                         const char *quote) {
    bool escaped = false;
    const char *close = pass_string(json, quote + 1, &escaped);
    if (close == NULL) {
        put(out, SP_JSON_ERROR, json->at, json->at);
        return;
    }
    json->at = close + 1;
    json->expect = json->expect_after;
    put(out, SP_JSON_STRING, quote + 1, close);
    out->escaped = escaped;
}

/* Reads a key and the colon after it; `problem` is what to say where no key begins here. */
static SP_ALWAYS_INLINE void scan_key(struct sp_json *json, struct sp_json_token *out,
                                      const char *quote, const char *problem) {
    if (peek(json, quote) != '"') {
        failed(json, out, quote, problem);
        return;
    }
    bool escaped = false;
    const char *close = pass_string(json, quote + 1, &escaped);
    if (close == NULL) {
        put(out, SP_JSON_ERROR, json->at, json->at);
        return;
    }
    const char *colon = skip_space(close + 1, json->end);
    if (peek(json, colon) != ':') {
        failed(json, out, colon, PROBLEM_COLON);
        return;
    }
    json->at = colon + 1;
    json->expect = EXPECT_VALUE;
    put(out, SP_JSON_KEY, quote + 1, close);
    out->escaped = escaped;
}

static inline void scan_open(struct sp_json *json, struct sp_json_token *out, const char *at,
                             bool object) {
    uint32_t level = json->depth;
    sp_invariant(json->depth_max <= SP_JSON_DEPTH_MAX);
    if (level >= json->depth_max) {
        failed(json, out, at, PROBLEM_DEPTH);
        return;
    }
    uint64_t bit = UINT64_C(1) << (level % 64);
    uint64_t *word = &json->is_object[level / 64];
    *word = object ? *word | bit : *word & ~bit;
    json->depth = level + 1;
    json->at = at + 1;
    json->expect = object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
    json->expect_after = object ? EXPECT_COMMA_IN_OBJECT : EXPECT_COMMA_IN_ARRAY;
    put(out, object ? SP_JSON_OBJECT : SP_JSON_ARRAY, at, at + 1);
}

/* Reads the closing bracket at `at`, or says that something else was expected. */
static inline void scan_close(struct sp_json *json, struct sp_json_token *out, const char *at,
                              char bracket, const char *problem) {
    if (peek(json, at) != bracket) {
        failed(json, out, at, problem);
        return;
    }
    sp_invariant(json->depth > 0);
    uint32_t level = --json->depth;
    if (level == 0) {
        json->expect_after = EXPECT_END;
    } else {
        bool inside = (json->is_object[(level - 1) / 64] >> ((level - 1) % 64) & 1) != 0;
        json->expect_after = inside ? EXPECT_COMMA_IN_OBJECT : EXPECT_COMMA_IN_ARRAY;
    }
    json->at = at + 1;
    json->expect = json->expect_after;
    put(out, bracket == '}' ? SP_JSON_OBJECT_END : SP_JSON_ARRAY_END, at, at + 1);
}

static inline void scan_end(struct sp_json *json, struct sp_json_token *out, const char *at) {
    if (at < json->end) {
        failed(json, out, at, PROBLEM_END);
        return;
    }
    sp_ensure(json->depth == 0);
    json->at = at;
    put(out, SP_JSON_END, at, at);
}

/* Reads whatever value begins at `at`; `problem` is what to say where none does. */
static SP_ALWAYS_INLINE void scan_value(struct sp_json *json, struct sp_json_token *out,
                                        const char *at, const char *problem) {
    char first = peek(json, at);
    if (SP_LIKELY(first == '"')) {
        scan_string(json, out, at);
    } else if (first == '-' || is_digit(first)) {
        scan_number(json, out, at);
    } else if (first == '{' || first == '[') {
        scan_open(json, out, at, first == '{');
    } else if (first == 't') {
        scan_literal(json, out, at, SP_JSON_TRUE, SP_STR("true"));
    } else if (first == 'f') {
        scan_literal(json, out, at, SP_JSON_FALSE, SP_STR("false"));
    } else if (first == 'n') {
        scan_literal(json, out, at, SP_JSON_NULL, SP_STR("null"));
    } else {
        failed(json, out, at, problem);
    }
}

/* Reads one token. Inlined, so that a caller in a loop keeps no more of it than it needs. */
static SP_ALWAYS_INLINE void step(struct sp_json *json, struct sp_json_token *out) {
    const char *at = skip_space(json->at, json->end);
    const char *problem = PROBLEM_VALUE;
    bool key = false;
    switch ((enum expect)json->expect) {
    case EXPECT_VALUE:
        break;
    case EXPECT_COMMA_IN_OBJECT:
        if (peek(json, at) != ',') {
            scan_close(json, out, at, '}', PROBLEM_COMMA_IN_OBJECT);
            return;
        }
        at = skip_space(at + 1, json->end);
        problem = PROBLEM_KEY;
        key = true;
        break;
    case EXPECT_COMMA_IN_ARRAY:
        if (peek(json, at) != ',') {
            scan_close(json, out, at, ']', PROBLEM_COMMA_IN_ARRAY);
            return;
        }
        at = skip_space(at + 1, json->end);
        break;
    case EXPECT_KEY_OR_END:
        if (peek(json, at) == '}') {
            scan_close(json, out, at, '}', PROBLEM_KEY_OR_END);
            return;
        }
        problem = PROBLEM_KEY_OR_END;
        key = true;
        break;
    case EXPECT_VALUE_OR_END:
        if (peek(json, at) == ']') {
            scan_close(json, out, at, ']', PROBLEM_VALUE_OR_END);
            return;
        }
        problem = PROBLEM_VALUE_OR_END;
        break;
    case EXPECT_END:
        scan_end(json, out, at);
        return;
    case EXPECT_FAILED:
        put(out, SP_JSON_ERROR, json->at, json->at);
        return;
    }
    if (key) {
        scan_key(json, out, at, problem);
    } else {
        scan_value(json, out, at, problem);
    }
}

SP_HOT struct sp_json_token sp_json_next(struct sp_json *json) {
    struct sp_json_token out;
    step(json, &out);
    return out;
}

/*
 * The functions below read ahead without asking for the end, for the text's last byte is none that
 * they pass: `last`, where it is, is a closing bracket.
 */

/* Behind a string of plain bytes alone; NULL where none begins here. */
static SP_ALWAYS_INLINE const char *pass_plain_string(const char *at, const char *last) {
    if (*at != '"') {
        return NULL;
    }
    at = sp_scan_plain(at + 1, last);
    return SP_LIKELY(*at == '"') ? at + 1 : NULL;
}

static SP_ALWAYS_INLINE const char *pass_plain_digits(const char *at) {
    while (is_digit(*at)) {
        at++;
    }
    return at;
}

/* Behind a number without sign and exponent; NULL where none begins here. */
static SP_ALWAYS_INLINE const char *pass_plain_number(const char *at) {
    const char *after = pass_plain_digits(at);
    if (after == at || (*at == '0' && after != at + 1)) {
        return NULL;
    }
    if (*after == '.') {
        const char *fraction = after + 1;
        after = pass_plain_digits(fraction);
        return after == fraction ? NULL : after;
    }
    return after;
}

/*
 * Passes members of the innermost object while they are as most of them are: strings without
 * escapes, simple numbers, no space but one behind colon and comma. It stops before the first that
 * is otherwise, be it wrong or not: that is for the scanner to say.
 */
static inline void pass_plain_members(struct sp_json *json) {
    const char *at = json->at;
    const char *last = json->end - 1;
    if (at >= last || (*last != '}' && *last != ']')) {
        return;
    }
    bool first = json->expect == EXPECT_KEY_OR_END;
    while (first || *at == ',') {
        const char *from = first ? at : at + 1;
        const char *key_end = pass_plain_string(from + (*from == ' '), last);
        if (key_end == NULL || *key_end != ':') {
            break;
        }
        const char *value = key_end + 1 + (key_end[1] == ' ');
        const char *after =
            *value == '"' ? pass_plain_string(value, last) : pass_plain_number(value);
        if (after == NULL || (*after != ',' && *after != '}')) {
            break;
        }
        at = after;
        first = false;
    }
    json->at = at;
    json->expect = first ? EXPECT_KEY_OR_END : EXPECT_COMMA_IN_OBJECT;
}

SP_HOT sp_str sp_json_skip_nested(struct sp_json *json, const char *open) {
    sp_require(json->depth > 0 && (*open == '{' || *open == '['));
    uint32_t outside = json->depth - 1;
    while (json->depth > outside) {
        struct sp_json_token out;
        if (json->expect == EXPECT_KEY_OR_END || json->expect == EXPECT_COMMA_IN_OBJECT) {
            pass_plain_members(json);
        }
        step(json, &out);
        if (SP_UNLIKELY(out.type == SP_JSON_ERROR)) {
            return sp_str_of(NULL, 0);
        }
    }
    sp_ensure(json->at > open);
    return sp_str_of(open, (size_t)(json->at - open));
}

sp_status sp_json_fail(const struct sp_json *json, struct sp_error *error) {
    sp_require(json->expect == EXPECT_FAILED && json->problem != NULL);
    uint64_t offset = (uint64_t)(json->at - json->start);
    if (json->at == json->end) {
        return sp_error_set_at(error, SP_INVALID, offset,
                               "byte %llu: %s, found the end of the text",
                               (unsigned long long)offset, json->problem);
    }
    uint8_t byte = (uint8_t)*json->at;
    if (byte >= 0x20 && byte < 0x7f) {
        return sp_error_set_at(error, SP_INVALID, offset, "byte %llu: %s, found '%c'",
                               (unsigned long long)offset, json->problem, byte);
    }
    return sp_error_set_at(error, SP_INVALID, offset, "byte %llu: %s, found byte 0x%02x",
                           (unsigned long long)offset, json->problem, byte);
}

sp_status sp_json_check(sp_str text, struct sp_error *error) {
    enum sp_json_type type;
    return sp_json_check_value(text, SP_JSON_DEPTH_MAX, &type, error);
}

SP_HOT sp_status sp_json_check_value(sp_str text, uint32_t depth_max, enum sp_json_type *ret_type,
                                     struct sp_error *error) {
    struct sp_json json;
    sp_json_init(&json, text);
    json.depth_max = depth_max;
    struct sp_json_token first = sp_json_next(&json);
    (void)sp_json_skip(&json, first);
    bool whole = json.expect == EXPECT_END && json.at == json.end; /* no space behind it */
    if (!whole && sp_json_next(&json).type != SP_JSON_END) {
        return sp_json_fail(&json, error);
    }
    *ret_type = first.type;
    return SP_OK;
}
