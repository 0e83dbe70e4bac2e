/* spoor_verify, and what it knows of events beyond their bytes. */
#include "helper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "engine/verify_events.h"
#include "index/section.h"
#include "index/tail.h"

/* ---- over a folder ---- */

struct heard {
    unsigned findings;
    unsigned notices;
    uint64_t progress;
    char first[300];
    char file[64];
    uint64_t position;
    bool end_it;
};

static int hear(void *context, const spoor_verify_report *report) {
    struct heard *heard = context;
    if (report->kind == SPOOR_VERIFY_PROGRESS) {
        heard->progress = report->last_position;
        return 0;
    }
    if (report->kind == SPOOR_VERIFY_FINDING && heard->findings++ == 0) {
        (void)snprintf(heard->first, sizeof(heard->first), "%s", report->text);
        (void)snprintf(heard->file, sizeof(heard->file), "%s",
                       report->file != NULL ? report->file : "");
        heard->position = report->first_position;
    }
    heard->notices += report->kind == SPOOR_VERIFY_NOTICE ? 1 : 0;
    return heard->end_it ? 1 : 0;
}

/* A store with sealed segments, several streams, ids of both kinds, and causes. */
static void fill(unsigned count) {
    spoor *store = help_open_small(SPOOR_CREATE, 256 << 10);
    for (unsigned i = 0; i < count; i++) {
        char stream[32];
        char id[32];
        char cause[32];
        char data[400];
        (void)snprintf(stream, sizeof(stream), "run-%u", i % 7);
        (void)snprintf(id, sizeof(id), "e%u", i);
        (void)snprintf(cause, sizeof(cause), "e%u", i / 2);
        (void)snprintf(data, sizeof(data), "{\"n\":%u,\"text\":\"%0300u\"}", i, i);
        spoor_event event = help_event("task.done", "agent:a", data);
        event.stream = spoor_text(stream);
        event.id = spoor_text(id);
        event.causationid = i > 0 ? spoor_text(cause) : spoor_text(NULL);
        spoor_error error;
        spoor_status status;
        while ((status = spoor_submit(store, &event, 1, NULL, 0, NULL, NULL, &error)) ==
               SPOOR_BUSY) {
            (void)spoor_turn(store, -1, NULL);
        }
        help_ok(status, &error);
        if (i % 50 == 0) {
            (void)spoor_turn(store, 0, NULL);
        }
    }
    while (spoor_turn(store, 0, NULL) == SPOOR_OK) {
    }
    help_seal(store);
    assert_true(help_info(store).segments_sealed > 0);
    spoor_close(store);
}

static void test_whole(void **state) {
    (void)state;
    struct heard heard = {.findings = 0};
    spoor_verified verified = {.size = sizeof(verified)};
    spoor_error error;
    fill(6000);
    help_ok(spoor_verify(help_folder, hear, &heard, &verified, &error), &error);
    assert_int_equal(heard.findings, 0);
    assert_int_equal(heard.notices, 0);
    assert_int_equal(verified.event_count, 6000);
    assert_int_equal(verified.first_position, 1);
    assert_int_equal(verified.last_position, 6000);
    assert_int_equal(verified.finding_count, 0);
    assert_true(verified.bytes > 0);
    spoor *store = help_open(0);
    spoor_info info = help_info(store);
    while (info.tree_size < 6000) {
        (void)spoor_turn(store, 5, NULL);
        info = help_info(store);
    }
    spoor_close(store);
    assert_int_equal(info.tree_size, 6000);
    assert_memory_equal(info.tree_root, verified.tree_root, 32);
    /* Neither a report nor a result is demanded. */
    help_ok(spoor_verify(help_folder, NULL, NULL, NULL, &error), &error);
}

