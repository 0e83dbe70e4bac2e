/*
 * Taking an append: check, look up, decide, encode. See the happy path in engine.h.
 */
#include <stdlib.h>

#include "base/time.h"
#include "base/wire.h"
#include "engine/engine_int.h"

enum {
    UUID_COUNTER_BITS = 26,
    MADE_ID_BYTES = SP_UUID_TEXT_SIZE,
    CONFLICT_NAME_BYTES = 120,                 /* of a stream's name in an error's text */
    OWN_ID_BYTES = 16 + SP_ENTRY_ID_TEXT_SIZE, /* of the extension that holds an own id */
    CLOCK_EVENTS = 16,                         /* of a block that share a reading of the clock */
};

/*
 * The time, read for the first event of a block and for every sixteenth: to read the clock takes as
 * long as to hash a record, and a block gathers no longer than the one before it is being written.
 */
static uint64_t now_us(struct sp_engine *engine) {
    if (engine->open.event_count % CLOCK_EVENTS == 0) {
        engine->now_us = engine->options.clock.wall_us(engine->options.clock.context);
    }
    return engine->now_us;
}

/*
 * UUIDv7 (RFC 9562 section 5.7): 48 bits of milliseconds; a 26-bit counter in the next random bits,
 * as in section 6.2 method 1; then 48 bits that are random per opening and stay. So ids rise within
 * a store, differ between stores, and, as most of their bits repeat, cost few bytes on disk. They
 * are names, no secrets.
 */
void engine_make_id(struct sp_engine *engine, uint64_t now_us, uint8_t ret_id[16]) {
    uint64_t ms = now_us / 1000;
    if (ms > engine->id_last_ms) {
        engine->id_last_ms = ms;
        engine->id_counter = 0;
    } else if (++engine->id_counter >> UUID_COUNTER_BITS != 0) {
        engine->id_last_ms++; /* more than 67 million in one millisecond: borrow from the next */
        engine->id_counter = 0;
    }
    uint64_t high = engine->id_last_ms << 16 | 0x7000 | engine->id_counter >> 14;
    uint64_t low = (uint64_t)2 << 62 | (uint64_t)(engine->id_counter & 0x3fff) << 48 |
                   (engine->id_salt & 0xffffffffffffu);
    high = __builtin_bswap64(high);
    low = __builtin_bswap64(low);
    memcpy(ret_id, &high, 8);
    memcpy(ret_id + 8, &low, 8);
}

/* Everything that one submit works with. */
struct submit {
    struct sp_engine *engine;
    const struct sp_engine_append *append;
    struct sp_engine_result *results;
    struct sp_index_keys *keys;
    bool *id_given;
    struct sp_htab seen; /* ids of this append, where it has many events: hash to index */
    uint64_t now_us;
    size_t record_bytes;           /* upper bound of all records */
    struct delayed_event *delayed; /* of this append: a list */
    struct sp_error *error;
};

/* A larger ring, in which the oldest comes first. */
static sp_status grow_pending(struct sp_engine *engine) {
    uint32_t capacity = engine->pending_capacity * 2;
    struct pending *pending = calloc(capacity, sizeof(*pending));
    if (pending == NULL) {
        return SP_NO_MEMORY;
    }
    for (uint32_t i = 0; i < engine->pending_count; i++) {
        pending[i] = engine->pending[(engine->pending_start + i) & (engine->pending_capacity - 1)];
    }
    free(engine->pending);
    engine->pending = pending;
    engine->pending_capacity = capacity;
    engine->pending_start = 0;
    return SP_OK;
}

static sp_status grow_tables(struct sp_engine *engine, uint32_t count, uint32_t expects) {
    if (engine->pending_count == engine->pending_capacity && grow_pending(engine) != SP_OK) {
        return SP_NO_MEMORY;
    }
    if (count > engine->candidate_capacity) {
        struct sp_core_candidate *candidates =
            realloc(engine->candidates, count * sizeof(*candidates));
        if (candidates == NULL) {
            return SP_NO_MEMORY;
        }
        engine->candidates = candidates;
        engine->candidate_capacity = count;
    }
    if (expects > engine->expectation_capacity) {
        struct sp_core_expectation *expectations =
            realloc(engine->expectations, expects * sizeof(*expectations));
        if (expectations == NULL) {
            return SP_NO_MEMORY;
        }
        engine->expectations = expectations;
        engine->expectation_capacity = expects;
    }
    return SP_OK;
}

