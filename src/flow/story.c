/*
 * The fold of one saga's events: which steps there were, how each stands, and what happened when.
 */
#include "flow/story_int.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/time.h"

static const char *const fact_names[SP_FACT_COUNT] = {
    [SP_FACT_ACTION] = "action",
    [SP_FACT_ANSWER] = "answer",
    [SP_FACT_ATTEMPT] = "attempt",
    [SP_FACT_BRANCH] = "branch",
    [SP_FACT_BY] = "by",
    [SP_FACT_CHOICE] = "choice",
    [SP_FACT_CHOICES] = "choices",
    [SP_FACT_COMPENSATION] = "compensation",
    [SP_FACT_DATA] = "data",
    [SP_FACT_DEADLINE] = "deadline",
    [SP_FACT_DEFINITION] = "definition",
    [SP_FACT_ERROR] = "error",
    [SP_FACT_EVENT] = "event",
    [SP_FACT_FORKED_FROM] = "forked_from",
    [SP_FACT_HOW] = "how",
    [SP_FACT_IRREVERSIBLE] = "irreversible",
    [SP_FACT_ITEMS] = "items",
    [SP_FACT_KEY] = "key",
    [SP_FACT_KIND] = "kind",
    [SP_FACT_NOT_UNDONE] = "not_undone",
    [SP_FACT_ON_TIMEOUT] = "on_timeout",
    [SP_FACT_OPTIONS] = "options",
    [SP_FACT_PHASE] = "phase",
    [SP_FACT_PIVOT] = "pivot",
    [SP_FACT_PROMPT] = "prompt",
    [SP_FACT_PROPOSAL] = "proposal",
    [SP_FACT_REASON] = "reason",
    [SP_FACT_RESULT] = "result",
    [SP_FACT_RESULT_POSITION] = "result_position",
    [SP_FACT_RETRY_AT] = "retry_at",
    [SP_FACT_SAGA] = "saga",
    [SP_FACT_STEP] = "step",
    [SP_FACT_STEPS] = "steps",
    [SP_FACT_TIMEOUT_AT] = "timeout_at",
    [SP_FACT_TO] = "to",
    [SP_FACT_UNTIL] = "until",
    [SP_FACT_VERSION] = "version",
    [SP_FACT_WHO] = "who",
    [SP_FACT_WHY] = "why",
};

/* The members of one event's data, borrowed from it. */
struct fact {
    struct sp_json_token first;
    sp_str raw; /* the whole value; empty: absent */
};

struct facts {
    struct fact of[SP_FACT_COUNT];
};

static void read_facts(const struct sp_event *event, struct facts *facts) {
    struct sp_json json;
    memset(facts, 0, sizeof(*facts));
    if (!event->has_data || !event->data_is_json) {
        return;
    }
    sp_json_init(&json, event->data);
    if (sp_json_next(&json).type != SP_JSON_OBJECT) {
        return;
    }
    for (struct sp_json_token key = sp_json_next(&json); key.type == SP_JSON_KEY;
         key = sp_json_next(&json)) {
        struct sp_json_token first = sp_json_next(&json);
        sp_str raw = sp_json_skip(&json, first);
        for (unsigned i = 0; i < SP_FACT_COUNT; i++) {
            if (sp_json_equal(key, sp_str_from(fact_names[i]))) {
                facts->of[i] = (struct fact){.first = first, .raw = raw};
            }
        }
    }
}

/* ---- what is kept ---- */

sp_status sp_story_new(struct sp_story **ret_story) {
    struct sp_story *story = calloc(1, sizeof(*story));
    if (story == NULL) {
        return SP_NO_MEMORY;
    }
    sp_buf_init(&story->text, SP_STORY_BYTES_MAX);
    sp_htab_init(&story->by_path);
    story->failed_step = SP_STORY_NO_STEP;
    *ret_story = story;
    return SP_OK;
}

void sp_story_free(struct sp_story *story) {
    if (story != NULL) {
        sp_buf_fini(&story->text);
        sp_htab_fini(&story->by_path);
        free(story->steps);
        free(story->moments);
        free(story);
    }
}

