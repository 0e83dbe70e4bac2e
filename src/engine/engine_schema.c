/* Schemas in the path of an append, and their fold; see schemas.h. */
#include <stdlib.h>

#include "engine/engine_int.h"
#include "engine/query.h"
#include "engine/schemas.h"

enum { DATA_BYTES_MAX = 2 * SP_SCHEMA_BYTES_MAX };

#define REFUSAL_NUMBERS (UINT64_C(1) << 62) /* beyond any position in a text */

struct engine_schemas {
    struct sp_registry *registry;
    struct sp_registry_change *change; /* of the append under way */
    uint64_t refusals;                 /* so far; they number the errors, so that this is of: */
    struct sp_schema_refusal refusal;
    sp_engine_warn_fn *warn;
    void *warn_context;
};

static const sp_str STREAM = {.ptr = SP_SCHEMAS_STREAM, .len = sizeof(SP_SCHEMAS_STREAM) - 1};

/* ---- opening ---- */

static sp_status fold(struct sp_engine *engine, const struct sp_event *event,
                      struct sp_error *error) {
    struct sp_registry_change *change = NULL;
    struct sp_registry *registry = engine->schemas->registry;
    sp_status status =
        sp_registry_prepare(registry, event->attr[SP_ATTR_TYPE], event->data, true, &change, error);
    if (change != NULL) {
        sp_registry_commit(registry, change, event->position);
    }
    /* What makes no sense was refused when it was appended; the store opens all the same. */
    return status == SP_NO_MEMORY ? status : SP_OK;
}

static sp_status load(struct sp_engine *engine, struct sp_error *error) {
    const sp_str types[] = {SP_STR("schema.*")};
    const struct sp_query query = {.types = types, .type_count = 1, .stream = STREAM};
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    sp_status status = sp_cursor_open(engine, &query, &cursor, error);
    while (status == SP_OK) {
        status = sp_cursor_next(cursor, &event, error);
        status = status == SP_OK ? fold(engine, event, error) : status;
    }
    sp_cursor_close(cursor);
    return status == SP_END ? SP_OK : sp_error_prefix(error, status, "schemas");
}

sp_status engine_schemas_open(struct sp_engine *engine, struct sp_error *error) {
    engine->schemas = calloc(1, sizeof(*engine->schemas));
    if (engine->schemas != NULL) {
        engine->schemas->registry = sp_registry_new();
    }
    if (engine->schemas == NULL || engine->schemas->registry == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "schemas");
    }
    if (sp_streams_find(&engine->core.streams, sp_stream_hash(STREAM), STREAM) == UINT32_MAX) {
        return SP_OK;
    }
    struct sp_guard *guard = engine->guard; /* nobody else is there yet */
    engine->guard = NULL;
    sp_status status = load(engine, error);
    engine->guard = guard;
    engine->schema_count = sp_registry_count(engine->schemas->registry);
    return status;
}

void engine_schemas_close(struct sp_engine *engine) {
    if (engine->schemas != NULL) {
        sp_registry_forget(engine->schemas->change);
        sp_registry_free(engine->schemas->registry);
        free(engine->schemas);
    }
}

/* ---- appends ---- */

static sp_status prepare_change(struct sp_engine *engine, const struct sp_event *event,
                                uint32_t count, struct sp_error *error) {
    struct engine_schemas *schemas = engine->schemas;
    sp_str type = event->attr[SP_ATTR_TYPE];
    bool concerns =
        sp_str_eq(type, SP_STR("schema.registered")) || sp_str_eq(type, SP_STR("schema.removed"));
    if (!concerns) {
        return SP_OK;
    }
    if (count > 1) {
        return sp_error_set(error, SP_INVALID,
                            "a schema is registered in an append of its own, not among %u events",
                            count);
    }
    sp_str data = event->has_data ? event->data : SP_STR("");
    sp_require(schemas->change == NULL);
    return sp_registry_prepare(schemas->registry, type, data, false, &schemas->change, error);
}

sp_status engine_schema_event(struct sp_engine *engine, const struct sp_event *event,
                              uint32_t index, uint32_t count, struct sp_error *error) {
    struct engine_schemas *schemas = engine->schemas;
    if (event->attr[SP_ATTR_STREAM].ptr[0] == '$') {
        return sp_str_eq(event->attr[SP_ATTR_STREAM], STREAM)
                   ? prepare_change(engine, event, count, error)
                   : SP_OK;
    }
    sp_status status = sp_registry_check(schemas->registry, event, &schemas->refusal);
    if (status == SP_OK) {
        return SP_OK;
    }
    if (status != SP_INVALID) {
        return sp_error_set(error, status, "schema: %s", sp_status_text(status));
    }
    schemas->refusal.event = index;
    if (!schemas->refusal.enforced) {
        if (schemas->warn != NULL) {
            schemas->warn(schemas->warn_context, &schemas->refusal);
        }
        return SP_OK;
    }
    (void)sp_schema_refusal_say(&schemas->refusal, error);
    schemas->refusals++;
    if (error != NULL) {
        error->offset = REFUSAL_NUMBERS + schemas->refusals;
    }
    return count > 1 ? sp_error_prefix(error, status, "event %u", index + 1) : status;
}

