#include "golden_writer.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/wire.h"
#include "index/section.h"
#include "index/tail.h"

enum { FIRST_WALL_SECONDS = 1767225600, SEALED_SEGMENTS = 2, LAST_BLOCKS = 6 };

/* ---- what does not change from run to run ---- */

static uint64_t entropy_state;

static void fixed_entropy(void *bytes, size_t len) {
    uint8_t *to = bytes;
    for (size_t i = 0; i < len; i++) {
        entropy_state = entropy_state * 6364136223846793005u + 1442695040888963407u;
        to[i] = (uint8_t)(entropy_state >> 56);
    }
}

static uint64_t wall_us(void *context) {
    return ((struct golden_world *)context)->wall_us;
}

/* Each look is a second later: no upkeep waits. */
static uint64_t monotonic_ns(void *context) {
    struct golden_world *world = context;
    world->monotonic_us += 1000000;
    return world->monotonic_us * 1000;
}

/* A number that looks random and depends on the position and the purpose only. */
static uint64_t mixed(uint64_t position, uint64_t purpose) {
    uint64_t z = position * 0x9e3779b97f4a7c15u + purpose * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ---- events ---- */

static size_t make_data(uint64_t position, char *to, size_t room) {
    static const char *const tools[] = {"search", "refund", "lookup_order", "send_mail"};
    size_t len = (size_t)snprintf(
        to, room, "{\"tool\":\"%s\",\"order\":%llu,\"latency_ms\":%llu,\"ok\":%s}",
        tools[mixed(position, 1) % 4], (unsigned long long)(mixed(position, 2) % 100000),
        (unsigned long long)(mixed(position, 3) % 3000), position % 9 == 0 ? "false" : "true");
    if (position % 50 == 0) { /* a larger one that does not compress */
        to[len - 1] = ',';
        len += (size_t)snprintf(to + len, room - len, "\"blob\":\"");
        for (unsigned i = 0; i < 3000; i++) {
            to[len++] = (char)('A' + mixed(position, 100 + i) % 26);
        }
        to[len++] = '"';
        to[len++] = '}';
    }
    return len;
}

/* Ids: mostly canonical UUIDs, some plain numbers and texts. */
static void make_id(uint64_t position, char *to, size_t room) {
    if (position % 10 == 7) {
        (void)snprintf(to, room, "%llu", (unsigned long long)position);
    } else {
        (void)snprintf(to, room, "019b76da-a800-7%03llx-8%03llx-%012llx",
                       (unsigned long long)(mixed(position, 4) & 0xfff),
                       (unsigned long long)(mixed(position, 5) & 0xfff),
                       (unsigned long long)(mixed(position, 6) & 0xffffffffffff));
    }
}

static void make_source(uint64_t position, char *to, size_t room) {
    (void)snprintf(to, room, "agent:desk-%llu", (unsigned long long)(position % 4));
}

/* Now and then the stream is the source's own. */
static void make_stream(uint64_t position, char *to, size_t room) {
    if (position % 17 == 4) {
        make_source(position, to, room);
    } else {
        (void)snprintf(to, room, "order-%llu", (unsigned long long)(position % 6));
    }
}

static uint64_t make_version(uint64_t position) {
    uint64_t version = 0;
    char stream[32];
    make_stream(position, stream, sizeof(stream));
    for (uint64_t earlier = 1; earlier <= position; earlier++) {
        char other[32];
        make_stream(earlier, other, sizeof(other));
        version += strcmp(stream, other) == 0 ? 1 : 0;
    }
    return version;
}

static void add_extensions(struct sp_event *event) {
    static const struct sp_extension some[] = {
        {{"producer_seq", 12}, {"17", 2}, SP_VALUE_JSON},
        {{"tenant", 6},
         {"zur\xc3\xbc"
          "ck",
          8},
         SP_VALUE_STRING},
        {{"labels", 6}, {"{\"a\":[1,2]}", 11}, SP_VALUE_JSON},
        {{"empty", 5}, {"", 0}, SP_VALUE_STRING},
    };
    for (uint64_t i = 0; i < event->position % 5; i++) {
        event->extensions[event->extension_count++] = some[i];
    }
}

/* Every attribute appears, with and without its packings. */
static void make_attributes(struct golden_event *to) {
    static const sp_str types[] = {{"task.started", 12},
                                   {"task.completed", 14},
                                   {"agent.tool.called", 17},
                                   {"decision.made", 13}};
    struct sp_event *event = &to->event;
    uint64_t position = event->position;
    make_id(position, to->id, sizeof(to->id));
    make_source(position, to->source, sizeof(to->source));
    make_stream(position, to->stream, sizeof(to->stream));
    make_id(position / 8 * 8 + 1, to->correlation, sizeof(to->correlation));
    event->attr[SP_ATTR_TYPE] = types[mixed(position, 7) % 4];
    event->attr[SP_ATTR_SOURCE] = sp_str_from(to->source);
    event->attr[SP_ATTR_STREAM] = sp_str_from(to->stream);
    event->attr[SP_ATTR_ID] = sp_str_from(to->id);
    event->attr[SP_ATTR_CORRELATION] =
        position % 3 == 0 ? sp_str_from(to->id) : sp_str_from(to->correlation);
    if (position % 4 == 1) {
        event->attr[SP_ATTR_CAUSATION] = sp_str_from(to->correlation);
    }
    if (position % 5 == 2) {
        event->attr[SP_ATTR_TIME] = SP_STR("2026-01-01T00:00:00.5Z");
    }
    if (position % 7 == 3) {
        event->attr[SP_ATTR_SCHEMAVERSION] = SP_STR("2");
    }
    if (position % 11 == 5) {
        event->attr[SP_ATTR_METADATA] = SP_STR("{\"user\":\"carla\"}");
    }
}

void golden_event(uint64_t position, struct golden_event *to) {
    struct sp_event *event = &to->event;
    memset(event, 0, sizeof(*event));
    event->position = position;
    event->version = make_version(position);
    event->recorded_us = (FIRST_WALL_SECONDS + position / 3) * 1000000 + position % 3 * 400;
    event->entry_seq = (uint32_t)(position % 3);
    make_attributes(to);
    event->has_data = position % 13 != 6;
    event->data_is_json = event->has_data && position % 13 != 8;
    if (position % 13 == 8) {
        event->attr[SP_ATTR_CONTENTTYPE] = SP_STR("application/octet-stream");
        event->data = sp_str_of("\x00\xff\x01\xfe", position % 2 == 0 ? 4 : 0);
    } else if (event->has_data) {
        event->data = sp_str_of(to->data, make_data(position, to->data, sizeof(to->data)));
    }
    add_extensions(event);
}

/* ---- writing ---- */

static size_t put_control(uint64_t position, uint64_t recorded_us, unsigned number, uint8_t *to) {
    static const char data[] = "{\"group\":\"desk\",\"upto\":7}";
    uint32_t data_bytes = sizeof(data) - 1 - number % 2;
    uint32_t size = (SP_RECORD_FIXED_BYTES + data_bytes + 7) / 8 * 8;
    memset(to, 0, size);
    sp_put_u32(to, size);
    to[8] = SP_RECORD_CONTROL;
    to[9] = SP_RECORD_HAS_DATA;
    sp_put_u16(to + 10, (uint16_t)(1 + number));
    sp_put_u32(to + 16, data_bytes);
    sp_put_u64(to + 24, recorded_us);
    memcpy(to + SP_RECORD_FIXED_BYTES, data, data_bytes);
    sp_put_u32(to + 4, sp_record_tag(to, size, position));
    return size;
}

void golden_append(struct golden_world *world, unsigned events, unsigned controls) {
    struct sp_log *log = world->log;
    struct sp_log_progress progress;
    log->ops->poll(log, &progress);
    while (log->ops->ready(log, NULL) == SP_BUSY) {
        log->ops->upkeep(log);
    }
    struct sp_log_block block = {.blob = sp_log_block_new(GOLDEN_BLOCK_BYTES - 4096),
                                 .first_position = progress.durable_position + 1,
                                 .event_count = events,
                                 .record_count = events + controls};
    sp_require(block.blob != NULL);
    uint8_t *at = sp_log_block_body(block.blob);
    uint64_t position = progress.durable_position;
    for (unsigned i = 0; i < events; i++) {
        struct golden_event event;
        golden_event(++position, &event);
        at += sp_record_encode(&event.event, at);
        world->wall_us = event.event.recorded_us;
    }
    for (unsigned i = 0; i < controls; i++) {
        at += put_control(position, world->wall_us, i, at);
    }
    block.body_bytes = (uint32_t)(at - sp_log_block_body(block.blob));
    block.recorded_us = world->wall_us;
    sp_status status = log->ops->append(log, progress.head_block, &block, NULL);
    sp_require(status == SP_OK);
    sp_blob_unref(block.blob);
    struct sp_log_tree tree;
    status = log->ops->tree(log, true, &tree, NULL); /* so that block headers name every size */
    sp_require(status == SP_OK && tree.size == position);
    for (int i = 0; i < 4; i++) {
        log->ops->upkeep(log);
        log->ops->poll(log, &progress);
    }
}

/* Encodes the index of a segment from its events, which are known here. */
struct range {
    uint64_t id;
    uint64_t first;
    uint64_t last;
};

static void find_range(void *context, const struct sp_log_segment_info *info) {
    struct range *range = context;
    if (info->id == range->id) {
        range->first = info->first_position;
        range->last = info->last_position;
    }
}

static sp_status encode_index(void *context, uint64_t segment_id, struct sp_buf *section,
                              struct sp_error *error) {
    struct golden_world *world = context;
    struct range range = {.id = segment_id};
    sp_log_local_segments(world->log, find_range, &range);
    struct sp_tail *tail = sp_tail_new(range.first, 1);
    sp_require(tail != NULL);
    for (uint64_t position = range.first; position <= range.last; position++) {
        struct golden_event event;
        golden_event(position, &event);
        struct sp_index_keys keys = sp_index_keys_of(&event.event);
        sp_status status =
            sp_tail_add(tail, &keys, event.event.attr[SP_ATTR_TYPE], event.event.recorded_us);
        sp_require(status == SP_OK);
    }
    sp_tail_finish(tail);
    sp_status status = sp_section_encode(tail, section, error);
    sp_tail_unref(tail);
    return status;
}

struct sp_log_local_options golden_options(struct golden_world *world, struct sp_fs *fs) {
    if (world->wall_us == 0) {
        world->wall_us = (uint64_t)FIRST_WALL_SECONDS * 1000000;
        entropy_state = 20260101;
    }
    return (struct sp_log_local_options){
        .fs = fs,
        .clock = {.wall_us = wall_us, .monotonic_ns = monotonic_ns, .context = world},
        .entropy = fixed_entropy,
        .hooks = {.context = world, .encode = encode_index},
        .create = true,
        .inline_jobs = true,
        .seal = true,
        .block_bytes_max = GOLDEN_BLOCK_BYTES,
        .segment_bytes_min = GOLDEN_SEGMENT_BYTES,
        .segment_bytes_max = GOLDEN_SEGMENT_BYTES,
    };
}

static sp_status pass_over(void *context, uint64_t segment_id, const struct sp_log_chunk *chunk,
                           struct sp_error *error) {
    (void)context;
    (void)segment_id;
    (void)chunk;
    (void)error;
    return SP_OK;
}

void golden_open(struct golden_world *world, struct sp_fs *fs) {
    struct sp_log_local_options options = golden_options(world, fs);
    sp_status status = sp_log_local_open(&options, &world->log, NULL, NULL);
    sp_require(status == SP_OK);
    status = world->log->ops->recover(world->log, pass_over, NULL, NULL);
    sp_require(status == SP_OK);
}

uint64_t golden_write(struct sp_fs *fs) {
    struct golden_world world = {.log = NULL};
    golden_open(&world, fs);
    unsigned block = 0;
    struct sp_log_local_stats stats = {.segments_sealed = 0};
    for (; stats.segments_sealed < SEALED_SEGMENTS; block++) {
        golden_append(&world, 1 + block % 3, block % 10 == 4 ? 2 : 0);
        sp_log_local_stats(world.log, &stats);
    }
    for (unsigned i = 0; i < LAST_BLOCKS; i++) {
        golden_append(&world, i == 2 ? 0 : 1 + i, i % 3);
    }
    struct sp_log_progress progress;
    world.log->ops->poll(world.log, &progress);
    sp_status status = world.log->ops->snapshot_store(
        world.log, progress.durable_position, SP_STR("the state of whoever owns the log"), NULL);
    sp_require(status == SP_OK);
    world.log->ops->close(world.log);
    return progress.durable_position;
}
