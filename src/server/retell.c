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

/* What lies before this position is told again: the older half, as retention takes the oldest. */
static uint64_t find_old(const struct sp_server *server) {
    struct sp_log *log = sp_engine_log(server->engine);
    uint64_t first;
    uint64_t last;
    log->ops->bounds(log, &first, &last);
    uint64_t middle = first + (last > first ? (last - first) / 2 : 0);
    uint64_t young = last > YOUNG_EVENTS ? last - YOUNG_EVENTS : 0;
    return middle < young ? middle : young;
}

static bool on_turn(struct sp_server *server, void *context) {
    struct sp_error error;
    (void)context;
    if (server->monotonic_ms - server->retell_ms < LOOK_MS || !retains(server)) {
        return false;
    }
    server->retell_ms = server->monotonic_ms;
    uint64_t before = find_old(server);
    sp_error_clear(&error);
    sp_status status = sp_upcasters_retell(server->upcasters, server->engine, before, &error);
    status = status == SP_OK ? sp_decisions_retell(server, before, &error) : status;
    if (status != SP_OK && status != SP_BUSY) { /* the next look tries again */
        sp_say(&server->logger, SP_LEVEL_WARN, "definitions could not be told again",
               SP_FIELD_TEXT("error", sp_str_from(error.text)));
    }
    return false;
}

void sp_retell_init(struct sp_server *server) {
    const struct sp_server_hooks hooks = {.turn = on_turn};
    sp_server_hook(server, &hooks);
}
