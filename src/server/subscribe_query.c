#include "server/subscribe_query.h"

#include "server/command.h"

static sp_status read_number(const char *word, const char *what, sp_str text, uint64_t *ret_number,
                             struct sp_error *error) {
    int64_t value = 0;
    if (!sp_word_i64(text, &value) || value < 0) {
        return sp_error_set(error, SP_INVALID, "%s %.*s is no %s", word, SP_STR_ARG(text), what);
    }
    *ret_number = (uint64_t)value;
    return SP_OK;
}

static sp_status add_type(struct sp_query_words *read, sp_str pattern, struct sp_error *error) {
    if (read->query.type_count == SP_QUERY_TYPES_MAX) {
        return sp_error_set(error, SP_LIMIT, "more than %d times TYPE", SP_QUERY_TYPES_MAX);
    }
    read->types[read->query.type_count++] = pattern;
    return SP_OK;
}

/* Where the text of a word goes that may be there once; NULL where it is none of them. */
static sp_str *once(struct sp_query_words *read, sp_str word) {
    struct sp_query *query = &read->query;
    const struct {
        const char *word;
        sp_str *to;
    } rows[] = {
        {"source", &query->source},
        {"stream", &query->stream},
        {"correlation", &query->correlation},
        {"filter", &query->filter},
        {"from", &query->from},
        {"until", &query->until},
        {"as", &read->name},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (sp_word_is(word, rows[i].word)) {
            return rows[i].to;
        }
    }
    return NULL;
}

sp_status sp_query_words_add(struct sp_query_words *read, sp_str word, sp_str value,
                             struct sp_error *error) {
    if (sp_word_is(word, "type")) {
        return add_type(read, value, error);
    }
    if (sp_word_is(word, "limit")) {
        return read_number("LIMIT", "number of events", value, &read->query.limit, error);
    }
    if (sp_word_is(word, "version")) {
        return read_number("VERSION", "version", value, &read->query.from_version, error);
    }
    sp_str *to = once(read, word);
    if (to == NULL) {
        return sp_error_set(error, SP_INVALID,
                            "'%.*s' is none of TYPE SOURCE STREAM CORRELATION FILTER FROM UNTIL "
                            "LIMIT REVERSE VERSION PAGE RAW AS",
                            (int)(word.len > 64 ? 64 : word.len), word.len > 0 ? word.ptr : "");
    }
    if (to->ptr != NULL) {
        return sp_error_set(error, SP_INVALID, "%.*s is there twice", SP_STR_ARG(word));
    }
    *to = sp_str_of(value.len > 0 ? value.ptr : "", value.len);
    return SP_OK;
}

void sp_query_words_begin(struct sp_query_words *read) {
    read->query = (struct sp_query){.types = read->types};
    read->name = (sp_str){.ptr = NULL};
    read->paged = false;
    read->raw = false;
}

sp_status sp_query_words_read(const sp_str *words, uint32_t count, struct sp_query_words *ret_read,
                              struct sp_error *error) {
    sp_query_words_begin(ret_read);
    uint32_t at = 0;
    while (at < count) {
        sp_str word = words[at++];
        if (sp_word_is(word, "reverse")) {
            ret_read->query.reverse = true;
            continue;
        }
        if (sp_word_is(word, "raw")) {
            ret_read->raw = true;
            continue;
        }
        if (sp_word_is(word, "page")) {
            ret_read->paged = true;
            continue;
        }
        if (at == count) {
            return sp_error_set(error, SP_INVALID, "nothing follows '%.*s'",
                                (int)(word.len > 64 ? 64 : word.len), word.len > 0 ? word.ptr : "");
        }
        sp_status status = sp_query_words_add(ret_read, word, words[at++], error);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}
