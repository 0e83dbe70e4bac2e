/*
 * Ops on agents: how they are decided, as bytes, and what they do (docs/format.md). They come from
 * the disk: nothing in them is believed.
 */
#include "core/presence_int.h"

/* ---- facts as bytes ---- */

void sp_agent_put_facts(struct sp_buf *to, unsigned named, const struct sp_agent_facts *facts) {
    if ((named & SP_AGENT_NAMES_CAPABILITIES) != 0) {
        sp_add_number(to, facts->capability_count);
        for (uint32_t i = 0; i < facts->capability_count; i++) {
            sp_add_text(to, facts->capabilities[i]);
        }
    }
    if ((named & SP_AGENT_NAMES_CAPACITY) != 0) {
        sp_add_number(to, facts->has_capacity ? (uint64_t)facts->capacity + 1 : 0);
    }
    if ((named & SP_AGENT_NAMES_VERSION) != 0) {
        sp_add_text(to, facts->version);
    }
    if ((named & SP_AGENT_NAMES_DATA) != 0) {
        sp_add_text(to, facts->data);
    }
}

static bool has_twice(const struct sp_agent_facts *facts) {
    for (uint32_t i = 1; i < facts->capability_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (sp_str_eq(facts->capabilities[i], facts->capabilities[k])) {
                return true;
            }
        }
    }
    return false;
}

bool sp_agent_take_facts(struct sp_wire *wire, unsigned named,
                         sp_str room[SP_AGENT_CAPABILITIES_MAX], struct sp_agent_facts *ret_facts) {
    struct sp_agent_facts facts = {.capabilities = room};
    if ((named & SP_AGENT_NAMES_CAPABILITIES) != 0) {
        uint64_t count = sp_wire_varint(wire);
        if (count > SP_AGENT_CAPABILITIES_MAX) {
            return false;
        }
        facts.capability_count = (uint32_t)count;
        for (uint32_t i = 0; i < facts.capability_count; i++) {
            room[i] = sp_wire_lstr(wire);
        }
    }
    if ((named & SP_AGENT_NAMES_CAPACITY) != 0) {
        uint64_t capacity = sp_wire_varint(wire);
        if (capacity > (uint64_t)SP_AGENT_CAPACITY_MAX + 1) {
            return false;
        }
        facts.has_capacity = capacity > 0;
        facts.capacity = capacity > 0 ? (uint32_t)(capacity - 1) : 0;
    }
    if ((named & SP_AGENT_NAMES_VERSION) != 0) {
        facts.version = sp_wire_lstr(wire);
    }
    if ((named & SP_AGENT_NAMES_DATA) != 0) {
        facts.data = sp_wire_lstr(wire);
    }
    const sp_str any = {.ptr = "x", .len = 1};
    if (wire->bad || sp_agent_facts_fault(any, &facts) != NULL || has_twice(&facts)) {
        return false;
    }
    *ret_facts = facts;
    return true;
}

/* ---- deciding ---- */

static void put_op(struct sp_buf *to, enum sp_op op, const struct sp_agent *agent) {
    sp_buf_add_byte(to, (uint8_t)op);
    sp_add_text(to, sp_agent_id(agent));
}

/* Room for one more: somebody goes for it, or nobody can. */
static sp_status make_room(const struct sp_presence *presence, struct sp_buf *to,
                           struct sp_error *error) {
    if (presence->count < SP_AGENTS_MAX) {
        return SP_OK;
    }
    const struct sp_agent *victim = presence->by_status[SP_AGENT_OFFLINE].first;
    victim = victim == NULL ? presence->by_status[SP_AGENT_SUSPECTED].first : victim;
    if (victim == NULL) {
        return sp_error_set(error, SP_LIMIT, "%d agents are online, no more are taken",
                            SP_AGENTS_MAX);
    }
    put_op(to, SP_OP_AGENT_FORGET, victim);
    return SP_OK;
}

sp_status sp_presence_announce(const struct sp_presence *presence, sp_str id, unsigned named,
                               const struct sp_agent_facts *facts, uint64_t wall_ms,
                               struct sp_buf *to, struct sp_error *error) {
    const char *fault = sp_agent_facts_fault(id, facts);
    if (fault != NULL) {
        return sp_error_set(error, SP_INVALID, "%s", fault);
    }
    const struct sp_agent *agent = sp_presence_find(presence, sp_agent_hash(id), id);
    bool there = agent != NULL && agent->status != SP_AGENT_OFFLINE;
    if (there && sp_agent_has_facts(agent, named, facts)) {
        return SP_OK;
    }
    if (presence->bytes >= SP_AGENTS_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "what agents say of themselves takes %d bytes already",
                            SP_AGENTS_BYTES_MAX);
    }
    sp_status status = agent == NULL ? make_room(presence, to, error) : SP_OK;
    if (status == SP_OK) {
        sp_buf_add_byte(to, SP_OP_AGENT_ANNOUNCE);
        sp_add_text(to, id);
        sp_add_number(to, wall_ms);
        sp_add_number(to, named);
        sp_agent_put_facts(to, named, facts);
    }
    return status;
}

void sp_presence_suspect(const struct sp_agent *agent, enum sp_agent_reason reason,
                         uint64_t wall_ms, struct sp_buf *to) {
    sp_require(agent->status == SP_AGENT_ONLINE);
    put_op(to, SP_OP_AGENT_SUSPECT, agent);
    sp_add_number(to, wall_ms);
    sp_add_number(to, agent->last_ms);
    sp_add_number(to, reason);
}

