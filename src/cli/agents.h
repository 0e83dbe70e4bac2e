/*
 * Agents as the server tells of them, for `agent` and `top`. pure
 */
#ifndef SP_CLI_AGENTS_H
#define SP_CLI_AGENTS_H

#include "cli/table.h"

enum sp_agent_member {
    SP_AGENT_ID,
    SP_AGENT_STATE,
    SP_AGENT_LOAD,
    SP_AGENT_CAPACITY,
    SP_AGENT_SEEN,
    SP_AGENT_ABLE, /* capabilities, as a JSON array */
    SP_AGENT_MEMBERS,
};

/* Slices of the line; of strings as they are escaped there. */
struct sp_agent_line {
    sp_str members[SP_AGENT_MEMBERS];
};

/* Reads one JSON object; what is not there, or null, is empty. */
void sp_agents_read(sp_str line, struct sp_agent_line *ret_agent);

/* A table of agents, and a row of it. */
void sp_agents_table(struct sp_table *table, struct sp_out *out);
void sp_agents_add_row(struct sp_table *table, sp_str line);

#endif
