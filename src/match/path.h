/*
 * Paths into an event: compiled into a tree, so that one pass over a JSON text reads them all. pure
 *
 * A path is a dotted list of names from the event's root, `data.amount` or `source`. Its first name
 * is an attribute, one of its aliases, `data`, `metadata`, an assigned attribute or an extension.
 * Further names lead into JSON objects, decimal numbers also into arrays. As names are joined by
 * dots, a key that itself has dots is found too: `data.a.b` reads {"a": {"b": 1}} and {"a.b": 1}.
 * Where the same path leads to several values, the first one in the text counts.
 *
 * Limits: SP_PATHS_MAX paths of at most SP_PATH_NAMES_MAX names each.
 */
#ifndef SP_MATCH_PATH_H
#define SP_MATCH_PATH_H

#include "match/pool.h"
#include "match/value.h"
#include "record/event.h"

enum {
    SP_PATHS_MAX = 128,
    SP_PATH_NAMES_MAX = 32,
    SP_PATH_NODES_MAX = 1024,
    SP_PATH_EDGES_MAX = 4096,
    SP_PATH_ROOTS_MAX = 32,
    SP_PATH_ROOMS = 5, /* assigned attributes */
    SP_PATH_ROOM_BYTES = 48,
    SP_PATH_NONE = 0xffff,
};

enum sp_path_kind {
    SP_PATH_ATTRIBUTE, /* by its canonical name */
    SP_PATH_ALIAS,     /* an extension of that very name if there is one, else the attribute */
    SP_PATH_EXTENSION,
    SP_PATH_POSITION,
    SP_PATH_VERSION,
    SP_PATH_RECORDEDTIME,
    SP_PATH_ENTRYID,
    SP_PATH_ENTRYKEY, /* the entry id in a form whose bytes sort as entry ids do */
    SP_PATH_TREE,     /* in the JSON text of a root */
};

struct sp_path {
    enum sp_path_kind kind;
    enum sp_attr attr;
    uint16_t root; /* TREE */
    uint16_t node; /* TREE */
    sp_str name;   /* in full, as canonical as may be */
};

/* A JSON text within the event: data, metadata or an extension. */
struct sp_path_root {
    enum { SP_ROOT_DATA, SP_ROOT_METADATA, SP_ROOT_EXTENSION } kind;
    sp_str name;
    uint16_t node;
};

struct sp_path_edge {
    sp_str name;
    uint32_t index; /* the name as a place in an array, UINT32_MAX where it is none */
    uint16_t node;
    uint16_t next; /* the parent's next edge */
};

struct sp_path_node {
    uint64_t lengths; /* bit n: an edge has a name of n bytes, modulo 64 */
    uint16_t edges;   /* the first edge */
    uint16_t path;    /* the path that ends here */
    uint16_t parent;
    bool has_index; /* an edge leads into an array */
};

struct sp_paths {
    struct sp_pool *pool;
    struct sp_path *paths;
    struct sp_path_root *roots;
    struct sp_path_node *nodes;
    struct sp_path_edge *edges;
    uint16_t path_count;
    uint16_t root_count;
    uint16_t node_count;
    uint16_t edge_count;
};

/* The values of one event, as far as they have been asked for. */
struct sp_path_values {
    const struct sp_event *event;
    uint64_t scanned; /* bit n: root n has been read */
    struct sp_value values[SP_PATHS_MAX];
    char room[SP_PATH_ROOMS][SP_PATH_ROOM_BYTES]; /* assigned attributes as text */
};

/* Makes an empty set; memory comes from the pool, which outlives it. */
void sp_paths_init(struct sp_paths *paths, struct sp_pool *pool);

/*
 * Adds the path if it is not there and returns its number. `text` is copied. With `eventbridge` the
 * root names `detail` and `detail-type` mean data and type. SP_INVALID, SP_LIMIT, SP_NO_MEMORY; the
 * error names the path.
 */
SP_WARN_UNUSED sp_status sp_paths_add(struct sp_paths *paths, sp_str text, bool eventbridge,
                                      uint16_t *ret_path, struct sp_error *error);

/*
 * True for a name such as `$id`: the extension `id`, which is not the attribute, as the JSON form
 * of an event writes it.
 */
bool sp_path_is_marked(sp_str name);

/* Adds the path ENTRYKEY, which has no name of its own. */
SP_WARN_UNUSED sp_status sp_paths_add_entrykey(struct sp_paths *paths, uint16_t *ret_path,
                                               struct sp_error *error);

/* Writes an entry id as ENTRYKEY has it: fixed width. */
enum { SP_ENTRYKEY_BYTES = 31 };
void sp_entrykey_format(uint64_t ms, uint32_t seq, char text[SP_ENTRYKEY_BYTES]);

static inline void sp_path_values_init(struct sp_path_values *values,
                                       const struct sp_event *event) {
    values->event = event;
    values->scanned = 0;
}

/*
 * The value at a path, missing where there is none. The first question about a root reads its text
 * once, for all paths; the answer is borrowed from the event and from `values`.
 */
struct sp_value sp_path_get(const struct sp_paths *paths, struct sp_path_values *values,
                            uint16_t path);

/*
 * The value of a TREE path that lies in no JSON text: data that is none, taken as a whole, or an
 * extension whose name has dots.
 */
struct sp_value sp_path_beside(const struct sp_paths *paths, const struct sp_path *path,
                               const struct sp_event *event);

/* True where the node is below the other one in the tree. */
bool sp_path_is_below(const struct sp_paths *paths, uint16_t node, uint16_t above);

/* The JSON text of a root in this event; its ptr is NULL where there is none. */
sp_str sp_path_root_text(const struct sp_path_root *root, const struct sp_event *event);

/* The node that a key leads to, SP_PATH_NONE where no path goes there. */
static inline uint16_t sp_path_child(const struct sp_paths *paths, uint16_t node,
                                     struct sp_json_token key) {
    const struct sp_path_node *from = &paths->nodes[node];
    if (!key.escaped && (from->lengths >> (key.raw.len & 63) & 1) == 0) {
        return SP_PATH_NONE;
    }
    for (uint16_t e = from->edges; e != SP_PATH_NONE; e = paths->edges[e].next) {
        sp_str name = paths->edges[e].name;
        if (key.escaped ? sp_json_compare(key, name) == 0 : sp_str_eq(key.raw, name)) {
            return paths->edges[e].node;
        }
    }
    return SP_PATH_NONE;
}

#endif