void sp_presence_recover(const struct sp_agent *agent, uint64_t wall_ms, struct sp_buf *to) {
    sp_require(agent->status == SP_AGENT_SUSPECTED);
    put_op(to, SP_OP_AGENT_RECOVER, agent);
    sp_add_number(to, wall_ms);
}

void sp_presence_end(const struct sp_agent *agent, uint64_t wall_ms, struct sp_buf *to) {
    sp_require(agent->status != SP_AGENT_OFFLINE);
    put_op(to, SP_OP_AGENT_END, agent);
    sp_add_number(to, wall_ms);
}

/* ---- folding ---- */

/* It is online from a time on. */
static sp_status begin(struct sp_presence *presence, struct sp_agent *agent, uint64_t wall_ms) {
    agent->since_ms = wall_ms;
    agent->seen_ms = presence->live_ms;
    agent->last_ms = wall_ms;
    agent->load = 0;
    sp_status status = sp_agent_set_timer(presence, agent);
    sp_agent_settle_free(agent);
    return status;
}

static sp_status fold_announce(struct sp_presence *presence, sp_str id, struct sp_wire *wire) {
    sp_str room[SP_AGENT_CAPABILITIES_MAX];
    struct sp_agent_facts facts;
    uint64_t wall_ms = sp_wire_varint(wire);
    uint64_t named = sp_wire_varint(wire);
    if (named > SP_AGENT_NAMES_ALL || id.len == 0 || id.len > SP_AGENT_ID_BYTES_MAX ||
        !sp_agent_take_facts(wire, (unsigned)named, room, &facts)) {
        return SP_CORRUPT;
    }
    struct sp_agent *agent = sp_presence_find(presence, sp_agent_hash(id), id);
    sp_status status = SP_OK;
    bool was_offline = agent != NULL && agent->status == SP_AGENT_OFFLINE;
    bool begins = agent == NULL || was_offline;
    if (agent == NULL) {
        status = sp_agent_add(presence, id, SP_AGENT_ONLINE, &agent);
    } else if (was_offline) {
        sp_agent_drop_facts(presence, agent);
        sp_agent_move(presence, agent, SP_AGENT_ONLINE);
    }
    if (status == SP_OK) {
        agent->announced_ms = wall_ms;
        status = sp_agent_set_facts(presence, agent, (unsigned)named, &facts);
    }
    return status == SP_OK && begins ? begin(presence, agent, wall_ms) : status;
}

static sp_status fold_suspect(struct sp_presence *presence, struct sp_agent *agent,
                              struct sp_wire *wire) {
    uint64_t wall_ms = sp_wire_varint(wire);
    uint64_t last_ms = sp_wire_varint(wire);
    uint64_t reason = sp_wire_varint(wire);
    if (wire->bad || agent->status != SP_AGENT_ONLINE || reason > SP_AGENT_CONNECTION_LOST) {
        return SP_CORRUPT;
    }
    sp_agent_stop(presence, agent, false);
    sp_agent_move(presence, agent, SP_AGENT_SUSPECTED);
    agent->since_ms = wall_ms;
    agent->last_ms = last_ms;
    agent->reason = (uint8_t)reason;
    sp_agent_settle_free(agent);
    return SP_OK;
}

static sp_status fold_recover(struct sp_presence *presence, struct sp_agent *agent,
                              struct sp_wire *wire) {
    uint64_t wall_ms = sp_wire_varint(wire);
    if (wire->bad || agent->status != SP_AGENT_SUSPECTED) {
        return SP_CORRUPT;
    }
    uint32_t load = agent->load;
    sp_agent_revived_remove(presence, agent);
    sp_agent_move(presence, agent, SP_AGENT_ONLINE);
    sp_status status = begin(presence, agent, wall_ms);
    sp_presence_load(presence, agent, load);
    return status;
}

static sp_status fold_end(struct sp_presence *presence, struct sp_agent *agent,
                          struct sp_wire *wire) {
    uint64_t wall_ms = sp_wire_varint(wire);
    if (wire->bad || agent->status == SP_AGENT_OFFLINE) {
        return SP_CORRUPT;
    }
    sp_agent_stop(presence, agent, true);
    sp_agent_revived_remove(presence, agent);
    sp_agent_move(presence, agent, SP_AGENT_OFFLINE);
    agent->since_ms = wall_ms;
    agent->last_ms = wall_ms;
    agent->load = 0;
    sp_agent_settle_free(agent);
    return SP_OK;
}

static sp_status fold_forget(struct sp_presence *presence, struct sp_agent *agent) {
    if (agent->status == SP_AGENT_ONLINE) {
        return SP_CORRUPT;
    }
    sp_agent_forget(presence, agent);
    return SP_OK;
}

sp_status sp_presence_fold(struct sp_presence *presence, enum sp_op op, struct sp_wire *wire) {
    sp_str id = sp_wire_lstr(wire);
    if (wire->bad) {
        return SP_CORRUPT;
    }
    if (op == SP_OP_AGENT_ANNOUNCE) {
        return fold_announce(presence, id, wire);
    }
    struct sp_agent *agent = sp_presence_find(presence, sp_agent_hash(id), id);
    if (agent == NULL) {
        return SP_CORRUPT;
    }
    if (op == SP_OP_AGENT_SUSPECT) {
        return fold_suspect(presence, agent, wire);
    }
    if (op == SP_OP_AGENT_RECOVER) {
        return fold_recover(presence, agent, wire);
    }
    if (op == SP_OP_AGENT_END) {
        return fold_end(presence, agent, wire);
    }
    return op == SP_OP_AGENT_FORGET ? fold_forget(presence, agent) : SP_CORRUPT;
}
