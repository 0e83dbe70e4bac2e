/* XINFO STREAM. */
#include "proto/entry.h"
#include "server/cmd_groups.h"
#include "server/handlers.h"
#include "server/server.h"

enum { FULL_COUNT = 10 }; /* entries, and pending ones of each group and consumer */

struct one_entry {
    struct sp_resp *reply;
    struct sp_entry_id id;
    bool found;
};

static bool write_one(void *context, const struct sp_event *event, struct sp_entry_id id) {
    struct one_entry *one = context;
    one->found = true;
    one->id = id;
    if (one->reply != NULL) {
        sp_resp_array(one->reply, 2);
        sp_resp_id(one->reply, id);
        sp_entry_write(event, one->reply);
    }
    return false;
}

struct all_entries {
    struct sp_resp *reply;
    uint64_t count;
};

static bool write_each(void *context, const struct sp_event *event, struct sp_entry_id id) {
    struct all_entries *all = context;
    sp_resp_array(all->reply, 2);
    sp_resp_id(all->reply, id);
    sp_entry_write(event, all->reply);
    all->count++;
    return all->reply->to->status == SP_OK;
}

/* The first or the last entry; found false: there is none. */
static sp_status find_end(struct sp_request *request, const struct sp_key *key, bool last,
                          struct one_entry *one, struct sp_error *error) {
    struct sp_bus_range range = {.key = key,
                                 .from = SP_ENTRY_ID_NONE,
                                 .until = SP_ENTRY_ID_MAX,
                                 .reverse = last,
                                 .count = 1};
    sp_status status = sp_bus_read(request->server->bus, &range, write_one, one, error);
    return status == SP_NOT_FOUND ? SP_OK : status;
}

static sp_status write_end(struct sp_request *request, const struct sp_key *key, bool last,
                           struct sp_error *error) {
    struct one_entry one = {.reply = request->reply};
    sp_resp_bulk_text(request->reply, last ? "last-entry" : "first-entry");
    sp_status status = find_end(request, key, last, &one, error);
    if (status == SP_OK && !one.found) {
        sp_resp_null(request->reply);
    }
    return status;
}

static void write_counts(struct sp_resp *reply, const struct sp_bus_stream_info *info) {
    sp_resp_bulk_text(reply, "length");
    sp_resp_unsigned(reply, info->length);
    sp_resp_bulk_text(reply, "radix-tree-keys");
    sp_resp_unsigned(reply, info->nodes);
    sp_resp_bulk_text(reply, "radix-tree-nodes");
    sp_resp_unsigned(reply, info->nodes + 1);
    sp_resp_bulk_text(reply, "last-generated-id");
    sp_resp_id(reply, info->last_id);
    sp_resp_bulk_text(reply, "max-deleted-entry-id");
    sp_resp_id(reply, info->max_deleted);
    sp_resp_bulk_text(reply, "entries-added");
    sp_resp_unsigned(reply, info->entries_added);
}

/* ---- FULL ------------------------------------------------------------------------------------ */

/* `FULL [COUNT n]`. False where the error is written. */
static bool read_full(struct sp_request *request, uint64_t *ret_count) {
    int64_t count = FULL_COUNT;
    uint32_t argc = request->argc;
    if (!sp_word_is(request->args[3], "full") || (argc != 4 && argc != 6) ||
        (argc == 6 && !sp_word_is(request->args[4], "count"))) {
        (void)sp_reply_error(request, "unknown subcommand or wrong number of arguments for "
                                      "'STREAM'. Try XINFO HELP.");
        return false;
    }
    if (argc == 6 && !sp_word_i64(request->args[5], &count)) {
        (void)sp_reply_not_integer(request);
        return false;
    }
    *ret_count = count < 0 ? FULL_COUNT : (uint64_t)count;
    return true;
}

static sp_status write_entries(struct sp_request *request, const struct sp_key *key, uint64_t count,
                               struct sp_error *error) {
    struct all_entries all = {.reply = request->reply};
    struct sp_bus_range range = {
        .key = key, .from = SP_ENTRY_ID_NONE, .until = SP_ENTRY_ID_MAX, .count = count};
    sp_resp_bulk_text(request->reply, "entries");
    struct sp_resp_open open = sp_resp_open_array(request->reply, count);
    sp_status status = sp_bus_read(request->server->bus, &range, write_each, &all, error);
    sp_resp_close(request->reply, open, all.count);
    return status == SP_NOT_FOUND ? SP_OK : status;
}

static enum sp_verdict write_full(struct sp_request *request) {
    struct sp_key key;
    struct sp_error error;
    struct sp_bus_stream_info info;
    uint64_t count = 0;
    if (!read_full(request, &count) || !sp_request_key(request, request->args[2], &key)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_stream(request->server->bus, &key, &info, &error);
    if (status == SP_NOT_FOUND) {
        return sp_reply_error(request, "no such key");
    }
    struct one_entry first = {.reply = NULL, .id = SP_ENTRY_ID_NONE};
    status = status == SP_OK ? find_end(request, &key, false, &first, &error) : status;
    size_t from = request->reply->to->len;
    if (status == SP_OK) {
        sp_resp_map(request->reply, 9);
        write_counts(request->reply, &info);
        sp_resp_bulk_text(request->reply, "recorded-first-entry-id");
        sp_resp_id(request->reply, first.id);
        status = write_entries(request, &key, count, &error);
    }
    if (status != SP_OK) {
        request->reply->to->len = from;
        return sp_reply_status(request, status, &error);
    }
    sp_resp_bulk_text(request->reply, "groups");
    sp_group_write_full(request, &key, count);
    return SP_DONE;
}

/* ---- XINFO STREAM ---------------------------------------------------------------------------- */

enum sp_verdict sp_on_xinfo_stream(struct sp_request *request) {
    struct sp_key key;
    struct sp_error error;
    struct sp_bus_stream_info info;
    if (request->argc > 3) {
        return write_full(request);
    }
    if (!sp_request_key(request, request->args[2], &key)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    sp_status status = sp_bus_stream(request->server->bus, &key, &info, &error);
    if (status == SP_NOT_FOUND) {
        return sp_reply_error(request, "no such key");
    }
    struct one_entry first = {.reply = NULL, .id = SP_ENTRY_ID_NONE};
    status = status == SP_OK ? find_end(request, &key, false, &first, &error) : status;
    size_t from = request->reply->to->len;
    if (status == SP_OK) {
        sp_resp_map(request->reply, 10);
        write_counts(request->reply, &info);
        sp_resp_bulk_text(request->reply, "recorded-first-entry-id");
        sp_resp_id(request->reply, first.id);
        sp_resp_bulk_text(request->reply, "groups");
        sp_resp_unsigned(request->reply, info.group_count);
        status = write_end(request, &key, false, &error);
    }
    status = status == SP_OK ? write_end(request, &key, true, &error) : status;
    if (status != SP_OK) {
        request->reply->to->len = from;
        return sp_reply_status(request, status, &error);
    }
    return SP_DONE;
}
