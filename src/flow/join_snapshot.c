/*
 * Joins as bytes in a snapshot; docs/format.md has the layout. Windows stand in the order of their
 * list, joins in that of their definition.
 */
#include "base/hash.h"
#include "base/put.h"
#include "base/time.h"
#include "flow/join_int.h"

enum { FORMAT = 1, FLAG_GONE = 1, FLAG_FULL = 2 };

/* ---- out ---- */

static void put_window(struct sp_buf *to, const struct window *window) {
    sp_add_text(to, window_key(window));
    sp_add_number(to, window->first_us);
    sp_add_number(to, window->state);
    sp_add_number(to, window->mask);
    for (uint32_t i = 0; i < window->types; i++) {
        if ((window->mask >> i & 1) != 0) {
            sp_add_number(to, window->positions[i]);
        }
    }
}

static void put_join(const struct sp_joins *joins, const struct join *join, struct sp_buf *to) {
    const uint64_t numbers[] = {join->defined_us, join->emitted, join->timed_out, join->late,
                                join->repeated,   join->unkeyed, join->refused};
    sp_add_text(to, sp_str_from(join->name));
    sp_add_text(to, join->text);
    sp_add_number(to, join->defined_position);
    sp_add_number(to, (join->is_gone ? FLAG_GONE : 0u) | (join->is_full ? FLAG_FULL : 0u));
    for (uint32_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        sp_add_number(to, numbers[i]);
    }
    sp_add_number(to, (uint64_t)join->open + join->done);
    for (uint32_t slot = join->first; slot != JOIN_NONE; slot = joins->windows[slot]->next) {
        put_window(to, joins->windows[slot]);
    }
}

void join_encode(const void *self, struct sp_buf *to) {
    const struct sp_joins *joins = self;
    const struct sp_queue_item *item;
    uint32_t at = joins->queue.head;
    sp_add_number(to, FORMAT);
    sp_add_number(to, joins->last_us);
    sp_add_number(to, joins->count);
    for (uint32_t i = 0; i < joins->count; i++) {
        put_join(joins, joins->list[i], to);
    }
    sp_add_number(to, joins->queue.live);
    while ((item = sp_queue_walk(&joins->queue, &at)) != NULL) {
        sp_add_number(to, item->kind);
        sp_add_number(to, item->a);
        sp_add_number(to, item->c);
        if (item->kind == JOIN_EMIT || item->kind == JOIN_TIMEOUT) {
            const struct window *window = joins->windows[item->b];
            sp_add_number(to, window->in_list ? 0 : 1);
            if (window->in_list) {
                sp_add_text(to, window_key(window));
            } else {
                put_window(to, window);
            }
        }
    }
}

uint64_t join_hash(const void *self) {
    struct sp_buf bytes;
    sp_buf_init(&bytes, SIZE_MAX);
    join_encode(self, &bytes);
    uint64_t hash = sp_hash(bytes.data, bytes.len);
    sp_buf_fini(&bytes);
    return hash;
}

static uint64_t oldest_of(const struct sp_joins *joins, const struct join *join) {
    for (uint32_t slot = join->first; slot != JOIN_NONE; slot = joins->windows[slot]->next) {
        const struct window *window = joins->windows[slot];
        /* One that has ended, and of which nobody is told, is never read again. */
        bool is_over = window_end(join, window) <= joins->last_us &&
                       join->definition->on_timeout.type.len == 0;
        if (window->state == WINDOW_READY || (window->state == WINDOW_OPEN && !is_over)) {
            return window_first(window);
        }
    }
    return UINT64_MAX;
}

uint64_t join_oldest(const void *self) {
    const struct sp_joins *joins = self;
    const struct sp_queue_item *item;
    uint32_t at = joins->queue.head;
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; i < joins->count; i++) {
        uint64_t first = oldest_of(joins, joins->list[i]);
        oldest = first < oldest ? first : oldest;
    }
    while ((item = sp_queue_walk(&joins->queue, &at)) != NULL) {
        oldest = item->a < oldest ? item->a : oldest;
    }
    return oldest;
}

/* ---- in ---- */

static sp_status take_window(struct sp_joins *joins, struct join *join, struct sp_wire *wire,
                             uint32_t *ret_slot) {
    sp_str key = sp_wire_lstr(wire);
    uint64_t first_us = sp_wire_varint(wire);
    uint64_t state = sp_wire_varint(wire);
    uint64_t mask = sp_wire_varint(wire);
    if (wire->bad || join->definition == NULL || key.len == 0 || key.len > SP_JOIN_KEY_BYTES_MAX ||
        first_us > SP_TIME_US_MAX || state > WINDOW_TIMING || mask == 0 ||
        mask >> join->definition->type_count != 0) {
        return SP_CORRUPT;
    }
    sp_status status = window_new(joins, join, key, ret_slot);
    if (status != SP_OK) {
        return status;
    }
    struct window *window = joins->windows[*ret_slot];
    window->first_us = first_us;
    window->state = (uint8_t)state;
    window->mask = (uint16_t)mask;
    for (uint32_t i = 0; i < window->types; i++) {
        if ((mask >> i & 1) != 0) {
            window->positions[i] = sp_wire_varint(wire);
            wire->bad = wire->bad || window->positions[i] == 0;
        }
    }
    return wire->bad ? SP_CORRUPT : SP_OK;
}

