/* The store in memory in which flows are tried: what it promises them, and whoever tries them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "flow/flow.h"
#include "flow/rehearsal.h"
#include "flow/saga.h"

static const uint64_t BEGIN_US = UINT64_C(1700000000000000);
static const uint64_t SECOND_US = 1000000;

static const char DEFINED[] =
    "{\"saga\":\"s\",\"definition\":{\"saga\":\"s\",\"start\":{\"on\":\"go\"},\"steps\":["
    "{\"name\":\"a\",\"action\":\"do.a\",\"compensate\":\"undo.a\"},"
    "{\"name\":\"b\",\"action\":\"do.b\",\"timeout\":\"10s\",\"retry\":{\"limit\":2,"
    "\"backoff\":\"1s\",\"jitter\":0}}]}}";

struct trial {
    enum sp_rehearsal_fate fate; /* of every third append that is tried */
    bool silent;                 /* `do.b` has no worker */
    uint64_t asked;
    uint64_t appended;
    uint64_t taken;
    struct sp_rehearsal *rehearsal;
};

static void on_command(void *context, const struct sp_event *command,
                       struct sp_rehearsal_plan *plan) {
    struct trial *trial = context;
    if (trial->silent && sp_str_eq(command->attr[SP_ATTR_TYPE], SP_STR("do.b"))) {
        return;
    }
    plan->answers[plan->count++] =
        (struct sp_rehearsal_answer){.kind = SP_REHEARSAL_SUCCESS, .after_us = SECOND_US};
}

static enum sp_rehearsal_fate on_fate(void *context, uint64_t append) {
    struct trial *trial = context;
    (void)append;
    return ++trial->asked % 3 == 0 ? trial->fate : SP_REHEARSAL_APPENDED;
}

static void on_appended(void *context, const struct sp_event *event) {
    ((struct trial *)context)->appended = event->position;
}

static void on_taken(void *context, uint64_t position) {
    ((struct trial *)context)->taken++;
    ((struct trial *)context)->appended = position;
}

static void append(struct trial *trial, const char *type, const char *stream, const char *id,
                   const char *data, uint64_t expected) {
    struct sp_error error;
    uint64_t position = 0;
    struct sp_event event = {.has_data = true, .data_is_json = true, .data = sp_str_from(data)};
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.attr[SP_ATTR_STREAM] = sp_str_from(stream);
    event.attr[SP_ATTR_SOURCE] = SP_STR("spoor");
    event.attr[SP_ATTR_ID] = sp_str_from(id);
    assert_int_equal(sp_rehearsal_append(trial->rehearsal, &event, &position, &error), SP_OK);
    assert_int_equal(position, expected);
}

static void begin(struct trial *trial, uint64_t seed) {
    struct sp_error error;
    struct sp_rehearsal_ports ports = {.context = trial,
                                       .remember = 2,
                                       .command = on_command,
                                       .fate = on_fate,
                                       .appended = on_appended,
                                       .taken = on_taken};
    assert_int_equal(sp_rehearsal_new(seed, BEGIN_US, &ports, &trial->rehearsal, &error), SP_OK);
    append(trial, "saga.defined", "$sagas", "d", DEFINED, 1);
    append(trial, "go", "outside", "g", "{}", 2);
}

/* How often events of this type came. */
static uint64_t count(struct trial *trial, const char *type) {
    uint64_t found = 0;
    for (uint64_t i = 1; i <= sp_rehearsal_count(trial->rehearsal); i++) {
        struct sp_event event;
        assert_int_equal(sp_rehearsal_read(trial->rehearsal, i, &event, NULL), SP_OK);
        assert_int_equal(event.position, i);
        found += sp_str_eq(event.attr[SP_ATTR_TYPE], sp_str_from(type));
    }
    return found;
}

