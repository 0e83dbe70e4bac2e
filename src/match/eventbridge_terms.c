/*
 * The terms of an event pattern: what may stand in the array of a field, and what it fits.
 */
#include "match/eventbridge.h"

#define FAIL_AT(c, token, ...)                                                                     \
    sp_error_set_at((c)->error, SP_INVALID, sp_compile_at((c), (token)), __VA_ARGS__)

/* The field and operator that are being read, for errors. */
struct reading {
    sp_str field;
    sp_str op;
};

static sp_status fail_expected(struct sp_compile *c, struct sp_json_token token,
                               const struct reading *r, const char *expected) {
    return FAIL_AT(c, token, "filter: `%.*s`: %.*s: expected %s", SP_STR_ARG(r->field),
                   SP_STR_ARG(r->op), expected);
}

static sp_status term_new(struct sp_compile *c, struct sp_eb_leaf *leaf, enum sp_eb_kind kind,
                          struct sp_eb_term **ret_term) {
    sp_require(leaf->path != SP_PATH_NONE);
    struct sp_eb_term *terms =
        sp_pool_grow(&c->filter->pool, leaf->terms, leaf->term_count, sizeof(*terms));
    if (terms == NULL) {
        return sp_compile_no_memory(c);
    }
    leaf->terms = terms;
    *ret_term = &terms[leaf->term_count++];
    **ret_term = (struct sp_eb_term){.kind = kind};
    return SP_OK;
}

static sp_status glob_add(struct sp_compile *c, struct sp_eb_term *term, struct sp_glob glob) {
    struct sp_glob *globs =
        sp_pool_grow(&c->filter->pool, term->globs, term->glob_count, sizeof(*globs));
    if (globs == NULL) {
        return sp_compile_no_memory(c);
    }
    sp_require(term->kind == SP_EB_GLOB || term->kind == SP_EB_BUT_GLOB);
    globs[term->glob_count++] = glob;
    term->globs = globs;
    return SP_OK;
}

enum glob_kind { GLOB_PREFIX, GLOB_SUFFIX, GLOB_IGNORE_CASE, GLOB_WILDCARD, GLOB_NONE };

static enum glob_kind find_glob_kind(sp_str name) {
    return sp_str_eq(name, SP_STR("prefix"))               ? GLOB_PREFIX
           : sp_str_eq(name, SP_STR("suffix"))             ? GLOB_SUFFIX
           : sp_str_eq(name, SP_STR("equals-ignore-case")) ? GLOB_IGNORE_CASE
           : sp_str_eq(name, SP_STR("wildcard"))           ? GLOB_WILDCARD
                                                           : GLOB_NONE;
}

/*
 * Takes a wildcard pattern apart: into `text` come its literal bytes, a backslash before `*` or
 * another backslash taken off, and into `parts` the slices between the wildcards.
 */
static sp_status split_wildcard(struct sp_compile *c, struct sp_json_token token,
                                const struct reading *r, sp_str pattern, char *text, sp_str *parts,
                                uint32_t *ret_count) {
    uint32_t count = 0;
    size_t len = 0;
    size_t start = 0;
    for (size_t i = 0; i < pattern.len; i++) {
        char byte = pattern.ptr[i];
        if (byte == '*') {
            if (i + 1 < pattern.len && pattern.ptr[i + 1] == '*') {
                return fail_expected(c, token, r, "no two wildcards in a row");
            }
            parts[count++] = sp_str_of(text + start, len - start);
            start = len;
            continue;
        }
        if (byte == '\\') {
            byte = i + 1 < pattern.len ? pattern.ptr[++i] : '\0';
            if (byte != '*' && byte != '\\') {
                return fail_expected(c, token, r, "only `*` or a backslash after a backslash");
            }
        }
        text[len++] = byte;
    }
    parts[count++] = sp_str_of(text + start, len - start);
    sp_ensure(count <= pattern.len + 1 && len <= pattern.len);
    *ret_count = count;
    return SP_OK;
}

