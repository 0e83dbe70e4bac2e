/*
 * SPOOR.RECEIVE and SPOOR.EXTEND: entries of groups as whole events, for workers. loop-thread
 *
 *     SPOOR.RECEIVE GROUP group consumer [COUNT n] [BLOCK ms] [RAW] KEYS key [key …]
 *     SPOOR.EXTEND key group id [id …] [MS ms]
 *
 * A receive is an XREADGROUP of `>`: lazily durable, and waiting with the others of its groups. Its
 * COUNT is that of all keys together, for it says how much the worker has room for; so that none
 * of the keys has the first say each time, they are asked in turn.
 */
#include <stdio.h>

#include "event/event_json.h"
#include "server/cmd_groups.h"
#include "server/consumers.h"
#include "server/upcasting.h"
#include "server/wait.h"

enum {
    STEP = 64,                     /* entries asked for at a time */
    REPLY_BYTES_ENOUGH = 16 << 20, /* a reply of so much ends before the count is reached */
};

/* ---- options --------------------------------------------------------------------------------- */

struct receive_options {
    sp_str group; /* NULL ptr: not given */
    sp_str consumer;
    uint64_t count;
    uint64_t block_ms;
    bool block;
    bool raw;
    uint32_t keys_at;
    uint32_t key_count;
};

struct receive_key {
    struct sp_key key;
    sp_str text;
    uint64_t group; /* number */
    bool has_policy;
};

/* A whole number from `least` on. False where the error is written. */
static bool read_whole(struct sp_request *request, sp_str text, const char *name, int64_t least,
                       uint64_t *ret_value) {
    int64_t value = 0;
    if (!sp_word_i64(text, &value) || value < least) {
        char problem[96];
        (void)snprintf(problem, sizeof(problem), "%s: expected a whole number, %s", name,
                       least == 0 ? "0 or more" : "1 or more");
        (void)sp_reply_error(request, problem);
        return false;
    }
    *ret_value = (uint64_t)value;
    return true;
}

/* The option at *at, which moves to its last word. */
static bool read_option(struct sp_request *request, uint32_t *at, struct receive_options *options) {
    uint32_t left = request->argc - 1 - *at;
    sp_str word = request->args[*at];
    if (left >= 2 && sp_word_is(word, "group")) {
        options->group = request->args[++*at];
        options->consumer = request->args[++*at];
        return true;
    }
    if (left >= 1 && sp_word_is(word, "count")) {
        return read_whole(request, request->args[++*at], "COUNT", 1, &options->count);
    }
    if (left >= 1 && sp_word_is(word, "block")) {
        options->block = true;
        return read_whole(request, request->args[++*at], "BLOCK", 0, &options->block_ms);
    }
    if (sp_word_is(word, "raw")) {
        options->raw = true;
        return true;
    }
    (void)sp_reply_error(request, "syntax error, expected GROUP group consumer, COUNT n, BLOCK ms "
                                  "or RAW, and KEYS key [key ...] behind them");
    return false;
}

static bool read_options(struct sp_request *request, struct receive_options *options) {
    for (uint32_t at = 1; at < request->argc && options->keys_at == 0; at++) {
        if (sp_word_is(request->args[at], "keys") && at + 1 < request->argc) {
            options->keys_at = at + 1;
            options->key_count = request->argc - at - 1;
        } else if (!read_option(request, &at, options)) {
            return false;
        }
    }
    if (options->keys_at == 0 || options->group.ptr == NULL) {
        (void)sp_reply_error(request, "syntax error, GROUP group consumer and KEYS key [key ...] "
                                      "are needed");
        return false;
    }
    if (options->key_count > SP_WAIT_KEYS_MAX) {
        (void)sp_reply_error(request, "too many keys in one SPOOR.RECEIVE");
        return false;
    }
    return true;
}

