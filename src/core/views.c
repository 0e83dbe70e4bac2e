#include "core/views.h"

#include <stdlib.h>

#include "base/hash.h"
#include "core/core.h"
#include "core/views_int.h"

enum { FIRST_CAPACITY = 8 };

void sp_views_init(struct sp_views *views, struct sp_streams *streams) {
    *views = (struct sp_views){.streams = streams};
    sp_htab_init(&views->by_stream);
    sp_heap_init(&views->expiring);
    sp_htab_init(&views->by_key);
    sp_htab_init(&views->by_target);
}

void sp_views_fini(struct sp_views *views) {
    for (uint32_t i = 0; i < views->count; i++) {
        sp_rows_fini(&views->views[i]->hidden);
        sp_view_marks_clear(&views->views[i]->marks);
        free(views->views[i]);
    }
    for (uint32_t i = 0; i < views->alias_count; i++) {
        free(views->aliases[i].text);
    }
    free(views->views);
    free(views->aliases);
    sp_htab_fini(&views->by_stream);
    sp_heap_fini(&views->expiring);
    sp_htab_fini(&views->by_key);
    sp_htab_fini(&views->by_target);
    sp_views_init(views, views->streams);
}

/* ---- which stream has a view ---- */

/* Indexes are small numbers: spread over the bits that the table looks at. */
static uint64_t hash_of(uint32_t index) {
    return ((uint64_t)index + 1) * 0x9e3779b97f4a7c15u;
}

struct sp_view *sp_view_of(const struct sp_views *views, uint32_t index) {
    if (views->count == 0) {
        return NULL;
    }
    struct sp_htab_probe probe = sp_htab_find(&views->by_stream, hash_of(index));
    uint32_t i;
    while (sp_htab_next(&probe, &i)) {
        if (views->views[i]->stream == index) {
            return views->views[i];
        }
    }
    return NULL;
}

static sp_status reserve_list(struct sp_views *views) {
    if (views->count < views->capacity) {
        return SP_OK;
    }
    uint32_t capacity = views->capacity == 0 ? FIRST_CAPACITY : views->capacity * 2;
    struct sp_view **list = realloc(views->views, capacity * sizeof(*list));
    if (list == NULL) {
        return SP_NO_MEMORY;
    }
    views->views = list;
    views->capacity = capacity;
    return SP_OK;
}

sp_status sp_views_reserve(struct sp_views *views, uint32_t index) {
    if (sp_view_of(views, index) != NULL) {
        return SP_OK;
    }
    sp_status status = reserve_list(views);
    struct sp_view *view = status == SP_OK ? malloc(sizeof(*view)) : NULL;
    status =
        view == NULL ? SP_NO_MEMORY : sp_htab_add(&views->by_stream, hash_of(index), views->count);
    if (status != SP_OK) {
        free(view);
        return status;
    }
    *view = (struct sp_view){
        .stream = index, .exists = sp_stream_at(views->streams, index)->version > 0, .first = 1};
    sp_rows_init(&view->hidden, 1, 1);
    views->views[views->count++] = view;
    return SP_OK;
}

bool sp_view_is_plain(const struct sp_views *views, const struct sp_view *view) {
    return view->base == 0 && view->first == 1 && view->hidden.count == 0 && !view->own_ids &&
           view->added_offset == 0 && view->expiry.at == 0 &&
           sp_entry_id_is_none(view->max_deleted) &&
           view->exists == (sp_view_stream(views, view)->version > 0);
}

bool sp_view_counts(const struct sp_views *views, uint32_t index) {
    sp_str name = sp_stream_name(sp_stream_at(views->streams, index));
    return name.ptr[0] != '$';
}

void sp_view_set_exists(struct sp_views *views, struct sp_view *view, bool exists) {
    if (view->exists != exists && sp_view_counts(views, view->stream)) {
        views->key_count += exists ? 1 : UINT64_MAX;
    }
    view->exists = exists;
}

/* ---- what anybody may know ---- */

