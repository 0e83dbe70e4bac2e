#include "log/verify.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/wire.h"
#include "log/verify_int.h"

/* ---- what names the rest: manifest and checkpoint ---- */

static bool probe_live(struct sp_fs *fs) {
    struct sp_file *lock = NULL;
    if (fs->ops->open(fs, SP_LOCK_PATH, SP_FS_READ, &lock, NULL) != SP_OK) {
        return false;
    }
    bool live = fs->ops->lock(lock, NULL) == SP_BUSY;
    fs->ops->close(lock);
    return live;
}

/* Collects the ids of `<16 hex digits>.spoor`. */
static bool collect_id(void *context, sp_str name) {
    struct sp_buf *ids = context;
    char text[SP_SEALED_PATH_BYTES];
    if (name.len != 22) {
        return true;
    }
    memcpy(text, name.ptr, 16);
    text[16] = '\0';
    char *end = NULL;
    uint64_t id = strtoull(text, &end, 16);
    char path[SP_SEALED_PATH_BYTES];
    sp_sealed_path(id, path);
    if (end == text + 16 && sp_str_eq(name, sp_str_from(path + sizeof(SP_SEALED_FOLDER)))) {
        sp_buf_add(ids, &id, sizeof(id));
    }
    return true;
}

static int by_id(const void *a, const void *b) {
    uint64_t left = ((const struct sp_manifest_segment *)a)->id;
    uint64_t right = ((const struct sp_manifest_segment *)b)->id;
    return (left > right) - (left < right);
}

/* Adds a row to the manifest, as if it were named there. */
static void add_row(struct verifier *v, const struct sp_log_sealed *sealed) {
    const struct sp_sealed_footer *footer = sp_log_sealed_footer(sealed);
    struct sp_manifest *manifest = &v->manifest;
    size_t count = (size_t)manifest->segment_count + 1;
    struct sp_manifest_segment *rows =
        realloc(manifest->segments, (count + 1) * sizeof(*manifest->segments));
    if (rows == NULL) {
        verify_stop(v, SP_NO_MEMORY, NULL);
        return;
    }
    manifest->segments = rows;
    manifest->segments[manifest->segment_count++] = (struct sp_manifest_segment){
        .id = footer->id,
        .first_position = footer->first_position,
        .last_position = footer->last_position,
        .first_block = footer->first_block,
        .last_block = footer->last_block,
        .last_check = footer->last_check,
        .file_bytes = sp_log_sealed_bytes(sealed),
        .footer_check = footer->check,
    };
    qsort(manifest->segments, manifest->segment_count, sizeof(*manifest->segments), by_id);
}

static bool is_named(const struct sp_manifest *manifest, uint64_t id) {
    for (uint32_t i = 0; i < manifest->segment_count; i++) {
        if (manifest->segments[i].id == id) {
            return true;
        }
    }
    return false;
}

static bool is_raw(const struct verify_raw_list *raws, uint64_t epoch) {
    for (size_t i = 0; i < raws->count; i++) {
        if (raws->files[i].file.header.epoch == epoch) {
            return true;
        }
    }
    return false;
}

/*
 * A sealed file that the manifest does not name: left by a crash between two steps of sealing or
 * trimming, or hidden by a manifest of an earlier day. Then it is verified all the same.
 */
static void judge_stray(struct verifier *v, const struct verify_raw_list *raws,
                        const struct sp_log_sealed *sealed) {
    const struct sp_sealed_footer *footer = sp_log_sealed_footer(sealed);
    if (v->manifest_whole && memcmp(footer->uuid, v->manifest.uuid, 16) != 0) {
        verify_say(v, SP_VERIFY_ALTERATION, 0, 0, 0, "the file belongs to another log");
    } else if (!v->manifest_whole) {
        add_row(v, sealed);
    } else if (footer->last_position < v->manifest.first_position) {
        verify_say(v, SP_VERIFY_NOTICE, 0, 0, 0,
                   "events %llu to %llu were trimmed, and their file is still there",
                   (unsigned long long)footer->first_position,
                   (unsigned long long)footer->last_position);
    } else if (is_raw(raws, footer->id)) {
        verify_say(v, SP_VERIFY_NOTICE, 0, 0, 0,
                   "the segment was being sealed when its writer ended: it will be sealed anew");
    } else {
        verify_say(v, SP_VERIFY_ALTERATION, footer->first_position, footer->last_position, 0,
                   SP_MANIFEST_PATH " does not name the file with events %llu to %llu: it is older "
                                    "than the log, or was altered",
                   (unsigned long long)footer->first_position,
                   (unsigned long long)footer->last_position);
        add_row(v, sealed);
    }
}

