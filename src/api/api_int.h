/*
 * What a handle of the public API is; only api*.c include this.
 *
 * A store that its host drives has no lock. One with its own thread has one, held by whoever uses
 * the engine, in turns: the store's thread, a caller, or a callback that submits more.
 * Durable writes happen on the log's worker, so the lock is never held across one.
 *
 * A store that is a server has a client in place of all that, which has a lock of its own.
 */
#ifndef SP_API_API_INT_H
#define SP_API_API_INT_H

#include <pthread.h>
#include <spoor.h>

#include "client/client.h"
#include "engine/engine.h"
#include "engine/query.h"

struct spoor {
    struct sp_client *client; /* of a server; NULL: a folder, which the rest is about */
    struct sp_engine *engine;
    struct sp_fs *fs;
    bool own_thread;
    bool closing;
    pthread_t thread;
    struct sp_guard lock;
    pthread_cond_t work; /* the store's thread waits here */
    pthread_cond_t news; /* subscriptions wait here for the durable position to rise */
    pthread_mutex_t wake_lock;
    uint64_t drive_due_us; /* until when the store's thread sleeps at most, for flows */
    bool woken;            /* guarded by wake_lock: a worker has finished something */
    _Atomic int fd;        /* for the host's poll; -1 until it is asked for */
    char *folder;          /* as it was named */
    struct sp_engine_opened opened;
    uint64_t cut_bytes;
    bool read_only;
    struct sp_projects *projects;   /* NULL: nobody has asked for read models */
    struct sp_upcasters *upcasters; /* likewise */
};

/* The lock of a store with its own thread; nothing for others. */
void api_lock(spoor *store);
void api_unlock(spoor *store);

/*
 * Wakes subscriptions where more is durable than before, or the store has failed. The lock is
 * held.
 */
void api_announce(spoor *store, uint64_t before);

/* Moves on what was submitted or has finished, here and now. The lock is held. */
void api_kick(spoor *store);

/* api_projections.c: ends read models, before the engine. */
void api_projects_close(spoor *store);

/* Has the store's thread do so. */
void api_ring(spoor *store);

/* The two error records have one layout. Returns the status. */
spoor_status api_error(sp_status status, const struct sp_error *from, spoor_error *to);

/* Over a server: api_remote.c. */
sp_status api_remote_open(spoor *store, const char *url, const spoor_options *options,
                          struct sp_error *error);
spoor_status api_remote_turn(spoor *store, int timeout_ms);
sp_status api_remote_submit(spoor *store, const spoor_event *events, size_t count,
                            const spoor_expect *expects, size_t expect_count, spoor_append_fn *done,
                            void *context, struct sp_error *error);
spoor_status api_remote_append(spoor *store, const spoor_event *events, size_t count,
                               const spoor_expect *expects, size_t expect_count,
                               spoor_appended *ret_appended, spoor_error *ret_error);

/* The query in the inside form: api_read.c. The patterns' slices are the caller's to free. */
sp_status api_query_in(const spoor_query *from, struct sp_query *to, sp_str **ret_types,
                       struct sp_error *error);

/* Over a folder: an event in a stream of the store's own; waits for it. */
spoor_status api_append_own(spoor *store, const spoor_event *event, spoor_error *ret_error);

/* Views of one kind of event as the other; nothing is copied. */
sp_status api_event_in(const spoor_event *from, struct sp_event *to, struct sp_error *error);
void api_event_out(const struct sp_event *from, spoor_extension *extensions, spoor_event *to);

static inline sp_str api_str_in(spoor_str s) {
    return sp_str_of(s.ptr, s.ptr != NULL ? s.len : 0);
}

static inline spoor_str api_str_out(sp_str s) {
    spoor_str out = {s.ptr, s.len};
    return out;
}

#endif
