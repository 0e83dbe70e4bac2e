/*
 * What two states of one projection differ in, row by row. helper
 *
 * Tables with a primary key are compared by it: a row was added, removed or changed. Of others
 * every column is the key: rows are added and removed, equal ones counted. Views are not compared,
 * for their rows follow from the tables; nor are the tables that index or store others' text.
 *
 * Both sides are walked in the order of the key at once: memory does not grow with the tables, but
 * for what sorting takes where the key has no index.
 */
#ifndef SP_PROJECT_DIFFERENCE_H
#define SP_PROJECT_DIFFERENCE_H

#include "project/query.h"
#include "project/sink.h"

enum sp_change {
    SP_CHANGE_ADDED,
    SP_CHANGE_REMOVED,
    SP_CHANGE_CHANGED,
};

struct sp_difference {
    enum sp_change change;
    sp_str table;
    const sp_str *columns;
    bool has_key;                      /* the table has a primary key */
    const bool *is_key;                /* columns; without a primary key all of them */
    const struct sp_sql_value *before; /* NULL of one that was added */
    const struct sp_sql_value *after;  /* NULL of one that was removed */
    uint32_t column_count;
};

/* Everything lasts for the call. False ends the walk with SP_CANCELLED. */
typedef bool sp_difference_fn(void *context, const struct sp_difference *difference);

/*
 * Walks the differences of two scratch builds of one definition, table by table in the order of the
 * file, by key; `table` not empty: of one table. SP_NOT_FOUND: no table is called so; SP_CANCELLED,
 * SP_LIMIT, SP_CORRUPT, SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_difference_walk(struct sp_build *before, struct sp_build *after,
                                            sp_str table, sp_difference_fn *each, void *context,
                                            struct sp_error *error);

/* True where two values are the same: of the same kind, and equal. */
bool sp_sql_value_same(const struct sp_sql_value *a, const struct sp_sql_value *b);

#endif
