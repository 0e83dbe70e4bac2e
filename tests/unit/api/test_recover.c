/*
 * Opening, closing and what is left behind: options, folders that are held or are none, stores
 * that are closed with work under way, processes that die, writes that were torn.
 */
#include "helper.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SMALL = 256 << 10 };

static void open_refused(const spoor_options *options, spoor_status expected, const char *piece) {
    spoor *store = NULL;
    spoor_error error;
    help_refused(spoor_open(help_folder, options, &store, &error), &error, expected, piece);
    assert_null(store);
}

static void test_options(void **state) {
    (void)state;
    spoor_options options;
    spoor_options_init(&options);
    assert_int_equal(options.size, sizeof(options));
    assert_int_equal(options.flags, SPOOR_CREATE);
    options.size = 0;
    open_refused(&options, SPOOR_INVALID, "spoor_options_init");
    options.size = sizeof(options) + 1;
    open_refused(&options, SPOOR_INVALID, "spoor_options_init");
    spoor_options_init(&options);
    options.event_bytes_max = 17 << 20;
    open_refused(&options, SPOOR_INVALID, "event_bytes_max");
    spoor_options_init(&options);
    options.outstanding_max = UINT32_MAX;
    open_refused(&options, SPOOR_INVALID, "outstanding_max");
    spoor_options_init(&options);
    options.segment_bytes_max = UINT64_MAX;
    open_refused(&options, SPOOR_INVALID, "segment_bytes_max");
    options.segment_bytes_max = 4096;
    open_refused(&options, SPOOR_INVALID, NULL);
    spoor_options_init(&options);
    options.flags = SPOOR_OWN_THREAD | SPOOR_NO_THREADS;
    open_refused(&options, SPOOR_INVALID, "SPOOR_NO_THREADS");
    options.flags = 0;
    open_refused(&options, SPOOR_NOT_FOUND, help_folder);
    options.flags = SPOOR_READ_ONLY;
    open_refused(&options, SPOOR_NOT_FOUND, help_folder);
    assert_int_equal(spoor_open(NULL, NULL, NULL, NULL), SPOOR_INVALID);
    spoor *store = NULL;
    assert_int_not_equal(spoor_open("/dev/null/nowhere", NULL, &store, NULL), SPOOR_OK);
}

/* A program that was built when the struct was shorter. */
static void test_a_shorter_struct_of_options(void **state) {
    (void)state;
    spoor_options options;
    spoor *store = NULL;
    spoor_error error;
    memset(&options, 0xff, sizeof(options));
    options.size = offsetof(spoor_options, event_bytes_max);
    options.flags = SPOOR_CREATE;
    help_ok(spoor_open(help_folder, &options, &store, &error), &error);
    (void)help_put(store, "t", "a", NULL);
    spoor_close(store);
}

static void test_every_way_of_driving(void **state) {
    (void)state;
    static const unsigned flags[] = {SPOOR_CREATE, SPOOR_OWN_THREAD, SPOOR_NO_THREADS, 0};
    for (size_t i = 0; i < 4; i++) {
        spoor *store = help_open_small(flags[i], SMALL);
        help_fill(store, i, 2500);
        help_seal(store);
        assert_int_equal(help_last_position(store), 2500 * (i + 1));
        spoor_close(store);
    }
    spoor *store = help_open_small(SPOOR_READ_ONLY, SMALL);
    assert_int_equal(help_count(store, NULL), 10000);
    spoor_close(store);
}

static void test_a_folder_is_one_writers(void **state) {
    (void)state;
    char pid[24];
    spoor_options options;
    spoor_options_init(&options);
    spoor *store = help_open(SPOOR_CREATE);
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    open_refused(&options, SPOOR_BUSY, pid);
    spoor *reader = help_open(SPOOR_READ_ONLY);
    spoor_close(reader);
    open_refused(&options, SPOOR_BUSY, pid);
    spoor_close(store);
    spoor_close(help_open(0));
}

static void test_several_stores_in_one_process(void **state) {
    (void)state;
    enum { STORES = 3 };
    char first[64];
    spoor *stores[STORES];
    char folders[STORES][64];
    memcpy(first, help_folder, sizeof(first));
    for (size_t i = 0; i < STORES; i++) {
        assert_int_equal(help_begin(state), 0);
        memcpy(folders[i], help_folder, 64);
        stores[i] = help_open_small(i == 1 ? SPOOR_CREATE | SPOOR_OWN_THREAD : SPOOR_CREATE, SMALL);
    }
    for (size_t i = 0; i < STORES; i++) {
        help_fill(stores[i], i, 1000 * (i + 1));
    }
    for (size_t i = 0; i < STORES; i++) {
        assert_int_equal(help_count(stores[i], NULL), 1000 * (i + 1));
        spoor_close(stores[i]);
        memcpy(help_folder, folders[i], 64);
        assert_int_equal(help_end(state), 0);
    }
    memcpy(help_folder, first, sizeof(first));
}

/*
 * ---- closing
 * --------------------------------------------------------------------------------------
 */

struct heard {
    spoor *store;
    int calls;
    int more; /* submit so many more from the callback */
    spoor_status refused;
};

