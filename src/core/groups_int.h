/*
 * What the files of groups share. pure
 *
 * A pending entry is one row by position. What leads to it otherwise is kept in step by the
 * functions of group_pending.c alone: its consumer's list; with a policy the deadlines of those in
 * flight, by delivery time, and those waiting, by due time; with an order the keys that are busy,
 * the parked entries by key, and which of them could be handed out now.
 */
#ifndef SP_CORE_GROUPS_INT_H
#define SP_CORE_GROUPS_INT_H

#include "core/groups.h"
#include "core/rows.h"

enum {
    PENDING_WORDS = 6,
    DEAD_WORDS = 8,
    PARKED_WORDS = 4,
};

struct sp_group_key {
    char *text;
    size_t bytes;
    struct sp_group **groups; /* by name */
    uint32_t count;
    uint32_t capacity;
};

struct sp_consumer {
    char *name;
    size_t bytes;
    uint64_t seen_ms;
    uint64_t active_ms;
    struct sp_rows entries; /* positions of what it has in flight */
};

/* An entry that waits for its key. The words of its row, its key being its place. */
struct sp_parked {
    uint64_t key;
    uint64_t position;
    struct sp_entry_id id;
};
_Static_assert(sizeof(struct sp_parked) == PARKED_WORDS * 8, "a parked entry is a row");

/* What a group with a policy needs. */
struct sp_group_care {
    struct sp_group_policy policy; /* its texts in `texts` */
    char *texts;
    struct sp_rows deadlines; /* (delivery time, position) of those in flight */
    struct sp_rows waiting;   /* (due time, position) */
    struct sp_rows busy;      /* (key, position) of those pending that have a key */
    struct sp_rows parked;    /* struct sp_parked */
    struct sp_rows ready;     /* (position, key) of the first parked entry of each key not busy */
    struct sp_rows dead;      /* struct sp_dead */
    uint64_t told_ms;         /* what was due by then was told; not stored */
    bool nudge;               /* something can be handed out, and nobody was told; not stored */
};

struct sp_group {
    struct sp_heap_item wake; /* stands first: the heap knows it */
    uint64_t number;
    struct sp_group_key *key;
    char *name;
    size_t bytes;
    struct sp_group_cursor cursor;
    struct sp_rows pending;         /* struct sp_pending */
    struct sp_consumer **consumers; /* by number; NULL where the number is free */
    uint32_t consumer_slots;
    uint32_t consumer_capacity; /* of both lists */
    uint32_t consumer_count;
    uint32_t *by_name;          /* numbers */
    struct sp_group_care *care; /* NULL: as Redis has it */
};

static inline struct sp_pending *sp_pending_row(const struct sp_rows *rows, struct sp_rows_at at) {
    return (struct sp_pending *)sp_rows_get(rows, at);
}

static inline struct sp_pending *sp_pending_find(const struct sp_group *group, uint64_t position) {
    return (struct sp_pending *)sp_rows_find(&group->pending, &position);
}

/* The place of the first pending entry at or above the id. */
static inline struct sp_rows_at sp_pending_seek_id(const struct sp_group *group,
                                                   struct sp_entry_id id) {
    const uint64_t key[2] = {id.ms, id.seq};
    return sp_rows_seek_words(&group->pending, 1, 2, key);
}

/* The row with this id, or NULL. *at: where the one before was found, mostly the neighbour. */
struct sp_pending *sp_pending_find_id(const struct sp_group *group, struct sp_entry_id id,
                                      struct sp_rows_at *at);

static inline uint64_t sp_group_in_flight(const struct sp_group *group) {
    return group->pending.count - (group->care != NULL ? group->care->waiting.count : 0);
}

/* How many more may be in flight. */
uint64_t sp_group_room(const struct sp_group *group);

static inline bool sp_group_has_order(const struct sp_group *group) {
    return group->care != NULL && group->care->policy.order_by != SP_GROUP_ORDER_NONE;
}

/* ---- group_table.c: groups, keys, consumers ---- */

struct sp_group *sp_group_at_mutable(const struct sp_groups *groups, uint64_t number);
SP_WARN_UNUSED sp_status sp_group_table_add(struct sp_groups *groups, uint64_t number, sp_str key,
                                            sp_str name, struct sp_group **ret_group);
