/*
 * The oracle of a bus: streams as clients see them, groups and what they have in hand. pure
 *
 * The events are kept apart: they never change, and a crash only takes the last ones away. What
 * does change is struct bus_model, which can be copied: one copy per block that is on its way says
 * what must be found where the power fails behind that block. Everything is found by looking at all
 * events.
 */
#ifndef SIM_BUS_MODEL_H
#define SIM_BUS_MODEL_H

#include "core/core.h"
#include "engine/bus.h"

enum {
    BUS_KEYS = 5,      /* streams that clients name */
    BUS_KEYS_ALL = 11, /* and virtual ones */
    BUS_GROUPS = 12,
    BUS_GROUP_NAMES = 3,
    BUS_CONSUMERS = 4,
    BUS_TYPES = 6,
    BUS_SOURCES = 3,
    BUS_RUNS = 4,
    BUS_PATTERNS = 5,
    BUS_FILTERS = 3,
    BUS_AGENTS = 4,
    BUS_NAME_SIZE = 96,
    BUS_ID_SIZE = 48,
};

extern const char *const bus_key_texts[BUS_KEYS_ALL];
extern const char *const bus_group_names[BUS_GROUP_NAMES];
extern const char *const bus_consumer_names[BUS_CONSUMERS];
extern const char *const bus_types[BUS_TYPES];
extern const char *const bus_sources[BUS_SOURCES];
extern const char *const bus_runs[BUS_RUNS];
extern const char *const bus_patterns[BUS_PATTERNS]; /* of policies; the first is empty */
extern const char *const bus_filters[BUS_FILTERS];   /* the first is empty */

struct bus_event {
    uint32_t stream; /* number of its name */
    uint64_t version;
    struct sp_entry_id of_log;
    struct sp_entry_id id; /* in its stream */
    uint64_t hash;         /* of all that it says */
    int n;                 /* data.n; -1: none */
    bool own;              /* of the store's own streams */
    bool id_given;
    char type[40];
    char source[16];
    char id_text[BUS_ID_SIZE];
    char run[BUS_ID_SIZE];
};

/* Events by position (p is at p - 1), and the names of streams by number. */
struct bus_log {
    struct bus_event *events;
    size_t count;
    size_t capacity;
    char (*names)[BUS_NAME_SIZE];
    uint32_t name_count;
    uint32_t name_capacity;
    uint64_t first; /* the first that is kept */
};

struct bus_stream {
    bool exists;
    bool own_ids;
    uint64_t version;
    uint64_t length;
    uint64_t entries_added;
    struct sp_entry_id last_id;
    struct sp_entry_id max_deleted;
    uint64_t expire_ms;
};

enum bus_state {
    BUS_FLIGHT,
    BUS_WAITING,
    BUS_PARKED,
    BUS_DEAD,
    BUS_DONE, /* acknowledged, discarded, or dropped with its consumer */
};

struct bus_entry {
    uint64_t position;
    enum bus_state state;
    uint32_t key; /* 0: none */
    uint32_t count;
    uint64_t time_ms; /* in flight: delivered; waiting: due */
    uint32_t consumer;
    uint32_t reason;
    uint64_t letter;
};

struct bus_group {
    bool used;
    uint64_t number;
    uint32_t key;  /* in bus_key_texts */
    uint32_t name; /* in bus_group_names */
    bool has_policy;
    uint32_t pattern;
    uint32_t filter;
    struct sp_group_policy policy;
    uint64_t cursor;
    bool consumers[BUS_CONSUMERS];
    struct bus_entry *entries; /* by position */
    size_t count;
    size_t capacity;
};

enum bus_agent_state {
    BUS_AGENT_NEVER,
    BUS_AGENT_ONLINE,
    BUS_AGENT_SUSPECTED,
    BUS_AGENT_OFFLINE,
};

struct bus_agent {
    enum bus_agent_state state;
    uint8_t facts; /* which of those that an agent may say of itself */
};

struct bus_model {
    uint64_t calls; /* that were answered, deliveries apart */
    uint64_t position;
    struct bus_stream *streams; /* by number of name */
    uint32_t stream_count;
    uint8_t *shown; /* position p is at p - 1 */
    size_t shown_capacity;
    uint32_t key_stream[BUS_KEYS]; /* number of name */
    struct bus_group groups[BUS_GROUPS];
    struct bus_agent agents[BUS_AGENTS];
};

void bus_log_fini(struct bus_log *log);
/* The number of a stream's name. */
uint32_t bus_log_name(struct bus_log *log, sp_str name);
struct bus_event *bus_log_add(struct bus_log *log);

void bus_model_init(struct bus_model *model, struct bus_log *log);
void bus_model_fini(struct bus_model *model);
void bus_model_copy(struct bus_model *to, const struct bus_model *from);

struct bus_stream *bus_model_stream(struct bus_model *model, uint32_t name);
/* Adds the log's event behind the last one; NULL, or what is wrong with it. */
const char *bus_model_add(struct bus_model *model, const struct bus_log *log);
/* The key goes: its stream, and the groups that are on it. */
void bus_model_delete(struct bus_model *model, const struct bus_log *log, uint32_t key);
void bus_model_hide(struct bus_model *model, const struct bus_log *log, uint64_t position);

/* The first shown event of a stream from a position on; 0: none. */
uint64_t bus_model_next_shown(const struct bus_model *model, const struct bus_log *log,
                              uint32_t stream, uint64_t from);

static inline bool bus_is_virtual(uint32_t key) {
    return key >= BUS_KEYS;
}

/* Part of what clients see of the key, and not dropped from the log. */
bool bus_model_has(const struct bus_model *model, const struct bus_log *log, uint32_t key,
                   uint64_t position);
/* Likewise, and what the group's policy asks for. */
bool bus_group_wants_it(const struct bus_model *model, const struct bus_log *log,
                        const struct bus_group *group, uint64_t position);
/* The same of one that may have been dropped from the log. */
bool bus_group_wanted_it(const struct bus_model *model, const struct bus_log *log,
                         const struct bus_group *group, uint64_t position);
struct sp_entry_id bus_entry_id(const struct bus_log *log, uint32_t key, uint64_t position);
uint32_t bus_order_key(const struct bus_log *log, const struct bus_group *group, uint64_t position);

struct bus_entry *bus_entry_find(const struct bus_group *group, uint64_t position);
struct bus_entry *bus_entry_make(struct bus_group *group, uint64_t position);
void bus_entry_drop(struct bus_group *group, struct bus_entry *entry);
/* It is done; behind a cursor that was moved back it will come again. */
void bus_entry_done(struct bus_group *group, struct bus_entry *entry);
struct bus_entry *bus_entry_of_id(const struct bus_log *log, const struct bus_group *group,
                                  struct sp_entry_id id);
uint64_t bus_group_count(const struct bus_group *group, enum bus_state state);
/* True where an entry of the key is pending, or an earlier one parked. */
bool bus_key_is_taken(const struct bus_group *group, uint32_t key, uint64_t position);
/* An entry that could be handed out now; 0: none. */
uint64_t bus_group_could_give(const struct bus_model *model, const struct bus_log *log,
                              const struct bus_group *group, uint64_t now_ms, uint64_t durable);

#endif
