/*
 * Rows as text: the answer of a query as JSON, NDJSON or CSV, gathered in a buffer. pure
 *
 *     json     {"columns": ["a", "b"], "rows": [[1, "x"], …], "position": 42}
 *     ndjson   {"a": 1, "b": "x"}                             one line for each row
 *     csv      a,b                                            RFC 4180, a head and lines
 *
 * Values of JSON and NDJSON are those of sql_json.h. In CSV a blob is base64, NULL is an empty
 * field and an empty text is "". A column whose name was there before is called `name:1`, `name:2`
 * … in NDJSON.
 *
 * Failure sticks in the buffer.
 */
#ifndef SP_PROJECT_ROWS_H
#define SP_PROJECT_ROWS_H

#include "project/query.h"

enum sp_rows_form { SP_ROWS_JSON, SP_ROWS_NDJSON, SP_ROWS_CSV };

struct sp_rows_writer {
    enum sp_rows_form form;
    struct sp_buf *to;  /* borrowed */
    struct sp_buf keys; /* NDJSON: each column as `{"name":` or `,"name":`, with a NUL behind */
    uint64_t rows;
};

/* Writes nothing yet. `to` may be changed between two rows. */
void sp_rows_writer_init(struct sp_rows_writer *writer, enum sp_rows_form form, struct sp_buf *to);
void sp_rows_writer_fini(struct sp_rows_writer *writer);

/* The callbacks of a query whose context is a writer; false where the buffer has failed. */
extern const struct sp_rows sp_rows_writing;

/* Writes what follows the last row. `position` as in sp_sql_done. */
void sp_rows_writer_end(struct sp_rows_writer *writer, const struct sp_sql_done *done);

/*
 * Reads a JSON value as a parameter: true and false are 1 and 0, a whole number that fits is an
 * INTEGER, {"$base64": "…"} a BLOB, any other object or array the TEXT that it is. `to` holds the
 * text of a string with escapes, and must have room reserved or the slice moves. False where a
 * number is too large, the base64 is none, or memory is out.
 */
struct sp_json_token;
SP_WARN_UNUSED bool sp_rows_read_json(struct sp_json_token token, sp_str raw, struct sp_buf *to,
                                      struct sp_sql_value *ret_value);

#endif
