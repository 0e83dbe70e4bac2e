#include "core/core.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/wire.h"

void sp_core_init(struct sp_core *core) {
    *core = (struct sp_core){.position = 0};
    sp_streams_init(&core->streams);
    sp_views_init(&core->views, &core->streams);
    sp_groups_init(&core->groups);
    sp_presence_init(&core->presence);
}

void sp_core_fini(struct sp_core *core) {
    sp_presence_fini(&core->presence);
    sp_groups_fini(&core->groups);
    sp_views_fini(&core->views);
    sp_streams_fini(&core->streams);
}

static bool is_new(const struct sp_core_candidate *candidate) {
    return candidate->known_position == 0 && candidate->same_as == 0;
}

static uint64_t version_of(const struct sp_core *core, uint64_t hash, sp_str stream) {
    uint32_t index = sp_streams_find(&core->streams, hash, stream);
    return index == UINT32_MAX ? 0 : sp_stream_at(&core->streams, index)->version;
}

static sp_status check_expectations(const struct sp_core *core, const struct sp_core_append *append,
                                    struct sp_core_outcome *outcome) {
    for (uint32_t i = 0; i < append->expectation_count; i++) {
        const struct sp_core_expectation *expectation = &append->expectations[i];
        uint64_t actual = version_of(core, expectation->stream_hash, expectation->stream);
        if (expectation->version != (uint64_t)SP_CORE_ANY_VERSION &&
            expectation->version != actual) {
            outcome->failed_expectation = i;
            outcome->actual_version = actual;
            return SP_CONFLICT;
        }
    }
    return SP_OK;
}

/* A stream, and for own ids its view with room: a mark may be due. */
static sp_status reserve_stream(struct sp_core *core, struct sp_core_candidate *candidate,
                                bool own_ids, uint32_t events) {
    uint32_t index = 0;
    sp_status status = sp_streams_add(&core->streams, candidate->stream_hash,
                                      candidate->event->attr[SP_ATTR_STREAM], &index);
    candidate->stream_index = index;
    if (status == SP_OK && candidate->id_wish != SP_ID_WISH_NONE) {
        status = sp_views_reserve(&core->views, index);
    }
    return status == SP_OK && own_ids ? sp_views_make_room(&core->views, index, events) : status;
}

/* Makes sure that every stream exists before anything is decided: what follows cannot fail. */
static sp_status reserve_streams(struct sp_core *core, const struct sp_core_append *append,
                                 bool own_ids) {
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < append->candidate_count && status == SP_OK; i++) {
        if (is_new(&append->candidates[i])) {
            status = reserve_stream(core, &append->candidates[i], own_ids, append->candidate_count);
        }
    }
    return status;
}

/* Where in time the next event is, `ahead` events of the same append being before it. */
static void next_moment(const struct sp_core *core, uint64_t now_us, uint32_t ahead,
                        uint64_t *ret_recorded_us, uint32_t *ret_entry_seq) {
    uint64_t recorded_us = now_us > core->recorded_us ? now_us : core->recorded_us;
    bool same_ms = core->position > 0 && recorded_us / 1000 == core->recorded_us / 1000;
    *ret_recorded_us = recorded_us;
    *ret_entry_seq = ahead + (same_ms ? core->entry_seq + 1 : 0);
}

/* Gives every candidate the id it has in its stream, or says which one cannot have any. */
static sp_status plan_ids(struct sp_core *core, const struct sp_core_append *append,
                          struct sp_core_outcome *outcome) {
    uint32_t ahead = 0;
    core->views.step++;
    for (uint32_t i = 0; i < append->candidate_count; i++) {
        struct sp_core_candidate *candidate = &append->candidates[i];
        uint64_t recorded_us;
        uint32_t entry_seq;
        if (!is_new(candidate)) {
            continue;
        }
        next_moment(core, append->now_us, ahead++, &recorded_us, &entry_seq);
        sp_status status = sp_views_plan(&core->views, candidate->stream_index, candidate,
                                         sp_entry_id_of_log(recorded_us, entry_seq));
        if (status != SP_OK) {
            outcome->failed_candidate = i + 1;
            return status;
        }
    }
    return SP_OK;
}

/* The state after an event, whoever decided it. */
static void fold(struct sp_core *core, uint32_t index, const struct sp_core_applied *applied) {
    struct sp_stream *stream = sp_stream_at(&core->streams, index);
    core->position = applied->position;
    core->recorded_us = applied->recorded_us;
    core->entry_seq = applied->entry_seq;
    stream->version = applied->version;
    stream->last_position = applied->position;
    if (applied->version == 1 || core->views.count > 0) {
        sp_views_note(&core->views, index, applied->version, applied->position,
                      sp_entry_id_of_log(applied->recorded_us, applied->entry_seq),
                      applied->own_id);
    }
}

/*
 * Gives the event its place: the next position and version, a time that never falls, a rising
 * entry id.
 */
static void assign(struct sp_core *core, struct sp_core_candidate *candidate, uint64_t now_us,
                   bool own_ids) {
    struct sp_event *event = candidate->event;
    uint32_t index = candidate->stream_index;
    candidate->own_id = own_ids ? candidate->own_id : SP_ENTRY_ID_NONE;
    next_moment(core, now_us, 0, &event->recorded_us, &event->entry_seq);
    event->position = core->position + 1;
    event->version = sp_stream_at(&core->streams, index)->version + 1;
    const struct sp_core_applied applied = {
        .position = event->position,
        .version = event->version,
        .recorded_us = event->recorded_us,
        .entry_seq = event->entry_seq,
        .own_id = candidate->own_id,
    };
    fold(core, index, &applied);
}

