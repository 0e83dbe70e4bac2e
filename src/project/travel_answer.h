/*
 * Questions to states as they are asked from outside, and their answers as rows: of one table, of
 * a statement, or of what changed between two moments. any-thread
 *
 * Without `sql` the answer is one table: that which is named, else that which is called as the
 * projection, else the first. With `diff` the rows are changes, whose columns are
 *
 *     table    TEXT
 *     change   TEXT   added, removed, changed
 *     key      TEXT   JSON: the columns of the primary key; null where the table has none
 *     before   TEXT   JSON: the row of one that was removed, what was otherwise of one that changed
 *     after    TEXT   JSON: the row of one that was added, what is otherwise of one that changed
 *
 * An answer that is longer than it may be is cut, and says so.
 */
#ifndef SP_PROJECT_TRAVEL_ANSWER_H
#define SP_PROJECT_TRAVEL_ANSWER_H

#include "project/query.h"
#include "project/rows.h"
#include "project/travel.h"

enum { SP_TRAVEL_ROWS = 10000, SP_TRAVEL_ROWS_MAX = 1000000, SP_TRAVEL_CHANGE_COLUMNS = 5 };

struct sp_travel_question {
    struct sp_travel_ask ask; /* with `diff`: without `until` */
    sp_str diff;              /* `A..B`, two moments; empty: one state */
    sp_str table;             /* empty: see above; with `diff`: all tables */
    sp_str sql;               /* empty: a table; not with `diff` or `table` */
    const struct sp_sql_value *params;
    uint32_t param_count;
    uint64_t rows_max;  /* 0: SP_TRAVEL_ROWS */
    uint64_t bytes_max; /* 0: SP_SQL_BYTES_MAX */
};

/* What an answer is about; told before its rows. */
struct sp_travel_facts {
    const struct sp_definition *definition;
    sp_str table;                  /* empty: of a statement or a difference */
    struct sp_travel_state state;  /* its build is not to be used */
    struct sp_travel_state before; /* of a difference */
    bool is_difference;
};

struct sp_travel_rows {
    /* False ends it with SP_CANCELLED, as in struct sp_rows. */
    bool (*facts)(void *context, const struct sp_travel_facts *facts);
    bool (*columns)(void *context, const sp_str *names, uint32_t count);
    bool (*row)(void *context, const struct sp_sql_value *values, uint32_t count);
};

/*
 * Moves what a query says beyond its conditions to where it belongs: `until` is the moment, `limit`
 * counts rows. SP_INVALID for reverse and a version, which have no meaning here.
 */
SP_WARN_UNUSED sp_status sp_travel_question_split(struct sp_travel_question *question,
                                                  struct sp_error *error);

/*
 * Answers. The statuses of sp_travel_ask and of sp_reader_query, and SP_INVALID where the question
 * contradicts itself. ret_cut: rows are missing for they were too many.
 */
SP_WARN_UNUSED sp_status sp_travel_answer(struct sp_travel *travel,
                                          const struct sp_travel_question *question,
                                          const struct sp_travel_rows *rows, void *context,
                                          bool *ret_cut, struct sp_error *error);

/*
 * The same as text, appended to `to`, in one of the forms of rows.h:
 *
 *     json     {"projection": "runs", "version": 1, "position": 4711, "time": "…", "events": 120,
 *               "table": "runs", "columns": ["a", "b"], "rows": [[1, "x"], …]}; a difference has
 *               "changes": [{"table": …, "change": …, "key": {…}, "before": {…}, "after": {…}}, …]
 *               in place of columns and rows
 *     ndjson   an object a row, or a change
 *     csv      a head and lines; key, before and after are JSON
 *
 * with "cut": true, and of the others nothing, where rows are missing. SP_LIMIT where the text is
 * longer than the buffer may be.
 */
SP_WARN_UNUSED sp_status sp_travel_text(struct sp_travel *travel,
                                        const struct sp_travel_question *question,
                                        enum sp_rows_form form, struct sp_buf *to, bool *ret_cut,
                                        struct sp_error *error);

/*
 * Appends facts as members of a JSON object, without its braces: projection, version, position,
 * time (where the moment is one), by, events, snapshot, notices (see below).
 */
void sp_travel_facts_json(const struct sp_travel_facts *facts, struct sp_buf *to);

enum { SP_TRAVEL_NOTICES_MAX = 4 };

/*
 * What a person should know of an answer: that the moment lies in the future, that events were
 * dropped. Writes sentences into `to`; their ends are told by *ret_count slices.
 */
void sp_travel_notices(const struct sp_travel_facts *facts, struct sp_buf *to,
                       sp_str ret_notices[SP_TRAVEL_NOTICES_MAX], size_t *ret_count);

#endif
