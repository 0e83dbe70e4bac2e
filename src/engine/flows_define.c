/*
 * Definitions of sagas, joins and schedules: checked with all that is needed for it, the text in
 * their one canonical form, and told by an event. See flows.h.
 */
#include "engine/flows_int.h"
#include "flow/definition.h"
#include "flow/join.h"
#include "flow/rule.h"
#include "flow/saga.h"
#include "flow/schedule.h"

static const struct sp_rule_kind SAGAS = {
    .key = "saga", .stream = "$sagas", .defined = "saga.defined", .removed = "saga.removed"};

/* A definition that has passed its check: whichever it is. */
struct checked {
    struct sp_saga_definition *saga;
    struct sp_join_definition *join;
    struct sp_schedule_definition *schedule;
};

static void checked_free(struct checked *checked) {
    sp_saga_definition_unref(checked->saga);
    sp_join_definition_free(checked->join);
    sp_schedule_definition_free(checked->schedule);
}

static sp_str find_text(void *context, sp_str name) {
    const struct engine_flows *flows = context;
    struct sp_saga_definition_info info;
    bool found = sp_sagas_definition(flows->sagas, name, &info) && info.definition != NULL;
    return found ? info.definition->text : SP_STR("");
}

/* ---- checking ---- */

/* Notes what is wrong with a program; SP_OK unless it cannot be said. */
static sp_status check_program(struct engine_flows *flows, sp_str text, const char *key,
                               sp_str step, struct sp_doc_place place,
                               struct sp_doc_problems *problems, struct sp_error *error) {
    struct sp_jq_program *program;
    struct sp_error why;
    sp_error_clear(&why);
    if (text.len == 0) {
        return SP_OK;
    }
    sp_status status = flows_program(flows, text, &program, &why);
    if (status == SP_INVALID || status == SP_LIMIT) {
        sp_doc_wrong(problems, place, "%s%.*s%s%s: %s", step.len > 0 ? "step " : "",
                     SP_STR_ARG(step), step.len > 0 ? ": " : "", key, why.text);
        return SP_OK;
    }
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "%s", why.text);
}

static sp_status check_saga(struct engine_flows *flows, struct sp_doc *doc,
                            struct sp_doc_problems *problems, struct checked *checked,
                            struct sp_error *error) {
    const struct sp_saga_lookup lookup = {.context = flows, .find = find_text};
    sp_status status = sp_saga_definition_inline(doc, &lookup, problems, error);
    if (status == SP_OK) {
        status = sp_saga_definition_compile(doc, false, problems, &checked->saga, error);
    }
    for (uint32_t i = 0; status == SP_OK && i < checked->saga->program_count; i++) {
        const struct sp_saga_program *program = &checked->saga->programs[i];
        status = check_program(flows, program->text, program->key,
                               checked->saga->nodes[program->node].path, program->place, problems,
                               error);
    }
    return status;
}

static sp_status check_join(struct engine_flows *flows, const struct sp_doc *doc,
                            struct sp_doc_problems *problems, struct checked *checked,
                            struct sp_error *error) {
    const sp_str no_step = SP_STR("");
    sp_status status = sp_join_definition_compile(doc, problems, &checked->join, error);
    const struct sp_join_definition *join = checked->join;
    if (status == SP_OK) {
        status = check_program(flows, join->emit.data, "emit.data", no_step, join->emit.data_at,
                               problems, error);
    }
    if (status == SP_OK) {
        status = check_program(flows, join->on_timeout.data, "on_timeout.data", no_step,
                               join->on_timeout.data_at, problems, error);
    }
    return status;
}

static sp_status check_schedule(const struct engine_flows *flows, const struct sp_doc *doc,
                                struct sp_doc_problems *problems, struct checked *checked,
                                struct sp_error *error) {
    struct sp_saga_definition_info info;
    sp_status status = sp_schedule_definition_compile(doc, problems, &checked->schedule, error);
    if (status != SP_OK) {
        return status;
    }
    const struct sp_schedule_definition *schedule = checked->schedule;
    if (schedule->saga.len > 0 && !sp_sagas_definition(flows->sagas, schedule->saga, &info)) {
        sp_doc_warn(problems, doc->root->place, "there is no saga %.*s for now",
                    SP_STR_ARG(schedule->saga));
    }
    return SP_OK;
}

