/* jq programs: what they say, what they must not do, and what becomes of those that do it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "jq/jq.h"

static bool in_process; /* most tests run once in a worker and once here */

static struct sp_jq *jq_new(uint64_t deadline_ms, uint64_t memory_bytes) {
    const struct sp_jq_options options = {
        .in_process = in_process, .deadline_ms = deadline_ms, .memory_bytes = memory_bytes};
    struct sp_jq *jq = NULL;
    assert_int_equal(sp_jq_new(&options, &jq, NULL), SP_OK);
    return jq;
}

static struct sp_jq_program *define(struct sp_jq *jq, const char *text) {
    static const char *const names[] = {"command", "now_is"};
    struct sp_jq_program *program = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_jq_define(jq, sp_str_from(text), names, 2, &program, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(status, SP_OK);
    return program;
}

/* Runs the program over one input; compares its one result, or its error. */
static sp_status run(struct sp_jq_program *program, const char *input, struct sp_buf *to,
                     struct sp_error *error) {
    const sp_str values[] = {sp_str_from(input), SP_STR("{\"id\":\"c1\"}"), SP_STR("7")};
    sp_error_clear(error);
    return sp_jq_value(program, values, to, error);
}

static void expect(struct sp_jq *jq, const char *text, const char *input, const char *result) {
    struct sp_buf to;
    struct sp_error error;
    sp_buf_init(&to, 1 << 20);
    struct sp_jq_program *program = define(jq, text);
    sp_status status = run(program, input, &to, &error);
    sp_buf_add_byte(&to, 0);
    assert_string_equal(error.text, "");
    assert_int_equal(status, SP_OK);
    assert_string_equal((const char *)to.data, result);
    sp_jq_drop(program);
    sp_buf_fini(&to);
}

static void expect_error(struct sp_jq *jq, const char *text, const char *input,
                         const char *message) {
    struct sp_buf to;
    struct sp_error error;
    sp_buf_init(&to, 1 << 20);
    struct sp_jq_program *program = define(jq, text);
    assert_int_equal(run(program, input, &to, &error), SP_INVALID);
    if (strstr(error.text, message) == NULL) {
        print_error("%s: %s\n", text, error.text);
        fail();
    }
    assert_false(sp_jq_is_refused(program));
    sp_jq_drop(program);
    sp_buf_fini(&to);
}

static void test_values(void **state) {
    (void)state;
    struct sp_jq *jq = jq_new(0, 0);
    expect(jq, ".", "{\"b\":1,\"a\":[1,2,{\"x\":null}]}", "{\"b\":1,\"a\":[1,2,{\"x\":null}]}");
    expect(jq, ". + {new: .old} | del(.old)", "{\"old\":\"text\"}", "{\"new\":\"text\"}");
    expect(jq, "{id: $command.id, now: $now_is}", "null", "{\"id\":\"c1\",\"now\":7}");
    expect(jq, "def f: . + 1; # a comment\n[.[] | f]", "[1,2]", "[2,3]");
    expect(jq, "ascii_downcase | test(\"^caf\")", "\"CAF\xc3\x89\"", "true");
    expect(jq, "# only a comment\n. # and one at the end", "1", "1");
    expect(jq, ".a", "{\"a\":\"\\u0000\\ud83d\\ude00\"}", "\"\\u0000\xf0\x9f\x98\x80\"");
    sp_jq_free(jq);
}

/* What jq 1.6 makes of numbers: docs/upcasters.md says so to everybody. */
static void test_numbers_are_doubles(void **state) {
    (void)state;
    struct sp_jq *jq = jq_new(0, 0);
    expect(jq, ".", "9007199254740992", "9007199254740992");
    expect(jq, ".", "9007199254740993", "9007199254740992");
    expect(jq, ".", "12345678901234567890", "12345678901234567000");
    expect(jq, ".", "[1.0,1e2,0.1,-0,1e400]", "[1,100,0.1,-0,1.7976931348623157e+308]");
    expect(jq, ".id", "{\"id\":\"12345678901234567890\"}", "\"12345678901234567890\"");
    expect(jq, ".", "{\"a\":1,\"a\":2}", "{\"a\":2}");
    sp_jq_free(jq);
}

static void test_nothing_but_the_input(void **state) {
    (void)state;
    static const char *const hidden[] = {"input",
                                         "[inputs]",
                                         "env",
                                         "halt",
                                         "\"x\" | halt_error",
                                         "halt_error(3)",
                                         "\"m\" | modulemeta",
                                         "get_search_list",
                                         "input_filename",
                                         "input_line_number",
                                         "now",
                                         "0 | localtime",
                                         "0 | strflocaltime(\"%Y\")"};
    struct sp_jq *jq = jq_new(0, 0);
    for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++) {
        expect_error(jq, hidden[i], "1", "is not there: a program sees its input only");
    }
    assert_int_equal(setenv("SPOOR_TEST_SECRET", "secret", 1), 0);
    expect(jq, "$ENV", "1", "{}");
    expect(jq, "try env.SPOOR_TEST_SECRET catch \"none\"", "1", "\"none\"");
    expect(jq, ".) | ($ENV", "1", "{}");
    expect(jq, "debug | stderr", "1", "1");
    sp_jq_free(jq);
}

