/* Workers of sagas' steps: callbacks for commands, over a server and over a folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/api_worker_int.h"
#include "client/group.h"
#include "engine/flows.h"
#include "flow/flow.h"

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- making ---------------------------------------------------------------------------------- */

static void free_refused(spoor_worker *worker) {
    while (worker->refused != NULL) {
        struct worker_answer *answer = worker->refused;
        worker->refused = answer->next;
        sp_buf_fini(&answer->text);
        free(answer);
    }
}

static uint32_t under_way(spoor_worker *worker) {
    pthread_mutex_lock(&worker->lock);
    uint32_t count = worker->under_way;
    pthread_mutex_unlock(&worker->lock);
    return count;
}

/* Answers that are under way point to the worker: over a folder they are waited for. */
static void settle_answers(spoor_worker *worker) {
    while (worker->jobs == NULL && under_way(worker) > 0) {
        if (worker->store->own_thread) {
            const struct timespec moment = {.tv_nsec = 1000000};
            (void)nanosleep(&moment, NULL);
        } else {
            (void)spoor_turn(worker->store, -1, NULL); /* a store that has failed answers all */
        }
    }
}

void spoor_worker_free(spoor_worker *worker) {
    if (worker == NULL) {
        return;
    }
    settle_answers(worker);
    sp_jobs_close(worker->jobs);
    spoor_cursor_close(worker->commands);
    spoor_cursor_close(worker->cancels);
    free_refused(worker);
    for (size_t i = 0; i < worker->type_count; i++) {
        free(worker->types[i].type);
    }
    for (size_t i = 0; i < WORKER_CANCELS_MAX; i++) {
        free(worker->cancelled[i]);
    }
    pthread_mutex_destroy(&worker->lock);
    free(worker->name);
    free(worker->group);
    free(worker->consumer);
    free(worker->from);
    free(worker->ack_wait);
    free(worker);
}

static sp_status complete(const spoor_worker_options *options, spoor_worker_options *to,
                          struct sp_error *error) {
    *to = (spoor_worker_options)SPOOR_WORKER_INIT;
    if (options != NULL) {
        if (options->size < sizeof(options->size) || options->size > sizeof(*options)) {
            return sp_error_set(error, SP_INVALID,
                                "worker options of %zu bytes: begin with SPOOR_WORKER_INIT",
                                options->size);
        }
        memcpy(to, options, options->size);
    }
    to->name = to->name != NULL ? to->name : "worker";
    to->group = to->group != NULL ? to->group : to->name;
    to->from = to->from != NULL ? to->from : "-1d";
    to->ack_wait = to->ack_wait != NULL ? to->ack_wait : "5m";
    to->batch = to->batch != 0 ? to->batch : 1;
    if (to->batch > SP_JOBS_BATCH_MAX) {
        return sp_error_set(error, SP_INVALID, "a batch of %u, at most %d", to->batch,
                            SP_JOBS_BATCH_MAX);
    }
    struct sp_error why;
    if (sp_event_text_check(SP_ATTR_SOURCE, sp_str_from(to->name), &why) != SP_OK) {
        return sp_error_set(error, SP_INVALID, "the worker's name: %s", why.text);
    }
    return SP_OK;
}

/* A consumer's name that no other has: of this process, and this worker. */
static char *own_name(const spoor_worker *worker) {
    char name[96];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(name, sizeof(name), "c-%ld-%llx-%lx", (long)getpid(),
                   (unsigned long long)now.tv_sec * 1000000000ULL + (unsigned long long)now.tv_nsec,
                   (unsigned long)(uintptr_t)worker & 0xffffffUL);
    return strdup(name);
}

static sp_status fill(spoor_worker *worker, const spoor_worker_options *options,
                      struct sp_error *error) {
    worker->name = strdup(options->name);
    worker->group = strdup(options->group);
    worker->consumer = options->consumer != NULL ? strdup(options->consumer) : own_name(worker);
    worker->from = strdup(options->from);
    worker->ack_wait = strdup(options->ack_wait);
    worker->batch = options->batch;
    bool fine = worker->name != NULL && worker->group != NULL && worker->consumer != NULL &&
                worker->from != NULL && worker->ack_wait != NULL;
    return fine ? SP_OK : sp_error_set(error, SP_NO_MEMORY, "worker");
}

