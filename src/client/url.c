#include "client/url.h"

#include <stdio.h>
#include <string.h>

static size_t scheme_len(sp_str text) {
    size_t at = 0;
    while (at < text.len &&
           ((text.ptr[at] >= 'a' && text.ptr[at] <= 'z') ||
            (text.ptr[at] >= 'A' && text.ptr[at] <= 'Z') ||
            (at > 0 && strchr("0123456789+-.", text.ptr[at]) != NULL && text.ptr[at] != '\0'))) {
        at++;
    }
    return at;
}

bool sp_url_is(sp_str text) {
    size_t len = scheme_len(text);
    return len > 0 && sp_str_starts_with(sp_str_from_byte(text, len), SP_STR("://"));
}

/* Where a byte stands first, or the length. */
static size_t find(sp_str text, char byte) {
    const char *found = text.len > 0 ? memchr(text.ptr, byte, text.len) : NULL;
    return found != NULL ? (size_t)(found - text.ptr) : text.len;
}

static sp_status read_scheme(sp_str scheme, struct sp_url *url, const char **ret_port,
                             struct sp_error *error) {
    static const struct {
        const char *name;
        const char *port; /* NULL: over TLS */
        bool is_http;
    } SCHEMES[] = {
        {"http", "7380", true}, {"redis", "7379", false}, {"spoor", "7379", false},
        {"https", NULL, true},  {"rediss", NULL, false},  {"spoors", NULL, false},
    };
    for (size_t i = 0; i < sizeof(SCHEMES) / sizeof(*SCHEMES); i++) {
        if (!sp_str_eq(scheme, sp_str_from(SCHEMES[i].name))) {
            continue;
        }
        if (SCHEMES[i].port == NULL) {
            return sp_error_set(error, SP_UNSUPPORTED,
                                "%s:// is not built in: there is no TLS, use http:// or redis:// "
                                "through a tunnel",
                                SCHEMES[i].name);
        }
        url->is_http = SCHEMES[i].is_http;
        *ret_port = SCHEMES[i].port;
        return SP_OK;
    }
    return sp_error_set(error, SP_INVALID, "found %.*s://, expected http://, redis:// or spoor://",
                        SP_STR_ARG(scheme));
}

static int hex_value(char digit) {
    const char *digits = "0123456789abcdef";
    char lower = digit >= 'A' && digit <= 'F' ? (char)(digit | 0x20) : digit;
    const char *found = lower != '\0' ? strchr(digits, lower) : NULL;
    return found != NULL ? (int)(found - digits) : -1;
}

/* Copies a part, %XX resolved. */
static sp_status copy_part(sp_str text, const char *name, char to[SP_URL_PART_SIZE],
                           struct sp_error *error) {
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int byte = (uint8_t)text.ptr[i];
        if (text.ptr[i] == '%') {
            int high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;
            byte = high < 0 || low < 0 ? -1 : high << 4 | low;
            i += 2;
        }
        if (byte <= 0 || len + 1 == SP_URL_PART_SIZE) {
            return sp_error_set(error, SP_INVALID,
                                byte <= 0 ? "the URL's %s: expected %% and two hexadecimal digits"
                                          : "the URL's %s is too long",
                                name);
        }
        to[len++] = (char)byte;
    }
    to[len] = '\0';
    return SP_OK;
}

static sp_status read_user(sp_str text, struct sp_url *url, struct sp_error *error) {
    size_t colon = find(text, ':');
    sp_status status = SP_OK;
    if (colon > 0) {
        status = copy_part(sp_str_of(text.ptr, colon), "user", url->user, error);
    }
    if (status == SP_OK && colon < text.len) {
        url->has_password = true;
        status = copy_part(sp_str_from_byte(text, colon + 1), "password", url->password, error);
    }
    return status;
}

static sp_status read_port(sp_str text, struct sp_url *url, struct sp_error *error) {
    unsigned port = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool digit = text.ptr[i] >= '0' && text.ptr[i] <= '9';
        port = digit && port <= 65535 ? port * 10 + (unsigned)(text.ptr[i] - '0') : 65536;
    }
    if (text.len == 0 || port == 0 || port > 65535) {
        return sp_error_set(error, SP_INVALID, "the URL's port: found '%.*s', expected 1 to 65535",
                            SP_STR_ARG(text));
    }
    (void)snprintf(url->port, sizeof(url->port), "%u", port);
    return SP_OK;
}

/* `host`, `host:port`, `[::1]:port`. */
static sp_status read_host(sp_str text, struct sp_url *url, struct sp_error *error) {
    bool brackets = text.len > 0 && text.ptr[0] == '[';
    size_t end = brackets ? find(text, ']') : find(text, ':');
    size_t behind = brackets && end < text.len ? end + 1 : end;
    sp_str host = brackets ? sp_str_of(text.ptr + 1, end - 1) : sp_str_of(text.ptr, end);
    bool ended = behind == text.len || text.ptr[behind] == ':';
    if (host.len == 0 || host.len >= sizeof(url->host) || !ended || (brackets && end == text.len)) {
        return sp_error_set(error, SP_INVALID, "the URL's host: found '%.*s', expected host:port",
                            SP_STR_ARG(text));
    }
    memcpy(url->host, host.ptr, host.len);
    url->host[host.len] = '\0';
    return behind < text.len ? read_port(sp_str_from_byte(text, behind + 1), url, error) : SP_OK;
}

sp_status sp_url_parse(sp_str text, struct sp_url *ret_url, struct sp_error *error) {
    struct sp_url url = {.user = "default"};
    const char *port = NULL;
    size_t len = scheme_len(text);
    if (!sp_url_is(text)) {
        return sp_error_set(error, SP_INVALID, "not a URL, as http://127.0.0.1:7380 is one");
    }
    sp_status status = read_scheme(sp_str_of(text.ptr, len), &url, &port, error);
    if (status != SP_OK) {
        return status;
    }
    (void)snprintf(url.port, sizeof(url.port), "%s", port);
    sp_str rest = sp_str_from_byte(text, len + 3);
    rest.len = find(rest, '/');
    size_t at = rest.len; /* the last @: passwords may hold one */
    while (at > 0 && rest.ptr[at - 1] != '@') {
        at--;
    }
    if (at > 0) {
        status = read_user(sp_str_of(rest.ptr, at - 1), &url, error);
    }
    status = status == SP_OK ? read_host(sp_str_from_byte(rest, at), &url, error) : status;
    if (status != SP_OK) {
        return status;
    }
    bool colons = strchr(url.host, ':') != NULL;
    (void)snprintf(url.shown, sizeof(url.shown), "%.*s://%s%s%s:%s", (int)len, text.ptr,
                   colons ? "[" : "", url.host, colons ? "]" : "", url.port);
    *ret_url = url;
    return SP_OK;
}
