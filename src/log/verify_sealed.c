/*
 * One sealed file: is it the one that the manifest names, does it continue what came before, do
 * its sections have their checksums, does every frame hold the records that the directory says,
 * and do the events have the hashes that tags, tiles and tree recorded.
 */
#include "base/wire.h"
#include "log/verify_int.h"

/* What is known of the file under way. */
struct walk {
    struct verifier *v;
    struct sp_log_sealed *sealed;
    const struct sp_sealed_footer *footer;
    struct sp_sealed_scratch *scratch;
    uint64_t next_offset;   /* where the next frame must begin */
    uint64_t next_position; /* what the next frame must begin with */
    uint64_t records;
    uint64_t first_recorded_us;
};

static void say_whole(struct walk *walk, enum sp_verify_level level, const char *what) {
    const struct sp_sealed_footer *footer = walk->footer;
    verify_say(walk->v, level, footer->first_position, footer->last_position,
               sp_log_sealed_bytes(walk->sealed) - SP_SEALED_FOOTER_BYTES, "%s", what);
}

static void compare_with_manifest(struct walk *walk, const struct sp_manifest_segment *row) {
    const struct sp_sealed_footer *footer = walk->footer;
    if (memcmp(footer->uuid, walk->v->manifest.uuid, 16) != 0) {
        say_whole(walk, SP_VERIFY_ALTERATION, "the file belongs to another log");
    } else if (footer->check != row->footer_check ||
               sp_log_sealed_bytes(walk->sealed) != row->file_bytes) {
        say_whole(walk, SP_VERIFY_ALTERATION,
                  "the file is whole and not the one that " SP_MANIFEST_PATH
                  " names: it was replaced, or the manifest was");
    }
}

/*
 * Says where the file does not continue what came before it; the walk then follows the file. False
 * where that makes no sense.
 */
static bool compare_with_chain(struct walk *walk) {
    struct verifier *v = walk->v;
    struct sp_scan_chain *chain = &v->state.chain;
    const struct sp_sealed_footer *footer = walk->footer;
    if (footer->first_position == 0 || footer->last_position + 1 < footer->first_position ||
        footer->last_position + 1 - footer->first_position > UINT32_MAX) {
        say_whole(walk, SP_VERIFY_ALTERATION, "the footer's positions make no sense");
        return false;
    }
    if (footer->first_position > chain->next_position) {
        verify_say(v, SP_VERIFY_ALTERATION, chain->next_position, footer->first_position - 1, 0,
                   "the file begins with event %llu: events %llu to %llu before it are missing",
                   (unsigned long long)footer->first_position,
                   (unsigned long long)chain->next_position,
                   (unsigned long long)footer->first_position - 1);
    } else if (footer->first_position < chain->next_position ||
               footer->first_block != chain->next_block) {
        say_whole(walk, SP_VERIFY_ALTERATION,
                  "the file does not follow the part before it: out of order, or there twice");
    } else if (footer->prev_check != chain->prev_check) {
        say_whole(walk, SP_VERIFY_ALTERATION,
                  "the file does not continue the last block of the part before it");
    }
    return footer->first_position >= chain->next_position;
}

static void follow(struct verify_state *state, const struct sp_manifest_segment *row) {
    state->last_id = row->id;
    state->chain.next_block = row->last_block + 1;
    state->chain.next_position = row->last_position + 1;
    state->chain.prev_check = row->last_check;
}

/* Loads a section; damage leaves the buffer empty. */
static bool load(struct walk *walk, enum sp_sealed_section section, struct sp_buf *to,
                 const char *consequence) {
    struct verifier *v = walk->v;
    struct sp_error error;
    sp_buf_reset(to);
    sp_status status = sp_log_sealed_section_all(walk->sealed, section, to, &error);
    if (status == SP_OK) {
        return true;
    }
    sp_buf_reset(to);
    if (status == SP_CORRUPT || status == SP_IO) {
        verify_say(v, SP_VERIFY_DAMAGE, walk->footer->first_position, walk->footer->last_position,
                   walk->footer->sections[section].offset, "section %s is damaged: %s",
                   sp_sealed_section_name(section), consequence);
    } else {
        verify_stop(v, status, &error);
    }
    return false;
}

/* The checks of sections that nothing else reads. */
static void check_other_sections(struct walk *walk) {
    struct sp_buf bytes;
    sp_buf_init(&bytes, SP_SEALED_BYTES_MAX);
    (void)load(walk, SP_SECTION_DICTIONARY, &bytes, "the events cannot be decompressed");
    for (enum sp_sealed_section i = SP_SECTION_COUNT; i < SP_SECTION_SLOTS; i++) {
        if (walk->footer->sections[i].bytes > 0) {
            (void)load(walk, i, &bytes, "it is of a later version");
        }
    }
    sp_buf_fini(&bytes);
    struct sp_error error;
    sp_status status = sp_log_sealed_check_layout(walk->sealed, &error);
    if (status != SP_OK) {
        verify_failed(walk->v, status, 0, 0, &error);
    }
}

