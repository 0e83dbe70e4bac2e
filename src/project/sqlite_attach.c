/* Which build has which table, and the builds that are attached. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "project/definition.h"
#include "project/sql_text.h"
#include "project/sqlite_query_int.h"

enum {
    PATH_SIZE = 4096 + READER_TARGET_SIZE + 2,
    NAMES_BYTES_MAX = 1 << 20,
    BUSY_MS = 2000,
};

static const char LINK_END[] = ".db";

/* ---- files ----------------------------------------------------------------------------------- */

static bool path_of(const struct sqlite_reader *reader, const char *name, char path[PATH_SIZE]) {
    int len = snprintf(path, PATH_SIZE, "%s/%s", reader->folder, name);
    return len > 0 && len < PATH_SIZE;
}

/* The file that is current; false where the projection has none. */
static bool read_target(const struct sqlite_reader *reader, const char *projection,
                        char target[READER_TARGET_SIZE]) {
    char name[SP_SQL_NAME_SIZE + sizeof(LINK_END)];
    char path[PATH_SIZE];
    (void)snprintf(name, sizeof(name), "%s%s", projection, LINK_END);
    ssize_t len = path_of(reader, name, path) ? readlink(path, target, READER_TARGET_SIZE - 1) : -1;
    if (len <= 0 || len >= READER_TARGET_SIZE - 1 || memchr(target, '/', (size_t)len) != NULL) {
        return false;
    }
    target[len] = '\0';
    return true;
}

int reader_open_file(const struct sqlite_reader *reader, const char *target, sqlite3 **ret_db) {
    char path[PATH_SIZE];
    if (!path_of(reader, target, path)) {
        return SQLITE_CANTOPEN;
    }
    int code = sqlite3_open_v2(path, ret_db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_busy_timeout(*ret_db, BUSY_MS);
    }
    return code;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static sp_status read_names(const struct sqlite_reader *reader, struct reader_model *model) {
    static const char SQL[] = "SELECT name FROM pragma_table_list WHERE schema = 'main'"
                              " AND type IN ('table', 'view', 'virtual')"
                              " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
                              " AND name NOT LIKE 'spoor\\_%' ESCAPE '\\' ORDER BY name";
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    int code = reader_open_file(reader, model->target, &db);
    code = code == SQLITE_OK ? sqlite3_prepare_v2(db, SQL, -1, &stmt, NULL) : code;
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(stmt);
        if (code == SQLITE_ROW) {
            const unsigned char *name = sqlite3_column_text(stmt, 0);
            sp_buf_add_str(&model->tables, sp_str_from((const char *)name));
            sp_buf_add_byte(&model->tables, '\0');
        }
    }
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    return code != SQLITE_DONE ? reader_status(code) : model->tables.status;
}

static struct reader_model *find_model(const struct sqlite_reader *reader, sp_str name) {
    for (uint32_t i = 0; i < reader->model_count; i++) {
        if (sp_str_eq(sp_str_from(reader->models[i].name), name)) {
            return &reader->models[i];
        }
    }
    return NULL;
}

/* Names of SQL are the same whatever the case of their ASCII letters. */
static bool has_table(const struct reader_model *model, sp_str table) {
    const char *at = (const char *)model->tables.data;
    const char *end = at + model->tables.len;
    for (; at < end; at += strlen(at) + 1) {
        if (strlen(at) == table.len && sqlite3_strnicmp(at, table.ptr, (int)table.len) == 0) {
            return true;
        }
    }
    return false;
}

/* Those whose links are gone fall out; the order stays. */
static void drop_models(struct sqlite_reader *reader) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < reader->model_count; i++) {
        if (reader->models[i].target[0] == '\0') {
            sp_buf_fini(&reader->models[i].tables);
        } else {
            reader->models[kept++] = reader->models[i];
        }
    }
    reader->model_count = kept;
}

/* Reads the model's link and, where it has changed, its tables. A build that cannot be read has
   none: it may have been replaced this moment. */
static void look_at(struct sqlite_reader *reader, struct reader_model *model) {
    char target[READER_TARGET_SIZE];
    if (!read_target(reader, model->name, target)) {
        model->target[0] = '\0';
        return;
    }
    if (strcmp(target, model->target) != 0) {
        memcpy(model->target, target, sizeof(target));
        sp_buf_reset(&model->tables);
        if (read_names(reader, model) != SP_OK) {
            sp_buf_reset(&model->tables);
            model->target[0] = '\0';
        }
    }
}

static sp_status add_model(struct sqlite_reader *reader, sp_str name) {
    uint32_t at = reader->model_count;
    if (at == READER_MODELS_MAX) {
        return SP_OK;
    }
    struct reader_model *models = realloc(reader->models, (at + 1) * sizeof(*models));
    if (models == NULL) {
        return SP_NO_MEMORY;
    }
    reader->models = models;
    for (; at > 0 && sp_str_cmp(sp_str_from(models[at - 1].name), name) > 0; at--) {
        models[at] = models[at - 1];
    }
    models[at] = (struct reader_model){.target = ""};
    memcpy(models[at].name, name.ptr, name.len);
    sp_buf_init(&models[at].tables, NAMES_BYTES_MAX);
    reader->model_count++;
    return SP_OK;
}

