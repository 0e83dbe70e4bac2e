/*
 * What is to be done, taken out of the queues, and done: the part's operations.
 *
 * A work names an activation and what was to be done about it; whether that still holds is looked
 * at again when it is asked and acted upon. `a` is slot and serial of the saga, `b` the activation,
 * `c` its generation; for events that are to begin sagas, and answers to be recorded, `a` is their
 * number in their queue.
 */
#include "flow/saga_int.h"

#include <stdlib.h>

#include "event/event_json.h"

static const sp_str nothing = {.ptr = NULL, .len = 0};

/* ---- what is next ---- */

static void ring(struct sp_sagas *sagas, uint64_t now_us) {
    struct sp_timer timer;
    while (sp_timers_take(&sagas->timers, now_us, &timer)) {
        struct sp_saga *saga = sp_sagas_at(sagas, (uint32_t)(timer.a >> 32), (uint32_t)timer.a);
        if (saga == NULL || timer.b >= saga->act_count ||
            saga->acts[timer.b].generation != timer.generation) {
            sp_timers_dropped_came(&sagas->timers);
            continue;
        }
        saga->acts[timer.b].flags |= SP_ACT_IS_FIRED;
        sp_act_hint(sagas, saga, timer.b);
    }
}

/* The program that is run before what is to be done. */
static sp_str program_of(const struct sp_saga *saga, const struct sp_act *act,
                         enum sp_saga_todo todo) {
    const struct sp_saga_node *node = sp_act_node(saga, act);
    if (todo == SP_TODO_BEGIN) {
        return saga->version->begin[act->node];
    }
    if (todo == SP_TODO_CLOSE) {
        return node->output;
    }
    return todo == SP_TODO_UNDO ? node->compensation->input : nothing;
}

static bool next_hint(struct sp_sagas *sagas, uint64_t now_us, struct sp_flow_work *ret_work) {
    while (sagas->hint_count > 0) {
        struct sp_saga_hint hint = sagas->hints[sagas->hint_at];
        sagas->hint_at = (sagas->hint_at + 1) & (sagas->hint_capacity - 1);
        sagas->hint_count--;
        struct sp_saga *saga = sp_sagas_at(sagas, hint.slot, hint.serial);
        if (saga == NULL) {
            continue;
        }
        struct sp_act *act = &saga->acts[hint.act];
        act->flags &= (uint8_t)~SP_ACT_IS_QUEUED;
        enum sp_saga_todo todo = sp_saga_todo(saga, hint.act, now_us);
        if (todo == SP_TODO_NOTHING) {
            continue;
        }
        *ret_work = (struct sp_flow_work){.kind = todo,
                                          .a = (uint64_t)hint.slot << 32 | hint.serial,
                                          .b = hint.act,
                                          .c = act->generation,
                                          .program = program_of(saga, act, todo)};
        return true;
    }
    return false;
}

static bool next_start(struct sp_sagas *sagas, struct sp_flow_work *ret_work) {
    uint64_t first = sagas->start_base + sagas->start_at;
    uint64_t at = sagas->start_next > first ? sagas->start_next : first;
    for (; at < sagas->start_base + sagas->start_count; at++) {
        const struct sp_saga_pending *start = &sagas->starts[at - sagas->start_base];
        if (!start->is_gone) {
            sagas->start_next = at + 1;
            *ret_work = (struct sp_flow_work){
                .kind = SP_TODO_START, .a = at, .program = start->version->start};
            return true;
        }
    }
    return false;
}

static bool next_ignored(struct sp_sagas *sagas, struct sp_flow_work *ret_work) {
    uint64_t first = sagas->ignored_base + sagas->ignored_at;
    uint64_t at = sagas->ignored_next > first ? sagas->ignored_next : first;
    for (; at < sagas->ignored_base + sagas->ignored_count; at++) {
        if (!sagas->ignored[at - sagas->ignored_base].is_gone) {
            sagas->ignored_next = at + 1;
            *ret_work = (struct sp_flow_work){.kind = SP_TODO_IGNORE, .a = at};
            return true;
        }
    }
    return false;
}

