#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "event/attributes.h"

static void every_name_of_the_table_is_found(void **state) {
    (void)state;
    for (size_t i = 0; i < SP_NAME_COUNT; i++) {
        sp_str name = sp_str_from(sp_names[i].text);
        assert_int_equal(name.len, sp_names[i].length);
        assert_ptr_equal(sp_name_find(name), &sp_names[i]);
    }
}

static void other_names_are_extensions(void **state) {
    (void)state;
    static const char *const OTHERS[] = {
        "",
        "i",
        "ID",
        "Id",
        "Type",
        "seq",
        "subject",
        "correlationID",
        "event-id",
        "datacontentType",
        "parent_event_idx",
        "conversation_i",
        "$id",
        "traceparent",
        "stream_ids",
        "zz",
    };
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++) {
        assert_null(sp_name_find(sp_str_from(OTHERS[i])));
    }
}

static void spellings_lead_to_their_attribute(void **state) {
    (void)state;
    static const struct {
        const char *name;
        enum sp_attr attr;
        uint8_t rank;
    } SPELLINGS[] = {
        {"id", SP_ATTR_ID, 0},
        {"event_id", SP_ATTR_ID, 1},
        {"type", SP_ATTR_TYPE, 0},
        {"event_type", SP_ATTR_TYPE, 1},
        {"source", SP_ATTR_SOURCE, 0},
        {"source_agent", SP_ATTR_SOURCE, 1},
        {"agent_id", SP_ATTR_SOURCE, 2},
        {"agent_name", SP_ATTR_SOURCE, 3},
        {"agent", SP_ATTR_SOURCE, 4},
        {"stream", SP_ATTR_STREAM, 0},
        {"stream_id", SP_ATTR_STREAM, 1},
        {"time", SP_ATTR_TIME, 0},
        {"timestamp", SP_ATTR_TIME, 1},
        {"correlationid", SP_ATTR_CORRELATION, 0},
        {"correlation_id", SP_ATTR_CORRELATION, 1},
        {"correlationId", SP_ATTR_CORRELATION, 2},
        {"conversation_id", SP_ATTR_CORRELATION, 3},
        {"causationid", SP_ATTR_CAUSATION, 0},
        {"causation_id", SP_ATTR_CAUSATION, 1},
        {"causationId", SP_ATTR_CAUSATION, 2},
        {"parent_event_id", SP_ATTR_CAUSATION, 3},
        {"schemaversion", SP_ATTR_SCHEMAVERSION, 0},
        {"schema_version", SP_ATTR_SCHEMAVERSION, 1},
        {"schemaVersion", SP_ATTR_SCHEMAVERSION, 2},
        {"event_version", SP_ATTR_SCHEMAVERSION, 3},
        {"datacontenttype", SP_ATTR_CONTENTTYPE, 0},
        {"metadata", SP_ATTR_METADATA, 0},
    };
    for (size_t i = 0; i < sizeof(SPELLINGS) / sizeof(SPELLINGS[0]); i++) {
        const struct sp_name *name = sp_name_find(sp_str_from(SPELLINGS[i].name));
        assert_non_null(name);
        assert_int_equal(name->attr, SPELLINGS[i].attr);
        assert_int_equal(name->rank, SPELLINGS[i].rank);
        assert_int_equal(name->kind, name->rank == 0 ? SP_NAME_ATTRIBUTE : SP_NAME_ALIAS);
        if (name->rank == 0) {
            assert_true(
                sp_str_eq(sp_attr_name((enum sp_attr)name->attr), sp_str_from(SPELLINGS[i].name)));
        }
    }
    static const char *const ASSIGNED[] = {"position", "version", "recordedtime", "entryid",
                                           "hash"};
    for (size_t i = 0; i < sizeof(ASSIGNED) / sizeof(ASSIGNED[0]); i++) {
        assert_int_equal(sp_name_find(sp_str_from(ASSIGNED[i]))->kind, SP_NAME_ASSIGNED);
    }
}

