/*
 * Making a state: where to begin, which events to read, and the fold.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "project/sqlite.h"
#include "project/travel_int.h"

enum {
    STEPS_PER_CHECK = 256,    /* between two looks at the clock */
    LOOKS_PER_STEP = 1 << 14, /* events that one step looks at, whether they match or not */
    POSITION_TEXT_SIZE = 24,
};

/* What one state is made of, while it is made. */
struct making {
    struct sp_travel *travel;
    const struct sp_travel_ask *ask;
    struct model *model;
    struct sp_cut cut;
    struct sp_query query; /* of one span: the ask's, and what the clauses want */
    bool is_whole;         /* nothing is restricted: snapshots can be used, and left */
    uint64_t first;        /* the first event that is kept */
    uint64_t from;         /* the first one that counts */
    uint64_t deadline_ns;

    struct sp_build *build;
    struct sp_cursor *cursor; /* over [.., span_last]; NULL: none is open */
    uint64_t span_last;
    uint64_t at;         /* everything up to here was looked at */
    bool is_prefix;      /* nothing up to there was left out */
    uint64_t noted_from; /* every wanted event from here to `at` was noted; 0: none is */
    uint64_t read;
    uint64_t steps;
    bool is_late;
    uint64_t snapshot_applied; /* of the last snapshot, or the beginning */
};

static uint64_t now_ns(const struct sp_travel *travel) {
    return travel->options.clock.monotonic_ns(travel->options.clock.context);
}

/* Now and then: true where it is to end, and the error says why. */
static bool must_end(struct making *making, struct sp_error *error) {
    if (making->steps++ % STEPS_PER_CHECK != 0) {
        return false;
    }
    if (making->ask->stop != NULL && atomic_load(making->ask->stop)) {
        (void)sp_error_set(error, SP_CANCELLED, "cancelled");
        return true;
    }
    making->is_late = now_ns(making->travel) >= making->deadline_ns;
    if (making->is_late) {
        (void)sp_error_set(error, SP_TIMEOUT, "no state within the time it may take");
    }
    return making->is_late;
}

/*
 * ---- the events
 * -----------------------------------------------------------------------------------
 */

/* Opens a cursor over some positions. */
static sp_status open_span(struct making *making, uint64_t first, uint64_t last,
                           struct sp_error *error) {
    char from[POSITION_TEXT_SIZE];
    char until[POSITION_TEXT_SIZE];
    struct sp_query query = making->query;
    (void)snprintf(from, sizeof(from), "%llu", (unsigned long long)first);
    (void)snprintf(until, sizeof(until), "%llu", (unsigned long long)last);
    query.from = sp_str_from(from);
    query.until = sp_str_from(until);
    sp_status status = sp_cursor_open(making->travel->engine, &query, &making->cursor, error);
    if (status == SP_OK) {
        sp_cursor_allow(making->cursor, LOOKS_PER_STEP);
    }
    return status;
}

/* The next positions that may hold events which count. SP_END where there are none. */
static sp_status next_span(struct making *making, struct sp_error *error) {
    struct model *model = making->model;
    uint64_t first = making->at + 1;
    uint64_t last = making->cut.position;
    bool there = first <= last;
    if (there && making->cut.by_time) {
        pthread_mutex_lock(&model->mutex);
        there = sp_bounds_next(&model->bounds, making->cut.time_us, first, last, &first, &last);
        pthread_mutex_unlock(&model->mutex);
    }
    if (!there) {
        making->is_prefix = making->is_prefix && making->at >= making->cut.position;
        making->at = making->cut.position;
        return SP_END;
    }
    if (first > making->at + 1) { /* what lies between is later */
        making->is_prefix = false;
        making->noted_from = 0;
    }
    making->span_last = last;
    return open_span(making, first, last, error);
}

static void note(struct making *making, const struct sp_event *event) {
    struct model *model = making->model;
    if (making->noted_from == 0) {
        return;
    }
    pthread_mutex_lock(&model->mutex);
    if (sp_bounds_note(&model->bounds, event->position, sp_cut_time_of(event)) != SP_OK) {
        making->noted_from = 0;
    }
    pthread_mutex_unlock(&model->mutex);
}