sp_status sp_engine_check_count(const struct sp_engine *engine, size_t count,
                                struct sp_error *error) {
    uint32_t most = engine->block_bytes_max / SP_RECORD_FIXED_BYTES;
    if (count > engine->options.outstanding_max) {
        return sp_error_set(error, SP_LIMIT,
                            "%zu events in one append, at most %u may be outstanding", count,
                            engine->options.outstanding_max);
    }
    return count <= most ? SP_OK
                         : sp_error_set(error, SP_LIMIT,
                                        "%zu events in one append, more than the %u bytes that are "
                                        "written at once can hold",
                                        count, engine->block_bytes_max);
}

/* Whether a turn is to answer it. */
static bool must_answer(const struct sp_engine_append *append) {
    return append->done != NULL || append->results == NULL;
}

/* Refuses what cannot be taken now, before anything is looked at. */
static sp_status admit(struct sp_engine *engine, const struct sp_engine_append *append,
                       struct sp_error *error) {
    if (engine->state != SP_OK) {
        (void)sp_engine_state(engine, error);
        return sp_error_prefix(error, SP_FAILED, "the store has failed");
    }
    if (engine->closing) {
        return sp_error_set(error, SP_CANCELLED, "the store is being closed");
    }
    if (engine->options.read_only) {
        return sp_error_set(error, SP_DENIED, "the store is open read-only");
    }
    if (append->count == 0) {
        return sp_error_set(error, SP_INVALID, "an append of no events");
    }
    sp_status fits = sp_engine_check_count(engine, append->count, error);
    if (fits != SP_OK) {
        return fits;
    }
    if (must_answer(append) &&
        engine->outstanding + append->count > engine->options.outstanding_max) {
        return sp_error_set(error, SP_BUSY, "%u events are outstanding", engine->outstanding);
    }
    if (engine->open.record_count == 0 && !engine->held) {
        sp_status status = engine->log->ops->ready(engine->log, error);
        if (status != SP_OK) {
            return status == SP_BUSY ? sp_error_set(error, status, "room is being made") : status;
        }
    }
    return SP_OK;
}

/*
 * The stream is looked for while the event is being checked: with millions of them it is far away.
 */
static void announce_stream(struct submit *submit, uint32_t i) {
    const struct sp_event *event = &submit->append->events[i];
    sp_str stream =
        event->attr[sp_event_has(event, SP_ATTR_STREAM) ? SP_ATTR_STREAM : SP_ATTR_SOURCE];
    uint64_t hash = sp_stream_hash(stream);
    submit->engine->candidates[i] =
        (struct sp_core_candidate){.event = &submit->append->events[i], .stream_hash = hash};
    sp_streams_prefetch(&submit->engine->core.streams, hash);
}

/* An own id that the event carries is a wish; it is put back when it is granted. */
static sp_status take_carried(struct submit *submit, uint32_t i) {
    struct sp_event *event = &submit->append->events[i];
    struct sp_core_candidate *candidate = &submit->engine->candidates[i];
    const sp_str name = sp_str_of(SP_OWN_ID_NAME, sizeof(SP_OWN_ID_NAME) - 1);
    uint16_t kept = 0;
    for (uint16_t k = 0; k < event->extension_count; k++) {
        const struct sp_extension extension = event->extensions[k];
        if (!sp_str_eq(extension.name, name)) {
            event->extensions[kept++] = extension;
        } else if (!sp_entry_id_parse(extension.value, &candidate->wished_id)) {
            return sp_error_set(submit->error, SP_INVALID,
                                "extension " SP_OWN_ID_NAME " is no entry id <ms>-<number>");
        } else {
            candidate->id_wish = SP_ID_WISH_GIVEN;
        }
    }
    event->extension_count = kept;
    return SP_OK;
}

/* The last id of a stream whose view does not know it: that of its last event. */
static sp_status find_last_id(struct submit *submit, struct sp_core_candidate *candidate) {
    const struct sp_view_facts facts =
        sp_view_get(&submit->engine->core.views, candidate->event->attr[SP_ATTR_STREAM]);
    struct sp_record record;
    if (facts.last_id_known || facts.last_position == 0) {
        return SP_OK;
    }
    sp_status status = engine_record(submit->engine, facts.last_position, &record, submit->error);
    if (status == SP_OK) {
        candidate->last_id = sp_entry_id_of_log(record.recorded_us, record.entry_seq);
    }
    return status;
}

