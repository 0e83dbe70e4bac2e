/*
 * The deterministic core: state of the streams and of the log's order. pure
 *
 * No I/O, no clock, no randomness: all of it comes in as input. `sp_core_step` decides an input
 * against the state and yields what should happen, as data; what it decided is folded into the
 * state by the same `sp_core_apply` that recovery uses, so that recovery is apply alone, and
 * replaying the log gives the same `sp_core_hash`. The core is ahead of the disk: who shows its
 * answers to anybody waits until the position named in them is durable. If the disk fails, the
 * state is wrong and is thrown away, never rolled back.
 *
 * What the core cannot know without reading (is this id there already, what was the cause's run)
 * its owner looks up beforehand and hands in as facts.
 *
 * Beside the streams stand the views of them (core/views.h), the consumer groups (core/groups.h)
 * and the agents (core/presence.h). Those decide by ops (core/control.h), which are folded in at
 * once and travel to the log in control records.
 */
#ifndef SP_CORE_CORE_H
#define SP_CORE_CORE_H

#include "base/buf.h"
#include "base/error.h"
#include "core/control.h"
#include "core/groups.h"
#include "core/presence.h"
#include "core/streams.h"
#include "core/views.h"
#include "record/entry_id.h"
#include "record/event.h"

/* Not to be moved. */
struct sp_core {
    struct sp_streams streams;
    struct sp_views views;
    struct sp_groups groups;
    struct sp_presence presence;
    uint64_t control_number; /* of the last control record */
    uint64_t position;       /* of the last event */
    uint64_t recorded_us;    /* of the last event */
    uint32_t entry_seq;      /* of the last event */
};

enum {
    SP_CORE_ANY_VERSION = -1, /* as uint64_t: no expectation */
};

/* The entry id that an event is to have in its stream. */
enum sp_id_wish {
    SP_ID_WISH_NONE = 0,
    SP_ID_WISH_MS = 1,    /* its milliseconds are given, its number is made */
    SP_ID_WISH_GIVEN = 2, /* all of it */
};

/* One event of an append, and what its owner found out about it. */
struct sp_core_candidate {
    struct sp_event *event;  /* complete but for what is assigned; filled in when appended */
    uint64_t stream_hash;    /* sp_stream_hash of its stream */
    uint64_t known_position; /* fact: where the same source and id is already; 0: nowhere */
    /* Fact: 1 + index of an earlier candidate with the same source and id; 0: none. */
    uint32_t same_as;
    enum sp_id_wish id_wish;
    struct sp_entry_id wished_id;
    /*
     * Fact, with a wish only: the id of the stream's last event, where its view does not know it
     * (sp_view_facts.last_id_known).
     */
    struct sp_entry_id last_id;
    /*
     * Filled in when appended: the own id that the event has to carry (SP_OWN_ID_NAME); none where
     * its id is the log's.
     */
    struct sp_entry_id own_id;
    uint32_t stream_index; /* filled in: its stream's place in the table */
};

/* "This stream is at this version." */
struct sp_core_expectation {
    sp_str stream;
    uint64_t stream_hash;
    uint64_t version;
};

/* Append all candidates that are new, or nothing. */
struct sp_core_append {
    uint64_t now_us; /* the owner's clock */
    struct sp_core_candidate *candidates;
    uint32_t candidate_count;
    const struct sp_core_expectation *expectations;
    uint32_t expectation_count;
};

/* What became of an append. */
struct sp_core_outcome {
    uint32_t appended_count;     /* candidates that are new; they have their positions */
    uint32_t failed_candidate;   /* not 0: 1 + index of the one whose id cannot be had */
    uint32_t failed_expectation; /* with SP_CONFLICT otherwise: which one */
    uint64_t actual_version;     /* with SP_CONFLICT otherwise: of its stream */
};

void sp_core_init(struct sp_core *core);
void sp_core_fini(struct sp_core *core);

/*
 * Decides an append: SP_OK, with the candidates' events completed and the state moved on;
 * SP_CONFLICT where an expectation does not hold and at least one candidate is new; SP_NO_MEMORY
 * or SP_LIMIT (streams). But for SP_OK nothing has changed. A candidate whose source and id are
 * known is left out and counts as done. O(candidates).
 *
 * Ids: SP_CONFLICT where a wished one is not above the last of the stream, SP_INVALID where it is
 * 0-0, SP_END where the stream has had its last possible id; failed_candidate says which. In a
 * stream that has own ids an event without a wish gets the log's id, or where this would not rise
 * the one after the stream's last.
 */
SP_WARN_UNUSED sp_status sp_core_step(struct sp_core *core, const struct sp_core_append *append,
                                      struct sp_core_outcome *ret_outcome);

/* What an event of the log does to the state. */
struct sp_core_applied {
    sp_str stream;
    uint64_t stream_hash;
    uint64_t position;
    uint64_t version;
    uint64_t recorded_us;
    uint32_t entry_seq;
    struct sp_entry_id own_id; /* that the event carries, or none */
};

/*
 * Folds one event of the log in. SP_CORRUPT where it does not continue the state: a position or a
 * version that does not follow, a time that falls, an own id that does not rise. SP_NO_MEMORY,
 * SP_LIMIT.
 */
SP_WARN_UNUSED sp_status sp_core_apply(struct sp_core *core, const struct sp_core_applied *applied);

/*
 * Folds ops that were just decided. They must get into the log, in this order, by the next control
 * record. SP_NO_MEMORY, SP_LIMIT, SP_CORRUPT (a bug): the state is wrong, throw the core away.
 */
SP_WARN_UNUSED sp_status sp_core_fold(struct sp_core *core, sp_str ops);

/*
 * The number of the control record that the ops go into which were folded since the last one; it is
 * counted as written. Before a snapshot is taken no such ops may be left.
 */
uint64_t sp_core_control_next(struct sp_core *core);

/*
 * Folds one control record of the log. SP_CORRUPT where its number is not the next one (one that
 * the state covers already, at or below control_number, is the caller's to skip), or its ops make
 * no sense; SP_NO_MEMORY, SP_LIMIT. Unless SP_OK the state is wrong.
 */
SP_WARN_UNUSED sp_status sp_core_control(struct sp_core *core, uint64_t number, sp_str ops,
                                         struct sp_error *error);

/* A hash of everything the log determines. O(streams, views, groups, agents, what they hold). */
uint64_t sp_core_hash(const struct sp_core *core);

/*
 * A copy of the mutable part of the state, taken at once, to be encoded at leisure on another
 * thread while the core goes on: names never change. Memory: 16 bytes a stream; views, groups and
 * agents are encoded at once, about 12 bytes a pending entry. NULL where memory is out.
 */
struct sp_core_snapshot;
struct sp_core_snapshot *sp_core_snapshot_new(const struct sp_core *core);
uint64_t sp_core_snapshot_position(const struct sp_core_snapshot *snapshot);
/* any-thread, as long as the core lives. The buffer's sticky status says whether it fitted. */
void sp_core_snapshot_encode(const struct sp_core_snapshot *snapshot, struct sp_buf *to);
void sp_core_snapshot_free(struct sp_core_snapshot *snapshot);

/* Fills a fresh core from an encoded snapshot. SP_CORRUPT, SP_UNSUPPORTED, SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_core_restore(struct sp_core *core, sp_str bytes,
                                         struct sp_error *error);

#endif
