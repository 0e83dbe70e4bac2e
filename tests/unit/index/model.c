#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

const struct model_shape MODEL_USUAL = {
    .streams = 300,
    .types = 20,
    .sources = 40,
    .runs = 500,
    .hash_mask = UINT64_MAX,
    .cause_percent = 70,
    .source_id_percent = 30,
    .hot_cause_percent = 2,
};
/* Few distinct values in all the bits that places are made of. */
const struct model_shape MODEL_COLLIDING = {
    .streams = 300,
    .types = 20,
    .sources = 40,
    .runs = 500,
    .hash_mask = 0x8000000300070003u,
    .cause_percent = 70,
    .source_id_percent = 30,
    .hot_cause_percent = 2,
};
/* Long lists: hot keys, and a cause that most others name. */
const struct model_shape MODEL_SKEWED = {
    .streams = 3,
    .types = 2,
    .sources = 1,
    .runs = 5000,
    .hash_mask = UINT64_MAX,
    .cause_percent = 80,
    .source_id_percent = 100,
    .hot_cause_percent = 60,
};

void model_init(struct model *model, uint64_t seed, const struct model_shape *shape,
                uint64_t first_position) {
    *model = (struct model){
        .prng = sp_prng_seed(seed), .shape = *shape, .first_position = first_position};
}

void model_fini(struct model *model) {
    free(model->events);
}

static uint64_t hash_of(const struct model *model, const char *what, uint64_t number) {
    return sp_hash_seeded(what, strlen(what), number) & model->shape.hash_mask;
}

const struct model_event *model_draw(struct model *model) {
    if (model->count == model->capacity) {
        model->capacity = model->capacity == 0 ? 1024 : model->capacity * 2;
        model->events = realloc(model->events, model->capacity * sizeof(*model->events));
        assert_non_null(model->events);
    }
    const struct model_shape *shape = &model->shape;
    struct model_event *event = &model->events[model->count];
    uint32_t type = sp_prng_below(&model->prng, shape->types);
    *event = (struct model_event){
        .recorded_us = model->count == 0 ? 1000000 : event[-1].recorded_us,
        .keys = {
            .stream = hash_of(model, "stream", sp_prng_below(&model->prng, shape->streams)),
            .type = hash_of(model, "type", type),
            .source = hash_of(model, "source", sp_prng_below(&model->prng, shape->sources)),
            .correlation = hash_of(model, "run", sp_prng_below(&model->prng, shape->runs)),
            .id = hash_of(model, "id", model->count),
        }};
    (void)snprintf(event->type, sizeof(event->type), "type.%u", type);
    event->recorded_us += sp_prng_below(&model->prng, 3);
    if (sp_prng_below(&model->prng, 100) < shape->cause_percent && model->count > 0) {
        bool hot = sp_prng_below(&model->prng, 100) < shape->hot_cause_percent;
        uint32_t cause = sp_prng_below(&model->prng, (uint32_t)model->count);
        event->keys.has_cause = true;
        event->keys.cause = model->events[hot ? 0 : cause].keys.id;
    }
    if (sp_prng_below(&model->prng, 100) < shape->source_id_percent) {
        event->keys.has_source_id = true;
        event->keys.source_id = hash_of(model, "source-id", model->count);
    }
    model->count++;
    return event;
}

uint64_t model_key(const struct model_event *event, enum sp_index_kind kind) {
    const uint64_t keys[SP_INDEX_KIND_COUNT] = {event->keys.stream, event->keys.type,
                                                event->keys.source, event->keys.correlation};
    return keys[kind];
}

static const struct model_event *pick_event(struct model *model) {
    return &model->events[sp_prng_below(&model->prng, (uint32_t)model->count)];
}

uint64_t model_pick(struct model *model, enum sp_index_kind kind) {
    if (model->count == 0 || sp_prng_below(&model->prng, 10) == 0) {
        return sp_prng_next(&model->prng) & model->shape.hash_mask;
    }
    return model_key(pick_event(model), kind);
}

