#include "sim/model_engine.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/prng.h"

enum { SCHEMA_TEXT_SIZE = 128 };

void sim_engine_model_fini(struct sim_engine_model *model) {
    free(model->events);
    *model = (struct sim_engine_model){.events = NULL};
}

/* ---- texts ---- */

sp_str sim_stream_text(int stream, char *text) {
    if (stream == SIM_SCHEMA_STREAM) {
        return sp_str_of(text, (size_t)snprintf(text, SIM_TEXT_SIZE, "$schemas"));
    }
    /* Some names are longer than what the table of streams keeps in place. */
    int len = stream % 5 == 0 ? snprintf(text, SIM_TEXT_SIZE, "stream-%040d", stream)
                              : snprintf(text, SIM_TEXT_SIZE, "stream-%d", stream);
    return sp_str_of(text, (size_t)len);
}

sp_str sim_source_text(int source, char *text) {
    return sp_str_of(text, (size_t)snprintf(text, SIM_TEXT_SIZE, "agent:%d", source));
}

sp_str sim_type_text(int type, char *text) {
    static const char *const types[SIM_TYPES + 1] = {
        "task.created", "task.completed", "agent.thinking",   "run.completed",
        "tool.called",  "code",           "schema.registered"};
    return sp_str_of(text, (size_t)snprintf(text, SIM_TEXT_SIZE, "%s", types[type]));
}

sp_str sim_id_text(int id, char *text) {
    /* UUIDs are stored and indexed in another way than other texts. */
    int len = id % 3 == 0
                  ? snprintf(text, SIM_TEXT_SIZE, "%08x-0000-7000-8000-0123456789ab", (unsigned)id)
                  : snprintf(text, SIM_TEXT_SIZE, "id-%d", id);
    return sp_str_of(text, (size_t)len);
}

sp_str sim_event_id(const struct sim_engine_model *model, uint64_t position, char *text) {
    const struct sim_engine_event *event = &model->events[position - 1];
    if (event->spec.id >= 0) {
        return sim_id_text(event->spec.id, text);
    }
    return sp_str_of(text, (size_t)snprintf(text, SIM_TEXT_SIZE, "%s", event->made_id));
}

sp_str sim_run_text(const struct sim_engine_model *model, struct sim_run_name run, char *text) {
    switch (run.kind) {
    case SIM_RUN_OF_ID:
        return sim_id_text((int)run.number, text);
    case SIM_RUN_OF_MADE_ID:
        return sim_event_id(model, run.number, text);
    case SIM_RUN_GIVEN:
        break;
    }
    return sp_str_of(text, (size_t)snprintf(text, SIM_TEXT_SIZE, "run-%d", (int)run.number));
}

/* The data of a registration; returns its length. */
static uint32_t schema_text(const struct sim_event_spec *spec, char text[SCHEMA_TEXT_SIZE]) {
    static const char *const modes[SIM_MODES] = {"enforce", "warn", "off"};
    char type[SIM_TEXT_SIZE];
    (void)sim_type_text(spec->held_type, type);
    return (uint32_t)snprintf(text, SCHEMA_TEXT_SIZE,
                              "{\"type\":\"%s\",\"version\":\"1\",\"mode\":\"%s\",\"schema\":{}}",
                              type, modes[spec->held_mode]);
}

void sim_schema_event(struct sim_event_spec *spec, int held_type, int held_mode) {
    char text[SCHEMA_TEXT_SIZE];
    spec->stream = SIM_SCHEMA_STREAM;
    spec->type = SIM_SCHEMA_TYPE;
    spec->held_type = held_type;
    spec->held_mode = held_mode;
    spec->data_bytes = schema_text(spec, text);
}

void sim_data_bytes(const struct sim_event_spec *spec, uint8_t *to) {
    if (spec->stream == SIM_SCHEMA_STREAM) {
        char text[SCHEMA_TEXT_SIZE];
        memcpy(to, text, schema_text(spec, text));
        return;
    }
    struct sp_prng prng = sp_prng_seed(spec->data_seed);
    for (uint32_t i = 0; i < spec->data_bytes; i++) {
        to[i] = (uint8_t)(sp_prng_next(&prng) >> 40);
    }
}

/* ---- appending ---- */

uint64_t sim_engine_model_version(const struct sim_engine_model *model, int stream) {
    for (size_t i = model->count; i > 0; i--) {
        if (model->events[i - 1].spec.stream == stream) {
            return model->events[i - 1].version;
        }
    }
    return 0;
}

/*
 * Position of the event with this source and id, 0 where there is none. There may be two: one that
 * was dropped, and after a crash is there again, and one that was stored meanwhile.
 */
static uint64_t find_same(const struct sim_engine_model *model, const struct sim_event_spec *spec,
                          uint64_t first) {
    for (uint64_t i = first; spec->id >= 0 && i <= model->count; i++) {
        const struct sim_event_spec *there = &model->events[i - 1].spec;
        if (there->id == spec->id && there->source == spec->source) {
            return i;
        }
    }
    return 0;
}

/* The run: given, the newest cause's, or the event's own id. */
static struct sim_run_name run_of(const struct sim_engine_model *model,
                                  const struct sim_event_spec *spec, uint64_t first) {
    if (spec->run >= 0) {
        return (struct sim_run_name){.kind = SIM_RUN_GIVEN, .number = (uint64_t)spec->run};
    }
    for (uint64_t i = model->count; spec->cause >= 0 && i >= first && i > 0; i--) {
        if (model->events[i - 1].spec.id == spec->cause) {
            return model->events[i - 1].run;
        }
    }
    return spec->id >= 0
               ? (struct sim_run_name){.kind = SIM_RUN_OF_ID, .number = (uint64_t)spec->id}
               : (struct sim_run_name){.kind = SIM_RUN_OF_MADE_ID, .number = model->count + 1};
}

