/*
 * Schemas: over a folder an append to their stream, over a server a command of it.
 */
#include "api/api_int.h"
#include "engine/schemas.h"

enum { DATA_BYTES_MAX = 2 * SP_SCHEMA_BYTES_MAX };

/* ---- over a folder --------------------------------------------------------------------------- */

/* Appends the event, and waits for it as for any. */
static spoor_status append(spoor *store, const char *type,
                           const struct sp_schema_registration *registration,
                           spoor_error *ret_error) {
    struct sp_buf data;
    struct sp_error error;
    sp_error_clear(&error);
    sp_buf_init(&data, DATA_BYTES_MAX);
    sp_schema_registration_write(registration, &data);
    spoor_status status = SPOOR_OK;
    if (data.status != SP_OK) {
        sp_status failed = sp_error_set(&error, data.status, "the schema is too large");
        status = api_error(failed, &error, ret_error);
    } else {
        spoor_event event = {.size = sizeof(event)};
        event.type = spoor_text(type);
        event.source = spoor_text("spoor");
        event.stream = spoor_text(SP_SCHEMAS_STREAM);
        event.data = (spoor_str){.ptr = (const char *)data.data, .len = data.len};
        status = api_append_own(store, &event, ret_error);
    }
    sp_buf_fini(&data);
    return status;
}

static sp_status read_words(const char *mode, const char *compatibility,
                            struct sp_schema_registration *registration, struct sp_error *error) {
    registration->has_mode = mode != NULL;
    registration->has_compatibility = compatibility != NULL;
    if (mode != NULL && !sp_schema_mode_read(sp_str_from(mode), &registration->mode)) {
        return sp_error_set(error, SP_INVALID, "mode: expected enforce, warn or off, found %s",
                            mode);
    }
    if (compatibility != NULL &&
        !sp_schema_compatibility_read(sp_str_from(compatibility), &registration->compatibility)) {
        return sp_error_set(error, SP_INVALID,
                            "compatibility: expected backward, forward, full or none, found %s",
                            compatibility);
    }
    return SP_OK;
}

static spoor_status add_to_folder(spoor *store, struct sp_schema_registration *registration,
                                  spoor_error *ret_error) {
    struct sp_error error;
    bool known = false;
    sp_error_clear(&error);
    api_lock(store);
    sp_status status =
        sp_registry_try(sp_engine_schemas(store->engine), registration, &known, &error);
    api_unlock(store);
    if (status != SP_OK || known) {
        return api_error(status, &error, ret_error);
    }
    return append(store, "schema.registered", registration, ret_error);
}

static sp_status get_from_folder(spoor *store, const char *type, const char *version,
                                 struct sp_buf *text) {
    api_lock(store);
    const struct sp_schema_entry *entry =
        sp_registry_find(sp_engine_schemas(store->engine), sp_str_from(type), sp_str_from(version));
    if (entry != NULL) {
        sp_schema_entry_to_json(entry, true, text);
    }
    api_unlock(store);
    return entry != NULL ? SP_OK : SP_NOT_FOUND;
}

/* By index: what changes meanwhile may be missed, nothing is shown that is not there. */
static sp_status list_folder(spoor *store, spoor_text_fn *each, void *context,
                             struct sp_buf *text) {
    const struct sp_registry *registry = sp_engine_schemas(store->engine);
    for (uint32_t i = 0;; i++) {
        api_lock(store);
        bool there = i < sp_registry_count(registry);
        if (there) {
            sp_buf_reset(text);
            sp_schema_entry_to_json(sp_registry_at(registry, i), false, text);
        }
        api_unlock(store);
        if (!there || text->status != SP_OK) {
            return text->status;
        }
        each(context, (const char *)text->data, text->len);
    }
}

/* ---- over a server --------------------------------------------------------------------------- */

static sp_status ask(spoor *store, const sp_str *args, size_t argc, struct sp_error *error) {
    struct sp_answer answer;
    sp_status status = sp_client_call(store->client, args, argc, 0, &answer, error);
    if (status == SP_OK) {
        sp_answer_fini(&answer);
    }
    return status;
}

static sp_status add_to_server(spoor *store, const struct sp_schema_registration *registration,
                               const char *mode, const char *compatibility,
                               struct sp_error *error) {
    sp_str args[9] = {SP_STR("SPOOR.SCHEMA"), SP_STR("ADD"), registration->type,
                      registration->version, registration->text};
    size_t count = 5;
    if (mode != NULL) {
        args[count++] = SP_STR("MODE");
        args[count++] = sp_str_from(mode);
    }
    if (compatibility != NULL) {
        args[count++] = SP_STR("COMPATIBILITY");
        args[count++] = sp_str_from(compatibility);
    }
    return ask(store, args, count, error);
}