/* What id the event wishes for, and what the core has to know then. */
static sp_status take_wish(struct submit *submit, uint32_t i) {
    const struct sp_event *event = &submit->append->events[i];
    struct sp_core_candidate *candidate = &submit->engine->candidates[i];
    sp_status status = event->extension_count > 0 ? take_carried(submit, i) : SP_OK;
    if (status == SP_OK && submit->append->ids != NULL) {
        candidate->id_wish = submit->append->ids[i].wish;
        candidate->wished_id = submit->append->ids[i].id;
    }
    bool may_have =
        candidate->id_wish != SP_ID_WISH_NONE || submit->engine->core.views.own_count > 0;
    if (status == SP_OK && may_have && event->extension_count == SP_EVENT_EXTENSIONS_MAX) {
        return sp_error_set(submit->error, SP_LIMIT,
                            "%u extensions leave no room for the entry's id",
                            SP_EVENT_EXTENSIONS_MAX);
    }
    submit->record_bytes += may_have ? OWN_ID_BYTES : 0;
    return status == SP_OK && candidate->id_wish != SP_ID_WISH_NONE
               ? find_last_id(submit, candidate)
               : status;
}

static sp_status check_event(struct submit *submit, uint32_t i) {
    struct sp_engine *engine = submit->engine;
    struct sp_event *event = &submit->append->events[i];
    announce_stream(submit, i);
    sp_status status = sp_event_check(event, submit->append->origin, &engine->options.limits,
                                      &engine->scratch, submit->error);
    if (status != SP_OK) {
        return submit->append->count > 1 ? sp_error_prefix(submit->error, status, "event %u", i + 1)
                                         : status;
    }
    submit->id_given[i] = sp_event_has(event, SP_ATTR_ID);
    if (SP_UNLIKELY(event->is_history)) {
        status = engine_flow_mark(engine, event, submit->error);
    }
    status = status == SP_OK ? take_wish(submit, i) : status;
    if (status != SP_OK) {
        return status;
    }
    sp_streams_prefetch_entry(&engine->core.streams, engine->candidates[i].stream_hash);
    return SP_OK;
}

/* An id of our own, where the producer gave none. `at` has room for its text. */
static void give_id(struct submit *submit, uint32_t i, char *at) {
    struct sp_engine_result *result = &submit->results[i];
    engine_make_id(submit->engine, submit->now_us, result->id);
    result->id_made = true;
    sp_uuid_format(result->id, at);
    submit->append->events[i].attr[SP_ATTR_ID] = sp_str_of(at, MADE_ID_BYTES);
}

/* True where event k of this append has the id, and, unless that is absent, the source. */
static bool is_same(const struct submit *submit, uint32_t k, sp_str source, sp_str id) {
    const struct sp_event *event = &submit->append->events[k];
    return sp_str_eq(event->attr[SP_ATTR_ID], id) &&
           (source.ptr == NULL || sp_str_eq(event->attr[SP_ATTR_SOURCE], source));
}

/* 1 + index of the last event before i with this id and source; 0 where there is none. */
static uint32_t find_earlier(const struct submit *submit, uint32_t i, sp_str source, sp_str id) {
    struct sp_htab_probe probe = sp_htab_find(&submit->seen, sp_index_hash_id(id));
    uint32_t found = 0;
    uint32_t k;
    while (sp_htab_next(&probe, &k)) {
        if (k < i && k + 1 > found && is_same(submit, k, source, id)) {
            found = k + 1;
        }
    }
    return found;
}

/* Ids of an append of one event are not compared with each other. */
static sp_status remember(struct submit *submit, uint32_t i) {
    if (submit->append->count == SINGLE_RESULTS) {
        return SP_OK;
    }
    sp_str id = submit->append->events[i].attr[SP_ATTR_ID];
    return sp_htab_add(&submit->seen, sp_index_hash_id(id), i);
}

