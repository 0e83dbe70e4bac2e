/* The log held against its model: everything it shows, and everything it should show. */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "log/raw.h"
#include "sim/world_log_int.h"

enum {
    ERRORS_MAX = 100000,
    SEEKS = 6,
    SNAPSHOT_BYTES_MAX = 1 << 16,
    ROUNDS_TO_REST = 40,
    SPARES_AT_REST = 3, /* two, and one that the Merkle worker's reader has not left yet */
};

static uint64_t last_durable(const struct log_system *sys) {
    return sim_model_position_at(&sys->model, sys->model.durable_block);
}

/* Damaged data may be refused; the statuses for it. */
static bool is_refusal(sp_status status) {
    return status == SP_CORRUPT || status == SP_IO;
}

bool log_check_chunk(struct log_system *sys, const struct sp_log_chunk *chunk, uint64_t *record) {
    const char *problem = sim_model_compare(&sys->model, chunk, record);
    uint64_t last = chunk->first_position + chunk->event_count - 1;
    if (problem == NULL && last > last_durable(sys)) {
        problem = "an event that is not durable";
    }
    if (problem != NULL) {
        sim_wrong(sys->world, "read of events %llu to %llu: %s",
                  (unsigned long long)chunk->first_position, (unsigned long long)last, problem);
    }
    return problem == NULL;
}

/* ---- leaves and the tree ---- */

static void learn_chunk(struct log_system *sys, const struct sp_log_chunk *chunk) {
    struct sp_block_walk walk = sp_block_walk_of(chunk->body, chunk->first_position);
    struct sp_record record;
    while (sp_block_walk_next(&walk, &record) == SP_OK) {
        uint8_t leaf[SP_HASH_BYTES];
        if (record.kind != SP_RECORD_EVENT) {
            continue;
        }
        sp_status status = sys->log->ops->leaf(sys->log, &record, leaf, NULL);
        if (status != SP_OK || !sim_model_leaf(&sys->model, record.position, leaf)) {
            sim_wrong(sys->world, "the leaf of event %llu: %s", (unsigned long long)record.position,
                      status == SP_OK ? "has changed" : sp_status_name(status));
        }
    }
}

void log_learn_leaves(struct log_system *sys) {
    struct sp_log_reader *reader = NULL;
    sp_status status = sys->log->ops->reader_new(sys->log, &reader, NULL);
    sp_ensure(status == SP_OK);
    uint64_t first = 0;
    uint64_t last = 0;
    sys->log->ops->bounds(sys->log, &first, &last);
    sys->learned = sys->learned + 1 < first ? first - 1 : sys->learned;
    while (sys->learned < last_durable(sys) && !sys->world->wrong) {
        struct sp_log_chunk chunk;
        if (reader->ops->seek(reader, sys->learned + 1, &chunk, NULL) != SP_OK) {
            break;
        }
        uint64_t record = SIM_MODEL_UNKNOWN;
        if (log_check_chunk(sys, &chunk, &record)) {
            learn_chunk(sys, &chunk);
        }
        sys->learned = chunk.first_position + chunk.event_count - 1;
    }
    reader->ops->free(reader);
}

void log_check_tree(struct log_system *sys, bool all) {
    struct sp_log_tree tree;
    struct sp_error error = {.status = SP_OK};
    uint8_t root[SP_HASH_BYTES];
    sp_status status = sys->log->ops->tree(sys->log, all, &tree, &error);
    if (status != SP_OK) {
        sim_note(sys->world, "tree: %s: %s", sp_status_name(status), error.text);
        if (!sim_excused(sys->world)) {
            sim_wrong(sys->world, "tree: %s: %s", sp_status_name(status), error.text);
        }
        return;
    }
    if (tree.size > last_durable(sys) || (all && tree.size != last_durable(sys))) {
        sim_wrong(sys->world, "the tree has %llu leaves, %llu events are durable",
                  (unsigned long long)tree.size, (unsigned long long)last_durable(sys));
        return;
    }
    log_learn_leaves(sys);
    if (sim_model_root(&sys->model, tree.size, root) &&
        memcmp(root, tree.root, SP_HASH_BYTES) != 0) {
        sim_wrong(sys->world, "the root of %llu leaves is wrong", (unsigned long long)tree.size);
    }
}

/* ---- snapshots ---- */