static void add(struct sim_engine_model *model, const struct sim_event_spec *spec, uint64_t first) {
    if (model->count == model->capacity) {
        model->capacity = model->capacity == 0 ? 256 : model->capacity * 2;
        model->events = realloc(model->events, model->capacity * sizeof(*model->events));
        sp_ensure(model->events != NULL);
    }
    struct sim_engine_event event = {.spec = *spec,
                                     .run = run_of(model, spec, first),
                                     .version = sim_engine_model_version(model, spec->stream) + 1};
    model->events[model->count++] = event;
}

static sp_status check_expectations(const struct sim_engine_model *model,
                                    const struct sim_append_spec *spec,
                                    struct sim_prediction *prediction) {
    for (uint32_t i = 0; i < spec->expect_count; i++) {
        uint64_t actual = sim_engine_model_version(model, spec->expects[i].stream);
        if (actual != spec->expects[i].version) {
            prediction->actual_version = actual;
            return SP_CONFLICT;
        }
    }
    return SP_OK;
}

/* Whether events of the type are refused: none of a story has data that is JSON. */
static bool is_enforced(const struct sim_engine_model *model, int type) {
    for (size_t i = model->count; i > 0; i--) {
        const struct sim_event_spec *spec = &model->events[i - 1].spec;
        if (spec->stream == SIM_SCHEMA_STREAM && spec->held_type == type) {
            return spec->held_mode == 0;
        }
    }
    return false;
}

static bool is_refused(const struct sim_engine_model *model, const struct sim_append_spec *spec,
                       uint64_t first) {
    for (uint32_t i = 0; i < spec->count; i++) {
        const struct sim_event_spec *event = &spec->events[i];
        if (event->stream != SIM_SCHEMA_STREAM && is_enforced(model, event->type) &&
            find_same(model, event, first) == 0) {
            return true;
        }
    }
    return false;
}

void sim_engine_model_append(struct sim_engine_model *model, const struct sim_append_spec *spec,
                             uint64_t first, struct sim_prediction *ret_prediction) {
    struct sim_prediction prediction = {.status = SP_OK};
    bool anything_new = false;
    for (uint32_t i = 0; i < spec->count; i++) {
        anything_new = anything_new || find_same(model, &spec->events[i], first) == 0;
    }
    if (is_refused(model, spec, first)) {
        prediction.status = SP_INVALID;
    } else if (anything_new) {
        prediction.status = check_expectations(model, spec, &prediction);
    }
    uint64_t before = model->count;
    for (uint32_t i = 0; prediction.status == SP_OK && i < spec->count; i++) {
        uint64_t same = find_same(model, &spec->events[i], first);
        prediction.duplicates[i] = same != 0;
        if (same == 0) {
            add(model, &spec->events[i], first);
            same = model->count;
        }
        prediction.positions[i] = same;
        prediction.versions[i] = model->events[same - 1].version;
    }
    for (uint64_t i = before; i < model->count; i++) {
        model->events[i].batch_first = before + 1;
        model->events[i].batch_last = model->count;
    }
    *ret_prediction = prediction;
}

void sim_engine_model_cut(struct sim_engine_model *model, uint64_t last) {
    sp_require(last <= model->count);
    model->count = last;
    model->acked = model->acked < last ? model->acked : last;
}

/* ---- answers ---- */

uint64_t sim_engine_model_hash(const struct sim_engine_model *model, sp_str ops,
                               uint64_t control_number) {
    struct sp_core core;
    char text[SIM_TEXT_SIZE];
    sp_core_init(&core);
    for (size_t i = 0; i < model->count; i++) {
        const struct sim_engine_event *event = &model->events[i];
        sp_str stream = sim_stream_text(event->spec.stream, text);
        struct sp_core_applied applied = {.stream = stream,
                                          .stream_hash = sp_stream_hash(stream),
                                          .position = i + 1,
                                          .version = event->version,
                                          .recorded_us = event->recorded_us,
                                          .entry_seq = event->entry_seq};
        sp_status status = sp_core_apply(&core, &applied);
        sp_ensure(status == SP_OK);
    }
    sp_status folded = sp_core_fold(&core, ops);
    sp_ensure(folded == SP_OK);
    core.control_number = control_number;
    uint64_t hash = sp_core_hash(&core);
    sp_core_fini(&core);
    return hash;
}

bool sim_engine_model_root(const struct sim_engine_model *model, uint64_t size,
                           uint8_t ret_root[SP_HASH_BYTES]) {
    struct sp_tree tree;
    uint8_t tile[SP_HASH_BYTES];
    sp_tree_init(&tree);
    for (uint64_t i = 0; i < size; i++) {
        if (i >= model->count || !model->events[i].leaf_known) {
            return false;
        }
        (void)sp_tree_add(&tree, model->events[i].leaf, tile);
    }
    sp_tree_root(&tree, ret_root);
    return true;
}

bool sim_matches(const struct sim_engine_model *model, const struct sim_question *question,
                 uint64_t position) {
    const struct sim_engine_event *event = &model->events[position - 1];
    bool run_matches = question->run < 0 || (event->run.kind == SIM_RUN_GIVEN &&
                                             event->run.number == (uint64_t)question->run);
    return position >= question->from && position <= question->until && run_matches &&
           (question->stream < 0 || event->spec.stream == question->stream) &&
           (question->source < 0 || event->spec.source == question->source) &&
           (question->type < 0 || event->spec.type == question->type);
}
