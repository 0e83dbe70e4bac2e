/*
 * Regular expressions that cannot explode: searched in time linear in the text, whatever they are.
 * pure
 *
 * Syntax: literals; `.` (any code point but newline); classes `[a-z]`, `[^…]`, `\d \w \s` and their
 * opposites; `^` and `$` (start and end of the text), `\b` and `\B`; groups `(…)`, `(?:…)`,
 * `(?i:…)`; `|`; `* + ? {m} {m,} {m,n}`, also lazy, which finds the same texts; the flags `(?i)`
 * and `(?s)`; escapes `\n \t \r \f \v \a \e \0 \xHH \x{H…} \uHHHH` and a backslash before
 * punctuation; `\p{…}` and `\P{…}` with a general category of Unicode by either of its names (`L`,
 * `Letter`), `Any`, `ASCII` or `Assigned`. Text is UTF-8. What needs backtracking (references to
 * groups, looking around, atomic groups, possessive repetition) is SP_UNSUPPORTED.
 *
 * SP_REGEX_ECMA reads an expression as ECMA-262 does with its flag u, which is what JSON Schema
 * asks for: `\s` and the dot know Unicode's spaces and line ends, `[]` is nothing and `[^]`
 * anything, there is `\cX` and `\u{H…}`, and there is no `\a \e \A \z`. It is more lenient in that
 * a backslash may stand before any punctuation.
 *
 * An expression becomes a program of byte ranges (Thompson 1968). Where that makes a small enough
 * table (SP_REGEX_STATES_MAX states) it is turned into one, and each byte of the text costs one
 * lookup; else the program is followed in all its branches at once, and a byte costs at most
 * SP_REGEX_PROGRAM_MAX steps. A compiled expression never changes: threads may share it.
 */
#ifndef SP_MATCH_REGEX_H
#define SP_MATCH_REGEX_H

#include "base/error.h"
#include "base/str.h"

enum {
    SP_REGEX_BYTES_MAX = 4096,
    SP_REGEX_DEPTH_MAX = 64,
    SP_REGEX_REPEAT_MAX = 1000,
    SP_REGEX_PROGRAM_MAX = 2048, /* instructions, repetitions written out */
    SP_REGEX_STATES_MAX = 256,
};

struct sp_regex;

enum sp_regex_dialect { SP_REGEX_USUAL, SP_REGEX_ECMA };

/*
 * Compiles an expression. SP_INVALID, SP_UNSUPPORTED or SP_LIMIT, with the byte position in the
 * expression; SP_NO_MEMORY. sp_regex_free gives it back.
 */
SP_WARN_UNUSED sp_status sp_regex_compile(sp_str expression, struct sp_regex **ret_regex,
                                          struct sp_error *error);

/* The same in a given dialect; sp_regex_compile is SP_REGEX_USUAL. */
SP_WARN_UNUSED sp_status sp_regex_compile_as(sp_str expression, enum sp_regex_dialect dialect,
                                             struct sp_regex **ret_regex, struct sp_error *error);

/* NULL is fine. */
void sp_regex_free(struct sp_regex *regex);

/*
 * True where the expression matches somewhere in the text, bytes or, with `escaped`, a JSON string
 * with its escapes. Allocates nothing.
 */
bool sp_regex_search(const struct sp_regex *regex, sp_str raw, bool escaped);

/* As sp_regex_search; adds the lookups or steps that it took to *steps. For tests. */
bool sp_regex_search_counted(const struct sp_regex *regex, sp_str raw, bool escaped,
                             uint64_t *steps);

/* True where the expression became a table. */
bool sp_regex_is_table(const struct sp_regex *regex);

#endif
