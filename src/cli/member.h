/*
 * Members of a JSON object that a server or a store told of something with. pure
 */
#ifndef SP_CLI_MEMBER_H
#define SP_CLI_MEMBER_H

#include "base/buf.h"
#include "base/str.h"

/* The value of a member, as it is written; empty where it is null or not there. */
sp_str sp_cli_member(sp_str object, const char *name);

/* The text of a member that is a string, appended to the buffer; empty where it is none. */
sp_str sp_cli_member_text(sp_str object, const char *name, struct sp_buf *room);

/* The value of a member that is a string, as it is escaped there, without its quotes. */
sp_str sp_cli_member_raw(sp_str object, const char *name);

/* Calls `each` with every item of an array, as it is written. */
void sp_cli_member_items(sp_str array, void (*each)(void *context, sp_str item), void *context);

#endif
