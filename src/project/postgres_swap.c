/*
 * One build takes another's place, and what was replaced goes; postgres.h says why it is done so.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "project/postgres_int.h"

enum {
    TRIES = 60,
    PAUSE_FIRST_US = 20000,
    PAUSE_MAX_US = 500000,
};

/* Whoever queues up behind an attempt waits so long at most. */
#define WAIT_BRIEFLY "SET LOCAL lock_timeout = 60"

static struct sp_pg_sink *self_of(struct sp_sink *sink) {
    return (struct sp_pg_sink *)sink;
}

static bool is_shown(const PGresult *relations, sp_str name) {
    for (int row = 0; row < PQntuples(relations); row++) {
        if (sp_str_eq(sp_pg_text(relations, row, 0), name)) {
            return true;
        }
    }
    return false;
}

/* The tables and views of a build's schema. */
static sp_status list_relations(struct sp_pg_sink *self, const char *schema, PGresult **ret_result,
                                struct sp_error *error) {
    const char *const values[] = {schema};
    return sp_pg_ask(&self->link,
                     "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = "
                     "c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'v', 'm', 'p') "
                     "ORDER BY 1",
                     1, values, ret_result, error);
}

/* The views that the current build of the name has now. */
static sp_status list_shown(struct sp_pg_sink *self, const char *name, PGresult **ret_result,
                            struct sp_error *error) {
    const char *const names[] = {self->target.schema};
    const char *const values[] = {name};
    return sp_pg_ask_of(&self->link,
                        "SELECT unnest(shown) FROM %s.spoor_builds WHERE name = $1 AND current",
                        names, 1, values, ret_result, error);
}

static sp_status drop_view(struct sp_pg_sink *self, const char *view, struct sp_error *error) {
    const char *const names[] = {self->target.schema, view};
    return sp_pg_run_of(&self->link, "DROP VIEW IF EXISTS %s.%s", names, 0, NULL, error);
}

/* A view is ours to replace where the build before had it. */
static sp_status check_free(struct sp_pg_sink *self, const char *view, struct sp_error *error) {
    const char *const values[] = {self->target.schema, view};
    PGresult *result = NULL;
    sp_status status = sp_pg_ask(&self->link,
                                 "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = "
                                 "c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
                                 2, values, &result, error);
    bool taken = status == SP_OK && PQntuples(result) > 0;
    PQclear(result);
    return !taken ? status
                  : sp_error_set(error, SP_CONFLICT,
                                 "schema %s of PostgreSQL has a %s already, which is of another "
                                 "projection or none",
                                 self->target.schema, view);
}

/* In place where the columns are the same: rights that people gave on it stay. */
static sp_status show(struct sp_pg_sink *self, const char *schema, const char *view,
                      struct sp_error *error) {
    const char *const names[] = {self->target.schema, view, schema, view};
    sp_status status = sp_pg_run(&self->link, "SAVEPOINT replace", error);
    if (status == SP_OK) {
        status = sp_pg_run_of(&self->link, "CREATE OR REPLACE VIEW %s.%s AS SELECT * FROM %s.%s",
                              names, 0, NULL, error);
    }
    if (status != SP_INVALID) {
        return status;
    }
    status = sp_pg_run(&self->link, "ROLLBACK TO replace", error);
    status = status == SP_OK ? drop_view(self, view, error) : status;
    return status != SP_OK ? status
                           : sp_pg_run_of(&self->link, "CREATE VIEW %s.%s AS SELECT * FROM %s.%s",
                                          names, 0, NULL, error);
}

static sp_status replace_views(struct sp_pg_sink *self, const char *schema, const PGresult *before,
                               const PGresult *after, struct sp_error *error) {
    sp_status status = SP_OK;
    for (int row = 0; status == SP_OK && row < PQntuples(before); row++) {
        if (!is_shown(after, sp_pg_text(before, row, 0))) {
            status = drop_view(self, PQgetvalue(before, row, 0), error);
        }
    }
    for (int row = 0; status == SP_OK && row < PQntuples(after); row++) {
        if (!is_shown(before, sp_pg_text(after, row, 0))) {
            status = check_free(self, PQgetvalue(after, row, 0), error);
        }
        if (status == SP_OK) {
            status = show(self, schema, PQgetvalue(after, row, 0), error);
        }
    }
    return status;
}

/* The two rows change in one transaction with the views. */
static sp_status turn_rows(struct sp_pg_sink *self, const struct sp_pg_key *key,
                           struct sp_error *error) {
    char now[SP_PG_NUMBER_SIZE];
    sp_pg_number_text(self->clock.wall_us(self->clock.context), now);
    const char *const names[] = {self->target.schema};
    const char *const retire[] = {key->name, key->number, now};
    sp_status status = sp_pg_run_of(&self->link,
                                    "UPDATE %s.spoor_builds SET current = false, retired_us = "
                                    "$3::int8, shown = '{}' WHERE name = $1 AND current AND "
                                    "number <> $2::int8",
                                    names, 3, retire, error);
    if (status != SP_OK) {
        return status;
    }
    const char *const raise[] = {key->name, key->number, key->schema};
    return sp_pg_run_of(&self->link,
                        "UPDATE %s.spoor_builds SET current = true, retired_us = 0, shown = "
                        "ARRAY(SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid "
                        "= c.relnamespace WHERE n.nspname = $3 AND c.relkind IN ('r', 'v', 'm', "
                        "'p') ORDER BY 1) WHERE name = $1 AND number = $2::int8",
                        names, 3, raise, error);
}

