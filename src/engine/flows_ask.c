/*
 * What is asked of flows from outside: starts, requests, decisions, cancellations. Whether it is
 * possible is looked at and told in one go, so that nothing comes in between.
 */
#include <stdio.h>

#include "base/json.h"
#include "base/time.h"
#include "base/utf8.h"
#include "engine/flows_int.h"
#include "engine/query.h"
#include "event/event_json.h"
#include "flow/approvals.h"
#include "flow/members.h"
#include "flow/saga.h"

enum { JSON_DEPTH_MAX = 250, FIRST_LOOKED_AT = 4096 };

/* ---- texts ----------------------------------------------------------------------------------- */

static void add_name(struct sp_buf *to, const char *name) {
    bool first = to->status == SP_OK && to->data[to->len - 1] == '{';
    sp_buf_add_str(to, first ? SP_STR("\"") : SP_STR(",\""));
    sp_buf_add_str(to, sp_str_from(name));
    sp_buf_add_str(to, SP_STR("\":"));
}

void flows_add_json(struct sp_buf *to, const char *name, sp_str json) {
    add_name(to, name);
    sp_buf_add_str(to, json);
}

void flows_add_text(struct sp_buf *to, const char *name, sp_str text) {
    add_name(to, name);
    sp_json_add_string(to, text);
}

static void add_if_any(struct sp_buf *to, const char *name, sp_str text) {
    if (text.len > 0) {
        flows_add_text(to, name, text);
    }
}

sp_status flows_check_text(const char *name, sp_str text, struct sp_error *error) {
    if (text.len > SP_FLOW_TEXT_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "%s: found %zu bytes, expected at most %d", name,
                            text.len, SP_FLOW_TEXT_BYTES_MAX);
    }
    return sp_utf8_valid(text)
               ? SP_OK
               : sp_error_set(error, SP_INVALID, "%s: found bytes that are no UTF-8", name);
}

sp_status flows_check_json(const char *name, sp_str json, struct sp_error *error) {
    enum sp_json_type type;
    sp_status status =
        json.len == 0 ? SP_OK : sp_json_check_value(json, JSON_DEPTH_MAX, &type, error);
    return status == SP_OK ? SP_OK : sp_error_prefix(error, status, "%s", name);
}

/* ---- sagas: starting ------------------------------------------------------------------------- */

/* Whose saga.started is at the position. */
static sp_status read_started(struct engine_flows *flows, uint64_t position,
                              struct sp_engine_saga_started *started, struct sp_error *error) {
    const sp_str prefix = SP_STR("saga:");
    struct sp_event event;
    sp_status status = flows->ports.read(flows->ports.context, position, &event, error);
    if (status != SP_OK) {
        return status;
    }
    sp_str stream = event.attr[SP_ATTR_STREAM];
    sp_str id = sp_str_from_byte(stream, prefix.len < stream.len ? prefix.len : stream.len);
    if (!sp_str_starts_with(stream, prefix) || id.len >= SP_FLOW_SAGA_ID_SIZE) {
        return sp_error_set(error, SP_CONFLICT,
                            "event %llu has the id that a saga of this key would have",
                            (unsigned long long)position);
    }
    memcpy(started->sagaid, id.ptr, id.len);
    started->sagaid[id.len] = '\0';
    started->position = position;
    return SP_OK;
}

/* Which of the events begins the saga: others may tell of its definition before. */
static uint32_t find_started(const struct engine_flows *flows) {
    struct sp_event event;
    uint32_t i = 0;
    for (; i + 1 < flows->out.count; i++) {
        sp_flow_out_event(&flows->out, i, &event);
        if (sp_str_eq(event.attr[SP_ATTR_TYPE], SP_STR("saga.started"))) {
            break;
        }
    }
    return i;
}

