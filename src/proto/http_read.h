/*
 * Reads HTTP/1.1 and HTTP/1.0 requests from bytes, without sockets. pure
 *
 * The one place that knows libhttp-parser. A head is read when all of it is there: its slices point
 * into the bytes that were given, nothing is copied. A body of known length is counted by the
 * caller; a chunked one is taken apart by sp_http_chunks.
 *
 * Strict where leniency lets requests be smuggled: both Content-Length and Transfer-Encoding, two
 * lengths, any transfer coding but chunked, a header name before a blank are refused.
 *
 * Limits: a head SP_HTTP_HEAD_BYTES_MAX bytes (431), SP_HTTP_HEADERS_MAX headers (431), a target
 * SP_HTTP_TARGET_BYTES_MAX bytes (414).
 */
#ifndef SP_PROTO_HTTP_READ_H
#define SP_PROTO_HTTP_READ_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

enum {
    SP_HTTP_HEAD_BYTES_MAX = 64 << 10,
    SP_HTTP_HEADERS_MAX = 100,
    SP_HTTP_TARGET_BYTES_MAX = 8 << 10,
    SP_HTTP_FAULT_TEXT_SIZE = 160,
};

/* One bit each, so that sets of them can be had. */
enum sp_http_method {
    SP_HTTP_GET = 1,
    SP_HTTP_HEAD = 2,
    SP_HTTP_POST = 4,
    SP_HTTP_PUT = 8,
    SP_HTTP_DELETE = 16,
    SP_HTTP_PATCH = 32,
    SP_HTTP_OPTIONS = 64,
    SP_HTTP_OTHER = 128, /* a method that exists and that no route has */
};

/* A name with its value: a header, or a parameter of the query. */
struct sp_http_pair {
    sp_str name;
    sp_str value;
};

struct sp_http_head {
    enum sp_http_method method;
    sp_str method_text;
    sp_str target;  /* as sent */
    sp_str path;    /* of it, not decoded: begins with a slash, or is `*` */
    sp_str query;   /* of it, behind the question mark, not decoded */
    uint32_t minor; /* of HTTP/1.x: 0 or 1 */
    bool keep_alive;
    bool chunked;
    bool upgrade;            /* Connection: upgrade with an Upgrade header */
    bool expects_continue;   /* Expect: 100-continue */
    uint64_t content_length; /* 0 where there is none */
    size_t bytes;            /* of the head, the empty line included */
    uint32_t header_count;
    struct sp_http_pair *headers; /* the caller's; values without blanks around them */
};

/* Why a request cannot be read. The connection is to be closed after saying so. */
struct sp_http_fault {
    int status; /* 400, 413, 414, 417, 431, 501 or 505 */
    char text[SP_HTTP_FAULT_TEXT_SIZE];
};

enum sp_http_result {
    SP_HTTP_READ_MORE, /* it is not all there */
    SP_HTTP_READ_WHOLE,
    SP_HTTP_READ_ERROR, /* the fault says what is wrong */
};

/*
 * Reads the head at the start of the bytes. *scanned is where the last call on a beginning of the
 * same bytes left off, 0 at first, and 0 again after anything but SP_HTTP_READ_MORE: with it each
 * byte is looked at once while the head is not whole. Of SP_HTTP_READ_WHOLE *ret_head holds, with
 * slices of `bytes`. `room` has place for SP_HTTP_HEADERS_MAX headers, and lasts as long.
 */
enum sp_http_result sp_http_read_head(const char *bytes, size_t len, size_t *scanned,
                                      struct sp_http_pair *room, struct sp_http_head *ret_head,
                                      struct sp_http_fault *fault);

/* The value of a header, its name in any case; *ret_value untouched and false where it is absent.
 * Of several the first. */
SP_WARN_UNUSED bool sp_http_find(const struct sp_http_pair *headers, uint32_t count, sp_str name,
                                 sp_str *ret_value);

/* True where a header that is a list between commas has the word, in any case. */
bool sp_http_list_has(sp_str list, sp_str word);

/*
 * The weight (RFC 9110, 12.4.2) in thousandths that a list such as Accept gives the word, 1000
 * where it names it without one; -1 where it does not name it. Parameters but q do not count.
 */
int sp_http_weight(sp_str list, sp_str word);

/* True where the texts differ in nothing but the case of ASCII letters. */
bool sp_http_same(sp_str a, sp_str b);

/*
 * Appends a part of a target with its percent-escapes resolved; `plus` also reads + as a blank, as
 * queries have it. SP_INVALID where an escape is none or what comes out is not UTF-8: the error
 * names it. Nothing is appended then.
 */
SP_WARN_UNUSED sp_status sp_http_decode(struct sp_buf *to, sp_str text, bool plus,
                                        struct sp_error *error);

/* ---- chunked bodies ---- */

struct sp_http_chunks;

/* Reads the body behind this head, which is chunked. NULL where memory is out. */
struct sp_http_chunks *sp_http_chunks_new(void);
void sp_http_chunks_free(struct sp_http_chunks *chunks); /* NULL is fine */

/*
 * Takes bytes of the body and appends what they hold to `to`, which may fail (sp_buf.status).
 * *ret_used says how many were taken: all of them but where the body ends (SP_HTTP_READ_WHOLE).
 * Trailers are read and forgotten.
 */
enum sp_http_result sp_http_chunks_read(struct sp_http_chunks *chunks, const char *bytes,
                                        size_t len, struct sp_buf *to, size_t *ret_used,
                                        struct sp_http_fault *fault);

#endif
