/*
 * A projection file as tokens: SQL as far as two dialects agree on it, and directives. pure
 *
 * White space and comments are passed over; a comment that begins with `spoor:` is a directive and
 * a token. What SQLite and PostgreSQL read differently is either marked (`dialects`) or refused, so
 * that neither finds another end of a statement than is found here.
 */
#ifndef SP_PROJECT_DEFINITION_LEX_H
#define SP_PROJECT_DEFINITION_LEX_H

#include "base/error.h"
#include "base/str.h"

enum lex_kind {
    LEX_END,
    LEX_DIRECTIVE, /* text: what stands behind `spoor:`, to the end of the line, trimmed */
    LEX_SEMICOLON,
    LEX_WORD,      /* a keyword or a name */
    LEX_QUOTED,    /* a name in quotes; text with them */
    LEX_STRING,    /* text with quotes */
    LEX_NUMBER,    /* or what begins with a digit */
    LEX_PARAMETER, /* text with the colon */
    LEX_CAST,      /* :: */
    LEX_OTHER,     /* one byte */
};

struct lex_token {
    enum lex_kind kind;
    unsigned dialects; /* of enum sp_dialect: which of them read it so */
    sp_str text;
    size_t offset; /* of text in the file */
};

struct lex {
    sp_str text;
    size_t at;
};

/* SP_OK where the text is UTF-8 without control characters other than tabs and line ends. */
SP_WARN_UNUSED sp_status lex_check_text(sp_str text, struct sp_error *error);

/* SP_INVALID where a string, a name in quotes or a comment does not end, or comments nest. */
SP_WARN_UNUSED sp_status lex_next(struct lex *lex, struct lex_token *ret_token,
                                  struct sp_error *error);

/* Line and column, from 1, of a byte of the text; the column counts bytes. O(offset). */
void lex_place(sp_str text, size_t offset, uint32_t *ret_line, uint32_t *ret_column);

/* Fills the error with "line L, column C: …" and the offset; returns the status. */
sp_status lex_fail(sp_str text, size_t offset, struct sp_error *error, sp_status status,
                   const char *format, ...) SP_PRINTF(5, 6);

/* True where the token is this word, whatever its case. `word` is in capitals. */
bool lex_is_word(const struct lex_token *token, const char *word);

/* The same of any text. */
bool lex_equals(sp_str text, const char *word);

#endif
