/*
 * Filters in spoor's own dialect. Every case says which filter, which event, and whether it
 * matches.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "helper.h"

struct filter_case {
    const char *filter;
    const char *event;
    bool matches;
};

/* clang-format off */
#define TASK                                                                                       \
    "{\"type\":\"task.created\",\"source\":\"planner\",\"id\":\"e1\",\"correlationid\":\"run-7\"," \
    "\"data\":{\"priority\":\"high\",\"domain\":\"financial\",\"amount\":250," \
    "\"tags\":[\"urgent\",\"eu\",3,null],\"owner\":{\"name\":\"ada\",\"team\":null}," \
    "\"done\":false,\"items\":[{\"sku\":\"a\"},{\"sku\":\"b\"}]," \
    "\"note\":\"line\\none \\u20ac\"}}"
/* clang-format on */

static const struct filter_case CASES[] = {
    {"{}", TASK, true},
    /* The example of the articles. */
    {"{\"payload.priority\":{\"$gte\":\"high\"},\"payload.domain\":\"financial\"}", TASK, true},
    {"{\"data.priority\":{\"$gte\":\"critical\"},\"data.domain\":\"financial\"}", TASK, false},
    /* Attributes and their other names. */
    {"{\"type\":\"task.created\"}", TASK, true},
    {"{\"type\":\"task\"}", TASK, false},
    {"{\"event_type\":\"task.created\"}", TASK, true},
    {"{\"source\":\"planner\",\"id\":\"e1\"}", TASK, true},
    {"{\"agent_id\":\"planner\"}", TASK, true},
    {"{\"agent\":\"planner\",\"stream\":\"planner\",\"stream_id\":\"planner\"}", TASK, true},
    {"{\"correlation_id\":\"run-7\",\"conversation_id\":\"run-7\"}", TASK, true},
    {"{\"causationid\":{\"$exists\":false}}", TASK, true},
    {"{\"causation_id\":{\"$exists\":true}}", TASK, false},
    {"{\"type.x\":{\"$exists\":true}}", TASK, false},
    /* An extension of exactly that name comes before what the name would mean else. */
    {"{\"agent_id\":\"b\"}", "{\"source\":\"a\",\"agent_id\":\"b\"}", true},
    {"{\"source\":\"a\"}", "{\"source\":\"a\",\"agent_id\":\"b\"}", true},
    {"{\"agent_name\":\"a\"}", "{\"source\":\"a\",\"agent_id\":\"b\"}", true},
    /* Extensions: of any JSON type, with fields, with dots in their names. */
    {"{\"region\":\"eu\"}", "{\"region\":\"eu\"}", true},
    {"{\"region\":\"us\"}", "{\"region\":\"eu\"}", false},
    {"{\"attempt\":{\"$gte\":2}}", "{\"attempt\":2}", true},
    {"{\"dry\":true}", "{\"dry\":true}", true},
    {"{\"ext.a.b\":1}", "{\"ext\":{\"a\":{\"b\":1}}}", true},
    {"{\"ext.a\":{\"$exists\":true}}", "{\"ext\":\"a\"}", false},
    {"{\"user.name\":\"ada\"}", "{\"user.name\":\"ada\"}", true},
    {"{\"ext\":{\"$contains\":2}}", "{\"ext\":[1,2]}", true},
    {"{\"region\":{\"$exists\":false}}", "{\"region\":null}", true},
    {"{\"$id\":\"x\"}", "{\"id\":\"y\",\"$id\":\"x\"}", true},
    {"{\"id\":\"x\"}", "{\"id\":\"y\",\"$id\":\"x\"}", false},
    {"{\"metadata.k\":\"v\"}", "{\"metadata\":{\"k\":\"v\"}}", true},
    {"{\"metadata\":{\"$exists\":true}}", "{\"metadata\":{\"k\":\"v\"}}", true},
    {"{\"metadata.k\":{\"$exists\":false}}", "{}", true},
    /* Assigned attributes. */
    {"{\"position\":{\"$gt\":41}}", "{\"position\":42,\"version\":3}", true},
    {"{\"position\":42,\"version\":3}", "{\"position\":42,\"version\":3}", true},
    {"{\"version\":{\"$lt\":3}}", "{\"version\":3}", false},
    {"{\"recordedtime\":{\"$gte\":\"2026-11-20T05:49:12Z\"}}",
     "{\"recordedtime\":\"2026-11-20T05:49:12.5Z\"}", true},
    {"{\"recordedtime\":{\"$lt\":\"2026-11-20\"}}", "{\"recordedtime\":\"2026-11-20T05:49:12Z\"}",
     false},
    {"{\"recordedtime\":{\"$lte\":\"2026-11-20T06:49:12+01:00\"}}",
     "{\"recordedtime\":\"2026-11-20T05:49:12Z\"}", true},
    {"{\"recordedtime\":\"2026-11-20T05:49:12Z\"}", "{\"recordedtime\":\"2026-11-20T05:49:12Z\"}",
     true},
    {"{\"recordedtime\":{\"$prefix\":\"2026-11-20T05\"}}",
     "{\"recordedtime\":\"2026-11-20T05:49:12Z\"}", true},
    {"{\"entryid\":\"1700000000000-7\"}", "{\"entryid\":\"1700000000000-7\"}", true},
    {"{\"entryid\":{\"$gt\":\"1700000000000-7\"}}", "{\"entryid\":\"1700000000000-10\"}", true},
    {"{\"entryid\":{\"$gt\":\"999999999999-0\"}}", "{\"entryid\":\"1700000000000-0\"}", true},
    {"{\"entryid\":{\"$gt\":\"1700000000000\"}}", "{\"entryid\":\"1700000000000-9\"}", false},
    {"{\"entryid\":{\"$lte\":\"1700000000000\"}}", "{\"entryid\":\"1700000000000-9\"}", true},
    {"{\"entryid\":{\"$gte\":\"1700000000000\"}}", "{\"entryid\":\"1700000000000-0\"}", true},
    /* A schema version is a text that also counts as a number. */
    {"{\"schemaversion\":{\"$gte\":2}}", "{\"schemaversion\":\"10\"}", true},
    {"{\"schemaversion\":2}", "{\"schemaversion\":\"2\"}", true},
    {"{\"schemaversion\":\"2\"}", "{\"schemaversion\":2}", true},
    {"{\"event_version\":{\"$lt\":2}}", "{\"event_version\":1}", true},
    {"{\"schemaversion\":{\"$gte\":2}}", "{\"schemaversion\":\"v3\"}", false},
    /* Data. */
    {"{\"data.amount\":250}", TASK, true},
    {"{\"data.amount\":250.0}", TASK, true},
    {"{\"data.amount\":2.5e2}", TASK, true},
    {"{\"data.amount\":251}", TASK, false},
    {"{\"data.amount\":\"250\"}", TASK, false},
    {"{\"data.done\":false}", TASK, true},
    {"{\"data.done\":true}", TASK, false},
    {"{\"data.done\":0}", TASK, false},
    {"{\"data.owner.name\":\"ada\"}", TASK, true},
    {"{\"data.owner.team\":null}", TASK, true},
    {"{\"data.owner.none\":null}", TASK, false},
    {"{\"data.owner.team\":{\"$exists\":true}}", TASK, true},
    {"{\"data.owner\":{\"$exists\":true}}", TASK, true},
    {"{\"data.owner.name.x\":{\"$exists\":true}}", TASK, false},
    {"{\"data\":{\"$exists\":true}}", TASK, true},
    {"{\"data\":{\"$exists\":true}}", "{}", false},
    {"{\"data\":5}", "{\"data\":5}", true},
    {"{\"data.a\":{\"$exists\":true}}", "{\"data\":5}", false},
    {"{\"data\":null}", "{\"data\":null}", true},
    /* Data that is no JSON: a text as a whole, and without fields. */
    {"{\"data\":{\"$contains\":\"disk\"}}",
     "{\"datacontenttype\":\"text/plain\",\"data\":\"disk full\"}", true},
    {"{\"data.a\":1}", "{\"datacontenttype\":\"text/plain\",\"data\":\"{\\\"a\\\":1}\"}", false},
    {"{\"data.a\":{\"$ne\":1}}", "{\"datacontenttype\":\"text/plain\",\"data\":\"{\\\"a\\\":1}\"}",
     true},
    /* Order. */
    {"{\"data.amount\":{\"$gt\":249.9}}", TASK, true},
    {"{\"data.amount\":{\"$gt\":250}}", TASK, false},
    {"{\"data.amount\":{\"$gte\":250,\"$lte\":250}}", TASK, true},
    {"{\"data.amount\":{\"$lt\":1e3}}", TASK, true},
    {"{\"data.amount\":{\"$lt\":-1}}", TASK, false},
    {"{\"data.amount\":{\"$gt\":\"1\"}}", TASK, false},
    {"{\"data.amount\":{\"$lt\":\"1\"}}", TASK, false},
    {"{\"data.domain\":{\"$gt\":5}}", TASK, false},
    {"{\"data.domain\":{\"$gt\":\"a\",\"$lt\":\"g\"}}", TASK, true},
    {"{\"data.x\":{\"$gt\":9007199254740992}}", "{\"data\":{\"x\":9007199254740993}}", true},
    {"{\"data.x\":9007199254740992}", "{\"data\":{\"x\":9007199254740993}}", false},
    {"{\"data.x\":{\"$lt\":0}}", "{\"data\":{\"x\":-0.5}}", true},
    {"{\"data.x\":0}", "{\"data\":{\"x\":-0}}", true},
    {"{\"data.x\":{\"$lt\":\"b\"}}", "{\"data\":{\"x\":\"\\u0061z\"}}", true},
    /* Ranks. */
    {"{\"data.p\":{\"$gte\":\"medium\"}}", "{\"data\":{\"p\":\"normal\"}}", true},
    {"{\"data.p\":{\"$gt\":\"medium\"}}", "{\"data\":{\"p\":\"normal\"}}", false},
    {"{\"data.p\":{\"$gt\":\"normal\"}}", "{\"data\":{\"p\":\"urgent\"}}", true},
    {"{\"data.p\":{\"$lt\":\"high\"}}", "{\"data\":{\"p\":\"low\"}}", true},
    {"{\"data.p\":{\"$lte\":\"critical\"}}", "{\"data\":{\"p\":\"urgent\"}}", true},
    {"{\"data.p\":\"critical\"}", "{\"data\":{\"p\":\"urgent\"}}", true},
    {"{\"data.p\":{\"$ne\":\"critical\"}}", "{\"data\":{\"p\":\"urgent\"}}", false},
    {"{\"data.p\":{\"$in\":[\"medium\"]}}", "{\"data\":{\"p\":\"normal\"}}", true},
    {"{\"data.p\":{\"$gte\":\"warning\"}}", "{\"data\":{\"p\":\"error\"}}", true},
    {"{\"data.p\":{\"$gte\":\"warning\"}}", "{\"data\":{\"p\":\"debug\"}}", false},
    {"{\"data.p\":{\"$gt\":\"error\"}}", "{\"data\":{\"p\":\"fatal\"}}", true},
    {"{\"data.p\":{\"$gt\":\"high\"}}", "{\"data\":{\"p\":\"cr\\u0069tical\"}}", true},
    /* One of two words on no scale, or on another: bytes decide. */
    {"{\"data.p\":{\"$gt\":\"high\"}}", "{\"data\":{\"p\":\"zzz\"}}", true},
    {"{\"data.p\":{\"$gt\":\"high\"}}", "{\"data\":{\"p\":\"info\"}}", true},
    {"{\"data.p\":{\"$lt\":\"low\"}}", "{\"data\":{\"p\":\"HIGH\"}}", true},
    /* Sets. */
    {"{\"data.domain\":{\"$in\":[\"legal\",\"financial\"]}}", TASK, true},
    {"{\"data.domain\":{\"$in\":[\"legal\"]}}", TASK, false},
    {"{\"data.domain\":{\"$in\":[]}}", TASK, false},
    {"{\"data.domain\":{\"$nin\":[]}}", TASK, true},
    {"{\"data.domain\":{\"$nin\":[\"legal\",5]}}", TASK, true},
    {"{\"data.amount\":{\"$in\":[1,250]}}", TASK, true},
    {"{\"data.owner.team\":{\"$in\":[null]}}", TASK, true},
    {"{\"data.x\":{\"$in\":[null]}}", TASK, false},
    /* What is missing. */
    {"{\"data.x\":{\"$exists\":false}}", TASK, true},
    {"{\"data.x\":{\"$exists\":true}}", TASK, false},
    {"{\"data.x\":{\"$ne\":1}}", TASK, true},
    {"{\"data.x\":{\"$nin\":[1]}}", TASK, true},
    {"{\"data.x\":{\"$not\":{\"$gt\":1}}}", TASK, true},
    {"{\"data.x\":{\"$not\":{\"$exists\":true}}}", TASK, true},
    {"{\"data.x\":1}", TASK, false},
    {"{\"data.x\":null}", TASK, false},
    {"{\"data.x\":{\"$lt\":1}}", TASK, false},
    {"{\"data.x\":{\"$gte\":1}}", TASK, false},
    {"{\"data.x\":{\"$prefix\":\"\"}}", TASK, false},
    {"{\"data.x\":{\"$contains\":\"\"}}", TASK, false},
    {"{\"data.x\":{\"$regex\":\"\"}}", TASK, false},
    {"{\"data.x\":{\"$in\":[1]}}", TASK, false},
    /* Parts of texts. */
    {"{\"type\":{\"$prefix\":\"task.\"}}", TASK, true},
    {"{\"type\":{\"$prefix\":\"Task.\"}}", TASK, false},
    {"{\"type\":{\"$prefix\":\"task.created.x\"}}", TASK, false},
    {"{\"type\":{\"$suffix\":\".created\"}}", TASK, true},
    {"{\"type\":{\"$suffix\":\"task\"}}", TASK, false},
    {"{\"type\":{\"$contains\":\"k.c\"}}", TASK, true},
    {"{\"type\":{\"$contains\":\"kc\"}}", TASK, false},
    {"{\"data.domain\":{\"$prefix\":\"\"}}", TASK, true},
    {"{\"data.amount\":{\"$prefix\":\"2\"}}", TASK, false},
    {"{\"data.note\":\"line\\none €\"}", TASK, true},
    {"{\"data.note\":{\"$prefix\":\"line\\u000ao\"}}", TASK, true},
    {"{\"data.note\":{\"$suffix\":\" €\"}}", TASK, true},
    {"{\"data.note\":{\"$contains\":\"\\none\"}}", TASK, true},
    {"{\"data.note\":{\"$contains\":\"n1\"}}", TASK, false},
    {"{\"data.note\":{\"$regex\":\"^line\\none .$\"}}", TASK, true},
    {"{\"data.domain\":{\"$regex\":\"^(legal|fin.*)$\"}}", TASK, true},
    {"{\"data.domain\":{\"$regex\":\"FIN\"}}", TASK, false},
    {"{\"data.domain\":{\"$regex\":\"(?i)FIN\"}}", TASK, true},
    {"{\"data.amount\":{\"$regex\":\"2\"}}", TASK, false},
    /* Arrays. */
    {"{\"data.tags\":{\"$contains\":\"urgent\"}}", TASK, true},
    {"{\"data.tags\":{\"$contains\":\"urg\"}}", TASK, false},
    {"{\"data.tags\":{\"$contains\":3.0}}", TASK, true},
    {"{\"data.tags\":{\"$contains\":\"3\"}}", TASK, false},
    {"{\"data.tags\":{\"$contains\":null}}", TASK, true},
    {"{\"data.tags\":{\"$contains\":\"critical\"}}", TASK, true},
    {"{\"data.items\":{\"$contains\":\"a\"}}", TASK, false},
    {"{\"data.tags\":\"urgent\"}", TASK, false},
    {"{\"data.tags\":{\"$ne\":\"urgent\"}}", TASK, true},
    {"{\"data.tags.0\":\"urgent\"}", TASK, true},
    {"{\"data.tags.1\":\"eu\"}", TASK, true},
    {"{\"data.tags.4\":{\"$exists\":false}}", TASK, true},
    {"{\"data.tags.01\":{\"$exists\":false}}", TASK, true},
    {"{\"data.items.1.sku\":\"b\"}", TASK, true},
    {"{\"data.items.sku\":{\"$exists\":false}}", TASK, true},
    {"{\"data.0\":1}", "{\"data\":[1,2]}", true},
    {"{\"data.0\":1}", "{\"data\":{\"0\":1}}", true},
    {"{\"data.a.1.0\":4}", "{\"data\":{\"a\":[[1,2],[4]]}}", true},
    {"{\"data.a\":{\"$exists\":true},\"data.a.0\":1,\"data.a.1.b\":2}",
     "{\"data\":{\"a\":[1,{\"b\":2}]}}", true},
    {"{\"data.a\":{\"$contains\":1},\"data.a.0\":3}", "{\"data\":{\"a\":[3,1],\"b\":2}}", true},
    /* Keys: with dots, with escapes, twice. */
    {"{\"data.a.b\":1}", "{\"data\":{\"a.b\":1}}", true},
    {"{\"data.a.b.c\":1}", "{\"data\":{\"a.b\":{\"c\":1}}}", true},
    {"{\"data.a.b.c\":1}", "{\"data\":{\"a\":{\"b.c\":1}}}", true},
    {"{\"data.a.b.c\":1}", "{\"data\":{\"a.b.c\":1}}", true},
    {"{\"data.a.b.c\":1}", "{\"data\":{\"a\":{\"b\":{\"c\":1}}}}", true},
    {"{\"data.\\u0061\":1}", "{\"data\":{\"a\":1}}", true},
    {"{\"data.a\":1}", "{\"data\":{\"\\u0061\":1}}", true},
    {"{\"data.\\\"\":1}", "{\"data\":{\"\\\"\":1}}", true},
    {"{\"data.a\":1}", "{\"data\":{\"a\":1,\"a\":2}}", true},
    {"{\"data.a\":2}", "{\"data\":{\"a\":1,\"a\":2}}", false},
    {"{\"data.a\":1,\"data.b\":2,\"data.c\":3}",
     "{\"data\":{\"c\":3,\"x\":{\"a\":9},\"b\":2,\"a\":1}}", true},
    /* Logic. */
    {"{\"$or\":[{\"data.amount\":1},{\"type\":\"task.created\"}]}", TASK, true},
    {"{\"$or\":[{\"data.amount\":1},{\"type\":\"x\"}]}", TASK, false},
    {"{\"$and\":[{\"data.amount\":250},{\"type\":\"task.created\"}]}", TASK, true},
    {"{\"$and\":[{\"data.amount\":250},{\"type\":\"x\"}]}", TASK, false},
    {"{\"$not\":{\"data.amount\":250}}", TASK, false},
    {"{\"$not\":{\"data.amount\":250,\"type\":\"x\"}}", TASK, true},
    {"{\"$not\":{}}", TASK, false},
    {"{\"$or\":[{}]}", TASK, true},
    {"{\"type\":\"x\",\"$or\":[{},{}]}", TASK, false},
    {"{\"data.amount\":{\"$or\":[{\"$lt\":10},{\"$gt\":100}]}}", TASK, true},
    {"{\"data.amount\":{\"$and\":[{\"$lt\":1000},{\"$gt\":100}]}}", TASK, true},
    {"{\"data.amount\":{\"$not\":{\"$gt\":100,\"$lt\":1000}}}", TASK, false},
    {"{\"data.amount\":{\"$not\":{\"$not\":{\"$gt\":100}}}}", TASK, true},
    {"{\"$or\":[{\"$and\":[{\"data.amount\":1},{\"data.done\":false}]},"
     "{\"$not\":{\"data.done\":true}}]}",
     TASK, true},
    {"{\"data.amount\":{\"$gt\":1},\"data.amount\":{\"$lt\":2}}", TASK, false},
    {"{ \"data.done\" : false }\n", TASK, true},
};

