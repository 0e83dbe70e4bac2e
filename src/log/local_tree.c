/*
 * The Merkle worker follows the durable head, off the acknowledgement path: it reads the blocks,
 * from memory where it keeps up, and adds one leaf an event. What it has reached is published for
 * block headers, sealing and the checkpoint.
 *
 * The checkpoint file says how many events the log had and what their root was. It is written at
 * most once a period; a log that is shorter than its checkpoint, or whose tree differs at its size,
 * has lost or changed acknowledged events, and is refused.
 */
#include <stdlib.h>

#include "base/wire.h"
#include "log/local_int.h"

enum {
    TREE_BATCH_EVENTS = 4096, /* enough to be worth waking a thread */
    TREE_LAG_US = 5000,       /* and no later than this */
    BATCH_EVENTS = 64,        /* whose hashes are computed side by side */
};

/* One run of the worker. */
struct follower {
    struct background_job *job;
    struct segment *segment; /* of the last block: in the list until the tree has passed it */
};

static sp_status grow(void **array, size_t *capacity, size_t count, size_t item_bytes) {
    if (count <= *capacity) {
        return SP_OK;
    }
    size_t wanted = *capacity == 0 ? 1024 : *capacity * 2; /* more than a batch of events asks */
    void *grown = realloc(*array, wanted * item_bytes);
    if (grown == NULL) {
        return SP_NO_MEMORY;
    }
    *array = grown;
    *capacity = wanted;
    return SP_OK;
}

/* The checkpoint that was there when the log was opened names this size: the roots must agree. */
static sp_status compare_expected(struct local_log *log, struct sp_error *error) {
    uint8_t root[SP_HASH_BYTES];
    if (!log->expected.present || log->tree.size != log->expected.size) {
        return SP_OK;
    }
    sp_tree_root(&log->tree, root);
    log->expected.present = false;
    if (memcmp(root, log->expected.root, SP_HASH_BYTES) != 0) {
        return sp_error_set(error, SP_CORRUPT,
                            "the first %llu events are not those that %s vouches for: run verify",
                            (unsigned long long)log->tree.size, SP_CHECKPOINT_PATH);
    }
    return SP_OK;
}

/* Room for what so many more events leave for sealing. */
static sp_status reserve(struct segment *segment, size_t count) {
    void *tags = segment->tags;
    void *tiles = segment->tiles;
    sp_status status =
        grow(&tags, &segment->tag_capacity, segment->tag_count + count, sizeof(uint16_t));
    segment->tags = tags;
    if (status == SP_OK) {
        size_t tile_count = segment->tile_count + count / SP_TILE_LEAVES + 1;
        status = grow(&tiles, &segment->tile_capacity, tile_count, SP_HASH_BYTES);
        segment->tiles = tiles;
    }
    return status;
}

/* How many of the leaves may be added before the tree is to be compared with the checkpoint. */
static size_t up_to_expected(const struct local_log *log, size_t count) {
    uint64_t size = log->tree.size;
    bool within =
        log->expected.present && log->expected.size > size && log->expected.size - size < count;
    return within ? (size_t)(log->expected.size - size) : count;
}

static sp_status add_events(struct follower *follower, const struct sp_record *records,
                            size_t count) {
    struct local_log *log = follower->job->log;
    struct segment *segment = follower->segment;
    uint8_t leaves[BATCH_EVENTS][SP_HASH_BYTES];
    sp_status status = reserve(segment, count);
    if (status != SP_OK) {
        return status;
    }
    sp_leaf_hashes(&log->tree_salter, records, count, leaves);
    for (size_t i = 0; i < count; i++) {
        memcpy(&segment->tags[segment->tag_count++], leaves[i], sizeof(uint16_t));
    }
    for (size_t at = 0, part; at < count && status == SP_OK; at += part) {
        part = up_to_expected(log, count - at);
        segment->tile_count +=
            sp_tree_add_all(&log->tree, leaves + at, part, segment->tiles + segment->tile_count,
                            log->tree_salter.pairs);
        status = compare_expected(log, NULL);
    }
    return status;
}

static sp_status add_batch(struct follower *follower, const struct sp_record *records,
                           size_t count) {
    sp_status status = add_events(follower, records, count);
    if (status == SP_OK) {
        return SP_OK;
    }
    return sp_error_set(&follower->job->error, status, "Merkle tree near event %llu: %s",
                        (unsigned long long)records[0].position,
                        status == SP_CORRUPT ? "differs from the checkpoint: run verify"
                                             : sp_status_text(status));
}

