/* Sagas: starting them, which are running, and what people ask of them. */
#include <stdio.h>
#include <string.h>

#include "api/desk_int.h"
#include "base/json.h"
#include "engine/query.h"
#include "flow/flow.h"
#include "flow/members.h"
#include "flow/saga.h"

static const struct sp_sagas *sagas_of(const struct sp_desk_call *call) {
    return sp_flow_sagas(sp_engine_flow(call->engine));
}

/* ---- start, fork ----------------------------------------------------------------------------- */

static void tell_started(struct sp_desk_call *call, const struct sp_engine_saga_started *started) {
    struct sp_buf *to = &call->answer->text;
    call->answer->changed = call->answer->created = !started->duplicate;
    sp_buf_add_byte(to, '{');
    desk_add_text(to, "sagaid", sp_str_from(started->sagaid));
    desk_add_u64(to, "position", started->position);
    if (started->duplicate) {
        desk_add_bool(to, "known", true);
    }
    sp_buf_add_byte(to, '}');
}

sp_status desk_saga_start(struct sp_desk_call *call, struct sp_error *error) {
    struct sp_engine_saga_started started;
    const struct sp_engine_saga_start start = {
        .name = call->request->subject,
        .data = desk_option(call, SP_DESK_DATA),
        .key = desk_option(call, SP_DESK_KEY),
        .correlation = desk_option(call, SP_DESK_CORRELATION),
        .causation = desk_option(call, SP_DESK_CAUSATION),
        .by = call->by,
    };
    sp_status status = desk_check_json(start.data, "data", error);
    if (status == SP_OK) {
        status = sp_engine_saga_start(call->engine, &start, &started, error);
    }
    if (status == SP_OK) {
        tell_started(call, &started);
    }
    return status;
}

sp_status desk_saga_fork(struct sp_desk_call *call, struct sp_error *error) {
    struct sp_engine_saga_started started;
    const struct sp_engine_saga_fork fork = {
        .sagaid = call->request->subject,
        .at = desk_option(call, SP_DESK_STEP),
        .data = desk_option(call, SP_DESK_DATA),
        .by = call->by,
    };
    sp_status status = desk_check_json(fork.data, "data", error);
    if (status == SP_OK) {
        status = sp_engine_saga_fork(call->engine, &fork, &started, error);
    }
    if (status == SP_OK) {
        tell_started(call, &started);
    }
    return status;
}

/* ---- requests -------------------------------------------------------------------------------- */

static sp_status ask(struct sp_desk_call *call, enum sp_engine_saga_ask what, const char *name,
                     struct sp_error *error) {
    uint64_t position = 0;
    struct sp_buf *to = &call->answer->text;
    const struct sp_engine_saga_request request = {
        .ask = what,
        .sagaid = call->request->subject,
        .step = desk_option(call, SP_DESK_STEP),
        .by = call->by,
        .why = desk_option(call, SP_DESK_REASON),
        .result = desk_option(call, SP_DESK_DATA),
    };
    sp_status status = desk_check_json(request.result, "result", error);
    if (status == SP_OK) {
        status = sp_engine_saga_request(call->engine, &request, &position, error);
    }
    if (status == SP_OK) {
        call->answer->changed = true;
        sp_buf_add_byte(to, '{');
        desk_add_text(to, "sagaid", request.sagaid);
        desk_add_text(to, "asked", sp_str_from(name));
        desk_add_u64(to, "position", position);
        sp_buf_add_byte(to, '}');
    }
    return status;
}

sp_status desk_saga_request(struct sp_desk_call *call, struct sp_error *error) {
    static const struct {
        const char *verb;
        enum sp_engine_saga_ask ask;
    } ASKS[] = {
        {"cancel", SP_ENGINE_SAGA_CANCEL},
        {"retry", SP_ENGINE_SAGA_RETRY},
        {"skip", SP_ENGINE_SAGA_SKIP},
        {"done", SP_ENGINE_SAGA_MARK_DONE},
        {"compensate", SP_ENGINE_SAGA_COMPENSATE},
    };
    for (size_t i = 0; i < sizeof(ASKS) / sizeof(*ASKS); i++) {
        if (strcmp(call->request->verb->name, ASKS[i].verb) == 0) {
            return ask(call, ASKS[i].ask, ASKS[i].verb, error);
        }
    }
    sp_never();
}

/*
 * What stands still for a person goes on; what has ended unfinished goes on in a fork, from the
 * step that failed.
 */
sp_status desk_saga_resume(struct sp_desk_call *call, struct sp_error *error) {
    struct sp_saga_info info;
    return sp_sagas_find(sagas_of(call), call->request->subject, &info)
               ? ask(call, SP_ENGINE_SAGA_RETRY, "retry", error)
               : desk_saga_fork(call, error);
}

/* ---- ls -------------------------------------------------------------------------------------- */

struct saga_list {
    struct sp_desk_call *call;
    struct desk_page page;
};

static bool is_wanted(const struct sp_desk_call *call, const struct sp_saga_info *info) {
    sp_str name = desk_option(call, SP_DESK_NAME);
    sp_str status = desk_option(call, SP_DESK_STATUS);
    sp_str step = desk_option(call, SP_DESK_STEP);
    sp_str waiting = desk_option(call, SP_DESK_WAITING);
    return (name.len == 0 || sp_str_eq(name, info->name)) &&
           (status.len == 0 || sp_str_eq(status, info->status)) &&
           (step.len == 0 || sp_str_eq(step, sp_str_from(info->step))) &&
           (waiting.len == 0 || sp_str_eq(waiting, sp_saga_waiting_name(info->waiting)));
}

