/* What a worker does with one command: whether it is wanted still, and how it is answered. */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/api_worker_int.h"
#include "base/json.h"
#include "client/append.h"

enum {
    ANSWER_BYTES_MAX = 64 << 20,
    RESULT_BYTES_MAX = 32 << 20,
    UUID_BYTES = 16,
};

static bool is_text(spoor_str text, const char *expected) {
    return sp_str_eq(api_str_in(text), sp_str_from(expected));
}

static spoor_str extension(const spoor_event *event, const char *name) {
    for (size_t i = 0; i < event->extension_count; i++) {
        if (is_text(event->extensions[i].name, name)) {
            return event->extensions[i].value;
        }
    }
    return (spoor_str){NULL, 0};
}

/* ---- the job --------------------------------------------------------------------------------- */

/* The character before the attempt's number in the id of a command, `:` or `~`; 0 where none is. */
static char attempt_mark(spoor_str id) {
    size_t at = id.len;
    while (at > 0 && id.ptr[at - 1] >= '0' && id.ptr[at - 1] <= '9') {
        at--;
    }
    return at > 0 && at < id.len && (id.ptr[at - 1] == ':' || id.ptr[at - 1] == '~')
               ? id.ptr[at - 1]
               : 0;
}

bool worker_job_init(struct worker_job *job, struct spoor_worker *worker,
                     const spoor_event *command, uint32_t deliveries) {
    spoor_str attempt = extension(command, "attempt");
    uint64_t number = 1;
    *job = (struct worker_job){.worker = worker};
    job->pub = (spoor_job){
        .size = sizeof(job->pub),
        .command = command,
        .type = command->type,
        .data = command->data,
        .saga = extension(command, "saga"),
        .sagaid = extension(command, "sagaid"),
        .step = extension(command, "sagastep"),
        .idempotencykey = extension(command, "idempotencykey"),
        .deliveries = deliveries,
        .compensates = attempt_mark(command->id) == '~',
    };
    if (attempt.ptr != NULL && sp_json_is_integral(api_str_in(attempt))) {
        number = (uint64_t)sp_json_number(api_str_in(attempt));
    }
    job->pub.attempt = (uint32_t)number;
    sp_buf_init(&job->result, RESULT_BYTES_MAX);
    sp_buf_init(&job->problem, WORKER_ERROR_BYTES_MAX);
    return job->pub.sagaid.ptr != NULL && attempt_mark(command->id) != 0;
}

void worker_job_fini(struct worker_job *job) {
    sp_buf_fini(&job->result);
    sp_buf_fini(&job->problem);
}

static struct worker_job *inside(spoor_job *job) {
    return (struct worker_job *)job; /* its first member */
}

static void set_problem(struct worker_job *job, const char *text, bool retryable) {
    sp_str whole = sp_str_from(text != NULL ? text : "it failed");
    size_t len = whole.len < WORKER_ERROR_BYTES_MAX ? whole.len : WORKER_ERROR_BYTES_MAX;
    while (len > 0 && len < whole.len && ((uint8_t)whole.ptr[len] & 0xc0) == 0x80) {
        len--;
    }
    sp_buf_reset(&job->problem);
    sp_str cut = sp_str_of(whole.ptr, len);
    sp_buf_add_str(&job->problem, sp_utf8_valid(cut) ? cut : SP_STR("an error that is no UTF-8"));
    job->has_failed = true;
    job->retryable = retryable;
    job->unknown = false;
}

spoor_status spoor_job_result(spoor_job *pub, const char *json, size_t len) {
    struct worker_job *job = inside(pub);
    struct sp_error error;
    sp_str text = sp_str_of(json, json != NULL ? len : 0);
    sp_status status = sp_json_check(text, &error);
    sp_buf_reset(&job->result);
    job->has_failed = false;
    if (status == SP_OK) {
        sp_buf_add_str(&job->result, text);
        status = job->result.status;
    }
    if (status != SP_OK) {
        set_problem(job,
                    status == SP_INVALID ? "the result is not JSON" : "the result is too large",
                    false);
    }
    return (spoor_status)status;
}

