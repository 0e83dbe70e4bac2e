#include <stdlib.h>

#include "base/hash.h"
#include "server/live_int.h"

/* -- Filters ----------------------------------------------------------------------------------- */

static uint32_t filter_find(const struct sp_live *live, sp_str text, uint64_t hash) {
    struct sp_htab_probe probe = sp_htab_find(&live->filter_table, hash);
    uint32_t number = 0;
    while (sp_htab_next(&probe, &number)) {
        const struct shared_filter *shared = &live->filters[number];
        if (sp_str_eq(sp_str_of(shared->text, shared->text_len), text)) {
            return number;
        }
    }
    return LIVE_NONE;
}

static sp_status filters_reserve(struct sp_live *live) {
    sp_status status = sp_htab_reserve(&live->filter_table, (size_t)live->filter_table.count + 1);
    if (status != SP_OK || live->filter_free != LIVE_NONE ||
        live->filter_count < live->filter_capacity) {
        return status;
    }
    uint32_t capacity = live->filter_capacity == 0 ? LIVE_FIRST : live->filter_capacity * 2;
    struct shared_filter *filters = realloc(live->filters, capacity * sizeof(*filters));
    if (filters == NULL) {
        return SP_NO_MEMORY;
    }
    live->filters = filters;
    live->filter_capacity = capacity;
    return SP_OK;
}

static sp_status filter_make(struct sp_live *live, sp_str text, uint64_t hash, uint32_t *ret_number,
                             struct sp_error *error) {
    struct sp_filter *filter = NULL;
    sp_status status = sp_filter_compile(text, &filter, error);
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "filter");
    }
    char *copy = malloc(text.len + 1);
    if (copy == NULL || filters_reserve(live) != SP_OK) {
        free(copy);
        sp_filter_free(filter);
        return sp_error_set(error, SP_NO_MEMORY, "filter");
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    uint32_t number = live->filter_free;
    if (number != LIVE_NONE) {
        live->filter_free = live->filters[number].users;
    } else {
        number = live->filter_count++;
    }
    live->filters[number] = (struct shared_filter){
        .filter = filter, .text = copy, .text_len = (uint32_t)text.len, .hash = hash};
    status = sp_htab_add(&live->filter_table, hash, number);
    sp_ensure(status == SP_OK);
    *ret_number = number;
    return SP_OK;
}

static sp_status filter_ref(struct sp_live *live, sp_str text, uint32_t *ret_number,
                            struct sp_error *error) {
    *ret_number = LIVE_NONE;
    if (text.ptr == NULL) {
        return SP_OK;
    }
    uint64_t hash = sp_hash(text.ptr, text.len);
    uint32_t number = filter_find(live, text, hash);
    sp_status status = SP_OK;
    if (number == LIVE_NONE) {
        status = filter_make(live, text, hash, &number, error);
    }
    if (status == SP_OK) {
        live->filters[number].users++;
        *ret_number = number;
    }
    return status;
}

static void filter_unref(struct sp_live *live, uint32_t number) {
    if (number == LIVE_NONE) {
        return;
    }
    struct shared_filter *shared = &live->filters[number];
    sp_invariant(shared->users > 0);
    if (--shared->users > 0) {
        return;
    }
    sp_htab_remove(&live->filter_table, shared->hash, number);
    sp_filter_free(shared->filter);
    free(shared->text);
    *shared = (struct shared_filter){.users = live->filter_free};
    live->filter_free = number;
}

static bool filter_matches(struct sp_live *live, uint32_t number, const struct sp_event *event) {
    if (number == LIVE_NONE) {
        return true;
    }
    struct shared_filter *shared = &live->filters[number];
    if (shared->event != live->events) {
        shared->event = live->events;
        shared->matched = sp_filter_match(shared->filter, event);
    }
    return shared->matched;
}

/* -- Queries ----------------------------------------------------------------------------------- */

static sp_str keep(char **at, sp_str text) {
    if (text.ptr == NULL) {
        return text;
    }
    sp_str kept = sp_str_of(*at, text.len);
    memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return kept;
}

