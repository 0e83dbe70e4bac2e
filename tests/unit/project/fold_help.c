#include "fold_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

struct memory *memory_new(void) {
    struct memory *memory = calloc(1, sizeof(*memory));
    assert_non_null(memory);
    return memory;
}

void memory_add(struct memory *memory, const char *type, const char *source, const char *data) {
    assert_true(memory->count < MADE_MAX);
    struct made *made = &memory->events[memory->count++];
    (void)snprintf(made->type, sizeof(made->type), "%s", type);
    (void)snprintf(made->source, sizeof(made->source), "%s", source);
    (void)snprintf(made->data, sizeof(made->data), "%s", data);
    (void)snprintf(made->id, sizeof(made->id), "e-%zu", memory->count);
}

static sp_status memory_next(void *context, const struct sp_event **ret_event,
                             struct sp_error *error) {
    struct memory *memory = context;
    memory->calls++;
    if (memory->busy_every != 0 && memory->calls % memory->busy_every == 0) {
        return SP_BUSY;
    }
    if (memory->position == memory->count) {
        return memory->over ? SP_END : SP_TIMEOUT;
    }
    if (memory->position + 1 == memory->damaged) {
        memory->position++;
        return sp_error_set(error, SP_CORRUPT, "event %llu is damaged",
                            (unsigned long long)memory->damaged);
    }
    const struct made *made = &memory->events[memory->position++];
    struct sp_event *event = &memory->event;
    *event = (struct sp_event){.position = memory->position,
                               .version = memory->position,
                               .recorded_us = UINT64_C(1795153752000000) + memory->position,
                               .data = sp_str_from(made->data),
                               .has_data = true,
                               .data_is_json = true};
    event->attr[SP_ATTR_TYPE] = sp_str_from(made->type);
    event->attr[SP_ATTR_SOURCE] = sp_str_from(made->source);
    event->attr[SP_ATTR_STREAM] = sp_str_from(made->source);
    event->attr[SP_ATTR_ID] = sp_str_from(made->id);
    event->attr[SP_ATTR_CORRELATION] = sp_str_from(made->id);
    *ret_event = event;
    return SP_OK;
}

static uint64_t memory_position(void *context) {
    return ((const struct memory *)context)->position;
}

static sp_status memory_seek(void *context, uint64_t position, struct sp_error *error) {
    struct memory *memory = context;
    (void)error;
    memory->position = position;
    memory->seeks++;
    return SP_OK;
}

struct sp_fold_source memory_source(struct memory *memory) {
    return (struct sp_fold_source){
        .next = memory_next, .position = memory_position, .seek = memory_seek, .context = memory};
}

struct sp_definition *definition_of(const char *text) {
    struct sp_definition *definition = NULL;
    struct sp_error error;
    if (sp_definition_parse(sp_str_from(text), &definition, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    return definition;
}

void make_folder(char path[64]) {
    (void)snprintf(path, 64, "/tmp/spoor-project-XXXXXX");
    assert_non_null(mkdtemp(path));
}

void remove_folder(const char *path) {
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

struct sp_sink *open_sink(const char *folder) {
    struct sp_sink *sink = NULL;
    struct sp_error error;
    struct sp_sqlite_options options = {.folder = folder, .clock = sp_clock_system()};
    if (sp_sqlite_sink_open(&options, &sink, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    return sink;
}

struct sp_build *open_build(struct sp_sink *sink, struct sp_definition *definition,
                            uint64_t number) {
    struct sp_build *build = NULL;
    struct sp_error error;
    if (sink->ops->open(sink, definition, number, &build, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    return build;
}

struct sp_build_state state_of(const struct sp_build *build) {
    struct sp_build_state state;
    build->ops->state(build, &state);
    return state;
}

void fold_all(struct sp_build *build, struct memory *memory, enum sp_fold_end expected) {
    struct sp_fold_options options = {
        .build = build, .source = memory_source(memory), .clock = sp_clock_system()};
    struct sp_fold *fold = NULL;
    struct sp_error error;
    enum sp_fold_end end = SP_FOLD_OVER;
    assert_int_equal(sp_fold_new(&options, &fold, &error), SP_OK);
    if (sp_fold_run(fold, 0, &end, &error) != SP_OK || sp_fold_flush(fold, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(end, expected);
    sp_fold_free(fold);
}

static void assert_rows_of(sqlite3 *db, const char *sql, const char *expected) {
    char found[4096] = "";
    size_t len = 0;
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    while (sqlite3_step(statement) == SQLITE_ROW && len < sizeof(found)) {
        const unsigned char *text = sqlite3_column_text(statement, 0);
        len += (size_t)snprintf(found + len, sizeof(found) - len, "%s%s", len > 0 ? "," : "",
                                text != NULL ? (const char *)text : "NULL");
    }
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    assert_string_equal(found, expected);
}

void assert_rows(const char *path, const char *sql, const char *expected) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_rows_of(db, sql, expected);
    (void)sqlite3_close(db);
}

void assert_build_rows(struct sp_build *build, const char *sql, const char *expected) {
    (void)sqlite3_set_authorizer(sp_sqlite_handle(build), NULL, NULL);
    assert_rows_of(sp_sqlite_handle(build), sql, expected);
    sp_sqlite_handle_return(build);
}
