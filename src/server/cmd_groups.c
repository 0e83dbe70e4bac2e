/*
 * XGROUP and XACK, and what all commands of consumer groups share. loop-thread
 *
 * A group may be made for every key, the virtual streams too. What a command decides is decided in
 * core/groups.h, by way of engine/bus_groups.h; here are words, checks in the order of Redis, and
 * replies. XREADGROUP is in cmd_groups_read.c, XCLAIM in cmd_groups_claim.c, what only shows in
 * cmd_groups_info.c, what is spoor's own about groups in cmd_policy.c.
 */
#include "server/cmd_groups.h"

#include <stdio.h>

#include "proto/entry.h"
#include "proto/stream_id.h"

enum {
    ERROR_BYTES_MAX = 1024,
    SHOWN_BYTES_MAX = 400, /* of a name in an error */
};

/* ---- the group that is meant ----------------------------------------------------------------- */

static int shown(sp_str text) {
    return text.len > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX : (int)text.len;
}

static const char *bytes_of(sp_str text) {
    return text.len > 0 ? text.ptr : "";
}

enum sp_verdict sp_reply_no_group(struct sp_request *request, sp_str key, sp_str group,
                                  const char *behind) {
    char text[ERROR_BYTES_MAX];
    (void)snprintf(text, sizeof(text), "No such key '%.*s' or consumer group '%.*s'%s", shown(key),
                   bytes_of(key), shown(group), bytes_of(group), behind);
    return sp_reply_error_str(request, "NOGROUP", sp_str_from(text));
}

enum sp_verdict sp_reply_no_group_of_key(struct sp_request *request, sp_str key, sp_str group) {
    char text[ERROR_BYTES_MAX];
    (void)snprintf(text, sizeof(text), "No such consumer group '%.*s' for key name '%.*s'",
                   shown(group), bytes_of(group), shown(key), bytes_of(key));
    return sp_reply_error_str(request, "NOGROUP", sp_str_from(text));
}

bool sp_group_named(struct sp_request *request, uint32_t key_at, uint32_t name_at,
                    struct sp_group_named *ret_named) {
    struct sp_group_named named = {.name = request->args[name_at]};
    if (!sp_request_key(request, request->args[key_at], &named.key)) {
        return false;
    }
    named.group = sp_bus_group(request->server->bus, &named.key, named.name);
    *ret_named = named;
    return true;
}

bool sp_group_needed(struct sp_request *request, uint32_t key_at, uint32_t name_at,
                     struct sp_group_named *ret_named) {
    if (!sp_group_named(request, key_at, name_at, ret_named)) {
        return false;
    }
    if (ret_named->group == NULL) {
        (void)sp_reply_no_group(request, request->args[key_at], ret_named->name, "");
        return false;
    }
    return true;
}

struct sp_entry_id *sp_group_ids(struct sp_request *request, uint32_t from, uint32_t count) {
    struct sp_buf *scratch = &request->server->scratch;
    sp_buf_reset(scratch);
    struct sp_entry_id *ids =
        (struct sp_entry_id *)(void *)sp_buf_reserve(scratch, (count + 1) * sizeof(*ids));
    if (ids == NULL) {
        (void)sp_reply_status(request, scratch->status, NULL);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!sp_stream_id_parse(request->args[from + i], 0, &ids[i])) {
            (void)sp_reply_error(request, SP_STREAM_ID_INVALID);
            return NULL;
        }
    }
    return ids;
}

void sp_group_write_entry(void *context, const struct sp_event *event, struct sp_entry_id id,
                          uint32_t count) {
    struct sp_group_entries *entries = context;
    (void)count;
    entries->count++;
    if (entries->ids_only) {
        sp_resp_id(entries->reply, id);
        return;
    }
    sp_resp_array(entries->reply, 2);
    sp_resp_id(entries->reply, id);
    if (event != NULL) {
        sp_entry_write(event, entries->reply);
    } else {
        sp_resp_null_array(entries->reply);
    }
}

/* ---- XGROUP ---------------------------------------------------------------------------------- */

static enum sp_verdict refuse_key(struct sp_request *request) {
    return sp_reply_error(request,
                          "The XGROUP subcommand requires the key to exist. Note that for CREATE "
                          "you may want to use the MKSTREAM option to create an empty stream "
                          "automatically.");
}

static void refuse_words(struct sp_request *request) {
    char text[ERROR_BYTES_MAX];
    sp_str word = request->args[1];
    (void)snprintf(text, sizeof(text),
                   "unknown subcommand or wrong number of arguments for '%.*s'. Try XGROUP HELP.",
                   word.len > 128 ? 128 : (int)word.len, bytes_of(word));
    (void)sp_reply_error(request, text);
}

/*
 * What stands behind the id. ENTRIESREAD is checked and then left alone: what a group has read and
 * what is left is counted, and needs no help. False where the error is written.
 */
