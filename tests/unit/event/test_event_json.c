#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/prng.h"
#include "event/event_json.h"
#include "event_same.h"

struct reading {
    struct sp_event event;
    struct sp_buf scratch;
    struct sp_error error;
    struct sp_buf out;
    struct sp_event_limits limits;
};

static struct reading *reading_new(void) {
    struct reading *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    sp_buf_init(&r->scratch, 8 << 20);
    sp_buf_init(&r->out, 8 << 20);
    r->limits = SP_EVENT_LIMITS_DEFAULT;
    return r;
}

static void reading_free(struct reading *r) {
    sp_buf_fini(&r->scratch);
    sp_buf_fini(&r->out);
    free(r);
}

static sp_status read_text(struct reading *r, sp_str text) {
    sp_error_clear(&r->error);
    sp_buf_reset(&r->scratch);
    sp_buf_reset(&r->out);
    sp_status status =
        sp_event_from_json(text, SP_EVENT_LENIENT, &r->scratch, &r->event, &r->error);
    return status != SP_OK
               ? status
               : sp_event_check(&r->event, SP_EVENT_FROM_JSON, &r->limits, &r->scratch, &r->error);
}

static struct reading *read_event(const char *text) {
    struct reading *r = reading_new();
    if (read_text(r, sp_str_from(text)) != SP_OK) {
        fail_msg("%s\n%s", text, r->error.text);
    }
    return r;
}

/* What an export says of the event that the text gives. */
static void becomes(const char *text, const char *expected) {
    struct reading *r = read_event(text);
    sp_event_to_json(&r->event, NULL, &r->out);
    if (!sp_str_eq(sp_buf_str(&r->out), sp_str_from(expected))) {
        fail_msg("%s\nbecame   %.*s\nexpected %s", text, (int)r->out.len, (const char *)r->out.data,
                 expected);
    }
    reading_free(r);
}

static void refused(const char *text, const char *expected) {
    struct reading *r = reading_new();
    sp_status status = read_text(r, sp_str_from(text));
    assert_true(status == SP_INVALID || status == SP_LIMIT);
    if (strstr(r->error.text, expected) == NULL) {
        fail_msg("%s\n%s\nexpected %s", text, r->error.text, expected);
    }
    reading_free(r);
}

static void keys_are_written_in_a_fixed_order(void **state) {
    (void)state;
    becomes("{\"data\":{\"z\":1,\"a\":[]},\"metadata\":{\"k\":\"v\"},\"schemaversion\":\"2\","
            "\"zeta\":1,\"alpha\":\"x\",\"causationid\":\"c\",\"correlationid\":\"r\","
            "\"time\":\"2026-11-20T05:49:12Z\",\"stream\":\"st\",\"source\":\"so\",\"type\":\"ty\","
            "\"id\":\"i\",\"datacontenttype\":\"application/json\"}",
            "{\"id\":\"i\",\"type\":\"ty\",\"source\":\"so\",\"stream\":\"st\","
            "\"time\":\"2026-11-20T05:49:12Z\",\"correlationid\":\"r\",\"causationid\":\"c\","
            "\"schemaversion\":\"2\",\"datacontenttype\":\"application/json\","
            "\"metadata\":{\"k\":\"v\"},\"zeta\":1,\"alpha\":\"x\",\"data\":{\"z\":1,\"a\":[]}}");
}

static void assigned_values_come_last(void **state) {
    (void)state;
    struct reading *r = read_event("{\"id\":\"i\",\"type\":\"t\",\"source\":\"s\",\"data\":1}");
    r->event.position = 7;
    r->event.version = 3;
    r->event.recorded_us = UINT64_C(1795153752123456);
    r->event.entry_seq = 2;
    uint8_t hash[32];
    for (size_t i = 0; i < 32; i++) {
        hash[i] = (uint8_t)(i * 8 + 1);
    }
    sp_event_to_json(&r->event, hash, &r->out);
    assert_true(sp_str_eq(
        sp_buf_str(&r->out),
        SP_STR("{\"id\":\"i\",\"type\":\"t\",\"source\":\"s\",\"stream\":\"s\",\"data\":1,"
               "\"position\":7,\"version\":3,\"recordedtime\":\"2026-11-20T05:49:12.123456Z\","
               "\"entryid\":\"1795153752123-2\",\"hash\":"
               "\"0109111921293139414951596169717981899199a1a9b1b9c1c9d1d9e1e9f1f9\"}")));
    reading_free(r);
}

