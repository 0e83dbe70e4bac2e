#include "engine/bus_agents.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/time.h"
#include "base/utf8.h"
#include "core/presence_read.h"
#include "engine/bus_int.h"

enum {
    TURN_MAX = 256, /* suspicions and recoveries of one turn */
    WAIT_MS_MAX = 60000,
    NS_PER_MS = 1000000,
};

static const char *const STATUS_NAMES[] = {
    [SP_AGENT_ONLINE] = "online",
    [SP_AGENT_SUSPECTED] = "suspected",
    [SP_AGENT_OFFLINE] = "offline",
    [SP_AGENT_STALE] = "stale",
};

const char *sp_agent_status_name(enum sp_agent_status status) {
    return STATUS_NAMES[status];
}

bool sp_agent_status_find(sp_str name, enum sp_agent_status *ret_status) {
    for (unsigned i = 0; i < sizeof(STATUS_NAMES) / sizeof(STATUS_NAMES[0]); i++) {
        if (sp_str_eq(name, sp_str_from(STATUS_NAMES[i]))) {
            *ret_status = (enum sp_agent_status)i;
            return true;
        }
    }
    return false;
}

/* Tells the presence both clocks, before everything that depends on them. */
static struct sp_presence *at_now(const struct sp_bus *bus) {
    const struct sp_clock *clock = &bus->engine->options.clock;
    struct sp_presence *presence = &bus->core->presence;
    sp_presence_tell(presence, clock->monotonic_ns(clock->context) / NS_PER_MS, bus_now_ms(bus));
    return presence;
}

static struct sp_agent *find(const struct sp_bus *bus, sp_str id) {
    return sp_presence_find(&bus->core->presence, sp_agent_hash(id), id);
}

void bus_agents_init(struct sp_bus *bus) {
    sp_presence_open(at_now(bus));
}

void sp_bus_agent_limits(struct sp_bus *bus, const struct sp_presence_limits *limits) {
    const struct sp_presence_limits *old = &bus->core->presence.limits;
    if (limits->stale_ms != old->stale_ms || limits->suspect_ms != old->suspect_ms ||
        limits->grace_ms != old->grace_ms) {
        sp_presence_set_limits(at_now(bus), limits);
    }
}

/* ---- suspicion and recovery ------------------------------------------------------------------ */

/* The op is in bus->ops and the data in bus->json: both into one block. */
static sp_status tell(struct sp_bus *bus, const char *type, struct sp_error *error) {
    struct bus_note note = {.type = type, .prefix = "$agents", .key = SP_STR("")};
    bool held = false;
    sp_status status = bus_json_end(bus, &note.data, error);
    if (status == SP_OK) {
        size_t bytes = bus_note_bytes(&note, note.data.len) + bus->ops.len + BUS_OP_BYTES;
        status = bus_hold(bus, bytes, 1, &held, error);
    }
    if (status != SP_OK) {
        return status;
    }
    status = bus_tell(bus, &note, NULL, error);
    status = status == SP_OK ? bus_take_ops(bus, SP_OPS_GATHERED, error) : status;
    bus_release(bus, held);
    return status;
}

static sp_status suspect(struct sp_bus *bus, const struct sp_agent *agent,
                         enum sp_agent_reason reason, uint64_t now_ms, struct sp_error *error) {
    static const char *const reasons[] = {
        [SP_AGENT_SILENT] = "silent", [SP_AGENT_CONNECTION_LOST] = "connection lost"};
    const struct sp_agent_info info = sp_agent_info(&bus->core->presence, agent);
    bus_json_begin(bus);
    bus_json_text(bus, "agent", info.id);
    bus_json_time(bus, "last_seen", info.seen_ms);
    bus_json_number(bus, "silent_ms", info.silent_ms);
    bus_json_text(bus, "reason", sp_str_from(reasons[reason]));
    sp_buf_reset(&bus->ops);
    sp_presence_suspect(agent, reason, now_ms, &bus->ops);
    return tell(bus, "agent.suspected_failure", error);
}

