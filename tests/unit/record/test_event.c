/* The stored form of an event: it comes back byte for byte, and damage passes for none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/wire.h"
#include "record/block.h"
#include "record/event.h"

enum { ROOM = 4096, OPTIONAL_COUNT = SP_ATTR_COUNT - SP_ATTR_CAUSATION };

#define UUID_A     "0191e4a0-1c1e-7c3a-9d2b-3f4a5b6c7d8e"
#define UUID_B     "ffffffff-ffff-4fff-bfff-ffffffffffff"
#define UUID_UPPER "0191E4A0-1C1E-7C3A-9D2B-3F4A5B6C7D8E"

static const char *const ids[] = {UUID_A, UUID_UPPER, "order-4711", ""};
static const char *const correlations[] = {NULL /* the id */, UUID_B, "run 1"};
static const char *const causations[] = {UUID_B, UUID_UPPER};
enum { ID_COUNT = 4, CORRELATION_COUNT = 3, DATA_COUNT = 4, EXTENSION_COUNT = 3 };

static void assert_same_str(sp_str a, sp_str b) {
    assert_int_equal(a.ptr == NULL, b.ptr == NULL);
    assert_int_equal(a.len, b.len);
    assert_true(sp_str_eq(a, b));
}

static void assert_same(const struct sp_event *a, const struct sp_event *b) {
    assert_int_equal(a->position, b->position);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->recorded_us, b->recorded_us);
    assert_int_equal(a->entry_seq, b->entry_seq);
    for (int i = 0; i < SP_ATTR_COUNT; i++) {
        assert_same_str(a->attr[i], b->attr[i]);
    }
    assert_int_equal(a->has_data, b->has_data);
    assert_int_equal(a->data_is_json, b->data_is_json);
    assert_true(sp_str_eq(a->data, b->data));
    assert_int_equal(a->extension_count, b->extension_count);
    for (unsigned i = 0; i < a->extension_count; i++) {
        assert_true(sp_str_eq(a->extensions[i].name, b->extensions[i].name));
        assert_true(sp_str_eq(a->extensions[i].value, b->extensions[i].value));
        assert_int_equal(a->extensions[i].kind, b->extensions[i].kind);
    }
}

static struct sp_event plain_event(void) {
    return (struct sp_event){
        .position = 7,
        .version = 3,
        .recorded_us = UINT64_C(1700000000123456),
        .entry_seq = 2,
        .attr = {[SP_ATTR_TYPE] = SP_STR("task.done"),
                 [SP_ATTR_SOURCE] = SP_STR("agent/reviewer"),
                 [SP_ATTR_STREAM] = SP_STR("task-1"),
                 [SP_ATTR_ID] = SP_STR(UUID_A),
                 [SP_ATTR_CORRELATION] = SP_STR("run-1")},
    };
}

static void set_data(struct sp_event *event, unsigned choice) {
    event->has_data = choice > 0;
    event->data_is_json = choice == 2;
    event->data = choice == 0   ? (sp_str){.ptr = NULL, .len = 0}
                  : choice == 1 ? SP_STR("")
                  : choice == 2 ? SP_STR("{\"ok\":true}")
                                : SP_STR("\0\1\2 bytes");
}

static void set_extensions(struct sp_event *event, unsigned choice) {
    event->extension_count = (uint16_t)(choice == 2 ? SP_EVENT_EXTENSIONS_MAX : choice);
    for (unsigned i = 0; i < event->extension_count; i++) {
        event->extensions[i] = (struct sp_extension){
            .name = SP_STR("tenant"),
            .value = i % 2 == 0 ? SP_STR("acme") : SP_STR("42"),
            .kind = i % 2 == 0 ? SP_VALUE_STRING : SP_VALUE_JSON,
        };
    }
}

