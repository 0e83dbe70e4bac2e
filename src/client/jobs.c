#include "client/jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/decode.h"

enum {
    BLOCK_MS = 1000, /* a request for commands lasts so long on the server */
    NUMBER_SIZE = 24,
    COMMAND_BYTES_MAX = 64 << 10,
    DELIVERY_FIELDS = 4, /* key, entry id, attempts, event */
    WORDS_MAX = 10 + SP_JOBS_KEYS_MAX,
};

struct sp_jobs {
    struct sp_client *client;
    char *group;
    char *consumer;
    char **keys;
    size_t key_count;
    uint32_t batch;
    /* The request for more. */
    bool asked;
    bool answered;
    sp_status status;
    struct sp_error error;
    /* What it brought. */
    bool has_answer;
    struct sp_answer answer;
    uint32_t row; /* the next one */
    uint32_t node;
    struct sp_decoded decoded;
};

struct sp_client *sp_jobs_client(struct sp_jobs *jobs) {
    return jobs->client;
}

/* ---- opening and closing --------------------------------------------------------------------- */

void sp_jobs_close(struct sp_jobs *jobs) {
    if (jobs == NULL) {
        return;
    }
    sp_client_close(jobs->client);
    if (jobs->has_answer || jobs->asked) {
        sp_answer_fini(&jobs->answer);
    }
    for (size_t i = 0; i < jobs->key_count; i++) {
        free(jobs->keys[i]);
    }
    sp_decoded_fini(&jobs->decoded);
    free(jobs->keys);
    free(jobs->group);
    free(jobs->consumer);
    free(jobs);
}

static bool copy_names(struct sp_jobs *jobs, const char *group, const char *consumer,
                       const char *const *keys, size_t key_count) {
    jobs->group = strdup(group);
    jobs->consumer = strdup(consumer);
    jobs->keys = calloc(key_count, sizeof(*jobs->keys));
    bool fine = jobs->group != NULL && jobs->consumer != NULL && jobs->keys != NULL;
    for (size_t i = 0; i < key_count && fine; i++) {
        jobs->keys[i] = strdup(keys[i]);
        jobs->key_count = i + 1;
        fine = jobs->keys[i] != NULL;
    }
    return fine;
}

sp_status sp_jobs_open(struct sp_client *client, const char *group, const char *consumer,
                       const char *const *keys, size_t key_count, uint32_t batch,
                       struct sp_jobs **ret_jobs, struct sp_error *error) {
    sp_require(key_count > 0 && key_count <= SP_JOBS_KEYS_MAX);
    sp_require(batch > 0 && batch <= SP_JOBS_BATCH_MAX);
    struct sp_client_options options = *sp_client_options(client);
    struct sp_jobs *jobs = calloc(1, sizeof(*jobs));
    options.own_thread = false;
    if (jobs == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "worker");
    }
    jobs->batch = batch;
    sp_decoded_init(&jobs->decoded);
    sp_status status =
        copy_names(jobs, group, consumer, keys, key_count)
            ? sp_client_open_url(sp_client_url(client), &options, &jobs->client, error)
            : sp_error_set(error, SP_NO_MEMORY, "worker");
    if (status != SP_OK) {
        sp_jobs_close(jobs);
        return status;
    }
    *ret_jobs = jobs;
    return SP_OK;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Queues a command; waits for room where too much is under way. */
static sp_status send_words(struct sp_jobs *jobs, const sp_str *words, size_t count,
                            uint32_t wait_ms, sp_request_fn *done, struct sp_error *error) {
    struct sp_buf command;
    sp_status status = SP_OK;
    sp_buf_init(&command, COMMAND_BYTES_MAX);
    sp_client_encode(&command, words, count);
    if (command.status != SP_OK) {
        status = sp_error_set(error, command.status, "a worker's names are too long");
    }
    sp_client_lock(jobs->client);
    while (status == SP_OK && (status = sp_client_send(jobs->client, &command, wait_ms, 0, done,
                                                       jobs, error)) == SP_BUSY) {
        sp_client_make_room(jobs->client);
        status = SP_OK;
    }
    sp_client_unlock(jobs->client);
    sp_buf_fini(&command);
    return status;
}

/* That an entry is no longer in flight is no news: it was handed out again meanwhile. */
static void forget(void *context, sp_status status, const struct sp_reply_node *reply,
                   bool sent_twice, const struct sp_error *error) {
    (void)context;
    (void)status;
    (void)reply;
    (void)sent_twice;
    (void)error;
}

