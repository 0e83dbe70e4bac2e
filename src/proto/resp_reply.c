/*
 * One value after another, with a stack of the aggregates that are open. A value that has not come
 * whole is read again from its start: that is a line, and of a bulk string only its head.
 */
#include "proto/resp_reply.h"

#include <string.h>

#include "base/assert.h"

enum { NODES_KEPT_BYTES_MAX = 1 << 20 };

void sp_reply_reader_init(struct sp_reply_reader *reader) {
    memset(reader, 0, sizeof(*reader));
    sp_buf_init(&reader->nodes, (size_t)SP_REPLY_NODES_MAX * sizeof(struct sp_reply_node));
}

void sp_reply_reader_fini(struct sp_reply_reader *reader) {
    sp_buf_fini(&reader->nodes);
    memset(reader, 0, sizeof(*reader));
}

/* One read at work. */
struct reading {
    struct sp_reply_reader *reader;
    const char *bytes;
    size_t len;
};

static enum sp_reply_result fail(struct reading *r, const char *problem) {
    r->reader->problem = problem;
    return SP_REPLY_BROKEN;
}

static struct sp_reply_node *nodes_of(struct sp_reply_reader *reader) {
    return (void *)reader->nodes.data;
}

static uint32_t node_count(const struct sp_reply_reader *reader) {
    return (uint32_t)(reader->nodes.len / sizeof(struct sp_reply_node));
}

/* The line at reader->at without its end; *ret_next stands behind that. */
static enum sp_reply_result take_line(struct reading *r, sp_str *ret_line, size_t *ret_next) {
    struct sp_reply_reader *reader = r->reader;
    size_t from = reader->scanned > reader->at ? reader->scanned : reader->at;
    const char *found = r->len > from ? memchr(r->bytes + from, '\n', r->len - from) : NULL;
    size_t end = found != NULL ? (size_t)(found - r->bytes) : r->len;
    if (end - reader->at > SP_REPLY_LINE_BYTES_MAX) {
        return fail(r, "a line is too long");
    }
    reader->scanned = end;
    if (found == NULL) {
        return SP_REPLY_MORE;
    }
    if (end == reader->at || r->bytes[end - 1] != '\r') {
        return fail(r, "a line does not end as it should");
    }
    *ret_line = sp_str_of(r->bytes + reader->at, end - 1 - reader->at);
    *ret_next = end + 1;
    return SP_REPLY_WHOLE;
}