static void expect_refused(struct sp_jq *jq, const char *text, const char *message) {
    struct sp_jq_program *program = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    assert_int_equal(sp_jq_define(jq, sp_str_from(text), NULL, 0, &program, &error), SP_INVALID);
    assert_string_equal(error.text, message);
    assert_null(program);
}

static void test_programs_that_are_none(void **state) {
    (void)state;
    struct sp_jq *jq = jq_new(0, 0);
    expect_refused(jq, ".a |", "not a jq program: line 1: it ends in the middle");
    expect_refused(jq, ".a\n| (.b\n", "not a jq program: line 3: it ends in the middle");
    expect_refused(jq, ".a)", "not a jq program: line 1: a ')' too many");
    expect_refused(jq, "", "not a jq program: line 1: it ends in the middle");
    expect_refused(jq, ".a\n| nofun(1)",
                   "not a jq program: line 2: nofun/1 is not defined, at '| nofun(1)'");
    expect_refused(jq, ".a\n\n+ $nope",
                   "not a jq program: line 3: $nope is not defined, at '+ $nope'");
    expect_refused(
        jq, "import \"a\" as a; .",
        "not a jq program: line 1: syntax error, unexpected import, at 'import \"a\" as a; "
        ".'");
    expect_refused(jq, "include \"/etc/passwd\"; .",
                   "not a jq program: line 1: syntax error, unexpected include, at 'include "
                   "\"/etc/passwd\"; .'");
    expect(jq, ".", "1", "1");
    sp_jq_free(jq);
}

static void test_errors_of_programs(void **state) {
    (void)state;
    struct sp_jq *jq = jq_new(0, 0);
    expect_error(jq, "error(\"no such tier\")", "1", "no such tier");
    expect_error(jq, "error({code: 7})", "1", "{\"code\":7}");
    expect_error(jq, ".a.b", "{\"a\":3}", "Cannot index number with string \"b\"");
    expect_error(jq, "empty", "1", "the program gave 0 values, expected one");
    expect_error(jq, "1, 2", "1", "the program gave 2 values, expected one");
    expect_error(jq, ".", "{\"a\":", "the value is no JSON that jq reads: ");
    expect_error(jq, ".", "", "the value is no JSON that jq reads: ");
    char deep[1001];
    memset(deep, '[', 500);
    memset(deep + 500, ']', 500);
    deep[1000] = 0;
    expect_error(jq, ".", deep, "depth");
    sp_jq_free(jq);
}

static void test_too_many_results(void **state) {
    (void)state;
    struct sp_jq *jq = jq_new(60000, 0);
    struct sp_jq_program *program = define(jq, "range(20000)");
    struct sp_buf to;
    struct sp_error error;
    sp_buf_init(&to, 1 << 20);
    assert_int_equal(run(program, "1", &to, &error), SP_LIMIT);
    assert_non_null(strstr(error.text, "more than 10000 results"));
    assert_false(sp_jq_is_refused(program));
    sp_jq_drop(program);
    sp_buf_fini(&to);
    sp_jq_free(jq);
}

/* ---- batches --------------------------------------------------------------------------------- */

