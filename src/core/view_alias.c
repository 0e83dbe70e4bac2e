/*
 * Renamed keys: which stream a key stands for, and which key stands for a stream.
 *
 * An alias says that its key does not stand for the stream of its own name. A stream has at most
 * one alias that leads to it; where there is none, the key of its own name stands for it, unless
 * that has an alias.
 */
#include <stdlib.h>

#include "core/bytes.h"
#include "core/views_int.h"

enum { FIRST_CAPACITY = 8 };

static struct sp_view_alias *find_by_key(const struct sp_views *views, sp_str key) {
    struct sp_htab_probe probe = sp_htab_find(&views->by_key, sp_stream_hash(key));
    uint32_t i;
    while (sp_htab_next(&probe, &i)) {
        if (sp_str_eq(sp_view_alias_key(&views->aliases[i]), key)) {
            return &views->aliases[i];
        }
    }
    return NULL;
}

static struct sp_view_alias *find_by_target(const struct sp_views *views, sp_str stream) {
    struct sp_htab_probe probe = sp_htab_find(&views->by_target, sp_stream_hash(stream));
    uint32_t i;
    while (sp_htab_next(&probe, &i)) {
        if (sp_str_eq(sp_view_alias_stream(&views->aliases[i]), stream)) {
            return &views->aliases[i];
        }
    }
    return NULL;
}

sp_str sp_view_resolve(const struct sp_views *views, sp_str key) {
    if (views->alias_count == 0) {
        return key;
    }
    const struct sp_view_alias *alias = find_by_key(views, key);
    if (alias != NULL) {
        return sp_view_alias_stream(alias);
    }
    return find_by_target(views, key) != NULL ? SP_STR("") : key;
}

sp_str sp_view_key_of(const struct sp_views *views, sp_str stream) {
    if (views->alias_count == 0) {
        return stream;
    }
    const struct sp_view_alias *alias = find_by_target(views, stream);
    if (alias != NULL) {
        return sp_view_alias_key(alias);
    }
    return find_by_key(views, stream) != NULL ? SP_STR("") : stream;
}

/* ---- folding ---- */

static void unlist(struct sp_views *views, uint32_t i) {
    const struct sp_view_alias *alias = &views->aliases[i];
    sp_htab_remove(&views->by_key, sp_stream_hash(sp_view_alias_key(alias)), i);
    sp_htab_remove(&views->by_target, sp_stream_hash(sp_view_alias_stream(alias)), i);
}

static sp_status list(struct sp_views *views, uint32_t i) {
    const struct sp_view_alias *alias = &views->aliases[i];
    sp_status status = sp_htab_add(&views->by_key, sp_stream_hash(sp_view_alias_key(alias)), i);
    return status == SP_OK
               ? sp_htab_add(&views->by_target, sp_stream_hash(sp_view_alias_stream(alias)), i)
               : status;
}

static sp_status remove_alias(struct sp_views *views, uint32_t i) {
    uint32_t last = views->alias_count - 1;
    unlist(views, i);
    free(views->aliases[i].text);
    views->alias_count = last;
    if (i == last) {
        return SP_OK;
    }
    unlist(views, last);
    views->aliases[i] = views->aliases[last];
    return list(views, i);
}

static sp_status add_alias(struct sp_views *views, sp_str key, sp_str stream) {
    if (views->alias_count == views->alias_capacity) {
        uint32_t capacity = views->alias_count == 0 ? FIRST_CAPACITY : views->alias_count * 2;
        struct sp_view_alias *aliases = realloc(views->aliases, capacity * sizeof(*aliases));
        if (aliases == NULL) {
            return SP_NO_MEMORY;
        }
        views->aliases = aliases;
        views->alias_capacity = capacity;
    }
    char *text = malloc(key.len + stream.len);
    if (text == NULL) {
        return SP_NO_MEMORY;
    }
    memcpy(text, key.ptr, key.len);
    memcpy(text + key.len, stream.ptr, stream.len);
    views->aliases[views->alias_count] =
        (struct sp_view_alias){.text = text, .key_bytes = key.len, .stream_bytes = stream.len};
    return list(views, views->alias_count++);
}

