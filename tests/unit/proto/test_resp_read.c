#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "proto/resp_read.h"

static const struct sp_resp_limits LIMITS = {
    .args_max = 1 << 20, .bulk_bytes_max = 64 << 20, .inline_bytes_max = 64 << 10};

/* Writes what was read as text: commands as [a|b|c], the error behind them. */
static void add_command(struct sp_buf *to, const struct sp_resp_command *command) {
    sp_buf_add_byte(to, '[');
    for (uint32_t i = 0; i < command->argc; i++) {
        sp_buf_add_str(to, i > 0 ? SP_STR("|") : SP_STR(""));
        sp_buf_add_str(to, command->args[i]);
    }
    sp_buf_add_byte(to, ']');
}

/*
 * Reads the input in pieces whose sizes the generator decides (NULL: all at once). The bytes lie at
 * another place for each call, in a block of exactly their size.
 */
static void read_all(sp_str input, const struct sp_resp_limits *limits, struct sp_prng *prng,
                     struct sp_buf *to) {
    struct sp_resp_reader reader;
    struct sp_resp_command command;
    size_t at = 0;   /* consumed */
    size_t have = 0; /* arrived */
    enum sp_resp_result result = SP_RESP_MORE;
    sp_resp_reader_init(&reader);
    while (result != SP_RESP_ERROR) {
        size_t left = input.len - have;
        if (result == SP_RESP_MORE && left == 0 && have > 0) {
            break;
        }
        if (result == SP_RESP_MORE) {
            have += prng == NULL ? left : 1 + sp_prng_below(prng, left < 7 ? (uint32_t)left : 7);
        }
        char *copy = malloc(have - at + 1);
        assert_non_null(copy);
        memcpy(copy, input.ptr + at, have - at);
        result = sp_resp_read(&reader, copy, have - at, limits, &command);
        assert_true(command.consumed <= have - at);
        at += command.consumed;
        if (result == SP_RESP_COMMAND) {
            assert_true(command.argc > 0);
            add_command(to, &command);
        } else if (result == SP_RESP_MORE) {
            assert_true(command.more > 0);
        } else {
            sp_buf_add_str(to, command.problem);
            sp_str again = command.problem;
            assert_int_equal(sp_resp_read(&reader, copy, 0, limits, &command), SP_RESP_ERROR);
            assert_true(sp_str_eq(again, command.problem));
        }
        free(copy);
        if (input.len == 0) {
            break;
        }
    }
    sp_resp_reader_fini(&reader);
}

static void expect_with(const struct sp_resp_limits *limits, sp_str input, const char *expected) {
    struct sp_prng prng = sp_prng_seed(input.len);
    struct sp_buf read;
    sp_buf_init(&read, 1 << 24);
    for (int round = 0; round < 8; round++) {
        sp_buf_reset(&read);
        read_all(input, limits, round == 0 ? NULL : &prng, &read);
        if (!sp_str_eq(sp_buf_str(&read), sp_str_from(expected))) {
            fail_msg("round %d of %.*s: found %.*s, expected %s", round, SP_STR_ARG(input),
                     SP_STR_ARG(sp_buf_str(&read)), expected);
        }
    }
    sp_buf_fini(&read);
}

#define expect(input, expected) expect_with(&LIMITS, SP_STR(input), expected)

static void arrays_of_bulks_are_commands(void **state) {
    (void)state;
    expect("*1\r\n$4\r\nPING\r\n", "[PING]");
    expect("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n*1\r\n$4\r\nQUIT\r\n", "[ECHO|][QUIT]");
    expect("*5\r\n$4\r\nXADD\r\n$1\r\nk\r\n$1\r\n*\r\n$1\r\nf\r\n$4\r\n\r\n$1\r\n",
           "[XADD|k|*|f|\r\n$1]");
    expect("*2\r\n$3\r\nGET\r\n$3\r\na b\r\n", "[GET|a b]");
}

static void empty_commands_are_passed_over(void **state) {
    (void)state;
    expect("*0\r\n*-1\r\n\r\n\n   \r\n*1\r\n$1\r\na\r\n*-7\r\nb\r\n", "[a][b]");
    expect("\r\n", "");
    expect("", "");
}

