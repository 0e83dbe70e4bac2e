/*
 * Causality: an event by its id, the chain of its causes, the tree of its effects. The lists of
 * positions are made when the cursor is opened; the events are read as it goes.
 */
#include <stdlib.h>

#include "base/htab.h"
#include "engine/query_int.h"

/* Positions that a lookup named; a copy, as the guard is let go before they are read. */
struct found {
    struct sp_buf positions;
};

static bool note(void *context, uint64_t position, enum sp_index_role role) {
    struct found *found = context;
    (void)role;
    sp_buf_add(&found->positions, &position, sizeof(position));
    return true;
}

static uint64_t found_at(const struct found *found, size_t i) {
    uint64_t position;
    memcpy(&position, found->positions.data + i * sizeof(position), sizeof(position));
    return position;
}

static size_t found_count(const struct found *found) {
    return found->positions.len / sizeof(uint64_t);
}

/*
 * Candidates with this id in one of the roles, durable ones, ascending. The caller frees `found`.
 */
static sp_status look_up(struct sp_cursor *cursor, sp_str id, unsigned roles, struct found *found,
                         struct sp_error *error) {
    struct sp_engine *engine = cursor->engine;
    sp_buf_init(&found->positions, (size_t)SP_EFFECTS_MAX * sizeof(uint64_t));
    engine_enter(engine);
    sp_status status = sp_index_find_id(engine->index, sp_index_hash_id(id), roles, 0,
                                        engine->progress.durable_position + 1, note, found);
    engine_leave(engine);
    if (status == SP_OK && found->positions.status != SP_OK) {
        status = found->positions.status;
    }
    return status == SP_OK ? SP_OK
                           : sp_error_set(error, status, "lookup of id %.*s: %s", SP_STR_ARG(id),
                                          sp_status_text(status));
}

static sp_status list_add(struct sp_cursor *cursor, size_t *capacity, uint64_t position,
                          uint32_t depth, struct sp_error *error) {
    if (cursor->list_count == SP_EFFECTS_MAX) {
        return sp_error_set(error, SP_LIMIT, "more than %d events", SP_EFFECTS_MAX);
    }
    if (cursor->list_count == *capacity) {
        size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
        struct listed *list = realloc(cursor->list, wanted * sizeof(*list));
        if (list == NULL) {
            return sp_error_set(error, SP_NO_MEMORY, "lookup");
        }
        cursor->list = list;
        *capacity = wanted;
    }
    cursor->list[cursor->list_count++] = (struct listed){.position = position, .depth = depth};
    return SP_OK;
}

static sp_status not_found(sp_str id, struct sp_error *error) {
    return sp_error_set(error, SP_NOT_FOUND, "no event has the id %.*s", SP_STR_ARG(id));
}

/* Keeps of the candidates those that have the id (and source), and lists them. */
static sp_status list_matches(struct sp_cursor *cursor, const struct found *found, sp_str id,
                              sp_str source, struct sp_error *error) {
    size_t capacity = 0;
    sp_status status = SP_OK;
    for (size_t i = 0; i < found_count(found) && status == SP_OK; i++) {
        status = cursor_fetch(cursor, found_at(found, i), error);
        const sp_str *attr = cursor->event.attr;
        if (status == SP_OK && sp_str_eq(attr[SP_ATTR_ID], id) &&
            (source.ptr == NULL || sp_str_eq(attr[SP_ATTR_SOURCE], source))) {
            status = list_add(cursor, &capacity, found_at(found, i), 0, error);
        }
    }
    if (status == SP_OK && cursor->list_count == 0) {
        return not_found(id, error);
    }
    return status;
}

static sp_status open_list(struct sp_engine *engine, struct sp_cursor **ret_cursor,
                           struct sp_error *error) {
    sp_status status = cursor_new(engine, ret_cursor, error);
    if (status == SP_OK) {
        (*ret_cursor)->plan = PLAN_LIST;
    }
    return status;
}

static sp_status finish(struct sp_cursor *cursor, sp_status status, struct sp_cursor **ret_cursor) {
    if (status != SP_OK) {
        sp_cursor_close(cursor);
        return status;
    }
    *ret_cursor = cursor;
    return SP_OK;
}

