#include "sim/saga_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "flow/flow.h"
#include "flow/saga.h"

enum { SECOND_US = 1000000, STEPS_MAX = 4000, LOG_BYTES_MAX = 1 << 20 };
static const uint64_t BEGIN_US = UINT64_C(1700000000000000);

struct run {
    const struct saga_run_options *options;
    struct saga_outcome *outcome;
    struct sp_rehearsal *rehearsal;
    struct saga_model *model;
    bool begun;
    uint64_t seen; /* position up to which the oracle has looked */
    uint32_t helped;
    bool cancelled;
    struct sp_buf *log;
    struct sp_prng fates;
};

const char *saga_outcome_name(uint32_t outcome) {
    static const char *const NAMES[SAGA_OUTCOMES] = {"success",      "failure",   "lost worker",
                                                     "late answer",  "duplicate", "timeout",
                                                     "final failure"};
    return NAMES[outcome];
}

static void wrong(struct run *run, const char *what) {
    if (!run->outcome->wrong) {
        run->outcome->wrong = true;
        (void)snprintf(run->outcome->what, sizeof(run->outcome->what), "%s", what);
    }
}

static bool check(struct run *run, sp_status status, const struct sp_error *error,
                  const char *what) {
    if (status == SP_OK) {
        return true;
    }
    char text[400];
    (void)snprintf(text, sizeof(text), "%s: %s (%s)", what, error->text, sp_status_name(status));
    wrong(run, text);
    return false;
}

/* Of something that is no command. */
static uint32_t pick(struct run *run, uint32_t bound) {
    struct saga_script *script = run->options->script;
    if (bound <= 1) {
        return 0;
    }
    if (script->is_read) {
        return script->other_at < script->other_count ? script->others[script->other_at++] : 0;
    }
    uint32_t picked = run->options->pick(run->options->context, bound);
    if (script->other_count < SAGA_SCRIPT_MAX) {
        script->others[script->other_count++] = (uint8_t)picked;
    }
    return picked;
}

/* What was picked for this command before, or is picked now. */
static uint32_t pick_for(struct run *run, const struct sp_event *command, uint32_t bound) {
    struct saga_script *script = run->options->script;
    sp_str id = command->attr[SP_ATTR_ID];
    uint64_t hash = sp_hash(id.ptr, id.len);
    for (uint32_t i = 0; script->is_read && i < script->count; i++) {
        if (script->commands[i] == hash) {
            return script->picks[i];
        }
    }
    if (script->is_read || bound <= 1) {
        return 0;
    }
    uint32_t picked = run->options->pick(run->options->context, bound);
    if (script->count < SAGA_SCRIPT_MAX) {
        script->commands[script->count] = hash;
        script->picks[script->count++] = (uint8_t)picked;
    }
    return picked;
}

/* ---- workers and people ---------------------------------------------------------------------- */

static void answer(struct sp_rehearsal_plan *plan, enum sp_rehearsal_kind kind, uint64_t after_us) {
    plan->answers[plan->count++] = (struct sp_rehearsal_answer){.kind = kind, .after_us = after_us};
}

/* Timeouts are of ten seconds, the pause before another attempt is one. */
static void plan_worker(uint32_t outcome, struct sp_rehearsal_plan *plan) {
    switch (outcome) {
    case 0:
        answer(plan, SP_REHEARSAL_SUCCESS, SECOND_US);
        return;
    case 1:
        answer(plan, SP_REHEARSAL_FAILURE, SECOND_US);
        return;
    case 2:
        return;
    case 3:
        answer(plan, SP_REHEARSAL_SUCCESS, 11 * SECOND_US + SECOND_US / 2);
        return;
    case 4:
        answer(plan, SP_REHEARSAL_SUCCESS, SECOND_US);
        answer(plan, SP_REHEARSAL_SUCCESS, SECOND_US);
        answer(plan, SP_REHEARSAL_WRONG_ATTEMPT, 2 * SECOND_US);
        return;
    case 5: /* it fails, when its time is over */
        answer(plan, SP_REHEARSAL_NONSENSE, 10 * SECOND_US + SECOND_US / 2);
        return;
    default:
        answer(plan, SP_REHEARSAL_FAILURE_FINAL, 3 * SECOND_US);
        return;
    }
}

