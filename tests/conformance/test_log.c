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

#include <stdio.h>
#include <stdlib.h>

#include "log_rig.h"

/* ---- cases ---- */

static void test_empty_log(void **state) {
    struct rig *rig = *state;
    for (int i = 0; i < 2; i++) {
        rig_assert_bounds(rig, 0, 0);
        struct sp_log_reader *reader = rig_new_reader(rig);
        assert_int_equal(rig_seek_status(reader, 0), SP_END);
        assert_int_equal(rig_seek_status(reader, 1), SP_END);
        struct sp_log_chunk chunk;
        assert_int_equal(reader->ops->next(reader, &chunk, NULL), SP_END);
        reader->ops->free(reader);
        rig_check_tree(rig);
        struct sp_buf state_bytes;
        uint64_t position = 0;
        sp_buf_init(&state_bytes, 100);
        assert_int_equal(rig->log->ops->snapshot_load(rig->log, &state_bytes, &position, NULL),
                         SP_NOT_FOUND);
        sp_buf_fini(&state_bytes);
        struct sp_log_progress progress = rig_progress(rig);
        assert_int_equal(progress.head_block, 0);
        assert_int_equal(progress.durable_position, 0);
        rig_restart(rig);
        assert_int_equal(rig->recovered_count, 0);
    }
}

static void test_blocks_become_durable_in_order(void **state) {
    struct rig *rig = *state;
    for (int i = 0; i < 40; i++) {
        rig_append(rig, 5000);
        struct sp_log_progress progress = rig_progress(rig);
        assert_int_equal(progress.head_block, rig->model.block_count);
    }
    rig_wait_until_durable(rig);
    rig_assert_bounds(rig, 1, rig->model.event_count);
    rig_check_all(rig);
}

static void test_another_head_is_a_conflict(void **state) {
    struct rig *rig = *state;
    rig_wait_until_ready(rig);
    assert_int_equal(rig_append_at(rig, 1, 5000), SP_CONFLICT);
    rig_append(rig, 5000);
    rig_wait_until_durable(rig);
    rig_wait_until_ready(rig);
    assert_int_equal(rig_append_at(rig, 0, 5000), SP_CONFLICT);
    assert_int_equal(rig_append_at(rig, 2, 5000), SP_CONFLICT);
    rig_append(rig, 5000);
    rig_wait_until_durable(rig);
    rig_check_all(rig);
}

static void test_reader_goes_on_where_it_was(void **state) {
    struct rig *rig = *state;
    struct sp_log_reader *reader = rig_new_reader(rig);
    uint64_t record = SIM_MODEL_UNKNOWN;
    for (int i = 0; i < 12; i++) {
        rig_fill(rig, 10, 9000);
        record = rig_read_to_end(rig, reader, record);
        assert_int_equal(record, rig->model.record_count);
    }
    reader->ops->free(reader);
}

static void test_reader_finds_every_event(void **state) {
    struct rig *rig = *state;
    rig_fill(rig, 100, 9000);
    rig_settle_down(rig);
    struct sp_log_reader *reader = rig_new_reader(rig);
    uint64_t last = rig->model.event_count;
    for (uint64_t position = 1; position <= last; position++) {
        rig_expect_seek(rig, reader, position);
    }
    for (uint64_t position = last; position > 0; position -= position < 7 ? position : 7) {
        rig_expect_seek(rig, reader, position);
    }
    assert_int_equal(rig_seek_status(reader, last + 1), SP_END);
    assert_int_equal(rig_seek_status(reader, UINT64_MAX), SP_END);
    assert_int_equal(rig_seek_status(reader, 0), SP_END);
    rig_expect_seek(rig, reader, last / 2);
    reader->ops->free(reader);
}

static void test_reader_is_shown_only_what_is_durable(void **state) {
    struct rig *rig = *state;
    rig_append(rig, 5000);
    rig_wait_until_durable(rig);
    uint64_t durable = rig->model.event_count;
    struct sp_log_reader *reader = rig_new_reader(rig);
    uint64_t record = rig_read_to_end(rig, reader, SIM_MODEL_UNKNOWN);
    rig_append(rig, BODY_BYTES);
    rig_append(rig, BODY_BYTES);
    struct sp_log_chunk chunk;
    /* Whatever is shown now, a poll says that it is durable. */
    sp_status status = reader->ops->next(reader, &chunk, NULL);
    assert_true(status == SP_END || status == SP_OK);
    if (status == SP_OK) {
        assert_null(sim_model_compare(&rig->model, &chunk, &record));
        assert_true(rig_progress(rig).durable_position >=
                    chunk.first_position + chunk.event_count - 1);
    } else {
        assert_int_equal(rig_seek_status(reader, durable + 1), SP_END);
    }
    rig_wait_until_durable(rig);
    assert_int_equal(rig_read_to_end(rig, reader, record), rig->model.record_count);
    reader->ops->free(reader);
}

