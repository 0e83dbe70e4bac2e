#include "project/snapshot_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/assert.h"
#include "base/wire.h"
#include "record/stamp.h"

static const char magic[8] = {'s', 'p', 'o', 'o', 'r', 'R', 'M', 'S'};

enum {
    AT_SHA256 = SP_STAMP_BYTES,
    AT_POSITION = 56,
    AT_APPLIED = 64,
    AT_BYTES = 72,
    LEVEL = 1, /* it is the projector's processor that pays */
    IN_BYTES = 256 << 10,
    OUT_BYTES = 256 << 10,
};

/* A stream of bytes from one file to another through zstd. */
struct stream {
    struct sp_file *in;
    struct sp_file *out;
    uint64_t in_at;
    uint64_t out_at;
    uint64_t out_bytes_max;
    uint8_t *in_bytes;
    uint8_t *out_bytes;
};

static sp_status stream_init(struct stream *stream, struct sp_error *error) {
    stream->in_bytes = malloc(IN_BYTES);
    stream->out_bytes = malloc(OUT_BYTES);
    return stream->in_bytes != NULL && stream->out_bytes != NULL
               ? SP_OK
               : sp_error_set(error, SP_NO_MEMORY, "buffers");
}

static void stream_fini(struct stream *stream) {
    if (stream->in != NULL) {
        stream->in->fs->ops->close(stream->in);
    }
    if (stream->out != NULL) {
        stream->out->fs->ops->close(stream->out);
    }
    free(stream->in_bytes);
    free(stream->out_bytes);
}

static sp_status stream_read(struct stream *stream, ZSTD_inBuffer *in, struct sp_error *error) {
    size_t got = 0;
    sp_status status = stream->in->fs->ops->read(stream->in, stream->in_bytes, IN_BYTES,
                                                 stream->in_at, &got, error);
    *in = (ZSTD_inBuffer){.src = stream->in_bytes, .size = got};
    stream->in_at += got;
    return status;
}

static sp_status stream_write(struct stream *stream, const ZSTD_outBuffer *out,
                              struct sp_error *error) {
    if (out->pos == 0) {
        return SP_OK;
    }
    if (out->pos > stream->out_bytes_max - stream->out_at) {
        return sp_error_set(error, SP_LIMIT, "larger than %llu bytes",
                            (unsigned long long)stream->out_bytes_max);
    }
    sp_status status =
        stream->out->fs->ops->write(stream->out, out->dst, out->pos, stream->out_at, error);
    stream->out_at += out->pos;
    return status;
}

/*
 * ---- writing
 * --------------------------------------------------------------------------------------
 */

/* Compresses what was read; at the end of the input finishes the frame. */
static sp_status compress_some(struct stream *stream, ZSTD_CCtx *zstd, ZSTD_inBuffer *in, bool end,
                               struct sp_error *error) {
    size_t left;
    do {
        ZSTD_outBuffer out = {.dst = stream->out_bytes, .size = OUT_BYTES};
        left = ZSTD_compressStream2(zstd, &out, in, end ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left)) {
            return sp_error_set(error, SP_NO_MEMORY, "compress: %s", ZSTD_getErrorName(left));
        }
        sp_status status = stream_write(stream, &out, error);
        if (status != SP_OK) {
            return status;
        }
    } while (end ? left != 0 : in->pos < in->size);
    return SP_OK;
}

static sp_status compress_all(struct stream *stream, uint64_t bytes, struct sp_error *error) {
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    if (zstd == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "compress");
    }
    (void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, LEVEL);
    (void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
    sp_status status = SP_OK;
    while (status == SP_OK && stream->in_at < bytes) {
        ZSTD_inBuffer in;
        status = stream_read(stream, &in, error);
        if (status == SP_OK && in.size == 0) {
            status = sp_error_set(error, SP_IO, "the copy ends at %llu of %llu bytes",
                                  (unsigned long long)stream->in_at, (unsigned long long)bytes);
        }
        status = status == SP_OK ? compress_some(stream, zstd, &in, stream->in_at >= bytes, error)
                                 : status;
    }
    ZSTD_freeCCtx(zstd);
    return status;
}

