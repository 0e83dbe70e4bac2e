/* Comparing what the engine shows with the model. */
#include <string.h>

#include "sim/world_engine_int.h"

/* ---- one event ---- */

static bool same_texts(struct engine_system *sys, const struct sp_event *event) {
    const struct sim_engine_event *model = &sys->model.events[event->position - 1];
    char text[SIM_TEXT_SIZE];
    const sp_str *attr = event->attr;
    return sp_str_eq(attr[SP_ATTR_STREAM], sim_stream_text(model->spec.stream, text)) &&
           sp_str_eq(attr[SP_ATTR_SOURCE], sim_source_text(model->spec.source, text)) &&
           sp_str_eq(attr[SP_ATTR_TYPE], sim_type_text(model->spec.type, text)) &&
           sp_str_eq(attr[SP_ATTR_ID], sim_event_id(&sys->model, event->position, text)) &&
           sp_str_eq(attr[SP_ATTR_CORRELATION], sim_run_text(&sys->model, model->run, text)) &&
           (model->spec.cause < 0
                ? attr[SP_ATTR_CAUSATION].ptr == NULL
                : sp_str_eq(attr[SP_ATTR_CAUSATION], sim_id_text(model->spec.cause, text)));
}

static bool same_data(struct engine_system *sys, const struct sp_event *event) {
    const struct sim_event_spec *spec = &sys->model.events[event->position - 1].spec;
    if (event->data.len != spec->data_bytes) {
        return false;
    }
    sim_data_bytes(spec, sys->data);
    return spec->data_bytes == 0 || memcmp(sys->data, event->data.ptr, spec->data_bytes) == 0;
}

/* Notes what only the engine knows, or compares it. */
static bool same_place(struct engine_system *sys, const struct sp_event *event) {
    struct sim_engine_event *model = &sys->model.events[event->position - 1];
    if (!model->placed) {
        model->placed = true;
        model->recorded_us = event->recorded_us;
        model->entry_seq = event->entry_seq;
        if (model->spec.id < 0) {
            sp_str id = event->attr[SP_ATTR_ID];
            size_t len = id.len < SIM_TEXT_SIZE - 1 ? id.len : SIM_TEXT_SIZE - 1;
            memcpy(model->made_id, id.ptr, len);
            model->made_id[len] = '\0';
        }
    }
    return model->recorded_us == event->recorded_us && model->entry_seq == event->entry_seq &&
           model->version == event->version;
}

static bool check_event(struct engine_system *sys, const struct sp_event *event) {
    struct sim_engine_model *model = &sys->model;
    if (event->position == 0 || event->position > model->count) {
        sim_wrong(sys->world, "read event %llu of %zu", (unsigned long long)event->position,
                  model->count);
        return false;
    }
    bool place = same_place(sys, event);
    bool texts = same_texts(sys, event);
    bool data = same_data(sys, event);
    if (!place || !texts || !data) {
        sim_wrong(sys->world, "event %llu is not the one appended: place %d, texts %d, data %d",
                  (unsigned long long)event->position, place, texts, data);
        return false;
    }
    return true;
}

bool engine_judge(struct engine_system *sys, const char *what, sp_status status,
                  const struct sp_error *error) {
    sim_note(sys->world, "%s: %s", what, sp_status_name(status));
    if (!sim_excused(sys->world)) {
        sim_wrong(sys->world, "%s: %s: %s", what, sp_status_name(status), error->text);
        return false;
    }
    return true;
}

/* ---- everything ---- */

static bool check_leaf(struct engine_system *sys, struct sp_cursor *cursor, uint64_t position) {
    struct sim_engine_event *model = &sys->model.events[position - 1];
    uint8_t leaf[SP_HASH_BYTES];
    struct sp_error error = {.status = SP_OK};
    sp_status status = sp_cursor_hash(cursor, leaf, &error);
    if (status != SP_OK) {
        return engine_judge(sys, "hash", status, &error);
    }
    if (model->leaf_known && memcmp(leaf, model->leaf, sizeof(leaf)) != 0) {
        sim_wrong(sys->world, "event %llu has another hash now", (unsigned long long)position);
        return false;
    }
    model->leaf_known = true;
    memcpy(model->leaf, leaf, sizeof(leaf));
    return true;
}

