/* The sealed section: it answers as the tail did, and no damage of it goes unnoticed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "index/section_format.h"
#include "index/tail_state.h"
#include "model.h"

struct fixture {
    struct model model;
    struct sp_tail *tail;
    struct model_bytes *bytes;
    struct sp_section *section;
    struct sp_buf scratch;
};

static void setup(struct fixture *f, uint64_t seed, const struct model_shape *shape, size_t count) {
    model_init(&f->model, seed, shape, 77);
    for (size_t i = 0; i < count; i++) {
        (void)model_draw(&f->model);
    }
    f->tail = model_tail(&f->model, 0, count, seed);
    sp_tail_finish(f->tail);
    f->bytes = model_encode(f->tail);
    struct sp_section_reader reader = model_reader(f->bytes);
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_section_open(&reader, &f->section, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    sp_buf_init(&f->scratch, SIZE_MAX / 2);
}

static void teardown(struct fixture *f) {
    sp_section_free(f->section);
    assert_int_equal(f->bytes->released, 1);
    model_bytes_free(f->bytes);
    sp_buf_fini(&f->scratch);
    sp_tail_unref(f->tail);
    model_fini(&f->model);
}

/* All postings of a key from `bound` on, in `ordinals`; returns how many. */
static sp_status walk(const struct sp_section *section, struct sp_buf *scratch,
                      enum sp_index_kind kind, uint64_t hash, uint32_t bound, bool reverse,
                      uint32_t *ordinals, size_t *ret_count) {
    struct sp_section_cursor cursor;
    struct sp_postings run;
    size_t count = 0;
    sp_status status = sp_section_find(section, kind, hash, scratch, &cursor, &run);
    sp_postings_cut(&run, bound, reverse);
    while (status == SP_OK) {
        while (run.begin < run.end) {
            uint32_t ordinal = reverse ? run.ordinals[--run.end] : run.ordinals[run.begin++];
            ordinals[count++] = ordinal;
            bound = reverse ? ordinal - 1 : ordinal + 1;
        }
        if (reverse && bound == UINT32_MAX) {
            break;
        }
        status = sp_section_fill(section, &cursor, bound, reverse, scratch, &run);
        if (run.begin == run.end) {
            break;
        }
    }
    *ret_count = count;
    return status;
}

static size_t walk_tail(const struct sp_tail *tail, enum sp_index_kind kind, uint64_t hash,
                        uint32_t bound, bool reverse, uint32_t *ordinals) {
    struct sp_tail_cursor cursor;
    struct sp_postings run;
    size_t count = 0;
    (void)sp_tail_find(tail, kind, hash, &cursor);
    for (;;) {
        sp_tail_fill(tail, &cursor, bound, reverse, &run);
        if (run.begin == run.end) {
            return count;
        }
        while (run.begin < run.end) {
            uint32_t ordinal = reverse ? run.ordinals[--run.end] : run.ordinals[run.begin++];
            ordinals[count++] = ordinal;
            bound = reverse ? ordinal - 1 : ordinal + 1;
        }
        if (reverse && bound == UINT32_MAX) {
            return count;
        }
    }
}

struct ids_seen {
    size_t count;
    size_t right;
    uint64_t hash;
    const struct fixture *fixture;
};

static bool on_id(void *context, uint32_t ordinal, enum sp_index_role role) {
    struct ids_seen *seen = context;
    seen->count++;
    seen->right += model_has_id(&seen->fixture->model, 77 + ordinal, seen->hash, role);
    return true;
}

static bool on_tail_id(void *context, uint32_t ordinal, enum sp_index_role role) {
    return on_id(context, ordinal, role);
}

