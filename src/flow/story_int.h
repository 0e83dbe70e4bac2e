/*
 * What a story keeps of a saga, shared by its fold and its two tellings. pure
 *
 * Texts lie one behind the other in `text` and are named by slices; those of values (results,
 * errors, lists) are JSON, all others plain UTF-8. A slice of no length is an absent one.
 */
#ifndef SP_FLOW_STORY_INT_H
#define SP_FLOW_STORY_INT_H

#include "base/htab.h"
#include "base/json.h"
#include "flow/part.h"
#include "flow/story.h"

enum { SP_STORY_NO_STEP = UINT32_MAX };

/* What the events of a saga are; the table in story.c gives their types. */
enum sp_story_kind {
    SP_STORY_STARTED = 0,
    SP_STORY_STEP_STARTED,
    SP_STORY_STEP_COMPLETED,
    SP_STORY_STEP_FAILED,
    SP_STORY_STEP_TIMED_OUT,
    SP_STORY_STEP_SKIPPED,
    SP_STORY_STEP_CANCELLED,
    SP_STORY_ANSWER_IGNORED,
    SP_STORY_APPROVAL_REQUESTED,
    SP_STORY_APPROVAL_ESCALATED,
    SP_STORY_APPROVAL_GRANTED,
    SP_STORY_APPROVAL_REJECTED,
    SP_STORY_CANCEL_REQUESTED,
    SP_STORY_COMPENSATION_STARTED,
    SP_STORY_STEP_COMPENSATING,
    SP_STORY_STEP_COMPENSATED,
    SP_STORY_COMPENSATION_FAILED,
    SP_STORY_NEEDS_ATTENTION,
    SP_STORY_ATTENTION_RESOLVED,
    SP_STORY_COMPLETED,
    SP_STORY_COMPENSATED,
    SP_STORY_CANCELLED,
    SP_STORY_KIND_COUNT,
};

enum sp_story_status {
    SP_STORY_IS_RUNNING = 0,
    SP_STORY_IS_COMPENSATING,
    SP_STORY_IS_COMPLETED,
    SP_STORY_IS_COMPENSATED,
    SP_STORY_IS_CANCELLED,
};

enum sp_story_step_status {
    SP_STORY_STEP_IS_PENDING = 0,
    SP_STORY_STEP_IS_RUNNING,
    SP_STORY_STEP_IS_RETRYING,
    SP_STORY_STEP_IS_WAITING, /* for a decision, a time or an event */
    SP_STORY_STEP_IS_COMPLETED,
    SP_STORY_STEP_IS_FAILED,
    SP_STORY_STEP_IS_TIMED_OUT,
    SP_STORY_STEP_IS_SKIPPED,
    SP_STORY_STEP_IS_CANCELLED,
};

enum sp_story_undo_status {
    SP_STORY_UNDO_NONE = 0, /* there is none, or its step was never started */
    SP_STORY_UNDO_ARMED,
    SP_STORY_UNDO_RUNNING,
    SP_STORY_UNDO_RETRYING,
    SP_STORY_UNDO_FAILED,
    SP_STORY_UNDO_COMPENSATED,
    SP_STORY_UNDO_SKIPPED,
    SP_STORY_UNDO_MARKED_DONE,
};

/* Members of the events' data that a story goes by; names in story.c. */
enum sp_story_fact {
    SP_FACT_ACTION = 0,
    SP_FACT_ANSWER,
    SP_FACT_ATTEMPT,
    SP_FACT_BRANCH,
    SP_FACT_BY,
    SP_FACT_CHOICE,
    SP_FACT_CHOICES,
    SP_FACT_COMPENSATION,
    SP_FACT_DATA,
    SP_FACT_DEADLINE,
    SP_FACT_DEFINITION,
    SP_FACT_ERROR,
    SP_FACT_EVENT,
    SP_FACT_FORKED_FROM,
    SP_FACT_HOW,
    SP_FACT_IRREVERSIBLE,
    SP_FACT_ITEMS,
    SP_FACT_KEY,
    SP_FACT_KIND,
    SP_FACT_NOT_UNDONE,
    SP_FACT_ON_TIMEOUT,
    SP_FACT_OPTIONS,
    SP_FACT_PHASE,
    SP_FACT_PIVOT,
    SP_FACT_PROMPT,
    SP_FACT_PROPOSAL,
    SP_FACT_REASON,
    SP_FACT_RESULT,
    SP_FACT_RESULT_POSITION,
    SP_FACT_RETRY_AT,
    SP_FACT_SAGA,
    SP_FACT_STEP,
    SP_FACT_STEPS,
    SP_FACT_TIMEOUT_AT,
    SP_FACT_TO,
    SP_FACT_UNTIL,
    SP_FACT_VERSION,
    SP_FACT_WHO,
    SP_FACT_WHY,
    SP_FACT_COUNT,
};

