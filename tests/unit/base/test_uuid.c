#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "base/time.h"

static const char CANONICAL[] = "0192f3c1-7a4e-7c1b-9d2e-5b6f8a90abcd";

static void canonical_text_is_packed_and_restored(void **state) {
    (void)state;
    static const uint8_t BYTES[16] = {0x01, 0x92, 0xf3, 0xc1, 0x7a, 0x4e, 0x7c, 0x1b,
                                      0x9d, 0x2e, 0x5b, 0x6f, 0x8a, 0x90, 0xab, 0xcd};
    uint8_t packed[16];
    assert_true(sp_uuid_pack(SP_STR(CANONICAL), packed));
    assert_memory_equal(packed, BYTES, 16);
    char text[SP_UUID_TEXT_SIZE];
    sp_uuid_format(packed, text);
    assert_memory_equal(text, CANONICAL, SP_UUID_TEXT_SIZE);
}

static void every_value_survives(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(9);
    for (int i = 0; i < 20000; i++) {
        uint64_t words[2] = {sp_prng_next(&prng), sp_prng_next(&prng)};
        uint8_t bytes[16];
        memcpy(bytes, words, sizeof(bytes));
        char text[SP_UUID_TEXT_SIZE];
        char expected[64];
        sp_uuid_format(bytes, text);
        snprintf(expected, sizeof(expected),
                 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", bytes[0],
                 bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7], bytes[8],
                 bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]);
        assert_memory_equal(text, expected, SP_UUID_TEXT_SIZE);
        uint8_t back[16];
        assert_true(sp_uuid_pack(sp_str_of(text, sizeof(text)), back));
        assert_memory_equal(back, bytes, 16);
    }
}

/* Whatever packs must be written back as it was: every byte at every place. */
static void other_texts_are_left_alone(void **state) {
    (void)state;
    uint8_t untouched[16] = {42};
    for (size_t at = 0; at < SP_UUID_TEXT_SIZE; at++) {
        for (int byte = 0; byte < 256; byte++) {
            char text[SP_UUID_TEXT_SIZE];
            memcpy(text, CANONICAL, sizeof(text));
            text[at] = (char)byte;
            uint8_t packed[16] = {42};
            if (sp_uuid_pack(sp_str_of(text, sizeof(text)), packed)) {
                char back[SP_UUID_TEXT_SIZE];
                sp_uuid_format(packed, back);
                assert_memory_equal(back, text, sizeof(text));
            } else {
                assert_memory_equal(packed, untouched, sizeof(packed));
            }
        }
    }
    uint8_t packed[16];
    assert_false(sp_uuid_pack(sp_str_of(NULL, 0), packed));
    assert_false(sp_uuid_pack(sp_str_of(CANONICAL, 35), packed));
    assert_false(sp_uuid_pack(sp_str_of(CANONICAL, 37), packed));
    assert_false(sp_uuid_pack(SP_STR("0192F3C1-7A4E-7C1B-9D2E-5B6F8A90ABCD"), packed));
    assert_false(sp_uuid_pack(SP_STR("0192f3c17a4e7c1b9d2e5b6f8a90abcd0000"), packed));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_text_is_packed_and_restored),
        cmocka_unit_test(every_value_survives),
        cmocka_unit_test(other_texts_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
