/* The parts of single kinds of steps: retry, compensation, wait, approval, emit. */
#include "base/time.h"
#include "flow/definition_int.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

enum { RETRY_LIMIT_MAX = 1000000 };

static const uint64_t MS_US = 1000;

/* ---- retry and compensation ------------------------------------------------------------------ */

/* How often: a number, or `unlimited`. */
static void read_limit(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                       struct sp_saga_retry *retry, bool *ret_given) {
    uint64_t limit = 0;
    if (doc == NULL) {
        return;
    }
    if (doc->kind == SP_DOC_TEXT && sp_str_eq(doc->text, SP_STR("unlimited"))) {
        retry->limit = 0;
        *ret_given = true;
    } else if (doc->kind != SP_DOC_NUMBER) {
        sp_doc_wrong(compiler->problems, doc->place,
                     "`limit`: expected a number of attempts, or `unlimited`, found %s",
                     sp_doc_kind_name(doc->kind));
    } else if (sp_doc_integer(doc, 1, RETRY_LIMIT_MAX, &limit, compiler->problems)) {
        retry->limit = (uint32_t)limit;
        *ret_given = true;
    }
}

void saga_read_retry(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                     struct sp_saga_retry *retry, bool *ret_limit_given) {
    static const char *const KEYS[] = {"limit", "backoff", "factor", "max", "jitter"};
    struct sp_doc_problems *problems = compiler->problems;
    uint64_t factor = retry->factor_milli;
    uint64_t jitter = retry->jitter_milli;
    if (doc == NULL || (!sp_doc_keys(doc, "`retry`", KEYS, COUNT_OF(KEYS), problems) &&
                        doc->kind != SP_DOC_OBJECT)) {
        return;
    }
    const struct sp_doc_node *max = sp_doc_get(doc, "max");
    read_limit(compiler, sp_doc_get(doc, "limit"), retry, ret_limit_given);
    (void)sp_doc_duration(sp_doc_get(doc, "backoff"), 0, SP_SAGA_DURATION_US_MAX,
                          &retry->backoff_us, problems);
    (void)sp_doc_duration(max, 0, SP_SAGA_DURATION_US_MAX, &retry->max_us, problems);
    (void)sp_doc_milli(sp_doc_get(doc, "factor"), 1000, 1000000, &factor, problems);
    (void)sp_doc_milli(sp_doc_get(doc, "jitter"), 0, 1000, &jitter, problems);
    retry->factor_milli = (uint32_t)factor;
    retry->jitter_milli = (uint32_t)jitter;
    if (retry->max_us < retry->backoff_us && max != NULL) {
        sp_doc_wrong(problems, max->place, "`max` is less than `backoff`");
    }
    if (retry->max_us < retry->backoff_us) {
        retry->max_us = retry->backoff_us;
    }
}

void saga_read_compensation(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                            uint16_t number) {
    static const char *const KEYS[] = {"action", "input", "timeout", "retry"};
    struct sp_saga_node *node = &compiler->nodes[number];
    struct sp_saga_compensation *made = doc == NULL ? NULL : saga_take(compiler, sizeof(*made));
    bool limit_given = false;
    if (made == NULL) {
        return;
    }
    *made = (struct sp_saga_compensation){.timeout_us = node->timeout_us, .retry = node->retry};
    node->compensation = made;
    if (doc->kind == SP_DOC_TEXT) {
        (void)sp_doc_type(doc, &made->action, compiler->problems);
    } else if (sp_doc_keys(doc, "`compensate`, unless it is a type,", KEYS, COUNT_OF(KEYS),
                           compiler->problems) ||
               doc->kind == SP_DOC_OBJECT) {
        const struct sp_doc_node *action = sp_doc_get(doc, "action");
        if (action == NULL) {
            sp_doc_wrong(compiler->problems, doc->place,
                         "`compensate` has no `action`: the type of the command that undoes it");
        }
        (void)sp_doc_type(action, &made->action, compiler->problems);
        saga_read_program(compiler, sp_doc_get(doc, "input"), "compensate.input", number,
                          &made->input);
        (void)sp_doc_duration(sp_doc_get(doc, "timeout"), MS_US, SP_SAGA_DURATION_US_MAX,
                              &made->timeout_us, compiler->problems);
        saga_read_retry(compiler, sp_doc_get(doc, "retry"), &made->retry, &limit_given);
    }
    if (made->action.len != 0 && sp_str_eq(made->action, node->action)) {
        sp_doc_warn(compiler->problems, doc->place,
                    "`compensate` is the very action that it should undo");
    }
    made->action = saga_copy(compiler, made->action);
}

