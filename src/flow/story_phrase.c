/*
 * Names, times and lengths of time as people say them.
 */
#include "flow/story_phrase.h"

#include "base/time.h"
#include "base/utf8.h"

/* ---- time ---- */

static const struct {
    uint64_t us;
    const char *name;
} units[] = {
    {UINT64_C(86400000000), " d"},
    {UINT64_C(3600000000), " h"},
    {60000000, " min"},
    {1000000, " s"},
    {1000, " ms"},
};

enum { UNITS = sizeof(units) / sizeof(units[0]), MILLIS = UNITS - 1, SECONDS = UNITS - 2 };

void sp_phrase_length(struct sp_buf *to, uint64_t us) {
    unsigned unit = 0;
    while (unit < MILLIS && us < units[unit].us) {
        unit++;
    }
    sp_buf_add_u64(to, us / units[unit].us);
    sp_buf_add_str(to, sp_str_from(units[unit].name));
    uint64_t rest = unit < SECONDS ? us % units[unit].us / units[unit + 1].us : 0;
    if (rest > 0) {
        sp_buf_add_byte(to, ' ');
        sp_buf_add_u64(to, rest);
        sp_buf_add_str(to, sp_str_from(units[unit + 1].name));
    }
}

enum { DATE_BYTES = 10, CLOCK_AT = 11, CLOCK_BYTES = 8 };

void sp_phrase_date(struct sp_buf *to, uint64_t time_us) {
    char text[SP_TIME_TEXT_SIZE];
    sp_time_format(time_us, text);
    sp_buf_add(to, text, DATE_BYTES);
}

void sp_phrase_clock(struct sp_buf *to, uint64_t time_us) {
    char text[SP_TIME_TEXT_SIZE];
    sp_time_format(time_us, text);
    sp_buf_add(to, text + CLOCK_AT, CLOCK_BYTES);
}

void sp_phrase_time(struct sp_buf *to, uint64_t time_us, uint64_t beside_us) {
    if (time_us / units[0].us != beside_us / units[0].us) {
        sp_phrase_date(to, time_us);
        sp_buf_add_byte(to, ' ');
    }
    sp_phrase_clock(to, time_us);
}

/* ---- names ---- */

void sp_phrase_name(struct sp_buf *to, sp_str name, bool capital) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool gap = c == '_' || c == '-' || c == '.';
        bool raise = capital && i == 0 && c >= 'a' && c <= 'z';
        sp_buf_add_byte(to, (uint8_t)(gap ? ' ' : raise ? c - 'a' + 'A' : c));
    }
}

/* What stands behind the last such byte. */
static sp_str behind(sp_str text, char mark) {
    size_t from = text.len;
    while (from > 0 && text.ptr[from - 1] != mark) {
        from--;
    }
    return sp_str_from_byte(text, from);
}

static sp_str without_index(sp_str segment) {
    const char *bracket = segment.len > 0 ? memchr(segment.ptr, '[', segment.len) : NULL;
    return bracket == NULL ? segment : sp_str_of(segment.ptr, (size_t)(bracket - segment.ptr));
}

/* People count from 1. */
static uint64_t ordinal(sp_str index) {
    uint64_t value = 0;
    for (size_t i = 0; i < index.len && i < 9 && index.ptr[i] >= '0' && index.ptr[i] <= '9'; i++) {
        value = value * 10 + (uint64_t)(index.ptr[i] - '0');
    }
    return value + 1;
}

/* Where in the path the last item's index stands: of `ship[3]/pack` that is "3". False: nowhere. */
static bool find_index(sp_str path, sp_str *ret_index) {
    size_t close = path.len;
    while (close > 0 && path.ptr[close - 1] != ']') {
        close--;
    }
    if (close == 0) {
        return false;
    }
    *ret_index = behind(sp_str_of(path.ptr, close - 1), '[');
    return ret_index->ptr > path.ptr && ret_index->ptr[-1] == '[';
}