/* Encodes into memory that ends with the record, so that reading beyond it is found. */
static uint8_t *encode(const struct sp_event *event, size_t *ret_size) {
    size_t room = sp_record_size_max(event);
    uint8_t *wide = malloc(room);
    assert_non_null(wide);
    *ret_size = sp_record_encode(event, wide);
    assert_true(*ret_size <= room);
    uint8_t *exact = malloc(*ret_size);
    assert_non_null(exact);
    memcpy(exact, wide, *ret_size);
    free(wide);
    return exact;
}

static size_t round_trip(const struct sp_event *event) {
    size_t size;
    uint8_t *bytes = encode(event, &size);
    assert_int_equal(size % SP_RECORD_ALIGN, 0);
    struct sp_record record;
    assert_int_equal(sp_record_read(sp_str_of(bytes, size), event->position, &record), SP_OK);
    assert_int_equal(record.size, size);
    assert_int_equal(record.kind, SP_RECORD_EVENT);
    assert_true(sp_record_tag_valid(&record));
    assert_true(sp_str_eq(sp_record_type(&record), event->attr[SP_ATTR_TYPE]));
    char scratch[SP_RECORD_SCRATCH_BYTES];
    struct sp_event decoded;
    assert_int_equal(sp_record_decode(&record, scratch, &decoded), SP_OK);
    assert_same(event, &decoded);
    free(bytes);
    return size;
}

/* Every form of the ids, every subset of the optional attributes, every form of data. */
static void test_every_combination_comes_back(void **state) {
    (void)state;
    unsigned all = (1u << OPTIONAL_COUNT) * ID_COUNT * CORRELATION_COUNT * 2 * 2 * DATA_COUNT *
                   EXTENSION_COUNT;
    for (unsigned n = 0; n < all; n++) {
        unsigned rest = n;
        struct sp_event event = plain_event();
        unsigned present = rest % (1u << OPTIONAL_COUNT);
        rest /= 1u << OPTIONAL_COUNT;
        event.attr[SP_ATTR_ID] = sp_str_from(ids[rest % ID_COUNT]);
        rest /= ID_COUNT;
        const char *correlation = correlations[rest % CORRELATION_COUNT];
        rest /= CORRELATION_COUNT;
        event.attr[SP_ATTR_CORRELATION] =
            correlation != NULL ? sp_str_from(correlation) : event.attr[SP_ATTR_ID];
        event.attr[SP_ATTR_STREAM] =
            rest % 2 == 0 ? event.attr[SP_ATTR_STREAM] : event.attr[SP_ATTR_SOURCE];
        rest /= 2;
        for (unsigned i = 0; i < OPTIONAL_COUNT; i++) {
            if ((present >> i & 1) != 0) {
                event.attr[SP_ATTR_CAUSATION + i] =
                    i == 0 ? sp_str_from(causations[rest % 2]) : SP_STR("{}");
            }
        }
        rest /= 2;
        set_data(&event, rest % DATA_COUNT);
        set_extensions(&event, rest / DATA_COUNT);
        (void)round_trip(&event);
    }
}

static void test_what_repeats_takes_no_room(void **state) {
    (void)state;
    struct sp_event event = plain_event();
    event.attr[SP_ATTR_ID] = SP_STR(UUID_A);
    event.attr[SP_ATTR_CORRELATION] = SP_STR(UUID_A);
    event.attr[SP_ATTR_STREAM] = event.attr[SP_ATTR_SOURCE];
    size_t elided = round_trip(&event);
    event.attr[SP_ATTR_CORRELATION] = SP_STR(UUID_B);
    size_t packed = round_trip(&event);
    event.attr[SP_ATTR_ID] = SP_STR(UUID_UPPER);
    event.attr[SP_ATTR_CORRELATION] = SP_STR("0191E4A0-1C1E-7C3A-9D2B-000000000000");
    size_t as_text = round_trip(&event);
    assert_int_equal(packed, elided + 16);
    assert_true(as_text >= packed + 40);
}

