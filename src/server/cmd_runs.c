/*
 * SPOOR.RUN: runs that are forked, and runs that go on. loop-thread
 *
 *     SPOOR.RUN FORK run at [ID id] [BY who] [REASON text]
 *     SPOOR.RUN RESUME run
 */
#include "engine/forks.h"
#include "server/handlers.h"
#include "server/server.h"

static void write_text(struct sp_resp *reply, const char *name, sp_str value) {
    sp_resp_bulk_text(reply, name);
    sp_resp_bulk(reply, value);
}

static void write_number(struct sp_resp *reply, const char *name, uint64_t value) {
    sp_resp_bulk_text(reply, name);
    sp_resp_unsigned(reply, value);
}

/* Options behind the run and the point; false where one is not known, or stands alone. */
static bool read_options(const struct sp_request *request, struct sp_run_fork *fork) {
    const struct {
        const char *name;
        sp_str *to;
    } rows[] = {{"id", &fork->id}, {"by", &fork->by}, {"reason", &fork->reason}};
    for (size_t at = 4; at < request->argc; at += 2) {
        sp_str *to = NULL;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            to = sp_word_is(request->args[at], rows[i].name) ? rows[i].to : to;
        }
        if (to == NULL || at + 1 == request->argc) {
            return false;
        }
        *to = request->args[at + 1];
    }
    return true;
}

enum sp_verdict sp_on_spoor_run_fork(struct sp_request *request) {
    struct sp_run_fork fork = {.run = request->args[2], .at = request->args[3]};
    struct sp_run_forked forked;
    struct sp_error error;
    if (!read_options(request, &fork)) {
        return sp_reply_error(request, "syntax error, expected ID id, BY who or REASON text");
    }
    sp_error_clear(&error);
    sp_status status = sp_run_fork(request->server->engine, &fork, &forked, &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    struct sp_resp *reply = request->reply;
    sp_resp_map(reply, 5);
    write_text(reply, "correlationid", sp_str_from(forked.run));
    write_number(reply, "position", forked.position);
    write_number(reply, "fork_position", forked.shared);
    write_number(reply, "event_position", forked.event_position);
    write_number(reply, "duplicate", forked.duplicate);
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_run_resume(struct sp_request *request) {
    struct sp_error error;
    uint64_t count = 0;
    sp_error_clear(&error);
    sp_status status = sp_run_resume(request->server->bus, request->args[2], &count, &error);
    if (status != SP_OK) {
        return sp_reply_own_status(request, status, &error);
    }
    sp_resp_unsigned(request->reply, count);
    return SP_DONE;
}
