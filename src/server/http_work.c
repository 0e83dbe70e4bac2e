/*
 * Worker queues over HTTP: entries handed out, and what became of them. loop-thread
 *
 *     POST /v1/groups/{group}/receive   {"consumer": "w1", "max": 10, "wait_ms": 20000}
 *     POST /v1/groups/{group}/ack       {"ids": ["1795153752123-0"]}
 *     POST /v1/groups/{group}/nack      {"ids": […], "error": "…", "delay_ms": 5000, "dead": false}
 *     POST /v1/groups/{group}/extend    {"ids": […], "ms": 60000}
 *
 * A consumer over HTTP has no connection that ends: what it has goes back when ack-wait is over.
 * A receive that waits stands in line with the members that wait over the Redis protocol, and as
 * there who came first is asked first. Deliveries are lazily durable, all else is not.
 */
#include <stdlib.h>

#include "server/http_groups.h"
#include "server/upcasting.h"

enum {
    RECEIVE_STEP = 16, /* entries asked for at a time: what is handed out must fit into the reply */
    RECEIVE_MAX = 1000,
    WAIT_MS_MAX = 300000,
};

static const char *const ONLY_KEY[] = {"key", NULL};

/* ---- receive --------------------------------------------------------------------------------- */

struct receive {
    sp_str consumer;
    uint64_t max;
    uint64_t wait_ms;
    bool raw; /* as stored */
    struct sp_buf texts;
};

static sp_status read_receive(const struct sp_http_request *request, struct receive *receive,
                              struct sp_error *error) {
    static const char *const names[] = {"consumer", "max", "wait_ms", "upcast", NULL};
    struct sp_http_value values[4];
    bool upcast = true;
    sp_status status = sp_http_body_members(request, names, values, error);
    status = status == SP_OK ? sp_http_value_needed(&values[0], names[0], error) : status;
    if (status == SP_OK) {
        status = sp_http_value_text(&values[0], names[0], SP_HTTP_CONSUMER_BYTES_MAX,
                                    &receive->texts, &receive->consumer, error);
    }
    if (status == SP_OK && receive->consumer.len == 0) {
        status = sp_error_set(error, SP_INVALID, "consumer: expected a name");
    }
    if (status == SP_OK) {
        status = sp_http_value_number(&values[1], names[1], 1, RECEIVE_MAX, &receive->max, error);
    }
    if (status == SP_OK) {
        status =
            sp_http_value_number(&values[2], names[2], 0, WAIT_MS_MAX, &receive->wait_ms, error);
    }
    status = status == SP_OK ? sp_http_value_bool(&values[3], names[3], &upcast, error) : status;
    receive->raw = !upcast;
    return status;
}

struct giving {
    struct sp_buf *to;
    sp_str key;
    uint64_t deadline_ms; /* 0: none */
    uint64_t count;
    struct sp_server *upcast; /* NULL: as stored */
    struct sp_upcasting_failed failed;
};

/* A sp_bus_given_fn. What is handed out is there: its event is never NULL. */
static void give(void *context, const struct sp_event *event, struct sp_entry_id id,
                 uint32_t attempts) {
    struct giving *giving = context;
    struct sp_buf *to = giving->to;
    struct sp_error error;
    if (sp_upcasting_view(giving->upcast, event, &event, &error) != SP_OK) {
        sp_upcasting_note(&giving->failed, id, &error);
        return;
    }
    sp_buf_add_str(to, giving->count++ == 0 ? SP_STR("{") : SP_STR(",{"));
    sp_http_add_id(to, "id", id);
    sp_http_add_text(to, "key", giving->key);
    sp_http_add_number(to, "attempts", attempts);
    sp_http_add_time(to, "deadline", giving->deadline_ms);
    sp_http_add_event(to, event);
    sp_buf_add_byte(to, '}');
}

/* In steps: what a reply has no room for must not be handed out. */
static sp_status take(struct sp_http_request *request, const struct sp_http_group *found,
                      const struct receive *receive, struct giving *giving,
                      struct sp_error *error) {
    uint64_t most = receive->max;
    sp_status status = SP_OK;
    bool more = true;
    if (request->share > 0 && most > request->share) {
        most = request->share;
    }
    while (status == SP_OK && more && giving->count < most &&
           giving->to->len < SP_HTTP_REPLY_BYTES_ENOUGH) {
        uint64_t left = most - giving->count;
        struct sp_bus_receive step = {.key = &found->key,
                                      .group = found->name,
                                      .consumer = receive->consumer,
                                      .count = left < RECEIVE_STEP ? (uint32_t)left : RECEIVE_STEP};
        uint32_t count = 0;
        status = sp_bus_receive(request->server->bus, &step, give, giving, &count, error);
        if (sp_upcasting_give_back(request->server, &found->key, found->name, &giving->failed) >
            0) {
            request->appended = true; /* it told of them */
        }
        more = count == step.count;
    }
    return giving->count > 0 ? SP_OK : status;
}

