/*
 * What a statement of a projection file may be: the parts that can be told without a database, with
 * the place in the file. The databases' own guards stand behind this and do not rely on it.
 */
#include "project/definition_int.h"

enum { DEPTH_MAX = 63 }; /* levels of parentheses that are told apart */

void check_begin(struct check *check, sp_str text, bool setup, unsigned dialects) {
    *check = (struct check){.text = text, .setup = setup, .dialects = dialects};
}

static bool one_of(const struct lex_token *token, const char *const *words) {
    for (size_t i = 0; words[i] != NULL; i++) {
        if (lex_is_word(token, words[i])) {
            return true;
        }
    }
    return false;
}

/* Words that begin a statement which changes rows. */
static bool is_change(const struct lex_token *token) {
    static const char *const words[] = {"INSERT", "UPDATE", "DELETE", "REPLACE", NULL};
    return one_of(token, words);
}

static sp_status refuse(const struct check *check, const struct lex_token *token,
                        struct sp_error *error, const char *why) {
    return lex_fail(check->text, token->offset, error, SP_INVALID, "%.*s: %s",
                    SP_STR_ARG(token->text), why);
}

/* The first word: most of what must not be done is told by it. */
static sp_status check_first(struct check *check, const struct lex_token *token,
                             struct sp_error *error) {
    static const char *const transaction[] = {"BEGIN",   "COMMIT", "ROLLBACK", "SAVEPOINT",
                                              "RELEASE", "END",    "START",    NULL};
    check->first = *token;
    check->state = CHECK_REST;
    check->begins_with = lex_is_word(token, "WITH");
    if (is_change(token) || check->begins_with) {
        return SP_OK;
    }
    if (one_of(token, transaction)) {
        return refuse(check, token, error,
                      "no statement may control transactions: all statements of an event and the "
                      "position commit together");
    }
    if (lex_is_word(token, "SELECT")) {
        return refuse(check, token, error,
                      "changes nothing; expected INSERT, UPDATE, DELETE, REPLACE or WITH");
    }
    if (check->setup && lex_is_word(token, "CREATE")) {
        check->state = CHECK_CREATE;
        return SP_OK;
    }
    return refuse(check, token, error,
                  check->setup ? "the set-up may have CREATE TABLE, INDEX, VIEW or VIRTUAL TABLE, "
                                 "INSERT, UPDATE, DELETE, REPLACE and WITH"
                               : "a clause may have INSERT, UPDATE, DELETE, REPLACE and WITH; what "
                                 "makes tables stands before the first `-- spoor: on`");
}

/* Between CREATE and the kind of thing that is made. */
static sp_status check_create(struct check *check, const struct lex_token *token,
                              struct sp_error *error) {
    if (lex_is_word(token, "UNIQUE")) {
        return SP_OK;
    }
    if (lex_is_word(token, "VIRTUAL")) {
        check->virtual_table = true;
        return SP_OK;
    }
    if (lex_is_word(token, "INDEX")) {
        check->state = CHECK_REST;
        return SP_OK;
    }
    if (lex_is_word(token, "TABLE") || lex_is_word(token, "VIEW")) {
        check->view = lex_is_word(token, "VIEW");
        check->state = CHECK_NAME;
        return SP_OK;
    }
    if (lex_is_word(token, "TRIGGER")) {
        return refuse(check, token, error,
                      "triggers are not supported: write what it would do as one more statement of "
                      "the clause");
    }
    if (lex_is_word(token, "TEMP") || lex_is_word(token, "TEMPORARY")) {
        return refuse(check, token, error, "what is temporary would not outlive the process");
    }
    return refuse(check, token, error,
                  "expected TABLE, INDEX, UNIQUE INDEX, VIEW or VIRTUAL TABLE");
}

static bool reserved(sp_str name) {
    return (name.len >= 6 && lex_equals(sp_str_of(name.ptr, 6), "SPOOR_")) ||
           (name.len >= 7 && lex_equals(sp_str_of(name.ptr, 7), "SQLITE_")) ||
           (name.len >= 3 && lex_equals(sp_str_of(name.ptr, 3), "PG_"));
}