sp_status sp_core_step(struct sp_core *core, const struct sp_core_append *append,
                       struct sp_core_outcome *ret_outcome) {
    struct sp_core_outcome outcome = {.appended_count = 0};
    bool own_ids = core->views.own_count > 0; /* streams without any cost nothing */
    for (uint32_t i = 0; i < append->candidate_count; i++) {
        outcome.appended_count += is_new(&append->candidates[i]) ? 1 : 0;
        own_ids = own_ids || append->candidates[i].id_wish != SP_ID_WISH_NONE;
    }
    sp_status status = SP_OK;
    if (outcome.appended_count > 0) {
        status = check_expectations(core, append, &outcome);
        status = status == SP_OK ? reserve_streams(core, append, own_ids) : status;
        status = status == SP_OK && own_ids ? plan_ids(core, append, &outcome) : status;
    }
    for (uint32_t i = 0; status == SP_OK && i < append->candidate_count; i++) {
        if (is_new(&append->candidates[i])) {
            assign(core, &append->candidates[i], append->now_us, own_ids);
        }
    }
    *ret_outcome = outcome;
    return status;
}

/* An own id rises within its stream; where the stream has them, so does the log's. */
static sp_status check_own_id(struct sp_core *core, uint32_t index,
                              const struct sp_core_applied *applied) {
    bool has_own = !sp_entry_id_is_none(applied->own_id);
    if (!has_own && core->views.own_count == 0) {
        return SP_OK;
    }
    struct sp_view_facts facts = sp_view_at(&core->views, index);
    struct sp_entry_id id =
        has_own ? applied->own_id : sp_entry_id_of_log(applied->recorded_us, applied->entry_seq);
    if (facts.own_ids && sp_entry_id_compare(id, facts.last_id) <= 0) {
        return SP_CORRUPT;
    }
    sp_status status = has_own ? sp_views_reserve(&core->views, index) : SP_OK;
    return status == SP_OK ? sp_views_make_room(&core->views, index, 1) : status;
}

sp_status sp_core_apply(struct sp_core *core, const struct sp_core_applied *applied) {
    uint32_t index;
    sp_status status =
        sp_streams_add(&core->streams, applied->stream_hash, applied->stream, &index);
    if (status != SP_OK) {
        return status;
    }
    const struct sp_stream *stream = sp_stream_at(&core->streams, index);
    if (applied->position != core->position + 1 || applied->version != stream->version + 1 ||
        applied->recorded_us < core->recorded_us) {
        return SP_CORRUPT;
    }
    status = check_own_id(core, index, applied);
    if (status == SP_OK) {
        fold(core, index, applied);
    }
    return status;
}

/* ---- control records ---- */

sp_status sp_core_fold(struct sp_core *core, sp_str ops) {
    struct sp_wire wire = sp_wire_of(ops.ptr, ops.len);
    sp_status status = SP_OK;
    while (status == SP_OK && sp_wire_left(&wire) > 0) {
        uint8_t op = sp_wire_u8(&wire);
        status = op < SP_OP_GROUP_MAKE ? sp_views_fold(&core->views, (enum sp_op)op, &wire)
                 : op < SP_OP_AGENT_ANNOUNCE
                     ? sp_groups_fold(&core->groups, (enum sp_op)op, &wire)
                     : sp_presence_fold(&core->presence, (enum sp_op)op, &wire);
    }
    return status == SP_OK && wire.bad ? SP_CORRUPT : status;
}

uint64_t sp_core_control_next(struct sp_core *core) {
    return ++core->control_number;
}

sp_status sp_core_control(struct sp_core *core, uint64_t number, sp_str ops,
                          struct sp_error *error) {
    if (number != core->control_number + 1) {
        return sp_error_set(error, SP_CORRUPT, "control record %llu follows record %llu",
                            (unsigned long long)number, (unsigned long long)core->control_number);
    }
    core->control_number = number;
    sp_status status = sp_core_fold(core, ops);
    if (status == SP_CORRUPT) {
        return sp_error_set(error, status, "control record %llu makes no sense",
                            (unsigned long long)number);
    }
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "%s", sp_status_text(status));
}

/* ---- hash ---- */

/* A sum, so that the order does not matter in which the streams came to be known. */
static uint64_t hash_streams(const struct sp_streams *streams) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < streams->count; i++) {
        const struct sp_stream *stream = sp_stream_at(streams, i);
        /* A stream without events was only made ready for an append that then did not come. */
        if (stream->version > 0) {
            sp_str name = sp_stream_name(stream);
            const uint64_t numbers[2] = {stream->version, stream->last_position};
            sum += sp_hash_seeded(numbers, sizeof(numbers), sp_hash(name.ptr, name.len));
        }
    }
    return sum;
}

uint64_t sp_core_hash(const struct sp_core *core) {
    const uint64_t parts[] = {
        core->position,
        core->recorded_us,
        core->entry_seq,
        core->control_number,
        hash_streams(&core->streams),
        sp_views_hash(&core->views),
        sp_groups_hash(&core->groups),
        sp_presence_hash(&core->presence),
    };
    return sp_hash(parts, sizeof(parts));
}
