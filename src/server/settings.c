#include "server/settings.h"

#include <stdlib.h>
#include <strings.h>

#include "base/size.h"
#include "base/time.h"

enum { MS_PER_S = 1000, US_PER_MS = 1000 };

enum { WHEN_START = false, WHEN_LIVE = true };

static const struct sp_setting SETTINGS[SP_SET_COUNT] = {
#define ROW(id, name_, redis, type_, choices_, least_, most_, initial_, when, meaning_)            \
    [SP_SET_##id] = {                                                                              \
        .name = name_,                                                                             \
        .redis_name = redis,                                                                       \
        .type = SP_SETTING_##type_,                                                                \
        .choices = choices_,                                                                       \
        .least = least_,                                                                           \
        .most = most_,                                                                             \
        .initial = initial_,                                                                       \
        .live = WHEN_##when,                                                                       \
        .meaning = meaning_,                                                                       \
    },
    SP_SETTING_TABLE(ROW)
#undef ROW
};

const struct sp_setting *sp_setting_table(void) {
    return SETTINGS;
}

static bool same_name(const char *name, sp_str text) {
    return strlen(name) == text.len && text.len > 0 && strncasecmp(name, text.ptr, text.len) == 0;
}

enum sp_setting_id sp_setting_find(sp_str name) {
    for (unsigned i = 0; i < SP_SET_COUNT; i++) {
        if (same_name(SETTINGS[i].name, name) || same_name(SETTINGS[i].redis_name, name)) {
            return (enum sp_setting_id)i;
        }
    }
    return SP_SET_COUNT;
}

static bool is_text(enum sp_setting_type type) {
    return type == SP_SETTING_TEXT || type == SP_SETTING_LIST;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* The number of a word among those of `words`; false where it is none of them. */
static bool find_word(const char *words, sp_str text, uint64_t *ret_number) {
    uint64_t number = 0;
    for (const char *at = words; *at != '\0'; number++) {
        size_t len = strcspn(at, " ");
        if (len == text.len && strncasecmp(at, text.ptr, len) == 0) {
            *ret_number = number;
            return true;
        }
        at += len + (at[len] == ' ');
    }
    return false;
}

sp_str sp_setting_choice(const struct sp_setting *setting, uint64_t number) {
    const char *at = setting->choices;
    for (; number > 0; number--) {
        at += strcspn(at, " ");
        at += *at == ' ';
    }
    return sp_str_of(at, strcspn(at, " "));
}

static sp_status parse_boolean(sp_str text, uint64_t *ret_number, struct sp_error *error) {
    /* An option without a value stands for yes. */
    uint64_t word = 0;
    if (!find_word("no yes false true off on 0 1", text, &word)) {
        return sp_error_set(error, SP_INVALID, "'%.*s' is neither yes nor no", SP_STR_ARG(text));
    }
    *ret_number = word % 2;
    return SP_OK;
}

/* Redis' logging words have spoor's levels. */
static sp_status parse_choice(const struct sp_setting *setting, sp_str text, uint64_t *ret_number,
                              struct sp_error *error) {
    if (find_word(setting->choices, text, ret_number)) {
        return SP_OK;
    }
    if (setting == &SETTINGS[SP_SET_LOG_LEVEL] &&
        find_word("verbose notice warning nothing", text, ret_number)) {
        return SP_OK;
    }
    return sp_error_set(error, SP_INVALID, "'%.*s' is none of: %s", SP_STR_ARG(text),
                        setting->choices);
}

static sp_status parse_duration(sp_str text, uint64_t *ret_ms, struct sp_error *error) {
    uint64_t us = 0;
    sp_status status = sp_duration_parse(text, &us, error);
    if (status == SP_OK) {
        *ret_ms = us / US_PER_MS;
    }
    return status;
}

static sp_status parse_number(const struct sp_setting *setting, sp_str text, uint64_t *ret_number,
                              struct sp_error *error) {
    switch (setting->type) {
    case SP_SETTING_SIZE:
    case SP_SETTING_INTEGER:
        return sp_size_parse(text, ret_number, error);
    case SP_SETTING_DURATION:
        return parse_duration(text, ret_number, error);
    case SP_SETTING_BOOLEAN:
        return parse_boolean(text, ret_number, error);
    case SP_SETTING_CHOICE:
        return parse_choice(setting, text, ret_number, error);
    case SP_SETTING_TEXT:
    case SP_SETTING_LIST:
        break;
    }
    sp_never();
}

static sp_status set_text(struct sp_settings *settings, enum sp_setting_id id, sp_str value,
                          struct sp_error *error) {
    const struct sp_setting *setting = &SETTINGS[id];
    if (value.len < setting->least || value.len > setting->most) {
        return sp_error_set(error, SP_INVALID, "%s: %zu bytes, expected %llu to %llu",
                            setting->name, value.len, (unsigned long long)setting->least,
                            (unsigned long long)setting->most);
    }
    if (value.len > 0 && memchr(value.ptr, '\0', value.len) != NULL) {
        return sp_error_set(error, SP_INVALID, "%s: has a zero byte", setting->name);
    }
    char *copy = malloc(value.len + 1);
    if (copy == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "%s", setting->name);
    }
    if (value.len > 0) {
        memcpy(copy, value.ptr, value.len);
    }
    copy[value.len] = '\0';
    free(settings->texts[id]);
    settings->texts[id] = copy;
    return SP_OK;
}