sp_status flows_append_start(struct engine_flows *flows, struct sp_engine_saga_started *ret_started,
                             struct sp_error *error) {
    struct sp_engine_saga_started started = {.position = 0};
    sp_status status = engine_flows_append(flows, error);
    if (status == SP_OK || status == SP_CONFLICT) {
        started.duplicate = status == SP_CONFLICT;
        sp_error_clear(error);
        status = read_started(flows, flows->results[find_started(flows)].position, &started, error);
    }
    if (status == SP_OK) {
        *ret_started = started;
    }
    return status;
}

sp_status sp_engine_saga_start(struct sp_engine *engine, const struct sp_engine_saga_start *start,
                               struct sp_engine_saga_started *ret_started, struct sp_error *error) {
    struct engine_flows *flows = engine->flows;
    struct sp_flow_now now;
    sp_status status = flows_check_json("data", start->data, error);
    status = status == SP_OK ? flows_check_text("key", start->key, error) : status;
    status = status == SP_OK ? flows_check_text("by", start->by, error) : status;
    if (status != SP_OK) {
        return status;
    }
    const struct sp_saga_start wanted = {.name = start->name,
                                         .data = start->data,
                                         .key = start->key,
                                         .correlation = start->correlation,
                                         .causation = start->causation,
                                         .by = start->by};
    engine_flows_now(flows, &now);
    sp_flow_out_reset(&flows->out);
    status =
        sp_saga_start_events(flows->sagas, &wanted, now.new_id, now.now_us, &flows->out, error);
    return status == SP_OK ? flows_append_start(flows, ret_started, error) : status;
}

/* ---- sagas: requests ------------------------------------------------------------------------- */

sp_status sp_engine_saga_request(struct sp_engine *engine,
                                 const struct sp_engine_saga_request *request,
                                 uint64_t *ret_position, struct sp_error *error) {
    static const enum sp_saga_action ACTIONS[] = {
        [SP_ENGINE_SAGA_CANCEL] = SP_SAGA_CANCEL,   [SP_ENGINE_SAGA_RETRY] = SP_SAGA_RETRY,
        [SP_ENGINE_SAGA_SKIP] = SP_SAGA_SKIP,       [SP_ENGINE_SAGA_MARK_DONE] = SP_SAGA_MARK_DONE,
        [SP_ENGINE_SAGA_COMPENSATE] = SP_SAGA_UNDO,
    };
    struct engine_flows *flows = engine->flows;
    sp_status status = flows_check_text("by", request->by, error);
    status = status == SP_OK ? flows_check_text("why", request->why, error) : status;
    status = status == SP_OK ? flows_check_json("result", request->result, error) : status;
    if (status != SP_OK) {
        return status;
    }
    const struct sp_saga_request wanted = {.action = ACTIONS[request->ask],
                                           .sagaid = request->sagaid,
                                           .step = request->step,
                                           .by = request->by,
                                           .why = request->why,
                                           .result = request->result};
    sp_flow_out_reset(&flows->out);
    status = sp_sagas_request_events(flows->sagas, &wanted, &flows->out, error);
    status = status == SP_OK ? engine_flows_append(flows, error) : status;
    if (status == SP_OK) {
        *ret_position = flows->results[0].position;
    }
    return status;
}

/* ---- approvals ------------------------------------------------------------------------------- */

/* A pending approval, or one that was decided. */
struct asked {
    char proposal[SP_SAGA_PATH_BYTES_MAX];
    uint64_t position; /* of the proposal */
    struct sp_approval_rules rules;
    bool settled;
    uint64_t settled_position;
    sp_str choice; /* where it is settled */
    sp_str by;
};

static void copy_text(sp_str from, char *to, size_t size) {
    size_t len = from.len < size ? from.len : size - 1;
    if (len > 0) {
        memcpy(to, from.ptr, len);
    }
    to[len] = '\0';
}

