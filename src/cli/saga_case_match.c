#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/saga_case.h"

enum { GROUP_MAX = 64, TEXT_MAX = 65536 };

/* ---- values ---------------------------------------------------------------------------------- */

/* Equal, where `{saga}` in what is expected stands for the saga's id. */
static bool same_text(sp_str expected, sp_str actual, sp_str sagaid) {
    const sp_str mark = SP_STR("{saga}");
    size_t e = 0;
    size_t a = 0;
    while (e < expected.len) {
        sp_str rest = sp_str_from_byte(expected, e);
        bool is_mark = sp_str_starts_with(rest, mark);
        sp_str part = is_mark ? sagaid : sp_str_of(rest.ptr, 1);
        if (a + part.len > actual.len || memcmp(actual.ptr + a, part.ptr, part.len) != 0) {
            return false;
        }
        a += part.len;
        e += is_mark ? mark.len : 1;
    }
    return a == actual.len;
}

static bool same_scalar(const struct sp_doc_node *expected, const struct sp_doc_node *actual,
                        sp_str sagaid) {
    if (expected->kind != actual->kind) {
        return false;
    }
    if (expected->kind == SP_DOC_NUMBER) {
        return sp_json_compare_exact(expected->text, actual->text) == 0;
    }
    return expected->kind != SP_DOC_TEXT || same_text(expected->text, actual->text, sagaid);
}

/* The child of `actual` that stands where the expected node stands in its parent. */
static const struct sp_doc_node *counterpart(const struct sp_doc_node *expected,
                                             const struct sp_doc_node *actual) {
    if (actual->kind == SP_DOC_ARRAY) {
        const struct sp_doc_node *at = actual->first;
        for (const struct sp_doc_node *e = expected->parent->first; e != expected && at != NULL;
             e = e->next) {
            at = at->next;
        }
        return at;
    }
    for (const struct sp_doc_node *at = actual->first; at != NULL; at = at->next) {
        if (sp_str_eq(at->key, expected->key)) {
            return at;
        }
    }
    return NULL;
}

static bool same_kind(const struct sp_doc_node *expected, const struct sp_doc_node *actual,
                      sp_str sagaid) {
    if (expected->kind == SP_DOC_OBJECT) {
        return actual->kind == SP_DOC_OBJECT;
    }
    if (expected->kind == SP_DOC_ARRAY) {
        return actual->kind == SP_DOC_ARRAY && actual->count == expected->count;
    }
    return same_scalar(expected, actual, sagaid);
}

/* Walks what is expected in its order, and beside it its counterpart. */
static bool covers(const struct sp_doc_node *root, const struct sp_doc_node *actual,
                   sp_str sagaid) {
    const struct sp_doc_node *beside[SP_DOC_DEPTH_MAX + 1];
    size_t depth = 0;
    const struct sp_doc_node *expected = root;
    beside[0] = actual;
    for (;;) {
        if (beside[depth] == NULL || !same_kind(expected, beside[depth], sagaid)) {
            return false;
        }
        if (expected->first != NULL && depth < SP_DOC_DEPTH_MAX) {
            expected = expected->first;
            beside[depth + 1] = counterpart(expected, beside[depth]);
            depth++;
            continue;
        }
        while (expected != root && expected->next == NULL) {
            expected = expected->parent;
            depth--;
        }
        if (expected == root) {
            return true;
        }
        expected = expected->next;
        beside[depth] = counterpart(expected, beside[depth - 1]);
    }
}

bool sp_saga_case_covers(const struct sp_doc_node *expected, sp_str json, sp_str sagaid) {
    struct sp_doc doc;
    struct sp_error error;
    sp_doc_init(&doc);
    bool same =
        sp_doc_parse_json(&doc, json, &error) == SP_OK && covers(expected, doc.root, sagaid);
    sp_doc_fini(&doc);
    return same;
}

/* ---- events ---------------------------------------------------------------------------------- */

static sp_str extension(const struct sp_event *event, const char *name) {
    for (uint16_t i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, sp_str_from(name))) {
            return event->extensions[i].value;
        }
    }
    return (sp_str){.ptr = NULL, .len = 0};
}

