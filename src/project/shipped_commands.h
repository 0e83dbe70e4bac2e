/*
 * The commands that ship with the program: the files of commands/, embedded. pure
 *
 * They are definitions like those that people write themselves (decision.h).
 */
#ifndef SP_PROJECT_SHIPPED_COMMANDS_H
#define SP_PROJECT_SHIPPED_COMMANDS_H

#include "base/str.h"

struct sp_shipped_command {
    sp_str name;
    sp_str text;
};

/* In the order of their names. */
extern const struct sp_shipped_command sp_shipped_commands[];
extern const size_t sp_shipped_command_count;

#endif