void spoor_job_fail(spoor_job *pub, const char *error, int retryable) {
    set_problem(inside(pub), error, retryable != 0);
}

void spoor_job_unknown(spoor_job *pub, const char *error) {
    set_problem(inside(pub), error, false);
    inside(pub)->unknown = true;
}

/* ---- what is cancelled ----------------------------------------------------------------------- */

static bool was_cancelled(const struct spoor_worker *worker, spoor_str id) {
    size_t kept =
        worker->cancelled_count < WORKER_CANCELS_MAX ? worker->cancelled_count : WORKER_CANCELS_MAX;
    for (size_t i = 0; i < kept; i++) {
        if (is_text(id, worker->cancelled[i])) {
            return true;
        }
    }
    return false;
}

static sp_status note_cancelled(struct spoor_worker *worker, const spoor_event *event,
                                struct sp_error *error) {
    char **room = &worker->cancelled[worker->cancelled_count % WORKER_CANCELS_MAX];
    if (event->causationid.ptr == NULL) {
        return SP_OK;
    }
    char *copy = strndup(event->causationid.ptr, event->causationid.len);
    if (copy == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "worker");
    }
    free(*room);
    *room = copy;
    worker->cancelled_count++;
    return SP_OK;
}

/* Waits for the next cancellation up to timeout_ms. SP_TIMEOUT where there is none. */
static sp_status next_cancel(struct spoor_worker *worker, int timeout_ms, struct sp_error *error) {
    const spoor_event *event = NULL;
    spoor_error problem;
    spoor_status status = spoor_next(worker->cancels, timeout_ms, &event, &problem);
    if (status == SPOOR_OK) {
        return note_cancelled(worker, event, error);
    }
    return sp_error_set(error, (sp_status)status, "%s", problem.text);
}

sp_status worker_take_cancels(struct spoor_worker *worker, struct sp_error *error) {
    sp_status status = SP_OK;
    while (status == SP_OK) {
        status = next_cancel(worker, 0, error);
    }
    return status == SP_TIMEOUT ? SP_OK : status;
}

int spoor_job_cancelled(spoor_job *pub) {
    struct worker_job *job = inside(pub);
    struct sp_error error;
    (void)worker_take_cancels(job->worker, &error); /* the run says it, if it is for good */
    return was_cancelled(job->worker, pub->command->id);
}

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

spoor_status spoor_job_wait(spoor_job *pub, int timeout_ms) {
    enum { SLICE_MS = 100 };
    struct spoor_worker *worker = inside(pub)->worker;
    uint64_t until_ms = timeout_ms < 0 ? UINT64_MAX : now_ms() + (uint64_t)timeout_ms;
    struct sp_error error;
    while (!spoor_job_cancelled(pub)) {
        uint64_t at_ms = now_ms();
        if (at_ms >= until_ms) {
            return SPOOR_TIMEOUT;
        }
        int slice_ms = until_ms - at_ms < SLICE_MS ? (int)(until_ms - at_ms) : SLICE_MS;
        sp_status status;
        if (worker->store->client == NULL && !worker->store->own_thread) {
            status = (sp_status)spoor_turn(worker->store, slice_ms, NULL);
        } else {
            status = next_cancel(worker, slice_ms, &error);
        }
        if (status != SP_OK && status != SP_TIMEOUT) {
            return (spoor_status)status;
        }
    }
    return SPOOR_CANCELLED;
}

/* ---- whether it is wanted -------------------------------------------------------------------- */

static const char *const ENDS[] = {
    "saga.step.completed", "saga.step.failed",      "saga.step.timed_out",
    "saga.step.skipped",   "saga.step.compensated", "saga.step.compensation_failed",
    "saga.completed",      "saga.compensated",      "saga.cancelled",
    "saga.step.cancelled",
};
enum { ENDS_COUNT = sizeof(ENDS) / sizeof(*ENDS) };