/* The event's member of this name: an attribute, or `step` and `attempt`, or an extension. */
static sp_str member_of(const struct sp_event *event, sp_str key) {
    static const struct {
        const char *name;
        enum sp_attr attr;
    } ATTRS[] = {{"type", SP_ATTR_TYPE},
                 {"source", SP_ATTR_SOURCE},
                 {"stream", SP_ATTR_STREAM},
                 {"id", SP_ATTR_ID},
                 {"correlationid", SP_ATTR_CORRELATION},
                 {"causationid", SP_ATTR_CAUSATION}};
    for (size_t i = 0; i < sizeof(ATTRS) / sizeof(ATTRS[0]); i++) {
        if (sp_str_eq(key, sp_str_from(ATTRS[i].name))) {
            return event->attr[ATTRS[i].attr];
        }
    }
    char name[64];
    (void)snprintf(name, sizeof(name), "%.*s", SP_STR_ARG(key));
    return extension(event, sp_str_eq(key, SP_STR("step")) ? "sagastep" : name);
}

static bool is_event(const struct sp_doc_node *pattern, const struct sp_event *event,
                     sp_str sagaid) {
    if (pattern->kind == SP_DOC_TEXT) {
        return same_text(pattern->text, event->attr[SP_ATTR_TYPE], sagaid);
    }
    for (const struct sp_doc_node *at = pattern->first; at != NULL; at = at->next) {
        bool fits = false;
        if (sp_str_eq(at->key, SP_STR("data"))) {
            fits = event->has_data && event->data_is_json &&
                   sp_saga_case_covers(at, event->data, sagaid);
        } else {
            sp_str value = member_of(event, at->key);
            fits = at->kind == SP_DOC_NULL
                       ? value.ptr == NULL
                       : value.ptr != NULL && same_text(at->text, value, sagaid);
        }
        if (!fits) {
            return false;
        }
    }
    return true;
}

static bool read_event(const struct sp_saga_seen *seen, uint64_t position,
                       struct sp_event *ret_event) {
    struct sp_error error;
    return sp_rehearsal_read(seen->rehearsal, position, ret_event, &error) == SP_OK;
}

static bool matches_at(const struct sp_saga_seen *seen, const struct sp_doc_node *pattern,
                       uint64_t position) {
    struct sp_event event;
    return read_event(seen, position, &event) && is_event(pattern, &event, seen->sagaid);
}

/* The first event from `from` on that fits; 0: there is none. */
static uint64_t find(const struct sp_saga_seen *seen, const struct sp_doc_node *pattern,
                     uint64_t from) {
    for (uint64_t at = from; at <= sp_rehearsal_count(seen->rehearsal); at++) {
        if (matches_at(seen, pattern, at)) {
            return at;
        }
    }
    return 0;
}

/* ---- what is expected ------------------------------------------------------------------------ */

static bool fail(char *text, size_t size, const char *what, const struct sp_doc_node *pattern) {
    struct sp_buf json;
    sp_buf_init(&json, TEXT_MAX);
    if (pattern != NULL) {
        sp_doc_write(pattern, &json);
    }
    (void)snprintf(text, size, "%s%.*s", what, (int)(json.len < 400 ? json.len : 400),
                   json.len > 0 ? (const char *)json.data : "");
    sp_buf_fini(&json);
    return false;
}

/* Each of them is there behind `from`, another event for each. */
static bool match_group(const struct sp_saga_seen *seen, const struct sp_doc_node *group,
                        uint64_t from, uint64_t *ret_last, char *text, size_t size) {
    uint64_t taken[GROUP_MAX];
    uint32_t count = 0;
    *ret_last = from;
    for (const struct sp_doc_node *at = group->first; at != NULL && count < GROUP_MAX;
         at = at->next) {
        uint64_t position = from;
        bool is_free;
        do {
            position = find(seen, at, position + 1);
            is_free = true;
            for (uint32_t i = 0; i < count; i++) {
                is_free = is_free && taken[i] != position;
            }
        } while (position != 0 && !is_free);
        if (position == 0) {
            return fail(text, size, "there is no event like ", at);
        }
        taken[count++] = position;
        *ret_last = position > *ret_last ? position : *ret_last;
    }
    return true;
}