void sp_group_table_remove(struct sp_groups *groups, struct sp_group *group);
SP_WARN_UNUSED sp_status sp_group_table_rekey(struct sp_groups *groups, struct sp_group *group,
                                              sp_str key);
/* SP_CORRUPT where the name or the number is taken. */
SP_WARN_UNUSED sp_status sp_group_add_consumer(struct sp_group *group, uint32_t number, sp_str name,
                                               uint64_t seen_ms);
void sp_group_remove_consumer(struct sp_group *group, uint32_t number);

static inline struct sp_consumer *sp_consumer_at(const struct sp_group *group, uint64_t number) {
    return number < group->consumer_slots ? group->consumers[number] : NULL;
}

void sp_group_care_free(struct sp_group_care *care);

/* ---- group_pending.c: changes, with all that leads to them ---- */

SP_WARN_UNUSED sp_status sp_pending_add(struct sp_groups *groups, struct sp_group *group,
                                        const struct sp_pending *entry);
/* Takes an entry away; *at is then the place of the one behind it. */
SP_WARN_UNUSED sp_status sp_pending_remove(struct sp_groups *groups, struct sp_group *group,
                                           struct sp_rows_at *at);
/* Changes time, consumer, count and state of an entry: *row becomes *entry. */
SP_WARN_UNUSED sp_status sp_pending_change(struct sp_group *group, struct sp_pending *row,
                                           const struct sp_pending *entry);
SP_WARN_UNUSED sp_status sp_parked_add(struct sp_group *group, const struct sp_parked *parked);
/* Takes a parked entry that could be handed out; SP_CORRUPT where there is none at the position. */
SP_WARN_UNUSED sp_status sp_parked_take(struct sp_group *group, uint64_t position,
                                        struct sp_parked *ret_parked);
/* Sets or replaces the policy; what is pending is put in order. */
SP_WARN_UNUSED sp_status sp_group_care_set(struct sp_group *group,
                                           const struct sp_group_policy *policy);
void sp_group_care_clear(struct sp_group *group);
/* Follows a change of any time: when the group wakes next. */
SP_WARN_UNUSED sp_status sp_group_set_wake(struct sp_groups *groups, struct sp_group *group,
                                           uint64_t not_before_ms);

/* ---- group_ops.c: positions in ops ---- */

/* A list of positions in an op: each as what it is away from the one before; 0 ends it. */
struct sp_op_positions {
    uint64_t before;
};

static inline struct sp_op_positions sp_op_positions_of(const struct sp_group *group) {
    return (struct sp_op_positions){.before = group->cursor.position};
}

static inline size_t sp_op_put_position(struct sp_op_positions *list, uint8_t *to,
                                        uint64_t position) {
    uint64_t away = sp_zigzag((int64_t)(position - list->before));
    list->before = position;
    return sp_put_varint(to, away + 1);
}

/* False at the end of the list, or where the bytes make no sense. */
static inline bool sp_op_take_position(struct sp_op_positions *list, struct sp_wire *wire,
                                       uint64_t *ret_position) {
    uint64_t away = sp_wire_varint(wire);
    if (away == 0) {
        return false;
    }
    list->before += (uint64_t)sp_unzigzag(away - 1);
    *ret_position = list->before;
    return true;
}

/* What a delivery says of itself. */
enum {
    SP_DELIVER_ACTIVE = 1, /* the consumer got something, if only with NOACK */
    SP_DELIVER_KEYED = 2,  /* the group has an order: each entry has its key */
    SP_DELIVER_FLAGS = 3,
};

void sp_op_add_position(struct sp_op_positions *list, struct sp_buf *to, uint64_t position);
/* The op and the group's number. */
void sp_op_begin(struct sp_buf *to, enum sp_op op, const struct sp_group *group);
/* A whole op of a list of positions, which rise. */
void sp_op_put_list(struct sp_buf *to, enum sp_op op, const struct sp_group *group,
                    const uint64_t *positions, size_t count);
void sp_op_put_policy(struct sp_buf *to, const struct sp_group_policy *policy);
/* SP_CORRUPT where it makes no sense; what is taken points into the wire. */
SP_WARN_UNUSED sp_status sp_op_take_policy(struct sp_wire *wire, struct sp_group_policy *ret);

/* NULL where the policy makes sense, else what does not. */
const char *sp_group_policy_fault(const struct sp_group_policy *policy);

#endif
