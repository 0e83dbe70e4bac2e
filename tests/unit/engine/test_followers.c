/*
 * Cursors on threads of their own beside a loop that never rests: each sees every event that it
 * asks for once, in order, whether it scans or asks the index, while segments fill, are sealed and
 * the index is folded.
 */
#include "folder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "engine/engine.h"
#include "engine/query.h"

enum { EVENTS = 60000, TYPES = 50, SEGMENT_BYTES = 256 << 10, FOLLOWERS = 4 };

struct follower {
    pthread_t thread;
    struct sp_engine *engine;
    const char *pattern; /* NULL: everything */
    uint64_t expected;
    _Atomic uint64_t seen;
    _Atomic bool failed;
};

struct rig {
    struct sp_fs *fs;
    struct sp_guard guard;
    struct sp_engine *engine;
    struct follower followers[FOLLOWERS];
};

static void open_rig(struct rig *rig) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_guard_init(&rig->guard);
    assert_int_equal(sp_fs_posix_open(help_folder, true, false, &rig->fs, &error), SP_OK);
    const struct sp_engine_options options = {
        .fs = rig->fs,
        .clock = sp_clock_system(),
        .create = true,
        .guard = &rig->guard,
        .limits = SP_EVENT_LIMITS_DEFAULT,
        .outstanding_max = 4096,
        .segment_bytes_min = SEGMENT_BYTES,
        .segment_bytes_max = SEGMENT_BYTES,
        .block_bytes_max = 64 << 10,
        .durability = SP_LOG_DURABLE_OS,
        .scan_short_events = 64, /* so that the index is asked, too */
    };
    if (sp_engine_open(&options, &rig->engine, NULL, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
}

static void close_rig(struct rig *rig) {
    sp_engine_close(rig->engine);
    rig->fs->ops->destroy(rig->fs);
    sp_guard_fini(&rig->guard);
}

static uint32_t type_of(uint64_t position) {
    return (uint32_t)(position % TYPES);
}

static bool wants(const struct follower *follower, uint64_t position) {
    return follower->pattern == NULL || type_of(position) < 10;
}

static void nap(void) {
    const struct timespec pause = {.tv_nsec = 500000};
    (void)nanosleep(&pause, NULL);
}

/* The events that it wants come one by one; nothing else does, and none twice. */
static sp_status follow(struct follower *follower, struct sp_cursor *cursor) {
    const struct sp_event *event = NULL;
    uint64_t next = 1;
    sp_status status = SP_OK;
    while (atomic_load(&follower->seen) < follower->expected) {
        status = sp_cursor_next(cursor, &event, NULL);
        if (status == SP_TIMEOUT) {
            nap();
            continue;
        }
        while (!wants(follower, next)) {
            next++;
        }
        if (status != SP_OK || event->position != next) {
            return status != SP_OK ? status : SP_CORRUPT;
        }
        next++;
        atomic_fetch_add(&follower->seen, 1);
    }
    return SP_OK;
}

static void *run(void *context) {
    struct follower *follower = context;
    struct sp_cursor *cursor = NULL;
    const sp_str pattern = follower->pattern != NULL ? sp_str_from(follower->pattern) : SP_STR("#");
    const struct sp_query query = {.types = &pattern, .type_count = 1, .follow = true};
    sp_status status = sp_cursor_open(follower->engine, &query, &cursor, NULL);
    status = status == SP_OK ? follow(follower, cursor) : status;
    atomic_store(&follower->failed, status != SP_OK);
    sp_cursor_close(cursor);
    return NULL;
}

static void start(struct rig *rig, uint32_t number, const char *pattern) {
    struct follower *follower = &rig->followers[number];
    *follower = (struct follower){.engine = rig->engine, .pattern = pattern};
    for (uint64_t position = 1; position <= EVENTS; position++) {
        follower->expected += wants(follower, position) ? 1 : 0;
    }
    assert_int_equal(pthread_create(&follower->thread, NULL, run, follower), 0);
}

static sp_status append(struct sp_engine *engine, uint64_t position, struct sp_error *error) {
    struct sp_event event = {.data = SP_STR("{\"text\": \"some bytes to fill a segment with\"}"),
                             .has_data = true};
    char type[32];
    (void)snprintf(type, sizeof(type), "%s.%u", type_of(position) < 10 ? "wanted" : "other",
                   type_of(position));
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.attr[SP_ATTR_SOURCE] = SP_STR("tester");
    const struct sp_engine_append one = {.events = &event, .count = 1};
    return sp_engine_submit(engine, &one, error);
}

/* As the loop of a server does: the guard is held for a turn, and let go for a moment. */
static void drive(struct rig *rig) {
    struct sp_error error;
    uint64_t position = 0;
    while (sp_engine_durable_position(rig->engine) < EVENTS) {
        sp_guard_enter(&rig->guard);
        for (int i = 0; i < 64 && position < EVENTS; i++) {
            sp_status status = append(rig->engine, position + 1, &error);
            if (status == SP_BUSY) {
                break;
            }
            if (status != SP_OK) {
                fail_msg("%s", error.text);
            }
            position++;
        }
        (void)sp_engine_turn(rig->engine, 0);
        sp_guard_leave(&rig->guard);
    }
}

static void test_followers_beside_a_busy_loop(void **state) {
    struct rig rig;
    (void)state;
    open_rig(&rig);
    for (uint32_t i = 0; i < FOLLOWERS; i++) {
        start(&rig, i, i % 2 == 0 ? NULL : "wanted.*");
    }
    drive(&rig);
    for (uint32_t i = 0; i < FOLLOWERS; i++) {
        assert_int_equal(pthread_join(rig.followers[i].thread, NULL), 0);
        assert_false(rig.followers[i].failed);
        assert_int_equal(rig.followers[i].seen, rig.followers[i].expected);
    }
    close_rig(&rig);
}

/* Who begins when all is there asks the index from the start, while the loop goes on turning. */
static void test_late_followers(void **state) {
    struct rig rig;
    bool over = false;
    (void)state;
    open_rig(&rig);
    drive(&rig);
    start(&rig, 0, "wanted.*");
    start(&rig, 1, "wanted.*");
    while (!over) {
        sp_guard_enter(&rig.guard);
        (void)sp_engine_turn(rig.engine, 0);
        sp_guard_leave(&rig.guard);
        over = true;
        for (uint32_t i = 0; i < 2; i++) {
            over = over &&
                   (rig.followers[i].failed || rig.followers[i].seen == rig.followers[i].expected);
        }
    }
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(rig.followers[i].thread, NULL), 0);
        assert_false(rig.followers[i].failed);
    }
    close_rig(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_followers_beside_a_busy_loop, help_begin, help_end),
        cmocka_unit_test_setup_teardown(test_late_followers, help_begin, help_end),
    };
    return cmocka_run_group_tests_name("engine followers", tests, NULL, NULL);
}
