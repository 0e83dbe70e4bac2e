#include "client/lists.h"

#include <stdio.h>
#include <string.h>

#include "client/query.h"
#include "proto/resp_write.h"

enum {
    NUMBER_SIZE = SP_DECIMAL_BYTES_MAX + 1,
    RUNS_PAGE = 100,
    COMMAND_BYTES_MAX = 32 << 20,
};

static sp_status makes_no_sense(struct sp_error *error) {
    return sp_error_set(error, SP_FAILED, "the server's answer makes no sense");
}

static spoor_str text_out(const struct sp_reply_node *node) {
    sp_str text = sp_answer_text(node);
    return (spoor_str){.ptr = text.ptr, .len = text.len};
}

/* ---- streams --------------------------------------------------------------------------------- */

static bool stream_out(const struct sp_reply_node *node, spoor_stream *to) {
    if (node->kind != SP_REPLY_ARRAY || node->count != 3 || node->span != 4) {
        return false;
    }
    const struct sp_reply_node *fields = sp_reply_child(node);
    to->name = text_out(&fields[0]);
    to->version = sp_answer_u64(&fields[1]);
    to->last_position = sp_answer_u64(&fields[2]);
    return to->name.ptr != NULL;
}

/* The array in a [next, array] page; NULL where it is none. */
static const struct sp_reply_node *page_list(const struct sp_reply_node *page, uint32_t fields) {
    if (page->kind != SP_REPLY_ARRAY || page->count != fields) {
        return NULL;
    }
    const struct sp_reply_node *at = sp_reply_child(page);
    for (uint32_t i = 1; i < fields; i++) {
        at = sp_reply_next(at);
    }
    return at->kind == SP_REPLY_ARRAY ? at : NULL;
}

static sp_status show_streams(const struct sp_reply_node *list, spoor_stream_fn *each,
                              void *context, bool *ret_go_on, struct sp_error *error) {
    const struct sp_reply_node *at = sp_reply_child(list);
    for (uint32_t i = 0; i < list->count; i++, at = sp_reply_next(at)) {
        spoor_stream stream;
        if (!stream_out(at, &stream)) {
            return makes_no_sense(error);
        }
        if (each(context, &stream) != 0) {
            *ret_go_on = false;
            return SP_OK;
        }
    }
    return SP_OK;
}

sp_status sp_client_streams(struct sp_client *client, uint64_t skip, spoor_stream_fn *each,
                            void *context, struct sp_error *error) {
    bool go_on = true;
    sp_status status = SP_OK;
    while (go_on && status == SP_OK) {
        char number[NUMBER_SIZE];
        struct sp_answer answer;
        (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)skip);
        const sp_str args[] = {SP_STR("SPOOR.STREAMS"), SP_STR("FROM"), sp_str_from(number)};
        status = sp_client_call(client, args, 3, 0, &answer, error);
        if (status != SP_OK) {
            return status;
        }
        const struct sp_reply_node *page = sp_answer_node(&answer);
        const struct sp_reply_node *list = page_list(page, 2);
        status =
            list != NULL ? show_streams(list, each, context, &go_on, error) : makes_no_sense(error);
        if (status == SP_OK) {
            skip = sp_answer_u64(sp_reply_child(page));
            go_on = go_on && skip > 0;
        }
        sp_answer_fini(&answer);
    }
    return status;
}