static sp_status add_block(struct follower *follower, const struct sp_log_chunk *chunk) {
    struct sp_record records[BATCH_EVENTS];
    size_t count = 0;
    struct sp_block_walk walk = sp_block_walk_of(chunk->body, chunk->first_position);
    sp_status status;
    while ((status = sp_block_walk_next(&walk, &records[count])) == SP_OK) {
        count += records[count].kind == SP_RECORD_EVENT ? 1 : 0;
        if (count == BATCH_EVENTS) {
            status = add_batch(follower, records, count);
            count = 0;
        }
        if (status != SP_OK) {
            return status;
        }
    }
    if (status != SP_END || count == 0) {
        return status == SP_END ? SP_OK : status;
    }
    return add_batch(follower, records, count);
}

static void publish(struct local_log *log, uint64_t block, struct segment *segment) {
    uint8_t root[SP_HASH_BYTES];
    sp_tree_root(&log->tree, root);
    segment->tree_end = log->tree;
    pthread_mutex_lock(&log->mutex);
    log->tree_block = block;
    log->published.size = log->tree.size;
    memcpy(log->published.root, root, SP_HASH_BYTES);
    pthread_mutex_unlock(&log->mutex);
}

/* Adds one block; what was reached is published now and then, and at the end of each segment. */
static sp_status follow_block(struct follower *follower, uint64_t block) {
    struct background_job *job = follower->job;
    struct local_log *log = job->log;
    struct sp_log_chunk chunk;
    struct segment *before = follower->segment;
    struct segment *segment = before;
    sp_status status = local_reader_block(log->tree_reader, block, &chunk, &segment, &job->error);
    if (status != SP_OK) {
        return status;
    }
    follower->segment = segment;
    if (segment->id != log->tree_salter_segment) {
        sp_salter_init(&log->tree_salter, segment->salt_key);
        log->tree_salter_segment = segment->id;
    }
    if (before != NULL && block == segment->first_block && log->tree_block < block - 1) {
        publish(log, block - 1, before);
    }
    if (block == segment->first_block) {
        segment->tree_start = log->tree;
    }
    status = add_block(follower, &chunk);
    if (status == SP_OK && (block == job->target_block || block % 64 == 0)) {
        publish(log, block, segment);
    }
    return status;
}

static void tree_work(struct sp_job *base) {
    struct background_job *job = (struct background_job *)base;
    struct follower follower = {.job = job, .segment = NULL};
    job->status = SP_OK;
    uint64_t block = job->log->tree_block + 1;
    while (job->status == SP_OK && block <= job->target_block) {
        job->status = follow_block(&follower, block++);
    }
}

/* A tree that cannot go on would let the log grow unproven: the log ends with it. */
static void tree_done(struct sp_job *base) {
    struct background_job *job = (struct background_job *)base;
    job->busy = false;
    if (job->status != SP_OK) {
        local_fail(job->log, job->status, &job->error);
    }
}

void local_tree_upkeep(struct local_log *log, bool now) {
    if (log->tree_job.busy || log->durable_block <= log->tree_asked || log->state != SP_OK) {
        return;
    }
    uint64_t time_us = local_now_us(log);
    bool many = log->durable_position - log->published.size >= TREE_BATCH_EVENTS;
    if (!now && !many && time_us - log->tree_asked_us < TREE_LAG_US) {
        return;
    }
    log->tree_asked = log->durable_block;
    log->tree_asked_us = time_us;
    log->tree_job.busy = true;
    log->tree_job.target_block = log->durable_block;
    log->tree_job.job.work = tree_work;
    log->tree_job.job.done = tree_done;
    sp_worker_submit(log->tree_worker, &log->tree_job.job);
}

/* The tree begins where sealing ended: the last sealed file has its right edge. */
sp_status local_tree_start(struct local_log *log, struct sp_error *error) {
    sp_tree_init(&log->tree);
    log->tree_block = log->begin_block - 1;
    struct sp_log_sealed *last = NULL;
    for (size_t i = 0; i < log->segment_count; i++) {
        last = log->segments[i]->sealed != NULL ? log->segments[i]->sealed : last;
    }
    if (last != NULL) {
        struct sp_buf edges;
        sp_buf_init(&edges, 2 * sizeof(struct sp_tree));
        sp_status status = sp_log_sealed_section_all(last, SP_SECTION_TREE, &edges, error);
        size_t start =
            status == SP_OK && edges.len >= 8 ? sp_tree_packed_bytes(sp_get_u64(edges.data)) : 0;
        bool fine = start > 0 && start <= edges.len &&
                    sp_tree_unpack(&log->tree, edges.data + start, edges.len - start) &&
                    log->tree.size == sp_log_sealed_footer(last)->last_position;
        sp_buf_fini(&edges);
        if (status == SP_OK && !fine) {
            status = sp_error_set(error, SP_CORRUPT, "Merkle edge of the last sealed segment");
        }
        if (status != SP_OK) {
            return status;
        }
        log->tree_block = sp_log_sealed_footer(last)->last_block;
    }
    log->tree_asked = log->tree_block;
    log->published.size = log->tree.size;
    sp_tree_root(&log->tree, log->published.root);
    if (log->expected.present && log->expected.size < log->tree.size) {
        log->expected.present = false; /* within what is sealed: verify compares it */
    }
    return compare_expected(log, error);
}