static void judge_strays(struct verifier *v, const struct verify_raw_list *raws) {
    struct sp_buf ids;
    sp_buf_init(&ids, 1 << 28);
    (void)v->fs->ops->list(v->fs, SP_SEALED_FOLDER, collect_id, &ids, NULL);
    for (size_t at = 0; at < ids.len && v->stop == SP_OK; at += sizeof(uint64_t)) {
        uint64_t id = sp_get_u64(ids.data + at);
        struct sp_log_sealed *sealed = NULL;
        struct sp_error error;
        if (is_named(&v->manifest, id)) {
            continue;
        }
        char path[SP_SEALED_PATH_BYTES];
        sp_sealed_path(id, path);
        memcpy(v->file, path, sizeof(path));
        sp_status status = sp_log_sealed_open(v->fs, id, &sealed, &error);
        if (status == SP_OK) {
            judge_stray(v, raws, sealed);
            sp_log_sealed_unref(sealed);
        } else if (status != SP_NOT_FOUND && !is_raw(raws, id)) {
            verify_failed(v, status, 0, 0, &error);
        }
    }
    sp_buf_fini(&ids);
}

/* Where a damaged manifest leaves no beginning, the oldest file there is serves. */
static void guess_beginning(struct verifier *v, const struct verify_raw_list *raws) {
    struct sp_manifest *manifest = &v->manifest;
    struct sp_log_sealed *first = NULL;
    if (manifest->segment_count > 0 &&
        sp_log_sealed_open(v->fs, manifest->segments[0].id, &first, NULL) == SP_OK) {
        const struct sp_sealed_footer *footer = sp_log_sealed_footer(first);
        memcpy(manifest->uuid, footer->uuid, 16);
        manifest->first_block = footer->first_block;
        manifest->first_position = footer->first_position;
        manifest->first_prev_check = footer->prev_check;
        sp_log_sealed_unref(first);
    } else if (raws->count > 0) {
        const struct sp_raw_header *header = &raws->files[0].file.header;
        memcpy(manifest->uuid, header->uuid, 16);
        manifest->first_block = header->first_block;
        manifest->first_position = header->first_position;
        manifest->first_prev_check = header->prev_check;
    }
}

/* Loads the manifest. Damage is reported once. */
static sp_status load_manifest(struct verifier *v, struct sp_error *error) {
    struct sp_manifest manifest = {.segments = NULL};
    sp_status status = sp_manifest_load(v->fs, &manifest, error);
    if (status == SP_OK) {
        sp_manifest_fini(&v->manifest);
        v->manifest = manifest;
        v->manifest_whole = true;
    }
    return status;
}

/* A manifest is written whole: there is one text for one content. */
static void check_manifest(struct verifier *v) {
    struct sp_buf found;
    struct sp_buf expected;
    sp_buf_init(&found, SIZE_MAX / 2);
    sp_buf_init(&expected, SIZE_MAX / 2);
    sp_manifest_encode(&v->manifest, &expected);
    if (v->manifest_whole && !v->state.result.live &&
        sp_fs_read_all(v->fs, SP_MANIFEST_PATH, &found, NULL) == SP_OK &&
        !sp_str_eq(sp_buf_str(&found), sp_buf_str(&expected))) {
        verify_say_file(v, SP_VERIFY_ALTERATION, 0, 0, SP_MANIFEST_PATH, 0,
                        "bytes of it that nobody uses are not zero");
    }
    v->state.result.bytes += expected.len;
    sp_buf_fini(&found);
    sp_buf_fini(&expected);
}

