/*
 * Programs and the worker that runs them; see jq.h.
 *
 * The worker is asked in frames and answers in their order. Of a batch several are on their way at
 * once, bounded in number and bytes. Whatever the worker does that it should not (no answer in
 * time, no sense, no more worker) ends it: it is killed, and the next call starts another, which is
 * told of a program when that is run first.
 *
 *     program:  known to worker N ──► run ──► answered
 *                    ▲                 │
 *                    │ worker N + 1    ├─► out of time: killed, refused
 *                    └─────────────────┴─► died: once more in a fresh worker; then refused
 */
#include "jq/jq.h"

#include <stdlib.h>

#include "jq/eval.h"
#include "jq/jq_int.h"

enum {
    DEADLINE_MS = 250,
    COMPILE_DEADLINE_MS = 5000,
    MEMORY_BYTES = 256 << 20,
    UNSENT_BYTES_MAX = 256 << 10,
    IN_FLIGHT_MAX = 256,
};

struct sp_jq_program {
    struct sp_jq *jq;
    uint32_t id;
    uint32_t name_count;
    uint64_t worker; /* that knows it; 0: none */
    bool refused;
    struct sp_jq_eval *eval; /* in-process */
    struct sp_buf names;     /* as in a frame */
    struct sp_buf text;
};

sp_status sp_jq_new(const struct sp_jq_options *options, struct sp_jq **ret_jq,
                    struct sp_error *error) {
    struct sp_jq *jq = calloc(1, sizeof(*jq));
    if (jq == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "jq");
    }
    jq->options = options != NULL ? *options : (struct sp_jq_options){.exe = NULL};
    struct sp_jq_options *o = &jq->options;
    o->in_process = o->in_process || (o->exe == NULL && !sp_jq_can_be_worker());
    o->exe = o->exe != NULL ? o->exe : "/proc/self/exe";
    o->deadline_ms = o->deadline_ms > 0 ? o->deadline_ms : DEADLINE_MS;
    o->memory_bytes = o->memory_bytes > 0 ? o->memory_bytes : MEMORY_BYTES;
    if (o->value_bytes_max == 0 || o->value_bytes_max > SP_JQ_VALUE_BYTES_MAX) {
        o->value_bytes_max = SP_JQ_VALUE_BYTES_MAX;
    }
    jq->clock = sp_clock_system();
    jq->fd = -1;
    sp_buf_init(&jq->out, 2 * (size_t)SP_JQ_FRAME_BYTES_MAX);
    sp_buf_init(&jq->in, SP_JQ_FRAME_BYTES_MAX + SP_JQ_READ_BYTES + SP_JQ_FRAME_HEAD_BYTES);
    *ret_jq = jq;
    return SP_OK;
}

void sp_jq_free(struct sp_jq *jq) {
    if (jq == NULL) {
        return;
    }
    for (size_t i = 0; i < SP_JQ_PROGRAMS_MAX; i++) {
        sp_require(jq->programs[i] == NULL);
    }
    (void)sp_jq_stop_worker(jq, true);
    sp_buf_fini(&jq->out);
    sp_buf_fini(&jq->in);
    free(jq);
}

static void write_define(struct sp_jq_program *program) {
    struct sp_buf *to = &program->jq->out;
    size_t begin = sp_jq_frame_begin(to, SP_JQ_DEFINE);
    sp_jq_frame_add_u32(to, program->id);
    sp_jq_frame_add_count(to, program->name_count);
    sp_buf_add_str(to, sp_buf_str(&program->names));
    sp_jq_frame_add_text(to, sp_buf_str(&program->text));
    sp_jq_frame_end(to, begin);
}

/* What a program is told that did not end well. */
static sp_status explain(struct sp_jq_program *program, enum sp_jq_ending ending,
                         struct sp_error *error) {
    const struct sp_jq_options *options = &program->jq->options;
    if (ending == NO_PROCESSOR) {
        return sp_error_set(error, SP_TIMEOUT, "the jq worker was given no processor in time");
    }
    program->refused = true;
    if (ending == OUT_OF_TIME) {
        return sp_error_set(error, SP_LIMIT,
                            "the jq program took more than %llu ms: it is refused from now on, "
                            "until it is defined anew",
                            (unsigned long long)options->deadline_ms);
    }
    if (ending == ABORTED) {
        return sp_error_set(error, SP_LIMIT,
                            "the jq program took more than %llu MiB, or ran into a fault of libjq: "
                            "it is refused from now on, until it is defined anew",
                            (unsigned long long)(options->memory_bytes >> 20));
    }
    return sp_error_set(error, SP_IO,
                        "the jq program ended its worker, by nesting too deep or a fault of libjq: "
                        "it is refused from now on, until it is defined anew");
}

