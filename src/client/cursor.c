#include "client/cursor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cursor_int.h"

enum {
    PAGE_EVENTS = 1000,
    PAGE_FIELDS = 4,
    COMMAND_BYTES_MAX = 32 << 20,
};

sp_status remote_new(struct sp_client *client, enum remote_kind kind, const spoor_query *query,
                     struct sp_remote **ret_remote, struct sp_error *error) {
    struct sp_remote *remote = calloc(1, sizeof(*remote));
    if (remote == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "cursor");
    }
    remote->client = client;
    remote->kind = kind;
    sp_decoded_init(&remote->decoded);
    sp_socket_init(&remote->socket, sp_client_url(client));
    sp_status status = sp_query_text_init(&remote->query, query, error);
    if (status != SP_OK) {
        sp_remote_close(remote);
        return status;
    }
    remote->left = remote->query.limit != 0 ? remote->query.limit : UINT64_MAX;
    *ret_remote = remote;
    return SP_OK;
}

void sp_remote_close(struct sp_remote *remote) {
    if (remote == NULL) {
        return;
    }
    if (remote->kind == REMOTE_FOLLOW) {
        (void)sp_client_watch(remote->client, remote->socket.fd, false);
    }
    if (remote->has_answer) {
        sp_answer_fini(&remote->answer);
    }
    sp_socket_fini(&remote->socket);
    sp_decoded_fini(&remote->decoded);
    sp_query_text_fini(&remote->query);
    free(remote);
}