/* The run: as given, else the cause's, else the event's own id begins one. */
static sp_status complete_correlation(struct submit *submit, uint32_t i) {
    struct sp_event *event = &submit->append->events[i];
    if (sp_event_has(event, SP_ATTR_CORRELATION)) {
        return SP_OK;
    }
    sp_str found = {.ptr = NULL, .len = 0};
    if (sp_event_has(event, SP_ATTR_CAUSATION)) {
        sp_str cause = event->attr[SP_ATTR_CAUSATION];
        const sp_str any = {.ptr = NULL, .len = 0};
        uint32_t earlier = find_earlier(submit, i, any, cause);
        if (earlier != 0) {
            found = submit->append->events[earlier - 1].attr[SP_ATTR_CORRELATION];
        }
        if (found.ptr == NULL) {
            sp_status status = engine_find_correlation(
                submit->engine, cause, &submit->engine->scratch, &found, submit->error);
            if (status != SP_OK) {
                return status;
            }
        }
    }
    event->attr[SP_ATTR_CORRELATION] = found.ptr != NULL ? found : event->attr[SP_ATTR_ID];
    return SP_OK;
}

/* Whether it is there already, in this append, in the log, or waiting for its time. */
static sp_status find_known(struct submit *submit, uint32_t i) {
    struct sp_engine *engine = submit->engine;
    struct sp_core_candidate *candidate = &engine->candidates[i];
    const struct sp_event *event = &submit->append->events[i];
    sp_str source = event->attr[SP_ATTR_SOURCE];
    sp_str id = event->attr[SP_ATTR_ID];
    candidate->same_as = find_earlier(submit, i, source, id);
    if (candidate->same_as != 0) {
        return SP_OK;
    }
    sp_status status =
        engine_find_same(engine, source, id, &candidate->known_position, submit->error);
    if (status == SP_OK && candidate->known_position == 0 && !submit->append->at_once) {
        candidate->known_position =
            engine_delayed_find(engine, source, id, &submit->results[i].delayed_us);
    }
    return status;
}

/* An event that asks for another time than now is not appended, but what tells of it. */
static sp_status delay(struct submit *submit, uint32_t i) {
    struct sp_core_candidate *candidate = &submit->engine->candidates[i];
    uint64_t due_us = 0;
    sp_status status = engine_delayed_due(submit->engine, candidate->event, submit->now_us, &due_us,
                                          submit->error);
    if (status != SP_OK || due_us == 0) {
        return status;
    }
    if (candidate->id_wish != SP_ID_WISH_NONE) {
        return sp_error_set(submit->error, SP_INVALID,
                            "an event that is delayed has no entry id before it is due");
    }
    status = engine_delayed_wrap(submit->engine, candidate->event, submit->now_us, due_us,
                                 &submit->delayed, submit->error);
    if (status == SP_OK) {
        submit->results[i].delayed_us = due_us;
        candidate->event = engine_delayed_event(submit->delayed);
        candidate->stream_hash = sp_stream_hash(candidate->event->attr[SP_ATTR_STREAM]);
    }
    return status;
}

/* The facts about one event: is it there already, in this append or in the log? */
static sp_status look_up(struct submit *submit, uint32_t i) {
    struct sp_engine *engine = submit->engine;
    struct sp_event *event = &submit->append->events[i];
    struct sp_core_candidate *candidate = &engine->candidates[i];
    sp_status status = submit->id_given[i] ? find_known(submit, i) : SP_OK;
    if (status != SP_OK || candidate->same_as != 0 || candidate->known_position != 0) {
        return status;
    }
    bool concerns = engine->schema_count > 0 || event->attr[SP_ATTR_STREAM].ptr[0] == '$';
    if (SP_UNLIKELY(concerns)) {
        status = engine_schema_event(engine, event, i, submit->append->count, submit->error);
    }
    status = status == SP_OK ? complete_correlation(submit, i) : status;
    status = status == SP_OK ? remember(submit, i) : status;
    if (SP_UNLIKELY(event->extension_count > 0) && status == SP_OK && !submit->append->at_once) {
        status = delay(submit, i);
    }
    event = candidate->event;
    submit->keys[i] = sp_index_keys_of(event);
    submit->record_bytes += sp_record_size_max(event) + engine_presence_room(event);
    return status;
}

