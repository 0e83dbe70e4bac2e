#include "match/fold.h"
#include "match/regex_parts.h"

void sp_re_class_add(struct sp_re_class *class, uint32_t first, uint32_t last) {
    sp_require(first <= last && last <= SP_RE_CODE_MAX);
    struct sp_re_range *ranges =
        class->failed ? NULL
                      : sp_pool_grow(class->pool, class->ranges, class->count, sizeof(*ranges));
    if (ranges == NULL) {
        class->failed = true;
        return;
    }
    ranges[class->count++] = (struct sp_re_range){.first = first, .last = last};
    class->ranges = ranges;
}

void sp_re_class_add_named(struct sp_re_class *class, char letter) {
    static const struct sp_re_range DIGITS[] = {{'0', '9'}};
    static const struct sp_re_range WORDS[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    static const struct sp_re_range SPACES[] = {{'\t', '\r'}, {' ', ' '}};
    char small = (char)(letter | 0x20);
    const struct sp_re_range *named = small == 'd' ? DIGITS : small == 'w' ? WORDS : SPACES;
    size_t bytes = small == 'd' ? sizeof(DIGITS) : small == 'w' ? sizeof(WORDS) : sizeof(SPACES);
    sp_require(small == 'd' || small == 'w' || small == 's');
    uint32_t gap = 0; /* the first code point that the opposite has */
    for (size_t i = 0; i < bytes / sizeof(*named); i++) {
        if (small == letter) {
            sp_re_class_add(class, named[i].first, named[i].last);
        } else {
            sp_re_class_add(class, gap, named[i].first - 1);
            gap = named[i].last + 1;
        }
    }
    if (small != letter) {
        sp_re_class_add(class, gap, SP_RE_CODE_MAX);
    }
}

/* Adds every letter that folds as one of the class does. */
static void add_cases(struct sp_re_class *class) {
    uint8_t folds[SP_FOLD_END] = {0};
    sp_require(!class->failed);
    uint32_t end = 0;
    for (uint32_t i = 0; i < class->count; i++) {
        const struct sp_re_range *range = &class->ranges[i];
        for (uint32_t code = range->first; code <= range->last && code < SP_FOLD_END; code++) {
            folds[sp_fold(code)] = 1;
            end = code >= end ? code + 1 : end;
        }
    }
    /* No letter beyond ASCII has its other case within. */
    end = end <= 0x80 ? 0x80 : SP_FOLD_END;
    for (uint32_t code = 0; code < end; code++) {
        if (folds[sp_fold(code)] != 0) {
            sp_re_class_add(class, code, code);
        }
    }
}

/* By insertion: mostly there are few, and mostly in order. */
static void sort(struct sp_re_class *class) {
    for (uint32_t i = 1; i < class->count; i++) {
        struct sp_re_range range = class->ranges[i];
        uint32_t at = i;
        for (; at > 0 && class->ranges[at - 1].first > range.first; at--) {
            class->ranges[at] = class->ranges[at - 1];
        }
        class->ranges[at] = range;
    }
}

static void join(struct sp_re_class *class) {
    uint32_t used = 0;
    for (uint32_t i = 0; i < class->count; i++) {
        struct sp_re_range range = class->ranges[i];
        if (used > 0 && range.first <= class->ranges[used - 1].last + 1) {
            struct sp_re_range *last = &class->ranges[used - 1];
            last->last = range.last > last->last ? range.last : last->last;
        } else {
            class->ranges[used++] = range;
        }
    }
    class->count = used;
    sp_ensure(used == 0 || class->ranges[used - 1].last <= SP_RE_CODE_MAX);
}

/* The gaps between the ranges, in their place: there is at most one more. */
static void invert(struct sp_re_class *class) {
    uint32_t gap = 0;
    uint32_t count = class->count;
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct sp_re_range range = class->ranges[i];
        if (range.first > gap) {
            class->ranges[used++] = (struct sp_re_range){.first = gap, .last = range.first - 1};
        }
        gap = range.last + 1;
    }
    class->count = used;
    if (gap <= SP_RE_CODE_MAX) {
        if (used == 0) {
            class->ranges = NULL; /* an array of none is NULL to the pool */
        }
        sp_re_class_add(class, gap, SP_RE_CODE_MAX);
    }
}

void sp_re_class_finish(struct sp_re_class *class, bool fold, bool negate) {
    if (fold && !class->failed) {
        add_cases(class);
    }
    if (class->failed) {
        return;
    }
    sort(class);
    join(class);
    if (negate) {
        invert(class);
    }
}
