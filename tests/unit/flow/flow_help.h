/*
 * A store in memory for one part of the flow floor: events that come in are kept, numbered and
 * applied; what the part wants done is done and appended. It can die at any moment, and at every
 * event the part is compared with one made from a snapshot, at the end with one folded anew.
 */
#ifndef FLOW_HELP_H
#define FLOW_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "flow/part.h"
#include "flow/watch.h"

struct stage_event {
    uint8_t *record; /* as the log has it */
    size_t size;
    uint64_t position;
    uint64_t recorded_us;
    char scratch[SP_RECORD_SCRATCH_BYTES];
};

struct stage {
    const struct sp_flow_part_ops *ops;
    void *(*make)(struct stage *stage);
    void (*drop)(void *self);
    /* Stands for jq: writes what the program says of the input. NULL: the input itself. */
    sp_status (*program)(sp_str text, sp_str input, struct sp_buf *to);
    bool uses_watch;
    bool is_quick; /* no snapshot at every event */
    void *self;
    struct sp_watch watch; /* of self */
    struct stage_event *events;
    uint64_t count;
    uint64_t now_us;
    uint64_t refused_at; /* the act of that number is refused; 0: none */
    uint64_t acts;
    uint64_t ids;
    struct sp_flow_out out;
    struct sp_event read;
};

void stage_begin(struct stage *stage);
void stage_end(struct stage *stage); /* compares with a fold of all events, and frees */

/* Appends; an event without id, source, stream, correlation is given them. Returns its position. */
uint64_t stage_append(struct stage *stage, struct sp_event *event);
/* The same of parts: NULL for what is not there. `dueus` and so on as extension: name, number. */
uint64_t stage_add(struct stage *stage, const char *type, const char *stream, const char *data);

/* Does all that is due, at most `max` pieces of work; returns how many were done. */
uint32_t stage_work(struct stage *stage, uint32_t max);
/* Takes and asks works as the driver does, in batches, then acts. */
uint32_t stage_work_batch(struct stage *stage, uint32_t batch);
/* The process dies and comes again: from a snapshot, or by a fold of all events. */
void stage_restart(struct stage *stage, bool from_snapshot);
/* Goes on to the next time that is due, if it is not behind `until`, and works; false: none was. */
bool stage_advance(struct stage *stage, uint64_t until_us);

/* The event at a position; borrowed until the next call. */
const struct sp_event *stage_event(struct stage *stage, uint64_t position);
/* How many events of the type there are; the last one's position in *ret_last if it is not NULL. */
uint32_t stage_count(struct stage *stage, const char *type, uint64_t *ret_last);
void stage_assert_data(struct stage *stage, uint64_t position, const char *expected);
void stage_assert_attr(struct stage *stage, uint64_t position, enum sp_attr attr,
                       const char *expected);

extern const struct sp_flow_ports *stage_ports(struct stage *stage);

/* An event to be appended. */
struct sp_event stage_make(const char *type, const char *stream, const char *data);
void stage_extend(struct sp_event *event, const char *name, const char *number);

void assert_str(sp_str text, const char *expected);

#endif
