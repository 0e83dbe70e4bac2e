#include "project/sql_text.h"

#include <stdio.h>

#include "base/suggest.h"

void sp_sql_place(sp_str text, size_t offset, uint32_t *ret_line, uint32_t *ret_column) {
    uint32_t line = 1;
    size_t begin = 0;
    for (size_t i = 0; i < offset && i < text.len; i++) {
        if (text.ptr[i] == '\n') {
            line++;
            begin = i + 1;
        }
    }
    *ret_line = line;
    *ret_column = (uint32_t)((offset < text.len ? offset : text.len) - begin + 1);
}

sp_status sp_sql_error_at(struct sp_error *error, sp_str text, size_t offset) {
    uint32_t line = 0;
    uint32_t column = 0;
    sp_status status = error->status;
    sp_sql_place(text, offset, &line, &column);
    status = sp_error_prefix(error, status, "line %u, column %u", line, column);
    error->offset = offset;
    return status;
}

/* ---- names ----------------------------------------------------------------------------------- */

void sp_sql_nearest_init(struct sp_sql_nearest *nearest, sp_str wrong) {
    *nearest = (struct sp_sql_nearest){.wrong = wrong};
}

/* A name that begins as the wrong one, or contains it, is nearer than its length tells. */
static unsigned distance_of(sp_str wrong, sp_str name) {
    unsigned distance = sp_suggest_distance(wrong, name);
    bool begins = wrong.len >= 3 && sp_str_starts_with(name, wrong);
    return begins && distance > 1 ? 1 : distance;
}

void sp_sql_nearest_try(struct sp_sql_nearest *nearest, sp_str name) {
    unsigned distance = distance_of(nearest->wrong, name);
    uint32_t at = nearest->count;
    nearest->shown++;
    while (at > 0 && nearest->names[at - 1].distance > distance) {
        at--;
    }
    if (at == SP_SQL_NEAREST_MAX || name.len >= SP_SQL_NAME_SIZE) {
        return;
    }
    if (nearest->count < SP_SQL_NEAREST_MAX) {
        nearest->count++;
    }
    for (uint32_t i = nearest->count - 1; i > at; i--) {
        nearest->names[i] = nearest->names[i - 1];
    }
    memcpy(nearest->names[at].name, name.ptr, name.len);
    nearest->names[at].name[name.len] = '\0';
    nearest->names[at].distance = distance;
}

sp_status sp_sql_nearest_fail(const struct sp_sql_nearest *nearest, struct sp_error *error) {
    char list[SP_SQL_NEAREST_MAX * (SP_SQL_NAME_SIZE + 2)] = "";
    size_t len = 0;
    for (uint32_t i = 0; i < nearest->count; i++) {
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i > 0 ? ", " : "",
                                nearest->names[i].name);
    }
    if (nearest->shown == 0) {
        return sp_error_set(error, SP_NOT_FOUND,
                            "there is no table '%.*s': no read model has any yet",
                            SP_STR_ARG(nearest->wrong));
    }
    return sp_error_set(error, SP_NOT_FOUND, "there is no table '%.*s'; %s %s%s",
                        SP_STR_ARG(nearest->wrong),
                        nearest->shown > nearest->count ? "the nearest are" : "there are", list,
                        nearest->shown > nearest->count ? ", …" : "");
}

/* ---- parameters ------------------------------------------------------------------------------ */

static sp_status match_by_order(const struct sp_sql *sql, uint32_t count, uint32_t *ret_from,
                                struct sp_error *error) {
    if (sql->param_count != count) {
        return sp_error_set(error, SP_INVALID, "the SQL has %u parameters, and %u were given",
                            count, sql->param_count);
    }
    for (uint32_t i = 0; i < count; i++) {
        ret_from[i] = i;
    }
    return SP_OK;
}

static sp_status find_param(const struct sp_sql *sql, sp_str name, uint32_t *ret_at,
                            struct sp_error *error) {
    for (uint32_t i = 0; i < sql->param_count; i++) {
        if (sp_str_eq(sql->params[i].name, name)) {
            *ret_at = i;
            return SP_OK;
        }
    }
    return sp_error_set(error, SP_INVALID, "parameter :%.*s has no value", SP_STR_ARG(name));
}

/* Every one that was given must be asked for. */
static sp_status check_given(const struct sp_sql *sql, const sp_str *names, uint32_t count,
                             struct sp_error *error) {
    for (uint32_t i = 0; i < sql->param_count; i++) {
        sp_str name = sql->params[i].name;
        bool known = false;
        for (uint32_t at = 0; at < count && !known; at++) {
            known = sp_str_eq(names[at], name);
        }
        if (!known) {
            return sp_error_set(error, SP_INVALID, "the SQL has no parameter :%.*s",
                                SP_STR_ARG(name));
        }
        for (uint32_t before = 0; before < i; before++) {
            if (sp_str_eq(sql->params[before].name, name)) {
                return sp_error_set(error, SP_INVALID, "parameter :%.*s was given twice",
                                    SP_STR_ARG(name));
            }
        }
    }
    return SP_OK;
}

sp_status sp_sql_params_match(const struct sp_sql *sql, const sp_str *names, uint32_t count,
                              uint32_t *ret_from, struct sp_error *error) {
    uint32_t named = 0;
    for (uint32_t i = 0; i < sql->param_count; i++) {
        named += sql->params[i].name.len > 0;
    }
    if (named == 0 && (sql->param_count > 0 || count == 0)) {
        return match_by_order(sql, count, ret_from, error);
    }
    if (named != sql->param_count) {
        return sp_error_set(error, SP_INVALID,
                            "parameters are given all by name or all by order, not mixed");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (names[i].len == 0) {
            return sp_error_set(error, SP_INVALID, "parameter %u of the SQL has no %s", i + 1,
                                named > 0 ? "name: give all of them by order" : "value");
        }
        sp_status status = find_param(sql, names[i], &ret_from[i], error);
        if (status != SP_OK) {
            return status;
        }
    }
    return check_given(sql, names, count, error);
}
