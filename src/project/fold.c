#include "project/fold.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOOK_EVENTS = 64 }; /* applied between two looks at the clock */

struct sp_fold {
    struct sp_fold_options options;
    struct sp_build *build;
    struct sp_clauses *clauses;
    struct sp_fold_progress progress;
    bool astray;       /* the source does not stand behind `position`: it must seek first */
    bool in_batch;     /* begun: something was applied */
    uint32_t batch;    /* applied in it */
    uint64_t batch_ns; /* when it began */
    uint64_t commit_ns;
    struct sp_event event; /* a copy, where an upcaster may change it */
};

/* An event that cannot be applied. */
struct poison {
    uint64_t position; /* 0: one of the batch, nobody knows which */
    char id[SP_BUILD_ID_SIZE];
    char text[SP_BUILD_TEXT_SIZE];
};

static uint64_t now_ns(const struct sp_fold *fold) {
    return fold->options.clock.monotonic_ns(fold->options.clock.context);
}

sp_status sp_fold_new(const struct sp_fold_options *options, struct sp_fold **ret_fold,
                      struct sp_error *error) {
    struct sp_fold *fold = calloc(1, sizeof(*fold));
    if (fold == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "projection: out of memory");
    }
    struct sp_fold_options *own = &fold->options;
    *own = *options;
    own->batch_events = own->batch_events != 0 ? own->batch_events : SP_FOLD_BATCH_EVENTS;
    own->batch_us = own->batch_us != 0 ? own->batch_us : SP_FOLD_BATCH_US;
    own->idle_commit_us = own->idle_commit_us != 0 ? own->idle_commit_us : SP_FOLD_IDLE_COMMIT_US;
    fold->build = options->build;
    struct sp_build_state state;
    fold->build->ops->state(fold->build, &state);
    fold->progress.position = state.position;
    fold->progress.committed = state.position;
    fold->commit_ns = now_ns(fold);
    sp_status status = sp_clauses_new(fold->build->definition, &fold->clauses, error);
    status =
        status == SP_OK ? own->source.seek(own->source.context, state.position, error) : status;
    if (status != SP_OK) {
        sp_fold_free(fold);
        return status;
    }
    *ret_fold = fold;
    return SP_OK;
}

void sp_fold_free(struct sp_fold *fold) {
    if (fold != NULL) {
        if (fold->in_batch) {
            fold->build->ops->rollback(fold->build);
        }
        sp_clauses_free(fold->clauses);
        free(fold);
    }
}

void sp_fold_progress(const struct sp_fold *fold, struct sp_fold_progress *ret_progress) {
    *ret_progress = fold->progress;
}

/*
 * ---- batches
 * -------------------------------------------------------------------------------------
 */

static sp_status begin(struct sp_fold *fold, struct sp_error *error) {
    if (fold->in_batch) {
        return SP_OK;
    }
    sp_status status = fold->build->ops->begin(fold->build, error);
    fold->in_batch = status == SP_OK;
    fold->batch = 0;
    fold->batch_ns = now_ns(fold);
    return status;
}

/* Takes everything back to what is committed. The source follows when it is asked next. */
static void roll_back(struct sp_fold *fold) {
    if (fold->in_batch) {
        fold->build->ops->rollback(fold->build);
    }
    fold->in_batch = false;
    fold->astray = true;
    fold->progress.position = fold->progress.committed;
}

static sp_status commit(struct sp_fold *fold, struct sp_error *error) {
    struct sp_fold_progress *progress = &fold->progress;
    if (!fold->in_batch && progress->position == progress->committed) {
        return SP_OK;
    }
    uint32_t applied = fold->in_batch ? fold->batch : 0;
    sp_status status = begin(fold, error);
    status =
        status == SP_OK ? fold->build->ops->commit(fold->build, progress->position, error) : status;
    if (status != SP_OK) {
        return status;
    }
    fold->in_batch = false;
    fold->commit_ns = now_ns(fold);
    progress->committed = progress->position;
    progress->applied += applied;
    progress->batches++;
    if (fold->options.progress != NULL) {
        fold->options.progress(fold->options.progress_context, progress);
    }
    return SP_OK;
}

