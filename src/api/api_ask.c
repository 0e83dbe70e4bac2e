/*
 * Sagas, approvals, joins, schedules and timers: all that is asked of them goes through the desk
 * (desk.h), which answers in JSON; over a server its words are sent there.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/api_int.h"
#include "api/desk.h"
#include "base/json.h"
#include "engine/engine_ops.h"
#include "engine/flows.h"

enum { WAIT_MS = 100 };

/* ---- over a folder --------------------------------------------------------------------------- */

/* Lets the store move on a little. The lock is held, and given up meanwhile. */
static void move_on(spoor *store) {
    if (!store->own_thread) {
        (void)sp_engine_turn(store->engine, WAIT_MS);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)WAIT_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    api_kick(store);
    (void)sp_guard_wait(&store->lock, &store->news, &until);
}

/* Waits until all that was appended so far is durable. The lock is held. */
static sp_status settle(spoor *store, struct sp_error *error) {
    uint64_t gate = sp_engine_gate(store->engine);
    if (store->own_thread) {
        api_kick(store);
    }
    while (!sp_engine_passed(store->engine, gate)) {
        sp_status status = sp_engine_state(store->engine, error);
        if (status != SP_OK) {
            return status;
        }
        move_on(store);
    }
    return SP_OK;
}

static sp_status ask_here(spoor *store, const struct sp_desk_request *request,
                          struct sp_desk_answer *answer, struct sp_error *error) {
    struct sp_clock clock = sp_clock_system();
    api_lock(store);
    sp_status status = request->verb->reads ? settle(store, error) : SP_OK;
    while (status == SP_OK) {
        status = sp_desk_ask(store->engine, request, SP_STR(""), clock.wall_us(clock.context),
                             answer, error);
        if (status != SP_BUSY) {
            break;
        }
        sp_error_clear(error);
        move_on(store);
        status = SP_OK;
    }
    if (status == SP_OK && answer->changed) {
        status = settle(store, error);
    }
    api_unlock(store);
    return status;
}

static void take_rows(const struct sp_desk_answer *answer, spoor_text_fn *take, void *context) {
    sp_str rest = sp_buf_str(&answer->text);
    for (uint32_t i = 0; i < answer->row_count; i++) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        sp_require(end != NULL);
        size_t len = (size_t)(end - rest.ptr);
        take(context, rest.ptr, len);
        rest = sp_str_from_byte(rest, len + 1);
    }
}

static sp_status ask_folder(spoor *store, const struct sp_desk_request *request,
                            spoor_text_fn *take, void *context, struct sp_error *error) {
    struct sp_desk_answer answer;
    if (request->verb->writes && store->read_only) {
        return sp_error_set(error, SP_DENIED, "the store is open for reading");
    }
    sp_desk_answer_init(&answer);
    sp_status status = ask_here(store, request, &answer, error);
    if (status == SP_OK && take != NULL) {
        if (request->verb->rows != NULL) {
            take_rows(&answer, take, context);
        } else {
            take(context, (const char *)answer.text.data, answer.text.len);
        }
    }
    sp_desk_answer_fini(&answer);
    return status;
}

/* ---- over a server --------------------------------------------------------------------------- */

