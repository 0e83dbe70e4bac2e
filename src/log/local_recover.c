/*
 * Recovery of the part that is not sealed.
 *
 * Happy path: the raw segments continue the sealed ones, each continues the one before, every block
 * is valid, and zeros follow the last. What can go wrong: a torn write follows the last block (the
 * segment ends there, a new one begins: what was torn is never written over); or damage, and then
 * the log refuses to open rather than forget what it acknowledged.
 */
#include <stdio.h>
#include <stdlib.h>

#include "log/local_int.h"
#include "log/local_open.h"
#include "log/scan.h"

struct recovery {
    struct local_log *log;
    struct segment *segment;
    sp_log_recover_fn *each;
    void *context;
    struct sp_worker *worker; /* reads ahead; NULL where no thread is to be had */
    bool reads;               /* a segment had to be read: from there on all are */
};

static sp_status take_block(void *context, const struct sp_block_header *header, sp_str stored,
                            struct sp_error *error) {
    struct recovery *recovery = context;
    struct local_log *log = recovery->log;
    struct segment *segment = recovery->segment;
    if (segment_add_block(segment, header->first_position, header->file_offset, stored.len) !=
        SP_OK) {
        return sp_error_set(error, SP_NO_MEMORY, "block table");
    }
    segment->next_position = header->first_position + header->event_count;
    segment->last_check = header->check;
    segment->last_recorded_us = header->recorded_us;
    log->head_block = header->number;
    log->head_check = header->check;
    log->head_position = segment->next_position - 1;
    struct sp_log_chunk chunk = {
        .body = sp_str_of(stored.ptr + SP_BLOCK_HEADER_BYTES, header->body_bytes),
        .first_position = header->first_position,
        .event_count = header->event_count,
    };
    /* Beside a live writer it shows only later what of this is durable. */
    return log->live_writer ? SP_OK : recovery->each(recovery->context, segment->id, &chunk, error);
}

static struct segment *segment_of_raw(struct local_log *log, const struct wal_file *file) {
    struct segment *segment = segment_new(log);
    if (segment == NULL) {
        return NULL;
    }
    const struct sp_raw_header *header = &file->header;
    segment->id = header->epoch;
    segment->first_position = header->first_position;
    segment->next_position = header->first_position;
    segment->first_block = header->first_block;
    segment->next_block = header->first_block;
    segment->prev_check = header->prev_check;
    segment->last_check = header->prev_check;
    segment->file_number = file->number;
    segment->file_bytes = header->segment_bytes;
    segment->end_offset = SP_RAW_HEADER_BYTES;
    memcpy(segment->salt_key, header->salt_key, SP_HASH_BYTES);
    return segment;
}

static sp_status check_follows(const struct local_log *log, const struct wal_file *file,
                               struct sp_error *error) {
    const struct sp_raw_header *header = &file->header;
    if (header->first_block == log->head_block + 1 &&
        header->first_position == log->head_position + 1 && header->prev_check == log->head_check) {
        return SP_OK;
    }
    char path[RAW_PATH_BYTES];
    local_raw_path(file->number, path);
    return sp_error_set(error, SP_CORRUPT,
                        "%s begins at event %llu, but the part before it ends at event %llu: "
                        "acknowledged events are missing or damaged",
                        path, (unsigned long long)header->first_position,
                        (unsigned long long)log->head_position);
}

static sp_status say_damaged(const struct wal_file *file, const struct local_log *log,
                             const struct sp_scan_result *result, struct sp_error *error) {
    char path[RAW_PATH_BYTES];
    local_raw_path(file->number, path);
    return sp_error_set_at(error, SP_CORRUPT, result->end_offset,
                           "%s: acknowledged data is damaged at offset %llu (%s), events from "
                           "%llu on",
                           path, (unsigned long long)result->end_offset,
                           sp_scan_problem_text(result->problem),
                           (unsigned long long)log->head_position + 1);
}

/*
 * A process that was killed in a durable write may have left it on its way: it is read back from
 * the device's own cache, and a power failure would still take it. What is shown as durable has to
 * be.
 */
static sp_status settle(struct segment *segment, struct sp_error *error) {
    struct local_log *log = segment->log;
    return log->options.read_only ? SP_OK : log->fs->ops->sync(segment->direct, error);
}

/*
 * A full segment of which the owner has everything is not read, but for its end: a file that was
 * cut, or is an older one, shows there. What is damaged further in is found when it is read, as in
 * a sealed segment; the Merkle worker is about to read it.
 */
