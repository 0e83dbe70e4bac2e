/* The registry of commands, and who waits for his turn; see decisions.h. */
#include "server/decisions_int.h"

#include <stdlib.h>

#include "base/json.h"
#include "engine/query.h"
#include "project/shipped_commands.h"

#define COMMANDS_STREAM "$commands"

/* ---- rows ------------------------------------------------------------------------------------ */

/* The place of a name, or where it would be. */
static uint32_t place_of(const struct sp_decisions *decisions, sp_str name, bool *ret_found) {
    uint32_t low = 0;
    uint32_t high = decisions->row_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sp_str_cmp(decisions->rows[middle]->name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_found = low < decisions->row_count && sp_str_eq(decisions->rows[low]->name, name);
    return low;
}

struct decision_row *decisions_find(struct sp_decisions *decisions, sp_str name) {
    bool found;
    uint32_t place = place_of(decisions, name, &found);
    return found ? decisions->rows[place] : NULL;
}

static void free_row(struct decision_row *row) {
    sp_decision_free(row->compiled);
    free(row); /* with its texts */
}

static struct decision_row *new_row(sp_str name, sp_str text) {
    struct decision_row *row = calloc(1, sizeof(*row) + name.len + text.len);
    if (row != NULL) {
        char *copy = (char *)(row + 1);
        memcpy(copy, name.ptr, name.len);
        memcpy(copy + name.len, text.ptr, text.len);
        row->name = sp_str_of(copy, name.len);
        row->text = sp_str_of(copy + name.len, text.len);
    }
    return row;
}

static sp_status set_row(struct sp_decisions *decisions, sp_str name, sp_str text, bool shipped,
                         uint64_t position, struct sp_error *error) {
    bool found;
    uint32_t place = place_of(decisions, name, &found);
    if (!found && decisions->row_count == DECISIONS_MAX) {
        return sp_error_set(error, SP_LIMIT, "more than %d commands", DECISIONS_MAX);
    }
    struct decision_row *row = new_row(name, text);
    if (row == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "command");
    }
    row->shipped = shipped;
    row->position = position;
    if (found) {
        free_row(decisions->rows[place]);
    } else {
        memmove(&decisions->rows[place + 1], &decisions->rows[place],
                (decisions->row_count - place) * sizeof(struct decision_row *));
        decisions->row_count++;
    }
    decisions->rows[place] = row;
    return SP_OK;
}

static void remove_row(struct sp_decisions *decisions, sp_str name) {
    bool found;
    uint32_t place = place_of(decisions, name, &found);
    if (found) {
        free_row(decisions->rows[place]);
        decisions->row_count--;
        memmove(&decisions->rows[place], &decisions->rows[place + 1],
                (decisions->row_count - place) * sizeof(struct decision_row *));
    }
}

sp_status decisions_compile(struct sp_decisions *decisions, struct decision_row *row,
                            struct sp_error *error) {
    return row->compiled != NULL
               ? SP_OK
               : sp_decision_parse(row->name, row->text, decisions->jq, &row->compiled, error);
}

/* ---- the fold -------------------------------------------------------------------------------- */

/* `{"name": …, "definition": …}`; the name is text without escapes. */
static bool read_event(sp_str data, sp_str *ret_name, sp_str *ret_definition) {
    struct sp_json json;
    *ret_name = SP_STR("");
    *ret_definition = SP_STR("");
    sp_json_init(&json, data);
    if (sp_json_next(&json).type != SP_JSON_OBJECT) {
        return false;
    }
    for (struct sp_json_token key = sp_json_next(&json); key.type == SP_JSON_KEY;
         key = sp_json_next(&json)) {
        struct sp_json_token value = sp_json_next(&json);
        sp_str raw = value.type == SP_JSON_ERROR ? SP_STR("") : sp_json_skip(&json, value);
        if (sp_json_equal(key, SP_STR("name")) && value.type == SP_JSON_STRING) {
            *ret_name = value.raw;
        } else if (sp_json_equal(key, SP_STR("definition"))) {
            *ret_definition = raw;
        }
    }
    return ret_name->len > 0;
}

