#include <stdlib.h>

#include "api/api_int.h"
#include "api/projections.h"
#include "engine/engine_ops.h"
#include "project/shipped.h"
#include "project/sinks.h"
#include "project/upcast.h"

enum { GRACE_MS = 60000 };

/* The sink of the folder, to be filled where that is possible, else to be read. */
static sp_status open_sink(spoor *store, struct sp_sink **ret_sink, bool *ret_read_only,
                           struct sp_error *error) {
    struct sp_sink_place place = {
        .data = store->folder, .engine = store->engine, .clock = sp_clock_system()};
    sp_status status = sp_sink_open(&place, ret_sink, error);
    *ret_read_only = false;
    if (status == SP_BUSY || status == SP_DENIED) {
        sp_error_clear(error);
        place.read_only = true;
        *ret_read_only = true;
        status = sp_sink_open(&place, ret_sink, error);
    }
    return status;
}

/* In another program's process there is nothing to run a worker from: jq runs within. */
static sp_status open_upcasters(spoor *store, struct sp_error *error) {
    const struct sp_upcasters_options options = {.check = NULL};
    sp_status status = sp_upcasters_new(&options, &store->upcasters, error);
    return status == SP_OK ? sp_upcasters_load(store->upcasters, store->engine, error) : status;
}

sp_status sp_api_projects(spoor *store, struct sp_projects **ret_projects, struct sp_error *error) {
    struct sp_sink *sink = NULL;
    bool read_only = false;
    if (store->client != NULL) {
        return sp_error_set(error, SP_UNSUPPORTED, "a server has read models of its own: ask it");
    }
    sp_status status = SP_OK;
    if (store->projects == NULL && store->upcasters == NULL) {
        status = open_upcasters(store, error);
    }
    if (status == SP_OK && store->projects == NULL) {
        status = open_sink(store, &sink, &read_only, error);
    }
    if (status == SP_OK && store->projects == NULL) {
        const struct sp_projects_options options = {
            .engine = store->engine,
            .writable = !store->read_only,
            .sink = sink,
            .sink_read_only = read_only,
            .tries_out = true,
            .clock = sp_clock_system(),
            .grace_ms = GRACE_MS,
            .shipped = sp_shipped_projections,
            .shipped_count = sp_shipped_projection_count,
            .upcast = sp_upcast,
            .upcast_context = store->upcasters,
        };
        status = sp_projects_new(&options, &store->projects, error);
    }
    *ret_projects = store->projects;
    return status == SP_OK ? SP_OK : sp_error_prefix(error, status, "read models");
}

void api_projects_close(spoor *store) {
    sp_projects_free(store->projects);
    sp_upcasters_free(store->upcasters);
    store->projects = NULL;
    store->upcasters = NULL;
}

sp_status sp_api_settle(spoor *store, struct sp_error *error) {
    uint64_t gate = sp_engine_gate(store->engine);
    sp_require(!store->own_thread);
    while (!sp_engine_passed(store->engine, gate)) {
        sp_status status = sp_engine_state(store->engine, error);
        if (status != SP_OK) {
            return status;
        }
        (void)sp_engine_turn(store->engine, 1);
    }
    return SP_OK;
}