static sp_status get_from_server(spoor *store, const char *type, const char *version,
                                 spoor_text_fn *take, void *context, struct sp_error *error) {
    const sp_str args[] = {SP_STR("SPOOR.SCHEMA"), SP_STR("GET"), sp_str_from(type),
                           sp_str_from(version)};
    struct sp_answer answer;
    sp_status status =
        sp_client_call(store->client, args, version != NULL ? 4 : 3, 0, &answer, error);
    if (status != SP_OK) {
        return status;
    }
    sp_str text = sp_answer_text(sp_answer_node(&answer));
    if (text.ptr != NULL) {
        take(context, text.ptr, text.len);
    }
    sp_answer_fini(&answer);
    return text.ptr != NULL ? SP_OK : SP_NOT_FOUND;
}

static sp_status list_server(spoor *store, spoor_text_fn *each, void *context,
                             struct sp_error *error) {
    const sp_str args[] = {SP_STR("SPOOR.SCHEMA"), SP_STR("LIST")};
    struct sp_answer answer;
    sp_status status = sp_client_call(store->client, args, 2, 0, &answer, error);
    if (status != SP_OK) {
        return status;
    }
    const struct sp_reply_node *list = sp_answer_node(&answer);
    const struct sp_reply_node *at = sp_reply_child(list);
    for (uint32_t i = 0; list->kind == SP_REPLY_ARRAY && i < list->count;
         i++, at = sp_reply_next(at)) {
        sp_str text = sp_answer_text(at);
        if (text.ptr != NULL) {
            each(context, text.ptr, text.len);
        }
    }
    sp_answer_fini(&answer);
    return SP_OK;
}

/* ---- either ---------------------------------------------------------------------------------- */

spoor_status spoor_schema_add(spoor *store, const char *type, const char *version,
                              const char *schema, const char *mode, const char *compatibility,
                              spoor_error *ret_error) {
    struct sp_error error;
    struct sp_schema_registration registration = {
        .type = sp_str_from(type), .version = sp_str_from(version), .text = sp_str_from(schema)};
    sp_error_clear(&error);
    sp_status status =
        type != NULL && version != NULL && schema != NULL
            ? read_words(mode, compatibility, &registration, &error)
            : sp_error_set(&error, SP_INVALID, "a schema is registered with its type and version");
    if (status == SP_OK && store->client == NULL) {
        return add_to_folder(store, &registration, ret_error);
    }
    if (status == SP_OK) {
        status = add_to_server(store, &registration, mode, compatibility, &error);
    }
    return api_error(status, &error, ret_error);
}

spoor_status spoor_schema_remove(spoor *store, const char *type, const char *version,
                                 spoor_error *ret_error) {
    struct sp_error error;
    const struct sp_schema_registration removed = {.type = sp_str_from(type),
                                                   .version = sp_str_from(version)};
    sp_error_clear(&error);
    if (store->client == NULL) {
        return append(store, "schema.removed", &removed, ret_error);
    }
    const sp_str args[] = {SP_STR("SPOOR.SCHEMA"), SP_STR("REMOVE"), removed.type, removed.version};
    return api_error(ask(store, args, 4, &error), &error, ret_error);
}

spoor_status spoor_schema_get(spoor *store, const char *type, const char *version,
                              spoor_text_fn *take, void *context, spoor_error *ret_error) {
    struct sp_error error;
    struct sp_buf text;
    sp_error_clear(&error);
    sp_buf_init(&text, DATA_BYTES_MAX);
    sp_status status = store->client == NULL
                           ? get_from_folder(store, type, version, &text)
                           : get_from_server(store, type, version, take, context, &error);
    if (status == SP_NOT_FOUND) {
        status = sp_error_set(&error, status, "no schema of %s%s%s is registered", type,
                              version != NULL ? " version " : "", version != NULL ? version : "");
    } else if (status == SP_OK && store->client == NULL) {
        status = text.status == SP_OK ? SP_OK : sp_error_set(&error, text.status, "schema");
        if (status == SP_OK) {
            take(context, (const char *)text.data, text.len);
        }
    }
    sp_buf_fini(&text);
    return api_error(status, &error, ret_error);
}

spoor_status spoor_schemas(spoor *store, spoor_text_fn *each, void *context,
                           spoor_error *ret_error) {
    struct sp_error error;
    struct sp_buf text;
    sp_error_clear(&error);
    sp_buf_init(&text, DATA_BYTES_MAX);
    sp_status status = store->client == NULL ? list_folder(store, each, context, &text)
                                             : list_server(store, each, context, &error);
    sp_buf_fini(&text);
    return api_error(status, &error, ret_error);
}
