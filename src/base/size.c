#include "base/size.h"

static uint64_t unit_of(sp_str suffix) {
    static const struct {
        const char *name;
        uint64_t factor;
    } UNITS[] = {
        {"", 1},
        {"k", 1000},
        {"K", 1000},
        {"M", 1000 * 1000},
        {"G", 1000 * 1000 * 1000},
        {"Ki", UINT64_C(1) << 10},
        {"Mi", UINT64_C(1) << 20},
        {"Gi", UINT64_C(1) << 30},
        {"kb", UINT64_C(1) << 10},
        {"mb", UINT64_C(1) << 20},
        {"gb", UINT64_C(1) << 30},
    };
    if (suffix.len > 0 && suffix.ptr[suffix.len - 1] == 'B') {
        suffix.len--;
    }
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(*UNITS); i++) {
        if (sp_str_eq(suffix, sp_str_from(UNITS[i].name))) {
            return UNITS[i].factor;
        }
    }
    return 0;
}

sp_status sp_size_parse(sp_str text, uint64_t *ret_value, struct sp_error *error) {
    sp_require(ret_value != NULL);
    uint64_t value = 0;
    size_t digits = 0;
    bool fits = true;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') {
        fits = fits && !__builtin_mul_overflow(value, 10, &value) &&
               !__builtin_add_overflow(value, (uint64_t)(text.ptr[digits] - '0'), &value);
        digits++;
    }
    uint64_t unit = digits == 0 ? 0 : unit_of(sp_str_from_byte(text, digits));
    if (unit == 0) {
        return sp_error_set_at(error, SP_INVALID, digits, "'%.*s' is no whole number",
                               SP_STR_ARG(text));
    }
    if (!fits || __builtin_mul_overflow(value, unit, &value)) {
        return sp_error_set(error, SP_INVALID, "'%.*s' is too large", SP_STR_ARG(text));
    }
    *ret_value = value;
    return SP_OK;
}
