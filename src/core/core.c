#include "core/core.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/wire.h"

void sp_core_init(struct sp_core *core) {
    *core = (struct sp_core){.position = 0};
    sp_streams_init(&core->streams);
}

void sp_core_fini(struct sp_core *core) {
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

/* Makes sure that every stream exists before anything is decided: what follows cannot fail. */
static sp_status reserve_streams(struct sp_core *core, const struct sp_core_append *append) {
    for (uint32_t i = 0; i < append->candidate_count; i++) {
        const struct sp_core_candidate *candidate = &append->candidates[i];
        uint32_t index;
        if (!is_new(candidate)) {
            continue;
        }
        sp_status status = sp_streams_add(&core->streams, candidate->stream_hash,
                                          candidate->event->attr[SP_ATTR_STREAM], &index);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

/* The state after an event, whoever decided it. */
static void fold(struct sp_core *core, struct sp_stream *stream, uint64_t version,
                 uint64_t recorded_us, uint32_t entry_seq) {
    core->position++;
    core->recorded_us = recorded_us;
    core->entry_seq = entry_seq;
    stream->version = version;
    stream->last_position = core->position;
}

/*
 * Gives the event its place: the next position and version, a time that never falls, a rising
 * entry id.
 */
static void assign(struct sp_core *core, const struct sp_core_candidate *candidate,
                   uint64_t now_us) {
    struct sp_event *event = candidate->event;
    uint32_t index =
        sp_streams_find(&core->streams, candidate->stream_hash, event->attr[SP_ATTR_STREAM]);
    sp_invariant(index != UINT32_MAX);
    struct sp_stream *stream = sp_stream_at(&core->streams, index);
    uint64_t recorded_us = now_us > core->recorded_us ? now_us : core->recorded_us;
    bool same_ms = core->position > 0 && recorded_us / 1000 == core->recorded_us / 1000;
    event->position = core->position + 1;
    event->version = stream->version + 1;
    event->recorded_us = recorded_us;
    event->entry_seq = same_ms ? core->entry_seq + 1 : 0;
    fold(core, stream, event->version, recorded_us, event->entry_seq);
}

sp_status sp_core_step(struct sp_core *core, const struct sp_core_append *append,
                       struct sp_core_outcome *ret_outcome) {
    struct sp_core_outcome outcome = {.appended_count = 0};
    for (uint32_t i = 0; i < append->candidate_count; i++) {
        outcome.appended_count += is_new(&append->candidates[i]) ? 1 : 0;
    }
    sp_status status = SP_OK;
    if (outcome.appended_count > 0) {
        status = check_expectations(core, append, &outcome);
        status = status == SP_OK ? reserve_streams(core, append) : status;
    }
    for (uint32_t i = 0; status == SP_OK && i < append->candidate_count; i++) {
        if (is_new(&append->candidates[i])) {
            assign(core, &append->candidates[i], append->now_us);
        }
    }
    *ret_outcome = outcome;
    return status;
}

sp_status sp_core_apply(struct sp_core *core, const struct sp_core_applied *applied) {
    uint32_t index;
    sp_status status =
        sp_streams_add(&core->streams, applied->stream_hash, applied->stream, &index);
    if (status != SP_OK) {
        return status;
    }
    struct sp_stream *stream = sp_stream_at(&core->streams, index);
    if (applied->position != core->position + 1 || applied->version != stream->version + 1 ||
        applied->recorded_us < core->recorded_us) {
        return SP_CORRUPT;
    }
    fold(core, stream, applied->version, applied->recorded_us, applied->entry_seq);
    return SP_OK;
}

uint64_t sp_core_hash(const struct sp_core *core) {
    const uint64_t order[3] = {core->position, core->recorded_us, core->entry_seq};
    uint64_t hash = sp_hash(order, sizeof(order));
    for (uint32_t i = 0; i < core->streams.count; i++) {
        const struct sp_stream *stream = sp_stream_at(&core->streams, i);
        /* A stream without events was only made ready for an append that then did not come. */
        if (stream->version > 0) {
            sp_str name = sp_stream_name(stream);
            const uint64_t numbers[2] = {stream->version, stream->last_position};
            hash =
                sp_hash_seeded(numbers, sizeof(numbers), sp_hash_seeded(name.ptr, name.len, hash));
        }
    }
    return hash;
}
