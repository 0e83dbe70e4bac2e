/*
 * Consumer groups: who works on what. pure
 *
 * A group belongs to a key (a stream, or a virtual stream) and hands the key's entries out to
 * consumers. Entries are named by position; the id that clients use is kept beside it. Ids rise
 * with positions within a key, so one order serves both.
 *
 *                     deliver                    ack
 *     (log) ────────────────────► in flight ────────────► done
 *       │ park (key busy)          ▲      │ nack, ack-wait over, consumer left
 *       ▼                    again │      ▼                attempts used up
 *     parked ────────────────►─────┤  waiting (due at a time) ────────────────► dead
 *       ▲     its key is free      └─────┘                                        │
 *       └─────────────────────────────── redrive ─────────────────────────────────┘ discard ► done
 *
 * A group without a policy is Redis' own: no timers, nothing is ever waiting, parked or dead;
 * pending entries stay with their consumer until acknowledged or claimed. With a policy the group
 * takes care itself. Pending are those in flight and those waiting; parked ones are kept apart, for
 * nobody ever had them (an entry redriven in a group with an order is parked with its attempts
 * forgotten; in one without it waits, due at once).
 *
 * Invariants: every entry at or before the cursor that was ever handed out is in exactly one of in
 * flight, waiting, parked, dead or done; with order-by at most one entry of a key is pending, and
 * the parked ones of a key are handed out in the order of their positions, each when the one before
 * is done or dead; deliveries and hand-outs never take the number of entries in flight above
 * max-in-flight. A cursor moved back hands entries out again that are done, and no others.
 *
 * Deciding writes ops (core/control.h) and changes nothing; folding changes. Fold what was decided
 * (sp_core_fold) before you decide again. Limits: below; at them a decision is SP_LIMIT, and for
 * parked entries the cursor waits. Whether there was room for an op the buffer's sticky status
 * says. Slices and `const struct sp_group *` hold until the next fold of an op of that group.
 *
 * Memory: 56 bytes an entry in flight in a plain group (48 of its row, 8 of its consumer's list),
 * 72 with a policy, 88 with an order.
 */
#ifndef SP_CORE_GROUPS_H
#define SP_CORE_GROUPS_H

#include "base/buf.h"
#include "base/error.h"
#include "base/htab.h"
#include "base/wire.h"
#include "core/control.h"
#include "core/heap.h"
#include "record/entry_id.h"

enum {
    SP_GROUPS_MAX = 100000,
    SP_GROUP_CONSUMERS_MAX = 100000,
    SP_GROUP_PENDING_MAX = 50000000, /* of all groups */
    SP_GROUP_PARKED_MAX = 10000,     /* of one group */
    /* Of one group; beyond, those of the lowest positions leave the list (the log keeps them). */
    SP_GROUP_DEAD_MAX = 1000000,
    SP_GROUP_NAME_BYTES_MAX = 1024, /* of groups and of consumers */
    SP_GROUP_KEY_BYTES_MAX = 65535,
    SP_GROUP_TYPE_BYTES_MAX = 1024,
    SP_GROUP_FILTER_BYTES_MAX = 65536,
};

static const uint64_t SP_GROUP_TIME_MS_MAX = 100000000000u; /* of a policy: three years */
static const uint32_t SP_CONSUMER_NONE = UINT32_MAX;

enum sp_group_order {
    SP_GROUP_ORDER_NONE = 0,
    SP_GROUP_ORDER_STREAM = 1,
    SP_GROUP_ORDER_SOURCE = 2,
    SP_GROUP_ORDER_CORRELATION = 3,
};

