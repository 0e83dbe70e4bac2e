#include "project/postgres_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { SQL_BYTES_MAX = 1 << 20, VALUES_MAX = 16 };

/* ---- the target ---- */

static bool schema_valid(sp_str name) {
    if (name.len == 0 || name.len > SP_PG_SCHEMA_BYTES_MAX ||
        sp_str_starts_with(name, SP_STR("pg_"))) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    return true;
}

static sp_str until(sp_str text, char stop) {
    const char *at = text.len == 0 ? NULL : memchr(text.ptr, stop, text.len);
    return at == NULL ? text : sp_str_of(text.ptr, (size_t)(at - text.ptr));
}

static sp_status take_schema(struct sp_pg_target *to, sp_str value, struct sp_error *error) {
    if (!schema_valid(value)) {
        return sp_error_set(error, SP_INVALID,
                            "schema=%.*s: expected a lower-case name of at most %d letters, digits "
                            "and '_', and not of PostgreSQL's own that begin with pg_",
                            SP_STR_ARG(value), SP_PG_SCHEMA_BYTES_MAX);
    }
    memcpy(to->schema, value.ptr, value.len);
    to->schema[value.len] = '\0';
    return SP_OK;
}

/* Writes the URL without the parameter `schema`, which libpq would refuse, to conninfo. */
static sp_status split_url(struct sp_pg_target *to, sp_str url, struct sp_error *error) {
    sp_str head = until(url, '?');
    sp_str rest = sp_str_from_byte(url, head.len);
    memcpy(to->conninfo, head.ptr, head.len);
    size_t length = head.len;
    char mark = '?';
    while (rest.len > 0) {
        sp_str part = until(sp_str_from_byte(rest, 1), '&');
        rest = sp_str_from_byte(rest, 1 + part.len);
        if (sp_str_starts_with(part, SP_STR("schema="))) {
            sp_status status =
                take_schema(to, sp_str_from_byte(part, SP_STR("schema=").len), error);
            if (status != SP_OK) {
                return status;
            }
            continue;
        }
        to->conninfo[length++] = mark;
        memcpy(to->conninfo + length, part.ptr, part.len);
        length += part.len;
        mark = '&';
    }
    to->conninfo[length] = '\0';
    return SP_OK;
}

static const char *option_of(const PQconninfoOption *options, const char *name) {
    for (; options->keyword != NULL; options++) {
        if (strcmp(options->keyword, name) == 0) {
            return options->val != NULL ? options->val : "";
        }
    }
    return "";
}

/* Where the database is, without who and how: "127.0.0.1:5432/agents". */
static sp_status describe(struct sp_pg_target *to, struct sp_error *error) {
    char *problem = NULL;
    PQconninfoOption *options = PQconninfoParse(to->conninfo, &problem);
    if (options == NULL) {
        /* libpq's text may quote what it could not read, and that may be a password. */
        PQfreemem(problem);
        return sp_error_set(error, SP_INVALID,
                            "the URL of read models is none that PostgreSQL knows: expected "
                            "postgres://[user[:password]@][host][:port][/database][?name=value]");
    }
    const char *host = option_of(options, "host");
    const char *port = option_of(options, "port");
    (void)snprintf(to->shown, sizeof(to->shown), "%s%s%s/%s", host[0] != '\0' ? host : "localhost",
                   port[0] != '\0' ? ":" : "", port, option_of(options, "dbname"));
    PQconninfoFree(options);
    return SP_OK;
}

sp_status sp_pg_target_init(struct sp_pg_target *to, sp_str url, struct sp_error *error) {
    *to = (struct sp_pg_target){.schema = "spoor"};
    if (url.len > SP_PG_URL_BYTES_MAX || (url.len > 0 && memchr(url.ptr, '\0', url.len) != NULL)) {
        return sp_error_set(error, SP_INVALID, "the URL of read models is longer than %d bytes",
                            SP_PG_URL_BYTES_MAX);
    }
    to->conninfo = malloc(url.len + 1);
    if (to->conninfo == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for a URL");
    }
    sp_status status = split_url(to, url, error);
    status = status == SP_OK ? describe(to, error) : status;
    if (status != SP_OK) {
        sp_pg_target_fini(to);
    }
    return status;
}

sp_status sp_pg_target_copy(struct sp_pg_target *to, const struct sp_pg_target *from,
                            struct sp_error *error) {
    *to = *from;
    to->conninfo = strdup(from->conninfo);
    return to->conninfo != NULL ? SP_OK : sp_error_set(error, SP_NO_MEMORY, "no memory for a URL");
}

void sp_pg_target_fini(struct sp_pg_target *from) {
    free(from->conninfo);
    from->conninfo = NULL;
}

