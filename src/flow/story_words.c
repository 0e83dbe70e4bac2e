/*
 * The story of a saga in words: what came of it, what is waited for, and what a person can do.
 *
 * Sentences are put together from the names that the definition uses: the last token of an action's
 * type (`payment.refund_card`) reads as what is done ("refund card"), which fits behind "could not"
 * and "had to".
 */
#include "base/time.h"
#include "flow/story_phrase.h"
#include "flow/story_told.h"

enum { ERROR_BYTES = 200, NAMED_STEPS_MAX = 6 };

/* Book demo lead-456 */
static void say_subject(struct sp_buf *to, const struct sp_story *story) {
    sp_str saga = sp_story_text(story, story->saga);
    sp_str key = sp_story_text(story, story->key);
    sp_phrase_name(to, saga.len > 0 ? saga : SP_STR("saga"), true);
    if (key.len > 0 && key.len <= 64) {
        sp_buf_add_byte(to, ' ');
        sp_buf_add_str(to, key);
    }
}

/* " (no carrier goes there)" */
static void say_aside(struct sp_buf *to, const struct sp_story *story, struct sp_flow_slice json) {
    if (json.len > 0) {
        SP_SAY(to, " (");
        sp_phrase_value(to, sp_story_text(story, json), ERROR_BYTES);
        SP_SAY(to, ")");
    }
}

static void say_why(struct sp_buf *to, const struct sp_story *story, struct sp_flow_slice why) {
    if (why.len > 0) {
        SP_SAY(to, " (");
        sp_buf_add_str(to, sp_story_text(story, why));
        SP_SAY(to, ")");
    }
}

static void say_person(struct sp_buf *to, const struct sp_story *story, struct sp_flow_slice by) {
    sp_buf_add_str(to, by.len > 0 ? sp_story_text(story, by) : SP_STR("somebody"));
}

static bool is_kind(const struct sp_story *story, const struct sp_story_step *step,
                    const char *kind) {
    return sp_str_eq(sp_story_text(story, step->kind), sp_str_from(kind));
}

/* ---- what came of it ---- */

static void say_approval_refused(struct sp_buf *to, const struct sp_story *story,
                                 const struct sp_story_step *step) {
    SP_SAY(to, " could not go on, because ");
    if (step->decided_by_time || !step->rejected) {
        SP_SAY(to, "nobody");
    } else {
        say_person(to, story, step->forth.by);
    }
    SP_SAY(to, " answered ");
    if (step->rejected && !step->decided_by_time) {
        SP_SAY(to, "“");
        sp_buf_add_str(to, step->choice.len > 0 ? sp_story_text(story, step->choice)
                                                : SP_STR("reject"));
        SP_SAY(to, "” to ");
    }
    SP_SAY(to, "“");
    sp_buf_add_str(to, sp_story_text(story, step->prompt));
    SP_SAY(to, "”");
    if (step->decided_by_time || !step->rejected) {
        SP_SAY(to, " in time");
    }
    say_why(to, story, step->forth.why);
}

static void say_step_failed(struct sp_buf *to, const struct sp_story *story,
                            const struct sp_story_step *step) {
    struct sp_flow_slice error = step->forth.error.len > 0 ? step->forth.error : story->error;
    if (is_kind(story, step, "approval")) {
        say_approval_refused(to, story, step);
    } else if (is_kind(story, step, "wait")) {
        SP_SAY(to, " waited in vain for ");
        sp_buf_add_str(to, step->awaited.len > 0 ? sp_story_text(story, step->awaited)
                                                 : sp_story_text(story, step->path));
    } else if (step->status == SP_STORY_STEP_IS_TIMED_OUT) {
        SP_SAY(to, " got no answer when it asked to ");
        sp_phrase_step(to, story, step);
    } else {
        SP_SAY(to, " could not ");
        sp_phrase_step(to, story, step);
        say_aside(to, story, error);
    }
}

