/*
 * SPOOR.SUBSCRIBE and SPOOR.UNSUBSCRIBE: a query, from a place in the log on, and then for ever.
 */
#include <stdlib.h>

#include "server/pubsub_int.h"
#include "server/subscribe_query.h"

/* Counted for memory: the watch and its places; its texts, which a compiled filter takes too. */
enum { WATCH_BYTES = sizeof(struct watch) + 512 };

/* -- Making and ending ------------------------------------------------------------------------- */

void pubsub_free_watch(struct watch *watch) {
    struct sp_pubsub *pubsub = watch->outlet.subscriber->pubsub;
    sp_feed_stop(&pubsub->feeds, &watch->outlet.feed);
    sp_live_remove(pubsub->live, &watch->interest);
    pubsub_forget_beat(watch);
    watch->outlet.subscriber->connection->subscription_bytes -= watch->counted_bytes;
    if (watch->trouble != NULL) {
        pubsub->troubled--;
        free(watch->trouble);
    }
    free(watch->types);
    free(watch->text);
    free(watch);
}

static struct watch *find_watch(const struct sp_subscriber *subscriber, sp_str name) {
    struct watch *watch = subscriber == NULL ? NULL : subscriber->watches;
    while (watch != NULL && !sp_str_eq(watch->name, name)) {
        watch = watch->next;
    }
    return watch;
}

static void unlink_watch(struct watch *watch) {
    struct sp_subscriber *subscriber = watch->outlet.subscriber;
    struct watch **at = &subscriber->watches;
    while (*at != watch) {
        at = &(*at)->next;
    }
    *at = watch->next;
    subscriber->watch_count--;
}

static sp_str keep(char **at, sp_str text) {
    if (text.ptr == NULL) {
        return text;
    }
    sp_str kept = sp_str_of(*at, text.len);
    memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return kept;
}

static size_t text_bytes(const struct sp_query_words *words, sp_str name) {
    const struct sp_query *from = &words->query;
    size_t bytes =
        name.len + from->source.len + from->stream.len + from->correlation.len + from->filter.len;
    for (size_t i = 0; i < from->type_count; i++) {
        bytes += from->types[i].len;
    }
    return bytes;
}

/* Copies the query, and the name under which it will be known. */
static struct watch *copy_watch(struct sp_subscriber *subscriber,
                                const struct sp_query_words *words, sp_str name) {
    const struct sp_query *from = &words->query;
    size_t bytes = text_bytes(words, name);
    struct watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return NULL;
    }
    watch->outlet.subscriber = subscriber;
    watch->outlet.is_watch = true;
    watch->text = malloc(bytes + 1);
    watch->types = calloc(from->type_count + 1, sizeof(*watch->types));
    if (watch->text == NULL || watch->types == NULL) {
        pubsub_free_watch(watch);
        return NULL;
    }
    char *at = watch->text;
    watch->name = keep(&at, name);
    watch->query = (struct sp_query){
        .types = watch->types,
        .type_count = from->type_count,
        .source = keep(&at, from->source),
        .stream = keep(&at, from->stream),
        .correlation = keep(&at, from->correlation),
        .filter = keep(&at, from->filter),
        .follow = true,
    };
    for (size_t i = 0; i < from->type_count; i++) {
        watch->types[i] = keep(&at, from->types[i]);
    }
    return watch;
}

/* -- Where it begins --------------------------------------------------------------------------- */

static bool is_now(sp_str from) {
    return from.ptr == NULL || sp_word_is(from, "now") || sp_str_eq(from, SP_STR("$"));
}

static bool is_digits(sp_str text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
    }
    return text.len > 0;
}

/*
 * The first position. `now` is behind everything that was decided, durable or not; a position is
 * taken by its word, also where the log does not go back so far: that is told as a gap.
 */
static sp_status find_start(struct sp_pubsub *pubsub, const struct sp_query *query, sp_str from,
                            uint64_t *ret_position, struct sp_error *error) {
    struct sp_query resolved = *query;
    struct sp_cursor *cursor = NULL;
    resolved.from = is_now(from) ? SP_STR("now") : from;
    sp_status status = sp_cursor_open(pubsub->server->engine, &resolved, &cursor, error);
    if (status != SP_OK) {
        return status;
    }
    int64_t position = 0;
    *ret_position = sp_cursor_position(cursor);
    sp_cursor_close(cursor);
    if (is_now(from)) {
        *ret_position = pubsub_head(pubsub) + 1;
    } else if (is_digits(from) && sp_word_i64(from, &position) && position > 0) {
        *ret_position = (uint64_t)position;
    }
    return SP_OK;
}