static void topics_are_accepted(void **state) {
    (void)state;
    char longest[256];
    memset(longest, 'x', 255);
    longest[255] = '\0';
    const char *const topics[] = {
        "a",      "task.completed", "a.b.c.d",          "*x",    "x*", "a.#b", ">>", "a..b", ".",
        "ä.日本", "a/b:c",          "\xf0\x9f\x98\x80", longest,
    };
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        assert_int_equal(sp_event_type_check(sp_str_from(topics[i]), NULL), SP_OK);
    }
}

static void other_texts_are_no_topics(void **state) {
    (void)state;
    char long_one[257];
    memset(long_one, 'x', 256);
    long_one[256] = '\0';
    const struct {
        const char *text;
        const char *found;
    } cases[] = {
        {"", "nothing"},
        {"a b", "white space at byte 1"},
        {"a\tb", "control character at byte 1"},
        {"a\xc2\xa0"
         "b",
         "white space at byte 1"},
        {"ab\xe3\x80\x80", "white space at byte 2"},
        {"a\xc2\x85", "control character"},
        {"a\x7f", "control character at byte 1"},
        {"a\xff", "not UTF-8 at byte 1"},
        {"*", "wildcard *"},
        {"a.*", "wildcard * as a token at byte 2"},
        {"a.#.b", "wildcard #"},
        {">", "wildcard >"},
        {long_one, "256 bytes"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_error error;
        assert_int_equal(sp_event_type_check(sp_str_from(cases[i].text), &error), SP_INVALID);
        if (strstr(error.text, cases[i].found) == NULL || strstr(error.text, "type: ") == NULL) {
            fail_msg("%s: %s", cases[i].text, error.text);
        }
    }
}

static void names_of_extensions_are_checked(void **state) {
    (void)state;
    char long_one[257];
    memset(long_one, 'x', 256);
    long_one[256] = '\0';
    assert_int_equal(sp_event_name_check(SP_STR("My Field.ä"), false, NULL), SP_OK);
    assert_int_equal(sp_event_name_check(SP_STR("My Field.ä"), true, NULL), SP_INVALID);
    assert_int_equal(sp_event_name_check(SP_STR("traceparent2"), true, NULL), SP_OK);
    assert_int_equal(sp_event_name_check(SP_STR("namethatismuchlongerthantwenty"), true, NULL),
                     SP_OK);
    assert_int_equal(sp_event_name_check(SP_STR("trace_parent"), true, NULL), SP_INVALID);
    assert_int_equal(sp_event_name_check(SP_STR(""), false, NULL), SP_INVALID);
    assert_int_equal(sp_event_name_check(SP_STR("a\nb"), false, NULL), SP_INVALID);
    assert_int_equal(sp_event_name_check(SP_STR("a\xff"), false, NULL), SP_INVALID);
    assert_int_equal(sp_event_name_check(sp_str_of(long_one, 255), false, NULL), SP_OK);
    assert_int_equal(sp_event_name_check(sp_str_of(long_one, 256), false, NULL), SP_INVALID);
}

static void content_types_of_json_are_known(void **state) {
    (void)state;
    static const char *const JSON[] = {"application/json",
                                       "text/json",
                                       "APPLICATION/JSON",
                                       "application/json; charset=utf-8",
                                       "application/json ;q=1",
                                       "application/cloudevents+json",
                                       "a/b+JSON;x"};
    static const char *const OTHER[] = {"",
                                        "json",
                                        "application/jsonl",
                                        "application/xjson",
                                        "text/plain; x=application/json",
                                        "application/json+xml",
                                        "application/",
                                        "text/plain"};
    for (size_t i = 0; i < sizeof(JSON) / sizeof(JSON[0]); i++) {
        assert_true(sp_content_type_is_json(sp_str_from(JSON[i])));
    }
    for (size_t i = 0; i < sizeof(OTHER) / sizeof(OTHER[0]); i++) {
        assert_false(sp_content_type_is_json(sp_str_from(OTHER[i])));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_of_the_table_is_found),
        cmocka_unit_test(other_names_are_extensions),
        cmocka_unit_test(spellings_lead_to_their_attribute),
        cmocka_unit_test(topics_are_accepted),
        cmocka_unit_test(other_texts_are_no_topics),
        cmocka_unit_test(names_of_extensions_are_checked),
        cmocka_unit_test(content_types_of_json_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
