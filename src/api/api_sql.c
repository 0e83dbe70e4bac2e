/*
 * Questions to read models. Over a folder the ones that a query reads are brought up to date here,
 * over a server there.
 *
 *     the query ──► a table is not there yet ──► its projection is filled ──► again
 *               ──► a read model is behind   ──► likewise; where others fill it, as far as it is
 *               ──► rows
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_int.h"
#include "api/projections.h"
#include "client/tables.h"
#include "os/os.h"
#include "project/projects_table.h"
#include "project/query.h"
#include "project/sink.h"

enum {
    TRIES_MAX = 64,  /* each fills a read model, or finds that it cannot */
    WAIT_US = 20000, /* between two looks at what another process fills */
    TIMEOUT_MS_MAX = 86400000,
};

static sp_status check(const spoor_sql_options *options, struct sp_error *error) {
    if (options == NULL || options->size != sizeof(*options)) {
        return sp_error_set(error, SP_INVALID, "options: begin with SPOOR_SQL_INIT");
    }
    if (options->sql == NULL) {
        return sp_error_set(error, SP_INVALID, "there is no SQL: expected one SELECT");
    }
    if (options->param_count > SP_SQL_PARAMS_MAX) {
        return sp_error_set(error, SP_LIMIT, "%zu parameters; the limit is %d",
                            options->param_count, SP_SQL_PARAMS_MAX);
    }
    return SP_OK;
}

/* ---- over a folder --------------------------------------------------------------------------- */

/* One query while it is worked on. */
struct asking {
    spoor *store;
    const spoor_sql_options *options;
    spoor_columns_fn *columns;
    spoor_row_fn *row;
    void *context;
    struct sp_projects *projects;
    struct sp_sql_reader *reader;
    struct sp_sql sql;
    struct sp_sql_done done;
    uint64_t head;
    uint64_t deadline_ms;
    char filled[SP_SQL_NAME_SIZE]; /* the read model that was filled last */
    char notice[sizeof(((spoor_sql_result *)NULL)->notice)];
    spoor_sql_value values[SP_SQL_COLUMNS_MAX];
    spoor_str names[SP_SQL_COLUMNS_MAX];
    struct sp_sql_value params[SP_SQL_PARAMS_MAX];
};

static bool on_columns(void *context, const sp_str *names, uint32_t count) {
    struct asking *asking = context;
    for (uint32_t i = 0; i < count; i++) {
        asking->names[i] = api_str_out(names[i]);
    }
    return asking->columns == NULL || asking->columns(asking->context, asking->names, count) == 0;
}

static bool on_row(void *context, const struct sp_sql_value *values, uint32_t count) {
    struct asking *asking = context;
    for (uint32_t i = 0; i < count; i++) {
        asking->values[i] = (spoor_sql_value){.kind = (enum spoor_sql_kind)values[i].kind,
                                              .integer = values[i].integer,
                                              .real = values[i].real,
                                              .text = api_str_out(values[i].text)};
        if (asking->values[i].text.ptr == NULL) {
            asking->values[i].text.ptr = "";
        }
    }
    return asking->row == NULL || asking->row(asking->context, asking->values, count) == 0;
}

static bool on_progress(void *context, const struct sp_projects_progress *at) {
    const struct asking *asking = context;
    char name[SP_PROJECTS_NAME_BYTES_MAX + 1];
    memcpy(name, at->name.ptr, at->name.len);
    name[at->name.len] = '\0';
    return asking->options->progress == NULL ||
           asking->options->progress(asking->options->progress_context, name, at->position,
                                     at->head) == 0;
}

/* Brings a read model to the end. One that has stopped at an event is asked as far as it came. */
static sp_status fill(struct asking *asking, const char *name, struct sp_error *error) {
    bool again = strcmp(asking->filled, name) == 0;
    sp_str text = sp_str_from(name);
    (void)snprintf(asking->filled, sizeof(asking->filled), "%s", name);
    api_lock(asking->store);
    sp_status status = sp_projects_catch_up(asking->projects, text, on_progress, asking, error);
    api_unlock(asking->store);
    if (status == SP_FAILED && asking->options->seen == 0 && !again) {
        (void)snprintf(asking->notice, sizeof(asking->notice), "%s", error->text);
        return SP_OK;
    }
    return status;
}

