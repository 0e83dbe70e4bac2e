/*
 * Compiling the spoor dialect.
 *
 * The filter is read once, by recursive descent as deep as its limit allows, into expressions: a
 * test, or the conjunction, disjunction or negation of expressions. Then each test is told which
 * one comes next if it holds and if it does not. That graph needs no stack and no operator to be
 * evaluated. Tests on attributes are put before those on data, so that data is read only when it
 * decides.
 */
#include "base/time.h"
#include "match/filter_parts.h"

enum expr_kind { EXPR_TEST, EXPR_AND, EXPR_OR, EXPR_NOT };

/* The parts of an AND or OR form two lists, each from the last part to the first. */
struct sp_expr {
    enum expr_kind kind;
    bool reads;     /* a JSON text of the event has to be read for it */
    uint16_t test;  /* TEST */
    uint16_t cheap; /* the last part that reads nothing */
    uint16_t dear;  /* the last part that reads */
    uint16_t prev;  /* in the list that this one is in */
};

enum { EXPR_NONE = 0xffff, EXPRS_MAX = 4 * SP_FILTER_TESTS_MAX };

enum operator_kind {
    OP_EQ,
    OP_NE,
    OP_GT,
    OP_GTE,
    OP_LT,
    OP_LTE,
    OP_IN,
    OP_NIN,
    OP_EXISTS,
    OP_PREFIX,
    OP_SUFFIX,
    OP_CONTAINS,
    OP_REGEX,
    OP_AND,
    OP_OR,
    OP_NOT,
    OP_UNKNOWN,
};

static const char *const OPERATORS[OP_UNKNOWN] = {
    "$eq",     "$ne",     "$gt",     "$gte",      "$lt",    "$lte", "$in", "$nin",
    "$exists", "$prefix", "$suffix", "$contains", "$regex", "$and", "$or", "$not",
};

static enum operator_kind find_operator(sp_str name) {
    sp_require(name.ptr != NULL || name.len == 0);
    for (int i = 0; i < OP_UNKNOWN; i++) {
        if (sp_str_eq(name, sp_str_from(OPERATORS[i]))) {
            return (enum operator_kind)i;
        }
    }
    return OP_UNKNOWN;
}

/* What is being read: a filter, whose keys are paths, or the operators on one path. */
struct subject {
    uint16_t path;
    sp_str name; /* as written; ptr is NULL for a filter */
};

#define FAIL_AT(c, token, ...)                                                                     \
    sp_error_set_at((c)->error, SP_INVALID, sp_compile_at((c), (token)), __VA_ARGS__)

/* Expressions. */

static sp_status expr_new(struct sp_compile *c, enum expr_kind kind, uint16_t *ret_expr) {
    if (c->expr_count == EXPRS_MAX) {
        return sp_error_set(c->error, SP_LIMIT, "filter: more than %d conditions", EXPRS_MAX);
    }
    struct sp_expr *exprs = sp_pool_grow(&c->filter->pool, c->exprs, c->expr_count, sizeof(*exprs));
    if (exprs == NULL) {
        return sp_compile_no_memory(c);
    }
    c->exprs = exprs;
    *ret_expr = c->expr_count++;
    exprs[*ret_expr] =
        (struct sp_expr){.kind = kind, .cheap = EXPR_NONE, .dear = EXPR_NONE, .prev = EXPR_NONE};
    return SP_OK;
}

static void expr_append(struct sp_compile *c, uint16_t to, uint16_t part) {
    sp_require(to < c->expr_count && part < c->expr_count && to != part);
    struct sp_expr *list = &c->exprs[to];
    sp_require(list->kind != EXPR_TEST && c->exprs[part].prev == EXPR_NONE);
    uint16_t *last = c->exprs[part].reads ? &list->dear : &list->cheap;
    c->exprs[part].prev = *last;
    *last = part;
    list->reads |= c->exprs[part].reads;
}

static sp_status expr_negate(struct sp_compile *c, uint16_t *expr) {
    uint16_t inner = *expr;
    sp_require(inner < c->expr_count);
    sp_status status = expr_new(c, EXPR_NOT, expr);
    if (status == SP_OK) {
        expr_append(c, *expr, inner);
    }
    return status;
}

