/*
 * What errors say about the text of a query: the place, and the tables that were meant. pure
 */
#ifndef SP_PROJECT_SQL_TEXT_H
#define SP_PROJECT_SQL_TEXT_H

#include "project/query.h"

/* Line and column of a byte of the text, both from 1, the column in bytes. */
void sp_sql_place(sp_str text, size_t offset, uint32_t *ret_line, uint32_t *ret_column);

/*
 * Puts `line L, column C: ` before the error's text and its offset into the record. Returns its
 * status.
 */
sp_status sp_sql_error_at(struct sp_error *error, sp_str text, size_t offset);

/*
 * Gathers the names that are nearest to one that is not there: `there is no table 'agent_stat';
 * did you mean agent_stats? (…)`.
 */
enum { SP_SQL_NEAREST_MAX = 4 };
struct sp_sql_nearest {
    sp_str wrong;
    struct {
        char name[SP_SQL_NAME_SIZE];
        unsigned distance;
    } names[SP_SQL_NEAREST_MAX];
    uint32_t count; /* kept */
    uint32_t shown; /* names that there are */
};

void sp_sql_nearest_init(struct sp_sql_nearest *nearest, sp_str wrong);
void sp_sql_nearest_try(struct sp_sql_nearest *nearest, sp_str name);

/* Fills the error and returns SP_NOT_FOUND. */
sp_status sp_sql_nearest_fail(const struct sp_sql_nearest *nearest, struct sp_error *error);

/*
 * Which parameter of `params` each of the statement's `count` places takes. `names[i]` is the name
 * of place i, without `:`, empty where it has none. ret_from[i] is an index into params. SP_INVALID
 * where one is missing, unknown, given twice, or named and unnamed ones are mixed.
 */
SP_WARN_UNUSED sp_status sp_sql_params_match(const struct sp_sql *sql, const sp_str *names,
                                             uint32_t count, uint32_t *ret_from,
                                             struct sp_error *error);

#endif
