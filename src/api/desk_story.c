/* What happened to one saga: its stream, told as JSON and in words. */
#include <stdio.h>

#include "api/desk_int.h"
#include "base/json.h"
#include "engine/query.h"
#include "flow/flow.h"
#include "flow/saga.h"
#include "flow/story.h"

enum { STREAM_SIZE = 320 };

/* The stream's events, as far as they are durable. */
static sp_status read_story(struct sp_desk_call *call, struct sp_story *story,
                            struct sp_error *error) {
    char text[STREAM_SIZE];
    sp_str id = call->request->subject;
    struct sp_cursor *cursor = NULL;
    if (id.len > 256) {
        return SP_OK; /* none is called so */
    }
    (void)snprintf(text, sizeof(text), "saga:%.*s", SP_STR_ARG(id));
    const struct sp_query query = {.stream = sp_str_from(text)};
    sp_status status = sp_cursor_open(call->engine, &query, &cursor, error);
    while (status == SP_OK) {
        const struct sp_event *event = NULL;
        status = sp_cursor_next(cursor, &event, error);
        status = status == SP_OK ? sp_story_add(story, event, error) : status;
    }
    sp_cursor_close(cursor);
    return status == SP_END ? SP_OK : status;
}

static struct sp_story_live live_of(const struct sp_desk_call *call) {
    struct sp_saga_info info;
    struct sp_story_live live = {.now_us = call->now_us};
    const struct sp_sagas *sagas = sp_flow_sagas(sp_engine_flow(call->engine));
    if (sp_sagas_find(sagas, call->request->subject, &info)) {
        live.waiting_for = sp_saga_waiting_name(info.waiting);
        live.due_us = info.due_us;
    }
    return live;
}

static sp_status tell(struct sp_desk_call *call, struct sp_error *error,
                      void (*how)(struct sp_desk_call *call, const struct sp_story *story,
                                  const struct sp_story_live *live)) {
    struct sp_story *story = NULL;
    sp_status status = sp_story_new(&story);
    if (status == SP_OK) {
        status = read_story(call, story, error);
    }
    if (status == SP_OK && !sp_story_is_saga(story)) {
        sp_str id = call->request->subject;
        status = sp_error_set(error, SP_NOT_FOUND, "there is no saga '%.*s'",
                              id.len > 64 ? 64 : (int)id.len, id.ptr);
    }
    if (status == SP_OK) {
        struct sp_story_live live = live_of(call);
        how(call, story, &live);
    }
    sp_story_free(story);
    return status;
}

static void tell_json(struct sp_desk_call *call, const struct sp_story *story,
                      const struct sp_story_live *live) {
    sp_story_json(story, live, &call->answer->text);
}

sp_status desk_saga_show(struct sp_desk_call *call, struct sp_error *error) {
    return tell(call, error, tell_json);
}

/* {"sagaid", "status", "words"} */
static void tell_words(struct sp_desk_call *call, const struct sp_story *story,
                       const struct sp_story_live *live) {
    struct sp_buf words;
    struct sp_buf *to = &call->answer->text;
    sp_buf_init(&words, DESK_ANSWER_BYTES_MAX);
    sp_story_words(story, live, &words);
    sp_buf_add_byte(to, '{');
    desk_add_text(to, "sagaid", call->request->subject);
    desk_add_text(to, "status", sp_str_from(sp_story_status(story)));
    desk_add_text(to, "words", sp_buf_str(&words));
    sp_buf_add_byte(to, '}');
    to->status = to->status == SP_OK ? words.status : to->status;
    sp_buf_fini(&words);
}

sp_status desk_saga_story(struct sp_desk_call *call, struct sp_error *error) {
    return tell(call, error, tell_words);
}
