/*
 * The log: one totally ordered sequence of blocks, whatever keeps it. loop-thread
 *
 * One operation matters: append a block if the head is N. Whatever offers that is a log: the local
 * driver (log/local.h, the head is ours by a lock), the simulated one (sim/log_memory.h), later
 * JetStream or PostgreSQL. tests/conformance runs one suite over all of them.
 *
 * A log is used by one thread, its loop, except for readers, each of which belongs to one thread of
 * its choice. Appending is asynchronous: a block is durable when poll says so, in order. There is
 * no retry and no roll-back: once poll reports FENCED or FAILED the log is dead, and its owner
 * drops what it believed and opens again.
 */
#ifndef SP_LOG_LOG_H
#define SP_LOG_LOG_H

#include "base/blob.h"
#include "base/error.h"
#include "base/str.h"
#include "record/block.h"
#include "record/tree.h"

enum sp_log_durability {
    SP_LOG_VOLATILE = 0,      /* gone with the process */
    SP_LOG_OS_CACHED = 1,     /* survives the process, not the machine */
    SP_LOG_FSYNCED_LOCAL = 2, /* on this machine's stable storage */
    SP_LOG_CACHED_QUORUM = 3, /* in the memory of a majority of machines */
    SP_LOG_FSYNCED_QUORUM = 4,
};

struct sp_log_description {
    const char *driver; /* static storage */
    enum sp_log_durability durability;
    uint8_t uuid[16];              /* made with the log, the same in its copies */
    uint32_t block_bytes_max;      /* of a stored block, header and padding included */
    uint32_t blocks_in_flight_max; /* appended and not yet durable: more must not be appended */
};

/* Where the log stands. */
struct sp_log_progress {
    uint64_t head_block;       /* last block appended, durable or not */
    uint64_t head_segment;     /* id of the segment it is in: sealing and indexing go by segments */
    uint64_t durable_block;    /* last block that is durable */
    uint64_t durable_position; /* last event in it or before it */
    /* Last block on stable storage: behind durable_block only where the log was asked for less. */
    uint64_t synced_block;
    sp_status state; /* SP_OK, SP_FENCED, or what it failed with */
};

/* A block to append, complete but for the fields that the driver knows. */
struct sp_log_block {
    /* header room, then the body; capacity holds the padding; the log refs it */
    struct sp_blob *blob;
    uint64_t first_position;
    uint32_t event_count;
    uint32_t record_count;
    uint32_t body_bytes;
    uint64_t recorded_us; /* of the last record */
};

/*
 * Makes a blob that a block of up to `body_bytes_max` bytes of records fits into; NULL: no memory.
 */
struct sp_blob *sp_log_block_new(size_t body_bytes_max);

/* Where the records of a block go. */
static inline uint8_t *sp_log_block_body(struct sp_blob *blob) {
    return blob->data + SP_BLOCK_HEADER_BYTES;
}

/* A run of records as a reader yields it. */
struct sp_log_chunk {
    sp_str body;             /* borrowed from the reader until its next call */
    uint64_t first_position; /* of the first event in it, or of the next one where it holds none */
    uint32_t event_count;
};

/* Called for each block, in order, while the log recovers. An error ends the recovery with it. */
typedef sp_status sp_log_recover_fn(void *context, uint64_t segment_id,
                                    const struct sp_log_chunk *chunk, struct sp_error *error);

/* The Merkle tree's state: how far it is, and its root there. */
struct sp_log_tree {
    uint64_t size;
    uint8_t root[SP_HASH_BYTES];
};

struct sp_log;
struct sp_log_reader;

struct sp_log_ops {
    /*
     * Walks the blocks that are not sealed yet, oldest first: the ones only this driver's memory
     * indexes cover. Must be called once, before the first append. What is sealed is read with a
     * reader.
     */
    sp_status (*recover)(struct sp_log *log, sp_log_recover_fn *each, void *context,
                         struct sp_error *error);

