#include "cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>

#include "base/assert.h"

enum { READ_BYTES = 256 * 1024, MAGIC_BYTES = 4 };

struct sp_lines_zstd {
    ZSTD_DCtx *context;
    ZSTD_inBuffer in;
    size_t wanted; /* what the decoder hopes for; 0 at the end of a frame */
    bool full;     /* it may have more to give without more input */
    uint8_t bytes[READ_BYTES];
};

static sp_status fail_os(struct sp_error *error, const char *what) {
    char text[128];
    int number = errno;
    sp_status status = number == ENOENT ? SP_NOT_FOUND : SP_IO;
    return sp_error_set_os(error, status, number, "%s: %s", what,
                           strerror_r(number, text, sizeof(text)));
}

sp_status sp_lines_open(struct sp_lines *lines, const char *path, struct sp_interrupt *interrupt,
                        struct sp_error *error) {
    *lines = (struct sp_lines){.fd = STDIN_FILENO, .interrupt = interrupt};
    sp_buf_init(&lines->buf, SP_LINES_BYTES_MAX + 2 * READ_BYTES);
    if (strcmp(path, "-") == 0) {
        return SP_OK;
    }
    lines->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (lines->fd < 0) {
        return fail_os(error, path);
    }
    struct stat stat;
    if (fstat(lines->fd, &stat) == 0 && S_ISREG(stat.st_mode)) {
        lines->bytes_total = (uint64_t)stat.st_size;
    }
    return SP_OK;
}

void sp_lines_close(struct sp_lines *lines) {
    if (lines->fd > STDIN_FILENO) {
        (void)close(lines->fd);
    }
    if (lines->zstd != NULL) {
        (void)ZSTD_freeDCtx(lines->zstd->context);
        free(lines->zstd);
    }
    sp_buf_fini(&lines->buf);
    *lines = (struct sp_lines){.fd = -1};
}

/* Waits for input, and does meanwhile what else there is to do. False where a signal came. */
static bool await_input(struct sp_lines *lines) {
    int timeout_ms = 0;
    for (;;) {
        switch (sp_interrupt_wait(lines->interrupt, lines->fd, timeout_ms)) {
        case SP_INTERRUPT_READY:
            return true;
        case SP_INTERRUPT_CAME:
            return false;
        case SP_INTERRUPT_TIMEOUT:
            timeout_ms = lines->idle != NULL ? lines->idle(lines->idle_context) : -1;
            break;
        }
    }
}

/* Reads some bytes of the file. *ret_len 0 at its end. */
static sp_status read_some(struct sp_lines *lines, uint8_t *to, size_t len, size_t *ret_len,
                           struct sp_error *error) {
    if (lines->interrupt != NULL && !await_input(lines)) {
        return SP_CANCELLED;
    }
    for (;;) {
        ssize_t count = read(lines->fd, to, len);
        if (count >= 0) {
            lines->bytes_read += (uint64_t)count;
            *ret_len = (size_t)count;
            return SP_OK;
        }
        if (errno != EINTR) {
            return fail_os(error, "read");
        }
    }
}

static sp_status no_memory(struct sp_error *error) {
    return sp_error_set(error, SP_NO_MEMORY, "no memory to read lines");
}

static sp_status fill_plain(struct sp_lines *lines, struct sp_error *error) {
    uint8_t *at = sp_buf_reserve(&lines->buf, READ_BYTES);
    if (at == NULL) {
        return no_memory(error);
    }
    size_t len = 0;
    sp_status status = read_some(lines, at, READ_BYTES, &len, error);
    if (status == SP_OK) {
        sp_buf_advance(&lines->buf, len);
        lines->ended = len == 0;
    }
    return status;
}

static sp_status fill_zstd(struct sp_lines *lines, struct sp_error *error) {
    struct sp_lines_zstd *zstd = lines->zstd;
    if (zstd->in.pos == zstd->in.size && !zstd->full) {
        size_t len = 0;
        sp_status status = read_some(lines, zstd->bytes, READ_BYTES, &len, error);
        if (status != SP_OK) {
            return status;
        }
        zstd->in = (ZSTD_inBuffer){.src = zstd->bytes, .size = len};
        if (len == 0) {
            lines->ended = true;
            return zstd->wanted == 0
                       ? SP_OK
                       : sp_error_set(error, SP_INVALID, "the compressed file ends too early");
        }
    }
    uint8_t *at = sp_buf_reserve(&lines->buf, READ_BYTES);
    if (at == NULL) {
        return no_memory(error);
    }
    ZSTD_outBuffer out = {.dst = at, .size = READ_BYTES};
    zstd->wanted = ZSTD_decompressStream(zstd->context, &out, &zstd->in);
    if (ZSTD_isError(zstd->wanted)) {
        lines->ended = true;
        return sp_error_set_at(error, SP_INVALID, lines->bytes_read, "damaged compression: %s",
                               ZSTD_getErrorName(zstd->wanted));
    }
    zstd->full = out.pos == out.size && zstd->wanted != 0;
    sp_buf_advance(&lines->buf, out.pos);
    return SP_OK;
}