static sp_status make_wildcard(struct sp_compile *c, struct sp_json_token token,
                               const struct reading *r, sp_str pattern, struct sp_glob *ret_glob) {
    struct sp_pool *pool = &c->filter->pool;
    char *text = sp_pool_take(pool, pattern.len + 1);
    sp_str *parts = sp_pool_take(pool, (pattern.len + 1) * sizeof(*parts));
    if (text == NULL || parts == NULL) {
        return sp_compile_no_memory(c);
    }
    uint32_t count = 0;
    sp_status status = split_wildcard(c, token, r, pattern, text, parts, &count);
    if (status != SP_OK) {
        return status;
    }
    bool open_start = count > 1 && parts[0].len == 0;
    bool open_end = count > 1 && parts[count - 1].len == 0;
    status = sp_glob_make(pool, parts, count, open_start, open_end, false, ret_glob);
    return status == SP_OK ? SP_OK : sp_compile_no_memory(c);
}

/* Adds the glob that a string is under one of the text operators. */
static sp_status read_glob(struct sp_compile *c, struct sp_json_token token,
                           const struct reading *r, enum glob_kind kind, bool fold,
                           struct sp_eb_term *term) {
    sp_require(kind != GLOB_NONE);
    if (token.type != SP_JSON_STRING) {
        return fail_expected(c, token, r, "a string");
    }
    sp_str text = {.ptr = NULL, .len = 0};
    struct sp_glob glob = {.count = 0};
    sp_status status = sp_compile_text(c, token, &text);
    if (status == SP_OK && kind == GLOB_WILDCARD) {
        status = make_wildcard(c, token, r, text, &glob);
    } else if (status == SP_OK &&
               sp_glob_make(&c->filter->pool, &text, 1, kind == GLOB_SUFFIX, kind == GLOB_PREFIX,
                            fold || kind == GLOB_IGNORE_CASE, &glob) != SP_OK) {
        status = sp_compile_no_memory(c);
    }
    return status == SP_OK ? glob_add(c, term, glob) : status;
}

/* Reads the closing bracket of an object that may have one member only. */
static sp_status read_close(struct sp_compile *c, const struct reading *r) {
    struct sp_json_token token;
    sp_status status = sp_compile_next(c, &token);
    if (status == SP_OK && token.type != SP_JSON_OBJECT_END) {
        return fail_expected(c, token, r, "no other key beside it");
    }
    return status;
}

/* Reads the key of an object with one member, and the first token of its value. */
static sp_status read_only_key(struct sp_compile *c, const struct reading *r, sp_str *ret_key,
                               struct sp_json_token *ret_value) {
    struct sp_json_token key;
    sp_status status = sp_compile_next(c, &key);
    if (status == SP_OK && key.type != SP_JSON_KEY) {
        return fail_expected(c, key, r, "an operator, found an empty object");
    }
    *ret_key = key.raw;
    return status == SP_OK ? sp_compile_next(c, ret_value) : status;
}

/* {"prefix": "x"}, and {"prefix": {"equals-ignore-case": "x"}}. */
static sp_status read_text_operator(struct sp_compile *c, struct sp_json_token token,
                                    const struct reading *r, enum glob_kind kind,
                                    struct sp_eb_leaf *leaf) {
    struct sp_eb_term *term = NULL;
    sp_status status = term_new(c, leaf, SP_EB_GLOB, &term);
    if (status != SP_OK) {
        return status;
    }
    if (token.type != SP_JSON_OBJECT || (kind != GLOB_PREFIX && kind != GLOB_SUFFIX)) {
        return read_glob(c, token, r, kind, false, term);
    }
    sp_str key = {.ptr = NULL, .len = 0};
    status = read_only_key(c, r, &key, &token);
    if (status == SP_OK && find_glob_kind(key) != GLOB_IGNORE_CASE) {
        return fail_expected(c, token, r, "a string or {\"equals-ignore-case\": …}");
    }
    status = status == SP_OK ? read_glob(c, token, r, kind, true, term) : status;
    return status == SP_OK ? read_close(c, r) : status;
}

