#include "engine/verify_events.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "core/control.h"

enum {
    TABLE_SLOTS_FIRST = 1 << 12,
    IDS_MAX = 1 << 22, /* of one of the two tables */
    SAMPLE_ALL = 4096, /* the first events of a segment are all looked up, */
    SAMPLE_EVERY = 64, /* then one of so many */
    TEXT_BYTES = 200,
};

struct verify_slot {
    uint64_t key; /* 0: empty */
    uint64_t value;
};

/* ---- a table ---- */

static sp_status table_init(struct verify_table *table, size_t slots) {
    table->slots = calloc(slots, sizeof(*table->slots));
    table->mask = slots - 1;
    table->count = 0;
    return table->slots != NULL ? SP_OK : SP_NO_MEMORY;
}

static struct verify_slot *table_find(const struct verify_table *table, uint64_t key) {
    size_t at = (size_t)(key >> 8) & table->mask;
    while (table->slots[at].key != 0 && table->slots[at].key != key) {
        at = (at + 1) & table->mask;
    }
    return &table->slots[at];
}

static void table_prefetch(const struct verify_table *table, uint64_t key) {
    __builtin_prefetch(&table->slots[(size_t)(key >> 8) & table->mask], 1);
}

static sp_status table_grow(struct verify_table *table) {
    struct verify_table larger;
    sp_status status = table_init(&larger, (table->mask + 1) * 2);
    if (status != SP_OK) {
        return status;
    }
    for (size_t i = 0; i <= table->mask; i++) {
        if (table->slots[i].key != 0) {
            *table_find(&larger, table->slots[i].key) = table->slots[i];
        }
    }
    larger.count = table->count;
    free(table->slots);
    *table = larger;
    return SP_OK;
}

/* The slot of a key, which is entered where it is new; its value is then 0. NULL: no memory. */
static struct verify_slot *table_enter(struct verify_table *table, uint64_t key) {
    struct verify_slot *slot = table_find(table, key);
    if (slot->key == 0) {
        if (table->count * 2 > table->mask && table_grow(table) != SP_OK) {
            return NULL;
        }
        slot = table_find(table, key);
        slot->key = key;
        table->count++;
    }
    return slot;
}

sp_status verify_events_init(struct verify_events *events, verify_events_say_fn *say,
                             void *context) {
    *events = (struct verify_events){.say = say, .context = context, .next_position = 1};
    sp_status status = table_init(&events->streams, TABLE_SLOTS_FIRST);
    status = status == SP_OK ? table_init(&events->ids[0], TABLE_SLOTS_FIRST) : status;
    return status == SP_OK ? table_init(&events->ids[1], TABLE_SLOTS_FIRST) : status;
}

void verify_events_fini(struct verify_events *events) {
    free(events->streams.slots);
    free(events->ids[0].slots);
    free(events->ids[1].slots);
    free(events->samples);
}

/* ---- one event ---- */

static void say(struct verify_events *events, uint64_t position,
                const struct sp_verify_place *place, const char *text) {
    events->say(events->context, position, position, place->file, place->offset, text);
}

static sp_status check_version(struct verify_events *events, const struct verify_ahead *event,
                               const struct sp_verify_place *place) {
    struct verify_slot *slot = table_enter(&events->streams, event->stream);
    if (slot == NULL) {
        return SP_NO_MEMORY;
    }
    bool follows = event->version == slot->value + 1 ||
                   (events->partly && event->version > slot->value) ||
                   (events->trimmed && slot->value == 0);
    if (!follows) {
        char text[TEXT_BYTES];
        (void)snprintf(text, sizeof(text),
                       "event %llu has version %llu of its stream, whose version was %llu",
                       (unsigned long long)event->position, (unsigned long long)event->version,
                       (unsigned long long)slot->value);
        say(events, event->position, place, text);
    }
    slot->value = event->version;
    return SP_OK;
}

