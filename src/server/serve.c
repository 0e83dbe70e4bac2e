#include "server/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "os/wakeup.h"
#include "server/decisions.h"
#include "server/http.h"
#include "server/loop.h"
#include "server/projections.h"
#include "server/pubsub.h"
#include "server/retell.h"
#include "server/server.h"
#include "server/upcasting.h"
#include "spoor.h"

enum {
    BLOCK_BYTES = 4 << 20,
    SEGMENT_BYTES_FIRST = 8 << 20,
    SEGMENT_BYTES = 128 << 20,
    OUTSTANDING_MAX = 65536,
    DESCRIPTORS_BESIDE = 256, /* of the store and the loop */
    US_PER_MS = 1000,
};

/* What is open, in the order of opening. */
struct serving {
    struct sp_fs *fs;
    struct sp_guard guard; /* the engine's: the loop and the threads of read models share it */
    struct sp_engine *engine;
    struct sp_engine_opened opened;
    struct sp_bus *bus;
    struct sp_server *server;
    struct sp_loop *loop;
    int wake_fd;
};

/* A worker of the store finished something; on its thread. */
static void wake(void *context) {
    const struct serving *serving = context;
    sp_wakeup_signal(serving->wake_fd);
}

static struct sp_engine_options engine_options(struct serving *serving,
                                               const struct sp_settings *settings) {
    uint64_t event_bytes_max = sp_settings_u64(settings, SP_SET_EVENT_BYTES_MAX);
    uint64_t block = BLOCK_BYTES;
    while (block < event_bytes_max * 2) {
        block *= 2;
    }
    struct sp_engine_options options = {
        .fs = serving->fs,
        .clock = sp_clock_system(),
        .entropy = sp_entropy,
        .guard = &serving->guard,
        .create = true,
        .limits = SP_EVENT_LIMITS_DEFAULT,
        .outstanding_max = OUTSTANDING_MAX,
        .segment_bytes_min = block > SEGMENT_BYTES_FIRST / 2 ? SEGMENT_BYTES : SEGMENT_BYTES_FIRST,
        .segment_bytes_max = SEGMENT_BYTES,
        .block_bytes_max = (uint32_t)block,
        .tail_bytes_max = sp_settings_u64(settings, SP_SET_CACHE_BYTES_MAX),
        .retain_bytes_max = sp_settings_u64(settings, SP_SET_RETAIN_BYTES),
        .retain_age_us = sp_settings_u64(settings, SP_SET_RETAIN_AGE) * US_PER_MS,
        .durability = (enum sp_log_local_durability)sp_settings_u64(settings, SP_SET_DURABILITY),
        .sync_period_us = sp_settings_u64(settings, SP_SET_DURABILITY_INTERVAL) * US_PER_MS,
        .wake = wake,
        .wake_context = serving,
    };
    options.limits.event_bytes_max = event_bytes_max;
    return options;
}

/* As many descriptors as connections may need, as far as the system allows. */
static void raise_descriptors(const struct sp_settings *settings) {
    struct rlimit limit;
    rlim_t wanted = (rlim_t)sp_settings_u64(settings, SP_SET_MAX_CONNECTIONS) + DESCRIPTORS_BESIDE;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static sp_status open_store(struct serving *serving, const struct sp_settings *settings,
                            struct sp_error *error) {
    const char *folder = sp_settings_text(settings, SP_SET_DATA).ptr;
    serving->wake_fd = sp_wakeup_open();
    if (serving->wake_fd < 0) {
        return sp_error_set(error, SP_NO_MEMORY, "no descriptor to be had");
    }
    sp_status status = sp_fs_posix_open(folder, true, false, &serving->fs, error);
    if (status != SP_OK) {
        return status;
    }
    struct sp_engine_options options = engine_options(serving, settings);
    status = sp_engine_open(&options, &serving->engine, &serving->opened, error);
    if (status == SP_OK) {
        status = sp_bus_new(serving->engine, &serving->bus, error);
    }
    return status == SP_OK ? SP_OK : sp_error_prefix(error, status, "%s", folder);
}

static sp_status open_server(struct serving *serving, struct sp_settings *settings, int log_fd,
                             struct sp_error *error) {
    serving->server = malloc(sizeof(*serving->server));
    if (serving->server == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "server");
    }
    sp_status status = sp_server_init(serving->server, settings, serving->engine, serving->bus,
                                      sp_clock_system(), log_fd, error);
    if (status == SP_OK) {
        status = sp_pubsub_init(serving->server, error);
    }
    if (status == SP_OK) {
        status = sp_upcasting_init(serving->server, error);
    }
    if (status == SP_OK) {
        status = sp_projections_init(serving->server, wake, serving, error);
    }
    if (status == SP_OK) {
        status = sp_decisions_init(serving->server, error);
    }
    if (status == SP_OK) {
        sp_retell_init(serving->server);
    }
    if (status == SP_OK && sp_settings_u64(&serving->server->settings, SP_SET_NO_HTTP) == 0) {
        status = sp_http_init(serving->server, sp_http_route_tables(), error);
    }
    if (status == SP_OK) {
        status =
            sp_loop_new(serving->server, &serving->guard, serving->wake_fd, &serving->loop, error);
    }
    return status;
}

