#include "server/http_body.h"

#include <stdio.h>

#include "proto/stream_id.h"
#include "server/command.h"

enum { SHOWN_BYTES_MAX = 64 };

static sp_status expected(const struct sp_http_value *value, const char *name, const char *what,
                          struct sp_error *error) {
    return sp_error_set(error, SP_INVALID, "%s: expected %s, not %s", name, what,
                        sp_json_type_name(value->token.type));
}

/* ---- members --------------------------------------------------------------------------------- */

static sp_status refuse_member(struct sp_json_token key, const char *const *names,
                               struct sp_error *error) {
    char all[256] = "";
    size_t len = 0;
    for (size_t i = 0; names[i] != NULL && len < sizeof(all); i++) {
        len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    int shown = key.raw.len > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX : (int)key.raw.len;
    return sp_error_set(error, SP_INVALID, "unknown member '%.*s', expected %s", shown,
                        shown > 0 ? key.raw.ptr : "", all);
}

static sp_status read_member(struct sp_json *json, struct sp_json_token key,
                             const char *const *names, struct sp_http_value *values,
                             struct sp_error *error) {
    size_t i = 0;
    while (names[i] != NULL && !sp_json_equal(key, sp_str_from(names[i]))) {
        i++;
    }
    if (names[i] == NULL) {
        return refuse_member(key, names, error);
    }
    if (values[i].token.type != SP_JSON_ERROR) {
        return sp_error_set(error, SP_INVALID, "%s: is there twice", names[i]);
    }
    values[i].token = sp_json_next(json);
    if (values[i].token.type == SP_JSON_ERROR) {
        return sp_json_fail(json, error);
    }
    values[i].raw = sp_json_skip(json, values[i].token);
    values[i].given = values[i].token.type != SP_JSON_NULL;
    return json->problem == NULL ? SP_OK : sp_json_fail(json, error);
}

static sp_status read_object(struct sp_json *json, const char *const *names,
                             struct sp_http_value *values, struct sp_error *error) {
    struct sp_json_token token = sp_json_next(json);
    if (token.type == SP_JSON_ERROR) {
        return sp_json_fail(json, error);
    }
    if (token.type != SP_JSON_OBJECT) {
        return sp_error_set(error, SP_INVALID, "expected an object, not %s",
                            sp_json_type_name(token.type));
    }
    sp_status status = SP_OK;
    for (token = sp_json_next(json); status == SP_OK && token.type == SP_JSON_KEY;
         token = sp_json_next(json)) {
        status = read_member(json, token, names, values, error);
        if (status != SP_OK) {
            return status;
        }
    }
    return token.type == SP_JSON_OBJECT_END && sp_json_next(json).type == SP_JSON_END
               ? SP_OK
               : sp_json_fail(json, error);
}

sp_status sp_http_body_members(const struct sp_http_request *request, const char *const *names,
                               struct sp_http_value *ret_values, struct sp_error *error) {
    struct sp_json json;
    for (size_t i = 0; names[i] != NULL; i++) {
        ret_values[i] = (struct sp_http_value){.given = false};
    }
    if (request->body.len == 0) {
        return SP_OK;
    }
    sp_json_init(&json, request->body);
    sp_status status = read_object(&json, names, ret_values, error);
    return status == SP_OK ? SP_OK : sp_error_prefix(error, status, "body");
}

/* ---- values ---------------------------------------------------------------------------------- */

sp_status sp_http_value_needed(const struct sp_http_value *value, const char *name,
                               struct sp_error *error) {
    return value->given ? SP_OK : sp_error_set(error, SP_INVALID, "body: %s is needed", name);
}

sp_status sp_http_value_text(const struct sp_http_value *value, const char *name, size_t bytes_max,
                             struct sp_buf *to, sp_str *ret_text, struct sp_error *error) {
    if (!value->given) {
        return SP_OK;
    }
    if (value->token.type != SP_JSON_STRING) {
        return expected(value, name, "a string", error);
    }
    size_t from = to->len;
    sp_json_unescape(to, value->token.raw);
    if (to->status != SP_OK) {
        return sp_error_set(error, to->status, "%s: %s", name, sp_status_text(to->status));
    }
    if (to->len - from > bytes_max) {
        return sp_error_set(error, SP_LIMIT, "%s: more than %zu bytes", name, bytes_max);
    }
    *ret_text = to->len > from ? sp_str_of(to->data + from, to->len - from) : SP_STR("");
    return SP_OK;
}

sp_status sp_http_value_number(const struct sp_http_value *value, const char *name, uint64_t least,
                               uint64_t most, uint64_t *ret_number, struct sp_error *error) {
    int64_t number = 0;
    if (!value->given) {
        return SP_OK;
    }
    bool whole = value->token.type == SP_JSON_NUMBER && sp_word_i64(value->token.raw, &number);
    if (!whole || number < 0 || (uint64_t)number < least || (uint64_t)number > most) {
        return sp_error_set(error, SP_INVALID, "%s: expected a whole number from %llu to %llu",
                            name, (unsigned long long)least, (unsigned long long)most);
    }
    *ret_number = (uint64_t)number;
    return SP_OK;
}

sp_status sp_http_value_bool(const struct sp_http_value *value, const char *name, bool *ret_yes,
                             struct sp_error *error) {
    if (!value->given) {
        return SP_OK;
    }
    if (value->token.type != SP_JSON_TRUE && value->token.type != SP_JSON_FALSE) {
        return expected(value, name, "true or false", error);
    }
    *ret_yes = value->token.type == SP_JSON_TRUE;
    return SP_OK;
}

static sp_status read_id(struct sp_json_token token, const char *name, uint32_t at,
                         struct sp_buf *to, struct sp_error *error) {
    struct sp_entry_id id;
    if (token.type != SP_JSON_STRING || token.escaped || !sp_stream_id_parse(token.raw, 0, &id)) {
        return sp_error_set(error, SP_INVALID,
                            "%s[%u]: expected an entry id as \"1700000000000-0\"", name, at);
    }
    sp_buf_add(to, &id, sizeof(id));
    return to->status == SP_OK ? SP_OK : sp_error_set(error, to->status, "%s", name);
}

sp_status sp_http_value_ids(const struct sp_http_value *value, const char *name, uint32_t most,
                            struct sp_buf *to, uint32_t *ret_count, struct sp_error *error) {
    struct sp_json json;
    uint32_t count = 0;
    sp_status status = SP_OK;
    if (!value->given) {
        return SP_OK;
    }
    if (value->token.type != SP_JSON_ARRAY) {
        return expected(value, name, "an array of entry ids", error);
    }
    sp_json_init(&json, value->raw);
    (void)sp_json_next(&json);
    for (struct sp_json_token token = sp_json_next(&json);
         status == SP_OK && token.type != SP_JSON_ARRAY_END; token = sp_json_next(&json)) {
        if (count == most) {
            return sp_error_set(error, SP_LIMIT, "%s: more than %u of them", name, most);
        }
        status = read_id(token, name, count, to, error);
        count++;
    }
    *ret_count = status == SP_OK ? count : *ret_count;
    return status;
}
