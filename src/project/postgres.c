#include "project/postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/time.h"
#include "project/postgres_int.h"

static struct sp_pg_sink *self_of(struct sp_sink *sink) {
    return (struct sp_pg_sink *)sink; /* its first member */
}

/* ---- names and locks ---- */

void sp_pg_number_text(uint64_t number, char text[SP_PG_NUMBER_SIZE]) {
    (void)snprintf(text, SP_PG_NUMBER_SIZE, "%llu", (unsigned long long)number);
}

static uint32_t short_hash(sp_str text) {
    return (uint32_t)sp_hash(text.ptr, text.len);
}

void sp_pg_key_make(const struct sp_pg_target *target, sp_str name, uint64_t number,
                    struct sp_pg_key *ret_key) {
    sp_require(name.len <= SP_PROJECTION_NAME_MAX);
    (void)snprintf(ret_key->name, sizeof(ret_key->name), "%.*s", SP_STR_ARG(name));
    sp_pg_number_text(number, ret_key->number);
    int length = snprintf(ret_key->schema, sizeof(ret_key->schema), "%s_%s_%s", target->schema,
                          ret_key->number, ret_key->name);
    if (length >= (int)sizeof(ret_key->schema)) {
        (void)snprintf(ret_key->schema + sizeof(ret_key->schema) - 10, 10, "_%08x",
                       (unsigned)short_hash(name));
    }
}

/* Who holds the advisory lock of these two halves: for the text of an error. */
static sp_status fail_taken(struct sp_pg_link *link, const struct sp_pg_target *target,
                            const char *const *halves, struct sp_error *error) {
    PGresult *result = NULL;
    char who[SP_PG_NAME_SIZE] = "another session";
    sp_status status = sp_pg_ask(
        link,
        "SELECT format('backend %s, %s', a.pid, a.application_name) FROM pg_locks l "
        "JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted "
        "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND l.objsubid = 2 AND l.classid = ($1::int8 & 4294967295)::oid "
        "AND l.objid = ($2::int8 & 4294967295)::oid",
        2, halves, &result, error);
    if (status == SP_OK && PQntuples(result) > 0) {
        (void)snprintf(who, sizeof(who), "%.*s", SP_STR_ARG(sp_pg_text(result, 0, 0)));
    }
    PQclear(result);
    return sp_error_set(error, SP_BUSY,
                        "schema %s of PostgreSQL at %s: another process fills its read models "
                        "(%s)",
                        target->schema, target->shown, who);
}

sp_status sp_pg_take(struct sp_pg_link *link, const struct sp_pg_target *target, const char *name,
                     struct sp_error *error) {
    char high[SP_PG_NUMBER_SIZE];
    char low[SP_PG_NUMBER_SIZE];
    (void)snprintf(high, sizeof(high), "%d", (int)short_hash(sp_str_from(target->schema)));
    (void)snprintf(low, sizeof(low), "%d", (int)short_hash(sp_str_from(name)));
    const char *const halves[] = {high, low};
    for (int i = 0; i < SP_PG_TAKE_TRIES; i++) {
        PGresult *result = NULL;
        sp_status status = sp_pg_ask(link, "SELECT pg_try_advisory_lock($1::int4, $2::int4)", 2,
                                     halves, &result, error);
        if (status != SP_OK) {
            return status;
        }
        bool taken = sp_str_eq(sp_pg_text(result, 0, 0), SP_STR("t"));
        PQclear(result);
        if (taken) {
            return SP_OK;
        }
        sp_sleep_us(SP_PG_TAKE_PAUSE_US);
    }
    return fail_taken(link, target, halves, error);
}

/* ---- the tables of the sink ---- */

static const char *const MAKE[] = {
    "CREATE SCHEMA IF NOT EXISTS %s",
    "CREATE TABLE IF NOT EXISTS %s.spoor_sink (one boolean PRIMARY KEY DEFAULT true CHECK (one), "
    "format integer NOT NULL, log uuid NOT NULL)",
    /* Room on each page, so that the many updates of a row stay on it. */
    "CREATE TABLE IF NOT EXISTS %s.spoor_builds (name text NOT NULL, number bigint NOT NULL, "
    "version bigint NOT NULL, sha256 bytea NOT NULL, tables_in text NOT NULL, "
    "shown text[] NOT NULL DEFAULT '{}', position bigint NOT NULL, applied bigint NOT NULL, "
    "failed_position bigint, failed_id text, failed_text text, started_us bigint NOT NULL, "
    "changed_us bigint NOT NULL, current boolean NOT NULL DEFAULT false, "
    "retired_us bigint NOT NULL DEFAULT 0, PRIMARY KEY (name, number)) WITH (fillfactor = 40)",
    "CREATE UNIQUE INDEX IF NOT EXISTS spoor_builds_current ON %s.spoor_builds (name) "
    "WHERE current",
};

