/* Reading what is expected of a document, and gathering what is wrong with it. */
#include <stdarg.h>

#include "base/json.h"
#include "base/suggest.h"
#include "base/time.h"
#include "base/utf8.h"
#include "event/attributes.h"
#include "flow/doc.h"
#include "flow/part.h"
#include "match/filter.h"
#include "match/path.h"
#include "match/pattern.h"

/* ---- problems -------------------------------------------------------------------------------- */

void sp_doc_problems_init(struct sp_doc_problems *problems) {
    problems->count = 0;
    problems->error_count = 0;
    problems->warning_count = 0;
}

/* Room for one more; NULL where there are enough of its kind, and only their number counts. */
static struct sp_doc_problem *next_problem(struct sp_doc_problems *problems, bool is_warning) {
    uint32_t *count = is_warning ? &problems->warning_count : &problems->error_count;
    uint32_t max = is_warning ? SP_DOC_WARNINGS_MAX : SP_DOC_ERRORS_MAX;
    *count += 1;
    return *count <= max ? &problems->items[problems->count++] : NULL;
}

/* Without a character at the end of which the text holds but a part. */
static size_t whole_characters(const char *text, size_t len) {
    size_t start = len;
    uint32_t code = 0;
    while (start > 0 && len - start < SP_UTF8_SEQUENCE_MAX &&
           ((uint8_t)text[start - 1] & 0xc0) == 0x80) {
        start--;
    }
    if (start == 0) {
        return len;
    }
    start--;
    return sp_utf8_decode(text + start, text + len, &code) != 0 ? len : start;
}

static void note(struct sp_doc_problems *problems, struct sp_doc_place place, bool is_warning,
                 const char *text) {
    struct sp_doc_problem *problem = next_problem(problems, is_warning);
    if (problem != NULL) {
        size_t len = whole_characters(text, strnlen(text, sizeof(problem->text) - 1));
        problem->place = place;
        problem->is_warning = is_warning;
        memcpy(problem->text, text, len);
        problem->text[len] = '\0';
    }
}

void sp_doc_wrong(struct sp_doc_problems *problems, struct sp_doc_place place, const char *format,
                  ...) {
    struct sp_error error;
    va_list args;
    va_start(args, format);
    sp_error_set_list(&error, SP_INVALID, format, args);
    va_end(args);
    note(problems, place, false, error.text);
}

void sp_doc_warn(struct sp_doc_problems *problems, struct sp_doc_place place, const char *format,
                 ...) {
    struct sp_error error;
    va_list args;
    va_start(args, format);
    sp_error_set_list(&error, SP_INVALID, format, args);
    va_end(args);
    note(problems, place, true, error.text);
}

/* By place; of one place in the order of finding. The lists are short. */
void sp_doc_problems_sort(struct sp_doc_problems *problems) {
    for (uint32_t i = 1; i < problems->count; i++) {
        struct sp_doc_problem moved = problems->items[i];
        uint32_t at = i;
        while (at > 0 && (problems->items[at - 1].place.line > moved.place.line ||
                          (problems->items[at - 1].place.line == moved.place.line &&
                           problems->items[at - 1].place.column > moved.place.column))) {
            problems->items[at] = problems->items[at - 1];
            at--;
        }
        problems->items[at] = moved;
    }
}

sp_status sp_doc_problems_status(const struct sp_doc_problems *problems, struct sp_error *error) {
    const struct sp_doc_problem *first = NULL;
    for (uint32_t i = 0; i < problems->count; i++) {
        const struct sp_doc_problem *at = &problems->items[i];
        if (!at->is_warning &&
            (first == NULL || at->place.line < first->place.line ||
             (at->place.line == first->place.line && at->place.column < first->place.column))) {
            first = at;
        }
    }
    if (first == NULL) {
        return SP_OK;
    }
    if (problems->error_count == 1) {
        return sp_error_set(error, SP_INVALID, "line %u, column %u: %s", first->place.line,
                            first->place.column, first->text);
    }
    return sp_error_set(error, SP_INVALID, "line %u, column %u: %.180s (and %u more)",
                        first->place.line, first->place.column, first->text,
                        problems->error_count - 1);
}

