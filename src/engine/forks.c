#include "engine/forks.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/time.h"
#include "engine/query_int.h"
#include "record/entry_id.h"

#define FORKED_TYPE      "run.forked"
#define FORKED_STREAM    "$runs"
#define FORK_OF          "forkof"
#define FORK_POSITION    "forkposition"
#define FORKED_FROM      "forkedfrom"
#define STEP_TYPE_PREFIX "agent.step."

enum { NUMBER_BYTES = 24, TEXT_BYTES = 64 << 10, COPIED_EXTENSIONS_MAX = SP_EVENT_EXTENSIONS_MAX };

/*
 * ---- what a fork shares
 * ---------------------------------------------------------------------------
 */

static const struct sp_extension *find_extension(const struct sp_event *event, sp_str name) {
    for (uint16_t i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, name)) {
            return &event->extensions[i];
        }
    }
    return NULL;
}

/* A number of digits alone; false where it is none, or too large. */
static bool read_position(sp_str text, uint64_t *ret_position) {
    uint64_t position = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.ptr[i] - '0';
        if (digit > 9 || position > (UINT64_MAX - digit) / 10) {
            return false;
        }
        position = position * 10 + digit;
    }
    *ret_position = position;
    return text.len > 0;
}

bool sp_fork_read(const struct sp_event *event, struct sp_fork *ret_fork) {
    if (!sp_str_eq(event->attr[SP_ATTR_TYPE], SP_STR(FORKED_TYPE)) ||
        !sp_str_eq(event->attr[SP_ATTR_STREAM], SP_STR(FORKED_STREAM))) {
        return false;
    }
    const struct sp_extension *of = find_extension(event, SP_STR(FORK_OF));
    const struct sp_extension *until = find_extension(event, SP_STR(FORK_POSITION));
    uint64_t position = 0;
    if (of == NULL || until == NULL || !read_position(until->value, &position)) {
        return false;
    }
    *ret_fork = (struct sp_fork){.of = of->value, .until = position};
    return true;
}

/* Where the first event of a fork with this id may stand; 0: nowhere. */
struct place {
    uint64_t positions[8]; /* more hashes than this do not collide */
    size_t count;
};

static bool note_place(void *context, uint64_t position, enum sp_index_role role) {
    struct place *place = context;
    (void)role;
    if (place->count < sizeof(place->positions) / sizeof(place->positions[0])) {
        place->positions[place->count++] = position;
    }
    return true;
}

static sp_status find_places(struct sp_engine *engine, sp_str run, struct place *ret_place) {
    uint64_t hash;
    enum sp_index_role role = sp_index_hash_unique(SP_STR("spoor"), run, &hash);
    ret_place->count = 0;
    engine_enter(engine);
    sp_status status = sp_index_find_id(
        engine->index, hash, role, 0, engine->progress.durable_position + 1, note_place, ret_place);
    engine_leave(engine);
    return status;
}

/* What the run shares; false: it is no fork. The event is the cursor's. */
static sp_status find_fork(struct sp_cursor *cursor, sp_str run, bool *ret_is_fork,
                           struct sp_fork *ret_fork, struct sp_error *error) {
    struct place place;
    *ret_is_fork = false;
    sp_status status = find_places(cursor->engine, run, &place);
    if (status != SP_OK) {
        return sp_error_set(error, status, "what the run shares: %s", sp_status_text(status));
    }
    for (size_t i = 0; i < place.count && status == SP_OK; i++) {
        status = cursor_fetch(cursor, place.positions[i], error);
        if (status == SP_OK && sp_str_eq(cursor->event.attr[SP_ATTR_ID], run) &&
            sp_str_eq(cursor->event.attr[SP_ATTR_CORRELATION], run) &&
            sp_fork_read(&cursor->event, ret_fork)) {
            *ret_is_fork = true;
            return SP_OK;
        }
    }
    return status == SP_NOT_FOUND || status == SP_CORRUPT ? SP_OK : status; /* dropped, damaged */
}

static sp_status add_share(struct sp_cursor *cursor, const struct sp_fork *fork, uint64_t limit,
                           struct sp_error *error) {
    struct share *shares =
        realloc(cursor->shares, (cursor->share_count + 1) * sizeof(*cursor->shares));
    if (shares == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "query");
    }
    cursor->shares = shares;
    cursor->shares[cursor->share_count++] =
        (struct share){.offset = cursor->share_text.len,
                       .len = fork->of.len,
                       .until = fork->until < limit ? fork->until : limit};
    sp_buf_add_str(&cursor->share_text, fork->of);
    return cursor->share_text.status == SP_OK
               ? SP_OK
               : sp_error_set(error, cursor->share_text.status, "query");
}