/* One that stands alone. False: it is none of those. */
static bool find_standing(const struct engine_flows *flows, sp_str id, struct asked *asked) {
    struct sp_approval_info info;
    if (!sp_approvals_find(flows->approvals, id, &info)) {
        return false;
    }
    copy_text(info.id, asked->proposal, sizeof(asked->proposal));
    asked->position = info.position;
    asked->settled = info.state != SP_APPROVAL_PENDING;
    asked->settled_position = info.settled_position;
    asked->choice = info.choice;
    asked->by = info.by;
    return asked->settled || sp_approvals_rules(flows->approvals, id, &asked->rules);
}

static sp_status find_of_saga(const struct engine_flows *flows, sp_str id, struct asked *asked,
                              struct sp_error *error) {
    struct sp_saga_approval_info info;
    sp_status status = sp_sagas_find_approval(flows->sagas, id, &info, error);
    if (status != SP_OK) {
        return status;
    }
    copy_text(sp_str_from(info.proposal), asked->proposal, sizeof(asked->proposal));
    asked->position = info.position;
    asked->rules = (struct sp_approval_rules){
        .choices = info.rules->choices.items,
        .choice_count = info.rules->choices.count,
        .who = info.rules->who.items,
        .who_count = info.rules->who.count,
        .escalate_to = info.rules->escalate_to.items,
        .escalate_to_count = info.rules->escalate_to.count,
        .deadline_us = info.deadline_us,
        .is_escalated = info.is_escalated,
    };
    return SP_OK;
}

/* Whether the event tells what became of the approval: of this proposal, step or saga. */
static bool tells_of(const struct sp_event *event, sp_str id) {
    sp_str step = SP_STR("");
    for (uint16_t i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, SP_STR("sagastep"))) {
            step = event->extensions[i].value;
        }
    }
    sp_str asked =
        sp_str_from_byte(id, id.len < SP_FLOW_SAGA_ID_SIZE ? id.len : SP_FLOW_SAGA_ID_SIZE);
    return asked.len == 0 || (sp_str_starts_with(asked, step) &&
                              (asked.len == step.len || asked.ptr[step.len] == ':'));
}

/* Fills in what the event says of choice and name. */
static void read_first(const struct sp_event *event, struct sp_engine_decided *decided) {
    struct sp_member members[] = {{.name = "choice"}, {.name = "by"}};
    struct sp_buf scratch;
    sp_buf_init(&scratch, SP_EVENT_SIZE_BYTES_MAX);
    if (sp_members_of(event, members, 2, &scratch) == SP_OK) {
        copy_text(sp_member_text(&members[0]), decided->first_choice,
                  sizeof(decided->first_choice));
        copy_text(sp_member_text(&members[1]), decided->first_by, sizeof(decided->first_by));
    }
    decided->first_position = event->position;
    sp_buf_fini(&scratch);
}

/* Looks in the saga's own stream for what became of its approval. */
static bool find_decided(struct sp_engine *engine, sp_str id, struct sp_engine_decided *decided) {
    const sp_str types[] = {SP_STR("saga.approval.granted"), SP_STR("saga.approval.rejected")};
    char stream[sizeof("saga:") + SP_FLOW_SAGA_ID_SIZE];
    size_t len = id.len < SP_FLOW_SAGA_ID_SIZE - 1 ? id.len : SP_FLOW_SAGA_ID_SIZE - 1;
    int named = snprintf(stream, sizeof(stream), "saga:%.*s", (int)len, id.ptr);
    const struct sp_query query = {.types = types,
                                   .type_count = 2,
                                   .stream = sp_str_of(stream, (size_t)named),
                                   .reverse = true};
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    bool found = false;
    sp_status status = sp_cursor_open(engine, &query, &cursor, NULL);
    if (status == SP_OK) {
        sp_cursor_allow(cursor, FIRST_LOOKED_AT);
    }
    while (!found && status == SP_OK) {
        status = sp_cursor_next(cursor, &event, NULL);
        found = status == SP_OK && tells_of(event, id);
    }
    if (found) {
        read_first(event, decided);
    }
    sp_cursor_close(cursor);
    return found;
}

