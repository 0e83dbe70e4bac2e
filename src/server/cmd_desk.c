/*
 * SPOOR.SAGA, SPOOR.APPROVAL, SPOOR.JOIN, SPOOR.SCHEDULE and SPOOR.TIMER: what can be asked, and by
 * which words, is the desk's to say (api/desk.h). loop-thread
 *
 * One thing is told as one JSON text, a list as an array of them.
 */
#include "api/desk.h"
#include "server/handlers.h"
#include "server/server.h"

enum { PREFIX_LEN = sizeof("SPOOR.") - 1 };

static void write_rows(struct sp_request *request, const struct sp_desk_answer *answer) {
    sp_str rest = sp_buf_str(&answer->text);
    struct sp_resp_open open = sp_resp_open_array(request->reply, answer->row_count);
    for (uint32_t i = 0; i < answer->row_count; i++) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        sp_require(end != NULL);
        size_t len = (size_t)(end - rest.ptr);
        sp_resp_bulk(request->reply, sp_str_of(rest.ptr, len));
        rest = sp_str_from_byte(rest, len + 1);
    }
    sp_resp_close(request->reply, open, answer->row_count);
}

static enum sp_verdict answer_request(struct sp_request *request,
                                      const struct sp_desk_request *asked,
                                      struct sp_desk_answer *answer) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status =
        sp_desk_ask(request->server->engine, asked, sp_connection_source(request->connection),
                    request->server->wall_ms * 1000, answer, &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    request->appended = answer->changed;
    if (asked->verb->rows != NULL) {
        write_rows(request, answer);
    } else {
        sp_resp_bulk(request->reply, sp_buf_str(&answer->text));
    }
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_desk(struct sp_request *request) {
    struct sp_desk_request asked;
    struct sp_desk_answer answer;
    struct sp_error error;
    sp_str desk = sp_str_from_byte(request->args[0], PREFIX_LEN);
    const struct sp_desk_verb *verb = sp_desk_find(desk, request->args[1]);
    sp_require(verb != NULL); /* a test holds the two tables together */
    sp_error_clear(&error);
    sp_status status = sp_desk_read(verb, request->args + 2, request->argc - 2, &asked, &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    sp_desk_answer_init(&answer);
    enum sp_verdict verdict = answer_request(request, &asked, &answer);
    sp_desk_answer_fini(&answer);
    return verdict;
}
