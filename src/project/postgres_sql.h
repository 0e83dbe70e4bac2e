/*
 * SQL and values on their way to PostgreSQL: parameters become `$1`, places in error messages are
 * brought back, what would reach outside is refused, text is made what PostgreSQL can hold. pure
 */
#ifndef SP_PROJECT_POSTGRES_SQL_H
#define SP_PROJECT_POSTGRES_SQL_H

#include "base/buf.h"
#include "project/definition.h"

/*
 * Refuses calls of functions that reach outside the read models or undo what makes a transaction
 * read-only: those that begin with `pg_` or `lo_`, set_config, query_to_xml and its like, dblink,
 * sequences. A second line of defence: the first one is what the role in the URL may do. SP_DENIED
 * with line and column, SP_INVALID where the text cannot be read.
 */
SP_WARN_UNUSED sp_status sp_pg_sql_check(sp_str text, struct sp_error *error);

/*
 * The byte of `text` that PostgreSQL means by its `place`, counted in characters from 1 in the text
 * where each use of a parameter was replaced by `$` and its number. At most text.len.
 */
size_t sp_pg_place(sp_str text, const struct sp_parameter_use *uses, uint32_t use_count,
                   uint64_t place);

/*
 * Appends text with what PostgreSQL's text cannot hold (NUL bytes, and bytes that are not UTF-8)
 * replaced by U+FFFD. O(bytes).
 */
void sp_pg_text_add(struct sp_buf *to, sp_str text);

/* Appends JSON text with the escape \u0000, which jsonb cannot hold, replaced by \ufffd. */
void sp_pg_json_add(struct sp_buf *to, sp_str json);

/* The longest beginning of UTF-8 text that has at most so many bytes and cuts no character. */
sp_str sp_pg_text_cut(sp_str text, size_t bytes_max);

/*
 * ---- queries
 */

enum { SP_PG_QUERY_USES_MAX = 4096 };

/* A query with its parameters found and numbered. */
struct sp_pg_query {
    struct sp_buf text; /* as PostgreSQL wants it, NUL-terminated */
    struct sp_parameter_use *uses;
    uint32_t use_count;
    sp_str *names; /* of parameter n at [n - 1], without the colon; empty: by order alone */
    uint32_t param_count;
};

/*
 * Reads a query: `:name` (the same name is the same parameter), `?` (the next number) and `?3`. It
 * must begin with SELECT, WITH, VALUES, TABLE or EXPLAIN, and passes sp_pg_sql_check. The names
 * point into the text. SP_INVALID, SP_DENIED, SP_LIMIT (more than params_max parameters or
 * SP_PG_QUERY_USES_MAX places), SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_pg_query_init(struct sp_pg_query *to, sp_str text, uint32_t params_max,
                                          struct sp_error *error);
void sp_pg_query_fini(struct sp_pg_query *from);

#endif