static sp_status add_type(spoor_worker *worker, const char *type, spoor_step_fn *step,
                          void *context, struct sp_error *error) {
    struct sp_error why;
    if (type == NULL || step == NULL) {
        return sp_error_set(error, SP_INVALID, "a worker has a type and a callback");
    }
    if (sp_event_type_check(sp_str_from(type), &why) != SP_OK) {
        return sp_error_set(error, SP_INVALID, "%s: %s", type, why.text);
    }
    if (worker->started) {
        return sp_error_set(error, SP_INVALID, "the worker runs already");
    }
    if (worker->type_count == WORKER_TYPES_MAX) {
        return sp_error_set(error, SP_LIMIT, "more than %d types", WORKER_TYPES_MAX);
    }
    for (size_t i = 0; i < worker->type_count; i++) {
        if (strcmp(worker->types[i].type, type) == 0) {
            return sp_error_set(error, SP_INVALID, "%s: there is a callback for it already", type);
        }
    }
    char *copy = strdup(type);
    if (copy == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "worker");
    }
    worker->types[worker->type_count++] =
        (struct worker_type){.type = copy, .step = step, .context = context};
    return SP_OK;
}

spoor_status spoor_worker_new(spoor *store, const char *type, spoor_step_fn *step, void *context,
                              const spoor_worker_options *options, spoor_worker **ret_worker,
                              spoor_error *ret_error) {
    struct sp_error error;
    spoor_worker_options full;
    spoor_worker *worker = NULL;
    sp_error_clear(&error);
    sp_status status = complete(options, &full, &error);
    if (status == SP_OK) {
        worker = calloc(1, sizeof(*worker));
        status = worker != NULL ? SP_OK : sp_error_set(&error, SP_NO_MEMORY, "worker");
    }
    if (status == SP_OK) {
        worker->store = store;
        pthread_mutex_init(&worker->lock, NULL);
        status = fill(worker, &full, &error);
    }
    status = status == SP_OK ? add_type(worker, type, step, context, &error) : status;
    if (status == SP_OK) {
        *ret_worker = worker;
    } else {
        spoor_worker_free(worker);
    }
    return api_error(status, &error, ret_error);
}

spoor_status spoor_worker_add(spoor_worker *worker, const char *type, spoor_step_fn *step,
                              void *context, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    return api_error(add_type(worker, type, step, context, &error), &error, ret_error);
}

void spoor_worker_stop(spoor_worker *worker) {
    atomic_store(&worker->stopped, true);
}

uint64_t spoor_worker_answered(const spoor_worker *worker) {
    return worker->answered;
}

/* ---- starting -------------------------------------------------------------------------------- */

/* What the server calls the commands of a type, as a key of a group. */
static char *key_of(const char *type) {
    static const char PREFIX[] = "$type:";
    char *key = malloc(sizeof(PREFIX) + strlen(type));
    if (key != NULL) {
        memcpy(key, PREFIX, sizeof(PREFIX) - 1);
        memcpy(key + sizeof(PREFIX) - 1, type, strlen(type) + 1);
    }
    return key;
}

/* The group on each key, which is made where it is not there. */
static sp_status make_groups(spoor_worker *worker, char **keys, struct sp_error *error) {
    const spoor_group_option options[] = {{"ack-wait", worker->ack_wait}};
    sp_status status = SP_OK;
    for (size_t i = 0; i < worker->type_count && status == SP_OK; i++) {
        keys[i] = key_of(worker->types[i].type);
        status = keys[i] == NULL
                     ? sp_error_set(error, SP_NO_MEMORY, "worker")
                     : sp_client_group_create(worker->store->client, keys[i], worker->group,
                                              worker->from, options, 1, error);
        status = status == SP_CONFLICT ? SP_OK : status;
    }
    return status;
}

