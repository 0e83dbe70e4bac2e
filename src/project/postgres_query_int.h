/*
 * What the files of the PostgreSQL reader share. any-thread
 *
 *     postgres_query.c    one query: the transaction, parameters, errors, interruption
 *     postgres_models.c   which builds a query reads, how far they are, the list of tables
 *     postgres_rows.c     PostgreSQL's values as rows
 */
#ifndef SP_PROJECT_POSTGRES_QUERY_INT_H
#define SP_PROJECT_POSTGRES_QUERY_INT_H

#include "project/postgres_int.h"
#include "project/query.h"

/* What is asked, and what became of it so far. */
struct pg_answer {
    const struct sp_sql *sql;
    const struct sp_rows *rows;
    void *context;
    uint64_t rows_max;
    uint64_t bytes_max;
    struct sp_sql_done *done;
    bool told;           /* columns were */
    struct sp_buf bytes; /* of blobs of one row */
};

/* ---- postgres_rows.c ---- */

/* Gives the names of the columns, once. SP_CANCELLED, SP_LIMIT. */
sp_status sp_pg_columns_give(struct pg_answer *answer, const PGresult *result,
                             struct sp_error *error);

/* Gives one row. SP_END: it does not fit, and the query wants what fits; SP_LIMIT, SP_CANCELLED. */
sp_status sp_pg_row_give(struct pg_answer *answer, const PGresult *result, int row,
                         struct sp_error *error);

/* ---- postgres_models.c ---- */

/*
 * Begins a read-only transaction and, in its snapshot, chooses the current builds that the text
 * names tables of; its search path is their schemas. Notes the least position of them. SP_BUSY with
 * done->lagging where one has not seen what the query demands.
 */
sp_status sp_pg_models_enter(struct sp_pg_link *link, const struct sp_pg_target *target,
                             struct pg_answer *answer, struct sp_error *error);

/* After "there is no such table": the error names those that are near to the one at `offset`. */
sp_status sp_pg_models_nearest(struct sp_pg_link *link, const struct sp_pg_target *target,
                               sp_str wrong, struct sp_error *error);

/* query.h's `tables`. */
sp_status sp_pg_models_tables(struct sp_pg_link *link, const struct sp_pg_target *target,
                              sp_str wanted, sp_sql_table_fn *each, void *context,
                              struct sp_error *error);

#endif
