/*
 * A small document as a tree: JSON, or YAML read into the same shape, with the line and column of
 * every key and value, for definitions that people write and that are checked with places. pure
 *
 * Nodes are made by sp_doc_parse_json, or one by one by the reader of another language, and never
 * move. Object keys are unique; members and items keep their order; numbers keep their text. Lines
 * and columns count from 1, columns in characters.
 *
 * What is wrong with a document is gathered, so that one look shows it all: the functions at the
 * end read a value as what is expected of it, and note a problem where it is something else. They
 * return whether they could; the caller goes on with the next one either way.
 *
 * Limits: below; beyond them SP_LIMIT.
 */
#ifndef SP_FLOW_DOC_H
#define SP_FLOW_DOC_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "match/pool.h"

enum {
    SP_DOC_BYTES_MAX = 262144, /* of the text */
    SP_DOC_DEPTH_MAX = 64,
    SP_DOC_NODES_MAX = 32768,
    SP_DOC_MEMBERS_MAX = 1024, /* of one object */
    SP_DOC_MEMORY_MAX = 16 << 20,
    SP_DOC_ERRORS_MAX = 20, /* that are kept; the others are counted */
    SP_DOC_WARNINGS_MAX = 20,
    SP_DOC_NAME_BYTES_MAX = 63,
};

enum sp_doc_kind {
    SP_DOC_NULL = 1,
    SP_DOC_FALSE,
    SP_DOC_TRUE,
    SP_DOC_NUMBER,
    SP_DOC_TEXT,
    SP_DOC_ARRAY,
    SP_DOC_OBJECT,
};

struct sp_doc_place {
    uint32_t line;
    uint32_t column;
};

struct sp_doc_node {
    enum sp_doc_kind kind;
    uint32_t count;             /* of members or items */
    struct sp_doc_place place;  /* of the value */
    struct sp_doc_place key_at; /* of the key; that of the value where there is none */
    sp_str key;                 /* in an object: UTF-8, escapes resolved */
    sp_str text;                /* TEXT: UTF-8, escapes resolved; NUMBER: as JSON writes it */
    struct sp_doc_node *parent; /* NULL: the root */
    struct sp_doc_node *first;  /* member or item */
    struct sp_doc_node *last;
    struct sp_doc_node *next; /* sibling */
};

struct sp_doc {
    struct sp_pool pool; /* of nodes and texts */
    struct sp_doc_node *root;
    uint32_t node_count;
};

/* Makes an empty document, without a root. */
void sp_doc_init(struct sp_doc *doc);
void sp_doc_fini(struct sp_doc *doc);

/*
 * Reads JSON into an empty document; nothing is borrowed from the text. SP_INVALID (not JSON, a key
 * twice), SP_LIMIT, SP_NO_MEMORY; the error says where: "line 3, column 7: …".
 */
SP_WARN_UNUSED sp_status sp_doc_parse_json(struct sp_doc *doc, sp_str text, struct sp_error *error);

/*
 * For readers of other languages: adds a value to an array, to an object (with a key, which is not
 * there yet), or as the root (parent NULL). Texts are copied. SP_INVALID for a key that is there
 * already, SP_LIMIT, SP_NO_MEMORY; errors say where.
 */
struct sp_doc_value {
    enum sp_doc_kind kind;
    struct sp_doc_place place;
    struct sp_doc_place key_at;
    sp_str key;
    sp_str text;
};
SP_WARN_UNUSED sp_status sp_doc_add(struct sp_doc *doc, struct sp_doc_node *parent,
                                    const struct sp_doc_value *value, struct sp_doc_node **ret_node,
                                    struct sp_error *error);

/*
 * Adds a copy of another document's root to an object, as a member whose places are all `place`.
 * As sp_doc_add.
 */
SP_WARN_UNUSED sp_status sp_doc_graft(struct sp_doc *doc, struct sp_doc_node *object, sp_str key,
                                      const struct sp_doc_node *other, struct sp_doc_place place,
                                      struct sp_error *error);

/* The member of an object by its key; NULL where there is none, or the node is no object. O(n). */
const struct sp_doc_node *sp_doc_get(const struct sp_doc_node *object, const char *key);

/* Writes a node as JSON: compact, members in their order, numbers as they were written. */
void sp_doc_write(const struct sp_doc_node *node, struct sp_buf *to);

/* "an object", "text", "a number" …; static storage. */
const char *sp_doc_kind_name(enum sp_doc_kind kind);

/* ---- what is wrong --------------------------------------------------------------------------- */

