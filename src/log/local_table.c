/*
 * Segments that recovery passes over: their ends when the log is opened, their tables of blocks
 * when somebody first reads in them.
 *
 * What is known of such a segment without reading it is what its own header, that of the next one
 * and its last block say, and these must agree. Its table is made from the headers of its blocks,
 * each of which has to continue the one before; behind one that does not, the next that does is
 * looked for, so damage costs the blocks it lies in. Bodies are checked when they are read.
 */
#include <stdlib.h>

#include "log/local_int.h"

enum {
    END_BYTES = 256 << 10,      /* read first, to find the last block; doubled until it is found */
    SEQUENTIAL_BYTES = 1 << 20, /* read at once where headers lie close to each other, */
    LONG_BLOCK_BYTES = 128 << 10, /* and one page at a time where blocks are this long */
};

/*
 * ---- the end
 * -------------------------------------------------------------------------------------
 */

/* Whether this is the last block of the segment, whole, if the next one begins as it says. */
static bool is_last_block(const struct segment *segment, const struct sp_raw_header *next,
                          uint64_t offset, sp_str stored, struct sp_block_header *header) {
    return sp_block_read_header(stored, header) == SP_OK && header->check == next->prev_check &&
           header->log_id == segment->log->log_id && header->epoch == segment->id &&
           header->file_offset == offset && header->number + 1 == next->first_block &&
           header->number >= segment->first_block &&
           header->first_position + header->event_count == next->first_position &&
           header->first_position >= segment->first_position &&
           sp_block_stored_bytes(header->body_bytes) == stored.len &&
           sp_block_body_valid(header, stored);
}

/* Reads so many bytes of the end and looks for the last block in them. */
static bool find_last_block(struct segment *segment, const struct sp_raw_header *next,
                            struct sp_blob *blob, size_t bytes,
                            struct sp_block_header *ret_header) {
    uint64_t from = next->prev_end - bytes;
    size_t got = 0;
    if (segment->log->fs->ops->read(segment->direct, blob->data, bytes, from, &got, NULL) !=
            SP_OK ||
        got != bytes) {
        return false;
    }
    for (size_t back = SP_BLOCK_ALIGN; back <= bytes; back += SP_BLOCK_ALIGN) {
        sp_str stored = sp_str_of(blob->data + bytes - back, back);
        if (is_last_block(segment, next, next->prev_end - back, stored, ret_header)) {
            return true;
        }
    }
    return false;
}

bool local_table_postpone(struct segment *segment, const struct sp_raw_header *next) {
    uint64_t end = next->prev_end;
    bool fits = end % SP_BLOCK_ALIGN == 0 && end > SP_RAW_HEADER_BYTES &&
                end <= segment->file_bytes && next->first_block > segment->first_block &&
                next->first_position >= segment->first_position;
    uint64_t content = fits ? end - SP_RAW_HEADER_BYTES : 0;
    bool found = false;
    for (uint64_t bytes = END_BYTES; fits && !found; bytes *= 2) {
        bytes = bytes < content ? bytes : content;
        struct sp_blob *blob = sp_blob_new((size_t)bytes, SP_BLOCK_ALIGN);
        struct sp_block_header header;
        found = blob != NULL && find_last_block(segment, next, blob, (size_t)bytes, &header);
        segment->last_recorded_us = found ? header.recorded_us : 0;
        fits = blob != NULL && bytes < content && bytes < SP_BLOCK_BYTES_MAX;
        sp_blob_unref(blob);
    }
    return found;
}

/*
 * ---- the table
 * -----------------------------------------------------------------------------------
 */

/* A walk over the headers of a segment's blocks. */
struct walk {
    const struct segment *segment;
    struct block_entry *blocks;
    uint64_t number; /* of the next block */
    uint64_t position;
    uint64_t check; /* of the block before */
    uint64_t offset;
    struct sp_blob *blob;
    uint64_t blob_offset;
};

/* The page at an offset, with as many behind it as are worth a read. */
static sp_status read_page(struct walk *walk, uint64_t offset, sp_str *ret_page,
                           struct sp_error *error) {
    struct sp_blob *blob = walk->blob;
    const struct segment *segment = walk->segment;
    bool held =
        offset >= walk->blob_offset && offset + SP_BLOCK_ALIGN <= walk->blob_offset + blob->len;
    sp_status status = SP_OK;
    uint64_t left = segment->end_offset - offset;
    for (size_t want = left < blob->capacity ? (size_t)left : blob->capacity; !held;
         want = SP_BLOCK_ALIGN) {
        size_t got = 0;
        blob->len = 0;
        status =
            segment->log->fs->ops->read(segment->direct, blob->data, want, offset, &got, error);
        if (status == SP_OK && got < SP_BLOCK_ALIGN) {
            return sp_error_set_at(error, SP_CORRUPT, offset + got, "the file ends early");
        }
        if (status == SP_OK || want == SP_BLOCK_ALIGN) { /* else the fault may lie further on */
            held = true;
            blob->len = status == SP_OK ? got : 0;
            walk->blob_offset = offset;
        }
    }
    *ret_page = sp_str_of(blob->data + (offset - walk->blob_offset), SP_BLOCK_ALIGN);
    return status;
}

