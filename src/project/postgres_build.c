/*
 * A build on PostgreSQL: its tables, its statements, batches.
 *
 *     begin: nothing is sent yet
 *     apply: BEGIN once, then each statement, in libpq's pipeline: nobody waits for an answer
 *            every AHEAD statements the answers to the AHEAD before them are read
 *     commit: position and COMMIT, then all answers; or, where nothing was applied, the position
 *     rollback: what is on its way is read to its end, ROLLBACK
 *
 * A statement that fails is learnt of when its answer is read, later in the batch; `flights` tells
 * which event it belonged to. PostgreSQL has run nothing behind it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "project/postgres_int.h"
#include "project/postgres_sql.h"

enum {
    AHEAD = 256, /* statements */
    FLIGHTS = 4 * AHEAD,
    VALUES_BYTES_MAX = 160 << 20, /* of one statement: an event, for each of its parameters */
    TYPE_INT8 = 20,
    TYPE_TEXT = 25,
    TYPE_JSONB = 3802,
    STATEMENT_NAME_SIZE = 16,
    STATEMENT_MS_MAX = 10000, /* one that runs for longer would run for ever */
};

/* A statement whose answer has not been read. */
struct flight {
    uint64_t position;                    /* of its event; 0: none */
    const struct sp_statement *statement; /* NULL: the sink's own */
};

struct pg_build {
    struct sp_build build;
    struct sp_pg_target target;
    struct sp_clock clock;
    struct sp_pg_key key;
    struct sp_build_state state;
    struct sp_pg_link link;
    bool stale;          /* PostgreSQL went back behind what the owner was told */
    bool piped;          /* in a batch that has sent something */
    uint64_t waiting_ns; /* since when answers are waited for */
    bool damaged;        /* the batch is lost */
    uint64_t applied;    /* events of this batch */
    uint64_t last;       /* position of the event applied last */
    uint32_t in_flight;  /* statements whose answers were not read: flights[landed …] */
    uint32_t landed;
    uint32_t unflushed;
    struct flight flights[FLIGHTS];
    struct sp_buf values; /* of the statement that is being sent */
};

static struct pg_build *self_of(struct sp_build *build) {
    return (struct pg_build *)build; /* its first member */
}

/* ---- making and opening ---- */

/* Prefixes what PostgreSQL says of a statement with where in the file that is. */
static sp_status fail_statement(const struct sp_statement *statement, sp_status status,
                                struct sp_error *error) {
    if (status != SP_INVALID) {
        return status;
    }
    if (error != NULL) {
        error->offset = statement->offset;
    }
    return sp_error_prefix(error, status, "line %u, column %u", (unsigned)statement->line,
                           (unsigned)statement->column);
}

/* The same with the very place in the statement, where PostgreSQL names one. */
static sp_status fail_text(struct pg_build *self, const struct sp_statement *statement,
                           const PGresult *result, struct sp_error *error) {
    sp_status status = sp_pg_result_check(&self->link, result, error);
    const char *place = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    if (status != SP_INVALID || place == NULL) {
        return fail_statement(statement, status, error);
    }
    size_t at = sp_pg_place(statement->text, statement->uses, statement->use_count,
                            strtoull(place, NULL, 10));
    sp_str before = sp_str_of(statement->text.ptr, at);
    uint32_t line = statement->line;
    uint32_t column = statement->column;
    for (size_t i = 0; i < before.len; i++) {
        line += before.ptr[i] == '\n';
        column = before.ptr[i] == '\n' ? 1 : column + 1;
    }
    if (error != NULL) {
        error->offset = statement->offset + at;
    }
    return sp_error_prefix(error, status, "line %u, column %u", (unsigned)line, (unsigned)column);
}

