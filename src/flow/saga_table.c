#include "flow/saga_int.h"

#include <stdlib.h>

#include "base/hash.h"

bool sp_sagas_room(struct sp_sagas *sagas, void *array, uint32_t *capacity, uint32_t count,
                   size_t size) {
    if (count < *capacity) {
        return true;
    }
    uint32_t more = *capacity == 0 ? 16 : *capacity * 2;
    void *from = NULL;
    memcpy(&from, array, sizeof(from));
    void *to = realloc(from, more * size);
    if (to == NULL) {
        sagas->failed = SP_NO_MEMORY;
        return false;
    }
    memcpy(array, &to, sizeof(to));
    *capacity = more;
    return true;
}

/* ---- by id ---- */

struct sp_saga *sp_sagas_get(const struct sp_sagas *sagas, const uint8_t id[16]) {
    struct sp_htab_probe probe = sp_htab_find(&sagas->by_id, sp_hash(id, 16));
    uint32_t slot = 0;
    while (sp_htab_next(&probe, &slot)) {
        if (memcmp(sagas->slots[slot]->id, id, 16) == 0) {
            return sagas->slots[slot];
        }
    }
    return NULL;
}

struct sp_saga *sp_sagas_get_text(const struct sp_sagas *sagas, sp_str sagaid) {
    uint8_t id[16];
    return sp_uuid_pack(sagaid, id) ? sp_sagas_get(sagas, id) : NULL;
}

struct sp_saga *sp_sagas_at(const struct sp_sagas *sagas, uint32_t slot, uint32_t serial) {
    if (slot >= sagas->slot_count || sagas->slots[slot] == NULL ||
        sagas->slots[slot]->serial != serial) {
        return NULL;
    }
    return sagas->slots[slot];
}

/* ---- coming and going ---- */

static bool take_slot(struct sp_sagas *sagas, uint32_t *ret_slot) {
    if (sagas->slot_free != SP_NONE) {
        *ret_slot = sagas->slot_free;
        sagas->slot_free = sagas->free_next[*ret_slot];
        return true;
    }
    uint32_t capacity = sagas->slot_capacity; /* of both arrays, one after the other */
    if (!sp_sagas_room(sagas, &sagas->slots, &capacity, sagas->slot_count,
                       sizeof(struct sp_saga *))) {
        return false;
    }
    capacity = sagas->slot_capacity;
    if (!sp_sagas_room(sagas, &sagas->free_next, &capacity, sagas->slot_count, sizeof(uint32_t))) {
        return false;
    }
    sagas->slot_capacity = capacity;
    *ret_slot = sagas->slot_count++;
    return true;
}

static void link_last(struct sp_sagas *sagas, struct sp_saga *saga) {
    saga->previous = sagas->tail;
    saga->next = SP_NONE;
    if (sagas->tail != SP_NONE) {
        sagas->slots[sagas->tail]->next = saga->slot;
    } else {
        sagas->head = saga->slot;
    }
    sagas->tail = saga->slot;
    sagas->count++;
}

static void unlink_saga(struct sp_sagas *sagas, const struct sp_saga *saga) {
    if (saga->previous != SP_NONE) {
        sagas->slots[saga->previous]->next = saga->next;
    } else {
        sagas->head = saga->next;
    }
    if (saga->next != SP_NONE) {
        sagas->slots[saga->next]->previous = saga->previous;
    } else {
        sagas->tail = saga->previous;
    }
    sagas->count--;
}

/* The saga's own activation, and room for those of its steps. */
static bool make_root(struct sp_saga *saga) {
    const struct sp_saga_node *root = &saga->version->definition->nodes[0];
    saga->act_capacity = 1 + root->child_count;
    saga->acts = malloc(saga->act_capacity * sizeof(*saga->acts));
    if (saga->acts == NULL) {
        return false;
    }
    saga->act_count = 1;
    saga->acts[0] = (struct sp_act){.parent = SP_NONE, .first = SP_NONE, .wait = SP_NONE};
    return true;
}

