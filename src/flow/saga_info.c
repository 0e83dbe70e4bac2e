/* What is running, for lists. */
#include "flow/saga_int.h"

sp_str sp_saga_waiting_name(enum sp_saga_waiting waiting) {
    switch (waiting) {
    case SP_SAGA_WAITS_NOT:
        return SP_STR("");
    case SP_SAGA_WAITS_WORKER:
        return SP_STR("worker");
    case SP_SAGA_WAITS_TIMER:
        return SP_STR("timer");
    case SP_SAGA_WAITS_APPROVAL:
        return SP_STR("approval");
    case SP_SAGA_WAITS_EVENT:
        return SP_STR("event");
    case SP_SAGA_WAITS_LIMIT:
        return SP_STR("limit");
    case SP_SAGA_WAITS_OPERATOR:
        return SP_STR("operator");
    }
    sp_never();
}

static enum sp_saga_waiting waiting_of(const struct sp_saga *saga, const struct sp_act *act) {
    const struct sp_saga_node *node = sp_act_node(saga, act);
    if (!sp_act_is_leaf(saga, act) && act->state != SP_ACT_STUCK) {
        return SP_SAGA_WAITS_NOT; /* what is in it waits */
    }
    switch ((enum sp_act_state)act->state) {
    case SP_ACT_STUCK:
    case SP_ACT_UNDO_STUCK:
        return SP_SAGA_WAITS_OPERATOR;
    case SP_ACT_BACKOFF:
    case SP_ACT_UNDO_BACKOFF:
        return SP_SAGA_WAITS_TIMER;
    case SP_ACT_CANCELLING:
    case SP_ACT_UNDO_RUNNING:
        return SP_SAGA_WAITS_WORKER;
    case SP_ACT_RUNNING:
        if (node->kind == SP_SAGA_WAIT) {
            return node->wait->pattern.len > 0 ? SP_SAGA_WAITS_EVENT : SP_SAGA_WAITS_TIMER;
        }
        return node->kind == SP_SAGA_APPROVAL ? SP_SAGA_WAITS_APPROVAL : SP_SAGA_WAITS_WORKER;
    case SP_ACT_PENDING:
    case SP_ACT_READY:
    case SP_ACT_ANSWERED:
    case SP_ACT_CLOSING:
    case SP_ACT_DONE:
    case SP_ACT_SKIPPED:
    case SP_ACT_FAILED:
    case SP_ACT_CANCELLED:
    case SP_ACT_UNDO_READY:
    case SP_ACT_UNDO_ANSWERED:
    case SP_ACT_UNDONE:
    case SP_ACT_STATES:
        return SP_SAGA_WAITS_NOT;
    }
    sp_never();
}

static sp_str status_of(const struct sp_saga *saga) {
    if (saga->stuck > 0) {
        return SP_STR("needs_attention");
    }
    switch ((enum sp_saga_phase)saga->phase) {
    case SP_SAGA_PHASE_WAITING:
        return SP_STR("waiting");
    case SP_SAGA_PHASE_FORWARD:
        return SP_STR("running");
    case SP_SAGA_PHASE_HALTING:
        return saga->reason == SP_SAGA_REASON_CANCELLED ? SP_STR("cancelling") : SP_STR("failing");
    case SP_SAGA_PHASE_UNDOING:
        return SP_STR("compensating");
    }
    sp_never();
}

/* What it waits for: a person before all else, then what comes first. */
static void look(const struct sp_saga *saga, struct sp_saga_info *info) {
    uint32_t found = SP_NONE;
    for (uint32_t i = 1; i < saga->act_count; i++) {
        const struct sp_act *act = &saga->acts[i];
        enum sp_saga_waiting waiting = waiting_of(saga, act);
        bool is_person = waiting == SP_SAGA_WAITS_OPERATOR;
        if (waiting == SP_SAGA_WAITS_NOT ||
            (found != SP_NONE && (!is_person || info->waiting == SP_SAGA_WAITS_OPERATOR))) {
            continue;
        }
        found = i;
        info->waiting = waiting;
        info->due_us = act->due_us;
    }
    if (found != SP_NONE) {
        (void)sp_act_path_text(saga, found, info->step);
    }
}