static sp_status make_tables(struct sp_pg_sink *self, struct sp_error *error) {
    const char *const names[] = {self->target.schema};
    sp_status status = sp_pg_run(&self->link, "BEGIN", error);
    for (size_t i = 0; status == SP_OK && i < sizeof(MAKE) / sizeof(MAKE[0]); i++) {
        status = sp_pg_run_of(&self->link, MAKE[i], names, 0, NULL, error);
    }
    const char *const values[] = {self->uuid};
    if (status == SP_OK) {
        status = sp_pg_run_of(&self->link,
                              "INSERT INTO %s.spoor_sink (format, log) VALUES (1, $1::uuid) "
                              "ON CONFLICT DO NOTHING",
                              names, 1, values, error);
    }
    if (status == SP_OK) {
        return sp_pg_run(&self->link, "COMMIT", error);
    }
    sp_pg_roll_back(&self->link);
    return status;
}

static sp_status has_tables(struct sp_pg_sink *self, bool *ret_has, struct sp_error *error) {
    const char *const values[] = {self->target.schema};
    PGresult *result = NULL;
    sp_status status = sp_pg_ask(
        &self->link, "SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = 'spoor_builds'",
        1, values, &result, error);
    if (status == SP_OK) {
        *ret_has = PQntuples(result) > 0;
        PQclear(result);
    }
    return status;
}

/* The schema is this log's, and of a format that we know. */
static sp_status check_owner(struct sp_pg_sink *self, struct sp_error *error) {
    const char *const names[] = {self->target.schema};
    PGresult *result = NULL;
    sp_status status = sp_pg_ask_of(&self->link, "SELECT format, log FROM %s.spoor_sink", names, 0,
                                    NULL, &result, error);
    if (status != SP_OK) {
        return status;
    }
    uint64_t format = PQntuples(result) == 1 ? sp_pg_number(result, 0, 0) : 0;
    sp_str log = PQntuples(result) == 1 ? sp_pg_text(result, 0, 1) : SP_STR("none");
    if (format != SP_PG_FORMAT) {
        status = sp_error_set(
            error, SP_UNSUPPORTED, "schema %s of PostgreSQL at %s has format %llu; this is %d",
            self->target.schema, self->target.shown, (unsigned long long)format, SP_PG_FORMAT);
    } else if (!sp_str_eq(log, sp_str_from(self->uuid))) {
        status = sp_error_set(error, SP_CONFLICT,
                              "schema %s of PostgreSQL at %s holds read models of another log, "
                              "%.*s; this log is %s: name another one in the URL (?schema=NAME)",
                              self->target.schema, self->target.shown, SP_STR_ARG(log), self->uuid);
    }
    PQclear(result);
    return status;
}

static sp_status prepare_schema(struct sp_pg_sink *self, struct sp_error *error) {
    bool has = false;
    sp_status status = has_tables(self, &has, error);
    if (status == SP_OK && has) {
        status = check_owner(self, error); /* first, so that another log's lock is not waited for */
    }
    if (status != SP_OK || self->read_only) {
        return status == SP_OK && !has
                   ? sp_error_set(error, SP_NOT_FOUND, "no schema %s with read models at %s",
                                  self->target.schema, self->target.shown)
                   : status;
    }
    status = sp_pg_take(&self->link, &self->target, "", error);
    if (status == SP_OK && !has) {
        status = make_tables(self, error);
        status = status == SP_OK ? check_owner(self, error) : status;
    }
    return status;
}

sp_status sp_pg_sink_connect(struct sp_pg_sink *self, struct sp_error *error) {
    if (sp_pg_link_whole(&self->link)) {
        return SP_OK;
    }
    sp_pg_link_close(&self->link);
    sp_status status = sp_pg_link_open(&self->link, &self->target, "read models", error);
    status = status == SP_OK ? prepare_schema(self, error) : status;
    if (status != SP_OK) {
        sp_pg_link_close(&self->link);
    }
    return status;
}