static void test_reopened_it_is_the_same(void **state) {
    struct rig *rig = *state;
    for (int i = 0; i < 6; i++) {
        rig_fill(rig, 25, 9000);
        rig_settle_down(rig); /* sealing waits for a pause */
        rig_restart(rig);
        assert_int_equal(rig->model.durable_block, (uint64_t)(i + 1) * 25);
        rig_check_all(rig);
        rig_check_tree(rig);
    }
    if (rig->kind != IN_MEMORY) {
        assert_true(rig->sealed_count > 0);
        assert_true(rig->recovered_count < rig->model.block_count);
    }
}

static void test_closing_waits_for_what_is_in_flight(void **state) {
    struct rig *rig = *state;
    rig_fill(rig, 5, 5000);
    rig_wait_until_ready(rig);
    rig_append(rig, BODY_BYTES);
    rig_append(rig, BODY_BYTES);
    rig_restart(rig);
    assert_int_equal(rig->model.block_count, 7);
    rig_check_all(rig);
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
        rig_wait_until_ready(rig);
        size_t len = sp_record_encode(&event, sp_log_block_body(blob));
        rig_wait_until_durable(rig);
        assert_int_equal(rig_append_body(rig, rig->model.block_count,
                                         sp_str_of(sp_log_block_body(blob), len), blob),
                         SP_OK);
        sp_blob_unref(blob);
        free(data);
    }
    free(body);
    rig_wait_until_durable(rig);
    rig_settle_down(rig);
    rig_check_all(rig);
    rig_check_tree(rig);
    rig_restart(rig);
    rig_check_all(rig);
}

static void test_tree_follows(void **state) {
    struct rig *rig = *state;
    for (int i = 0; i < 5; i++) {
        rig_fill(rig, 20, 9000);
        struct sp_log_tree tree;
        assert_int_equal(rig->log->ops->tree(rig->log, false, &tree, NULL), SP_OK);
        assert_true(tree.size <= rig->model.event_count);
        rig_check_tree(rig);
    }
    rig_settle_down(rig);
    rig_restart(rig);
    rig_check_tree(rig); /* the leaves are the same, read from sealed files */
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
    rig_fill(rig, 20, 9000);
    assert_true(rig->model.event_count > 10);
    store(rig, 3, "three");
    expect_snapshot(rig, 3, "three");
    store(rig, 7, "seven");
    store(rig, 10, "");
    expect_snapshot(rig, 10, "");
    rig_restart(rig);
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
    rig_fill(rig, 160, 9000);
    rig_settle_down(rig);
    uint64_t last = rig->model.event_count;
    struct sp_log_reader *behind = rig_new_reader(rig);
    rig_expect_seek(rig, behind, 1);
    assert_int_equal(rig->log->ops->trim(rig->log, last, NULL), SP_OK);
    rig_assert_bounds(rig, 1, last); /* no snapshot: everything is still needed */
    store(rig, last / 2, "half");
    assert_int_equal(rig->log->ops->trim(rig->log, last, NULL), SP_OK);
    uint64_t first = 0;
    rig->log->ops->bounds(rig->log, &first, &last);
    assert_true(first > 1 && first <= last / 2 + 1);
    assert_int_equal(last, rig->model.event_count);
    struct sp_log_reader *reader = rig_new_reader(rig);
    assert_int_equal(rig_seek_status(reader, first - 1), SP_NOT_FOUND);
    assert_int_equal(rig_seek_status(reader, 1), SP_NOT_FOUND);
    rig_expect_seek(rig, reader, first);
    reader->ops->free(reader);
    struct sp_log_chunk chunk;
    sp_status status;
    while ((status = behind->ops->next(behind, &chunk, NULL)) == SP_OK) {
        assert_true(chunk.first_position < first);
    }
    assert_int_equal(status, SP_NOT_FOUND); /* it is told, not left at an end that is none */
    rig_expect_seek(rig, behind, first);
    behind->ops->free(behind);
    rig_check_all(rig);
    rig_settle_down(rig);
    rig_restart(rig);
    rig_assert_bounds(rig, first, last);
    rig_check_all(rig);
    rig_fill(rig, 10, 9000);
    rig_check_all(rig);
}

