/* The tables of a folder's builds, or of one build, with their columns. */
#include <stdlib.h>
#include <string.h>

#include "project/definition.h"
#include "project/sql_text.h"
#include "project/sqlite_query_int.h"

enum {
    COLUMNS_BYTES_MAX = 1 << 20,
    TEXTS_BYTES_MAX = 1 << 20, /* reserved at once, so that they never move */
};

struct listing {
    sp_sql_table_fn *each;
    void *context;
    sp_str wanted; /* empty: all */
    sp_str projection;
    struct sp_sql_nearest nearest;
    struct sp_buf columns; /* struct sp_sql_column */
    struct sp_buf texts;
    uint64_t position;
    bool found;
    bool ended;
};

/* The wanted name is `table` or `projection.table`. */
static bool is_wanted(const struct listing *listing, sp_str table) {
    sp_str wanted = listing->wanted;
    sp_str projection = listing->projection;
    if (wanted.len > projection.len + 1 && sp_str_starts_with(wanted, projection) &&
        wanted.ptr[projection.len] == '.') {
        wanted = sp_str_from_byte(wanted, projection.len + 1);
        if (wanted.len == table.len &&
            sqlite3_strnicmp(wanted.ptr, table.ptr, (int)table.len) == 0) {
            return true;
        }
    }
    wanted = listing->wanted;
    return wanted.len == 0 || (wanted.len == table.len &&
                               sqlite3_strnicmp(wanted.ptr, table.ptr, (int)table.len) == 0);
}

static void add_text(struct listing *listing, sqlite3_stmt *stmt, int at, sp_str *ret_text) {
    const char *text = (const char *)sqlite3_column_text(stmt, at);
    *ret_text = sp_str_of((const char *)listing->texts.data + listing->texts.len,
                          text != NULL ? strlen(text) : 0);
    sp_buf_add_str(&listing->texts, sp_str_from(text));
}

static sp_status read_columns(struct listing *listing, sqlite3 *db, const char *table) {
    sqlite3_stmt *stmt = NULL;
    sp_buf_reset(&listing->columns);
    sp_buf_reset(&listing->texts);
    int code = sqlite3_prepare_v2(
        db, "SELECT name, type, pk FROM pragma_table_xinfo(?1) WHERE hidden IN (0, 2, 3)", -1,
        &stmt, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_bind_text(stmt, 1, table, -1, SQLITE_STATIC);
    }
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(stmt);
        if (code == SQLITE_ROW) {
            struct sp_sql_column column = {.key = (uint32_t)sqlite3_column_int(stmt, 2)};
            add_text(listing, stmt, 0, &column.name);
            add_text(listing, stmt, 1, &column.type);
            sp_buf_add(&listing->columns, &column, sizeof(column));
        }
    }
    (void)sqlite3_finalize(stmt);
    if (listing->columns.status != SP_OK || listing->texts.status != SP_OK) {
        return SP_NO_MEMORY;
    }
    return code == SQLITE_DONE ? SP_OK : reader_status(code);
}

static sp_status tell_table(struct listing *listing, sqlite3 *db, sqlite3_stmt *row) {
    const char *name = (const char *)sqlite3_column_text(row, 0);
    const char *type = (const char *)sqlite3_column_text(row, 1);
    sp_sql_nearest_try(&listing->nearest, sp_str_from(name));
    if (!is_wanted(listing, sp_str_from(name))) {
        return SP_OK;
    }
    sp_status status = read_columns(listing, db, name);
    if (status != SP_OK) {
        return status;
    }
    struct sp_sql_table table = {
        .name = sp_str_from(name),
        .projection = listing->projection,
        .view = type != NULL && strcmp(type, "view") == 0,
        .position = listing->position,
        .columns = (const void *)listing->columns.data,
        .column_count = (uint32_t)(listing->columns.len / sizeof(struct sp_sql_column)),
    };
    listing->found = true;
    listing->ended = !listing->each(listing->context, &table) || listing->wanted.len > 0;
    return SP_OK;
}

static sp_status tell_tables(struct listing *listing, sqlite3 *db) {
    static const char SQL[] = "SELECT name, type FROM pragma_table_list WHERE schema = 'main'"
                              " AND type IN ('table', 'view', 'virtual')"
                              " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
                              " AND name NOT LIKE 'spoor\\_%' ESCAPE '\\' ORDER BY name";
    sqlite3_stmt *stmt = NULL;
    int code = sqlite3_prepare_v2(db, SQL, -1, &stmt, NULL);
    sp_status status = reader_status(code);
    while (status == SP_OK && !listing->ended && code != SQLITE_DONE) {
        code = sqlite3_step(stmt);
        status = reader_status(code);
        if (code == SQLITE_ROW) {
            status = tell_table(listing, db, stmt);
        }
    }
    (void)sqlite3_finalize(stmt);
    return status;
}

static uint64_t position_of(sqlite3 *db) {
    sqlite3_stmt *stmt = NULL;
    uint64_t position = 0;
    if (sqlite3_prepare_v2(db, "SELECT position FROM spoor_build", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW) {
        position = (uint64_t)sqlite3_column_int64(stmt, 0);
    }
    (void)sqlite3_finalize(stmt);
    return position;
}

static sp_status tell_folder(struct sqlite_reader *reader, struct listing *listing,
                             struct sp_error *error) {
    sp_status status = reader_look_around(reader, error);
    for (uint32_t i = 0; status == SP_OK && i < reader->model_count && !listing->ended; i++) {
        sqlite3 *db = NULL;
        int code = reader_open_file(reader, reader->models[i].target, &db);
        listing->projection = sp_str_from(reader->models[i].name);
        if (code == SQLITE_OK) {
            listing->position = position_of(db);
            status = tell_tables(listing, db);
        }
        (void)sqlite3_close(db);
        if (status != SP_OK) {
            return sp_error_set(error, status, "cannot read the tables of %s",
                                reader->models[i].name);
        }
    }
    return status;
}

static sp_status tell_build(struct sqlite_reader *reader, struct listing *listing,
                            struct sp_error *error) {
    struct sp_build_state state;
    reader->lend(reader, true);
    reader->build->ops->state(reader->build, &state);
    listing->projection = sp_str_from(state.name);
    listing->position = state.position;
    (void)sqlite3_set_authorizer(reader->db, NULL, NULL);
    sp_status status = tell_tables(listing, reader->db);
    reader->lend(reader, false);
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "cannot read the tables");
}

sp_status reader_tables(struct sp_sql_reader *base, sp_str name, sp_sql_table_fn *each,
                        void *context, struct sp_error *error) {
    struct sqlite_reader *reader = (struct sqlite_reader *)(void *)base;
    struct listing listing = {.each = each, .context = context, .wanted = name};
    sp_buf_init(&listing.columns, COLUMNS_BYTES_MAX);
    sp_buf_init(&listing.texts, TEXTS_BYTES_MAX);
    sp_sql_nearest_init(&listing.nearest, name);
    sp_status status = SP_NO_MEMORY;
    if (sp_buf_reserve(&listing.texts, TEXTS_BYTES_MAX) != NULL) {
        status = reader->build != NULL ? tell_build(reader, &listing, error)
                                       : tell_folder(reader, &listing, error);
    }
    if (status == SP_OK && name.len > 0 && !listing.found) {
        status = sp_sql_nearest_fail(&listing.nearest, error);
    }
    sp_buf_fini(&listing.columns);
    sp_buf_fini(&listing.texts);
    return status;
}