static struct sp_flow_slice keep(struct sp_story *story, sp_str text) {
    struct sp_flow_slice slice = {.offset = (uint32_t)story->text.len, .len = (uint32_t)text.len};
    sp_buf_add_str(&story->text, text);
    return story->text.status == SP_OK ? slice : (struct sp_flow_slice){0};
}

/* A string's text; nothing where the member is none. */
static struct sp_flow_slice keep_text(struct sp_story *story, const struct facts *facts,
                                      enum sp_story_fact which) {
    struct sp_json_token token = facts->of[which].first;
    struct sp_flow_slice slice = {.offset = (uint32_t)story->text.len};
    if (token.type != SP_JSON_STRING) {
        return (struct sp_flow_slice){0};
    }
    sp_json_unescape(&story->text, token.raw);
    slice.len = (uint32_t)(story->text.len - slice.offset);
    return story->text.status == SP_OK ? slice : (struct sp_flow_slice){0};
}

/* Any value but null, as JSON. */
static struct sp_flow_slice keep_json(struct sp_story *story, const struct facts *facts,
                                      enum sp_story_fact which) {
    const struct fact *fact = &facts->of[which];
    bool is_there = fact->raw.len > 0 && fact->first.type != SP_JSON_NULL;
    return is_there ? keep(story, fact->raw) : (struct sp_flow_slice){0};
}

static uint64_t number_of(const struct facts *facts, enum sp_story_fact which) {
    const struct fact *fact = &facts->of[which];
    double value = fact->first.type == SP_JSON_NUMBER ? sp_json_number(fact->raw) : 0;
    return value >= 1 && value <= 9007199254740992.0 ? (uint64_t)value : 0;
}

static bool is_true(const struct facts *facts, enum sp_story_fact which) {
    return facts->of[which].first.type == SP_JSON_TRUE;
}

static bool says(const struct facts *facts, enum sp_story_fact which, const char *text) {
    struct sp_json_token token = facts->of[which].first;
    return token.type == SP_JSON_STRING && sp_json_equal(token, sp_str_from(text));
}

/* A time; 0 where there is none. */
static uint64_t time_of(const struct facts *facts, enum sp_story_fact which) {
    struct sp_json_token token = facts->of[which].first;
    struct sp_error ignored;
    uint64_t time_us = 0;
    if (token.type != SP_JSON_STRING || token.escaped ||
        sp_time_parse(token.raw, false, &time_us, &ignored) != SP_OK) {
        return 0;
    }
    return time_us;
}

/* ---- steps and moments ---- */

/* Room for one more; false: no memory. */
static bool make_room(void **items, uint32_t count, uint32_t *capacity, size_t size) {
    if (count < *capacity) {
        return true;
    }
    uint32_t more = *capacity == 0 ? 16 : *capacity * 2;
    void *grown = realloc(*items, more * size);
    if (grown == NULL) {
        return false;
    }
    *items = grown;
    *capacity = more;
    return true;
}

static uint32_t find_step(const struct sp_story *story, sp_str path, uint64_t hash) {
    struct sp_htab_probe probe = sp_htab_find(&story->by_path, hash);
    uint32_t at = 0;
    while (sp_htab_next(&probe, &at)) {
        if (sp_str_eq(sp_story_text(story, story->steps[at].path), path)) {
            return at;
        }
    }
    return SP_STORY_NO_STEP;
}

/* The step that an event is about; a new one is made, if `is_made`. SP_LIMIT, SP_NO_MEMORY. */
static sp_status step_of(struct sp_story *story, const struct facts *facts, bool is_made,
                         uint64_t time_us, uint32_t *ret_step) {
    struct sp_flow_slice path = keep_text(story, facts, SP_FACT_STEP);
    *ret_step = SP_STORY_NO_STEP;
    if (path.len == 0) {
        return SP_OK;
    }
    sp_str name = sp_story_text(story, path);
    uint64_t hash = sp_hash(name.ptr, name.len);
    *ret_step = find_step(story, name, hash);
    if (*ret_step != SP_STORY_NO_STEP || !is_made) {
        story->text.len = path.offset; /* it is there already, or does not matter */
        return SP_OK;
    }
    if (story->step_count == SP_STORY_STEPS_MAX) {
        return SP_LIMIT;
    }
    void *steps = story->steps;
    bool fits = make_room(&steps, story->step_count, &story->step_capacity, sizeof(*story->steps));
    story->steps = steps;
    if (!fits || sp_htab_add(&story->by_path, hash, story->step_count) != SP_OK) {
        return SP_NO_MEMORY;
    }
    story->steps[story->step_count] = (struct sp_story_step){.path = path, .first_us = time_us};
    *ret_step = story->step_count++;
    return SP_OK;
}