static bool sagas_next(void *self, uint64_t now_us, struct sp_flow_work *ret_work) {
    struct sp_sagas *sagas = self;
    ring(sagas, now_us);
    sagas->turn++;
    if (sagas->turn % 2 == 0 && next_start(sagas, ret_work)) { /* neither keeps the other away */
        return true;
    }
    return next_hint(sagas, now_us, ret_work) || next_start(sagas, ret_work) ||
           next_ignored(sagas, ret_work);
}

static struct sp_saga *saga_of(const struct sp_sagas *sagas, const struct sp_flow_work *work) {
    struct sp_saga *saga = sp_sagas_at(sagas, (uint32_t)(work->a >> 32), (uint32_t)work->a);
    return saga != NULL && work->b < saga->act_count ? saga : NULL;
}

static void sagas_back(void *self, const struct sp_flow_work *work) {
    struct sp_sagas *sagas = self;
    if (work->kind == SP_TODO_START) {
        sagas->start_next = work->a < sagas->start_next ? work->a : sagas->start_next;
    } else if (work->kind == SP_TODO_IGNORE) {
        sagas->ignored_next = work->a < sagas->ignored_next ? work->a : sagas->ignored_next;
    } else {
        struct sp_saga *saga = saga_of(sagas, work);
        if (saga != NULL) {
            sp_act_hint(sagas, saga, (uint32_t)work->b);
        }
    }
}

static uint64_t sagas_due(const void *self) {
    const struct sp_sagas *sagas = self;
    uint64_t start = sagas->start_base + sagas->start_count;
    uint64_t ignored = sagas->ignored_base + sagas->ignored_count;
    bool has_start = sagas->start_count > 0 && sagas->start_next < start;
    bool has_ignored = sagas->ignored_count > 0 && sagas->ignored_next < ignored;
    return sagas->hint_count > 0 || has_start || has_ignored ? 0 : sp_timers_due(&sagas->timers);
}

/* ---- what it is about ---- */

/* The saga and activation of a work that is still to be done; NULL: no longer. */
static struct sp_saga *find_todo(const struct sp_sagas *sagas, const struct sp_flow_work *work) {
    struct sp_saga *saga = saga_of(sagas, work);
    uint32_t at = (uint32_t)work->b;
    if (saga == NULL || saga->acts[at].generation != work->c) {
        return NULL;
    }
    /* Its time had come when it was taken; clocks that go back since do not matter. */
    uint64_t now_us = work->kind == SP_TODO_ESCALATE ? saga->acts[at].escalate_us : UINT64_MAX;
    return sp_saga_todo(saga, at, now_us) == (enum sp_saga_todo)work->kind ? saga : NULL;
}

static const struct sp_saga_pending *find_start(const struct sp_sagas *sagas, uint64_t number) {
    if (number < sagas->start_base + sagas->start_at ||
        number >= sagas->start_base + sagas->start_count) {
        return NULL;
    }
    const struct sp_saga_pending *start = &sagas->starts[number - sagas->start_base];
    return start->is_gone ? NULL : start;
}

static const struct sp_saga_ignored *find_ignored(const struct sp_sagas *sagas, uint64_t number) {
    if (number < sagas->ignored_base + sagas->ignored_at ||
        number >= sagas->ignored_base + sagas->ignored_count) {
        return NULL;
    }
    const struct sp_saga_ignored *ignored = &sagas->ignored[number - sagas->ignored_base];
    return ignored->is_gone ? NULL : ignored;
}

static sp_status gone(struct sp_error *error) {
    return sp_error_set(error, SP_NOT_FOUND, "it is no longer to be done");
}

/* ---- ask ---- */

/* A program over a step that is to be undone sees its data, result and error too. */
static sp_status ask_undo(struct sp_sagas *sagas, const struct sp_saga *saga, uint32_t at,
                          const struct sp_flow_ports *ports, struct sp_buf *to,
                          struct sp_error *error) {
    sp_status status = sp_saga_write_context(sagas, saga, at, false, ports, to, error);
    if (status != SP_OK) {
        return status;
    }
    to->len--; /* the closing brace */
    sp_buf_add_byte(to, ',');
    status = sp_act_write_undo_data(sagas, saga, at, ports, true, to, error);
    sp_json_close(to);
    return status;
}