static void fill(const struct sp_saga *saga, struct sp_saga_info *info) {
    const struct sp_saga_definition *definition = saga->version->definition;
    sp_uuid_format(saga->id, info->id);
    info->id[SP_UUID_TEXT_SIZE] = '\0';
    info->name = definition->name;
    info->version = definition->version;
    info->sha256 = definition->sha256;
    info->status = status_of(saga);
    info->waiting = SP_SAGA_WAITS_NOT;
    info->step[0] = '\0';
    info->due_us = 0;
    info->timeout_us = saga->acts[0].due_us;
    info->started_us = saga->started_us;
    info->started_position = saga->started;
    info->open_count = saga->open;
    info->stuck_count = saga->stuck;
    if (saga->phase == SP_SAGA_PHASE_WAITING) {
        info->waiting = SP_SAGA_WAITS_LIMIT;
    } else {
        look(saga, info);
    }
}

uint32_t sp_sagas_count(const struct sp_sagas *sagas) {
    return sagas->count;
}

void sp_sagas_each(const struct sp_sagas *sagas, sp_saga_each_fn *each, void *context) {
    struct sp_saga_info info;
    for (uint32_t at = sagas->head; at != SP_NONE; at = sagas->slots[at]->next) {
        fill(sagas->slots[at], &info);
        if (!each(context, &info)) {
            return;
        }
    }
}

bool sp_sagas_find(const struct sp_sagas *sagas, sp_str sagaid, struct sp_saga_info *ret_info) {
    const struct sp_saga *saga = sp_sagas_get_text(sagas, sagaid);
    if (saga != NULL) {
        fill(saga, ret_info);
    }
    return saga != NULL;
}

void sp_sagas_steps(const struct sp_sagas *sagas, sp_str sagaid, sp_saga_step_fn *each,
                    void *context) {
    const struct sp_saga *saga = sp_sagas_get_text(sagas, sagaid);
    struct sp_saga_step_info info;
    for (uint32_t i = 1; saga != NULL && i < saga->act_count; i++) {
        const struct sp_act *act = &saga->acts[i];
        if (sp_act_node(saga, act)->kind == SP_SAGA_BRANCH) {
            continue;
        }
        (void)sp_act_path_text(saga, i, info.path);
        info.kind = sp_act_node(saga, act)->kind;
        info.status = sp_str_from(sp_act_state_name((enum sp_act_state)act->state));
        info.attempt = act->attempt;
        info.undo_attempt = act->undo_attempt;
        info.due_us = act->due_us;
        info.command = act->input;
        info.answer = act->result;
        info.is_stuck = act->state == SP_ACT_STUCK || act->state == SP_ACT_UNDO_STUCK;
        info.is_inherited = (act->flags & SP_ACT_IS_INHERITED) != 0;
        if (!each(context, &info)) {
            return;
        }
    }
}

/* ---- definitions ---- */

static void fill_definition(const struct sp_saga_version *version,
                            struct sp_saga_definition_info *info) {
    const struct sp_saga_name *name = version->name;
    *info = (struct sp_saga_definition_info){
        .name = sp_str_of(name->text, name->len),
        .definition = version->definition,
        .unusable = sp_str_from(version->unusable),
        .position = version->position,
        .defined_us = version->defined_us,
        .running = name->running + name->waiting,
    };
}

void sp_sagas_definitions(const struct sp_sagas *sagas, sp_saga_definition_fn *each,
                          void *context) {
    struct sp_saga_definition_info info;
    for (const struct sp_saga_version *at = sagas->versions; at != NULL; at = at->next) {
        if (at->is_current) {
            fill_definition(at, &info);
            if (!each(context, &info)) {
                return;
            }
        }
    }
}

bool sp_sagas_definition(const struct sp_sagas *sagas, sp_str text,
                         struct sp_saga_definition_info *ret_info) {
    const struct sp_saga_name *name = sp_sagas_name(sagas, text);
    if (name == NULL || name->current == NULL) {
        return false;
    }
    fill_definition(name->current, ret_info);
    return true;
}

/* ---- approvals ---- */

static bool is_pending(const struct sp_saga *saga, const struct sp_act *act) {
    return act->state == SP_ACT_RUNNING && saga->phase == SP_SAGA_PHASE_FORWARD &&
           sp_act_node(saga, act)->kind == SP_SAGA_APPROVAL;
}