sp_status sp_client_stream_get(struct sp_client *client, const char *name, spoor_stream *ret_stream,
                               struct sp_error *error) {
    struct sp_answer answer;
    sp_str text = sp_str_from(name != NULL ? name : "");
    const sp_str args[] = {SP_STR("SPOOR.STREAMS"), SP_STR("NAME"), text};
    sp_status status = sp_client_call(client, args, 3, 0, &answer, error);
    if (status != SP_OK) {
        return status;
    }
    const struct sp_reply_node *list = page_list(sp_answer_node(&answer), 2);
    spoor_stream stream;
    if (list != NULL && list->count == 0) {
        status = sp_error_set(error, SP_NOT_FOUND, "no stream %.*s", SP_STR_ARG(text));
    } else if (list == NULL || !stream_out(sp_reply_child(list), &stream)) {
        status = makes_no_sense(error);
    } else {
        stream.name = (spoor_str){.ptr = text.ptr, .len = text.len};
        *ret_stream = stream;
    }
    sp_answer_fini(&answer);
    return status;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static spoor_run run_out(const struct sp_reply_node *run) {
    return (spoor_run){
        .correlationid = text_out(sp_reply_find(run, "correlationid")),
        .status = text_out(sp_reply_find(run, "status")),
        .event_count = sp_answer_u64(sp_reply_find(run, "event_count")),
        .first_position = sp_answer_u64(sp_reply_find(run, "first_position")),
        .last_position = sp_answer_u64(sp_reply_find(run, "last_position")),
        .first_recorded_us = sp_answer_u64(sp_reply_find(run, "first_recorded_us")),
        .last_recorded_us = sp_answer_u64(sp_reply_find(run, "last_recorded_us")),
        .first_type = text_out(sp_reply_find(run, "first_type")),
        .last_type = text_out(sp_reply_find(run, "last_type")),
        .first_time = text_out(sp_reply_find(run, "first_time")),
        .last_time = text_out(sp_reply_find(run, "last_time")),
    };
}

/* One walk over the runs of a query, page by page. */
struct run_walk {
    struct sp_client *client;
    struct sp_query_text query;
    uint64_t left;
    spoor_run_fn *each;
    void *context;
    bool go_on;
    char first[NUMBER_SIZE]; /* the range that is still to be walked; empty: as the query says */
    char last[NUMBER_SIZE];
};

static sp_status take_runs(struct run_walk *walk, const struct sp_reply_node *page,
                           struct sp_error *error) {
    const struct sp_reply_node *list = page_list(page, 3);
    if (list == NULL) {
        return makes_no_sense(error);
    }
    const struct sp_reply_node *next = sp_reply_child(page);
    const struct sp_reply_node *at = sp_reply_child(list);
    for (uint32_t i = 0; i < list->count && walk->go_on; i++, at = sp_reply_next(at)) {
        spoor_run run = run_out(at);
        walk->left--;
        walk->go_on = walk->each(walk->context, &run) == 0;
    }
    walk->go_on = walk->go_on && next->kind == SP_REPLY_INTEGER && walk->left > 0;
    (void)snprintf(walk->first, sizeof(walk->first), "%llu",
                   (unsigned long long)sp_answer_u64(next));
    (void)snprintf(walk->last, sizeof(walk->last), "%llu",
                   (unsigned long long)sp_answer_u64(sp_reply_next(next)));
    return SP_OK;
}

static sp_status walk_page(struct run_walk *walk, struct sp_error *error) {
    struct sp_buf command;
    struct sp_answer answer;
    bool first = walk->first[0] == '\0';
    struct sp_query_window window = {
        .from = first ? walk->query.from : sp_str_from(walk->first),
        .until = first ? walk->query.until : sp_str_from(walk->last),
        .limit = walk->left < RUNS_PAGE ? walk->left : RUNS_PAGE,
        .reverse = walk->query.reverse,
        .version = walk->query.from_version,
    };
    sp_buf_init(&command, COMMAND_BYTES_MAX);
    sp_query_encode(&command, "SPOOR.RUNS", &walk->query, &window);
    sp_status status = command.status;
    if (status == SP_OK) {
        status = sp_client_call_encoded(walk->client, sp_buf_str(&command), 0, &answer, error);
    }
    sp_buf_fini(&command);
    if (status == SP_OK) {
        status = take_runs(walk, sp_answer_node(&answer), error);
        sp_answer_fini(&answer);
    }
    return status;
}

sp_status sp_client_runs(struct sp_client *client, const spoor_query *query, spoor_run_fn *each,
                         void *context, struct sp_error *error) {
    struct run_walk walk = {.client = client, .each = each, .context = context, .go_on = true};
    sp_status status = sp_query_text_init(&walk.query, query, error);
    walk.left = walk.query.limit != 0 ? walk.query.limit : UINT64_MAX;
    while (status == SP_OK && walk.go_on) {
        status = walk_page(&walk, error);
    }
    sp_query_text_fini(&walk.query);
    return status;
}

/* ---- information ----------------------------------------------------------------------------- */

static int nibble(char digit) {
    return digit >= '0' && digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
}

static void hex_out(sp_str text, uint8_t *to, size_t size) {
    for (size_t i = 0; i < size && 2 * i + 1 < text.len; i++) {
        to[i] = (uint8_t)(nibble(text.ptr[2 * i]) << 4 | nibble(text.ptr[2 * i + 1]));
    }
}

sp_status sp_client_info(struct sp_client *client, spoor_info *ret_info, struct sp_error *error) {
    struct sp_answer answer;
    const sp_str args[] = {SP_STR("SPOOR.INFO")};
    sp_status status = sp_client_call(client, args, 1, 0, &answer, error);
    if (status != SP_OK) {
        return status;
    }
    const struct sp_reply_node *map = sp_answer_node(&answer);
    spoor_info info = {
        .size = sizeof(info),
        .first_position = sp_answer_u64(sp_reply_find(map, "first_position")),
        .last_position = sp_answer_u64(sp_reply_find(map, "last_position")),
        .stream_count = sp_answer_u64(sp_reply_find(map, "stream_count")),
        .bytes_on_disk = sp_answer_u64(sp_reply_find(map, "bytes_on_disk")),
        .tree_size = sp_answer_u64(sp_reply_find(map, "tree_size")),
        .segments_sealed = (uint32_t)sp_answer_u64(sp_reply_find(map, "segments_sealed")),
        .segments_waiting = (uint32_t)sp_answer_u64(sp_reply_find(map, "segments_waiting")),
        .bytes_sealed = sp_answer_u64(sp_reply_find(map, "bytes_sealed")),
        .events_sealed = sp_answer_u64(sp_reply_find(map, "events_sealed")),
    };
    hex_out(sp_answer_text(sp_reply_find(map, "tree_root")), info.tree_root,
            sizeof(info.tree_root));
    hex_out(sp_answer_text(sp_reply_find(map, "uuid")), info.uuid, sizeof(info.uuid));
    *ret_info = info;
    sp_answer_fini(&answer);
    return SP_OK;
}
