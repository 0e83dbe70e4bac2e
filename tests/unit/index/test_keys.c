/* Which hashes an event is found under. */
#include "model.h"

/* As version 1 of the format has them: a change here breaks indexes that are stored. */
static const uint64_t STREAM_A = 0xa2195a2f5a93152bu;
static const uint64_t TYPE_A = 0xa217489fad61fbc2u;
static const uint64_t SOURCE_A = 0x583be0ce1e042669u;
static const uint64_t CORRELATION_A = 0x79c8d4062438435du;
static const uint64_t ID_A = 0xe9178611429c0f80u;
static const uint64_t SOURCE_ID_A_B = 0x50a9febffc934da7u;

static struct sp_event event_of(const char *id, const char *cause) {
    struct sp_event event = {.position = 1};
    event.attr[SP_ATTR_TYPE] = SP_STR("task.done");
    event.attr[SP_ATTR_SOURCE] = SP_STR("agent-7");
    event.attr[SP_ATTR_STREAM] = SP_STR("agent-7");
    event.attr[SP_ATTR_CORRELATION] = SP_STR("run-1");
    event.attr[SP_ATTR_ID] = sp_str_from(id);
    event.attr[SP_ATTR_CAUSATION] = sp_str_from(cause);
    return event;
}

static const char UUID[] = "0192f3c1-7a4e-7c1b-9d2e-5b6f8a901234";

/* One text as stream and as source: two keys. The hashes are stored, so their values are fixed. */
static void kinds_are_kept_apart(void **state) {
    (void)state;
    struct sp_event event = event_of(UUID, NULL);
    struct sp_index_keys keys = sp_index_keys_of(&event);
    assert_int_not_equal(keys.stream, keys.source);
    assert_int_equal(keys.stream, sp_index_hash(SP_INDEX_STREAM, SP_STR("agent-7")));
    assert_int_equal(keys.source, sp_index_hash(SP_INDEX_SOURCE, SP_STR("agent-7")));
    assert_int_equal(keys.type, sp_index_hash(SP_INDEX_TYPE, SP_STR("task.done")));
    assert_int_equal(keys.correlation, sp_index_hash(SP_INDEX_CORRELATION, SP_STR("run-1")));
    assert_int_equal(keys.id, sp_index_hash_id(sp_str_from(UUID)));
}

static void stored_hashes_do_not_change(void **state) {
    (void)state;
    assert_true(sp_index_hash(SP_INDEX_STREAM, SP_STR("a")) == STREAM_A);
    assert_true(sp_index_hash(SP_INDEX_TYPE, SP_STR("a")) == TYPE_A);
    assert_true(sp_index_hash(SP_INDEX_SOURCE, SP_STR("a")) == SOURCE_A);
    assert_true(sp_index_hash(SP_INDEX_CORRELATION, SP_STR("a")) == CORRELATION_A);
    assert_true(sp_index_hash_id(SP_STR("a")) == ID_A);
    assert_true(sp_index_hash_source_id(SP_STR("a"), SP_STR("b")) == SOURCE_ID_A_B);
}

/* An id and the cause that names it meet under one hash. */
static void cause_meets_id(void **state) {
    (void)state;
    struct sp_event cause = event_of("order-1", NULL);
    struct sp_event effect = event_of(UUID, "order-1");
    struct sp_index_keys keys = sp_index_keys_of(&effect);
    assert_true(keys.has_cause);
    assert_int_equal(keys.cause, sp_index_keys_of(&cause).id);
    assert_false(sp_index_keys_of(&cause).has_cause);
}

/* A canonical UUID is unique by itself; anything else only with its source. */
static void uniqueness_needs_the_source(void **state) {
    (void)state;
    const char *others[] = {"1", "", "0192F3C1-7A4E-7C1B-9D2E-5B6F8A901234",
                            "0192f3c1-7a4e-7c1b-9d2e-5b6f8a90123",
                            "0192f3c17a4e7c1b9d2e5b6f8a901234"};
    uint64_t hash;
    sp_str source = SP_STR("agent-7");
    struct sp_event event = event_of(UUID, NULL);
    struct sp_index_keys keys = sp_index_keys_of(&event);
    assert_false(keys.has_source_id);
    assert_int_equal(sp_index_hash_unique(source, sp_str_from(UUID), &hash), SP_INDEX_ID);
    assert_int_equal(hash, keys.id);
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        event = event_of(others[i], NULL);
        keys = sp_index_keys_of(&event);
        assert_true(keys.has_source_id);
        assert_int_equal(sp_index_hash_unique(source, sp_str_from(others[i]), &hash),
                         SP_INDEX_SOURCE_ID);
        assert_int_equal(hash, keys.source_id);
    }
}

/* Source "a" with id "bc" is not source "ab" with id "c". */
static void source_and_id_do_not_run_together(void **state) {
    (void)state;
    uint64_t one = sp_index_hash_source_id(SP_STR("a"), SP_STR("bc"));
    assert_int_not_equal(one, sp_index_hash_source_id(SP_STR("ab"), SP_STR("c")));
    assert_int_not_equal(one, sp_index_hash_source_id(SP_STR("bc"), SP_STR("a")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_kept_apart),
        cmocka_unit_test(stored_hashes_do_not_change),
        cmocka_unit_test(cause_meets_id),
        cmocka_unit_test(uniqueness_needs_the_source),
        cmocka_unit_test(source_and_id_do_not_run_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
