/*
 * Stepping through a run: what one of its events did. loop-thread
 */
#ifndef SP_CLI_RUN_STEP_H
#define SP_CLI_RUN_STEP_H

#include "cli/cli.h"

enum { SP_RUN_POSITION_SIZE = 24 };

/* One event of a run, and where it stands in it. */
struct sp_run_step {
    const char *run;
    uint64_t number; /* from 1 */
    uint64_t of;     /* how many events the run has */
    uint64_t position;
    uint64_t position_before;         /* of the event before it; 0: it is the first */
    uint64_t position_shown;          /* from where on its last events are shown */
    char until[SP_RUN_POSITION_SIZE]; /* the position as a moment */
    struct sp_buf before; /* answers about its row of `runs`; empty where there is none */
    struct sp_buf after;
};

/*
 * Finds the event that `at` means: the N-th; where the run has not so many, the last one at or
 * before that position; or the last that had happened at that entry id or time. Asks what its row
 * of `runs` was before and after it. Returns an exit code; what cannot be found is said.
 */
SP_WARN_UNUSED int sp_run_step_init(struct sp_cli *cli, spoor *store, const char *run,
                                    const char *at, struct sp_run_step *step);
void sp_run_step_fini(struct sp_run_step *step);

/* Shows the event, and what it changed. */
SP_WARN_UNUSED int sp_run_step_show(struct sp_cli *cli, spoor *store,
                                    const struct sp_run_step *step);

/* Appends ,"at":{…},"event":{…},"before":{…},"after":{…},"changed":[…] to stdout. */
SP_WARN_UNUSED int sp_run_step_json(struct sp_cli *cli, spoor *store,
                                    const struct sp_run_step *step);

#endif