static sp_status check_name(struct check *check, const struct lex_token *token,
                            struct sp_error *error) {
    static const char *const before[] = {"IF", "NOT", "EXISTS", NULL};
    if (one_of(token, before)) {
        return SP_OK;
    }
    if (token->kind != LEX_WORD && token->kind != LEX_QUOTED) {
        return refuse(check, token, error, "expected the name of the table or view");
    }
    check->name = *token;
    if (token->kind == LEX_QUOTED) {
        check->name.text = sp_str_of(token->text.ptr + 1, token->text.len - 2);
    }
    sp_str name = check->name.text;
    bool quoted = token->kind == LEX_QUOTED;
    if (name.len == 0 || (quoted && memchr(name.ptr, token->text.ptr[0], name.len) != NULL)) {
        return refuse(check, token, error, "expected a name without quotes in it");
    }
    if (reserved(name)) {
        return refuse(check, token, error,
                      "names that begin with spoor_, sqlite_ or pg_ are not the file's to give");
    }
    check->state = CHECK_NAMED;
    return SP_OK;
}

/* What gives another value each time would make a rebuild another read model. */
static sp_status check_call(const struct check *check, const struct lex_token *function,
                            struct sp_error *error) {
    static const char *const moving[] = {"NOW",
                                         "RANDOM",
                                         "RANDOMBLOB",
                                         "CLOCK_TIMESTAMP",
                                         "TIMEOFDAY",
                                         "GEN_RANDOM_UUID",
                                         "STATEMENT_TIMESTAMP",
                                         "TRANSACTION_TIMESTAMP",
                                         "CHANGES",
                                         "TOTAL_CHANGES",
                                         "LAST_INSERT_ROWID",
                                         "UUID_GENERATE_V4",
                                         "TXID_CURRENT",
                                         "PG_CURRENT_XACT_ID",
                                         NULL};
    static const char *const outside[] = {"LOAD_EXTENSION", "READFILE",       "WRITEFILE",
                                          "EDIT",           "FTS3_TOKENIZER", NULL};
    if (one_of(function, moving)) {
        return refuse(check, function, error,
                      "gives another value each time, so that a rebuild would give other rows; the "
                      "event's own times are :time and :recordedtime");
    }
    if (one_of(function, outside)) {
        return refuse(check, function, error, "reaches outside the read model");
    }
    return SP_OK;
}

static bool is_time_function(const struct lex_token *token) {
    static const char *const words[] = {"DATE",      "TIME",     "DATETIME", "JULIANDAY",
                                        "UNIXEPOCH", "STRFTIME", NULL};
    return one_of(token, words);
}

/* The functions of date and time know the present, as 'now' or where they are asked for nothing. */
static sp_status check_present(const struct check *check, const struct lex_token *token,
                               struct sp_error *error) {
    bool in_time = check->depth <= DEPTH_MAX && (check->time_calls >> check->depth & 1) != 0;
    bool now = token->kind == LEX_STRING && lex_equals(token->text, "'NOW'");
    bool opens = check->last.kind == LEX_OTHER && check->last.text.ptr[0] == '(';
    bool empty = opens && token->kind == LEX_OTHER && token->text.ptr[0] == ')';
    if (in_time && (now || empty)) {
        return refuse(check, token, error,
                      "the present is another one in a rebuild; the event's own times are :time "
                      "and :recordedtime");
    }
    return SP_OK;
}

