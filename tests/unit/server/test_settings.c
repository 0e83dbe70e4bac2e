/* Settings: defaults, values of every type, names of Redis, files, and the documentation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "server/settings.h"

static struct sp_settings settings;

static int begin(void **state) {
    (void)state;
    return sp_settings_init(&settings) == SP_OK ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    sp_settings_fini(&settings);
    return 0;
}

static void set(const char *name, const char *value) {
    struct sp_error error;
    sp_error_clear(&error);
    enum sp_setting_id id = sp_setting_find(sp_str_from(name));
    assert_int_not_equal(id, SP_SET_COUNT);
    if (sp_settings_set(&settings, id, sp_str_from(value), &error) != SP_OK) {
        fail_msg("%s %s: %s", name, value, error.text);
    }
}

static void refuse(const char *name, const char *value, const char *piece) {
    struct sp_error error;
    struct sp_buf before;
    struct sp_buf after;
    enum sp_setting_id id = sp_setting_find(sp_str_from(name));
    sp_buf_init(&before, 1 << 20);
    sp_buf_init(&after, 1 << 20);
    sp_error_clear(&error);
    sp_settings_format(&settings, id, false, &before);
    assert_int_equal(sp_settings_set(&settings, id, sp_str_from(value), &error), SP_INVALID);
    assert_non_null(strstr(error.text, piece));
    assert_non_null(strstr(error.text, name));
    sp_settings_format(&settings, id, false, &after);
    assert_true(sp_str_eq(sp_buf_str(&before), sp_buf_str(&after)));
    sp_buf_fini(&before);
    sp_buf_fini(&after);
}

static void shows(const char *name, bool by_redis_name, const char *expected) {
    struct sp_buf text;
    sp_buf_init(&text, 1 << 20);
    sp_settings_format(&settings, sp_setting_find(sp_str_from(name)), by_redis_name, &text);
    sp_buf_add_byte(&text, '\0');
    assert_string_equal((const char *)text.data, expected);
    sp_buf_fini(&text);
}

static void test_defaults_are_those_of_the_table(void **state) {
    (void)state;
    assert_int_equal(sp_settings_u64(&settings, SP_SET_RESP_PORT), 7379);
    assert_int_equal(sp_settings_u64(&settings, SP_SET_OUTPUT_BUFFER), 8 << 20);
    assert_int_equal(sp_settings_u64(&settings, SP_SET_DURABILITY), SP_DURABILITY_ALWAYS);
    assert_string_equal(sp_settings_text(&settings, SP_SET_LISTEN).ptr, "127.0.0.1");
    for (unsigned i = 0; i < SP_SET_COUNT; i++) {
        const struct sp_setting *row = &sp_setting_table()[i];
        assert_int_equal(sp_setting_find(sp_str_from(row->name)), i);
        assert_true(strlen(row->meaning) > 0);
        if (row->redis_name[0] != '\0') {
            assert_int_equal(sp_setting_find(sp_str_from(row->redis_name)), i);
        }
    }
    assert_int_equal(sp_setting_find(SP_STR("no-such")), SP_SET_COUNT);
    assert_int_equal(sp_setting_find(SP_STR("")), SP_SET_COUNT);
}

static void test_values_of_every_type(void **state) {
    (void)state;
    set("output-buffer", "2Mi");
    shows("output-buffer", false, "2097152");
    set("output-buffer", "3mb");
    shows("output-buffer", false, "3145728");
    set("idle-timeout", "1m30s");
    shows("idle-timeout", false, "90s");
    set("idle-timeout", "1500ms");
    shows("idle-timeout", false, "1500ms");
    set("idle-timeout", "300");
    shows("timeout", true, "300");
    set("ALLOW-flushall", "YES");
    shows("allow-flushall", false, "yes");
    set("log-level", "warning");
    shows("log-level", false, "warn");
    set("loglevel", "verbose");
    shows("log-level", false, "debug");
    set("requirepass", "a b\"c");
    shows("password", false, "a b\"c");
    set("ephemeral-topics", "chat.* typing");
    shows("ephemeral-topics", false, "chat.* typing");
}

static void test_what_is_no_value_changes_nothing(void **state) {
    (void)state;
    refuse("output-buffer", "1", "is not from 1048576");
    refuse("output-buffer", "lots", "no whole number");
    refuse("resp-port", "65536", "is not from 0 to 65535");
    refuse("idle-timeout", "soon", "idle-timeout: ");
    refuse("allow-flushall", "maybe", "neither yes nor no");
    refuse("durability", "never", "always");
    refuse("listen", "", "0 bytes");
    refuse("max-connections", "99999999999999999999999", "too large");
}

static void read_file(const char *text, sp_status expected, const char *piece) {
    struct sp_error error;
    sp_error_clear(&error);
    assert_int_equal(sp_settings_read(&settings, sp_str_from(text), &error), expected);
    if (piece != NULL) {
        assert_non_null(strstr(error.text, piece));
    }
}

static void test_files_are_lines_of_names_and_values(void **state) {
    (void)state;
    read_file("# comment\n\n  resp-port\t7000  \r\npassword \"two words \"\nport 7001", SP_OK,
              NULL);
    shows("resp-port", false, "7001");
    shows("password", false, "two words ");
    read_file("resp-port 7002\nnope 1\n", SP_INVALID, "line 2: there is no setting 'nope'");
    read_file("\n\nresp-port\n", SP_INVALID, "line 3: resp-port");
    read_file("", SP_OK, NULL);
}

/* docs/settings.md holds the table as the program writes it. */
static void test_the_documentation_is_true(void **state) {
    (void)state;
    char path[4096];
    struct sp_buf table;
    struct sp_buf page;
    sp_buf_init(&table, 1 << 20);
    sp_buf_init(&page, 1 << 20);
    (void)snprintf(path, sizeof(path), "%s/docs/settings.md", getenv("SPOOR_SOURCE"));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = 0;
    do {
        uint8_t *room = sp_buf_reserve(&page, 4096);
        assert_non_null(room);
        len = fread(room, 1, 4096, file);
        sp_buf_advance(&page, len);
    } while (len > 0);
    assert_int_equal(fclose(file), 0);
    sp_settings_document(&table);
    sp_buf_add_byte(&table, '\0');
    sp_buf_add_byte(&page, '\0');
    if (strstr((const char *)page.data, (const char *)table.data) == NULL) {
        fail_msg("docs/settings.md does not hold this table:\n%s", (const char *)table.data);
    }
    sp_buf_fini(&table);
    sp_buf_fini(&page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults_are_those_of_the_table, begin, end),
        cmocka_unit_test_setup_teardown(test_values_of_every_type, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_no_value_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(test_files_are_lines_of_names_and_values, begin, end),
        cmocka_unit_test_setup_teardown(test_the_documentation_is_true, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