static void other_spellings_are_understood(void **state) {
    (void)state;
    becomes(
        "{\"event_id\":\"i\",\"event_type\":\"t\",\"agent_id\":\"a\",\"stream_id\":\"s\","
        "\"timestamp\":1795153752,\"conversation_id\":\"r\",\"parent_event_id\":\"c\","
        "\"event_version\":2,\"payload\":{\"k\":1}}",
        "{\"id\":\"i\",\"type\":\"t\",\"source\":\"a\",\"stream\":\"s\","
        "\"time\":\"2026-11-20T05:49:12.000000Z\",\"correlationid\":\"r\",\"causationid\":\"c\","
        "\"schemaversion\":\"2\",\"data\":{\"k\":1}}");
    becomes("{\"type\":\"t\",\"agent\":\"a\",\"metadata\":{\"correlationId\":\"r\"}}",
            "{\"type\":\"t\",\"source\":\"a\",\"stream\":\"a\",\"correlationid\":\"r\","
            "\"metadata\":{\"correlationId\":\"r\"}}");
    becomes("{\"ty\\u0070e\":\"\\u0074\",\"source\":\"\\u00e4\"}",
            "{\"type\":\"t\",\"source\":\"ä\",\"stream\":\"ä\"}");
}

static void spellings_that_lose_are_kept_as_extensions(void **state) {
    (void)state;
    becomes("{\"x\":1,\"agent_name\":\"Bob\",\"y\":2,\"type\":\"t\",\"agent_id\":\"a7\",\"z\":3,"
            "\"source\":\"svc\",\"payload\":[1],\"data\":2,\"agent\":\"\"}",
            "{\"type\":\"t\",\"source\":\"svc\",\"stream\":\"svc\",\"x\":1,\"agent_name\":\"Bob\","
            "\"y\":2,\"agent_id\":\"a7\",\"z\":3,\"payload\":[1],\"agent\":\"\",\"data\":2}");
    becomes("{\"type\":\"t\",\"agent_name\":\"Bob\",\"agent_id\":\"a7\"}",
            "{\"type\":\"t\",\"source\":\"a7\",\"stream\":\"a7\",\"agent_name\":\"Bob\"}");
    becomes("{\"type\":\"t\",\"source\":\"s\",\"correlationid\":\"\",\"conversation_id\":\"r\"}",
            "{\"type\":\"t\",\"source\":\"s\",\"stream\":\"s\",\"correlationid\":\"r\"}");
    becomes("{\"type\":\"t\",\"source\":\"s\",\"agent\":{\"name\":\"x\"},\"timestamp\":[1]}",
            "{\"type\":\"t\",\"source\":\"s\",\"stream\":\"s\",\"agent\":{\"name\":\"x\"},"
            "\"timestamp\":[1]}");
}

static void null_means_absent_but_for_data(void **state) {
    (void)state;
    becomes(
        "{\"id\":null,\"time\":null,\"a\":null,\"type\":\"t\",\"b\":1,\"c\":null,\"source\":\"s\","
        "\"metadata\":null,\"data\":null,\"data_base64\":null,\"specversion\":null}",
        "{\"type\":\"t\",\"source\":\"s\",\"stream\":\"s\",\"b\":1,\"data\":null}");
}

