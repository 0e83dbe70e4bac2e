#include "flow/rehearsal.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/htab.h"
#include "base/json.h"
#include "base/time.h"
#include "flow/flow.h"

/*
 * The log is an array of places in one buffer of encoded records. What is sent later is kept as
 * encoded records of its own. The state is the flow; what a crash begins with is `memory`, encoded
 * when the log ended at memory_at.
 */
enum {
    LOG_BYTES_MAX = 1 << 30,
    TEXT_BYTES_MAX = 4 << 20,
    MEMORY_BYTES_MAX = 1 << 28,
    ACTS_MAX = 200000, /* of one settling: more means that it does not come to rest */
    BATCH_MAX = 64,
    ID_BYTES = 32,
    COMMAND_ID_BYTES_MAX = 512,
};

struct place {
    uint32_t offset;
    uint32_t size;
    uint64_t key;      /* hash of source and id */
    uint64_t recorded; /* microseconds */
    uint64_t version;
    bool begins; /* an append */
};

struct later {
    uint64_t at_us;
    uint64_t number;
    uint8_t *bytes;
    size_t size;
};

struct piece {
    struct sp_flow_work work;
    struct sp_buf value;
    sp_status status;
    struct sp_error error;
    bool gone; /* nothing is to be done about it any more */
};

struct sp_rehearsal {
    struct sp_rehearsal_ports ports;
    struct sp_flow_ports reads;
    struct sp_flow *flow;
    uint64_t seed;
    uint64_t now_us;
    uint64_t appends;
    uint64_t later_count_ever;

    struct sp_buf bytes;
    struct place *places;
    uint32_t count;
    uint32_t capacity;
    uint32_t durable;
    uint32_t asked; /* commands up to here have met their workers */
    struct sp_htab ids;
    char scratch[SP_RECORD_SCRATCH_BYTES];

    struct later *later;
    uint32_t later_count;
    uint32_t later_capacity;

    struct sp_buf memory;
    uint32_t memory_at;
    bool has_memory;

    struct sp_buf input;
    struct sp_flow_out out;
    struct piece *pieces; /* one for each of a batch */
    uint32_t batch;
};

/* ---- the log --------------------------------------------------------------------------------- */

static sp_status decode(struct sp_rehearsal *r, const uint8_t *bytes, size_t size,
                        uint64_t position, char *scratch, struct sp_event *ret_event,
                        struct sp_error *error) {
    struct sp_record record;
    (void)r;
    sp_status status = sp_record_read(sp_str_of(bytes, size), position, &record);
    if (status == SP_OK) {
        status = sp_record_decode(&record, scratch, ret_event);
    }
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "an event cannot be read");
}

sp_status sp_rehearsal_read(struct sp_rehearsal *r, uint64_t position, struct sp_event *ret_event,
                            struct sp_error *error) {
    if (position == 0 || position > r->count) {
        return sp_error_set(error, SP_NOT_FOUND, "there is no event %llu",
                            (unsigned long long)position);
    }
    const struct place *place = &r->places[position - 1];
    return decode(r, r->bytes.data + place->offset, place->size, position, r->scratch, ret_event,
                  error);
}

static sp_status read_port(void *context, uint64_t position, struct sp_event *ret_event,
                           struct sp_error *error) {
    return sp_rehearsal_read(context, position, ret_event, error);
}

static uint64_t key_of(const struct sp_event *event) {
    sp_str source = event->attr[SP_ATTR_SOURCE];
    sp_str id = event->attr[SP_ATTR_ID];
    return sp_hash_seeded(id.ptr, id.len, sp_hash(source.ptr, source.len));
}

/* The position of the event that has this source and id; 0: none. */
static uint64_t find(struct sp_rehearsal *r, const struct sp_event *event) {
    uint64_t key = key_of(event);
    struct sp_htab_probe probe = sp_htab_find(&r->ids, key);
    uint32_t index;
    while (sp_htab_next(&probe, &index)) {
        if (r->places[index].key == key) {
            return index + 1;
        }
    }
    return 0;
}

/* How many events its stream has. The log is small, and the newest one of it is often near. */
static uint64_t version_of(struct sp_rehearsal *r, sp_str stream) {
    for (uint32_t i = r->count; i > 0; i--) {
        struct sp_event event;
        if (sp_rehearsal_read(r, i, &event, NULL) == SP_OK &&
            sp_str_eq(event.attr[SP_ATTR_STREAM], stream)) {
            return event.version;
        }
    }
    return 0;
}

