/*
 * Routes of schemas: those that are registered, which events are held to, and the vocabulary that
 * is built in, which nothing is held to until it is registered.
 *
 *     GET    /v1/schemas?type=…&of=registered|builtin
 *     GET    /v1/schemas/{type}
 *     GET    /v1/schemas/{type}/{version}
 *     PUT    /v1/schemas/{type}/{version}?mode=…&compatibility=…     the schema; without a body the
 *                                                 one that is there, or the vocabulary's
 *     DELETE /v1/schemas/{type}/{version}
 */
#include "base/json.h"
#include "engine/schemas.h"
#include "match/pattern.h"
#include "schema/vocabulary.h"
#include "server/http.h"
#include "server/http_parts.h"
#include "server/upcasting.h"

static struct sp_registry *registry_of(struct sp_http_request *request) {
    return sp_engine_schemas(request->server->engine);
}

static void add_comma(struct sp_buf *body) {
    if (body->len > 1) {
        sp_buf_add_byte(body, ',');
    }
}

static void list_registered(struct sp_http_request *request, sp_str pattern, struct sp_buf *body) {
    const struct sp_registry *registry = registry_of(request);
    for (uint32_t i = 0; i < sp_registry_count(registry); i++) {
        const struct sp_schema_entry *entry = sp_registry_at(registry, i);
        if (sp_pattern_match(pattern, entry->type)) {
            add_comma(body);
            sp_schema_entry_to_json(entry, false, body);
        }
    }
}

static void list_builtin(sp_str pattern, struct sp_buf *body) {
    for (size_t i = 0; i < sp_vocabulary_count(); i++) {
        const struct sp_vocabulary_type *type = sp_vocabulary_at(i);
        if (sp_vocabulary_matches(type, pattern)) {
            add_comma(body);
            sp_buf_add_str(body, sp_str_from(type->row));
        }
    }
}

/*
 * Selects by ?type=PATTERN, which may also be the name of a domain, and by ?of=registered or
 * builtin. What is registered comes first, and has a mode.
 */
