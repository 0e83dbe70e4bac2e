#include "server/retell.h"

#include "project/upcast.h"
#include "server/decisions.h"

enum {
    LOOK_MS = 5000,
    YOUNG_EVENTS = 1000, /* nothing younger is told again */
};

static bool retains(const struct sp_server *server) {
    return sp_settings_u64(&server->settings, SP_SET_RETAIN_BYTES) != 0 ||
           sp_settings_u64(&server->settings, SP_SET_RETAIN_AGE) != 0;
}

/*
 * What lies before this position is told again: the older half, as retention takes the oldest, but
 * nothing young; and in any case what was dropped already, where events come that fast.
 */
static uint64_t find_old(uint64_t first, uint64_t last) {
    uint64_t middle = first + (last > first ? (last - first) / 2 : 0);
    uint64_t young = last > YOUNG_EVENTS ? last - YOUNG_EVENTS : 0;
    uint64_t old = middle < young ? middle : young;
    return old > first ? old : first;
}

static bool on_turn(struct sp_server *server, void *context) {
    struct sp_error error;
    uint64_t first;
    uint64_t last;
    (void)context;
    if (!retains(server)) {
        return false;
    }
    struct sp_log *log = sp_engine_log(server->engine);
    log->ops->bounds(log, &first, &last);
    if (first == server->retell_first && server->monotonic_ms - server->retell_ms < LOOK_MS) {
        return false;
    }
    uint64_t before = find_old(first, last);
    sp_error_clear(&error);
    sp_status status = sp_upcasters_retell(server->upcasters, server->engine, before, &error);
    status = status == SP_OK ? sp_decisions_retell(server, before, &error) : status;
    if (status == SP_BUSY) {
        return false; /* the next turn tries again */
    }
    server->retell_ms = server->monotonic_ms;
    server->retell_first = first;
    if (status != SP_OK) { /* the next look tries again */
        sp_say(&server->logger, SP_LEVEL_WARN, "definitions could not be told again",
               SP_FIELD_TEXT("error", sp_str_from(error.text)));
    }
    return false;
}

void sp_retell_init(struct sp_server *server) {
    const struct sp_server_hooks hooks = {.turn = on_turn};
    sp_server_hook(server, &hooks);
}