static sp_status ask_server(spoor *store, const struct sp_desk_request *request,
                            spoor_text_fn *take, void *context, struct sp_error *error) {
    char room[SP_DESK_ROOM_SIZE];
    sp_str words[SP_DESK_WORDS_MAX];
    struct sp_answer answer;
    uint32_t count = sp_desk_words(request, room, words);
    sp_status status = sp_client_call(store->client, words, count, 0, &answer, error);
    if (status != SP_OK) {
        return status;
    }
    const struct sp_reply_node *node = sp_answer_node(&answer);
    bool is_list = node->kind == SP_REPLY_ARRAY;
    const struct sp_reply_node *at = is_list ? sp_reply_child(node) : node;
    uint32_t rows = is_list ? node->count : 1;
    for (uint32_t i = 0; i < rows && status == SP_OK; i++, at = sp_reply_next(at)) {
        sp_str text = sp_answer_text(at);
        if (text.ptr == NULL) {
            status = sp_error_set(error, SP_FAILED, "the server's answer makes no sense");
        } else if (take != NULL) {
            take(context, text.ptr, text.len);
        }
    }
    sp_answer_fini(&answer);
    return status;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* "saga start" */
static const struct sp_desk_verb *verb_of(const char *what) {
    sp_str text = sp_str_from(what);
    const char *blank = text.len > 0 ? memchr(text.ptr, ' ', text.len) : NULL;
    if (blank == NULL) {
        return NULL;
    }
    size_t len = (size_t)(blank - text.ptr);
    return sp_desk_find(sp_str_of(text.ptr, len), sp_str_from_byte(text, len + 1));
}

static sp_status ask_verb(spoor *store, const char *what, sp_str subject,
                          const spoor_ask_option *options, size_t option_count, spoor_text_fn *take,
                          void *context, struct sp_error *error) {
    const struct sp_desk_verb *verb = verb_of(what);
    if (verb == NULL) {
        return sp_error_set(error, SP_INVALID, "there is no '%s' to be asked",
                            what != NULL ? what : "");
    }
    struct sp_desk_request request = {
        .verb = verb, .subject = subject, .limit = SP_DESK_LIMIT_DEFAULT};
    sp_status status = SP_OK;
    for (size_t i = 0; i < option_count && status == SP_OK; i++) {
        if (options[i].value != NULL) {
            status = sp_desk_set(&request, sp_str_from(options[i].name),
                                 sp_str_from(options[i].value), error);
        }
    }
    status = status == SP_OK ? sp_desk_check(&request, error) : status;
    if (status != SP_OK) {
        return status;
    }
    return store->client != NULL ? ask_server(store, &request, take, context, error)
                                 : ask_folder(store, &request, take, context, error);
}

spoor_status spoor_ask(spoor *store, const char *what, const char *subject,
                       const spoor_ask_option *options, size_t option_count, spoor_text_fn *take,
                       void *context, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    return api_error(
        ask_verb(store, what, sp_str_from(subject), options, option_count, take, context, &error),
        &error, ret_error);
}

/* ---- reading answers ------------------------------------------------------------------------- */

/* Members of an answer that a struct of the caller's wants. */
struct member {
    const char *name;
    uint64_t *number; /* a number, or 1 for true */
    char *text;       /* or a text, with its NUL */
    size_t text_size;
};

struct wanted {
    const struct member *members;
    size_t count;
};

static void take_members(void *context, const char *text, size_t len) {
    const struct wanted *wanted = context;
    struct sp_json json;
    sp_json_init(&json, sp_str_of(text, len));
    struct sp_json_token token = sp_json_next(&json);
    while ((token = sp_json_next(&json)).type == SP_JSON_KEY) {
        struct sp_json_token key = token;
        token = sp_json_next(&json);
        sp_str raw = sp_json_skip(&json, token);
        for (size_t i = 0; i < wanted->count; i++) {
            const struct member *member = &wanted->members[i];
            if (!sp_json_equal(key, sp_str_from(member->name))) {
                continue;
            }
            if (member->text != NULL && token.type == SP_JSON_STRING) {
                (void)snprintf(member->text, member->text_size, "%.*s", SP_STR_ARG(token.raw));
            } else if (member->number != NULL && token.type == SP_JSON_NUMBER) {
                *member->number = (uint64_t)sp_json_number(raw);
            } else if (member->number != NULL) {
                *member->number = token.type == SP_JSON_TRUE;
            }
        }
    }
}

/* An older program's struct is shorter. */
static sp_status check_size(size_t size, size_t most, const char *what, struct sp_error *error) {
    return size >= sizeof(size_t) && size <= most
               ? SP_OK
               : sp_error_set(error, SP_INVALID, "%s: its size is %zu; set it first", what, size);
}

/* ---- definitions ----------------------------------------------------------------------------- */

spoor_status spoor_define(spoor *store, spoor_definition_kind kind, const char *text, size_t len,
                          spoor_defined *ret_defined, spoor_error *ret_error) {
    static const char *const VERBS[] = {"saga define", "join add", "schedule add"};
    struct sp_error error;
    spoor_defined defined = {.size = sizeof(defined)};
    uint64_t unchanged = 0;
    const struct member members[] = {
        {.name = "position", .number = &defined.position},
        {.name = "unchanged", .number = &unchanged},
        {.name = "sha256", .text = defined.sha256, .text_size = sizeof(defined.sha256)},
    };
    struct wanted wanted = {.members = members, .count = sizeof(members) / sizeof(*members)};
    sp_error_clear(&error);
    sp_status status = (unsigned)kind < sizeof(VERBS) / sizeof(*VERBS) && text != NULL
                           ? SP_OK
                           : sp_error_set(&error, SP_INVALID, "spoor_define: no kind, or no text");
    if (status == SP_OK && ret_defined != NULL) {
        status = check_size(ret_defined->size, sizeof(defined), "spoor_defined", &error);
    }
    if (status == SP_OK) {
        status = ask_verb(store, VERBS[kind], sp_str_of(text, len), NULL, 0, take_members, &wanted,
                          &error);
    }
    if (status == SP_OK && ret_defined != NULL) {
        defined.unchanged = unchanged != 0;
        defined.size = ret_defined->size;
        memcpy(ret_defined, &defined, defined.size);
    }
    return api_error(status, &error, ret_error);
}

spoor_status spoor_undefine(spoor *store, spoor_definition_kind kind, const char *name,
                            spoor_error *ret_error) {
    static const char *const VERBS[] = {"saga rm", "join rm", "schedule rm"};
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status =
        (unsigned)kind < sizeof(VERBS) / sizeof(*VERBS)
            ? ask_verb(store, VERBS[kind], sp_str_from(name), NULL, 0, NULL, NULL, &error)
            : sp_error_set(&error, SP_INVALID, "spoor_undefine: no kind");
    return api_error(status, &error, ret_error);
}

/* ---- sagas ----------------------------------------------------------------------------------- */

/* A key that no other has: what is sent twice over a server starts one saga. */
static void make_key(spoor *store, char key[40]) {
    sp_client_lock(store->client);
    sp_client_make_id(store->client, key);
    sp_client_unlock(store->client);
}

spoor_status spoor_saga_start(spoor *store, const char *name, const spoor_saga_options *options,
                              spoor_saga_started *ret_started, spoor_error *ret_error) {
    struct sp_error error;
    spoor_saga_options full = SPOOR_SAGA_INIT;
    spoor_saga_started started = {.size = sizeof(started)};
    uint64_t known = 0;
    char made_key[40];
    const struct member members[] = {
        {.name = "position", .number = &started.position},
        {.name = "known", .number = &known},
        {.name = "sagaid", .text = started.sagaid, .text_size = sizeof(started.sagaid)},
    };
    struct wanted wanted = {.members = members, .count = sizeof(members) / sizeof(*members)};
    sp_error_clear(&error);
    sp_status status = options == NULL
                           ? SP_OK
                           : check_size(options->size, sizeof(full), "spoor_saga_options", &error);
    if (status == SP_OK && ret_started != NULL) {
        status = check_size(ret_started->size, sizeof(started), "spoor_saga_started", &error);
    }
    if (status == SP_OK && options != NULL) {
        memcpy(&full, options, options->size);
    }
    if (status == SP_OK && full.key == NULL && store->client != NULL) {
        make_key(store, made_key);
        full.key = made_key;
    }
    const spoor_ask_option asked[] = {
        {"data", full.data},           {"key", full.key}, {"correlation", full.correlation},
        {"causation", full.causation}, {"by", full.by},
    };
    if (status == SP_OK) {
        status = ask_verb(store, "saga start", sp_str_from(name), asked,
                          sizeof(asked) / sizeof(*asked), take_members, &wanted, &error);
    }
    if (status == SP_OK && ret_started != NULL) {
        started.known = known != 0;
        started.size = ret_started->size;
        memcpy(ret_started, &started, started.size);
    }
    return api_error(status, &error, ret_error);
}

spoor_status spoor_saga_show(spoor *store, const char *sagaid, spoor_text_fn *take, void *context,
                             spoor_error *ret_error) {
    return spoor_ask(store, "saga show", sagaid, NULL, 0, take, context, ret_error);
}

spoor_status spoor_saga_request(spoor *store, const char *sagaid, spoor_saga_wish wish,
                                const spoor_wish_options *options, spoor_error *ret_error) {
    static const char *const VERBS[] = {"saga cancel", "saga retry", "saga skip", "saga done",
                                        "saga compensate"};
    struct sp_error error;
    spoor_wish_options full = SPOOR_WISH_INIT;
    sp_error_clear(&error);
    sp_status status = (unsigned)wish < sizeof(VERBS) / sizeof(*VERBS)
                           ? SP_OK
                           : sp_error_set(&error, SP_INVALID, "spoor_saga_request: no such wish");
    if (status == SP_OK && options != NULL) {
        status = check_size(options->size, sizeof(full), "spoor_wish_options", &error);
    }
    if (status == SP_OK && options != NULL) {
        memcpy(&full, options, options->size);
    }
    const spoor_ask_option asked[] = {
        {"step", full.step}, {"by", full.by}, {"reason", full.why}, {"data", full.result}};
    if (status == SP_OK) {
        status = ask_verb(store, VERBS[wish], sp_str_from(sagaid), asked,
                          sizeof(asked) / sizeof(*asked), NULL, NULL, &error);
    }
    return api_error(status, &error, ret_error);
}

/* ---- approvals and delayed events ------------------------------------------------------------ */

spoor_status spoor_decide(spoor *store, const char *approval, const spoor_decision *decision,
                          spoor_error *ret_error) {
    struct sp_error error;
    spoor_decision full = {.size = sizeof(full)};
    sp_error_clear(&error);
    sp_status status = decision == NULL
                           ? sp_error_set(&error, SP_INVALID, "spoor_decide: no decision")
                           : check_size(decision->size, sizeof(full), "spoor_decision", &error);
    if (status == SP_OK) {
        memcpy(&full, decision, decision->size);
        status = full.choice != NULL ? SP_OK
                                     : sp_error_set(&error, SP_INVALID, "a decision has a choice");
    }
    const spoor_ask_option asked[] = {{"choice", full.choice},
                                      {"step", full.step},
                                      {"by", full.by},
                                      {"reason", full.reason},
                                      {"data", full.data}};
    if (status == SP_OK) {
        status = ask_verb(store, "approval decide", sp_str_from(approval), asked,
                          sizeof(asked) / sizeof(*asked), NULL, NULL, &error);
    }
    return api_error(status, &error, ret_error);
}

spoor_status spoor_delayed_cancel(spoor *store, const char *source, const char *id, const char *by,
                                  const char *reason, spoor_error *ret_error) {
    const spoor_ask_option asked[] = {{"source", source}, {"by", by}, {"reason", reason}};
    return spoor_ask(store, "timer cancel", id, asked, sizeof(asked) / sizeof(*asked), NULL, NULL,
                     ret_error);
}