static bool note_saga(void *context, const struct sp_saga_info *info) {
    struct saga_list *list = context;
    if (is_wanted(list->call, info)) {
        desk_page_note(&list->page, info->started_position);
    }
    return !list->page.failed;
}

static void add_if(struct sp_buf *to, const char *name, sp_str text) {
    if (text.len > 0) {
        desk_add_text(to, name, text);
    }
}

enum { KEYS_MAX = 100 }; /* of a page: each is read from the log */

/* The key by which it was started: in its first event alone, not in memory. */
static void add_key(struct sp_desk_call *call, uint64_t position) {
    struct sp_buf scratch;
    struct sp_member key = {.name = "key"};
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = desk_open_at(call, position, &cursor);
    sp_buf_init(&scratch, DESK_ANSWER_BYTES_MAX);
    if (event != NULL && sp_members_of(event, &key, 1, &scratch) == SP_OK) {
        add_if(&call->answer->text, "key", sp_member_text(&key));
    }
    sp_buf_fini(&scratch);
    sp_cursor_close(cursor);
}

static bool write_saga(void *context, const struct sp_saga_info *info) {
    struct saga_list *list = context;
    struct sp_buf *to = &list->call->answer->text;
    if (!is_wanted(list->call, info) || !desk_page_has(&list->page, info->started_position)) {
        return true;
    }
    sp_buf_add_byte(to, '{');
    desk_add_text(to, "sagaid", sp_str_from(info->id));
    desk_add_text(to, "saga", info->name);
    add_if(to, "version", info->version);
    desk_add_text(to, "status", info->status);
    add_if(to, "step", sp_str_from(info->step));
    add_if(to, "waiting_for", sp_saga_waiting_name(info->waiting));
    desk_add_time(to, "due", info->due_us);
    desk_add_time(to, "timeout_at", info->timeout_us);
    desk_add_time(to, "started", info->started_us);
    if (list->call->request->limit <= KEYS_MAX) {
        add_key(list->call, info->started_position);
    }
    desk_add_u64(to, "open", info->open_count);
    desk_add_u64(to, "stuck", info->stuck_count);
    desk_add_u64(to, "position", info->started_position);
    sp_buf_add_byte(to, '}');
    desk_end_row(list->call);
    return to->status == SP_OK;
}

/* What a filter may be: a word that no saga can have finds nothing, and is a mistake. */
static sp_status check_filter(struct sp_desk_call *call, enum sp_desk_option option,
                              const char *name, const char *const *words, struct sp_error *error) {
    char list[160] = "";
    size_t len = 0;
    sp_str value = desk_option(call, option);
    bool known = value.len == 0;
    for (size_t i = 0; words[i] != NULL && len < sizeof(list); i++) {
        known = known || sp_str_eq(value, sp_str_from(words[i]));
        len +=
            (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    return known ? SP_OK
                 : sp_error_set(error, SP_INVALID, "%s: expected one of %s, found '%.*s'", name,
                                list, value.len > 32 ? 32 : (int)value.len, value.ptr);
}

static sp_status check_filters(struct sp_desk_call *call, struct sp_error *error) {
    static const char *const STATUSES[] = {
        "running", "waiting", "cancelling", "failing", "compensating", "needs_attention", NULL};
    static const char *const WAITS[] = {"worker", "timer", "approval", "event",
                                        "join",   "limit", "operator", NULL};
    if (sp_desk_asks_ended(call->request)) {
        return sp_error_set(error, SP_INVALID,
                            "status: those that have ended are in the read model sagas: ask for "
                            "them with SQL, or GET /v1/sagas");
    }
    sp_status status = check_filter(call, SP_DESK_STATUS, "status", STATUSES, error);
    return status == SP_OK ? check_filter(call, SP_DESK_WAITING, "waiting", WAITS, error) : status;
}

sp_status desk_saga_ls(struct sp_desk_call *call, struct sp_error *error) {
    struct saga_list list = {.call = call};
    sp_status status = check_filters(call, error);
    status = status == SP_OK ? desk_page_begin(call, &list.page, error) : status;
    if (status == SP_OK) {
        sp_sagas_each(sagas_of(call), note_saga, &list);
        status = desk_page_cut(call, &list.page, error);
    }
    if (status == SP_OK) {
        sp_sagas_each(sagas_of(call), write_saga, &list);
    }
    return status;
}

/* ---- those that have ended ------------------------------------------------------------------- */

bool sp_desk_asks_ended(const struct sp_desk_request *request) {
    static const char *const ENDED[] = {"completed", "compensated", "cancelled"};
    sp_str status = request->options[SP_DESK_STATUS];
    for (size_t i = 0; i < sizeof(ENDED) / sizeof(*ENDED); i++) {
        if (request->verb->run == desk_saga_ls && sp_str_eq(status, sp_str_from(ENDED[i]))) {
            return request->options[SP_DESK_WAITING].ptr == NULL; /* they wait for nothing */
        }
    }
    return false;
}

const char *sp_desk_sagas_ended_sql(void) {
    return "SELECT sagaid, saga, version, status, started_at AS started, ended_at AS ended, "
           "duration_ms, failed_step AS step, error, reason, ended_by AS \"by\", "
           "saga_key AS \"key\", position FROM sagas WHERE status = :status "
           "AND (:name = '' OR saga = :name) AND (:step = '' OR failed_step = :step) "
           "AND position > CAST(:after AS BIGINT) ORDER BY position";
}