static void check_order(struct engine_system *sys, uint64_t position) {
    if (position < 2) {
        return;
    }
    const struct sim_engine_event *at = &sys->model.events[position - 1];
    const struct sim_engine_event *before = at - 1;
    uint64_t ms = at->recorded_us / 1000;
    uint64_t ms_before = before->recorded_us / 1000;
    bool rises = ms > ms_before || (ms == ms_before && at->entry_seq > before->entry_seq);
    if (before->placed && (!rises || at->recorded_us < before->recorded_us)) {
        sim_wrong(sys->world, "the entry id of event %llu does not rise",
                  (unsigned long long)position);
    }
}

static void check_root(struct engine_system *sys) {
    struct sp_log *log = sp_engine_log(sys->engine);
    struct sp_log_tree tree;
    uint8_t root[SP_HASH_BYTES];
    struct sp_error error = {.status = SP_OK};
    sp_status status = log->ops->tree(log, true, &tree, &error);
    if (status != SP_OK) {
        (void)engine_judge(sys, "tree", status, &error);
        return;
    }
    if (tree.size > sys->model.count) {
        sim_wrong(sys->world, "a tree of %llu events of %zu", (unsigned long long)tree.size,
                  sys->model.count);
    } else if (sim_engine_model_root(&sys->model, tree.size, root) &&
               memcmp(root, tree.root, sizeof(root)) != 0) {
        sim_wrong(sys->world, "the root over %llu events is not that of their hashes",
                  (unsigned long long)tree.size);
    }
}

static void check_core(struct engine_system *sys) {
    const struct sp_core *core = sp_engine_core(sys->engine);
    for (size_t i = 0; i < sys->model.count; i++) {
        if (!sys->model.events[i].placed) {
            return; /* not durable yet, or never shown for damage */
        }
    }
    if (core->position != sys->model.count ||
        sp_core_hash(core) !=
            sim_engine_model_hash(&sys->model, engine_ops_all(sys), core->control_number)) {
        sim_wrong(sys->world, "the core is not what the events of the log make of it");
    }
}

void engine_check_all(struct engine_system *sys) {
    struct sim_world *world = sys->world;
    struct sp_cursor *cursor = NULL;
    struct sp_error error = {.status = SP_OK};
    const struct sp_query everything = {.limit = 0};
    const struct sp_event *event = NULL;
    uint64_t expected = engine_first(sys);
    uint64_t durable = engine_last(sys);
    if (expected > 1 && !sys->dropping) {
        sim_wrong(world, "begins at event %llu, nothing was trimmed", (unsigned long long)expected);
    }
    sp_status status = sp_cursor_open(sys->engine, &everything, &cursor, &error);
    while (status == SP_OK && !world->wrong &&
           (status = sp_cursor_next(cursor, &event, &error)) != SP_END) {
        if (status != SP_OK) {
            if (!engine_judge(sys, "read", status, &error)) {
                break;
            }
            expected = 0; /* goes on behind what cannot be read */
            status = SP_OK;
            continue;
        }
        if (expected != 0 && event->position != expected) {
            sim_wrong(world, "read event %llu, expected %llu", (unsigned long long)event->position,
                      (unsigned long long)expected);
        }
        if (check_event(sys, event) && check_leaf(sys, cursor, event->position)) {
            check_order(sys, event->position);
        }
        expected = event->position + 1;
    }
    sp_cursor_close(cursor);
    sim_note(world, "read all up to event %llu", (unsigned long long)expected - 1);
    if (!world->wrong && expected != durable + 1 && !sim_excused(world)) {
        sim_wrong(world, "read up to %llu of %llu durable events", (unsigned long long)expected - 1,
                  (unsigned long long)durable);
    }
    if (!world->wrong && engine_alive(sys)) {
        check_core(sys);
        check_root(sys);
    }
}