static sp_status hash_expectations(struct submit *submit) {
    for (uint32_t i = 0; i < submit->append->expect_count; i++) {
        const struct sp_engine_expect *expect = &submit->append->expects[i];
        if (expect->stream.len == 0) {
            return sp_error_set(submit->error, SP_INVALID, "expectation %u names no stream", i + 1);
        }
        submit->engine->expectations[i] =
            (struct sp_core_expectation){.stream = expect->stream,
                                         .stream_hash = sp_stream_hash(expect->stream),
                                         .version = expect->version};
    }
    return SP_OK;
}

static sp_status say_id_refused(struct submit *submit, sp_status status, uint32_t i) {
    const struct sp_core_candidate *candidate = &submit->engine->candidates[i];
    char text[SP_ENTRY_ID_TEXT_SIZE];
    (void)sp_entry_id_format(candidate->wished_id, text);
    sp_str name = candidate->event->attr[SP_ATTR_STREAM];
    name.len = name.len < CONFLICT_NAME_BYTES ? name.len : CONFLICT_NAME_BYTES;
    if (status == SP_END) {
        return sp_error_set(submit->error, status, "stream %.*s has had its last possible id",
                            SP_STR_ARG(name));
    }
    return sp_error_set(submit->error, status,
                        status == SP_INVALID ? "id %s in stream %.*s: ids begin with 0-1"
                                             : "id %s in stream %.*s is not above its last id",
                        text, SP_STR_ARG(name));
}

static sp_status decide(struct submit *submit) {
    struct sp_engine *engine = submit->engine;
    sp_status status = hash_expectations(submit);
    if (status != SP_OK) {
        return status;
    }
    struct sp_core_append append = {
        .now_us = submit->now_us,
        .candidates = engine->candidates,
        .candidate_count = submit->append->count,
        .expectations = engine->expectations,
        .expectation_count = submit->append->expect_count,
    };
    struct sp_core_outcome outcome;
    status = sp_core_step(&engine->core, &append, &outcome);
    if (outcome.failed_candidate != 0) {
        return say_id_refused(submit, status, outcome.failed_candidate - 1);
    }
    if (status == SP_CONFLICT) {
        const struct sp_engine_expect *expect =
            &submit->append->expects[outcome.failed_expectation];
        /* The versions stand behind the name and must not be cut off by a long one. */
        sp_str name = expect->stream;
        name.len = name.len < CONFLICT_NAME_BYTES ? name.len : CONFLICT_NAME_BYTES;
        return sp_error_set_at(submit->error, status, outcome.actual_version,
                               "stream %.*s is at version %llu, expected %llu", SP_STR_ARG(name),
                               (unsigned long long)outcome.actual_version,
                               (unsigned long long)expect->version);
    }
    return status == SP_OK ? SP_OK
                           : sp_error_set(submit->error, status, "%s", sp_status_text(status));
}

/* The producer may have named another stream this time than the event went to. */
static uint32_t known_stream(const struct sp_engine *engine, const struct sp_event *event) {
    sp_str name = event->attr[SP_ATTR_STREAM];
    uint32_t index = sp_streams_find(&engine->core.streams, sp_stream_hash(name), name);
    return index == UINT32_MAX ? 0 : index + 1;
}

static sp_status describe_known(struct submit *submit, uint32_t i) {
    struct sp_engine *engine = submit->engine;
    const struct sp_core_candidate *candidate = &engine->candidates[i];
    struct sp_engine_result *result = &submit->results[i];
    if (candidate->same_as != 0) {
        *result = submit->results[candidate->same_as - 1];
        result->duplicate = true;
        return SP_OK;
    }
    struct sp_record record;
    sp_status status = engine_record(engine, candidate->known_position, &record, submit->error);
    if (status == SP_OK) {
        *result = (struct sp_engine_result){.position = record.position,
                                            .delayed_us = result->delayed_us,
                                            .version = record.version,
                                            .recorded_us = record.recorded_us,
                                            .entry_seq = record.entry_seq,
                                            .duplicate = true};
    }
    if (status == SP_OK) { /* its own id, also where its stream has begun a new life since */
        char scratch[SP_RECORD_SCRATCH_BYTES];
        struct sp_event event;
        status = sp_record_decode(&record, scratch, &event);
        (void)(status == SP_OK && sp_event_own_id(&event, &result->own_id));
        result->known_stream = status == SP_OK ? known_stream(engine, &event) : 0;
    }
    return status;
}

