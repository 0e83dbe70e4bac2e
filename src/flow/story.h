/*
 * What happened to one saga: the events of its stream `saga:<id>`, told as JSON for programs and in
 * words for people. pure
 *
 * The events are given one by one, in their order, from the first; both tellings may be asked for
 * at any time and say how things stood after the last event given. They are a function of the
 * events (and of `now`, where it is given): the same events give the same bytes. Events that are of
 * no saga or of a kind that is not known are passed over, and so are members of an unexpected type;
 * what they would have said is missing then.
 *
 *     events of saga:<id> ──add──► steps, moments ──json──► {"sagaid": …, "steps": […]}
 *                                                 └─words─► Order 1234 could not …
 *
 * The steps stand in the order in which they first occurred. Results and errors are those of the
 * events; a result that is too large for the saga's own event is told by its position.
 *
 * Limits: SP_STORY_BYTES_MAX of text and SP_STORY_STEPS_MAX steps; beyond, SP_LIMIT. The words show
 * at most `moments_max` moments: the first ones and, behind a line that says how many are left out,
 * the last ones.
 */
#ifndef SP_FLOW_STORY_H
#define SP_FLOW_STORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "record/event.h"

enum {
    SP_STORY_BYTES_MAX = 256 << 20,
    SP_STORY_STEPS_MAX = 1 << 20,
    SP_STORY_MOMENTS_DEFAULT = 60,
};

struct sp_story;

/* What the story cannot know from the events; zero and empty where nobody does. */
struct sp_story_live {
    sp_str waiting_for;   /* worker, timer, approval, event, join, limit, operator; else as told */
    uint64_t due_us;      /* until when; 0: as the events say */
    uint64_t now_us;      /* for "in 3 min" in the words; 0: only times are told */
    uint32_t moments_max; /* lines of the words; 0: SP_STORY_MOMENTS_DEFAULT */
};

/* SP_OK or SP_NO_MEMORY. The caller frees it; NULL is fine there. */
SP_WARN_UNUSED sp_status sp_story_new(struct sp_story **ret_story);
void sp_story_free(struct sp_story *story);

/* The next event of the stream. Nothing of it is kept by reference. SP_NO_MEMORY, SP_LIMIT. */
SP_WARN_UNUSED sp_status sp_story_add(struct sp_story *story, const struct sp_event *event,
                                      struct sp_error *error);

/* Whether there was a saga.started: without it there is no such saga. */
bool sp_story_is_saga(const struct sp_story *story);

/* Whether it has ended: completed, compensated or cancelled. */
bool sp_story_is_over(const struct sp_story *story);

/* running, compensating, needs_attention, completed, compensated or cancelled; static. */
const char *sp_story_status(const struct sp_story *story);

/*
 * Appends one JSON object: sagaid, saga, version, definition, key, status, started, ended,
 * duration_ms, by, correlationid, causationid, data, forked_from, waiting_for, due, result, error,
 * reason, cancel {by, reason, at}, not_undone, attention [{step, phase, error, options}], ignored
 * (answers without effect), steps [{name, kind, status, attempts, action, result, error, started,
 * ended, due, … , compensation {action, status, attempts, result, error, by, why}}]. A member that
 * has nothing to say is left out, but a step's `result` and `error` are null then. There was a
 * saga.started. `live` may be NULL. Failure is the buffer's. O(events).
 */
void sp_story_json(const struct sp_story *story, const struct sp_story_live *live,
                   struct sp_buf *to);

/*
 * Appends the story in words, as lines of plain text that end in a line feed: what came of it, what
 * happened when, what is waited for, and what a person can do, as commands. Times are UTC. As for
 * sp_story_json otherwise.
 */
void sp_story_words(const struct sp_story *story, const struct sp_story_live *live,
                    struct sp_buf *to);

#endif
