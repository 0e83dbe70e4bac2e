#include "sim/log_memory.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/prng.h"

enum {
    DEFAULT_BLOCK_BYTES = 1 << 20,
    DEFAULT_POLLS = 3,
    IN_FLIGHT_MAX = 2,
    SNAPSHOTS_KEPT = 2,
    SEGMENT_ID = 1,
};

struct stored_block {
    struct sp_blob *blob;
    uint64_t first_position;
    uint32_t event_count;
    uint32_t body_bytes;
};

struct stored_snapshot {
    uint64_t position;
    uint8_t *bytes;
    size_t len;
};

struct sim_log_store {
    struct sp_prng prng;
    uint32_t block_bytes_max;
    uint32_t polls_max;
    uint64_t term; /* rises with every opener */
    unsigned openers;
    struct stored_block *blocks; /* block n is at n - 1; trimmed ones have no blob */
    size_t block_count;
    size_t block_capacity;
    uint64_t begin_block;
    uint64_t last_check;
    struct stored_snapshot snapshots[SNAPSHOTS_KEPT]; /* the newest first */
    sp_status fail_next;
    bool full;
    uint8_t salt_key[SP_HASH_BYTES];
    struct sp_tree tree; /* over all events, the trimmed ones too */
};

/* An append on its way. */
struct pending {
    struct stored_block block;
    uint64_t number;
    uint32_t polls_left;
};

struct memory_log {
    struct sp_log base;
    struct sim_log_store *store;
    uint64_t term;
    sp_status state;
    bool recovered;
    uint64_t head_block;
    uint64_t head_position;
    uint64_t head_check;
    uint64_t durable_block;
    struct pending pending[IN_FLIGHT_MAX];
    uint32_t pending_count;
    uint64_t snapshot_position;
    struct sp_tree tree; /* over what is durable for this opener */
};

struct memory_reader {
    struct sp_log_reader base;
    struct memory_log *log;
    uint64_t next_block;  /* 0: the first one kept */
    struct sp_blob *blob; /* what the last chunk is borrowed from */
};

static struct memory_log *log_of(struct sp_log *base) {
    return (struct memory_log *)base;
}

/* ---- the store ---- */

struct sim_log_store *sim_log_store_new(const struct sim_log_store_options *options) {
    struct sim_log_store *store = calloc(1, sizeof(*store));
    sp_ensure(store != NULL);
    store->prng = sp_prng_seed(options->seed);
    store->block_bytes_max =
        options->block_bytes_max != 0 ? options->block_bytes_max : DEFAULT_BLOCK_BYTES;
    store->polls_max = options->polls_max != 0 ? options->polls_max : DEFAULT_POLLS;
    store->begin_block = 1;
    for (size_t i = 0; i < SP_HASH_BYTES; i++) {
        store->salt_key[i] = (uint8_t)sp_prng_next(&store->prng);
    }
    return store;
}

void sim_log_store_free(struct sim_log_store *store) {
    sp_require(store->openers == 0);
    for (size_t i = 0; i < store->block_count; i++) {
        sp_blob_unref(store->blocks[i].blob);
    }
    for (size_t i = 0; i < SNAPSHOTS_KEPT; i++) {
        free(store->snapshots[i].bytes);
    }
    free(store->blocks);
    free(store);
}

void sim_log_store_fail_next(struct sim_log_store *store, sp_status status) {
    sp_require(status != SP_OK);
    store->fail_next = status;
}

void sim_log_store_set_full(struct sim_log_store *store, bool full) {
    store->full = full;
}

static uint64_t position_at(const struct sim_log_store *store, uint64_t block) {
    return block == 0
               ? 0
               : store->blocks[block - 1].first_position - 1 + store->blocks[block - 1].event_count;
}

static void add_leaves(struct sim_log_store *store, const struct stored_block *block) {
    struct sp_salter salter;
    sp_salter_init(&salter, store->salt_key);
    sp_str body = sp_str_of(block->blob->data + SP_BLOCK_HEADER_BYTES, block->body_bytes);
    struct sp_block_walk walk = sp_block_walk_of(body, block->first_position);
    struct sp_record record;
    while (sp_block_walk_next(&walk, &record) == SP_OK) {
        if (record.kind == SP_RECORD_EVENT) {
            uint8_t leaf[SP_HASH_BYTES];
            sp_leaf_hash(&salter, &record, leaf);
            (void)sp_tree_add(&store->tree, leaf, NULL);
        }
    }
}