static bool make_room(struct sp_rehearsal *r) {
    if (r->count < r->capacity) {
        return true;
    }
    uint32_t capacity = r->capacity == 0 ? 64 : 2 * r->capacity;
    struct place *places = realloc(r->places, capacity * sizeof(*places));
    if (places == NULL) {
        return false;
    }
    r->places = places;
    r->capacity = capacity;
    return true;
}

/* What the store assigns, and what it makes where it is not there. */
static void complete(struct sp_rehearsal *r, struct sp_event *event, char id[ID_BYTES]) {
    event->position = r->count + 1;
    event->recorded_us = r->now_us;
    event->entry_seq = r->count;
    if (!sp_event_has(event, SP_ATTR_SOURCE)) {
        event->attr[SP_ATTR_SOURCE] = SP_STR("somebody");
    }
    if (!sp_event_has(event, SP_ATTR_STREAM)) {
        event->attr[SP_ATTR_STREAM] = event->attr[SP_ATTR_SOURCE];
    }
    if (!sp_event_has(event, SP_ATTR_ID)) {
        char digits[SP_ENTRYID_TEXT_SIZE];
        size_t len = sp_entryid_format(event->position, 0, digits);
        sp_require(len + 2 < ID_BYTES);
        id[0] = 'e';
        memcpy(id + 1, digits, len);
        event->attr[SP_ATTR_ID] = sp_str_of(id, len + 1);
    }
    if (!sp_event_has(event, SP_ATTR_CORRELATION)) {
        event->attr[SP_ATTR_CORRELATION] = event->attr[SP_ATTR_ID];
    }
    event->version = version_of(r, event->attr[SP_ATTR_STREAM]) + 1;
}

/* Adds one event and folds it. */
static sp_status store(struct sp_rehearsal *r, const struct sp_event *given, bool begins,
                       struct sp_error *error) {
    struct sp_event event = *given;
    char id[ID_BYTES];
    complete(r, &event, id);
    size_t size_max = sp_record_size_max(&event);
    uint8_t *to = make_room(r) ? sp_buf_reserve(&r->bytes, size_max) : NULL;
    if (to == NULL || r->count >= SP_REHEARSAL_EVENTS_MAX) {
        return sp_error_set(error, SP_LIMIT, "more events than a rehearsal holds");
    }
    struct place *place = &r->places[r->count];
    *place = (struct place){.offset = (uint32_t)r->bytes.len,
                            .size = (uint32_t)sp_record_encode(&event, to),
                            .key = key_of(&event),
                            .recorded = event.recorded_us,
                            .version = event.version,
                            .begins = begins};
    sp_buf_advance(&r->bytes, place->size);
    sp_status status = sp_htab_add(&r->ids, place->key, r->count);
    r->count++;
    if (status != SP_OK) {
        return sp_error_set(error, status, "out of memory");
    }
    if (sp_flow_wants(r->flow, &event)) {
        status = sp_flow_apply(r->flow, &event, error);
        if (status != SP_OK) {
            return sp_error_prefix(error, status, "event %llu", (unsigned long long)event.position);
        }
    }
    if (r->ports.appended != NULL) {
        r->ports.appended(r->ports.context, &event);
    }
    return SP_OK;
}

static sp_status remember_sometimes(struct sp_rehearsal *r, struct sp_error *error) {
    r->appends++;
    return r->ports.remember > 0 && r->appends % r->ports.remember == 0
               ? sp_rehearsal_remember(r, error)
               : SP_OK;
}

/* Appends what was built, together, but for those whose source and id are there already. */
static sp_status store_out(struct sp_rehearsal *r, const struct sp_flow_out *out,
                           uint64_t *ret_position, struct sp_error *error) {
    sp_status status = SP_OK;
    uint32_t before = r->count;
    for (uint32_t i = 0; i < out->count && status == SP_OK; i++) {
        struct sp_event event;
        sp_flow_out_event(out, i, &event);
        uint64_t there = sp_event_has(&event, SP_ATTR_ID) ? find(r, &event) : 0;
        *ret_position = there != 0 ? there : r->count + 1;
        if (there == 0) {
            status = store(r, &event, r->count == before, error);
        }
    }
    return status == SP_OK && r->count > before ? remember_sometimes(r, error) : status;
}