static void close_span(struct making *making) {
    sp_cursor_close(making->cursor);
    making->cursor = NULL;
}

/* One step of a span: SP_OK with an event or, where it does not count, without. */
static sp_status step_span(struct making *making, const struct sp_event **ret_event,
                           struct sp_error *error) {
    const struct sp_event *event = NULL;
    sp_status status = sp_cursor_next(making->cursor, &event, error);
    switch ((int)status) {
    case SP_OK:
        making->at = event->position;
        making->read++;
        if (sp_cursor_allowed(making->cursor) == 0) {
            sp_cursor_allow(making->cursor, LOOKS_PER_STEP);
        }
        note(making, event);
        if (sp_cut_takes(&making->cut, event)) {
            *ret_event = event;
        } else {
            making->is_prefix = false;
        }
        return SP_OK;
    case SP_END:
        making->at = making->span_last;
        close_span(making);
        return SP_OK;
    case SP_BUSY: /* looked at many that do not match */
        sp_cursor_allow(making->cursor, LOOKS_PER_STEP);
        making->steps = 0;
        return SP_OK;
    case SP_NOT_FOUND: /* dropped meanwhile: a fold from the start would not see it either */
        return SP_OK;
    default:
        return status;
    }
}

static sp_status source_next(void *context, const struct sp_event **ret_event,
                             struct sp_error *error) {
    struct making *making = context;
    const struct sp_event *event = NULL;
    while (event == NULL) {
        if (making->cursor == NULL) {
            sp_status status = next_span(making, error);
            if (status != SP_OK) {
                return status;
            }
        }
        if (must_end(making, error)) {
            return SP_CANCELLED; /* the fold ends with this; a timeout is told apart later */
        }
        sp_status status = step_span(making, &event, error);
        if (status != SP_OK) {
            return status;
        }
    }
    *ret_event = event;
    return SP_OK;
}

static uint64_t source_position(void *context) {
    const struct making *making = context;
    return making->at;
}

static sp_status source_seek(void *context, uint64_t position, struct sp_error *error) {
    struct making *making = context;
    (void)error;
    close_span(making);
    if (position + 1 < making->from) {
        position = making->from - 1;
    }
    making->at = position;
    return SP_OK;
}

/*
 * ---- where to begin
 * -------------------------------------------------------------------------------
 */

/* The first event that is kept; says as well whether the query is one. */
static sp_status find_first(struct making *making, struct sp_error *error) {
    struct sp_cursor *cursor = NULL;
    sp_status status = sp_cursor_open(making->travel->engine, &making->query, &cursor, error);
    if (status == SP_OK) {
        uint64_t last;
        sp_cursor_range(cursor, &making->first, &last);
        sp_cursor_close(cursor);
    }
    return status;
}

/* The first position that counts, where the ask names one. */
static sp_status find_from(struct making *making, struct sp_error *error) {
    making->from = 1;
    if (making->ask->query.from.len == 0) {
        return SP_OK;
    }
    const struct sp_query query = {.from = making->ask->query.from};
    struct sp_cursor *cursor = NULL;
    sp_status status = sp_cursor_open(making->travel->engine, &query, &cursor, error);
    if (status == SP_OK) {
        uint64_t last;
        sp_cursor_range(cursor, &making->from, &last);
        sp_cursor_close(cursor);
    }
    return status;
}

/* Notes the times of events up to a position, so that a snapshot there can be judged. */
static sp_status fill_bounds(struct making *making, uint64_t until, struct sp_error *error) {
    struct model *model = making->model;
    uint64_t first;
    uint64_t last;
    pthread_mutex_lock(&model->mutex);
    bool gap = sp_bounds_gap(&model->bounds, until, &first, &last);
    pthread_mutex_unlock(&model->mutex);
    if (!gap) {
        return SP_OK;
    }
    sp_status status = open_span(making, first, last, error);
    making->span_last = last;
    making->noted_from = first;
    while (status == SP_OK && making->cursor != NULL) {
        const struct sp_event *event = NULL;
        status = must_end(making, error) ? (making->is_late ? SP_TIMEOUT : SP_CANCELLED)
                                         : step_span(making, &event, error);
    }
    close_span(making);
    if (status == SP_OK && making->noted_from != 0) {
        pthread_mutex_lock(&model->mutex);
        sp_bounds_cover(&model->bounds, first, last);
        pthread_mutex_unlock(&model->mutex);
        return SP_OK;
    }
    return status == SP_CORRUPT ? SP_OK : status; /* the fold meets it, where it matters */
}

