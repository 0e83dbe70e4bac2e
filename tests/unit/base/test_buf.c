/* Growable buffers: what was appended is there, the maximum holds, failure sticks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "base/prng.h"

/* Lets an allocation that no machine can serve fail instead of ending a sanitized test. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

static void assert_text(const struct sp_buf *buf, const char *expected) {
    assert_int_equal(buf->status, SP_OK);
    assert_int_equal(buf->len, strlen(expected));
    assert_memory_equal(buf->data, expected, buf->len);
}

static void test_appends(void **state) {
    (void)state;
    struct sp_buf buf;
    sp_buf_init(&buf, 1000);
    assert_int_equal(sp_buf_str(&buf).len, 0);
    sp_buf_add_str(&buf, SP_STR("agent"));
    sp_buf_add_byte(&buf, '.');
    sp_buf_add(&buf, "memory!", 6);
    sp_buf_add(&buf, NULL, 0);
    sp_buf_add_str(&buf, sp_str_from(NULL));
    assert_text(&buf, "agent.memory");
    assert_true(sp_str_eq(sp_buf_str(&buf), SP_STR("agent.memory")));
    sp_buf_fini(&buf);
}

static void test_reserve_then_advance(void **state) {
    (void)state;
    struct sp_buf buf;
    sp_buf_init(&buf, 5000);
    sp_buf_add_str(&buf, SP_STR("ab"));
    uint8_t *at = sp_buf_reserve(&buf, 4000);
    assert_non_null(at);
    memset(at, 'x', 4000);
    assert_int_equal(buf.len, 2); /* nothing is there until advance says so */
    sp_buf_advance(&buf, 3);
    sp_buf_add_byte(&buf, 'c');
    assert_text(&buf, "abxxxc");
    sp_buf_fini(&buf);
}

static void test_numbers(void **state) {
    (void)state;
    struct sp_buf buf;
    sp_buf_init(&buf, 100);
    sp_buf_add_u64(&buf, 0);
    sp_buf_add_byte(&buf, ' ');
    sp_buf_add_u64(&buf, 10203);
    sp_buf_add_byte(&buf, ' ');
    sp_buf_add_u64(&buf, UINT64_MAX);
    assert_text(&buf, "0 10203 18446744073709551615");
    sp_buf_fini(&buf);
}

static void test_maximum_is_exact_and_sticks(void **state) {
    (void)state;
    struct sp_buf buf;
    sp_buf_init(&buf, 10);
    sp_buf_add_str(&buf, SP_STR("0123456789"));
    assert_text(&buf, "0123456789");
    sp_buf_add(&buf, NULL, 0); /* nothing more fits into a full buffer */
    assert_int_equal(buf.status, SP_OK);
    sp_buf_add_byte(&buf, 'x');
    assert_int_equal(buf.status, SP_LIMIT);
    assert_int_equal(buf.len, 10);
    sp_buf_reset(&buf);
    assert_int_equal(buf.status, SP_OK);
    sp_buf_add_str(&buf, SP_STR("0123456789x"));
    assert_int_equal(buf.status, SP_LIMIT);
    assert_int_equal(buf.len, 0);
    sp_buf_add_byte(&buf, 'y'); /* it would fit, but something before it is missing */
    assert_int_equal(buf.len, 0);
    assert_null(sp_buf_reserve(&buf, 1));
    sp_buf_fini(&buf);
}

static void test_sizes_that_wrap(void **state) {
    (void)state;
    struct sp_buf buf;
    sp_buf_init(&buf, 1000);
    sp_buf_add_str(&buf, SP_STR("abc"));
    assert_null(sp_buf_reserve(&buf, SIZE_MAX));
    assert_int_equal(buf.status, SP_LIMIT);
    sp_buf_reset(&buf);
    assert_null(sp_buf_reserve(&buf, SIZE_MAX - 1));
    assert_int_equal(buf.status, SP_LIMIT);
    sp_buf_fini(&buf);
}

static void test_out_of_memory_sticks(void **state) {
    (void)state;
    struct sp_buf buf;
    volatile size_t beyond = SIZE_MAX / 2; /* volatile: the compiler would warn of it */
    sp_buf_init(&buf, SIZE_MAX);
    sp_buf_add_str(&buf, SP_STR("kept"));
    assert_null(sp_buf_reserve(&buf, beyond));
    assert_int_equal(buf.status, SP_NO_MEMORY);
    sp_buf_add_byte(&buf, 'x');
    assert_int_equal(buf.len, 4);
    assert_memory_equal(buf.data, "kept", 4);
    sp_buf_fini(&buf);
}

static void test_reset_keeps_the_storage(void **state) {
    (void)state;
    struct sp_buf buf;
    sp_buf_init(&buf, 1 << 20);
    for (unsigned i = 0; i < 10000; i++) {
        sp_buf_add_byte(&buf, (uint8_t)i);
    }
    const uint8_t *data = buf.data;
    sp_buf_reset(&buf);
    assert_int_equal(buf.len, 0);
    for (unsigned i = 0; i < 10000; i++) {
        sp_buf_add_byte(&buf, (uint8_t)i);
    }
    assert_ptr_equal(buf.data, data);
    sp_buf_fini(&buf);
    assert_null(buf.data);
    sp_buf_fini(&buf); /* twice is as good as once */
}

/* Random appends against a plain array. */
static void test_growth_keeps_every_byte(void **state) {
    (void)state;
    enum { TOTAL = 100000 };
    static uint8_t expected[TOTAL];
    struct sp_prng prng = sp_prng_seed(1);
    for (size_t i = 0; i < TOTAL; i++) {
        expected[i] = (uint8_t)sp_prng_next(&prng);
    }
    struct sp_buf buf;
    sp_buf_init(&buf, TOTAL);
    while (buf.len < TOTAL) {
        size_t left = TOTAL - buf.len;
        size_t len = sp_prng_below(&prng, 700);
        sp_buf_add(&buf, expected + buf.len, len < left ? len : left);
        assert_true(buf.capacity <= TOTAL);
    }
    assert_int_equal(buf.status, SP_OK);
    assert_memory_equal(buf.data, expected, TOTAL);
    sp_buf_fini(&buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_reserve_then_advance),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_maximum_is_exact_and_sticks),
        cmocka_unit_test(test_sizes_that_wrap),
        cmocka_unit_test(test_out_of_memory_sticks),
        cmocka_unit_test(test_reset_keeps_the_storage),
        cmocka_unit_test(test_growth_keeps_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