static sp_status add_moment(struct sp_story *story, const struct sp_story_moment *moment) {
    void *moments = story->moments;
    bool fits =
        make_room(&moments, story->moment_count, &story->moment_capacity, sizeof(*story->moments));
    story->moments = moments;
    if (!fits) {
        return SP_NO_MEMORY;
    }
    story->moments[story->moment_count++] = *moment;
    return SP_OK;
}

/* ---- what each kind of event changes ---- */

/* What one event is folded with. */
struct scene {
    struct sp_story *story;
    const struct sp_event *event;
    const struct facts *facts;
    struct sp_story_step *step; /* NULL: about none */
    struct sp_story_moment *moment;
};

static void begin_try(const struct scene *at, struct sp_story_try *attempt) {
    uint64_t number = number_of(at->facts, SP_FACT_ATTEMPT);
    attempt->attempts = number > 0 ? (uint32_t)number : attempt->attempts + 1;
    attempt->started_us = at->event->recorded_us;
    attempt->ended_us = 0;
    attempt->due_us = time_of(at->facts, SP_FACT_TIMEOUT_AT);
    at->moment->attempt = attempt->attempts;
}

static void end_try(const struct scene *at, struct sp_story_try *attempt) {
    uint64_t retry_us = time_of(at->facts, SP_FACT_RETRY_AT);
    attempt->ended_us = at->event->recorded_us;
    attempt->due_us = retry_us;
    at->moment->due_us = retry_us;
    at->moment->attempt = attempt->attempts;
    at->moment->lasted_us =
        attempt->started_us == 0 ? 0 : at->event->recorded_us - attempt->started_us;
}

static void keep_result(const struct scene *at, struct sp_story_try *attempt) {
    attempt->result = keep_json(at->story, at->facts, SP_FACT_RESULT);
    attempt->result_position = number_of(at->facts, SP_FACT_RESULT_POSITION);
    at->moment->what = attempt->result;
}

static void keep_error(const struct scene *at, struct sp_story_try *attempt) {
    attempt->error = keep_json(at->story, at->facts, SP_FACT_ERROR);
    at->moment->what = attempt->error;
}

/* Who decided, and why: the same for all that people do. */
static void keep_person(const struct scene *at, enum sp_story_fact why) {
    at->moment->by = keep_text(at->story, at->facts, SP_FACT_BY);
    at->moment->why = keep_text(at->story, at->facts, why);
}

static void on_started(const struct scene *at) {
    struct sp_story *story = at->story;
    if (story->is_saga) {
        return;
    }
    sp_str stream = at->event->attr[SP_ATTR_STREAM];
    bool named = sp_str_starts_with(stream, SP_STR("saga:"));
    story->is_saga = true;
    story->started_us = at->event->recorded_us;
    story->due_us = time_of(at->facts, SP_FACT_TIMEOUT_AT);
    story->id = keep(story, named ? sp_str_from_byte(stream, 5) : stream);
    story->correlation = keep(story, at->event->attr[SP_ATTR_CORRELATION]);
    story->causation = keep(story, at->event->attr[SP_ATTR_CAUSATION]);
    story->saga = keep_text(story, at->facts, SP_FACT_SAGA);
    story->version = keep_json(story, at->facts, SP_FACT_VERSION);
    story->definition = keep_text(story, at->facts, SP_FACT_DEFINITION);
    story->key = keep_text(story, at->facts, SP_FACT_KEY);
    story->by = keep_text(story, at->facts, SP_FACT_BY);
    story->data = keep_json(story, at->facts, SP_FACT_DATA);
    story->forked_from = keep_json(story, at->facts, SP_FACT_FORKED_FROM);
    at->moment->by = story->by;
}

