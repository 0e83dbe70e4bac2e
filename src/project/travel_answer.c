#include "project/travel_answer.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/json.h"
#include "base/time.h"
#include "project/difference.h"
#include "project/sql_json.h"
#include "project/sqlite_query.h"
#include "project/travel_int.h"

enum { NOTICES_BYTES_MAX = 4096 };

/*
 * ---- notices and facts
 * ----------------------------------------------------------------------------
 */

static void add_future(const struct sp_travel_state *state, struct sp_buf *to) {
    char text[128];
    if (state->cut.by_time) {
        (void)snprintf(text, sizeof(text), "the moment lies in the future: what is there so far");
    } else {
        (void)snprintf(text, sizeof(text),
                       "the moment lies behind the end of the log: as of position %llu",
                       (unsigned long long)state->cut.position);
    }
    sp_buf_add_str(to, sp_str_from(text));
}

static void add_dropped(const struct sp_travel_state *state, struct sp_buf *to) {
    char text[128];
    (void)snprintf(text, sizeof(text), "events up to position %llu were dropped and are not in it",
                   (unsigned long long)state->dropped);
    sp_buf_add_str(to, sp_str_from(text));
}

void sp_travel_notices(const struct sp_travel_facts *facts, struct sp_buf *to,
                       sp_str ret_notices[SP_TRAVEL_NOTICES_MAX], size_t *ret_count) {
    const struct sp_travel_state *states[] = {&facts->state, &facts->before};
    size_t count = 0;
    (void)sp_buf_reserve(to, NOTICES_BYTES_MAX); /* slices stay where they are */
    for (size_t i = 0; i < (facts->is_difference ? 2 : 1); i++) {
        size_t start = to->len;
        if (states[i]->cut.in_future) {
            add_future(states[i], to);
            ret_notices[count++] = sp_str_of(to->data + start, to->len - start);
        }
        start = to->len;
        if (states[i]->dropped > 0) {
            add_dropped(states[i], to);
            ret_notices[count++] = sp_str_of(to->data + start, to->len - start);
        }
    }
    sp_ensure(count <= SP_TRAVEL_NOTICES_MAX);
    *ret_count = to->status == SP_OK ? count : 0;
}

static void add_u64(struct sp_buf *to, const char *name, uint64_t value) {
    sp_buf_add_str(to, SP_STR(",\""));
    sp_buf_add_str(to, sp_str_from(name));
    sp_buf_add_str(to, SP_STR("\":"));
    sp_buf_add_u64(to, value);
}

static void add_text(struct sp_buf *to, const char *name, sp_str value) {
    sp_buf_add_str(to, SP_STR(",\""));
    sp_buf_add_str(to, sp_str_from(name));
    sp_buf_add_str(to, SP_STR("\":"));
    sp_json_add_string(to, value);
}

static void add_state(const struct sp_travel_state *state, struct sp_buf *to) {
    add_u64(to, "position", state->cut.position);
    if (state->cut.by_time) {
        char time[SP_TIME_TEXT_SIZE];
        sp_time_format(state->cut.time_us, time);
        add_text(to, "time", sp_str_from(time));
    }
    add_u64(to, "events", state->events);
    if (state->from_snapshot) {
        add_u64(to, "snapshot", state->snapshot);
    }
}

void sp_travel_facts_json(const struct sp_travel_facts *facts, struct sp_buf *to) {
    sp_buf_add_str(to, SP_STR("\"projection\":"));
    sp_json_add_string(to, sp_str_from(facts->definition->name));
    add_u64(to, "version", facts->definition->version);
    add_state(&facts->state, to);
    if (facts->is_difference) {
        struct sp_buf before;
        sp_buf_init(&before, NOTICES_BYTES_MAX);
        add_state(&facts->before, &before);
        sp_buf_add_str(to, SP_STR(",\"before\":{"));
        sp_buf_add_str(to, sp_str_from_byte(sp_buf_str(&before), 1)); /* without its comma */
        sp_buf_add_byte(to, '}');
        sp_buf_fini(&before);
    }
    if (facts->table.len > 0) {
        add_text(to, "table", facts->table);
    }
    struct sp_buf texts;
    sp_str notices[SP_TRAVEL_NOTICES_MAX];
    size_t count = 0;
    sp_buf_init(&texts, NOTICES_BYTES_MAX);
    sp_travel_notices(facts, &texts, notices, &count);
    for (size_t i = 0; i < count; i++) {
        sp_buf_add_str(to, i == 0 ? SP_STR(",\"notices\":[") : SP_STR(","));
        sp_json_add_string(to, notices[i]);
    }
    sp_buf_add_str(to, count > 0 ? SP_STR("]") : SP_STR(""));
    sp_buf_fini(&texts);
}