static void load_checkpoint(struct verifier *v) {
    struct sp_error error;
    sp_status status = sp_checkpoint_load(v->fs, v->manifest.uuid, &v->checkpoint, &error);
    if (status == SP_CORRUPT || status == SP_IO) {
        verify_say_file(v, SP_VERIFY_DAMAGE, 0, 0, SP_CHECKPOINT_PATH, 0,
                        "it is damaged, or of another log, and vouches for nothing; it is written "
                        "anew when the log is opened");
    } else if (status != SP_OK && status != SP_NOT_FOUND) {
        verify_stop(v, status, &error);
    }
    if (v->checkpoint.present) {
        struct verify_claim claim = {.size = v->checkpoint.size};
        memcpy(claim.root, v->checkpoint.root, SP_HASH_BYTES);
        if (verify_claim_add(v, &claim) != SP_OK) {
            verify_stop(v, SP_NO_MEMORY, NULL);
        }
    }
}

/* ---- the walk ---- */

static void begin_state(struct verifier *v) {
    const struct sp_manifest *manifest = &v->manifest;
    struct verify_state *state = &v->state;
    state->chain = (struct sp_scan_chain){.log_id = sp_get_u64(manifest->uuid),
                                          .next_block = manifest->first_block,
                                          .next_position = manifest->first_position,
                                          .prev_check = manifest->first_prev_check};
    sp_tree_init(&state->tree);
    state->tree.size = manifest->first_position - 1;
    state->tree_known = manifest->first_position == 1;
    state->tile_known = state->tree.size % SP_TILE_LEAVES == 0;
    memcpy(state->result.uuid, manifest->uuid, 16);
    state->result.first_position = manifest->first_position;
}

static void begin_again(struct verifier *v, const struct verify_state *from) {
    struct sp_verify_result result = v->state.result;
    v->state = *from;
    v->state.result.finding_count = result.finding_count;
    v->state.result.notice_count = result.notice_count;
}

/* Beside a live writer a sealed file may have been trimmed while it was read. */
static bool was_trimmed(struct verifier *v, uint64_t id) {
    return v->state.result.live && load_manifest(v, NULL) == SP_OK && !is_named(&v->manifest, id);
}

static void walk_sealed(struct verifier *v) {
    for (uint32_t i = 0; i < v->manifest.segment_count && v->stop == SP_OK; i++) {
        struct sp_manifest_segment row = v->manifest.segments[i];
        if (row.id <= v->state.last_id) {
            continue;
        }
        struct verify_state before = v->state;
        verify_hold(v);
        verify_sealed(v, &row);
        if (v->held_count > 0 && was_trimmed(v, row.id)) {
            verify_drop(v);
            begin_again(v, &before);
            v->state.last_id = row.id;
            v->state.chain.next_block = row.last_block + 1;
            v->state.chain.next_position = row.last_position + 1;
            v->state.chain.prev_check = row.last_check;
            i = UINT32_MAX; /* the manifest is another now */
        } else {
            verify_release(v);
        }
    }
}

/*
 * Beside a live writer a segment may have been sealed, and its file used again, while it was read.
 */
static bool was_sealed(struct verifier *v, uint64_t after_id) {
    return v->state.result.live && load_manifest(v, NULL) == SP_OK &&
           v->manifest.segment_count > 0 &&
           v->manifest.segments[v->manifest.segment_count - 1].id > after_id;
}

/* False where the sealed part has grown meanwhile. */
static bool walk_raws(struct verifier *v, const struct verify_raw_list *raws) {
    for (size_t i = 0; i < raws->count && v->stop == SP_OK; i++) {
        const struct verify_raw *raw = &raws->files[i];
        if (raw->file.header.epoch <= v->state.last_id) {
            continue;
        }
        struct verify_state before = v->state;
        verify_hold(v);
        verify_raw(v, raw, i + 1 < raws->count ? raw + 1 : NULL);
        if (v->held_count > 0 && was_sealed(v, before.last_id)) {
            verify_drop(v);
            begin_again(v, &before);
            return false;
        }
        verify_release(v);
    }
    return true;
}

