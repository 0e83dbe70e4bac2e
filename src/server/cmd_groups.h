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
