/*
 * Segments that recovery passes over, because their owner knows what they hold: they read as they
 * would have, damage in them is found by whoever reads it, and what is missing refuses to open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "verify_help.h"

enum {
    BLOCKS = 40, /* sixteen in a segment: two full ones, and eight blocks in the third */
    SEGMENT_BLOCKS = 16,
    EVENTS = 2, /* of a block */
    POSITIONS = BLOCKS * EVENTS,
};

struct owner {
    struct sp_log *log;
    bool knows;
    unsigned asked;
    unsigned shown; /* blocks by recovery */
    struct sp_error error;
};

static sp_status encode_nothing(void *context, uint64_t segment_id, struct sp_buf *section,
                                struct sp_error *error) {
    (void)context;
    (void)segment_id;
    (void)error;
    sp_buf_add_str(section, SP_STR("an index"));
    return section->status;
}

static bool is_known(void *context, uint64_t segment_id, uint64_t first, uint64_t next) {
    struct owner *owner = context;
    assert_int_equal(segment_id, owner->asked + 1);
    assert_int_equal(first, owner->asked * SEGMENT_BLOCKS * EVENTS + 1);
    assert_int_equal(next, first + (uint64_t)SEGMENT_BLOCKS * EVENTS);
    owner->asked++;
    return owner->knows;
}

static sp_status count_shown(void *context, uint64_t segment_id, const struct sp_log_chunk *chunk,
                             struct sp_error *error) {
    struct owner *owner = context;
    (void)segment_id;
    (void)chunk;
    (void)error;
    owner->shown++;
    return SP_OK;
}

/* A log of three raw segments. */
static struct memory_fs *raw_log(void) {
    struct memory_fs *fs = memory_fs_new();
    struct help_log help = {.keeps_raw = true};
    help_open(&help, &fs->base);
    for (unsigned i = 0; i < BLOCKS; i++) {
        help_append(&help, EVENTS, 0, 100);
    }
    help_close(&help);
    return fs;
}

static sp_status open_log(struct owner *owner, struct memory_fs *fs, bool knows, bool seal) {
    *owner = (struct owner){.knows = knows};
    struct sp_log_local_options options = {
        .fs = &fs->base,
        .clock = sp_clock_system(),
        .hooks = {.context = owner, .encode = encode_nothing, .known = is_known},
        .inline_jobs = true,
        .seal = seal,
        .block_bytes_max = HELP_BLOCK_BYTES,
        .segment_bytes_min = HELP_SEGMENT_BYTES,
        .segment_bytes_max = HELP_SEGMENT_BYTES,
    };
    sp_status status = sp_log_local_open(&options, &owner->log, NULL, &owner->error);
    if (status == SP_OK) {
        status = owner->log->ops->recover(owner->log, count_shown, owner, &owner->error);
    }
    return status;
}

static void close_log(struct owner *owner) {
    if (owner->log != NULL) {
        owner->log->ops->close(owner->log);
    }
}

static struct memory_file *segment_file(struct memory_fs *fs, uint64_t epoch) {
    for (size_t i = 0; i < fs->count; i++) {
        struct sp_raw_header header;
        struct memory_file *file = &fs->files[i];
        if (strncmp(file->path, "wal/", 4) == 0 &&
            sp_raw_header_decode(sp_str_of(file->data, file->len), &header) == SP_OK &&
            header.epoch == epoch) {
            return file;
        }
    }
    fail_msg("no segment %llu", (unsigned long long)epoch);
    return NULL;
}