/* {"anything-but": {"prefix": "x"}}, or a list of strings for the last. */
static sp_status read_but_text(struct sp_compile *c, const struct reading *r,
                               struct sp_eb_term *term) {
    sp_str key = {.ptr = NULL, .len = 0};
    struct sp_json_token token;
    sp_status status = read_only_key(c, r, &key, &token);
    enum glob_kind kind = find_glob_kind(key);
    if (status == SP_OK && kind == GLOB_NONE) {
        return fail_expected(c, token, r, "prefix, suffix, equals-ignore-case or wildcard");
    }
    sp_require(term->operand_count == 0 && term->glob_count == 0);
    term->kind = SP_EB_BUT_GLOB;
    bool is_list = token.type == SP_JSON_ARRAY;
    while (status == SP_OK) {
        status = is_list ? sp_compile_next(c, &token) : status;
        if (status == SP_OK && is_list && token.type == SP_JSON_ARRAY_END) {
            break;
        }
        bool is_part = kind == GLOB_PREFIX || kind == GLOB_SUFFIX;
        if (status == SP_OK && is_part && token.type == SP_JSON_STRING && token.raw.len == 0) {
            return fail_expected(c, token, r, "a string that is not empty");
        }
        status = status == SP_OK ? read_glob(c, token, r, kind, false, term) : status;
        if (!is_list) {
            break;
        }
    }
    if (status == SP_OK && term->glob_count == 0) {
        return fail_expected(c, token, r, "at least one string");
    }
    return status == SP_OK ? read_close(c, r) : status;
}

static sp_status read_but_value(struct sp_compile *c, struct sp_json_token token,
                                const struct reading *r, struct sp_eb_term *term) {
    struct sp_operand operand;
    if (token.type != SP_JSON_STRING && token.type != SP_JSON_NUMBER) {
        return fail_expected(c, token, r, "strings or numbers");
    }
    sp_status status = sp_compile_scalar(c, token, r->field, &operand);
    if (status == SP_OK && term->operand_count > 0 && term->operands[0].type != operand.type) {
        return fail_expected(c, token, r, "only strings or only numbers");
    }
    return status == SP_OK ? sp_compile_operand(c, &term->operands, &term->operand_count, operand)
                           : status;
}

static sp_status read_but(struct sp_compile *c, struct sp_json_token token, const struct reading *r,
                          struct sp_eb_leaf *leaf) {
    struct sp_eb_term *term = NULL;
    sp_status status = term_new(c, leaf, SP_EB_BUT_EQUAL, &term);
    if (status != SP_OK) {
        return status;
    }
    if (token.type == SP_JSON_OBJECT) {
        return read_but_text(c, r, term);
    }
    if (token.type != SP_JSON_ARRAY) {
        return read_but_value(c, token, r, term);
    }
    struct sp_json_token start = token;
    while (status == SP_OK) {
        status = sp_compile_next(c, &token);
        if (status == SP_OK && token.type == SP_JSON_ARRAY_END) {
            return term->operand_count > 0 ? SP_OK
                                           : fail_expected(c, start, r, "at least one value");
        }
        status = status == SP_OK ? read_but_value(c, token, r, term) : status;
    }
    return status;
}

/* The order that one of `= < <= > >=` demands, 0 for every other text. */
static uint8_t find_order(struct sp_json_token token) {
    if (token.type != SP_JSON_STRING) {
        return 0;
    }
    return sp_str_eq(token.raw, SP_STR("="))    ? SP_ORDER_EQUAL
           : sp_str_eq(token.raw, SP_STR("<"))  ? SP_ORDER_LESS
           : sp_str_eq(token.raw, SP_STR("<=")) ? SP_ORDER_LESS | SP_ORDER_EQUAL
           : sp_str_eq(token.raw, SP_STR(">"))  ? SP_ORDER_GREATER
           : sp_str_eq(token.raw, SP_STR(">=")) ? SP_ORDER_GREATER | SP_ORDER_EQUAL
                                                : 0;
}

/* Reads a bound of `numeric` behind its first token, which is the sign of comparison. */
static sp_status read_bound(struct sp_compile *c, struct sp_json_token sign,
                            const struct reading *r, struct sp_eb_term *term) {
    uint8_t orders = find_order(sign);
    bool second = term->operand_count > 0;
    sp_require(term->operand_count < 2);
    if (orders == 0) {
        return fail_expected(c, sign, r, "one of = < <= > >=");
    }
    if (second && ((term->orders[0] & SP_ORDER_GREATER) == 0 || (orders & SP_ORDER_LESS) == 0)) {
        return fail_expected(c, sign, r, "a range from > or >= to < or <=");
    }
    struct sp_json_token token;
    struct sp_operand operand;
    sp_status status = sp_compile_next(c, &token);
    if (status == SP_OK && token.type != SP_JSON_NUMBER) {
        return fail_expected(c, token, r, "a number after the sign of comparison");
    }
    status = status == SP_OK ? sp_compile_scalar(c, token, r->field, &operand) : status;
    if (status != SP_OK) {
        return status;
    }
    if (second && sp_json_compare_numbers(term->operands[0].text, operand.text) >= 0) {
        return fail_expected(c, token, r, "an upper bound above the lower one");
    }
    sp_invariant(operand.type == SP_TYPE_NUMBER);
    term->orders[term->operand_count] = orders;
    return sp_compile_operand(c, &term->operands, &term->operand_count, operand);
}

