/*
 * What the files of views share. pure
 */
#ifndef SP_CORE_VIEWS_INT_H
#define SP_CORE_VIEWS_INT_H

#include "core/rows.h"
#include "core/views.h"

/* An own id and where it is. */
struct sp_view_mark {
    struct sp_entry_id id;
    uint64_t position;
};

struct sp_view_marks {
    struct sp_view_mark *marks; /* those in use: [begin, begin + count) */
    uint32_t begin;
    uint32_t count;
    uint32_t capacity;
    uint64_t version; /* of the first one in use; the next ones follow every SP_VIEW_MARK_EVERY */
};

struct sp_view {
    struct sp_heap_item expiry; /* stands first: the heap knows it */
    uint32_t stream;
    bool exists;
    bool own_ids;
    uint64_t base;
    uint64_t first;
    uint64_t added_offset; /* entries added = version - base + this, modulo 2^64 */
    uint64_t own_first;    /* with own ids: the first version under their rule */
    uint64_t stamp;        /* not stored */
    uint64_t planned_step; /* of the step that `planned` is of; not stored */
    struct sp_entry_id planned;
    struct sp_entry_id last_id; /* with own ids */
    struct sp_entry_id max_deleted;
    struct sp_rows hidden;
    struct sp_view_marks marks;
};

struct sp_view_alias {
    char *text; /* the key, then the stream */
    size_t key_bytes;
    size_t stream_bytes;
};

/* The view of a stream, or NULL. */
struct sp_view *sp_view_of(const struct sp_views *views, uint32_t index);

/* True where the view says what there would be without it. */
bool sp_view_is_plain(const struct sp_views *views, const struct sp_view *view);

static inline const struct sp_stream *sp_view_stream(const struct sp_views *views,
                                                     const struct sp_view *view) {
    return sp_stream_at(views->streams, view->stream);
}

/* The store's own streams are no keys to count. */
bool sp_view_counts(const struct sp_views *views, uint32_t index);

void sp_view_set_exists(struct sp_views *views, struct sp_view *view, bool exists);

/* Lets hidden versions that stand directly at `first` fold into it. */
void sp_view_absorb(struct sp_view *view);

/* ---- marks ---- */

SP_WARN_UNUSED sp_status sp_view_marks_reserve(struct sp_view_marks *marks, uint32_t more);
/* Marks the entry where it is its turn; there is room. */
void sp_view_marks_note(struct sp_view_marks *marks, uint64_t version, struct sp_view_mark mark);
/* Forgets those that lead to nothing at or above the version. */
void sp_view_marks_trim(struct sp_view_marks *marks, uint64_t version);
void sp_view_marks_clear(struct sp_view_marks *marks);

static inline const struct sp_view_mark *sp_view_mark_at(const struct sp_view_marks *marks,
                                                         uint32_t i) {
    return &marks->marks[marks->begin + i];
}

/* ---- aliases ---- */

static inline sp_str sp_view_alias_key(const struct sp_view_alias *alias) {
    return sp_str_of(alias->text, alias->key_bytes);
}

static inline sp_str sp_view_alias_stream(const struct sp_view_alias *alias) {
    return sp_str_of(alias->text + alias->key_bytes, alias->stream_bytes);
}

/* Where key and stream are the same the alias goes. SP_CORRUPT, SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_views_set_alias(struct sp_views *views, sp_str key, sp_str stream);

#endif
