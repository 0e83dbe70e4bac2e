#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/prng.h"

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static void same(double value, double expected) {
    assert_int_equal(bits_of(value), bits_of(expected));
}

static void hard_cases_are_rounded_correctly(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double value;
    } CASES[] = {
        {"0", 0.0},
        {"-0", -0.0},
        {"-0.0e5", -0.0},
        {"1", 1.0},
        {"-1.5", -1.5},
        {"0.1", 0x1.999999999999ap-4},
        {"1e23", 0x1.52d02c7e14af6p+76},
        {"8.5e22", 8.5e22},
        {"9007199254740992", 0x1p53},
        {"9007199254740993", 0x1p53}, /* a tie, to even */
        {"9007199254740993.0000000000000000000000000000000001", 0x1.0000000000001p53},
        {"9007199254740995", 0x1.0000000000002p53},
        {"18446744073709551615", 0x1p64},
        {"9999999999999999999", 1e19},
        {"1.7976931348623157e308", 0x1.fffffffffffffp1023},
        {"1.7976931348623158e308", 0x1.fffffffffffffp1023},
        {"1.7976931348623159e308", INFINITY},
        {"-1.7976931348623159e308", -INFINITY},
        {"1e309", INFINITY},
        {"1e99999999999999999999", INFINITY},
        {"-1e99999999999999999999", -INFINITY},
        {"0e99999999999999999999", 0.0},
        {"1e-99999999999999999999", 0.0},
        {"2.2250738585072014e-308", 0x1p-1022},
        {"2.2250738585072011e-308", 0x0.fffffffffffffp-1022},
        {"2.2250738585072012e-308", 0x1p-1022},
        {"5e-324", 0x1p-1074},
        {"4.9406564584124654e-324", 0x1p-1074},
        {"2.4703282292062327e-324", 0.0},
        {"2.4703282292062328e-324", 0x1p-1074},
        {"1e-400", 0.0},
        {"0.000000000000000000000000000000000000000000000000000000000001e60", 1.0},
        {"1000000000000000000000000000000000000000000000000000000000000e-60", 1.0},
        {"1e+0", 1.0},
        {"1E-2", 0.01},
        {"1e00000000000000000000000000002", 100.0},
        {"6.02214076e23", 6.02214076e23},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        same(sp_json_number(sp_str_from(CASES[i].text)), CASES[i].value);
    }
}

/* The exact midpoint between the two smallest doubles has 767 significant digits. What comes far
 * behind them still decides. */
static void the_longest_tie_is_decided_by_its_tail(void **state) {
    (void)state;
    char text[2048];
    int length = snprintf(text, sizeof(text), "%.1075f", 0x1p-1074);
    assert_true(length > 1000);
    same(sp_json_number(sp_str_of(text, (size_t)length)), 0x1p-1074);

    /* 3 × 2^-1075 lies between 1 and 2 units of 2^-1074; computed as text by adding half. */
    char digits[1100];
    memset(digits, 0, sizeof(digits));
    snprintf(digits, sizeof(digits), "%.1074f", 0x1p-1074);
    char tie[2300];
    size_t at = 0;
    tie[at++] = '0';
    tie[at++] = '.';
    unsigned remainder = 0;
    for (const char *d = digits + 2; *d != '\0' || remainder != 0;) {
        unsigned value = remainder * 10 + 3 * (unsigned)(*d != '\0' ? *d - '0' : 0);
        tie[at++] = (char)(value / 2 % 10 + '0');
        if (value / 2 >= 10) {
            for (size_t back = at - 2;; back--) { /* carry */
                if (tie[back] == '.') {
                    continue;
                }
                if (tie[back] != '9') {
                    tie[back]++;
                    break;
                }
                tie[back] = '0';
            }
        }
        remainder = value % 2;
        d += *d != '\0';
    }
    same(sp_json_number(sp_str_of(tie, at)), 0x1p-1073); /* to even */
    memset(tie + at, '0', 1000);
    tie[at + 1000] = '1';
    same(sp_json_number(sp_str_of(tie, at + 1001)), 0x1p-1073);
    tie[at - 1]--;
    memset(tie + at, '9', 1000);
    same(sp_json_number(sp_str_of(tie, at + 1000)), 0x1p-1074);
}

static void a_thousand_digits_are_read(void **state) {
    (void)state;
    char text[1100];
    memset(text, '7', 1000);
    same(sp_json_number(sp_str_of(text, 1000)), INFINITY);
    memcpy(text + 1000, "e-999", 5);
    same(sp_json_number(sp_str_of(text, 1005)), 0x1.f1c71c71c71c7p+2); /* 7.77… */
    memset(text, '0', 1000);
    text[1] = '.';
    memcpy(text + 1000, "25e998", 6);
    same(sp_json_number(sp_str_of(text, 1006)), 0.25);
}

/* Every double printed with 17 digits must come back; the libc is the judge of printing. */
static void doubles_survive_printing(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(5);
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = sp_prng_next(&prng);
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value)) {
            continue;
        }
        char text[64];
        int length = snprintf(text, sizeof(text), i % 2 == 0 ? "%.17g" : "%.16e", value);
        same(sp_json_number(sp_str_of(text, (size_t)length)), value);
        length = snprintf(text, sizeof(text), "%.*g", 1 + i % 25, value);
        same(sp_json_number(sp_str_of(text, (size_t)length)), strtod(text, NULL));
        length = snprintf(text, sizeof(text), "%.3f", (double)(int64_t)(bits >> 20) / 1000);
        same(sp_json_number(sp_str_of(text, (size_t)length)), strtod(text, NULL));
    }
}