/* The tags and tiles, for as many events and tiles as the segment has. */
static void load_recorded(struct walk *walk) {
    struct verify_recorded *recorded = &walk->v->recorded;
    const struct sp_sealed_footer *footer = walk->footer;
    uint64_t events = footer->last_position + 1 - footer->first_position;
    uint64_t tiles =
        footer->last_position / SP_TILE_LEAVES - (footer->first_position - 1) / SP_TILE_LEAVES;
    recorded->first_position = footer->first_position;
    if (load(walk, SP_SECTION_TAGS, &recorded->tags, "altered events are found by tile only") &&
        recorded->tags.len != events * 2) {
        say_whole(walk, SP_VERIFY_ALTERATION, "section tags is not of as many events");
    }
    if (load(walk, SP_SECTION_TILES, &recorded->tiles, "altered events are found by tag only") &&
        (recorded->tiles.len != tiles * SP_HASH_BYTES || footer->tile_count != tiles)) {
        say_whole(walk, SP_VERIFY_ALTERATION, "section tiles is not of as many tiles");
    }
}

/* The two edges; false where they cannot be had. */
static bool load_edges(struct walk *walk, struct sp_tree *start, struct sp_tree *end) {
    struct sp_buf bytes;
    sp_buf_init(&bytes, SP_SEALED_BYTES_MAX);
    bool fine = load(walk, SP_SECTION_TREE, &bytes, "the Merkle tree is taken on trust here");
    if (fine) {
        size_t first = bytes.len >= 8 ? sp_tree_packed_bytes(sp_get_u64(bytes.data)) : SIZE_MAX;
        fine = first <= bytes.len && sp_tree_unpack(start, bytes.data, first) &&
               sp_tree_unpack(end, bytes.data + first, bytes.len - first);
        if (!fine) {
            say_whole(walk, SP_VERIFY_ALTERATION, "section tree is not two edges of a tree");
        }
    }
    sp_buf_fini(&bytes);
    return fine;
}

/* A frame's events are not to be had. */
static void lose_frame(struct walk *walk, const struct sp_sealed_frame *row) {
    verify_hash_gap(walk->v, row->event_count);
    walk->next_position += row->event_count;
}

static void take_record(struct walk *walk, const struct sp_record *record, uint64_t offset) {
    struct verifier *v = walk->v;
    if (record->recorded_us < v->state.last_recorded_us) {
        verify_say(v, SP_VERIFY_ALTERATION, record->position, record->position, offset,
                   "the recorded time falls at event %llu", (unsigned long long)record->position);
    }
    v->state.last_recorded_us = record->recorded_us;
    walk->first_recorded_us = walk->records == 0 ? record->recorded_us : walk->first_recorded_us;
    walk->records++;
    verify_hash_add(v, record, offset, true);
}

/* Whether the rows are as many events as the directory says, and can be read. */
static bool rows_fit(sp_str rows, const struct sp_sealed_frame *row, uint64_t first) {
    struct sp_block_walk walk = sp_block_walk_of(rows, first);
    struct sp_record record;
    sp_status status;
    while ((status = sp_block_walk_next(&walk, &record)) == SP_OK) {
    }
    return status == SP_END && walk.next_position == first + row->event_count;
}

static void walk_frame(struct walk *walk, uint32_t index, const struct sp_sealed_frame *row) {
    struct verifier *v = walk->v;
    uint64_t first = walk->next_position;
    uint64_t last = first + row->event_count - 1;
    sp_str rows;
    struct sp_error error;
    sp_status status = sp_log_sealed_read(walk->sealed, index, walk->scratch, &rows, &error);
    if (status == SP_OK && !rows_fit(rows, row, first)) {
        verify_say(v, SP_VERIFY_ALTERATION, first, last, row->offset,
                   "the frame of events %llu to %llu does not hold them", (unsigned long long)first,
                   (unsigned long long)last);
        lose_frame(walk, row);
        return;
    }
    if (status != SP_OK) {
        verify_failed(v, status, first, last, &error);
        lose_frame(walk, row);
        return;
    }
    struct sp_block_walk records = sp_block_walk_of(rows, first);
    struct sp_record record;
    while (v->stop == SP_OK && sp_block_walk_next(&records, &record) == SP_OK) {
        take_record(walk, &record, row->offset);
    }
    walk->next_position = last + 1;
}

/*
 * The directory's row against what came before it. False: the rest of the file cannot be followed.
 */
static bool row_follows(struct walk *walk, const struct sp_sealed_frame *row) {
    uint64_t first = walk->footer->first_position + row->first_ordinal;
    uint64_t left = walk->footer->last_position + 1 - walk->next_position;
    if (first == walk->next_position && row->offset == walk->next_offset &&
        row->event_count <= left && (row->flags & ~SP_FRAME_STORED) == 0) {
        return true;
    }
    verify_say(walk->v, SP_VERIFY_ALTERATION, walk->next_position, walk->footer->last_position,
               walk->footer->sections[SP_SECTION_DIRECTORY].offset,
               "the directory does not go on with event %llu: frames were removed or reordered",
               (unsigned long long)walk->next_position);
    return false;
}