static void on_step_started(const struct scene *at) {
    struct sp_story_step *step = at->step;
    struct sp_story *story = at->story;
    begin_try(at, &step->forth);
    step->kind = keep_text(story, at->facts, SP_FACT_KIND);
    step->forth.action = keep_text(story, at->facts, SP_FACT_ACTION);
    step->back.action = keep_text(story, at->facts, SP_FACT_COMPENSATION);
    step->irreversible = is_true(at->facts, SP_FACT_IRREVERSIBLE);
    step->pivot = is_true(at->facts, SP_FACT_PIVOT);
    step->awaited = keep_text(story, at->facts, SP_FACT_EVENT);
    if (time_of(at->facts, SP_FACT_UNTIL) != 0) {
        step->forth.due_us = time_of(at->facts, SP_FACT_UNTIL);
    }
    bool waits = sp_str_eq(sp_story_text(story, step->kind), SP_STR("wait")) ||
                 sp_str_eq(sp_story_text(story, step->kind), SP_STR("approval"));
    step->status = waits ? SP_STORY_STEP_IS_WAITING : SP_STORY_STEP_IS_RUNNING;
    step->undo = step->back.action.len > 0 ? SP_STORY_UNDO_ARMED : step->undo;
    at->moment->due_us = step->forth.due_us;
    at->moment->what =
        keep_json(story, at->facts,
                  at->facts->of[SP_FACT_ITEMS].raw.len > 0 ? SP_FACT_ITEMS : SP_FACT_BRANCH);
}

static void on_step_completed(const struct scene *at) {
    end_try(at, &at->step->forth);
    keep_result(at, &at->step->forth);
    at->step->status = SP_STORY_STEP_IS_COMPLETED;
    at->step->forth.error = (struct sp_flow_slice){0};
}

static void on_step_failed(const struct scene *at) {
    end_try(at, &at->step->forth);
    keep_error(at, &at->step->forth);
    bool again = at->step->forth.due_us != 0;
    at->step->status = again ? SP_STORY_STEP_IS_RETRYING : SP_STORY_STEP_IS_FAILED;
}

static void on_step_timed_out(const struct scene *at) {
    end_try(at, &at->step->forth);
    bool again = at->step->forth.due_us != 0;
    at->step->status = again ? SP_STORY_STEP_IS_RETRYING : SP_STORY_STEP_IS_TIMED_OUT;
}

static void on_step_skipped(const struct scene *at) {
    struct sp_story_step *step = at->step;
    keep_person(at, SP_FACT_WHY);
    step->reason = keep_text(at->story, at->facts, SP_FACT_REASON);
    step->forth.by = at->moment->by;
    step->forth.why = at->moment->why;
    step->forth.ended_us = at->event->recorded_us;
    step->forth.due_us = 0;
    step->status = SP_STORY_STEP_IS_SKIPPED;
    at->moment->what = step->reason;
}

static void on_step_cancelled(const struct scene *at) {
    at->step->reason = keep_text(at->story, at->facts, SP_FACT_REASON);
    at->step->forth.ended_us = at->event->recorded_us;
    at->step->forth.due_us = 0;
    at->step->status = SP_STORY_STEP_IS_CANCELLED;
    at->moment->what = at->step->reason;
}

static void on_answer_ignored(const struct scene *at) {
    at->story->ignored++;
    at->moment->what = keep_text(at->story, at->facts, SP_FACT_REASON);
    at->moment->attempt = (uint32_t)number_of(at->facts, SP_FACT_ATTEMPT);
}

static void on_approval_requested(const struct scene *at) {
    struct sp_story_step *step = at->step;
    struct sp_story *story = at->story;
    if (step->forth.attempts == 0 || step->status != SP_STORY_STEP_IS_WAITING) {
        begin_try(at, &step->forth);
    }
    step->kind = keep(story, SP_STR("approval"));
    step->prompt = keep_text(story, at->facts, SP_FACT_PROMPT);
    step->choices = keep_json(story, at->facts, SP_FACT_CHOICES);
    step->who = keep_json(story, at->facts, SP_FACT_WHO);
    step->proposal = keep_text(story, at->facts, SP_FACT_PROPOSAL);
    step->forth.due_us = time_of(at->facts, SP_FACT_DEADLINE);
    step->status = SP_STORY_STEP_IS_WAITING;
    at->moment->due_us = step->forth.due_us;
    at->moment->what = step->who;
}