static void check_entry_id(struct verify_events *events, const struct sp_event *event,
                           const struct sp_verify_place *place) {
    uint64_t ms = event->recorded_us / 1000;
    bool rises = !events->began || ms > events->entry_ms ||
                 (ms == events->entry_ms && event->entry_seq > events->entry_seq);
    if (!rises) {
        say(events, event->position, place, "its entry id does not rise above the one before");
    }
    events->entry_ms = ms;
    events->entry_seq = event->entry_seq;
}

static sp_status check_id(struct verify_events *events, const struct verify_ahead *event,
                          const struct sp_verify_place *place) {
    struct verify_table *older = &events->ids[1 - events->younger];
    uint64_t earlier = table_find(older, event->source_id)->value;
    struct verify_slot *slot = table_enter(&events->ids[events->younger], event->source_id);
    if (slot == NULL) {
        return SP_NO_MEMORY;
    }
    earlier = slot->value != 0 ? slot->value : earlier;
    if (earlier != 0) {
        char text[TEXT_BYTES];
        (void)snprintf(text, sizeof(text), "event %llu has the source and id of event %llu",
                       (unsigned long long)event->position, (unsigned long long)earlier);
        say(events, event->position, place, text);
    }
    slot->value = event->position;
    if (events->ids[events->younger].count >= IDS_MAX) {
        events->younger = 1 - events->younger;
        struct verify_table *emptied = &events->ids[events->younger];
        memset(emptied->slots, 0, (emptied->mask + 1) * sizeof(*emptied->slots));
        emptied->count = 0;
    }
    return SP_OK;
}

/* Takes the event that has waited longest to the tables. */
static sp_status check_oldest(struct verify_events *events, const char *file) {
    const struct verify_ahead *event = &events->ahead[events->ahead_begin++ % VERIFY_AHEAD];
    events->ahead_count--;
    struct sp_verify_place place = {.file = file, .offset = event->offset};
    sp_status status = check_version(events, event, &place);
    return status == SP_OK ? check_id(events, event, &place) : status;
}

/*
 * Brings an event's places in the tables towards the cache; a few events later they are looked at.
 */
static void look_ahead(struct verify_events *events, const struct sp_event *event,
                       const struct sp_index_keys *keys, uint64_t offset) {
    /* The pair of source and id; of a UUID the index has no such key, so the two are mixed here. */
    uint64_t pair =
        keys->has_source_id ? keys->source_id : (keys->source * 0x9e3779b97f4a7c15u) ^ keys->id;
    struct verify_ahead ahead = {.position = event->position,
                                 .version = event->version,
                                 .stream = keys->stream != 0 ? keys->stream : 1,
                                 .source_id = pair != 0 ? pair : 1,
                                 .offset = offset};
    table_prefetch(&events->streams, ahead.stream);
    table_prefetch(&events->ids[0], ahead.source_id);
    table_prefetch(&events->ids[1], ahead.source_id);
    events->ahead[(events->ahead_begin + events->ahead_count++) % VERIFY_AHEAD] = ahead;
}

static sp_status take_sample(struct verify_events *events, const struct sp_index_keys *keys,
                             uint64_t position) {
    uint64_t number = events->segment_events++;
    if (number >= SAMPLE_ALL && number % SAMPLE_EVERY != 0) {
        return SP_OK;
    }
    if (events->sample_count == events->sample_capacity) {
        size_t capacity = events->sample_capacity == 0 ? SAMPLE_ALL : events->sample_capacity * 2;
        struct verify_sample *samples = realloc(events->samples, capacity * sizeof(*samples));
        if (samples == NULL) {
            return SP_NO_MEMORY;
        }
        events->samples = samples;
        events->sample_capacity = capacity;
    }
    events->samples[events->sample_count++] =
        (struct verify_sample){.keys = *keys, .position = position};
    return SP_OK;
}

/*
 * Control records are numbered without gaps; where others are missing, upwards. A segment that is
 * read a second time may show its last ones again.
 */