static void run(struct trial *trial, uint64_t until_us) {
    struct sp_error error;
    if (sp_rehearsal_run(trial->rehearsal, until_us, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
}

static void test_a_saga_runs_to_its_end(void **state) {
    (void)state;
    struct trial trial = {.fate = SP_REHEARSAL_APPENDED};
    begin(&trial, 1);
    run(&trial, UINT64_MAX);
    assert_int_equal(count(&trial, "saga.completed"), 1);
    assert_int_equal(count(&trial, "saga.step.completed"), 2);
    assert_int_equal(trial.appended, sp_rehearsal_count(trial.rehearsal));
    assert_int_equal(sp_rehearsal_now_us(trial.rehearsal), BEGIN_US + 2 * SECOND_US);
    sp_rehearsal_free(trial.rehearsal);
}

static void test_time_passes_as_far_as_it_is_let(void **state) {
    (void)state;
    struct trial trial = {.silent = true};
    begin(&trial, 1);
    run(&trial, BEGIN_US + 5 * SECOND_US);
    assert_int_equal(sp_rehearsal_now_us(trial.rehearsal), BEGIN_US + 5 * SECOND_US);
    assert_int_equal(count(&trial, "saga.step.timed_out"), 0);
    run(&trial, BEGIN_US + 11 * SECOND_US);
    assert_int_equal(count(&trial, "saga.step.timed_out"), 1);
    run(&trial, UINT64_MAX);
    assert_int_equal(count(&trial, "saga.step.timed_out"), 2);
    assert_int_equal(count(&trial, "undo.a"), 1);
    assert_int_equal(count(&trial, "saga.compensated"), 1);
    sp_rehearsal_free(trial.rehearsal);
}

static void test_the_same_seed_gives_the_same_log(void **state) {
    (void)state;
    uint64_t hashes[3];
    for (uint64_t i = 0; i < 3; i++) {
        struct trial trial = {.silent = true};
        begin(&trial, i == 2 ? 9 : 1);
        run(&trial, UINT64_MAX);
        hashes[i] = sp_rehearsal_hash(trial.rehearsal);
        sp_rehearsal_free(trial.rehearsal);
    }
    assert_true(hashes[0] == hashes[1]);
    assert_true(hashes[0] != hashes[2]);
}

/* However the process dies, here one thing happens after another: the log is the same. */
static void test_crashes_change_nothing(void **state) {
    (void)state;
    static const enum sp_rehearsal_fate FATES[] = {
        SP_REHEARSAL_APPENDED,    SP_REHEARSAL_REFUSED,     SP_REHEARSAL_CRASH_BEFORE,
        SP_REHEARSAL_CRASH_AFTER, SP_REHEARSAL_CRASH_TAKEN, SP_REHEARSAL_CRASH_FROM_ZERO};
    uint64_t first = 0;
    for (size_t i = 0; i < sizeof(FATES) / sizeof(FATES[0]); i++) {
        struct trial trial = {.silent = true, .fate = FATES[i]};
        begin(&trial, 1);
        run(&trial, UINT64_MAX);
        first = i == 0 ? sp_rehearsal_hash(trial.rehearsal) : first;
        assert_true(sp_rehearsal_hash(trial.rehearsal) == first);
        assert_int_equal(trial.appended, sp_rehearsal_count(trial.rehearsal));
        assert_true((trial.taken > 0) == (FATES[i] == SP_REHEARSAL_CRASH_TAKEN) ||
                    trial.taken == 0);
        sp_rehearsal_free(trial.rehearsal);
    }
}

static void test_an_id_is_stored_once(void **state) {
    (void)state;
    struct trial trial = {.fate = SP_REHEARSAL_APPENDED};
    begin(&trial, 1);
    append(&trial, "go", "outside", "g", "{}", 2);
    run(&trial, UINT64_MAX);
    uint64_t last = sp_rehearsal_count(trial.rehearsal);
    append(&trial, "go", "outside", "g", "{}", 2);
    assert_int_equal(sp_rehearsal_count(trial.rehearsal), last);
    assert_int_equal(count(&trial, "saga.started"), 1);
    sp_rehearsal_free(trial.rehearsal);
}

static void test_what_is_sent_later_survives_a_crash(void **state) {
    (void)state;
    struct sp_error error;
    struct trial trial = {.fate = SP_REHEARSAL_APPENDED};
    begin(&trial, 1);
    struct sp_event event = {.has_data = false};
    event.attr[SP_ATTR_TYPE] = SP_STR("hello");
    assert_int_equal(sp_rehearsal_later(trial.rehearsal, BEGIN_US + 60 * SECOND_US, &event, &error),
                     SP_OK);
    assert_int_equal(sp_rehearsal_settle(trial.rehearsal, &error), SP_OK);
    uint64_t here = sp_rehearsal_count(trial.rehearsal);
    assert_int_equal(sp_rehearsal_crash(trial.rehearsal, here, true, &error), SP_OK);
    run(&trial, BEGIN_US + 59 * SECOND_US);
    assert_int_equal(count(&trial, "hello"), 0);
    run(&trial, UINT64_MAX);
    assert_int_equal(count(&trial, "hello"), 1);
    assert_int_equal(count(&trial, "saga.completed"), 1);
    assert_int_equal(sp_rehearsal_step(trial.rehearsal, UINT64_MAX, &error), SP_END);
    sp_rehearsal_free(trial.rehearsal);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_saga_runs_to_its_end),
        cmocka_unit_test(test_time_passes_as_far_as_it_is_let),
        cmocka_unit_test(test_the_same_seed_gives_the_same_log),
        cmocka_unit_test(test_crashes_change_nothing),
        cmocka_unit_test(test_an_id_is_stored_once),
        cmocka_unit_test(test_what_is_sent_later_survives_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