static sp_status write_statement(const struct sp_statement *statement, struct sp_buf *to,
                                 struct sp_error *error) {
    sp_buf_init(to, 2 * SP_STATEMENT_BYTES_MAX);
    sp_statement_write(statement, SP_DIALECT_POSTGRESQL, to);
    sp_buf_add_byte(to, '\0');
    if (to->status != SP_OK) {
        sp_buf_fini(to);
        return sp_error_set(error, SP_LIMIT, "line %u: a statement is too long",
                            (unsigned)statement->line);
    }
    return SP_OK;
}

static sp_status set_up_one(struct pg_build *self, const struct sp_statement *statement,
                            struct sp_error *error) {
    struct sp_buf sql;
    sp_status status = write_statement(statement, &sql, error);
    if (status != SP_OK) {
        return status;
    }
    PGresult *result =
        PQexecParams(self->link.conn, (const char *)sql.data, 0, NULL, NULL, NULL, NULL, 0);
    status = fail_text(self, statement, result, error);
    PQclear(result);
    sp_buf_fini(&sql);
    return status;
}

static unsigned type_of(const struct sp_parameter *parameter) {
    switch (parameter->kind) {
    case SP_PARAMETER_DATA:
        return TYPE_JSONB;
    case SP_PARAMETER_ATTRIBUTE:
        return parameter->attr == SP_ATTR_METADATA ? TYPE_JSONB : TYPE_TEXT;
    case SP_PARAMETER_POSITION:
    case SP_PARAMETER_VERSION:
    case SP_PARAMETER_TIME_MS:
    case SP_PARAMETER_RECORDEDTIME_MS:
        return TYPE_INT8;
    case SP_PARAMETER_DATA_TEXT:
    case SP_PARAMETER_RECORDEDTIME:
    case SP_PARAMETER_ENTRYID:
    case SP_PARAMETER_EXTENSION:
        break;
    }
    return TYPE_TEXT;
}

static void name_statement(const struct pg_build *self, const struct sp_statement *statement,
                           char name[STATEMENT_NAME_SIZE]) {
    (void)snprintf(name, STATEMENT_NAME_SIZE, "s%u",
                   (unsigned)(statement - self->build.definition->statements));
}

static sp_status prepare_one(struct pg_build *self, const struct sp_statement *statement,
                             struct sp_error *error) {
    Oid types[SP_STATEMENT_PARAMETERS_MAX];
    for (uint32_t i = 0; i < statement->parameter_count; i++) {
        types[i] = type_of(&statement->parameters[i]);
    }
    struct sp_buf sql;
    sp_status status = write_statement(statement, &sql, error);
    if (status != SP_OK) {
        return status;
    }
    char name[STATEMENT_NAME_SIZE];
    name_statement(self, statement, name);
    PGresult *result = PQprepare(self->link.conn, name, (const char *)sql.data,
                                 (int)statement->parameter_count, types);
    status = fail_text(self, statement, result, error);
    PQclear(result);
    sp_buf_fini(&sql);
    return status;
}

/* Prepares what clauses run, and, where `set_up`, runs what makes the tables before. */
static sp_status each_statement(struct pg_build *self, bool set_up, struct sp_error *error) {
    const struct sp_definition *definition = self->build.definition;
    sp_status status = SP_OK;
    for (uint32_t i = set_up ? 0 : definition->setup_count;
         status == SP_OK && i < definition->statement_count; i++) {
        const struct sp_statement *statement = &definition->statements[i];
        if ((statement->dialects & SP_DIALECT_POSTGRESQL) == 0) {
            continue;
        }
        status = sp_pg_sql_check(statement->text, error);
        if (status != SP_OK) {
            return fail_statement(statement, SP_INVALID, error);
        }
        status = i < definition->setup_count ? set_up_one(self, statement, error)
                                             : prepare_one(self, statement, error);
    }
    return status;
}

/*
 * Names in a projection's statements are those of its own build; temporary tables, which would come
 * first otherwise, come last.
 */
static sp_status enter_schema(struct pg_build *self, struct sp_error *error) {
    const char *const names[] = {self->key.schema};
    return sp_pg_run_of(&self->link, "SET search_path = %s, pg_temp", names, 0, NULL, error);
}

