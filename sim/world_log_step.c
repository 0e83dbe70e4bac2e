/* One step of work on the log: what an engine above it might do, and what it must never see. */
#include <stdlib.h>

#include "base/assert.h"
#include "sim/world_fault.h"
#include "sim/world_log_int.h"

enum { ROOM_WAIT_US = 3000000, SNAPSHOT_BYTES = 3000 };

bool log_poll(struct log_system *sys) {
    struct sp_log_progress progress;
    struct sim_model *model = &sys->model;
    sys->log->ops->poll(sys->log, &progress);
    if (progress.head_block != model->block_count ||
        progress.durable_block < model->durable_block ||
        progress.durable_block > model->block_count ||
        progress.durable_position != sim_model_position_at(model, progress.durable_block)) {
        sim_wrong(sys->world, "poll: head %llu of %zu, durable %llu after %llu, event %llu",
                  (unsigned long long)progress.head_block, model->block_count,
                  (unsigned long long)progress.durable_block,
                  (unsigned long long)model->durable_block,
                  (unsigned long long)progress.durable_position);
        return false;
    }
    bool strict = sys->options.durability == SP_LOG_DURABLE_ALWAYS;
    if (progress.synced_block < sys->synced || progress.synced_block > progress.durable_block ||
        (strict && progress.synced_block != progress.durable_block)) {
        sim_wrong(sys->world, "poll: synced %llu after %llu, durable %llu",
                  (unsigned long long)progress.synced_block, (unsigned long long)sys->synced,
                  (unsigned long long)progress.durable_block);
        return false;
    }
    model->durable_block = progress.durable_block;
    sys->synced = progress.synced_block;
    return progress.state == SP_OK;
}

/* A log that has failed stays so, and acknowledges nothing more. */
static void check_failed(struct log_system *sys) {
    struct sp_log_progress before;
    struct sp_log_progress after;
    struct sp_log *log = sys->log;
    log->ops->poll(log, &before);
    sim_note(sys->world, "the log has failed: %s", sp_status_name(before.state));
    if (!sim_excused(sys->world)) {
        struct sp_error error = {.status = SP_OK};
        (void)log->ops->ready(log, &error);
        sim_wrong(sys->world, "the log has failed for no reason: %s", error.text);
    }
    sp_status ready = log->ops->ready(log, NULL);
    log->ops->upkeep(log);
    log->ops->poll(log, &after);
    if (ready != SP_FAILED || after.state != before.state ||
        after.durable_block != before.durable_block) {
        sim_wrong(sys->world, "a failed log goes on: ready %s, durable %llu, then %llu",
                  sp_status_name(ready), (unsigned long long)before.durable_block,
                  (unsigned long long)after.durable_block);
    }
}

/* ---- appending ---- */

/* The device is full. Everything else goes on, and appending too once there is room. */
static void meet_full_device(struct log_system *sys) {
    struct sim_world *world = sys->world;
    if (!sim_excused(world)) {
        sim_wrong(world, "no space, but the device is not full");
    }
    if (sim_disk_is_down(world->disk) || !sim_chance(world, 30)) {
        sim_clock_advance_ns(&world->clock, UINT64_C(1000) * sim_pick(world, ROOM_WAIT_US));
        return;
    }
    sim_disarm(world);
    sim_note(world, "room again");
    sim_clock_advance_ns(&world->clock, UINT64_C(1000) * ROOM_WAIT_US);
    sp_status status = sys->log->ops->ready(sys->log, NULL);
    if (status != SP_OK && status != SP_BUSY) {
        sim_wrong(world, "room again, and still %s", sp_status_name(status));
    }
}