/* ---- wait ------------------------------------------------------------------------------------ */

/* A duration, or a program that gives one. */
static void read_for(struct saga_compiler *compiler, const struct sp_doc_node *doc, uint16_t number,
                     struct sp_saga_wait *wait) {
    uint64_t us = 0;
    if (doc->kind == SP_DOC_TEXT && sp_duration_parse(doc->text, &us, NULL) != SP_OK) {
        saga_read_program(compiler, doc, "wait.for", number, &wait->for_program);
    } else if (sp_doc_duration(doc, 0, SP_SAGA_DURATION_US_MAX, &wait->for_us,
                               compiler->problems)) {
        wait->for_given = true;
    }
}

/* What makes sense only while an event is waited for. */
static void read_event_keys(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                            uint16_t number, struct sp_saga_wait *wait) {
    static const char *const WORDS[] = {"fail", "continue"};
    struct sp_saga_node *node = &compiler->nodes[number];
    const struct sp_doc_node *filter = sp_doc_get(doc, "filter");
    const struct sp_doc_node *key = sp_doc_get(doc, "key");
    const struct sp_doc_node *match = sp_doc_get(doc, "match");
    const struct sp_doc_node *late = sp_doc_get(doc, "on_timeout");
    uint32_t word = 0;
    if (sp_doc_filter(filter, &wait->filter, compiler->problems) && filter != NULL) {
        wait->filter_text = saga_copy_json(compiler, filter);
    }
    saga_read_program(compiler, key, "wait.key", number, &wait->key);
    if (sp_doc_path(match, &wait->match, compiler->problems)) {
        wait->match = saga_copy(compiler, wait->match);
    }
    if ((key == NULL) != (match == NULL)) {
        sp_doc_wrong(compiler->problems, (key != NULL ? key : match)->key_at,
                     "`key` (jq over the context) and `match` (a path in the event, which is to "
                     "equal it) belong together");
    }
    (void)sp_doc_duration(sp_doc_get(doc, "timeout"), MS_US, SP_SAGA_DURATION_US_MAX,
                          &node->timeout_us, compiler->problems);
    (void)sp_doc_word(late, WORDS, COUNT_OF(WORDS), &word, compiler->problems);
    wait->on_timeout = word == 0 ? SP_SAGA_FAIL : SP_SAGA_CONTINUE;
    if (late != NULL && node->timeout_us == 0) {
        sp_doc_wrong(compiler->problems, late->key_at, "`on_timeout` without `timeout`");
    }
}

/* Notes keys that say something about an event where none is waited for. */
static void refuse_event_keys(struct saga_compiler *compiler, const struct sp_doc_node *doc) {
    static const char *const KEYS[] = {"filter", "key", "match", "timeout", "on_timeout"};
    for (size_t i = 0; i < COUNT_OF(KEYS); i++) {
        const struct sp_doc_node *at = sp_doc_get(doc, KEYS[i]);
        if (at != NULL) {
            sp_doc_wrong(compiler->problems, at->key_at, "`%s` goes with `event` only", KEYS[i]);
        }
    }
}

void saga_read_wait(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                    uint16_t number) {
    static const char *const KEYS[] = {"for", "until",   "event",      "filter",
                                       "key", "timeout", "on_timeout", "match"};
    struct sp_saga_wait *wait = saga_take(compiler, sizeof(*wait));
    if (wait == NULL) {
        return;
    }
    compiler->nodes[number].wait = wait;
    if (doc->kind == SP_DOC_TEXT || doc->kind == SP_DOC_NUMBER) {
        wait->for_given =
            sp_doc_duration(doc, 0, SP_SAGA_DURATION_US_MAX, &wait->for_us, compiler->problems);
        return;
    }
    if (!sp_doc_keys(doc, "`wait`, unless it is a duration,", KEYS, COUNT_OF(KEYS),
                     compiler->problems) &&
        doc->kind != SP_DOC_OBJECT) {
        return;
    }
    const struct sp_doc_node *span = sp_doc_get(doc, "for");
    const struct sp_doc_node *until = sp_doc_get(doc, "until");
    const struct sp_doc_node *event = sp_doc_get(doc, "event");
    if ((span != NULL) + (until != NULL) + (event != NULL) != 1) {
        sp_doc_wrong(compiler->problems, doc->place,
                     "`wait` needs exactly one of `for`, `until` and `event`");
    }
    if (span != NULL) {
        read_for(compiler, span, number, wait);
    }
    saga_read_program(compiler, until, "wait.until", number, &wait->until);
    if (sp_doc_pattern(event, &wait->pattern, compiler->problems)) {
        wait->pattern = saga_copy(compiler, wait->pattern);
    }
    if (event != NULL) {
        read_event_keys(compiler, doc, number, wait);
    } else {
        refuse_event_keys(compiler, doc);
    }
}

