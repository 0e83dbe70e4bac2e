/*
 * The checkpoint: a small text file that says how many events the log had and what their root was.
 * helper
 *
 * The text is a C2SP tlog-checkpoint: origin, size, root. Signature lines may follow an empty
 * line; this program writes none yet and passes over those it finds. A log that is shorter than
 * its checkpoint, or whose tree differs at its size, has lost or changed acknowledged events.
 */
#ifndef SP_LOG_CHECKPOINT_H
#define SP_LOG_CHECKPOINT_H

#include "base/buf.h"
#include "base/error.h"
#include "os/fs.h"
#include "record/tree.h"

#define SP_CHECKPOINT_PATH "checkpoint"

enum { SP_CHECKPOINT_BYTES_MAX = 64 << 10 };

struct sp_checkpoint {
    bool present;
    uint64_t size;
    uint8_t root[SP_HASH_BYTES];
};

/* Appends the text for a log of this UUID. */
void sp_checkpoint_encode(const uint8_t uuid[16], uint64_t size, const uint8_t root[SP_HASH_BYTES],
                          struct sp_buf *to);

/* SP_CORRUPT where the text is no checkpoint of this log. */
SP_WARN_UNUSED sp_status sp_checkpoint_decode(sp_str text, const uint8_t uuid[16],
                                              struct sp_checkpoint *ret_checkpoint,
                                              struct sp_error *error);

/* Reads the folder's checkpoint; SP_NOT_FOUND, and not present, where there is none. */
SP_WARN_UNUSED sp_status sp_checkpoint_load(struct sp_fs *fs, const uint8_t uuid[16],
                                            struct sp_checkpoint *ret_checkpoint,
                                            struct sp_error *error);

#endif