struct sp_saga *sp_sagas_add(struct sp_sagas *sagas, const uint8_t id[16],
                             struct sp_saga_version *version) {
    uint32_t slot = 0;
    struct sp_saga *saga = calloc(1, sizeof(*saga));
    if (saga == NULL || !take_slot(sagas, &slot)) {
        free(saga);
        sagas->failed = SP_NO_MEMORY;
        return NULL;
    }
    saga->version = version;
    if (!make_root(saga) || sp_htab_add(&sagas->by_id, sp_hash(id, 16), slot) != SP_OK) {
        sagas->slots[slot] = NULL;
        sagas->free_next[slot] = sagas->slot_free;
        sagas->slot_free = slot;
        free(saga->acts);
        free(saga);
        sagas->failed = SP_NO_MEMORY;
        return NULL;
    }
    memcpy(saga->id, id, 16);
    saga->slot = slot;
    saga->serial = ++sagas->serial;
    saga->cause = SP_NONE;
    saga->queue_previous = SP_NONE;
    saga->queue_next = SP_NONE;
    sagas->slots[slot] = saga;
    link_last(sagas, saga);
    sp_saga_version_ref(version);
    return saga;
}

void sp_saga_fini(struct sp_saga *saga) {
    free(saga->acts);
    free(saga->inheritance);
    free(saga->origin);
    free(saga);
}

void sp_sagas_drop(struct sp_sagas *sagas, struct sp_saga *saga) {
    struct sp_saga_version *version = saga->version;
    for (uint32_t i = 0; i < saga->act_count; i++) {
        struct sp_act *act = &saga->acts[i];
        if (act->wait != SP_NONE) {
            sp_saga_wait_remove(sagas, act);
        }
        if (sp_act_rings_us(saga, act) != 0 && (act->flags & SP_ACT_IS_FIRED) == 0) {
            sp_timers_drop(&sagas->timers);
        }
    }
    if (saga->phase == SP_SAGA_PHASE_WAITING) {
        sp_sagas_unqueue(sagas, saga);
    }
    sagas->stuck -= saga->stuck > 0;
    version->name->running--;
    unlink_saga(sagas, saga);
    sp_htab_remove(&sagas->by_id, sp_hash(saga->id, 16), saga->slot);
    sagas->slots[saga->slot] = NULL;
    sagas->free_next[saga->slot] = sagas->slot_free;
    sagas->slot_free = saga->slot;
    sp_saga_fini(saga);
    sp_sagas_admit(sagas, version->name);
    sp_saga_version_unref(sagas, version);
}

/* ---- those that have ended ---- */

struct sp_saga_ended *sp_sagas_find_ended(const struct sp_sagas *sagas, const uint8_t id[16]) {
    struct sp_htab_probe probe = sp_htab_find(&sagas->by_ended, sp_hash(id, 16));
    uint32_t at = 0;
    while (sp_htab_next(&probe, &at)) {
        if (memcmp(sagas->ended[at].id, id, 16) == 0) {
            return &sagas->ended[at];
        }
    }
    return NULL;
}

void sp_sagas_remember(struct sp_sagas *sagas, const uint8_t id[16], uint32_t ignored) {
    if (sagas->ended == NULL) {
        sagas->ended = calloc(SP_SAGA_ENDED_MAX, sizeof(*sagas->ended)); /* touched as it fills */
        if (sagas->ended == NULL) {
            sagas->failed = SP_NO_MEMORY;
            return;
        }
    }
    uint32_t at = sagas->ended_at;
    if (sagas->ended_count == SP_SAGA_ENDED_MAX) {
        sp_htab_remove(&sagas->by_ended, sp_hash(sagas->ended[at].id, 16), at);
    } else {
        sagas->ended_count++;
    }
    memcpy(sagas->ended[at].id, id, 16);
    sagas->ended[at].ignored = ignored;
    if (sp_htab_add(&sagas->by_ended, sp_hash(id, 16), at) != SP_OK) {
        sagas->failed = SP_NO_MEMORY;
        sagas->ended_count--;
        return;
    }
    sagas->ended_at = (at + 1) % SP_SAGA_ENDED_MAX;
}