/* ---- questions ---- */

static struct sim_question choose_question(struct engine_system *sys) {
    struct sim_world *world = sys->world;
    uint64_t first = engine_first(sys);
    uint64_t durable = engine_last(sys);
    struct sim_question question = {
        .stream = sim_chance(world, 30) ? (int)sim_pick(world, SIM_STREAMS) : -1,
        .source = sim_chance(world, 30) ? (int)sim_pick(world, SIM_SOURCES) : -1,
        .type = sim_chance(world, 30) ? (int)sim_pick(world, SIM_TYPES) : -1,
        .run = sim_chance(world, 30) ? (int)sim_pick(world, SIM_RUNS) : -1,
        .from = first,
        .until = durable,
    };
    if (sim_chance(world, 30) && durable >= first) {
        question.from = first + sim_pick(world, (uint32_t)(durable - first) + 1);
        question.until = question.from + sim_pick(world, (uint32_t)(durable - question.from) + 1);
    }
    return question;
}

static sp_str number_text(uint64_t number, char text[24]) {
    size_t at = 24;
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return sp_str_of(text + at, 24 - at);
}

struct sp_query sim_query_of(const struct sim_engine_model *model,
                             const struct sim_question *question,
                             struct sim_question_texts *texts) {
    struct sp_query query = {.from = number_text(question->from, texts->from),
                             .until = number_text(question->until, texts->until)};
    const struct sim_run_name run = {.kind = SIM_RUN_GIVEN, .number = (uint64_t)question->run};
    if (question->stream >= 0) {
        query.stream = sim_stream_text(question->stream, texts->of[0]);
    }
    if (question->source >= 0) {
        query.source = sim_source_text(question->source, texts->of[1]);
    }
    if (question->type >= 0) {
        texts->types[0] = sim_type_text(question->type, texts->of[2]);
        query.types = texts->types;
        query.type_count = 1;
    }
    if (question->run >= 0) {
        query.correlation = sim_run_text(model, run, texts->of[3]);
    }
    return query;
}

/* The next match from a position on, in either direction; 0 where there is none. */
static uint64_t next_match(struct engine_system *sys, const struct sim_question *question,
                           uint64_t position, bool reverse) {
    while (position >= question->from && position <= question->until && position > 0) {
        if (sim_matches(&sys->model, question, position)) {
            return position;
        }
        position = reverse ? position - 1 : position + 1;
    }
    return 0;
}

void engine_check_query(struct engine_system *sys) {
    struct sim_world *world = sys->world;
    bool reverse = sim_chance(world, 40);
    struct sim_question question = choose_question(sys);
    struct sim_question_texts texts;
    struct sp_query query = sim_query_of(&sys->model, &question, &texts);
    struct sp_cursor *cursor = NULL;
    struct sp_error error = {.status = SP_OK};
    const struct sp_event *event = NULL;
    uint64_t found = 0;
    query.reverse = reverse;
    uint64_t expected =
        next_match(sys, &question, reverse ? question.until : question.from, reverse);
    sp_status status = sp_cursor_open(sys->engine, &query, &cursor, &error);
    while (status == SP_OK && (status = sp_cursor_next(cursor, &event, &error)) == SP_OK) {
        if (event->position != expected || !check_event(sys, event)) {
            sim_wrong(world, "a query gave event %llu instead of %llu",
                      (unsigned long long)event->position, (unsigned long long)expected);
            break;
        }
        found++;
        expected = next_match(sys, &question, reverse ? expected - 1 : expected + 1, reverse);
    }
    sp_cursor_close(cursor);
    sim_note(world, "query: %llu events", (unsigned long long)found);
    if (status == SP_END && expected != 0) {
        sim_wrong(world, "a query did not give event %llu", (unsigned long long)expected);
    } else if (status != SP_END && status != SP_OK) {
        (void)engine_judge(sys, "query", status, &error);
    }
}