sp_status sp_fold_flush(struct sp_fold *fold, struct sp_error *error) {
    sp_status status = commit(fold, error);
    if (status != SP_OK) {
        roll_back(fold);
    }
    return status;
}

/* True where a position without effects is worth a commit. */
static bool is_due(const struct sp_fold *fold) {
    const _Atomic uint64_t *awaited = fold->options.awaited;
    if (awaited != NULL &&
        atomic_load_explicit(awaited, memory_order_acquire) > fold->progress.committed) {
        return true;
    }
    return now_ns(fold) - fold->commit_ns >= fold->options.idle_commit_us * 1000;
}

static bool is_full(const struct sp_fold *fold) {
    if (!fold->in_batch) {
        return false;
    }
    return fold->batch >= fold->options.batch_events ||
           (fold->batch % LOOK_EVENTS == 0 &&
            now_ns(fold) - fold->batch_ns >= fold->options.batch_us * 1000);
}

/* At a pause: what was applied counts now, and a bare position where it is due. */
static sp_status settle(struct sp_fold *fold, struct sp_error *error) {
    return fold->in_batch || is_due(fold) ? commit(fold, error) : SP_OK;
}

/*
 * ---- events
 * --------------------------------------------------------------------------------------
 */

/* Copies the event as far as it is used: most of its room is for extensions that are not there. */
static void copy_event(struct sp_event *to, const struct sp_event *from) {
    memcpy(to, from,
           offsetof(struct sp_event, extensions) +
               from->extension_count * sizeof(from->extensions[0]));
}

/* Applies an event, where a clause wants it. SP_INVALID: error->offset is the poison's position. */
static SP_HOT sp_status apply(struct sp_fold *fold, const struct sp_event *event,
                              struct sp_error *error) {
    const uint16_t *numbers;
    if (fold->options.upcast != NULL) {
        copy_event(&fold->event, event);
        event = &fold->event;
        sp_status status = fold->options.upcast(fold->options.upcast_context, &fold->event, error);
        if (status != SP_OK) {
            error->offset = status == SP_INVALID ? event->position : 0;
            return status;
        }
    }
    size_t count = sp_clauses_of(fold->clauses, event, &numbers);
    if (count == 0) {
        return SP_OK;
    }
    sp_status status = begin(fold, error);
    fold->batch++;
    return status == SP_OK ? fold->build->ops->apply(fold->build, event, numbers, count, error)
                           : status;
}

/* The next event. The source stands behind the position afterwards. */
static sp_status next(struct sp_fold *fold, const struct sp_event **ret_event,
                      struct sp_error *error) {
    const struct sp_fold_source *source = &fold->options.source;
    sp_status status = SP_OK;
    if (fold->astray) {
        status = source->seek(source->context, fold->progress.position, error);
        fold->astray = status != SP_OK;
    }
    status = status == SP_OK ? source->next(source->context, ret_event, error) : status;
    return status == SP_INVALID ? sp_error_prefix(error, SP_FAILED, "source of events") : status;
}

/* Notes how far the source has looked. It never looks back. */
static void pass(struct sp_fold *fold) {
    const struct sp_fold_source *source = &fold->options.source;
    uint64_t position = source->position(source->context);
    if (position > fold->progress.position) {
        fold->progress.position = position;
    }
}

/*
 * ---- poison
 * --------------------------------------------------------------------------------------
 */

static void note_text(struct poison *poison, const struct sp_error *error) {
    poison->position = error->offset;
    (void)snprintf(poison->text, sizeof(poison->text), "%s", error->text);
}

static void note_id(struct poison *poison, const struct sp_event *event) {
    sp_str id = event->attr[SP_ATTR_ID];
    size_t len = id.len < sizeof(poison->id) ? id.len : sizeof(poison->id) - 1;
    while (len < id.len && len > 0 && ((uint8_t)id.ptr[len] & 0xc0) == 0x80) {
        len--; /* not within a character */
    }
    if (len > 0) {
        memcpy(poison->id, id.ptr, len);
    }
    poison->id[len] = '\0';
}

