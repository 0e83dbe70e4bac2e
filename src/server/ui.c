#include "server/ui.h"

#include "server/gzip.h"
#include "server/http_int.h"
#include "server/http_parts.h"

enum { PLAIN_BYTES_MAX = 16 << 20 };

/* The page's own files and connections, and nothing else from anywhere; no frame may hold it. */
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "              \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static const struct sp_ui_file *find(sp_str name) {
    for (const struct sp_ui_file *file = SP_UI_FILES; file->name != NULL; file++) {
        if (sp_str_eq(sp_str_from(file->name), name)) {
            return file;
        }
    }
    return NULL;
}

/* For the few clients that take no gzip. Empty where memory is out. */
static sp_str inflate(struct sp_http_request *request, const struct sp_ui_file *file) {
    struct sp_buf *plain = sp_http_scratch(request);
    struct sp_gunzip *gunzip = sp_gunzip_new();
    size_t used = 0;
    enum sp_gunzip_result result = SP_GUNZIP_NO_MEMORY;
    if (gunzip != NULL) {
        result = sp_gunzip_read(gunzip, sp_str_of(file->gzip, file->gzip_len), plain,
                                PLAIN_BYTES_MAX, &used);
    }
    sp_gunzip_free(gunzip);
    return result == SP_GUNZIP_END ? sp_buf_str(plain) : sp_str_of(NULL, 0);
}

static enum sp_http_verdict give(struct sp_http_request *request, const struct sp_ui_file *file) {
    const struct sp_http_pair fields[] = {
        {SP_STR("ETag"), sp_str_from(file->etag)},
        {SP_STR("Cache-Control"), SP_STR("no-cache")}, /* asked again, answered with 304 */
        {SP_STR("Content-Security-Policy"), sp_str_from(POLICY)},
        {SP_STR("X-Content-Type-Options"), SP_STR("nosniff")},
        {SP_STR("Referrer-Policy"), SP_STR("no-referrer")},
    };
    struct sp_http_reply reply = {
        .status = 200,
        .content_type = file->content_type,
        .fields = fields,
        .field_count = sizeof(fields) / sizeof(fields[0]),
    };
    if (sp_str_eq(sp_http_header(request, "if-none-match"), sp_str_from(file->etag))) {
        reply.status = 304;
        reply.content_type = NULL;
        return sp_http_reply(request, &reply);
    }
    reply.is_gzip = sp_http_takes_gzip(request);
    reply.body = reply.is_gzip ? sp_str_of(file->gzip, file->gzip_len) : inflate(request, file);
    return reply.body.len > 0 ? sp_http_reply(request, &reply)
                              : sp_http_refuse(request, 503, "no-memory", "out of memory");
}

static enum sp_http_verdict on_file(struct sp_http_request *request) {
    sp_str path = sp_str_from(request->route->path);
    sp_str name = sp_str_from_byte(path, sizeof("/ui/") - 1);
    const struct sp_ui_file *file = find(name.len > 0 ? name : SP_STR("index.html"));
    return file != NULL
               ? give(request, file)
               : sp_http_refuse(request, 404, "no-ui",
                                "this program was built without the dashboard: that takes Node.js "
                                "and the packages of ui/package.json (./dev build installs them)");
}

/* Relative, so that it also leads there behind a proxy that adds a path. */
static enum sp_http_verdict on_bare(struct sp_http_request *request) {
    const struct sp_http_pair field = {SP_STR("Location"), SP_STR("ui/")};
    const struct sp_http_reply reply = {.status = 308, .fields = &field, .field_count = 1};
    return sp_http_reply(request, &reply);
}

const struct sp_http_route sp_http_ui_routes[] = {
    {SP_HTTP_GET, "/ui", SP_HTTP_OPEN_TO_ALL, on_bare},
    {SP_HTTP_GET, "/ui/", SP_HTTP_OPEN_TO_ALL, on_file},
    {SP_HTTP_GET, "/ui/app.js", SP_HTTP_OPEN_TO_ALL, on_file},
    {SP_HTTP_GET, "/ui/app.css", SP_HTTP_OPEN_TO_ALL, on_file},
    {SP_HTTP_GET, "/ui/icon.svg", SP_HTTP_OPEN_TO_ALL, on_file},
    {.path = NULL},
};
