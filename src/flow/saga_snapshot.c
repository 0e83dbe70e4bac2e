/*
 * The state as bytes. Everything is in an order that follows from the log alone: the same events
 * give the same bytes, whichever slots and numbers things have in memory.
 */
#include "base/hash.h"
#include "flow/saga_int.h"

#include <stdlib.h>

enum { FORMAT = 1, NODE_NONE = 0xffff };

uint64_t sp_sagas_oldest(const struct sp_sagas *sagas) {
    uint64_t oldest = sagas->head == SP_NONE ? UINT64_MAX : sagas->slots[sagas->head]->started;
    for (uint32_t at = sagas->head; at != SP_NONE; at = sagas->slots[at]->next) {
        const struct sp_saga *saga = sagas->slots[at];
        oldest = saga->started < oldest ? saga->started : oldest;
        const struct sp_inheritance *from = saga->inheritance;
        for (uint32_t i = 0; from != NULL && i < from->count; i++) {
            uint64_t input = from->items[i].input;
            uint64_t result = from->items[i].result;
            oldest = input != 0 && input < oldest ? input : oldest;
            oldest = result != 0 && result < oldest ? result : oldest;
        }
    }
    for (uint32_t i = sagas->start_at; i < sagas->start_count; i++) {
        oldest = sagas->starts[i].position < oldest ? sagas->starts[i].position : oldest;
    }
    for (uint32_t i = sagas->ignored_at; i < sagas->ignored_count; i++) {
        oldest = sagas->ignored[i].position < oldest ? sagas->ignored[i].position : oldest;
    }
    return oldest;
}

/* ---- out ---- */

static void put(struct sp_buf *to, uint64_t number) {
    uint8_t *at = sp_buf_reserve(to, SP_VARINT_BYTES_MAX);
    if (at != NULL) {
        sp_buf_advance(to, sp_put_varint(at, number));
    }
}

/* One higher, so that none is 0. */
static uint64_t place(uint32_t number) {
    return number == SP_NONE ? 0 : (uint64_t)number + 1;
}

static void put_text(struct sp_buf *to, sp_str text) {
    put(to, text.len);
    sp_buf_add_str(to, text);
}

static void put_version(const struct sp_saga_version *version, struct sp_buf *to) {
    put_text(to, sp_str_of(version->name->text, version->name->len));
    put_text(to, version->definition != NULL ? version->definition->text
                                             : sp_str_of(version->text, version->text_len));
    sp_buf_add(to, version->sha256, sizeof(version->sha256));
    put(to, version->position);
    put(to, version->defined_us);
    put(to, version->is_current);
    put(to, version->name->limit);
}

static void put_act(const struct sp_sagas *sagas, const struct sp_act *act, struct sp_buf *to) {
    put(to, act->node);
    put(to, act->state);
    put(to, act->flags & SP_ACT_STATE_FLAGS);
    put(to, place(act->parent));
    put(to, place(act->first));
    put(to, act->count);
    put(to, act->left);
    put(to, act->next);
    put(to, act->attempt);
    put(to, act->base);
    put(to, act->undo_attempt);
    put(to, act->undo_base);
    put(to, act->due_us);
    put(to, act->input);
    put(to, act->result);
    put(to, act->undo);
    put(to, act->undo_answer);
    put(to, act->wait != SP_NONE);
    if (act->wait != SP_NONE) {
        const struct sp_saga_wait_entry *entry = &sagas->waits[act->wait];
        put_text(to, sp_str_of(entry->key, entry->key_len));
    }
}

static void put_inheritance(const struct sp_inheritance *from, struct sp_buf *to) {
    put(to, from == NULL ? 0 : from->count);
    put(to, from == NULL ? 0 : from->text_bytes);
    for (uint32_t i = 0; from != NULL && i < from->count; i++) {
        const struct sp_inherited *item = &from->items[i];
        put(to, item->input);
        put(to, item->result);
        put(to, item->number);
        put(to, item->kind);
        put_text(to, sp_str_of(from->texts + item->offset, item->len));
    }
}

