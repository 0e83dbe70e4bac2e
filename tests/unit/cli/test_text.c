/* Text for people: safe for a terminal, cut to a width, events in one line; tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/member.h"
#include "cli/table.h"
#include "cli/text.h"

#define ELLIPSIS    "\xe2\x80\xa6"
#define REPLACEMENT "\xef\xbf\xbd"

static void expect_text(sp_str text, size_t columns_max, const char *shown, size_t columns) {
    struct sp_buf buf;
    sp_buf_init(&buf, 4096);
    sp_buf_add_str(&buf, SP_STR("<"));
    assert_int_equal(sp_text_add(&buf, text, columns_max), columns);
    sp_buf_add_byte(&buf, '\0');
    assert_string_equal((const char *)buf.data + 1, shown);
    assert_int_equal(sp_text_columns(sp_str_from((const char *)buf.data + 1)), columns);
    sp_buf_fini(&buf);
}

static void cut_to_a_width(void **state) {
    (void)state;
    expect_text(SP_STR("hello"), 10, "hello", 5);
    expect_text(SP_STR("hello"), 5, "hello", 5);
    expect_text(SP_STR("hello"), 4, "hel" ELLIPSIS, 4);
    expect_text(SP_STR("hello"), 1, ELLIPSIS, 1);
    expect_text(SP_STR("hello"), 0, "", 0);
    expect_text(SP_STR(""), 5, "", 0);
    /* Wide characters take two columns, and are not cut in half. */
    expect_text(SP_STR("\xe6\x97\xa5\xe6\x9c\xac"), 4, "\xe6\x97\xa5\xe6\x9c\xac", 4);
    expect_text(SP_STR("\xe6\x97\xa5\xe6\x9c\xac"), 3, "\xe6\x97\xa5" ELLIPSIS, 3);
    expect_text(SP_STR("e\xcc\x81x"), 2, "e\xcc\x81x", 2);
}

static void nothing_a_terminal_would_obey(void **state) {
    (void)state;
    expect_text(SP_STR("a\n\t  b\r\nc"), 10, "a b c", 5);
    expect_text(SP_STR("\x1b[31mred"), 20, REPLACEMENT "[31mred", 8);
    expect_text(SP_STR("a\x7f\xc2\x9b"), 20, "a" REPLACEMENT REPLACEMENT, 3);
    expect_text(SP_STR("\xe2\x80\xae"
                       "evil"),
                20, REPLACEMENT "evil", 5);
    expect_text(sp_str_of("a\0b", 3), 20, "a" REPLACEMENT "b", 3);
    expect_text(SP_STR("\xff\xc3"), 20, REPLACEMENT REPLACEMENT, 2);
}

static void expect_summary(const char *data, uint32_t is_json, size_t columns, const char *shown) {
    spoor_event event = {.size = sizeof(event), .data_is_json = is_json};
    event.data = spoor_text(data);
    event.datacontenttype = spoor_text(is_json ? NULL : "image/png");
    struct sp_buf buf;
    sp_buf_init(&buf, 4096);
    sp_text_add_summary(&buf, &event, columns);
    sp_buf_add_byte(&buf, '\0');
    assert_string_equal((const char *)buf.data, shown);
    sp_buf_fini(&buf);
}

static void data_in_one_line(void **state) {
    (void)state;
    expect_summary("{\"tool\":\"search\",\"n\":3,\"ok\":true}", 1, 80, "tool=search n=3 ok=true");
    expect_summary("{\"a\": {\"b\": [1, 2]}, \"c\": null}", 1, 80, "a={\"b\": [1, 2]} c=null");
    expect_summary("{\"text\":\"two\\nlines\\u001b[1m\"}", 1, 80,
                   "text=two lines" REPLACEMENT "[1m");
    expect_summary("{\"text\":\"a long story\",\"more\":1}", 1, 12, "text=a long" ELLIPSIS);
    expect_summary("{}", 1, 80, "");
    expect_summary("[1,2]", 1, 80, "[1,2]");
    expect_summary("\"said\"", 1, 80, "said");
    expect_summary("12345", 0, 80, "5 bytes of image/png");
    expect_summary(NULL, 1, 80, "");
}

