/*
 * Consumer groups: who works on what. pure
 *
 * A group belongs to a key (a stream, or a virtual stream) and hands the key's entries out to consumers.
 * Entries are named by position; the id that clients use is kept beside it. Ids rise with positions within a
 * key, so one order serves both.
 *
 *                     deliver                    ack
 *     (log) ────────────────────► in flight ────────────► done
 *       │ park (key busy)          ▲      │ nack, ack-wait over, consumer left
 *       ▼                    again │      ▼                attempts used up
 *     parked ────────────────► waiting (due at a time) ───────────────────────► dead
 *             its key is free      ▲                                              │
 *                                  └──────────────── redrive ─────────────────────┘ discard ► done
 *
 * A group without a policy is Redis' own: no timers, nothing is ever waiting, parked or dead; pending entries
 * stay with their consumer until acknowledged or claimed. With a policy the group takes care itself.
 *
 * Invariants: every entry at or before the cursor that was ever handed out is in exactly one of in flight,
 * waiting, parked, dead or done; with order-by at most one entry of a key is in flight or waiting with attempts
 * behind it, and none of a key is handed out while an earlier one of that key is not done or dead; the
 * number of entries in flight is at most max-in-flight.
 *
 * Deciding writes ops (core/control.h) and changes nothing; folding changes. Limits: below; at them a
 * decision is SP_LIMIT, and for parked entries the cursor waits.
 */
#ifndef SP_CORE_GROUPS_H
#define SP_CORE_GROUPS_H

#include "base/buf.h"
#include "base/error.h"
#include "core/control.h"
#include "record/entry_id.h"

enum {
    SP_GROUPS_MAX = 100000,
    SP_GROUP_CONSUMERS_MAX = 100000,
    SP_GROUP_PENDING_MAX = 50000000, /* of all groups */
    SP_GROUP_PARKED_MAX = 10000,     /* of one group */
    SP_GROUP_DEAD_MAX =
        1000000, /* of one group; beyond, the oldest are discarded from the list (the log keeps them) */
    SP_GROUP_NAME_BYTES_MAX = 1024,
};

enum sp_group_order {
    SP_GROUP_ORDER_NONE = 0,
    SP_GROUP_ORDER_STREAM = 1,
    SP_GROUP_ORDER_SOURCE = 2,
    SP_GROUP_ORDER_CORRELATION = 3,
};

/* What a group does by itself. Times in milliseconds. */
struct sp_group_policy {
    sp_str type;   /* pattern; empty: every type */
    sp_str filter; /* JSON; empty: none */
    uint64_t ack_wait_ms;
    uint32_t deliveries_max;
    uint64_t backoff_first_ms;
    uint64_t backoff_max_ms;
    uint32_t backoff_factor_milli; /* 2000: doubled each time */
    uint32_t backoff_jitter_milli; /* 200: up to 20 % more or less */
    enum sp_group_order order_by;
    uint32_t in_flight_max; /* 0: no limit */
    bool keep_on_leave;     /* entries of a consumer that disconnects stay until ack-wait is over */
};

/* An entry that may be handed out. */
struct sp_group_entry {
    uint64_t position;
    struct sp_entry_id id;
    uint32_t key; /* hash of its order-by value, never 0; 0 where the group has no order */
};

enum sp_pending_state {
    SP_PENDING_IN_FLIGHT = 0,
    SP_PENDING_WAITING = 1,
    SP_PENDING_PARKED = 2,
};

/* An entry that is not done. 48 bytes each in memory, in sorted blocks. */
struct sp_pending {
    uint64_t position;
    struct sp_entry_id id;
    uint64_t time_ms; /* in flight: when it was delivered; waiting: when it is due */
    uint32_t key;
    uint32_t consumer; /* number; of waiting and parked ones UINT32_MAX */
    uint32_t count;    /* deliveries so far */
    uint32_t state;
};

#endif
