/*
 * Reading a projection file: directives, and the statements between them.
 */
#include <stdlib.h>

#include "match/pattern.h"
#include "project/definition_int.h"
#include "record/tree.h"

struct parser {
    struct definition *definition;
    struct lex lex;
    struct lex_token token;
    bool named;              /* the header came */
    struct sp_clause clause; /* the one that is open; no patterns: none is, this is the set-up */
    size_t clause_offset;
    unsigned only;      /* what the next statement is for; 0: nothing was said */
    size_t only_offset; /* where */
};

static sp_status next(struct parser *parser, struct sp_error *error) {
    return lex_next(&parser->lex, &parser->token, error);
}

/* Appends one entry to a list of the definition. */
static sp_status add(struct sp_buf *list, const void *entry, size_t size, struct sp_error *error) {
    sp_buf_add(list, entry, size);
    return list->status == SP_OK ? SP_OK
                                 : sp_error_set(error, list->status, "projection: out of memory");
}

/*
 * ---- directives
 * ----------------------------------------------------------------------------------
 */

/* What is left of a directive. */
struct words {
    sp_str file;
    sp_str rest;
};

static void skip_space(struct words *words) {
    while (words->rest.len > 0 && (words->rest.ptr[0] == ' ' || words->rest.ptr[0] == '\t')) {
        words->rest = sp_str_from_byte(words->rest, 1);
    }
}

/* The next word, which may be empty at the end; `comma` ends one too. */
static sp_str take_word(struct words *words, bool comma) {
    skip_space(words);
    sp_str word = {.ptr = words->rest.ptr, .len = 0};
    while (word.len < words->rest.len && word.ptr[word.len] != ' ' && word.ptr[word.len] != '\t' &&
           !(comma && word.ptr[word.len] == ',')) {
        word.len++;
    }
    words->rest = sp_str_from_byte(words->rest, word.len);
    return word;
}

static size_t offset_of(const struct words *words, sp_str word) {
    return (size_t)(word.ptr - words->file.ptr);
}

static sp_status expect_end(struct words *words, struct sp_error *error) {
    sp_str word = take_word(words, false);
    if (word.len > 0) {
        return lex_fail(words->file, offset_of(words, word), error, SP_INVALID,
                        "expected the end of the line, found `%.*s`", SP_STR_ARG(word));
    }
    return SP_OK;
}

static bool read_version(sp_str word, uint64_t *ret_version) {
    uint64_t version = 0;
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] < '0' || word.ptr[i] > '9' || version > SP_PROJECTION_VERSION_MAX) {
            return false;
        }
        version = version * 10 + (uint64_t)(word.ptr[i] - '0');
    }
    *ret_version = version;
    return version >= 1 && version <= SP_PROJECTION_VERSION_MAX;
}

/* `projection NAME version N` */
static sp_status read_header(struct parser *parser, struct words *words, struct sp_error *error) {
    struct sp_definition *pub = &parser->definition->pub;
    if (parser->named) {
        return lex_fail(words->file, parser->token.offset, error, SP_INVALID,
                        "a second `projection` in one file: one file is one projection");
    }
    sp_str name = take_word(words, false);
    if (!sp_projection_name_valid(name)) {
        return lex_fail(words->file, offset_of(words, name), error, SP_INVALID,
                        "expected the projection's name: a to z, 0 to 9 and _, a letter first, at "
                        "most %d of them; found `%.*s`",
                        SP_PROJECTION_NAME_MAX, SP_STR_ARG(name));
    }
    sp_str word = take_word(words, false);
    if (!sp_str_eq(word, SP_STR("version"))) {
        return lex_fail(words->file, offset_of(words, word), error, SP_INVALID,
                        "expected `version` and a number, found `%.*s`", SP_STR_ARG(word));
    }
    word = take_word(words, false);
    if (!read_version(word, &pub->version)) {
        return lex_fail(words->file, offset_of(words, word), error, SP_INVALID,
                        "expected the version, a number from 1 to %llu; found `%.*s`",
                        (unsigned long long)SP_PROJECTION_VERSION_MAX, SP_STR_ARG(word));
    }
    memcpy(pub->name, name.ptr, name.len);
    parser->named = true;
    return expect_end(words, error);
}

