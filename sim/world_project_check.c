/* Read models held against the log: a fresh fold of all events, found without any index. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sqlite3.h>

#include "sim/world_project_int.h"

enum { ROWS_BYTES_MAX = 16 << 20, TABLES_MAX = 16, NAME_SIZE = 128, PATH_SIZE = 512 };

/* ---- looking into a database ---- */

struct tables {
    char names[TABLES_MAX][NAME_SIZE];
    size_t count;
};

static bool list_tables(sqlite3 *db, struct tables *ret_tables) {
    static const char SQL[] = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT "
                              "LIKE 'spoor_%' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    sqlite3_stmt *list = NULL;
    ret_tables->count = 0;
    int code = sqlite3_prepare_v2(db, SQL, -1, &list, NULL);
    while (code == SQLITE_OK && ret_tables->count < TABLES_MAX &&
           sqlite3_step(list) == SQLITE_ROW) {
        (void)snprintf(ret_tables->names[ret_tables->count++], NAME_SIZE, "%s",
                       (const char *)sqlite3_column_text(list, 0));
    }
    (void)sqlite3_finalize(list);
    return code == SQLITE_OK;
}

/* Every row of a table as text, in their order. */
static bool dump_table(sqlite3 *db, const char *name, struct sp_buf *to) {
    char sql[NAME_SIZE + 64];
    sqlite3_stmt *rows = NULL;
    (void)snprintf(sql, sizeof(sql), "SELECT * FROM \"%s\" ORDER BY 1, 2", name);
    int code = sqlite3_prepare_v2(db, sql, -1, &rows, NULL);
    sp_buf_add_str(to, sp_str_from(name));
    while (code == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        sp_buf_add_byte(to, '\n');
        for (int i = 0; i < sqlite3_column_count(rows); i++) {
            const void *text = sqlite3_column_text(rows, i);
            sp_buf_add_byte(to, '|');
            sp_buf_add_str(to, text != NULL ? sp_str_of(text, (size_t)sqlite3_column_bytes(rows, i))
                                            : SP_STR("NULL"));
        }
        code = SQLITE_OK;
    }
    (void)sqlite3_finalize(rows);
    sp_buf_add_byte(to, '\n');
    return code == SQLITE_DONE;
}

static bool dump(sqlite3 *db, struct sp_buf *to) {
    struct tables tables;
    bool fine = list_tables(db, &tables);
    for (size_t i = 0; i < tables.count && fine; i++) {
        fine = dump_table(db, tables.names[i], to);
    }
    return fine && to->status == SP_OK;
}

/* ---- a build as it is ---- */

struct found {
    struct sp_build_state state;
    struct sp_buf text; /* of the definition */
    struct sp_buf rows;
};

static void found_fini(struct found *found) {
    sp_buf_fini(&found->text);
    sp_buf_fini(&found->rows);
}

static void read_state(sqlite3_stmt *row, struct found *found) {
    struct sp_build_state *state = &found->state;
    const void *text = sqlite3_column_text(row, 5);
    state->position = (uint64_t)sqlite3_column_int64(row, 0);
    state->applied = (uint64_t)sqlite3_column_int64(row, 1);
    state->failed = sqlite3_column_type(row, 2) != SQLITE_NULL;
    state->failed_position = (uint64_t)sqlite3_column_int64(row, 2);
    state->number = (uint64_t)sqlite3_column_int64(row, 3);
    (void)snprintf(state->name, sizeof(state->name), "%s",
                   (const char *)sqlite3_column_text(row, 4));
    sp_buf_add(&found->text, text, (size_t)sqlite3_column_bytes(row, 5));
}

/*
 * Reads a build, its state and rows in one transaction. False where it is none: its making was cut
 * short.
 */
static bool read_build(const char *path, struct found *found) {
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    *found = (struct found){.state = {.number = 0}};
    sp_buf_init(&found->text, SP_DEFINITION_BYTES_MAX);
    sp_buf_init(&found->rows, ROWS_BYTES_MAX);
    bool there = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
                 sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK &&
                 sqlite3_prepare_v2(db,
                                    "SELECT position, applied, failed_position, number, projection,"
                                    " definition FROM spoor_build",
                                    -1, &row, NULL) == SQLITE_OK &&
                 sqlite3_step(row) == SQLITE_ROW;
    if (there) {
        read_state(row, found);
    }
    (void)sqlite3_finalize(row);
    there = there && dump(db, &found->rows);
    (void)sqlite3_close_v2(db);
    return there;
}

/* ---- a fresh fold ---- */

struct fresh {
    struct project_system *sys;
    struct sp_definition *definition;
    struct sp_build *build;
    struct sp_clauses *clauses;
    uint64_t applied;
    uint64_t poison; /* the event that could not be applied; 0: none */
};

