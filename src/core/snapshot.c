/*
 * The core's state as bytes. Layout, numbers little-endian:
 *
 *     u32 format (3) | u32 0 | u64 position | u64 recorded_us | u32 entry_seq | u32 stream count |
 *     u64 control number
 *     then per stream, in the order in which they began:
 *     varint name bytes | name | varint version | varint last position
 *     then the views, the groups and the agents (docs/format.md)
 *
 * Format 2 has no agents. Format 1 has no control number, and ends behind the streams.
 */
#include <stdlib.h>

#include "base/wire.h"
#include "core/core.h"

enum {
    SNAPSHOT_FORMAT = 3,
    SNAPSHOT_FORMAT_WITHOUT_AGENTS = 2,
    SNAPSHOT_FORMAT_WITHOUT_CONTROL = 1,
    SNAPSHOT_FIXED_BYTES = 40,
    SNAPSHOT_STREAM_BYTES_MIN = 4,
};

struct numbers {
    uint64_t version;
    uint64_t last_position;
};

struct sp_core_snapshot {
    uint64_t position;
    uint64_t recorded_us;
    uint32_t entry_seq;
    uint32_t count;
    uint64_t control_number;
    struct sp_buf rest;        /* views, groups and agents, encoded already */
    struct sp_stream **chunks; /* the list is copied, as it may move; the names behind it stay */
    struct numbers numbers[];
};

struct sp_core_snapshot *sp_core_snapshot_new(const struct sp_core *core) {
    const struct sp_streams *streams = &core->streams;
    size_t chunk_count = (streams->count + SP_STREAM_CHUNK - 1) / SP_STREAM_CHUNK;
    struct sp_core_snapshot *snapshot =
        malloc(sizeof(*snapshot) + (size_t)streams->count * sizeof(struct numbers));
    struct sp_stream **chunks = malloc((chunk_count + 1) * sizeof(*chunks));
    struct sp_buf rest;
    sp_buf_init(&rest, SIZE_MAX);
    sp_views_encode(&core->views, &rest);
    sp_groups_encode(&core->groups, &rest);
    sp_presence_encode(&core->presence, &rest);
    if (snapshot == NULL || chunks == NULL || rest.status != SP_OK) {
        free(snapshot);
        free(chunks);
        sp_buf_fini(&rest);
        return NULL;
    }
    snapshot->rest = rest;
    snapshot->control_number = core->control_number;
    snapshot->position = core->position;
    snapshot->recorded_us = core->recorded_us;
    snapshot->entry_seq = core->entry_seq;
    snapshot->count = streams->count;
    snapshot->chunks = chunks;
    for (size_t i = 0; i < chunk_count; i++) {
        chunks[i] = streams->chunks[i];
    }
    for (uint32_t i = 0; i < streams->count; i++) {
        const struct sp_stream *stream = sp_stream_at(streams, i);
        snapshot->numbers[i] =
            (struct numbers){.version = stream->version, .last_position = stream->last_position};
    }
    return snapshot;
}

void sp_core_snapshot_free(struct sp_core_snapshot *snapshot) {
    if (snapshot != NULL) {
        free(snapshot->chunks);
        sp_buf_fini(&snapshot->rest);
        free(snapshot);
    }
}

uint64_t sp_core_snapshot_position(const struct sp_core_snapshot *snapshot) {
    return snapshot->position;
}

static void encode_stream(const struct sp_stream *stream, const struct numbers *numbers,
                          struct sp_buf *to) {
    sp_str name = sp_stream_name(stream);
    uint8_t *at = sp_buf_reserve(to, name.len + (size_t)3 * SP_VARINT_BYTES_MAX);
    if (at == NULL) {
        return;
    }
    size_t len = sp_put_varint(at, name.len);
    memcpy(at + len, name.ptr, name.len);
    len += name.len;
    len += sp_put_varint(at + len, numbers->version);
    len += sp_put_varint(at + len, numbers->last_position);
    sp_buf_advance(to, len);
}

void sp_core_snapshot_encode(const struct sp_core_snapshot *snapshot, struct sp_buf *to) {
    uint32_t live = 0;
    for (uint32_t i = 0; i < snapshot->count; i++) {
        live += snapshot->numbers[i].version > 0 ? 1 : 0;
    }
    uint8_t fixed[SNAPSHOT_FIXED_BYTES] = {0};
    sp_put_u32(fixed, SNAPSHOT_FORMAT);
    sp_put_u64(fixed + 8, snapshot->position);
    sp_put_u64(fixed + 16, snapshot->recorded_us);
    sp_put_u32(fixed + 24, snapshot->entry_seq);
    sp_put_u32(fixed + 28, live);
    sp_put_u64(fixed + 32, snapshot->control_number);
    sp_buf_add(to, fixed, sizeof(fixed));
    for (uint32_t i = 0; i < snapshot->count; i++) {
        if (snapshot->numbers[i].version > 0) {
            encode_stream(&snapshot->chunks[i / SP_STREAM_CHUNK][i % SP_STREAM_CHUNK],
                          &snapshot->numbers[i], to);
        }
    }
    sp_buf_add_str(to, sp_buf_str(&snapshot->rest));
}