/* -- What the client is told ------------------------------------------------------------------- */

static void write_ended(struct sp_resp *resp, const sp_str *name, uint32_t left) {
    sp_resp_push(resp, 3);
    sp_resp_bulk_text(resp, "spoor.unsubscribe");
    if (name != NULL) {
        sp_resp_bulk(resp, *name);
    } else {
        sp_resp_null(resp);
    }
    sp_resp_unsigned(resp, left);
}

/* Sends what a buffer holds. */
static void push_buffer(struct sp_connection *connection, struct sp_buf *buf) {
    struct sp_blob *blob = buf->status == SP_OK ? sp_blob_new(buf->len, 16) : NULL;
    if (blob != NULL) {
        memcpy(blob->data, buf->data, buf->len);
        blob->len = buf->len;
    }
    if (blob == NULL || !sp_connection_push(connection, blob)) {
        sp_connection_break(connection); /* it would wait for this for ever */
    }
    sp_blob_unref(blob);
    sp_buf_fini(buf);
}

void pubsub_watch_is_over(struct watch *watch) {
    struct sp_subscriber *subscriber = watch->outlet.subscriber;
    struct sp_buf buf;
    if (watch_is_stream(watch)) {
        pubsub_stream_is_over(watch);
        return;
    }
    sp_buf_init(&buf, SIZE_MAX / 2);
    struct sp_resp resp = {.to = &buf, .version = subscriber->connection->resp.version};
    unlink_watch(watch);
    write_ended(&resp, &watch->name, subscriber->watch_count);
    pubsub_free_watch(watch);
    pubsub_changed(subscriber);
    push_buffer(subscriber->connection, &buf);
}

void pubsub_watch_stops(struct watch *watch) {
    struct sp_subscriber *subscriber = watch->outlet.subscriber;
    struct sp_buf buf;
    if (watch_is_stream(watch)) {
        pubsub_stream_stops(watch);
        return;
    }
    sp_buf_init(&buf, SIZE_MAX / 2);
    struct sp_resp resp = {.to = &buf, .version = subscriber->connection->resp.version};
    sp_resp_push(&resp, 3);
    sp_resp_bulk_text(&resp, "error");
    sp_resp_bulk(&resp, watch->name);
    sp_resp_bulk_text(&resp, watch->trouble);
    unlink_watch(watch);
    write_ended(&resp, &watch->name, subscriber->watch_count);
    pubsub_free_watch(watch);
    pubsub_changed(subscriber);
    push_buffer(subscriber->connection, &buf);
}

void pubsub_watch_gap(struct watch *watch, const char *text) {
    struct sp_connection *connection = watch->outlet.subscriber->connection;
    struct sp_buf buf;
    if (watch_is_stream(watch)) {
        pubsub_stream_gap(watch, text);
        return;
    }
    sp_buf_init(&buf, SIZE_MAX / 2);
    struct sp_resp resp = {.to = &buf, .version = connection->resp.version};
    sp_resp_push(&resp, 4);
    sp_resp_bulk_text(&resp, "gap");
    sp_resp_bulk(&resp, watch->name);
    sp_resp_unsigned(&resp, watch->outlet.feed.next);
    sp_resp_bulk_text(&resp, text);
    push_buffer(connection, &buf);
}

/* -- Starting ---------------------------------------------------------------------------------- */

sp_status pubsub_start_watch(struct sp_subscriber *subscriber, const struct sp_query_words *words,
                             sp_str name, enum sp_message_form form, struct watch **ret_watch,
                             uint64_t *ret_from, struct sp_error *error) {
    struct sp_pubsub *pubsub = subscriber->pubsub;
    uint64_t from = 0;
    struct watch *watch = copy_watch(subscriber, words, name);
    if (watch == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for a subscription");
    }
    watch->form = form;
    sp_status status = find_start(pubsub, &watch->query, words->query.from, &from, error);
    if (status == SP_OK) {
        status = sp_live_add_query(pubsub->live, &watch->query, &watch->interest, error);
    }
    if (status != SP_OK) {
        pubsub_free_watch(watch);
        return status;
    }
    watch->counted_bytes = WATCH_BYTES + 4 * text_bytes(words, name);
    subscriber->connection->subscription_bytes += watch->counted_bytes;
    watch->next = subscriber->watches;
    subscriber->watches = watch;
    subscriber->watch_count++;
    pubsub_changed(subscriber);
    sp_feed_start(&pubsub->feeds, &watch->outlet.feed, from, words->query.limit);
    pubsub->server->again = true;
    *ret_watch = watch;
    *ret_from = from;
    return SP_OK;
}