static void append_expecting(struct log_system *sys, uint64_t head, const struct sim_block *made,
                             struct sp_blob *blob) {
    struct sim_model *model = &sys->model;
    struct sp_log_block block = {.blob = blob,
                                 .first_position = model->event_count + 1,
                                 .event_count = made->event_count,
                                 .record_count = made->record_count,
                                 .body_bytes = (uint32_t)made->len,
                                 .recorded_us = sys->workload.recorded_us};
    struct sp_error error = {.status = SP_OK};
    sp_str body = sp_str_of(sp_log_block_body(blob), made->len);
    bool right = head == model->block_count;
    if (right) {
        sim_model_append(model, body, block.first_position, sys->synced);
    }
    sp_status status = sys->log->ops->append(sys->log, head, &block, &error);
    sim_note(sys->world, "append block %llu: %u records, %u events from %llu, %zu bytes: %s",
             (unsigned long long)head + 1, made->record_count, made->event_count,
             (unsigned long long)block.first_position, made->len, sp_status_name(status));
    if (!right && status != SP_CONFLICT) {
        sim_wrong(sys->world, "append at head %llu of %zu: %s", (unsigned long long)head,
                  model->block_count, sp_status_name(status));
    }
    if (right && status != SP_OK) {
        /* Not taken, or taken and lost: nobody was told that it is there. */
        struct sp_log_progress progress;
        sys->log->ops->poll(sys->log, &progress);
        if (progress.head_block + 1 == model->block_count) {
            uint64_t durable = model->durable_block;
            sim_model_settle(model, model->block_count - 1);
            model->durable_block = durable;
        }
        if (!sim_excused(sys->world)) {
            sim_wrong(sys->world, "append: %s: %s", sp_status_name(status), error.text);
        }
    }
}

static void append(struct log_system *sys) {
    struct sim_model *model = &sys->model;
    if (model->block_count - model->durable_block >= sys->blocks_in_flight_max) {
        return;
    }
    struct sp_error error = {.status = SP_OK};
    sp_status status = sys->log->ops->ready(sys->log, &error);
    if (status == SP_NO_SPACE) {
        sim_note(sys->world, "no space: %s", error.text);
        meet_full_device(sys);
        return;
    }
    if (status != SP_OK) {
        sim_note(sys->world, "not ready: %s", sp_status_name(status));
        if (status != SP_BUSY && !sim_excused(sys->world)) {
            sim_wrong(sys->world, "ready: %s: %s", sp_status_name(status), error.text);
        }
        return;
    }
    size_t room = sys->options.block_bytes_max - SP_BLOCK_HEADER_BYTES;
    room = sim_chance(sys->world, 65) && room > 9000 ? 9000 : room;
    struct sp_blob *blob = sp_log_block_new(room);
    sp_ensure(blob != NULL);
    struct sim_block made;
    sim_workload_block(&sys->workload, model->event_count + 1,
                       sys->options.clock.wall_us(sys->options.clock.context),
                       sp_log_block_body(blob), room, &made);
    if (sim_chance(sys->world, 5)) {
        append_expecting(sys, model->block_count + 1 + sim_pick(sys->world, 3), &made, blob);
        append_expecting(sys, model->block_count > 0 ? model->block_count - 1 : 7, &made, blob);
    }
    append_expecting(sys, model->block_count, &made, blob);
    sp_blob_unref(blob);
}

/* ---- reading ---- */

static void read_next(struct log_system *sys) {
    if (sys->reader == NULL) {
        sp_status made = sys->log->ops->reader_new(sys->log, &sys->reader, NULL);
        sp_ensure(made == SP_OK);
        sys->reader_record = SIM_MODEL_UNKNOWN;
    }
    struct sp_log_chunk chunk;
    struct sp_error error = {.status = SP_OK};
    sp_status status = SP_OK;
    for (uint32_t n = sim_pick(sys->world, 10); status == SP_OK && n > 0; n--) {
        status = sys->reader->ops->next(sys->reader, &chunk, &error);
        if (status == SP_OK && !log_check_chunk(sys, &chunk, &sys->reader_record)) {
            return;
        }
    }
    const struct sim_model *model = &sys->model;
    uint64_t known = sys->reader_record;
    bool early = known != SIM_MODEL_UNKNOWN && known < model->record_count &&
                 model->records[known].block <= model->durable_block;
    if (status == SP_END && early && !sim_is_damaged(sys->world)) {
        sim_wrong(sys->world, "the reader ends at record %llu, block %llu, of %llu durable",
                  (unsigned long long)known, (unsigned long long)model->records[known].block,
                  (unsigned long long)model->durable_block);
    } else if (status == SP_NOT_FOUND && model->trim_bound > 1) {
        sys->reader->ops->free(sys->reader); /* what it was to read next was trimmed */
        sys->reader = NULL;
    } else if (status != SP_OK && status != SP_END) {
        sys->reader_record = SIM_MODEL_UNKNOWN;
        if (!sim_excused(sys->world)) {
            sim_wrong(sys->world, "read: %s: %s", sp_status_name(status), error.text);
        }
    }
}