static void test_long_values(void **state) {
    (void)state;
    static char text[100000];
    memset(text, 'x', sizeof(text));
    struct sp_event event = plain_event();
    for (size_t len = 120; len < 140; len++) { /* a length's varint grows at 128 */
        event.attr[SP_ATTR_TYPE] = sp_str_of(text, len);
        (void)round_trip(&event);
    }
    event.attr[SP_ATTR_METADATA] = sp_str_of(text, sizeof(text));
    event.has_data = true;
    event.data = sp_str_of(text, sizeof(text));
    event.position = UINT64_MAX;
    event.version = UINT64_MAX;
    event.recorded_us = UINT64_MAX;
    event.entry_seq = UINT32_MAX;
    (void)round_trip(&event);
}

static struct sp_event rich_event(void) {
    struct sp_event event = plain_event();
    event.attr[SP_ATTR_CAUSATION] = SP_STR(UUID_B);
    event.attr[SP_ATTR_TIME] = SP_STR("2026-01-02T03:04:05Z");
    event.attr[SP_ATTR_METADATA] = SP_STR("{\"a\":1}");
    set_data(&event, 2);
    set_extensions(&event, 1);
    return event;
}

/* Nothing may crash, and whatever is still taken for an event has another tag than it should. */
static void try_damaged(uint8_t *bytes, size_t size, uint64_t position) {
    struct sp_record record;
    if (sp_record_read(sp_str_of(bytes, size), position, &record) != SP_OK) {
        return;
    }
    assert_true(record.size <= size);
    assert_false(sp_record_tag_valid(&record));
    char scratch[SP_RECORD_SCRATCH_BYTES];
    struct sp_event decoded;
    sp_status status = sp_record_decode(&record, scratch, &decoded);
    assert_true(status == SP_OK || status == SP_CORRUPT);
}

static void test_every_changed_byte_is_noticed(void **state) {
    (void)state;
    struct sp_event event = rich_event();
    size_t size;
    uint8_t *bytes = encode(&event, &size);
    for (size_t at = 0; at < size; at++) {
        uint8_t before = bytes[at];
        for (unsigned value = 0; value < 256; value++) {
            bytes[at] = (uint8_t)value;
            if (value != before) {
                try_damaged(bytes, size, event.position);
            }
        }
        bytes[at] = before;
    }
    free(bytes);
}

static void test_cut_records_are_refused(void **state) {
    (void)state;
    struct sp_event event = rich_event();
    size_t size;
    uint8_t *bytes = encode(&event, &size);
    for (size_t len = 0; len < size; len++) {
        uint8_t *part = malloc(len + 1);
        assert_non_null(part);
        memcpy(part, bytes, len);
        struct sp_record record;
        assert_int_equal(sp_record_read(sp_str_of(part, len), 7, &record), SP_CORRUPT);
        free(part);
    }
    free(bytes);
}

/* The header's own length may lie: decoding must stay within it, whatever it says. */
static void test_lying_lengths_are_refused(void **state) {
    (void)state;
    struct sp_event event = rich_event();
    size_t size;
    uint8_t *bytes = encode(&event, &size);
    uint32_t header = sp_get_u32(bytes + 12);
    uint32_t data = sp_get_u32(bytes + 16);
    for (uint32_t len = 0; len <= header + data; len++) {
        sp_put_u32(bytes + 12, len);
        sp_put_u32(bytes + 16, header + data - len);
        struct sp_record record;
        char scratch[SP_RECORD_SCRATCH_BYTES];
        struct sp_event decoded;
        assert_int_equal(sp_record_read(sp_str_of(bytes, size), 7, &record), SP_OK);
        assert_int_equal(sp_record_decode(&record, scratch, &decoded),
                         len == header ? SP_OK : SP_CORRUPT);
    }
    sp_put_u32(bytes + 12, UINT32_MAX);
    sp_put_u32(bytes + 16, UINT32_MAX);
    struct sp_record record;
    assert_int_equal(sp_record_read(sp_str_of(bytes, size), 7, &record), SP_CORRUPT);
    free(bytes);
}

