#include "sim/model.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/prng.h"
#include "base/wire.h"

static void *grow(void *array, size_t *capacity, size_t count, size_t item_bytes) {
    if (count < *capacity) {
        return array;
    }
    *capacity = *capacity == 0 ? 64 : *capacity * 2;
    void *grown = realloc(array, *capacity * item_bytes);
    sp_ensure(grown != NULL);
    return grown;
}

void sim_model_fini(struct sim_model *model) {
    for (size_t i = 0; i < model->block_count; i++) {
        free(model->blocks[i].body);
    }
    free(model->blocks);
    free(model->records);
    free(model->events);
    free(model->snapshots);
    *model = (struct sim_model){.blocks = NULL};
}

static void add_record(struct sim_model *model, uint64_t block, uint32_t offset,
                       const struct sp_record *record) {
    model->records =
        grow(model->records, &model->record_capacity, model->record_count, sizeof(*model->records));
    if (record->kind == SP_RECORD_EVENT) {
        model->events =
            grow(model->events, &model->event_capacity, model->event_count, sizeof(*model->events));
        sp_require(record->position == model->event_count + 1);
        model->events[model->event_count++] =
            (struct sim_model_event){.record = model->record_count};
    }
    model->records[model->record_count++] =
        (struct sim_model_record){.block = block, .offset = offset, .size = record->size};
}

void sim_model_append(struct sim_model *model, sp_str body, uint64_t first_position,
                      uint64_t durable_upto) {
    model->blocks =
        grow(model->blocks, &model->block_capacity, model->block_count, sizeof(*model->blocks));
    struct sim_model_block *block = &model->blocks[model->block_count++];
    *block = (struct sim_model_block){.body = malloc(body.len + 1),
                                      .len = body.len,
                                      .first_position = first_position,
                                      .durable_upto = durable_upto};
    sp_ensure(block->body != NULL);
    memcpy(block->body, body.ptr, body.len);
    struct sp_block_walk walk = sp_block_walk_of(body, first_position);
    struct sp_record record;
    uint32_t offset = 0;
    while (sp_block_walk_next(&walk, &record) == SP_OK) {
        add_record(model, model->block_count, offset, &record);
        offset += record.size;
    }
    sp_require(offset == body.len);
    block->event_count = (uint32_t)(walk.next_position - first_position);
}

void sim_model_settle(struct sim_model *model, uint64_t block) {
    sp_require(block <= model->block_count);
    while (model->block_count > block) {
        free(model->blocks[--model->block_count].body);
    }
    while (model->record_count > 0 && model->records[model->record_count - 1].block > block) {
        model->record_count--;
    }
    model->event_count = sim_model_position_at(model, block);
    model->durable_block = block;
}

uint64_t sim_model_position_at(const struct sim_model *model, uint64_t block) {
    sp_require(block <= model->block_count);
    return block == 0
               ? 0
               : model->blocks[block - 1].first_position - 1 + model->blocks[block - 1].event_count;
}

uint64_t sim_model_block_of(const struct sim_model *model, uint64_t position) {
    sp_require(position > 0 && position <= model->event_count);
    return model->records[model->events[position - 1].record].block;
}

static const uint8_t *bytes_of(const struct sim_model *model, uint64_t record) {
    const struct sim_model_record *row = &model->records[record];
    return model->blocks[row->block - 1].body + row->offset;
}

/* Finds the record that the chunk begins with: its first event tells. */
static const char *locate(const struct sim_model *model, const struct sp_log_chunk *chunk,
                          uint64_t *record) {
    uint64_t before = 0;
    struct sp_block_walk walk = sp_block_walk_of(chunk->body, chunk->first_position);
    struct sp_record each;
    while (sp_block_walk_next(&walk, &each) == SP_OK && each.kind != SP_RECORD_EVENT) {
        before++;
    }
    if (chunk->first_position == 0 || chunk->first_position > model->event_count) {
        return "a chunk that begins beyond all events";
    }
    uint64_t first = model->events[chunk->first_position - 1].record;
    if (before > first) {
        return "more control records than there were";
    }
    *record = first - before;
    return NULL;
}

