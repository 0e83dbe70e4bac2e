/*
 * A query of spoor.h as words of a command. pure
 */
#ifndef SP_CLIENT_QUERY_H
#define SP_CLIENT_QUERY_H

#include "base/buf.h"
#include "base/error.h"
#include "spoor.h"

/* The conditions, encoded, and the window, which changes from one page to the next. */
struct sp_query_text {
    struct sp_buf words; /* bulk strings */
    uint32_t count;      /* of them */
    sp_str from;         /* borrowed from the query; NULL ptr: absent */
    sp_str until;
    uint64_t limit; /* 0: none */
    uint64_t from_version;
    bool reverse;
};

/* `query` NULL: everything. SP_INVALID where it was not made with SPOOR_QUERY_INIT. */
SP_WARN_UNUSED sp_status sp_query_text_init(struct sp_query_text *to, const spoor_query *query,
                                            struct sp_error *error);
void sp_query_text_fini(struct sp_query_text *of);

/* What a command asks for beside the conditions. */
struct sp_query_window {
    sp_str from;
    sp_str until;
    uint64_t limit;   /* 0: not said */
    uint64_t version; /* likewise */
    bool reverse;
    bool paged;
    bool no_raw; /* events are brought up by upcasters, or the command is of no events */
};

/* Encodes `name`, the conditions and the window as one command. */
void sp_query_encode(struct sp_buf *to, const char *name, const struct sp_query_text *of,
                     const struct sp_query_window *window);

#endif
