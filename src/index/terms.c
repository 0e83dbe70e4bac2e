#include "index/terms.h"

#include <assert.h>
#include <string.h>

#include "base/assert.h"
#include "index/mix.h"

enum {
    BLOCK_PREVIOUS = 0,
    BLOCK_NEXT = 1,
    BLOCK_CAPACITY = 2, /* postings */
    BLOCK_HEAD = 3,     /* words before the postings */
    APPENDS_RESERVED = 4,
};

/* -- The pool ---------------------------------------------------------------------------------- */

void sp_words_init(struct sp_words *words) {
    *words = (struct sp_words){.used = 1}; /* word 0 is never given out: 0 is none */
}

void sp_words_fini(struct sp_words *words) {
    sp_chunks_fini(&words->chunks);
}

/* The chunk that is being filled and one beyond hold any four blocks. */
sp_status sp_words_reserve(struct sp_words *words) {
    static_assert(APPENDS_RESERVED * (SP_TERMS_BLOCK_MAX + BLOCK_HEAD) < SP_WORDS_CHUNK,
                  "a chunk holds the blocks of one event");
    while (SP_UNLIKELY(words->chunks.count < words->chunk + 2)) {
        sp_status status = sp_chunks_grow(&words->chunks, SP_WORDS_CHUNK * sizeof(uint32_t));
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

static inline uint32_t *words_at(const struct sp_words *words, uint32_t ref) {
    sp_invariant(ref != 0 && ref / SP_WORDS_CHUNK < words->chunks.count);
    uint32_t *chunk = words->chunks.at[ref / SP_WORDS_CHUNK];
    return &chunk[ref % SP_WORDS_CHUNK];
}

static uint32_t words_take(struct sp_words *words, uint32_t count) {
    if (words->used + count > SP_WORDS_CHUNK) {
        words->chunk++;
        words->used = 0;
        sp_require(words->chunk < words->chunks.count);
    }
    uint32_t ref = words->chunk * SP_WORDS_CHUNK + words->used;
    words->used += count;
    return ref;
}

/* -- Finding and making terms ------------------------------------------------------------------ */

void sp_terms_init(struct sp_terms *terms, uint64_t factor) {
    sp_require((factor & 1) == 1);
    *terms = (struct sp_terms){.factor = factor};
    for (size_t i = 0; i < SP_TERMS_TABLES; i++) {
        sp_htab_init(&terms->tables[i]);
    }
}

void sp_terms_fini(struct sp_terms *terms) {
    for (size_t i = 0; i < SP_TERMS_TABLES; i++) {
        sp_htab_fini(&terms->tables[i]);
    }
    sp_chunks_fini(&terms->chunks);
    terms->count = 0;
}

size_t sp_terms_bytes(const struct sp_terms *terms) {
    size_t size_bytes = terms->chunks.count * (size_t)SP_TERMS_CHUNK * sizeof(struct sp_term);
    for (size_t i = 0; i < SP_TERMS_TABLES; i++) {
        const struct sp_htab *table = &terms->tables[i];
        size_bytes += table->slots == NULL ? 0 : ((size_t)table->mask + 1) * sizeof(*table->slots);
    }
    return size_bytes;
}

/* The table is chosen by bits that the table itself, which looks at the upper 32, does not use. */
static inline struct sp_htab *terms_table(struct sp_terms *terms, uint64_t mixed) {
    return &terms->tables[mixed % SP_TERMS_TABLES];
}

struct sp_term *sp_terms_find(const struct sp_terms *terms, uint64_t hash) {
    uint64_t mixed = sp_mix(hash, terms->factor);
    struct sp_htab_probe probe = sp_htab_find(&terms->tables[mixed % SP_TERMS_TABLES], mixed);
    uint32_t number;
    while (sp_htab_next(&probe, &number)) {
        struct sp_term *term = sp_terms_at(terms, number);
        if (term->hash == hash) {
            return term;
        }
    }
    return NULL;
}

void sp_terms_prefetch(const struct sp_terms *terms, uint64_t hash) {
    uint64_t mixed = sp_mix(hash, terms->factor);
    sp_htab_prefetch(&terms->tables[mixed % SP_TERMS_TABLES], mixed);
}

sp_status sp_terms_reserve(struct sp_terms *terms, uint64_t hash) {
    if (terms->count == terms->chunks.count * SP_TERMS_CHUNK) {
        sp_status status = sp_chunks_grow(&terms->chunks, SP_TERMS_CHUNK * sizeof(struct sp_term));
        if (status != SP_OK) {
            return status;
        }
    }
    struct sp_htab *table = terms_table(terms, sp_mix(hash, terms->factor));
    return sp_htab_reserve(table, (size_t)table->count + 1);
}

struct sp_term *sp_terms_new(struct sp_terms *terms, uint64_t hash) {
    uint32_t number = terms->count;
    sp_require(number < terms->chunks.count * SP_TERMS_CHUNK);
    uint64_t mixed = sp_mix(hash, terms->factor);
    sp_status status = sp_htab_add(terms_table(terms, mixed), mixed, number);
    sp_ensure(status == SP_OK);
    terms->count++;
    struct sp_term *term = sp_terms_at(terms, number);
    *term = (struct sp_term){.hash = hash, .number = number};
    return term;
}

/* -- Postings ---------------------------------------------------------------------------------- */

/* Makes a block the term's last one. */
static uint32_t *block_new(struct sp_words *words, struct sp_term *term, uint32_t capacity,
                           uint32_t previous) {
    uint32_t ref = words_take(words, BLOCK_HEAD + capacity);
    uint32_t *block = words_at(words, ref);
    block[BLOCK_PREVIOUS] = previous;
    block[BLOCK_NEXT] = 0;
    block[BLOCK_CAPACITY] = capacity;
    term->last = ref;
    term->next = ref + BLOCK_HEAD;
    term->room = capacity;
    return block;
}

static inline uint32_t block_used(const struct sp_term *term, uint32_t ref, const uint32_t *block) {
    return block[BLOCK_CAPACITY] - (ref == term->last ? term->room : 0);
}

/* The third posting moves the first two out of the term. */
static void term_spill(struct sp_term *term, struct sp_words *words) {
    uint32_t second = term->last;
    uint32_t *block = block_new(words, term, SP_TERMS_BLOCK_MIN, 0);
    block[BLOCK_HEAD] = term->first;
    block[BLOCK_HEAD + 1] = second;
    term->first = term->last;
    term->next += SP_TERMS_INLINE;
    term->room -= SP_TERMS_INLINE;
}

static void term_grow(struct sp_term *term, struct sp_words *words) {
    uint32_t previous = term->last;
    uint32_t capacity = term->count < SP_TERMS_BLOCK_MAX ? term->count : SP_TERMS_BLOCK_MAX;
    (void)block_new(words, term, capacity, previous);
    words_at(words, previous)[BLOCK_NEXT] = term->last;
}

void sp_terms_append_block(struct sp_words *words, struct sp_term *term, uint32_t ordinal) {
    sp_require(term->room == 0);
    if (term->count < SP_TERMS_INLINE) {
        sp_require(term->count == 0 || term->first < ordinal);
        *(term->count == 0 ? &term->first : &term->last) = ordinal;
        term->count++;
        return;
    }
    if (term->count == SP_TERMS_INLINE) {
        term_spill(term, words);
    } else {
        term_grow(term, words);
    }
    sp_ensure(term->room > 0);
    sp_terms_append(words, term, ordinal);
}

static inline uint32_t block_distance(const uint32_t *block, uint32_t bound) {
    uint32_t first = block[BLOCK_HEAD];
    return first < bound ? bound - first : first - bound;
}

/* The nearest of the blocks at hand: the first, the last, and the one of the last run. */
static uint32_t *term_nearest(const struct sp_term *term, const struct sp_words *words,
                              uint32_t hint, uint32_t bound, uint32_t *ret_ref) {
    const uint32_t at_hand[3] = {term->first, term->last, hint};
    uint32_t *nearest = NULL;
    for (size_t i = 0; i < 3; i++) {
        uint32_t *block = at_hand[i] == 0 ? NULL : words_at(words, at_hand[i]);
        if (block == NULL) {
            continue;
        }
        if (nearest == NULL || block_distance(block, bound) < block_distance(nearest, bound)) {
            nearest = block;
            *ret_ref = at_hand[i];
        }
    }
    return nearest;
}

static inline uint32_t block_last(const struct sp_term *term, uint32_t ref, const uint32_t *block) {
    return block[BLOCK_HEAD + block_used(term, ref, block) - 1];
}

/* The block with the first posting at or after bound, or with the last one at or before it. */
static uint32_t *term_seek(const struct sp_term *term, const struct sp_words *words, uint32_t hint,
                           uint32_t bound, bool reverse, uint32_t *ret_ref) {
    uint32_t *block = term_nearest(term, words, hint, bound, ret_ref);
    /* Forward to the last block that begins at or before the bound … */
    while (block[BLOCK_HEAD] > bound && block[BLOCK_PREVIOUS] != 0) {
        *ret_ref = block[BLOCK_PREVIOUS];
        block = words_at(words, *ret_ref);
    }
    for (uint32_t next; (next = block[BLOCK_NEXT]) != 0; block = words_at(words, next)) {
        if (words_at(words, next)[BLOCK_HEAD] > bound) {
            break;
        }
        *ret_ref = next;
    }
    /* … and one further, where the bound falls between the two and the way leads upwards. */
    if (!reverse && block_last(term, *ret_ref, block) < bound && block[BLOCK_NEXT] != 0) {
        *ret_ref = block[BLOCK_NEXT];
        block = words_at(words, *ret_ref);
    }
    return block;
}

/* Of a long block only the part from the bound on is taken: as much as a run holds. */
static void postings_take(const uint32_t *postings, uint32_t count, uint32_t bound, bool reverse,
                          struct sp_postings *run) {
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        bool left = reverse ? postings[middle] <= bound : postings[middle] < bound;
        low = left ? middle + 1 : low;
        high = left ? high : middle;
    }
    uint32_t begin = reverse ? (low > SP_POSTINGS_MAX ? low - SP_POSTINGS_MAX : 0) : low;
    uint32_t end = reverse ? low : count;
    if (end - begin > SP_POSTINGS_MAX) {
        end = begin + SP_POSTINGS_MAX;
    }
    memcpy(run->ordinals, postings + begin, (end - begin) * sizeof(*postings));
    run->begin = 0;
    run->end = (uint16_t)(end - begin);
}

void sp_terms_fill(const struct sp_terms *terms, const struct sp_words *words, uint32_t number,
                   uint32_t *block, uint32_t bound, bool reverse, struct sp_postings *ret_run) {
    const struct sp_term *term = sp_terms_at(terms, number);
    ret_run->begin = 0;
    if (term->count > SP_TERMS_INLINE) {
        /* A cursor older than the third posting has no block yet; that is fine. */
        const uint32_t *found = term_seek(term, words, *block, bound, reverse, block);
        postings_take(found + BLOCK_HEAD, block_used(term, *block, found), bound, reverse, ret_run);
        return;
    }
    ret_run->ordinals[0] = term->first;
    ret_run->ordinals[1] = term->last;
    ret_run->end = (uint16_t)term->count;
    sp_postings_cut(ret_run, bound, reverse);
}

void sp_terms_copy(const struct sp_terms *terms, const struct sp_words *words, uint32_t number,
                   uint32_t *to) {
    const struct sp_term *term = sp_terms_at(terms, number);
    if (term->count <= SP_TERMS_INLINE) {
        to[0] = term->first;
        if (term->count == SP_TERMS_INLINE) {
            to[1] = term->last;
        }
        return;
    }
    uint32_t copied = 0;
    for (uint32_t ref = term->first; ref != 0;) {
        const uint32_t *block = words_at(words, ref);
        uint32_t used = block_used(term, ref, block);
        memcpy(to + copied, block + BLOCK_HEAD, used * sizeof(*to));
        copied += used;
        ref = block[BLOCK_NEXT];
    }
    sp_ensure(copied == term->count);
}
