/*
 * The manifest: which log this is, and which sealed files hold its older part. helper, loop-thread
 *
 * One small file, replaced atomically whenever a segment was sealed or trimmed; never on the write
 * path.
 */
#ifndef SP_LOG_MANIFEST_H
#define SP_LOG_MANIFEST_H

#include "base/buf.h"
#include "base/error.h"
#include "os/fs.h"

#define SP_MANIFEST_PATH "MANIFEST"

enum { SP_MANIFEST_SEGMENTS_MAX = 1 << 20 };

struct sp_manifest_segment {
    uint64_t id;
    uint64_t first_position;
    uint64_t last_position; /* first_position - 1 where it holds no event */
    uint64_t first_block;
    uint64_t last_block;
    uint64_t last_check; /* header check of its last block */
    uint64_t file_bytes;
    uint64_t footer_check;
};

struct sp_manifest {
    uint8_t uuid[16];
    uint64_t created_us;
    /*
     * Where the log begins: what lay before was trimmed. A whole log begins at block 1, position 1.
     */
    uint64_t first_block;
    uint64_t first_position;
    uint64_t first_prev_check;
    uint32_t segment_count;
    struct sp_manifest_segment *segments; /* oldest first; owned */
};

/* Frees the list. */
void sp_manifest_fini(struct sp_manifest *manifest);

void sp_manifest_encode(const struct sp_manifest *manifest, struct sp_buf *to);

/* SP_CORRUPT, SP_UNSUPPORTED, SP_NO_MEMORY. The caller frees with sp_manifest_fini. */
SP_WARN_UNUSED sp_status sp_manifest_decode(sp_str bytes, struct sp_manifest *ret_manifest,
                                            struct sp_error *error);

/* Reads and decodes the folder's manifest. SP_NOT_FOUND where there is none. */
SP_WARN_UNUSED sp_status sp_manifest_load(struct sp_fs *fs, struct sp_manifest *ret_manifest,
                                          struct sp_error *error);

#endif