/* What a group does by itself. Times in milliseconds. */
struct sp_group_policy {
    sp_str type;                   /* pattern; empty: every type */
    sp_str filter;                 /* JSON; empty: none */
    uint64_t ack_wait_ms;          /* at least 1 */
    uint32_t deliveries_max;       /* at least 1 */
    uint64_t backoff_first_ms;     /* at most backoff_max_ms */
    uint64_t backoff_max_ms;       /* before jitter */
    uint32_t backoff_factor_milli; /* 2000: doubled each time; 1000 to 1000000 */
    uint32_t backoff_jitter_milli; /* 200: up to 20 % more or less; at most 1000 */
    enum sp_group_order order_by;
    uint32_t in_flight_max; /* 0: no limit */
    bool keep_on_leave;     /* entries of a consumer that disconnects stay until ack-wait is over */
};

/* The defaults: 30s, 5, 1s..60s x2 jitter 0.2, no order, no limit. */
struct sp_group_policy sp_group_policy_default(void);

/* How far a group has come. */
struct sp_group_cursor {
    uint64_t position;     /* everything up to here was considered */
    uint64_t version;      /* of the key's last entry up to there; 0 for virtual streams */
    struct sp_entry_id id; /* as last-delivered-id shows it */
};

/* An entry that may be handed out. */
struct sp_group_entry {
    uint64_t position;
    uint64_t version; /* goes into the cursor */
    struct sp_entry_id id;
    uint32_t key; /* hash of its order-by value, never 0; 0 where the group has no order */
};

enum sp_pending_state {
    SP_PENDING_IN_FLIGHT = 0,
    SP_PENDING_WAITING = 1,
};

/* An entry that somebody had and that is not done. */
struct sp_pending {
    uint64_t position;
    struct sp_entry_id id;
    uint64_t time_ms; /* in flight: when it was delivered; waiting: when it is due */
    uint32_t key;
    uint32_t consumer; /* number; of waiting ones SP_CONSUMER_NONE */
    uint32_t count;    /* deliveries so far */
    uint32_t state;    /* enum sp_pending_state */
};
_Static_assert(sizeof(struct sp_pending) == 48, "a pending entry is a row of six words");

enum sp_dead_reason {
    SP_DEAD_ATTEMPTS = 1, /* used up */
    SP_DEAD_REFUSED = 2,  /* a consumer said so */
};

/* An entry that the group gave up. */
struct sp_dead {
    uint64_t position;
    struct sp_entry_id id;
    uint64_t time_ms;      /* when it was buried */
    uint64_t letter;       /* position of the event that says so; 0: none */
    uint64_t last_time_ms; /* its last delivery; 0 where it was waiting */
    uint32_t key;
    uint32_t count;  /* deliveries */
    uint32_t reason; /* enum sp_dead_reason */
    uint32_t unused;
};
_Static_assert(sizeof(struct sp_dead) == 64, "a dead entry is a row of eight words");

struct sp_group;

/* All groups of a core; within struct sp_core. */
struct sp_groups {
    struct sp_group **list; /* by number */
    uint32_t count;
    uint32_t capacity;
    struct sp_group_key **keys; /* those that have groups */
    uint32_t key_count;
    uint32_t key_capacity;
    struct sp_htab by_key; /* a key to its place in keys */
    struct sp_heap waking; /* those that something happens to by itself */
    uint64_t last_number;  /* of the group made last */
    uint64_t pending;      /* of all groups */
};

/* ---- what there is ---- */

/* The group, or NULL. O(log groups of the key). */
const struct sp_group *sp_group_find(const struct sp_groups *groups, sp_str key, sp_str name);
/* By its number, or NULL. O(log groups). */
const struct sp_group *sp_group_at(const struct sp_groups *groups, uint64_t number);
/* The i-th of all, by number; NULL behind the last. */
const struct sp_group *sp_group_nth(const struct sp_groups *groups, size_t i);
/* The i-th of a key, by name; NULL behind the last. */
const struct sp_group *sp_group_of_key(const struct sp_groups *groups, sp_str key, size_t i);

struct sp_group_facts {
    uint64_t number; /* never used again */
    sp_str key;
    sp_str name;
    struct sp_group_cursor cursor;
    bool has_policy;
    struct sp_group_policy policy;
    uint64_t pending; /* in flight and waiting */
    uint64_t in_flight;
    uint64_t waiting;
    uint64_t parked;
    uint64_t dead;
    uint32_t consumers;
    struct sp_entry_id first_id; /* of those pending; none where nothing is */
    struct sp_entry_id last_id;
};

