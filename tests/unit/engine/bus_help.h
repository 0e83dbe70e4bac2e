/*
 * What the tests of the bus share: a store in a folder of its own with a clock that they turn, and
 * calls that fail the test where they do not succeed.
 */
#ifndef SP_TESTS_ENGINE_BUS_HELP_H
#define SP_TESTS_ENGINE_BUS_HELP_H

#include "folder.h"

#include "engine/bus.h"
#include "engine/bus_groups.h"
#include "engine/engine_ops.h"
#include "os/fs.h"

struct bus_help {
    struct sp_fs *fs;
    struct sp_engine *engine;
    struct sp_bus *bus;
    uint64_t wall_us;
    uint64_t monotonic_ns;
    uint64_t segment_bytes; /* 0: the default */
    uint64_t retain_bytes;  /* 0: everything is kept */
    bool read_only;
};

/* Opens the test's folder, see help_begin; the clock goes on from where it stood. */
void bus_open(struct bus_help *help);
void bus_close(struct bus_help *help);
/* Closes and opens; the state is the same. */
void bus_reopen(struct bus_help *help);
/* Waits until everything taken is durable. */
void bus_settle(struct bus_help *help);
void bus_sleep(struct bus_help *help, uint64_t ms);

/* Fails with the error's text. */
void bus_ok(sp_status status, const struct sp_error *error);

struct sp_key bus_key(struct bus_help *help, const char *text);

/* XADD key * with the type and JSON data. */
struct sp_bus_added bus_put(struct bus_help *help, const char *key, const char *type,
                            const char *data);

/* Entries as they were read: `<type> <data>` and their ids. */
enum { BUS_SEEN_MAX = 2048 };
struct bus_seen {
    size_t count;
    struct sp_entry_id ids[BUS_SEEN_MAX];
    uint64_t positions[BUS_SEEN_MAX]; /* 0: the event is gone */
    uint32_t counts[BUS_SEEN_MAX];
    char texts[BUS_SEEN_MAX][64];
};

bool bus_see(void *context, const struct sp_event *event, struct sp_entry_id id);
void bus_see_given(void *context, const struct sp_event *event, struct sp_entry_id id,
                   uint32_t count);

/* XRANGE and XREVRANGE. */
void bus_range(struct bus_help *help, const char *key, struct sp_entry_id from,
               struct sp_entry_id until, bool reverse, uint64_t count, struct bus_seen *seen);
/* All there is, in order. */
void bus_all(struct bus_help *help, const char *key, struct bus_seen *seen);

void bus_make_group(struct bus_help *help, const char *key, const char *group, bool at_end);
/* XREADGROUP `>`. */
void bus_receive(struct bus_help *help, const char *key, const char *group, const char *consumer,
                 uint32_t count, struct bus_seen *seen);
uint64_t bus_ack(struct bus_help *help, const char *key, const char *group,
                 const struct sp_entry_id *ids, size_t count);
struct sp_bus_group_info bus_info(struct bus_help *help, const char *key, const char *group);

#endif