/* True where all of it is there already, by source and id; the last one is at *ret_position. */
static bool is_there(struct sp_rehearsal *r, const struct sp_flow_out *out,
                     uint64_t *ret_position) {
    for (uint32_t i = 0; i < out->count; i++) {
        struct sp_event event;
        sp_flow_out_event(out, i, &event);
        *ret_position = sp_event_has(&event, SP_ATTR_ID) ? find(r, &event) : 0;
        if (*ret_position == 0) {
            return false;
        }
    }
    return true;
}

/* ---- crashes --------------------------------------------------------------------------------- */

sp_status sp_rehearsal_remember(struct sp_rehearsal *r, struct sp_error *error) {
    sp_buf_reset(&r->memory);
    sp_flow_encode(r->flow, &r->memory);
    r->memory_at = r->count;
    r->has_memory = r->memory.status == SP_OK;
    return r->has_memory ? SP_OK : sp_error_set(error, r->memory.status, "the state is too large");
}

/* Makes a state for the log as it is now: from what is remembered, or from nothing. */
static sp_status recover(struct sp_rehearsal *r, bool from_zero, struct sp_flow **ret,
                         struct sp_error *error) {
    struct sp_flow *flow = NULL;
    bool remembered = !from_zero && r->has_memory && r->memory_at <= r->count;
    sp_status status = sp_flow_new(&flow, error);
    if (status == SP_OK && remembered) {
        struct sp_wire wire = sp_wire_of(r->memory.data, r->memory.len);
        status = sp_flow_restore(flow, &wire, error);
        if (status == SP_OK && (wire.bad || sp_wire_left(&wire) > 0)) {
            status = sp_error_set(error, SP_CORRUPT, "an encoded state was not read to its end");
        }
    }
    for (uint32_t i = remembered ? r->memory_at : 0; i < r->count && status == SP_OK; i++) {
        struct sp_event event;
        status = sp_rehearsal_read(r, i + 1, &event, error);
        if (status == SP_OK && sp_flow_wants(flow, &event)) {
            status = sp_flow_apply(flow, &event, error);
        }
    }
    if (status != SP_OK) {
        sp_flow_free(flow);
        return sp_error_prefix(error, status, "recovery");
    }
    *ret = flow;
    return SP_OK;
}

/* The state of a log that was cut is known from nothing: made from zero, it must be the same. */
static sp_status hash_from_zero(struct sp_rehearsal *r, uint64_t *ret_hash,
                                struct sp_error *error) {
    struct sp_flow *flow;
    sp_status status = recover(r, true, &flow, error);
    if (status == SP_OK) {
        *ret_hash = sp_flow_hash(flow);
        sp_flow_free(flow);
    }
    return status;
}

static void cut(struct sp_rehearsal *r, uint32_t keep) {
    if (keep >= r->count) {
        return;
    }
    for (uint32_t i = keep; i < r->count; i++) {
        sp_htab_remove(&r->ids, r->places[i].key, i);
    }
    r->bytes.len = r->places[keep].offset;
    r->count = keep;
    if (r->ports.taken != NULL) {
        r->ports.taken(r->ports.context, keep);
    }
}

sp_status sp_rehearsal_crash(struct sp_rehearsal *r, uint64_t keep, bool from_zero,
                             struct sp_error *error) {
    uint64_t expected = sp_flow_hash(r->flow);
    bool whole = keep >= r->count;
    sp_require(keep >= r->durable);
    cut(r, (uint32_t)(whole ? r->count : keep));
    r->has_memory = r->has_memory && r->memory_at <= r->count;
    sp_flow_free(r->flow);
    r->flow = NULL;
    sp_status status = recover(r, from_zero, &r->flow, error);
    if (status == SP_OK && !whole) {
        status = hash_from_zero(r, &expected, error);
    }
    if (status == SP_OK && sp_flow_hash(r->flow) != expected) {
        status =
            sp_error_set(error, SP_CORRUPT, "after event %u the state made again%s is another one",
                         r->count, from_zero ? " from zero" : "");
    }
    if (r->flow == NULL) { /* so that what follows can still be freed */
        sp_status again = sp_flow_new(&r->flow, NULL);
        status = status == SP_OK ? again : status;
    }
    return status;
}