static bool pass_over(struct recovery *recovery, const struct wal_file *next) {
    struct local_log *log = recovery->log;
    struct segment *segment = recovery->segment;
    const struct sp_log_seal_hooks *hooks = &log->options.hooks;
    if (next != NULL && next->header.first_block == segment->first_block) {
        return false; /* it was given up before anything came into it: nothing is read */
    }
    if (recovery->reads || next == NULL || hooks->known == NULL ||
        !local_table_postpone(segment, &next->header) ||
        !hooks->known(hooks->context, segment->id, segment->first_position,
                      next->header.first_position)) {
        recovery->reads = true;
        return false;
    }
    log->cut.passed++;
    segment->full = true;
    segment->next_block = next->header.first_block;
    segment->next_position = next->header.first_position;
    segment->last_check = next->header.prev_check;
    segment->end_offset = next->header.prev_end;
    log->head_block = segment->next_block - 1;
    log->head_check = segment->last_check;
    log->head_position = segment->next_position - 1;
    return true;
}

/* Scans one raw segment into the list. */
static sp_status recover_segment(struct recovery *recovery, const struct wal_file *file,
                                 const struct wal_file *next, struct sp_scan_result *ret_result,
                                 struct sp_error *error) {
    struct local_log *log = recovery->log;
    sp_status status = check_follows(log, file, error);
    if (status != SP_OK) {
        return status;
    }
    struct segment *segment = segment_of_raw(log, file);
    if (segment == NULL || local_list_add(log, segment) != SP_OK) {
        free(segment);
        return sp_error_set(error, SP_NO_MEMORY, "segment");
    }
    recovery->segment = segment;
    status = segment_open_files(segment, error);
    if (status != SP_OK || pass_over(recovery, next)) {
        return status;
    }
    struct sp_scan_chain chain = {.log_id = log->log_id,
                                  .next_block = segment->first_block,
                                  .next_position = segment->first_position,
                                  .prev_check = segment->prev_check};
    struct sp_scan scan = {.fs = log->fs,
                           .file = segment->direct,
                           .segment = &file->header,
                           .worker = recovery->worker,
                           .stop_offset = next != NULL ? next->header.prev_end : 0,
                           .chain = &chain,
                           .each = take_block,
                           .context = recovery};
    status = next == NULL ? settle(segment, error) : SP_OK;
    status = status == SP_OK ? sp_scan_segment(&scan, ret_result, error) : status;
    segment->full = next != NULL;
    if (status == SP_OK && ret_result->end == SP_SCAN_DAMAGED) {
        return say_damaged(file, log, ret_result, error);
    }
    if (status == SP_CORRUPT) {
        char path[RAW_PATH_BYTES];
        local_raw_path(file->number, path);
        return sp_error_prefix(error, status, "%s", path);
    }
    return status;
}

/*
 * What a live writer has in flight is none of a reader's business. What is durable is told by the
 * blocks behind it, and of the last ones, when the writer rests, by its checkpoint or a snapshot.
 */
static void hide_undurable(struct local_log *log, uint64_t durable_upto) {
    if (!log->live_writer || durable_upto >= log->head_block) {
        return;
    }
    uint64_t vouched = log->expected.present ? log->expected.size : 0;
    vouched = vouched > log->snapshot_position ? vouched : log->snapshot_position;
    while (log->head_block > durable_upto && log->segment_count > 0) {
        struct segment *last = log->segments[log->segment_count - 1];
        if (last->sealed != NULL || last->next_block == last->first_block) {
            break;
        }
        uint64_t first = last->blocks[last->next_block - 1 - last->first_block].first_position;
        if (first <= vouched) {
            break; /* what is vouched for may end within the block, which is durable as a whole */
        }
        last->next_block--;
        last->next_position = first;
        log->head_block--;
        log->head_position = first - 1;
    }
}

static sp_status check_checkpoint(const struct local_log *log, struct sp_error *error) {
    if (log->live_writer || !log->expected.present || log->expected.size <= log->head_position) {
        return SP_OK;
    }
    return sp_error_set(error, SP_CORRUPT,
                        "the log ends at event %llu, but %s vouches for %llu: %llu acknowledged "
                        "events are missing",
                        (unsigned long long)log->head_position, SP_CHECKPOINT_PATH,
                        (unsigned long long)log->expected.size,
                        (unsigned long long)(log->expected.size - log->head_position));
}

static void note_cut(struct local_log *log, const struct wal_file *file,
                     const struct sp_scan_result *result) {
    log->cut.cut = true;
    log->cut.cut_bytes = result->junk_bytes;
    log->cut.cut_offset = result->end_offset;
    local_raw_path(file->number, log->cut.cut_file);
}

