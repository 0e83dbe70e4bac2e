/* One step of what users do with an engine. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/time.h"
#include "sim/world_engine_int.h"

enum { DATA_BYTES_MAX = 9 << 10, PAUSE_US = 3000000, STEP_BACK_US = 2000000000 };

static void append(struct engine_system *sys);

/* ---- answers ---- */

/* One event is where it was predicted to be; what only the engine knows is noted or compared. */
static void compare_result(struct engine_system *sys, const struct engine_ticket *ticket,
                           uint32_t i, const struct sp_engine_result *result) {
    const struct sim_prediction *predicted = &ticket->prediction;
    struct sim_world *world = sys->world;
    if (result->position != predicted->positions[i] || result->version != predicted->versions[i] ||
        result->duplicate != predicted->duplicates[i]) {
        sim_wrong(world, "answered event %llu, version %llu, duplicate %d, not %llu, %llu, %d",
                  (unsigned long long)result->position, (unsigned long long)result->version,
                  result->duplicate, (unsigned long long)predicted->positions[i],
                  (unsigned long long)predicted->versions[i], predicted->duplicates[i]);
        return;
    }
    struct sim_engine_event *event = &sys->model.events[result->position - 1];
    if (event->placed &&
        (event->recorded_us != result->recorded_us || event->entry_seq != result->entry_seq)) {
        sim_wrong(world, "event %llu has moved in time", (unsigned long long)result->position);
    }
    event->placed = true;
    event->recorded_us = result->recorded_us;
    event->entry_seq = result->entry_seq;
    if (result->id_made != (event->spec.id < 0)) {
        sim_wrong(world, "event %llu: an id was %s", (unsigned long long)result->position,
                  result->id_made ? "made" : "not made");
    } else if (result->id_made) {
        sp_uuid_format(result->id, event->made_id);
    }
}

static void on_done(void *context, sp_engine_extra_fn *extra, sp_status status,
                    const struct sp_engine_result *results, uint32_t count,
                    const struct sp_error *error) {
    (void)extra;
    struct engine_ticket *ticket = context;
    struct engine_system *sys = ticket->sys;
    (void)error;
    sim_note(sys->world, "answered: %s, events from %llu", sp_status_name(status),
             (unsigned long long)ticket->prediction.positions[0]);
    if (count != ticket->count) {
        sim_wrong(sys->world, "answered %u events of %u", count, ticket->count);
    }
    for (uint32_t i = 0; status == SP_OK && i < count && !sys->world->wrong; i++) {
        compare_result(sys, ticket, i, &results[i]);
        uint64_t position = results[i].position;
        sys->model.acked = position > sys->model.acked ? position : sys->model.acked;
    }
    if (status != SP_OK && !sys->dying && !sim_excused(sys->world)) {
        sim_wrong(sys->world, "an append failed for no reason: %s", sp_status_name(status));
    }
    *ticket->link = ticket->next;
    if (ticket->next != NULL) {
        ticket->next->link = ticket->link;
    }
    free(ticket);
    if (status == SP_OK && !sys->closing && !sys->world->wrong && sim_chance(sys->world, 10)) {
        append(sys); /* a callback may submit more */
    }
}

/* ---- appends ---- */

static void choose_event(struct engine_system *sys, struct sim_event_spec *spec) {
    struct sim_world *world = sys->world;
    *spec = (struct sim_event_spec){
        .stream = (int)sim_pick(world, SIM_STREAMS),
        .source = (int)sim_pick(world, SIM_SOURCES),
        .type = (int)sim_pick(world, SIM_TYPES),
        .id =
            sim_chance(world, 60) ? (int)sim_pick(world, sim_chance(world, 30) ? 40 : SIM_IDS) : -1,
        .cause =
            sim_chance(world, 40) ? (int)sim_pick(world, sim_chance(world, 60) ? 40 : SIM_IDS) : -1,
        .run = sim_chance(world, 40) ? (int)sim_pick(world, SIM_RUNS) : -1,
        .data_seed = sp_prng_next(&world->prng),
        .data_bytes = sim_pick(world, sim_chance(world, sys->large_percent) ? DATA_BYTES_MAX : 300),
    };
}

/* Registers a schema, or gives one another mode; an expectation goes with it like with any. */
static void choose_schema(struct engine_system *sys, struct sim_append_spec *spec) {
    struct sim_world *world = sys->world;
    spec->count = 1;
    choose_event(sys, &spec->events[0]);
    sim_schema_event(&spec->events[0], (int)sim_pick(world, SIM_TYPES),
                     (int)sim_pick(world, SIM_MODES));
    spec->expect_count = sim_chance(world, 20) ? 1 : 0;
    spec->expects[0] = (struct sim_expect_spec){
        .stream = SIM_SCHEMA_STREAM,
        .version = sim_engine_model_version(&sys->model, SIM_SCHEMA_STREAM) +
                   (sim_chance(world, 30) ? 1 : 0)};
}

