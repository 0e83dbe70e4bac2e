/*
 * The n-th allocation fails, for each n: nothing crashes, nothing leaks, and a store that says an
 * append is done has it, while one that refused it for want of memory does not. The program is
 * linked so that its allocations, not those of libraries, come here first.
 */
#include "helper.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static long countdown; /* the allocation that fails, counted down; 0: none */
static bool for_good;  /* and all after it */
static long failures;

static bool fails(void) {
    if (countdown == 0 || --countdown > 0) {
        return false;
    }
    countdown = for_good ? 1 : 0;
    failures++;
    return true;
}

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
    return fails() ? NULL : __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

/*
 * ---- the scenario
 * ---------------------------------------------------------------------------------
 */

enum { ROUNDS = 6 };

/* What one run of the scenario was told. */
struct told {
    bool done[ROUNDS];    /* acknowledged */
    bool refused[ROUNDS]; /* refused, and nothing stored */
};

static void append_round(spoor *store, int round, struct told *told) {
    static const char *const ids[] = {"x0", "x1", "x2", "x3", "x4", "x5"};
    char far[200];
    spoor_event events[3];
    spoor_error error;
    memset(far, 'f', sizeof(far));
    for (int i = 0; i < 3; i++) {
        events[i] = help_event("t", "a", "{\"n\": 1}");
        events[i].stream = (spoor_str){far, (size_t)(20 + round * 25)};
    }
    events[0].id = spoor_text(ids[round]);
    events[1].causationid = spoor_text(ids[round > 0 ? round - 1 : 0]);
    spoor_status status = round % 2 == 0
                              ? spoor_append(store, &events[0], SPOOR_ANY_VERSION, NULL, &error)
                              : spoor_append_batch(store, events, 3, NULL, 0, NULL, &error);
    told->done[round] = status == SPOOR_OK;
    told->refused[round] = status == SPOOR_NO_MEMORY;
    assert_true(status == SPOOR_OK || status == SPOOR_NO_MEMORY || status == SPOOR_FAILED);
    assert_true(status == SPOOR_OK || error.text[0] != '\0');
}

static int ignore_run(void *context, const spoor_run *run) {
    (void)context;
    (void)run;
    return 0;
}

/* Statuses do not matter here: whatever fails says so, and what works gives right answers. */
static void read_all(spoor *store) {
    spoor_query query = SPOOR_QUERY_INIT;
    spoor_cursor *cursor = NULL;
    const spoor_event *event = NULL;
    spoor_error error;
    static const char *const types[] = {"t", "x.*"};
    query.types = types;
    query.type_count = 2;
    query.filter = "{\"data.n\": {\"$gte\": 1}, \"source\": \"a\"}";
    query.from = "-1h";
    uint64_t last = 0;
    if (spoor_read(store, &query, &cursor, &error) == SPOOR_OK) {
        spoor_status status;
        int complaints = 0;
        while ((status = spoor_next(cursor, 0, &event, &error)) != SPOOR_END && complaints < 3) {
            if (status == SPOOR_OK) {
                assert_int_equal(event->position, last + 1);
                last = event->position;
            } else {
                assert_int_equal(status, SPOOR_NO_MEMORY);
                complaints++;
            }
        }
        spoor_cursor_close(cursor);
    }
    if (spoor_causes(store, "x3", &cursor, &error) == SPOOR_OK) {
        (void)spoor_next(cursor, 0, &event, &error);
        spoor_cursor_close(cursor);
    }
    if (spoor_effects(store, "x0", &cursor, &error) == SPOOR_OK) {
        (void)spoor_next(cursor, 0, &event, &error);
        spoor_cursor_close(cursor);
    }
    (void)spoor_runs(store, NULL, ignore_run, NULL, &error);
    spoor_info info;
    (void)spoor_get_info(store, &info, &error);
}

static void tell(struct told *told) {
    spoor_options options;
    spoor_options_init(&options);
    options.flags = SPOOR_CREATE | SPOOR_NO_THREADS;
    options.segment_bytes_max = 256 << 10;
    options.outstanding_max = 16;
    for (int part = 0; part < 2; part++) {
        spoor *store = NULL;
        spoor_error error;
        if (spoor_open(help_folder, &options, &store, &error) != SPOOR_OK) {
            assert_true(error.text[0] != '\0');
            continue;
        }
        for (int i = part * ROUNDS / 2; i < (part + 1) * ROUNDS / 2; i++) {
            append_round(store, i, told);
        }
        read_all(store);
        (void)spoor_turn(store, 0, &error);
        spoor_close(store);
    }
}

/* With memory enough again: what was acknowledged is there, what was refused is not. */
static void check(const struct told *told) {
    static const char *const ids[] = {"x0", "x1", "x2", "x3", "x4", "x5"};
    spoor *store = help_open(SPOOR_CREATE);
    for (int i = 0; i < ROUNDS; i++) {
        spoor_cursor *cursor = NULL;
        spoor_status status = spoor_find(store, ids[i], NULL, &cursor, NULL);
        assert_true(status == SPOOR_OK || status == SPOOR_NOT_FOUND);
        assert_true(!told->done[i] || status == SPOOR_OK);
        assert_true(!told->refused[i] || status == SPOOR_NOT_FOUND);
        spoor_cursor_close(cursor);
    }
    spoor_close(store);
}

static void fail_each(bool good) {
    enum { TOO_MANY = 100000 };
    bool fired = true;
    for (long n = 1; fired && n < TOO_MANY; n += good ? 7 : 1) {
        struct told told;
        memset(&told, 0, sizeof(told));
        assert_int_equal(help_begin(NULL), 0);
        failures = 0;
        for_good = good;
        countdown = n;
        tell(&told);
        countdown = 0;
        fired = failures > 0;
        check(&told);
        assert_int_equal(help_end(NULL), 0);
    }
    assert_false(fired);
}

static void test_one_allocation_fails(void **state) {
    (void)state;
    fail_each(false);
}

static void test_memory_is_out_for_good(void **state) {
    (void)state;
    fail_each(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_allocation_fails),
        cmocka_unit_test(test_memory_is_out_for_good),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
