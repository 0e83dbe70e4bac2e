#include "log/scan.h"

#include <stdlib.h>

#include "base/blob.h"

enum { SCAN_CHUNK_BYTES = 4 << 20 };

/* A window that slides over the file; its start is always at a page boundary. */
struct window {
    const struct sp_scan *scan;
    struct sp_blob *blob;
    uint64_t offset; /* in the file, of the window's first byte */
};

/* Makes at least `want` bytes at `offset` available, or what is left of the file. */
static sp_status slide(struct window *w, uint64_t offset, size_t want, sp_str *ret_bytes,
                       struct sp_error *error) {
    uint64_t file_bytes = w->scan->segment->segment_bytes;
    uint64_t left = file_bytes - offset;
    want = left < want ? (size_t)left : want;
    uint64_t have_end = w->offset + w->blob->len;
    if (offset < w->offset || offset + want > have_end) {
        size_t keep = offset >= w->offset && offset < have_end ? (size_t)(have_end - offset) : 0;
        if (keep > 0) {
            memmove(w->blob->data, w->blob->data + (offset - w->offset), keep);
        }
        w->offset = offset;
        w->blob->len = keep;
        size_t room = w->blob->capacity - keep;
        size_t fill = left - keep < room ? (size_t)(left - keep) : room;
        size_t got = 0;
        sp_status status = w->scan->fs->ops->read(w->scan->file, w->blob->data + keep, fill,
                                                  offset + keep, &got, error);
        if (status != SP_OK) {
            return status;
        }
        if (got != fill) {
            return sp_error_set_at(error, SP_CORRUPT, offset + keep + got,
                                   "the file is cut: it ends at %llu and should have %llu bytes",
                                   (unsigned long long)(offset + keep + got),
                                   (unsigned long long)file_bytes);
        }
        w->blob->len += got;
    }
    size_t at = (size_t)(offset - w->offset);
    *ret_bytes = sp_str_of(w->blob->data + at, w->blob->len - at);
    return SP_OK;
}

/* NULL where the header belongs here; else what is wrong. */
static const char *misfit(const struct sp_scan *scan, const struct sp_block_header *header,
                          uint64_t offset) {
    const struct sp_scan_chain *chain = scan->chain;
    if (header->log_id != chain->log_id) {
        return "a block of another log";
    }
    if (header->epoch != scan->segment->epoch || header->file_offset != offset) {
        return "a block that belongs elsewhere";
    }
    if (header->number != chain->next_block) {
        return "the block's number does not follow";
    }
    if (header->first_position != chain->next_position) {
        return "the block's position does not follow";
    }
    if (header->prev_check != chain->prev_check) {
        return "the block does not continue the one before";
    }
    if (sp_block_stored_bytes(header->body_bytes) > scan->block_bytes_max) {
        return "the block is larger than any may be";
    }
    return NULL;
}

/* What stands at an offset: a valid block, or why not. */
struct probe {
    struct sp_block_header header;
    sp_str stored;
    const char *problem; /* NULL: a valid block that continues the chain */
};

static sp_status probe_block(struct window *w, uint64_t offset, struct probe *ret_probe,
                             struct sp_error *error) {
    sp_str bytes;
    sp_status status = slide(w, offset, SP_BLOCK_ALIGN, &bytes, error);
    if (status != SP_OK) {
        return status;
    }
    struct probe probe = {.problem = NULL};
    sp_status read = sp_block_read_header(bytes, &probe.header);
    if (read != SP_OK) {
        probe.problem = read == SP_NOT_FOUND ? "no block header" : "the block's header is damaged";
        *ret_probe = probe;
        return SP_OK;
    }
    probe.problem = misfit(w->scan, &probe.header, offset);
    size_t stored = sp_block_stored_bytes(probe.header.body_bytes);
    if (probe.problem == NULL && stored > w->scan->segment->segment_bytes - offset) {
        probe.problem = "the block reaches beyond the file";
    }
    if (probe.problem == NULL) {
        status = slide(w, offset, stored, &bytes, error);
        probe.stored = sp_str_of(bytes.ptr, stored);
        if (status == SP_OK && !sp_block_body_valid(&probe.header, probe.stored)) {
            probe.problem = "the block's records are damaged";
        }
    }
    *ret_probe = probe;
    return status;
}

