/*
 * Agents in the world of the bus: they announce themselves, beat, fall silent, lose their
 * connections, leave and come back, over crashes of the server.
 *
 * What is durable of them is part of the model, and so of what must be found behind every block.
 * When they gave their last sign of life is known within the call that gave it: from and until, by
 * the clock that nobody sets. Suspicion must not come before the limit, counted from `from`, nor
 * stay out at a tick behind it, counted from `until`.
 */
#include <stdio.h>

#include "engine/engine_int.h"
#include "sim/world_bus_int.h"

enum { STALE_MS = 700, SUSPECT_MS = 2000, GRACE_MS = 300, SLACK_MS = 1, FACTS = 4 };

/* Three of them are sources of all the other events; the last only beats. */
static const char *const IDS[BUS_AGENTS] = {"/s0", "/s1", "/s2", "/quiet"};

/* What they may say of themselves. */
static const struct facts {
    const char *json;
    const char *capabilities[2];
    uint32_t count;
    bool has_capacity;
    uint32_t capacity;
    const char *version;
    const char *data;
} SAID[FACTS] = {
    {.json = "{}", .version = "", .data = ""},
    {.json = "{\"capabilities\":[\"x\"]}",
     .capabilities = {"x"},
     .count = 1,
     .version = "",
     .data = ""},
    {.json = "{\"capabilities\":[\"x\",\"y\"],\"capacity\":1}",
     .capabilities = {"x", "y"},
     .count = 2,
     .has_capacity = true,
     .capacity = 1,
     .version = "",
     .data = ""},
    {.json = "{\"capabilities\":[\"y\"],\"version\":\"2\",\"k\":1}",
     .capabilities = {"y"},
     .count = 1,
     .version = "2",
     .data = "{\"k\":1}"},
};

uint64_t bus_world_live_ms(const struct bus_system *sys) {
    return sys->options.clock.monotonic_ns(sys->options.clock.context) / 1000000;
}

static int find(sp_str id) {
    for (int i = 0; i < BUS_AGENTS; i++) {
        if (sp_str_eq(id, sp_str_from(IDS[i]))) {
            return i;
        }
    }
    return -1;
}

bool bus_agents_own_stream(sp_str stream) {
    return find(stream) >= 0;
}

uint32_t bus_agents_streams(struct bus_system *sys) {
    uint32_t count = 0;
    for (int i = 0; i < BUS_AGENTS; i++) {
        uint32_t name = bus_log_name(&sys->log, sp_str_from(IDS[i]));
        count += bus_model_stream(&sys->model, name)->exists ? 1 : 0;
    }
    return count;
}

/* ---- signs of life --------------------------------------------------------------------------- */

/* The agent gave one within the call. */
static void signs(struct bus_system *sys, int i) {
    struct bus_life *life = &sys->lives[i];
    if (sys->model.agents[i].state == BUS_AGENT_ONLINE) {
        life->seen_from_ms = sys->call.live_from_ms;
        life->seen_until_ms = bus_world_live_ms(sys);
        life->lost = false;
    } else if (sys->model.agents[i].state == BUS_AGENT_SUSPECTED) {
        life->may_recover = true;
        life->must_recover = true;
    }
}

static void comes(struct bus_system *sys, int i) {
    sys->model.agents[i].state = BUS_AGENT_ONLINE;
    sys->lives[i].may_recover = false;
    sys->lives[i].must_recover = false;
    signs(sys, i);
}

/* An event of anybody's has come into the log. */
void bus_agents_heard(struct bus_system *sys, const struct sp_event *event) {
    int i = find(event->attr[SP_ATTR_SOURCE]);
    if (i < 0) {
        return;
    }
    struct bus_agent *agent = &sys->model.agents[i];
    if (sp_str_eq(event->attr[SP_ATTR_TYPE], SP_STR("agent.online"))) {
        agent->facts = sys->call.agent_facts;
        if (agent->state == BUS_AGENT_NEVER || agent->state == BUS_AGENT_OFFLINE) {
            sys->lives[i].load = 0;
            comes(sys, i);
        }
    } else if (sp_str_eq(event->attr[SP_ATTR_TYPE], SP_STR("agent.offline")) &&
               agent->state != BUS_AGENT_NEVER) {
        agent->state = BUS_AGENT_OFFLINE;
        sys->lives[i] = (struct bus_life){.load = 0};
    }
    signs(sys, i);
}