sp_status sp_jobs_ack(struct sp_jobs *jobs, const struct sp_job_delivery *delivery,
                      struct sp_error *error) {
    const sp_str words[] = {SP_STR("XACK"), delivery->key, sp_str_from(jobs->group),
                            delivery->entry};
    return send_words(jobs, words, 4, 0, forget, error);
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void take_answer(void *context, sp_status status, const struct sp_reply_node *reply,
                        bool sent_twice, const struct sp_error *error) {
    struct sp_jobs *jobs = context;
    (void)sent_twice;
    jobs->status = status;
    if (status == SP_OK) {
        jobs->status = sp_answer_copy(&jobs->answer, reply);
        sp_error_clear(&jobs->error);
    } else {
        jobs->error = *error;
    }
    jobs->answered = true;
}

static sp_status ask(struct sp_jobs *jobs, struct sp_error *error) {
    char block[NUMBER_SIZE];
    char batch[NUMBER_SIZE];
    (void)snprintf(block, sizeof(block), "%d", BLOCK_MS);
    (void)snprintf(batch, sizeof(batch), "%" PRIu32, jobs->batch);
    sp_str words[WORDS_MAX] = {SP_STR("SPOOR.RECEIVE"),
                               SP_STR("GROUP"),
                               sp_str_from(jobs->group),
                               sp_str_from(jobs->consumer),
                               SP_STR("COUNT"),
                               sp_str_from(batch),
                               SP_STR("RAW"),
                               SP_STR("BLOCK"),
                               sp_str_from(block),
                               SP_STR("KEYS")};
    size_t count = 10;
    for (size_t i = 0; i < jobs->key_count; i++) {
        words[count++] = sp_str_from(jobs->keys[i]);
    }
    sp_answer_init(&jobs->answer);
    jobs->answered = false;
    sp_status status = send_words(jobs, words, count, BLOCK_MS, take_answer, error);
    jobs->asked = status == SP_OK;
    if (status != SP_OK) {
        sp_answer_fini(&jobs->answer);
    }
    return status;
}

/* Drives the connection until the request is answered; SP_TIMEOUT. */
static sp_status await(struct sp_jobs *jobs, uint64_t until_ms, struct sp_error *error) {
    enum { FOREVER_MS = 1000000000 };
    uint32_t answered = 0;
    while (!jobs->answered) {
        uint64_t now_ms = sp_client_now_ms();
        uint64_t left = until_ms > now_ms ? until_ms - now_ms : 0;
        sp_client_turn(jobs->client, left > FOREVER_MS ? FOREVER_MS : (int)left, &answered);
        if (!jobs->answered && left == 0) {
            return sp_error_set(error, SP_TIMEOUT, "nothing came in time");
        }
    }
    jobs->asked = false;
    if (jobs->status != SP_OK) {
        sp_answer_fini(&jobs->answer);
        if (error != NULL) {
            *error = jobs->error;
        }
        return jobs->status;
    }
    jobs->has_answer = true;
    jobs->row = 0;
    jobs->node = 1;
    return SP_OK;
}

/* [key, entry id, attempts, json] at the next row of the answer. */
static sp_status take_row(struct sp_jobs *jobs, struct sp_job_delivery *ret_delivery,
                          struct sp_error *error) {
    const struct sp_reply_node *row = sp_answer_node(&jobs->answer) + jobs->node;
    bool sound = row->kind == SP_REPLY_ARRAY && row->count == DELIVERY_FIELDS &&
                 row->span == DELIVERY_FIELDS + 1;
    struct sp_job_delivery delivery = {.event = &jobs->decoded.event};
    delivery.key = sound ? sp_answer_text(&row[1]) : (sp_str){.ptr = NULL};
    delivery.entry = sound ? sp_answer_text(&row[2]) : (sp_str){.ptr = NULL};
    sp_str text = sound ? sp_answer_text(&row[4]) : (sp_str){.ptr = NULL};
    if (delivery.key.ptr == NULL || delivery.entry.ptr == NULL || text.ptr == NULL) {
        return sp_error_set(error, SP_FAILED, "the server's answer makes no sense");
    }
    delivery.attempts = (uint32_t)sp_answer_u64(&row[3]);
    jobs->row++;
    jobs->node += row->span;
    sp_status status = sp_decode(&jobs->decoded, text, error);
    if (status == SP_OK) {
        *ret_delivery = delivery;
    }
    return status;
}

/* Whether what was brought has another row; gives it back where not. */
static bool has_row(struct sp_jobs *jobs) {
    if (!jobs->has_answer) {
        return false;
    }
    const struct sp_reply_node *list = sp_answer_node(&jobs->answer);
    if (list->kind == SP_REPLY_ARRAY && jobs->row < list->count) {
        return true;
    }
    sp_answer_fini(&jobs->answer);
    jobs->has_answer = false;
    return false;
}

sp_status sp_jobs_receive(struct sp_jobs *jobs, int timeout_ms,
                          struct sp_job_delivery *ret_delivery, struct sp_error *error) {
    uint64_t until_ms = timeout_ms < 0 ? UINT64_MAX : sp_client_now_ms() + (uint64_t)timeout_ms;
    while (!has_row(jobs)) {
        sp_status status = jobs->asked ? SP_OK : ask(jobs, error);
        status = status == SP_OK ? await(jobs, until_ms, error) : status;
        if (status != SP_OK) {
            return status;
        }
    }
    return take_row(jobs, ret_delivery, error);
}
