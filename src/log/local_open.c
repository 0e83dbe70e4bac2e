#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/wire.h"
#include "log/local_int.h"
#include "log/local_open.h"

enum {
    DEFAULT_BLOCK_BYTES = 4 << 20,
    LEAST_BLOCK_BYTES = 64 << 10,
    MOST_BLOCK_BYTES = 64 << 20,
    DEFAULT_SEGMENT_BYTES_MIN = 8 << 20,
    DEFAULT_SEGMENT_BYTES_MAX = 256 << 20,
    DEFAULT_TAIL_BYTES = 32 << 20,
    DEFAULT_CHECKPOINT_PERIOD_US = 1000000,
    DEFAULT_SYNC_PERIOD_US = 100000,
    TAIL_BLOCKS = 8192,
    RECYCLE_BYTES_MAX = 1 << 20,
    TRIMMED_BYTES_MAX = 16 << 20,
};

static uint64_t or_default(uint64_t value, uint64_t preset) {
    return value != 0 ? value : preset;
}

static sp_status complete_options(struct sp_log_local_options *options, struct sp_error *error) {
    options->entropy = options->entropy != NULL ? options->entropy : sp_entropy;
    options->block_bytes_max = (uint32_t)or_default(options->block_bytes_max, DEFAULT_BLOCK_BYTES);
    options->segment_bytes_max = or_default(options->segment_bytes_max, DEFAULT_SEGMENT_BYTES_MAX);
    options->segment_bytes_min = or_default(options->segment_bytes_min, DEFAULT_SEGMENT_BYTES_MIN);
    options->tail_bytes_max = or_default(options->tail_bytes_max, DEFAULT_TAIL_BYTES);
    options->checkpoint_period_us =
        or_default(options->checkpoint_period_us, DEFAULT_CHECKPOINT_PERIOD_US);
    options->sync_period_us = or_default(options->sync_period_us, DEFAULT_SYNC_PERIOD_US);
    uint64_t least = (uint64_t)options->block_bytes_max + SP_RAW_HEADER_BYTES;
    if (options->segment_bytes_min > options->segment_bytes_max) {
        options->segment_bytes_min = options->segment_bytes_max;
    }
    bool pages = options->block_bytes_max % SP_BLOCK_ALIGN == 0 &&
                 options->segment_bytes_min % SP_BLOCK_ALIGN == 0 &&
                 options->segment_bytes_max % SP_BLOCK_ALIGN == 0;
    if (!pages || options->block_bytes_max < LEAST_BLOCK_BYTES ||
        options->block_bytes_max > MOST_BLOCK_BYTES || options->segment_bytes_min < least ||
        options->segment_bytes_max > SP_SEALED_BYTES_MAX) {
        return sp_error_set(error, SP_INVALID,
                            "segments of %llu to %llu bytes with blocks of up to %u: expected "
                            "multiples of 4096, blocks of 64 KiB to 64 MiB, segments larger than a "
                            "block and below 2 GiB",
                            (unsigned long long)options->segment_bytes_min,
                            (unsigned long long)options->segment_bytes_max,
                            options->block_bytes_max);
    }
    return SP_OK;
}

/*
 * ---- the folder
 * ----------------------------------------------------------------------------------
 */

static sp_status make_folders(struct sp_fs *fs, struct sp_error *error) {
    static const char *const folders[] = {SP_WAL_FOLDER, SP_SEALED_FOLDER, SP_SNAPSHOT_FOLDER};
    sp_status status = SP_OK;
    for (size_t i = 0; i < 3 && status == SP_OK; i++) {
        status = fs->ops->mkdir(fs, folders[i], error);
    }
    return status == SP_OK ? fs->ops->sync_dir(fs, ".", error) : status;
}

static uint32_t read_holder(struct sp_fs *fs) {
    struct sp_buf text;
    sp_buf_init(&text, 64);
    uint32_t pid = 0;
    if (sp_fs_read_all(fs, SP_LOCK_PATH, &text, NULL) == SP_OK) {
        for (size_t i = 0; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
            pid = pid * 10 + (uint32_t)(text.data[i] - '0');
        }
    }
    sp_buf_fini(&text);
    return pid;
}