static void assigned_names_are_dropped(void **state) {
    (void)state;
    becomes("{\"type\":\"t\",\"source\":\"s\",\"position\":9,\"version\":{\"a\":1},"
            "\"recordedtime\":\"x\",\"entryid\":\"1-1\",\"hash\":\"ff\",\"specversion\":\"1.0\"}",
            "{\"type\":\"t\",\"source\":\"s\",\"stream\":\"s\"}");
}

static void data_is_kept_byte_for_byte(void **state) {
    (void)state;
    static const char *const DATA[] = {
        "{ \"a\" : 1.50 , \"b\":\"\\u00e4\\/\" }",
        "[1, 2]",
        "\"text \\n\"",
        "1e5",
        "-0",
        "true",
        "null",
        "{}",
        "\"\"",
        "12345678901234567890.12345678901234567890",
    };
    for (size_t i = 0; i < sizeof(DATA) / sizeof(DATA[0]); i++) {
        char text[256];
        struct sp_buf buf;
        sp_buf_init(&buf, sizeof(text));
        sp_buf_add_str(&buf, SP_STR("{\"type\":\"t\",\"source\":\"s\",\"data\": "));
        sp_buf_add_str(&buf, sp_str_from(DATA[i]));
        sp_buf_add_str(&buf, SP_STR(" }"));
        sp_buf_add_byte(&buf, 0);
        memcpy(text, buf.data, buf.len);
        sp_buf_fini(&buf);
        struct reading *r = read_event(text);
        assert_true(r->event.has_data && r->event.data_is_json);
        assert_true(sp_str_eq(r->event.data, sp_str_from(DATA[i])));
        reading_free(r);
    }
}

static void data_of_other_types_is_bytes(void **state) {
    (void)state;
    struct reading *r = read_event("{\"type\":\"t\",\"source\":\"s\",\"data\":\"a\\tb\\u0000\","
                                   "\"datacontenttype\":\"text/plain\"}");
    assert_false(r->event.data_is_json);
    assert_true(sp_str_eq(r->event.data, SP_STR("a\tb\0")));
    reading_free(r);
    r = read_event("{\"type\":\"t\",\"source\":\"s\",\"data_base64\":\"\\u002F\\/8A\","
                   "\"datacontenttype\":\"image/png\"}");
    assert_false(r->event.data_is_json);
    assert_true(sp_str_eq(r->event.data, SP_STR("\xff\xff\0")));
    sp_event_to_json(&r->event, NULL, &r->out);
    assert_true(sp_str_eq(sp_buf_str(&r->out),
                          SP_STR("{\"type\":\"t\",\"source\":\"s\",\"stream\":\"s\","
                                 "\"datacontenttype\":\"image/png\",\"data_base64\":\"//8A\"}")));
    reading_free(r);
    becomes("{\"type\":\"t\",\"source\":\"s\",\"data_base64\":\"eyAieHl6IjogMTIzIH0=\"}",
            "{\"type\":\"t\",\"source\":\"s\",\"stream\":\"s\",\"data\":{ \"xyz\": 123 }}");
    becomes("{\"type\":\"t\",\"source\":\"s\",\"datacontenttype\":\"text/csv\",\"data\":[1]}",
            "{\"type\":\"t\",\"source\":\"s\",\"stream\":\"s\",\"datacontenttype\":\"text/csv\","
            "\"data\":[1]}");
    becomes("{\"type\":\"t\",\"source\":\"s\",\"data_base64\":\"\",\"payload\":\"p\"}",
            "{\"type\":\"t\",\"source\":\"s\",\"stream\":\"s\",\"datacontenttype\":\"text/plain\","
            "\"payload\":\"p\",\"data\":\"\"}");
}

static void extensions_are_returned_as_given(void **state) {
    (void)state;
    becomes("{\"type\":\"t\",\"source\":\"s\",\"n\":1.50,\"b\":false,\"o\":{\"a\": [1]},"
            "\"Ä b\":\"\\u20ac\",\"$schema\":\"x\",\"$\":\"y\",\"e\":\"\"}",
            "{\"type\":\"t\",\"source\":\"s\",\"stream\":\"s\",\"n\":1.50,\"b\":false,"
            "\"o\":{\"a\": [1]},\"Ä b\":\"€\",\"$schema\":\"x\",\"$\":\"y\",\"e\":\"\"}");
}

