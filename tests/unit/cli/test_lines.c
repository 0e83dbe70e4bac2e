/* Lines of plain and compressed files; what is cut, damaged or too long. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zstd.h>

#include "cli/lines.h"

static char *write_file(const void *bytes, size_t len) {
    char *path = strdup("/tmp/spoor-lines-XXXXXX");
    assert_non_null(path);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    (void)close(fd);
    return path;
}

/* Reads all lines, joined by `|`, and how it ended. */
static sp_status read_file(const void *bytes, size_t len, char *text, size_t size,
                           struct sp_error *error) {
    char *path = write_file(bytes, len);
    struct sp_lines lines;
    size_t used = 0;
    sp_error_clear(error);
    assert_int_equal(sp_lines_open(&lines, path, NULL, error), SP_OK);
    sp_str line;
    sp_status status;
    while ((status = sp_lines_next(&lines, &line, error)) == SP_OK) {
        assert_true(used + line.len + 2 < size);
        memcpy(text + used, line.ptr, line.len);
        used += line.len;
        text[used++] = '|';
    }
    text[used] = '\0';
    sp_lines_close(&lines);
    (void)unlink(path);
    free(path);
    return status;
}

static void expect_lines(const char *content, const char *joined) {
    char text[256];
    struct sp_error error;
    assert_int_equal(read_file(content, strlen(content), text, sizeof(text), &error), SP_END);
    assert_string_equal(text, joined);
}

static void plain_lines(void **state) {
    (void)state;
    expect_lines("a\nbc\n", "a|bc|");
    expect_lines("a\n\nb", "a||b|");
    expect_lines("", "");
    expect_lines("\n", "|");
    expect_lines("\xef\xbb\xbf{}\n", "{}|");
    expect_lines("ab", "ab|");
}

static void long_lines_cross_reads(void **state) {
    (void)state;
    size_t len = 3 * 1000 * 1000;
    char *content = malloc(len);
    char *text = malloc(len + 10);
    assert_true(content != NULL && text != NULL);
    memset(content, 'x', len);
    content[1500000] = '\n';
    struct sp_error error;
    assert_int_equal(read_file(content, len, text, len + 10, &error), SP_END);
    assert_int_equal(strlen(text), len + 1);
    assert_int_equal(text[1500000], '|');
    free(content);
    free(text);
}

/* A compressed file of two frames, as `cat a.zst b.zst` makes them. */
static size_t compress_two(uint8_t *to, size_t size) {
    size_t first = ZSTD_compress(to, size, "a\nb", 3, 3);
    size_t second = ZSTD_compress(to + first, size - first, "c\nd\n", 4, 3);
    return first + second;
}

static void compressed_lines(void **state) {
    (void)state;
    uint8_t bytes[512];
    char text[256];
    struct sp_error error;
    size_t len = compress_two(bytes, sizeof(bytes));
    assert_int_equal(read_file(bytes, len, text, sizeof(text), &error), SP_END);
    assert_string_equal(text, "a|bc|d|");
    for (size_t cut = 5; cut < len; cut++) {
        sp_status status = read_file(bytes, cut, text, sizeof(text), &error);
        /* Between the frames the file is whole, only shorter. */
        assert_true(status == SP_INVALID || (status == SP_END && strcmp(text, "a|b|") == 0));
    }
}

static void damaged_compression_is_named(void **state) {
    (void)state;
    uint8_t bytes[512];
    char text[256];
    struct sp_error error;
    size_t len = compress_two(bytes, sizeof(bytes));
    bytes[4] ^= 0xff;
    assert_int_equal(read_file(bytes, len, text, sizeof(text), &error), SP_INVALID);
    assert_non_null(strstr(error.text, "damaged compression"));
}

static void a_missing_file_is_named(void **state) {
    (void)state;
    struct sp_lines lines;
    struct sp_error error;
    sp_error_clear(&error);
    assert_int_equal(sp_lines_open(&lines, "/nonexistent/x", NULL, &error), SP_NOT_FOUND);
    assert_non_null(strstr(error.text, "/nonexistent/x"));
    sp_lines_close(&lines);
}

static void too_long_a_line_is_passed_over(void **state) {
    (void)state;
    char path[] = "/tmp/spoor-lines-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    /* A hole of zeros is a line as good as any, and takes no room on the disk. */
    assert_int_equal(write(fd, "a\n", 2), 2);
    assert_int_equal(ftruncate(fd, (off_t)SP_LINES_BYTES_MAX + 1000000), 0);
    assert_int_equal(lseek(fd, 0, SEEK_END), (off_t)SP_LINES_BYTES_MAX + 1000000);
    assert_int_equal(write(fd, "\nb\n", 3), 3);
    (void)close(fd);
    struct sp_lines lines;
    struct sp_error error;
    sp_str line;
    sp_error_clear(&error);
    assert_int_equal(sp_lines_open(&lines, path, NULL, &error), SP_OK);
    assert_int_equal(sp_lines_next(&lines, &line, &error), SP_OK);
    assert_int_equal(sp_lines_next(&lines, &line, &error), SP_LIMIT);
    assert_int_equal(lines.number, 2);
    assert_int_equal(sp_lines_next(&lines, &line, &error), SP_OK);
    assert_int_equal(lines.number, 3);
    assert_true(sp_str_eq(line, SP_STR("b")));
    assert_int_equal(sp_lines_next(&lines, &line, &error), SP_END);
    sp_lines_close(&lines);
    (void)unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines),
        cmocka_unit_test(long_lines_cross_reads),
        cmocka_unit_test(compressed_lines),
        cmocka_unit_test(damaged_compression_is_named),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(too_long_a_line_is_passed_over),
    };
    return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