static void expect_pretty(const char *json, const char *shown) {
    struct sp_buf buf;
    sp_buf_init(&buf, 4096);
    sp_text_add_pretty(&buf, sp_str_from(json), 2);
    sp_buf_add_byte(&buf, '\0');
    assert_string_equal((const char *)buf.data, shown);
    sp_buf_fini(&buf);
}

static void json_over_lines(void **state) {
    (void)state;
    expect_pretty("{\"a\":1,\"b\":[true,{}],\"c\":{\"d\":\"x  y\"}}",
                  "{\n    \"a\": 1,\n    \"b\": [\n      true,\n      {}\n    ],\n"
                  "    \"c\": {\n      \"d\": \"x  y\"\n    }\n  }");
    expect_pretty("[]", "[]");
    expect_pretty("3", "3");
}

static void sizes_in_words(void **state) {
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } CASES[] = {
        {0, "0 bytes"},           {1, "1 byte"},
        {1023, "1023 bytes"},     {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},        {1048575, "1.0 MiB"},
        {UINT64_MAX, "16.0 EiB"}, {10737418240, "10.0 GiB"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
        char text[SP_TEXT_BYTES_SIZE];
        sp_text_bytes(CASES[i].bytes, text);
        assert_string_equal(text, CASES[i].text);
    }
}

static void times_of_events(void **state) {
    (void)state;
    char text[SP_TEXT_TIME_SIZE];
    spoor_event event = {.size = sizeof(event), .recorded_us = 1795153752000000};
    sp_text_event_time(&event, text);
    assert_string_equal(text, "2026-11-20 05:49:12");
    event.time = spoor_text("2026-11-20T08:49:12.25+02:00");
    sp_text_event_time(&event, text);
    assert_string_equal(text, "2026-11-20 06:49:12");
    event.time = spoor_text("0001-01-01T00:00:00Z"); /* cannot be shown: when it was recorded */
    sp_text_event_time(&event, text);
    assert_string_equal(text, "2026-11-20 05:49:12");
}

/* Runs `fill` over a table of three columns and returns what it wrote. */
static void show_table(unsigned columns, void (*fill)(struct sp_table *), char *text, size_t size) {
    static const struct sp_table_column COLUMNS[] = {
        {.title = "N", .is_number = true}, {.title = "NAME", .columns_max = 8}, {.title = "DATA"}};
    FILE *file = tmpfile();
    assert_non_null(file);
    struct sp_out out;
    struct sp_table table;
    sp_out_init(&out, fileno(file), true);
    out.columns = columns;
    sp_table_init(&table, &out, COLUMNS, 3);
    fill(&table);
    sp_table_fini(&table);
    assert_int_equal(sp_out_fini(&out, NULL), SP_OK);
    ssize_t len = pread(fileno(file), text, size - 1, 0);
    assert_true(len >= 0);
    text[len] = '\0';
    (void)fclose(file);
}

static void add_row(struct sp_table *table, uint64_t number, const char *name, const char *data) {
    sp_table_add_u64(table, number);
    sp_table_add(table, sp_str_from(name));
    sp_table_add(table, sp_str_from(data));
}

static void fill_two(struct sp_table *table) {
    add_row(table, 7, "a", "first\nline");
    add_row(table, 100, "longer than that", "0123456789012345678901234567890");
}

static void fill_none(struct sp_table *table) {
    (void)table;
}

static void fill_many(struct sp_table *table) {
    for (unsigned i = 0; i < 3 * SP_TABLE_ROWS_KEPT; i++) {
        add_row(table, i, i == 250 ? "wider than before" : "b", "x");
    }
    sp_table_add_u64(table, 1);
    sp_table_add_indented(table, SP_STR("in"), 2);
    sp_table_add(table, SP_STR("y"));
}

static void tables_fit_the_terminal(void **state) {
    (void)state;
    char text[8192];
    show_table(40, fill_two, text, sizeof(text));
    assert_string_equal(text, "  N  NAME      DATA\n"
                              "  7  a         first line\n"
                              "100  longer " ELLIPSIS "  012345678901234567890123" ELLIPSIS "\n");
    show_table(40, fill_none, text, sizeof(text));
    assert_string_equal(text, "");
}