/* The one thing a store does: adds a block if the head is the one expected. */
static bool compare_and_append(struct sim_log_store *store, uint64_t term, uint64_t number,
                               const struct stored_block *block) {
    if (term != store->term || number != store->block_count + 1) {
        return false;
    }
    if (store->block_count == store->block_capacity) {
        store->block_capacity = store->block_capacity == 0 ? 64 : store->block_capacity * 2;
        struct stored_block *grown =
            realloc(store->blocks, store->block_capacity * sizeof(*store->blocks));
        sp_ensure(grown != NULL);
        store->blocks = grown;
    }
    struct sp_block_header header;
    sp_status status =
        sp_block_read_header(sp_str_of(block->blob->data, block->blob->len), &header);
    sp_ensure(status == SP_OK && header.prev_check == store->last_check);
    store->last_check = header.check;
    store->blocks[store->block_count++] = *block;
    (void)sp_blob_ref(block->blob);
    add_leaves(store, block);
    return true;
}

/* ---- appending ---- */

static void fail(struct memory_log *log, sp_status status) {
    log->state = log->state == SP_OK ? status : log->state;
}

static sp_status say_failed(const struct memory_log *log, struct sp_error *error) {
    return sp_error_set(error, SP_FAILED, "the log has failed: %s", sp_status_text(log->state));
}

static void drop_first(struct memory_log *log) {
    sp_blob_unref(log->pending[0].block.blob);
    log->pending_count--;
    for (uint32_t i = 0; i < log->pending_count; i++) {
        log->pending[i] = log->pending[i + 1];
    }
}

/* Completes the oldest append on its way. */
static void complete_first(struct memory_log *log) {
    struct sim_log_store *store = log->store;
    const struct pending *first = &log->pending[0];
    if (store->fail_next != SP_OK) {
        fail(log, store->fail_next);
        store->fail_next = SP_OK;
    } else if (!compare_and_append(store, log->term, first->number, &first->block)) {
        fail(log, SP_FENCED);
    } else {
        log->durable_block = first->number;
        log->tree = store->tree;
    }
    drop_first(log);
}

static void memory_poll(struct sp_log *base, struct sp_log_progress *ret_progress) {
    struct memory_log *log = log_of(base);
    if (log->pending_count > 0 && log->state == SP_OK && --log->pending[0].polls_left == 0) {
        complete_first(log);
    }
    *ret_progress = (struct sp_log_progress){
        .head_block = log->head_block,
        .head_segment = SEGMENT_ID,
        .durable_block = log->durable_block,
        .durable_position = position_at(log->store, log->durable_block),
        .synced_block = log->durable_block,
        .state = log->state,
    };
}

static void memory_wait(struct sp_log *base, int timeout_ms) {
    struct memory_log *log = log_of(base);
    (void)timeout_ms;
    if (log->pending_count > 0) {
        log->pending[0].polls_left = 1;
    }
}

static sp_status memory_ready(struct sp_log *base, struct sp_error *error) {
    struct memory_log *log = log_of(base);
    if (log->state != SP_OK) {
        return say_failed(log, error);
    }
    return log->store->full ? sp_error_set(error, SP_NO_SPACE, "the store is full") : SP_OK;
}

static struct sp_block_header make_header(const struct memory_log *log,
                                          const struct sp_log_block *block) {
    return (struct sp_block_header){
        .number = log->head_block + 1,
        .first_position = block->first_position,
        .event_count = block->event_count,
        .record_count = block->record_count,
        .body_bytes = block->body_bytes,
        .durable_upto = log->durable_block,
        .prev_check = log->head_check,
        .recorded_us = block->recorded_us,
    };
}

static sp_status memory_append(struct sp_log *base, uint64_t expected_head,
                               const struct sp_log_block *block, struct sp_error *error) {
    struct memory_log *log = log_of(base);
    if (log->state != SP_OK) {
        return say_failed(log, error);
    }
    if (expected_head != log->head_block) {
        return sp_error_set(error, SP_CONFLICT, "the head is block %llu, not %llu",
                            (unsigned long long)log->head_block, (unsigned long long)expected_head);
    }
    size_t stored = sp_block_stored_bytes(block->body_bytes);
    sp_require(log->recovered && log->pending_count < IN_FLIGHT_MAX);
    sp_require(stored <= log->store->block_bytes_max && block->blob->capacity >= stored);
    sp_require(block->first_position == log->head_position + 1);
    struct sp_block_header header = make_header(log, block);
    sp_block_finish(block->blob->data, &header);
    block->blob->len = stored;
    log->pending[log->pending_count++] = (struct pending){
        .block = {.blob = sp_blob_ref(block->blob),
                  .first_position = block->first_position,
                  .event_count = block->event_count,
                  .body_bytes = block->body_bytes},
        .number = header.number,
        .polls_left = 1 + sp_prng_below(&log->store->prng, log->store->polls_max),
    };
    log->head_block = header.number;
    log->head_check = header.check;
    log->head_position += block->event_count;
    return SP_OK;
}