/* Walks the valid blocks. The result's end_offset is behind the last one. */
static sp_status walk_valid(struct window *w, struct sp_scan_result *result,
                            struct sp_error *error) {
    const struct sp_scan *scan = w->scan;
    uint64_t stop = scan->stop_offset != 0 ? scan->stop_offset : scan->segment->segment_bytes;
    while (result->end_offset < stop) {
        struct probe probe;
        sp_status status = probe_block(w, result->end_offset, &probe, error);
        if (status != SP_OK) {
            return status;
        }
        if (probe.problem != NULL) {
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
    result->problem = NULL;
    return SP_OK;
}

static bool zero_page(const char *page) {
    return page[0] == 0 && memcmp(page, page + 1, SP_BLOCK_ALIGN - 1) == 0;
}

/* Looks at every page behind the valid part: how far anything reaches, and what later headers vouch for. */
static sp_status look_ahead(struct window *w, struct sp_scan_result *result,
                            struct sp_error *error) {
    const struct sp_scan *scan = w->scan;
    for (uint64_t at = result->end_offset; at < scan->segment->segment_bytes;
         at += SP_BLOCK_ALIGN) {
        sp_str bytes;
        sp_status status = slide(w, at, SP_BLOCK_ALIGN, &bytes, error);
        if (status != SP_OK) {
            return status;
        }
        if (zero_page(bytes.ptr)) {
            continue;
        }
        result->junk_bytes = at + SP_BLOCK_ALIGN - result->end_offset;
        struct sp_block_header header;
        if (sp_block_read_header(bytes, &header) == SP_OK &&
            header.log_id == scan->chain->log_id && header.epoch == scan->segment->epoch &&
            header.file_offset == at && header.durable_upto > result->durable_upto) {
            result->durable_upto = header.durable_upto;
        }
    }
    return SP_OK;
}

/* Torn or damaged? See sp_block_diagnose; and a later block that vouches for this one settles it. */
static sp_status judge(struct window *w, struct sp_scan_result *result, struct sp_error *error) {
    const struct sp_scan *scan = w->scan;
    if (scan->stop_offset != 0 && result->end_offset < scan->stop_offset) {
        result->end = SP_SCAN_DAMAGED;
        return SP_OK;
    }
    sp_status status = look_ahead(w, result, error);
    if (status != SP_OK || scan->stop_offset != 0) {
        result->end = SP_SCAN_CLEAN; /* what follows a finished segment is of no account */
        return status;
    }
    if (result->durable_upto >= scan->chain->next_block) {
        result->end = SP_SCAN_DAMAGED;
        return SP_OK;
    }
    if (result->junk_bytes == 0) {
        result->end = SP_SCAN_CLEAN;
        return SP_OK;
    }
    sp_str bytes;
    status = slide(w, result->end_offset, scan->block_bytes_max, &bytes, error);
    if (status == SP_OK) {
        result->end =
            sp_block_diagnose(bytes) == SP_BLOCK_TORN ? SP_SCAN_TORN : SP_SCAN_DAMAGED;
    }
    return status;
}

sp_status sp_scan_segment(const struct sp_scan *scan, struct sp_scan_result *ret_result,
                          struct sp_error *error) {
    struct window w = {.scan = scan};
    w.blob = sp_blob_new((size_t)scan->block_bytes_max + SCAN_CHUNK_BYTES, SP_BLOCK_ALIGN);
    if (w.blob == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "scan");
    }
    struct sp_scan_result result = {.end = SP_SCAN_CLEAN, .end_offset = SP_RAW_HEADER_BYTES};
    sp_status status = walk_valid(&w, &result, error);
    if (status == SP_OK) {
        status = judge(&w, &result, error);
    }
    sp_blob_unref(w.blob);
    if (status == SP_OK) {
        *ret_result = result;
    }
    return status;
}
