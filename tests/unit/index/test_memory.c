/*
 * Out of memory at every single allocation: what fails says so, leaves things as they were, and
 * works when it is tried again. The allocator of the C library is stood in for here, so this is
 * left out where a sanitizer has already done that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_OWN_ALLOCATOR 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_OWN_ALLOCATOR 1
#endif
#endif

#if !defined(HAS_OWN_ALLOCATOR) && defined(__GLIBC__)

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

/* Allocations that still succeed; negative: all of them. */
static long left = -1;

static bool is_refused(void) {
    if (left == 0) {
        errno = ENOMEM;
        return true;
    }
    left -= left > 0;
    return false;
}

void *malloc(size_t size) {
    return is_refused() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    return is_refused() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
    return is_refused() ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return is_refused() ? NULL : __libc_memalign(alignment, size);
}

/* Each event is tried with more and more memory, until it is in; the tail is right in the end. */
static void adding_fails_cleanly(void **state) {
    (void)state;
    struct model model;
    model_init(&model, 1, &MODEL_USUAL, 1);
    struct sp_tail *tail = sp_tail_new(1, 1);
    size_t refusals = 0;
    for (int i = 0; i < 3000; i++) {
        const struct model_event *event = model_draw(&model);
        sp_str type = sp_str_from(event->type);
        sp_status status = SP_NO_MEMORY;
        for (long allowed = 0; status != SP_OK; allowed++) {
            left = allowed;
            status = sp_tail_add(tail, &event->keys, type, event->recorded_us);
            left = -1;
            assert_true(status == SP_OK || status == SP_NO_MEMORY);
            refusals += status != SP_OK;
        }
    }
    assert_true(refusals > 100);
    struct sp_tail *same = model_tail(&model, 0, model.count, 1);
    sp_tail_finish(tail);
    sp_tail_finish(same);
    struct model_bytes *bytes = model_encode(tail);
    struct model_bytes *expected = model_encode(same);
    assert_int_equal(bytes->buf.len, expected->buf.len);
    assert_memory_equal(bytes->buf.data, expected->buf.data, expected->buf.len);
    model_bytes_free(bytes);
    model_bytes_free(expected);
    sp_tail_unref(tail);
    sp_tail_unref(same);
    model_fini(&model);
}

static void encoding_and_opening_fail_cleanly(void **state) {
    (void)state;
    struct model model;
    model_init(&model, 2, &MODEL_SKEWED, 1);
    for (int i = 0; i < 2000; i++) {
        (void)model_draw(&model);
    }
    struct sp_tail *tail = model_tail(&model, 0, model.count, 1);
    sp_tail_finish(tail);
    struct sp_buf section;
    sp_status status = SP_NO_MEMORY;
    long allowed = 0;
    for (; status != SP_OK; allowed++) {
        sp_buf_init(&section, SIZE_MAX / 2);
        left = allowed;
        status = sp_section_encode(tail, &section, NULL);
        left = -1;
        assert_true(status == SP_OK || (status == SP_NO_MEMORY && section.len == 0));
        if (status != SP_OK) {
            sp_buf_fini(&section);
        }
    }
    assert_true(allowed > 10);
    struct model_bytes bytes = {.buf = section};
    struct sp_section_reader reader = model_reader(&bytes);
    struct sp_section *opened = NULL;
    status = SP_NO_MEMORY;
    for (allowed = 0; status != SP_OK; allowed++) {
        left = allowed;
        status = sp_section_open(&reader, &opened, NULL);
        left = -1;
        assert_true(status == SP_OK || status == SP_NO_MEMORY);
    }
    assert_int_equal(bytes.released, 0);
    sp_section_free(opened);
    assert_int_equal(bytes.released, 1);
    sp_buf_fini(&section);
    sp_tail_unref(tail);
    model_fini(&model);
}

struct life {
    struct model model;
    struct sp_index *index;
    struct model_bytes *bytes[4];
    uint64_t asked;
};

static bool on_found(void *context, uint64_t position, enum sp_index_role role) {
    (void)position;
    (void)role;
    (*(uint64_t *)context)++;
    return true;
}

static sp_status step_begin(struct life *life, size_t segment) {
    return sp_index_tail_begin(life->index, segment, 1 + segment * 500);
}

static sp_status step_add(struct life *life, size_t event) {
    const struct model_event *drawn = &life->model.events[event];
    return sp_index_add(life->index, 1 + event, &drawn->keys, sp_str_from(drawn->type),
                        drawn->recorded_us);
}

static sp_status step_seal(struct life *life, size_t segment) {
    struct sp_section_reader reader = model_reader(life->bytes[segment]);
    return sp_index_seal(life->index, segment, &reader, NULL);
}

static sp_status step_fold(struct life *life, size_t unused) {
    (void)unused;
    return sp_index_fold_all(life->index);
}

static sp_status step_ask(struct life *life, size_t event) {
    const struct model_event *drawn = &life->model.events[event];
    uint64_t hashes[2] = {drawn->keys.type, drawn->keys.type + 1};
    struct sp_index_merge merge;
    sp_status status =
        sp_index_merge_init(&merge, life->index, SP_INDEX_TYPE, hashes, 2, 0, UINT64_MAX, false);
    uint64_t position;
    if (status == SP_OK) {
        status = sp_index_merge_next(&merge, &position);
        sp_index_merge_fini(&merge);
    }
    return status != SP_OK ? status
                           : sp_index_find_id(life->index, drawn->keys.id, SP_INDEX_ID, 0,
                                              UINT64_MAX, on_found, &life->asked);
}

/* Repeats a step with more and more memory until it succeeds. */
static void insist(struct life *life, sp_status (*step)(struct life *life, size_t which),
                   size_t which) {
    sp_status status = SP_NO_MEMORY;
    for (long allowed = 0; status != SP_OK; allowed++) {
        left = allowed;
        status = step(life, which);
        left = -1;
        assert_true(status == SP_OK || status == SP_NO_MEMORY);
        assert_true(allowed < 1000);
    }
}

static void the_whole_fails_cleanly(void **state) {
    (void)state;
    struct life life = {.asked = 0};
    model_init(&life.model, 3, &MODEL_USUAL, 1);
    life.index = sp_index_new(NULL);
    for (size_t segment = 0; segment < 4; segment++) {
        insist(&life, step_begin, segment);
        for (size_t i = 0; i < 500; i++) {
            (void)model_draw(&life.model);
            insist(&life, step_add, life.model.count - 1);
        }
        struct sp_tail *tail = sp_index_tail_pin(life.index, segment);
        life.bytes[segment] = model_encode(tail);
        sp_tail_unref(tail);
        if (segment > 0) {
            insist(&life, step_seal, segment);
            insist(&life, step_fold, 0);
        }
    }
    /* The oldest segment is sealed late: its tail is asked all the same. */
    for (size_t event = 0; event < life.model.count; event++) {
        if (event == 1000) {
            insist(&life, step_seal, 0);
        }
        uint64_t before = life.asked;
        insist(&life, step_ask, event % 1000);
        assert_true(life.asked > before);
    }
    sp_index_free(life.index);
    for (size_t segment = 0; segment < 4; segment++) {
        assert_int_equal(life.bytes[segment]->released, 1);
        model_bytes_free(life.bytes[segment]);
    }
    model_fini(&life.model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adding_fails_cleanly),
        cmocka_unit_test(encoding_and_opening_fail_cleanly),
        cmocka_unit_test(the_whole_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void needs_the_plain_allocator(void **state) {
    (void)state;
    skip();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(needs_the_plain_allocator)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
