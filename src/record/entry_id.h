/*
 * The entry id: `<ms>-<seq>`, the name that Redis clients have for an event of a stream. pure
 *
 * Every event has one from the time it was recorded and its number within that millisecond; it
 * rises strictly over the whole log. An event that was added with an id chosen by the client
 * carries that one, its stream's own id, in the extension attribute SP_OWN_ID_NAME: ids rise
 * strictly within each stream in either case, and in a stream without own ids both are the same.
 */
#ifndef SP_RECORD_ENTRY_ID_H
#define SP_RECORD_ENTRY_ID_H

#include "record/event.h"

#define SP_OWN_ID_NAME "streamentryid"

enum { SP_ENTRY_ID_TEXT_SIZE = 44 }; /* two numbers of 20 digits, a dash, a NUL and air */

struct sp_entry_id {
    uint64_t ms;
    uint64_t seq;
};

static const struct sp_entry_id SP_ENTRY_ID_NONE = {.ms = 0, .seq = 0};
static const struct sp_entry_id SP_ENTRY_ID_MAX = {.ms = UINT64_MAX, .seq = UINT64_MAX};

/* Below 0, 0 or above 0, as memcmp. */
static inline int sp_entry_id_compare(struct sp_entry_id a, struct sp_entry_id b) {
    if (a.ms != b.ms) {
        return a.ms < b.ms ? -1 : 1;
    }
    return a.seq < b.seq ? -1 : a.seq > b.seq ? 1 : 0;
}

/* The id that directly follows; of the greatest one itself. */
static inline struct sp_entry_id sp_entry_id_next(struct sp_entry_id id) {
    if (id.seq < UINT64_MAX) {
        return (struct sp_entry_id){.ms = id.ms, .seq = id.seq + 1};
    }
    return id.ms < UINT64_MAX ? (struct sp_entry_id){.ms = id.ms + 1, .seq = 0} : id;
}

static inline bool sp_entry_id_is_none(struct sp_entry_id id) {
    return id.ms == 0 && id.seq == 0;
}

/* The id the log gave: of any event, in every virtual stream. */
static inline struct sp_entry_id sp_entry_id_of_log(uint64_t recorded_us, uint32_t entry_seq) {
    return (struct sp_entry_id){.ms = recorded_us / 1000, .seq = entry_seq};
}

/* Writes `<ms>-<seq>` and a NUL; returns the length. */
size_t sp_entry_id_format(struct sp_entry_id id, char to[SP_ENTRY_ID_TEXT_SIZE]);

/* Reads exactly `<ms>-<seq>`, both below 2^64. False where the text is something else. */
bool sp_entry_id_parse(sp_str text, struct sp_entry_id *ret_id);

/*
 * The id of its own that an event carries; false, and untouched, where it has none. O(extensions).
 */
bool sp_event_own_id(const struct sp_event *event, struct sp_entry_id *ret_id);

/* The id an event has in its stream: its own, or the log's. O(extensions). */
struct sp_entry_id sp_event_entry_id(const struct sp_event *event);

#endif
