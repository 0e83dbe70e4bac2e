#include "server/live.h"

#include <stdlib.h>

#include "base/hash.h"
#include "server/live_int.h"

enum { MEMBERS_FIRST = 2 };

sp_status sp_live_new(struct sp_live **ret_live) {
    struct sp_live *live = calloc(1, sizeof(*live));
    if (live == NULL) {
        return SP_NO_MEMORY;
    }
    live->topic_free = LIVE_NONE;
    live->filter_free = LIVE_NONE;
    sp_htab_init(&live->topic_table);
    sp_htab_init(&live->filter_table);
    sp_demands_init(&live->demands);
    sp_globs_init(&live->globs, SP_LIVE_INTERESTS_MAX);
    sp_trie_init(&live->trie, SP_TRIE_PAIRS_MAX, SP_LIVE_INTERESTS_MAX);
    *ret_live = live;
    return SP_OK;
}

void sp_live_free(struct sp_live *live) {
    if (live == NULL) {
        return;
    }
    for (uint32_t i = 0; i < live->topic_count; i++) {
        free(live->topics[i].name);
        free(live->topics[i].members);
    }
    for (uint32_t i = 0; i < live->filter_count; i++) {
        sp_filter_free(live->filters[i].filter);
        free(live->filters[i].text);
    }
    free(live->topics);
    free(live->filters);
    free(live->by_id);
    free(live->ids_free);
    sp_htab_fini(&live->topic_table);
    sp_htab_fini(&live->filter_table);
    sp_demands_fini(&live->demands);
    sp_globs_fini(&live->globs);
    sp_trie_fini(&live->trie);
    free(live);
}

uint32_t sp_live_count(const struct sp_live *live) {
    return live->interest_count;
}

sp_status live_check_room(const struct sp_live *live, const struct sp_live_interest *interest,
                          struct sp_error *error) {
    sp_require(!interest->added && !live->matching);
    if (live->interest_count >= SP_LIVE_INTERESTS_MAX) {
        return sp_error_set(error, SP_LIMIT, "%u subscriptions are there already",
                            live->interest_count);
    }
    return SP_OK;
}

/* -- Topics ------------------------------------------------------------------------------------ */

static uint64_t topic_hash(enum topic_kind kind, sp_str name) {
    return sp_hash_seeded(name.ptr, name.len, (uint64_t)kind << 40);
}

static sp_str topic_name(const struct topic *topic) {
    return sp_str_of(topic->name, topic->name_len);
}

uint32_t live_topic_find(const struct sp_live *live, enum topic_kind kind, sp_str name) {
    if (live->topics_of[kind] == 0) {
        return LIVE_NONE;
    }
    struct sp_htab_probe probe = sp_htab_find(&live->topic_table, topic_hash(kind, name));
    uint32_t number = 0;
    while (sp_htab_next(&probe, &number)) {
        const struct topic *topic = &live->topics[number];
        if (topic->kind == kind && sp_str_eq(topic_name(topic), name)) {
            return number;
        }
    }
    return LIVE_NONE;
}

static sp_status topics_reserve(struct sp_live *live) {
    sp_status status = sp_htab_reserve(&live->topic_table, (size_t)live->topic_table.count + 1);
    if (status != SP_OK || live->topic_free != LIVE_NONE ||
        live->topic_count < live->topic_capacity) {
        return status;
    }
    uint32_t capacity = live->topic_capacity == 0 ? LIVE_FIRST : live->topic_capacity * 2;
    struct topic *topics = realloc(live->topics, capacity * sizeof(*topics));
    if (topics == NULL) {
        return SP_NO_MEMORY;
    }
    live->topics = topics;
    live->topic_capacity = capacity;
    return SP_OK;
}

