#include "log_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the rig ---- */

static sp_status encode_index(void *context, uint64_t segment_id, struct sp_buf *section,
                              struct sp_error *error) {
    (void)context;
    (void)error;
    sp_buf_add_u64(section, segment_id);
    return section->status;
}

static void on_sealed(void *context, uint64_t segment_id, struct sp_log_sealed *sealed) {
    struct rig *rig = context;
    (void)segment_id;
    assert_non_null(sealed);
    rig->sealed_count++;
}

static sp_status on_recovered(void *context, uint64_t segment_id, const struct sp_log_chunk *chunk,
                              struct sp_error *error) {
    struct rig *rig = context;
    (void)segment_id;
    (void)error;
    uint64_t block = rig->recovered_block;
    if (block == 0) { /* the first may be any: what is sealed is not shown */
        while (!sim_model_is_block(&rig->model, ++block, chunk)) {
            assert_true(block <= rig->model.block_count);
        }
    } else {
        assert_true(sim_model_is_block(&rig->model, ++block, chunk));
    }
    rig->recovered_block = block;
    rig->recovered_count++;
    return SP_OK;
}

sp_status rig_open_local(struct rig *rig, struct sp_log **ret_log, struct sp_error *error) {
    struct sp_log_opened opened;
    return sp_log_local_open(&rig->options, ret_log, &opened, error);
}

struct sp_fs *rig_mount(struct rig *rig, bool read_only) {
    struct sp_fs *fs = NULL;
    if (rig->kind == ON_SIM) {
        return sim_disk_process(rig->disk, read_only);
    }
    assert_int_equal(sp_fs_posix_open(rig->folder, true, read_only, &fs, NULL), SP_OK);
    return fs;
}

struct sp_log_progress rig_progress(struct rig *rig) {
    struct sp_log_progress progress;
    rig->log->ops->poll(rig->log, &progress);
    assert_true(progress.durable_block >= rig->model.durable_block);
    assert_true(progress.durable_block <= progress.head_block);
    assert_int_equal(progress.durable_position,
                     sim_model_position_at(&rig->model, progress.durable_block));
    rig->model.durable_block = progress.durable_block;
    return progress;
}

void rig_start(struct rig *rig) {
    struct sp_error error = {.status = SP_OK};
    if (rig->kind == IN_MEMORY) {
        rig->log = sim_log_memory_open(rig->store);
    } else {
        rig->options.fs = rig_mount(rig, false);
        if (rig_open_local(rig, &rig->log, &error) != SP_OK) {
            fail_msg("open: %s", error.text);
        }
    }
    rig->recovered_block = 0;
    rig->recovered_count = 0;
    if (rig->log->ops->recover(rig->log, on_recovered, rig, &error) != SP_OK) {
        fail_msg("recover: %s", error.text);
    }
    struct sp_log_progress progress;
    rig->log->ops->poll(rig->log, &progress);
    assert_int_equal(progress.state, SP_OK);
    assert_int_equal(progress.head_block, progress.durable_block);
    assert_true(progress.head_block >= rig->model.durable_block);
    assert_true(progress.head_block <= rig->model.block_count);
    if (rig->recovered_block != 0) {
        assert_int_equal(rig->recovered_block, progress.head_block);
    }
    sim_model_settle(&rig->model, progress.head_block);
    rig->log->ops->describe(rig->log, &rig->description);
}

void rig_stop(struct rig *rig) {
    rig->log->ops->close(rig->log);
    rig->log = NULL;
    if (rig->kind != IN_MEMORY) {
        rig->options.fs->ops->destroy(rig->options.fs);
        rig->options.fs = NULL;
    }
}

void rig_restart(struct rig *rig) {
    rig_stop(rig);
    rig_start(rig);
}