/* Text and number of two members of an event's data. */
static void read_step(sp_str data, struct sp_buf *step, uint64_t *ret_attempt) {
    struct sp_json json;
    sp_json_init(&json, data);
    struct sp_json_token token = sp_json_next(&json);
    while ((token = sp_json_next(&json)).type == SP_JSON_KEY) {
        bool is_step = sp_json_equal(token, SP_STR("step"));
        bool is_attempt = sp_json_equal(token, SP_STR("attempt"));
        token = sp_json_next(&json);
        if (is_step && token.type == SP_JSON_STRING) {
            sp_json_unescape(step, token.raw);
        } else if (is_attempt && token.type == SP_JSON_NUMBER) {
            *ret_attempt = (uint64_t)sp_json_number(token.raw);
        }
        (void)sp_json_skip(&json, token);
    }
}

/* Whether the event ends the wait for this command. */
static bool ends(const struct worker_job *job, const spoor_event *event) {
    struct sp_buf step;
    uint64_t attempt = job->pub.attempt;
    sp_str type = api_str_in(event->type);
    if (!sp_str_starts_with(type, SP_STR("saga.step."))) {
        return true; /* the saga is over */
    }
    bool backward = sp_str_starts_with(type, SP_STR("saga.step.compensat"));
    sp_buf_init(&step, 1 << 16);
    read_step(api_str_in(event->data), &step, &attempt);
    bool same = sp_str_eq(sp_buf_str(&step), api_str_in(job->pub.step)) &&
                (backward == (job->pub.compensates != 0) ||
                 sp_str_eq(api_str_in(event->causationid), api_str_in(job->pub.command->id))) &&
                attempt >= job->pub.attempt;
    sp_buf_fini(&step);
    return same;
}

/* Whether the saga waits no longer for the answer to this command: its stream tells. */
static sp_status is_overtaken(const struct worker_job *job, bool *ret_overtaken,
                              struct sp_error *error) {
    char from[24];
    char stream[SP_UUID_TEXT_SIZE + 8];
    spoor_cursor *cursor = NULL;
    const spoor_event *event = NULL;
    spoor_error problem;
    spoor_query query = SPOOR_QUERY_INIT;
    if (job->pub.sagaid.len > SP_UUID_TEXT_SIZE) {
        *ret_overtaken = false;
        return SP_OK;
    }
    (void)snprintf(from, sizeof(from), "%llu", (unsigned long long)job->pub.command->position + 1);
    (void)snprintf(stream, sizeof(stream), "saga:%.*s", SP_STR_ARG(job->pub.sagaid));
    query.types = ENDS;
    query.type_count = ENDS_COUNT;
    query.stream = stream;
    query.from = from;
    spoor_status status = spoor_read(job->worker->store, &query, &cursor, &problem);
    bool overtaken = false;
    while (status == SPOOR_OK && !overtaken &&
           (status = spoor_next(cursor, 0, &event, &problem)) == SPOOR_OK) {
        overtaken = ends(job, event);
    }
    spoor_cursor_close(cursor);
    if (status != SPOOR_OK && status != SPOOR_END && status != SPOOR_TIMEOUT) {
        return sp_error_set(error, (sp_status)status, "%s", problem.text);
    }
    *ret_overtaken = overtaken;
    return SP_OK;
}

