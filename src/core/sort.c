#include "core/sort.h"

#include <stdbool.h>

static void sink(uint64_t *heap, size_t count, size_t at) {
    uint64_t number = heap[at];
    for (;;) {
        size_t child = at * 2 + 1;
        if (child + 1 < count && heap[child + 1] > heap[child]) {
            child++;
        }
        if (child >= count || heap[child] <= number) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = number;
}

static bool rises(const uint64_t *numbers, size_t count) {
    for (size_t i = 1; i < count; i++) {
        if (numbers[i] <= numbers[i - 1]) {
            return false;
        }
    }
    return true;
}

/* Heapsort: no worst case, no memory. */
size_t sp_sort_unique(uint64_t *numbers, size_t count) {
    if (rises(numbers, count)) {
        return count;
    }
    for (size_t i = count / 2; i-- > 0;) {
        sink(numbers, count, i);
    }
    for (size_t end = count; end-- > 1;) {
        uint64_t greatest = numbers[0];
        numbers[0] = numbers[end];
        numbers[end] = greatest;
        sink(numbers, end, 0);
    }
    size_t kept = count > 0 ? 1 : 0;
    for (size_t i = 1; i < count; i++) {
        if (numbers[i] != numbers[kept - 1]) {
            numbers[kept++] = numbers[i];
        }
    }
    return kept;
}