static sp_status check(struct engine_flows *flows, enum sp_flow_defines kind, struct sp_doc *doc,
                       struct sp_doc_problems *problems, struct checked *checked,
                       struct sp_error *error) {
    sp_status status = SP_INVALID;
    switch (kind) {
    case SP_FLOW_DEFINES_SAGA:
        status = check_saga(flows, doc, problems, checked, error);
        break;
    case SP_FLOW_DEFINES_JOIN:
        status = check_join(flows, doc, problems, checked, error);
        break;
    case SP_FLOW_DEFINES_SCHEDULE:
        status = check_schedule(flows, doc, problems, checked, error);
        break;
    }
    sp_doc_problems_sort(problems);
    if (status == SP_OK || (status == SP_INVALID && problems->error_count > 0)) {
        status = sp_doc_problems_status(problems, error);
    }
    return status;
}

sp_status sp_engine_flow_check(struct sp_engine *engine, enum sp_flow_defines kind,
                               struct sp_doc *doc, struct sp_doc_problems *problems,
                               struct sp_error *error) {
    struct checked checked = {.saga = NULL};
    sp_status status = check(engine->flows, kind, doc, problems, &checked, error);
    checked_free(&checked);
    return status;
}

/* ---- telling ---- */

/* The very same is there, and nothing is to be appended. */
static bool is_same_saga(const struct engine_flows *flows,
                         const struct sp_saga_definition *definition,
                         struct sp_rule_defined *defined) {
    struct sp_saga_definition_info info;
    bool same = sp_sagas_definition(flows->sagas, definition->name, &info) &&
                info.definition != NULL && sp_str_eq(info.definition->text, definition->text);
    defined->is_unchanged = same;
    defined->position = same ? info.position : 0;
    return same;
}

static sp_status write_defined(struct engine_flows *flows, const struct checked *checked, sp_str by,
                               struct sp_rule_defined *defined, struct sp_error *error) {
    struct sp_flow_out *out = &flows->out;
    sp_flow_out_reset(out);
    if (checked->join != NULL) {
        return sp_joins_define(flows->joins, checked->join, by, out, defined, error);
    }
    if (checked->schedule != NULL) {
        return sp_schedules_define(flows->schedules, checked->schedule, by, out, defined, error);
    }
    sp_rule_sha256(checked->saga->text, defined->sha256);
    if (is_same_saga(flows, checked->saga, defined)) {
        return SP_OK;
    }
    return sp_rule_define(&SAGAS, checked->saga->name, checked->saga->text, by, out);
}

sp_status sp_engine_flow_define(struct sp_engine *engine, enum sp_flow_defines kind,
                                struct sp_doc *doc, sp_str by, struct sp_doc_problems *problems,
                                struct sp_engine_defined *ret_defined, struct sp_error *error) {
    struct engine_flows *flows = engine->flows;
    struct checked checked = {.saga = NULL};
    struct sp_rule_defined defined = {.position = 0};
    sp_status status = flows_check_text("by", by, error);
    status = status == SP_OK ? check(flows, kind, doc, problems, &checked, error) : status;
    status = status == SP_OK ? write_defined(flows, &checked, by, &defined, error) : status;
    if (status == SP_OK && !defined.is_unchanged) {
        status = engine_flows_append(flows, error);
        defined.position = flows->results[0].position;
    }
    checked_free(&checked);
    if (status == SP_OK) {
        ret_defined->position = defined.position;
        ret_defined->unchanged = defined.is_unchanged;
        memcpy(ret_defined->sha256, defined.sha256, sizeof(ret_defined->sha256));
    }
    return status;
}

static sp_status write_removed(struct engine_flows *flows, enum sp_flow_defines kind, sp_str name,
                               sp_str by, struct sp_error *error) {
    struct sp_flow_out *out = &flows->out;
    struct sp_saga_definition_info info;
    sp_flow_out_reset(out);
    switch (kind) {
    case SP_FLOW_DEFINES_SAGA:
        if (!sp_sagas_definition(flows->sagas, name, &info)) {
            return sp_error_set(error, SP_NOT_FOUND, "no saga is called %.*s",
                                name.len > 64 ? 64 : (int)name.len, name.ptr);
        }
        return sp_rule_remove(&SAGAS, name, by, out);
    case SP_FLOW_DEFINES_JOIN:
        return sp_joins_remove(flows->joins, name, by, out, error);
    case SP_FLOW_DEFINES_SCHEDULE:
        return sp_schedules_remove(flows->schedules, name, by, out, error);
    }
    sp_never();
}

sp_status sp_engine_flow_remove(struct sp_engine *engine, enum sp_flow_defines kind, sp_str name,
                                sp_str by, uint64_t *ret_position, struct sp_error *error) {
    struct engine_flows *flows = engine->flows;
    sp_status status = flows_check_text("by", by, error);
    status = status == SP_OK ? write_removed(flows, kind, name, by, error) : status;
    status = status == SP_OK ? engine_flows_append(flows, error) : status;
    if (status == SP_OK) {
        *ret_position = flows->results[0].position;
    }
    return status;
}