/* `only sqlite`, `only postgresql` */
static sp_status read_only(struct parser *parser, struct words *words, struct sp_error *error) {
    sp_str word = take_word(words, false);
    if (parser->only != 0) {
        return lex_fail(words->file, parser->token.offset, error, SP_INVALID,
                        "a second `only` before one statement");
    }
    parser->only = sp_str_eq(word, SP_STR("sqlite"))       ? SP_DIALECT_SQLITE
                   : sp_str_eq(word, SP_STR("postgresql")) ? SP_DIALECT_POSTGRESQL
                                                           : 0u;
    parser->only_offset = parser->token.offset;
    if (parser->only == 0) {
        return lex_fail(words->file, offset_of(words, word), error, SP_INVALID,
                        "expected `sqlite` or `postgresql`, found `%.*s`", SP_STR_ARG(word));
    }
    return expect_end(words, error);
}

/* Notes a pattern among those that the query asks for, once. */
static sp_status note_pattern(struct parser *parser, sp_str pattern, size_t offset,
                              struct sp_error *error) {
    struct sp_buf *each = &parser->definition->each;
    const sp_str *known = (const sp_str *)(const void *)each->data;
    size_t count = each->len / sizeof(*known);
    for (size_t i = 0; i < count; i++) {
        if (sp_str_eq(known[i], pattern)) {
            return SP_OK;
        }
    }
    if (count == SP_DEFINITION_PATTERNS_MAX) {
        return lex_fail(parser->lex.text, offset, error, SP_LIMIT,
                        "more than %d different patterns in one file", SP_DEFINITION_PATTERNS_MAX);
    }
    return add(each, &pattern, sizeof(pattern), error);
}

static sp_status read_pattern(struct parser *parser, struct words *words, struct sp_error *error) {
    sp_str pattern = take_word(words, true);
    size_t offset = offset_of(words, pattern);
    struct sp_error inner;
    if (pattern.len == 0) {
        return lex_fail(words->file, offset, error, SP_INVALID,
                        "expected a pattern of event types, such as `agent.started` or `agent.#`");
    }
    sp_status status = sp_pattern_check(pattern, &inner);
    if (status != SP_OK) {
        return lex_fail(words->file, offset + inner.offset, error, status, "%s", inner.text);
    }
    status = note_pattern(parser, pattern, offset, error);
    status = status == SP_OK ? add(&parser->definition->patterns, &pattern, sizeof(pattern), error)
                             : status;
    parser->clause.pattern_count++;
    return status;
}

static sp_status read_where(struct parser *parser, struct words *words, struct sp_error *error) {
    skip_space(words);
    struct sp_error inner;
    size_t offset = offset_of(words, words->rest);
    parser->clause.filter_text = words->rest;
    if (words->rest.len == 0) {
        return lex_fail(words->file, offset, error, SP_INVALID,
                        "expected a filter behind `where`: a JSON object on the same line");
    }
    sp_status status = sp_filter_compile(words->rest, &parser->clause.filter, &inner);
    if (status != SP_OK) {
        return lex_fail(words->file, offset + inner.offset, error, status, "%s", inner.text);
    }
    return SP_OK;
}

/* Puts the clause that is open on the list. */
static sp_status close_clause(struct parser *parser, struct sp_error *error) {
    struct sp_clause *clause = &parser->clause;
    if (parser->only != 0) {
        return lex_fail(parser->lex.text, parser->only_offset, error, SP_INVALID,
                        "`only` restricts the statement that follows it, and none follows");
    }
    if (clause->pattern_count == 0) {
        return SP_OK;
    }
    if (clause->statement_count == 0) {
        return lex_fail(parser->lex.text, parser->clause_offset, error, SP_INVALID,
                        "a clause without statements: expected INSERT, UPDATE or DELETE behind it");
    }
    sp_status status = add(&parser->definition->clauses, clause, sizeof(*clause), error);
    if (status == SP_OK) {
        *clause = (struct sp_clause){.filter = NULL}; /* the filter is the list's now */
    }
    return status;
}

