/*
 * What the tests of the core share: events that need no more than a stream, one append after
 * another, and what was appended as recovery would see it.
 */
#ifndef SP_TESTS_CORE_HELP_H
#define SP_TESTS_CORE_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "core/core.h"

enum { HELP_NAME_SIZE = 80, HELP_BATCH_MAX = 8 };

/* One event of the log, to be applied again. */
struct help_entry {
    char stream[HELP_NAME_SIZE];
    struct sp_core_applied applied; /* its stream points nowhere: see help_apply */
};

struct help_log {
    struct help_entry *entries;
    size_t count;
    size_t capacity;
};

void help_log_fini(struct help_log *log);

/* An append of a few events, as the core wants it. */
struct help_append {
    struct sp_event events[HELP_BATCH_MAX];
    char names[HELP_BATCH_MAX][HELP_NAME_SIZE];
    struct sp_core_candidate candidates[HELP_BATCH_MAX];
    struct sp_core_expectation expectations[HELP_BATCH_MAX];
    char expected_names[HELP_BATCH_MAX][HELP_NAME_SIZE];
    struct sp_core_append append;
};

void help_append_init(struct help_append *append, uint64_t now_us);
struct sp_core_candidate *help_append_add(struct help_append *append, const char *stream);
void help_append_expect(struct help_append *append, const char *stream, uint64_t version);

/* Steps the core; where that succeeds the new events are entered in the log (may be NULL). */
sp_status help_step(struct sp_core *core, struct help_append *append, struct help_log *log,
                    struct sp_core_outcome *ret_outcome);

/* Appends one event and expects that to succeed. */
const struct sp_event *help_put(struct sp_core *core, struct help_append *append,
                                const char *stream, uint64_t now_us);

sp_status help_apply(struct sp_core *core, const struct help_entry *entry);

/* Applies entries [begin, end) and expects that to succeed. */
void help_replay(struct sp_core *core, const struct help_log *log, size_t begin, size_t end);

uint64_t help_version(const struct sp_core *core, const char *stream);

/*
 * A random append over `streams` streams: new ones, known ones, doubles, with a clock that steps.
 */
void help_random(struct help_append *append, struct sp_prng *prng, uint32_t streams,
                 uint64_t *now_us);

#endif