static void decide(struct run *run, const struct sp_event *proposal, bool granted,
                   uint64_t after_us) {
    struct sp_error error;
    struct sp_event event = {.has_data = true, .data_is_json = true, .data = SP_STR("{}")};
    event.attr[SP_ATTR_TYPE] = granted ? SP_STR("action.approved") : SP_STR("action.vetoed");
    event.attr[SP_ATTR_SOURCE] = SP_STR("ann");
    event.attr[SP_ATTR_CAUSATION] = proposal->attr[SP_ATTR_ID];
    uint64_t at_us = sp_rehearsal_now_us(run->rehearsal) + after_us;
    (void)check(run, sp_rehearsal_later(run->rehearsal, at_us, &event, &error), &error, "decision");
}

/* Approved, rejected, nobody decides, decided twice, decided too late. */
static void plan_person(struct run *run, const struct sp_event *proposal) {
    switch (pick_for(run, proposal, 5)) {
    case 0:
        decide(run, proposal, true, SECOND_US);
        return;
    case 1:
        decide(run, proposal, false, SECOND_US);
        return;
    case 2:
        return;
    case 3:
        decide(run, proposal, false, SECOND_US);
        decide(run, proposal, true, SECOND_US);
        return;
    default:
        decide(run, proposal, true, 40 * SECOND_US);
        return;
    }
}

static void on_command(void *context, const struct sp_event *command,
                       struct sp_rehearsal_plan *plan) {
    struct run *run = context;
    sp_str type = command->attr[SP_ATTR_TYPE];
    if (sp_str_eq(type, SP_STR("action.proposed"))) {
        plan_person(run, command);
    } else if (sp_str_starts_with(type, SP_STR("undo."))) {
        plan_worker(pick_for(run, command, run->options->undo_outcomes), plan);
    } else if (sp_str_starts_with(type, SP_STR("do."))) {
        plan_worker(pick_for(run, command, run->options->outcomes), plan);
    }
}

static enum sp_rehearsal_fate some_fate(struct run *run) {
    uint32_t drawn = sp_prng_below(&run->fates, 100);
    return drawn < 70   ? SP_REHEARSAL_APPENDED
           : drawn < 76 ? SP_REHEARSAL_REFUSED
                        : (enum sp_rehearsal_fate)(SP_REHEARSAL_CRASH_BEFORE + drawn % 4);
}

/* What is taken back or was not done comes again: each way of dying is followed by surviving. */
static enum sp_rehearsal_fate on_append(void *context, uint64_t append) {
    struct run *run = context;
    const struct saga_run_options *options = run->options;
    enum sp_rehearsal_fate fate = SP_REHEARSAL_APPENDED;
    run->outcome->appends = append;
    if (options->crashes == SAGA_CRASH_ONE && append == options->at && run->outcome->crashes == 0) {
        fate = options->fate;
    } else if (options->crashes == SAGA_CRASH_EVERY) {
        static const enum sp_rehearsal_fate FATES[] = {
            SP_REHEARSAL_CRASH_AFTER,     SP_REHEARSAL_CRASH_BEFORE, SP_REHEARSAL_CRASH_AFTER,
            SP_REHEARSAL_CRASH_FROM_ZERO, SP_REHEARSAL_REFUSED,      SP_REHEARSAL_CRASH_TAKEN,
            SP_REHEARSAL_CRASH_AFTER};
        fate = FATES[run->fates.state++ % (sizeof(FATES) / sizeof(FATES[0]))];
    } else if (options->crashes == SAGA_CRASH_SOME) {
        fate = some_fate(run);
    }
    run->outcome->crashes += fate == SP_REHEARSAL_APPENDED ? 0 : 1;
    return fate;
}

/* ---- the oracle looks ------------------------------------------------------------------------ */

static void tell(struct run *run, const struct sp_event *event) {
    if (run->log == NULL) {
        return;
    }
    char line[400];
    (void)snprintf(line, sizeof(line), "%4llu %8.3f  %-28.*s %.*s  <- %.*s  %.*s\n",
                   (unsigned long long)event->position,
                   (double)(event->recorded_us - BEGIN_US) / SECOND_US,
                   SP_STR_ARG(event->attr[SP_ATTR_TYPE]), SP_STR_ARG(event->attr[SP_ATTR_ID]),
                   SP_STR_ARG(event->attr[SP_ATTR_CAUSATION]), SP_STR_ARG(event->data));
    sp_buf_add(run->log, line, strlen(line));
}