static sp_status say_decided(const struct sp_engine_decided *decided, struct sp_error *error) {
    return sp_error_set(error, SP_CONFLICT, "it is decided already: %s%s%s",
                        decided->first_choice[0] != '\0' ? decided->first_choice
                                                         : "its time is over",
                        decided->first_by[0] != '\0' ? ", by " : "", decided->first_by);
}

/* The approval that is meant. SP_CONFLICT: it is decided, and *decided says how. */
static sp_status find_asked(struct sp_engine *engine, sp_str id, struct asked *asked,
                            struct sp_engine_decided *decided, struct sp_error *error) {
    struct engine_flows *flows = engine->flows;
    if (find_standing(flows, id, asked)) {
        if (!asked->settled) {
            return SP_OK;
        }
        decided->first_position = asked->settled_position;
        copy_text(asked->choice, decided->first_choice, sizeof(decided->first_choice));
        copy_text(asked->by, decided->first_by, sizeof(decided->first_by));
        return say_decided(decided, error);
    }
    sp_status status = find_of_saga(flows, id, asked, error);
    if (status == SP_NOT_FOUND && id.len >= SP_FLOW_SAGA_ID_SIZE - 1 &&
        find_decided(engine, id, decided)) {
        return say_decided(decided, error);
    }
    return status;
}

/*
 * The event of a decision: like any that a client may append, in a stream for all of them. Its
 * texts last until `out` is changed.
 */
static void write_decision(struct engine_flows *flows, const struct sp_engine_decision *decision,
                           const struct asked *asked, const struct sp_event *proposal) {
    struct sp_flow_out *out = &flows->out;
    bool vetoes = sp_str_eq(decision->choice, SP_STR("reject"));
    sp_flow_out_reset(out);
    sp_flow_out_begin(out, vetoes ? SP_STR("action.vetoed") : SP_STR("action.approved"),
                      SP_STR("approvals"));
    if (decision->by.len > 0 && decision->by.len <= SP_EVENT_NAME_BYTES_MAX) {
        sp_flow_out_attr(out, SP_ATTR_SOURCE, decision->by);
    }
    sp_flow_out_attr(out, SP_ATTR_CORRELATION, proposal->attr[SP_ATTR_CORRELATION]);
    sp_flow_out_attr(out, SP_ATTR_CAUSATION, sp_str_from(asked->proposal));
    struct sp_buf *to = sp_flow_out_data_begin(out);
    sp_buf_add_byte(to, '{');
    add_if_any(to, "choice", decision->choice);
    add_if_any(to, "by", decision->by);
    add_if_any(to, "reason", decision->reason);
    if (decision->data.len > 0) {
        flows_add_json(to, "data", decision->data);
    }
    sp_buf_add_byte(to, '}');
    sp_flow_out_data_end(out);
}

static sp_status say_fault(const struct sp_approval_verdict *verdict,
                           const struct sp_approval_rules *rules, struct sp_error *error) {
    char choices[200] = "";
    size_t len = 0;
    switch (verdict->fault) {
    case SP_APPROVAL_ACCEPTED:
        return SP_OK;
    case SP_APPROVAL_DUPLICATE:
        return sp_error_set(error, SP_CONFLICT, "it is decided already");
    case SP_APPROVAL_LATE:
        return sp_error_set(error, SP_CONFLICT, "its time is over");
    case SP_APPROVAL_NOT_ALLOWED:
        return sp_error_set(error, SP_DENIED, "%.*s is not one of those who may decide this",
                            verdict->by.len > 128 ? 128 : (int)verdict->by.len, verdict->by.ptr);
    case SP_APPROVAL_UNKNOWN_CHOICE:
        break;
    }
    for (uint32_t i = 0; i < rules->choice_count && len < sizeof(choices); i++) {
        int added = snprintf(choices + len, sizeof(choices) - len, "%s%.*s", i == 0 ? "" : ", ",
                             SP_STR_ARG(rules->choices[i]));
        len += added > 0 ? (size_t)added : 0;
    }
    return sp_error_set(error, SP_INVALID, "choice: found \"%.*s\", expected one of: %s",
                        verdict->choice.len > 64 ? 64 : (int)verdict->choice.len,
                        verdict->choice.ptr, rules->choice_count > 0 ? choices : "approve, reject");
}

