#include "log/scan.h"

#include <stdlib.h>

enum {
    SCAN_CHUNK_BYTES = 4 << 20,
    AHEAD_ROOM_BYTES = 1 << 20, /* before what is read ahead: for the block that begins before it */
};

/* The next read, done by a worker while the window is looked at. */
struct sp_scan_ahead {
    struct sp_job job;
    struct sp_worker *worker;
    struct sp_fs *fs;
    struct sp_file *file;
    struct sp_blob *blob;
    uint64_t offset; /* in the file */
    uint64_t limit;  /* nothing is read ahead from there on */
    size_t want;     /* 0: no read is under way, or done */
    size_t got;
    sp_status status;
    bool busy;
};

static struct sp_scan_ahead *ahead_of(struct sp_job *job) {
    return (struct sp_scan_ahead *)job;
}

static void ahead_work(struct sp_job *job) {
    struct sp_scan_ahead *ahead = ahead_of(job);
    ahead->status = ahead->fs->ops->read(ahead->file, ahead->blob->data + AHEAD_ROOM_BYTES,
                                         ahead->want, ahead->offset, &ahead->got, NULL);
}

static void ahead_done(struct sp_job *job) {
    ahead_of(job)->busy = false;
}

static void await_ahead(struct sp_scan_ahead *ahead) {
    while (ahead->busy) {
        sp_worker_wait(ahead->worker, -1);
        sp_worker_poll(ahead->worker);
    }
}

/* Lets the worker read what comes behind the window. */
static void read_ahead(struct sp_scan_window *w) {
    struct sp_scan_ahead *ahead = w->ahead;
    if (ahead == NULL) {
        return;
    }
    await_ahead(ahead);
    ahead->offset = w->offset + w->len;
    uint64_t left = ahead->offset < ahead->limit ? ahead->limit - ahead->offset : 0;
    ahead->want = left < SCAN_CHUNK_BYTES ? (size_t)left : SCAN_CHUNK_BYTES;
    if (ahead->want > 0) {
        ahead->busy = true;
        ahead->job = (struct sp_job){.work = ahead_work, .done = ahead_done};
        sp_worker_submit(ahead->worker, &ahead->job);
    }
}

/* Without memory the scan reads what it needs when it needs it. */
static void start_ahead(struct sp_scan_window *w, struct sp_worker *worker, uint64_t limit) {
    struct sp_scan_ahead *ahead = worker != NULL ? calloc(1, sizeof(*ahead)) : NULL;
    struct sp_blob *blob =
        ahead != NULL ? sp_blob_new(AHEAD_ROOM_BYTES + SCAN_CHUNK_BYTES, SP_BLOCK_ALIGN) : NULL;
    if (blob == NULL) {
        free(ahead);
        return;
    }
    *ahead = (struct sp_scan_ahead){
        .worker = worker, .fs = w->fs, .file = w->file, .blob = blob, .limit = limit};
    w->ahead = ahead;
}

sp_status sp_scan_window_init(struct sp_scan_window *window, struct sp_fs *fs, struct sp_file *file,
                              const struct sp_raw_header *segment, struct sp_error *error) {
    uint64_t bytes = segment->segment_bytes;
    size_t capacity = bytes < SCAN_CHUNK_BYTES ? (size_t)bytes : SCAN_CHUNK_BYTES;
    *window = (struct sp_scan_window){
        .fs = fs, .file = file, .segment = segment, .blob = sp_blob_new(capacity, SP_BLOCK_ALIGN)};
    if (window->blob == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "scan");
    }
    window->bytes = window->blob->data;
    return SP_OK;
}

void sp_scan_window_fini(struct sp_scan_window *window) {
    if (window->ahead != NULL) {
        await_ahead(window->ahead);
        sp_blob_unref(window->ahead->blob);
        free(window->ahead);
        window->ahead = NULL;
    }
    sp_blob_unref(window->blob);
    window->blob = NULL;
}

/* Bytes of the window from an offset on. */
static size_t bytes_from(const struct sp_scan_window *w, uint64_t offset) {
    uint64_t end = w->offset + w->len;
    return offset >= w->offset && offset < end ? (size_t)(end - offset) : 0;
}

