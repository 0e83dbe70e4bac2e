/*
 * The local driver's own state; only the local_*.c files include this. See local.h.
 *
 * Locking: one mutex guards what more than one thread touches: the segment list and the segments'
 * block tables, reference counts, the tail of recent blocks, the tree's published state. It is held
 * for moments, never across I/O. Everything else belongs to the loop thread, or to the worker whose
 * job it is.
 */
#ifndef SP_LOG_LOCAL_INT_H
#define SP_LOG_LOCAL_INT_H

#include <pthread.h>

#include "log/checkpoint.h"
#include "log/local.h"
#include "log/local_open.h"
#include "log/manifest.h"
#include "log/raw.h"
#include "log/sealed.h"
#include "log/snapshot.h"

enum {
    WRITES_MAX = 4,              /* appends in flight, segment headers included */
    BLOCKS_IN_FLIGHT_MAX = 2,    /* more would only split what one write could carry */
    INLINE_BYTES_MAX = 64 << 10, /* larger blocks are written by the sync worker, */
    INLINE_WRITE_US_MAX = 300,   /* and all, while small ones take longer in the mean */
    WRITE_MEAN_OF = 16,          /* of so many writes, roughly, the mean is taken */
    WRITE_OUTLIER_US = 4000,     /* one that took longer counts as this */
    SPARES_MAX = 2,
};

/* Where one block of a raw segment lies. */
struct block_entry {
    uint64_t first_position;
    uint32_t offset_pages; /* of SP_BLOCK_ALIGN bytes */
    uint32_t stored_pages; /* 0: its header is damaged; its events are lost */
};

struct local_log;

/*
 * A segment, raw or sealed. A sealed one replaces its raw one in the list; readers may still hold
 * that.
 */
struct segment {
    struct local_log *log;
    uint32_t refs;
    uint64_t id; /* the epoch */
    uint64_t first_position;
    uint64_t next_position; /* of the event after its last one */
    uint64_t first_block;
    uint64_t next_block;
    uint64_t prev_check;
    uint64_t last_check;
    uint64_t last_recorded_us;
    uint8_t salt_key[SP_HASH_BYTES];

    /* Sealed. */
    struct sp_log_sealed *sealed;

    /* Raw. */
    uint32_t file_number;
    bool full; /* nothing is appended to it any more */
    bool
        /* sealed and durable elsewhere: the file becomes a spare with the last reference */
        recycle;
    uint64_t file_bytes;
    uint64_t end_offset;
    struct sp_file *file; /* through the page cache, for reading */
    /* past it, for durable writes and for reading what the cache may belie */
    struct sp_file *direct;
    /*
     * One for each block. Of a segment that recovery passed over it is made when it is first
     * wanted, and NULL until then: see local_table_need. Guarded.
     */
    struct block_entry *blocks;
    uint32_t block_capacity;

    /*
     * What the Merkle worker leaves for sealing; complete when tree_block has passed the last
     * block.
     */
    struct sp_tree tree_start;
    struct sp_tree tree_end;
    uint16_t *tags;
    size_t tag_count;
    size_t tag_capacity;
    uint8_t (*tiles)[SP_HASH_BYTES];
    size_t tile_count;
    size_t tile_capacity;
};

/* One write on its way. */
struct write_op {
    struct sp_job job;
    struct local_log *log;
    bool busy;
    bool buffered;          /* done when the operating system has it */
    struct segment *before; /* a reference: to be synced before; NULL: nothing is */
    struct sp_file *file;
    struct sp_blob *blob;
    uint64_t offset;
    size_t len;
    uint64_t block;         /* 0: a segment header */
    uint64_t last_position; /* of the log when this block is durable */
    sp_status status;
    struct sp_error error;
};

/* A recent block, kept in memory. */
struct tail_entry {
    struct sp_blob *blob;
    uint64_t block;
};

struct spare {
    uint32_t file_number;
    uint64_t bytes;
};

