/*
 * The catalog as events: reading those of the stream, writing them.
 */
#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"
#include "engine/query.h"
#include "project/projects_int.h"

/* ---- definitions ----------------------------------------------------------------------------- */

struct sp_definition *projects_definition_of(struct project *project, const uint8_t sha256[32]) {
    if (project->definition != NULL && memcmp(project->definition->sha256, sha256, 32) == 0) {
        return project->definition;
    }
    for (uint32_t i = 0; i < PROJECTS_PAST_MAX && project->past[i] != NULL; i++) {
        if (memcmp(project->past[i]->sha256, sha256, 32) == 0) {
            return project->past[i];
        }
    }
    return NULL;
}

void projects_define(struct project *project, struct sp_definition *definition) {
    if (project->definition != NULL &&
        memcmp(project->definition->sha256, definition->sha256, sizeof(definition->sha256)) == 0) {
        sp_definition_unref(definition); /* it was told again */
        return;
    }
    if (project->definition != NULL) {
        sp_definition_unref(project->past[PROJECTS_PAST_MAX - 1]);
        memmove(&project->past[1], &project->past[0],
                (PROJECTS_PAST_MAX - 1) * sizeof(project->past[0]));
        project->past[0] = project->definition;
    }
    project->definition = definition;
    project->refused = false;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* What the events of the stream carry; absent members are empty or 0. */
struct told_event {
    sp_str name; /* escapes are not resolved: a name has none */
    struct sp_json_token text;
    bool has_text;
    bool shipped;
    uint64_t number;
    uint64_t position;
};

static uint64_t number_of(struct sp_json_token token) {
    double number = token.type == SP_JSON_NUMBER ? sp_json_number(token.raw) : 0;
    return number >= 1 && number < 9007199254740992.0 ? (uint64_t)number : 0;
}

static bool read_event(sp_str data, struct told_event *ret_told) {
    struct sp_json json;
    *ret_told = (struct told_event){.name = SP_STR("")};
    sp_json_init(&json, data);
    if (sp_json_next(&json).type != SP_JSON_OBJECT) {
        return false;
    }
    for (;;) {
        struct sp_json_token key = sp_json_next(&json);
        if (key.type != SP_JSON_KEY) {
            return key.type == SP_JSON_OBJECT_END && ret_told->name.len > 0;
        }
        struct sp_json_token value = sp_json_next(&json);
        (void)sp_json_skip(&json, value);
        if (sp_json_equal(key, SP_STR("name")) && value.type == SP_JSON_STRING) {
            ret_told->name = value.raw;
        } else if (sp_json_equal(key, SP_STR("text")) && value.type == SP_JSON_STRING) {
            ret_told->text = value;
            ret_told->has_text = true;
        } else if (sp_json_equal(key, SP_STR("shipped"))) {
            ret_told->shipped = value.type == SP_JSON_TRUE;
        } else if (sp_json_equal(key, SP_STR("number"))) {
            ret_told->number = number_of(value);
        } else if (sp_json_equal(key, SP_STR("position"))) {
            ret_told->position = number_of(value);
        }
    }
}

static sp_status parse_text(struct sp_json_token text, struct sp_definition **ret_definition,
                            struct sp_error *error) {
    struct sp_buf plain;
    sp_buf_init(&plain, text.raw.len + 1);
    sp_json_unescape(&plain, text.raw);
    sp_status status = plain.status != SP_OK
                           ? sp_error_set(error, plain.status, "a projection's text")
                           : sp_definition_parse(sp_buf_str(&plain), ret_definition, error);
    sp_buf_fini(&plain);
    return status;
}

/* The program's own file of that name; SP_NOT_FOUND. */
static sp_status parse_shipped(const struct project *project, struct sp_definition **ret_definition,
                               struct sp_error *error) {
    if (project->shipped == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "this program ships no projection '%s'",
                            project->name);
    }
    return sp_definition_parse(project->shipped->text, ret_definition, error);
}

/* A text that this program cannot read leaves what was there: it says so, and goes on. */
static sp_status fold_added(struct sp_projects *projects, struct project *project,
                            const struct told_event *told, uint64_t position,
                            struct sp_error *error) {
    struct sp_definition *definition = NULL;
    sp_status status = told->has_text ? parse_text(told->text, &definition, error)
                                      : parse_shipped(project, &definition, error);
    if (status == SP_NO_MEMORY) {
        return status;
    }
    if (status != SP_OK) {
        projects_say(projects, true, project, "its definition cannot be read: %s", error->text);
        sp_error_clear(error);
        return SP_OK;
    }
    if (strcmp(definition->name, project->name) != 0) {
        sp_definition_unref(definition);
        return SP_OK;
    }
    projects_define(project, definition);
    project->is_own = told->has_text;
    project->added = true;
    project->removed = false;
    project->told_position = position;
    return SP_OK;
}

static void fold_failed(struct project *project, const struct told_event *told) {
    project->told.failed = told->number;
    project->number_built =
        told->number > project->number_built ? told->number : project->number_built;
    project->told.failed_position = told->position;
    project->told.resumed = false;
}

