/* XPENDING, XINFO GROUPS and CONSUMERS, and the groups of XINFO STREAM FULL. loop-thread */
#include "proto/stream_id.h"
#include "server/cmd_groups.h"

enum { CHUNK = 128 }; /* pending entries asked for at a time */

/* ---- pending entries ------------------------------------------------------------------------- */

/* Writes one pending entry. */
typedef void pending_fn(struct sp_request *request, const struct sp_group *group,
                        const struct sp_pending *pending);

/* Writes up to `count` of the range as an array. */
static void write_pending(struct sp_request *request, const struct sp_group *group,
                          struct sp_pending_range range, uint64_t count, pending_fn *write) {
    struct sp_pending chunk[CHUNK];
    struct sp_resp_open open = sp_resp_open_array(request->reply, count);
    uint64_t written = 0;
    bool more = true;
    while (more && written < count && request->reply->to->status == SP_OK) {
        size_t room = count - written < CHUNK ? (size_t)(count - written) : CHUNK;
        size_t got = sp_pending_list(group, &range, chunk, room);
        for (size_t i = 0; i < got; i++) {
            write(request, group, &chunk[i]);
        }
        written += got;
        more = got == room;
        if (more) {
            range.from = chunk[got - 1].id;
            more = sp_stream_id_increment(&range.from);
        }
    }
    sp_resp_close(request->reply, open, written);
}

/* The name of who has an entry; empty where it waits for its next attempt. */
static sp_str holder_of(const struct sp_group *group, const struct sp_pending *pending) {
    struct sp_consumer_facts consumer;
    if (pending->consumer == SP_CONSUMER_NONE ||
        !sp_consumer_get(group, pending->consumer, &consumer)) {
        return SP_STR("");
    }
    return consumer.name;
}

/* ---- XPENDING -------------------------------------------------------------------------------- */

struct pending_options {
    struct sp_pending_range range;
    uint64_t count;
    sp_str consumer; /* NULL ptr: any */
};

/* Where `start end count [consumer]` begins; 0 where the reply, an error, is written. */
static uint32_t pending_start(struct sp_request *request, struct pending_options *options) {
    int64_t idle = 0;
    if (request->argc < 6 || request->argc > 9) {
        (void)sp_reply_syntax(request);
        return 0;
    }
    if (!sp_word_is(request->args[3], "idle")) {
        return 3;
    }
    if (!sp_word_i64(request->args[4], &idle)) {
        (void)sp_reply_not_integer(request);
        return 0;
    }
    if (request->argc < 8) {
        (void)sp_reply_syntax(request);
        return 0;
    }
    options->range.idle_min_ms = idle < 0 ? 0 : (uint64_t)idle;
    return 5;
}

static bool read_pending(struct sp_request *request, struct pending_options *options) {
    int64_t count = 0;
    uint32_t at = pending_start(request, options);
    if (at == 0) {
        return false;
    }
    if (!sp_word_i64(request->args[at + 2], &count)) {
        (void)sp_reply_not_integer(request);
        return false;
    }
    options->count = count < 0 ? 0 : (uint64_t)count;
    const char *problem = sp_stream_id_parse_start(request->args[at], &options->range.from);
    if (problem == NULL) {
        problem = sp_stream_id_parse_end(request->args[at + 1], &options->range.until);
    }
    if (problem != NULL) {
        (void)sp_reply_error(request, problem);
        return false;
    }
    if (at + 3 < request->argc) {
        options->consumer = request->args[at + 3];
    }
    return true;
}

/* An entry that waits for its next attempt is nobody's, and idle for -1 ms. */
static void write_pending_row(struct sp_request *request, const struct sp_group *group,
                              const struct sp_pending *pending) {
    struct sp_resp *reply = request->reply;
    bool waits = pending->state == SP_PENDING_WAITING;
    sp_resp_array(reply, 4);
    sp_resp_id(reply, pending->id);
    sp_resp_bulk(reply, holder_of(group, pending));
    sp_resp_integer(reply, waits ? -1 : (int64_t)sp_ms_since(request->server, pending->time_ms));
    sp_resp_unsigned(reply, pending->count);
}

static void write_holders(struct sp_resp *reply, const struct sp_group *group) {
    struct sp_consumer_facts consumer;
    struct sp_resp_open open = sp_resp_open_array(reply, 1);
    uint64_t count = 0;
    size_t i = 0;
    for (uint32_t at = sp_consumer_nth(group, i); at != SP_CONSUMER_NONE;
         at = sp_consumer_nth(group, ++i)) {
        if (sp_consumer_get(group, at, &consumer) && consumer.pending > 0) {
            sp_resp_array(reply, 2);
            sp_resp_bulk(reply, consumer.name);
            sp_resp_bulk_unsigned(reply, consumer.pending);
            count++;
        }
    }
    sp_resp_close(reply, open, count);
}