/* Files that are neither live nor whole spares go back to be zeroed; the others are spares. */
static void adopt_spares(struct local_log *log, const struct wal_listing *listing) {
    for (size_t i = listing->live_count; i < listing->count; i++) {
        const struct wal_file *file = &listing->files[i];
        struct spare spare = {.file_number = file->number, .bytes = file->bytes};
        uint64_t least = (uint64_t)log->options.block_bytes_max + SP_RAW_HEADER_BYTES;
        if (file->bytes != 0 && file->bytes < least) {
            char path[RAW_PATH_BYTES]; /* made under other settings: too small to be of use */
            local_raw_path(file->number, path);
            (void)log->fs->ops->unlink(log->fs, path, NULL);
        } else if (file->bytes == 0) {
            spare.bytes = file->header.segment_bytes;
            sp_buf_add(&log->recycle, &spare, sizeof(spare));
        } else if (log->spare_count < SPARES_MAX) {
            log->spares[log->spare_count++] = spare;
        } else {
            sp_buf_add(&log->recycle, &spare, sizeof(spare));
        }
    }
    log->next_file_number = listing->number_max + 1;
}

/* The next spare is twice the largest segment there is, up to the maximum. */
static void choose_spare_bytes(struct local_log *log) {
    uint64_t largest = log->options.segment_bytes_min / 2;
    for (size_t i = 0; i < log->segment_count; i++) {
        largest = log->segments[i]->file_bytes > largest ? log->segments[i]->file_bytes : largest;
        /* A sealed file tells how large its raw one was no more: assume growth has ended. */
        largest =
            log->segments[i]->sealed != NULL && i >= 5 ? log->options.segment_bytes_max : largest;
    }
    for (uint32_t i = 0; i < log->spare_count; i++) {
        largest = log->spares[i].bytes > largest ? log->spares[i].bytes : largest;
    }
    uint64_t doubled = largest * 2;
    log->next_spare_bytes =
        doubled > log->options.segment_bytes_max ? log->options.segment_bytes_max : doubled;
}

/* Everything recovered is durable: it was read past the cache, from the device. */
static void adopt_head(struct local_log *log) {
    log->durable_block = log->head_block;
    log->durable_position = log->head_position;
    log->synced_block = log->durable_block;
    log->synced_position = log->durable_position;
}

/* Shows the blocks that the scan only counted. */
static sp_status show_durable(struct recovery *recovery, struct sp_error *error) {
    struct local_log *log = recovery->log;
    sp_status status = SP_OK;
    for (size_t i = 0; i < log->segment_count; i++) {
        const struct segment *raw = log->segments[i];
        bool was_read = raw->sealed == NULL && raw->blocks != NULL;
        uint64_t end = was_read ? raw->next_block : raw->first_block;
        for (uint64_t block = raw->first_block; block < end && status == SP_OK; block++) {
            struct sp_log_chunk chunk;
            struct segment *segment;
            status = local_reader_block(log->tree_reader, block, &chunk, &segment, error);
            status = status == SP_OK ? recovery->each(recovery->context, segment->id, &chunk, error)
                                     : status;
        }
    }
    return status;
}

static sp_status recover_all(struct recovery *recovery, const struct wal_listing *listing,
                             bool *ret_torn, struct sp_error *error) {
    struct local_log *log = recovery->log;
    struct sp_scan_result result = {.end = SP_SCAN_CLEAN};
    for (size_t i = 0; i < listing->live_count; i++) {
        const struct wal_file *file = &listing->files[i];
        const struct wal_file *next = i + 1 < listing->live_count ? file + 1 : NULL;
        sp_status status = recover_segment(recovery, file, next, &result, error);
        if (status != SP_OK) {
            return status;
        }
    }
    *ret_torn = listing->live_count > 0 && result.end == SP_SCAN_TORN;
    if (*ret_torn && !log->live_writer) {
        note_cut(log, &listing->files[listing->live_count - 1], &result);
    }
    hide_undurable(log, result.durable_upto);
    adopt_head(log);
    sp_status status = log->live_writer ? show_durable(recovery, error) : SP_OK;
    return status == SP_OK ? check_checkpoint(log, error) : status;
}

/*
 * Removes what a crash left between two steps of sealing or trimming. Only now: the files that the
 * manifest names and the raw segments have turned out to be the whole log, so nothing else holds
 * any of it.
 */