static sp_status take_windows(struct sp_joins *joins, struct join *join, uint64_t count,
                              struct sp_wire *wire) {
    for (uint64_t i = 0; i < count; i++) {
        uint32_t slot = JOIN_NONE;
        sp_status status = take_window(joins, join, wire, &slot);
        if (status != SP_OK) {
            return status;
        }
        const struct window *window = joins->windows[slot];
        if (window->state == WINDOW_TIMING || join->is_gone ||
            window_find(joins, join, window_key(window)) != JOIN_NONE) {
            return SP_CORRUPT;
        }
        join->open += window->state == WINDOW_OPEN;
        join->done += window->state != WINDOW_OPEN;
        status = window_enter(joins, join, slot);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

static sp_status take_join(struct sp_joins *joins, struct sp_wire *wire) {
    struct join *join = NULL;
    sp_str name = sp_wire_lstr(wire);
    sp_str text = sp_wire_lstr(wire);
    uint64_t position = sp_wire_varint(wire);
    uint64_t flags = sp_wire_varint(wire);
    bool rises = joins->count == 0 || joins->list[joins->count - 1]->defined_position < position;
    if (wire->bad || name.len == 0 || name.len > SP_DOC_NAME_BYTES_MAX ||
        text.len > SP_RULE_BYTES_MAX || position == 0 || !rises || flags > 3 ||
        (flags & FLAG_GONE) > 1) {
        return SP_CORRUPT;
    }
    sp_status status = join_make(name, text, &join);
    if (status != SP_OK) {
        return status;
    }
    join->defined_position = position;
    join->is_gone = (flags & FLAG_GONE) != 0;
    join->is_full = (flags & FLAG_FULL) != 0;
    join->defined_us = sp_wire_varint(wire);
    join->emitted = sp_wire_varint(wire);
    join->timed_out = sp_wire_varint(wire);
    join->late = sp_wire_varint(wire);
    join->repeated = sp_wire_varint(wire);
    join->unkeyed = sp_wire_varint(wire);
    join->refused = sp_wire_varint(wire);
    status = join_insert(joins, join);
    if (status != SP_OK) {
        join_free(join);
        return status;
    }
    uint64_t count = sp_wire_varint(wire);
    return wire->bad || count > SP_JOIN_OPEN_LIMIT_MAX ? SP_CORRUPT
                                                       : take_windows(joins, join, count, wire);
}

static sp_status take_item(struct sp_joins *joins, struct sp_wire *wire) {
    struct sp_queue_item item = {.kind = (uint32_t)sp_wire_varint(wire)};
    item.a = sp_wire_varint(wire);
    item.c = sp_wire_varint(wire);
    struct join *join = join_at(joins, item.c);
    if (wire->bad || item.kind == 0 || item.kind > JOIN_FULL || join == NULL ||
        join->definition == NULL) {
        return SP_CORRUPT;
    }
    if (item.kind == JOIN_EMIT || item.kind == JOIN_TIMEOUT) {
        sp_status status = SP_OK;
        if (sp_wire_varint(wire) == 1) {
            status = take_window(joins, join, wire, &item.b);
        } else {
            item.b = window_find(joins, join, sp_wire_lstr(wire));
        }
        if (status != SP_OK || wire->bad || item.b == JOIN_NONE ||
            window_first(joins->windows[item.b]) != item.a) {
            return status == SP_OK ? SP_CORRUPT : status;
        }
    }
    join->works++;
    return sp_queue_add(&joins->queue, item);
}

sp_status join_restore(void *self, struct sp_wire *wire) {
    struct sp_joins *joins = self;
    if (sp_wire_varint(wire) != FORMAT) {
        return SP_CORRUPT;
    }
    joins->last_us = sp_wire_varint(wire);
    uint64_t count = sp_wire_varint(wire);
    sp_status status = SP_OK;
    for (uint64_t i = 0; status == SP_OK && i < count; i++) {
        status = wire->bad ? SP_CORRUPT : take_join(joins, wire);
    }
    uint64_t items = status == SP_OK ? sp_wire_varint(wire) : 0;
    for (uint64_t i = 0; status == SP_OK && i < items; i++) {
        status = wire->bad ? SP_CORRUPT : take_item(joins, wire);
    }
    if (status == SP_OK && wire->bad) {
        status = SP_CORRUPT;
    }
    return status == SP_OK ? join_rewatch(joins) : status;
}
