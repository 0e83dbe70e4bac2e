#include "client/group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/decode.h"

enum {
    SLICE_MS = 10000, /* a wait without limit is asked for in such pieces */
    OPTIONS_MAX = 16,
    NUMBER_SIZE = 24,
    ENTRY_SIZE = 64,
    DELIVERY_FIELDS = 4, /* key, entry id, attempts, event */
};

struct sp_worker_of {
    struct sp_client *client;
    char *key;
    char *name;
    char *consumer;
    bool has_answer;
    struct sp_answer answer;
    struct sp_decoded decoded;
    char entry[ENTRY_SIZE];
};

/* ---- making ---------------------------------------------------------------------------------- */

sp_status sp_client_group_create(struct sp_client *client, const char *key, const char *name,
                                 const char *from, const spoor_group_option *options,
                                 size_t option_count, struct sp_error *error) {
    sp_str words[7 + 2 * OPTIONS_MAX] = {SP_STR("SPOOR.GROUP"), SP_STR("CREATE"), sp_str_from(name),
                                         sp_str_from(key), SP_STR("MKSTREAM")};
    size_t count = 5;
    struct sp_answer answer;
    if (option_count > OPTIONS_MAX) {
        return sp_error_set(error, SP_INVALID, "%zu options of a group, at most %d", option_count,
                            OPTIONS_MAX);
    }
    if (from != NULL) {
        words[count++] = SP_STR("FROM");
        words[count++] = sp_str_from(from);
    }
    for (size_t i = 0; i < option_count; i++) {
        words[count++] = sp_str_from(options[i].name);
        words[count++] = sp_str_from(options[i].value);
    }
    sp_status status = sp_client_call(client, words, count, 0, &answer, error);
    if (status == SP_OK) {
        sp_answer_fini(&answer);
    }
    return status;
}

/* ---- joining and leaving --------------------------------------------------------------------- */

void sp_client_group_leave(struct sp_worker_of *worker) {
    if (worker == NULL) {
        return;
    }
    if (worker->has_answer) {
        sp_answer_fini(&worker->answer);
    }
    sp_client_close(worker->client);
    sp_decoded_fini(&worker->decoded);
    free(worker->key);
    free(worker->name);
    free(worker->consumer);
    free(worker);
}

sp_status sp_client_group_join(struct sp_client *client, const char *key, const char *name,
                               const char *consumer, struct sp_worker_of **ret_worker,
                               struct sp_error *error) {
    struct sp_worker_of *worker = calloc(1, sizeof(*worker));
    struct sp_client_options options = *sp_client_options(client);
    options.own_thread = false;
    if (worker == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "worker");
    }
    sp_decoded_init(&worker->decoded);
    worker->key = strdup(key);
    worker->name = strdup(name);
    worker->consumer = strdup(consumer);
    sp_status status =
        worker->key == NULL || worker->name == NULL || worker->consumer == NULL
            ? sp_error_set(error, SP_NO_MEMORY, "worker")
            : sp_client_open_url(sp_client_url(client), &options, &worker->client, error);
    if (status != SP_OK) {
        sp_client_group_leave(worker);
        return status;
    }
    *ret_worker = worker;
    return SP_OK;
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* [[key, entry id, attempts, json]] */
static sp_status take_delivery(struct sp_worker_of *worker, const struct sp_event **ret_event,
                               const char **ret_entry, uint32_t *ret_attempts,
                               struct sp_error *error) {
    const struct sp_reply_node *list = sp_answer_node(&worker->answer);
    if (list->kind == SP_REPLY_NULL) {
        return sp_error_set(error, SP_TIMEOUT, "nothing came in time");
    }
    const struct sp_reply_node *row = sp_reply_child(list);
    bool sound = list->kind == SP_REPLY_ARRAY && list->count == 1 && row->kind == SP_REPLY_ARRAY &&
                 row->count == DELIVERY_FIELDS && row->span == DELIVERY_FIELDS + 1;
    sp_str entry = sound ? sp_answer_text(&row[2]) : (sp_str){.ptr = NULL};
    sp_str text = sound ? sp_answer_text(&row[4]) : (sp_str){.ptr = NULL};
    if (entry.ptr == NULL || text.ptr == NULL || entry.len >= ENTRY_SIZE) {
        return sp_error_set(error, SP_FAILED, "the server's answer makes no sense");
    }
    (void)snprintf(worker->entry, sizeof(worker->entry), "%.*s", SP_STR_ARG(entry));
    sp_status status = sp_decode(&worker->decoded, text, error);
    if (status == SP_OK) {
        *ret_event = &worker->decoded.event;
        *ret_entry = worker->entry;
        *ret_attempts = (uint32_t)sp_answer_u64(&row[3]);
    }
    return status;
}

