/*
 * The index over the whole log: which events have this stream, type, source, correlation, id or
 * cause, and where a moment lies. loop-thread, save where said
 *
 * The index is derived from the log and can be rebuilt from it; it is never authoritative. It
 * consists of one part per segment of the log, in the order of positions:
 *
 *     sealed  sealed  …  sealed  finished tail  finished tail  newest tail
 *
 * A tail lies in memory (tail.h) and only the newest one grows. A finished tail is encoded on a
 * helper thread into an index section (section.h), which the log stores in the sealed file; then
 * the section takes the tail's place. Of a sealed segment some 40 to 60 KiB stay in memory, and
 * about two bytes a key in the sieve (sieve.h), a filter that says for up to 64 segments at once
 * which may hold a key.
 *
 * The life of a segment, thread by thread:
 *
 *     loop    sp_index_tail_begin(next segment)     finishes the tail before it
 *     loop    tail = sp_index_tail_pin(segment)
 *     helper  sp_section_encode(tail, buffer)       the log writes the buffer
 *     loop    sp_index_seal(segment, reader)        the section takes the tail's place
 *     helper  sp_tail_unref(tail)                   freeing 60 MB takes milliseconds
 *     loop    fold = sp_index_fold_begin(index)     the filter moves into the sieve
 *     helper  sp_index_fold_run(fold)
 *     loop    sp_index_fold_end(index, fold)
 *     helper  sp_index_fold_free(fold)
 *
 * All lookups yield candidates (keys.h): the caller compares the event. A lookup that meets a
 * damaged section answers SP_CORRUPT, never a wrong "not found"; sp_index_damaged then names the
 * segment, and sp_index_seal with a section rebuilt from the events replaces it. SP_IO passes on
 * what the reader said. A lookup that failed may be repeated.
 *
 * Positions are dense from 1. The index may begin later (retention) and holds everything from
 * there. Memory: see sp_index_stats. Several indexes may live in one process.
 */
#ifndef SP_INDEX_INDEX_H
#define SP_INDEX_INDEX_H

#include "base/buf.h"
#include "base/error.h"
#include "index/keys.h"
#include "index/section.h"
#include "index/tail.h"

struct sp_index;

struct sp_index_options {
    uint64_t seed; /* random per process: crafted keys cannot pile up in a tail; any in tests */
};

/* Makes an empty index. NULL where memory is out. `options` may be NULL. */
struct sp_index *sp_index_new(const struct sp_index_options *options);

/* Frees everything, releases the readers. No fold is under way. NULL is fine. */
void sp_index_free(struct sp_index *index);

/*
 * Begins the tail of a new segment, whose first event will have `first_position`: that of the next
 * event to come, or any where the index is empty. The tail before it is finished by this. Segment
 * ids are the caller's, each used once. SP_OK or SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_index_tail_begin(struct sp_index *index, uint64_t segment_id,
                                             uint64_t first_position);

/*
 * Adds an event to the newest tail. `position` is the next one; `recorded_us` never falls. The
 * type's text is copied where it is new. SP_OK; SP_NO_MEMORY, after which the event is not there
 * and may be added again; SP_LIMIT where the segment has SP_TAIL_EVENTS_MAX events. About 130 ns;
 * O(1).
 */
SP_WARN_UNUSED sp_status sp_index_add(struct sp_index *index, uint64_t position,
                                      const struct sp_index_keys *keys, sp_str type,
                                      uint64_t recorded_us);

/*
 * A reference to the tail of a segment that is not sealed yet, to be encoded on a helper thread
 * with sp_section_encode; given back with sp_tail_unref, on any thread. A tail that is the newest
 * one is finished by this: sp_index_tail_begin must come before the next sp_index_add. NULL where
 * the segment has no tail.
 */
struct sp_tail *sp_index_tail_pin(struct sp_index *index, uint64_t segment_id);

/*
 * Puts a sealed section in the place of what the index has for that segment: its finished tail, or
 * a section that turned out damaged. The index takes the reader over and releases it when it is
 * done with it. On failure nothing has changed and the reader stays the caller's: SP_CORRUPT where
 * the section is damaged or covers other positions, SP_UNSUPPORTED for a later version of the
 * format, SP_NOT_FOUND, SP_NO_MEMORY, or what the reader says. Three small reads.
 */
SP_WARN_UNUSED sp_status sp_index_seal(struct sp_index *index, uint64_t segment_id,
                                       const struct sp_section_reader *reader,
                                       struct sp_error *error);

/*
 * At start-up: adds a sealed segment that covers `count` events from `first_position` on, after
 * those added before. Reader and statuses as with sp_index_seal. A segment whose section is damaged
 * is to be indexed anew (sp_tail_new, sp_tail_add, sp_section_encode) and opened with what comes
 * out.
 */
