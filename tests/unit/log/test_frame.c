/* Frames: records go into columns and come back as they were; damage is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/prng.h"
#include "base/wire.h"
#include "log/frame.h"

enum { ROOM = 1 << 20 };

/* A record with given sizes; everything else is random. */
static size_t make_record(struct sp_prng *prng, uint8_t kind, size_t header, size_t data,
                          uint8_t *to) {
    size_t used = SP_RECORD_FIXED_BYTES + header + data;
    size_t size = (used + SP_RECORD_ALIGN - 1) / SP_RECORD_ALIGN * SP_RECORD_ALIGN;
    memset(to, 0, size);
    for (size_t i = SP_RECORD_FIXED_BYTES; i < used; i++) {
        to[i] = (uint8_t)sp_prng_next(prng);
    }
    sp_put_u32(to, (uint32_t)size);
    to[8] = kind;
    to[9] = data > 0 || sp_prng_below(prng, 2) == 0 ? SP_RECORD_HAS_DATA : 0;
    to[9] |= to[9] != 0 && sp_prng_below(prng, 2) == 0 ? SP_RECORD_DATA_JSON : 0;
    sp_put_u16(to + 10, kind == SP_RECORD_CONTROL ? (uint16_t)sp_prng_next(prng) : 0);
    sp_put_u32(to + 12, (uint32_t)header);
    sp_put_u32(to + 16, (uint32_t)data);
    bool wild = sp_prng_below(prng, 4) == 0;
    sp_put_u32(to + 20, wild ? (uint32_t)sp_prng_next(prng) : sp_prng_below(prng, 3));
    sp_put_u64(to + 24,
               wild ? sp_prng_next(prng) : UINT64_C(1700000000000000) + sp_prng_below(prng, 3000));
    sp_put_u64(to + 32, wild ? sp_prng_next(prng) : sp_prng_below(prng, 100));
    return size;
}

struct sample {
    struct sp_frame frame;
    uint8_t *rows;
    size_t len;
};

static void fill(struct sample *sample, uint64_t seed, unsigned wanted) {
    struct sp_prng prng = sp_prng_seed(seed);
    sample->rows = calloc(1, ROOM);
    assert_non_null(sample->rows);
    sample->len = 0;
    uint64_t position = 1000;
    sp_frame_reset(&sample->frame, position);
    for (unsigned i = 0; i < wanted; i++) {
        bool event = sp_prng_below(&prng, 4) > 0;
        uint8_t *at = sample->rows + sample->len;
        size_t size = make_record(&prng, event ? SP_RECORD_EVENT : SP_RECORD_CONTROL,
                                  sp_prng_below(&prng, 60), sp_prng_below(&prng, 200), at);
        struct sp_record record;
        assert_int_equal(sp_record_read(sp_str_of(at, size), position, &record), SP_OK);
        if (sp_frame_full(&sample->frame, &record)) {
            return;
        }
        sp_frame_add(&sample->frame, &record);
        position += event ? 1 : 0;
        sample->len += size;
    }
}

static void test_records_come_back(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sample sample;
        struct sp_buf columns;
        fill(&sample, seed, (unsigned)(seed * 3));
        sp_buf_init(&columns, ROOM);
        sp_frame_encode(&sample.frame, &columns);
        assert_int_equal(columns.status, SP_OK);
        assert_int_equal(sample.frame.raw_bytes, sample.len);
        uint8_t *rows = malloc(sample.len + 1);
        assert_non_null(rows);
        assert_int_equal(sp_frame_decode(sp_buf_str(&columns), rows, sample.len), SP_OK);
        assert_memory_equal(rows, sample.rows, sample.len); /* tags were zero from the start */
        free(rows);
        free(sample.rows);
        sp_buf_fini(&columns);
    }
}

static void test_a_frame_has_its_limits(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(1);
    static uint8_t bytes[SP_FRAME_BYTES_SOFT_MAX + 1000];
    struct sp_record event;
    struct sp_record control;
    struct sp_record large;
    size_t size = make_record(&prng, SP_RECORD_EVENT, 8, 0, bytes);
    assert_int_equal(sp_record_read(sp_str_of(bytes, size), 1, &event), SP_OK);
    size_t next = size;
    size = make_record(&prng, SP_RECORD_CONTROL, 8, 0, bytes + next);
    assert_int_equal(sp_record_read(sp_str_of(bytes + next, size), 1, &control), SP_OK);
    next += size;
    size = make_record(&prng, SP_RECORD_EVENT, 8, SP_FRAME_BYTES_SOFT_MAX, bytes + next);
    assert_int_equal(sp_record_read(sp_str_of(bytes + next, size), 1, &large), SP_OK);
    struct sp_frame frame;
    sp_frame_reset(&frame, 1);
    assert_false(sp_frame_full(&frame, &large)); /* one record always fits */
    for (uint32_t i = 0; i < SP_FRAME_EVENTS_MAX; i++) {
        assert_false(sp_frame_full(&frame, &event));
        event.position = 1 + i;
        sp_frame_add(&frame, &event);
    }
    assert_true(sp_frame_full(&frame, &event));
    assert_false(sp_frame_full(&frame, &control)); /* only events are counted so */
    assert_true(sp_frame_full(&frame, &large));
    while (frame.record_count < SP_FRAME_RECORDS_MAX) {
        assert_false(sp_frame_full(&frame, &control));
        sp_frame_add(&frame, &control);
    }
    assert_true(sp_frame_full(&frame, &control));
}

/* Whatever the columns say, decoding stays within its bounds, and makes exactly as many bytes. */
static void test_damaged_columns(void **state) {
    (void)state;
    struct sample sample;
    struct sp_buf columns;
    fill(&sample, 5, 12);
    sp_buf_init(&columns, ROOM);
    sp_frame_encode(&sample.frame, &columns);
    uint8_t *rows = malloc(sample.len);
    uint8_t *bytes = malloc(columns.len);
    assert_true(rows != NULL && bytes != NULL);
    memcpy(bytes, columns.data, columns.len);
    for (size_t at = 0; at < columns.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1u << bit);
            sp_status status = sp_frame_decode(sp_str_of(bytes, columns.len), rows, sample.len);
            assert_true(status == SP_CORRUPT ||
                        (status == SP_OK && memcmp(rows, sample.rows, sample.len) != 0));
            bytes[at] ^= (uint8_t)(1u << bit);
        }
    }
    for (size_t len = 0; len < columns.len; len++) {
        uint8_t *part = malloc(len + 1);
        assert_non_null(part);
        memcpy(part, columns.data, len);
        assert_int_equal(sp_frame_decode(sp_str_of(part, len), rows, sample.len), SP_CORRUPT);
        free(part);
    }
    assert_int_equal(sp_frame_decode(sp_buf_str(&columns), rows, sample.len - 8), SP_CORRUPT);
    free(rows);
    free(bytes);
    free(sample.rows);
    sp_buf_fini(&columns);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_come_back),
        cmocka_unit_test(test_a_frame_has_its_limits),
        cmocka_unit_test(test_damaged_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