/* ---- appends --------------------------------------------------------------------------------- */

sp_status sp_rehearsal_append(struct sp_rehearsal *r, const struct sp_event *event,
                              uint64_t *ret_position, struct sp_error *error) {
    struct sp_event given = *event;
    if (!sp_event_has(&given, SP_ATTR_SOURCE)) {
        given.attr[SP_ATTR_SOURCE] = SP_STR("somebody");
    }
    uint64_t there = sp_event_has(&given, SP_ATTR_ID) ? find(r, &given) : 0;
    *ret_position = there != 0 ? there : r->count + 1;
    if (there != 0) {
        return SP_OK;
    }
    sp_status status = store(r, &given, true, error);
    r->durable = r->count;
    return status == SP_OK ? remember_sometimes(r, error) : status;
}

sp_status sp_rehearsal_append_out(struct sp_rehearsal *r, const struct sp_flow_out *out,
                                  uint64_t *ret_position, struct sp_error *error) {
    sp_status status = sp_flow_out_status(out);
    if (status != SP_OK) {
        return sp_error_set(error, status, "what was built does not fit");
    }
    status = store_out(r, out, ret_position, error);
    r->durable = r->count;
    return status;
}

sp_status sp_rehearsal_later(struct sp_rehearsal *r, uint64_t at_us, const struct sp_event *given,
                             struct sp_error *error) {
    struct sp_event event = *given;
    if (!sp_event_has(&event, SP_ATTR_SOURCE)) {
        event.attr[SP_ATTR_SOURCE] = SP_STR("somebody");
    }
    if (!sp_event_has(&event, SP_ATTR_STREAM)) {
        event.attr[SP_ATTR_STREAM] = event.attr[SP_ATTR_SOURCE];
    }
    if (r->later_count == r->later_capacity) {
        uint32_t capacity = r->later_capacity == 0 ? 16 : 2 * r->later_capacity;
        struct later *later = realloc(r->later, capacity * sizeof(*later));
        if (later == NULL) {
            return sp_error_set(error, SP_NO_MEMORY, "out of memory");
        }
        r->later = later;
        r->later_capacity = capacity;
    }
    /* A stored event is complete; what the store would make is made when the time has come. */
    char id[ID_BYTES];
    struct sp_buf name;
    sp_buf_init(&name, ID_BYTES);
    sp_buf_add(&name, "later-", 6);
    sp_buf_add_u64(&name, r->later_count_ever + 1);
    sp_require(name.status == SP_OK);
    memcpy(id, name.data, name.len);
    if (!sp_event_has(&event, SP_ATTR_ID)) {
        event.attr[SP_ATTR_ID] = sp_str_of(id, name.len);
    }
    sp_buf_fini(&name);
    if (!sp_event_has(&event, SP_ATTR_CORRELATION)) {
        event.attr[SP_ATTR_CORRELATION] = event.attr[SP_ATTR_ID];
    }
    event.position = 1;
    event.version = 1;
    uint8_t *bytes = aligned_alloc(SP_RECORD_ALIGN, (sp_record_size_max(&event) + 7) / 8 * 8);
    if (bytes == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    r->later[r->later_count++] = (struct later){.at_us = at_us,
                                                .number = ++r->later_count_ever,
                                                .bytes = bytes,
                                                .size = sp_record_encode(&event, bytes)};
    return SP_OK;
}

/* The next one that is to be sent; UINT32_MAX: none. */
static uint32_t next_later(const struct sp_rehearsal *r) {
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < r->later_count; i++) {
        const struct later *a = &r->later[i];
        if (best == UINT32_MAX || a->at_us < r->later[best].at_us ||
            (a->at_us == r->later[best].at_us && a->number < r->later[best].number)) {
            best = i;
        }
    }
    return best;
}

static sp_status send(struct sp_rehearsal *r, uint32_t index, struct sp_error *error) {
    struct later sent = r->later[index];
    r->later[index] = r->later[--r->later_count];
    char scratch[SP_RECORD_SCRATCH_BYTES];
    struct sp_event event;
    uint64_t position;
    sp_status status = decode(r, sent.bytes, sent.size, 1, scratch, &event, error);
    if (status == SP_OK) {
        status = sp_rehearsal_append(r, &event, &position, error);
    }
    free(sent.bytes);
    return status;
}

