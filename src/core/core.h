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
 */
#ifndef SP_CORE_CORE_H
#define SP_CORE_CORE_H

#include "base/buf.h"
#include "base/error.h"
#include "core/streams.h"
#include "record/event.h"

struct sp_core {
    struct sp_streams streams;
    uint64_t position;    /* of the last event */
    uint64_t recorded_us; /* of the last event */
    uint32_t entry_seq;   /* of the last event */
};

enum {
    SP_CORE_ANY_VERSION = -1, /* as uint64_t: no expectation */
};

/* One event of an append, and what its owner found out about it. */
struct sp_core_candidate {
    struct sp_event *event;  /* complete but for what is assigned; filled in when appended */
    uint64_t stream_hash;    /* sp_stream_hash of its stream */
    uint64_t known_position; /* fact: where the same source and id is already; 0: nowhere */
    /* Fact: 1 + index of an earlier candidate with the same source and id; 0: none. */
    uint32_t same_as;
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
    uint32_t failed_expectation; /* with SP_CONFLICT: which one */
    uint64_t actual_version;     /* with SP_CONFLICT: of its stream */
};

void sp_core_init(struct sp_core *core);
void sp_core_fini(struct sp_core *core);

/*
 * Decides an append: SP_OK, with the candidates' events completed and the state moved on;
 * SP_CONFLICT where an expectation does not hold and at least one candidate is new; SP_NO_MEMORY
 * or SP_LIMIT (streams). But for SP_OK nothing has changed. A candidate whose source and id are
 * known is left out and counts as done. O(candidates).
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
};

/*
 * Folds one event of the log in. SP_CORRUPT where it does not continue the state: a position or a
 * version that does not follow, a time that falls. SP_NO_MEMORY, SP_LIMIT.
 */
SP_WARN_UNUSED sp_status sp_core_apply(struct sp_core *core, const struct sp_core_applied *applied);

/* A hash of everything the log determines. O(streams). */
uint64_t sp_core_hash(const struct sp_core *core);

/*
 * A copy of the mutable part of the state, taken at once, to be encoded at leisure on another
 * thread while the core goes on: names never change. Memory: 16 bytes a stream. NULL where memory
 * is out.
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
