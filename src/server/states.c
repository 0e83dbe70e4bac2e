#include "server/states.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "project/projects.h"
#include "project/sinks.h"
#include "project/travel_answer.h"
#include "project/upcast.h"

enum {
    PATH_SIZE = 4352,
    TEXTS_BYTES_MAX = 16 << 10, /* said between two turns; what is more is lost */
};

/*
 * ---- what they are made with
 * ----------------------------------------------------------------------
 */

/* What other threads have said, for the loop's log. */
struct saying {
    pthread_mutex_t mutex;
    struct sp_buf texts; /* each with a NUL */
    _Atomic bool news;
};

/* On any thread. */
static void say(void *context, const char *text) {
    struct saying *saying = context;
    pthread_mutex_lock(&saying->mutex);
    sp_buf_add(&saying->texts, text, strlen(text) + 1);
    pthread_mutex_unlock(&saying->mutex);
    atomic_store(&saying->news, true);
}

static bool on_turn(struct sp_server *server, void *context) {
    struct saying *saying = context;
    if (!atomic_exchange(&saying->news, false)) {
        return false;
    }
    pthread_mutex_lock(&saying->mutex);
    for (size_t at = 0; at < saying->texts.len;) {
        sp_str text = sp_str_from((const char *)saying->texts.data + at);
        sp_say(&server->logger, SP_LEVEL_WARN, "time travel", SP_FIELD_TEXT("text", text));
        at += text.len + 1;
    }
    sp_buf_reset(&saying->texts);
    pthread_mutex_unlock(&saying->mutex);
    return false;
}

static void saying_free(struct saying *saying) {
    sp_buf_fini(&saying->texts);
    pthread_mutex_destroy(&saying->mutex);
    free(saying);
}

static void on_fini(struct sp_server *server, void *context) {
    sp_travel_close(server->travel);
    server->travel = NULL;
    (void)on_turn(server, context);
    saying_free(context);
}

static sp_status open_travel(struct sp_server *server, struct saying *saying,
                             struct sp_error *error) {
    const struct sp_settings *settings = &server->settings;
    char folder[PATH_SIZE];
    int len = snprintf(folder, sizeof(folder), "%s/projections",
                       sp_settings_text(settings, SP_SET_DATA).ptr);
    if (len < 0 || (size_t)len >= sizeof(folder)) {
        return sp_error_set(error, SP_LIMIT, "the data folder's path is too long");
    }
    const struct sp_travel_options options = {
        .engine = server->engine,
        .folder = folder,
        .threads = true,
        .copies = !sp_sink_is_remote(sp_settings_text(settings, SP_SET_READ_MODELS)),
        .clock = server->clock,
        .snapshot_bytes_max = sp_settings_u64(settings, SP_SET_SNAPSHOT_BYTES),
        .upcast = server->upcasters != NULL ? sp_upcast : NULL,
        .upcast_context = server->upcasters,
        .say = say,
        .say_context = saying,
    };
    return sp_travel_open(&options, &server->travel, error);
}

sp_status sp_states_init(struct sp_server *server, struct sp_error *error) {
    struct saying *saying = calloc(1, sizeof(*saying));
    if (saying == NULL || pthread_mutex_init(&saying->mutex, NULL) != 0) {
        free(saying);
        return sp_error_set(error, SP_NO_MEMORY, "states");
    }
    sp_buf_init(&saying->texts, TEXTS_BYTES_MAX);
    sp_status status = open_travel(server, saying, error);
    if (status != SP_OK) {
        saying_free(saying);
        return status;
    }
    const struct sp_server_hooks hooks = {.turn = on_turn, .fini = on_fini, .context = saying};
    sp_server_hook(server, &hooks);
    return SP_OK;
}

/*
 * ---- questions
 * ------------------------------------------------------------------------------------
 */

static sp_status take(sp_str *to, sp_str name, sp_str value, struct sp_error *error) {
    if (to->len > 0) {
        return sp_error_set(error, SP_INVALID, "%.*s is there twice", SP_STR_ARG(name));
    }
    if (value.len == 0) {
        return sp_error_set(error, SP_INVALID, "%.*s is empty", SP_STR_ARG(name));
    }
    *to = value;
    return SP_OK;
}

static sp_status take_timeout(struct sp_state_words *words, sp_str value, struct sp_error *error) {
    int64_t number = 0;
    if (!sp_word_i64(value, &number) || number < 1) {
        return sp_error_set(error, SP_INVALID, "timeout: expected milliseconds");
    }
    words->timeout_ms = (uint64_t)number;
    return SP_OK;
}

bool sp_state_words_add(struct sp_state_words *words, sp_str name, sp_str value,
                        sp_status *ret_status, struct sp_error *error) {
    const struct {
        const char *name;
        sp_str *to;
    } TEXTS[] = {{"projection", &words->projection},
                 {"by", &words->by},
                 {"diff", &words->diff},
                 {"table", &words->table},
                 {"sql", &words->sql}};
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(*TEXTS); i++) {
        if (sp_word_is(name, TEXTS[i].name)) {
            *ret_status = take(TEXTS[i].to, name, value, error);
            return true;
        }
    }
    if (sp_word_is(name, "timeout") || sp_word_is(name, "timeout_ms")) {
        *ret_status = take_timeout(words, value, error);
        return true;
    }
    return false;
}