static sp_status take_lock(struct local_log *log, struct sp_log_opened *opened,
                           struct sp_error *error) {
    struct sp_fs *fs = log->fs;
    sp_status status =
        fs->ops->open(fs, SP_LOCK_PATH, SP_FS_READ | SP_FS_WRITE | SP_FS_CREATE, &log->lock, error);
    status = status == SP_OK ? fs->ops->lock(log->lock, error) : status;
    if (status == SP_BUSY) {
        opened->holder_pid = read_holder(fs);
        return sp_error_set(error, SP_BUSY, "the folder is in use by process %u",
                            opened->holder_pid);
    }
    if (status != SP_OK) {
        return status;
    }
    char text[16];
    /* Always as long: what a simulated disk does must not depend on who simulates it. */
    int len = snprintf(text, sizeof(text), "%-10u\n", sp_process_id());
    status = fs->ops->write(log->lock, text, (size_t)len, 0, error);
    return status == SP_NO_SPACE ? SP_OK : status; /* who holds the folder is only for messages */
}

/* A reader does not lock; it only asks whether a writer lives. */
static sp_status probe_lock(struct local_log *log, struct sp_error *error) {
    struct sp_fs *fs = log->fs;
    sp_status status = fs->ops->open(fs, SP_LOCK_PATH, SP_FS_READ, &log->lock, error);
    if (status == SP_NOT_FOUND) {
        return SP_OK;
    }
    status = status == SP_OK ? fs->ops->lock(log->lock, error) : status;
    log->live_writer = status == SP_BUSY;
    return status == SP_BUSY ? SP_OK : status;
}

static bool note_any(void *context, sp_str name) {
    bool *any = context;
    if (sp_str_ends_with(name, SP_STR(".seg")) || sp_str_ends_with(name, SP_STR(".spoor"))) {
        *any = true;
    }
    return !*any;
}

/*
 * A folder with segments and without a manifest has lost it: making a new log there would bury
 * them.
 */
static sp_status check_no_remains(struct sp_fs *fs, struct sp_error *error) {
    bool sealed = false;
    sp_status status = fs->ops->list(fs, SP_SEALED_FOLDER, note_any, &sealed, error);
    if (status == SP_OK && sealed) {
        return sp_error_set(error, SP_CORRUPT, "%s is missing, and sealed segments are there",
                            SP_MANIFEST_PATH);
    }
    struct wal_listing listing = {.files = NULL};
    const uint8_t none[16] = {0};
    if (status == SP_OK) {
        status = wal_list(fs, none, 0, &listing, error);
    }
    if (status == SP_CORRUPT || (status == SP_OK && listing.live_count > 0)) {
        status = sp_error_set(error, SP_CORRUPT, "%s is missing, and segments are there",
                              SP_MANIFEST_PATH);
    }
    wal_listing_fini(&listing);
    return status == SP_NOT_FOUND ? SP_OK : status;
}

static sp_status create_log(struct local_log *log, struct sp_error *error) {
    sp_status status = check_no_remains(log->fs, error);
    if (status != SP_OK) {
        return status;
    }
    log->options.entropy(log->uuid, sizeof(log->uuid));
    log->uuid[6] = (uint8_t)((log->uuid[6] & 0x0f) | 0x40); /* version 4, RFC 9562 */
    log->uuid[8] = (uint8_t)((log->uuid[8] & 0x3f) | 0x80);
    log->created_us = log->options.clock.wall_us(log->options.clock.context);
    log->begin_block = 1;
    log->begin_position = 1;
    struct sp_buf content;
    sp_buf_init(&content, 4096);
    local_manifest_encode(log, &content);
    status = content.status != SP_OK
                 ? sp_error_set(error, content.status, "manifest")
                 : sp_fs_replace(log->fs, SP_MANIFEST_PATH, sp_buf_str(&content), error);
    sp_buf_fini(&content);
    return status;
}

/*
 * ---- the sealed part
 * -----------------------------------------------------------------------------
 */

static sp_status open_sealed(struct local_log *log, const struct sp_manifest_segment *row,
                             struct sp_error *error) {
    struct sp_log_sealed *sealed = NULL;
    sp_status status = sp_log_sealed_open(log->fs, row->id, &sealed, error);
    if (status == SP_NOT_FOUND) {
        return sp_error_prefix(error, SP_CORRUPT, "sealed segment of events %llu to %llu",
                               (unsigned long long)row->first_position,
                               (unsigned long long)row->last_position);
    }
    if (status != SP_OK) {
        return status;
    }
    const struct sp_sealed_footer *footer = sp_log_sealed_footer(sealed);
    if (footer->check != row->footer_check || sp_log_sealed_bytes(sealed) != row->file_bytes ||
        memcmp(footer->uuid, log->uuid, 16) != 0 || footer->first_block != log->head_block + 1 ||
        footer->first_position != log->head_position + 1 || footer->prev_check != log->head_check) {
        sp_log_sealed_unref(sealed);
        return sp_error_set(error, SP_CORRUPT,
                            "the sealed segment of events %llu to %llu is not the one that %s "
                            "names",
                            (unsigned long long)row->first_position,
                            (unsigned long long)row->last_position, SP_MANIFEST_PATH);
    }
    struct segment *segment = segment_of_sealed(log, sealed);
    if (segment == NULL || local_list_add(log, segment) != SP_OK) {
        return sp_error_set(error, SP_NO_MEMORY, "segment");
    }
    log->head_block = footer->last_block;
    log->head_position = footer->last_position;
    log->head_check = footer->last_check;
    return SP_OK;
}