/*
 * Known events are read before anything is decided: their reading may fail, what follows must not.
 */
static sp_status describe_known_ones(struct submit *submit) {
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < submit->append->count && status == SP_OK; i++) {
        if (submit->engine->candidates[i].known_position != 0) {
            status = describe_known(submit, i);
        }
    }
    return status;
}

/* The own id goes with the event, behind its other extensions. `text` outlives the encoding. */
static void carry_id(struct sp_event *event, struct sp_entry_id id,
                     char text[SP_ENTRY_ID_TEXT_SIZE]) {
    sp_require(event->extension_count < SP_EVENT_EXTENSIONS_MAX);
    size_t len = sp_entry_id_format(id, text);
    event->extensions[event->extension_count++] =
        (struct sp_extension){.name = sp_str_of(SP_OWN_ID_NAME, sizeof(SP_OWN_ID_NAME) - 1),
                              .value = sp_str_of(text, len),
                              .kind = SP_VALUE_STRING};
}

static void encode_new(struct submit *submit) {
    struct sp_engine *engine = submit->engine;
    for (uint32_t i = 0; i < submit->append->count; i++) {
        const struct sp_core_candidate *candidate = &engine->candidates[i];
        struct sp_engine_result *result = &submit->results[i];
        if (candidate->same_as != 0) {
            sp_status status = describe_known(submit, i);
            sp_ensure(status == SP_OK); /* its original is in this append */
        } else if (candidate->known_position == 0) {
            struct sp_event *event = candidate->event;
            char own_id[SP_ENTRY_ID_TEXT_SIZE];
            if (!sp_entry_id_is_none(candidate->own_id)) {
                carry_id(event, candidate->own_id, own_id);
                result->own_id = candidate->own_id;
            }
            engine_block_add(engine, event, &submit->keys[i], submit->id_given[i]);
            engine_presence_note(engine, event, submit->keys[i].source);
            if (SP_UNLIKELY(sp_flow_wants(engine->flow, event))) {
                engine_flow_taken(engine, event);
            }
            result->position = event->position;
            result->version = event->version;
            result->recorded_us = event->recorded_us;
            result->entry_seq = event->entry_seq;
        }
    }
}

/* The block that an event of the core is in, or one that is durable not before it. */
static uint64_t block_of(const struct sp_engine *engine, uint64_t position) {
    const struct open_block *open = &engine->open;
    if (open->event_count > 0 && position >= open->first_position) {
        return engine->progress.head_block + 1;
    }
    for (uint32_t i = 0; i < engine->flight_count; i++) {
        const struct flight *flight = &engine->flights[i];
        if (position < flight->first_position + flight->event_count) {
            return position >= flight->first_position ? flight->block : flight->block - 1;
        }
    }
    return engine->progress.durable_block;
}

static void enqueue(struct submit *submit) {
    struct sp_engine *engine = submit->engine;
    uint32_t at = (engine->pending_start + engine->pending_count) & (engine->pending_capacity - 1);
    struct pending *pending = &engine->pending[at];
    uint64_t last = 0;
    for (uint32_t i = 0; i < submit->append->count; i++) {
        last = submit->results[i].position > last ? submit->results[i].position : last;
    }
    /* Answers go out in order: a duplicate of something durable waits for those before it. */
    *pending = (struct pending){.block = block_of(engine, last),
                                .count = submit->append->count,
                                .done = submit->append->done,
                                .extra = submit->append->extra,
                                .context = submit->append->context};
    if (submit->append->count == SINGLE_RESULTS) {
        pending->results.one = submit->results[0];
    } else {
        pending->results.many = submit->results;
    }
    engine->pending_count++;
    engine->outstanding += submit->append->count;
}