/* An event that was alone in its batch failed: it is the poison. What is before it is committed. */
static sp_status found_alone(struct sp_fold *fold, uint64_t position, struct poison *poison,
                             struct sp_error *error) {
    note_text(poison, error);
    poison->position = position;
    roll_back(fold);
    if (position - 1 > fold->progress.position) {
        fold->progress.position = position - 1;
    }
    sp_status status = commit(fold, error);
    return status == SP_OK ? SP_END : status;
}

/* One event once more. SP_END: it is the poison. */
static sp_status redo_event(struct sp_fold *fold, const struct sp_event *event,
                            struct poison *poison, struct sp_error *error) {
    uint64_t position = event->position;
    bool alone = poison->position == 0;
    note_id(poison, event);
    if (position == poison->position) {
        fold->progress.position = position - 1;
        fold->astray = true;
        sp_status status = commit(fold, error);
        return status == SP_OK ? SP_END : status;
    }
    sp_status status = apply(fold, event, error);
    if (status == SP_OK) {
        pass(fold);
        status = alone ? commit(fold, error) : SP_OK;
    }
    return status == SP_INVALID && alone ? found_alone(fold, position, poison, error) : status;
}

/*
 * Reads and applies once more what the lost batch held, up to the event that was named, or, where
 * none was, one event a batch until one fails. SP_END: the poison is found, and what is before it
 * committed. SP_OK: all of it went well this time.
 */
static sp_status redo(struct sp_fold *fold, uint64_t last, struct poison *poison,
                      struct sp_error *error) {
    sp_status status = SP_OK;
    while (status == SP_OK && fold->progress.position < last) {
        const struct sp_event *event = NULL;
        status = next(fold, &event, error);
        bool over = status == SP_TIMEOUT || status == SP_END;
        if (over || (status == SP_OK && event->position > last)) {
            fold->progress.position = last; /* what was to come is there no more */
            fold->astray = true;
            status = SP_OK;
        } else if (status == SP_BUSY) {
            pass(fold);
            status = SP_OK;
        } else if (status == SP_OK) {
            status = redo_event(fold, event, poison, error);
        }
    }
    return status == SP_OK ? commit(fold, error) : status;
}

/*
 * The batch is lost: finds out where it goes wrong, keeps what is before, and marks the build.
 * *ret_failed stays false where the second time went well: what was wrong was not the event.
 */
static sp_status stop_at(struct sp_fold *fold, bool *ret_failed, struct sp_error *error) {
    struct poison poison = {.position = 0};
    uint64_t last = fold->progress.position; /* what the batch had come to */
    sp_status status = SP_INVALID;
    note_text(&poison, error);
    last = poison.position > last ? poison.position : last;
    while (status == SP_INVALID) {
        roll_back(fold);
        status = redo(fold, last, &poison, error);
        if (status == SP_INVALID) { /* earlier than it was the first time */
            note_text(&poison, error);
        }
    }
    if (status != SP_END) {
        return status;
    }
    *ret_failed = true;
    return fold->build->ops->fail(fold->build, poison.position, sp_str_from(poison.id), poison.text,
                                  error);
}

/* The event behind the position is damaged: nothing can be said of what it would have done. */
static sp_status stop_at_damage(struct sp_fold *fold, struct sp_error *error) {
    struct sp_error damage = *error;
    uint64_t position = fold->progress.position + 1;
    sp_status status = commit(fold, error);
    fold->astray = true;
    return status == SP_OK
               ? fold->build->ops->fail(fold->build, position, SP_STR(""), damage.text, error)
               : status;
}

/*
 * ---- the loop
 * ------------------------------------------------------------------------------------
 */

/* What a step of the loop came to. */
struct step {
    bool over;
    enum sp_fold_end end;
};

