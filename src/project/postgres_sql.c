#include "project/postgres_sql.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "project/definition_lex.h"

/* ---- what is refused ---- */

static bool begins(sp_str name, const char *word) {
    size_t len = strlen(word);
    return name.len >= len && lex_equals(sp_str_of(name.ptr, len), word);
}

/* Functions that read files, end sessions, take locks, change settings or run SQL from a string. */
static bool reaches_outside(sp_str name) {
    static const char *const prefixes[] = {
        "pg_",          "lo_",           "dblink",          "query_to_xml", "cursor_to_xml",
        "table_to_xml", "schema_to_xml", "database_to_xml", "ts_stat"};
    static const char *const names[] = {"set_config", "nextval",    "setval",  "loread",
                                        "lowrite",    "ts_rewrite", "currval", "lastval"};
    static const char *const harmless[] = {"pg_typeof", "pg_column_size", "pg_size_pretty"};
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
        if (lex_equals(name, harmless[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (lex_equals(name, names[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (begins(name, prefixes[i])) {
            return true;
        }
    }
    return false;
}

static sp_str bare(const struct lex_token *token) {
    bool quoted = token->kind == LEX_QUOTED && token->text.len >= 2;
    return quoted ? sp_str_of(token->text.ptr + 1, token->text.len - 2) : token->text;
}

/* U&"…" and U&'…' may spell any name or text in escapes, past whoever reads them here. */
static bool is_disguised(sp_str text, const struct lex_token *token) {
    return (token->kind == LEX_QUOTED || token->kind == LEX_STRING) && token->offset >= 2 &&
           text.ptr[token->offset - 1] == '&' && (text.ptr[token->offset - 2] | 0x20) == 'u';
}

static sp_status check_one(sp_str text, const struct lex_token *before,
                           const struct lex_token *token, struct sp_error *error) {
    if (is_disguised(text, token)) {
        return lex_fail(text, token->offset - 2, error, SP_DENIED,
                        "names and strings with U& are not allowed here");
    }
    bool call = token->kind == LEX_OTHER && token->text.ptr[0] == '(' &&
                (before->kind == LEX_WORD || before->kind == LEX_QUOTED);
    if (call && reaches_outside(bare(before))) {
        return lex_fail(text, before->offset, error, SP_DENIED,
                        "%.*s: this function reaches outside the read models",
                        SP_STR_ARG(before->text));
    }
    return SP_OK;
}

sp_status sp_pg_sql_check(sp_str text, struct sp_error *error) {
    struct lex lex = {.text = text};
    struct lex_token before = {.kind = LEX_END};
    for (;;) {
        struct lex_token token;
        sp_status status = lex_next(&lex, &token, error);
        status = status == SP_OK ? check_one(text, &before, &token, error) : status;
        if (status != SP_OK || token.kind == LEX_END) {
            return status;
        }
        before = token;
    }
}

/* ---- places ---- */

static bool starts_character(char byte) {
    return ((uint8_t)byte & 0xc0) != 0x80;
}

static uint64_t digits_of(uint32_t number) {
    uint64_t digits = 1;
    for (; number >= 10; number /= 10) {
        digits++;
    }
    return digits;
}

size_t sp_pg_place(sp_str text, const struct sp_parameter_use *uses, uint32_t use_count,
                   uint64_t place) {
    uint64_t character = 1; /* of the text that PostgreSQL saw */
    uint32_t use = 0;
    for (size_t at = 0; at < text.len;) {
        uint64_t width = 1;
        size_t length = 1;
        if (use < use_count && uses[use].offset == at) {
            width = 1 + digits_of(uses[use].number);
            length = uses[use].length;
            use++;
        }
        while (at + length < text.len && !starts_character(text.ptr[at + length])) {
            length++;
        }
        if (place < character + width) {
            return at;
        }
        character += width;
        at += length;
    }
    return text.len;
}

/* ---- text ---- */

void sp_pg_text_add(struct sp_buf *to, sp_str text) {
    bool clean = sp_utf8_valid(text) && (text.len == 0 || memchr(text.ptr, '\0', text.len) == NULL);
    if (SP_LIKELY(clean)) {
        sp_buf_add_str(to, text);
        return;
    }
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; at < end;) {
        uint32_t code = 0;
        size_t len = sp_utf8_decode(at, end, &code);
        if (len == 0 || code == 0) {
            sp_buf_add_str(to, SP_STR("\xef\xbf\xbd"));
            at++;
        } else {
            sp_buf_add(to, at, len);
            at += len;
        }
    }
}

void sp_pg_json_add(struct sp_buf *to, sp_str json) {
    const char *end = json.ptr + json.len;
    const char *from = json.ptr;
    for (const char *at = json.ptr; at < end;) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        if (escape == NULL || end - escape < 2) {
            break;
        }
        at = escape + 2; /* a backslash and what it escapes */
        if (escape[1] == 'u' && end - escape >= 6 && memcmp(escape + 2, "0000", 4) == 0) {
            sp_buf_add(to, from, (size_t)(escape - from));
            sp_buf_add_str(to, SP_STR("\\ufffd"));
            from = escape + 6;
            at = from;
        }
    }
    sp_buf_add(to, from, (size_t)(end - from));
}

sp_str sp_pg_text_cut(sp_str text, size_t bytes_max) {
    if (text.len <= bytes_max) {
        return text;
    }
    while (bytes_max > 0 && !starts_character(text.ptr[bytes_max])) {
        bytes_max--;
    }
    return sp_str_of(text.ptr, bytes_max);
}

/* ---- queries ---- */

/* What the reading of a query goes through. */
struct reading {
    struct sp_pg_query *query;
    sp_str text;
    uint32_t params_max;
    uint32_t copied;       /* of the text, so many bytes are written */
    struct lex_token mark; /* a `?` whose number may follow */
    bool marked;
};

static sp_status add_use(struct reading *reading, size_t offset, size_t length, uint32_t number,
                         struct sp_error *error) {
    struct sp_pg_query *query = reading->query;
    if (number == 0 || number > reading->params_max || query->use_count == SP_PG_QUERY_USES_MAX) {
        return lex_fail(reading->text, offset, error, SP_LIMIT,
                        "more than %u parameters, or %d places where they stand",
                        (unsigned)reading->params_max, SP_PG_QUERY_USES_MAX);
    }
    query->uses[query->use_count++] = (struct sp_parameter_use){
        .offset = (uint32_t)offset, .length = (uint32_t)length, .number = number};
    query->param_count = number > query->param_count ? number : query->param_count;
    sp_buf_add(&query->text, reading->text.ptr + reading->copied, offset - reading->copied);
    sp_buf_add_byte(&query->text, '$');
    sp_buf_add_u64(&query->text, number);
    reading->copied = (uint32_t)(offset + length);
    return SP_OK;
}

static uint32_t number_of_name(struct reading *reading, sp_str name) {
    struct sp_pg_query *query = reading->query;
    for (uint32_t i = 0; i < query->param_count; i++) {
        if (sp_str_eq(query->names[i], name)) {
            return i + 1;
        }
    }
    if (query->param_count < reading->params_max) {
        query->names[query->param_count] = name;
    }
    return query->param_count + 1;
}

/* The `?` before is complete: with the number that stands right behind it, or without. */
static sp_status end_mark(struct reading *reading, const struct lex_token *token, bool *ret_taken,
                          struct sp_error *error) {
    *ret_taken = false;
    if (!reading->marked) {
        return SP_OK;
    }
    reading->marked = false;
    size_t offset = reading->mark.offset;
    uint32_t number = reading->query->param_count + 1;
    size_t length = 1;
    if (token->kind == LEX_NUMBER && token->offset == offset + 1) {
        *ret_taken = true;
        length += token->text.len;
        number = 0;
        for (size_t i = 0; i < token->text.len; i++) {
            char c = token->text.ptr[i];
            if (c < '0' || c > '9' || number > reading->params_max) {
                return lex_fail(reading->text, offset, error, SP_INVALID,
                                "?%.*s: expected a parameter's number, 1 to %u",
                                SP_STR_ARG(token->text), (unsigned)reading->params_max);
            }
            number = number * 10 + (uint32_t)(c - '0');
        }
    }
    return add_use(reading, offset, length, number, error);
}

static sp_status read_token(struct reading *reading, const struct lex_token *token,
                            struct sp_error *error) {
    bool taken = false;
    sp_status status = end_mark(reading, token, &taken, error);
    if (status != SP_OK || taken) {
        return status;
    }
    if (token->kind == LEX_OTHER && token->text.ptr[0] == '$') {
        return lex_fail(reading->text, token->offset, error, SP_INVALID,
                        "parameters are written `:name`, `?` or `?1`");
    }
    if (token->kind == LEX_OTHER && token->text.ptr[0] == '?') {
        reading->mark = *token;
        reading->marked = true;
        return SP_OK;
    }
    if (token->kind == LEX_PARAMETER) {
        sp_str name = sp_str_from_byte(token->text, 1);
        return add_use(reading, token->offset, token->text.len, number_of_name(reading, name),
                       error);
    }
    return SP_OK;
}

static sp_status check_first(sp_str text, const struct lex_token *token, struct sp_error *error) {
    static const char *const words[] = {"SELECT", "WITH", "VALUES", "TABLE", "EXPLAIN"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (lex_is_word(token, words[i])) {
            return SP_OK;
        }
    }
    if (token->kind == LEX_OTHER && token->text.ptr[0] == '(') {
        return SP_OK;
    }
    if (token->kind == LEX_END) {
        return sp_error_set(error, SP_INVALID, "there is no statement");
    }
    return lex_fail(text, token->offset, error, SP_DENIED,
                    "%.*s: a query only reads; it begins with SELECT, WITH, VALUES, TABLE or "
                    "EXPLAIN",
                    SP_STR_ARG(token->text));
}

static sp_status read_query(struct reading *reading, struct sp_error *error) {
    struct lex lex = {.text = reading->text};
    struct lex_token before = {.kind = LEX_END};
    bool first = true;
    for (;;) {
        struct lex_token token;
        sp_status status = lex_next(&lex, &token, error);
        if (status == SP_OK && token.kind == LEX_DIRECTIVE) {
            continue;
        }
        status = status == SP_OK && first ? check_first(reading->text, &token, error) : status;
        status = status == SP_OK ? check_one(reading->text, &before, &token, error) : status;
        status = status == SP_OK ? read_token(reading, &token, error) : status;
        if (status != SP_OK || token.kind == LEX_END) {
            return status;
        }
        first = false;
        before = token;
    }
}

sp_status sp_pg_query_init(struct sp_pg_query *to, sp_str text, uint32_t params_max,
                           struct sp_error *error) {
    *to = (struct sp_pg_query){0};
    sp_buf_init(&to->text, 2 * text.len + 16 * (size_t)SP_PG_QUERY_USES_MAX);
    to->uses = calloc(SP_PG_QUERY_USES_MAX, sizeof(*to->uses));
    to->names = calloc((size_t)params_max + 1, sizeof(*to->names));
    struct reading reading = {.query = to, .text = text, .params_max = params_max};
    sp_status status = to->uses == NULL || to->names == NULL
                           ? sp_error_set(error, SP_NO_MEMORY, "no memory for a query")
                           : lex_check_text(text, error);
    status = status == SP_OK ? read_query(&reading, error) : status;
    if (status == SP_OK) {
        sp_buf_add(&to->text, text.ptr + reading.copied, text.len - reading.copied);
        sp_buf_add_byte(&to->text, '\0');
        status = to->text.status;
    }
    if (status != SP_OK) {
        sp_pg_query_fini(to);
    }
    return status;
}

void sp_pg_query_fini(struct sp_pg_query *from) {
    sp_buf_fini(&from->text);
    free(from->uses);
    free(from->names);
    *from = (struct sp_pg_query){0};
}
