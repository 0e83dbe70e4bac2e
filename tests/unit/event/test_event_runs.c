/*
 * The 9,211 events of recorded agent runs that lie beside the checkout, in $SPOOR_SHARED or
 * ../shared: an import followed by an export must give back every attribute and every byte of data.
 * Skipped where the recordings or the program zstd are absent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "event/event_json.h"
#include "event_same.h"

/* The value of a member as it stands in the text; empty where there is none, or null. */
static sp_str member(sp_str object, const char *name) {
    struct sp_json json;
    sp_json_init(&json, object);
    (void)sp_json_next(&json);
    for (;;) {
        struct sp_json_token key = sp_json_next(&json);
        if (key.type != SP_JSON_KEY) {
            return sp_str_of(NULL, 0);
        }
        struct sp_json_token value = sp_json_next(&json);
        sp_str raw = sp_json_skip(&json, value);
        if (sp_json_equal(key, sp_str_from(name))) {
            return value.type == SP_JSON_NULL ? sp_str_of(NULL, 0) : raw;
        }
    }
}

static void members_are_the_same(sp_str given, sp_str exported) {
    static const char *const NAMES[][2] = {
        {"id", "id"},
        {"type", "type"},
        {"source", "source"},
        {"time", "time"},
        {"correlation_id", "correlationid"},
        {"causation_id", "causationid"},
        {"seq", "seq"},
        {"data", "data"},
    };
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        sp_str before = member(given, NAMES[i][0]);
        sp_str after = member(exported, NAMES[i][1]);
        if (!sp_str_eq(before, after)) {
            fail_msg("%s: %.*s became %.*s", NAMES[i][0], SP_STR_ARG(before), SP_STR_ARG(after));
        }
    }
}

struct run {
    struct sp_event event;
    struct sp_event again;
    struct sp_buf scratch;
    struct sp_buf scratch_again;
    struct sp_buf out;
};

static void import(sp_str text, struct sp_event *event, struct sp_buf *scratch) {
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    struct sp_error error;
    sp_buf_reset(scratch);
    sp_status status = sp_event_from_json(text, SP_EVENT_LENIENT, scratch, event, &error);
    if (status == SP_OK) {
        status = sp_event_check(event, SP_EVENT_FROM_JSON, &limits, scratch, &error);
    }
    if (status != SP_OK) {
        fail_msg("%.*s\n%s", SP_STR_ARG(text), error.text);
    }
}

static void check_line(struct run *run, sp_str line) {
    import(line, &run->event, &run->scratch);
    assert_int_equal(run->event.extension_count, 1);
    assert_int_equal(run->event.extensions[0].kind, SP_VALUE_JSON);
    sp_buf_reset(&run->out);
    sp_event_to_json(&run->event, NULL, &run->out);
    members_are_the_same(line, sp_buf_str(&run->out));
    import(sp_buf_str(&run->out), &run->again, &run->scratch_again);
    assert_null(event_difference(&run->event, &run->again));
}

static FILE *open_runs(void) {
    char path[4096];
    const char *shared = getenv("SPOOR_SHARED");
    const char *slash = strrchr(__FILE__, '/');
    int folder = slash != NULL ? (int)(slash - __FILE__) : 0;
    int length =
        shared != NULL
            ? snprintf(path, sizeof(path), "%s/data/agent_runs.jsonl.zst", shared)
            : snprintf(path, sizeof(path), "%.*s/../../../../shared/data/agent_runs.jsonl.zst",
                       folder, __FILE__);
    assert_true(length > 0 && (size_t)length < sizeof(path));
    if (access(path, R_OK) != 0 || system("command -v zstd >/dev/null") != 0) {
        print_message("no recordings at %s, or no program zstd\n", path);
        return NULL;
    }
    char command[8192];
    snprintf(command, sizeof(command), "zstd -dcq '%s'", path);
    return popen(command, "r");
}

static void recorded_runs_survive(void **state) {
    (void)state;
    FILE *lines = open_runs();
    if (lines == NULL) {
        skip();
    }
    struct run *run = calloc(1, sizeof(*run));
    assert_non_null(run);
    sp_buf_init(&run->scratch, 1 << 20);
    sp_buf_init(&run->scratch_again, 1 << 20);
    sp_buf_init(&run->out, 1 << 20);
    char *line = NULL;
    size_t size = 0;
    int count = 0;
    for (ssize_t length; (length = getline(&line, &size, lines)) > 0; count++) {
        check_line(run, sp_str_of(line, (size_t)length));
    }
    assert_int_equal(pclose(lines), 0);
    assert_int_equal(count, 9211);
    free(line);
    sp_buf_fini(&run->scratch);
    sp_buf_fini(&run->scratch_again);
    sp_buf_fini(&run->out);
    free(run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_runs_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
