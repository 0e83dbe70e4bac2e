/*
 * The options of the commands about projections. loop-thread
 */
#ifndef SP_CLI_PROJECTIONS_H
#define SP_CLI_PROJECTIONS_H

#include "cli/cli.h"

enum { SP_PROJECTION_NO_WAIT, SP_PROJECTION_FLAG_COUNT };
extern const struct sp_flag sp_projection_flags[SP_PROJECTION_FLAG_COUNT];

#endif