/* True where all is well; false where damage was noticed. Fails where an answer is wrong. */
static bool check_key(const struct fixture *f, struct sp_section *section, struct sp_buf *scratch,
                      enum sp_index_kind kind, uint64_t hash, uint32_t bound, bool reverse) {
    uint32_t *expected = malloc(2 * (f->model.count + 1) * sizeof(*expected));
    uint32_t *actual = expected + f->model.count + 1;
    size_t wanted = walk_tail(f->tail, kind, hash, bound, reverse, expected);
    size_t count;
    sp_status status = walk(section, scratch, kind, hash, bound, reverse, actual, &count);
    bool good = status == SP_OK;
    if (good && f->model.shape.hash_mask == UINT64_MAX) {
        assert_int_equal(count, wanted);
        assert_memory_equal(actual, expected, wanted * sizeof(*actual));
    } else if (good) {
        /* Keys that collide in a section share their postings. */
        size_t found = 0;
        for (size_t i = 0; i < count; i++) {
            found += found < wanted && actual[i] == expected[found];
            assert_true(i == 0 ||
                        (reverse ? actual[i] < actual[i - 1] : actual[i] > actual[i - 1]));
        }
        assert_int_equal(found, wanted);
    } else {
        assert_int_equal(status, SP_CORRUPT);
    }
    free(expected);
    return good;
}

static bool check_id(const struct fixture *f, struct sp_section *section, struct sp_buf *scratch,
                     uint64_t hash, unsigned roles) {
    struct ids_seen seen = {.hash = hash, .fixture = f};
    struct ids_seen expected = {.hash = hash, .fixture = f};
    (void)sp_tail_find_id(f->tail, hash, roles, on_tail_id, &expected);
    bool more;
    sp_status status = sp_section_find_id(section, hash, roles, scratch, on_id, &seen, &more);
    if (status != SP_OK) {
        assert_int_equal(status, SP_CORRUPT);
        return false;
    }
    assert_true(more);
    assert_int_equal(seen.right, expected.right);
    return true;
}

struct types_seen {
    const struct sp_tail *tail;
    uint32_t count;
};

static bool on_type(void *context, sp_str type) {
    struct types_seen *seen = context;
    assert_true(sp_str_eq(type, sp_tail_type(seen->tail, seen->count)));
    seen->count++;
    return true;
}

static bool check_types(const struct fixture *f, struct sp_section *section,
                        struct sp_buf *scratch) {
    struct types_seen seen = {.tail = f->tail};
    sp_status status = sp_section_each_type(section, scratch, on_type, &seen);
    if (status == SP_CORRUPT) {
        return false;
    }
    assert_int_equal(status, sp_tail_types_complete(f->tail) ? SP_OK : SP_LIMIT);
    assert_int_equal(seen.count, sp_tail_type_count(f->tail));
    return true;
}

static void answers_as_the_tail_did(void **state) {
    (void)state;
    const struct model_shape *shapes[] = {&MODEL_USUAL, &MODEL_COLLIDING, &MODEL_SKEWED};
    const size_t counts[] = {0, 1, 2, 3, 40, 700, 20000};
    for (size_t i = 0; i < 3 * 7; i++) {
        struct fixture f;
        setup(&f, i, shapes[i % 3], counts[i / 3]);
        assert_int_equal(sp_section_first(f.section), 77);
        assert_int_equal(sp_section_count(f.section), counts[i / 3]);
        for (int round = 0; round < 40; round++) {
            for (int kind = 0; kind < SP_INDEX_KIND_COUNT; kind++) {
                uint64_t hash = model_pick(&f.model, (enum sp_index_kind)kind);
                uint32_t bound = sp_prng_below(&f.model.prng, (uint32_t)counts[i / 3] + 5);
                assert_true(check_key(&f, f.section, &f.scratch, (enum sp_index_kind)kind, hash,
                                      bound, round % 2 == 0));
            }
            unsigned roles = 1 + sp_prng_below(&f.model.prng, 7);
            assert_true(check_id(&f, f.section, &f.scratch, model_pick_id(&f.model), roles));
            uint64_t time = 999990 + sp_prng_below(&f.model.prng, 30000);
            assert_int_equal(sp_section_ordinal_at_time(f.section, time),
                             sp_tail_ordinal_at_time(f.tail, time));
        }
        assert_true(check_types(&f, f.section, &f.scratch));
        teardown(&f);
    }
}

