/*
 * Which projection makes a table that nobody has built yet. any-thread
 */
#ifndef SP_PROJECT_PROJECTS_TABLE_H
#define SP_PROJECT_PROJECTS_TABLE_H

#include "project/projects.h"

/*
 * The projection whose set-up makes the table, `table` or `projection.table`, whatever the case of
 * its ASCII letters. False where there is none.
 */
SP_WARN_UNUSED bool sp_projects_find_table(struct sp_projects *projects, sp_str table,
                                           char ret_name[SP_PROJECTS_NAME_BYTES_MAX + 1]);

/* True where it is the name of one that ships with the program and runs once it is asked for. */
bool sp_projects_is_on_request(sp_str name);

#endif
