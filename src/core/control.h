/*
 * Control records: what the core decides at high rate, as bytes. pure
 *
 * A decision on groups or on the view of a stream is one *op*: a kind and a few numbers. Deciding
 * writes the op and changes nothing; folding it in changes, on the way to the log (sp_core_fold)
 * and again when the log is replayed (sp_core_control), by the same code. Ops travel in control
 * records, many in one record; each record carries a dense number, so that a snapshot can say which
 * ones it covers. docs/format.md has the bytes of every op.
 *
 * Ops name a group by the number it was given when it was made, which is never used again, and an
 * event by its position. All that depended on time or chance is in the op; nothing is looked up
 * while folding.
 */
#ifndef SP_CORE_CONTROL_H
#define SP_CORE_CONTROL_H

#include "base/buf.h"

/* The kind of the control record that ops travel in (struct sp_record.control). */
enum { SP_CONTROL_OPS = 1 };

/* Stored: numbers never change their meaning. */
enum sp_op {
    /* streams as their clients see them: core/views.h */
    SP_OP_VIEW_TRIM = 1,   /* hide everything below a version */
    SP_OP_VIEW_HIDE = 2,   /* hide single versions */
    SP_OP_VIEW_DELETE = 3, /* end the generation: the key is gone until something is added */
    SP_OP_VIEW_MAKE = 4,   /* the key is there, empty */
    SP_OP_VIEW_SET = 5,    /* last id, entries added, greatest deleted id (XSETID) */
    SP_OP_VIEW_EXPIRE = 6, /* when the key is to go; 0: never */
    SP_OP_VIEW_ALIAS = 7,  /* a key stands for another stream from now on (RENAME) */

    /* consumer groups: core/groups.h */
    SP_OP_GROUP_MAKE = 20,
    SP_OP_GROUP_DROP = 21,
    SP_OP_GROUP_MOVE = 22,   /* the cursor */
    SP_OP_GROUP_POLICY = 23, /* set, or taken away */
    SP_OP_GROUP_REKEY = 24,  /* the key was renamed */
    SP_OP_CONSUMER_MAKE = 30,
    SP_OP_CONSUMER_DROP = 31, /* and what is pending for it */
    SP_OP_CONSUMER_SEEN = 32,
    SP_OP_DELIVER =
        40,           /* new entries: to a consumer, or parked behind their key; moves the cursor */
    SP_OP_AGAIN = 41, /* to a consumer, one attempt more: what was due, parked, or his already */
    SP_OP_ACK = 42,
    SP_OP_CLAIM = 43,   /* XCLAIM, XAUTOCLAIM: owner, time and count as given */
    SP_OP_RELEASE = 44, /* back to the group, due at a time */
    SP_OP_FORGET = 45,  /* pending entries whose event is gone */
    SP_OP_BURY = 46,    /* a dead letter: leaves the pending, enters the dead */
    SP_OP_REDRIVE = 47, /* from the dead back to the group, attempts from 0 */
    SP_OP_DISCARD = 48, /* out of the dead */
    SP_OP_EXTEND = 49,  /* in flight as before, and counted from another time */

    /* agents: core/presence.h */
    SP_OP_AGENT_ANNOUNCE = 60, /* it is there, and says what of itself */
    SP_OP_AGENT_SUSPECT = 61,  /* no sign of life any more */
    SP_OP_AGENT_RECOVER = 62,
    SP_OP_AGENT_END = 63,    /* offline */
    SP_OP_AGENT_FORGET = 64, /* out of the table, for another one */
};

#endif
