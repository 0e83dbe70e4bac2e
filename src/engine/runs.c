/*
 * Runs: what belongs together by its correlation id. A run begins with the first event of its
 * correlation, so the runs in order are the events, in order, that are the first of theirs:
 * listing some costs no more than reading up to the last of them.
 */
#include <stdlib.h>

#include "engine/forks.h"
#include "engine/query_int.h"

enum { RUN_TEXTS = 6 };

/* One run as it is gathered; its texts are copied, as the cursor moves on. */
struct gathering {
    struct sp_engine *engine;
    struct sp_buf text;
    struct sp_run run;
};

/* How a run ended, by the type of an event that ends one. False for any other type. */
static bool terminal_status(sp_str type, enum sp_run_status *ret_status) {
    static const struct {
        const char *type;
        enum sp_run_status status;
    } terminals[] = {
        {"run.completed", SP_RUN_COMPLETED},          {"run.failed", SP_RUN_FAILED},
        {"agent.completed", SP_RUN_COMPLETED},        {"agent.failed", SP_RUN_FAILED},
        {"conversation.completed", SP_RUN_COMPLETED}, {"conversation.failed", SP_RUN_FAILED},
        {"conversation.ended", SP_RUN_COMPLETED},
    };
    for (size_t i = 0; i < sizeof(terminals) / sizeof(terminals[0]); i++) {
        if (sp_str_eq(type, sp_str_from(terminals[i].type))) {
            *ret_status = terminals[i].status;
            return true;
        }
    }
    return false;
}

/* Copies a text behind the others; offsets, as the buffer may move, become slices at the end. */
static sp_str keep(struct sp_buf *text, sp_str s) {
    sp_str kept = {.ptr = s.ptr == NULL ? NULL : "", .len = s.len};
    sp_buf_add_str(text, s);
    return kept;
}

/* Points the kept texts, in the order in which they were kept, into the buffer as it is now. */
static void settle(struct sp_buf *text, size_t start, sp_str *texts[], size_t count) {
    size_t at = start;
    for (size_t i = 0; i < count; i++) {
        if (texts[i]->ptr != NULL) {
            texts[i]->ptr = (const char *)text->data + at;
            at += texts[i]->len;
        }
    }
}

static void count_event(struct sp_run *run, const struct sp_event *event) {
    if (run->event_count == 0) {
        run->first_position = event->position;
        run->first_recorded_us = event->recorded_us;
    }
    run->event_count++;
    run->last_position = event->position;
    run->last_recorded_us = event->recorded_us;
    (void)terminal_status(event->attr[SP_ATTR_TYPE], &run->status);
}

/* Reads all events of the run that begins with `first`. */
static sp_status gather(struct gathering *gathering, const struct sp_event *first,
                        struct sp_error *error) {
    struct sp_run *run = &gathering->run;
    struct sp_buf *text = &gathering->text;
    *run = (struct sp_run){.status = SP_RUN_RUNNING};
    sp_buf_reset(text);
    run->correlation = keep(text, first->attr[SP_ATTR_CORRELATION]);
    run->first_type = keep(text, first->attr[SP_ATTR_TYPE]);
    run->first_time = keep(text, first->attr[SP_ATTR_TIME]);
    struct sp_fork fork;
    if (sp_fork_read(first, &fork)) {
        run->fork_of = keep(text, fork.of);
        run->fork_position = fork.until;
    }
    size_t fixed = text->len;
    struct sp_query query = {.correlation = first->attr[SP_ATTR_CORRELATION], .own = true};
    struct sp_cursor *events = NULL;
    sp_status status = sp_cursor_open(gathering->engine, &query, &events, error);
    const struct sp_event *event = NULL;
    while (status == SP_OK && (status = sp_cursor_next(events, &event, error)) == SP_OK) {
        count_event(run, event);
        text->len = fixed;
        run->last_type = keep(text, event->attr[SP_ATTR_TYPE]);
        run->last_time = keep(text, event->attr[SP_ATTR_TIME]);
    }
    sp_cursor_close(events);
    sp_str *texts[RUN_TEXTS] = {&run->correlation, &run->first_type, &run->first_time,
                                &run->fork_of,     &run->last_type,  &run->last_time};
    settle(text, 0, texts, RUN_TEXTS);
    return status == SP_END ? text->status : status;
}

/*
 * Whether no event of the same correlation stands before this one: asks the index for the first of
 * them. `probe` reads the candidates.
 */
static sp_status begins_run(struct sp_cursor *probe, const struct sp_event *event, bool *ret_begins,
                            struct sp_error *error) {
    struct sp_engine *engine = probe->engine;
    sp_str correlation = event->attr[SP_ATTR_CORRELATION];
    struct sp_index_scan scan;
    sp_index_scan_init(&scan, engine->index, SP_INDEX_CORRELATION,
                       sp_index_hash(SP_INDEX_CORRELATION, correlation), 0, event->position, false);
    for (;;) {
        uint64_t position;
        engine_enter(engine);
        sp_status status = sp_index_scan_next(&scan, &position);
        engine_leave(engine);
        *ret_begins = status == SP_END;
        if (status != SP_OK) {
            return status == SP_END
                       ? SP_OK
                       : sp_error_set(error, status, "runs: %s", sp_status_text(status));
        }
        status = cursor_fetch(probe, position, error);
        if (status != SP_OK || sp_str_eq(probe->event.attr[SP_ATTR_CORRELATION], correlation)) {
            return status;
        }
    }
}

sp_status sp_runs_walk(struct sp_engine *engine, const struct sp_query *query, sp_run_fn *each,
                       void *context, struct sp_error *error) {
    struct sp_query unlimited = *query;
    unlimited.limit = 0;
    unlimited.own = true; /* what a fork shares begins another run */
    uint64_t left = query->limit != 0 ? query->limit : UINT64_MAX;
    struct gathering gathering = {.engine = engine};
    sp_buf_init(&gathering.text, SIZE_MAX / 2);
    struct sp_cursor *cursor = NULL;
    struct sp_cursor *probe = NULL;
    const struct sp_event *event = NULL;
    sp_status status = sp_cursor_open(engine, &unlimited, &cursor, error);
    status = status == SP_OK ? cursor_new(engine, &probe, error) : status;
    while (status == SP_OK && left > 0 &&
           (status = sp_cursor_next(cursor, &event, error)) == SP_OK) {
        bool begins = false;
        status = begins_run(probe, event, &begins, error);
        if (status == SP_OK && begins) {
            status = gather(&gathering, event, error);
            left--;
            if (status == SP_OK && !each(context, &gathering.run)) {
                break;
            }
        }
    }
    sp_cursor_close(cursor);
    sp_cursor_close(probe);
    sp_buf_fini(&gathering.text);
    return status == SP_END ? SP_OK : status;
}
