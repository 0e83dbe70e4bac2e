/*
 * The functions of spoor.h over a server: each hands on to the client, in the forms of the public
 * border.
 */
#include <stdlib.h>

#include "api/api_int.h"
#include "client/append.h"
#include "client/lists.h"

sp_status api_remote_open(spoor *store, const char *url, const spoor_options *options,
                          struct sp_error *error) {
    struct sp_client_options to = {
        .own_thread = store->own_thread,
        .read_only = (options->flags & SPOOR_READ_ONLY) != 0,
        .outstanding_max = options->outstanding_max,
        .timeout_ms = options->timeout_ms,
        .limits = SP_EVENT_LIMITS_DEFAULT,
    };
    to.limits.event_bytes_max = options->event_bytes_max;
    return sp_client_open(sp_str_from(url), &to, &store->client, error);
}

spoor_status api_remote_turn(spoor *store, int timeout_ms) {
    uint32_t answered = 0;
    sp_client_turn(store->client, timeout_ms, &answered);
    return answered > 0 ? SPOOR_OK : SPOOR_TIMEOUT;
}

/* ---- appending ---- */

static sp_status submit_locked(spoor *store, const spoor_event *events, size_t count,
                               const spoor_expect *expects, size_t expect_count,
                               spoor_append_fn *done, void *context, struct sp_error *error) {
    sp_status status = sp_client_check_counts(store->client, count, expects, expect_count, error);
    if (status != SP_OK) {
        return status; /* before memory is taken for them */
    }
    struct sp_event *inside = malloc(count * sizeof(*inside));
    if (inside == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "append");
    }
    for (size_t i = 0; i < count && status == SP_OK; i++) {
        status = api_event_in(&events[i], &inside[i], error);
    }
    if (status == SP_OK) {
        status = sp_client_submit(store->client, inside, count, expects, expect_count, done,
                                  context, error);
    }
    free(inside);
    return status;
}

sp_status api_remote_submit(spoor *store, const spoor_event *events, size_t count,
                            const spoor_expect *expects, size_t expect_count, spoor_append_fn *done,
                            void *context, struct sp_error *error) {
    sp_client_lock(store->client);
    sp_status status =
        submit_locked(store, events, count, expects, expect_count, done, context, error);
    sp_client_unlock(store->client);
    return status;
}

/* Somebody who waits for an append. */
struct waiter {
    bool answered;
    spoor_status status;
    spoor_error error;
    spoor_appended *appended; /* may be NULL */
};

static void answer_waiter(void *context, spoor_status status, const spoor_appended *appended,
                          size_t count, const spoor_error *error) {
    struct waiter *waiter = context;
    waiter->status = status;
    waiter->error = *error;
    for (size_t i = 0; i < count && waiter->appended != NULL; i++) {
        waiter->appended[i] = appended[i];
    }
    waiter->answered = true;
}

spoor_status api_remote_append(spoor *store, const spoor_event *events, size_t count,
                               const spoor_expect *expects, size_t expect_count,
                               spoor_appended *ret_appended, spoor_error *ret_error) {
    struct sp_error error;
    struct waiter waiter = {.appended = ret_appended};
    sp_error_clear(&error);
    sp_client_lock(store->client);
    sp_status status = SP_OK;
    while ((status = submit_locked(store, events, count, expects, expect_count, answer_waiter,
                                   &waiter, &error)) == SP_BUSY) {
        sp_client_make_room(store->client);
    }
    if (status == SP_OK) {
        sp_client_await(store->client, &waiter.answered);
    }
    sp_client_unlock(store->client);
    if (status != SP_OK) {
        return api_error(status, &error, ret_error);
    }
    if (waiter.status != SPOOR_OK && ret_error != NULL) {
        *ret_error = waiter.error;
    }
    return waiter.status;
}