sp_status sp_settings_set(struct sp_settings *settings, enum sp_setting_id id, sp_str value,
                          struct sp_error *error) {
    sp_require(id < SP_SET_COUNT);
    const struct sp_setting *setting = &SETTINGS[id];
    if (is_text(setting->type)) {
        sp_status kept = set_text(settings, id, value, error);
        settings->given[id] = settings->given[id] || kept == SP_OK;
        return kept;
    }
    uint64_t number = 0;
    sp_status status = parse_number(setting, value, &number, error);
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "%s", setting->name);
    }
    if (number < setting->least || number > setting->most) {
        return sp_error_set(error, SP_INVALID, "%s: %.*s is not from %llu to %llu", setting->name,
                            SP_STR_ARG(value), (unsigned long long)setting->least,
                            (unsigned long long)setting->most);
    }
    settings->numbers[id] = number;
    settings->given[id] = true;
    return SP_OK;
}

sp_status sp_settings_init(struct sp_settings *settings) {
    *settings = (struct sp_settings){.numbers = {0}};
    for (unsigned i = 0; i < SP_SET_COUNT; i++) {
        sp_str initial = sp_str_from(SETTINGS[i].initial);
        sp_status status = sp_settings_set(settings, (enum sp_setting_id)i, initial, NULL);
        if (status != SP_OK) {
            sp_ensure(status == SP_NO_MEMORY);
            sp_settings_fini(settings);
            return status;
        }
    }
    memset(settings->given, 0, sizeof(settings->given));
    return SP_OK;
}

void sp_settings_fini(struct sp_settings *settings) {
    for (unsigned i = 0; i < SP_SET_COUNT; i++) {
        free(settings->texts[i]);
        settings->texts[i] = NULL;
    }
}

/* ---- the file -------------------------------------------------------------------------------- */

static sp_str trim(sp_str text) {
    while (text.len > 0 && strchr(" \t\r", text.ptr[0]) != NULL) {
        text = sp_str_from_byte(text, 1);
    }
    while (text.len > 0 && strchr(" \t\r", text.ptr[text.len - 1]) != NULL) {
        text.len--;
    }
    return text;
}

/* `"…"` around a value is taken off, so that a value may be empty or begin with a blank. */
static sp_str unquote(sp_str text) {
    if (text.len >= 2 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"') {
        return sp_str_of(text.ptr + 1, text.len - 2);
    }
    return text;
}

static sp_status read_line(struct sp_settings *settings, sp_str line, struct sp_error *error) {
    line = trim(line);
    if (line.len == 0 || line.ptr[0] == '#') {
        return SP_OK;
    }
    size_t end = 0;
    while (end < line.len && line.ptr[end] != ' ' && line.ptr[end] != '\t') {
        end++;
    }
    sp_str name = sp_str_of(line.ptr, end);
    sp_str value = unquote(trim(sp_str_from_byte(line, end)));
    enum sp_setting_id id = sp_setting_find(name);
    if (id == SP_SET_COUNT) {
        return sp_error_set(error, SP_INVALID, "there is no setting '%.*s'", SP_STR_ARG(name));
    }
    return sp_settings_set(settings, id, value, error);
}

