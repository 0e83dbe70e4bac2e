/* SPOOR.STATE: read models as they were, as JSON. */
#include "server/handlers.h"
#include "server/states.h"

/* Words of a query, and a state's own. REVERSE stands alone, and is refused later as a query's. */
static sp_status read_words(const struct sp_request *request, struct sp_state_words *words,
                            struct sp_error *error) {
    sp_status status = SP_OK;
    sp_query_words_begin(&words->words);
    for (uint32_t at = 1; at < request->argc && status == SP_OK; at += 2) {
        sp_str name = request->args[at];
        if (sp_word_is(name, "reverse")) {
            words->words.query.reverse = true;
            at--;
            continue;
        }
        if (at + 1 == request->argc) {
            return sp_error_set(error, SP_INVALID, "'%.*s' needs a value", SP_STR_ARG(name));
        }
        if (!sp_state_words_add(words, name, request->args[at + 1], &status, error)) {
            status = sp_query_words_add(&words->words, name, request->args[at + 1], error);
        }
    }
    if (status == SP_OK && words->projection.len == 0) {
        status = sp_error_set(error, SP_INVALID, "PROJECTION names what is asked for");
    }
    return status;
}

static enum sp_verdict start(struct sp_request *request) {
    struct sp_state_words words = {.timeout_ms = 0};
    struct sp_query_ask ask;
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = read_words(request, &words, &error);
    status = status == SP_OK ? sp_states_ask(request->server, &words, SP_QUERY_RESP, &ask, &error)
                             : status;
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    ask.resp_version = request->reply->version;
    return sp_query_begin(request, &ask);
}

enum sp_verdict sp_on_spoor_state(struct sp_request *request) {
    return sp_query_reply(request, start, false);
}
