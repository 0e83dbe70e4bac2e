#include "index/sieve.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static uint32_t row_bytes_for(uint32_t columns) {
    return columns <= 8 ? 1 : columns <= 16 ? 2 : columns <= 32 ? 4 : 8;
}

/* A row, which may be growing at the same time. Where this is inlined the width is known. */
static SP_ALWAYS_INLINE uint64_t row_get(const uint8_t *rows, size_t row, uint32_t row_bytes) {
    const void *at = rows + row * row_bytes;
    switch (row_bytes) {
    case 1:
        return __atomic_load_n((const uint8_t *)at, __ATOMIC_RELAXED);
    case 2:
        return __atomic_load_n((const uint16_t *)at, __ATOMIC_RELAXED);
    case 4:
        return __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED);
    default:
        return __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
    }
}

/* Written whole, as it may be read at the same time; there is one writer. */
static SP_ALWAYS_INLINE void row_put(uint8_t *rows, size_t row, uint32_t row_bytes,
                                     uint64_t value) {
    void *at = rows + row * row_bytes;
    switch (row_bytes) {
    case 1:
        __atomic_store_n((uint8_t *)at, (uint8_t)value, __ATOMIC_RELAXED);
        break;
    case 2:
        __atomic_store_n((uint16_t *)at, (uint16_t)value, __ATOMIC_RELAXED);
        break;
    case 4:
        __atomic_store_n((uint32_t *)at, (uint32_t)value, __ATOMIC_RELAXED);
        break;
    default:
        __atomic_store_n((uint64_t *)at, value, __ATOMIC_RELAXED);
        break;
    }
}

/* Spreads the bits of one filter's block into its column of the block's rows. */
static void block_add(uint64_t rows[SP_FILTER_BLOCK_BITS], const uint64_t *words, uint32_t column) {
    for (size_t word = 0; word < SP_FILTER_BLOCK_WORDS; word++) {
        uint64_t bits = words[word];
        while (bits != 0) {
            rows[word * 64 + (size_t)__builtin_ctzll(bits)] |= (uint64_t)1 << column;
            bits &= bits - 1;
        }
    }
}

static inline void rows_widen(uint64_t *to, const uint8_t *from, uint32_t row_bytes) {
    for (size_t row = 0; row < SP_FILTER_BLOCK_BITS; row++) {
        to[row] = row_get(from, row, row_bytes);
    }
}

static inline void rows_narrow(uint8_t *to, const uint64_t *from, uint32_t row_bytes) {
    for (size_t row = 0; row < SP_FILTER_BLOCK_BITS; row++) {
        memcpy(to + row * row_bytes, &from[row], row_bytes);
    }
}

/* Loads the rows of one block in full width; stored in full width they are as they lie. */
static void block_load(uint64_t *to, const uint8_t *from, uint32_t row_bytes) {
    switch (row_bytes) {
    case 1:
        rows_widen(to, from, 1);
        break;
    case 2:
        rows_widen(to, from, 2);
        break;
    case 4:
        rows_widen(to, from, 4);
        break;
    default:
        rows_widen(to, from, 8);
        break;
    }
}

static void block_store(uint8_t *to, const uint64_t *from, uint32_t row_bytes) {
    switch (row_bytes) {
    case 1:
        rows_narrow(to, from, 1);
        break;
    case 2:
        rows_narrow(to, from, 2);
        break;
    case 4:
        rows_narrow(to, from, 4);
        break;
    default:
        rows_narrow(to, from, 8);
        break;
    }
}

/* Builds one block in full width, where it stays in the cache, and stores it narrow. */
static void group_build_block(struct sp_sieve_group *group, const struct sp_sieve_group *base,
                              const uint64_t *const *filters, uint32_t filter_count, size_t block) {
    uint64_t rows[SP_FILTER_BLOCK_BITS] = {0};
    size_t first_row = block * SP_FILTER_BLOCK_BITS;
    uint32_t columns = 0;
    if (base != NULL) {
        block_load(rows, base->rows + first_row * base->row_bytes, base->row_bytes);
        columns = base->column_count;
    }
    for (uint32_t i = 0; i < filter_count; i++) {
        block_add(rows, filters[i] + block * SP_FILTER_BLOCK_WORDS, columns + i);
    }
    block_store(group->rows + first_row * group->row_bytes, rows, group->row_bytes);
}

