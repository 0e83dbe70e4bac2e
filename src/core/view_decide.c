/*
 * Decisions on views: what a command comes to, as an op.
 */
#include <stdlib.h>

#include "core/bytes.h"
#include "core/sort.h"
#include "core/views_int.h"

static void put_op(struct sp_buf *to, enum sp_op op, sp_str stream, const uint64_t *numbers,
                   size_t count) {
    sp_buf_add_byte(to, (uint8_t)op);
    sp_add_text(to, stream);
    for (size_t i = 0; i < count; i++) {
        sp_add_number(to, numbers[i]);
    }
}

static uint32_t index_of(const struct sp_views *views, sp_str stream) {
    return sp_streams_find(views->streams, sp_stream_hash(stream), stream);
}

/* ---- trimming ---- */

/* Hides what is below the version; returns how many visible ones that are. */
static uint64_t trim_to(const struct sp_views *views, uint32_t index, uint64_t version,
                        struct sp_buf *to) {
    struct sp_view_facts facts = sp_view_at(views, index);
    if (version <= facts.first) {
        return 0;
    }
    put_op(to, SP_OP_VIEW_TRIM, sp_stream_name(sp_stream_at(views->streams, index)), &version, 1);
    return facts.length - sp_view_count_above(views, index, version - 1);
}

/* The version up to which `count` entries that are visible now lie below it. */
static uint64_t version_behind(const struct sp_views *views, uint32_t index,
                               const struct sp_view_facts *facts, uint64_t count) {
    const struct sp_view *view = sp_view_of(views, index);
    return view == NULL ? facts->first + count
                        : sp_rows_skip_absent(&view->hidden, facts->first, count);
}

/*
 * The start of a node, at or below `version`, to which a "~" trim may go: whole nodes, counted from
 * where the generation begins; the last one counts as whole where all of it goes. Not more than
 * `limit` entries are below it.
 */
static uint64_t round_to_node(const struct sp_views *views, uint32_t index,
                              const struct sp_view_facts *facts, uint64_t version,
                              const struct sp_view_trim *trim) {
    if (trim->limit != 0 && trim->limit < facts->length) {
        /* One node more than the limit allows would end beyond this version. */
        uint64_t end = version_behind(views, index, facts, trim->limit + 1) - 1;
        version = end < version ? end : version;
    }
    version = sp_view_next_shown(views, index, version); /* what is hidden goes with its node */
    if (version == facts->last + 1) {
        return version;
    }
    uint64_t rounded = version - (version - facts->base - 1) % trim->node;
    return rounded < facts->first ? facts->first : rounded;
}

uint64_t sp_view_trim_below(const struct sp_views *views, sp_str stream, uint64_t version,
                            const struct sp_view_trim *trim, struct sp_buf *to) {
    uint32_t index = index_of(views, stream);
    if (index == UINT32_MAX) {
        return 0;
    }
    struct sp_view_facts facts = sp_view_at(views, index);
    version = version > facts.last + 1 ? facts.last + 1 : version;
    if (version > facts.first && trim->node != 0) {
        version = round_to_node(views, index, &facts, version, trim);
    }
    return trim_to(views, index, version, to);
}

uint64_t sp_view_trim_to_length(const struct sp_views *views, sp_str stream, uint64_t keep,
                                const struct sp_view_trim *trim, struct sp_buf *to) {
    uint32_t index = index_of(views, stream);
    struct sp_view_facts facts = sp_view_get(views, stream);
    if (facts.length <= keep) {
        return 0;
    }
    uint64_t version =
        keep == 0 ? facts.last + 1 : version_behind(views, index, &facts, facts.length - keep);
    if (trim->node != 0) {
        version = round_to_node(views, index, &facts, version, trim);
    }
    return trim_to(views, index, version, to);
}

/* ---- XDEL ---- */

/* Sorts what is visible to the front, each once; returns how many. */
static size_t pick_visible(const struct sp_views *views, uint32_t index, const uint64_t *versions,
                           size_t count, uint64_t *picked) {
    size_t visible = 0;
    for (size_t i = 0; i < count; i++) {
        if (sp_view_shows(views, index, versions[i])) {
            picked[visible++] = versions[i];
        }
    }
    return sp_sort_unique(picked, visible);
}

uint64_t sp_view_hide(const struct sp_views *views, sp_str stream, const uint64_t *versions,
                      size_t count, struct sp_entry_id greatest, struct sp_buf *to) {
    uint32_t index = index_of(views, stream);
    if (index == UINT32_MAX || count == 0) {
        return 0;
    }
    uint64_t *picked = malloc(count * sizeof(*picked));
    if (picked == NULL) {
        to->status = SP_NO_MEMORY;
        return 0;
    }
    size_t visible = pick_visible(views, index, versions, count, picked);
    if (visible > 0) {
        const uint64_t numbers[3] = {greatest.ms, greatest.seq, visible};
        put_op(to, SP_OP_VIEW_HIDE, stream, numbers, 3);
    }
    for (size_t i = 0; i < visible; i++) {
        sp_add_number(to, picked[i] - (i == 0 ? 0 : picked[i - 1]));
    }
    free(picked);
    return visible;
}

/* ---- the rest ---- */

bool sp_view_delete(const struct sp_views *views, sp_str stream, struct sp_buf *to) {
    if (!sp_view_get(views, stream).exists) {
        return false;
    }
    put_op(to, SP_OP_VIEW_DELETE, stream, NULL, 0);
    return true;
}

bool sp_view_make(const struct sp_views *views, sp_str stream, struct sp_buf *to) {
    if (sp_view_get(views, stream).exists) {
        return false;
    }
    put_op(to, SP_OP_VIEW_MAKE, stream, NULL, 0);
    return true;
}

void sp_view_set(const struct sp_views *views, sp_str stream, struct sp_entry_id last,
                 const uint64_t *entries_added, const struct sp_entry_id *max_deleted,
                 struct sp_buf *to) {
    struct sp_view_facts facts = sp_view_get(views, stream);
    sp_require(facts.exists);
    struct sp_entry_id deleted = max_deleted != NULL ? *max_deleted : facts.max_deleted;
    const uint64_t numbers[5] = {last.ms, last.seq,
                                 entries_added != NULL ? *entries_added : facts.entries_added,
                                 deleted.ms, deleted.seq};
    put_op(to, SP_OP_VIEW_SET, stream, numbers, 5);
}

bool sp_view_expire(const struct sp_views *views, sp_str stream, uint64_t at_ms,
                    struct sp_buf *to) {
    struct sp_view_facts facts = sp_view_get(views, stream);
    if (!facts.exists || facts.expire_ms == at_ms) {
        return false;
    }
    put_op(to, SP_OP_VIEW_EXPIRE, stream, &at_ms, 1);
    return true;
}
