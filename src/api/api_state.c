/*
 * States: read models as they were. Over a folder they are made here and now, over a server there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_int.h"
#include "client/query.h"
#include "project/projects.h"
#include "project/shipped.h"
#include "project/sqlite.h"
#include "project/travel_answer.h"
#include "project/upcast.h"
#include "proto/resp_write.h"

enum {
    PATH_SIZE = 4352,
    TEXT_BYTES_MAX = 512 << 20,
    COMMAND_BYTES_MAX = 32 << 20,
    TIMEOUT_MS_MAX = 3600000,
};

#define SNAPSHOT_BYTES_MAX (UINT64_C(1) << 30)

static sp_status check(const spoor_state_options *options, struct sp_error *error) {
    if (options == NULL || options->size != sizeof(*options)) {
        return sp_error_set(error, SP_INVALID, "options: begin with SPOOR_STATE_INIT");
    }
    if (options->projection == NULL) {
        return sp_error_set(error, SP_INVALID, "a state is of a projection: none is named");
    }
    if (options->timeout_ms > TIMEOUT_MS_MAX) {
        return sp_error_set(error, SP_INVALID, "timeout_ms: at most %d", TIMEOUT_MS_MAX);
    }
    return SP_OK;
}

/*
 * ---- over a folder
 * --------------------------------------------------------------------------------
 */

/* What a state is made with. */
struct room {
    char folder[PATH_SIZE]; /* of read models */
    struct sp_sink *sink;
    bool read_only; /* others have the folder: nothing is left there */
    struct sp_projects *projects;
    struct sp_upcasters *upcasters;
    struct sp_travel *travel;
    struct sp_definition *definition;
};

/* A place for read models that has none: to look into the catalog of a store without a folder. */
static sp_status no_builds(struct sp_sink *sink, sp_sink_build_fn *each, void *context,
                           struct sp_error *error) {
    (void)sink;
    (void)each;
    (void)context;
    (void)error;
    return SP_OK;
}

static void no_close(struct sp_sink *sink) {
    (void)sink;
}

static const struct sp_sink_ops no_sink_ops = {.builds = no_builds, .close = no_close};

static sp_status open_sink(struct room *room, struct sp_sink *none, struct sp_error *error) {
    struct sp_sqlite_options options = {.folder = room->folder, .clock = sp_clock_system()};
    sp_status status = sp_sqlite_sink_open(&options, &room->sink, error);
    if (status != SP_OK) { /* a server has it, or it cannot be written: what is there is used */
        room->read_only = true;
        options.read_only = true;
        status = sp_sqlite_sink_open(&options, &room->sink, error);
    }
    if (status == SP_NOT_FOUND) {
        none->ops = &no_sink_ops;
        room->sink = none;
        status = SP_OK;
    }
    return status;
}

static sp_status open_projects(spoor *store, struct room *room, const char *name,
                               struct sp_error *error) {
    const struct sp_projects_options options = {
        .engine = store->engine,
        .sink = room->sink,
        .sink_read_only = true,
        .clock = sp_clock_system(),
        .shipped = sp_shipped_projections,
        .shipped_count = sp_shipped_projection_count,
    };
    sp_status status = sp_projects_new(&options, &room->projects, error);
    if (status != SP_OK) {
        return status;
    }
    room->definition = sp_projects_definition(room->projects, sp_str_from(name));
    return room->definition != NULL
               ? SP_OK
               : sp_error_set(error, SP_NOT_FOUND, "there is no projection '%s'", name);
}

static sp_status open_upcasters(spoor *store, struct room *room, struct sp_error *error) {
    const struct sp_upcasters_options options = {.check = NULL};
    sp_status status = sp_upcasters_new(&options, &room->upcasters, error);
    return status == SP_OK ? sp_upcasters_load(room->upcasters, store->engine, error) : status;
}

static sp_status open_travel(spoor *store, struct room *room, struct sp_error *error) {
    const struct sp_travel_options options = {
        .engine = store->engine,
        .folder = room->folder,
        .read_only = room->read_only,
        .clock = sp_clock_system(),
        .snapshot_bytes_max = SNAPSHOT_BYTES_MAX,
        .upcast = sp_upcast,
        .upcast_context = room->upcasters,
    };
    return sp_travel_open(&options, &room->travel, error);
}

static sp_status room_open(spoor *store, const char *name, struct room *room, struct sp_sink *none,
                           struct sp_error *error) {
    int len = snprintf(room->folder, sizeof(room->folder), "%s/projections", store->folder);
    if (len < 0 || (size_t)len >= sizeof(room->folder)) {
        return sp_error_set(error, SP_LIMIT, "the data folder's path is too long");
    }
    sp_status status = open_sink(room, none, error);
    status = status == SP_OK ? open_projects(store, room, name, error) : status;
    status = status == SP_OK ? open_upcasters(store, room, error) : status;
    return status == SP_OK ? open_travel(store, room, error) : status;
}