/* ---- workers --------------------------------------------------------------------------------- */

/* The command's id with the attempt that comes next. */
static sp_str wrong_attempt(sp_str id, char to[COMMAND_ID_BYTES_MAX]) {
    size_t at = id.len;
    uint64_t attempt = 0;
    uint64_t scale = 1;
    while (at > 0 && id.ptr[at - 1] >= '0' && id.ptr[at - 1] <= '9') {
        attempt += (uint64_t)(id.ptr[--at] - '0') * scale;
        scale *= 10;
    }
    struct sp_buf buf;
    sp_buf_init(&buf, COMMAND_ID_BYTES_MAX);
    sp_buf_add(&buf, id.ptr, at);
    sp_buf_add_u64(&buf, attempt + 1);
    size_t len = buf.status == SP_OK ? buf.len : 0;
    memcpy(to, buf.data, len);
    sp_buf_fini(&buf);
    return sp_str_of(to, len);
}

static sp_str answer_data(const struct sp_rehearsal_answer *answer) {
    if (answer->data.len > 0) {
        return answer->data;
    }
    switch (answer->kind) {
    case SP_REHEARSAL_SUCCESS:
    case SP_REHEARSAL_WRONG_ATTEMPT:
        return SP_STR("{\"ok\":true}");
    case SP_REHEARSAL_FAILURE:
        return SP_STR("{\"error\":\"it went wrong\"}");
    case SP_REHEARSAL_FAILURE_FINAL:
        return SP_STR("{\"error\":\"it cannot be\",\"retryable\":false}");
    case SP_REHEARSAL_NONSENSE:
    default:
        return SP_STR("\x01 nonsense {");
    }
}

static sp_status answer_one(struct sp_rehearsal *r, const struct sp_event *command,
                            const struct sp_rehearsal_answer *answer, struct sp_error *error) {
    char cause[COMMAND_ID_BYTES_MAX];
    struct sp_buf type;
    sp_buf_init(&type, TEXT_BYTES_MAX);
    bool good = answer->kind == SP_REHEARSAL_SUCCESS || answer->kind == SP_REHEARSAL_WRONG_ATTEMPT;
    sp_buf_add_str(&type, command->attr[SP_ATTR_TYPE]);
    sp_buf_add_str(&type, good ? SP_STR(".completed") : SP_STR(".failed"));
    struct sp_event event = {.has_data = true, .data_is_json = true, .data = answer_data(answer)};
    event.attr[SP_ATTR_TYPE] = sp_buf_str(&type);
    event.attr[SP_ATTR_SOURCE] = SP_STR("worker");
    event.attr[SP_ATTR_CORRELATION] = command->attr[SP_ATTR_CORRELATION];
    event.attr[SP_ATTR_CAUSATION] = answer->kind == SP_REHEARSAL_WRONG_ATTEMPT
                                        ? wrong_attempt(command->attr[SP_ATTR_ID], cause)
                                        : command->attr[SP_ATTR_ID];
    if (answer->kind == SP_REHEARSAL_NONSENSE) {
        event.data_is_json = false;
        event.attr[SP_ATTR_CONTENTTYPE] = SP_STR("application/octet-stream");
    }
    sp_status status = type.status != SP_OK
                           ? sp_error_set(error, type.status, "a type is too long")
                           : sp_rehearsal_later(r, r->now_us + answer->after_us, &event, error);
    sp_buf_fini(&type);
    return status;
}

static bool is_command(const struct sp_event *event) {
    return sp_str_starts_with(event->attr[SP_ATTR_STREAM], SP_STR("saga:")) &&
           !sp_str_starts_with(event->attr[SP_ATTR_TYPE], SP_STR("saga.")) &&
           sp_str_starts_with(event->attr[SP_ATTR_ID],
                              sp_str_from_byte(event->attr[SP_ATTR_STREAM], 5));
}

