/*
 * JSON as a flat tape: one node a token, in the order of the text. pure
 *
 * An object is its node, then for each member a KEY and the value; an array its node, then its
 * elements. `next` leads behind a value, so that walking members costs their count. Text of keys
 * and strings has its escapes resolved, in the caller's bytes where there are none, else in the
 * tape's own. At most SP_TAPE_BYTES_MAX bytes and SP_JSON_DEPTH_MAX levels; parsing does not
 * recurse. The text must outlive the tape. A tape is used again and again without allocating.
 */
#ifndef SP_SCHEMA_TAPE_H
#define SP_SCHEMA_TAPE_H

#include "base/json.h"

enum { SP_TAPE_BYTES_MAX = 64 << 20 };

struct sp_tape_node {
    const char *ptr; /* KEY, STRING: the text; NUMBER: as written; others: undefined */
    uint32_t len;
    uint32_t offset; /* of its first byte in the text; of a KEY or STRING behind the quote */
    uint32_t next;   /* index behind the value; of a KEY, behind the member */
    uint32_t count;  /* OBJECT: members; ARRAY: elements */
    enum sp_json_type type;
};

struct sp_tape {
    struct sp_tape_node *nodes; /* nodes[0] is the value */
    uint32_t count;
    uint32_t capacity;
    sp_str text;
    struct sp_buf plain; /* escapes resolved */
};

void sp_tape_init(struct sp_tape *tape);
void sp_tape_fini(struct sp_tape *tape);

/*
 * Reads a text; what the tape held before is forgotten. SP_INVALID with the place, SP_LIMIT,
 * SP_NO_MEMORY. The error may be NULL.
 */
SP_WARN_UNUSED sp_status sp_tape_read(struct sp_tape *tape, sp_str text, struct sp_error *error);

static inline sp_str sp_tape_str(const struct sp_tape_node *node) {
    return sp_str_of(node->ptr, node->len);
}

/* The value of a member, or UINT32_MAX where the object at `at` has none of the name. */
uint32_t sp_tape_member(const struct sp_tape *tape, uint32_t at, sp_str name);

/*
 * Appends the JSON pointer of the node at `at` from the whole value, without a NUL; of a KEY it is
 * that of its member. O(nodes before it).
 */
void sp_tape_pointer(const struct sp_tape *tape, uint32_t at, struct sp_buf *to);

/* Appends a token of a JSON pointer: a slash, then the text with ~ and / written as ~0 and ~1. */
void sp_pointer_add(struct sp_buf *to, sp_str token);

/*
 * Equality as JSON Schema has it: numbers by value, objects whatever their order. Recursion is
 * bounded by the depth of what was read.
 */
bool sp_tape_equal(const struct sp_tape *a, uint32_t a_at, const struct sp_tape *b, uint32_t b_at);

/* A hash that is equal for what is equal. */
uint64_t sp_tape_hash(const struct sp_tape *tape, uint32_t at);

#endif
