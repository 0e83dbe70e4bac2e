/*
 * Side indexes: idx/<segment>.index, the index section of a raw segment that is full and waits to
 * be sealed.
 *
 * Sealing compresses and may fall behind a busy writer by several segments; encoding an index does
 * not. With its index on disk a waiting segment costs little memory, and opening after a crash
 * reads it instead of making it anew, which is most of what opening costs. Nothing depends on these
 * files: one that is missing or damaged is made again from the events, and one whose segment was
 * sealed is removed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/engine_int.h"

#define SIDE_FOLDER "idx"

enum { SIDE_PATH_BYTES = 40, SIDE_NAME_BYTES = 22, SIDE_BYTES_MAX = 0x3fffffff };

static void side_path(uint64_t segment_id, char path[SIDE_PATH_BYTES]) {
    (void)snprintf(path, SIDE_PATH_BYTES, SIDE_FOLDER "/%016llx.index",
                   (unsigned long long)segment_id);
}

/* An open side index, as a reader's context. */
struct side_file {
    struct sp_fs *fs;
    struct sp_file *file;
};

static sp_status side_read(void *context, uint64_t offset, size_t len, void *to) {
    const struct side_file *side = context;
    size_t got = 0;
    sp_status status = side->fs->ops->read(side->file, to, len, offset, &got, NULL);
    return status == SP_OK && got == len ? SP_OK : SP_IO;
}

static void side_release(void *context) {
    struct side_file *side = context;
    side->fs->ops->close(side->file);
    free(side);
}

static sp_status side_open(struct sp_fs *fs, uint64_t segment_id,
                           struct sp_section_reader *ret_reader) {
    char path[SIDE_PATH_BYTES];
    side_path(segment_id, path);
    struct side_file *side = calloc(1, sizeof(*side));
    if (side == NULL) {
        return SP_NO_MEMORY;
    }
    side->fs = fs;
    uint64_t bytes = 0;
    sp_status status = fs->ops->open(fs, path, SP_FS_READ, &side->file, NULL);
    if (status != SP_OK) {
        free(side);
        return status;
    }
    status = fs->ops->size(side->file, &bytes, NULL);
    if (status != SP_OK) {
        side_release(side);
        return status;
    }
    *ret_reader = (struct sp_section_reader){
        .read = side_read, .release = side_release, .context = side, .size_bytes = bytes};
    return SP_OK;
}

void engine_side_remove(struct sp_engine *engine, uint64_t segment_id) {
    char path[SIDE_PATH_BYTES];
    side_path(segment_id, path);
    (void)engine->options.fs->ops->unlink(engine->options.fs, path, NULL);
}

sp_status engine_side_load(struct sp_engine *engine, uint64_t segment_id, struct sp_buf *to,
                           struct sp_error *error) {
    char path[SIDE_PATH_BYTES];
    side_path(segment_id, path);
    return sp_fs_read_all(engine->options.fs, path, to, error);
}

/*
 * ---- writing
 * --------------------------------------------------------------------------------------
 */

static void side_work(struct sp_job *base) {
    struct side_job *job = (struct side_job *)base;
    char path[SIDE_PATH_BYTES];
    side_path(job->segment_id, path);
    struct sp_buf bytes;
    sp_buf_init(&bytes, SIDE_BYTES_MAX);
    job->status = sp_section_encode(job->tail, &bytes, NULL);
    if (job->status == SP_OK) {
        job->status = sp_fs_replace(job->engine->options.fs, path, sp_buf_str(&bytes), NULL);
    }
    sp_buf_fini(&bytes);
}

/* The file takes the tail's place, unless the segment was sealed meanwhile. */
static void side_done(struct sp_job *base) {
    struct side_job *job = (struct side_job *)base;
    struct sp_engine *engine = job->engine;
    struct sp_section_reader reader;
    job->busy = false;
    bool waiting = engine_pin_is_waiting(engine, job->segment_id);
    if (!waiting) {
        engine_side_remove(engine, job->segment_id);
    } else if (job->status != SP_OK) {
        engine->side_failed = true; /* the tails stay in memory, and sealing goes on without */
    } else if (side_open(engine->options.fs, job->segment_id, &reader) == SP_OK) {
        if (sp_index_seal(engine->index, job->segment_id, &reader, NULL) == SP_OK) {
            engine_pin_set_side(engine, job->segment_id);
        } else {
            side_release(reader.context);
        }
    }
    sp_tail_unref(job->tail);
    job->tail = NULL;
}

