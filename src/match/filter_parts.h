/*
 * What the parts of the filter compiler share: the compiled form and the state of a compilation.
 * pure
 */
#ifndef SP_MATCH_FILTER_PARTS_H
#define SP_MATCH_FILTER_PARTS_H

#include "match/filter.h"
#include "match/path.h"
#include "match/regex.h"
#include "match/text.h"

enum sp_test_kind {
    SP_TEST_EXISTS,
    SP_TEST_EQUAL,    /* equals one of the operands */
    SP_TEST_ORDER,    /* is ordered to the one operand as `orders` allows */
    SP_TEST_GLOB,     /* is a text that the glob matches */
    SP_TEST_CONTAINS, /* as GLOB, or is an array with one of the operands */
    SP_TEST_REGEX,
};

enum { SP_ORDER_LESS = 1, SP_ORDER_EQUAL = 2, SP_ORDER_GREATER = 4 };

/* Where a test leads that is no other test. */
enum { SP_TEST_ACCEPT = 0xffff, SP_TEST_REJECT = 0xfffe };

/*
 * One comparison. `yes` and `no` are the tests that come next, so that a filter is a decision
 * graph.
 */
struct sp_test {
    enum sp_test_kind kind;
    uint16_t path;
    uint16_t yes;
    uint16_t no;
    uint8_t orders;
    bool reads_number; /* a text that is a number counts as one: schemaversion */
    uint32_t operand_count;
    struct sp_operand *operands;
    struct sp_glob glob;
    struct sp_regex *regex;
};

struct sp_eventbridge; /* see match/eventbridge.h */

struct sp_filter {
    struct sp_pool pool;
    struct sp_paths paths;
    struct sp_test *tests;
    uint16_t test_count;
    uint16_t entry;
    struct sp_eventbridge *eventbridge; /* NULL for the spoor dialect */
};

/* A compilation: the filter being made, and the scanner over its own copy of the text. */
struct sp_compile {
    struct sp_filter *filter;
    struct sp_json json;
    struct sp_error *error;
    uint32_t depth;
    uint32_t operand_count;
    struct sp_expr *exprs; /* of the spoor dialect, see filter_compile.c */
    uint16_t expr_count;
};

/* Byte position of a token in the filter's text. */
static inline uint64_t sp_compile_at(const struct sp_compile *c, struct sp_json_token token) {
    return (uint64_t)(token.raw.ptr - c->json.start) -
           (token.type == SP_JSON_STRING || token.type == SP_JSON_KEY);
}

/* Out of memory, said in the error record. */
sp_status sp_compile_no_memory(struct sp_compile *c);

/* The next token, SP_INVALID where the text is not JSON. */
SP_WARN_UNUSED sp_status sp_compile_next(struct sp_compile *c, struct sp_json_token *ret_token);

/* The plain text of a string or key: of the filter's own text, or a copy in its pool. */
SP_WARN_UNUSED sp_status sp_compile_text(struct sp_compile *c, struct sp_json_token token,
                                         sp_str *ret_text);

/* The operand that a scalar is; SP_INVALID, named after `what`, for an object or array. */
SP_WARN_UNUSED sp_status sp_compile_scalar(struct sp_compile *c, struct sp_json_token token,
                                           sp_str what, struct sp_operand *ret_operand);

/* Appends to an array of operands kept in the pool. */
SP_WARN_UNUSED sp_status sp_compile_operand(struct sp_compile *c, struct sp_operand **operands,
                                            uint32_t *count, struct sp_operand operand);

/* Compiles the object whose opening bracket has just been read. */
SP_WARN_UNUSED sp_status sp_spoor_compile(struct sp_compile *c);
SP_WARN_UNUSED sp_status sp_eventbridge_compile(struct sp_compile *c);

bool sp_spoor_match(const struct sp_filter *filter, const struct sp_event *event);
bool sp_eventbridge_match(const struct sp_filter *filter, const struct sp_event *event);

#endif
