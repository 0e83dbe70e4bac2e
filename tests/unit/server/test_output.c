/* The output of one client: gates hold back, shared messages stand in order, storage goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/uio.h>

#include "base/prng.h"
#include "server/output.h"
#include "server/spare.h"

enum { PIECES = 8 };

static void add(struct sp_output *output, const char *text) {
    sp_buf_add_str(&output->bytes, sp_str_from(text));
}

/* A reply that waits for a block. */
static void add_held(struct sp_output *output, const char *text, uint64_t gate) {
    size_t from = output->bytes.len;
    add(output, text);
    assert_true(sp_output_hold(output, from, gate));
}

static void share(struct sp_output *output, char byte, size_t len) {
    struct sp_blob *blob = sp_blob_new(len, 16);
    assert_non_null(blob);
    memset(blob->data, byte, len);
    blob->len = len;
    assert_true(sp_output_share(output, blob));
    sp_blob_unref(blob);
}

/* Sends at most so many bytes, and appends them to `to`. */
static size_t take(struct sp_output *output, struct sp_buf *to, size_t most) {
    struct iovec pieces[PIECES];
    size_t count = sp_output_pieces(output, pieces, PIECES);
    size_t total = 0;
    for (size_t i = 0; i < count && total < most; i++) {
        size_t len = pieces[i].iov_len < most - total ? pieces[i].iov_len : most - total;
        sp_buf_add(to, pieces[i].iov_base, len);
        total += len;
    }
    sp_output_sent(output, total);
    return total;
}

static void expect(struct sp_output *output, const char *text) {
    struct sp_buf sent;
    sp_buf_init(&sent, 1 << 20);
    while (take(output, &sent, SIZE_MAX) > 0) {
    }
    assert_true(sp_str_eq(sp_buf_str(&sent), sp_str_from(text)));
    sp_buf_fini(&sent);
}

static void test_a_gate_holds_back_what_is_behind_it(void **state) {
    (void)state;
    struct sp_output output;
    sp_output_init(&output, 1 << 20);
    assert_int_equal(sp_output_gate(&output), 0);
    add(&output, "a");
    add_held(&output, "b", 7);
    add(&output, "c");
    add_held(&output, "d", 7);
    add_held(&output, "e", 9);
    assert_int_equal(output.mark_count, 2); /* replies that wait for one block have one mark */
    expect(&output, "a");
    assert_int_equal(sp_output_gate(&output), 7);
    sp_output_pass(&output, 6);
    expect(&output, "");
    sp_output_pass(&output, 8);
    expect(&output, "bcd");
    assert_int_equal(sp_output_waiting(&output), 1);
    sp_output_pass(&output, 9);
    expect(&output, "e");
    assert_int_equal(output.bytes.len + output.mark_count, 0);
    sp_output_fini(&output);
}

static void test_a_shared_message_stands_where_it_was_put(void **state) {
    (void)state;
    struct sp_output output;
    struct sp_buf sent;
    enum { LONG = SP_OUTPUT_COPY_BYTES_MAX + 1 };
    sp_output_init(&output, 1 << 20);
    sp_buf_init(&sent, 1 << 20);
    add(&output, "<");
    share(&output, 'x', LONG);
    add(&output, "|");
    share(&output, 'y', 3);
    add_held(&output, ">", 4);
    share(&output, 'z', LONG);
    assert_int_equal(sp_output_waiting(&output), 2 * LONG + 6);
    while (take(&output, &sent, 1000) > 0) {
    }
    assert_int_equal(sent.len, LONG + 5);
    sp_output_pass(&output, 4);
    while (take(&output, &sent, 1000) > 0) {
    }
    assert_int_equal(sent.len, 2 * LONG + 6);
    assert_int_equal(sent.data[0], '<');
    assert_int_equal(sent.data[LONG], 'x');
    assert_memory_equal(sent.data + LONG + 1, "|yyy>z", 6);
    assert_int_equal(sp_output_waiting(&output), 0);
    sp_buf_fini(&sent);
    sp_output_fini(&output);
}

/* Whatever is written, held, shared and sent in pieces comes out once, in order, never early. */
static void test_random_stories(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct sp_prng prng = sp_prng_seed(seed);
        struct sp_output output;
        struct sp_buf all;  /* what was put in */
        struct sp_buf sent; /* what came out */
        size_t free_until = 0;
        size_t gates[64];
        uint64_t gate_count = 0;
        uint64_t passed = 0;
        sp_output_init(&output, 1 << 24);
        sp_buf_init(&all, 1 << 24);
        sp_buf_init(&sent, 1 << 24);
        for (int step = 0; step < 200; step++) {
            uint32_t dice = sp_prng_below(&prng, 10);
            char byte = (char)('a' + step % 26);
            if (dice < 4) {
                char text[2] = {byte, '\0'};
                add(&output, text);
                sp_buf_add_byte(&all, (uint8_t)byte);
            } else if (dice < 6 && gate_count < 64) {
                gates[gate_count++] = all.len;
                char text[2] = {byte, '\0'};
                add_held(&output, text, gate_count);
                sp_buf_add_byte(&all, (uint8_t)byte);
            } else if (dice < 7) {
                size_t len = sp_prng_below(&prng, 2 * SP_OUTPUT_COPY_BYTES_MAX) + 1;
                share(&output, byte, len);
                for (size_t i = 0; i < len; i++) {
                    sp_buf_add_byte(&all, (uint8_t)byte);
                }
            } else if (dice < 9) {
                (void)take(&output, &sent, sp_prng_below(&prng, 3000));
            } else if (passed < gate_count) {
                sp_output_pass(&output, ++passed);
            }
            free_until = passed < gate_count ? gates[passed] : all.len;
            assert_true(sent.len <= free_until);
            assert_memory_equal(sent.data, all.data, sent.len);
            assert_int_equal(sp_output_waiting(&output), all.len - sent.len);
        }
        sp_output_pass(&output, UINT64_MAX);
        while (take(&output, &sent, 777) > 0) {
        }
        assert_int_equal(sent.len, all.len);
        assert_memory_equal(sent.data, all.data, all.len);
        sp_buf_fini(&all);
        sp_buf_fini(&sent);
        sp_output_fini(&output);
    }
}

static void test_storage_is_lent_and_taken_back(void **state) {
    (void)state;
    struct sp_spares spares = {.count = 0};
    struct sp_buf buf;
    sp_buf_init(&buf, 1 << 20);
    sp_spare_lend(&spares, &buf);
    assert_null(buf.data);
    sp_buf_add_str(&buf, SP_STR("x"));
    const uint8_t *storage = buf.data;
    buf.len = 0;
    sp_spare_take(&spares, &buf);
    assert_null(buf.data);
    assert_int_equal(spares.count, 1);
    sp_spare_lend(&spares, &buf);
    assert_ptr_equal(buf.data, storage);
    assert_int_equal(buf.size_bytes_max, 1 << 20);
    assert_non_null(sp_buf_reserve(&buf, SP_SPARE_KEPT_BYTES_MAX + 1));
    sp_spare_take(&spares, &buf); /* too large to be kept */
    assert_int_equal(spares.count, 0);
    sp_spare_fini(&spares);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_gate_holds_back_what_is_behind_it),
        cmocka_unit_test(test_a_shared_message_stands_where_it_was_put),
        cmocka_unit_test(test_random_stories),
        cmocka_unit_test(test_storage_is_lent_and_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