static sp_status recover(struct sp_bus *bus, const struct sp_agent *agent, uint64_t now_ms,
                         struct sp_error *error) {
    const struct sp_agent_info info = sp_agent_info(&bus->core->presence, agent);
    bus_json_begin(bus);
    bus_json_text(bus, "agent", info.id);
    bus_json_time(bus, "suspected_at", info.since_ms);
    bus_json_time(bus, "last_seen", info.seen_ms);
    bus_json_number(bus, "silent_ms", now_ms > info.seen_ms ? now_ms - info.seen_ms : 0);
    sp_buf_reset(&bus->ops);
    sp_presence_recover(agent, now_ms, &bus->ops);
    return tell(bus, "agent.recovered", error);
}

/* Recovers who gave a sign, now or, where the store is busy or full, with a later turn. */
static sp_status recover_now(struct sp_bus *bus, const struct sp_agent *agent,
                             struct sp_error *error) {
    const struct sp_agent_info info = sp_agent_info(&bus->core->presence, agent);
    if (info.status != SP_AGENT_SUSPECTED) {
        return SP_OK;
    }
    sp_status status = recover(bus, agent, bus_now_ms(bus), error);
    return status == SP_FAILED ? status : SP_OK;
}

int bus_agents_upkeep(struct sp_bus *bus) {
    struct sp_presence *presence = at_now(bus);
    if (presence->count == 0) {
        return -1;
    }
    uint64_t now_ms = bus_now_ms(bus);
    enum sp_agent_reason reason = SP_AGENT_SILENT;
    struct sp_error error;
    sp_error_clear(&error);
    for (unsigned i = 0; i < TURN_MAX; i++) {
        const struct sp_agent *agent = sp_presence_revived(presence);
        sp_status status = SP_OK;
        if (agent != NULL) {
            status = recover(bus, agent, now_ms, &error);
        } else {
            agent = sp_presence_due(presence, &reason);
            if (agent == NULL) {
                break;
            }
            status = suspect(bus, agent, reason, now_ms, &error);
        }
        if (status != SP_OK) {
            return 1; /* no room now: the next turn goes on */
        }
    }
    uint64_t next_ms = sp_presence_next(presence);
    if (next_ms == 0) {
        return -1;
    }
    uint64_t wait_ms = next_ms > presence->live_ms ? next_ms - presence->live_ms : 0;
    return wait_ms > WAIT_MS_MAX ? WAIT_MS_MAX : (int)wait_ms;
}

/* ---- announcing ------------------------------------------------------------------------------ */

/* The members of the object `data` into bus->json, behind what is there. */
static sp_status add_data(struct sp_bus *bus, sp_str data, struct sp_error *error) {
    struct sp_json json;
    sp_json_init(&json, data);
    if (sp_json_next(&json).type != SP_JSON_OBJECT) {
        return sp_error_set(error, SP_INVALID, "an agent's data are a JSON object");
    }
    for (;;) {
        struct sp_json_token key = sp_json_next(&json);
        if (key.type != SP_JSON_KEY) {
            bool ends = key.type == SP_JSON_OBJECT_END && sp_json_next(&json).type == SP_JSON_END;
            return ends ? SP_OK : sp_error_prefix(error, sp_json_fail(&json, error), "data");
        }
        if (sp_json_equal(key, SP_STR("capabilities")) || sp_json_equal(key, SP_STR("capacity")) ||
            sp_json_equal(key, SP_STR("version"))) {
            return sp_error_set(error, SP_INVALID,
                                "an agent's data name '%.*s', which has a place of its own",
                                SP_STR_ARG(key.raw));
        }
        sp_str value = sp_json_skip(&json, sp_json_next(&json));
        sp_buf_add_byte(&bus->json, bus->json.len > 1 ? ',' : ' ');
        sp_buf_add_byte(&bus->json, '"');
        sp_buf_add_str(&bus->json, key.raw);
        sp_buf_add_str(&bus->json, SP_STR("\":"));
        sp_buf_add_str(&bus->json, value);
    }
}