/* ---- what the store tells of them ------------------------------------------------------------ */

static void suspected(struct bus_system *sys, int i, bool connection) {
    struct bus_life *life = &sys->lives[i];
    uint64_t now_ms = bus_world_live_ms(sys) + SLACK_MS;
    if (sys->model.agents[i].state != BUS_AGENT_ONLINE) {
        sim_wrong(sys->world, "%s: %s is suspected, its state being %d", sys->call.what, IDS[i],
                  (int)sys->model.agents[i].state);
    } else if (connection && (!life->lost || now_ms < life->lost_from_ms + GRACE_MS)) {
        sim_wrong(sys->world, "%s: %s is said to have lost its connection", sys->call.what, IDS[i]);
    } else if (!connection && now_ms < life->seen_from_ms + SUSPECT_MS) {
        sim_wrong(sys->world, "%s: %s is suspected after %llu ms", sys->call.what, IDS[i],
                  (unsigned long long)(now_ms - life->seen_from_ms));
    }
    sys->model.agents[i].state = BUS_AGENT_SUSPECTED;
    life->lost = false;
    life->may_recover = false;
    life->must_recover = false;
}

static bool holds_text(sp_str text, const char *part) {
    size_t len = strlen(part);
    for (size_t at = 0; at + len <= text.len; at++) {
        if (memcmp(text.ptr + at, part, len) == 0) {
            return true;
        }
    }
    return false;
}

void bus_agents_told(struct bus_system *sys, const struct sp_event *event, bool recovered) {
    char member[32];
    for (int i = 0; i < BUS_AGENTS; i++) {
        (void)snprintf(member, sizeof(member), "\"agent\":\"%s\"", IDS[i]);
        if (!holds_text(event->data, member)) {
            continue;
        }
        if (!recovered) {
            suspected(sys, i, holds_text(event->data, "\"reason\":\"connection lost\""));
        } else if (sys->model.agents[i].state != BUS_AGENT_SUSPECTED ||
                   !sys->lives[i].may_recover) {
            sim_wrong(sys->world, "%s: %s has recovered, its state being %d", sys->call.what,
                      IDS[i], (int)sys->model.agents[i].state);
        } else {
            comes(sys, i);
        }
        return;
    }
    sim_wrong(sys->world, "%s: told of an agent that nobody knows", sys->call.what);
}

/* ---- what must be ---------------------------------------------------------------------------- */

static bool has_facts(const struct sp_agent *agent, const struct sp_agent_info *info,
                      const struct facts *said) {
    bool same = info->capability_count == said->count && info->has_capacity == said->has_capacity &&
                info->capacity == said->capacity &&
                sp_str_eq(info->version, sp_str_from(said->version)) &&
                sp_str_eq(info->data, sp_str_from(said->data));
    for (uint32_t i = 0; i < info->capability_count && same; i++) {
        same = sp_str_eq(sp_agent_capability(agent, i), sp_str_from(said->capabilities[i]));
    }
    return same;
}

