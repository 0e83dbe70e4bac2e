/*
 * Leaf hashes. They cost as much as everything else together, and each depends on its own event
 * only: so records are gathered in batches, a second thread hashes one batch while the next is
 * read, and the batches come out in order, where the tree and the caller see them.
 */
#include <stdlib.h>

#include "log/verify_int.h"

enum {
    BATCH_RECORDS = 4096,
    BATCH_BYTES = 2 << 20, /* of records: reading them once more comes out of the cache */
    PROGRESS_EVENTS = 1 << 16,
};

static sp_str row_at(const struct verify_batch *batch, const struct verify_item *item) {
    return sp_str_from_byte(sp_buf_str(&batch->rows), item->at);
}

static void hash_work(struct sp_job *job) {
    struct verify_batch *batch = (struct verify_batch *)job;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct verify_item *item = &batch->items[i];
        struct sp_record record;
        if (item->leaf) {
            sp_status status = sp_record_read(row_at(batch, item), item->position, &record);
            sp_ensure(status == SP_OK); /* it was read before it was copied */
            sp_leaf_hash(&batch->salter, &record, batch->leaves[i]);
        }
    }
}

static void hash_done(struct sp_job *job) {
    struct verify_batch *batch = (struct verify_batch *)job;
    batch->busy = false;
}

sp_status verify_hash_init(struct verifier *v, struct sp_error *error) {
    struct sp_worker_options options = {.name = "spoor-verify",
                                        .inline_jobs = v->options->inline_jobs};
    v->worker = sp_worker_new(&options, error);
    sp_status status = v->worker != NULL ? SP_OK : SP_NO_MEMORY;
    for (int i = 0; i < VERIFY_BATCHES; i++) {
        struct verify_batch *batch = &v->batches[i];
        batch->job = (struct sp_job){.work = hash_work, .done = hash_done};
        sp_buf_init(&batch->rows, SIZE_MAX / 2);
        batch->items = calloc(BATCH_RECORDS, sizeof(*batch->items));
        batch->leaves = calloc(BATCH_RECORDS, sizeof(*batch->leaves));
        if (batch->items == NULL || batch->leaves == NULL) {
            status = sp_error_set(error, SP_NO_MEMORY, "verification");
        }
    }
    return status;
}

void verify_hash_fini(struct verifier *v) {
    if (v->worker != NULL) {
        sp_worker_free(v->worker);
    }
    for (int i = 0; i < VERIFY_BATCHES; i++) {
        sp_buf_fini(&v->batches[i].rows);
        free(v->batches[i].items);
        free(v->batches[i].leaves);
    }
}

/* Hands a record to the caller, once, even where a segment is begun again. */
static void deliver(struct verifier *v, const struct sp_record *record, uint64_t offset) {
    bool again = record->kind == SP_RECORD_EVENT ? record->position <= v->delivered
                                                 : record->position < v->delivered;
    v->state.result.record_count++;
    if (record->kind == SP_RECORD_EVENT) {
        v->state.result.event_count++;
        v->delivered = again ? v->delivered : record->position;
    }
    if (again || v->options->record == NULL) {
        return;
    }
    struct sp_verify_place place = {.file = v->file, .offset = offset};
    sp_status status = v->options->record(v->options->context, record, &place, v->error);
    if (status != SP_OK) {
        v->stop = v->stop == SP_OK ? status : v->stop;
    }
}

static void say_progress(struct verifier *v, uint64_t position) {
    if (v->options->progress != NULL && position >= v->progress_position + PROGRESS_EVENTS) {
        v->progress_position = position;
        if (!v->options->progress(v->options->context, position)) {
            verify_stop(v, SP_CANCELLED, NULL);
        }
    }
}

/* What a batch holds goes on to the tree and to the caller. */
static void take_out(struct verifier *v, struct verify_batch *batch) {
    for (uint32_t i = 0; i < batch->count && v->stop == SP_OK; i++) {
        const struct verify_item *item = &batch->items[i];
        if (item->count > 0) {
            verify_tree_gap(v, item->count);
            continue;
        }
        struct sp_record record;
        sp_status status = sp_record_read(row_at(batch, item), item->position, &record);
        sp_ensure(status == SP_OK);
        if (record.kind == SP_RECORD_EVENT) {
            if (item->leaf) {
                verify_tree_add(v, record.position, item->offset, batch->leaves[i]);
            } else {
                verify_tree_gap(v, 1);
            }
        }
        deliver(v, &record, item->offset);
    }
    if (batch->count > 0) {
        say_progress(v, batch->items[batch->count - 1].position);
    }
    batch->count = 0;
    sp_buf_reset(&batch->rows);
}

/* Waits for the oldest batch that is under way and takes it out. */
static void take_oldest(struct verifier *v) {
    sp_require(v->under_way > 0);
    uint32_t oldest = (v->filling + VERIFY_BATCHES - v->under_way) % VERIFY_BATCHES;
    struct verify_batch *batch = &v->batches[oldest];
    (void)sp_worker_poll(v->worker);
    while (batch->busy) {
        sp_worker_wait(v->worker, -1);
        (void)sp_worker_poll(v->worker);
    }
    take_out(v, batch);
    v->under_way--;
}

static void submit(struct verifier *v) {
    struct verify_batch *batch = &v->batches[v->filling];
    if (batch->count == 0) {
        return;
    }
    if (v->under_way == VERIFY_BATCHES - 1) {
        take_oldest(v);
    }
    batch->busy = true;
    sp_worker_submit(v->worker, &batch->job);
    v->under_way++;
    v->filling = (v->filling + 1) % VERIFY_BATCHES;
}

/* The batch that takes the next item. */
static struct verify_batch *open_batch(struct verifier *v) {
    struct verify_batch *batch = &v->batches[v->filling];
    if (batch->count == BATCH_RECORDS || batch->rows.len >= BATCH_BYTES) {
        submit(v);
        batch = &v->batches[v->filling];
    }
    if (batch->count == 0) {
        sp_salter_init(&batch->salter, v->salt_key);
    }
    return batch;
}

void verify_hash_add(struct verifier *v, const struct sp_record *record, uint64_t offset,
                     bool leaf) {
    struct verify_batch *batch = open_batch(v);
    struct verify_item item = {.position = record->position,
                               .offset = offset,
                               .at = batch->rows.len,
                               .leaf = leaf && record->kind == SP_RECORD_EVENT};
    sp_buf_add(&batch->rows, record->bytes, record->size);
    if (batch->rows.status != SP_OK) {
        verify_stop(v, batch->rows.status, NULL);
        return;
    }
    batch->items[batch->count++] = item;
}

void verify_hash_gap(struct verifier *v, uint64_t count) {
    if (count > 0) {
        struct verify_batch *batch = open_batch(v);
        batch->items[batch->count++] = (struct verify_item){.count = count};
    }
}

void verify_hash_drain(struct verifier *v) {
    submit(v);
    while (v->under_way > 0) {
        take_oldest(v);
    }
}
