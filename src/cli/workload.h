/*
 * Events as agents write them, for measurements: the same ones for spoor and for what it is
 * compared with. pure
 *
 * A hundred runs of about 25 events go on at once, each event caused by one before it in its run.
 * Types, sources and tools repeat as they do in practice; ids, texts and numbers do not. The bytes
 * of type, source, stream, id, correlation, causation and data together are the size asked for, as
 * text; an id that the store will make counts with its 36 bytes. The same options give the same
 * events again, save for causes that were acknowledged at another moment.
 */
#ifndef SP_CLI_WORKLOAD_H
#define SP_CLI_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "spoor.h"

enum { SP_WORKLOAD_BYTES_MIN = 256, SP_WORKLOAD_BYTES_MAX = 1 << 20 };

struct sp_workload_options {
    uint64_t seed;
    uint32_t event_bytes;
    uint64_t stream_count; /* spread at random over so many; 0: each source is its own stream */
    bool makes_ids;        /* the producer's UUIDs of version 4; else the store makes ids */
    bool fills_streams;    /* the first stream_count events make one stream each */
};

struct sp_workload;

/* NULL where memory is out. Event sizes beyond the limits are brought within. */
struct sp_workload *sp_workload_new(const struct sp_workload_options *options);
void sp_workload_free(struct sp_workload *workload);

/*
 * The next event, valid until the next call. *ret_ticket is for sp_workload_acknowledge. Costs some
 * 60 ns for 300 bytes: the words are made beforehand.
 */
const spoor_event *sp_workload_next(struct sp_workload *workload, uint64_t *ret_ticket);

/* The store made this id: later events of the run name it as their cause. */
void sp_workload_acknowledge(struct sp_workload *workload, uint64_t ticket, const char *id);

#endif