/* Waits up to slice_ms on the server. */
static sp_status receive_slice(struct sp_worker_of *worker, uint32_t slice_ms,
                               const struct sp_event **ret_event, const char **ret_entry,
                               uint32_t *ret_attempts, struct sp_error *error) {
    char block[NUMBER_SIZE];
    (void)snprintf(block, sizeof(block), "%u", slice_ms);
    /* BLOCK 0 would wait for ever: without it nothing is waited for. */
    const sp_str words[] = {SP_STR("SPOOR.RECEIVE"),
                            SP_STR("GROUP"),
                            sp_str_from(worker->name),
                            sp_str_from(worker->consumer),
                            SP_STR("COUNT"),
                            SP_STR("1"),
                            SP_STR("RAW"),
                            slice_ms > 0 ? SP_STR("BLOCK") : SP_STR("KEYS"),
                            slice_ms > 0 ? sp_str_from(block) : sp_str_from(worker->key),
                            SP_STR("KEYS"),
                            sp_str_from(worker->key)};
    if (worker->has_answer) {
        sp_answer_fini(&worker->answer);
    }
    sp_status status = sp_client_call(worker->client, words, slice_ms > 0 ? 11 : 9, slice_ms,
                                      &worker->answer, error);
    worker->has_answer = status == SP_OK;
    return status == SP_OK ? take_delivery(worker, ret_event, ret_entry, ret_attempts, error)
                           : status;
}

sp_status sp_client_group_receive(struct sp_worker_of *worker, int timeout_ms,
                                  const struct sp_event **ret_event, const char **ret_entry,
                                  uint32_t *ret_attempts, struct sp_error *error) {
    uint64_t until_ms = timeout_ms < 0 ? UINT64_MAX : sp_client_now_ms() + (uint64_t)timeout_ms;
    for (;;) {
        uint64_t now_ms = sp_client_now_ms();
        uint64_t left = until_ms > now_ms ? until_ms - now_ms : 0;
        uint32_t slice_ms = left > SLICE_MS ? SLICE_MS : (uint32_t)left;
        sp_status status =
            receive_slice(worker, slice_ms, ret_event, ret_entry, ret_attempts, error);
        bool waits = status == SP_TIMEOUT && worker->has_answer && left > slice_ms;
        if (!waits) {
            return status;
        }
    }
}

/* ---- outcomes -------------------------------------------------------------------------------- */

/* Asks, and takes 0 for "not in flight". */
static sp_status settle(struct sp_worker_of *worker, const sp_str *words, size_t count,
                        const char *entry, struct sp_error *error) {
    struct sp_answer answer;
    sp_status status = sp_client_call(worker->client, words, count, 0, &answer, error);
    if (status != SP_OK) {
        return status;
    }
    bool done = sp_answer_u64(sp_answer_node(&answer)) > 0;
    sp_answer_fini(&answer);
    return done ? SP_OK : sp_error_set(error, SP_NOT_FOUND, "%s is not in flight", entry);
}

sp_status sp_client_group_ack(struct sp_worker_of *worker, const char *entry,
                              struct sp_error *error) {
    const sp_str words[] = {SP_STR("XACK"), sp_str_from(worker->key), sp_str_from(worker->name),
                            sp_str_from(entry)};
    return settle(worker, words, 4, entry, error);
}

sp_status sp_client_group_nack(struct sp_worker_of *worker, const char *entry, int64_t delay_ms,
                               const char *reason, bool dead, struct sp_error *error) {
    char delay[NUMBER_SIZE];
    sp_str words[9] = {SP_STR("SPOOR.NACK"), sp_str_from(worker->key), sp_str_from(worker->name),
                       sp_str_from(entry)};
    size_t count = 4;
    (void)snprintf(delay, sizeof(delay), "%" PRId64, delay_ms);
    if (delay_ms >= 0 && !dead) {
        words[count++] = SP_STR("DELAY");
        words[count++] = sp_str_from(delay);
    }
    if (reason != NULL) {
        words[count++] = SP_STR("ERROR");
        words[count++] = sp_str_from(reason);
    }
    if (dead) {
        words[count++] = SP_STR("DEAD");
    }
    return settle(worker, words, count, entry, error);
}

sp_status sp_client_group_extend(struct sp_worker_of *worker, const char *entry, uint64_t for_ms,
                                 struct sp_error *error) {
    char ms[NUMBER_SIZE];
    (void)snprintf(ms, sizeof(ms), "%" PRIu64, for_ms);
    const sp_str words[] = {SP_STR("SPOOR.EXTEND"),
                            sp_str_from(worker->key),
                            sp_str_from(worker->name),
                            sp_str_from(entry),
                            SP_STR("MS"),
                            sp_str_from(ms)};
    return settle(worker, words, for_ms > 0 ? 6 : 4, entry, error);
}
