#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_int.h"
#include "base/wire.h"
#include "client/lists.h"
#include "engine/flows.h"
#include "log/local.h"
#include "os/wakeup.h"

enum {
    EVENT_BYTES_DEFAULT = 1 << 20,
    EVENT_BYTES_MOST = 16 << 20,
    OUTSTANDING_DEFAULT = 65536,
    OUTSTANDING_MOST = 1 << 22,
    SEGMENT_BYTES_DEFAULT = 128 << 20, /* what is not sealed must be indexed anew by opening */
    SEGMENT_BYTES_MOST = 256 << 20,
    SEGMENT_BYTES_FIRST = 8 << 20,
    BLOCK_BYTES_DEFAULT = 4 << 20,
    CACHE_BYTES_DEFAULT = 32 << 20,
    UPKEEP_MS = 5,
    IDLE_MS = 250,
    TIMEOUT_MS_DEFAULT = 30000,
    BUSY_TRIES = 5,
};

_Static_assert((int)SPOOR_CANCELLED == (int)SP_CANCELLED && (int)SPOOR_CORRUPT == (int)SP_CORRUPT &&
                   (int)SPOOR_FAILED == (int)SP_FAILED && (int)SPOOR_END == (int)SP_END,
               "statuses have the same numbers inside and outside");
_Static_assert(sizeof(((spoor_error *)0)->text) == SP_ERROR_TEXT_SIZE, "texts have one size");

const char *spoor_version(void) {
    return "0.1.0";
}

const char *spoor_status_name(spoor_status status) {
    return sp_status_name((sp_status)status);
}

const char *spoor_status_text(spoor_status status) {
    return sp_status_text((sp_status)status);
}

spoor_status api_error(sp_status status, const struct sp_error *from, spoor_error *to) {
    if (status != SP_OK && to != NULL) {
        to->status = (spoor_status)status;
        to->os_error = from->os_error;
        to->offset = from->offset;
        bool told = from->status != SP_OK && from->text[0] != '\0';
        (void)snprintf(to->text, sizeof(to->text), "%s",
                       told ? from->text : sp_status_text(status));
    }
    return (spoor_status)status;
}

void spoor_free(void *memory) {
    free(memory);
}

void spoor_options_init(spoor_options *options) {
    *options = (spoor_options){
        .size = sizeof(*options),
        .flags = SPOOR_CREATE,
        .event_bytes_max = EVENT_BYTES_DEFAULT,
        .outstanding_max = OUTSTANDING_DEFAULT,
        .segment_bytes_max = SEGMENT_BYTES_DEFAULT,
        .cache_bytes_max = CACHE_BYTES_DEFAULT,
        .timeout_ms = TIMEOUT_MS_DEFAULT,
    };
}

/*
 * ---- the drive
 * ------------------------------------------------------------------------------------
 */

void api_lock(spoor *store) {
    if (store->own_thread) {
        sp_guard_enter(&store->lock);
    }
}

void api_unlock(spoor *store) {
    if (store->own_thread) {
        sp_guard_leave(&store->lock);
    }
}

void api_ring(spoor *store) {
    pthread_mutex_lock(&store->wake_lock);
    if (!store->woken) {
        store->woken = true;
        pthread_cond_signal(&store->work);
    }
    pthread_mutex_unlock(&store->wake_lock);
}

/* A worker finished something. Runs on the worker's thread: it only rings. */
static void wake(void *context) {
    spoor *store = context;
    int fd = atomic_load(&store->fd);
    if (fd >= 0) {
        sp_wakeup_signal(fd);
    }
    if (store->own_thread) {
        api_ring(store);
    }
}

void api_announce(spoor *store, uint64_t before) {
    bool news = sp_engine_durable_position(store->engine) != before ||
                sp_engine_state(store->engine, NULL) != SP_OK;
    if (store->own_thread && news) {
        pthread_cond_broadcast(&store->news);
    }
}

void api_kick(spoor *store) {
    if (!store->own_thread) {
        return;
    }
    uint64_t before = sp_engine_durable_position(store->engine);
    (void)sp_engine_poll(store->engine);
    api_announce(store, before);
    if (sp_engine_flows_due_us(store->engine) < store->drive_due_us) {
        api_ring(store); /* the store's thread sleeps longer than it should now */
    }
}

/* How long nobody needs to turn, where no worker rings before. */
static int idle_ms(const spoor *store) {
    int wait_ms = sp_engine_must_wait(store->engine) ? UPKEEP_MS : IDLE_MS;
    int flows_ms = sp_engine_flows_wait_ms(store->engine);
    return flows_ms >= 0 && flows_ms < wait_ms ? flows_ms : wait_ms;
}

