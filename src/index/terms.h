/*
 * The terms of one kind in a tail, each with its postings. pure
 *
 * A term is found by its hash through one of 64 small hash tables, which grow one by one. Its first
 * two postings lie within the term; from the third on they lie in blocks of a shared pool of words:
 * as many postings again as there are, from 4 up to SP_TERMS_BLOCK_MAX, so that a frequent term has
 * few blocks and a rare one wastes little. Blocks are linked both ways and never move.
 *
 *     block: previous block | next block | capacity | postings …
 *
 * Blocks are named by the number of their first word; 0 is none. All but a term's last block are
 * full. A term knows the place of its next posting, so that appending touches the term and that
 * place, and no other cache line.
 */
#ifndef SP_INDEX_TERMS_H
#define SP_INDEX_TERMS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/htab.h"
#include "base/status.h"
#include "index/chunks.h"
#include "index/postings.h"

enum {
    SP_TERMS_TABLES = 64,
    SP_TERMS_CHUNK = 1024, /* terms */
    SP_TERMS_BLOCK_MIN = 4,
    SP_TERMS_BLOCK_MAX = 1024,
    SP_TERMS_INLINE = 2,
};

static const uint32_t SP_TERMS_NONE = UINT32_MAX;

/* The pool that postings come from, shared by the kinds of a tail. */
struct sp_words {
    struct sp_chunks chunks; /* of SP_WORDS_CHUNK words */
    uint32_t chunk;          /* the one that is being filled */
    uint32_t used;           /* words of it */
};

enum { SP_WORDS_CHUNK = 1 << 15 };

struct sp_term {
    uint64_t hash;
    uint32_t count;
    uint32_t first;  /* up to SP_TERMS_INLINE postings: the first; beyond: the first block */
    uint32_t last;   /* the second posting; the last block */
    uint32_t next;   /* word where the next posting goes, if there is room */
    uint32_t room;   /* postings that still fit the last block */
    uint32_t number; /* its own */
};
static_assert(sizeof(struct sp_term) == 32, "two terms fill a cache line");

struct sp_terms {
    uint64_t factor; /* odd */
    uint32_t count;
    struct sp_chunks chunks; /* of SP_TERMS_CHUNK terms */
    struct sp_htab tables[SP_TERMS_TABLES];
};

void sp_words_init(struct sp_words *words);
void sp_words_fini(struct sp_words *words);

/* Makes sure that sp_terms_append can be called four times. SP_OK or SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_words_reserve(struct sp_words *words);

/* `factor` is odd and decides where in the tables hashes go. */
void sp_terms_init(struct sp_terms *terms, uint64_t factor);
void sp_terms_fini(struct sp_terms *terms);
size_t sp_terms_bytes(const struct sp_terms *terms);

/* The term of this hash, or NULL. It does not move. O(1). */
struct sp_term *sp_terms_find(const struct sp_terms *terms, uint64_t hash);

/* Brings towards the cache what sp_terms_find of this hash touches first. */
void sp_terms_prefetch(const struct sp_terms *terms, uint64_t hash);

/* Makes sure that sp_terms_new of this hash finds room. SP_OK or SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_terms_reserve(struct sp_terms *terms, uint64_t hash);

/* Adds a term that was reserved for and is not there; its number is the count before. */
struct sp_term *sp_terms_new(struct sp_terms *terms, uint64_t hash);

static inline struct sp_term *sp_terms_at(const struct sp_terms *terms, uint32_t term) {
    struct sp_term *chunk = terms->chunks.at[term / SP_TERMS_CHUNK];
    return &chunk[term % SP_TERMS_CHUNK];
}

/* sp_terms_append where the term's last block has no room. */
void sp_terms_append_block(struct sp_words *words, struct sp_term *term, uint32_t ordinal);

/* Appends a posting, greater than all of the term's before. The words are reserved. O(1). */
static inline void sp_terms_append(struct sp_words *words, struct sp_term *term, uint32_t ordinal) {
    if (SP_UNLIKELY(term->room == 0)) {
        sp_terms_append_block(words, term, ordinal);
        return;
    }
    uint32_t *chunk = words->chunks.at[term->next / SP_WORDS_CHUNK];
    chunk[term->next % SP_WORDS_CHUNK] = ordinal;
    term->next++;
    term->room--;
    term->count++;
}

/* See sp_tail_fill. *block is where the last run came from, 0 at first. */
void sp_terms_fill(const struct sp_terms *terms, const struct sp_words *words, uint32_t term,
                   uint32_t *block, uint32_t bound, bool reverse, struct sp_postings *ret_run);

/* Copies all postings of a term to `to`, which has room for its count. */
void sp_terms_copy(const struct sp_terms *terms, const struct sp_words *words, uint32_t term,
                   uint32_t *to);

#endif