static void walk_all(struct verifier *v, struct verify_raw_list *raws) {
    walk_sealed(v);
    while (v->stop == SP_OK && !walk_raws(v, raws)) {
        struct sp_error error;
        verify_raw_list_fini(raws);
        verify_hold(v);
        sp_status status = verify_raw_list(v, raws, &error);
        verify_drop(v);
        if (status != SP_OK) {
            verify_stop(v, status, &error);
            return;
        }
        walk_sealed(v);
    }
}

/* ---- the end, and what else lies there ---- */

/* No manifest names a sealed file before there is a checkpoint; only a young log may have none. */
static void say_no_checkpoint(struct verifier *v) {
    struct sp_file *file = NULL;
    sp_status status = v->fs->ops->open(v->fs, SP_CHECKPOINT_PATH, SP_FS_READ, &file, NULL);
    if (status == SP_OK) {
        v->fs->ops->close(file); /* damaged, and that was said */
    } else if (v->state.chain.next_position > 1 && v->manifest.segment_count > 0) {
        verify_say_file(v, SP_VERIFY_ALTERATION, 0, 0, SP_CHECKPOINT_PATH, 0,
                        "it is missing: whether events were cut off the end cannot be told");
    } else if (v->state.chain.next_position > 1) {
        verify_say_file(v, SP_VERIFY_NOTICE, 0, 0, SP_CHECKPOINT_PATH, 0,
                        "there is none yet: whether events were cut off the end cannot be told");
    }
}

static void compare_with_checkpoint(struct verifier *v) {
    uint64_t last = v->state.chain.next_position - 1;
    if (!v->checkpoint.present) {
        say_no_checkpoint(v);
    }
    if (v->checkpoint.present && v->checkpoint.size > last && !v->state.result.live) {
        verify_say_file(
            v, SP_VERIFY_ALTERATION, last + 1, v->checkpoint.size, SP_CHECKPOINT_PATH, 0,
            "it vouches for %llu events, and the log ends with event %llu: the last %llu "
            "were cut off",
            (unsigned long long)v->checkpoint.size, (unsigned long long)last,
            (unsigned long long)(v->checkpoint.size - last));
    }
}

static void verify_snapshot(struct verifier *v, uint64_t position) {
    char path[SP_SNAPSHOT_PATH_BYTES];
    sp_snapshot_path(position, path);
    struct sp_buf file;
    sp_buf_init(&file, SIZE_MAX / 2);
    struct sp_error error;
    sp_str snapshot;
    sp_status status = sp_fs_read_all(v->fs, path, &file, &error);
    uint64_t last = v->state.chain.next_position - 1;
    if (status == SP_OK) {
        v->state.result.bytes += file.len;
        status = sp_snapshot_decode(sp_buf_str(&file), v->manifest.uuid, position, &snapshot);
        if (status != SP_OK) {
            verify_say_file(
                v, SP_VERIFY_DAMAGE, 0, 0, path, 0,
                "the snapshot is damaged, or of another log or a later version: no event "
                "is lost, remove it");
        } else if (position > last && !v->state.result.live) {
            verify_say_file(
                v, SP_VERIFY_ALTERATION, last + 1, position, path, 0,
                "a snapshot was taken after event %llu, and the log ends with event %llu",
                (unsigned long long)position, (unsigned long long)last);
        }
    } else if (status != SP_NOT_FOUND) {
        memcpy(v->file, path, sizeof(path));
        verify_failed(v, status, 0, 0, &error);
    }
    sp_buf_fini(&file);
}

static bool collect_snapshot(void *context, sp_str name) {
    uint64_t position;
    if (sp_snapshot_of_name(name, &position)) {
        sp_buf_add(context, &position, sizeof(position));
    }
    return true;
}

static void verify_snapshots(struct verifier *v) {
    struct sp_buf positions;
    sp_buf_init(&positions, 1 << 20);
    (void)v->fs->ops->list(v->fs, SP_SNAPSHOT_FOLDER, collect_snapshot, &positions, NULL);
    for (size_t at = 0; at < positions.len && v->stop == SP_OK; at += sizeof(uint64_t)) {
        verify_snapshot(v, sp_get_u64(positions.data + at));
    }
    sp_buf_fini(&positions);
}

