/*
 * Writes the log that tests/golden/format-1 keeps: the same bytes every time.
 */
#ifndef TESTS_CONFORMANCE_GOLDEN_WRITER_H
#define TESTS_CONFORMANCE_GOLDEN_WRITER_H

#include "log/local.h"
#include "record/event.h"

enum { GOLDEN_SEGMENT_BYTES = 416 << 10, GOLDEN_BLOCK_BYTES = 64 << 10 };

/* An event of the golden log, and the memory that it points into. */
struct golden_event {
    struct sp_event event;
    char id[64];
    char correlation[64];
    char stream[32];
    char source[32];
    char data[8192];
};

/* Makes the event at this position. */
void golden_event(uint64_t position, struct golden_event *ret_event);

/* The options that open the golden log to write or to go on with it. */
struct golden_world {
    uint64_t wall_us;
    uint64_t monotonic_us;
    struct sp_log *log;
};
struct sp_log_local_options golden_options(struct golden_world *world, struct sp_fs *fs);

/* Writes the whole log into an empty folder and closes it. Returns the number of events. */
uint64_t golden_write(struct sp_fs *fs);

/* Opens the log in the folder and recovers it. */
void golden_open(struct golden_world *world, struct sp_fs *fs);

/* Appends one block of events, and control records behind them. */
void golden_append(struct golden_world *world, unsigned events, unsigned controls);

#endif