/* Why it does not go on: " could not ship order (…)". */
static void say_cause(struct sp_buf *to, const struct sp_story *story) {
    sp_str reason = sp_story_text(story, story->reason);
    bool is_cancelled = story->cancel_us != 0 && (story->status == SP_STORY_IS_CANCELLED ||
                                                  sp_str_eq(reason, SP_STR("cancelled")));
    if (is_cancelled) {
        SP_SAY(to, " was cancelled by ");
        say_person(to, story, story->cancel_by);
        say_why(to, story, story->cancel_why);
    } else if (sp_str_eq(reason, SP_STR("timed_out"))) {
        SP_SAY(to, " did not end in time");
    } else if (story->failed_step != SP_STORY_NO_STEP) {
        say_step_failed(to, story, &story->steps[story->failed_step]);
    } else {
        SP_SAY(to, " failed");
        say_aside(to, story, story->error);
    }
}

/* How many steps were undone by a worker. */
static uint32_t count_undone(const struct sp_story *story) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < story->step_count; i++) {
        count += story->steps[i].undo == SP_STORY_UNDO_COMPENSATED ? 1 : 0;
    }
    return count;
}

/* "release stock and then refund card", in the order in which it happened. */
static void say_undone(struct sp_buf *to, const struct sp_story *story, uint32_t count) {
    uint32_t said = 0;
    if (count > NAMED_STEPS_MAX) {
        SP_SAY(to, "undo ");
        sp_buf_add_u64(to, count);
        SP_SAY(to, " steps");
        return;
    }
    for (uint32_t i = 0; i < story->moment_count; i++) {
        const struct sp_story_moment *moment = &story->moments[i];
        bool is_undo = moment->kind == SP_STORY_STEP_COMPENSATED && !moment->flag;
        if (!is_undo || said == count) {
            continue;
        }
        sp_buf_add_str(to, said == 0           ? SP_STR("")
                           : said + 1 == count ? SP_STR(" and then ")
                                               : SP_STR(", then "));
        sp_phrase_undo(to, story, &story->steps[moment->step]);
        said++;
    }
}

/* What people did instead: "Ann left charge card as it is (…)." */
static void say_by_hand(struct sp_buf *to, const struct sp_story *story) {
    for (uint32_t i = 0; i < story->step_count; i++) {
        const struct sp_story_step *step = &story->steps[i];
        bool is_skipped = step->undo == SP_STORY_UNDO_SKIPPED;
        if (!is_skipped && step->undo != SP_STORY_UNDO_MARKED_DONE) {
            continue;
        }
        sp_buf_add_byte(to, ' ');
        say_person(to, story, step->back.by);
        sp_buf_add_str(to, is_skipped ? SP_STR(" decided not to ") : SP_STR(" did by hand: "));
        sp_phrase_undo(to, story, step);
        say_why(to, story, step->back.why);
        SP_SAY(to, ".");
    }
}

static void say_not_undone(struct sp_buf *to, const struct sp_story *story) {
    sp_str list = sp_story_text(story, story->not_undone);
    if (list.len > 2) {
        SP_SAY(to, " Not undone: ");
        sp_phrase_list(to, list, "and");
        SP_SAY(to, ".");
    }
}

static void say_compensated(struct sp_buf *to, const struct sp_story *story) {
    uint32_t undone = count_undone(story);
    say_cause(to, story);
    if (undone > 0) {
        SP_SAY(to, ", so it had to ");
        say_undone(to, story, undone);
        SP_SAY(to, ".");
    } else {
        SP_SAY(to, ". Nothing had to be undone.");
    }
    say_by_hand(to, story);
    say_not_undone(to, story);
}

