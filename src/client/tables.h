/*
 * Read models of a server.
 */
#ifndef SP_CLIENT_TABLES_H
#define SP_CLIENT_TABLES_H

#include "client/client.h"
#include "spoor.h"

/* As spoor_sql; ret_result is filled where the status is SP_OK. */
SP_WARN_UNUSED sp_status sp_client_sql(struct sp_client *client, const spoor_sql_options *options,
                                       spoor_columns_fn *columns, spoor_row_fn *row, void *context,
                                       spoor_sql_result *ret_result, struct sp_error *error);

SP_WARN_UNUSED sp_status sp_client_tables(struct sp_client *client, spoor_table_fn *each,
                                          void *context, struct sp_error *error);

#endif
