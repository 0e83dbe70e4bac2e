/*
 * The lines of a file or of stdin, plain or compressed with zstd. loop-thread
 *
 * What it is, is told by the first bytes, whatever the name. Lines may be of any length up to
 * SP_LINES_BYTES_MAX; a longer one is passed over and reported. Memory grows with the longest line
 * only.
 */
#ifndef SP_CLI_LINES_H
#define SP_CLI_LINES_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "cli/interrupt.h"

#define SP_LINES_BYTES_MAX ((size_t)128 << 20)

struct sp_lines_zstd;

/* What there is to do while no input comes. Returns after how many milliseconds to call again. */
typedef int sp_lines_idle_fn(void *context);

struct sp_lines {
    int fd;
    struct sp_interrupt *interrupt; /* ends the reading; may be NULL */
    sp_lines_idle_fn *idle;         /* called before and while waiting for input; may be NULL */
    void *idle_context;
    struct sp_lines_zstd *zstd; /* NULL: plain */
    struct sp_buf buf;          /* text read and not yet given, from `start` on */
    size_t start;
    size_t searched;      /* bytes from `start` that hold no newline */
    bool began;           /* the kind of file is known */
    bool ended;           /* nothing more to read */
    uint64_t number;      /* of the line given last, from 1 */
    uint64_t bytes_read;  /* of the file, as stored */
    uint64_t bytes_total; /* of the file; 0 where that is not known */
};

/* Opens a file, or stdin for "-". */
SP_WARN_UNUSED sp_status sp_lines_open(struct sp_lines *lines, const char *path,
                                       struct sp_interrupt *interrupt, struct sp_error *error);

/*
 * The next line without its newline, valid until the next call. SP_END after the last one. SP_LIMIT
 * for a line that is too long: the next call goes on behind it. SP_CANCELLED where a signal came.
 * SP_IO, and SP_INVALID for damaged or cut compression, end the reading; whole lines before were
 * given.
 */
SP_WARN_UNUSED sp_status sp_lines_next(struct sp_lines *lines, sp_str *ret_line,
                                       struct sp_error *error);

void sp_lines_close(struct sp_lines *lines);

#endif