static sp_status fold(struct sp_decisions *decisions, sp_str type, sp_str data, uint64_t position,
                      struct sp_error *error) {
    sp_str name;
    sp_str definition;
    if (!read_event(data, &name, &definition)) {
        return sp_error_set(error, SP_INVALID, "event %llu of " COMMANDS_STREAM " names no command",
                            (unsigned long long)position);
    }
    if (sp_str_eq(type, SP_STR("command.removed"))) {
        remove_row(decisions, name);
        return SP_OK;
    }
    return set_row(decisions, name, definition, false, position, error);
}

static sp_status load(struct sp_decisions *decisions, struct sp_error *error) {
    const sp_str types[] = {SP_STR("command.defined"), SP_STR("command.removed")};
    const struct sp_query query = {
        .types = types, .type_count = 2, .stream = SP_STR(COMMANDS_STREAM)};
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    sp_status status = SP_OK;
    for (size_t i = 0; i < sp_shipped_command_count && status == SP_OK; i++) {
        status = set_row(decisions, sp_shipped_commands[i].name, sp_shipped_commands[i].text, true,
                         0, error);
    }
    status = status == SP_OK ? sp_cursor_open(decisions->server->engine, &query, &cursor, error)
                             : status;
    while (status == SP_OK) {
        status = sp_cursor_next(cursor, &event, error);
        if (status == SP_OK) {
            status =
                fold(decisions, event->attr[SP_ATTR_TYPE], event->data, event->position, error);
        }
    }
    sp_cursor_close(cursor);
    return status == SP_END ? SP_OK : status;
}

static sp_status append(struct sp_decisions *decisions, const char *type, sp_str name,
                        sp_str definition, struct sp_error *error) {
    struct sp_server *server = decisions->server;
    struct sp_event *event = &server->event;
    struct sp_engine_result result = {.position = 0};
    struct sp_buf data;
    sp_buf_init(&data, DECISION_TEXT_BYTES_MAX);
    sp_buf_add_str(&data, SP_STR("{\"name\":"));
    sp_json_add_string(&data, name);
    if (definition.len > 0) {
        sp_buf_add_str(&data, SP_STR(",\"definition\":"));
        sp_buf_add_str(&data, definition);
    }
    sp_buf_add_byte(&data, '}');
    sp_status status = data.status;
    if (status == SP_OK) {
        *event =
            (struct sp_event){.has_data = true, .data_is_json = true, .data = sp_buf_str(&data)};
        event->attr[SP_ATTR_TYPE] = sp_str_from(type);
        event->attr[SP_ATTR_SOURCE] = SP_STR("spoor");
        event->attr[SP_ATTR_STREAM] = SP_STR(COMMANDS_STREAM);
        const struct sp_engine_append append = {
            .events = event, .count = 1, .origin = SP_EVENT_FROM_JSON, .results = &result};
        status = sp_engine_submit(server->engine, &append, error);
    }
    if (status == SP_OK) {
        status = fold(decisions, sp_str_from(type), sp_buf_str(&data), result.position, error);
    }
    sp_buf_fini(&data);
    return status;
}

/* ---- definitions ----------------------------------------------------------------------------- */

/* Every SQL is run once, with parameters of NULL: names and syntax are wrong now or never. */
static sp_status try_sql(struct sp_decisions *decisions, const struct sp_decision *decision,
                         bool *ret_near, struct sp_error *error) {
    for (uint32_t i = 0; i < decision->condition_count; i++) {
        const struct sp_condition *condition = &decision->conditions[i];
        struct sp_buf answer;
        uint64_t rows = 0;
        if (condition->kind != SP_CONDITION_SQL) {
            continue;
        }
        sp_buf_init(&answer, DECISION_TEXT_BYTES_MAX);
        sp_status status =
            decisions_ask(decisions, condition, SP_STR(""), 0, &answer, &rows, ret_near, error);
        sp_buf_fini(&answer);
        if (status != SP_OK && status != SP_LIMIT) { /* so many rows are right in their kind */
            return status == SP_BUSY ? status
                                     : sp_error_prefix(error, status, "/conditions/%u/sql", i);
        }
    }
    return SP_OK;
}