static void metadata_may_be_text_that_holds_it(void **state) {
    (void)state;
    becomes("{\"type\":\"t\",\"source\":\"s\",\"metadata\":\" {\\\"a\\\":\\n1} \"}",
            "{\"type\":\"t\",\"source\":\"s\",\"stream\":\"s\",\"metadata\":{\"a\": 1}}");
}

static void what_is_wrong_is_named(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *error;
    } CASES[] = {
        {"", "byte 0"},
        {"[]", "found an array, expected a JSON object"},
        {"\"x\"", "found a string"},
        {"{\"type\":\"t\",\"source\":\"s\"", "byte 24"},
        {"{\"type\":\"t\",\"source\":\"s\"} x", "byte 26"},
        {"{\"type\":\"t\",\"source\":\"s\",\"data\":{\"a\":tru}}", "true, false or null"},
        {"{\"source\":\"s\"}", "type: absent"},
        {"{\"type\":\"t\"}", "source: absent"},
        {"{\"type\":\"a b\",\"source\":\"s\"}", "type: found white space at byte 1"},
        {"{\"type\":\"t\",\"source\":\"\"}", "source: found nothing"},
        {"{\"type\":true,\"source\":\"s\"}", "attribute type: found true, expected a string"},
        {"{\"type\":\"t\",\"source\":{}}", "attribute source: found an object"},
        {"{\"type\":\"t\",\"source\":\"s\",\"id\":[]}", "attribute id: found an array"},
        {"{\"type\":\"t\",\"source\":\"s\",\"time\":\"noon\"}", "time: "},
        {"{\"type\":\"t\",\"source\":\"s\",\"timestamp\":\"noon\"}", "time: "},
        {"{\"type\":\"t\",\"source\":\"s\",\"metadata\":[]}", "attribute metadata: found an array"},
        {"{\"type\":\"t\",\"source\":\"s\",\"metadata\":\"x\"}",
         "attribute metadata: found a string"},
        {"{\"type\":\"t\",\"type\":\"t\",\"source\":\"s\"}",
         "attribute type: found the name twice"},
        {"{\"type\":\"t\",\"source\":\"s\",\"k\":1,\"\\u006b\":2}",
         "attribute k: found the name twice"},
        {"{\"type\":\"t\",\"source\":\"s\",\"k\":null,\"k\":2}",
         "attribute k: found the name twice"},
        {"{\"type\":\"t\",\"source\":\"s\",\"time\":null,\"time\":null}", "attribute time: found"},
        {"{\"type\":\"t\",\"source\":\"s\",\"$agent\":1,\"agent\":\"x\"}",
         "attribute agent: found"},
        {"{\"type\":\"t\",\"source\":\"s\",\"agent\":{},\"agent\":\"x\"}",
         "attribute agent: found"},
        {"{\"type\":\"t\",\"source\":\"s\",\"data\":1,\"data_base64\":\"\"}",
         "data_base64: found it"},
        {"{\"type\":\"t\",\"source\":\"s\",\"data_base64\":\"a\"}", "expected Base64"},
        {"{\"type\":\"t\",\"source\":\"s\",\"data_base64\":1}", "expected a string of Base64"},
        {"{\"type\":\"t\",\"source\":\"s\",\"datacontenttype\":\"a/json\","
         "\"data_base64\":\"eHg=\"}",
         "data, JSON by its datacontenttype"},
        {"{\"type\":\"t\",\"source\":\"s\",\"specversion\":\"0.3\"}",
         "specversion: found \"0.3\", expected \"1.0\""},
        {"{\"type\":\"t\",\"source\":\"s\",\"specversion\":true}", "specversion: found true"},
        {"{\"type\":\"t\",\"source\":\"s\",\"\":1}", "without a name"},
        {"{\"type\":\"t\",\"source\":\"s\",\"a\\u0001\":1}", "control character in the name"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        refused(CASES[i].text, CASES[i].error);
    }
}