/* O(1). */
struct sp_group_facts sp_group_get(const struct sp_group *group);

struct sp_consumer_facts {
    uint32_t number; /* may be used again once the consumer is gone */
    sp_str name;
    uint64_t seen_ms;   /* when it last asked */
    uint64_t active_ms; /* when it last got something; 0: never */
    uint64_t pending;
};

/* The consumer's number, or SP_CONSUMER_NONE. O(log consumers). */
uint32_t sp_consumer_find(const struct sp_group *group, sp_str name);
/* False where there is no consumer of this number. O(1). */
bool sp_consumer_get(const struct sp_group *group, uint32_t consumer,
                     struct sp_consumer_facts *ret_facts);
/* The number of the i-th consumer, by name; SP_CONSUMER_NONE behind the last. */
uint32_t sp_consumer_nth(const struct sp_group *group, size_t i);

/* False where no entry with this id is pending. O(log pending). */
bool sp_pending_get(const struct sp_group *group, struct sp_entry_id id, struct sp_pending *ret);
bool sp_pending_at(const struct sp_group *group, uint64_t position, struct sp_pending *ret);

struct sp_pending_range {
    struct sp_entry_id from;  /* inclusive */
    struct sp_entry_id until; /* inclusive */
    uint32_t consumer;        /* SP_CONSUMER_NONE: of all, and those of nobody */
    uint64_t idle_min_ms;     /* only those delivered at least so long before now_ms; 0: all */
    uint64_t now_ms;
};

/*
 * Fills ret with up to `max` pending entries in order of their ids; returns how many. With
 * idle_min_ms those waiting are left out. XPENDING, XINFO STREAM FULL, and the history of a
 * consumer. O(log pending + looked at); of one consumer nothing of others is looked at.
 */
size_t sp_pending_list(const struct sp_group *group, const struct sp_pending_range *range,
                       struct sp_pending *ret, size_t max);

bool sp_dead_at(const struct sp_group *group, uint64_t position, struct sp_dead *ret);
bool sp_dead_get(const struct sp_group *group, struct sp_entry_id id, struct sp_dead *ret);
/* Up to `max` dead entries whose positions are above `after`; returns how many. */
size_t sp_dead_list(const struct sp_group *group, uint64_t after, struct sp_dead *ret, size_t max);

/* True where `sp_group_again` would hand something out. O(1). */
bool sp_group_has_due(const struct sp_group *group, uint64_t now_ms);

/* ---- groups and consumers ---- */

/*
 * SP_CONFLICT: it is there; SP_LIMIT; SP_INVALID: a name too long. Its number: sp_group_find, after
 * folding.
 */
SP_WARN_UNUSED sp_status sp_group_make(const struct sp_groups *groups, sp_str key, sp_str name,
                                       const struct sp_group_cursor *cursor, struct sp_buf *to,
                                       struct sp_error *error);
/* XGROUP DESTROY, and when the key goes. All that it knew is gone. */
void sp_group_drop(const struct sp_group *group, struct sp_buf *to);
/* XGROUP SETID. */
void sp_group_move(const struct sp_group *group, const struct sp_group_cursor *cursor,
                   struct sp_buf *to);
/*
 * Sets the policy. What is pending in a plain group is in flight from when it was delivered; keys
 * of what was handed out under another order are forgotten. SP_INVALID: a number makes no sense;
 * SP_CONFLICT: the order changes while entries are parked.
 */
SP_WARN_UNUSED sp_status sp_group_set_policy(const struct sp_group *group,
                                             const struct sp_group_policy *policy,
                                             struct sp_buf *to, struct sp_error *error);
/*
 * Makes the group plain. SP_CONFLICT while entries are waiting, parked or dead: a plain group would
 * lose them. Those in flight stay pending.
 */