static sp_status adopt_manifest(struct local_log *log, struct sp_manifest *manifest,
                                struct sp_error *error) {
    memcpy(log->uuid, manifest->uuid, 16);
    log->created_us = manifest->created_us;
    log->begin_block = manifest->first_block;
    log->begin_position = manifest->first_position;
    log->begin_prev_check = manifest->first_prev_check;
    log->head_block = manifest->first_block - 1;
    log->head_position = manifest->first_position - 1;
    log->head_check = manifest->first_prev_check;
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < manifest->segment_count && status == SP_OK; i++) {
        status = open_sealed(log, &manifest->segments[i], error);
    }
    /* Sealed is durable: readers may have it before the rest is recovered. */
    log->durable_block = log->head_block;
    log->durable_position = log->head_position;
    log->synced_block = log->durable_block;
    log->synced_position = log->durable_position;
    return status;
}

static sp_status load_or_create(struct local_log *log, struct sp_log_opened *opened,
                                struct sp_error *error) {
    struct sp_manifest manifest = {.segments = NULL};
    sp_status status = sp_manifest_load(log->fs, &manifest, error);
    if (status == SP_NOT_FOUND && log->options.create && !log->options.read_only) {
        opened->created = true;
        status = create_log(log, error);
    } else if (status == SP_NOT_FOUND) {
        sp_status remains = check_no_remains(log->fs, error);
        status = remains == SP_CORRUPT ? remains : sp_error_set(error, SP_NOT_FOUND, "no log here");
    } else if (status == SP_OK) {
        status = adopt_manifest(log, &manifest, error);
        sp_manifest_fini(&manifest);
    }
    log->log_id = sp_get_u64(log->uuid);
    return status;
}

/*
 * ---- the handle
 * ----------------------------------------------------------------------------------
 */

static sp_status start_workers(struct local_log *log, struct sp_error *error) {
    const struct {
        const char *name;
        bool background;
        bool idle_io; /* appends wait for the device as it is: what need not be now stands back */
        struct sp_worker **worker;
    } workers[] = {
        {"spoor-sync", false, false, &log->sync_worker},
        {"spoor-prepare", false, true, &log->prepare_worker},
        {"spoor-seal", true, true, &log->seal_worker},
        {"spoor-catch-up", false, false, &log->catch_up_worker},
        {"spoor-tree", false, false, &log->tree_worker},
        {"spoor-flush", false, false, &log->flush_worker},
    };
    size_t count = sizeof(workers) / sizeof(workers[0]);
    count -= log->options.durability == SP_LOG_DURABLE_INTERVAL ? 0 : 1;
    for (size_t i = 0; i < count; i++) {
        struct sp_worker_options options = {.name = workers[i].name,
                                            .inline_jobs = log->options.inline_jobs,
                                            .background = workers[i].background,
                                            .idle_io = workers[i].idle_io,
                                            .wake = log->options.wake,
                                            .wake_context = log->options.wake_context};
        *workers[i].worker = sp_worker_new(&options, error);
        if (*workers[i].worker == NULL) {
            return sp_error_prefix(error, SP_NO_MEMORY, "worker %s", workers[i].name);
        }
    }
    return SP_OK;
}

static void run_inline(struct local_log *log) {
    struct sp_worker *const workers[] = {log->prepare_worker, log->tree_worker, log->seal_worker,
                                         log->catch_up_worker, log->flush_worker};
    for (size_t i = 0; log->options.inline_jobs && i < sizeof(workers) / sizeof(workers[0]); i++) {
        while (workers[i] != NULL && sp_worker_run(workers[i])) {
            sp_worker_poll(workers[i]);
        }
    }
}

static void local_upkeep(struct sp_log *base) {
    struct local_log *log = local_of(base);
    if (log->options.read_only || !log->recovered || log->state != SP_OK) {
        return;
    }
    local_sync_upkeep(log);
    local_tree_upkeep(log, false);
    local_spare_upkeep(log);
    local_seal_upkeep(log);
    local_manifest_upkeep(log);
    local_checkpoint_upkeep(log, false);
    local_retention_upkeep(log);
    run_inline(log);
}