static void too_many_attributes_are_refused(void **state) {
    (void)state;
    struct sp_buf buf;
    sp_buf_init(&buf, 4096);
    sp_buf_add_str(&buf, SP_STR("{\"type\":\"t\",\"source\":\"s\""));
    for (uint64_t i = 0; i <= SP_EVENT_EXTENSIONS_MAX; i++) {
        sp_buf_add_str(&buf, SP_STR(",\"x"));
        sp_buf_add_u64(&buf, i);
        sp_buf_add_str(&buf, SP_STR("\":1"));
    }
    sp_buf_add_str(&buf, SP_STR("}\0"));
    refused((const char *)buf.data, "more than 54 extension attributes");
    sp_buf_fini(&buf);
}

/* Fields of XADD may have any name. Whatever their names, an export tells them from attributes, and
 * an import brings them back. */
static void names_that_collide_are_told_apart(void **state) {
    (void)state;
    struct reading *r = reading_new();
    r->event.attr[SP_ATTR_TYPE] = SP_STR("t");
    r->event.attr[SP_ATTR_SOURCE] = SP_STR("s");
    unsigned n = 0;
    static const char *const NAMES[] = {
        "id",   "data",     "position",    "hash", "$id", "$$id",        "payload",    "timestamp",
        "time", "agent_id", "causationId", "$",    "$x",  "specversion", "data_base64"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        r->event.extensions[n++] = (struct sp_extension){
            .name = sp_str_from(NAMES[i]), .value = i % 2 == 0 ? SP_STR("a\xff") : SP_STR("v")};
    }
    r->event.extension_count = (uint16_t)n;
    assert_int_equal(
        sp_event_check(&r->event, SP_EVENT_FROM_FIELDS, &r->limits, &r->scratch, &r->error), SP_OK);
    sp_event_to_json(&r->event, NULL, &r->out);
    assert_non_null(memmem(r->out.data, r->out.len, "\"$id\":{\"$base64\":\"Yf8=\"}", 24));
    assert_non_null(memmem(r->out.data, r->out.len, "\"$timestamp\":\"v\"", 16));
    assert_non_null(memmem(r->out.data, r->out.len, "\"agent_id\":\"v\"", 14));
    assert_non_null(memmem(r->out.data, r->out.len, "\"$$id\":", 7));
    struct reading *back = reading_new();
    assert_int_equal(read_text(back, sp_buf_str(&r->out)), SP_OK);
    assert_null(event_difference(&r->event, &back->event));
    reading_free(back);
    reading_free(r);
}

/* Random text: letters, quotes, controls, other scripts; every second time not even UTF-8. */
static sp_str random_text(struct sp_prng *prng, struct sp_buf *arena, bool any_bytes, size_t max) {
    size_t from = arena->len;
    assert_non_null(sp_buf_reserve(arena, SP_UTF8_SEQUENCE_MAX));
    for (size_t left = sp_prng_below(prng, (uint32_t)max + 1); left > 0; left--) {
        char bytes[SP_UTF8_SEQUENCE_MAX] = {(char)(uint8_t)sp_prng_next(prng)};
        static const uint32_t SCRIPTS[] = {0x80, 0x80, 0x80, 0x3000, 0xd000, 0x110000};
        uint32_t code = sp_prng_below(prng, SCRIPTS[left % 6]);
        code = (code & 0xfffff800) == 0xd800 ? '"' : code;
        size_t length = any_bytes ? 1 : sp_utf8_encode(code, bytes);
        sp_buf_add(arena, bytes, length);
    }
    return sp_str_of(arena->data + from, arena->len - from);
}