static void fill_approval(const struct sp_saga *saga, uint32_t at,
                          struct sp_saga_approval_info *info) {
    const struct sp_act *act = &saga->acts[at];
    struct sp_saga_turn turn;
    char room[SP_COMMAND_ID_SIZE];
    sp_uuid_format(saga->id, turn.id);
    memcpy(info->sagaid, turn.id, sizeof(turn.id));
    info->sagaid[SP_UUID_TEXT_SIZE] = '\0';
    turn.step = sp_str_of(info->step, sp_act_path_text(saga, at, info->step));
    sp_str id = sp_turn_command_id(&turn, false, act->attempt, room);
    memcpy(info->proposal, room, id.len);
    info->proposal[id.len] = '\0';
    info->saga = saga->version->definition->name;
    info->rules = sp_act_node(saga, act)->approval;
    info->position = act->input;
    info->deadline_us = act->due_us;
    info->escalate_us = act->escalate_us;
    info->is_escalated = (act->flags & SP_ACT_IS_ESCALATED) != 0;
}

void sp_sagas_approvals(const struct sp_sagas *sagas, sp_saga_approval_fn *each, void *context) {
    struct sp_saga_approval_info info;
    for (uint32_t at = sagas->head; at != SP_NONE; at = sagas->slots[at]->next) {
        const struct sp_saga *saga = sagas->slots[at];
        for (uint32_t i = 1; i < saga->act_count && saga->open > 0; i++) {
            if (is_pending(saga, &saga->acts[i])) {
                fill_approval(saga, i, &info);
                if (!each(context, &info)) {
                    return;
                }
            }
        }
    }
}

static sp_status find_pending(const struct sp_saga *saga, uint32_t *ret_at,
                              struct sp_error *error) {
    uint32_t found = SP_NONE;
    for (uint32_t i = 1; i < saga->act_count; i++) {
        if (is_pending(saga, &saga->acts[i])) {
            if (found != SP_NONE) {
                return sp_error_set(error, SP_CONFLICT,
                                    "several approvals of the saga are pending: name the step");
            }
            found = i;
        }
    }
    *ret_at = found;
    return SP_OK;
}

sp_status sp_sagas_find_approval(const struct sp_sagas *sagas, sp_str id,
                                 struct sp_saga_approval_info *ret_info, struct sp_error *error) {
    struct sp_command_id command;
    sp_str sagaid = id.len > SP_UUID_TEXT_SIZE ? sp_str_of(id.ptr, SP_UUID_TEXT_SIZE) : id;
    const struct sp_saga *saga = sp_sagas_get_text(sagas, sagaid);
    uint32_t at = SP_NONE;
    sp_status status = SP_OK;
    if (saga != NULL && id.len == SP_UUID_TEXT_SIZE) {
        status = find_pending(saga, &at, error);
    } else if (saga != NULL && sp_command_id_parse(id, &command) && !command.is_undo) {
        at = sp_saga_find_path(saga, command.path);
        at = at != SP_NONE && saga->acts[at].attempt == command.attempt ? at : SP_NONE;
    } else if (saga != NULL && id.ptr[SP_UUID_TEXT_SIZE] == '/') {
        at = sp_saga_find_path(saga, sp_str_from_byte(id, SP_UUID_TEXT_SIZE + 1));
    }
    if (status != SP_OK) {
        return status;
    }
    if (at == SP_NONE || !is_pending(saga, &saga->acts[at])) {
        return sp_error_set(error, SP_NOT_FOUND, "no approval '%.*s' of a saga is pending",
                            SP_STR_ARG(id));
    }
    fill_approval(saga, at, ret_info);
    return SP_OK;
}

/* ---- numbers ---- */

static uint64_t memory_of(const struct sp_saga *saga) {
    enum { ALLOCATION = 16 };
    uint64_t origin = (uint64_t)saga->correlation_len + saga->started_id_len;
    return sizeof(*saga) + ALLOCATION + saga->act_capacity * sizeof(*saga->acts) + ALLOCATION +
           (origin > 0 ? origin + ALLOCATION : 0);
}

void sp_sagas_stats(const struct sp_sagas *sagas, struct sp_sagas_stats *ret_stats) {
    struct sp_sagas_stats stats = {.running = sagas->count,
                                   .stuck = sagas->stuck,
                                   .timers = sagas->timers.count,
                                   .starts = sagas->start_count - sagas->start_at};
    for (uint32_t at = sagas->head; at != SP_NONE; at = sagas->slots[at]->next) {
        const struct sp_saga *saga = sagas->slots[at];
        stats.waiting += saga->phase == SP_SAGA_PHASE_WAITING;
        stats.memory_bytes += memory_of(saga);
    }
    stats.memory_bytes += sagas->slot_capacity * (sizeof(void *) + sizeof(uint32_t)) +
                          ((uint64_t)sagas->by_id.mask + 1) * sizeof(uint64_t) +
                          sagas->timers.capacity * sizeof(struct sp_timer);
    *ret_stats = stats;
}
