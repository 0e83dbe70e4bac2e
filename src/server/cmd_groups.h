/*
 * What the commands of consumer groups share: finding the group that is meant, saying that there is
 * none, lists of ids, entries as they are handed out. loop-thread
 */
#ifndef SP_SERVER_CMD_GROUPS_H
#define SP_SERVER_CMD_GROUPS_H

#include "engine/bus_groups.h"
#include "server/server.h"

enum {
    SP_GROUP_CALL_MAX = SP_BUS_RECEIVE_MAX, /* entries that one call of the bus gives at most */
};

/* A group that a client named. */
struct sp_group_named {
    struct sp_key key;
    sp_str name;
    const struct sp_group *group; /* NULL: there is none; borrowed until something changes it */
};

/*
 * Finds the group that two arguments name, a key and the group's name. False where the key is none:
 * the reply is written then.
 */
SP_WARN_UNUSED bool sp_group_named(struct sp_request *request, uint32_t key_at, uint32_t name_at,
                                   struct sp_group_named *ret_named);

/*
 * The same, and it must be there: else the reply says NOGROUP, in the words of XPENDING and XCLAIM.
 */
SP_WARN_UNUSED bool sp_group_needed(struct sp_request *request, uint32_t key_at, uint32_t name_at,
                                    struct sp_group_named *ret_named);

/* `No such key '…' or consumer group '…'` and what follows it. */
enum sp_verdict sp_reply_no_group(struct sp_request *request, sp_str key, sp_str group,
                                  const char *behind);
/* `No such consumer group '…' for key name '…'`. */
enum sp_verdict sp_reply_no_group_of_key(struct sp_request *request, sp_str key, sp_str group);

/*
 * Reads arguments as ids, into the server's scratch buffer. NULL where the reply, an error, is
 * written.
 */
SP_WARN_UNUSED struct sp_entry_id *sp_group_ids(struct sp_request *request, uint32_t from,
                                                uint32_t count);

/* Entries as they are written into an array that is open. */
struct sp_group_entries {
    struct sp_resp *reply;
    uint64_t count;
    bool ids_only; /* JUSTID */
};

/* A sp_bus_given_fn: `context` is a struct sp_group_entries. One that is gone has no fields. */
void sp_group_write_entry(void *context, const struct sp_event *event, struct sp_entry_id id,
                          uint32_t count);

/*
 * The value of `groups` in XINFO STREAM … FULL: every group of the key with its consumers and up to
 * `count` pending entries, and as many of each consumer; 0: all.
 */
void sp_group_write_full(struct sp_request *request, const struct sp_key *key, uint64_t count);

/*
 * Where a group begins: `$`, an entry id (behind it), or a moment of queries (from there on).
 * SP_INVALID, or what reading the log says.
 */
SP_WARN_UNUSED sp_status sp_group_find_start(struct sp_server *server, const struct sp_key *key,
                                             sp_str place, struct sp_bus_start *start,
                                             struct sp_error *error);

struct sp_group_making {
    const struct sp_key *key;
    sp_str name;
    struct sp_bus_start start;
    struct sp_group_policy policy;
    bool make_key;       /* also where a stream of this name is not there yet */
    bool in_transaction; /* within the caller's own begin and end */
};

/*
 * Makes a group and gives it its policy, both in one block. SP_NOT_FOUND: there is no such key;
 * else as sp_bus_group_make and sp_bus_group_policy.
 */
SP_WARN_UNUSED sp_status sp_group_create(struct sp_bus *bus, const struct sp_group_making *making,
                                         struct sp_error *error);

/*
 * The event at a position, borrowed from the cursor, which is to be closed afterwards; NULL where
 * it is gone.
 */
struct sp_cursor;
SP_WARN_UNUSED sp_status sp_dead_read(struct sp_engine *engine, uint64_t position,
                                      struct sp_cursor **ret_cursor,
                                      const struct sp_event **ret_event, struct sp_error *error);

/*
 * What a worker said went wrong, as the letter of a dead entry has it, unescaped into `to`; a NULL
 * ptr where it said nothing.
 */
sp_str sp_dead_error(const struct sp_event *letter, struct sp_buf *to);

enum { SP_DEAD_ERROR_BYTES_MAX = 8192 }; /* of it; more is cut */

/* How long ago that was; times ahead are now. */
static inline uint64_t sp_ms_since(const struct sp_server *server, uint64_t then_ms) {
    return server->wall_ms > then_ms ? server->wall_ms - then_ms : 0;
}

/* cmd_groups.c */
sp_handler_fn sp_on_xgroup_create;
sp_handler_fn sp_on_xgroup_setid;
sp_handler_fn sp_on_xgroup_destroy;
sp_handler_fn sp_on_xgroup_createconsumer;
sp_handler_fn sp_on_xgroup_delconsumer;
sp_handler_fn sp_on_xack;

/* cmd_groups_read.c */
sp_handler_fn sp_on_xreadgroup;

/* cmd_groups_claim.c */
sp_handler_fn sp_on_xclaim;
sp_handler_fn sp_on_xautoclaim;

/* cmd_groups_info.c */
sp_handler_fn sp_on_xpending;
sp_handler_fn sp_on_xinfo_groups;
sp_handler_fn sp_on_xinfo_consumers;

/* cmd_policy.c */
sp_handler_fn sp_on_spoor_group_create;
sp_handler_fn sp_on_spoor_group_set;
sp_handler_fn sp_on_spoor_group_get;
sp_handler_fn sp_on_spoor_group_list;
sp_handler_fn sp_on_spoor_group_drop;
sp_handler_fn sp_on_spoor_group_lag;

/* cmd_receive.c */
sp_handler_fn sp_on_spoor_receive;
sp_handler_fn sp_on_spoor_extend;

/* cmd_policy_settle.c */
sp_handler_fn sp_on_spoor_nack;
sp_handler_fn sp_on_xnack;
sp_handler_fn sp_on_spoor_dead_list;
sp_handler_fn sp_on_spoor_dead_redrive;
sp_handler_fn sp_on_spoor_dead_discard;

#endif