static void read_somewhere(struct log_system *sys) {
    struct sp_log_reader *reader = NULL;
    sp_status made = sys->log->ops->reader_new(sys->log, &reader, NULL);
    sp_ensure(made == SP_OK);
    uint64_t last = sim_model_position_at(&sys->model, sys->model.durable_block);
    for (uint32_t n = 1 + sim_pick(sys->world, 4); n > 0; n--) {
        log_check_seek(sys, reader, sim_pick(sys->world, (uint32_t)last + 3));
    }
    reader->ops->free(reader);
}

/* ---- snapshots and trimming ---- */

static void store_snapshot(struct log_system *sys) {
    struct sim_model *model = &sys->model;
    uint64_t position = sim_model_position_at(model, model->durable_block);
    for (size_t i = 0; i < model->snapshot_count; i++) {
        if (model->snapshots[i].position >= position) {
            return;
        }
    }
    if (position == 0) {
        return;
    }
    struct sim_model_snapshot *snapshot = sim_model_snapshot(
        model, position, sp_prng_next(&sys->world->prng), sim_pick(sys->world, SNAPSHOT_BYTES));
    uint8_t bytes[SNAPSHOT_BYTES];
    sim_model_snapshot_bytes(snapshot, bytes);
    struct sp_error error = {.status = SP_OK};
    sp_status status =
        sys->log->ops->snapshot_store(sys->log, position, sp_str_of(bytes, snapshot->len), &error);
    sim_note(sys->world, "snapshot at %llu: %s", (unsigned long long)position,
             sp_status_name(status));
    snapshot->stored = status == SP_OK;
    if (status != SP_OK && !sim_excused(sys->world)) {
        sim_wrong(sys->world, "snapshot: %s: %s", sp_status_name(status), error.text);
    }
}

/* The log trims no further than its newest snapshot. */
static void allow_trimming(struct log_system *sys, uint64_t position) {
    const struct sim_model *model = &sys->model;
    uint64_t newest = 0;
    for (size_t i = 0; i < model->snapshot_count; i++) {
        newest = model->snapshots[i].position > newest ? model->snapshots[i].position : newest;
    }
    uint64_t bound = position < newest + 1 ? position : newest + 1;
    log_learn_leaves(sys);
    if (bound > model->trim_bound) {
        sys->model.trim_bound = bound;
    }
}

static void trim(struct log_system *sys) {
    uint64_t last = sim_model_position_at(&sys->model, sys->model.durable_block);
    uint64_t position = 1 + sim_pick(sys->world, (uint32_t)last + 1);
    allow_trimming(sys, position);
    sp_status status = sys->log->ops->trim(sys->log, position, NULL);
    sim_note(sys->world, "trim %llu: %s", (unsigned long long)position, sp_status_name(status));
    if (status != SP_OK && !sim_excused(sys->world)) {
        sim_wrong(sys->world, "trim: %s", sp_status_name(status));
    }
}

void log_upkeep(struct log_system *sys) {
    if (sys->options.retain_bytes_max > 0 || sys->options.retain_age_us > 0) {
        allow_trimming(sys, UINT64_MAX);
    }
    sys->log->ops->upkeep(sys->log);
}