static void check_control(struct verify_events *events, const struct sp_record *record,
                          const struct sp_verify_place *place) {
    if (record->control != SP_CONTROL_OPS) {
        return;
    }
    if (record->position + 1 != events->next_position) {
        events->trimmed = true;
        events->partly |= events->began;
        events->next_position = record->position + 1;
    }
    bool whole = !events->partly && (events->control_number > 0 || !events->trimmed);
    if (record->version <= events->control_number) {
        return;
    }
    if (whole && record->version != events->control_number + 1) {
        char text[TEXT_BYTES];
        (void)snprintf(text, sizeof(text), "control record %llu follows control record %llu",
                       (unsigned long long)record->version,
                       (unsigned long long)events->control_number);
        say(events, record->position, place, text);
    }
    events->control_number = record->version;
}

sp_status verify_events_add(struct verify_events *events, const struct sp_record *record,
                            const struct sp_verify_place *place) {
    if (record->kind != SP_RECORD_EVENT) {
        check_control(events, record, place);
        return SP_OK;
    }
    char scratch[SP_RECORD_SCRATCH_BYTES];
    struct sp_event event;
    if (record->position != events->next_position) {
        events->trimmed = true;
        events->partly |= events->began;
    }
    events->next_position = record->position + 1;
    if (sp_record_decode(record, scratch, &event) != SP_OK) {
        say(events, record->position, place, "the event's header makes no sense");
        events->partly = true;
        events->segment_events++;
        return SP_OK;
    }
    struct sp_index_keys keys = sp_index_keys_of(&event);
    check_entry_id(events, &event, place);
    sp_status status =
        events->ahead_count == VERIFY_AHEAD ? check_oldest(events, place->file) : SP_OK;
    look_ahead(events, &event, &keys, place->offset);
    status = status == SP_OK ? take_sample(events, &keys, event.position) : status;
    events->began = true;
    return status;
}

/* ---- the index of a segment ---- */

static sp_status read_memory(void *context, uint64_t offset, size_t len, void *to) {
    const sp_str *bytes = context;
    if (offset > bytes->len || len > bytes->len - offset) {
        return SP_IO;
    }
    memcpy(to, bytes->ptr + offset, len);
    return SP_OK;
}

struct wanted {
    uint32_t ordinal;
    unsigned role;
    bool found;
};

static bool found_id(void *context, uint32_t ordinal, enum sp_index_role role) {
    struct wanted *wanted = context;
    wanted->found |= ordinal == wanted->ordinal && (unsigned)role == wanted->role;
    return !wanted->found;
}

static sp_status look_up_id(const struct sp_section *section, uint64_t hash,
                            enum sp_index_role role, uint32_t ordinal, struct sp_buf *scratch,
                            bool *ret_found) {
    struct wanted wanted = {.ordinal = ordinal, .role = (unsigned)role};
    bool more;
    sp_buf_reset(scratch);
    sp_status status =
        sp_section_find_id(section, hash, (unsigned)role, scratch, found_id, &wanted, &more);
    *ret_found = wanted.found;
    return status;
}

static sp_status look_up_term(const struct sp_section *section, enum sp_index_kind kind,
                              uint64_t hash, uint32_t ordinal, struct sp_buf *scratch,
                              bool *ret_found) {
    struct sp_section_cursor cursor;
    struct sp_postings run;
    sp_buf_reset(scratch);
    sp_status status = sp_section_find(section, kind, hash, scratch, &cursor, &run);
    if (status == SP_OK && cursor.is_long) {
        sp_buf_reset(scratch);
        status = sp_section_fill(section, &cursor, ordinal, false, scratch, &run);
    } else if (status == SP_OK) {
        sp_postings_cut(&run, ordinal, false);
    }
    *ret_found = status == SP_OK && run.begin < run.end && run.ordinals[run.begin] == ordinal;
    return status;
}

