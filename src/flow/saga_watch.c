#include "flow/saga_int.h"

#include <stdlib.h>

#include "base/hash.h"

/* ---- patterns ---- */

static bool room_for_number(struct sp_sagas *sagas, uint32_t number) {
    while (number >= sagas->watcher_capacity) {
        uint32_t before = sagas->watcher_capacity;
        if (!sp_sagas_room(sagas, &sagas->watchers, &sagas->watcher_capacity, before,
                           sizeof(struct sp_saga_watcher *))) {
            return false;
        }
        for (uint32_t i = before; i < sagas->watcher_capacity; i++) {
            sagas->watchers[i] = NULL;
        }
    }
    return true;
}

void sp_saga_watcher_use(struct sp_sagas *sagas, struct sp_saga_watcher *watcher, sp_str pattern) {
    if (watcher->users++ > 0) {
        return;
    }
    uint32_t number = 0;
    if (sp_watch_add(sagas->watch, pattern, &number, NULL) != SP_OK ||
        !room_for_number(sagas, number)) {
        sagas->failed = SP_NO_MEMORY;
        return;
    }
    watcher->number = number;
    watcher->previous = NULL;
    watcher->next = sagas->watchers[number];
    if (watcher->next != NULL) {
        watcher->next->previous = watcher;
    }
    sagas->watchers[number] = watcher;
}

void sp_saga_watcher_leave(struct sp_sagas *sagas, struct sp_saga_watcher *watcher) {
    sp_require(watcher->users > 0);
    if (--watcher->users > 0) {
        return;
    }
    if (watcher->previous != NULL) {
        watcher->previous->next = watcher->next;
    } else {
        sagas->watchers[watcher->number] = watcher->next;
    }
    if (watcher->next != NULL) {
        watcher->next->previous = watcher->previous;
    }
    sp_watch_remove(sagas->watch, watcher->number);
}

/* ---- waits ---- */

static uint64_t hash_key(const struct sp_saga_watcher *watcher, sp_str key) {
    return sp_hash_seeded(key.ptr, key.len, (uint64_t)(uintptr_t)watcher);
}

static sp_str key_of(const struct sp_saga_wait_entry *entry) {
    return sp_str_of(entry->key, entry->key_len);
}

static uint32_t find_chain(const struct sp_sagas *sagas, const struct sp_saga_watcher *watcher,
                           sp_str key) {
    struct sp_htab_probe probe = sp_htab_find(&sagas->by_key, hash_key(watcher, key));
    uint32_t at = 0;
    while (sp_htab_next(&probe, &at)) {
        if (sagas->waits[at].watcher == watcher && sp_str_eq(key_of(&sagas->waits[at]), key)) {
            return at;
        }
    }
    return SP_NONE;
}

static uint32_t take_entry(struct sp_sagas *sagas, sp_str key) {
    char *copy = malloc(key.len + 1);
    bool is_new = sagas->wait_free == SP_NONE;
    if (copy == NULL || (is_new && !sp_sagas_room(sagas, &sagas->waits, &sagas->wait_capacity,
                                                  sagas->wait_count, sizeof(*sagas->waits)))) {
        free(copy);
        sagas->failed = SP_NO_MEMORY;
        return SP_NONE;
    }
    uint32_t at = is_new ? sagas->wait_count++ : sagas->wait_free;
    if (!is_new) {
        sagas->wait_free = sagas->waits[at].next;
    }
    if (key.len > 0) {
        memcpy(copy, key.ptr, key.len);
    }
    sagas->waits[at].key = copy;
    sagas->waits[at].key_len = (uint32_t)key.len;
    return at;
}

void sp_saga_wait_add(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t act, sp_str key) {
    uint16_t node = saga->acts[act].node;
    struct sp_saga_watcher *watcher = &saga->version->waits[node];
    uint32_t at = take_entry(sagas, key);
    if (at == SP_NONE) {
        return;
    }
    uint32_t head = find_chain(sagas, watcher, key);
    struct sp_saga_wait_entry *entry = &sagas->waits[at];
    entry->watcher = watcher;
    entry->slot = saga->slot;
    entry->act = act;
    entry->previous = head == SP_NONE ? SP_NONE : head; /* behind the head, which stays it */
    entry->next = head == SP_NONE ? SP_NONE : sagas->waits[head].next;
    if (head == SP_NONE) {
        if (sp_htab_add(&sagas->by_key, hash_key(watcher, key), at) != SP_OK) {
            sagas->failed = SP_NO_MEMORY;
        }
    } else {
        if (entry->next != SP_NONE) {
            sagas->waits[entry->next].previous = at;
        }
        sagas->waits[head].next = at;
    }
    saga->acts[act].wait = at;
    sp_saga_watcher_use(sagas, watcher, sp_act_node(saga, &saga->acts[act])->wait->pattern);
}

