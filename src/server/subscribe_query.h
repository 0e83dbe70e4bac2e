/*
 * A query as words of a command: TYPE p (repeatable), SOURCE s, STREAM s, CORRELATION c, FILTER
 * json, FROM m, UNTIL m, LIMIT n, REVERSE, VERSION n (with STREAM: the first one), PAGE (of a read:
 * with what it takes to go on), RAW (as stored, not brought up by upcasters), and, where it is a
 * subscription's, AS name. pure
 */
#ifndef SP_SERVER_SUBSCRIBE_QUERY_H
#define SP_SERVER_SUBSCRIBE_QUERY_H

#include "engine/query.h"

struct sp_query_words {
    struct sp_query query; /* types points to the next */
    sp_str types[SP_QUERY_TYPES_MAX];
    sp_str name; /* AS; NULL ptr: none */
    bool paged;  /* PAGE */
    bool raw;    /* RAW: as stored, not brought up */
};

/*
 * Reads the words, in any order and case. The slices point into them. SP_INVALID names what was not
 * understood; SP_LIMIT. That patterns, filter and moments are any is for the engine to say.
 */
SP_WARN_UNUSED sp_status sp_query_words_read(const sp_str *words, uint32_t count,
                                             struct sp_query_words *ret_read,
                                             struct sp_error *error);

/* The same, word by word: begin, then a name in any case with its value, but for REVERSE. */
void sp_query_words_begin(struct sp_query_words *read);
SP_WARN_UNUSED sp_status sp_query_words_add(struct sp_query_words *read, sp_str name, sp_str value,
                                            struct sp_error *error);

#endif