    /*
     * Whether there is room for one block of up to block_bytes_max: SP_OK, and it stays so until
     * the next append; SP_BUSY: room is being made, wait, poll and ask again; SP_NO_SPACE, and the
     * log lives on, ask again later. Anything else is the log's end.
     */
    sp_status (*ready)(struct sp_log *log, struct sp_error *error);

    /*
     * Appends a block if the head is `expected_head`, else SP_CONFLICT. Asynchronous: SP_OK says it
     * was taken, poll says when it is durable. The caller has seen `ready` say SP_OK, and has fewer
     * than blocks_in_flight_max blocks under way. Takes its own reference of the blob and writes
     * the block's header and padding into it.
     */
    sp_status (*append)(struct sp_log *log, uint64_t expected_head,
                        const struct sp_log_block *block, struct sp_error *error);

    /* Takes note of finished work and says where the log stands. Never blocks. */
    void (*poll)(struct sp_log *log, struct sp_log_progress *ret_progress);

    /* Blocks until poll may have news, or timeout_ms went by (negative: no limit). */
    void (*wait)(struct sp_log *log, int timeout_ms);

    /* Gives the driver time for its own upkeep: sealing, spares, checkpoint, retention. */
    void (*upkeep)(struct sp_log *log);

    /* First position still kept, and the last one that is durable; 0 where there is none. */
    void (*bounds)(struct sp_log *log, uint64_t *ret_first, uint64_t *ret_last);

    /* Forgets whole segments before `position`. What remains may begin earlier. */
    sp_status (*trim)(struct sp_log *log, uint64_t position, struct sp_error *error);

    /*
     * Stores a snapshot of its owner's state as of `position`, atomically; the two newest are kept.
     */
    sp_status (*snapshot_store)(struct sp_log *log, uint64_t position, sp_str bytes,
                                struct sp_error *error);
    /* Loads the newest whole snapshot. SP_NOT_FOUND where there is none. */
    sp_status (*snapshot_load)(struct sp_log *log, struct sp_buf *to, uint64_t *ret_position,
                               struct sp_error *error);

    void (*describe)(struct sp_log *log, struct sp_log_description *ret_description);

    /* The tree as far as it is computed; `all` waits until it covers every durable event. */
    sp_status (*tree)(struct sp_log *log, bool all, struct sp_log_tree *ret_tree,
                      struct sp_error *error);

    /* The hash (Merkle leaf) of one event record that a reader of this log yielded. any-thread */
    sp_status (*leaf)(struct sp_log *log, const struct sp_record *record,
                      uint8_t ret_hash[SP_HASH_BYTES], struct sp_error *error);

    /* A reader for one thread; see sp_log_reader_ops. any-thread */
    sp_status (*reader_new)(struct sp_log *log, struct sp_log_reader **ret_reader,
                            struct sp_error *error);

    /* Waits for what is in flight, leaves the log in order, frees it. Readers are gone before. */
    void (*close)(struct sp_log *log);
};

struct sp_log {
    const struct sp_log_ops *ops;
};

struct sp_log_reader_ops {
    /*
     * Yields the chunk that holds the event at `position`: SP_OK; SP_END beyond the last durable
     * event; SP_NOT_FOUND before the first one kept; SP_CORRUPT where it is damaged, and only it.
     * Where a chunk cannot be read, *ret_chunk tells its place without a body; event_count is 0
     * where that is unknown, too.
     */
    sp_status (*seek)(struct sp_log_reader *reader, uint64_t position,
                      struct sp_log_chunk *ret_chunk, struct sp_error *error);
    /*
     * Yields the chunk after the last one yielded; SP_END at the end of what is durable;
     * SP_NOT_FOUND where it was trimmed meanwhile: seek to what is kept.
     */
    sp_status (*next)(struct sp_log_reader *reader, struct sp_log_chunk *ret_chunk,
                      struct sp_error *error);
    void (*free)(struct sp_log_reader *reader);
};

struct sp_log_reader {
    const struct sp_log_reader_ops *ops;
};

#endif
