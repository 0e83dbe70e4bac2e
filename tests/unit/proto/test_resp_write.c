#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "base/prng.h"
#include "proto/resp_write.h"

struct pair {
    struct sp_buf buf[2];
    struct sp_resp resp[2]; /* RESP2 and RESP3 */
};

static void start(struct pair *pair) {
    for (int i = 0; i < 2; i++) {
        sp_buf_init(&pair->buf[i], 1 << 20);
        pair->resp[i] = (struct sp_resp){.to = &pair->buf[i], .version = i == 0 ? 2 : 3};
    }
}

static void is(struct sp_buf *buf, const char *expected) {
    assert_int_equal(buf->status, SP_OK);
    if (!sp_str_eq(sp_buf_str(buf), sp_str_from(expected))) {
        fail_msg("found %.*s, expected %s", SP_STR_ARG(sp_buf_str(buf)), expected);
    }
    sp_buf_fini(buf);
}

/* Runs one call for both protocols. */
#define expect(call, resp2, resp3)                                                                 \
    do {                                                                                           \
        struct pair pair_;                                                                         \
        start(&pair_);                                                                             \
        for (int i_ = 0; i_ < 2; i_++) {                                                           \
            struct sp_resp *resp = &pair_.resp[i_];                                                \
            call;                                                                                  \
        }                                                                                          \
        is(&pair_.buf[0], resp2);                                                                  \
        is(&pair_.buf[1], resp3);                                                                  \
    } while (0)

#define expect_both(call, text) expect(call, text, text)

static void lines_stay_lines(void **state) {
    (void)state;
    expect_both(sp_resp_ok(resp), "+OK\r\n");
    expect_both(sp_resp_simple(resp, SP_STR("QUEUED")), "+QUEUED\r\n");
    expect_both(sp_resp_simple(resp, SP_STR("a\r\nb")), "+a  b\r\n");
    expect_both(sp_resp_error(resp, "ERR", SP_STR("no such key")), "-ERR no such key\r\n");
    expect_both(sp_resp_error(resp, "ERR", SP_STR("got '\r'\n")), "-ERR got ' ' \r\n");
}

static void numbers_are_decimal(void **state) {
    (void)state;
    expect_both(sp_resp_integer(resp, 0), ":0\r\n");
    expect_both(sp_resp_integer(resp, -1), ":-1\r\n");
    expect_both(sp_resp_integer(resp, INT64_MIN), ":-9223372036854775808\r\n");
    expect_both(sp_resp_integer(resp, INT64_MAX), ":9223372036854775807\r\n");
    expect_both(sp_resp_unsigned(resp, INT64_MAX), ":9223372036854775807\r\n");
    expect_both(sp_resp_unsigned(resp, UINT64_MAX), ":9223372036854775807\r\n");
    expect_both(sp_resp_bulk_unsigned(resp, 12), "$2\r\n12\r\n");
}

static void every_size_of_number_is_formatted(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(8);
    uint64_t power = 1;
    for (int i = 0; i < 3000; i++) {
        uint64_t value = sp_prng_next(&prng) >> sp_prng_below(&prng, 64);
        if (i < 60) {
            value = power - (i % 3 == 0) + (i % 3 == 2);
            power *= i % 3 == 2 ? 10 : 1;
        }
        char expected[32];
        char found[SP_DECIMAL_BYTES_MAX];
        int len = snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
        assert_int_equal(sp_decimal_format(value, found), len);
        assert_int_equal(sp_decimal_size(value), len);
        assert_memory_equal(found, expected, (size_t)len);
    }
}

static void bulk_strings_hold_any_bytes(void **state) {
    (void)state;
    expect_both(sp_resp_bulk(resp, SP_STR("")), "$0\r\n\r\n");
    expect_both(sp_resp_bulk(resp, sp_str_of(NULL, 0)), "$0\r\n\r\n");
    expect_both(sp_resp_bulk(resp, SP_STR("a\r\nb")), "$4\r\na\r\nb\r\n");
    expect_both(sp_resp_bulk_text(resp, "hello"), "$5\r\nhello\r\n");
    expect_both(sp_resp_bulk_parts(resp, SP_STR("run:"), SP_STR("1234567")),
                "$11\r\nrun:1234567\r\n");
    expect_both(memcpy(sp_resp_bulk_room(resp, 3), "abc", 3), "$3\r\nabc\r\n");
    expect_both(sp_resp_id(resp, ((struct sp_entry_id){.ms = 1526919030474, .seq = 55})),
                "$16\r\n1526919030474-55\r\n");
    expect_both(sp_resp_id(resp, SP_ENTRY_ID_MAX),
                "$41\r\n18446744073709551615-18446744073709551615\r\n");
}

static void types_that_resp2_has_not_become_others(void **state) {
    (void)state;
    expect(sp_resp_null(resp), "$-1\r\n", "_\r\n");
    expect(sp_resp_null_array(resp), "*-1\r\n", "_\r\n");
    expect(sp_resp_array(resp, 12), "*12\r\n", "*12\r\n");
    expect(sp_resp_map(resp, 7), "*14\r\n", "%7\r\n");
    expect(sp_resp_set(resp, 2), "*2\r\n", "~2\r\n");
    expect(sp_resp_push(resp, 3), "*3\r\n", ">3\r\n");
    expect(sp_resp_boolean(resp, true), ":1\r\n", "#t\r\n");
    expect(sp_resp_boolean(resp, false), ":0\r\n", "#f\r\n");
    expect(sp_resp_verbatim(resp, "txt", SP_STR("Some string")), "$11\r\nSome string\r\n",
           "=15\r\ntxt:Some string\r\n");
}

