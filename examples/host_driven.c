/*
 * host_driven: the store inside an event loop of the host's own. Nothing here blocks but poll():
 * appends are submitted, the store's descriptor says when to give it a turn, and callbacks tell
 * what became durable. A pipe stands for whatever else the loop serves.
 */
#include <poll.h>
#include <spoor.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { EVENT_COUNT = 1000 };

struct host {
    spoor *store;
    unsigned submitted;
    unsigned durable;
    uint64_t last_position;
};

static void check(spoor_status status, const spoor_error *error) {
    if (status != SPOOR_OK) {
        fprintf(stderr, "host_driven: %s\n", error->text);
        exit(EXIT_FAILURE);
    }
}

/* Called from spoor_turn when an append is on stable storage, or never will be. */
static void appended(void *context, spoor_status status, const spoor_appended *result, size_t count,
                     const spoor_error *error) {
    struct host *host = context;
    check(status, error);
    host->durable += (unsigned)count;
    host->last_position = result[count - 1].position;
}

/* Submits as much as the store takes. SPOOR_BUSY is no failure: the next turn makes room. */
static void submit(struct host *host) {
    spoor_error error;
    while (host->submitted < EVENT_COUNT) {
        char data[40];
        (void)snprintf(data, sizeof(data), "{\"number\": %u}", host->submitted);
        spoor_event event = SPOOR_EVENT_INIT;
        event.type = spoor_text("sensor.read");
        event.source = spoor_text("agent:probe");
        event.data = spoor_text(data);
        spoor_status status = spoor_submit(host->store, &event, 1, NULL, 0, appended, host, &error);
        if (status == SPOOR_BUSY) {
            return;
        }
        check(status, &error);
        host->submitted++;
    }
}

/* One round of the loop: waits for the pipe or the store, and serves who is ready. */
static void serve(struct host *host, int pipe_fd) {
    spoor_error error;
    struct pollfd ready[] = {{pipe_fd, POLLIN, 0}, {spoor_fd(host->store), POLLIN, 0}};
    (void)poll(ready, 2, spoor_deadline_ms(host->store));
    char byte;
    if ((ready[0].revents & POLLIN) != 0 && read(pipe_fd, &byte, 1) == 1) {
        printf("the pipe said %c\n", byte);
    }
    spoor_status status = spoor_turn(host->store, 0, &error);
    if (status != SPOOR_TIMEOUT) {
        check(status, &error);
    }
}

int main(int argc, char *argv[]) {
    struct host host = {NULL, 0, 0, 0};
    spoor_error error;
    spoor_options options;
    spoor_options_init(&options);
    options.outstanding_max = 100; /* small, so that SPOOR_BUSY is met */
    const char *folder = argc > 1 ? argv[1] : "host-driven-data";
    check(spoor_open(folder, &options, &host.store, &error), &error);

    int pipe_fds[2];
    if (pipe(pipe_fds) != 0 || write(pipe_fds[1], "x", 1) != 1) {
        perror("host_driven: pipe");
        return EXIT_FAILURE;
    }
    while (host.durable < EVENT_COUNT) {
        submit(&host);
        serve(&host, pipe_fds[0]);
    }
    printf("%u events durable, the last at %llu\n", host.durable,
           (unsigned long long)host.last_position);
    spoor_close(host.store);
    return EXIT_SUCCESS;
}
