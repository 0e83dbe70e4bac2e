#include "log/scan.h"

enum { SCAN_CHUNK_BYTES = 4 << 20 };

sp_status sp_scan_window_init(struct sp_scan_window *window, struct sp_fs *fs, struct sp_file *file,
                              const struct sp_raw_header *segment, struct sp_error *error) {
    uint64_t bytes = segment->segment_bytes;
    size_t capacity = bytes < SCAN_CHUNK_BYTES ? (size_t)bytes : SCAN_CHUNK_BYTES;
    *window = (struct sp_scan_window){
        .fs = fs, .file = file, .segment = segment, .blob = sp_blob_new(capacity, SP_BLOCK_ALIGN)};
    return window->blob != NULL ? SP_OK : sp_error_set(error, SP_NO_MEMORY, "scan");
}

void sp_scan_window_fini(struct sp_scan_window *window) {
    sp_blob_unref(window->blob);
    window->blob = NULL;
}

/* Moves the window to `offset`, keeps what it has of that, and makes room for `want` bytes. */
static sp_status move_window(struct sp_scan_window *w, uint64_t offset, size_t want,
                             struct sp_error *error) {
    uint64_t have_end = w->offset + w->blob->len;
    size_t keep = offset >= w->offset && offset < have_end ? (size_t)(have_end - offset) : 0;
    struct sp_blob *to = w->blob;
    if (want > to->capacity) {
        to = sp_blob_new(want + SCAN_CHUNK_BYTES, SP_BLOCK_ALIGN);
        if (to == NULL) {
            return sp_error_set(error, SP_NO_MEMORY, "scan of a block of %zu bytes", want);
        }
    }
    if (keep > 0) {
        memmove(to->data, w->blob->data + (offset - w->offset), keep);
    }
    if (to != w->blob) {
        sp_blob_unref(w->blob);
        w->blob = to;
    }
    w->offset = offset;
    w->blob->len = keep;
    return SP_OK;
}

/* Reads on from where the window ends, as far as it has room. */
static sp_status fill_window(struct sp_scan_window *w, struct sp_error *error) {
    uint64_t end = w->offset + w->blob->len;
    uint64_t left = w->segment->segment_bytes - end;
    size_t room = w->blob->capacity - w->blob->len;
    size_t fill = left < room ? (size_t)left : room;
    size_t got = 0;
    sp_status status =
        w->fs->ops->read(w->file, w->blob->data + w->blob->len, fill, end, &got, error);
    if (status != SP_OK) {
        return status;
    }
    w->blob->len += got;
    if (got != fill) {
        return sp_error_set_at(error, SP_CORRUPT, end + got,
                               "the file is cut: it ends at %llu and should have %llu bytes",
                               (unsigned long long)(end + got),
                               (unsigned long long)w->segment->segment_bytes);
    }
    return SP_OK;
}

sp_status sp_scan_bytes(struct sp_scan_window *w, uint64_t offset, size_t want, sp_str *ret_bytes,
                        struct sp_error *error) {
    sp_require(offset % SP_BLOCK_ALIGN == 0 && offset <= w->segment->segment_bytes);
    uint64_t left = w->segment->segment_bytes - offset;
    want = left < want ? (size_t)left : want;
    sp_status status = SP_OK;
    if (offset < w->offset || offset + want > w->offset + w->blob->len) {
        status = move_window(w, offset, want, error);
        status = status == SP_OK ? fill_window(w, error) : status;
    }
    if (status == SP_OK) {
        size_t at = (size_t)(offset - w->offset);
        *ret_bytes = sp_str_of(w->blob->data + at, w->blob->len - at);
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
 * What a header behind the valid part says. Writes are done one after another, so a later block
 * vouches for all before it. One that follows and lies elsewhere was written to the wrong place,
 * or is read from it; an older one elsewhere may be a copy in somebody's event.
 */
static void weigh(const struct sp_scan *scan, const struct sp_block_header *header, uint64_t at,
                  struct sp_scan_result *result) {
    if (header->number < scan->chain->next_block) {
        return;
    }
    if (header->file_offset != at) {
        result->problem = SP_SCAN_MISPLACED;
    } else if (header->number - 1 > result->durable_upto) {
        result->durable_upto = header->number - 1;
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
