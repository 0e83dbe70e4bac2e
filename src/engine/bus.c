#include "engine/bus.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/time.h"
#include "base/utf8.h"
#include "engine/bus_int.h"
#include "engine/flows.h"

enum { TEXT_BYTES_MAX = 64 << 20 };

uint64_t bus_now_ms(const struct sp_bus *bus) {
    const struct sp_clock *clock = &bus->engine->options.clock;
    return clock->wall_us(clock->context) / 1000;
}

/*
 * ---- life
 * -----------------------------------------------------------------------------------------
 */

/* The one listener of the engine: groups come first, so that who is woken finds them knowing. */
static void hear(void *context, const struct sp_event *event) {
    struct sp_bus *bus = context;
    bus_groups_live(bus, event);
    if (bus->live != NULL) {
        bus->live(bus->live_context, event);
    }
}

static void listen_if_wanted(struct sp_bus *bus) {
    bool wanted = bus->live != NULL || bus->groups.ready != NULL;
    sp_engine_listen(bus->engine, wanted ? hear : NULL, bus);
}

sp_status sp_bus_new(struct sp_engine *engine, struct sp_bus **ret_bus, struct sp_error *error) {
    struct sp_bus *bus = calloc(1, sizeof(*bus));
    if (bus == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "bus");
    }
    bus->engine = engine;
    bus->core = &engine->core;
    sp_buf_init(&bus->ops, TEXT_BYTES_MAX);
    sp_buf_init(&bus->text, TEXT_BYTES_MAX);
    sp_buf_init(&bus->name, TEXT_BYTES_MAX);
    sp_buf_init(&bus->json, TEXT_BYTES_MAX);
    sp_buf_init(&bus->agent, TEXT_BYTES_MAX);
    bus->hints = calloc(BUS_HINTS, sizeof(*bus->hints));
    bus->versions = calloc(BUS_HINTS, sizeof(*bus->versions));
    sp_status status = bus->hints != NULL && bus->versions != NULL
                           ? bus_groups_init(bus, error)
                           : sp_error_set(error, SP_NO_MEMORY, "bus");
    if (status != SP_OK) {
        sp_bus_free(bus);
        return status;
    }
    bus_agents_init(bus);
    *ret_bus = bus;
    return SP_OK;
}

void sp_bus_free(struct sp_bus *bus) {
    if (bus == NULL) {
        return;
    }
    sp_engine_listen(bus->engine, NULL, NULL);
    bus_groups_fini(bus);
    for (size_t i = 0; i < BUS_FETCHERS; i++) {
        sp_cursor_close(bus->fetchers[i]);
    }
    for (size_t i = 0; i < BUS_COUNTS; i++) {
        free((char *)(uintptr_t)bus->counts[i].key.ptr);
    }
    sp_buf_fini(&bus->ops);
    sp_buf_fini(&bus->text);
    sp_buf_fini(&bus->name);
    sp_buf_fini(&bus->json);
    sp_buf_fini(&bus->agent);
    free(bus->hints);
    free(bus->versions);
    free(bus);
}

void sp_bus_listen(struct sp_bus *bus, sp_bus_live_fn *each, void *context) {
    bus->live = each;
    bus->live_context = context;
    listen_if_wanted(bus);
}

void sp_bus_on_ready(struct sp_bus *bus, sp_bus_ready_fn *ready, void *context) {
    bus->groups.ready = ready;
    bus->groups.ready_context = context;
    listen_if_wanted(bus);
}

/*
 * ---- durability
 * -----------------------------------------------------------------------------------
 */

uint64_t sp_bus_gate(struct sp_bus *bus) {
    return sp_engine_gate(bus->engine);
}

bool sp_bus_passed(const struct sp_bus *bus, uint64_t gate) {
    return sp_engine_passed(bus->engine, gate);
}

sp_status sp_bus_begin(struct sp_bus *bus, size_t bytes, uint32_t events, struct sp_error *error) {
    sp_status status = bus_check_barrier(bus, error);
    return status == SP_OK ? sp_engine_begin(bus->engine, bytes, events, error) : status;
}

void sp_bus_end(struct sp_bus *bus) {
    sp_engine_end(bus->engine);
}

/* The sooner of two waits, -1 being never. */
static int sooner(int a, int b) {
    if (a < 0 || b < 0) {
        return a < 0 ? b : a;
    }
    return a < b ? a : b;
}

int sp_bus_tick(struct sp_bus *bus) {
    if (bus->engine->state != SP_OK || bus->engine->options.read_only || bus->engine->closing) {
        return -1;
    }
    int expiry_ms = bus_expire_upkeep(bus);
    int groups_ms = bus_groups_upkeep(bus);
    int agents_ms = bus_agents_upkeep(bus);
    int own_ms = sooner(sooner(expiry_ms, groups_ms), agents_ms);
    own_ms = sooner(own_ms, sp_engine_ops_wait_ms(bus->engine));
    return sooner(own_ms, sp_engine_flows_wait_ms(bus->engine));
}