void sp_doc_problems_write(const struct sp_doc_problems *problems, struct sp_buf *to) {
    sp_buf_add_byte(to, '[');
    for (uint32_t i = 0; i < problems->count; i++) {
        const struct sp_doc_problem *at = &problems->items[i];
        sp_buf_add_str(to, i == 0 ? SP_STR("{\"line\":") : SP_STR(",{\"line\":"));
        sp_buf_add_u64(to, at->place.line);
        sp_buf_add_str(to, SP_STR(",\"column\":"));
        sp_buf_add_u64(to, at->place.column);
        sp_buf_add_str(to, SP_STR(",\"severity\":"));
        sp_buf_add_str(to, at->is_warning ? SP_STR("\"warning\"") : SP_STR("\"error\""));
        sp_buf_add_str(to, SP_STR(",\"text\":"));
        sp_json_add_string(to, sp_str_from(at->text));
        sp_buf_add_byte(to, '}');
    }
    sp_buf_add_byte(to, ']');
}

/* ---- values ---------------------------------------------------------------------------------- */

static void not_known(const struct sp_doc_node *member, const char *what, const char *const *keys,
                      size_t key_count, struct sp_doc_problems *problems) {
    struct sp_suggest suggest;
    sp_suggest_init(&suggest, member->key);
    for (size_t i = 0; i < key_count; i++) {
        sp_suggest_try(&suggest, keys[i]);
    }
    if (suggest.best != NULL) {
        sp_doc_wrong(problems, member->key_at, "%s has no key `%.*s`; did you mean `%s`?", what,
                     SP_STR_ARG(member->key), suggest.best);
    } else {
        sp_doc_wrong(problems, member->key_at, "%s has no key `%.*s`", what,
                     SP_STR_ARG(member->key));
    }
}

bool sp_doc_keys(const struct sp_doc_node *node, const char *what, const char *const *keys,
                 size_t key_count, struct sp_doc_problems *problems) {
    if (node->kind != SP_DOC_OBJECT) {
        sp_doc_wrong(problems, node->place, "%s is an object, not %s", what,
                     sp_doc_kind_name(node->kind));
        return false;
    }
    bool all = true;
    for (const struct sp_doc_node *at = node->first; at != NULL; at = at->next) {
        bool known = false;
        for (size_t i = 0; i < key_count && !known; i++) {
            known = sp_str_eq(at->key, sp_str_from(keys[i]));
        }
        if (!known) {
            not_known(at, what, keys, key_count, problems);
            all = false;
        }
    }
    return all;
}

/* What a value is called in a message: its key, or that of the list it is in. */
static sp_str name_of(const struct sp_doc_node *node) {
    while (node->key.len == 0 && node->parent != NULL) {
        node = node->parent;
    }
    return node->key.len != 0 ? node->key : SP_STR("it");
}

static bool expected(const struct sp_doc_node *node, const char *what,
                     struct sp_doc_problems *problems) {
    sp_doc_wrong(problems, node->place, "`%.*s`: expected %s, found %s", SP_STR_ARG(name_of(node)),
                 what, sp_doc_kind_name(node->kind));
    return false;
}

/* What a check of another module has to say, at this value. */
static bool refused(const struct sp_doc_node *node, const struct sp_error *error,
                    struct sp_doc_problems *problems) {
    sp_doc_wrong(problems, node->place, "`%.*s`: %s", SP_STR_ARG(name_of(node)), error->text);
    return false;
}

bool sp_doc_text(const struct sp_doc_node *node, size_t bytes_max, sp_str *ret_text,
                 struct sp_doc_problems *problems) {
    if (node == NULL) {
        return true;
    }
    if (node->kind != SP_DOC_TEXT) {
        return expected(node, "text", problems);
    }
    if (node->text.len == 0 || node->text.len > bytes_max) {
        sp_doc_wrong(problems, node->place, "`%.*s`: %zu bytes; expected 1 to %zu",
                     SP_STR_ARG(name_of(node)), node->text.len, bytes_max);
        return false;
    }
    *ret_text = node->text;
    return true;
}

bool sp_doc_bool(const struct sp_doc_node *node, bool *ret_value,
                 struct sp_doc_problems *problems) {
    if (node == NULL) {
        return true;
    }
    if (node->kind != SP_DOC_TRUE && node->kind != SP_DOC_FALSE) {
        return expected(node, "true or false", problems);
    }
    *ret_value = node->kind == SP_DOC_TRUE;
    return true;
}

