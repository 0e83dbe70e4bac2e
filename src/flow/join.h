/*
 * Joins: one event when several have come for the same key within a window. pure
 *
 *     of: [provisioning.completed, crm.created]   need: all   key: data.customer_id   window: 24h
 *
 *     first event of a key ──► open ──the last one needed──► complete ──act──► emitted
 *                               └──── window over ──► with on_timeout: timed out, by an act
 *                                                     without: forgotten
 *
 * The window of a key begins with the first event of it that counts, at its recorded time, and ends
 * when that much time has passed, whether it was emitted or not: within it there is one emission at
 * most, and what comes behind it is late. After its end the next event of the key begins a new one.
 * Windows end by the recorded times of events alone (a timer only makes the event that tells of
 * it), so the log says everything.
 *
 * An event counts for the first of the patterns in `of` that its type matches; a second one for the
 * same pattern within a window changes nothing. Keys are the value at the path: a text as it is, a
 * number, true or false as its JSON, so that 7 and "7" are one key. An event without the value, or
 * with another kind of value, or a key longer than SP_JOIN_KEY_BYTES_MAX does not count; it is
 * counted (sp_join_info).
 *
 * Where a join has SP_JOIN_OPEN_MAX (or its own `limit`) windows, events of further keys do not
 * count; the event join.full tells of it once, and once again only after a tenth of the room had
 * been free. A definition that is replaced or removed forgets its windows; what was complete by
 * then is still emitted.
 *
 * Events of `$joins`: join.defined {join, definition, sha256, by}, join.removed {join, by},
 * join.emitted, join.timed_out, join.failed (the jq program), join.late (with late: emit),
 * join.full. All but the first two have the extensions `joinposition`, the position of the window's
 * first event, or of the late one, and `joindefined`, that of the definition. What a join emits has
 * the extensions `join` and `joinkey`, and does not count for itself; neither do events of streams
 * that begin with `$`.
 *
 * Limits: SP_JOINS_MAX joins; others as above and below.
 */
#ifndef SP_FLOW_JOIN_H
#define SP_FLOW_JOIN_H

#include "flow/doc.h"
#include "flow/part.h"
#include "flow/rule.h"
#include "flow/watch.h"
#include "match/filter.h"

enum {
    SP_JOINS_MAX = 1000,
    SP_JOIN_TYPES_MAX = 16,
    SP_JOIN_KEY_BYTES_MAX = 512,
    SP_JOIN_OPEN_MAX = 1000000, /* windows of one join, unless it says less or more */
    SP_JOIN_OPEN_LIMIT_MAX = 10000000,
};

#define SP_JOIN_WINDOW_US_MAX UINT64_C(31536000000000) /* a year */

enum sp_join_late { SP_JOIN_LATE_IGNORE = 0, SP_JOIN_LATE_EMIT };

/* An event that a join leads to. */
struct sp_join_emit {
    sp_str type;   /* empty: none */
    sp_str stream; /* empty: `join:<name>` */
    sp_str data;   /* jq; empty: what the program would see, without the events' data */
    struct sp_doc_place data_at;
};

struct sp_join_definition {
    sp_str name;
    sp_str text; /* canonical JSON */
    uint32_t type_count;
    sp_str types[SP_JOIN_TYPES_MAX]; /* patterns */
    sp_str keys[SP_JOIN_TYPES_MAX];  /* paths */
    uint32_t need;                   /* how many of them: 1 for any */
    uint32_t open_max;
    uint64_t window_us;
    struct sp_filter *filter; /* NULL: none */
    struct sp_join_emit emit;
    struct sp_join_emit on_timeout;
    enum sp_join_late late;
    struct sp_pool pool; /* of the texts above */
};

/*
 * Checks a document and compiles it; the document may go. What is wrong is added to `problems`;
 * SP_INVALID where there is an error among them. The jq programs in emit.data and on_timeout.data
 * are not compiled: whoever lets a definition in does so first.
 */
SP_WARN_UNUSED sp_status sp_join_definition_compile(const struct sp_doc *doc,
                                                    struct sp_doc_problems *problems,
                                                    struct sp_join_definition **ret_definition,
                                                    struct sp_error *error);
/* The same from canonical text. */
SP_WARN_UNUSED sp_status sp_join_definition_parse(sp_str text,
                                                  struct sp_join_definition **ret_definition,
                                                  struct sp_error *error);
void sp_join_definition_free(struct sp_join_definition *definition); /* NULL is fine */

struct sp_joins;

/* `watch` outlives it, and says during apply what the event's type matches. */
SP_WARN_UNUSED sp_status sp_joins_new(struct sp_watch *watch, struct sp_joins **ret_joins);
void sp_joins_free(struct sp_joins *joins); /* NULL is fine */

extern const struct sp_flow_part_ops sp_joins_part; /* `self` is a struct sp_joins */

/* Adds the event that defines it, unless the very same is there. SP_LIMIT: there are too many. */
SP_WARN_UNUSED sp_status sp_joins_define(const struct sp_joins *joins,
                                         const struct sp_join_definition *definition, sp_str by,
                                         struct sp_flow_out *out,
                                         struct sp_rule_defined *ret_defined,
                                         struct sp_error *error);
/* Adds the event that removes it. SP_NOT_FOUND. */
SP_WARN_UNUSED sp_status sp_joins_remove(const struct sp_joins *joins, sp_str name, sp_str by,
                                         struct sp_flow_out *out, struct sp_error *error);

/* A join as lists show it. Texts are borrowed until the next apply. */
struct sp_join_info {
    sp_str name;
    sp_str text;               /* of its definition; as it came, where it is unusable */
    const char *unusable;      /* why its definition cannot be used; NULL: it can */
    uint64_t defined_position; /* of join.defined */
    uint64_t defined_us;
    uint32_t open;    /* windows that are not complete */
    uint32_t done;    /* windows that are, and have not ended yet */
    uint64_t emitted; /* since it was defined, as the others below */
    uint64_t timed_out;
    uint64_t late;
    uint64_t repeated; /* events for a pattern that its window had already */
    uint64_t unkeyed;  /* events without a key */
    uint64_t refused;  /* events that would have opened a window too many */
};

/* How many joins there are, and each of them, in the order of definition; at < count. */
uint32_t sp_joins_count(const struct sp_joins *joins);
void sp_joins_get(const struct sp_joins *joins, uint32_t at, struct sp_join_info *ret_info);
/* By name: false where there is none of it. */
bool sp_joins_find(const struct sp_joins *joins, sp_str name, struct sp_join_info *ret_info);

/* A window that is open, as lists show it. */
struct sp_join_window {
    sp_str key;
    uint64_t first_us;
    uint64_t ends_us;
    uint64_t first_position;
    uint32_t have;       /* how many of the patterns */
    uint64_t have_types; /* one bit each */
};

/*
 * The windows of a join that are not complete, the oldest first: up to `max` of them behind the
 * first `skip`. Returns how many were written. O(skip + max).
 */
size_t sp_joins_windows(const struct sp_joins *joins, sp_str name, size_t skip,
                        struct sp_join_window *ret_windows, size_t max);

#endif