struct sp_doc_problem {
    struct sp_doc_place place;
    bool is_warning;
    char text[SP_ERROR_TEXT_SIZE]; /* without the place */
};

/* What was found wrong, in the order of finding; sp_doc_problems_sort brings it into that of the
 * text. Some 10 KiB: it does not belong on a small stack. */
struct sp_doc_problems {
    uint32_t count; /* that are kept */
    uint32_t error_count;
    uint32_t warning_count;
    struct sp_doc_problem items[SP_DOC_ERRORS_MAX + SP_DOC_WARNINGS_MAX];
};

void sp_doc_problems_init(struct sp_doc_problems *problems);
void sp_doc_problems_sort(struct sp_doc_problems *problems);
void sp_doc_wrong(struct sp_doc_problems *problems, struct sp_doc_place place, const char *format,
                  ...) SP_PRINTF(3, 4);
void sp_doc_warn(struct sp_doc_problems *problems, struct sp_doc_place place, const char *format,
                 ...) SP_PRINTF(3, 4);
/*
 * SP_OK where there are no errors; otherwise SP_INVALID and the first one in the order of the text,
 * "line 3, column 7: … (and 2 more)".
 */
sp_status sp_doc_problems_status(const struct sp_doc_problems *problems, struct sp_error *error);
/* Writes them as a JSON array of {line, column, severity: "error"|"warning", text}. */
void sp_doc_problems_write(const struct sp_doc_problems *problems, struct sp_buf *to);

/* ---- reading what is expected ---------------------------------------------------------------- */

/*
 * The keys that an object may have; others are errors, with the one that was probably meant. False
 * where the node is no object, or has others. `what` is for the message: "a step".
 */
bool sp_doc_keys(const struct sp_doc_node *node, const char *what, const char *const *keys,
                 size_t key_count, struct sp_doc_problems *problems);

/*
 * Each reads one value; a NULL node is absent: true, and *ret is left as it was. A value of another
 * kind or beyond its bounds is a problem: false, *ret left as it was. `name` is for the message,
 * the value's key otherwise.
 */
bool sp_doc_text(const struct sp_doc_node *node, size_t bytes_max, sp_str *ret_text,
                 struct sp_doc_problems *problems);
bool sp_doc_bool(const struct sp_doc_node *node, bool *ret_value, struct sp_doc_problems *problems);
bool sp_doc_integer(const struct sp_doc_node *node, uint64_t min, uint64_t max, uint64_t *ret_value,
                    struct sp_doc_problems *problems);
/* A number from 0, in thousandths. */
bool sp_doc_milli(const struct sp_doc_node *node, uint64_t min_milli, uint64_t max_milli,
                  uint64_t *ret_milli, struct sp_doc_problems *problems);
/* `30s`, `1h30m` (base/time.h), or a number of seconds; in microseconds. */
bool sp_doc_duration(const struct sp_doc_node *node, uint64_t min_us, uint64_t max_us,
                     uint64_t *ret_us, struct sp_doc_problems *problems);
/* One of the words; *ret_index is its place in the list. */
bool sp_doc_word(const struct sp_doc_node *node, const char *const *words, size_t word_count,
                 uint32_t *ret_index, struct sp_doc_problems *problems);
/* A name: `[A-Za-z][A-Za-z0-9_.-]*`, at most SP_DOC_NAME_BYTES_MAX bytes; dots only if allowed. */
bool sp_doc_name(const struct sp_doc_node *node, bool dots, sp_str *ret_name,
                 struct sp_doc_problems *problems);
/* An event's type, and a pattern of types (match/pattern.h). */
bool sp_doc_type(const struct sp_doc_node *node, sp_str *ret_type,
                 struct sp_doc_problems *problems);
bool sp_doc_pattern(const struct sp_doc_node *node, sp_str *ret_pattern,
                    struct sp_doc_problems *problems);
/* A filter (match/filter.h), compiled; the caller frees it. */
struct sp_filter;
bool sp_doc_filter(const struct sp_doc_node *node, struct sp_filter **ret_filter,
                   struct sp_doc_problems *problems);
/* A path into an event, `data.customer_id` (match/path.h). */
bool sp_doc_path(const struct sp_doc_node *node, sp_str *ret_path,
                 struct sp_doc_problems *problems);
/* A jq program, as text of at most SP_FLOW_PROGRAM_BYTES_MAX; it is not compiled. */
bool sp_doc_program(const struct sp_doc_node *node, sp_str *ret_program,
                    struct sp_doc_problems *problems);

#endif