/* `NAME.db` is a link; `NAME.3.db`, `NAME.3.db-wal` and LOCK are not of that form. */
static bool is_link_name(sp_str file, sp_str *ret_name) {
    sp_str name = file;
    if (!sp_str_ends_with(file, SP_STR(".db"))) {
        return false;
    }
    name.len -= sizeof(LINK_END) - 1;
    *ret_name = name;
    return sp_projection_name_valid(name);
}

sp_status reader_look_around(struct sqlite_reader *reader, struct sp_error *error) {
    DIR *folder = opendir(reader->folder);
    sp_status status = SP_OK;
    if (folder == NULL && errno != ENOENT) {
        return sp_error_set_os(error, SP_IO, errno, "cannot list %s", reader->folder);
    }
    for (struct dirent *entry = NULL;
         status == SP_OK && folder != NULL && (entry = readdir(folder)) != NULL;) {
        sp_str name;
        if (is_link_name(sp_str_from(entry->d_name), &name) && find_model(reader, name) == NULL) {
            status = add_model(reader, name);
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    for (uint32_t i = 0; i < reader->model_count; i++) {
        look_at(reader, &reader->models[i]);
    }
    drop_models(reader);
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "no memory to list read models");
}

/* ---- attaching ------------------------------------------------------------------------------- */

static void detach(struct sqlite_reader *reader, uint32_t at) {
    struct reader_slot *slot = &reader->slots[at];
    char sql[SP_SQL_NAME_SIZE + 16];
    if (slot->name[0] == '\0') {
        return;
    }
    reader_forget_slot(reader, at);
    (void)sqlite3_finalize(slot->position);
    (void)snprintf(sql, sizeof(sql), "DETACH \"%s\"", slot->name);
    (void)reader_exec(reader, sql);
    *slot = (struct reader_slot){.position = NULL};
}

void reader_detach_all(struct sqlite_reader *reader) {
    for (uint32_t i = 0; i < reader->slot_count; i++) {
        detach(reader, i);
    }
}

/* A path within a URI: what has a meaning there is escaped. */
static void add_uri(struct sp_buf *to, sp_str path) {
    static const char HEX[] = "0123456789abcdef";
    sp_buf_add_str(to, SP_STR("file:"));
    for (size_t i = 0; i < path.len; i++) {
        uint8_t byte = (uint8_t)path.ptr[i];
        if (byte == '%' || byte == '?' || byte == '#') {
            const char escaped[3] = {'%', HEX[byte >> 4], HEX[byte & 15]};
            sp_buf_add(to, escaped, sizeof(escaped));
        } else {
            sp_buf_add_byte(to, byte);
        }
    }
    sp_buf_add_str(to, SP_STR("?mode=ro"));
}

static int run_attach(struct sqlite_reader *reader, const struct reader_slot *slot) {
    char path[PATH_SIZE];
    char sql[SP_SQL_NAME_SIZE + 32];
    sqlite3_stmt *stmt = NULL;
    struct sp_buf uri;
    if (!path_of(reader, slot->target, path)) {
        return SQLITE_CANTOPEN;
    }
    (void)snprintf(sql, sizeof(sql), "ATTACH ?1 AS \"%s\"", slot->name);
    sp_buf_init(&uri, 4 * (size_t)PATH_SIZE);
    add_uri(&uri, sp_str_from(path));
    reader->inside = true;
    int code =
        uri.status == SP_OK ? sqlite3_prepare_v2(reader->db, sql, -1, &stmt, NULL) : SQLITE_NOMEM;
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_text(stmt, 1, (const char *)uri.data, (int)uri.len, SQLITE_STATIC);
        code = sqlite3_step(stmt);
    }
    code = code == SQLITE_DONE ? sqlite3_finalize(stmt) : (sqlite3_finalize(stmt), code);
    reader->inside = false;
    sp_buf_fini(&uri);
    return code;
}

static int attach(struct sqlite_reader *reader, uint32_t at, const char *name, const char *target) {
    struct reader_slot *slot = &reader->slots[at];
    char sql[SP_SQL_NAME_SIZE + 48];
    detach(reader, at);
    (void)snprintf(slot->name, sizeof(slot->name), "%s", name);
    (void)snprintf(slot->target, sizeof(slot->target), "%s", target);
    slot->attached = reader->turn;
    int code = run_attach(reader, slot);
    if (code != SQLITE_OK) {
        *slot = (struct reader_slot){.position = NULL};
        return code;
    }
    (void)snprintf(sql, sizeof(sql), "SELECT position FROM \"%s\".spoor_build", name);
    reader->inside = true;
    code =
        sqlite3_prepare_v3(reader->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &slot->position, NULL);
    reader->inside = false;
    if (code != SQLITE_OK) {
        detach(reader, at);
    }
    return code;
}

