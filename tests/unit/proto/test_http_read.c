/* Requests of HTTP, read from bytes: what is taken, what is refused, and with what status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/http_read.h"
#include "proto/http_write.h"

static struct sp_http_pair room[SP_HTTP_HEADERS_MAX];
static struct sp_http_head head;
static struct sp_http_fault fault;

static enum sp_http_result read_str(sp_str text) {
    size_t scanned = 0;
    return sp_http_read_head(text.ptr, text.len, &scanned, room, &head, &fault);
}

static void takes(const char *text) {
    if (read_str(sp_str_from(text)) != SP_HTTP_READ_WHOLE) {
        fail_msg("refused with %d %s: %s", fault.status, fault.text, text);
    }
}

static void refuses(const char *text, int status, const char *reason) {
    if (read_str(sp_str_from(text)) != SP_HTTP_READ_ERROR || fault.status != status ||
        strstr(fault.text, reason) == NULL) {
        fail_msg("not refused with %d '%s' but %d '%s': %s", status, reason, fault.status,
                 fault.text, text);
    }
}

static void is_text(sp_str text, const char *expected) {
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
}

static void test_a_head_is_taken_apart(void **state) {
    (void)state;
    const char *text = "\r\nPOST /v1/events?a=b&c HTTP/1.1\r\nHost: here\r\nX-Empty: \t \r\n"
                       "Content-Length:  5 \r\nEXPECT: 100-Continue\r\n\r\nhello";
    takes(text);
    assert_int_equal(head.method, SP_HTTP_POST);
    is_text(head.method_text, "POST");
    is_text(head.target, "/v1/events?a=b&c");
    is_text(head.path, "/v1/events");
    is_text(head.query, "a=b&c");
    assert_int_equal(head.minor, 1);
    assert_true(head.keep_alive && !head.chunked && !head.upgrade && head.expects_continue);
    assert_int_equal(head.content_length, 5);
    assert_int_equal(head.bytes, strlen(text) - 5);
    assert_int_equal(head.header_count, 4);
    sp_str value;
    assert_true(sp_http_find(head.headers, head.header_count, SP_STR("content-length"), &value));
    is_text(value, "5");
    assert_true(sp_http_find(head.headers, head.header_count, SP_STR("x-empty"), &value));
    is_text(value, "");
    assert_false(sp_http_find(head.headers, head.header_count, SP_STR("hos"), &value));
    takes("GET / HTTP/1.0\r\n\r\n");
    assert_true(!head.keep_alive && head.minor == 0 && head.query.len == 0);
    takes("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert_true(head.keep_alive);
    takes("GET / HTTP/1.1\nHost: x\nConnection: close\n\n");
    assert_false(head.keep_alive);
    takes("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n");
    is_text(head.path, "*");
    takes("GET http://a.example:80/x?y HTTP/1.1\r\nHost: b\r\n\r\n");
    is_text(head.path, "/x");
    is_text(head.query, "y");
    takes("GET HTTP://a.example HTTP/1.1\r\nHost: b\r\n\r\n");
    is_text(head.path, "/");
    takes("PROPFIND / HTTP/1.1\r\nHost: b\r\n\r\n");
    assert_int_equal(head.method, SP_HTTP_OTHER);
    takes("POST / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: CHUNKED\r\n\r\n");
    assert_true(head.chunked && head.content_length == 0);
    takes("GET / HTTP/1.1\r\nHost: b\r\nConnection: x, upgrade\r\nUpgrade: resp\r\n\r\n");
    assert_true(head.upgrade);
}

static void test_smuggling_is_refused(void **state) {
    (void)state;
#define P "POST / HTTP/1.1\r\nHost: x\r\n"
    refuses(P "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "Content-Length");
    refuses(P "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400, "Content-Length");
    refuses(P "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, "one Content-Length");
    refuses(P "Content-Length: 1,1\r\n\r\n", 400, "Content-Length");
    refuses(P "Content-Length: 0x1\r\n\r\n", 400, "Content-Length");
    refuses(P "Content-Length: 1 2\r\n\r\n", 400, "Content-Length");
    refuses(P "Content-Length: 18446744073709551616\r\n\r\n", 400, "Content-Length");
    refuses(P "Content-Length : 1\r\n\r\n", 400, "");
    refuses(P "Transfer-Encoding: xchunked\r\n\r\n", 501, "chunked");
    refuses(P "Transfer-Encoding: chunked, identity\r\n\r\n", 501, "chunked");
    refuses(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "chunked");
    refuses(P "Transfer-Encoding: \"chunked\"\r\n\r\n", 501, "chunked");
    refuses(P "Transfer-Encoding: chunked\r\n chunked\r\n\r\n", 400, "");
    refuses("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0");
    refuses(P "Host: y\r\n\r\n", 400, "Host");
    refuses(P "X: y\rZ: z\r\n\r\n", 400, "");
#undef P
}

static void test_what_is_no_request_is_refused(void **state) {
    (void)state;
    refuses("\x16\x03\x01", 400, "no method");
    refuses("{\"a\":1}", 400, "no method");
    refuses("GET / HTTP/1.1\r\n\r\n", 400, "Host");
    refuses("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "one blank");
    refuses("GET / HTTP/1.1 x\r\nHost: x\r\n\r\n", 400, "");
    refuses("GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400, "");
    refuses("GET * HTTP/0.9\r\n\r\n", 505, "HTTP/1.1");
    refuses("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, "HTTP/1.1");
    refuses("GET / HTTP/11.1\r\nHost: x\r\n\r\n", 400, "HTTP/1.1");
    refuses("BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501, "'BREW'");
    refuses("get / HTTP/1.1\r\nHost: x\r\n\r\n", 501, "'get'");
    refuses("GET /\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "percent");
    refuses("GET / HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n\r\n", 417, "'200-ok'");
}

static void add_headers(struct sp_buf *to, int count) {
    sp_buf_add_str(to, SP_STR("GET / HTTP/1.1\r\nHost: x\r\n"));
    for (int i = 1; i < count; i++) {
        sp_buf_add_str(to, SP_STR("A: b\r\n"));
    }
    sp_buf_add_str(to, SP_STR("\r\n"));
}

static void test_limits_hold_exactly(void **state) {
    (void)state;
    struct sp_buf text;
    sp_buf_init(&text, 1 << 20);
    add_headers(&text, SP_HTTP_HEADERS_MAX);
    assert_int_equal(read_str(sp_buf_str(&text)), SP_HTTP_READ_WHOLE);
    sp_buf_reset(&text);
    add_headers(&text, SP_HTTP_HEADERS_MAX + 1);
    assert_int_equal(read_str(sp_buf_str(&text)), SP_HTTP_READ_ERROR);
    assert_int_equal(fault.status, 431);
    for (size_t over = 0; over < 2; over++) {
        sp_buf_reset(&text);
        sp_buf_add_str(&text, SP_STR("GET /"));
        for (size_t i = 1; i < SP_HTTP_TARGET_BYTES_MAX + over; i++) {
            sp_buf_add_byte(&text, 'a');
        }
        sp_buf_add_str(&text, SP_STR(" HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_int_equal(read_str(sp_buf_str(&text)),
                         over ? SP_HTTP_READ_ERROR : SP_HTTP_READ_WHOLE);
        assert_true(!over || fault.status == 414);
        sp_buf_reset(&text);
        sp_buf_add_str(&text, SP_STR("GET / HTTP/1.1\r\nHost: "));
        while (text.len + 4 < SP_HTTP_HEAD_BYTES_MAX + over) {
            sp_buf_add_byte(&text, 'h');
        }
        sp_buf_add_str(&text, SP_STR("\r\n\r\n"));
        assert_int_equal(read_str(sp_buf_str(&text)),
                         over ? SP_HTTP_READ_ERROR : SP_HTTP_READ_WHOLE);
        assert_true(!over || fault.status == 431);
        assert_int_equal(read_str(sp_str_of(text.data, text.len - 4)), SP_HTTP_READ_MORE);
    }
    sp_buf_fini(&text);
}

/* Handed over a byte at a time, at addresses of their own, heads are read as they are whole. */
static void test_pieces_make_no_difference(void **state) {
    (void)state;
    static const char TEXT[] = "\r\nPUT /a?b HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\nrest";
    size_t whole = sizeof(TEXT) - 5;
    size_t scanned = 0;
    for (size_t len = 0; len <= whole; len++) {
        char *copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy, TEXT, len);
        enum sp_http_result result = sp_http_read_head(copy, len, &scanned, room, &head, &fault);
        assert_int_equal(result, len == whole ? SP_HTTP_READ_WHOLE : SP_HTTP_READ_MORE);
        free(copy);
    }
    assert_int_equal(scanned, 0);
    assert_int_equal(head.bytes, whole);
}