sp_status sp_settings_read(struct sp_settings *settings, sp_str text, struct sp_error *error) {
    for (unsigned number = 1; text.len > 0; number++) {
        const char *end = memchr(text.ptr, '\n', text.len);
        sp_str line = sp_str_of(text.ptr, end == NULL ? text.len : (size_t)(end - text.ptr));
        sp_status status = read_line(settings, line, error);
        if (status != SP_OK) {
            return sp_error_prefix(error, status, "line %u", number);
        }
        text = sp_str_from_byte(text, line.len + (end != NULL));
    }
    return SP_OK;
}

/* ---- showing --------------------------------------------------------------------------------- */

static void add_text(struct sp_buf *to, const char *text) {
    sp_buf_add_str(to, sp_str_from(text));
}

static void add_duration(struct sp_buf *to, uint64_t ms) {
    sp_buf_add_u64(to, ms % MS_PER_S == 0 ? ms / MS_PER_S : ms);
    add_text(to, ms % MS_PER_S == 0 ? "s" : "ms");
}

void sp_settings_format(const struct sp_settings *settings, enum sp_setting_id id,
                        bool by_redis_name, struct sp_buf *to) {
    sp_require(id < SP_SET_COUNT);
    const struct sp_setting *setting = &SETTINGS[id];
    uint64_t number = settings->numbers[id];
    switch (setting->type) {
    case SP_SETTING_SIZE:
    case SP_SETTING_INTEGER:
        sp_buf_add_u64(to, number);
        return;
    case SP_SETTING_DURATION:
        if (by_redis_name) {
            sp_buf_add_u64(to, number / MS_PER_S);
        } else {
            add_duration(to, number);
        }
        return;
    case SP_SETTING_BOOLEAN:
        add_text(to, number != 0 ? "yes" : "no");
        return;
    case SP_SETTING_CHOICE:
        sp_buf_add_str(to, sp_setting_choice(setting, number));
        return;
    case SP_SETTING_TEXT:
    case SP_SETTING_LIST:
        sp_buf_add_str(to, sp_settings_text(settings, id));
        return;
    }
    sp_never();
}

static const char *type_name(enum sp_setting_type type) {
    switch (type) {
    case SP_SETTING_SIZE:
        return "size";
    case SP_SETTING_DURATION:
        return "duration";
    case SP_SETTING_INTEGER:
        return "number";
    case SP_SETTING_BOOLEAN:
        return "yes or no";
    case SP_SETTING_CHOICE:
        return "";
    case SP_SETTING_TEXT:
        return "text";
    case SP_SETTING_LIST:
        return "words";
    }
    sp_never();
}

static void add_choices(struct sp_buf *to, const char *choices) {
    for (const char *at = choices; *at != '\0'; at++) {
        if (*at == ' ') {
            add_text(to, ", ");
        } else {
            sp_buf_add_byte(to, (uint8_t)*at);
        }
    }
}

static void document_row(const struct sp_setting *setting, struct sp_buf *to) {
    add_text(to, "| `");
    add_text(to, setting->name);
    add_text(to, "` | ");
    add_text(to, type_name(setting->type));
    add_choices(to, setting->choices);
    add_text(to, setting->initial[0] != '\0' ? " | `" : " | ");
    add_text(to, setting->initial);
    add_text(to, setting->initial[0] != '\0' ? "` | " : " | ");
    add_text(to, setting->live ? "live | " : "start | ");
    add_text(to, setting->redis_name[0] != '\0' ? "`" : "");
    add_text(to, setting->redis_name);
    add_text(to, setting->redis_name[0] != '\0' ? "` | " : "| ");
    add_text(to, setting->meaning);
    add_text(to, " |\n");
}

void sp_settings_document(struct sp_buf *to) {
    add_text(to, "| setting | value | default | changed | Redis' name | meaning |\n"
                 "|---|---|---|---|---|---|\n");
    for (unsigned i = 0; i < SP_SET_COUNT; i++) {
        document_row(&SETTINGS[i], to);
    }
}