static void fresh_fini(struct fresh *fresh) {
    sp_clauses_free(fresh->clauses);
    if (fresh->build != NULL) {
        fresh->build->ops->close(fresh->build);
    }
    sp_definition_unref(fresh->definition);
}

/* An event in a batch of its own. */
static sp_status apply_alone(struct fresh *fresh, const struct sp_event *event) {
    const struct sp_build_ops *ops = fresh->build->ops;
    const uint16_t *numbers;
    size_t count = sp_clauses_of(fresh->clauses, event, &numbers);
    if (count == 0) {
        return SP_OK;
    }
    sp_status status = ops->begin(fresh->build, NULL);
    status = status == SP_OK ? ops->apply(fresh->build, event, numbers, count, NULL) : status;
    status = status == SP_OK ? ops->commit(fresh->build, event->position, NULL) : status;
    if (status != SP_OK) {
        ops->rollback(fresh->build);
    }
    fresh->applied += status == SP_OK ? 1 : 0;
    return status;
}

/* Looks at every event up to the position, or to the first that cannot be applied. */
static sp_status fold_up_to(struct fresh *fresh, uint64_t position) {
    struct sp_query query = {.limit = 0};
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    sp_status status = sp_cursor_open(fresh->sys->engine, &query, &cursor, NULL);
    while (status == SP_OK && fresh->poison == 0 &&
           (status = sp_cursor_next(cursor, &event, NULL)) == SP_OK &&
           event->position <= position) {
        status = apply_alone(fresh, event);
        if (status == SP_INVALID) {
            fresh->poison = event->position;
            status = SP_OK;
        }
    }
    sp_cursor_close(cursor);
    return status == SP_END ? SP_OK : status;
}

static sp_status fresh_start(struct fresh *fresh, struct project_system *sys, sp_str text) {
    *fresh = (struct fresh){.sys = sys};
    sp_status status = sp_definition_parse(text, &fresh->definition, NULL);
    status = status == SP_OK ? sp_sqlite_scratch_new(fresh->definition, sys->options.clock, NULL,
                                                     &fresh->build, NULL)
                             : status;
    return status == SP_OK ? sp_clauses_new(fresh->definition, &fresh->clauses, NULL) : status;
}

static bool dump_scratch(struct sp_build *build, struct sp_buf *to) {
    sqlite3 *db = sp_sqlite_handle(build);
    (void)sqlite3_set_authorizer(db, NULL, NULL);
    bool fine = dump(db, to);
    sp_sqlite_handle_return(build);
    return fine;
}

/* ---- comparing ---- */

static void judge_failure(struct project_system *sys, const struct found *found,
                          const struct fresh *fresh) {
    const struct sp_build_state *state = &found->state;
    if (fresh->poison != 0) {
        sim_wrong(sys->world, "%s.%llu is at %llu, and event %llu cannot be applied", state->name,
                  (unsigned long long)state->number, (unsigned long long)state->position,
                  (unsigned long long)fresh->poison);
        return;
    }
    if (state->failed && state->failed_position != state->position + 1) {
        sim_wrong(sys->world, "%s.%llu failed at %llu, and is at %llu", state->name,
                  (unsigned long long)state->number, (unsigned long long)state->failed_position,
                  (unsigned long long)state->position);
    }
}

/* The event that a build says it failed at cannot be applied indeed. */
static void judge_poison(struct project_system *sys, const struct found *found) {
    struct fresh fresh;
    if (!found->state.failed || sys->world->wrong) {
        return;
    }
    sp_status status = fresh_start(&fresh, sys, sp_buf_str(&found->text));
    status = status == SP_OK ? fold_up_to(&fresh, found->state.failed_position) : status;
    if (status == SP_OK && fresh.poison != found->state.failed_position) {
        sim_wrong(sys->world, "%s.%llu failed at event %llu, which can be applied",
                  found->state.name, (unsigned long long)found->state.number,
                  (unsigned long long)found->state.failed_position);
    }
    fresh_fini(&fresh);
}

static void compare(struct project_system *sys, const struct found *found, struct fresh *fresh) {
    struct sp_buf rows;
    const struct sp_build_state *state = &found->state;
    sp_buf_init(&rows, ROWS_BYTES_MAX);
    if (!dump_scratch(fresh->build, &rows)) {
        sim_wrong(sys->world, "a fresh fold cannot be read");
    } else if (!sp_str_eq(sp_buf_str(&rows), sp_buf_str(&found->rows))) {
        sim_wrong(sys->world, "%s.%llu at %llu is not the fold of the log:\n%.*s\nbut\n%.*s",
                  state->name, (unsigned long long)state->number,
                  (unsigned long long)state->position, SP_STR_ARG(sp_buf_str(&rows)),
                  SP_STR_ARG(sp_buf_str(&found->rows)));
    } else if (fresh->applied != state->applied) {
        sim_wrong(sys->world, "%s.%llu says it applied %llu events, and it was %llu", state->name,
                  (unsigned long long)state->number, (unsigned long long)state->applied,
                  (unsigned long long)fresh->applied);
    }
    sp_buf_fini(&rows);
    sys->compared++;
}