static bool read_options(struct sp_request *request, bool create, bool *ret_make_key) {
    for (uint32_t i = 5; i < request->argc; i++) {
        int64_t entries_read = 0;
        if (create && sp_word_is(request->args[i], "mkstream")) {
            *ret_make_key = true;
            continue;
        }
        if (!sp_word_is(request->args[i], "entriesread") || i + 1 == request->argc) {
            refuse_words(request);
            return false;
        }
        if (!sp_word_i64(request->args[++i], &entries_read)) {
            (void)sp_reply_not_integer(request);
            return false;
        }
        if (entries_read < -1) {
            (void)sp_reply_error(request, "value for ENTRIESREAD must be positive or -1");
            return false;
        }
    }
    return true;
}

/* An id or `$`. SETID, as in Redis, also knows `-` and `+`. */
static bool read_start(struct sp_request *request, bool signs, struct sp_bus_start *start) {
    sp_str text = request->args[4];
    if (sp_str_eq(text, SP_STR("$"))) {
        start->at_end = true;
        return true;
    }
    if (signs ? sp_stream_id_parse_bound(text, 0, &start->id)
              : sp_stream_id_parse(text, 0, &start->id)) {
        return true;
    }
    (void)sp_reply_error(request, SP_STREAM_ID_INVALID);
    return false;
}

/*
 * The group that XGROUP speaks of, once the key is found to be there. False where the error is
 * written.
 */
static bool find_group(struct sp_request *request, bool make_key, bool needed,
                       struct sp_group_named *ret_named) {
    if (!sp_group_named(request, 2, 3, ret_named)) {
        return false;
    }
    if (!make_key && !sp_bus_exists(request->server->bus, &ret_named->key)) {
        (void)refuse_key(request);
        return false;
    }
    if (needed && ret_named->group == NULL) {
        (void)sp_reply_no_group_of_key(request, request->args[2], ret_named->name);
        return false;
    }
    return true;
}

enum sp_verdict sp_on_xgroup_create(struct sp_request *request) {
    struct sp_bus_start start = {.at_end = false};
    struct sp_group_named named;
    struct sp_error error;
    bool make_key = false;
    if (!read_options(request, true, &make_key) || !find_group(request, make_key, false, &named) ||
        !read_start(request, false, &start)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status =
        sp_bus_group_make(request->server->bus, &named.key, named.name, &start, make_key, &error);
    if (status == SP_CONFLICT) {
        return sp_reply_error_str(request, "BUSYGROUP",
                                  SP_STR("Consumer Group name already exists"));
    }
    if (status == SP_NOT_FOUND) {
        return refuse_key(request);
    }
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_ok(request->reply);
    return SP_DONE;
}

enum sp_verdict sp_on_xgroup_setid(struct sp_request *request) {
    struct sp_bus_start start = {.at_end = false};
    struct sp_group_named named;
    struct sp_error error;
    bool unused = false;
    if (!read_options(request, false, &unused) || !find_group(request, false, true, &named)) {
        return SP_DONE;
    }
    if (request->argc != 5 && request->argc != 7) {
        refuse_words(request);
        return SP_DONE;
    }
    if (!read_start(request, true, &start)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status =
        sp_bus_group_move(request->server->bus, &named.key, named.name, &start, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_ok(request->reply);
    return SP_DONE;
}

enum sp_verdict sp_on_xgroup_destroy(struct sp_request *request) {
    struct sp_group_named named;
    struct sp_error error;
    bool was_there = false;
    if (!find_group(request, false, false, &named)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status =
        sp_bus_group_drop(request->server->bus, &named.key, named.name, &was_there, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_integer(request->reply, was_there);
    return SP_DONE;
}

enum sp_verdict sp_on_xgroup_createconsumer(struct sp_request *request) {
    struct sp_group_named named;
    struct sp_error error;
    bool made = false;
    if (!find_group(request, false, true, &named)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_consumer_make(request->server->bus, &named.key, named.name,
                                            request->args[4], &made, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_integer(request->reply, made);
    return SP_DONE;
}

enum sp_verdict sp_on_xgroup_delconsumer(struct sp_request *request) {
    struct sp_group_named named;
    struct sp_error error;
    uint64_t pending = 0;
    if (!find_group(request, false, true, &named)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_consumer_drop(request->server->bus, &named.key, named.name,
                                            request->args[4], &pending, &error);
    if (status != SP_OK && status != SP_NOT_FOUND) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_unsigned(request->reply, pending);
    return SP_DONE;
}

/* ---- XACK ------------------------------------------------------------------------------------ */

enum sp_verdict sp_on_xack(struct sp_request *request) {
    struct sp_group_named named;
    struct sp_error error;
    uint64_t count = 0;
    if (!sp_group_named(request, 1, 2, &named)) {
        return SP_DONE;
    }
    if (named.group == NULL) {
        sp_resp_integer(request->reply, 0);
        return SP_DONE;
    }
    const struct sp_entry_id *ids = sp_group_ids(request, 3, request->argc - 3);
    if (ids == NULL) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_ack(request->server->bus, &named.key, named.name, ids,
                                  request->argc - 3, &count, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_unsigned(request->reply, count);
    return SP_DONE;
}