/* Streams that are restored together: their waits for memory overlap. */
enum { RESTORED_TOGETHER = 32 };

struct stored_stream {
    sp_str name;
    uint64_t hash;
    struct numbers numbers;
};

static bool read_stream(const struct sp_core *core, struct sp_wire *wire,
                        struct stored_stream *ret_stream) {
    sp_str name = sp_wire_lstr(wire);
    uint64_t version = sp_wire_varint(wire);
    uint64_t last_position = sp_wire_varint(wire);
    if (wire->bad || name.len == 0 || name.len > UINT16_MAX || version == 0 ||
        last_position > core->position) {
        return false;
    }
    *ret_stream = (struct stored_stream){
        .name = name,
        .hash = sp_stream_hash(name),
        .numbers = {.version = version, .last_position = last_position},
    };
    return true;
}

static sp_status restore_stream(struct sp_core *core, const struct stored_stream *stored) {
    uint32_t index;
    sp_status status = sp_streams_add(&core->streams, stored->hash, stored->name, &index);
    if (status == SP_OK) {
        struct sp_stream *stream = sp_stream_at(&core->streams, index);
        status = stream->version != 0 ? SP_CORRUPT : SP_OK; /* the same name twice */
        stream->version = stored->numbers.version;
        stream->last_position = stored->numbers.last_position;
    }
    return status;
}

static sp_status restore_streams(struct sp_core *core, struct sp_wire *wire, uint32_t count) {
    struct stored_stream stored[RESTORED_TOGETHER];
    sp_status status = sp_htab_reserve(&core->streams.by_name, count);
    for (uint32_t done = 0, part; done < count && status == SP_OK; done += part) {
        part = count - done < RESTORED_TOGETHER ? count - done : RESTORED_TOGETHER;
        for (uint32_t i = 0; i < part; i++) {
            if (!read_stream(core, wire, &stored[i])) {
                return SP_CORRUPT;
            }
            sp_streams_prefetch(&core->streams, stored[i].hash);
        }
        for (uint32_t i = 0; i < part && status == SP_OK; i++) {
            status = restore_stream(core, &stored[i]);
        }
    }
    return status;
}

/* Views, groups and agents; and then the bytes are at their end. */
static sp_status restore_rest(struct sp_core *core, uint32_t format, struct sp_wire *wire) {
    struct sp_wire none = sp_wire_of("\0\0", 2); /* no views, no aliases */
    bool with_control = format >= SNAPSHOT_FORMAT_WITHOUT_AGENTS;
    sp_status status = sp_views_restore(&core->views, with_control ? wire : &none);
    if (status == SP_OK && with_control) {
        status = sp_groups_restore(&core->groups, wire);
    }
    if (status == SP_OK && format == SNAPSHOT_FORMAT) {
        status = sp_presence_restore(&core->presence, wire);
    }
    return status == SP_OK && (wire->bad || sp_wire_left(wire) != 0) ? SP_CORRUPT : status;
}

sp_status sp_core_restore(struct sp_core *core, sp_str bytes, struct sp_error *error) {
    sp_require(core->position == 0 && core->streams.count == 0);
    struct sp_wire wire = sp_wire_of(bytes.ptr, bytes.len);
    uint32_t format = sp_wire_u32(&wire);
    (void)sp_wire_u32(&wire);
    if (!wire.bad && (format == 0 || format > SNAPSHOT_FORMAT)) {
        return sp_error_set(error, SP_UNSUPPORTED, "snapshot of format %u", format);
    }
    core->position = sp_wire_u64(&wire);
    core->recorded_us = sp_wire_u64(&wire);
    core->entry_seq = sp_wire_u32(&wire);
    uint32_t count = sp_wire_u32(&wire);
    core->control_number = format > SNAPSHOT_FORMAT_WITHOUT_CONTROL ? sp_wire_u64(&wire) : 0;
    /* A count that the bytes cannot hold is damage, and no reason to ask for its memory. */
    bool fits = !wire.bad && count <= sp_wire_left(&wire) / SNAPSHOT_STREAM_BYTES_MIN;
    sp_status status = fits ? restore_streams(core, &wire, count) : SP_CORRUPT;
    if (status == SP_OK) {
        status = restore_rest(core, format, &wire);
    }
    if (status != SP_OK) {
        return sp_error_set(error, status, "snapshot: %s", sp_status_text(status));
    }
    return SP_OK;
}
