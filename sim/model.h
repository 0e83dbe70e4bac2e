/*
 * The oracle of a log: what was appended, what was acknowledged, what may be forgotten. pure
 *
 * It keeps every block as it was given to the log, so that whatever the log shows can be compared
 * record by record. It knows nothing of files and segments.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "log/log.h"

struct sim_model_block {
    uint8_t *body;
    size_t len;
    uint64_t first_position;
    uint32_t event_count;
    uint64_t durable_upto; /* what was durable when it was appended: the block vouches for that */
};

struct sim_model_record {
    uint64_t block; /* its number */
    uint32_t offset;
    uint32_t size;
};

struct sim_model_event {
    uint64_t record; /* index of its record */
    bool leaf_known;
    uint8_t leaf[SP_HASH_BYTES];
};

struct sim_model_snapshot {
    uint64_t position;
    uint64_t seed; /* its bytes are made from this */
    size_t len;
    bool stored; /* the log said so */
};

struct sim_model {
    struct sim_model_block *blocks; /* block n is at n - 1 */
    size_t block_count;
    size_t block_capacity;
    struct sim_model_record *records;
    size_t record_count;
    size_t record_capacity;
    struct sim_model_event *events; /* position p is at p - 1 */
    size_t event_count;
    size_t event_capacity;
    struct sim_model_snapshot *snapshots; /* in the order they were stored */
    size_t snapshot_count;
    size_t snapshot_capacity;
    uint64_t durable_block; /* acknowledged */
    uint64_t trim_bound;    /* events before it may be gone */
};

/* Where a walk over the log stands: the next record, or unknown. */
#define SIM_MODEL_UNKNOWN UINT64_MAX

void sim_model_fini(struct sim_model *model);

/* Takes a copy of a block that is about to be appended, and that will vouch for those up to one. */
void sim_model_append(struct sim_model *model, sp_str body, uint64_t first_position,
                      uint64_t durable_upto);

/* Blocks above `block` are gone; the others are durable. */
void sim_model_settle(struct sim_model *model, uint64_t block);

/* Last event of the block's, or before it. */
uint64_t sim_model_position_at(const struct sim_model *model, uint64_t block);

/* The block that holds an event. */
uint64_t sim_model_block_of(const struct sim_model *model, uint64_t position);

/*
 * Compares a chunk with the records from *record on, which moves behind it; SIM_MODEL_UNKNOWN is
 * found out by the chunk's first event. NULL where all is well, else what is not; static.
 */
const char *sim_model_compare(const struct sim_model *model, const struct sp_log_chunk *chunk,
                              uint64_t *record);

/* True where the block's body is exactly this one and begins at this position. */
bool sim_model_is_block(const struct sim_model *model, uint64_t block,
                        const struct sp_log_chunk *chunk);

/* Keeps a leaf, or compares it with the one that is known. False where they differ. */
bool sim_model_leaf(struct sim_model *model, uint64_t position, const uint8_t leaf[SP_HASH_BYTES]);

/* The root over the first `size` leaves as RFC 6962 defines it; false where one is not known. */
bool sim_model_root(const struct sim_model *model, uint64_t size, uint8_t ret_root[SP_HASH_BYTES]);

/* Notes that a snapshot is about to be stored; `stored` is set by the caller later. */
struct sim_model_snapshot *sim_model_snapshot(struct sim_model *model, uint64_t position,
                                              uint64_t seed, size_t len);

/* Makes a snapshot's bytes. */
void sim_model_snapshot_bytes(const struct sim_model_snapshot *snapshot, uint8_t *to);

#endif
