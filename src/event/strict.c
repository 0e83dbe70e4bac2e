/* The grammars of RFC 3986 and RFC 2046 are read from left to right over sets of characters. */
#include "event/strict.h"

#include "base/json_escape.h"
#include "base/scan.h"
#include "base/time.h"
#include "base/utf8.h"

/* ---- characters ------------------------------------------------------------------------------ */

/* A set of ASCII characters, one bit each. */
struct set {
    uint64_t low; /* up to `?` */
    uint64_t high;
};

#define BIT(byte) (UINT64_C(1) << ((byte)&63))

#define DIGITS  UINT64_C(0x03ff000000000000)
#define LETTERS UINT64_C(0x07fffffe07fffffe)
/* The sub-delims of RFC 3986 and `-.:`, which stand in every part. */
#define MARKS                                                                                      \
    (BIT('!') | BIT('$') | BIT('&') | BIT('\'') | BIT('(') | BIT(')') | BIT('*') | BIT('+') |      \
     BIT(',') | BIT(';') | BIT('=') | BIT('-') | BIT('.') | BIT(':'))

static const struct set SCHEME = {.low = DIGITS | BIT('+') | BIT('-') | BIT('.'), .high = LETTERS};
static const struct set PATH = {.low = DIGITS | MARKS | BIT('/'),
                                .high = LETTERS | BIT('_') | BIT('~') | BIT('@')};
static const struct set QUERY = {.low = DIGITS | MARKS | BIT('/') | BIT('?'),
                                 .high = LETTERS | BIT('_') | BIT('~') | BIT('@')};
static const struct set LITERAL = {.low = DIGITS | MARKS, .high = LETTERS | BIT('_') | BIT('~')};
/* Visible ASCII but the tspecials of RFC 2045. */
static const struct set TOKEN = {
    .low = DIGITS | BIT('!') | BIT('#') | BIT('$') | BIT('%') | BIT('&') | BIT('\'') | BIT('*') |
           BIT('+') | BIT('-') | BIT('.'),
    .high = LETTERS | BIT('^') | BIT('_') | BIT('`') | BIT('{') | BIT('|') | BIT('}') | BIT('~'),
};

static inline bool has(struct set set, char byte) {
    uint8_t code = (uint8_t)byte;
    uint64_t half = code < 64 ? set.low : set.high;
    return code < 128 && (half >> (code & 63) & 1) != 0;
}

static bool is_alpha(char byte) {
    return (uint8_t)((byte | 0x20) - 'a') < 26;
}

/* ---- URIs ------------------------------------------------------------------------------------ */

struct uri {
    const char *at;
    const char *end;
};

/* Passes characters of the set, and escapes; false at a broken escape. */
static bool pass_chars(struct uri *uri, struct set set) {
    while (uri->at < uri->end) {
        if (*uri->at == '%') {
            if (uri->end - uri->at < 3 || sp_json_hex[(uint8_t)uri->at[1]] == 0 ||
                sp_json_hex[(uint8_t)uri->at[2]] == 0) {
                return false;
            }
            uri->at += 3;
        } else if (has(set, *uri->at)) {
            uri->at++;
        } else {
            break;
        }
    }
    return true;
}

/* True at the end of the part that stands before a path, query or fragment. */
static bool is_part_end(const struct uri *uri, const char *at) {
    return at == uri->end || *at == '/' || *at == '?' || *at == '#';
}

/* Passes a scheme and its colon; false where there is a colon and what stands before it is none. */
static bool pass_scheme(struct uri *uri, bool *ret_has) {
    const char *at = uri->at;
    while (at < uri->end && has(SCHEME, *at)) {
        at++;
    }
    *ret_has = at < uri->end && *at == ':' && is_alpha(*uri->at);
    if (*ret_has) {
        uri->at = at + 1;
        return true;
    }
    while (!is_part_end(uri, at) && *at != ':') {
        at++;
    }
    return is_part_end(uri, at);
}

