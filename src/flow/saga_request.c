/* What people ask of running sagas and of definitions: whether it can be, and the events of it. */
#include "flow/saga_int.h"

static const sp_str nothing = {.ptr = NULL, .len = 0};

static const char *const action_names[] = {
    [SP_SAGA_CANCEL] = "cancel",       [SP_SAGA_RETRY] = "retry",     [SP_SAGA_SKIP] = "skip",
    [SP_SAGA_MARK_DONE] = "mark_done", [SP_SAGA_UNDO] = "compensate",
};

static bool is_stuck(const struct sp_act *act) {
    return act->state == SP_ACT_STUCK || act->state == SP_ACT_UNDO_STUCK;
}

static sp_status check_cancel(const struct sp_saga *saga, struct sp_error *error) {
    if (saga->phase == SP_SAGA_PHASE_HALTING || saga->phase == SP_SAGA_PHASE_UNDOING) {
        return sp_error_set(error, SP_CONFLICT, "the saga is being undone already");
    }
    if (saga->is_past_pivot) {
        return sp_error_set(error, SP_CONFLICT,
                            "the saga is past its pivot: it can only go forward");
    }
    return SP_OK;
}

/* The step that is meant: the only one that is stuck, where none is named. */
static sp_status find_step(const struct sp_saga *saga, sp_str step, uint32_t *ret_at,
                           struct sp_error *error) {
    uint32_t found = SP_NONE;
    if (step.len > 0) {
        found = sp_saga_find_path(saga, step);
        if (found == SP_NONE) {
            return sp_error_set(error, SP_NOT_FOUND,
                                "the saga has no step '%.*s', or has not come to it",
                                SP_STR_ARG(step));
        }
        *ret_at = found;
        return SP_OK;
    }
    for (uint32_t i = 1; i < saga->act_count && saga->stuck > 0; i++) {
        if (is_stuck(&saga->acts[i])) {
            if (found != SP_NONE) {
                return sp_error_set(error, SP_CONFLICT, "%u steps need attention: say which one",
                                    saga->stuck);
            }
            found = i;
        }
    }
    if (found == SP_NONE) {
        return sp_error_set(error, SP_CONFLICT, "no step of the saga needs attention");
    }
    *ret_at = found;
    return SP_OK;
}

static sp_status check_step(const struct sp_saga *saga, const struct sp_saga_request *request,
                            uint32_t *ret_at, struct sp_error *error) {
    uint32_t at = 0;
    sp_status status = find_step(saga, request->step, &at, error);
    if (status != SP_OK) {
        return status;
    }
    const struct sp_act *act = &saga->acts[at];
    if (!is_stuck(act)) {
        return sp_error_set(error, SP_CONFLICT, "the step '%.*s' does not need attention: it is %s",
                            SP_STR_ARG(request->step),
                            sp_act_state_name((enum sp_act_state)act->state));
    }
    if (request->action == SP_SAGA_UNDO && act->state == SP_ACT_UNDO_STUCK) {
        return sp_error_set(error, SP_CONFLICT, "the saga is being undone already");
    }
    if (request->action == SP_SAGA_UNDO && saga->is_past_pivot) {
        return sp_error_set(error, SP_CONFLICT,
                            "the saga is past its pivot: it can only go forward");
    }
    *ret_at = at;
    return SP_OK;
}

static sp_status check(const struct sp_sagas *sagas, const struct sp_saga_request *request,
                       struct sp_saga **ret_saga, uint32_t *ret_at, struct sp_error *error) {
    struct sp_saga *saga = sp_sagas_get_text(sagas, request->sagaid);
    if (saga == NULL) {
        uint8_t id[16];
        bool has_ended = sp_uuid_pack(request->sagaid, id) && sp_sagas_find_ended(sagas, id);
        return sp_error_set(error, has_ended ? SP_CONFLICT : SP_NOT_FOUND,
                            has_ended ? "the saga '%.*s' has ended" : "no saga '%.*s' is running",
                            SP_STR_ARG(request->sagaid));
    }
    if (request->result.len > SP_SAGA_RESULT_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "a result of %zu bytes, more than %d",
                            request->result.len, SP_SAGA_RESULT_BYTES_MAX);
    }
    if (request->result.len > 0) {
        sp_status status = sp_json_check(request->result, error);
        if (status != SP_OK) {
            return sp_error_prefix(error, status, "result");
        }
    }
    *ret_saga = saga;
    return request->action == SP_SAGA_CANCEL ? check_cancel(saga, error)
                                             : check_step(saga, request, ret_at, error);
}

