/*
 * What agents say of themselves, and the index from a capability to those who have it.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "core/presence_int.h"

enum { FIRST = 64 };

const char *sp_agent_facts_fault(sp_str id, const struct sp_agent_facts *facts) {
    if (id.len == 0 || id.len > SP_AGENT_ID_BYTES_MAX) {
        return "an agent's id has 1 to 255 bytes";
    }
    if (facts->capability_count > SP_AGENT_CAPABILITIES_MAX) {
        return "an agent has at most 64 capabilities";
    }
    for (uint32_t i = 0; i < facts->capability_count; i++) {
        size_t len = facts->capabilities[i].len;
        if (len == 0 || len > SP_AGENT_CAPABILITY_BYTES_MAX) {
            return "a capability has 1 to 128 bytes";
        }
    }
    if (facts->has_capacity && facts->capacity > SP_AGENT_CAPACITY_MAX) {
        return "a capacity is at most 1000000000";
    }
    if (facts->version.len > SP_AGENT_VERSION_BYTES_MAX) {
        return "an agent's version has at most 255 bytes";
    }
    return facts->data.len > SP_AGENT_DATA_BYTES_MAX ? "an agent's data have at most 4096 bytes"
                                                     : NULL;
}

/* ---- capabilities ---- */

struct sp_capability *sp_capability_find(const struct sp_presence *presence, sp_str name) {
    struct sp_htab_probe probe =
        sp_htab_find(&presence->by_capability, sp_hash(name.ptr, name.len));
    uint32_t slot = 0;
    while (sp_htab_next(&probe, &slot)) {
        struct sp_capability *capability = presence->capabilities[slot];
        if (sp_str_eq(sp_str_of(capability->name, capability->bytes), name)) {
            return capability;
        }
    }
    return NULL;
}

/*
 * A slot behind the others, or, where those are mostly free, one of them. UINT32_MAX: no memory.
 */
static uint32_t capability_slot(struct sp_presence *presence) {
    bool sparse = presence->capability_used < presence->capability_count / 2;
    for (uint32_t i = 0; sparse && i < presence->capability_count; i++) {
        if (presence->capabilities[i] == NULL) {
            return i;
        }
    }
    if (presence->capability_count == presence->capability_capacity) {
        uint32_t capacity =
            presence->capability_capacity == 0 ? FIRST : presence->capability_capacity * 2;
        struct sp_capability **grown =
            realloc(presence->capabilities, capacity * sizeof(struct sp_capability *));
        if (grown == NULL) {
            return UINT32_MAX;
        }
        presence->capabilities = grown;
        presence->capability_capacity = capacity;
    }
    return presence->capability_count++;
}

/* Finds or makes it; NULL where memory is out. */
static struct sp_capability *capability_of(struct sp_presence *presence, sp_str name) {
    struct sp_capability *capability = sp_capability_find(presence, name);
    if (capability != NULL) {
        return capability;
    }
    capability = calloc(1, sizeof(*capability) + name.len);
    if (capability == NULL) {
        return NULL;
    }
    uint32_t slot = capability_slot(presence);
    uint64_t hash = sp_hash(name.ptr, name.len);
    if (slot == UINT32_MAX) {
        free(capability);
        return NULL;
    }
    presence->capabilities[slot] = NULL;
    if (sp_htab_add(&presence->by_capability, hash, slot) != SP_OK) {
        free(capability);
        return NULL;
    }
    capability->hash = hash;
    capability->slot = slot;
    capability->bytes = (uint16_t)name.len;
    memcpy(capability->name, name.ptr, name.len);
    presence->capabilities[slot] = capability;
    presence->capability_used++;
    return capability;
}

/* Nobody has it any more. */
static void capability_drop_unused(struct sp_presence *presence, struct sp_capability *capability) {
    if (capability->lists[0].count == 0 && capability->lists[1].count == 0) {
        sp_htab_remove(&presence->by_capability, capability->hash, capability->slot);
        presence->capabilities[capability->slot] = NULL;
        presence->capability_used--;
        free(capability);
    }
}

static void link_add(struct sp_agent_link *link, bool is_free) {
    struct sp_link_list *list = &link->capability->lists[is_free ? 1 : 0];
    link->next = NULL;
    link->before = list->last;
    *(list->last != NULL ? &list->last->next : &list->first) = link;
    list->last = link;
    list->count++;
}

static void link_remove(struct sp_agent_link *link, bool is_free) {
    struct sp_link_list *list = &link->capability->lists[is_free ? 1 : 0];
    *(link->before != NULL ? &link->before->next : &list->first) = link->next;
    *(link->next != NULL ? &link->next->before : &list->last) = link->before;
    list->count--;
}

void sp_agent_settle_free(struct sp_agent *agent) {
    bool is_free = agent->status == SP_AGENT_ONLINE && !agent->stale &&
                   (!agent->has_capacity || agent->load < agent->capacity);
    for (uint32_t i = 0; is_free != agent->free && i < agent->link_count; i++) {
        link_remove(&agent->links[i], agent->free);
        link_add(&agent->links[i], is_free);
    }
    agent->free = is_free;
}