static void room_close(struct room *room) {
    sp_travel_close(room->travel);
    sp_upcasters_free(room->upcasters);
    sp_definition_unref(room->definition);
    sp_projects_free(room->projects); /* and the sink */
}

static sp_status answer_in(spoor *store, const spoor_state_options *options, struct sp_buf *to,
                           struct sp_error *error) {
    struct room room = {.sink = NULL};
    struct sp_sink none;
    struct sp_travel_question question = {
        .diff = sp_str_from(options->diff),
        .table = sp_str_from(options->table),
        .sql = sp_str_from(options->sql),
        .bytes_max = TEXT_BYTES_MAX,
        .ask = {.by_recorded = options->by_recorded != 0, .timeout_ms = options->timeout_ms},
    };
    sp_str *types = NULL;
    bool cut;
    sp_status status = api_query_in(options->query, &question.ask.query, &types, error);
    if (status == SP_OK) {
        status = sp_travel_question_split(&question, error);
    }
    status = status == SP_OK ? room_open(store, options->projection, &room, &none, error) : status;
    if (status == SP_OK) {
        question.ask.definition = room.definition;
        status = sp_travel_text(room.travel, &question, SP_ROWS_JSON, to, &cut, error);
    }
    room_close(&room);
    free(types);
    return status;
}

/*
 * ---- over a server
 * --------------------------------------------------------------------------------
 */

static void add_word(struct sp_query_text *text, const char *name, const char *value) {
    struct sp_resp resp = {.to = &text->words, .version = SP_RESP_3};
    if (value != NULL) {
        sp_resp_bulk_text(&resp, name);
        sp_resp_bulk_text(&resp, value);
        text->count += 2;
    }
}

/* SPOOR.STATE projection, and words. */
static sp_status encode(const spoor_state_options *options, struct sp_buf *to,
                        struct sp_error *error) {
    struct sp_query_text text;
    char timeout[16];
    sp_status status = sp_query_text_init(&text, options->query, error);
    if (status == SP_OK) {
        (void)snprintf(timeout, sizeof(timeout), "%u", options->timeout_ms);
        add_word(&text, "PROJECTION", options->projection);
        add_word(&text, "DIFF", options->diff);
        add_word(&text, "TABLE", options->table);
        add_word(&text, "SQL", options->sql);
        add_word(&text, "BY", options->by_recorded != 0 ? "recorded" : NULL);
        add_word(&text, "TIMEOUT", options->timeout_ms != 0 ? timeout : NULL);
        const struct sp_query_window window = {.from = text.from,
                                               .until = text.until,
                                               .limit = text.limit,
                                               .version = text.from_version,
                                               .reverse = text.reverse,
                                               .no_raw = true};
        sp_query_encode(to, "SPOOR.STATE", &text, &window);
        status = text.words.status != SP_OK ? text.words.status : to->status;
    }
    sp_query_text_fini(&text);
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "the question is too large");
}

static sp_status answer_from(spoor *store, const spoor_state_options *options, spoor_text_fn *take,
                             void *context, struct sp_error *error) {
    struct sp_buf command;
    struct sp_answer answer;
    sp_buf_init(&command, COMMAND_BYTES_MAX);
    uint32_t wait_ms = options->timeout_ms != 0 ? options->timeout_ms : SP_TRAVEL_TIMEOUT_MS;
    sp_status status = encode(options, &command, error);
    if (status == SP_OK) {
        status =
            sp_client_call_encoded(store->client, sp_buf_str(&command), wait_ms, &answer, error);
    }
    sp_buf_fini(&command);
    if (status != SP_OK) {
        return status;
    }
    sp_str text = sp_answer_text(sp_answer_node(&answer));
    if (text.ptr != NULL) {
        take(context, text.ptr, text.len);
    } else {
        status = sp_error_set(error, SP_FAILED, "the server's answer makes no sense");
    }
    sp_answer_fini(&answer);
    return status;
}

spoor_status spoor_state(spoor *store, const spoor_state_options *options, spoor_text_fn *take,
                         void *context, spoor_error *ret_error) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = check(options, &error);
    if (status == SP_OK && store->client != NULL) {
        status = answer_from(store, options, take, context, &error);
    } else if (status == SP_OK) {
        struct sp_buf text;
        sp_buf_init(&text, TEXT_BYTES_MAX);
        status = answer_in(store, options, &text, &error);
        if (status == SP_OK) {
            take(context, (const char *)text.data, text.len);
        }
        sp_buf_fini(&text);
    }
    return api_error(status, &error, ret_error);
}