/* Adds a test and an expression that is this test. */
static sp_status test_new(struct sp_compile *c, enum sp_test_kind kind, uint16_t path,
                          struct sp_test **ret_test, uint16_t *ret_expr) {
    struct sp_filter *filter = c->filter;
    sp_require(path < filter->paths.path_count);
    if (filter->test_count == SP_FILTER_TESTS_MAX) {
        return sp_error_set(c->error, SP_LIMIT, "filter: more than %d conditions",
                            SP_FILTER_TESTS_MAX);
    }
    struct sp_test *tests =
        sp_pool_grow(&filter->pool, filter->tests, filter->test_count, sizeof(*tests));
    if (tests == NULL) {
        return sp_compile_no_memory(c);
    }
    filter->tests = tests;
    sp_status status = expr_new(c, EXPR_TEST, ret_expr);
    if (status != SP_OK) {
        return status;
    }
    struct sp_expr *expr = &c->exprs[*ret_expr];
    expr->test = filter->test_count++;
    expr->reads = filter->paths.paths[path].kind == SP_PATH_TREE;
    *ret_test = &tests[expr->test];
    **ret_test = (struct sp_test){.kind = kind, .path = path};
    return SP_OK;
}

/* Tells every test of the expression where to go; returns the first one to ask. */
static uint16_t link_expr(struct sp_compile *c, uint16_t number, uint16_t yes, uint16_t no) {
    sp_require(number < c->expr_count);
    const struct sp_expr *expr = &c->exprs[number];
    if (expr->kind == EXPR_TEST) {
        c->filter->tests[expr->test].yes = yes;
        c->filter->tests[expr->test].no = no;
        return expr->test;
    }
    if (expr->kind == EXPR_NOT) {
        return link_expr(c, expr->reads ? expr->dear : expr->cheap, no, yes);
    }
    bool is_and = expr->kind == EXPR_AND;
    uint16_t entry = is_and ? yes : no;
    uint16_t lists[] = {expr->dear, expr->cheap};
    for (int i = 0; i < 2; i++) {
        for (uint16_t part = lists[i]; part != EXPR_NONE; part = c->exprs[part].prev) {
            entry = is_and ? link_expr(c, part, entry, no) : link_expr(c, part, yes, entry);
        }
    }
    return entry;
}

/* Operators. */

static sp_status fail_expected(struct sp_compile *c, struct sp_json_token token,
                               const struct subject *on, enum operator_kind op,
                               const char *expected) {
    if (on->name.ptr == NULL) {
        return FAIL_AT(c, token, "filter: %s: expected %s", OPERATORS[op], expected);
    }
    return FAIL_AT(c, token, "filter: `%.*s`: %s: expected %s", SP_STR_ARG(on->name), OPERATORS[op],
                   expected);
}

static enum sp_path_kind path_kind(const struct sp_compile *c, uint16_t path) {
    sp_require(path < c->filter->paths.path_count);
    return c->filter->paths.paths[path].kind;
}

static bool is_schema_version(const struct sp_compile *c, uint16_t path) {
    const struct sp_path *p = &c->filter->paths.paths[path];
    return (p->kind == SP_PATH_ATTRIBUTE || p->kind == SP_PATH_ALIAS) &&
           p->attr == SP_ATTR_SCHEMAVERSION;
}

/*
 * A recorded time is compared in the one form that the server writes: its bytes sort as times do.
 */
static sp_status normalize_time(struct sp_compile *c, struct sp_json_token token,
                                const struct subject *on, enum operator_kind op,
                                struct sp_operand *operand) {
    uint64_t time_us = 0;
    if (operand->type != SP_TYPE_TEXT ||
        sp_time_parse(operand->text, true, &time_us, NULL) != SP_OK) {
        return fail_expected(c, token, on, op, "a time such as \"2026-11-20T05:49:12Z\"");
    }
    char text[SP_TIME_TEXT_SIZE];
    sp_time_format(time_us, text);
    sp_str copy = sp_pool_copy(&c->filter->pool, sp_str_from(text));
    if (copy.ptr == NULL) {
        return sp_compile_no_memory(c);
    }
    *operand = sp_operand_of_text(copy);
    return SP_OK;
}

/*
 * An entry id is compared as its two numbers; without the second it stands for all of its
 * millisecond.
 */