static void say_completed(struct sp_buf *to, const struct sp_story *story) {
    uint32_t count = 0;
    uint32_t said = 0;
    for (uint32_t i = 0; i < story->step_count; i++) {
        const struct sp_story_step *step = &story->steps[i];
        count += step->status == SP_STORY_STEP_IS_COMPLETED && step->forth.action.len > 0 ? 1 : 0;
    }
    SP_SAY(to, " is done");
    for (uint32_t i = 0; i < story->step_count && count <= NAMED_STEPS_MAX; i++) {
        const struct sp_story_step *step = &story->steps[i];
        if (step->status != SP_STORY_STEP_IS_COMPLETED || step->forth.action.len == 0) {
            continue;
        }
        sp_buf_add_str(to, said == 0           ? SP_STR(": ")
                           : said + 1 == count ? SP_STR(" and ")
                                               : SP_STR(", "));
        sp_phrase_step(to, story, step);
        said++;
    }
    if (count > NAMED_STEPS_MAX) {
        SP_SAY(to, ", with ");
        sp_buf_add_u64(to, count);
        SP_SAY(to, " steps");
    }
    SP_SAY(to, ". It took ");
    sp_phrase_length(to, story->ended_us - story->started_us);
    SP_SAY(to, ".");
}

static void say_attention(struct sp_buf *to, const struct sp_story *story) {
    SP_SAY(to, " needs a person:");
    for (uint32_t i = 0, said = 0; i < story->step_count; i++) {
        const struct sp_story_step *step = &story->steps[i];
        const struct sp_story_try *attempt = step->attention_back ? &step->back : &step->forth;
        if (!step->attention) {
            continue;
        }
        sp_buf_add_str(to, said++ == 0 ? SP_STR(" it could not ") : SP_STR(", nor "));
        (step->attention_back ? sp_phrase_undo : sp_phrase_step)(to, story, step);
        if (attempt->attempts > 1) {
            SP_SAY(to, " in ");
            sp_buf_add_u64(to, attempt->attempts);
            SP_SAY(to, " attempts");
        }
        say_aside(to, story, attempt->error);
    }
    SP_SAY(to, ".");
}

static void say_outcome(struct sp_buf *to, const struct sp_story *story) {
    say_subject(to, story);
    if (story->attentions > 0 && !sp_story_is_over(story)) {
        say_attention(to, story);
    }
    enum sp_story_status status = story->status;
    bool needs_person = story->attentions > 0;
    switch (status) {
    case SP_STORY_IS_RUNNING:
        needs_person ? (void)0 : SP_SAY(to, " is under way.");
        break;
    case SP_STORY_IS_COMPENSATING:
        if (needs_person) {
            SP_SAY(to, " It");
        }
        say_cause(to, story);
        SP_SAY(to, ", and is undoing what it did.");
        break;
    case SP_STORY_IS_COMPLETED:
        say_completed(to, story);
        break;
    case SP_STORY_IS_COMPENSATED:
    case SP_STORY_IS_CANCELLED:
        say_compensated(to, story);
        break;
    }
    SP_SAY(to, "\n");
}

/* ---- what is waited for ---- */

static void say_until(struct sp_buf *to, uint64_t due_us, uint64_t beside_us, uint64_t now_us) {
    if (due_us == 0) {
        return;
    }
    SP_SAY(to, ", until ");
    sp_phrase_time(to, due_us, beside_us);
    if (now_us != 0 && due_us > now_us) {
        SP_SAY(to, " (in ");
        sp_phrase_length(to, due_us - now_us);
        SP_SAY(to, ")");
    }
}

static void say_worker(struct sp_buf *to, const struct sp_story *story,
                       const struct sp_story_step *step) {
    SP_SAY(to, "a worker to ");
    if (step == NULL) {
        SP_SAY(to, "answer");
    } else if (step->undo == SP_STORY_UNDO_RUNNING) {
        sp_phrase_undo(to, story, step);
    } else {
        sp_phrase_step(to, story, step);
    }
}

static void say_timer(struct sp_buf *to, const struct sp_story *story,
                      const struct sp_story_step *step) {
    bool is_retry = step != NULL && (step->status == SP_STORY_STEP_IS_RETRYING ||
                                     step->undo == SP_STORY_UNDO_RETRYING);
    SP_SAY(to, "the time to come");
    if (is_retry) {
        bool is_back = step->undo == SP_STORY_UNDO_RETRYING;
        SP_SAY(to, " to try again to ");
        (is_back ? sp_phrase_undo : sp_phrase_step)(to, story, step);
    }
}