void sp_saga_wait_remove(struct sp_sagas *sagas, struct sp_act *act) {
    uint32_t at = act->wait;
    struct sp_saga_wait_entry *entry = &sagas->waits[at];
    struct sp_saga_watcher *watcher = entry->watcher;
    if (entry->previous != SP_NONE) {
        sagas->waits[entry->previous].next = entry->next;
    } else {
        uint64_t hash = hash_key(watcher, key_of(entry));
        sp_htab_remove(&sagas->by_key, hash, at);
        if (entry->next != SP_NONE && sp_htab_add(&sagas->by_key, hash, entry->next) != SP_OK) {
            sagas->failed = SP_NO_MEMORY;
        }
    }
    if (entry->next != SP_NONE) {
        sagas->waits[entry->next].previous = entry->previous;
    }
    free(entry->key);
    *entry = (struct sp_saga_wait_entry){.next = sagas->wait_free};
    sagas->wait_free = at;
    act->wait = SP_NONE;
    sp_saga_watcher_leave(sagas, watcher);
}

/* ---- an event of a pattern ---- */

/*
 * Events that sagas emit are as good as others. Their commands are the workers', and their records
 * count only where the pattern asks for `saga.` by name.
 */
static bool may_trigger(const struct sp_event *event, sp_str pattern) {
    if (sp_str_starts_with(event->attr[SP_ATTR_TYPE], SP_STR("saga."))) {
        return sp_str_starts_with(pattern, SP_STR("saga."));
    }
    return !sp_str_starts_with(event->attr[SP_ATTR_STREAM], SP_STR("saga:")) ||
           sp_saga_extension(event, SP_STR("attempt")).len == 0;
}

static void wake(struct sp_sagas *sagas, uint32_t head, const struct sp_event *event) {
    while (head != SP_NONE && sagas->failed == SP_OK) {
        const struct sp_saga_wait_entry *entry = &sagas->waits[head];
        struct sp_saga *saga = sagas->slots[entry->slot];
        uint32_t at = entry->act;
        head = entry->next;
        if (saga->phase == SP_SAGA_PHASE_FORWARD && event->position > saga->acts[at].input) {
            saga->acts[at].result = event->position;
            saga->acts[at].flags |= SP_ACT_IS_OK;
            sp_act_move(sagas, saga, at, SP_ACT_ANSWERED);
        }
    }
}

/* The value that a wait's key is compared with; false: there is none. */
static bool read_match(struct sp_sagas *sagas, const struct sp_saga_watcher *watcher,
                       const struct sp_event *event, sp_str *ret_key) {
    struct sp_path_values values;
    sp_path_values_init(&values, event);
    struct sp_value value = sp_path_get(&watcher->version->paths, &values, watcher->path);
    if (value.type == SP_TYPE_NUMBER || (value.type == SP_TYPE_TEXT && !value.escaped)) {
        sp_buf_reset(&sagas->scratch);
        sp_buf_add_str(&sagas->scratch, value.raw);
    } else if (value.type == SP_TYPE_TEXT) {
        sp_buf_reset(&sagas->scratch);
        sp_json_unescape(&sagas->scratch, value.raw);
    } else {
        return false;
    }
    *ret_key = sp_buf_str(&sagas->scratch);
    return true;
}

static void match_wait(struct sp_sagas *sagas, struct sp_saga_watcher *watcher,
                       const struct sp_event *event) {
    const struct sp_saga_wait *wait = watcher->version->definition->nodes[watcher->node].wait;
    sp_str key = {.ptr = NULL};
    if (!may_trigger(event, wait->pattern) ||
        (wait->filter != NULL && !sp_filter_match(wait->filter, event)) ||
        (watcher->path != SP_PATH_NONE && !read_match(sagas, watcher, event, &key))) {
        return;
    }
    wake(sagas, find_chain(sagas, watcher, key), event);
}

static void match_start(struct sp_sagas *sagas, const struct sp_saga_watcher *watcher,
                        const struct sp_event *event) {
    const struct sp_saga_definition *definition = watcher->version->definition;
    uint64_t depth = sp_saga_number(event, SP_STR("depth"));
    bool is_sagas = sp_saga_extension(event, SP_STR("sagaid")).len > 0;
    if (!may_trigger(event, definition->start_pattern) ||
        (definition->start_filter != NULL && !sp_filter_match(definition->start_filter, event)) ||
        sp_str_eq(sp_saga_extension(event, SP_STR("saga")), definition->name)) {
        return; /* a saga does not begin itself again */
    }
    depth = is_sagas ? depth + 1 : 0;
    sp_sagas_add_start(sagas, watcher->version, event->position,
                       depth > UINT32_MAX ? UINT32_MAX : (uint32_t)depth);
}