static sp_status take(struct sp_fold *fold, const struct sp_event *event, uint64_t until,
                      struct step *step, struct sp_error *error) {
    if (until != 0 && event->position > until) {
        fold->progress.position = until;
        fold->astray = true;
        *step = (struct step){.over = true, .end = SP_FOLD_UNTIL};
        return SP_OK;
    }
    sp_status status = apply(fold, event, error);
    if (status == SP_OK) {
        pass(fold);
        status = is_full(fold) ? commit(fold, error) : SP_OK;
    }
    return status;
}

/* Nothing more, for now or at all. */
static sp_status pause_at(struct sp_fold *fold, enum sp_fold_end end, struct step *step) {
    pass(fold);
    *step = (struct step){.over = true, .end = end};
    return SP_OK;
}

static sp_status advance(struct sp_fold *fold, uint64_t until, struct step *step,
                         struct sp_error *error) {
    const struct sp_event *event = NULL;
    sp_status status = next(fold, &event, error);
    if (SP_LIKELY(status == SP_OK)) {
        return take(fold, event, until, step, error);
    }
    if (status == SP_TIMEOUT || status == SP_END) {
        return pause_at(fold, status == SP_END ? SP_FOLD_OVER : SP_FOLD_CAUGHT_UP, step);
    }
    if (status == SP_BUSY) {
        pass(fold);
        bool old = fold->in_batch && now_ns(fold) - fold->batch_ns >= fold->options.batch_us * 1000;
        return old || (!fold->in_batch && is_due(fold)) ? commit(fold, error) : SP_OK;
    }
    if (status == SP_CORRUPT) {
        *step = (struct step){.over = true, .end = SP_FOLD_FAILED};
        return stop_at_damage(fold, error);
    }
    return status;
}

/* The position must not pass `until`, wherever the source has looked. */
static void hold_at(struct sp_fold *fold, uint64_t until, struct step *step) {
    if (until != 0 && fold->progress.position >= until) {
        fold->astray = fold->astray || fold->progress.position > until;
        fold->progress.position = until;
        *step = (struct step){.over = true, .end = SP_FOLD_UNTIL};
    }
}

static bool is_stopped(const struct sp_fold *fold) {
    return fold->options.stop != NULL &&
           atomic_load_explicit(fold->options.stop, memory_order_relaxed);
}

static sp_status run(struct sp_fold *fold, uint64_t until, struct step *step,
                     struct sp_error *error) {
    sp_status status = SP_OK;
    while (!step->over && status == SP_OK) {
        if (is_stopped(fold)) {
            *step = (struct step){.over = true, .end = SP_FOLD_STOPPED};
            break;
        }
        hold_at(fold, until, step);
        if (step->over) {
            break;
        }
        status = advance(fold, until, step, error);
        if (step->end != SP_FOLD_FAILED) {
            hold_at(fold, until, step);
        }
    }
    if (status == SP_OK && step->end != SP_FOLD_FAILED) {
        status = settle(fold, error);
    }
    if (status == SP_INVALID) {
        bool failed = false;
        status = stop_at(fold, &failed, error);
        *step = (struct step){.over = failed, .end = failed ? SP_FOLD_FAILED : SP_FOLD_CAUGHT_UP};
    }
    return status;
}

sp_status sp_fold_run(struct sp_fold *fold, uint64_t until, enum sp_fold_end *ret_end,
                      struct sp_error *error) {
    struct sp_build_state state;
    struct step step = {.over = false, .end = SP_FOLD_CAUGHT_UP};
    struct sp_error own;
    error = error != NULL ? error : &own; /* the position of a poison comes in it */
    fold->build->ops->state(fold->build, &state);
    if (state.failed) {
        *ret_end = SP_FOLD_FAILED;
        return SP_OK;
    }
    if (until != 0 && until < fold->progress.position) {
        return sp_error_set(error, SP_INVALID, "the read model is at %llu, behind %llu already",
                            (unsigned long long)fold->progress.position, (unsigned long long)until);
    }
    sp_status status = SP_OK;
    while (status == SP_OK && !step.over) {
        status = run(fold, until, &step, error);
    }
    if (status != SP_OK) {
        roll_back(fold);
        return status;
    }
    *ret_end = step.end;
    return SP_OK;
}