/* Passes an address in brackets, `[::1]`, where one stands here. */
static bool pass_literal(struct uri *uri) {
    if (uri->at == uri->end || *uri->at != '[') {
        return true;
    }
    const char *from = ++uri->at;
    while (uri->at < uri->end && has(LITERAL, *uri->at)) {
        uri->at++;
    }
    if (uri->at == uri->end || *uri->at != ']' || uri->at == from) {
        return false;
    }
    uri->at++;
    return true;
}

/* Passes `//user@host:port`: the brackets of an address stand where the host begins. */
static bool pass_authority(struct uri *uri) {
    if (uri->end - uri->at < 2 || uri->at[0] != '/' || uri->at[1] != '/') {
        return true;
    }
    uri->at += 2;
    const char *host = uri->at;
    for (const char *c = host; !is_part_end(uri, c); c++) {
        host = *c == '@' ? c + 1 : host;
    }
    struct uri user = {.at = uri->at, .end = host == uri->at ? host : host - 1};
    if (!pass_chars(&user, LITERAL) || user.at != user.end) {
        return false;
    }
    uri->at = host;
    return pass_literal(uri) && pass_chars(uri, LITERAL) && is_part_end(uri, uri->at);
}

static bool read_uri(sp_str text, bool *ret_has_scheme) {
    *ret_has_scheme = false;
    if (text.len == 0) {
        return false;
    }
    struct uri uri = {.at = text.ptr, .end = text.ptr + text.len};
    if (!pass_scheme(&uri, ret_has_scheme) || !pass_authority(&uri) || !pass_chars(&uri, PATH)) {
        return false;
    }
    if (uri.at < uri.end && *uri.at == '?') {
        uri.at++;
        if (!pass_chars(&uri, QUERY)) {
            return false;
        }
    }
    if (uri.at < uri.end && *uri.at == '#') {
        uri.at++;
        if (!pass_chars(&uri, QUERY)) {
            return false;
        }
    }
    return uri.at == uri.end;
}

bool sp_uri_reference_valid(sp_str text) {
    bool has_scheme;
    return read_uri(text, &has_scheme);
}

bool sp_uri_valid(sp_str text) {
    bool has_scheme;
    return read_uri(text, &has_scheme) && has_scheme;
}

/* ---- media types ----------------------------------------------------------------------------- */

static const char *pass_token(const char *at, const char *end) {
    while (at < end && has(TOKEN, *at)) {
        at++;
    }
    return at;
}

static const char *pass_blanks(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\t')) {
        at++;
    }
    return at;
}

/* Behind a quoted string, NULL where it does not end. `at` is its opening quote. */
static const char *pass_quoted(const char *at, const char *end) {
    for (at++; at < end && *at != '"'; at++) {
        at += *at == '\\' ? 1 : 0;
    }
    return at < end ? at + 1 : NULL;
}

/* Behind `name=value`, NULL where there is none. */
static const char *pass_parameter(const char *at, const char *end) {
    const char *equals = pass_token(at, end);
    if (equals == at || equals == end || *equals != '=') {
        return NULL;
    }
    at = equals + 1;
    if (at < end && *at == '"') {
        return pass_quoted(at, end);
    }
    const char *after = pass_token(at, end);
    return after == at ? NULL : after;
}

