#include "api/desk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/desk_int.h"
#include "base/json.h"
#include "base/time.h"
#include "engine/query.h"

/* ---- the table ------------------------------------------------------------------------------- */

#define BIT(name) SP_DESK_BIT(SP_DESK_##name)

enum {
    WHY = BIT(BY) | BIT(REASON),
    PAGE = BIT(AFTER) | BIT(LIMIT),
    DECISION = WHY | BIT(CHOICE) | BIT(STEP) | BIT(DATA),
    START = BIT(KEY) | BIT(CORRELATION) | BIT(CAUSATION) | BIT(BY) | BIT(DATA),
};

#define WRITES   .writes = true
#define READS    .reads = true
#define ROWS(of) .rows = of

static const struct sp_desk_verb VERBS[] = {
    {"saga", "define", "text", BIT(BY) | BIT(NAME), WRITES, .run = desk_define},
    {"saga", "check", "text", BIT(NAME), .run = desk_check},
    {"saga", "rm", "name", BIT(BY), WRITES, .run = desk_undefine},
    {"saga", "definitions", NULL, 0, ROWS("definitions"), .run = desk_saga_definitions},
    {"saga", "definition", "name", 0, .run = desk_saga_definition},
    {"saga", "start", "name", START, WRITES, .takes_data = true, .run = desk_saga_start},
    {"saga", "ls", NULL, PAGE | BIT(NAME) | BIT(STATUS) | BIT(STEP) | BIT(WAITING), READS,
     ROWS("sagas"), .run = desk_saga_ls},
    {"saga", "show", "id", 0, READS, .run = desk_saga_show},
    {"saga", "story", "id", 0, READS, .run = desk_saga_story},
    {"saga", "approve", "id", DECISION, WRITES, .run = desk_decide},
    {"saga", "reject", "id", DECISION, WRITES, .run = desk_decide},
    {"saga", "cancel", "id", WHY, WRITES, .run = desk_saga_request},
    {"saga", "retry", "id", WHY | BIT(STEP), WRITES, .run = desk_saga_request},
    {"saga", "skip", "id", WHY | BIT(STEP), WRITES, .run = desk_saga_request},
    {"saga", "done", "id", WHY | BIT(STEP) | BIT(DATA), WRITES, .run = desk_saga_request},
    {"saga", "compensate", "id", WHY | BIT(STEP), WRITES, .run = desk_saga_request},
    {"saga", "resume", "id", WHY | BIT(STEP), WRITES, READS, .run = desk_saga_resume},
    {"saga", "fork", "id", BIT(BY) | BIT(STEP) | BIT(DATA), WRITES, READS, .run = desk_saga_fork},
    {"approval", "ls", NULL, PAGE | BIT(WHO) | BIT(STATUS), READS, ROWS("approvals"),
     .run = desk_approval_ls},
    {"approval", "show", "id", 0, READS, .run = desk_approval_show},
    {"approval", "approve", "id", DECISION, WRITES, .run = desk_decide},
    {"approval", "reject", "id", DECISION, WRITES, .run = desk_decide},
    {"approval", "decide", "id", DECISION, WRITES, .run = desk_decide},
    {"join", "add", "text", BIT(BY) | BIT(NAME), WRITES, .run = desk_define},
    {"join", "check", "text", BIT(NAME), .run = desk_check},
    {"join", "rm", "name", BIT(BY), WRITES, .run = desk_undefine},
    {"join", "ls", NULL, 0, ROWS("joins"), .run = desk_join_ls},
    {"join", "show", "name", 0, .run = desk_join_show},
    {"schedule", "add", "text", BIT(BY) | BIT(NAME), WRITES, .run = desk_define},
    {"schedule", "check", "text", BIT(NAME), .run = desk_check},
    {"schedule", "rm", "name", BIT(BY), WRITES, .run = desk_undefine},
    {"schedule", "ls", NULL, 0, ROWS("schedules"), .run = desk_schedule_ls},
    {"schedule", "show", "name", 0, .run = desk_schedule_show},
    {"timer", "ls", NULL, PAGE, READS, ROWS("timers"), .run = desk_timer_ls},
    {"timer", "cancel", "id", WHY | BIT(SOURCE), WRITES, .run = desk_timer_cancel},
    {.desk = NULL},
};

const struct sp_desk_verb *sp_desk_verbs(void) {
    return VERBS;
}

/* ASCII case does not count; `word` is lower case. */
static bool is_word(sp_str text, const char *word) {
    size_t i = 0;
    for (; i < text.len && word[i] != '\0'; i++) {
        char c = text.ptr[i];
        if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != word[i]) {
            return false;
        }
    }
    return i == text.len && word[i] == '\0';
}

