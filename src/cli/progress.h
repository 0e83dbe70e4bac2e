/*
 * One line on stderr that says how far long work is; only on a terminal. loop-thread
 */
#ifndef SP_CLI_PROGRESS_H
#define SP_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"

struct sp_progress {
    bool is_shown;
    bool has_line; /* something stands on the terminal */
    uint64_t started_ns;
    uint64_t shown_ns;
};

void sp_progress_init(struct sp_progress *progress, bool is_quiet);

/* Seconds since sp_progress_init. */
double sp_progress_seconds(const struct sp_progress *progress);

/* True where it is time to show something again; asks the clock. */
bool sp_progress_is_due(struct sp_progress *progress);

/* Replaces the line. */
void sp_progress_show(struct sp_progress *progress, const char *format, ...) SP_PRINTF(2, 3);

/* Removes the line, before other messages. */
void sp_progress_clear(struct sp_progress *progress);

#endif
