/*
 * Lists of events, as tables for people and NDJSON for programs. loop-thread
 */
#ifndef SP_CLI_LIST_H
#define SP_CLI_LIST_H

#include "cli/cli.h"
#include "cli/table.h"

/*
 * Shows the events of a cursor and closes it; the first column is the version within the stream or
 * the position. `ret_count` may be NULL. Returns the exit code.
 */
int sp_list_events(struct sp_cli *cli, spoor_cursor *cursor, bool shows_version,
                   uint64_t *ret_count);

/* As sp_list_events, for a query. */
int sp_list_query(struct sp_cli *cli, spoor *store, const spoor_query *query, bool shows_version,
                  uint64_t *ret_count);

#endif
