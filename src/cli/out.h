/*
 * What goes to stdout or to a file: buffered, optionally compressed, quiet when the reader has
 * gone. loop-thread
 *
 * Failure is sticky, as in sp_buf: what is written after it goes nowhere, and the command asks once
 * at the end. A reader that closed its end of a pipe has seen enough: that is no failure, and
 * sp_out_is_over tells a command that it may stop.
 */
#ifndef SP_CLI_OUT_H
#define SP_CLI_OUT_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

struct sp_out_zstd;

struct sp_out {
    int fd;
    struct sp_buf buf;        /* not yet written; commands append to it directly */
    struct sp_out_zstd *zstd; /* compresses on the way; NULL: as it is */
    bool is_terminal;
    bool has_colour;
    bool reader_gone;
    unsigned columns;      /* of the terminal; 80 where it is none */
    struct sp_error error; /* the first failure */
};

/* Writes to a descriptor, which stays the caller's. wants_colour counts on a terminal only. */
void sp_out_init(struct sp_out *out, int fd, bool wants_colour);

/* Compresses everything from here on. Before the first byte; SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_out_compress(struct sp_out *out, struct sp_error *error);

/* Writes what has gathered, if it is much. After each line or event. */
static inline void sp_out_line_end(struct sp_out *out);

/* Writes what has gathered. */
void sp_out_flush(struct sp_out *out);

/* True where there is no sense in going on: the reader has gone, or writing failed. */
static inline bool sp_out_is_over(const struct sp_out *out) {
    return out->reader_gone || out->error.status != SP_OK;
}

/* Writes the rest and says how it all went; frees. The descriptor stays open. */
SP_WARN_UNUSED sp_status sp_out_fini(struct sp_out *out, struct sp_error *error);

/* Appends formatted text. */
void sp_out_print(struct sp_out *out, const char *format, ...) SP_PRINTF(2, 3);

/* Appends a member of a JSON object, with a comma where it is not the first: `"name":"text"`. */
void sp_out_json_text(struct sp_out *out, const char *name, sp_str text);
void sp_out_json_u64(struct sp_out *out, const char *name, uint64_t value);

enum { SP_OUT_FLUSH_BYTES = 64 * 1024 };

static inline void sp_out_line_end(struct sp_out *out) {
    if (out->buf.len >= SP_OUT_FLUSH_BYTES) {
        sp_out_flush(out);
    }
}

#endif