static bool find_key(struct sp_request *request, const struct receive_options *options, uint32_t i,
                     struct receive_key *key) {
    *key = (struct receive_key){.text = request->args[options->keys_at + i]};
    if (!sp_request_key(request, key->text, &key->key)) {
        return false;
    }
    const struct sp_group *group = sp_bus_group(request->server->bus, &key->key, options->group);
    if (group == NULL) {
        (void)sp_reply_no_group(request, key->text, options->group, " in SPOOR.RECEIVE");
        return false;
    }
    struct sp_group_facts facts = sp_group_get(group);
    key->group = facts.number;
    key->has_policy = facts.has_policy;
    return true;
}

/* All keys with their groups, in the scratch buffer. NULL where the error is written. */
static struct receive_key *find_keys(struct sp_request *request,
                                     const struct receive_options *options) {
    struct sp_buf *scratch = &request->server->scratch;
    size_t bytes = options->key_count * sizeof(struct receive_key);
    sp_buf_reset(scratch);
    struct receive_key *keys = (struct receive_key *)(void *)sp_buf_reserve(scratch, bytes);
    if (keys == NULL) {
        (void)sp_reply_status(request, scratch->status, NULL);
        return NULL;
    }
    sp_buf_advance(scratch, bytes);
    for (uint32_t i = 0; i < options->key_count; i++) {
        if (!find_key(request, options, i, &keys[i])) {
            return NULL;
        }
    }
    return keys;
}

/* ---- handing out ----------------------------------------------------------------------------- */

struct receiving {
    struct sp_resp *reply;
    size_t from; /* where it begins in the buffer */
    sp_str key;
    uint64_t count;
    struct sp_server *upcast; /* NULL: as stored */
    struct sp_upcasting_failed failed;
};

/* A sp_bus_given_fn. What is handed out is there: its event is never NULL. */
static void write_entry(void *context, const struct sp_event *event, struct sp_entry_id id,
                        uint32_t attempts) {
    struct receiving *receiving = context;
    struct sp_resp *reply = receiving->reply;
    struct sp_error error;
    sp_require(event != NULL);
    if (sp_upcasting_view(receiving->upcast, event, &event, &error) != SP_OK) {
        sp_upcasting_note(&receiving->failed, id, &error);
        return;
    }
    sp_resp_array(reply, 4);
    sp_resp_bulk(reply, receiving->key);
    sp_resp_id(reply, id);
    sp_resp_unsigned(reply, attempts);
    struct sp_resp_open open = sp_resp_open_bulk(reply, event->data.len + 400);
    sp_event_to_json(event, NULL, reply->to);
    sp_resp_close_bulk(reply, open);
    receiving->count++;
}

/* So many of this key now: of a group that several wait for, a share. */
static uint32_t limit_of(const struct sp_request *request, const struct receive_options *options,
                         uint64_t given) {
    uint64_t limit = options->count == 0 || options->count > SP_GROUP_CALL_MAX ? SP_GROUP_CALL_MAX
                                                                               : options->count;
    limit -= given;
    if (request->share > 0 && limit > request->share) {
        limit = request->share;
    }
    return (uint32_t)limit;
}

/* In steps: what a reply has no room for must not be handed out. */
static sp_status receive_one(struct sp_request *request, const struct receive_options *options,
                             const struct receive_key *key, struct receiving *receiving,
                             struct sp_error *error) {
    uint32_t left = limit_of(request, options, receiving->count);
    sp_status status = SP_OK;
    if (key->has_policy && left > 0) {
        sp_consumers_read(request->connection, key->group, options->consumer);
    }
    receiving->key = key->text;
    while (status == SP_OK && left > 0 &&
           request->reply->to->len - receiving->from < REPLY_BYTES_ENOUGH) {
        struct sp_bus_receive step = {.key = &key->key,
                                      .group = options->group,
                                      .consumer = options->consumer,
                                      .count = left < STEP ? left : STEP};
        uint32_t count = 0;
        status = sp_bus_receive(request->server->bus, &step, write_entry, receiving, &count, error);
        if (sp_upcasting_give_back(request->server, &key->key, options->group, &receiving->failed) >
            0) {
            request->appended = true; /* it told of them */
        }
        left = status == SP_OK && count == step.count ? left - count : 0;
    }
    return status;
}

