/* Programs of definitions: compiled once, kept while they are in use, run some at a time. */
#include <stdlib.h>

#include "base/hash.h"
#include "engine/flows_int.h"

/* ---- the compiled ones ---- */

static struct flow_program *find(struct engine_flows *flows, uint64_t hash, sp_str text) {
    struct sp_htab_probe probe = sp_htab_find(&flows->program_table, hash);
    uint32_t at;
    while (sp_htab_next(&probe, &at)) {
        struct flow_program *program = &flows->programs[at];
        if (program->hash == hash && sp_str_eq(program->text, text)) {
            return program;
        }
    }
    return NULL;
}

static void forget(struct engine_flows *flows, struct flow_program *program) {
    sp_htab_remove(&flows->program_table, program->hash, (uint32_t)(program - flows->programs));
    sp_jq_drop(program->program);
    free((char *)(uintptr_t)program->text.ptr);
    *program = (struct flow_program){.used = 0};
}

/* A free place; the program that was used the longest ago makes room. */
static struct flow_program *make_place(struct engine_flows *flows) {
    if (flows->program_count < FLOWS_PROGRAMS_MAX) {
        return &flows->programs[flows->program_count++];
    }
    struct flow_program *oldest = &flows->programs[0];
    for (uint32_t i = 1; i < FLOWS_PROGRAMS_MAX; i++) {
        if (flows->programs[i].used < oldest->used) {
            oldest = &flows->programs[i];
        }
    }
    if (oldest->text.ptr != NULL) {
        forget(flows, oldest);
    }
    return oldest;
}

static sp_status prepare(struct engine_flows *flows, struct sp_error *error) {
    if (flows->programs == NULL) {
        flows->programs = calloc(FLOWS_PROGRAMS_MAX, sizeof(*flows->programs));
        if (flows->programs == NULL) {
            return sp_error_set(error, SP_NO_MEMORY, "programs");
        }
    }
    return flows->jq != NULL ? SP_OK : sp_jq_new(NULL, &flows->jq, error);
}

static sp_status add(struct engine_flows *flows, uint64_t hash, sp_str text,
                     struct flow_program **ret_program, struct sp_error *error) {
    struct sp_jq_program *compiled = NULL;
    sp_status status = sp_jq_define(flows->jq, text, NULL, 0, &compiled, error);
    if (status != SP_OK) {
        return status;
    }
    char *copy = malloc(text.len);
    struct flow_program *program = copy == NULL ? NULL : make_place(flows);
    if (program == NULL ||
        sp_htab_add(&flows->program_table, hash, (uint32_t)(program - flows->programs)) != SP_OK) {
        free(copy);
        sp_jq_drop(compiled);
        return sp_error_set(error, SP_NO_MEMORY, "program");
    }
    memcpy(copy, text.ptr, text.len);
    *program =
        (struct flow_program){.text = sp_str_of(copy, text.len), .hash = hash, .program = compiled};
    *ret_program = program;
    return SP_OK;
}

sp_status flows_program(struct engine_flows *flows, sp_str text, struct sp_jq_program **ret_program,
                        struct sp_error *error) {
    sp_require(text.len > 0);
    sp_status status = prepare(flows, error);
    uint64_t hash = sp_hash(text.ptr, text.len);
    struct flow_program *program = status == SP_OK ? find(flows, hash, text) : NULL;
    if (status == SP_OK && program == NULL) {
        status = add(flows, hash, text, &program, error);
    }
    if (status == SP_OK) {
        program->used = ++flows->program_uses;
        *ret_program = program->program;
    }
    return status;
}

void flows_programs_free(struct engine_flows *flows) {
    for (uint32_t i = 0; i < flows->program_count; i++) {
        if (flows->programs[i].text.ptr != NULL) {
            forget(flows, &flows->programs[i]);
        }
    }
    free(flows->programs);
    sp_htab_fini(&flows->program_table);
    sp_jq_free(flows->jq);
}

