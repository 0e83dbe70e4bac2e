#include "core/presence.h"

#include <stdlib.h>

#include "base/hash.h"
#include "core/presence_int.h"

enum { FIRST = 64 };

/* As index/keys.c has it for sources; a test compares them. */
static const uint64_t SOURCE_SEED = 0x736f757263650003u;

uint64_t sp_agent_hash(sp_str id) {
    return sp_hash_seeded(id.ptr, id.len, SOURCE_SEED);
}

struct sp_presence_limits sp_presence_limits_default(void) {
    return (struct sp_presence_limits){.stale_ms = 30000, .suspect_ms = 90000, .grace_ms = 2000};
}

void sp_presence_init(struct sp_presence *presence) {
    *presence = (struct sp_presence){.limits = sp_presence_limits_default()};
    sp_htab_init(&presence->by_id);
    sp_htab_init(&presence->by_capability);
    sp_heap_init(&presence->timers);
}

void sp_presence_fini(struct sp_presence *presence) {
    for (uint32_t i = 0; i < presence->slot_count; i++) {
        if (presence->agents[i] != NULL) {
            sp_agent_forget(presence, presence->agents[i]);
        }
    }
    free(presence->agents);
    free(presence->capabilities);
    sp_htab_fini(&presence->by_id);
    sp_htab_fini(&presence->by_capability);
    sp_heap_fini(&presence->timers);
    sp_presence_init(presence);
}

/* ---- lists ---- */

static void list_add(struct sp_agent_list *list, struct sp_agent *agent) {
    agent->next = NULL;
    agent->before = list->last;
    *(list->last != NULL ? &list->last->next : &list->first) = agent;
    list->last = agent;
    list->count++;
}

static void list_remove(struct sp_agent_list *list, struct sp_agent *agent) {
    *(agent->before != NULL ? &agent->before->next : &list->first) = agent->next;
    *(agent->next != NULL ? &agent->next->before : &list->last) = agent->before;
    list->count--;
}

void sp_agent_move(struct sp_presence *presence, struct sp_agent *agent,
                   enum sp_agent_status status) {
    list_remove(&presence->by_status[agent->status], agent);
    agent->status = (uint8_t)status;
    list_add(&presence->by_status[status], agent);
}

void sp_agent_revived_remove(struct sp_presence *presence, struct sp_agent *agent) {
    struct sp_agent_list *list = &presence->revived;
    if (agent->revived) {
        *(agent->before_revived != NULL ? &agent->before_revived->next_revived : &list->first) =
            agent->next_revived;
        *(agent->next_revived != NULL ? &agent->next_revived->before_revived : &list->last) =
            agent->before_revived;
        list->count--;
        agent->revived = false;
    }
}

/* ---- the table ---- */

/* A free slot. SP_NO_MEMORY, SP_LIMIT. */
static sp_status find_slot(struct sp_presence *presence, uint32_t *ret_slot) {
    if (presence->count >= SP_AGENTS_MAX) {
        return SP_LIMIT;
    }
    while (presence->slot_free < presence->slot_count &&
           presence->agents[presence->slot_free] != NULL) {
        presence->slot_free++;
    }
    if (presence->slot_free == presence->slot_capacity) {
        uint32_t capacity = presence->slot_capacity == 0 ? FIRST : presence->slot_capacity * 2;
        struct sp_agent **agents = realloc(presence->agents, capacity * sizeof(struct sp_agent *));
        if (agents == NULL) {
            return SP_NO_MEMORY;
        }
        presence->agents = agents;
        presence->slot_capacity = capacity;
    }
    *ret_slot = presence->slot_free;
    return SP_OK;
}

