#include "server/wait.h"

#include <stdlib.h>

#include "engine/bus_groups.h"
#include "server/http.h"
#include "server/live.h"

enum {
    ARGS_BYTES_MAX = 64 << 20,
    HEAP_FIRST = 64,
    NOT_IN_HEAP = UINT32_MAX,
    READY_GROUPS_MAX = 1 << 16,
};

/* What a waiting command waits for: a key, or its turn among the members of a group. */
struct wait_for {
    struct sp_live_interest interest; /* of a key */
    struct sp_wait *wait;
    uint64_t group;        /* 0: a key */
    struct wait_for *next; /* of the same group, in the order in which they came */
    struct wait_for *before;
};

struct sp_wait {
    struct sp_connection *connection;
    const struct sp_command_row *row;
    struct sp_buf bytes; /* of the arguments */
    sp_str *args;
    uint32_t argc;
    uint32_t heap_at; /* NOT_IN_HEAP: no deadline */
    uint64_t deadline_ms;
    bool ready;
    bool by_key;
    bool http; /* a request of HTTP: no command */
    struct sp_wait *ready_next;
    uint32_t count;
    struct wait_for fors[];
};

/* The members of one group that wait. */
struct group_queue {
    uint64_t group;
    bool ready;         /* is among ready_groups */
    uint32_t count;     /* of members */
    uint32_t next_free; /* of a freed one: 1 + the next freed one */
    struct wait_for *first;
    struct wait_for *last;
};

struct sp_waits {
    struct sp_live *live;
    uint32_t by_key_count;
    struct sp_wait **heap; /* by deadline */
    uint32_t heap_count;
    uint32_t heap_capacity;
    struct sp_wait *ready_first;
    struct sp_wait *ready_last;
    struct group_queue *queues; /* by number of a slot; none of a freed one */
    uint32_t queue_count;
    uint32_t queue_capacity;
    uint32_t queue_free;        /* 1 + the first freed slot */
    struct sp_htab queue_table; /* group to slot */
    bool hears_of_groups;
    uint64_t *ready_groups;
    uint32_t ready_group_count;
    uint32_t ready_group_capacity;
};

/* ---- deadlines ------------------------------------------------------------------------------- */

static void heap_put(struct sp_waits *waits, uint32_t at, struct sp_wait *wait) {
    waits->heap[at] = wait;
    wait->heap_at = at;
}

static void heap_up(struct sp_waits *waits, uint32_t at, struct sp_wait *wait) {
    while (at > 0 && waits->heap[(at - 1) / 2]->deadline_ms > wait->deadline_ms) {
        heap_put(waits, at, waits->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(waits, at, wait);
}

static void heap_down(struct sp_waits *waits, uint32_t at, struct sp_wait *wait) {
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= waits->heap_count) {
            break;
        }
        if (child + 1 < waits->heap_count &&
            waits->heap[child + 1]->deadline_ms < waits->heap[child]->deadline_ms) {
            child++;
        }
        if (waits->heap[child]->deadline_ms >= wait->deadline_ms) {
            break;
        }
        heap_put(waits, at, waits->heap[child]);
        at = child;
    }
    heap_put(waits, at, wait);
}

static bool heap_add(struct sp_waits *waits, struct sp_wait *wait) {
    if (waits->heap_count == waits->heap_capacity) {
        uint32_t capacity = waits->heap_capacity == 0 ? HEAP_FIRST : waits->heap_capacity * 2;
        struct sp_wait **heap = realloc(waits->heap, capacity * sizeof(*heap));
        if (heap == NULL) {
            return false;
        }
        waits->heap = heap;
        waits->heap_capacity = capacity;
    }
    heap_up(waits, waits->heap_count++, wait);
    return true;
}

static void heap_remove(struct sp_waits *waits, struct sp_wait *wait) {
    uint32_t at = wait->heap_at;
    if (at == NOT_IN_HEAP) {
        return;
    }
    struct sp_wait *last = waits->heap[--waits->heap_count];
    wait->heap_at = NOT_IN_HEAP;
    if (last != wait) {
        heap_down(waits, at, last);
        heap_up(waits, last->heap_at, last);
    }
}

/* ---- members of groups ----------------------------------------------------------------------- */

static uint64_t hash_group(uint64_t group) {
    return group * UINT64_C(0x9e3779b97f4a7c15);
}