static bool match_events(const struct sp_saga_seen *seen, const struct sp_doc_node *events,
                         char *text, size_t size) {
    uint64_t last = seen->from - 1;
    for (const struct sp_doc_node *at = events->first; at != NULL; at = at->next) {
        const struct sp_doc_node *group =
            at->kind == SP_DOC_OBJECT ? sp_doc_get(at, "any_order") : NULL;
        if (group != NULL) {
            if (!match_group(seen, group, last, &last, text, size)) {
                return false;
            }
            continue;
        }
        uint64_t position = find(seen, at, last + 1);
        if (position == 0) {
            return find(seen, at, seen->from) != 0
                       ? fail(text, size, "in another order than expected comes ", at)
                       : fail(text, size, "there is no event like ", at);
        }
        last = position;
    }
    return true;
}

/* The saga's stream holds these and no others. */
static bool match_exactly(const struct sp_saga_seen *seen, const struct sp_doc_node *events,
                          char *text, size_t size) {
    const struct sp_doc_node *expected = events->first;
    for (uint64_t at = seen->from; at <= sp_rehearsal_count(seen->rehearsal); at++) {
        struct sp_event event;
        if (!read_event(seen, at, &event) ||
            !sp_str_starts_with(event.attr[SP_ATTR_STREAM], SP_STR("saga:"))) {
            continue;
        }
        if (expected == NULL || !is_event(expected, &event, seen->sagaid)) {
            char what[200];
            (void)snprintf(what, sizeof(what), "event %llu is %.*s of step %.*s%s",
                           (unsigned long long)at, SP_STR_ARG(event.attr[SP_ATTR_TYPE]),
                           SP_STR_ARG(extension(&event, "sagastep")),
                           expected == NULL ? ", and no more was expected" : ", expected was ");
            return fail(text, size, what, expected);
        }
        expected = expected->next;
    }
    return expected == NULL || fail(text, size, "the log ends before ", expected);
}

static bool match_never(const struct sp_saga_seen *seen, const struct sp_doc_node *never,
                        char *text, size_t size) {
    for (const struct sp_doc_node *at = never->first; at != NULL; at = at->next) {
        if (find(seen, at, seen->from) != 0) {
            return fail(text, size, "there should be no event like ", at);
        }
    }
    return true;
}

static bool match_count(const struct sp_saga_seen *seen, const struct sp_doc_node *counts,
                        char *text, size_t size) {
    for (const struct sp_doc_node *at = counts->first; at != NULL; at = at->next) {
        uint64_t count = 0;
        for (uint64_t i = seen->from; i <= sp_rehearsal_count(seen->rehearsal); i++) {
            struct sp_event event;
            count += read_event(seen, i, &event) && sp_str_eq(event.attr[SP_ATTR_TYPE], at->key);
        }
        char number[24];
        int len = snprintf(number, sizeof(number), "%llu", (unsigned long long)count);
        if (!sp_str_eq(at->text, sp_str_of(number, (size_t)len))) {
            (void)snprintf(text, size, "%.*s came %s times instead of %.*s", SP_STR_ARG(at->key),
                           number, SP_STR_ARG(at->text));
            return false;
        }
    }
    return true;
}

bool sp_saga_case_match(const struct sp_doc_node *then, const struct sp_saga_seen *seen, char *text,
                        size_t size) {
    const struct sp_doc_node *status = sp_doc_get(then, "status");
    const struct sp_doc_node *events = sp_doc_get(then, "events");
    const struct sp_doc_node *exactly = sp_doc_get(then, "exactly");
    const struct sp_doc_node *never = sp_doc_get(then, "never");
    const struct sp_doc_node *count = sp_doc_get(then, "count");
    if (status != NULL && !sp_str_eq(status->text, seen->status)) {
        (void)snprintf(text, size, "the saga is %.*s instead of %.*s", SP_STR_ARG(seen->status),
                       SP_STR_ARG(status->text));
        return false;
    }
    return (events == NULL || match_events(seen, events, text, size)) &&
           (exactly == NULL || match_exactly(seen, exactly, text, size)) &&
           (never == NULL || match_never(seen, never, text, size)) &&
           (count == NULL || match_count(seen, count, text, size));
}
