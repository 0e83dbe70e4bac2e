#include "cli/text.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/json.h"
#include "base/time.h"
#include "base/utf8.h"

static const char REPLACEMENT[] = "\xef\xbf\xbd"; /* U+FFFD */
static const char ELLIPSIS[] = "\xe2\x80\xa6";    /* U+2026 */

struct range {
    uint32_t first;
    uint32_t last;
};

/* Combining marks and other characters without a width, of the blocks in common use. */
static const struct range NO_WIDTH[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x0610, 0x061a}, {0x064b, 0x065f},
    {0x0900, 0x0902}, {0x093c, 0x093c}, {0x0941, 0x0948}, {0x0e31, 0x0e31}, {0x0e34, 0x0e3a},
    {0x0e47, 0x0e4e}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200d}, {0x20d0, 0x20ff},
    {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
};

/* East Asian Wide and Fullwidth, and the emoji, in coarse blocks. */
static const struct range WIDE[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2e80, 0x303e},   {0x3041, 0x33ff},
    {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xa000, 0xa4cf},   {0xac00, 0xd7a3},
    {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},
    {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};

/* Marks that turn the direction of writing, or hide in it. */
static const struct range DECEIVING[] = {
    {0x00ad, 0x00ad}, {0x061c, 0x061c}, {0x200e, 0x200f}, {0x202a, 0x202e},
    {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff},
};

#define IN(code, ranges) is_in((code), (ranges), sizeof(ranges) / sizeof(*(ranges)))

