#include "server/consumers.h"

#include <stdlib.h>

#include "base/hash.h"
#include "engine/bus_groups.h"

enum {
    FIRST = 64,
    NONE = UINT32_MAX,
    TURN_MAX = 256, /* consumers whose entries go back in one turn */
    AGAIN_MS = 10,  /* until it is tried again, where the store was busy */
    FOREVER_MS = -1,
};

/* One consumer; they name each other by slot. A connection's list begins in the connection. */
struct member {
    uint64_t group;
    char *name; /* owned; NULL: the slot is free */
    size_t name_len;
    struct sp_connection *connection; /* NULL: leaving */
    uint64_t deadline_ms;             /* of one that is leaving */
    uint32_t next;                    /* of the connection, of those leaving, of the free */
    uint32_t before;
};

struct sp_consumers {
    struct member *members;
    uint32_t count; /* slots */
    uint32_t capacity;
    uint32_t used;
    uint32_t free;
    struct sp_htab by_name; /* group and name to slot */
    uint32_t leaving_first; /* by deadline: the wait is the same for all */
    uint32_t leaving_last;
    uint32_t leaving;
};

/* ---- by name --------------------------------------------------------------------------------- */

static uint64_t hash_of(uint64_t group, sp_str name) {
    return sp_hash_seeded(name.ptr, name.len, group);
}