static sp_status sagas_ask(void *self, const struct sp_flow_work *work,
                           const struct sp_flow_ports *ports, struct sp_buf *to,
                           struct sp_error *error) {
    struct sp_sagas *sagas = self;
    sp_status status = SP_OK;
    if (work->kind == SP_TODO_START) {
        const struct sp_saga_pending *start = find_start(sagas, work->a);
        struct sp_event event;
        if (start == NULL) {
            return gone(error);
        }
        status = sp_saga_read(ports, start->position, &event, error);
        if (status == SP_OK) {
            sp_event_to_json(&event, NULL, to);
        }
    } else {
        struct sp_saga *saga = find_todo(sagas, work);
        if (saga == NULL) {
            return gone(error);
        }
        status = work->kind == SP_TODO_UNDO
                     ? ask_undo(sagas, saga, (uint32_t)work->b, ports, to, error)
                     : sp_saga_write_context(sagas, saga, (uint32_t)work->b,
                                             work->kind == SP_TODO_CLOSE, ports, to, error);
    }
    return status == SP_OK && to->status != SP_OK
               ? sp_error_set(error, to->status, "what the program would see is too large")
               : status;
}

/* ---- act ---- */

static sp_status (*const acts[])(struct sp_saga_turn *turn) = {
    [SP_TODO_BEGIN] = sp_saga_act_begin,
    [SP_TODO_RETRY] = sp_saga_act_retry,
    [SP_TODO_RECORD] = sp_saga_act_record,
    [SP_TODO_TIME_OUT] = sp_saga_act_time_out,
    [SP_TODO_ESCALATE] = sp_saga_act_escalate,
    [SP_TODO_CANCEL] = sp_saga_act_cancel,
    [SP_TODO_CLOSE] = sp_saga_act_close,
    [SP_TODO_COMPENSATE] = sp_saga_act_compensate,
    [SP_TODO_UNDO] = sp_saga_act_undo,
    [SP_TODO_UNDO_RETRY] = sp_saga_act_undo_retry,
    [SP_TODO_UNDO_RECORD] = sp_saga_act_undo_record,
    [SP_TODO_UNDO_TIME_OUT] = sp_saga_act_undo_time_out,
    [SP_TODO_END] = sp_saga_act_end,
};

static sp_status act_on(struct sp_sagas *sagas, const struct sp_flow_work *work,
                        const struct sp_flow_now *now, struct sp_flow_out *out,
                        struct sp_error *error) {
    struct sp_saga *saga = find_todo(sagas, work);
    if (saga == NULL) {
        return gone(error);
    }
    struct sp_saga_turn turn;
    turn.sagas = sagas;
    turn.saga = saga;
    turn.at = (uint32_t)work->b;
    turn.act = &saga->acts[turn.at];
    turn.node = sp_act_node(saga, turn.act);
    turn.now = now;
    turn.out = out;
    turn.error = error;
    turn.step = sp_str_of(turn.path, sp_act_path_text(saga, turn.at, turn.path));
    sp_uuid_format(saga->id, turn.id);
    return acts[work->kind](&turn);
}

static sp_status sagas_act(void *self, const struct sp_flow_work *work,
                           const struct sp_flow_now *now, struct sp_flow_out *out,
                           struct sp_error *error) {
    struct sp_sagas *sagas = self;
    sp_status status = SP_OK;
    if (work->kind == SP_TODO_START) {
        const struct sp_saga_pending *start = find_start(sagas, work->a);
        status = start == NULL ? gone(error) : sp_saga_act_start(sagas, start, now, out, error);
    } else if (work->kind == SP_TODO_IGNORE) {
        const struct sp_saga_ignored *ignored = find_ignored(sagas, work->a);
        status =
            ignored == NULL ? gone(error) : sp_saga_act_ignore(sagas, ignored, now, out, error);
    } else {
        sp_require(work->kind > SP_TODO_NOTHING && work->kind <= SP_TODO_END);
        status = act_on(sagas, work, now, out, error);
    }
    return status == SP_OK ? sp_flow_out_status(out) : status;
}