static void walk_frames(struct walk *walk) {
    struct verifier *v = walk->v;
    const struct sp_sealed_footer *footer = walk->footer;
    bool whole = true;
    for (uint32_t i = 0; i < footer->frame_count && v->stop == SP_OK; i++) {
        struct sp_sealed_frame row;
        struct sp_error error;
        sp_status status = sp_log_sealed_frame(walk->sealed, i, &row, &error);
        if (status != SP_OK) {
            verify_failed(v, status, walk->next_position, footer->last_position, &error);
            whole = false;
            break;
        }
        if (!row_follows(walk, &row)) {
            whole = false;
            break;
        }
        walk_frame(walk, i, &row);
        walk->next_offset += row.stored_bytes;
    }
    uint64_t missing = footer->last_position + 1 - walk->next_position;
    if (whole && v->stop == SP_OK &&
        (missing > 0 || walk->next_offset != footer->sections[SP_SECTION_DIRECTORY].offset)) {
        verify_say(v, SP_VERIFY_ALTERATION, walk->next_position, footer->last_position,
                   walk->next_offset, "the frames end before event %llu, the last of the file",
                   (unsigned long long)footer->last_position);
    }
    verify_hash_gap(v, missing);
}

/* What the footer says of the records, where all of them could be read. */
static void compare_totals(struct walk *walk, uint64_t findings_before) {
    const struct sp_sealed_footer *footer = walk->footer;
    const struct verify_state *state = &walk->v->state;
    bool fits = walk->records == footer->record_count &&
                walk->first_recorded_us == footer->first_recorded_us &&
                (walk->records == 0 || state->last_recorded_us == footer->last_recorded_us);
    if (!fits && state->result.finding_count + walk->v->held_count == findings_before) {
        say_whole(walk, SP_VERIFY_ALTERATION, "the footer does not describe the file's records");
    }
}

static void hand_over_segment(struct walk *walk) {
    struct verifier *v = walk->v;
    struct sp_buf index;
    sp_buf_init(&index, SP_SEALED_BYTES_MAX);
    (void)load(walk, SP_SECTION_INDEX, &index,
               "no event is lost; it is built anew when it is needed");
    if (v->stop == SP_OK && v->options->segment != NULL) {
        struct sp_verify_segment segment = {
            .id = walk->footer->id,
            .sealed = true,
            .file = v->file,
            .first_position = walk->footer->first_position,
            .last_position = walk->footer->last_position,
            .index_offset = walk->footer->sections[SP_SECTION_INDEX].offset,
            .index = sp_buf_str(&index),
        };
        sp_status status = v->options->segment(v->options->context, &segment, v->error);
        v->stop = v->stop == SP_OK ? status : v->stop;
    }
    sp_buf_fini(&index);
}

static void walk_file(struct walk *walk) {
    struct verifier *v = walk->v;
    struct sp_tree start;
    struct sp_tree end;
    uint64_t findings_before = v->state.result.finding_count + v->held_count;
    memcpy(v->salt_key, walk->footer->salt_key, SP_HASH_BYTES);
    check_other_sections(walk);
    load_recorded(walk);
    bool edges = load_edges(walk, &start, &end);
    verify_tree_place(v, walk->footer->first_position);
    verify_tree_begin(v, edges ? &start : NULL, walk->footer->last_position);
    walk_frames(walk);
    verify_hash_drain(v);
    verify_tree_end(v, edges ? &end : NULL);
    compare_totals(walk, findings_before);
    sp_buf_reset(&v->recorded.tags);
    sp_buf_reset(&v->recorded.tiles);
    hand_over_segment(walk);
    v->state.result.bytes += sp_log_sealed_bytes(walk->sealed);
    v->state.result.segments_sealed++;
}

void verify_sealed(struct verifier *v, const struct sp_manifest_segment *row) {
    char path[SP_SEALED_PATH_BYTES];
    sp_sealed_path(row->id, path);
    memcpy(v->file, path, sizeof(path));
    struct walk walk = {.v = v, .next_offset = SP_SEALED_HEADER_BYTES};
    struct sp_error error;
    sp_status status = sp_log_sealed_open(v->fs, row->id, &walk.sealed, &error);
    if (status != SP_OK) {
        verify_failed(v, status, row->first_position, row->last_position, &error);
        follow(&v->state, row);
        return;
    }
    walk.footer = sp_log_sealed_footer(walk.sealed);
    walk.next_position = walk.footer->first_position;
    walk.scratch = sp_sealed_scratch_new();
    compare_with_manifest(&walk, row);
    bool sensible = compare_with_chain(&walk);
    if (walk.scratch == NULL) {
        verify_stop(v, SP_NO_MEMORY, NULL);
    } else if (sensible) {
        walk_file(&walk);
    }
    follow(&v->state, row);
    sp_sealed_scratch_free(walk.scratch);
    sp_log_sealed_unref(walk.sealed);
}
