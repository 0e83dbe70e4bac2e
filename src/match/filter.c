/*
 * The common part of both dialects: which one it is, the limits, and small helpers of compiling.
 */
#include "match/filter.h"

#include <stdlib.h>

#include "match/filter_parts.h"

sp_status sp_compile_no_memory(struct sp_compile *c) {
    if (c->filter->pool.full) {
        return sp_error_set(c->error, SP_LIMIT, "filter: takes more than %d bytes",
                            SP_FILTER_MEMORY_MAX);
    }
    return sp_error_set(c->error, SP_NO_MEMORY, "filter: out of memory");
}

sp_status sp_compile_next(struct sp_compile *c, struct sp_json_token *ret_token) {
    struct sp_json_token token = sp_json_next(&c->json);
    if (token.type == SP_JSON_ERROR) {
        sp_status status = sp_json_fail(&c->json, c->error);
        return sp_error_prefix(c->error, status, "filter");
    }
    sp_ensure(token.raw.ptr >= c->json.start && token.raw.ptr <= c->json.end);
    *ret_token = token;
    return SP_OK;
}

sp_status sp_compile_text(struct sp_compile *c, struct sp_json_token token, sp_str *ret_text) {
    sp_require(token.type == SP_JSON_STRING || token.type == SP_JSON_KEY);
    if (!token.escaped) {
        *ret_text = token.raw;
        return SP_OK;
    }
    struct sp_buf buf;
    sp_buf_init(&buf, SP_FILTER_BYTES_MAX);
    sp_json_unescape(&buf, token.raw);
    sp_str text = {.ptr = NULL, .len = 0};
    if (buf.status == SP_OK) {
        text = sp_pool_copy(&c->filter->pool, sp_buf_str(&buf));
    }
    sp_buf_fini(&buf);
    if (text.ptr == NULL) {
        return sp_compile_no_memory(c);
    }
    *ret_text = text;
    return SP_OK;
}

sp_status sp_compile_scalar(struct sp_compile *c, struct sp_json_token token, sp_str what,
                            struct sp_operand *ret_operand) {
    struct sp_value value = sp_value_of_token(token);
    switch (value.type) {
    case SP_TYPE_TEXT: {
        sp_str text = {.ptr = NULL, .len = 0};
        sp_status status = sp_compile_text(c, token, &text);
        *ret_operand = sp_operand_of_text(text);
        return status;
    }
    case SP_TYPE_NUMBER:
        *ret_operand = sp_operand_of_number(token.raw);
        return SP_OK;
    case SP_TYPE_NULL:
    case SP_TYPE_TRUE:
    case SP_TYPE_FALSE:
        *ret_operand = sp_operand_of_word(value.type);
        return SP_OK;
    case SP_TYPE_MISSING:
    case SP_TYPE_OBJECT:
    case SP_TYPE_ARRAY:
        break;
    }
    return sp_error_set_at(c->error, SP_INVALID, sp_compile_at(c, token),
                           "filter: `%.*s`: expected a string, a number, true, false or null",
                           SP_STR_ARG(what));
}

sp_status sp_compile_operand(struct sp_compile *c, struct sp_operand **operands, uint32_t *count,
                             struct sp_operand operand) {
    if (c->operand_count == SP_FILTER_OPERANDS_MAX) {
        return sp_error_set(c->error, SP_LIMIT, "filter: more than %d values to compare with",
                            SP_FILTER_OPERANDS_MAX);
    }
    struct sp_operand *grown = sp_pool_grow(&c->filter->pool, *operands, *count, sizeof(*grown));
    if (grown == NULL) {
        return sp_compile_no_memory(c);
    }
    sp_require(operand.type != SP_TYPE_MISSING && operand.type <= SP_TYPE_TEXT);
    grown[(*count)++] = operand;
    *operands = grown;
    c->operand_count++;
    return SP_OK;
}

/* Which dialect? */

/* The first key of each kind that a filter's branches end in; ptr is NULL while there is none. */
struct shape {
    sp_str array_key;
    sp_str other_key;
    uint64_t other_at;
};

static sp_status read_shape(struct sp_compile *c, struct shape *shape);

/* The alternatives of `$or` are filters again, in either dialect. */
static sp_status read_alternatives(struct sp_compile *c, struct sp_json_token key,
                                   struct shape *shape) {
    struct sp_json_token token;
    sp_require(key.type == SP_JSON_KEY);
    for (;;) {
        sp_status status = sp_compile_next(c, &token);
        if (status != SP_OK || token.type == SP_JSON_ARRAY_END) {
            return status;
        }
        if (token.type == SP_JSON_OBJECT) {
            status = read_shape(c, shape);
        } else {
            shape->other_key = key.raw;
            shape->other_at = sp_compile_at(c, key);
            (void)sp_json_skip(&c->json, token);
        }
        if (status != SP_OK) {
            return status;
        }
    }
}

