/*
 * The index beside the log: one tail for each raw segment, a section in each sealed file. A
 * finished tail is pinned until its segment is sealed, as the seal worker encodes it while the
 * loop goes on.
 */
#include <stdlib.h>

#include "engine/engine_int.h"
#include "log/sealed.h"

/* Reads the index section of a sealed file. */
static sp_status section_read(void *context, uint64_t offset, size_t len, void *to) {
    sp_status status = sp_log_sealed_section(context, SP_SECTION_INDEX, offset, len, to, NULL);
    return status == SP_OK ? SP_OK : SP_IO;
}

static void section_release(void *context) {
    sp_log_sealed_unref(context);
}

static struct sp_section_reader section_reader(struct sp_log_sealed *sealed) {
    return (struct sp_section_reader){
        .read = section_read,
        .release = section_release,
        .context = sp_log_sealed_ref(sealed),
        .size_bytes = sp_log_sealed_footer(sealed)->sections[SP_SECTION_INDEX].bytes,
    };
}

/* Keeps the tail of the segment that ends for its sealing. The newest tail is finished by this. */
static sp_status pin_tail(struct sp_engine *engine, uint64_t segment_id) {
    struct sp_tail *tail = sp_index_tail_pin(engine->index, segment_id);
    if (tail == NULL) {
        return SP_OK;
    }
    pthread_mutex_lock(&engine->pins_mutex);
    bool room = engine->pin_count < PINS_MAX;
    if (room) {
        engine->pins[engine->pin_count++] = (struct pin){.segment_id = segment_id, .tail = tail};
    }
    pthread_mutex_unlock(&engine->pins_mutex);
    if (!room) {
        sp_tail_unref(tail); /* its segment stays raw until the store is opened again */
    }
    return SP_OK;
}

/* Notes a segment whose index is in a side file already. */
static void pin_side(struct sp_engine *engine, uint64_t segment_id) {
    pthread_mutex_lock(&engine->pins_mutex);
    if (engine->pin_count < PINS_MAX) {
        engine->pins[engine->pin_count++] = (struct pin){.segment_id = segment_id, .tail = NULL};
    }
    pthread_mutex_unlock(&engine->pins_mutex);
}

/* The pin of a segment, or NULL. The mutex is held. */
static struct pin *find_pin_locked(struct sp_engine *engine, uint64_t segment_id) {
    for (uint32_t i = 0; i < engine->pin_count; i++) {
        if (engine->pins[i].segment_id == segment_id) {
            return &engine->pins[i];
        }
    }
    return NULL;
}

bool engine_pin_is_waiting(struct sp_engine *engine, uint64_t segment_id) {
    pthread_mutex_lock(&engine->pins_mutex);
    bool waiting = find_pin_locked(engine, segment_id) != NULL;
    pthread_mutex_unlock(&engine->pins_mutex);
    return waiting;
}

void engine_pin_set_side(struct sp_engine *engine, uint64_t segment_id) {
    struct sp_tail *tail = NULL;
    pthread_mutex_lock(&engine->pins_mutex);
    struct pin *pin = find_pin_locked(engine, segment_id);
    if (pin != NULL) {
        tail = pin->tail;
        pin->tail = NULL;
    }
    pthread_mutex_unlock(&engine->pins_mutex);
    sp_tail_unref(tail);
}

struct sp_tail *engine_pin_next_tail(struct sp_engine *engine, uint64_t *ret_segment_id) {
    const struct pin *oldest = NULL;
    struct sp_tail *tail = NULL;
    pthread_mutex_lock(&engine->pins_mutex);
    for (uint32_t i = 0; i < engine->pin_count; i++) {
        const struct pin *pin = &engine->pins[i];
        if (pin->tail != NULL && (oldest == NULL || pin->segment_id < oldest->segment_id)) {
            oldest = pin;
        }
    }
    if (oldest != NULL) {
        *ret_segment_id = oldest->segment_id;
        tail = sp_tail_ref(oldest->tail);
    }
    pthread_mutex_unlock(&engine->pins_mutex);
    return tail;
}