/* Whether this agent has answered already. */
static sp_status is_answered(const struct worker_job *job, bool *ret_answered,
                             struct sp_error *error) {
    char id[SP_UUID_TEXT_SIZE + 1];
    spoor_cursor *cursor = NULL;
    const spoor_event *event = NULL;
    spoor_error problem;
    worker_answer_id(job->pub.command->source, job->pub.command->id, job->worker->name, id);
    spoor_status status = spoor_find(job->worker->store, id, job->worker->name, &cursor, &problem);
    if (status == SPOOR_OK) {
        status = spoor_next(cursor, 0, &event, &problem);
        spoor_cursor_close(cursor);
    }
    *ret_answered = status == SPOOR_OK;
    return status == SPOOR_OK || status == SPOOR_NOT_FOUND || status == SPOOR_END ||
                   status == SPOOR_TIMEOUT
               ? SP_OK
               : sp_error_set(error, (sp_status)status, "%s", problem.text);
}

static bool is_old(const spoor_event *command) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    return command->recorded_us == 0 || now_us > command->recorded_us + WORKER_OLD_US;
}

sp_status worker_job_wanted(struct worker_job *job, bool *ret_wanted, struct sp_error *error) {
    const spoor_event *command = job->pub.command;
    bool answered = false;
    bool overtaken = false;
    bool again = job->pub.deliveries > 1 ||
                 (job->worker->jobs == NULL && command->position <= job->worker->head);
    if (was_cancelled(job->worker, command->id)) {
        *ret_wanted = false;
        return SP_OK;
    }
    *ret_wanted = true;
    if (!again && !is_old(command)) {
        return SP_OK;
    }
    sp_status status = is_answered(job, &answered, error);
    if (status == SP_OK && !answered) {
        status = is_overtaken(job, &overtaken, error);
    }
    bool once = again && is_text(extension(command, "semantics"), "at_most_once");
    *ret_wanted = !answered && !overtaken && !once;
    return status;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* The first 16 bytes of SHA-1 over the namespace of the SDKs and the name, marked as version 5. */
void worker_answer_id(spoor_str source, spoor_str id, const char *agent,
                      char ret_id[SP_UUID_TEXT_SIZE + 1]) {
    static const uint8_t NAMESPACE[UUID_BYTES] = {0xcc, 0x82, 0x64, 0xea, 0x3d, 0xd0, 0x5e, 0x17,
                                                  0xb0, 0x2c, 0x9f, 0x29, 0x1f, 0xc1, 0x0d, 0xa4};
    uint8_t hash[SHA_DIGEST_LENGTH];
    struct sp_buf name;
    sp_buf_init(&name, 1 << 20);
    sp_buf_add(&name, NAMESPACE, UUID_BYTES);
    sp_buf_add_str(&name, SP_STR("answer\n"));
    sp_buf_add_str(&name, api_str_in(source));
    sp_buf_add_byte(&name, '\n');
    sp_buf_add_str(&name, api_str_in(id));
    sp_buf_add_byte(&name, '\n');
    sp_buf_add_str(&name, sp_str_from(agent));
    SHA1(name.data, name.len, hash);
    sp_buf_fini(&name);
    hash[6] = (uint8_t)((hash[6] & 0x0f) | 0x50);
    hash[8] = (uint8_t)((hash[8] & 0x3f) | 0x80);
    sp_uuid_format(hash, ret_id);
    ret_id[SP_UUID_TEXT_SIZE] = '\0';
}

static void free_answer(struct worker_answer *answer) {
    sp_buf_fini(&answer->text);
    free(answer);
}

static void note_refused(struct worker_answer *answer, const spoor_error *error) {
    struct spoor_worker *worker = answer->worker;
    answer->error = *error;
    answer->next = worker->refused;
    worker->refused = answer;
}

/*
 * Called once for each answer, over a folder perhaps by the store's thread. What is refused for
 * itself (a result that its schema does not allow, or that is too large) is answered otherwise;
 * what ends the store ends the run.
 */
static void answered(void *context, spoor_status status, const spoor_appended *appended,
                     size_t count, const spoor_error *error) {
    struct worker_answer *answer = context;
    struct spoor_worker *worker = answer->worker;
    bool refused = status == SPOOR_INVALID || status == SPOOR_LIMIT || status == SPOOR_DENIED;
    (void)appended;
    (void)count;
    pthread_mutex_lock(&worker->lock);
    if (refused && !answer->is_refusal) {
        note_refused(answer, error);
        answer = NULL;
    } else if (status != SPOOR_OK && status != SPOOR_CONFLICT && status != SPOOR_CANCELLED) {
        worker->failed = (sp_status)status;
        (void)sp_error_set(&worker->error, (sp_status)status, "an answer: %s", error->text);
    }
    worker->under_way--;
    pthread_mutex_unlock(&worker->lock);
    if (answer != NULL) {
        free_answer(answer);
    }
}

/* Hands the event on; waits for room where too much is under way. */
static sp_status send(struct worker_answer *answer, struct sp_error *error) {
    struct spoor_worker *worker = answer->worker;
    struct sp_event event;
    if (worker->jobs == NULL) {
        spoor_error problem;
        spoor_status status = SPOOR_OK;
        while ((status = spoor_submit(worker->store, &answer->event, 1, NULL, 0, answered, answer,
                                      &problem)) == SPOOR_BUSY) {
            if (!worker->store->own_thread) {
                (void)spoor_turn(worker->store, -1, NULL);
            }
        }
        return status == SPOOR_OK ? SP_OK
                                  : sp_error_set(error, (sp_status)status, "%s", problem.text);
    }
    struct sp_client *client = sp_jobs_client(worker->jobs);
    sp_status status = api_event_in(&answer->event, &event, error);
    sp_client_lock(client);
    while (status == SP_OK && (status = sp_client_submit(client, &event, 1, NULL, 0, answered,
                                                         answer, error)) == SP_BUSY) {
        sp_client_make_room(client);
        status = SP_OK;
    }
    sp_client_unlock(client);
    return status;
}

/* A copy at the end of the text, which has room for it and does not move. */
static spoor_str keep(struct sp_buf *text, sp_str bytes) {
    spoor_str at = {NULL, bytes.len};
    if (bytes.ptr != NULL) {
        at.ptr = (const char *)text->data + text->len;
        sp_buf_add_str(text, bytes);
    }
    return at;
}

static struct worker_answer *new_answer(struct spoor_worker *worker, const char *outcome,
                                        const spoor_event *command, sp_str data) {
    struct worker_answer *answer = calloc(1, sizeof(*answer));
    static const char JSON[] = "application/json";
    char id[SP_UUID_TEXT_SIZE + 1];
    if (answer == NULL) {
        return NULL;
    }
    worker_answer_id(command->source, command->id, worker->name, id);
    sp_str type = api_str_in(command->type);
    size_t size = type.len + strlen(outcome) + sizeof(id) + strlen(worker->name) +
                  command->correlationid.len + command->id.len + data.len + sizeof(JSON);
    sp_buf_init(&answer->text, ANSWER_BYTES_MAX);
    if (sp_buf_reserve(&answer->text, size) == NULL) {
        free_answer(answer);
        return NULL;
    }
    spoor_event *event = &answer->event;
    *event = (spoor_event){.size = sizeof(*event)};
    event->type = keep(&answer->text, type);
    event->type.len += keep(&answer->text, sp_str_from(outcome)).len; /* one behind the other */
    event->id = keep(&answer->text, sp_str_from(id));
    event->source = keep(&answer->text, sp_str_from(worker->name));
    event->correlationid = keep(&answer->text, api_str_in(command->correlationid));
    event->causationid = keep(&answer->text, api_str_in(command->id));
    event->data = keep(&answer->text, data);
    event->datacontenttype = keep(&answer->text, sp_str_from(JSON));
    sp_ensure(answer->text.status == SP_OK && answer->text.len <= size);
    answer->worker = worker;
    return answer;
}

static sp_status send_answer(struct worker_answer *answer, struct sp_error *error) {
    if (answer == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "answer");
    }
    struct spoor_worker *worker = answer->worker;
    spoor_error refusal;
    pthread_mutex_lock(&worker->lock);
    worker->under_way++;
    pthread_mutex_unlock(&worker->lock);
    sp_status status = send(answer, error);
    if (status == SP_OK) {
        return SP_OK; /* the answer may be gone by now */
    }
    bool otherwise = (status == SP_INVALID || status == SP_LIMIT) && !answer->is_refusal;
    pthread_mutex_lock(&worker->lock);
    worker->under_way--;
    if (otherwise) {
        (void)api_error(status, error, &refusal);
        note_refused(answer, &refusal);
    }
    pthread_mutex_unlock(&worker->lock);
    if (!otherwise) {
        free_answer(answer);
    }
    return otherwise ? SP_OK : status;
}