const struct sp_desk_verb *sp_desk_find(sp_str desk, sp_str verb) {
    for (const struct sp_desk_verb *row = VERBS; row->desk != NULL; row++) {
        if (is_word(desk, row->desk) && is_word(verb, row->name)) {
            return row;
        }
    }
    return NULL;
}

/* ---- options --------------------------------------------------------------------------------- */

/* An option's name, and another that is good as well: that of the member it is compared with. */
static const struct {
    const char *name;
    const char *other;
} OPTIONS[SP_DESK_OPTION_COUNT] = {
    [SP_DESK_BY] = {"by", NULL},
    [SP_DESK_REASON] = {"reason", "why"},
    [SP_DESK_CHOICE] = {"choice", NULL},
    [SP_DESK_STEP] = {"step", "at"},
    [SP_DESK_KEY] = {"key", NULL},
    [SP_DESK_CORRELATION] = {"correlation", "correlationid"},
    [SP_DESK_CAUSATION] = {"causation", "causationid"},
    [SP_DESK_DATA] = {"data", "result"},
    [SP_DESK_NAME] = {"name", "saga"},
    [SP_DESK_STATUS] = {"status", NULL},
    [SP_DESK_WAITING] = {"waiting", "waiting_for"},
    [SP_DESK_WHO] = {"who", NULL},
    [SP_DESK_SOURCE] = {"source", NULL},
    [SP_DESK_AFTER] = {"after", NULL},
    [SP_DESK_LIMIT] = {"limit", NULL},
};

static enum sp_desk_option option_of(const struct sp_desk_verb *verb, sp_str name) {
    unsigned i = 0;
    for (; i < SP_DESK_OPTION_COUNT; i++) {
        bool named = is_word(name, OPTIONS[i].name) ||
                     (OPTIONS[i].other != NULL && is_word(name, OPTIONS[i].other));
        if (named && (verb->options & SP_DESK_BIT(i)) != 0) {
            break;
        }
    }
    return (enum sp_desk_option)i;
}

bool sp_desk_takes_text(const struct sp_desk_verb *verb) {
    return verb->subject != NULL && strcmp(verb->subject, "text") == 0;
}

bool sp_desk_takes_json(const struct sp_desk_verb *verb, sp_str option) {
    return option_of(verb, option) == SP_DESK_DATA;
}

static sp_status refuse_option(const struct sp_desk_verb *verb, sp_str name,
                               struct sp_error *error) {
    char taken[160] = "";
    size_t len = 0;
    if (verb->subject != NULL && !sp_desk_takes_text(verb)) {
        len = (size_t)snprintf(taken, sizeof(taken), "%s",
                               strcmp(verb->subject, "name") == 0 ? verb->desk : verb->subject);
    }
    for (unsigned i = 0; i < SP_DESK_OPTION_COUNT && len < sizeof(taken); i++) {
        if ((verb->options & SP_DESK_BIT(i)) != 0) {
            len += (size_t)snprintf(taken + len, sizeof(taken) - len, "%s%s", len > 0 ? ", " : "",
                                    OPTIONS[i].name);
        }
    }
    if (len == 0) {
        return sp_error_set(error, SP_INVALID, "%s %s takes no options, found '%.*s'", verb->desk,
                            verb->name, name.len > 64 ? 64 : (int)name.len, name.ptr);
    }
    return sp_error_set(error, SP_INVALID, "%s %s: expected one of %s, found '%.*s'", verb->desk,
                        verb->name, taken, name.len > 64 ? 64 : (int)name.len,
                        name.len > 0 ? name.ptr : "");
}

bool desk_read_u64(sp_str text, uint64_t *ret_number) {
    uint64_t number = 0;
    bool good = text.len > 0 && text.len <= 18; /* no overflow */
    for (size_t i = 0; i < text.len && good; i++) {
        good = text.ptr[i] >= '0' && text.ptr[i] <= '9';
        number = number * 10 + (good ? (uint64_t)(text.ptr[i] - '0') : 0);
    }
    *ret_number = number;
    return good;
}

static sp_status read_limit(sp_str value, uint32_t *ret_limit, struct sp_error *error) {
    uint64_t limit = 0;
    if (!desk_read_u64(value, &limit) || limit == 0 || limit > SP_DESK_LIMIT_MAX) {
        return sp_error_set(error, SP_INVALID,
                            "limit: expected a number from 1 to %d, found '%.*s'",
                            SP_DESK_LIMIT_MAX, value.len > 32 ? 32 : (int)value.len,
                            value.len > 0 ? value.ptr : "");
    }
    *ret_limit = (uint32_t)limit;
    return SP_OK;
}

