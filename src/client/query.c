#include "client/query.h"

#include "proto/resp_write.h"

enum { WORDS_BYTES_MAX = 16 << 20 };

static void add_word(struct sp_query_text *to, sp_str word) {
    struct sp_resp resp = {.to = &to->words, .version = SP_RESP_3};
    sp_resp_bulk(&resp, word);
    to->count++;
}

static void add_condition(struct sp_query_text *to, const char *name, const char *value) {
    if (value != NULL) {
        add_word(to, sp_str_from(name));
        add_word(to, sp_str_from(value));
    }
}

sp_status sp_query_text_init(struct sp_query_text *to, const spoor_query *query,
                             struct sp_error *error) {
    *to = (struct sp_query_text){.count = 0};
    sp_buf_init(&to->words, WORDS_BYTES_MAX);
    if (query == NULL) {
        return SP_OK;
    }
    if (query->size != sizeof(*query)) {
        return sp_error_set(error, SP_INVALID, "query of %zu bytes: begin with SPOOR_QUERY_INIT",
                            query->size);
    }
    for (size_t i = 0; i < query->type_count; i++) {
        add_condition(to, "TYPE", query->types[i]);
    }
    add_condition(to, "SOURCE", query->source);
    add_condition(to, "STREAM", query->stream);
    add_condition(to, "CORRELATION", query->correlation);
    add_condition(to, "FILTER", query->filter);
    to->from = sp_str_from(query->from);
    to->until = sp_str_from(query->until);
    to->limit = query->limit;
    to->from_version = query->from_version;
    to->reverse = query->reverse != 0;
    return to->words.status == SP_OK
               ? SP_OK
               : sp_error_set(error, to->words.status, "the query is too large");
}

void sp_query_text_fini(struct sp_query_text *of) {
    sp_buf_fini(&of->words);
}

static void add_number(struct sp_resp *resp, const char *name, uint64_t value) {
    if (value != 0) {
        sp_resp_bulk_text(resp, name);
        sp_resp_bulk_unsigned(resp, value);
    }
}

static void add_text(struct sp_resp *resp, const char *name, sp_str value) {
    if (value.ptr != NULL) {
        sp_resp_bulk_text(resp, name);
        sp_resp_bulk(resp, value);
    }
}

void sp_query_encode(struct sp_buf *to, const char *name, const struct sp_query_text *of,
                     const struct sp_query_window *window) {
    struct sp_resp resp = {.to = to, .version = SP_RESP_3};
    uint32_t pairs = (window->from.ptr != NULL) + (uint32_t)(window->until.ptr != NULL) +
                     (window->limit != 0) + (window->version != 0);
    /* The library shows what is stored, over a server as over a folder. */
    uint32_t alone = (uint32_t)!window->no_raw + window->reverse + (uint32_t)window->paged;
    sp_resp_array(&resp, 1 + of->count + 2 * pairs + alone);
    sp_resp_bulk_text(&resp, name);
    sp_buf_add_str(to, sp_buf_str(&of->words));
    if (!window->no_raw) {
        sp_resp_bulk_text(&resp, "RAW");
    }
    add_text(&resp, "FROM", window->from);
    add_text(&resp, "UNTIL", window->until);
    add_number(&resp, "LIMIT", window->limit);
    add_number(&resp, "VERSION", window->version);
    if (window->reverse) {
        sp_resp_bulk_text(&resp, "REVERSE");
    }
    if (window->paged) {
        sp_resp_bulk_text(&resp, "PAGE");
    }
}