static void local_bounds(struct sp_log *base, uint64_t *ret_first, uint64_t *ret_last) {
    struct local_log *log = local_of(base);
    pthread_mutex_lock(&log->mutex);
    bool any = log->durable_position >= log->begin_position;
    *ret_first = any ? log->begin_position : 0;
    *ret_last = any ? log->durable_position : 0;
    pthread_mutex_unlock(&log->mutex);
}

static void local_describe(struct sp_log *base, struct sp_log_description *ret_description) {
    *ret_description = (struct sp_log_description){
        .driver = "local",
        .durability = local_is_relaxed(local_of(base)) ? SP_LOG_OS_CACHED : SP_LOG_FSYNCED_LOCAL,
        .block_bytes_max = local_of(base)->options.block_bytes_max,
        .blocks_in_flight_max = BLOCKS_IN_FLIGHT_MAX,
    };
    memcpy(ret_description->uuid, local_of(base)->uuid, sizeof(ret_description->uuid));
}

/* Finishes what is in flight and leaves a checkpoint of all there is. */
static void leave_in_order(struct local_log *log) {
    atomic_store_explicit(&log->closing, true, memory_order_relaxed);
    struct sp_log_progress progress;
    while (log->writes_in_flight > 0) {
        sp_worker_wait(log->sync_worker, -1);
        local_poll(&log->base, &progress);
    }
    if (local_sync_now(log, NULL) != SP_OK) {
        local_sync_poll(log); /* the log has failed: nothing is vouched for */
    }
    struct sp_log_tree tree;
    if (log->recovered && local_tree(&log->base, true, &tree, NULL) == SP_OK) {
        while (log->checkpoint_job.busy) {
            sp_worker_wait(log->prepare_worker, -1);
            sp_worker_poll(log->prepare_worker);
        }
        local_checkpoint_upkeep(log, true);
        run_inline(log);
    }
}

static void free_segments(struct local_log *log) {
    pthread_mutex_lock(&log->mutex);
    if (log->sealing != NULL) {
        segment_unref_locked(log->sealing);
        sp_log_sealed_unref(log->sealing_to);
    }
    for (size_t i = 0; i < log->segment_count; i++) {
        sp_invariant(log->segments[i]->refs == 1); /* every reader was freed before */
        segment_unref_locked(log->segments[i]);
    }
    while (log->tail_count > 0) {
        sp_blob_unref(log->tail[log->tail_start].blob);
        log->tail_start = (log->tail_start + 1) % log->tail_capacity;
        log->tail_count--;
    }
    pthread_mutex_unlock(&log->mutex);
    free(log->segments);
    free(log->tail);
}

static void local_close(struct sp_log *base) {
    struct local_log *log = local_of(base);
    if (!log->options.read_only && log->tree_worker != NULL) {
        leave_in_order(log);
    }
    sp_worker_free(log->sync_worker);
    sp_worker_free(log->seal_worker);
    sp_worker_free(log->catch_up_worker);
    sp_worker_free(log->tree_worker);
    sp_worker_free(log->prepare_worker);
    sp_worker_free(log->flush_worker);
    if (log->tree_reader != NULL) {
        log->tree_reader->ops->free(log->tree_reader);
    }
    free_segments(log);
    if (log->lock != NULL) {
        log->fs->ops->close(log->lock);
    }
    sp_buf_fini(&log->recycle);
    sp_buf_fini(&log->trimmed);
    sp_buf_fini(&log->dictionary);
    sp_buf_fini(&log->manifest_job.content);
    sp_buf_fini(&log->checkpoint_job.content);
    pthread_mutex_destroy(&log->mutex);
    pthread_mutex_destroy(&log->sync_mutex);
    free(log);
}

static const struct sp_log_ops local_ops = {
    .recover = local_recover,
    .ready = local_ready,
    .append = local_append,
    .poll = local_poll,
    .wait = local_wait,
    .upkeep = local_upkeep,
    .bounds = local_bounds,
    .trim = local_trim,
    .snapshot_store = local_snapshot_store,
    .snapshot_load = local_snapshot_load,
    .describe = local_describe,
    .tree = local_tree,
    .leaf = local_leaf,
    .reader_new = local_reader_new,
    .close = local_close,
};

