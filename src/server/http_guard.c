/* Who may ask: passwords, and the origins of web pages. */
#include "base/base64.h"
#include "proto/http_write.h"
#include "server/http_int.h"

enum { CREDENTIALS_BYTES_MAX = 2048 };

/* ---- origins --------------------------------------------------------------------------------- */

/* True where cors-origins has the origin, or `*`. */
static bool is_listed(const struct sp_server *server, sp_str origin) {
    sp_str list = sp_settings_text(&server->settings, SP_SET_CORS_ORIGINS);
    while (list.len > 0) {
        const char *blank = memchr(list.ptr, ' ', list.len);
        size_t len = blank != NULL ? (size_t)(blank - list.ptr) : list.len;
        sp_str word = sp_str_of(list.ptr, len);
        if (sp_str_eq(word, SP_STR("*")) || sp_http_same(word, origin)) {
            return true;
        }
        list = sp_str_from_byte(list, blank != NULL ? len + 1 : len);
    }
    return false;
}

bool http_allows_origin(const struct sp_http_request *request) {
    sp_str origin = sp_http_header(request, "origin");
    return origin.len > 0 && is_listed(request->server, origin);
}

void http_add_cors(const struct sp_http_request *request, struct sp_buf *to) {
    if (sp_settings_text(&request->server->settings, SP_SET_CORS_ORIGINS).len == 0) {
        return;
    }
    sp_str origin = sp_http_header(request, "origin");
    sp_buf_add_str(to, SP_STR("Vary: Origin\r\n"));
    if (origin.len > 0 && is_listed(request->server, origin)) {
        sp_http_add_field(to, SP_STR("Access-Control-Allow-Origin"), origin);
        sp_buf_add_str(to, SP_STR("Access-Control-Expose-Headers: *\r\n"));
    }
}

/* A page that this server gave out itself: http://host or https://host. */
static bool is_own(const struct sp_http_request *request, sp_str origin) {
    sp_str host = sp_http_header(request, "host");
    const char *mark = origin.len > 0 ? memchr(origin.ptr, ':', origin.len) : NULL;
    size_t len = mark != NULL ? (size_t)(mark - origin.ptr) : origin.len;
    sp_str rest = sp_str_from_byte(origin, len);
    return sp_str_starts_with(rest, SP_STR("://")) && sp_http_same(sp_str_from_byte(rest, 3), host);
}

/*
 * A browser sends what a foreign page asks it to, also where the page may not read the answer: so
 * that no page changes anything here whose origin is not allowed to.
 */
static bool may_change(struct sp_http_request *request) {
    sp_str origin = sp_http_header(request, "origin");
    const unsigned safe = SP_HTTP_GET | SP_HTTP_HEAD | SP_HTTP_OPTIONS;
    if (origin.len == 0 || (request->head->method & safe) != 0 || is_own(request, origin) ||
        is_listed(request->server, origin)) {
        return true;
    }
    size_t shown = origin.len > 200 ? 200 : origin.len;
    (void)sp_http_refuse(request, 403, "origin-refused",
                         "pages of %.*s may not change anything: cors-origins does not list them",
                         (int)shown, origin.ptr);
    return false;
}

/* ---- passwords ------------------------------------------------------------------------------- */

/* The credentials behind the scheme; empty where it is another scheme. */
static sp_str behind(sp_str header, sp_str scheme) {
    bool fits = header.len > scheme.len && header.ptr[scheme.len] == ' ' &&
                sp_http_same(sp_str_of(header.ptr, scheme.len), scheme);
    if (!fits) {
        return sp_str_of(NULL, 0);
    }
    header = sp_str_from_byte(header, scheme.len);
    while (header.len > 0 && header.ptr[0] == ' ') {
        header = sp_str_from_byte(header, 1);
    }
    return header;
}

/* Basic: `default:password`, or without a user; as with AUTH there is one user. */
static bool knows_basic(const struct sp_server *server, sp_str credentials) {
    struct sp_buf plain;
    bool known = false;
    if (credentials.len == 0 || credentials.len > CREDENTIALS_BYTES_MAX) {
        return false;
    }
    sp_buf_init(&plain, CREDENTIALS_BYTES_MAX);
    if (sp_base64_decode(&plain, credentials) && plain.len > 0) {
        const uint8_t *colon = memchr(plain.data, ':', plain.len);
        size_t len = colon != NULL ? (size_t)(colon - plain.data) : 0;
        sp_str user = sp_str_of(plain.data, len);
        known = colon != NULL && (user.len == 0 || sp_str_eq(user, SP_STR("default"))) &&
                sp_server_password_is(server, sp_str_from_byte(sp_buf_str(&plain), len + 1));
    }
    sp_buf_fini(&plain);
    return known;
}

static bool knows_password(const struct sp_http_request *request) {
    sp_str header = sp_http_header(request, "authorization");
    sp_str token = behind(header, SP_STR("bearer"));
    return token.len > 0 ? sp_server_password_is(request->server, token)
                         : knows_basic(request->server, behind(header, SP_STR("basic")));
}

/* True where nobody needs a password, or nobody does for this path. */
static bool is_open(const struct sp_http_request *request) {
    const struct sp_http *http = request->server->http;
    if (sp_settings_text(&request->server->settings, SP_SET_PASSWORD).len == 0) {
        return true;
    }
    for (uint32_t i = 0; i < http->row_count; i++) {
        const struct sp_http_route *route = http->rows[i].route;
        if ((route->flags & SP_HTTP_OPEN_TO_ALL) != 0 &&
            sp_str_eq(sp_str_from(route->path), request->head->path)) {
            return true;
        }
    }
    return false;
}

/* A browser asks so before it sends a password along. */
static bool is_preflight(const struct sp_http_request *request) {
    return request->head->method == SP_HTTP_OPTIONS && http_allows_origin(request) &&
           sp_http_has_header(request, "access-control-request-method");
}

bool http_may_enter(struct sp_http_request *request) {
    if (!is_open(request) && !is_preflight(request) && !knows_password(request)) {
        bool tried = sp_http_has_header(request, "authorization");
        if (tried) {
            sp_say(&request->server->logger, SP_LEVEL_WARN, "wrong password",
                   SP_FIELD_NUMBER("client", request->connection->id),
                   SP_FIELD_TEXT("peer", sp_str_from(request->connection->peer)));
        }
        (void)sp_http_refuse(request, 401, "password-needed", "%s",
                             tried ? "this is not the password"
                                   : "send the password: Authorization: Bearer or Basic");
        return false;
    }
    return may_change(request);
}