static void make_header(const uint8_t sha256[SP_SNAPSHOT_KEY_BYTES],
                        const struct sp_snapshot *snapshot, uint64_t bytes,
                        uint8_t header[SP_SNAPSHOT_FILE_HEADER_BYTES]) {
    memset(header, 0, SP_SNAPSHOT_FILE_HEADER_BYTES);
    memcpy(header + AT_SHA256, sha256, SP_SNAPSHOT_KEY_BYTES);
    sp_put_u64(header + AT_POSITION, snapshot->position);
    sp_put_u64(header + AT_APPLIED, snapshot->applied);
    sp_put_u64(header + AT_BYTES, bytes);
    (void)sp_stamp_put(header, SP_SNAPSHOT_FILE_HEADER_BYTES, magic);
}

static sp_status write_stream(struct stream *stream, const uint8_t sha256[SP_SNAPSHOT_KEY_BYTES],
                              const struct sp_snapshot *snapshot, struct sp_error *error) {
    uint8_t header[SP_SNAPSHOT_FILE_HEADER_BYTES];
    uint64_t bytes;
    const struct sp_fs_ops *ops = stream->out->fs->ops;
    sp_status status = stream->in->fs->ops->size(stream->in, &bytes, error);
    if (status == SP_OK && (bytes == 0 || bytes > SP_SNAPSHOT_BYTES_MAX)) {
        status = sp_error_set(error, SP_LIMIT, "%llu bytes", (unsigned long long)bytes);
    }
    if (status == SP_OK) {
        make_header(sha256, snapshot, bytes, header);
        status = ops->truncate(stream->out, 0, error);
    }
    status = status == SP_OK ? ops->write(stream->out, header, sizeof(header), 0, error) : status;
    stream->out_at = sizeof(header);
    status = status == SP_OK ? compress_all(stream, bytes, error) : status;
    return status == SP_OK ? ops->sync(stream->out, error) : status;
}

sp_status sp_snapshot_file_write(struct sp_fs *fs, const char *from, const char *to,
                                 const uint8_t sha256[SP_SNAPSHOT_KEY_BYTES],
                                 struct sp_snapshot *snapshot, uint64_t bytes_max,
                                 struct sp_error *error) {
    char temporary[SP_FS_PATH_BYTES_MAX + 1];
    int len = snprintf(temporary, sizeof(temporary), "%s.tmp", to);
    sp_require(len > 0 && (size_t)len < sizeof(temporary));
    struct stream stream = {.out_bytes_max = bytes_max > SP_SNAPSHOT_FILE_HEADER_BYTES
                                                 ? bytes_max
                                                 : SP_SNAPSHOT_FILE_HEADER_BYTES};
    sp_status status = stream_init(&stream, error);
    status = status == SP_OK ? fs->ops->open(fs, from, SP_FS_READ, &stream.in, error) : status;
    status = status == SP_OK
                 ? fs->ops->open(fs, temporary, SP_FS_WRITE | SP_FS_CREATE, &stream.out, error)
                 : status;
    bool made = status == SP_OK;
    status = made ? write_stream(&stream, sha256, snapshot, error) : status;
    snapshot->bytes = stream.out_at;
    stream_fini(&stream);
    status = status == SP_OK ? fs->ops->rename(fs, temporary, to, error) : status;
    if (status != SP_OK && made) {
        (void)fs->ops->unlink(fs, temporary, NULL);
    }
    return status == SP_OK ? fs->ops->sync_dir(fs, ".", error) : status;
}

/*
 * ---- reading
 * --------------------------------------------------------------------------------------
 */