void engine_side_upkeep(struct sp_engine *engine) {
    struct side_job *job = &engine->side;
    if (!engine->local || job->busy || engine->side_failed) {
        return;
    }
    job->tail = engine_pin_next_tail(engine, &job->segment_id);
    if (job->tail == NULL) {
        return;
    }
    job->busy = true;
    job->engine = engine;
    job->job.work = side_work;
    job->job.done = side_done;
    sp_worker_submit(engine->worker, &job->job);
}

/*
 * ---- at start-up
 * ----------------------------------------------------------------------------------
 */

bool engine_side_adopt(struct sp_engine *engine, uint64_t segment_id, uint64_t first_position,
                       uint64_t last_position, uint64_t *ret_last_position) {
    struct sp_section_reader reader;
    struct sp_section *section = NULL;
    if (!engine->local || side_open(engine->options.fs, segment_id, &reader) != SP_OK) {
        return false;
    }
    if (sp_section_open(&reader, &section, NULL) != SP_OK) {
        side_release(reader.context);
        return false;
    }
    uint64_t first = sp_section_first(section);
    uint32_t count = sp_section_count(section);
    sp_section_free(section); /* releases the reader: the index opens its own */
    bool fits = first == first_position && count > 0 &&
                (last_position == 0 || first + count - 1 == last_position);
    if (!fits || side_open(engine->options.fs, segment_id, &reader) != SP_OK) {
        return false;
    }
    if (sp_index_open_sealed(engine->index, segment_id, first, count, &reader, NULL) != SP_OK) {
        side_release(reader.context);
        return false;
    }
    *ret_last_position = first + count - 1;
    return true;
}

/* The id that a file name stands for; false for any other name. */
static bool parse_name(sp_str name, uint64_t *ret_segment_id) {
    uint64_t id = 0;
    if (name.len != SIDE_NAME_BYTES || !sp_str_ends_with(name, SP_STR(".index"))) {
        return false;
    }
    for (size_t i = 0; i < 16; i++) {
        char c = name.ptr[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && (c < 'a' || c > 'f')) {
            return false;
        }
        id = id << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    *ret_segment_id = id;
    return true;
}

/* Names of files to remove; they are removed after the walk, which must not see its own doing. */
struct stale {
    struct sp_engine *engine;
    struct sp_buf names;
    bool all;
};

static bool note_stale(void *context, sp_str name) {
    struct stale *stale = context;
    uint64_t id;
    if (stale->all || !parse_name(name, &id) || !engine_pin_is_waiting(stale->engine, id)) {
        sp_buf_add_str(&stale->names, name);
        sp_buf_add_byte(&stale->names, 0);
    }
    return stale->names.status == SP_OK;
}

/* Removes side indexes that no waiting segment has, or all. */
static void tidy(struct sp_engine *engine, bool all) {
    struct sp_fs *fs = engine->options.fs;
    struct stale stale = {.engine = engine, .all = all};
    sp_buf_init(&stale.names, 1 << 20);
    (void)fs->ops->list(fs, SIDE_FOLDER, note_stale, &stale, NULL);
    for (size_t at = 0; at < stale.names.len;) {
        const char *name = (const char *)stale.names.data + at;
        char path[SP_FS_PATH_BYTES_MAX];
        (void)snprintf(path, sizeof(path), "%s/%s", SIDE_FOLDER, name);
        (void)fs->ops->unlink(fs, path, NULL);
        at += strlen(name) + 1;
    }
    sp_buf_fini(&stale.names);
}

sp_status engine_side_prepare(struct sp_engine *engine, struct sp_error *error) {
    struct sp_fs *fs = engine->options.fs;
    sp_status status = fs->ops->mkdir(fs, SIDE_FOLDER, error);
    if (status == SP_NO_SPACE) {
        engine->side_failed = true; /* on a full device the store opens all the same */
        return SP_OK;
    }
    if (status == SP_OK) {
        tidy(engine, false);
    }
    return status;
}

void engine_side_forget(struct sp_engine *engine) {
    if (engine->local && !engine->options.read_only) {
        tidy(engine, true);
    }
}