void live_query_free(struct sp_live *live, struct sp_live_query *query) {
    if (query == NULL) {
        return;
    }
    if (query->demanded) {
        sp_demands_remove(&live->demands, live->filters[query->filter].filter);
    }
    filter_unref(live, query->filter);
    free(query->types);
    free(query->text);
    free(query);
}

static sp_status query_copy(struct sp_live *live, const struct sp_query *from,
                            struct sp_live_query **ret_query, struct sp_error *error) {
    size_t bytes = from->source.len + from->stream.len + from->correlation.len;
    for (size_t i = 0; i < from->type_count; i++) {
        bytes += from->types[i].len;
    }
    struct sp_live_query *query = calloc(1, sizeof(*query));
    if (query == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "subscription");
    }
    query->filter = LIVE_NONE;
    query->text = malloc(bytes + 1);
    query->types = calloc(from->type_count + 1, sizeof(*query->types));
    if (query->text == NULL || query->types == NULL) {
        live_query_free(live, query);
        return sp_error_set(error, SP_NO_MEMORY, "subscription");
    }
    char *at = query->text;
    query->source = keep(&at, from->source);
    query->stream = keep(&at, from->stream);
    query->correlation = keep(&at, from->correlation);
    sp_status status = SP_OK;
    for (size_t i = 0; i < from->type_count && status == SP_OK; i++) {
        status = sp_pattern_check(from->types[i], error);
        query->types[query->type_count++] = keep(&at, from->types[i]);
    }
    status = status == SP_OK ? filter_ref(live, from->filter, &query->filter, error) : status;
    if (status != SP_OK) {
        live_query_free(live, query);
        return status;
    }
    *ret_query = query;
    return SP_OK;
}

/* -- By type ----------------------------------------------------------------------------------- */

static sp_status ids_reserve(struct sp_live *live) {
    if (live->ids_free_count > 0 || live->id_count < live->id_capacity) {
        return SP_OK;
    }
    uint32_t capacity = live->id_capacity == 0 ? LIVE_FIRST : live->id_capacity * 2;
    uint32_t *ids_free = realloc(live->ids_free, capacity * sizeof(*ids_free));
    if (ids_free == NULL) {
        return SP_NO_MEMORY;
    }
    live->ids_free = ids_free;
    struct sp_live_interest **by_id =
        realloc(live->by_id, capacity * sizeof(struct sp_live_interest *));
    if (by_id == NULL) {
        return SP_NO_MEMORY;
    }
    live->by_id = by_id;
    live->id_capacity = capacity;
    return SP_OK;
}

/* Takes the first `count` patterns out again. One may be named twice: it is there once. */
static void remove_types(struct sp_live *live, const struct sp_live_query *query, size_t count,
                         uint32_t id) {
    for (size_t i = 0; i < count; i++) {
        sp_status status = sp_trie_remove(&live->trie, query->types[i], id);
        sp_invariant(status == SP_OK || status == SP_NOT_FOUND);
        if (status == SP_OK) {
            live_topic_count_down(live, TOPIC_PATTERN, query->types[i]);
        }
    }
}

static sp_status add_type(struct sp_live *live, sp_str pattern, uint32_t id,
                          struct sp_error *error) {
    sp_status status = sp_trie_add(&live->trie, pattern, id, error);
    if (status != SP_OK) {
        return status == SP_CONFLICT ? SP_OK : status;
    }
    status = live_topic_count_up(live, TOPIC_PATTERN, pattern, error);
    if (status != SP_OK) {
        sp_status removed = sp_trie_remove(&live->trie, pattern, id);
        sp_ensure(removed == SP_OK);
    }
    return status;
}

static sp_status add_by_type(struct sp_live *live, struct sp_live_interest *interest,
                             struct sp_error *error) {
    const struct sp_live_query *query = interest->query;
    if (ids_reserve(live) != SP_OK) {
        return sp_error_set(error, SP_NO_MEMORY, "subscription");
    }
    uint32_t id =
        live->ids_free_count > 0 ? live->ids_free[live->ids_free_count - 1] : live->id_count;
    for (size_t i = 0; i < query->type_count; i++) {
        sp_status status = add_type(live, query->types[i], id, error);
        if (status != SP_OK) {
            remove_types(live, query, i, id);
            return status;
        }
    }
    if (live->ids_free_count > 0) {
        live->ids_free_count--;
    } else {
        live->id_count++;
    }
    live->by_id[id] = interest;
    interest->by_type = true;
    interest->place = id;
    interest->added = true;
    live->interest_count++;
    return SP_OK;
}

