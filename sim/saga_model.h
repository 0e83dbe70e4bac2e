/*
 * The oracle of sagas: what may happen in one, and what must. pure
 *
 * Written from the rules and not from the product's code. It reads a saga's events and the answers
 * to it in the order of the log, and says of each whether it was allowed where it stands; and of a
 * moment at which nothing is due any more, whether something was forgotten. Every rule is one
 * sentence in saga_model.c. What it holds, by the names of the invariants of the literature:
 *
 *   S1  a compensation runs once, of a step that was started and came to success or to an unknown
 *       outcome; and is armed in the append of the step's command
 *   S2  it begins when all that came after its step in the same sequence has been undone
 *   S3  no step begins once the saga is failing
 *   S4  a late, second or strange answer is recorded once, and changes nothing
 *   S5  no deadline has an effect before its time, nor is one forgotten, nor has one two
 *   S6  behind an end there is nothing but ignored answers
 *   S10 at rest everything that could go on has
 *
 * S7 is the matter of the rehearsal, which makes the state again and compares.
 */
#ifndef SIM_SAGA_MODEL_H
#define SIM_SAGA_MODEL_H

#include "record/event.h"
#include "sim/saga_plan.h"

enum { SAGA_OWED_MAX = 32, SAGA_IGNORED_MAX = 100 };

enum saga_phase {
    SAGA_RUNNING = 0,
    SAGA_FAILING, /* nothing begins; what runs is told to stop, and waited for */
    SAGA_UNDOING,
    SAGA_COMPLETED,
    SAGA_COMPENSATED,
    SAGA_CANCELLED,
};

enum saga_forward {
    SAGA_IDLE = 0,
    SAGA_STARTED,
    SAGA_BACKOFF,
    SAGA_STUCK, /* failed for good, waits for a person */
    SAGA_DONE,
    SAGA_SKIPPED,
    SAGA_FAILED,  /* did nothing, so they say */
    SAGA_UNKNOWN, /* nobody knows whether it was done */
};

enum saga_undo {
    SAGA_NOT_UNDONE = 0,
    SAGA_UNDO_STARTED,
    SAGA_UNDO_BACKOFF,
    SAGA_UNDO_STUCK,
    SAGA_UNDONE,
    SAGA_UNDO_SKIPPED, /* by a person */
};

enum saga_answer { SAGA_NO_ANSWER = 0, SAGA_YES, SAGA_NO, SAGA_NEVER };

struct saga_state {
    enum saga_forward forward;
    enum saga_undo undo;
    uint32_t attempt;
    uint32_t undo_attempt;
    uint32_t tries;      /* since a person last said to try again */
    uint32_t undo_tries; /* likewise */
    bool opened;         /* a container that has told that it began */
    bool closed;
    bool told_to_stop;
    bool doubtful; /* some attempt ended nobody knows how */
    bool told;     /* that a person is needed */
    uint64_t due_us;
    enum saga_answer answer; /* has come, and is to be told */
    char answer_id[64];
};

struct saga_model {
    const struct saga_plan *plan;
    enum saga_phase phase;
    bool takes_word; /* for deadlines, see saga_model_start */
    bool by_cancel;
    bool by_time;
    bool pivoted;
    int culprit; /* the step that failed; SAGA_NONE */
    uint64_t deadline_us;
    char id[40];
    int command;         /* whose command was the last event, to be followed by its start */
    bool command_undo;   /* it is a compensation's */
    uint32_t owed_count; /* answers that are to be told as ignored */
    char owed[SAGA_OWED_MAX][64];
    uint32_t ignored;
    uint32_t answers;
    uint64_t last_us;
    uint64_t last_position;
    char wrong[400];                          /* empty: nothing is */
    struct saga_state states[SAGA_STEPS_MAX]; /* as many as the plan has steps */
};

/*
 * Begins with its saga.started. `takes_word`: deadlines are not worked out but taken from the
 * events. False: wrong.
 */
bool saga_model_start(struct saga_model *model, const struct saga_plan *plan, bool takes_word,
                      const struct sp_event *started);

/* True where the event is one of this saga's, or an answer to it. */
bool saga_model_concerns(const struct saga_model *model, const struct sp_event *event);

/* The next event that concerns it. False: it should not be; `wrong` says why. */
bool saga_model_event(struct saga_model *model, const struct sp_event *event);

/* At this moment nothing is due: is that so? */
bool saga_model_rest(struct saga_model *model, uint64_t now_us);

bool saga_model_is_over(const struct saga_model *model);
/* It waits for a person. */
bool saga_model_is_stuck(const struct saga_model *model);
const char *saga_phase_name(enum saga_phase phase);

#endif