static void test_no_space_is_not_the_end(void **state) {
    struct rig *rig = *state;
    if (rig->kind == ON_DISK) {
        skip();
    }
    rig_fill(rig, 4, 9000);
    if (rig->kind == IN_MEMORY) {
        sim_log_store_set_full(rig->store, true);
    } else {
        sim_disk_set_capacity(rig->disk, 1);
    }
    struct sp_error error = {.status = SP_OK};
    sp_status status;
    while ((status = rig->log->ops->ready(rig->log, &error)) == SP_OK) {
        assert_int_equal(rig_append_at(rig, rig->model.block_count, BODY_BYTES), SP_OK);
        rig_wait_until_durable(rig);
    }
    assert_int_equal(status, SP_NO_SPACE);
    assert_int_not_equal(error.text[0], '\0');
    assert_int_equal(rig->log->ops->snapshot_store(rig->log, 1, SP_STR("x"), NULL), SP_NO_SPACE);
    for (int i = 0; i < 5; i++) { /* it asks for no more than before, however often it tries */
        sim_clock_advance_ns(&rig->virtual_clock, UINT64_C(2000000000));
        rig->log->ops->upkeep(rig->log);
        assert_int_equal(rig->log->ops->ready(rig->log, NULL), SP_NO_SPACE);
    }
    assert_int_equal(rig_progress(rig).state, SP_OK);
    rig_check_all(rig);
    rig_restart(rig); /* it opens, and can be read */
    rig_check_all(rig);
    if (rig->kind == IN_MEMORY) {
        sim_log_store_set_full(rig->store, false);
    } else {
        sim_disk_set_capacity(rig->disk, 0);
        sim_clock_advance_ns(&rig->virtual_clock, UINT64_C(2000000000));
    }
    rig_fill(rig, 20, 9000);
    rig_check_all(rig);
}

static void test_failed_append_ends_the_log(void **state) {
    struct rig *rig = *state;
    if (rig->kind == ON_DISK) {
        skip();
    }
    rig_fill(rig, 10, 5000);
    if (rig->kind == IN_MEMORY) {
        sim_log_store_fail_next(rig->store, SP_IO);
    } else {
        sim_disk_arm(rig->disk, &(struct sim_fault){.kind = SIM_FAULT_EIO,
                                                    .op = SIM_OP_WRITE_DURABLE,
                                                    .countdown = 1,
                                                    .repeat = 1});
    }
    rig_wait_until_ready(rig);
    assert_int_equal(rig_append_at(rig, 10, 5000), SP_OK);
    struct sp_log_progress progress = rig_progress(rig);
    for (int i = 0; i < 10 && progress.state == SP_OK; i++) {
        rig->log->ops->wait(rig->log, 10);
        progress = rig_progress(rig);
    }
    assert_int_equal(progress.state, SP_IO);
    assert_int_equal(progress.durable_block, 10);
    assert_int_equal(rig->log->ops->ready(rig->log, NULL), SP_FAILED);
    assert_int_equal(rig_append_at(rig, 11, 5000), SP_FAILED);
    assert_int_equal(rig_progress(rig).durable_block, 10);
    struct sp_log_reader *reader = rig_new_reader(rig);
    rig_expect_seek(rig, reader, sim_model_position_at(&rig->model, 10));
    reader->ops->free(reader);
    rig_restart(rig); /* it may be there or not: nobody was told */
    assert_true(rig->model.block_count == 10 || rig->model.block_count == 11);
    rig_fill(rig, 10, 5000);
    rig_check_all(rig);
    rig_check_tree(rig);
}

/* The process dies with blocks in flight: each is there wholly or not at all, in order. */
static void test_dropped_in_flight(void **state) {
    struct rig *rig = *state;
    if (rig->kind == ON_DISK) {
        skip();
    }
    for (int i = 0; i < 10; i++) {
        rig_fill(rig, 3, 5000);
        rig_append(rig, 5000);
        rig_append(rig, 5000);
        if (rig->kind == IN_MEMORY) {
            sim_log_memory_abandon(rig->log);
        } else {
            sim_disk_kill(rig->options.fs);
            rig->log->ops->close(rig->log);
            rig->options.fs->ops->destroy(rig->options.fs);
        }
        rig_start(rig);
        rig_check_all(rig);
    }
    rig_check_tree(rig);
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
    rig_fill(rig, 3, 5000);
    rig_stop(rig);
    if (rig->kind == IN_MEMORY) {
        rig->log = sim_log_memory_open(rig->store);
    } else {
        rig->options.fs = rig_mount(rig, false);
        assert_int_equal(rig_open_local(rig, &rig->log, NULL), SP_OK);
    }
    int count = 0;
    struct sp_error error = {.status = SP_OK};
    assert_int_equal(rig->log->ops->recover(rig->log, refuse_block, &count, &error), SP_LIMIT);
    assert_int_equal(count, 1);
    assert_string_equal(error.text, "enough");
    assert_int_equal(rig->log->ops->ready(rig->log, NULL), SP_FAILED);
    rig_restart(rig);
    rig_check_all(rig);
}