/* Holds one file against a fresh fold. */
static void check_file(struct project_system *sys, const char *path) {
    struct found found;
    struct fresh fresh;
    uint64_t durable = sp_engine_durable_position(sys->engine);
    if (!read_build(path, &found)) {
        found_fini(&found);
        return;
    }
    const struct sp_build_state *state = &found.state;
    sim_note(sys->world, "build %s.%llu at %llu, %llu applied%s", state->name,
             (unsigned long long)state->number, (unsigned long long)state->position,
             (unsigned long long)state->applied, state->failed ? ", failed" : "");
    if (state->position > durable) {
        sim_wrong(sys->world, "%s.%llu is at %llu, and the log at %llu", state->name,
                  (unsigned long long)state->number, (unsigned long long)state->position,
                  (unsigned long long)durable);
    }
    sp_status status = fresh_start(&fresh, sys, sp_buf_str(&found.text));
    status = status == SP_OK ? fold_up_to(&fresh, state->position) : status;
    if (status == SP_OK) {
        judge_failure(sys, &found, &fresh);
        compare(sys, &found, &fresh);
        judge_poison(sys, &found);
    } else if (!project_excused(sys)) {
        sim_wrong(sys->world, "a fresh fold of %s ends with %s", state->name,
                  sp_status_name(status));
    }
    fresh_fini(&fresh);
    found_fini(&found);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_build(const struct dirent *entry) {
    size_t len = strlen(entry->d_name);
    const char *dot = strchr(entry->d_name, '.');
    return len > 3 && strcmp(entry->d_name + len - 3, ".db") == 0 && dot != NULL &&
           dot != entry->d_name + len - 3;
}

void project_check_all(struct project_system *sys) {
    struct dirent **entries = NULL;
    int count = scandir(sys->folder, &entries, is_build, by_name);
    for (int i = 0; i < count; i++) {
        char path[PATH_SIZE];
        (void)snprintf(path, sizeof(path), "%s/%s", sys->folder, entries[i]->d_name);
        if (!sys->world->wrong && !sim_sqlite_is_dead()) {
            check_file(sys, path);
        }
        free(entries[i]);
    }
    free(entries);
}

void project_check_visible(struct project_system *sys, uint32_t which, uint64_t head) {
    char path[PATH_SIZE];
    struct found found;
    (void)snprintf(path, sizeof(path), "%s/%s.db", sys->folder, project_names[which]);
    if (access(path, F_OK) != 0) {
        if (sys->seen[which] != 0) {
            sim_wrong(sys->world, "%s was there, and is gone", project_names[which]);
        }
        return;
    }
    bool there = read_build(path, &found);
    uint64_t position = found.state.position;
    found_fini(&found);
    if (sim_sqlite_is_dead()) { /* looking, too, changes files: it was killed while it did */
        return;
    }
    if (!there) {
        sim_wrong(sys->world, "%s is current and no build", project_names[which]);
    } else if (position < head) {
        sim_wrong(sys->world, "%s has caught up with %llu, and is at %llu", project_names[which],
                  (unsigned long long)head, (unsigned long long)position);
    } else if (position < sys->seen[which]) {
        sim_wrong(sys->world, "queries saw %s at %llu, and now at %llu", project_names[which],
                  (unsigned long long)sys->seen[which], (unsigned long long)position);
    }
    sys->seen[which] = position;
}

/* Folds a copy on to the head, and then it is what a fresh one is there. */
static sp_status fold_copy(struct project_system *sys, struct sp_build *copy, bool *ret_failed) {
    struct sp_log_source *source = NULL;
    struct sp_fold *fold = NULL;
    enum sp_fold_end end = SP_FOLD_OVER;
    sp_status status = sp_log_source_new(sys->engine, copy->definition, false, &source, NULL);
    if (status == SP_OK) {
        struct sp_fold_options options = {.build = copy,
                                          .source = sp_log_source_of(source),
                                          .clock = sys->options.clock,
                                          .batch_events = 1 + sim_pick(sys->world, 9)};
        status = sp_fold_new(&options, &fold, NULL);
    }
    status = status == SP_OK ? sp_fold_run(fold, 0, &end, NULL) : status;
    status = status == SP_OK ? sp_fold_flush(fold, NULL) : status;
    *ret_failed = end == SP_FOLD_FAILED;
    sp_fold_free(fold);
    sp_log_source_free(source);
    return status;
}

static void judge_copy(struct project_system *sys, struct sp_build *copy, sp_str text,
                       bool failed) {
    struct found found = {.state = {.number = 0}};
    struct fresh fresh;
    sp_buf_init(&found.text, 0);
    sp_buf_init(&found.rows, ROWS_BYTES_MAX);
    copy->ops->state(copy, &found.state);
    sp_status status = fresh_start(&fresh, sys, text);
    status = status == SP_OK ? fold_up_to(&fresh, found.state.position) : status;
    if (found.state.failed != failed) {
        sim_wrong(sys->world, "a fold failed, and the build does not say so");
    } else if (status == SP_OK && dump_scratch(copy, &found.rows)) {
        compare(sys, &found, &fresh);
    }
    fresh_fini(&fresh);
    found_fini(&found);
}

void project_check_copy(struct project_system *sys, uint32_t which) {
    char path[PATH_SIZE];
    struct found found;
    struct sp_definition *definition = NULL;
    struct sp_build *copy = NULL;
    bool failed = false;
    (void)snprintf(path, sizeof(path), "%s/%s.db", sys->folder, project_names[which]);
    sp_status status = access(path, F_OK) == 0 && read_build(path, &found) ? SP_OK : SP_NOT_FOUND;
    if (status != SP_OK) {
        return;
    }
    status = sp_definition_parse(sp_buf_str(&found.text), &definition, NULL);
    status = status == SP_OK
                 ? sp_sqlite_scratch_new(definition, sys->options.clock, path, &copy, NULL)
                 : status;
    if (status == SP_OK && !found.state.failed) {
        status = fold_copy(sys, copy, &failed);
    }
    sim_note(sys->world, "a copy of %s: %s%s", project_names[which], sp_status_name(status),
             failed ? ", failed" : "");
    if (status == SP_OK && !found.state.failed) {
        judge_copy(sys, copy, sp_buf_str(&found.text), failed);
    } else if (status != SP_OK && !project_excused(sys)) {
        sim_wrong(sys->world, "a copy of %s cannot be folded on: %s", project_names[which],
                  sp_status_name(status));
    }
    if (copy != NULL) {
        copy->ops->close(copy);
    }
    sp_definition_unref(definition);
    found_fini(&found);
}

/* A state that was made is the fold up to the moment; one that was not has a poison before it. */
static void judge_state(struct project_system *sys, struct sp_definition *definition,
                        uint64_t moment, sp_status status, struct sp_build *build) {
    struct found found = {.state = {.number = 0}};
    struct fresh fresh;
    sp_buf_init(&found.text, 0);
    sp_buf_init(&found.rows, ROWS_BYTES_MAX);
    sp_status again = fresh_start(&fresh, sys, definition->text);
    again = again == SP_OK ? fold_up_to(&fresh, moment) : again;
    if (again == SP_OK && (status == SP_FAILED) != (fresh.poison != 0)) {
        sim_wrong(sys->world, "the state of %s at %llu: %s, and event %llu cannot be applied",
                  definition->name, (unsigned long long)moment, sp_status_name(status),
                  (unsigned long long)fresh.poison);
    } else if (again == SP_OK && status == SP_OK) {
        build->ops->state(build, &found.state);
        if (dump_scratch(build, &found.rows)) {
            compare(sys, &found, &fresh);
        }
    }
    fresh_fini(&fresh);
    found_fini(&found);
}

void project_check_state(struct project_system *sys, uint32_t which) {
    char until[24];
    struct sp_error error;
    struct sp_travel_state state = {.build = NULL};
    uint64_t durable = sp_engine_durable_position(sys->engine);
    struct sp_definition *definition =
        sp_projects_definition(sys->projects, sp_str_from(project_names[which]));
    if (definition == NULL || durable == 0) {
        sp_definition_unref(definition);
        return;
    }
    uint64_t moment = 1 + sim_pick(sys->world, (uint32_t)durable);
    (void)snprintf(until, sizeof(until), "%llu", (unsigned long long)moment);
    const struct sp_travel_ask ask = {.definition = definition, .until = sp_str_from(until)};
    sp_error_clear(&error);
    sp_status status = sp_travel_ask(sys->travel, &ask, &state, &error);
    sim_note(sys->world, "%s at %llu: %s, from %llu", project_names[which],
             (unsigned long long)moment, sp_status_name(status),
             (unsigned long long)state.snapshot);
    if (status == SP_OK || status == SP_FAILED) {
        judge_state(sys, definition, moment, status, state.build);
    } else if (!project_excused(sys)) {
        sim_wrong(sys->world, "the state of %s at %llu: %s: %s", project_names[which],
                  (unsigned long long)moment, sp_status_name(status), error.text);
    }
    if (state.build != NULL) {
        state.build->ops->close(state.build);
    }
    sp_definition_unref(definition);
}
