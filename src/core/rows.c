#include "core/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum {
    FIRST_CAPACITY = 4,             /* rows of an only block: most tables stay small */
    THIN = SP_ROWS_BLOCK / 4,       /* a block with fewer looks for a neighbour to join */
    JOINED_MAX = SP_ROWS_BLOCK / 2, /* and joins it where both have no more than this */
};

void sp_rows_init(struct sp_rows *rows, uint8_t words, uint8_t key_words) {
    sp_require(words <= SP_ROWS_WORDS_MAX && key_words >= 1 && key_words <= 2);
    sp_require(key_words <= words);
    *rows = (struct sp_rows){.words = words, .key_words = key_words};
}

void sp_rows_clear(struct sp_rows *rows) {
    for (uint32_t i = 0; i < rows->block_count; i++) {
        free(rows->blocks[rows->block_begin + i].block);
    }
    rows->block_begin = 0;
    rows->block_count = 0;
    rows->count = 0;
}

void sp_rows_fini(struct sp_rows *rows) {
    sp_rows_clear(rows);
    free(rows->blocks);
    free(rows->spare);
    rows->spare = NULL;
    rows->blocks = NULL;
    rows->block_capacity = 0;
}

static struct sp_rows_block *block_at(const struct sp_rows *rows, uint32_t i) {
    return rows->blocks[rows->block_begin + i].block;
}

static uint64_t *row_at(const struct sp_rows *rows, struct sp_rows_block *block, uint32_t i) {
    return &block->words[(size_t)(block->begin + i) * rows->words];
}

static size_t bytes_of(const struct sp_rows *rows, uint32_t count) {
    return (size_t)count * rows->words * sizeof(uint64_t);
}

/* Rows are short: a loop of words beats a call. What is in them need not be words. */
static inline void copy_row(uint64_t *to, const uint64_t *from, uint32_t words) {
    for (uint32_t i = 0; i < words; i++) {
        memcpy(to + i, from + i, sizeof(*to));
    }
}

static inline bool is_below(const uint64_t *words, const uint64_t *key, uint32_t key_words) {
    return words[0] < key[0] || (key_words == 2 && words[0] == key[0] && words[1] < key[1]);
}

uint64_t *sp_rows_last(const struct sp_rows *rows) {
    if (rows->block_count == 0) {
        return NULL;
    }
    struct sp_rows_block *block = block_at(rows, rows->block_count - 1);
    return row_at(rows, block, block->count - 1);
}

/* The first row of the block that is not below the key; the block's count where all are. */
static uint32_t seek_row(const struct sp_rows *rows, struct sp_rows_block *block, uint32_t word,
                         uint32_t key_words, const uint64_t *key) {
    const uint64_t *base = &block->words[(size_t)block->begin * rows->words + word];
    uint32_t low = 0;
    uint32_t high = block->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        bool below = is_below(&base[(size_t)middle * rows->words], key, key_words);
        low = below ? middle + 1 : low;
        high = below ? high : middle;
    }
    return low;
}

/* True where the block, which is not the first, begins at or below the key. */
static inline bool begins_by(const struct sp_rows *rows, uint32_t i, uint32_t word,
                             uint32_t key_words, const uint64_t *key) {
    const uint64_t *low = &rows->blocks[rows->block_begin + i].low[word];
    return low[0] < key[0] || (low[0] == key[0] && (key_words == 1 || low[1] <= key[1]));
}

