/*
 * Agents as bytes in a snapshot, and what the hash of the state says of them. docs/format.md has
 * the layout.
 *
 * The order of the lists is part of the state: it says who goes first when the table is full.
 */
#include "base/hash.h"
#include "core/presence_int.h"

enum { AGENT_BYTES_MIN = 8 };

static uint64_t hash_text(sp_str text, uint64_t hash) {
    return sp_hash_seeded(text.ptr, text.len, hash + text.len);
}

static uint64_t hash_agent(const struct sp_agent *agent, uint64_t hash) {
    bool suspected = agent->status == SP_AGENT_SUSPECTED;
    const uint64_t numbers[] = {
        agent->status,
        agent->announced_ms,
        agent->since_ms,
        suspected ? agent->last_ms : 0,
        suspected ? agent->reason : 0,
        agent->has_capacity,
        agent->capacity,
        agent->link_count,
    };
    hash = hash_text(sp_agent_id(agent), sp_hash_seeded(numbers, sizeof(numbers), hash));
    hash = hash_text(sp_agent_data(agent), hash_text(sp_agent_version(agent), hash));
    for (uint32_t i = 0; i < agent->link_count; i++) {
        hash = hash_text(sp_agent_capability(agent, i), hash);
    }
    return hash;
}

uint64_t sp_presence_hash(const struct sp_presence *presence) {
    uint64_t hash = presence->count;
    for (unsigned i = 0; i < 3; i++) {
        for (const struct sp_agent *agent = presence->by_status[i].first; agent != NULL;
             agent = agent->next) {
            hash = hash_agent(agent, hash);
        }
    }
    return hash;
}

static void put_agent(struct sp_buf *to, const struct sp_agent *agent) {
    sp_str room[SP_AGENT_CAPABILITIES_MAX];
    struct sp_agent_facts facts = {
        .capabilities = room,
        .capability_count = agent->link_count,
        .has_capacity = agent->has_capacity,
        .capacity = agent->capacity,
        .version = sp_agent_version(agent),
        .data = sp_agent_data(agent),
    };
    for (uint32_t i = 0; i < agent->link_count; i++) {
        room[i] = sp_agent_capability(agent, i);
    }
    sp_add_text(to, sp_agent_id(agent));
    sp_add_number(to, agent->announced_ms);
    sp_add_number(to, agent->since_ms);
    if (agent->status == SP_AGENT_SUSPECTED) {
        sp_add_number(to, agent->last_ms);
        sp_add_number(to, agent->reason);
    }
    sp_agent_put_facts(to, SP_AGENT_NAMES_ALL, &facts);
}

void sp_presence_encode(const struct sp_presence *presence, struct sp_buf *to) {
    for (unsigned i = 0; i < 3; i++) {
        sp_add_number(to, presence->by_status[i].count);
        for (const struct sp_agent *agent = presence->by_status[i].first; agent != NULL;
             agent = agent->next) {
            put_agent(to, agent);
        }
    }
}

static sp_status restore_agent(struct sp_presence *presence, enum sp_agent_status status,
                               struct sp_wire *wire) {
    sp_str room[SP_AGENT_CAPABILITIES_MAX];
    struct sp_agent_facts facts;
    struct sp_agent *agent = NULL;
    sp_str id = sp_wire_lstr(wire);
    uint64_t announced_ms = sp_wire_varint(wire);
    uint64_t since_ms = sp_wire_varint(wire);
    bool suspected = status == SP_AGENT_SUSPECTED;
    uint64_t last_ms = suspected ? sp_wire_varint(wire) : since_ms;
    uint64_t reason = suspected ? sp_wire_varint(wire) : 0;
    if (!sp_agent_take_facts(wire, SP_AGENT_NAMES_ALL, room, &facts) ||
        sp_agent_facts_fault(id, &facts) != NULL || reason > SP_AGENT_CONNECTION_LOST ||
        sp_presence_find(presence, sp_agent_hash(id), id) != NULL) {
        return SP_CORRUPT;
    }
    sp_status added = sp_agent_add(presence, id, status, &agent);
    if (added != SP_OK) {
        return added;
    }
    agent->announced_ms = announced_ms;
    agent->since_ms = since_ms;
    agent->last_ms = last_ms;
    agent->reason = (uint8_t)reason;
    added = sp_agent_set_facts(presence, agent, SP_AGENT_NAMES_ALL, &facts);
    return added == SP_OK ? sp_agent_set_timer(presence, agent) : added;
}

sp_status sp_presence_restore(struct sp_presence *presence, struct sp_wire *wire) {
    for (unsigned i = 0; i < 3; i++) {
        uint64_t count = sp_wire_varint(wire);
        if (wire->bad || count > SP_AGENTS_MAX || count > sp_wire_left(wire) / AGENT_BYTES_MIN) {
            return SP_CORRUPT;
        }
        for (uint64_t k = 0; k < count; k++) {
            sp_status status = restore_agent(presence, (enum sp_agent_status)i, wire);
            if (status != SP_OK) {
                return status;
            }
        }
    }
    return SP_OK;
}