struct tally {
    uint32_t next;
    uint32_t wrong;
    uint32_t stop_at;
};

static bool count_outcome(void *context, uint32_t number, const struct sp_jq_outcome *outcome,
                          const struct sp_error *error) {
    struct tally *tally = context;
    char expected[32];
    assert_int_equal(number, tally->next);
    tally->next++;
    if (number % 10 == 3) {
        assert_int_equal(outcome->status, SP_INVALID);
        assert_string_equal(error->text, "three");
        tally->wrong++;
    } else {
        assert_int_equal(outcome->status, SP_OK);
        assert_int_equal(outcome->result_count, 1);
        int len = snprintf(expected, sizeof(expected), "%u", number + 1);
        assert_int_equal(outcome->results[0].len, len);
        assert_memory_equal(outcome->results[0].ptr, expected, (size_t)len);
    }
    return tally->next != tally->stop_at;
}

static void test_batch(void **state) {
    (void)state;
    enum { RUNS = 5000 };
    static char texts[RUNS][16];
    static sp_str values[RUNS];
    struct sp_jq *jq = jq_new(60000, 0);
    struct sp_jq_program *program = NULL;
    assert_int_equal(sp_jq_define(jq, SP_STR("if . % 10 == 3 then error(\"three\") else . + 1 end"),
                                  NULL, 0, &program, NULL),
                     SP_OK);
    for (uint32_t i = 0; i < RUNS; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "%u", i);
        values[i] = sp_str_from(texts[i]);
    }
    struct tally all = {.next = 0};
    assert_int_equal(sp_jq_run_many(program, values, RUNS, count_outcome, &all, NULL), SP_OK);
    assert_int_equal(all.next, RUNS);
    assert_int_equal(all.wrong, RUNS / 10);
    struct tally some = {.stop_at = 17};
    assert_int_equal(sp_jq_run_many(program, values, RUNS, count_outcome, &some, NULL), SP_OK);
    assert_int_equal(some.next, 17);
    struct tally none = {.next = 0};
    assert_int_equal(sp_jq_run_many(program, values, 0, count_outcome, &none, NULL), SP_OK);
    struct tally again = {.next = 0};
    assert_int_equal(sp_jq_run_many(program, values, 100, count_outcome, &again, NULL), SP_OK);
    assert_int_equal(again.next, 100);
    sp_jq_drop(program);
    sp_jq_free(jq);
}

static void test_large_values(void **state) {
    (void)state;
    enum { LEN = 4 << 20 };
    struct sp_jq *jq = jq_new(60000, 0);
    struct sp_jq_program *program = NULL;
    assert_int_equal(sp_jq_define(jq, SP_STR("."), NULL, 0, &program, NULL), SP_OK);
    char *text = malloc(LEN * 5);
    assert_non_null(text);
    memset(text, 'x', LEN * 5);
    text[0] = '"';
    text[LEN - 1] = '"';
    struct sp_buf to;
    sp_buf_init(&to, 64 << 20);
    sp_str value = sp_str_of(text, LEN);
    assert_int_equal(sp_jq_value(program, &value, &to, NULL), SP_OK);
    assert_int_equal(to.len, LEN);
    assert_memory_equal(to.data, text, LEN);
    value.len = LEN * 5;
    struct sp_error error;
    sp_error_clear(&error);
    assert_int_equal(sp_jq_value(program, &value, &to, &error), SP_LIMIT);
    assert_string_equal(error.text, "the values have more than 16777216 bytes");
    free(text);
    sp_buf_fini(&to);
    sp_jq_drop(program);
    sp_jq_free(jq);
}

/* ---- programs that pass their limits: in a worker only --------------------------------------- */