static sp_status read_numeric(struct sp_compile *c, struct sp_json_token token,
                              const struct reading *r, struct sp_eb_leaf *leaf) {
    struct sp_eb_term *term = NULL;
    sp_status status = term_new(c, leaf, SP_EB_NUMERIC, &term);
    if (status == SP_OK && token.type != SP_JSON_ARRAY) {
        return fail_expected(c, token, r, "an array such as [\">\", 0, \"<=\", 5]");
    }
    while (status == SP_OK) {
        status = sp_compile_next(c, &token);
        if (status != SP_OK) {
            break;
        }
        if (token.type == SP_JSON_ARRAY_END) {
            return term->operand_count > 0 ? SP_OK : fail_expected(c, token, r, "a comparison");
        }
        status = term->operand_count < 2 ? read_bound(c, token, r, term)
                                         : fail_expected(c, token, r, "at most two comparisons");
    }
    return status;
}

static sp_status read_cidr(struct sp_compile *c, struct sp_json_token token,
                           const struct reading *r, struct sp_eb_leaf *leaf) {
    struct sp_eb_term *term = NULL;
    sp_str text = {.ptr = NULL, .len = 0};
    if (token.type != SP_JSON_STRING) {
        return fail_expected(c, token, r, "a string such as \"10.0.0.0/24\"");
    }
    sp_status status = term_new(c, leaf, SP_EB_CIDR, &term);
    status = status == SP_OK ? sp_compile_text(c, token, &text) : status;
    if (status != SP_OK) {
        return status;
    }
    status = sp_cidr_parse(text, &term->cidr, c->error);
    if (status != SP_OK) {
        (void)sp_error_prefix(c->error, status, "filter: `%.*s`: cidr", SP_STR_ARG(r->field));
        if (c->error != NULL) {
            c->error->offset = sp_compile_at(c, token);
        }
    }
    return status;
}

static sp_status read_exists(struct sp_compile *c, struct sp_json_token token,
                             const struct reading *r, struct sp_eb_leaf *leaf) {
    if (token.type == SP_JSON_FALSE) {
        leaf->or_absent = true;
        return SP_OK;
    }
    if (token.type != SP_JSON_TRUE) {
        return fail_expected(c, token, r, "true or false");
    }
    struct sp_eb_term *term = NULL;
    return term_new(c, leaf, SP_EB_EXISTS, &term);
}

/* Reads an operator's object behind its opening bracket. */
static sp_status read_match(struct sp_compile *c, sp_str field, struct sp_eb_leaf *leaf) {
    struct reading r = {.field = field, .op = SP_STR("{…}")};
    struct sp_json_token token;
    sp_status status = read_only_key(c, &r, &r.op, &token);
    if (status != SP_OK) {
        return status;
    }
    enum glob_kind kind = find_glob_kind(r.op);
    if (kind != GLOB_NONE) {
        status = read_text_operator(c, token, &r, kind, leaf);
    } else if (sp_str_eq(r.op, SP_STR("anything-but"))) {
        status = read_but(c, token, &r, leaf);
    } else if (sp_str_eq(r.op, SP_STR("numeric"))) {
        status = read_numeric(c, token, &r, leaf);
    } else if (sp_str_eq(r.op, SP_STR("cidr"))) {
        status = read_cidr(c, token, &r, leaf);
    } else if (sp_str_eq(r.op, SP_STR("exists"))) {
        status = read_exists(c, token, &r, leaf);
    } else {
        status = FAIL_AT(c, token,
                         "filter: `%.*s`: unknown operator `%.*s`; expected prefix, suffix, "
                         "anything-but, numeric, exists, equals-ignore-case, wildcard or cidr",
                         SP_STR_ARG(field), SP_STR_ARG(r.op));
    }
    return status == SP_OK ? read_close(c, &r) : status;
}