/* The number of a version in their order. */
static uint64_t number_of(const struct sp_sagas *sagas, const struct sp_saga_version *version) {
    uint64_t number = 0;
    for (const struct sp_saga_version *at = sagas->versions; at != version; at = at->next) {
        number++;
    }
    return number;
}

static void put_saga(const struct sp_sagas *sagas, const struct sp_saga *saga, struct sp_buf *to) {
    sp_buf_add(to, saga->id, sizeof(saga->id));
    put(to, number_of(sagas, saga->version));
    put_text(to, sp_str_of(saga->origin, saga->correlation_len));
    put_text(to, sp_str_of(saga->origin == NULL ? NULL : saga->origin + saga->correlation_len,
                           saga->started_id_len));
    put(to, saga->phase);
    put(to, saga->reason);
    put(to, saga->is_past_pivot);
    put(to, saga->ignored);
    put(to, saga->depth);
    put(to, place(saga->cause));
    put(to, saga->cause_position);
    put(to, saga->started);
    put(to, saga->started_us);
    put_inheritance(saga->inheritance, to);
    put(to, saga->act_count);
    for (uint32_t i = 0; i < saga->act_count; i++) {
        put_act(sagas, &saga->acts[i], to);
    }
}

static void put_queues(const struct sp_sagas *sagas, struct sp_buf *to) {
    uint64_t count = 0;
    for (uint32_t i = sagas->start_at; i < sagas->start_count; i++) {
        count += !sagas->starts[i].is_gone;
    }
    put(to, count);
    for (uint32_t i = sagas->start_at; i < sagas->start_count; i++) {
        const struct sp_saga_pending *start = &sagas->starts[i];
        if (!start->is_gone) {
            put(to, number_of(sagas, start->version));
            put(to, start->position);
            put(to, start->depth);
        }
    }
    count = 0;
    for (uint32_t i = sagas->ignored_at; i < sagas->ignored_count; i++) {
        count += !sagas->ignored[i].is_gone;
    }
    put(to, count);
    for (uint32_t i = sagas->ignored_at; i < sagas->ignored_count; i++) {
        const struct sp_saga_ignored *ignored = &sagas->ignored[i];
        if (!ignored->is_gone) {
            sp_buf_add(to, ignored->id, sizeof(ignored->id));
            put(to, ignored->position);
            put(to, ignored->reason);
        }
    }
}

void sp_sagas_encode(const struct sp_sagas *sagas, struct sp_buf *to) {
    put(to, FORMAT);
    put(to, sagas->version_count);
    for (const struct sp_saga_version *at = sagas->versions; at != NULL; at = at->next) {
        put_version(at, to);
    }
    put(to, sagas->count);
    for (uint32_t at = sagas->head; at != SP_NONE; at = sagas->slots[at]->next) {
        put_saga(sagas, sagas->slots[at], to);
    }
    put_queues(sagas, to);
    put(to, sagas->ended_count);
    for (uint32_t i = 0; i < sagas->ended_count; i++) { /* the oldest first */
        uint32_t at =
            sagas->ended_count < SP_SAGA_ENDED_MAX ? i : (sagas->ended_at + i) % SP_SAGA_ENDED_MAX;
        sp_buf_add(to, sagas->ended[at].id, sizeof(sagas->ended[at].id));
        put(to, sagas->ended[at].ignored);
    }
}

uint64_t sp_sagas_hash(const struct sp_sagas *sagas) {
    struct sp_buf bytes;
    sp_buf_init(&bytes, SIZE_MAX);
    sp_sagas_encode(sagas, &bytes);
    uint64_t hash = bytes.status == SP_OK ? sp_hash(bytes.data, bytes.len) : 0;
    sp_buf_fini(&bytes);
    return hash;
}

/* ---- in ---- */

static uint32_t take_u32(struct sp_wire *wire) {
    uint64_t number = sp_wire_varint(wire);
    wire->bad = wire->bad || number > UINT32_MAX;
    return (uint32_t)number;
}