/* `on PATTERN, PATTERN where {FILTER}` */
static sp_status read_on(struct parser *parser, struct words *words, struct sp_error *error) {
    sp_status status = close_clause(parser, error);
    size_t count = parser->definition->clauses.len / sizeof(struct sp_clause);
    uint32_t column;
    if (status == SP_OK && count == SP_DEFINITION_CLAUSES_MAX) {
        return lex_fail(words->file, parser->token.offset, error, SP_LIMIT,
                        "more than %d clauses in one file", SP_DEFINITION_CLAUSES_MAX);
    }
    parser->clause_offset = parser->token.offset;
    lex_place(words->file, parser->clause_offset, &parser->clause.line, &column);
    status = status == SP_OK ? read_pattern(parser, words, error) : status;
    while (status == SP_OK) {
        skip_space(words);
        sp_str here = words->rest;
        if (here.len == 0) {
            return SP_OK;
        }
        if (here.ptr[0] == ',') {
            words->rest = sp_str_from_byte(words->rest, 1);
            status = read_pattern(parser, words, error);
        } else if (sp_str_eq(take_word(words, true), SP_STR("where"))) {
            return read_where(parser, words, error);
        } else {
            return lex_fail(words->file, offset_of(words, here), error, SP_INVALID,
                            "expected `,` and a further pattern, `where` and a filter, or the end "
                            "of the line");
        }
    }
    return status;
}

static sp_status read_directive(struct parser *parser, struct sp_error *error) {
    struct words words = {.file = parser->lex.text, .rest = parser->token.text};
    sp_str word = take_word(&words, false);
    if (sp_str_eq(word, SP_STR("projection"))) {
        return read_header(parser, &words, error);
    }
    if (!parser->named) {
        return lex_fail(words.file, parser->token.offset, error, SP_INVALID,
                        "expected `-- spoor: projection NAME version N` before anything else");
    }
    if (sp_str_eq(word, SP_STR("on"))) {
        return read_on(parser, &words, error);
    }
    if (sp_str_eq(word, SP_STR("only"))) {
        return read_only(parser, &words, error);
    }
    return lex_fail(words.file, parser->token.offset, error, SP_INVALID,
                    "expected `projection`, `on` or `only` behind `spoor:`, found `%.*s`",
                    SP_STR_ARG(word));
}

/*
 * ---- statements
 * ----------------------------------------------------------------------------------
 */

/* The number of a parameter within its statement, which is added where it is new. */
static sp_status number_of(struct parser *parser, struct sp_statement *statement,
                           const struct sp_parameter *parameter, uint32_t *ret_number,
                           struct sp_error *error) {
    struct sp_buf *list = &parser->definition->parameters;
    const struct sp_parameter *known = (const struct sp_parameter *)(const void *)list->data;
    size_t first = list->len / sizeof(*known) - statement->parameter_count;
    for (uint32_t i = 0; i < statement->parameter_count; i++) {
        if (sp_str_eq(known[first + i].name, parameter->name)) {
            *ret_number = i + 1;
            return SP_OK;
        }
    }
    if (statement->parameter_count == SP_STATEMENT_PARAMETERS_MAX) {
        return lex_fail(parser->lex.text, parser->token.offset, error, SP_LIMIT,
                        "more than %d different parameters in one statement",
                        SP_STATEMENT_PARAMETERS_MAX);
    }
    *ret_number = ++statement->parameter_count;
    return add(list, parameter, sizeof(*parameter), error);
}

static sp_status add_use(struct parser *parser, struct sp_statement *statement,
                         struct sp_error *error) {
    struct sp_parameter parameter;
    const struct lex_token *token = &parser->token;
    struct sp_parameter_use use = {.offset = (uint32_t)(token->offset - statement->offset),
                                   .length = (uint32_t)token->text.len};
    if (statement->use_count == SP_STATEMENT_USES_MAX) {
        return lex_fail(parser->lex.text, token->offset, error, SP_LIMIT,
                        "more than %d parameters in one statement", SP_STATEMENT_USES_MAX);
    }
    sp_status status = parameter_find(parser->lex.text, token->offset,
                                      sp_str_from_byte(token->text, 1), &parameter, error);
    status =
        status == SP_OK ? number_of(parser, statement, &parameter, &use.number, error) : status;
    statement->use_count++;
    return status == SP_OK ? add(&parser->definition->uses, &use, sizeof(use), error) : status;
}