static bool is_snapshot(const struct sim_model_snapshot *snapshot, uint64_t position,
                        const struct sp_buf *found) {
    if (snapshot->position != position || snapshot->len != found->len) {
        return false;
    }
    uint8_t *bytes = malloc(snapshot->len + 1);
    sp_ensure(bytes != NULL);
    sim_model_snapshot_bytes(snapshot, bytes);
    bool same = snapshot->len == 0 || memcmp(bytes, found->data, snapshot->len) == 0;
    free(bytes);
    return same;
}

/* One that was stored, and none of those stored for certain is newer. */
static bool snapshot_allowed(const struct log_system *sys, uint64_t position,
                             const struct sp_buf *found) {
    bool known = false;
    bool newer = false;
    for (size_t i = 0; i < sys->model.snapshot_count; i++) {
        const struct sim_model_snapshot *snapshot = &sys->model.snapshots[i];
        known = known || is_snapshot(snapshot, position, found);
        newer = newer || (snapshot->stored && snapshot->position > position);
    }
    return known && (!newer || sim_is_damaged(sys->world));
}

static bool any_stored(const struct log_system *sys) {
    bool any = false;
    for (size_t i = 0; i < sys->model.snapshot_count; i++) {
        any = any || sys->model.snapshots[i].stored;
    }
    return any;
}

void log_check_snapshot(struct log_system *sys) {
    struct sp_buf found;
    sp_buf_init(&found, SNAPSHOT_BYTES_MAX);
    uint64_t position = 0;
    struct sp_error error = {.status = SP_OK};
    sp_status status = sys->log->ops->snapshot_load(sys->log, &found, &position, &error);
    sim_note(sys->world, "snapshot found: %s, %llu", sp_status_name(status),
             (unsigned long long)position);
    bool fine = status == SP_OK          ? snapshot_allowed(sys, position, &found)
                : status == SP_NOT_FOUND ? !any_stored(sys) || sim_is_damaged(sys->world)
                                         : sim_excused(sys->world);
    if (!fine) {
        sim_wrong(sys->world, "snapshot: %s at %llu, %zu bytes: %s", sp_status_name(status),
                  (unsigned long long)position, found.len, error.text);
    }
    sp_buf_fini(&found);
}

/* ---- everything ---- */

void log_check_seek(struct log_system *sys, struct sp_log_reader *reader, uint64_t position) {
    struct sp_log_chunk chunk;
    struct sp_error error = {.status = SP_OK};
    uint64_t first = 0;
    uint64_t last = 0;
    sys->log->ops->bounds(sys->log, &first, &last);
    sp_status status = reader->ops->seek(reader, position, &chunk, &error);
    sp_status expected = position == 0 || position > last ? SP_END
                         : position < first               ? SP_NOT_FOUND
                                                          : SP_OK;
    if (status == SP_OK && expected == SP_OK) {
        uint64_t record = SIM_MODEL_UNKNOWN;
        if (position < chunk.first_position ||
            position - chunk.first_position >= chunk.event_count) {
            sim_wrong(sys->world, "sought %llu, found %llu and %u more",
                      (unsigned long long)position, (unsigned long long)chunk.first_position,
                      chunk.event_count);
        }
        (void)log_check_chunk(sys, &chunk, &record);
    } else if (status != expected && !(is_refusal(status) && sim_excused(sys->world))) {
        sim_wrong(sys->world, "seek of %llu: %s, not %s: %s", (unsigned long long)position,
                  sp_status_name(status), sp_status_name(expected), error.text);
    }
}

static void check_bounds(struct log_system *sys) {
    uint64_t first = 0;
    uint64_t last = 0;
    sys->log->ops->bounds(sys->log, &first, &last);
    uint64_t durable = last_durable(sys);
    bool none = first == 0 && last == 0;
    if (none ? durable >= sys->model.trim_bound
             : first > sys->model.trim_bound || first > last || last != durable) {
        sim_wrong(sys->world, "bounds %llu to %llu; durable %llu, trimmed to %llu at most",
                  (unsigned long long)first, (unsigned long long)last, (unsigned long long)durable,
                  (unsigned long long)sys->model.trim_bound);
    }
}