static void test_escapes_are_resolved(void **state) {
    (void)state;
    struct sp_buf to;
    struct sp_error error;
    sp_buf_init(&to, 1000);
    assert_int_equal(sp_http_decode(&to, SP_STR("a%20b+%C3%A4%2f"), false, &error), SP_OK);
    is_text(sp_buf_str(&to), "a b+\xc3\xa4/");
    sp_buf_reset(&to);
    assert_int_equal(sp_http_decode(&to, SP_STR("a+b%2B"), true, &error), SP_OK);
    is_text(sp_buf_str(&to), "a b+");
    static const char *const BAD[] = {"%", "a%2", "%g0", "%0g", "%%20", "%c3", "%ed%a0%80", "%ff"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
        sp_buf_reset(&to);
        assert_int_equal(sp_http_decode(&to, sp_str_from(BAD[i]), false, &error), SP_INVALID);
        assert_true(error.text[0] != '\0' && to.len == 0);
    }
    sp_buf_fini(&to);
}

static void test_weights_are_read(void **state) {
    (void)state;
    assert_int_equal(sp_http_weight(SP_STR("gzip"), SP_STR("gzip")), 1000);
    assert_int_equal(sp_http_weight(SP_STR("br, GZIP ; q=0.25"), SP_STR("gzip")), 250);
    assert_int_equal(sp_http_weight(SP_STR("a/b;v=1;q=0.5,c/d;Q=0"), SP_STR("a/b")), 500);
    assert_int_equal(sp_http_weight(SP_STR("a/b;v=1;q=0.5,c/d;Q=0"), SP_STR("c/d")), 0);
    assert_int_equal(sp_http_weight(SP_STR("gzip;q=1.000"), SP_STR("gzip")), 1000);
    assert_int_equal(sp_http_weight(SP_STR("gzip;q=x"), SP_STR("gzip")), 0);
    assert_int_equal(sp_http_weight(SP_STR("gzipped,,"), SP_STR("gzip")), -1);
    assert_int_equal(sp_http_weight(SP_STR(""), SP_STR("gzip")), -1);
    assert_true(sp_http_list_has(SP_STR("keep-alive , Upgrade"), SP_STR("upgrade")));
    assert_false(sp_http_list_has(SP_STR("upgraded"), SP_STR("upgrade")));
}