static struct local_log *local_new(const struct sp_log_local_options *options) {
    struct local_log *log = calloc(1, sizeof(*log));
    struct tail_entry *tail = log != NULL ? calloc(TAIL_BLOCKS, sizeof(*tail)) : NULL;
    if (tail == NULL) {
        free(log);
        return NULL;
    }
    log->base.ops = &local_ops;
    log->options = *options;
    log->fs = options->fs;
    log->tail = tail;
    log->tail_capacity = TAIL_BLOCKS;
    pthread_mutex_init(&log->mutex, NULL);
    pthread_mutex_init(&log->sync_mutex, NULL);
    sp_buf_init(&log->recycle, RECYCLE_BYTES_MAX);
    sp_buf_init(&log->trimmed, TRIMMED_BYTES_MAX);
    sp_buf_init(&log->manifest_job.content, SIZE_MAX / 2);
    sp_buf_init(&log->checkpoint_job.content, SP_CHECKPOINT_BYTES_MAX);
    struct background_job *const jobs[] = {&log->spare_job,      &log->manifest_job,
                                           &log->checkpoint_job, &log->seal_job,
                                           &log->tree_job,       &log->flush_job};
    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        jobs[i]->log = log;
    }
    return log;
}

static sp_status open_folder(struct local_log *log, struct sp_log_opened *opened,
                             struct sp_error *error) {
    bool write = !log->options.read_only;
    sp_status status = write && log->options.create ? make_folders(log->fs, error) : SP_OK;
    status = status != SP_OK ? status
             : write         ? take_lock(log, opened, error)
                             : probe_lock(log, error);
    status = status == SP_OK ? load_or_create(log, opened, error) : status;
    if (status == SP_OK) {
        sp_status loaded = sp_checkpoint_load(log->fs, log->uuid, &log->expected, error);
        /*
         * A damaged checkpoint vouches for nothing; it is written anew. Verification tells of it.
         */
        status = loaded == SP_NOT_FOUND || loaded == SP_CORRUPT ? SP_OK : loaded;
    }
    status = status == SP_OK && write ? start_workers(log, error) : status;
    return status == SP_OK ? local_reader_new(&log->base, &log->tree_reader, error) : status;
}

sp_status sp_log_local_open(const struct sp_log_local_options *options, struct sp_log **ret_log,
                            struct sp_log_opened *ret_opened, struct sp_error *error) {
    struct sp_log_local_options completed = *options;
    sp_status status = complete_options(&completed, error);
    if (status != SP_OK) {
        return status;
    }
    struct local_log *log = local_new(&completed);
    if (log == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "log");
    }
    struct sp_log_opened opened = {.created = false};
    status = open_folder(log, &opened, error);
    memcpy(opened.uuid, log->uuid, 16);
    opened.live_writer = log->live_writer;
    if (ret_opened != NULL) {
        *ret_opened = opened;
    }
    if (status != SP_OK) {
        local_close(&log->base);
        return status;
    }
    *ret_log = &log->base;
    return SP_OK;
}

/*
 * ---- listings
 * ------------------------------------------------------------------------------------
 */

void sp_log_local_cut(struct sp_log *base, struct sp_log_opened *ret_opened) {
    const struct local_log *log = local_of(base);
    ret_opened->cut = log->cut.cut;
    ret_opened->passed = log->cut.passed;
    ret_opened->cut_bytes = log->cut.cut_bytes;
    ret_opened->cut_offset = log->cut.cut_offset;
    memcpy(ret_opened->cut_file, log->cut.cut_file, sizeof(ret_opened->cut_file));
}

void sp_log_local_segments(struct sp_log *base,
                           void (*each)(void *context, const struct sp_log_segment_info *info),
                           void *context) {
    struct local_log *log = local_of(base);
    for (size_t i = 0; i < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        struct sp_log_segment_info info = {
            .id = segment->id,
            .first_position = segment->first_position,
            .last_position = segment->next_position - 1,
            .bytes = segment->sealed != NULL ? sp_log_sealed_bytes(segment->sealed)
                                             : segment->end_offset,
            .sealed = segment->sealed != NULL,
            .sealed_file = segment->sealed,
        };
        each(context, &info);
    }
}

void sp_log_local_stats(struct sp_log *base, struct sp_log_local_stats *ret_stats) {
    struct local_log *log = local_of(base);
    struct sp_log_local_stats stats = {.background = log->background};
    for (size_t i = 0; i < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        if (segment->sealed != NULL) {
            stats.segments_sealed++;
            stats.bytes_sealed += sp_log_sealed_bytes(segment->sealed);
            stats.events_sealed += segment->next_position - segment->first_position;
        } else {
            stats.segments_raw++;
            stats.bytes_raw += segment->end_offset;
            stats.segments_waiting += segment->full ? 1 : 0;
        }
    }
    pthread_mutex_lock(&log->mutex);
    stats.tree_lag = log->durable_position - log->published.size;
    pthread_mutex_unlock(&log->mutex);
    *ret_stats = stats;
}
