/*
 * The story of a saga as one JSON object.
 */
#include "base/time.h"
#include "flow/story_int.h"

/* An object being written: commas and names. */
struct object {
    const struct sp_story *story;
    struct sp_buf *to;
    bool has_any;
};

static struct object open_object(const struct sp_story *story, struct sp_buf *to) {
    sp_buf_add_byte(to, '{');
    return (struct object){.story = story, .to = to};
}

static void name(struct object *object, const char *member) {
    if (object->has_any) {
        sp_buf_add_byte(object->to, ',');
    }
    object->has_any = true;
    sp_json_add_string(object->to, sp_str_from(member));
    sp_buf_add_byte(object->to, ':');
}

static void add_word(struct object *object, const char *member, const char *word) {
    name(object, member);
    sp_json_add_string(object->to, sp_str_from(word));
}

static void add_text(struct object *object, const char *member, struct sp_flow_slice text) {
    if (text.len > 0) {
        name(object, member);
        sp_json_add_string(object->to, sp_story_text(object->story, text));
    }
}

static void add_json(struct object *object, const char *member, struct sp_flow_slice json) {
    if (json.len > 0) {
        name(object, member);
        sp_buf_add_str(object->to, sp_story_text(object->story, json));
    }
}

static void add_json_or_null(struct object *object, const char *member, struct sp_flow_slice json) {
    name(object, member);
    sp_buf_add_str(object->to, json.len > 0 ? sp_story_text(object->story, json) : SP_STR("null"));
}

static void add_number(struct object *object, const char *member, uint64_t value) {
    name(object, member);
    sp_buf_add_u64(object->to, value);
}

static void add_true(struct object *object, const char *member, bool is_so) {
    if (is_so) {
        name(object, member);
        sp_buf_add_str(object->to, SP_STR("true"));
    }
}

static void add_time(struct object *object, const char *member, uint64_t time_us) {
    if (time_us != 0) {
        char text[SP_TIME_TEXT_SIZE];
        sp_time_format(time_us, text);
        add_word(object, member, text);
    }
}

/* ---- steps ---- */

static const char *step_status(const struct sp_story_step *step) {
    static const char *const names[] = {
        [SP_STORY_STEP_IS_PENDING] = "pending",     [SP_STORY_STEP_IS_RUNNING] = "running",
        [SP_STORY_STEP_IS_RETRYING] = "retrying",   [SP_STORY_STEP_IS_WAITING] = "waiting",
        [SP_STORY_STEP_IS_COMPLETED] = "completed", [SP_STORY_STEP_IS_FAILED] = "failed",
        [SP_STORY_STEP_IS_TIMED_OUT] = "timed_out", [SP_STORY_STEP_IS_SKIPPED] = "skipped",
        [SP_STORY_STEP_IS_CANCELLED] = "cancelled",
    };
    return names[step->status];
}

static const char *undo_status(const struct sp_story_step *step) {
    static const char *const names[] = {
        [SP_STORY_UNDO_NONE] = "none",       [SP_STORY_UNDO_ARMED] = "armed",
        [SP_STORY_UNDO_RUNNING] = "running", [SP_STORY_UNDO_RETRYING] = "retrying",
        [SP_STORY_UNDO_FAILED] = "failed",   [SP_STORY_UNDO_COMPENSATED] = "compensated",
        [SP_STORY_UNDO_SKIPPED] = "skipped", [SP_STORY_UNDO_MARKED_DONE] = "marked_done",
    };
    return names[step->undo];
}

static void add_position(struct object *object, const struct sp_story_try *attempt) {
    if (attempt->result_position != 0) {
        add_number(object, "result_position", attempt->result_position);
    }
}

static void add_undo(struct object *parent, const struct sp_story_step *step) {
    name(parent, "compensation");
    if (step->undo == SP_STORY_UNDO_NONE) {
        sp_buf_add_str(parent->to, SP_STR("null"));
        return;
    }
    struct object object = open_object(parent->story, parent->to);
    add_text(&object, "action", step->back.action);
    add_word(&object, "status", undo_status(step));
    add_number(&object, "attempts", step->back.attempts);
    add_json_or_null(&object, "result", step->back.result);
    add_position(&object, &step->back);
    add_json_or_null(&object, "error", step->back.error);
    add_time(&object, "started", step->back.started_us);
    add_time(&object, "ended", step->back.ended_us);
    add_time(&object, "due", step->back.due_us);
    add_text(&object, "by", step->back.by);
    add_text(&object, "why", step->back.why);
    sp_buf_add_byte(parent->to, '}');
}

static void add_approval(struct object *object, const struct sp_story_step *step) {
    add_text(object, "prompt", step->prompt);
    add_json(object, "choices", step->choices);
    add_json(object, "who", step->who);
    add_text(object, "proposal", step->proposal);
    add_text(object, "choice", step->choice);
    if (step->choice.len > 0 || step->decided_by_time) {
        add_word(object, "decision", step->rejected ? "rejected" : "granted");
    }
    add_true(object, "on_timeout", step->decided_by_time);
}

