/*
 * Words of inline commands. A word that has no quotes is a slice of the line; one that has is
 * written, without them, into the reader's own buffer, which is as large as the line before the
 * first word and so does not move.
 */
#include "base/json_escape.h"
#include "proto/resp_parts.h"

struct splitting {
    const char *at;
    const char *end;
    struct sp_buf *words;
};

/* Redis passes all of isspace() before a word, and ends a bare word at fewer. */
static bool is_space_before(char byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool is_space_behind(char byte) {
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

/* The character that a backslash and a letter stand for. */
static char escaped(char letter) {
    switch (letter) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return letter;
    }
}

/* Reads the escape at the backslash within double quotes; at least one byte follows it. */
static void take_escape(struct splitting *s) {
    const char *at = s->at;
    bool hex = s->end - at >= 4 && at[1] == 'x' && sp_json_hex[(uint8_t)at[2]] != 0 &&
               sp_json_hex[(uint8_t)at[3]] != 0;
    if (hex) {
        int high = sp_json_hex[(uint8_t)at[2]] - 1;
        int low = sp_json_hex[(uint8_t)at[3]] - 1;
        sp_buf_add_byte(s->words, (uint8_t)(high << 4 | low));
        s->at += 4;
    } else {
        sp_buf_add_byte(s->words, (uint8_t)escaped(at[1]));
        s->at += 2;
    }
}

/* Reads from the opening quote to behind the closing one; false where that is missing. */
static bool take_quoted(struct splitting *s) {
    char quote = *s->at++;
    while (s->at < s->end) {
        char byte = *s->at;
        bool more = s->end - s->at >= 2;
        if (byte == quote) {
            s->at++;
            return s->at == s->end || is_space_before(*s->at);
        }
        if (byte == '\\' && quote == '"' && more) {
            take_escape(s);
        } else if (byte == '\\' && quote == '\'' && more && s->at[1] == '\'') {
            sp_buf_add_byte(s->words, '\'');
            s->at += 2;
        } else {
            sp_buf_add_byte(s->words, (uint8_t)byte);
            s->at++;
        }
    }
    return false;
}

static bool is_quote(char byte) {
    return byte == '"' || byte == '\'';
}

/* Reads a word up to the space behind it; false where quotes are not balanced. */
static bool take_word(struct splitting *s, sp_str *ret_word) {
    const char *from = s->at;
    while (s->at < s->end && !is_space_behind(*s->at) && !is_quote(*s->at)) {
        s->at++;
    }
    if (s->at == s->end || !is_quote(*s->at)) {
        *ret_word = sp_str_of(from, (size_t)(s->at - from));
        return true;
    }
    size_t mark = s->words->len;
    sp_buf_add(s->words, from, (size_t)(s->at - from));
    if (!take_quoted(s)) {
        return false;
    }
    *ret_word = sp_str_of(s->words->data + mark, s->words->len - mark);
    return true;
}

enum resp_inline_result resp_split_inline(struct sp_resp_reader *reader, sp_str line) {
    const char *zero = line.len > 0 ? memchr(line.ptr, '\0', line.len) : NULL;
    struct splitting s = {
        .at = line.ptr, .end = zero != NULL ? zero : line.ptr + line.len, .words = &reader->words};
    sp_buf_reset(s.words);
    if (sp_buf_reserve(s.words, line.len + 1) == NULL) {
        return RESP_INLINE_NO_MEMORY;
    }
    const uint8_t *home = s.words->data;
    for (;;) {
        while (s.at < s.end && is_space_before(*s.at)) {
            s.at++;
        }
        if (s.at == s.end) {
            sp_ensure(s.words->data == home && s.words->status == SP_OK);
            return RESP_INLINE_DONE;
        }
        sp_str word;
        if (!take_word(&s, &word)) {
            return RESP_INLINE_QUOTES;
        }
        if (!resp_push_arg(reader, word)) {
            return RESP_INLINE_NO_MEMORY;
        }
    }
}
