/*
 * The index of one segment while it grows, in memory. loop-thread; a finished tail may be read by
 * any thread
 *
 * One term per distinct key of a kind, found by hash; a term holds its postings in blocks that
 * double up to a thousand postings and are linked both ways. Ids stand in a table of eight bytes
 * an entry, in which events and causes of one id share an entry. Everything grows in chunks or in
 * one of many small tables: no add moves more than some 64 KiB.
 *
 * Memory: about 55 bytes an event with a cause, plus 40 bytes a term.
 */
#ifndef SP_INDEX_TAIL_H
#define SP_INDEX_TAIL_H

#include "base/status.h"
#include "base/str.h"
#include "index/keys.h"
#include "index/postings.h"

enum {
    SP_TAIL_EVENTS_MAX = 1 << 22,
    SP_TAIL_TYPES_MAX = 4096,   /* types whose text is kept */
    SP_TAIL_TIME_EVENTS = 4096, /* one recorded time is kept for so many events */
};

struct sp_tail;

/* Where a walk over one term's postings stands. Private; valid as long as the tail. */
struct sp_tail_cursor {
    uint32_t term;  /* UINT32_MAX: the tail does not have the key */
    uint32_t block; /* block of the run that was filled last; 0: none yet */
    enum sp_index_kind kind;
};

/*
 * Makes an empty tail whose first event will have `first_position`, with one reference. `seed`
 * decides where in its tables keys go, and nothing else. NULL where memory is out.
 */
struct sp_tail *sp_tail_new(uint64_t first_position, uint64_t seed);

/* any-thread. References; the last one frees. NULL is fine for unref. */
struct sp_tail *sp_tail_ref(struct sp_tail *tail);
void sp_tail_unref(struct sp_tail *tail);

/*
 * Adds the next event; its ordinal is the count before. `recorded_us` must not fall. SP_OK;
 * SP_NO_MEMORY, which leaves the tail as it was; SP_LIMIT where SP_TAIL_EVENTS_MAX are there. The
 * tail is not finished.
 */
SP_WARN_UNUSED sp_status sp_tail_add(struct sp_tail *tail, const struct sp_index_keys *keys,
                                     sp_str type, uint64_t recorded_us);

/* Ends the growth: from here on any thread may read. Idempotent. */
void sp_tail_finish(struct sp_tail *tail);
bool sp_tail_finished(const struct sp_tail *tail);

uint64_t sp_tail_first(const struct sp_tail *tail);
uint32_t sp_tail_count(const struct sp_tail *tail);

/* The memory it holds, in bytes. O(1). */
size_t sp_tail_bytes(const struct sp_tail *tail);

/* How many events have the key. O(1). */
uint32_t sp_tail_count_of(const struct sp_tail *tail, enum sp_index_kind kind, uint64_t hash);

/* Sets the cursor on a key. False, and one that yields nothing, where the tail lacks it. O(1). */
bool sp_tail_find(const struct sp_tail *tail, enum sp_index_kind kind, uint64_t hash,
                  struct sp_tail_cursor *ret_cursor);

/*
 * Takes out a run of postings that begins with the first one at or after `bound` (reverse: that
 * ends with the last one at or before it); empty where there is none. O(1) beside the run that was
 * taken out last with this cursor; at worst a walk over two thousand blocks, some 40 us.
 */
void sp_tail_fill(const struct sp_tail *tail, struct sp_tail_cursor *cursor, uint32_t bound,
                  bool reverse, struct sp_postings *ret_run);

/* As sp_index_find_id, with ordinals. False where `found` ended the walk. */
typedef bool sp_tail_found_fn(void *context, uint32_t ordinal, enum sp_index_role role);
bool sp_tail_find_id(const struct sp_tail *tail, uint64_t hash, unsigned roles,
                     sp_tail_found_fn *found, void *context);

/* Brings towards the cache what sp_tail_find_id will touch. */
void sp_tail_prefetch_id(const struct sp_tail *tail, uint64_t hash);

/* Likewise for an event that is to be added: only what is seldom in the cache. */
void sp_tail_prefetch_add(const struct sp_tail *tail, const struct sp_index_keys *keys);

/* Types in the order of their first event. */
uint32_t sp_tail_type_count(const struct sp_tail *tail);
sp_str sp_tail_type(const struct sp_tail *tail, uint32_t number);
/* False where a type was not kept: more than SP_TAIL_TYPES_MAX, or two of one hash. */
bool sp_tail_types_complete(const struct sp_tail *tail);

/*
 * An ordinal such that all events before it were recorded before `recorded_us`; below the count
 * where an event was recorded then or later, and that is within SP_TAIL_TIME_EVENTS of it. O(log
 * count).
 */
uint32_t sp_tail_ordinal_at_time(const struct sp_tail *tail, uint64_t recorded_us);

#endif
