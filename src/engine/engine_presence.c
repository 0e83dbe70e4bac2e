/*
 * Events as signs of life: those of agents that are known, and those by which a source announces
 * itself or leaves. What follows from one is an op, in the same block with it (core/presence.h).
 *
 * An event says something of now only if it happened now: one that was recorded before (an export
 * that is imported says so), or whose producer gave it a time long ago, is no sign of life.
 */
#include "base/time.h"
#include "core/presence_read.h"
#include "engine/engine_int.h"

enum { NS_PER_MS = 1000000 };

static const uint64_t HISTORY_US = 600u * 1000000u; /* older ones tell of the past */

static bool is_history(const struct sp_engine *engine, const struct sp_event *event) {
    uint64_t time_us;
    if (event->is_history) {
        return true;
    }
    return sp_event_has(event, SP_ATTR_TIME) &&
           (sp_time_parse(event->attr[SP_ATTR_TIME], true, &time_us, NULL) != SP_OK ||
            (time_us < engine->now_us && engine->now_us - time_us > HISTORY_US));
}

size_t engine_presence_room(const struct sp_event *event) {
    if (sp_agent_event_of(event->attr[SP_ATTR_TYPE]) == SP_AGENT_EVENT_NONE || event->is_history) {
        return 0;
    }
    return sp_record_control_size(SP_AGENT_OP_BYTES + event->data.len);
}

/* Folds what was decided; its room was reserved with the event's. */
static void take(struct sp_engine *engine, sp_str ops) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = ops.len > 0 ? engine_ops_gather(engine, ops, &error) : SP_OK;
    if (status != SP_OK && engine->state == SP_OK) {
        /* The event is in the block already, and nothing may be there without what follows. */
        engine_fail(engine, status, &error);
    }
}

/*
 * The op of an announcement. One that cannot be taken (the table is full, the id too long) leaves
 * the event what it is.
 */
static void announce(struct sp_engine *engine, const struct sp_event *event,
                     enum sp_agent_event kind) {
    struct sp_agent_read read;
    struct sp_presence *presence = &engine->core.presence;
    const sp_str data = event->has_data ? event->data : SP_STR("");
    sp_status status = sp_agent_read(data, &engine->agent_text, &read);
    unsigned named = kind == SP_AGENT_EVENT_ONLINE ? (unsigned)SP_AGENT_NAMES_ALL
                                                   : read.named & ~(unsigned)SP_AGENT_NAMES_DATA;
    sp_buf_reset(&engine->agent_ops);
    if (status == SP_OK) {
        status = sp_presence_announce(presence, event->attr[SP_ATTR_SOURCE], named, &read.facts,
                                      engine->now_us / 1000, &engine->agent_ops, NULL);
    }
    if (status == SP_OK && engine->agent_ops.status == SP_OK) {
        take(engine, sp_buf_str(&engine->agent_ops));
    }
}

void engine_presence_event(struct sp_engine *engine, const struct sp_event *event,
                           uint64_t source_hash) {
    struct sp_presence *presence = &engine->core.presence;
    enum sp_agent_event kind = sp_agent_event_of(event->attr[SP_ATTR_TYPE]);
    sp_str source = event->attr[SP_ATTR_SOURCE];
    struct sp_agent *agent = sp_presence_find(presence, source_hash, source);
    if ((agent == NULL && kind == SP_AGENT_EVENT_NONE) || is_history(engine, event)) {
        return;
    }
    const struct sp_clock *clock = &engine->options.clock;
    sp_presence_tell(presence, clock->monotonic_ns(clock->context) / NS_PER_MS,
                     engine->now_us / 1000);
    if (kind == SP_AGENT_EVENT_ONLINE || kind == SP_AGENT_EVENT_STARTED) {
        announce(engine, event, kind);
        agent = sp_presence_find(presence, source_hash, source);
    } else if (kind == SP_AGENT_EVENT_ENDED && agent != NULL && sp_agent_is_there(agent)) {
        sp_buf_reset(&engine->agent_ops);
        sp_presence_end(agent, engine->now_us / 1000, &engine->agent_ops);
        take(engine, sp_buf_str(&engine->agent_ops));
    }
    if (agent != NULL) {
        sp_presence_sign_event(presence, agent);
    }
}