static sp_status normalize_entryid(struct sp_compile *c, struct sp_json_token token,
                                   const struct subject *on, enum operator_kind op,
                                   struct sp_operand *operand) {
    uint64_t ms = 0;
    uint32_t seq = 0;
    bool has_seq = false;
    if (operand->type != SP_TYPE_TEXT ||
        sp_entryid_parse(operand->text, &ms, &seq, &has_seq, NULL) != SP_OK) {
        return fail_expected(c, token, on, op, "an entry id such as \"1700000000000-0\"");
    }
    if (!has_seq && (op == OP_GT || op == OP_LTE)) {
        seq = UINT32_MAX;
    }
    char text[SP_ENTRYKEY_BYTES];
    sp_entrykey_format(ms, seq, text);
    sp_str copy = sp_pool_copy(&c->filter->pool, sp_str_of(text, sizeof(text)));
    if (copy.ptr == NULL) {
        return sp_compile_no_memory(c);
    }
    *operand = sp_operand_of_text(copy);
    return SP_OK;
}

/* Operators that look at a part of the text only. */
static bool is_part(enum operator_kind op) {
    return op == OP_PREFIX || op == OP_SUFFIX || op == OP_CONTAINS;
}

/* Adds a value of `$eq` or `$in`; for a word on a scale also the others of its rank. */
static sp_status add_equal(struct sp_compile *c, const struct subject *on, enum operator_kind op,
                           struct sp_json_token token, struct sp_operand **operands,
                           uint32_t *count) {
    struct sp_operand operand;
    sp_status status = sp_compile_scalar(c, token, on->name, &operand);
    bool is_time = path_kind(c, on->path) == SP_PATH_RECORDEDTIME && !is_part(op);
    if (status == SP_OK && is_time) {
        status = normalize_time(c, token, on, op, &operand);
    }
    if (status != SP_OK || operand.type != SP_TYPE_TEXT) {
        return status == SP_OK ? sp_compile_operand(c, operands, count, operand) : status;
    }
    sp_invariant(operand.text.ptr != NULL || operand.text.len == 0);
    sp_str words[SP_SCALE_SYNONYMS_MAX];
    uint32_t word_count = sp_operand_synonyms(&operand, words);
    for (uint32_t i = 0; i < word_count && status == SP_OK; i++) {
        status = sp_compile_operand(c, operands, count, sp_operand_of_text(words[i]));
    }
    return status;
}

static sp_status add_equal_test(struct sp_compile *c, const struct subject *on,
                                struct sp_operand *operands, uint32_t count, uint16_t *ret_expr) {
    sp_require((operands == NULL) == (count == 0));
    struct sp_test *test = NULL;
    sp_status status = test_new(c, SP_TEST_EQUAL, on->path, &test, ret_expr);
    if (status == SP_OK) {
        test->operands = operands;
        test->operand_count = count;
        for (uint32_t i = 0; i < count; i++) {
            test->reads_number |=
                operands[i].type == SP_TYPE_NUMBER && is_schema_version(c, on->path);
        }
    }
    return status;
}

static sp_status read_equal(struct sp_compile *c, const struct subject *on, enum operator_kind op,
                            struct sp_json_token token, uint16_t *ret_expr) {
    struct sp_operand *operands = NULL;
    uint32_t count = 0;
    sp_status status = add_equal(c, on, op, token, &operands, &count);
    return status == SP_OK ? add_equal_test(c, on, operands, count, ret_expr) : status;
}

static sp_status read_in(struct sp_compile *c, const struct subject *on, enum operator_kind op,
                         struct sp_json_token token, uint16_t *ret_expr) {
    struct sp_operand *operands = NULL;
    uint32_t count = 0;
    if (token.type != SP_JSON_ARRAY) {
        return fail_expected(c, token, on, op, "an array of values");
    }
    for (;;) {
        sp_status status = sp_compile_next(c, &token);
        if (status == SP_OK && token.type == SP_JSON_ARRAY_END) {
            return add_equal_test(c, on, operands, count, ret_expr);
        }
        status = status == SP_OK ? add_equal(c, on, op, token, &operands, &count) : status;
        if (status != SP_OK) {
            return status;
        }
    }
}