/* One that was stored one higher, so that none is 0. */
static uint32_t take_place(struct sp_wire *wire) {
    return take_u32(wire) - 1;
}

static void take_version(struct sp_sagas *sagas, struct sp_wire *wire) {
    sp_str name = sp_wire_lstr(wire);
    sp_str text = sp_wire_lstr(wire);
    sp_str sha256 = sp_wire_bytes(wire, SP_SHA256_BYTES);
    uint64_t position = sp_wire_varint(wire);
    uint64_t defined_us = sp_wire_varint(wire);
    bool is_current = sp_wire_varint(wire) != 0;
    uint32_t limit = take_u32(wire);
    if (wire->bad || name.len == 0 || sha256.len != SP_SHA256_BYTES) {
        wire->bad = true;
        return;
    }
    struct sp_saga_version *version =
        sp_sagas_add_version(sagas, name, text, (const uint8_t *)sha256.ptr, position, defined_us);
    if (version != NULL && is_current) {
        sp_sagas_make_current(sagas, version->name, version);
    }
    if (version != NULL) {
        version->name->limit = limit;
    }
}

static bool is_place(uint32_t place, uint32_t count) {
    return place == SP_NONE || place < count;
}

/* A state that could not be followed would be walked into nowhere. */
static bool is_sound(const struct sp_saga *saga, uint32_t at) {
    const struct sp_act *act = &saga->acts[at];
    const struct sp_saga_definition *definition = saga->version->definition;
    return act->node < definition->node_count && act->state < SP_ACT_STATES &&
           is_place(act->parent, saga->act_count) && (act->parent == SP_NONE) == (at == 0) &&
           (at == 0 || act->parent < at) && (act->node == 0) == (at == 0) &&
           (act->first == SP_NONE || (act->first > at && act->first <= saga->act_count &&
                                      act->count <= saga->act_count - act->first));
}

static void take_act(struct sp_act *act, struct sp_wire *wire, sp_str *ret_key) {
    uint32_t node = take_u32(wire);
    wire->bad = wire->bad || node >= NODE_NONE;
    act->node = (uint16_t)node;
    act->state = (uint8_t)take_u32(wire);
    act->flags = (uint8_t)(take_u32(wire) & SP_ACT_STATE_FLAGS);
    act->parent = take_place(wire);
    act->first = take_place(wire);
    act->count = take_u32(wire);
    act->left = take_u32(wire);
    act->next = take_u32(wire);
    act->attempt = take_u32(wire);
    act->base = take_u32(wire);
    act->undo_attempt = take_u32(wire);
    act->undo_base = take_u32(wire);
    act->due_us = sp_wire_varint(wire);
    act->input = sp_wire_varint(wire);
    act->result = sp_wire_varint(wire);
    act->undo = sp_wire_varint(wire);
    act->undo_answer = sp_wire_varint(wire);
    act->generation = 0;
    act->wait = SP_NONE;
    bool waits = sp_wire_varint(wire) != 0;
    *ret_key = waits ? sp_wire_lstr(wire) : (sp_str){.ptr = NULL};
    if (waits && ret_key->ptr == NULL) {
        *ret_key = SP_STR("");
    }
}

