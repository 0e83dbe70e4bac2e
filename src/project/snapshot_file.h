/*
 * One snapshot of a read model as a file: a header of SP_SNAPSHOT_FILE_HEADER_BYTES with a stamp,
 * then one zstd frame with its checksum. any-thread
 *
 *     stamp (24)      spoorRMS
 *     sha256 (32)     of the projection's text
 *     u64 position, u64 applied, u64 bytes before compression
 *
 * Both directions stream: memory does not grow with the file.
 */
#ifndef SP_PROJECT_SNAPSHOT_FILE_H
#define SP_PROJECT_SNAPSHOT_FILE_H

#include "project/snapshots.h"

enum { SP_SNAPSHOT_FILE_HEADER_BYTES = 80 };

/*
 * Compresses the file `from` into `to`, under another name first; synced and renamed. Tells the
 * bytes of the file in snapshot->bytes. SP_LIMIT beyond bytes_max.
 */
SP_WARN_UNUSED sp_status sp_snapshot_file_write(struct sp_fs *fs, const char *from, const char *to,
                                                const uint8_t sha256[SP_SNAPSHOT_KEY_BYTES],
                                                struct sp_snapshot *snapshot, uint64_t bytes_max,
                                                struct sp_error *error);

/*
 * Decompresses the file `from` into the file `path` of `to`, which is not there yet, and compares
 * what its header says. SP_CORRUPT, SP_UNSUPPORTED, SP_NOT_FOUND; the target is removed then.
 */
SP_WARN_UNUSED sp_status sp_snapshot_file_read(struct sp_fs *fs, const char *from,
                                               const uint8_t sha256[SP_SNAPSHOT_KEY_BYTES],
                                               const struct sp_snapshot *snapshot, struct sp_fs *to,
                                               const char *path, struct sp_error *error);

#endif