sp_status cursor_find_shares(struct sp_cursor *cursor, struct sp_error *error) {
    bool is_fork = false;
    struct sp_fork fork;
    sp_status status = find_fork(cursor, cursor->correlation, &is_fork, &fork, error);
    uint64_t limit = UINT64_MAX;
    while (status == SP_OK && is_fork && cursor->share_count < SP_FORK_DEPTH_MAX) {
        status = add_share(cursor, &fork, limit, error);
        if (status == SP_OK) {
            size_t last = cursor->share_count - 1;
            limit = cursor->shares[last].until;
            status = find_fork(cursor, cursor_share_run(cursor, last), &is_fork, &fork, error);
        }
    }
    return status;
}

/*
 * ---- forking
 * --------------------------------------------------------------------------------------
 */

/* A fork that is made: what it reads, and the texts of what it appends. */
struct forking {
    struct sp_engine *engine;
    const struct sp_run_fork *fork;
    struct sp_error *error;
    struct sp_cursor *cursor; /* its event is the one to go on from */
    uint64_t shared;
    sp_str shared_id;   /* of the event at that position; in text */
    struct sp_buf text; /* slices of it are taken when it is finished */
    struct sp_event events[2];
};

static sp_status refuse_missing(struct forking *f, const char *what, sp_str id) {
    return sp_error_set(f->error, SP_NOT_FOUND, "%s '%.*s' is no event of the run '%.*s'", what,
                        SP_STR_ARG(id), SP_STR_ARG(f->fork->run));
}

/* Opens a cursor whose event is that at the position; SP_END: it is not of the run. */
static sp_status read_in_run(struct forking *f, uint64_t position) {
    char text[NUMBER_BYTES];
    struct sp_buf number;
    sp_buf_init(&number, NUMBER_BYTES);
    sp_buf_add_u64(&number, position);
    size_t len = number.len < sizeof(text) ? number.len : 0;
    memcpy(text, number.data, len);
    sp_buf_fini(&number);
    const struct sp_query query = {
        .correlation = f->fork->run, .from = sp_str_of(text, len), .until = sp_str_of(text, len)};
    const struct sp_event *event = NULL;
    sp_cursor_close(f->cursor);
    f->cursor = NULL;
    sp_status status = sp_cursor_open(f->engine, &query, &f->cursor, f->error);
    return status == SP_OK ? sp_cursor_next(f->cursor, &event, f->error) : status;
}

/* The same for an event by its id: of several the first that is of the run. */
static sp_status read_id_in_run(struct forking *f, const char *what, sp_str id) {
    struct sp_cursor *found = NULL;
    sp_status status = sp_cursor_find(f->engine, id, (sp_str){.ptr = NULL}, &found, f->error);
    if (status == SP_NOT_FOUND) {
        return refuse_missing(f, what, id);
    }
    const struct sp_event *event = NULL;
    while (status == SP_OK && (status = sp_cursor_next(found, &event, f->error)) == SP_OK) {
        status = read_in_run(f, event->position);
        if (status != SP_END) {
            break;
        }
        status = SP_OK;
    }
    sp_cursor_close(found);
    return status == SP_END ? refuse_missing(f, what, id) : status;
}

static sp_status find_point(struct forking *f) {
    uint64_t position = 0;
    if (!read_position(f->fork->at, &position)) {
        return read_id_in_run(f, "at:", f->fork->at);
    }
    sp_status status = read_in_run(f, position);
    return status == SP_END ? refuse_missing(f, "at: position", f->fork->at) : status;
}

/* The event to go on from: that named, or what was handled when a step was recorded. */
static sp_status find_origin(struct forking *f) {
    const sp_str *attr = f->cursor->event.attr;
    if (sp_str_starts_with(attr[SP_ATTR_TYPE], SP_STR(STEP_TYPE_PREFIX))) {
        if (attr[SP_ATTR_CAUSATION].ptr == NULL) {
            return sp_error_set(f->error, SP_INVALID,
                                "event %llu records a step of nothing: it has no causationid",
                                (unsigned long long)f->shared);
        }
        size_t at = f->text.len;
        sp_buf_add_str(&f->text, attr[SP_ATTR_CAUSATION]);
        sp_str cause = sp_str_of(f->text.data + at, f->text.len - at);
        sp_status status = read_id_in_run(f, "what the step belongs to:", cause);
        if (status != SP_OK) {
            return status;
        }
        attr = f->cursor->event.attr;
    }
    sp_str stream = attr[SP_ATTR_STREAM];
    if (sp_str_starts_with(stream, SP_STR("saga:"))) {
        return sp_error_set(f->error, SP_INVALID,
                            "event %llu is a saga's: fork the saga (spoor saga fork)",
                            (unsigned long long)f->cursor->event.position);
    }
    if (sp_str_starts_with(stream, SP_STR("$"))) {
        return sp_error_set(f->error, SP_INVALID,
                            "event %llu was told by the store itself: name one that an agent "
                            "handles, or a step of it",
                            (unsigned long long)f->cursor->event.position);
    }
    return SP_OK;
}