static bool out_of_bounds(const struct sp_doc_node *node, uint64_t min, uint64_t max,
                          struct sp_doc_problems *problems) {
    sp_doc_wrong(problems, node->place,
                 "`%.*s`: expected a whole number from %llu to %llu, found %.*s",
                 SP_STR_ARG(name_of(node)), (unsigned long long)min, (unsigned long long)max,
                 SP_STR_ARG(node->text));
    return false;
}

bool sp_doc_integer(const struct sp_doc_node *node, uint64_t min, uint64_t max, uint64_t *ret_value,
                    struct sp_doc_problems *problems) {
    sp_require(max < UINT64_C(1) << 53); /* a double tells it exactly */
    if (node == NULL) {
        return true;
    }
    if (node->kind != SP_DOC_NUMBER) {
        return expected(node, "a whole number", problems);
    }
    double value = sp_json_number(node->text);
    if (!sp_json_is_integral(node->text) || !(value >= (double)min && value <= (double)max)) {
        return out_of_bounds(node, min, max, problems);
    }
    *ret_value = (uint64_t)value;
    return true;
}

bool sp_doc_milli(const struct sp_doc_node *node, uint64_t min_milli, uint64_t max_milli,
                  uint64_t *ret_milli, struct sp_doc_problems *problems) {
    if (node == NULL) {
        return true;
    }
    if (node->kind != SP_DOC_NUMBER) {
        return expected(node, "a number", problems);
    }
    double milli = sp_json_number(node->text) * 1000;
    if (!(milli >= (double)min_milli && milli <= (double)max_milli)) {
        sp_doc_wrong(problems, node->place,
                     "`%.*s`: expected a number from %llu to %llu, found %.*s",
                     SP_STR_ARG(name_of(node)), (unsigned long long)min_milli / 1000,
                     (unsigned long long)max_milli / 1000, SP_STR_ARG(node->text));
        return false;
    }
    *ret_milli = (uint64_t)(milli + 0.5);
    return true;
}

bool sp_doc_duration(const struct sp_doc_node *node, uint64_t min_us, uint64_t max_us,
                     uint64_t *ret_us, struct sp_doc_problems *problems) {
    struct sp_error error;
    uint64_t us = 0;
    if (node == NULL) {
        return true;
    }
    if (node->kind == SP_DOC_NUMBER) {
        double value = sp_json_number(node->text) * 1e6;
        us = value >= 0 && value < 9e18 ? (uint64_t)(value + 0.5) : UINT64_MAX;
    } else if (node->kind != SP_DOC_TEXT) {
        return expected(node, "a duration such as 30s", problems);
    } else if (sp_duration_parse(node->text, &us, &error) != SP_OK) {
        return refused(node, &error, problems);
    }
    if (us < min_us || us > max_us) {
        char least[SP_DURATION_TEXT_SIZE];
        char most[SP_DURATION_TEXT_SIZE];
        sp_duration_format(min_us, least);
        sp_duration_format(max_us, most);
        sp_doc_wrong(problems, node->place, "`%.*s`: %.*s is not between %s and %s",
                     SP_STR_ARG(name_of(node)), SP_STR_ARG(node->text), least, most);
        return false;
    }
    *ret_us = us;
    return true;
}

/* "a, b or c", for messages. */
static void list_words(const char *const *words, size_t word_count, struct sp_buf *to) {
    for (size_t i = 0; i < word_count; i++) {
        sp_buf_add_str(to, sp_str_from(i == 0 ? "" : i + 1 == word_count ? " or " : ", "));
        sp_buf_add_str(to, sp_str_from(words[i]));
    }
    sp_buf_add_byte(to, 0);
}