static sp_str random_json(struct sp_prng *prng, struct sp_buf *arena, int depth) {
    size_t from = arena->len;
    uint32_t kind = sp_prng_below(prng, depth > 3 ? 4 : 6);
    uint32_t count = sp_prng_below(prng, 4);
    if (kind == 0) {
        sp_buf_add_str(arena, SP_STR("-12.50e-3"));
    } else if (kind == 1) {
        sp_buf_add_str(arena, SP_STR("true"));
    } else if (kind == 2) {
        sp_buf_add_u64(arena, sp_prng_next(prng));
    } else if (kind == 3) {
        char text[64];
        struct sp_buf words;
        sp_buf_init(&words, sizeof(text));
        sp_json_add_string(arena, random_text(prng, &words, false, 12));
        sp_buf_fini(&words);
    } else {
        sp_buf_add_byte(arena, kind == 4 ? '[' : '{');
        for (uint32_t i = 0; i < count; i++) {
            sp_buf_add_str(arena, i > 0 ? SP_STR(", ") : SP_STR(""));
            if (kind == 5) {
                sp_buf_add_str(arena, SP_STR("\"k"));
                sp_buf_add_u64(arena, i);
                sp_buf_add_str(arena, SP_STR("\" :"));
            }
            (void)random_json(prng, arena, depth + 1);
        }
        sp_buf_add_byte(arena, kind == 4 ? ']' : '}');
    }
    return sp_str_of(arena->data + from, arena->len - from);
}

static void random_extensions(struct sp_prng *prng, struct sp_buf *arena, struct sp_event *event) {
    static const char *const NAMES[] = {
        "seq",     "id", "agent_id", "timestamp",     "$data",    "über",        "payload",
        "a\"b\\c", "$x", "$$hash",   "event_version", "position", "trace parent"};
    for (size_t i = sp_prng_below(prng, 3); i < sizeof(NAMES) / sizeof(NAMES[0]);
         i += 1 + sp_prng_below(prng, 5)) {
        struct sp_extension *extension = &event->extensions[event->extension_count++];
        *extension = (struct sp_extension){.name = sp_str_from(NAMES[i])};
        if (sp_prng_below(prng, 2) == 0) {
            extension->value = random_text(prng, arena, sp_prng_below(prng, 3) == 0, 20);
        } else {
            extension->kind = SP_VALUE_JSON;
            do {
                extension->value = random_json(prng, arena, 0);
            } while (extension->value.ptr[0] == '"');
        }
    }
}

static void random_event(struct sp_prng *prng, struct sp_buf *arena, struct sp_event *event) {
    memset(event, 0, sizeof(*event));
    event->attr[SP_ATTR_TYPE] = SP_STR("task.done");
    event->attr[SP_ATTR_SOURCE] = SP_STR("agent \"7\" ä");
    if (sp_prng_below(prng, 2) == 0) {
        event->attr[SP_ATTR_ID] = SP_STR("e-1");
    }
    if (sp_prng_below(prng, 2) == 0) {
        event->attr[SP_ATTR_CORRELATION] = SP_STR("run/1");
    }
    if (sp_prng_below(prng, 2) == 0) {
        event->attr[SP_ATTR_TIME] = SP_STR("2026-11-20");
    }
    if (sp_prng_below(prng, 2) == 0) {
        event->attr[SP_ATTR_METADATA] = SP_STR("{\"causationId\":\"c\\u0041\",\"x\":[1]}");
    }
    if (sp_prng_below(prng, 4) == 0) {
        event->attr[SP_ATTR_CONTENTTYPE] = SP_STR("text/x-log");
    }
    event->has_data = sp_prng_below(prng, 5) != 0;
    if (event->has_data) {
        event->data_is_json = sp_prng_below(prng, 2) == 0;
        event->data = event->data_is_json ? random_json(prng, arena, 0)
                                          : random_text(prng, arena, sp_prng_below(prng, 2), 40);
    }
    random_extensions(prng, arena, event);
}