static sp_status ask_workers(struct sp_rehearsal *r, struct sp_error *error) {
    sp_status status = SP_OK;
    while (r->asked < r->durable && status == SP_OK && r->ports.command != NULL) {
        struct sp_event event;
        status = sp_rehearsal_read(r, ++r->asked, &event, error);
        if (status != SP_OK || !is_command(&event)) {
            continue;
        }
        struct sp_rehearsal_plan plan = {.count = 0};
        r->ports.command(r->ports.context, &event, &plan);
        sp_require(plan.count <= SP_REHEARSAL_ANSWERS_MAX);
        for (uint32_t i = 0; i < plan.count && status == SP_OK; i++) {
            status = answer_one(r, &event, &plan.answers[i], error);
        }
    }
    return status;
}

/* ---- work ------------------------------------------------------------------------------------ */

/* Random numbers and ids follow from where the log stands: so a crash does not change them. */
struct sp_flow_now sp_rehearsal_now(struct sp_rehearsal *r) {
    struct sp_prng prng = sp_prng_seed(sp_hash_seeded(&r->count, sizeof(r->count), r->seed));
    struct sp_flow_now now = {
        .now_us = r->now_us, .random = sp_prng_next(&prng), .ports = &r->reads};
    uint64_t high = (r->now_us / 1000) << 16 | 0x7000 | (sp_prng_next(&prng) & 0xfff);
    uint64_t low = (sp_prng_next(&prng) >> 2) | UINT64_C(1) << 63;
    for (int i = 0; i < 8; i++) {
        now.new_id[i] = (uint8_t)(high >> (56 - 8 * i));
        now.new_id[8 + i] = (uint8_t)(low >> (56 - 8 * i));
    }
    return now;
}

static sp_status run_program(struct sp_rehearsal *r, struct piece *piece, struct sp_error *error) {
    piece->gone = false;
    piece->status = SP_OK;
    sp_buf_reset(&piece->value);
    if (piece->work.program.len == 0) {
        return SP_OK;
    }
    sp_buf_reset(&r->input);
    sp_status status = sp_flow_ask(r->flow, &piece->work, &r->reads, &r->input, error);
    if (status == SP_NOT_FOUND) {
        piece->gone = true;
        return SP_OK;
    }
    if (status == SP_OK) {
        status = sp_json_check(sp_buf_str(&r->input), error);
    }
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "what a program is to see");
    }
    sp_error_clear(&piece->error);
    piece->status = r->ports.evaluate == NULL
                        ? sp_error_set(&piece->error, SP_UNSUPPORTED, "no programs here")
                        : r->ports.evaluate(r->ports.context, piece->work.program,
                                            sp_buf_str(&r->input), &piece->value, &piece->error);
    return SP_OK;
}

/* Whatever a flow gives must be what an engine could append. */
static sp_status check_out(const struct sp_flow_out *out, struct sp_error *error) {
    sp_status status = sp_flow_out_status(out);
    if (status != SP_OK) {
        return sp_error_set(error, SP_CORRUPT, "an act gave more than fits");
    }
    for (uint32_t i = 0; i < out->count && status == SP_OK; i++) {
        struct sp_event event;
        sp_flow_out_event(out, i, &event);
        if (event.attr[SP_ATTR_TYPE].len == 0 || event.attr[SP_ATTR_STREAM].len == 0) {
            return sp_error_set(error, SP_CORRUPT, "an act gave an event without type or stream");
        }
        if (event.has_data && event.data_is_json) {
            status = sp_json_check(event.data, error);
        }
        if (status != SP_OK) {
            return sp_error_prefix(error, SP_CORRUPT, "data of %.*s",
                                   SP_STR_ARG(event.attr[SP_ATTR_TYPE]));
        }
    }
    return SP_OK;
}

/* The end of some append that is not durable, or where durable ends. */
static uint32_t some_end(const struct sp_rehearsal *r) {
    uint64_t hash = sp_hash_seeded(&r->appends, sizeof(r->appends), r->seed);
    uint32_t keep = r->durable + (uint32_t)(hash % (r->count - r->durable + 1));
    while (keep > r->durable && keep < r->count && !r->places[keep].begins) {
        keep--;
    }
    return keep;
}

