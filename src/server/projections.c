#include "server/projections.h"

#include "project/shipped.h"
#include "project/sinks.h"
#include "project/upcast.h"
#include "server/states.h"

enum {
    BUSY_US = 50000,        /* between two tries, while a command line fills read models */
    BUSY_US_MAX = 30000000, /* in all */
};

static void say(void *context, bool warning, sp_str name, const char *text) {
    struct sp_server *server = context;
    sp_say(&server->logger, warning ? SP_LEVEL_WARN : SP_LEVEL_INFO, "projection",
           SP_FIELD_TEXT("name", name), SP_FIELD_TEXT("text", sp_str_from(text)));
}

/* A turn may come several times in one of the loop: it costs little where nothing happened. */
static bool on_turn(struct sp_server *server, void *context) {
    (void)context;
    server->projects_wait_ms = sp_projects_turn(server->projects);
    return false;
}

static int on_timeout(struct sp_server *server, void *context) {
    (void)context;
    return server->projects_wait_ms;
}

static void on_fini(struct sp_server *server, void *context) {
    (void)context;
    sp_projects_free(server->projects);
    server->projects = NULL;
}

/* A command line that looks at a store may be filling read models just now: that is soon over. */
static sp_status open_sink(struct sp_server *server, struct sp_sink **ret_sink,
                           struct sp_error *error) {
    const struct sp_sink_place place = {
        .data = sp_settings_text(&server->settings, SP_SET_DATA).ptr,
        .read_models = sp_settings_text(&server->settings, SP_SET_READ_MODELS),
        .engine = server->engine,
        .clock = server->clock,
    };
    sp_status status = sp_sink_open(&place, ret_sink, error);
    bool waits = status == SP_BUSY && !sp_sink_is_remote(place.read_models);
    if (waits) {
        sp_say(&server->logger, SP_LEVEL_INFO, "waiting for who fills read models",
               SP_FIELD_TEXT("error", sp_str_from(error->text)));
    }
    for (uint64_t waited_us = 0; waits && status == SP_BUSY && waited_us < BUSY_US_MAX;
         waited_us += BUSY_US) {
        sp_sleep_us(BUSY_US);
        sp_error_clear(error);
        status = sp_sink_open(&place, ret_sink, error);
    }
    return status;
}

sp_status sp_projections_init(struct sp_server *server, void (*wake)(void *context),
                              void *wake_context, struct sp_error *error) {
    struct sp_sink *sink = NULL;
    if (sp_settings_u64(&server->settings, SP_SET_PROJECTIONS) == 0) {
        return SP_OK;
    }
    sp_status status = open_sink(server, &sink, error);
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "read models");
    }
    status = sp_states_init(server, error);
    if (status != SP_OK) {
        sink->ops->close(sink);
        return status;
    }
    const struct sp_projects_options options = {
        .engine = server->engine,
        .writable = true,
        .sink = sink,
        .threads = true,
        .tries_out = !sp_sink_is_remote(sp_settings_text(&server->settings, SP_SET_READ_MODELS)),
        .clock = server->clock,
        .grace_ms = sp_settings_u64(&server->settings, SP_SET_PROJECTION_GRACE),
        .retains = sp_settings_u64(&server->settings, SP_SET_RETAIN_BYTES) != 0 ||
                   sp_settings_u64(&server->settings, SP_SET_RETAIN_AGE) != 0,
        .shipped = sp_shipped_projections,
        .shipped_count = sp_shipped_projection_count,
        .upcast = server->upcasters != NULL ? sp_upcast : NULL,
        .upcast_context = server->upcasters,
        .travel = server->travel,
        .say = say,
        .say_context = server,
        .wake = wake,
        .wake_context = wake_context,
    };
    status = sp_projects_new(&options, &server->projects, error);
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "projections");
    }
    const struct sp_server_hooks hooks = {.turn = on_turn, .timeout = on_timeout, .fini = on_fini};
    sp_server_hook(server, &hooks);
    return SP_OK;
}
