/*
 * The bus's consumer groups: what core/groups.h decides, married with the log. loop-thread
 *
 * As in bus.h every call decides at once. What only reads goes to the core's own functions
 * (sp_group_get, sp_pending_list, sp_consumer_get, sp_dead_list …) with what sp_bus_group returns.
 *
 * A group is made for a key as the client wrote it. Failures, deaths, redrives, discards, and every
 * make, move, policy and drop of a group are events as well, in the stream `$group:<key>:<group>`,
 * dead letters in `$dead:<key>:<group>`; they are appended in the same block as what they tell of.
 *
 * Deliveries are lazily durable: their answers need not wait for a gate. All else: take the gate.
 * SP_NOT_FOUND: no such key or group, by all calls that name one.
 */
#ifndef SP_ENGINE_BUS_GROUPS_H
#define SP_ENGINE_BUS_GROUPS_H

#include "engine/bus.h"

/* The group, or NULL. Borrowed until the next call that changes it. */
const struct sp_group *sp_bus_group(const struct sp_bus *bus, const struct sp_key *key,
                                    sp_str name);
/* By its number; NULL where it is gone. */
const struct sp_group *sp_bus_group_at(const struct sp_bus *bus, uint64_t number);

/* ---- groups ---- */

struct sp_bus_start {
    bool at_end;           /* `$`: behind everything decided so far */
    struct sp_entry_id id; /* else behind this id; `0`: from the beginning */
};

/*
 * SP_CONFLICT: it is there; SP_NOT_FOUND: no such key, and not make_key; SP_LIMIT, SP_INVALID: a
 * name. A virtual stream is always there.
 */
SP_WARN_UNUSED sp_status sp_bus_group_make(struct sp_bus *bus, const struct sp_key *key,
                                           sp_str name, const struct sp_bus_start *start,
                                           bool make_key, struct sp_error *error);
SP_WARN_UNUSED sp_status sp_bus_group_move(struct sp_bus *bus, const struct sp_key *key,
                                           sp_str name, const struct sp_bus_start *start,
                                           struct sp_error *error);
/* SP_NOT_FOUND only where the key is not there: *ret_was_there false where the group is not. */
SP_WARN_UNUSED sp_status sp_bus_group_drop(struct sp_bus *bus, const struct sp_key *key,
                                           sp_str name, bool *ret_was_there,
                                           struct sp_error *error);
/*
 * NULL: plain again (SP_CONFLICT while entries are waiting, parked or dead). SP_INVALID: see the
 * error.
 */
SP_WARN_UNUSED sp_status sp_bus_group_policy(struct sp_bus *bus, const struct sp_key *key,
                                             sp_str name, const struct sp_group_policy *policy,
                                             struct sp_error *error);

SP_WARN_UNUSED sp_status sp_bus_consumer_make(struct sp_bus *bus, const struct sp_key *key,
                                              sp_str group, sp_str name, bool *ret_made,
                                              struct sp_error *error);
/*
 * *ret_pending: how many entries were pending for it. In a group with a policy they go back to it.
 */
SP_WARN_UNUSED sp_status sp_bus_consumer_drop(struct sp_bus *bus, const struct sp_key *key,
                                              sp_str group, sp_str name, uint64_t *ret_pending,
                                              struct sp_error *error);
/*
 * The consumer's connection is gone: with a policy its entries go back, unless keep_on_leave. Never
 * fails loudly.
 */
SP_WARN_UNUSED sp_status sp_bus_consumer_left(struct sp_bus *bus, uint64_t group, sp_str name,
                                              struct sp_error *error);

struct sp_bus_group_info {
    struct sp_group_facts facts;
    uint64_t lag;    /* entries that the key has behind the cursor, as the group sees them: exact */
    uint64_t lag_ms; /* how long ago the first of them was recorded; 0: there is none */
    uint64_t entries_read; /* of a plain group on a stream: as Redis counts them, exact */
};

/*
 * O(1) of plain streams; else counts with the index: O(matches) the first time, then what is new.
 */
SP_WARN_UNUSED sp_status sp_bus_group_info(struct sp_bus *bus, const struct sp_key *key,
                                           sp_str name, struct sp_bus_group_info *ret_info,
                                           struct sp_error *error);

/* ---- handing out ---- */

/*
 * One entry for the consumer. `event` is NULL where it is gone or hidden (histories only). `count`:
 * deliveries, this one included. Must not call the bus.
 */
typedef void sp_bus_given_fn(void *context, const struct sp_event *event, struct sp_entry_id id,
                             uint32_t count);

struct sp_bus_receive {
    const struct sp_key *key;
    sp_str group;
    sp_str consumer;
    uint32_t count; /* at most so many; 0: as many as there are, up to SP_BUS_RECEIVE_MAX */
    bool noack;
};

enum { SP_BUS_RECEIVE_MAX = 10000 };

/*
 * XREADGROUP `>`: what is due, then parked entries whose key is free, then new ones, all of them
 * durable. The consumer is made where it is new. SP_OK also where there is nothing; SP_UNSUPPORTED:
 * noack in a group with an order; SP_LIMIT.
 */
SP_WARN_UNUSED sp_status sp_bus_receive(struct sp_bus *bus, const struct sp_bus_receive *receive,
                                        sp_bus_given_fn *each, void *context, uint32_t *ret_count,
                                        struct sp_error *error);