static void expect_stopped(struct sp_jq *jq, const char *text, const char *message) {
    struct sp_buf to;
    struct sp_error error;
    struct sp_jq_program *good = define(jq, ". + 1");
    struct sp_jq_program *bad = define(jq, text);
    sp_buf_init(&to, 1 << 20);
    assert_int_not_equal(run(bad, "1", &to, &error), SP_OK);
    if (strstr(error.text, message) == NULL) {
        print_error("%s: %s\n", text, error.text);
        fail();
    }
    assert_true(sp_jq_is_refused(bad));
    assert_int_equal(run(bad, "1", &to, &error), SP_DENIED);
    assert_int_equal(run(good, "1", &to, &error), SP_OK); /* in another worker */
    assert_memory_equal(to.data, "2", 1);
    sp_jq_drop(bad);
    bad = define(jq, text); /* anew: it may try again */
    assert_false(sp_jq_is_refused(bad));
    sp_jq_drop(bad);
    sp_jq_drop(good);
    sp_buf_fini(&to);
}

static void test_limits(void **state) {
    (void)state;
    struct sp_jq *jq = jq_new(1000, 0);
    expect_stopped(jq, "def f: f; f", "took more than 1000 ms");
    expect_stopped(jq, "[limit(3; repeat(1))] | until(false; .)", "took more than 1000 ms");
    expect_stopped(jq, "reduce range(300000) as $i (null; [.]) | tojson | length",
                   "ended its worker");
    sp_jq_free(jq);
#if !defined(__SANITIZE_ADDRESS__)
    jq = jq_new(60000, 96 << 20);
    expect_stopped(jq, "[range(1e9)]", "took more than 96 MiB");
    sp_jq_free(jq);
#endif
}

static void test_no_worker(void **state) {
    (void)state;
    const struct sp_jq_options options = {.exe = "/nonexistent/spoor"};
    struct sp_jq *jq = NULL;
    struct sp_jq_program *program = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    assert_int_equal(sp_jq_new(&options, &jq, NULL), SP_OK);
    assert_int_equal(sp_jq_define(jq, SP_STR("."), NULL, 0, &program, &error), SP_IO);
    assert_non_null(strstr(error.text, "jq worker: cannot be started"));
    sp_jq_free(jq);
}

static void test_many_programs(void **state) {
    (void)state;
    enum { COUNT = 40 };
    struct sp_jq *jq = jq_new(60000, 0);
    struct sp_jq_program *programs[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), ". + %u", i);
        programs[i] = define(jq, text);
    }
    for (unsigned i = 0; i < COUNT; i += 2) {
        sp_jq_drop(programs[i]);
        programs[i] = define(jq, "\"new\"");
    }
    for (unsigned i = 0; i < COUNT; i++) {
        struct sp_buf to;
        struct sp_error error;
        char expected[32];
        sp_buf_init(&to, 100);
        assert_int_equal(run(programs[i], "100", &to, &error), SP_OK);
        sp_buf_add_byte(&to, 0);
        (void)snprintf(expected, sizeof(expected), i % 2 == 0 ? "\"new\"" : "%u", 100 + i);
        assert_string_equal((const char *)to.data, expected);
        sp_buf_fini(&to);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        sp_jq_drop(programs[i]);
    }
    sp_jq_free(jq);
}

static int go_in_process(void **state) {
    (void)state;
    in_process = true;
    return 0;
}

int main(int argc, char *argv[]) {
    int code = 0;
    if (sp_jq_worker_main(argc, argv, &code)) {
        return code;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_numbers_are_doubles),
        cmocka_unit_test(test_nothing_but_the_input),
        cmocka_unit_test(test_programs_that_are_none),
        cmocka_unit_test(test_errors_of_programs),
        cmocka_unit_test(test_too_many_results),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_large_values),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_no_worker),
        cmocka_unit_test(test_many_programs),
        {"values in-process", test_values, go_in_process, NULL, NULL},
        {"numbers_are_doubles in-process", test_numbers_are_doubles, go_in_process, NULL, NULL},
        {"nothing_but_the_input in-process", test_nothing_but_the_input, go_in_process, NULL, NULL},
        {"programs_that_are_none in-process", test_programs_that_are_none, go_in_process, NULL,
         NULL},
        {"errors_of_programs in-process", test_errors_of_programs, go_in_process, NULL, NULL},
        {"too_many_results in-process", test_too_many_results, go_in_process, NULL, NULL},
        {"batch in-process", test_batch, go_in_process, NULL, NULL},
        {"large_values in-process", test_large_values, go_in_process, NULL, NULL},
        {"many_programs in-process", test_many_programs, go_in_process, NULL, NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