static uint8_t orders_of(enum operator_kind op) {
    sp_require(op == OP_GT || op == OP_GTE || op == OP_LT || op == OP_LTE);
    return op == OP_GT    ? SP_ORDER_GREATER
           : op == OP_GTE ? SP_ORDER_GREATER | SP_ORDER_EQUAL
           : op == OP_LT  ? SP_ORDER_LESS
                          : SP_ORDER_LESS | SP_ORDER_EQUAL;
}

static sp_status read_order(struct sp_compile *c, const struct subject *on, enum operator_kind op,
                            struct sp_json_token token, uint16_t *ret_expr) {
    if (token.type != SP_JSON_STRING && token.type != SP_JSON_NUMBER) {
        return fail_expected(c, token, on, op, "a number or a string");
    }
    struct sp_operand operand;
    uint16_t path = on->path;
    sp_status status = sp_compile_scalar(c, token, on->name, &operand);
    if (status == SP_OK && path_kind(c, path) == SP_PATH_RECORDEDTIME) {
        status = normalize_time(c, token, on, op, &operand);
    } else if (status == SP_OK && path_kind(c, path) == SP_PATH_ENTRYID) {
        status = normalize_entryid(c, token, on, op, &operand);
        status =
            status == SP_OK ? sp_paths_add_entrykey(&c->filter->paths, &path, c->error) : status;
    }
    struct sp_test *test = NULL;
    struct sp_operand *operands = NULL;
    uint32_t count = 0;
    status = status == SP_OK ? sp_compile_operand(c, &operands, &count, operand) : status;
    status = status == SP_OK ? test_new(c, SP_TEST_ORDER, path, &test, ret_expr) : status;
    if (status == SP_OK) {
        sp_invariant(count == 1);
        test->operands = operands;
        test->operand_count = count;
        test->orders = orders_of(op);
        test->reads_number = operand.type == SP_TYPE_NUMBER && is_schema_version(c, path);
    }
    return status;
}

static sp_status read_exists(struct sp_compile *c, const struct subject *on,
                             struct sp_json_token token, uint16_t *ret_expr) {
    if (token.type != SP_JSON_TRUE && token.type != SP_JSON_FALSE) {
        return fail_expected(c, token, on, OP_EXISTS, "true or false");
    }
    struct sp_test *test = NULL;
    sp_status status = test_new(c, SP_TEST_EXISTS, on->path, &test, ret_expr);
    if (status == SP_OK && token.type == SP_JSON_FALSE) {
        status = expr_negate(c, ret_expr);
    }
    return status;
}

/* $prefix, $suffix and $contains. */
static sp_status read_part(struct sp_compile *c, const struct subject *on, enum operator_kind op,
                           struct sp_json_token token, uint16_t *ret_expr) {
    if (op != OP_CONTAINS && token.type != SP_JSON_STRING) {
        return fail_expected(c, token, on, op, "a string");
    }
    struct sp_operand *operands = NULL;
    uint32_t count = 0;
    sp_str text = {.ptr = NULL, .len = 0};
    sp_status status = add_equal(c, on, op, token, &operands, &count);
    if (status == SP_OK && token.type == SP_JSON_STRING) {
        status = sp_compile_text(c, token, &text);
    }
    struct sp_glob glob = {.count = 0};
    if (status == SP_OK && sp_glob_make(&c->filter->pool, &text, 1, op != OP_PREFIX,
                                        op != OP_SUFFIX, false, &glob) != SP_OK) {
        status = sp_compile_no_memory(c);
    }
    struct sp_test *test = NULL;
    enum sp_test_kind kind = op == OP_CONTAINS ? SP_TEST_CONTAINS : SP_TEST_GLOB;
    status = status == SP_OK ? test_new(c, kind, on->path, &test, ret_expr) : status;
    if (status == SP_OK) {
        sp_invariant(count > 0);
        test->glob = glob;
        test->operands = operands;
        test->operand_count = count;
    }
    return status;
}

static sp_status read_regex(struct sp_compile *c, const struct subject *on,
                            struct sp_json_token token, uint16_t *ret_expr) {
    if (token.type != SP_JSON_STRING) {
        return fail_expected(c, token, on, OP_REGEX, "a string");
    }
    sp_require(on->name.ptr != NULL);
    sp_str text = {.ptr = NULL, .len = 0};
    struct sp_test *test = NULL;
    sp_status status = sp_compile_text(c, token, &text);
    status = status == SP_OK ? test_new(c, SP_TEST_REGEX, on->path, &test, ret_expr) : status;
    if (status != SP_OK) {
        return status;
    }
    status = sp_regex_compile(text, &test->regex, c->error);
    if (status != SP_OK) {
        (void)sp_error_prefix(c->error, status, "filter: `%.*s`: $regex", SP_STR_ARG(on->name));
        if (c->error != NULL) {
            /* Exact where the expression has no escapes; else the place of its string. */
            c->error->offset = sp_compile_at(c, token) + (token.escaped ? 0 : c->error->offset + 1);
        }
    }
    return status;
}