static struct group_queue *find_queue(const struct sp_waits *waits, uint64_t group,
                                      uint32_t *ret_slot) {
    struct sp_htab_probe probe = sp_htab_find(&waits->queue_table, hash_group(group));
    uint32_t slot = 0;
    while (sp_htab_next(&probe, &slot)) {
        if (waits->queues[slot].group == group && waits->queues[slot].first != NULL) {
            *ret_slot = slot;
            return &waits->queues[slot];
        }
    }
    return NULL;
}

/* A slot that is empty: one that was freed, else a new one. */
static bool free_slot(struct sp_waits *waits, uint32_t *ret_slot) {
    if (waits->queue_free > 0) {
        *ret_slot = waits->queue_free - 1;
        waits->queue_free = waits->queues[*ret_slot].next_free;
        return true;
    }
    if (waits->queue_count == waits->queue_capacity) {
        uint32_t capacity = waits->queue_capacity == 0 ? HEAP_FIRST : waits->queue_capacity * 2;
        struct group_queue *queues = realloc(waits->queues, capacity * sizeof(*queues));
        if (queues == NULL) {
            return false;
        }
        waits->queues = queues;
        waits->queue_capacity = capacity;
    }
    *ret_slot = waits->queue_count++;
    waits->queues[*ret_slot] = (struct group_queue){.group = 0};
    return true;
}

static bool join_group(struct sp_waits *waits, struct wait_for *member) {
    uint32_t slot = 0;
    struct group_queue *queue = find_queue(waits, member->group, &slot);
    if (queue == NULL) {
        if (sp_htab_reserve(&waits->queue_table, waits->queue_table.count + 1u) != SP_OK ||
            !free_slot(waits, &slot) ||
            sp_htab_add(&waits->queue_table, hash_group(member->group), slot) != SP_OK) {
            return false;
        }
        queue = &waits->queues[slot];
        *queue = (struct group_queue){.group = member->group};
    }
    member->before = queue->last;
    member->next = NULL;
    queue->count++;
    if (queue->last != NULL) {
        queue->last->next = member;
    } else {
        queue->first = member;
    }
    queue->last = member;
    return true;
}

static void leave_group(struct sp_waits *waits, struct wait_for *member) {
    uint32_t slot = 0;
    struct group_queue *queue = find_queue(waits, member->group, &slot);
    sp_require(queue != NULL && queue->count > 0);
    queue->count--;
    if (member->before != NULL) {
        member->before->next = member->next;
    } else {
        queue->first = member->next;
    }
    if (member->next != NULL) {
        member->next->before = member->before;
    } else {
        queue->last = member->before;
    }
    if (queue->first == NULL) {
        sp_htab_remove(&waits->queue_table, hash_group(queue->group), slot);
        queue->next_free = waits->queue_free;
        waits->queue_free = slot + 1;
    }
}

static void on_group_ready(void *context, uint64_t group) {
    sp_wait_group_ready(context, group);
}

/* The bus tells of groups while somebody waits for one: telling costs a look at every event. */
static void hear_of_groups(struct sp_server *server) {
    struct sp_waits *waits = server->waits;
    bool wanted = waits->queue_table.count > 0;
    if (wanted != waits->hears_of_groups) {
        waits->hears_of_groups = wanted;
        sp_bus_on_ready(server->bus, wanted ? on_group_ready : NULL, server);
    }
}

/* ---- beginning and ending -------------------------------------------------------------------- */

static void unlink_ready(struct sp_waits *waits, struct sp_wait *wait) {
    struct sp_wait *before = NULL;
    if (!wait->ready) {
        return;
    }
    struct sp_wait *at = waits->ready_first;
    while (at != wait) {
        before = at;
        at = at->ready_next;
    }
    if (before != NULL) {
        before->ready_next = wait->ready_next;
    } else {
        waits->ready_first = wait->ready_next;
    }
    if (waits->ready_last == wait) {
        waits->ready_last = before;
    }
    wait->ready = false;
}

static void free_wait(struct sp_server *server, struct sp_wait *wait) {
    struct sp_waits *waits = server->waits;
    for (uint32_t i = 0; i < wait->count; i++) {
        if (wait->by_key) {
            sp_live_remove(waits->live, &wait->fors[i].interest);
        } else {
            leave_group(waits, &wait->fors[i]);
        }
    }
    if (wait->by_key && --waits->by_key_count == 0) {
        sp_server_listen(server, false);
    }
    hear_of_groups(server);
    heap_remove(waits, wait);
    unlink_ready(waits, wait);
    sp_buf_fini(&wait->bytes);
    free(wait->args);
    free(wait);
}