static void write_summary(struct sp_resp *reply, const struct sp_group *group) {
    struct sp_group_facts facts = sp_group_get(group);
    sp_resp_array(reply, 4);
    sp_resp_unsigned(reply, facts.pending);
    if (facts.pending == 0) {
        sp_resp_null(reply);
        sp_resp_null(reply);
        sp_resp_null_array(reply);
        return;
    }
    sp_resp_id(reply, facts.first_id);
    sp_resp_id(reply, facts.last_id);
    write_holders(reply, group);
}

enum sp_verdict sp_on_xpending(struct sp_request *request) {
    struct pending_options options = {
        .range = {.consumer = SP_CONSUMER_NONE, .now_ms = request->server->wall_ms}};
    struct sp_group_named named;
    bool summary = request->argc == 3;
    if ((!summary && !read_pending(request, &options)) || !sp_group_needed(request, 1, 2, &named)) {
        return SP_DONE;
    }
    if (summary) {
        write_summary(request->reply, named.group);
        return SP_DONE;
    }
    if (options.consumer.ptr != NULL) {
        options.range.consumer = sp_consumer_find(named.group, options.consumer);
        if (options.range.consumer == SP_CONSUMER_NONE) {
            sp_resp_array(request->reply, 0);
            return SP_DONE;
        }
    }
    write_pending(request, named.group, options.range, options.count, write_pending_row);
    return SP_DONE;
}

/* ---- XINFO GROUPS ---------------------------------------------------------------------------- */

static const struct sp_group *nth_group(struct sp_request *request, const struct sp_key *key,
                                        size_t i) {
    const struct sp_core *core = sp_engine_core(request->server->engine);
    return sp_group_of_key(&core->groups, key->text, i);
}

/*
 * `entries-read` and `lag`: null where they could not be counted; as in Redis the first also of a
 * group that has read nothing.
 */
static void write_progress(struct sp_request *request, const struct sp_key *key,
                           const struct sp_group_facts *facts) {
    struct sp_bus_group_info info;
    struct sp_resp *reply = request->reply;
    bool known = sp_bus_group_info(request->server->bus, key, facts->name, &info, NULL) == SP_OK;
    bool counted =
        known && key->kind == SP_KEY_STREAM && !facts->has_policy && info.entries_read > 0;
    sp_resp_bulk_text(reply, "entries-read");
    if (counted) {
        sp_resp_unsigned(reply, info.entries_read);
    } else {
        sp_resp_null(reply);
    }
    sp_resp_bulk_text(reply, "lag");
    if (known) {
        sp_resp_unsigned(reply, info.lag);
    } else {
        sp_resp_null(reply);
    }
}

static void write_group(struct sp_request *request, const struct sp_key *key,
                        const struct sp_group *group) {
    struct sp_group_facts facts = sp_group_get(group);
    struct sp_resp *reply = request->reply;
    sp_resp_map(reply, 6);
    sp_resp_bulk_text(reply, "name");
    sp_resp_bulk(reply, facts.name);
    sp_resp_bulk_text(reply, "consumers");
    sp_resp_unsigned(reply, facts.consumers);
    sp_resp_bulk_text(reply, "pending");
    sp_resp_unsigned(reply, facts.pending);
    sp_resp_bulk_text(reply, "last-delivered-id");
    sp_resp_id(reply, facts.cursor.id);
    write_progress(request, key, &facts);
}

/* The key of an XINFO; it must be there. */
static bool existing_key(struct sp_request *request, struct sp_key *ret_key) {
    if (!sp_request_key(request, request->args[2], ret_key)) {
        return false;
    }
    if (!sp_bus_exists(request->server->bus, ret_key)) {
        (void)sp_reply_error(request, "no such key");
        return false;
    }
    return true;
}

enum sp_verdict sp_on_xinfo_groups(struct sp_request *request) {
    struct sp_key key;
    size_t count = 0;
    if (!existing_key(request, &key)) {
        return SP_DONE;
    }
    struct sp_resp_open open = sp_resp_open_array(request->reply, 1);
    for (const struct sp_group *group = nth_group(request, &key, 0); group != NULL;
         group = nth_group(request, &key, ++count)) {
        write_group(request, &key, group);
    }
    sp_resp_close(request->reply, open, count);
    return SP_DONE;
}

/* ---- XINFO CONSUMERS ------------------------------------------------------------------------- */

static void write_consumer(struct sp_request *request, const struct sp_consumer_facts *consumer) {
    struct sp_resp *reply = request->reply;
    sp_resp_map(reply, 4);
    sp_resp_bulk_text(reply, "name");
    sp_resp_bulk(reply, consumer->name);
    sp_resp_bulk_text(reply, "pending");
    sp_resp_unsigned(reply, consumer->pending);
    sp_resp_bulk_text(reply, "idle");
    sp_resp_unsigned(reply, sp_ms_since(request->server, consumer->seen_ms));
    sp_resp_bulk_text(reply, "inactive");
    sp_resp_integer(reply, consumer->active_ms == 0
                               ? -1
                               : (int64_t)sp_ms_since(request->server, consumer->active_ms));
}

