#include "helper.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int help_end_all(void **state) {
    help_stop_server(false);
    return help_end(state);
}

void help_ok(spoor_status status, const spoor_error *error) {
    if (status != SPOOR_OK) {
        fail_msg("%s: %s", spoor_status_name(status), error->text);
    }
}

void help_refused(spoor_status status, const spoor_error *error, spoor_status expected,
                  const char *piece) {
    if (status != expected || error->status != expected) {
        fail_msg("%s instead of %s: %s", spoor_status_name(status), spoor_status_name(expected),
                 error->text);
    }
    if (piece != NULL && strstr(error->text, piece) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", error->text, piece);
    }
}

static spoor *open_with(const spoor_options *options) {
    spoor *store = NULL;
    spoor_error error;
    help_ok(spoor_open(help_place(), options, &store, &error), &error);
    return store;
}

spoor *help_open(unsigned flags) {
    spoor_options options;
    spoor_options_init(&options);
    options.flags = flags;
    return open_with(&options);
}

spoor *help_open_small(unsigned flags, uint64_t segment_bytes) {
    spoor_options options;
    spoor_options_init(&options);
    options.flags = flags;
    options.segment_bytes_max = segment_bytes;
    return open_with(&options);
}

spoor_event help_event(const char *type, const char *source, const char *data) {
    spoor_event event = SPOOR_EVENT_INIT;
    event.type = spoor_text(type);
    event.source = spoor_text(source);
    event.data = spoor_text(data);
    return event;
}

spoor_appended help_append(spoor *store, const spoor_event *event) {
    spoor_appended appended;
    spoor_error error;
    memset(&appended, 0, sizeof(appended));
    help_ok(spoor_append(store, event, SPOOR_ANY_VERSION, &appended, &error), &error);
    return appended;
}

spoor_appended help_put(spoor *store, const char *type, const char *source, const char *id) {
    spoor_event event = help_event(type, source, NULL);
    event.id = spoor_text(id);
    return help_append(store, &event);
}

void help_append_refused(spoor *store, const spoor_event *event, uint64_t expected_version,
                         spoor_status expected, const char *piece) {
    uint64_t before = help_last_position(store);
    spoor_appended appended = {.position = 4711};
    spoor_error error;
    memset(&error, 0, sizeof(error));
    spoor_status status = spoor_append(store, event, expected_version, &appended, &error);
    help_refused(status, &error, expected, piece);
    assert_int_equal(appended.position, 4711); /* outputs are untouched on failure */
    assert_int_equal(help_last_position(store), before);
}

spoor_info help_info(spoor *store) {
    spoor_info info;
    spoor_error error;
    help_ok(spoor_get_info(store, &info, &error), &error);
    return info;
}

uint64_t help_last_position(spoor *store) {
    return help_info(store).last_position;
}

void help_sealed(spoor *store, uint32_t least) {
    assert_true(help_is_remote() || help_info(store).segments_sealed >= least);
}

void help_seal(spoor *store) {
    enum { TURNS_MAX = 20000 };
    spoor_error error;
    for (int i = 0; i < TURNS_MAX; i++) {
        if (help_info(store).segments_waiting == 0) {
            return;
        }
        (void)spoor_turn(store, 0, &error); /* refused by one with a thread, which turns */
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    fail_msg("%u segments are not sealed", help_info(store).segments_waiting);
}

/*
 * ---- copies
 * ---------------------------------------------------------------------------------------
 */

static size_t text_bytes(const spoor_event *event) {
    size_t total = event->id.len + event->type.len + event->source.len + event->stream.len +
                   event->time.len + event->correlationid.len + event->causationid.len +
                   event->schemaversion.len + event->datacontenttype.len + event->metadata.len +
                   event->data.len;
    for (size_t i = 0; i < event->extension_count; i++) {
        total += event->extensions[i].name.len + event->extensions[i].value.len;
    }
    return total + 1;
}

static spoor_str keep(char **at, spoor_str text) {
    if (text.ptr == NULL) {
        return text;
    }
    spoor_str kept = {*at, text.len};
    memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return kept;
}

static void copy_event(const spoor_event *event, struct help_copy *copy) {
    char *at = copy->text = malloc(text_bytes(event));
    assert_non_null(at);
    copy->event = *event;
    spoor_str *texts[] = {&copy->event.id,          &copy->event.type,
                          &copy->event.source,      &copy->event.stream,
                          &copy->event.time,        &copy->event.correlationid,
                          &copy->event.causationid, &copy->event.schemaversion,
                          &copy->event.metadata,    &copy->event.datacontenttype,
                          &copy->event.data};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        *texts[i] = keep(&at, *texts[i]);
    }
    size_t room = sizeof(copy->extensions) / sizeof(copy->extensions[0]);
    copy->event.extension_count = event->extension_count < room ? event->extension_count : room;
    for (size_t i = 0; i < copy->event.extension_count; i++) {
        copy->extensions[i] = event->extensions[i];
        copy->extensions[i].name = keep(&at, event->extensions[i].name);
        copy->extensions[i].value = keep(&at, event->extensions[i].value);
    }
    copy->event.extensions = NULL;
}

