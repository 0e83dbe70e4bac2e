#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_int.h"
#include "base/time.h"

static void result_out(const struct sp_engine_result *from, spoor_appended *to) {
    to->position = from->position;
    to->version = from->version;
    to->recorded_us = from->recorded_us;
    to->entry_ms = from->recorded_us / 1000;
    to->entry_seq = from->entry_seq;
    to->delayed_us = from->delayed_us;
    to->duplicate = from->duplicate;
    to->id[0] = '\0';
    if (from->id_made) {
        sp_uuid_format(from->id, to->id);
        to->id[SP_UUID_TEXT_SIZE] = '\0';
    }
}

/* Streams of the store's own are written by it alone; an import brings what another wrote. */
static sp_status check_streams(const spoor *store, const spoor_event *events, size_t count,
                               struct sp_error *error) {
    sp_status status =
        store->client == NULL ? sp_engine_check_count(store->engine, count, error) : SP_OK;
    for (size_t i = 0; i < count && status == SP_OK && store->client == NULL; i++) {
        const spoor_event *event = &events[i];
        sp_str stream = api_str_in(event->stream.ptr != NULL ? event->stream : event->source);
        if (event->recorded_us == 0 && sp_stream_is_own(stream)) {
            return sp_error_set(error, SP_DENIED,
                                "streams that begin with $ or saga: are the store's own");
        }
    }
    return status;
}

/* Hands events in the public form to the engine. The lock is held. */
static sp_status submit_locked(spoor *store, const spoor_event *events, size_t count,
                               const spoor_expect *expects, size_t expect_count,
                               sp_engine_done_fn *done, sp_engine_extra_fn *extra, void *context,
                               struct sp_error *error) {
    sp_status status = sp_engine_check_count(store->engine, count, error);
    if (status != SP_OK) {
        return status; /* before memory is taken for them */
    }
    struct sp_event one;
    struct sp_engine_expect one_expect;
    struct sp_event *inside = count == 1 ? &one : malloc(count * sizeof(*inside));
    struct sp_engine_expect *inside_expects =
        expect_count <= 1 ? &one_expect : malloc(expect_count * sizeof(*inside_expects));
    if (inside == NULL || inside_expects == NULL) {
        status = sp_error_set(error, SP_NO_MEMORY, "append");
    }
    for (size_t i = 0; i < count && status == SP_OK; i++) {
        status = api_event_in(&events[i], &inside[i], error);
    }
    for (size_t i = 0; i < expect_count && status == SP_OK; i++) {
        inside_expects[i] = (struct sp_engine_expect){.stream = api_str_in(expects[i].stream),
                                                      .version = expects[i].version};
    }
    if (status == SP_OK) {
        struct sp_engine_append append = {.events = inside,
                                          .count = (uint32_t)count,
                                          .origin = SP_EVENT_FROM_FIELDS,
                                          .expects = inside_expects,
                                          .expect_count = (uint32_t)expect_count,
                                          .done = done,
                                          .extra = extra,
                                          .context = context};
        status = sp_engine_submit(store->engine, &append, error);
    }
    if (inside != &one) {
        free(inside);
    }
    if (inside_expects != &one_expect) {
        free(inside_expects);
    }
    return status;
}

static sp_status check_counts(const spoor_event *events, size_t count, const spoor_expect *expects,
                              size_t expect_count, struct sp_error *error) {
    enum { COUNT_MAX = 1 << 22 };
    if (events == NULL || count == 0) {
        return sp_error_set(error, SP_INVALID, "an append of no events");
    }
    if (count > COUNT_MAX || expect_count > COUNT_MAX || (expects == NULL && expect_count > 0)) {
        return sp_error_set(error, SP_INVALID, "an append of %zu events with %zu expectations",
                            count, expect_count);
    }
    return SP_OK;
}

/*
 * ---- without waiting
 * ------------------------------------------------------------------------------
 */

enum { RESULTS_ON_STACK = 64 };

/* Tells the outcome to the caller's own function, which is `extra`. */
static void answer_caller(void *context, sp_engine_extra_fn *extra, sp_status status,
                          const struct sp_engine_result *results, uint32_t count,
                          const struct sp_error *failure) {
    spoor_append_fn *done = (spoor_append_fn *)extra;
    spoor_appended few[RESULTS_ON_STACK];
    spoor_appended *appended = count <= RESULTS_ON_STACK ? few : malloc(count * sizeof(*appended));
    spoor_error error;
    error.status = SPOOR_OK;
    error.text[0] = '\0';
    if (failure != NULL) {
        (void)api_error(status, failure, &error);
    }
    for (uint32_t i = 0; i < count && appended != NULL; i++) {
        result_out(&results[i], &appended[i]);
    }
    /* Without memory for the places the outcome is told all the same. */
    done(context, (spoor_status)status, appended, appended != NULL ? count : 0, &error);
    if (appended != few) {
        free(appended);
    }
}