static void choose_append(struct engine_system *sys, struct sim_append_spec *spec) {
    struct sim_world *world = sys->world;
    if (sys->has_schemas && sim_chance(world, 4)) {
        choose_schema(sys, spec);
        return;
    }
    spec->count = sim_chance(world, 65) ? 1 : 1 + sim_pick(world, SIM_BATCH_MAX);
    for (uint32_t i = 0; i < spec->count; i++) {
        choose_event(sys, &spec->events[i]);
        if (i > 0 && sim_chance(world, 15)) {
            spec->events[i] = spec->events[sim_pick(world, i)];
        }
    }
    spec->expect_count = sim_chance(world, 70) ? 0 : 1 + sim_pick(world, SIM_EXPECTS_MAX);
    for (uint32_t i = 0; i < spec->expect_count; i++) {
        int stream =
            sim_chance(world, 70) ? spec->events[0].stream : (int)sim_pick(world, SIM_STREAMS);
        uint64_t version = sim_engine_model_version(&sys->model, stream);
        version += sim_chance(world, 25) ? 1 : 0;
        spec->expects[i] = (struct sim_expect_spec){.stream = stream, .version = version};
    }
}

/* Texts of one append's events, for as long as it is handed over. */
struct texts {
    char of[SIM_BATCH_MAX][6][SIM_TEXT_SIZE];
    char expected[SIM_EXPECTS_MAX][SIM_TEXT_SIZE];
};

static void fill_event(struct engine_system *sys, const struct sim_event_spec *spec, uint32_t i,
                       struct texts *texts, struct sp_event *event) {
    char(*of)[SIM_TEXT_SIZE] = texts->of[i];
    uint8_t *data = sys->data + (size_t)i * DATA_BYTES_MAX;
    const struct sim_run_name run = {.kind = SIM_RUN_GIVEN, .number = (uint64_t)spec->run};
    *event = (struct sp_event){.position = 0};
    event->attr[SP_ATTR_STREAM] = sim_stream_text(spec->stream, of[0]);
    event->attr[SP_ATTR_SOURCE] = sim_source_text(spec->source, of[1]);
    event->attr[SP_ATTR_TYPE] = sim_type_text(spec->type, of[2]);
    if (spec->id >= 0) {
        event->attr[SP_ATTR_ID] = sim_id_text(spec->id, of[3]);
    }
    if (spec->cause >= 0) {
        event->attr[SP_ATTR_CAUSATION] = sim_id_text(spec->cause, of[4]);
    }
    if (spec->run >= 0) {
        event->attr[SP_ATTR_CORRELATION] = sim_run_text(&sys->model, run, of[5]);
    }
    sim_data_bytes(spec, data);
    event->attr[SP_ATTR_CONTENTTYPE] = SP_STR("application/octet-stream");
    event->data = sp_str_of(data, spec->data_bytes);
    event->has_data = true;
}

static sp_status hand_over(struct engine_system *sys, const struct sim_append_spec *spec,
                           struct engine_ticket *ticket, struct sp_error *error) {
    struct texts texts;
    struct sp_event events[SIM_BATCH_MAX];
    struct sp_engine_expect expects[SIM_EXPECTS_MAX];
    for (uint32_t i = 0; i < spec->count; i++) {
        fill_event(sys, &spec->events[i], i, &texts, &events[i]);
    }
    for (uint32_t i = 0; i < spec->expect_count; i++) {
        expects[i] = (struct sp_engine_expect){
            .stream = sim_stream_text(spec->expects[i].stream, texts.expected[i]),
            .version = spec->expects[i].version};
    }
    const struct sp_engine_append append = {.events = events,
                                            .count = spec->count,
                                            .origin = SP_EVENT_FROM_FIELDS,
                                            .expects = expects,
                                            .expect_count = spec->expect_count,
                                            .done = on_done,
                                            .context = ticket};
    return sp_engine_submit(sys->engine, &append, error);
}

static void enter(struct engine_system *sys, struct engine_ticket *ticket) {
    ticket->next = sys->tickets;
    ticket->link = &sys->tickets;
    if (ticket->next != NULL) {
        ticket->next->link = &ticket->next;
    }
    sys->tickets = ticket;
}

/* A refusal that has nothing to do with the events themselves. */
static bool may_refuse(const struct engine_system *sys, sp_status status) {
    return status == SP_BUSY || (status != SP_OK && status != SP_CONFLICT && status != SP_INVALID &&
                                 sim_excused(sys->world));
}

