#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "proto/resp_reply.h"
#include "proto/resp_write.h"

/* Writes a node as text: 'text', 12, nil, !error, [a b], >[a b]; returns the node behind it. */
static const struct sp_reply_node *add_node(struct sp_buf *to, const struct sp_reply_node *node) {
    const struct sp_reply_node *end = node + node->span;
    switch (node->kind) {
    case SP_REPLY_TEXT:
        sp_buf_add_byte(to, '\'');
        sp_buf_add_str(to, node->text);
        sp_buf_add_byte(to, '\'');
        break;
    case SP_REPLY_INTEGER:
        sp_buf_add_str(to, node->integer < 0 ? SP_STR("-") : SP_STR(""));
        sp_buf_add_u64(to,
                       node->integer < 0 ? 0 - (uint64_t)node->integer : (uint64_t)node->integer);
        break;
    case SP_REPLY_NULL:
        sp_buf_add_str(to, SP_STR("nil"));
        break;
    case SP_REPLY_FAILURE:
        sp_buf_add_byte(to, '!');
        sp_buf_add_str(to, node->text);
        break;
    case SP_REPLY_ARRAY:
    case SP_REPLY_PUSH: {
        const struct sp_reply_node *at = sp_reply_child(node);
        sp_buf_add_str(to, node->kind == SP_REPLY_PUSH ? SP_STR(">[") : SP_STR("["));
        for (uint32_t i = 0; i < node->count; i++) {
            sp_buf_add_str(to, i > 0 ? SP_STR(" ") : SP_STR(""));
            at = add_node(to, at);
        }
        sp_buf_add_byte(to, ']');
        assert_ptr_equal(at, end);
        break;
    }
    }
    return end;
}

/* Reads the input in pieces, each time at another place in memory (prng NULL: all at once). */
static void read_all(sp_str input, struct sp_prng *prng, struct sp_buf *to) {
    struct sp_reply_reader reader;
    size_t at = 0;
    size_t have = prng == NULL ? input.len : 0;
    sp_reply_reader_init(&reader);
    for (;;) {
        struct sp_reply reply;
        char *copy = malloc(have - at + 1);
        assert_non_null(copy);
        memcpy(copy, input.ptr + at, have - at);
        enum sp_reply_result result = sp_reply_read(&reader, copy, have - at, &reply);
        if (result == SP_REPLY_WHOLE) {
            assert_int_equal(reply.nodes[0].span, reply.node_count);
            (void)add_node(to, reply.nodes);
            sp_buf_add_byte(to, ';');
            at += reply.consumed;
        } else if (result == SP_REPLY_BROKEN) {
            sp_buf_add_str(to, sp_str_from(reply.problem));
            const char *problem = reply.problem;
            assert_int_equal(sp_reply_read(&reader, copy, 0, &reply), SP_REPLY_BROKEN);
            assert_ptr_equal(problem, reply.problem);
        }
        free(copy);
        if (result == SP_REPLY_BROKEN || (result == SP_REPLY_MORE && have == input.len)) {
            break;
        }
        if (result == SP_REPLY_MORE) {
            size_t left = input.len - have;
            have += 1 + sp_prng_below(prng, left < 5 ? (uint32_t)left : 5);
        }
    }
    sp_reply_reader_fini(&reader);
}

static void expect_str(sp_str input, const char *expected) {
    struct sp_prng prng = sp_prng_seed(input.len);
    struct sp_buf read;
    sp_buf_init(&read, 1 << 24);
    for (int round = 0; round < 8; round++) {
        sp_buf_reset(&read);
        read_all(input, round == 0 ? NULL : &prng, &read);
        if (!sp_str_eq(sp_buf_str(&read), sp_str_from(expected))) {
            fail_msg("round %d: found %.*s, expected %s", round, SP_STR_ARG(sp_buf_str(&read)),
                     expected);
        }
    }
    sp_buf_fini(&read);
}

#define expect(input, expected) expect_str(SP_STR(input), expected)