static void say_approval(struct sp_buf *to, const struct sp_story *story,
                         const struct sp_story_step *step) {
    if (step != NULL && step->who.len > 2) {
        sp_phrase_list(to, sp_story_text(story, step->who), "or");
    } else {
        SP_SAY(to, "a person");
    }
    SP_SAY(to, " to answer");
    if (step != NULL && step->prompt.len > 0) {
        SP_SAY(to, " “");
        sp_buf_add_str(to, sp_story_text(story, step->prompt));
        SP_SAY(to, "”");
    }
}

static void say_wait(struct sp_buf *to, const struct sp_story *story, struct sp_story_wait wait,
                     uint64_t now_us) {
    const struct sp_story_step *step =
        wait.step == SP_STORY_NO_STEP ? NULL : &story->steps[wait.step];
    if (wait.what.len == 0 || sp_str_eq(wait.what, SP_STR("operator"))) {
        return;
    }
    SP_SAY(to, "\nIt waits for ");
    if (sp_str_eq(wait.what, SP_STR("worker"))) {
        say_worker(to, story, step);
    } else if (sp_str_eq(wait.what, SP_STR("approval"))) {
        say_approval(to, story, step);
    } else if (sp_str_eq(wait.what, SP_STR("timer"))) {
        say_timer(to, story, step);
    } else if (sp_str_eq(wait.what, SP_STR("event")) && step != NULL) {
        SP_SAY(to, "an event ");
        sp_buf_add_str(to, sp_story_text(story, step->awaited));
    } else if (sp_str_eq(wait.what, SP_STR("limit"))) {
        SP_SAY(to, "others of its kind to end: so many at once are allowed");
    } else {
        sp_buf_add_str(to, wait.what);
    }
    say_until(to, wait.due_us, story->moments[story->moment_count - 1].time_us, now_us);
    SP_SAY(to, ".\n");
}

/* ---- what a person can do ---- */

/* "  spoor saga retry ID --step STEP --by YOU --reason '…'      what it does" */
static void say_command(struct sp_buf *to, const struct sp_story *story, const char *verb,
                        sp_str step, const char *meaning) {
    SP_SAY(to, "  spoor saga ");
    sp_buf_add_str(to, sp_str_from(verb));
    sp_buf_add_byte(to, ' ');
    sp_phrase_shell(to, sp_story_text(story, story->id));
    if (step.len > 0) {
        SP_SAY(to, " --step ");
        sp_phrase_shell(to, step);
    }
    SP_SAY(to, " --by YOU --reason '…'\n      ");
    sp_buf_add_str(to, sp_str_from(meaning));
    SP_SAY(to, "\n");
}

static bool offers(const struct sp_story *story, const struct sp_story_step *step,
                   const char *option) {
    struct sp_json json;
    sp_json_init(&json, sp_story_text(story, step->options));
    bool found = step->options.len == 0; /* nothing told: all of them */
    struct sp_json_token token =
        step->options.len == 0 ? (struct sp_json_token){.type = SP_JSON_END} : sp_json_next(&json);
    while (token.type != SP_JSON_END && token.type != SP_JSON_ERROR) {
        found =
            found || (token.type == SP_JSON_STRING && sp_json_equal(token, sp_str_from(option)));
        token = sp_json_next(&json);
    }
    return found;
}

static void say_options(struct sp_buf *to, const struct sp_story *story,
                        const struct sp_story_step *step) {
    sp_str path = sp_story_text(story, step->path);
    bool back = step->attention_back;
    SP_SAY(to, "\nWhat you can do about “");
    (back ? sp_phrase_undo : sp_phrase_step)(to, story, step);
    SP_SAY(to, "”:\n");
    if (offers(story, step, "retry")) {
        say_command(to, story, "retry", path, "Ask a worker once more.");
    }
    if (offers(story, step, "mark_done")) {
        say_command(to, story, "done", path, "It is done: you did it by hand, or it had happened.");
    }
    if (offers(story, step, "skip")) {
        say_command(to, story, "skip", path,
                    back ? "Leave it as it is, and undo the rest." : "Go on without it.");
    }
    if (!back && offers(story, step, "compensate")) {
        say_command(to, story, "compensate", path, "Give up, and undo what was done.");
    }
}