static void on_approval_escalated(const struct scene *at) {
    at->moment->what = keep_json(at->story, at->facts, SP_FACT_TO);
    if (at->moment->what.len > 0) {
        at->step->who = at->moment->what;
    }
}

static void on_approval_decided(const struct scene *at) {
    struct sp_story_step *step = at->step;
    end_try(at, &step->forth);
    keep_person(at, SP_FACT_REASON);
    step->forth.by = at->moment->by;
    step->forth.why = at->moment->why;
    step->choice = keep_text(at->story, at->facts, SP_FACT_CHOICE);
    step->decided_by_time = is_true(at->facts, SP_FACT_ON_TIMEOUT);
    step->rejected = at->moment->kind == SP_STORY_APPROVAL_REJECTED;
    step->status = SP_STORY_STEP_IS_COMPLETED;
    at->moment->flag = step->decided_by_time;
    at->moment->what = step->choice;
}

static void on_cancel_requested(const struct scene *at) {
    keep_person(at, SP_FACT_REASON);
    at->story->cancel_us = at->event->recorded_us;
    at->story->cancel_by = at->moment->by;
    at->story->cancel_why = at->moment->why;
}

static void on_compensation_started(const struct scene *at) {
    struct sp_story *story = at->story;
    story->status = SP_STORY_IS_COMPENSATING;
    story->reason = keep_text(story, at->facts, SP_FACT_REASON);
    story->error = keep_json(story, at->facts, SP_FACT_ERROR);
    story->failed_step = at->moment->step;
    at->moment->what = story->reason;
    at->moment->why = story->error;
}

static void on_step_compensating(const struct scene *at) {
    struct sp_flow_slice action = keep_text(at->story, at->facts, SP_FACT_ACTION);
    begin_try(at, &at->step->back);
    at->step->back.action = action.len > 0 ? action : at->step->back.action;
    at->step->undo = SP_STORY_UNDO_RUNNING;
}

static void on_step_compensated(const struct scene *at) {
    struct sp_story_step *step = at->step;
    end_try(at, &step->back);
    keep_result(at, &step->back);
    step->undo = says(at->facts, SP_FACT_HOW, "skipped")       ? SP_STORY_UNDO_SKIPPED
                 : says(at->facts, SP_FACT_HOW, "marked_done") ? SP_STORY_UNDO_MARKED_DONE
                                                               : SP_STORY_UNDO_COMPENSATED;
    at->moment->flag = step->undo != SP_STORY_UNDO_COMPENSATED;
    at->moment->by = step->back.by;
    at->moment->why = step->back.why;
    if (step->undo == SP_STORY_UNDO_COMPENSATED) {
        step->back.error = (struct sp_flow_slice){0};
    }
}

static void on_compensation_failed(const struct scene *at) {
    end_try(at, &at->step->back);
    keep_error(at, &at->step->back);
    bool again = at->step->back.due_us != 0;
    at->step->undo = again ? SP_STORY_UNDO_RETRYING : SP_STORY_UNDO_FAILED;
}

static void on_needs_attention(const struct scene *at) {
    struct sp_story_step *step = at->step;
    at->story->attentions += step->attention ? 0 : 1;
    step->attention = true;
    step->attention_back = says(at->facts, SP_FACT_PHASE, "compensation");
    step->options = keep_json(at->story, at->facts, SP_FACT_OPTIONS);
    at->moment->flag = step->attention_back;
    at->moment->what = keep_json(at->story, at->facts, SP_FACT_ERROR);
}

static void on_attention_resolved(const struct scene *at) {
    struct sp_story_step *step = at->step;
    keep_person(at, SP_FACT_WHY);
    at->story->attentions -= step->attention ? 1 : 0;
    struct sp_story_try *attempt = step->attention_back ? &step->back : &step->forth;
    step->attention = false;
    attempt->by = at->moment->by;
    attempt->why = at->moment->why;
    at->moment->what = keep_text(at->story, at->facts, SP_FACT_ACTION);
}