/* Reads a chunked body in pieces of a size; the result, with the bytes in `to`. */
static enum sp_http_result read_chunks(sp_str text, size_t piece, struct sp_buf *to,
                                       size_t *ret_used) {
    struct sp_http_chunks *chunks = sp_http_chunks_new();
    enum sp_http_result result = SP_HTTP_READ_MORE;
    assert_non_null(chunks);
    *ret_used = 0;
    while (result == SP_HTTP_READ_MORE && *ret_used < text.len) {
        size_t left = text.len - *ret_used;
        size_t used = 0;
        result = sp_http_chunks_read(chunks, text.ptr + *ret_used, left < piece ? left : piece, to,
                                     &used, &fault);
        *ret_used += used;
    }
    sp_http_chunks_free(chunks);
    return result;
}

static void test_chunks_are_joined(void **state) {
    (void)state;
    static const char TEXT[] =
        "5\r\nhello\r\n1;x=y\r\n \r\n00a\r\n0123456789\r\n0\r\nT: v\r\n\r\nGET";
    struct sp_buf to;
    size_t used = 0;
    sp_buf_init(&to, 1000);
    for (size_t piece = 1; piece < sizeof(TEXT); piece++) {
        sp_buf_reset(&to);
        assert_int_equal(read_chunks(sp_str_from(TEXT), piece, &to, &used), SP_HTTP_READ_WHOLE);
        is_text(sp_buf_str(&to), "hello 0123456789");
        assert_int_equal(used, sizeof(TEXT) - 4);
    }
    static const char *const BAD[] = {"g\r\n", "5\r\nhello!\r\n", "-1\r\n", "\r\n",
                                      "fffffffffffffffff\r\n"};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
        assert_int_equal(read_chunks(sp_str_from(BAD[i]), 100, &to, &used), SP_HTTP_READ_ERROR);
        assert_int_equal(fault.status, 400);
    }
    sp_buf_fini(&to);
    sp_buf_init(&to, 10);
    assert_int_equal(read_chunks(SP_STR("b\r\nhello world\r\n"), 100, &to, &used),
                     SP_HTTP_READ_ERROR);
    assert_int_equal(fault.status, 413);
    sp_buf_fini(&to);
}

static void test_heads_are_written(void **state) {
    (void)state;
    struct sp_buf to;
    char text[SP_HTTP_DATE_SIZE];
    sp_buf_init(&to, 1000);
    sp_http_add_status(&to, 404);
    sp_http_add_field(&to, SP_STR("X"), SP_STR("a\r\nB: c\x7f\xff"));
    sp_http_add_field_u64(&to, SP_STR("N"), 42);
    is_text(sp_buf_str(&to), "HTTP/1.1 404 Not Found\r\nX: aB: c\r\nN: 42\r\n");
    is_text(sp_str_of(text, sp_http_date(784111777000, text)), "Sun, 06 Nov 1994 08:49:37 GMT");
    is_text(sp_str_of(text, sp_http_date(0, text)), "Thu, 01 Jan 1970 00:00:00 GMT");
    is_text(sp_str_of(text, sp_http_date(1709210096789, text)), "Thu, 29 Feb 2024 12:34:56 GMT");
    is_text(sp_str_of(text, sp_http_chunk_head(1, text)), "1\r\n");
    is_text(sp_str_of(text, sp_http_chunk_head(0x1a0f, text)), "1a0f\r\n");
    sp_buf_reset(&to);
    sp_http_add_json_text(&to, SP_STR("a\"\\\n\xff\xc3\xa4"));
    is_text(sp_buf_str(&to), "\"a\\\"\\\\\\ufffd\\ufffd\\ufffd\\ufffd\"");
    sp_buf_fini(&to);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_head_is_taken_apart),
        cmocka_unit_test(test_smuggling_is_refused),
        cmocka_unit_test(test_what_is_no_request_is_refused),
        cmocka_unit_test(test_limits_hold_exactly),
        cmocka_unit_test(test_pieces_make_no_difference),
        cmocka_unit_test(test_escapes_are_resolved),
        cmocka_unit_test(test_weights_are_read),
        cmocka_unit_test(test_chunks_are_joined),
        cmocka_unit_test(test_heads_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