static sp_status start_remote(spoor_worker *worker, struct sp_error *error) {
    char *keys[WORKER_TYPES_MAX] = {NULL};
    const char *names[WORKER_TYPES_MAX];
    sp_status status = make_groups(worker, keys, error);
    if (status == SP_OK) {
        memcpy(names, keys, sizeof(names));
        status = sp_jobs_open(worker->store->client, worker->group, worker->consumer, names,
                              worker->type_count, worker->batch, &worker->jobs, error);
    }
    for (size_t i = 0; i < worker->type_count; i++) {
        free(keys[i]);
    }
    return status;
}

/*
 * Where to begin over a folder: whatever a saga still waits for lies at or behind the first event
 * that the flows may still read.
 */
static uint64_t first_position(spoor_worker *worker) {
    spoor *store = worker->store;
    api_lock(store);
    worker->head = sp_engine_durable_position(store->engine);
    uint64_t oldest = sp_flow_oldest(sp_engine_flow(store->engine));
    api_unlock(store);
    return oldest <= worker->head ? oldest : worker->head + 1;
}

static sp_status follow(spoor_worker *worker, const char *const *types, size_t type_count,
                        uint64_t from, spoor_cursor **ret_cursor, struct sp_error *error) {
    char text[24];
    spoor_error problem;
    spoor_query query = SPOOR_QUERY_INIT;
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)(from != 0 ? from : 1));
    query.types = types;
    query.type_count = type_count;
    query.from = text;
    spoor_status status = spoor_subscribe(worker->store, &query, ret_cursor, &problem);
    return status == SPOOR_OK ? SP_OK : sp_error_set(error, (sp_status)status, "%s", problem.text);
}

static sp_status start_local(spoor_worker *worker, struct sp_error *error) {
    const char *types[WORKER_TYPES_MAX];
    if (worker->store->read_only) {
        return sp_error_set(error, SP_DENIED, "a worker answers: the store is open for reading");
    }
    for (size_t i = 0; i < worker->type_count; i++) {
        types[i] = worker->types[i].type;
    }
    return follow(worker, types, worker->type_count, first_position(worker), &worker->commands,
                  error);
}

/* What is cancelled from now on is heard before any command that is taken from now on. */
static sp_status start(spoor_worker *worker, struct sp_error *error) {
    static const char *const CANCELLED[] = {"saga.step.cancelled"};
    spoor_info info = {.size = sizeof(info)};
    spoor_error problem;
    if (worker->started) {
        return SP_OK;
    }
    spoor_status got = spoor_get_info(worker->store, &info, &problem);
    if (got != SPOOR_OK) {
        return sp_error_set(error, (sp_status)got, "%s", problem.text);
    }
    sp_status status =
        worker->cancels == NULL
            ? follow(worker, CANCELLED, 1, info.last_position + 1, &worker->cancels, error)
            : SP_OK;
    if (status == SP_OK) {
        status = worker->store->client != NULL ? start_remote(worker, error)
                                               : start_local(worker, error);
    }
    worker->started = status == SP_OK;
    return status;
}

/* ---- running --------------------------------------------------------------------------------- */

/* A command in hand. */
struct taken {
    const spoor_event *command;
    uint32_t deliveries;
    struct sp_job_delivery delivery; /* over a server */
    spoor_event event;               /* likewise */
    spoor_extension extensions[SP_EVENT_EXTENSIONS_MAX];
};

/* As long as it may be waited at once: stopping is noticed between. */
static int slice_ms(uint64_t until_ms) {
    enum { SLICE_MS = 100 };
    uint64_t at_ms = now_ms();
    uint64_t left = until_ms > at_ms ? until_ms - at_ms : 0;
    return left < SLICE_MS ? (int)left : SLICE_MS;
}

static sp_status take_remote(spoor_worker *worker, uint64_t until_ms, struct taken *taken,
                             struct sp_error *error) {
    sp_status status = sp_jobs_receive(worker->jobs, slice_ms(until_ms), &taken->delivery, error);
    if (status == SP_OK) {
        api_event_out(taken->delivery.event, taken->extensions, &taken->event);
        taken->command = &taken->event;
        taken->deliveries = taken->delivery.attempts;
    }
    return status;
}