struct sp_sieve_group *sp_sieve_group_new(const struct sp_sieve_group *base, uint32_t block_count,
                                          const uint64_t *const *filters, uint32_t filter_count) {
    uint32_t columns = filter_count + (base != NULL ? base->column_count : 0);
    sp_require(columns > 0 && columns <= SP_SIEVE_COLUMNS_MAX && block_count > 0);
    sp_require(base == NULL || base->block_count == block_count);
    struct sp_sieve_group *group = calloc(1, sizeof(*group));
    if (group == NULL) {
        return NULL;
    }
    group->block_count = block_count;
    group->column_count = columns;
    group->row_bytes = row_bytes_for(columns);
    /* Aligned to the page that a block of a full group is. */
    group->rows = aligned_alloc(4096, (sp_sieve_group_bytes(group) + 4095) / 4096 * 4096);
    if (group->rows == NULL) {
        free(group);
        return NULL;
    }
    for (size_t block = 0; block < block_count; block++) {
        group_build_block(group, base, filters, filter_count, block);
    }
    return group;
}

/* Spreads the bits of a filter into a column of the rows. */
static SP_ALWAYS_INLINE void column_fill(struct sp_sieve_group *group, const uint64_t *words,
                                         uint32_t column, uint32_t row_bytes) {
    size_t word_count = (size_t)group->block_count * SP_FILTER_BLOCK_WORDS;
    for (size_t word = 0; word < word_count; word++) {
        for (uint64_t bits = words[word]; bits != 0; bits &= bits - 1) {
            size_t row = word * 64 + (size_t)__builtin_ctzll(bits);
            uint64_t value = row_get(group->rows, row, row_bytes) | (uint64_t)1 << column;
            row_put(group->rows, row, row_bytes, value);
        }
    }
}

void sp_sieve_group_fill(struct sp_sieve_group *group, const uint64_t *const *filters,
                         uint32_t filter_count) {
    sp_require(sp_sieve_group_has_room(group, filter_count));
    for (uint32_t i = 0; i < filter_count; i++) {
        switch (group->row_bytes) {
        case 1:
            column_fill(group, filters[i], group->column_count, 1);
            break;
        case 2:
            column_fill(group, filters[i], group->column_count, 2);
            break;
        case 4:
            column_fill(group, filters[i], group->column_count, 4);
            break;
        default:
            column_fill(group, filters[i], group->column_count, 8);
            break;
        }
        group->column_count++;
    }
}

void sp_sieve_group_free(struct sp_sieve_group *group) {
    if (group != NULL) {
        free(group->rows);
        free(group);
    }
}

size_t sp_sieve_group_bytes(const struct sp_sieve_group *group) {
    return (size_t)group->block_count * SP_FILTER_BLOCK_BITS * group->row_bytes;
}

static inline const uint8_t *group_block(const struct sp_sieve_group *group, uint64_t key) {
    size_t first_row = (size_t)sp_filter_block(key, group->block_count) * SP_FILTER_BLOCK_BITS;
    return group->rows + first_row * group->row_bytes;
}

/* With the width known the loop becomes seven loads that do not wait for one another. */
static inline uint64_t block_ask(const uint8_t *block, uint64_t probes, uint32_t row_bytes) {
    uint64_t columns = UINT64_MAX;
    for (int i = 0; i < SP_FILTER_PROBES; i++) {
        columns &= row_get(block, probes & (SP_FILTER_BLOCK_BITS - 1), row_bytes);
        probes >>= SP_FILTER_PROBE_BITS;
    }
    return columns;
}

uint64_t sp_sieve_ask(const struct sp_sieve_group *group, uint64_t key) {
    const uint8_t *block = group_block(group, key);
    uint64_t probes = sp_filter_probes(key);
    switch (group->row_bytes) {
    case 1:
        return block_ask(block, probes, 1);
    case 2:
        return block_ask(block, probes, 2);
    case 4:
        return block_ask(block, probes, 4);
    default:
        return block_ask(block, probes, 8);
    }
}

void sp_sieve_prefetch(const struct sp_sieve_group *group, uint64_t key) {
    const uint8_t *block = group_block(group, key);
    uint64_t probes = sp_filter_probes(key);
    for (int i = 0; i < SP_FILTER_PROBES; i++) {
        __builtin_prefetch(block + (probes & (SP_FILTER_BLOCK_BITS - 1)) * group->row_bytes);
        probes >>= SP_FILTER_PROBE_BITS;
    }
}
