/* What is told of a saga, in words and as JSON, against texts that were read by people. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/time.h"
#include "flow/story.h"

#define SAGA "0198c0de-0000-7000-8000-000000000001"

static void read_file(const char *name, const char *ending, struct sp_buf *to) {
    char path[1024];
    snprintf(path, sizeof(path), "%s/tests/unit/flow/stories/%s%s", getenv("SPOOR_SOURCE"), name,
             ending);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail_msg("%s is not there", path);
    }
    uint8_t bytes[4096];
    for (size_t got; (got = fread(bytes, 1, sizeof(bytes), file)) > 0;) {
        sp_buf_add(to, bytes, got);
    }
    fclose(file);
}

static void write_file(const char *name, const char *ending, sp_str text) {
    char path[1024];
    snprintf(path, sizeof(path), "%s/tests/unit/flow/stories/%s%s", getenv("SPOOR_SOURCE"), name,
             ending);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text.ptr, 1, text.len, file), text.len);
    fclose(file);
}

/* Cuts off what stands before a byte. */
static sp_str cut(sp_str *text, char mark) {
    const char *at = memchr(text->ptr, mark, text->len);
    size_t len = at == NULL ? text->len : (size_t)(at - text->ptr);
    sp_str head = sp_str_of(text->ptr, len);
    *text = sp_str_from_byte(*text, at == NULL ? len : len + 1);
    return head;
}

/* A line `[+1 ]HH:MM:SS TYPE {data}`. */
static void add_line(struct sp_story *story, sp_str line) {
    char when[64];
    struct sp_error error;
    bool next_day = sp_str_starts_with(line, SP_STR("+1 "));
    line = sp_str_from_byte(line, next_day ? 3 : 0);
    sp_str clock = cut(&line, ' ');
    sp_str type = cut(&line, ' ');
    struct sp_event event = {.position = 1, .has_data = true, .data_is_json = true, .data = line};
    snprintf(when, sizeof(when), "2026-11-2%dT%.*sZ", next_day ? 1 : 0, SP_STR_ARG(clock));
    assert_int_equal(sp_time_parse(sp_str_from(when), false, &event.recorded_us, &error), SP_OK);
    event.attr[SP_ATTR_TYPE] = type;
    event.attr[SP_ATTR_SOURCE] = SP_STR("spoor");
    event.attr[SP_ATTR_STREAM] = SP_STR("saga:" SAGA);
    event.attr[SP_ATTR_CORRELATION] = SP_STR("run-1");
    assert_int_equal(sp_story_add(story, &event, &error), SP_OK);
}

static struct sp_story *told(const char *name) {
    struct sp_story *story = NULL;
    struct sp_buf text;
    sp_buf_init(&text, SIZE_MAX);
    read_file(name, ".events", &text);
    assert_int_equal(sp_story_new(&story), SP_OK);
    sp_str rest = sp_buf_str(&text);
    while (rest.len > 0) {
        add_line(story, cut(&rest, '\n'));
    }
    sp_buf_fini(&text);
    return story;
}

static void compare(const char *name, const char *ending, const struct sp_buf *found) {
    const char *mode = getenv("SPOOR_GOLDEN");
    struct sp_buf expected;
    if (mode != NULL && strcmp(mode, "write") == 0) {
        write_file(name, ending, sp_buf_str(found));
    }
    sp_buf_init(&expected, SIZE_MAX);
    read_file(name, ending, &expected);
    if (!sp_str_eq(sp_buf_str(&expected), sp_buf_str(found))) {
        print_message("%.*s", SP_STR_ARG(sp_buf_str(found)));
        fail_msg("%s%s tells something else, see above", name, ending);
    }
    sp_buf_fini(&expected);
}

static void check(const char *name) {
    struct sp_story *story = told(name);
    struct sp_buf text;
    struct sp_error error;
    sp_buf_init(&text, SIZE_MAX);
    assert_true(sp_story_is_saga(story));
    sp_story_words(story, NULL, &text);
    assert_int_equal(text.status, SP_OK);
    compare(name, ".words", &text);
    sp_buf_reset(&text);
    sp_story_json(story, NULL, &text);
    assert_int_equal(sp_json_check(sp_buf_str(&text), &error), SP_OK);
    sp_buf_add_byte(&text, '\n');
    compare(name, ".json", &text);
    sp_buf_fini(&text);
    sp_story_free(story);
}