sp_status sp_desk_set(struct sp_desk_request *request, sp_str name, sp_str value,
                      struct sp_error *error) {
    const struct sp_desk_verb *verb = request->verb;
    enum sp_desk_option option = option_of(verb, name);
    bool is_subject = option == SP_DESK_OPTION_COUNT && verb->subject != NULL &&
                      (is_word(name, verb->subject) || is_word(name, verb->desk));
    sp_str *place = is_subject ? &request->subject : &request->options[option];
    if (!is_subject && option == SP_DESK_OPTION_COUNT) {
        return refuse_option(verb, name, error);
    }
    if (place->ptr != NULL) {
        return sp_error_set(error, SP_INVALID, "%.*s: found it twice, expected it once",
                            SP_STR_ARG(name));
    }
    *place = value.ptr != NULL ? value : SP_STR("");
    return option == SP_DESK_LIMIT ? read_limit(value, &request->limit, error) : SP_OK;
}

sp_status sp_desk_check(const struct sp_desk_request *request, struct sp_error *error) {
    const struct sp_desk_verb *verb = request->verb;
    if (verb->subject != NULL && request->subject.len == 0) {
        return sp_error_set(error, SP_INVALID, "%s %s: found no %s, expected one", verb->desk,
                            verb->name, verb->subject);
    }
    return SP_OK;
}

sp_status sp_desk_read(const struct sp_desk_verb *verb, const sp_str *words, uint32_t count,
                       struct sp_desk_request *ret_request, struct sp_error *error) {
    struct sp_desk_request request = {.verb = verb, .limit = SP_DESK_LIMIT_DEFAULT};
    uint32_t at = 0;
    sp_status status = SP_OK;
    if (verb->subject != NULL && count > 0) {
        request.subject = words[at++];
    }
    /* Pairs follow: one word too many is the data. */
    if (verb->takes_data && (count - at) % 2 == 1) {
        request.options[SP_DESK_DATA] = words[at++];
    }
    for (; status == SP_OK && at < count; at += 2) {
        status = at + 1 < count
                     ? sp_desk_set(&request, words[at], words[at + 1], error)
                     : sp_error_set(error, SP_INVALID, "%s %s: '%.*s' has no value", verb->desk,
                                    verb->name, words[at].len > 64 ? 64 : (int)words[at].len,
                                    words[at].len > 0 ? words[at].ptr : "");
    }
    status = status == SP_OK ? sp_desk_check(&request, error) : status;
    if (status == SP_OK) {
        *ret_request = request;
    }
    return status;
}

uint32_t sp_desk_words(const struct sp_desk_request *request, char room[SP_DESK_ROOM_SIZE],
                       sp_str words[SP_DESK_WORDS_MAX]) {
    uint32_t count = 0;
    (void)snprintf(room, SP_DESK_ROOM_SIZE, "SPOOR.%s", request->verb->desk);
    words[count++] = sp_str_from(room);
    words[count++] = sp_str_from(request->verb->name);
    if (request->verb->subject != NULL) {
        words[count++] = request->subject;
    }
    for (unsigned i = 0; i < SP_DESK_OPTION_COUNT; i++) {
        if (request->options[i].ptr != NULL) {
            words[count++] = sp_str_from(OPTIONS[i].name);
            words[count++] = request->options[i];
        }
    }
    return count;
}

/* ---- answers --------------------------------------------------------------------------------- */

void sp_desk_answer_init(struct sp_desk_answer *answer) {
    *answer = (struct sp_desk_answer){.row_count = 0};
    sp_buf_init(&answer->text, DESK_ANSWER_BYTES_MAX);
    sp_buf_init(&answer->member, DESK_MEMBER_BYTES_MAX);
}

void sp_desk_answer_fini(struct sp_desk_answer *answer) {
    sp_buf_fini(&answer->text);
    sp_buf_fini(&answer->member);
}

void desk_add_name(struct sp_buf *to, const char *name) {
    if (to->len > 0 && to->data[to->len - 1] != '{') {
        sp_buf_add_byte(to, ',');
    }
    sp_buf_add_byte(to, '"');
    sp_buf_add_str(to, sp_str_from(name));
    sp_buf_add_str(to, SP_STR("\":"));
}

void desk_add_text(struct sp_buf *to, const char *name, sp_str text) {
    desk_add_name(to, name);
    sp_json_add_string(to, text);
}

void desk_add_u64(struct sp_buf *to, const char *name, uint64_t value) {
    desk_add_name(to, name);
    sp_buf_add_u64(to, value);
}

void desk_add_bool(struct sp_buf *to, const char *name, bool value) {
    desk_add_name(to, name);
    sp_buf_add_str(to, value ? SP_STR("true") : SP_STR("false"));
}