/* ---- others on the same folder ---- */

static sp_status see_block(void *context, uint64_t segment_id, const struct sp_log_chunk *chunk,
                           struct sp_error *error) {
    struct log_system *sys = context;
    (void)segment_id;
    (void)error;
    const struct sim_model *model = &sys->model;
    uint64_t last = chunk->first_position + chunk->event_count - 1;
    if (last > sim_model_position_at(model, model->durable_block)) {
        sim_wrong(sys->world,
                  "a reader beside the writer is shown event %llu, which is not durable",
                  (unsigned long long)last);
    }
    return SP_OK;
}

static void read_all(struct log_system *sys, struct sp_log *log) {
    struct sp_log_reader *reader = NULL;
    sp_status status = log->ops->reader_new(log, &reader, NULL);
    sp_ensure(status == SP_OK);
    uint64_t record = SIM_MODEL_UNKNOWN;
    struct sp_log_chunk chunk;
    struct sp_error error = {.status = SP_OK};
    while ((status = reader->ops->next(reader, &chunk, &error)) == SP_OK) {
        if (!log_check_chunk(sys, &chunk, &record)) {
            break;
        }
    }
    if (status != SP_OK && status != SP_END && !sim_excused(sys->world)) {
        sim_wrong(sys->world, "a reader beside the writer: %s: %s", sp_status_name(status),
                  error.text);
    }
    reader->ops->free(reader);
}

/* A second writer is turned away; a reader sees a part of what is durable. */
static void open_beside(struct log_system *sys) {
    if (sim_disk_is_down(sys->world->disk)) {
        return;
    }
    struct sp_log_local_options options = sys->options;
    options.read_only = sim_chance(sys->world, 70);
    options.fs = sim_disk_process(sys->world->disk, options.read_only);
    options.hooks = (struct sp_log_seal_hooks){.context = NULL};
    struct sp_log *log = NULL;
    struct sp_log_opened opened;
    struct sp_error error = {.status = SP_OK};
    sp_status status = sp_log_local_open(&options, &log, &opened, &error);
    sim_note(sys->world, "open beside, %s: %s", options.read_only ? "to read" : "to write",
             sp_status_name(status));
    if (!options.read_only && status == SP_OK) {
        sim_wrong(sys->world, "two writers");
    }
    if (status == SP_OK) {
        status = log->ops->recover(log, see_block, sys, &error);
        if (status == SP_OK) {
            read_all(sys, log);
        }
        log->ops->close(log);
    }
    if (status != SP_OK && status != SP_BUSY && !sim_excused(sys->world)) {
        sim_wrong(sys->world, "open beside: %s: %s", sp_status_name(status), error.text);
    }
    options.fs->ops->destroy(options.fs);
}

/* ---- choosing ---- */

bool log_step(struct log_system *sys) {
    struct sim_world *world = sys->world;
    uint32_t choice = sim_pick(world, 100);
    if (choice >= 62) { /* what is read may be durable without anybody having asked */
        (void)log_poll(sys);
    }
    if (choice < 45) {
        append(sys);
    } else if (choice < 62) {
        log_upkeep(sys);
    } else if (choice < 72) {
        read_next(sys);
    } else if (choice < 78) {
        read_somewhere(sys);
    } else if (choice < 88) {
        uint32_t us = sim_pick(world, sim_chance(world, 80) ? 20000 : 10000000);
        sim_clock_advance_ns(&world->clock, UINT64_C(1000) * us);
    } else if (choice < 91) {
        store_snapshot(sys);
    } else if (choice < 94) {
        trim(sys);
    } else if (choice < 98) {
        log_check_tree(sys, sim_chance(world, 50));
    } else {
        open_beside(sys);
    }
    if (sim_chance(world, 80) && !log_poll(sys)) {
        if (!world->wrong) {
            check_failed(sys);
        }
        return false;
    }
    return true;
}