/* A seek from anywhere to anywhere within a long list, with one cursor. */
static void long_lists_are_entered_anywhere(void **state) {
    (void)state;
    struct fixture f;
    setup(&f, 3, &MODEL_SKEWED, 30000);
    for (int kind = 0; kind < 3; kind++) {
        uint64_t hash = model_key(&f.model.events[0], (enum sp_index_kind)kind);
        struct sp_section_cursor cursor;
        struct sp_postings run;
        assert_int_equal(
            sp_section_find(f.section, (enum sp_index_kind)kind, hash, &f.scratch, &cursor, &run),
            SP_OK);
        assert_true(cursor.is_long);
        assert_int_equal(cursor.count, sp_tail_count_of(f.tail, (enum sp_index_kind)kind, hash));
        for (int round = 0; round < 3000; round++) {
            bool reverse = sp_prng_below(&f.model.prng, 2) == 0;
            uint32_t bound = sp_prng_below(&f.model.prng, 30010);
            assert_int_equal(sp_section_fill(f.section, &cursor, bound, reverse, &f.scratch, &run),
                             SP_OK);
            uint64_t expected =
                reverse
                    ? model_previous(&f.model, (enum sp_index_kind)kind, hash, 0, bound + 78)
                    : model_next(&f.model, (enum sp_index_kind)kind, hash, bound + 77, UINT64_MAX);
            assert_int_equal(run.begin == run.end, expected == 0);
            if (expected != 0) {
                uint32_t ordinal = reverse ? run.ordinals[run.end - 1] : run.ordinals[run.begin];
                assert_int_equal(ordinal + 77, expected);
            }
        }
    }
    teardown(&f);
}

/* The bytes depend on the events alone, not on the order in which tables happen to hold them. */
static void encoding_is_determined_by_the_events(void **state) {
    (void)state;
    struct fixture f;
    setup(&f, 4, &MODEL_USUAL, 3000);
    struct sp_tail *other = model_tail(&f.model, 0, 3000, 0xabcdef);
    sp_tail_finish(other);
    struct model_bytes *bytes = model_encode(other);
    assert_int_equal(bytes->buf.len, f.bytes->buf.len);
    assert_memory_equal(bytes->buf.data, f.bytes->buf.data, bytes->buf.len);
    model_bytes_free(bytes);
    sp_tail_unref(other);
    teardown(&f);
}

/* All the questions there are, of a section whose bytes were tampered with. */
static bool ask_everything(const struct fixture *f, struct sp_section *section,
                           struct sp_buf *scratch) {
    bool good = check_types(f, section, scratch);
    for (int kind = 0; kind < SP_INDEX_KIND_COUNT; kind++) {
        const struct sp_terms *terms = &f->tail->kinds[kind];
        for (uint32_t i = 0; i < terms->count; i++) {
            uint64_t hash = sp_terms_at(terms, i)->hash;
            bool reverse = i % 2 == 0;
            good = check_key(f, section, scratch, (enum sp_index_kind)kind, hash,
                             reverse ? UINT32_MAX - 1 : 0, reverse) &&
                   good;
        }
        if (terms->count > 0) {
            /* By way of the directory of a long list. */
            uint64_t hash = sp_terms_at(terms, 0)->hash;
            good = check_key(f, section, scratch, (enum sp_index_kind)kind, hash,
                             (uint32_t)f->model.count / 2, false) &&
                   good;
        }
    }
    for (size_t i = 0; i < f->model.count; i++) {
        good = check_id(f, section, scratch, f->model.events[i].keys.id, 7) && good;
        if (f->model.events[i].keys.has_source_id) {
            good = check_id(f, section, scratch, f->model.events[i].keys.source_id, 7) && good;
        }
    }
    struct sp_buf bits;
    sp_buf_init(&bits, SIZE_MAX / 2);
    sp_status status = sp_section_filter_read(section, &bits);
    assert_true(status == SP_OK || status == SP_CORRUPT);
    sp_buf_fini(&bits);
    return good && status == SP_OK;
}

static bool is_noticed(const struct fixture *f, struct model_bytes *bytes) {
    struct sp_section_reader reader = model_reader(bytes);
    struct sp_section *section;
    sp_status status = sp_section_open(&reader, &section, NULL);
    if (status != SP_OK) {
        assert_int_equal(status, SP_CORRUPT);
        return true;
    }
    struct sp_buf scratch;
    sp_buf_init(&scratch, SIZE_MAX / 2);
    bool good = ask_everything(f, section, &scratch);
    sp_buf_fini(&scratch);
    sp_section_free(section);
    return !good;
}

