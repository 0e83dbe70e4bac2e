/*
 * What happened in a saga when, a line for each moment.
 */
#include "flow/story_told.h"

#include "flow/story_phrase.h"

enum { VALUE_BYTES = 100 };

/* One moment being told. */
struct line {
    struct sp_buf *to;
    const struct sp_story *story;
    const struct sp_story_moment *moment;
    const struct sp_story_step *step; /* NULL: about none */
};

static void say(const struct line *line, const char *text) {
    sp_buf_add_str(line->to, sp_str_from(text));
}

static void say_text(const struct line *line, struct sp_flow_slice text, const char *otherwise) {
    sp_buf_add_str(line->to,
                   text.len > 0 ? sp_story_text(line->story, text) : sp_str_from(otherwise));
}

static void say_value(const struct line *line, struct sp_flow_slice json) {
    sp_phrase_value(line->to, sp_story_text(line->story, json), VALUE_BYTES);
}

/* " (…)" */
static void say_value_aside(const struct line *line, struct sp_flow_slice json) {
    if (json.len > 0) {
        say(line, " (");
        say_value(line, json);
        say(line, ")");
    }
}

static void say_why(const struct line *line) {
    if (line->moment->why.len > 0) {
        say(line, " (");
        say_text(line, line->moment->why, "");
        say(line, ")");
    }
}

static void say_step(const struct line *line) {
    sp_phrase_step(line->to, line->story, line->step);
}

static void say_undo(const struct line *line) {
    sp_phrase_undo(line->to, line->story, line->step);
}

static void say_when(const struct line *line, const char *before) {
    if (line->moment->due_us != 0) {
        say(line, before);
        sp_phrase_time(line->to, line->moment->due_us, line->moment->time_us);
    }
}

static void say_lasted(const struct line *line) {
    if (line->moment->lasted_us >= 1000) {
        say(line, " after ");
        sp_phrase_length(line->to, line->moment->lasted_us);
    }
}

static void say_attempt(const struct line *line) {
    if (line->moment->attempt > 1) {
        say(line, ", attempt ");
        sp_buf_add_u64(line->to, line->moment->attempt);
    }
}

static void say_retry(const struct line *line) {
    if (line->moment->due_us == 0) {
        say(line, "; it is not tried again");
    }
    say_when(line, "; it is tried again at ");
}

static bool is_kind(const struct line *line, const char *kind) {
    return sp_str_eq(sp_story_text(line->story, line->step->kind), sp_str_from(kind));
}

/* ---- one line for each kind ---- */

static void tell_started(const struct line *line) {
    const struct sp_story *story = line->story;
    say(line, "it begins");
    if (story->by.len > 0) {
        say(line, ", started by ");
        say_text(line, story->by, "");
    }
    if (story->causation.len > 0) {
        say(line, ", because of event ");
        say_text(line, story->causation, "");
    }
    if (story->forked_from.len > 0) {
        say(line, ", continued from ");
        say_value(line, story->forked_from);
    }
}

static void tell_wait(const struct line *line) {
    say_step(line);
    if (line->step->awaited.len > 0) {
        say(line, ": waits for an event ");
        say_text(line, line->step->awaited, "");
        say_when(line, ", until ");
        return;
    }
    say(line, ": waits");
    say_when(line, " until ");
}

static void tell_step_started(const struct line *line) {
    if (is_kind(line, "wait")) {
        tell_wait(line);
        return;
    }
    say_step(line);
    if (line->step->forth.action.len > 0) {
        say(line, line->moment->attempt > 1 ? ": a worker is asked again" : ": a worker is asked");
        say_attempt(line);
        return;
    }
    say(line, ": begins");
    if (line->moment->what.len > 0) {
        say(line, is_kind(line, "choice") ? " with way " : ", items: ");
        say_value(line, line->moment->what);
    }
}

static void tell_step_completed(const struct line *line) {
    say_step(line);
    say(line, ": done");
    say_lasted(line);
    say_value_aside(line, line->moment->what);
}

static void tell_step_failed(const struct line *line) {
    say_step(line);
    say(line, ": failed");
    say_lasted(line);
    say_value_aside(line, line->moment->what);
    say_retry(line);
}

static void tell_step_timed_out(const struct line *line) {
    say_step(line);
    if (is_kind(line, "wait")) {
        say(line, ": it did not come in time");
        return;
    }
    say(line, ": no answer");
    say_lasted(line);
    say(line, ", so nobody knows whether it happened");
    say_retry(line);
}

static void tell_step_skipped(const struct line *line) {
    sp_str reason = sp_story_text(line->story, line->moment->what);
    say_step(line);
    if (sp_str_eq(reason, SP_STR("operator"))) {
        say(line, ": passed over by ");
        say_text(line, line->moment->by, "somebody");
        say_why(line);
    } else if (sp_str_eq(reason, SP_STR("choice"))) {
        say(line, ": passed over, no way fits");
    } else {
        say(line, ": passed over, its condition does not hold");
    }
}

