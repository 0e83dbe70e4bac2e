#include "core/streams.h"

#include <stdlib.h>

#include "base/hash.h"

enum { STREAMS_MAX = 0x60000000 }; /* what the hash table takes at its fill */

void sp_streams_init(struct sp_streams *streams) {
    *streams = (struct sp_streams){.chunks = NULL};
    sp_htab_init(&streams->by_name);
}

void sp_streams_fini(struct sp_streams *streams) {
    for (uint32_t i = 0; i < streams->count; i++) {
        struct sp_stream *stream = sp_stream_at(streams, i);
        if (stream->name_bytes > SP_STREAM_INLINE_BYTES) {
            char *far;
            memcpy(&far, stream->name, sizeof(far));
            free(far);
        }
    }
    uint32_t chunks = (streams->count + SP_STREAM_CHUNK - 1) / SP_STREAM_CHUNK;
    for (uint32_t i = 0; i < chunks; i++) {
        free(streams->chunks[i]);
    }
    free(streams->chunks);
    sp_htab_fini(&streams->by_name);
    *streams = (struct sp_streams){.chunks = NULL};
}

uint64_t sp_stream_hash(sp_str name) {
    return sp_hash(name.ptr, name.len);
}

void sp_streams_prefetch_entry(const struct sp_streams *streams, uint64_t hash) {
    struct sp_htab_probe probe = sp_htab_find(&streams->by_name, hash);
    uint32_t index;
    if (sp_htab_next(&probe, &index)) {
        __builtin_prefetch(sp_stream_at(streams, index));
    }
}

uint32_t sp_streams_find(const struct sp_streams *streams, uint64_t hash, sp_str name) {
    struct sp_htab_probe probe = sp_htab_find(&streams->by_name, hash);
    uint32_t index;
    while (sp_htab_next(&probe, &index)) {
        if (sp_str_eq(sp_stream_name(sp_stream_at(streams, index)), name)) {
            return index;
        }
    }
    return UINT32_MAX;
}

/* Makes room for one more entry. */
static sp_status reserve_entry(struct sp_streams *streams) {
    uint32_t chunk = streams->count / SP_STREAM_CHUNK;
    if (streams->count % SP_STREAM_CHUNK != 0) {
        return SP_OK;
    }
    if (chunk == streams->chunk_capacity) {
        uint32_t capacity = chunk == 0 ? 16 : chunk * 2;
        struct sp_stream **chunks = realloc(streams->chunks, capacity * sizeof(*chunks));
        if (chunks == NULL) {
            return SP_NO_MEMORY;
        }
        streams->chunks = chunks;
        streams->chunk_capacity = capacity;
    }
    streams->chunks[chunk] = aligned_alloc(64, SP_STREAM_CHUNK * sizeof(struct sp_stream));
    return streams->chunks[chunk] == NULL ? SP_NO_MEMORY : SP_OK;
}

static sp_status set_name(struct sp_streams *streams, struct sp_stream *stream, sp_str name) {
    stream->name_bytes = (uint16_t)name.len;
    if (name.len <= SP_STREAM_INLINE_BYTES) {
        memcpy(stream->name, name.ptr, name.len);
        return SP_OK;
    }
    char *far = malloc(name.len);
    if (far == NULL) {
        return SP_NO_MEMORY;
    }
    memcpy(far, name.ptr, name.len);
    memcpy(stream->name, &far, sizeof(far));
    streams->far_bytes += name.len;
    return SP_OK;
}

sp_status sp_streams_add(struct sp_streams *streams, uint64_t hash, sp_str name,
                         uint32_t *ret_index) {
    sp_require(name.len > 0 && name.len <= UINT16_MAX);
    uint32_t found = sp_streams_find(streams, hash, name);
    if (found != UINT32_MAX) {
        *ret_index = found;
        return SP_OK;
    }
    if (streams->count == STREAMS_MAX) {
        return SP_LIMIT;
    }
    /* The slot is reserved first: what follows can then fail and leave nothing behind. */
    sp_status status = sp_htab_reserve(&streams->by_name, (size_t)streams->count + 1);
    bool fresh_chunk = streams->count % SP_STREAM_CHUNK == 0;
    status = status == SP_OK ? reserve_entry(streams) : status;
    if (status != SP_OK) {
        return status;
    }
    struct sp_stream *stream = sp_stream_at(streams, streams->count);
    *stream = (struct sp_stream){.version = 0};
    status = set_name(streams, stream, name);
    if (status != SP_OK) {
        if (fresh_chunk) {
            free(streams->chunks[streams->count / SP_STREAM_CHUNK]);
        }
        return status;
    }
    status = sp_htab_add(&streams->by_name, hash, streams->count);
    sp_ensure(status == SP_OK);
    *ret_index = streams->count++;
    return SP_OK;
}