void desk_add_time(struct sp_buf *to, const char *name, uint64_t time_us) {
    char text[SP_TIME_TEXT_SIZE];
    if (time_us != 0 && time_us <= SP_TIME_US_MAX) {
        sp_time_format(time_us, text);
        desk_add_text(to, name, sp_str_from(text));
    }
}

void desk_add_definition(struct sp_buf *to, sp_str text) {
    desk_add_name(to, "definition");
    if (text.len > 0 && sp_json_check(text, NULL) == SP_OK) {
        sp_buf_add_str(to, text);
    } else {
        sp_json_add_string(to, text); /* unusable: as it came */
    }
}

sp_status desk_check_json(sp_str text, const char *what, struct sp_error *error) {
    sp_status status = text.len > 0 ? sp_json_check(text, error) : SP_OK;
    return status == SP_OK ? SP_OK : sp_error_prefix(error, status, "%s: expected JSON", what);
}

/* ---- pages ----------------------------------------------------------------------------------- */

enum { PAGE_POSITIONS_MIN = 256 };

sp_status desk_page_begin(const struct sp_desk_call *call, struct desk_page *page,
                          struct sp_error *error) {
    sp_str after = desk_option(call, SP_DESK_AFTER);
    *page = (struct desk_page){.count = 0};
    return after.len == 0 || desk_read_u64(after, &page->after)
               ? SP_OK
               : sp_error_set(error, SP_INVALID, "after: expected a position, found '%.*s'",
                              after.len > 48 ? 48 : (int)after.len, after.ptr);
}

void desk_page_note(struct desk_page *page, uint64_t position) {
    if (page->failed || position <= page->after) {
        return;
    }
    if (page->count == page->capacity) {
        size_t capacity = page->capacity > 0 ? 2 * page->capacity : PAGE_POSITIONS_MIN;
        uint64_t *positions = realloc(page->positions, capacity * sizeof(*positions));
        if (positions == NULL) {
            page->failed = true;
            return;
        }
        page->positions = positions;
        page->capacity = capacity;
    }
    page->positions[page->count++] = position;
}

static int compare_positions(const void *left, const void *right) {
    uint64_t a;
    uint64_t b;
    memcpy(&a, left, sizeof(a));
    memcpy(&b, right, sizeof(b));
    return a < b ? -1 : a > b;
}

sp_status desk_page_cut(struct sp_desk_call *call, struct desk_page *page, struct sp_error *error) {
    uint32_t limit = call->request->limit;
    bool failed = page->failed;
    page->last = UINT64_MAX;
    if (!failed && page->count > limit) {
        qsort(page->positions, page->count, sizeof(*page->positions), compare_positions);
        page->last = page->positions[limit - 1];
        call->answer->more = true;
        (void)snprintf(call->answer->next, sizeof(call->answer->next), "%" PRIu64, page->last);
    }
    free(page->positions);
    page->positions = NULL;
    return failed ? sp_error_set(error, SP_NO_MEMORY, "no memory for the list") : SP_OK;
}

const struct sp_event *desk_open_at(const struct sp_desk_call *call, uint64_t position,
                                    struct sp_cursor **ret_cursor) {
    char text[24];
    const struct sp_event *event = NULL;
    (void)snprintf(text, sizeof(text), "%" PRIu64, position);
    const struct sp_query query = {
        .from = sp_str_from(text), .until = sp_str_from(text), .limit = 1};
    *ret_cursor = NULL;
    if (position == 0 || sp_cursor_open(call->engine, &query, ret_cursor, NULL) != SP_OK ||
        sp_cursor_next(*ret_cursor, &event, NULL) != SP_OK) {
        return NULL;
    }
    return event;
}

void desk_end_row(struct sp_desk_call *call) {
    sp_buf_add_byte(&call->answer->text, '\n');
    call->answer->row_count++;
}

/* ---- asking ---------------------------------------------------------------------------------- */

sp_status sp_desk_ask(struct sp_engine *engine, const struct sp_desk_request *request, sp_str by,
                      uint64_t now_us, struct sp_desk_answer *answer, struct sp_error *error) {
    struct sp_desk_call call = {
        .engine = engine,
        .request = request,
        .by = request->options[SP_DESK_BY].len > 0 ? request->options[SP_DESK_BY] : by,
        .now_us = now_us,
        .answer = answer};
    sp_buf_reset(&answer->text);
    sp_buf_reset(&answer->member);
    answer->member_name = NULL;
    answer->row_count = 0;
    answer->more = answer->changed = answer->created = false;
    answer->next[0] = '\0';
    sp_status status = request->verb->run(&call, error);
    if (status == SP_OK && answer->text.status != SP_OK) {
        status = sp_error_set(error, answer->text.status, "the answer is too large");
    }
    return status;
}
