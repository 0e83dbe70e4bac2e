/*
 * Rows by primary key: `table:key`, `table:first:second` where the key has two columns.
 *
 * The last part takes what is left, colons included. A view has no key: its first column is taken
 * for one. How a table is asked for is remembered for a second.
 */
#include <stdio.h>

#include "server/queries_int.h"

enum { REMEMBERED_NS = 1000000000 };

struct describing {
    struct query_key *key;
    const struct query_thread *thread;
    bool too_long;
    bool no_key;
};

static void add_text(struct describing *describing, size_t *len, const char *text,
                     size_t text_len) {
    size_t room = sizeof(describing->key->sql) - *len;
    if (text_len >= room) {
        describing->too_long = true;
        return;
    }
    memcpy(describing->key->sql + *len, text, text_len);
    *len += text_len;
    describing->key->sql[*len] = '\0';
}

static void add_name(struct describing *describing, size_t *len, sp_str name) {
    add_text(describing, len, "\"", 1);
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"') {
            add_text(describing, len, "\"", 1);
        }
        add_text(describing, len, name.ptr + i, 1);
    }
    add_text(describing, len, "\"", 1);
}

/* The column that is this part of the key, from 1; NULL where the key has no more. */
static const struct sp_sql_column *key_column(const struct sp_sql_table *table, uint32_t part) {
    bool keyed = false;
    for (uint32_t i = 0; i < table->column_count; i++) {
        keyed = keyed || table->columns[i].key > 0;
        if (table->columns[i].key == part) {
            return &table->columns[i];
        }
    }
    return !keyed && table->view && part == 1 && table->column_count > 0 ? &table->columns[0]
                                                                         : NULL;
}

static bool describe(void *context, const struct sp_sql_table *table) {
    struct describing *describing = context;
    size_t len = 0;
    uint32_t part = 1;
    add_text(describing, &len, "SELECT * FROM ", 14);
    add_name(describing, &len, table->name);
    for (; part <= QUERY_KEY_PARTS_MAX; part++) {
        const struct sp_sql_column *column = key_column(table, part);
        char place[24];
        if (column == NULL) {
            break;
        }
        add_text(describing, &len, part == 1 ? " WHERE " : " AND ", part == 1 ? 7 : 5);
        add_name(describing, &len, column->name);
        int place_len = snprintf(place, sizeof(place), " = :k%u", part);
        add_text(describing, &len, place, (size_t)place_len);
    }
    add_text(describing, &len, " LIMIT 1", 8);
    describing->key->parts = part - 1;
    describing->no_key = part == 1 || key_column(table, part) != NULL;
    return false;
}

/* Where the table is remembered, or is to be: the place that has been there for longest. */
static struct query_key *place_of(struct query_thread *thread, sp_str table) {
    struct query_key *best = &thread->keys[0];
    for (int i = 0; i < QUERY_KEYS_CACHED; i++) {
        struct query_key *at = &thread->keys[i];
        if (at->made_ns != 0 && sp_str_eq(sp_str_from(at->table), table)) {
            return at;
        }
        best = at->made_ns < best->made_ns ? at : best;
    }
    best->made_ns = 0;
    return best;
}

static sp_str table_of(const struct sp_query_job *job) {
    sp_str key = job->ask.key;
    const char *colon = key.len > 0 ? memchr(key.ptr, ':', key.len) : NULL;
    return sp_str_of(key.ptr, colon != NULL ? (size_t)(colon - key.ptr) : key.len);
}

static sp_status look_up(struct query_thread *thread, struct query_key *key, sp_str table,
                         uint64_t now_ns, struct sp_error *error) {
    struct describing describing = {.key = key, .thread = thread};
    sp_status status = sp_reader_tables(thread->reader, table, describe, &describing, error);
    if (status != SP_OK) {
        return status;
    }
    if (describing.no_key || describing.too_long) {
        return sp_error_set(error, SP_INVALID, "%.*s has no primary key that can be asked for",
                            SP_STR_ARG(table));
    }
    memcpy(key->table, table.ptr, table.len);
    key->table[table.len] = '\0';
    key->made_ns = now_ns;
    return SP_OK;
}

/* Cuts `table:a:b` into the parts of the key. False where there are too few. */
static bool split(sp_str rest, uint32_t parts, struct sp_sql_value *values) {
    for (uint32_t i = 0; i < parts; i++) {
        const char *colon = rest.len > 0 ? memchr(rest.ptr, ':', rest.len) : NULL;
        bool last = i + 1 == parts;
        if (!last && colon == NULL) {
            return false;
        }
        size_t len = last ? rest.len : (size_t)(colon - rest.ptr);
        values[i] = (struct sp_sql_value){.kind = SP_SQL_TEXT, .text = sp_str_of(rest.ptr, len)};
        rest = last ? rest : sp_str_from_byte(rest, len + 1);
    }
    return true;
}

sp_status query_key_sql(struct query_thread *thread, struct sp_query_job *job, uint64_t now_ns,
                        struct sp_sql_value values[QUERY_KEY_PARTS_MAX], struct sp_sql *ret_sql,
                        struct sp_error *error) {
    sp_str table = table_of(job);
    if (table.len == 0 || table.len == job->ask.key.len || table.len >= SP_SQL_NAME_SIZE) {
        return sp_error_set(error, SP_NOT_FOUND, "expected table:key");
    }
    struct query_key *key = place_of(thread, table);
    if (key->made_ns == 0 || now_ns - key->made_ns > REMEMBERED_NS) {
        key->made_ns = 0;
        sp_status status = look_up(thread, key, table, now_ns, error);
        if (status == SP_NOT_FOUND) {
            memcpy(job->done.missing, table.ptr, table.len);
            job->done.missing[table.len] = '\0';
        }
        if (status != SP_OK) {
            return status;
        }
    }
    if (!split(sp_str_from_byte(job->ask.key, table.len + 1), key->parts, values)) {
        return sp_error_set(error, SP_INVALID,
                            "the primary key of %s has %u columns: expected %s:first:second%s",
                            key->table, key->parts, key->table, key->parts > 2 ? ":…" : "");
    }
    *ret_sql = job->ask.sql;
    ret_sql->text = sp_str_from(key->sql);
    ret_sql->params = values;
    ret_sql->param_count = key->parts;
    return SP_OK;
}

void query_key_forget(struct query_thread *thread, const struct sp_query_job *job) {
    place_of(thread, table_of(job))->made_ns = 0;
}
