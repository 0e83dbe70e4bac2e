#include "project/bounds.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/wire.h"
#include "record/stamp.h"

static const char magic[8] = {'s', 'p', 'o', 'o', 'r', 'T', 'M', 'B'};

enum {
    AT_STRETCH = SP_STAMP_BYTES,
    AT_KNOWN = 32,
    AT_COUNT = 40,
    HEADER_BYTES = 48,
    ENTRY_BYTES = 16,
};

/* Positions up to 2^63 / stretch could be asked for; so many events do not exist. */
static const size_t STRETCHES_MAX = (size_t)1 << 28;

static size_t stretch_of(uint64_t position) {
    sp_require(position > 0);
    return (size_t)((position - 1) / SP_BOUNDS_STRETCH);
}

static uint64_t first_of(size_t stretch) {
    return (uint64_t)stretch * SP_BOUNDS_STRETCH + 1;
}

static uint64_t last_of(size_t stretch) {
    return (uint64_t)(stretch + 1) * SP_BOUNDS_STRETCH;
}

void sp_bounds_init(struct sp_bounds *bounds) {
    *bounds = (struct sp_bounds){.known = 0};
}

void sp_bounds_fini(struct sp_bounds *bounds) {
    free(bounds->stretches);
    sp_bounds_init(bounds);
}

static sp_status grow_to(struct sp_bounds *bounds, size_t count) {
    if (count > STRETCHES_MAX) {
        return SP_LIMIT;
    }
    if (count > bounds->capacity) {
        size_t capacity = count + count / 2 + 16;
        struct sp_bounds_of *stretches =
            realloc(bounds->stretches, capacity * sizeof(*bounds->stretches));
        if (stretches == NULL) {
            return SP_NO_MEMORY;
        }
        bounds->stretches = stretches;
        bounds->capacity = capacity;
    }
    while (bounds->count < count) {
        bounds->stretches[bounds->count++] =
            (struct sp_bounds_of){.least_us = UINT64_MAX, .greatest_us = 0};
    }
    return SP_OK;
}

sp_status sp_bounds_note(struct sp_bounds *bounds, uint64_t position, uint64_t time_us) {
    size_t at = stretch_of(position);
    if (at >= bounds->count) {
        sp_status status = grow_to(bounds, at + 1);
        if (status != SP_OK) {
            return status;
        }
    }
    struct sp_bounds_of *of = &bounds->stretches[at];
    of->least_us = time_us < of->least_us ? time_us : of->least_us;
    of->greatest_us = time_us > of->greatest_us ? time_us : of->greatest_us;
    return SP_OK;
}

/* Joins the span beyond to what is known, where they meet. */
static void join(struct sp_bounds *bounds) {
    if (bounds->span_first != 0 && bounds->span_first <= bounds->known + 1) {
        bounds->known = bounds->span_last > bounds->known ? bounds->span_last : bounds->known;
        bounds->span_first = 0;
        bounds->span_last = 0;
    }
}

void sp_bounds_cover(struct sp_bounds *bounds, uint64_t first, uint64_t last) {
    if (first > last) {
        return;
    }
    bool meets_span =
        bounds->span_first != 0 && first <= bounds->span_last + 1 && last + 1 >= bounds->span_first;
    if (first <= bounds->known + 1) {
        bounds->known = last > bounds->known ? last : bounds->known;
    } else if (meets_span) {
        bounds->span_first = first < bounds->span_first ? first : bounds->span_first;
        bounds->span_last = last > bounds->span_last ? last : bounds->span_last;
    } else if (last > bounds->span_last) { /* of two spans apart the later one is kept */
        bounds->span_first = first;
        bounds->span_last = last;
    }
    join(bounds);
}

bool sp_bounds_gap(const struct sp_bounds *bounds, uint64_t until, uint64_t *ret_first,
                   uint64_t *ret_last) {
    if (bounds->known >= until) {
        return false;
    }
    bool ends_at_span = bounds->span_first != 0 && bounds->span_first <= until;
    *ret_first = bounds->known + 1;
    *ret_last = ends_at_span ? bounds->span_first - 1 : until;
    return true;
}

uint64_t sp_bounds_prefix(const struct sp_bounds *bounds, uint64_t time_us) {
    for (size_t i = 0; i < bounds->count && first_of(i) <= bounds->known; i++) {
        if (bounds->stretches[i].greatest_us > time_us) {
            return first_of(i) - 1;
        }
    }
    return bounds->known;
}

