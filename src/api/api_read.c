#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/api_int.h"
#include "client/cursor.h"
#include "client/lists.h"
#include "engine/flows.h"
#include "os/os.h"

struct spoor_cursor {
    spoor *store;
    struct sp_cursor *inside;
    struct sp_remote *remote; /* of a server's; then there is nothing inside */
    bool follow;
    spoor_event event;
    spoor_extension extensions[SP_EVENT_EXTENSIONS_MAX];
};

sp_status api_query_in(const spoor_query *from, struct sp_query *to, sp_str **ret_types,
                       struct sp_error *error) {
    *to = (struct sp_query){.limit = 0};
    *ret_types = NULL;
    if (from == NULL) {
        return SP_OK;
    }
    if (from->size != sizeof(*from)) {
        return sp_error_set(error, SP_INVALID, "query of %zu bytes: begin with SPOOR_QUERY_INIT",
                            from->size);
    }
    sp_str *types = calloc(from->type_count + 1, sizeof(*types));
    if (types == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "query");
    }
    for (size_t i = 0; i < from->type_count; i++) {
        types[i] = sp_str_from(from->types[i]);
    }
    *to = (struct sp_query){
        .types = types,
        .type_count = from->type_count,
        .source = sp_str_from(from->source),
        .stream = sp_str_from(from->stream),
        .correlation = sp_str_from(from->correlation),
        .filter = sp_str_from(from->filter),
        .from = sp_str_from(from->from),
        .until = sp_str_from(from->until),
        .limit = from->limit,
        .from_version = from->from_version,
        .reverse = from->reverse != 0,
    };
    *ret_types = types;
    return SP_OK;
}

/* Wraps an open cursor; closes it where that fails. */
static sp_status wrap(spoor *store, struct sp_cursor *inside, bool follow,
                      spoor_cursor **ret_cursor, struct sp_error *error) {
    spoor_cursor *cursor = calloc(1, sizeof(*cursor));
    if (cursor == NULL) {
        sp_cursor_close(inside);
        return sp_error_set(error, SP_NO_MEMORY, "cursor");
    }
    cursor->store = store;
    cursor->inside = inside;
    cursor->follow = follow;
    *ret_cursor = cursor;
    return SP_OK;
}

/* Wraps a cursor over a server; closes it where that fails. */
static spoor_status wrap_remote(spoor *store, sp_status status, struct sp_remote *remote,
                                spoor_cursor **ret_cursor, struct sp_error *error,
                                spoor_error *ret_error) {
    spoor_cursor *cursor = status == SP_OK ? calloc(1, sizeof(*cursor)) : NULL;
    if (status == SP_OK && cursor == NULL) {
        sp_remote_close(remote);
        status = sp_error_set(error, SP_NO_MEMORY, "cursor");
    }
    if (status == SP_OK) {
        cursor->store = store;
        cursor->remote = remote;
        *ret_cursor = cursor;
    }
    return api_error(status, error, ret_error);
}

static spoor_status open_query(spoor *store, const spoor_query *query, bool follow,
                               spoor_cursor **ret_cursor, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    struct sp_query inside;
    sp_str *types = NULL;
    struct sp_cursor *cursor = NULL;
    if (store->client != NULL) {
        struct sp_remote *remote = NULL;
        sp_status opened = follow ? sp_remote_subscribe(store->client, query, &remote, &error)
                                  : sp_remote_read(store->client, query, &remote, &error);
        return wrap_remote(store, opened, remote, ret_cursor, &error, ret_error);
    }
    sp_status status = api_query_in(query, &inside, &types, &error);
    inside.follow = follow;
    status = status == SP_OK ? sp_cursor_open(store->engine, &inside, &cursor, &error) : status;
    free(types);
    status = status == SP_OK ? wrap(store, cursor, follow, ret_cursor, &error) : status;
    return api_error(status, &error, ret_error);
}

spoor_status spoor_read(spoor *store, const spoor_query *query, spoor_cursor **ret_cursor,
                        spoor_error *error) {
    return open_query(store, query, false, ret_cursor, error);
}

spoor_status spoor_subscribe(spoor *store, const spoor_query *query, spoor_cursor **ret_cursor,
                             spoor_error *error) {
    return open_query(store, query, true, ret_cursor, error);
}

/*
 * ---- waiting for what comes
 * ------------------------------------------------------------------------
 */

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Waits until more is durable than there was, or the deadline. The lock is not held. */
static void wait_for_news(spoor *store, uint64_t seen, uint64_t deadline_ms) {
    struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
                             .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    sp_guard_enter(&store->lock);
    while (sp_engine_durable_position(store->engine) == seen &&
           sp_engine_state(store->engine, NULL) == SP_OK && now_ms() < deadline_ms) {
        (void)sp_guard_wait(&store->lock, &store->news, &until);
    }
    sp_guard_leave(&store->lock);
}

/*
 * Lets time pass for a subscription that has caught up. False where the deadline came, or waiting
 * is vain.
 */