sp_status sp_decisions_put(struct sp_connection *connection, sp_str name, sp_str text,
                           enum sp_decision_outcome *ret_outcome, struct sp_error *error) {
    struct sp_decisions *decisions = connection->server->decisions;
    struct sp_decision *decision = NULL;
    bool near = false;
    sp_status status = sp_decision_parse(name, text, decisions->jq, &decision, error);
    if (status != SP_OK) {
        return status;
    }
    status = try_sql(decisions, decision, &near, error);
    sp_decision_free(decision);
    if (status == SP_BUSY) {
        status = decisions_wait(decisions, connection, false);
        return status == SP_TIMEOUT ? error->status : status;
    }
    decisions_done(decisions, connection);
    const struct decision_row *there = decisions_find(decisions, name);
    bool same = there != NULL && !there->shipped && sp_str_eq(there->text, text) &&
                (there->compiled == NULL || !sp_jq_is_refused(there->compiled->emit));
    *ret_outcome = same            ? SP_DECISION_UNCHANGED
                   : there != NULL ? SP_DECISION_REPLACED
                                   : SP_DECISION_DEFINED;
    if (status == SP_OK && there == NULL && decisions->row_count == DECISIONS_MAX) {
        status = sp_error_set(error, SP_LIMIT, "more than %d commands", DECISIONS_MAX);
    }
    return status != SP_OK || same ? status
                                   : append(decisions, "command.defined", name, text, error);
}

sp_status sp_decisions_remove(struct sp_server *server, sp_str name, struct sp_error *error) {
    return decisions_find(server->decisions, name) == NULL
               ? sp_error_set(error, SP_NOT_FOUND, "there is no command '%.*s'",
                              (int)(name.len > 128 ? 128 : name.len), name.ptr)
               : append(server->decisions, "command.removed", name, SP_STR(""), error);
}

sp_status sp_decisions_retell(struct sp_server *server, uint64_t before, struct sp_error *error) {
    struct sp_decisions *decisions = server->decisions;
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < decisions->row_count && status == SP_OK; i++) {
        const struct decision_row *row = decisions->rows[i];
        if (!row->shipped && row->position < before) { /* its own row is replaced, in its place */
            status = append(decisions, "command.defined", row->name, row->text, error);
        }
    }
    return status;
}

static void add_row(const struct decision_row *row, struct sp_buf *to) {
    sp_buf_add_str(to, SP_STR("{\"name\":"));
    sp_json_add_string(to, row->name);
    sp_buf_add_str(to, row->shipped ? SP_STR(",\"shipped\":true") : SP_STR(",\"shipped\":false"));
    if (row->position != 0) {
        sp_buf_add_str(to, SP_STR(",\"position\":"));
        sp_buf_add_u64(to, row->position);
    }
    sp_buf_add_str(to, SP_STR(",\"definition\":"));
    sp_buf_add_str(to, row->text);
    sp_buf_add_byte(to, '}');
}

bool sp_decisions_get(struct sp_server *server, sp_str name, struct sp_buf *to) {
    const struct decision_row *row = decisions_find(server->decisions, name);
    if (row != NULL) {
        add_row(row, to);
    }
    return row != NULL;
}

void sp_decisions_list(struct sp_server *server, struct sp_buf *to) {
    const struct sp_decisions *decisions = server->decisions;
    sp_buf_add_byte(to, '[');
    for (uint32_t i = 0; i < decisions->row_count; i++) {
        sp_buf_add_str(to, i == 0 ? SP_STR("") : SP_STR(","));
        add_row(decisions->rows[i], to);
    }
    sp_buf_add_byte(to, ']');
}

/* ---- waiting --------------------------------------------------------------------------------- */

static uint64_t now_ms(const struct sp_decisions *decisions) {
    const struct sp_clock *clock = &decisions->server->clock;
    return clock->monotonic_ns(clock->context) / 1000000;
}

static void lift(struct sp_decisions *decisions) {
    if (decisions->holder != NULL) {
        decisions->holder = NULL;
        sp_bus_bar(decisions->server->bus, false);
        decisions->server->again = true; /* who was kept out goes on */
    }
}

