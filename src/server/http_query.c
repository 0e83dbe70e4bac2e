#include "server/http_query.h"

#include "server/command.h"

enum { SHOWN_BYTES_MAX = 64 };

static bool is_one_of(sp_str name, const char *const *names) {
    for (; names != NULL && *names != NULL; names++) {
        if (sp_str_eq(name, sp_str_from(*names))) {
            return true;
        }
    }
    return false;
}

static sp_status read_reverse(sp_str value, bool *ret_reverse, struct sp_error *error) {
    bool yes = value.len == 0 || sp_word_is(value, "true") || sp_str_eq(value, SP_STR("1"));
    if (!yes && !sp_word_is(value, "false") && !sp_str_eq(value, SP_STR("0"))) {
        return sp_error_set(error, SP_INVALID, "reverse: expected true or false");
    }
    *ret_reverse = yes;
    return SP_OK;
}

static sp_status read_one(const struct sp_http_pair *pair, struct sp_query_words *read,
                          struct sp_error *error) {
    static const char *const names[] = {"type", "source", "stream", "correlation", "filter",
                                        "from", "until",  "limit",  NULL};
    if (sp_str_eq(pair->name, SP_STR("reverse"))) {
        return read_reverse(pair->value, &read->query.reverse, error);
    }
    if (!is_one_of(pair->name, names)) {
        int len = pair->name.len > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX : (int)pair->name.len;
        return sp_error_set(error, SP_INVALID, "unknown parameter '%.*s'", len,
                            len > 0 ? pair->name.ptr : "");
    }
    return sp_query_words_add(read, pair->name, pair->value, error);
}

sp_status sp_http_query_read(const struct sp_http_request *request, const char *const *others,
                             struct sp_query_words *ret_read, struct sp_error *error) {
    sp_status status = SP_OK;
    sp_query_words_begin(ret_read);
    for (uint32_t i = 0; i < request->query_count && status == SP_OK; i++) {
        if (!is_one_of(request->query[i].name, others)) {
            status = read_one(&request->query[i], ret_read, error);
        }
    }
    return status;
}