static void facts_of_view(const struct sp_view *view, struct sp_view_facts *facts) {
    facts->exists = view->exists;
    facts->own_ids = view->own_ids;
    facts->own_first = view->own_first;
    facts->base = view->base;
    facts->first = view->first;
    facts->length = facts->last + 1 - view->first - view->hidden.count;
    facts->entries_added = facts->last - view->base + view->added_offset;
    facts->last_id = view->own_ids ? view->last_id : SP_ENTRY_ID_NONE;
    facts->last_id_known = view->own_ids || facts->last == view->base;
    facts->max_deleted = view->max_deleted;
    facts->expire_ms = view->expiry.at;
}

struct sp_view_facts sp_view_at(const struct sp_views *views, uint32_t index) {
    const struct sp_stream *stream = sp_stream_at(views->streams, index);
    const struct sp_view *view = sp_view_of(views, index);
    struct sp_view_facts facts = {
        .exists = stream->version > 0,
        .first = 1,
        .last = stream->version,
        .last_position = stream->last_position,
        .length = stream->version,
        .entries_added = stream->version,
        .last_id_known = stream->version == 0,
    };
    if (view != NULL) {
        facts_of_view(view, &facts);
    }
    const uint64_t change[3] = {index, facts.last, view != NULL ? view->stamp : 0};
    facts.changes = sp_hash(change, sizeof(change));
    return facts;
}

struct sp_view_facts sp_view_get(const struct sp_views *views, sp_str stream) {
    uint32_t index = sp_streams_find(views->streams, sp_stream_hash(stream), stream);
    return index == UINT32_MAX ? (struct sp_view_facts){.first = 1, .last_id_known = true}
                               : sp_view_at(views, index);
}

bool sp_view_shows(const struct sp_views *views, uint32_t index, uint64_t version) {
    const struct sp_view *view = sp_view_of(views, index);
    if (version == 0 || version > sp_stream_at(views->streams, index)->version) {
        return false;
    }
    return view == NULL ||
           (version >= view->first && sp_rows_find(&view->hidden, &version) == NULL);
}

uint64_t sp_view_next_shown(const struct sp_views *views, uint32_t index, uint64_t version) {
    const struct sp_view *view = sp_view_of(views, index);
    uint64_t end = sp_stream_at(views->streams, index)->version + 1;
    uint64_t first = view != NULL ? view->first : 1;
    version = version < first ? first : version;
    if (view != NULL && version < end) {
        struct sp_rows_at at = sp_rows_seek(&view->hidden, &version);
        for (const uint64_t *row = sp_rows_get(&view->hidden, at); row != NULL && *row == version;
             row = sp_rows_get(&view->hidden, at)) {
            version++;
            at = sp_rows_next(&view->hidden, at);
        }
    }
    return version < end ? version : end;
}

uint64_t sp_view_count_above(const struct sp_views *views, uint32_t index, uint64_t version) {
    const struct sp_view *view = sp_view_of(views, index);
    uint64_t last = sp_stream_at(views->streams, index)->version;
    if (version >= last) {
        return 0;
    }
    if (view == NULL) {
        return last - version;
    }
    if (version < view->first) {
        return last + 1 - view->first - view->hidden.count;
    }
    uint64_t next = version + 1;
    return last - version - (view->hidden.count - sp_rows_rank(&view->hidden, &next));
}

uint64_t sp_view_key_count(const struct sp_views *views) {
    return views->key_count;
}

uint64_t sp_view_next_expiry(const struct sp_views *views) {
    const struct sp_heap_item *item = sp_heap_top(&views->expiring);
    return item != NULL ? item->at : 0;
}

sp_str sp_view_expired(const struct sp_views *views, uint64_t now_ms) {
    struct sp_heap_item *item = sp_heap_top(&views->expiring);
    if (item == NULL || item->at > now_ms) {
        return SP_STR("");
    }
    return sp_stream_name(sp_view_stream(views, (struct sp_view *)item));
}

/* ---- events ---- */