static void submit(struct engine_system *sys, const struct sim_append_spec *spec) {
    struct sim_world *world = sys->world;
    struct engine_ticket *ticket = calloc(1, sizeof(*ticket));
    struct sp_error error = {.status = SP_OK};
    sp_ensure(ticket != NULL);
    ticket->sys = sys;
    ticket->count = spec->count;
    enter(sys, ticket);
    uint64_t first = engine_first(sys);
    uint64_t before = sys->model.count;
    sim_engine_model_append(&sys->model, spec, first, &ticket->prediction);
    struct sim_prediction prediction = ticket->prediction;
    sp_status status = hand_over(sys, spec, ticket, &error);
    sim_note(world, "append %u events, id %d: %s, from %llu on", spec->count, spec->events[0].id,
             sp_status_name(status), (unsigned long long)prediction.positions[0]);
    if (status == SP_OK) { /* the engine has the ticket now */
        if (prediction.status != SP_OK) {
            sim_wrong(world, "an append was taken, not refused: %s",
                      sp_status_name(prediction.status));
        }
        return;
    }
    *ticket->link = ticket->next;
    if (ticket->next != NULL) {
        ticket->next->link = ticket->link;
    }
    free(ticket);
    uint64_t acked = sys->model.acked;
    sim_engine_model_cut(&sys->model, before);
    sys->model.acked = acked;
    if (status != prediction.status && !may_refuse(sys, status)) {
        sim_wrong(world, "append: %s instead of %s: %s", sp_status_name(status),
                  sp_status_name(prediction.status), error.text);
    } else if (status == SP_CONFLICT && error.offset != prediction.actual_version) {
        sim_wrong(world, "conflict at version %llu, not %llu: %s", (unsigned long long)error.offset,
                  (unsigned long long)prediction.actual_version, error.text);
    }
}

static void append(struct engine_system *sys) {
    struct sim_append_spec spec;
    choose_append(sys, &spec);
    sys->remembered[sim_pick(sys->world, SIM_REMEMBERED)] = spec;
    submit(sys, &spec);
}

/* As a producer does that never heard of the outcome, perhaps for a crash. */
static void try_again(struct engine_system *sys) {
    const struct sim_append_spec *spec = &sys->remembered[sim_pick(sys->world, SIM_REMEMBERED)];
    if (spec->count > 0) {
        submit(sys, spec);
    }
}

/* ---- others ---- */

static void turn(struct engine_system *sys, int timeout_ms) {
    uint64_t before = sys->model.acked;
    (void)sp_engine_turn(sys->engine, timeout_ms);
    engine_ops_note(sys);
    uint64_t durable = sp_engine_durable_position(sys->engine);
    if (durable < before || durable > sys->model.count) {
        sim_wrong(sys->world, "durable up to %llu of %zu, %llu acknowledged before",
                  (unsigned long long)durable, sys->model.count, (unsigned long long)before);
    }
}

static void finish_all(struct engine_system *sys) {
    enum { TURNS_MAX = 200 };
    for (int i = 0; i < TURNS_MAX && sys->tickets != NULL && !sys->world->wrong; i++) {
        turn(sys, 0);
        sim_clock_advance_ns(&sys->world->clock, 100000000);
    }
    if (sys->tickets != NULL && !sys->world->full && engine_alive(sys)) {
        sim_wrong(sys->world, "an append is not answered after %d turns", TURNS_MAX);
    }
}

static void trim(struct engine_system *sys) {
    struct sp_log *log = sp_engine_log(sys->engine);
    uint64_t position = 1 + sim_pick(sys->world, (uint32_t)sys->model.count + 1);
    sys->dropping = true;
    sp_status status = log->ops->trim(log, position, NULL);
    sim_note(sys->world, "trim to %llu: %s, begins at %llu", (unsigned long long)position,
             sp_status_name(status), (unsigned long long)engine_first(sys));
    if (engine_first(sys) > position && sys->options.retain_bytes_max == 0 &&
        sys->options.retain_age_us == 0) {
        sim_note(sys->world, "begins behind the position: an earlier trim went further");
    }
}

static void let_time_pass(struct engine_system *sys) {
    struct sim_world *world = sys->world;
    if (sim_chance(world, 80)) {
        sim_clock_advance_ns(&world->clock, UINT64_C(1000) * sim_pick(world, PAUSE_US));
    } else {
        uint64_t now_us = sys->options.clock.wall_us(sys->options.clock.context);
        sim_clock_set_wall_us(&world->clock, now_us - sim_pick(world, STEP_BACK_US));
    }
}

bool engine_step(struct engine_system *sys) {
    struct sim_world *world = sys->world;
    uint32_t what = sim_pick(world, 100);
    if (what < 50) {
        for (uint32_t i = 1 + sim_pick(world, 8); i > 0 && !world->wrong; i--) {
            append(sys);
        }
    } else if (what < 54) {
        try_again(sys);
    } else if (what < 62) {
        for (uint32_t i = 1 + sim_pick(world, 30); i > 0 && !world->wrong; i--) {
            engine_ops_step(sys);
        }
    } else if (what < 76) {
        turn(sys, sim_chance(world, 30) ? -1 : 0);
        if (sys->follower != NULL) {
            engine_follow(sys);
        }
    } else if (what < 80) {
        finish_all(sys);
    } else if (what < 86) {
        engine_check_query(sys);
    } else if (what < 90) {
        engine_check_find(sys);
    } else if (what < 92) {
        engine_check_runs(sys);
    } else if (what < 94) {
        if (!sys->has_schemas) { /* what is trimmed away is registered no more */
            trim(sys);
        }
    } else if (what < 95) {
        engine_check_all(sys);
    } else if (what < 98) {
        engine_follow(sys);
    } else {
        let_time_pass(sys);
    }
    return !world->wrong && engine_alive(sys);
}
