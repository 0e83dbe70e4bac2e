/*
 * The text of a value, read piece by piece, and wildcard matching on it. pure
 *
 * A string inside an event may be long, and may be full of escapes (what a language model says has
 * newlines). Nothing is copied as a whole: escapes are resolved, and case is folded, a piece at a
 * time.
 */
#ifndef SP_MATCH_TEXT_H
#define SP_MATCH_TEXT_H

#include "match/pool.h"

enum { SP_TEXT_PIECE_BYTES = 256 };

struct sp_text {
    const char *at;
    const char *end;
    bool escaped; /* the bytes are those between the quotes of a JSON string, with escapes */
    bool fold;    /* letters are to come in lower case, see match/fold.h */
};

static inline struct sp_text sp_text_of(sp_str raw, bool escaped, bool fold) {
    const char *at = raw.len > 0 ? raw.ptr : "";
    return (struct sp_text){.at = at, .end = at + raw.len, .escaped = escaped, .fold = fold};
}

/*
 * Yields the next bytes of the text, at least one, in *ret_piece, which lies in `room` or in the
 * text itself; false at the end. A piece may end inside a code point.
 */
bool sp_text_next(struct sp_text *text, char room[SP_TEXT_PIECE_BYTES], sp_str *ret_piece);

/*
 * Literal parts with any bytes between them: equality, prefix, suffix, substring and `*` wildcards
 * in one. A part is searched by the method of Knuth, Morris and Pratt, from left to right, and the
 * first place found is kept, which is always a right choice. Cost O(text), however the parts look.
 */
struct sp_glob_part {
    sp_str text;          /* not empty; folded where the glob folds */
    const uint32_t *back; /* text.len + 1: the longest proper border of each prefix */
};

struct sp_glob {
    const struct sp_glob_part *parts;
    uint32_t count;
    bool open_start; /* bytes may come before the first part */
    bool open_end;   /* bytes may come after the last part */
    bool fold;
};

/*
 * Builds a glob of `count` parts, kept in the pool; empty parts are left out. The texts are copied.
 * open_start and open_end are as in the struct. SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_glob_make(struct sp_pool *pool, const sp_str *parts, uint32_t count,
                                      bool open_start, bool open_end, bool fold,
                                      struct sp_glob *ret_glob);

/* True where the text, bytes or JSON string with escapes, matches. Allocates nothing. */
bool sp_glob_match(const struct sp_glob *glob, sp_str raw, bool escaped);

#endif
