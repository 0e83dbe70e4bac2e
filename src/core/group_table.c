/*
 * Which groups and consumers there are: by number, by key and name.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "core/groups_int.h"

enum { FIRST_CAPACITY = 4 };

void sp_groups_init(struct sp_groups *groups) {
    *groups = (struct sp_groups){.list = NULL};
    sp_htab_init(&groups->by_key);
    sp_heap_init(&groups->waking);
}

void sp_group_care_free(struct sp_group_care *care) {
    if (care != NULL) {
        sp_rows_fini(&care->deadlines);
        sp_rows_fini(&care->waiting);
        sp_rows_fini(&care->busy);
        sp_rows_fini(&care->parked);
        sp_rows_fini(&care->ready);
        sp_rows_fini(&care->dead);
        free(care->texts);
        free(care);
    }
}

static void free_consumer(struct sp_consumer *consumer) {
    if (consumer != NULL) {
        sp_rows_fini(&consumer->entries);
        free(consumer->name);
        free(consumer);
    }
}

static void free_group(struct sp_group *group) {
    for (uint32_t i = 0; i < group->consumer_slots; i++) {
        free_consumer(group->consumers[i]);
    }
    sp_group_care_free(group->care);
    sp_rows_fini(&group->pending);
    free(group->consumers);
    free(group->by_name);
    free(group->name);
    free(group);
}

static void free_key(struct sp_group_key *key) {
    if (key != NULL) {
        free(key->groups);
        free(key->text);
        free(key);
    }
}

void sp_groups_fini(struct sp_groups *groups) {
    for (uint32_t i = 0; i < groups->count; i++) {
        free_group(groups->list[i]);
    }
    for (uint32_t i = 0; i < groups->key_count; i++) {
        free_key(groups->keys[i]);
    }
    free(groups->list);
    free(groups->keys);
    sp_htab_fini(&groups->by_key);
    sp_heap_fini(&groups->waking);
    sp_groups_init(groups);
}

/* A copy of a text; never NULL but where memory is out. */
static char *copy_text(sp_str text) {
    char *copy = malloc(text.len + 1);
    if (copy != NULL && text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    return copy;
}

/* Makes room for one more pointer in a list. */
static sp_status reserve_groups(struct sp_group ***list, uint32_t count, uint32_t *capacity) {
    if (count < *capacity) {
        return SP_OK;
    }
    uint32_t wanted = count == 0 ? FIRST_CAPACITY : count * 2;
    struct sp_group **grown = realloc(*list, wanted * sizeof(*grown));
    if (grown == NULL) {
        return SP_NO_MEMORY;
    }
    *list = grown;
    *capacity = wanted;
    return SP_OK;
}

/* ---- by number ---- */

static uint32_t seek_number(const struct sp_groups *groups, uint64_t number) {
    uint32_t low = 0;
    uint32_t high = groups->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (groups->list[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct sp_group *sp_group_at_mutable(const struct sp_groups *groups, uint64_t number) {
    uint32_t i = seek_number(groups, number);
    return i < groups->count && groups->list[i]->number == number ? groups->list[i] : NULL;
}

const struct sp_group *sp_group_at(const struct sp_groups *groups, uint64_t number) {
    return sp_group_at_mutable(groups, number);
}

const struct sp_group *sp_group_nth(const struct sp_groups *groups, size_t i) {
    return i < groups->count ? groups->list[i] : NULL;
}

/* ---- by key ---- */

static uint32_t find_key(const struct sp_groups *groups, sp_str key) {
    struct sp_htab_probe probe = sp_htab_find(&groups->by_key, sp_hash(key.ptr, key.len));
    uint32_t i;
    while (sp_htab_next(&probe, &i)) {
        if (sp_str_eq(sp_str_of(groups->keys[i]->text, groups->keys[i]->bytes), key)) {
            return i;
        }
    }
    return UINT32_MAX;
}

static uint32_t seek_name(const struct sp_group_key *key, sp_str name) {
    uint32_t low = 0;
    uint32_t high = key->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct sp_group *group = key->groups[middle];
        if (sp_str_cmp(sp_str_of(group->name, group->bytes), name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct sp_group *sp_group_find(const struct sp_groups *groups, sp_str key, sp_str name) {
    uint32_t slot = find_key(groups, key);
    if (slot == UINT32_MAX) {
        return NULL;
    }
    const struct sp_group_key *found = groups->keys[slot];
    uint32_t i = seek_name(found, name);
    if (i == found->count) {
        return NULL;
    }
    const struct sp_group *group = found->groups[i];
    return sp_str_eq(sp_str_of(group->name, group->bytes), name) ? group : NULL;
}

const struct sp_group *sp_group_of_key(const struct sp_groups *groups, sp_str key, size_t i) {
    uint32_t slot = find_key(groups, key);
    return slot != UINT32_MAX && i < groups->keys[slot]->count ? groups->keys[slot]->groups[i]
                                                               : NULL;
}

static sp_status reserve_key(struct sp_groups *groups) {
    if (groups->key_count < groups->key_capacity) {
        return SP_OK;
    }
    uint32_t capacity = groups->key_count == 0 ? FIRST_CAPACITY : groups->key_count * 2;
    struct sp_group_key **keys = realloc(groups->keys, capacity * sizeof(*keys));
    if (keys == NULL) {
        return SP_NO_MEMORY;
    }
    groups->keys = keys;
    groups->key_capacity = capacity;
    return SP_OK;
}

static uint64_t hash_of(const struct sp_group_key *key) {
    return sp_hash(key->text, key->bytes);
}

static sp_status add_key(struct sp_groups *groups, sp_str text, struct sp_group_key **ret_key) {
    sp_status status = reserve_key(groups);
    struct sp_group_key *key = status == SP_OK ? calloc(1, sizeof(*key)) : NULL;
    if (key == NULL) {
        return SP_NO_MEMORY;
    }
    key->text = copy_text(text);
    key->bytes = text.len;
    status = key->text == NULL ? SP_NO_MEMORY
                               : sp_htab_add(&groups->by_key, hash_of(key), groups->key_count);
    if (status != SP_OK) {
        free_key(key);
        return status;
    }
    groups->keys[groups->key_count++] = key;
    *ret_key = key;
    return SP_OK;
}

/* The last key takes the place of one that goes. */
static void remove_key(struct sp_groups *groups, struct sp_group_key *key) {
    uint32_t slot = find_key(groups, sp_str_of(key->text, key->bytes));
    uint32_t last = --groups->key_count;
    sp_htab_remove(&groups->by_key, hash_of(key), slot);
    if (slot != last) {
        sp_htab_remove(&groups->by_key, hash_of(groups->keys[last]), last);
        groups->keys[slot] = groups->keys[last];
        sp_status status = sp_htab_add(&groups->by_key, hash_of(groups->keys[slot]), slot);
        sp_ensure(status == SP_OK); /* it had a place */
    }
    free_key(key);
}

/* Enters the group under a key. */
static sp_status enter(struct sp_groups *groups, struct sp_group *group, sp_str text) {
    uint32_t slot = find_key(groups, text);
    struct sp_group_key *key = slot != UINT32_MAX ? groups->keys[slot] : NULL;
    sp_status status = key != NULL ? SP_OK : add_key(groups, text, &key);
    status = status == SP_OK ? reserve_groups(&key->groups, key->count, &key->capacity) : status;
    if (status != SP_OK) {
        return status;
    }
    uint32_t at = seek_name(key, sp_str_of(group->name, group->bytes));
    memmove(key->groups + at + 1, key->groups + at, (key->count - at) * sizeof(struct sp_group *));
    key->groups[at] = group;
    key->count++;
    group->key = key;
    return SP_OK;
}

/* Takes the group from its key, and the key away where it has no other. */
static void leave(struct sp_groups *groups, struct sp_group *group) {
    struct sp_group_key *key = group->key;
    uint32_t at = seek_name(key, sp_str_of(group->name, group->bytes));
    key->count--;
    memmove(key->groups + at, key->groups + at + 1, (key->count - at) * sizeof(struct sp_group *));
    if (key->count == 0) {
        remove_key(groups, key);
    }
}

/* ---- groups ---- */

static struct sp_group *new_group(uint64_t number, sp_str name) {
    struct sp_group *group = calloc(1, sizeof(*group));
    if (group != NULL) {
        group->name = copy_text(name);
        group->bytes = name.len;
        group->number = number;
        sp_rows_init(&group->pending, PENDING_WORDS, 1);
    }
    if (group != NULL && group->name == NULL) {
        free_group(group);
        return NULL;
    }
    return group;
}

sp_status sp_group_table_add(struct sp_groups *groups, uint64_t number, sp_str key, sp_str name,
                             struct sp_group **ret_group) {
    if (number <= groups->last_number || sp_group_find(groups, key, name) != NULL) {
        return SP_CORRUPT;
    }
    if (groups->count == SP_GROUPS_MAX) {
        return SP_LIMIT;
    }
    sp_status status = reserve_groups(&groups->list, groups->count, &groups->capacity);
    struct sp_group *group = status == SP_OK ? new_group(number, name) : NULL;
    status = group == NULL ? SP_NO_MEMORY : enter(groups, group, key);
    if (status != SP_OK) {
        if (group != NULL) {
            free_group(group);
        }
        return status;
    }
    groups->list[groups->count++] = group;
    groups->last_number = number;
    *ret_group = group;
    return SP_OK;
}

void sp_group_table_remove(struct sp_groups *groups, struct sp_group *group) {
    uint32_t i = seek_number(groups, group->number);
    sp_status status = sp_heap_set(&groups->waking, &group->wake, 0);
    sp_ensure(status == SP_OK);
    groups->count--;
    memmove(groups->list + i, groups->list + i + 1,
            (groups->count - i) * sizeof(struct sp_group *));
    groups->pending -= group->pending.count;
    leave(groups, group);
    free_group(group);
}

sp_status sp_group_table_rekey(struct sp_groups *groups, struct sp_group *group, sp_str key) {
    if (sp_group_find(groups, key, sp_str_of(group->name, group->bytes)) != NULL) {
        return SP_CORRUPT;
    }
    leave(groups, group);
    return enter(groups, group, key);
}

/* ---- consumers ---- */

static uint32_t seek_consumer(const struct sp_group *group, sp_str name) {
    uint32_t low = 0;
    uint32_t high = group->consumer_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct sp_consumer *consumer = group->consumers[group->by_name[middle]];
        if (sp_str_cmp(sp_str_of(consumer->name, consumer->bytes), name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t sp_consumer_nth(const struct sp_group *group, size_t i) {
    return i < group->consumer_count ? group->by_name[i] : SP_CONSUMER_NONE;
}

uint32_t sp_consumer_find(const struct sp_group *group, sp_str name) {
    uint32_t number = sp_consumer_nth(group, seek_consumer(group, name));
    const struct sp_consumer *consumer = sp_consumer_at(group, number);
    bool found = consumer != NULL && sp_str_eq(sp_str_of(consumer->name, consumer->bytes), name);
    return found ? number : SP_CONSUMER_NONE;
}

bool sp_consumer_get(const struct sp_group *group, uint32_t number,
                     struct sp_consumer_facts *ret_facts) {
    const struct sp_consumer *consumer = sp_consumer_at(group, number);
    if (consumer == NULL) {
        return false;
    }
    *ret_facts = (struct sp_consumer_facts){
        .number = number,
        .name = sp_str_of(consumer->name, consumer->bytes),
        .seen_ms = consumer->seen_ms,
        .active_ms = consumer->active_ms,
        .pending = consumer->entries.count,
    };
    return true;
}

static sp_status reserve_consumers(struct sp_group *group, uint32_t slots) {
    if (slots <= group->consumer_capacity) {
        return SP_OK;
    }
    uint32_t capacity = group->consumer_capacity == 0 ? FIRST_CAPACITY : group->consumer_capacity;
    while (capacity < slots) {
        capacity *= 2;
    }
    struct sp_consumer **consumers = realloc(group->consumers, capacity * sizeof(*consumers));
    group->consumers = consumers != NULL ? consumers : group->consumers;
    uint32_t *by_name = realloc(group->by_name, capacity * sizeof(*by_name));
    group->by_name = by_name != NULL ? by_name : group->by_name;
    if (consumers == NULL || by_name == NULL) {
        return SP_NO_MEMORY;
    }
    group->consumer_capacity = capacity;
    return SP_OK;
}

sp_status sp_group_add_consumer(struct sp_group *group, uint32_t number, sp_str name,
                                uint64_t seen_ms) {
    if (number >= SP_GROUP_CONSUMERS_MAX || sp_consumer_at(group, number) != NULL ||
        sp_consumer_find(group, name) != SP_CONSUMER_NONE) {
        return SP_CORRUPT;
    }
    sp_status status = reserve_consumers(group, number + 1);
    struct sp_consumer *consumer = status == SP_OK ? calloc(1, sizeof(*consumer)) : NULL;
    if (consumer == NULL) {
        return SP_NO_MEMORY;
    }
    consumer->name = copy_text(name);
    consumer->bytes = name.len;
    consumer->seen_ms = seen_ms;
    sp_rows_init(&consumer->entries, 1, 1);
    if (consumer->name == NULL) {
        free_consumer(consumer);
        return SP_NO_MEMORY;
    }
    while (group->consumer_slots <= number) {
        group->consumers[group->consumer_slots++] = NULL;
    }
    group->consumers[number] = consumer;
    uint32_t at = seek_consumer(group, name);
    memmove(group->by_name + at + 1, group->by_name + at,
            (group->consumer_count - at) * sizeof(*group->by_name));
    group->by_name[at] = number;
    group->consumer_count++;
    return SP_OK;
}

void sp_group_remove_consumer(struct sp_group *group, uint32_t number) {
    struct sp_consumer *consumer = group->consumers[number];
    sp_require(consumer->entries.count == 0);
    uint32_t at = seek_consumer(group, sp_str_of(consumer->name, consumer->bytes));
    group->consumer_count--;
    memmove(group->by_name + at, group->by_name + at + 1,
            (group->consumer_count - at) * sizeof(*group->by_name));
    free_consumer(consumer);
    group->consumers[number] = NULL;
    while (group->consumer_slots > 0 && group->consumers[group->consumer_slots - 1] == NULL) {
        group->consumer_slots--;
    }
}