/* ---- recovery, upkeep, bounds ---- */

static struct sp_log_chunk chunk_of(const struct stored_block *block) {
    return (struct sp_log_chunk){
        .body = sp_str_of(block->blob->data + SP_BLOCK_HEADER_BYTES, block->body_bytes),
        .first_position = block->first_position,
        .event_count = block->event_count,
    };
}

static sp_status memory_recover(struct sp_log *base, sp_log_recover_fn *each, void *context,
                                struct sp_error *error) {
    struct memory_log *log = log_of(base);
    const struct sim_log_store *store = log->store;
    sp_require(!log->recovered);
    for (uint64_t block = store->begin_block; block <= store->block_count; block++) {
        struct sp_log_chunk chunk = chunk_of(&store->blocks[block - 1]);
        sp_status status = each(context, SEGMENT_ID, &chunk, error);
        if (status != SP_OK) {
            fail(log, status);
            return status;
        }
    }
    log->recovered = true;
    log->head_block = store->block_count;
    log->durable_block = store->block_count;
    log->head_position = position_at(store, store->block_count);
    log->head_check = store->last_check;
    log->tree = store->tree;
    return SP_OK;
}

static void memory_upkeep(struct sp_log *base) {
    (void)base;
}

static uint64_t begin_position(const struct sim_log_store *store) {
    return position_at(store, store->begin_block - 1) + 1;
}

static void memory_bounds(struct sp_log *base, uint64_t *ret_first, uint64_t *ret_last) {
    const struct memory_log *log = log_of(base);
    uint64_t last = position_at(log->store, log->durable_block);
    uint64_t first = begin_position(log->store);
    *ret_first = last >= first ? first : 0;
    *ret_last = last >= first ? last : 0;
}

static sp_status memory_trim(struct sp_log *base, uint64_t position, struct sp_error *error) {
    struct memory_log *log = log_of(base);
    struct sim_log_store *store = log->store;
    (void)error;
    uint64_t bound = log->snapshot_position; /* control records behind it are still needed */
    bound = position < bound ? position : bound;
    while (store->begin_block < log->durable_block &&
           position_at(store, store->begin_block) < bound) {
        struct stored_block *block = &store->blocks[store->begin_block - 1];
        sp_blob_unref(block->blob);
        block->blob = NULL;
        store->begin_block++;
    }
    return SP_OK;
}

/* ---- snapshots ---- */

static sp_status memory_snapshot_store(struct sp_log *base, uint64_t position, sp_str bytes,
                                       struct sp_error *error) {
    struct memory_log *log = log_of(base);
    struct sim_log_store *store = log->store;
    if (store->full) {
        return sp_error_set(error, SP_NO_SPACE, "the store is full");
    }
    struct stored_snapshot *newest = &store->snapshots[0];
    if (newest->bytes == NULL || newest->position != position) {
        free(store->snapshots[1].bytes);
        store->snapshots[1] = *newest;
    } else {
        free(newest->bytes);
    }
    *newest = (struct stored_snapshot){
        .position = position, .bytes = malloc(bytes.len + 1), .len = bytes.len};
    sp_ensure(newest->bytes != NULL);
    if (bytes.len > 0) {
        memcpy(newest->bytes, bytes.ptr, bytes.len);
    }
    log->snapshot_position = position;
    return SP_OK;
}

static sp_status memory_snapshot_load(struct sp_log *base, struct sp_buf *to,
                                      uint64_t *ret_position, struct sp_error *error) {
    struct memory_log *log = log_of(base);
    const struct stored_snapshot *newest = &log->store->snapshots[0];
    if (newest->bytes == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "no snapshot");
    }
    sp_buf_reset(to);
    sp_buf_add(to, newest->bytes, newest->len);
    if (to->status != SP_OK) {
        return sp_error_set(error, to->status, "snapshot of %zu bytes", newest->len);
    }
    *ret_position = newest->position;
    log->snapshot_position = newest->position;
    return SP_OK;
}

/* ---- the tree ---- */

static sp_status memory_tree(struct sp_log *base, bool all, struct sp_log_tree *ret_tree,
                             struct sp_error *error) {
    const struct memory_log *log = log_of(base);
    (void)all; /* it never lags */
    if (log->state != SP_OK) {
        return say_failed(log, error);
    }
    ret_tree->size = log->tree.size;
    sp_tree_root(&log->tree, ret_tree->root);
    return SP_OK;
}

