/*
 * follow: a store that drives itself (SPOOR_OWN_THREAD). One thread waits for tasks, the main
 * thread appends them; neither knows of the other.
 */
#include <pthread.h>
#include <spoor.h>
#include <stdio.h>
#include <stdlib.h>

static void check(spoor_status status, const spoor_error *error) {
    if (status != SPOOR_OK) {
        fprintf(stderr, "follow: %s\n", error->text);
        exit(EXIT_FAILURE);
    }
}

/* Answers every task, until the one that says to stop. */
static void *work(void *context) {
    spoor *store = context;
    spoor_cursor *cursor;
    spoor_error error;
    const char *types[] = {"task.*"};
    spoor_query query = SPOOR_QUERY_INIT;
    query.types = types;
    query.type_count = 1;
    query.filter = "{\"data.priority\": {\"$gte\": \"high\"}}";
    check(spoor_subscribe(store, &query, &cursor, &error), &error);
    for (;;) {
        const spoor_event *task;
        check(spoor_next(cursor, -1, &task, &error), &error);
        printf("%.*s %.*s\n", (int)task->type.len, task->type.ptr, (int)task->data.len,
               task->data.ptr);
        if (task->type.len == sizeof("task.last") - 1) {
            break;
        }
        spoor_event answer = SPOOR_EVENT_INIT;
        answer.type = spoor_text("answer.given");
        answer.source = spoor_text("agent:worker");
        answer.causationid = task->id;
        check(spoor_append(store, &answer, SPOOR_ANY_VERSION, NULL, &error), &error);
    }
    spoor_cursor_close(cursor);
    return NULL;
}

static void assign(spoor *store, const char *type, const char *data) {
    spoor_error error;
    spoor_event task = SPOOR_EVENT_INIT;
    task.type = spoor_text(type);
    task.source = spoor_text("agent:planner");
    task.data = spoor_text(data);
    check(spoor_append(store, &task, SPOOR_ANY_VERSION, NULL, &error), &error);
}

int main(int argc, char *argv[]) {
    spoor *store;
    spoor_error error;
    spoor_options options;
    spoor_options_init(&options);
    options.flags = SPOOR_CREATE | SPOOR_OWN_THREAD;
    check(spoor_open(argc > 1 ? argv[1] : "follow-data", &options, &store, &error), &error);

    pthread_t worker;
    assign(store, "task.review", "{\"priority\": \"high\", \"number\": 1}");
    if (pthread_create(&worker, NULL, work, store) != 0) {
        fputs("follow: no thread\n", stderr);
        return EXIT_FAILURE;
    }
    assign(store, "task.tidy", "{\"priority\": \"low\", \"number\": 2}");
    assign(store, "task.deploy", "{\"priority\": \"urgent\", \"number\": 3}");
    assign(store, "task.last", "{\"priority\": \"critical\"}");
    (void)pthread_join(worker, NULL);

    spoor_info info;
    check(spoor_get_info(store, &info, &error), &error);
    printf("%llu events\n", (unsigned long long)info.last_position);
    spoor_close(store);
    return EXIT_SUCCESS;
}