static sp_status makes_no_sense(struct sp_error *error) {
    return sp_error_set(error, SP_FAILED, "the server's answer makes no sense");
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void drop_answer(struct sp_remote *remote) {
    if (remote->has_answer) {
        sp_answer_fini(&remote->answer);
    }
    remote->has_answer = false;
    remote->waiting = 0;
}

/* [next, last, events, problem] */
static sp_status take_page(struct sp_remote *remote, struct sp_error *error) {
    const struct sp_reply_node *page = sp_answer_node(&remote->answer);
    if (page->kind != SP_REPLY_ARRAY || page->count != PAGE_FIELDS) {
        return makes_no_sense(error);
    }
    const struct sp_reply_node *next = sp_reply_child(page);
    const struct sp_reply_node *last = sp_reply_next(next);
    const struct sp_reply_node *events = sp_reply_next(last);
    if (events->kind != SP_REPLY_ARRAY || last->kind != SP_REPLY_INTEGER) {
        return makes_no_sense(error);
    }
    remote->is_last = next->kind == SP_REPLY_NULL;
    (void)snprintf(remote->first, sizeof(remote->first), "%llu",
                   (unsigned long long)sp_answer_u64(next));
    (void)snprintf(remote->last, sizeof(remote->last), "%llu",
                   (unsigned long long)sp_answer_u64(last));
    remote->problem = sp_answer_text(sp_reply_next(events));
    remote->at = sp_reply_child(events);
    remote->waiting = events->count;
    return SP_OK;
}

static sp_status fetch(struct sp_remote *remote, sp_str from, sp_str until,
                       struct sp_error *error) {
    struct sp_buf command;
    struct sp_query_window window = {
        .from = from,
        .until = until,
        .limit = remote->left < PAGE_EVENTS ? remote->left : PAGE_EVENTS,
        .version = remote->query.from_version,
        .reverse = remote->query.reverse,
        .paged = true,
    };
    drop_answer(remote);
    sp_buf_init(&command, COMMAND_BYTES_MAX);
    sp_query_encode(&command, "SPOOR.READ", &remote->query, &window);
    sp_status status = command.status;
    if (status == SP_OK) {
        status =
            sp_client_call_encoded(remote->client, sp_buf_str(&command), 0, &remote->answer, error);
    }
    remote->has_answer = status == SP_OK;
    sp_buf_fini(&command);
    return status == SP_OK ? take_page(remote, error) : status;
}

/* The next page; the moments of the query have become positions with the first. */
static sp_status fetch_next(struct sp_remote *remote, struct sp_error *error) {
    char first[REMOTE_NUMBER_SIZE];
    char last[REMOTE_NUMBER_SIZE];
    memcpy(first, remote->first, sizeof(first));
    memcpy(last, remote->last, sizeof(last));
    return fetch(remote, sp_str_from(first), sp_str_from(last), error);
}

sp_status sp_remote_read(struct sp_client *client, const spoor_query *query,
                         struct sp_remote **ret_remote, struct sp_error *error) {
    struct sp_remote *remote = NULL;
    sp_status status = remote_new(client, REMOTE_PAGES, query, &remote, error);
    if (status != SP_OK) {
        return status;
    }
    status = fetch(remote, remote->query.from, remote->query.until, error);
    if (status != SP_OK) {
        sp_remote_close(remote);
        return status;
    }
    *ret_remote = remote;
    return SP_OK;
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Wraps an answer, which it takes over, and the array in it. */
static sp_status wrap_list(struct sp_client *client, const struct sp_answer *answer,
                           const struct sp_reply_node *list, bool with_depth,
                           struct sp_remote **ret_remote, struct sp_error *error) {
    struct sp_remote *remote = NULL;
    struct sp_answer taken = *answer;
    sp_status status = list == NULL || list->kind != SP_REPLY_ARRAY
                           ? makes_no_sense(error)
                           : remote_new(client, REMOTE_LIST, NULL, &remote, error);
    if (status != SP_OK) {
        sp_answer_fini(&taken);
        return status;
    }
    remote->answer = taken;
    remote->has_answer = true;
    remote->is_last = true;
    remote->with_depth = with_depth;
    remote->at = sp_reply_child(list);
    remote->waiting = list->count;
    *ret_remote = remote;
    return SP_OK;
}

sp_status sp_remote_find(struct sp_client *client, const char *id, const char *source,
                         struct sp_remote **ret_remote, struct sp_error *error) {
    struct sp_answer answer;
    const sp_str raw = SP_STR("RAW");
    const sp_str args[] = {SP_STR("SPOOR.EVENT"), sp_str_from(id != NULL ? id : ""),
                           source != NULL ? SP_STR("SOURCE") : raw, sp_str_from(source), raw};
    sp_status status = sp_client_call(client, args, source != NULL ? 5 : 3, 0, &answer, error);
    if (status != SP_OK) {
        return status;
    }
    const struct sp_reply_node *list = sp_answer_node(&answer);
    if (list->kind == SP_REPLY_ARRAY && list->count == 0) {
        sp_answer_fini(&answer);
        return sp_error_set(error, SP_NOT_FOUND, "no event has the id %s", id != NULL ? id : "");
    }
    return wrap_list(client, &answer, list, false, ret_remote, error);
}

sp_status sp_remote_trace(struct sp_client *client, const char *id, bool effects,
                          struct sp_remote **ret_remote, struct sp_error *error) {
    struct sp_answer answer;
    const sp_str args[] = {SP_STR("SPOOR.TRACE"), sp_str_from(id != NULL ? id : ""),
                           effects ? SP_STR("EFFECTS") : SP_STR("CAUSES"), SP_STR("RAW")};
    sp_status status = sp_client_call(client, args, 4, 0, &answer, error);
    if (status == SP_NOT_FOUND) {
        return sp_error_set(error, SP_NOT_FOUND, "no event has the id %s", id != NULL ? id : "");
    }
    if (status != SP_OK) {
        return status;
    }
    const struct sp_reply_node *list =
        sp_reply_find(sp_answer_node(&answer), effects ? "effects" : "causes");
    status = wrap_list(client, &answer, list, effects, ret_remote, error);
    if (status == SP_OK) {
        (*ret_remote)->is_chain = !effects;
    }
    return status;
}

/* ---- one after another ----------------------------------------------------------------------- */

static sp_status give_next(struct sp_remote *remote, const struct sp_event **ret_event,
                           struct sp_error *error) {
    const struct sp_reply_node *node = remote->at;
    remote->at = sp_reply_next(node);
    remote->waiting--;
    if (remote->with_depth) {
        if (node->kind != SP_REPLY_ARRAY || node->count != 2) {
            return makes_no_sense(error);
        }
        node = sp_reply_child(node);
        remote->depth = (unsigned)sp_answer_u64(node);
        node = sp_reply_next(node);
    }
    sp_str text = sp_answer_text(node);
    if (text.ptr == NULL) {
        return makes_no_sense(error);
    }
    remote->depth += remote->is_chain && remote->begun;
    remote->begun = true;
    sp_status status = sp_decode(&remote->decoded, text, error);
    if (status == SP_OK) {
        remote->left -= remote->left != UINT64_MAX;
        remote->yielded = true;
        *ret_event = &remote->decoded.event;
    }
    return status;
}

sp_status sp_remote_next(struct sp_remote *remote, int timeout_ms,
                         const struct sp_event **ret_event, struct sp_error *error) {
    remote->yielded = false;
    if (remote->kind == REMOTE_FOLLOW) {
        return remote_next_live(remote, timeout_ms, ret_event, error);
    }
    while (remote->left > 0) {
        if (remote->waiting > 0) {
            return give_next(remote, ret_event, error);
        }
        if (remote->problem.ptr != NULL) {
            sp_status status = sp_answer_status(remote->problem, error);
            remote->problem = (sp_str){.ptr = NULL};
            return status;
        }
        if (remote->is_last) {
            break;
        }
        sp_status status = fetch_next(remote, error);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_END;
}

/* ---- what is known of the event given last --------------------------------------------------- */

/* Events of a subscription come without their hash: it is asked for by position. */
static sp_status ask_hash(struct sp_remote *remote, struct sp_error *error) {
    char number[REMOTE_NUMBER_SIZE];
    const struct sp_event *event = NULL;
    struct sp_remote *read = NULL;
    spoor_query query = SPOOR_QUERY_INIT;
    (void)snprintf(number, sizeof(number), "%llu",
                   (unsigned long long)remote->decoded.event.position);
    query.from = number;
    query.until = number;
    sp_status status = sp_remote_read(remote->client, &query, &read, error);
    if (status != SP_OK) {
        return status;
    }
    status = sp_remote_next(read, 0, &event, error);
    if (status == SP_OK) {
        remote->decoded.has_hash = read->decoded.has_hash;
        memcpy(remote->decoded.hash, read->decoded.hash, sizeof(remote->decoded.hash));
    }
    sp_remote_close(read);
    return status == SP_OK && !remote->decoded.has_hash ? makes_no_sense(error) : status;
}

sp_status sp_remote_hash(struct sp_remote *remote, uint8_t ret_hash[32], struct sp_error *error) {
    if (!remote->yielded) {
        return sp_error_set(error, SP_INVALID, "no event was read");
    }
    sp_status status = remote->decoded.has_hash ? SP_OK : ask_hash(remote, error);
    if (status == SP_OK) {
        memcpy(ret_hash, remote->decoded.hash, SP_DECODED_HASH_BYTES);
    }
    return status == SP_END ? sp_error_set(error, SP_NOT_FOUND, "the event is not kept any more")
                            : status;
}

unsigned sp_remote_depth(const struct sp_remote *remote) {
    return remote->depth;
}