/* ---- the events ---- */

static bool is_of_the_original(sp_str name) {
    static const char *const NAMES[] = {FORKED_FROM, FORK_POSITION, SP_OWN_ID_NAME, "deliverat",
                                        "delayedposition"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (sp_str_eq(name, sp_str_from(NAMES[i]))) {
            return true;
        }
    }
    return false;
}

static void add_extension(struct sp_event *event, const char *name, sp_str value,
                          enum sp_value_kind kind) {
    event->extensions[event->extension_count++] =
        (struct sp_extension){.name = sp_str_from(name), .value = value, .kind = kind};
}

/* The event to go on from, as it is to be published in the fork. */
static sp_status fill_copy(struct forking *f, sp_str run, sp_str position, struct sp_event *to) {
    const struct sp_event *from = &f->cursor->event;
    *to = (struct sp_event){
        .data = from->data, .has_data = from->has_data, .data_is_json = from->data_is_json};
    memcpy(to->attr, from->attr, sizeof(to->attr));
    to->attr[SP_ATTR_ID] = (sp_str){.ptr = NULL};
    to->attr[SP_ATTR_CORRELATION] = run;
    to->attr[SP_ATTR_CAUSATION] = run; /* the id of run.forked */
    for (uint16_t i = 0; i < from->extension_count; i++) {
        if (!is_of_the_original(from->extensions[i].name)) {
            to->extensions[to->extension_count++] = from->extensions[i];
        }
    }
    if (to->extension_count + 2 > COPIED_EXTENSIONS_MAX) {
        return sp_error_set(f->error, SP_LIMIT,
                            "event %llu has so many attributes that there is no room for "
                            "forkedfrom and forkposition",
                            (unsigned long long)from->position);
    }
    add_extension(to, FORKED_FROM, from->attr[SP_ATTR_ID], SP_VALUE_STRING);
    add_extension(to, FORK_POSITION, position, SP_VALUE_JSON);
    return SP_OK;
}

static void add_text(struct sp_buf *to, const char *name, sp_str value) {
    if (value.len > 0) {
        sp_buf_add_byte(to, ',');
        sp_json_add_string(to, sp_str_from(name));
        sp_buf_add_byte(to, ':');
        sp_json_add_string(to, value);
    }
}

static void add_data(struct forking *f, struct sp_buf *to) {
    sp_buf_add_str(to, SP_STR("{\"fork_position\":"));
    sp_buf_add_u64(to, f->shared);
    add_text(to, "fork_of", f->fork->run);
    add_text(to, "fork_event", f->shared_id);
    add_text(to, "goes_on_from", f->cursor->event.attr[SP_ATTR_ID]);
    add_text(to, "by", f->fork->by);
    add_text(to, "reason", f->fork->reason);
    sp_buf_add_byte(to, '}');
}

static sp_status append_events(struct forking *f, sp_str run, struct sp_run_forked *forked) {
    struct sp_engine_result results[2];
    size_t data_at = f->text.len;
    add_data(f, &f->text);
    size_t number_at = f->text.len;
    sp_buf_add_u64(&f->text, f->shared);
    if (f->text.status != SP_OK) {
        return sp_error_set(f->error, f->text.status, "fork");
    }
    sp_str number = sp_str_of(f->text.data + number_at, f->text.len - number_at);
    struct sp_event *first = &f->events[0];
    *first = (struct sp_event){
        .data = sp_str_of(f->text.data + data_at, number_at - data_at),
        .has_data = true,
        .data_is_json = true,
    };
    first->attr[SP_ATTR_TYPE] = SP_STR(FORKED_TYPE);
    first->attr[SP_ATTR_SOURCE] = SP_STR("spoor");
    first->attr[SP_ATTR_STREAM] = SP_STR(FORKED_STREAM);
    first->attr[SP_ATTR_ID] = run;
    first->attr[SP_ATTR_CORRELATION] = run;
    first->attr[SP_ATTR_CAUSATION] = f->cursor->event.attr[SP_ATTR_ID];
    add_extension(first, FORK_OF, f->fork->run, SP_VALUE_STRING);
    add_extension(first, FORK_POSITION, number, SP_VALUE_JSON);
    sp_status status = fill_copy(f, run, number, &f->events[1]);
    if (status != SP_OK) {
        return status;
    }
    const struct sp_engine_append append = {
        .events = f->events, .count = 2, .origin = SP_EVENT_FROM_JSON, .results = results};
    status = sp_engine_submit(f->engine, &append, f->error);
    if (status == SP_OK) {
        forked->position = results[0].position;
        forked->event_position = results[1].position;
        forked->shared = f->shared;
    }
    return status;
}