/* One telling of an attempt: forth, or back. */
struct sp_story_try {
    struct sp_flow_slice action;
    struct sp_flow_slice result; /* JSON */
    struct sp_flow_slice error;  /* JSON */
    uint64_t result_position;    /* where it was too large; else 0 */
    uint64_t started_us;         /* of the last attempt */
    uint64_t ended_us;           /* 0: not yet */
    uint64_t due_us;             /* its timeout, or when it is tried again; 0: none */
    uint32_t attempts;
    struct sp_flow_slice by; /* the person who ended it, and why */
    struct sp_flow_slice why;
};

struct sp_story_step {
    struct sp_flow_slice path;
    struct sp_flow_slice kind;    /* empty: an action */
    struct sp_flow_slice reason;  /* of a skip or a cancel */
    struct sp_flow_slice prompt;  /* of an approval, as the next four */
    struct sp_flow_slice choices; /* JSON */
    struct sp_flow_slice who;     /* JSON */
    struct sp_flow_slice proposal;
    struct sp_flow_slice choice;
    struct sp_flow_slice awaited; /* of a wait: the pattern of the event */
    struct sp_flow_slice options; /* of an open attention, JSON */
    uint64_t first_us;            /* when it was started first */
    struct sp_story_try forth;
    struct sp_story_try back;
    uint8_t status; /* enum sp_story_step_status */
    uint8_t undo;   /* enum sp_story_undo_status */
    bool irreversible;
    bool pivot;
    bool decided_by_time; /* an approval that nobody answered */
    bool rejected;
    bool attention;      /* a person must decide */
    bool attention_back; /* about undoing it */
};

struct sp_story_moment {
    uint64_t time_us;
    uint64_t due_us;    /* retry, deadline */
    uint64_t lasted_us; /* since the attempt began */
    uint32_t step;      /* SP_STORY_NO_STEP: of none */
    uint32_t attempt;
    uint8_t kind;              /* enum sp_story_kind */
    bool flag;                 /* on_timeout */
    struct sp_flow_slice what; /* depends on the kind: see story.c */
    struct sp_flow_slice by;
    struct sp_flow_slice why;
};

struct sp_story {
    struct sp_buf text;
    struct sp_story_step *steps;
    uint32_t step_count;
    uint32_t step_capacity;
    struct sp_htab by_path;
    struct sp_story_moment *moments;
    uint32_t moment_count;
    uint32_t moment_capacity;
    bool is_saga;
    uint8_t status;       /* enum sp_story_status */
    uint32_t attentions;  /* steps that wait for a person */
    uint32_t failed_step; /* why it is being undone; SP_STORY_NO_STEP */
    uint32_t ignored;
    uint64_t started_us;
    uint64_t ended_us;
    uint64_t due_us; /* timeout of the whole; 0: none */
    uint64_t cancel_us;
    struct sp_flow_slice id;
    struct sp_flow_slice saga;
    struct sp_flow_slice version; /* JSON */
    struct sp_flow_slice definition;
    struct sp_flow_slice key;
    struct sp_flow_slice by;
    struct sp_flow_slice correlation;
    struct sp_flow_slice causation;
    struct sp_flow_slice data;        /* JSON */
    struct sp_flow_slice forked_from; /* JSON */
    struct sp_flow_slice result;      /* JSON */
    struct sp_flow_slice error;       /* JSON */
    struct sp_flow_slice reason;
    struct sp_flow_slice cancel_by;
    struct sp_flow_slice cancel_why;
    struct sp_flow_slice not_undone; /* JSON */
};

static inline sp_str sp_story_text(const struct sp_story *story, struct sp_flow_slice slice) {
    return sp_str_of(slice.len == 0 ? NULL : story->text.data + slice.offset, slice.len);
}

/* What is waited for, and by which step: as the events say, or as `live` knows. */
struct sp_story_wait {
    sp_str what;
    uint64_t due_us;
    uint32_t step; /* SP_STORY_NO_STEP: none in particular */
};

struct sp_story_wait sp_story_wait(const struct sp_story *story, const struct sp_story_live *live);

#endif