/*
 * A reference to the pinned tail of a segment; NULL where it has none, or a side index. any-thread
 */
static struct sp_tail *borrow_tail(struct sp_engine *engine, uint64_t segment_id) {
    struct sp_tail *tail = NULL;
    pthread_mutex_lock(&engine->pins_mutex);
    const struct pin *pin = find_pin_locked(engine, segment_id);
    if (pin != NULL && pin->tail != NULL) {
        tail = sp_tail_ref(pin->tail);
    }
    pthread_mutex_unlock(&engine->pins_mutex);
    return tail;
}

/* Takes the segment off the list, as it is sealed; its side index is of no more use. */
static void unpin(struct sp_engine *engine, uint64_t segment_id) {
    struct sp_tail *tail = NULL;
    bool side = false;
    pthread_mutex_lock(&engine->pins_mutex);
    struct pin *pin = find_pin_locked(engine, segment_id);
    if (pin != NULL) {
        tail = pin->tail;
        side = tail == NULL;
        *pin = engine->pins[--engine->pin_count];
    }
    pthread_mutex_unlock(&engine->pins_mutex);
    sp_tail_unref(tail);
    if (side) {
        engine_side_remove(engine, segment_id);
    }
}

void engine_drop_pins(struct sp_engine *engine) {
    while (engine->pin_count > 0) {
        sp_tail_unref(engine->pins[--engine->pin_count].tail);
    }
}

/* Ends the part of the index that grew so far; the next event begins another segment. */
static sp_status end_segment(struct sp_engine *engine, uint64_t next_position) {
    if (engine->side_last !=
        0) { /* it came from a side index, which must end where its segment does */
        bool fits = engine->side_last + 1 == next_position;
        engine->side_last = 0;
        engine->side_refused = engine->side_refused || !fits;
        return fits ? SP_OK : SP_CORRUPT;
    }
    bool grows = engine->index_begun && !engine->index_ended;
    engine->index_ended = true;
    return grows ? pin_tail(engine, engine->index_segment) : SP_OK;
}

sp_status engine_index_leave(struct sp_engine *engine, uint64_t segment_id,
                             uint64_t next_position) {
    uint64_t at = engine->side_last != 0 ? engine->side_segment : engine->index_segment;
    bool grows = engine->side_last != 0 || (engine->index_begun && !engine->index_ended);
    return grows && segment_id != at ? end_segment(engine, next_position) : SP_OK;
}

sp_status engine_index_settle(struct sp_engine *engine) {
    return engine->side_last != 0 ? end_segment(engine, engine->core.position + 1) : SP_OK;
}

/* While recovering: a segment that has a side index need not be indexed anew. */
static bool begin_from_side(struct sp_engine *engine, uint64_t segment_id, uint64_t position) {
    uint64_t last;
    /* Sections come before tails: behind a segment that has none, side indexes are of no use. */
    bool usable = engine->recovering && !engine->index_begun && !engine->options.no_side_indexes;
    if (!usable || !engine_side_adopt(engine, segment_id, position, 0, &last)) {
        return false;
    }
    engine->side_segment = segment_id;
    engine->side_last = last;
    pin_side(engine, segment_id);
    return true;
}

/*
 * The snapshot is of a first part of the log: with an event from behind the segment in it, it has
 * all of the segment, control records too. Then its side index is all that is missing.
 */
bool engine_hook_known(void *context, uint64_t segment_id, uint64_t first, uint64_t next) {
    struct sp_engine *engine = context;
    uint64_t last;
    bool usable =
        !engine->index_begun && engine->side_last == 0 && !engine->options.no_side_indexes;
    if (engine->core.position < next || !usable) {
        return false;
    }
    if (first < next) {
        if (!engine_side_adopt(engine, segment_id, first, next - 1, &last)) {
            return false;
        }
        pin_side(engine, segment_id);
    }
    engine->passed_over = true;
    return true;
}

