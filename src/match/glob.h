/*
 * Redis' patterns for names: PSUBSCRIBE, KEYS, PUBSUB CHANNELS. pure
 *
 *     ?         any one byte
 *     *         any bytes, none too
 *     [abc]     one of them; [^abc] one that is none of them; [a-z] a range, also written [z-a]
 *     \x        x itself, also within brackets
 *
 * The answers are those of Redis, the odd ones included: `*` does not match the empty text; a
 * bracket that is not closed ends with the pattern; a backslash that ends the pattern stands for
 * itself; bytes are signed in ranges, so that [a-\xff] runs from 0xff, which is -1, to `a`. Redis
 * gives up on a thousand nested stars, and here they are matched.
 *
 * Cost: O(pattern × text) steps in the worst case, O(pattern + text) as a rule; no recursion.
 */
#ifndef SP_MATCH_GLOB_H
#define SP_MATCH_GLOB_H

#include "base/str.h"

bool sp_redis_glob_match(sp_str pattern, sp_str text);

/* True where the pattern has none of the characters * ? [ \ and so matches but itself. */
bool sp_redis_glob_is_literal(sp_str pattern);

#endif