/* With *ret_count 0 nothing is written. What was handed out is said, whatever came behind it. */
static sp_status receive_all(struct sp_request *request, const struct receive_options *options,
                             const struct receive_key *keys, uint64_t *ret_count,
                             struct sp_error *error) {
    struct receiving receiving = {.reply = request->reply,
                                  .from = request->reply->to->len,
                                  .upcast = options->raw ? NULL : request->server};
    uint32_t first = (uint32_t)(request->server->receives++ % options->key_count);
    struct sp_resp_open open = sp_resp_open_array(request->reply, options->count);
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < options->key_count && status == SP_OK; i++) {
        status = receive_one(request, options, &keys[(first + i) % options->key_count], &receiving,
                             error);
    }
    *ret_count = receiving.count;
    if (receiving.count == 0) {
        sp_resp_drop(request->reply, open);
        return status;
    }
    sp_resp_close(request->reply, open, receiving.count);
    return SP_OK;
}

static enum sp_verdict wait(struct sp_request *request, const struct receive_options *options,
                            const struct receive_key *keys) {
    uint64_t *groups = (uint64_t *)(void *)sp_buf_reserve(&request->server->scratch,
                                                          options->key_count * sizeof(*groups));
    if (groups == NULL) {
        return sp_reply_status(request, SP_NO_MEMORY, NULL);
    }
    for (uint32_t i = 0; i < options->key_count; i++) {
        groups[i] = keys[i].group;
    }
    struct sp_wait_spec spec = {.args = request->args,
                                .argc = request->argc,
                                .groups = groups,
                                .count = options->key_count,
                                .timeout_ms = options->block_ms};
    return sp_wait_begin(request, &spec);
}

enum sp_verdict sp_on_spoor_receive(struct sp_request *request) {
    struct receive_options options = {.count = 0};
    struct sp_error error;
    uint64_t count = 0;
    if (!read_options(request, &options)) {
        return SP_DONE;
    }
    const struct receive_key *keys = find_keys(request, &options);
    if (keys == NULL) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = receive_all(request, &options, keys, &count, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    request->lazy = !request->appended;
    if (count == 0 && options.block && !request->in_transaction) {
        return wait(request, &options, keys);
    }
    if (count == 0) {
        sp_resp_null_array(request->reply);
    }
    return SP_DONE;
}

/* ---- SPOOR.EXTEND ---------------------------------------------------------------------------- */

/* MS and its value, where they are the last two words. False where the error is written. */
static bool read_ms(struct sp_request *request, uint32_t *id_count, uint64_t *ms, bool *has_ms) {
    uint32_t last = request->argc - 1;
    *id_count = request->argc - 3;
    *has_ms = false;
    if (request->argc < 6 || !sp_word_is(request->args[last - 1], "ms")) {
        return true;
    }
    *has_ms = true;
    *id_count -= 2;
    if (!read_whole(request, request->args[last], "MS", 0, ms)) {
        return false;
    }
    if (*ms > SP_GROUP_TIME_MS_MAX) {
        (void)sp_reply_error(request, "MS: more than three years");
        return false;
    }
    return true;
}

enum sp_verdict sp_on_spoor_extend(struct sp_request *request) {
    struct sp_group_named named;
    struct sp_error error;
    uint32_t id_count = 0;
    uint64_t ms = 0;
    uint64_t count = 0;
    bool has_ms = false;
    if (!sp_group_needed(request, 1, 2, &named) || !read_ms(request, &id_count, &ms, &has_ms)) {
        return SP_DONE;
    }
    const struct sp_entry_id *ids = sp_group_ids(request, 3, id_count);
    if (ids == NULL) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_extend(request->server->bus, &named.key, named.name, ids, id_count,
                                     has_ms ? &ms : NULL, &count, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_unsigned(request->reply, count);
    return SP_DONE;
}
