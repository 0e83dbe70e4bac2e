/*
 * Ops on views, folded in. They come from the disk: nothing in them is believed.
 */
#include "core/views_int.h"

enum { STREAM_BYTES_MAX = UINT16_MAX };

void sp_view_absorb(struct sp_view *view) {
    for (const uint64_t *row = sp_rows_get(&view->hidden, sp_rows_first());
         row != NULL && *row == view->first; row = sp_rows_get(&view->hidden, sp_rows_first())) {
        (void)sp_rows_remove(&view->hidden, sp_rows_first());
        view->first++;
    }
    sp_view_marks_trim(&view->marks, view->first);
}

static sp_status fold_trim(struct sp_views *views, struct sp_view *view, struct sp_wire *wire) {
    uint64_t first = sp_wire_varint(wire);
    if (wire->bad || first <= view->first || first > sp_view_stream(views, view)->version + 1) {
        return SP_CORRUPT;
    }
    (void)sp_rows_remove_below(&view->hidden, &first);
    view->first = first;
    sp_view_absorb(view);
    return SP_OK;
}

static sp_status fold_hide(struct sp_views *views, struct sp_view *view, struct sp_wire *wire) {
    struct sp_entry_id greatest = {.ms = sp_wire_varint(wire)};
    greatest.seq = sp_wire_varint(wire);
    uint64_t count = sp_wire_varint(wire);
    uint64_t last = sp_view_stream(views, view)->version;
    uint64_t version = 0;
    if (wire->bad || count == 0 || count > sp_wire_left(wire)) {
        return SP_CORRUPT;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t step = sp_wire_varint(wire);
        if (wire->bad || step == 0 || step > last - version || version + step < view->first) {
            return SP_CORRUPT;
        }
        version += step;
        sp_status status = sp_rows_add(&view->hidden, &version);
        if (status != SP_OK) {
            return status == SP_CONFLICT ? SP_CORRUPT : status;
        }
    }
    if (sp_entry_id_compare(greatest, view->max_deleted) > 0) {
        view->max_deleted = greatest;
    }
    sp_view_absorb(view);
    return SP_OK;
}

static sp_status fold_delete(struct sp_views *views, struct sp_view *view) {
    if (!view->exists) {
        return SP_CORRUPT;
    }
    views->own_count -= view->own_ids ? 1 : 0;
    view->base = sp_view_stream(views, view)->version;
    view->first = view->base + 1;
    view->added_offset = 0;
    view->own_ids = false;
    view->own_first = 0;
    view->last_id = SP_ENTRY_ID_NONE;
    view->max_deleted = SP_ENTRY_ID_NONE;
    sp_rows_clear(&view->hidden);
    sp_view_marks_clear(&view->marks);
    sp_view_set_exists(views, view, false);
    return sp_heap_set(&views->expiring, &view->expiry, 0);
}

static sp_status fold_make(struct sp_views *views, struct sp_view *view) {
    if (view->exists) {
        return SP_CORRUPT;
    }
    sp_view_set_exists(views, view, true);
    return SP_OK;
}

static sp_status fold_set(struct sp_views *views, struct sp_view *view, struct sp_wire *wire) {
    uint64_t numbers[5];
    for (int i = 0; i < 5; i++) {
        numbers[i] = sp_wire_varint(wire);
    }
    if (wire->bad || !view->exists) {
        return SP_CORRUPT;
    }
    uint64_t version = sp_view_stream(views, view)->version;
    if (!view->own_ids) {
        view->own_ids = true;
        view->own_first = version + 1;
        views->own_count++;
    }
    struct sp_entry_id last = {.ms = numbers[0], .seq = numbers[1]};
    if (sp_entry_id_compare(last, view->last_id) < 0) {
        sp_view_marks_clear(&view->marks); /* ids begin again lower: marks would not rise */
    }
    view->last_id = last;
    view->added_offset = numbers[2] - (version - view->base);
    view->max_deleted = (struct sp_entry_id){.ms = numbers[3], .seq = numbers[4]};
    return SP_OK;
}

static sp_status fold_expire(struct sp_views *views, struct sp_view *view, struct sp_wire *wire) {
    uint64_t at_ms = sp_wire_varint(wire);
    if (wire->bad || !view->exists) {
        return SP_CORRUPT;
    }
    return sp_heap_set(&views->expiring, &view->expiry, at_ms);
}

static sp_status fold_into(struct sp_views *views, struct sp_view *view, enum sp_op op,
                           struct sp_wire *wire) {
    switch ((int)op) {
    case SP_OP_VIEW_TRIM:
        return fold_trim(views, view, wire);
    case SP_OP_VIEW_HIDE:
        return fold_hide(views, view, wire);
    case SP_OP_VIEW_DELETE:
        return fold_delete(views, view);
    case SP_OP_VIEW_MAKE:
        return fold_make(views, view);
    case SP_OP_VIEW_SET:
        return fold_set(views, view, wire);
    case SP_OP_VIEW_EXPIRE:
        return fold_expire(views, view, wire);
    default:
        return SP_CORRUPT;
    }
}

/* The key of an alias may come to another stream: watchers of either see a change. */
static void touch(struct sp_views *views, sp_str stream) {
    uint32_t index = sp_streams_find(views->streams, sp_stream_hash(stream), stream);
    struct sp_view *view = index == UINT32_MAX ? NULL : sp_view_of(views, index);
    if (view != NULL) {
        view->stamp = views->stamp;
    }
}

static sp_status fold_alias(struct sp_views *views, sp_str key, struct sp_wire *wire) {
    sp_str stream = sp_wire_lstr(wire);
    if (wire->bad || stream.len == 0 || stream.len > STREAM_BYTES_MAX) {
        return SP_CORRUPT;
    }
    sp_status status = sp_views_set_alias(views, key, stream);
    touch(views, stream);
    return status;
}

sp_status sp_views_fold(struct sp_views *views, enum sp_op op, struct sp_wire *wire) {
    sp_str name = sp_wire_lstr(wire);
    if (wire->bad || name.len == 0 || name.len > STREAM_BYTES_MAX) {
        return SP_CORRUPT;
    }
    views->stamp++;
    if (op == SP_OP_VIEW_ALIAS) {
        return fold_alias(views, name, wire);
    }
    uint32_t index;
    sp_status status = sp_streams_add(views->streams, sp_stream_hash(name), name, &index);
    status = status == SP_OK ? sp_views_reserve(views, index) : status;
    if (status != SP_OK) {
        return status;
    }
    struct sp_view *view = sp_view_of(views, index);
    view->stamp = views->stamp;
    return fold_into(views, view, op, wire);
}