/* ---- approval -------------------------------------------------------------------------------- */

/* A list of texts, each of them there once. */
static void read_texts(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                       size_t bytes_max, uint32_t count_max, struct sp_saga_texts *ret_texts) {
    if (doc == NULL) {
        return;
    }
    if (doc->kind != SP_DOC_ARRAY || doc->count == 0 || doc->count > count_max) {
        sp_doc_wrong(compiler->problems, doc->place, "`%.*s`: expected a list of 1 to %u texts",
                     SP_STR_ARG(doc->key), count_max);
        return;
    }
    sp_str *items = saga_take(compiler, doc->count * sizeof(*items));
    uint32_t count = 0;
    for (const struct sp_doc_node *at = doc->first; at != NULL && items != NULL; at = at->next) {
        if (!sp_doc_text(at, bytes_max, &items[count], compiler->problems)) {
            continue;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (sp_str_eq(items[i], at->text)) {
                sp_doc_wrong(compiler->problems, at->place, "`%.*s` is there twice",
                             SP_STR_ARG(at->text));
            }
        }
        items[count++] = saga_copy(compiler, at->text);
    }
    *ret_texts = (struct sp_saga_texts){.items = items, .count = items != NULL ? count : 0};
}

static void read_escalation(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                            const struct sp_saga_node *node, struct sp_saga_approval *approval) {
    static const char *const KEYS[] = {"after", "to"};
    if (doc == NULL || (!sp_doc_keys(doc, "`escalate`", KEYS, COUNT_OF(KEYS), compiler->problems) &&
                        doc->kind != SP_DOC_OBJECT)) {
        return;
    }
    const struct sp_doc_node *after = sp_doc_get(doc, "after");
    if (after == NULL || sp_doc_get(doc, "to") == NULL) {
        sp_doc_wrong(compiler->problems, doc->place, "`escalate` needs `after` and `to`");
    }
    (void)sp_doc_duration(after, MS_US, SP_SAGA_DURATION_US_MAX, &approval->escalate_after_us,
                          compiler->problems);
    read_texts(compiler, sp_doc_get(doc, "to"), SP_SAGA_ID_BYTES_MAX, SP_SAGA_PEOPLE_MAX,
               &approval->escalate_to);
    if (after != NULL && node->timeout_us != 0 && approval->escalate_after_us >= node->timeout_us) {
        sp_doc_warn(compiler->problems, after->place,
                    "it is escalated only after its `timeout`, so never");
    }
}

static void default_choices(struct saga_compiler *compiler, struct sp_saga_texts *choices) {
    sp_str *items = choices->count == 0 ? saga_take(compiler, 2 * sizeof(*items)) : NULL;
    if (items != NULL) {
        items[0] = SP_STR("approve");
        items[1] = SP_STR("reject");
        *choices = (struct sp_saga_texts){.items = items, .count = 2};
    }
}

