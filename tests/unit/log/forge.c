#include "forge.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/wire.h"
#include "log/frame.h"
#include "log/manifest.h"
#include "record/block.h"

enum { RECORDS_MAX = 4096 };

/* The records of a sealed file as rows. */
struct rows {
    struct sp_buf bytes;
    size_t at[RECORDS_MAX];
    uint64_t position[RECORDS_MAX];
    size_t count;
};

static void add_row(struct rows *rows, const struct sp_record *record) {
    sp_require(rows->count < RECORDS_MAX);
    rows->at[rows->count] = rows->bytes.len;
    rows->position[rows->count++] = record->position;
    sp_buf_add(&rows->bytes, record->bytes, record->size);
}

static struct sp_record row_of(const struct rows *rows, size_t index, uint64_t position) {
    struct sp_record record;
    sp_status status = sp_record_read(sp_str_from_byte(sp_buf_str(&rows->bytes), rows->at[index]),
                                      position, &record);
    sp_require(status == SP_OK);
    return record;
}

static void read_rows(struct sp_log_sealed *sealed, struct rows *rows) {
    const struct sp_sealed_footer *footer = sp_log_sealed_footer(sealed);
    struct sp_sealed_scratch *scratch = sp_sealed_scratch_new();
    uint64_t position = footer->first_position;
    for (uint32_t i = 0; i < footer->frame_count; i++) {
        sp_str bytes;
        sp_status status = sp_log_sealed_read(sealed, i, scratch, &bytes, NULL);
        sp_require(status == SP_OK);
        struct sp_block_walk walk = sp_block_walk_of(bytes, position);
        struct sp_record record;
        while (sp_block_walk_next(&walk, &record) == SP_OK) {
            add_row(rows, &record);
        }
        position = walk.next_position;
    }
    sp_sealed_scratch_free(scratch);
}

static size_t index_of(const struct rows *rows, uint64_t position) {
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->position[i] == position && row_of(rows, i, position).kind == SP_RECORD_EVENT) {
            return i;
        }
    }
    sp_never();
}

static void change(const struct forgery *forgery, struct rows *rows) {
    if (forgery->swap_with != 0) {
        size_t a = index_of(rows, forgery->position);
        size_t b = index_of(rows, forgery->swap_with);
        size_t at = rows->at[a];
        rows->at[a] = rows->at[b];
        rows->at[b] = at;
    } else if (forgery->position != 0) {
        size_t a = index_of(rows, forgery->position);
        struct sp_record record = row_of(rows, a, forgery->position);
        sp_str changed = record.data.len > 0 ? record.data : record.header;
        size_t at = (size_t)((const uint8_t *)changed.ptr - rows->bytes.data);
        rows->bytes.data[at + changed.len - 1] ^= 1;
    }
    if (forgery->leave_out != 0) {
        size_t a = index_of(rows, forgery->leave_out);
        rows->count--;
        for (size_t i = a; i < rows->count; i++) {
            rows->at[i] = rows->at[i + 1];
        }
    }
}

/* A sealed file as it is being put together. */
struct out {
    struct sp_buf bytes;
    struct sp_buf directory;
    struct sp_sealed_footer footer;
};

static void put_section(struct out *out, enum sp_sealed_section section, sp_str bytes) {
    out->footer.sections[section] = (struct sp_sealed_extent){
        .offset = out->bytes.len, .bytes = bytes.len, .check = sp_hash(bytes.ptr, bytes.len)};
    sp_buf_add_str(&out->bytes, bytes);
}

static void put_frame(struct out *out, const struct sp_frame *frame) {
    size_t offset = out->bytes.len;
    sp_frame_encode(frame, &out->bytes);
    size_t len = out->bytes.len - offset;
    struct sp_sealed_frame row = {
        .check = sp_hash(out->bytes.data + offset, len),
        .offset = (uint32_t)offset,
        .stored_bytes = (uint32_t)len,
        .column_bytes = (uint32_t)len,
        .raw_bytes = (uint32_t)frame->raw_bytes,
        .first_ordinal = (uint32_t)(frame->first_position - out->footer.first_position),
        .event_count = (uint16_t)frame->event_count,
        .flags = SP_FRAME_STORED,
    };
    uint8_t bytes[SP_SEALED_DIRECTORY_ROW_BYTES];
    sp_sealed_directory_row_encode(&row, bytes);
    sp_buf_add(&out->directory, bytes, sizeof(bytes));
    out->footer.frame_count++;
}