/* Appends, or not. *ret_crashed: the state is another object now, and nothing is in hand. */
static sp_status fare(struct sp_rehearsal *r, const struct sp_flow_work *work, bool *ret_crashed,
                      struct sp_error *error) {
    uint64_t position;
    enum sp_rehearsal_fate fate = r->ports.fate == NULL
                                      ? SP_REHEARSAL_APPENDED
                                      : r->ports.fate(r->ports.context, r->appends + 1);
    *ret_crashed = fate != SP_REHEARSAL_APPENDED && fate != SP_REHEARSAL_REFUSED;
    if (fate == SP_REHEARSAL_REFUSED) {
        sp_flow_back(r->flow, work);
        return SP_OK;
    }
    if (fate == SP_REHEARSAL_CRASH_BEFORE) {
        return sp_rehearsal_crash(r, r->count, false, error);
    }
    sp_status status = store_out(r, &r->out, &position, error);
    if (status == SP_OK && *ret_crashed) {
        uint32_t keep = fate == SP_REHEARSAL_CRASH_TAKEN ? some_end(r) : r->count;
        status = sp_rehearsal_crash(r, keep, fate == SP_REHEARSAL_CRASH_FROM_ZERO, error);
    }
    return status;
}

static sp_status build(struct sp_rehearsal *r, const struct sp_flow_work *work,
                       const struct sp_flow_answer *answer, struct sp_error *error) {
    struct sp_flow_now now = sp_rehearsal_now(r);
    now.answer = *answer;
    sp_flow_out_reset(&r->out);
    sp_status status = sp_flow_act(r->flow, work, &now, &r->out, error);
    if (status == SP_OK) {
        return check_out(&r->out, error);
    }
    return status == SP_NOT_FOUND ? status : sp_error_prefix(error, status, "an act");
}

static sp_status act_one(struct sp_rehearsal *r, struct piece *piece, bool *ret_crashed,
                         struct sp_error *error) {
    struct sp_flow_answer answer = {.status = SP_OK};
    if (piece->work.program.len > 0) {
        answer = (struct sp_flow_answer){.status = piece->status,
                                         .value = sp_buf_str(&piece->value),
                                         .error = sp_str_from(piece->error.text)};
    }
    for (int tries = 0; tries < 2 && !piece->gone; tries++) {
        sp_status status = build(r, &piece->work, &answer, error);
        if (status != SP_OK || r->out.count == 0) {
            return status == SP_NOT_FOUND ? SP_OK : status;
        }
        uint64_t position = 0;
        if (!is_there(r, &r->out, &position)) {
            return fare(r, &piece->work, ret_crashed, error);
        }
        answer = (struct sp_flow_answer){.status = SP_CONFLICT,
                                         .refused = true,
                                         .position = position,
                                         .error = SP_STR("it is there already")};
    }
    return piece->gone
               ? SP_OK
               : sp_error_set(error, SP_CORRUPT,
                              "an act gives twice what is there already (event %u)", r->count);
}

/* Takes a batch in hand, asks all of it, then does it. */
static sp_status do_batch(struct sp_rehearsal *r, uint32_t *ret_taken, struct sp_error *error) {
    uint32_t taken = 0;
    sp_status status = SP_OK;
    while (taken < r->batch && status == SP_OK &&
           sp_flow_next(r->flow, r->now_us, &r->pieces[taken].work)) {
        status = run_program(r, &r->pieces[taken], error);
        taken++;
    }
    bool crashed = false;
    for (uint32_t i = 0; i < taken && status == SP_OK && !crashed; i++) {
        status = act_one(r, &r->pieces[i], &crashed, error);
    }
    *ret_taken = taken;
    return status;
}

sp_status sp_rehearsal_settle(struct sp_rehearsal *r, struct sp_error *error) {
    for (uint32_t acts = 0; acts < ACTS_MAX;) {
        uint32_t taken;
        sp_status status = do_batch(r, &taken, error);
        if (status != SP_OK) {
            return status;
        }
        if (taken == 0) {
            r->durable = r->count;
            return ask_workers(r, error);
        }
        acts += taken;
    }
    return sp_error_set(error, SP_LIMIT, "at event %u there is always more to do", r->count);
}