/* The greatest position that a snapshot may have. */
static sp_status snapshot_limit(struct making *making, uint64_t *ret_position,
                                struct sp_error *error) {
    struct sp_snapshots *snapshots = making->travel->snapshots;
    struct sp_snapshot newest;
    *ret_position = making->cut.position;
    if (!making->cut.by_time ||
        !sp_snapshots_before(snapshots, &making->model->key, making->cut.position, &newest)) {
        return SP_OK;
    }
    sp_status status = fill_bounds(making, newest.position, error);
    pthread_mutex_lock(&making->model->mutex);
    uint64_t prefix = sp_bounds_prefix(&making->model->bounds, making->cut.time_us);
    pthread_mutex_unlock(&making->model->mutex);
    *ret_position = prefix < *ret_position ? prefix : *ret_position;
    return status;
}

/* A file system for what comes and goes: the snapshots' folder, or where nothing may be written
 * the system's for such files. */
static sp_status open_room(const struct sp_travel *travel, struct sp_fs **ret_fs,
                           char path[TRAVEL_PATH_SIZE], struct sp_error *error) {
    const char *folder = travel->folder;
    if (travel->options.read_only) {
        const char *named = getenv("TMPDIR");
        folder = named != NULL && strlen(named) < TRAVEL_PATH_SIZE / 2 ? named : "/tmp";
    }
    (void)snprintf(path, TRAVEL_PATH_SIZE, "%s", folder);
    return sp_fs_posix_open(folder, false, false, ret_fs, error);
}

/* Opens the build as a copy of a snapshot. */
static sp_status begin_from(struct making *making, const struct sp_snapshot *snapshot,
                            struct sp_error *error) {
    struct sp_travel *travel = making->travel;
    struct sp_fs *room = NULL;
    char folder[TRAVEL_PATH_SIZE];
    char path[TRAVEL_PATH_SIZE + SP_FS_PATH_BYTES_MAX + 2];
    char unused[TRAVEL_PATH_SIZE];
    char name[SP_FS_PATH_BYTES_MAX + 1];
    sp_status status = open_room(travel, &room, folder, error);
    if (status != SP_OK) {
        return status;
    }
    travel_copy_name(travel, name, unused);
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    status = sp_snapshots_load(travel->snapshots, &making->model->key, snapshot->position, room,
                               name, error);
    if (status == SP_OK) {
        status = sp_sqlite_scratch_new(making->ask->definition, travel->options.clock, path,
                                       &making->build, error);
        (void)room->ops->unlink(room, name, NULL);
    }
    room->ops->destroy(room);
    return status;
}

/* True where events behind the snapshot were dropped: it does not lead to what is kept. */
static bool leaves_gap(const struct making *making, const struct sp_snapshot *snapshot) {
    return snapshot->position + 1 < making->first && snapshot->position < making->cut.position;
}