/* Writes the frames; yields the leaf hashes of the events as they are now. */
static void put_frames(struct out *out, const struct rows *rows, struct sp_buf *leaves) {
    struct sp_frame *frame = calloc(1, sizeof(*frame));
    sp_require(frame != NULL);
    struct sp_salter salter;
    sp_salter_init(&salter, out->footer.salt_key);
    uint64_t next = out->footer.first_position;
    sp_frame_reset(frame, next);
    out->footer.record_count = rows->count;
    for (size_t i = 0; i < rows->count; i++) {
        struct sp_record record = row_of(rows, i, next);
        if (sp_frame_full(frame, &record)) {
            put_frame(out, frame);
            sp_frame_reset(frame, next);
        }
        sp_frame_add(frame, &record);
        if (record.kind == SP_RECORD_EVENT) {
            uint8_t leaf[SP_HASH_BYTES];
            sp_leaf_hash(&salter, &record, leaf);
            sp_buf_add(leaves, leaf, sizeof(leaf));
            next++;
        }
        out->footer.last_recorded_us = record.recorded_us;
    }
    put_frame(out, frame);
    out->footer.last_position = next - 1;
    free(frame);
}

static void take_section(struct sp_log_sealed *sealed, enum sp_sealed_section section,
                         struct sp_buf *to) {
    sp_buf_init(to, SP_SEALED_BYTES_MAX);
    sp_status status = sp_log_sealed_section_all(sealed, section, to, NULL);
    sp_require(status == SP_OK);
}

static void put_tags(struct out *out, const struct forgery *forgery, const struct sp_buf *leaves,
                     struct sp_buf *tags) {
    size_t events = leaves->len / SP_HASH_BYTES;
    tags->len = events * 2 < tags->len ? events * 2 : tags->len;
    for (size_t i = 0; forgery->tags && i < events; i++) {
        memcpy(tags->data + 2 * i, leaves->data + i * SP_HASH_BYTES, 2);
    }
    put_section(out, SP_SECTION_TAGS, sp_buf_str(tags));
}

static void put_tiles_and_tree(struct out *out, const struct forgery *forgery,
                               const struct sp_buf *leaves, struct sp_buf *tiles,
                               struct sp_buf *edges) {
    struct sp_tree tree;
    size_t start = sp_tree_packed_bytes(sp_get_u64(edges->data));
    bool fine = sp_tree_unpack(&tree, edges->data, start);
    sp_require(fine);
    size_t tile_count = 0;
    for (size_t at = 0; at < leaves->len; at += SP_HASH_BYTES) {
        uint8_t tile[SP_HASH_BYTES];
        if (sp_tree_add(&tree, leaves->data + at, tile)) {
            if (forgery->tiles_and_tree) {
                memcpy(tiles->data + tile_count * SP_HASH_BYTES, tile, SP_HASH_BYTES);
            }
            tile_count++;
        }
    }
    tiles->len = tile_count * SP_HASH_BYTES;
    out->footer.tile_count = (uint32_t)tile_count;
    put_section(out, SP_SECTION_TILES, sp_buf_str(tiles));
    if (forgery->tiles_and_tree) {
        size_t end = sp_tree_packed_bytes(tree.size);
        edges->len = start;
        uint8_t *to = sp_buf_reserve(edges, end);
        sp_tree_pack(&tree, to);
        sp_buf_advance(edges, end);
    }
    put_section(out, SP_SECTION_TREE, sp_buf_str(edges));
}