SP_WARN_UNUSED sp_status sp_group_clear_policy(const struct sp_group *group, struct sp_buf *to,
                                               struct sp_error *error);
/*
 * The key was renamed. SP_CONFLICT where the new key has a group of this name: drop those before.
 */
SP_WARN_UNUSED sp_status sp_group_rekey(const struct sp_groups *groups,
                                        const struct sp_group *group, sp_str key, struct sp_buf *to,
                                        struct sp_error *error);

/* SP_CONFLICT: it is there; SP_LIMIT; SP_INVALID. */
SP_WARN_UNUSED sp_status sp_consumer_make(const struct sp_group *group, sp_str name,
                                          uint64_t now_ms, struct sp_buf *to, uint32_t *ret_number,
                                          struct sp_error *error);
/*
 * XGROUP DELCONSUMER. A plain group drops what is pending for it, as Redis does; in one with a
 * policy let it leave first (sp_group_leave, and bury what that says): SP_CONFLICT otherwise.
 */
SP_WARN_UNUSED sp_status sp_consumer_drop(const struct sp_group *group, uint32_t consumer,
                                          uint64_t *ret_pending, struct sp_buf *to,
                                          struct sp_error *error);
/* It asked. Deliveries, hand-outs and claims say so themselves. No op where nothing is new. */
void sp_consumer_seen(const struct sp_group *group, uint32_t consumer, uint64_t now_ms,
                      struct sp_buf *to);

/* ---- handing out ---- */

enum sp_offer_what {
    SP_OFFER_LEFT = 0,      /* not considered: the cursor is before it */
    SP_OFFER_DELIVERED = 1, /* with NOACK also where it is done at once */
    SP_OFFER_PARKED = 2,
    SP_OFFER_PASSED =
        3, /* with a policy, after the cursor was moved back: pending, parked or dead */
};

struct sp_group_offer {
    uint32_t consumer;
    uint64_t now_ms;
    bool noack;                           /* not in a group with an order: SP_UNSUPPORTED */
    const struct sp_group_entry *entries; /* in order, all behind the cursor */
    uint32_t entry_count;
    uint32_t wanted;              /* at least 1 */
    struct sp_group_cursor until; /* where the cursor goes when all of them were considered */
};

struct sp_group_offered {
    uint32_t considered;
    uint32_t delivered;
    uint32_t parked;
};

/*
 * Delivers entries in order until `wanted` are, max-in-flight is reached, or an entry must be
 * parked and there is no room. In a plain group an entry that is pending already (the cursor was
 * moved back) becomes the consumer's, delivered once. `ret_what` has an enum sp_offer_what per
 * entry. Where nothing was considered and the cursor stays there is no op. SP_LIMIT: too much is
 * pending. Before it let sp_group_again have its turn. O(entries).
 */
SP_WARN_UNUSED sp_status sp_group_offer(const struct sp_groups *groups,
                                        const struct sp_group *group,
                                        const struct sp_group_offer *offer, uint8_t *ret_what,
                                        struct sp_group_offered *ret_offered, struct sp_buf *to,
                                        struct sp_error *error);

/* An entry that was handed out again. */
struct sp_group_given {
    uint64_t position;
    struct sp_entry_id id;
    uint32_t count; /* deliveries, this one included */
};

/*
 * Hands out what is due, by due time, then parked entries whose key is free, in order, up to `max`
 * and max-in-flight. Returns how many. Of a plain group: none. Those whose event is gone: see
 * sp_group_forget. O(max log pending).
 */
size_t sp_group_again(const struct sp_group *group, uint32_t consumer, uint64_t now_ms,
                      struct sp_group_given *ret, size_t max, struct sp_buf *to);

/*
 * A consumer read its own history: one delivery more of each entry that is his, from now. Positions
 * in order; others are passed over. Returns how many.
 */
size_t sp_group_reread(const struct sp_group *group, uint32_t consumer, uint64_t now_ms,
                       const uint64_t *positions, size_t count, struct sp_buf *to);