static void flip_byte(const char *path, long offset) {
    char name[128];
    (void)snprintf(name, sizeof(name), "%s/%s", help_folder, path);
    FILE *file = fopen(name, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_true(fputc(byte ^ 0x10, file) != EOF);
    assert_int_equal(fclose(file), 0);
}

static void test_damage_is_told(void **state) {
    (void)state;
    struct heard heard = {.findings = 0};
    spoor_verified verified = {.size = sizeof(verified)};
    spoor_error error;
    fill(3000);
    flip_byte("seg/0000000000000001.spoor", 2000);
    assert_int_equal(spoor_verify(help_folder, hear, &heard, &verified, &error), SPOOR_CORRUPT);
    assert_int_equal(heard.findings, 1);
    assert_int_equal(verified.finding_count, 1);
    assert_string_equal(heard.file, "seg/0000000000000001.spoor");
    assert_non_null(strstr(heard.first, "damage: "));
    assert_true(heard.position > 0);
    assert_true(verified.event_count < 3000);
    assert_non_null(strstr(error.text, "seg/0000000000000001.spoor: damage"));
}

static void test_no_store(void **state) {
    (void)state;
    spoor_error error;
    help_refused(spoor_verify(help_folder, NULL, NULL, NULL, &error), &error, SPOOR_NOT_FOUND,
                 "no log here");
    help_refused(spoor_verify("no such folder", NULL, NULL, NULL, &error), &error, SPOOR_NOT_FOUND,
                 "");
    help_refused(spoor_verify(NULL, NULL, NULL, NULL, &error), &error, SPOOR_INVALID, "folder");
}

static void test_ended_by_the_caller(void **state) {
    (void)state;
    struct heard heard = {.end_it = true};
    spoor_error error;
    fill(3000);
    flip_byte("seg/0000000000000001.spoor", 2000);
    help_refused(spoor_verify(help_folder, hear, &heard, NULL, &error), &error, SPOOR_CANCELLED,
                 "ended");
    assert_int_equal(heard.findings, 1);
}

/* Beside a writer it sees a whole log, up to what is durable. */
static void test_beside_a_writer(void **state) {
    (void)state;
    struct heard heard = {.findings = 0};
    spoor_verified verified = {.size = sizeof(verified)};
    spoor_error error;
    spoor *store = help_open_small(SPOOR_CREATE, 256 << 10);
    for (unsigned i = 0; i < 500; i++) {
        (void)help_put(store, "a.b", "agent:a", NULL);
    }
    help_ok(spoor_verify(help_folder, hear, &heard, &verified, &error), &error);
    assert_int_equal(heard.findings, 0);
    assert_in_range(verified.last_position, 499, 500);
    spoor_close(store);
}

/* ---- over events that no store of ours would write ---- */

struct said {
    unsigned count;
    char text[256];
    uint64_t position;
};

static void keep_said(void *context, uint64_t first, uint64_t last, const char *file,
                      uint64_t offset, const char *text) {
    struct said *said = context;
    (void)last;
    (void)offset;
    assert_string_equal(file, "seg/x");
    said->count++;
    said->position = first;
    (void)snprintf(said->text, sizeof(said->text), "%s", text);
}

static struct sp_event made_event(uint64_t position, uint64_t version, const char *stream,
                                  const char *id) {
    struct sp_event event = {
        .position = position, .version = version, .recorded_us = 1000 * position};
    event.attr[SP_ATTR_TYPE] = SP_STR("a.b");
    event.attr[SP_ATTR_SOURCE] = SP_STR("s");
    event.attr[SP_ATTR_STREAM] = sp_str_from(stream);
    event.attr[SP_ATTR_ID] = sp_str_from(id);
    event.attr[SP_ATTR_CORRELATION] = SP_STR("run");
    return event;
}

static void add(struct verify_events *events, const struct sp_event *event) {
    uint8_t bytes[1024];
    struct sp_record record;
    const struct sp_verify_place place = {.file = "seg/x", .offset = 64};
    size_t size = sp_record_encode(event, bytes);
    assert_int_equal(sp_record_read(sp_str_of(bytes, size), event->position, &record), SP_OK);
    assert_int_equal(verify_events_add(events, &record, &place), SP_OK);
}

static void end_segment(struct verify_events *events, sp_str index, uint64_t first, uint64_t last) {
    struct sp_verify_segment segment = {.id = 1,
                                        .sealed = true,
                                        .file = "seg/x",
                                        .first_position = first,
                                        .last_position = last,
                                        .index = index};
    assert_int_equal(verify_events_segment(events, &segment), SP_OK);
}

static void put(struct verify_events *events, uint64_t position, uint64_t version,
                const char *stream, const char *id) {
    struct sp_event event = made_event(position, version, stream, id);
    add(events, &event);
}

static void test_versions(void **state) {
    (void)state;
    struct said said = {.count = 0};
    struct verify_events events;
    assert_int_equal(verify_events_init(&events, keep_said, &said), SP_OK);
    put(&events, 1, 1, "one", "a");
    put(&events, 2, 1, "two", "b");
    put(&events, 3, 2, "one", "c");
    put(&events, 4, 4, "one", "d"); /* 3 is missing */
    put(&events, 5, 5, "one", "e");
    put(&events, 6, 2, "new", "f"); /* begins with 2 */
    put(&events, 7, 1, "two", "g"); /* a second time */
    end_segment(&events, (sp_str){.len = 0}, 1, 7);
    assert_int_equal(said.count, 3);
    assert_int_equal(said.position, 7);
    verify_events_fini(&events);
}

/* In a log that was trimmed a stream may begin with any version, and is dense from there. */
static void test_versions_after_trimming(void **state) {
    (void)state;
    struct said said = {.count = 0};
    struct verify_events events;
    assert_int_equal(verify_events_init(&events, keep_said, &said), SP_OK);
    put(&events, 100, 40, "one", "a");
    put(&events, 101, 41, "one", "b");
    put(&events, 102, 7, "two", "c");
    put(&events, 103, 9, "two", "d");
    end_segment(&events, (sp_str){.len = 0}, 100, 103);
    assert_int_equal(said.count, 1);
    assert_int_equal(said.position, 103);
    verify_events_fini(&events);
}

static void test_ids_and_entry_ids(void **state) {
    (void)state;
    static const char uuid[] = "0197f3a0-0000-7000-8000-000000000001";
    struct said said = {.count = 0};
    struct verify_events events;
    assert_int_equal(verify_events_init(&events, keep_said, &said), SP_OK);
    put(&events, 1, 1, "one", "a");
    put(&events, 2, 2, "one", uuid);
    struct sp_event other = made_event(3, 3, "one", "a");
    other.attr[SP_ATTR_SOURCE] = SP_STR("another");
    add(&events, &other); /* the same id, of another source */
    end_segment(&events, (sp_str){.len = 0}, 1, 3);
    assert_int_equal(said.count, 0);
    put(&events, 4, 4, "one", uuid);
    end_segment(&events, (sp_str){.len = 0}, 4, 4);
    assert_int_equal(said.count, 1);
    assert_non_null(strstr(said.text, "the source and id of event 2"));
    put(&events, 5, 5, "one", "a");
    end_segment(&events, (sp_str){.len = 0}, 5, 5);
    assert_int_equal(said.count, 2);
    struct sp_event same = made_event(6, 6, "one", "z");
    same.recorded_us = 5000; /* of event 5, with the same number */
    add(&events, &same);
    assert_int_equal(said.count, 3);
    assert_non_null(strstr(said.text, "entry id"));
    end_segment(&events, (sp_str){.len = 0}, 6, 6);
    verify_events_fini(&events);
}

/* Many more ids than fit one table: it grows, and the younger one takes over, without a word. */
static void test_many_ids(void **state) {
    (void)state;
    struct said said = {.count = 0};
    struct verify_events events;
    assert_int_equal(verify_events_init(&events, keep_said, &said), SP_OK);
    for (uint64_t i = 1; i <= 200000; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "id-%llu", (unsigned long long)i);
        put(&events, i, i, "one", id);
    }
    end_segment(&events, (sp_str){.len = 0}, 1, 200000);
    assert_int_equal(said.count, 0);
    put(&events, 200001, 200001, "one", "id-17");
    end_segment(&events, (sp_str){.len = 0}, 200001, 200001);
    assert_int_equal(said.count, 1);
    verify_events_fini(&events);
}

