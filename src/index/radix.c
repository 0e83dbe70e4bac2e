#include "index/radix.h"

#include <string.h>

#include "base/assert.h"

enum { DIGIT_BITS = 11, DIGIT_COUNT = 1 << DIGIT_BITS };

static void radix_pass(const uint64_t *from, uint64_t *to, size_t count, unsigned shift,
                       uint64_t mask) {
    size_t places[DIGIT_COUNT] = {0};
    for (size_t i = 0; i < count; i++) {
        places[from[i] >> shift & mask]++;
    }
    size_t before = 0;
    for (size_t digit = 0; digit <= mask; digit++) {
        size_t here = places[digit];
        places[digit] = before;
        before += here;
    }
    for (size_t i = 0; i < count; i++) {
        to[places[from[i] >> shift & mask]++] = from[i];
    }
}

void sp_radix_sort(uint64_t *numbers, uint64_t *spare, size_t count, unsigned low, unsigned high) {
    sp_require(low <= high && high <= 64);
    uint64_t *from = numbers;
    uint64_t *to = spare;
    while (low < high) {
        unsigned bits = high - low < DIGIT_BITS ? high - low : DIGIT_BITS;
        radix_pass(from, to, count, low, ((uint64_t)1 << bits) - 1);
        uint64_t *sorted = to;
        to = from;
        from = sorted;
        low += bits;
    }
    if (from != numbers && count > 0) {
        memcpy(numbers, from, count * sizeof(*numbers));
    }
}
