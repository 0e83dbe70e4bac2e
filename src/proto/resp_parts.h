/*
 * What the files of the request reader share. pure
 */
#ifndef SP_PROTO_RESP_PARTS_H
#define SP_PROTO_RESP_PARTS_H

#include "proto/resp_read.h"

/* Makes room for one more argument; false where memory is short. */
bool resp_grow_args(struct sp_resp_reader *reader);

static inline bool resp_push_arg(struct sp_resp_reader *reader, sp_str arg) {
    if (SP_UNLIKELY(reader->argc == reader->args_capacity) && !resp_grow_args(reader)) {
        return false;
    }
    reader->args[reader->argc++] = arg;
    return true;
}

/* What became of an inline command. */
enum resp_inline_result {
    RESP_INLINE_DONE, /* its words are the reader's arguments; there may be none */
    RESP_INLINE_QUOTES,
    RESP_INLINE_NO_MEMORY,
};

/* Splits the text of an inline command, without its line's end, into words. O(bytes). */
enum resp_inline_result resp_split_inline(struct sp_resp_reader *reader, sp_str line);

#endif