/* ---- settling ---- */

/*
 * The entries are done, whoever has them, also where they wait for another attempt. Unknown ids and
 * repeated ones count nothing. Returns how many. SP_NO_MEMORY shows in `to`.
 */
size_t sp_group_ack(const struct sp_group *group, const struct sp_entry_id *ids, size_t count,
                    struct sp_buf *to);
size_t sp_group_ack_positions(const struct sp_group *group, const uint64_t *positions, size_t count,
                              struct sp_buf *to);

/* Pending entries whose event is gone. */
size_t sp_group_forget(const struct sp_group *group, const uint64_t *positions, size_t count,
                       struct sp_buf *to);

struct sp_group_extension {
    uint64_t now_ms;
    bool has_ms;
    uint64_t ms; /* with a policy: how long from now; else ack-wait starts anew */
};

/*
 * Entries in flight stay with their consumers, and their time counts from now, or, with `ms`, as if
 * it had begun such that it ends then. No delivery. Ids that are not in flight, and repeated ones,
 * count nothing. Returns how many. SP_NO_MEMORY shows in `to`.
 */
size_t sp_group_extend(const struct sp_group *group, const struct sp_entry_id *ids, size_t count,
                       const struct sp_group_extension *extension, struct sp_buf *to);

/* Fact: is the entry still part of what clients see? NULL: all are. */
typedef bool sp_group_exists_fn(void *context, uint64_t position, struct sp_entry_id id);

struct sp_group_claim {
    uint32_t consumer;
    uint64_t now_ms;
    uint64_t idle_min_ms;
    bool justid;          /* does not count as a delivery */
    bool has_retry_count; /* RETRYCOUNT */
    uint32_t retry_count;
    uint64_t
        time_ms; /* IDLE, TIME: when they count as delivered; UINT64_MAX, or later than now: now */
    /* LASTID: where its id is above the cursor's, the cursor moves there. NULL: none. */
    const struct sp_group_cursor *last;
    sp_group_exists_fn *exists;
    void *context;
};

/* What XCLAIM names. With FORCE entries that are not pending are made so. */
struct sp_group_claim_id {
    struct sp_entry_id id;
    uint64_t position; /* fact, with FORCE: where it is; 0: no such entry, or no FORCE */
};

/*
 * XCLAIM. Fills ret (room for `count`) with the entries that are the consumer's now; returns how
 * many. Pending ones that exist no more are forgotten. Waiting entries may be claimed whatever
 * their idle time, within max-in-flight. SP_UNSUPPORTED: FORCE in a group with a policy; SP_LIMIT.
 */
SP_WARN_UNUSED sp_status sp_group_claim(const struct sp_groups *groups,
                                        const struct sp_group *group,
                                        const struct sp_group_claim *claim,
                                        const struct sp_group_claim_id *ids, size_t count,
                                        struct sp_group_given *ret, size_t *ret_count,
                                        struct sp_buf *to, struct sp_error *error);

struct sp_group_autoclaimed {
    size_t given;            /* in ret */
    size_t gone;             /* in ret_gone: ids that exist no more, forgotten now */
    struct sp_entry_id next; /* the cursor; none: through */
};

/*
 * XAUTOCLAIM from an id on: looks at up to 10 × max pending entries; given and gone are at most
 * `max` together (room for `max` in ret and in ret_gone).
 */
struct sp_group_autoclaimed sp_group_autoclaim(const struct sp_group *group,
                                               const struct sp_group_claim *claim,
                                               struct sp_entry_id from, struct sp_group_given *ret,
                                               struct sp_entry_id *ret_gone, size_t max,
                                               struct sp_buf *to);

/* ---- failed attempts: groups with a policy ---- */

enum sp_fail_what {
    SP_FAIL_NONE = 0,  /* it is not in flight: nothing to do */
    SP_FAIL_RETRY = 1, /* it waits now; the op is written */
    SP_FAIL_BURY = 2,  /* its attempts are used up: write the letter, then sp_group_bury; no op */
};

