/*
 * Read models as they were, over HTTP. loop-thread
 *
 *     GET /v1/state/{projection}?type=&source=&stream=&correlation=&filter=&from=&until=&limit=
 *                                &by=own|recorded&table=&sql=&diff=A..B&timeout_ms=
 */
#include "server/http_parts.h"
#include "server/http_query.h"
#include "server/states.h"

static const char *const OWN[] = {"by", "diff", "table", "sql", "timeout_ms", NULL};

static sp_status read_words(const struct sp_http_request *request, struct sp_state_words *words,
                            struct sp_error *error) {
    sp_status status = sp_http_query_read(request, OWN, &words->words, error);
    words->projection = sp_http_param(request, "projection");
    for (uint32_t i = 0; i < request->query_count && status == SP_OK; i++) {
        const struct sp_http_pair *pair = &request->query[i];
        (void)!sp_state_words_add(words, pair->name, pair->value, &status, error);
    }
    return status;
}

static enum sp_http_verdict refuse(struct sp_http_request *request, sp_status status,
                                   const struct sp_error *error) {
    switch ((int)status) {
    case SP_INVALID:
        return sp_http_refuse(request, 400, "invalid-query", "%s", error->text);
    case SP_NOT_FOUND:
        return sp_http_refuse(request, 404, "no-such-projection", "%s", error->text);
    default:
        return sp_http_refuse_status(request, status, error);
    }
}

static enum sp_http_verdict on_state(struct sp_http_request *request) {
    struct sp_state_words words = {.timeout_ms = 0};
    struct sp_query_ask ask;
    struct sp_error error;
    if (request->state != NULL) {
        return sp_http_query_go_on(request);
    }
    sp_error_clear(&error);
    sp_status status = read_words(request, &words, &error);
    status = status == SP_OK
                 ? sp_states_ask(request->server, &words, sp_http_query_form(request), &ask, &error)
                 : status;
    return status == SP_OK ? sp_http_query_begin(request, &ask) : refuse(request, status, &error);
}

const struct sp_http_route sp_http_state_routes[] = {
    {SP_HTTP_GET, "/v1/state/{projection}", 0, on_state},
    {.path = NULL},
};