/* ---- errors ---- */

sp_status sp_pg_status_of(const char *sqlstate) {
    static const struct {
        const char *prefix;
        sp_status status;
    } TABLE[] = {
        {"08", SP_BUSY},                         /* the connection */
        {"28", SP_DENIED},                       /* who we are */
        {"3D", SP_NOT_FOUND},                    /* the database */
        {"40", SP_BUSY},                         /* serialization, deadlock */
        {"42501", SP_DENIED},                    /* rights */
        {"25006", SP_DENIED},                    /* a change in a transaction that only reads */
        {"53100", SP_NO_SPACE}, {"53", SP_BUSY}, /* memory, connections */
        {"55006", SP_BUSY},                      /* somebody uses it */
        {"55P03", SP_BUSY},                      /* a lock that took too long */
        {"57014", SP_BUSY},                      /* cancelled, or took too long */
        {"57", SP_BUSY},                         /* the server goes, or is not there yet */
        {"58", SP_BUSY},                         /* its files */
        {"XX", SP_BUSY},                         /* its insides: not for the event to answer for */
    };
    if (sqlstate == NULL || sqlstate[0] == '\0') {
        return SP_BUSY;
    }
    for (size_t i = 0; i < sizeof(TABLE) / sizeof(TABLE[0]); i++) {
        if (strncmp(sqlstate, TABLE[i].prefix, strlen(TABLE[i].prefix)) == 0) {
            return TABLE[i].status;
        }
    }
    return SP_INVALID;
}

/* The first line of a text of libpq, which ends in a line break and may go on. */
static sp_str first_line(const char *text) {
    sp_str line = until(sp_str_from(text), '\n');
    return line.len > 0 ? line : SP_STR("the connection is lost");
}

static sp_status fail_lost(const struct sp_pg_link *link, struct sp_error *error) {
    const char *text = link->conn != NULL ? PQerrorMessage(link->conn) : "";
    sp_str line = first_line(text);
    return sp_error_set(error, SP_BUSY, "PostgreSQL: %.*s", SP_STR_ARG(line));
}

sp_status sp_pg_result_check(const struct sp_pg_link *link, const PGresult *result,
                             struct sp_error *error) {
    if (result == NULL) {
        return fail_lost(link, error);
    }
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
    case PGRES_PIPELINE_SYNC:
    case PGRES_EMPTY_QUERY:
        return SP_OK;
    case PGRES_COPY_OUT:
    case PGRES_COPY_IN:
    case PGRES_COPY_BOTH:
        return sp_error_set(error, SP_INVALID, "COPY is not possible here");
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
    case PGRES_FATAL_ERROR:
    case PGRES_PIPELINE_ABORTED:
        break;
    }
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (sqlstate == NULL || text == NULL) {
        return fail_lost(link, error);
    }
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    return sp_error_set(error, sp_pg_status_of(sqlstate), "PostgreSQL: %s%s%s (%s)", text,
                        detail != NULL ? ": " : "", detail != NULL ? detail : "", sqlstate);
}

bool sp_pg_state_is(const PGresult *result, const char *wanted) {
    const char *sqlstate = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    return sqlstate != NULL && strcmp(sqlstate, wanted) == 0;
}

/* ---- the link ---- */

static void drop_notice(void *context, const PGresult *notice) {
    (void)context;
    (void)notice;
}

static const char SESSION[] =
    "SET client_min_messages = error; SET timezone = 'UTC'; SET datestyle = 'ISO, YMD';"
    "SET intervalstyle = 'postgres'; SET bytea_output = 'hex'; SET extra_float_digits = 1;"
    "SET standard_conforming_strings = on; SET xmloption = 'content'; SET jit = off;"
    "SET lock_timeout = 5000; SET idle_in_transaction_session_timeout = 600000";

/* Why connecting failed: no SQLSTATE is to be had, only a text, of which the last line counts. */
static sp_status fail_connect(struct sp_pg_link *link, const struct sp_pg_target *target,
                              struct sp_error *error) {
    const char *text = PQerrorMessage(link->conn);
    bool refused = strstr(text, "authentication failed") != NULL ||
                   strstr(text, "no pg_hba.conf entry") != NULL ||
                   strstr(text, "does not exist") != NULL || strstr(text, "no password") != NULL ||
                   strstr(text, "permission denied") != NULL;
    sp_str line = first_line(text);
    sp_error_set(error, refused ? SP_DENIED : SP_BUSY, "PostgreSQL at %s: %.*s", target->shown,
                 SP_STR_ARG(line));
    sp_pg_link_close(link);
    return refused ? SP_DENIED : SP_BUSY;
}