void live_type_remove(struct sp_live *live, const struct sp_live_interest *interest) {
    sp_invariant(live->by_id[interest->place] == interest);
    remove_types(live, interest->query, interest->query->type_count, interest->place);
    live->by_id[interest->place] = NULL;
    live->ids_free[live->ids_free_count++] = interest->place;
}

/* -- Where a query stands ---------------------------------------------------------------------- */

/* Where a query may be found: under one topic, or by its types. */
struct place {
    bool by_type;
    enum topic_kind kind;
    sp_str name;
};

/* The condition that, as a rule, leaves the fewest events. */
static struct place usual_place(const struct sp_live_query *query) {
    if (query->correlation.ptr != NULL) {
        return (struct place){.kind = TOPIC_CORRELATION, .name = query->correlation};
    }
    if (query->stream.ptr != NULL) {
        return (struct place){.kind = TOPIC_STREAM, .name = query->stream};
    }
    if (query->source.ptr != NULL) {
        return (struct place){.kind = TOPIC_SOURCE, .name = query->source};
    }
    return (struct place){.by_type = query->type_count > 0, .kind = TOPIC_ALL, .name = SP_STR("")};
}

static uint32_t count_under(const struct sp_live *live, enum topic_kind kind, sp_str name) {
    uint32_t number = live_topic_find(live, kind, name);
    return number == LIVE_NONE ? 0 : live->topics[number].count;
}

/* How many others an event that finds this place would have to be compared with. */
static uint32_t crowd_at(const struct sp_live *live, const struct sp_live_query *query,
                         const struct place *place) {
    uint32_t most = 0;
    if (!place->by_type) {
        return count_under(live, place->kind, place->name);
    }
    for (size_t i = 0; i < query->type_count; i++) {
        uint32_t count = count_under(live, TOPIC_PATTERN, query->types[i]);
        most = count > most ? count : most;
    }
    return most;
}

/*
 * Where there are others, what the filter demands may lead to fewer. Reading it off the event costs
 * as much as one filter, whoever else is found so.
 */
static void leave_crowd(struct sp_live *live, struct sp_live_query *query, struct place *place,
                        uint64_t *key) {
    uint32_t crowd = crowd_at(live, query, place);
    if (crowd < LIVE_CROWD || query->filter == LIVE_NONE ||
        !sp_demands_add(&live->demands, live->filters[query->filter].filter, key)) {
        return;
    }
    const struct place demanded = {.kind = TOPIC_VALUE, .name = sp_str_of(key, sizeof(*key))};
    if (crowd_at(live, query, &demanded) < crowd) {
        query->demanded = true;
        *place = demanded;
    } else {
        sp_demands_remove(&live->demands, live->filters[query->filter].filter);
    }
}

static sp_status add_query(struct sp_live *live, struct sp_live_interest *interest,
                           struct sp_error *error) {
    struct place place = usual_place(interest->query);
    uint64_t key = 0;
    leave_crowd(live, interest->query, &place, &key);
    interest->query->types_apart = !place.by_type;
    return place.by_type ? add_by_type(live, interest, error)
                         : live_topic_add(live, place.kind, place.name, interest, error);
}

sp_status sp_live_add_query(struct sp_live *live, const struct sp_query *query,
                            struct sp_live_interest *interest, struct sp_error *error) {
    sp_status status = live_check_room(live, interest, error);
    struct sp_live_query *copy = NULL;
    status = status == SP_OK ? query_copy(live, query, &copy, error) : status;
    if (status != SP_OK) {
        return status;
    }
    interest->kind = SP_LIVE_QUERY;
    interest->query = copy;
    status = add_query(live, interest, error);
    if (status != SP_OK) {
        interest->query = NULL;
        live_query_free(live, copy);
    }
    return status;
}