sp_status sp_views_set_alias(struct sp_views *views, sp_str key, sp_str stream) {
    const struct sp_view_alias *old = find_by_key(views, key);
    bool ends = sp_str_eq(key, stream);
    if ((ends && old == NULL) || (!ends && find_by_target(views, stream) != NULL)) {
        return SP_CORRUPT;
    }
    sp_status status = SP_OK;
    if (old != NULL) {
        status = remove_alias(views, (uint32_t)(old - views->aliases));
    }
    if (status == SP_OK && ends && find_by_target(views, key) != NULL) {
        return SP_CORRUPT; /* its own stream is in use elsewhere */
    }
    return status == SP_OK && !ends ? add_alias(views, key, stream) : status;
}

/* ---- RENAME ---- */

static void put_alias(sp_str key, sp_str stream, struct sp_buf *to) {
    sp_buf_add_byte(to, SP_OP_VIEW_ALIAS);
    sp_add_text(to, key);
    sp_add_text(to, stream);
}

/* Neither a key nor a stream of anybody's. */
static bool is_unused(const struct sp_views *views, sp_str name) {
    uint32_t index = sp_streams_find(views->streams, sp_stream_hash(name), name);
    bool known = index != UINT32_MAX && (sp_stream_at(views->streams, index)->version > 0 ||
                                         sp_view_of(views, index) != NULL);
    return !known && find_by_key(views, name) == NULL && find_by_target(views, name) == NULL;
}

/* Writes `key@2`, or with the first higher number that is not in use. */
static sp_status make_fresh_name(const struct sp_views *views, sp_str key, struct sp_buf *name) {
    for (uint64_t number = 2; name->status == SP_OK; number++) {
        sp_buf_reset(name);
        sp_buf_add_str(name, key);
        sp_buf_add_byte(name, '@');
        sp_buf_add_u64(name, number);
        if (name->status == SP_OK && is_unused(views, sp_buf_str(name))) {
            break;
        }
    }
    return name->status;
}

/* Where the key that is renamed away leads from now on. */
static sp_status put_leftover(const struct sp_views *views, sp_str key, struct sp_buf *to,
                              struct sp_error *error) {
    bool had_alias = find_by_key(views, key) != NULL;
    if (had_alias && find_by_target(views, key) == NULL) {
        put_alias(key, key, to); /* its own stream is nobody's */
        return SP_OK;
    }
    struct sp_buf name;
    sp_buf_init(&name, UINT16_MAX);
    sp_status status = make_fresh_name(views, key, &name);
    if (status == SP_OK) {
        put_alias(key, sp_buf_str(&name), to);
    } else {
        status = sp_error_set(error, status, "the key is too long to be renamed");
    }
    sp_buf_fini(&name);
    return status;
}

sp_status sp_view_rename(const struct sp_views *views, sp_str from_key, sp_str to_key,
                         struct sp_buf *to, struct sp_error *error) {
    sp_str stream = sp_view_resolve(views, from_key);
    sp_str before = sp_view_resolve(views, to_key);
    if (before.len == 0) {
        return sp_error_set(error, SP_CONFLICT,
                            "the name %.*s is taken: another key stands for the stream of it",
                            SP_STR_ARG(to_key));
    }
    if (!sp_view_get(views, stream).exists) {
        return sp_error_set(error, SP_NOT_FOUND, "no such key");
    }
    if (sp_str_eq(from_key, to_key)) {
        return SP_OK;
    }
    size_t undo = to->len;
    (void)sp_view_delete(views, before, to);
    sp_status status = put_leftover(views, from_key, to, error);
    if (status == SP_OK) {
        put_alias(to_key, stream, to);
    } else {
        to->len = undo;
    }
    return status;
}