/* Notes the table that a statement makes; one made for each database apart is one table. */
static sp_status note_table(struct parser *parser, const struct check *check,
                            struct sp_error *error) {
    struct sp_buf *list = &parser->definition->tables;
    struct sp_definition_table *known = (struct sp_definition_table *)(void *)list->data;
    size_t count = list->len / sizeof(*known);
    for (size_t i = 0; i < count; i++) {
        if (sp_str_eq(known[i].name, check->name.text)) {
            known[i].dialects |= check->dialects;
            return SP_OK;
        }
    }
    if (count == SP_DEFINITION_TABLES_MAX) {
        return lex_fail(parser->lex.text, check->name.offset, error, SP_LIMIT,
                        "more than %d tables and views in one file", SP_DEFINITION_TABLES_MAX);
    }
    struct sp_definition_table table = {
        .name = check->name.text,
        .dialects = check->dialects,
        .view = check->view,
        .virtual_table = check->virtual_table,
    };
    return add(list, &table, sizeof(table), error);
}

/* Reads on to the end of the statement whose first token has come. */
static sp_status read_tokens(struct parser *parser, struct sp_statement *statement,
                             struct check *check, struct sp_error *error) {
    sp_status status = SP_OK;
    while (status == SP_OK && parser->token.kind != LEX_SEMICOLON &&
           parser->token.kind != LEX_END) {
        const struct lex_token *token = &parser->token;
        if (token->kind == LEX_DIRECTIVE) {
            return lex_fail(parser->lex.text, token->offset, error, SP_INVALID,
                            "a directive within a statement: expected `;` at the end of the "
                            "statement of line %u",
                            statement->line);
        }
        statement->text.len = token->offset + token->text.len - statement->offset;
        status = check_token(check, token, error);
        if (status == SP_OK && token->kind == LEX_PARAMETER) {
            status = add_use(parser, statement, error);
        }
        status = status == SP_OK ? next(parser, error) : status;
    }
    return status == SP_OK ? check_end(check, error) : status;
}

static sp_status read_statement(struct parser *parser, struct sp_error *error) {
    struct definition *definition = parser->definition;
    size_t offset = parser->token.offset;
    sp_str text = parser->lex.text;
    if (!parser->named) {
        return lex_fail(text, offset, error, SP_INVALID,
                        "expected `-- spoor: projection NAME version N` before anything else");
    }
    if (definition->statements.len / sizeof(struct sp_statement) == SP_DEFINITION_STATEMENTS_MAX) {
        return lex_fail(text, offset, error, SP_LIMIT, "more than %d statements in one file",
                        SP_DEFINITION_STATEMENTS_MAX);
    }
    struct sp_statement statement = {
        .text = {.ptr = text.ptr + offset, .len = 0},
        .dialects = parser->only != 0 ? parser->only : (unsigned)SP_DIALECT_ALL,
        .offset = offset,
    };
    struct check check;
    bool setup = parser->clause.pattern_count == 0;
    parser->only = 0;
    lex_place(text, offset, &statement.line, &statement.column);
    check_begin(&check, text, setup, statement.dialects);
    sp_status status = read_tokens(parser, &statement, &check, error);
    if (status == SP_OK && statement.text.len > SP_STATEMENT_BYTES_MAX) {
        return lex_fail(text, offset, error, SP_LIMIT, "a statement of more than %d bytes",
                        SP_STATEMENT_BYTES_MAX);
    }
    if (status == SP_OK && check.name.text.len > 0) {
        status = note_table(parser, &check, error);
    }
    definition->pub.setup_count += setup ? 1 : 0;
    parser->clause.statement_count += setup ? 0 : 1;
    return status == SP_OK ? add(&definition->statements, &statement, sizeof(statement), error)
                           : status;
}

/*
 * ---- the whole
 * -----------------------------------------------------------------------------------
 */

static sp_status read_end(struct parser *parser, struct sp_error *error) {
    struct definition *definition = parser->definition;
    sp_str text = parser->lex.text;
    if (!parser->named) {
        return lex_fail(text, 0, error, SP_INVALID,
                        "no projection: expected `-- spoor: projection NAME version N`");
    }
    sp_status status = close_clause(parser, error);
    if (status == SP_OK && definition->tables.len == 0) {
        return lex_fail(text, text.len, error, SP_INVALID,
                        "no table: expected CREATE TABLE before the first `-- spoor: on`");
    }
    if (status == SP_OK && definition->clauses.len == 0) {
        return lex_fail(text, text.len, error, SP_INVALID,
                        "no clause: expected `-- spoor: on PATTERN` and what to do then");
    }
    return status;
}