static void wait_for_ring(spoor *store, int timeout_ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)timeout_ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&store->wake_lock);
    while (!store->woken && pthread_cond_timedwait(&store->work, &store->wake_lock, &until) == 0) {
    }
    store->woken = false;
    pthread_mutex_unlock(&store->wake_lock);
}

/* The store's thread: whenever a worker rings, and now and then for upkeep. */
static void *drive(void *context) {
    spoor *store = context;
    bool closing = false;
    while (!closing) {
        sp_guard_enter(&store->lock);
        api_kick(store);
        closing = store->closing;
        int wait_ms = idle_ms(store);
        store->drive_due_us = sp_engine_flows_due_us(store->engine);
        sp_guard_leave(&store->lock);
        if (!closing && wait_ms > 0) {
            wait_for_ring(store, wait_ms);
        }
    }
    return NULL;
}

static sp_status start_thread(spoor *store, struct sp_error *error) {
    if (!store->own_thread) {
        return SP_OK;
    }
    int failed = pthread_create(&store->thread, NULL, drive, store);
    if (failed != 0) {
        return sp_error_set_os(error, SP_NO_MEMORY, failed, "no thread to be had");
    }
    return SP_OK;
}

static void init_locks(spoor *store) {
    sp_guard_init(&store->lock);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&store->wake_lock, NULL);
    pthread_cond_init(&store->work, &monotonic);
    pthread_cond_init(&store->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/*
 * ---- opening
 * --------------------------------------------------------------------------------------
 */

/* The size is looked at before anything else: an older program's struct is shorter. */
static sp_status check_options_size(const spoor_options *options, struct sp_error *error) {
    if (options->size < sizeof(options->size) || options->size > sizeof(*options)) {
        return sp_error_set(error, SP_INVALID, "options of %zu bytes: call spoor_options_init",
                            options->size);
    }
    return SP_OK;
}

static sp_status check_options(const spoor_options *options, struct sp_error *error) {
    if (options->event_bytes_max > EVENT_BYTES_MOST) {
        return sp_error_set(error, SP_INVALID, "event_bytes_max %u, at most %d",
                            options->event_bytes_max, EVENT_BYTES_MOST);
    }
    if (options->outstanding_max > OUTSTANDING_MOST) {
        return sp_error_set(error, SP_INVALID, "outstanding_max %u, at most %d",
                            options->outstanding_max, OUTSTANDING_MOST);
    }
    if (options->segment_bytes_max > SEGMENT_BYTES_MOST) {
        return sp_error_set(error, SP_INVALID, "segment_bytes_max %llu, at most %d",
                            (unsigned long long)options->segment_bytes_max, SEGMENT_BYTES_MOST);
    }
    if ((unsigned)options->durability > SPOOR_DURABLE_OS) {
        return sp_error_set(error, SP_INVALID, "durability %d is none of enum spoor_durability",
                            (int)options->durability);
    }
    bool exclusive = (options->flags & SPOOR_OWN_THREAD) != 0 &&
                     (options->flags & (SPOOR_NO_THREADS | SPOOR_READ_ONLY)) != 0;
    if (exclusive) {
        return sp_error_set(error, SP_INVALID,
                            "SPOOR_OWN_THREAD goes neither with SPOOR_NO_THREADS nor with "
                            "SPOOR_READ_ONLY");
    }
    return SP_OK;
}

/* A block must hold the largest event, and a segment a block; small segments are for tests. */
static void size_log(const spoor_options *options, struct sp_engine_options *to) {
    uint64_t block = BLOCK_BYTES_DEFAULT;
    while (block < (uint64_t)options->event_bytes_max * 2) {
        block *= 2;
    }
    uint64_t segment = options->segment_bytes_max / SP_BLOCK_ALIGN * SP_BLOCK_ALIGN;
    while (segment < block + SP_BLOCK_ALIGN && block > SP_BLOCK_ALIGN * 16) {
        block /= 2;
    }
    uint64_t first = segment < SEGMENT_BYTES_FIRST ? segment : SEGMENT_BYTES_FIRST;
    to->block_bytes_max = (uint32_t)block;
    to->segment_bytes_max = segment;
    to->segment_bytes_min = first < block + SP_BLOCK_ALIGN ? segment : first;
}

static struct sp_engine_options engine_options(spoor *store, const spoor_options *options) {
    struct sp_engine_options to = {
        .fs = store->fs,
        .clock = sp_clock_system(),
        .create = (options->flags & SPOOR_CREATE) != 0,
        .read_only = (options->flags & SPOOR_READ_ONLY) != 0,
        .inline_jobs = (options->flags & SPOOR_NO_THREADS) != 0,
        .threaded_writes = store->own_thread,
        .guard = store->own_thread ? &store->lock : NULL,
        .limits = SP_EVENT_LIMITS_DEFAULT,
        .outstanding_max = options->outstanding_max,
        .tail_bytes_max = options->cache_bytes_max,
        .retain_bytes_max = options->retain_bytes_max,
        .retain_age_us = options->retain_age_us,
        .durability = (enum sp_log_local_durability)options->durability,
        .sync_period_us = options->sync_period_us,
        .wake = wake,
        .wake_context = store,
    };
    to.limits.event_bytes_max = options->event_bytes_max;
    size_log(options, &to);
    return to;
}

/*
 * The caller's options, with defaults for what its version of the struct does not have, or left at
 * 0.
 */
static spoor_options complete(const spoor_options *options) {
    spoor_options full;
    spoor_options_init(&full);
    if (options != NULL) {
        spoor_options defaults = full;
        memcpy(&full, options, options->size < sizeof(full) ? options->size : sizeof(full));
        full.event_bytes_max =
            full.event_bytes_max != 0 ? full.event_bytes_max : defaults.event_bytes_max;
        full.outstanding_max =
            full.outstanding_max != 0 ? full.outstanding_max : defaults.outstanding_max;
        full.segment_bytes_max =
            full.segment_bytes_max != 0 ? full.segment_bytes_max : defaults.segment_bytes_max;
        full.cache_bytes_max =
            full.cache_bytes_max != 0 ? full.cache_bytes_max : defaults.cache_bytes_max;
        full.timeout_ms = full.timeout_ms != 0 ? full.timeout_ms : defaults.timeout_ms;
    }
    return full;
}

static void free_store(spoor *store) {
    sp_client_close(store->client);
    if (store->fs != NULL) {
        store->fs->ops->destroy(store->fs);
    }
    int fd = atomic_load(&store->fd);
    if (fd >= 0) {
        sp_wakeup_close(fd);
    }
    pthread_cond_destroy(&store->work);
    pthread_cond_destroy(&store->news);
    pthread_mutex_destroy(&store->wake_lock);
    sp_guard_fini(&store->lock);
    free(store->folder);
    free(store);
}

/* Beside a live writer files may change hands while they are being opened: look again then. */
static sp_status open_engine(spoor *store, const struct sp_engine_options *options,
                             struct sp_error *error) {
    sp_status status = SP_OK;
    for (int i = 0; i < BUSY_TRIES; i++) {
        sp_error_clear(error);
        status = sp_engine_open(options, &store->engine, &store->opened, error);
        bool again = options->read_only && (status == SP_CORRUPT || status == SP_NOT_FOUND) &&
                     store->opened.log.live_writer;
        if (!again) {
            break;
        }
    }
    return status;
}

static sp_status open_store(spoor *store, const char *folder, const spoor_options *options,
                            struct sp_error *error) {
    if (sp_url_is(sp_str_from(folder))) {
        return api_remote_open(store, folder, options, error);
    }
    store->folder = strdup(folder);
    if (store->folder == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "store");
    }
    bool read_only = (options->flags & SPOOR_READ_ONLY) != 0;
    store->read_only = read_only;
    bool create = (options->flags & SPOOR_CREATE) != 0 && !read_only;
    sp_status status = sp_fs_posix_open(folder, create, read_only, &store->fs, error);
    if (status != SP_OK) {
        return status;
    }
    struct sp_engine_options to = engine_options(store, options);
    status = open_engine(store, &to, error);
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "%s", folder);
    }
    sp_engine_flows_run(store->engine, (options->flags & SPOOR_NO_FLOWS) == 0);
    status = start_thread(store, error);
    if (status != SP_OK) {
        sp_engine_close(store->engine);
    }
    return status;
}

