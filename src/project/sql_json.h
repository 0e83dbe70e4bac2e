/*
 * Values of rows as JSON: in the answers of queries, of states, and of differences. pure
 *
 *     NULL     null                       INTEGER   a number
 *     REAL     a number, the shortest that reads back the same; null where it is infinite
 *     TEXT     a string                   BLOB      {"$base64": "…"}, as bytes that are no UTF-8
 */
#ifndef SP_PROJECT_SQL_JSON_H
#define SP_PROJECT_SQL_JSON_H

#include "project/query.h"

/* Appends one value. Failure sticks in the buffer. */
void sp_sql_json_add(struct sp_buf *to, const struct sp_sql_value *value);

/* Appends a row as an object; `names` and `values` have `count` members. */
void sp_sql_json_add_object(struct sp_buf *to, const sp_str *names,
                            const struct sp_sql_value *values, uint32_t count);

#endif