/* What an event is, but for where it stands and what is made of that. */
static uint64_t essence(const struct sp_event *event) {
    static const enum sp_attr ATTRS[] = {SP_ATTR_TYPE, SP_ATTR_STREAM};
    uint64_t hash = event->recorded_us;
    for (size_t i = 0; i < sizeof(ATTRS) / sizeof(ATTRS[0]); i++) {
        hash = sp_hash_seeded(event->attr[ATTRS[i]].ptr, event->attr[ATTRS[i]].len, hash);
    }
    for (uint16_t i = 0; i < event->extension_count; i++) {
        hash = sp_hash_seeded(event->extensions[i].value.ptr, event->extensions[i].value.len, hash);
    }
    return hash;
}

static bool look(struct run *run) {
    while (run->seen < sp_rehearsal_count(run->rehearsal) && !run->outcome->wrong) {
        struct sp_event event;
        struct sp_error error;
        if (!check(run, sp_rehearsal_read(run->rehearsal, ++run->seen, &event, &error), &error,
                   "reading")) {
            return false;
        }
        tell(run, &event);
        run->outcome->sum += essence(&event);
        bool right = true;
        if (sp_str_eq(event.attr[SP_ATTR_TYPE], SP_STR("saga.started"))) {
            right = !run->begun && saga_model_start(run->model, run->options->plan, false, &event);
            run->begun = true;
        } else if (run->begun && saga_model_concerns(run->model, &event)) {
            right = saga_model_event(run->model, &event);
        }
        if (!right) {
            wrong(run, run->model->wrong[0] != '\0' ? run->model->wrong : "it begins twice");
        }
    }
    if (run->begun && !run->outcome->wrong &&
        !saga_model_rest(run->model, sp_rehearsal_now_us(run->rehearsal))) {
        wrong(run, run->model->wrong);
    }
    return !run->outcome->wrong;
}

/* ---- its life -------------------------------------------------------------------------------- */

static bool append(struct run *run, const char *type, sp_str stream, sp_str data) {
    struct sp_error error;
    uint64_t position;
    struct sp_event event = {.has_data = true, .data_is_json = true, .data = data};
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.attr[SP_ATTR_STREAM] = stream;
    event.attr[SP_ATTR_SOURCE] = SP_STR("spoor");
    return check(run, sp_rehearsal_append(run->rehearsal, &event, &position, &error), &error, type);
}

static bool begin(struct run *run) {
    const struct saga_plan *plan = run->options->plan;
    struct sp_buf data;
    char type[48];
    sp_buf_init(&data, 1 << 18);
    sp_buf_add_str(&data, SP_STR("{\"saga\":\""));
    sp_buf_add_str(&data, sp_str_from(plan->name));
    sp_buf_add_str(&data, SP_STR("\",\"definition\":"));
    saga_plan_write(plan, &data);
    sp_buf_add_str(&data, SP_STR("}"));
    bool fine = append(run, "saga.defined", SP_STR("$sagas"), sp_buf_str(&data));
    sp_buf_reset(&data);
    saga_plan_write_data(plan, &data);
    (void)snprintf(type, sizeof(type), "go.%s", plan->name);
    fine = fine && append(run, type, SP_STR("outside"), sp_buf_str(&data));
    sp_buf_fini(&data);
    struct sp_error error;
    fine = fine && check(run, sp_rehearsal_settle(run->rehearsal, &error), &error, "settling") &&
           look(run);
    if (fine && !run->begun) {
        wrong(run, "it does not begin");
    }
    return !run->outcome->wrong;
}

static bool ask(struct run *run, enum sp_saga_action action, const char *step) {
    struct sp_error error;
    uint64_t position;
    struct sp_flow_out out;
    struct sp_saga_request request = {.action = action,
                                      .sagaid = sp_str_from(run->model->id),
                                      .step = sp_str_from(step),
                                      .by = SP_STR("ann"),
                                      .why = SP_STR("why not")};
    sp_flow_out_init(&out);
    const struct sp_sagas *sagas = sp_flow_sagas(sp_rehearsal_flow(run->rehearsal));
    sp_status status = sp_sagas_request_events(sagas, &request, &out, &error);
    if (status == SP_OK) {
        status = sp_rehearsal_append_out(run->rehearsal, &out, &position, &error);
    }
    sp_flow_out_fini(&out);
    return check(run, status, &error, "a request") &&
           check(run, sp_rehearsal_settle(run->rehearsal, &error), &error, "settling") && look(run);
}

static bool could_cancel(const struct run *run) {
    return run->options->cancels > 0 && !run->cancelled && run->model->phase == SAGA_RUNNING &&
           !run->model->pivoted && !saga_model_is_stuck(run->model);
}