static const char *compare_record(const struct sim_model *model, const struct sp_record *each,
                                  uint64_t record) {
    if (record >= model->record_count) {
        return "more records than were appended";
    }
    const uint8_t *bytes = bytes_of(model, record);
    if (each->size != model->records[record].size ||
        memcmp(each->bytes + 8, bytes + 8, each->size - 8) != 0) {
        return "a record that was not appended here";
    }
    if (sp_get_u32(each->bytes + 4) != 0 && !sp_record_tag_valid(each)) {
        return "a record with a wrong tag";
    }
    return NULL;
}

const char *sim_model_compare(const struct sim_model *model, const struct sp_log_chunk *chunk,
                              uint64_t *record) {
    uint64_t at = *record;
    if (at == SIM_MODEL_UNKNOWN && chunk->event_count == 0) {
        return NULL; /* control records alone do not tell where they are from */
    }
    const char *problem = at == SIM_MODEL_UNKNOWN ? locate(model, chunk, &at) : NULL;
    struct sp_block_walk walk = sp_block_walk_of(chunk->body, chunk->first_position);
    struct sp_record each;
    sp_status status = SP_OK;
    while (problem == NULL && (status = sp_block_walk_next(&walk, &each)) == SP_OK) {
        problem = compare_record(model, &each, at++);
    }
    if (problem == NULL && status != SP_END) {
        problem = "records whose lengths do not fit";
    }
    if (problem == NULL && walk.next_position - chunk->first_position != chunk->event_count) {
        problem = "a chunk with another number of events than it says";
    }
    *record = problem == NULL ? at : SIM_MODEL_UNKNOWN;
    return problem;
}

bool sim_model_is_block(const struct sim_model *model, uint64_t block,
                        const struct sp_log_chunk *chunk) {
    if (block == 0 || block > model->block_count) {
        return false;
    }
    const struct sim_model_block *mine = &model->blocks[block - 1];
    return mine->first_position == chunk->first_position &&
           mine->event_count == chunk->event_count && mine->len == chunk->body.len &&
           memcmp(mine->body, chunk->body.ptr, mine->len) == 0;
}

bool sim_model_leaf(struct sim_model *model, uint64_t position, const uint8_t leaf[SP_HASH_BYTES]) {
    sp_require(position > 0 && position <= model->event_count);
    struct sim_model_event *event = &model->events[position - 1];
    if (event->leaf_known) {
        return memcmp(event->leaf, leaf, SP_HASH_BYTES) == 0;
    }
    memcpy(event->leaf, leaf, SP_HASH_BYTES);
    event->leaf_known = true;
    return true;
}

/* MTH of RFC 6962, section 2.1, word for word. */
static void naive_root(const struct sim_model_event *events, uint64_t count,
                       uint8_t ret_root[SP_HASH_BYTES]) {
    if (count == 1) {
        memcpy(ret_root, events[0].leaf, SP_HASH_BYTES);
        return;
    }
    uint64_t half = 1;
    while (half * 2 < count) {
        half *= 2;
    }
    uint8_t node[1 + 2 * SP_HASH_BYTES] = {1};
    naive_root(events, half, node + 1);
    naive_root(events + half, count - half, node + 1 + SP_HASH_BYTES);
    sp_sha256(node, sizeof(node), ret_root);
}

bool sim_model_root(const struct sim_model *model, uint64_t size, uint8_t ret_root[SP_HASH_BYTES]) {
    sp_require(size <= model->event_count);
    for (uint64_t i = 0; i < size; i++) {
        if (!model->events[i].leaf_known) {
            return false;
        }
    }
    if (size == 0) {
        sp_sha256("", 0, ret_root);
    } else {
        naive_root(model->events, size, ret_root);
    }
    return true;
}

struct sim_model_snapshot *sim_model_snapshot(struct sim_model *model, uint64_t position,
                                              uint64_t seed, size_t len) {
    model->snapshots = grow(model->snapshots, &model->snapshot_capacity, model->snapshot_count,
                            sizeof(*model->snapshots));
    struct sim_model_snapshot *snapshot = &model->snapshots[model->snapshot_count++];
    *snapshot = (struct sim_model_snapshot){.position = position, .seed = seed, .len = len};
    return snapshot;
}

void sim_model_snapshot_bytes(const struct sim_model_snapshot *snapshot, uint8_t *to) {
    struct sp_prng prng = sp_prng_seed(snapshot->seed);
    for (size_t i = 0; i < snapshot->len; i++) {
        to[i] = (uint8_t)sp_prng_next(&prng);
    }
}
