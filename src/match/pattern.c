/*
 * Matching is the classic one of file name globs, on tokens: walk both, and where they part, let
 * the last `#` passed swallow one token more and try again from there. An earlier `#` needs no
 * second try, since whatever it could swallow the later one can swallow as well.
 */
#include "match/pattern.h"

#include "base/utf8.h"

/* What a type may not hold, a pattern need not: such a pattern could never match. */
static sp_status check_text(sp_str token, size_t number, size_t at, struct sp_error *error) {
    sp_require(number >= 1 && token.ptr != NULL);
    const char *end = token.ptr + token.len;
    for (const char *c = token.ptr; c < end;) {
        uint32_t code = 0;
        size_t len = sp_utf8_decode(c, end, &code);
        uint64_t offset = at + (size_t)(c - token.ptr);
        if (len == 0) {
            return sp_error_set_at(error, SP_INVALID, offset, "pattern: token %zu is not UTF-8",
                                   number);
        }
        if (sp_utf8_is_control(code) || sp_utf8_is_space(code)) {
            return sp_error_set_at(error, SP_INVALID, offset,
                                   "pattern: token %zu has white space or a control character",
                                   number);
        }
        c += len;
    }
    return SP_OK;
}

static sp_status check_token(sp_str token, bool is_last, size_t number, size_t at,
                             struct sp_error *error) {
    if (sp_token_is(token, '>') && !is_last) {
        return sp_error_set_at(error, SP_INVALID, at,
                               "pattern: token %zu is `>`, which may only come last", number);
    }
    return check_text(token, number, at, error);
}

sp_status sp_pattern_check(sp_str pattern, struct sp_error *error) {
    if (pattern.len == 0) {
        return sp_error_set_at(error, SP_INVALID, 0, "pattern: empty; `#` matches every type");
    }
    if (pattern.len > SP_PATTERN_BYTES_MAX) {
        return sp_error_set_at(error, SP_LIMIT, SP_PATTERN_BYTES_MAX,
                               "pattern: %zu bytes, at most %d are allowed", pattern.len,
                               SP_PATTERN_BYTES_MAX);
    }
    sp_str rest = pattern;
    size_t number = 0;
    while (rest.ptr != NULL) {
        size_t at = (size_t)(rest.ptr - pattern.ptr);
        sp_str token = sp_token_next(&rest);
        number++;
        sp_status status = check_token(token, rest.ptr == NULL, number, at, error);
        if (status != SP_OK) {
            return status;
        }
    }
    sp_ensure(number >= 1 && number <= SP_PATTERN_TOKENS_MAX);
    return SP_OK;
}

bool sp_pattern_is_exact(sp_str pattern) {
    sp_require(pattern.len > 0);
    sp_str rest = pattern;
    while (rest.ptr != NULL) {
        sp_str token = sp_token_next(&rest);
        if (sp_token_is(token, '*') || sp_token_is(token, '#') || sp_token_is(token, '>')) {
            return false;
        }
    }
    return true;
}

/* One step of the walk: what the next pattern token says of the next type token. */
static bool token_fits(sp_str wanted, sp_str token) {
    return sp_token_is(wanted, '*') || sp_str_eq(wanted, token);
}

bool sp_pattern_match(sp_str pattern, sp_str type) {
    sp_require(pattern.len > 0 && pattern.len <= SP_PATTERN_BYTES_MAX);
    sp_str wanted_rest = pattern;
    sp_str type_rest = type.len > 0 ? type : (sp_str){.ptr = NULL, .len = 0};
    sp_str after_hash = {.ptr = NULL, .len = 0}; /* the pattern behind the last `#` passed */
    sp_str hash_type = {.ptr = NULL, .len = 0};  /* the type tokens that it has not swallowed yet */
    bool seen_hash = false;
    while (type_rest.ptr != NULL) {
        sp_str wanted_before = wanted_rest;
        if (wanted_rest.ptr != NULL) {
            sp_str wanted = sp_token_next(&wanted_rest);
            if (sp_token_is(wanted, '>')) {
                return true;
            }
            if (sp_token_is(wanted, '#')) {
                seen_hash = true;
                after_hash = wanted_rest;
                hash_type = type_rest;
                continue;
            }
            sp_str type_before = type_rest;
            if (token_fits(wanted, sp_token_next(&type_rest))) {
                continue;
            }
            type_rest = type_before;
            wanted_rest = wanted_before;
        }
        if (!seen_hash) {
            return false;
        }
        sp_invariant(hash_type.ptr != NULL); /* else the loop had ended */
        (void)sp_token_next(&hash_type);
        type_rest = hash_type;
        wanted_rest = after_hash;
    }
    while (wanted_rest.ptr != NULL) {
        if (!sp_token_is(sp_token_next(&wanted_rest), '#')) {
            return false;
        }
    }
    return true;
}