SP_WARN_UNUSED sp_status sp_index_open_sealed(struct sp_index *index, uint64_t segment_id,
                                              uint64_t first_position, uint32_t count,
                                              const struct sp_section_reader *reader,
                                              struct sp_error *error);

/* Drops the sealed segments and finished tails all of whose positions are below `position`. */
void sp_index_drop_before(struct sp_index *index, uint64_t position);

/* The lowest segment in which a lookup met damage and which was not replaced since; false: none. */
bool sp_index_damaged(const struct sp_index *index, uint64_t *ret_segment_id);

/* -- Folding: moving the filters of sealed segments into the sieve -------------------------------
 *
 * A section that was just sealed or opened counts as possibly holding every key, which costs each
 * lookup a read. A fold loads the filters of up to 64 such sections, on a helper thread. Lookups go
 * on meanwhile. One fold at a time.
 */
struct sp_index_fold;

/* What is to be folded next; NULL where there is nothing, a fold is under way, or memory is out. */
struct sp_index_fold *sp_index_fold_begin(struct sp_index *index);

/*
 * helper. Reads the filters and builds a group of the sieve: about 10 ms a segment. A filter that
 * cannot be read is left out; its segment is then reported by sp_index_damaged.
 */
void sp_index_fold_run(struct sp_index_fold *fold);

/* Puts the new group to use. SP_OK, or what sp_index_fold_run failed with. O(1). */
SP_WARN_UNUSED sp_status sp_index_fold_end(struct sp_index *index, struct sp_index_fold *fold);

/* any-thread. Frees the fold, after sp_index_fold_end, and the group it replaced. NULL is fine. */
void sp_index_fold_free(struct sp_index_fold *fold);

/* Folds everything here and now: for tools, tests and programs without helper threads. */
SP_WARN_UNUSED sp_status sp_index_fold_all(struct sp_index *index);

/* -- Lookup by id ------------------------------------------------------------------------------ */

/* Called once per candidate. Must not change the index. False ends the lookup. */
typedef bool sp_index_found_fn(void *context, uint64_t position, enum sp_index_role role);

/*
 * Calls `found` for every event in [from, until) that may stand under `hash` in one of `roles`
 * (bits of enum sp_index_role). Segments come in ascending order; within one, the positions of each
 * role ascend, save where hashes collide. SP_OK also where there are none. A hash that is nowhere
 * costs about 100 ns per 64 sealed segments, without those that end before `from`; each segment
 * that has it, or seems to (one in a thousand), a read of about 1 KiB.
 */
SP_WARN_UNUSED sp_status sp_index_find_id(struct sp_index *index, uint64_t hash, unsigned roles,
                                          uint64_t from, uint64_t until, sp_index_found_fn *found,
                                          void *context);

/*
 * Brings towards the cache what sp_index_find_id of this hash will touch. A batch of lookups that
 * is announced so, some 8 to 16 at a time, overlaps its waits for memory.
 */
void sp_index_prefetch_id(const struct sp_index *index, uint64_t hash);

/* Brings towards the cache what sp_index_add of these keys will touch first. */
void sp_index_prefetch_add(const struct sp_index *index, const struct sp_index_keys *keys);

/* -- Scans ------------------------------------------------------------------------------------- */

/*
 * A cursor over the candidates of one key in the order of positions. Caller's memory, about 2 KiB;
 * needs no fini; its fields are private. It survives everything that may happen to the index
 * between two calls: events that are added come up if the scan has not passed them, segments may be
 * sealed, folded and dropped.
 */
struct sp_index_scan {
    struct sp_index *index;
    uint64_t hash;
    uint64_t from;       /* what is still wanted: positions in [from, until) */
    uint64_t until;      /* exclusive */
    uint64_t generation; /* of the index when the scan was placed */
    uint64_t base;       /* first position of the segment the run is from */
    uint64_t mask;       /* what `group` said of the key */
    const void *group;   /* the sieve's group that was asked last; NULL: none */
    size_t segment;      /* number of the segment the run is from */
    enum sp_index_kind kind;
    bool reverse;
    bool placed; /* the scan stands in a segment; else what is below means nothing */
    struct sp_tail_cursor tail_cursor;
    struct sp_section_cursor section_cursor;
    struct sp_postings run;
};

/*
 * Begins a scan over the candidates in [from, until), ascending, or descending where `reverse`.
 * Touches nothing yet: O(1). `until` may be UINT64_MAX.
 */
void sp_index_scan_init(struct sp_index_scan *scan, struct sp_index *index, enum sp_index_kind kind,
                        uint64_t hash, uint64_t from, uint64_t until, bool reverse);