static void test_cases(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const struct filter_case *c = &CASES[i];
        if (filter_matches(sp_str_from(c->filter), sp_str_from(c->event)) != c->matches) {
            fail_msg("%s on %s: expected %d", c->filter, c->event, c->matches);
        }
    }
}

static const struct {
    const char *filter;
    sp_status status;
    uint64_t offset;
    const char *text;
} REFUSED[] = {
    {"", SP_INVALID, 0, "expected a value"},
    {"5", SP_INVALID, 0, "expected an object"},
    {"[]", SP_INVALID, 0, "expected an object"},
    {"{\"a\":1", SP_INVALID, 6, "expected ',' or '}'"},
    {"{\"a\":1} x", SP_INVALID, 8, "nothing after"},
    {"{\"\":1}", SP_INVALID, 1, "empty"},
    {"{\"data..a\":1}", SP_INVALID, 1, "empty"},
    {"{\"data.\":1}", SP_INVALID, 1, "empty"},
    {"{\"hash\":\"x\"}", SP_UNSUPPORTED, 1, "hash"},
    {"{\"$nor\":{}}", SP_INVALID, 1, "$nor"},
    {"{\"$eq\":1}", SP_INVALID, 1, "expected a path"},
    {"{\"a\":{}}", SP_INVALID, 6, "expected an operator"},
    {"{\"a\":{\"$foo\":1}}", SP_INVALID, 6, "unknown operator `$foo`"},
    {"{\"a\":{\"b\":1}}", SP_INVALID, 6, "`a.b`"},
    {"{\"a\":{\"$in\":1}}", SP_INVALID, 12, "array"},
    {"{\"a\":{\"$in\":[[]]}}", SP_INVALID, 13, "expected a string"},
    {"{\"a\":{\"$eq\":{}}}", SP_INVALID, 12, "expected a string"},
    {"{\"a\":{\"$gt\":true}}", SP_INVALID, 12, "a number or a string"},
    {"{\"a\":{\"$exists\":1}}", SP_INVALID, 16, "true or false"},
    {"{\"a\":{\"$prefix\":1}}", SP_INVALID, 16, "a string"},
    {"{\"a\":{\"$regex\":1}}", SP_INVALID, 15, "a string"},
    {"{\"a\":{\"$regex\":\"a(b\"}}", SP_INVALID, 17, "never closed"},
    {"{\"a\":{\"$regex\":\"(?=b)\"}}", SP_UNSUPPORTED, 18, "looking"},
    {"{\"a\":{\"$and\":{}}}", SP_INVALID, 13, "array of objects"},
    {"{\"a\":{\"$or\":[]}}", SP_INVALID, 12, "at least one"},
    {"{\"$or\":[1]}", SP_INVALID, 8, "array of objects"},
    {"{\"$or\":{}}", SP_INVALID, 7, "array of objects"},
    {"{\"$not\":[]}", SP_INVALID, 8, "a filter"},
    {"{\"a\":{\"$not\":1}}", SP_INVALID, 13, "operators"},
    {"{\"a\":[1],\"b\":2}", SP_INVALID, 9, "EventBridge"},
    {"{\"$and\":[{\"a\":[1]}]}", SP_INVALID, 14, "$in"},
    {"{\"recordedtime\":{\"$gt\":\"soon\"}}", SP_INVALID, 23, "a time"},
    {"{\"recordedtime\":5}", SP_INVALID, 16, "a time"},
    {"{\"entryid\":{\"$gt\":\"x\"}}", SP_INVALID, 18, "entry id"},
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++) {
        struct sp_filter *filter = NULL;
        struct sp_error error;
        sp_error_clear(&error);
        sp_status status = sp_filter_compile(sp_str_from(REFUSED[i].filter), &filter, &error);
        if (status != REFUSED[i].status || error.offset != REFUSED[i].offset ||
            strstr(error.text, REFUSED[i].text) == NULL) {
            fail_msg("%s: %s, byte %d: %s", REFUSED[i].filter, sp_status_name(status),
                     (int)error.offset, error.text);
        }
        assert_int_equal(sp_filter_compile(sp_str_from(REFUSED[i].filter), &filter, NULL), status);
    }
}