/* Moves the window to `offset`, keeps what it has of that, and makes room for `want` bytes. */
static sp_status move_window(struct sp_scan_window *w, uint64_t offset, size_t want,
                             struct sp_error *error) {
    size_t keep = bytes_from(w, offset);
    struct sp_blob *to = w->blob;
    if (want > to->capacity) {
        to = sp_blob_new(want + SCAN_CHUNK_BYTES, SP_BLOCK_ALIGN);
        if (to == NULL) {
            return sp_error_set(error, SP_NO_MEMORY, "scan of a block of %zu bytes", want);
        }
    }
    if (keep > 0) {
        memmove(to->data, w->bytes + (offset - w->offset), keep);
    }
    if (to != w->blob) {
        sp_blob_unref(w->blob);
        w->blob = to;
    }
    w->bytes = to->data;
    w->offset = offset;
    w->len = keep;
    return SP_OK;
}

/* Reads on from where the window ends, as far as it has room. */
static sp_status fill_window(struct sp_scan_window *w, struct sp_error *error) {
    uint64_t end = w->offset + w->len;
    uint64_t left = w->segment->segment_bytes - end;
    size_t room = w->blob->capacity - w->len;
    size_t fill = left < room ? (size_t)left : room;
    size_t got = 0;
    sp_status status = w->fs->ops->read(w->file, w->bytes + w->len, fill, end, &got, error);
    if (status != SP_OK) {
        return status;
    }
    w->len += got;
    if (got != fill) {
        return sp_error_set_at(error, SP_CORRUPT, end + got,
                               "the file is cut: it ends at %llu and should have %llu bytes",
                               (unsigned long long)(end + got),
                               (unsigned long long)w->segment->segment_bytes);
    }
    return SP_OK;
}

/*
 * Goes over to what was read ahead, where that is what the window needs. What it has of the block
 * that begins before is copied into the room before it. Where the read has failed it is done once
 * more in the usual way, and told of.
 */
static bool take_ahead(struct sp_scan_window *w, uint64_t offset, size_t want) {
    struct sp_scan_ahead *ahead = w->ahead;
    size_t keep = bytes_from(w, offset);
    if (ahead == NULL || ahead->want == 0 || ahead->offset != offset + keep ||
        keep > AHEAD_ROOM_BYTES || want > keep + ahead->want) {
        return false;
    }
    await_ahead(ahead);
    if (ahead->status != SP_OK || ahead->got != ahead->want) {
        return false;
    }
    struct sp_blob *blob = ahead->blob;
    uint8_t *bytes = blob->data + AHEAD_ROOM_BYTES - keep;
    if (keep > 0) {
        memcpy(bytes, w->bytes + (offset - w->offset), keep);
    }
    bool fits = w->blob->capacity >= AHEAD_ROOM_BYTES + SCAN_CHUNK_BYTES;
    struct sp_blob *other =
        fits ? w->blob : sp_blob_new(AHEAD_ROOM_BYTES + SCAN_CHUNK_BYTES, SP_BLOCK_ALIGN);
    if (other == NULL) {
        return false;
    }
    if (!fits) {
        sp_blob_unref(w->blob);
    }
    ahead->blob = other;
    w->blob = blob;
    w->bytes = bytes;
    w->len = keep + ahead->got;
    w->offset = offset;
    return true;
}

sp_status sp_scan_bytes(struct sp_scan_window *w, uint64_t offset, size_t want, sp_str *ret_bytes,
                        struct sp_error *error) {
    sp_require(offset % SP_BLOCK_ALIGN == 0 && offset <= w->segment->segment_bytes);
    uint64_t left = w->segment->segment_bytes - offset;
    want = left < want ? (size_t)left : want;
    sp_status status = SP_OK;
    if (offset < w->offset || offset + want > w->offset + w->len) {
        if (!take_ahead(w, offset, want)) {
            status = move_window(w, offset, want, error);
            status = status == SP_OK ? fill_window(w, error) : status;
        }
        if (status == SP_OK) {
            read_ahead(w);
        }
    }
    if (status == SP_OK) {
        size_t at = (size_t)(offset - w->offset);
        *ret_bytes = sp_str_of(w->bytes + at, w->len - at);
    }
    return status;
}

