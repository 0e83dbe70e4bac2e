/* Status codes: fixed numbers, distinct names, a phrase for each, and assertions that stay on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/status.h"

static const sp_status all[] = {
#define CODE(code, number, class, name, text) SP_##code,
    SP_STATUS_TABLE(CODE)
#undef CODE
};
enum { COUNT = sizeof(all) / sizeof(all[0]) };

/* Programs are compiled against these numbers: changing one breaks them. */
static void test_numbers_are_fixed(void **state) {
    (void)state;
    static const char *const names[] = {
        "ok",       "invalid", "limit",  "not_found",   "conflict",  "denied",
        "busy",     "timeout", "end",    "unsupported", "corrupt",   "io",
        "no_space", "fenced",  "failed", "no_memory",   "cancelled",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_string_equal(sp_status_name((sp_status)i), names[i]);
    }
    assert_true(COUNT >= sizeof(names) / sizeof(names[0]));
}

static void test_all_are_named_and_distinct(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(all[i], i); /* dense, so that arrays by status work */
        assert_true(strlen(sp_status_text(all[i])) > 0);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(sp_status_name(all[i]), sp_status_name(all[j]));
            assert_true(i == 0 || strcmp(sp_status_text(all[i]), sp_status_text(all[j])) != 0);
        }
    }
}

static void test_unknown_status_is_survived(void **state) {
    (void)state;
    assert_string_equal(sp_status_name((sp_status)999), "unknown");
    assert_true(strlen(sp_status_text((sp_status)999)) > 0);
}

/* ---- assertions, in a child that they end ---- */

static int signal_of_assertion(bool holds, bool never) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {.rlim_cur = 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        sp_require(holds);
        sp_ensure(holds);
        sp_invariant(holds);
        if (never) {
            sp_never();
        }
        _exit(0);
    }
    int result = 0;
    assert_int_equal(waitpid(child, &result, 0), child);
    return WIFSIGNALED(result) ? WTERMSIG(result) : 0;
}

static void test_assertions_stay_on(void **state) {
    (void)state;
    assert_int_equal(signal_of_assertion(true, false), 0);
    assert_int_equal(signal_of_assertion(false, false), SIGABRT);
    assert_int_equal(signal_of_assertion(true, true), SIGABRT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_fixed),
        cmocka_unit_test(test_all_are_named_and_distinct),
        cmocka_unit_test(test_unknown_status_is_survived),
        cmocka_unit_test(test_assertions_stay_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