static void write_hex(const uint8_t bytes[32], char text[67]) {
    memcpy(text, "\\x", 2);
    for (size_t i = 0; i < 32; i++) {
        (void)snprintf(text + 2 + 2 * i, 3, "%02x", bytes[i]);
    }
}

static sp_status insert_row(struct pg_build *self, struct sp_error *error) {
    char version[SP_PG_NUMBER_SIZE];
    char now[SP_PG_NUMBER_SIZE];
    char sha256[67];
    sp_pg_number_text(self->build.definition->version, version);
    sp_pg_number_text(self->clock.wall_us(self->clock.context), now);
    write_hex(self->build.definition->sha256, sha256);
    const char *const names[] = {self->target.schema};
    const char *const values[] = {self->key.name, self->key.number, version,
                                  sha256,         self->key.schema, now};
    return sp_pg_run_of(&self->link,
                        "INSERT INTO %s.spoor_builds (name, number, version, sha256, tables_in, "
                        "position, applied, started_us, changed_us) VALUES ($1, $2::int8, "
                        "$3::int8, $4::bytea, $5, 0, 0, $6::int8, $6::int8)",
                        names, 6, values, error);
}

/* Reads the build's row; *ret_there false where there is none. */
static sp_status read_row(struct pg_build *self, bool *ret_there, struct sp_error *error) {
    const char *const names[] = {self->target.schema};
    const char *const values[] = {self->key.name, self->key.number};
    PGresult *result = NULL;
    sp_status status = sp_pg_ask_of(&self->link,
                                    "SELECT " SP_PG_STATE_COLUMNS
                                    " FROM %s.spoor_builds WHERE name = $1 AND number = $2::int8",
                                    names, 2, values, &result, error);
    if (status != SP_OK) {
        return status;
    }
    *ret_there = PQntuples(result) == 1;
    if (*ret_there) {
        sp_pg_state_read(result, 0, &self->state);
        self->state.current = false; /* not a build's to tell */
        self->state.retired_us = 0;
    }
    PQclear(result);
    return SP_OK;
}

static sp_status make_inside(struct pg_build *self, struct sp_error *error) {
    const char *const names[] = {self->key.schema};
    sp_status status = sp_pg_run_of(&self->link, "CREATE SCHEMA %s", names, 0, NULL, error);
    status = status == SP_OK ? enter_schema(self, error) : status;
    status = status == SP_OK ? each_statement(self, true, error) : status;
    return status == SP_OK ? insert_row(self, error) : status;
}

/* One transaction: the schema, its tables and the row are there together or not at all. */
static sp_status make(struct pg_build *self, struct sp_error *error) {
    sp_status status = sp_pg_run(&self->link, "BEGIN", error);
    status = status == SP_OK ? make_inside(self, error) : status;
    if (status != SP_OK) {
        sp_pg_roll_back(&self->link);
        return status;
    }
    status = sp_pg_run(&self->link, "COMMIT", error);
    bool there = false;
    return status == SP_OK ? read_row(self, &there, error) : status;
}

/*
 * Settings of a session that folds. A plan made once per statement, by index where there is one:
 * tables are small when it is made, large later, and full of dead rows in between. Planned anew
 * each time it would cost more than the statement. The time limit is STATEMENT_MS_MAX.
 */
static const char FOLDING[] =
    "SET synchronous_commit = off; SET plan_cache_mode = force_generic_plan;"
    "SET enable_seqscan = off; SET statement_timeout = 10000";

static sp_status check_same(const struct pg_build *self, struct sp_error *error) {
    if (memcmp(self->state.sha256, self->build.definition->sha256, 32) == 0) {
        return SP_OK;
    }
    return sp_error_set(error, SP_CONFLICT, "build %s of %s was made from another text",
                        self->key.number, self->key.name);
}