/* A bit of every byte, one at a time: each is noticed by some question, no answer is wrong. */
static void every_damaged_byte_is_noticed(void **state) {
    (void)state;
    struct fixture f;
    setup(&f, 5, &MODEL_SKEWED, 250);
    assert_false(is_noticed(&f, f.bytes));
    f.bytes->released = 0;
    for (size_t at = 0; at < f.bytes->buf.len; at++) {
        /* The filter is one piece under one checksum: some bytes of it stand for all. */
        if (at > 20000 && at % 41 != 0) {
            continue;
        }
        uint8_t bit = (uint8_t)(1u << at % 8);
        f.bytes->buf.data[at] ^= bit;
        if (!is_noticed(&f, f.bytes)) {
            fail_msg("byte %zu of %zu", at, f.bytes->buf.len);
        }
        f.bytes->buf.data[at] ^= bit;
    }
    f.bytes->released = 0;
    teardown(&f);
}

/* Bytes that are good, but belong elsewhere: another segment's piece, a cut file. */
static void misplaced_pieces_are_noticed(void **state) {
    (void)state;
    struct fixture f;
    setup(&f, 6, &MODEL_SKEWED, 3000);
    struct fixture other;
    setup(&other, 6, &MODEL_SKEWED, 3000);
    sp_tail_unref(other.tail);
    model_bytes_free(other.bytes);
    struct model moved = other.model;
    moved.first_position = 78;
    other.tail = model_tail(&moved, 0, 3000, 6);
    sp_tail_finish(other.tail);
    other.bytes = model_encode(other.tail);
    assert_int_equal(other.bytes->buf.len, f.bytes->buf.len);
    for (size_t begin = 4096; begin + 2048 < f.bytes->buf.len; begin += 4096) {
        memcpy(other.bytes->buf.data + begin, f.bytes->buf.data + begin, 2048);
    }
    memcpy(other.bytes->buf.data, f.bytes->buf.data, sp_get_u32(f.bytes->buf.data + SP_HEAD_SIZE));
    assert_true(is_noticed(&f, other.bytes));
    model_bytes_free(other.bytes);
    sp_tail_unref(other.tail);
    sp_section_discard(other.section);
    sp_buf_fini(&other.scratch);
    model_fini(&other.model);

    size_t len = f.bytes->buf.len;
    for (size_t cut = 0; cut < 200; cut++) {
        f.bytes->buf.len = cut < 100 ? cut : len - (cut - 99);
        assert_true(is_noticed(&f, f.bytes));
    }
    f.bytes->buf.len = len;
    f.bytes->released = 0;
    teardown(&f);
}

/*
 * A section that was written when version 1 was made, of the same 600 events: programs of today
 * must read it. One that differs may be written, as buckets may be chosen otherwise; one that is
 * not read any more needs a new version.
 */
static void the_first_version_is_read(void **state) {
    (void)state;
    const char *source = getenv("SPOOR_SOURCE");
    if (source == NULL) {
        skip();
    }
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/tests/golden/index-1.section", source);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct model_bytes bytes = {.fail = SP_OK};
    sp_buf_init(&bytes.buf, 1 << 20);
    uint8_t *at = sp_buf_reserve(&bytes.buf, 1 << 20);
    sp_buf_advance(&bytes.buf, fread(at, 1, 1 << 20, file));
    (void)fclose(file);
    struct fixture f;
    setup(&f, 1, &MODEL_SKEWED, 600);
    assert_false(is_noticed(&f, &bytes));
    sp_buf_fini(&bytes.buf);
    teardown(&f);
}

/* A later version is told from damage, as long as the fixed head is whole. */
static void later_versions_are_named(void **state) {
    (void)state;
    struct fixture f;
    setup(&f, 7, &MODEL_USUAL, 10);
    uint8_t *head = f.bytes->buf.data;
    sp_put_u32(head + SP_HEAD_VERSION, 2);
    sp_put_u64(head + SP_HEAD_FIXED_CHECKSUM, sp_hash(head, SP_HEAD_FIXED_CHECKSUM));
    struct sp_section_reader reader = model_reader(f.bytes);
    struct sp_section *section;
    struct sp_error error;
    sp_error_clear(&error);
    assert_int_equal(sp_section_open(&reader, &section, &error), SP_UNSUPPORTED);
    assert_non_null(strstr(error.text, "version 2"));
    teardown(&f);
}