static enum sp_http_verdict on_list(struct sp_http_request *request) {
    sp_str pattern;
    sp_str of;
    struct sp_error error;
    if (!sp_http_query(request, "type", &pattern)) {
        pattern = SP_STR("#");
    }
    if (sp_pattern_check(pattern, &error) != SP_OK) {
        return sp_http_refuse(request, 400, "invalid-query", "type: %s", error.text);
    }
    bool chosen = sp_http_query(request, "of", &of);
    bool registered = chosen && sp_str_eq(of, SP_STR("registered"));
    bool builtin = chosen && sp_str_eq(of, SP_STR("builtin"));
    if (chosen && !registered && !builtin) {
        return sp_http_refuse(request, 400, "invalid-query",
                              "of: expected registered or builtin, found %.*s", SP_STR_ARG(of));
    }
    struct sp_buf *body = sp_http_scratch(request);
    sp_buf_add_byte(body, '[');
    if (!builtin) {
        list_registered(request, pattern, body);
    }
    if (!registered) {
        list_builtin(pattern, body);
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

/* {"type", "versions": [newest last], "schema": of the newest, "vocabulary": {…} or absent}. */
static enum sp_http_verdict reply_registered(struct sp_http_request *request,
                                             const struct sp_schema_entry *newest) {
    const struct sp_registry *registry = registry_of(request);
    const struct sp_vocabulary_type *builtin = find(request);
    struct sp_buf *body = sp_http_scratch(request);
    sp_buf_add_str(body, SP_STR("{\"type\":"));
    sp_json_add_string(body, newest->type);
    sp_buf_add_str(body, SP_STR(",\"versions\":["));
    bool first = true;
    for (uint32_t i = 0; i < sp_registry_count(registry); i++) {
        const struct sp_schema_entry *entry = sp_registry_at(registry, i);
        if (sp_str_eq(entry->type, newest->type)) {
            if (!first) {
                sp_buf_add_byte(body, ',');
            }
            sp_schema_entry_to_json(entry, false, body);
            first = false;
        }
    }
    sp_buf_add_str(body, SP_STR("],\"version\":"));
    sp_json_add_string(body, newest->version);
    sp_buf_add_str(body, SP_STR(",\"schema\":"));
    sp_buf_add_str(body, newest->text);
    if (builtin != NULL) {
        sp_buf_add_str(body, SP_STR(",\"vocabulary\":"));
        sp_buf_add_str(body, sp_str_from(builtin->json));
    }
    sp_buf_add_byte(body, '}');
    return sp_http_json(request, 200, sp_buf_str(body));
}

static enum sp_http_verdict on_type(struct sp_http_request *request) {
    const struct sp_schema_entry *newest =
        sp_registry_find(registry_of(request), sp_http_param(request, "type"), SP_STR(""));
    if (newest != NULL) {
        return reply_registered(request, newest);
    }
    const struct sp_vocabulary_type *type = find(request);
    return type != NULL ? sp_http_json(request, 200, sp_str_from(type->json))
                        : refuse_type(request);
}

static enum sp_http_verdict reply_schema(struct sp_http_request *request, sp_str text) {
    const struct sp_http_reply reply = {
        .status = 200, .content_type = "application/schema+json", .body = text};
    return sp_http_reply(request, &reply);
}

static enum sp_http_verdict on_schema(struct sp_http_request *request) {
    sp_str version = sp_http_param(request, "version");
    sp_str name = sp_http_param(request, "type");
    const struct sp_schema_entry *entry = sp_registry_find(registry_of(request), name, version);
    if (entry != NULL) {
        return reply_schema(request, entry->text);
    }
    const struct sp_vocabulary_type *type = find(request);
    const struct sp_schema_entry *other = sp_registry_find(registry_of(request), name, SP_STR(""));
    if (type == NULL && other == NULL) {
        return refuse_type(request);
    }
    if (type != NULL && sp_str_eq(version, sp_str_from(type->version))) {
        return reply_schema(request, sp_str_from(type->schema));
    }
    if (other != NULL) {
        return sp_http_refuse(request, 404, "no-schema",
                              "there is no version %.*s of the schema of %.*s, the newest is %.*s",
                              SP_STR_ARG(version), SP_STR_ARG(name), SP_STR_ARG(other->version));
    }
    return sp_http_refuse(request, 404, "no-schema",
                          "there is no version %.*s of the schema of %s, only version %s",
                          SP_STR_ARG(version), type->type, type->version);
}

/* ---- registering ----------------------------------------------------------------------------- */

/* False where a problem was written. */
static bool read_options(struct sp_http_request *request,
                         struct sp_schema_registration *registration) {
    sp_str mode;
    sp_str compatibility;
    if (sp_http_query(request, "mode", &mode)) {
        registration->has_mode = sp_schema_mode_read(mode, &registration->mode);
        if (!registration->has_mode) {
            (void)sp_http_refuse(request, 400, "invalid",
                                 "mode: expected enforce, warn or off, found %.*s",
                                 SP_STR_ARG(mode));
            return false;
        }
    }
    if (sp_http_query(request, "compatibility", &compatibility)) {
        registration->has_compatibility =
            sp_schema_compatibility_read(compatibility, &registration->compatibility);
        if (!registration->has_compatibility) {
            (void)sp_http_refuse(request, 400, "invalid",
                                 "compatibility: expected backward, forward, full or none, found "
                                 "%.*s",
                                 SP_STR_ARG(compatibility));
            return false;
        }
    }
    return true;
}

/* Without a body: the schema that is registered, else the vocabulary's. */
static sp_str known_text(struct sp_http_request *request,
                         const struct sp_schema_registration *registration) {
    const struct sp_schema_entry *entry =
        sp_registry_find(registry_of(request), registration->type, registration->version);
    const struct sp_vocabulary_type *builtin = sp_vocabulary_find(registration->type);
    bool fits = builtin != NULL && sp_str_eq(registration->version, sp_str_from(builtin->version));
    return entry != NULL ? entry->text : fits ? sp_str_from(builtin->schema) : SP_STR("");
}

static enum sp_http_verdict refuse_schema(struct sp_http_request *request, sp_status status,
                                          const struct sp_error *error) {
    bool of_schema = status == SP_INVALID || status == SP_UNSUPPORTED;
    if (!of_schema && status != SP_CONFLICT) {
        return status == SP_NOT_FOUND ? sp_http_refuse(request, 404, "no-schema", "%s", error->text)
                                      : sp_http_refuse_status(request, status, error);
    }
    const struct sp_http_member members[] = {
        {.name = "byte", .kind = SP_HTTP_NUMBER, .number = error->offset}};
    const struct sp_http_problem problem = {
        .status = of_schema ? 400 : 409,
        .type = of_schema ? "invalid-schema" : "incompatible-schema",
        .detail = sp_str_from(error->text),
        .members = members,
        .member_count = of_schema ? 1 : 0,
    };
    return sp_http_problem(request, &problem);
}

static enum sp_http_verdict on_put(struct sp_http_request *request) {
    struct sp_schema_registration registration = {.type = sp_http_param(request, "type"),
                                                  .version = sp_http_param(request, "version"),
                                                  .text = request->body};
    if (!read_options(request, &registration)) {
        return SP_HTTP_DONE;
    }
    if (registration.text.len == 0) {
        registration.text = known_text(request, &registration);
    }
    if (registration.text.len == 0) {
        return sp_http_refuse(request, 400, "invalid-schema",
                              "the body is empty, expected a JSON Schema");
    }
    struct sp_engine_result result;
    struct sp_error error;
    bool known = false;
    sp_error_clear(&error);
    bool was_there =
        sp_registry_find(registry_of(request), registration.type, registration.version) != NULL;
    sp_status status =
        sp_engine_schema_add(request->server->engine, &registration, &known, &result, &error);
    if (status != SP_OK) {
        return refuse_schema(request, status, &error);
    }
    request->appended = true;
    sp_upcasting_refresh(request->server);
    struct sp_buf *body = sp_http_scratch(request);
    sp_schema_entry_to_json(
        sp_registry_find(registry_of(request), registration.type, registration.version), false,
        body);
    return sp_http_json(request, was_there ? 200 : 201, sp_buf_str(body));
}

static enum sp_http_verdict on_delete(struct sp_http_request *request) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status =
        sp_engine_schema_remove(request->server->engine, sp_http_param(request, "type"),
                                sp_http_param(request, "version"), &error);
    if (status != SP_OK) {
        return refuse_schema(request, status, &error);
    }
    request->appended = true;
    sp_upcasting_refresh(request->server);
    return sp_http_nothing(request);
}

const struct sp_http_route sp_http_schema_routes[] = {
    {SP_HTTP_GET, "/v1/schemas", 0, on_list},
    {SP_HTTP_GET, "/v1/schemas/{type}", 0, on_type},
    {SP_HTTP_GET, "/v1/schemas/{type}/{version}", 0, on_schema},
    {SP_HTTP_PUT, "/v1/schemas/{type}/{version}", SP_HTTP_WRITE, on_put},
    {SP_HTTP_DELETE, "/v1/schemas/{type}/{version}", SP_HTTP_WRITE, on_delete},
    {.path = NULL},
};