bool sp_doc_word(const struct sp_doc_node *node, const char *const *words, size_t word_count,
                 uint32_t *ret_index, struct sp_doc_problems *problems) {
    if (node == NULL) {
        return true;
    }
    for (uint32_t i = 0; i < word_count; i++) {
        if (node->kind == SP_DOC_TEXT && sp_str_eq(node->text, sp_str_from(words[i]))) {
            *ret_index = i;
            return true;
        }
    }
    struct sp_buf list;
    sp_buf_init(&list, 1024);
    list_words(words, word_count, &list);
    const char *all = list.status == SP_OK ? (const char *)list.data : "another word";
    if (node->kind != SP_DOC_TEXT) {
        (void)expected(node, all, problems);
    } else {
        sp_doc_wrong(problems, node->place, "`%.*s`: expected %s, found `%.*s`",
                     SP_STR_ARG(name_of(node)), all, SP_STR_ARG(node->text));
    }
    sp_buf_fini(&list);
    return false;
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name(sp_str text, bool dots) {
    if (text.len == 0 || text.len > SP_DOC_NAME_BYTES_MAX || !is_letter(text.ptr[0])) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '_' && c != '-' &&
            !(dots && c == '.')) {
            return false;
        }
    }
    return true;
}

bool sp_doc_name(const struct sp_doc_node *node, bool dots, sp_str *ret_name,
                 struct sp_doc_problems *problems) {
    if (node == NULL) {
        return true;
    }
    if (node->kind != SP_DOC_TEXT) {
        return expected(node, "a name", problems);
    }
    if (!is_name(node->text, dots)) {
        sp_doc_wrong(problems, node->place,
                     "`%.*s` is no name: a letter, then letters, digits, `_`, `-`%s, at most %d",
                     SP_STR_ARG(node->text), dots ? ", `.`" : "", SP_DOC_NAME_BYTES_MAX);
        return false;
    }
    *ret_name = node->text;
    return true;
}

bool sp_doc_type(const struct sp_doc_node *node, sp_str *ret_type,
                 struct sp_doc_problems *problems) {
    struct sp_error error;
    if (node == NULL) {
        return true;
    }
    if (node->kind != SP_DOC_TEXT) {
        return expected(node, "an event's type", problems);
    }
    if (sp_event_type_check(node->text, &error) != SP_OK) {
        return refused(node, &error, problems);
    }
    *ret_type = node->text;
    return true;
}

bool sp_doc_pattern(const struct sp_doc_node *node, sp_str *ret_pattern,
                    struct sp_doc_problems *problems) {
    struct sp_error error;
    if (node == NULL) {
        return true;
    }
    if (node->kind != SP_DOC_TEXT) {
        return expected(node, "a pattern of types", problems);
    }
    if (sp_pattern_check(node->text, &error) != SP_OK) {
        return refused(node, &error, problems);
    }
    *ret_pattern = node->text;
    return true;
}

bool sp_doc_filter(const struct sp_doc_node *node, struct sp_filter **ret_filter,
                   struct sp_doc_problems *problems) {
    struct sp_error error;
    struct sp_buf text;
    if (node == NULL) {
        return true;
    }
    if (node->kind != SP_DOC_OBJECT) {
        return expected(node, "a filter, which is an object", problems);
    }
    sp_buf_init(&text, SP_FILTER_BYTES_MAX);
    sp_doc_write(node, &text);
    sp_status status = text.status == SP_OK
                           ? sp_filter_compile(sp_buf_str(&text), ret_filter, &error)
                           : sp_error_set(&error, text.status, "too large");
    sp_buf_fini(&text);
    return status == SP_OK || refused(node, &error, problems);
}

bool sp_doc_path(const struct sp_doc_node *node, sp_str *ret_path,
                 struct sp_doc_problems *problems) {
    struct sp_error error;
    struct sp_pool pool;
    struct sp_paths paths;
    uint16_t number = 0;
    if (node == NULL) {
        return true;
    }
    if (node->kind != SP_DOC_TEXT) {
        return expected(node, "a path into an event", problems);
    }
    sp_pool_init(&pool, 1 << 20);
    sp_paths_init(&paths, &pool);
    sp_status status = sp_paths_add(&paths, node->text, false, &number, &error);
    sp_pool_fini(&pool);
    if (status != SP_OK) {
        return refused(node, &error, problems);
    }
    *ret_path = node->text;
    return true;
}

bool sp_doc_program(const struct sp_doc_node *node, sp_str *ret_program,
                    struct sp_doc_problems *problems) {
    if (node != NULL && node->kind >= SP_DOC_ARRAY) {
        return expected(node, "a jq program in quotes", problems);
    }
    return node == NULL || node->kind == SP_DOC_TEXT
               ? sp_doc_text(node, SP_FLOW_PROGRAM_BYTES_MAX, ret_program, problems)
               : expected(node, "a jq program in quotes", problems);
}