/* Goes over to the segment of the next event, where it is another than before. */
static sp_status enter_segment(struct sp_engine *engine, uint64_t segment_id, uint64_t position) {
    sp_status status = end_segment(engine, position);
    if (status != SP_OK || begin_from_side(engine, segment_id, position)) {
        return status;
    }
    status = sp_index_tail_begin(engine->index, segment_id, position);
    if (status == SP_OK) {
        engine->index_segment = segment_id;
        engine->index_begun = true;
        engine->index_ended = false;
    }
    return status;
}

sp_status engine_index_enter(struct sp_engine *engine, uint64_t segment_id, uint64_t position,
                             bool *ret_covered) {
    uint64_t at = engine->side_last != 0 ? engine->side_segment : engine->index_segment;
    bool within = segment_id == at && (engine->side_last != 0 || engine->index_begun);
    sp_status status = within ? SP_OK : enter_segment(engine, segment_id, position);
    *ret_covered = engine->side_last != 0;
    if (status == SP_OK && engine->side_last != 0 && position > engine->side_last) {
        engine->side_refused = true;
        status = SP_CORRUPT;
    }
    return status;
}

sp_status engine_index_add(struct sp_engine *engine, uint64_t segment_id, uint64_t position,
                           const struct sp_index_keys *keys, sp_str type, uint64_t recorded_us) {
    bool covered;
    sp_status status = engine_index_enter(engine, segment_id, position, &covered);
    return status != SP_OK || covered
               ? status
               : sp_index_add(engine->index, position, keys, type, recorded_us);
}

sp_status engine_hook_encode(void *context, uint64_t segment_id, struct sp_buf *section,
                             struct sp_error *error) {
    struct sp_engine *engine = context;
    struct sp_tail *tail = borrow_tail(engine, segment_id);
    if (tail == NULL) {
        return engine_side_load(engine, segment_id, section, error);
    }
    sp_status status = sp_section_encode(tail, section, error);
    sp_tail_unref(tail);
    return status;
}

/* On failure the index keeps what it has, which is right as well. */
void engine_hook_sealed(void *context, uint64_t segment_id, struct sp_log_sealed *sealed) {
    struct sp_engine *engine = context;
    engine->sealed_last = sp_log_sealed_footer(sealed)->last_position;
    struct sp_section_reader reader = section_reader(sealed);
    if (sp_index_seal(engine->index, segment_id, &reader, NULL) != SP_OK) {
        section_release(reader.context);
        return;
    }
    unpin(engine, segment_id);
}

void engine_hook_trimmed(void *context, uint64_t first_position) {
    struct sp_engine *engine = context;
    sp_index_drop_before(engine->index, first_position);
    engine->schemas_first = first_position;
}

/*
 * ---- sealed segments at start-up
 * ------------------------------------------------------------------
 */

static sp_status add_record_to_tail(struct sp_tail *tail, const struct sp_record *record) {
    char scratch[SP_RECORD_SCRATCH_BYTES];
    struct sp_event event;
    sp_status status = sp_record_decode(record, scratch, &event);
    if (status != SP_OK) {
        return status;
    }
    struct sp_index_keys keys = sp_index_keys_of(&event);
    return sp_tail_add(tail, &keys, event.attr[SP_ATTR_TYPE], event.recorded_us);
}

static sp_status add_frame_to_tail(struct sp_log_sealed *sealed, uint32_t frame,
                                   struct sp_sealed_scratch *scratch, struct sp_tail *tail,
                                   struct sp_error *error) {
    struct sp_sealed_frame row;
    sp_str rows;
    sp_status status = sp_log_sealed_frame(sealed, frame, &row, error);
    status = status == SP_OK ? sp_log_sealed_read(sealed, frame, scratch, &rows, error) : status;
    if (status != SP_OK) {
        return status;
    }
    struct sp_block_walk walk =
        sp_block_walk_of(rows, sp_log_sealed_footer(sealed)->first_position + row.first_ordinal);
    struct sp_record record;
    while ((status = sp_block_walk_next(&walk, &record)) == SP_OK) {
        if (record.kind == SP_RECORD_EVENT) {
            status = add_record_to_tail(tail, &record);
        }
        if (status != SP_OK) {
            return sp_error_set(error, status, "event %llu", (unsigned long long)record.position);
        }
    }
    return status == SP_END ? SP_OK : status;
}