static void long_tables_stream(void **state) {
    (void)state;
    char text[8192];
    show_table(40, fill_many, text, sizeof(text));
    assert_non_null(strstr(text, "\n299  b     x\n"));
    assert_non_null(strstr(text, "\n250  wid" ELLIPSIS "  x\n"));
    assert_non_null(strstr(text, "\n  1    in  y\n"));
}

static void json_members(void **state) {
    (void)state;
    FILE *file = tmpfile();
    struct sp_out out;
    sp_out_init(&out, fileno(file), false);
    sp_out_print(&out, "{");
    sp_out_json_text(&out, "a", SP_STR("x\"y"));
    sp_out_json_u64(&out, "n", UINT64_MAX);
    sp_out_json_text(&out, "none", sp_str_of(NULL, 0));
    sp_out_print(&out, "}\n");
    assert_int_equal(sp_out_fini(&out, NULL), SP_OK);
    char text[100] = "";
    assert_true(pread(fileno(file), text, sizeof(text) - 1, 0) > 0);
    assert_string_equal(text, "{\"a\":\"x\\\"y\",\"n\":18446744073709551615,\"none\":null}\n");
    (void)fclose(file);
}

static void lengths_of_time(void **state) {
    static const struct {
        uint64_t seconds;
        const char *words;
    } CASES[] = {
        {0, "0 s"},         {59, "59 s"},        {60, "1 min"},          {3599, "59 min"},
        {3600, "1 h"},      {7500, "2 h 5 min"}, {86399, "23 h 59 min"}, {86400, "1 d"},
        {98000, "1 d 3 h"}, {864000, "10 d"},
    };
    char text[SP_TEXT_SPAN_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
        sp_text_span(CASES[i].seconds * 1000000 + 999999, text);
        assert_string_equal(text, CASES[i].words);
    }
    sp_text_span(UINT64_MAX, text);
    assert_non_null(strstr(text, " d"));
}

static const char OBJECT[] =
    "{\"a\":\"x\\ny\",\"n\":7,\"z\":null,\"list\":[\"p\",{\"q\":[1]},3],\"o\":{}}";

static void count_item(void *context, sp_str item) {
    struct sp_buf *to = context;
    sp_buf_add_str(to, item);
    sp_buf_add_byte(to, ';');
}

static void members_of_what_was_told(void **state) {
    struct sp_buf room;
    sp_str object = sp_str_from(OBJECT);
    (void)state;
    sp_buf_init(&room, 1024);
    assert_true(sp_str_eq(sp_cli_member(object, "n"), SP_STR("7")));
    assert_true(sp_str_eq(sp_cli_member_text(object, "a", &room), SP_STR("x\ny")));
    assert_true(sp_str_eq(sp_cli_member_raw(object, "a"), SP_STR("x\\ny")));
    assert_int_equal(sp_cli_member(object, "z").len, 0);
    assert_int_equal(sp_cli_member(object, "none").len, 0);
    assert_int_equal(sp_cli_member_raw(object, "n").len, 0);
    assert_int_equal(sp_cli_member(SP_STR("[1]"), "n").len, 0);
    assert_int_equal(sp_cli_member(SP_STR(""), "n").len, 0);
    sp_buf_reset(&room);
    sp_cli_member_items(sp_cli_member(object, "list"), count_item, &room);
    assert_true(sp_str_eq(sp_buf_str(&room), SP_STR("\"p\";{\"q\":[1]};3;")));
    sp_cli_member_items(SP_STR("{}"), count_item, &room);
    assert_int_equal(room.len, 16);
    sp_buf_fini(&room);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_of_time),
        cmocka_unit_test(members_of_what_was_told),
        cmocka_unit_test(cut_to_a_width),
        cmocka_unit_test(nothing_a_terminal_would_obey),
        cmocka_unit_test(data_in_one_line),
        cmocka_unit_test(json_over_lines),
        cmocka_unit_test(sizes_in_words),
        cmocka_unit_test(times_of_events),
        cmocka_unit_test(tables_fit_the_terminal),
        cmocka_unit_test(long_tables_stream),
        cmocka_unit_test(json_members),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
