/*
 * Joins within: the table of joins, their windows, and what is to be told. See join.h. pure
 *
 *   state     meaning                                  is in the list   is found by its key
 *   OPEN      not complete                             yes              yes
 *   READY     complete, its emission is to be told     until its end    until its end
 *   CLOSED    told: what comes now is late             yes              yes
 *   TIMING    its time is over, and to be told         no               no
 *
 *   OPEN ─► READY ─► CLOSED ─► (end)      OPEN ─► (end), or with on_timeout TIMING ─► (told)
 *
 * A join's windows are a list in the order in which they began, which is that of their ends, as all
 * are equally long. They end when an event for the join is applied that was recorded at their end
 * or later. One that is READY then leaves list and table, and goes when it has been told.
 */
#ifndef SP_FLOW_JOIN_INT_H
#define SP_FLOW_JOIN_INT_H

#include "base/htab.h"
#include "flow/join.h"
#include "flow/queue.h"
#include "flow/timers.h"
#include "match/path.h"

#define JOIN_NONE UINT32_MAX

/* Kinds of work, and of items in the queue; c is the position of the definition. */
enum {
    JOIN_EMIT = 1, /* a: first position, b: slot of the window */
    JOIN_TIMEOUT,  /* likewise; also by a timer, and then not in the queue */
    JOIN_LATE,     /* a: position of the late event */
    JOIN_FULL,     /* a: position of the event that was refused */
};

enum window_state { WINDOW_OPEN = 0, WINDOW_READY, WINDOW_CLOSED, WINDOW_TIMING };

/* Of one key: a block of its own, with a position for each type and the key behind them. */
struct window {
    uint64_t first_us;
    struct join *join;
    uint32_t next; /* in the list */
    uint32_t tag;  /* of the key's hash */
    uint16_t mask; /* types that came, one bit each */
    uint16_t key_len;
    uint8_t state;
    uint8_t types;
    bool in_list;
    uint64_t positions[];
};

struct join {
    char name[SP_DOC_NAME_BYTES_MAX + 1];
    sp_str text; /* owned */
    char unusable[SP_ERROR_TEXT_SIZE];
    struct sp_join_definition *definition; /* NULL: unusable */
    uint64_t defined_position;
    uint64_t defined_us;
    bool is_gone;    /* replaced or removed: kept while something is to be told of it */
    bool is_full;    /* within an episode that has been told */
    bool is_watched; /* its patterns are in `watch` */
    uint32_t works;  /* items of the queue that are about it */
    uint32_t first;  /* windows */
    uint32_t last;
    uint32_t cursor; /* the first window that no timer has handed out */
    uint32_t open;
    uint32_t done;
    uint64_t emitted;
    uint64_t timed_out;
    uint64_t late;
    uint64_t repeated;
    uint64_t unkeyed;
    uint64_t refused;
    uint32_t numbers[SP_JOIN_TYPES_MAX]; /* in `watch` */
    struct sp_pool pool;                 /* of the paths */
    struct sp_paths paths;
    uint16_t path_of[SP_JOIN_TYPES_MAX];
    uint64_t hit_at;   /* position of the event that is being applied, where it concerns it */
    uint32_t hit_type; /* and the first of the patterns that it matches */
};

/* Which joins want a pattern of `watch`: lists by its number. */
struct watcher {
    struct join *join;
    uint32_t type;
    uint32_t next;
};

struct sp_joins {
    struct sp_watch *watch;
    struct join **list; /* in the order of definition, those that are gone too; */
    uint32_t count;
    uint32_t capacity;
    uint32_t *heads; /* by number of pattern: into watchers */
    uint32_t head_count;
    struct watcher *watchers; /* built anew when the joins change */
    uint32_t watcher_count;
    struct window **windows; /* by slot; NULL: free */
    uint32_t *free_slots;
    uint32_t free_count;
    uint32_t window_count; /* slots in use and free ones */
    uint32_t window_capacity;
    struct sp_htab by_key;
    struct sp_queue queue;
    struct sp_timers timers; /* a: definition; one or more for each join with on_timeout */
    uint64_t last_us;        /* recorded time of the newest event applied that concerned a join */
    struct sp_path_values values;
    struct sp_buf scratch;
};

extern const struct sp_rule_kind join_kind;

static inline char *window_key_at(struct window *window) {
    return (char *)&window->positions[window->types];
}
static inline sp_str window_key(const struct window *window) {
    return sp_str_of(&window->positions[window->types], window->key_len);
}
static inline uint64_t window_end(const struct join *join, const struct window *window) {
    return window->first_us + join->definition->window_us;
}

/* The position of the event that began it: its name, as it were. */
static inline uint64_t window_first(const struct window *window) {
    uint64_t first = UINT64_MAX;
    for (uint32_t i = 0; i < window->types; i++) {
        bool came = (window->mask >> i & 1) != 0;
        first = came && window->positions[i] < first ? window->positions[i] : first;
    }
    return first;
}

/* ---- join_table.c ---- */
/* By name, among those that are not gone; and by the definition's position, among all. */
struct join *join_find(const struct sp_joins *joins, sp_str name);
struct join *join_at(const struct sp_joins *joins, uint64_t defined_position);
/* Makes a join of its texts; what cannot be compiled is kept as unusable. Not in the list yet. */
SP_WARN_UNUSED sp_status join_make(sp_str name, sp_str text, struct join **ret_join);
void join_free(struct join *join);
SP_WARN_UNUSED sp_status join_insert(struct sp_joins *joins, struct join *join);
/* Its windows go, but those that are to be told of; then the join itself, if there are none. */
SP_WARN_UNUSED sp_status join_retire(struct sp_joins *joins, struct join *join);
void join_sweep(struct sp_joins *joins); /* joins that are gone and of which all is told */
SP_WARN_UNUSED sp_status join_rewatch(struct sp_joins *joins);

/* A window, in a free slot, not in any list or table yet. */
SP_WARN_UNUSED sp_status window_new(struct sp_joins *joins, struct join *join, sp_str key,
                                    uint32_t *ret_slot);
void window_free(struct sp_joins *joins, uint32_t slot);
SP_WARN_UNUSED sp_status window_enter(struct sp_joins *joins, struct join *join, uint32_t slot);
/* The first of the list leaves it and the table; it is not freed. */
void window_leave(struct sp_joins *joins, struct join *join);
uint64_t window_hash(const struct join *join, sp_str key);
uint32_t window_find(const struct sp_joins *joins, const struct join *join, sp_str key);
/* Sees to it that there is a timer for the window at the cursor. */
SP_WARN_UNUSED sp_status join_arm(struct sp_joins *joins, const struct join *join);

/* ---- join_act.c ---- */
bool join_next(void *self, uint64_t now_us, struct sp_flow_work *ret_work);
void join_back(void *self, const struct sp_flow_work *work);
sp_status join_ask(void *self, const struct sp_flow_work *work, const struct sp_flow_ports *ports,
                   struct sp_buf *to, struct sp_error *error);
sp_status join_act(void *self, const struct sp_flow_work *work, const struct sp_flow_now *now,
                   struct sp_flow_out *out, struct sp_error *error);
uint64_t join_due(const void *self);

/* ---- join_snapshot.c ---- */
uint64_t join_oldest(const void *self);
uint64_t join_hash(const void *self);
void join_encode(const void *self, struct sp_buf *to);
sp_status join_restore(void *self, struct sp_wire *wire);

#endif