static struct sp_wait *new_wait(struct sp_connection *connection, const struct sp_command_row *row,
                                const struct sp_wait_spec *spec) {
    struct sp_wait *wait = calloc(1, sizeof(*wait) + spec->count * sizeof(wait->fors[0]));
    sp_str *args = malloc((spec->argc + 1) * sizeof(*args));
    size_t bytes = 0;
    for (uint32_t i = 0; i < spec->argc; i++) {
        bytes += spec->args[i].len;
    }
    if (wait == NULL || args == NULL) {
        free(wait);
        free(args);
        return NULL;
    }
    *wait = (struct sp_wait){.connection = connection,
                             .row = row,
                             .http = row == NULL,
                             .args = args,
                             .argc = spec->argc,
                             .heap_at = NOT_IN_HEAP,
                             .by_key = spec->groups == NULL && spec->count > 0};
    sp_buf_init(&wait->bytes, ARGS_BYTES_MAX);
    (void)sp_buf_reserve(&wait->bytes, bytes + 1);
    for (uint32_t i = 0; i < spec->argc; i++) {
        size_t at = wait->bytes.len;
        sp_buf_add_str(&wait->bytes, spec->args[i]);
        args[i] = sp_str_of(wait->bytes.data + at, spec->args[i].len);
    }
    return wait;
}

/* Takes the places of the wait; wait->count says how many it has. */
static bool take_places(struct sp_waits *waits, struct sp_wait *wait,
                        const struct sp_wait_spec *spec) {
    for (; wait->count < spec->count; wait->count++) {
        struct wait_for *place = &wait->fors[wait->count];
        *place = (struct wait_for){.wait = wait};
        if (spec->groups != NULL) {
            place->group = spec->groups[wait->count];
            if (!join_group(waits, place)) {
                return false;
            }
        } else if (sp_live_add_key(waits->live, &spec->keys[wait->count], &place->interest, NULL) !=
                   SP_OK) {
            return false;
        }
    }
    return true;
}

/* Makes the connection wait. False where memory is out. */
static bool begin_wait(struct sp_connection *connection, const struct sp_command_row *row,
                       const struct sp_wait_spec *spec) {
    struct sp_server *server = connection->server;
    struct sp_waits *waits = server->waits;
    struct sp_wait *wait = new_wait(connection, row, spec);
    if (wait == NULL) {
        return false;
    }
    if (wait->by_key && waits->by_key_count++ == 0) {
        sp_server_listen(server, true);
    }
    bool fine = wait->bytes.status == SP_OK && take_places(waits, wait, spec);
    if (fine && spec->timeout_ms > 0) {
        wait->deadline_ms = server->monotonic_ms + spec->timeout_ms;
        fine = heap_add(waits, wait);
    }
    hear_of_groups(server);
    if (!fine) {
        free_wait(server, wait);
        return false;
    }
    connection->wait = wait;
    connection->pause |= SP_PAUSE_BLOCKED;
    return true;
}

enum sp_verdict sp_wait_begin(struct sp_request *request, const struct sp_wait_spec *spec) {
    sp_require(!request->in_transaction && spec->count <= SP_WAIT_KEYS_MAX);
    if (request->connection->wait == NULL && !begin_wait(request->connection, request->row, spec)) {
        return sp_reply_status(request, SP_NO_MEMORY, NULL);
    }
    return SP_BLOCKED;
}

bool sp_wait_begin_http(struct sp_connection *connection, const struct sp_wait_spec *spec) {
    sp_require(spec->argc == 0 && spec->count <= SP_WAIT_KEYS_MAX);
    sp_require(spec->count == 0 || (spec->keys == NULL) != (spec->groups == NULL));
    return connection->wait != NULL || begin_wait(connection, NULL, spec);
}

size_t sp_wait_bytes(const struct sp_connection *connection) {
    const struct sp_wait *wait = connection->wait;
    return wait == NULL ? 0
                        : sizeof(*wait) + wait->bytes.capacity + wait->argc * sizeof(*wait->args) +
                              wait->count * sizeof(wait->fors[0]);
}