/* Whether a block that lies here can be one of the segment that the walk has yet to come to. */
static bool is_ahead(const struct walk *walk, const struct sp_block_header *header,
                     uint64_t offset) {
    const struct segment *segment = walk->segment;
    return header->log_id == segment->log->log_id && header->epoch == segment->id &&
           header->file_offset == offset && header->number >= walk->number &&
           header->number < segment->next_block && header->first_position >= walk->position &&
           header->event_count <= segment->next_position - header->first_position &&
           header->first_position <= segment->next_position &&
           sp_block_stored_bytes(header->body_bytes) <= segment->end_offset - offset;
}

static bool continues(const struct walk *walk, const struct sp_block_header *header) {
    return header->number == walk->number && header->first_position == walk->position &&
           header->prev_check == walk->check;
}

/* All blocks up to a number, and the events up to a position, are lost in one damage. */
static void enter_lost(struct walk *walk, uint64_t number, uint64_t position) {
    while (walk->number < number) {
        walk->blocks[walk->number - walk->segment->first_block] =
            (struct block_entry){.first_position = walk->position,
                                 .offset_pages = (uint32_t)(walk->offset / SP_BLOCK_ALIGN)};
        walk->position = position;
        walk->number++;
    }
}

static void enter_block(struct walk *walk, const struct sp_block_header *header, uint64_t offset) {
    size_t stored = sp_block_stored_bytes(header->body_bytes);
    walk->blocks[walk->number - walk->segment->first_block] = (struct block_entry){
        .first_position = header->first_position,
        .offset_pages = (uint32_t)(offset / SP_BLOCK_ALIGN),
        .stored_pages = (uint32_t)(stored / SP_BLOCK_ALIGN),
    };
    walk->number++;
    walk->position = header->first_position + header->event_count;
    walk->check = header->check;
    walk->offset = offset + stored;
}

/*
 * Enters the next block, and those before it that are lost. What stands in the place of the next
 * one and does not continue the walk is not it: it is looked for further on, from the number after
 * it, and only there one whose predecessor is not known is taken for what it says.
 */
static sp_status step(struct walk *walk, struct sp_error *error) {
    const struct segment *segment = walk->segment;
    for (uint64_t at = walk->offset; at < segment->end_offset; at += SP_BLOCK_ALIGN) {
        sp_str page;
        struct sp_block_header header;
        sp_status status = read_page(walk, at, &page, error);
        if (status != SP_OK) {
            return status;
        }
        status = sp_block_read_header(page, &header);
        if (status == SP_UNSUPPORTED) {
            return sp_error_set_at(error, status, at,
                                   "the block at offset %llu is of a later "
                                   "format",
                                   (unsigned long long)at);
        }
        bool ahead = status == SP_OK && is_ahead(walk, &header, at);
        bool gap = at > walk->offset && header.number > walk->number;
        if (ahead && (at == walk->offset ? continues(walk, &header) : gap)) {
            enter_lost(walk, header.number, header.first_position);
            enter_block(walk, &header, at);
            return SP_OK;
        }
    }
    enter_lost(walk, segment->next_block, segment->next_position);
    walk->offset = segment->end_offset;
    return SP_OK;
}

static sp_status walk_headers(struct walk *walk, struct sp_error *error) {
    const struct segment *segment = walk->segment;
    uint64_t count = segment->next_block - segment->first_block;
    bool longs = (segment->end_offset - SP_RAW_HEADER_BYTES) / count >= LONG_BLOCK_BYTES;
    walk->blob = sp_blob_new(longs ? SP_BLOCK_ALIGN : SEQUENTIAL_BYTES, SP_BLOCK_ALIGN);
    walk->blocks = calloc(count, sizeof(*walk->blocks));
    if (walk->blob == NULL || walk->blocks == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "block table");
    }
    sp_status status = SP_OK;
    while (status == SP_OK && walk->number < segment->next_block) {
        status = step(walk, error);
    }
    return status;
}

/* The mutex is held. */
static bool has_table_locked(const struct segment *segment) {
    return segment->sealed != NULL || segment->blocks != NULL ||
           segment->next_block == segment->first_block;
}

/* Two may make it at once: the second one's is dropped. */
static void put_table(struct segment *segment, struct block_entry *blocks) {
    pthread_mutex_lock(&segment->log->mutex);
    bool had = has_table_locked(segment);
    if (!had) {
        segment->blocks = blocks;
        segment->block_capacity = (uint32_t)(segment->next_block - segment->first_block);
    }
    pthread_mutex_unlock(&segment->log->mutex);
    if (had) {
        free(blocks);
    }
}

sp_status local_table_need(struct segment *segment, struct sp_error *error) {
    pthread_mutex_lock(&segment->log->mutex);
    bool has = has_table_locked(segment);
    pthread_mutex_unlock(&segment->log->mutex);
    if (has) {
        return SP_OK;
    }
    struct walk walk = {.segment = segment, /* full: nothing of it changes any more */
                        .number = segment->first_block,
                        .position = segment->first_position,
                        .check = segment->prev_check,
                        .offset = SP_RAW_HEADER_BYTES};
    sp_status status = walk_headers(&walk, error);
    sp_blob_unref(walk.blob);
    if (status == SP_OK) {
        put_table(segment, walk.blocks);
        return SP_OK;
    }
    free(walk.blocks);
    char path[RAW_PATH_BYTES];
    local_raw_path(segment->file_number, path);
    return sp_error_prefix(error, status, "%s", path);
}