sp_status sp_agent_add(struct sp_presence *presence, sp_str id, enum sp_agent_status status,
                       struct sp_agent **ret_agent) {
    uint32_t slot = 0;
    sp_require(id.len <= SP_AGENT_ID_BYTES_MAX && (unsigned)status < 3);
    sp_status found = find_slot(presence, &slot);
    if (found != SP_OK) {
        return found;
    }
    uint64_t hash = sp_agent_hash(id);
    struct sp_agent *agent = calloc(1, sizeof(*agent) + id.len);
    if (agent == NULL || sp_htab_add(&presence->by_id, hash, slot) != SP_OK) {
        free(agent);
        return SP_NO_MEMORY;
    }
    agent->hash = hash;
    agent->slot = slot;
    agent->id_bytes = (uint8_t)id.len;
    agent->status = (uint8_t)status;
    memcpy(agent->id, id.ptr, id.len);
    presence->agents[slot] = agent;
    presence->slot_count += slot == presence->slot_count ? 1 : 0;
    presence->count++;
    presence->bytes += sp_agent_bytes(agent);
    list_add(&presence->by_status[status], agent);
    *ret_agent = agent;
    return SP_OK;
}

void sp_agent_forget(struct sp_presence *presence, struct sp_agent *agent) {
    sp_agent_stop(presence, agent, true);
    sp_agent_revived_remove(presence, agent);
    sp_agent_drop_facts(presence, agent);
    presence->bytes -= sp_agent_bytes(agent);
    list_remove(&presence->by_status[agent->status], agent);
    sp_htab_remove(&presence->by_id, agent->hash, agent->slot);
    presence->agents[agent->slot] = NULL;
    presence->slot_free = agent->slot < presence->slot_free ? agent->slot : presence->slot_free;
    presence->count--;
    free(agent);
}

/* ---- looking ---- */

struct sp_agent *sp_presence_find(const struct sp_presence *presence, uint64_t hash, sp_str id) {
    struct sp_htab_probe probe = sp_htab_find(&presence->by_id, hash);
    uint32_t slot = 0;
    while (sp_htab_next(&probe, &slot)) {
        if (sp_str_eq(sp_agent_id(presence->agents[slot]), id)) {
            return presence->agents[slot];
        }
    }
    return NULL;
}

/* Stale by the clock, whether its timer has fired or not. */
static enum sp_agent_status status_at(const struct sp_presence *presence,
                                      const struct sp_agent *agent) {
    bool silent = presence->live_ms >= agent->seen_ms + presence->limits.stale_ms;
    return agent->status == SP_AGENT_ONLINE && silent ? SP_AGENT_STALE
                                                      : (enum sp_agent_status)agent->status;
}

static bool is_free(const struct sp_agent *agent, enum sp_agent_status status) {
    return status == SP_AGENT_ONLINE && (!agent->has_capacity || agent->load < agent->capacity);
}

struct sp_agent_info sp_agent_info(const struct sp_presence *presence,
                                   const struct sp_agent *agent) {
    enum sp_agent_status status = status_at(presence, agent);
    bool online = agent->status == SP_AGENT_ONLINE;
    return (struct sp_agent_info){
        .id = sp_agent_id(agent),
        .status = status,
        .reason = (enum sp_agent_reason)agent->reason,
        .capability_count = agent->link_count,
        .has_capacity = agent->has_capacity,
        .capacity = agent->capacity,
        .load = agent->load,
        .free = is_free(agent, status),
        .version = sp_agent_version(agent),
        .data = sp_agent_data(agent),
        .announced_ms = agent->announced_ms,
        .since_ms = agent->since_ms,
        .seen_ms = agent->last_ms,
        .event_ms = agent->event_ms,
        .silent_ms = online ? presence->live_ms - agent->seen_ms : 0,
    };
}

sp_str sp_agent_capability(const struct sp_agent *agent, uint32_t number) {
    sp_require(number < agent->link_count);
    const struct sp_capability *capability = agent->links[number].capability;
    return sp_str_of(capability->name, capability->bytes);
}

bool sp_agent_is_there(const struct sp_agent *agent) {
    return agent->status != SP_AGENT_OFFLINE;
}

sp_str sp_agent_id(const struct sp_agent *agent) {
    return sp_str_of(agent->id, agent->id_bytes);
}

