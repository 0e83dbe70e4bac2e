/*
 * What the tests of the public API share: a folder of one's own, a store in it, events written in
 * one line, and answers compared with a naive look at all events.
 */
#ifndef SP_TESTS_API_HELPER_H
#define SP_TESTS_API_HELPER_H

#include "../engine/folder.h"
#include "server.h"

#include <spoor.h>

/* As help_end, and ends the server of the test, if it had one. */
int help_end_all(void **state);

/* Fails the test with the error's text where the status is not SPOOR_OK. */
void help_ok(spoor_status status, const spoor_error *error);

/* A status and a piece of the error's text. */
void help_refused(spoor_status status, const spoor_error *error, spoor_status expected,
                  const char *piece);

/* Opens the test's folder; flags as in spoor.h, SPOOR_CREATE where it shall be made. */
spoor *help_open(unsigned flags);
/* Likewise with small segments, so that a few hundred KiB of events rotate and are sealed. */
spoor *help_open_small(unsigned flags, uint64_t segment_bytes);

/* An event with type, source and the data, all borrowed; data NULL: none. */
spoor_event help_event(const char *type, const char *source, const char *data);

/* Appends and expects that to succeed. */
spoor_appended help_append(spoor *store, const spoor_event *event);
spoor_appended help_put(spoor *store, const char *type, const char *source, const char *id);

/* Appends, expects a refusal with the status and the text, and that nothing was stored. */
void help_append_refused(spoor *store, const spoor_event *event, uint64_t expected_version,
                         spoor_status expected, const char *piece);

uint64_t help_last_position(spoor *store);
/* Expects that so many segments are sealed, where the store is a folder and they are small. */
void help_sealed(spoor *store, uint32_t least);
spoor_info help_info(spoor *store);

/* Turns until every full segment is sealed. */
void help_seal(spoor *store);

/* A copy of an event, as the naive comparisons keep it. */
struct help_copy {
    spoor_event event; /* its texts point into `text` */
    spoor_extension extensions[8];
    char *text;
};

struct help_copies {
    struct help_copy *items;
    size_t count;
    size_t capacity;
};

/* Reads a cursor to its end and closes it. */
struct help_copies help_drain(spoor_cursor *cursor);
struct help_copies help_read(spoor *store, const spoor_query *query);
void help_copies_free(struct help_copies *copies);

/* How many events a query gives. */
size_t help_count(spoor *store, const spoor_query *query);

/* True where the text is this one; NULL is absent. */
int help_is(spoor_str text, const char *expected);
int help_same_text(spoor_str a, spoor_str b);
/* Fails where two events differ in anything. */
void help_same_event(const spoor_event *a, const spoor_event *b);

/*
 * Appends `count` random events in batches: types of a small vocabulary, a few sources, streams
 * and runs, data with numbers and words. The same seed gives the same events.
 */
void help_fill(spoor *store, uint64_t seed, size_t count);

#endif