enum sp_verdict sp_on_xinfo_consumers(struct sp_request *request) {
    struct sp_consumer_facts consumer;
    struct sp_key key;
    size_t i = 0;
    if (!existing_key(request, &key)) {
        return SP_DONE;
    }
    const struct sp_group *group = sp_bus_group(request->server->bus, &key, request->args[3]);
    if (group == NULL) {
        return sp_reply_no_group_of_key(request, request->args[2], request->args[3]);
    }
    uint64_t count = 0;
    struct sp_resp_open open = sp_resp_open_array(request->reply, sp_group_get(group).consumers);
    for (uint32_t at = sp_consumer_nth(group, i); at != SP_CONSUMER_NONE;
         at = sp_consumer_nth(group, ++i)) {
        if (sp_consumer_get(group, at, &consumer)) {
            write_consumer(request, &consumer);
            count++;
        }
    }
    sp_resp_close(request->reply, open, count);
    return SP_DONE;
}

/* ---- XINFO STREAM FULL ----------------------------------------------------------------------- */

static void write_full_pending(struct sp_request *request, const struct sp_group *group,
                               const struct sp_pending *pending) {
    sp_resp_array(request->reply, 4);
    sp_resp_id(request->reply, pending->id);
    sp_resp_bulk(request->reply, holder_of(group, pending));
    sp_resp_unsigned(request->reply, pending->time_ms);
    sp_resp_unsigned(request->reply, pending->count);
}

static void write_own_pending(struct sp_request *request, const struct sp_group *group,
                              const struct sp_pending *pending) {
    (void)group;
    sp_resp_array(request->reply, 3);
    sp_resp_id(request->reply, pending->id);
    sp_resp_unsigned(request->reply, pending->time_ms);
    sp_resp_unsigned(request->reply, pending->count);
}

static struct sp_pending_range all_of(const struct sp_request *request, uint32_t consumer) {
    return (struct sp_pending_range){
        .until = SP_ENTRY_ID_MAX, .consumer = consumer, .now_ms = request->server->wall_ms};
}

static void write_full_consumer(struct sp_request *request, const struct sp_group *group,
                                const struct sp_consumer_facts *consumer, uint64_t count) {
    struct sp_resp *reply = request->reply;
    sp_resp_map(reply, 5);
    sp_resp_bulk_text(reply, "name");
    sp_resp_bulk(reply, consumer->name);
    sp_resp_bulk_text(reply, "seen-time");
    sp_resp_unsigned(reply, consumer->seen_ms);
    sp_resp_bulk_text(reply, "active-time");
    sp_resp_integer(reply, consumer->active_ms == 0 ? -1 : (int64_t)consumer->active_ms);
    sp_resp_bulk_text(reply, "pel-count");
    sp_resp_unsigned(reply, consumer->pending);
    sp_resp_bulk_text(reply, "pending");
    write_pending(request, group, all_of(request, consumer->number), count, write_own_pending);
}

static void write_full_group(struct sp_request *request, const struct sp_key *key,
                             const struct sp_group *group, uint64_t count) {
    struct sp_group_facts facts = sp_group_get(group);
    struct sp_consumer_facts consumer;
    struct sp_resp *reply = request->reply;
    sp_resp_map(reply, 7);
    sp_resp_bulk_text(reply, "name");
    sp_resp_bulk(reply, facts.name);
    sp_resp_bulk_text(reply, "last-delivered-id");
    sp_resp_id(reply, facts.cursor.id);
    write_progress(request, key, &facts);
    sp_resp_bulk_text(reply, "pel-count");
    sp_resp_unsigned(reply, facts.pending);
    sp_resp_bulk_text(reply, "pending");
    write_pending(request, group, all_of(request, SP_CONSUMER_NONE), count, write_full_pending);
    sp_resp_bulk_text(reply, "consumers");
    struct sp_resp_open open = sp_resp_open_array(reply, facts.consumers);
    uint64_t written = 0;
    size_t i = 0;
    for (uint32_t at = sp_consumer_nth(group, i); at != SP_CONSUMER_NONE;
         at = sp_consumer_nth(group, ++i)) {
        if (sp_consumer_get(group, at, &consumer)) {
            write_full_consumer(request, group, &consumer, count);
            written++;
        }
    }
    sp_resp_close(reply, open, written);
}

void sp_group_write_full(struct sp_request *request, const struct sp_key *key, uint64_t count) {
    size_t written = 0;
    uint64_t most = count == 0 ? UINT64_MAX : count;
    struct sp_resp_open open = sp_resp_open_array(request->reply, 1);
    for (const struct sp_group *group = nth_group(request, key, 0); group != NULL;
         group = nth_group(request, key, ++written)) {
        write_full_group(request, key, group, most);
    }
    sp_resp_close(request->reply, open, written);
}
