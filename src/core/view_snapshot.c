/*
 * Views as bytes in a snapshot, and what the hash of the state says of them. docs/format.md has the
 * layout.
 */
#include "base/hash.h"
#include "core/bytes.h"
#include "core/views_int.h"

enum {
    FLAG_EXISTS = 1,
    FLAG_OWN_IDS = 2,
    FLAGS_KNOWN = 3,
    VIEW_BYTES_MIN = 13,
    ALIAS_BYTES_MIN = 4,
};

/* ---- hash: a sum, so that the order of the tables does not matter ---- */

static uint64_t hash_view(const struct sp_views *views, const struct sp_view *view) {
    sp_str name = sp_stream_name(sp_view_stream(views, view));
    const uint64_t numbers[] = {
        view->base,        view->first,          view->added_offset,    view->expiry.at,
        view->exists,      view->own_ids,        view->own_first,       view->last_id.ms,
        view->last_id.seq, view->max_deleted.ms, view->max_deleted.seq, view->hidden.count,
        view->marks.count, view->marks.version,
    };
    uint64_t hash = sp_hash_seeded(numbers, sizeof(numbers), sp_stream_hash(name));
    struct sp_rows_at at = sp_rows_first();
    for (const uint64_t *row = sp_rows_get(&view->hidden, at); row != NULL;
         row = sp_rows_get(&view->hidden, at)) {
        hash = sp_hash_seeded(row, sizeof(*row), hash);
        at = sp_rows_next(&view->hidden, at);
    }
    for (uint32_t i = 0; i < view->marks.count; i++) {
        const struct sp_view_mark *mark = sp_view_mark_at(&view->marks, i);
        hash = sp_hash_seeded(mark, sizeof(*mark), hash);
    }
    return hash;
}

uint64_t sp_views_hash(const struct sp_views *views) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < views->count; i++) {
        if (!sp_view_is_plain(views, views->views[i])) {
            sum += hash_view(views, views->views[i]);
        }
    }
    for (uint32_t i = 0; i < views->alias_count; i++) {
        sp_str key = sp_view_alias_key(&views->aliases[i]);
        sp_str stream = sp_view_alias_stream(&views->aliases[i]);
        sum += sp_hash_seeded(stream.ptr, stream.len, sp_hash(key.ptr, key.len));
    }
    return sum;
}

/* ---- encoding ---- */

static void put_marks(struct sp_buf *to, const struct sp_view_marks *marks) {
    struct sp_view_mark before = {.position = 0};
    sp_add_number(to, marks->count);
    sp_add_number(to, marks->version);
    for (uint32_t i = 0; i < marks->count; i++) {
        const struct sp_view_mark *mark = sp_view_mark_at(marks, i);
        sp_add_number(to, mark->id.ms - before.id.ms);
        sp_add_number(to, mark->id.seq);
        sp_add_number(to, mark->position - before.position);
        before = *mark;
    }
}

static void put_hidden(struct sp_buf *to, const struct sp_view *view) {
    uint64_t before = view->first;
    struct sp_rows_at at = sp_rows_first();
    sp_add_number(to, view->hidden.count);
    for (const uint64_t *row = sp_rows_get(&view->hidden, at); row != NULL;
         row = sp_rows_get(&view->hidden, at)) {
        sp_add_number(to, *row - before);
        before = *row;
        at = sp_rows_next(&view->hidden, at);
    }
}

static void encode_view(const struct sp_views *views, const struct sp_view *view,
                        struct sp_buf *to) {
    sp_add_text(to, sp_stream_name(sp_view_stream(views, view)));
    sp_add_number(to, (view->exists ? FLAG_EXISTS : 0) | (view->own_ids ? FLAG_OWN_IDS : 0));
    sp_add_number(to, view->base);
    sp_add_number(to, view->first);
    sp_add_number(to, view->added_offset);
    sp_add_number(to, view->expiry.at);
    sp_add_id(to, view->max_deleted);
    put_hidden(to, view);
    sp_add_number(to, view->own_first);
    sp_add_id(to, view->last_id);
    put_marks(to, &view->marks);
}

void sp_views_encode(const struct sp_views *views, struct sp_buf *to) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < views->count; i++) {
        count += sp_view_is_plain(views, views->views[i]) ? 0 : 1;
    }
    sp_add_number(to, count);
    for (uint32_t i = 0; i < views->count; i++) {
        if (!sp_view_is_plain(views, views->views[i])) {
            encode_view(views, views->views[i], to);
        }
    }
    sp_add_number(to, views->alias_count);
    for (uint32_t i = 0; i < views->alias_count; i++) {
        sp_add_text(to, sp_view_alias_key(&views->aliases[i]));
        sp_add_text(to, sp_view_alias_stream(&views->aliases[i]));
    }
}

/* ---- restoring ---- */