void bus_agents_compare(struct bus_system *sys) {
    const struct sp_presence *presence = &sys->engine->core.presence;
    uint32_t count = 0;
    for (int i = 0; i < BUS_AGENTS && !sys->world->wrong; i++) {
        const struct bus_agent *model = &sys->model.agents[i];
        const struct sp_agent *agent = sp_bus_agent(sys->bus, sp_str_from(IDS[i]));
        count += agent != NULL ? 1 : 0;
        if ((agent != NULL) != (model->state != BUS_AGENT_NEVER)) {
            sim_wrong(sys->world, "%s: %s is known or not, its state being %d", sys->call.what,
                      IDS[i], (int)model->state);
            return;
        }
        if (agent == NULL) {
            continue;
        }
        struct sp_agent_info info = sp_agent_info(presence, agent);
        enum sp_agent_status status = info.status == SP_AGENT_STALE ? SP_AGENT_ONLINE : info.status;
        enum sp_agent_status wanted = model->state == BUS_AGENT_ONLINE      ? SP_AGENT_ONLINE
                                      : model->state == BUS_AGENT_SUSPECTED ? SP_AGENT_SUSPECTED
                                                                            : SP_AGENT_OFFLINE;
        if (status != wanted || !has_facts(agent, &info, &SAID[model->facts])) {
            sim_wrong(sys->world, "%s: %s has status %d instead of %d, or other facts",
                      sys->call.what, IDS[i], (int)status, (int)wanted);
        }
    }
    if (!sys->world->wrong && count != presence->count) {
        sim_wrong(sys->world, "%s: %u agents instead of %u", sys->call.what, presence->count,
                  count);
    }
}

/* Behind a tick: who is due was suspected, who is back has recovered, and the next tick comes. */
void bus_agents_ticked(struct bus_system *sys, int wait_ms) {
    uint64_t from_ms = sys->call.live_from_ms;
    for (int i = 0; i < BUS_AGENTS && !sys->world->wrong; i++) {
        const struct bus_life *life = &sys->lives[i];
        if (sys->model.agents[i].state == BUS_AGENT_SUSPECTED && life->must_recover) {
            sim_wrong(sys->world, "%s gave a sign of life and has not recovered", IDS[i]);
        }
        if (sys->model.agents[i].state != BUS_AGENT_ONLINE) {
            continue;
        }
        uint64_t at_ms = life->seen_until_ms + SUSPECT_MS;
        if (life->lost && life->lost_until_ms + GRACE_MS < at_ms) {
            at_ms = life->lost_until_ms + GRACE_MS;
        }
        if (at_ms < from_ms) {
            sim_wrong(sys->world, "%s should be suspected since %llu ms", IDS[i],
                      (unsigned long long)(from_ms - at_ms));
        } else if (wait_ms < 0 || (uint64_t)wait_ms > at_ms - from_ms + SLACK_MS) {
            sim_wrong(sys->world, "a tick says %d ms, %s has its time in %llu ms", wait_ms, IDS[i],
                      (unsigned long long)(at_ms - from_ms));
        }
    }
}

struct offered {
    bool agents[BUS_AGENTS];
};

static bool offer(void *context, const struct sp_agent *agent) {
    struct offered *offered = context;
    int i = find(sp_agent_id(agent));
    if (i >= 0) {
        offered->agents[i] = true;
    }
    return true;
}

