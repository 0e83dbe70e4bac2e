/* What is held against the engine: its events by the oracle, its state by a fold of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/time.h"
#include "engine/query.h"
#include "flow/flow.h"
#include "sim/world_saga_int.h"

/* ---- reading ------------------------------------------------------------------------------- */

/* Shows every durable event from `from` on. False: that could not be done. */
static bool each_event(struct saga_system *sys, uint64_t from,
                       void (*show)(struct saga_system *sys, const struct sp_event *event,
                                    void *context),
                       void *context) {
    char text[24];
    struct sp_error error;
    const struct sp_event *event;
    struct sp_cursor *cursor = NULL;
    int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)from);
    struct sp_query query = {.from = sp_str_of(text, (size_t)len)};
    sp_status status = sp_cursor_open(sys->engine, &query, &cursor, &error);
    if (status != SP_OK) {
        return false;
    }
    while (!sys->world->wrong && (status = sp_cursor_next(cursor, &event, &error)) == SP_OK) {
        show(sys, event, context);
    }
    sp_cursor_close(cursor);
    if (status != SP_END && !sys->world->wrong && !sim_excused(sys->world)) {
        sim_wrong(sys->world, "reading from event %llu on: %s", (unsigned long long)from,
                  error.text);
    }
    return status == SP_END;
}

/* ---- state --------------------------------------------------------------------------------- */

static void fold(struct saga_system *sys, const struct sp_event *event, void *context) {
    struct sp_error error;
    struct sp_flow *flow = context;
    if (sp_flow_wants(flow, event) && sp_flow_apply(flow, event, &error) != SP_OK) {
        sim_wrong(sys->world, "event %llu cannot be folded: %s",
                  (unsigned long long)event->position, error.text);
    }
}

void saga_check_state(struct saga_system *sys) {
    struct sp_flow *flow = NULL;
    struct sp_error error;
    if (sys->world->wrong || !sys->keeps_all || sp_flow_new(&flow, &error) != SP_OK) {
        return;
    }
    if (each_event(sys, 1, fold, flow) &&
        sp_flow_hash(flow) != sp_flow_hash(sp_engine_flow(sys->engine))) {
        sim_wrong(sys->world, "the flows recovered are not what the log's %llu events give",
                  (unsigned long long)sp_engine_durable_position(sys->engine));
    }
    sp_flow_free(flow);
}

/* ---- the oracle ---------------------------------------------------------------------------- */

static const struct saga_plan *plan_of(struct saga_system *sys, const struct sp_event *started) {
    for (uint16_t i = 0; i < started->extension_count; i++) {
        for (int k = 0; k < SAGA_PLANS; k++) {
            if (sp_str_eq(started->extensions[i].name, SP_STR("saga")) &&
                sp_str_eq(started->extensions[i].value, sp_str_from(sys->plans[k].name))) {
                return &sys->plans[k];
            }
        }
    }
    return NULL;
}

static void begin(struct saga_system *sys, const struct sp_event *started) {
    const struct saga_plan *plan = plan_of(sys, started);
    if (plan == NULL || sys->saga_count == SAGA_SAGAS_MAX) {
        sim_wrong(sys->world, "event %llu starts a saga that nobody asked for",
                  (unsigned long long)started->position);
        return;
    }
    struct saga_model *model = calloc(1, sizeof(*model));
    sp_ensure(model != NULL);
    sys->models[sys->saga_count++] = model;
    if (!saga_model_start(model, plan, true, started)) {
        sim_wrong(sys->world, "%s", model->wrong);
    }
}

static void show_models(struct saga_system *sys, const struct sp_event *event) {
    if (sp_str_eq(event->attr[SP_ATTR_TYPE], SP_STR("saga.started"))) {
        begin(sys, event);
        return;
    }
    for (uint32_t i = 0; i < sys->saga_count && !sys->world->wrong; i++) {
        if (saga_model_concerns(sys->models[i], event) &&
            !saga_model_event(sys->models[i], event)) {
            sim_wrong(sys->world, "%s", sys->models[i]->wrong);
        }
    }
}

/* ---- joins, schedules, delayed events ------------------------------------------------------ */

static uint32_t digit_of(const struct sp_event *event) {
    for (size_t i = 0; i < event->data.len; i++) {
        if (event->data.ptr[i] >= '0' && event->data.ptr[i] <= '9') {
            return (uint32_t)(event->data.ptr[i] - '0');
        }
    }
    return 0;
}

static void show_others(struct saga_system *sys, const struct sp_event *event) {
    sp_str type = event->attr[SP_ATTR_TYPE];
    if (sp_str_eq(type, SP_STR("join.defined"))) {
        sys->has_join = true;
    } else if (sys->has_join &&
               (sp_str_eq(type, SP_STR("j.a")) || sp_str_eq(type, SP_STR("j.b")))) {
        sys->join_seen[digit_of(event) % SAGA_JOIN_KEYS][type.ptr[2] - 'a']++;
    } else if (sp_str_eq(type, SP_STR("joined"))) {
        uint32_t key = digit_of(event) % SAGA_JOIN_KEYS;
        if (++sys->join_emitted[key] > 1) {
            sim_wrong(sys->world, "event %llu: the join emits twice for key %u",
                      (unsigned long long)event->position, key);
        }
        if (sys->join_seen[key][0] == 0 || sys->join_seen[key][1] == 0) {
            sim_wrong(sys->world, "event %llu: the join emits what is not whole",
                      (unsigned long long)event->position);
        }
    } else if (sp_str_eq(type, SP_STR("later"))) {
        uint32_t number = 0;
        for (size_t i = 0; i < event->data.len; i++) {
            char c = event->data.ptr[i];
            number = c >= '0' && c <= '9' ? number * 10 + (uint32_t)(c - '0') : number;
        }
        if (number >= sys->delayed_count || ++sys->delayed_came[number] > 1 ||
            event->recorded_us < sys->delayed_due_us[number]) {
            sim_wrong(sys->world, "event %llu: delayed event %u comes too early, or twice",
                      (unsigned long long)event->position, number);
        }
    }
}