/* Random bytes under good checksums: nothing is promised but to stay within bounds. */
static void hostile_content_stays_within_bounds(void **state) {
    (void)state;
    struct fixture f;
    setup(&f, 8, &MODEL_SKEWED, 600);
    struct sp_prng prng = sp_prng_seed(8);
    const uint8_t *table = f.bytes->buf.data + SP_HEAD_FIXED;
    for (int round = 0; round < 4000; round++) {
        /* One bucket of one part: the part has only one where it is small enough. */
        uint32_t number = sp_prng_below(&prng, SP_PART_DIRECTORIES);
        const uint8_t *entry = table + (size_t)number * SP_PART_ENTRY;
        uint64_t offset = sp_get_u64(entry + SP_PART_OFFSET);
        uint64_t size = sp_get_u64(entry + SP_PART_SIZE);
        if (sp_get_u32(entry + SP_PART_BUCKETS) != 1) {
            continue;
        }
        uint8_t *part = f.bytes->buf.data + offset;
        uint8_t *kept = malloc(size);
        memcpy(kept, part, size);
        for (int i = 0; i < 3; i++) {
            uint32_t at = sp_prng_below(&prng, (uint32_t)size - SP_SECTION_CHECKSUM);
            part[at % (round % 2 == 0 ? 16 : size)] = (uint8_t)sp_prng_next(&prng);
        }
        sp_put_u64(part + size - SP_SECTION_CHECKSUM,
                   sp_section_checksum(77, (enum sp_section_part)number, 0, part,
                                       size - SP_SECTION_CHECKSUM));
        uint32_t ordinals[700];
        size_t count;
        for (int i = 0; i < 5 && number < SP_INDEX_KIND_COUNT; i++) {
            struct sp_section_cursor cursor;
            struct sp_postings run;
            enum sp_index_kind kind = (enum sp_index_kind)number;
            uint64_t hash = model_pick(&f.model, kind);
            sp_status status = sp_section_find(f.section, kind, hash, &f.scratch, &cursor, &run);
            if (status == SP_OK && cursor.count < 600) {
                status = walk(f.section, &f.scratch, kind, hash, 0, false, ordinals, &count);
            }
            assert_true(status == SP_OK || status == SP_CORRUPT);
        }
        struct ids_seen seen = {.fixture = &f};
        bool more;
        sp_status status = sp_section_find_id(f.section, model_pick_id(&f.model), 7, &f.scratch,
                                              on_id, &seen, &more);
        assert_true(status == SP_OK || status == SP_CORRUPT);
        memcpy(part, kept, size);
        free(kept);
    }
    teardown(&f);
}

static void encoding_minds_the_limit_of_the_buffer(void **state) {
    (void)state;
    struct fixture f;
    setup(&f, 9, &MODEL_USUAL, 1000);
    for (size_t limit = 3; limit < f.bytes->buf.len + 3; limit += 97) {
        struct sp_buf small;
        sp_buf_init(&small, limit);
        sp_buf_add(&small, "abc", 3);
        struct sp_error error;
        assert_int_equal(sp_section_encode(f.tail, &small, &error), SP_LIMIT);
        assert_int_equal(small.len, 3);
        sp_buf_fini(&small);
    }
    struct sp_buf enough;
    sp_buf_init(&enough, f.bytes->buf.len + 3);
    sp_buf_add(&enough, "abc", 3);
    assert_int_equal(sp_section_encode(f.tail, &enough, NULL), SP_OK);
    assert_memory_equal(enough.data + 3, f.bytes->buf.data, f.bytes->buf.len);
    sp_buf_fini(&enough);
    teardown(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_as_the_tail_did),
        cmocka_unit_test(long_lists_are_entered_anywhere),
        cmocka_unit_test(encoding_is_determined_by_the_events),
        cmocka_unit_test(every_damaged_byte_is_noticed),
        cmocka_unit_test(misplaced_pieces_are_noticed),
        cmocka_unit_test(the_first_version_is_read),
        cmocka_unit_test(later_versions_are_named),
        cmocka_unit_test(hostile_content_stays_within_bounds),
        cmocka_unit_test(encoding_minds_the_limit_of_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