/* A copy of what was written: an append may write events of the store's own before. */
static sp_status keep_json(struct sp_bus *bus, sp_str *ret, struct sp_error *error) {
    sp_str data;
    sp_status status = bus_json_end(bus, &data, error);
    if (status != SP_OK) {
        return status;
    }
    sp_buf_reset(&bus->agent);
    sp_buf_add_str(&bus->agent, data);
    *ret = sp_buf_str(&bus->agent);
    status = bus->agent.status;
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "%s", sp_status_text(status));
}

/* What the event says: read back by sp_agent_read it gives the facts. */
static sp_status write_facts(struct sp_bus *bus, const struct sp_agent_facts *facts, sp_str *ret,
                             struct sp_error *error) {
    bus_json_begin(bus);
    sp_buf_add_str(&bus->json, SP_STR("\"capabilities\":["));
    for (uint32_t i = 0; i < facts->capability_count; i++) {
        if (!sp_utf8_valid(facts->capabilities[i])) {
            return sp_error_set(error, SP_INVALID, "capability %u is not UTF-8", i + 1);
        }
        if (i > 0) {
            sp_buf_add_byte(&bus->json, ',');
        }
        sp_json_add_string(&bus->json, facts->capabilities[i]);
    }
    sp_buf_add_byte(&bus->json, ']');
    if (facts->has_capacity) {
        bus_json_number(bus, "capacity", facts->capacity);
    }
    if (facts->version.len > 0) {
        if (!sp_utf8_valid(facts->version)) {
            return sp_error_set(error, SP_INVALID, "the version is not UTF-8");
        }
        bus_json_text(bus, "version", facts->version);
    }
    sp_status status = facts->data.len > 0 ? add_data(bus, facts->data, error) : SP_OK;
    return status == SP_OK ? keep_json(bus, ret, error) : status;
}

/* An event of the agent's own, in the stream of its name. */
static sp_status append(struct sp_bus *bus, sp_str id, const char *type, sp_str data,
                        struct sp_error *error) {
    struct sp_event event = {.position = 0};
    struct sp_bus_added added;
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.attr[SP_ATTR_SOURCE] = id;
    event.attr[SP_ATTR_STREAM] = id;
    event.data = data;
    event.has_data = true;
    return sp_bus_append(bus, &event, (uint64_t)SP_CORE_ANY_VERSION, &added, error);
}

/* Whether announcing the facts would change anything: *ret_changes. */
static sp_status would_change(struct sp_bus *bus, sp_str id, sp_str data, bool *ret_changes,
                              struct sp_error *error) {
    struct sp_agent_read read;
    sp_buf_reset(&bus->ops);
    sp_status status = sp_agent_read(data, &bus->text, &read);
    if (status == SP_OK) {
        status = sp_presence_announce(&bus->core->presence, id, SP_AGENT_NAMES_ALL, &read.facts,
                                      bus_now_ms(bus), &bus->ops, error);
    }
    *ret_changes = bus->ops.len > 0;
    sp_buf_reset(&bus->ops);
    return status;
}

/* What a caller gives is not passed over in silence where it is too much. */
static sp_status check_facts(sp_str id, const struct sp_agent_facts *facts,
                             struct sp_error *error) {
    if (!sp_utf8_valid(id)) {
        return sp_error_set(error, SP_INVALID, "the agent's id is not UTF-8");
    }
    const char *fault = sp_agent_facts_fault(id, facts);
    return fault == NULL ? SP_OK : sp_error_set(error, SP_INVALID, "%s", fault);
}