sp_status sp_cursor_find(struct sp_engine *engine, sp_str id, sp_str source,
                         struct sp_cursor **ret_cursor, struct sp_error *error) {
    struct sp_cursor *cursor = NULL;
    struct found found;
    sp_status status = open_list(engine, &cursor, error);
    if (status != SP_OK) {
        return status;
    }
    status = look_up(cursor, id, SP_INDEX_ID, &found, error);
    status = status == SP_OK ? list_matches(cursor, &found, id, source, error) : status;
    sp_buf_fini(&found.positions);
    return finish(cursor, status, ret_cursor);
}

/*
 * ---- causes
 * ---------------------------------------------------------------------------------------
 */

/*
 * The position of the event with this id that stands closest before `effect`, else the first after
 * it: an imported history may name a cause that it lists later. 0 where there is none.
 */
static sp_status find_cause(struct sp_cursor *cursor, sp_str id, uint64_t effect,
                            uint64_t *ret_position, struct sp_error *error) {
    struct found found;
    sp_status status = look_up(cursor, id, SP_INDEX_ID, &found, error);
    uint64_t best = 0;
    for (size_t i = 0; i < found_count(&found) && status == SP_OK; i++) {
        uint64_t position = found_at(&found, i);
        bool better = position != effect && (best == 0 || position < effect);
        status = better ? cursor_fetch(cursor, position, error) : SP_OK;
        if (status == SP_OK && better && sp_str_eq(cursor->event.attr[SP_ATTR_ID], id)) {
            best = position;
        }
    }
    sp_buf_fini(&found.positions);
    *ret_position = best;
    return status;
}

/* Which events a walk has been at: an event that is among its own causes must not hold it up. */
static sp_status visit(struct sp_htab *visited, const struct sp_cursor *cursor, uint64_t position,
                       bool *ret_new) {
    uint64_t hash = position * 0x9e3779b97f4a7c15u;
    struct sp_htab_probe probe = sp_htab_find(visited, hash);
    uint32_t at;
    while (sp_htab_next(&probe, &at)) {
        if (cursor->list[at].position == position) {
            *ret_new = false;
            return SP_OK;
        }
    }
    *ret_new = true;
    return sp_htab_add(visited, hash, (uint32_t)cursor->list_count);
}

static sp_status walk_causes(struct sp_cursor *cursor, uint64_t position, size_t most,
                             struct sp_buf *id, struct sp_error *error) {
    struct sp_htab visited;
    size_t capacity = 0;
    sp_htab_init(&visited);
    sp_status status = SP_OK;
    while (position != 0 && cursor->list_count < most && status == SP_OK) {
        bool is_new = false;
        status = visit(&visited, cursor, position, &is_new);
        if (status != SP_OK || !is_new) {
            break;
        }
        status = list_add(cursor, &capacity, position, (uint32_t)cursor->list_count, error);
        status = status == SP_OK ? cursor_fetch(cursor, position, error) : status;
        if (status == SP_OK) {
            sp_buf_reset(id);
            sp_buf_add_str(id, cursor->event.attr[SP_ATTR_CAUSATION]);
            uint64_t effect = position;
            position = 0;
            status =
                id->len > 0 ? find_cause(cursor, sp_buf_str(id), effect, &position, error) : SP_OK;
        }
    }
    sp_htab_fini(&visited);
    return status;
}

sp_status sp_cursor_causes_first(struct sp_engine *engine, sp_str id, size_t most,
                                 struct sp_cursor **ret_cursor, struct sp_error *error) {
    struct sp_cursor *cursor = NULL;
    sp_status status = open_list(engine, &cursor, error);
    if (status != SP_OK) {
        return status;
    }
    struct sp_buf cause;
    sp_buf_init(&cause, SP_EVENT_ID_BYTES_MAX);
    uint64_t position = 0;
    status = find_cause(cursor, id, UINT64_MAX, &position, error);
    if (status == SP_OK && position == 0) {
        status = not_found(id, error);
    }
    status = status == SP_OK ? walk_causes(cursor, position, most, &cause, error) : status;
    sp_buf_fini(&cause);
    return finish(cursor, status, ret_cursor);
}

/*
 * ---- effects
 * --------------------------------------------------------------------------------------
 */

/* Events that were found and not listed yet: a stack, so that the tree comes depth first. */
struct stack {
    struct listed *items;
    size_t count;
    size_t capacity;
};

