/* Reading, naming and comparing of values on a tape. */
#include "schema/tape.h"

#include <stdlib.h>

#include "base/hash.h"

enum { NODES_FIRST = 64 };

void sp_tape_init(struct sp_tape *tape) {
    *tape = (struct sp_tape){.nodes = NULL};
    sp_buf_init(&tape->plain, SP_TAPE_BYTES_MAX);
}

void sp_tape_fini(struct sp_tape *tape) {
    free(tape->nodes);
    sp_buf_fini(&tape->plain);
    tape->nodes = NULL;
    tape->count = 0;
    tape->capacity = 0;
}

static bool grow(struct sp_tape *tape) {
    uint32_t capacity = tape->capacity == 0 ? NODES_FIRST : 2 * tape->capacity;
    struct sp_tape_node *nodes = realloc(tape->nodes, capacity * sizeof(*nodes));
    if (nodes == NULL) {
        return false;
    }
    tape->nodes = nodes;
    tape->capacity = capacity;
    return true;
}

/*
 * Text of a key or string. The first escape reserves room for all there can be, which is less than
 * the text: what was resolved before does not move.
 */
static sp_str plain_text(struct sp_tape *tape, struct sp_json_token token) {
    if (!token.escaped) {
        return token.raw;
    }
    if (sp_buf_reserve(&tape->plain, tape->text.len - tape->plain.len) == NULL) {
        return sp_str_of(NULL, 0);
    }
    size_t from = tape->plain.len;
    sp_json_unescape(&tape->plain, token.raw);
    return sp_str_of(tape->plain.data + from, tape->plain.len - from);
}

/* The containers that are open, innermost last. */
struct open {
    uint32_t at[SP_JSON_DEPTH_MAX];
    uint32_t depth;
};

static void close_container(struct sp_tape *tape, struct open *open) {
    sp_require(open->depth > 0);
    tape->nodes[open->at[--open->depth]].next = tape->count;
}

/* A value is whole: the key before it, if there is one, ends where it does. */
static void end_value(struct sp_tape *tape, uint32_t at) {
    if (at > 0 && tape->nodes[at - 1].type == SP_JSON_KEY) {
        tape->nodes[at - 1].next = tape->count;
    }
}

static bool add_node(struct sp_tape *tape, struct open *open, const struct sp_json_token *token) {
    if (tape->count == tape->capacity && !grow(tape)) {
        return false;
    }
    uint32_t at = tape->count++;
    struct sp_tape_node *node = &tape->nodes[at];
    sp_str text = token->raw;
    bool is_text = token->type == SP_JSON_KEY || token->type == SP_JSON_STRING;
    if (is_text) {
        text = plain_text(tape, *token);
    }
    node->type = token->type;
    node->ptr = text.ptr;
    node->len = (uint32_t)text.len;
    node->offset = (uint32_t)(token->raw.ptr - tape->text.ptr);
    node->next = tape->count;
    node->count = 0;
    if (open->depth > 0) {
        struct sp_tape_node *outer = &tape->nodes[open->at[open->depth - 1]];
        outer->count += token->type == SP_JSON_KEY || outer->type == SP_JSON_ARRAY;
    }
    if (token->type == SP_JSON_OBJECT || token->type == SP_JSON_ARRAY) {
        sp_invariant(open->depth < SP_JSON_DEPTH_MAX);
        open->at[open->depth++] = at;
    } else if (token->type != SP_JSON_KEY) {
        end_value(tape, at);
    }
    return !(is_text && text.ptr == NULL);
}

SP_HOT sp_status sp_tape_read(struct sp_tape *tape, sp_str text, struct sp_error *error) {
    tape->count = 0;
    tape->text = text;
    sp_buf_reset(&tape->plain);
    if (text.len > SP_TAPE_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "the JSON has more than %d bytes", SP_TAPE_BYTES_MAX);
    }
    struct open open;
    open.depth = 0;
    struct sp_json json;
    sp_json_init(&json, text);
    for (;;) {
        struct sp_json_token token = sp_json_next(&json);
        if (token.type == SP_JSON_END) {
            sp_ensure(tape->count > 0 && open.depth == 0);
            return SP_OK;
        }
        if (token.type == SP_JSON_ERROR) {
            return sp_json_fail(&json, error);
        }
        if (token.type == SP_JSON_OBJECT_END || token.type == SP_JSON_ARRAY_END) {
            uint32_t at = open.at[open.depth - 1];
            close_container(tape, &open);
            end_value(tape, at);
        } else if (!add_node(tape, &open, &token)) {
            return sp_error_set(error, SP_NO_MEMORY, "out of memory");
        }
    }
}

uint32_t sp_tape_member(const struct sp_tape *tape, uint32_t at, sp_str name) {
    sp_require(at < tape->count && tape->nodes[at].type == SP_JSON_OBJECT);
    uint32_t end = tape->nodes[at].next;
    for (uint32_t key = at + 1; key < end; key = tape->nodes[key].next) {
        if (sp_str_eq(sp_tape_str(&tape->nodes[key]), name)) {
            return key + 1;
        }
    }
    return UINT32_MAX;
}

