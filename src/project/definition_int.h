/*
 * A definition while it is made; only definition*.c include this.
 */
#ifndef SP_PROJECT_DEFINITION_INT_H
#define SP_PROJECT_DEFINITION_INT_H

#include "project/definition.h"
#include "project/definition_lex.h"

/*
 * Behind the public part lie the lists it points to. While the file is read they may move, so that
 * what points into them is settled at the end (definition.c).
 */
struct definition {
    struct sp_definition pub;
    struct sp_buf text;
    struct sp_buf statements; /* struct sp_statement */
    struct sp_buf parameters; /* struct sp_parameter, of all statements */
    struct sp_buf uses;       /* struct sp_parameter_use, likewise */
    struct sp_buf clauses;    /* struct sp_clause */
    struct sp_buf patterns;   /* sp_str, of all clauses */
    struct sp_buf each;       /* sp_str, every pattern once */
    struct sp_buf tables;     /* struct sp_definition_table */
};

/* What has been seen of a statement, token by token, to say whether it may stand where it does. */
struct check {
    sp_str text;       /* of the file */
    bool setup;        /* it stands before the first clause */
    unsigned dialects; /* what it is meant for */
    uint32_t seen;     /* tokens */
    enum check_state {
        CHECK_FIRST,  /* nothing yet */
        CHECK_CREATE, /* behind CREATE, UNIQUE, VIRTUAL, IF NOT EXISTS … */
        CHECK_NAME,   /* the name of a table or view comes */
        CHECK_NAMED,  /* it came */
        CHECK_REST,
    } state;
    bool virtual_table;
    bool view;
    bool begins_with; /* WITH: it must change something all the same */
    bool changes;
    struct lex_token first;
    struct lex_token name; /* of the table that is made */
    struct lex_token last;
    uint32_t depth;      /* of parentheses */
    uint64_t time_calls; /* one bit a level: it is the call of a function of date and time */
};

void check_begin(struct check *check, sp_str text, bool setup, unsigned dialects);

/* Takes the next token; SP_INVALID where the statement may not have it. */
SP_WARN_UNUSED sp_status check_token(struct check *check, const struct lex_token *token,
                                     struct sp_error *error);

/* The statement is over. */
SP_WARN_UNUSED sp_status check_end(struct check *check, struct sp_error *error);

/* What a parameter of this name is; the slice is without its colon. */
SP_WARN_UNUSED sp_status parameter_find(sp_str text, size_t offset, sp_str name,
                                        struct sp_parameter *ret_parameter, struct sp_error *error);

#endif
