/* The manifest comes back as it was, and any change of it is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "log/manifest.h"
#include "memory_fs.h"

static struct sp_manifest make(uint32_t count) {
    struct sp_manifest manifest = {
        .created_us = 1700000000000000,
        .first_block = 5,
        .first_position = 50,
        .first_prev_check = 77,
        .segment_count = count,
        .segments = calloc((size_t)count + 1, sizeof(struct sp_manifest_segment)),
    };
    assert_non_null(manifest.segments);
    memset(manifest.uuid, 0xa5, sizeof(manifest.uuid));
    for (uint32_t i = 0; i < count; i++) {
        manifest.segments[i] = (struct sp_manifest_segment){
            .id = i + 3,
            .first_position = 50 + (uint64_t)i * 10,
            .last_position = 59 + (uint64_t)i * 10,
            .first_block = 5 + (uint64_t)i * 2,
            .last_block = 6 + (uint64_t)i * 2,
            .last_check = UINT64_MAX - i,
            .file_bytes = 12345 + i,
            .footer_check = i * 31,
        };
    }
    return manifest;
}

static void assert_same(const struct sp_manifest *a, const struct sp_manifest *b) {
    assert_memory_equal(a->uuid, b->uuid, sizeof(a->uuid));
    assert_int_equal(a->created_us, b->created_us);
    assert_int_equal(a->first_block, b->first_block);
    assert_int_equal(a->first_position, b->first_position);
    assert_int_equal(a->first_prev_check, b->first_prev_check);
    assert_int_equal(a->segment_count, b->segment_count);
    assert_memory_equal(a->segments, b->segments, a->segment_count * sizeof(a->segments[0]));
}

static void test_comes_back(void **state) {
    (void)state;
    const uint32_t counts[] = {0, 1, 2, 1000};
    for (size_t i = 0; i < 4; i++) {
        struct sp_manifest manifest = make(counts[i]);
        struct sp_manifest found;
        struct sp_buf bytes;
        sp_buf_init(&bytes, 1 << 20);
        sp_manifest_encode(&manifest, &bytes);
        assert_int_equal(bytes.status, SP_OK);
        assert_int_equal(sp_manifest_decode(sp_buf_str(&bytes), &found, NULL), SP_OK);
        assert_same(&manifest, &found);
        sp_manifest_fini(&found);
        sp_manifest_fini(&manifest);
        sp_buf_fini(&bytes);
    }
}

static void test_every_change_is_noticed(void **state) {
    (void)state;
    struct sp_manifest manifest = make(3);
    struct sp_manifest found;
    struct sp_buf bytes;
    sp_buf_init(&bytes, 1 << 20);
    sp_manifest_encode(&manifest, &bytes);
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(sp_manifest_decode(sp_buf_str(&bytes), &found, NULL), SP_CORRUPT);
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < bytes.len; len++) {
        uint8_t *part = malloc(len + 1);
        assert_non_null(part);
        memcpy(part, bytes.data, len);
        assert_int_equal(sp_manifest_decode(sp_str_of(part, len), &found, NULL), SP_CORRUPT);
        free(part);
    }
    sp_buf_add_byte(&bytes, 0);
    assert_int_equal(sp_manifest_decode(sp_buf_str(&bytes), &found, NULL), SP_CORRUPT);
    sp_manifest_fini(&manifest);
    sp_buf_fini(&bytes);
}

static void test_loaded_from_the_folder(void **state) {
    (void)state;
    struct memory_fs *fs = memory_fs_new();
    struct sp_manifest found;
    struct sp_error error = {.status = SP_OK};
    assert_int_equal(sp_manifest_load(&fs->base, &found, NULL), SP_NOT_FOUND);
    struct sp_manifest manifest = make(2);
    struct sp_buf bytes;
    sp_buf_init(&bytes, 1 << 20);
    sp_manifest_encode(&manifest, &bytes);
    memory_fs_put(fs, SP_MANIFEST_PATH, sp_buf_str(&bytes));
    assert_int_equal(sp_manifest_load(&fs->base, &found, NULL), SP_OK);
    assert_same(&manifest, &found);
    sp_manifest_fini(&found);
    memory_fs_put(fs, SP_MANIFEST_PATH, SP_STR("not one"));
    assert_int_equal(sp_manifest_load(&fs->base, &found, &error), SP_CORRUPT);
    assert_non_null(strstr(error.text, SP_MANIFEST_PATH));
    sp_manifest_fini(&manifest);
    sp_buf_fini(&bytes);
    memory_fs_free(fs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_every_change_is_noticed),
        cmocka_unit_test(test_loaded_from_the_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
