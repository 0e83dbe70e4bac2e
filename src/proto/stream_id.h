/*
 * Ids of stream entries as clients write them: in full, in part, and the signs that stand for one.
 * pure
 *
 * The id itself, its order and its text are in record/entry_id.h. Numbers are decimal digits,
 * leading zeros allowed, that fit into 64 bits; a text of more than 127 bytes is no id.
 * Each function costs O(bytes).
 */
#ifndef SP_PROTO_STREAM_ID_H
#define SP_PROTO_STREAM_ID_H

#include "base/assert.h"
#include "record/entry_id.h"

/* The texts of Redis for what these functions refuse, without `-ERR `. */
#define SP_STREAM_ID_INVALID       "Invalid stream ID specified as stream command argument"
#define SP_STREAM_ID_INVALID_START "invalid start ID for the interval"
#define SP_STREAM_ID_INVALID_END   "invalid end ID for the interval"

/* The id after, or before. False, and nothing changed, at the last, or first, of all ids. */
SP_WARN_UNUSED bool sp_stream_id_increment(struct sp_entry_id *id);
SP_WARN_UNUSED bool sp_stream_id_decrement(struct sp_entry_id *id);

/*
 * Reads `<ms>-<seq>`, or `<ms>` alone, whose sequence is then `missing_seq`. Not `-`, `+` or any
 * other sign. False where it is no id: SP_STREAM_ID_INVALID.
 */
SP_WARN_UNUSED bool sp_stream_id_parse(sp_str text, uint64_t missing_seq,
                                       struct sp_entry_id *ret_id);

/* As sp_stream_id_parse, and `-` and `+` are the first and the last id of all. */
SP_WARN_UNUSED bool sp_stream_id_parse_bound(sp_str text, uint64_t missing_seq,
                                             struct sp_entry_id *ret_id);

/* The id that XADD is given. */
enum sp_stream_id_add {
    SP_STREAM_ADD_AUTO,     /* `*` */
    SP_STREAM_ADD_AUTO_SEQ, /* `<ms>-*`: ms is set, seq is 0 */
    SP_STREAM_ADD_ID,       /* `<ms>-<seq>`; `<ms>` is `<ms>-0` */
};

SP_WARN_UNUSED bool sp_stream_id_parse_add(sp_str text, enum sp_stream_id_add *ret_kind,
                                           struct sp_entry_id *ret_id);

/* The id that XREAD and XREADGROUP are given: everything after it is wanted. */
enum sp_stream_id_read {
    SP_STREAM_READ_AFTER, /* an id; `<ms>` is `<ms>-0` */
    SP_STREAM_READ_NEW,   /* `$`: what comes from now on */
    SP_STREAM_READ_LAST,  /* `+`: the last entry there is (XREAD alone) */
    SP_STREAM_READ_NEVER, /* `>`: what no consumer was given yet (XREADGROUP alone) */
};

/* Which of them the command allows is for the caller to say. */
SP_WARN_UNUSED bool sp_stream_id_parse_read(sp_str text, enum sp_stream_id_read *ret_kind,
                                            struct sp_entry_id *ret_id);

/*
 * The ends of an interval (XRANGE, XPENDING ...), both of which then belong to it: `-`, `+`, an id,
 * `<ms>` (whose first, or last, entry is meant), and any of them but `-` and `+` behind `(`, which
 * leaves it out. NULL where it could be read, else the error's text, one of the three above.
 */
SP_WARN_UNUSED const char *sp_stream_id_parse_start(sp_str text, struct sp_entry_id *ret_id);
SP_WARN_UNUSED const char *sp_stream_id_parse_end(sp_str text, struct sp_entry_id *ret_id);

#endif
