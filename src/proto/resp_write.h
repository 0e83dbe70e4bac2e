/*
 * Writing replies of the Redis protocol, RESP2 or RESP3, into a buffer. pure
 *
 * A writer knows which protocol its client speaks; what RESP2 has no type for is written as Redis
 * writes it there. Failure sticks in the buffer (SP_LIMIT, SP_NO_MEMORY): look at its status once
 * at the end. Nothing is flushed or shortened here: after a failure the reply is part written, and
 * the caller cuts the buffer back or hangs up. Each call costs O(bytes).
 *
 *     type              RESP2                     RESP3
 *     null              $-1                       _
 *     null array        *-1                       _
 *     map of n          *<2n>                     %<n>
 *     set               *<n>                      ~<n>
 *     push              *<n>                      ><n>
 *     double            bulk string               ,<number>
 *     boolean           :1 :0                     #t #f
 *     verbatim string   bulk string               =<n> txt:...
 */
#ifndef SP_PROTO_RESP_WRITE_H
#define SP_PROTO_RESP_WRITE_H

#include "base/buf.h"
#include "record/entry_id.h"

enum {
    SP_RESP_2 = 2,
    SP_RESP_3 = 3,
};

struct sp_resp {
    struct sp_buf *to; /* borrowed; may be changed between two replies */
    int version;       /* SP_RESP_2 or SP_RESP_3; may be changed between two replies */
};

enum {
    SP_DECIMAL_BYTES_MAX = 20,                     /* digits and sign of a 64-bit number */
    SP_RESP_HEAD_BYTES = SP_DECIMAL_BYTES_MAX + 3, /* a type, a number, the line's end */
};

/* Writes the decimal digits at `to`, which has room for 20, and returns their count. */
size_t sp_decimal_format(uint64_t value, char *to);

/* How many digits that are, 1 to 20. */
size_t sp_decimal_size(uint64_t value);

/* `+OK`: one line. Carriage returns and line feeds become spaces. */
void sp_resp_simple(struct sp_resp *resp, sp_str text);
void sp_resp_ok(struct sp_resp *resp);

/*
 * `-ERR no such key`: `code` is a word in capitals, such as "ERR" or "WRONGTYPE". Carriage returns
 * and line feeds in the text become spaces.
 */
void sp_resp_error(struct sp_resp *resp, const char *code, sp_str text);

void sp_resp_integer(struct sp_resp *resp, int64_t value);
/* Integers have 63 bits and a sign, and clients hang up on more: beyond, the greatest. */
void sp_resp_unsigned(struct sp_resp *resp, uint64_t value);

/* A bulk string of any bytes. */
void sp_resp_bulk(struct sp_resp *resp, sp_str bytes);

/* A bulk string of a NUL-terminated text. */
void sp_resp_bulk_text(struct sp_resp *resp, const char *text);

/* A bulk string of two parts, one behind the other. */
void sp_resp_bulk_parts(struct sp_resp *resp, sp_str first, sp_str second);

/* A bulk string of decimal digits: the counts of XPENDING. */
void sp_resp_bulk_unsigned(struct sp_resp *resp, uint64_t value);

/* The bulk string `<ms>-<seq>`. */
void sp_resp_id(struct sp_resp *resp, struct sp_entry_id id);

/*
 * A bulk string whose length is known and whose bytes are not: writes everything around them and
 * returns where they go, or NULL after a failure. The caller fills in exactly `len` bytes before
 * the next call.
 */
char *sp_resp_bulk_room(struct sp_resp *resp, size_t len);

void sp_resp_null(struct sp_resp *resp);
void sp_resp_null_array(struct sp_resp *resp);

/* Headers; the elements follow. Of a map `pairs` keys, each with its value behind it. */
void sp_resp_array(struct sp_resp *resp, uint64_t count);
void sp_resp_map(struct sp_resp *resp, uint64_t pairs);
void sp_resp_set(struct sp_resp *resp, uint64_t count);
void sp_resp_push(struct sp_resp *resp, uint64_t count);

/* The shortest text that reads as the same number; `inf`, `-inf` and `nan`. */
void sp_resp_double(struct sp_resp *resp, double value);
void sp_resp_boolean(struct sp_resp *resp, bool value);

/* `format` has three letters: "txt" or "mkd". */
void sp_resp_verbatim(struct sp_resp *resp, const char *format, sp_str text);

/* An array, map or bulk string whose count or length is known when its content has been written. */
struct sp_resp_open {
    size_t at;          /* where its header stands in the buffer */
    uint32_t head_size; /* bytes left for it */
    bool is_map;
};

/*
 * Begins one. `expected` is a guess of the count, any will do: where the true count has as many
 * digits, ending it costs nothing, else the elements are moved by the difference.
 */
struct sp_resp_open sp_resp_open_array(struct sp_resp *resp, uint64_t expected);
struct sp_resp_open sp_resp_open_map(struct sp_resp *resp, uint64_t expected_pairs);

/* Ends the array or map begun last: `count` elements, of a map pairs. */
void sp_resp_close(struct sp_resp *resp, struct sp_resp_open open, uint64_t count);

/* A bulk string of everything that is appended to the buffer until it is ended. */
struct sp_resp_open sp_resp_open_bulk(struct sp_resp *resp, size_t expected_len);
void sp_resp_close_bulk(struct sp_resp *resp, struct sp_resp_open open);

/* Takes back what was written since it was begun, its header included. */
void sp_resp_drop(struct sp_resp *resp, struct sp_resp_open open);

#endif
