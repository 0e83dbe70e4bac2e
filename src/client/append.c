/*
 * An append is one SPOOR.BATCH: all or none, whatever happens between. Its events are given their
 * ids here, so that the server knows those it has already when the batch is sent again.
 */
#include "client/append.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "event/envelope.h"
#include "proto/resp_write.h"

enum {
    ID_SIZE = SP_UUID_TEXT_SIZE + 1,
    COMMAND_BYTES_MAX = 1 << 30,
    BLOCK_BYTES = 4 << 20, /* in which an append must fit */
    ADDED_FIELDS = 5,      /* position, version, entry id, recorded time, duplicate; then, where it
                              comes later, when */
};

struct append {
    spoor_append_fn *done;
    void *context;
    uint32_t count;
    char (*ids)[ID_SIZE]; /* behind this; empty where the caller gave one */
};

/* ---- the request ----------------------------------------------------------------------------- */

static void add_pair(struct sp_resp *resp, sp_str name, sp_str value) {
    sp_resp_bulk(resp, name);
    sp_resp_bulk(resp, value);
}

/* Marked, so that no name is taken for an attribute's. */
static void add_extension(struct sp_resp *resp, const struct sp_extension *extension) {
    bool is_json = extension->kind == SP_VALUE_JSON;
    sp_resp_bulk_parts(resp, is_json ? SP_STR("=") : SP_STR("$"), extension->name);
    sp_resp_bulk(resp, extension->value);
}

static void add_event(struct sp_resp *resp, const struct sp_event *event) {
    uint64_t pairs = event->extension_count + (uint64_t)event->has_data;
    for (unsigned i = 0; i < SP_ATTR_COUNT; i++) {
        pairs += sp_event_has(event, (enum sp_attr)i);
    }
    sp_resp_bulk_text(resp, event->is_history ? "HISTORY" : "EVENT");
    sp_resp_bulk_unsigned(resp, pairs);
    for (unsigned i = 0; i < SP_ATTR_COUNT; i++) {
        if (sp_event_has(event, (enum sp_attr)i)) {
            add_pair(resp, sp_attr_name((enum sp_attr)i), event->attr[i]);
        }
    }
    if (event->has_data) {
        add_pair(resp, SP_STR("data"), event->data);
    }
    for (unsigned i = 0; i < event->extension_count; i++) {
        add_extension(resp, &event->extensions[i]);
    }
}

static uint64_t word_count(const struct sp_event *events, size_t count, const spoor_expect *expects,
                           size_t expect_count) {
    uint64_t words = 1;
    for (size_t i = 0; i < expect_count; i++) {
        words += expects[i].version != SPOOR_ANY_VERSION ? 3 : 0;
    }
    for (size_t i = 0; i < count; i++) {
        words += 2 + 2 * (events[i].extension_count + (uint64_t)events[i].has_data);
        for (unsigned a = 0; a < SP_ATTR_COUNT; a++) {
            words += 2 * (uint64_t)sp_event_has(&events[i], (enum sp_attr)a);
        }
    }
    return words;
}

static void add_expect(struct sp_resp *resp, const spoor_expect *expect) {
    sp_resp_bulk_text(resp, "EXPECT");
    sp_resp_bulk(resp, sp_str_of(expect->stream.ptr, expect->stream.len));
    sp_resp_bulk_unsigned(resp, expect->version);
}