/* ---- running them ---- */

/* The runs of one program. */
struct runs {
    struct engine_flows *flows;
    uint32_t items[FLOWS_BATCH];
    sp_str values[FLOWS_BATCH];
    uint32_t count;
    uint32_t done;
};

static void answer(struct engine_flows *flows, struct flow_item *item, sp_status status,
                   sp_str text) {
    item->status = status;
    item->answer_offset = flows->answers.len;
    item->answer_len = text.len;
    sp_buf_add_str(&flows->answers, text);
    if (flows->answers.status != SP_OK) {
        item->status = flows->answers.status;
        item->answer_len = 0;
        item->answer_offset = 0;
        flows->answers.status = SP_OK;
    }
    flows->stats.jq_runs++;
    flows->stats.jq_failures += item->status != SP_OK;
}

static void answer_count(struct engine_flows *flows, struct flow_item *item, uint32_t count) {
    struct sp_error error;
    sp_error_clear(&error);
    (void)sp_error_set(&error, SP_INVALID, "found %u values, expected one", count);
    answer(flows, item, SP_INVALID, sp_str_from(error.text));
}

static bool hear(void *context, uint32_t run, const struct sp_jq_outcome *outcome,
                 const struct sp_error *error) {
    struct runs *runs = context;
    struct flow_item *item = &runs->flows->items[runs->items[run]];
    if (outcome->status != SP_OK) {
        answer(runs->flows, item, outcome->status, sp_str_from(error->text));
    } else if (outcome->result_count != 1) {
        answer_count(runs->flows, item, outcome->result_count);
    } else {
        answer(runs->flows, item, SP_OK, outcome->results[0]);
    }
    runs->done = run + 1;
    return true;
}

/* No process to run it in, or no processor for that: another time it may be different. */
static bool is_for_now(const struct engine_flows *flows, const struct sp_jq_program *program,
                       sp_status status) {
    return (status == SP_IO || status == SP_TIMEOUT || status == SP_NO_MEMORY) &&
           !sp_jq_is_refused(program) && flows->pauses < FLOWS_PAUSES_MAX;
}

/* The batch ended before all its runs were: those that had no answer get it now, or later. */
static void settle(struct runs *runs, struct sp_jq_program *program, sp_status status,
                   const struct sp_error *error) {
    struct engine_flows *flows = runs->flows;
    for (uint32_t i = 0; i < runs->count; i++) {
        struct flow_item *item = &flows->items[runs->items[i]];
        if (i >= runs->done) {
            answer(flows, item, status, sp_str_from(error->text));
        }
        item->again = is_for_now(flows, program, item->status);
    }
}

static void run_program(struct engine_flows *flows, struct sp_jq_program *program, uint32_t first,
                        uint32_t count) {
    struct runs runs = {.flows = flows};
    struct sp_error error;
    for (uint32_t i = first; i < count; i++) {
        struct flow_item *item = &flows->items[i];
        if (item->program == program) {
            runs.items[runs.count] = i;
            runs.values[runs.count++] =
                sp_str_of(flows->asks.data + item->ask_offset, item->ask_len);
            item->program = NULL;
        }
    }
    sp_error_clear(&error);
    sp_status status = sp_jq_run_many(program, runs.values, runs.count, hear, &runs, &error);
    settle(&runs, program, status, &error);
}

void flows_run_programs(struct engine_flows *flows, uint32_t count) {
    const struct sp_clock *clock = &flows->engine->options.clock;
    uint64_t before_ns = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (flows->items[i].program != NULL) {
            before_ns = before_ns == 0 ? clock->monotonic_ns(clock->context) : before_ns;
            run_program(flows, flows->items[i].program, i, count);
        }
    }
    if (before_ns != 0) {
        flows->stats.jq_us += (clock->monotonic_ns(clock->context) - before_ns) / 1000;
    }
}
