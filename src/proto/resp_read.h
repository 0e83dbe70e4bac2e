/*
 * Reading requests of the Redis protocol: arrays of bulk strings, and inline commands. pure
 *
 * The happy path: the caller gathers what the socket gives in one contiguous buffer and asks for
 * commands until the reader wants more. Nothing of a command is copied: its arguments are slices of
 * the buffer. A command that has come in part is resumed where it stopped, whatever the size of the
 * pieces; the buffer may move between two calls (it grows, or is shifted down), its bytes may not
 * change. How the bytes are cut into pieces never changes what is read.
 *
 *     size_t at = 0;
 *     for (;;) {
 *         enum sp_resp_result result = sp_resp_read(&reader, in + at, len - at, &limits, &command);
 *         at += command.consumed;                  (in every case)
 *         if (result != SP_RESP_COMMAND) break;    (MORE: read more, or ERROR: say it, hang up)
 *         ... command.args[0 .. command.argc - 1]
 *     }
 *
 * What is read as what, is decided as Redis decides it:
 *
 * - `*<n>\r\n` and n times `$<bytes>\r\n<bytes>\r\n`. The two bytes behind an argument are passed,
 *   not compared. Numbers have no leading zeros and no plus sign. `*0` and `*-1` are passed over.
 * - Anything that does not begin with `*` is one line, ended by a line feed, a carriage return
 *   before it dropped: words between white space; "..." with the escapes \n \r \t \b \a \xHH, and
 *   backslash with any other character for that character; '...' with \' alone. What follows a
 *   closing quote must be white space. A zero byte ends the line's text. Empty lines are passed
 *   over.
 *
 * Limits are stated with each read, for they change when a client has proved who it is. The array
 * of arguments grows as they come, never on the word of the count; the bytes of a whole command are
 * bounded by the caller's buffer alone. Cost: linear in the bytes, however they are cut.
 *
 * Threading: pure; one reader for one connection.
 */
#ifndef SP_PROTO_RESP_READ_H
#define SP_PROTO_RESP_READ_H

#include "base/buf.h"
#include "base/str.h"

enum {
    SP_RESP_PROBLEM_BYTES = 64,     /* the longest text of a protocol error */
    SP_RESP_LINE_BYTES_MAX = 65536, /* of the lines `*<n>` and `$<n>`, as in Redis */
};

struct sp_resp_limits {
    uint32_t args_max;         /* arguments of one command */
    uint32_t bulk_bytes_max;   /* bytes of one argument */
    uint32_t inline_bytes_max; /* bytes of an inline command's line */
    bool unauthenticated;      /* the error texts say that this is why the limits are low */
};

#define SP_RESP_LIMITS_DEFAULT                                                                     \
    ((struct sp_resp_limits){.args_max = 1 << 20,                                                  \
                             .bulk_bytes_max = 64 << 20,                                           \
                             .inline_bytes_max = 64 << 10,                                         \
                             .unauthenticated = false})

/* What Redis allows a client that has yet to authenticate. */
#define SP_RESP_LIMITS_UNAUTHENTICATED                                                             \
    ((struct sp_resp_limits){.args_max = 10,                                                       \
                             .bulk_bytes_max = 16 << 10,                                           \
                             .inline_bytes_max = 64 << 10,                                         \
                             .unauthenticated = true})

enum sp_resp_result {
    SP_RESP_COMMAND, /* argc >= 1 */
    SP_RESP_MORE,    /* `more` bytes at least are missing */
    SP_RESP_ERROR,   /* `problem`; the connection cannot be read any further */
};

/* What a read gives back. */
struct sp_resp_command {
    const sp_str *args; /* COMMAND: borrowed from the input, until it changes or the next read */
    uint32_t argc;
    size_t consumed; /* bytes at the start of the input that are done with: the caller drops them */
    size_t more;     /* MORE: read at least so many further bytes before the next call, >= 1 */
    sp_str problem;  /* ERROR: "Protocol error: ..." or "out of memory", as behind `-ERR ` */
};

/* The reader of one connection. All fields are its own. */
struct sp_resp_reader {
    sp_str *args;
    uint32_t args_capacity;
    uint32_t argc;       /* arguments that are complete */
    uint32_t args_left;  /* arguments of the array still to come; 0: at the start of a command */
    bool bulk_known;     /* the length of the argument at `at` has been read */
    uint32_t bulk_bytes; /* if so, this */
    size_t at;           /* everything before it has been read */
    size_t line_scanned; /* the end of a line has been looked for up to here */
    uintptr_t base;      /* where the input lay when it was read last */
    struct sp_buf words; /* inline arguments without their quotes */
    char problem[SP_RESP_PROBLEM_BYTES];
    uint32_t problem_len;
};

/* Makes a reader; nothing is allocated yet. */
void sp_resp_reader_init(struct sp_resp_reader *reader);

/* Frees what it allocated. */
void sp_resp_reader_fini(struct sp_resp_reader *reader);

/*
 * Reads one command from the start of the input, resuming what the reader knows of it. After
 * SP_RESP_MORE the next call begins with the same bytes but the consumed ones. After SP_RESP_ERROR
 * every further call gives the same error.
 */
enum sp_resp_result sp_resp_read(struct sp_resp_reader *reader, const char *bytes, size_t len,
                                 const struct sp_resp_limits *limits,
                                 struct sp_resp_command *ret_command);

#endif
