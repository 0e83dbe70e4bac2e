/* hello: append two events, follow them (history, then live), and read one kind back. */
#include <spoor.h>
#include <stdio.h>
#include <stdlib.h>

static void check(spoor_status status, const spoor_error *error) {
    if (status != SPOOR_OK) {
        fprintf(stderr, "hello: %s\n", error->text);
        exit(EXIT_FAILURE);
    }
}

static void say(spoor *store, const char *type, const char *data) {
    spoor_error error;
    spoor_event event = SPOOR_EVENT_INIT;
    event.type = spoor_text(type);
    event.source = spoor_text("agent:reviewer");
    event.data = spoor_text(data);
    check(spoor_append(store, &event, SPOOR_ANY_VERSION, NULL, &error), &error);
}

static void show(const char *how, const spoor_event *event) {
    printf("%s: %llu %.*s %.*s\n", how, (unsigned long long)event->position, (int)event->type.len,
           event->type.ptr, (int)event->data.len, event->data.ptr);
}

int main(int argc, char *argv[]) {
    spoor *store;
    spoor_cursor *cursor;
    const spoor_event *event;
    spoor_error error;
    check(spoor_open(argc > 1 ? argv[1] : "hello-data", NULL, &store, &error), &error);
    say(store, "task.started", "{\"task\": \"review\"}");

    check(spoor_subscribe(store, NULL, &cursor, &error), &error);
    check(spoor_next(cursor, 1000, &event, &error), &error);
    show("history", event);
    say(store, "task.completed", "{\"task\": \"review\", \"ok\": true}");
    check(spoor_next(cursor, 1000, &event, &error), &error);
    show("live", event);
    spoor_cursor_close(cursor);

    const char *types[] = {"task.completed"};
    spoor_query query = SPOOR_QUERY_INIT;
    query.types = types;
    query.type_count = 1;
    check(spoor_read(store, &query, &cursor, &error), &error);
    while (spoor_next(cursor, 0, &event, &error) == SPOOR_OK) {
        show("read", event);
    }
    spoor_cursor_close(cursor);
    spoor_close(store);
    return EXIT_SUCCESS;
}