static bool let_pass(spoor *store, uint64_t seen, uint64_t deadline_ms) {
    if (now_ms() >= deadline_ms) {
        return false;
    }
    if (store->own_thread) {
        wait_for_news(store, seen, deadline_ms);
        return true;
    }
    uint64_t left = deadline_ms - now_ms();
    int wait_ms = left > 1000 ? 1000 : (int)left;
    (void)sp_engine_turn(store->engine, wait_ms);
    if (sp_engine_durable_position(store->engine) != seen ||
        sp_engine_outstanding(store->engine) > 0) {
        return true;
    }
    /* Only this thread appends: with nothing outstanding only what flows do can come. */
    int flows_ms = sp_engine_flows_wait_ms(store->engine);
    if (sp_engine_must_wait(store->engine)) {
        sp_engine_wait(store->engine, wait_ms);
    } else if (flows_ms > 0) {
        sp_sleep_us((uint64_t)(flows_ms < wait_ms ? flows_ms : wait_ms) * 1000);
    }
    return flows_ms >= 0 || sp_engine_must_wait(store->engine);
}

/* As sp_cursor_next; a subscription that has caught up waits. */
static sp_status next_inside(spoor_cursor *cursor, int timeout_ms,
                             const struct sp_event **ret_event, struct sp_error *error) {
    enum { FOREVER_MS = 1000000000 };
    spoor *store = cursor->store;
    uint64_t deadline_ms = 0;
    sp_status status = sp_cursor_next(cursor->inside, ret_event, error);
    while (status == SP_TIMEOUT && timeout_ms != 0) {
        if (deadline_ms == 0) {
            deadline_ms = now_ms() + (uint64_t)(timeout_ms < 0 ? FOREVER_MS : timeout_ms);
        }
        api_lock(store);
        uint64_t seen = sp_engine_durable_position(store->engine);
        api_unlock(store);
        status =
            sp_cursor_next(cursor->inside, ret_event, error); /* what came just before `seen` */
        if (status == SP_TIMEOUT) {
            if (!let_pass(store, seen, deadline_ms)) {
                break;
            }
            status = sp_cursor_next(cursor->inside, ret_event, error);
        }
        if (status == SP_TIMEOUT && sp_engine_state(store->engine, error) != SP_OK) {
            status = SP_FAILED;
        }
    }
    return status;
}

spoor_status spoor_next(spoor_cursor *cursor, int timeout_ms, const spoor_event **ret_event,
                        spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    const struct sp_event *event = NULL;
    sp_status status = cursor->remote != NULL
                           ? sp_remote_next(cursor->remote, timeout_ms, &event, &error)
                           : next_inside(cursor, timeout_ms, &event, &error);
    if (status == SP_OK) {
        api_event_out(event, cursor->extensions, &cursor->event);
        *ret_event = &cursor->event;
    }
    return api_error(status, &error, ret_error);
}

spoor_status spoor_event_hash(spoor_cursor *cursor, uint8_t ret_hash[32], spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = cursor->remote != NULL ? sp_remote_hash(cursor->remote, ret_hash, &error)
                                              : sp_cursor_hash(cursor->inside, ret_hash, &error);
    return api_error(status, &error, ret_error);
}

unsigned spoor_cursor_depth(const spoor_cursor *cursor) {
    return cursor->remote != NULL ? sp_remote_depth(cursor->remote)
                                  : sp_cursor_depth(cursor->inside);
}

void spoor_cursor_close(spoor_cursor *cursor) {
    if (cursor != NULL) {
        sp_remote_close(cursor->remote);
        sp_cursor_close(cursor->inside);
        free(cursor);
    }
}

/*
 * ---- lookups
 * ---------------------------------------------------------------------------------------
 */

static spoor_status wrap_list(spoor *store, sp_status status, struct sp_cursor *inside,
                              spoor_cursor **ret_cursor, struct sp_error *error,
                              spoor_error *ret_error) {
    status = status == SP_OK ? wrap(store, inside, false, ret_cursor, error) : status;
    return api_error(status, error, ret_error);
}

spoor_status spoor_find(spoor *store, const char *id, const char *source, spoor_cursor **ret_cursor,
                        spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    struct sp_cursor *inside = NULL;
    if (store->client != NULL) {
        struct sp_remote *remote = NULL;
        sp_status found = sp_remote_find(store->client, id, source, &remote, &error);
        return wrap_remote(store, found, remote, ret_cursor, &error, ret_error);
    }
    sp_status status =
        sp_cursor_find(store->engine, sp_str_from(id), sp_str_from(source), &inside, &error);
    return wrap_list(store, status, inside, ret_cursor, &error, ret_error);
}