void pubsub_end_watch(struct watch *watch) {
    struct sp_subscriber *subscriber = watch->outlet.subscriber;
    unlink_watch(watch);
    pubsub_free_watch(watch);
    pubsub_changed(subscriber);
}

/* -- The commands ------------------------------------------------------------------------------ */

static enum sp_verdict start_watch(struct sp_request *request, struct sp_subscriber *subscriber,
                                   const struct sp_query_words *words, sp_str name) {
    struct watch *watch = NULL;
    struct sp_error error;
    uint64_t from = 0;
    sp_error_clear(&error);
    sp_status status =
        pubsub_start_watch(subscriber, words, name, words->raw ? SP_FORM_EVENT_RAW : SP_FORM_EVENT,
                           &watch, &from, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_push(request->reply, 4);
    sp_resp_bulk_text(request->reply, "spoor.subscribe");
    sp_resp_bulk(request->reply, watch->name);
    sp_resp_unsigned(request->reply, subscriber->watch_count);
    sp_resp_unsigned(request->reply, from);
    return SP_DONE;
}

enum sp_verdict sp_on_spoor_subscribe(struct sp_request *request) {
    struct sp_subscriber *subscriber = pubsub_subscriber(request->connection);
    struct sp_query_words words;
    struct sp_error error;
    char number[SP_DECIMAL_BYTES_MAX];
    sp_error_clear(&error);
    sp_status status = subscriber == NULL ? SP_NO_MEMORY
                                          : sp_query_words_read(request->args + 1,
                                                                request->argc - 1, &words, &error);
    if (status == SP_OK && (words.query.until.ptr != NULL || words.query.reverse || words.paged)) {
        status = sp_error_set(&error, SP_INVALID,
                              "a subscription has no UNTIL, REVERSE or PAGE: see SPOOR.READ");
    }
    if (status == SP_OK && subscriber->watch_count >= SUBSCRIBER_WATCHES_MAX) {
        status = sp_error_set(&error, SP_LIMIT, "a client has at most %d subscriptions",
                              SUBSCRIBER_WATCHES_MAX);
    }
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_str name = words.name;
    while (name.ptr == NULL || (words.name.ptr == NULL && find_watch(subscriber, name) != NULL)) {
        name = sp_str_of(number, sp_decimal_format(++subscriber->watch_number, number));
    }
    if (find_watch(subscriber, name) != NULL) {
        return sp_reply_error(request, "there is a subscription of this name already");
    }
    request->unasked = true;
    return start_watch(request, subscriber, &words, name);
}

static void end_watch(struct sp_request *request, struct watch *watch) {
    struct sp_subscriber *subscriber = watch->outlet.subscriber;
    unlink_watch(watch);
    write_ended(request->reply, &watch->name, subscriber->watch_count);
    pubsub_free_watch(watch);
    pubsub_changed(subscriber);
}

enum sp_verdict sp_on_spoor_unsubscribe(struct sp_request *request) {
    struct sp_subscriber *subscriber = request->connection->subscriber;
    uint32_t left = subscriber == NULL ? 0 : subscriber->watch_count;
    request->unasked = true;
    if (request->argc == 1 && left == 0) {
        write_ended(request->reply, NULL, 0);
    }
    while (request->argc == 1 && subscriber != NULL && subscriber->watches != NULL) {
        end_watch(request, subscriber->watches);
    }
    for (uint32_t i = 1; i < request->argc; i++) {
        struct watch *watch = find_watch(subscriber, request->args[i]);
        if (watch != NULL) {
            end_watch(request, watch);
        } else {
            write_ended(request->reply, &request->args[i],
                        subscriber == NULL ? 0 : subscriber->watch_count);
        }
    }
    return SP_DONE;
}