static sp_status memory_leaf(struct sp_log *base, const struct sp_record *record,
                             uint8_t ret_hash[SP_HASH_BYTES], struct sp_error *error) {
    const struct sim_log_store *store = log_of(base)->store;
    if (record->position < begin_position(store) ||
        record->position > position_at(store, store->block_count)) {
        return sp_error_set(error, SP_NOT_FOUND, "event %llu is not in the log",
                            (unsigned long long)record->position);
    }
    struct sp_salter salter;
    sp_salter_init(&salter, store->salt_key);
    sp_leaf_hash(&salter, record, ret_hash);
    return SP_OK;
}

/* ---- readers ---- */

static struct memory_reader *reader_of(struct sp_log_reader *base) {
    return (struct memory_reader *)base;
}

static void yield_block(struct memory_reader *reader, uint64_t block,
                        struct sp_log_chunk *ret_chunk) {
    const struct stored_block *stored = &reader->log->store->blocks[block - 1];
    sp_blob_unref(reader->blob);
    reader->blob = sp_blob_ref(stored->blob);
    reader->next_block = block + 1;
    *ret_chunk = chunk_of(stored);
}

static sp_status reader_seek(struct sp_log_reader *base, uint64_t position,
                             struct sp_log_chunk *ret_chunk, struct sp_error *error) {
    struct memory_reader *reader = reader_of(base);
    const struct memory_log *log = reader->log;
    (void)error;
    if (position == 0 || position > position_at(log->store, log->durable_block)) {
        return SP_END;
    }
    if (position < begin_position(log->store)) {
        return SP_NOT_FOUND;
    }
    uint64_t block = log->store->begin_block;
    while (position_at(log->store, block) < position) {
        block++;
    }
    yield_block(reader, block, ret_chunk);
    return SP_OK;
}

static sp_status reader_next(struct sp_log_reader *base, struct sp_log_chunk *ret_chunk,
                             struct sp_error *error) {
    struct memory_reader *reader = reader_of(base);
    const struct memory_log *log = reader->log;
    uint64_t block = reader->next_block != 0 ? reader->next_block : log->store->begin_block;
    if (block < log->store->begin_block) {
        return sp_error_set(error, SP_NOT_FOUND, "the events that follow were trimmed");
    }
    if (block > log->durable_block) {
        return SP_END;
    }
    yield_block(reader, block, ret_chunk);
    return SP_OK;
}

static void reader_free(struct sp_log_reader *base) {
    struct memory_reader *reader = reader_of(base);
    sp_blob_unref(reader->blob);
    free(reader);
}

static sp_status memory_reader_new(struct sp_log *base, struct sp_log_reader **ret_reader,
                                   struct sp_error *error) {
    static const struct sp_log_reader_ops ops = {
        .seek = reader_seek, .next = reader_next, .free = reader_free};
    struct memory_reader *reader = calloc(1, sizeof(*reader));
    (void)error;
    sp_ensure(reader != NULL);
    reader->base.ops = &ops;
    reader->log = log_of(base);
    *ret_reader = &reader->base;
    return SP_OK;
}

/* ---- the handle ---- */

static void memory_describe(struct sp_log *base, struct sp_log_description *ret_description) {
    *ret_description = (struct sp_log_description){
        .driver = "memory",
        .durability = SP_LOG_VOLATILE,
        .block_bytes_max = log_of(base)->store->block_bytes_max,
        .blocks_in_flight_max = IN_FLIGHT_MAX,
    };
}

static void free_log(struct memory_log *log) {
    while (log->pending_count > 0) {
        drop_first(log);
    }
    log->store->openers--;
    free(log);
}

static void memory_close(struct sp_log *base) {
    struct memory_log *log = log_of(base);
    while (log->pending_count > 0 && log->state == SP_OK) {
        complete_first(log);
    }
    free_log(log);
}

void sim_log_memory_abandon(struct sp_log *base) {
    struct memory_log *log = log_of(base);
    uint32_t arrive = sp_prng_below(&log->store->prng, log->pending_count + 1);
    while (arrive-- > 0 && log->state == SP_OK) {
        complete_first(log);
    }
    free_log(log);
}

struct sp_log *sim_log_memory_open(struct sim_log_store *store) {
    static const struct sp_log_ops ops = {
        .recover = memory_recover,
        .ready = memory_ready,
        .append = memory_append,
        .poll = memory_poll,
        .wait = memory_wait,
        .upkeep = memory_upkeep,
        .bounds = memory_bounds,
        .trim = memory_trim,
        .snapshot_store = memory_snapshot_store,
        .snapshot_load = memory_snapshot_load,
        .describe = memory_describe,
        .tree = memory_tree,
        .leaf = memory_leaf,
        .reader_new = memory_reader_new,
        .close = memory_close,
    };
    struct memory_log *log = calloc(1, sizeof(*log));
    sp_ensure(log != NULL);
    log->base.ops = &ops;
    log->store = store;
    log->term = ++store->term;
    store->openers++;
    return &log->base;
}