/* Who is offered for work that needs `x`: all that have it and are free, and no others. */
static void check_offers(struct bus_system *sys) {
    const sp_str wanted[] = {SP_STR("x")};
    const struct sp_agent_query query = {
        .capabilities = wanted, .capability_count = 1, .free = true};
    struct offered offered = {.agents = {false}};
    struct sp_error error;
    bool more = false;
    uint64_t now_ms = bus_world_live_ms(sys);
    sp_status status =
        sp_bus_agents_list(sys->bus, &query, SP_STR(""), 0, offer, &offered, &more, &error);
    if (status != SP_OK) {
        sim_wrong(sys->world, "list of agents: %s", error.text);
    }
    for (int i = 0; i < BUS_AGENTS && !sys->world->wrong; i++) {
        const struct bus_life *life = &sys->lives[i];
        const struct facts *said = &SAID[sys->model.agents[i].facts];
        bool able = sys->model.agents[i].state == BUS_AGENT_ONLINE && said->count > 0 &&
                    said->capabilities[0][0] == 'x' &&
                    (!said->has_capacity || life->load < said->capacity);
        bool fresh = now_ms + SLACK_MS < life->seen_from_ms + STALE_MS;
        bool silent = now_ms > life->seen_until_ms + STALE_MS;
        if (offered.agents[i] ? !able || silent : able && fresh) {
            sim_wrong(sys->world, "%s is offered or not, state %d, load %u, silent for %llu ms",
                      IDS[i], (int)sys->model.agents[i].state, life->load,
                      (unsigned long long)(now_ms - life->seen_from_ms));
        }
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static sp_status announce(struct bus_system *sys, int i, struct sp_agent_holder *holder,
                          struct sp_error *error) {
    const struct facts *said = &SAID[sys->call.agent_facts];
    const sp_str capabilities[2] = {
        sp_str_from(said->count > 0 ? said->capabilities[0] : ""),
        sp_str_from(said->count > 1 ? said->capabilities[1] : ""),
    };
    const struct sp_agent_facts facts = {
        .capabilities = capabilities,
        .capability_count = said->count,
        .has_capacity = said->has_capacity,
        .capacity = said->capacity,
        .version = sp_str_from(said->version),
        .data = sp_str_from(said->data),
    };
    return sp_bus_agent_online(sys->bus, sp_str_from(IDS[i]), &facts, holder, error);
}

/* What a call that is a sign of life leads to; it has returned. */
static void alive(struct bus_system *sys, int i, int holder) {
    signs(sys, i);
    if (holder >= 0) {
        sys->lives[i].held[holder] = true;
    }
    if (sys->model.agents[i].state == BUS_AGENT_NEVER ||
        sys->model.agents[i].state == BUS_AGENT_OFFLINE) {
        sim_wrong(sys->world, "%s: %s is not there, its state being %d", sys->call.what, IDS[i],
                  (int)sys->model.agents[i].state);
    }
    sys->call.told[BUS_TOLD_RECOVERED] = 0;
}

static void step_online(struct bus_system *sys, int i) {
    struct sp_error error = {.status = SP_OK};
    int holder = sim_chance(sys->world, 60) ? (int)sim_pick(sys->world, BUS_HOLDERS) : -1;
    bus_call_begin(sys, "agent online");
    sys->call.in_parts = true; /* announced, and recovered later */
    sys->call.agent_facts = (uint8_t)sim_pick(sys->world, FACTS);
    sys->lives[i].may_recover = true;
    sp_status status = announce(sys, i, holder >= 0 ? &sys->holders[holder] : NULL, &error);
    if (bus_call_returned(sys, status, SP_OK, &error)) {
        if (status == SP_OK) {
            alive(sys, i, holder);
        }
        bus_call_end(sys);
    }
}

/* The same as an event of its own, by whatever way events come. */
static void step_event(struct bus_system *sys, int i) {
    struct sp_error error = {.status = SP_OK};
    struct sp_bus_added added;
    struct sp_event event = {.position = 0};
    bus_call_begin(sys, "agent event");
    sys->call.agent_facts = (uint8_t)sim_pick(sys->world, FACTS);
    event.attr[SP_ATTR_TYPE] = SP_STR("agent.online");
    event.attr[SP_ATTR_SOURCE] = sp_str_from(IDS[i]);
    event.data = sp_str_from(SAID[sys->call.agent_facts].json);
    event.has_data = true;
    sp_status status =
        sp_bus_append(sys->bus, &event, (uint64_t)SP_CORE_ANY_VERSION, &added, &error);
    if (bus_call_returned(sys, status, SP_OK, &error)) {
        bus_call_end(sys);
    }
}

static void step_heartbeat(struct bus_system *sys, int i) {
    struct sp_error error = {.status = SP_OK};
    enum sp_agent_status answer = SP_AGENT_ONLINE;
    struct bus_life *life = &sys->lives[i];
    bool there = sys->model.agents[i].state == BUS_AGENT_ONLINE ||
                 sys->model.agents[i].state == BUS_AGENT_SUSPECTED;
    bool held = life->held[0] || life->held[1];
    int holder = sim_chance(sys->world, 40) ? (int)sim_pick(sys->world, BUS_HOLDERS) : -1;
    uint32_t load = sim_pick(sys->world, 3);
    bool loads = sim_chance(sys->world, 50);
    bus_call_begin(sys, "heartbeat");
    life->may_recover = true;
    sp_status status =
        sp_bus_agent_heartbeat(sys->bus, sp_str_from(IDS[i]), loads ? &load : NULL,
                               holder >= 0 ? &sys->holders[holder] : NULL, &answer, &error);
    if (!bus_call_returned(sys, status, there ? SP_OK : SP_NOT_FOUND, &error)) {
        return;
    }
    if (status == SP_OK) {
        alive(sys, i, held ? holder : -1);
        life->load = loads ? load : life->load;
        bool online = sys->model.agents[i].state == BUS_AGENT_ONLINE;
        if (answer != (online ? SP_AGENT_ONLINE : SP_AGENT_SUSPECTED)) {
            sim_wrong(sys->world, "a heartbeat of %s is answered %d", IDS[i], (int)answer);
        }
    }
    bus_call_end(sys);
}

static void step_offline(struct bus_system *sys, int i) {
    struct sp_error error = {.status = SP_OK};
    bool known = sys->model.agents[i].state != BUS_AGENT_NEVER;
    bus_call_begin(sys, "agent offline");
    sp_status status =
        sp_bus_agent_offline(sys->bus, sp_str_from(IDS[i]), SP_STR("enough"), &error);
    if (bus_call_returned(sys, status, known ? SP_OK : SP_NOT_FOUND, &error)) {
        if (status == SP_OK && sys->model.agents[i].state != BUS_AGENT_OFFLINE) {
            sim_wrong(sys->world, "%s left and is there", IDS[i]);
        }
        bus_call_end(sys);
    }
}

/* A connection is gone. */
static void step_left(struct bus_system *sys) {
    uint32_t holder = sim_pick(sys->world, BUS_HOLDERS);
    uint64_t from_ms = bus_world_live_ms(sys);
    sp_bus_agents_left(sys->bus, &sys->holders[holder], false);
    sim_note(sys->world, "connection %u is gone", holder);
    for (int i = 0; i < BUS_AGENTS; i++) {
        struct bus_life *life = &sys->lives[i];
        bool held = life->held[holder];
        life->held[holder] = false;
        if (held && !life->held[1 - holder] && sys->model.agents[i].state == BUS_AGENT_ONLINE) {
            life->lost = true;
            life->lost_from_ms = from_ms;
            life->lost_until_ms = bus_world_live_ms(sys);
        }
    }
}

void bus_step_agent(struct bus_system *sys) {
    int i = (int)sim_pick(sys->world, BUS_AGENTS);
    uint32_t what = sim_pick(sys->world, 100);
    if (what < 25) {
        step_online(sys, i);
    } else if (what < 35) {
        step_event(sys, i);
    } else if (what < 65) {
        step_heartbeat(sys, i);
    } else if (what < 72) {
        step_offline(sys, i);
    } else if (what < 82) {
        step_left(sys);
    } else {
        check_offers(sys);
    }
}

/* ---- opening --------------------------------------------------------------------------------- */

void bus_agents_open(struct bus_system *sys, uint64_t from_ms) {
    const struct sp_presence_limits limits = {
        .stale_ms = STALE_MS, .suspect_ms = SUSPECT_MS, .grace_ms = GRACE_MS};
    sp_bus_agent_limits(sys->bus, &limits);
    for (int i = 0; i < BUS_HOLDERS; i++) {
        if (sys->holders[i].first != NULL) {
            sim_wrong(sys->world, "a connection holds agents of a store that was closed");
        }
    }
    for (int i = 0; i < BUS_AGENTS; i++) {
        sys->lives[i] =
            (struct bus_life){.seen_from_ms = from_ms, .seen_until_ms = bus_world_live_ms(sys)};
    }
}
