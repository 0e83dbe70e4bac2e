#include "cli/histogram.h"

#include "base/assert.h"

/* The largest time that falls into a slot. */
static uint64_t slot_end(uint32_t slot) {
    if (slot < SP_HISTOGRAM_STEPS) {
        return slot;
    }
    uint32_t power = slot / SP_HISTOGRAM_STEPS - 1;
    uint64_t step = slot % SP_HISTOGRAM_STEPS + SP_HISTOGRAM_STEPS;
    return ((step + 1) << power) - 1;
}

double sp_histogram_us(const struct sp_histogram *histogram, double share) {
    sp_require(share >= 0 && share <= 1);
    uint64_t wanted = (uint64_t)(share * (double)histogram->count);
    uint64_t seen = 0;
    for (uint32_t slot = 0; slot < SP_HISTOGRAM_SLOTS; slot++) {
        seen += histogram->slots[slot];
        if (seen > wanted || (seen > 0 && seen == histogram->count)) {
            uint64_t end = slot_end(slot);
            return (double)(end < histogram->max_ns ? end : histogram->max_ns) / 1000.0;
        }
    }
    return 0;
}