/* Makes the program known to the worker, which is started where there is none. */
static sp_status introduce(struct sp_jq_program *program, struct sp_error *error) {
    struct sp_jq *jq = program->jq;
    sp_status status = sp_jq_start_worker(jq, error);
    if (status != SP_OK || program->worker == jq->worker) {
        return status;
    }
    struct sp_jq_head head;
    struct sp_jq_frame frame;
    write_define(program);
    if (jq->out.status != SP_OK) {
        status = jq->out.status;
        (void)sp_jq_stop_worker(jq, true);
        return sp_error_set(error, status, "jq program");
    }
    enum sp_jq_ending ending = sp_jq_await(jq, COMPILE_DEADLINE_MS, &head, &frame);
    if (ending != ANSWERED) {
        return explain(program, ending, error);
    }
    if (head.kind == SP_JQ_PROBLEM) {
        return sp_error_set(error, SP_INVALID, "%.*s", SP_STR_ARG(frame.text));
    }
    program->worker = jq->worker;
    return SP_OK;
}

/* ---- programs -------------------------------------------------------------------------------- */

static sp_status take_place(struct sp_jq *jq, struct sp_jq_program *program,
                            struct sp_error *error) {
    for (uint32_t i = 0; i < SP_JQ_PROGRAMS_MAX; i++) {
        if (jq->programs[i] == NULL) {
            program->id = i;
            jq->programs[i] = program;
            return SP_OK;
        }
    }
    return sp_error_set(error, SP_LIMIT, "more than %d jq programs", SP_JQ_PROGRAMS_MAX);
}

static sp_status compile(struct sp_jq_program *program, struct sp_error *error) {
    if (!program->jq->options.in_process) {
        return introduce(program, error);
    }
    return sp_jq_eval_new(sp_buf_str(&program->text),
                          sp_wire_of(program->names.data, program->names.len), program->name_count,
                          &program->eval, error);
}

sp_status sp_jq_define(struct sp_jq *jq, sp_str text, const char *const *names, uint32_t name_count,
                       struct sp_jq_program **ret_program, struct sp_error *error) {
    sp_require(name_count <= SP_JQ_ARGUMENTS_MAX);
    if (text.len > SP_JQ_TEXT_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "a jq program has at most %d bytes, this one has %zu",
                            SP_JQ_TEXT_BYTES_MAX, text.len);
    }
    struct sp_jq_program *program = calloc(1, sizeof(*program));
    if (program == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "jq program");
    }
    sp_buf_init(&program->names, SP_JQ_TEXT_BYTES_MAX);
    sp_buf_init(&program->text, SP_JQ_TEXT_BYTES_MAX);
    program->name_count = name_count;
    for (uint32_t i = 0; i < name_count; i++) {
        sp_jq_frame_add_text(&program->names, sp_str_from(names[i]));
    }
    sp_buf_add_str(&program->text, text);
    sp_status status = take_place(jq, program, error);
    if (status == SP_OK) {
        program->jq = jq;
        status = program->text.status != SP_OK || program->names.status != SP_OK
                     ? sp_error_set(error, SP_NO_MEMORY, "jq program")
                     : compile(program, error);
    }
    if (status != SP_OK) {
        sp_jq_drop(program);
        return status;
    }
    *ret_program = program;
    return SP_OK;
}

/* The worker need not be told at once: with whatever it is told next. */
static void forget(const struct sp_jq_program *program) {
    struct sp_jq *jq = program->jq;
    if (jq->pid != 0 && program->worker == jq->worker) {
        size_t begin = sp_jq_frame_begin(&jq->out, SP_JQ_FORGET);
        sp_jq_frame_add_u32(&jq->out, program->id);
        sp_jq_frame_end(&jq->out, begin);
    }
}

void sp_jq_drop(struct sp_jq_program *program) {
    if (program == NULL) {
        return;
    }
    if (program->jq != NULL) {
        forget(program);
        program->jq->programs[program->id] = NULL;
    }
    sp_jq_eval_free(program->eval);
    sp_buf_fini(&program->names);
    sp_buf_fini(&program->text);
    free(program);
}

bool sp_jq_is_refused(const struct sp_jq_program *program) {
    return program->refused;
}

/* ---- running --------------------------------------------------------------------------------- */