void forge_sealed(const struct forgery *forgery) {
    struct sp_log_sealed *sealed = NULL;
    sp_status status = sp_log_sealed_open(&forgery->fs->base, forgery->id, &sealed, NULL);
    sp_require(status == SP_OK);
    struct rows *rows = calloc(1, sizeof(*rows));
    struct out *out = calloc(1, sizeof(*out));
    sp_require(rows != NULL && out != NULL);
    sp_buf_init(&rows->bytes, SP_SEALED_BYTES_MAX);
    sp_buf_init(&out->bytes, SP_SEALED_BYTES_MAX);
    sp_buf_init(&out->directory, SP_SEALED_BYTES_MAX);
    struct sp_buf tags;
    struct sp_buf tiles;
    struct sp_buf edges;
    struct sp_buf index;
    struct sp_buf leaves;
    take_section(sealed, SP_SECTION_TAGS, &tags);
    take_section(sealed, SP_SECTION_TILES, &tiles);
    take_section(sealed, SP_SECTION_TREE, &edges);
    take_section(sealed, SP_SECTION_INDEX, &index);
    sp_buf_init(&leaves, SP_SEALED_BYTES_MAX);
    out->footer = *sp_log_sealed_footer(sealed);
    out->footer.frame_count = 0;
    read_rows(sealed, rows);
    change(forgery, rows);
    uint8_t head[SP_SEALED_HEADER_BYTES];
    sp_sealed_header_encode(&out->footer, head);
    sp_buf_add(&out->bytes, head, sizeof(head));
    put_frames(out, rows, &leaves);
    out->footer.sections[SP_SECTION_FRAMES] =
        (struct sp_sealed_extent){.offset = sizeof(head), .bytes = out->bytes.len - sizeof(head)};
    put_section(out, SP_SECTION_DIRECTORY, sp_buf_str(&out->directory));
    put_section(out, SP_SECTION_DICTIONARY, (sp_str){.ptr = "", .len = 0});
    put_tags(out, forgery, &leaves, &tags);
    put_tiles_and_tree(out, forgery, &leaves, &tiles, &edges);
    put_section(out, SP_SECTION_INDEX, sp_buf_str(&index));
    uint8_t foot[SP_SEALED_FOOTER_BYTES];
    sp_sealed_footer_encode(&out->footer, foot);
    sp_buf_add(&out->bytes, foot, sizeof(foot));
    char path[SP_SEALED_PATH_BYTES];
    sp_sealed_path(forgery->id, path);
    sp_log_sealed_unref(sealed);
    memory_fs_put(forgery->fs, path, sp_buf_str(&out->bytes));
    struct sp_buf *const buffers[] = {&rows->bytes, &out->bytes, &out->directory, &tags,
                                      &tiles,       &edges,      &index,          &leaves};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
        sp_buf_fini(buffers[i]);
    }
    free(rows);
    free(out);
    if (forgery->manifest) {
        forge_manifest(forgery->fs, forgery->id);
    }
}

void forge_manifest(struct memory_fs *fs, uint64_t id) {
    struct sp_manifest manifest;
    struct sp_log_sealed *sealed = NULL;
    sp_status status = sp_manifest_load(&fs->base, &manifest, NULL);
    status = status == SP_OK ? sp_log_sealed_open(&fs->base, id, &sealed, NULL) : status;
    sp_require(status == SP_OK);
    for (uint32_t i = 0; i < manifest.segment_count; i++) {
        struct sp_manifest_segment *row = &manifest.segments[i];
        if (row->id == id) {
            row->file_bytes = sp_log_sealed_bytes(sealed);
            row->footer_check = sp_log_sealed_footer(sealed)->check;
            row->last_position = sp_log_sealed_footer(sealed)->last_position;
        }
    }
    struct sp_buf bytes;
    sp_buf_init(&bytes, 1 << 20);
    sp_manifest_encode(&manifest, &bytes);
    memory_fs_put(fs, SP_MANIFEST_PATH, sp_buf_str(&bytes));
    sp_buf_fini(&bytes);
    sp_manifest_fini(&manifest);
    sp_log_sealed_unref(sealed);
}