/* Background jobs, at most one of each kind at a time. */
struct background_job {
    struct sp_job job;
    struct local_log *log;
    bool busy;
    sp_status status;
    struct sp_error error;
    uint32_t file_number;         /* spare: the file made */
    uint64_t bytes;               /* spare: its size */
    bool reuse;                   /* spare: zero a file that is there */
    struct segment *segment;      /* seal */
    struct sp_log_sealed *sealed; /* seal: the result */
    struct sp_buf content;        /* manifest, checkpoint: what to write */
    uint64_t number;              /* checkpoint: tree size */
    uint64_t target_block;        /* tree */
};

struct local_log {
    struct sp_log base; /* first: the interface is this */
    struct sp_log_local_options options;
    struct sp_fs *fs;
    struct sp_file *lock;
    pthread_mutex_t mutex;
    sp_status state;
    struct sp_error failure;
    bool recovered;
    bool live_writer;         /* read-only: another process writes */
    struct sp_log_opened cut; /* what recovery cut, if it did */

    uint8_t uuid[16];
    uint64_t log_id;
    uint64_t created_us;

    /* Segments, oldest first; the last one is appended to. Guarded. */
    struct segment **segments;
    size_t segment_count;
    size_t segment_capacity;
    uint64_t begin_block; /* where the log begins, after trimming */
    uint64_t begin_position;
    uint64_t begin_prev_check;

    /* The head: loop thread; the durable part is guarded. */
    uint64_t head_block;
    uint64_t head_check;
    uint64_t head_position;
    uint64_t durable_block;
    uint64_t durable_position;
    uint64_t synced_block; /* what may be vouched for: guarded */
    uint64_t synced_position;
    uint64_t synced_us;         /* when a sync was last begun, with INTERVAL */
    pthread_mutex_t sync_mutex; /* one sync at a time; taken before the other mutex */
    struct sp_error sync_error; /* of the one that failed: guarded */
    _Atomic bool sync_failed;
    struct write_op writes[WRITES_MAX];
    uint32_t writes_in_flight;
    _Atomic bool write_failed; /* whoever writes: set once, and then nothing is written any more */

    /* Recent blocks: a ring, oldest at tail_start. Guarded. */
    struct tail_entry *tail;
    uint32_t tail_capacity;
    uint32_t tail_start;
    uint32_t tail_count;
    uint64_t tail_bytes;

    struct spare spares[SPARES_MAX];
    uint32_t spare_count;
    uint32_t next_file_number;
    uint64_t next_spare_bytes;
    uint64_t spare_retry_us;
    struct sp_buf recycle; /* u32 file number, u64 bytes each: files to be zeroed. Guarded. */

    struct sp_worker *sync_worker;
    struct sp_worker *prepare_worker;  /* spares, manifest, checkpoint */
    struct sp_worker *seal_worker;     /* at the lowest priority */
    struct sp_worker *catch_up_worker; /* seals when too many segments wait */
    struct sp_worker *tree_worker;
    struct sp_worker *flush_worker; /* with INTERVAL; else NULL */
    struct background_job spare_job;
    struct background_job manifest_job;
    struct background_job checkpoint_job;
    struct background_job seal_job;
    struct background_job tree_job;
    struct background_job flush_job;
    bool manifest_dirty;
    struct sp_buf trimmed; /* ids of segments to unlink when the manifest has forgotten them */
    _Atomic uint64_t
        appended_us; /* when the last block was appended: sealing stands back for a while */
    _Atomic uint64_t small_write_us; /* what a small write takes in the mean */
    _Atomic bool seal_hurry;         /* too many segments wait: sealing does not stand back */
    _Atomic bool closing;            /* asks the seal worker to give up */
    struct segment *sealing;         /* sealed on disk, waits for the manifest to say so */
    struct sp_log_sealed *sealing_to;
    sp_status background; /* why the last background job failed */
    uint64_t seal_retry_us;

