#include "sim/bus_model.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "match/pattern.h"

const char *const bus_key_texts[BUS_KEYS_ALL] = {"orders",
                                                 "tasks",
                                                 "logs",
                                                 "jobs",
                                                 "mail",
                                                 "$all",
                                                 "$type:task.#",
                                                 "$type:task.new",
                                                 "$source:/s1",
                                                 "$correlation:run-1",
                                                 "$type:delivery.dead_lettered"};
const char *const bus_group_names[BUS_GROUP_NAMES] = {"g", "h", "i"};
const char *const bus_consumer_names[BUS_CONSUMERS] = {"alice", "bob", "carol", "dave"};
const char *const bus_types[BUS_TYPES] = {"task.new",  "task.done", "task.step.one",
                                          "note.made", "note",      "other"};
const char *const bus_sources[BUS_SOURCES] = {"/s0", "/s1", "/s2"};
const char *const bus_runs[BUS_RUNS] = {"run-0", "run-1", "run-2", "run-3"};
const char *const bus_patterns[BUS_PATTERNS] = {"", "task.*", "#", "note.#", "task.new"};
const char *const bus_filters[BUS_FILTERS] = {"", "{\"data.n\":{\"$lt\":6}}",
                                              "{\"data.n\":{\"$gte\":3}}"};

/* ---- events ---- */

void bus_log_fini(struct bus_log *log) {
    free(log->events);
    free(log->names);
}

uint32_t bus_log_name(struct bus_log *log, sp_str name) {
    for (uint32_t i = 0; i < log->name_count; i++) {
        if (sp_str_eq(sp_str_from(log->names[i]), name)) {
            return i;
        }
    }
    sp_require(name.len < BUS_NAME_SIZE);
    if (log->name_count == log->name_capacity) {
        log->name_capacity = log->name_capacity == 0 ? 32 : log->name_capacity * 2;
        log->names = realloc(log->names, log->name_capacity * sizeof(*log->names));
        sp_ensure(log->names != NULL);
    }
    memcpy(log->names[log->name_count], name.ptr, name.len);
    log->names[log->name_count][name.len] = '\0';
    return log->name_count++;
}

struct bus_event *bus_log_add(struct bus_log *log) {
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 256 : log->capacity * 2;
        log->events = realloc(log->events, log->capacity * sizeof(*log->events));
        sp_ensure(log->events != NULL);
    }
    memset(&log->events[log->count], 0, sizeof(*log->events));
    return &log->events[log->count++];
}

/* ---- the model ---- */

void bus_model_init(struct bus_model *model, struct bus_log *log) {
    memset(model, 0, sizeof(*model));
    for (uint32_t i = 0; i < BUS_KEYS; i++) {
        model->key_stream[i] = bus_log_name(log, sp_str_from(bus_key_texts[i]));
    }
}

void bus_model_fini(struct bus_model *model) {
    for (int i = 0; i < BUS_GROUPS; i++) {
        free(model->groups[i].entries);
    }
    free(model->streams);
    free(model->shown);
    memset(model, 0, sizeof(*model));
}

static void reserve_shown(struct bus_model *model, size_t count) {
    if (count > model->shown_capacity) {
        model->shown_capacity = count * 2;
        model->shown = realloc(model->shown, model->shown_capacity);
        sp_ensure(model->shown != NULL);
    }
}

static void reserve_entries(struct bus_group *group, size_t count) {
    if (count > group->capacity) {
        group->capacity = count * 2;
        group->entries = realloc(group->entries, group->capacity * sizeof(*group->entries));
        sp_ensure(group->entries != NULL);
    }
}

static void copy_group(struct bus_group *to, const struct bus_group *from) {
    struct bus_entry *entries = to->entries;
    size_t capacity = to->capacity;
    *to = *from;
    to->entries = entries;
    to->capacity = capacity;
    reserve_entries(to, from->count);
    if (from->count > 0) {
        memcpy(to->entries, from->entries, from->count * sizeof(*from->entries));
    }
}

void bus_model_copy(struct bus_model *to, const struct bus_model *from) {
    to->calls = from->calls;
    to->position = from->position;
    memcpy(to->key_stream, from->key_stream, sizeof(to->key_stream));
    memcpy(to->agents, from->agents, sizeof(to->agents));
    reserve_shown(to, from->position + 1);
    if (from->position > 0) {
        memcpy(to->shown, from->shown, from->position);
    }
    if (to->stream_count != from->stream_count) {
        to->streams = realloc(to->streams, (from->stream_count + 1) * sizeof(*to->streams));
        sp_ensure(to->streams != NULL);
        to->stream_count = from->stream_count;
    }
    if (from->stream_count > 0) {
        memcpy(to->streams, from->streams, from->stream_count * sizeof(*to->streams));
    }
    for (int i = 0; i < BUS_GROUPS; i++) {
        copy_group(&to->groups[i], &from->groups[i]);
    }
}

