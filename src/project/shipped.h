/*
 * The projections that ship with the program: the files of projections/, embedded. pure
 *
 * They are files like those that people write themselves; the tool that embeds them checks that a
 * file's name is that of its projection. docs/read-models.md describes them.
 */
#ifndef SP_PROJECT_SHIPPED_H
#define SP_PROJECT_SHIPPED_H

#include "project/projects.h"

/* In the order of their names. */
extern const struct sp_projects_shipped sp_shipped_projections[];
extern const size_t sp_shipped_projection_count;

#endif