sp_status sp_bus_agent_online(struct sp_bus *bus, sp_str id, const struct sp_agent_facts *facts,
                              struct sp_agent_holder *holder, struct sp_error *error) {
    sp_str data = SP_STR("");
    bool changes = false;
    sp_status status = check_facts(id, facts, error);
    status = status == SP_OK ? write_facts(bus, facts, &data, error) : status;
    status = status == SP_OK ? would_change(bus, id, data, &changes, error) : status;
    if (status == SP_OK && changes) {
        status = append(bus, id, "agent.online", data, error);
    }
    if (status != SP_OK) {
        return status;
    }
    struct sp_agent *agent = find(bus, id);
    if (agent == NULL) { /* the store has failed: the op is not folded in */
        return sp_error_set(error, SP_FAILED, "the store has failed");
    }
    if (holder != NULL) {
        status = sp_presence_hold(agent, holder);
        if (status != SP_OK) {
            return sp_error_set(error, status, "agent");
        }
    }
    sp_presence_sign(at_now(bus), agent);
    return recover_now(bus, agent, error);
}

/* ---- staying and leaving --------------------------------------------------------------------- */

static sp_status say_unknown(sp_str id, bool offline, struct sp_error *error) {
    size_t len = id.len < SP_AGENT_ID_BYTES_MAX ? id.len : SP_AGENT_ID_BYTES_MAX;
    return sp_error_set(error, SP_NOT_FOUND,
                        offline ? "agent '%.*s' is offline: it is to announce itself"
                                : "there is no agent '%.*s': it is to announce itself",
                        (int)len, len > 0 ? id.ptr : "");
}

sp_status sp_bus_agent_heartbeat(struct sp_bus *bus, sp_str id, const uint32_t *load,
                                 struct sp_agent_holder *holder, enum sp_agent_status *ret_status,
                                 struct sp_error *error) {
    struct sp_presence *presence = at_now(bus);
    struct sp_agent *agent = find(bus, id);
    if (agent == NULL || !sp_agent_is_there(agent)) {
        return say_unknown(id, agent != NULL, error);
    }
    sp_presence_sign(presence, agent);
    if (load != NULL) {
        sp_presence_load(presence, agent, *load);
    }
    sp_status status = SP_OK;
    if (holder != NULL && sp_agent_is_held(agent)) {
        status = sp_presence_hold(agent, holder);
    }
    status =
        status == SP_OK ? recover_now(bus, agent, error) : sp_error_set(error, status, "agent");
    if (status == SP_OK) {
        *ret_status = sp_agent_info(presence, agent).status;
    }
    return status;
}

sp_status sp_bus_agent_offline(struct sp_bus *bus, sp_str id, sp_str reason,
                               struct sp_error *error) {
    const struct sp_agent *agent = find(bus, id);
    sp_str data;
    if (agent == NULL) {
        return say_unknown(id, false, error);
    }
    if (!sp_agent_is_there(agent)) {
        return SP_OK;
    }
    bus_json_begin(bus);
    if (reason.len > 0) {
        bus_json_text(bus, "reason", reason);
    }
    sp_status status = keep_json(bus, &data, error);
    return status == SP_OK ? append(bus, id, "agent.offline", data, error) : status;
}

void sp_bus_agents_left(struct sp_bus *bus, struct sp_agent_holder *holder, bool ending) {
    if (holder->first != NULL) {
        sp_presence_let_go(at_now(bus), holder, !ending);
    }
}

/* ---- looking --------------------------------------------------------------------------------- */

const struct sp_agent *sp_bus_agent(const struct sp_bus *bus, sp_str id) {
    return find(bus, id);
}

uint32_t sp_bus_agent_count(const struct sp_bus *bus, enum sp_agent_status status) {
    return sp_presence_count(&bus->core->presence, status);
}

static void add_text(struct sp_buf *to, const char *text) {
    sp_buf_add_str(to, sp_str_from(text));
}

static void add_time(struct sp_buf *to, const char *name, uint64_t ms) {
    char text[SP_TIME_TEXT_SIZE];
    add_text(to, name);
    sp_time_format(ms > SP_TIME_US_MAX / 1000 ? SP_TIME_US_MAX : ms * 1000, text);
    sp_json_add_string(to, sp_str_from(text));
}

