/*
 * The local driver: a log in a folder of one machine. loop-thread
 *
 * Happy path: blocks go into a pre-written segment with one durable write each, small ones on the
 * caller's thread, large ones on the sync worker while the next gathers. A full segment gives way
 * to a spare that was prepared beside it; the full one is sealed in the background: compressed,
 * indexed, with the Merkle tree's tiles. The Merkle worker follows the durable head.
 *
 * What durable means is the owner's choice (durability): on stable storage, or in the care of the
 * operating system, which syncs it later. Nothing ever vouches for what was not synced: not the
 * next block's header, not the checkpoint, not a snapshot, not the next segment. So what a power
 * cut takes is an end of the log that nobody misses, and opening goes on before it.
 *
 * What can go wrong: a write or a sync that fails ends the log (fail-stop, never retried). A torn
 * write at the tail is cut when the log is opened, and said. Damage anywhere else in what was
 * acknowledged makes open refuse, naming the file and offset; damage in a sealed file costs the
 * frame it lies in.
 */
#ifndef SP_LOG_LOCAL_H
#define SP_LOG_LOCAL_H

#include "log/log.h"
#include "os/fs.h"
#include "os/os.h"

struct sp_log_sealed; /* a sealed segment, open: log/sealed.h */

/* What the log asks of its owner about sealing. All but `encode` run on the loop thread. */
struct sp_log_seal_hooks {
    void *context;
    /* Encodes the index of a finished segment into `section`. Runs on the background worker. */
    sp_status (*encode)(void *context, uint64_t segment_id, struct sp_buf *section,
                        struct sp_error *error);
    /*
     * While recovering: whether the owner has everything of a full raw segment already, whose
     * events are those from `first` to before `next`. Its blocks are then looked at when they are
     * read, not now. NULL: never.
     */
    bool (*known)(void *context, uint64_t segment_id, uint64_t first, uint64_t next);
    /* The segment is now served from its sealed file. */
    void (*sealed)(void *context, uint64_t segment_id, struct sp_log_sealed *sealed);
    /* The first position that is kept whatever the limits say; UINT64_MAX: none. NULL: likewise. */
    uint64_t (*keep)(void *context);
    /* Everything before `first_position` was forgotten. */
    void (*trimmed)(void *context, uint64_t first_position);
};

/* What a block has to have reached to be durable. */
enum sp_log_local_durability {
    SP_LOG_DURABLE_ALWAYS = 0, /* stable storage: one synced write a block */
    /* The operating system: a crash of the process takes nothing, one of the machine what was not
     * synced yet. Synced every sync_period_us, or with each checkpoint, and when closed. */
    SP_LOG_DURABLE_INTERVAL = 1,
    SP_LOG_DURABLE_OS = 2,
};

struct sp_log_local_options {
    struct sp_fs *fs; /* of the folder; outlives the log; not owned */
    struct sp_clock clock;
    void (*entropy)(void *bytes, size_t len); /* NULL: the system's */
    struct sp_log_seal_hooks hooks;           /* encode NULL: nothing is ever sealed */

    bool create;          /* make the log where there is none */
    bool read_only;       /* take no lock, change nothing; a live writer is fine */
    bool inline_jobs;     /* no threads: everything runs inside the calls */
    bool threaded_writes; /* never write on the caller's thread: it holds a lock that others want */
    bool seal;            /* seal full segments in the background */
    void (*wake)(
        void *context); /* called on a worker's thread when poll may have news; may be NULL */
    void *wake_context;

    uint32_t block_bytes_max;   /* of a stored block: 64 KiB to 64 MiB; 0: 4 MiB */
    uint64_t segment_bytes_min; /* of the first segment; they double up to the maximum; 0: 8 MiB */
    uint64_t segment_bytes_max; /* 0: 256 MiB */
    uint64_t tail_bytes_max;    /* of recent blocks kept in memory; 0: 32 MiB */
    uint64_t retain_bytes_max;  /* 0: keep everything */
    uint64_t retain_age_us;     /* 0: keep everything */
    uint64_t checkpoint_period_us; /* 0: one second */
    enum sp_log_local_durability durability;
    uint64_t sync_period_us; /* with INTERVAL; 0: 100 ms */
};

/* What open found and did, for messages. */
struct sp_log_opened {
    bool created;
    bool cut; /* a torn write at the tail was cut: nothing of it was acknowledged */
    uint64_t cut_bytes;
    uint32_t passed;     /* segments that were not read, as the owner knew what they hold */
    uint64_t cut_offset; /* in the segment file `cut_file` */
    char cut_file[40];
    bool live_writer;    /* read-only: another process is writing */
    uint32_t holder_pid; /* where SP_BUSY was returned: who holds the folder, 0 if unknown */
    uint8_t uuid[16];
};

/*
 * Opens the log in the folder of options->fs. Statuses: SP_NOT_FOUND (no log there and not create),
 * SP_BUSY (held by another process), SP_CORRUPT (acknowledged data is damaged or missing: file and
 * offset in the error), SP_UNSUPPORTED (a newer format), SP_IO, SP_NO_SPACE, SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_log_local_open(const struct sp_log_local_options *options,
                                           struct sp_log **ret_log,
                                           struct sp_log_opened *ret_opened,
                                           struct sp_error *error);

/* What recovery cut and passed over, known after ops->recover. Fills these fields only. */
void sp_log_local_cut(struct sp_log *log, struct sp_log_opened *ret_opened);

/* One segment, for start-up, listings and verification. */
struct sp_log_segment_info {
    uint64_t id;
    uint64_t first_position;
    uint64_t last_position;
    uint64_t bytes;
    bool sealed;
    struct sp_log_sealed *sealed_file; /* NULL for a raw segment */
};

/* Calls `each` for every segment, oldest first. loop-thread */
void sp_log_local_segments(struct sp_log *log,
                           void (*each)(void *context, const struct sp_log_segment_info *info),
                           void *context);

/* Segments that are full and wait to be sealed, and bytes on disk of the whole log. */
struct sp_log_local_stats {
    uint32_t segments_sealed;
    uint32_t segments_raw;
    uint32_t segments_waiting;
    uint64_t bytes_sealed;
    uint64_t bytes_raw; /* in use, not allocated */
    uint64_t events_sealed;
    uint64_t tree_lag;    /* durable events that the Merkle tree does not cover yet */
    sp_status background; /* SP_OK, or why the last background job failed */
};
void sp_log_local_stats(struct sp_log *log, struct sp_log_local_stats *ret_stats);

#endif