static void say_decision(struct sp_buf *to, const struct sp_story *story,
                         const struct sp_story_step *step, const char *verb, sp_str choice) {
    SP_SAY(to, "  spoor saga ");
    sp_buf_add_str(to, sp_str_from(verb));
    sp_buf_add_byte(to, ' ');
    struct sp_buf target;
    sp_buf_init(&target, SP_STORY_BYTES_MAX);
    sp_buf_add_str(&target, sp_story_text(story, story->id));
    sp_buf_add_byte(&target, '/');
    sp_buf_add_str(&target, sp_story_text(story, step->path));
    sp_phrase_shell(to, sp_buf_str(&target));
    to->status = target.status == SP_OK ? to->status : target.status;
    sp_buf_fini(&target);
    if (choice.len > 0) {
        SP_SAY(to, " --choice ");
        sp_phrase_shell(to, choice);
    }
    SP_SAY(to, " --by YOU --reason '…'\n");
}

/* A choice of an approval, as the command that makes it. */
static void say_choice(struct sp_buf *to, const struct sp_story *story,
                       const struct sp_story_step *step, struct sp_json_token token) {
    struct sp_buf choice;
    sp_buf_init(&choice, SP_STORY_BYTES_MAX);
    sp_json_unescape(&choice, token.raw);
    sp_str text = sp_buf_str(&choice);
    if (sp_str_eq(text, SP_STR("reject"))) {
        say_decision(to, story, step, "reject", SP_STR(""));
    } else if (sp_str_eq(text, SP_STR("approve"))) {
        say_decision(to, story, step, "approve", SP_STR(""));
    } else {
        say_decision(to, story, step, "approve", text);
    }
    sp_buf_fini(&choice);
}

static void say_choices(struct sp_buf *to, const struct sp_story *story,
                        const struct sp_story_step *step) {
    struct sp_json json;
    SP_SAY(to, "\nTo answer “");
    sp_buf_add_str(to, sp_story_text(story, step->prompt));
    SP_SAY(to, "”:\n");
    if (step->choices.len == 0) {
        say_decision(to, story, step, "approve", SP_STR(""));
        say_decision(to, story, step, "reject", SP_STR(""));
        return;
    }
    sp_json_init(&json, sp_story_text(story, step->choices));
    for (struct sp_json_token token = sp_json_next(&json);
         token.type != SP_JSON_END && token.type != SP_JSON_ERROR; token = sp_json_next(&json)) {
        if (token.type == SP_JSON_STRING) {
            say_choice(to, story, step, token);
        }
    }
}

enum { COMMANDS_MAX = 8 }; /* steps for which commands are shown */

static void say_what_can_be_done(struct sp_buf *to, const struct sp_story *story) {
    uint32_t said = 0;
    uint32_t more = 0;
    for (uint32_t i = 0; i < story->step_count && !sp_story_is_over(story); i++) {
        const struct sp_story_step *step = &story->steps[i];
        bool asks = step->status == SP_STORY_STEP_IS_WAITING && is_kind(story, step, "approval");
        if (!step->attention && !asks) {
            continue;
        }
        if (said == COMMANDS_MAX) {
            more++;
            continue;
        }
        said++;
        (step->attention ? say_options : say_choices)(to, story, step);
    }
    if (more > 0) {
        SP_SAY(to, "\n(and ");
        sp_buf_add_u64(to, more);
        SP_SAY(to, " more steps in the same way)\n");
    }
}

void sp_story_words(const struct sp_story *story, const struct sp_story_live *live,
                    struct sp_buf *to) {
    sp_require(story->is_saga);
    uint32_t lines =
        live != NULL && live->moments_max > 0 ? live->moments_max : SP_STORY_MOMENTS_DEFAULT;
    say_outcome(to, story);
    SP_SAY(to, "\n");
    sp_story_moments(to, story, lines);
    say_wait(to, story, sp_story_wait(story, live), live != NULL ? live->now_us : 0);
    say_what_can_be_done(to, story);
}