/* A number, or null. */
static void add_number(struct sp_buf *to, const char *name, bool has, uint64_t number) {
    add_text(to, name);
    if (has) {
        sp_buf_add_u64(to, number);
    } else {
        add_text(to, "null");
    }
}

static void add_capabilities(const struct sp_agent *agent, uint32_t count, struct sp_buf *to) {
    add_text(to, ",\"capabilities\":[");
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            sp_buf_add_byte(to, ',');
        }
        sp_json_add_string(to, sp_agent_capability(agent, i));
    }
    sp_buf_add_byte(to, ']');
}

void sp_bus_agent_json(const struct sp_bus *bus, const struct sp_agent *agent, struct sp_buf *to) {
    const struct sp_agent_info info = sp_agent_info(at_now(bus), agent);
    add_text(to, "{\"id\":");
    sp_json_add_string(to, info.id);
    add_text(to, ",\"status\":\"");
    add_text(to, sp_agent_status_name(info.status));
    sp_buf_add_byte(to, '"');
    add_capabilities(agent, info.capability_count, to);
    add_number(to, ",\"capacity\":", info.has_capacity, info.capacity);
    add_number(to, ",\"load\":", true, info.load);
    add_number(to, ",\"free\":", info.has_capacity, info.free ? info.capacity - info.load : 0);
    add_text(to, ",\"version\":");
    if (info.version.len > 0) {
        sp_json_add_string(to, info.version);
    } else {
        add_text(to, "null");
    }
    add_time(to, ",\"announced\":", info.announced_ms);
    add_time(to, ",\"last_seen\":", info.seen_ms);
    if (info.event_ms > 0) {
        add_time(to, ",\"last_event\":", info.event_ms);
    } else {
        add_text(to, ",\"last_event\":null");
    }
    add_text(to, ",\"data\":");
    sp_buf_add_str(to, info.data.len > 0 ? info.data : SP_STR("{}"));
    sp_buf_add_byte(to, '}');
}

/* ---- lists ----------------------------------------------------------------------------------- */

struct listing {
    struct sp_buf found; /* pointers */
    sp_str after;
};

static bool gather(void *context, struct sp_agent *agent) {
    struct listing *listing = context;
    if (listing->after.len == 0 || sp_str_cmp(sp_agent_id(agent), listing->after) > 0) {
        sp_buf_add(&listing->found, &agent, sizeof(struct sp_agent *));
    }
    return listing->found.status == SP_OK;
}

static int compare(const void *a, const void *b) {
    const struct sp_agent *left;
    const struct sp_agent *right;
    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return sp_str_cmp(sp_agent_id(left), sp_agent_id(right));
}

sp_status sp_bus_agents_list(const struct sp_bus *bus, const struct sp_agent_query *query,
                             sp_str after, uint32_t limit, sp_bus_agent_fn *each, void *context,
                             bool *ret_more, struct sp_error *error) {
    struct listing listing = {.after = after};
    sp_buf_init(&listing.found, (size_t)SP_AGENTS_MAX * sizeof(struct sp_agent *) * 2);
    sp_presence_each(at_now(bus), query, gather, &listing);
    sp_status status = listing.found.status;
    size_t count = listing.found.len / sizeof(struct sp_agent *);
    if (status == SP_OK && count > 0) {
        qsort(listing.found.data, count, sizeof(struct sp_agent *), compare);
    }
    *ret_more = limit != 0 && count > limit;
    count = *ret_more ? limit : count;
    for (size_t i = 0; status == SP_OK && i < count; i++) {
        const struct sp_agent *agent;
        memcpy(&agent, listing.found.data + i * sizeof(agent), sizeof(agent));
        if (!each(context, agent)) {
            break;
        }
    }
    sp_buf_fini(&listing.found);
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "%s", sp_status_text(status));
}