void engine_schema_settle(struct sp_engine *engine, uint64_t position) {
    struct engine_schemas *schemas = engine->schemas;
    if (schemas->change != NULL && position != 0) {
        sp_registry_commit(schemas->registry, schemas->change, position);
        engine->schema_count = sp_registry_count(schemas->registry);
    } else {
        sp_registry_forget(schemas->change);
    }
    schemas->change = NULL;
}

bool engine_schema_waits(const struct sp_engine *engine) {
    return engine->schemas->change != NULL;
}

/* ---- from outside ---- */

struct sp_registry *sp_engine_schemas(struct sp_engine *engine) {
    return engine->schemas->registry;
}

const struct sp_schema_refusal *sp_engine_refusal(const struct sp_engine *engine,
                                                  const struct sp_error *error) {
    const struct engine_schemas *schemas = engine->schemas;
    bool is_of = error->status == SP_INVALID && schemas->refusals > 0 &&
                 error->offset == REFUSAL_NUMBERS + schemas->refusals;
    return is_of ? &schemas->refusal : NULL;
}

void sp_engine_on_schema_warning(struct sp_engine *engine, sp_engine_warn_fn *warn, void *context) {
    engine->schemas->warn = warn;
    engine->schemas->warn_context = context;
}

static sp_status append(struct sp_engine *engine, const char *type,
                        const struct sp_schema_registration *registration,
                        struct sp_engine_result *ret_result, struct sp_error *error) {
    struct sp_buf data;
    struct sp_event *event = calloc(1, sizeof(*event));
    sp_buf_init(&data, DATA_BYTES_MAX);
    sp_schema_registration_write(registration, &data);
    sp_status status = event == NULL ? SP_NO_MEMORY : data.status;
    if (status != SP_OK) {
        (void)sp_error_set(error, status, "schema");
    } else {
        event->has_data = true;
        event->data_is_json = true;
        event->data = sp_buf_str(&data);
        event->attr[SP_ATTR_TYPE] = sp_str_from(type);
        event->attr[SP_ATTR_SOURCE] = SP_STR("spoor");
        event->attr[SP_ATTR_STREAM] = STREAM;
        const struct sp_engine_append append = {
            .events = event, .count = 1, .origin = SP_EVENT_FROM_FIELDS, .results = ret_result};
        status = sp_engine_submit(engine, &append, error);
    }
    free(event);
    sp_buf_fini(&data);
    return status;
}

/* The next entry from *at on whose event is gone. */
static const struct sp_schema_entry *next_dropped(const struct sp_engine *engine, uint32_t *at) {
    const struct sp_registry *registry = engine->schemas->registry;
    for (; *at < sp_registry_count(registry); (*at)++) {
        const struct sp_schema_entry *entry = sp_registry_at(registry, *at);
        if (entry->position < engine->schemas_first && entry->schema != NULL) {
            return entry;
        }
    }
    return NULL;
}

void engine_schemas_carry(struct sp_engine *engine) {
    const struct sp_schema_entry *entry = NULL;
    uint32_t at = 0;
    sp_status status = SP_OK;
    while (status == SP_OK && (entry = next_dropped(engine, &at)) != NULL) {
        const struct sp_schema_registration again = {.type = entry->type,
                                                     .version = entry->version,
                                                     .text = entry->text,
                                                     .has_mode = true,
                                                     .mode = entry->mode,
                                                     .has_compatibility = true,
                                                     .compatibility = entry->compatibility};
        struct sp_engine_result result;
        status = append(engine, "schema.registered", &again, &result, NULL);
    }
    engine->schemas_first = status == SP_BUSY ? engine->schemas_first : 0;
}

sp_status sp_engine_schema_add(struct sp_engine *engine,
                               struct sp_schema_registration *registration, bool *ret_known,
                               struct sp_engine_result *ret_result, struct sp_error *error) {
    struct sp_registry *registry = engine->schemas->registry;
    sp_status status = sp_registry_try(registry, registration, ret_known, error);
    if (status != SP_OK || *ret_known) {
        return status;
    }
    return append(engine, "schema.registered", registration, ret_result, error);
}

sp_status sp_engine_schema_remove(struct sp_engine *engine, sp_str type, sp_str version,
                                  struct sp_error *error) {
    const struct sp_schema_registration removed = {.type = type, .version = version};
    struct sp_engine_result result;
    return append(engine, "schema.removed", &removed, &result, error);
}