/* Reads from the beginning: exactly the events from `lost` to `until` cannot be read. */
static void expect_walk(struct owner *owner, uint64_t lost, uint64_t until) {
    struct sp_log_reader *reader = NULL;
    struct sp_log_chunk chunk;
    uint64_t position = 1;
    sp_status status;
    assert_int_equal(owner->log->ops->reader_new(owner->log, &reader, NULL), SP_OK);
    while ((status = reader->ops->next(reader, &chunk, NULL)) != SP_END) {
        assert_int_equal(chunk.first_position, position);
        bool damaged = lost != 0 && position >= lost && position <= until;
        assert_int_equal(status, damaged ? SP_CORRUPT : SP_OK);
        position += chunk.event_count;
    }
    assert_int_equal(position, POSITIONS + 1);
    for (uint64_t at = 1; at <= POSITIONS; at++) {
        bool damaged = lost != 0 && at >= lost && at <= until;
        assert_int_equal(reader->ops->seek(reader, at, &chunk, NULL), damaged ? SP_CORRUPT : SP_OK);
        assert_true(at >= chunk.first_position && at - chunk.first_position < chunk.event_count);
    }
    reader->ops->free(reader);
}

static void test_reads_as_if_it_had_been_read(void **state) {
    (void)state;
    struct memory_fs *fs = raw_log();
    struct sp_log_tree trees[2];
    for (int knows = 0; knows < 2; knows++) {
        struct owner owner;
        struct sp_log_progress progress;
        struct sp_log_opened opened;
        assert_int_equal(open_log(&owner, fs, knows != 0, false), SP_OK);
        assert_int_equal(owner.shown, knows != 0 ? BLOCKS - 2 * SEGMENT_BLOCKS : BLOCKS);
        sp_log_local_cut(owner.log, &opened);
        assert_int_equal(opened.passed, knows != 0 ? 2 : 0);
        owner.log->ops->poll(owner.log, &progress);
        assert_int_equal(progress.head_block, BLOCKS);
        assert_int_equal(progress.durable_position, POSITIONS);
        expect_walk(&owner, 0, 0);
        assert_int_equal(owner.log->ops->tree(owner.log, true, &trees[knows], NULL), SP_OK);
        close_log(&owner);
    }
    assert_int_equal(trees[0].size, POSITIONS);
    assert_memory_equal(&trees[0], &trees[1], sizeof(trees[0]));
    memory_fs_free(fs);
}

/* One that is not known is read, and so is all behind it: nobody is asked about that. */
static void test_all_is_read_behind_one_that_is(void **state) {
    (void)state;
    struct memory_fs *fs = raw_log();
    struct owner owner;
    assert_int_equal(open_log(&owner, fs, false, false), SP_OK);
    assert_int_equal(owner.asked, 1);
    close_log(&owner);
    memory_fs_free(fs);
}

/* Damages so many bytes of a copy, opens it, and expects to be told when the place is read. */
static void expect_found(struct memory_fs *whole, uint64_t epoch, unsigned block, size_t offset,
                         size_t len, unsigned blocks_lost) {
    struct memory_fs *fs = memory_fs_copy(whole);
    struct memory_file *file = segment_file(fs, epoch);
    size_t at = (size_t)block_at(file, block) + offset;
    assert_true(at > offset);
    if (len == 1) {
        file->data[at] ^= 4;
    } else {
        memset(file->data + at, 0, len);
    }
    struct owner owner;
    struct sp_log_tree tree;
    uint64_t lost = ((epoch - 1) * SEGMENT_BLOCKS + block) * EVENTS + 1;
    assert_int_equal(open_log(&owner, fs, true, false), SP_OK);
    expect_walk(&owner, lost, lost + (uint64_t)blocks_lost * EVENTS - 1);
    assert_int_equal(owner.log->ops->tree(owner.log, true, &tree, NULL), SP_CORRUPT);
    close_log(&owner);
    assert_int_equal(open_log(&owner, fs, false, false), SP_CORRUPT); /* where it is read */
    close_log(&owner);
    memory_fs_free(fs);
}

static void test_damage_is_found_by_whoever_reads_it(void **state) {
    (void)state;
    struct memory_fs *fs = raw_log();
    static const size_t places[] = {0,  5,  8,   30,  40,  50,  58,  70,
                                    72, 88, 100, 140, 150, 160, 300, SP_BLOCK_ALIGN - 1};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        expect_found(fs, 1, 0, places[i], 1, 1);
        expect_found(fs, 1, 7, places[i], 1, 1);
        expect_found(fs, 2, SEGMENT_BLOCKS - 2, places[i], 1, 1);
    }
    expect_found(fs, 1, 3, 0, SP_BLOCK_ALIGN, 1);
    expect_found(fs, 1, 3, 0, (size_t)4 * SP_BLOCK_ALIGN, 4);
    expect_found(fs, 2, 0, 0, (size_t)(SEGMENT_BLOCKS - 1) * SP_BLOCK_ALIGN, SEGMENT_BLOCKS - 1);
    memory_fs_free(fs);
}

