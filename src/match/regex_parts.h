/*
 * What the parts of the regular expression compiler share. pure
 */
#ifndef SP_MATCH_REGEX_PARTS_H
#define SP_MATCH_REGEX_PARTS_H

#include "match/pool.h"
#include "match/regex.h"

enum { SP_RE_CODE_MAX = 0x10ffff, SP_RE_NONE = 0xffff };

/* The expression as a tree. */

enum sp_re_kind {
    SP_RE_EMPTY,
    SP_RE_CLASS,  /* one code point of some ranges */
    SP_RE_CAT,    /* its parts one after another */
    SP_RE_ALT,    /* one of its parts */
    SP_RE_REPEAT, /* its only part, min to max times */
    SP_RE_ASSERT, /* no text, but a place */
};

enum sp_re_place { SP_RE_START, SP_RE_END, SP_RE_WORD_EDGE, SP_RE_NO_WORD_EDGE };

struct sp_re_range {
    uint32_t first;
    uint32_t last;
};

struct sp_re_node {
    enum sp_re_kind kind;
    enum sp_re_place place;       /* ASSERT */
    struct sp_re_node *last_part; /* CAT, ALT, REPEAT: from the last to the first */
    struct sp_re_node *prev;
    uint32_t min;
    uint32_t max;               /* UINT32_MAX: no maximum */
    struct sp_re_range *ranges; /* CLASS: sorted, apart from one another */
    uint32_t range_count;
};

/* Parses an expression; the tree is kept in the pool. The statuses of sp_regex_compile. */
SP_WARN_UNUSED sp_status sp_re_parse(sp_str expression, enum sp_regex_dialect dialect,
                                     struct sp_pool *pool, struct sp_re_node **ret_tree,
                                     struct sp_error *error);

/* The program. Each instruction names those that follow it. */

enum sp_re_op {
    SP_RE_MATCH,
    SP_RE_BYTE,  /* a byte from `low` to `high`, then `next` */
    SP_RE_SET,   /* a byte of the set number `other`, then `next` */
    SP_RE_SPLIT, /* `next` and `other` */
    SP_RE_AT,    /* at `place`, `next` */
};

struct sp_re_inst {
    uint8_t op;
    uint8_t place;
    uint8_t low;
    uint8_t high;
    uint16_t next;
    uint16_t other;
};

/* One bit for each value of a byte. */
struct sp_re_bytes {
    uint64_t bits[4];
};

static inline bool sp_re_bytes_has(const struct sp_re_bytes *bytes, uint8_t byte) {
    return (bytes->bits[byte >> 6] >> (byte & 63) & 1) != 0;
}

struct sp_re_program {
    struct sp_re_inst *insts; /* from malloc */
    struct sp_re_bytes *sets; /* from malloc */
    uint16_t set_count;
    uint16_t count;
    uint16_t start;
    bool has_places; /* some instruction is AT */
};

/* Writes the tree as a program. SP_LIMIT, SP_NO_MEMORY. The caller frees instructions and sets. */
SP_WARN_UNUSED sp_status sp_re_program_make(const struct sp_re_node *tree,
                                            struct sp_re_program *ret_program);

/* Classes of characters, in regex_class.c. */

struct sp_re_class {
    struct sp_pool *pool;
    struct sp_re_range *ranges;
    uint32_t count;
    bool failed; /* out of memory, or more than a pool may hold */
};

void sp_re_class_add(struct sp_re_class *class, uint32_t first, uint32_t last);
/* Adds the class that the letter d, w or s stands for, a capital its opposite. */
void sp_re_class_add_named(struct sp_re_class *class, enum sp_regex_dialect dialect, char letter);
/* Adds a category of Unicode, or its opposite; false where there is none of the name. */
bool sp_re_class_add_property(struct sp_re_class *class, sp_str name, bool opposite);
/* Sorts and joins the ranges, after adding the other case of each letter where wanted. */
void sp_re_class_finish(struct sp_re_class *class, bool fold, bool negate);

#endif