static sp_status connect_build(struct pg_build *self, bool make_it, struct sp_error *error) {
    sp_pg_link_close(&self->link);
    sp_status status = sp_pg_link_open(&self->link, &self->target, self->key.name, error);
    status =
        status == SP_OK ? sp_pg_take(&self->link, &self->target, self->key.schema, error) : status;
    bool there = false;
    status = status == SP_OK ? read_row(self, &there, error) : status;
    if (status == SP_OK && !there) {
        status = make_it ? make(self, error)
                         : sp_error_set(error, SP_NOT_FOUND, "build %s of %s is gone",
                                        self->key.number, self->key.name);
    } else if (status == SP_OK) {
        status = check_same(self, error);
        status = status == SP_OK ? enter_schema(self, error) : status;
        status = status == SP_OK ? each_statement(self, false, error) : status;
    }
    status = status == SP_OK ? sp_pg_run(&self->link, FOLDING, error) : status;
    if (status != SP_OK) {
        sp_pg_link_close(&self->link);
    }
    return status;
}

/* The link as it was told to the owner: the same position, or the owner must begin anew. */
static sp_status reconnect(struct pg_build *self, struct sp_error *error) {
    if (self->stale) {
        return sp_error_set(error, SP_FAILED,
                            "PostgreSQL lost its last commits: the build must be opened again");
    }
    if (sp_pg_link_whole(&self->link)) {
        return SP_OK;
    }
    uint64_t position = self->state.position;
    sp_status status = connect_build(self, false, error);
    if (status == SP_OK && self->state.position != position) {
        self->stale = true;
        return reconnect(self, error);
    }
    return status;
}

/* ---- a batch ---- */

static void leave_pipeline(struct pg_build *self) {
    self->piped = false;
    self->damaged = false;
    self->applied = 0;
    self->in_flight = 0;
    self->landed = 0;
    self->unflushed = 0;
}

static sp_status begin(struct sp_build *build, struct sp_error *error) {
    struct pg_build *self = self_of(build);
    sp_require(!self->piped);
    leave_pipeline(self);
    return reconnect(self, error);
}

/* Whatever it was, the batch is lost: later calls in it say so as well. */
static sp_status lose(struct pg_build *self, sp_status status) {
    self->damaged = true;
    return status;
}

static sp_status fail_send(struct pg_build *self, struct sp_error *error) {
    return lose(self, sp_pg_result_check(&self->link, NULL, error));
}

/*
 * The sink's own statement failed: somebody else moved the build, or one event of the batch left
 * what COMMIT must not find (a deferred constraint), and nobody knows which.
 */
static sp_status fail_own(struct pg_build *self, const PGresult *result, sp_status status,
                          struct sp_error *error) {
    if (sp_pg_state_is(result, "23502")) { /* position is not null */
        self->stale = true;
        return sp_error_set(error, SP_FAILED, "build %s of %s was moved on by somebody else",
                            self->key.number, self->key.name);
    }
    return status;
}

/*
 * A statement that was cancelled after its answer had been waited for for long: by its time limit.
 * (That a person cancelled it looks the same but for the text, which is in the server's tongue.)
 */
static bool ran_away(const struct pg_build *self, const PGresult *result) {
    uint64_t since_ns = self->clock.monotonic_ns(self->clock.context) - self->waiting_ns;
    return sp_pg_state_is(result, "57014") && since_ns / 1000000 >= STATEMENT_MS_MAX / 2;
}

static sp_status fail_flight(struct pg_build *self, const struct flight *flight,
                             const PGresult *result, struct sp_error *error) {
    sp_status status = sp_pg_result_check(&self->link, result, error);
    if (flight->statement == NULL) {
        return lose(self, fail_own(self, result, status, error));
    }
    if (ran_away(self, result)) {
        status = sp_error_set(error, SP_INVALID, "ran for longer than %d seconds",
                              STATEMENT_MS_MAX / 1000);
    }
    status = fail_statement(flight->statement, status, error);
    if (status == SP_INVALID && error != NULL) {
        error->offset = flight->position;
    }
    return lose(self, status);
}

