#include "flow/watch.h"

#include <stdlib.h>

#include "base/hash.h"

enum { NUMBERS_MAX = 1000000 };

struct sp_watch_pattern {
    char *text;
    uint32_t len;
    uint32_t refs; /* 0: free */
    uint32_t next; /* free ones: the next free number */
};

void sp_watch_init(struct sp_watch *watch) {
    *watch = (struct sp_watch){.free_at = UINT32_MAX};
    sp_trie_init(&watch->trie, NUMBERS_MAX, NUMBERS_MAX - 1);
    sp_htab_init(&watch->by_text);
}

void sp_watch_fini(struct sp_watch *watch) {
    for (uint32_t i = 0; i < watch->count; i++) {
        free(watch->patterns[i].text);
    }
    free(watch->patterns);
    sp_htab_fini(&watch->by_text);
    sp_trie_fini(&watch->trie);
    *watch = (struct sp_watch){.free_at = UINT32_MAX};
}

static sp_str text_of(const struct sp_watch_pattern *pattern) {
    return sp_str_of(pattern->text, pattern->len);
}

static bool find(const struct sp_watch *watch, sp_str text, uint32_t *ret_number) {
    struct sp_htab_probe probe = sp_htab_find(&watch->by_text, sp_hash(text.ptr, text.len));
    while (sp_htab_next(&probe, ret_number)) {
        if (sp_str_eq(text_of(&watch->patterns[*ret_number]), text)) {
            return true;
        }
    }
    return false;
}

/* A free number, not taken yet. */
static sp_status reserve(struct sp_watch *watch, uint32_t *ret_number) {
    if (watch->free_at != UINT32_MAX) {
        *ret_number = watch->free_at;
        return SP_OK;
    }
    if (watch->count == watch->capacity) {
        uint32_t capacity = watch->capacity == 0 ? 16 : watch->capacity * 2;
        if (capacity > NUMBERS_MAX) {
            return SP_LIMIT;
        }
        struct sp_watch_pattern *patterns =
            realloc(watch->patterns, capacity * sizeof(*watch->patterns));
        if (patterns == NULL) {
            return SP_NO_MEMORY;
        }
        watch->patterns = patterns;
        watch->capacity = capacity;
    }
    *ret_number = watch->count;
    return SP_OK;
}

static void take(struct sp_watch *watch, uint32_t number, char *text, size_t len) {
    if (number == watch->free_at) {
        watch->free_at = watch->patterns[number].next;
    } else {
        sp_invariant(number == watch->count);
        watch->count++;
    }
    watch->patterns[number] =
        (struct sp_watch_pattern){.text = text, .len = (uint32_t)len, .refs = 1};
    watch->live++;
    watch->changes++;
}

static sp_status enter(struct sp_watch *watch, sp_str pattern, uint32_t number,
                       struct sp_error *error) {
    char *text = malloc(pattern.len + 1);
    if (text == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    memcpy(text, pattern.ptr, pattern.len);
    sp_status status = sp_trie_add(&watch->trie, pattern, number, error);
    if (status == SP_OK) {
        status = sp_htab_add(&watch->by_text, sp_hash(pattern.ptr, pattern.len), number);
        if (status != SP_OK) {
            sp_status removed = sp_trie_remove(&watch->trie, pattern, number);
            sp_ensure(removed == SP_OK);
        }
    }
    if (status != SP_OK) {
        free(text);
        return status;
    }
    take(watch, number, text, pattern.len);
    return SP_OK;
}

sp_status sp_watch_add(struct sp_watch *watch, sp_str pattern, uint32_t *ret_number,
                       struct sp_error *error) {
    uint32_t number = 0;
    if (pattern.len > 0 && find(watch, pattern, &number)) {
        watch->patterns[number].refs++;
        *ret_number = number;
        return SP_OK;
    }
    sp_status status = reserve(watch, &number);
    if (status != SP_OK) {
        return sp_error_set(error, status, "too many patterns are waited for");
    }
    status = enter(watch, pattern, number, error);
    if (status == SP_OK) {
        *ret_number = number;
    }
    return status;
}

void sp_watch_remove(struct sp_watch *watch, uint32_t number) {
    sp_require(number < watch->count && watch->patterns[number].refs > 0);
    struct sp_watch_pattern *pattern = &watch->patterns[number];
    if (--pattern->refs > 0) {
        return;
    }
    sp_status status = sp_trie_remove(&watch->trie, text_of(pattern), number);
    sp_ensure(status == SP_OK);
    sp_htab_remove(&watch->by_text, sp_hash(pattern->text, pattern->len), number);
    free(pattern->text);
    *pattern = (struct sp_watch_pattern){.next = watch->free_at};
    watch->free_at = number;
    watch->live--;
    watch->changes++;
}

bool sp_watch_match(struct sp_watch *watch, sp_str type) {
    watch->matched_count =
        watch->live == 0 ? 0 : sp_trie_match(&watch->trie, type, &watch->matched);
    return watch->matched_count > 0;
}
