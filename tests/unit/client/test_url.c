#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/url.h"

/* Reads the text and compares `http|resp host port user password`. */
static void expect(const char *text, const char *expected) {
    struct sp_url url;
    struct sp_error error;
    char found[1024];
    sp_error_clear(&error);
    if (sp_url_parse(sp_str_from(text), &url, &error) != SP_OK) {
        fail_msg("%s: %s", text, error.text);
    }
    (void)snprintf(found, sizeof(found), "%s %s %s %s %s", url.is_http ? "http" : "resp", url.host,
                   url.port, url.user, url.has_password ? url.password : "-");
    assert_string_equal(found, expected);
}

static void refuse(const char *text, sp_status status, const char *piece) {
    struct sp_url url;
    struct sp_error error;
    sp_error_clear(&error);
    assert_int_equal(sp_url_parse(sp_str_from(text), &url, &error), status);
    if (strstr(error.text, piece) == NULL) {
        fail_msg("%s: \"%s\" does not say \"%s\"", text, error.text, piece);
    }
}

static void every_part_is_read(void **state) {
    (void)state;
    expect("http://localhost", "http localhost 7380 default -");
    expect("http://127.0.0.1:80/", "http 127.0.0.1 80 default -");
    expect("redis://host", "resp host 7379 default -");
    expect("spoor://host:65535", "resp host 65535 default -");
    expect("redis://:secret@host:1/0", "resp host 1 default secret");
    expect("redis://me:a%40b%3A@host", "resp host 7379 me a@b:");
    expect("redis://me@host", "resp host 7379 me -");
    expect("redis://:p@ss@host", "resp host 7379 default p@ss");
    expect("http://[::1]:99/v1", "http ::1 99 default -");
    expect("http://[fe80::1]", "http fe80::1 7380 default -");
    expect("redis://:@host", "resp host 7379 default ");
}

static void what_is_no_url_is_refused(void **state) {
    (void)state;
    refuse("ftp://host", SP_INVALID, "expected http://, redis:// or spoor://");
    refuse("https://host", SP_UNSUPPORTED, "no TLS");
    refuse("rediss://host", SP_UNSUPPORTED, "no TLS");
    refuse("http://", SP_INVALID, "host");
    refuse("http://:80", SP_INVALID, "host");
    refuse("http://host:", SP_INVALID, "port");
    refuse("http://host:0", SP_INVALID, "port");
    refuse("http://host:65536", SP_INVALID, "port");
    refuse("http://host:99999999999999999999", SP_INVALID, "port");
    refuse("http://host:8o", SP_INVALID, "port");
    refuse("http://[::1", SP_INVALID, "host");
    refuse("http://[::1]x", SP_INVALID, "host");
    refuse("redis://:%4@host", SP_INVALID, "two hexadecimal digits");
    refuse("redis://:%zz@host", SP_INVALID, "two hexadecimal digits");
    refuse("redis://:%00@host", SP_INVALID, "two hexadecimal digits");
    refuse("./data", SP_INVALID, "not a URL");
}

static void secrets_are_not_shown(void **state) {
    (void)state;
    struct sp_url url;
    assert_int_equal(sp_url_parse(SP_STR("http://me:secret@[::1]"), &url, NULL), SP_OK);
    assert_string_equal(url.shown, "http://[::1]:7380");
}

static void folders_are_no_urls(void **state) {
    (void)state;
    assert_false(sp_url_is(SP_STR("./data")));
    assert_false(sp_url_is(SP_STR("")));
    assert_false(sp_url_is(SP_STR("://x")));
    assert_false(sp_url_is(SP_STR("a:/x")));
    assert_false(sp_url_is(SP_STR("1a://x")));
    assert_true(sp_url_is(SP_STR("http://x")));
    assert_true(sp_url_is(SP_STR("HTTP://")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_is_read),
        cmocka_unit_test(what_is_no_url_is_refused),
        cmocka_unit_test(secrets_are_not_shown),
        cmocka_unit_test(folders_are_no_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