/* The block that the key belongs to: the last one that begins by it. The ends are asked first. */
static uint32_t seek_block(const struct sp_rows *rows, uint32_t word, uint32_t key_words,
                           const uint64_t *key) {
    uint32_t low = 0;
    uint32_t high = rows->block_count - 1;
    if (high == 0 || !begins_by(rows, 1, word, key_words, key)) {
        return 0;
    }
    if (begins_by(rows, high, word, key_words, key)) {
        return high;
    }
    while (low + 1 < high) { /* low begins by the key, high does not */
        uint32_t middle = low + (high - low) / 2;
        if (begins_by(rows, middle, word, key_words, key)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Where in its block the key belongs; the row may be behind the block's last. */
static struct sp_rows_at seek_place(const struct sp_rows *rows, uint32_t word, uint32_t key_words,
                                    const uint64_t *key) {
    uint32_t i = seek_block(rows, word, key_words, key);
    uint32_t row = seek_row(rows, block_at(rows, i), word, key_words, key);
    return (struct sp_rows_at){.block = i, .row = row};
}

struct sp_rows_at sp_rows_seek_words(const struct sp_rows *rows, uint32_t word, uint32_t key_words,
                                     const uint64_t *key) {
    sp_require(word + key_words <= SP_ROWS_LOW_WORDS);
    if (rows->block_count == 0) {
        return (struct sp_rows_at){.block = 0, .row = 0};
    }
    struct sp_rows_at at = seek_place(rows, word, key_words, key);
    if (at.row == block_at(rows, at.block)->count) {
        at = (struct sp_rows_at){.block = at.block + 1, .row = 0};
    }
    return at;
}

uint64_t *sp_rows_find(const struct sp_rows *rows, const uint64_t *key) {
    uint64_t *row = sp_rows_get(rows, sp_rows_seek(rows, key));
    return row != NULL && !is_below(key, row, rows->key_words) ? row : NULL;
}

/* ---- blocks ---- */

static struct sp_rows_block *new_block(struct sp_rows *rows, uint32_t capacity) {
    if (rows->spare != NULL && rows->spare->capacity >= capacity) {
        struct sp_rows_block *spare = rows->spare;
        rows->spare = NULL;
        *spare = (struct sp_rows_block){.capacity = spare->capacity};
        return spare;
    }
    struct sp_rows_block *block = malloc(sizeof(*block) + bytes_of(rows, capacity));
    if (block != NULL) {
        *block = (struct sp_rows_block){.capacity = capacity};
    }
    return block;
}

/* Makes room in the list for one more block behind the last. */
static sp_status reserve_list(struct sp_rows *rows) {
    if (rows->block_begin + rows->block_count < rows->block_capacity) {
        return SP_OK;
    }
    if (rows->block_begin > rows->block_capacity / 2) {
        memmove(rows->blocks, rows->blocks + rows->block_begin,
                rows->block_count * sizeof(*rows->blocks));
        rows->block_begin = 0;
        return SP_OK;
    }
    uint32_t capacity = rows->block_capacity == 0 ? 1 : rows->block_capacity * 2;
    struct sp_rows_slot *blocks = realloc(rows->blocks, capacity * sizeof(*blocks));
    if (blocks == NULL) {
        return SP_NO_MEMORY;
    }
    rows->blocks = blocks;
    rows->block_capacity = capacity;
    return SP_OK;
}

static sp_status insert_block(struct sp_rows *rows, uint32_t at, uint32_t capacity) {
    sp_status status = reserve_list(rows);
    struct sp_rows_block *block = status == SP_OK ? new_block(rows, capacity) : NULL;
    if (block == NULL) {
        return SP_NO_MEMORY;
    }
    struct sp_rows_slot *list = rows->blocks + rows->block_begin;
    memmove(list + at + 1, list + at, (rows->block_count - at) * sizeof(*list));
    list[at] = (struct sp_rows_slot){.block = block};
    rows->block_count++;
    return SP_OK;
}

static void remove_block(struct sp_rows *rows, uint32_t at) {
    struct sp_rows_slot *list = rows->blocks + rows->block_begin;
    free(rows->spare);
    rows->spare = list[at].block;
    rows->block_count--;
    if (at < rows->block_count / 2) {
        memmove(list + 1, list, at * sizeof(*list));
        rows->block_begin++;
    } else {
        memmove(list + at, list + at + 1, (rows->block_count - at) * sizeof(*list));
    }
}

/* Notes what a new block begins with. */
static void set_low(struct sp_rows *rows, uint32_t at) {
    const uint64_t *first = row_at(rows, block_at(rows, at), 0);
    uint32_t words = rows->words < SP_ROWS_LOW_WORDS ? rows->words : SP_ROWS_LOW_WORDS;
    copy_row(rows->blocks[rows->block_begin + at].low, first, words);
}

/* A small block, the only one there is, doubles. */
static sp_status grow_block(struct sp_rows *rows, uint32_t at) {
    struct sp_rows_block *block = block_at(rows, at);
    uint32_t capacity = block->capacity * 2;
    struct sp_rows_block *grown = realloc(block, sizeof(*block) + bytes_of(rows, capacity));
    if (grown == NULL) {
        return SP_NO_MEMORY;
    }
    grown->capacity = capacity;
    rows->blocks[rows->block_begin + at].block = grown;
    return SP_OK;
}

/* The upper half of a full block becomes the block behind it. */
static sp_status split_block(struct sp_rows *rows, uint32_t at) {
    sp_status status = insert_block(rows, at + 1, SP_ROWS_BLOCK);
    if (status != SP_OK) {
        return status;
    }
    struct sp_rows_block *full = block_at(rows, at);
    struct sp_rows_block *upper = block_at(rows, at + 1);
    uint32_t kept = full->count / 2;
    upper->count = full->count - kept;
    memcpy(upper->words, row_at(rows, full, kept), bytes_of(rows, upper->count));
    full->count = kept;
    set_low(rows, at + 1);
    return SP_OK;
}

/* Opens a gap in a block that has room. */
static void open_gap(struct sp_rows *rows, struct sp_rows_block *block, uint32_t row) {
    bool room_behind = block->begin + block->count < block->capacity;
    if (block->begin > 0 && (row < block->count / 2 || !room_behind)) {
        uint64_t *first = row_at(rows, block, 0);
        memmove(first - rows->words, first, bytes_of(rows, row));
        block->begin--;
    } else {
        uint64_t *gap = row_at(rows, block, row);
        memmove(gap + rows->words, gap, bytes_of(rows, block->count - row));
    }
    block->count++;
}

/* Finds a block with room for a row that belongs at *at, and moves *at there. */
static sp_status make_room(struct sp_rows *rows, struct sp_rows_at *at) {
    if (rows->block_count == 0) {
        return insert_block(rows, 0, FIRST_CAPACITY);
    }
    struct sp_rows_block *block = block_at(rows, at->block);
    bool behind = at->block == rows->block_count - 1 && at->row == block->count;
    bool room_behind = block->begin + block->count < block->capacity;
    if (room_behind || (block->begin > 0 && !behind)) {
        return SP_OK;
    }
    if (block->begin >= block->capacity / 2) { /* rows come behind and go in front: a queue */
        memmove(block->words, row_at(rows, block, 0), bytes_of(rows, block->count));
        block->begin = 0;
        return SP_OK;
    }
    if (block->capacity < SP_ROWS_BLOCK) {
        return grow_block(rows, at->block);
    }
    if (behind) {
        *at = (struct sp_rows_at){.block = rows->block_count, .row = 0};
        return insert_block(rows, rows->block_count, SP_ROWS_BLOCK);
    }
    sp_status status = split_block(rows, at->block);
    uint32_t lower = status == SP_OK ? block_at(rows, at->block)->count : UINT32_MAX;
    if (at->row > lower) {
        *at = (struct sp_rows_at){.block = at->block + 1, .row = at->row - lower};
    }
    return status;
}

/* The way of most rows: behind the last one, where its block has room. */
static inline bool add_behind(struct sp_rows *rows, const uint64_t *row) {
    if (rows->block_count == 0) {
        return false;
    }
    struct sp_rows_block *block = block_at(rows, rows->block_count - 1);
    uint64_t *end = row_at(rows, block, block->count);
    if (block->begin + block->count == block->capacity ||
        !is_below(end - rows->words, row, rows->key_words)) {
        return false;
    }
    copy_row(end, row, rows->words);
    block->count++;
    rows->count++;
    return true;
}

sp_status sp_rows_add(struct sp_rows *rows, const uint64_t *row) {
    if (add_behind(rows, row)) {
        return SP_OK;
    }
    struct sp_rows_at at = {.block = 0, .row = 0};
    if (rows->block_count > 0) {
        at = seek_place(rows, 0, rows->key_words, row);
        struct sp_rows_block *found = block_at(rows, at.block);
        if (at.row < found->count && !is_below(row, row_at(rows, found, at.row), rows->key_words)) {
            return SP_CONFLICT;
        }
    }
    sp_status status = make_room(rows, &at);
    if (status != SP_OK) {
        return status;
    }
    struct sp_rows_block *block = block_at(rows, at.block);
    open_gap(rows, block, at.row);
    copy_row(row_at(rows, block, at.row), row, rows->words);
    rows->count++;
    if (block->count == 1) {
        set_low(rows, at.block);
    }
    return SP_OK;
}

/* Takes the rows of the block `at + 1` into the block `at`. */
static void join_blocks(struct sp_rows *rows, uint32_t at) {
    struct sp_rows_block *lower = block_at(rows, at);
    struct sp_rows_block *upper = block_at(rows, at + 1);
    if (lower->begin > 0) {
        memmove(lower->words, row_at(rows, lower, 0), bytes_of(rows, lower->count));
        lower->begin = 0;
    }
    memcpy(row_at(rows, lower, lower->count), row_at(rows, upper, 0), bytes_of(rows, upper->count));
    lower->count += upper->count;
    remove_block(rows, at + 1);
}

static bool can_join(const struct sp_rows *rows, uint32_t at) {
    return at + 1 < rows->block_count && block_at(rows, at)->capacity == SP_ROWS_BLOCK &&
           block_at(rows, at)->count + block_at(rows, at + 1)->count <= JOINED_MAX;
}

/* Looks after a block that got thinner; keeps *at the same row. */
static void tidy(struct sp_rows *rows, struct sp_rows_at *at) {
    struct sp_rows_block *block = block_at(rows, at->block);
    if (block->count == 0) {
        remove_block(rows, at->block);
        at->row = 0;
        return;
    }
    /* Where the first rows go one by one, as they came, the block is soon empty by itself. */
    if (block->count < THIN && at->block > 0 && can_join(rows, at->block - 1)) {
        at->block--;
        at->row += block_at(rows, at->block)->count;
        join_blocks(rows, at->block);
    } else if (block->count < THIN && at->block > 0 && can_join(rows, at->block)) {
        join_blocks(rows, at->block);
    }
    if (at->row == block_at(rows, at->block)->count) {
        *at = (struct sp_rows_at){.block = at->block + 1, .row = 0};
    }
}

struct sp_rows_at sp_rows_remove(struct sp_rows *rows, struct sp_rows_at at) {
    struct sp_rows_block *block = block_at(rows, at.block);
    sp_require(at.row < block->count);
    if (at.row == 0 && block->count > 1 && (at.block == 0 || block->count > THIN)) {
        block->begin++; /* the way of most rows: the first one goes */
        block->count--;
        rows->count--;
        return at;
    }
    uint64_t *gone = row_at(rows, block, at.row);
    if (at.row < block->count / 2 || at.row == 0) {
        uint64_t *first = row_at(rows, block, 0);
        memmove(first + rows->words, first, bytes_of(rows, at.row));
        block->begin++;
    } else {
        memmove(gone, gone + rows->words, bytes_of(rows, block->count - at.row - 1));
    }
    block->count--;
    rows->count--;
    if (block->count < THIN || at.row == block->count) {
        tidy(rows, &at);
    }
    return at;
}

bool sp_rows_remove_key(struct sp_rows *rows, const uint64_t *key) {
    struct sp_rows_at at = sp_rows_first();
    const uint64_t *row = sp_rows_get(rows, at);
    if (row != NULL && is_below(row, key, rows->key_words)) {
        at = sp_rows_seek(rows, key);
        row = sp_rows_get(rows, at);
    }
    if (row == NULL || is_below(key, row, rows->key_words)) {
        return false;
    }
    (void)sp_rows_remove(rows, at);
    return true;
}

static bool first_block_is_below(const struct sp_rows *rows, const uint64_t *key) {
    struct sp_rows_block *block = block_at(rows, 0);
    return is_below(row_at(rows, block, block->count - 1), key, rows->key_words);
}

uint64_t sp_rows_remove_below(struct sp_rows *rows, const uint64_t *key) {
    uint64_t before = rows->count;
    while (rows->block_count > 0 && first_block_is_below(rows, key)) {
        rows->count -= block_at(rows, 0)->count;
        remove_block(rows, 0);
    }
    if (rows->block_count > 0) {
        struct sp_rows_block *block = block_at(rows, 0);
        uint32_t below = seek_row(rows, block, 0, rows->key_words, key);
        block->begin += below;
        block->count -= below;
        rows->count -= below;
    }
    return before - rows->count;
}

uint64_t sp_rows_rank(const struct sp_rows *rows, const uint64_t *key) {
    struct sp_rows_at at = sp_rows_seek(rows, key);
    uint64_t below = at.row;
    if (at.block < rows->block_count / 2) {
        for (uint32_t i = 0; i < at.block; i++) {
            below += block_at(rows, i)->count;
        }
        return below;
    }
    below = rows->count + below;
    for (uint32_t i = at.block; i < rows->block_count; i++) {
        below -= block_at(rows, i)->count;
    }
    return below;
}

uint64_t sp_rows_skip_absent(const struct sp_rows *rows, uint64_t from, uint64_t absent) {
    sp_require(rows->key_words == 1);
    uint64_t present = 0; /* keys below what is looked at */
    for (uint32_t i = 0; i < rows->block_count; i++) {
        struct sp_rows_block *block = block_at(rows, i);
        uint64_t last = *row_at(rows, block, block->count - 1);
        if (last - from - (present + block->count - 1) < absent) {
            present += block->count;
            continue;
        }
        for (uint32_t j = 0; j < block->count; j++) {
            if (*row_at(rows, block, j) - from - present >= absent) {
                return from + absent + present;
            }
            present++;
        }
    }
    return from + absent + present;
}

size_t sp_rows_memory(const struct sp_rows *rows) {
    size_t bytes = rows->block_capacity * sizeof(*rows->blocks);
    for (uint32_t i = 0; i < rows->block_count; i++) {
        bytes += sizeof(struct sp_rows_block) + bytes_of(rows, block_at(rows, i)->capacity);
    }
    return bytes;
}