static void write_failure(struct sp_buf *data, sp_str text, bool retryable, bool unknown) {
    sp_buf_add_str(data, SP_STR("{\"error\":"));
    sp_json_add_string(data, text);
    sp_buf_add_str(data,
                   retryable ? SP_STR(",\"retryable\":true") : SP_STR(",\"retryable\":false"));
    sp_buf_add_str(data, unknown ? SP_STR(",\"unknown\":true}") : SP_STR("}"));
}

sp_status worker_job_answer(struct worker_job *job, struct sp_error *error) {
    struct sp_buf data;
    sp_buf_init(&data, 2 * RESULT_BYTES_MAX);
    if (job->has_failed) {
        write_failure(&data, sp_buf_str(&job->problem), job->retryable, job->unknown);
    } else {
        sp_buf_add_str(&data, job->result.len > 0 ? sp_buf_str(&job->result) : SP_STR("null"));
    }
    struct worker_answer *answer =
        data.status == SP_OK ? new_answer(job->worker, job->has_failed ? ".failed" : ".completed",
                                          job->pub.command, sp_buf_str(&data))
                             : NULL;
    sp_buf_fini(&data);
    job->worker->answered++;
    return send_answer(answer, error);
}

/* The command is gone by now; the answer that was refused tells what it was about. */
static sp_status answer_instead(struct spoor_worker *worker, const struct worker_answer *refused,
                                struct sp_error *error) {
    static const char COMPLETED[] = ".completed";
    struct sp_buf data;
    char text[SP_ERROR_TEXT_SIZE + 32];
    sp_str type = api_str_in(refused->event.type);
    sp_str action = sp_str_ends_with(type, SP_STR(".completed"))
                        ? sp_str_of(type.ptr, type.len - (sizeof(COMPLETED) - 1))
                        : sp_str_of(type.ptr, type.len - (sizeof(".failed") - 1));
    spoor_event command = {.size = sizeof(command)};
    command.type = api_str_out(action);
    command.id = refused->event.causationid;
    command.correlationid = refused->event.correlationid;
    (void)snprintf(text, sizeof(text), "the answer was refused: %s", refused->error.text);
    sp_buf_init(&data, 4096);
    write_failure(&data, sp_str_from(text), false, true);
    struct worker_answer *answer =
        data.status == SP_OK ? new_answer(worker, ".failed", &command, sp_buf_str(&data)) : NULL;
    sp_buf_fini(&data);
    if (answer != NULL) {
        answer->is_refusal = true;
    }
    return send_answer(answer, error);
}

static struct worker_answer *take_refused(struct spoor_worker *worker) {
    pthread_mutex_lock(&worker->lock);
    struct worker_answer *refused = worker->refused;
    if (refused != NULL) {
        worker->refused = refused->next;
    }
    pthread_mutex_unlock(&worker->lock);
    return refused;
}

sp_status worker_answer_refused(struct spoor_worker *worker, struct sp_error *error) {
    sp_status status = SP_OK;
    struct worker_answer *refused = NULL;
    while (status == SP_OK && (refused = take_refused(worker)) != NULL) {
        status = answer_instead(worker, refused, error);
        free_answer(refused);
    }
    return status;
}
