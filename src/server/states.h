/*
 * States of the past as a part of the server: what they are made with, and the questions of clients
 * (docs/time-travel.md). They are made on the threads of the query pool, never on the loop.
 * loop-thread
 */
#ifndef SP_SERVER_STATES_H
#define SP_SERVER_STATES_H

#include "server/queries.h"
#include "server/subscribe_query.h"

/* Opens server->travel; before projections, which are to be followed. SP_LIMIT, SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_states_init(struct sp_server *server, struct sp_error *error);

/* A question, as protocols read it; everything is borrowed. */
struct sp_state_words {
    struct sp_query_words words;
    sp_str projection;
    sp_str by; /* own, recorded; empty: own */
    sp_str diff;
    sp_str table;
    sp_str sql;
    uint64_t timeout_ms;
};

/* Takes one word with its value; false where it is none of a state's own. */
SP_WARN_UNUSED bool sp_state_words_add(struct sp_state_words *words, sp_str name, sp_str value,
                                       sp_status *ret_status, struct sp_error *error);

/*
 * Makes what the pool is asked. SP_NOT_FOUND: no projection is called so; SP_INVALID;
 * SP_UNSUPPORTED where no projections run here.
 */
SP_WARN_UNUSED sp_status sp_states_ask(struct sp_server *server, const struct sp_state_words *words,
                                       enum sp_query_form form, struct sp_query_ask *ret_ask,
                                       struct sp_error *error);

#endif
