/*
 * Rows in order: a blocked sorted array. pure
 *
 * A row is one to eight 64-bit words; the first one or two of them are its key, unique and rising.
 * Rows lie in blocks of up to SP_ROWS_BLOCK, a list of blocks in order above them. Adding behind
 * the last and taking away the first cost O(1); elsewhere a change moves at most half a block, and
 * a search is binary over what blocks begin with, then within one. A block that thins out is joined
 * with its neighbour, so that memory stays within four times the rows, and within a few per cent
 * where they come and go in order. Other words that rise with the key can be searched as well.
 *
 * One emptied block is kept. All numbers are in host order. A place holds until the next change.
 */
#ifndef SP_CORE_ROWS_H
#define SP_CORE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    SP_ROWS_BLOCK = 128,
    SP_ROWS_WORDS_MAX = 8,
    SP_ROWS_LOW_WORDS = 3,
};

struct sp_rows_block {
    uint32_t begin; /* of the first row in use: rows before it were taken away */
    uint32_t count;
    uint32_t capacity;
    uint32_t unused;
    uint64_t words[];
};

/* A block in the list; rows of the block are at or above `low`, and those before it below. */
struct sp_rows_slot {
    struct sp_rows_block *block;
    uint64_t low[SP_ROWS_LOW_WORDS]; /* of the first block it means nothing */
};

struct sp_rows {
    struct sp_rows_slot *blocks; /* those in use: [begin, begin + count) */
    uint32_t block_begin;
    uint32_t block_count;
    uint32_t block_capacity;
    struct sp_rows_block *spare; /* the last one that was emptied: a queue takes it again */
    uint8_t words;               /* of a row */
    uint8_t key_words;           /* 1 or 2 */
    uint64_t count;              /* rows */
};

/* A row's place; `block` is block_count behind the last row. */
struct sp_rows_at {
    uint32_t block;
    uint32_t row;
};

void sp_rows_init(struct sp_rows *rows, uint8_t words, uint8_t key_words);
void sp_rows_fini(struct sp_rows *rows);
void sp_rows_clear(struct sp_rows *rows);

/* The row at a place, or NULL behind the last one. Its key must not be changed. */
static inline uint64_t *sp_rows_get(const struct sp_rows *rows, struct sp_rows_at at) {
    if (at.block >= rows->block_count) {
        return NULL;
    }
    struct sp_rows_block *block = rows->blocks[rows->block_begin + at.block].block;
    return &block->words[(size_t)(block->begin + at.row) * rows->words];
}

static inline struct sp_rows_at sp_rows_first(void) {
    return (struct sp_rows_at){.block = 0, .row = 0};
}

/* The place behind; rows are walked with it. */
static inline struct sp_rows_at sp_rows_next(const struct sp_rows *rows, struct sp_rows_at at) {
    at.row++;
    if (at.row == rows->blocks[rows->block_begin + at.block].block->count) {
        at = (struct sp_rows_at){.block = at.block + 1, .row = 0};
    }
    return at;
}

/* The last row, or NULL. */
uint64_t *sp_rows_last(const struct sp_rows *rows);

/*
 * The place of the first row whose words from `word` on are at or above the `key` (of key_words
 * words). They rise with the rows' keys, and are among the first SP_ROWS_LOW_WORDS.
 */
struct sp_rows_at sp_rows_seek_words(const struct sp_rows *rows, uint32_t word, uint32_t key_words,
                                     const uint64_t *key);

/* The same by the rows' own key. */
static inline struct sp_rows_at sp_rows_seek(const struct sp_rows *rows, const uint64_t *key) {
    return sp_rows_seek_words(rows, 0, rows->key_words, key);
}

/* The row with this key, or NULL. */
uint64_t *sp_rows_find(const struct sp_rows *rows, const uint64_t *key);

/*
 * Adds a row. SP_OK; SP_CONFLICT where its key is there, and then nothing changed; SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_rows_add(struct sp_rows *rows, const uint64_t *row);

/* Takes the row at a place away; returns the place of the one behind it. */
struct sp_rows_at sp_rows_remove(struct sp_rows *rows, struct sp_rows_at at);

/* Takes the row with this key away; false where there is none. */
bool sp_rows_remove_key(struct sp_rows *rows, const uint64_t *key);

/* Takes all rows below the key away (whole blocks at once); returns how many. */
uint64_t sp_rows_remove_below(struct sp_rows *rows, const uint64_t *key);

/* How many rows are below the key. O(blocks). */
uint64_t sp_rows_rank(const struct sp_rows *rows, const uint64_t *key);

/*
 * For rows whose keys are one number: the number n such that exactly `absent` numbers of [from, n)
 * are no keys. No key is below `from`. O(blocks up to there).
 */
uint64_t sp_rows_skip_absent(const struct sp_rows *rows, uint64_t from, uint64_t absent);

/* Bytes of memory. O(blocks). */
size_t sp_rows_memory(const struct sp_rows *rows);

#endif
