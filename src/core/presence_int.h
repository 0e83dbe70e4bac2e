/*
 * How agents lie in memory; only presence*.c include this. See presence.h.
 */
#ifndef SP_CORE_PRESENCE_INT_H
#define SP_CORE_PRESENCE_INT_H

#include "core/bytes.h"
#include "core/presence.h"

/* One capability of one agent: in one of the capability's two lists. */
struct sp_agent_link {
    struct sp_agent *agent;
    struct sp_capability *capability;
    struct sp_agent_link *next;
    struct sp_agent_link *before;
};

struct sp_link_list {
    struct sp_agent_link *first;
    struct sp_agent_link *last;
    uint32_t count;
};

struct sp_capability {
    struct sp_link_list lists[2]; /* [1]: those with free capacity */
    uint64_t hash;
    uint32_t slot;
    uint16_t bytes;
    char name[];
};

/* One holder of one agent. */
struct sp_agent_hold {
    struct sp_agent *agent;
    struct sp_agent_holder *holder;
    struct sp_agent_hold *next_of_agent;
    struct sp_agent_hold *next; /* of the holder */
    struct sp_agent_hold *before;
};

struct sp_agent {
    struct sp_heap_item timer; /* first: see heap.h */
    uint64_t hash;
    uint64_t announced_ms;
    uint64_t since_ms;
    uint64_t
        last_ms; /* of one that is not online: when it was last seen; of one suspected stored */
    /* By the live clock, in memory only: */
    uint64_t seen_ms;      /* of one online: last sign of life */
    uint64_t event_ms;     /* its last event; 0: none */
    uint64_t lost_ms;      /* since when nobody holds it any more; 0: somebody does, or never did */
    struct sp_agent *next; /* of its status */
    struct sp_agent *before;
    struct sp_agent *next_revived;
    struct sp_agent *before_revived;
    struct sp_agent_hold *holds;
    struct sp_agent_link *links;
    char *texts; /* version and data, back to back; NULL: neither */
    uint32_t slot;
    uint32_t capacity;
    uint32_t load;
    uint16_t data_bytes;
    uint8_t link_count;
    uint8_t version_bytes;
    uint8_t id_bytes;
    uint8_t status; /* enum sp_agent_status, never stale */
    uint8_t reason; /* enum sp_agent_reason */
    bool has_capacity;
    bool stale;   /* its timer found it silent */
    bool free;    /* its links are among those with free capacity */
    bool revived; /* in the list of those */
    char id[];
};

static inline sp_str sp_agent_version(const struct sp_agent *agent) {
    return sp_str_of(agent->texts, agent->version_bytes);
}

static inline sp_str sp_agent_data(const struct sp_agent *agent) {
    return agent->data_bytes == 0
               ? sp_str_of(NULL, 0)
               : sp_str_of(agent->texts + agent->version_bytes, agent->data_bytes);
}

/* ---- presence.c ---- */

/* A new agent of this status, without facts. SP_NO_MEMORY, SP_LIMIT. */
SP_WARN_UNUSED sp_status sp_agent_add(struct sp_presence *presence, sp_str id,
                                      enum sp_agent_status status, struct sp_agent **ret_agent);
void sp_agent_forget(struct sp_presence *presence, struct sp_agent *agent);
/* To the end of the list of another status. */
void sp_agent_move(struct sp_presence *presence, struct sp_agent *agent,
                   enum sp_agent_status status);
void sp_agent_revived_remove(struct sp_presence *presence, struct sp_agent *agent);

/* ---- presence_facts.c ---- */

/* Takes over what is named; on SP_NO_MEMORY the agent is as it was. */
SP_WARN_UNUSED sp_status sp_agent_set_facts(struct sp_presence *presence, struct sp_agent *agent,
                                            unsigned named, const struct sp_agent_facts *facts);
/* Whether it has them already. */
bool sp_agent_has_facts(const struct sp_agent *agent, unsigned named,
                        const struct sp_agent_facts *facts);
/* Bytes of its id and facts. */
size_t sp_agent_bytes(const struct sp_agent *agent);
/* Lets go of its facts. */
void sp_agent_drop_facts(struct sp_presence *presence, struct sp_agent *agent);
/* Puts its links where they belong, after anything that matters to that has changed. */
void sp_agent_settle_free(struct sp_agent *agent);
struct sp_capability *sp_capability_find(const struct sp_presence *presence, sp_str name);

/* ---- presence_fold.c ---- */

void sp_agent_put_facts(struct sp_buf *to, unsigned named, const struct sp_agent_facts *facts);
/* Reads what is named into facts whose texts are borrowed; `room` holds the capabilities. */
SP_WARN_UNUSED bool sp_agent_take_facts(struct sp_wire *wire, unsigned named,
                                        sp_str room[SP_AGENT_CAPABILITIES_MAX],
                                        struct sp_agent_facts *ret_facts);

/* ---- presence_time.c ---- */

/* Sets the timer of an online agent, or takes it away. SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_agent_set_timer(struct sp_presence *presence, struct sp_agent *agent);
/* No longer online: timer, staleness and holders go. */
void sp_agent_stop(struct sp_presence *presence, struct sp_agent *agent, bool holders);

#endif