/* Digits with a sign or not, 64 bits. */
static bool read_number(sp_str text, int64_t *ret_value) {
    bool negative = text.len > 0 && text.ptr[0] == '-';
    size_t at = text.len > 0 && (negative || text.ptr[0] == '+');
    uint64_t value = 0;
    if (at == text.len) {
        return false;
    }
    for (; at < text.len; at++) {
        uint64_t digit = (uint64_t)(uint8_t)text.ptr[at] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (value > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    *ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* Adds a node whose text is at an offset, and moves behind the value. */
static enum sp_reply_result add(struct reading *r, struct sp_reply_node node, size_t text_at,
                                size_t next) {
    struct sp_reply_reader *reader = r->reader;
    node.text.ptr = (const char *)text_at; /* made a pointer when the reply is whole */
    node.span = 1;
    sp_buf_add(&reader->nodes, &node, sizeof(node));
    if (reader->nodes.status != SP_OK) {
        return fail(r, "a reply has too many parts");
    }
    reader->at = next;
    return SP_REPLY_WHOLE;
}

static enum sp_reply_result add_null(struct reading *r, size_t next) {
    return add(r, (struct sp_reply_node){.kind = SP_REPLY_NULL}, 0, next);
}

/* $, = and !: the bytes stand behind the line. */
static enum sp_reply_result add_bulk(struct reading *r, char type, int64_t length, size_t next) {
    enum { FORMAT_BYTES = 4 }; /* of a verbatim string: `txt:` */
    if (length == -1 && type == '$') {
        return add_null(r, next);
    }
    if (length < 0 || length > SP_REPLY_BULK_BYTES_MAX) {
        return fail(r, "the length of a bulk string is out of range");
    }
    size_t size = (size_t)length;
    if (r->len - next < size + 2) {
        return SP_REPLY_MORE;
    }
    if (memcmp(r->bytes + next + size, "\r\n", 2) != 0) {
        return fail(r, "a bulk string does not end where it should");
    }
    size_t skipped = type == '=' && size >= FORMAT_BYTES ? FORMAT_BYTES : 0;
    struct sp_reply_node node = {.kind = type == '!' ? SP_REPLY_FAILURE : SP_REPLY_TEXT,
                                 .text.len = size - skipped};
    return add(r, node, next + skipped, next + size + 2);
}

/* * ~ > and %: as many values follow. */
static enum sp_reply_result add_aggregate(struct reading *r, char type, int64_t count,
                                          size_t next) {
    struct sp_reply_reader *reader = r->reader;
    if (count == -1 && type == '*') {
        return add_null(r, next);
    }
    int64_t most = SP_REPLY_NODES_MAX / (type == '%' ? 2 : 1);
    if (count < 0 || count > most) {
        return fail(r, "the size of an array is out of range");
    }
    if (reader->depth == SP_REPLY_DEPTH_MAX) {
        return fail(r, "a reply is nested too deeply");
    }
    uint32_t children = (uint32_t)(type == '%' ? 2 * count : count);
    struct sp_reply_node node = {.kind = type == '>' ? SP_REPLY_PUSH : SP_REPLY_ARRAY,
                                 .count = children};
    enum sp_reply_result result = add(r, node, 0, next);
    if (result == SP_REPLY_WHOLE && children > 0) {
        reader->open[reader->depth].node = node_count(reader) - 1;
        reader->open[reader->depth].left = children;
        reader->depth++;
    }
    return result;
}

static enum sp_reply_result add_number(struct reading *r, sp_str line, size_t text_at,
                                       size_t next) {
    struct sp_reply_node node = {.kind = SP_REPLY_INTEGER, .text.len = line.len};
    return read_number(line, &node.integer) ? add(r, node, text_at, next)
                                            : fail(r, "an integer is none");
}

static enum sp_reply_result add_boolean(struct reading *r, sp_str line, size_t text_at,
                                        size_t next) {
    bool is_true = sp_str_eq(line, SP_STR("t"));
    struct sp_reply_node node = {
        .kind = SP_REPLY_INTEGER, .integer = is_true, .text.len = line.len};
    return is_true || sp_str_eq(line, SP_STR("f")) ? add(r, node, text_at, next)
                                                   : fail(r, "a boolean is none");
}

/* Reads one value: of an aggregate its head. */
static enum sp_reply_result read_value(struct reading *r) {
    sp_str line;
    size_t next = 0;
    size_t text_at = r->reader->at + 1;
    int64_t number = 0;
    enum sp_reply_result result = take_line(r, &line, &next);
    if (result != SP_REPLY_WHOLE) {
        return result;
    }
    if (line.len == 0) {
        return fail(r, "an empty line stands where a reply should");
    }
    char type = line.ptr[0];
    line = sp_str_from_byte(line, 1);
    struct sp_reply_node text = {.kind = type == '-' ? SP_REPLY_FAILURE : SP_REPLY_TEXT,
                                 .text.len = line.len};
    switch (type) {
    case '+':
    case '-':
    case ',':
    case '(':
        return add(r, text, text_at, next);
    case ':':
        return add_number(r, line, text_at, next);
    case '#':
        return add_boolean(r, line, text_at, next);
    case '_':
        return add_null(r, next);
    case '$':
    case '=':
    case '!':
        return read_number(line, &number) ? add_bulk(r, type, number, next)
                                          : fail(r, "the length of a bulk string is no number");
    case '*':
    case '~':
    case '>':
    case '%':
        return read_number(line, &number) ? add_aggregate(r, type, number, next)
                                          : fail(r, "the size of an array is no number");
    default:
        return fail(r, "a reply begins with an unknown byte");
    }
}

/* A value is complete: so may be the aggregates that it ends. */
static void close_aggregates(struct sp_reply_reader *reader, bool opened) {
    while (!opened && reader->depth > 0) {
        if (--reader->open[reader->depth - 1].left > 0) {
            return;
        }
        uint32_t node = reader->open[reader->depth - 1].node;
        nodes_of(reader)[node].span = node_count(reader) - node;
        reader->depth--;
    }
}

/* The reply is whole: offsets become slices of the input. */
static enum sp_reply_result give(struct reading *r, struct sp_reply *ret_reply) {
    struct sp_reply_reader *reader = r->reader;
    struct sp_reply_node *nodes = nodes_of(reader);
    uint32_t count = node_count(reader);
    for (uint32_t i = 0; i < count; i++) {
        nodes[i].text.ptr = r->bytes + (uintptr_t)nodes[i].text.ptr;
    }
    *ret_reply = (struct sp_reply){.nodes = nodes, .node_count = count, .consumed = reader->at};
    reader->at = 0;
    reader->scanned = 0;
    return SP_REPLY_WHOLE;
}

/* At the start of a reply: the nodes of the one before go. */
static void begin(struct sp_reply_reader *reader) {
    size_t most = reader->nodes.size_bytes_max;
    if (reader->nodes.capacity > NODES_KEPT_BYTES_MAX) {
        sp_buf_fini(&reader->nodes);
        sp_buf_init(&reader->nodes, most);
    }
    sp_buf_reset(&reader->nodes);
}

enum sp_reply_result sp_reply_read(struct sp_reply_reader *reader, const char *bytes, size_t len,
                                   struct sp_reply *ret_reply) {
    struct reading r = {.reader = reader, .bytes = bytes, .len = len};
    *ret_reply = (struct sp_reply){.problem = reader->problem};
    if (reader->problem != NULL) {
        return SP_REPLY_BROKEN;
    }
    sp_require(reader->at <= len);
    if (reader->at == 0) {
        begin(reader);
    }
    do {
        uint32_t depth = reader->depth;
        enum sp_reply_result result = read_value(&r);
        if (result != SP_REPLY_WHOLE) {
            ret_reply->problem = reader->problem;
            return result;
        }
        close_aggregates(reader, reader->depth > depth);
    } while (reader->depth > 0);
    return give(&r, ret_reply);
}

const struct sp_reply_node *sp_reply_find(const struct sp_reply_node *map, const char *key) {
    if (map->kind != SP_REPLY_ARRAY) {
        return NULL;
    }
    const struct sp_reply_node *at = sp_reply_child(map);
    for (uint32_t i = 0; i + 1 < map->count; i += 2) {
        const struct sp_reply_node *value = sp_reply_next(at);
        if (at->kind == SP_REPLY_TEXT && sp_str_eq(at->text, sp_str_from(key))) {
            return value;
        }
        at = sp_reply_next(value);
    }
    return NULL;
}
