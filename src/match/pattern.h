/*
 * Topic patterns: which event types a subscription wants. pure
 *
 * A type and a pattern are tokens joined by `.`. In a pattern the token `*` stands for exactly one
 * token, `#` for any number of them, none too, and `>`, last only, for one or more. Every other
 * token stands for itself, byte by byte: `a*b` is an ordinary token, and so is an empty one, as in
 * a type.
 *
 * Limits: SP_PATTERN_BYTES_MAX bytes, as for a type.
 */
#ifndef SP_MATCH_PATTERN_H
#define SP_MATCH_PATTERN_H

#include "base/error.h"
#include "base/str.h"

enum {
    SP_PATTERN_BYTES_MAX = 255,
    SP_PATTERN_TOKENS_MAX = SP_PATTERN_BYTES_MAX + 1, /* all of them empty */
};

/*
 * Takes the first token off *rest and returns it. *rest keeps what follows the dot; its ptr is NULL
 * once the last token was taken. The caller stops there: an empty *rest with a ptr is an empty
 * token.
 */
static inline sp_str sp_token_next(sp_str *rest) {
    const char *dot = rest->len == 0 ? NULL : memchr(rest->ptr, '.', rest->len);
    sp_str token = *rest;
    if (dot == NULL) {
        *rest = (sp_str){.ptr = NULL, .len = 0};
        return token;
    }
    token.len = (size_t)(dot - token.ptr);
    *rest = sp_str_from_byte(*rest, token.len + 1);
    return token;
}

static inline bool sp_token_is(sp_str token, char wildcard) {
    return token.len == 1 && token.ptr[0] == wildcard;
}

/*
 * SP_OK where the text is a pattern. SP_INVALID where it is empty, no UTF-8, has white space, a
 * control character or `>` before its end, SP_LIMIT where it is too long; the error names the token
 * (counted from 1) and carries its byte position. O(length).
 */
SP_WARN_UNUSED sp_status sp_pattern_check(sp_str pattern, struct sp_error *error);

/*
 * True where the pattern has no wildcard: it then matches the type of the same bytes and no other.
 */
bool sp_pattern_is_exact(sp_str pattern);

/*
 * True where the pattern, which sp_pattern_check has accepted, matches the type. Nothing is
 * allocated. One `#` at most costs O(length of both); several cost, in the worst case, the product
 * of the two token counts, which the limits keep below 2^16: a `#` is never tried against another
 * one's choices.
 */
bool sp_pattern_match(sp_str pattern, sp_str type);

#endif