/* Follows the parentheses, and which of them belong to calls. */
static sp_status check_parentheses(struct check *check, const struct lex_token *token,
                                   struct sp_error *error) {
    char c = token->kind == LEX_OTHER ? token->text.ptr[0] : '\0';
    sp_status status = check_present(check, token, error);
    if (status == SP_OK && c == '(') {
        check->depth++;
        if (check->depth <= DEPTH_MAX) {
            uint64_t bit = UINT64_C(1) << check->depth;
            check->time_calls &= ~bit;
            check->time_calls |= is_time_function(&check->last) ? bit : 0;
        }
        status = check_call(check, &check->last, error);
    }
    if (status == SP_OK && c == ')') {
        if (check->depth == 0) {
            return refuse(check, token, error, "nothing is open here");
        }
        check->depth--;
    }
    return status;
}

/* What only one of the databases reads, in a statement that is for both. */
static sp_status check_dialect(const struct check *check, const struct lex_token *token,
                               struct sp_error *error) {
    if ((check->dialects & ~token->dialects) != 0) {
        bool postgres = token->dialects == SP_DIALECT_POSTGRESQL;
        return lex_fail(check->text, token->offset, error, SP_INVALID,
                        "%s is %s's: write it otherwise%s, or put `-- spoor: only %s` before the "
                        "statement",
                        token->kind == LEX_CAST     ? "a cast with ::"
                        : token->kind == LEX_STRING ? "such a string"
                                                    : "a name in `",
                        postgres ? "PostgreSQL" : "SQLite",
                        token->kind == LEX_CAST ? " (CAST(value AS type))" : "",
                        postgres ? "postgresql" : "sqlite");
    }
    char c = token->kind == LEX_OTHER ? token->text.ptr[0] : '\0';
    bool foreign = c == '$' || ((c == '?' || c == '@') && check->dialects != SP_DIALECT_POSTGRESQL);
    if (foreign) {
        return refuse(check, token, error,
                      "parameters are written with a colon and a name: `:source`");
    }
    return SP_OK;
}

static sp_status check_word(struct check *check, const struct lex_token *token,
                            struct sp_error *error) {
    static const char *const moving[] = {"CURRENT_TIMESTAMP", "CURRENT_DATE",   "CURRENT_TIME",
                                         "LOCALTIME",         "LOCALTIMESTAMP", NULL};
    if (one_of(token, moving)) {
        return refuse(check, token, error,
                      "is another one each time, so that a rebuild would give other rows; the "
                      "event's own times are :time and :recordedtime");
    }
    check->changes = check->changes || is_change(token);
    return SP_OK;
}

sp_status check_token(struct check *check, const struct lex_token *token, struct sp_error *error) {
    sp_status status = check_dialect(check, token, error);
    if (status == SP_OK && token->kind == LEX_PARAMETER && check->setup) {
        status = refuse(check, token, error, "the set-up has no event, and so no parameters");
    }
    if (status == SP_OK && token->kind == LEX_WORD) {
        status = check_word(check, token, error);
    }
    status = status == SP_OK ? check_parentheses(check, token, error) : status;
    if (status != SP_OK) {
        return status;
    }
    switch (check->state) {
    case CHECK_FIRST:
        status = check_first(check, token, error);
        break;
    case CHECK_CREATE:
        status = check_create(check, token, error);
        break;
    case CHECK_NAME:
        status = check_name(check, token, error);
        break;
    case CHECK_NAMED:
        check->state = CHECK_REST;
        if (token->kind == LEX_OTHER && token->text.ptr[0] == '.') {
            status = refuse(check, token, error,
                            "expected the name of a table without that of a schema before it");
        }
        break;
    case CHECK_REST:
        break;
    }
    check->last = *token;
    check->seen++;
    return status;
}

sp_status check_end(struct check *check, struct sp_error *error) {
    if (check->depth != 0) {
        return lex_fail(check->text, check->first.offset, error, SP_INVALID,
                        "%u parentheses of this statement are open at its end", check->depth);
    }
    if (check->state != CHECK_REST && check->state != CHECK_NAMED) {
        return refuse(check, &check->last, error, "the statement ends here; expected more");
    }
    if (check->begins_with && !check->changes) {
        return refuse(check, &check->first, error,
                      "changes nothing; expected INSERT, UPDATE or DELETE in it");
    }
    return SP_OK;
}