static void on_end(const struct scene *at, enum sp_story_status status) {
    struct sp_story *story = at->story;
    story->status = (uint8_t)status;
    story->ended_us = at->event->recorded_us;
    story->not_undone = keep_json(story, at->facts, SP_FACT_NOT_UNDONE);
    at->moment->lasted_us = at->event->recorded_us - story->started_us;
    if (status == SP_STORY_IS_COMPLETED) {
        story->result = keep_json(story, at->facts, SP_FACT_RESULT);
        return;
    }
    keep_person(at, SP_FACT_REASON);
    story->reason = at->moment->why.len > 0 ? at->moment->why : story->reason;
    struct sp_flow_slice error = keep_json(story, at->facts, SP_FACT_ERROR);
    story->error = error.len > 0 ? error : story->error;
}

static void on_completed(const struct scene *at) {
    on_end(at, SP_STORY_IS_COMPLETED);
}

static void on_compensated(const struct scene *at) {
    on_end(at, SP_STORY_IS_COMPENSATED);
}

static void on_cancelled(const struct scene *at) {
    on_end(at, SP_STORY_IS_CANCELLED);
}

/* What is done with each kind of event; those about a step are passed over where they name none. */
static const struct {
    const char *type;
    void (*fold)(const struct scene *at);
    bool about_step;
} kinds[SP_STORY_KIND_COUNT] = {
    [SP_STORY_STARTED] = {"saga.started", on_started, false},
    [SP_STORY_STEP_STARTED] = {"saga.step.started", on_step_started, true},
    [SP_STORY_STEP_COMPLETED] = {"saga.step.completed", on_step_completed, true},
    [SP_STORY_STEP_FAILED] = {"saga.step.failed", on_step_failed, true},
    [SP_STORY_STEP_TIMED_OUT] = {"saga.step.timed_out", on_step_timed_out, true},
    [SP_STORY_STEP_SKIPPED] = {"saga.step.skipped", on_step_skipped, true},
    [SP_STORY_STEP_CANCELLED] = {"saga.step.cancelled", on_step_cancelled, true},
    [SP_STORY_ANSWER_IGNORED] = {"saga.answer.ignored", on_answer_ignored, false},
    [SP_STORY_APPROVAL_REQUESTED] = {"saga.approval.requested", on_approval_requested, true},
    [SP_STORY_APPROVAL_ESCALATED] = {"saga.approval.escalated", on_approval_escalated, true},
    [SP_STORY_APPROVAL_GRANTED] = {"saga.approval.granted", on_approval_decided, true},
    [SP_STORY_APPROVAL_REJECTED] = {"saga.approval.rejected", on_approval_decided, true},
    [SP_STORY_CANCEL_REQUESTED] = {"saga.cancel.requested", on_cancel_requested, false},
    [SP_STORY_COMPENSATION_STARTED] = {"saga.compensation.started", on_compensation_started, false},
    [SP_STORY_STEP_COMPENSATING] = {"saga.step.compensating", on_step_compensating, true},
    [SP_STORY_STEP_COMPENSATED] = {"saga.step.compensated", on_step_compensated, true},
    [SP_STORY_COMPENSATION_FAILED] = {"saga.step.compensation_failed", on_compensation_failed,
                                      true},
    [SP_STORY_NEEDS_ATTENTION] = {"saga.needs_attention", on_needs_attention, true},
    [SP_STORY_ATTENTION_RESOLVED] = {"saga.attention.resolved", on_attention_resolved, true},
    [SP_STORY_COMPLETED] = {"saga.completed", on_completed, false},
    [SP_STORY_COMPENSATED] = {"saga.compensated", on_compensated, false},
    [SP_STORY_CANCELLED] = {"saga.cancelled", on_cancelled, false},
};

static unsigned kind_of(sp_str type) {
    unsigned kind = 0;
    while (kind < SP_STORY_KIND_COUNT && !sp_str_eq(type, sp_str_from(kinds[kind].type))) {
        kind++;
    }
    return kind;
}