static void drop_links(struct sp_presence *presence, struct sp_agent_link *links, uint32_t count,
                       bool is_free) {
    for (uint32_t i = 0; i < count; i++) {
        link_remove(&links[i], is_free);
        capability_drop_unused(presence, links[i].capability);
    }
    free(links);
}

/* The links of an agent anew; the old ones go behind that, so that capabilities that stay stay. */
static sp_status set_links(struct sp_presence *presence, struct sp_agent *agent,
                           const struct sp_agent_facts *facts) {
    struct sp_agent_link *links = calloc(facts->capability_count + (size_t)1, sizeof(*links));
    if (links == NULL) {
        return SP_NO_MEMORY;
    }
    uint32_t count = 0;
    for (; count < facts->capability_count; count++) {
        links[count].agent = agent;
        links[count].capability = capability_of(presence, facts->capabilities[count]);
        if (links[count].capability == NULL) {
            drop_links(presence, links, count, agent->free);
            return SP_NO_MEMORY;
        }
        link_add(&links[count], agent->free);
    }
    drop_links(presence, agent->links, agent->link_count, agent->free);
    agent->links = links;
    agent->link_count = (uint8_t)count;
    return SP_OK;
}

/* ---- facts ---- */

size_t sp_agent_bytes(const struct sp_agent *agent) {
    size_t bytes = agent->id_bytes + (size_t)agent->version_bytes + agent->data_bytes;
    for (uint32_t i = 0; i < agent->link_count; i++) {
        bytes += agent->links[i].capability->bytes;
    }
    return bytes;
}

static sp_status set_texts(struct sp_agent *agent, sp_str version, sp_str data) {
    char *texts = NULL;
    if (version.len + data.len > 0) {
        texts = malloc(version.len + data.len);
        if (texts == NULL) {
            return SP_NO_MEMORY;
        }
    }
    if (version.len > 0) {
        memcpy(texts, version.ptr, version.len);
    }
    if (data.len > 0) {
        memcpy(texts + version.len, data.ptr, data.len);
    }
    free(agent->texts);
    agent->texts = texts;
    agent->version_bytes = (uint8_t)version.len;
    agent->data_bytes = (uint16_t)data.len;
    return SP_OK;
}

sp_status sp_agent_set_facts(struct sp_presence *presence, struct sp_agent *agent, unsigned named,
                             const struct sp_agent_facts *facts) {
    sp_status status = SP_OK;
    presence->bytes -= sp_agent_bytes(agent);
    if ((named & (SP_AGENT_NAMES_VERSION | SP_AGENT_NAMES_DATA)) != 0) {
        status = set_texts(
            agent, (named & SP_AGENT_NAMES_VERSION) != 0 ? facts->version : sp_agent_version(agent),
            (named & SP_AGENT_NAMES_DATA) != 0 ? facts->data : sp_agent_data(agent));
    }
    if (status == SP_OK && (named & SP_AGENT_NAMES_CAPABILITIES) != 0) {
        status = set_links(presence, agent, facts);
    }
    if (status == SP_OK && (named & SP_AGENT_NAMES_CAPACITY) != 0) {
        agent->has_capacity = facts->has_capacity;
        agent->capacity = facts->has_capacity ? facts->capacity : 0;
    }
    presence->bytes += sp_agent_bytes(agent);
    sp_agent_settle_free(agent);
    return status;
}

void sp_agent_drop_facts(struct sp_presence *presence, struct sp_agent *agent) {
    presence->bytes -= sp_agent_bytes(agent);
    drop_links(presence, agent->links, agent->link_count, agent->free);
    free(agent->texts);
    agent->links = NULL;
    agent->link_count = 0;
    agent->texts = NULL;
    agent->version_bytes = 0;
    agent->data_bytes = 0;
    agent->has_capacity = false;
    agent->capacity = 0;
    presence->bytes += sp_agent_bytes(agent);
    sp_agent_settle_free(agent);
}

static bool has_capabilities(const struct sp_agent *agent, const struct sp_agent_facts *facts) {
    if (agent->link_count != facts->capability_count) {
        return false;
    }
    for (uint32_t i = 0; i < agent->link_count; i++) {
        if (!sp_str_eq(sp_agent_capability(agent, i), facts->capabilities[i])) {
            return false;
        }
    }
    return true;
}

bool sp_agent_has_facts(const struct sp_agent *agent, unsigned named,
                        const struct sp_agent_facts *facts) {
    bool same_capacity = agent->has_capacity == facts->has_capacity &&
                         (!facts->has_capacity || agent->capacity == facts->capacity);
    return ((named & SP_AGENT_NAMES_CAPABILITIES) == 0 || has_capabilities(agent, facts)) &&
           ((named & SP_AGENT_NAMES_CAPACITY) == 0 || same_capacity) &&
           ((named & SP_AGENT_NAMES_VERSION) == 0 ||
            sp_str_eq(sp_agent_version(agent), facts->version)) &&
           ((named & SP_AGENT_NAMES_DATA) == 0 || sp_str_eq(sp_agent_data(agent), facts->data));
}
