#include "match/fold.h"

#include "base/assert.h"

/* A run of capital letters and how far away the small ones are. */
struct fold_run {
    uint16_t first;
    uint16_t last;
    uint8_t stride; /* 1: each code point is a capital; 2: every second, the small ones between */
    uint8_t delta;
};

static const struct fold_run RUNS[] = {
    {0x0041, 0x005a, 1, 32},                         /* Basic Latin */
    {0x00c0, 0x00d6, 1, 32},                         /* Latin-1 */
    {0x00d8, 0x00de, 1, 32}, {0x0100, 0x012e, 2, 1}, /* Latin Extended-A */
    {0x0132, 0x0136, 2, 1},  {0x0139, 0x0147, 2, 1},
    {0x014a, 0x0176, 2, 1},  {0x0179, 0x017d, 2, 1},
    {0x0386, 0x0386, 1, 38}, /* Greek */
    {0x0388, 0x038a, 1, 37}, {0x038c, 0x038c, 1, 64},
    {0x038e, 0x038f, 1, 63}, {0x0391, 0x03a1, 1, 32},
    {0x03a3, 0x03ab, 1, 32}, {0x03c2, 0x03c2, 1, 1}, /* the sigma at a word's end */
    {0x0400, 0x040f, 1, 80},                         /* Cyrillic */
    {0x0410, 0x042f, 1, 32}, {0x0460, 0x0480, 2, 1},
    {0x048a, 0x04be, 2, 1},  {0x04c1, 0x04cd, 2, 1},
    {0x04d0, 0x052e, 2, 1},  {0x0531, 0x0556, 1, 48}, /* Armenian */
};

uint32_t sp_fold(uint32_t code) {
    if (code < 0x80) {
        return code - 'A' < 26 ? code + 32 : code;
    }
    if (code >= SP_FOLD_END) {
        return code;
    }
    if (code == 0x178) {
        return 0xff; /* the one capital above its small letter */
    }
    for (unsigned i = 0; i < sizeof(RUNS) / sizeof(RUNS[0]); i++) {
        const struct fold_run *run = &RUNS[i];
        if (code >= run->first && code <= run->last) {
            return (code - run->first) % run->stride == 0 ? code + run->delta : code;
        }
    }
    sp_ensure(code < SP_FOLD_END);
    return code;
}