/* The last block of a segment is looked at: then all of the segment is. */
static void expect_refused(struct memory_fs *fs, const char *said) {
    struct owner owner;
    sp_status status = open_log(&owner, fs, true, false);
    assert_int_equal(status, SP_CORRUPT);
    if (strstr(owner.error.text, said) == NULL) {
        fail_msg("said: %s", owner.error.text);
    }
    close_log(&owner);
    memory_fs_free(fs);
}

static void test_what_is_missing_refuses(void **state) {
    (void)state;
    struct memory_fs *whole = raw_log();
    for (uint64_t epoch = 1; epoch <= 2; epoch++) {
        struct memory_fs *fs = memory_fs_copy(whole);
        memory_fs_remove(fs, segment_file(fs, epoch)->path);
        expect_refused(fs, "missing or damaged");
        fs = memory_fs_copy(whole);
        segment_file(fs, epoch)->len -= SP_BLOCK_ALIGN;
        expect_refused(fs, "should have");
        fs = memory_fs_copy(whole); /* as it was when its last block had not come yet */
        struct memory_file *file = segment_file(fs, epoch);
        memset(file->data + block_at(file, SEGMENT_BLOCKS - 1), 0, SP_BLOCK_ALIGN);
        expect_refused(fs, "acknowledged data is damaged");
        fs = memory_fs_copy(whole);
        file = segment_file(fs, epoch);
        file->data[block_at(file, SEGMENT_BLOCKS - 1) + SP_BLOCK_HEADER_BYTES + 1] ^= 1;
        expect_refused(fs, "acknowledged data is damaged");
    }
    /* One segment's blocks under another one's header. */
    struct memory_fs *fs = memory_fs_copy(whole);
    memcpy(segment_file(fs, 2)->data + SP_RAW_HEADER_BYTES,
           segment_file(fs, 1)->data + SP_RAW_HEADER_BYTES,
           (size_t)SEGMENT_BLOCKS * SP_BLOCK_ALIGN);
    expect_refused(fs, "acknowledged data is damaged");
    memory_fs_free(whole);
}

/* The Merkle worker and the sealing read every block: nothing damaged is ever sealed. */
static void test_sealing_reads_it_all(void **state) {
    (void)state;
    for (int damaged = 0; damaged < 2; damaged++) {
        struct memory_fs *fs = raw_log();
        struct sp_log_local_stats stats;
        struct owner owner;
        if (damaged != 0) {
            struct memory_file *file = segment_file(fs, 2);
            file->data[block_at(file, 5) + SP_BLOCK_HEADER_BYTES + 60] ^= 1;
        }
        assert_int_equal(open_log(&owner, fs, true, true), SP_OK);
        (void)owner.log->ops->tree(owner.log, true, &(struct sp_log_tree){.size = 0}, NULL);
        for (int i = 0; i < 20; i++) {
            owner.log->ops->upkeep(owner.log);
            owner.log->ops->poll(owner.log, &(struct sp_log_progress){.head_block = 0});
        }
        sp_log_local_stats(owner.log, &stats);
        assert_int_equal(stats.segments_sealed, damaged != 0 ? 0 : 2);
        if (damaged == 0) {
            expect_walk(&owner, 0, 0);
        }
        close_log(&owner);
        memory_fs_free(fs);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_as_if_it_had_been_read),
        cmocka_unit_test(test_all_is_read_behind_one_that_is),
        cmocka_unit_test(test_damage_is_found_by_whoever_reads_it),
        cmocka_unit_test(test_what_is_missing_refuses),
        cmocka_unit_test(test_sealing_reads_it_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