/* The item that a path like `ship[3]/pack` is about, as "item 4 of ship". */
static void add_item(struct sp_buf *to, sp_str path, sp_str index) {
    size_t before = (size_t)(index.ptr - path.ptr) - 1;
    SP_SAY(to, "item ");
    sp_buf_add_u64(to, ordinal(index));
    SP_SAY(to, " of ");
    sp_phrase_name(to, behind(sp_str_of(path.ptr, before), '/'), false);
}

/* True where one is among the words of the other: "reserve" of "reserve_inventory". */
static bool is_word_of(sp_str word, sp_str name) {
    for (size_t at = 0; word.len > 0 && at + word.len <= name.len; at++) {
        bool begins = at == 0 || name.ptr[at - 1] == '_' || name.ptr[at - 1] == '-';
        size_t end = at + word.len;
        bool ends = end == name.len || name.ptr[end] == '_' || name.ptr[end] == '-';
        if (begins && ends && memcmp(name.ptr + at, word.ptr, word.len) == 0) {
            return true;
        }
    }
    return false;
}

/* What is done, and of which step, where that does not say the same. */
static void add_phrase(struct sp_buf *to, sp_str verb, sp_str path) {
    sp_str name = without_index(behind(path, '/'));
    bool name_says_it = verb.len == 0 || is_word_of(verb, name);
    bool verb_says_it = name_says_it || is_word_of(name, verb);
    sp_str index = {0};
    bool is_item = find_index(path, &index);
    sp_phrase_name(to, name_says_it ? name : verb, false);
    sp_buf_add_str(to, !verb_says_it || is_item ? SP_STR(" (") : SP_STR(""));
    if (!verb_says_it) {
        sp_phrase_name(to, name, false);
    }
    if (is_item) {
        sp_buf_add_str(to, !verb_says_it ? SP_STR(", ") : SP_STR(""));
        add_item(to, path, index);
    }
    sp_buf_add_str(to, !verb_says_it || is_item ? SP_STR(")") : SP_STR(""));
}

void sp_phrase_step(struct sp_buf *to, const struct sp_story *story,
                    const struct sp_story_step *step) {
    add_phrase(to, behind(sp_story_text(story, step->forth.action), '.'),
               sp_story_text(story, step->path));
}

/* "release" of the step "reserve_inventory", whose action is "reserve": "release inventory". */
static bool add_counterpart(struct sp_buf *to, sp_str verb, sp_str action, sp_str name) {
    bool fits = verb.len > 0 && memchr(verb.ptr, '_', verb.len) == NULL && action.len > 0 &&
                name.len > action.len + 1 && sp_str_starts_with(name, action) &&
                name.ptr[action.len] == '_';
    if (fits) {
        sp_phrase_name(to, verb, false);
        sp_buf_add_byte(to, ' ');
        sp_phrase_name(to, sp_str_from_byte(name, action.len + 1), false);
    }
    return fits;
}

/* True where both end with the same word: "refund_card" is of "charge_card". */
static bool is_about(sp_str verb, sp_str name) {
    sp_str last = behind(name, '_');
    return sp_str_eq(behind(verb, '_'), last) && last.len < verb.len;
}

void sp_phrase_undo(struct sp_buf *to, const struct sp_story *story,
                    const struct sp_story_step *step) {
    sp_str path = sp_story_text(story, step->path);
    sp_str name = without_index(behind(path, '/'));
    sp_str verb = behind(sp_story_text(story, step->back.action), '.');
    sp_str action = behind(sp_story_text(story, step->forth.action), '.');
    sp_str index = {0};
    bool is_item = find_index(path, &index);
    if (!is_item && add_counterpart(to, verb, action, name)) {
        return;
    }
    if (verb.len > 0 && !is_item && is_about(verb, name)) {
        sp_phrase_name(to, verb, false);
    } else if (verb.len > 0) {
        add_phrase(to, verb, path);
    } else {
        SP_SAY(to, "undo ");
        sp_phrase_step(to, story, step);
    }
}