static spoor_status trace(spoor *store, const char *id, bool effects, spoor_cursor **ret_cursor,
                          spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    struct sp_cursor *inside = NULL;
    if (store->client != NULL) {
        struct sp_remote *remote = NULL;
        sp_status traced = sp_remote_trace(store->client, id, effects, &remote, &error);
        return wrap_remote(store, traced, remote, ret_cursor, &error, ret_error);
    }
    sp_status status = effects ? sp_cursor_effects(store->engine, sp_str_from(id), &inside, &error)
                               : sp_cursor_causes(store->engine, sp_str_from(id), &inside, &error);
    return wrap_list(store, status, inside, ret_cursor, &error, ret_error);
}

spoor_status spoor_causes(spoor *store, const char *id, spoor_cursor **ret_cursor,
                          spoor_error *ret_error) {
    return trace(store, id, false, ret_cursor, ret_error);
}

spoor_status spoor_effects(spoor *store, const char *id, spoor_cursor **ret_cursor,
                           spoor_error *ret_error) {
    return trace(store, id, true, ret_cursor, ret_error);
}

/*
 * ---- streams and runs
 * ------------------------------------------------------------------------------
 */

/* False where the stream has no event: it was only made ready for one that then was refused. */
static bool stream_out(const struct sp_stream *stream, spoor_stream *to) {
    to->name = api_str_out(sp_stream_name(stream));
    to->version = stream->version;
    to->last_position = stream->last_position;
    return stream->version > 0;
}

/*
 * Waits until nothing is in flight, so that versions are durable ones. The lock is held all the
 * time: nobody appends meanwhile.
 */
static void settle(spoor *store) {
    uint64_t before = sp_engine_durable_position(store->engine);
    while (sp_engine_outstanding(store->engine) > 0 &&
           sp_engine_state(store->engine, NULL) == SP_OK) {
        (void)sp_engine_turn(store->engine, -1);
    }
    api_announce(store, before);
}

spoor_status spoor_streams(spoor *store, uint64_t skip, spoor_stream_fn *each, void *context,
                           spoor_error *ret_error) {
    if (store->client != NULL) {
        struct sp_error error;
        sp_error_clear(&error);
        sp_status walked = sp_client_streams(store->client, skip, each, context, &error);
        return api_error(walked, &error, ret_error);
    }
    api_lock(store);
    settle(store);
    const struct sp_streams *streams = &sp_engine_core(store->engine)->streams;
    for (uint64_t i = skip; i < streams->count; i++) {
        spoor_stream stream;
        if (stream_out(sp_stream_at(streams, (uint32_t)i), &stream) &&
            each(context, &stream) != 0) {
            break;
        }
    }
    api_unlock(store);
    return SPOOR_OK;
}

spoor_status spoor_stream_get(spoor *store, const char *name, spoor_stream *ret_stream,
                              spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_str text = sp_str_from(name);
    sp_status status = SP_NOT_FOUND;
    if (store->client != NULL) {
        status = sp_client_stream_get(store->client, name, ret_stream, &error);
        return api_error(status, &error, ret_error);
    }
    api_lock(store);
    settle(store);
    const struct sp_streams *streams = &sp_engine_core(store->engine)->streams;
    uint32_t index = sp_streams_find(streams, sp_stream_hash(text), text);
    spoor_stream stream;
    if (index != UINT32_MAX && stream_out(sp_stream_at(streams, index), &stream)) {
        *ret_stream = stream;
        status = SP_OK;
    } else {
        (void)sp_error_set(&error, status, "no stream %.*s", SP_STR_ARG(text));
    }
    api_unlock(store);
    return api_error(status, &error, ret_error);
}

struct run_walk {
    spoor_run_fn *each;
    void *context;
};

static bool run_out(void *context, const struct sp_run *run) {
    static const char *const statuses[] = {
        [SP_RUN_RUNNING] = "running", [SP_RUN_COMPLETED] = "completed", [SP_RUN_FAILED] = "failed"};
    const struct run_walk *walk = context;
    spoor_run out = {
        .correlationid = api_str_out(run->correlation),
        .status = spoor_text(statuses[run->status]),
        .event_count = run->event_count,
        .first_position = run->first_position,
        .last_position = run->last_position,
        .first_recorded_us = run->first_recorded_us,
        .last_recorded_us = run->last_recorded_us,
        .first_type = api_str_out(run->first_type),
        .last_type = api_str_out(run->last_type),
        .first_time = api_str_out(run->first_time),
        .last_time = api_str_out(run->last_time),
    };
    return walk->each(walk->context, &out) == 0;
}

spoor_status spoor_runs(spoor *store, const spoor_query *query, spoor_run_fn *each, void *context,
                        spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    struct sp_query inside;
    sp_str *types = NULL;
    struct run_walk walk = {.each = each, .context = context};
    if (store->client != NULL) {
        sp_status walked = sp_client_runs(store->client, query, each, context, &error);
        return api_error(walked, &error, ret_error);
    }
    sp_status status = api_query_in(query, &inside, &types, &error);
    status =
        status == SP_OK ? sp_runs_walk(store->engine, &inside, run_out, &walk, &error) : status;
    free(types);
    return api_error(status, &error, ret_error);
}
