/*
 * What a server's reply means. pure
 */
#ifndef SP_CLIENT_ANSWER_H
#define SP_CLIENT_ANSWER_H

#include "base/buf.h"
#include "base/error.h"
#include "proto/resp_reply.h"

/*
 * The status that an error's text, `CONFLICT stream s is at version 2`, stands for; the error is
 * filled with the text behind its code. The counterpart of sp_status_code in server/dispatch.c.
 */
SP_WARN_UNUSED sp_status sp_answer_status(sp_str text, struct sp_error *error);

/* A reply of one's own. */
struct sp_answer {
    struct sp_buf texts;
    struct sp_buf nodes; /* of struct sp_reply_node */
};

void sp_answer_init(struct sp_answer *answer);
void sp_answer_fini(struct sp_answer *answer);

/* Copies a node and all beneath it. SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_answer_copy(struct sp_answer *answer, const struct sp_reply_node *node);

/* The whole; never a FAILURE where a call succeeded. */
static inline const struct sp_reply_node *sp_answer_node(const struct sp_answer *answer) {
    return (const void *)answer->nodes.data;
}

/* A number that cannot be below zero; 0 where the node is something else, or NULL. */
uint64_t sp_answer_u64(const struct sp_reply_node *node);

/* A text; a NULL ptr where the node is something else, or NULL. */
sp_str sp_answer_text(const struct sp_reply_node *node);

#endif