/* A state that is to be made, and everything that it takes. */
struct state_work {
    struct sp_query_work work; /* first */
    struct sp_travel *travel;
    struct sp_definition *definition;
    struct sp_travel_question question; /* texts in `room` */
    enum sp_rows_form form;
    struct sp_buf room;
    sp_str types[SP_QUERY_TYPES_MAX];
};

static void work_free(struct sp_query_work *base) {
    struct state_work *work = (struct state_work *)(void *)base;
    sp_definition_unref(work->definition);
    sp_buf_fini(&work->room);
    free(work);
}

static sp_status work_run(struct sp_query_work *base, uint64_t timeout_ms, const atomic_bool *stop,
                          struct sp_buf *to, struct sp_sql_done *done, struct sp_error *error) {
    struct state_work *work = (struct state_work *)(void *)base;
    work->question.ask.timeout_ms = timeout_ms;
    work->question.ask.stop = stop;
    return sp_travel_text(work->travel, &work->question, work->form, to, &done->cut, error);
}

static sp_str keep(struct state_work *work, sp_str text) {
    size_t from = work->room.len;
    if (text.ptr == NULL) {
        return text;
    }
    sp_buf_add_str(&work->room, text);
    return sp_str_of(work->room.data + from, text.len);
}

/* Copies all that is borrowed into room that has been reserved. */
static sp_status keep_all(struct state_work *work, const struct sp_state_words *words) {
    const struct sp_query *from = &words->words.query;
    struct sp_travel_question *question = &work->question;
    struct sp_query *query = &question->ask.query;
    size_t bytes = from->source.len + from->stream.len + from->correlation.len + from->filter.len +
                   from->from.len + from->until.len + words->diff.len + words->table.len +
                   words->sql.len + 1;
    for (size_t i = 0; i < from->type_count; i++) {
        bytes += from->types[i].len;
    }
    sp_buf_init(&work->room, bytes);
    if (sp_buf_reserve(&work->room, bytes) == NULL) {
        return SP_NO_MEMORY;
    }
    for (size_t i = 0; i < from->type_count; i++) {
        work->types[i] = keep(work, from->types[i]);
    }
    *query = *from;
    query->types = work->types;
    query->source = keep(work, from->source);
    query->stream = keep(work, from->stream);
    query->correlation = keep(work, from->correlation);
    query->filter = keep(work, from->filter);
    query->from = keep(work, from->from);
    query->until = keep(work, from->until);
    question->diff = keep(work, words->diff);
    question->table = keep(work, words->table);
    question->sql = keep(work, words->sql);
    return SP_OK;
}

static sp_status read_by(sp_str by, bool *ret_by_recorded, struct sp_error *error) {
    *ret_by_recorded = sp_word_is(by, "recorded");
    return by.len == 0 || *ret_by_recorded || sp_word_is(by, "own")
               ? SP_OK
               : sp_error_set(error, SP_INVALID, "by: expected own or recorded");
}

static sp_status fill(struct state_work *work, const struct sp_state_words *words,
                      struct sp_error *error) {
    struct sp_travel_question *question = &work->question;
    question->ask.definition = work->definition;
    sp_status status = keep_all(work, words);
    if (status != SP_OK) {
        return sp_error_set(error, status, "a state");
    }
    status = read_by(words->by, &question->ask.by_recorded, error);
    return status == SP_OK ? sp_travel_question_split(question, error) : status;
}

sp_status sp_states_ask(struct sp_server *server, const struct sp_state_words *words,
                        enum sp_query_form form, struct sp_query_ask *ret_ask,
                        struct sp_error *error) {
    if (server->projects == NULL) {
        return sp_error_set(error, SP_UNSUPPORTED,
                            "this server runs no projections: the setting projections is off");
    }
    struct sp_definition *definition = sp_projects_definition(server->projects, words->projection);
    if (definition == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "there is no projection '%.*s'",
                            SP_STR_ARG(words->projection));
    }
    struct state_work *work = calloc(1, sizeof(*work));
    if (work == NULL) {
        sp_definition_unref(definition);
        return sp_error_set(error, SP_NO_MEMORY, "a state");
    }
    work->work = (struct sp_query_work){.run = work_run, .free = work_free};
    work->travel = server->travel;
    work->definition = definition;
    work->form = form == SP_QUERY_NDJSON ? SP_ROWS_NDJSON
                 : form == SP_QUERY_CSV  ? SP_ROWS_CSV
                                         : SP_ROWS_JSON;
    sp_status status = fill(work, words, error);
    if (status != SP_OK) {
        work_free(&work->work);
        return status;
    }
    work->question.bytes_max = sp_settings_u64(&server->settings, SP_SET_QUERY_BYTES_MAX);
    *ret_ask = (struct sp_query_ask){
        .form = form,
        .sql = {.timeout_ms = words->timeout_ms, .rows_max = work->question.rows_max},
        .work = &work->work,
    };
    return SP_OK;
}