/* Reads answers until so many are left to come. */
static sp_status land(struct pg_build *self, uint32_t left, struct sp_error *error) {
    self->waiting_ns = self->clock.monotonic_ns(self->clock.context);
    while (self->in_flight > left) {
        const struct flight *flight = &self->flights[self->landed % FLIGHTS];
        PGresult *result = PQgetResult(self->link.conn);
        ExecStatusType answer = PQresultStatus(result);
        if (answer != PGRES_COMMAND_OK && answer != PGRES_TUPLES_OK) {
            sp_status status = fail_flight(self, flight, result, error);
            PQclear(result);
            return status;
        }
        PQclear(result);
        PQclear(PQgetResult(self->link.conn)); /* NULL: the end of this statement's answers */
        self->landed++;
        self->in_flight--;
    }
    return SP_OK;
}

static void take_off(struct pg_build *self, const struct sp_statement *statement) {
    sp_invariant(self->in_flight < FLIGHTS);
    self->flights[(self->landed + self->in_flight) % FLIGHTS] =
        (struct flight){.position = statement != NULL ? self->last : 0, .statement = statement};
    self->in_flight++;
    self->unflushed++;
}

/* Lets the server work on what was sent, while its earlier answers are read. */
static sp_status breathe(struct pg_build *self, struct sp_error *error) {
    if (self->unflushed < AHEAD) {
        return SP_OK;
    }
    if (PQsendFlushRequest(self->link.conn) != 1 || PQflush(self->link.conn) < 0) {
        return fail_send(self, error);
    }
    self->unflushed = 0;
    return land(self, AHEAD, error);
}

static sp_status send_own(struct pg_build *self, const char *sql, int count,
                          const char *const *values, struct sp_error *error) {
    if (PQsendQueryParams(self->link.conn, sql, count, NULL, values, NULL, NULL, 0) != 1) {
        return fail_send(self, error);
    }
    take_off(self, NULL);
    return SP_OK;
}

static sp_status start_pipeline(struct pg_build *self, struct sp_error *error) {
    if (self->piped) {
        return SP_OK;
    }
    if (!sp_pg_link_whole(&self->link) || PQenterPipelineMode(self->link.conn) != 1) {
        return fail_send(self, error);
    }
    self->piped = true;
    return send_own(self, "BEGIN", 0, NULL, error);
}

/* ---- values ---- */

struct wire {
    const char *values[SP_STATEMENT_PARAMETERS_MAX];
    int lengths[SP_STATEMENT_PARAMETERS_MAX];
    int formats[SP_STATEMENT_PARAMETERS_MAX];
    size_t offsets[SP_STATEMENT_PARAMETERS_MAX]; /* in self->values, which may move */
};

/* All values travel as PostgreSQL's binary forms: nothing is formatted, nothing needs a NUL. */
static void put_value(struct pg_build *self, const struct sp_parameter *parameter,
                      const struct sp_bound *bound, struct wire *wire, uint32_t at) {
    struct sp_buf *to = &self->values;
    size_t start = to->len;
    unsigned type = type_of(parameter);
    wire->formats[at] = 1;
    wire->offsets[at] = SIZE_MAX;
    if (bound->type == SP_BOUND_NULL ||
        (type == TYPE_JSONB && bound->type != SP_BOUND_JSON)) { /* bytes are no jsonb */
        wire->lengths[at] = 0;
        return;
    }
    if (type == TYPE_INT8) {
        uint64_t value = __builtin_bswap64((uint64_t)bound->integer);
        sp_buf_add(to, &value, sizeof(value));
    } else if (type == TYPE_JSONB) {
        sp_buf_add_byte(to, 1); /* the version of its binary form: the text follows */
        sp_pg_json_add(to, bound->text);
    } else {
        sp_pg_text_add(to, bound->text);
    }
    sp_buf_add_byte(to, '\0'); /* so that no value is empty memory */
    wire->offsets[at] = start;
    wire->lengths[at] = (int)(to->len - start) - 1;
}