sp_status sp_story_add(struct sp_story *story, const struct sp_event *event,
                       struct sp_error *error) {
    sp_str type = event->attr[SP_ATTR_TYPE];
    unsigned kind = sp_str_starts_with(type, SP_STR("saga.")) ? kind_of(type) : SP_STORY_KIND_COUNT;
    if (kind == SP_STORY_KIND_COUNT || (!story->is_saga && kind != SP_STORY_STARTED)) {
        return SP_OK;
    }
    struct facts facts;
    read_facts(event, &facts);
    struct sp_story_moment moment = {.time_us = event->recorded_us, .kind = (uint8_t)kind};
    sp_status status =
        step_of(story, &facts, kinds[kind].about_step, event->recorded_us, &moment.step);
    bool is_told = moment.step != SP_STORY_NO_STEP || !kinds[kind].about_step;
    if (status == SP_OK && is_told) {
        struct sp_story_step *step =
            moment.step == SP_STORY_NO_STEP ? NULL : &story->steps[moment.step];
        kinds[kind].fold(&(struct scene){story, event, &facts, step, &moment});
        status = story->text.status;
    }
    if (status == SP_OK && is_told) {
        status = add_moment(story, &moment);
    }
    return status == SP_OK ? SP_OK
                           : sp_error_set(error, status, "the story of this saga is too long");
}

/* ---- how it stands ---- */

bool sp_story_is_saga(const struct sp_story *story) {
    return story->is_saga;
}

bool sp_story_is_over(const struct sp_story *story) {
    return story->status != SP_STORY_IS_RUNNING && story->status != SP_STORY_IS_COMPENSATING;
}

const char *sp_story_status(const struct sp_story *story) {
    static const char *const names[] = {
        [SP_STORY_IS_RUNNING] = "running",     [SP_STORY_IS_COMPENSATING] = "compensating",
        [SP_STORY_IS_COMPLETED] = "completed", [SP_STORY_IS_COMPENSATED] = "compensated",
        [SP_STORY_IS_CANCELLED] = "cancelled",
    };
    bool open = story->attentions > 0 && !sp_story_is_over(story);
    return open ? "needs_attention" : names[story->status];
}

/* What one step makes the saga wait for; empty: for nothing. */
static struct sp_story_wait wait_of(const struct sp_story *story, uint32_t at) {
    const struct sp_story_step *step = &story->steps[at];
    struct sp_story_wait wait = {.step = at, .due_us = step->forth.due_us};
    bool running = step->status == SP_STORY_STEP_IS_RUNNING && step->forth.action.len > 0;
    if (step->attention) {
        wait = (struct sp_story_wait){.step = at, .what = SP_STR("operator")};
    } else if (step->undo == SP_STORY_UNDO_RUNNING || step->undo == SP_STORY_UNDO_RETRYING) {
        bool asked = step->undo == SP_STORY_UNDO_RUNNING;
        wait.what = asked ? SP_STR("worker") : SP_STR("timer");
        wait.due_us = step->back.due_us;
    } else if (running) {
        wait.what = SP_STR("worker");
    } else if (step->status == SP_STORY_STEP_IS_RETRYING) {
        wait.what = SP_STR("timer");
    } else if (step->status == SP_STORY_STEP_IS_WAITING) {
        bool approval = sp_str_eq(sp_story_text(story, step->kind), SP_STR("approval"));
        wait.what = approval                ? SP_STR("approval")
                    : step->awaited.len > 0 ? SP_STR("event")
                                            : SP_STR("timer");
    }
    return wait;
}

/* A person's turn before a decision, that before a worker's, that before time. */
static int urgency(sp_str what) {
    static const char *const order[] = {"timer", "event", "worker", "approval", "operator"};
    for (int i = 0; i < 5; i++) {
        if (sp_str_eq(what, sp_str_from(order[i]))) {
            return i + 1;
        }
    }
    return 0;
}

struct sp_story_wait sp_story_wait(const struct sp_story *story, const struct sp_story_live *live) {
    struct sp_story_wait found = {.step = SP_STORY_NO_STEP};
    bool is_known = live != NULL && live->waiting_for.len > 0;
    for (uint32_t i = 0; i < story->step_count && !sp_story_is_over(story); i++) {
        struct sp_story_wait wait = wait_of(story, i);
        bool fits = !is_known || sp_str_eq(wait.what, live->waiting_for);
        if (fits && urgency(wait.what) > urgency(found.what)) {
            found = wait;
        }
    }
    if (is_known && !sp_story_is_over(story)) {
        found.what = live->waiting_for;
        found.due_us = live->due_us != 0 ? live->due_us : found.due_us;
    }
    return found;
}
