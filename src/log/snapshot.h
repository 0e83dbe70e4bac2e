/*
 * The container of a snapshot: a file that holds the state of the log's owner as of one position.
 * pure
 *
 * A snapshot only saves replaying: it is never the truth, and may be removed at any time.
 */
#ifndef SP_LOG_SNAPSHOT_H
#define SP_LOG_SNAPSHOT_H

#include "base/buf.h"
#include "base/error.h"

#define SP_SNAPSHOT_FOLDER "snap"

enum { SP_SNAPSHOT_HEADER_BYTES = 64, SP_SNAPSHOT_PATH_BYTES = 40 };

/* The file's path, with its NUL. */
void sp_snapshot_path(uint64_t position, char path[SP_SNAPSHOT_PATH_BYTES]);

/* The position that a name of the folder stands for; false where it is no snapshot's. */
bool sp_snapshot_of_name(sp_str name, uint64_t *ret_position);

/* Appends the whole file. The buffer's sticky status says whether it fitted. */
void sp_snapshot_encode(const uint8_t uuid[16], uint64_t position, sp_str state, struct sp_buf *to);

/*
 * Checks a whole file and yields the state, borrowed from it. SP_CORRUPT where it is not what was
 * stored, or of another log or position; SP_UNSUPPORTED: of a later version.
 */
SP_WARN_UNUSED sp_status sp_snapshot_decode(sp_str file, const uint8_t uuid[16], uint64_t position,
                                            sp_str *ret_state);

#endif