/* From the first chunk to the last: nothing is missing, nothing is there twice. */
static void walk(struct log_system *sys, struct sp_log_reader *reader) {
    uint64_t record = SIM_MODEL_UNKNOWN;
    uint64_t expected = 0;
    uint64_t last = 0;
    sys->log->ops->bounds(sys->log, &expected, &last);
    struct sp_log_chunk chunk;
    struct sp_error error = {.status = SP_OK};
    sp_status status = SP_OK;
    bool whole = true;
    for (int errors = 0; errors < ERRORS_MAX && !sys->world->wrong;) {
        status = reader->ops->next(reader, &chunk, &error);
        if (status == SP_OK) {
            if (whole && expected != 0 && chunk.first_position != expected) {
                sim_wrong(sys->world, "next: events from %llu, not %llu",
                          (unsigned long long)chunk.first_position, (unsigned long long)expected);
            }
            (void)log_check_chunk(sys, &chunk, &record);
            expected = chunk.first_position + chunk.event_count;
        } else if (is_refusal(status) && sim_excused(sys->world)) {
            sim_note(sys->world, "next: %s: %s", sp_status_name(status), error.text);
            record = SIM_MODEL_UNKNOWN;
            whole = false;
            errors++;
        } else {
            break;
        }
    }
    bool complete =
        !whole || record == sys->model.record_count || (record == SIM_MODEL_UNKNOWN && last == 0);
    if (!sys->world->wrong && (status != SP_END || !complete)) {
        sim_wrong(sys->world, "the walk ends at record %llu of %zu: %s: %s",
                  (unsigned long long)record, sys->model.record_count, sp_status_name(status),
                  error.text);
    }
}

void log_check_all(struct log_system *sys) {
    check_bounds(sys);
    struct sp_log_reader *reader = NULL;
    sp_status status = sys->log->ops->reader_new(sys->log, &reader, NULL);
    sp_ensure(status == SP_OK);
    walk(sys, reader);
    uint64_t last = last_durable(sys);
    log_check_seek(sys, reader, 0);
    log_check_seek(sys, reader, last + 1);
    for (int i = 0; i < SEEKS && !sys->world->wrong; i++) {
        log_check_seek(sys, reader, 1 + sim_pick(sys->world, (uint32_t)last + 1));
    }
    for (uint64_t at = 1; sys->world->damaged && at <= last && !sys->world->wrong; at++) {
        log_check_seek(sys, reader, at);
    }
    reader->ops->free(reader);
    if (!sys->world->wrong) {
        sys->learned = 0; /* all leaves are asked for again: none may have changed */
        log_check_tree(sys, true);
    }
}

/* ---- at rest ---- */

struct file_count {
    uint32_t all;
    uint32_t unfinished;
};

static bool count_name(void *context, sp_str name) {
    struct file_count *count = context;
    count->all++;
    count->unfinished += sp_str_ends_with(name, SP_STR(".tmp")) ? 1 : 0;
    return true;
}

static void count_files(const struct log_system *sys, const char *folder,
                        struct file_count *count) {
    struct sp_fs *fs = sys->options.fs;
    count->all = 0;
    sp_status status = fs->ops->list(fs, folder, count_name, count, NULL);
    sp_ensure(status == SP_OK);
}

static void check_files(struct log_system *sys) {
    struct sp_log_local_stats stats;
    sp_log_local_stats(sys->log, &stats);
    struct file_count raw = {.unfinished = 0};
    struct file_count sealed = {.unfinished = 0};
    struct file_count snapshots = {.unfinished = 0};
    count_files(sys, "wal", &raw);
    count_files(sys, "seg", &sealed);
    count_files(sys, "snap", &snapshots); /* a crash brings back what was removed: any number */
    uint32_t unfinished = raw.unfinished + sealed.unfinished + snapshots.unfinished;
    if (raw.all > stats.segments_raw + SPARES_AT_REST || sealed.all != stats.segments_sealed ||
        unfinished > 0) {
        sim_wrong(sys->world,
                  "files are left over: %u in wal for %u segments, %u in seg for %u, %u unfinished",
                  raw.all, stats.segments_raw, sealed.all, stats.segments_sealed, unfinished);
    }
    if (sys->options.seal && stats.segments_waiting > 0) {
        sim_wrong(sys->world, "%u segments wait to be sealed for ever", stats.segments_waiting);
    }
}

