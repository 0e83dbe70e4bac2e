/*
 * What an event says of the agent that it announces: data.capabilities, data.capacity,
 * data.version, and the rest of data. pure
 *
 * Read leniently: what is of another type, too long or too many is passed over, and data that is
 * no JSON object says nothing. An append never fails for it.
 */
#ifndef SP_CORE_PRESENCE_READ_H
#define SP_CORE_PRESENCE_READ_H

#include "core/presence.h"

/* What an event does to the presence of its source, by its type alone. */
enum sp_agent_event {
    SP_AGENT_EVENT_NONE = 0,
    SP_AGENT_EVENT_ONLINE,  /* agent.online: announces; what it does not name is not so any more */
    SP_AGENT_EVENT_STARTED, /* agent.started: announces; what it does not name stays as it was */
    SP_AGENT_EVENT_ENDED,   /* agent.offline, agent.stopped */
};

/* Agents that most events are not about cost one comparison. */
enum sp_agent_event sp_agent_event_named(sp_str type);

static inline enum sp_agent_event sp_agent_event_of(sp_str type) {
    bool may_be = type.len >= 12 && type.len <= 13 && memcmp(type.ptr, "agent.", 6) == 0;
    return may_be ? sp_agent_event_named(type) : SP_AGENT_EVENT_NONE;
}

struct sp_agent_read {
    unsigned named; /* enum sp_agent_named: what was found */
    struct sp_agent_facts facts;
    sp_str capabilities[SP_AGENT_CAPABILITIES_MAX];
};

/*
 * Reads the data of an event. Texts lie in `text`, which is emptied first, or in `data`. Not to be
 * copied: the facts point into it. SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_agent_read(sp_str data, struct sp_buf *text,
                                       struct sp_agent_read *ret_read);

#endif