/*
 * The next candidate. SP_OK, SP_END (a scan with an open end may be asked again after an add),
 * SP_CORRUPT, SP_IO or SP_NO_MEMORY. A few nanoseconds; every 512 candidates a refill of about 2
 * us; per segment passed over some 3 ns, and 100 ns per 64 of them.
 */
SP_WARN_UNUSED sp_status sp_index_scan_next(struct sp_index_scan *scan, uint64_t *ret_position);

/*
 * Passes over all candidates before `position` (after it, in reverse): the next one is at or beyond
 * it. Going back has no effect. O(1) until the next sp_index_scan_next, which then costs a few
 * microseconds at most, wherever it lands.
 */
void sp_index_scan_seek(struct sp_index_scan *scan, uint64_t position);

/*
 * A union of scans over several keys of one kind, in the order of positions, each position once:
 * for type patterns. Owns 2 KiB per key, at most SP_INDEX_MERGE_KEYS_MAX.
 */
enum { SP_INDEX_MERGE_KEYS_MAX = 4096 };

struct sp_index_merge {
    struct sp_index_scan *scans;
    struct sp_index_merge_entry *heap; /* lowest next position on top; highest in reverse */
    size_t scan_count;
    size_t heap_count;
    size_t primed_count; /* scans that have been asked for their first candidate */
    uint64_t bound;      /* candidates before it (after it, in reverse) are passed over */
    bool reverse;
};

/* SP_OK, SP_NO_MEMORY, or SP_LIMIT beyond SP_INDEX_MERGE_KEYS_MAX. The hashes are copied. */
SP_WARN_UNUSED sp_status sp_index_merge_init(struct sp_index_merge *merge, struct sp_index *index,
                                             enum sp_index_kind kind, const uint64_t *hashes,
                                             size_t hash_count, uint64_t from, uint64_t until,
                                             bool reverse);
void sp_index_merge_fini(struct sp_index_merge *merge);

/* As sp_index_scan_next; O(log keys). After SP_END it is over, whatever is added. */
SP_WARN_UNUSED sp_status sp_index_merge_next(struct sp_index_merge *merge, uint64_t *ret_position);

/* As sp_index_scan_seek; O(keys) at the next sp_index_merge_next. */
void sp_index_merge_seek(struct sp_index_merge *merge, uint64_t position);

/* -- Questions about the whole ---------------------------------------------------------------- */

/*
 * About how many events in [from, until) have the key: to choose the most selective of several. 0
 * is certain, other numbers are estimates: exact for the tails and for up to
 * SP_INDEX_ESTIMATE_READS sealed segments, the rest in proportion; a range that cuts a segment
 * counts the whole segment.
 */
enum { SP_INDEX_ESTIMATE_READS = 8 };
SP_WARN_UNUSED sp_status sp_index_count_estimate(struct sp_index *index, enum sp_index_kind kind,
                                                 uint64_t hash, uint64_t from, uint64_t until,
                                                 uint64_t *ret_count);

/* Called once per type. The text is valid during the call. False ends the walk. */
typedef bool sp_index_type_fn(void *context, sp_str type);

/*
 * Calls `each` for every distinct type of the indexed events, in no order. SP_OK, or SP_LIMIT where
 * not all types are listed (SP_TAIL_TYPES_MAX in one segment, SP_INDEX_TYPES_MAX in all, or crafted
 * collisions): a pattern must then be compared with the events themselves.
 */
enum { SP_INDEX_TYPES_MAX = 65536 };
SP_WARN_UNUSED sp_status sp_index_each_type(const struct sp_index *index, sp_index_type_fn *each,
                                            void *context);

/*
 * A position such that all events before it were recorded before `recorded_us`: at most
 * SP_TAIL_TIME_EVENTS before the first event recorded at that time or later, where there is one,
 * else the next position to come. The caller walks on from there. O(log events), no read.
 */
uint64_t sp_index_position_at_time(const struct sp_index *index, uint64_t recorded_us);

struct sp_index_stats {
    uint64_t first_position; /* of the indexed range */
    uint64_t next_position;  /* after the indexed range */
    uint64_t segments_sealed;
    uint64_t segments_folded; /* of those, in the sieve */
    uint64_t tails;
    uint64_t types;
    uint64_t tail_bytes;    /* memory of the tails */
    uint64_t sieve_bytes;   /* memory of the sieve */
    uint64_t section_bytes; /* memory of the sealed sections, without the sieve */
};

/* O(segments). */
void sp_index_stats(const struct sp_index *index, struct sp_index_stats *ret_stats);

#endif