void sp_wait_drop(struct sp_connection *connection) {
    if (connection->wait != NULL) {
        free_wait(connection->server, connection->wait);
        connection->wait = NULL;
        connection->pause &= ~(unsigned)SP_PAUSE_BLOCKED;
    }
}

/* ---- waking ---------------------------------------------------------------------------------- */

static void make_ready(struct sp_waits *waits, struct sp_wait *wait) {
    if (wait->ready) {
        return;
    }
    wait->ready = true;
    wait->ready_next = NULL;
    if (waits->ready_last != NULL) {
        waits->ready_last->ready_next = wait;
    } else {
        waits->ready_first = wait;
    }
    waits->ready_last = wait;
}

static void on_found(void *context, struct sp_live_interest *interest, sp_str name) {
    (void)name;
    struct wait_for *place = (struct wait_for *)(void *)interest; /* its first member */
    make_ready(context, place->wait);
}

static void on_live(struct sp_server *server, void *context, const struct sp_event *event) {
    (void)server;
    struct sp_waits *waits = context;
    if (waits->by_key_count > 0) {
        sp_live_match_event(waits->live, event, on_found, waits);
    }
}

void sp_wait_group_ready(struct sp_server *server, uint64_t group) {
    struct sp_waits *waits = server->waits;
    uint32_t slot = 0;
    struct group_queue *queue = find_queue(waits, group, &slot);
    if (queue == NULL || queue->ready) {
        return;
    }
    if (waits->ready_group_count == waits->ready_group_capacity) {
        uint32_t capacity =
            waits->ready_group_capacity == 0 ? HEAP_FIRST : waits->ready_group_capacity * 2;
        uint64_t *groups = capacity > READY_GROUPS_MAX
                               ? NULL
                               : realloc(waits->ready_groups, capacity * sizeof(*groups));
        if (groups == NULL) {
            return; /* they are asked again when the next entry comes, or time out */
        }
        waits->ready_groups = groups;
        waits->ready_group_capacity = capacity;
    }
    waits->ready_groups[waits->ready_group_count++] = group;
    queue->ready = true;
}

/*
 * Runs the command again, which is to take no more than a share of what its groups have (0: all).
 * True where it has its reply; false: it goes on waiting.
 */
static bool run_again(struct sp_server *server, struct sp_wait *wait, uint32_t share) {
    struct sp_connection *connection = wait->connection;
    if (wait->http) {
        enum sp_verdict told = sp_http_wake(connection, share, false);
        if (told == SP_LATER) {
            make_ready(server->waits, wait);
        }
        return told == SP_DONE;
    }
    struct sp_request request = {
        .server = server,
        .connection = connection,
        .row = wait->row,
        .args = wait->args,
        .argc = wait->argc,
        .reply = &connection->resp,
        .share = share,
    };
    size_t from = connection->output.bytes.len;
    enum sp_verdict verdict = sp_dispatch_run(&request);
    if (verdict == SP_LATER) {
        make_ready(server->waits, wait);
    }
    if (verdict != SP_DONE) {
        return false;
    }
    sp_dispatch_finish(&request, from);
    sp_wait_drop(connection);
    sp_connection_touch(connection);
    return true;
}

void sp_wait_wake(struct sp_connection *connection) {
    struct sp_wait *wait = connection->wait;
    if (wait != NULL) {
        unlink_ready(connection->server->waits, wait);
        (void)run_again(connection->server, wait, 0);
    }
}

static void run_ready(struct sp_server *server) {
    struct sp_waits *waits = server->waits;
    struct sp_wait *until = waits->ready_last; /* those that are made ready meanwhile come later */
    bool last = until == NULL;
    while (!last && waits->ready_first != NULL) {
        struct sp_wait *wait = waits->ready_first;
        last = wait == until;
        unlink_ready(waits, wait);
        (void)run_again(server, wait, 0);
    }
}

/*
 * What the first of so many members may take of so many entries, so that those behind it get as
 * much; one member alone takes what it wants.
 */
static uint32_t share_of(uint32_t entries, uint32_t members) {
    if (members <= 1) {
        return 0;
    }
    return entries <= members ? 1 : (entries + members - 1) / members;
}

/* How many entries a group has for its members; of one that is gone each is to be told so. */
static uint32_t available(struct sp_server *server, uint64_t number, uint32_t most) {
    const struct sp_group *group = sp_bus_group_at(server->bus, number);
    return group != NULL ? sp_bus_group_ready(server->bus, group, most) : 1;
}