/* Brings the tree to the durable head and waits for it. */
static sp_status finish_tree(struct local_log *log, struct sp_error *error) {
    while (log->state == SP_OK && (log->tree_job.busy || log->tree_asked < log->durable_block)) {
        local_tree_upkeep(log, true);
        if (log->options.inline_jobs) {
            (void)sp_worker_run(log->tree_worker);
        } else {
            sp_worker_wait(log->tree_worker, -1);
        }
        sp_worker_poll(log->tree_worker);
    }
    if (log->state != SP_OK && error != NULL) {
        *error = log->failure;
    }
    return log->state;
}

/* A read-only log has no worker: the tree is computed here when it is asked for. */
static sp_status finish_tree_here(struct local_log *log, struct sp_error *error) {
    struct background_job *job = &log->tree_job;
    job->target_block = log->durable_block;
    tree_work(&job->job);
    if (job->status != SP_OK && error != NULL) {
        *error = job->error;
    }
    return job->status;
}

sp_status local_tree(struct sp_log *base, bool all, struct sp_log_tree *ret_tree,
                     struct sp_error *error) {
    struct local_log *log = local_of(base);
    sp_status status = SP_OK;
    if (all) {
        status = log->options.read_only ? finish_tree_here(log, error) : finish_tree(log, error);
    }
    if (status == SP_OK) {
        pthread_mutex_lock(&log->mutex);
        *ret_tree = log->published;
        pthread_mutex_unlock(&log->mutex);
    }
    return status;
}

sp_status local_leaf(struct sp_log *base, const struct sp_record *record,
                     uint8_t ret_hash[SP_HASH_BYTES], struct sp_error *error) {
    struct local_log *log = local_of(base);
    struct sp_salter salter;
    pthread_mutex_lock(&log->mutex);
    const struct segment *segment = local_find_position_locked(log, record->position);
    if (segment != NULL && segment->id != log->leaf_salter_segment) {
        /* What the processor can do is dear to ask for: once a segment, not once an event. */
        sp_salter_init(&log->leaf_salter, segment->salt_key);
        log->leaf_salter_segment = segment->id;
    }
    salter = log->leaf_salter;
    pthread_mutex_unlock(&log->mutex);
    if (segment == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "event %llu is not in the log",
                            (unsigned long long)record->position);
    }
    sp_leaf_hash(&salter, record, ret_hash);
    return SP_OK;
}

static void checkpoint_work(struct sp_job *base) {
    struct background_job *job = (struct background_job *)base;
    job->status = job->content.status;
    if (job->status == SP_OK) {
        job->status = local_sync_now(job->log, &job->error);
    }
    if (job->status == SP_OK) {
        job->status =
            sp_fs_replace(job->log->fs, SP_CHECKPOINT_PATH, sp_buf_str(&job->content), &job->error);
    }
}

static void checkpoint_done(struct sp_job *base) {
    struct background_job *job = (struct background_job *)base;
    job->busy = false;
    if (job->status == SP_OK) {
        job->log->checkpoint_size = job->number;
    } else {
        job->log->background = job->status;
    }
}

bool local_checkpoint_exists(struct local_log *log) {
    pthread_mutex_lock(&log->mutex);
    bool empty = log->published.size == 0;
    pthread_mutex_unlock(&log->mutex);
    return empty || log->checkpoint_size > 0 || log->expected.size > 0;
}

void local_checkpoint_upkeep(struct local_log *log, bool now) {
    struct background_job *job = &log->checkpoint_job;
    if (job->busy || log->state != SP_OK) {
        return;
    }
    uint64_t time_us = local_now_us(log);
    if (!now && time_us - log->checkpoint_us < log->options.checkpoint_period_us) {
        return;
    }
    pthread_mutex_lock(&log->mutex);
    struct sp_log_tree tree = log->published;
    pthread_mutex_unlock(&log->mutex);
    /* Nothing is vouched for before the tree has been compared with the last checkpoint. */
    if (tree.size <= log->checkpoint_size || tree.size < log->expected.size) {
        return;
    }
    log->checkpoint_us = time_us;
    sp_buf_reset(&job->content);
    sp_checkpoint_encode(log->uuid, tree.size, tree.root, &job->content);
    job->number = tree.size;
    job->busy = true;
    job->job.work = checkpoint_work;
    job->job.done = checkpoint_done;
    sp_worker_submit(log->prepare_worker, &job->job);
}