struct sp_group_failure {
    uint64_t position;
    uint64_t now_ms;
    bool has_delay; /* delay_ms instead of the backoff */
    uint64_t delay_ms;
    uint64_t random; /* for the jitter */
};

struct sp_group_failed {
    enum sp_fail_what what;
    uint64_t due_ms;
    struct sp_pending entry; /* as it was */
};

/*
 * The attempt at an entry in flight failed: NACK, or ack-wait is over. The wait before the next one
 * is min(backoff_max, backoff_first × factor^(count - 1)) × (1 ± jitter). In a plain group:
 * SP_FAIL_NONE.
 */
struct sp_group_failed sp_group_fail(const struct sp_group *group,
                                     const struct sp_group_failure *failure, struct sp_buf *to);

/*
 * A consumer left (`disconnected`: with keep_on_leave nothing happens): what it had in flight is
 * due at once, the attempt counts. Entries whose attempts are used up stay in flight and are listed
 * in ret_bury, up to `max`; where `max` are, call again after burying them. Returns how many are
 * listed. Of a plain group: none.
 */
size_t sp_group_leave(const struct sp_group *group, uint32_t consumer, bool disconnected,
                      uint64_t now_ms, struct sp_pending *ret_bury, size_t max, struct sp_buf *to);

/* An entry in flight or waiting is given up; false where it is neither, or the group is plain. */
bool sp_group_bury(const struct sp_group *group, uint64_t position, enum sp_dead_reason reason,
                   uint64_t letter, uint64_t now_ms, struct sp_buf *to);

/*
 * Dead entries back to the group, attempts from 0. Positions NULL: the first `count` of all. With
 * an order they are parked as far as there is room. Returns how many. SP_NO_MEMORY shows in `to`.
 */
size_t sp_group_redrive(const struct sp_groups *groups, const struct sp_group *group,
                        const uint64_t *positions, size_t count, uint64_t now_ms,
                        struct sp_buf *to);
/* Dead entries away. Positions NULL: the first `count` of all. Returns how many. */
size_t sp_group_discard(const struct sp_group *group, const uint64_t *positions, size_t count,
                        struct sp_buf *to);

/* ---- time ---- */

struct sp_group_due {
    const struct sp_group *group;
    uint64_t position; /* its ack-wait is over: sp_group_fail; 0: something can be handed out now */
};

/* When something happens by itself next, in ms: an ack-wait is over, an entry is due. 0: never. */
uint64_t sp_groups_next(const struct sp_groups *groups);

/*
 * What happened by itself up to now, up to `max`. Of each group: that entries became due (once
 * only: this is noted, and is no part of the state), and each entry in flight whose ack-wait is
 * over (until it is settled). Returns how many; where `max`, ask again after settling.
 */
size_t sp_groups_due(struct sp_groups *groups, uint64_t now_ms, struct sp_group_due *ret,
                     size_t max);

/*
 * The clock was set back to `now_ms`: what was due before and is not any more will be told of again
 * when it is. O(groups).
 */
void sp_groups_set_back(struct sp_groups *groups, uint64_t now_ms);

/* ---- for the core's own files ---- */

void sp_groups_init(struct sp_groups *groups);
void sp_groups_fini(struct sp_groups *groups);

/* Folds one op, whose kind was read already. SP_CORRUPT, SP_NO_MEMORY, SP_LIMIT. */
SP_WARN_UNUSED sp_status sp_groups_fold(struct sp_groups *groups, enum sp_op op,
                                        struct sp_wire *wire);

uint64_t sp_groups_hash(const struct sp_groups *groups);
void sp_groups_encode(const struct sp_groups *groups, struct sp_buf *to);
/* Into fresh groups. SP_CORRUPT, SP_NO_MEMORY, SP_LIMIT. */
SP_WARN_UNUSED sp_status sp_groups_restore(struct sp_groups *groups, struct sp_wire *wire);

#endif