void sp_pointer_add(struct sp_buf *to, sp_str token) {
    sp_buf_add_byte(to, '/');
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] == '~' || token.ptr[i] == '/') {
            sp_buf_add_byte(to, '~');
            sp_buf_add_byte(to, token.ptr[i] == '~' ? '0' : '1');
        } else {
            sp_buf_add_byte(to, (uint8_t)token.ptr[i]);
        }
    }
}

/* The member or element of the container at `outer` that holds `at`; *ret_index in an array. */
static uint32_t child_with(const struct sp_tape *tape, uint32_t outer, uint32_t at,
                           uint64_t *ret_index) {
    uint64_t index = 0;
    uint32_t child = outer + 1;
    while (tape->nodes[child].next <= at) {
        child = tape->nodes[child].next;
        index++;
    }
    *ret_index = index;
    return child;
}

void sp_tape_pointer(const struct sp_tape *tape, uint32_t at, struct sp_buf *to) {
    sp_require(at < tape->count);
    uint32_t outer = 0;
    while (outer != at) {
        uint64_t index = 0;
        uint32_t child = child_with(tape, outer, at, &index);
        if (tape->nodes[outer].type == SP_JSON_OBJECT) {
            sp_pointer_add(to, sp_tape_str(&tape->nodes[child]));
            if (child == at) {
                return; /* the key itself */
            }
            outer = child + 1;
        } else {
            sp_buf_add_byte(to, '/');
            sp_buf_add_u64(to, index);
            outer = child;
        }
    }
}

static bool equal_objects(const struct sp_tape *a, uint32_t a_at, const struct sp_tape *b,
                          uint32_t b_at) {
    if (a->nodes[a_at].count != b->nodes[b_at].count) {
        return false;
    }
    uint32_t end = a->nodes[a_at].next;
    for (uint32_t key = a_at + 1; key < end; key = a->nodes[key].next) {
        uint32_t value = sp_tape_member(b, b_at, sp_tape_str(&a->nodes[key]));
        if (value == UINT32_MAX || !sp_tape_equal(a, key + 1, b, value)) {
            return false;
        }
    }
    return true;
}

static bool equal_arrays(const struct sp_tape *a, uint32_t a_at, const struct sp_tape *b,
                         uint32_t b_at) {
    uint32_t end = a->nodes[a_at].next;
    if (a->nodes[a_at].count != b->nodes[b_at].count) {
        return false;
    }
    uint32_t y = b_at + 1;
    for (uint32_t x = a_at + 1; x < end; x = a->nodes[x].next) {
        if (!sp_tape_equal(a, x, b, y)) {
            return false;
        }
        y = b->nodes[y].next;
    }
    return true;
}

bool sp_tape_equal(const struct sp_tape *a, uint32_t a_at, const struct sp_tape *b, uint32_t b_at) {
    const struct sp_tape_node *x = &a->nodes[a_at];
    const struct sp_tape_node *y = &b->nodes[b_at];
    if (x->type != y->type) {
        return false;
    }
    if (x->type == SP_JSON_STRING) {
        return sp_str_eq(sp_tape_str(x), sp_tape_str(y));
    }
    if (x->type == SP_JSON_NUMBER) {
        return sp_str_eq(sp_tape_str(x), sp_tape_str(y)) ||
               sp_json_compare_exact(sp_tape_str(x), sp_tape_str(y)) == 0;
    }
    if (x->type == SP_JSON_OBJECT) {
        return equal_objects(a, a_at, b, b_at);
    }
    return x->type != SP_JSON_ARRAY || equal_arrays(a, a_at, b, b_at);
}

/* Members are added, so that their order does not count; elements are chained. */
static uint64_t hash_children(const struct sp_tape *tape, uint32_t at) {
    const struct sp_tape_node *node = &tape->nodes[at];
    uint64_t hash = node->count;
    for (uint32_t child = at + 1; child < node->next; child = tape->nodes[child].next) {
        if (node->type == SP_JSON_OBJECT) {
            const struct sp_tape_node *key = &tape->nodes[child];
            uint64_t value = sp_tape_hash(tape, child + 1);
            hash += sp_hash_seeded(key->ptr, key->len, value);
        } else {
            uint64_t value = sp_tape_hash(tape, child);
            hash = sp_hash_seeded(&value, sizeof(value), hash);
        }
    }
    return sp_hash_seeded(&hash, sizeof(hash), (uint64_t)node->type);
}

uint64_t sp_tape_hash(const struct sp_tape *tape, uint32_t at) {
    const struct sp_tape_node *node = &tape->nodes[at];
    if (node->type == SP_JSON_STRING) {
        return sp_hash_seeded(node->ptr, node->len, SP_JSON_STRING);
    }
    if (node->type == SP_JSON_NUMBER) {
        double value = sp_json_number(sp_tape_str(node)); /* equal numbers round alike */
        value = value == 0 ? 0 : value;                   /* no negative zero */
        return sp_hash_seeded(&value, sizeof(value), SP_JSON_NUMBER);
    }
    if (node->type == SP_JSON_OBJECT || node->type == SP_JSON_ARRAY) {
        return hash_children(tape, at);
    }
    return (uint64_t)node->type;
}