static struct decision_waiter **find_waiter(struct sp_decisions *decisions,
                                            const struct sp_connection *connection) {
    struct decision_waiter **at = &decisions->waiters;
    while (*at != NULL && (*at)->connection != connection) {
        at = &(*at)->next;
    }
    return at;
}

void decisions_done(struct sp_decisions *decisions, const struct sp_connection *connection) {
    struct decision_waiter **at = find_waiter(decisions, connection);
    if (*at != NULL) {
        struct decision_waiter *waiter = *at;
        *at = waiter->next;
        free(waiter);
    }
    if (decisions->holder == connection) {
        lift(decisions);
    }
}

/* The barrier is for one at a time, and not for long. */
static void bar(struct sp_decisions *decisions, const struct sp_connection *connection,
                uint64_t now) {
    if (decisions->holder == connection && now - decisions->held_ms >= BARRIER_MS) {
        lift(decisions);
        decisions->lifted_ms = now;
    } else if (decisions->holder == NULL && now - decisions->lifted_ms >= BARRIER_PAUSE_MS) {
        decisions->holder = connection;
        decisions->held_ms = now;
        sp_bus_bar(decisions->server->bus, true);
    }
}

sp_status decisions_wait(struct sp_decisions *decisions, const struct sp_connection *connection,
                         bool near) {
    uint64_t now = now_ms(decisions);
    struct decision_waiter **at = find_waiter(decisions, connection);
    if (*at == NULL) {
        struct decision_waiter *waiter = calloc(1, sizeof(*waiter));
        if (waiter == NULL) {
            return SP_TIMEOUT;
        }
        *waiter = (struct decision_waiter){.connection = connection, .since_ms = now};
        *at = waiter;
    }
    (*at)->seen_ms = now;
    if (now - (*at)->since_ms >= DECISION_WAIT_MS) {
        decisions_done(decisions, connection);
        return SP_TIMEOUT;
    }
    if (near) {
        bar(decisions, connection, now);
    } else if (decisions->holder == connection) {
        lift(decisions);
    }
    return SP_BUSY;
}

/* ---- the server's side ----------------------------------------------------------------------- */

static void on_closed(struct sp_server *server, void *context, struct sp_connection *connection) {
    (void)server;
    decisions_done(context, connection);
}

/* Who waits is run again soon; one that is not any more lets go of the barrier. */
static bool on_turn(struct sp_server *server, void *context) {
    struct sp_decisions *decisions = context;
    (void)server;
    if (decisions->holder != NULL &&
        now_ms(decisions) - decisions->held_ms >= 2 * (uint64_t)BARRIER_MS) {
        lift(decisions);
    }
    return false;
}

static int on_timeout(struct sp_server *server, void *context) {
    const struct sp_decisions *decisions = context;
    (void)server;
    return decisions->waiters != NULL ? 1 : -1;
}

static void on_fini(struct sp_server *server, void *context) {
    struct sp_decisions *decisions = context;
    lift(decisions);
    while (decisions->waiters != NULL) {
        struct decision_waiter *waiter = decisions->waiters;
        decisions->waiters = waiter->next;
        free(waiter);
    }
    for (uint32_t i = 0; i < decisions->row_count; i++) {
        free_row(decisions->rows[i]);
    }
    sp_reader_close(decisions->reader);
    sp_jq_free(decisions->jq);
    free(decisions);
    server->decisions = NULL;
}

sp_status sp_decisions_init(struct sp_server *server, struct sp_error *error) {
    struct sp_decisions *decisions = calloc(1, sizeof(*decisions));
    if (decisions == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "commands");
    }
    decisions->server = server;
    sp_status status = sp_jq_new(NULL, &decisions->jq, error);
    if (status != SP_OK) {
        free(decisions);
        return status;
    }
    server->decisions = decisions;
    const struct sp_server_hooks hooks = {.closed = on_closed,
                                          .turn = on_turn,
                                          .timeout = on_timeout,
                                          .fini = on_fini,
                                          .context = decisions};
    sp_server_hook(server, &hooks);
    return load(decisions, error);
}