struct help_copies help_drain(spoor_cursor *cursor) {
    struct help_copies copies = {NULL, 0, 0};
    const spoor_event *event = NULL;
    spoor_error error;
    spoor_status status;
    while ((status = spoor_next(cursor, 0, &event, &error)) == SPOOR_OK) {
        if (copies.count == copies.capacity) {
            copies.capacity = copies.capacity == 0 ? 64 : copies.capacity * 2;
            copies.items = realloc(copies.items, copies.capacity * sizeof(*copies.items));
            assert_non_null(copies.items);
        }
        copy_event(event, &copies.items[copies.count++]);
    }
    for (size_t i = 0; i < copies.count; i++) { /* the array has moved until now */
        copies.items[i].event.extensions = copies.items[i].extensions;
    }
    if (status != SPOOR_END && status != SPOOR_TIMEOUT) {
        help_ok(status, &error);
    }
    spoor_cursor_close(cursor);
    return copies;
}

struct help_copies help_read(spoor *store, const spoor_query *query) {
    spoor_cursor *cursor = NULL;
    spoor_error error;
    help_ok(spoor_read(store, query, &cursor, &error), &error);
    return help_drain(cursor);
}

void help_copies_free(struct help_copies *copies) {
    for (size_t i = 0; i < copies->count; i++) {
        free(copies->items[i].text);
    }
    free(copies->items);
    *copies = (struct help_copies){NULL, 0, 0};
}

size_t help_count(spoor *store, const spoor_query *query) {
    struct help_copies copies = help_read(store, query);
    size_t count = copies.count;
    help_copies_free(&copies);
    return count;
}

int help_is(spoor_str text, const char *expected) {
    return help_same_text(text, spoor_text(expected));
}

int help_same_text(spoor_str a, spoor_str b) {
    return (a.ptr == NULL) == (b.ptr == NULL) && a.len == b.len &&
           (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

void help_same_event(const spoor_event *a, const spoor_event *b) {
    assert_int_equal(a->position, b->position);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->recorded_us, b->recorded_us);
    assert_int_equal(a->entry_ms, b->entry_ms);
    assert_int_equal(a->entry_seq, b->entry_seq);
    assert_int_equal(a->data_is_json, b->data_is_json);
    assert_true(help_same_text(a->id, b->id));
    assert_true(help_same_text(a->type, b->type));
    assert_true(help_same_text(a->source, b->source));
    assert_true(help_same_text(a->stream, b->stream));
    assert_true(help_same_text(a->time, b->time));
    assert_true(help_same_text(a->correlationid, b->correlationid));
    assert_true(help_same_text(a->causationid, b->causationid));
    assert_true(help_same_text(a->schemaversion, b->schemaversion));
    assert_true(help_same_text(a->datacontenttype, b->datacontenttype));
    assert_true(help_same_text(a->metadata, b->metadata));
    assert_true(help_same_text(a->data, b->data));
    assert_int_equal(a->extension_count, b->extension_count);
    for (size_t i = 0; i < a->extension_count; i++) {
        assert_true(help_same_text(a->extensions[i].name, b->extensions[i].name));
        assert_true(help_same_text(a->extensions[i].value, b->extensions[i].value));
        assert_int_equal(a->extensions[i].is_json, b->extensions[i].is_json);
    }
}

/*
 * ---- many events
 * ----------------------------------------------------------------------------------
 */

enum { FILL_BATCH = 250, FILL_TEXT = 400 };

static void fill_one(uint64_t *random, char text[5][FILL_TEXT], spoor_event *event) {
    static const char *const types[] = {"task.created",  "task.completed",  "task.failed",
                                        "agent.started", "agent.completed", "agent.a.memory",
                                        "tool.called",   "tool.a.b.c",      "code"};
    static const char *const levels[] = {"low", "medium", "high", "critical"};
    /* A few runs have most of the events, and many have one or two. */
    uint32_t run = help_below(random, 2) ? help_below(random, 5) : 5 + help_below(random, 5000);
    (void)snprintf(text[0], FILL_TEXT, "agent:%u", help_below(random, 7));
    (void)snprintf(text[1], FILL_TEXT, "stream-%u", help_below(random, 300));
    (void)snprintf(text[2], FILL_TEXT, "run-%u", run);
    (void)snprintf(text[3], FILL_TEXT,
                   "{\"n\":%u,\"priority\":\"%s\",\"noise\":\"%016llx%016llx%016llx\"}",
                   help_below(random, 1000), levels[help_below(random, 4)],
                   (unsigned long long)help_random(random), (unsigned long long)help_random(random),
                   (unsigned long long)help_random(random));
    *event = help_event(types[help_below(random, 9)], text[0], text[3]);
    event->stream = spoor_text(text[1]);
    event->correlationid = spoor_text(text[2]);
}

void help_fill(spoor *store, uint64_t seed, size_t count) {
    static char text[FILL_BATCH][5][FILL_TEXT];
    static spoor_event events[FILL_BATCH];
    spoor_error error;
    while (count > 0) {
        size_t batch = count < FILL_BATCH ? count : FILL_BATCH;
        for (size_t i = 0; i < batch; i++) {
            fill_one(&seed, text[i], &events[i]);
        }
        help_ok(spoor_append_batch(store, events, batch, NULL, 0, NULL, &error), &error);
        count -= batch;
    }
}