/* Begins from the nearest snapshot that can be used. SP_NOT_FOUND where there is none. */
static sp_status begin_from_snapshot(struct making *making, struct sp_travel_state *state,
                                     struct sp_error *error) {
    struct sp_snapshot snapshot;
    uint64_t limit;
    if (!making->is_whole || travel_snapshots(making->travel, false) == NULL) {
        return SP_NOT_FOUND;
    }
    sp_status status = snapshot_limit(making, &limit, error);
    while (status == SP_OK &&
           sp_snapshots_before(making->travel->snapshots, &making->model->key, limit, &snapshot)) {
        if (leaves_gap(making, &snapshot)) {
            break;
        }
        status = begin_from(making, &snapshot, error);
        if (status == SP_OK) {
            state->from_snapshot = true;
            state->snapshot = snapshot.position;
            making->at = snapshot.position;
            making->snapshot_applied = snapshot.applied;
            return SP_OK;
        }
        /* Damaged, gone, or not to be opened: the one before will do. */
        if (status == SP_CORRUPT || status == SP_CONFLICT) {
            travel_say(making->travel, "a snapshot is passed over", error);
        }
        bool other = status == SP_CORRUPT || status == SP_CONFLICT || status == SP_NOT_FOUND;
        status = other ? SP_OK : status;
        if (snapshot.position == 0) {
            break;
        }
        limit = snapshot.position - 1;
    }
    return status == SP_OK ? SP_NOT_FOUND : status;
}

static sp_status begin_from_nothing(struct making *making, struct sp_travel_state *state,
                                    struct sp_error *error) {
    if (making->first > making->cut.position && making->first > 1 && making->cut.position > 0) {
        return sp_error_set(error, SP_NOT_FOUND,
                            "events up to %llu were dropped, and no snapshot reaches back to %llu",
                            (unsigned long long)(making->first - 1),
                            (unsigned long long)making->cut.position);
    }
    state->dropped = making->from < making->first ? making->first - 1 : 0;
    making->from = making->from > making->first ? making->from : making->first;
    making->at = making->from - 1;
    return sp_sqlite_scratch_new(making->ask->definition, making->travel->options.clock, NULL,
                                 &making->build, error);
}

/*
 * ---- the fold
 * -------------------------------------------------------------------------------------
 */

/* A build in memory may grow so far. */
static void limit_build(struct making *making) {
    sqlite3 *db = sp_sqlite_handle(making->build);
    (void)sqlite3_set_authorizer(db, NULL, NULL);
    int64_t page_bytes = 4096;
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, "PRAGMA page_size", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        page_bytes = sqlite3_column_int64(statement, 0);
    }
    (void)sqlite3_finalize(statement);
    char text[64];
    (void)snprintf(text, sizeof(text), "PRAGMA main.max_page_count = %llu",
                   (unsigned long long)(SP_TRAVEL_BUILD_BYTES_MAX / (uint64_t)page_bytes));
    (void)sqlite3_exec(db, text, NULL, NULL, NULL);
    sp_sqlite_handle_return(making->build);
}

/* After a commit: leaves a snapshot for those who ask next, where it is time. */
static void committed(void *context, const struct sp_fold_progress *progress) {
    struct making *making = context;
    struct sp_build_state state;
    (void)progress;
    making->build->ops->state(making->build, &state);
    uint64_t applied = state.applied - making->snapshot_applied;
    if (!making->is_whole || !making->is_prefix ||
        applied < making->travel->options.snapshot_events) {
        return;
    }
    uint64_t due = travel_snapshot_events(making->travel, making->build);
    if (applied >= due) {
        making->snapshot_applied = state.applied;
        travel_take(making->travel, making->model, making->build, due);
    }
}

static sp_status say_failed(struct making *making, struct sp_error *error) {
    struct sp_build_state state;
    making->build->ops->state(making->build, &state);
    return sp_error_set(error, SP_FAILED, "%s: event %llu (%s) cannot be applied: %s", state.name,
                        (unsigned long long)state.failed_position, state.failed_id,
                        state.failed_text);
}

static sp_status fold(struct making *making, struct sp_error *error) {
    uint64_t snapshot_events = making->travel->options.snapshot_events;
    const struct sp_fold_options options = {
        .build = making->build,
        .batch_events = snapshot_events < SP_FOLD_BATCH_EVENTS ? (uint32_t)snapshot_events : 0,
        .source = {.next = source_next,
                   .position = source_position,
                   .seek = source_seek,
                   .context = making},
        .clock = making->travel->options.clock,
        .upcast = making->travel->options.upcast,
        .upcast_context = making->travel->options.upcast_context,
        .progress = committed,
        .progress_context = making,
    };
    struct sp_fold *fold = NULL;
    enum sp_fold_end end = SP_FOLD_OVER;
    sp_status status = sp_fold_new(&options, &fold, error);
    status = status == SP_OK ? sp_fold_run(fold, 0, &end, error) : status;
    status = status == SP_OK && end != SP_FOLD_FAILED ? sp_fold_flush(fold, error) : status;
    sp_fold_free(fold);
    if (status == SP_CANCELLED && making->is_late) {
        status = sp_error_set(error, SP_TIMEOUT, "no state within the time it may take");
    }
    return status == SP_OK && end == SP_FOLD_FAILED ? say_failed(making, error) : status;
}