/*
 * How many entries the group could hand out now, at most `max` (up to SP_BUS_READY_MAX). O(answer).
 */
enum { SP_BUS_READY_MAX = 256 };
uint32_t sp_bus_group_ready(struct sp_bus *bus, const struct sp_group *group, uint32_t max);

/*
 * Called from within turns, ticks and calls when a group may have more to hand out than before.
 * Must not call the bus: note the number, ask later. NULL: off.
 */
typedef void sp_bus_ready_fn(void *context, uint64_t group);
void sp_bus_on_ready(struct sp_bus *bus, sp_bus_ready_fn *ready, void *context);

/*
 * XREADGROUP with an id: what the consumer has, with ids above `after`, each one delivery more.
 * `event` is NULL where an entry is deleted.
 */
SP_WARN_UNUSED sp_status sp_bus_history(struct sp_bus *bus, const struct sp_bus_receive *receive,
                                        struct sp_entry_id after, sp_bus_given_fn *each,
                                        void *context, uint32_t *ret_count, struct sp_error *error);

/* ---- settling ---- */

SP_WARN_UNUSED sp_status sp_bus_ack(struct sp_bus *bus, const struct sp_key *key, sp_str group,
                                    const struct sp_entry_id *ids, size_t count,
                                    uint64_t *ret_count, struct sp_error *error);

/*
 * Entries in flight stay with their consumers for longer: ack-wait starts anew, or lasts `*ms` from
 * now (at most SP_GROUP_TIME_MS_MAX; NULL: as the policy says). No attempt is counted. Those that
 * are not in flight are passed over. SP_UNSUPPORTED: `ms` in a plain group, whose entries have no
 * ack-wait; without it their idle time starts anew.
 */
SP_WARN_UNUSED sp_status sp_bus_extend(struct sp_bus *bus, const struct sp_key *key, sp_str group,
                                       const struct sp_entry_id *ids, size_t count,
                                       const uint64_t *ms, uint64_t *ret_count,
                                       struct sp_error *error);

struct sp_bus_nack {
    bool has_delay;
    uint64_t delay_ms;
    sp_str text; /* what went wrong; may be empty */
    bool dead;   /* no further attempt */
};

/* SP_NOT_FOUND: the entry is not in flight; SP_UNSUPPORTED: a plain group. */
SP_WARN_UNUSED sp_status sp_bus_nack(struct sp_bus *bus, const struct sp_key *key, sp_str group,
                                     struct sp_entry_id id, const struct sp_bus_nack *nack,
                                     struct sp_error *error);

struct sp_bus_claim {
    const struct sp_key *key;
    sp_str group;
    sp_str consumer; /* made where it is new */
    uint64_t idle_min_ms;
    bool justid; /* each is called without events */
    bool force;
    bool has_retry_count;
    uint32_t retry_count;
    uint64_t time_ms;                  /* when they count as delivered; UINT64_MAX: now */
    const struct sp_entry_id *last_id; /* LASTID; NULL: none */
};

/* XCLAIM. SP_UNSUPPORTED: force with a policy. */
SP_WARN_UNUSED sp_status sp_bus_claim(struct sp_bus *bus, const struct sp_bus_claim *claim,
                                      const struct sp_entry_id *ids, size_t count,
                                      sp_bus_given_fn *each, void *context, struct sp_error *error);

typedef void sp_bus_gone_fn(void *context, struct sp_entry_id id);

/* XAUTOCLAIM. *ret_next: the cursor; none: through. `gone` is called after `each`. */
SP_WARN_UNUSED sp_status sp_bus_autoclaim(struct sp_bus *bus, const struct sp_bus_claim *claim,
                                          struct sp_entry_id from, uint32_t count,
                                          sp_bus_given_fn *each, sp_bus_gone_fn *gone,
                                          void *context, struct sp_entry_id *ret_next,
                                          struct sp_error *error);

/* ---- the dead ---- */

/* What somebody sees of a dead entry: `event` NULL where it is gone from the log. */
typedef void sp_bus_dead_fn(void *context, const struct sp_dead *dead,
                            const struct sp_event *event);

/* Those behind the position `after`, oldest first, at most `count`. */
SP_WARN_UNUSED sp_status sp_bus_dead_list(struct sp_bus *bus, const struct sp_key *key,
                                          sp_str group, uint64_t after, uint32_t count,
                                          sp_bus_dead_fn *each, void *context,
                                          struct sp_error *error);

/*
 * Back to the group, due at once, attempts from 0; or away for good. `ids` NULL: the oldest `count`
 * (0: all, SP_BUS_DEAD_MAX a call). *ret_count: how many did.
 */
enum { SP_BUS_DEAD_MAX = 1000 };
SP_WARN_UNUSED sp_status sp_bus_redrive(struct sp_bus *bus, const struct sp_key *key, sp_str group,
                                        const struct sp_entry_id *ids, size_t count,
                                        uint64_t *ret_count, struct sp_error *error);
SP_WARN_UNUSED sp_status sp_bus_discard(struct sp_bus *bus, const struct sp_key *key, sp_str group,
                                        const struct sp_entry_id *ids, size_t count,
                                        uint64_t *ret_count, struct sp_error *error);

#endif