    /* Dictionary for sealing: seal worker. */
    struct sp_buf dictionary;
    uint32_t seals_since_training;

    /* The Merkle worker's state; `published` is guarded. */
    struct sp_tree tree;
    struct sp_salter tree_salter;
    uint64_t tree_salter_segment; /* that the salter is of; 0: none yet */
    struct sp_salter leaf_salter; /* guarded: of single events, copied for each */
    uint64_t leaf_salter_segment; /* guarded, likewise */
    uint64_t tree_block;          /* guarded: last block in the published tree */
    uint64_t tree_asked;          /* loop thread: last block a job was submitted for */
    uint64_t tree_asked_us;
    struct sp_log_tree published;
    struct sp_log_reader *tree_reader;
    struct sp_checkpoint expected; /* from the checkpoint file; compared when the tree gets there */
    uint64_t checkpoint_size;      /* of the last one written */
    uint64_t checkpoint_us;

    uint64_t snapshot_position; /* newest stored; trimming stays behind it */
    uint64_t retention_us;      /* when it was last looked at */
};

static inline struct local_log *local_of(struct sp_log *log) {
    return (struct local_log *)log;
}

uint64_t local_now_us(const struct local_log *log);

/* Ends the log: from now on every call says so. The first reason stays. loop-thread */
void local_fail(struct local_log *log, sp_status status, const struct sp_error *error);

/* ---- local_segment.c: the list and the life of segments ---- */

struct segment *segment_new(struct local_log *log);
struct segment *segment_ref_locked(struct segment *segment);
void segment_unref_locked(struct segment *segment);
/* Appends to the list, which takes the caller's reference. SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status local_list_add(struct local_log *log, struct segment *segment);
/* The segment that holds the position or block, or NULL. Mutex held. O(log segments). */
struct segment *local_find_position_locked(struct local_log *log, uint64_t position);
struct segment *local_find_block_locked(struct local_log *log, uint64_t block);
struct segment *local_active(struct local_log *log);
SP_WARN_UNUSED sp_status segment_add_block(struct segment *segment, uint64_t first_position,
                                           uint64_t offset, uint64_t stored_bytes);
/* Opens the two handles of a raw segment's file. */
SP_WARN_UNUSED sp_status segment_open_files(struct segment *segment, struct sp_error *error);
/* A segment that stands for an open sealed file; takes the caller's reference of it. */
struct segment *segment_of_sealed(struct local_log *log, struct sp_log_sealed *sealed);

/* ---- local_spare.c: files made ready before they are needed ---- */

/* Asks for a spare where one is missing; cheap to call often. */
void local_spare_upkeep(struct local_log *log);
/* Makes one now, on this thread. */
SP_WARN_UNUSED sp_status local_spare_make(struct local_log *log, struct sp_error *error);
/* Turns a spare into the active segment. Its header is written by the given function. */
SP_WARN_UNUSED sp_status local_rotate(struct local_log *log, struct sp_error *error);

/* ---- local_write.c: the way of a block to the disk ---- */

sp_status local_ready(struct sp_log *base, struct sp_error *error);
sp_status local_append(struct sp_log *base, uint64_t expected_head,
                       const struct sp_log_block *block, struct sp_error *error);
void local_poll(struct sp_log *base, struct sp_log_progress *ret_progress);
void local_wait(struct sp_log *base, int timeout_ms);
/* Writes a segment header in order with the blocks. */
SP_WARN_UNUSED sp_status local_write_header(struct local_log *log, struct segment *segment,
                                            const struct sp_raw_header *header,
                                            struct sp_error *error);
void local_write_done(struct sp_job *job);

/* ---- local_sync.c: durability by the operating system, synced later ---- */

/* Whether durable means less than synced. */
static inline bool local_is_relaxed(const struct local_log *log) {
    return log->options.durability != SP_LOG_DURABLE_ALWAYS;
}
/*
 * Syncs all that is durable, where that is not done already: before anything vouches for it. A
 * failure ends the log. any-thread; not under the mutex.
 */