static void test_golden(void **state) {
    (void)state;
    char path[1024];
    unsigned count = 0;
    snprintf(path, sizeof(path), "%s/tests/unit/flow/stories", getenv("SPOOR_SOURCE"));
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char name[256];
        sp_str file = sp_str_from(entry->d_name);
        if (sp_str_ends_with(file, SP_STR(".events"))) {
            snprintf(name, sizeof(name), "%.*s", (int)file.len - 7, entry->d_name);
            check(name);
            count++;
        }
    }
    closedir(folder);
    assert_true(count >= 9);
}

static bool has(const struct sp_buf *text, const char *part) {
    return memmem(text->data, text->len, part, strlen(part)) != NULL;
}

/* What is known of the present goes before what the events say. */
static void test_live(void **state) {
    (void)state;
    struct sp_story *story = told("asked");
    struct sp_buf text;
    struct sp_story_live live = {.now_us = UINT64_C(1795169701000000), .moments_max = 2};
    sp_buf_init(&text, SIZE_MAX);
    sp_story_words(story, &live, &text);
    assert_true(has(&text, "It waits for ann or bob to answer “Book the demo?”, until"));
    assert_true(has(&text, "2 more moments") || has(&text, "more moments …"));
    sp_buf_reset(&text);
    live.waiting_for = SP_STR("limit");
    live.due_us = UINT64_C(1795169702000000);
    sp_story_json(story, &live, &text);
    assert_true(has(&text, "\"waiting_for\":\"limit\",\"due\":"));
    assert_string_equal(sp_story_status(story), "running");
    assert_false(sp_story_is_over(story));
    sp_buf_fini(&text);
    sp_story_free(story);
}

/* Nothing is a saga that was not started, whatever is told of it. */
static void test_no_saga(void **state) {
    (void)state;
    struct sp_story *story = NULL;
    assert_int_equal(sp_story_new(&story), SP_OK);
    add_line(story, SP_STR("10:00:00 saga.step.started {\"step\":\"a\"}"));
    add_line(story, SP_STR("10:00:00 saga.completed {}"));
    add_line(story, SP_STR("10:00:00 order.placed {}"));
    assert_false(sp_story_is_saga(story));
    sp_story_free(story);
    sp_story_free(NULL);
}

/* Whatever the data of an event is, the telling is JSON and text. */
static void test_nonsense(void **state) {
    (void)state;
    static const char *const data[] = {
        "null",
        "[]",
        "\"x\"",
        "7",
        "{\"step\":7}",
        "{\"step\":\"a\",\"error\":[1,{\"a\":\"\\n\"}]}",
        "{\"step\":\"\",\"attempt\":-1}",
        "{\"step\":\"a\",\"attempt\":1e300,\"choices\":7}",
        "{\"step\":\"[\",\"action\":\"...\",\"kind\":\"action\"}",
        "{\"step\":\"]x[\",\"by\":{}}",
        "{\"step\":\"a'b/c\",\"options\":{\"a\":[\"retry\"]},\"prompt\":\"\\u0007“\"}",
        "{\"step\":\"a\",\"retry_at\":\"yesterday\",\"who\":\"ann\",\"choices\":[[],\"reject\"]}",
    };
    static const char *const types[] = {
        "started",
        "step.started",
        "step.completed",
        "step.failed",
        "step.timed_out",
        "step.skipped",
        "step.cancelled",
        "answer.ignored",
        "approval.requested",
        "approval.escalated",
        "approval.granted",
        "approval.rejected",
        "cancel.requested",
        "compensation.started",
        "step.compensating",
        "step.compensated",
        "step.compensation_failed",
        "needs_attention",
        "attention.resolved",
        "completed",
        "compensated",
        "cancelled",
    };
    struct sp_story *story = NULL;
    struct sp_buf text;
    struct sp_error error;
    sp_buf_init(&text, SIZE_MAX);
    assert_int_equal(sp_story_new(&story), SP_OK);
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        for (unsigned j = 0; j < sizeof(data) / sizeof(data[0]); j++) {
            char line[512];
            snprintf(line, sizeof(line), "10:00:0%u saga.%s %s", j % 10, types[i], data[j]);
            add_line(story, sp_str_from(line));
            sp_buf_reset(&text);
            sp_story_words(story, NULL, &text);
            assert_int_equal(text.status, SP_OK);
            sp_buf_reset(&text);
            sp_story_json(story, NULL, &text);
            assert_int_equal(sp_json_check(sp_buf_str(&text), &error), SP_OK);
        }
    }
    sp_buf_fini(&text);
    sp_story_free(story);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_live),
        cmocka_unit_test(test_no_saga),
        cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