static void numbers_of_any_ordinary_length_are_read(void **state) {
    (void)state;
    static const int SIZES[] = {1, 9, 10, 99, 100, 999, 1000, 9999, 10000};
    char text[12000];
    char expected[12000];
    for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
        int size = SIZES[i];
        int head = snprintf(text, sizeof(text), "*1\r\n$%d\r\n", size);
        memset(text + head, 'x', (size_t)size);
        memcpy(text + head + size, "\r\n", 3);
        expected[0] = '[';
        memset(expected + 1, 'x', (size_t)size);
        memcpy(expected + 1 + size, "]", 2);
        expect_with(&LIMITS, sp_str_of(text, (size_t)(head + size + 2)), expected);
    }
}

static void what_is_no_array_is_refused_as_redis_does(void **state) {
    (void)state;
    expect("*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "Protocol error: expected '$', got 'f'");
    expect("*1\r\nfoo\r\n", "Protocol error: expected '$', got 'f'");
    expect("*20000000000\r\n", "Protocol error: invalid multibulk length");
    expect("*1048577\r\n", "Protocol error: invalid multibulk length");
    expect("*\r\n", "Protocol error: invalid multibulk length");
    expect("*01\r\n", "Protocol error: invalid multibulk length");
    expect("*+1\r\n", "Protocol error: invalid multibulk length");
    expect("*1x\r\n", "Protocol error: invalid multibulk length");
    expect("*99999999999999999999999\r\n", "Protocol error: invalid multibulk length");
    expect("*9223372036854775808\r\n", "Protocol error: invalid multibulk length");
    expect("*1\r\n$-10\r\n", "Protocol error: invalid bulk length");
    expect("*1\r\n$-1\r\n", "Protocol error: invalid bulk length");
    expect("*1\r\n$2000000000\r\n", "Protocol error: invalid bulk length");
    expect("*1\r\n$67108865\r\n", "Protocol error: invalid bulk length");
    expect("*1\r\n$blabla\r\n", "Protocol error: invalid bulk length");
    expect("*1\r\n$\r\n", "Protocol error: invalid bulk length");
    expect("PING\r\n*1\r\n$04\r\nPING\r\n", "[PING]Protocol error: invalid bulk length");
}

static void lines_that_never_end_are_refused(void **state) {
    (void)state;
    char *text = malloc(70000);
    assert_non_null(text);
    memset(text, '1', 70000);
    text[0] = '*';
    expect_with(&LIMITS, sp_str_of(text, 70000), "Protocol error: too big mbulk count string");
    memcpy(text, "*1\r\n$", 5);
    expect_with(&LIMITS, sp_str_of(text, 70000), "Protocol error: too big bulk count string");
    memset(text, 'a', 70000);
    expect_with(&LIMITS, sp_str_of(text, 70000), "Protocol error: too big inline request");
    text[65537] = '\n'; /* one byte too far */
    expect_with(&LIMITS, sp_str_of(text, 70000), "Protocol error: too big inline request");
    text[65536] = '\n';
    struct sp_buf read;
    sp_buf_init(&read, 1 << 20);
    read_all(sp_str_of(text, 65537), &LIMITS, NULL, &read);
    assert_int_equal(read.len, 65536 + 2);
    sp_buf_fini(&read);
    free(text);
}

static void inline_words_may_be_quoted(void **state) {
    (void)state;
    expect("PING\r\nset a  b\t c\n", "[PING][set|a|b|c]");
    expect("\v\f a\vb\n", "[a\vb]");
    expect("set \"a b\" 'c d' ''\r\n", "[set|a b|c d|]");
    expect("a\"b c\" d'e'\n", "[ab c|de]");
    expect("\"\\n\\r\\t\\b\\a\\x41\\x7A\\q\\\\\\\"\"\n", "[\n\r\t\b\aAzq\\\"]");
    expect("\"\\x4\" '\\n\\'\\x41'\n", "[x4|\\n'\\x41]");
    expect("a b\0c d\n", "[a|b]");
    expect("get \"\\xe4\"\r\n", "[get|\xe4]");
}

static void unbalanced_quotes_are_refused(void **state) {
    (void)state;
    const char *problem = "Protocol error: unbalanced quotes in request";
    expect("set \"\"\"a\"\"\"\r\n", problem);
    expect("set \"a\r\n", problem);
    expect("set 'a\r\n", problem);
    expect("set 'a'b\r\n", problem);
    expect("set \"a\\\"\r\n", problem);
    expect("set \"a\0\"\r\n", problem);
}

static void an_unknown_client_gets_little_room(void **state) {
    (void)state;
    const struct sp_resp_limits low = SP_RESP_LIMITS_UNAUTHENTICATED;
    expect_with(&low, SP_STR("*10\r\n"), "");
    expect_with(&low, SP_STR("*11\r\n"), "Protocol error: unauthenticated multibulk length");
    expect_with(&low, SP_STR("*1\r\n$16385\r\n"), "Protocol error: unauthenticated bulk length");
    expect_with(&low, SP_STR("*1\r\n$16384\r\n"), "");
    expect_with(&low, SP_STR("*3000000000\r\n"), "Protocol error: invalid multibulk length");
    expect_with(&low, SP_STR("*1\r\n$3000000000\r\n"), "Protocol error: invalid bulk length");
}

static void it_says_how_much_is_missing(void **state) {
    (void)state;
    struct sp_resp_reader reader;
    struct sp_resp_command command;
    sp_resp_reader_init(&reader);
    const char *start = "\r\n*2\r\n$3\r\nGET\r\n$1000\r\nabc";
    size_t len = strlen(start);
    assert_int_equal(sp_resp_read(&reader, start, len, &LIMITS, &command), SP_RESP_MORE);
    assert_int_equal(command.consumed, 2);
    assert_int_equal(command.more, 1000 + 2 - 3);
    /* What is done with stays away; the rest may lie elsewhere. */
    char *rest = malloc(len - 2 + 999);
    assert_non_null(rest);
    memcpy(rest, start + 2, len - 2);
    memset(rest + len - 2, 'z', 999);
    assert_int_equal(sp_resp_read(&reader, rest, len - 2 + 999, &LIMITS, &command),
                     SP_RESP_COMMAND);
    assert_int_equal(command.consumed, len - 2 + 999);
    assert_int_equal(command.argc, 2);
    assert_true(sp_str_eq(command.args[0], SP_STR("GET")));
    assert_int_equal(command.args[1].len, 1000);
    assert_memory_equal(command.args[1].ptr, "abczz", 5);
    assert_int_equal(sp_resp_read(&reader, rest, 0, &LIMITS, &command), SP_RESP_MORE);
    assert_int_equal(command.more, 1);
    free(rest);
    sp_resp_reader_fini(&reader);
}

/* Were a command read from its start each time, this would take hours. */
static void pieces_cost_no_more_than_the_whole(void **state) {
    (void)state;
    enum { ARGS = 200000, STEP = 64 };
    struct sp_buf in;
    sp_buf_init(&in, SIZE_MAX);
    sp_buf_add_str(&in, SP_STR("*200001\r\n"));
    for (int i = 0; i < ARGS; i++) {
        sp_buf_add_str(&in, SP_STR("$1\r\nx\r\n"));
    }
    sp_buf_add_str(&in, SP_STR("$1048576\r\n"));
    size_t body = in.len;
    for (int i = 0; i < (1 << 20) + 2; i++) {
        sp_buf_add_byte(&in, 'y');
    }
    struct sp_resp_reader reader;
    struct sp_resp_command command;
    sp_resp_reader_init(&reader);
    for (size_t have = 0; have < in.len; have += STEP) {
        assert_int_equal(sp_resp_read(&reader, (const char *)in.data, have, &LIMITS, &command),
                         SP_RESP_MORE);
        assert_int_equal(command.consumed, 0);
        if (have > body) {
            assert_int_equal(command.more, in.len - have);
        }
    }
    assert_int_equal(sp_resp_read(&reader, (const char *)in.data, in.len, &LIMITS, &command),
                     SP_RESP_COMMAND);
    assert_int_equal(command.argc, ARGS + 1);
    assert_true(sp_str_eq(command.args[ARGS - 1], SP_STR("x")));
    assert_int_equal(command.args[ARGS].len, 1 << 20);
    /* The large array is not kept. */
    assert_int_equal(sp_resp_read(&reader, "x\n", 2, &LIMITS, &command), SP_RESP_COMMAND);
    assert_true(reader.args_capacity <= 1024);
    sp_resp_reader_fini(&reader);
    sp_buf_fini(&in);
}

/* A command as a list of random arguments, in one of the two forms. */
static void add_random_command(struct sp_prng *prng, struct sp_buf *in, struct sp_buf *expected) {
    uint32_t count = 1 + sp_prng_below(prng, 12);
    sp_str args[12];
    char bytes[12][40];
    for (uint32_t i = 0; i < count; i++) {
        args[i] = sp_str_of(bytes[i], sp_prng_below(prng, 40));
        for (size_t k = 0; k < args[i].len; k++) {
            bytes[i][k] = (char)sp_prng_below(prng, 256);
        }
    }
    struct sp_resp_command command = {.args = args, .argc = count};
    add_command(expected, &command);
    bool quoted = sp_prng_below(prng, 2) == 0;
    if (!quoted) {
        sp_buf_add_byte(in, '*');
        sp_buf_add_u64(in, count);
        sp_buf_add_str(in, SP_STR("\r\n"));
    }
    for (uint32_t i = 0; i < count; i++) {
        sp_buf_add_str(in, quoted ? SP_STR(" \"") : SP_STR("$"));
        if (!quoted) {
            sp_buf_add_u64(in, args[i].len);
            sp_buf_add_str(in, SP_STR("\r\n"));
            sp_buf_add_str(in, args[i]);
        }
        for (size_t k = 0; quoted && k < args[i].len; k++) {
            char hex[5];
            (void)snprintf(hex, sizeof(hex), "\\x%02x", (unsigned)(uint8_t)bytes[i][k]);
            sp_buf_add(in, hex, 4);
        }
        sp_buf_add_str(in, quoted ? SP_STR("\"") : SP_STR("\r\n"));
    }
    sp_buf_add_str(in, quoted ? SP_STR("\r\n") : SP_STR(""));
}

static void random_commands_come_back_however_they_are_cut(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(3);
    struct sp_buf in;
    struct sp_buf expected;
    struct sp_buf read;
    sp_buf_init(&in, 1 << 20);
    sp_buf_init(&expected, 1 << 20);
    sp_buf_init(&read, 1 << 20);
    for (int round = 0; round < 300; round++) {
        sp_buf_reset(&in);
        sp_buf_reset(&expected);
        sp_buf_reset(&read);
        for (int i = 0; i < 5; i++) {
            add_random_command(&prng, &in, &expected);
        }
        read_all(sp_buf_str(&in), &LIMITS, round % 4 == 0 ? NULL : &prng, &read);
        assert_true(sp_str_eq(sp_buf_str(&read), sp_buf_str(&expected)));
    }
    sp_buf_fini(&in);
    sp_buf_fini(&expected);
    sp_buf_fini(&read);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_of_bulks_are_commands),
        cmocka_unit_test(empty_commands_are_passed_over),
        cmocka_unit_test(numbers_of_any_ordinary_length_are_read),
        cmocka_unit_test(what_is_no_array_is_refused_as_redis_does),
        cmocka_unit_test(lines_that_never_end_are_refused),
        cmocka_unit_test(inline_words_may_be_quoted),
        cmocka_unit_test(unbalanced_quotes_are_refused),
        cmocka_unit_test(an_unknown_client_gets_little_room),
        cmocka_unit_test(it_says_how_much_is_missing),
        cmocka_unit_test(pieces_cost_no_more_than_the_whole),
        cmocka_unit_test(random_commands_come_back_however_they_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
