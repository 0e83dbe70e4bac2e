#include <stdlib.h>

#include "base/assert.h"
#include "index/index.h"

struct sp_index_merge_entry {
    uint64_t position;
    uint32_t scan;
};

sp_status sp_index_merge_init(struct sp_index_merge *merge, struct sp_index *index,
                              enum sp_index_kind kind, const uint64_t *hashes, size_t hash_count,
                              uint64_t from, uint64_t until, bool reverse) {
    *merge = (struct sp_index_merge){.reverse = reverse, .bound = reverse ? UINT64_MAX : 0};
    if (hash_count > SP_INDEX_MERGE_KEYS_MAX) {
        return SP_LIMIT;
    }
    if (hash_count == 0) {
        return SP_OK;
    }
    merge->scans = malloc(hash_count * sizeof(*merge->scans));
    merge->heap = malloc(hash_count * sizeof(*merge->heap));
    if (merge->scans == NULL || merge->heap == NULL) {
        sp_index_merge_fini(merge);
        return SP_NO_MEMORY;
    }
    for (size_t i = 0; i < hash_count; i++) {
        sp_index_scan_init(&merge->scans[i], index, kind, hashes[i], from, until, reverse);
    }
    merge->scan_count = hash_count;
    return SP_OK;
}

void sp_index_merge_fini(struct sp_index_merge *merge) {
    free(merge->scans);
    free(merge->heap);
    *merge = (struct sp_index_merge){.scans = NULL};
}

static bool entry_before(const struct sp_index_merge *merge, size_t a, size_t b) {
    uint64_t left = merge->heap[a].position;
    uint64_t right = merge->heap[b].position;
    return merge->reverse ? left > right : left < right;
}

static void heap_swap(struct sp_index_merge *merge, size_t a, size_t b) {
    struct sp_index_merge_entry kept = merge->heap[a];
    merge->heap[a] = merge->heap[b];
    merge->heap[b] = kept;
}

static void heap_up(struct sp_index_merge *merge, size_t at) {
    while (at > 0 && entry_before(merge, at, (at - 1) / 2)) {
        heap_swap(merge, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void heap_down(struct sp_index_merge *merge, size_t at) {
    for (;;) {
        size_t first = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < merge->heap_count; child++) {
            if (entry_before(merge, child, first)) {
                first = child;
            }
        }
        if (first == at) {
            return;
        }
        heap_swap(merge, at, first);
        at = first;
    }
}

/* Asks the scans that were not asked yet for their first candidate. */
static sp_status merge_prime(struct sp_index_merge *merge) {
    while (merge->primed_count < merge->scan_count) {
        uint64_t position;
        sp_status status = sp_index_scan_next(&merge->scans[merge->primed_count], &position);
        if (status == SP_OK) {
            merge->heap[merge->heap_count] = (struct sp_index_merge_entry){
                .position = position,
                .scan = (uint32_t)merge->primed_count,
            };
            heap_up(merge, merge->heap_count++);
        } else if (status != SP_END) {
            return status;
        }
        merge->primed_count++;
    }
    return SP_OK;
}

/* Replaces the top by its scan's next candidate. On an error nothing has changed. */
static sp_status merge_advance(struct sp_index_merge *merge) {
    uint64_t position;
    sp_status status = sp_index_scan_next(&merge->scans[merge->heap[0].scan], &position);
    if (status == SP_OK) {
        merge->heap[0].position = position;
    } else if (status == SP_END) {
        merge->heap[0] = merge->heap[--merge->heap_count];
    } else {
        return status;
    }
    heap_down(merge, 0);
    return SP_OK;
}

/* The top was taken before the seek and lies in what is passed over. */
static bool merge_is_stale(const struct sp_index_merge *merge) {
    uint64_t position = merge->heap[0].position;
    return merge->reverse ? position > merge->bound : position < merge->bound;
}

sp_status sp_index_merge_next(struct sp_index_merge *merge, uint64_t *ret_position) {
    sp_status status = merge_prime(merge);
    while (status == SP_OK && merge->heap_count > 0 && merge_is_stale(merge)) {
        status = merge_advance(merge);
    }
    if (status != SP_OK || merge->heap_count == 0) {
        return status != SP_OK ? status : SP_END;
    }
    uint64_t position = merge->heap[0].position;
    while (status == SP_OK && merge->heap_count > 0 && merge->heap[0].position == position) {
        status = merge_advance(merge);
    }
    if (status == SP_OK) {
        *ret_position = position;
    }
    return status;
}

void sp_index_merge_seek(struct sp_index_merge *merge, uint64_t position) {
    bool further = merge->reverse ? position < merge->bound : position > merge->bound;
    if (!further) {
        return;
    }
    merge->bound = position;
    for (size_t i = 0; i < merge->scan_count; i++) {
        sp_index_scan_seek(&merge->scans[i], position);
    }
}
