/*
 * Streams as Redis' clients see them: a view over the log that hides, never changes. pure
 *
 * Most streams need none of this: every event of theirs is visible, its id is the log's entry id. A view is
 * made the first time a client trims, deletes, expires, renames, or chooses an id. It knows
 * - base: versions up to it belong to an earlier life of the key (DEL starts a new generation);
 * - first: the lowest version that is not trimmed away, above base;
 * - hidden: single versions above first that were deleted (XDEL); those that form a prefix fold into first;
 * - own ids: from some version on the stream's entries may have ids of their own, and then marks, one in
 *   SP_VIEW_MARK_EVERY entries, lead from an id to a range of positions;
 * - last id, greatest deleted id, entries added, expiry, and whether the empty key exists.
 *
 * Invariants: base < first <= version + 1; hidden is sorted, unique, within [first, version]; ids of marks
 * rise with their versions and positions. Deciding writes ops (core/control.h) and changes nothing; folding
 * them in, and the events, changes. Nothing here reads the log: what a decision needs from there (which
 * version has this id) its owner hands in as a fact.
 */
#ifndef SP_CORE_VIEWS_H
#define SP_CORE_VIEWS_H

#include "base/buf.h"
#include "base/error.h"
#include "core/control.h"
#include "core/streams.h"
#include "record/entry_id.h"

enum {
    SP_VIEW_MARK_EVERY = 128,
    SP_VIEW_NODE_ENTRIES =
        100, /* "~" trims whole nodes of so many entries, as Redis' default does */
};

struct sp_view;
struct sp_views;

/* What anybody may know of a key. */
struct sp_view_facts {
    bool exists;
    bool own_ids;
    uint64_t base;  /* entries of this generation have versions above */
    uint64_t first; /* lowest version that may be visible */
    uint64_t last;  /* version of the last event, visible or not */
    uint64_t last_position;
    uint64_t length; /* visible entries */
    uint64_t entries_added;
    struct sp_entry_id last_id; /* none: that of the event at last_position, as the log has it */
    bool last_id_known;
    struct sp_entry_id max_deleted;
    uint64_t expire_ms; /* Unix time; 0: never */
    uint64_t changes;   /* grows with every event and op on the key, for WATCH; not stored */
};

/* Facts of a stream by its name; of one that never was: exists false, all else 0. O(1). */
struct sp_view_facts sp_view_get(const struct sp_views *views, sp_str stream);

/* True where the version is part of what clients see. O(log hidden). */
bool sp_view_shows(const struct sp_views *views, uint32_t stream, uint64_t version);

/*
 * Where entries with ids at or above `id` (and, for the upper end, at or below) can lie: positions, both
 * inclusive, as narrow as the marks allow. Only for streams with own ids.
 */
void sp_view_locate(const struct sp_views *views, uint32_t stream, struct sp_entry_id id,
                    uint64_t *ret_from, uint64_t *ret_until);

/* The stream that a key stands for: itself, unless it was renamed. */
sp_str sp_view_resolve(const struct sp_views *views, sp_str key);

/* ---- decisions: each appends one op to `to`, or none where nothing would change ---- */

/* Keeps at most `keep` visible entries; with `approximate` whole nodes only, at most `limit` entries away (0: no limit). */
uint64_t sp_view_trim_to_length(const struct sp_views *views, sp_str stream, uint64_t keep,
                                bool approximate, uint64_t limit, struct sp_buf *to);
/* Hides all below the version (fact: the first one whose id is not below MINID). Returns how many. */
uint64_t sp_view_trim_below(const struct sp_views *views, sp_str stream, uint64_t version,
                            bool approximate, uint64_t limit, struct sp_buf *to);
/* Hides single versions (facts), `greatest` being the greatest id among them. Returns how many were visible. */
uint64_t sp_view_hide(const struct sp_views *views, sp_str stream, const uint64_t *versions,
                      size_t count, struct sp_entry_id greatest, struct sp_buf *to);
bool sp_view_delete(const struct sp_views *views, sp_str stream, struct sp_buf *to);
void sp_view_make(const struct sp_views *views, sp_str stream, struct sp_buf *to);
void sp_view_set(const struct sp_views *views, sp_str stream, struct sp_entry_id last,
                 const uint64_t *entries_added, const struct sp_entry_id *max_deleted,
                 struct sp_buf *to);
bool sp_view_expire(const struct sp_views *views, sp_str stream, uint64_t at_ms, struct sp_buf *to);

#endif
