/*
 * Verification of a log's folder: re-derives from the files everything that they claim. helper
 *
 * Happy path: the manifest names the sealed files, the raw segments continue them; every byte is
 * read, every checksum compared, every event's hash recomputed and put into the Merkle tree, whose
 * roots must be those that tags, tiles, edges, block headers and the checkpoint recorded.
 *
 * What is wrong is told as a finding, and the walk goes on behind it where it can. There are two
 * levels. Damage: a checksum does not fit, as after a fault of the device. Alteration: the
 * checksums fit, but what they cover is not what was hashed into the tree, or the parts do not
 * belong together: somebody removed, reordered or rewrote events and recomputed the checksums.
 * Neither is a proof against one who rewrites every file, the checkpoint included: that takes a
 * checkpoint kept elsewhere.
 *
 * Changes nothing in the folder. Beside a live writer it verifies what is durable; in the folder
 * of a crashed one, everything that recovery would keep. Memory: about 1 % of the largest raw
 * segment, and 16 MiB. A second thread computes the hashes, unless inline_jobs is set.
 */
#ifndef SP_LOG_VERIFY_H
#define SP_LOG_VERIFY_H

#include "base/error.h"
#include "base/str.h"
#include "os/fs.h"
#include "record/event.h"
#include "record/tree.h"

enum sp_verify_level {
    SP_VERIFY_NOTICE, /* worth telling, and no fault: a torn write that was never acknowledged */
    SP_VERIFY_DAMAGE, /* a checksum does not fit, or something is not there */
    SP_VERIFY_ALTERATION, /* the checksums fit, and yet it is not what was recorded */
};

struct sp_verify_finding {
    enum sp_verify_level level;
    uint64_t first_position; /* of the events that are affected; 0: none, or not known which */
    uint64_t last_position;
    const char *file; /* relative to the folder; NULL where it is not one file */
    uint64_t offset;  /* in the file */
    const char *text; /* one line for people, without the level */
};

/* A segment whose records have all been handed over. */
struct sp_verify_segment {
    uint64_t id;
    bool sealed;
    const char *file;
    uint64_t first_position;
    uint64_t last_position;
    uint64_t index_offset; /* in the file */
    sp_str index;          /* the index section of a sealed one; empty where it is damaged */
};

/* Where a record stands. */
struct sp_verify_place {
    const char *file;
    uint64_t offset; /* of its block or frame */
};

struct sp_verify_options {
    struct sp_fs *fs; /* of the folder; not owned; may be read-only */
    bool inline_jobs; /* no second thread */
    void *context;
    /* Called for each finding, in the order in which they are met. False ends the verification. */
    bool (*finding)(void *context, const struct sp_verify_finding *finding);
    /* Called now and then with the last position verified; may be NULL. False ends it. */
    bool (*progress)(void *context, uint64_t position);
    /*
     * Called for each readable record in the order of the log, and after the last one of each
     * segment; may be NULL. Positions that are not readable are left out. An error ends the
     * verification with it.
     */
    sp_status (*record)(void *context, const struct sp_record *record,
                        const struct sp_verify_place *place, struct sp_error *error);
    sp_status (*segment)(void *context, const struct sp_verify_segment *segment,
                         struct sp_error *error);
};

struct sp_verify_result {
    uint8_t uuid[16];
    bool live;               /* another process writes */
    uint64_t first_position; /* of the log; 0 where it has no event */
    uint64_t last_position;
    uint64_t event_count; /* read and hashed */
    uint64_t record_count;
    uint64_t bytes;         /* of the files read */
    uint64_t finding_count; /* notices left out */
    uint64_t notice_count;
    uint32_t segments_sealed;
    uint32_t segments_raw;
    bool tree_whole; /* tree_root is of all events; else something stood in the way */
    uint8_t tree_root[SP_HASH_BYTES];
};

/*
 * Verifies. SP_OK where it came to the end, whatever it found: the result says. SP_CANCELLED where
 * a callback ended it; SP_NOT_FOUND where there is no log; SP_NO_MEMORY, or what `record` or
 * `segment` returned. Reads every byte of the folder once, those of the newest raw segment twice
 * beside a live writer.
 */
SP_WARN_UNUSED sp_status sp_verify_log(const struct sp_verify_options *options,
                                       struct sp_verify_result *ret_result, struct sp_error *error);

#endif