sp_status bus_take_ops(struct sp_bus *bus, enum sp_engine_ops_way way, struct sp_error *error) {
    if (bus->ops.status != SP_OK) {
        sp_status status = bus->ops.status;
        sp_buf_reset(&bus->ops);
        return sp_error_set(error, status, "%s", sp_status_text(status));
    }
    sp_status status = sp_engine_ops(bus->engine, sp_buf_str(&bus->ops), way, error);
    sp_buf_reset(&bus->ops);
    return status;
}

/*
 * ---- events of the store's own
 * --------------------------------------------------------------------
 */

size_t bus_note_bytes(const struct bus_note *note, size_t data_bytes) {
    size_t names = note->key.len + note->group.len;
    return BUS_EVENT_BYTES + (names < BUS_NAME_BYTES_MAX ? names : BUS_NAME_BYTES_MAX) + data_bytes;
}

/*
 * Names may be any bytes; those of streams are text. What is none of that becomes a question mark.
 */
static void add_name(struct sp_buf *to, sp_str name, size_t most) {
    const char *at = name.ptr;
    const char *end = at + (name.len < most ? name.len : most);
    while (at < end) {
        uint32_t code;
        size_t len = sp_utf8_decode(at, end, &code);
        if (len == 0 || sp_utf8_is_control(code)) {
            sp_buf_add_byte(to, '?');
            at += len == 0 ? 1 : len;
        } else {
            sp_buf_add(to, at, len);
            at += len;
        }
    }
}

static sp_status add_stream(struct sp_bus *bus, const struct bus_note *note, sp_str *ret_stream) {
    sp_buf_reset(&bus->text);
    sp_buf_add_str(&bus->text, sp_str_from(note->prefix));
    add_name(&bus->text, note->key, BUS_NAME_BYTES_MAX / 2);
    if (note->group.ptr != NULL) {
        sp_buf_add_byte(&bus->text, ':');
        add_name(&bus->text, note->group, BUS_NAME_BYTES_MAX / 2);
    }
    *ret_stream = sp_buf_str(&bus->text);
    return bus->text.status;
}

sp_status bus_tell(struct sp_bus *bus, const struct bus_note *note, uint64_t *ret_position,
                   struct sp_error *error) {
    struct sp_event event = {.position = 0};
    sp_status status = add_stream(bus, note, &event.attr[SP_ATTR_STREAM]);
    if (status != SP_OK) {
        return sp_error_set(error, status, "%s", sp_status_text(status));
    }
    event.attr[SP_ATTR_TYPE] = sp_str_from(note->type);
    event.attr[SP_ATTR_SOURCE] = SP_STR("spoor");
    event.data = note->data;
    event.has_data = note->data.ptr != NULL;
    event.data_is_json = event.has_data;
    if (note->cause != NULL) {
        event.attr[SP_ATTR_CAUSATION] = note->cause->attr[SP_ATTR_ID];
        event.attr[SP_ATTR_CORRELATION] = note->cause->attr[SP_ATTR_CORRELATION];
    }
    struct sp_engine_result result;
    const struct sp_engine_append append = {
        .events = &event, .count = 1, .origin = SP_EVENT_FROM_JSON, .results = &result};
    status = sp_engine_submit(bus->engine, &append, error);
    if (status == SP_OK && ret_position != NULL) {
        *ret_position = result.position;
    }
    return status;
}

void bus_json_begin(struct sp_bus *bus) {
    sp_buf_reset(&bus->json);
    sp_buf_add_byte(&bus->json, '{');
}

static void add_member(struct sp_bus *bus, const char *name) {
    if (bus->json.len > 1) {
        sp_buf_add_byte(&bus->json, ',');
    }
    sp_buf_add_byte(&bus->json, '"');
    sp_buf_add_str(&bus->json, sp_str_from(name));
    sp_buf_add_str(&bus->json, SP_STR("\":"));
}

void bus_json_text(struct sp_bus *bus, const char *name, sp_str value) {
    add_member(bus, name);
    if (sp_utf8_valid(value)) {
        sp_json_add_string(&bus->json, value);
    } else {
        sp_buf_reset(&bus->text);
        add_name(&bus->text, value, value.len);
        sp_json_add_string(&bus->json, sp_buf_str(&bus->text));
    }
}

void bus_json_number(struct sp_bus *bus, const char *name, uint64_t value) {
    add_member(bus, name);
    sp_buf_add_u64(&bus->json, value);
}

void bus_json_id(struct sp_bus *bus, const char *name, struct sp_entry_id id) {
    char text[SP_ENTRY_ID_TEXT_SIZE];
    size_t len = sp_entry_id_format(id, text);
    bus_json_text(bus, name, sp_str_of(text, len));
}

void bus_json_time(struct sp_bus *bus, const char *name, uint64_t ms) {
    char text[SP_TIME_TEXT_SIZE];
    uint64_t us = ms > SP_TIME_US_MAX / 1000 ? SP_TIME_US_MAX : ms * 1000;
    sp_time_format(us, text);
    bus_json_text(bus, name, sp_str_from(text));
}

sp_status bus_json_end(struct sp_bus *bus, sp_str *ret_data, struct sp_error *error) {
    sp_buf_add_byte(&bus->json, '}');
    if (bus->json.status != SP_OK) {
        return sp_error_set(error, bus->json.status, "%s", sp_status_text(bus->json.status));
    }
    *ret_data = sp_buf_str(&bus->json);
    return SP_OK;
}
