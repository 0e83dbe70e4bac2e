/*
 * A subscription: SPOOR.SUBSCRIBE over a connection of its own.
 *
 * The server answers with the position it begins at, and then sends events. The position behind
 * the last event given is all that is remembered: a connection that is lost is made again, and the
 * subscription asked for from there. The events of the lost connection that nobody was given yet
 * are forgotten with it, and come again.
 */
#include <limits.h>
#include <stdio.h>

#include "client/cursor_int.h"

enum {
    RETRY_FIRST_MS = 10,
    RETRY_MOST_MS = 1000,
    PUSH_FIELDS_MAX = 5,
};

/* ---- what the server sends ------------------------------------------------------------------- */

enum heard { HEARD_NOTHING, HEARD_EVENT, HEARD_PROBLEM };

static bool is_word(const struct sp_reply_node *node, const char *word) {
    return node->kind == SP_REPLY_TEXT && sp_str_eq(node->text, sp_str_from(word));
}

/* `event` name position entryid json */
static enum heard hear_event(struct sp_remote *remote, const struct sp_reply_node *fields,
                             sp_status *ret_status, struct sp_error *error) {
    uint64_t position = sp_answer_u64(&fields[2]);
    sp_str text = sp_answer_text(&fields[4]);
    *ret_status = text.ptr != NULL
                      ? sp_decode(&remote->decoded, text, error)
                      : sp_error_set(error, SP_FAILED, "what the server sent makes no sense");
    remote->next = position + 1;
    if (*ret_status != SP_OK) {
        return HEARD_PROBLEM;
    }
    if (remote->decoded.event.version < remote->query.from_version) {
        return HEARD_NOTHING;
    }
    remote->left -= remote->left != UINT64_MAX;
    remote->over = remote->left == 0;
    remote->yielded = true;
    return HEARD_EVENT;
}

/* `gap` name position text: events were dropped, or are damaged; it goes on behind them. */
static enum heard hear_gap(struct sp_remote *remote, const struct sp_reply_node *fields,
                           sp_status *ret_status, struct sp_error *error) {
    sp_str text = sp_answer_text(&fields[3]);
    bool dropped = text.ptr != NULL && sp_str_ends_with(text, SP_STR("was to be next"));
    remote->next = sp_answer_u64(&fields[2]);
    *ret_status = sp_error_set(error, dropped ? SP_NOT_FOUND : SP_CORRUPT, "%.*s",
                               SP_STR_ARG(text.ptr != NULL ? text : SP_STR("events are lost")));
    return HEARD_PROBLEM;
}

static enum heard hear(struct sp_remote *remote, const struct sp_reply_node *node,
                       sp_status *ret_status, struct sp_error *error) {
    if (node->kind == SP_REPLY_FAILURE) {
        *ret_status = sp_answer_status(node->text, error);
        return HEARD_PROBLEM;
    }
    bool flat = (node->kind == SP_REPLY_PUSH || node->kind == SP_REPLY_ARRAY) && node->count > 0 &&
                node->count <= PUSH_FIELDS_MAX && node->span == node->count + 1;
    const struct sp_reply_node *fields = sp_reply_child(node);
    if (flat && node->count == 5 && is_word(fields, "event")) {
        return hear_event(remote, fields, ret_status, error);
    }
    if (flat && node->count == 4 && is_word(fields, "gap")) {
        return hear_gap(remote, fields, ret_status, error);
    }
    if (flat && node->count == 4 && is_word(fields, "spoor.subscribe")) {
        remote->confirmed = true;
        remote->next = sp_answer_u64(&fields[3]);
        return HEARD_NOTHING;
    }
    return HEARD_NOTHING; /* `spoor.unsubscribe`: the limit, which is counted here as well */
}

/* The next thing that has come whole. False where there is none. */
static bool hear_next(struct sp_remote *remote, enum heard *ret_heard, sp_status *ret_status,
                      struct sp_error *error) {
    struct sp_reply reply;
    sp_str bytes;
    sp_status status = SP_OK;
    if (!sp_socket_is_ready(&remote->socket) ||
        !sp_socket_take(&remote->socket, &reply, &bytes, &status, error)) {
        return false;
    }
    *ret_heard = hear(remote, reply.nodes, ret_status, error);
    return true;
}

/* ---- the connection -------------------------------------------------------------------------- */

static void ask(struct sp_remote *remote) {
    char number[REMOTE_NUMBER_SIZE];
    (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)remote->next);
    struct sp_query_window window = {
        .from = remote->confirmed                ? sp_str_from(number)
                : remote->query.from.ptr != NULL ? remote->query.from
                                                 : SP_STR("1"),
        .limit = remote->left != UINT64_MAX && remote->query.from_version == 0 ? remote->left : 0,
    };
    sp_query_encode(sp_socket_out(&remote->socket), "SPOOR.SUBSCRIBE", &remote->query, &window);
    remote->asked = true;
}

