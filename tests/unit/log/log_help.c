#include "log_help.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/prng.h"
#include "base/wire.h"
#include "record/event.h"

static uint64_t entropy_state;

static void fixed_entropy(void *bytes, size_t len) {
    uint8_t *to = bytes;
    for (size_t i = 0; i < len; i++) {
        entropy_state = entropy_state * 6364136223846793005u + 1442695040888963407u;
        to[i] = (uint8_t)(entropy_state >> 56);
    }
}

static uint64_t fixed_wall_us(void *context) {
    return ((struct help_log *)context)->wall_us;
}

static uint64_t fixed_monotonic_ns(void *context) {
    struct help_log *help = context;
    help->wall_us += 10000; /* each look is a moment later, so that upkeep never waits */
    return help->wall_us * 1000;
}

/* What the index floor would put there is of no account here. */
static sp_status encode_index(void *context, uint64_t segment_id, struct sp_buf *section,
                              struct sp_error *error) {
    char text[64];
    (void)context;
    (void)error;
    int len = snprintf(text, sizeof(text), "index of segment %llu", (unsigned long long)segment_id);
    sp_buf_add(section, text, (size_t)len);
    return section->status;
}

static sp_status pass_over(void *context, uint64_t segment_id, const struct sp_log_chunk *chunk,
                           struct sp_error *error) {
    struct help_log *help = context;
    (void)segment_id;
    (void)error;
    help->position = chunk->first_position + chunk->event_count - 1;
    return SP_OK;
}

void help_open(struct help_log *help, struct sp_fs *fs) {
    if (help->wall_us == 0) {
        help->wall_us = 1750000000000000;
        entropy_state = 1;
    }
    help->fs = fs;
    struct sp_log_local_options options = {
        .fs = fs,
        .clock = {.wall_us = fixed_wall_us, .monotonic_ns = fixed_monotonic_ns, .context = help},
        .entropy = fixed_entropy,
        .hooks = {.context = help, .encode = encode_index},
        .create = true,
        .inline_jobs = true,
        .seal = !help->keeps_raw,
        .block_bytes_max = HELP_BLOCK_BYTES,
        .segment_bytes_min = HELP_SEGMENT_BYTES,
        .segment_bytes_max = HELP_SEGMENT_BYTES,
        .durability = help->durability,
        .sync_period_us = help->sync_period_us,
    };
    struct sp_log_opened opened;
    struct sp_error error;
    sp_status status = sp_log_local_open(&options, &help->log, &opened, &error);
    sp_require(status == SP_OK);
    status = help->log->ops->recover(help->log, pass_over, help, &error);
    sp_require(status == SP_OK);
    struct sp_log_progress progress;
    help->log->ops->poll(help->log, &progress);
    help->block = progress.head_block;
    help->position = progress.durable_position;
}

static size_t put_event(struct help_log *help, uint64_t position, size_t data_bytes, uint8_t *to) {
    char data[8192];
    char id[64];
    char stream[32];
    uint64_t number = ++help->count;
    int used =
        snprintf(data, sizeof(data), "{\"number\":%llu,\"text\":\"", (unsigned long long)number);
    while ((size_t)used + 2 < data_bytes && (size_t)used + 2 < sizeof(data)) {
        data[used] = (char)('a' + (number * 7 + (uint64_t)used * number) % 26);
        used++;
    }
    data[used++] = '"';
    data[used++] = '}';
    (void)snprintf(id, sizeof(id), "0197f3a0-0000-7000-8000-%012llx", (unsigned long long)number);
    (void)snprintf(stream, sizeof(stream), "run-%llu", (unsigned long long)(number % 3));
    struct sp_event event = {
        .position = position,
        .version = (number + 2) / 3,
        .recorded_us = help->wall_us,
        .entry_seq = 0,
        .data = sp_str_of(data, (size_t)used),
        .has_data = number % 5 != 0,
        .data_is_json = true,
    };
    event.attr[SP_ATTR_TYPE] = SP_STR("task.completed");
    event.attr[SP_ATTR_SOURCE] = SP_STR("agent:reviewer");
    event.attr[SP_ATTR_STREAM] = number % 4 == 0 ? SP_STR("agent:reviewer") : sp_str_from(stream);
    event.attr[SP_ATTR_ID] = sp_str_from(id);
    event.attr[SP_ATTR_CORRELATION] = number % 2 == 0 ? sp_str_from(id) : SP_STR("run 7");
    if (number % 7 == 0) {
        event.extensions[0] = (struct sp_extension){
            .name = SP_STR("attempt"), .value = SP_STR("2"), .kind = SP_VALUE_JSON};
        event.extension_count = 1;
    }
    return sp_record_encode(&event, to);
}

static size_t put_control(struct help_log *help, uint64_t position, uint8_t *to) {
    static const char data[] = "cursor 7";
    uint32_t size = SP_RECORD_FIXED_BYTES + sizeof(data) - 1;
    memset(to, 0, size);
    sp_put_u32(to, size);
    to[8] = SP_RECORD_CONTROL;
    to[9] = SP_RECORD_HAS_DATA;
    sp_put_u16(to + 10, 3);
    sp_put_u32(to + 16, sizeof(data) - 1);
    sp_put_u64(to + 24, help->wall_us);
    memcpy(to + SP_RECORD_FIXED_BYTES, data, sizeof(data) - 1);
    sp_put_u32(to + 4, sp_record_tag(to, size, position));
    return size;
}

void help_append(struct help_log *help, unsigned events, unsigned controls, size_t data_bytes) {
    struct sp_log *log = help->log;
    struct sp_error error;
    sp_status status;
    help->wall_us += 1000000;
    while ((status = log->ops->ready(log, &error)) == SP_BUSY) {
        log->ops->upkeep(log);
    }
    sp_require(status == SP_OK);
    struct sp_log_block block = {.blob = sp_log_block_new(HELP_BLOCK_BYTES - SP_BLOCK_HEADER_BYTES),
                                 .first_position = help->position + 1,
                                 .event_count = events,
                                 .record_count = events + controls};
    sp_require(block.blob != NULL);
    uint8_t *at = sp_log_block_body(block.blob);
    for (unsigned i = 0; i < events; i++) {
        at += put_event(help, ++help->position, data_bytes, at);
    }
    for (unsigned i = 0; i < controls; i++) {
        at += put_control(help, help->position, at);
    }
    block.body_bytes = (uint32_t)(at - sp_log_block_body(block.blob));
    block.recorded_us = help->wall_us;
    status = log->ops->append(log, help->block++, &block, &error);
    sp_require(status == SP_OK);
    sp_blob_unref(block.blob);
    struct sp_log_progress progress;
    log->ops->poll(log, &progress);
    sp_require(progress.state == SP_OK && progress.durable_block == help->block);
    log->ops->upkeep(log);
    log->ops->upkeep(log);
    log->ops->upkeep(log);
}

void help_close(struct help_log *help) {
    help->log->ops->close(help->log);
    help->log = NULL;
}