/* Writes the form `count` times, with commas between, and 0, 1, 2, … in the place of each `#`. */
static size_t repeat(char *to, size_t size, const char *form, int count) {
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        for (const char *c = form; *c != '\0'; c++) {
            assert_true(at + 16 < size);
            if (*c == '#') {
                at += (size_t)snprintf(to + at, size - at, "%d", i);
            } else {
                to[at++] = *c;
            }
        }
        to[at++] = ',';
    }
    return at - 1;
}

static sp_status compile_around(const char *before, const char *form, int count,
                                const char *after) {
    static char text[2 * SP_FILTER_BYTES_MAX];
    size_t at = (size_t)snprintf(text, sizeof(text), "%s", before);
    at += repeat(text + at, sizeof(text) - at, form, count);
    at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", after);
    struct sp_filter *filter = NULL;
    sp_status status = sp_filter_compile(sp_str_of(text, at), &filter, NULL);
    sp_filter_free(status == SP_OK ? filter : NULL);
    return status;
}

static void test_limits(void **state) {
    (void)state;
    assert_int_equal(compile_around("{", "\"data.f#\":1", 128, "}"), SP_OK);
    assert_int_equal(compile_around("{", "\"data.f#\":1", 129, "}"), SP_LIMIT);
    assert_int_equal(compile_around("{", "\"data.a\":#", 512, "}"), SP_OK);
    assert_int_equal(compile_around("{", "\"data.a\":#", 513, "}"), SP_LIMIT);
    assert_int_equal(compile_around("{\"a\":{\"$in\":[", "#", 4096, "]}}"), SP_OK);
    assert_int_equal(compile_around("{\"a\":{\"$in\":[", "#", 4097, "]}}"), SP_LIMIT);
    assert_int_equal(
        compile_around("{\"a\":{\"$in\":[",
                       "\"a long text that is there to fill the space of a filter quickly #\"",
                       1200, "]}}"),
        SP_LIMIT);
    char deep[4096] = "";
    for (int i = 0; i < SP_FILTER_DEPTH_MAX; i++) {
        strcat(deep, "{\"$not\":");
    }
    strcat(deep, "{}");
    struct sp_filter *filter = NULL;
    assert_int_equal(sp_filter_compile(sp_str_from(deep), &filter, NULL), SP_INVALID);
    for (int i = 0; i < SP_FILTER_DEPTH_MAX; i++) {
        strcat(deep, "}");
    }
    assert_int_equal(sp_filter_compile(sp_str_from(deep), &filter, NULL), SP_LIMIT);
    char path[512] = "{\"data";
    for (int i = 0; i < 31; i++) {
        strcat(path, ".a");
    }
    strcat(path, "\":1}");
    assert_int_equal(sp_filter_compile(sp_str_from(path), &filter, NULL), SP_OK);
    sp_filter_free(filter);
    memcpy(path, "{\"x.b", 5);
    assert_int_equal(sp_filter_compile(sp_str_from(path), &filter, NULL), SP_LIMIT);
}

/*
 * A long text full of escapes is searched without being copied, and not in squares of its length.
 */
static void test_long_texts(void **state) {
    (void)state;
    const size_t size = 200000;
    char *event = malloc(size + 100);
    assert_non_null(event);
    size_t at = (size_t)sprintf(event, "{\"data\":{\"t\":\"");
    while (at < size) {
        memcpy(event + at, "aaa\\n", 5);
        at += 5;
    }
    at += (size_t)sprintf(event + at, "end\",\"u\":1}}");
    sp_str text = sp_str_of(event, at);
    assert_true(filter_matches(SP_STR("{\"data.t\":{\"$suffix\":\"aaa\\nend\"}}"), text));
    assert_true(filter_matches(SP_STR("{\"data.t\":{\"$contains\":\"aaa\\nend\"}}"), text));
    assert_false(filter_matches(SP_STR("{\"data.t\":{\"$contains\":\"aaa\\n\\n\"}}"), text));
    assert_true(
        filter_matches(SP_STR("{\"data.t\":{\"$regex\":\"a\\nend$\"},\"data.u\":1}"), text));
    free(event);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_long_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
