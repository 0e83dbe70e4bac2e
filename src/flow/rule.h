/*
 * What joins and schedules share: definitions that are events, in a stream of their own. pure
 *
 * `<kind>.defined` {<kind>: name, sha256, by, definition} and `<kind>.removed` {<kind>: name, by};
 * the definition is in its canonical form: compact JSON, members in the order in which they were
 * written, numbers as they were written. Its SHA-256 is its identity.
 */
#ifndef SP_FLOW_RULE_H
#define SP_FLOW_RULE_H

#include "flow/doc.h"
#include "flow/part.h"
#include "record/sha256.h"

enum {
    SP_RULE_BYTES_MAX = 65536,       /* of the canonical text */
    SP_RULE_MEMORY_MAX = 256 << 10,  /* of a compiled definition, filters apart */
    SP_RULE_STREAM_BYTES_MAX = 1024, /* of a stream's name in it */
    SP_RULE_SHA256_TEXT_SIZE = 65,   /* with its NUL */
};

/* What came of defining one. */
struct sp_rule_defined {
    bool
        is_unchanged; /* the very same is there, since `position`, and there is nothing to append */
    uint64_t position;
    char sha256[SP_RULE_SHA256_TEXT_SIZE];
};

/* One kind of them: names as constants. */
struct sp_rule_kind {
    const char *key;     /* `join` */
    const char *stream;  /* `$joins` */
    const char *defined; /* `join.defined` */
    const char *removed; /* `join.removed` */
};

/* Adds the event that defines one. */
SP_WARN_UNUSED sp_status sp_rule_define(const struct sp_rule_kind *kind, sp_str name, sp_str text,
                                        sp_str by, struct sp_flow_out *out);
/* Adds the event that removes one. */
SP_WARN_UNUSED sp_status sp_rule_remove(const struct sp_rule_kind *kind, sp_str name, sp_str by,
                                        struct sp_flow_out *out);
void sp_rule_sha256(sp_str text, char ret_text[SP_RULE_SHA256_TEXT_SIZE]);

/*
 * Reads the name and the definition's text out of one of the two events, from its data and the
 * scratch buffer. An empty name: it has none, or none that could be one.
 */
SP_WARN_UNUSED sp_status sp_rule_read(const struct sp_rule_kind *kind, const struct sp_event *event,
                                      struct sp_buf *scratch, sp_str *ret_name, sp_str *ret_text);

/* ---- compiling ---- */

/* The JSON of a node, in the pool; what is too large is a problem. False: there is one. */
bool sp_rule_json(struct sp_pool *pool, const struct sp_doc_node *node, sp_str *ret_json,
                  struct sp_doc_problems *problems);
/* A copy of the text in the pool. Its ptr is NULL where there is no memory, or it was NULL. */
sp_str sp_rule_keep(struct sp_pool *pool, sp_str text);

/* {type, stream, data} of an event to be appended; `data` is what the caller makes of it. */
struct sp_rule_emit {
    sp_str type;
    sp_str stream; /* empty: none is said */
    const struct sp_doc_node *data;
};
/* `what` is for messages: "emit". Streams of the store's own are refused. */
void sp_rule_emit(const struct sp_doc_node *node, const char *what, struct sp_rule_emit *ret_emit,
                  struct sp_doc_problems *problems);

/* A needed key is missing: says so at the object, and returns false. */
bool sp_rule_needs(const struct sp_doc_node *object, const char *key,
                   struct sp_doc_problems *problems);

#endif