static void test_an_event_belongs_to_its_position(void **state) {
    (void)state;
    struct sp_event event = plain_event();
    size_t size;
    uint8_t *bytes = encode(&event, &size);
    struct sp_record record;
    assert_int_equal(sp_record_read(sp_str_of(bytes, size), event.position + 1, &record), SP_OK);
    assert_false(sp_record_tag_valid(&record));
    free(bytes);
}

static void put_control(uint8_t to[48], uint16_t control) {
    memset(to, 0, 48);
    sp_put_u32(to, 48);
    to[8] = SP_RECORD_CONTROL;
    sp_put_u16(to + 10, control);
    sp_put_u32(to + 12, 8);
}

/* Events count positions, control records only stand between them. */
static void test_walk_counts_events(void **state) {
    (void)state;
    uint8_t body[ROOM];
    size_t len = 0;
    struct sp_event event = plain_event();
    for (unsigned i = 0; i < 6; i++) {
        if (i % 3 == 0) {
            put_control(body + len, (uint16_t)i);
            len += 48;
        } else {
            len += sp_record_encode(&event, body + len);
        }
    }
    struct sp_block_walk walk = sp_block_walk_of(sp_str_of(body, len), 100);
    const uint64_t positions[] = {99, 100, 101, 101, 102, 103};
    struct sp_record record;
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(sp_block_walk_next(&walk, &record), SP_OK);
        assert_int_equal(record.position, positions[i]);
        assert_int_equal(record.kind, i % 3 == 0 ? SP_RECORD_CONTROL : SP_RECORD_EVENT);
        assert_int_equal(record.control, i % 3 == 0 ? i : 0);
    }
    assert_int_equal(sp_block_walk_next(&walk, &record), SP_END);
    walk = sp_block_walk_of(sp_str_of(body, len - 8), 100);
    sp_status status = SP_OK;
    while ((status = sp_block_walk_next(&walk, &record)) == SP_OK) {
    }
    assert_int_equal(status, SP_CORRUPT);
}

static void test_a_control_record_comes_back(void **state) {
    (void)state;
    static const char body[] = "ops, back to back";
    uint8_t bytes[128];
    for (size_t len = 1; len < sizeof(body); len++) {
        struct sp_control control = {.kind = 1,
                                     .number = 4711 + len,
                                     .position = 99,
                                     .recorded_us = UINT64_C(1700000000123456),
                                     .entry_seq = 3,
                                     .body = sp_str_of(body, len)};
        memset(bytes, 0xff, sizeof(bytes));
        size_t size = sp_record_encode_control(&control, bytes);
        assert_int_equal(size, sp_record_control_size(len));
        struct sp_block_walk walk = sp_block_walk_of(sp_str_of(bytes, size), 100);
        struct sp_record record;
        assert_int_equal(sp_block_walk_next(&walk, &record), SP_OK);
        assert_true(sp_record_tag_valid(&record));
        assert_int_equal(record.kind, SP_RECORD_CONTROL);
        assert_int_equal(record.control, 1);
        assert_int_equal(record.version, control.number);
        assert_int_equal(record.position, 99);
        assert_int_equal(record.recorded_us, control.recorded_us);
        assert_int_equal(record.entry_seq, 3);
        assert_int_equal(record.header.len, 0);
        assert_same_str(record.data, control.body);
        assert_int_equal(sp_block_walk_next(&walk, &record), SP_END);
        assert_int_equal(walk.next_position, 100);
        bytes[SP_RECORD_FIXED_BYTES] ^= 1;
        assert_false(sp_record_tag_valid(&record));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_control_record_comes_back),
        cmocka_unit_test(test_every_combination_comes_back),
        cmocka_unit_test(test_what_repeats_takes_no_room),
        cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_every_changed_byte_is_noticed),
        cmocka_unit_test(test_cut_records_are_refused),
        cmocka_unit_test(test_lying_lengths_are_refused),
        cmocka_unit_test(test_an_event_belongs_to_its_position),
        cmocka_unit_test(test_walk_counts_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