/* Objects and lists of them. */

static sp_status read_object(struct sp_compile *c, const struct subject *on, uint16_t *ret_expr);

/* $and and $or: an array of filters, or of operators where they stand at a path. */
static sp_status read_list(struct sp_compile *c, const struct subject *on, enum operator_kind op,
                           struct sp_json_token token, uint16_t *ret_expr) {
    if (token.type != SP_JSON_ARRAY) {
        return fail_expected(c, token, on, op, "an array of objects");
    }
    sp_require(op == OP_AND || op == OP_OR);
    struct sp_json_token start = token;
    sp_status status = expr_new(c, op == OP_AND ? EXPR_AND : EXPR_OR, ret_expr);
    uint32_t count = 0;
    while (status == SP_OK) {
        status = sp_compile_next(c, &token);
        if (status == SP_OK && token.type == SP_JSON_ARRAY_END) {
            return count > 0 ? SP_OK : fail_expected(c, start, on, op, "at least one object");
        }
        if (status == SP_OK && token.type != SP_JSON_OBJECT) {
            return fail_expected(c, token, on, op, "an array of objects");
        }
        uint16_t part = EXPR_NONE;
        status = status == SP_OK ? read_object(c, on, &part) : status;
        if (status == SP_OK) {
            expr_append(c, *ret_expr, part);
            count++;
        }
    }
    return status;
}

static sp_status read_not(struct sp_compile *c, const struct subject *on,
                          struct sp_json_token token, uint16_t *ret_expr) {
    if (token.type != SP_JSON_OBJECT) {
        return fail_expected(c, token, on, OP_NOT,
                             on->name.ptr != NULL ? "an object of operators" : "a filter");
    }
    sp_status status = read_object(c, on, ret_expr);
    return status == SP_OK ? expr_negate(c, ret_expr) : status;
}

static sp_status read_operator(struct sp_compile *c, const struct subject *on,
                               enum operator_kind op, struct sp_json_token token,
                               uint16_t *ret_expr) {
    sp_status status = SP_OK;
    switch (op) {
    case OP_EQ:
    case OP_NE:
        status = read_equal(c, on, op, token, ret_expr);
        break;
    case OP_IN:
    case OP_NIN:
        status = read_in(c, on, op, token, ret_expr);
        break;
    case OP_GT:
    case OP_GTE:
    case OP_LT:
    case OP_LTE:
        return read_order(c, on, op, token, ret_expr);
    case OP_EXISTS:
        return read_exists(c, on, token, ret_expr);
    case OP_PREFIX:
    case OP_SUFFIX:
    case OP_CONTAINS:
        return read_part(c, on, op, token, ret_expr);
    case OP_REGEX:
        return read_regex(c, on, token, ret_expr);
    case OP_AND:
    case OP_OR:
        return read_list(c, on, op, token, ret_expr);
    case OP_NOT:
        return read_not(c, on, token, ret_expr);
    case OP_UNKNOWN:
        sp_never();
    }
    return status == SP_OK && (op == OP_NE || op == OP_NIN) ? expr_negate(c, ret_expr) : status;
}

/* A member of an object of operators. */
static sp_status read_operator_member(struct sp_compile *c, const struct subject *on,
                                      struct sp_json_token key, struct sp_json_token token,
                                      uint16_t *ret_expr) {
    sp_require(key.type == SP_JSON_KEY && on->path != SP_PATH_NONE);
    enum operator_kind op = find_operator(key.raw);
    if (op != OP_UNKNOWN) {
        return read_operator(c, on, op, token, ret_expr);
    }
    if (key.raw.len > 0 && key.raw.ptr[0] == '$') {
        return FAIL_AT(c, key, "filter: `%.*s`: unknown operator `%.*s`", SP_STR_ARG(on->name),
                       SP_STR_ARG(key.raw));
    }
    return FAIL_AT(c, key,
                   "filter: `%.*s`: expected an operator such as $eq, found `%.*s`; a deeper field "
                   "is written with dots, `%.*s.%.*s`",
                   SP_STR_ARG(on->name), SP_STR_ARG(key.raw), SP_STR_ARG(on->name),
                   SP_STR_ARG(key.raw));
}

