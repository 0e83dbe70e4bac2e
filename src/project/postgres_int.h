/*
 * What the files of the PostgreSQL sink share. helper
 */
#ifndef SP_PROJECT_POSTGRES_INT_H
#define SP_PROJECT_POSTGRES_INT_H

#include "project/postgres.h"
#include "project/postgres_link.h"

enum {
    SP_PG_FORMAT = 1,      /* of spoor_sink and spoor_builds */
    SP_PG_TAKE_TRIES = 50, /* how often a lock is asked for that a dead process may still have */
    SP_PG_TAKE_PAUSE_US = 100000,
    SP_PG_UUID_SIZE = 37,
    SP_PG_NUMBER_SIZE = 24, /* a number as text */
};

struct sp_pg_sink {
    struct sp_sink sink;
    struct sp_pg_target target;
    struct sp_clock clock;
    char uuid[SP_PG_UUID_SIZE];
    bool read_only;
    struct sp_pg_link link; /* holds the lock of the schema */
};

/* Names a build in all that is asked about it. */
struct sp_pg_key {
    char name[SP_PROJECTION_NAME_MAX + 1];
    char number[SP_PG_NUMBER_SIZE];
    char schema[SP_PG_NAME_SIZE]; /* of its tables */
};

/* The schema's name is cut, and a hash put behind it, where PostgreSQL would cut it. */
void sp_pg_key_make(const struct sp_pg_target *target, sp_str name, uint64_t number,
                    struct sp_pg_key *ret_key);

/* A number as text, for a parameter. */
void sp_pg_number_text(uint64_t number, char text[SP_PG_NUMBER_SIZE]);

/*
 * Takes a session's advisory lock of this name in the target's schema, trying for some seconds, for
 * a process that was killed may have a session that does not know yet. SP_BUSY names who has it.
 */
SP_WARN_UNUSED sp_status sp_pg_take(struct sp_pg_link *link, const struct sp_pg_target *target,
                                    const char *name, struct sp_error *error);

/* The columns of spoor_builds that sp_pg_state_read reads, in its order. */
#define SP_PG_STATE_COLUMNS                                                                        \
    "name, number, version, encode(sha256, 'hex'), position, applied, failed_position, "           \
    "failed_id, failed_text, started_us, changed_us, current, retired_us"

void sp_pg_state_read(const PGresult *result, int row, struct sp_build_state *ret_state);

/*
 * Connects the sink's own link, unless it is whole, and takes the schema's lock unless read_only.
 */
SP_WARN_UNUSED sp_status sp_pg_sink_connect(struct sp_pg_sink *sink, struct sp_error *error);

/* postgres_swap.c: two of the sink's operations. */
sp_status sp_pg_swap(struct sp_sink *sink, sp_str name, uint64_t number, struct sp_error *error);
sp_status sp_pg_drop(struct sp_sink *sink, sp_str name, uint64_t number, struct sp_error *error);

/* postgres_build.c */
sp_status sp_pg_build_open(struct sp_sink *sink, struct sp_definition *definition, uint64_t number,
                           struct sp_build **ret_build, struct sp_error *error);

/* postgres_query.c */
sp_status sp_pg_reader_new(struct sp_sink *sink, struct sp_sql_reader **ret_reader,
                           struct sp_error *error);

#endif
