/*
 * A scan stands in one segment with a run of its postings at hand. When the run is used up it takes
 * the next one out of the segment, and when there is none, it moves to the next segment that may
 * have the key. What it has handed on is remembered as a position, so that it can be placed anew at
 * any time: after a seek, an error, or a change of the index.
 */
#include "base/assert.h"
#include "index/index_state.h"

void sp_index_scan_init(struct sp_index_scan *scan, struct sp_index *index, enum sp_index_kind kind,
                        uint64_t hash, uint64_t from, uint64_t until, bool reverse) {
    sp_require((unsigned)kind < SP_INDEX_KIND_COUNT);
    scan->index = index;
    scan->hash = hash;
    scan->from = from;
    scan->until = until;
    scan->kind = kind;
    scan->reverse = reverse;
    scan->placed = false;
    scan->group = NULL;
    scan->run.begin = 0;
    scan->run.end = 0;
}

static bool scan_is_over(const struct sp_index_scan *scan) {
    return scan->from >= scan->until;
}

/* The ordinal in the present segment from which on (reverse: up to which) postings are wanted. */
static uint32_t scan_bound(const struct sp_index_scan *scan) {
    uint64_t position = scan->reverse ? scan->until - 1 : scan->from;
    uint64_t ordinal = position > scan->base ? position - scan->base : 0;
    return ordinal < UINT32_MAX ? (uint32_t)ordinal : UINT32_MAX;
}

static bool scan_sieve_lets_through(struct sp_index_scan *scan,
                                    const struct sp_index_segment *segment) {
    const struct sp_index_group *group = segment->group;
    if (group == NULL) {
        return true;
    }
    if (scan->group != group) {
        scan->group = group;
        scan->mask = sp_sieve_ask(group->sieve, scan->hash);
    }
    return (scan->mask >> segment->column & 1) != 0;
}

/* Enters a segment. *ret_has is false where it does not have the key. */
static sp_status scan_enter(struct sp_index_scan *scan, size_t number, bool *ret_has) {
    struct sp_index_segment *segment = scan->index->segments[number];
    scan->segment = number;
    scan->base = segment->first_position;
    scan->run.begin = 0;
    scan->run.end = 0;
    if (segment->tail != NULL) {
        *ret_has = sp_tail_find(segment->tail, scan->kind, scan->hash, &scan->tail_cursor);
        return SP_OK;
    }
    *ret_has = scan_sieve_lets_through(scan, segment);
    if (!*ret_has) {
        return SP_OK;
    }
    sp_status status = sp_section_find(segment->section, scan->kind, scan->hash,
                                       &scan->index->scratch, &scan->section_cursor, &scan->run);
    *ret_has = status == SP_OK && scan->section_cursor.count > 0;
    sp_postings_cut(&scan->run, scan_bound(scan), scan->reverse);
    return sp_index_note(segment, status);
}

/* The number of the segment where the scan goes on, or SIZE_MAX where there is none. */
static size_t scan_start(const struct sp_index_scan *scan) {
    const struct sp_index *index = scan->index;
    if (!scan->reverse) {
        size_t at = sp_index_segment_at(index, scan->from);
        return at < index->segment_count ? at : SIZE_MAX;
    }
    size_t at = sp_index_segment_at(index, scan->until - 1);
    if (at == index->segment_count || index->segments[at]->first_position >= scan->until) {
        return at - 1; /* SIZE_MAX where there is none before */
    }
    return at;
}

static size_t scan_beside(const struct sp_index_scan *scan, size_t number) {
    if (scan->reverse) {
        return number - 1; /* SIZE_MAX after the first */
    }
    return number + 1 < scan->index->segment_count ? number + 1 : SIZE_MAX;
}

static bool scan_wants(const struct sp_index_scan *scan, size_t number) {
    if (number == SIZE_MAX) {
        return false;
    }
    const struct sp_index_segment *segment = scan->index->segments[number];
    return scan->reverse ? sp_index_segment_end(segment) > scan->from
                         : segment->first_position < scan->until;
}

/* Places the scan in the first segment from `number` on that has the key. SP_END where none has. */
static sp_status scan_place(struct sp_index_scan *scan, size_t number) {
    scan->placed = false;
    for (; scan_wants(scan, number); number = scan_beside(scan, number)) {
        bool has;
        sp_status status = scan_enter(scan, number, &has);
        if (status != SP_OK) {
            return status;
        }
        if (has) {
            scan->generation = scan->index->generation;
            scan->placed = true;
            return SP_OK;
        }
    }
    return SP_END;
}

/* Takes the next run out of the present segment; it is empty where there is none. */
static sp_status scan_fill(struct sp_index_scan *scan) {
    struct sp_index_segment *segment = scan->index->segments[scan->segment];
    if (scan->reverse && scan->until <= scan->base) {
        return SP_OK; /* the segment's first posting was handed on */
    }
    if (segment->tail != NULL) {
        sp_tail_fill(segment->tail, &scan->tail_cursor, scan_bound(scan), scan->reverse,
                     &scan->run);
        return SP_OK;
    }
    sp_status status = sp_section_fill(segment->section, &scan->section_cursor, scan_bound(scan),
                                       scan->reverse, &scan->index->scratch, &scan->run);
    return sp_index_note(segment, status);
}

static sp_status scan_refill(struct sp_index_scan *scan) {
    sp_status status = SP_OK;
    if (!scan->placed || scan->generation != scan->index->generation) {
        scan->group = NULL; /* the group may be gone */
        status = scan_place(scan, scan_start(scan));
    }
    while (status == SP_OK && scan->run.begin == scan->run.end) {
        status = scan_fill(scan);
        if (status == SP_OK && scan->run.begin == scan->run.end) {
            status = scan_place(scan, scan_beside(scan, scan->segment));
        }
    }
    scan->placed = status == SP_OK;
    return status;
}

sp_status sp_index_scan_next(struct sp_index_scan *scan, uint64_t *ret_position) {
    if (scan_is_over(scan)) {
        return SP_END;
    }
    struct sp_postings *run = &scan->run;
    if (SP_UNLIKELY(run->begin == run->end || !scan->placed ||
                    scan->generation != scan->index->generation)) {
        sp_status status = scan_refill(scan);
        if (status != SP_OK) {
            return status;
        }
    }
    uint32_t ordinal = scan->reverse ? run->ordinals[run->end - 1] : run->ordinals[run->begin];
    uint64_t position = scan->base + ordinal;
    if (position < scan->from || position >= scan->until) {
        return SP_END;
    }
    if (scan->reverse) {
        run->end--;
        scan->until = position;
    } else {
        run->begin++;
        scan->from = position + 1;
    }
    *ret_position = position;
    return SP_OK;
}

void sp_index_scan_seek(struct sp_index_scan *scan, uint64_t position) {
    if (scan->reverse) {
        if (position >= scan->until || position + 1 >= scan->until) {
            return;
        }
        scan->until = position + 1;
    } else {
        if (position <= scan->from) {
            return;
        }
        scan->from = position;
    }
    if (!scan->placed || scan->generation != scan->index->generation) {
        return;
    }
    const struct sp_index_segment *segment = scan->index->segments[scan->segment];
    if (position < scan->base || position >= sp_index_segment_end(segment)) {
        scan->placed = false;
    } else {
        sp_postings_cut(&scan->run, scan_bound(scan), scan->reverse);
    }
}
