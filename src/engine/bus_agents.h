/*
 * The bus's agents: what core/presence.h decides, married with the log and the clock. loop-thread
 *
 * As in bus.h every call decides at once; take the gate before you tell of it. An announcement, and
 * that an agent is offline, are events of the agent's own (`agent.online`, `agent.offline`, in the
 * stream of its id); suspicion and recovery are events of the store's own, in the stream `$agents`,
 * each in one block with the op. Heartbeats are stored nowhere.
 *
 * SP_NOT_FOUND: there is no such agent, or it is offline: it is to announce itself (anew).
 */
#ifndef SP_ENGINE_BUS_AGENTS_H
#define SP_ENGINE_BUS_AGENTS_H

#include "core/presence.h"
#include "engine/bus.h"

/* How long agents may be silent. */
void sp_bus_agent_limits(struct sp_bus *bus, const struct sp_presence_limits *limits);

/*
 * The agent is there with exactly these facts: an event, or where it is online with them already a
 * sign of life and no event. `holder` (NULL: none) speaks for it from now on. SP_INVALID: an id or
 * facts beyond the limits, data that is no object or names what has a place of its own; SP_LIMIT;
 * SP_DENIED: a name of the store's own; SP_BUSY.
 */
SP_WARN_UNUSED sp_status sp_bus_agent_online(struct sp_bus *bus, sp_str id,
                                             const struct sp_agent_facts *facts,
                                             struct sp_agent_holder *holder,
                                             struct sp_error *error);

/*
 * A sign of life; load NULL: as before. One that was suspected has recovered. A holder of an agent
 * that is held speaks for it as well. SP_NOT_FOUND.
 */
SP_WARN_UNUSED sp_status sp_bus_agent_heartbeat(struct sp_bus *bus, sp_str id, const uint32_t *load,
                                                struct sp_agent_holder *holder,
                                                enum sp_agent_status *ret_status,
                                                struct sp_error *error);

/*
 * It says that it leaves; a reason may be empty. An agent that is offline stays so, without an
 * event. SP_NOT_FOUND where there never was one.
 */
SP_WARN_UNUSED sp_status sp_bus_agent_offline(struct sp_bus *bus, sp_str id, sp_str reason,
                                              struct sp_error *error);

/*
 * The holder is gone: agents that nobody holds any more have the time of grace, unless `ending`:
 * it was the server who sent it away.
 */
void sp_bus_agents_left(struct sp_bus *bus, struct sp_agent_holder *holder, bool ending);

/* The agent, or NULL. Borrowed until the next call that changes it. */
const struct sp_agent *sp_bus_agent(const struct sp_bus *bus, sp_str id);

/* Appends it as one JSON object (docs/agents.md). Whether it fitted the buffer's status says. */
void sp_bus_agent_json(const struct sp_bus *bus, const struct sp_agent *agent, struct sp_buf *to);

/* False ends the walk. Must not change agents. */
typedef bool sp_bus_agent_fn(void *context, const struct sp_agent *agent);

/*
 * Those that match, by id, behind `after` (empty: from the first), at most `limit` (0: all).
 * *ret_more: there are more. SP_NO_MEMORY. O(matches · log matches).
 */
SP_WARN_UNUSED sp_status sp_bus_agents_list(const struct sp_bus *bus,
                                            const struct sp_agent_query *query, sp_str after,
                                            uint32_t limit, sp_bus_agent_fn *each, void *context,
                                            bool *ret_more, struct sp_error *error);

/* How many have the status. O(1). */
uint32_t sp_bus_agent_count(const struct sp_bus *bus, enum sp_agent_status status);

/* `online`, `stale`, `suspected`, `offline`. */
const char *sp_agent_status_name(enum sp_agent_status status);
/* False where it is none of them. */
bool sp_agent_status_find(sp_str name, enum sp_agent_status *ret_status);

#endif