sp_status sp_pg_link_open(struct sp_pg_link *link, const struct sp_pg_target *target,
                          const char *purpose, struct sp_error *error) {
    char name[SP_PG_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "spoor %s", purpose);
    /* What stands before dbname is a default, which the URL may replace. */
    const char *const keys[] = {"connect_timeout",  "keepalives_idle",  "keepalives_interval",
                                "keepalives_count", "tcp_user_timeout", "dbname",
                                "application_name", "client_encoding",  NULL};
    const char *const values[] = {"10", "30",   "10", "3", "60000", target->conninfo,
                                  name, "UTF8", NULL};
    link->conn = PQconnectdbParams(keys, values, 1);
    if (link->conn == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for a connection to PostgreSQL");
    }
    if (PQstatus(link->conn) != CONNECTION_OK) {
        return fail_connect(link, target, error);
    }
    PQsetNoticeReceiver(link->conn, drop_notice, NULL);
    if (PQserverVersion(link->conn) < 130000) {
        int version = PQserverVersion(link->conn);
        sp_pg_link_close(link);
        return sp_error_set(error, SP_UNSUPPORTED,
                            "PostgreSQL at %s is of version %d; 13 is needed", target->shown,
                            version / 10000);
    }
    sp_status status = sp_pg_run(link, SESSION, error);
    if (status != SP_OK) {
        sp_pg_link_close(link);
    }
    return status;
}

void sp_pg_link_close(struct sp_pg_link *link) {
    if (link->conn != NULL) {
        PQfinish(link->conn);
    }
    link->conn = NULL;
}

/* ---- statements ---- */

sp_status sp_pg_run(struct sp_pg_link *link, const char *sql, struct sp_error *error) {
    if (!sp_pg_link_whole(link)) {
        return fail_lost(link, error);
    }
    PGresult *result = PQexec(link->conn, sql);
    sp_status status = sp_pg_result_check(link, result, error);
    PQclear(result);
    return status;
}

void sp_pg_roll_back(struct sp_pg_link *link) {
    if (sp_pg_run(link, "ROLLBACK", NULL) != SP_OK) {
        sp_pg_link_close(link);
    }
}

sp_status sp_pg_ask(struct sp_pg_link *link, const char *sql, int count, const char *const *values,
                    PGresult **ret_result, struct sp_error *error) {
    sp_require(count <= VALUES_MAX);
    if (!sp_pg_link_whole(link)) {
        return fail_lost(link, error);
    }
    PGresult *result = PQexecParams(link->conn, sql, count, NULL, values, NULL, NULL, 0);
    sp_status status = sp_pg_result_check(link, result, error);
    if (status != SP_OK) {
        PQclear(result);
        return status;
    }
    *ret_result = result;
    return SP_OK;
}

static void add_identifier(struct sp_buf *to, const char *name) {
    sp_buf_add_byte(to, '"');
    for (; *name != '\0'; name++) {
        if (*name == '"') {
            sp_buf_add_byte(to, '"');
        }
        sp_buf_add_byte(to, (uint8_t)*name);
    }
    sp_buf_add_byte(to, '"');
}

sp_status sp_pg_ask_of(struct sp_pg_link *link, const char *format, const char *const *names,
                       int count, const char *const *values, PGresult **ret_result,
                       struct sp_error *error) {
    struct sp_buf sql;
    sp_buf_init(&sql, SQL_BYTES_MAX);
    for (const char *at = format; *at != '\0'; at++) {
        if (at[0] == '%' && at[1] == 's') {
            add_identifier(&sql, *names++);
            at++;
        } else {
            sp_buf_add_byte(&sql, (uint8_t)*at);
        }
    }
    sp_buf_add_byte(&sql, '\0');
    sp_status status = sql.status;
    status = status == SP_OK
                 ? sp_pg_ask(link, (const char *)sql.data, count, values, ret_result, error)
                 : sp_error_set(error, status, "a statement for PostgreSQL is too long");
    sp_buf_fini(&sql);
    return status;
}

sp_status sp_pg_run_of(struct sp_pg_link *link, const char *format, const char *const *names,
                       int count, const char *const *values, struct sp_error *error) {
    PGresult *result = NULL;
    sp_status status = sp_pg_ask_of(link, format, names, count, values, &result, error);
    PQclear(result);
    return status;
}

uint64_t sp_pg_number(const PGresult *result, int row, int column) {
    sp_str text = sp_pg_text(result, row, column);
    uint64_t value = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return value;
}

sp_str sp_pg_text(const PGresult *result, int row, int column) {
    if (PQgetisnull(result, row, column)) {
        return SP_STR("");
    }
    return sp_str_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}