static sp_status push(struct stack *stack, uint64_t position, uint32_t depth) {
    if (stack->count == stack->capacity) {
        size_t capacity = stack->capacity == 0 ? 64 : stack->capacity * 2;
        struct listed *items = realloc(stack->items, capacity * sizeof(*items));
        if (items == NULL) {
            return SP_NO_MEMORY;
        }
        stack->items = items;
        stack->capacity = capacity;
    }
    stack->items[stack->count++] = (struct listed){.position = position, .depth = depth};
    return SP_OK;
}

/* Turns around what lies on the stack from `base` on. */
static void turn_around(struct stack *stack, size_t base) {
    for (size_t low = base, high = stack->count; low + 1 < high; low++, high--) {
        struct listed item = stack->items[low];
        stack->items[low] = stack->items[high - 1];
        stack->items[high - 1] = item;
    }
}

/* Pushes what the event with this id caused, at most so many, the first one on top. */
static sp_status push_effects(struct sp_cursor *cursor, sp_str id, uint32_t depth, size_t most,
                              struct stack *stack, struct sp_error *error) {
    struct found found;
    size_t base = stack->count;
    sp_status status = look_up(cursor, id, SP_INDEX_CAUSE, &found, error);
    for (size_t i = 0; i < found_count(&found) && stack->count - base < most && status == SP_OK;
         i++) {
        uint64_t position = found_at(&found, i);
        status = cursor_fetch(cursor, position, error);
        if (status == SP_OK && sp_str_eq(cursor->event.attr[SP_ATTR_CAUSATION], id)) {
            status = push(stack, position, depth);
        }
    }
    turn_around(stack, base);
    sp_buf_fini(&found.positions);
    return status;
}

static sp_status walk_effects(struct sp_cursor *cursor, struct stack *stack, size_t most,
                              struct sp_buf *id, struct sp_error *error) {
    struct sp_htab visited;
    size_t capacity = 0;
    sp_htab_init(&visited);
    sp_status status = SP_OK;
    while (stack->count > 0 && cursor->list_count < most && status == SP_OK) {
        struct listed top = stack->items[--stack->count];
        bool is_new = false;
        status = visit(&visited, cursor, top.position, &is_new);
        if (status != SP_OK || !is_new) {
            continue;
        }
        status = list_add(cursor, &capacity, top.position, top.depth, error);
        status = status == SP_OK ? cursor_fetch(cursor, top.position, error) : status;
        if (status == SP_OK) {
            sp_buf_reset(id);
            sp_buf_add_str(id, cursor->event.attr[SP_ATTR_ID]);
            status = push_effects(cursor, sp_buf_str(id), top.depth + 1, most, stack, error);
        }
    }
    sp_htab_fini(&visited);
    return status;
}

sp_status sp_cursor_effects_first(struct sp_engine *engine, sp_str id, size_t most,
                                  struct sp_cursor **ret_cursor, struct sp_error *error) {
    struct sp_cursor *cursor = NULL;
    sp_status status = open_list(engine, &cursor, error);
    if (status != SP_OK) {
        return status;
    }
    struct stack stack = {.items = NULL};
    struct sp_buf own_id;
    sp_buf_init(&own_id, SP_EVENT_ID_BYTES_MAX);
    uint64_t position = 0;
    status = find_cause(cursor, id, UINT64_MAX, &position, error);
    if (status == SP_OK && position == 0) {
        status = not_found(id, error);
    }
    status = status == SP_OK ? push(&stack, position, 0) : status;
    status = status == SP_OK ? walk_effects(cursor, &stack, most, &own_id, error) : status;
    free(stack.items);
    sp_buf_fini(&own_id);
    return finish(cursor, status, ret_cursor);
}

/* ---- all of it ---- */

sp_status sp_cursor_causes(struct sp_engine *engine, sp_str id, struct sp_cursor **ret_cursor,
                           struct sp_error *error) {
    return sp_cursor_causes_first(engine, id, SIZE_MAX, ret_cursor, error);
}

sp_status sp_cursor_effects(struct sp_engine *engine, sp_str id, struct sp_cursor **ret_cursor,
                            struct sp_error *error) {
    return sp_cursor_effects_first(engine, id, SIZE_MAX, ret_cursor, error);
}