static bool remove_leftover(void *context, sp_str name) {
    struct local_log *log = context;
    for (size_t i = 0; i < log->segment_count; i++) {
        char path[SP_SEALED_PATH_BYTES];
        sp_sealed_path(log->segments[i]->id, path);
        if (log->segments[i]->sealed != NULL &&
            sp_str_eq(name, sp_str_from(path + sizeof(SP_SEALED_FOLDER)))) {
            return true;
        }
    }
    char path[SP_FS_PATH_BYTES_MAX];
    (void)snprintf(path, sizeof(path), "%s/%.*s", SP_SEALED_FOLDER, SP_STR_ARG(name));
    (void)log->fs->ops->unlink(log->fs, path, NULL);
    return true;
}

/* A folder in which files are made under another name first. */
struct workshop {
    struct sp_fs *fs;
    const char *folder;
};

static bool remove_unfinished(void *context, sp_str name) {
    struct workshop *workshop = context;
    if (sp_str_ends_with(name, SP_STR(".tmp"))) {
        char path[SP_FS_PATH_BYTES_MAX];
        (void)snprintf(path, sizeof(path), "%s/%.*s", workshop->folder, SP_STR_ARG(name));
        (void)workshop->fs->ops->unlink(workshop->fs, path, NULL);
    }
    return true;
}

static void tidy(struct local_log *log) {
    struct workshop wal = {.fs = log->fs, .folder = SP_WAL_FOLDER};
    struct workshop snapshots = {.fs = log->fs, .folder = SP_SNAPSHOT_FOLDER};
    (void)log->fs->ops->list(log->fs, SP_SEALED_FOLDER, remove_leftover, log, NULL);
    (void)log->fs->ops->list(log->fs, SP_WAL_FOLDER, remove_unfinished, &wal, NULL);
    (void)log->fs->ops->list(log->fs, SP_SNAPSHOT_FOLDER, remove_unfinished, &snapshots, NULL);
}

/*
 * Makes the log ready for appending: a spare, and, behind a torn write, a new segment. On a full
 * device it is not: what is there can be read all the same, and `ready` says what is missing.
 */
static sp_status make_ready(struct local_log *log, const struct wal_listing *listing, bool torn,
                            struct sp_error *error) {
    tidy(log);
    adopt_spares(log, listing);
    choose_spare_bytes(log);
    if (torn) {
        local_active(log)->full = true;
    }
    if (local_active(log) != NULL) {
        return SP_OK;
    }
    sp_status status = log->spare_count > 0 ? SP_OK : local_spare_make(log, error);
    if (status == SP_OK) {
        status = local_rotate(log, error);
    }
    return status == SP_NO_SPACE ? SP_OK : status;
}

/*
 * Names that are found may still be on their way, if the process before was killed, or its sync of
 * the folder failed. What is built on them (a spare to be filled, a manifest that lets raw files
 * go, a snapshot to trim behind) must not outlive them.
 */
static sp_status settle_names(struct local_log *log, struct sp_error *error) {
    static const char *const folders[] = {".", SP_WAL_FOLDER, SP_SEALED_FOLDER, SP_SNAPSHOT_FOLDER};
    sp_status status = SP_OK;
    for (size_t i = 0; i < 4 && status == SP_OK && !log->options.read_only; i++) {
        status = log->fs->ops->sync_dir(log->fs, folders[i], error);
    }
    return status;
}

sp_status local_recover(struct sp_log *base, sp_log_recover_fn *each, void *context,
                        struct sp_error *error) {
    struct local_log *log = local_of(base);
    sp_require(!log->recovered);
    struct recovery recovery = {.log = log, .each = each, .context = context};
    struct wal_listing listing;
    uint64_t sealed_epoch = log->segment_count > 0 ? log->segments[log->segment_count - 1]->id : 0;
    sp_status status = settle_names(log, error);
    status = status == SP_OK ? wal_list(log->fs, log->uuid, sealed_epoch, &listing, error) : status;
    if (status != SP_OK) {
        return status;
    }
    bool torn = false;
    struct sp_worker_options reader = {.name = "spoor-read",
                                       .inline_jobs = log->options.inline_jobs};
    recovery.worker = sp_worker_new(&reader, NULL);
    status = recover_all(&recovery, &listing, &torn, error);
    sp_worker_free(recovery.worker);
    status = status == SP_OK ? local_tree_start(log, error) : status;
    if (status == SP_OK && !log->options.read_only) {
        status = make_ready(log, &listing, torn, error);
    }
    wal_listing_fini(&listing);
    log->recovered = status == SP_OK;
    if (status != SP_OK) {
        local_fail(log, status, error);
    }
    return status;
}