static sp_status check_header(struct stream *stream, const uint8_t sha256[SP_SNAPSHOT_KEY_BYTES],
                              const struct sp_snapshot *snapshot, uint64_t *ret_bytes,
                              struct sp_error *error) {
    uint8_t header[SP_SNAPSHOT_FILE_HEADER_BYTES];
    size_t got = 0;
    sp_status status =
        stream->in->fs->ops->read(stream->in, header, sizeof(header), 0, &got, error);
    if (status != SP_OK) {
        return status;
    }
    status = got == sizeof(header) ? sp_stamp_check(sp_str_of(header, got), magic) : SP_CORRUPT;
    if (status == SP_UNSUPPORTED) {
        return sp_error_set(error, status, "of a later version");
    }
    if (status != SP_OK || memcmp(header + AT_SHA256, sha256, SP_SNAPSHOT_KEY_BYTES) != 0 ||
        sp_get_u64(header + AT_POSITION) != snapshot->position ||
        sp_get_u64(header + AT_APPLIED) != snapshot->applied) {
        return sp_error_set(error, SP_CORRUPT, "its head is damaged");
    }
    *ret_bytes = sp_get_u64(header + AT_BYTES);
    stream->in_at = sizeof(header);
    return SP_OK;
}

/* Decompresses until the frame ends; *ret_ended says that it did. */
static sp_status decompress_some(struct stream *stream, ZSTD_DCtx *zstd, ZSTD_inBuffer *in,
                                 bool *ret_ended, struct sp_error *error) {
    bool filled = true;
    while ((in->pos < in->size || filled) && !*ret_ended) {
        ZSTD_outBuffer out = {.dst = stream->out_bytes, .size = OUT_BYTES};
        size_t left = ZSTD_decompressStream(zstd, &out, in);
        if (ZSTD_isError(left)) {
            return sp_error_set(error, SP_CORRUPT, "damaged: %s", ZSTD_getErrorName(left));
        }
        sp_status status = stream_write(stream, &out, error);
        if (status != SP_OK) {
            return status == SP_LIMIT ? sp_error_set(error, SP_CORRUPT, "longer than it says")
                                      : status;
        }
        filled = out.pos == out.size;
        *ret_ended = left == 0;
    }
    return SP_OK;
}

static sp_status decompress_all(struct stream *stream, uint64_t bytes, struct sp_error *error) {
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    if (zstd == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "decompress");
    }
    sp_status status = SP_OK;
    bool ended = false;
    while (status == SP_OK && !ended) {
        ZSTD_inBuffer in;
        status = stream_read(stream, &in, error);
        if (status == SP_OK && in.size == 0) {
            status = sp_error_set(error, SP_CORRUPT, "cut short");
        }
        status = status == SP_OK ? decompress_some(stream, zstd, &in, &ended, error) : status;
    }
    if (status == SP_OK && stream->out_at != bytes) {
        status = sp_error_set(error, SP_CORRUPT, "%llu bytes, not %llu",
                              (unsigned long long)stream->out_at, (unsigned long long)bytes);
    }
    ZSTD_freeDCtx(zstd);
    return status;
}

sp_status sp_snapshot_file_read(struct sp_fs *fs, const char *from,
                                const uint8_t sha256[SP_SNAPSHOT_KEY_BYTES],
                                const struct sp_snapshot *snapshot, struct sp_fs *to,
                                const char *path, struct sp_error *error) {
    struct stream stream = {.in = NULL};
    uint64_t bytes = 0;
    sp_status status = stream_init(&stream, error);
    status = status == SP_OK ? fs->ops->open(fs, from, SP_FS_READ, &stream.in, error) : status;
    status = status == SP_OK ? check_header(&stream, sha256, snapshot, &bytes, error) : status;
    stream.out_bytes_max = bytes;
    if (status == SP_OK) {
        status = to->ops->open(to, path, SP_FS_WRITE | SP_FS_CREATE | SP_FS_EXCLUSIVE, &stream.out,
                               error);
    }
    bool made = stream.out != NULL;
    status = status == SP_OK ? decompress_all(&stream, bytes, error) : status;
    stream_fini(&stream);
    if (status != SP_OK && made) {
        (void)to->ops->unlink(to, path, NULL);
    }
    return status;
}