static sp_status read_file(struct parser *parser, struct sp_error *error) {
    sp_status status = lex_check_text(parser->lex.text, error);
    for (;;) {
        status = status == SP_OK ? next(parser, error) : status;
        if (status != SP_OK) {
            return status;
        }
        switch (parser->token.kind) {
        case LEX_END:
            return read_end(parser, error);
        case LEX_SEMICOLON:
            break;
        case LEX_DIRECTIVE:
            status = read_directive(parser, error);
            break;
        case LEX_WORD:
        case LEX_QUOTED:
        case LEX_STRING:
        case LEX_NUMBER:
        case LEX_PARAMETER:
        case LEX_CAST:
        case LEX_OTHER:
            status = read_statement(parser, error);
            break;
        }
    }
}

/* Now that no list moves any more, what points into them can point. */
static void settle(struct definition *definition) {
    struct sp_definition *pub = &definition->pub;
    struct sp_statement *statements = (struct sp_statement *)(void *)definition->statements.data;
    struct sp_clause *clauses = (struct sp_clause *)(void *)definition->clauses.data;
    const struct sp_parameter *parameter =
        (const struct sp_parameter *)(const void *)definition->parameters.data;
    const struct sp_parameter_use *use =
        (const struct sp_parameter_use *)(const void *)definition->uses.data;
    const sp_str *pattern = (const sp_str *)(const void *)definition->patterns.data;
    pub->statements = statements;
    pub->statement_count = (uint32_t)(definition->statements.len / sizeof(*statements));
    for (uint32_t i = 0; i < pub->statement_count; i++) {
        if (statements[i].use_count > 0) { /* else the lists may not be there at all */
            statements[i].parameters = parameter;
            statements[i].uses = use;
            parameter += statements[i].parameter_count;
            use += statements[i].use_count;
        }
    }
    const struct sp_statement *statement = statements + pub->setup_count;
    pub->clauses = clauses;
    pub->clause_count = (uint32_t)(definition->clauses.len / sizeof(*clauses));
    for (uint32_t i = 0; i < pub->clause_count; i++) {
        clauses[i].patterns = pattern;
        clauses[i].statements = statement;
        pattern += clauses[i].pattern_count;
        statement += clauses[i].statement_count;
    }
    sp_ensure(statement == statements + pub->statement_count);
    pub->patterns = (const sp_str *)(const void *)definition->each.data;
    pub->pattern_count = (uint32_t)(definition->each.len / sizeof(sp_str));
    pub->tables = (const struct sp_definition_table *)(const void *)definition->tables.data;
    pub->table_count = (uint32_t)(definition->tables.len / sizeof(struct sp_definition_table));
}

static struct definition *definition_new(sp_str text) {
    struct definition *definition = calloc(1, sizeof(*definition));
    if (definition == NULL) {
        return NULL;
    }
    const size_t most = (size_t)64 << 20; /* far above what the limits of the lists come to */
    struct sp_buf *lists[] = {&definition->text, &definition->statements, &definition->parameters,
                              &definition->uses, &definition->clauses,    &definition->patterns,
                              &definition->each, &definition->tables};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        sp_buf_init(lists[i], most);
    }
    atomic_init(&definition->pub.refs, 1);
    sp_buf_add_str(&definition->text, text);
    sp_buf_add_byte(&definition->text, '\0');
    if (definition->text.status != SP_OK) {
        sp_definition_unref(&definition->pub);
        return NULL;
    }
    definition->pub.text = sp_str_of(definition->text.data, text.len);
    sp_sha256(definition->text.data, text.len, definition->pub.sha256);
    return definition;
}

sp_status sp_definition_parse(sp_str text, struct sp_definition **ret_definition,
                              struct sp_error *error) {
    if (text.len > SP_DEFINITION_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "a projection file of %zu bytes, at most %d", text.len,
                            SP_DEFINITION_BYTES_MAX);
    }
    struct definition *definition = definition_new(text);
    if (definition == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "projection: out of memory");
    }
    struct parser parser = {.definition = definition, .lex = {.text = definition->pub.text}};
    sp_status status = read_file(&parser, error);
    sp_filter_free(parser.clause.filter); /* of a clause that was not closed */
    if (status != SP_OK) {
        sp_definition_unref(&definition->pub);
        return status;
    }
    settle(definition);
    *ret_definition = &definition->pub;
    return SP_OK;
}
