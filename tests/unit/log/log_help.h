/*
 * A log with contents that depend on a seed only: its clock and its entropy are fixed.
 */
#ifndef TESTS_UNIT_LOG_LOG_HELP_H
#define TESTS_UNIT_LOG_LOG_HELP_H

#include "log/local.h"
#include "memory_fs.h"

enum {
    HELP_BLOCK_BYTES = 64 << 10,
    HELP_SEGMENT_BYTES = (64 << 10) + 4096,
};

struct help_log {
    struct sp_fs *fs;
    bool keeps_raw; /* nothing is sealed */
    enum sp_log_local_durability durability;
    uint64_t sync_period_us;
    struct sp_log *log;
    uint64_t wall_us;
    uint64_t position; /* of the last event */
    uint64_t block;
    uint64_t count; /* of events asked for so far: their number */
};

/*
 * Opens the log of a folder, made where there is none, with one event's tree published at a time.
 */
void help_open(struct help_log *help, struct sp_fs *fs);

/* Appends one block of so many events, of some data_bytes each, and `controls` control records. */
void help_append(struct help_log *help, unsigned events, unsigned controls, size_t data_bytes);

void help_close(struct help_log *help);

#endif