/* ---- streams ---- */

struct bus_stream *bus_model_stream(struct bus_model *model, uint32_t name) {
    if (name >= model->stream_count) {
        model->streams = realloc(model->streams, (name + 1) * sizeof(*model->streams));
        sp_ensure(model->streams != NULL);
        memset(model->streams + model->stream_count, 0,
               (name + 1 - model->stream_count) * sizeof(*model->streams));
        model->stream_count = name + 1;
    }
    return &model->streams[name];
}

const char *bus_model_add(struct bus_model *model, const struct bus_log *log) {
    const struct bus_event *event = &log->events[model->position];
    struct bus_stream *stream = bus_model_stream(model, event->stream);
    reserve_shown(model, model->position + 1);
    model->shown[model->position++] = 1;
    if (event->version != stream->version + 1) {
        return "its version does not follow";
    }
    if (sp_entry_id_compare(event->id, stream->last_id) <= 0) {
        return "its id does not rise in its stream";
    }
    stream->exists = true;
    stream->version++;
    stream->length++;
    stream->entries_added++;
    stream->last_id = event->id;
    stream->own_ids = stream->own_ids || sp_entry_id_compare(event->id, event->of_log) != 0;
    return NULL;
}

void bus_model_delete(struct bus_model *model, const struct bus_log *log, uint32_t key) {
    uint32_t name = model->key_stream[key];
    struct bus_stream *stream = bus_model_stream(model, name);
    *stream = (struct bus_stream){.version = stream->version};
    for (uint64_t p = 1; p <= model->position; p++) {
        if (log->events[p - 1].stream == name) {
            model->shown[p - 1] = 0;
        }
    }
    for (int i = 0; i < BUS_GROUPS; i++) {
        if (model->groups[i].used && model->groups[i].key == key) {
            model->groups[i].used = false;
        }
    }
}

void bus_model_hide(struct bus_model *model, const struct bus_log *log, uint64_t position) {
    sp_require(model->shown[position - 1]);
    model->shown[position - 1] = 0;
    bus_model_stream(model, log->events[position - 1].stream)->length--;
}

uint64_t bus_model_next_shown(const struct bus_model *model, const struct bus_log *log,
                              uint32_t stream, uint64_t from) {
    for (uint64_t p = from == 0 ? 1 : from; p <= model->position; p++) {
        if (log->events[p - 1].stream == stream && model->shown[p - 1]) {
            return p;
        }
    }
    return 0;
}

static bool has(const struct bus_model *model, const struct bus_log *log, uint32_t key,
                uint64_t position) {
    if (position > model->position) {
        return false;
    }
    const struct bus_event *event = &log->events[position - 1];
    switch (key) {
    case 5:
        return true;
    case 6:
    case 7:
    case 10:
        return sp_pattern_match(sp_str_from(bus_key_texts[key] + 6), sp_str_from(event->type));
    case 8:
        return strcmp(event->source, bus_key_texts[key] + 8) == 0;
    case 9:
        return strcmp(event->run, bus_key_texts[key] + 13) == 0;
    default:
        return event->stream == model->key_stream[key] && model->shown[position - 1];
    }
}

bool bus_model_has(const struct bus_model *model, const struct bus_log *log, uint32_t key,
                   uint64_t position) {
    return position >= log->first && has(model, log, key, position);
}

struct sp_entry_id bus_entry_id(const struct bus_log *log, uint32_t key, uint64_t position) {
    const struct bus_event *event = &log->events[position - 1];
    return bus_is_virtual(key) ? event->of_log : event->id;
}

/* ---- groups ---- */

static bool passes_filter(uint32_t filter, const struct bus_event *event) {
    switch (filter) {
    case 1:
        return event->n >= 0 && event->n < 6;
    case 2:
        return event->n >= 3;
    default:
        return true;
    }
}

/* Events of the store's own go only to who names their type, or their very stream. */
static bool sees_own(const struct bus_group *group) {
    return group->key == 7 || group->key == 10 || (group->has_policy && group->pattern == 4) ||
           !bus_is_virtual(group->key);
}

bool bus_group_wants_it(const struct bus_model *model, const struct bus_log *log,
                        const struct bus_group *group, uint64_t position) {
    return position >= log->first && bus_group_wanted_it(model, log, group, position);
}

bool bus_group_wanted_it(const struct bus_model *model, const struct bus_log *log,
                         const struct bus_group *group, uint64_t position) {
    const struct bus_event *event = &log->events[position - 1];
    if (!has(model, log, group->key, position) || (event->own && !sees_own(group))) {
        return false;
    }
    if (!group->has_policy) {
        return true;
    }
    bool typed = group->pattern == 0 || sp_pattern_match(sp_str_from(bus_patterns[group->pattern]),
                                                         sp_str_from(event->type));
    return typed && passes_filter(group->filter, event);
}