static sp_status read_value(struct sp_compile *c, struct sp_json_token token, sp_str field,
                            struct sp_eb_leaf *leaf) {
    struct sp_operand operand;
    struct sp_eb_term *term = NULL;
    sp_status status = sp_compile_scalar(c, token, field, &operand);
    if (status != SP_OK) {
        return status;
    }
    /* Values in a row share a term. */
    if (leaf->term_count > 0 && leaf->terms[leaf->term_count - 1].kind == SP_EB_EQUAL) {
        term = &leaf->terms[leaf->term_count - 1];
    } else {
        status = term_new(c, leaf, SP_EB_EQUAL, &term);
    }
    return status == SP_OK ? sp_compile_operand(c, &term->operands, &term->operand_count, operand)
                           : status;
}

sp_status sp_eb_read_terms(struct sp_compile *c, sp_str field, struct sp_eb_leaf *leaf) {
    for (;;) {
        struct sp_json_token token;
        sp_status status = sp_compile_next(c, &token);
        if (status == SP_OK && token.type == SP_JSON_ARRAY_END) {
            return leaf->term_count > 0 || leaf->or_absent
                       ? SP_OK
                       : FAIL_AT(c, token, "filter: `%.*s`: an empty array matches nothing",
                                 SP_STR_ARG(field));
        }
        if (status == SP_OK) {
            status = token.type == SP_JSON_OBJECT ? read_match(c, field, leaf)
                                                  : read_value(c, token, field, leaf);
        }
        if (status != SP_OK) {
            return status;
        }
    }
}

/* Matching. */

static bool equals_any(const struct sp_eb_term *term, struct sp_value value) {
    sp_require(term->operand_count > 0);
    for (uint32_t i = 0; i < term->operand_count; i++) {
        if (sp_value_equals(value, &term->operands[i])) {
            return true;
        }
    }
    return false;
}

static bool matches_any(const struct sp_eb_term *term, struct sp_value value) {
    sp_require(term->glob_count > 0);
    for (uint32_t i = 0; value.type == SP_TYPE_TEXT && i < term->glob_count; i++) {
        if (sp_glob_match(&term->globs[i], value.raw, value.escaped)) {
            return true;
        }
    }
    return false;
}

static bool in_range(const struct sp_eb_term *term, struct sp_value value) {
    sp_require(term->operand_count == 1 || term->operand_count == 2);
    for (uint32_t i = 0; i < term->operand_count; i++) {
        int order = 0;
        if (!sp_value_compare(value, &term->operands[i], &order)) {
            return false;
        }
        uint8_t found = order < 0 ? SP_ORDER_LESS : order > 0 ? SP_ORDER_GREATER : SP_ORDER_EQUAL;
        if ((term->orders[i] & found) == 0) {
            return false;
        }
    }
    return true;
}

static bool in_block(const struct sp_eb_term *term, struct sp_value value) {
    if (value.type != SP_TYPE_TEXT || value.raw.len == 0) {
        return false;
    }
    struct sp_text text = sp_text_of(value.raw, value.escaped, false);
    struct sp_address address;
    char room[SP_TEXT_PIECE_BYTES];
    sp_str piece; /* the first is all there can be of an address */
    return sp_text_next(&text, room, &piece) && text.at == text.end &&
           sp_address_parse(piece, &address) && sp_cidr_has(&term->cidr, &address);
}

static bool term_fits(const struct sp_eb_term *term, struct sp_value value) {
    switch (term->kind) {
    case SP_EB_EQUAL:
        return equals_any(term, value);
    case SP_EB_GLOB:
        return matches_any(term, value);
    case SP_EB_NUMERIC:
        return in_range(term, value);
    case SP_EB_CIDR:
        return in_block(term, value);
    case SP_EB_EXISTS:
        return true;
    case SP_EB_BUT_EQUAL:
        return !equals_any(term, value);
    case SP_EB_BUT_GLOB:
        return !matches_any(term, value);
    }
    sp_never();
}

bool sp_eb_leaf_fits(const struct sp_eb_leaf *leaf, struct sp_value value) {
    sp_require(value.type != SP_TYPE_MISSING && value.type != SP_TYPE_OBJECT &&
               value.type != SP_TYPE_ARRAY);
    for (uint32_t i = 0; i < leaf->term_count; i++) {
        if (term_fits(&leaf->terms[i], value)) {
            return true;
        }
    }
    return false;
}