/* A member of a filter: a path and what is asked of it. */
static sp_status read_path_member(struct sp_compile *c, struct sp_json_token key,
                                  struct sp_json_token token, uint16_t *ret_expr) {
    sp_require(key.type == SP_JSON_KEY);
    struct subject on = {.path = SP_PATH_NONE};
    sp_status status = sp_compile_text(c, key, &on.name);
    if (status != SP_OK) {
        return status;
    }
    status = sp_paths_add(&c->filter->paths, on.name, false, &on.path, c->error);
    if (status != SP_OK) {
        (void)sp_error_prefix(c->error, status, "filter");
        if (c->error != NULL) {
            c->error->offset = sp_compile_at(c, key);
        }
        return status;
    }
    if (token.type == SP_JSON_OBJECT) {
        return read_object(c, &on, ret_expr);
    }
    if (token.type == SP_JSON_ARRAY) {
        return FAIL_AT(c, token,
                       "filter: `%.*s`: expected a value or operators, found an array; one of "
                       "several values is {\"$in\": […]}",
                       SP_STR_ARG(on.name));
    }
    return read_equal(c, &on, OP_EQ, token, ret_expr);
}

static sp_status read_filter_member(struct sp_compile *c, struct sp_json_token key,
                                    struct sp_json_token token, uint16_t *ret_expr) {
    if (key.raw.len == 0 || key.raw.ptr[0] != '$' || sp_path_is_marked(key.raw)) {
        return read_path_member(c, key, token, ret_expr);
    }
    enum operator_kind op = find_operator(key.raw);
    struct subject none = {.path = SP_PATH_NONE, .name = {.ptr = NULL}};
    if (op == OP_AND || op == OP_OR || op == OP_NOT) {
        return read_operator(c, &none, op, token, ret_expr);
    }
    return FAIL_AT(c, key, "filter: expected a path, $and, $or or $not, found `%.*s`",
                   SP_STR_ARG(key.raw));
}

/* Reads the members of the object that was just opened: all of them must hold. */
static sp_status read_object(struct sp_compile *c, const struct subject *on, uint16_t *ret_expr) {
    bool is_filter = on == NULL || on->name.ptr == NULL;
    sp_status status = expr_new(c, EXPR_AND, ret_expr);
    if (status == SP_OK && ++c->depth > SP_FILTER_DEPTH_MAX) {
        return sp_error_set(c->error, SP_LIMIT, "filter: more than %d levels", SP_FILTER_DEPTH_MAX);
    }
    uint32_t count = 0;
    while (status == SP_OK) {
        struct sp_json_token key;
        struct sp_json_token token;
        status = sp_compile_next(c, &key);
        if (status == SP_OK && key.type == SP_JSON_OBJECT_END) {
            sp_invariant(c->depth > 0);
            c->depth--;
            return is_filter || count > 0
                       ? SP_OK
                       : FAIL_AT(c, key, "filter: `%.*s`: expected an operator, found none",
                                 SP_STR_ARG(on->name));
        }
        uint16_t part = EXPR_NONE;
        status = status == SP_OK ? sp_compile_next(c, &token) : status;
        if (status == SP_OK) {
            status = is_filter ? read_filter_member(c, key, token, &part)
                               : read_operator_member(c, on, key, token, &part);
        }
        if (status == SP_OK) {
            expr_append(c, *ret_expr, part);
            count++;
        }
    }
    return status;
}

sp_status sp_spoor_compile(struct sp_compile *c) {
    uint16_t root = EXPR_NONE;
    sp_status status = read_object(c, NULL, &root);
    if (status == SP_OK) {
        sp_invariant(c->depth == 0);
        c->filter->entry = link_expr(c, root, SP_TEST_ACCEPT, SP_TEST_REJECT);
        sp_ensure(c->filter->entry < c->filter->test_count || c->filter->entry >= SP_TEST_REJECT);
    }
    return status;
}
