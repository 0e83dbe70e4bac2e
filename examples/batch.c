/*
 * batch: several events of several streams in one append, all or none, on the condition that their
 * streams have not moved since they were read; and what to do when one has.
 */
#include <spoor.h>
#include <stdio.h>
#include <stdlib.h>

static void check(spoor_status status, const spoor_error *error) {
    if (status != SPOOR_OK) {
        fprintf(stderr, "batch: %s\n", error->text);
        exit(EXIT_FAILURE);
    }
}

/* The version of a stream; SPOOR_NO_STREAM where it has no event yet. */
static uint64_t version_of(spoor *store, const char *name) {
    spoor_stream stream;
    spoor_error error;
    spoor_status status = spoor_stream_get(store, name, &stream, &error);
    if (status == SPOOR_NOT_FOUND) {
        return SPOOR_NO_STREAM;
    }
    check(status, &error);
    return stream.version;
}

static spoor_event event_of(const char *stream, const char *type, const char *data) {
    spoor_event event = SPOOR_EVENT_INIT;
    event.source = spoor_text("service:ledger");
    event.stream = spoor_text(stream);
    event.type = spoor_text(type);
    event.data = spoor_text(data);
    return event;
}

/* Moves money: both entries or neither, if both accounts still are at the versions expected. */
static spoor_status transfer(spoor *store, uint64_t from_version, uint64_t to_version,
                             spoor_error *error) {
    spoor_event events[] = {event_of("account-a", "account.debited", "{\"amount\": 5}"),
                            event_of("account-b", "account.credited", "{\"amount\": 5}")};
    spoor_expect expects[] = {{spoor_text("account-a"), from_version},
                              {spoor_text("account-b"), to_version}};
    spoor_appended appended[2];
    spoor_status status = spoor_append_batch(store, events, 2, expects, 2, appended, error);
    if (status == SPOOR_OK) {
        printf("stored at %llu and %llu\n", (unsigned long long)appended[0].position,
               (unsigned long long)appended[1].position);
    }
    return status;
}

int main(int argc, char *argv[]) {
    spoor *store;
    spoor_error error;
    check(spoor_open(argc > 1 ? argv[1] : "batch-data", NULL, &store, &error), &error);

    /* Decide on what was read ... */
    uint64_t a = version_of(store, "account-a");
    uint64_t b = version_of(store, "account-b");

    /* ... while somebody else is faster. */
    spoor_event other = event_of("account-b", "account.closed", "{}");
    check(spoor_append(store, &other, b, NULL, &error), &error);

    spoor_status status = transfer(store, a, b, &error);
    while (status == SPOOR_CONFLICT) {
        /* Nothing was stored. Read again, decide again, try again. */
        printf("%s\n", error.text);
        a = version_of(store, "account-a");
        b = version_of(store, "account-b");
        status = transfer(store, a, b, &error);
    }
    check(status, &error);
    spoor_close(store);
    return EXIT_SUCCESS;
}
