/*
 * Where a store's read models live, by the setting that says so. loop
 */
#ifndef SP_PROJECT_SINKS_H
#define SP_PROJECT_SINKS_H

#include "os/os.h"
#include "project/sink.h"

struct sp_engine;

struct sp_sink_place {
    const char *data; /* the data folder: SQLite files are in its folder `projections` */
    /*
     * `sqlite`, or the URL of a PostgreSQL database; empty: sqlite.
     */
    sp_str read_models;
    struct sp_engine *engine; /* of the store */
    struct sp_clock clock;
    bool read_only; /* only for what is there */
};

/*
 * Opens it. SP_BUSY where another process fills read models there; SP_NOT_FOUND where there is
 * nothing and read_only; SP_INVALID where `read_models` names no place; what the sinks say.
 */
SP_WARN_UNUSED sp_status sp_sink_open(const struct sp_sink_place *place, struct sp_sink **ret_sink,
                                      struct sp_error *error);

/* Whether the text names a place of read models. SP_INVALID says what was expected. */
SP_WARN_UNUSED sp_status sp_sink_check_place(sp_str read_models, struct sp_error *error);

/* True where it is a PostgreSQL database. */
bool sp_sink_is_remote(sp_str read_models);

#endif