sp_status sp_live_add_key(struct sp_live *live, const struct sp_key *key,
                          struct sp_live_interest *interest, struct sp_error *error) {
    sp_status status = live_check_room(live, interest, error);
    if (status != SP_OK) {
        return status;
    }
    interest->kind = SP_LIVE_KEY;
    interest->query = NULL;
    switch (key->kind) {
    case SP_KEY_STREAM:
        return live_topic_add(live, TOPIC_STREAM, key->name, interest, error);
    case SP_KEY_SOURCE:
        return live_topic_add(live, TOPIC_SOURCE, key->name, interest, error);
    case SP_KEY_CORRELATION:
        return live_topic_add(live, TOPIC_CORRELATION, key->name, interest, error);
    case SP_KEY_ALL:
        return live_topic_add(live, TOPIC_ALL, SP_STR(""), interest, error);
    case SP_KEY_TYPE:
        break;
    }
    struct sp_query query = {.types = &key->name, .type_count = 1};
    status = sp_live_add_query(live, &query, interest, error);
    interest->kind = SP_LIVE_KEY;
    return status;
}

/* -- Matching ---------------------------------------------------------------------------------- */

/* What one match hands its findings to. */
struct matching {
    struct sp_live *live;
    const struct sp_event *event;
    sp_live_found_fn *found;
    void *context;
};

static bool text_matches(sp_str wanted, const struct sp_event *event, enum sp_attr attr) {
    return wanted.ptr == NULL || sp_str_eq(wanted, event->attr[attr]);
}

static bool types_match(const struct sp_live_query *query, sp_str type) {
    for (size_t i = 0; i < query->type_count; i++) {
        if (sp_pattern_match(query->types[i], type)) {
            return true;
        }
    }
    return query->type_count == 0;
}

static bool query_matches(struct sp_live *live, const struct sp_live_query *query,
                          const struct sp_event *event) {
    return query == NULL ||
           (text_matches(query->correlation, event, SP_ATTR_CORRELATION) &&
            text_matches(query->stream, event, SP_ATTR_STREAM) &&
            text_matches(query->source, event, SP_ATTR_SOURCE) &&
            (!query->types_apart || types_match(query, event->attr[SP_ATTR_TYPE])) &&
            filter_matches(live, query->filter, event));
}

static void consider(const struct matching *m, struct sp_live_interest *interest) {
    if (query_matches(m->live, interest->query, m->event)) {
        m->found(m->context, interest, SP_STR(""));
    }
}

static void consider_topic(const struct matching *m, enum topic_kind kind, sp_str name) {
    uint32_t number = live_topic_find(m->live, kind, name);
    if (number == LIVE_NONE) {
        return;
    }
    const struct topic *topic = &m->live->topics[number];
    for (uint32_t i = 0; i < topic->count; i++) {
        consider(m, topic->members[i]);
    }
}

/* Those that are found by what their filter demands. */
static void consider_values(const struct matching *m) {
    uint64_t keys[SP_DEMAND_PATHS_MAX];
    size_t count = 0;
    if (m->live->topics_of[TOPIC_VALUE] > 0) {
        count = sp_demands_of(&m->live->demands, m->event, keys);
    }
    for (size_t i = 0; i < count; i++) {
        consider_topic(m, TOPIC_VALUE, sp_str_of(&keys[i], sizeof(keys[i])));
    }
}

void sp_live_match_event(struct sp_live *live, const struct sp_event *event,
                         sp_live_found_fn *found, void *context) {
    sp_require(!live->matching);
    live->matching = true;
    live->events++;
    const struct matching m = {.live = live, .event = event, .found = found, .context = context};
    consider_topic(&m, TOPIC_ALL, SP_STR(""));
    consider_topic(&m, TOPIC_CORRELATION, event->attr[SP_ATTR_CORRELATION]);
    consider_topic(&m, TOPIC_STREAM, event->attr[SP_ATTR_STREAM]);
    consider_topic(&m, TOPIC_SOURCE, event->attr[SP_ATTR_SOURCE]);
    consider_values(&m);
    const uint32_t *ids = NULL;
    size_t count = sp_trie_match(&live->trie, event->attr[SP_ATTR_TYPE], &ids);
    for (size_t i = 0; i < count; i++) {
        consider(&m, live->by_id[ids[i]]);
    }
    live->matching = false;
}