/* ---- where it came from ---- */

sp_str sp_saga_correlation(const struct sp_saga *saga, char id_text[SP_UUID_TEXT_SIZE]) {
    if (saga->correlation_len > 0) {
        return sp_str_of(saga->origin, saga->correlation_len);
    }
    sp_uuid_format(saga->id, id_text);
    return sp_str_of(id_text, SP_UUID_TEXT_SIZE);
}

sp_str sp_saga_started_id(const struct sp_saga *saga, char id_text[SP_UUID_TEXT_SIZE]) {
    if (saga->started_id_len > 0) {
        return sp_str_of(saga->origin + saga->correlation_len, saga->started_id_len);
    }
    sp_uuid_format(saga->id, id_text);
    return sp_str_of(id_text, SP_UUID_TEXT_SIZE);
}

sp_status sp_saga_set_origin(struct sp_saga *saga, sp_str correlation, sp_str started_id) {
    char own[SP_UUID_TEXT_SIZE];
    sp_uuid_format(saga->id, own);
    sp_str id = sp_str_of(own, sizeof(own));
    correlation = sp_str_eq(correlation, id) ? (sp_str){.ptr = NULL} : correlation;
    started_id = sp_str_eq(started_id, id) ? (sp_str){.ptr = NULL} : started_id;
    if (correlation.len > UINT16_MAX || started_id.len > UINT16_MAX) {
        return SP_LIMIT;
    }
    if (correlation.len + started_id.len == 0) {
        return SP_OK;
    }
    saga->origin = malloc(correlation.len + started_id.len);
    if (saga->origin == NULL) {
        return SP_NO_MEMORY;
    }
    if (correlation.len > 0) {
        memcpy(saga->origin, correlation.ptr, correlation.len);
    }
    if (started_id.len > 0) {
        memcpy(saga->origin + correlation.len, started_id.ptr, started_id.len);
    }
    saga->correlation_len = (uint16_t)correlation.len;
    saga->started_id_len = (uint16_t)started_id.len;
    return SP_OK;
}

/* ---- sagas of one name at once ---- */

void sp_sagas_queue(struct sp_sagas *sagas, struct sp_saga *saga) {
    struct sp_saga_name *name = saga->version->name;
    saga->phase = SP_SAGA_PHASE_WAITING;
    saga->queue_previous = name->queue_tail;
    saga->queue_next = SP_NONE;
    if (name->queue_tail != SP_NONE) {
        sagas->slots[name->queue_tail]->queue_next = saga->slot;
    } else {
        name->queue_head = saga->slot;
    }
    name->queue_tail = saga->slot;
    name->waiting++;
}

void sp_sagas_unqueue(struct sp_sagas *sagas, struct sp_saga *saga) {
    struct sp_saga_name *name = saga->version->name;
    if (saga->queue_previous != SP_NONE) {
        sagas->slots[saga->queue_previous]->queue_next = saga->queue_next;
    } else {
        name->queue_head = saga->queue_next;
    }
    if (saga->queue_next != SP_NONE) {
        sagas->slots[saga->queue_next]->queue_previous = saga->queue_previous;
    } else {
        name->queue_tail = saga->queue_previous;
    }
    saga->queue_previous = SP_NONE;
    saga->queue_next = SP_NONE;
    name->waiting--;
    name->running++;
}

void sp_sagas_admit(struct sp_sagas *sagas, struct sp_saga_name *name) {
    while (name->queue_head != SP_NONE && (name->limit == 0 || name->running < name->limit) &&
           sagas->failed == SP_OK) {
        struct sp_saga *saga = sagas->slots[name->queue_head];
        sp_sagas_unqueue(sagas, saga);
        sp_saga_walk_begin(sagas, saga);
    }
}