static void a_locale_with_a_comma_changes_nothing(void **state) {
    (void)state;
    static const char *const LOCALES[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "nl_NL.UTF-8"};
    bool set = false;
    for (size_t i = 0; i < sizeof(LOCALES) / sizeof(LOCALES[0]) && !set; i++) {
        set = setlocale(LC_ALL, LOCALES[i]) != NULL;
    }
    /* 17 digits take the slow path; without such a locale the test still runs it. */
    same(sp_json_number(SP_STR("0.30000000000000004")), 0x1.3333333333334p-2);
    (void)setlocale(LC_ALL, "C");
}

static int compared(const char *a, const char *b) {
    int order = sp_json_compare_numbers(sp_str_from(a), sp_str_from(b));
    assert_int_equal(sp_json_compare_numbers(sp_str_from(b), sp_str_from(a)), -order);
    return order;
}

static void integers_compare_exactly(void **state) {
    (void)state;
    assert_int_equal(compared("9007199254740993", "9007199254740992"), 1);
    assert_int_equal(compared("-9007199254740993", "-9007199254740992"), -1);
    assert_int_equal(compared("9999999999999999999", "9999999999999999998"), 1);
    assert_int_equal(compared("-0", "0"), 0);
    assert_int_equal(compared("-1", "0"), -1);
    assert_int_equal(compared("-1", "1"), -1);
    assert_int_equal(compared("7", "7"), 0);
}

static void other_numbers_compare_as_doubles(void **state) {
    (void)state;
    assert_int_equal(compared("1.0", "1"), 0);
    assert_int_equal(compared("1e2", "100"), 0);
    assert_int_equal(compared("99.5", "100"), -1);
    assert_int_equal(compared("-1e400", "-1e300"), -1);
    assert_int_equal(compared("1e400", "2e400"), 0);
    assert_int_equal(compared("100000000000000000000", "99999999999999999999"), 0);
    assert_int_equal(compared("200000000000000000000", "100000000000000000000"), 1);
}

static int exact(const char *a, const char *b) {
    int order = sp_json_compare_exact(sp_str_from(a), sp_str_from(b));
    assert_int_equal(sp_json_compare_exact(sp_str_from(b), sp_str_from(a)), -order);
    return order;
}

static void any_numbers_compare_exactly(void **state) {
    (void)state;
    assert_int_equal(exact("100000000000000000000", "99999999999999999999"), 1);
    assert_int_equal(exact("1e400", "2e400"), -1);
    assert_int_equal(exact("1.0", "1"), 0);
    assert_int_equal(exact("10e-1", "1.000"), 0);
    assert_int_equal(exact("0.1", "0.10000000000000000000000001"), -1);
    assert_int_equal(exact("-0.0", "0e5"), 0);
    assert_int_equal(exact("-2", "-10"), 1);
    assert_int_equal(exact("-1", "0.0001"), -1);
    assert_int_equal(exact("123.456e3", "123456"), 0);
}

static bool integral(const char *raw) {
    return sp_json_is_integral(sp_str_from(raw));
}

static bool multiple(const char *raw, const char *divisor) {
    assert_true(sp_json_is_divisor(sp_str_from(divisor)));
    return sp_json_is_multiple(sp_str_from(raw), sp_str_from(divisor));
}

static void wholes_and_multiples_are_told(void **state) {
    (void)state;
    assert_true(integral("1.0") && integral("10e-1") && integral("1e99") && integral("-0.000"));
    assert_false(integral("1.5") || integral("1e-1") || integral("0.01e1"));
    assert_true(multiple("0", "3") && multiple("-9", "3") && multiple("0.0075", "0.0001"));
    assert_true(multiple("1e308", "0.5") && multiple("4.02", "0.01") && multiple("35", "1.75"));
    assert_false(multiple("0.00751", "0.0001") || multiple("1e308", "0.123456789"));
    assert_false(multiple("10", "3") || multiple("1", "10") || multiple("5", "1e1"));
    assert_true(multiple("123456789012345678000", "123456789012345678"));
    assert_false(multiple("123456789012345678001", "123456789012345678"));
    assert_false(sp_json_is_divisor(SP_STR("0")) || sp_json_is_divisor(SP_STR("-1")));
    assert_false(sp_json_is_divisor(SP_STR("1234567890123456789")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_cases_are_rounded_correctly),
        cmocka_unit_test(the_longest_tie_is_decided_by_its_tail),
        cmocka_unit_test(a_thousand_digits_are_read),
        cmocka_unit_test(doubles_survive_printing),
        cmocka_unit_test(a_locale_with_a_comma_changes_nothing),
        cmocka_unit_test(integers_compare_exactly),
        cmocka_unit_test(other_numbers_compare_as_doubles),
        cmocka_unit_test(any_numbers_compare_exactly),
        cmocka_unit_test(wholes_and_multiples_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
