#include "project/definition_lex.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"
#include "project/definition.h"

void lex_place(sp_str text, size_t offset, uint32_t *ret_line, uint32_t *ret_column) {
    size_t end = offset < text.len ? offset : text.len;
    uint32_t line = 1;
    size_t start = 0;
    for (size_t i = 0; i < end; i++) {
        if (text.ptr[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    *ret_line = line;
    *ret_column = (uint32_t)(end - start + 1);
}

sp_status lex_fail(sp_str text, size_t offset, struct sp_error *error, sp_status status,
                   const char *format, ...) {
    uint32_t line;
    uint32_t column;
    char what[SP_ERROR_TEXT_SIZE];
    va_list args;
    lex_place(text, offset, &line, &column);
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    return sp_error_set_at(error, status, offset, "line %u, column %u: %s", line, column, what);
}

sp_status lex_check_text(sp_str text, struct sp_error *error) {
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; at < end;) {
        uint32_t code = 0;
        size_t len = sp_utf8_decode(at, end, &code);
        size_t offset = (size_t)(at - text.ptr);
        if (len == 0) {
            return lex_fail(text, offset, error, SP_INVALID, "bytes that are not UTF-8");
        }
        bool layout = code == '\t' || code == '\n' || code == '\r';
        if (sp_utf8_is_control(code) && !layout) {
            return lex_fail(text, offset, error, SP_INVALID,
                            "the control character U+%04X: only tabs and line ends may be there",
                            code);
        }
        at += len;
    }
    return SP_OK;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool lex_equals(sp_str text, const char *word) {
    size_t len = strlen(word);
    if (text.len != len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (lower(text.ptr[i]) != lower(word[i])) {
            return false;
        }
    }
    return true;
}

bool lex_is_word(const struct lex_token *token, const char *word) {
    return token->kind == LEX_WORD && lex_equals(token->text, word);
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool starts_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (uint8_t)c >= 0x80;
}

static bool goes_on_word(char c) {
    return starts_word(c) || is_digit(c) || c == '$';
}

/* The byte `ahead` places on; 0 behind the end, which no text holds. */
static char peek(const struct lex *lex, size_t ahead) {
    return ahead < lex->text.len - lex->at ? lex->text.ptr[lex->at + ahead] : '\0';
}

static sp_str trim(sp_str s) {
    while (s.len > 0 && is_space(s.ptr[0])) {
        s = sp_str_from_byte(s, 1);
    }
    while (s.len > 0 && is_space(s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

/* What is behind `spoor:` in the text of a comment; a NULL ptr where it is no directive. */
static sp_str directive_of(sp_str comment) {
    sp_str rest = trim(comment);
    if (rest.len < 5 || !lex_equals(sp_str_of(rest.ptr, 5), "SPOOR")) {
        return (sp_str){.ptr = NULL, .len = 0};
    }
    rest = trim(sp_str_from_byte(rest, 5));
    if (rest.len == 0 || rest.ptr[0] != ':') {
        return (sp_str){.ptr = NULL, .len = 0};
    }
    return trim(sp_str_from_byte(rest, 1));
}

/* Passes a comment of one line. True where it was a directive. */
static bool pass_line(struct lex *lex, struct lex_token *ret_token) {
    const char *start = lex->text.ptr + lex->at + 2;
    size_t left = lex->text.len - lex->at - 2;
    const char *end = left == 0 ? NULL : memchr(start, '\n', left);
    sp_str comment = sp_str_of(start, end != NULL ? (size_t)(end - start) : left);
    lex->at += 2 + comment.len;
    sp_str directive = directive_of(comment);
    if (directive.ptr == NULL) {
        return false;
    }
    ret_token->kind = LEX_DIRECTIVE;
    ret_token->text = directive;
    ret_token->offset = (size_t)(directive.ptr - lex->text.ptr);
    return true;
}

static sp_status pass_block(struct lex *lex, struct sp_error *error) {
    size_t start = lex->at;
    for (lex->at += 2; lex->at < lex->text.len; lex->at++) {
        if (peek(lex, 0) == '*' && peek(lex, 1) == '/') {
            lex->at += 2;
            return SP_OK;
        }
        if (peek(lex, 0) == '/' && peek(lex, 1) == '*') {
            return lex_fail(lex->text, lex->at, error, SP_INVALID,
                            "`/*` within a comment: comments do not nest in SQLite, and do in "
                            "PostgreSQL");
        }
    }
    return lex_fail(lex->text, start, error, SP_INVALID,
                    "a comment that does not end: expected */");
}

/* Passes a quoted text, whose quote stands for itself where it is doubled. */
static sp_status pass_quoted(struct lex *lex, char quote, bool escapes, const char *what,
                             struct sp_error *error) {
    size_t start = lex->at;
    for (lex->at++; lex->at < lex->text.len; lex->at++) {
        char c = peek(lex, 0);
        if (c == quote && peek(lex, 1) != quote) {
            lex->at++;
            return SP_OK;
        }
        if (c == quote || (escapes && c == '\\')) {
            lex->at++; /* the one behind it belongs to it */
        }
    }
    lex->at = lex->text.len;
    return lex_fail(lex->text, start, error, SP_INVALID, "%s that does not end: expected %c", what,
                    quote);
}

/* The length of `$tag$` here; 0 where there is none. */
static size_t dollar_tag(const struct lex *lex) {
    size_t len = 1;
    if (is_digit(peek(lex, 1))) {
        return 0;
    }
    while (starts_word(peek(lex, len)) || is_digit(peek(lex, len))) {
        len++;
    }
    return peek(lex, len) == '$' ? len + 1 : 0;
}

/* A string of PostgreSQL between two `$tag$`. */
static sp_status pass_dollars(struct lex *lex, size_t tag_len, struct sp_error *error) {
    size_t start = lex->at;
    sp_str tag = sp_str_of(lex->text.ptr + start, tag_len);
    for (lex->at += tag_len; lex->at < lex->text.len; lex->at++) {
        if (sp_str_starts_with(sp_str_from_byte(lex->text, lex->at), tag)) {
            lex->at += tag_len;
            return SP_OK;
        }
    }
    return lex_fail(lex->text, start, error, SP_INVALID,
                    "a string that does not end: expected %.*s", SP_STR_ARG(tag));
}

static void pass_number(struct lex *lex) {
    while (goes_on_word(peek(lex, 0)) || peek(lex, 0) == '.') {
        lex->at++;
    }
}

/* A word, or the string of PostgreSQL with escapes that E begins. */
static sp_status pass_word(struct lex *lex, struct lex_token *ret_token, struct sp_error *error) {
    if (lower(peek(lex, 0)) == 'e' && peek(lex, 1) == '\'') {
        lex->at++;
        ret_token->kind = LEX_STRING;
        ret_token->dialects = SP_DIALECT_POSTGRESQL;
        return pass_quoted(lex, '\'', true, "a string", error);
    }
    ret_token->kind = LEX_WORD;
    while (goes_on_word(peek(lex, 0))) {
        lex->at++;
    }
    return SP_OK;
}

static void pass_colon(struct lex *lex, struct lex_token *ret_token) {
    lex->at++;
    if (peek(lex, 0) == ':') {
        lex->at++;
        ret_token->kind = LEX_CAST;
        ret_token->dialects = SP_DIALECT_POSTGRESQL;
    } else if (starts_word(peek(lex, 0))) {
        ret_token->kind = LEX_PARAMETER;
        while (starts_word(peek(lex, 0)) || is_digit(peek(lex, 0))) {
            lex->at++;
        }
    }
}

static sp_status pass_token(struct lex *lex, struct lex_token *ret_token, struct sp_error *error) {
    char c = peek(lex, 0);
    size_t tag_len = c == '$' ? dollar_tag(lex) : 0;
    if (starts_word(c)) {
        return pass_word(lex, ret_token, error);
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(lex, 1)))) {
        ret_token->kind = LEX_NUMBER;
        pass_number(lex);
        return SP_OK;
    }
    if (c == '\'') {
        ret_token->kind = LEX_STRING;
        return pass_quoted(lex, c, false, "a string", error);
    }
    if (c == '"' || c == '`') {
        ret_token->kind = LEX_QUOTED;
        ret_token->dialects = c == '`' ? SP_DIALECT_SQLITE : SP_DIALECT_ALL;
        return pass_quoted(lex, c, false, "a name in quotes", error);
    }
    if (tag_len > 0) {
        ret_token->kind = LEX_STRING;
        ret_token->dialects = SP_DIALECT_POSTGRESQL;
        return pass_dollars(lex, tag_len, error);
    }
    if (c == ':') {
        pass_colon(lex, ret_token);
        return SP_OK;
    }
    ret_token->kind = c == ';' ? LEX_SEMICOLON : LEX_OTHER;
    lex->at++;
    return SP_OK;
}

sp_status lex_next(struct lex *lex, struct lex_token *ret_token, struct sp_error *error) {
    *ret_token = (struct lex_token){.kind = LEX_OTHER, .dialects = SP_DIALECT_ALL};
    for (;;) {
        while (is_space(peek(lex, 0))) {
            lex->at++;
        }
        if (peek(lex, 0) == '-' && peek(lex, 1) == '-') {
            if (pass_line(lex, ret_token)) {
                return SP_OK;
            }
        } else if (peek(lex, 0) == '/' && peek(lex, 1) == '*') {
            sp_status status = pass_block(lex, error);
            if (status != SP_OK) {
                return status;
            }
        } else {
            break;
        }
    }
    size_t start = lex->at;
    ret_token->offset = start;
    if (start == lex->text.len) {
        ret_token->kind = LEX_END;
        return SP_OK;
    }
    sp_status status = pass_token(lex, ret_token, error);
    ret_token->text = sp_str_of(lex->text.ptr + start, lex->at - start);
    return status;
}