static void take_acts(struct sp_sagas *sagas, struct sp_saga *saga, struct sp_wire *wire) {
    uint32_t count = take_u32(wire);
    if (wire->bad || count == 0 || count > sp_wire_left(wire)) {
        wire->bad = true;
        return;
    }
    struct sp_act *acts = realloc(saga->acts, count * sizeof(*acts));
    if (acts == NULL) {
        sagas->failed = SP_NO_MEMORY;
        return;
    }
    saga->acts = acts;
    saga->act_capacity = count;
    saga->act_count = count;
    for (uint32_t i = 0; i < count; i++) { /* so that what is left behind can be freed */
        acts[i] = (struct sp_act){.parent = SP_NONE, .first = SP_NONE, .wait = SP_NONE};
    }
    for (uint32_t i = 0; i < count && !wire->bad && sagas->failed == SP_OK; i++) {
        sp_str key = {.ptr = NULL};
        take_act(&acts[i], wire, &key);
        if (wire->bad || !is_sound(saga, i)) {
            acts[i] = (struct sp_act){.parent = SP_NONE, .first = SP_NONE, .wait = SP_NONE};
            wire->bad = true;
            return;
        }
        const struct sp_saga_node *node = sp_act_node(saga, &acts[i]);
        if (key.ptr != NULL && (node->kind != SP_SAGA_WAIT || node->wait->pattern.len == 0)) {
            wire->bad = true;
            return;
        }
        if (key.ptr != NULL) {
            sp_saga_wait_add(sagas, saga, i, key);
        }
    }
}

static void take_inheritance(struct sp_sagas *sagas, struct sp_saga *saga, struct sp_wire *wire) {
    uint32_t count = take_u32(wire);
    uint32_t text_bytes = take_u32(wire);
    if (wire->bad || count > sp_wire_left(wire) || text_bytes > sp_wire_left(wire)) {
        wire->bad = true;
        return;
    }
    if (count == 0) {
        return;
    }
    saga->inheritance = sp_inheritance_new(count, text_bytes);
    if (saga->inheritance == NULL) {
        sagas->failed = SP_NO_MEMORY;
        return;
    }
    struct sp_inheritance *from = saga->inheritance;
    for (uint32_t i = 0; i < count && !wire->bad; i++) {
        struct sp_inherited *item = &from->items[from->count];
        item->input = sp_wire_varint(wire);
        item->result = sp_wire_varint(wire);
        item->number = take_u32(wire);
        item->kind = (uint8_t)take_u32(wire);
        sp_str path = sp_wire_lstr(wire);
        if (wire->bad || path.len == 0 || path.len > text_bytes - from->text_bytes) {
            wire->bad = true;
            return;
        }
        item->offset = from->text_bytes;
        item->len = (uint32_t)path.len;
        memcpy(from->texts + from->text_bytes, path.ptr, path.len);
        from->text_bytes += (uint32_t)path.len;
        from->count++;
    }
}

static struct sp_saga_version *version_at(const struct sp_sagas *sagas, uint64_t number) {
    struct sp_saga_version *at = sagas->versions;
    while (at != NULL && number-- > 0) {
        at = at->next;
    }
    return at;
}

/* Counts what follows from the activations, and looks for what there is to do. */
static void wake(struct sp_sagas *sagas, struct sp_saga *saga) {
    for (uint32_t i = 0; i < saga->act_count; i++) {
        const struct sp_act *act = &saga->acts[i];
        saga->open += sp_act_is_open(saga, act);
        saga->stuck += act->state == SP_ACT_STUCK || act->state == SP_ACT_UNDO_STUCK;
    }
    sagas->stuck += saga->stuck > 0;
    bool is_back = saga->phase == SP_SAGA_PHASE_UNDOING; /* the last ones come first then */
    for (uint32_t i = 0; i < saga->act_count; i++) {
        uint32_t at = is_back ? saga->act_count - 1 - i : i;
        sp_act_arm(sagas, saga, at);
        if (sp_saga_todo(saga, at, 0) != SP_TODO_NOTHING) {
            sp_act_hint(sagas, saga, at);
        }
    }
}