/* The index of other events than those of the segment. */
static void test_index_of_other_events(void **state) {
    (void)state;
    for (int wrong = 0; wrong < 3; wrong++) {
        struct said said = {.count = 0};
        struct verify_events events;
        struct sp_tail *tail = sp_tail_new(1, 1);
        struct sp_buf section;
        sp_buf_init(&section, 1 << 20);
        assert_int_equal(verify_events_init(&events, keep_said, &said), SP_OK);
        for (uint64_t i = 1; i <= 300; i++) {
            char id[32];
            (void)snprintf(id, sizeof(id), "id-%llu", (unsigned long long)i);
            struct sp_event event = made_event(i, i, "one", id);
            add(&events, &event);
            if (wrong == 1 && i == 200) {
                event.attr[SP_ATTR_ID] = SP_STR("another");
            }
            if (wrong == 2 && i == 201) {
                event.attr[SP_ATTR_STREAM] = SP_STR("another");
            }
            struct sp_index_keys keys = sp_index_keys_of(&event);
            assert_int_equal(sp_tail_add(tail, &keys, event.attr[SP_ATTR_TYPE], event.recorded_us),
                             SP_OK);
        }
        sp_tail_finish(tail);
        assert_int_equal(sp_section_encode(tail, &section, NULL), SP_OK);
        end_segment(&events, sp_buf_str(&section), 1, 300);
        assert_int_equal(said.count, wrong == 0 ? 0 : 1);
        assert_int_equal(said.position, wrong == 0 ? 0 : 199 + wrong);
        sp_tail_unref(tail);
        sp_buf_fini(&section);
        verify_events_fini(&events);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, help_begin, help_end)
        CASE(test_whole),
        CASE(test_damage_is_told),
        CASE(test_no_store),
        CASE(test_ended_by_the_caller),
        CASE(test_beside_a_writer),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_versions_after_trimming),
        cmocka_unit_test(test_ids_and_entry_ids),
        cmocka_unit_test(test_many_ids),
        cmocka_unit_test(test_index_of_other_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
