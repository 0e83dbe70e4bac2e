/*
 * Commands that decide: definitions of the write side, read from JSON. one thread at a time
 *
 *     {"schema": {…},                                       what the data of a command must be
 *      "conditions": [
 *        {"version": JQ, "reason": TEXT},                   {stream, version}: a stream is where it
 *                                                           was when the caller looked
 *        {"sql": SQL, "params": JQ, "expect": JQ, …},       what read models say
 *        {"none": JQ, …}],                                  {type, stream, …, since}: no event of
 *                                                           this query is there
 *      "emit": JQ}                                          the events, an array
 *
 * JQ is a program whose input is the command: {name, id, source, correlationid, data}. Of `expect`
 * the input is {columns, rows} and the command is `$command`; it says true or false; `none` and
 * `some` stand for the number of rows. Of `emit` the answers of the SQL conditions are `$results`,
 * in their order. `params` makes an object: a member for each `:name` of the SQL.
 *
 * Reading a definition checks all of it: unknown members, the schema, every program. Whether the
 * SQL is right says who runs it. Every error names the place by its JSON pointer.
 */
#ifndef SP_PROJECT_DECISION_H
#define SP_PROJECT_DECISION_H

#include "jq/jq.h"
#include "schema/json_schema.h"

enum {
    SP_DECISION_BYTES_MAX = 256 << 10,
    SP_DECISION_CONDITIONS_MAX = 16,
    SP_DECISION_PARAMS_MAX = 32,
    SP_DECISION_NAME_BYTES_MAX = 128,
    SP_DECISION_EVENTS_MAX = 1000, /* that one command emits */
};

enum sp_condition_kind { SP_CONDITION_VERSION, SP_CONDITION_SQL, SP_CONDITION_NONE };
enum sp_condition_expect { SP_EXPECT_PROGRAM, SP_EXPECT_NONE, SP_EXPECT_SOME };

struct sp_condition {
    enum sp_condition_kind kind;
    sp_str reason;                 /* empty: none was given */
    struct sp_jq_program *program; /* VERSION, NONE: what it is about; SQL: params, or NULL */
    sp_str sql;
    sp_str params[SP_DECISION_PARAMS_MAX]; /* names in the SQL, each once */
    uint32_t param_count;
    enum sp_condition_expect expect;
    struct sp_jq_program *expected; /* EXPECT_PROGRAM */
};

struct sp_decision {
    sp_str name;
    sp_str text;              /* the definition, as it was given */
    char *copy;               /* what the slices point into */
    struct sp_schema *schema; /* NULL: any data */
    struct sp_condition conditions[SP_DECISION_CONDITIONS_MAX];
    uint32_t condition_count;
    struct sp_jq_program *emit;
};

/* SP_OK where a command may be called so: letters, digits, `_` and `-`, in parts joined by dots. */
SP_WARN_UNUSED sp_status sp_decision_name_check(sp_str name, struct sp_error *error);

/* Reads a definition; everything is copied. SP_INVALID, SP_LIMIT, and what jq says. */
SP_WARN_UNUSED sp_status sp_decision_parse(sp_str name, sp_str text, struct sp_jq *jq,
                                           struct sp_decision **ret_decision,
                                           struct sp_error *error);

/* Before its jq. NULL is fine. */
void sp_decision_free(struct sp_decision *decision);

#endif