uint32_t sp_presence_count(const struct sp_presence *presence, enum sp_agent_status status) {
    uint32_t online = presence->by_status[SP_AGENT_ONLINE].count;
    switch (status) {
    case SP_AGENT_ONLINE:
        return online - presence->stale_count;
    case SP_AGENT_STALE:
        return presence->stale_count;
    case SP_AGENT_SUSPECTED:
    case SP_AGENT_OFFLINE:
        return presence->by_status[status].count;
    }
    sp_never();
}

/* ---- walking ---- */

struct walking {
    const struct sp_presence *presence;
    const struct sp_agent_query *query;
    struct sp_capability *wanted[SP_AGENT_CAPABILITIES_MAX];
    sp_agent_fn *each;
    void *context;
};

static bool has_capability(const struct sp_agent *agent, const struct sp_capability *capability) {
    for (uint32_t i = 0; i < agent->link_count; i++) {
        if (agent->links[i].capability == capability) {
            return true;
        }
    }
    return false;
}

/* Shows the agent where it matches; false: the walk is over. */
static bool show(const struct walking *walk, struct sp_agent *agent) {
    const struct sp_agent_query *query = walk->query;
    enum sp_agent_status status = status_at(walk->presence, agent);
    if ((query->has_status && status != query->status) ||
        (query->free && !is_free(agent, status))) {
        return true;
    }
    for (uint32_t i = 0; i < query->capability_count; i++) {
        if (!has_capability(agent, walk->wanted[i])) {
            return true;
        }
    }
    return walk->each(walk->context, agent);
}

static bool show_links(const struct walking *walk, const struct sp_link_list *list) {
    struct sp_agent_link *link = list->first;
    while (link != NULL && show(walk, link->agent)) {
        link = link->next;
    }
    return link == NULL;
}

static bool show_list(const struct walking *walk, enum sp_agent_status status) {
    struct sp_agent *agent = walk->presence->by_status[status].first;
    while (agent != NULL && show(walk, agent)) {
        agent = agent->next;
    }
    return agent == NULL;
}

/* Those of the capability that the fewest have; where one has nobody, there is nobody. */
static void walk_capabilities(struct walking *walk) {
    const struct sp_agent_query *query = walk->query;
    const struct sp_capability *rarest = NULL;
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < query->capability_count; i++) {
        walk->wanted[i] = sp_capability_find(walk->presence, query->capabilities[i]);
        if (walk->wanted[i] == NULL) {
            return;
        }
        const struct sp_link_list *lists = walk->wanted[i]->lists;
        uint32_t count = lists[1].count + (query->free ? 0 : lists[0].count);
        if (count < least) {
            least = count;
            rarest = walk->wanted[i];
        }
    }
    if (rarest != NULL && show_links(walk, &rarest->lists[1]) && !query->free) {
        (void)show_links(walk, &rarest->lists[0]);
    }
}

void sp_presence_each(const struct sp_presence *presence, const struct sp_agent_query *query,
                      sp_agent_fn *each, void *context) {
    struct walking walk = {.presence = presence, .query = query, .each = each, .context = context};
    if (query->capability_count > SP_AGENT_CAPABILITIES_MAX) {
        return; /* nobody has so many */
    }
    if (query->capability_count > 0) {
        walk_capabilities(&walk);
        return;
    }
    bool all = !query->has_status && !query->free;
    bool online =
        all || query->free || query->status == SP_AGENT_ONLINE || query->status == SP_AGENT_STALE;
    bool suspected = all || (query->has_status && query->status == SP_AGENT_SUSPECTED);
    bool offline = all || (query->has_status && query->status == SP_AGENT_OFFLINE);
    bool more = !online || show_list(&walk, SP_AGENT_ONLINE);
    more = more && (!suspected || show_list(&walk, SP_AGENT_SUSPECTED));
    (void)(more && offline && show_list(&walk, SP_AGENT_OFFLINE));
}