/* ---- the new run ---- */

static void make_run_id(struct sp_engine *engine, char *to) {
    uint8_t id[16];
    engine_make_id(engine, engine->options.clock.wall_us(engine->options.clock.context), id);
    sp_uuid_format(id, to);
}

/* Whether the id is free; *ret_duplicate: this very fork is there. */
static sp_status check_new(struct forking *f, sp_str run, struct sp_run_forked *forked) {
    const struct sp_query query = {.correlation = run, .own = true, .limit = 1};
    const struct sp_event *event = NULL;
    struct sp_cursor *cursor = NULL;
    uint64_t position = 0;
    sp_status status = sp_engine_find(f->engine, SP_STR("spoor"), run, &position, f->error);
    if (status != SP_OK) {
        return status;
    }
    status = sp_cursor_open(f->engine, &query, &cursor, f->error);
    status = status == SP_OK ? sp_cursor_next(cursor, &event, f->error) : status;
    struct sp_fork fork;
    if (status == SP_OK && sp_fork_read(event, &fork) && sp_str_eq(fork.of, f->fork->run)) {
        forked->duplicate = true;
        forked->position = event->position;
        forked->shared = fork.until;
        forked->event_position = event->position + 1;
    } else if (status == SP_OK || (status == SP_END && position != 0)) {
        status =
            sp_error_set(f->error, SP_CONFLICT, "there is a run '%.*s' already", SP_STR_ARG(run));
    }
    sp_cursor_close(cursor);
    return status == SP_END ? SP_OK : status;
}

static sp_status check_texts(const struct sp_run_fork *fork, struct sp_error *error) {
    const struct {
        const char *name;
        sp_str text;
        size_t max;
        bool needed;
    } rows[] = {{"run", fork->run, SP_FORK_TEXT_BYTES_MAX, true},
                {"at", fork->at, SP_FORK_TEXT_BYTES_MAX, true},
                {"id", fork->id, SP_FORK_RUN_BYTES_MAX, false},
                {"by", fork->by, SP_FORK_TEXT_BYTES_MAX, false},
                {"reason", fork->reason, SP_FORK_TEXT_BYTES_MAX, false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].needed && rows[i].text.len == 0) {
            return sp_error_set(error, SP_INVALID,
                                "%s is missing: expected a position or the id of an event",
                                rows[i].name);
        }
        if (rows[i].text.len > rows[i].max) {
            return sp_error_set(error, SP_INVALID, "%s: more than %zu bytes", rows[i].name,
                                rows[i].max);
        }
    }
    return SP_OK;
}

static sp_status check_depth(struct forking *f) {
    return f->cursor->share_count < SP_FORK_DEPTH_MAX
               ? SP_OK
               : sp_error_set(f->error, SP_LIMIT, "at most %d forks of forks", SP_FORK_DEPTH_MAX);
}

static sp_status make_fork(struct forking *f, sp_str run, struct sp_run_forked *forked) {
    sp_status status = check_new(f, run, forked);
    if (status != SP_OK || forked->duplicate) {
        return status;
    }
    status = find_point(f);
    status = status == SP_OK ? check_depth(f) : status;
    if (status != SP_OK) {
        return status;
    }
    f->shared = f->cursor->event.position;
    size_t id_at = f->text.len;
    sp_buf_add_str(&f->text, f->cursor->event.attr[SP_ATTR_ID]);
    size_t id_len = f->text.len - id_at;
    status = find_origin(f);
    f->shared_id = sp_str_of(f->text.data + id_at, id_len);
    return status == SP_OK ? append_events(f, run, forked) : status;
}

sp_status sp_run_fork(struct sp_engine *engine, const struct sp_run_fork *fork,
                      struct sp_run_forked *ret_forked, struct sp_error *error) {
    struct sp_run_forked forked = {.position = 0};
    sp_status status = check_texts(fork, error);
    if (status != SP_OK) {
        return status;
    }
    if (fork->id.len > 0) {
        memcpy(forked.run, fork->id.ptr, fork->id.len);
    } else {
        make_run_id(engine, forked.run);
    }
    struct forking *f = calloc(1, sizeof(*f));
    if (f == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "fork");
    }
    f->engine = engine;
    f->fork = fork;
    f->error = error;
    sp_buf_init(&f->text, TEXT_BYTES);
    /* Slices are taken while texts are added: all of it is reserved, so that it never moves. */
    status = sp_buf_reserve(&f->text, TEXT_BYTES) != NULL
                 ? make_fork(f, sp_str_from(forked.run), &forked)
                 : sp_error_set(error, SP_NO_MEMORY, "fork");
    sp_cursor_close(f->cursor);
    sp_buf_fini(&f->text);
    free(f);
    if (status == SP_OK) {
        *ret_forked = forked;
    }
    return status;
}
