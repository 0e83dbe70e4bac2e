/* Blobs: aligned, counted across threads, freed by the last reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/blob.h"

static void test_made_as_asked_for(void **state) {
    (void)state;
    static const size_t alignments[] = {16, 64, 512, 4096, 65536};
    static const size_t capacities[] = {0, 1, 16, 4095, 4096, 4097, 1000000};
    for (size_t i = 0; i < sizeof(alignments) / sizeof(alignments[0]); i++) {
        for (size_t j = 0; j < sizeof(capacities) / sizeof(capacities[0]); j++) {
            struct sp_blob *blob = sp_blob_new(capacities[j], alignments[i]);
            assert_non_null(blob);
            assert_int_equal(blob->len, 0);
            assert_true(blob->capacity >= capacities[j]);
            assert_int_equal((uintptr_t)blob->data % alignments[i], 0);
            memset(blob->data, 0xab, blob->capacity);
            sp_blob_unref(blob);
        }
    }
}

/* Rounding up to the alignment must not wrap around to a small allocation. */
static void test_size_that_wraps(void **state) {
    (void)state;
    assert_null(sp_blob_new(SIZE_MAX, 16));
    assert_null(sp_blob_new(SIZE_MAX - 14, 16));
    assert_null(sp_blob_new(SIZE_MAX - 100, 4096));
}

static void test_lives_until_the_last_reference(void **state) {
    (void)state;
    struct sp_blob *blob = sp_blob_new(100, 16);
    assert_non_null(blob);
    memcpy(blob->data, "payload", 7);
    blob->len = 7;
    assert_ptr_equal(sp_blob_ref(blob), blob);
    assert_ptr_equal(sp_blob_ref(blob), blob);
    sp_blob_unref(blob);
    sp_blob_unref(blob);
    assert_memory_equal(blob->data, "payload", 7); /* a sanitizer would object were it gone */
    sp_blob_unref(blob);
    sp_blob_unref(NULL);
}

static void *ref_and_unref(void *context) {
    struct sp_blob *blob = context;
    for (unsigned i = 0; i < 100000; i++) {
        sp_blob_unref(sp_blob_ref(blob));
    }
    sp_blob_unref(blob);
    return NULL;
}

static void test_counted_across_threads(void **state) {
    (void)state;
    enum { THREADS = 4 };
    struct sp_blob *blob = sp_blob_new(4096, 4096);
    assert_non_null(blob);
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref, sp_blob_ref(blob)), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&blob->refs), 1);
    sp_blob_unref(blob);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_as_asked_for),
        cmocka_unit_test(test_size_that_wraps),
        cmocka_unit_test(test_lives_until_the_last_reference),
        cmocka_unit_test(test_counted_across_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