/*
 * It lags although it was filled here: another process fills it, or it has failed. What it has seen
 * is shown, unless a position is asked for, which is waited for.
 */
static sp_status take_as_it_is(struct asking *asking, struct sp_error *error) {
    uint64_t wanted = asking->options->seen;
    if (wanted <= asking->done.position) {
        asking->sql.seen = wanted;
        if (asking->notice[0] == '\0') {
            (void)snprintf(asking->notice, sizeof(asking->notice), "%s", error->text);
        }
        return SP_OK;
    }
    if (sp_client_now_ms() >= asking->deadline_ms) {
        error->status = SP_TIMEOUT;
        return SP_TIMEOUT;
    }
    asking->sql.seen = wanted;
    sp_sleep_us(WAIT_US);
    return SP_OK;
}

/* What the query lacks; SP_OK: it may be asked again. */
static sp_status mend(struct asking *asking, sp_status status, struct sp_error *error) {
    char name[SP_PROJECTS_NAME_BYTES_MAX + 1];
    struct sp_error own;
    sp_error_clear(&own);
    if (status == SP_BUSY) {
        bool filled = strcmp(asking->filled, asking->done.lagging) == 0;
        if (filled) {
            return take_as_it_is(asking, error);
        }
        status = fill(asking, asking->done.lagging, &own);
    } else if (status == SP_NOT_FOUND && asking->done.missing[0] != '\0') {
        sp_str table = sp_str_from(asking->done.missing);
        if (!sp_projects_find_table(asking->projects, table, name)) {
            return sp_projects_is_on_request(table)
                       ? sp_error_set(error, SP_NOT_FOUND,
                                      "the read model %s is there once it is asked for: spoor "
                                      "projection add %s",
                                      asking->done.missing, asking->done.missing)
                       : status;
        }
        if (strcmp(asking->filled, name) == 0) {
            return status; /* it cannot be built here */
        }
        status = fill(asking, name, &own);
    } else {
        return status;
    }
    if (status != SP_OK) {
        *error = own;
    }
    return status;
}

static sp_status ask_folder(struct asking *asking, struct sp_error *error) {
    static const struct sp_rows rows = {.columns = on_columns, .row = on_row};
    sp_status status = SP_BUSY;
    for (int tries = 0; tries < TRIES_MAX || sp_client_now_ms() < asking->deadline_ms; tries++) {
        sp_error_clear(error);
        status = sp_reader_query(asking->reader, &asking->sql, &rows, asking, &asking->done, error);
        if (status != SP_BUSY && status != SP_NOT_FOUND) {
            return status;
        }
        status = mend(asking, status, error);
        if (status != SP_OK) {
            return status;
        }
    }
    return sp_error_set(error, SP_TIMEOUT, "the read models change all the time");
}

static sp_status open_reader(spoor *store, struct sp_projects **ret_projects,
                             struct sp_sql_reader **ret_reader, struct sp_error *error) {
    api_lock(store);
    sp_status status = sp_api_projects(store, ret_projects, error);
    api_unlock(store);
    if (status != SP_OK) {
        return status;
    }
    struct sp_sink *sink = sp_projects_sink(*ret_projects);
    return sink->ops->reader_new(sink, ret_reader, error);
}

static void read_params(struct asking *asking) {
    for (size_t i = 0; i < asking->options->param_count; i++) {
        const spoor_sql_param *param = &asking->options->params[i];
        asking->params[i] = (struct sp_sql_value){.kind = (enum sp_sql_kind)param->value.kind,
                                                  .integer = param->value.integer,
                                                  .real = param->value.real,
                                                  .text = api_str_in(param->value.text),
                                                  .name = sp_str_from(param->name)};
    }
}