/*
 * Asks the members of a group in turn, as long as it has something for them: no more of them than
 * there are entries.
 */
static void run_group(struct sp_server *server, uint64_t number) {
    uint32_t slot = 0;
    struct group_queue *queue = find_queue(server->waits, number, &slot);
    if (queue != NULL) {
        queue->ready = false;
    }
    uint32_t left = queue != NULL ? available(server, number, SP_BUS_READY_MAX) : 0;
    while (queue != NULL && available(server, number, 1) > 0) {
        uint32_t share = share_of(left, queue->count);
        left -= share < left ? share : left;
        if (!run_again(server, queue->first->wait, share)) {
            return;
        }
        queue = find_queue(server->waits, number, &slot);
    }
}

static void time_out(struct sp_server *server, struct sp_wait *wait) {
    struct sp_connection *connection = wait->connection;
    if (wait->http) {
        (void)sp_http_wake(connection, 0, true);
        return;
    }
    struct sp_request request = {
        .server = server, .connection = connection, .reply = &connection->resp, .lazy = true};
    size_t from = connection->output.bytes.len;
    sp_resp_null_array(&connection->resp);
    sp_dispatch_finish(&request, from);
    sp_wait_drop(connection);
    sp_connection_touch(connection);
}

static bool on_turn(struct sp_server *server, void *context) {
    struct sp_waits *waits = context;
    run_ready(server);
    uint32_t groups = waits->ready_group_count;
    for (uint32_t i = 0; i < groups; i++) {
        run_group(server, waits->ready_groups[i]);
    }
    if (groups > 0) {
        waits->ready_group_count -= groups;
        memmove(waits->ready_groups, waits->ready_groups + groups,
                waits->ready_group_count * sizeof(*waits->ready_groups));
    }
    while (waits->heap_count > 0 && waits->heap[0]->deadline_ms <= server->monotonic_ms) {
        time_out(server, waits->heap[0]);
    }
    return waits->ready_group_count > 0;
}

void sp_wait_unblock(struct sp_connection *connection, bool with_error) {
    struct sp_server *server = connection->server;
    if (connection->wait == NULL) {
        return;
    }
    if (!with_error || connection->wait->http) {
        time_out(server, connection->wait);
        return;
    }
    struct sp_request request = {
        .server = server, .connection = connection, .reply = &connection->resp, .lazy = true};
    size_t from = connection->output.bytes.len;
    sp_resp_error(&connection->resp, "UNBLOCKED", SP_STR("client unblocked via CLIENT UNBLOCK"));
    sp_dispatch_finish(&request, from);
    sp_wait_drop(connection);
    sp_connection_touch(connection);
}

int sp_waits_timeout(const struct sp_server *server) {
    const struct sp_waits *waits = server->waits;
    if (waits->ready_first != NULL || waits->ready_group_count > 0) {
        return 0;
    }
    if (waits->heap_count == 0) {
        return -1;
    }
    uint64_t now_ms = server->clock.monotonic_ns(server->clock.context) / 1000000;
    uint64_t deadline_ms = waits->heap[0]->deadline_ms;
    uint64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    return left_ms > 60000 ? 60000 : (int)left_ms;
}

/* ---- the server's ---------------------------------------------------------------------------- */

static void on_fini(struct sp_server *server, void *context) {
    struct sp_waits *waits = context;
    sp_bus_on_ready(server->bus, NULL, NULL);
    sp_live_free(waits->live);
    sp_htab_fini(&waits->queue_table);
    free(waits->heap);
    free(waits->queues);
    free(waits->ready_groups);
    free(waits);
    server->waits = NULL;
}

sp_status sp_waits_init(struct sp_server *server, struct sp_error *error) {
    struct sp_waits *waits = calloc(1, sizeof(*waits));
    if (waits == NULL || sp_live_new(&waits->live) != SP_OK) {
        free(waits);
        return sp_error_set(error, SP_NO_MEMORY, "no memory for waiting reads");
    }
    sp_htab_init(&waits->queue_table);
    server->waits = waits;
    struct sp_server_hooks hooks = {
        .live = on_live, .turn = on_turn, .fini = on_fini, .context = waits};
    sp_server_hook(server, &hooks);
    return SP_OK;
}