static void tell_step_cancelled(const struct line *line) {
    say_step(line);
    say(line, ": the worker is told to stop");
    if (line->moment->what.len > 0) {
        say(line, " (");
        say_text(line, line->moment->what, "");
        say(line, ")");
    }
}

static const struct {
    const char *reason;
    const char *words;
} ignored_reasons[] = {
    {"late", "it came too late"},
    {"duplicate", "it had been answered already"},
    {"wrong_attempt", "it was to an attempt that had been given up"},
    {"unknown_step", "there is no such step"},
    {"not_waiting", "no answer was waited for"},
    {"unreadable", "it could not be read"},
    {"not_allowed", "whoever sent it may not decide"},
    {"unknown_choice", "there is no such choice"},
};

static void tell_answer_ignored(const struct line *line) {
    sp_str reason = sp_story_text(line->story, line->moment->what);
    const char *words = NULL;
    for (unsigned i = 0; i < sizeof(ignored_reasons) / sizeof(ignored_reasons[0]); i++) {
        if (sp_str_eq(reason, sp_str_from(ignored_reasons[i].reason))) {
            words = ignored_reasons[i].words;
        }
    }
    if (line->step != NULL) {
        say_step(line);
        say(line, ": ");
    }
    say(line, "an answer changes nothing, ");
    words != NULL ? say(line, words) : say_text(line, line->moment->what, "for some reason");
}

static void say_prompt(const struct line *line) {
    say(line, "“");
    say_text(line, line->step->prompt, "May it go on?");
    say(line, "”");
}

static void tell_approval_requested(const struct line *line) {
    if (line->moment->what.len > 2) {
        sp_phrase_list(line->to, sp_story_text(line->story, line->moment->what), "or");
        say(line, " is asked: ");
    } else {
        say(line, "people are asked: ");
    }
    say_prompt(line);
    say_when(line, ", until ");
}

static void tell_approval_escalated(const struct line *line) {
    if (line->moment->what.len > 2) {
        sp_phrase_list(line->to, sp_story_text(line->story, line->moment->what), "or");
        say(line, " is asked now: ");
    } else {
        say(line, "others are asked now: ");
    }
    say_prompt(line);
}

static void tell_approval_decided(const struct line *line) {
    bool granted = line->moment->kind == SP_STORY_APPROVAL_GRANTED;
    if (line->moment->flag) {
        say(line, "nobody answered ");
        say_prompt(line);
        say(line, granted ? " in time, which means yes" : " in time, which means no");
        return;
    }
    say_text(line, line->moment->by, "somebody");
    say(line, " answered “");
    say_text(line, line->moment->what, granted ? "approve" : "reject");
    say(line, "” to ");
    say_prompt(line);
    say_lasted(line);
    say_why(line);
}

static void tell_cancel_requested(const struct line *line) {
    say_text(line, line->moment->by, "somebody");
    say(line, " asks to end it");
    say_why(line);
}

static void tell_compensation_started(const struct line *line) {
    sp_str reason = sp_story_text(line->story, line->moment->what);
    say(line, "what was done is undone from here on");
    if (sp_str_eq(reason, SP_STR("cancelled"))) {
        say(line, ", because it was cancelled");
    } else if (sp_str_eq(reason, SP_STR("timed_out"))) {
        say(line, ", because it did not end in time");
    } else if (line->step != NULL) {
        say(line, ", because of: ");
        say_step(line);
    }
}

static void tell_compensating(const struct line *line) {
    say_undo(line);
    say(line, line->moment->attempt > 1 ? ": a worker is asked again" : ": a worker is asked");
    say_attempt(line);
}

static void tell_compensated(const struct line *line) {
    say_undo(line);
    if (line->step->undo == SP_STORY_UNDO_SKIPPED) {
        say(line, ": left as it is");
    } else if (line->step->undo == SP_STORY_UNDO_MARKED_DONE) {
        say(line, ": done by hand");
    } else {
        say(line, ": done");
        say_lasted(line);
    }
    say_value_aside(line, line->moment->what);
}

static void tell_compensation_failed(const struct line *line) {
    say_undo(line);
    say(line, ": failed");
    say_lasted(line);
    say_value_aside(line, line->moment->what);
    say_retry(line);
}

static void tell_needs_attention(const struct line *line) {
    line->moment->flag ? say_undo(line) : say_step(line);
    say(line, ": a person must decide what to do");
}