spoor_status spoor_submit(spoor *store, const spoor_event *events, size_t count,
                          const spoor_expect *expects, size_t expect_count, spoor_append_fn *done,
                          void *context, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = check_counts(events, count, expects, expect_count, &error);
    status = status == SP_OK ? check_streams(store, events, count, &error) : status;
    if (status == SP_OK && store->client != NULL) {
        status =
            api_remote_submit(store, events, count, expects, expect_count, done, context, &error);
    } else if (status == SP_OK) {
        api_lock(store);
        status = submit_locked(store, events, count, expects, expect_count,
                               done != NULL ? answer_caller : NULL, (sp_engine_extra_fn *)done,
                               context, &error);
        if (store->own_thread && status == SP_OK) {
            api_ring(store);
        }
        api_unlock(store);
    }
    return api_error(status, &error, ret_error);
}

/*
 * ---- with waiting
 * ---------------------------------------------------------------------------------
 */

/* Somebody who waits for an append. */
struct waiter {
    bool answered;
    sp_status status;
    struct sp_error error;
    spoor_appended *appended; /* may be NULL */
    bool has_cond;
    pthread_cond_t cond;
};

static void answer_waiter(void *context, sp_engine_extra_fn *extra, sp_status status,
                          const struct sp_engine_result *results, uint32_t count,
                          const struct sp_error *failure) {
    struct waiter *waiter = context;
    (void)extra;
    waiter->status = status;
    if (failure != NULL) {
        waiter->error = *failure;
    }
    for (uint32_t i = 0; i < count && waiter->appended != NULL; i++) {
        result_out(&results[i], &waiter->appended[i]);
    }
    waiter->answered = true;
    if (waiter->has_cond) {
        pthread_cond_signal(&waiter->cond);
    }
}

/* Drives or waits until the append was answered. The lock is held. */
static void await(spoor *store, struct waiter *waiter) {
    if (store->own_thread) {
        api_kick(store);
    }
    while (!waiter->answered) {
        if (store->own_thread) {
            (void)sp_guard_wait(&store->lock, &waiter->cond, NULL);
        } else {
            (void)sp_engine_turn(store->engine, -1);
        }
    }
}

/* The queue is full: what is in it moves on first. The lock is held. */
static void make_room(spoor *store) {
    if (store->own_thread) {
        api_kick(store);
        sp_guard_leave(&store->lock);
        sched_yield();
        sp_guard_enter(&store->lock);
    } else {
        (void)sp_engine_turn(store->engine, 1);
        sp_engine_wait(store->engine, 1);
    }
}

/* Appends to a folder and waits; whose streams they are was looked at. */
static spoor_status append_here(spoor *store, const spoor_event *events, size_t count,
                                const spoor_expect *expects, size_t expect_count,
                                spoor_appended *ret_appended, spoor_error *ret_error) {
    struct sp_error error;
    sp_status status = SP_OK;
    sp_error_clear(&error);
    struct waiter waiter = {.appended = ret_appended, .has_cond = store->own_thread};
    sp_error_clear(&waiter.error);
    if (waiter.has_cond) {
        pthread_cond_init(&waiter.cond, NULL);
    }
    api_lock(store);
    while ((status = submit_locked(store, events, count, expects, expect_count, answer_waiter, NULL,
                                   &waiter, &error)) == SP_BUSY) {
        make_room(store);
    }
    if (status == SP_OK) {
        await(store, &waiter);
    }
    api_unlock(store);
    if (waiter.has_cond) {
        pthread_cond_destroy(&waiter.cond);
    }
    return status != SP_OK ? api_error(status, &error, ret_error)
                           : api_error(waiter.status, &waiter.error, ret_error);
}

spoor_status spoor_append_batch(spoor *store, const spoor_event *events, size_t count,
                                const spoor_expect *expects, size_t expect_count,
                                spoor_appended *ret_appended, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = check_counts(events, count, expects, expect_count, &error);
    status = status == SP_OK ? check_streams(store, events, count, &error) : status;
    if (status != SP_OK) {
        return api_error(status, &error, ret_error);
    }
    return store->client != NULL
               ? api_remote_append(store, events, count, expects, expect_count, ret_appended,
                                   ret_error)
               : append_here(store, events, count, expects, expect_count, ret_appended, ret_error);
}

spoor_status api_append_own(spoor *store, const spoor_event *event, spoor_error *ret_error) {
    sp_require(store->client == NULL);
    return append_here(store, event, 1, NULL, 0, NULL, ret_error);
}

spoor_status spoor_append(spoor *store, const spoor_event *event, uint64_t expected_version,
                          spoor_appended *ret_appended, spoor_error *error) {
    spoor_expect expect = {.version = expected_version};
    bool expects = expected_version != SPOOR_ANY_VERSION;
    if (event != NULL && expects) {
        expect.stream = event->stream.ptr != NULL ? event->stream : event->source;
    }
    return spoor_append_batch(store, event, 1, expects ? &expect : NULL, expects ? 1 : 0,
                              ret_appended, error);
}
