#include "base/json.h"
#include "base/json_escape.h"
#include "base/scan.h"

const uint8_t sp_json_escaped[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
};

const uint8_t sp_json_hex[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

const char *sp_json_type_name(enum sp_json_type type) {
    switch (type) {
    case SP_JSON_ERROR:
        return "no JSON";
    case SP_JSON_OBJECT:
    case SP_JSON_OBJECT_END:
        return "an object";
    case SP_JSON_ARRAY:
    case SP_JSON_ARRAY_END:
        return "an array";
    case SP_JSON_KEY:
        return "a key";
    case SP_JSON_STRING:
        return "a string";
    case SP_JSON_NUMBER:
        return "a number";
    case SP_JSON_TRUE:
        return "true";
    case SP_JSON_FALSE:
        return "false";
    case SP_JSON_NULL:
        return "null";
    case SP_JSON_END:
        return "nothing";
    }
    sp_never();
}

/* Resolves and passes the escape at *at, which the scanner has found valid; returns its length. */
static size_t resolve(const char **at, char decoded[SP_UTF8_SEQUENCE_MAX]) {
    const char *escape = *at;
    uint8_t simple = sp_json_escaped[(uint8_t)escape[1]];
    if (simple != 0) {
        decoded[0] = (char)simple;
        *at = escape + 2;
        return 1;
    }
    sp_require(escape[1] == 'u');
    uint32_t code = sp_json_hex4(escape + 2);
    *at = escape + 6;
    if (sp_json_is_high_surrogate(code)) {
        uint32_t low = sp_json_hex4(escape + 8);
        sp_require(sp_json_is_low_surrogate(low));
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        *at = escape + 12;
    }
    return sp_utf8_encode(code, decoded);
}

/* The next stretch of text in [*at, end): a run without escapes as it lies there, or one escape. */
static sp_str next_piece(const char **at, const char *end, char decoded[SP_UTF8_SEQUENCE_MAX]) {
    const char *from = *at;
    sp_require(from < end);
    if (*from == '\\') {
        size_t length = resolve(at, decoded);
        sp_ensure(*at <= end);
        return sp_str_of(decoded, length);
    }
    const char *to = memchr(from, '\\', (size_t)(end - from));
    *at = to != NULL ? to : end;
    return sp_str_of(from, (size_t)(*at - from));
}

void sp_json_unescape(struct sp_buf *to, sp_str raw) {
    /* An escape is never shorter than what it stands for. */
    uint8_t *out = raw.len == 0 ? NULL : sp_buf_reserve(to, raw.len);
    if (out == NULL) {
        return;
    }
    const char *at = raw.ptr;
    const char *end = raw.ptr + raw.len;
    size_t written = 0;
    while (at < end) {
        char decoded[SP_UTF8_SEQUENCE_MAX];
        sp_str piece = next_piece(&at, end, decoded);
        memcpy(out + written, piece.ptr, piece.len);
        written += piece.len;
    }
    sp_ensure(written <= raw.len);
    sp_buf_advance(to, written);
}

int sp_json_compare(struct sp_json_token token, sp_str text) {
    if (!token.escaped) {
        return sp_str_cmp(token.raw, text);
    }
    const char *at = token.raw.ptr;
    const char *end = at + token.raw.len;
    while (at < end) {
        char decoded[SP_UTF8_SEQUENCE_MAX];
        sp_str piece = next_piece(&at, end, decoded);
        size_t shared = piece.len < text.len ? piece.len : text.len;
        int order = shared == 0 ? 0 : memcmp(piece.ptr, text.ptr, shared);
        if (order != 0) {
            return order;
        }
        if (shared < piece.len) {
            return 1;
        }
        text = sp_str_from_byte(text, shared);
    }
    return text.len == 0 ? 0 : -1;
}

/* Writes the escape of a quote, a backslash or a control character; returns its length, 2 or 6. */
static size_t escape(uint8_t byte, char to[6]) {
    static const char LETTERS[] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                   ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
    static const char HEX[16] = "0123456789abcdef";
    sp_require(byte < sizeof(LETTERS));
    to[0] = '\\';
    if (LETTERS[byte] != 0) {
        to[1] = LETTERS[byte];
        return 2;
    }
    memcpy(to + 1, "u00", 3);
    to[4] = HEX[byte >> 4];
    to[5] = HEX[byte & 15];
    return 6;
}

void sp_json_add_string(struct sp_buf *to, sp_str text) {
    const char *at = text.ptr;
    const char *end = text.len == 0 ? text.ptr : text.ptr + text.len;
    const char *from = at; /* what is not written yet */
    sp_buf_add_byte(to, '"');
    while (at < end) {
        at = sp_scan_plain(at, end);
        if (at == end) {
            break;
        }
        if ((uint8_t)*at >= 0x80) {
            at++;
            continue;
        }
        char escaped[6];
        size_t length = escape((uint8_t)*at, escaped);
        sp_buf_add(to, from, (size_t)(at - from));
        sp_buf_add(to, escaped, length);
        from = ++at;
    }
    sp_buf_add(to, from, (size_t)(at - from));
    sp_buf_add_byte(to, '"');
}