static void reading_what_was_written_gives_the_same_event(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(2026);
    struct sp_buf arena;
    sp_buf_init(&arena, 1 << 20);
    assert_non_null(sp_buf_reserve(&arena, 1 << 20)); /* so that nothing moves */
    for (int round = 0; round < 20000; round++) {
        sp_buf_reset(&arena);
        struct reading *r = reading_new();
        random_event(&prng, &arena, &r->event);
        sp_status status =
            sp_event_check(&r->event, SP_EVENT_FROM_FIELDS, &r->limits, &r->scratch, &r->error);
        if (status != SP_OK) {
            fail_msg("%s", r->error.text);
        }
        sp_event_to_json(&r->event, NULL, &r->out);
        assert_int_equal(r->out.status, SP_OK);
        assert_null(memchr(r->out.data, '\n', r->out.len));
        struct reading *back = reading_new();
        if (read_text(back, sp_buf_str(&r->out)) != SP_OK) {
            fail_msg("%.*s\n%s", (int)r->out.len, (const char *)r->out.data, back->error.text);
        }
        const char *difference = event_difference(&r->event, &back->event);
        if (difference != NULL) {
            fail_msg("%s: %.*s", difference, (int)r->out.len, (const char *)r->out.data);
        }
        reading_free(back);
        reading_free(r);
    }
    sp_buf_fini(&arena);
}

static void several_events_share_a_buffer_that_was_reserved(void **state) {
    (void)state;
    sp_str text = SP_STR("{\"type\":\"\\u0061\",\"source\":\"\\u0062\",\"time\":0}");
    struct sp_event *events = calloc(10, sizeof(*events));
    assert_non_null(events);
    struct sp_buf scratch;
    sp_buf_init(&scratch, 1 << 16);
    assert_non_null(sp_buf_reserve(&scratch, sp_event_scratch_bytes(10 * text.len)));
    const uint8_t *home = scratch.data;
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(sp_event_from_json(text, SP_EVENT_LENIENT, &scratch, &events[i], NULL),
                         SP_OK);
        assert_int_equal(sp_event_check(&events[i], SP_EVENT_FROM_JSON, &limits, &scratch, NULL),
                         SP_OK);
    }
    assert_ptr_equal(scratch.data, home);
    for (size_t i = 0; i < 10; i++) {
        assert_true(sp_str_eq(events[i].attr[SP_ATTR_SOURCE], SP_STR("b")));
        assert_true(sp_str_eq(events[i].attr[SP_ATTR_TIME], SP_STR("1970-01-01T00:00:00.000000Z")));
    }
    sp_buf_fini(&scratch);
    free(events);
}

static void without_memory_it_says_so(void **state) {
    (void)state;
    struct reading *r = reading_new();
    sp_buf_fini(&r->scratch);
    sp_buf_init(&r->scratch, 32);
    assert_int_equal(read_text(r, SP_STR("{\"type\":\"t\",\"source\":\"s\"}")), SP_LIMIT);
    reading_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_written_in_a_fixed_order),
        cmocka_unit_test(assigned_values_come_last),
        cmocka_unit_test(other_spellings_are_understood),
        cmocka_unit_test(spellings_that_lose_are_kept_as_extensions),
        cmocka_unit_test(null_means_absent_but_for_data),
        cmocka_unit_test(assigned_names_are_dropped),
        cmocka_unit_test(data_is_kept_byte_for_byte),
        cmocka_unit_test(data_of_other_types_is_bytes),
        cmocka_unit_test(extensions_are_returned_as_given),
        cmocka_unit_test(metadata_may_be_text_that_holds_it),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(too_many_attributes_are_refused),
        cmocka_unit_test(names_that_collide_are_told_apart),
        cmocka_unit_test(reading_what_was_written_gives_the_same_event),
        cmocka_unit_test(several_events_share_a_buffer_that_was_reserved),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