static void tell_attention_resolved(const struct line *line) {
    sp_str action = sp_story_text(line->story, line->moment->what);
    say_text(line, line->moment->by, "somebody");
    say(line, sp_str_eq(action, SP_STR("retry"))       ? " decides to try again: "
              : sp_str_eq(action, SP_STR("skip"))      ? " decides to leave it: "
              : sp_str_eq(action, SP_STR("mark_done")) ? " says that it is done: "
                                                       : " decides to undo all: ");
    line->step->attention_back ? say_undo(line) : say_step(line);
    say_why(line);
}

static void tell_end(const struct line *line) {
    enum sp_story_kind kind = line->moment->kind;
    say(line, kind == SP_STORY_COMPLETED     ? "it is done"
              : kind == SP_STORY_COMPENSATED ? "it ends, and what it did is undone"
                                             : "it ends, cancelled");
    say(line, ", ");
    sp_phrase_length(line->to, line->moment->lasted_us);
    say(line, " after it began");
}

static void (*const tells[SP_STORY_KIND_COUNT])(const struct line *line) = {
    [SP_STORY_STARTED] = tell_started,
    [SP_STORY_STEP_STARTED] = tell_step_started,
    [SP_STORY_STEP_COMPLETED] = tell_step_completed,
    [SP_STORY_STEP_FAILED] = tell_step_failed,
    [SP_STORY_STEP_TIMED_OUT] = tell_step_timed_out,
    [SP_STORY_STEP_SKIPPED] = tell_step_skipped,
    [SP_STORY_STEP_CANCELLED] = tell_step_cancelled,
    [SP_STORY_ANSWER_IGNORED] = tell_answer_ignored,
    [SP_STORY_APPROVAL_REQUESTED] = tell_approval_requested,
    [SP_STORY_APPROVAL_ESCALATED] = tell_approval_escalated,
    [SP_STORY_APPROVAL_GRANTED] = tell_approval_decided,
    [SP_STORY_APPROVAL_REJECTED] = tell_approval_decided,
    [SP_STORY_CANCEL_REQUESTED] = tell_cancel_requested,
    [SP_STORY_COMPENSATION_STARTED] = tell_compensation_started,
    [SP_STORY_STEP_COMPENSATING] = tell_compensating,
    [SP_STORY_STEP_COMPENSATED] = tell_compensated,
    [SP_STORY_COMPENSATION_FAILED] = tell_compensation_failed,
    [SP_STORY_NEEDS_ATTENTION] = tell_needs_attention,
    [SP_STORY_ATTENTION_RESOLVED] = tell_attention_resolved,
    [SP_STORY_COMPLETED] = tell_end,
    [SP_STORY_COMPENSATED] = tell_end,
    [SP_STORY_CANCELLED] = tell_end,
};

/* ---- all of them ---- */

/* The day, where it is another than that of the line before. */
static void say_day(struct sp_buf *to, const struct sp_story_moment *moment, uint64_t *last_day) {
    uint64_t day = moment->time_us / UINT64_C(86400000000) + 1;
    if (day != *last_day) {
        sp_phrase_date(to, moment->time_us);
        SP_SAY(to, " (UTC)\n");
        *last_day = day;
    }
}

/* The approval's own step.started says nothing that its request does not. */
static bool is_worth_telling(const struct sp_story *story, const struct sp_story_moment *moment) {
    if (moment->kind != SP_STORY_STEP_STARTED) {
        return true;
    }
    sp_str kind = sp_story_text(story, story->steps[moment->step].kind);
    return !sp_str_eq(kind, SP_STR("approval"));
}

static void tell(struct sp_buf *to, const struct sp_story *story, uint32_t at, uint64_t *last_day) {
    const struct sp_story_moment *moment = &story->moments[at];
    bool about_step = moment->step != SP_STORY_NO_STEP;
    if (!is_worth_telling(story, moment)) {
        return;
    }
    struct line line = {to, story, moment, about_step ? &story->steps[moment->step] : NULL};
    say_day(to, moment, last_day);
    SP_SAY(to, "  ");
    sp_phrase_clock(to, moment->time_us);
    SP_SAY(to, "  ");
    tells[moment->kind](&line);
    SP_SAY(to, "\n");
}

void sp_story_moments(struct sp_buf *to, const struct sp_story *story, uint32_t lines) {
    uint32_t count = story->moment_count;
    uint32_t head = count > lines ? lines / 3 : count;
    uint32_t tail = count > lines ? lines - head : 0;
    uint64_t last_day = 0;
    for (uint32_t i = 0; i < head; i++) {
        tell(to, story, i, &last_day);
    }
    if (tail > 0) {
        SP_SAY(to, "  … ");
        sp_buf_add_u64(to, count - head - tail);
        SP_SAY(to, " more moments …\n");
    }
    for (uint32_t i = count - tail; i < count; i++) {
        tell(to, story, i, &last_day);
    }
}