/* ---- values ---- */

/* One line of at most so many bytes, cut between characters. */
static void add_line(struct sp_buf *to, sp_str text, size_t bytes_max) {
    size_t len = text.len;
    if (len > bytes_max) {
        len = bytes_max;
        while (len > 0 && ((uint8_t)text.ptr[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)text.ptr[i];
        sp_buf_add_byte(to, byte < 0x20 || byte == 0x7f ? ' ' : byte);
    }
    if (len < text.len) {
        SP_SAY(to, "…");
    }
}

/* The `message`, else the `error`, of an object; a type of 0 where it has none. */
static struct sp_json_token message_of(struct sp_json *json) {
    struct sp_json_token found = {0};
    for (struct sp_json_token key = sp_json_next(json); key.type == SP_JSON_KEY;
         key = sp_json_next(json)) {
        struct sp_json_token value = sp_json_next(json);
        bool fits = value.type == SP_JSON_STRING &&
                    (sp_json_equal(key, SP_STR("message")) || sp_json_equal(key, SP_STR("error")));
        (void)sp_json_skip(json, value);
        found = fits ? value : found;
    }
    return found;
}

void sp_phrase_value(struct sp_buf *to, sp_str json_text, size_t bytes_max) {
    struct sp_json json;
    sp_json_init(&json, json_text);
    struct sp_json_token first = sp_json_next(&json);
    if (first.type == SP_JSON_OBJECT) {
        first = message_of(&json);
    }
    if (first.type != SP_JSON_STRING) {
        add_line(to, json_text, bytes_max);
        return;
    }
    struct sp_buf plain;
    sp_buf_init(&plain, SP_STORY_BYTES_MAX);
    sp_json_unescape(&plain, first.raw);
    if (plain.status == SP_OK) {
        add_line(to, sp_buf_str(&plain), bytes_max);
    } else {
        to->status = plain.status;
    }
    sp_buf_fini(&plain);
}

static uint32_t count_items(sp_str text) {
    struct sp_json json;
    uint32_t count = 0;
    sp_json_init(&json, text);
    if (sp_json_next(&json).type != SP_JSON_ARRAY) {
        return 0;
    }
    for (struct sp_json_token item = sp_json_next(&json);
         item.type != SP_JSON_ARRAY_END && item.type != SP_JSON_ERROR; item = sp_json_next(&json)) {
        (void)sp_json_skip(&json, item);
        count++;
    }
    return count;
}

void sp_phrase_list(struct sp_buf *to, sp_str json_text, const char *last) {
    uint32_t count = count_items(json_text);
    struct sp_json json;
    sp_json_init(&json, json_text);
    (void)sp_json_next(&json);
    for (uint32_t i = 0; i < count; i++) {
        struct sp_json_token item = sp_json_next(&json);
        sp_str raw = sp_json_skip(&json, item);
        if (i > 0 && i + 1 == count) {
            sp_buf_add_byte(to, ' ');
            sp_buf_add_str(to, sp_str_from(last));
            sp_buf_add_byte(to, ' ');
        } else if (i > 0) {
            SP_SAY(to, ", ");
        }
        sp_phrase_value(to, raw, 255);
    }
}

static bool is_plain_word(sp_str word) {
    bool plain = word.len > 0;
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];
        plain = plain && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || memchr("-_./:@+,", c, 9) != NULL);
    }
    return plain;
}

void sp_phrase_shell(struct sp_buf *to, sp_str word) {
    if (is_plain_word(word)) {
        sp_buf_add_str(to, word);
        return;
    }
    sp_buf_add_byte(to, '\'');
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] == '\'') {
            SP_SAY(to, "'\\''");
        } else {
            sp_buf_add_byte(to, (uint8_t)word.ptr[i]);
        }
    }
    sp_buf_add_byte(to, '\'');
}