bool sp_media_type_valid(sp_str text) {
    const char *at = text.ptr;
    const char *end = text.len == 0 ? at : at + text.len;
    const char *slash = pass_token(at, end);
    if (slash == at || slash == end || *slash != '/') {
        return false;
    }
    at = pass_token(slash + 1, end);
    if (at == slash + 1) {
        return false;
    }
    for (;;) {
        at = pass_blanks(at, end);
        if (at == end) {
            return true;
        }
        if (*at != ';') {
            return false;
        }
        at = pass_blanks(at + 1, end);
        if (at == end) { /* a semicolon behind the last, which many write */
            return true;
        }
        at = pass_parameter(at, end);
        if (at == NULL) {
            return false;
        }
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

enum { SHOWN_BYTES = 64 };

static sp_status wrong(sp_str name, sp_str value, const char *expected, struct sp_error *error) {
    size_t len = value.len > SHOWN_BYTES ? SHOWN_BYTES : value.len;
    while (len > 0 && len < value.len && ((uint8_t)value.ptr[len] & 0xc0) == 0x80) {
        len--; /* not within a character */
    }
    return sp_error_set(error, SP_INVALID, "attribute %.*s: found \"%.*s%s\", expected %s",
                        SP_STR_ARG(name), (int)len, len > 0 ? value.ptr : "",
                        len < value.len ? "..." : "", expected);
}

/* What a string must not hold, NULL where it is right. */
static const char *find_flaw(sp_str text, size_t *ret_offset) {
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; (at = sp_scan_visible(at, end)) < end;) {
        uint32_t code = 0;
        size_t length = sp_utf8_decode(at, end, &code);
        *ret_offset = (size_t)(at - text.ptr);
        if (length == 0) {
            return "bytes that are not UTF-8";
        }
        if (sp_utf8_is_control(code)) {
            return "a control character";
        }
        if (sp_utf8_is_noncharacter(code)) {
            return "a code point that is no character";
        }
        at += length;
    }
    return NULL;
}

static sp_status check_text(sp_str name, sp_str value, struct sp_error *error) {
    size_t offset = 0;
    const char *flaw = find_flaw(value, &offset);
    return flaw == NULL ? SP_OK
                        : sp_error_set_at(error, SP_INVALID, offset,
                                          "attribute %.*s: found %s at byte %zu, expected text",
                                          SP_STR_ARG(name), flaw, offset);
}

static sp_status say_empty(sp_str name, struct sp_error *error) {
    return sp_error_set(error, SP_INVALID, "attribute %.*s: found nothing, expected some text",
                        SP_STR_ARG(name));
}

static sp_status check_time(sp_str value, struct sp_error *error) {
    sp_status status = sp_time_check(value, false, error);
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "attribute time");
    }
    /* A blank for the T is somebody else's convention. */
    bool has_t = value.len > 10 && (value.ptr[10] | 0x20) == 't';
    return has_t ? SP_OK : wrong(SP_STR("time"), value, "a T between date and time", error);
}

sp_status sp_strict_check(enum sp_attr attr, sp_str value, struct sp_error *error) {
    sp_str name = sp_attr_name(attr);
    if (value.len == 0) {
        return say_empty(name, error);
    }
    sp_status status = check_text(name, value, error);
    if (status != SP_OK) {
        return status;
    }
    if (attr == SP_ATTR_SOURCE && !sp_uri_reference_valid(value)) {
        return wrong(name, value, "a URI-reference (RFC 3986)", error);
    }
    if (attr == SP_ATTR_CONTENTTYPE && !sp_media_type_valid(value)) {
        return wrong(name, value, "a media type such as text/plain", error);
    }
    return attr == SP_ATTR_TIME ? check_time(value, error) : SP_OK;
}

sp_status sp_strict_check_extension(sp_str name, sp_str value, struct sp_error *error) {
    bool is_schema = sp_str_eq(name, SP_STR("dataschema"));
    if (value.len == 0) {
        return is_schema || sp_str_eq(name, SP_STR("subject")) ? say_empty(name, error) : SP_OK;
    }
    sp_status status = check_text(name, value, error);
    if (status == SP_OK && is_schema && !sp_uri_valid(value)) {
        return wrong(name, value, "a URI with its scheme (RFC 3986)", error);
    }
    return status;
}

sp_status sp_strict_check_specversion(sp_str value, struct sp_error *error) {
    if (value.len == 0) {
        return say_empty(SP_STR("specversion"), error);
    }
    if (sp_str_eq(value, SP_STR("1.0"))) {
        return SP_OK;
    }
    sp_status status = check_text(SP_STR("specversion"), value, error);
    return status == SP_OK ? wrong(SP_STR("specversion"), value, "\"1.0\"", error) : status;
}