uint32_t bus_order_key(const struct bus_log *log, const struct bus_group *group,
                       uint64_t position) {
    const struct bus_event *event = &log->events[position - 1];
    const char *value = NULL;
    switch (group->has_policy ? group->policy.order_by : SP_GROUP_ORDER_NONE) {
    case SP_GROUP_ORDER_NONE:
        return 0;
    case SP_GROUP_ORDER_STREAM:
        value = log->names[event->stream];
        break;
    case SP_GROUP_ORDER_SOURCE:
        value = event->source;
        break;
    case SP_GROUP_ORDER_CORRELATION:
        value = event->run;
        break;
    }
    return (uint32_t)sp_hash(value, strlen(value)) | 1;
}

static size_t place_of(const struct bus_group *group, uint64_t position) {
    size_t low = 0;
    size_t high = group->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (group->entries[middle].position < position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct bus_entry *bus_entry_find(const struct bus_group *group, uint64_t position) {
    size_t at = place_of(group, position);
    return at < group->count && group->entries[at].position == position ? &group->entries[at]
                                                                        : NULL;
}

struct bus_entry *bus_entry_make(struct bus_group *group, uint64_t position) {
    struct bus_entry *found = bus_entry_find(group, position);
    if (found != NULL) {
        return found;
    }
    size_t at = place_of(group, position);
    reserve_entries(group, group->count + 1);
    memmove(group->entries + at + 1, group->entries + at,
            (group->count - at) * sizeof(*group->entries));
    group->count++;
    group->entries[at] = (struct bus_entry){.position = position, .state = BUS_DONE};
    return &group->entries[at];
}

void bus_entry_drop(struct bus_group *group, struct bus_entry *entry) {
    size_t at = (size_t)(entry - group->entries);
    group->count--;
    memmove(entry, entry + 1, (group->count - at) * sizeof(*entry));
}

void bus_entry_done(struct bus_group *group, struct bus_entry *entry) {
    if (entry->position > group->cursor) {
        bus_entry_drop(group, entry);
    } else {
        entry->state = BUS_DONE;
    }
}

struct bus_entry *bus_entry_of_id(const struct bus_log *log, const struct bus_group *group,
                                  struct sp_entry_id id) {
    for (size_t i = 0; i < group->count; i++) {
        struct bus_entry *entry = &group->entries[i];
        if (sp_entry_id_compare(bus_entry_id(log, group->key, entry->position), id) == 0) {
            return entry;
        }
    }
    return NULL;
}

uint64_t bus_group_count(const struct bus_group *group, enum bus_state state) {
    uint64_t count = 0;
    for (size_t i = 0; i < group->count; i++) {
        count += group->entries[i].state == state ? 1 : 0;
    }
    return count;
}

bool bus_key_is_taken(const struct bus_group *group, uint32_t key, uint64_t position) {
    for (size_t i = 0; key != 0 && i < group->count; i++) {
        const struct bus_entry *entry = &group->entries[i];
        bool pending = entry->state == BUS_FLIGHT || entry->state == BUS_WAITING;
        bool before = entry->state == BUS_PARKED && entry->position < position;
        if (entry->key == key && entry->position != position && (pending || before)) {
            return true;
        }
    }
    return false;
}

static bool could_give_again(const struct bus_model *model, const struct bus_log *log,
                             const struct bus_group *group, const struct bus_entry *entry,
                             uint64_t now_ms) {
    bool due = entry->state == BUS_WAITING && entry->time_ms <= now_ms;
    bool free = entry->state == BUS_PARKED && !bus_key_is_taken(group, entry->key, entry->position);
    return (due || free) && bus_model_has(model, log, group->key, entry->position);
}

uint64_t bus_group_could_give(const struct bus_model *model, const struct bus_log *log,
                              const struct bus_group *group, uint64_t now_ms, uint64_t durable) {
    if (group->has_policy && group->policy.in_flight_max > 0 &&
        bus_group_count(group, BUS_FLIGHT) >= group->policy.in_flight_max) {
        return 0;
    }
    for (size_t i = 0; i < group->count; i++) {
        if (could_give_again(model, log, group, &group->entries[i], now_ms)) {
            return group->entries[i].position;
        }
    }
    for (uint64_t p = group->cursor + 1; p <= durable; p++) {
        if (!bus_group_wants_it(model, log, group, p)) {
            continue;
        }
        const struct bus_entry *entry = bus_entry_find(group, p);
        bool taken = group->has_policy && entry != NULL && entry->state != BUS_DONE;
        uint32_t key = bus_order_key(log, group, p);
        bool parked = false;
        for (size_t i = 0; key != 0 && i < group->count; i++) {
            parked =
                parked || (group->entries[i].state == BUS_PARKED && group->entries[i].key == key);
        }
        if (!taken && !parked && !bus_key_is_taken(group, key, p)) {
            return p;
        }
    }
    return 0;
}