SP_WARN_UNUSED sp_status local_sync_now(struct local_log *log, struct sp_error *error);
/* The segment ends where this write begins the next: it is to be synced before, if it is raw. */
void local_sync_hold(struct write_op *op, struct segment *before);
/* The write is done: what was synced before it may be vouched for. */
void local_sync_release(struct write_op *op);
/* Syncs the segment held, if there is one. By whoever writes. */
SP_WARN_UNUSED sp_status local_sync_before(struct write_op *op);
/* Ends the log where a sync has failed. */
void local_sync_poll(struct local_log *log);
void local_sync_upkeep(struct local_log *log);

/* ---- local_open.c and local_recover.c ---- */

sp_status local_recover(struct sp_log *base, sp_log_recover_fn *each, void *context,
                        struct sp_error *error);

/* ---- local_table.c: segments that recovery passes over ---- */

/*
 * Looks at the end of a segment that another follows: whether the last block is there that the
 * header of the next one names, whole. Then the segment is filled in from the two headers and that
 * block, and only its table of blocks is missing. False where anything is otherwise: recovery then
 * reads all of it, and says what is wrong.
 */
bool local_table_postpone(struct segment *segment, const struct sp_raw_header *next);
/*
 * Makes the table of blocks of a raw segment where it has none yet. Reads the headers; blocks
 * behind a damaged one are found. any-thread; the caller holds a reference, and not the mutex.
 */
SP_WARN_UNUSED sp_status local_table_need(struct segment *segment, struct sp_error *error);

/* ---- local_tree.c: the Merkle worker and the checkpoint ---- */

SP_WARN_UNUSED sp_status local_tree_start(struct local_log *log, struct sp_error *error);
void local_tree_upkeep(struct local_log *log, bool now);
sp_status local_tree(struct sp_log *base, bool all, struct sp_log_tree *ret_tree,
                     struct sp_error *error);
sp_status local_leaf(struct sp_log *base, const struct sp_record *record,
                     uint8_t ret_hash[SP_HASH_BYTES], struct sp_error *error);
void local_checkpoint_upkeep(struct local_log *log, bool now);
/*
 * Whether one is on the disk, or no event is in the tree yet. No manifest names a sealed file
 * before: a log that has one and no checkpoint was robbed of it.
 */
bool local_checkpoint_exists(struct local_log *log);

/* ---- local_seal.c, local_seal_job.c: from raw to sealed, trimming, the manifest ---- */

void local_seal_upkeep(struct local_log *log);
/* The job: writes the sealed file of job->segment. Seal worker. */
sp_status local_seal_write(struct local_log *log, struct segment *segment, struct sp_error *error);
sp_status local_trim(struct sp_log *base, uint64_t position, struct sp_error *error);
void local_retention_upkeep(struct local_log *log);
void local_manifest_encode(struct local_log *log, struct sp_buf *to);
void local_manifest_upkeep(struct local_log *log);

/* ---- local_snapshot.c ---- */

sp_status local_snapshot_store(struct sp_log *base, uint64_t position, sp_str bytes,
                               struct sp_error *error);
sp_status local_snapshot_load(struct sp_log *base, struct sp_buf *to, uint64_t *ret_position,
                              struct sp_error *error);

/* ---- local_reader.c ---- */

sp_status local_reader_new(struct sp_log *base, struct sp_log_reader **ret_reader,
                           struct sp_error *error);
/*
 * Yields the chunk of one block, of a raw segment, and the segment it is in (borrowed until the
 * next call).
 */
SP_WARN_UNUSED sp_status local_reader_block(struct sp_log_reader *reader, uint64_t block,
                                            struct sp_log_chunk *ret_chunk,
                                            struct segment **ret_segment, struct sp_error *error);

#endif