/* Whether the section leads from each key of the event to the event. */
static sp_status look_up(const struct sp_section *section, const struct verify_sample *sample,
                         struct sp_buf *scratch, bool *ret_found) {
    const struct sp_index_keys *keys = &sample->keys;
    uint32_t ordinal = (uint32_t)(sample->position - sp_section_first(section));
    const uint64_t terms[SP_INDEX_KIND_COUNT] = {
        [SP_INDEX_STREAM] = keys->stream,
        [SP_INDEX_TYPE] = keys->type,
        [SP_INDEX_SOURCE] = keys->source,
        [SP_INDEX_CORRELATION] = keys->correlation,
    };
    bool found = false;
    sp_status status = look_up_id(section, keys->id, SP_INDEX_ID, ordinal, scratch, &found);
    if (status == SP_OK && found && keys->has_cause) {
        status = look_up_id(section, keys->cause, SP_INDEX_CAUSE, ordinal, scratch, &found);
    }
    if (status == SP_OK && found && keys->has_source_id) {
        status = look_up_id(section, keys->source_id, SP_INDEX_SOURCE_ID, ordinal, scratch, &found);
    }
    for (int kind = 0; status == SP_OK && found && kind < SP_INDEX_KIND_COUNT; kind++) {
        status =
            look_up_term(section, (enum sp_index_kind)kind, terms[kind], ordinal, scratch, &found);
    }
    *ret_found = found;
    return status;
}

static void say_index(struct verify_events *events, const struct sp_verify_segment *segment,
                      uint64_t position, const char *what) {
    char text[TEXT_BYTES];
    (void)snprintf(text, sizeof(text),
                   "the index %s; no event is lost: the index can be built anew", what);
    events->say(events->context, position != 0 ? position : segment->first_position,
                position != 0 ? position : segment->last_position, segment->file,
                segment->index_offset, text);
}

static sp_status check_samples(struct verify_events *events, const struct sp_section *section,
                               const struct sp_verify_segment *segment) {
    struct sp_buf scratch;
    sp_buf_init(&scratch, SIZE_MAX / 2);
    sp_status status = SP_OK;
    for (size_t i = 0; i < events->sample_count && status == SP_OK; i++) {
        const struct verify_sample *sample = &events->samples[i];
        bool found;
        status = look_up(section, sample, &scratch, &found);
        if (status == SP_CORRUPT || status == SP_IO) {
            say_index(events, segment, 0, "is damaged");
            break;
        }
        if (status == SP_OK && !found) {
            say_index(events, segment, sample->position, "does not know this event");
            break; /* one is enough to build it anew */
        }
    }
    sp_buf_fini(&scratch);
    return status == SP_CORRUPT || status == SP_IO ? SP_OK : status;
}

static sp_status check_index(struct verify_events *events,
                             const struct sp_verify_segment *segment) {
    sp_str bytes = segment->index;
    struct sp_section_reader reader = {
        .read = read_memory, .context = &bytes, .size_bytes = bytes.len};
    struct sp_section *section = NULL;
    sp_status status = sp_section_open(&reader, &section, NULL);
    if (status == SP_NO_MEMORY) {
        return status;
    }
    if (status != SP_OK) {
        say_index(events, segment, 0,
                  status == SP_UNSUPPORTED ? "is of a later version" : "cannot be read");
        return SP_OK;
    }
    if (sp_section_first(section) != segment->first_position ||
        sp_section_count(section) != segment->last_position + 1 - segment->first_position) {
        say_index(events, segment, 0, "is of other events");
    } else {
        status = check_samples(events, section, segment);
    }
    sp_section_free(section);
    return status;
}

sp_status verify_events_segment(struct verify_events *events,
                                const struct sp_verify_segment *segment) {
    sp_status status = SP_OK;
    while (events->ahead_count > 0 && status == SP_OK) {
        status = check_oldest(events, segment->file);
    }
    if (status == SP_OK && segment->sealed && segment->index.len > 0) {
        status = check_index(events, segment);
    }
    events->sample_count = 0;
    events->segment_events = 0;
    return status;
}
