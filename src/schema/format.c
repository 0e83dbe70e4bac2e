/*
 * Formats, where they assert: a stranger's schema asks for it by its meta-schema, or the caller
 * does. Those of names beyond ASCII are not known, and so always hold, as the draft has it.
 */
#include "schema/schema_int.h"

static bool is_digit(char c) {
    return (uint8_t)(c - '0') < 10;
}

static bool is_hex(char c) {
    return is_digit(c) || (uint8_t)((c | 0x20) - 'a') < 6;
}

static bool is_alpha(char c) {
    return (uint8_t)((c | 0x20) - 'a') < 26;
}

/* The number that `count` digits at `from` write; -1 where they are none. */
static int digits(sp_str text, size_t from, size_t count) {
    int value = 0;
    for (size_t i = from; i < from + count; i++) {
        if (i >= text.len || !is_digit(text.ptr[i])) {
            return -1;
        }
        value = value * 10 + (text.ptr[i] - '0');
    }
    return value;
}

static bool is_at(sp_str text, size_t at, char c) {
    return at < text.len && text.ptr[at] == c;
}

static bool is_date(sp_str text) {
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = digits(text, 0, 4);
    int month = digits(text, 5, 2);
    int day = digits(text, 8, 2);
    if (text.len != 10 || text.ptr[4] != '-' || text.ptr[7] != '-' || year < 0 || month < 1 ||
        month > 12) {
        return false;
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day >= 1 && day <= DAYS[month - 1] + (month == 2 && leap);
}

/* hh:mm:ss[.f…](Z|±hh:mm); a leap second only where it is 23:59 in UTC. */
static bool is_time(sp_str text) {
    int hour = digits(text, 0, 2);
    int minute = digits(text, 3, 2);
    int second = digits(text, 6, 2);
    if (hour < 0 || hour > 23 || !is_at(text, 2, ':') || minute < 0 || minute > 59 ||
        !is_at(text, 5, ':') || second < 0 || second > 60) {
        return false;
    }
    size_t at = 8;
    if (is_at(text, at, '.')) {
        size_t from = ++at;
        while (at < text.len && is_digit(text.ptr[at])) {
            at++;
        }
        if (at == from) {
            return false;
        }
    }
    int offset = 0;
    if (is_at(text, at, '+') || is_at(text, at, '-')) {
        int hours = digits(text, at + 1, 2);
        int minutes = digits(text, at + 4, 2);
        if (text.len != at + 6 || hours < 0 || hours > 23 || !is_at(text, at + 3, ':') ||
            minutes < 0 || minutes > 59) {
            return false;
        }
        offset = (hours * 60 + minutes) * (text.ptr[at] == '+' ? 1 : -1);
    } else if (text.len != at + 1 || (text.ptr[at] | 0x20) != 'z') {
        return false;
    }
    int utc = (hour * 60 + minute - offset + 2 * 1440) % 1440;
    return second < 60 || utc == 1439;
}

static bool is_date_time(sp_str text) {
    return text.len > 11 && (text.ptr[10] | 0x20) == 't' && is_date(sp_str_of(text.ptr, 10)) &&
           is_time(sp_str_from_byte(text, 11));
}

/* Passes numbers with the letters of `units` behind them, in that order; how many there were. */
static int pass_units(sp_str *text, const char *units) {
    int count = 0;
    const char *unit = units;
    while (text->len > 0 && is_digit(text->ptr[0])) {
        size_t n = 0;
        while (n < text->len && is_digit(text->ptr[n])) {
            n++;
        }
        const char *found =
            n < text->len && text->ptr[n] != '\0' ? strchr(unit, text->ptr[n]) : NULL;
        /* Years may be followed by months, not by days alone. */
        if (found == NULL || (count > 0 && found != unit)) {
            return -1;
        }
        unit = found + 1;
        *text = sp_str_from_byte(*text, n + 1);
        count++;
    }
    return count;
}

/* ISO 8601 as RFC 3339, appendix A has it: P3Y6M4DT12H30M5S, P4W. */
static bool is_duration(sp_str text) {
    if (!is_at(text, 0, 'P')) {
        return false;
    }
    sp_str rest = sp_str_from_byte(text, 1);
    sp_str week = rest;
    if (pass_units(&week, "W") == 1 && week.len == 0) {
        return true;
    }
    int days = pass_units(&rest, "YMD");
    int hours = 0;
    if (days >= 0 && is_at(rest, 0, 'T')) {
        rest = sp_str_from_byte(rest, 1);
        hours = pass_units(&rest, "HMS");
        hours = hours == 0 ? -1 : hours;
    }
    return days >= 0 && hours >= 0 && days + hours > 0 && rest.len == 0;
}

static bool is_ipv4(sp_str text) {
    int parts = 0;
    size_t at = 0;
    while (parts < 4) {
        size_t n = 0;
        while (at + n < text.len && is_digit(text.ptr[at + n])) {
            n++;
        }
        if (n == 0 || n > 3 || (n > 1 && text.ptr[at] == '0') || digits(text, at, n) > 255) {
            return false;
        }
        at += n;
        parts++;
        if (parts < 4 && !is_at(text, at++, '.')) {
            return false;
        }
    }
    return at == text.len;
}

static bool is_ipv6(sp_str text) {
    int groups = 0;
    bool gap = false;
    size_t at = 0;
    if (sp_str_starts_with(text, SP_STR("::"))) {
        gap = true;
        at = 2;
    }
    while (at < text.len) {
        size_t n = 0;
        while (at + n < text.len && is_hex(text.ptr[at + n])) {
            n++;
        }
        if (is_at(text, at + n, '.')) {
            bool four = is_ipv4(sp_str_from_byte(text, at));
            groups += 2;
            return four && (gap ? groups < 8 : groups == 8);
        }
        if (n == 0 || n > 4) {
            return false;
        }
        groups++;
        at += n;
        if (at == text.len) {
            break;
        }
        if (text.ptr[at++] != ':' || at == text.len) {
            return false;
        }
        if (text.ptr[at] == ':') {
            if (gap) {
                return false;
            }
            gap = true;
            at++;
        }
    }
    return gap ? groups < 8 : groups == 8;
}

static bool is_uuid(sp_str text) {
    for (size_t i = 0; i < text.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text.ptr[i] != '-' : !is_hex(text.ptr[i])) {
            return false;
        }
    }
    return text.len == 36;
}