static void test_second_opener(void **state) {
    struct rig *rig = *state;
    rig_fill(rig, 5, 5000);
    if (rig->kind != IN_MEMORY) {
        struct sp_fs *fs = rig->options.fs;
        struct sp_log *second = NULL;
        rig->options.fs = rig_mount(rig, false);
        assert_int_equal(rig_open_local(rig, &second, NULL), SP_BUSY);
        rig->options.fs->ops->destroy(rig->options.fs);
        rig->options.fs = fs;
        rig_fill(rig, 5, 5000);
        rig_check_all(rig);
        return;
    }
    /* The one who opened last has it; the other learns of it by its next rig_append. */
    struct sp_log *first = rig->log;
    rig_start(rig);
    rig_fill(rig, 5, 5000);
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
    rig_fill(rig, 5, 5000);
    rig_check_all(rig);
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
    options.fs = rig_mount(rig, true);
    assert_int_equal(sp_log_local_open(&options, &log, NULL, NULL), SP_OK);
    assert_int_equal(log->ops->recover(log, see_block, rig, NULL), SP_OK);
    assert_int_equal(log->ops->ready(log, NULL), SP_DENIED);
    assert_int_equal(log->ops->trim(log, 1, NULL), SP_DENIED);
    uint64_t first = 0;
    uint64_t last = 0;
    log->ops->bounds(log, &first, &last);
    assert_int_equal(log->ops->reader_new(log, &reader, NULL), SP_OK);
    (void)rig_read_to_end(rig, reader, SIM_MODEL_UNKNOWN);
    for (uint64_t position = 1; position <= last; position += 5) {
        rig_expect_seek(rig, reader, position);
    }
    assert_int_equal(rig_seek_status(reader, last + 1), SP_END);
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
        rig_fill(rig, 30, 9000);
        rig_settle_down(rig);
        /* The last blocks may be ones that no other vouches for yet. */
        uint64_t sure = rig->model.block_count - rig->description.blocks_in_flight_max;
        assert_true(look(rig) >= sim_model_position_at(&rig->model, sure));
    }
    rig_stop(rig);
    assert_int_equal(look(rig), rig->model.event_count);
    rig_start(rig);
    rig_check_all(rig);
}

/* Who looks on while a writer seals and trims is told what is gone, never that it is damaged. */
static void test_read_only_beside_trimming(void **state) {
    struct rig *rig = *state;
    if (rig->kind == IN_MEMORY) {
        skip();
    }
    rig_fill(rig, 30, 9000);
    rig_settle_down(rig);
    struct sp_log_local_options options = rig->options;
    struct sp_log *log = NULL;
    struct sp_log_reader *reader = NULL;
    options.read_only = true;
    options.fs = rig_mount(rig, true);
    assert_int_equal(sp_log_local_open(&options, &log, NULL, NULL), SP_OK);
    assert_int_equal(log->ops->recover(log, see_block, rig, NULL), SP_OK);
    assert_int_equal(log->ops->reader_new(log, &reader, NULL), SP_OK);
    uint64_t first = 0;
    uint64_t last = 0;
    log->ops->bounds(log, &first, &last);
    rig_expect_seek(rig, reader, 1);
    rig_fill(rig, 160, 9000);
    rig_settle_down(rig);
    store(rig, rig->model.event_count / 2, "half");
    assert_int_equal(rig->log->ops->trim(rig->log, rig->model.event_count, NULL), SP_OK);
    rig_fill(rig, 160, 9000); /* what was sealed and trimmed is written over */
    rig_settle_down(rig);
    uint64_t kept = 0;
    uint64_t newest = 0;
    rig->log->ops->bounds(rig->log, &kept, &newest);
    assert_true(kept > last);
    bool gone = false;
    for (uint64_t position = last; position > 1; position--) {
        sp_status status = rig_seek_status(reader, position);
        assert_true(status == SP_NOT_FOUND ||
                    (status == SP_OK && !gone)); /* not yet written over */
        gone = status == SP_NOT_FOUND;
    }
    log->ops->bounds(log, &first, &last);
    assert_true(gone ? first == 0 : first == 1);
    reader->ops->free(reader);
    log->ops->close(log);
    options.fs->ops->destroy(options.fs);
    rig_check_all(rig);
}

#define CASE(test)                                                                                 \
    { .name = #test, .test_func = (test), .teardown_func = rig_tear_down }

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
    CASE(test_dropped_in_flight),
    CASE(test_recovery_ends_with_an_error),
    CASE(test_second_opener),
    CASE(test_read_only),
    CASE(test_read_only_beside_trimming),
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
    return run("local, threads", rig_set_up_threads) + run("local, inline", rig_set_up_inline) +
           run("local, simulated disk", rig_set_up_sim) +
           run("local, simulated disk, writes in flight", rig_set_up_sim_in_flight) +
           run("memory", rig_set_up_memory);
}