/* Checks and looks up all events; nothing has changed afterwards. `ids` has room for their ids. */
static sp_status prepare(struct submit *submit, char *ids) {
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < submit->append->count && status == SP_OK; i++) {
        status = check_event(submit, i);
    }
    for (uint32_t i = 0; i < submit->append->count && status == SP_OK; i++) {
        if (!submit->id_given[i]) {
            give_id(submit, i, ids + (size_t)i * MADE_ID_BYTES);
        }
        status = look_up(submit, i);
    }
    status = status == SP_OK ? describe_known_ones(submit) : status;
    if (status == SP_OK && submit->record_bytes > 0) {
        submit->record_bytes += submit->append->room_bytes;
        status =
            engine_block_reserve(submit->engine, submit->record_bytes, 0, submit->append->count);
        if (status == SP_LIMIT) {
            return sp_error_set(submit->error, status,
                                "the append takes up to %zu bytes, at most %u are written at once",
                                submit->record_bytes, submit->engine->block_bytes_max);
        }
        if (status != SP_OK) {
            return sp_error_set(submit->error, status, "%s", sp_status_text(status));
        }
    }
    return status;
}

static size_t text_bytes(const struct sp_engine_append *append) {
    size_t total = 0;
    for (uint32_t i = 0; i < append->count; i++) { /* a record holds all of an event's text */
        total += sp_event_scratch_bytes(sp_record_size_max(&append->events[i]));
    }
    /* A cause's run is copied too. */
    return total + (size_t)append->count * SP_EVENT_ID_BYTES_MAX;
}

static sp_status run_prepared(struct submit *submit, char *ids) {
    struct sp_engine *engine = submit->engine;
    sp_buf_reset(&engine->scratch);
    if (sp_buf_reserve(&engine->scratch, text_bytes(submit->append)) == NULL) {
        return sp_error_set(submit->error, SP_NO_MEMORY, "append");
    }
    sp_status status = prepare(submit, ids);
    status = status == SP_OK ? decide(submit) : status;
    if (status != SP_OK) {
        engine_schema_settle(engine, 0);
        return status;
    }
    encode_new(submit);
    if (SP_UNLIKELY(engine_schema_waits(engine))) {
        engine_schema_settle(engine, submit->results[0].position);
    }
    if (submit->append->results != NULL) {
        memcpy(submit->append->results, submit->results,
               submit->append->count * sizeof(*submit->results));
    }
    if (must_answer(submit->append)) {
        enqueue(submit);
    }
    /*
     * A large block starts now, and the next gathers beside it; who wants room left cuts himself.
     */
    if (engine->open.body_bytes >= CUT_BYTES && submit->append->room_bytes == 0) {
        engine_cut(engine);
    }
    return SP_OK;
}

static sp_status run(struct submit *submit, char *ids) {
    sp_status status = run_prepared(submit, ids);
    if (SP_UNLIKELY(submit->delayed != NULL)) {
        engine_delayed_free(submit->delayed);
    }
    return status;
}

static sp_status submit_many(struct submit *submit) {
    uint32_t count = submit->append->count;
    sp_htab_init(&submit->seen);
    submit->results = calloc(count, sizeof(*submit->results));
    submit->keys = calloc(count, sizeof(*submit->keys));
    submit->id_given = calloc(count, sizeof(*submit->id_given));
    char *ids = malloc((size_t)count * MADE_ID_BYTES);
    sp_status status =
        submit->results == NULL || submit->keys == NULL || submit->id_given == NULL || ids == NULL
            ? sp_error_set(submit->error, SP_NO_MEMORY, "append")
            : run(submit, ids);
    free(submit->keys);
    free(submit->id_given);
    free(ids);
    sp_htab_fini(&submit->seen);
    if (status != SP_OK || !must_answer(submit->append)) {
        free(submit->results);
    }
    return status;
}

sp_status sp_engine_submit(struct sp_engine *engine, const struct sp_engine_append *append,
                           struct sp_error *error) {
    sp_status status = admit(engine, append, error);
    if (status == SP_OK && grow_tables(engine, append->count, append->expect_count) != SP_OK) {
        status = sp_error_set(error, SP_NO_MEMORY, "append");
    }
    if (status != SP_OK) {
        return status;
    }
    struct submit submit = {
        .engine = engine,
        .append = append,
        .now_us = now_us(engine),
        .error = error,
    };
    if (append->count != SINGLE_RESULTS) {
        return submit_many(&submit);
    }
    struct sp_engine_result result = {.position = 0};
    struct sp_index_keys keys = {.id = 0};
    bool id_given = false;
    char id[MADE_ID_BYTES];
    submit.results = &result;
    submit.keys = &keys;
    submit.id_given = &id_given;
    return run(&submit, id);
}
