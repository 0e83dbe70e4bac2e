/* Events for the tests of matching, made from their JSON form. */
#ifndef SPOOR_TESTS_MATCH_HELPER_H
#define SPOOR_TESTS_MATCH_HELPER_H

#include "base/buf.h"
#include "match/filter.h"

struct made_event {
    struct sp_event event;
    struct sp_buf scratch;
};

/*
 * Reads the event, leniently; type and source may be missing and are then `t` and `s`. position,
 * version, recordedtime (RFC 3339) and entryid's second number are taken from the text where given.
 * Fails the test where it is no event. The text must live as long as the event.
 */
void make_event(struct made_event *made, sp_str json);
void unmake_event(struct made_event *made);

/* Compiles the filter, failing the test where it is none, matches once, and frees it. */
bool filter_matches(sp_str filter, sp_str event);

/* As filter_matches, of texts in which ' stands for ": JSON that C can be read around. */
bool quoted_matches(const char *filter, const char *event);

/* Writes the text with " for each ', and returns it. */
sp_str requote(const char *text, char *to, size_t size);

#endif