/* The store's own work (times that are over, answers to be written) is done while it waits. */
static sp_status take_local(spoor_worker *worker, uint64_t until_ms, struct taken *taken,
                            struct sp_error *error) {
    spoor *store = worker->store;
    spoor_error problem;
    spoor_status status = spoor_next(worker->commands, store->own_thread ? slice_ms(until_ms) : 0,
                                     &taken->command, &problem);
    if (status == SPOOR_TIMEOUT && !store->own_thread) {
        int wait_ms = slice_ms(until_ms);
        int due_ms = sp_engine_flows_wait_ms(store->engine);
        status = spoor_turn(store, due_ms >= 0 && due_ms < wait_ms ? due_ms : wait_ms, &problem);
        status = status == SPOOR_OK ? SPOOR_TIMEOUT : status; /* look again */
    }
    taken->deliveries = 1;
    return status == SPOOR_OK ? SP_OK : sp_error_set(error, (sp_status)status, "%s", problem.text);
}

static const struct worker_type *type_of(const spoor_worker *worker, spoor_str type) {
    for (size_t i = 0; i < worker->type_count; i++) {
        if (sp_str_eq(api_str_in(type), sp_str_from(worker->types[i].type))) {
            return &worker->types[i];
        }
    }
    return NULL;
}

/* Carries out what was taken, if it is wanted, and answers it. */
static sp_status carry_out(spoor_worker *worker, struct taken *taken, struct sp_error *error) {
    struct worker_job job;
    bool wanted = false;
    const struct worker_type *type = type_of(worker, taken->command->type);
    bool is_command = worker_job_init(&job, worker, taken->command, taken->deliveries);
    sp_status status = SP_OK;
    if (is_command && type != NULL) {
        status = worker_job_wanted(&job, &wanted, error);
    }
    if (status == SP_OK && wanted) {
        type->step(type->context, &job.pub);
        status = worker_job_answer(&job, error);
    }
    worker_job_fini(&job);
    if (status == SP_OK && worker->jobs != NULL) {
        status = sp_jobs_ack(worker->jobs, &taken->delivery, error);
    }
    return status;
}

static sp_status run_once(spoor_worker *worker, uint64_t until_ms, struct sp_error *error) {
    struct taken taken;
    sp_status status = worker_answer_refused(worker, error);
    status = status == SP_OK ? worker_take_cancels(worker, error) : status;
    if (status == SP_OK) {
        status = worker->jobs != NULL ? take_remote(worker, until_ms, &taken, error)
                                      : take_local(worker, until_ms, &taken, error);
    }
    status = status == SP_OK ? carry_out(worker, &taken, error) : status;
    pthread_mutex_lock(&worker->lock);
    if (worker->failed != SP_OK) {
        status = worker->failed;
        *error = worker->error;
    }
    pthread_mutex_unlock(&worker->lock);
    return status;
}

/* What was answered is with the store when run returns. */
static sp_status finish(spoor_worker *worker, struct sp_error *error) {
    sp_status status = worker_answer_refused(worker, error);
    while (status == SP_OK && under_way(worker) > 0) {
        if (worker->jobs != NULL) {
            uint32_t answered = 0;
            sp_client_turn(sp_jobs_client(worker->jobs), 100, &answered);
        } else {
            settle_answers(worker);
        }
        status = worker_answer_refused(worker, error);
    }
    return status;
}

spoor_status spoor_worker_run(spoor_worker *worker, int timeout_ms, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    uint64_t until_ms = timeout_ms < 0 ? UINT64_MAX : now_ms() + (uint64_t)timeout_ms;
    sp_status status = start(worker, &error);
    bool over = false;
    while (status == SP_OK && !over && !atomic_load(&worker->stopped)) {
        status = run_once(worker, until_ms, &error);
        over = status == SP_TIMEOUT && now_ms() >= until_ms;
        status = status == SP_TIMEOUT ? SP_OK : status;
    }
    atomic_store(&worker->stopped, false);
    status = status == SP_OK ? finish(worker, &error) : status;
    return api_error(status, &error, ret_error);
}
