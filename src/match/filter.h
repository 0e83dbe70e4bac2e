/*
 * Filters on the content of events: compiled once, matched against many. pure, any-thread
 *
 * A filter is a JSON object in one of two dialects; its shape says which. Where what it leads to
 * are arrays it is an Amazon EventBridge event pattern, else spoor's own: a path for a key, a value
 * or an object of operators for a value. docs/filters.md is the reference to both.
 *
 * A compiled filter never changes: threads may share it. Matching allocates nothing, reads each
 * JSON text of the event at most once, and does not read data where the attributes alone decide.
 *
 * Limits: below; beyond them compiling is SP_LIMIT.
 */
#ifndef SP_MATCH_FILTER_H
#define SP_MATCH_FILTER_H

#include "base/error.h"
#include "base/str.h"
#include "record/event.h"

enum {
    SP_FILTER_BYTES_MAX = 65536,
    SP_FILTER_DEPTH_MAX = 32,  /* levels of JSON */
    SP_FILTER_TESTS_MAX = 512, /* comparisons, after `$or` of EventBridge is multiplied out too */
    SP_FILTER_OPERANDS_MAX = 4096, /* values to compare with, in all */
    SP_FILTER_MEMORY_MAX = 1 << 20 /* bytes of a compiled filter, its regular expressions apart */
};

struct sp_filter;

/*
 * Compiles a filter. SP_INVALID where it is not JSON or not a filter, SP_UNSUPPORTED for a part of
 * regular expressions that cannot be matched in linear time, SP_LIMIT, SP_NO_MEMORY. The error says
 * where (path or operator) and what was expected; its offset is the byte position in the text. The
 * text is copied. sp_filter_free gives the filter back.
 */
SP_WARN_UNUSED sp_status sp_filter_compile(sp_str json, struct sp_filter **ret_filter,
                                           struct sp_error *error);

/* NULL is fine. */
void sp_filter_free(struct sp_filter *filter);

/*
 * True where the event matches. The event's JSON texts have been checked when it came in: where one
 * is broken all the same, what lies before the error counts. O(size of the event's JSON texts that
 * the filter reads, times the tests on each value).
 */
bool sp_filter_match(const struct sp_filter *filter, const struct sp_event *event);

/* True for the EventBridge dialect. */
bool sp_filter_is_eventbridge(const struct sp_filter *filter);

#endif
