#include "cli/out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <zstd.h>

#include "base/assert.h"
#include "base/json.h"

enum { COLUMNS_DEFAULT = 80, COLUMNS_MIN = 40, COLUMNS_MAX = 1000, COMPRESSION_LEVEL = 3 };

struct sp_out_zstd {
    ZSTD_CCtx *context;
    size_t capacity;
    uint8_t bytes[];
};

static unsigned terminal_columns(int fd) {
    struct winsize size = {.ws_col = 0};
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return COLUMNS_DEFAULT;
    }
    unsigned columns = size.ws_col;
    return columns < COLUMNS_MIN ? COLUMNS_MIN : columns > COLUMNS_MAX ? COLUMNS_MAX : columns;
}

void sp_out_init(struct sp_out *out, int fd, bool wants_colour) {
    bool is_terminal = isatty(fd) == 1;
    *out = (struct sp_out){
        .fd = fd,
        .is_terminal = is_terminal,
        .has_colour = is_terminal && wants_colour,
        .columns = is_terminal ? terminal_columns(fd) : COLUMNS_DEFAULT,
    };
    sp_buf_init(&out->buf, SIZE_MAX);
}

sp_status sp_out_compress(struct sp_out *out, struct sp_error *error) {
    sp_require(out->zstd == NULL && out->buf.len == 0);
    size_t capacity = ZSTD_CStreamOutSize();
    struct sp_out_zstd *zstd = malloc(sizeof(*zstd) + capacity);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (zstd == NULL || context == NULL) {
        free(zstd);
        (void)ZSTD_freeCCtx(context);
        return sp_error_set(error, SP_NO_MEMORY, "no memory to compress");
    }
    (void)ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, COMPRESSION_LEVEL);
    (void)ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    zstd->context = context;
    zstd->capacity = capacity;
    out->zstd = zstd;
    return SP_OK;
}

static void write_bytes(struct sp_out *out, const uint8_t *bytes, size_t len) {
    while (len > 0 && !sp_out_is_over(out)) {
        ssize_t written = write(out->fd, bytes, len);
        if (written >= 0) {
            bytes += written;
            len -= (size_t)written;
        } else if (errno == EPIPE) {
            out->reader_gone = true;
        } else if (errno != EINTR) {
            char text[128];
            (void)sp_error_set_os(&out->error, errno == ENOSPC ? SP_NO_SPACE : SP_IO, errno,
                                  "write the output: %s", strerror_r(errno, text, sizeof(text)));
        }
    }
}

static void compress_bytes(struct sp_out *out, bool is_last) {
    ZSTD_inBuffer in = {.src = out->buf.data, .size = out->buf.len};
    size_t left = 1;
    while (!sp_out_is_over(out) && (is_last ? left > 0 : in.pos < in.size)) {
        ZSTD_outBuffer to = {.dst = out->zstd->bytes, .size = out->zstd->capacity};
        left = ZSTD_compressStream2(out->zstd->context, &to, &in,
                                    is_last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left)) {
            (void)sp_error_set(&out->error, SP_FAILED, "compress: %s", ZSTD_getErrorName(left));
            return;
        }
        write_bytes(out, out->zstd->bytes, to.pos);
    }
}

static void flush(struct sp_out *out, bool is_last) {
    if (out->buf.status != SP_OK && out->error.status == SP_OK) {
        (void)sp_error_set(&out->error, out->buf.status, "no memory for the output");
    }
    if (out->zstd != NULL) {
        compress_bytes(out, is_last);
    } else {
        write_bytes(out, out->buf.data, out->buf.len);
    }
    sp_buf_reset(&out->buf);
}

void sp_out_flush(struct sp_out *out) {
    flush(out, false);
}

sp_status sp_out_fini(struct sp_out *out, struct sp_error *error) {
    flush(out, true);
    sp_buf_fini(&out->buf);
    if (out->zstd != NULL) {
        (void)ZSTD_freeCCtx(out->zstd->context);
        free(out->zstd);
        out->zstd = NULL;
    }
    if (out->error.status != SP_OK && error != NULL) {
        *error = out->error;
    }
    return out->error.status;
}

void sp_out_print(struct sp_out *out, const char *format, ...) {
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    sp_ensure(len >= 0);
    uint8_t *at = sp_buf_reserve(&out->buf, (size_t)len + 1);
    if (at != NULL) {
        (void)vsnprintf((char *)at, (size_t)len + 1, format, again);
        sp_buf_advance(&out->buf, (size_t)len);
    }
    va_end(again);
}

static void json_name(struct sp_out *out, const char *name) {
    struct sp_buf *buf = &out->buf;
    bool is_first = buf->len > 0 && buf->data[buf->len - 1] == '{';
    if (!is_first) {
        sp_buf_add_byte(buf, ',');
    }
    sp_json_add_string(buf, sp_str_from(name));
    sp_buf_add_byte(buf, ':');
}

void sp_out_json_text(struct sp_out *out, const char *name, sp_str text) {
    json_name(out, name);
    if (text.ptr == NULL) {
        sp_buf_add_str(&out->buf, SP_STR("null"));
    } else {
        sp_json_add_string(&out->buf, text);
    }
}

void sp_out_json_u64(struct sp_out *out, const char *name, uint64_t value) {
    json_name(out, name);
    sp_buf_add_u64(&out->buf, value);
}
