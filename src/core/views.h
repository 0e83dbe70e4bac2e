/*
 * Streams as Redis' clients see them: a view over the log that hides, never changes. pure
 *
 * Most streams need none of this: every event of theirs is visible, its id is the log's entry id. A
 * view is made the first time a client trims, deletes, expires, renames, or chooses an id. It knows
 * - base: versions up to it belong to an earlier life of the key (DEL starts a new generation);
 * - first: the lowest version that is not trimmed away, above base;
 * - hidden: single versions above first that were deleted (XDEL); those that form a prefix fold
 *   into first;
 * - own ids: from some version on the stream's entries may have ids of their own, and then marks,
 *   one in SP_VIEW_MARK_EVERY entries, lead from an id to a range of positions;
 * - last id, greatest deleted id, entries added, expiry, and whether the empty key exists.
 *
 * A stream gets own ids by the first event that carries one (sp_core_step), or by XSETID; it loses
 * them with its generation. From then on its last id is known here, and events that come without
 * one are given one where the log's would not rise.
 *
 * Keys and streams: a key stands for the stream of its name, until RENAME lets it stand for
 * another. Functions take streams; `sp_view_resolve` leads from the key a client named to its
 * stream, `sp_view_key_of` back.
 *
 * Invariants: base < first <= version + 1; hidden is sorted, unique, within (first, version]; ids
 * of marks rise with their positions. Deciding writes ops (core/control.h) and changes nothing;
 * folding them in, and the events, changes: fold what was decided before you decide again. Nothing
 * here reads the log: what a decision needs from there (which version has this id) its owner hands
 * in as a fact.
 *
 * Memory: about 220 bytes a view, 8 bytes a hidden version, 24 bytes a mark.
 */
#ifndef SP_CORE_VIEWS_H
#define SP_CORE_VIEWS_H

#include "base/buf.h"
#include "base/error.h"
#include "base/htab.h"
#include "base/wire.h"
#include "core/control.h"
#include "core/heap.h"
#include "core/streams.h"
#include "record/entry_id.h"

enum {
    SP_VIEW_MARK_EVERY = 128,
    SP_VIEW_NODE_ENTRIES =
        100, /* "~" trims whole nodes of so many entries, as Redis' default does */
};

struct sp_view;
struct sp_view_alias;

/* Views of the streams of one core; within struct sp_core, and not to be moved. */
struct sp_views {
    struct sp_streams *streams; /* the core's */
    struct sp_view **views;
    uint32_t count;
    uint32_t capacity;
    uint32_t own_count;       /* views with own ids */
    struct sp_htab by_stream; /* the stream's index to the view's */
    struct sp_heap expiring;
    struct sp_view_alias *aliases; /* renamed keys */
    uint32_t alias_count;
    uint32_t alias_capacity;
    struct sp_htab by_key;    /* a renamed key to its alias */
    struct sp_htab by_target; /* a stream that a renamed key stands for to the alias */
    uint64_t key_count;       /* keys that exist, those that begin with '$' left out */
    uint64_t stamp;           /* ops folded, for WATCH; not stored */
    uint64_t step;            /* of sp_core_step: which views have a planned id */
};

/* What anybody may know of a stream. */
struct sp_view_facts {
    bool exists;
    bool own_ids;
    uint64_t base;  /* entries of this generation have versions above */
    uint64_t first; /* lowest version that may be visible */
    uint64_t last;  /* version of the last event, visible or not */
    uint64_t last_position;
    uint64_t length; /* visible entries */
    uint64_t entries_added;
    /* Where not known here: that of the event at last_position, as the log has it. */
    struct sp_entry_id last_id;
    bool last_id_known;
    uint64_t own_first; /* with own ids: entries of versions below have the log's */
    struct sp_entry_id max_deleted;
    uint64_t expire_ms; /* Unix time; 0: never */
    uint64_t changes;   /* differs after every event and op on the stream, for WATCH; not stored */
};

/* Facts of a stream by its name; of one that never was: exists false, all else 0. O(1). */
struct sp_view_facts sp_view_get(const struct sp_views *views, sp_str stream);
/* The same by the stream's index, below streams->count. */
struct sp_view_facts sp_view_at(const struct sp_views *views, uint32_t index);

/* True where the version is part of what clients see. O(log hidden). */
bool sp_view_shows(const struct sp_views *views, uint32_t index, uint64_t version);

/* The lowest visible version at or above `version`, or last + 1. O(log hidden + run of hidden). */
uint64_t sp_view_next_shown(const struct sp_views *views, uint32_t index, uint64_t version);

/* How many visible versions are above `version`: the lag of a cursor there. O(hidden / 128). */
uint64_t sp_view_count_above(const struct sp_views *views, uint32_t index, uint64_t version);

/*
 * Where the entry with this id is, and the first one above it: positions, both inclusive, as narrow
 * as the marks allow: the first entry with an id at or above `id` lies within, or directly behind.
 * `from` is 1 where ids of the log still count. Only for streams with own ids.
 */
void sp_view_locate(const struct sp_views *views, uint32_t index, struct sp_entry_id id,
                    uint64_t *ret_from, uint64_t *ret_until);

