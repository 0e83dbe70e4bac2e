/* why: an agent's decision, followed back to its root and forward to what it caused. */
#include <spoor.h>
#include <stdio.h>
#include <stdlib.h>

static void check(spoor_status status, const spoor_error *error) {
    if (status != SPOOR_OK) {
        fprintf(stderr, "why: %s\n", error->text);
        exit(EXIT_FAILURE);
    }
}

/* Appends an event that `cause` (may be NULL) led to. The run follows from the cause. */
static void record(spoor *store, const char *id, const char *cause, const char *type,
                   const char *source, const char *data) {
    spoor_error error;
    spoor_event event = SPOOR_EVENT_INIT;
    event.id = spoor_text(id);
    event.causationid = spoor_text(cause);
    event.type = spoor_text(type);
    event.source = spoor_text(source);
    event.data = spoor_text(data);
    check(spoor_append(store, &event, SPOOR_ANY_VERSION, NULL, &error), &error);
}

static void show_all(spoor_cursor *cursor) {
    const spoor_event *event;
    spoor_error error;
    spoor_status status;
    while ((status = spoor_next(cursor, 0, &event, &error)) == SPOOR_OK) {
        printf("%*s%.*s by %.*s, run %.*s: %.*s\n", 2 * (int)spoor_cursor_depth(cursor), "",
               (int)event->type.len, event->type.ptr, (int)event->source.len, event->source.ptr,
               (int)event->correlationid.len, event->correlationid.ptr, (int)event->data.len,
               event->data.ptr);
    }
    if (status != SPOOR_END) {
        check(status, &error);
    }
    spoor_cursor_close(cursor);
}

int main(int argc, char *argv[]) {
    spoor *store;
    spoor_cursor *cursor;
    spoor_error error;
    check(spoor_open(argc > 1 ? argv[1] : "why-data", NULL, &store, &error), &error);

    record(store, "ask", NULL, "message.user", "user:ann", "{\"text\": \"refund order 7\"}");
    record(store, "look", "ask", "tool.called", "agent:refunds", "{\"tool\": \"get_order\"}");
    record(store, "found", "look", "tool.result", "tool:orders", "{\"age_days\": 41}");
    record(store, "no", "found", "refund.refused", "agent:refunds", "{\"reason\": \"too old\"}");
    record(store, "tell", "ask", "message.agent", "agent:refunds", "{\"text\": \"I look\"}");

    puts("why was it refused?");
    check(spoor_causes(store, "no", &cursor, &error), &error);
    show_all(cursor);
    puts("what did the question lead to?");
    check(spoor_effects(store, "ask", &cursor, &error), &error);
    show_all(cursor);
    spoor_close(store);
    return EXIT_SUCCESS;
}
