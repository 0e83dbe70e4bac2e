/*
 * The examples of docs/filters.md are true. A block of ```pattern, ```filter or ```regex has its
 * subject in the first line; each other line is `+ ` and what it matches, `- ` and what it does not
 * match, or `! ` and another subject, which is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "helper.h"
#include "match/pattern.h"
#include "match/regex.h"

enum subject_kind { SUBJECT_NONE, SUBJECT_PATTERN, SUBJECT_FILTER, SUBJECT_REGEX };

static bool regex_matches(sp_str expression, sp_str text) {
    struct sp_regex *regex = NULL;
    assert_int_equal(sp_regex_compile(expression, &regex, NULL), SP_OK);
    bool matches = sp_regex_search(regex, text, false);
    sp_regex_free(regex);
    return matches;
}

static bool matches(enum subject_kind kind, sp_str subject, sp_str object) {
    switch (kind) {
    case SUBJECT_PATTERN:
        assert_int_equal(sp_pattern_check(subject, NULL), SP_OK);
        return sp_pattern_match(subject, object);
    case SUBJECT_FILTER:
        return filter_matches(subject, object);
    case SUBJECT_REGEX:
        return regex_matches(subject, object);
    case SUBJECT_NONE:
        break;
    }
    fail_msg("no subject");
    return false;
}

static bool is_refused(enum subject_kind kind, sp_str subject) {
    struct sp_filter *filter = NULL;
    struct sp_regex *regex = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = kind == SUBJECT_PATTERN  ? sp_pattern_check(subject, &error)
                       : kind == SUBJECT_FILTER ? sp_filter_compile(subject, &filter, &error)
                                                : sp_regex_compile(subject, &regex, &error);
    return status != SP_OK && error.text[0] != '\0';
}

static void check_line(enum subject_kind kind, sp_str subject, sp_str line) {
    assert_true(line.len > 2 && line.ptr[1] == ' ');
    sp_str object = sp_str_from_byte(line, 2);
    bool right = line.ptr[0] == '!' ? is_refused(kind, object)
                                    : matches(kind, subject, object) == (line.ptr[0] == '+');
    if (!right || strchr("+-!", line.ptr[0]) == NULL) {
        fail_msg("%.*s: %.*s", SP_STR_ARG(subject), SP_STR_ARG(line));
    }
}

static enum subject_kind find_kind(sp_str line) {
    return sp_str_eq(line, SP_STR("```pattern"))  ? SUBJECT_PATTERN
           : sp_str_eq(line, SP_STR("```filter")) ? SUBJECT_FILTER
           : sp_str_eq(line, SP_STR("```regex"))  ? SUBJECT_REGEX
                                                  : SUBJECT_NONE;
}

static size_t check_page(sp_str page) {
    enum subject_kind kind = SUBJECT_NONE;
    sp_str subject = {.ptr = NULL, .len = 0};
    size_t checked = 0;
    while (page.len > 0) {
        const char *end = memchr(page.ptr, '\n', page.len);
        assert_non_null(end);
        sp_str line = sp_str_of(page.ptr, (size_t)(end - page.ptr));
        page = sp_str_from_byte(page, line.len + 1);
        if (sp_str_starts_with(line, SP_STR("```"))) {
            kind = find_kind(line);
            subject.ptr = NULL;
        } else if (kind != SUBJECT_NONE && subject.ptr == NULL) {
            subject = line;
        } else if (kind != SUBJECT_NONE) {
            check_line(kind, subject, line);
            checked++;
        }
    }
    return checked;
}

static void test_examples(void **state) {
    (void)state;
    char path[4096];
    const char *root = getenv("SPOOR_SOURCE");
    snprintf(path, sizeof(path), "%s/docs/filters.md", root != NULL ? root : ".");
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s cannot be read", path);
    }
    static char page[1 << 16];
    size_t len = fread(page, 1, sizeof(page), file);
    fclose(file);
    assert_true(len > 0 && len < sizeof(page));
    assert_true(check_page(sp_str_of(page, len)) > 80);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_examples)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
