#include "sim/saga_model.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/time.h"
#include "sim/saga_model_int.h"

enum { GRACE_US = 30000000 };

const char *saga_phase_name(enum saga_phase phase) {
    static const char *const NAMES[] = {"running",   "failing",     "undoing",
                                        "completed", "compensated", "cancelled"};
    return NAMES[phase];
}

bool saga_model_wrong(struct saga_model *m, const char *format, ...) {
    if (m->wrong[0] == '\0') {
        int len = snprintf(m->wrong, sizeof(m->wrong), "saga %s, event %llu: ", m->plan->name,
                           (unsigned long long)m->last_position);
        va_list args;
        va_start(args, format);
        (void)vsnprintf(m->wrong + len, sizeof(m->wrong) - (size_t)len, format, args);
        va_end(args);
    }
    return false;
}

/* ---- what an event says ---------------------------------------------------------------------- */

/* The raw JSON of a member of the event's data; empty where there is none. */
static sp_str member(const struct sp_event *event, const char *name) {
    struct sp_json json;
    sp_json_init(&json, event->data);
    struct sp_json_token token = sp_json_next(&json);
    for (token = sp_json_next(&json); token.type == SP_JSON_KEY; token = sp_json_next(&json)) {
        bool found = sp_json_equal(token, sp_str_from(name));
        sp_str value = sp_json_skip(&json, sp_json_next(&json));
        if (found) {
            return value;
        }
    }
    return (sp_str){.ptr = NULL, .len = 0};
}

/* A text in it, without its quotes; no text of a saga's own has escapes. */
static sp_str text(const struct sp_event *event, const char *name) {
    sp_str raw = member(event, name);
    return raw.len >= 2 && raw.ptr[0] == '"' ? sp_str_of(raw.ptr + 1, raw.len - 2)
                                             : (sp_str){.ptr = NULL, .len = 0};
}

static bool says(const struct sp_event *event, const char *name, const char *value) {
    return sp_str_eq(text(event, name), sp_str_from(value));
}

static bool truth(const struct sp_event *event, const char *name) {
    return sp_str_eq(member(event, name), SP_STR("true"));
}

static uint32_t number(const struct sp_event *event, const char *name) {
    sp_str raw = member(event, name);
    return raw.len == 0 ? 0 : (uint32_t)sp_json_number(raw);
}

/* A time in it; 0 where there is none. */
static uint64_t moment(const struct sp_event *event, const char *name) {
    uint64_t us;
    sp_str raw = text(event, name);
    return raw.len > 0 && sp_time_parse(raw, false, &us, NULL) == SP_OK ? us : 0;
}

/*
 * When the time runs out that the event begins. In an engine the moment at which something is
 * decided lies a little before the one at which it is recorded: there the event's word is taken.
 */
static uint64_t due_of(const struct saga_model *m, const struct sp_event *event, uint64_t due_us) {
    for (uint16_t i = 0; i < event->extension_count && m->takes_word; i++) {
        if (sp_str_eq(event->extensions[i].name, SP_STR("dueus"))) {
            return (uint64_t)sp_json_number(event->extensions[i].value);
        }
    }
    return due_us;
}

static bool is(const struct sp_event *event, const char *type) {
    return sp_str_eq(event->attr[SP_ATTR_TYPE], sp_str_from(type));
}

static bool ends(const struct sp_event *event, const char *with) {
    return sp_str_ends_with(event->attr[SP_ATTR_TYPE], sp_str_from(with));
}

/* ---- the saga as a whole --------------------------------------------------------------------- */

bool saga_model_is_over(const struct saga_model *m) {
    return m->phase >= SAGA_COMPLETED;
}

bool saga_model_is_stuck(const struct saga_model *m) {
    for (int i = 1; i < m->plan->count; i++) {
        if (m->states[i].forward == SAGA_STUCK || m->states[i].undo == SAGA_UNDO_STUCK) {
            return !saga_model_is_over(m);
        }
    }
    return false;
}

/* A step has failed for good. */
static void fail(struct saga_model *m, int at, enum saga_forward how) {
    if (m->phase == SAGA_RUNNING && (m->pivoted || m->plan->pauses)) {
        m->states[at].forward = SAGA_STUCK;
        m->states[at].told = false;
        return;
    }
    m->states[at].forward = how;
    if (m->phase == SAGA_RUNNING) {
        m->phase = SAGA_FAILING;
        m->culprit = at;
    }
}

/* Its retries are over where the saga is failing. */
static bool has_attempts(const struct saga_model *m, int at) {
    const struct saga_step *step = step_of(m, at);
    return m->phase == SAGA_RUNNING && (step->limit == 0 || m->states[at].tries < step->limit);
}