/* Whether another attempt may end better. */
static bool is_passing(sp_status status) {
    return status == SP_IO || status == SP_NOT_FOUND;
}

/*
 * Does what can be done without waiting. SP_OK also where the connection is down and will be made
 * again.
 */
static sp_status step(struct sp_remote *remote, struct sp_error *error) {
    struct sp_socket *to = &remote->socket;
    uint64_t now_ms = sp_client_now_ms();
    sp_status status = SP_OK;
    if (to->state == SP_SOCKET_CLOSED && now_ms >= remote->retry_at_ms) {
        remote->asked = false;
        status = sp_socket_start(to, error);
    }
    status = status == SP_OK ? sp_socket_step(to, true, error) : status;
    if (status == SP_OK && sp_socket_is_ready(to) && !remote->asked) {
        remote->retry_ms = RETRY_FIRST_MS;
        ask(remote);
        status = sp_socket_step(to, false, error);
    }
    if (status != SP_OK) {
        remote->retry_at_ms = now_ms + remote->retry_ms;
        remote->retry_ms =
            remote->retry_ms * 2 < RETRY_MOST_MS ? remote->retry_ms * 2 : RETRY_MOST_MS;
    }
    if (to->fd >= 0 && remote->watched != to->made &&
        sp_client_watch(remote->client, to->fd, true)) {
        remote->watched = to->made;
    }
    return is_passing(status) && remote->confirmed ? SP_OK : status;
}

/* Waits for something to do, until the deadline at most. */
static void wait_until(struct sp_remote *remote, uint64_t deadline_ms) {
    uint64_t now_ms = sp_client_now_ms();
    bool down = remote->socket.state == SP_SOCKET_CLOSED;
    uint64_t until_ms =
        down && remote->retry_at_ms < deadline_ms ? remote->retry_at_ms : deadline_ms;
    uint64_t left = until_ms > now_ms ? until_ms - now_ms : 0;
    int timeout_ms = until_ms == UINT64_MAX ? -1 : left > INT_MAX ? INT_MAX : (int)left;
    sp_client_wait(remote->client, remote->socket.fd, sp_socket_events(&remote->socket),
                   timeout_ms);
}

/* ---- the next event -------------------------------------------------------------------------- */

sp_status remote_next_live(struct sp_remote *remote, int timeout_ms,
                           const struct sp_event **ret_event, struct sp_error *error) {
    uint64_t deadline_ms = timeout_ms < 0    ? UINT64_MAX
                           : timeout_ms == 0 ? 0
                                             : sp_client_now_ms() + (uint64_t)timeout_ms;
    bool stepped = false;
    while (!remote->over) {
        enum heard heard = HEARD_NOTHING;
        sp_status status = SP_OK;
        if (hear_next(remote, &heard, &status, error)) {
            if (heard == HEARD_EVENT) {
                *ret_event = &remote->decoded.event;
                return SP_OK;
            }
            if (heard == HEARD_PROBLEM) {
                return status;
            }
            continue;
        }
        if (stepped) {
            if (sp_client_now_ms() >= deadline_ms) {
                return sp_error_set(error, SP_TIMEOUT, "nothing came in time");
            }
            wait_until(remote, deadline_ms);
        }
        stepped = true;
        status = step(remote, error);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_END;
}

/* Waits until the server has said where it begins. */
static sp_status await_confirmation(struct sp_remote *remote, struct sp_error *error) {
    uint32_t timeout_ms = sp_client_options(remote->client)->timeout_ms;
    uint64_t deadline_ms = sp_client_now_ms() + timeout_ms;
    bool stepped = false;
    while (!remote->confirmed) {
        enum heard heard = HEARD_NOTHING;
        sp_status status = SP_OK;
        if (hear_next(remote, &heard, &status, error)) {
            if (heard == HEARD_PROBLEM) {
                return status;
            }
            continue;
        }
        if (sp_client_now_ms() >= deadline_ms) {
            return sp_error_set(error, SP_TIMEOUT, "%s: no answer within %u ms",
                                sp_client_shown(remote->client), timeout_ms);
        }
        if (stepped) {
            wait_until(remote, deadline_ms);
        }
        stepped = true;
        status = step(remote, error);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

sp_status sp_remote_subscribe(struct sp_client *client, const spoor_query *query,
                              struct sp_remote **ret_remote, struct sp_error *error) {
    struct sp_remote *remote = NULL;
    sp_status status = remote_new(client, REMOTE_FOLLOW, query, &remote, error);
    if (status != SP_OK) {
        return status;
    }
    remote->retry_ms = RETRY_FIRST_MS;
    if (remote->query.until.ptr != NULL || remote->query.reverse) {
        status = sp_error_set(error, SP_INVALID, "a subscription has no until and no reverse");
    }
    status = status == SP_OK ? await_confirmation(remote, error) : status;
    if (status != SP_OK) {
        sp_remote_close(remote);
        return status;
    }
    *ret_remote = remote;
    return SP_OK;
}
