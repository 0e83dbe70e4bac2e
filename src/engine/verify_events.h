/*
 * What must hold among events, beyond their bytes: verification's second half. helper
 *
 * Versions are dense in each stream, entry ids rise, a source uses an id once, and the index of a
 * sealed segment knows its events. Fed with every readable record in the order of the log.
 *
 * Memory: 32 bytes a stream; 16 to 128 MB for ids, which are held against those of the last four
 * to eight million events; the keys of the events whose index entries are looked up, 6 MB. Streams
 * and ids are told apart by 64-bit hashes: a chance hit among 10^9 events is less likely than one
 * in a thousand.
 */
#ifndef SP_ENGINE_VERIFY_EVENTS_H
#define SP_ENGINE_VERIFY_EVENTS_H

#include "index/index.h"
#include "log/verify.h"

/* Open addressing, key to value, keys not 0. */
struct verify_table {
    struct verify_slot *slots;
    size_t mask;
    size_t count;
};

/* An event whose entries in the index are looked up. */
struct verify_sample {
    struct sp_index_keys keys;
    uint64_t position;
};

/* An event whose turn at the tables has not come: they are asked for ahead. */
struct verify_ahead {
    uint64_t position;
    uint64_t version;
    uint64_t stream; /* hashes, not 0 */
    uint64_t source_id;
    uint64_t offset;
};

enum { VERIFY_AHEAD = 8 };

/* Says that events first to last are not as they should be. */
typedef void verify_events_say_fn(void *context, uint64_t first, uint64_t last, const char *file,
                                  uint64_t offset, const char *text);

struct verify_events {
    verify_events_say_fn *say;
    void *context;
    uint64_t next_position;
    uint64_t segment_events; /* seen of the segment under way */
    uint64_t entry_ms;
    uint32_t entry_seq;
    bool began;                              /* at least one event was seen */
    uint64_t control_number;                 /* of the last control record; 0: none was seen */
    struct verify_ahead ahead[VERIFY_AHEAD]; /* ring */
    unsigned ahead_count;
    uint64_t ahead_begin;
    bool trimmed; /* earlier events are gone: streams may begin with any version */
    bool partly;  /* events in between are missing: versions may go on with any higher one */
    struct verify_table streams; /* to the last version */
    struct verify_table ids[2];  /* the younger one is filled; a full one becomes the older */
    unsigned younger;
    struct verify_sample *samples;
    size_t sample_count;
    size_t sample_capacity;
};

SP_WARN_UNUSED sp_status verify_events_init(struct verify_events *events, verify_events_say_fn *say,
                                            void *context);
void verify_events_fini(struct verify_events *events);

/* SP_OK, also where something is said; SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status verify_events_add(struct verify_events *events,
                                           const struct sp_record *record,
                                           const struct sp_verify_place *place);

/* A segment has ended: looks its events up in its index. SP_OK or SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status verify_events_segment(struct verify_events *events,
                                               const struct sp_verify_segment *segment);

#endif
