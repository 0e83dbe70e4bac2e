/*
 * One set of cases over every log behind log/log.h: the local driver on the real file system, with
 * threads and without, on the simulated disk, with writes in flight and without, and the log in
 * memory. The oracle is sim/model.h: what was appended, as it was appended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log/local.h"
#include "sim/disk.h"
#include "sim/log_memory.h"
#include "sim/model.h"
#include "sim/workload.h"

enum { KIB = 1 << 10, BLOCK_BYTES = 64 * KIB, BODY_BYTES = BLOCK_BYTES - SP_BLOCK_HEADER_BYTES };

enum kind { ON_DISK, ON_SIM, IN_MEMORY };

struct rig {
    enum kind kind;
    char folder[64];
    struct sim_clock virtual_clock;
    struct sim_disk *disk;
    struct sim_log_store *store;
    struct sp_log_local_options options;
    struct sp_log *log;
    struct sp_log_description description;
    struct sim_model model;
    struct sim_workload workload;
    uint64_t recovered_block; /* last one that recovery showed */
    uint32_t recovered_count;
    uint32_t sealed_count;
};

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

static sp_status open_local(struct rig *rig, struct sp_log **ret_log, struct sp_error *error) {
    struct sp_log_opened opened;
    return sp_log_local_open(&rig->options, ret_log, &opened, error);
}

static struct sp_fs *mount(struct rig *rig, bool read_only) {
    struct sp_fs *fs = NULL;
    if (rig->kind == ON_SIM) {
        return sim_disk_process(rig->disk, read_only);
    }
    assert_int_equal(sp_fs_posix_open(rig->folder, true, read_only, &fs, NULL), SP_OK);
    return fs;
}

static struct sp_log_progress progress_of(struct rig *rig) {
    struct sp_log_progress progress;
    rig->log->ops->poll(rig->log, &progress);
    assert_true(progress.durable_block >= rig->model.durable_block);
    assert_true(progress.durable_block <= progress.head_block);
    assert_int_equal(progress.durable_position,
                     sim_model_position_at(&rig->model, progress.durable_block));
    rig->model.durable_block = progress.durable_block;
    return progress;
}

