/* Watching a saga until it ends: its stream is subscribed to. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/desk.h"
#include "cli/flows.h"
#include "cli/interrupt.h"
#include "cli/text.h"
#include "os/os.h"

enum { SLICE_MS = 100, IDLE_US = 20000, STREAM_SIZE = 320 };

struct watch {
    struct sp_interrupt interrupt;
    struct sp_clock clock;
    uint64_t deadline_ns; /* UINT64_MAX: none */
    spoor *store;
    spoor_cursor *cursor;
};

enum { GOES_ON = -1 };

struct outcome {
    int code;
    bool is_final; /* nothing follows; one that needs a person may be helped */
};

/* What an event of the saga's stream makes of what is known so far. */
static struct outcome outcome_of(sp_str type, struct outcome before) {
    static const struct {
        const char *type;
        struct outcome outcome;
    } ENDS[] = {
        {"saga.completed", {SP_EXIT_OK, true}},
        {"saga.compensated", {SP_EXIT_FAILURE, true}},
        {"saga.cancelled", {SP_EXIT_FAILURE, true}},
        {"saga.needs_attention", {SP_EXIT_FAILURE, false}},
        {"saga.attention.resolved", {GOES_ON, false}},
    };
    for (size_t i = 0; i < sizeof(ENDS) / sizeof(*ENDS); i++) {
        if (sp_str_eq(type, sp_str_from(ENDS[i].type))) {
            return ENDS[i].outcome;
        }
    }
    return before;
}

static bool is_late(const struct watch *watch) {
    return watch->clock.monotonic_ns(watch->clock.context) >= watch->deadline_ns;
}

/* Over a folder nothing else drives the store: what waits for a time is done in its turns. */
static void idle(struct watch *watch, const struct sp_cli *cli) {
    spoor_error error = {.status = SPOOR_OK};
    if (cli->url == NULL && spoor_turn(watch->store, SLICE_MS, &error) == SPOOR_TIMEOUT) {
        sp_sleep_us(IDLE_US);
    }
}

/* Tells how it is, and gives the exit code of that. */
static int finish(struct sp_cli_desk *desk, sp_str sagaid, int code) {
    int told = sp_cli_saga_tell(desk, sagaid);
    return told == SP_EXIT_OK ? code : told;
}

static int follow(struct watch *watch, struct sp_cli_desk *desk, sp_str sagaid) {
    struct outcome outcome = {.code = GOES_ON};
    for (;;) {
        const spoor_event *event = NULL;
        spoor_error error = {.status = SPOOR_OK};
        spoor_status status = spoor_next(watch->cursor, SLICE_MS, &event, &error);
        if (status == SPOOR_OK) {
            outcome = outcome_of(sp_text_str(event->type), outcome);
        }
        if (outcome.is_final || (status == SPOOR_TIMEOUT && outcome.code != GOES_ON)) {
            return finish(desk, sagaid, outcome.code);
        }
        if (sp_interrupt_came(&watch->interrupt)) {
            sp_cli_say(desk->cli, "it goes on without being watched");
            return SP_EXIT_INTERRUPTED;
        }
        if (status == SPOOR_TIMEOUT && is_late(watch)) {
            sp_cli_complain("saga %.*s has not ended in time; it goes on", SP_STR_ARG(sagaid));
            return SP_EXIT_TIMEOUT;
        }
        if (status == SPOOR_TIMEOUT) {
            idle(watch, desk->cli);
        } else if (status != SPOOR_OK) {
            return sp_cli_fail(&error);
        }
    }
}

int sp_cli_saga_watch(struct sp_cli_desk *desk, sp_str sagaid, uint64_t timeout_us) {
    struct watch watch = {.clock = sp_clock_system(), .store = desk->store};
    char stream[STREAM_SIZE];
    spoor_error error = {.status = SPOOR_OK};
    (void)snprintf(stream, sizeof(stream), "saga:%.*s", SP_STR_ARG(sagaid));
    watch.deadline_ns = timeout_us == 0
                            ? UINT64_MAX
                            : watch.clock.monotonic_ns(watch.clock.context) + timeout_us * 1000;
    int code = SP_EXIT_OK;
    if (desk->store == NULL) {
        code = sp_cli_open(desk->cli, SPOOR_READ_ONLY, &watch.store);
    }
    sp_interrupt_open(&watch.interrupt);
    if (code == SP_EXIT_OK) {
        spoor_query query = {.size = sizeof(query), .stream = stream, .from = "1"};
        code = spoor_subscribe(watch.store, &query, &watch.cursor, &error) == SPOOR_OK
                   ? follow(&watch, desk, sagaid)
                   : sp_cli_fail(&error);
    }
    sp_interrupt_close(&watch.interrupt);
    spoor_cursor_close(watch.cursor);
    if (desk->store == NULL) {
        spoor_close(watch.store);
    }
    return code;
}