void log_rest(struct log_system *sys) {
    if (sys->reader != NULL) {
        sys->reader->ops->free(sys->reader);
        sys->reader = NULL;
    }
    for (int i = 0; i < ROUNDS_TO_REST && log_poll(sys); i++) {
        sim_clock_advance_ns(&sys->world->clock, UINT64_C(10000000000));
        log_upkeep(sys);
    }
    sp_status status = sys->log->ops->ready(sys->log, NULL);
    if (status != SP_OK) {
        sim_wrong(sys->world, "at rest, and not ready: %s", sp_status_name(status));
    }
    sim_note(sys->world, "at rest");
    check_files(sys);
}

/* ---- what must be found after damage ---- */

/* Events that the checkpoint on the disk vouches for. */
static uint64_t checkpoint_size(const struct log_system *sys) {
    sp_str text = sim_disk_peek(sys->world->disk, "checkpoint");
    uint64_t size = 0;
    size_t i = 0;
    while (i < text.len && text.ptr[i] != '\n') {
        i++;
    }
    for (i++; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
        size = size * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return size;
}

/* The blocks that the checkpoint covers, of those that were acknowledged. */
static uint64_t vouched_blocks(const struct log_system *sys) {
    uint64_t size = checkpoint_size(sys);
    uint64_t last = last_durable(sys);
    size = size < last ? size : last;
    return size == 0 ? 0 : sim_model_block_of(&sys->model, size);
}

/* The newest raw segment's header; false where the path is none, or not the newest. */
static bool newest_segment(const struct log_system *sys, const char *path,
                           struct sp_raw_header *ret_header) {
    if (sp_raw_header_decode(sim_disk_peek(sys->world->disk, path), ret_header) != SP_OK) {
        return false;
    }
    for (uint32_t i = 0; i < 1000; i++) {
        char other[SP_FS_PATH_BYTES_MAX];
        struct sp_raw_header header;
        (void)snprintf(other, sizeof(other), "wal/%08u.seg", i);
        if (sp_raw_header_decode(sim_disk_peek(sys->world->disk, other), &header) == SP_OK &&
            header.epoch > ret_header->epoch) {
            return false;
        }
    }
    return true;
}

/*
 * The first block of the segment that the damage touches, and whether one behind it vouches for it.
 * Where everything from there on could also never have been written, only the checkpoint knows.
 */
static uint64_t first_lost(const struct log_system *sys, const struct sim_damage *damage,
                           const struct sp_raw_header *segment, bool *ret_vouched) {
    const struct sim_model *model = &sys->model;
    uint64_t lost = 0;
    uint64_t offset = SP_RAW_HEADER_BYTES;
    uint64_t end = damage->len == 0 ? UINT64_MAX : damage->offset + damage->len;
    *ret_vouched = false;
    for (uint64_t block = segment->first_block; block <= model->block_count; block++) {
        uint64_t next = offset + sp_block_stored_bytes(model->blocks[block - 1].len);
        bool touched = offset < end && damage->offset < next;
        if (lost == 0 && (touched || damage->offset < SP_RAW_HEADER_BYTES)) {
            lost = block;
        }
        if (lost != 0 && !touched && block <= model->durable_block &&
            model->blocks[block - 1].durable_upto >= lost) {
            *ret_vouched = true;
        }
        offset = next;
    }
    return lost;
}

void log_note_damage(struct log_system *sys, const struct sim_damage *damage) {
    sys->must_have = UINT64_MAX; /* everything acknowledged */
    struct sp_raw_header segment;
    bool loses = damage->erases && damage->kind != SIM_STORY_CUT &&
                 newest_segment(sys, damage->path, &segment);
    if (!loses) {
        return;
    }
    bool vouched = false;
    uint64_t lost = segment.first_block;
    if (damage->kind != SIM_STORY_DELETE && damage->len < segment.segment_bytes) {
        lost = first_lost(sys, damage, &segment, &vouched);
    }
    uint64_t covered = vouched_blocks(sys);
    if (lost != 0 && !vouched && lost - 1 < sys->must_have) {
        sys->must_have = lost - 1 > covered ? lost - 1 : covered;
    }
    sim_note(sys->world, "block %llu on may be lost, %llu must be there", (unsigned long long)lost,
             (unsigned long long)sys->must_have);
}

void log_note_lie(struct log_system *sys) {
    if (!sys->lie_noticed && sim_is_damaged(sys->world) && sys->world->lies) {
        sys->lie_noticed = true;
        sys->must_have = 0; /* a later write may vouch for the lost one, or may not */
    }
}
