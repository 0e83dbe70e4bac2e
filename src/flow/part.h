/*
 * What the parts of the flow floor have in common: sagas, approvals, joins, schedules and delayed
 * events. pure
 *
 * A part is a fold of the log. `apply` takes every event in the log's order, at the moment it is
 * appended and again on replay, and is all that changes the state: so the state is a function of
 * the log, and recovery is apply alone. From its state a part knows what is to be done: it yields
 * *work*, and what comes of a piece of work is events to append. Those come back through apply,
 * which is how the part learns that the work is done. Work that was yielded and lost (a crash, a
 * refused append) is yielded again after `restore`, or after it is given back.
 *
 *     event ──apply──► state ──next──► work ──ask──► JSON ──(jq)──► value
 *                        ▲                └──────────act◄────────────┘
 *                        └────apply◄──── events, one append ◄──┘
 *
 * Nothing here reads a clock, the log or runs a program: time, randomness, events of the past and
 * values of programs are handed in. The owner promises: apply sees every event once and in order;
 * the events of one act are appended together, or not at all; between an act and its append nothing
 * else is appended.
 *
 * Exactly once: whether something is still to be done is looked at in `act`, against the state as
 * it is then. SP_NOT_FOUND says that it is not, and is no error.
 */
#ifndef SP_FLOW_PART_H
#define SP_FLOW_PART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/wire.h"
#include "record/event.h"

enum {
    SP_FLOW_OUT_EVENTS_MAX = 16,      /* of one act */
    SP_FLOW_PROGRAM_BYTES_MAX = 4096, /* of a jq program in a definition */
};

/* Something to be done now. A value: it names its matter, and owns nothing. */
struct sp_flow_work {
    uint32_t part; /* set by sp_flow_next */
    uint32_t kind; /* the part's own */
    uint64_t a;    /* the part's own */
    uint64_t b;
    uint64_t c;
    sp_str
        program; /* jq to be run over what `ask` gives; empty: none. Lasts until the next apply */
};

/* Reads an event of the past, which its owner keeps (sp_flow_oldest). */
struct sp_flow_ports {
    void *context;
    /*
     * The event at a position at or below the last one applied. Slices last until the next read.
     * SP_CORRUPT, SP_NOT_FOUND and so on, as the log says.
     */
    sp_status (*read)(void *context, uint64_t position, struct sp_event *ret_event,
                      struct sp_error *error);
};

/*
 * What the program said. Or, with `refused`, why the events of the act before could not be
 * appended: it is asked once more, whether the work has a program or not, and what it gives now
 * should say so and be done with it. SP_LIMIT: too large; SP_INVALID: a schema does not allow it,
 * or it makes no sense; SP_CONFLICT: every one of the events is there already by its source and id,
 * so that apply would see nothing, and `position` says where the last one is.
 */
struct sp_flow_answer {
    sp_status status; /* SP_OK: `value` is JSON; otherwise `error` says what was wrong */
    bool refused;
    uint64_t position;
    sp_str value;
    sp_str error;
};

/* The circumstances of an act. */
struct sp_flow_now {
    uint64_t now_us;    /* wall clock, microseconds since 1970 */
    uint64_t random;    /* fresh for each act */
    uint8_t new_id[16]; /* a UUIDv7, fresh for each act */
    const struct sp_flow_ports *ports;
    struct sp_flow_answer answer; /* where the work has a program */
};

/*
 * Events to append together, in order: built by acts, appended by the owner. Texts are kept in
 * `text`, which may move while it is built: take events with sp_flow_out_event when it is finished.
 */
struct sp_flow_slice {
    uint32_t offset;
    uint32_t len;
};

struct sp_flow_out_extension {
    struct sp_flow_slice name;
    struct sp_flow_slice value;
    enum sp_value_kind kind;
};

struct sp_flow_out_event {
    uint32_t present; /* attributes that are there, one bit each */
    bool has_data;
    struct sp_flow_slice attr[SP_ATTR_COUNT];
    struct sp_flow_slice data;
    uint32_t extension_count;
    struct sp_flow_out_extension extensions[SP_EVENT_EXTENSIONS_MAX];
};

struct sp_flow_out {
    struct sp_buf text;
    uint32_t count;
    bool full; /* more than SP_FLOW_OUT_EVENTS_MAX: a bug of the part */
    struct sp_flow_out_event events[SP_FLOW_OUT_EVENTS_MAX];
};

void sp_flow_out_init(struct sp_flow_out *out);
void sp_flow_out_fini(struct sp_flow_out *out);
void sp_flow_out_reset(struct sp_flow_out *out);
/* Begins the next event: those below go to it. Its source is "spoor" unless another is set. */
void sp_flow_out_begin(struct sp_flow_out *out, sp_str type, sp_str stream);
void sp_flow_out_attr(struct sp_flow_out *out, enum sp_attr attr, sp_str value);
void sp_flow_out_text(struct sp_flow_out *out, sp_str name, sp_str value);     /* an extension */
void sp_flow_out_number(struct sp_flow_out *out, sp_str name, uint64_t value); /* likewise */
/* Its data: JSON that is there, or a buffer to write JSON to, closed with end. */
void sp_flow_out_data(struct sp_flow_out *out, sp_str json);
struct sp_buf *sp_flow_out_data_begin(struct sp_flow_out *out);
void sp_flow_out_data_end(struct sp_flow_out *out);
/* SP_OK, SP_NO_MEMORY, SP_LIMIT: whether all of it fitted. */
sp_status sp_flow_out_status(const struct sp_flow_out *out);
/* A copy of another event, with all that its producer said. */
void sp_flow_out_copy(struct sp_flow_out *out, const struct sp_event *event);
/* The finished event; slices last as long as `out` is not changed. */
void sp_flow_out_event(const struct sp_flow_out *out, uint32_t index, struct sp_event *ret_event);

/* A part, as a table. `self` is its state. */
struct sp_flow_part_ops {
    const char *name;
    /* SP_OK also for what it does not want; SP_NO_MEMORY, SP_LIMIT: the state is wrong now. */
    sp_status (*apply)(void *self, const struct sp_event *event, struct sp_error *error);
    /* Takes the next piece of work that is due, in the order in which it became so; false: none. */
    bool (*next)(void *self, uint64_t now_us, struct sp_flow_work *ret_work);
    /* The append of what it led to was refused for now: it is to be yielded again. */
    void (*back)(void *self, const struct sp_flow_work *work);
    /* Writes the JSON that the work's program is to see. SP_NOT_FOUND: no longer to be done. */
    sp_status (*ask)(void *self, const struct sp_flow_work *work, const struct sp_flow_ports *ports,
                     struct sp_buf *to, struct sp_error *error);
    /* What to append. Changes nothing. SP_NOT_FOUND: no longer to be done. */
    sp_status (*act)(void *self, const struct sp_flow_work *work, const struct sp_flow_now *now,
                     struct sp_flow_out *out, struct sp_error *error);
    /* When time alone makes more work due; 0: there is some now; UINT64_MAX: never. O(1). */
    uint64_t (*due)(const void *self);
    /* The first position that it may still read; UINT64_MAX: none. O(what it holds). */
    uint64_t (*oldest)(const void *self);
    uint64_t (*hash)(const void *self);
    void (*encode)(const void *self, struct sp_buf *to);
    sp_status (*restore)(void *self, struct sp_wire *wire); /* into a fresh one. SP_CORRUPT … */
};

#endif
