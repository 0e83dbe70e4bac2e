/*
 * Routes of the vocabulary: the event types that agents have in common. They are built in, so that
 * nothing here waits, reads the log or depends on what is stored.
 */
#include "match/pattern.h"
#include "schema/vocabulary.h"
#include "server/http.h"
#include "server/http_parts.h"

/* Selects by ?type=PATTERN, which may also be the name of a domain. */
static enum sp_http_verdict on_list(struct sp_http_request *request) {
    sp_str pattern;
    struct sp_error error;
    if (!sp_http_query(request, "type", &pattern)) {
        pattern = SP_STR("#");
    }
    if (sp_pattern_check(pattern, &error) != SP_OK) {
        return sp_http_refuse(request, 400, "invalid-query", "type: %s", error.text);
    }
    struct sp_buf *body = sp_http_scratch(request);
    sp_buf_add_byte(body, '[');
    for (size_t i = 0; i < sp_vocabulary_count(); i++) {
        const struct sp_vocabulary_type *type = sp_vocabulary_at(i);
        if (sp_vocabulary_matches(type, pattern)) {
            if (body->len > 1) {
                sp_buf_add_byte(body, ',');
            }
            sp_buf_add_str(body, sp_str_from(type->row));
        }
    }
    sp_buf_add_byte(body, ']');
    return sp_http_json(request, 200, sp_buf_str(body));
}

static const struct sp_vocabulary_type *find(struct sp_http_request *request) {
    return sp_vocabulary_find(sp_http_param(request, "type"));
}

static enum sp_http_verdict refuse_type(struct sp_http_request *request) {
    return sp_http_refuse(request, 404, "no-schema",
                          "there is no schema of the type %.*s; GET /v1/schemas lists all",
                          SP_STR_ARG(sp_http_param(request, "type")));
}

static enum sp_http_verdict on_type(struct sp_http_request *request) {
    const struct sp_vocabulary_type *type = find(request);
    return type != NULL ? sp_http_json(request, 200, sp_str_from(type->json))
                        : refuse_type(request);
}

static enum sp_http_verdict on_schema(struct sp_http_request *request) {
    const struct sp_vocabulary_type *type = find(request);
    if (type == NULL) {
        return refuse_type(request);
    }
    sp_str version = sp_http_param(request, "version");
    if (!sp_str_eq(version, sp_str_from(type->version))) {
        return sp_http_refuse(request, 404, "no-schema",
                              "there is no version %.*s of the schema of %s, only version %s",
                              SP_STR_ARG(version), type->type, type->version);
    }
    const struct sp_http_reply reply = {.status = 200,
                                        .content_type = "application/schema+json",
                                        .body = sp_str_from(type->schema)};
    return sp_http_reply(request, &reply);
}

const struct sp_http_route sp_http_schema_routes[] = {
    {SP_HTTP_GET, "/v1/schemas", 0, on_list},
    {SP_HTTP_GET, "/v1/schemas/{type}", 0, on_type},
    {SP_HTTP_GET, "/v1/schemas/{type}/{version}", 0, on_schema},
    {.path = NULL},
};