/*
 * ---- one state
 * ------------------------------------------------------------------------------------
 */

static bool here(const struct sp_definition_table *table) {
    return (table->dialects & SP_DIALECT_SQLITE) != 0;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Names are compared as SQL does: without case. */
static bool is_named(const struct sp_definition_table *table, sp_str name) {
    bool same = here(table) && table->name.len == name.len;
    for (size_t i = 0; same && i < name.len; i++) {
        same = lower(table->name.ptr[i]) == lower(name.ptr[i]);
    }
    return same;
}

static const struct sp_definition_table *find_table(const struct sp_definition *definition,
                                                    sp_str name) {
    for (uint32_t i = 0; i < definition->table_count; i++) {
        if (is_named(&definition->tables[i], name)) {
            return &definition->tables[i];
        }
    }
    return NULL;
}

/* The table that is meant. */
static sp_status choose_table(const struct sp_travel_question *question,
                              const struct sp_definition_table **ret_table,
                              struct sp_error *error) {
    const struct sp_definition *definition = question->ask.definition;
    sp_str name = question->table.len > 0 ? question->table : sp_str_from(definition->name);
    const struct sp_definition_table *table = find_table(definition, name);
    for (uint32_t i = 0; table == NULL && question->table.len == 0 && i < definition->table_count;
         i++) {
        table = here(&definition->tables[i]) ? &definition->tables[i] : NULL;
    }
    if (table == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "projection %s has no table %.*s",
                            definition->name, SP_STR_ARG(name));
    }
    *ret_table = table;
    return SP_OK;
}

/* Whoever is given the rows of a statement, and how long that may go on. */
struct telling {
    const struct sp_travel_question *question;
    const struct sp_travel_rows *rows;
    void *context;
    uint64_t count;
    uint64_t bytes;
    bool cut;
    struct sp_buf texts; /* of a change */
    sp_status status;
};

static bool tell_columns(void *context, const sp_str *names, uint32_t count) {
    struct telling *telling = context;
    return telling->rows->columns(telling->context, names, count);
}

static bool tell_row(void *context, const struct sp_sql_value *values, uint32_t count) {
    struct telling *telling = context;
    return telling->rows->row(telling->context, values, count);
}

static void add_select(sp_str table, struct sp_buf *sql) {
    sp_buf_add_str(sql, SP_STR("SELECT * FROM \""));
    for (size_t i = 0; i < table.len; i++) {
        if (table.ptr[i] == '"') {
            sp_buf_add_byte(sql, '"');
        }
        sp_buf_add_byte(sql, (uint8_t)table.ptr[i]);
    }
    sp_buf_add_byte(sql, '"');
}

static sp_status ask_build(struct sp_travel *travel, struct telling *telling,
                           struct sp_build *build, sp_str text, struct sp_error *error) {
    static const struct sp_rows rows = {.columns = tell_columns, .row = tell_row};
    const struct sp_travel_question *question = telling->question;
    struct sp_sql_reader *reader = NULL;
    struct sp_sql_done done = {.cut = false};
    const struct sp_sql sql = {
        .text = text,
        .params = question->params,
        .param_count = question->param_count,
        .timeout_ms = question->ask.timeout_ms,
        .rows_max = question->rows_max != 0 ? question->rows_max : SP_TRAVEL_ROWS,
        .bytes_max = question->bytes_max,
        .cut = true,
    };
    sp_status status = sp_sqlite_reader_of(build, travel->options.clock, &reader, error);
    if (status == SP_OK) {
        status = sp_reader_query(reader, &sql, &rows, telling, &done, error);
        sp_reader_close(reader);
    }
    telling->cut = status == SP_OK && done.cut;
    return status;
}