/* Labels of letters, digits and hyphens, joined by dots. */
static bool is_hostname(sp_str text) {
    size_t from = 0;
    if (text.len == 0 || text.len > 253) {
        return false;
    }
    for (size_t at = 0; at <= text.len; at++) {
        if (at < text.len && text.ptr[at] != '.') {
            if (!is_alpha(text.ptr[at]) && !is_digit(text.ptr[at]) && text.ptr[at] != '-') {
                return false;
            }
            continue;
        }
        size_t len = at - from;
        bool good = len >= 1 && len <= 63 && text.ptr[from] != '-' && text.ptr[at - 1] != '-';
        /* Two hyphens in the third place mark an encoding, of which one is known. */
        good = good && !(len >= 4 && text.ptr[from + 2] == '-' && text.ptr[from + 3] == '-');
        if (!good) {
            return false;
        }
        from = at + 1;
    }
    return true;
}

static bool is_email(sp_str text) {
    size_t sign = text.len;
    while (sign > 0 && text.ptr[sign - 1] != '@') {
        sign--;
    }
    if (sign < 2) {
        return false;
    }
    sp_str local = sp_str_of(text.ptr, sign - 1);
    sp_str domain = sp_str_from_byte(text, local.len + 1);
    bool quoted = local.len >= 2 && local.ptr[0] == '"' && local.ptr[local.len - 1] == '"';
    for (size_t i = 0; i < local.len && !quoted; i++) {
        char c = local.ptr[i];
        bool dot = c == '.';
        bool edge = i == 0 || i == local.len - 1 || is_at(local, i + 1, '.');
        bool good = is_alpha(c) || is_digit(c) || (dot && !edge) ||
                    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
        if (!good) {
            return false;
        }
    }
    if (is_at(domain, 0, '[') && domain.ptr[domain.len - 1] == ']') {
        sp_str address = sp_str_of(domain.ptr + 1, domain.len - 2);
        return sp_str_starts_with(address, SP_STR("IPv6:")) ? is_ipv6(sp_str_from_byte(address, 5))
                                                            : is_ipv4(address);
    }
    return is_hostname(domain);
}

