#include "sim/workload.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/wire.h"
#include "record/event.h"

enum { SMALL_BYTES = 1024, RECORD_ROOM = 600, TEXT_SIZE = 64 };

static uint32_t pick(struct sim_workload *w, uint32_t bound) {
    return sp_prng_below(&w->prng, bound);
}

/* Text that compresses, zeros that look like nothing was written, or noise that does neither. */
static void fill_data(struct sim_workload *w, uint8_t *to, size_t len) {
    static const char words[] = "{\"task\":\"review\",\"agent\":\"deploy-7\",\"state\":\"done\"} ";
    uint32_t style = pick(w, 4);
    if (style == 0) {
        memset(to, 0, len);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        to[i] = style == 1 ? (uint8_t)sp_prng_next(&w->prng) : (uint8_t)words[i % sizeof(words)];
    }
}

/* Attributes of an event; texts are made in `room`, which has TEXT_SIZE for each. */
static void fill_attributes(struct sim_workload *w, struct sp_event *event,
                            char room[4][TEXT_SIZE]) {
    static const char *const types[] = {"task.done", "task.failed", "agent.memory.note", "x"};
    uint32_t agent = pick(w, 20);
    (void)snprintf(room[0], TEXT_SIZE, "agent/%u", agent);
    if (pick(w, 2) == 0) {
        (void)snprintf(room[1], TEXT_SIZE, "%08x-0000-7000-8000-%012llx", agent,
                       (unsigned long long)w->counter);
    } else {
        (void)snprintf(room[1], TEXT_SIZE, "id-%llu", (unsigned long long)w->counter);
    }
    (void)snprintf(room[2], TEXT_SIZE, "run-%u", pick(w, 50));
    event->attr[SP_ATTR_TYPE] = sp_str_from(types[pick(w, 4)]);
    event->attr[SP_ATTR_SOURCE] = sp_str_from(room[0]);
    event->attr[SP_ATTR_STREAM] = sp_str_from(pick(w, 2) == 0 ? room[0] : room[2]);
    event->attr[SP_ATTR_ID] = sp_str_from(room[1]);
    event->attr[SP_ATTR_CORRELATION] = sp_str_from(pick(w, 2) == 0 ? room[1] : room[2]);
    if (pick(w, 3) == 0) {
        event->attr[SP_ATTR_CAUSATION] = sp_str_from(room[1]);
    }
    if (pick(w, 5) == 0) {
        event->extensions[0] = (struct sp_extension){
            .name = SP_STR("tenant"), .value = sp_str_from(room[2]), .kind = SP_VALUE_STRING};
        event->extension_count = 1;
    }
}

static size_t put_event(struct sim_workload *w, uint64_t position, uint8_t *to, uint8_t *data,
                        size_t data_len) {
    char room[4][TEXT_SIZE];
    struct sp_event event = {.position = position,
                             .version = 1 + pick(w, 1000),
                             .recorded_us = w->recorded_us,
                             .entry_seq = pick(w, 3)};
    fill_attributes(w, &event, room);
    if (pick(w, 10) > 0) {
        fill_data(w, data, data_len);
        event.has_data = true;
        event.data_is_json = pick(w, 2) == 0;
        event.data = sp_str_of(data, data_len);
    }
    w->counter++;
    return sp_record_encode(&event, to);
}

/* Bookkeeping of the engine: the log only carries it. */
static size_t put_control(struct sim_workload *w, uint64_t position, uint8_t *to) {
    uint32_t payload = pick(w, 100);
    size_t used = SP_RECORD_FIXED_BYTES + 8 + payload;
    size_t size = (used + SP_RECORD_ALIGN - 1) / SP_RECORD_ALIGN * SP_RECORD_ALIGN;
    memset(to, 0, size);
    sp_put_u32(to, (uint32_t)size);
    to[8] = SP_RECORD_CONTROL;
    to[9] = payload > 0 ? SP_RECORD_HAS_DATA : 0;
    sp_put_u16(to + 10, (uint16_t)pick(w, 1000));
    sp_put_u32(to + 12, 8);
    sp_put_u32(to + 16, payload);
    sp_put_u64(to + 24, w->recorded_us);
    sp_put_u64(to + SP_RECORD_FIXED_BYTES, w->counter++);
    fill_data(w, to + SP_RECORD_FIXED_BYTES + 8, payload);
    sp_put_u32(to + 4, sp_record_tag(to, size, position));
    return size;
}

/* Mostly small; now and then as large as the block allows. */
static size_t choose_data_len(struct sim_workload *w, size_t size_max) {
    uint32_t choice = pick(w, 20);
    size_t most = choice == 0 ? size_max : choice < 4 ? size_max / 8 : 300;
    return pick(w, (uint32_t)most);
}

void sim_workload_block(struct sim_workload *w, uint64_t first_position, uint64_t wall_us,
                        uint8_t *to, size_t size_max, struct sim_block *ret_block) {
    sp_require(size_max >= 4 * SMALL_BYTES);
    uint32_t choice = pick(w, 10);
    uint32_t wanted = choice < 5 ? 1 : choice < 8 ? 1 + pick(w, 8) : 1 + pick(w, 90);
    bool controls_only = pick(w, 20) == 0;
    struct sim_block block = {.len = 0};
    uint8_t *data = malloc(size_max);
    sp_ensure(data != NULL);
    w->recorded_us = wall_us > w->recorded_us ? wall_us : w->recorded_us;
    while (block.record_count < wanted && size_max - block.len > 2 * RECORD_ROOM) {
        uint64_t position = first_position + block.event_count;
        size_t room = size_max - block.len - RECORD_ROOM;
        if (controls_only || pick(w, 6) == 0) {
            block.len += put_control(w, position - 1, to + block.len);
        } else {
            size_t data_len = choose_data_len(w, room);
            block.len += put_event(w, position, to + block.len, data, data_len);
            block.event_count++;
        }
        block.record_count++;
    }
    free(data);
    *ret_block = block;
    sp_ensure(block.len <= size_max && block.record_count > 0);
}