static enum sp_http_verdict wait(struct sp_http_request *request, uint64_t group,
                                 const struct receive *receive) {
    const struct sp_http_wait wait = {.groups = &group, .count = 1, .timeout_ms = receive->wait_ms};
    return sp_http_wait(request, &wait);
}

static enum sp_http_verdict hand_out(struct sp_http_request *request,
                                     const struct receive *receive) {
    struct sp_http_group found;
    struct sp_error error;
    if (!sp_http_group_needed(request, &found)) {
        return SP_HTTP_DONE;
    }
    struct sp_group_facts facts = sp_group_get(found.group);
    struct sp_buf *to = sp_http_scratch(request);
    struct giving giving = {
        .to = to, .key = found.key.text, .upcast = receive->raw ? NULL : request->server};
    uint64_t number = facts.number;
    if (facts.has_policy) {
        giving.deadline_ms = request->server->wall_ms + facts.policy.ack_wait_ms;
    }
    sp_error_clear(&error);
    sp_buf_add_str(to, SP_STR("{\"entries\":["));
    sp_status status = take(request, &found, receive, &giving, &error);
    if (status != SP_OK) {
        return sp_http_group_refuse(request, status, &error);
    }
    request->lazy = !request->appended;
    if (giving.count == 0 && receive->wait_ms > 0 && !request->timed_out) {
        return wait(request, number, receive);
    }
    sp_buf_add_str(to, SP_STR("]}"));
    return sp_http_json(request, 200, sp_buf_str(to));
}

enum sp_http_verdict sp_http_on_receive(struct sp_http_request *request) {
    struct receive receive = {.max = 1};
    struct sp_error error;
    enum sp_http_verdict verdict = SP_HTTP_DONE;
    if (!sp_http_only_query(request, ONLY_KEY)) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_buf_init(&receive.texts, request->body.len + 1);
    sp_status status = read_receive(request, &receive, &error);
    if (status != SP_OK) {
        verdict = sp_http_refuse_status(request, status == SP_LIMIT ? SP_INVALID : status, &error);
    } else {
        verdict = hand_out(request, &receive);
    }
    sp_buf_fini(&receive.texts);
    return verdict;
}

/* ---- ids ------------------------------------------------------------------------------------- */

/* What ack, nack and extend are told. */
struct settle {
    struct sp_buf ids; /* struct sp_entry_id */
    uint32_t count;
    struct sp_buf texts;
    struct sp_bus_nack nack;
    uint64_t ms;
    bool has_ms;
};

enum { IDS, ERROR_TEXT, DELAY_MS, DEAD, MEMBERS };
enum { EXTEND_MS = 1 };

static sp_status read_ids(const struct sp_http_request *request, const char *const *names,
                          struct sp_http_value *values, struct settle *settle,
                          struct sp_error *error) {
    sp_status status = sp_http_body_members(request, names, values, error);
    status = status == SP_OK ? sp_http_value_needed(&values[IDS], names[IDS], error) : status;
    return status == SP_OK ? sp_http_value_ids(&values[IDS], names[IDS], SP_HTTP_IDS_MAX,
                                               &settle->ids, &settle->count, error)
                           : status;
}

static sp_status read_ack(const struct sp_http_request *request, struct settle *settle,
                          struct sp_error *error) {
    static const char *const names[] = {"ids", NULL};
    struct sp_http_value values[1];
    return read_ids(request, names, values, settle, error);
}

static sp_status read_extend(const struct sp_http_request *request, struct settle *settle,
                             struct sp_error *error) {
    static const char *const names[] = {"ids", "ms", NULL};
    struct sp_http_value values[2];
    sp_status status = read_ids(request, names, values, settle, error);
    settle->has_ms = status == SP_OK && values[EXTEND_MS].given;
    return status == SP_OK ? sp_http_value_number(&values[EXTEND_MS], names[EXTEND_MS], 0,
                                                  SP_GROUP_TIME_MS_MAX, &settle->ms, error)
                           : status;
}

static sp_status read_nack(const struct sp_http_request *request, struct settle *settle,
                           struct sp_error *error) {
    static const char *const names[] = {"ids", "error", "delay_ms", "dead", NULL};
    struct sp_http_value values[MEMBERS];
    struct sp_bus_nack *nack = &settle->nack;
    *nack = (struct sp_bus_nack){.text = SP_STR("")};
    sp_status status = read_ids(request, names, values, settle, error);
    if (status == SP_OK) {
        status = sp_http_value_text(&values[ERROR_TEXT], names[ERROR_TEXT], SIZE_MAX,
                                    &settle->texts, &nack->text, error);
    }
    if (status == SP_OK) {
        nack->has_delay = values[DELAY_MS].given;
        status = sp_http_value_number(&values[DELAY_MS], names[DELAY_MS], 0, SP_GROUP_TIME_MS_MAX,
                                      &nack->delay_ms, error);
    }
    if (nack->text.len > SP_DEAD_ERROR_BYTES_MAX) {
        nack->text.len = SP_DEAD_ERROR_BYTES_MAX;
        while (((uint8_t)nack->text.ptr[nack->text.len] & 0xc0) == 0x80) {
            nack->text.len--; /* not within a character */
        }
    }
    return status == SP_OK ? sp_http_value_bool(&values[DEAD], names[DEAD], &nack->dead, error)
                           : status;
}