/* True where the stretch has been noted whole and everything in it is later. */
static bool is_later(const struct sp_bounds *bounds, size_t stretch, uint64_t until,
                     uint64_t time_us) {
    uint64_t last = last_of(stretch) < until ? last_of(stretch) : until;
    bool in_span = bounds->span_first != 0 && first_of(stretch) >= bounds->span_first &&
                   last <= bounds->span_last;
    if (last > bounds->known && !in_span) {
        return false;
    }
    return stretch >= bounds->count || bounds->stretches[stretch].least_us > time_us;
}

bool sp_bounds_next(const struct sp_bounds *bounds, uint64_t time_us, uint64_t from, uint64_t until,
                    uint64_t *ret_first, uint64_t *ret_last) {
    from = from == 0 ? 1 : from;
    while (from <= until && is_later(bounds, stretch_of(from), until, time_us)) {
        from = last_of(stretch_of(from)) + 1;
    }
    if (from > until) {
        return false;
    }
    uint64_t last = last_of(stretch_of(from));
    while (last < until && last < bounds->known &&
           !is_later(bounds, stretch_of(last + 1), until, time_us)) {
        last = last_of(stretch_of(last + 1));
    }
    /* Behind what is known all of it has to be read, up to a span that is known again. */
    if (last >= bounds->known && last < until) {
        bool span = bounds->span_first != 0 && bounds->span_first > last;
        last = span && bounds->span_first <= until ? bounds->span_first - 1 : until;
    }
    *ret_first = from;
    *ret_last = last < until ? last : until;
    return true;
}

void sp_bounds_encode(const struct sp_bounds *bounds, struct sp_buf *to) {
    size_t count = bounds->known == 0 ? 0 : stretch_of(bounds->known) + 1;
    count = count < bounds->count ? count : bounds->count;
    size_t size = HEADER_BYTES + count * ENTRY_BYTES;
    uint8_t *at = sp_buf_reserve(to, size);
    if (at == NULL) {
        return;
    }
    memset(at, 0, HEADER_BYTES);
    sp_put_u64(at + AT_STRETCH, SP_BOUNDS_STRETCH);
    sp_put_u64(at + AT_KNOWN, bounds->known);
    sp_put_u64(at + AT_COUNT, count);
    for (size_t i = 0; i < count; i++) {
        sp_put_u64(at + HEADER_BYTES + i * ENTRY_BYTES, bounds->stretches[i].least_us);
        sp_put_u64(at + HEADER_BYTES + i * ENTRY_BYTES + 8, bounds->stretches[i].greatest_us);
    }
    (void)sp_stamp_put(at, size, magic);
    sp_buf_advance(to, size);
}

sp_status sp_bounds_decode(sp_str bytes, struct sp_bounds *bounds) {
    sp_status status = sp_stamp_check(bytes, magic);
    if (status != SP_OK) {
        return status;
    }
    if (bytes.len < HEADER_BYTES || sp_get_u64(bytes.ptr + AT_STRETCH) != SP_BOUNDS_STRETCH) {
        return SP_CORRUPT;
    }
    uint64_t known = sp_get_u64(bytes.ptr + AT_KNOWN);
    uint64_t count = sp_get_u64(bytes.ptr + AT_COUNT);
    if (count != (bytes.len - HEADER_BYTES) / ENTRY_BYTES ||
        bytes.len != HEADER_BYTES + count * ENTRY_BYTES || count * SP_BOUNDS_STRETCH < count ||
        (count > 0 && first_of((size_t)count - 1) > known)) {
        return SP_CORRUPT;
    }
    status = grow_to(bounds, (size_t)count);
    for (size_t i = 0; status == SP_OK && i < count; i++) {
        const char *at = bytes.ptr + HEADER_BYTES + i * ENTRY_BYTES;
        struct sp_bounds_of *of = &bounds->stretches[i];
        uint64_t least = sp_get_u64(at);
        uint64_t greatest = sp_get_u64(at + 8);
        of->least_us = least < of->least_us ? least : of->least_us;
        of->greatest_us = greatest > of->greatest_us ? greatest : of->greatest_us;
    }
    if (status == SP_OK) {
        sp_bounds_cover(bounds, 1, known);
    }
    return status;
}
