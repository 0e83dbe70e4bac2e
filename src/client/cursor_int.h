/*
 * What a remote cursor is; only cursor.c and subscribe.c include this.
 */
#ifndef SP_CLIENT_CURSOR_INT_H
#define SP_CLIENT_CURSOR_INT_H

#include "client/cursor.h"
#include "client/decode.h"
#include "client/query.h"
#include "client/socket.h"
#include "proto/resp_write.h"

enum remote_kind { REMOTE_PAGES, REMOTE_LIST, REMOTE_FOLLOW };

enum { REMOTE_NUMBER_SIZE = SP_DECIMAL_BYTES_MAX + 1 };

struct sp_remote {
    struct sp_client *client;
    enum remote_kind kind;
    struct sp_query_text query;
    struct sp_decoded decoded;
    bool yielded;  /* decoded holds the event given last */
    uint64_t left; /* of the limit; UINT64_MAX: no limit */

    /* Pages and lists: what the last reply holds and was not given yet. */
    bool has_answer;
    struct sp_answer answer;
    const struct sp_reply_node *at;
    uint32_t waiting;               /* events from `at` on */
    sp_str problem;                 /* to be told behind them; NULL ptr: none */
    bool is_last;                   /* nothing behind this page */
    char first[REMOTE_NUMBER_SIZE]; /* the range that is still to be read */
    char last[REMOTE_NUMBER_SIZE];
    bool with_depth; /* each element is a pair, of depth and event */
    bool is_chain;   /* of causes: each stands one deeper than the one before */
    bool begun;
    unsigned depth;

    /* Subscriptions. */
    struct sp_socket socket;
    bool asked;     /* SPOOR.SUBSCRIBE is sent over the present connection */
    bool confirmed; /* there was a confirmation, over this connection or another */
    uint64_t next;  /* position to go on with, once confirmed */
    uint64_t retry_at_ms;
    uint32_t retry_ms;
    uint32_t watched; /* sp_socket.made of the connection that the host's descriptor knows */
    bool over;        /* the limit is reached */
};

/* Makes one, with the query's words. */
SP_WARN_UNUSED sp_status remote_new(struct sp_client *client, enum remote_kind kind,
                                    const spoor_query *query, struct sp_remote **ret_remote,
                                    struct sp_error *error);

SP_WARN_UNUSED sp_status remote_next_live(struct sp_remote *remote, int timeout_ms,
                                          const struct sp_event **ret_event,
                                          struct sp_error *error);

#endif
