/* Verification of what is numbered: control records, of which none may be missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "core/control.h"
#include "engine/verify_events.h"

struct said {
    int count;
    char text[200];
};

static void hear(void *context, uint64_t first, uint64_t last, const char *file, uint64_t offset,
                 const char *text) {
    struct said *said = context;
    (void)first;
    (void)last;
    (void)file;
    (void)offset;
    said->count++;
    (void)snprintf(said->text, sizeof(said->text), "%s", text);
}

/* A control record with this number, of this kind, behind an event. */
static void add(struct verify_events *events, uint64_t number, uint64_t position, uint16_t kind) {
    struct sp_control control = {
        .kind = kind, .number = number, .position = position, .body = SP_STR("ops")};
    struct sp_verify_place place = {.file = "wal/00000001.seg", .offset = 4096};
    struct sp_record record;
    uint8_t bytes[64];
    size_t size = sp_record_encode_control(&control, bytes);
    sp_status status = sp_record_read(sp_str_of(bytes, size), position, &record);
    assert_int_equal(status, SP_OK);
    status = verify_events_add(events, &record, &place);
    assert_int_equal(status, SP_OK);
}

static void begin(struct verify_events *events, struct said *said) {
    *said = (struct said){.count = 0};
    sp_status status = verify_events_init(events, hear, said);
    assert_int_equal(status, SP_OK);
}

static void test_numbers_without_gaps(void **state) {
    (void)state;
    struct verify_events events;
    struct said said;
    begin(&events, &said);
    for (uint64_t i = 1; i < 10; i++) {
        add(&events, i, 0, SP_CONTROL_OPS);
    }
    add(&events, 8, 0, SP_CONTROL_OPS); /* shown a second time */
    add(&events, 9, 0, SP_CONTROL_OPS);
    add(&events, 4711, 0, 77); /* of a kind that has no numbers */
    assert_int_equal(said.count, 0);
    add(&events, 11, 0, SP_CONTROL_OPS);
    assert_int_equal(said.count, 1);
    assert_string_equal(said.text, "control record 11 follows control record 9");
    add(&events, 12, 0, SP_CONTROL_OPS);
    assert_int_equal(said.count, 1);
    verify_events_fini(&events);
}

static void test_the_first_one(void **state) {
    (void)state;
    struct verify_events events;
    struct said said;
    begin(&events, &said);
    add(&events, 2, 0, SP_CONTROL_OPS);
    assert_int_equal(said.count, 1);
    verify_events_fini(&events);
    begin(&events, &said); /* a log whose begin was dropped */
    add(&events, 700, 1000, SP_CONTROL_OPS);
    add(&events, 701, 1000, SP_CONTROL_OPS);
    assert_int_equal(said.count, 0);
    add(&events, 703, 1000, SP_CONTROL_OPS);
    assert_int_equal(said.count, 1);
    verify_events_fini(&events);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_without_gaps),
        cmocka_unit_test(test_the_first_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