static sp_status check_exists(struct sp_pg_sink *self, const struct sp_pg_key *key,
                              struct sp_error *error) {
    const char *const names[] = {self->target.schema};
    const char *const values[] = {key->name, key->number};
    PGresult *result = NULL;
    sp_status status = sp_pg_ask_of(&self->link,
                                    "SELECT 1 FROM %s.spoor_builds WHERE name = $1 AND number = "
                                    "$2::int8",
                                    names, 2, values, &result, error);
    bool there = status == SP_OK && PQntuples(result) == 1;
    PQclear(result);
    return status != SP_OK || there
               ? status
               : sp_error_set(error, SP_NOT_FOUND, "%s has no build %s", key->name, key->number);
}

/*
 * The body of a transaction. The rows change last: a projector's own commit wants its row as well,
 * and must not wait while the views are being locked.
 */
static sp_status swap_inside(struct sp_pg_sink *self, const struct sp_pg_key *key,
                             struct sp_error *error) {
    PGresult *before = NULL;
    PGresult *after = NULL;
    sp_status status = check_exists(self, key, error);
    status = status == SP_OK ? sp_pg_run(&self->link, WAIT_BRIEFLY, error) : status;
    status = status == SP_OK ? list_shown(self, key->name, &before, error) : status;
    status = status == SP_OK ? list_relations(self, key->schema, &after, error) : status;
    status = status == SP_OK ? replace_views(self, key->schema, before, after, error) : status;
    status = status == SP_OK ? turn_rows(self, key, error) : status;
    PQclear(before);
    PQclear(after);
    return status;
}

static sp_status drop_inside(struct sp_pg_sink *self, const struct sp_pg_key *key,
                             struct sp_error *error) {
    const char *const names[] = {self->target.schema};
    const char *const values[] = {key->name, key->number};
    PGresult *shown = NULL;
    sp_status status = sp_pg_run(&self->link, WAIT_BRIEFLY, error);
    if (status == SP_OK) {
        status = sp_pg_ask_of(&self->link,
                              "SELECT unnest(shown) FROM %s.spoor_builds WHERE name = $1 AND "
                              "number = $2::int8",
                              names, 2, values, &shown, error);
    }
    for (int row = 0; status == SP_OK && row < PQntuples(shown); row++) {
        status = drop_view(self, PQgetvalue(shown, row, 0), error);
    }
    PQclear(shown);
    const char *const schema[] = {key->schema};
    if (status == SP_OK) {
        status =
            sp_pg_run_of(&self->link, "DROP SCHEMA IF EXISTS %s CASCADE", schema, 0, NULL, error);
    }
    return status != SP_OK
               ? status
               : sp_pg_run_of(&self->link,
                              "DELETE FROM %s.spoor_builds WHERE name = $1 AND number = $2::int8",
                              names, 2, values, error);
}

typedef sp_status inside_fn(struct sp_pg_sink *self, const struct sp_pg_key *key,
                            struct sp_error *error);

static sp_status attempt(struct sp_pg_sink *self, const struct sp_pg_key *key, inside_fn *inside,
                         struct sp_error *error) {
    sp_status status = sp_pg_run(&self->link, "BEGIN", error);
    status = status == SP_OK ? inside(self, key, error) : status;
    if (status == SP_OK) {
        return sp_pg_run(&self->link, "COMMIT", error);
    }
    sp_pg_roll_back(&self->link);
    return status;
}

/* Again and again while others are in the way, with pauses in which they get on. */
static sp_status persist(struct sp_sink *sink, sp_str name, uint64_t number, inside_fn *inside,
                         struct sp_error *error) {
    struct sp_pg_sink *self = self_of(sink);
    if (self->read_only) {
        return sp_error_set(error, SP_DENIED, "the read models are only read here");
    }
    struct sp_pg_key key;
    sp_pg_key_make(&self->target, name, number, &key);
    uint64_t pause_us = PAUSE_FIRST_US;
    sp_status status = sp_pg_sink_connect(self, error);
    for (int i = 0; status == SP_OK; i++) {
        status = attempt(self, &key, inside, error);
        if (status != SP_BUSY || i == TRIES || !sp_pg_link_whole(&self->link)) {
            break;
        }
        sp_sleep_us(pause_us);
        pause_us = 2 * pause_us < PAUSE_MAX_US ? 2 * pause_us : PAUSE_MAX_US;
        status = SP_OK;
    }
    return status;
}

sp_status sp_pg_swap(struct sp_sink *sink, sp_str name, uint64_t number, struct sp_error *error) {
    sp_status status = persist(sink, name, number, swap_inside, error);
    return status == SP_OK ? status : sp_error_prefix(error, status, "swap %.*s", SP_STR_ARG(name));
}

sp_status sp_pg_drop(struct sp_sink *sink, sp_str name, uint64_t number, struct sp_error *error) {
    sp_status status = persist(sink, name, number, drop_inside, error);
    return status == SP_OK ? status : sp_error_prefix(error, status, "drop %.*s", SP_STR_ARG(name));
}
