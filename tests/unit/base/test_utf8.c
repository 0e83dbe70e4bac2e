#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

static void every_code_point_survives(void **state) {
    (void)state;
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        if (code >= 0xd800 && code < 0xe000) {
            continue;
        }
        char text[SP_UTF8_SEQUENCE_MAX];
        size_t length = sp_utf8_encode(code, text);
        uint32_t back = 0;
        assert_int_equal(sp_utf8_decode(text, text + length, &back), length);
        assert_int_equal(back, code);
        assert_true(sp_utf8_valid(sp_str_of(text, length)));
        if (length > 1) {
            assert_int_equal(sp_utf8_decode(text, text + length - 1, &back), 0);
            assert_false(sp_utf8_valid(sp_str_of(text, length - 1)));
        }
    }
}

/* All sequences of two bytes, and of three and four over the bytes at the borders of table 3-7. */
static void exactly_the_shortest_forms_are_valid(void **state) {
    (void)state;
    static const uint8_t EDGES[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                    0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
                                    0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    enum { N = sizeof(EDGES) };
    for (size_t i = 0; i < (size_t)N * N * N * N; i++) {
        char text[4] = {(char)EDGES[i % N], (char)EDGES[i / N % N], (char)EDGES[i / N / N % N],
                        (char)EDGES[i / N / N / N]};
        uint32_t code = 0;
        size_t length = sp_utf8_decode(text, text + 4, &code);
        if (length == 0) {
            assert_false(sp_utf8_valid(sp_str_of(text, 4)));
            continue;
        }
        char again[SP_UTF8_SEQUENCE_MAX];
        assert_true(code <= 0x10ffff && (code < 0xd800 || code > 0xdfff));
        assert_int_equal(sp_utf8_encode(code, again), length);
        assert_memory_equal(again, text, length);
    }
}

static void text_is_checked_to_its_last_byte(void **state) {
    (void)state;
    assert_true(sp_utf8_valid(sp_str_of(NULL, 0)));
    for (size_t length = 1; length < 70; length++) {
        char *text = malloc(length);
        assert_non_null(text);
        memset(text, 'a', length);
        assert_true(sp_utf8_valid(sp_str_of(text, length)));
        for (size_t at = 0; at < length; at++) {
            text[at] = (char)0xe4;
            assert_false(sp_utf8_valid(sp_str_of(text, length)));
            text[at] = 'a';
            if (at + 1 < length) {
                memcpy(text + at, "ä", 2);
                assert_true(sp_utf8_valid(sp_str_of(text, length)));
                text[at] = 'a';
                text[at + 1] = 'a';
            }
        }
        free(text);
    }
}

static void classes_are_those_of_unicode(void **state) {
    (void)state;
    int spaces = 0;
    int controls = 0;
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        spaces += sp_utf8_is_space(code);
        controls += sp_utf8_is_control(code);
    }
    assert_int_equal(spaces, 25);
    assert_int_equal(controls, 65);
    assert_true(sp_utf8_is_space(0x3000) && sp_utf8_is_space('\t') && !sp_utf8_is_space(0x200b));
    assert_true(sp_utf8_is_control(0x7f) && sp_utf8_is_control(0x9f) && !sp_utf8_is_control(0xa0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_survives),
        cmocka_unit_test(exactly_the_shortest_forms_are_valid),
        cmocka_unit_test(text_is_checked_to_its_last_byte),
        cmocka_unit_test(classes_are_those_of_unicode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