static void add_step(const struct sp_story *story, const struct sp_story_step *step,
                     struct sp_buf *to) {
    struct object object = open_object(story, to);
    name(&object, "name");
    sp_json_add_string(to, sp_story_text(story, step->path));
    name(&object, "kind");
    sp_json_add_string(to,
                       step->kind.len > 0 ? sp_story_text(story, step->kind) : SP_STR("action"));
    add_word(&object, "status", step_status(step));
    add_number(&object, "attempts", step->forth.attempts);
    add_text(&object, "action", step->forth.action);
    add_json_or_null(&object, "result", step->forth.result);
    add_position(&object, &step->forth);
    add_json_or_null(&object, "error", step->forth.error);
    add_time(&object, "started", step->first_us);
    add_time(&object, "ended", step->forth.ended_us);
    add_time(&object, "due", step->forth.due_us);
    add_text(&object, "reason", step->reason);
    add_text(&object, "event", step->awaited);
    add_approval(&object, step);
    add_text(&object, "by", step->forth.by);
    add_text(&object, "why", step->forth.why);
    add_true(&object, "irreversible", step->irreversible);
    add_true(&object, "pivot", step->pivot);
    add_undo(&object, step);
    sp_buf_add_byte(to, '}');
}

static void add_steps(struct object *object) {
    name(object, "steps");
    sp_buf_add_byte(object->to, '[');
    for (uint32_t i = 0; i < object->story->step_count; i++) {
        if (i > 0) {
            sp_buf_add_byte(object->to, ',');
        }
        add_step(object->story, &object->story->steps[i], object->to);
    }
    sp_buf_add_byte(object->to, ']');
}

/* ---- the whole ---- */

static void add_attention(struct object *parent) {
    const struct sp_story *story = parent->story;
    if (story->attentions == 0 || sp_story_is_over(story)) {
        return;
    }
    bool is_first = true;
    name(parent, "attention");
    sp_buf_add_byte(parent->to, '[');
    for (uint32_t i = 0; i < story->step_count; i++) {
        const struct sp_story_step *step = &story->steps[i];
        if (!step->attention) {
            continue;
        }
        if (!is_first) {
            sp_buf_add_byte(parent->to, ',');
        }
        is_first = false;
        struct object object = open_object(story, parent->to);
        add_text(&object, "step", step->path);
        add_word(&object, "phase", step->attention_back ? "compensation" : "forward");
        add_json_or_null(&object, "error",
                         step->attention_back ? step->back.error : step->forth.error);
        add_json(&object, "options", step->options);
        sp_buf_add_byte(parent->to, '}');
    }
    sp_buf_add_byte(parent->to, ']');
}

static void add_cancel(struct object *parent) {
    if (parent->story->cancel_us == 0) {
        return;
    }
    name(parent, "cancel");
    struct object object = open_object(parent->story, parent->to);
    add_text(&object, "by", parent->story->cancel_by);
    add_text(&object, "reason", parent->story->cancel_why);
    add_time(&object, "at", parent->story->cancel_us);
    sp_buf_add_byte(parent->to, '}');
}

static void add_wait(struct object *object, const struct sp_story_live *live) {
    struct sp_story_wait wait = sp_story_wait(object->story, live);
    name(object, "waiting_for");
    if (wait.what.len == 0) {
        sp_buf_add_str(object->to, SP_STR("null"));
        return;
    }
    sp_json_add_string(object->to, wait.what);
    add_time(object, "due", wait.due_us);
}

void sp_story_json(const struct sp_story *story, const struct sp_story_live *live,
                   struct sp_buf *to) {
    sp_require(story->is_saga);
    struct object object = open_object(story, to);
    add_text(&object, "sagaid", story->id);
    add_text(&object, "saga", story->saga);
    add_json(&object, "version", story->version);
    add_text(&object, "definition", story->definition);
    add_text(&object, "key", story->key);
    add_word(&object, "status", sp_story_status(story));
    add_wait(&object, live);
    add_time(&object, "started", story->started_us);
    add_time(&object, "ended", story->ended_us);
    if (sp_story_is_over(story)) {
        add_number(&object, "duration_ms", (story->ended_us - story->started_us) / 1000);
    }
    add_time(&object, "timeout_at", sp_story_is_over(story) ? 0 : story->due_us);
    add_text(&object, "by", story->by);
    add_text(&object, "correlationid", story->correlation);
    add_text(&object, "causationid", story->causation);
    add_json(&object, "forked_from", story->forked_from);
    add_json(&object, "data", story->data);
    add_json_or_null(&object, "result", story->result);
    add_json_or_null(&object, "error", story->error);
    add_text(&object, "reason", story->reason);
    add_cancel(&object);
    add_json(&object, "not_undone", story->not_undone);
    add_attention(&object);
    add_number(&object, "ignored", story->ignored);
    add_steps(&object);
    sp_buf_add_byte(to, '}');
}