/* ---- the builds ---- */

static void copy_text(char *to, size_t size, sp_str text) {
    size_t length = text.len < size ? text.len : size - 1;
    if (length > 0) {
        memcpy(to, text.ptr, length);
    }
    to[length] = '\0';
}

static void read_hex(sp_str hex, uint8_t bytes[32]) {
    for (size_t i = 0; i < 32 && 2 * i + 1 < hex.len; i++) {
        unsigned value = 0;
        for (size_t k = 2 * i; k < 2 * i + 2; k++) {
            char c = hex.ptr[k];
            value = value * 16 + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        bytes[i] = (uint8_t)value;
    }
}

void sp_pg_state_read(const PGresult *result, int row, struct sp_build_state *ret_state) {
    struct sp_build_state state = {0};
    copy_text(state.name, sizeof(state.name), sp_pg_text(result, row, 0));
    state.number = sp_pg_number(result, row, 1);
    state.version = sp_pg_number(result, row, 2);
    read_hex(sp_pg_text(result, row, 3), state.sha256);
    state.position = sp_pg_number(result, row, 4);
    state.applied = sp_pg_number(result, row, 5);
    state.failed = !PQgetisnull(result, row, 6);
    state.failed_position = sp_pg_number(result, row, 6);
    copy_text(state.failed_id, sizeof(state.failed_id), sp_pg_text(result, row, 7));
    copy_text(state.failed_text, sizeof(state.failed_text), sp_pg_text(result, row, 8));
    state.started_us = sp_pg_number(result, row, 9);
    state.changed_us = sp_pg_number(result, row, 10);
    state.current = sp_str_eq(sp_pg_text(result, row, 11), SP_STR("t"));
    state.retired_us = sp_pg_number(result, row, 12);
    *ret_state = state;
}

/* Making a build is one transaction, so a crash leaves nothing half made. */
static sp_status list_builds(struct sp_sink *sink, sp_sink_build_fn *each, void *context,
                             struct sp_error *error) {
    struct sp_pg_sink *self = self_of(sink);
    sp_status status = sp_pg_sink_connect(self, error);
    PGresult *result = NULL;
    if (status == SP_OK) {
        const char *const names[] = {self->target.schema};
        status = sp_pg_ask_of(&self->link,
                              "SELECT " SP_PG_STATE_COLUMNS
                              " FROM %s.spoor_builds ORDER BY name, number",
                              names, 0, NULL, &result, error);
    }
    if (status != SP_OK) {
        return status;
    }
    for (int row = 0; row < PQntuples(result); row++) {
        struct sp_build_state state;
        sp_pg_state_read(result, row, &state);
        if (!each(context, &state)) {
            break;
        }
    }
    PQclear(result);
    return SP_OK;
}

/* ---- opening and closing ---- */

bool sp_postgres_is_url(sp_str text) {
    return sp_str_starts_with(text, SP_STR("postgres://")) ||
           sp_str_starts_with(text, SP_STR("postgresql://"));
}

static void close_sink(struct sp_sink *sink) {
    struct sp_pg_sink *self = self_of(sink);
    sp_pg_link_close(&self->link);
    sp_pg_target_fini(&self->target);
    free(self);
}

static const struct sp_sink_ops SINK_OPS = {
    .builds = list_builds,
    .open = sp_pg_build_open,
    .swap = sp_pg_swap,
    .drop = sp_pg_drop,
    .reader_new = sp_pg_reader_new,
    .close = close_sink,
};

sp_status sp_postgres_sink_open(const struct sp_postgres_options *options,
                                struct sp_sink **ret_sink, struct sp_error *error) {
    struct sp_pg_sink *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for read models");
    }
    self->sink.ops = &SINK_OPS;
    self->clock = options->clock;
    self->read_only = options->read_only;
    sp_uuid_format(options->uuid, self->uuid);
    self->uuid[SP_UUID_TEXT_SIZE] = '\0';
    sp_status status = sp_pg_target_init(&self->target, options->url, error);
    status = status == SP_OK ? sp_pg_sink_connect(self, error) : status;
    if (status != SP_OK) {
        close_sink(&self->sink);
        return status;
    }
    *ret_sink = &self->sink;
    return SP_OK;
}
