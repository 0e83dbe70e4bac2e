#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/prng.h"

/* The vectors of RFC 4648, section 10. */
static void vectors_agree(void **state) {
    (void)state;
    static const char *const PAIRS[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xfe\xfb", "//77"},
    };
    for (size_t i = 0; i < sizeof(PAIRS) / sizeof(PAIRS[0]); i++) {
        struct sp_buf buf;
        sp_buf_init(&buf, 64);
        sp_base64_add(&buf, sp_str_from(PAIRS[i][0]));
        assert_true(sp_str_eq(sp_buf_str(&buf), sp_str_from(PAIRS[i][1])));
        sp_buf_reset(&buf);
        assert_true(sp_base64_decode(&buf, sp_str_from(PAIRS[i][1])));
        assert_true(sp_str_eq(sp_buf_str(&buf), sp_str_from(PAIRS[i][0])));
        sp_buf_fini(&buf);
    }
}

static void only_what_is_written_is_read(void **state) {
    (void)state;
    static const char *const WRONG[] = {"Z",    "Zg",       "Zg=",  "====",   "Zh==", "Zm9=",
                                        "Z===", "Zg==Zg==", "Zm-v", "Zm9v\n", "Zm 9", "=Zg="};
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        struct sp_buf buf;
        sp_buf_init(&buf, 64);
        assert_false(sp_base64_decode(&buf, sp_str_from(WRONG[i])));
        assert_int_equal(buf.len, 0);
        assert_int_equal(buf.status, SP_OK);
        sp_buf_fini(&buf);
    }
}

static void bytes_survive(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(8);
    for (size_t length = 0; length < 300; length++) {
        uint8_t bytes[300];
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (uint8_t)sp_prng_next(&prng);
        }
        struct sp_buf text;
        struct sp_buf back;
        sp_buf_init(&text, 1024);
        sp_buf_init(&back, 1024);
        sp_base64_add(&text, sp_str_of(bytes, length));
        assert_true(sp_base64_decode(&back, sp_buf_str(&text)));
        assert_true(sp_str_eq(sp_buf_str(&back), sp_str_of(bytes, length)));
        sp_buf_fini(&text);
        sp_buf_fini(&back);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_agree),
        cmocka_unit_test(only_what_is_written_is_read),
        cmocka_unit_test(bytes_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