spoor_status spoor_open(const char *folder, const spoor_options *options, spoor **ret_store,
                        spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    if (folder == NULL || ret_store == NULL) {
        return api_error(sp_error_set(&error, SP_INVALID, "spoor_open: a NULL argument"), &error,
                         ret_error);
    }
    sp_status status = options != NULL ? check_options_size(options, &error) : SP_OK;
    if (status != SP_OK) {
        return api_error(status, &error, ret_error);
    }
    spoor_options full = complete(options);
    status = check_options(&full, &error);
    if (status != SP_OK) {
        return api_error(status, &error, ret_error);
    }
    spoor *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return api_error(sp_error_set(&error, SP_NO_MEMORY, "store"), &error, ret_error);
    }
    atomic_init(&store->fd, -1);
    store->own_thread = (full.flags & SPOOR_OWN_THREAD) != 0;
    init_locks(store);
    status = open_store(store, folder, &full, &error);
    if (status != SP_OK) {
        free_store(store);
        return api_error(status, &error, ret_error);
    }
    *ret_store = store;
    return SPOOR_OK;
}

static void close_engine(spoor *store) {
    if (store->own_thread) {
        sp_guard_enter(&store->lock);
        store->closing = true;
        sp_guard_leave(&store->lock);
        api_ring(store);
        pthread_join(store->thread, NULL);
    }
    api_projects_close(store);
    sp_engine_close(store->engine);
}