static sp_status send_statement(struct pg_build *self, const struct sp_statement *statement,
                                const struct sp_event *event, struct sp_error *error) {
    struct wire wire;
    struct sp_bound_scratch scratch;
    sp_buf_reset(&self->values);
    for (uint32_t i = 0; i < statement->parameter_count; i++) {
        struct sp_bound bound;
        sp_parameter_get(&statement->parameters[i], event, &scratch, &bound);
        put_value(self, &statement->parameters[i], &bound, &wire, i);
    }
    if (self->values.status != SP_OK) {
        return lose(self, sp_error_set(error, self->values.status,
                                       "the values of a statement take more than %d bytes",
                                       VALUES_BYTES_MAX));
    }
    for (uint32_t i = 0; i < statement->parameter_count; i++) {
        wire.values[i] =
            wire.offsets[i] == SIZE_MAX ? NULL : (const char *)self->values.data + wire.offsets[i];
    }
    char name[STATEMENT_NAME_SIZE];
    name_statement(self, statement, name);
    if (PQsendQueryPrepared(self->link.conn, name, (int)statement->parameter_count, wire.values,
                            wire.lengths, wire.formats, 1) != 1) {
        return fail_send(self, error);
    }
    take_off(self, statement);
    return breathe(self, error);
}

static sp_status apply(struct sp_build *build, const struct sp_event *event,
                       const uint16_t *clauses, size_t clause_count, struct sp_error *error) {
    struct pg_build *self = self_of(build);
    if (self->damaged) {
        return sp_error_set(error, SP_BUSY, "the batch is lost");
    }
    self->last = event->position;
    sp_status status = start_pipeline(self, error);
    for (size_t i = 0; status == SP_OK && i < clause_count; i++) {
        const struct sp_clause *clause = &build->definition->clauses[clauses[i]];
        for (uint32_t k = 0; status == SP_OK && k < clause->statement_count; k++) {
            const struct sp_statement *statement = &clause->statements[k];
            if ((statement->dialects & SP_DIALECT_POSTGRESQL) != 0) {
                status = send_statement(self, statement, event, error);
            }
        }
    }
    self->applied += status == SP_OK;
    return status;
}

/* ---- the end of a batch ---- */

/*
 * The position moves from where it was at the batch's beginning, or the constraint of its column
 * fails the transaction.
 */
static const char MOVE[] = "UPDATE %s.spoor_builds SET position = CASE WHEN position = $3::int8 "
                           "THEN $4::int8 END, applied = applied + $5::int8, changed_us = CASE "
                           "WHEN $5::int8 > 0 THEN $6::int8 ELSE changed_us END WHERE name = $1 "
                           "AND number = $2::int8";

struct move {
    char from[SP_PG_NUMBER_SIZE];
    char to[SP_PG_NUMBER_SIZE];
    char applied[SP_PG_NUMBER_SIZE];
    char now[SP_PG_NUMBER_SIZE];
    uint64_t now_us;
    const char *values[6];
    char sql[sizeof(MOVE) + SP_PG_SCHEMA_BYTES_MAX];
};

static void make_move(const struct pg_build *self, uint64_t position, struct move *move) {
    move->now_us = self->clock.wall_us(self->clock.context);
    sp_pg_number_text(self->state.position, move->from);
    sp_pg_number_text(position, move->to);
    sp_pg_number_text(self->applied, move->applied);
    sp_pg_number_text(move->now_us, move->now);
    const char *const values[6] = {self->key.name, self->key.number, move->from,
                                   move->to,       move->applied,    move->now};
    memcpy(move->values, values, sizeof(values));
    /* The schema's name was checked to need no quotes. */
    (void)snprintf(move->sql, sizeof(move->sql), "UPDATE %s%s", self->target.schema,
                   MOVE + strlen("UPDATE %s"));
}