/* A section that was made anew, kept in memory. */
static sp_status memory_read(void *context, uint64_t offset, size_t len, void *to) {
    const struct sp_buf *bytes = context;
    if (offset > bytes->len || len > bytes->len - offset) {
        return SP_IO;
    }
    memcpy(to, bytes->data + offset, len);
    return SP_OK;
}

static void memory_release(void *context) {
    struct sp_buf *bytes = context;
    sp_buf_fini(bytes);
    free(bytes);
}

/* Makes a section anew from the events, as the one in the file is damaged. */
static sp_status rebuild_section(struct sp_log_sealed *sealed, struct sp_section_reader *ret_reader,
                                 struct sp_error *error) {
    const struct sp_sealed_footer *footer = sp_log_sealed_footer(sealed);
    struct sp_sealed_scratch *scratch = sp_sealed_scratch_new();
    struct sp_tail *tail = sp_tail_new(footer->first_position, 0);
    struct sp_buf *bytes = calloc(1, sizeof(*bytes));
    sp_status status = scratch == NULL || tail == NULL || bytes == NULL ? SP_NO_MEMORY : SP_OK;
    for (uint32_t i = 0; status == SP_OK && i < footer->frame_count; i++) {
        status = add_frame_to_tail(sealed, i, scratch, tail, error);
    }
    if (status == SP_OK) {
        sp_tail_finish(tail);
        sp_buf_init(bytes, SP_SEALED_BYTES_MAX);
        status = sp_section_encode(tail, bytes, error);
    }
    sp_tail_unref(tail);
    sp_sealed_scratch_free(scratch);
    if (status != SP_OK) {
        free(bytes);
        return status;
    }
    *ret_reader = (struct sp_section_reader){
        .read = memory_read, .release = memory_release, .context = bytes, .size_bytes = bytes->len};
    return SP_OK;
}

sp_status engine_index_open_sealed(struct sp_engine *engine, const struct sp_log_segment_info *info,
                                   struct sp_error *error) {
    uint32_t count = (uint32_t)(info->last_position + 1 - info->first_position);
    if (count == 0) { /* control records alone */
        return SP_OK;
    }
    struct sp_section_reader reader = section_reader(info->sealed_file);
    sp_status status =
        sp_index_open_sealed(engine->index, info->id, info->first_position, count, &reader, error);
    if (status == SP_OK) {
        return SP_OK;
    }
    section_release(reader.context);
    if (status != SP_CORRUPT && status != SP_IO) {
        return status;
    }
    status = rebuild_section(info->sealed_file, &reader, error);
    if (status == SP_OK) {
        status = sp_index_open_sealed(engine->index, info->id, info->first_position, count, &reader,
                                      error);
        if (status != SP_OK) {
            memory_release(reader.context);
        }
    }
    return status;
}

/*
 * ---- folding
 * --------------------------------------------------------------------------------------
 */

static void fold_work(struct sp_job *base) {
    sp_index_fold_run(((struct fold_job *)base)->fold);
}

/* What could not be folded is read from the files instead, which is slower and as right. */
static void fold_done(struct sp_job *base) {
    struct fold_job *job = (struct fold_job *)base;
    sp_status status = sp_index_fold_end(job->engine->index, job->fold);
    sp_index_fold_free(job->fold);
    job->fold = NULL;
    job->busy = false;
    job->engine->fold_failed = status != SP_OK;
}

void engine_fold_upkeep(struct sp_engine *engine) {
    struct fold_job *job = &engine->fold;
    if (job->busy || engine->fold_failed) {
        return;
    }
    job->fold = sp_index_fold_begin(engine->index);
    if (job->fold == NULL) {
        return;
    }
    job->busy = true;
    job->engine = engine;
    job->job.work = fold_work;
    job->job.done = fold_done;
    sp_worker_submit(engine->worker, &job->job);
}