const char *sp_scan_problem_text(enum sp_scan_problem problem) {
    static const char *const texts[] = {
        [SP_SCAN_FINE] = "nothing",
        [SP_SCAN_NO_HEADER] = "no block header",
        [SP_SCAN_BAD_HEADER] = "the block's header is damaged",
        [SP_SCAN_FOREIGN] = "a block of another log",
        [SP_SCAN_MISPLACED] = "a block that belongs elsewhere",
        [SP_SCAN_NUMBER] = "the block's number does not follow",
        [SP_SCAN_POSITION] = "the block's position does not follow",
        [SP_SCAN_PREV] = "the block does not continue the one before",
        [SP_SCAN_TOO_LONG] = "the block reaches beyond the file",
        [SP_SCAN_BAD_BODY] = "the block's records are damaged",
    };
    return texts[problem];
}

static enum sp_scan_problem misfit(const struct sp_scan_window *w,
                                   const struct sp_scan_chain *chain,
                                   const struct sp_block_header *header, uint64_t offset) {
    if (header->log_id != chain->log_id) {
        return SP_SCAN_FOREIGN;
    }
    if (header->epoch != w->segment->epoch || header->file_offset != offset) {
        return SP_SCAN_MISPLACED;
    }
    if (header->number != chain->next_block) {
        return SP_SCAN_NUMBER;
    }
    if (header->first_position != chain->next_position) {
        return SP_SCAN_POSITION;
    }
    if (header->prev_check != chain->prev_check) {
        return SP_SCAN_PREV;
    }
    return sp_block_stored_bytes(header->body_bytes) > w->segment->segment_bytes - offset
               ? SP_SCAN_TOO_LONG
               : SP_SCAN_FINE;
}

sp_status sp_scan_probe(struct sp_scan_window *w, const struct sp_scan_chain *chain,
                        uint64_t offset, struct sp_scan_probe *ret_probe, struct sp_error *error) {
    sp_str bytes;
    sp_status status = sp_scan_bytes(w, offset, SP_BLOCK_ALIGN, &bytes, error);
    if (status != SP_OK) {
        return status;
    }
    struct sp_scan_probe probe = {.problem = SP_SCAN_FINE};
    sp_status read = sp_block_read_header(bytes, &probe.header);
    if (read == SP_UNSUPPORTED) {
        return sp_error_set_at(error, read, offset, "the block at offset %llu is of a later format",
                               (unsigned long long)offset);
    }
    if (read != SP_OK) {
        probe.problem = read == SP_NOT_FOUND ? SP_SCAN_NO_HEADER : SP_SCAN_BAD_HEADER;
        *ret_probe = probe;
        return SP_OK;
    }
    probe.problem = misfit(w, chain, &probe.header, offset);
    if (probe.problem == SP_SCAN_FINE) {
        size_t stored = sp_block_stored_bytes(probe.header.body_bytes);
        status = sp_scan_bytes(w, offset, stored, &bytes, error);
        probe.stored = sp_str_of(bytes.ptr, stored);
        if (status == SP_OK && !sp_block_body_valid(&probe.header, probe.stored)) {
            probe.problem = SP_SCAN_BAD_BODY;
        }
    }
    *ret_probe = probe;
    return status;
}

/* Walks the valid blocks. The result's end_offset is behind the last one. */
static sp_status walk_valid(const struct sp_scan *scan, struct sp_scan_window *w,
                            struct sp_scan_result *result, struct sp_error *error) {
    uint64_t stop = scan->stop_offset != 0 ? scan->stop_offset : scan->segment->segment_bytes;
    while (result->end_offset < stop) {
        struct sp_scan_probe probe;
        sp_status status = sp_scan_probe(w, scan->chain, result->end_offset, &probe, error);
        if (status != SP_OK) {
            return status;
        }
        if (probe.problem != SP_SCAN_FINE) {
            result->problem = probe.problem;
            return SP_OK;
        }
        status = scan->each(scan->context, &probe.header, probe.stored, error);
        if (status != SP_OK) {
            return status;
        }
        scan->chain->next_block++;
        scan->chain->next_position += probe.header.event_count;
        scan->chain->prev_check = probe.header.check;
        result->durable_upto = probe.header.durable_upto > result->durable_upto
                                   ? probe.header.durable_upto
                                   : result->durable_upto;
        result->end_offset += probe.stored.len;
    }
    result->problem = SP_SCAN_FINE;
    return SP_OK;
}

static bool zero_page(const char *page) {
    return page[0] == 0 && memcmp(page, page + 1, SP_BLOCK_ALIGN - 1) == 0;
}

/*
 * What a header behind the valid part says, and which blocks before it it vouches for. One that
 * follows and lies elsewhere was written to the wrong place, or is read from it; an older one
 * elsewhere may be a copy in somebody's event.
 */