static void encode(struct sp_buf *to, const struct sp_event *events, size_t count,
                   const spoor_expect *expects, size_t expect_count) {
    struct sp_resp resp = {.to = to, .version = SP_RESP_3};
    sp_resp_array(&resp, word_count(events, count, expects, expect_count));
    sp_resp_bulk_text(&resp, "SPOOR.BATCH");
    for (size_t i = 0; i < expect_count; i++) {
        if (expects[i].version != SPOOR_ANY_VERSION) {
            add_expect(&resp, &expects[i]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        add_event(&resp, &events[i]);
    }
}

sp_status sp_client_check_counts(struct sp_client *client, size_t count,
                                 const spoor_expect *expects, size_t expect_count,
                                 struct sp_error *error) {
    uint32_t most = sp_client_options(client)->outstanding_max;
    if (sp_client_options(client)->read_only) {
        return sp_error_set(error, SP_DENIED, "the store was opened read-only");
    }
    if (count > most) {
        return sp_error_set(error, SP_LIMIT,
                            "%zu events in one append, at most %u may be outstanding", count, most);
    }
    if (count > BLOCK_BYTES / SP_RECORD_FIXED_BYTES) {
        return sp_error_set(error, SP_LIMIT,
                            "%zu events in one append, more than the %d bytes that are written at "
                            "once can hold",
                            count, BLOCK_BYTES);
    }
    for (size_t i = 0; i < expect_count; i++) {
        if (expects[i].stream.len == 0) {
            return sp_error_set(error, SP_INVALID, "expectation %zu names no stream", i + 1);
        }
    }
    return SP_OK;
}

/* As the store will check them; it completes them, which is no business of ours. */
static sp_status check(struct sp_client *client, struct sp_event *events, size_t count,
                       struct sp_error *error) {
    struct sp_buf scratch;
    sp_status status = SP_OK;
    sp_buf_init(&scratch, SIZE_MAX / 2);
    for (size_t i = 0; i < count && status == SP_OK; i++) {
        sp_buf_reset(&scratch);
        status = sp_event_check(&events[i], SP_EVENT_FROM_FIELDS,
                                &sp_client_options(client)->limits, &scratch, error);
        if (status != SP_OK && count > 1) {
            (void)sp_error_prefix(error, status, "event %zu", i + 1);
        }
    }
    sp_buf_fini(&scratch);
    return status;
}

/* ---- the reply ------------------------------------------------------------------------------- */

/* Reads where one event went. False where the reply is not what it must be. */
static bool read_added(const struct sp_reply_node *node, spoor_appended *to) {
    bool is_delayed = node->count == ADDED_FIELDS + 1;
    if (node->kind != SP_REPLY_ARRAY || (node->count != ADDED_FIELDS && !is_delayed) ||
        node->span != node->count + 1) {
        return false;
    }
    const struct sp_reply_node *at = sp_reply_child(node);
    sp_str entryid = sp_answer_text(&at[2]);
    bool has_seq = false;
    to->position = sp_answer_u64(&at[0]);
    to->version = sp_answer_u64(&at[1]);
    to->recorded_us = sp_answer_u64(&at[3]);
    to->duplicate = sp_answer_u64(&at[4]) != 0;
    to->delayed_us = is_delayed ? sp_answer_u64(&at[5]) : 0;
    return entryid.ptr != NULL && to->position > 0 &&
           sp_entryid_parse(entryid, &to->entry_ms, &to->entry_seq, &has_seq, NULL) == SP_OK;
}

static bool read_all_added(const struct append *append, const struct sp_reply_node *reply,
                           bool sent_twice, spoor_appended *to) {
    if (reply->kind != SP_REPLY_ARRAY || reply->count != append->count) {
        return false;
    }
    const struct sp_reply_node *at = sp_reply_child(reply);
    for (uint32_t i = 0; i < append->count; i++, at = sp_reply_next(at)) {
        if (!read_added(at, &to[i])) {
            return false;
        }
        bool own = append->ids[i][0] != '\0';
        memcpy(to[i].id, append->ids[i], ID_SIZE);
        /* Nobody else has an id that was made here: it was this append, sent before. */
        to[i].duplicate = to[i].duplicate != 0 && !(own && sent_twice);
    }
    return true;
}

static void tell(const struct append *append, sp_status status, const spoor_appended *added,
                 const struct sp_error *said) {
    spoor_error error = {.status = (spoor_status)status};
    if (status != SP_OK) {
        error.os_error = said->os_error;
        error.offset = said->offset;
        (void)snprintf(error.text, sizeof(error.text), "%s", said->text);
    }
    append->done(append->context, (spoor_status)status, added, added != NULL ? append->count : 0,
                 &error);
}

static void answer(void *context, sp_status status, const struct sp_reply_node *reply,
                   bool sent_twice, const struct sp_error *error) {
    struct append *append = context;
    struct sp_error said = *error;
    spoor_appended *added = NULL;
    if (append->done != NULL && status == SP_OK) {
        added = calloc(append->count, sizeof(*added));
        if (added != NULL && !read_all_added(append, reply, sent_twice, added)) {
            free(added);
            added = NULL;
            status = sp_error_set(&said, SP_FAILED, "the server's answer makes no sense");
        }
    }
    if (append->done != NULL) {
        /* Without memory for the places the outcome is told all the same. */
        tell(append, status, added, &said);
    }
    free(added);
    free(append);
}

/* ---- submitting ------------------------------------------------------------------------------ */

/* Gives ids to the events that have none. */
static void name_events(struct sp_client *client, struct append *append, struct sp_event *events) {
    for (uint32_t i = 0; i < append->count; i++) {
        append->ids[i][0] = '\0';
        if (!sp_event_has(&events[i], SP_ATTR_ID)) {
            sp_client_make_id(client, append->ids[i]);
            events[i].attr[SP_ATTR_ID] = sp_str_of(append->ids[i], SP_UUID_TEXT_SIZE);
        }
    }
}

sp_status sp_client_submit(struct sp_client *client, struct sp_event *events, size_t count,
                           const spoor_expect *expects, size_t expect_count, spoor_append_fn *done,
                           void *context, struct sp_error *error) {
    struct append *append = malloc(sizeof(*append) + count * ID_SIZE);
    if (append == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "append");
    }
    *append = (struct append){.done = done,
                              .context = context,
                              .count = (uint32_t)count,
                              .ids = (char(*)[ID_SIZE])(append + 1)};
    struct sp_buf command;
    sp_buf_init(&command, COMMAND_BYTES_MAX);
    name_events(client, append, events);
    encode(&command, events, count, expects, expect_count);
    sp_status status = check(client, events, count, error);
    if (status == SP_OK) {
        status = sp_client_send(client, &command, 0, (uint32_t)count, answer, append, error);
    }
    sp_buf_fini(&command);
    if (status != SP_OK) {
        free(append);
    }
    return status;
}