/* Keys that exist, the store's own ('$…') left out. O(1). */
uint64_t sp_view_key_count(const struct sp_views *views);

/*
 * The stream that a key stands for: itself, unless it was renamed. Empty where the name is taken:
 * it is that of a stream which another key stands for since a RENAME. The slice lives until the
 * next ALIAS is folded.
 */
sp_str sp_view_resolve(const struct sp_views *views, sp_str key);

/* The key that stands for a stream; empty where none does, as it was renamed away. */
sp_str sp_view_key_of(const struct sp_views *views, sp_str stream);

/* The time at which the next stream expires, in ms; 0: none. */
uint64_t sp_view_next_expiry(const struct sp_views *views);
/* A stream whose time has come; empty: none. Decide its deletion and fold it, then ask again. */
sp_str sp_view_expired(const struct sp_views *views, uint64_t now_ms);

/*
 * ---- decisions: each appends ops to `to`, or none where nothing would change. The buffer's sticky
 * status says whether there was room. ----
 */

/* How a trim counts. */
struct sp_view_trim {
    uint32_t node;  /* 0: exactly; else only whole nodes of so many entries go ("~") */
    uint64_t limit; /* with node: at most so many entries go; 0: no limit */
};

/* Keeps at most `keep` visible entries. Returns how many go. O(hidden / 128 + nodes). */
uint64_t sp_view_trim_to_length(const struct sp_views *views, sp_str stream, uint64_t keep,
                                const struct sp_view_trim *trim, struct sp_buf *to);
/*
 * Hides all below the version (fact: the first one whose id is not below MINID). Returns how many
 * go.
 */
uint64_t sp_view_trim_below(const struct sp_views *views, sp_str stream, uint64_t version,
                            const struct sp_view_trim *trim, struct sp_buf *to);
/*
 * Hides single versions (facts, in any order, also some twice), `greatest` being the greatest id
 * among those that are visible. Returns how many were. SP_NO_MEMORY shows in `to`.
 */
uint64_t sp_view_hide(const struct sp_views *views, sp_str stream, const uint64_t *versions,
                      size_t count, struct sp_entry_id greatest, struct sp_buf *to);
/* DEL, and when it expires. False where the key does not exist. */
bool sp_view_delete(const struct sp_views *views, sp_str stream, struct sp_buf *to);
/* The empty key. False where it exists. */
bool sp_view_make(const struct sp_views *views, sp_str stream, struct sp_buf *to);
/*
 * XSETID; the key exists. NULL leaves a number as it is. Whether the numbers make sense is checked
 * by the owner: it knows the ids.
 */
void sp_view_set(const struct sp_views *views, sp_str stream, struct sp_entry_id last,
                 const uint64_t *entries_added, const struct sp_entry_id *max_deleted,
                 struct sp_buf *to);
/* at_ms 0: never. False where the key does not exist, or nothing changes. */
bool sp_view_expire(const struct sp_views *views, sp_str stream, uint64_t at_ms, struct sp_buf *to);

/*
 * RENAME of an existing key: what `to_key` stood for is deleted, then it stands for the stream of
 * `from_key`, and that for its own name again, or where this is in use for a fresh one (`a@2`).
 * SP_NOT_FOUND: no such key; SP_CONFLICT: a name is taken (sp_view_resolve).
 */
SP_WARN_UNUSED sp_status sp_view_rename(const struct sp_views *views, sp_str from_key,
                                        sp_str to_key, struct sp_buf *to, struct sp_error *error);

/* ---- for the core's own files ---- */

void sp_views_init(struct sp_views *views, struct sp_streams *streams);
void sp_views_fini(struct sp_views *views);

/* Folds one op, whose kind was read already. SP_CORRUPT, SP_NO_MEMORY, SP_LIMIT. */
SP_WARN_UNUSED sp_status sp_views_fold(struct sp_views *views, enum sp_op op, struct sp_wire *wire);

/* Makes sure that the stream has a view; one that says nothing is not part of the state. */
SP_WARN_UNUSED sp_status sp_views_reserve(struct sp_views *views, uint32_t index);

/* What an event adds: its version is folded in already. `own`: its own id, or none. */
void sp_views_note(struct sp_views *views, uint32_t index, uint64_t version, uint64_t position,
                   struct sp_entry_id of_log, struct sp_entry_id own);
/* Room for what sp_views_note may add to the stream's view, which it has. */
SP_WARN_UNUSED sp_status sp_views_make_room(struct sp_views *views, uint32_t index,
                                            uint32_t events);

/*
 * Plans an own id within a step: behind what was planned for the stream in this step, else behind
 * its last id. See sp_core_candidate; `of_log` is the id the log will give.
 */
struct sp_core_candidate;
SP_WARN_UNUSED sp_status sp_views_plan(struct sp_views *views, uint32_t index,
                                       struct sp_core_candidate *candidate,
                                       struct sp_entry_id of_log);

uint64_t sp_views_hash(const struct sp_views *views);
void sp_views_encode(const struct sp_views *views, struct sp_buf *to);
/* Into fresh views, whose streams are restored already. SP_CORRUPT, SP_NO_MEMORY, SP_LIMIT. */
SP_WARN_UNUSED sp_status sp_views_restore(struct sp_views *views, struct sp_wire *wire);

#endif