sp_status sp_views_make_room(struct sp_views *views, uint32_t index, uint32_t events) {
    struct sp_view *view = sp_view_of(views, index);
    return view == NULL ? SP_OK
                        : sp_view_marks_reserve(&view->marks, events / SP_VIEW_MARK_EVERY + 2);
}

static void note_own_id(struct sp_views *views, struct sp_view *view, uint64_t version,
                        uint64_t position, struct sp_entry_id id) {
    if (!view->own_ids) {
        view->own_ids = true;
        view->own_first = version;
        views->own_count++;
    }
    view->last_id = id;
    sp_view_marks_note(&view->marks, version,
                       (struct sp_view_mark){.id = id, .position = position});
}

void sp_views_note(struct sp_views *views, uint32_t index, uint64_t version, uint64_t position,
                   struct sp_entry_id of_log, struct sp_entry_id own) {
    struct sp_view *view = sp_view_of(views, index);
    if (view == NULL) {
        views->key_count += version == 1 && sp_view_counts(views, index) ? 1 : 0;
        return;
    }
    sp_view_set_exists(views, view, true);
    bool has_own = !sp_entry_id_is_none(own);
    if (view->own_ids || has_own) {
        note_own_id(views, view, version, position, has_own ? own : of_log);
    }
}

/* The id after this one; false where it is the last. */
static bool id_after(struct sp_entry_id id, struct sp_entry_id *ret_next) {
    bool wraps = id.seq == UINT64_MAX;
    if (wraps && id.ms == UINT64_MAX) {
        return false;
    }
    *ret_next = (struct sp_entry_id){.ms = id.ms + (wraps ? 1 : 0), .seq = wraps ? 0 : id.seq + 1};
    return true;
}

/* The id that a wish comes to, behind `last`. */
static sp_status grant(const struct sp_core_candidate *candidate, struct sp_entry_id last,
                       struct sp_entry_id of_log, struct sp_entry_id *ret_id) {
    struct sp_entry_id id = candidate->wished_id;
    switch (candidate->id_wish) {
    case SP_ID_WISH_NONE:
        *ret_id = of_log;
        if (sp_entry_id_compare(of_log, last) > 0) {
            return SP_OK;
        }
        return id_after(last, ret_id) ? SP_OK : SP_END;
    case SP_ID_WISH_MS:
        id.seq = id.ms == 0 ? 1 : 0;
        if (id.ms == last.ms && last.seq != UINT64_MAX) {
            id.seq = last.seq + 1;
        }
        break;
    case SP_ID_WISH_GIVEN:
        break;
    }
    *ret_id = id;
    if (sp_entry_id_is_none(id)) {
        return SP_INVALID;
    }
    if (sp_entry_id_compare(last, SP_ENTRY_ID_MAX) == 0) {
        return SP_END;
    }
    return sp_entry_id_compare(id, last) > 0 ? SP_OK : SP_CONFLICT;
}

sp_status sp_views_plan(struct sp_views *views, uint32_t index, struct sp_core_candidate *candidate,
                        struct sp_entry_id of_log) {
    struct sp_view *view = sp_view_of(views, index);
    candidate->own_id = SP_ENTRY_ID_NONE;
    if (view == NULL) {
        return SP_OK; /* its ids are the log's */
    }
    struct sp_view_facts facts = sp_view_at(views, index);
    bool planned = view->planned_step == views->step;
    if (!facts.own_ids && !planned && candidate->id_wish == SP_ID_WISH_NONE) {
        view->planned = of_log; /* for those of the same append that wish for more */
        view->planned_step = views->step;
        return SP_OK;
    }
    struct sp_entry_id last = planned               ? view->planned
                              : facts.last_id_known ? facts.last_id
                                                    : candidate->last_id;
    struct sp_entry_id id;
    sp_status status = grant(candidate, last, of_log, &id);
    if (status == SP_OK) {
        view->planned = id;
        view->planned_step = views->step;
        candidate->own_id = sp_entry_id_compare(id, of_log) != 0 ? id : SP_ENTRY_ID_NONE;
    }
    return status;
}