static void weigh(const struct sp_scan *scan, const struct sp_block_header *header, uint64_t at,
                  struct sp_scan_result *result) {
    if (header->number < scan->chain->next_block) {
        return;
    }
    if (header->file_offset != at) {
        result->problem = SP_SCAN_MISPLACED;
    } else if (sp_block_vouches_upto(header) > result->durable_upto) {
        result->durable_upto = sp_block_vouches_upto(header);
    }
}

/*
 * Looks at every page behind the valid part: how far anything reaches, and what later headers
 * vouch for.
 */
static sp_status look_ahead(const struct sp_scan *scan, struct sp_scan_window *w,
                            struct sp_scan_result *result, struct sp_error *error) {
    for (uint64_t at = result->end_offset; at < scan->segment->segment_bytes;
         at += SP_BLOCK_ALIGN) {
        sp_str bytes;
        sp_status status = sp_scan_bytes(w, at, SP_BLOCK_ALIGN, &bytes, error);
        if (status != SP_OK) {
            return status;
        }
        if (zero_page(bytes.ptr)) {
            continue;
        }
        result->junk_bytes = at + SP_BLOCK_ALIGN - result->end_offset;
        struct sp_block_header header;
        if (sp_block_read_header(bytes, &header) == SP_OK && header.log_id == scan->chain->log_id &&
            header.epoch == scan->segment->epoch) {
            weigh(scan, &header, at, result);
        }
    }
    return SP_OK;
}

/* Looks at the block that is not valid, as far as its header says that it reaches. */
static sp_status diagnose(struct sp_scan_window *w, uint64_t offset,
                          enum sp_block_damage *ret_damage, struct sp_error *error) {
    sp_str bytes;
    struct sp_block_header header;
    sp_status status = sp_scan_bytes(w, offset, SP_BLOCK_ALIGN, &bytes, error);
    if (status == SP_OK && sp_block_read_header(bytes, &header) == SP_OK) {
        status = sp_scan_bytes(w, offset, sp_block_stored_bytes(header.body_bytes), &bytes, error);
    }
    if (status == SP_OK) {
        *ret_damage = sp_block_diagnose(bytes);
    }
    return status;
}

/*
 * Torn or damaged? See sp_block_diagnose; and a later block that vouches for this one settles it.
 */
static sp_status judge(const struct sp_scan *scan, struct sp_scan_window *w,
                       struct sp_scan_result *result, struct sp_error *error) {
    if (scan->stop_offset != 0 && result->end_offset < scan->stop_offset) {
        result->end = SP_SCAN_DAMAGED;
        return SP_OK;
    }
    if (scan->stop_offset != 0) {
        result->end = SP_SCAN_CLEAN; /* what follows in a finished segment is of no account */
        return SP_OK;
    }
    sp_status status = look_ahead(scan, w, result, error);
    if (status != SP_OK) {
        return status;
    }
    if (result->durable_upto >= scan->chain->next_block || result->problem == SP_SCAN_MISPLACED) {
        result->end = SP_SCAN_DAMAGED;
        return SP_OK;
    }
    if (result->junk_bytes == 0) {
        result->end = SP_SCAN_CLEAN;
        return SP_OK;
    }
    enum sp_block_damage damage = SP_BLOCK_DAMAGED;
    status = diagnose(w, result->end_offset, &damage, error);
    result->end = damage == SP_BLOCK_TORN ? SP_SCAN_TORN : SP_SCAN_DAMAGED;
    return status;
}

sp_status sp_scan_segment(const struct sp_scan *scan, struct sp_scan_result *ret_result,
                          struct sp_error *error) {
    struct sp_scan_window w;
    sp_status status = sp_scan_window_init(&w, scan->fs, scan->file, scan->segment, error);
    if (status != SP_OK) {
        return status;
    }
    start_ahead(&w, scan->worker,
                scan->stop_offset != 0 ? scan->stop_offset : scan->segment->segment_bytes);
    struct sp_scan_result result = {.end = SP_SCAN_CLEAN, .end_offset = SP_RAW_HEADER_BYTES};
    status = walk_valid(scan, &w, &result, error);
    if (status == SP_OK) {
        status = judge(scan, &w, &result, error);
    }
    sp_scan_window_fini(&w);
    if (status == SP_OK) {
        *ret_result = result;
    }
    return status;
}
