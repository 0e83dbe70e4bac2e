/*
 * All small sagas with all that can befall them, in a rehearsal, before the oracle's eyes. pure
 *
 * A sweep goes through every arrangement of so many steps in sequences and parallel branches, every
 * choice of what each step is (an alphabet), and for each of these definitions through every
 * combination of what workers and people do, each told once without a crash, and again with crashes
 * at every append: with them it must come to the very same log, byte by byte.
 */
#ifndef SIM_SAGA_SWEEP_H
#define SIM_SAGA_SWEEP_H

#include "sim/saga_run.h"

/* What a step may be, one letter each:
 *   c, C  an action with a compensation, of one attempt or of two
 *   n, N  one without
 *   i, I  an irreversible one
 *   p     the pivot, P with two attempts: at most one, as a step of the saga itself
 *   f     one whose compensation runs also where it failed
 *   o     at most once, two attempts
 *   w, e, a  a wait for a time, for an event, an approval
 */
struct saga_sweep {
    const char *name;
    uint32_t steps;         /* how many */
    const char *alphabet;   /* of all steps */
    uint32_t outcomes;      /* of SAGA_OUTCOMES, of a command */
    uint32_t undo_outcomes; /* of a compensation's command */
    uint32_t people_max;
    uint32_t cancels;
    bool each_crash;        /* besides: one crash alone at each append, in each way */
    uint64_t runs_expected; /* of definitions and combinations; 0: not known */
};

struct saga_sweep_tally {
    uint64_t definitions;
    uint64_t refused;      /* definitions that break a rule of definitions */
    uint64_t combinations; /* runs without a crash */
    uint64_t runs;         /* all */
    uint64_t crashes;
    uint64_t events;
    uint64_t ends[SAGA_CANCELLED + 1];
    uint64_t problems;
    char what[1024]; /* the first problem, and how to see it */
};

/* Goes through it; stops at the first problem. `part` of `parts`: every so-manieth definition. */
void saga_sweep_run(const struct saga_sweep *sweep, uint32_t part, uint32_t parts,
                    struct saga_sweep_tally *tally);

/* Those that are run always, and those on demand; *ret_count of them. */
const struct saga_sweep *saga_sweeps(bool large, uint32_t *ret_count);

/*
 * Tells one run again, event by event: of the sweep's definition `number`, with these choices of
 * workers, as they stand in the problem's text ("0.3.1").
 */
void saga_sweep_tell(const struct saga_sweep *sweep, uint64_t number, const char *choices,
                     uint32_t crash, struct sp_buf *to);

#endif