/* ---- apply ---- */

static sp_status sagas_apply(void *self, const struct sp_event *event, struct sp_error *error) {
    struct sp_sagas *sagas = self;
    sp_str stream = event->attr[SP_ATTR_STREAM];
    sagas->failed = SP_OK;
    if (sp_str_starts_with(stream, SP_STR("saga:"))) {
        sp_sagas_fold_own(sagas, event);
    } else if (sp_str_eq(stream, SP_STR("$sagas"))) {
        sp_sagas_fold_definition(sagas, event);
    } else if (sp_str_eq(event->attr[SP_ATTR_TYPE], SP_STR("action.approved")) ||
               sp_str_eq(event->attr[SP_ATTR_TYPE], SP_STR("action.vetoed"))) {
        sp_sagas_fold_decision(sagas, event);
    } else if (event->attr[SP_ATTR_CAUSATION].len > 0) {
        sp_sagas_fold_answer(sagas, event);
    }
    if (sagas->watch->matched_count > 0 && sagas->failed == SP_OK) {
        sp_sagas_fold_watched(sagas, event);
    }
    return sagas->failed == SP_OK ? SP_OK
                                  : sp_error_set(error, sagas->failed, "out of memory for sagas");
}

/* ---- the part ---- */

sp_status sp_sagas_new(struct sp_watch *watch, struct sp_sagas **ret_sagas) {
    struct sp_sagas *sagas = calloc(1, sizeof(*sagas));
    if (sagas == NULL) {
        return SP_NO_MEMORY;
    }
    sagas->watch = watch;
    sagas->slot_free = SP_NONE;
    sagas->head = SP_NONE;
    sagas->tail = SP_NONE;
    sagas->wait_free = SP_NONE;
    sp_htab_init(&sagas->by_id);
    sp_htab_init(&sagas->by_name);
    sp_htab_init(&sagas->by_key);
    sp_htab_init(&sagas->by_ended);
    sp_timers_init(&sagas->timers);
    sp_buf_init(&sagas->scratch, 64 << 20);
    sp_buf_init(&sagas->scratch_more, 64 << 20);
    *ret_sagas = sagas;
    return SP_OK;
}

void sp_sagas_free(struct sp_sagas *sagas) {
    if (sagas == NULL) {
        return;
    }
    for (uint32_t i = 0; i < sagas->slot_count; i++) {
        if (sagas->slots[i] != NULL) {
            sp_saga_fini(sagas->slots[i]);
        }
    }
    for (uint32_t i = 0; i < sagas->wait_count; i++) {
        free(sagas->waits[i].key);
    }
    sp_sagas_free_versions(sagas);
    sp_htab_fini(&sagas->by_id);
    sp_htab_fini(&sagas->by_name);
    sp_htab_fini(&sagas->by_key);
    sp_htab_fini(&sagas->by_ended);
    sp_timers_fini(&sagas->timers);
    sp_buf_fini(&sagas->scratch);
    sp_buf_fini(&sagas->scratch_more);
    free(sagas->slots);
    free(sagas->free_next);
    free(sagas->watchers);
    free(sagas->waits);
    free(sagas->starts);
    free(sagas->ignored);
    free(sagas->ended);
    free(sagas->hints);
    free(sagas->stack);
    free(sagas);
}

static uint64_t part_oldest(const void *self) {
    return sp_sagas_oldest(self);
}

static uint64_t part_hash(const void *self) {
    return sp_sagas_hash(self);
}

static void part_encode(const void *self, struct sp_buf *to) {
    sp_sagas_encode(self, to);
}

static sp_status part_restore(void *self, struct sp_wire *wire) {
    return sp_sagas_restore(self, wire);
}

const struct sp_flow_part_ops sp_sagas_part = {
    .name = "sagas",
    .apply = sagas_apply,
    .next = sagas_next,
    .back = sagas_back,
    .ask = sagas_ask,
    .act = sagas_act,
    .due = sagas_due,
    .oldest = part_oldest,
    .hash = part_hash,
    .encode = part_encode,
    .restore = part_restore,
};
