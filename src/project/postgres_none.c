#include "project/postgres.h"

/* What stands for the PostgreSQL sink where libpq was not there when spoor was built. */

bool sp_postgres_is_url(sp_str text) {
    return sp_str_starts_with(text, SP_STR("postgres://")) ||
           sp_str_starts_with(text, SP_STR("postgresql://"));
}

sp_status sp_postgres_sink_open(const struct sp_postgres_options *options,
                                struct sp_sink **ret_sink, struct sp_error *error) {
    (void)options;
    (void)ret_sink;
    return sp_error_set(error, SP_UNSUPPORTED,
                        "this spoor was built without PostgreSQL: install libpq-dev and build it "
                        "again with -Dpostgresql=enabled, or keep read models on SQLite");
}
