#include "server/gzip.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    LEVEL = 4, /* twice the speed of the usual 6 for a few percent more bytes */
    GZIP_WINDOW_BITS = 15 + 16,
    MEMORY_LEVEL = 8,
    STEP_BYTES = 16 << 10,
};

struct sp_gzip {
    z_stream stream;
};

struct sp_gunzip {
    z_stream stream;
};

/* zlib's input pointers are not const, though it never writes there. */
static void set_input(z_stream *stream, sp_str bytes) {
    union {
        const char *from;
        Bytef *to;
    } input = {.from = bytes.ptr};
    stream->next_in = input.to;
    stream->avail_in = (uInt)bytes.len;
}

struct sp_gzip *sp_gzip_new(void) {
    struct sp_gzip *gzip = calloc(1, sizeof(*gzip));
    if (gzip != NULL && deflateInit2(&gzip->stream, LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS,
                                     MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(gzip);
        return NULL;
    }
    return gzip;
}

void sp_gzip_free(struct sp_gzip *gzip) {
    if (gzip != NULL) {
        (void)deflateEnd(&gzip->stream);
        free(gzip);
    }
}

bool sp_gzip_add(struct sp_gzip *gzip, struct sp_buf *to, sp_str bytes) {
    z_stream *stream = &gzip->stream;
    uint8_t *out = bytes.len > 0 && bytes.len <= UINT32_MAX ? sp_buf_reserve(to, bytes.len) : NULL;
    if (out == NULL || deflateReset(stream) != Z_OK) {
        return false;
    }
    set_input(stream, bytes);
    stream->next_out = out;
    stream->avail_out = (uInt)(bytes.len - 1);
    if (deflate(stream, Z_FINISH) != Z_STREAM_END) {
        return false;
    }
    sp_buf_advance(to, bytes.len - 1 - stream->avail_out);
    return true;
}

struct sp_gunzip *sp_gunzip_new(void) {
    struct sp_gunzip *gunzip = calloc(1, sizeof(*gunzip));
    if (gunzip != NULL && inflateInit2(&gunzip->stream, GZIP_WINDOW_BITS) != Z_OK) {
        free(gunzip);
        return NULL;
    }
    return gunzip;
}

void sp_gunzip_free(struct sp_gunzip *gunzip) {
    if (gunzip != NULL) {
        (void)inflateEnd(&gunzip->stream);
        free(gunzip);
    }
}

enum sp_gunzip_result sp_gunzip_read(struct sp_gunzip *gunzip, sp_str bytes, struct sp_buf *to,
                                     size_t room, size_t *ret_used) {
    z_stream *stream = &gunzip->stream;
    int result = Z_OK;
    sp_require(bytes.len <= UINT32_MAX);
    set_input(stream, bytes);
    bool full = true;
    while (room > 0 && result == Z_OK && (stream->avail_in > 0 || full)) {
        size_t step = room < STEP_BYTES ? room : STEP_BYTES;
        uint8_t *out = sp_buf_reserve(to, step);
        if (out == NULL) {
            return SP_GUNZIP_NO_MEMORY;
        }
        stream->next_out = out;
        stream->avail_out = (uInt)step;
        result = inflate(stream, Z_NO_FLUSH);
        full = stream->avail_out == 0;
        sp_buf_advance(to, step - stream->avail_out);
        room -= step - stream->avail_out;
    }
    *ret_used = bytes.len - stream->avail_in;
    switch (result) {
    case Z_STREAM_END:
        return SP_GUNZIP_END;
    case Z_OK:
    case Z_BUF_ERROR: /* there is nothing to go on with */
        return SP_GUNZIP_MORE;
    case Z_MEM_ERROR:
        return SP_GUNZIP_NO_MEMORY;
    default:
        return SP_GUNZIP_BAD;
    }
}