static void moved(struct pg_build *self, uint64_t position, const struct move *move) {
    self->state.position = position;
    self->state.applied += self->applied;
    self->state.changed_us = self->applied > 0 ? move->now_us : self->state.changed_us;
    leave_pipeline(self);
}

/* Reads the mark that stands behind everything that was sent, and leaves the pipeline. */
static sp_status land_sync(struct pg_build *self, struct sp_error *error) {
    PGresult *result = PQgetResult(self->link.conn);
    bool synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
    PQclear(result);
    if (!synced || PQexitPipelineMode(self->link.conn) != 1) {
        return fail_send(self, error);
    }
    return SP_OK;
}

static sp_status commit_piped(struct pg_build *self, const struct move *move,
                              struct sp_error *error) {
    sp_status status = send_own(self, move->sql, 6, move->values, error);
    status = status == SP_OK ? send_own(self, "COMMIT", 0, NULL, error) : status;
    if (status == SP_OK && PQpipelineSync(self->link.conn) != 1) {
        return fail_send(self, error);
    }
    status = status == SP_OK ? land(self, 0, error) : status;
    return status == SP_OK ? land_sync(self, error) : status;
}

static sp_status commit_alone(struct pg_build *self, const struct move *move,
                              struct sp_error *error) {
    PGresult *result = NULL;
    sp_status status = sp_pg_ask(&self->link, move->sql, 6, move->values, &result, error);
    PQclear(result);
    if (status == SP_INVALID) {
        self->stale = true;
        return lose(self,
                    sp_error_set(error, SP_FAILED, "build %s of %s was moved on by somebody else",
                                 self->key.number, self->key.name));
    }
    return status;
}

static sp_status commit(struct sp_build *build, uint64_t position, struct sp_error *error) {
    struct pg_build *self = self_of(build);
    sp_require(position >= self->state.position);
    if (self->damaged) {
        return sp_error_set(error, SP_BUSY, "the batch is lost");
    }
    struct move move;
    make_move(self, position, &move);
    sp_status status =
        self->piped ? commit_piped(self, &move, error) : commit_alone(self, &move, error);
    if (status == SP_OK) {
        moved(self, position, &move);
    }
    return status;
}

/* Whatever is on its way comes to its end; a link where that fails is closed, which rolls back. */
static void rollback(struct sp_build *build) {
    struct pg_build *self = self_of(build);
    if (!self->piped) {
        leave_pipeline(self);
        return;
    }
    bool synced = false;
    if (sp_pg_link_whole(&self->link) && PQpipelineSync(self->link.conn) == 1) {
        unsigned nothing = 0; /* two in a row: there is nothing to come */
        while (!synced && nothing < 2 && sp_pg_link_whole(&self->link)) {
            PGresult *result = PQgetResult(self->link.conn);
            nothing = result == NULL ? nothing + 1 : 0;
            synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
            PQclear(result);
        }
    }
    leave_pipeline(self);
    if (synced && PQexitPipelineMode(self->link.conn) == 1) {
        sp_pg_roll_back(&self->link);
    } else {
        sp_pg_link_close(&self->link);
    }
}

/* ---- the note of an event that cannot be applied ---- */

static sp_status note(struct pg_build *self, const char *position, const char *id, const char *text,
                      struct sp_error *error) {
    sp_require(!self->piped);
    sp_status status = reconnect(self, error);
    if (status != SP_OK) {
        return status;
    }
    char now[SP_PG_NUMBER_SIZE];
    uint64_t now_us = self->clock.wall_us(self->clock.context);
    sp_pg_number_text(now_us, now);
    const char *const names[] = {self->target.schema};
    const char *const values[] = {self->key.name, self->key.number, position, id, text, now};
    status = sp_pg_run_of(&self->link,
                          "UPDATE %s.spoor_builds SET failed_position = $3::int8, failed_id = $4, "
                          "failed_text = $5, changed_us = $6::int8 WHERE name = $1 AND number = "
                          "$2::int8",
                          names, 6, values, error);
    self->state.changed_us = status == SP_OK ? now_us : self->state.changed_us;
    return status;
}

