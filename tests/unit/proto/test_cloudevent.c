/*
 * CloudEvents over HTTP. The cases follow what the project's conformance suite and the HTTP binding
 * check, and what real senders do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/cloudevent.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CORE         "\"specversion\":\"1.0\",\"id\":\"i\",\"type\":\"io.test\",\"source\":\"/x\""

enum { HEADERS_MAX = 80 };

struct rig {
    struct sp_event event;
    struct sp_buf scratch;
    struct sp_buf out;
    struct sp_error error;
    struct sp_http_pair headers[HEADERS_MAX];
    uint32_t header_count;
};

static int setup(void **state) {
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    sp_buf_init(&rig->scratch, 1 << 20);
    sp_buf_init(&rig->out, 1 << 20);
    *state = rig;
    return 0;
}

static int teardown(void **state) {
    struct rig *rig = *state;
    sp_buf_fini(&rig->scratch);
    sp_buf_fini(&rig->out);
    free(rig);
    return 0;
}

static void clear(struct rig *rig) {
    sp_buf_reset(&rig->scratch);
    sp_error_clear(&rig->error);
    rig->header_count = 0;
}

static void add_header(struct rig *rig, const char *name, const char *value) {
    assert_true(rig->header_count < HEADERS_MAX);
    rig->headers[rig->header_count++] =
        (struct sp_http_pair){.name = sp_str_from(name), .value = sp_str_from(value)};
}

static void is_text(sp_str value, const char *expected) {
    if (!sp_str_eq(value, sp_str_from(expected)) || (value.ptr == NULL) != (expected == NULL)) {
        fail_msg("found %.*s, expected %s", SP_STR_ARG(value), expected);
    }
}

static void attr_is(const struct rig *rig, enum sp_attr attr, const char *expected) {
    is_text(rig->event.attr[attr], expected);
}

static void extension_is(const struct rig *rig, const char *name, const char *expected) {
    for (unsigned i = 0; i < rig->event.extension_count; i++) {
        if (sp_str_eq(rig->event.extensions[i].name, sp_str_from(name))) {
            is_text(rig->event.extensions[i].value, expected);
            return;
        }
    }
    fail_msg("no extension %s", name);
}

static void error_is(const struct rig *rig, const char *part, const char *attribute) {
    if (strstr(rig->error.text, part) == NULL) {
        fail_msg("%s\nexpected: %s", rig->error.text, part);
    }
    sp_str found = sp_ce_error_attribute(sp_str_from(rig->error.text));
    if (!sp_str_eq(found, sp_str_from(attribute))) {
        fail_msg("%s\nis about %.*s, not %s", rig->error.text, SP_STR_ARG(found), attribute);
    }
}

/* ---- modes ----------------------------------------------------------------------------------- */

static void the_mode_follows_from_the_headers(void **state) {
    struct rig *rig = *state;
    static const struct {
        const char *type;
        const char *other; /* a header */
        enum sp_ce_mode mode;
    } CASES[] = {
        {"application/cloudevents+json", "Accept", SP_CE_STRUCTURED},
        {"Application/CloudEvents+JSON; charset=UTF-8", "ce-id", SP_CE_STRUCTURED},
        {"application/cloudevents+json ; x=y; charset=\"utf-8\"", "Accept", SP_CE_STRUCTURED},
        {"application/cloudevents-batch+json", "Accept", SP_CE_BATCH},
        {"APPLICATION/CLOUDEVENTS-BATCH+JSON;charset=us-ascii", "Accept", SP_CE_BATCH},
        {"application/json", "Accept", SP_CE_LENIENT},
        {"application/json; charset=utf-8", "accept", SP_CE_LENIENT},
        {"", "accept", SP_CE_LENIENT},
        {"application/x-www-form-urlencoded", "accept", SP_CE_LENIENT},
        {"application/json", "CE-ID", SP_CE_BINARY},
        {"text/plain; charset=iso-8859-1", "ce-type", SP_CE_BINARY},
        {"application/x-ndjson", "Accept", SP_CE_LINES},
        {"application/ndjson", "Accept", SP_CE_LINES},
        {"application/jsonl", "Accept", SP_CE_LINES},
        {"application/x-ndjson", "Ce-Type", SP_CE_BINARY},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        enum sp_ce_mode mode;
        clear(rig);
        add_header(rig, CASES[i].other, "x");
        add_header(rig, "Content-Type", CASES[i].type);
        assert_int_equal(sp_ce_mode_of(rig->headers, rig->header_count, &mode, &rig->error), SP_OK);
        assert_int_equal(mode, CASES[i].mode);
    }
    clear(rig);
    add_header(rig, "ce-id", "x");
    enum sp_ce_mode mode;
    assert_int_equal(sp_ce_mode_of(rig->headers, rig->header_count, &mode, &rig->error), SP_OK);
    assert_int_equal(mode, SP_CE_BINARY);
}

