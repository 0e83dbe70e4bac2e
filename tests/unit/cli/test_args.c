/* The command line as it is read: options, operands, commands of two words, mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/suggest.h"
#include "cli/args.h"

static const struct sp_command COMMANDS[] = {
    {.name = "events",
     .operands = "",
     .flags = SP_FLAG_BIT(SP_FLAG_TYPE) | SP_FLAG_BIT(SP_FLAG_SOURCE) | SP_FLAG_BIT(SP_FLAG_LIMIT) |
              SP_FLAG_BIT(SP_FLAG_REVERSE) | SP_FLAG_BIT(SP_FLAG_UNTIL) |
              SP_FLAG_BIT(SP_FLAG_STREAMS)},
    {.name = "publish",
     .operands = "TYPE [JSON]",
     .operand_count_min = 1,
     .operand_count_max = 2,
     .flags = SP_FLAG_BIT(SP_FLAG_EVENT_SOURCE)},
    {.name = "stream ls", .operands = ""},
    {.name = "stream show", .operands = "NAME", .operand_count_min = 1, .operand_count_max = 1},
};

static struct sp_command_table table(void) {
    return (struct sp_command_table){
        .commands = COMMANDS,
        .command_count = sizeof(COMMANDS) / sizeof(*COMMANDS),
        .flags = sp_flag_table(),
    };
}

enum { WORDS_MAX = 12 };

/* Parses the words; the error's text, empty where there is none, goes to *error. */
static sp_status parse(struct sp_args *args, struct sp_error *error, const char *const *words) {
    char *argv[WORDS_MAX + 1] = {(char[]){"spoor"}};
    int argc = 1;
    while (words[argc - 1] != NULL) {
        assert_true(argc < WORDS_MAX);
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
        argc++;
    }
    struct sp_command_table commands = table();
    sp_error_clear(error);
    return sp_args_parse(&commands, argc, argv, args, error);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_error(const char *const *words, const char *text) {
    struct sp_args args;
    struct sp_error error;
    assert_int_equal(parse(&args, &error, words), SP_INVALID);
    assert_string_equal(error.text, text);
}

static void options_stand_anywhere(void **state) {
    (void)state;
    struct sp_args args;
    struct sp_error error;
    assert_int_equal(parse(&args, &error,
                           WORDS("--data", "d", "events", "--type=a.*", "--type", "b", "-q",
                                 "--limit", "10k", "--reverse")),
                     SP_OK);
    assert_string_equal(args.command->name, "events");
    assert_string_equal(args.values[SP_FLAG_DATA], "d");
    assert_int_equal(args.type_count, 2);
    assert_string_equal(args.types[0], "a.*");
    assert_string_equal(args.types[1], "b");
    assert_int_equal(sp_args_u64(&args, SP_FLAG_LIMIT, 0), 10000);
    assert_true(sp_args_has(&args, SP_FLAG_REVERSE));
    assert_true(sp_args_has(&args, SP_FLAG_QUIET));
    assert_false(sp_args_has(&args, SP_FLAG_JSON));
    assert_int_equal(args.operand_count, 0);
}

static void values_may_begin_with_a_hyphen(void **state) {
    (void)state;
    struct sp_args args;
    struct sp_error error;
    assert_int_equal(parse(&args, &error, WORDS("events", "--until", "-10m")), SP_OK);
    assert_string_equal(args.values[SP_FLAG_UNTIL], "-10m");
}

static void a_name_means_what_its_command_says(void **state) {
    (void)state;
    struct sp_args args;
    struct sp_error error;
    assert_int_equal(parse(&args, &error, WORDS("publish", "a.b", "--source", "me", "-")), SP_OK);
    assert_string_equal(args.values[SP_FLAG_EVENT_SOURCE], "me");
    assert_null(args.values[SP_FLAG_SOURCE]);
    assert_string_equal(args.operands[1], "-");
}

static void operands_behind_two_hyphens(void **state) {
    (void)state;
    struct sp_args args;
    struct sp_error error;
    assert_int_equal(parse(&args, &error, WORDS("publish", "--", "a", "--json")), SP_OK);
    assert_int_equal(args.operand_count, 2);
    assert_string_equal(args.operands[1], "--json");
    assert_false(sp_args_has(&args, SP_FLAG_JSON));
}

static void commands_of_two_words(void **state) {
    (void)state;
    struct sp_args args;
    struct sp_error error;
    assert_int_equal(parse(&args, &error, WORDS("stream", "--json", "show", "s")), SP_OK);
    assert_string_equal(args.command->name, "stream show");
    assert_string_equal(args.operands[0], "s");
    expect_error(WORDS("stream"), "'stream' needs one of: ls, show");
    expect_error(WORDS("stream", "shw"), "'stream' knows no 'shw', only: ls, show");
}

static void mistakes_are_named(void **state) {
    (void)state;
    expect_error(WORDS("evnts"), "unknown command 'evnts'; did you mean 'events'?");
    expect_error(WORDS("zzz"), "unknown command 'zzz'");
    expect_error(WORDS("events", "--tpye", "x"), "unknown option --tpye; did you mean --type?");
    expect_error(WORDS("events", "--tpye=x"), "unknown option --tpye; did you mean --type?");
    expect_error(WORDS("events", "--at", "3"), "'events' takes no --at");
    expect_error(WORDS("--limit", "3", "events"), "--limit goes behind the command");
    expect_error(WORDS("events", "--limit"), "--limit needs a value: N");
    expect_error(WORDS("events", "--limit", "ten"), "--limit: 'ten' is no whole number");
    expect_error(WORDS("events", "--limit", ""), "--limit: '' is no whole number");
    expect_error(WORDS("events", "--streams", "1,x"), "--streams: 'x' is no whole number");
    expect_error(WORDS("events", "--source", "a", "--source", "b"), "--source is given twice");
    expect_error(WORDS("events", "--reverse=yes"), "--reverse takes no value");
    expect_error(WORDS("events", "-x"), "unknown option -x");
    expect_error(WORDS("events", "-qq"), "unknown option -qq");
    expect_error(WORDS("events", "more"), "'events' has no use for 'more'");
    expect_error(WORDS("publish"), "'publish' needs more: TYPE [JSON]");
    expect_error(WORDS("--json"), "no command was given");
}

static void help_wants_no_operands(void **state) {
    (void)state;
    struct sp_args args;
    struct sp_error error;
    assert_int_equal(parse(&args, &error, WORDS("publish", "-h")), SP_OK);
    assert_true(sp_args_has(&args, SP_FLAG_HELP));
    assert_string_equal(args.command->name, "publish");
}

static void numbers_with_units(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } CASES[] = {
        {"0", 0},
        {"17", 17},
        {"10k", 10000},
        {"2M", 2000000},
        {"10GiB", 10737418240},
        {"4Ki", 4096},
        {"1MB", 1000000},
        {"512B", 512},
        {"18446744073709551615", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
        uint64_t value = 1;
        assert_int_equal(sp_args_number(sp_str_from(CASES[i].text), &value, NULL), SP_OK);
        assert_int_equal(value, CASES[i].value);
    }
    static const char *const BAD[] = {
        "",   "k",   "-1", "1.5", "1T", "1kk", "18446744073709551616", "18446744073709551615k",
        " 1", "0x10"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
        uint64_t value = 1;
        assert_int_equal(sp_args_number(sp_str_from(BAD[i]), &value, NULL), SP_INVALID);
        assert_int_equal(value, 1);
    }
}

static void lists_of_numbers(void **state) {
    (void)state;
    struct sp_args args;
    struct sp_error error;
    uint64_t values[SP_ARGS_NUMBERS_MAX];
    assert_int_equal(parse(&args, &error, WORDS("events", "--streams", "1,64,1k")), SP_OK);
    assert_int_equal(sp_args_list(&args, SP_FLAG_STREAMS, values), 3);
    assert_int_equal(values[2], 1000);
    assert_int_equal(sp_args_list(&args, SP_FLAG_OUTSTANDING, values), 0);
    expect_error(WORDS("events", "--streams", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"),
                 "--streams: more than 16 numbers");
}

static void distances(void **state) {
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        unsigned distance;
    } CASES[] = {
        {"", "", 0},
        {"a", "", 1},
        {"events", "events", 0},
        {"evnts", "events", 1},
        {"evetns", "events", 1},
        {"event", "events", 1},
        {"wyh", "why", 1},
        {"import", "export", 2},
        {"kitten", "sitting", 3},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
        sp_str a = sp_str_from(CASES[i].a);
        sp_str b = sp_str_from(CASES[i].b);
        assert_int_equal(sp_suggest_distance(a, b), CASES[i].distance);
        assert_int_equal(sp_suggest_distance(b, a), CASES[i].distance);
    }
    char longer[100];
    memset(longer, 'x', sizeof(longer));
    assert_int_equal(sp_suggest_distance(sp_str_of(longer, 100), SP_STR("x")), 100);
}

static void only_near_names_are_suggested(void **state) {
    (void)state;
    struct sp_suggest suggest;
    sp_suggest_init(&suggest, SP_STR("wyh"));
    sp_suggest_try(&suggest, "run ls");
    assert_null(suggest.best);
    sp_suggest_try(&suggest, "why");
    sp_suggest_try(&suggest, "who");
    assert_string_equal(suggest.best, "why");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(values_may_begin_with_a_hyphen),
        cmocka_unit_test(a_name_means_what_its_command_says),
        cmocka_unit_test(operands_behind_two_hyphens),
        cmocka_unit_test(commands_of_two_words),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(help_wants_no_operands),
        cmocka_unit_test(numbers_with_units),
        cmocka_unit_test(lists_of_numbers),
        cmocka_unit_test(distances),
        cmocka_unit_test(only_near_names_are_suggested),
    };
    return cmocka_run_group_tests_name("args", tests, NULL, NULL);
}