/* A batch: which runs are asked and answered. */
struct batch {
    struct sp_jq_program *program;
    const sp_str *values;
    uint32_t run_count;
    uint32_t asked;
    uint32_t answered;
    bool ended; /* each wants no more */
    sp_jq_each_fn *each;
    void *context;
    sp_str *results; /* room, grown as needed */
    uint32_t room;
};

static const sp_str *values_of(const struct batch *batch, uint32_t run) {
    return &batch->values[(size_t)run * (batch->program->name_count + 1)];
}

static bool run_is_too_long(const struct batch *batch, uint32_t run) {
    const sp_str *values = values_of(batch, run);
    size_t left = batch->program->jq->options.value_bytes_max;
    for (uint32_t i = 0; i <= batch->program->name_count; i++) {
        if (values[i].len > left) {
            return true;
        }
        left -= values[i].len;
    }
    return false;
}

static void write_values(const struct batch *batch, uint32_t run, struct sp_buf *to) {
    for (uint32_t i = 0; i <= batch->program->name_count; i++) {
        sp_jq_frame_add_text(to, values_of(batch, run)[i]);
    }
}

/* Puts a frame's slices into the batch's array. */
static bool spread(struct batch *batch, struct sp_wire values, uint64_t count) {
    if (count > SP_JQ_RESULTS_MAX) {
        return false;
    }
    if (count > batch->room) {
        sp_str *grown = realloc(batch->results, (size_t)count * sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        batch->results = grown;
        batch->room = (uint32_t)count;
    }
    for (uint64_t i = 0; i < count; i++) {
        batch->results[i] = sp_wire_lstr(&values);
    }
    return !values.bad;
}

static void tell(struct batch *batch, sp_status status, uint64_t count,
                 const struct sp_error *error) {
    const struct sp_jq_outcome outcome = {.status = status,
                                          .results = batch->results,
                                          .result_count = status == SP_OK ? (uint32_t)count : 0};
    uint32_t run = batch->answered++;
    if (!batch->ended) {
        batch->ended = !batch->each(batch->context, run, &outcome, error);
    }
}

static void take_answer(struct batch *batch, struct sp_jq_head head, struct sp_jq_frame *frame) {
    struct sp_error error;
    sp_error_clear(&error);
    if (head.kind == SP_JQ_DONE) {
        sp_status status = spread(batch, frame->rest, frame->count)
                               ? SP_OK
                               : sp_error_set(&error, SP_NO_MEMORY, "results");
        tell(batch, status, frame->count, &error);
        return;
    }
    sp_status status = frame->status == SP_INVALID ? SP_INVALID : SP_LIMIT;
    (void)sp_error_set(&error, status, "%.*s", SP_STR_ARG(frame->text));
    tell(batch, status, 0, &error);
}

/* Asks for as many runs as may be on their way. One that is too long ends what is asked for now. */
static void ask(struct batch *batch) {
    struct sp_jq *jq = batch->program->jq;
    while (!batch->ended && batch->asked < batch->run_count &&
           batch->asked - batch->answered < IN_FLIGHT_MAX &&
           jq->out.len - jq->sent < UNSENT_BYTES_MAX && !run_is_too_long(batch, batch->asked)) {
        size_t begin = sp_jq_frame_begin(&jq->out, SP_JQ_RUN);
        sp_jq_frame_add_u32(&jq->out, batch->program->id);
        sp_jq_frame_add_count(&jq->out, batch->program->name_count + 1);
        write_values(batch, batch->asked, &jq->out);
        sp_jq_frame_end(&jq->out, begin);
        batch->asked++;
    }
}

static void tell_too_long(struct batch *batch) {
    struct sp_error error;
    sp_status status = sp_error_set(&error, SP_LIMIT, "the values have more than %zu bytes",
                                    batch->program->jq->options.value_bytes_max);
    batch->asked++;
    tell(batch, status, 0, &error);
}

/* Runs what is left of the batch in the worker there is. */
static enum sp_jq_ending converse(struct batch *batch) {
    struct sp_jq *jq = batch->program->jq;
    while (batch->answered < batch->asked || (batch->asked < batch->run_count && !batch->ended)) {
        ask(batch);
        if (jq->out.status != SP_OK) {
            (void)sp_jq_stop_worker(jq, true);
            return WORKER_DIED;
        }
        if (batch->answered == batch->asked) {
            tell_too_long(batch);
            continue;
        }
        struct sp_jq_head head;
        struct sp_jq_frame frame;
        enum sp_jq_ending ending = sp_jq_await(jq, jq->options.deadline_ms, &head, &frame);
        if (ending != ANSWERED) {
            return ending;
        }
        take_answer(batch, head, &frame);
    }
    return ANSWERED;
}

static sp_status run_in_worker(struct batch *batch, struct sp_error *error) {
    struct sp_jq_program *program = batch->program;
    for (bool again = false;; again = true) {
        sp_status status = introduce(program, error);
        if (status != SP_OK) {
            return status;
        }
        batch->asked = batch->answered;
        bool fresh = program->jq->answers <= 1; /* it has compiled this program and no more */
        enum sp_jq_ending ending = converse(batch);
        if (ending == ANSWERED) {
            return SP_OK;
        }
        /* A worker that did much may have died of the others' leavings. */
        bool died = ending == WORKER_DIED || ending == ABORTED;
        if (again || fresh || !died) {
            return explain(program, ending, error);
        }
    }
}

static sp_status run_here(struct batch *batch, struct sp_error *error) {
    struct sp_buf values;
    struct sp_buf results;
    sp_status status = SP_OK;
    sp_buf_init(&values, SP_JQ_FRAME_BYTES_MAX);
    sp_buf_init(&results, batch->program->jq->options.value_bytes_max);
    while (status == SP_OK && batch->answered < batch->run_count && !batch->ended) {
        struct sp_error problem;
        uint64_t count = 0;
        sp_error_clear(&problem);
        if (run_is_too_long(batch, batch->answered)) {
            tell_too_long(batch);
            continue;
        }
        sp_buf_reset(&values);
        sp_buf_reset(&results);
        write_values(batch, batch->answered, &values);
        if (values.status != SP_OK) {
            status = sp_error_set(error, values.status, "values");
            break;
        }
        sp_status ran = sp_jq_eval_run(batch->program->eval, sp_wire_of(values.data, values.len),
                                       batch->program->name_count + 1, &results, &count, &problem);
        if (ran == SP_OK && !spread(batch, sp_wire_of(results.data, results.len), count)) {
            ran = sp_error_set(&problem, SP_NO_MEMORY, "results");
        }
        tell(batch, ran, count, &problem);
    }
    sp_buf_fini(&values);
    sp_buf_fini(&results);
    return status;
}

sp_status sp_jq_run_many(struct sp_jq_program *program, const sp_str *values, uint32_t run_count,
                         sp_jq_each_fn *each, void *context, struct sp_error *error) {
    if (program->refused) {
        return sp_error_set(error, SP_DENIED,
                            "the jq program passed its limits before: it is refused until it is "
                            "defined anew");
    }
    struct batch batch = {.program = program,
                          .values = values,
                          .run_count = run_count,
                          .each = each,
                          .context = context};
    sp_status status =
        program->eval != NULL ? run_here(&batch, error) : run_in_worker(&batch, error);
    free(batch.results);
    return status;
}

/* One run: what it said is what the call says. */
struct single {
    sp_jq_each_fn *each;
    void *context;
    sp_status status;
    struct sp_error *error;
};

static bool on_single(void *context, uint32_t run, const struct sp_jq_outcome *outcome,
                      const struct sp_error *error) {
    struct single *single = context;
    single->status = outcome->status;
    if (outcome->status != SP_OK) {
        (void)sp_error_set(single->error, outcome->status, "%s", error->text);
    }
    (void)single->each(single->context, run, outcome, error);
    return false;
}

sp_status sp_jq_run(struct sp_jq_program *program, const sp_str *values, sp_jq_each_fn *each,
                    void *context, struct sp_error *error) {
    struct single single = {.each = each, .context = context, .status = SP_OK, .error = error};
    sp_status status = sp_jq_run_many(program, values, 1, on_single, &single, error);
    return status != SP_OK ? status : single.status;
}

struct value {
    struct sp_buf *to;
    uint32_t count;
};

static bool on_value(void *context, uint32_t run, const struct sp_jq_outcome *outcome,
                     const struct sp_error *error) {
    (void)run;
    (void)error;
    struct value *value = context;
    value->count = outcome->result_count;
    if (outcome->result_count == 1) {
        sp_buf_add_str(value->to, outcome->results[0]);
    }
    return true;
}

sp_status sp_jq_value(struct sp_jq_program *program, const sp_str *values, struct sp_buf *to,
                      struct sp_error *error) {
    struct value value = {.to = to};
    sp_status status = sp_jq_run(program, values, on_value, &value, error);
    if (status != SP_OK) {
        return status;
    }
    if (value.count != 1) {
        return sp_error_set(error, SP_INVALID, "the program gave %u values, expected one",
                            value.count);
    }
    return to->status == SP_OK ? SP_OK : sp_error_set(error, to->status, "result");
}