/*
 * ---- asking
 * --------------------------------------------------------------------------------------
 */

static bool is_restricted(const struct sp_query *query) {
    return query->type_count > 0 || query->source.ptr != NULL || query->stream.ptr != NULL ||
           query->correlation.ptr != NULL || query->filter.ptr != NULL || query->from.len > 0;
}

static sp_status prepare(struct making *making, struct sp_error *error) {
    const struct sp_travel_ask *ask = making->ask;
    struct sp_travel *travel = making->travel;
    uint64_t timeout_ms = ask->timeout_ms != 0 ? ask->timeout_ms : (uint64_t)SP_TRAVEL_TIMEOUT_MS;
    making->deadline_ns = now_ns(travel) + timeout_ms * 1000000u;
    making->is_whole = !is_restricted(&ask->query);
    making->is_prefix = true;
    making->query = ask->query;
    making->query.from = (sp_str){.ptr = NULL};
    if (ask->query.type_count == 0) {
        making->query.types = ask->definition->patterns;
        making->query.type_count = ask->definition->pattern_count;
    }
    sp_status status = travel_model(travel, ask->definition, &making->model, error);
    status = status == SP_OK ? find_first(making, error) : status;
    status = status == SP_OK ? find_from(making, error) : status;
    uint64_t now_us = travel->options.clock.wall_us(travel->options.clock.context);
    return status == SP_OK ? sp_cut_resolve(travel->engine, ask->until, ask->by_recorded, now_us,
                                            &making->cut, error)
                           : status;
}

/* What a whole walk has noted on its way is worth keeping. */
static void keep_bounds(struct making *making) {
    if (making->is_whole && making->noted_from != 0 && making->at >= making->noted_from) {
        pthread_mutex_lock(&making->model->mutex);
        sp_bounds_cover(&making->model->bounds, making->noted_from, making->at);
        pthread_mutex_unlock(&making->model->mutex);
        travel_save_bounds(making->travel, making->model, SP_TRAVEL_SNAPSHOT_EVENTS);
    }
}

static sp_status make(struct making *making, struct sp_travel_state *state,
                      struct sp_error *error) {
    sp_status status = prepare(making, error);
    if (status == SP_OK) {
        status = begin_from_snapshot(making, state, error);
        status = status == SP_NOT_FOUND ? begin_from_nothing(making, state, error) : status;
    }
    if (status != SP_OK) {
        return status;
    }
    limit_build(making);
    making->is_prefix = making->from <= 1 || making->at + 1 >= making->from;
    making->noted_from = making->is_whole ? making->at + 1 : 0;
    status = fold(making, error);
    if (status == SP_OK) {
        keep_bounds(making);
        struct sp_build_state built;
        making->build->ops->state(making->build, &built);
        state->cut = making->cut;
        state->events = built.applied;
        state->read = making->read;
    }
    return status;
}

sp_status sp_travel_ask(struct sp_travel *travel, const struct sp_travel_ask *ask,
                        struct sp_travel_state *ret_state, struct sp_error *error) {
    sp_require(ask->query.until.ptr == NULL && ask->query.limit == 0 && !ask->query.reverse &&
               !ask->query.follow);
    struct making making = {.travel = travel, .ask = ask};
    struct sp_travel_state state = {.build = NULL};
    sp_status status = make(&making, &state, error);
    close_span(&making);
    if (status != SP_OK) {
        if (making.build != NULL) {
            making.build->ops->close(making.build);
        }
        return status;
    }
    state.build = making.build;
    *ret_state = state;
    return SP_OK;
}