static uint32_t find(const struct sp_consumers *all, uint64_t group, sp_str name) {
    struct sp_htab_probe probe = sp_htab_find(&all->by_name, hash_of(group, name));
    uint32_t slot = 0;
    while (sp_htab_next(&probe, &slot)) {
        const struct member *member = &all->members[slot];
        if (member->group == group && sp_str_eq(sp_str_of(member->name, member->name_len), name)) {
            return slot;
        }
    }
    return NONE;
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Takes a slot out of the list it is in. */
static void unlink_slot(struct sp_consumers *all, uint32_t slot) {
    struct member *member = &all->members[slot];
    bool leaving = member->connection == NULL;
    if (member->before != NONE) {
        all->members[member->before].next = member->next;
    } else if (leaving) {
        all->leaving_first = member->next;
    } else {
        member->connection->consumers = member->next + 1; /* NONE gives 0 */
    }
    if (member->next != NONE) {
        all->members[member->next].before = member->before;
    } else if (leaving) {
        all->leaving_last = member->before;
    }
    all->leaving -= leaving;
}

static void link_to(struct sp_consumers *all, uint32_t slot, struct sp_connection *connection) {
    struct member *member = &all->members[slot];
    member->connection = connection;
    member->before = NONE;
    member->next = connection->consumers - 1; /* 0 gives NONE */
    if (member->next != NONE) {
        all->members[member->next].before = slot;
    }
    connection->consumers = slot + 1;
}

static void link_leaving(struct sp_consumers *all, uint32_t slot, uint64_t deadline_ms) {
    struct member *member = &all->members[slot];
    member->connection = NULL;
    member->deadline_ms = deadline_ms;
    member->next = NONE;
    member->before = all->leaving_last;
    if (all->leaving_last != NONE) {
        all->members[all->leaving_last].next = slot;
    } else {
        all->leaving_first = slot;
    }
    all->leaving_last = slot;
    all->leaving++;
}

/* ---- slots ----------------------------------------------------------------------------------- */

static bool grow(struct sp_consumers *all) {
    uint32_t capacity = all->capacity == 0 ? FIRST : all->capacity * 2;
    struct member *members = realloc(all->members, capacity * sizeof(*members));
    if (members == NULL) {
        return false;
    }
    all->members = members;
    all->capacity = capacity;
    return true;
}

/* A slot of this name, in no list. NONE: there is no room, or no memory. */
static uint32_t add(struct sp_consumers *all, uint64_t group, sp_str name) {
    uint32_t slot = all->free;
    char *copy = malloc(name.len + 1);
    bool fine = copy != NULL && all->used < SP_CONSUMERS_MAX;
    if (fine && slot == NONE) {
        fine = all->count < all->capacity || grow(all);
        slot = all->count;
    }
    if (!fine || sp_htab_add(&all->by_name, hash_of(group, name), slot) != SP_OK) {
        free(copy);
        return NONE;
    }
    if (slot == all->count) {
        all->count++;
    } else {
        all->free = all->members[slot].next;
    }
    if (name.len > 0) {
        memcpy(copy, name.ptr, name.len);
    }
    all->members[slot] = (struct member){.group = group, .name = copy, .name_len = name.len};
    all->used++;
    return slot;
}

/* Frees a slot that is in no list. */
static void drop(struct sp_consumers *all, uint32_t slot) {
    struct member *member = &all->members[slot];
    sp_str name = sp_str_of(member->name, member->name_len);
    sp_htab_remove(&all->by_name, hash_of(member->group, name), slot);
    free(member->name);
    *member = (struct member){.next = all->free};
    all->free = slot;
    all->used--;
}

/* ---- reading --------------------------------------------------------------------------------- */

void sp_consumers_read(struct sp_connection *connection, uint64_t group, sp_str consumer) {
    struct sp_consumers *all = connection->server->consumers;
    uint32_t slot = find(all, group, consumer);
    if (slot == NONE) {
        slot = add(all, group, consumer);
        if (slot == NONE) {
            return; /* ack-wait does it */
        }
    } else if (all->members[slot].connection == connection) {
        return;
    } else {
        unlink_slot(all, slot);
    }
    link_to(all, slot, connection);
}

void sp_consumers_read_named(struct sp_connection *connection, const struct sp_group *group,
                             sp_str consumer) {
    struct sp_group_facts facts = sp_group_get(group);
    if (facts.has_policy) {
        sp_consumers_read(connection, facts.number, consumer);
    }
}

uint32_t sp_consumers_count(const struct sp_server *server) {
    return server->consumers->used;
}

uint32_t sp_consumers_leaving(const struct sp_server *server) {
    return server->consumers->leaving;
}

/* ---- leaving --------------------------------------------------------------------------------- */

static void on_closed(struct sp_server *server, void *context, struct sp_connection *connection) {
    struct sp_consumers *all = context;
    uint64_t deadline_ms = server->monotonic_ms + SP_CONSUMER_GRACE_MS;
    while (connection->consumers != 0) {
        uint32_t slot = connection->consumers - 1;
        unlink_slot(all, slot);
        link_leaving(all, slot, deadline_ms);
    }
}

/* The entries of the first that is leaving go back. False where the store is busy. */
static bool leave_first(struct sp_server *server, struct sp_consumers *all) {
    uint32_t slot = all->leaving_first;
    const struct member *member = &all->members[slot];
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_bus_consumer_left(server->bus, member->group,
                                            sp_str_of(member->name, member->name_len), &error);
    if (status == SP_BUSY) {
        return false;
    }
    if (status != SP_OK && status != SP_NOT_FOUND) {
        sp_say(&server->logger, SP_LEVEL_ERROR, "entries of a consumer that left stay with it",
               SP_FIELD_TEXT("consumer", sp_str_of(member->name, member->name_len)),
               SP_FIELD_NUMBER("group", member->group),
               SP_FIELD_TEXT("error", sp_str_from(error.text)));
    }
    unlink_slot(all, slot);
    drop(all, slot);
    return true;
}

static bool is_due(const struct sp_server *server, const struct sp_consumers *all) {
    return all->leaving_first != NONE &&
           all->members[all->leaving_first].deadline_ms <= server->monotonic_ms;
}

static bool on_turn(struct sp_server *server, void *context) {
    struct sp_consumers *all = context;
    for (int i = 0; i < TURN_MAX && is_due(server, all); i++) {
        if (!leave_first(server, all)) {
            all->members[all->leaving_first].deadline_ms = server->monotonic_ms + AGAIN_MS;
            return false;
        }
    }
    return is_due(server, all);
}

static int on_timeout(struct sp_server *server, void *context) {
    const struct sp_consumers *all = context;
    if (all->leaving_first == NONE) {
        return FOREVER_MS;
    }
    uint64_t deadline_ms = all->members[all->leaving_first].deadline_ms;
    return deadline_ms > server->monotonic_ms ? (int)(deadline_ms - server->monotonic_ms) : 0;
}

static void on_fini(struct sp_server *server, void *context) {
    struct sp_consumers *all = context;
    for (uint32_t i = 0; i < all->count; i++) {
        free(all->members[i].name);
    }
    free(all->members);
    sp_htab_fini(&all->by_name);
    free(all);
    server->consumers = NULL;
}

sp_status sp_consumers_init(struct sp_server *server, struct sp_error *error) {
    struct sp_consumers *all = calloc(1, sizeof(*all));
    if (all == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for the list of consumers");
    }
    all->free = NONE;
    all->leaving_first = NONE;
    all->leaving_last = NONE;
    sp_htab_init(&all->by_name);
    server->consumers = all;
    struct sp_server_hooks hooks = {.closed = on_closed,
                                    .turn = on_turn,
                                    .timeout = on_timeout,
                                    .fini = on_fini,
                                    .context = all};
    sp_server_hook(server, &hooks);
    return SP_OK;
}
