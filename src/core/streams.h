/*
 * The table of streams: name to version, in the order in which streams began. pure
 *
 * One cache line a stream, the name within it where it is short, so that an append to one of ten
 * million streams waits for memory twice: for the hash slot and for the stream. Both can be asked
 * for ahead. Streams are never removed. Entries do not move.
 */
#ifndef SP_CORE_STREAMS_H
#define SP_CORE_STREAMS_H

#include "base/htab.h"
#include "base/str.h"

enum {
    SP_STREAM_INLINE_BYTES = 46,
    SP_STREAM_CHUNK = 4096, /* entries allocated together */
};

struct sp_stream {
    uint64_t version;
    uint64_t last_position;
    uint16_t name_bytes;
    char name[SP_STREAM_INLINE_BYTES]; /* of a longer name a pointer to it, which the table owns */
};

_Static_assert(sizeof(struct sp_stream) == 64, "a stream is one cache line");

struct sp_streams {
    struct sp_htab by_name; /* hash of the name to index */
    struct sp_stream **chunks;
    uint32_t chunk_capacity;
    uint32_t count;
    uint64_t far_bytes; /* of long names */
};

void sp_streams_init(struct sp_streams *streams);
void sp_streams_fini(struct sp_streams *streams);

/* The hash of a name that the functions below want. */
uint64_t sp_stream_hash(sp_str name);

static inline struct sp_stream *sp_stream_at(const struct sp_streams *streams, uint32_t index) {
    return &streams->chunks[index / SP_STREAM_CHUNK][index % SP_STREAM_CHUNK];
}

static inline sp_str sp_stream_name(const struct sp_stream *stream) {
    const char *name = stream->name;
    if (stream->name_bytes > SP_STREAM_INLINE_BYTES) {
        memcpy(&name, stream->name, sizeof(name));
    }
    return sp_str_of(name, stream->name_bytes);
}

/* Brings what a lookup of this hash touches first towards the cache. */
static inline void sp_streams_prefetch(const struct sp_streams *streams, uint64_t hash) {
    sp_htab_prefetch(&streams->by_name, hash);
}

/* And what it touches next; call it some time after sp_streams_prefetch. */
void sp_streams_prefetch_entry(const struct sp_streams *streams, uint64_t hash);

/* The stream's index, or UINT32_MAX where there is none. O(1). */
uint32_t sp_streams_find(const struct sp_streams *streams, uint64_t hash, sp_str name);

/* Finds or adds; a new stream has version 0. SP_OK, SP_NO_MEMORY, SP_LIMIT (2^31 streams). */
SP_WARN_UNUSED sp_status sp_streams_add(struct sp_streams *streams, uint64_t hash, sp_str name,
                                        uint32_t *ret_index);

#endif