static void match_number(struct sp_sagas *sagas, uint32_t number, const struct sp_event *event) {
    struct sp_saga_watcher *at = number < sagas->watcher_capacity ? sagas->watchers[number] : NULL;
    while (at != NULL) {
        struct sp_saga_watcher *next = at->next; /* the last wait of it may end now */
        if (at->node == SP_NONE) {
            match_start(sagas, at, event);
        } else {
            match_wait(sagas, at, event);
        }
        at = next;
    }
}

void sp_sagas_fold_watched(struct sp_sagas *sagas, const struct sp_event *event) {
    size_t count = sagas->watch->matched_count;
    /* What is matched changes with the patterns: a copy, on the stack that nobody uses now. */
    for (size_t i = 0; i < count; i++) {
        if (!sp_sagas_room(sagas, &sagas->stack, &sagas->stack_capacity, (uint32_t)i,
                           sizeof(*sagas->stack))) {
            return;
        }
        sagas->stack[i] = sagas->watch->matched[i];
    }
    for (size_t i = 0; i < count; i++) {
        match_number(sagas, sagas->stack[i], event);
    }
}

/* ---- what is to begin, and what is to be recorded ---- */

/* Moves what is left of a queue to the front, where that is worth its while. */
static void compact(void *items, size_t size, uint32_t capacity, uint32_t *at, uint32_t *count,
                    uint64_t *base) {
    if (*at == 0 || *count < capacity || *at < capacity / 2) {
        return;
    }
    uint8_t *bytes = items;
    if (*count > *at) { /* of nothing there may be no memory at all */
        memmove(bytes, bytes + *at * size, (*count - *at) * size);
    }
    *base += *at;
    *count -= *at;
    *at = 0;
}

void sp_sagas_add_start(struct sp_sagas *sagas, struct sp_saga_version *version, uint64_t position,
                        uint32_t depth) {
    compact(sagas->starts, sizeof(*sagas->starts), sagas->start_capacity, &sagas->start_at,
            &sagas->start_count, &sagas->start_base);
    if (!sp_sagas_room(sagas, &sagas->starts, &sagas->start_capacity, sagas->start_count,
                       sizeof(*sagas->starts))) {
        return;
    }
    sagas->starts[sagas->start_count++] =
        (struct sp_saga_pending){.version = version, .position = position, .depth = depth};
    sp_saga_version_ref(version);
}

static struct sp_saga_pending *find_start(struct sp_sagas *sagas, uint64_t position,
                                          sp_str sha256) {
    for (uint32_t i = sagas->start_at; i < sagas->start_count; i++) {
        struct sp_saga_pending *at = &sagas->starts[i];
        if (at->position > position) {
            break; /* they are in the order of the log */
        }
        if (!at->is_gone && at->position == position &&
            sp_sha256_is_hex(at->version->sha256, sha256)) {
            return at;
        }
    }
    return NULL;
}

void sp_sagas_end_start(struct sp_sagas *sagas, uint64_t position, sp_str sha256) {
    struct sp_saga_pending *found = find_start(sagas, position, sha256);
    if (found == NULL) {
        return;
    }
    found->is_gone = true;
    sp_saga_version_unref(sagas, found->version);
    while (sagas->start_at < sagas->start_count && sagas->starts[sagas->start_at].is_gone) {
        sagas->start_at++;
    }
    if (sagas->start_at == sagas->start_count) {
        sagas->start_base += sagas->start_count;
        sagas->start_at = 0;
        sagas->start_count = 0;
    }
}

void sp_sagas_add_ignored(struct sp_sagas *sagas, const uint8_t id[16], uint64_t position,
                          enum sp_ignored_reason reason) {
    compact(sagas->ignored, sizeof(*sagas->ignored), sagas->ignored_capacity, &sagas->ignored_at,
            &sagas->ignored_count, &sagas->ignored_base);
    if (!sp_sagas_room(sagas, &sagas->ignored, &sagas->ignored_capacity, sagas->ignored_count,
                       sizeof(*sagas->ignored))) {
        return;
    }
    struct sp_saga_ignored *ignored = &sagas->ignored[sagas->ignored_count++];
    *ignored = (struct sp_saga_ignored){.position = position, .reason = (uint8_t)reason};
    memcpy(ignored->id, id, 16);
}

void sp_sagas_end_ignored(struct sp_sagas *sagas, uint64_t position) {
    for (uint32_t i = sagas->ignored_at; i < sagas->ignored_count; i++) {
        if (sagas->ignored[i].position == position) {
            sagas->ignored[i].is_gone = true;
        }
        if (sagas->ignored[i].position >= position) {
            break;
        }
    }
    while (sagas->ignored_at < sagas->ignored_count && sagas->ignored[sagas->ignored_at].is_gone) {
        sagas->ignored_at++;
    }
    if (sagas->ignored_at == sagas->ignored_count) {
        sagas->ignored_base += sagas->ignored_count;
        sagas->ignored_at = 0;
        sagas->ignored_count = 0;
    }
}
