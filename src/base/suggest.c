#include "base/suggest.h"

#include "base/assert.h"

static unsigned smaller(unsigned a, unsigned b) {
    return a < b ? a : b;
}

/* Optimal string alignment, three rows at a time (Damerau, CACM 1964). */
unsigned sp_suggest_distance(sp_str a, sp_str b) {
    if (a.len > SP_SUGGEST_BYTES_MAX || b.len > SP_SUGGEST_BYTES_MAX) {
        return (unsigned)(a.len > b.len ? a.len : b.len);
    }
    unsigned rows[3][SP_SUGGEST_BYTES_MAX + 1];
    for (unsigned j = 0; j <= b.len; j++) {
        rows[0][j] = j;
    }
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned changed = above[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);
            row[j] = smaller(changed, smaller(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1]) {
                row[j] = smaller(row[j], above2[j - 2] + 1);
            }
        }
    }
    return rows[a.len % 3][b.len];
}

void sp_suggest_init(struct sp_suggest *suggest, sp_str wrong) {
    sp_require(suggest != NULL);
    unsigned limit = (unsigned)wrong.len / 3;
    *suggest = (struct sp_suggest){
        .wrong = wrong, .best_distance = (limit < 1 ? 1 : limit) + 1, /* one too far */
    };
}

void sp_suggest_try(struct sp_suggest *suggest, const char *name) {
    sp_require(name != NULL);
    unsigned distance = sp_suggest_distance(suggest->wrong, sp_str_from(name));
    if (distance < suggest->best_distance) {
        suggest->best = name;
        suggest->best_distance = distance;
    }
}
