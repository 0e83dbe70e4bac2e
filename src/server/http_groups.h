/*
 * What the routes of worker queues share: the group that is meant, and JSON of what groups are.
 * loop-thread
 *
 * Over HTTP a group is known by its name. Where several keys have a group of that name, `?key=`
 * says which one; without it that is refused with 409, and the keys are named. `?key=` also spares
 * looking through all groups for the name.
 */
#ifndef SP_SERVER_HTTP_GROUPS_H
#define SP_SERVER_HTTP_GROUPS_H

#include "server/cmd_groups.h"
#include "server/http_body.h"
#include "server/http_parts.h"

enum {
    SP_HTTP_IDS_MAX = SP_GROUP_CALL_MAX,  /* of one request */
    SP_HTTP_REPLY_BYTES_ENOUGH = 4 << 20, /* a list ends here, and says where it goes on */
    SP_HTTP_CONSUMER_BYTES_MAX = SP_GROUP_NAME_BYTES_MAX,
};

/* The group that the path and `?key=` name. */
struct sp_http_group {
    struct sp_key key; /* lasts for the request's run */
    sp_str name;
    const struct sp_group *group; /* NULL: there is none; borrowed until something changes it */
};

/* False where the key is none, or the name is that of several: the reply is written then. */
SP_WARN_UNUSED bool sp_http_group_named(struct sp_http_request *request,
                                        struct sp_http_group *ret_group);

/* The same, and it must be there: else the reply says 404. */
SP_WARN_UNUSED bool sp_http_group_needed(struct sp_http_request *request,
                                         struct sp_http_group *ret_group);

/* False where the query has another parameter than these, NULL at the end: the reply is written. */
SP_WARN_UNUSED bool sp_http_only_query(struct sp_http_request *request, const char *const *names);

/* A number of the query; absent: *ret is as it was. False where the reply, a 400, is written. */
SP_WARN_UNUSED bool sp_http_query_number(struct sp_http_request *request, const char *name,
                                         uint64_t least, uint64_t most, uint64_t *ret_number);

/* `true` and `1`, or `false` and `0`; likewise. */
SP_WARN_UNUSED bool sp_http_query_bool(struct sp_http_request *request, const char *name,
                                       bool *ret_yes);

/*
 * What a call on a group said: of a group without a policy a 409 of its own, where there is no room
 * for more groups or entries 507.
 */
enum sp_http_verdict sp_http_group_refuse(struct sp_http_request *request, sp_status status,
                                          const struct sp_error *error);

/* {"<name>": <count>} */
enum sp_http_verdict sp_http_group_count(struct sp_http_request *request, const char *name,
                                         uint64_t count);

/* Members of an object that is open: a comma before all but the first, then name and value. */
void sp_http_add_name(struct sp_buf *to, const char *name);
void sp_http_add_text(struct sp_buf *to, const char *name, sp_str value);
void sp_http_add_number(struct sp_buf *to, const char *name, uint64_t value);
void sp_http_add_time(struct sp_buf *to, const char *name, uint64_t ms); /* 0: null */
void sp_http_add_id(struct sp_buf *to, const char *name, struct sp_entry_id id);
/* One line in the shape of docs/events.md; NULL: null. */
void sp_http_add_event(struct sp_buf *to, const struct sp_event *event);

/* http_work.c, http_dead.c */
sp_http_handler_fn sp_http_on_receive;
sp_http_handler_fn sp_http_on_ack;
sp_http_handler_fn sp_http_on_nack;
sp_http_handler_fn sp_http_on_extend;
sp_http_handler_fn sp_http_on_dead_letters;
sp_http_handler_fn sp_http_on_redrive;
sp_http_handler_fn sp_http_on_discard;

#endif
