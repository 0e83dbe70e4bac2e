#include "proto/policy_text.h"

#include "base/time.h"

enum {
    US_PER_MS = 1000,
    MILLI = 1000,
    DECIMALS_MAX = 3,
    FACTOR_LEFT_OUT = 2000,
    JITTER_LEFT_OUT = 200,
};

/* ---- waits ----------------------------------------------------------------------------------- */

sp_status sp_delay_parse(sp_str text, uint64_t *ret_ms, struct sp_error *error) {
    uint64_t us = 0;
    sp_status status = sp_duration_parse(text, &us, error);
    if (status != SP_OK) {
        return status;
    }
    if (us % US_PER_MS != 0) {
        return sp_error_set(error, SP_INVALID, "'%.*s' is not a whole number of milliseconds",
                            SP_STR_ARG(text));
    }
    *ret_ms = us / US_PER_MS;
    return SP_OK;
}

void sp_delay_format(uint64_t ms, struct sp_buf *to) {
    static const struct {
        uint64_t ms;
        const char *unit;
    } UNITS[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    unsigned at = 0;
    while (ms % UNITS[at].ms != 0) {
        at++;
    }
    if (ms == 0) {
        sp_buf_add_str(to, SP_STR("0s"));
        return;
    }
    sp_buf_add_u64(to, ms / UNITS[at].ms);
    sp_buf_add_str(to, sp_str_from(UNITS[at].unit));
}

/* ---- numbers --------------------------------------------------------------------------------- */

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

sp_status sp_count_parse(sp_str text, uint32_t least, uint32_t most, uint32_t *ret_value,
                         struct sp_error *error) {
    uint64_t value = 0;
    bool fine = text.len > 0 && text.len <= 10;
    for (size_t i = 0; fine && i < text.len; i++) {
        fine = is_digit(text.ptr[i]);
        value = value * 10 + ((uint64_t)(uint8_t)text.ptr[i] - '0');
    }
    if (!fine || value < least || value > most) {
        return sp_error_set(error, SP_INVALID, "'%.*s' is not a whole number from %u to %u",
                            SP_STR_ARG(text), least, most);
    }
    *ret_value = (uint32_t)value;
    return SP_OK;
}

/* A decimal number in thousandths: `2`, `1.5`, `0.125`. False where it is none. */
static bool read_milli(sp_str text, uint32_t most, uint32_t *ret_milli) {
    uint64_t value = 0;
    size_t at = 0;
    while (at < text.len && is_digit(text.ptr[at]) && value <= most) {
        value = value * 10 + ((uint64_t)(uint8_t)text.ptr[at++] - '0');
    }
    if (at == 0) {
        return false;
    }
    value *= MILLI;
    if (at < text.len && text.ptr[at] == '.') {
        uint64_t worth = MILLI;
        size_t from = ++at;
        while (at < text.len && is_digit(text.ptr[at]) && at - from < DECIMALS_MAX) {
            worth /= 10;
            value += worth * ((uint64_t)(uint8_t)text.ptr[at++] - '0');
        }
        if (at == from) {
            return false;
        }
    }
    *ret_milli = (uint32_t)(value <= most ? value : 0);
    return at == text.len && value <= most;
}

static void format_milli(uint32_t milli, struct sp_buf *to) {
    uint32_t rest = milli % MILLI;
    sp_buf_add_u64(to, milli / MILLI);
    if (rest == 0) {
        return;
    }
    sp_buf_add_byte(to, '.');
    for (uint32_t worth = MILLI / 10; rest > 0; worth /= 10) {
        sp_buf_add_byte(to, (uint8_t)('0' + rest / worth));
        rest %= worth;
    }
}

/* ---- backoffs -------------------------------------------------------------------------------- */

/* The next word between blanks; empty at the end. */
static sp_str next_word(sp_str *rest) {
    while (rest->len > 0 && rest->ptr[0] == ' ') {
        *rest = sp_str_from_byte(*rest, 1);
    }
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] != ' ') {
        len++;
    }
    sp_str word = sp_str_of(rest->ptr, len);
    *rest = sp_str_from_byte(*rest, len);
    return word;
}

static sp_status read_waits(sp_str text, struct sp_backoff *backoff, struct sp_error *error) {
    size_t dots = 0;
    while (dots + 1 < text.len && !(text.ptr[dots] == '.' && text.ptr[dots + 1] == '.')) {
        dots++;
    }
    bool two = dots + 1 < text.len;
    sp_str first = two ? sp_str_of(text.ptr, dots) : text;
    sp_str last = two ? sp_str_from_byte(text, dots + 2) : text;
    sp_status status = sp_delay_parse(first, &backoff->first_ms, error);
    if (status == SP_OK) {
        status = sp_delay_parse(last, &backoff->max_ms, error);
    }
    if (status == SP_OK && backoff->first_ms > backoff->max_ms) {
        return sp_error_set(error, SP_INVALID, "the first wait, %.*s, is longer than the longest",
                            SP_STR_ARG(first));
    }
    return status;
}

static sp_status read_factor(sp_str word, struct sp_backoff *backoff, struct sp_error *error) {
    if (read_milli(sp_str_from_byte(word, 1), SP_BACKOFF_FACTOR_MILLI_MAX,
                   &backoff->factor_milli) &&
        backoff->factor_milli >= MILLI) {
        return SP_OK;
    }
    return sp_error_set(error, SP_INVALID, "the factor '%.*s' is not from x1 to x1000",
                        SP_STR_ARG(word));
}

static sp_status read_jitter(sp_str word, struct sp_backoff *backoff, struct sp_error *error) {
    if (read_milli(word, SP_BACKOFF_JITTER_MILLI_MAX, &backoff->jitter_milli)) {
        return SP_OK;
    }
    return sp_error_set(error, SP_INVALID, "the jitter '%.*s' is not from 0 to 1, as 0.2",
                        SP_STR_ARG(word));
}

sp_status sp_backoff_parse(sp_str text, struct sp_backoff *ret_backoff, struct sp_error *error) {
    struct sp_backoff backoff = {.factor_milli = FACTOR_LEFT_OUT, .jitter_milli = JITTER_LEFT_OUT};
    sp_str rest = text;
    sp_status status = read_waits(next_word(&rest), &backoff, error);
    bool factor = false;
    bool jitter = false;
    for (sp_str word = next_word(&rest); status == SP_OK && word.len > 0; word = next_word(&rest)) {
        if (word.ptr[0] == 'x' && !factor) {
            factor = true;
            status = read_factor(word, &backoff, error);
        } else if (sp_str_eq(word, SP_STR("jitter")) && !jitter) {
            jitter = true;
            status = read_jitter(next_word(&rest), &backoff, error);
        } else {
            status = sp_error_set(error, SP_INVALID, "'%.*s' is neither x<factor> nor jitter",
                                  SP_STR_ARG(word));
        }
    }
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "a backoff is written as 1s..60s x2 jitter 0.2");
    }
    *ret_backoff = backoff;
    return SP_OK;
}

void sp_backoff_format(const struct sp_backoff *backoff, struct sp_buf *to) {
    sp_delay_format(backoff->first_ms, to);
    if (backoff->max_ms != backoff->first_ms) {
        sp_buf_add_str(to, SP_STR(".."));
        sp_delay_format(backoff->max_ms, to);
    }
    sp_buf_add_str(to, SP_STR(" x"));
    format_milli(backoff->factor_milli, to);
    sp_buf_add_str(to, SP_STR(" jitter "));
    format_milli(backoff->jitter_milli, to);
}