/* What the fold will make of the decision. */
static sp_status judge(struct engine_flows *flows, const struct asked *asked,
                       struct sp_error *error) {
    struct sp_approval_verdict verdict;
    struct sp_flow_now now;
    struct sp_buf scratch;
    struct sp_event *event = &flows->events[0];
    sp_status status = sp_flow_out_status(&flows->out);
    if (status != SP_OK) {
        return sp_error_set(error, status, "decision: %s", sp_status_text(status));
    }
    engine_flows_now(flows, &now);
    sp_flow_out_event(&flows->out, 0, event);
    event->recorded_us = now.now_us;
    sp_buf_init(&scratch, SP_EVENT_SIZE_BYTES_MAX);
    status = sp_approval_judge(&asked->rules, event, &scratch, &verdict);
    status = status == SP_OK ? say_fault(&verdict, &asked->rules, error)
                             : sp_error_set(error, status, "decision: %s", sp_status_text(status));
    sp_buf_fini(&scratch);
    return status;
}

static sp_status check_decision(const struct sp_engine_decision *decision, struct sp_error *error) {
    sp_status status = flows_check_text("approval", decision->approval, error);
    status = status == SP_OK ? flows_check_text("choice", decision->choice, error) : status;
    status = status == SP_OK ? flows_check_text("by", decision->by, error) : status;
    status = status == SP_OK ? flows_check_text("reason", decision->reason, error) : status;
    return status == SP_OK ? flows_check_json("data", decision->data, error) : status;
}

sp_status sp_engine_decide(struct sp_engine *engine, const struct sp_engine_decision *decision,
                           struct sp_engine_decided *ret_decided, struct sp_error *error) {
    struct engine_flows *flows = engine->flows;
    struct sp_engine_decided decided = {.position = 0};
    struct asked asked = {.position = 0};
    struct sp_event proposal;
    sp_status status = check_decision(decision, error);
    if (status != SP_OK) {
        return status;
    }
    status = find_asked(engine, decision->approval, &asked, &decided, error);
    if (status == SP_CONFLICT) {
        *ret_decided = decided;
    }
    if (status == SP_OK) {
        status = flows->ports.read(flows->ports.context, asked.position, &proposal, error);
    }
    if (status == SP_OK) {
        write_decision(flows, decision, &asked, &proposal);
        status = judge(flows, &asked, error);
    }
    status = status == SP_OK ? engine_flows_append(flows, error) : status;
    if (status == SP_OK) {
        decided.position = flows->results[0].position;
        *ret_decided = decided;
    }
    return status;
}

/* ---- delayed events -------------------------------------------------------------------------- */

sp_status sp_engine_delayed_cancel(struct sp_engine *engine, sp_str source, sp_str id, sp_str by,
                                   sp_str why, uint64_t *ret_position, struct sp_error *error) {
    struct engine_flows *flows = engine->flows;
    const struct sp_delayed_cancel cancel = {.source = source, .id = id, .by = by, .why = why};
    sp_status status = flows_check_text("id", id, error);
    status = status == SP_OK ? flows_check_text("by", by, error) : status;
    status = status == SP_OK ? flows_check_text("why", why, error) : status;
    sp_flow_out_reset(&flows->out);
    if (status == SP_OK) {
        status = sp_delayed_cancel(flows->delayed, &cancel, &flows->ports, &flows->out, error);
    }
    status = status == SP_OK ? engine_flows_append(flows, error) : status;
    if (status == SP_OK) {
        *ret_position = flows->results[0].position;
    }
    return status;
}