static void backoff(struct saga_model *m, int at, uint64_t now_us) {
    uint64_t wait_us = step_of(m, at)->backoff_us;
    for (uint32_t i = 1; i < m->states[at].tries && wait_us < 60000000; i++) {
        wait_us *= 2;
    }
    m->states[at].forward = SAGA_BACKOFF;
    m->states[at].due_us = now_us + (wait_us > 60000000 ? 60000000 : wait_us);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void note_ignored(struct saga_model *m, const struct sp_event *event) {
    m->answers++;
    if (m->ignored + m->owed_count >= SAGA_IGNORED_MAX) {
        return;
    }
    if (m->owed_count == SAGA_OWED_MAX) {
        (void)saga_model_wrong(m, "%d answers wait to be recorded as ignored", SAGA_OWED_MAX);
        return;
    }
    (void)snprintf(m->owed[m->owed_count++], sizeof(m->owed[0]), "%.*s",
                   SP_STR_ARG(event->attr[SP_ATTR_ID]));
}

/* `<path>:<attempt>` or `<path>~<attempt>` behind the saga's id. */
static int command_of(const struct saga_model *m, sp_str id, bool *ret_undo,
                      uint32_t *ret_attempt) {
    size_t skip = strlen(m->id) + 1;
    size_t at = id.len;
    uint32_t attempt = 0;
    uint32_t scale = 1;
    while (at > skip && id.ptr[at - 1] >= '0' && id.ptr[at - 1] <= '9') {
        attempt += (uint32_t)(id.ptr[--at] - '0') * scale;
        scale *= 10;
    }
    if (at <= skip) {
        return SAGA_NONE;
    }
    *ret_undo = id.ptr[at - 1] == '~';
    *ret_attempt = attempt;
    return saga_plan_find(m->plan, sp_str_of(id.ptr + skip, at - 1 - skip));
}

static enum saga_answer answer_of(const struct sp_event *event) {
    if (ends(event, ".completed")) {
        return SAGA_YES;
    }
    bool final = event->data_is_json && sp_str_eq(member(event, "retryable"), SP_STR("false"));
    return final ? SAGA_NEVER : SAGA_NO;
}

/* Somebody's event that names a command of the saga's as its cause. */
static void take_answer(struct saga_model *m, const struct sp_event *event) {
    bool undo = false;
    uint32_t attempt = 0;
    int at = command_of(m, event->attr[SP_ATTR_CAUSATION], &undo, &attempt);
    if (at == SAGA_NONE) {
        note_ignored(m, event);
        return;
    }
    struct saga_state *state = &m->states[at];
    bool waits = undo ? state->undo == SAGA_UNDO_STARTED && attempt == state->undo_attempt
                      : state->forward == SAGA_STARTED && attempt == state->attempt;
    if (!waits || saga_model_is_over(m) || state->answer != SAGA_NO_ANSWER) {
        note_ignored(m, event);
        return;
    }
    if (step_of(m, at)->kind == SAGA_APPROVAL) {
        state->answer = is(event, "action.approved") ? SAGA_YES : SAGA_NO;
        if (event->recorded_us >= state->due_us) {
            state->answer = SAGA_NO_ANSWER;
            note_ignored(m, event);
            return;
        }
    } else {
        state->answer = answer_of(event);
    }
    m->answers++;
    (void)snprintf(state->answer_id, sizeof(state->answer_id), "%.*s",
                   SP_STR_ARG(event->attr[SP_ATTR_ID]));
}

/* An event that steps wait for. The first one counts. */
static void take_awaited(struct saga_model *m, const struct sp_event *event) {
    for (int i = 1; i < m->plan->count; i++) {
        char type[48];
        (void)snprintf(type, sizeof(type), "event.%s", step_of(m, i)->name);
        struct saga_state *state = &m->states[i];
        if (step_of(m, i)->kind == SAGA_AWAIT && is(event, type) &&
            state->forward == SAGA_STARTED && state->answer == SAGA_NO_ANSWER &&
            !state->told_to_stop && !saga_model_is_over(m)) {
            state->answer = SAGA_YES;
            (void)snprintf(state->answer_id, sizeof(state->answer_id), "%.*s",
                           SP_STR_ARG(event->attr[SP_ATTR_ID]));
        }
    }
}

/* What tells of an answer names it as its cause, and tells it once. */
static bool settles(struct saga_model *m, int at, const struct sp_event *event) {
    struct saga_state *state = &m->states[at];
    if (!sp_str_eq(event->attr[SP_ATTR_CAUSATION], sp_str_from(state->answer_id))) {
        return saga_model_wrong(m, "%s tells of another answer than %s", step_of(m, at)->path,
                                state->answer_id);
    }
    state->answer = SAGA_NO_ANSWER;
    state->answer_id[0] = '\0';
    return true;
}

/* ---- its own events, going forward ----------------------------------------------------------- */

static bool on_started(struct saga_model *m, int at, const struct sp_event *event) {
    const struct saga_step *step = step_of(m, at);
    struct saga_state *state = &m->states[at];
    if (!is_leaf(m, at)) {
        if (!saga_is_told(m, at) || state->opened || m->phase != SAGA_RUNNING || step->skipped ||
            !saga_has_turn(m, at)) {
            return saga_model_wrong(m, "container %s begins where it may not", step->path);
        }
        state->opened = true;
        return true;
    }
    if (m->phase != SAGA_RUNNING) { /* S3 */
        return saga_model_wrong(m, "%s begins although the saga is %s", step->path,
                                saga_phase_name(m->phase));
    }
    if (step->kind == SAGA_ACTION && (m->command != at || m->command_undo)) {
        return saga_model_wrong(m, "%s begins without its command", step->path);
    }
    if (step->kind == SAGA_ACTION && step->compensable &&
        text(event, "compensation").len == 0) { /* S1: armed */
        return saga_model_wrong(m, "%s begins with no compensation armed", step->path);
    }
    bool first = state->forward == SAGA_IDLE;
    bool again = state->forward == SAGA_BACKOFF;
    if ((!first && !again) || step->skipped || !saga_has_turn(m, at)) {
        return saga_model_wrong(m, "%s begins where it may not (state %d)", step->path,
                                (int)state->forward);
    }
    if (again && event->recorded_us < state->due_us) {
        return saga_model_wrong(m, "%s is tried again too early", step->path);
    }
    uint32_t attempt = number(event, "attempt");
    if (step->kind == SAGA_ACTION && attempt != state->attempt + 1) {
        return saga_model_wrong(m, "attempt %u of %s follows attempt %u", attempt, step->path,
                                state->attempt);
    }
    state->attempt++;
    state->tries++;
    state->forward = SAGA_STARTED;
    state->due_us = due_of(m, event, event->recorded_us + step->timeout_us);
    uint64_t told_us = moment(event, "timeout_at");
    if (step->kind == SAGA_ACTION && told_us != state->due_us) {
        return saga_model_wrong(m, "%s has another timeout_at", step->path);
    }
    return true;
}

static bool on_skipped(struct saga_model *m, int at, const struct sp_event *event) {
    const struct saga_step *step = step_of(m, at);
    if (says(event, "reason", "operator")) {
        return true; /* saga.attention.resolved has done it */
    }
    if (!step->skipped || m->phase != SAGA_RUNNING || m->states[at].forward != SAGA_IDLE ||
        !saga_has_turn(m, at)) {
        return saga_model_wrong(m, "%s is skipped where it may not be", step->path);
    }
    m->states[at].forward = SAGA_SKIPPED;
    return true;
}

static bool close_container(struct saga_model *m, int at) {
    if (m->states[at].closed || !m->states[at].opened || !saga_is_all_done(m, at) ||
        m->phase != SAGA_RUNNING) {
        return saga_model_wrong(m, "container %s is complete too early, or twice",
                                step_of(m, at)->path);
    }
    m->states[at].closed = true;
    return true;
}

static bool on_completed(struct saga_model *m, int at, const struct sp_event *event) {
    const struct saga_step *step = step_of(m, at);
    struct saga_state *state = &m->states[at];
    if (!is_leaf(m, at)) {
        return close_container(m, at);
    }
    bool by_time =
        step->kind == SAGA_WAIT ||
        (step->kind == SAGA_AWAIT && step->timeout_continues && state->answer == SAGA_NO_ANSWER);
    bool at_once = step->kind == SAGA_EMIT;
    if (state->forward == SAGA_DONE && state->told) { /* done by hand: told once more */
        state->told = false;
        return true;
    }
    if (state->forward != SAGA_STARTED) {
        return saga_model_wrong(m, "%s is complete and was not running", step->path);
    }
    if (by_time ? event->recorded_us < state->due_us : !at_once && state->answer != SAGA_YES) {
        return saga_model_wrong(m, "%s is complete and nobody said so", step->path);
    }
    if (!by_time && !at_once && !settles(m, at, event)) {
        return false;
    }
    state->forward = SAGA_DONE;
    if (step->pivot) { /* it wins over whatever had come meanwhile */
        m->pivoted = true;
        m->phase = SAGA_RUNNING;
        m->by_cancel = false;
        m->by_time = false;
    }
    return true;
}

/* Whether the event says rightly that there will be another attempt. */
static bool goes_on(struct saga_model *m, int at, bool again, const struct sp_event *event) {
    uint64_t told_us = moment(event, "retry_at");
    if (again) {
        backoff(m, at, event->recorded_us);
        m->states[at].due_us = due_of(m, event, m->states[at].due_us);
        if (step_of(m, at)->limit == 0) { /* by the definition's own default, with jitter */
            m->states[at].due_us = told_us == 0 ? 1 : told_us;
        }
    }
    if (told_us != (again ? m->states[at].due_us : 0)) {
        return saga_model_wrong(m, "%s should%s be tried again, at %llu and not at %llu",
                                step_of(m, at)->path, again ? "" : " not",
                                (unsigned long long)m->states[at].due_us,
                                (unsigned long long)told_us);
    }
    return true;
}

static bool on_failed(struct saga_model *m, int at, const struct sp_event *event) {
    struct saga_state *state = &m->states[at];
    if (!is_leaf(m, at)) {
        return saga_model_wrong(m, "container %s fails by itself", step_of(m, at)->path);
    }
    if (state->forward != SAGA_STARTED ||
        (state->answer != SAGA_NO && state->answer != SAGA_NEVER)) {
        return saga_model_wrong(m, "%s fails and nobody said so", step_of(m, at)->path);
    }
    bool again = state->answer == SAGA_NO && has_attempts(m, at) && !state->told_to_stop;
    if (!settles(m, at, event) || !goes_on(m, at, again, event)) {
        return false;
    }
    if (!again) {
        fail(m, at, SAGA_FAILED);
    }
    return true;
}

static bool on_timed_out(struct saga_model *m, int at, const struct sp_event *event) {
    const struct saga_step *step = step_of(m, at);
    struct saga_state *state = &m->states[at];
    if (state->forward != SAGA_STARTED || state->answer != SAGA_NO_ANSWER ||
        event->recorded_us < state->due_us) { /* S5 */
        return saga_model_wrong(m, "%s runs out of time where it does not", step->path);
    }
    if (step->kind != SAGA_ACTION) {
        if (step->timeout_continues) {
            state->forward = SAGA_DONE;
        } else {
            fail(m, at, SAGA_FAILED);
        }
        return true;
    }
    bool again = has_attempts(m, at) && !step->at_most_once && !state->told_to_stop;
    state->doubtful = true;
    if (!goes_on(m, at, again, event)) {
        return false;
    }
    if (!again) {
        fail(m, at, SAGA_UNKNOWN);
    }
    return true;
}

/* The time of the saga as a whole; behind the pivot it does not count. */
static bool on_saga_timed_out(struct saga_model *m, const struct sp_event *event) {
    if (m->phase != SAGA_RUNNING || m->pivoted || m->deadline_us == 0 ||
        event->recorded_us < m->deadline_us) {
        return saga_model_wrong(m, "it runs out of time where it does not");
    }
    m->phase = SAGA_FAILING;
    m->by_time = true;
    return true;
}

/* Who is under way is told to stop when the saga fails, and only once. */
static bool on_cancelled(struct saga_model *m, int at, const struct sp_event *event) {
    struct saga_state *state = &m->states[at];
    bool pauses = state->forward == SAGA_BACKOFF;
    if (m->phase != SAGA_FAILING || state->told_to_stop || state->answer != SAGA_NO_ANSWER ||
        (state->forward != SAGA_STARTED && !pauses)) {
        return saga_model_wrong(m, "%s is told to stop where it should not", step_of(m, at)->path);
    }
    state->told_to_stop = true;
    if (step_of(m, at)->kind != SAGA_ACTION || pauses) { /* nobody has anything in hand */
        state->forward = state->doubtful ? SAGA_UNKNOWN : SAGA_FAILED;
        return true;
    }
    uint64_t grace_us = event->recorded_us + GRACE_US;
    state->due_us = due_of(m, event, state->due_us < grace_us ? state->due_us : grace_us);
    return true;
}

/* ---- approvals ------------------------------------------------------------------------------- */

static bool on_requested(struct saga_model *m, int at, const struct sp_event *event) {
    struct saga_state *state = &m->states[at];
    const struct saga_step *step = step_of(m, at);
    if (step->kind != SAGA_APPROVAL || m->command != at || m->phase != SAGA_RUNNING ||
        (state->forward != SAGA_IDLE && state->forward != SAGA_BACKOFF) || step->skipped ||
        !saga_has_turn(m, at)) {
        return saga_model_wrong(m, "approval %s is asked for where it may not be", step->path);
    }
    state->forward = SAGA_STARTED;
    state->attempt++;
    state->due_us = due_of(m, event, event->recorded_us + step->timeout_us);
    return true;
}

static bool on_decided(struct saga_model *m, int at, bool granted, const struct sp_event *event) {
    const struct saga_step *step = step_of(m, at);
    struct saga_state *state = &m->states[at];
    bool by_time = truth(event, "on_timeout");
    if (state->forward != SAGA_STARTED) {
        return saga_model_wrong(m, "%s is decided and was not asked for", step->path);
    }
    if (by_time) {
        if (event->recorded_us < state->due_us || state->answer != SAGA_NO_ANSWER ||
            granted != step->timeout_continues || step->timeout_fails) {
            return saga_model_wrong(m, "%s is decided by time where it is not", step->path);
        }
    } else if (state->answer != (granted ? SAGA_YES : SAGA_NO)) {
        return saga_model_wrong(m, "%s is decided and nobody did", step->path);
    } else if (!settles(m, at, event)) {
        return false;
    }
    state->forward = SAGA_DONE;
    if (!granted && !step->rejection_continues) {
        fail(m, at, SAGA_FAILED);
    }
    return true;
}

/* ---- undoing --------------------------------------------------------------------------------- */

/* The steps it names are those that are to be undone, those of a sequence in reverse. */
static bool check_plan_of_undoing(struct saga_model *m, const struct sp_event *event) {
    struct sp_json json;
    sp_str steps = member(event, "steps");
    int told[SAGA_STEPS_MAX];
    int count = 0;
    sp_json_init(&json, steps);
    (void)sp_json_next(&json);
    for (struct sp_json_token token = sp_json_next(&json); token.type == SP_JSON_STRING;
         token = sp_json_next(&json)) {
        int at = saga_plan_find(m->plan, token.raw);
        if (at == SAGA_NONE || !saga_needs_undoing(m, at) || count == SAGA_STEPS_MAX) {
            return saga_model_wrong(m, "it means to undo %.*s", SP_STR_ARG(token.raw));
        }
        told[count++] = at;
    }
    int wanted = 0;
    for (int i = 1; i < m->plan->count; i++) {
        wanted += saga_needs_undoing(m, i) ? 1 : 0;
    }
    if (count != wanted) {
        return saga_model_wrong(m, "it means to undo %d steps instead of %d", count, wanted);
    }
    for (int a = 0; a < count; a++) {
        for (int b = a + 1; b < count; b++) {
            int common = step_of(m, told[b])->parent;
            if (told[a] == told[b]) {
                return saga_model_wrong(m, "it means to undo %s twice", step_of(m, told[a])->path);
            }
            while (!saga_is_inside(m, told[a], common)) {
                common = step_of(m, common)->parent;
            }
            if (step_of(m, common)->kind == SAGA_SEQUENCE && told[a] < told[b]) {
                return saga_model_wrong(m, "it means to undo %s before %s",
                                        step_of(m, told[a])->path, step_of(m, told[b])->path);
            }
        }
    }
    return true;
}

static bool on_compensation(struct saga_model *m, const struct sp_event *event) {
    if (m->phase != SAGA_FAILING || !saga_is_settled(m)) {
        return saga_model_wrong(m, "compensation begins while the saga is %s",
                                saga_phase_name(m->phase));
    }
    const char *reason = m->by_cancel ? "cancelled" : m->by_time ? "timed_out" : "failed";
    if (!says(event, "reason", reason)) {
        return saga_model_wrong(m, "compensation begins for another reason than %s", reason);
    }
    for (int i = 1; i < m->plan->count; i++) { /* what waited for a person */
        struct saga_state *state = &m->states[i];
        if (state->forward == SAGA_STUCK) {
            state->forward = state->doubtful ? SAGA_UNKNOWN : SAGA_FAILED;
        }
    }
    m->phase = SAGA_UNDOING;
    return check_plan_of_undoing(m, event);
}

static bool on_compensating(struct saga_model *m, int at, const struct sp_event *event) {
    const struct saga_step *step = step_of(m, at);
    struct saga_state *state = &m->states[at];
    if (m->command != at || !m->command_undo) {
        return saga_model_wrong(m, "%s is being undone without a command", step->path);
    }
    bool first = state->undo == SAGA_NOT_UNDONE;
    bool again = state->undo == SAGA_UNDO_BACKOFF && event->recorded_us >= state->due_us;
    if (m->phase != SAGA_UNDOING || !saga_needs_undoing(m, at) || !saga_has_undo_turn(m, at) ||
        (!first && !again)) { /* S1, S2 */
        return saga_model_wrong(m, "%s is being undone where it may not be", step->path);
    }
    if (number(event, "attempt") != state->undo_attempt + 1) {
        return saga_model_wrong(m, "a wrong attempt at undoing %s", step->path);
    }
    state->undo_attempt++;
    state->undo_tries++;
    state->undo = SAGA_UNDO_STARTED;
    state->due_us = due_of(m, event, event->recorded_us + step->undo_timeout_us);
    return true;
}

static bool on_compensated(struct saga_model *m, int at, const struct sp_event *event) {
    struct saga_state *state = &m->states[at];
    if (!says(event, "how", "worker")) {
        return state->undo == SAGA_UNDONE || state->undo == SAGA_UNDO_SKIPPED
                   ? true /* saga.attention.resolved has done it */
                   : saga_model_wrong(m, "%s is undone by nobody", step_of(m, at)->path);
    }
    if (state->undo != SAGA_UNDO_STARTED || state->answer != SAGA_YES) {
        return saga_model_wrong(m, "%s is undone and nobody said so", step_of(m, at)->path);
    }
    state->undo = SAGA_UNDONE;
    return settles(m, at, event);
}

static bool on_compensation_failed(struct saga_model *m, int at, const struct sp_event *event) {
    const struct saga_step *step = step_of(m, at);
    struct saga_state *state = &m->states[at];
    bool answered = state->answer == SAGA_NO || state->answer == SAGA_NEVER;
    bool late = state->answer == SAGA_NO_ANSWER && event->recorded_us >= state->due_us;
    if (state->undo != SAGA_UNDO_STARTED || (!answered && !late)) {
        return saga_model_wrong(m, "undoing %s fails and nobody said so", step->path);
    }
    bool again = state->answer != SAGA_NEVER &&
                 (step->undo_limit == 0 || state->undo_tries < step->undo_limit);
    if (answered && !settles(m, at, event)) {
        return false;
    }
    uint64_t told_us = moment(event, "retry_at");
    uint64_t wait_us = step->backoff_us << (state->undo_tries - 1 > 6 ? 6 : state->undo_tries - 1);
    uint64_t due_us =
        due_of(m, event, event->recorded_us + (wait_us > 60000000 ? 60000000 : wait_us));
    if (told_us != (again ? due_us : 0)) {
        return saga_model_wrong(m, "undoing %s should%s be tried again", step->path,
                                again ? "" : " not");
    }
    state->undo = again ? SAGA_UNDO_BACKOFF : SAGA_UNDO_STUCK;
    state->due_us = due_us;
    state->told = false;
    return true;
}

/* ---- people ---------------------------------------------------------------------------------- */

static bool on_attention(struct saga_model *m, int at, const struct sp_event *event) {
    struct saga_state *state = &m->states[at];
    bool undo = says(event, "phase", "compensation");
    bool stuck = undo ? state->undo == SAGA_UNDO_STUCK : state->forward == SAGA_STUCK;
    if (!stuck || state->told) {
        return saga_model_wrong(m, "%s needs no attention", step_of(m, at)->path);
    }
    state->told = true;
    return true;
}

static void resolve_forward(struct saga_model *m, int at, const struct sp_event *event) {
    struct saga_state *state = &m->states[at];
    state->told = false;
    if (says(event, "action", "retry")) {
        state->forward = SAGA_BACKOFF;
        state->tries = 0;
        state->due_us = event->recorded_us;
    } else if (says(event, "action", "skip")) {
        state->forward = SAGA_SKIPPED;
    } else if (says(event, "action", "mark_done")) {
        state->forward = SAGA_DONE;
        state->told = true;
        m->pivoted = m->pivoted || step_of(m, at)->pivot;
    } else {
        state->forward = state->doubtful ? SAGA_UNKNOWN : SAGA_FAILED;
        m->phase = SAGA_FAILING;
        m->culprit = at;
    }
}

static bool on_resolved(struct saga_model *m, int at, const struct sp_event *event) {
    struct saga_state *state = &m->states[at];
    if (state->forward == SAGA_STUCK && m->phase != SAGA_UNDOING) {
        resolve_forward(m, at, event);
        return true;
    }
    if (state->undo != SAGA_UNDO_STUCK) {
        return saga_model_wrong(m, "a person dealt with %s, which needs none",
                                step_of(m, at)->path);
    }
    state->undo = says(event, "action", "retry")  ? SAGA_UNDO_BACKOFF
                  : says(event, "action", "skip") ? SAGA_UNDO_SKIPPED
                                                  : SAGA_UNDONE;
    state->undo_tries = 0;
    state->due_us = event->recorded_us;
    return true;
}

static bool on_cancel(struct saga_model *m) {
    if (m->phase != SAGA_RUNNING || m->pivoted) {
        return saga_model_wrong(m, "it is cancelled while it is %s", saga_phase_name(m->phase));
    }
    m->phase = SAGA_FAILING;
    m->by_cancel = true;
    return true;
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* It names what was done and stays: irreversible, or a person said to leave it. */
static bool check_not_undone(struct saga_model *m, const struct sp_event *event) {
    sp_str told = member(event, "not_undone");
    for (int i = 1; i < m->plan->count; i++) {
        const struct saga_step *step = step_of(m, i);
        const struct saga_state *state = &m->states[i];
        char quoted[SAGA_PATH_SIZE + 2];
        int len = snprintf(quoted, sizeof(quoted), "\"%s\"", step->path);
        bool stays = ((step->irreversible || step->pivot) && saga_may_be_done(state)) ||
                     state->undo == SAGA_UNDO_SKIPPED;
        bool named = false;
        for (size_t k = 0; k + (size_t)len <= told.len && !named; k++) {
            named = memcmp(told.ptr + k, quoted, (size_t)len) == 0;
        }
        if (stays != named) {
            return saga_model_wrong(m, "%s should%s be named as not undone", step->path,
                                    stays ? "" : " not");
        }
    }
    return true;
}

static bool on_end(struct saga_model *m, enum saga_phase end, const struct sp_event *event) {
    bool right = end == SAGA_COMPLETED ? m->phase == SAGA_RUNNING && saga_is_passed(m, 0)
                                       : m->phase == SAGA_UNDOING && saga_is_undone(m, 0) &&
                                             m->by_cancel == (end == SAGA_CANCELLED);
    if (!right) {
        return saga_model_wrong(m, "it ends as %s while it is %s", saga_phase_name(end),
                                saga_phase_name(m->phase));
    }
    m->phase = end;
    return end == SAGA_COMPLETED || check_not_undone(m, event);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool on_ignored(struct saga_model *m, const struct sp_event *event) {
    for (uint32_t i = 0; i < m->owed_count; i++) {
        if (sp_str_eq(event->attr[SP_ATTR_CAUSATION], sp_str_from(m->owed[i])) ||
            says(event, "answer", m->owed[i])) {
            memmove(m->owed[i], m->owed[m->owed_count - 1], sizeof(m->owed[0]));
            m->owed_count--;
            m->ignored++;
            return true;
        }
    }
    return saga_model_wrong(m, "an answer is ignored that should not be, or twice"); /* S4 */
}

static bool on_step_event(struct saga_model *m, int at, const struct sp_event *event) {
    return is(event, "saga.step.started")               ? on_started(m, at, event)
           : is(event, "saga.step.completed")           ? on_completed(m, at, event)
           : is(event, "saga.step.failed")              ? on_failed(m, at, event)
           : is(event, "saga.step.timed_out")           ? on_timed_out(m, at, event)
           : is(event, "saga.step.skipped")             ? on_skipped(m, at, event)
           : is(event, "saga.step.cancelled")           ? on_cancelled(m, at, event)
           : is(event, "saga.approval.requested")       ? on_requested(m, at, event)
           : is(event, "saga.approval.granted")         ? on_decided(m, at, true, event)
           : is(event, "saga.approval.rejected")        ? on_decided(m, at, false, event)
           : is(event, "saga.step.compensating")        ? on_compensating(m, at, event)
           : is(event, "saga.step.compensated")         ? on_compensated(m, at, event)
           : is(event, "saga.step.compensation_failed") ? on_compensation_failed(m, at, event)
           : is(event, "saga.needs_attention")          ? on_attention(m, at, event)
           : is(event, "saga.attention.resolved")       ? on_resolved(m, at, event)
                                                        : saga_model_wrong(m, "an unknown event");
}

static bool on_own(struct saga_model *m, const struct sp_event *event) {
    if (is(event, "saga.answer.ignored")) {
        return on_ignored(m, event);
    }
    if (saga_model_is_over(m)) { /* S6 */
        return saga_model_wrong(m, "%.*s behind the end", SP_STR_ARG(event->attr[SP_ATTR_TYPE]));
    }
    if (is(event, "saga.cancel.requested")) {
        return on_cancel(m);
    }
    if (is(event, "saga.timed_out")) {
        return on_saga_timed_out(m, event);
    }
    if (is(event, "saga.compensation.started")) {
        return on_compensation(m, event);
    }
    if (is(event, "saga.completed") || is(event, "saga.compensated") ||
        is(event, "saga.cancelled")) {
        return on_end(m,
                      is(event, "saga.completed")     ? SAGA_COMPLETED
                      : is(event, "saga.compensated") ? SAGA_COMPENSATED
                                                      : SAGA_CANCELLED,
                      event);
    }
    int at = saga_plan_find(m->plan, text(event, "step"));
    if (at == SAGA_NONE) {
        return saga_model_wrong(m, "%.*s is of no step", SP_STR_ARG(event->attr[SP_ATTR_TYPE]));
    }
    return on_step_event(m, at, event);
}

/* A command, or a proposal: what follows tells of it. */
static bool on_command(struct saga_model *m, const struct sp_event *event) {
    bool undo = false;
    uint32_t attempt = 0;
    int at = command_of(m, event->attr[SP_ATTR_ID], &undo, &attempt);
    if (at == SAGA_NONE) {
        return saga_model_wrong(m, "command %.*s is of no step",
                                SP_STR_ARG(event->attr[SP_ATTR_ID]));
    }
    const struct saga_step *step = step_of(m, at);
    char type[48];
    (void)snprintf(type, sizeof(type), "%s.%s", undo ? "undo" : "do", step->name);
    if (step->kind == SAGA_APPROVAL ? !is(event, "action.proposed") : !is(event, type)) {
        return saga_model_wrong(m, "the command of %s has another type", step->path);
    }
    uint32_t last = undo ? m->states[at].undo_attempt : m->states[at].attempt;
    if (attempt != last + 1) {
        return saga_model_wrong(m, "command %.*s follows attempt %u",
                                SP_STR_ARG(event->attr[SP_ATTR_ID]), last);
    }
    m->command = at;
    m->command_undo = undo;
    return true;
}

static bool is_emitted(const struct saga_model *m, const struct sp_event *event) {
    (void)m;
    return sp_str_starts_with(event->attr[SP_ATTR_TYPE], SP_STR("emitted."));
}

static bool has_stream(const struct saga_model *m, const struct sp_event *event) {
    sp_str stream = event->attr[SP_ATTR_STREAM];
    return sp_str_starts_with(stream, SP_STR("saga:")) &&
           sp_str_eq(sp_str_from_byte(stream, 5), sp_str_from(m->id));
}

static bool is_answer(const struct saga_model *m, const struct sp_event *event) {
    sp_str cause = event->attr[SP_ATTR_CAUSATION];
    size_t len = strlen(m->id);
    return cause.len > len + 1 && memcmp(cause.ptr, m->id, len) == 0 && cause.ptr[len] == '/' &&
           (ends(event, ".completed") || ends(event, ".failed") || is(event, "action.approved") ||
            is(event, "action.vetoed"));
}

bool saga_model_concerns(const struct saga_model *m, const struct sp_event *event) {
    return has_stream(m, event) || is_answer(m, event) ||
           sp_str_starts_with(event->attr[SP_ATTR_TYPE], SP_STR("event."));
}

bool saga_model_event(struct saga_model *m, const struct sp_event *event) {
    m->last_position = event->position;
    m->last_us = event->recorded_us;
    if (!has_stream(m, event)) {
        if (is_answer(m, event)) {
            take_answer(m, event);
        } else {
            take_awaited(m, event);
        }
        return m->wrong[0] == '\0';
    }
    bool own = sp_str_starts_with(event->attr[SP_ATTR_TYPE], SP_STR("saga."));
    if (m->command != SAGA_NONE && !own) {
        return saga_model_wrong(m, "a command is not followed by what tells of it");
    }
    if (!own) {
        return is_emitted(m, event) || on_command(m, event);
    }
    bool right = on_own(m, event);
    if (right && m->command != SAGA_NONE && !is(event, "saga.step.started") &&
        !is(event, "saga.step.compensating") && !is(event, "saga.approval.requested")) {
        return saga_model_wrong(m, "a command is followed by %.*s",
                                SP_STR_ARG(event->attr[SP_ATTR_TYPE]));
    }
    m->command = SAGA_NONE;
    return right && m->wrong[0] == '\0';
}

bool saga_model_start(struct saga_model *m, const struct saga_plan *plan, bool takes_word,
                      const struct sp_event *started) {
    memset(m, 0, offsetof(struct saga_model, states));
    memset(m->states, 0, (size_t)plan->count * sizeof(m->states[0]));
    m->plan = plan;
    m->culprit = SAGA_NONE;
    m->command = SAGA_NONE;
    m->last_position = started->position;
    m->last_us = started->recorded_us;
    sp_str stream = started->attr[SP_ATTR_STREAM];
    if (stream.len != 5 + 36) {
        return saga_model_wrong(m, "it begins in stream %.*s", SP_STR_ARG(stream));
    }
    memcpy(m->id, stream.ptr + 5, 36);
    m->takes_word = takes_word;
    m->deadline_us =
        plan->timeout_us > 0 ? due_of(m, started, started->recorded_us + plan->timeout_us) : 0;
    return true;
}