uint64_t model_pick_id(struct model *model) {
    uint32_t which = sp_prng_below(&model->prng, 10);
    if (model->count == 0 || which == 0) {
        return sp_prng_next(&model->prng) & model->shape.hash_mask;
    }
    const struct model_event *event = pick_event(model);
    return which < 5                            ? event->keys.id
           : which < 8 && event->keys.has_cause ? event->keys.cause
           : event->keys.has_source_id          ? event->keys.source_id
                                                : model->events[0].keys.id;
}

uint64_t model_next(const struct model *model, enum sp_index_kind kind, uint64_t hash,
                    uint64_t position, uint64_t until) {
    uint64_t first = model->first_position;
    position = position < first ? first : position;
    for (; position < until && position < first + model->count; position++) {
        if (model_key(&model->events[position - first], kind) == hash) {
            return position;
        }
    }
    return 0;
}

uint64_t model_previous(const struct model *model, enum sp_index_kind kind, uint64_t hash,
                        uint64_t from, uint64_t until) {
    uint64_t first = model->first_position;
    uint64_t end = first + model->count;
    until = until > end ? end : until;
    for (uint64_t position = until; position > from && position > first; position--) {
        if (model_key(&model->events[position - 1 - first], kind) == hash) {
            return position - 1;
        }
    }
    return 0;
}

bool model_has_id(const struct model *model, uint64_t position, uint64_t hash,
                  enum sp_index_role role) {
    if (position < model->first_position || position >= model->first_position + model->count) {
        return false;
    }
    const struct sp_index_keys *keys = &model->events[position - model->first_position].keys;
    switch (role) {
    case SP_INDEX_ID:
        return keys->id >> 16 == hash >> 16;
    case SP_INDEX_CAUSE:
        return keys->has_cause && keys->cause >> 16 == hash >> 16;
    case SP_INDEX_SOURCE_ID:
        return keys->has_source_id && keys->source_id >> 16 == hash >> 16;
    }
    return false;
}

struct sp_tail *model_tail(const struct model *model, size_t begin, size_t end, uint64_t seed) {
    struct sp_tail *tail = sp_tail_new(model->first_position + begin, seed);
    assert_non_null(tail);
    for (size_t i = begin; i < end; i++) {
        const struct model_event *event = &model->events[i];
        sp_str type = sp_str_from(event->type);
        assert_int_equal(sp_tail_add(tail, &event->keys, type, event->recorded_us), SP_OK);
    }
    return tail;
}

static sp_status bytes_read(void *context, uint64_t offset, size_t len, void *to) {
    struct model_bytes *bytes = context;
    bytes->reads++;
    if (bytes->fail != SP_OK) {
        return bytes->fail;
    }
    assert_true(offset <= bytes->buf.len && len <= bytes->buf.len - offset);
    memcpy(to, bytes->buf.data + offset, len);
    return SP_OK;
}

static void bytes_release(void *context) {
    struct model_bytes *bytes = context;
    bytes->released++;
}

struct model_bytes *model_encode(const struct sp_tail *tail) {
    struct model_bytes *bytes = calloc(1, sizeof(*bytes));
    assert_non_null(bytes);
    sp_buf_init(&bytes->buf, SIZE_MAX / 2);
    assert_int_equal(sp_section_encode(tail, &bytes->buf, NULL), SP_OK);
    return bytes;
}

struct sp_section_reader model_reader(struct model_bytes *bytes) {
    return (struct sp_section_reader){
        .read = bytes_read,
        .release = bytes_release,
        .context = bytes,
        .size_bytes = bytes->buf.len,
    };
}

void model_bytes_free(struct model_bytes *bytes) {
    if (bytes != NULL) {
        sp_buf_fini(&bytes->buf);
        free(bytes);
    }
}