void spoor_close(spoor *store) {
    if (store == NULL) {
        return;
    }
    if (store->client == NULL) {
        close_engine(store);
    }
    free_store(store);
}

/*
 * ---- driving by the host
 * --------------------------------------------------------------------------
 */

spoor_status spoor_turn(spoor *store, int timeout_ms, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    if (store->own_thread) {
        return api_error(sp_error_set(&error, SP_INVALID, "the store drives itself"), &error,
                         ret_error);
    }
    if (store->client != NULL) {
        return api_remote_turn(store, timeout_ms);
    }
    int fd = atomic_load(&store->fd);
    if (fd >= 0) {
        sp_wakeup_drain(fd);
    }
    uint32_t answered = sp_engine_turn(store->engine, timeout_ms);
    sp_status status = sp_engine_state(store->engine, &error);
    if (status != SP_OK) {
        return api_error(SP_FAILED, &error, ret_error);
    }
    return answered > 0 ? SPOOR_OK : SPOOR_TIMEOUT;
}

int spoor_fd(spoor *store) {
    if (store->client != NULL) {
        return sp_client_fd(store->client);
    }
    int fd = atomic_load(&store->fd);
    if (fd < 0) {
        fd = sp_wakeup_open();
        atomic_store(&store->fd, fd);
        if (fd >= 0) {
            sp_wakeup_signal(fd); /* what finished before is not missed */
        }
    }
    return fd;
}

int spoor_deadline_ms(spoor *store) {
    if (store->client != NULL) {
        return sp_client_deadline_ms(store->client);
    }
    if (store->own_thread) {
        return -1;
    }
    return idle_ms(store);
}

/*
 * ---- information
 * ----------------------------------------------------------------------------------
 */

static void describe_cut(const spoor *store, spoor_info *info) {
    const struct sp_log_opened *log = &store->opened.log;
    if (log->cut) {
        info->cut_bytes = log->cut_bytes;
        (void)snprintf(info->notice, sizeof(info->notice),
                       "cut %llu bytes of an unfinished write at %s offset %llu; nothing of it was "
                       "acknowledged",
                       (unsigned long long)log->cut_bytes, log->cut_file,
                       (unsigned long long)log->cut_offset);
    }
}

static sp_status fill_info(spoor *store, spoor_info *info, struct sp_error *error) {
    struct sp_log *log = sp_engine_log(store->engine);
    struct sp_log_local_stats stats;
    struct sp_log_tree tree;
    log->ops->bounds(log, &info->first_position, &info->last_position);
    sp_log_local_stats(log, &stats);
    sp_status status = log->ops->tree(log, false, &tree, error);
    if (status != SP_OK) {
        return status;
    }
    info->stream_count = sp_engine_core(store->engine)->streams.count;
    info->bytes_on_disk = stats.bytes_sealed + stats.bytes_raw;
    info->tree_size = tree.size;
    memcpy(info->tree_root, tree.root, sizeof(info->tree_root));
    info->segments_sealed = stats.segments_sealed;
    info->segments_waiting = stats.segments_waiting;
    info->bytes_sealed = stats.bytes_sealed;
    info->events_sealed = stats.events_sealed;
    memcpy(info->uuid, store->opened.log.uuid, sizeof(info->uuid));
    describe_cut(store, info);
    return SP_OK;
}

spoor_status spoor_get_info(spoor *store, spoor_info *ret_info, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    spoor_info info = {.size = sizeof(info)};
    if (store->client != NULL) {
        return api_error(sp_client_info(store->client, ret_info, &error), &error, ret_error);
    }
    api_lock(store);
    sp_status status = fill_info(store, &info, &error);
    api_unlock(store);
    if (status == SP_OK) {
        *ret_info = info;
    }
    return api_error(status, &error, ret_error);
}
