/*
 * SPOOR.SCHEMA: the schemas that events are held to. loop-thread
 *
 *     SPOOR.SCHEMA ADD type version schema [MODE enforce|warn|off]
 *                  [COMPATIBILITY backward|forward|full|none]
 *     SPOOR.SCHEMA REMOVE type version
 *     SPOOR.SCHEMA GET type [version]
 *     SPOOR.SCHEMA LIST
 */
#include "engine/schemas.h"
#include "server/handlers.h"
#include "server/server.h"
#include "server/upcasting.h"

static bool read_options(struct sp_request *request, struct sp_schema_registration *registration) {
    for (uint32_t i = 5; i < request->argc; i += 2) {
        sp_str value = i + 1 < request->argc ? request->args[i + 1] : SP_STR("");
        bool good = false;
        if (sp_word_is(request->args[i], "mode")) {
            registration->has_mode = good = sp_schema_mode_read(value, &registration->mode);
        } else if (sp_word_is(request->args[i], "compatibility")) {
            registration->has_compatibility = good =
                sp_schema_compatibility_read(value, &registration->compatibility);
        }
        if (!good) {
            (void)sp_reply_error(request, "expected MODE enforce|warn|off or COMPATIBILITY "
                                          "backward|forward|full|none");
            return false;
        }
    }
    return true;
}

static void write_entry(struct sp_request *request, const struct sp_schema_entry *entry,
                        bool with_schema) {
    struct sp_resp_open open = sp_resp_open_bulk(request->reply, 256);
    sp_schema_entry_to_json(entry, with_schema, request->reply->to);
    sp_resp_close_bulk(request->reply, open);
}

enum sp_verdict sp_on_spoor_schema_add(struct sp_request *request) {
    struct sp_schema_registration registration = {
        .type = request->args[2], .version = request->args[3], .text = request->args[4]};
    struct sp_engine_result result;
    struct sp_error error;
    bool known = false;
    if (!read_options(request, &registration)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status =
        sp_engine_schema_add(request->server->engine, &registration, &known, &result, &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    request->appended = true;
    sp_upcasting_refresh(request->server);
    write_entry(request,
                sp_registry_find(sp_engine_schemas(request->server->engine), registration.type,
                                 registration.version),
                false);
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_schema_remove(struct sp_request *request) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_engine_schema_remove(request->server->engine, request->args[2],
                                               request->args[3], &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    request->appended = true;
    sp_upcasting_refresh(request->server);
    sp_resp_ok(request->reply);
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_schema_get(struct sp_request *request) {
    if (request->argc > 4) {
        return sp_reply_syntax(request);
    }
    const struct sp_schema_entry *entry =
        sp_registry_find(sp_engine_schemas(request->server->engine), request->args[2],
                         request->argc == 4 ? request->args[3] : SP_STR(""));
    if (entry == NULL) {
        sp_resp_null(request->reply);
    } else {
        write_entry(request, entry, true);
    }
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_schema_list(struct sp_request *request) {
    const struct sp_registry *registry = sp_engine_schemas(request->server->engine);
    uint32_t count = sp_registry_count(registry);
    struct sp_resp_open open = sp_resp_open_array(request->reply, count);
    for (uint32_t i = 0; i < count; i++) {
        write_entry(request, sp_registry_at(registry, i), false);
    }
    sp_resp_close(request->reply, open, count);
    return SP_DONE;
}