static void take_saga(struct sp_sagas *sagas, struct sp_wire *wire) {
    sp_str id = sp_wire_bytes(wire, 16);
    struct sp_saga_version *version = version_at(sagas, sp_wire_varint(wire));
    sp_str correlation = sp_wire_lstr(wire);
    sp_str started_id = sp_wire_lstr(wire);
    if (wire->bad || version == NULL || version->definition == NULL ||
        sp_sagas_get(sagas, (const uint8_t *)id.ptr) != NULL) {
        wire->bad = true;
        return;
    }
    struct sp_saga *saga = sp_sagas_add(sagas, (const uint8_t *)id.ptr, version);
    if (saga == NULL || sp_saga_set_origin(saga, correlation, started_id) != SP_OK) {
        sagas->failed = SP_NO_MEMORY;
        return;
    }
    saga->phase = (uint8_t)take_u32(wire);
    saga->reason = (uint8_t)take_u32(wire);
    saga->is_past_pivot = sp_wire_varint(wire) != 0;
    saga->ignored = (uint8_t)take_u32(wire);
    saga->depth = take_u32(wire);
    saga->cause = take_place(wire);
    saga->cause_position = sp_wire_varint(wire);
    saga->started = sp_wire_varint(wire);
    saga->started_us = sp_wire_varint(wire);
    uint8_t phase = saga->phase;
    wire->bad =
        wire->bad || phase > SP_SAGA_PHASE_UNDOING || saga->reason > SP_SAGA_REASON_TIMED_OUT;
    saga->phase = SP_SAGA_PHASE_FORWARD;
    if (!wire->bad) {
        take_inheritance(sagas, saga, wire);
    }
    if (!wire->bad && sagas->failed == SP_OK) {
        take_acts(sagas, saga, wire);
        wire->bad = wire->bad || !is_place(saga->cause, saga->act_count);
    }
    if (phase == SP_SAGA_PHASE_WAITING) {
        sp_sagas_queue(sagas, saga);
    } else {
        version->name->running++;
        saga->phase = wire->bad ? (uint8_t)SP_SAGA_PHASE_FORWARD : phase;
    }
    if (!wire->bad && sagas->failed == SP_OK) {
        wake(sagas, saga);
    }
}

static void take_queues(struct sp_sagas *sagas, struct sp_wire *wire) {
    uint64_t count = sp_wire_varint(wire);
    for (uint64_t i = 0; i < count && !wire->bad && sagas->failed == SP_OK; i++) {
        struct sp_saga_version *version = version_at(sagas, sp_wire_varint(wire));
        uint64_t position = sp_wire_varint(wire);
        uint32_t depth = take_u32(wire);
        wire->bad = wire->bad || version == NULL || version->definition == NULL;
        if (!wire->bad) {
            sp_sagas_add_start(sagas, version, position, depth);
        }
    }
    count = sp_wire_varint(wire);
    for (uint64_t i = 0; i < count && !wire->bad && sagas->failed == SP_OK; i++) {
        sp_str id = sp_wire_bytes(wire, 16);
        uint64_t position = sp_wire_varint(wire);
        uint32_t reason = take_u32(wire);
        wire->bad = wire->bad || reason == 0 || reason >= SP_IGNORED_REASONS;
        if (!wire->bad) {
            sp_sagas_add_ignored(sagas, (const uint8_t *)id.ptr, position,
                                 (enum sp_ignored_reason)reason);
        }
    }
}

sp_status sp_sagas_restore(struct sp_sagas *sagas, struct sp_wire *wire) {
    sp_require(sagas->count == 0 && sagas->versions == NULL);
    sagas->failed = SP_OK;
    if (sp_wire_varint(wire) != FORMAT) {
        return SP_CORRUPT;
    }
    uint64_t count = sp_wire_varint(wire);
    for (uint64_t i = 0; i < count && !wire->bad && sagas->failed == SP_OK; i++) {
        take_version(sagas, wire);
    }
    count = sp_wire_varint(wire);
    for (uint64_t i = 0; i < count && !wire->bad && sagas->failed == SP_OK; i++) {
        take_saga(sagas, wire);
    }
    take_queues(sagas, wire);
    count = sp_wire_varint(wire);
    for (uint64_t i = 0; i < count && !wire->bad && sagas->failed == SP_OK; i++) {
        sp_str id = sp_wire_bytes(wire, 16);
        uint32_t ignored = take_u32(wire);
        if (!wire->bad) {
            sp_sagas_remember(sagas, (const uint8_t *)id.ptr, ignored);
        }
    }
    return wire->bad ? SP_CORRUPT : sagas->failed;
}