/* A person deals with the first step that needs one: in the end by doing it by hand. */
static bool help(struct run *run) {
    static const enum sp_saga_action ACTIONS[] = {SP_SAGA_MARK_DONE, SP_SAGA_RETRY, SP_SAGA_SKIP,
                                                  SP_SAGA_UNDO};
    const struct saga_model *model = run->model;
    for (int i = 1; i < model->plan->count; i++) {
        bool forward = model->states[i].forward == SAGA_STUCK;
        if (!forward && model->states[i].undo != SAGA_UNDO_STUCK) {
            continue;
        }
        uint32_t choices = forward && !model->pivoted ? 4 : 3;
        bool tired = run->helped++ >= run->options->people_max;
        return ask(run, ACTIONS[tired ? 0 : pick(run, choices)], model->plan->steps[i].path);
    }
    return false;
}

static bool send_awaited(struct run *run) {
    const struct saga_plan *plan = run->options->plan;
    struct sp_error error;
    for (int i = 1; i < plan->count && !run->outcome->wrong; i++) {
        uint32_t when = plan->steps[i].kind == SAGA_AWAIT ? pick(run, 3) : 2;
        if (when == 2) {
            continue;
        }
        char type[48];
        (void)snprintf(type, sizeof(type), "event.%s", plan->steps[i].name);
        struct sp_event event = {.has_data = true, .data_is_json = true, .data = SP_STR("{}")};
        event.attr[SP_ATTR_TYPE] = sp_str_from(type);
        uint64_t at_us = sp_rehearsal_now_us(run->rehearsal) + (when == 0 ? 4U : 25U) * SECOND_US;
        (void)check(run, sp_rehearsal_later(run->rehearsal, at_us, &event, &error), &error,
                    "an event");
    }
    return !run->outcome->wrong;
}

static void live(struct run *run) {
    for (int steps = 0; steps < STEPS_MAX; steps++) {
        struct sp_error error;
        sp_status status = sp_rehearsal_step(run->rehearsal, UINT64_MAX, &error);
        if (status == SP_END) {
            if (saga_model_is_over(run->model)) {
                return;
            }
            if (saga_model_is_stuck(run->model) && help(run)) {
                continue;
            }
            wrong(run, run->outcome->wrong ? "" : "it neither goes on nor ends"); /* S10 */
            return;
        }
        if (!check(run, status, &error, "going on") || !look(run)) {
            return;
        }
        if (could_cancel(run) && pick(run, run->options->cancels) == 1) {
            run->cancelled = true;
            if (!ask(run, SP_SAGA_CANCEL, "")) {
                return;
            }
        }
    }
    wrong(run, "it goes on for ever"); /* S10 */
}

void saga_run(const struct saga_run_options *options, struct sp_buf *log,
              struct saga_outcome *ret_outcome) {
    memset(ret_outcome, 0, sizeof(*ret_outcome));
    struct saga_script *script = options->script;
    script->other_at = 0;
    if (!script->is_read) {
        script->count = 0;
        script->other_count = 0;
    }
    struct run run = {.options = options,
                      .outcome = ret_outcome,
                      .log = log,
                      .fates = sp_prng_seed(options->seed ^ 0x5a6a)};
    struct sp_rehearsal_ports ports = {.context = &run,
                                       .evaluate = options->evaluate,
                                       .command = on_command,
                                       .fate = on_append,
                                       .batch = options->batch,
                                       .remember = options->crashes == SAGA_NO_CRASH ? 0 : 3};
    struct sp_error error;
    run.model = malloc(sizeof(*run.model));
    if (run.model == NULL) {
        abort();
    }
    run.model->wrong[0] = '\0';
    run.model->phase = SAGA_RUNNING;
    if (options->crashes == SAGA_CRASH_EVERY) {
        run.fates.state = options->at; /* which way of dying comes first */
    }
    if (check(&run, sp_rehearsal_new(options->seed, BEGIN_US, &ports, &run.rehearsal, &error),
              &error, "a rehearsal") &&
        begin(&run) && send_awaited(&run)) {
        live(&run);
    }
    if (run.rehearsal != NULL) {
        ret_outcome->end = run.model->phase;
        ret_outcome->events = sp_rehearsal_count(run.rehearsal);
        ret_outcome->hash = sp_rehearsal_hash(run.rehearsal);
        ret_outcome->state = sp_flow_hash(sp_rehearsal_flow(run.rehearsal));
        sp_rehearsal_free(run.rehearsal);
    }
    free(run.model);
}