static void other_media_types_are_not_supported(void **state) {
    struct rig *rig = *state;
    static const struct {
        const char *type;
        const char *text;
    } CASES[] = {
        {"application/cloudevents+xml", "application/cloudevents+json"},
        {"application/cloudevents", "application/cloudevents+json"},
        {"application/cloudevents-batch+protobuf", "application/cloudevents-batch+json"},
        {"application/xml", "application/json"},
        {"text/plain", "found text/plain"},
        {"application/json; charset=utf-16", "charset=utf-8"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        enum sp_ce_mode mode = SP_CE_BATCH;
        clear(rig);
        add_header(rig, "content-type", CASES[i].type);
        assert_int_equal(sp_ce_mode_of(rig->headers, rig->header_count, &mode, &rig->error),
                         SP_UNSUPPORTED);
        error_is(rig, CASES[i].text, "");
        error_is(rig, "Content-Type: found", "");
    }
}

/* ---- binary mode ----------------------------------------------------------------------------- */

static void core_headers(struct rig *rig) {
    clear(rig);
    add_header(rig, "Host", "x");
    add_header(rig, "ce-specversion", "1.0");
    add_header(rig, "Ce-Type", "com.example.someevent");
    add_header(rig, "CE-ID", "1234-1234-1234");
    add_header(rig, "ce-source", "/mycontext/subcontext");
}

static sp_status read_headers(struct rig *rig, const char *body) {
    sp_status status = sp_ce_from_headers(rig->headers, rig->header_count, sp_str_from(body),
                                          &rig->scratch, &rig->event, &rig->error);
    if (status == SP_OK) {
        struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
        status =
            sp_event_check(&rig->event, SP_EVENT_FROM_FIELDS, &limits, &rig->scratch, &rig->error);
    }
    return status;
}

static void attributes_are_headers_and_data_is_the_body(void **state) {
    struct rig *rig = *state;
    static const char *const TYPES[] = {"application/json", "application/json; charset=utf-8"};
    for (size_t i = 0; i < COUNT(TYPES); i++) {
        core_headers(rig);
        add_header(rig, "ce-time", "2018-04-05T03:56:24Z");
        add_header(rig, "Content-Type", TYPES[i]);
        assert_int_equal(read_headers(rig, "{\n  \"message\": \"Hello World!\"\n}"), SP_OK);
        attr_is(rig, SP_ATTR_ID, "1234-1234-1234");
        attr_is(rig, SP_ATTR_TYPE, "com.example.someevent");
        attr_is(rig, SP_ATTR_SOURCE, "/mycontext/subcontext");
        attr_is(rig, SP_ATTR_TIME, "2018-04-05T03:56:24Z");
        attr_is(rig, SP_ATTR_CONTENTTYPE, TYPES[i]);
        assert_int_equal(rig->event.extension_count, 0);
        assert_true(rig->event.data_is_json);
        is_text(rig->event.data, "{\n  \"message\": \"Hello World!\"\n}");
    }
}

static void extensions_and_attributes_of_spoor_are_headers_too(void **state) {
    struct rig *rig = *state;
    core_headers(rig);
    add_header(rig, "ce-stream", "order-7");
    add_header(rig, "ce-correlationid", "run-1");
    add_header(rig, "ce-causationid", "c-1");
    add_header(rig, "ce-schemaversion", "2");
    add_header(rig, "ce-metadata", "{\"a\":1}");
    add_header(rig, "ce-myext", "10");
    add_header(rig, "ce-agent", "x");
    add_header(rig, "ce-position", "17");
    add_header(rig, "ce-subject", "s");
    assert_int_equal(read_headers(rig, ""), SP_OK);
    attr_is(rig, SP_ATTR_STREAM, "order-7");
    attr_is(rig, SP_ATTR_CORRELATION, "run-1");
    attr_is(rig, SP_ATTR_CAUSATION, "c-1");
    attr_is(rig, SP_ATTR_SCHEMAVERSION, "2");
    attr_is(rig, SP_ATTR_METADATA, "{\"a\":1}");
    extension_is(rig, "myext", "10");
    extension_is(rig, "agent", "x");
    extension_is(rig, "subject", "s");
    assert_int_equal(rig->event.extension_count, 3); /* position is assigned, never taken */
    assert_false(rig->event.has_data);
    attr_is(rig, SP_ATTR_CONTENTTYPE, NULL);
}

static void values_are_unquoted_and_then_decoded_once(void **state) {
    struct rig *rig = *state;
    static const struct {
        const char *value;
        const char *text;
    } CASES[] = {
        {"plain", "plain"},
        {"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"%e2%82%ac", "\xe2\x82\xac"},
        {"%2541", "%41"},
        {"\"a b\"", "a b"},
        {"\"a \\\"b\\\" \\\\ %20c\"", "a \"b\" \\  c"},
        {"%22quoted%22", "\"quoted\""},
        {"a\"b", "a\"b"},
        {"(not a comment)", "(not a comment)"},
        {"\xc3\xa9 \xc3\xbc", "\xc3\xa9 \xc3\xbc"}, /* raw UTF-8 */
        {"\xe9 \xfc", "\xc3\xa9 \xc3\xbc"},         /* as Node writes them */
        {"\xe9 %C3%BC", "\xc3\xa9 \xc3\xbc"},
        {"a, b", "a, b"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        core_headers(rig);
        add_header(rig, "ce-myext", CASES[i].value);
        assert_int_equal(read_headers(rig, "x"), SP_OK);
        extension_is(rig, "myext", CASES[i].text);
    }
}

static void bodies_of_any_kind_stay_byte_for_byte(void **state) {
    struct rig *rig = *state;
    static const char BYTES[] = "\x00\xff\r\n{\"a\"";
    core_headers(rig);
    add_header(rig, "Content-Type", "image/png");
    sp_str body = sp_str_of(BYTES, sizeof(BYTES) - 1);
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    assert_int_equal(sp_ce_from_headers(rig->headers, rig->header_count, body, &rig->scratch,
                                        &rig->event, &rig->error),
                     SP_OK);
    assert_int_equal(
        sp_event_check(&rig->event, SP_EVENT_FROM_FIELDS, &limits, &rig->scratch, &rig->error),
        SP_OK);
    assert_true(rig->event.has_data && !rig->event.data_is_json);
    assert_true(sp_str_eq(rig->event.data, body));

    core_headers(rig);
    add_header(rig, "content-type", "text/plain");
    assert_int_equal(read_headers(rig, "{\"a\":1}"), SP_OK);
    assert_false(rig->event.data_is_json);
    attr_is(rig, SP_ATTR_CONTENTTYPE, "text/plain");
}

static void wrong_headers_are_refused_by_name(void **state) {
    struct rig *rig = *state;
    static const struct {
        const char *name;
        const char *value;
        const char *text;
        const char *attribute;
    } CASES[] = {
        {"ce-datacontenttype", "text/plain", "expected Content-Type instead", "datacontenttype"},
        {"ce-data", "x", "expected data in the body", "data"},
        {"ce-my-ext", "x", "lower-case letters and digits", "my-ext"},
        {"ce-my_ext", "x", "lower-case letters and digits", "my_ext"},
        {"ce-", "x", "without a name", ""},
        {"ce-id", "again", "twice", "id"},
        {"Ce-Specversion", "1.0", "twice", "specversion"},
        {"ce-time", "lunchtime", "RFC 3339", "time"},
        {"ce-time", "2018-04-05T18:31Z", "seconds", "time"},
        {"ce-time", "2018-04-05T18:31:00+05", "", "time"},
        {"ce-time", "2018-04-05T18:31:00+25:00", "", "time"},
        {"ce-time", "2018-04-05%2018:31:00Z", "a T between", "time"},
        {"ce-time", "", "found nothing", "time"},
        {"ce-subject", "", "found nothing", "subject"},
        {"ce-subject", "100%", "a percent sign is sent as %25", "subject"},
        {"ce-subject", "%zz", "byte 0", "subject"},
        {"ce-subject", "a%2", "byte 1", "subject"},
        {"ce-subject", "%C0%A0", "not UTF-8", "subject"},
        {"ce-subject", "%ff", "not UTF-8", "subject"},
        {"ce-subject", "%ED%A0%80", "not UTF-8", "subject"},
        {"ce-subject", "a%0Ab", "control character", "subject"},
        {"ce-subject", "%7f", "control character", "subject"},
        {"ce-subject", "\"a", "double quote", "subject"},
        {"ce-subject", "\"a\" b", "double quote", "subject"},
        {"ce-subject", "\"a\\", "double quote", "subject"},
        {"ce-dataschema", "schema", "a URI with its scheme", "dataschema"},
        {"ce-metadata", "[]", "a JSON object", "metadata"},
        {"ce-metadata", "{", "", "metadata"},
        {"content-type", "xyz", "a media type", "datacontenttype"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        core_headers(rig);
        add_header(rig, CASES[i].name, CASES[i].value);
        assert_int_equal(read_headers(rig, "{}"), SP_INVALID);
        error_is(rig, CASES[i].text, CASES[i].attribute);
    }
}

static void what_is_demanded_must_be_there(void **state) {
    struct rig *rig = *state;
    static const char *const NAMES[] = {"specversion", "type", "id", "source"};
    for (uint32_t i = 0; i < COUNT(NAMES); i++) {
        core_headers(rig);
        rig->headers[i + 1] = rig->headers[0];
        assert_int_equal(read_headers(rig, "{}"), SP_INVALID);
        error_is(rig, "absent, expected the header ce-", NAMES[i]);
        core_headers(rig);
        rig->headers[i + 1].value = SP_STR("");
        assert_int_equal(read_headers(rig, "{}"), SP_INVALID);
        error_is(rig, "expected", NAMES[i]);
    }
    core_headers(rig);
    rig->headers[1].value = SP_STR("0.3");
    assert_int_equal(read_headers(rig, "{}"), SP_INVALID);
    error_is(rig, "found \"0.3\", expected \"1.0\"", "specversion");
    core_headers(rig);
    rig->headers[4].value = SP_STR("%2Fa%20b");
    assert_int_equal(read_headers(rig, "{}"), SP_INVALID);
    error_is(rig, "found \"/a b\"", "source");
    core_headers(rig);
    add_header(rig, "content-type", "application/json");
    assert_int_equal(read_headers(rig, "{"), SP_INVALID);
    error_is(rig, "data, JSON by its datacontenttype", "data");
}

static void too_many_headers_are_refused(void **state) {
    struct rig *rig = *state;
    char names[SP_EVENT_EXTENSIONS_MAX + 1][16];
    core_headers(rig);
    for (int i = 0; i < SP_EVENT_EXTENSIONS_MAX + 1; i++) {
        memcpy(names[i], "ce-extaa", sizeof("ce-extaa"));
        names[i][6] = (char)('a' + i / 26);
        names[i][7] = (char)('a' + i % 26);
        add_header(rig, names[i], "v");
    }
    assert_int_equal(read_headers(rig, ""), SP_LIMIT);
}

/* ---- bodies of JSON -------------------------------------------------------------------------- */

/* Reads all of a body; returns how many events came, or -1, and the error says why. */
static int read_all(struct rig *rig, enum sp_ce_mode mode, const char *body) {
    struct sp_ce_reader reader;
    clear(rig);
    sp_status status =
        sp_ce_read_begin(&reader, mode, sp_str_from(body), &rig->scratch, &rig->error);
    int count = 0;
    while (status == SP_OK) {
        struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
        struct sp_buf scratch;
        status = sp_ce_read_next(&reader, &rig->event, &rig->error);
        if (status == SP_OK) {
            sp_buf_init(&scratch, 1 << 16);
            assert_int_equal(
                sp_event_check(&rig->event, SP_EVENT_FROM_JSON, &limits, &scratch, &rig->error),
                SP_OK);
            sp_buf_fini(&scratch);
            count++;
        }
    }
    assert_true(status == SP_END || status == SP_INVALID);
    return status == SP_END ? count : -1;
}

static void a_structured_body_is_one_event(void **state) {
    struct rig *rig = *state;
    assert_int_equal(read_all(rig, SP_CE_STRUCTURED,
                              " {" CORE ",\"datacontenttype\":\"application/json\","
                              "\"data\":{\"message\":\"Hello World!\"}} \n"),
                     1);
    is_text(rig->event.data, "{\"message\":\"Hello World!\"}");
    attr_is(rig, SP_ATTR_CONTENTTYPE, "application/json");
    assert_int_equal(read_all(rig, SP_CE_STRUCTURED, "{" CORE ",\"data\":\"{\\\"a\\\":1}\"}"), 1);
    is_text(rig->event.data, "\"{\\\"a\\\":1}\""); /* a string under JSON stays a JSON string */
    assert_true(rig->event.data_is_json);
    assert_int_equal(read_all(rig, SP_CE_STRUCTURED,
                              "{" CORE
                              ",\"datacontenttype\":\"text/xml\",\"data\":\"<a>\\u00e9</a>\"}"),
                     1);
    is_text(rig->event.data, "<a>\xc3\xa9</a>");
    assert_false(rig->event.data_is_json);
    assert_int_equal(read_all(rig, SP_CE_STRUCTURED, "{" CORE ",\"data\":null}"), 1);
    is_text(rig->event.data, "null");
    assert_int_equal(read_all(rig, SP_CE_STRUCTURED,
                              "{" CORE
                              ",\"datacontenttype\":\"image/png\",\"data_base64\":\"/wA=\"}"),
                     1);
    assert_int_equal(rig->event.data.len, 2);
    assert_int_equal(read_all(rig, SP_CE_STRUCTURED, "{" CORE ",\"data_base64\":null}"), 1);
    assert_false(rig->event.has_data);
}

static void a_batch_has_any_number_of_events(void **state) {
    struct rig *rig = *state;
    assert_int_equal(read_all(rig, SP_CE_BATCH, "[]"), 0);
    assert_int_equal(read_all(rig, SP_CE_BATCH, " [ ] "), 0);
    assert_int_equal(read_all(rig, SP_CE_BATCH, "[{" CORE "}]"), 1);
    assert_int_equal(read_all(rig, SP_CE_BATCH, "[{" CORE "}\n,\n{" CORE "}]"), 2);
    assert_int_equal(read_all(rig, SP_CE_BATCH,
                              "[{" CORE "},{" CORE ",\"datacontenttype\":\"text/plain\","
                              "\"dataschema\":\"https://x.io/s\",\"subject\":\"tests\","
                              "\"time\":\"2018-04-05T17:31:00Z\"}]"),
                     2);
    assert_int_equal(read_all(rig, SP_CE_BATCH,
                              "[{" CORE ",\"extinteger\":10,\"extboolean\":true,"
                              "\"extstring\":\"te\\u0078t\",\"extbinary\":\"TWE=\"}]"),
                     1);
    extension_is(rig, "extstring", "text");
    extension_is(rig, "extinteger", "10");
}

static void lenient_bodies_are_one_or_several(void **state) {
    struct rig *rig = *state;
    assert_int_equal(read_all(rig, SP_CE_LENIENT, "{\"type\":\"t\",\"agent_id\":\"a\"}"), 1);
    attr_is(rig, SP_ATTR_SOURCE, "a");
    assert_int_equal(
        read_all(rig, SP_CE_LENIENT,
                 "[{\"type\":\"t\",\"agent\":\"a\"},{\"event_type\":\"u\",\"source\":\"b\"}]"),
        2);
    attr_is(rig, SP_ATTR_TYPE, "u");
    assert_int_equal(read_all(rig, SP_CE_LENIENT, "[]"), 0);
}

static void wrong_bodies_are_refused_with_the_place(void **state) {
    struct rig *rig = *state;
    static const struct {
        enum sp_ce_mode mode;
        const char *body;
        const char *text;
        const char *attribute;
    } CASES[] = {
        {SP_CE_STRUCTURED, "", "the body: byte 0: expected a value", ""},
        {SP_CE_STRUCTURED, "[{" CORE "}]", "found an array, expected a JSON object", ""},
        {SP_CE_STRUCTURED, "\"x\"", "found a string", ""},
        {SP_CE_STRUCTURED, "{" CORE "} {}", "expected nothing after", ""},
        {SP_CE_STRUCTURED, "{" CORE ",}", "expected a key", ""},
        {SP_CE_STRUCTURED, "{" CORE, "the end of the text", ""},
        {SP_CE_BATCH, "{" CORE "}", "expected a JSON array of events", ""},
        {SP_CE_BATCH, "[{" CORE "}", "the end of the text", ""},
        {SP_CE_BATCH, "[{" CORE "}]x", "expected nothing after", ""},
        {SP_CE_BATCH, "[\"not an object\",{" CORE "}]", "event 1: found a string", ""},
        {SP_CE_BATCH, "[[]]", "event 1: found an array", ""},
        {SP_CE_BATCH, "[{" CORE "},null]", "event 2: found null", ""},
        {SP_CE_BATCH, "[{" CORE "},{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"s\"}]",
         "event 2: attribute id: absent", "id"},
        {SP_CE_BATCH,
         "[{" CORE "},{\"specversion\":\"0.9\",\"id\":\"2\",\"type\":\"t\",\"source\":\"s\"}]",
         "event 2: attribute specversion", "specversion"},
        {SP_CE_LENIENT, "17", "expected a JSON object or an array of them", ""},
        {SP_CE_LENIENT, "[{\"type\":\"t\",\"metadata\":1}]", "event 1: ", "metadata"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        if (read_all(rig, CASES[i].mode, CASES[i].body) != -1) {
            fail_msg("accepted: %s", CASES[i].body);
        }
        error_is(rig, CASES[i].text, CASES[i].attribute);
    }
}

static void errors_of_the_check_name_the_attribute(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *attribute;
    } CASES[] = {
        {"type: found the wildcard * as a token at byte 0, expected …", "type"},
        {"event 12: line 3: attribute my.ext: expected", "my.ext"},
        {"line 3: time: not a time", "time"},
        {"line 3: byte 4: expected a value", ""},
        {"data, JSON by its datacontenttype: byte 1: x", "data"},
        {"event: found more than 54 extension attributes", ""},
        {"the body: found a string", ""},
        {"", ""},
        {":", ""},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        sp_str found = sp_ce_error_attribute(sp_str_from(CASES[i].text));
        if (!sp_str_eq(found, sp_str_from(CASES[i].attribute))) {
            fail_msg("%s is about %.*s", CASES[i].text, SP_STR_ARG(found));
        }
    }
}

/* ---- out ------------------------------------------------------------------------------------- */

/* Reads a lenient event and writes it as a CloudEvent, which must be read strictly. */
static const char *written(struct rig *rig, const char *text) {
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    clear(rig);
    assert_int_equal(sp_event_from_json(sp_str_from(text), SP_EVENT_LENIENT, &rig->scratch,
                                        &rig->event, &rig->error),
                     SP_OK);
    assert_int_equal(
        sp_event_check(&rig->event, SP_EVENT_FROM_JSON, &limits, &rig->scratch, &rig->error),
        SP_OK);
    sp_buf_reset(&rig->out);
    sp_ce_write(&rig->event, NULL, &rig->out);
    sp_buf_add_byte(&rig->out, 0);
    assert_int_equal(rig->out.status, SP_OK);
    const char *line = (const char *)rig->out.data;
    struct sp_event again;
    struct sp_buf scratch;
    sp_buf_init(&scratch, 1 << 20);
    if (sp_event_from_json(sp_str_from(line), SP_EVENT_STRICT, &scratch, &again, &rig->error) !=
        SP_OK) {
        fail_msg("%s\n%s", line, rig->error.text);
    }
    assert_int_equal(again.has_data, rig->event.has_data);
    assert_int_equal(again.data_is_json, rig->event.data_is_json);
    assert_true(sp_str_eq(again.data, rig->event.data));
    sp_buf_fini(&scratch);
    return line;
}

static void events_are_written_as_cloudevents(void **state) {
    struct rig *rig = *state;
    static const struct {
        const char *event;
        const char *expected; /* behind the attributes that all have */
    } CASES[] = {
        {"{\"data\":{\"a\": [1.50]}", "\"data\":{\"a\": [1.50]}}"},
        {"{\"data\":null", "\"data\":null}"},
        {"{\"data\":\"text\"", "\"data\":\"text\"}"},
        {"{\"datacontenttype\":\"text/plain\",\"data\":\"a\\nb\"",
         "\"datacontenttype\":\"text/plain\",\"data\":\"a\\nb\"}"},
        {"{\"datacontenttype\":\"image/png\",\"data_base64\":\"/wA=\"",
         "\"datacontenttype\":\"image/png\",\"data_base64\":\"/wA=\"}"},
        {"{\"data_base64\":\"/wA=\"",
         "\"datacontenttype\":\"application/octet-stream\",\"data_base64\":\"/wA=\"}"},
        {"{\"metadata\":{\"a\":\t\"x\\ny\"}", "\"metadata\":\"{\\\"a\\\": \\\"x\\\\ny\\\"}\"}"},
        {"{\"metadata\":{\"a\":\"\x7f \xf0\x9f\xbf\xbe\"}",
         "\"metadata\":\"{\\\"a\\\":\\\"\\\\u007f \\\\ud83f\\\\udffe\\\"}\"}"},
        {"{\"n\":7,\"b\":true,\"low\":-2147483648", "\"n\":7,\"b\":true,\"low\":-2147483648}"},
        {"{\"n\":1.5,\"big\":2147483648,\"o\":{\"a\":1}",
         "\"n\":\"1.5\",\"big\":\"2147483648\",\"o\":\"{\\\"a\\\":1}\"}"},
        {"{\"my_field\":\"v\",\"A\":[1],\"fine\":\"f\",\"$id\":\"row\"",
         "\"fine\":\"f\",\"otherattributes\":\"{\\\"my_field\\\":\\\"v\\\",\\\"A\\\":[1],"
         "\\\"id\\\":\\\"row\\\"}\"}"},
        {"{\"dataschema\":\"x y\",\"subject\":\"s\"",
         "\"subject\":\"s\",\"otherattributes\":\"{\\\"dataschema\\\":\\\"x y\\\"}\"}"},
        {"{\"datacontenttype\":\"xyz\",\"data\":\"t\"",
         "\"datacontenttype\":\"application/octet-stream\",\"otherattributes\":"
         "\"{\\\"datacontenttype\\\":\\\"xyz\\\"}\",\"data\":\"t\"}"},
        {"{\"bytes\":{\"$base64\":\"/w==\"}",
         "\"otherattributes\":\"{\\\"bytes\\\":{\\\"$base64\\\":\\\"/w==\\\"}}\"}"},
        {"{\"otherattributes\":\"mine\"",
         "\"otherattributes\":\"{\\\"otherattributes\\\":\\\"mine\\\"}\"}"},
    };
    for (size_t i = 0; i < COUNT(CASES); i++) {
        char text[512];
        size_t len = strlen(CASES[i].event);
        assert_true(len + 64 < sizeof(text));
        memcpy(text, CASES[i].event, len);
        static const char REST[] = ",\"id\":\"i\",\"type\":\"t\",\"source\":\"s\"}";
        memcpy(text + len, REST, sizeof(REST));
        const char *line = written(rig, text);
        static const char BEFORE[] =
            "{\"specversion\":\"1.0\",\"id\":\"i\",\"type\":\"t\",\"source\":\"s\","
            "\"stream\":\"s\",";
        if (strncmp(line, BEFORE, sizeof(BEFORE) - 1) != 0 ||
            strcmp(line + sizeof(BEFORE) - 1, CASES[i].expected) != 0) {
            fail_msg("%s\nexpected %s", line, CASES[i].expected);
        }
    }
}

static void sources_and_times_are_brought_into_the_grammar(void **state) {
    struct rig *rig = *state;
    const char *line =
        written(rig, "{\"id\":\"i\",\"type\":\"t\",\"source\":\"w\xc3\xb6rker 1:2/x\","
                     "\"stream\":\"a b\",\"time\":\"2026-11-20 05:49:12Z\"}");
    assert_non_null(strstr(line, "\"source\":\"w%C3%B6rker%201%3A2/x\""));
    assert_non_null(strstr(line, "\"stream\":\"a b\""));
    assert_non_null(strstr(line, "\"time\":\"2026-11-20T05:49:12Z\""));
}

static void what_the_store_gave_is_written_as_extensions(void **state) {
    struct rig *rig = *state;
    static const uint8_t HASH[32] = {0xab, 0x01};
    (void)written(rig, "{\"id\":\"i\",\"type\":\"t\",\"source\":\"s\",\"data\":1}");
    rig->event.position = 5000000000;
    rig->event.version = 7;
    rig->event.recorded_us = 1795153752123456;
    rig->event.entry_seq = 3;
    sp_buf_reset(&rig->out);
    sp_ce_write(&rig->event, HASH, &rig->out);
    sp_buf_add_byte(&rig->out, 0);
    const char *line = (const char *)rig->out.data;
    assert_non_null(strstr(
        line,
        ",\"position\":\"5000000000\",\"version\":\"7\",\"sequence\":\"00000000005000000000\","
        "\"recordedtime\":\"2026-11-20T05:49:12.123456Z\",\"entryid\":\"1795153752123-3\","
        "\"hash\":\"ab01000000"));
    assert_non_null(strstr(line, ",\"data\":1}"));
    struct sp_event again;
    assert_int_equal(
        sp_event_from_json(sp_str_from(line), SP_EVENT_STRICT, &rig->scratch, &again, &rig->error),
        SP_OK);
    assert_int_equal(again.position, 0); /* assigned anew where it is appended */
    (void)written(rig, "{\"id\":\"i\",\"type\":\"t\",\"source\":\"s\",\"sequence\":\"9\"}");
    rig->event.position = 1;
    rig->event.version = 1;
    sp_buf_reset(&rig->out);
    sp_ce_write(&rig->event, NULL, &rig->out);
    sp_buf_add_byte(&rig->out, 0);
    line = (const char *)rig->out.data;
    assert_non_null(strstr(line, "\"sequence\":\"9\"")); /* the producer's own */
    assert_null(strstr(line, "\"sequence\":\"0"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mode_follows_from_the_headers),
        cmocka_unit_test(other_media_types_are_not_supported),
        cmocka_unit_test(attributes_are_headers_and_data_is_the_body),
        cmocka_unit_test(extensions_and_attributes_of_spoor_are_headers_too),
        cmocka_unit_test(values_are_unquoted_and_then_decoded_once),
        cmocka_unit_test(bodies_of_any_kind_stay_byte_for_byte),
        cmocka_unit_test(wrong_headers_are_refused_by_name),
        cmocka_unit_test(what_is_demanded_must_be_there),
        cmocka_unit_test(too_many_headers_are_refused),
        cmocka_unit_test(a_structured_body_is_one_event),
        cmocka_unit_test(a_batch_has_any_number_of_events),
        cmocka_unit_test(lenient_bodies_are_one_or_several),
        cmocka_unit_test(wrong_bodies_are_refused_with_the_place),
        cmocka_unit_test(errors_of_the_check_name_the_attribute),
        cmocka_unit_test(events_are_written_as_cloudevents),
        cmocka_unit_test(sources_and_times_are_brought_into_the_grammar),
        cmocka_unit_test(what_the_store_gave_is_written_as_extensions),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