/* A schedule's firings follow one another by its interval: none is missed, none comes twice. */
static void show_tick(struct saga_system *sys, const struct sp_event *event) {
    if (!sp_str_eq(event->attr[SP_ATTR_TYPE], SP_STR("tick"))) {
        return;
    }
    sp_str id = event->attr[SP_ATTR_ID];
    uint64_t due_us = 0;
    const char *prefix = "schedule:pulse:";
    if (!sp_str_starts_with(id, sp_str_from(prefix)) ||
        sp_time_parse(sp_str_from_byte(id, strlen(prefix)), true, &due_us, NULL) != SP_OK) {
        sim_wrong(sys->world, "a tick has id %.*s", SP_STR_ARG(id));
        return;
    }
    if (due_us > event->recorded_us ||
        (sys->ticks > 0 && due_us != sys->tick_last_us + UINT64_C(10000000))) {
        sim_wrong(sys->world, "event %llu: the schedule fires %.*s, %llu us behind the last",
                  (unsigned long long)event->position, SP_STR_ARG(id),
                  (unsigned long long)(due_us - sys->tick_last_us));
    }
    sys->ticks++;
    sys->tick_last_us = due_us;
}

/* ---- looking ------------------------------------------------------------------------------- */

static void arrive(struct saga_system *sys, const struct sp_event *event) {
    for (uint32_t i = sys->mail_done; i < sys->mail_count; i++) {
        if (sys->mail[i].position == event->position) {
            sys->mail[i].is_done = true;
        }
    }
    while (sys->mail_done < sys->mail_count && sys->mail[sys->mail_done].is_done) {
        sys->mail_done++;
    }
}

static void show(struct saga_system *sys, const struct sp_event *event, void *context) {
    (void)context;
    if (event->position != sys->seen + 1) {
        sim_wrong(sys->world, "event %llu follows %llu", (unsigned long long)event->position,
                  (unsigned long long)sys->seen);
        return;
    }
    sys->seen = event->position;
    sim_note(sys->world, "%llu %.*s %.*s", (unsigned long long)event->position,
             SP_STR_ARG(event->attr[SP_ATTR_TYPE]), SP_STR_ARG(event->attr[SP_ATTR_ID]));
    arrive(sys, event);
    show_models(sys, event);
    show_others(sys, event);
    show_tick(sys, event);
    saga_react(sys, event);
}

void saga_look(struct saga_system *sys) {
    if (!sys->world->wrong && sp_engine_durable_position(sys->engine) > sys->seen) {
        (void)each_event(sys, sys->seen + 1, show, NULL);
    }
}

/*
 * An engine whose newest work was no longer to be done looks for more a millisecond later: what
 * falls due in between may be that late.
 */
enum { LATE_US = 1000 };

void saga_check_rest(struct saga_system *sys) {
    bool settled = sys->seen == sp_engine_core(sys->engine)->position &&
                   sp_engine_flows_due_us(sys->engine) > saga_now_us(sys);
    for (uint32_t i = 0; i < sys->saga_count && settled && !sys->world->wrong; i++) {
        if (!saga_model_rest(sys->models[i], saga_now_us(sys) - LATE_US)) {
            sim_wrong(sys->world, "%s", sys->models[i]->wrong);
        }
    }
}

bool saga_all_over(const struct saga_system *sys) {
    bool over = sys->mail_done == sys->mail_count;
    for (uint32_t i = 0; i < sys->saga_count && over; i++) {
        over = saga_model_is_over(sys->models[i]);
    }
    for (uint32_t i = 0; i < sys->delayed_count && over; i++) {
        over = sys->delayed_came[i] > 0;
    }
    return over;
}

void saga_check_end(struct saga_system *sys) {
    for (uint32_t i = 0; i < sys->saga_count && !sys->world->wrong; i++) {
        if (!saga_model_is_over(sys->models[i])) {
            sim_wrong(sys->world, "in the end, saga %s of plan %s is %s", sys->models[i]->id,
                      sys->models[i]->plan->name, saga_phase_name(sys->models[i]->phase));
        }
    }
    for (uint32_t i = 0; i < SAGA_JOIN_KEYS && !sys->world->wrong; i++) {
        bool whole = sys->join_seen[i][0] > 0 && sys->join_seen[i][1] > 0;
        if (whole && sys->join_emitted[i] == 0) {
            sim_wrong(sys->world, "in the end, the join has not emitted for key %u", i);
        }
    }
    for (uint32_t i = 0; i < sys->delayed_count && !sys->world->wrong; i++) {
        if (sys->delayed_came[i] == 0) {
            sim_wrong(sys->world, "in the end, delayed event %u has not come", i);
        }
    }
}