static sp_status topic_make(struct sp_live *live, enum topic_kind kind, sp_str name,
                            uint32_t *ret_number) {
    sp_status status = topics_reserve(live);
    char *copy = status == SP_OK ? malloc(name.len + 1) : NULL;
    if (copy == NULL) {
        return SP_NO_MEMORY;
    }
    if (name.len > 0) {
        memcpy(copy, name.ptr, name.len);
    }
    copy[name.len] = '\0';
    uint32_t number = live->topic_free;
    if (number != LIVE_NONE) {
        live->topic_free = live->topics[number].count;
    } else {
        number = live->topic_count++;
    }
    uint64_t hash = topic_hash(kind, name);
    live->topics[number] =
        (struct topic){.kind = kind, .name = copy, .name_len = (uint32_t)name.len, .hash = hash};
    status = sp_htab_add(&live->topic_table, hash, number);
    sp_ensure(status == SP_OK); /* there is room */
    live->topics_of[kind]++;
    *ret_number = number;
    return SP_OK;
}

/* Nobody is there any more. */
static void topic_drop(struct sp_live *live, uint32_t number) {
    struct topic *topic = &live->topics[number];
    sp_require(topic->count == 0 && topic->name != NULL);
    sp_invariant(live->topics_of[topic->kind] > 0);
    live->topics_of[topic->kind]--;
    sp_htab_remove(&live->topic_table, topic->hash, number);
    if (topic->kind == TOPIC_GLOB) {
        sp_status status = sp_globs_remove(&live->globs, topic_name(topic), number);
        sp_invariant(status == SP_OK || status == SP_NOT_FOUND); /* making it may have failed */
    }
    free(topic->name);
    free(topic->members);
    *topic = (struct topic){.count = live->topic_free};
    live->topic_free = number;
}

static sp_status members_reserve(struct topic *topic) {
    if (topic->count < topic->capacity) {
        return SP_OK;
    }
    uint32_t capacity = topic->capacity == 0 ? MEMBERS_FIRST : topic->capacity * 2;
    struct sp_live_interest **members =
        realloc(topic->members, capacity * sizeof(struct sp_live_interest *));
    if (members == NULL) {
        return SP_NO_MEMORY;
    }
    topic->members = members;
    topic->capacity = capacity;
    return SP_OK;
}

/* Finds the topic, or makes it; a glob among the globs, too. */
static sp_status topic_enter(struct sp_live *live, enum topic_kind kind, sp_str name,
                             uint32_t *ret_number, struct sp_error *error) {
    *ret_number = live_topic_find(live, kind, name);
    if (*ret_number != LIVE_NONE) {
        return SP_OK;
    }
    sp_status status = topic_make(live, kind, name, ret_number);
    if (status != SP_OK) {
        return sp_error_set(error, status, "subscription");
    }
    if (kind != TOPIC_GLOB) {
        return SP_OK;
    }
    status = sp_globs_add(&live->globs, name, *ret_number, error);
    if (status != SP_OK) {
        topic_drop(live, *ret_number);
    }
    return status;
}

sp_status live_topic_add(struct sp_live *live, enum topic_kind kind, sp_str name,
                         struct sp_live_interest *interest, struct sp_error *error) {
    uint32_t number = 0;
    sp_status status = topic_enter(live, kind, name, &number, error);
    if (status != SP_OK) {
        return status;
    }
    struct topic *topic = &live->topics[number];
    if (members_reserve(topic) != SP_OK) {
        if (topic->count == 0) {
            topic_drop(live, number);
        }
        return sp_error_set(error, SP_NO_MEMORY, "subscription");
    }
    interest->by_type = false;
    interest->place = number;
    interest->slot = topic->count;
    interest->added = true;
    topic->members[topic->count++] = interest;
    live->interest_count++;
    return SP_OK;
}

sp_status live_topic_count_up(struct sp_live *live, enum topic_kind kind, sp_str name,
                              struct sp_error *error) {
    uint32_t number = 0;
    sp_status status = topic_enter(live, kind, name, &number, error);
    if (status == SP_OK) {
        live->topics[number].count++;
    }
    return status;
}

void live_topic_count_down(struct sp_live *live, enum topic_kind kind, sp_str name) {
    uint32_t number = live_topic_find(live, kind, name);
    sp_require(number != LIVE_NONE && live->topics[number].count > 0);
    if (--live->topics[number].count == 0) {
        topic_drop(live, number);
    }
}

static void remove_from_topic(struct sp_live *live, const struct sp_live_interest *interest) {
    struct topic *topic = &live->topics[interest->place];
    sp_invariant(interest->slot < topic->count && topic->members[interest->slot] == interest);
    struct sp_live_interest *last = topic->members[--topic->count];
    topic->members[interest->slot] = last;
    last->slot = interest->slot;
    if (topic->count == 0) {
        topic_drop(live, interest->place);
    }
}

