/*
 * worker: an order as a saga, its steps as callbacks. The card is charged and the goods reserved;
 * the carrier has no van, so the goods are released and the card is refunded, in that order.
 */
#include <spoor.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char ORDER[] =
    "saga: order\n"
    "steps:\n"
    "  - {name: charge, action: card.charge, input: '{amount: .total}', compensate: card.refund}\n"
    "  - {name: reserve, action: stock.reserve, compensate: stock.release}\n"
    "  - {name: ship, action: parcel.ship, retry: {limit: 1}}\n";

static void check(spoor_status status, const spoor_error *error) {
    if (status != SPOOR_OK) {
        fprintf(stderr, "worker: %s\n", error->text);
        exit(EXIT_FAILURE);
    }
}

static void say(const char *what, const spoor_job *job) {
    printf("%s %.*s\n", what, (int)job->type.len, job->type.ptr);
}

/* What it gives is the step's result; idempotencykey keeps the card from being charged twice. */
static void charge(void *context, spoor_job *job) {
    static const char RESULT[] = "{\"charge\": \"ch-1\"}";
    (void)context;
    say("does", job);
    (void)spoor_job_result(job, RESULT, strlen(RESULT));
}

static void reserve(void *context, spoor_job *job) {
    (void)context;
    say("does", job);
}

static void ship(void *context, spoor_job *job) {
    (void)context;
    say("fails at", job);
    spoor_job_fail(job, "no van is free", 0);
}

/* The command's data tells what was done: {"input", "result", "error"}. */
static void undo(void *context, spoor_job *job) {
    (void)context;
    say("undoes by", job);
}

/* The first status in what is shown is the saga's own; those of its steps come behind it. */
static void note_status(void *context, const char *json, size_t len) {
    static const char KEY[] = "\"status\":\"";
    static const char UNDONE[] = "compensated\"";
    int *undone = context;
    size_t at = 0;
    while (at + sizeof(KEY) - 1 < len && memcmp(json + at, KEY, sizeof(KEY) - 1) != 0) {
        at++;
    }
    at += sizeof(KEY) - 1;
    *undone = at + sizeof(UNDONE) - 1 <= len && memcmp(json + at, UNDONE, sizeof(UNDONE) - 1) == 0;
}

int main(int argc, char *argv[]) {
    spoor *store;
    spoor_worker *worker;
    spoor_error error;
    check(spoor_open(argc > 1 ? argv[1] : "worker-data", NULL, &store, &error), &error);
    check(spoor_define(store, SPOOR_DEFINES_SAGA, ORDER, strlen(ORDER), NULL, &error), &error);

    check(spoor_worker_new(store, "card.charge", charge, NULL, NULL, &worker, &error), &error);
    check(spoor_worker_add(worker, "stock.reserve", reserve, NULL, &error), &error);
    check(spoor_worker_add(worker, "parcel.ship", ship, NULL, &error), &error);
    check(spoor_worker_add(worker, "stock.release", undo, NULL, &error), &error);
    check(spoor_worker_add(worker, "card.refund", undo, NULL, &error), &error);

    spoor_saga_options options = SPOOR_SAGA_INIT;
    spoor_saga_started started = {.size = sizeof(started)};
    options.data = "{\"order\": \"o-7\", \"total\": 42}";
    options.key = "o-7";
    check(spoor_saga_start(store, "order", &options, &started, &error), &error);

    int undone = 0;
    while (!undone) {
        check(spoor_worker_run(worker, 20, &error), &error);
        check(spoor_saga_show(store, started.sagaid, note_status, &undone, &error), &error);
    }
    printf("the order was undone\n");
    spoor_worker_free(worker);
    spoor_close(store);
    return EXIT_SUCCESS;
}
