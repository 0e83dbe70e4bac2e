#include "match/fold.h"
#include "match/regex_parts.h"
#include "match/unicode.h"

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

/* Adds some ranges, which are sorted and apart, or what is between them. */
static void add_ranges(struct sp_re_class *class, const struct sp_re_range *ranges, size_t count,
                       bool opposite) {
    uint32_t gap = 0; /* the first code point that the opposite has */
    for (size_t i = 0; i < count; i++) {
        if (!opposite) {
            sp_re_class_add(class, ranges[i].first, ranges[i].last);
        } else {
            sp_re_class_add(class, gap, ranges[i].first - 1);
            gap = ranges[i].last + 1;
        }
    }
    if (opposite) {
        sp_re_class_add(class, gap, SP_RE_CODE_MAX);
    }
}

void sp_re_class_add_named(struct sp_re_class *class, enum sp_regex_dialect dialect, char letter) {
    static const struct sp_re_range DIGITS[] = {{'0', '9'}};
    static const struct sp_re_range WORDS[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    static const struct sp_re_range SPACES[] = {
        {'\t', '\r'},     {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a},
        {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff},
    };
    char small = (char)(letter | 0x20);
    bool opposite = small != letter;
    sp_require(small == 'd' || small == 'w' || small == 's');
    if (small == 'd') {
        add_ranges(class, DIGITS, 1, opposite);
    } else if (small == 'w') {
        add_ranges(class, WORDS, 4, opposite);
    } else {
        size_t all = sizeof(SPACES) / sizeof(SPACES[0]);
        add_ranges(class, SPACES, dialect == SP_REGEX_ECMA ? all : 2, opposite);
    }
}

/* The categories that a name stands for, as bits; 0 where it is none. */
static uint32_t categories_of(sp_str name) {
    static const struct {
        const char *name;
        const char *means;
    } NAMES[] = {
        {"Letter", "L"},
        {"Mark", "M"},
        {"Combining_Mark", "M"},
        {"Number", "N"},
        {"Punctuation", "P"},
        {"punct", "P"},
        {"Symbol", "S"},
        {"Separator", "Z"},
        {"Other", "C"},
        {"Uppercase_Letter", "Lu"},
        {"Lowercase_Letter", "Ll"},
        {"Titlecase_Letter", "Lt"},
        {"Modifier_Letter", "Lm"},
        {"Other_Letter", "Lo"},
        {"Nonspacing_Mark", "Mn"},
        {"Spacing_Mark", "Mc"},
        {"Enclosing_Mark", "Me"},
        {"Decimal_Number", "Nd"},
        {"digit", "Nd"},
        {"Letter_Number", "Nl"},
        {"Other_Number", "No"},
        {"Connector_Punctuation", "Pc"},
        {"Dash_Punctuation", "Pd"},
        {"Open_Punctuation", "Ps"},
        {"Close_Punctuation", "Pe"},
        {"Initial_Punctuation", "Pi"},
        {"Final_Punctuation", "Pf"},
        {"Other_Punctuation", "Po"},
        {"Math_Symbol", "Sm"},
        {"Currency_Symbol", "Sc"},
        {"Modifier_Symbol", "Sk"},
        {"Other_Symbol", "So"},
        {"Space_Separator", "Zs"},
        {"Line_Separator", "Zl"},
        {"Paragraph_Separator", "Zp"},
        {"Control", "Cc"},
        {"cntrl", "Cc"},
        {"Format", "Cf"},
        {"Surrogate", "Cs"},
        {"Private_Use", "Co"},
        {"Unassigned", "Cn"},
    };
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (sp_str_eq(name, sp_str_from(NAMES[i].name))) {
            name = sp_str_from(NAMES[i].means);
            break;
        }
    }
    uint32_t bits = 0;
    for (uint32_t i = 0; i < SP_UNICODE_CATEGORIES; i++) {
        sp_str category = sp_str_from(sp_unicode_category_names[i]);
        bool fits = name.len == 1 ? category.ptr[0] == name.ptr[0] : sp_str_eq(category, name);
        bits |= fits ? UINT32_C(1) << i : 0;
    }
    if (sp_str_eq(name, SP_STR("LC")) || sp_str_eq(name, SP_STR("Cased_Letter"))) {
        bits = 7; /* the first three */
    }
    return bits;
}

/* What of a range is wanted: it, or nothing, and the other way round. */
static void add_run(struct sp_re_class *class, uint32_t first, uint32_t end, bool wanted) {
    if (wanted) {
        sp_re_class_add(class, first, end - 1);
    }
}

bool sp_re_class_add_property(struct sp_re_class *class, sp_str name, bool opposite) {
    if (sp_str_eq(name, SP_STR("Any")) || sp_str_eq(name, SP_STR("ASCII"))) {
        uint32_t end = name.len == 3 ? SP_RE_CODE_MAX + 1 : 0x80;
        add_run(class, 0, end, !opposite);
        add_run(class, end, SP_RE_CODE_MAX + 1, opposite && end <= SP_RE_CODE_MAX);
        return true;
    }
    if (sp_str_eq(name, SP_STR("Assigned"))) {
        return sp_re_class_add_property(class, SP_STR("Cn"), !opposite);
    }
    static const char *const PREFIXES[] = {"gc=", "General_Category="};
    for (int i = 0; i < 2; i++) {
        if (sp_str_starts_with(name, sp_str_from(PREFIXES[i]))) {
            name = sp_str_from_byte(name, strlen(PREFIXES[i]));
        }
    }
    uint32_t bits = categories_of(name);
    for (unsigned i = 0; i < sp_unicode_run_count && bits != 0; i++) {
        const struct sp_unicode_run *run = &sp_unicode_runs[i];
        add_run(class, run->first, run[1].first, ((bits >> run->category & 1) != 0) != opposite);
    }
    return bits != 0;
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