void engine_check_find(struct engine_system *sys) {
    struct sim_world *world = sys->world;
    int id = (int)sim_pick(world, sim_chance(world, 70) ? 40 : SIM_IDS);
    char text[SIM_TEXT_SIZE];
    const sp_str any = {.ptr = NULL, .len = 0};
    struct sp_cursor *cursor = NULL;
    struct sp_error error = {.status = SP_OK};
    const struct sp_event *event = NULL;
    uint64_t durable = engine_last(sys);
    uint64_t position = engine_first(sys);
    sp_status status = sp_cursor_find(sys->engine, sim_id_text(id, text), any, &cursor, &error);
    bool nothing = status == SP_NOT_FOUND;
    for (; position <= durable && (status == SP_OK || nothing); position++) {
        if (sys->model.events[position - 1].spec.id != id) {
            continue;
        }
        if (nothing || (status = sp_cursor_next(cursor, &event, &error)) == SP_END ||
            (status == SP_OK && event->position != position)) {
            sim_wrong(world, "event %llu was not found by its id", (unsigned long long)position);
            break;
        }
    }
    if (status == SP_OK && !world->wrong) {
        status = sp_cursor_next(cursor, &event, &error);
        if (status == SP_OK) {
            sim_wrong(world, "an event was found by an id that it does not have");
        }
    }
    sp_cursor_close(cursor);
    sim_note(world, "find id %d: %s", id, sp_status_name(status));
    if (status != SP_OK && status != SP_END && status != SP_NOT_FOUND) {
        (void)engine_judge(sys, "find", status, &error);
    }
}

/* ---- runs ---- */

struct run_count {
    struct engine_system *sys;
    uint64_t runs;
    uint64_t events;
};

/* An id that the engine made is known when the append was answered. */
static bool is_run(const struct sim_engine_model *model, uint64_t position, sp_str text) {
    char own[SIM_TEXT_SIZE];
    const struct sim_run_name run = model->events[position - 1].run;
    bool known = run.kind != SIM_RUN_OF_MADE_ID || model->events[run.number - 1].placed;
    return !known || sp_str_eq(text, sim_run_text(model, run, own));
}

static bool count_run(void *context, const struct sp_run *run) {
    struct run_count *count = context;
    const struct sim_engine_model *model = &count->sys->model;
    bool right = run->first_position > 0 && run->last_position <= model->count &&
                 is_run(model, run->first_position, run->correlation) &&
                 is_run(model, run->last_position, run->correlation);
    if (!right) {
        sim_wrong(count->sys->world, "a run from %llu to %llu that its events do not belong to",
                  (unsigned long long)run->first_position, (unsigned long long)run->last_position);
    }
    count->runs++;
    count->events += run->event_count;
    return right;
}

/* Every durable event is in one run, and in one only. */
void engine_check_runs(struct engine_system *sys) {
    struct run_count count = {.sys = sys};
    struct sp_error error = {.status = SP_OK};
    const struct sp_query everything = {.limit = 0};
    uint64_t first = engine_first(sys);
    uint64_t durable = engine_last(sys);
    if (durable - first > 400) {
        return; /* each run is a query of its own: too long a story */
    }
    sp_status status = sp_runs_walk(sys->engine, &everything, count_run, &count, &error);
    sim_note(sys->world, "%llu runs of %llu events: %s", (unsigned long long)count.runs,
             (unsigned long long)count.events, sp_status_name(status));
    if (status != SP_OK) {
        (void)engine_judge(sys, "runs", status, &error);
    } else if (count.events != durable + 1 - first) {
        sim_wrong(sys->world, "runs of %llu events of %llu", (unsigned long long)count.events,
                  (unsigned long long)(durable + 1 - first));
    }
}