static void every_type_is_read(void **state) {
    (void)state;
    expect("+OK\r\n", "'OK';");
    expect("-CONFLICT stream s\r\n", "!CONFLICT stream s;");
    expect(":-12\r\n:+7\r\n:9223372036854775807\r\n", "-12;7;9223372036854775807;");
    expect("$5\r\na\r\nbc\r\n$0\r\n\r\n", "'a\r\nbc';'';");
    expect("$-1\r\n*-1\r\n_\r\n", "nil;nil;nil;");
    expect("#t\r\n#f\r\n,1.5\r\n(12345678901234567890\r\n", "1;0;'1.5';'12345678901234567890';");
    expect("=8\r\ntxt:abcd\r\n!4\r\nE no\r\n", "'abcd';!E no;");
    expect("*0\r\n~2\r\n:1\r\n:2\r\n", "[];[1 2];");
    expect("%1\r\n+a\r\n*2\r\n:1\r\n%0\r\n", "['a' [1 []]];");
    expect(">2\r\n+message\r\n$1\r\nx\r\n+OK\r\n", ">['message' 'x'];'OK';");
    expect("*3\r\n*1\r\n*1\r\n:1\r\n$-1\r\n*2\r\n+a\r\n+b\r\n", "[[[1]] nil ['a' 'b']];");
}

static void what_is_no_reply_is_refused(void **state) {
    (void)state;
    expect("?\r\n", "a reply begins with an unknown byte");
    expect("+OK\r\nHTTP/1.1 400\r\n", "'OK';a reply begins with an unknown byte");
    expect("\r\n", "an empty line stands where a reply should");
    expect("+OK\n", "a line does not end as it should");
    expect(":\r\n", "an integer is none");
    expect(":9223372036854775808\r\n", "an integer is none");
    expect("#x\r\n", "a boolean is none");
    expect("$-2\r\n", "the length of a bulk string is out of range");
    expect("$1073741825\r\n", "the length of a bulk string is out of range");
    expect("$?\r\n", "the length of a bulk string is no number");
    expect("$1\r\nabc", "a bulk string does not end where it should");
    expect("*-2\r\n", "the size of an array is out of range");
    expect("*99999999\r\n", "the size of an array is out of range");
    expect("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"
           "*1\r\n*1\r\n*1\r\n:1\r\n",
           "a reply is nested too deeply");
}

static void a_line_has_a_limit(void **state) {
    (void)state;
    struct sp_buf input;
    sp_buf_init(&input, 1 << 20);
    sp_buf_add_byte(&input, '+');
    for (int i = 0; i < SP_REPLY_LINE_BYTES_MAX + 1; i++) {
        sp_buf_add_byte(&input, 'x');
    }
    expect_str(sp_buf_str(&input), "a line is too long");
    sp_buf_fini(&input);
}

static void a_cut_reply_waits(void **state) {
    (void)state;
    expect("", "");
    expect("*2\r\n:1\r\n", "");
    expect("$3\r\nab", "");
    expect("+OK\r\n$3\r\nabc\r", "'OK';");
}

static void what_the_writer_writes_is_read(void **state) {
    (void)state;
    for (int version = SP_RESP_2; version <= SP_RESP_3; version++) {
        struct sp_buf wire;
        sp_buf_init(&wire, 1 << 20);
        struct sp_resp resp = {.to = &wire, .version = version};
        sp_resp_map(&resp, 2);
        sp_resp_bulk_text(&resp, "position");
        sp_resp_unsigned(&resp, 42);
        sp_resp_bulk_text(&resp, "none");
        sp_resp_null(&resp);
        sp_resp_verbatim(&resp, "txt", SP_STR("abc"));
        sp_resp_boolean(&resp, true);
        expect_str(sp_buf_str(&wire), "['position' 42 'none' nil];'abc';1;");
        sp_buf_fini(&wire);
    }
}

static void a_key_is_found(void **state) {
    (void)state;
    struct sp_reply_reader reader;
    struct sp_reply reply;
    sp_str input = SP_STR("%2\r\n+list\r\n*2\r\n+b\r\n:9\r\n+b\r\n:3\r\n");
    sp_reply_reader_init(&reader);
    assert_int_equal(sp_reply_read(&reader, input.ptr, input.len, &reply), SP_REPLY_WHOLE);
    assert_int_equal(sp_reply_find(reply.nodes, "b")->integer, 3);
    assert_int_equal(sp_reply_find(reply.nodes, "list")->count, 2);
    assert_null(sp_reply_find(reply.nodes, "c"));
    assert_null(sp_reply_find(sp_reply_find(reply.nodes, "b"), "b"));
    sp_reply_reader_fini(&reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(what_is_no_reply_is_refused),
        cmocka_unit_test(a_line_has_a_limit),
        cmocka_unit_test(a_cut_reply_waits),
        cmocka_unit_test(what_the_writer_writes_is_read),
        cmocka_unit_test(a_key_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