/* As much of a text as the state has room for, made what PostgreSQL takes for text. */
static void fit(char *to, size_t size, sp_str text) {
    struct sp_buf clean;
    sp_buf_init(&clean, 4 * SP_EVENT_SIZE_BYTES_MAX);
    sp_pg_text_add(&clean, sp_str_of(text.ptr, text.len < size ? text.len : size - 1));
    sp_str shown = sp_pg_text_cut(sp_buf_str(&clean), size - 1);
    if (shown.len > 0) {
        memcpy(to, shown.ptr, shown.len);
    }
    to[shown.len] = '\0';
    sp_buf_fini(&clean);
}

static sp_status fail(struct sp_build *build, uint64_t position, sp_str id, const char *text,
                      struct sp_error *error) {
    struct pg_build *self = self_of(build);
    struct sp_build_state *state = &self->state;
    char number[SP_PG_NUMBER_SIZE];
    sp_pg_number_text(position, number);
    char id_text[SP_BUILD_ID_SIZE];
    char why[SP_BUILD_TEXT_SIZE];
    fit(id_text, sizeof(id_text), id);
    fit(why, sizeof(why), sp_str_from(text));
    sp_status status = note(self, number, id_text, why, error);
    if (status == SP_OK) {
        state->failed = true;
        state->failed_position = position;
        memcpy(state->failed_id, id_text, sizeof(id_text));
        memcpy(state->failed_text, why, sizeof(why));
    }
    return status;
}

static sp_status resume(struct sp_build *build, struct sp_error *error) {
    struct pg_build *self = self_of(build);
    sp_status status = note(self, NULL, NULL, NULL, error);
    if (status == SP_OK) {
        self->state.failed = false;
        self->state.failed_position = 0;
        self->state.failed_id[0] = '\0';
        self->state.failed_text[0] = '\0';
    }
    return status;
}

static void state(const struct sp_build *build, struct sp_build_state *ret_state) {
    *ret_state = ((const struct pg_build *)build)->state;
}

static void close_build(struct sp_build *build) {
    struct pg_build *self = self_of(build);
    rollback(build);
    sp_pg_link_close(&self->link);
    sp_pg_target_fini(&self->target);
    sp_definition_unref(build->definition);
    sp_buf_fini(&self->values);
    free(self);
}

static const struct sp_build_ops BUILD_OPS = {
    .begin = begin,
    .apply = apply,
    .commit = commit,
    .rollback = rollback,
    .fail = fail,
    .resume = resume,
    .state = state,
    .close = close_build,
};

sp_status sp_pg_build_open(struct sp_sink *sink, struct sp_definition *definition, uint64_t number,
                           struct sp_build **ret_build, struct sp_error *error) {
    struct sp_pg_sink *owner = (struct sp_pg_sink *)sink;
    if (owner->read_only) {
        return sp_error_set(error, SP_DENIED, "the read models are only read here");
    }
    sp_status status = sp_pg_sink_connect(owner, error);
    struct pg_build *self = status == SP_OK ? calloc(1, sizeof(*self)) : NULL;
    if (self == NULL) {
        return status != SP_OK ? status
                               : sp_error_set(error, SP_NO_MEMORY, "no memory for a build");
    }
    self->build = (struct sp_build){.ops = &BUILD_OPS, .definition = sp_definition_ref(definition)};
    self->clock = owner->clock;
    sp_buf_init(&self->values, VALUES_BYTES_MAX);
    sp_pg_key_make(&owner->target, sp_str_from(definition->name), number, &self->key);
    status = sp_pg_target_copy(&self->target, &owner->target, error);
    status = status == SP_OK ? connect_build(self, true, error) : status;
    if (status != SP_OK) {
        close_build(&self->build);
        return status;
    }
    *ret_build = &self->build;
    return SP_OK;
}