/* The slot of this projection; else a free one, else the one unused for longest; UINT32_MAX. */
static uint32_t slot_for(const struct sqlite_reader *reader, const char *name, uint32_t pinned) {
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < reader->slot_count; i++) {
        const struct reader_slot *slot = &reader->slots[i];
        if (strcmp(slot->name, name) == 0) {
            return i;
        }
        if ((pinned >> i & 1) == 0 &&
            (best == UINT32_MAX || slot->used < reader->slots[best].used)) {
            best = i;
        }
    }
    return best;
}

static sp_status attach_model(struct sqlite_reader *reader, const struct reader_model *model,
                              uint32_t *pinned, struct sp_error *error) {
    uint32_t at = slot_for(reader, model->name, *pinned);
    if (at == UINT32_MAX) {
        return sp_error_set(error, SP_UNSUPPORTED,
                            "one query can read the tables of %u read models at most",
                            reader->slot_count);
    }
    int code = attach(reader, at, model->name, model->target);
    if (code != SQLITE_OK) {
        return sp_error_set(error, reader_status(code), "cannot open the read model %s: %s",
                            model->name, sqlite3_errmsg(reader->db));
    }
    reader->slots[at].used = reader->turn;
    *pinned |= UINT32_C(1) << at;
    return SP_OK;
}

static const struct reader_model *model_of(const struct sqlite_reader *reader, sp_str table) {
    const char *dot = memchr(table.ptr, '.', table.len);
    for (uint32_t i = 0; i < reader->model_count; i++) {
        if (has_table(&reader->models[i], table)) {
            return &reader->models[i];
        }
    }
    if (dot == NULL) {
        return NULL;
    }
    sp_str name = sp_str_of(table.ptr, (size_t)(dot - table.ptr));
    const struct reader_model *model = find_model(reader, name);
    return model != NULL && has_table(model, sp_str_from_byte(table, name.len + 1)) ? model : NULL;
}

static sp_status refuse_table(const struct sqlite_reader *reader, sp_str table,
                              struct sp_error *error) {
    struct sp_sql_nearest nearest;
    sp_sql_nearest_init(&nearest, table);
    for (uint32_t i = 0; i < reader->model_count; i++) {
        const char *at = (const char *)reader->models[i].tables.data;
        const char *end = at + reader->models[i].tables.len;
        for (; at < end; at += strlen(at) + 1) {
            sp_sql_nearest_try(&nearest, sp_str_from(at));
        }
    }
    return sp_sql_nearest_fail(&nearest, error);
}

static bool is_attached(const struct sqlite_reader *reader, const struct reader_model *model) {
    uint32_t at = slot_for(reader, model->name, UINT32_MAX);
    return at != UINT32_MAX && strcmp(reader->slots[at].target, model->target) == 0;
}

bool reader_slot_has(const struct sqlite_reader *reader, uint32_t slot, const char *table) {
    const struct reader_model *model = find_model(reader, sp_str_from(reader->slots[slot].name));
    return model != NULL && table != NULL && has_table(model, sp_str_from(table));
}

static bool is_stale(const struct sqlite_reader *reader, const struct reader_model *model) {
    char target[READER_TARGET_SIZE];
    return !read_target(reader, model->name, target) || strcmp(target, model->target) != 0;
}

sp_status reader_attach_for(struct sqlite_reader *reader, sp_str table, uint32_t *pinned,
                            struct sp_error *error) {
    const struct reader_model *model = model_of(reader, table);
    if (model == NULL || is_attached(reader, model) || is_stale(reader, model)) {
        sp_status status = reader_look_around(reader, error);
        if (status != SP_OK) {
            return status;
        }
        model = model_of(reader, table);
    }
    if (model == NULL || is_attached(reader, model)) {
        return refuse_table(reader, table, error);
    }
    return attach_model(reader, model, pinned, error);
}

sp_status reader_freshen(struct sqlite_reader *reader, uint32_t slots, bool *ret_changed,
                         struct sp_error *error) {
    char target[READER_TARGET_SIZE];
    *ret_changed = false;
    for (uint32_t i = 0; i < reader->slot_count; i++) {
        struct reader_slot *slot = &reader->slots[i];
        if ((slots >> i & 1) == 0 || slot->name[0] == '\0' || slot->attached == reader->turn) {
            continue;
        }
        if (!read_target(reader, slot->name, target)) { /* removed */
            detach(reader, i);
            *ret_changed = true;
        } else if (strcmp(target, slot->target) != 0) {
            char name[SP_SQL_NAME_SIZE];
            sp_status status = reader_look_around(reader, error);
            if (status != SP_OK) {
                return status;
            }
            memcpy(name, slot->name, sizeof(name));
            int code = attach(reader, i, name, target);
            *ret_changed = true;
            if (code != SQLITE_OK) {
                return sp_error_set(error, reader_status(code), "cannot open the read model %s: %s",
                                    name, sqlite3_errmsg(reader->db));
            }
        }
    }
    return SP_OK;
}