static void close_all(struct serving *serving) {
    sp_loop_free(serving->loop);
    if (serving->server != NULL) {
        sp_server_fini(serving->server);
        free(serving->server);
    }
    if (serving->bus != NULL) {
        sp_bus_free(serving->bus);
    }
    if (serving->engine != NULL) {
        sp_engine_close(serving->engine);
    }
    if (serving->fs != NULL) {
        serving->fs->ops->destroy(serving->fs);
    }
    if (serving->wake_fd >= 0) {
        sp_wakeup_close(serving->wake_fd);
    }
    sp_guard_fini(&serving->guard);
}

static void announce(struct serving *serving, sp_serve_ready_fn *ready, void *context) {
    char line[SP_FS_PATH_BYTES_MAX + 4096 + 1024];
    struct sp_server *server = serving->server;
    sp_str address = sp_settings_text(&server->settings, SP_SET_LISTEN);
    bool six = memchr(address.ptr, ':', address.len) != NULL;
    char http[512] = "off";
    if (server->http != NULL) {
        (void)snprintf(http, sizeof(http), "%s%s%s:%d", six ? "[" : "", address.ptr, six ? "]" : "",
                       server->http_port);
    }
    (void)snprintf(line, sizeof(line), "ready resp=%s%s%s:%d http=%s data=%s position=%llu",
                   six ? "[" : "", address.ptr, six ? "]" : "", server->resp_port, http,
                   sp_settings_text(&server->settings, SP_SET_DATA).ptr,
                   (unsigned long long)sp_engine_durable_position(serving->engine));
    sp_say(&server->logger, SP_LEVEL_INFO, "ready",
           SP_FIELD_TEXT("version", sp_str_from(spoor_version())), SP_FIELD_TEXT("listen", address),
           SP_FIELD_NUMBER("resp_port", (uint64_t)server->resp_port),
           SP_FIELD_NUMBER("http_port", (uint64_t)server->http_port),
           SP_FIELD_NUMBER("position", sp_engine_durable_position(serving->engine)),
           SP_FIELD_NUMBER("replayed", serving->opened.replayed_events));
    ready(context, line);
}

static void say_end(struct serving *serving) {
    sp_say(&serving->server->logger, SP_LEVEL_INFO, "stopped",
           SP_FIELD_NUMBER("position", sp_engine_durable_position(serving->engine)),
           SP_FIELD_NUMBER("commands", serving->server->stats.commands));
}

sp_status sp_serve(struct sp_settings *settings, int log_fd, sp_serve_ready_fn *ready,
                   void *context, struct sp_error *error) {
    struct serving serving = {.wake_fd = -1};
    raise_descriptors(settings);
    sp_guard_init(&serving.guard);
    sp_status status = open_store(&serving, settings, error);
    if (status == SP_OK) {
        status = open_server(&serving, settings, log_fd, error);
    }
    sp_settings_fini(settings); /* what was not taken over */
    if (status == SP_OK) {
        announce(&serving, ready, context);
        status = sp_loop_run(serving.loop);
        if (status != SP_OK) {
            (void)sp_engine_state(serving.engine, error);
        }
        say_end(&serving);
    }
    close_all(&serving);
    return status;
}
