/*
 * An entry taken through everything between XADD and XRANGE: mapped, checked as the engine checks
 * it, encoded, decoded, written, and its reply read again.
 */
#ifndef SPOOR_TEST_ENTRY_HELP_H
#define SPOOR_TEST_ENTRY_HELP_H

#include "proto/entry.h"
#include "proto/resp_read.h"

struct trip {
    struct sp_entry entry;
    struct sp_event_limits limits;
    struct sp_buf scratch;
    struct sp_buf stored;
    struct sp_buf reply;
    char expand[SP_RECORD_SCRATCH_BYTES];
    struct sp_event event; /* as mapped and checked, later as decoded */
    struct sp_resp_reader reader;
    struct sp_resp_command shown; /* names and values */
};

/* Fields are empty, the stream is "orders", the source is "client-1". */
struct trip *trip_new(void);
void trip_free(struct trip *trip);

/* Makes the event, checks it and stores it; fails the test where the engine would refuse it. */
void trip_store(struct trip *trip);

/* Decodes what was stored, writes its fields and reads the reply. */
void trip_load(struct trip *trip);

/* The same, from the event as it is now. */
void trip_show(struct trip *trip);

/* Both, and fails unless the fields come back as they were. */
void trip_same(struct trip *trip);

/* Fails unless the fields shown are those of the entry. */
void trip_compare(struct trip *trip);

/* trip_same for names and values given as NUL-terminated texts, up to a NULL. */
void trip_fields(struct trip *trip, ...);

/* The value of an extension, NULL ptr where the event has none. */
sp_str trip_extension(const struct trip *trip, const char *name);

/* Fails unless text is what is expected, NULL for absent. */
void text_is(sp_str text, const char *expected);

#endif