static void on_disk(struct rig *rig) {
    (void)snprintf(rig->folder, sizeof(rig->folder), "%s/spoor-log-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(rig->folder));
    rig->options.clock = sp_clock_system();
}

static void on_sim(struct rig *rig) {
    rig->kind = ON_SIM;
    rig->virtual_clock = sim_clock_at(1000000);
    rig->disk = sim_disk_new(&(struct sim_disk_options){.seed = 7, .clock = &rig->virtual_clock});
    rig->options.clock = sim_clock_face(&rig->virtual_clock);
    rig->options.inline_jobs = true;
}

static struct rig *new_rig(void) {
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig->workload.prng = sp_prng_seed(42);
    rig->options = (struct sp_log_local_options){
        .create = true,
        .seal = true,
        .block_bytes_max = BLOCK_BYTES,
        .segment_bytes_min = 128 * KIB,
        .segment_bytes_max = 160 * KIB,
        .tail_bytes_max = 100 * KIB,
        .hooks = {.context = rig, .encode = encode_index, .sealed = on_sealed},
    };
    return rig;
}

int rig_set_up_threads(void **state) {
    struct rig *rig = new_rig();
    on_disk(rig);
    rig_start(rig);
    *state = rig;
    return 0;
}

int rig_set_up_inline(void **state) {
    struct rig *rig = new_rig();
    on_disk(rig);
    rig->options.inline_jobs = true;
    rig_start(rig);
    *state = rig;
    return 0;
}

int rig_set_up_sim(void **state) {
    struct rig *rig = new_rig();
    on_sim(rig);
    rig_start(rig);
    *state = rig;
    return 0;
}

int rig_set_up_sim_in_flight(void **state) {
    struct rig *rig = new_rig();
    on_sim(rig);
    rig->options.threaded_writes = true;
    rig_start(rig);
    *state = rig;
    return 0;
}

int rig_set_up_memory(void **state) {
    struct rig *rig = new_rig();
    rig->kind = IN_MEMORY;
    rig->store = sim_log_store_new(
        &(struct sim_log_store_options){.seed = 3, .block_bytes_max = BLOCK_BYTES});
    rig_start(rig);
    *state = rig;
    return 0;
}

static void remove_tree(const char *folder) {
    char path[512];
    DIR *open_folder = opendir(folder);
    assert_non_null(open_folder);
    for (const struct dirent *entry; (entry = readdir(open_folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
            if (unlink(path) != 0) {
                remove_tree(path);
            }
        }
    }
    (void)closedir(open_folder);
    assert_int_equal(rmdir(folder), 0);
}

int rig_tear_down(void **state) {
    struct rig *rig = *state;
    if (rig->log != NULL) {
        rig_stop(rig);
    }
    if (rig->kind == IN_MEMORY) {
        sim_log_store_free(rig->store);
    } else if (rig->kind == ON_SIM) {
        sim_disk_free(rig->disk);
    } else {
        remove_tree(rig->folder);
    }
    sim_model_fini(&rig->model);
    free(rig);
    return 0;
}

/* ---- shorthand ---- */

static void pass_time(struct rig *rig) {
    if (rig->kind == ON_SIM) {
        sim_clock_advance_ns(&rig->virtual_clock, 20000000);
    } else if (rig->kind == ON_DISK) {
        (void)usleep(2000);
    }
}

void rig_wait_until_ready(struct rig *rig) {
    struct sp_error error = {.status = SP_OK};
    sp_status status;
    while ((status = rig->log->ops->ready(rig->log, &error)) == SP_BUSY) {
        rig->log->ops->wait(rig->log, 100);
        (void)rig_progress(rig);
    }
    if (status != SP_OK) {
        fail_msg("ready: %s: %s", sp_status_name(status), error.text);
    }
}

void rig_wait_until_durable(struct rig *rig) {
    struct sp_log_progress progress = rig_progress(rig);
    while (progress.durable_block < progress.head_block && progress.state == SP_OK) {
        rig->log->ops->wait(rig->log, 100);
        progress = rig_progress(rig);
    }
    assert_int_equal(progress.state, SP_OK);
    assert_int_equal(progress.head_block, rig->model.block_count);
}

sp_status rig_append_body(struct rig *rig, uint64_t head, sp_str body, struct sp_blob *blob) {
    struct sim_model *model = &rig->model;
    uint64_t first = model->event_count + 1;
    sim_model_append(model, body, first, model->durable_block);
    struct sp_log_block block = {
        .blob = blob,
        .first_position = first,
        .event_count = (uint32_t)(model->event_count + 1 - first),
        .record_count = 1,
        .body_bytes = (uint32_t)body.len,
        .recorded_us = rig->workload.recorded_us,
    };
    block.record_count += block.event_count;
    sp_status status = rig->log->ops->append(rig->log, head, &block, NULL);
    if (status == SP_CONFLICT || status == SP_FAILED) {
        uint64_t durable = model->durable_block;
        sim_model_settle(model, model->block_count - 1);
        model->durable_block = durable;
    }
    return status;
}

/* Appends a random block of at most so many bytes, expecting this head. */
sp_status rig_append_at(struct rig *rig, uint64_t head, size_t size_max) {
    struct sp_blob *blob = sp_log_block_new(size_max);
    assert_non_null(blob);
    struct sim_block made;
    sim_workload_block(&rig->workload, rig->model.event_count + 1, 1000000, sp_log_block_body(blob),
                       size_max, &made);
    sp_status status =
        rig_append_body(rig, head, sp_str_of(sp_log_block_body(blob), made.len), blob);
    sp_blob_unref(blob);
    return status;
}

void rig_append(struct rig *rig, size_t size_max) {
    const struct sim_model *model = &rig->model;
    rig_wait_until_ready(rig);
    while (model->block_count - model->durable_block >= rig->description.blocks_in_flight_max) {
        rig->log->ops->wait(rig->log, 100);
        assert_int_equal(rig_progress(rig).state, SP_OK);
    }
    assert_int_equal(rig_append_at(rig, model->block_count, size_max), SP_OK);
}

/* Appends so many blocks, and gives the log time to seal on the way. */
void rig_fill(struct rig *rig, int count, size_t size_max) {
    for (int i = 0; i < count; i++) {
        rig_append(rig, size_max);
        pass_time(rig);
        rig->log->ops->upkeep(rig->log);
    }
    rig_wait_until_durable(rig);
}

static bool is_sealing(struct rig *rig) {
    struct sp_log_local_stats stats = {.segments_waiting = 0};
    if (rig->kind != IN_MEMORY) {
        sp_log_local_stats(rig->log, &stats);
    }
    return stats.segments_waiting > 0;
}

/* Lets the log seal what is full, and a little longer. */
void rig_settle_down(struct rig *rig) {
    for (int i = 0, rest = 0; rest < 10 && i < 5000; i++) {
        pass_time(rig);
        rig->log->ops->upkeep(rig->log);
        (void)rig_progress(rig);
        rest += is_sealing(rig) ? 0 : 1;
    }
    assert_false(is_sealing(rig));
}

struct sp_log_reader *rig_new_reader(struct rig *rig) {
    struct sp_log_reader *reader = NULL;
    assert_int_equal(rig->log->ops->reader_new(rig->log, &reader, NULL), SP_OK);
    return reader;
}

/* Reads on to the end, comparing; returns the record that comes next. */
uint64_t rig_read_to_end(struct rig *rig, struct sp_log_reader *reader, uint64_t record) {
    struct sp_log_chunk chunk;
    struct sp_error error = {.status = SP_OK};
    sp_status status;
    while ((status = reader->ops->next(reader, &chunk, &error)) == SP_OK) {
        const char *problem = sim_model_compare(&rig->model, &chunk, &record);
        if (problem != NULL) {
            fail_msg("events from %llu: %s", (unsigned long long)chunk.first_position, problem);
        }
    }
    if (status != SP_END) {
        fail_msg("next: %s: %s", sp_status_name(status), error.text);
    }
    return record;
}

/* Reads all there is: from the first event kept to the last record appended. */
void rig_check_all(struct rig *rig) {
    struct sp_log_reader *reader = rig_new_reader(rig);
    assert_int_equal(rig_read_to_end(rig, reader, SIM_MODEL_UNKNOWN), rig->model.record_count);
    reader->ops->free(reader);
}

void rig_expect_seek(struct rig *rig, struct sp_log_reader *reader, uint64_t position) {
    struct sp_log_chunk chunk;
    struct sp_error error = {.status = SP_OK};
    sp_status status = reader->ops->seek(reader, position, &chunk, &error);
    if (status != SP_OK) {
        fail_msg("seek %llu: %s: %s", (unsigned long long)position, sp_status_name(status),
                 error.text);
    }
    uint64_t record = SIM_MODEL_UNKNOWN;
    assert_true(position >= chunk.first_position &&
                position - chunk.first_position < chunk.event_count);
    assert_null(sim_model_compare(&rig->model, &chunk, &record));
}

sp_status rig_seek_status(struct sp_log_reader *reader, uint64_t position) {
    struct sp_log_chunk chunk;
    return reader->ops->seek(reader, position, &chunk, NULL);
}

/* Asks for every leaf, and compares the root with one computed from them. */
void rig_check_tree(struct rig *rig) {
    struct sp_log_reader *reader = rig_new_reader(rig);
    struct sp_log_chunk chunk;
    while (reader->ops->next(reader, &chunk, NULL) == SP_OK) {
        struct sp_block_walk walk = sp_block_walk_of(chunk.body, chunk.first_position);
        struct sp_record record;
        while (sp_block_walk_next(&walk, &record) == SP_OK) {
            uint8_t leaf[SP_HASH_BYTES];
            if (record.kind != SP_RECORD_EVENT) {
                continue;
            }
            assert_int_equal(rig->log->ops->leaf(rig->log, &record, leaf, NULL), SP_OK);
            assert_true(sim_model_leaf(&rig->model, record.position, leaf));
        }
    }
    reader->ops->free(reader);
    struct sp_log_tree tree;
    uint8_t root[SP_HASH_BYTES];
    assert_int_equal(rig->log->ops->tree(rig->log, true, &tree, NULL), SP_OK);
    assert_int_equal(tree.size, rig->model.event_count);
    assert_true(sim_model_root(&rig->model, tree.size, root));
    assert_memory_equal(root, tree.root, SP_HASH_BYTES);
}

void rig_assert_bounds(struct rig *rig, uint64_t first, uint64_t last) {
    uint64_t found_first = 77;
    uint64_t found_last = 77;
    rig->log->ops->bounds(rig->log, &found_first, &found_last);
    assert_int_equal(found_first, first);
    assert_int_equal(found_last, last);
}
