/*
 * Marks: in a stream with own ids, one entry in so many is known by id and position.
 */
#include <stdlib.h>

#include "core/views_int.h"

enum { FIRST_CAPACITY = 4 };

void sp_view_marks_clear(struct sp_view_marks *marks) {
    free(marks->marks);
    *marks = (struct sp_view_marks){.marks = NULL};
}

sp_status sp_view_marks_reserve(struct sp_view_marks *marks, uint32_t more) {
    if (marks->capacity - marks->begin - marks->count >= more) {
        return SP_OK;
    }
    if (marks->begin > marks->capacity / 2 && marks->capacity - marks->count >= more) {
        memmove(marks->marks, marks->marks + marks->begin, marks->count * sizeof(*marks->marks));
        marks->begin = 0;
        return SP_OK;
    }
    size_t capacity = marks->capacity == 0 ? FIRST_CAPACITY : (size_t)marks->capacity * 2;
    while (capacity - marks->begin - marks->count < more) {
        capacity *= 2;
    }
    struct sp_view_mark *grown =
        capacity > UINT32_MAX ? NULL : realloc(marks->marks, capacity * sizeof(*grown));
    if (grown == NULL) {
        return SP_NO_MEMORY;
    }
    marks->marks = grown;
    marks->capacity = (uint32_t)capacity;
    return SP_OK;
}

void sp_view_marks_note(struct sp_view_marks *marks, uint64_t version, struct sp_view_mark mark) {
    if (marks->count == 0) {
        marks->version = version;
    } else if (version - marks->version != (uint64_t)marks->count * SP_VIEW_MARK_EVERY) {
        return;
    }
    sp_require(marks->begin + marks->count < marks->capacity);
    marks->marks[marks->begin + marks->count++] = mark;
}

void sp_view_marks_trim(struct sp_view_marks *marks, uint64_t version) {
    while (marks->count > 1 && marks->version + SP_VIEW_MARK_EVERY <= version) {
        marks->begin++;
        marks->count--;
        marks->version += SP_VIEW_MARK_EVERY;
    }
}

void sp_view_locate(const struct sp_views *views, uint32_t index, struct sp_entry_id id,
                    uint64_t *ret_from, uint64_t *ret_until) {
    const struct sp_view *view = sp_view_of(views, index);
    sp_require(view != NULL && view->own_ids);
    uint32_t low = 0;
    uint32_t high = view->marks.count;
    while (low < high) { /* the first mark above the id */
        uint32_t middle = low + (high - low) / 2;
        if (sp_entry_id_compare(sp_view_mark_at(&view->marks, middle)->id, id) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_from = low > 0 ? sp_view_mark_at(&view->marks, low - 1)->position : 1;
    *ret_until = low < view->marks.count ? sp_view_mark_at(&view->marks, low)->position
                                         : sp_view_stream(views, view)->last_position;
}
