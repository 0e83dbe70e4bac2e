/*
 * Amazon EventBridge event patterns, compiled. pure
 *
 * A pattern is multiplied out into rules, one for each choice of `$or`. A rule is a set of
 * conditions, one for each of its fields: some value of the field must fit one of the terms. Each
 * condition of each rule has a bit of its own.
 *
 * Arrays of an event are looked through, and the fields of one rule must then be found in the same
 * element of each array that they share. So the bits found within an element are collected by
 * themselves. At its end it is asked, rule by rule, whether all conditions that can only be met
 * within the array are met in this element; only then do they count outside.
 */
#ifndef SP_MATCH_EVENTBRIDGE_H
#define SP_MATCH_EVENTBRIDGE_H

#include "match/cidr.h"
#include "match/filter_parts.h"

enum {
    SP_EB_LEAVES_MAX = 256,
    SP_EB_RULES_MAX = 512,
    SP_EB_WORDS_MAX = SP_FILTER_TESTS_MAX / 64,
};

enum sp_eb_kind {
    SP_EB_EQUAL,     /* one of the operands */
    SP_EB_GLOB,      /* a text that one of the globs matches */
    SP_EB_NUMERIC,   /* a number in a range */
    SP_EB_CIDR,      /* a text that is an address in a block */
    SP_EB_EXISTS,    /* any value */
    SP_EB_BUT_EQUAL, /* a value, but none of the operands */
    SP_EB_BUT_GLOB,  /* a value, but no text that one of the globs matches */
};

struct sp_eb_term {
    enum sp_eb_kind kind;
    struct sp_operand *operands; /* NUMERIC: one or two bounds */
    uint32_t operand_count;
    uint8_t orders[2]; /* NUMERIC: how a value may be ordered to each bound */
    struct sp_glob *globs;
    uint32_t glob_count;
    struct sp_cidr cidr;
};

/* The array of a field in the pattern. */
struct sp_eb_leaf {
    uint16_t path;
    bool or_absent; /* {"exists": false} is among the terms */
    struct sp_eb_term *terms;
    uint32_t term_count;
    uint64_t *bits;          /* its conditions, in all rules */
    struct sp_eb_leaf *next; /* on the same path */
};

/* The conditions of one rule that lie below a node of the path tree. */
struct sp_eb_group {
    uint64_t *bits;
    struct sp_eb_group *next; /* of the same node */
};

struct sp_eventbridge {
    uint32_t words; /* of each set of bits */
    struct sp_eb_leaf *leaves;
    uint32_t leaf_count;
    struct sp_eb_leaf **by_path; /* the first leaf on each path */
    struct sp_eb_group **groups; /* by node */
    uint64_t *rules;             /* rule_count sets: the conditions of each rule */
    uint32_t rule_count;
    uint64_t *absent; /* conditions that an absent field meets */
    uint64_t *early;  /* conditions on fields for which no JSON text has to be read */
};

/* Reads the array of a field, whose opening bracket has just been read, into the leaf. */
SP_WARN_UNUSED sp_status sp_eb_read_terms(struct sp_compile *c, sp_str field,
                                          struct sp_eb_leaf *leaf);

/* True where one of the leaf's terms fits the value, which is a scalar. */
bool sp_eb_leaf_fits(const struct sp_eb_leaf *leaf, struct sp_value value);

#endif