static void doubles_are_short_and_exact(void **state) {
    (void)state;
    expect(sp_resp_double(resp, 0.1), "$3\r\n0.1\r\n", ",0.1\r\n");
    expect(sp_resp_double(resp, 10), "$2\r\n10\r\n", ",10\r\n");
    expect(sp_resp_double(resp, -1.5e300), "$9\r\n-1.5e+300\r\n", ",-1.5e+300\r\n");
    expect(sp_resp_double(resp, 1.0 / 3), "$18\r\n0.3333333333333333\r\n",
           ",0.3333333333333333\r\n");
    expect(sp_resp_double(resp, (double)INFINITY), "$3\r\ninf\r\n", ",inf\r\n");
    expect(sp_resp_double(resp, -(double)INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n");
    expect(sp_resp_double(resp, (double)NAN), "$3\r\nnan\r\n", ",nan\r\n");
    struct sp_prng prng = sp_prng_seed(4);
    for (int i = 0; i < 1000; i++) {
        struct pair pair;
        start(&pair);
        double value = (double)sp_prng_next(&prng) / (1 + (double)sp_prng_below(&prng, 1000));
        sp_resp_double(&pair.resp[1], value);
        assert_true(strtod((const char *)pair.buf[1].data + 1, NULL) == value);
        sp_buf_fini(&pair.buf[1]);
    }
}

static void add_elements(struct sp_resp *resp, uint64_t count, bool map) {
    for (uint64_t i = 0; i < count; i++) {
        sp_resp_unsigned(resp, i);
        if (map) {
            sp_resp_bulk(resp, SP_STR("value"));
        }
    }
}

/* What is written with the count known afterwards is what is written with it known before. */
static void counts_may_come_last(void **state) {
    (void)state;
    static const uint64_t COUNTS[] = {0, 1, 4, 5, 9, 10, 99, 100, 1234};
    static const uint64_t GUESSES[] = {0, 10, 999, 123456};
    for (size_t k = 0; k < 9 * 4 * 4; k++) {
        uint64_t count = COUNTS[k / 16];
        uint64_t guess = GUESSES[k / 4 % 4];
        bool map = k % 2 == 1;
        struct pair known;
        struct pair later;
        start(&known);
        start(&later);
        struct sp_resp *a = &known.resp[k / 2 % 2];
        struct sp_resp *b = &later.resp[k / 2 % 2];
        sp_resp_bulk_text(a, "before");
        sp_resp_bulk_text(b, "before");
        (map ? sp_resp_map : sp_resp_array)(a, count);
        struct sp_resp_open open = map ? sp_resp_open_map(b, guess) : sp_resp_open_array(b, guess);
        add_elements(a, count, map);
        add_elements(b, count, map);
        sp_resp_close(b, open, count);
        sp_resp_ok(a);
        sp_resp_ok(b);
        assert_int_equal(b->to->status, SP_OK);
        assert_true(sp_str_eq(sp_buf_str(a->to), sp_buf_str(b->to)));
        for (int i = 0; i < 2; i++) {
            sp_buf_fini(&known.buf[i]);
            sp_buf_fini(&later.buf[i]);
        }
    }
}

static void add_open_bulk(struct sp_resp *resp, size_t guess, sp_str text) {
    struct sp_resp_open open = sp_resp_open_bulk(resp, guess);
    sp_buf_add_str(resp->to, text);
    sp_resp_close_bulk(resp, open);
}

static void lengths_may_come_last(void **state) {
    (void)state;
    expect_both(add_open_bulk(resp, 5, SP_STR("hello")), "$5\r\nhello\r\n");
    expect_both(add_open_bulk(resp, 5000, SP_STR("hello")), "$5\r\nhello\r\n");
    expect_both(add_open_bulk(resp, 0, SP_STR("hello world")), "$11\r\nhello world\r\n");
    expect_both(add_open_bulk(resp, 99, SP_STR("")), "$0\r\n\r\n");
}

static void what_was_begun_can_be_dropped(void **state) {
    (void)state;
    struct pair pair;
    start(&pair);
    sp_resp_ok(&pair.resp[0]);
    struct sp_resp_open open = sp_resp_open_array(&pair.resp[0], 3);
    add_elements(&pair.resp[0], 3, true);
    sp_resp_drop(&pair.resp[0], open);
    is(&pair.buf[0], "+OK\r\n");
}

static void a_full_buffer_sticks(void **state) {
    (void)state;
    struct sp_buf small;
    sp_buf_init(&small, 40);
    struct sp_resp resp = {.to = &small, .version = SP_RESP_3};
    struct sp_resp_open open = sp_resp_open_array(&resp, 2);
    sp_resp_bulk(&resp, SP_STR("0123456789"));
    assert_int_equal(small.status, SP_OK);
    sp_resp_bulk(&resp, SP_STR("0123456789"));
    assert_int_equal(small.status, SP_LIMIT);
    assert_null(sp_resp_bulk_room(&resp, 1));
    sp_resp_close(&resp, open, 2);
    sp_resp_double(&resp, 1);
    assert_int_equal(small.status, SP_LIMIT);
    sp_buf_fini(&small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_stay_lines),
        cmocka_unit_test(numbers_are_decimal),
        cmocka_unit_test(every_size_of_number_is_formatted),
        cmocka_unit_test(bulk_strings_hold_any_bytes),
        cmocka_unit_test(types_that_resp2_has_not_become_others),
        cmocka_unit_test(doubles_are_short_and_exact),
        cmocka_unit_test(counts_may_come_last),
        cmocka_unit_test(lengths_may_come_last),
        cmocka_unit_test(what_was_begun_can_be_dropped),
        cmocka_unit_test(a_full_buffer_sticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
