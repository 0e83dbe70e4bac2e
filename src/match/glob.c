/*
 * Everything but a star takes exactly one byte of the text. So where a match fails it is enough to
 * go back to the last star and let that one take a byte more: stars before it took as little as
 * they could, and more would not help.
 */
#include "match/glob.h"

#include "base/assert.h"

/* One element of a pattern, a star excepted. */
struct element {
    const char *next; /* behind it */
    bool matches;
};

/* Bytes are signed here, as in Redis on the machines it is known on. */
static bool in_range(char byte, char one, char other) {
    signed char c = (signed char)byte;
    signed char low = (signed char)one;
    signed char high = (signed char)other;
    return low <= high ? c >= low && c <= high : c >= high && c <= low;
}

/* The element `[...]`; `at` stands behind the bracket. */
static struct element match_class(const char *at, const char *end, char byte) {
    bool negated = at < end && *at == '^';
    at += negated;
    bool found = false;
    for (; at < end && *at != ']'; at++) {
        if (*at == '\\' && end - at >= 2) {
            at++;
            found |= *at == byte;
        } else if (end - at >= 3 && at[1] == '-') {
            found |= in_range(byte, at[0], at[2]);
            at += 2;
        } else {
            found |= *at == byte;
        }
    }
    return (struct element){.next = at < end ? at + 1 : end, .matches = found != negated};
}

static struct element match_element(const char *at, const char *end, char byte) {
    sp_require(at < end && *at != '*');
    switch (*at) {
    case '?':
        return (struct element){.next = at + 1, .matches = true};
    case '[':
        return match_class(at + 1, end, byte);
    case '\\':
        at += end - at >= 2;
        break;
    default:
        break;
    }
    return (struct element){.next = at + 1, .matches = *at == byte};
}

static const char *skip_stars(const char *at, const char *end) {
    while (at < end && *at == '*') {
        at++;
    }
    return at;
}

bool sp_redis_glob_match(sp_str pattern, sp_str text) {
    if (text.len == 0 || pattern.len == 0) {
        return text.len == pattern.len;
    }
    const char *at = pattern.ptr;
    const char *end = pattern.ptr + pattern.len;
    const char *byte = text.ptr;
    const char *text_end = text.ptr + text.len;
    const char *behind_star = NULL; /* where the pattern goes on behind the last star */
    const char *star_text = NULL;   /* the first byte which that star has not taken */
    while (byte < text_end) {
        if (at < end && *at == '*') {
            at = skip_stars(at, end);
            if (at == end) {
                return true;
            }
            behind_star = at;
            star_text = byte;
            continue;
        }
        if (at < end) {
            struct element element = match_element(at, end, *byte);
            if (element.matches) {
                at = element.next;
                byte++;
                continue;
            }
        }
        if (behind_star == NULL) {
            return false;
        }
        at = behind_star;
        byte = ++star_text;
    }
    return skip_stars(at, end) == end;
}

bool sp_redis_glob_is_literal(sp_str pattern) {
    for (size_t i = 0; i < pattern.len; i++) {
        char byte = pattern.ptr[i];
        if (byte == '*' || byte == '?' || byte == '[' || byte == '\\') {
            return false;
        }
    }
    return true;
}