static void note(void *context, spoor_status status, const spoor_appended *appended, size_t count,
                 const spoor_error *error) {
    struct heard *heard = context;
    assert_int_equal(status, SPOOR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(error->status, SPOOR_OK);
    heard->calls++;
    assert_int_equal(appended[0].position, heard->calls);
    if (heard->more-- > 0) {
        spoor_event event = help_event("again", "a", NULL);
        heard->refused = spoor_submit(heard->store, &event, 1, NULL, 0, note, heard, NULL);
    }
}

static void close_with_work(unsigned flags) {
    spoor *store = help_open(flags | SPOOR_CREATE);
    struct heard heard = {.store = store};
    uint64_t before = help_last_position(store);
    heard.calls = (int)before;
    for (int i = 0; i < 100; i++) {
        spoor_event event = help_event("t", "a", NULL);
        assert_int_equal(spoor_submit(store, &event, 1, NULL, 0, note, &heard, NULL), SPOOR_OK);
    }
    spoor_close(store);
    assert_int_equal(heard.calls, before + 100);
    store = help_open(0);
    assert_int_equal(help_last_position(store), before + 100);
    spoor_close(store);
}

static void test_closing_finishes_what_is_in_flight(void **state) {
    (void)state;
    close_with_work(0);
    close_with_work(SPOOR_OWN_THREAD);
    close_with_work(SPOOR_NO_THREADS);
}

/* A chain of callbacks, each of which submits the next, ends with the store. */
static void test_closing_ends_what_never_ends(void **state) {
    (void)state;
    spoor *store = help_open(SPOOR_CREATE);
    struct heard heard = {.store = store, .more = 1000000};
    spoor_event event = help_event("t", "a", NULL);
    assert_int_equal(spoor_submit(store, &event, 1, NULL, 0, note, &heard, NULL), SPOOR_OK);
    spoor_close(store);
    assert_int_equal(heard.refused, SPOOR_CANCELLED);
}

/*
 * ---- dying
 * ----------------------------------------------------------------------------------------
 */

/* Appends in a child that then dies without a word; returns how many events it saw acknowledged. */
static uint64_t append_and_die(size_t each, int batches) {
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        spoor *store = help_open_small(SPOOR_CREATE, SMALL);
        for (int i = 0; i < batches; i++) {
            help_fill(store, (uint64_t)i, each);
        }
        uint64_t last = help_last_position(store);
        ssize_t written = write(pipe_fds[1], &last, sizeof(last));
        (void)kill(getpid(), written == sizeof(last) ? SIGKILL : SIGTERM);
        _exit(1);
    }
    uint64_t last = 0;
    assert_int_equal(read(pipe_fds[0], &last, sizeof(last)), sizeof(last));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    return last;
}

static void test_a_killed_process_loses_nothing(void **state) {
    (void)state;
    uint64_t versions = 0;
    for (int round = 1; round <= 4; round++) {
        uint64_t last = append_and_die(250, 5 * round);
        spoor *store = help_open_small(0, SMALL);
        assert_int_equal(help_last_position(store), last);
        struct help_copies copies = help_read(store, NULL);
        assert_int_equal(copies.count, last);
        spoor_query query = SPOOR_QUERY_INIT;
        query.stream = "stream-7";
        struct help_copies stream = help_read(store, &query);
        for (size_t i = 0; i < stream.count; i++) {
            assert_int_equal(stream.items[i].event.version, i + 1);
        }
        assert_true(stream.count > versions);
        versions = stream.count;
        help_copies_free(&stream);
        help_copies_free(&copies);
        spoor_close(store);
    }
}

/*
 * The last block is cut short on the disk: nothing of it was acknowledged, and opening says what
 * it cut.
 */
static void test_a_torn_write_is_cut_and_said(void **state) {
    (void)state;
    enum { COUNT = 200, BIG = 3000 };
    char path[256];
    static char zeros[512];
    spoor *store = help_open_small(SPOOR_CREATE, SMALL);
    (void)help_put(store, "t", "a", NULL);
    spoor_event event = help_event("t", "a", NULL);
    char *data = malloc(BIG);
    assert_non_null(data);
    memset(data, 'x', BIG);
    event.data = (spoor_str){data, BIG};
    uint64_t end = help_info(store).bytes_on_disk; /* where the next block begins */
    (void)help_append(store, &event);
    free(data);
    /* The process dies here, as it were: its files are copied and torn. */
    char command[300];
    (void)snprintf(command, sizeof(command), "cp -r %s %s-torn && rm -f %s-torn/checkpoint",
                   help_folder, help_folder, help_folder);
    int copied = system(command);
    spoor_close(store);
    (void)snprintf(command, sizeof(command), "rm -rf %s-torn", help_folder);
    if (copied != 0) {
        (void)system(command);
        skip(); /* this test knows more of the folder than it should, and the folder has changed */
    }
    (void)snprintf(path, sizeof(path), "%s-torn/wal/00000001.seg", help_folder);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, zeros, sizeof(zeros), (off_t)end + 2048), sizeof(zeros));
    (void)close(fd);
    char folder[80];
    spoor_error error;
    (void)snprintf(folder, sizeof(folder), "%s-torn", help_folder);
    help_ok(spoor_open(folder, NULL, &store, &error), &error);
    spoor_info info = help_info(store);
    assert_int_equal(info.last_position, 1);
    assert_true(info.cut_bytes > 0);
    assert_non_null(strstr(info.notice, "nothing of it was acknowledged"));
    assert_int_equal(help_put(store, "t", "a", NULL).position, 2);
    spoor_close(store);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_options, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_a_shorter_struct_of_options, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_every_way_of_driving, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_a_folder_is_one_writers, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_several_stores_in_one_process, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_closing_finishes_what_is_in_flight, help_begin,
                                        help_end),
        cmocka_unit_test_setup_teardown(test_closing_ends_what_never_ends, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_a_killed_process_loses_nothing, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_a_torn_write_is_cut_and_said, help_begin, help_end),
    };
    return cmocka_run_group_tests_name("recover", tests, NULL, NULL);
}
