/* The table of joins, and that of windows: making, finding, forgetting. */
#include <stdlib.h>

#include "base/hash.h"
#include "flow/join_int.h"

enum { PATHS_MEMORY_MAX = 64 << 10, FIRST_WINDOWS = 16, SMALL_MAX = 4096, TIMERS_SPARE = 64 };

/* ---- joins ---- */

struct join *join_find(const struct sp_joins *joins, sp_str name) {
    for (uint32_t i = joins->count; i-- > 0;) {
        struct join *join = joins->list[i];
        if (!join->is_gone && sp_str_eq(sp_str_from(join->name), name)) {
            return join;
        }
    }
    return NULL;
}

struct join *join_at(const struct sp_joins *joins, uint64_t defined_position) {
    uint32_t low = 0;
    uint32_t high = joins->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (joins->list[middle]->defined_position < defined_position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_there = low < joins->count && joins->list[low]->defined_position == defined_position;
    return is_there ? joins->list[low] : NULL;
}

static sp_status compile_paths(struct join *join, struct sp_error *why) {
    sp_pool_init(&join->pool, PATHS_MEMORY_MAX);
    sp_paths_init(&join->paths, &join->pool);
    for (uint32_t i = 0; i < join->definition->type_count; i++) {
        sp_status status =
            sp_paths_add(&join->paths, join->definition->keys[i], false, &join->path_of[i], why);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

sp_status join_make(sp_str name, sp_str text, struct join **ret_join) {
    struct sp_error why;
    struct join *join = calloc(1, sizeof(*join));
    char *copy = join == NULL ? NULL : malloc(text.len + 1);
    if (copy == NULL) {
        free(join);
        return SP_NO_MEMORY;
    }
    memcpy(copy, text.len == 0 ? "" : text.ptr, text.len);
    memcpy(join->name, name.ptr, name.len);
    join->text = sp_str_of(copy, text.len);
    join->first = join->last = join->cursor = JOIN_NONE;
    sp_error_clear(&why);
    sp_status status = sp_join_definition_parse(join->text, &join->definition, &why);
    if (status == SP_OK && !sp_str_eq(join->definition->name, name)) {
        status = sp_error_set(&why, SP_INVALID, "it is defined by another name");
    }
    if (status == SP_OK) {
        status = compile_paths(join, &why);
    }
    if (status == SP_NO_MEMORY) {
        join_free(join);
        return status;
    }
    if (status != SP_OK) {
        sp_join_definition_free(join->definition);
        join->definition = NULL;
    }
    memcpy(join->unusable, why.text, sizeof(why.text));
    *ret_join = join;
    return SP_OK;
}

void join_free(struct join *join) {
    sp_join_definition_free(join->definition);
    sp_pool_fini(&join->pool);
    free((char *)(uintptr_t)join->text.ptr);
    free(join);
}

sp_status join_insert(struct sp_joins *joins, struct join *join) {
    sp_require(joins->count == 0 ||
               joins->list[joins->count - 1]->defined_position < join->defined_position);
    if (joins->count == joins->capacity) {
        uint32_t capacity = joins->capacity == 0 ? 8 : joins->capacity * 2;
        struct join **list = realloc(joins->list, capacity * sizeof(struct join *));
        if (list == NULL) {
            return SP_NO_MEMORY;
        }
        joins->list = list;
        joins->capacity = capacity;
    }
    joins->list[joins->count++] = join;
    return SP_OK;
}

static void unwatch(struct sp_joins *joins, struct join *join) {
    for (uint32_t i = 0; join->is_watched && i < join->definition->type_count; i++) {
        sp_watch_remove(joins->watch, join->numbers[i]);
    }
    join->is_watched = false;
}

sp_status join_retire(struct sp_joins *joins, struct join *join) {
    while (join->first != JOIN_NONE) {
        uint32_t slot = join->first;
        window_leave(joins, join);
        if (joins->windows[slot]->state != WINDOW_READY) {
            window_free(joins, slot);
        }
    }
    join->open = 0;
    join->done = 0;
    join->is_gone = true;
    unwatch(joins, join);
    join_sweep(joins);
    return join_rewatch(joins);
}

void join_sweep(struct sp_joins *joins) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < joins->count; i++) {
        struct join *join = joins->list[i];
        if (join->is_gone && join->works == 0) {
            join_free(join);
        } else {
            joins->list[kept++] = join;
        }
    }
    joins->count = kept;
}

static sp_status watch_join(struct sp_joins *joins, struct join *join) {
    const struct sp_join_definition *definition = join->definition;
    if (join->is_watched || join->is_gone || definition == NULL) {
        return SP_OK;
    }
    for (uint32_t i = 0; i < definition->type_count; i++) {
        sp_status status =
            sp_watch_add(joins->watch, definition->types[i], &join->numbers[i], NULL);
        if (status != SP_OK) {
            while (i-- > 0) {
                sp_watch_remove(joins->watch, join->numbers[i]);
            }
            return status;
        }
    }
    join->is_watched = true;
    return SP_OK;
}

/* Room for so many numbers of patterns, and so many that watch. */
static sp_status reserve_watchers(struct sp_joins *joins, uint32_t numbers, uint32_t watchers) {
    uint32_t *heads = realloc(joins->heads, (numbers + 1) * sizeof(*heads));
    if (heads == NULL) {
        return SP_NO_MEMORY;
    }
    joins->heads = heads;
    struct watcher *list = realloc(joins->watchers, (watchers + 1) * sizeof(*list));
    if (list == NULL) {
        return SP_NO_MEMORY;
    }
    joins->watchers = list;
    joins->head_count = numbers;
    joins->watcher_count = 0;
    for (uint32_t i = 0; i < numbers; i++) {
        heads[i] = JOIN_NONE;
    }
    return SP_OK;
}

sp_status join_rewatch(struct sp_joins *joins) {
    uint32_t watchers = 0;
    for (uint32_t i = 0; i < joins->count; i++) {
        sp_status status = watch_join(joins, joins->list[i]);
        if (status != SP_OK) {
            return status;
        }
        watchers += joins->list[i]->is_watched ? joins->list[i]->definition->type_count : 0;
    }
    sp_status status = reserve_watchers(joins, joins->watch->count, watchers);
    for (uint32_t i = 0; status == SP_OK && i < joins->count; i++) {
        struct join *join = joins->list[i];
        for (uint32_t t = 0; join->is_watched && t < join->definition->type_count; t++) {
            uint32_t number = join->numbers[t];
            uint32_t at = joins->watcher_count++;
            joins->watchers[at] =
                (struct watcher){.join = join, .type = t, .next = joins->heads[number]};
            joins->heads[number] = at;
        }
    }
    return status;
}

/* ---- windows ---- */

static sp_status grow(struct sp_joins *joins) {
    uint32_t old = joins->window_capacity;
    uint32_t wanted = old < SMALL_MAX ? old * 2 : old + old / 8;
    wanted = wanted < FIRST_WINDOWS ? FIRST_WINDOWS : wanted;
    struct window **windows = realloc(joins->windows, wanted * sizeof(struct window *));
    if (windows == NULL) {
        return SP_NO_MEMORY;
    }
    joins->windows = windows;
    uint32_t *free_slots = realloc(joins->free_slots, wanted * sizeof(*free_slots));
    if (free_slots == NULL) {
        return SP_NO_MEMORY;
    }
    joins->free_slots = free_slots;
    joins->window_capacity = wanted;
    return SP_OK;
}

sp_status window_new(struct sp_joins *joins, struct join *join, sp_str key, uint32_t *ret_slot) {
    uint32_t types = join->definition->type_count;
    sp_require(key.len <= SP_JOIN_KEY_BYTES_MAX && types <= SP_JOIN_TYPES_MAX);
    if (joins->free_count == 0 && joins->window_count == joins->window_capacity) {
        sp_status status = grow(joins);
        if (status != SP_OK) {
            return status;
        }
    }
    size_t size = sizeof(struct window) + types * sizeof(uint64_t);
    struct window *window = malloc(size + key.len);
    if (window == NULL) {
        return SP_NO_MEMORY;
    }
    memset(window, 0, size);
    window->join = join;
    window->next = JOIN_NONE;
    window->tag = (uint32_t)(window_hash(join, key) >> 32);
    window->types = (uint8_t)types;
    window->key_len = (uint16_t)key.len;
    memcpy(window_key_at(window), key.len == 0 ? "" : key.ptr, key.len);
    uint32_t slot =
        joins->free_count > 0 ? joins->free_slots[--joins->free_count] : joins->window_count++;
    joins->windows[slot] = window;
    *ret_slot = slot;
    return SP_OK;
}

void window_free(struct sp_joins *joins, uint32_t slot) {
    sp_require(joins->windows[slot] != NULL && !joins->windows[slot]->in_list);
    free(joins->windows[slot]);
    joins->windows[slot] = NULL;
    joins->free_slots[joins->free_count++] = slot;
}

uint64_t window_hash(const struct join *join, sp_str key) {
    return sp_hash_seeded(key.ptr, key.len, join->defined_position);
}

uint32_t window_find(const struct sp_joins *joins, const struct join *join, sp_str key) {
    uint32_t slot = 0;
    struct sp_htab_probe probe = sp_htab_find(&joins->by_key, window_hash(join, key));
    while (sp_htab_next(&probe, &slot)) {
        const struct window *window = joins->windows[slot];
        if (window->join == join && sp_str_eq(window_key(window), key)) {
            return slot;
        }
    }
    return JOIN_NONE;
}

/*
 * A timer stays until its time comes, though its window has ended before. So from time to time all
 * are made anew: one for each join.
 */
static sp_status arm_all(struct sp_joins *joins) {
    joins->timers.count = 0;
    for (uint32_t i = 0; i < joins->count; i++) {
        const struct join *join = joins->list[i];
        bool has_one = join->cursor != JOIN_NONE && join->definition->on_timeout.type.len > 0;
        struct sp_timer timer = {.a = join->defined_position};
        timer.at_us = has_one ? window_end(join, joins->windows[join->cursor]) : 0;
        sp_status status = has_one ? sp_timers_arm(&joins->timers, timer) : SP_OK;
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

sp_status join_arm(struct sp_joins *joins, const struct join *join) {
    if (join->cursor == JOIN_NONE || join->definition->on_timeout.type.len == 0) {
        return SP_OK;
    }
    if (joins->timers.count > TIMERS_SPARE + 2 * joins->count) {
        return arm_all(joins);
    }
    struct sp_timer timer = {.at_us = window_end(join, joins->windows[join->cursor]),
                             .a = join->defined_position};
    return sp_timers_arm(&joins->timers, timer);
}

sp_status window_enter(struct sp_joins *joins, struct join *join, uint32_t slot) {
    struct window *window = joins->windows[slot];
    sp_status status = sp_htab_add(&joins->by_key, (uint64_t)window->tag << 32, slot);
    if (status != SP_OK) {
        return status;
    }
    window->in_list = true;
    if (join->last == JOIN_NONE) {
        join->first = slot;
    } else {
        joins->windows[join->last]->next = slot;
    }
    join->last = slot;
    if (join->cursor == JOIN_NONE) {
        join->cursor = slot;
        status = join_arm(joins, join);
    }
    return status;
}

void window_leave(struct sp_joins *joins, struct join *join) {
    uint32_t slot = join->first;
    struct window *window = joins->windows[slot];
    sp_require(window->in_list && window->join == join);
    sp_htab_remove(&joins->by_key, (uint64_t)window->tag << 32, slot);
    window->in_list = false;
    join->first = window->next;
    join->cursor = join->cursor == slot ? window->next : join->cursor;
    join->last = window->next == JOIN_NONE ? JOIN_NONE : join->last;
    window->next = JOIN_NONE;
}
