/* The error record: says what, cuts instead of overrunning, grows at the front on the way up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/error.h"

static void test_set_returns_its_status(void **state) {
    (void)state;
    struct sp_error error;
    sp_error_clear(&error);
    assert_int_equal(error.status, SP_OK);
    assert_string_equal(error.text, "");
    assert_int_equal(sp_error_set(&error, SP_CORRUPT, "block %d", 7), SP_CORRUPT);
    assert_int_equal(error.status, SP_CORRUPT);
    assert_string_equal(error.text, "block 7");
    assert_int_equal(sp_error_set_os(&error, SP_IO, EIO, "write"), SP_IO);
    assert_int_equal(error.os_error, EIO);
    assert_int_equal(error.offset, 0);
    uint64_t far = 1ull << 40;
    assert_int_equal(sp_error_set_at(&error, SP_INVALID, far, "bad escape"), SP_INVALID);
    assert_int_equal(error.offset, far);
    assert_int_equal(error.os_error, 0); /* nothing is left of the error before */
    assert_string_equal(error.text, "bad escape");
}

/* Whoever is not interested passes NULL and still gets the status. */
static void test_null_record(void **state) {
    (void)state;
    sp_error_clear(NULL);
    assert_int_equal(sp_error_set(NULL, SP_LIMIT, "%s", "x"), SP_LIMIT);
    assert_int_equal(sp_error_set_os(NULL, SP_IO, EIO, "x"), SP_IO);
    assert_int_equal(sp_error_set_at(NULL, SP_INVALID, 5, "x"), SP_INVALID);
    assert_int_equal(sp_error_prefix(NULL, SP_BUSY, "x"), SP_BUSY);
}

static void test_prefix_goes_in_front(void **state) {
    (void)state;
    struct sp_error error;
    sp_status status = sp_error_set_os(&error, SP_IO, ENOSPC, "write 3.seg");
    status = sp_error_prefix(&error, status, "segment %d", 3);
    status = sp_error_prefix(&error, status, "open ./data");
    assert_int_equal(status, SP_IO);
    assert_string_equal(error.text, "open ./data: segment 3: write 3.seg");
    assert_int_equal(error.os_error, ENOSPC);
    assert_int_equal(sp_error_prefix(&error, SP_FAILED, "engine"), SP_FAILED);
    assert_int_equal(error.status, SP_FAILED);
}

static void test_long_texts_are_cut(void **state) {
    (void)state;
    char name[2 * SP_ERROR_TEXT_SIZE];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    struct sp_error error;
    (void)sp_error_set(&error, SP_INVALID, "%s", name);
    assert_int_equal(strlen(error.text), SP_ERROR_TEXT_SIZE - 1);
    (void)sp_error_prefix(&error, SP_INVALID, "context");
    assert_int_equal(strlen(error.text), SP_ERROR_TEXT_SIZE - 1);
    assert_memory_equal(error.text, "context: nnn", 12);
    (void)sp_error_prefix(&error, SP_INVALID, "%s", name);
    assert_int_equal(strlen(error.text), SP_ERROR_TEXT_SIZE - 1);
}

/* Prefixes of every length around the point where nothing of the text fits any more. */
static void test_prefix_of_every_length(void **state) {
    (void)state;
    char prefix[SP_ERROR_TEXT_SIZE + 10];
    for (size_t len = 0; len < sizeof(prefix) - 1; len++) {
        memset(prefix, 'p', len);
        prefix[len] = '\0';
        struct sp_error error;
        (void)sp_error_set(&error, SP_INVALID, "text");
        (void)sp_error_prefix(&error, SP_INVALID, "%s", prefix);
        size_t got = strlen(error.text);
        assert_true(got < SP_ERROR_TEXT_SIZE);
        size_t shown = len < SP_ERROR_TEXT_SIZE - 1 ? len : SP_ERROR_TEXT_SIZE - 1;
        assert_memory_equal(error.text, prefix, shown);
        if (len + strlen(": text") < SP_ERROR_TEXT_SIZE) {
            assert_string_equal(error.text + len, ": text");
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_returns_its_status), cmocka_unit_test(test_null_record),
        cmocka_unit_test(test_prefix_goes_in_front),   cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_prefix_of_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
