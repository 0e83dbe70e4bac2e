#include "project/sinks.h"

#include <stdio.h>

#include "engine/engine.h"
#include "project/postgres.h"
#include "project/sqlite.h"

enum { PATH_SIZE = 4352 };

bool sp_sink_is_remote(sp_str read_models) {
    return sp_postgres_is_url(read_models);
}

sp_status sp_sink_check_place(sp_str read_models, struct sp_error *error) {
    if (read_models.len == 0 || sp_str_eq(read_models, SP_STR("sqlite")) ||
        sp_sink_is_remote(read_models)) {
        return SP_OK;
    }
    return sp_error_set(error, SP_INVALID,
                        "read-models: expected sqlite or postgres://…, found '%.*s'",
                        read_models.len < 80 ? (int)read_models.len : 80, read_models.ptr);
}

static sp_status open_sqlite(const struct sp_sink_place *place, struct sp_sink **ret_sink,
                             struct sp_error *error) {
    char folder[PATH_SIZE];
    int len = snprintf(folder, sizeof(folder), "%s/projections", place->data);
    if (len < 0 || (size_t)len >= sizeof(folder)) {
        return sp_error_set(error, SP_LIMIT, "the data folder's path is too long");
    }
    struct sp_log *log = sp_engine_log(place->engine);
    struct sp_log_description description;
    log->ops->describe(log, &description);
    const struct sp_sqlite_options options = {.folder = folder,
                                              .clock = place->clock,
                                              .read_only = place->read_only,
                                              .log = description.uuid};
    return sp_sqlite_sink_open(&options, ret_sink, error);
}

static sp_status open_postgres(const struct sp_sink_place *place, struct sp_sink **ret_sink,
                               struct sp_error *error) {
    struct sp_log *log = sp_engine_log(place->engine);
    struct sp_log_description description;
    log->ops->describe(log, &description);
    struct sp_postgres_options options = {
        .url = place->read_models, .clock = place->clock, .read_only = place->read_only};
    memcpy(options.uuid, description.uuid, sizeof(options.uuid));
    return sp_postgres_sink_open(&options, ret_sink, error);
}

sp_status sp_sink_open(const struct sp_sink_place *place, struct sp_sink **ret_sink,
                       struct sp_error *error) {
    sp_status status = sp_sink_check_place(place->read_models, error);
    if (status != SP_OK) {
        return status;
    }
    return sp_sink_is_remote(place->read_models) ? open_postgres(place, ret_sink, error)
                                                 : open_sqlite(place, ret_sink, error);
}