static sp_status sql_in_folder(struct asking *asking, struct sp_error *error) {
    const spoor_sql_options *options = asking->options;
    uint64_t timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : SP_SQL_TIMEOUT_MS;
    sp_status status = open_reader(asking->store, &asking->projects, &asking->reader, error);
    if (status != SP_OK) {
        return status;
    }
    read_params(asking);
    api_lock(asking->store);
    asking->head = sp_engine_durable_position(asking->store->engine);
    api_unlock(asking->store);
    if (options->seen > asking->head) {
        status =
            sp_error_set(error, SP_INVALID, "position %llu is not there yet: the log ends at %llu",
                         (unsigned long long)options->seen, (unsigned long long)asking->head);
    } else {
        asking->deadline_ms = sp_client_now_ms() + timeout_ms;
        asking->sql = (struct sp_sql){.text = sp_str_from(options->sql),
                                      .params = asking->params,
                                      .param_count = (uint32_t)options->param_count,
                                      .timeout_ms = timeout_ms,
                                      .rows_max = options->rows_max,
                                      .seen = asking->head};
        status = ask_folder(asking, error);
    }
    sp_reader_close(asking->reader);
    return status;
}

/* ---- both ------------------------------------------------------------------------------------ */

static sp_status run(struct asking *asking, spoor_sql_result *result, struct sp_error *error) {
    if (asking->store->client != NULL) {
        return sp_client_sql(asking->store->client, asking->options, asking->columns, asking->row,
                             asking->context, result, error);
    }
    sp_status status = sql_in_folder(asking, error);
    result->position = asking->done.position;
    result->row_count = asking->done.rows;
    memcpy(result->notice, asking->notice, sizeof(result->notice));
    return status;
}

spoor_status spoor_sql(spoor *store, const spoor_sql_options *options, spoor_columns_fn *columns,
                       spoor_row_fn *row, void *context, spoor_sql_result *ret_result,
                       spoor_error *ret_error) {
    struct sp_error error;
    spoor_sql_result result = SPOOR_SQL_RESULT_INIT;
    sp_error_clear(&error);
    sp_status status = check(options, &error);
    if (status == SP_OK && ret_result != NULL && ret_result->size != sizeof(*ret_result)) {
        status = sp_error_set(&error, SP_INVALID, "result: begin with SPOOR_SQL_RESULT_INIT");
    }
    struct asking *asking = status == SP_OK ? calloc(1, sizeof(*asking)) : NULL;
    if (status == SP_OK && asking == NULL) {
        status = sp_error_set(&error, SP_NO_MEMORY, "no memory for a query");
    }
    if (status == SP_OK) {
        asking->store = store;
        asking->options = options;
        asking->columns = columns;
        asking->row = row;
        asking->context = context;
        status = run(asking, &result, &error);
    }
    free(asking);
    if (status == SP_OK && ret_result != NULL) {
        *ret_result = result;
    }
    return api_error(status, &error, ret_error);
}

/* ---- tables ---------------------------------------------------------------------------------- */

struct telling {
    spoor_table_fn *each;
    void *context;
    spoor_table_column columns[SP_SQL_COLUMNS_MAX];
};

static bool on_table(void *context, const struct sp_sql_table *table) {
    struct telling *telling = context;
    size_t count =
        table->column_count < SP_SQL_COLUMNS_MAX ? table->column_count : SP_SQL_COLUMNS_MAX;
    for (size_t i = 0; i < count; i++) {
        telling->columns[i] = (spoor_table_column){.name = api_str_out(table->columns[i].name),
                                                   .type = api_str_out(table->columns[i].type),
                                                   .key = table->columns[i].key};
    }
    const spoor_table out = {.name = api_str_out(table->name),
                             .projection = api_str_out(table->projection),
                             .is_view = table->view,
                             .position = table->position,
                             .columns = telling->columns,
                             .column_count = count};
    return telling->each(telling->context, &out) == 0;
}

static sp_status tables_in_folder(spoor *store, spoor_table_fn *each, void *context,
                                  struct sp_error *error) {
    struct telling *telling = calloc(1, sizeof(*telling));
    struct sp_projects *projects = NULL;
    struct sp_sql_reader *reader = NULL;
    if (telling == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for a list of tables");
    }
    telling->each = each;
    telling->context = context;
    sp_status status = open_reader(store, &projects, &reader, error);
    if (status == SP_OK) {
        status = sp_reader_tables(reader, SP_STR(""), on_table, telling, error);
    }
    sp_reader_close(reader);
    free(telling);
    return status;
}

spoor_status spoor_tables(spoor *store, spoor_table_fn *each, void *context,
                          spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = store->client != NULL
                           ? sp_client_tables(store->client, each, context, &error)
                           : tables_in_folder(store, each, context, &error);
    return api_error(status, &error, ret_error);
}