static void read_outcomes(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                          const struct sp_saga_node *node, struct sp_saga_approval *approval) {
    static const char *const TIMEOUT_WORDS[] = {"reject", "approve", "fail"};
    static const enum sp_saga_outcome OUTCOMES[] = {SP_SAGA_REJECT, SP_SAGA_APPROVE, SP_SAGA_FAIL};
    static const char *const REJECT_WORDS[] = {"fail", "continue"};
    const struct sp_doc_node *late = sp_doc_get(doc, "on_timeout");
    uint32_t timeout_word = 0;
    uint32_t reject_word = 0;
    (void)sp_doc_word(late, TIMEOUT_WORDS, COUNT_OF(TIMEOUT_WORDS), &timeout_word,
                      compiler->problems);
    (void)sp_doc_word(sp_doc_get(doc, "on_reject"), REJECT_WORDS, COUNT_OF(REJECT_WORDS),
                      &reject_word, compiler->problems);
    approval->on_timeout = OUTCOMES[timeout_word];
    approval->on_reject = reject_word == 0 ? SP_SAGA_FAIL : SP_SAGA_CONTINUE;
    if (late != NULL && node->timeout_us == 0) {
        sp_doc_wrong(compiler->problems, late->key_at, "`on_timeout` without `timeout`");
    }
}

void saga_read_approval(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                        uint16_t number) {
    static const char *const KEYS[] = {"prompt", "choices",  "timeout",   "on_timeout",
                                       "who",    "escalate", "on_reject", "data"};
    struct sp_saga_node *node = &compiler->nodes[number];
    struct sp_saga_approval *approval = saga_take(compiler, sizeof(*approval));
    if (approval == NULL ||
        (!sp_doc_keys(doc, "`approval`", KEYS, COUNT_OF(KEYS), compiler->problems) &&
         doc->kind != SP_DOC_OBJECT)) {
        return;
    }
    node->approval = approval;
    const struct sp_doc_node *prompt = sp_doc_get(doc, "prompt");
    if (prompt == NULL) {
        sp_doc_wrong(compiler->problems, doc->place,
                     "`approval` has no `prompt`: what is asked of the one who decides");
    } else if (sp_doc_text(prompt, SP_SAGA_PROMPT_BYTES_MAX, &approval->prompt,
                           compiler->problems)) {
        approval->prompt = saga_copy(compiler, approval->prompt);
    }
    saga_read_program(compiler, sp_doc_get(doc, "data"), "approval.data", number, &approval->data);
    (void)sp_doc_duration(sp_doc_get(doc, "timeout"), MS_US, SP_SAGA_DURATION_US_MAX,
                          &node->timeout_us, compiler->problems);
    read_texts(compiler, sp_doc_get(doc, "choices"), SP_DOC_NAME_BYTES_MAX, SP_SAGA_CHOICES_MAX,
               &approval->choices);
    default_choices(compiler, &approval->choices);
    read_texts(compiler, sp_doc_get(doc, "who"), SP_SAGA_ID_BYTES_MAX, SP_SAGA_PEOPLE_MAX,
               &approval->who);
    read_escalation(compiler, sp_doc_get(doc, "escalate"), node, approval);
    read_outcomes(compiler, doc, node, approval);
}

/* ---- emit ------------------------------------------------------------------------------------ */

void saga_read_emit(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                    uint16_t number) {
    static const char *const KEYS[] = {"type", "data", "stream"};
    struct sp_saga_emit *emit = saga_take(compiler, sizeof(*emit));
    if (emit == NULL || (!sp_doc_keys(doc, "`emit`", KEYS, COUNT_OF(KEYS), compiler->problems) &&
                         doc->kind != SP_DOC_OBJECT)) {
        return;
    }
    compiler->nodes[number].emit = emit;
    const struct sp_doc_node *type = sp_doc_get(doc, "type");
    const struct sp_doc_node *stream = sp_doc_get(doc, "stream");
    if (type == NULL) {
        sp_doc_wrong(compiler->problems, doc->place, "`emit` has no `type`");
    } else if (sp_doc_type(type, &emit->type, compiler->problems)) {
        saga_check_own_type(compiler, type);
        emit->type = saga_copy(compiler, emit->type);
    }
    if (sp_doc_text(stream, SP_SAGA_ID_BYTES_MAX, &emit->stream, compiler->problems) &&
        stream != NULL) {
        if (stream->text.ptr[0] == '$' || sp_str_starts_with(stream->text, SP_STR("saga:"))) {
            sp_doc_wrong(compiler->problems, stream->place,
                         "`stream`: `%.*s` is written by spoor alone", SP_STR_ARG(stream->text));
        }
        emit->stream = saga_copy(compiler, emit->stream);
    }
    saga_read_program(compiler, sp_doc_get(doc, "data"), "emit.data", number, &emit->data);
}