typedef sp_status read_fn(const struct sp_http_request *request, struct settle *settle,
                          struct sp_error *error);
typedef enum sp_http_verdict settle_fn(struct sp_http_request *request,
                                       const struct sp_http_group *found,
                                       const struct settle *settle);

/* Reads the body, finds the group, does it. */
static enum sp_http_verdict run(struct sp_http_request *request, read_fn *read, settle_fn *how) {
    struct settle settle = {.count = 0};
    struct sp_http_group found;
    struct sp_error error;
    enum sp_http_verdict verdict = SP_HTTP_DONE;
    if (!sp_http_only_query(request, ONLY_KEY)) {
        return SP_HTTP_DONE;
    }
    sp_error_clear(&error);
    sp_buf_init(&settle.ids, (SP_HTTP_IDS_MAX + 1) * sizeof(struct sp_entry_id));
    sp_buf_init(&settle.texts, request->body.len + 1);
    sp_status status = read(request, &settle, &error);
    if (status != SP_OK) {
        verdict = sp_http_refuse_status(request, status == SP_LIMIT ? SP_INVALID : status, &error);
    } else if (sp_http_group_needed(request, &found)) {
        verdict = how(request, &found, &settle);
    }
    sp_buf_fini(&settle.ids);
    sp_buf_fini(&settle.texts);
    return verdict;
}

static const struct sp_entry_id *ids_of(const struct settle *settle) {
    return (const struct sp_entry_id *)(const void *)settle->ids.data;
}

/* ---- ack, extend ----------------------------------------------------------------------------- */

static enum sp_http_verdict ack(struct sp_http_request *request, const struct sp_http_group *found,
                                const struct settle *settle) {
    struct sp_error error;
    uint64_t count = 0;
    sp_error_clear(&error);
    sp_status status = sp_bus_ack(request->server->bus, &found->key, found->name, ids_of(settle),
                                  settle->count, &count, &error);
    return status == SP_OK ? sp_http_group_count(request, "acked", count)
                           : sp_http_group_refuse(request, status, &error);
}

static enum sp_http_verdict extend(struct sp_http_request *request,
                                   const struct sp_http_group *found, const struct settle *settle) {
    struct sp_error error;
    uint64_t count = 0;
    sp_error_clear(&error);
    sp_status status =
        sp_bus_extend(request->server->bus, &found->key, found->name, ids_of(settle), settle->count,
                      settle->has_ms ? &settle->ms : NULL, &count, &error);
    return status == SP_OK ? sp_http_group_count(request, "extended", count)
                           : sp_http_group_refuse(request, status, &error);
}

/* ---- nack ------------------------------------------------------------------------------------ */

/* How far a nack has come whose rest waits for the store. */
struct nacking {
    uint32_t at;
    uint64_t done;
};

static void free_nacking(struct sp_connection *connection, void *state) {
    (void)connection;
    free(state);
}

/* Each failure is an event in a block of its own: a busy store may take them in several turns. */
static enum sp_http_verdict nack(struct sp_http_request *request, const struct sp_http_group *found,
                                 const struct settle *settle) {
    struct nacking *so_far = request->state;
    struct sp_error error;
    if (so_far == NULL) {
        so_far = calloc(1, sizeof(*so_far));
        request->state = so_far;
        request->free_state = free_nacking;
    }
    if (so_far == NULL) {
        return sp_http_refuse_status(request, SP_NO_MEMORY, NULL);
    }
    for (; so_far->at < settle->count; so_far->at++) {
        sp_error_clear(&error);
        sp_status status = sp_bus_nack(request->server->bus, &found->key, found->name,
                                       ids_of(settle)[so_far->at], &settle->nack, &error);
        if (status != SP_OK && status != SP_NOT_FOUND) {
            return sp_http_group_refuse(request, status, &error);
        }
        so_far->done += status == SP_OK;
    }
    return sp_http_group_count(request, "nacked", so_far->done);
}

enum sp_http_verdict sp_http_on_ack(struct sp_http_request *request) {
    return run(request, read_ack, ack);
}

enum sp_http_verdict sp_http_on_nack(struct sp_http_request *request) {
    return run(request, read_nack, nack);
}

enum sp_http_verdict sp_http_on_extend(struct sp_http_request *request) {
    return run(request, read_extend, extend);
}