static sp_status answer_state(struct sp_travel *travel, struct telling *telling,
                              struct sp_error *error) {
    const struct sp_travel_question *question = telling->question;
    struct sp_travel_facts facts = {.definition = question->ask.definition};
    const struct sp_definition_table *table = NULL;
    sp_status status = question->sql.len == 0 ? choose_table(question, &table, error) : SP_OK;
    status = status == SP_OK ? sp_travel_ask(travel, &question->ask, &facts.state, error) : status;
    if (status != SP_OK) {
        return status;
    }
    struct sp_build *build = facts.state.build;
    struct sp_buf sql;
    sp_buf_init(&sql, SP_SQL_TEXT_BYTES_MAX);
    if (table != NULL) {
        facts.table = table->name;
        add_select(table->name, &sql);
    }
    facts.state.build = NULL;
    if (!telling->rows->facts(telling->context, &facts)) {
        status = sp_error_set(error, SP_CANCELLED, "cancelled");
    } else {
        status = ask_build(travel, telling, build, table != NULL ? sp_buf_str(&sql) : question->sql,
                           error);
    }
    sp_buf_fini(&sql);
    build->ops->close(build);
    return status;
}

/*
 * ---- two states
 * -----------------------------------------------------------------------------------
 */

static const char *change_text(enum sp_change change) {
    switch (change) {
    case SP_CHANGE_ADDED:
        return "added";
    case SP_CHANGE_REMOVED:
        return "removed";
    case SP_CHANGE_CHANGED:
        return "changed";
    }
    sp_never();
}

/* Which columns of a change are shown of one side: those of the key, all, or what differs. */
static bool is_shown(const struct sp_difference *difference, uint32_t column, bool key) {
    if (key) {
        return difference->is_key[column];
    }
    return difference->change != SP_CHANGE_CHANGED ||
           !sp_sql_value_same(&difference->before[column], &difference->after[column]);
}

/* Appends columns of one side as a JSON object; NULL where there is no such side. */
static struct sp_sql_value add_side(const struct sp_difference *difference,
                                    const struct sp_sql_value *side, bool key, struct sp_buf *to) {
    size_t start = to->len;
    if (side == NULL) {
        return (struct sp_sql_value){.kind = SP_SQL_NULL};
    }
    bool is_first = true;
    sp_buf_add_byte(to, '{');
    for (uint32_t i = 0; i < difference->column_count; i++) {
        if (is_shown(difference, i, key)) {
            sp_buf_add_str(to, is_first ? SP_STR("") : SP_STR(","));
            sp_json_add_string(to, difference->columns[i]);
            sp_buf_add_byte(to, ':');
            sp_sql_json_add(to, &side[i]);
            is_first = false;
        }
    }
    sp_buf_add_byte(to, '}');
    /* Its place in the buffer, which may still move. */
    return (struct sp_sql_value){
        .kind = SP_SQL_TEXT, .integer = (int64_t)start, .text = {.len = to->len - start}};
}

static void set_text(const struct sp_buf *texts, struct sp_sql_value *value) {
    if (value->kind == SP_SQL_TEXT && value->text.ptr == NULL) {
        value->text.ptr = (const char *)texts->data + value->integer;
        value->integer = 0;
    }
}

static bool tell_change(void *context, const struct sp_difference *difference) {
    struct telling *telling = context;
    const struct sp_travel_question *question = telling->question;
    uint64_t rows_max = question->rows_max != 0 ? question->rows_max : SP_TRAVEL_ROWS;
    uint64_t bytes_max = question->bytes_max != 0 ? question->bytes_max : SP_SQL_BYTES_MAX;
    const struct sp_sql_value *side =
        difference->after != NULL ? difference->after : difference->before;
    sp_buf_reset(&telling->texts);
    struct sp_sql_value values[SP_TRAVEL_CHANGE_COLUMNS] = {
        {.kind = SP_SQL_TEXT, .text = difference->table},
        {.kind = SP_SQL_TEXT, .text = sp_str_from(change_text(difference->change))},
        add_side(difference, difference->has_key ? side : NULL, true, &telling->texts),
        add_side(difference, difference->before, false, &telling->texts),
        add_side(difference, difference->after, false, &telling->texts),
    };
    telling->status = telling->texts.status;
    telling->bytes += telling->texts.len;
    telling->cut = telling->count == rows_max || telling->bytes > bytes_max;
    if (telling->cut || telling->status != SP_OK) {
        return false;
    }
    for (size_t i = 0; i < SP_TRAVEL_CHANGE_COLUMNS; i++) {
        set_text(&telling->texts, &values[i]);
    }
    telling->count++;
    return telling->rows->row(telling->context, values, SP_TRAVEL_CHANGE_COLUMNS);
}