static sp_status fold_event(struct sp_projects *projects, const struct sp_event *event,
                            struct sp_error *error) {
    struct told_event told;
    sp_str type = event->attr[SP_ATTR_TYPE];
    if (!event->has_data || !event->data_is_json || !read_event(event->data, &told) ||
        !sp_projection_name_valid(told.name)) {
        return SP_OK;
    }
    struct project *project = projects_make(projects, told.name);
    if (project == NULL) {
        return SP_OK; /* beyond the limit: nothing that was accepted */
    }
    if (told.number > project->number_last) {
        project->number_last = told.number;
    }
    if (sp_str_eq(type, SP_STR("projection.added"))) {
        return fold_added(projects, project, &told, event->position, error);
    }
    if (sp_str_eq(type, SP_STR("projection.removed"))) {
        project->removed = true;
        project->added = false;
        project->told_position = event->position;
        project->wanted = false;
        project->requested = 0;
    } else if (sp_str_eq(type, SP_STR("projection.rebuild_requested"))) {
        project->requested = told.number;
    } else if (sp_str_eq(type, SP_STR("projection.swapped"))) {
        project->told.current = told.number;
        project->number_built = told.number;
    } else if (sp_str_eq(type, SP_STR("projection.failed"))) {
        fold_failed(project, &told);
    } else if (sp_str_eq(type, SP_STR("projection.resumed"))) {
        project->told.resumed = project->told.failed == told.number;
    }
    return SP_OK;
}

sp_status projects_fold_events(struct sp_projects *projects, struct sp_error *error) {
    const struct sp_query query = {.stream = SP_STR(SP_PROJECTS_STREAM)};
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    sp_status status = sp_cursor_open(projects->options.engine, &query, &cursor, error);
    while (status == SP_OK) {
        status = sp_cursor_next(cursor, &event, error);
        status = status == SP_OK ? fold_event(projects, event, error) : status;
    }
    sp_cursor_close(cursor);
    return status == SP_END ? SP_OK : status;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void begin(struct sp_projects *projects, const char *name) {
    struct sp_buf *to = &projects->text;
    sp_buf_reset(to);
    sp_buf_add_str(to, SP_STR("{\"name\":"));
    sp_json_add_string(to, sp_str_from(name));
}

static void add_key(struct sp_buf *to, const char *name) {
    sp_buf_add_str(to, SP_STR(",\""));
    sp_buf_add_str(to, sp_str_from(name));
    sp_buf_add_str(to, SP_STR("\":"));
}

static void add_number(struct sp_buf *to, const char *name, uint64_t value) {
    add_key(to, name);
    sp_buf_add_u64(to, value);
}

/* Straight to the engine: the bus keeps clients from streams that begin with `$`. */
static sp_status append(struct sp_projects *projects, const char *type, uint64_t *ret_position,
                        struct sp_error *error) {
    struct sp_event *event = projects->event;
    struct sp_engine_result result;
    if (!projects->options.writable) {
        return sp_error_set(error, SP_DENIED, "the store is open for reading only");
    }
    sp_buf_add_byte(&projects->text, '}');
    if (projects->text.status != SP_OK) {
        return sp_error_set(error, projects->text.status, "an event about a projection");
    }
    *event = (struct sp_event){.has_data = true, .data_is_json = true};
    event->attr[SP_ATTR_TYPE] = sp_str_from(type);
    event->attr[SP_ATTR_SOURCE] = SP_STR("spoor");
    event->attr[SP_ATTR_STREAM] = SP_STR(SP_PROJECTS_STREAM);
    event->data = sp_buf_str(&projects->text);
    const struct sp_engine_append append = {
        .events = event, .count = 1, .origin = SP_EVENT_FROM_JSON, .results = &result};
    sp_status status = sp_engine_submit(projects->options.engine, &append, error);
    if (status == SP_OK) {
        if (ret_position != NULL) {
            *ret_position = result.position;
        }
    }
    return status;
}

static void add_hex(struct sp_buf *to, const uint8_t *bytes, size_t len) {
    static const char DIGITS[] = "0123456789abcdef";
    sp_buf_add_byte(to, '"');
    for (size_t i = 0; i < len; i++) {
        sp_buf_add_byte(to, (uint8_t)DIGITS[bytes[i] >> 4]);
        sp_buf_add_byte(to, (uint8_t)DIGITS[bytes[i] & 15]);
    }
    sp_buf_add_byte(to, '"');
}

sp_status projects_tell_added(struct sp_projects *projects, const struct sp_definition *definition,
                              bool shipped, uint64_t *ret_position, struct sp_error *error) {
    struct sp_buf *to = &projects->text;
    begin(projects, definition->name);
    add_number(to, "version", definition->version);
    add_key(to, "sha256");
    add_hex(to, definition->sha256, sizeof(definition->sha256));
    if (shipped) {
        add_key(to, "shipped");
        sp_buf_add_str(to, SP_STR("true"));
    } else {
        add_key(to, "text");
        sp_json_add_string(to, definition->text);
    }
    return append(projects, "projection.added", ret_position, error);
}

sp_status projects_tell(struct sp_projects *projects, const char *type,
                        const struct project *project, uint64_t number, uint64_t position,
                        uint64_t *ret_position, struct sp_error *error) {
    begin(projects, project->name);
    if (number != 0) {
        add_number(&projects->text, "number", number);
    }
    if (position != 0) {
        add_number(&projects->text, "position", position);
    }
    return append(projects, type, ret_position, error);
}

static void add_text(struct sp_buf *to, const char *name, const char *text) {
    if (sp_utf8_valid(sp_str_from(text))) {
        add_key(to, name);
        sp_json_add_string(to, sp_str_from(text));
    }
}

sp_status projects_tell_failed(struct sp_projects *projects, const struct project *project,
                               const struct sp_build_state *state, struct sp_error *error) {
    struct sp_buf *to = &projects->text;
    begin(projects, project->name);
    add_number(to, "number", state->number);
    add_number(to, "position", state->failed_position);
    add_text(to, "id", state->failed_id);
    add_text(to, "error", state->failed_text);
    return append(projects, "projection.failed", NULL, error);
}
