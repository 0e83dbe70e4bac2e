/*
 * The parsing suite of JSONTestSuite, which decides what JSON is: y_ must be accepted, n_ refused.
 * It lies beside the checkout, in $SPOOR_SHARED or ../shared; where it is absent the tests are
 * skipped.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

/*
 * What the suite leaves open, and why we decide so. Numbers: RFC 8259 sets no limit to size and
 * precision, and spoor keeps a number's own text; only a comparison rounds it. So all are accepted.
 * Strings: what is not UTF-8 or has no UTF-8 form (half a surrogate pair) could not be given back
 * by every client, nor compared: refused. So are other encodings and a byte order mark, which RFC
 * 8259 forbids to send. Depth: 500 levels are within the limit of SP_JSON_DEPTH_MAX.
 */
static const struct {
    const char *name;
    bool accepted;
} OPEN[] = {
    {"i_number_double_huge_neg_exp.json", true},
    {"i_number_huge_exp.json", true},
    {"i_number_neg_int_huge_exp.json", true},
    {"i_number_pos_double_huge_exp.json", true},
    {"i_number_real_neg_overflow.json", true},
    {"i_number_real_pos_overflow.json", true},
    {"i_number_real_underflow.json", true},
    {"i_number_too_big_neg_int.json", true},
    {"i_number_too_big_pos_int.json", true},
    {"i_number_very_big_negative_int.json", true},
    {"i_object_key_lone_2nd_surrogate.json", false},
    {"i_string_1st_surrogate_but_2nd_missing.json", false},
    {"i_string_1st_valid_surrogate_2nd_invalid.json", false},
    {"i_string_UTF-16LE_with_BOM.json", false},
    {"i_string_UTF-8_invalid_sequence.json", false},
    {"i_string_UTF8_surrogate_U+D800.json", false},
    {"i_string_incomplete_surrogate_and_escape_valid.json", false},
    {"i_string_incomplete_surrogate_pair.json", false},
    {"i_string_incomplete_surrogates_escape_valid.json", false},
    {"i_string_invalid_lonely_surrogate.json", false},
    {"i_string_invalid_surrogate.json", false},
    {"i_string_invalid_utf-8.json", false},
    {"i_string_inverted_surrogates_U+1D11E.json", false},
    {"i_string_iso_latin_1.json", false},
    {"i_string_lone_second_surrogate.json", false},
    {"i_string_lone_utf8_continuation_byte.json", false},
    {"i_string_not_in_unicode_range.json", false},
    {"i_string_overlong_sequence_2_bytes.json", false},
    {"i_string_overlong_sequence_6_bytes.json", false},
    {"i_string_overlong_sequence_6_bytes_null.json", false},
    {"i_string_truncated-utf-8.json", false},
    {"i_string_utf16BE_no_BOM.json", false},
    {"i_string_utf16LE_no_BOM.json", false},
    {"i_structure_500_nested_arrays.json", true},
    {"i_structure_UTF-8_BOM_empty_object.json", false},
};

static char folder[4096];

static bool find_folder(void) {
    const char *shared = getenv("SPOOR_SHARED");
    if (shared != NULL) {
        snprintf(folder, sizeof(folder), "%s/data/json-test-suite/test_parsing", shared);
    } else {
        /* __FILE__ is tests/unit/base/test_json_suite.c as seen from where the compiler ran. */
        const char *slash = strrchr(__FILE__, '/');
        int length = slash != NULL ? (int)(slash - __FILE__) : 0;
        snprintf(folder, sizeof(folder),
                 "%.*s/../../../../shared/data/json-test-suite/test_parsing", length, __FILE__);
    }
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return false;
    }
    closedir(dir);
    return true;
}

static sp_str read_file(const char *name) {
    char path[8192];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    /* To the byte, so that the sanitizer sees a read past the text. */
    char *bytes = malloc(size > 0 ? (size_t)size : 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)size, file), size);
    fclose(file);
    return sp_str_of(bytes, (size_t)size);
}

/* The verdict on a file; pulling it token by token must come to the same one. */
static bool accepts(const char *name) {
    sp_str text = read_file(name);
    bool accepted = sp_json_check(text, NULL) == SP_OK;
    struct sp_json json;
    sp_json_init(&json, text);
    enum sp_json_type type;
    do {
        type = sp_json_next(&json).type;
    } while (type != SP_JSON_END && type != SP_JSON_ERROR);
    assert_int_equal(type == SP_JSON_END, accepted);
    free((void *)(uintptr_t)text.ptr);
    return accepted;
}

/* Checks all files whose names begin with the letter; returns how many there were. */
static int check_all(char letter, bool expected) {
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int count = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == letter && entry->d_name[1] == '_') {
            count++;
            if (accepts(entry->d_name) != expected) {
                fail_msg("%s: %s", entry->d_name, expected ? "refused" : "accepted");
            }
        }
    }
    closedir(dir);
    return count;
}

static void skip_if_absent(void) {
    if (!find_folder()) {
        print_message("the JSON test suite is not at %s\n", folder);
        skip();
    }
}

static void valid_texts_are_accepted(void **state) {
    (void)state;
    skip_if_absent();
    assert_true(check_all('y', true) >= 95);
}

static void invalid_texts_are_refused(void **state) {
    (void)state;
    skip_if_absent();
    assert_true(check_all('n', false) >= 187);
}

static void open_questions_are_decided(void **state) {
    (void)state;
    skip_if_absent();
    for (size_t i = 0; i < sizeof(OPEN) / sizeof(OPEN[0]); i++) {
        if (accepts(OPEN[i].name) != OPEN[i].accepted) {
            fail_msg("%s: %s", OPEN[i].name, OPEN[i].accepted ? "refused" : "accepted");
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_texts_are_accepted),
        cmocka_unit_test(invalid_texts_are_refused),
        cmocka_unit_test(open_questions_are_decided),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