static sp_status read_member(struct sp_compile *c, struct sp_json_token key, struct shape *shape) {
    struct sp_json_token token;
    sp_require(key.type == SP_JSON_KEY);
    sp_status status = sp_compile_next(c, &token);
    if (status != SP_OK) {
        return status;
    }
    bool is_operator = key.raw.len > 0 && key.raw.ptr[0] == '$';
    if (token.type == SP_JSON_ARRAY && sp_str_eq(key.raw, SP_STR("$or"))) {
        return read_alternatives(c, key, shape);
    }
    if (token.type == SP_JSON_OBJECT && !is_operator) {
        return read_shape(c, shape);
    }
    if (token.type == SP_JSON_ARRAY && !is_operator) {
        shape->array_key = key.raw;
    } else if (shape->other_key.ptr == NULL) {
        shape->other_key = key.raw;
        shape->other_at = sp_compile_at(c, key);
    }
    (void)sp_json_skip(&c->json, token);
    return SP_OK;
}

static sp_status read_shape(struct sp_compile *c, struct shape *shape) {
    if (c->depth == SP_FILTER_DEPTH_MAX) {
        return sp_error_set_at(c->error, SP_LIMIT, (uint64_t)(c->json.at - c->json.start),
                               "filter: more than %d levels", SP_FILTER_DEPTH_MAX);
    }
    c->depth++;
    for (;;) {
        struct sp_json_token key;
        sp_status status = sp_compile_next(c, &key);
        if (status == SP_OK && key.type == SP_JSON_OBJECT_END) {
            sp_invariant(c->depth > 0);
            c->depth--;
            return SP_OK;
        }
        status = status == SP_OK ? read_member(c, key, shape) : status;
        if (status != SP_OK) {
            return status;
        }
    }
}

/* Opens the scanner on the filter's text and reads the bracket of the outermost object. */
static sp_status open_object(struct sp_compile *c, sp_str text) {
    struct sp_json_token token;
    sp_json_init(&c->json, text);
    sp_status status = sp_compile_next(c, &token);
    if (status == SP_OK && token.type != SP_JSON_OBJECT) {
        return sp_error_set_at(c->error, SP_INVALID, sp_compile_at(c, token),
                               "filter: expected an object");
    }
    return status;
}

static sp_status find_dialect(struct sp_compile *c, sp_str text, bool *ret_eventbridge) {
    struct shape shape = {.array_key = {.ptr = NULL}};
    struct sp_json_token token;
    sp_status status = open_object(c, text);
    status = status == SP_OK ? read_shape(c, &shape) : status;
    /* After the last bracket only the end may come. */
    status = status == SP_OK ? sp_compile_next(c, &token) : status;
    if (status != SP_OK) {
        return status;
    }
    if (shape.array_key.ptr != NULL && shape.other_key.ptr != NULL) {
        return sp_error_set_at(
            c->error, SP_INVALID, shape.other_at,
            "filter: `%.*s` has an array, as in an EventBridge pattern, but `%.*s` has none; "
            "a list of values is {\"$in\": […]} in spoor's own dialect",
            SP_STR_ARG(shape.array_key), SP_STR_ARG(shape.other_key));
    }
    *ret_eventbridge = shape.array_key.ptr != NULL;
    return SP_OK;
}

static sp_status compile(struct sp_compile *c, sp_str json) {
    sp_str text = sp_pool_copy(&c->filter->pool, json);
    if (text.ptr == NULL) {
        return sp_compile_no_memory(c);
    }
    bool eventbridge = false;
    sp_status status = find_dialect(c, text, &eventbridge);
    status = status == SP_OK ? open_object(c, text) : status;
    if (status != SP_OK) {
        return status;
    }
    sp_invariant(c->depth == 0);
    return eventbridge ? sp_eventbridge_compile(c) : sp_spoor_compile(c);
}

sp_status sp_filter_compile(sp_str json, struct sp_filter **ret_filter, struct sp_error *error) {
    if (json.len > SP_FILTER_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "filter: %zu bytes, at most %d are allowed", json.len,
                            SP_FILTER_BYTES_MAX);
    }
    struct sp_filter *filter = calloc(1, sizeof(*filter));
    if (filter == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "filter: out of memory");
    }
    sp_pool_init(&filter->pool, SP_FILTER_MEMORY_MAX);
    sp_paths_init(&filter->paths, &filter->pool);
    struct sp_compile c = {.filter = filter, .error = error};
    sp_status status = compile(&c, json);
    if (status != SP_OK) {
        sp_ensure(error == NULL || error->status == status);
        sp_filter_free(filter);
        return status;
    }
    *ret_filter = filter;
    return SP_OK;
}

void sp_filter_free(struct sp_filter *filter) {
    if (filter == NULL) {
        return;
    }
    for (uint16_t i = 0; i < filter->test_count; i++) {
        sp_regex_free(filter->tests[i].regex);
    }
    sp_pool_fini(&filter->pool);
    free(filter);
}

bool sp_filter_is_eventbridge(const struct sp_filter *filter) {
    return filter->eventbridge != NULL;
}

bool sp_filter_match(const struct sp_filter *filter, const struct sp_event *event) {
    sp_require(filter != NULL && event != NULL);
    return filter->eventbridge != NULL ? sp_eventbridge_match(filter, event)
                                       : sp_spoor_match(filter, event);
}