/* Goes to the next moment; *ret_happened: something did. A timer may ring that nobody needs. */
static sp_status go_on(struct sp_rehearsal *r, uint64_t until_us, bool *ret_happened,
                       struct sp_error *error) {
    uint64_t due_us = sp_flow_due(r->flow);
    uint32_t next = next_later(r);
    uint64_t sent_us = next == UINT32_MAX ? UINT64_MAX : r->later[next].at_us;
    uint64_t at_us = due_us < sent_us ? due_us : sent_us;
    uint64_t before_us = r->now_us;
    uint32_t before = r->count;
    sp_status status = SP_OK;
    if (due_us <= r->now_us) {
        return sp_error_set(error, SP_CORRUPT,
                            "something is due at event %u, and no work is given for it", r->count);
    }
    if (at_us == UINT64_MAX || at_us > until_us) {
        return SP_END;
    }
    r->now_us = at_us > r->now_us ? at_us : r->now_us;
    while (status == SP_OK && next != UINT32_MAX && r->later[next].at_us <= r->now_us) {
        status = send(r, next, error);
        next = next_later(r);
    }
    status = status == SP_OK ? sp_rehearsal_settle(r, error) : status;
    *ret_happened = r->count > before;
    r->now_us = *ret_happened ? r->now_us : before_us;
    return status;
}

sp_status sp_rehearsal_step(struct sp_rehearsal *r, uint64_t until_us, struct sp_error *error) {
    bool happened = false;
    sp_status status = sp_rehearsal_settle(r, error);
    while (status == SP_OK && !happened) {
        status = go_on(r, until_us, &happened, error);
    }
    return status;
}

sp_status sp_rehearsal_run(struct sp_rehearsal *r, uint64_t until_us, struct sp_error *error) {
    sp_status status;
    do {
        status = sp_rehearsal_step(r, until_us, error);
    } while (status == SP_OK);
    if (status != SP_END) {
        return status;
    }
    if (until_us != UINT64_MAX && until_us > r->now_us) {
        r->now_us = until_us;
    }
    return SP_OK;
}

/* ---- life ------------------------------------------------------------------------------------ */

sp_status sp_rehearsal_new(uint64_t seed, uint64_t now_us, const struct sp_rehearsal_ports *ports,
                           struct sp_rehearsal **ret, struct sp_error *error) {
    struct sp_rehearsal *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    r->ports = *ports;
    r->reads = (struct sp_flow_ports){.context = r, .read = read_port};
    r->seed = seed;
    r->now_us = now_us;
    sp_buf_init(&r->bytes, LOG_BYTES_MAX);
    sp_buf_init(&r->memory, MEMORY_BYTES_MAX);
    sp_buf_init(&r->input, TEXT_BYTES_MAX);
    sp_htab_init(&r->ids);
    sp_flow_out_init(&r->out);
    r->batch = ports->batch == 0 ? 1 : ports->batch < BATCH_MAX ? ports->batch : BATCH_MAX;
    r->pieces = calloc(r->batch, sizeof(*r->pieces));
    for (uint32_t i = 0; i < r->batch && r->pieces != NULL; i++) {
        sp_buf_init(&r->pieces[i].value, TEXT_BYTES_MAX);
    }
    sp_status status = r->pieces == NULL ? sp_error_set(error, SP_NO_MEMORY, "out of memory")
                                         : sp_flow_new(&r->flow, error);
    if (status != SP_OK) {
        sp_rehearsal_free(r);
        return status;
    }
    *ret = r;
    return SP_OK;
}

void sp_rehearsal_free(struct sp_rehearsal *r) {
    if (r == NULL) {
        return;
    }
    sp_flow_free(r->flow);
    for (uint32_t i = 0; i < r->later_count; i++) {
        free(r->later[i].bytes);
    }
    for (uint32_t i = 0; i < r->batch && r->pieces != NULL; i++) {
        sp_buf_fini(&r->pieces[i].value);
    }
    free(r->pieces);
    sp_flow_out_fini(&r->out);
    sp_htab_fini(&r->ids);
    sp_buf_fini(&r->input);
    sp_buf_fini(&r->memory);
    sp_buf_fini(&r->bytes);
    free(r->later);
    free(r->places);
    free(r);
}

struct sp_flow *sp_rehearsal_flow(struct sp_rehearsal *r) {
    return r->flow;
}

uint64_t sp_rehearsal_now_us(const struct sp_rehearsal *r) {
    return r->now_us;
}

uint64_t sp_rehearsal_count(const struct sp_rehearsal *r) {
    return r->count;
}

uint64_t sp_rehearsal_hash(const struct sp_rehearsal *r) {
    return sp_hash(r->bytes.data, r->bytes.len);
}