static void start(struct rig *rig) {
    struct sp_error error = {.status = SP_OK};
    if (rig->kind == IN_MEMORY) {
        rig->log = sim_log_memory_open(rig->store);
    } else {
        rig->options.fs = mount(rig, false);
        if (open_local(rig, &rig->log, &error) != SP_OK) {
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

static void stop(struct rig *rig) {
    rig->log->ops->close(rig->log);
    rig->log = NULL;
    if (rig->kind != IN_MEMORY) {
        rig->options.fs->ops->destroy(rig->options.fs);
        rig->options.fs = NULL;
    }
}

static void restart(struct rig *rig) {
    stop(rig);
    start(rig);
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

static int set_up_threads(void **state) {
    struct rig *rig = new_rig();
    on_disk(rig);
    start(rig);
    *state = rig;
    return 0;
}

static int set_up_inline(void **state) {
    struct rig *rig = new_rig();
    on_disk(rig);
    rig->options.inline_jobs = true;
    start(rig);
    *state = rig;
    return 0;
}

static int set_up_sim(void **state) {
    struct rig *rig = new_rig();
    on_sim(rig);
    start(rig);
    *state = rig;
    return 0;
}

static int set_up_sim_in_flight(void **state) {
    struct rig *rig = new_rig();
    on_sim(rig);
    rig->options.threaded_writes = true;
    start(rig);
    *state = rig;
    return 0;
}

static int set_up_memory(void **state) {
    struct rig *rig = new_rig();
    rig->kind = IN_MEMORY;
    rig->store = sim_log_store_new(
        &(struct sim_log_store_options){.seed = 3, .block_bytes_max = BLOCK_BYTES});
    start(rig);
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

static int tear_down(void **state) {
    struct rig *rig = *state;
    if (rig->log != NULL) {
        stop(rig);
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

static void wait_until_ready(struct rig *rig) {
    struct sp_error error = {.status = SP_OK};
    sp_status status;
    while ((status = rig->log->ops->ready(rig->log, &error)) == SP_BUSY) {
        rig->log->ops->wait(rig->log, 100);
        (void)progress_of(rig);
    }
    if (status != SP_OK) {
        fail_msg("ready: %s: %s", sp_status_name(status), error.text);
    }
}

static void wait_until_durable(struct rig *rig) {
    struct sp_log_progress progress = progress_of(rig);
    while (progress.durable_block < progress.head_block && progress.state == SP_OK) {
        rig->log->ops->wait(rig->log, 100);
        progress = progress_of(rig);
    }
    assert_int_equal(progress.state, SP_OK);
    assert_int_equal(progress.head_block, rig->model.block_count);
}

static sp_status append_body(struct rig *rig, uint64_t head, sp_str body, struct sp_blob *blob) {
    struct sim_model *model = &rig->model;
    uint64_t first = model->event_count + 1;
    sim_model_append(model, body, first);
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
static sp_status append_at(struct rig *rig, uint64_t head, size_t size_max) {
    struct sp_blob *blob = sp_log_block_new(size_max);
    assert_non_null(blob);
    struct sim_block made;
    sim_workload_block(&rig->workload, rig->model.event_count + 1, 1000000, sp_log_block_body(blob),
                       size_max, &made);
    sp_status status = append_body(rig, head, sp_str_of(sp_log_block_body(blob), made.len), blob);
    sp_blob_unref(blob);
    return status;
}

static void append(struct rig *rig, size_t size_max) {
    const struct sim_model *model = &rig->model;
    wait_until_ready(rig);
    while (model->block_count - model->durable_block >= rig->description.blocks_in_flight_max) {
        rig->log->ops->wait(rig->log, 100);
        assert_int_equal(progress_of(rig).state, SP_OK);
    }
    assert_int_equal(append_at(rig, model->block_count, size_max), SP_OK);
}

/* Appends so many blocks, and gives the log time to seal on the way. */
static void fill(struct rig *rig, int count, size_t size_max) {
    for (int i = 0; i < count; i++) {
        append(rig, size_max);
        pass_time(rig);
        rig->log->ops->upkeep(rig->log);
    }
    wait_until_durable(rig);
}

static bool is_sealing(struct rig *rig) {
    struct sp_log_local_stats stats = {.segments_waiting = 0};
    if (rig->kind != IN_MEMORY) {
        sp_log_local_stats(rig->log, &stats);
    }
    return stats.segments_waiting > 0;
}

/* Lets the log seal what is full, and a little longer. */
static void settle_down(struct rig *rig) {
    for (int i = 0, rest = 0; rest < 10 && i < 5000; i++) {
        pass_time(rig);
        rig->log->ops->upkeep(rig->log);
        (void)progress_of(rig);
        rest += is_sealing(rig) ? 0 : 1;
    }
    assert_false(is_sealing(rig));
}

static struct sp_log_reader *new_reader(struct rig *rig) {
    struct sp_log_reader *reader = NULL;
    assert_int_equal(rig->log->ops->reader_new(rig->log, &reader, NULL), SP_OK);
    return reader;
}

/* Reads on to the end, comparing; returns the record that comes next. */
static uint64_t read_to_end(struct rig *rig, struct sp_log_reader *reader, uint64_t record) {
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
static void check_all(struct rig *rig) {
    struct sp_log_reader *reader = new_reader(rig);
    assert_int_equal(read_to_end(rig, reader, SIM_MODEL_UNKNOWN), rig->model.record_count);
    reader->ops->free(reader);
}

static void expect_seek(struct rig *rig, struct sp_log_reader *reader, uint64_t position) {
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

static sp_status seek_status(struct sp_log_reader *reader, uint64_t position) {
    struct sp_log_chunk chunk;
    return reader->ops->seek(reader, position, &chunk, NULL);
}

/* Asks for every leaf, and compares the root with one computed from them. */
static void check_tree(struct rig *rig) {
    struct sp_log_reader *reader = new_reader(rig);
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

static void assert_bounds(struct rig *rig, uint64_t first, uint64_t last) {
    uint64_t found_first = 77;
    uint64_t found_last = 77;
    rig->log->ops->bounds(rig->log, &found_first, &found_last);
    assert_int_equal(found_first, first);
    assert_int_equal(found_last, last);
}

/* ---- cases ---- */

static void test_empty_log(void **state) {
    struct rig *rig = *state;
    for (int i = 0; i < 2; i++) {
        assert_bounds(rig, 0, 0);
        struct sp_log_reader *reader = new_reader(rig);
        assert_int_equal(seek_status(reader, 0), SP_END);
        assert_int_equal(seek_status(reader, 1), SP_END);
        struct sp_log_chunk chunk;
        assert_int_equal(reader->ops->next(reader, &chunk, NULL), SP_END);
        reader->ops->free(reader);
        check_tree(rig);
        struct sp_buf state_bytes;
        uint64_t position = 0;
        sp_buf_init(&state_bytes, 100);
        assert_int_equal(rig->log->ops->snapshot_load(rig->log, &state_bytes, &position, NULL),
                         SP_NOT_FOUND);
        sp_buf_fini(&state_bytes);
        struct sp_log_progress progress = progress_of(rig);
        assert_int_equal(progress.head_block, 0);
        assert_int_equal(progress.durable_position, 0);
        restart(rig);
        assert_int_equal(rig->recovered_count, 0);
    }
}

static void test_blocks_become_durable_in_order(void **state) {
    struct rig *rig = *state;
    for (int i = 0; i < 40; i++) {
        append(rig, 5000);
        struct sp_log_progress progress = progress_of(rig);
        assert_int_equal(progress.head_block, rig->model.block_count);
    }
    wait_until_durable(rig);
    assert_bounds(rig, 1, rig->model.event_count);
    check_all(rig);
}

static void test_another_head_is_a_conflict(void **state) {
    struct rig *rig = *state;
    wait_until_ready(rig);
    assert_int_equal(append_at(rig, 1, 5000), SP_CONFLICT);
    append(rig, 5000);
    wait_until_durable(rig);
    wait_until_ready(rig);
    assert_int_equal(append_at(rig, 0, 5000), SP_CONFLICT);
    assert_int_equal(append_at(rig, 2, 5000), SP_CONFLICT);
    append(rig, 5000);
    wait_until_durable(rig);
    check_all(rig);
}

static void test_reader_goes_on_where_it_was(void **state) {
    struct rig *rig = *state;
    struct sp_log_reader *reader = new_reader(rig);
    uint64_t record = SIM_MODEL_UNKNOWN;
    for (int i = 0; i < 12; i++) {
        fill(rig, 10, 9000);
        record = read_to_end(rig, reader, record);
        assert_int_equal(record, rig->model.record_count);
    }
    reader->ops->free(reader);
}

static void test_reader_finds_every_event(void **state) {
    struct rig *rig = *state;
    fill(rig, 100, 9000);
    settle_down(rig);
    struct sp_log_reader *reader = new_reader(rig);
    uint64_t last = rig->model.event_count;
    for (uint64_t position = 1; position <= last; position++) {
        expect_seek(rig, reader, position);
    }
    for (uint64_t position = last; position > 0; position -= position < 7 ? position : 7) {
        expect_seek(rig, reader, position);
    }
    assert_int_equal(seek_status(reader, last + 1), SP_END);
    assert_int_equal(seek_status(reader, UINT64_MAX), SP_END);
    assert_int_equal(seek_status(reader, 0), SP_END);
    expect_seek(rig, reader, last / 2);
    reader->ops->free(reader);
}

static void test_reader_is_shown_only_what_is_durable(void **state) {
    struct rig *rig = *state;
    append(rig, 5000);
    wait_until_durable(rig);
    uint64_t durable = rig->model.event_count;
    struct sp_log_reader *reader = new_reader(rig);
    uint64_t record = read_to_end(rig, reader, SIM_MODEL_UNKNOWN);
    append(rig, BODY_BYTES);
    append(rig, BODY_BYTES);
    struct sp_log_chunk chunk;
    /* Whatever is shown now, a poll says that it is durable. */
    sp_status status = reader->ops->next(reader, &chunk, NULL);
    assert_true(status == SP_END || status == SP_OK);
    if (status == SP_OK) {
        assert_null(sim_model_compare(&rig->model, &chunk, &record));
        assert_true(progress_of(rig).durable_position >=
                    chunk.first_position + chunk.event_count - 1);
    } else {
        assert_int_equal(seek_status(reader, durable + 1), SP_END);
    }
    wait_until_durable(rig);
    assert_int_equal(read_to_end(rig, reader, record), rig->model.record_count);
    reader->ops->free(reader);
}

static void test_reopened_it_is_the_same(void **state) {
    struct rig *rig = *state;
    for (int i = 0; i < 6; i++) {
        fill(rig, 25, 9000);
        restart(rig);
        assert_int_equal(rig->model.durable_block, (uint64_t)(i + 1) * 25);
        check_all(rig);
        check_tree(rig);
    }
    if (rig->kind != IN_MEMORY) {
        assert_true(rig->sealed_count > 0);
        assert_true(rig->recovered_count < rig->model.block_count);
    }
}

static void test_closing_waits_for_what_is_in_flight(void **state) {
    struct rig *rig = *state;
    fill(rig, 5, 5000);
    wait_until_ready(rig);
    append(rig, BODY_BYTES);
    append(rig, BODY_BYTES);
    restart(rig);
    assert_int_equal(rig->model.block_count, 7);
    check_all(rig);
}

static void test_large_blocks(void **state) {
    struct rig *rig = *state;
    uint8_t *body = calloc(1, BODY_BYTES);
    assert_non_null(body);
    for (int i = 0; i < 9; i++) {
        /* One event that fills the block to the last byte; zeros look like nothing was written. */
        struct sp_event event = {.position = rig->model.event_count + 1,
                                 .version = 1,
                                 .recorded_us = 5,
                                 .has_data = true};
        for (int attr = 0; attr < SP_ATTR_CAUSATION; attr++) {
            event.attr[attr] = SP_STR("x");
        }
        uint8_t head[256];
        size_t fixed = sp_record_encode(&event, head);
        uint8_t *data = calloc(1, BODY_BYTES);
        assert_non_null(data);
        memset(data, i % 3 == 0 ? 0 : 'a' + i, BODY_BYTES);
        event.data = sp_str_of(data, BODY_BYTES - fixed - (size_t)i);
        struct sp_blob *blob = sp_log_block_new(BODY_BYTES);
        assert_non_null(blob);
        wait_until_ready(rig);
        size_t len = sp_record_encode(&event, sp_log_block_body(blob));
        wait_until_durable(rig);
        assert_int_equal(
            append_body(rig, rig->model.block_count, sp_str_of(sp_log_block_body(blob), len), blob),
            SP_OK);
        sp_blob_unref(blob);
        free(data);
    }
    free(body);
    wait_until_durable(rig);
    settle_down(rig);
    check_all(rig);
    check_tree(rig);
    restart(rig);
    check_all(rig);
}

static void test_tree_follows(void **state) {
    struct rig *rig = *state;
    for (int i = 0; i < 5; i++) {
        fill(rig, 20, 9000);
        struct sp_log_tree tree;
        assert_int_equal(rig->log->ops->tree(rig->log, false, &tree, NULL), SP_OK);
        assert_true(tree.size <= rig->model.event_count);
        check_tree(rig);
    }
    settle_down(rig);
    restart(rig);
    check_tree(rig); /* the leaves are the same, read from sealed files */
}

static void store(struct rig *rig, uint64_t position, const char *text) {
    assert_int_equal(rig->log->ops->snapshot_store(rig->log, position, sp_str_from(text), NULL),
                     SP_OK);
}

static void expect_snapshot(struct rig *rig, uint64_t position, const char *text) {
    struct sp_buf bytes;
    uint64_t found = 0;
    sp_buf_init(&bytes, 1000);
    assert_int_equal(rig->log->ops->snapshot_load(rig->log, &bytes, &found, NULL), SP_OK);
    assert_int_equal(found, position);
    assert_true(sp_str_eq(sp_buf_str(&bytes), sp_str_from(text)));
    sp_buf_fini(&bytes);
}

static void test_newest_snapshot_is_loaded(void **state) {
    struct rig *rig = *state;
    fill(rig, 20, 9000);
    assert_true(rig->model.event_count > 10);
    store(rig, 3, "three");
    expect_snapshot(rig, 3, "three");
    store(rig, 7, "seven");
    store(rig, 10, "");
    expect_snapshot(rig, 10, "");
    restart(rig);
    expect_snapshot(rig, 10, "");
    store(rig, 10, "ten again");
    expect_snapshot(rig, 10, "ten again");
    struct sp_buf small;
    uint64_t position = 0;
    sp_buf_init(&small, 4);
    assert_int_not_equal(rig->log->ops->snapshot_load(rig->log, &small, &position, NULL), SP_OK);
    sp_buf_fini(&small);
}

static void test_trimming(void **state) {
    struct rig *rig = *state;
    fill(rig, 160, 9000);
    settle_down(rig);
    uint64_t last = rig->model.event_count;
    struct sp_log_reader *behind = new_reader(rig);
    expect_seek(rig, behind, 1);
    assert_int_equal(rig->log->ops->trim(rig->log, last, NULL), SP_OK);
    assert_bounds(rig, 1, last); /* no snapshot: everything is still needed */
    store(rig, last / 2, "half");
    assert_int_equal(rig->log->ops->trim(rig->log, last, NULL), SP_OK);
    uint64_t first = 0;
    rig->log->ops->bounds(rig->log, &first, &last);
    assert_true(first > 1 && first <= last / 2 + 1);
    assert_int_equal(last, rig->model.event_count);
    struct sp_log_reader *reader = new_reader(rig);
    assert_int_equal(seek_status(reader, first - 1), SP_NOT_FOUND);
    assert_int_equal(seek_status(reader, 1), SP_NOT_FOUND);
    expect_seek(rig, reader, first);
    reader->ops->free(reader);
    struct sp_log_chunk chunk;
    sp_status status;
    while ((status = behind->ops->next(behind, &chunk, NULL)) == SP_OK) {
        assert_true(chunk.first_position < first);
    }
    assert_int_equal(status, SP_NOT_FOUND); /* it is told, not left at an end that is none */
    expect_seek(rig, behind, first);
    behind->ops->free(behind);
    check_all(rig);
    settle_down(rig);
    restart(rig);
    assert_bounds(rig, first, last);
    check_all(rig);
    fill(rig, 10, 9000);
    check_all(rig);
}

static void test_no_space_is_not_the_end(void **state) {
    struct rig *rig = *state;
    if (rig->kind == ON_DISK) {
        skip();
    }
    fill(rig, 4, 9000);
    if (rig->kind == IN_MEMORY) {
        sim_log_store_set_full(rig->store, true);
    } else {
        sim_disk_set_capacity(rig->disk, 1);
    }
    struct sp_error error = {.status = SP_OK};
    sp_status status;
    while ((status = rig->log->ops->ready(rig->log, &error)) == SP_OK) {
        assert_int_equal(append_at(rig, rig->model.block_count, BODY_BYTES), SP_OK);
        wait_until_durable(rig);
    }
    assert_int_equal(status, SP_NO_SPACE);
    assert_int_not_equal(error.text[0], '\0');
    assert_int_equal(rig->log->ops->snapshot_store(rig->log, 1, SP_STR("x"), NULL), SP_NO_SPACE);
    for (int i = 0; i < 5; i++) { /* it asks for no more than before, however often it tries */
        sim_clock_advance_ns(&rig->virtual_clock, UINT64_C(2000000000));
        rig->log->ops->upkeep(rig->log);
        assert_int_equal(rig->log->ops->ready(rig->log, NULL), SP_NO_SPACE);
    }
    assert_int_equal(progress_of(rig).state, SP_OK);
    check_all(rig);
    restart(rig); /* it opens, and can be read */
    check_all(rig);
    if (rig->kind == IN_MEMORY) {
        sim_log_store_set_full(rig->store, false);
    } else {
        sim_disk_set_capacity(rig->disk, 0);
        sim_clock_advance_ns(&rig->virtual_clock, UINT64_C(2000000000));
    }
    fill(rig, 20, 9000);
    check_all(rig);
}

static void test_failed_append_ends_the_log(void **state) {
    struct rig *rig = *state;
    if (rig->kind == ON_DISK) {
        skip();
    }
    fill(rig, 10, 5000);
    if (rig->kind == IN_MEMORY) {
        sim_log_store_fail_next(rig->store, SP_IO);
    } else {
        sim_disk_arm(rig->disk, &(struct sim_fault){.kind = SIM_FAULT_EIO,
                                                    .op = SIM_OP_WRITE_DURABLE,
                                                    .countdown = 1,
                                                    .repeat = 1});
    }
    wait_until_ready(rig);
    assert_int_equal(append_at(rig, 10, 5000), SP_OK);
    struct sp_log_progress progress = progress_of(rig);
    for (int i = 0; i < 10 && progress.state == SP_OK; i++) {
        rig->log->ops->wait(rig->log, 10);
        progress = progress_of(rig);
    }
    assert_int_equal(progress.state, SP_IO);
    assert_int_equal(progress.durable_block, 10);
    assert_int_equal(rig->log->ops->ready(rig->log, NULL), SP_FAILED);
    assert_int_equal(append_at(rig, 11, 5000), SP_FAILED);
    assert_int_equal(progress_of(rig).durable_block, 10);
    struct sp_log_reader *reader = new_reader(rig);
    expect_seek(rig, reader, sim_model_position_at(&rig->model, 10));
    reader->ops->free(reader);
    restart(rig); /* it may be there or not: nobody was told */
    assert_true(rig->model.block_count == 10 || rig->model.block_count == 11);
    fill(rig, 10, 5000);
    check_all(rig);
    check_tree(rig);
}

static sp_status refuse_block(void *context, uint64_t segment_id, const struct sp_log_chunk *chunk,
                              struct sp_error *error) {
    int *count = context;
    (void)segment_id;
    (void)chunk;
    (*count)++;
    return sp_error_set(error, SP_LIMIT, "enough");
}

static void test_recovery_ends_with_an_error(void **state) {
    struct rig *rig = *state;
    fill(rig, 3, 5000);
    stop(rig);
    if (rig->kind == IN_MEMORY) {
        rig->log = sim_log_memory_open(rig->store);
    } else {
        rig->options.fs = mount(rig, false);
        assert_int_equal(open_local(rig, &rig->log, NULL), SP_OK);
    }
    int count = 0;
    struct sp_error error = {.status = SP_OK};
    assert_int_equal(rig->log->ops->recover(rig->log, refuse_block, &count, &error), SP_LIMIT);
    assert_int_equal(count, 1);
    assert_string_equal(error.text, "enough");
    assert_int_equal(rig->log->ops->ready(rig->log, NULL), SP_FAILED);
    restart(rig);
    check_all(rig);
}

static void test_second_opener(void **state) {
    struct rig *rig = *state;
    fill(rig, 5, 5000);
    if (rig->kind != IN_MEMORY) {
        struct sp_fs *fs = rig->options.fs;
        struct sp_log *second = NULL;
        rig->options.fs = mount(rig, false);
        assert_int_equal(open_local(rig, &second, NULL), SP_BUSY);
        rig->options.fs->ops->destroy(rig->options.fs);
        rig->options.fs = fs;
        fill(rig, 5, 5000);
        check_all(rig);
        return;
    }
    /* The one who opened last has it; the other learns of it by its next append. */
    struct sp_log *first = rig->log;
    start(rig);
    fill(rig, 5, 5000);
    struct sp_log *second = rig->log;
    uint64_t durable = rig->model.durable_block;
    rig->log = first;
    struct sp_blob *blob = sp_log_block_new(4096);
    assert_non_null(blob);
    struct sp_log_block block = {.blob = blob,
                                 .first_position = sim_model_position_at(&rig->model, 5) + 1};
    assert_int_equal(first->ops->append(first, 5, &block, NULL), SP_OK);
    struct sp_log_progress progress = {.state = SP_OK};
    for (int i = 0; i < 10 && progress.state == SP_OK; i++) {
        first->ops->poll(first, &progress);
    }
    assert_int_equal(progress.state, SP_FENCED);
    assert_int_equal(progress.durable_block, 5);
    assert_int_equal(first->ops->ready(first, NULL), SP_FAILED);
    sp_blob_unref(blob);
    first->ops->close(first);
    rig->log = second;
    assert_int_equal(rig->model.durable_block, durable);
    fill(rig, 5, 5000);
    check_all(rig);
}

static sp_status see_block(void *context, uint64_t segment_id, const struct sp_log_chunk *chunk,
                           struct sp_error *error) {
    struct rig *rig = context;
    (void)segment_id;
    (void)error;
    uint64_t record = SIM_MODEL_UNKNOWN;
    assert_null(sim_model_compare(&rig->model, chunk, &record));
    assert_true(chunk->first_position + chunk->event_count - 1 <=
                sim_model_position_at(&rig->model, rig->model.durable_block));
    return SP_OK;
}

/* Looks at a folder without changing it, beside a writer or after it. */
static uint64_t look(struct rig *rig) {
    struct sp_log_local_options options = rig->options;
    struct sp_log *log = NULL;
    struct sp_log_reader *reader = NULL;
    options.read_only = true;
    options.fs = mount(rig, true);
    assert_int_equal(sp_log_local_open(&options, &log, NULL, NULL), SP_OK);
    assert_int_equal(log->ops->recover(log, see_block, rig, NULL), SP_OK);
    assert_int_equal(log->ops->ready(log, NULL), SP_DENIED);
    assert_int_equal(log->ops->trim(log, 1, NULL), SP_DENIED);
    uint64_t first = 0;
    uint64_t last = 0;
    log->ops->bounds(log, &first, &last);
    assert_int_equal(log->ops->reader_new(log, &reader, NULL), SP_OK);
    (void)read_to_end(rig, reader, SIM_MODEL_UNKNOWN);
    for (uint64_t position = 1; position <= last; position += 5) {
        expect_seek(rig, reader, position);
    }
    assert_int_equal(seek_status(reader, last + 1), SP_END);
    reader->ops->free(reader);
    struct sp_log_tree tree;
    assert_int_equal(log->ops->tree(log, true, &tree, NULL), SP_OK);
    assert_int_equal(tree.size, last);
    log->ops->close(log);
    options.fs->ops->destroy(options.fs);
    return last;
}

static void test_read_only(void **state) {
    struct rig *rig = *state;
    if (rig->kind == IN_MEMORY) {
        skip();
    }
    assert_int_equal(look(rig), 0);
    for (int i = 0; i < 4; i++) {
        fill(rig, 30, 9000);
        settle_down(rig);
        /* The last blocks may be ones that no other vouches for yet. */
        uint64_t sure = rig->model.block_count - rig->description.blocks_in_flight_max;
        assert_true(look(rig) >= sim_model_position_at(&rig->model, sure));
    }
    stop(rig);
    assert_int_equal(look(rig), rig->model.event_count);
    start(rig);
    check_all(rig);
}

#define CASE(test)                                                                                 \
    { .name = #test, .test_func = (test), .teardown_func = tear_down }

static const struct CMUnitTest cases[] = {
    CASE(test_empty_log),
    CASE(test_blocks_become_durable_in_order),
    CASE(test_another_head_is_a_conflict),
    CASE(test_reader_goes_on_where_it_was),
    CASE(test_reader_finds_every_event),
    CASE(test_reader_is_shown_only_what_is_durable),
    CASE(test_reopened_it_is_the_same),
    CASE(test_closing_waits_for_what_is_in_flight),
    CASE(test_large_blocks),
    CASE(test_tree_follows),
    CASE(test_newest_snapshot_is_loaded),
    CASE(test_trimming),
    CASE(test_no_space_is_not_the_end),
    CASE(test_failed_append_ends_the_log),
    CASE(test_recovery_ends_with_an_error),
    CASE(test_second_opener),
    CASE(test_read_only),
};

/* Runs all cases over one log, whose name each case's name then ends with. */
static int run(const char *where, CMFixtureFunction set_up) {
    enum { COUNT = sizeof(cases) / sizeof(cases[0]) };
    struct CMUnitTest tests[COUNT];
    char names[COUNT][100];
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%s (%s)", cases[i].name, where);
        tests[i] = cases[i];
        tests[i].name = names[i];
        tests[i].setup_func = set_up;
    }
    return cmocka_run_group_tests_name(where, tests, NULL, NULL);
}

int main(void) {
    return run("local, threads", set_up_threads) + run("local, inline", set_up_inline) +
           run("local, simulated disk", set_up_sim) +
           run("local, simulated disk, writes in flight", set_up_sim_in_flight) +
           run("memory", set_up_memory);
}