static bool is_in(uint32_t code, const struct range *ranges, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (code >= ranges[i].first && code <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

unsigned sp_text_columns_of(uint32_t code) {
    if (code < 0x300) {
        return 1;
    }
    return IN(code, NO_WIDTH) ? 0 : IN(code, WIDE) ? 2 : 1;
}

/* One character as it will be shown. */
struct glyph {
    sp_str bytes;
    unsigned columns;
};

/* Takes the next character off *rest; with `collapse`, a run of white space is one blank. */
static struct glyph next_glyph(sp_str *rest, bool collapse) {
    uint32_t code = 0;
    size_t len = sp_utf8_decode(rest->ptr, rest->ptr + rest->len, &code);
    if (len == 0) {
        *rest = sp_str_from_byte(*rest, 1);
        return (struct glyph){.bytes = SP_STR(REPLACEMENT), .columns = 1};
    }
    sp_str bytes = sp_str_of(rest->ptr, len);
    *rest = sp_str_from_byte(*rest, len);
    if (sp_utf8_is_space(code)) {
        while (collapse && rest->len > 0) {
            len = sp_utf8_decode(rest->ptr, rest->ptr + rest->len, &code);
            if (len == 0 || !sp_utf8_is_space(code)) {
                break;
            }
            *rest = sp_str_from_byte(*rest, len);
        }
        return (struct glyph){.bytes = SP_STR(" "), .columns = 1};
    }
    if (sp_utf8_is_control(code) || (code >= 0xad && IN(code, DECEIVING))) {
        return (struct glyph){.bytes = SP_STR(REPLACEMENT), .columns = 1};
    }
    return (struct glyph){.bytes = bytes, .columns = sp_text_columns_of(code)};
}

size_t sp_text_columns(sp_str text) {
    size_t columns = 0;
    while (text.len > 0) {
        columns += next_glyph(&text, false).columns;
    }
    return columns;
}

static size_t add_text(struct sp_buf *to, sp_str text, size_t columns_max, bool collapse) {
    size_t columns = 0;
    size_t cut_len = to->len; /* where the ellipsis would go */
    size_t cut_columns = 0;
    while (text.len > 0) {
        struct glyph glyph = next_glyph(&text, collapse);
        if (columns + glyph.columns > columns_max) {
            to->len = cut_len;
            if (columns_max > 0) {
                sp_buf_add_str(to, SP_STR(ELLIPSIS));
                cut_columns++;
            }
            return cut_columns;
        }
        sp_buf_add_str(to, glyph.bytes);
        columns += glyph.columns;
        if (columns < columns_max) {
            cut_len = to->len;
            cut_columns = columns;
        }
    }
    return columns;
}

size_t sp_text_add(struct sp_buf *to, sp_str text, size_t columns_max) {
    return add_text(to, text, columns_max, true);
}

size_t sp_text_add_again(struct sp_buf *to, sp_str text, size_t columns_max) {
    return add_text(to, text, columns_max, false);
}

void sp_text_add_blanks(struct sp_buf *to, size_t count) {
    for (size_t i = 0; i < count; i++) {
        sp_buf_add_byte(to, ' ');
    }
}

/* ---- data in one line ------------------------------------------------------------------------ */

/* Appends a string's text, unescaped, or a nested value as it stands; at most `left` columns. */
static size_t add_value(struct sp_buf *to, struct sp_json *json, struct sp_json_token value,
                        size_t left) {
    if (value.type != SP_JSON_STRING) {
        return sp_text_add(to, sp_json_skip(json, value), left);
    }
    struct sp_buf plain;
    sp_buf_init(&plain, SIZE_MAX);
    /* A prefix is enough, but must not end within an escape. */
    sp_str raw = value.raw;
    if (!value.escaped && raw.len > left * SP_UTF8_SEQUENCE_MAX) {
        raw.len = left * SP_UTF8_SEQUENCE_MAX;
    }
    sp_json_unescape(&plain, raw);
    size_t columns = sp_text_add(to, sp_buf_str(&plain), left);
    sp_buf_fini(&plain);
    return columns;
}

static void add_members(struct sp_buf *to, struct sp_json *json, size_t columns_max) {
    size_t columns = 0;
    for (;;) {
        struct sp_json_token key = sp_json_next(json);
        if (key.type != SP_JSON_KEY || columns + 2 >= columns_max) {
            return;
        }
        if (columns > 0) {
            sp_buf_add_byte(to, ' ');
            columns++;
        }
        columns += sp_text_add(to, key.raw, columns_max - columns);
        if (columns + 1 >= columns_max) {
            return;
        }
        sp_buf_add_byte(to, '=');
        columns++;
        columns += add_value(to, json, sp_json_next(json), columns_max - columns);
    }
}

void sp_text_add_summary(struct sp_buf *to, const spoor_event *event, size_t columns_max) {
    sp_str data = sp_text_str(event->data);
    if (data.ptr == NULL) {
        return;
    }
    if (!event->data_is_json) {
        char text[SP_TEXT_BYTES_SIZE];
        sp_text_bytes(data.len, text);
        size_t columns = sp_text_add(to, sp_str_from(text), columns_max);
        columns += sp_text_add(to, SP_STR(" of "), columns_max - columns);
        (void)sp_text_add(to, sp_text_str(event->datacontenttype), columns_max - columns);
        return;
    }
    struct sp_json json;
    sp_json_init(&json, data);
    struct sp_json_token first = sp_json_next(&json);
    if (first.type == SP_JSON_OBJECT) {
        add_members(to, &json, columns_max);
    } else if (first.type != SP_JSON_ERROR) {
        (void)add_value(to, &json, first, columns_max);
    }
}

/* ---- JSON over several lines ----------------------------------------------------------------- */

static void add_line(struct sp_buf *to, unsigned blanks) {
    sp_buf_add_byte(to, '\n');
    sp_text_add_blanks(to, blanks);
}

/* Appends a token's own text; of a string what a terminal might obey is made safe. */
static void add_token(struct sp_buf *to, struct sp_json_token token) {
    if (token.type != SP_JSON_STRING && token.type != SP_JSON_KEY) {
        sp_buf_add_str(to, token.raw);
        return;
    }
    sp_str raw = token.raw;
    sp_buf_add_byte(to, '"');
    while (raw.len > 0) {
        sp_buf_add_str(to, next_glyph(&raw, false).bytes);
    }
    sp_buf_add_byte(to, '"');
}

static bool is_opening(enum sp_json_type type) {
    return type == SP_JSON_OBJECT || type == SP_JSON_ARRAY;
}

static bool is_closing(enum sp_json_type type) {
    return type == SP_JSON_OBJECT_END || type == SP_JSON_ARRAY_END;
}

void sp_text_add_pretty(struct sp_buf *to, sp_str text, unsigned indent) {
    struct sp_json json;
    sp_json_init(&json, text);
    enum sp_json_type before = SP_JSON_END; /* type of the token before; END: there is none */
    for (;;) {
        struct sp_json_token token = sp_json_next(&json);
        if (token.type == SP_JSON_END || token.type == SP_JSON_ERROR) {
            return;
        }
        unsigned depth = is_opening(token.type) ? json.depth - 1 : json.depth;
        if (before == SP_JSON_KEY) {
            sp_buf_add_str(to, SP_STR(": "));
        } else if (before != SP_JSON_END && !(is_opening(before) && is_closing(token.type))) {
            if (!is_opening(before) && !is_closing(token.type)) {
                sp_buf_add_byte(to, ',');
            }
            add_line(to, indent + depth * 2);
        }
        add_token(to, token);
        before = token.type;
    }
}

/* ---- times and sizes ------------------------------------------------------------------------- */

void sp_text_time(uint64_t time_us, char text[SP_TEXT_TIME_SIZE]) {
    char whole[SP_TIME_TEXT_SIZE];
    sp_time_format(time_us > SP_TIME_US_MAX ? SP_TIME_US_MAX : time_us, whole);
    memcpy(text, whole, 19);
    text[10] = ' ';
    text[19] = '\0';
}

void sp_text_event_time(const spoor_event *event, char text[SP_TEXT_TIME_SIZE]) {
    uint64_t time_us = 0;
    sp_str producer = sp_text_str(event->time);
    if (producer.ptr != NULL && sp_time_parse(producer, true, &time_us, NULL) == SP_OK) {
        sp_text_time(time_us, text);
        return;
    }
    sp_text_time(event->recorded_us, text);
}

void sp_text_bytes(uint64_t bytes, char text[SP_TEXT_BYTES_SIZE]) {
    static const char *const UNITS[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        (void)snprintf(text, SP_TEXT_BYTES_SIZE, "%u byte%s", (unsigned)bytes,
                       bytes == 1 ? "" : "s");
        return;
    }
    double value = (double)bytes / 1024.0;
    size_t unit = 0;
    while (value >= 1023.95 && unit + 1 < sizeof(UNITS) / sizeof(*UNITS)) {
        value /= 1024.0;
        unit++;
    }
    (void)snprintf(text, SP_TEXT_BYTES_SIZE, "%.1f %s", value, UNITS[unit]);
}

void sp_text_span(uint64_t us, char text[SP_TEXT_SPAN_SIZE]) {
    static const struct {
        unsigned seconds;
        const char *unit;
        unsigned part; /* of the next smaller unit */
        const char *part_unit;
    } UNITS[] = {{86400, "d", 3600, "h"}, {3600, "h", 60, "min"}, {60, "min", 1, NULL}};
    uint64_t seconds = us / 1000000;
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(*UNITS); i++) {
        uint64_t whole = seconds / UNITS[i].seconds;
        uint64_t rest = seconds % UNITS[i].seconds / UNITS[i].part;
        if (whole > 0 && rest > 0 && UNITS[i].part_unit != NULL) {
            (void)snprintf(text, SP_TEXT_SPAN_SIZE, "%" PRIu64 " %s %" PRIu64 " %s", whole,
                           UNITS[i].unit, rest, UNITS[i].part_unit);
            return;
        }
        if (whole > 0) {
            (void)snprintf(text, SP_TEXT_SPAN_SIZE, "%" PRIu64 " %s", whole, UNITS[i].unit);
            return;
        }
    }
    (void)snprintf(text, SP_TEXT_SPAN_SIZE, "%" PRIu64 " s", seconds);
}

void sp_text_add_hex(struct sp_buf *to, const uint8_t *bytes, size_t len) {
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        sp_buf_add_byte(to, (uint8_t)DIGITS[bytes[i] >> 4]);
        sp_buf_add_byte(to, (uint8_t)DIGITS[bytes[i] & 15]);
    }
}
