/*
 * The strict mode, after the CloudEvents 1.0.2 JSON format. The cases follow the points that the
 * project's conformance suite checks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event/event_json.h"

#define CORE "\"specversion\":\"1.0\",\"id\":\"i\",\"type\":\"io.test\",\"source\":\"https://x.io\""

static struct sp_event event;
static struct sp_buf scratch;
static struct sp_error error;

static int setup(void **state) {
    (void)state;
    sp_buf_init(&scratch, 1 << 16);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    sp_buf_fini(&scratch);
    return 0;
}

static sp_status read_strict(const char *text) {
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    sp_error_clear(&error);
    sp_buf_reset(&scratch);
    sp_status status =
        sp_event_from_json(sp_str_from(text), SP_EVENT_STRICT, &scratch, &event, &error);
    return status != SP_OK ? status
                           : sp_event_check(&event, SP_EVENT_FROM_JSON, &limits, &scratch, &error);
}

static void valid_events_are_accepted(void **state) {
    (void)state;
    static const char *const VALID[] = {
        "{" CORE "}",
        "{" CORE ",\"datacontenttype\":null,\"dataschema\":null,\"subject\":null,\"time\":null}",
        "{" CORE ",\"datacontenttype\":\"text/plain\",\"dataschema\":\"https://x.io/schema\","
        "\"subject\":\"tests\",\"time\":\"2018-04-05T17:31:00Z\"}",
        "{" CORE ",\"time\":\"2018-04-05T17:31:00.000000000Z\"}",
        "{" CORE ",\"time\":\"2018-04-05T18:31:00+01:00\"}",
        "{" CORE ",\"time\":\"2018-04-05T16:31:00-01:00\"}",
        "{" CORE ",\"datacontenttype\":\"text/plain\",\"data\":\"Simple text\"}",
        "{" CORE ",\"data\":null}",
        "{" CORE ",\"data\":{\"Any\":[1.5]}}",
        "{" CORE ",\"data_base64\":\"/w==\",\"datacontenttype\":\"image/png\"}",
        "{" CORE ",\"extinteger\":10,\"extboolean\":true,\"extstring\":\"text\","
        "\"extlow\":-2147483648,\"exttimestamp\":\"2023-03-31T15:12:00Z\",\"extbinary\":\"TWE=\"}",
        "{" CORE ",\"stream\":\"s\",\"correlationid\":\"c\",\"metadata\":\"{\\\"a\\\":1}\"}",
        "{\"specversion\":\"1.0\",\"id\":\"i\",\"type\":\"t\",\"source\":\"#fragment\"}",
    };
    for (size_t i = 0; i < sizeof(VALID) / sizeof(VALID[0]); i++) {
        if (read_strict(VALID[i]) != SP_OK) {
            fail_msg("%s\n%s", VALID[i], error.text);
        }
    }
}

static void invalid_events_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *named;
    } INVALID[] = {
        {"{\"id\":\"i\",\"type\":\"t\",\"source\":\"s\"}", "specversion"},
        {"{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"s\"}", "id"},
        {"{\"specversion\":\"1.0\",\"id\":\"i\",\"source\":\"s\"}", "type"},
        {"{\"specversion\":\"1.0\",\"id\":\"i\",\"type\":\"t\"}", "source"},
        {"{\"specversion\":\"1.0\",\"id\":\"\",\"type\":\"t\",\"source\":\"s\"}", "id"},
        {"{\"specversion\":\"1.0\",\"id\":\"i\",\"type\":\"\",\"source\":\"s\"}", "type"},
        {"{\"specversion\":\"1.0\",\"id\":\"i\",\"type\":\"t\",\"source\":\"\"}", "source"},
        {"{\"specversion\":\"\",\"id\":\"i\",\"type\":\"t\",\"source\":\"s\"}", "specversion"},
        {"{\"specversion\":\"0.9\",\"id\":\"i\",\"type\":\"t\",\"source\":\"s\"}", "specversion"},
        {"{\"specversion\":1.0,\"id\":\"i\",\"type\":\"t\",\"source\":\"s\"}", "specversion"},
        {"{\"specversion\":\"1.0\",\"id\":25,\"type\":\"t\",\"source\":\"s\"}", "id"},
        {"{\"specversion\":\"1.0\",\"id\":{\"x\":\"y\"},\"type\":\"t\",\"source\":\"s\"}", "id"},
        {"{\"specversion\":\"1.0\",\"event_id\":\"i\",\"type\":\"t\",\"source\":\"s\"}",
         "event_id"},
        {"{\"specversion\":\"1.0\",\"id\":\"i\",\"type\":\"t\",\"agent\":\"s\"}", "source"},
        {"{" CORE ",\"time\":\"lunchtime\"}", "time"},
        {"{" CORE ",\"time\":\"2018-04-05T18:31Z\"}", "time"},
        {"{" CORE ",\"time\":\"2018-04-05T18:31:00\"}", "time"},
        {"{" CORE ",\"time\":\"2018-04-05T18:31:00X\"}", "time"},
        {"{" CORE ",\"time\":\"2018-04-05T18:31:00+25:00\"}", "time"},
        {"{" CORE ",\"time\":\"2018-04-05T18:31:00+xx:00\"}", "time"},
        {"{" CORE ",\"time\":\"2018-04-05T18:31:00+05\"}", "time"},
        {"{" CORE ",\"time\":\"\"}", "time"},
        {"{" CORE ",\"time\":1522953060}", "time"},
        {"{" CORE ",\"datacontenttype\":\"xyz\"}", "datacontenttype"},
        {"{" CORE ",\"datacontenttype\":\"/x\"}", "datacontenttype"},
        {"{" CORE ",\"datacontenttype\":\"\"}", "datacontenttype"},
        {"{" CORE ",\"dataschema\":\"\"}", "dataschema"},
        {"{" CORE ",\"subject\":\"\"}", "subject"},
        {"{" CORE ",\"subject\":1}", "subject"},
        {"{" CORE ",\"MyExtension\":\"bad\"}", "MyExtension"},
        {"{" CORE ",\"my.extension\":\"bad\"}", "my.extension"},
        {"{" CORE ",\"my_extension\":null}", "my_extension"},
        {"{" CORE ",\"myextension\":1.5}", "myextension"},
        {"{" CORE ",\"myextension\":1e2}", "myextension"},
        {"{" CORE ",\"myextension\":2147483648}", "myextension"},
        {"{" CORE ",\"myextension\":{}}", "myextension"},
        {"{" CORE ",\"payload\":[1]}", "payload"},
        {"{" CORE ",\"metadata\":{}}", "metadata"},
        {"{" CORE ",\"metadata\":\"x\"}", "metadata"},
        {"{" CORE ",\"data\":\"text\",\"data_base64\":\"eyAieHl6IjogMTIzIH0=\"}", "data_base64"},
        {"{" CORE ",\"data_base64\":\"***=\"}", "data_base64"},
    };
    for (size_t i = 0; i < sizeof(INVALID) / sizeof(INVALID[0]); i++) {
        if (read_strict(INVALID[i].text) == SP_OK) {
            fail_msg("accepted: %s", INVALID[i].text);
        }
        if (strstr(error.text, INVALID[i].named) == NULL) {
            fail_msg("%s\n%s", INVALID[i].text, error.text);
        }
    }
}

static void other_spellings_are_extensions(void **state) {
    (void)state;
    assert_int_equal(read_strict("{" CORE ",\"agent\":\"a\",\"timestamp\":5,\"payload\":\"p\"}"),
                     SP_OK);
    assert_int_equal(event.extension_count, 3);
    assert_false(event.has_data);
    assert_false(sp_event_has(&event, SP_ATTR_TIME));
    assert_true(sp_str_eq(event.attr[SP_ATTR_SOURCE], SP_STR("https://x.io")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_events_are_accepted),
        cmocka_unit_test(invalid_events_are_refused),
        cmocka_unit_test(other_spellings_are_extensions),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