/* Takes what was read of a file that has turned out to be compressed as the decoder's input. */
static sp_status begin_zstd(struct sp_lines *lines, struct sp_error *error) {
    struct sp_lines_zstd *zstd = malloc(sizeof(*zstd));
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (zstd == NULL || context == NULL) {
        free(zstd);
        (void)ZSTD_freeDCtx(context);
        return no_memory(error);
    }
    sp_invariant(lines->buf.len <= READ_BYTES);
    zstd->context = context;
    zstd->wanted = 1;
    zstd->full = false;
    memcpy(zstd->bytes, lines->buf.data, lines->buf.len);
    zstd->in = (ZSTD_inBuffer){.src = zstd->bytes, .size = lines->buf.len};
    sp_buf_reset(&lines->buf);
    lines->zstd = zstd;
    lines->ended = false;
    return SP_OK;
}

/* Reads the first bytes, however slowly they come, and decides what the file is. */
static sp_status begin(struct sp_lines *lines, struct sp_error *error) {
    static const uint8_t ZSTD_MAGIC[MAGIC_BYTES] = {0x28, 0xb5, 0x2f, 0xfd};
    static const uint8_t BYTE_ORDER_MARK[3] = {0xef, 0xbb, 0xbf};
    while (!lines->ended && lines->buf.len < MAGIC_BYTES) {
        size_t len = 0;
        uint8_t *at = sp_buf_reserve(&lines->buf, READ_BYTES);
        if (at == NULL) {
            return no_memory(error);
        }
        sp_status status = read_some(lines, at, READ_BYTES - lines->buf.len, &len, error);
        if (status != SP_OK) {
            return status;
        }
        sp_buf_advance(&lines->buf, len);
        lines->ended = len == 0;
    }
    lines->began = true;
    if (lines->buf.len >= MAGIC_BYTES && memcmp(lines->buf.data, ZSTD_MAGIC, MAGIC_BYTES) == 0) {
        return begin_zstd(lines, error);
    }
    if (lines->buf.len >= 3 && memcmp(lines->buf.data, BYTE_ORDER_MARK, 3) == 0) {
        lines->start = 3;
    }
    return SP_OK;
}

static sp_status fill(struct sp_lines *lines, struct sp_error *error) {
    if (lines->start > 0) {
        memmove(lines->buf.data, lines->buf.data + lines->start, lines->buf.len - lines->start);
        lines->buf.len -= lines->start;
        lines->start = 0;
    }
    return lines->zstd != NULL ? fill_zstd(lines, error) : fill_plain(lines, error);
}

/* Forgets a line that is too long, up to and with its newline. */
static sp_status skip_line(struct sp_lines *lines, struct sp_error *error) {
    for (;;) {
        sp_buf_reset(&lines->buf);
        lines->start = 0;
        lines->searched = 0;
        sp_status status = lines->ended ? SP_OK : fill(lines, error);
        if (status != SP_OK) {
            return status;
        }
        const uint8_t *newline =
            lines->buf.len == 0 ? NULL : memchr(lines->buf.data, '\n', lines->buf.len);
        if (newline != NULL || lines->ended) {
            lines->start =
                newline == NULL ? lines->buf.len : (size_t)(newline - lines->buf.data) + 1;
            return sp_error_set(error, SP_LIMIT, "the line is longer than %zu bytes",
                                SP_LINES_BYTES_MAX);
        }
    }
}

static void give(struct sp_lines *lines, size_t len, sp_str *ret_line) {
    lines->number++;
    *ret_line = sp_str_of(lines->buf.data + lines->start, len);
    lines->start += len;
    lines->searched = 0;
}

sp_status sp_lines_next(struct sp_lines *lines, sp_str *ret_line, struct sp_error *error) {
    sp_status status = lines->began ? SP_OK : begin(lines, error);
    while (status == SP_OK) {
        const uint8_t *from = lines->buf.data + lines->start;
        size_t have = lines->buf.len - lines->start;
        const uint8_t *newline = have == lines->searched
                                     ? NULL
                                     : memchr(from + lines->searched, '\n', have - lines->searched);
        if (newline != NULL) {
            give(lines, (size_t)(newline - from), ret_line);
            lines->start++;
            return SP_OK;
        }
        lines->searched = have;
        if (lines->ended) {
            if (have == 0) {
                return SP_END;
            }
            give(lines, have, ret_line);
            return SP_OK;
        }
        if (have > SP_LINES_BYTES_MAX) {
            lines->number++;
            return skip_line(lines, error);
        }
        status = fill(lines, error);
    }
    return status;
}