/* Splits `A..B`. */
static sp_status split(sp_str diff, sp_str *ret_a, sp_str *ret_b, struct sp_error *error) {
    for (size_t i = 0; i + 1 < diff.len; i++) {
        if (diff.ptr[i] == '.' && diff.ptr[i + 1] == '.') {
            *ret_a = sp_str_of(diff.ptr, i);
            *ret_b = sp_str_from_byte(diff, i + 2);
            if (i > 0 && ret_b->len > 0) {
                return SP_OK;
            }
        }
    }
    return sp_error_set(error, SP_INVALID, "diff: found %.*s, expected two moments as A..B",
                        SP_STR_ARG(diff));
}

static sp_status ask_both(struct sp_travel *travel, const struct sp_travel_question *question,
                          struct sp_travel_facts *facts, struct sp_error *error) {
    struct sp_travel_ask asks[] = {question->ask, question->ask};
    sp_status status = split(question->diff, &asks[0].until, &asks[1].until, error);
    status = status == SP_OK ? sp_travel_ask(travel, &asks[0], &facts->before, error) : status;
    return status == SP_OK ? sp_travel_ask(travel, &asks[1], &facts->state, error) : status;
}

static sp_status answer_difference(struct sp_travel *travel, struct telling *telling,
                                   struct sp_error *error) {
    static const sp_str COLUMNS[SP_TRAVEL_CHANGE_COLUMNS] = {{.ptr = "table", .len = 5},
                                                             {.ptr = "change", .len = 6},
                                                             {.ptr = "key", .len = 3},
                                                             {.ptr = "before", .len = 6},
                                                             {.ptr = "after", .len = 5}};
    const struct sp_travel_question *question = telling->question;
    struct sp_travel_facts facts = {.definition = question->ask.definition, .is_difference = true};
    sp_status status = ask_both(travel, question, &facts, error);
    struct sp_build *before = facts.before.build;
    struct sp_build *after = facts.state.build;
    if (status == SP_OK &&
        !(telling->rows->facts(telling->context, &facts) &&
          telling->rows->columns(telling->context, COLUMNS, SP_TRAVEL_CHANGE_COLUMNS))) {
        status = sp_error_set(error, SP_CANCELLED, "cancelled");
    }
    if (status == SP_OK) {
        status = sp_difference_walk(before, after, question->table, tell_change, telling, error);
        status = telling->cut ? SP_OK : status;
        status =
            telling->status != SP_OK ? sp_error_set(error, telling->status, "a change") : status;
    }
    if (before != NULL) {
        before->ops->close(before);
    }
    if (after != NULL) {
        after->ops->close(after);
    }
    return status;
}

/*
 * ---- answering
 * ------------------------------------------------------------------------------------
 */

sp_status sp_travel_question_split(struct sp_travel_question *question, struct sp_error *error) {
    struct sp_query *query = &question->ask.query;
    if (query->reverse || query->from_version != 0) {
        return sp_error_set(error, SP_INVALID,
                            "%s: a state has no order of events, they count or do not",
                            query->reverse ? "reverse" : "version");
    }
    question->ask.until = query->until;
    question->rows_max = query->limit;
    query->until = (sp_str){.ptr = NULL};
    query->limit = 0;
    return SP_OK;
}

static sp_status check(const struct sp_travel_question *question, struct sp_error *error) {
    if (question->diff.len > 0 && question->ask.until.len > 0) {
        return sp_error_set(error, SP_INVALID, "diff names both moments: no until beside it");
    }
    if (question->diff.len > 0 && question->sql.len > 0) {
        return sp_error_set(error, SP_INVALID, "diff compares tables: no sql beside it");
    }
    if (question->table.len > 0 && question->sql.len > 0) {
        return sp_error_set(error, SP_INVALID, "sql names its tables itself: no table beside it");
    }
    if (question->rows_max > SP_TRAVEL_ROWS_MAX) {
        return sp_error_set(error, SP_INVALID, "limit: at most %d rows", SP_TRAVEL_ROWS_MAX);
    }
    return SP_OK;
}

sp_status sp_travel_answer(struct sp_travel *travel, const struct sp_travel_question *question,
                           const struct sp_travel_rows *rows, void *context, bool *ret_cut,
                           struct sp_error *error) {
    struct telling telling = {.question = question, .rows = rows, .context = context};
    sp_buf_init(&telling.texts, SP_SQL_BYTES_MAX);
    sp_status status = check(question, error);
    if (status == SP_OK) {
        status = question->diff.len > 0 ? answer_difference(travel, &telling, error)
                                        : answer_state(travel, &telling, error);
    }
    sp_buf_fini(&telling.texts);
    if (status == SP_OK) {
        *ret_cut = telling.cut;
    }
    return status;
}