static sp_status restore_hidden(struct sp_view *view, uint64_t last, struct sp_wire *wire) {
    uint64_t count = sp_wire_varint(wire);
    uint64_t version = view->first;
    for (uint64_t i = 0; i < count && !wire->bad; i++) {
        uint64_t step = sp_wire_varint(wire);
        if (wire->bad || step == 0 || version > last || step > last - version) {
            return SP_CORRUPT;
        }
        version += step;
        sp_status status = sp_rows_add(&view->hidden, &version);
        if (status != SP_OK) {
            return status;
        }
    }
    return wire->bad ? SP_CORRUPT : SP_OK;
}

static sp_status restore_marks(struct sp_view *view, uint64_t last, struct sp_wire *wire) {
    uint64_t count = sp_wire_varint(wire);
    uint64_t version = sp_wire_varint(wire);
    struct sp_view_mark mark = {.position = 0};
    bool fits =
        count <= sp_wire_left(wire) / 3 && count <= UINT32_MAX &&
        (count == 0 || (version <= last && (count - 1) <= (last - version) / SP_VIEW_MARK_EVERY));
    if (wire->bad || !fits) {
        return SP_CORRUPT;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct sp_entry_id before = mark.id;
        mark.id.ms += sp_wire_varint(wire);
        mark.id.seq = sp_wire_varint(wire);
        mark.position += sp_wire_varint(wire);
        if (wire->bad || sp_entry_id_compare(mark.id, before) <= 0) {
            return SP_CORRUPT;
        }
        sp_status status = sp_view_marks_reserve(&view->marks, 1);
        if (status != SP_OK) {
            return status;
        }
        sp_view_marks_note(&view->marks, version + i * SP_VIEW_MARK_EVERY, mark);
    }
    return SP_OK;
}

static sp_status restore_rest(struct sp_views *views, struct sp_view *view, struct sp_wire *wire) {
    uint64_t last = sp_view_stream(views, view)->version;
    view->max_deleted = sp_take_id(wire);
    sp_status status = restore_hidden(view, last, wire);
    if (status != SP_OK) {
        return status;
    }
    view->own_first = sp_wire_varint(wire);
    view->last_id = sp_take_id(wire);
    return restore_marks(view, last, wire);
}

static sp_status restore_view(struct sp_views *views, struct sp_wire *wire) {
    sp_str name = sp_wire_lstr(wire);
    uint32_t index;
    if (wire->bad || name.len == 0 || name.len > UINT16_MAX) {
        return SP_CORRUPT;
    }
    sp_status status = sp_streams_add(views->streams, sp_stream_hash(name), name, &index);
    if (status != SP_OK || sp_view_of(views, index) != NULL) {
        return status == SP_OK ? SP_CORRUPT : status;
    }
    status = sp_views_reserve(views, index);
    if (status != SP_OK) {
        return status;
    }
    struct sp_view *view = sp_view_of(views, index);
    uint64_t flags = sp_wire_varint(wire);
    view->exists = (flags & FLAG_EXISTS) != 0;
    view->own_ids = (flags & FLAG_OWN_IDS) != 0;
    views->own_count += view->own_ids ? 1 : 0;
    view->base = sp_wire_varint(wire);
    view->first = sp_wire_varint(wire);
    view->added_offset = sp_wire_varint(wire);
    uint64_t expire_ms = sp_wire_varint(wire);
    if (wire->bad || flags > FLAGS_KNOWN || view->base >= view->first ||
        view->first > sp_view_stream(views, view)->version + 1) {
        return SP_CORRUPT;
    }
    status = sp_heap_set(&views->expiring, &view->expiry, expire_ms);
    return status == SP_OK ? restore_rest(views, view, wire) : status;
}

static void count_keys(struct sp_views *views) {
    views->key_count = 0;
    for (uint32_t i = 0; i < views->streams->count; i++) {
        views->key_count += sp_view_counts(views, i) && sp_view_at(views, i).exists ? 1 : 0;
    }
}

sp_status sp_views_restore(struct sp_views *views, struct sp_wire *wire) {
    uint64_t count = sp_wire_varint(wire);
    sp_status status = count <= sp_wire_left(wire) / VIEW_BYTES_MIN ? SP_OK : SP_CORRUPT;
    for (uint64_t i = 0; i < count && status == SP_OK; i++) {
        status = restore_view(views, wire);
    }
    uint64_t alias_count = sp_wire_varint(wire);
    if (status == SP_OK && (wire->bad || alias_count > sp_wire_left(wire) / ALIAS_BYTES_MIN)) {
        status = SP_CORRUPT;
    }
    for (uint64_t i = 0; i < alias_count && status == SP_OK; i++) {
        sp_str key = sp_wire_lstr(wire);
        sp_str stream = sp_wire_lstr(wire);
        bool fits = !wire->bad && key.len > 0 && stream.len > 0 && stream.len <= UINT16_MAX &&
                    !sp_str_eq(key, stream);
        status = fits ? sp_views_set_alias(views, key, stream) : SP_CORRUPT;
    }
    if (status == SP_OK) {
        count_keys(views);
    }
    return status;
}