/* A live writer takes spares into use at any time. */
static void verify_spares(struct verifier *v, const struct verify_raw_list *raws) {
    for (size_t at = 0; at < raws->spares.len && !v->state.result.live && v->stop == SP_OK;
         at += sizeof(uint32_t)) {
        verify_spare(v, sp_get_u32(raws->spares.data + at));
    }
}

static void finish(struct verifier *v) {
    struct sp_verify_result *result = &v->state.result;
    verify_claims_finish(v);
    compare_with_checkpoint(v);
    result->last_position = v->state.chain.next_position - 1;
    if (result->last_position < result->first_position) {
        result->first_position = 0;
        result->last_position = 0;
    }
    result->tree_whole = v->state.tree_known && !v->state.mismatch;
    sp_tree_root(&v->state.tree, result->tree_root);
}

/* ---- the whole ---- */

static void verify_folder(struct verifier *v, struct verify_raw_list *raws) {
    check_manifest(v);
    if (!v->manifest_whole || !v->state.result.live) {
        judge_strays(v, raws);
    }
    if (!v->manifest_whole) {
        guess_beginning(v, raws);
    }
    load_checkpoint(v);
    begin_state(v);
    verify_raw_claims(v, raws);
    verify_claims_sort(v);
    verify_claims_pass(v);
    walk_all(v, raws);
    finish(v);
    verify_snapshots(v);
    verify_spares(v, raws);
}

/*
 * The manifest, and then the raw files: what is sealed in between is missing from neither.
 * SP_NOT_FOUND where there is no log at all.
 */
static sp_status begin_verification(struct verifier *v, struct verify_raw_list *raws) {
    sp_status status = load_manifest(v, v->error);
    if (status == SP_UNSUPPORTED || status == SP_NO_MEMORY) {
        return status;
    }
    char text[VERIFY_TEXT_BYTES];
    (void)snprintf(text, sizeof(text), "%s", v->error->text);
    sp_status listed = verify_raw_list(v, raws, v->error);
    if (listed != SP_OK) {
        return listed;
    }
    if (status != SP_OK) {
        struct sp_buf ids;
        sp_buf_init(&ids, 1 << 28);
        (void)v->fs->ops->list(v->fs, SP_SEALED_FOLDER, collect_id, &ids, NULL);
        bool empty = ids.len == 0 && raws->count == 0;
        sp_buf_fini(&ids);
        if (empty && status == SP_NOT_FOUND) {
            verify_raw_list_fini(raws);
            return sp_error_set(v->error, SP_NOT_FOUND, "no log here");
        }
        verify_say_file(v, status == SP_NOT_FOUND ? SP_VERIFY_ALTERATION : SP_VERIFY_DAMAGE, 0, 0,
                        SP_MANIFEST_PATH, 0,
                        "%s: the files are verified as far as they tell for "
                        "themselves",
                        status == SP_NOT_FOUND ? "it is missing" : text);
    }
    return SP_OK;
}

static void dispose(struct verifier *v) {
    verify_hash_fini(v);
    sp_manifest_fini(&v->manifest);
    sp_buf_fini(&v->recorded.tags);
    sp_buf_fini(&v->recorded.tiles);
    free(v->claims);
    free(v->held);
    free(v);
}

sp_status sp_verify_log(const struct sp_verify_options *options,
                        struct sp_verify_result *ret_result, struct sp_error *error) {
    struct sp_error own;
    struct verifier *v = calloc(1, sizeof(*v));
    if (v == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "verification");
    }
    v->options = options;
    v->fs = options->fs;
    v->error = error != NULL ? error : &own;
    sp_error_clear(v->error);
    v->manifest.first_block = 1;
    v->manifest.first_position = 1;
    sp_buf_init(&v->recorded.tags, SP_SEALED_BYTES_MAX);
    sp_buf_init(&v->recorded.tiles, SP_SEALED_BYTES_MAX);
    v->state.result.live = probe_live(v->fs);
    struct verify_raw_list raws;
    sp_status status = verify_hash_init(v, v->error);
    status = status == SP_OK ? begin_verification(v, &raws) : status;
    if (status == SP_OK) {
        verify_folder(v, &raws);
        verify_raw_list_fini(&raws);
        status = v->stop;
        *ret_result = v->state.result;
    }
    dispose(v);
    return status;
}
