/*
 * Reading where not everything is well: damaged frames, dropped segments; and the smaller ways to
 * look into a store: by id, by stream, from outside while another writes.
 */
#include "helper.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log/sealed.h"
#include "os/fs.h"

enum { SMALL = 256 << 10 };

/*
 * ---- damage
 * ---------------------------------------------------------------------------------------
 */

/* The path of the first file in a folder of the store, by name. */
static void first_file(const char *folder, char path[256]) {
    char parent[128];
    struct dirent **entries = NULL;
    (void)snprintf(parent, sizeof(parent), "%s/%s", help_folder, folder);
    int count = scandir(parent, &entries, NULL, alphasort);
    path[0] = '\0';
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.' && path[0] == '\0') {
            (void)snprintf(path, 256, "%.127s/%.100s", parent, entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    assert_true(path[0] != '\0');
}

static void damage(const char *path, off_t offset, size_t count) {
    uint8_t bytes[64];
    assert_true(count <= sizeof(bytes));
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, count, offset), count);
    for (size_t i = 0; i < count; i++) {
        bytes[i] ^= 0x5a;
    }
    assert_int_equal(pwrite(fd, bytes, count, offset), count);
    assert_int_equal(close(fd), 0);
}

/* Upkeep follows a sealing: the snapshot that covers it is taken. */
static void turn_a_while(spoor *store) {
    spoor_error error;
    for (int i = 0; i < 100; i++) {
        (void)spoor_turn(store, 0, &error);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* What a walk over a damaged store found. */
struct walk {
    uint64_t given;
    uint64_t first_missing;
    uint64_t last_missing;
    int complaints;
    char text[240];
};

static struct walk walk_over(spoor *store, const spoor_query *query, uint64_t last) {
    struct walk walk = {.given = 0};
    spoor_cursor *cursor = NULL;
    const spoor_event *event = NULL;
    spoor_error error;
    spoor_status status;
    uint64_t step = query->reverse ? (uint64_t)-1 : 1;
    uint64_t expected = query->reverse ? last : 1;
    help_ok(spoor_read(store, query, &cursor, &error), &error);
    while ((status = spoor_next(cursor, 0, &event, &error)) != SPOOR_END) {
        if (status != SPOOR_OK) {
            assert_int_equal(status, SPOOR_CORRUPT);
            memcpy(walk.text, error.text, sizeof(walk.text));
            walk.complaints++;
            continue;
        }
        if (event->position != expected) {
            uint64_t before = event->position - step;
            walk.first_missing = expected < before ? expected : before;
            walk.last_missing = expected < before ? before : expected;
        }
        expected = event->position + step;
        walk.given++;
    }
    spoor_cursor_close(cursor);
    return walk;
}

static void test_damage_costs_the_frame_it_is_in(void **state) {
    (void)state;
    help_needs_folder();
    enum { EVENTS = 4000 };
    spoor *store = help_open_small(SPOOR_CREATE, SMALL);
    help_fill(store, 1, EVENTS);
    help_seal(store);
    assert_true(help_info(store).segments_sealed >= 1);
    turn_a_while(store);
    spoor_close(store);
    char path[256];
    first_file("seg", path);
    damage(path, 16384, 16); /* somewhere in the frames */
    store = help_open_small(0, SMALL);
    for (int reverse = 0; reverse < 2; reverse++) {
        spoor_query query = SPOOR_QUERY_INIT;
        query.reverse = reverse;
        struct walk walk = walk_over(store, &query, EVENTS);
        char positions[60];
        (void)snprintf(positions, sizeof(positions), "events %llu to %llu",
                       (unsigned long long)walk.first_missing,
                       (unsigned long long)walk.last_missing);
        assert_int_equal(walk.complaints, 1);
        assert_true(walk.first_missing > 0);
        assert_int_equal(walk.given + walk.last_missing - walk.first_missing + 1, EVENTS);
        if (strstr(walk.text, positions) == NULL) {
            fail_msg("\"%s\" does not name %s", walk.text, positions);
        }
    }
    /* Nothing else suffers: appends go on, and so do queries behind the damage. */
    (void)help_put(store, "after", "a", NULL);
    spoor_query query = SPOOR_QUERY_INIT;
    query.from = "4001";
    assert_int_equal(help_count(store, &query), 1);
    spoor_close(store);
}

/* Damages the index that the sealed file of a segment carries. */
static void damage_index(uint64_t segment) {
    struct sp_fs *fs = NULL;
    struct sp_log_sealed *sealed = NULL;
    assert_int_equal(sp_fs_posix_open(help_folder, false, true, &fs, NULL), SP_OK);
    assert_int_equal(sp_log_sealed_open(fs, segment, &sealed, NULL), SP_OK);
    off_t at = (off_t)sp_log_sealed_footer(sealed)->sections[SP_SECTION_INDEX].offset;
    off_t end = at + (off_t)sp_log_sealed_footer(sealed)->sections[SP_SECTION_INDEX].bytes;
    sp_log_sealed_unref(sealed);
    fs->ops->destroy(fs);
    char path[256];
    first_file("seg", path);
    for (; at + 8 < end; at += 512) {
        damage(path, at, 8);
    }
}

/* An index that cannot be read costs time and no answers. */
static void test_a_damaged_index_is_made_anew(void **state) {
    (void)state;
    help_needs_folder();
    enum { EVENTS = 9000 };
    spoor_query query = SPOOR_QUERY_INIT;
    spoor *store = help_open_small(SPOOR_CREATE, SMALL);
    help_fill(store, 1, EVENTS);
    help_seal(store);
    query.source = "agent:1";
    query.correlation = "run-2";
    size_t expected = help_count(store, &query);
    assert_true(expected > 0);
    spoor_close(store);
    damage_index(1);
    store = help_open_small(0, SMALL);
    assert_int_equal(help_count(store, &query), expected);
    spoor_close(store);
}

/*
 * ---- retention
 * ------------------------------------------------------------------------------------
 */

static spoor *open_retaining(uint64_t bytes) {
    spoor_options options;
    spoor_error error;
    spoor *store = NULL;
    spoor_options_init(&options);
    options.segment_bytes_max = SMALL;
    options.retain_bytes_max = bytes;
    help_ok(spoor_open(help_place(), &options, &store, &error), &error);
    return store;
}

static void test_retention_drops_the_oldest(void **state) {
    (void)state;
    help_needs_folder();
    enum { EVENTS = 40000, RETAIN = 1 << 20 };
    spoor *store = open_retaining(RETAIN);
    spoor_appended appended = help_put(store, "first", "the first", "id-1");
    assert_int_equal(appended.position, 1);
    spoor_cursor *lagging = NULL;
    const spoor_event *event = NULL;
    spoor_error error;
    help_ok(spoor_subscribe(store, NULL, &lagging, &error), &error);
    help_fill(store, 1, EVENTS);
    uint64_t first = 1;
    for (int i = 0; i < 5000 && first == 1; i++) {
        (void)spoor_turn(store, 0, &error);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        first = help_info(store).first_position;
    }
    assert_true(first > 1);
    assert_int_equal(help_last_position(store), EVENTS + 1);
    /* A read begins with what is kept; who was further behind is told. */
    spoor_query query = SPOOR_QUERY_INIT;
    query.limit = 1;
    struct help_copies copies = help_read(store, &query);
    assert_int_equal(copies.items[0].event.position, first);
    help_copies_free(&copies);
    query.limit = 0;
    assert_int_equal(help_count(store, &query), EVENTS + 2 - first);
    help_refused(spoor_next(lagging, 0, &event, &error), &error, SPOOR_NOT_FOUND, "dropped");
    help_ok(spoor_next(lagging, 0, &event, &error), &error);
    assert_int_equal(event->position, first);
    spoor_cursor_close(lagging);
    spoor_close(store);
    /* Versions outlive the events. */
    store = open_retaining(RETAIN);
    spoor_stream stream;
    help_ok(spoor_stream_get(store, "the first", &stream, &error), &error);
    assert_int_equal(stream.version, 1);
    spoor_event next = help_event("t", "the first", NULL);
    help_append_refused(store, &next, SPOOR_NO_STREAM, SPOOR_CONFLICT, "version 1");
    help_ok(spoor_append(store, &next, 1, &appended, &error), &error);
    assert_int_equal(appended.position, EVENTS + 2);
    assert_int_equal(appended.version, 2);
    spoor_close(store);
}

/*
 * ---- by id
 * ----------------------------------------------------------------------------------------
 */

static size_t find_count(spoor *store, const char *id, const char *source) {
    spoor_cursor *cursor = NULL;
    spoor_error error;
    spoor_status status = spoor_find(store, id, source, &cursor, &error);
    if (status == SPOOR_NOT_FOUND) {
        assert_non_null(strstr(error.text, id));
        return 0;
    }
    help_ok(status, &error);
    struct help_copies copies = help_drain(cursor);
    size_t count = copies.count;
    for (size_t i = 0; i < count; i++) {
        assert_true(help_is(copies.items[i].event.id, id));
        assert_true(source == NULL || help_is(copies.items[i].event.source, source));
        assert_true(i == 0 || copies.items[i].event.position > copies.items[i - 1].event.position);
    }
    help_copies_free(&copies);
    return count;
}

static void test_finding_by_id(void **state) {
    (void)state;
    static const char *const uuid = "0192d3a0-7e5c-7abc-8def-0123456789ab";
    spoor *store = help_open_small(SPOOR_CREATE, SMALL);
    (void)help_put(store, "t", "a", "x");
    (void)help_put(store, "t", "b", "x");
    (void)help_put(store, "t", "b", uuid);
    help_fill(store, 2, 4000);
    help_seal(store);
    (void)help_put(store, "t", "c", "x");
    spoor_appended made = help_put(store, "t", "c", NULL);
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(find_count(store, "x", NULL), 3);
        assert_int_equal(find_count(store, "x", "b"), 1);
        assert_int_equal(find_count(store, "x", "nobody"), 0);
        assert_int_equal(find_count(store, "y", NULL), 0);
        assert_int_equal(find_count(store, "", NULL), 0);
        assert_int_equal(find_count(store, uuid, NULL), 1);
        assert_int_equal(find_count(store, made.id, "c"), 1);
        spoor_close(store);
        store = help_open_small(pass == 0 ? 0 : SPOOR_READ_ONLY, SMALL);
    }
    spoor_close(store);
}

/*
 * ---- streams
 * --------------------------------------------------------------------------------------
 */

struct names {
    char text[200];
    int left; /* end the walk after so many; negative: never */
};

static int note_name(void *context, const spoor_stream *stream) {
    struct names *names = context;
    size_t len = strlen(names->text);
    (void)snprintf(names->text + len, sizeof(names->text) - len, "%.*s/%llu@%llu ",
                   (int)stream->name.len, stream->name.ptr, (unsigned long long)stream->version,
                   (unsigned long long)stream->last_position);
    return --names->left == 0;
}

static const char *list(spoor *store, uint64_t skip, int left, struct names *names) {
    spoor_error error;
    *names = (struct names){.left = left};
    help_ok(spoor_streams(store, skip, note_name, names, &error), &error);
    return names->text;
}

static void test_streams(void **state) {
    (void)state;
    struct names names;
    spoor_stream stream;
    spoor_error error;
    spoor *store = help_open(SPOOR_CREATE);
    assert_string_equal(list(store, 0, -1, &names), "");
    help_refused(spoor_stream_get(store, "a", &stream, &error), &error, SPOOR_NOT_FOUND, "a");
    (void)help_put(store, "t", "a", NULL);
    (void)help_put(store, "t", "b", NULL);
    (void)help_put(store, "t", "a", NULL);
    (void)help_put(store, "t", "c", NULL);
    spoor_event refused = help_event("t", "never", NULL);
    help_append_refused(store, &refused, 3, SPOOR_CONFLICT, NULL);
    for (int pass = 0; pass < 2; pass++) {
        assert_string_equal(list(store, 0, -1, &names), "a/2@3 b/1@2 c/1@4 ");
        assert_string_equal(list(store, 1, -1, &names), "b/1@2 c/1@4 ");
        assert_string_equal(list(store, 0, 2, &names), "a/2@3 b/1@2 ");
        assert_string_equal(list(store, 3, -1, &names), "");
        help_ok(spoor_stream_get(store, "a", &stream, &error), &error);
        assert_true(help_is(stream.name, "a"));
        assert_int_equal(stream.version, 2);
        assert_int_equal(stream.last_position, 3);
        help_refused(spoor_stream_get(store, "never", &stream, &error), &error, SPOOR_NOT_FOUND,
                     "never");
        assert_int_equal(help_info(store).stream_count, 3);
        spoor_close(store);
        store = help_open(0);
    }
    /* What is submitted and not durable is waited for, as versions are those of durable events. */
    refused = help_event("t", "b", NULL);
    help_ok(spoor_submit(store, &refused, 1, NULL, 0, NULL, NULL, &error), &error);
    help_ok(spoor_stream_get(store, "b", &stream, &error), &error);
    assert_int_equal(stream.version, 2);
    assert_int_equal(help_last_position(store), 5);
    spoor_close(store);
}

/*
 * ---- beside a writer
 * ------------------------------------------------------------------------------
 */

/* A reader that is opened anew until it sees so many events; the writer turns meanwhile. */
static spoor *open_reader(spoor *writer, uint64_t last) {
    spoor_error error;
    for (int i = 0; i < 1000; i++) {
        spoor *reader = help_open_small(SPOOR_READ_ONLY, SMALL);
        if (help_last_position(reader) == last) {
            return reader;
        }
        spoor_close(reader);
        (void)spoor_turn(writer, 0, &error);
        (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    fail_msg("no reader sees event %llu", (unsigned long long)last);
    return NULL;
}

static void test_read_only_beside_a_writer(void **state) {
    (void)state;
    help_needs_folder();
    spoor *writer = help_open_small(SPOOR_CREATE, SMALL);
    help_fill(writer, 5, 3000);
    spoor *reader = open_reader(writer, 3000);
    assert_int_equal(help_count(reader, NULL), 3000);
    (void)help_put(writer, "t", "a", NULL);
    assert_int_equal(help_count(reader, NULL), 3000); /* the moment of its opening */
    help_fill(writer, 6, 2999);
    help_seal(writer);
    spoor *later = open_reader(writer, 6000);
    assert_int_equal(help_count(later, NULL), 6000);
    spoor_query query = SPOOR_QUERY_INIT;
    query.source = "agent:1";
    assert_int_equal(help_count(later, &query), help_count(writer, &query));
    spoor_close(later);
    /* What was sealed meanwhile, its raw files being used for other events, is read from there. */
    assert_int_equal(help_count(reader, NULL), 3000);
    query.reverse = 1;
    query.until = "3000";
    assert_int_equal(help_count(reader, &query), help_count(writer, &query));
    spoor_close(reader);
    (void)help_put(writer, "t", "a", NULL);
    assert_int_equal(help_last_position(writer), 6001);
    spoor_close(writer);
}

static void test_info(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    spoor_info info = help_info(store);
    assert_int_equal(info.first_position, 0);
    assert_int_equal(info.last_position, 0);
    assert_int_equal(info.stream_count, 0);
    assert_int_equal(info.cut_bytes, 0);
    assert_string_equal(info.notice, "");
    help_fill(store, 1, 1000);
    uint8_t uuid[16];
    memcpy(uuid, info.uuid, 16);
    info = help_info(store);
    assert_int_equal(info.first_position, 1);
    assert_int_equal(info.last_position, 1000);
    assert_true(info.bytes_on_disk > 100000);
    assert_memory_equal(info.uuid, uuid, 16);
    spoor_close(store);
    store = help_open(0);
    assert_memory_equal(help_info(store).uuid, uuid, 16);
    spoor_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_damage_costs_the_frame_it_is_in, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_a_damaged_index_is_made_anew, help_begin,
                                        help_end_all),
        cmocka_unit_test_setup_teardown(test_retention_drops_the_oldest, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_finding_by_id, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_streams, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_read_only_beside_a_writer, help_begin, help_end_all),
        cmocka_unit_test_setup_teardown(test_info, help_begin, help_end_all),
    };
    return cmocka_run_group_tests_name("read", tests, NULL, NULL);
}
