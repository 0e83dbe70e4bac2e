/*
 * Lines: the first a type, the others patterns. Whatever is a pattern goes into a trie, which must
 * find the same as matching them one by one, before and after every second one has been removed.
 */
#include "fuzz.h"

#include "match/trie.h"

enum { PATTERNS_MAX = 32 };

static sp_str next_line(sp_str *rest) {
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    sp_str line = {.ptr = rest->ptr, .len = end != NULL ? (size_t)(end - rest->ptr) : rest->len};
    *rest = sp_str_from_byte(*rest, end != NULL ? line.len + 1 : rest->len);
    return line;
}

static void compare(struct sp_trie *trie, sp_str type, const sp_str *patterns,
                    const bool *present) {
    const uint32_t *ids = NULL;
    size_t count = sp_trie_match(trie, type, &ids);
    size_t expected = 0;
    for (uint32_t i = 0; i < PATTERNS_MAX; i++) {
        expected += present[i] && sp_pattern_match(patterns[i], type);
    }
    sp_require(count == expected);
    for (size_t i = 0; i < count; i++) {
        sp_require(present[ids[i]] && sp_pattern_match(patterns[ids[i]], type));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sp_trie trie;
    sp_str patterns[PATTERNS_MAX];
    bool present[PATTERNS_MAX] = {false};
    sp_str rest = size > 0 ? sp_str_of(data, size) : SP_STR("");
    sp_str type = next_line(&rest);
    sp_trie_init(&trie, PATTERNS_MAX, PATTERNS_MAX - 1);
    for (uint32_t i = 0; i < PATTERNS_MAX && rest.len > 0; i++) {
        struct sp_error error;
        patterns[i] = next_line(&rest);
        sp_status status = sp_trie_add(&trie, patterns[i], i, &error);
        sp_require(status == sp_pattern_check(patterns[i], NULL));
        sp_require(status == SP_OK || error.offset <= patterns[i].len);
        present[i] = status == SP_OK;
    }
    compare(&trie, type, patterns, present);
    for (uint32_t i = 0; i < PATTERNS_MAX; i += 2) {
        sp_require(!present[i] || sp_trie_remove(&trie, patterns[i], i) == SP_OK);
        present[i] = false;
    }
    compare(&trie, type, patterns, present);
    sp_trie_fini(&trie);
    return 0;
}