sp_status sp_sagas_check_request(const struct sp_sagas *sagas,
                                 const struct sp_saga_request *request, struct sp_error *error) {
    struct sp_saga *saga = NULL;
    uint32_t at = 0;
    return check(sagas, request, &saga, &at, error);
}

/* ---- events ---- */

static void begin(const struct sp_saga *saga, struct sp_flow_out *out, sp_str type, sp_str step,
                  uint32_t attempt, const char *how) {
    sp_saga_out_begin(saga, out, type, nothing);
    if (step.len > 0) {
        sp_flow_out_text(out, SP_STR("sagastep"), step);
    }
    if (attempt > 0) {
        sp_flow_out_number(out, SP_STR("attempt"), attempt);
    }
    if (how != NULL) {
        sp_flow_out_text(out, SP_STR("how"), sp_str_from(how));
    }
}

static void add_who(struct sp_buf *to, const struct sp_saga_request *request) {
    sp_json_text(to, "by", request->by.len > 0 ? request->by : nothing);
    sp_json_text(to, "why", request->why.len > 0 ? request->why : nothing);
}

static void cancel(const struct sp_saga *saga, const struct sp_saga_request *request,
                   struct sp_flow_out *out) {
    sp_saga_out_begin(saga, out, SP_STR("saga.cancel.requested"), nothing);
    struct sp_buf *to = sp_flow_out_data_begin(out);
    sp_json_open(to);
    sp_json_text(to, "by", request->by.len > 0 ? request->by : nothing);
    sp_json_text(to, "reason", request->why.len > 0 ? request->why : nothing);
    sp_json_close(to);
    sp_flow_out_data_end(out);
}

static void resolved(const struct sp_saga *saga, const struct sp_saga_request *request, sp_str step,
                     struct sp_flow_out *out) {
    sp_str action = sp_str_from(action_names[request->action]);
    begin(saga, out, SP_STR("saga.attention.resolved"), step, 0, NULL);
    sp_flow_out_text(out, SP_STR("action"), action);
    struct sp_buf *to = sp_flow_out_data_begin(out);
    sp_json_open(to);
    sp_json_text(to, "step", step);
    sp_json_text(to, "action", action);
    add_who(to, request);
    sp_json_raw(to, "result", request->result);
    sp_json_close(to);
    sp_flow_out_data_end(out);
}

/* The move itself, where it is one of skipping or marking. */
static void moved(const struct sp_saga *saga, const struct sp_act *act,
                  const struct sp_saga_request *request, sp_str step, struct sp_flow_out *out) {
    bool is_undo = act->state == SP_ACT_UNDO_STUCK;
    bool is_skip = request->action == SP_SAGA_SKIP;
    sp_str type = is_undo   ? SP_STR("saga.step.compensated")
                  : is_skip ? SP_STR("saga.step.skipped")
                            : SP_STR("saga.step.completed");
    uint32_t attempt = is_undo ? act->undo_attempt : act->attempt;
    const char *how = is_skip ? "skipped" : "marked_done";
    begin(saga, out, type, step, attempt, how);
    struct sp_buf *to = sp_flow_out_data_begin(out);
    sp_json_open(to);
    sp_json_text(to, "step", step);
    if (!is_undo && is_skip) {
        sp_json_text(to, "reason", SP_STR("operator"));
    } else {
        sp_json_u64(to, "attempt", attempt);
        sp_json_raw(to, "result", request->result);
        sp_json_text(to, "how", sp_str_from(how));
    }
    add_who(to, request);
    sp_json_close(to);
    sp_flow_out_data_end(out);
}

