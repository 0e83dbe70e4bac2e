#include "core_help.h"

#include <stdio.h>
#include <stdlib.h>

void help_log_fini(struct help_log *log) {
    free(log->entries);
    *log = (struct help_log){.entries = NULL};
}

static void log_add(struct help_log *log, const struct sp_event *event) {
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 64 : log->capacity * 2;
        log->entries = realloc(log->entries, log->capacity * sizeof(*log->entries));
        assert_non_null(log->entries);
    }
    struct help_entry *entry = &log->entries[log->count++];
    (void)snprintf(entry->stream, sizeof(entry->stream), "%.*s",
                   SP_STR_ARG(event->attr[SP_ATTR_STREAM]));
    entry->applied = (struct sp_core_applied){.position = event->position,
                                              .version = event->version,
                                              .recorded_us = event->recorded_us,
                                              .entry_seq = event->entry_seq};
}

void help_append_init(struct help_append *append, uint64_t now_us) {
    append->append = (struct sp_core_append){
        .now_us = now_us, .candidates = append->candidates, .expectations = append->expectations};
}

struct sp_core_candidate *help_append_add(struct help_append *append, const char *stream) {
    uint32_t i = append->append.candidate_count++;
    assert_true(i < HELP_BATCH_MAX);
    (void)snprintf(append->names[i], HELP_NAME_SIZE, "%s", stream);
    sp_str name = sp_str_from(append->names[i]);
    append->events[i] = (struct sp_event){.attr = {[SP_ATTR_STREAM] = name}};
    append->candidates[i] = (struct sp_core_candidate){.event = &append->events[i],
                                                       .stream_hash = sp_stream_hash(name)};
    return &append->candidates[i];
}

void help_append_expect(struct help_append *append, const char *stream, uint64_t version) {
    uint32_t i = append->append.expectation_count;
    assert_true(i < HELP_BATCH_MAX);
    (void)snprintf(append->expected_names[i], HELP_NAME_SIZE, "%s", stream);
    sp_str name = sp_str_from(append->expected_names[i]);
    append->expectations[i] = (struct sp_core_expectation){
        .stream = name, .stream_hash = sp_stream_hash(name), .version = version};
    append->append.expectation_count++;
}

sp_status help_step(struct sp_core *core, struct help_append *append, struct help_log *log,
                    struct sp_core_outcome *ret_outcome) {
    struct sp_core_outcome outcome;
    sp_status status = sp_core_step(core, &append->append, &outcome);
    for (uint32_t i = 0; status == SP_OK && log != NULL && i < append->append.candidate_count;
         i++) {
        if (append->events[i].position != 0) {
            log_add(log, &append->events[i]);
        }
    }
    if (ret_outcome != NULL) {
        *ret_outcome = outcome;
    }
    return status;
}

const struct sp_event *help_put(struct sp_core *core, struct help_append *append,
                                const char *stream, uint64_t now_us) {
    help_append_init(append, now_us);
    (void)help_append_add(append, stream);
    assert_int_equal(help_step(core, append, NULL, NULL), SP_OK);
    return &append->events[0];
}

sp_status help_apply(struct sp_core *core, const struct help_entry *entry) {
    struct sp_core_applied applied = entry->applied;
    applied.stream = sp_str_from(entry->stream);
    applied.stream_hash = sp_stream_hash(applied.stream);
    return sp_core_apply(core, &applied);
}

void help_replay(struct sp_core *core, const struct help_log *log, size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) {
        assert_int_equal(help_apply(core, &log->entries[i]), SP_OK);
    }
}

uint64_t help_version(const struct sp_core *core, const char *stream) {
    sp_str name = sp_str_from(stream);
    uint32_t index = sp_streams_find(&core->streams, sp_stream_hash(name), name);
    return index == UINT32_MAX ? 0 : sp_stream_at(&core->streams, index)->version;
}

/* Time mostly goes on, in steps of microseconds to seconds; now and then it falls. */
static void move_clock(struct sp_prng *prng, uint64_t *now_us) {
    uint32_t what = sp_prng_below(prng, 20);
    if (what == 0) {
        *now_us -= *now_us > 5000000 ? sp_prng_below(prng, 5000000) : 0;
    } else if (what < 4) {
        *now_us += sp_prng_below(prng, 2000000);
    } else if (what < 12) {
        *now_us += sp_prng_below(prng, 400);
    }
}

void help_random(struct help_append *append, struct sp_prng *prng, uint32_t streams,
                 uint64_t *now_us) {
    move_clock(prng, now_us);
    help_append_init(append, *now_us);
    uint32_t count = 1 + sp_prng_below(prng, HELP_BATCH_MAX);
    for (uint32_t i = 0; i < count; i++) {
        char name[HELP_NAME_SIZE];
        uint32_t number = sp_prng_below(prng, streams);
        (void)snprintf(name, sizeof(name), "stream-%u-%s", number,
                       number % 7 == 0 ? "whose name is too long to be kept within its entry" : "");
        struct sp_core_candidate *candidate = help_append_add(append, name);
        uint32_t what = sp_prng_below(prng, 10);
        if (what == 0) {
            candidate->known_position = 1;
        } else if (what == 1 && i > 0) {
            candidate->same_as = i;
        }
    }
}
