#include "bus_help.h"

#include <stdio.h>

static uint64_t wall_us(void *context) {
    return ((struct bus_help *)context)->wall_us;
}

static uint64_t monotonic_ns(void *context) {
    return ((struct bus_help *)context)->monotonic_ns;
}

void bus_ok(sp_status status, const struct sp_error *error) {
    if (status != SP_OK) {
        fail_msg("%s: %s", sp_status_text(status), error->text);
    }
}

void bus_open(struct bus_help *help) {
    struct sp_error error;
    sp_error_clear(&error);
    if (help->wall_us == 0) {
        help->wall_us = UINT64_C(1700000000000000);
        help->monotonic_ns = 1000000000;
    }
    bus_ok(sp_fs_posix_open(help_folder, !help->read_only, help->read_only, &help->fs, &error),
           &error);
    struct sp_engine_options options = {
        .fs = help->fs,
        .clock = {.wall_us = wall_us, .monotonic_ns = monotonic_ns, .context = help},
        .create = !help->read_only,
        .read_only = help->read_only,
        .retain_bytes_max = help->retain_bytes,
        .inline_jobs = true,
        .limits = SP_EVENT_LIMITS_DEFAULT,
        .segment_bytes_min = help->segment_bytes,
        .segment_bytes_max = help->segment_bytes,
        .block_bytes_max = help->segment_bytes != 0 ? 64 << 10 : 0,
    };
    bus_ok(sp_engine_open(&options, &help->engine, NULL, &error), &error);
    bus_ok(sp_bus_new(help->engine, &help->bus, &error), &error);
}

void bus_close(struct bus_help *help) {
    sp_bus_free(help->bus);
    sp_engine_close(help->engine);
    help->fs->ops->destroy(help->fs);
}

void bus_settle(struct bus_help *help) {
    struct sp_error error;
    uint64_t gate = sp_bus_gate(help->bus);
    for (int i = 0; i < 100000 && !sp_bus_passed(help->bus, gate); i++) {
        (void)sp_engine_poll(help->engine);
        bus_ok(sp_engine_state(help->engine, &error), &error);
        sp_engine_wait(help->engine, 1);
    }
    assert_true(sp_bus_passed(help->bus, gate));
}

void bus_reopen(struct bus_help *help) {
    bus_settle(help);
    /* Not the hash of all: ops that are in no record yet get one by closing. */
    const struct sp_core *core = sp_engine_core(help->engine);
    uint64_t position = core->position;
    uint64_t views = sp_views_hash(&core->views);
    uint64_t groups = sp_groups_hash(&core->groups);
    uint64_t agents = sp_presence_hash(&core->presence);
    bus_close(help);
    bus_open(help);
    core = sp_engine_core(help->engine);
    assert_int_equal(core->position, position);
    assert_int_equal(sp_views_hash(&core->views), views);
    assert_int_equal(sp_groups_hash(&core->groups), groups);
    assert_int_equal(sp_presence_hash(&core->presence), agents);
}

void bus_sleep(struct bus_help *help, uint64_t ms) {
    help->wall_us += ms * 1000;
    help->monotonic_ns += ms * 1000000;
}

struct sp_key bus_key(struct bus_help *help, const char *text) {
    struct sp_key key;
    struct sp_error error;
    bus_ok(sp_key_parse(help->bus, sp_str_from(text), &key, &error), &error);
    return key;
}

struct sp_bus_added bus_put(struct bus_help *help, const char *key_text, const char *type,
                            const char *data) {
    struct sp_key key = bus_key(help, key_text);
    struct sp_error error;
    struct sp_bus_added added;
    sp_status status;
    do {
        struct sp_event event = {.data = sp_str_from(data), .has_data = true};
        event.attr[SP_ATTR_TYPE] = sp_str_from(type);
        event.attr[SP_ATTR_SOURCE] = SP_STR("tester");
        struct sp_bus_add add = {.key = &key, .event = &event};
        status = sp_bus_add(help->bus, &add, &added, &error);
        if (status == SP_BUSY) {
            (void)sp_engine_poll(help->engine);
        }
    } while (status == SP_BUSY);
    bus_ok(status, &error);
    return added;
}

static void keep(struct bus_seen *seen, const struct sp_event *event, struct sp_entry_id id,
                 uint32_t count) {
    assert_true(seen->count < BUS_SEEN_MAX);
    seen->ids[seen->count] = id;
    seen->counts[seen->count] = count;
    seen->positions[seen->count] = event != NULL ? event->position : 0;
    seen->texts[seen->count][0] = '\0';
    if (event != NULL) {
        (void)snprintf(seen->texts[seen->count], 64, "%.*s %.*s",
                       SP_STR_ARG(event->attr[SP_ATTR_TYPE]), SP_STR_ARG(event->data));
    }
    seen->count++;
}

bool bus_see(void *context, const struct sp_event *event, struct sp_entry_id id) {
    keep(context, event, id, 0);
    return true;
}

void bus_see_given(void *context, const struct sp_event *event, struct sp_entry_id id,
                   uint32_t count) {
    keep(context, event, id, count);
}

void bus_range(struct bus_help *help, const char *key_text, struct sp_entry_id from,
               struct sp_entry_id until, bool reverse, uint64_t count, struct bus_seen *seen) {
    struct sp_key key = bus_key(help, key_text);
    struct sp_error error;
    struct sp_bus_range range = {
        .key = &key, .from = from, .until = until, .reverse = reverse, .count = count};
    seen->count = 0;
    bus_ok(sp_bus_read(help->bus, &range, bus_see, seen, &error), &error);
}

void bus_all(struct bus_help *help, const char *key, struct bus_seen *seen) {
    bus_range(help, key, SP_ENTRY_ID_NONE, SP_ENTRY_ID_MAX, false, 0, seen);
}

void bus_make_group(struct bus_help *help, const char *key_text, const char *group, bool at_end) {
    struct sp_key key = bus_key(help, key_text);
    struct sp_error error;
    struct sp_bus_start start = {.at_end = at_end};
    bus_ok(sp_bus_group_make(help->bus, &key, sp_str_from(group), &start, true, &error), &error);
}

void bus_receive(struct bus_help *help, const char *key_text, const char *group,
                 const char *consumer, uint32_t count, struct bus_seen *seen) {
    struct sp_key key = bus_key(help, key_text);
    struct sp_error error;
    struct sp_bus_receive receive = {.key = &key,
                                     .group = sp_str_from(group),
                                     .consumer = sp_str_from(consumer),
                                     .count = count};
    uint32_t given = 0;
    seen->count = 0;
    bus_ok(sp_bus_receive(help->bus, &receive, bus_see_given, seen, &given, &error), &error);
    assert_int_equal(given, seen->count);
}

uint64_t bus_ack(struct bus_help *help, const char *key_text, const char *group,
                 const struct sp_entry_id *ids, size_t count) {
    struct sp_key key = bus_key(help, key_text);
    struct sp_error error;
    uint64_t done = 0;
    bus_ok(sp_bus_ack(help->bus, &key, sp_str_from(group), ids, count, &done, &error), &error);
    return done;
}

struct sp_bus_group_info bus_info(struct bus_help *help, const char *key_text, const char *group) {
    struct sp_key key = bus_key(help, key_text);
    struct sp_error error;
    struct sp_bus_group_info info;
    bus_ok(sp_bus_group_info(help->bus, &key, sp_str_from(group), &info, &error), &error);
    return info;
}
