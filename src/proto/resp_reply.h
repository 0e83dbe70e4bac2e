/*
 * Reading replies of the Redis protocol, RESP2 and RESP3, as a client gets them. pure
 *
 * The happy path is that of resp_read.h: bytes gather in one contiguous buffer, and the reader is
 * asked until it wants more. A reply is a tree, given as its nodes in the order of the text, each
 * before its children; nothing is copied, texts are slices of the buffer. A reply that has come in
 * part is resumed where it stopped; the buffer may move between two calls, its bytes may not
 * change. How the bytes are cut into pieces never changes what is read.
 *
 *     size_t at = 0;
 *     while (sp_reply_read(&reader, in + at, len - at, &reply) == SP_REPLY_WHOLE) {
 *         at += reply.consumed;
 *         ... reply.nodes[0] is the reply, reply.nodes[1] its first child
 *     }
 *
 * Refused as a protocol error: an unknown first byte, a number that is none, a line beyond
 * SP_REPLY_LINE_BYTES_MAX, nesting beyond SP_REPLY_DEPTH_MAX, more than SP_REPLY_NODES_MAX nodes, a
 * bulk string beyond SP_REPLY_BULK_BYTES_MAX, streamed strings and aggregates (`$?`), which no
 * server of this protocol sends. Cost: linear in the bytes.
 *
 * Threading: pure; one reader for one connection.
 */
#ifndef SP_PROTO_RESP_REPLY_H
#define SP_PROTO_RESP_REPLY_H

#include "base/buf.h"
#include "base/str.h"

enum {
    SP_REPLY_DEPTH_MAX = 16,
    SP_REPLY_LINE_BYTES_MAX = 64 << 10,
    SP_REPLY_NODES_MAX = 1 << 24,
    SP_REPLY_BULK_BYTES_MAX = 1 << 30,
};

enum sp_reply_kind {
    SP_REPLY_TEXT,    /* + $ = ( , : `text` */
    SP_REPLY_INTEGER, /* : and #, which is 0 or 1: `integer`; `text` as it was written */
    SP_REPLY_NULL,    /* _ $-1 *-1 */
    SP_REPLY_FAILURE, /* - and !: `text` with its code */
    SP_REPLY_ARRAY,   /* * ~, and % with keys and values in turn: `count` */
    SP_REPLY_PUSH,    /* > */
};

struct sp_reply_node {
    enum sp_reply_kind kind;
    uint32_t count;  /* ARRAY, PUSH: children */
    uint32_t span;   /* nodes of this one and all beneath it: the next sibling is so far away */
    int64_t integer; /* INTEGER */
    sp_str text;     /* borrowed from the input; never a NULL ptr where there is one */
};

enum sp_reply_result {
    SP_REPLY_WHOLE,
    SP_REPLY_MORE,
    SP_REPLY_BROKEN, /* `problem`; the connection cannot be read any further */
};

struct sp_reply {
    const struct sp_reply_node *nodes; /* WHOLE: borrowed until the next read */
    uint32_t node_count;
    size_t consumed; /* WHOLE: bytes of the reply; else 0 */
    const char *problem;
};

/* All fields are its own. */
struct sp_reply_reader {
    struct sp_buf nodes; /* of struct sp_reply_node, texts as offsets until the reply is whole */
    size_t at;           /* everything before it has been read */
    size_t scanned;      /* no line ends before it */
    uint32_t depth;
    struct {
        uint32_t node;
        uint32_t left; /* children still to come */
    } open[SP_REPLY_DEPTH_MAX];
    const char *problem;
};

void sp_reply_reader_init(struct sp_reply_reader *reader);
void sp_reply_reader_fini(struct sp_reply_reader *reader);

/*
 * Reads one reply from the start of the input, resuming what the reader knows of it. After MORE the
 * next call begins with the same bytes; after BROKEN every call says the same.
 */
enum sp_reply_result sp_reply_read(struct sp_reply_reader *reader, const char *bytes, size_t len,
                                   struct sp_reply *ret_reply);

/* The first child, and the one behind a node; the caller knows how many there are. */
static inline const struct sp_reply_node *sp_reply_child(const struct sp_reply_node *node) {
    return node + 1;
}
static inline const struct sp_reply_node *sp_reply_next(const struct sp_reply_node *node) {
    return node + node->span;
}

/*
 * The value behind a key in an array of keys and values in turn, as a map is read; NULL where
 * there is none.
 */
const struct sp_reply_node *sp_reply_find(const struct sp_reply_node *map, const char *key);

#endif