sp_status sp_sagas_request_events(const struct sp_sagas *sagas,
                                  const struct sp_saga_request *request, struct sp_flow_out *out,
                                  struct sp_error *error) {
    struct sp_saga *saga = NULL;
    uint32_t at = 0;
    char path[SP_SAGA_PATH_BYTES_MAX];
    sp_status status = check(sagas, request, &saga, &at, error);
    if (status != SP_OK) {
        return status;
    }
    if (request->action == SP_SAGA_CANCEL) {
        cancel(saga, request, out);
        return sp_flow_out_status(out);
    }
    sp_str step = sp_str_of(path, sp_act_path_text(saga, at, path));
    resolved(saga, request, step, out);
    if (request->action == SP_SAGA_SKIP || request->action == SP_SAGA_MARK_DONE) {
        moved(saga, &saga->acts[at], request, step, out);
    }
    return sp_flow_out_status(out);
}

/* ---- definitions ---- */

static void write_defined(const struct sp_saga_definition *definition, sp_str by,
                          struct sp_flow_out *out) {
    char sha256[2 * SP_SHA256_BYTES];
    sp_sha256_hex(definition->sha256, sha256);
    sp_flow_out_begin(out, SP_STR("saga.defined"), SP_STR("$sagas"));
    struct sp_buf *to = sp_flow_out_data_begin(out);
    sp_json_open(to);
    sp_json_text(to, "saga", definition->name);
    sp_json_text(to, "version", definition->version.len > 0 ? definition->version : nothing);
    sp_json_text(to, "sha256", sp_str_of(sha256, sizeof(sha256)));
    sp_json_raw(to, "definition", definition->text);
    sp_json_text(to, "by", by.len > 0 ? by : nothing);
    sp_json_close(to);
    sp_flow_out_data_end(out);
}

sp_status sp_sagas_define(const struct sp_sagas *sagas, const struct sp_saga_definition *definition,
                          sp_str by, struct sp_flow_out *out, struct sp_rule_defined *ret_defined,
                          struct sp_error *error) {
    const struct sp_saga_name *name = sp_sagas_name(sagas, definition->name);
    const struct sp_saga_version *current = name == NULL ? NULL : name->current;
    struct sp_rule_defined defined = {.position = 0};
    sp_sha256_hex(definition->sha256, defined.sha256);
    if (current != NULL &&
        memcmp(current->sha256, definition->sha256, sizeof(current->sha256)) == 0) {
        defined.is_unchanged = true;
        defined.position = current->position;
        *ret_defined = defined;
        return SP_OK;
    }
    if (sagas->version_count >= SP_SAGA_DEFINITIONS_MAX) {
        return sp_error_set(error, SP_LIMIT, "%d definitions of sagas are there already",
                            SP_SAGA_DEFINITIONS_MAX);
    }
    write_defined(definition, by, out);
    sp_status status = sp_flow_out_status(out);
    if (status == SP_OK) {
        *ret_defined = defined;
    }
    return status;
}

sp_status sp_sagas_remove(const struct sp_sagas *sagas, sp_str text, sp_str by,
                          struct sp_flow_out *out, struct sp_error *error) {
    const struct sp_saga_name *name = sp_sagas_name(sagas, text);
    if (name == NULL || name->current == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "there is no saga definition '%.*s'",
                            SP_STR_ARG(text));
    }
    sp_flow_out_begin(out, SP_STR("saga.removed"), SP_STR("$sagas"));
    struct sp_buf *to = sp_flow_out_data_begin(out);
    sp_json_open(to);
    sp_json_text(to, "saga", text);
    sp_json_text(to, "by", by.len > 0 ? by : nothing);
    sp_json_close(to);
    sp_flow_out_data_end(out);
    return sp_flow_out_status(out);
}