sp_status sp_live_add_name(struct sp_live *live, enum sp_live_kind kind, sp_str name,
                           struct sp_live_interest *interest, struct sp_error *error) {
    sp_require(kind <= SP_LIVE_GLOB);
    sp_status status = live_check_room(live, interest, error);
    if (status == SP_OK) {
        interest->kind = kind;
        interest->query = NULL;
        status = live_topic_add(live, (enum topic_kind)kind, name, interest, error);
    }
    return status;
}

void sp_live_remove(struct sp_live *live, struct sp_live_interest *interest) {
    if (!interest->added) {
        return;
    }
    sp_require(!live->matching);
    if (interest->by_type) {
        live_type_remove(live, interest);
    } else {
        remove_from_topic(live, interest);
    }
    live_query_free(live, interest->query);
    *interest = (struct sp_live_interest){.kind = interest->kind};
    sp_invariant(live->interest_count > 0);
    live->interest_count--;
}

/* -- Matching names ---------------------------------------------------------------------------- */

static void yield_members(const struct topic *topic, sp_live_found_fn *found, void *context) {
    for (uint32_t i = 0; i < topic->count; i++) {
        found(context, topic->members[i], topic_name(topic));
    }
}

void sp_live_match_channel(struct sp_live *live, sp_str channel, sp_live_found_fn *found,
                           void *context) {
    sp_require(!live->matching);
    live->matching = true;
    uint32_t number = live_topic_find(live, TOPIC_CHANNEL, channel);
    if (number != LIVE_NONE) {
        yield_members(&live->topics[number], found, context);
    }
    const uint32_t *ids = NULL;
    size_t count = sp_globs_match(&live->globs, channel, &ids);
    for (size_t i = 0; i < count; i++) {
        yield_members(&live->topics[ids[i]], found, context);
    }
    live->matching = false;
}

void sp_live_match_shard(struct sp_live *live, sp_str channel, sp_live_found_fn *found,
                         void *context) {
    sp_require(!live->matching);
    live->matching = true;
    uint32_t number = live_topic_find(live, TOPIC_SHARD, channel);
    if (number != LIVE_NONE) {
        yield_members(&live->topics[number], found, context);
    }
    live->matching = false;
}

void sp_live_match_globs(struct sp_live *live, sp_str channel, sp_live_name_fn *each,
                         void *context) {
    const uint32_t *ids = NULL;
    size_t count = sp_globs_match(&live->globs, channel, &ids);
    for (size_t i = 0; i < count; i++) {
        each(context, topic_name(&live->topics[ids[i]]));
    }
}

size_t sp_live_receivers(struct sp_live *live, enum sp_live_kind kind, sp_str channel) {
    size_t total = sp_live_name_count(live, kind, channel);
    const uint32_t *ids = NULL;
    size_t count = kind == SP_LIVE_CHANNEL ? sp_globs_match(&live->globs, channel, &ids) : 0;
    for (size_t i = 0; i < count; i++) {
        total += live->topics[ids[i]].count;
    }
    return total;
}

/* -- Names ------------------------------------------------------------------------------------- */

uint32_t sp_live_name_count(const struct sp_live *live, enum sp_live_kind kind, sp_str name) {
    sp_require(kind <= SP_LIVE_GLOB);
    uint32_t number = live_topic_find(live, (enum topic_kind)kind, name);
    return number == LIVE_NONE ? 0 : live->topics[number].count;
}

uint32_t sp_live_names(const struct sp_live *live, enum sp_live_kind kind) {
    sp_require(kind <= SP_LIVE_GLOB);
    return live->topics_of[kind];
}

void sp_live_each_name(const struct sp_live *live, enum sp_live_kind kind, sp_live_name_fn *each,
                       void *context) {
    for (uint32_t i = 0; i < live->topic_count; i++) {
        const struct topic *topic = &live->topics[i];
        if (topic->name != NULL && topic->kind == (enum topic_kind)kind) {
            each(context, topic_name(topic));
        }
    }
}
