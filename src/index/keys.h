/*
 * The keys under which an event can be found: hashes, by kind. pure
 *
 * An index entry is a hash or a part of one, never the text. Hashes may collide, so every lookup
 * yields candidates: the caller reads the event and compares the text. There is never a false
 * negative.
 *
 * An event is found under its stream, type, source and correlation, each of which has posting
 * lists, and through the id table, where one hash serves two purposes: an event stands there under
 * the hash of its own id (role ID) and under the hash of its cause's id (role CAUSE), so that an
 * event and what it caused are met in one place. An event whose id is no canonical UUID stands
 * there under the hash of source and id as well (role SOURCE_ID): ids are unique per source only,
 * and where a thousand sources count 1, 2, 3 …, the id alone would yield a thousand candidates for
 * every append that is checked. For a UUID the id alone is as good, and a third entry is spared.
 */
#ifndef SP_INDEX_KEYS_H
#define SP_INDEX_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "record/event.h"

/* The kinds that have posting lists. The numbers are stored. */
enum sp_index_kind {
    SP_INDEX_STREAM = 0,
    SP_INDEX_TYPE = 1,
    SP_INDEX_SOURCE = 2,
    SP_INDEX_CORRELATION = 3,
    SP_INDEX_KIND_COUNT = 4,
};

/* What an entry of the id table says of its event; bits, so that a lookup may ask for several. */
enum sp_index_role {
    SP_INDEX_ID = 1,        /* the event has this id */
    SP_INDEX_CAUSE = 2,     /* the event was caused by the one of this id */
    SP_INDEX_SOURCE_ID = 4, /* the event has this source and this id, which is not a UUID */
};

/* Everything the index wants to know of an event besides its position, time and type. */
struct sp_index_keys {
    uint64_t stream;
    uint64_t type;
    uint64_t source;
    uint64_t correlation;
    uint64_t id;
    uint64_t cause;     /* 0 where has_cause is false */
    uint64_t source_id; /* 0 where has_source_id is false */
    bool has_cause;
    bool has_source_id;
};

/* The hash of a stream, type, source or correlation. O(length). */
uint64_t sp_index_hash(enum sp_index_kind kind, sp_str text);

/* The hash of an id: for roles ID and CAUSE alike. */
uint64_t sp_index_hash_id(sp_str id);

/* The hash of source and id together: for role SOURCE_ID. */
uint64_t sp_index_hash_source_id(sp_str source, sp_str id);

/*
 * Where an append of this source and id must look whether it was there before: the role (ID for a
 * canonical UUID, else SOURCE_ID), and the hash in *ret_hash.
 */
enum sp_index_role sp_index_hash_unique(sp_str source, sp_str id, uint64_t *ret_hash);

/*
 * The keys of a stored event: type, source, stream, id and correlation are there, a cause may be.
 * Borrows nothing. About six short hashes: some 40 ns.
 */
struct sp_index_keys sp_index_keys_of(const struct sp_event *event);

#endif