/* Characters that a URI may have, with its escapes whole; a colon only behind a scheme. */
static bool is_uri_like(sp_str text, bool absolute) {
    size_t scheme = 0;
    while (scheme < text.len &&
           (is_alpha(text.ptr[scheme]) || is_digit(text.ptr[scheme]) || text.ptr[scheme] == '+' ||
            text.ptr[scheme] == '-' || text.ptr[scheme] == '.')) {
        scheme++;
    }
    bool has_scheme = scheme > 0 && is_alpha(text.ptr[0]) && is_at(text, scheme, ':');
    if ((absolute && !has_scheme) || (!has_scheme && is_at(text, scheme, ':'))) {
        return false;
    }
    size_t fragments = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%' && !(text.len - i > 2 && is_hex(text.ptr[i + 1]) && is_hex(text.ptr[i + 2]))) {
            return false;
        }
        fragments += c == '#';
        if (!is_alpha(c) && !is_digit(c) &&
            (c == '\0' || strchr("-._~:/?#[]@!$&'()*+,;=%", c) == NULL)) {
            return false;
        }
    }
    return fragments <= 1;
}

static bool is_uri(sp_str text) {
    return is_uri_like(text, true);
}

static bool is_uri_reference(sp_str text) {
    return is_uri_like(text, false);
}

static bool is_json_pointer(sp_str text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '~' && !is_at(text, i + 1, '0') && !is_at(text, i + 1, '1')) {
            return false;
        }
    }
    return text.len == 0 || text.ptr[0] == '/';
}

static bool is_relative_pointer(sp_str text) {
    size_t n = 0;
    while (n < text.len && is_digit(text.ptr[n])) {
        n++;
    }
    sp_str rest = sp_str_from_byte(text, n);
    return n > 0 && (n == 1 || text.ptr[0] != '0') &&
           (sp_str_eq(rest, SP_STR("#")) || is_json_pointer(rest));
}

static bool is_regex(sp_str text) {
    struct sp_regex *regex = NULL;
    sp_status status = sp_regex_compile_as(text, SP_REGEX_ECMA, &regex, NULL);
    if (status == SP_OK) {
        sp_regex_free(regex);
    }
    return status != SP_INVALID;
}

bool sch_format_holds(sp_str format, sp_str text) {
    static const struct {
        const char *name;
        bool (*holds)(sp_str text);
    } FORMATS[] = {
        {"date-time", is_date_time},
        {"date", is_date},
        {"time", is_time},
        {"duration", is_duration},
        {"ipv4", is_ipv4},
        {"ipv6", is_ipv6},
        {"uuid", is_uuid},
        {"hostname", is_hostname},
        {"email", is_email},
        {"uri", is_uri},
        {"uri-reference", is_uri_reference},
        {"json-pointer", is_json_pointer},
        {"relative-json-pointer", is_relative_pointer},
        {"regex", is_regex},
    };
    for (size_t i = 0; i < sizeof(FORMATS) / sizeof(FORMATS[0]); i++) {
        if (sp_str_eq(format, sp_str_from(FORMATS[i].name))) {
            return FORMATS[i].holds(text);
        }
    }
    return true;
}
