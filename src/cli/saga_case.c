#include "cli/saga_case.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/time.h"
#include "event/event_json.h"
#include "flow/definition.h"
#include "flow/flow.h"
#include "flow/saga.h"

enum {
    COMMANDS_MAX = 64, /* types of commands that are told apart */
    TEXT_BYTES_MAX = 1 << 20,
    ID_SIZE = 1024,
};
static const uint64_t BEGIN_US = UINT64_C(1767225600000000); /* 2026-01-01T00:00:00Z */
static const uint64_t SECOND_US = 1000000;

struct play {
    const struct sp_saga_case *played;
    struct sp_saga_case_result *result;
    struct sp_rehearsal *rehearsal;
    struct sp_error error; /* of a callback */
    uint32_t used[COMMANDS_MAX];
    struct sp_buf data; /* of the answers of one command */
    uint64_t deaths;
    uint64_t from; /* the first event behind the definitions */
    char sagaid[SP_SAGA_ID_SIZE];
    char name[64]; /* of the saga that is started */
};

static const struct sp_doc_node *get(const struct sp_doc_node *node, const char *key) {
    return node != NULL && node->kind == SP_DOC_OBJECT ? sp_doc_get(node, key) : NULL;
}

static sp_str text_of(const struct sp_doc_node *node, const char *key) {
    const struct sp_doc_node *found = get(node, key);
    return found != NULL ? found->text : (sp_str){.ptr = NULL, .len = 0};
}

static bool is_true(const struct sp_doc_node *node, const char *key) {
    const struct sp_doc_node *found = get(node, key);
    return found != NULL && found->kind == SP_DOC_TRUE;
}

static sp_status not_understood(const struct sp_doc_node *node, const char *what,
                                struct sp_error *error) {
    return sp_error_set(error, SP_INVALID, "line %u, column %u: %s", node->place.line,
                        node->place.column, what);
}

/* ---- workers --------------------------------------------------------------------------------- */

/* What the worker of a command type does this time; NULL: it succeeds. The last one repeats. */
static const struct sp_doc_node *behaviour(struct play *play, sp_str type) {
    const struct sp_doc_node *workers = get(play->played->node, "workers");
    uint32_t index = 0;
    const struct sp_doc_node *found = workers != NULL ? workers->first : NULL;
    while (found != NULL && !sp_str_eq(found->key, type)) {
        found = found->next;
        index++;
    }
    if (found == NULL || found->kind != SP_DOC_ARRAY) {
        return found;
    }
    uint32_t at = index < COMMANDS_MAX ? play->used[index]++ : 0;
    const struct sp_doc_node *item = found->first;
    while (item != NULL && item->next != NULL && at-- > 0) {
        item = item->next;
    }
    return item;
}

static uint64_t after_of(const struct sp_doc_node *node) {
    struct sp_doc_problems problems;
    uint64_t us = SECOND_US;
    sp_doc_problems_init(&problems);
    (void)sp_doc_duration(get(node, "after"), 0, SP_SAGA_DURATION_US_MAX, &us, &problems);
    return us;
}

/* The answer's data as JSON; of a failure told by a text, `error` and `retryable` of it. */
static sp_str answer_data(struct play *play, const struct sp_doc_node *node, bool good) {
    const struct sp_doc_node *data = get(node, good ? "completed" : "failed");
    sp_buf_reset(&play->data);
    if (data != NULL && (good || data->kind == SP_DOC_OBJECT)) {
        sp_doc_write(data, &play->data);
    } else if (!good) {
        sp_str text = data != NULL && data->kind == SP_DOC_TEXT ? data->text : SP_STR("failed");
        const struct sp_doc_node *retryable = get(node, "retryable");
        sp_buf_add_str(&play->data, SP_STR("{\"error\":"));
        sp_json_add_string(&play->data, text);
        sp_buf_add_str(&play->data, retryable != NULL && retryable->kind == SP_DOC_FALSE
                                        ? SP_STR(",\"retryable\":false}")
                                        : SP_STR("}"));
    }
    return sp_buf_str(&play->data);
}

static void on_command(void *context, const struct sp_event *command,
                       struct sp_rehearsal_plan *plan) {
    struct play *play = context;
    if (sp_str_eq(command->attr[SP_ATTR_TYPE], SP_STR("action.proposed"))) {
        return; /* people decide by what happens in the case */
    }
    const struct sp_doc_node *node = behaviour(play, command->attr[SP_ATTR_TYPE]);
    sp_str word = node != NULL && node->kind == SP_DOC_TEXT ? node->text : SP_STR("");
    if (sp_str_eq(word, SP_STR("silent")) || is_true(node, "silent")) {
        return;
    }
    bool good = !sp_str_eq(word, SP_STR("failed")) && get(node, "failed") == NULL;
    struct sp_rehearsal_answer answer = {.after_us = after_of(node),
                                         .data = answer_data(play, node, good)};
    bool nonsense = sp_str_eq(word, SP_STR("nonsense")) || is_true(node, "nonsense");
    answer.kind = is_true(node, "wrong_attempt") ? SP_REHEARSAL_WRONG_ATTEMPT
                  : nonsense                     ? SP_REHEARSAL_NONSENSE
                  : good                         ? SP_REHEARSAL_SUCCESS
                                                 : SP_REHEARSAL_FAILURE;
    plan->answers[plan->count++] = answer;
    if (is_true(node, "twice")) {
        plan->answers[plan->count++] = answer;
    }
}

static sp_status on_program(void *context, sp_str program, sp_str input, struct sp_buf *to,
                            struct sp_error *error) {
    const struct sp_saga_case *played = ((struct play *)context)->played;
    return played->evaluate(played->context, program, input, to, error);
}

/* ---- crashes, and the log told --------------------------------------------------------------- */

static enum sp_rehearsal_fate on_append(void *context, uint64_t append) {
    static const enum sp_rehearsal_fate FATES[] = {
        SP_REHEARSAL_CRASH_AFTER, SP_REHEARSAL_CRASH_BEFORE,    SP_REHEARSAL_CRASH_AFTER,
        SP_REHEARSAL_REFUSED,     SP_REHEARSAL_CRASH_FROM_ZERO, SP_REHEARSAL_CRASH_TAKEN,
        SP_REHEARSAL_CRASH_AFTER};
    struct play *play = context;
    (void)append;
    if (play->played->crashes == SP_SAGA_CASE_LIVES) {
        return SP_REHEARSAL_APPENDED;
    }
    play->result->crashes++;
    return FATES[play->deaths++ % (sizeof(FATES) / sizeof(FATES[0]))];
}

static void tell(struct play *play) {
    for (uint64_t i = play->from;
         play->result->log != NULL && i <= sp_rehearsal_count(play->rehearsal); i++) {
        struct sp_event event;
        if (sp_rehearsal_read(play->rehearsal, i, &event, NULL) == SP_OK) {
            sp_event_to_json(&event, NULL, play->result->log);
            sp_buf_add_byte(play->result->log, '\n');
        }
    }
}

/* ---- definitions and starts ------------------------------------------------------------------ */

static sp_status append_json(struct play *play, const char *type, sp_str stream, sp_str data,
                             struct sp_error *error) {
    uint64_t position;
    struct sp_event event = {.has_data = true, .data_is_json = true, .data = data};
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.attr[SP_ATTR_STREAM] = stream;
    event.attr[SP_ATTR_SOURCE] = SP_STR("spoor");
    return sp_rehearsal_append(play->rehearsal, &event, &position, error);
}

/* The text that an earlier definition of the case has, for those that nest it. */
struct lookup {
    struct play *play;
    uint32_t count;
    struct sp_buf text;
};

static sp_str find_definition(void *context, sp_str name) {
    struct lookup *lookup = context;
    struct sp_saga_definition_info info;
    const struct sp_sagas *sagas = sp_flow_sagas(sp_rehearsal_flow(lookup->play->rehearsal));
    return sp_sagas_definition(sagas, name, &info) && info.definition != NULL
               ? info.definition->text
               : (sp_str){.ptr = NULL, .len = 0};
}

static sp_status compile(struct play *play, const struct sp_doc *given,
                         struct sp_saga_definition **ret, struct sp_error *error) {
    struct sp_doc_problems problems;
    struct lookup context = {.play = play};
    struct sp_saga_lookup lookup = {.context = &context, .find = find_definition};
    struct sp_doc doc;
    struct sp_buf text;
    sp_doc_problems_init(&problems);
    sp_buf_init(&text, TEXT_BYTES_MAX);
    sp_doc_init(&doc);
    sp_doc_write(given->root, &text);
    sp_status status = sp_doc_parse_json(&doc, sp_buf_str(&text), error);
    if (status == SP_OK) {
        status = sp_saga_definition_inline(&doc, &lookup, &problems, error);
    }
    if (status == SP_OK) {
        status = sp_saga_definition_compile(&doc, false, &problems, ret, error);
    }
    sp_doc_fini(&doc);
    sp_buf_fini(&text);
    return status;
}

static sp_status define(struct play *play, const struct sp_doc *doc, struct sp_error *error) {
    struct sp_saga_definition *definition = NULL;
    struct sp_buf data;
    sp_status status = compile(play, doc, &definition, error);
    if (status != SP_OK) {
        return status;
    }
    if (play->name[0] == '\0') {
        (void)snprintf(play->name, sizeof(play->name), "%.*s", SP_STR_ARG(definition->name));
    }
    sp_buf_init(&data, TEXT_BYTES_MAX);
    sp_buf_add_str(&data, SP_STR("{\"saga\":"));
    sp_json_add_string(&data, definition->name);
    sp_buf_add_str(&data, SP_STR(",\"definition\":"));
    sp_buf_add_str(&data, definition->text);
    sp_buf_add_byte(&data, '}');
    status = append_json(play, "saga.defined", SP_STR("$sagas"), sp_buf_str(&data), error);
    sp_buf_fini(&data);
    sp_saga_definition_unref(definition);
    return status;
}

/* The first saga that began is the one that `{saga}` means. */
static void find_saga(struct play *play) {
    for (uint64_t i = play->from;
         i <= sp_rehearsal_count(play->rehearsal) && play->sagaid[0] == '\0'; i++) {
        struct sp_event event;
        if (sp_rehearsal_read(play->rehearsal, i, &event, NULL) == SP_OK &&
            sp_str_eq(event.attr[SP_ATTR_TYPE], SP_STR("saga.started"))) {
            sp_str stream = event.attr[SP_ATTR_STREAM];
            (void)snprintf(play->sagaid, sizeof(play->sagaid), "%.*s",
                           SP_STR_ARG(sp_str_from_byte(stream, 5)));
        }
    }
}

static sp_status settle(struct play *play, struct sp_error *error) {
    sp_status status = sp_rehearsal_settle(play->rehearsal, error);
    find_saga(play);
    return status;
}

static sp_status append_out(struct play *play, sp_status built, struct sp_flow_out *out,
                            struct sp_error *error) {
    uint64_t position;
    return built == SP_OK ? sp_rehearsal_append_out(play->rehearsal, out, &position, error) : built;
}

static sp_status start(struct play *play, const struct sp_doc_node *node, struct sp_error *error) {
    struct sp_buf data;
    struct sp_flow_out out;
    sp_str name = text_of(node, "saga");
    sp_buf_init(&data, TEXT_BYTES_MAX);
    sp_flow_out_init(&out);
    if (get(node, "data") != NULL) {
        sp_doc_write(get(node, "data"), &data);
    }
    struct sp_saga_start begun = {.name = name.len > 0 ? name : sp_str_from(play->name),
                                  .data = sp_buf_str(&data),
                                  .key = text_of(node, "key"),
                                  .by = text_of(node, "by")};
    struct sp_flow_now now = sp_rehearsal_now(play->rehearsal);
    sp_status status = sp_saga_start_events(sp_flow_sagas(sp_rehearsal_flow(play->rehearsal)),
                                            &begun, now.new_id, now.now_us, &out, error);
    status = append_out(play, status, &out, error);
    sp_flow_out_fini(&out);
    sp_buf_fini(&data);
    return status;
}

/* ---- what happens ---------------------------------------------------------------------------- */

static sp_status say_event(struct play *play, const struct sp_doc_node *node,
                           struct sp_error *error) {
    struct sp_buf data;
    uint64_t position;
    struct sp_event event = {.has_data = false};
    static const struct {
        const char *key;
        enum sp_attr attr;
    } ATTRS[] = {{"type", SP_ATTR_TYPE},
                 {"source", SP_ATTR_SOURCE},
                 {"stream", SP_ATTR_STREAM},
                 {"id", SP_ATTR_ID},
                 {"causationid", SP_ATTR_CAUSATION}};
    for (size_t i = 0; i < sizeof(ATTRS) / sizeof(ATTRS[0]); i++) {
        event.attr[ATTRS[i].attr] = text_of(node, ATTRS[i].key);
    }
    if (!sp_event_has(&event, SP_ATTR_TYPE)) {
        return not_understood(node, "an event has a type", error);
    }
    sp_buf_init(&data, TEXT_BYTES_MAX);
    if (get(node, "data") != NULL) {
        sp_doc_write(get(node, "data"), &data);
        event.has_data = true;
        event.data_is_json = true;
        event.data = sp_buf_str(&data);
    }
    sp_status status = sp_rehearsal_append(play->rehearsal, &event, &position, error);
    sp_buf_fini(&data);
    return status;
}

/* `<saga's id>/<step>:<attempt>`, `~` where it is being undone. */
static sp_str command_id(struct play *play, const struct sp_doc_node *node, char id[ID_SIZE]) {
    sp_str attempt = text_of(node, "attempt");
    int len = snprintf(id, ID_SIZE, "%s/%.*s%c%.*s", play->sagaid,
                       SP_STR_ARG(text_of(node, "step")), is_true(node, "undo") ? '~' : ':',
                       SP_STR_ARG(attempt.len > 0 ? attempt : SP_STR("1")));
    return sp_str_of(id, len < 0 || len >= ID_SIZE ? 0 : (size_t)len);
}

static sp_status say_answer(struct play *play, const struct sp_doc_node *node,
                            struct sp_error *error) {
    char id[ID_SIZE];
    char type[300];
    uint64_t position;
    bool good = get(node, "failed") == NULL;
    struct sp_event event = {.has_data = true, .data_is_json = true};
    (void)snprintf(type, sizeof(type), "%.*s.%s", SP_STR_ARG(text_of(node, "of")),
                   good ? "completed" : "failed");
    event.data = answer_data(play, node, good);
    event.data = event.data.len > 0 ? event.data : SP_STR("{}");
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.attr[SP_ATTR_SOURCE] = SP_STR("worker");
    event.attr[SP_ATTR_CAUSATION] = command_id(play, node, id);
    return sp_rehearsal_append(play->rehearsal, &event, &position, error);
}

static void add_member(struct sp_buf *to, const char *name, sp_str value) {
    if (value.len > 0) {
        sp_buf_add_str(to, to->len > 1 ? SP_STR(",") : SP_STR(""));
        sp_json_add_string(to, sp_str_from(name));
        sp_buf_add_byte(to, ':');
        sp_json_add_string(to, value);
    }
}

static sp_status say_decision(struct play *play, const struct sp_doc_node *node,
                              struct sp_error *error) {
    char id[ID_SIZE];
    uint64_t position;
    struct sp_buf data;
    sp_str choice = text_of(node, "choice");
    sp_buf_init(&data, TEXT_BYTES_MAX);
    sp_buf_add_byte(&data, '{');
    add_member(&data, "choice", choice);
    add_member(&data, "by", text_of(node, "by"));
    add_member(&data, "reason", text_of(node, "reason"));
    sp_buf_add_byte(&data, '}');
    struct sp_event event = {.has_data = true, .data_is_json = true, .data = sp_buf_str(&data)};
    event.attr[SP_ATTR_TYPE] =
        sp_str_eq(choice, SP_STR("reject")) ? SP_STR("action.vetoed") : SP_STR("action.approved");
    sp_str by = text_of(node, "by");
    event.attr[SP_ATTR_SOURCE] = by.len > 0 ? by : SP_STR("somebody");
    event.attr[SP_ATTR_CAUSATION] = command_id(play, node, id);
    sp_status status = sp_rehearsal_append(play->rehearsal, &event, &position, error);
    sp_buf_fini(&data);
    return status;
}

/* What a person asks; `refused: true` says that it must not be possible. */
static sp_status ask(struct play *play, enum sp_saga_action action, const struct sp_doc_node *node,
                     struct sp_error *error) {
    struct sp_flow_out out;
    struct sp_buf result;
    sp_buf_init(&result, TEXT_BYTES_MAX);
    sp_flow_out_init(&out);
    if (get(node, "result") != NULL) {
        sp_doc_write(get(node, "result"), &result);
    }
    sp_str by = text_of(node, "by");
    struct sp_saga_request request = {.action = action,
                                      .sagaid = sp_str_from(play->sagaid),
                                      .step = text_of(node, "step"),
                                      .by = by.len > 0 ? by : SP_STR("somebody"),
                                      .why = text_of(node, "why"),
                                      .result = sp_buf_str(&result)};
    sp_status status = sp_sagas_request_events(sp_flow_sagas(sp_rehearsal_flow(play->rehearsal)),
                                               &request, &out, error);
    if (is_true(node, "refused")) {
        status = status != SP_OK ? SP_OK
                                 : sp_error_set(error, SP_CONFLICT,
                                                "line %u: what should be refused is possible",
                                                node->place.line);
    } else {
        status = append_out(play, status, &out, error);
    }
    sp_flow_out_fini(&out);
    sp_buf_fini(&result);
    return status;
}

static sp_status pass(struct play *play, const struct sp_doc_node *node, struct sp_error *error) {
    if (sp_str_eq(node->text, SP_STR("rest"))) {
        return sp_rehearsal_run(play->rehearsal, UINT64_MAX, error);
    }
    struct sp_doc_problems problems;
    uint64_t us = 0;
    sp_doc_problems_init(&problems);
    if (!sp_doc_duration(node, 0, SP_SAGA_DURATION_US_MAX, &us, &problems)) {
        return sp_doc_problems_status(&problems, error);
    }
    return sp_rehearsal_run(play->rehearsal, sp_rehearsal_now_us(play->rehearsal) + us, error);
}

static sp_status happen(struct play *play, const struct sp_doc_node *what, bool *ret_stop,
                        struct sp_error *error) {
    static const struct {
        const char *name;
        enum sp_saga_action action;
    } ASKED[] = {{"cancel", SP_SAGA_CANCEL},
                 {"retry", SP_SAGA_RETRY},
                 {"skip", SP_SAGA_SKIP},
                 {"done", SP_SAGA_MARK_DONE},
                 {"compensate", SP_SAGA_UNDO}};
    for (size_t i = 0; i < sizeof(ASKED) / sizeof(ASKED[0]); i++) {
        if (sp_str_eq(what->key, sp_str_from(ASKED[i].name))) {
            return ask(play, ASKED[i].action, what, error);
        }
    }
    *ret_stop = sp_str_eq(what->key, SP_STR("stop"));
    return *ret_stop                                ? SP_OK
           : sp_str_eq(what->key, SP_STR("wait"))   ? pass(play, what, error)
           : sp_str_eq(what->key, SP_STR("start"))  ? start(play, what, error)
           : sp_str_eq(what->key, SP_STR("event"))  ? say_event(play, what, error)
           : sp_str_eq(what->key, SP_STR("answer")) ? say_answer(play, what, error)
           : sp_str_eq(what->key, SP_STR("decide")) ? say_decision(play, what, error)
           : sp_str_eq(what->key, SP_STR("restart"))
               ? sp_rehearsal_crash(play->rehearsal, sp_rehearsal_count(play->rehearsal), true,
                                    error)
               : not_understood(what, "nothing of that name can happen", error);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* How the first saga stands: by what its stream says last, or what is known of it while it runs. */
static void status_of(struct play *play, char *to, size_t size) {
    static const char *const ENDS[] = {"saga.completed", "saga.compensated", "saga.cancelled"};
    (void)snprintf(to, size, "%s", play->sagaid[0] == '\0' ? "not started" : "unknown");
    struct sp_saga_info running;
    if (sp_sagas_find(sp_flow_sagas(sp_rehearsal_flow(play->rehearsal)), sp_str_from(play->sagaid),
                      &running)) {
        (void)snprintf(to, size, "%.*s", SP_STR_ARG(running.status));
        return;
    }
    for (uint64_t i = play->from; i <= sp_rehearsal_count(play->rehearsal); i++) {
        struct sp_event event;
        if (sp_rehearsal_read(play->rehearsal, i, &event, NULL) != SP_OK ||
            event.attr[SP_ATTR_STREAM].len != 5 + strlen(play->sagaid) ||
            !sp_str_ends_with(event.attr[SP_ATTR_STREAM], sp_str_from(play->sagaid))) {
            continue;
        }
        for (size_t k = 0; k < sizeof(ENDS) / sizeof(ENDS[0]); k++) {
            if (sp_str_eq(event.attr[SP_ATTR_TYPE], sp_str_from(ENDS[k]))) {
                (void)snprintf(to, size, "%s", ENDS[k] + 5);
            }
        }
    }
}

/* Joins and schedules of the case: `kind` is the word for one. */
static sp_status define_others(struct play *play, const char *kind, struct sp_error *error) {
    char key[16];
    char type[32];
    char stream[16];
    (void)snprintf(key, sizeof(key), "%ss", kind);
    (void)snprintf(type, sizeof(type), "%s.defined", kind);
    (void)snprintf(stream, sizeof(stream), "$%ss", kind);
    const struct sp_doc_node *list = get(play->played->node, key);
    sp_status status = SP_OK;
    for (const struct sp_doc_node *at = list != NULL ? list->first : NULL;
         at != NULL && status == SP_OK; at = at->next) {
        struct sp_buf data;
        sp_buf_init(&data, TEXT_BYTES_MAX);
        sp_buf_add_byte(&data, '{');
        add_member(&data, kind, text_of(at, kind));
        sp_buf_add_str(&data, SP_STR(",\"definition\":"));
        sp_doc_write(at, &data);
        sp_buf_add_byte(&data, '}');
        status = append_json(play, type, sp_str_from(stream), sp_buf_str(&data), error);
        sp_buf_fini(&data);
    }
    return status;
}

static bool holds(const char *text, sp_str part) {
    size_t len = strlen(text);
    for (size_t at = 0; at + part.len <= len; at++) {
        if (memcmp(text + at, part.ptr, part.len) == 0) {
            return true;
        }
    }
    return false;
}

static sp_status define_all(struct play *play, bool *ret_refused, struct sp_error *error) {
    const struct sp_doc_node *invalid = get(get(play->played->node, "then"), "invalid");
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < play->played->definition_count && status == SP_OK; i++) {
        status = define(play, play->played->definitions[i], error);
    }
    status = status == SP_OK ? define_others(play, "join", error) : status;
    status = status == SP_OK ? define_others(play, "schedule", error) : status;
    *ret_refused = false;
    if (status == SP_INVALID && invalid != NULL) {
        *ret_refused = true;
        return holds(error->text, invalid->text)
                   ? SP_OK
                   : sp_error_prefix(error, SP_FAILED, "refused for another reason");
    }
    return status == SP_OK && invalid != NULL
               ? sp_error_set(error, SP_FAILED, "the definition is let in")
               : status;
}

static sp_status play_all(struct play *play, struct sp_error *error) {
    const struct sp_doc_node *node = play->played->node;
    const struct sp_doc_node *begin = get(node, "start");
    const struct sp_doc_node *when = get(node, "when");
    bool stop = false;
    play->from = sp_rehearsal_count(play->rehearsal) + 1;
    sp_status status =
        begin != NULL && begin->kind == SP_DOC_FALSE ? SP_OK : start(play, begin, error);
    status = status == SP_OK ? settle(play, error) : status;
    const struct sp_doc_node *at = when != NULL ? when->first : NULL;
    for (; at != NULL && status == SP_OK && !stop; at = at->next) {
        if (at->kind != SP_DOC_OBJECT || at->count != 1) {
            return not_understood(at, "one thing at a time happens, by its name", error);
        }
        status = happen(play, at->first, &stop, error);
        status = status == SP_OK ? settle(play, error) : status;
    }
    if (status == SP_OK && !stop) {
        status = sp_rehearsal_run(play->rehearsal, UINT64_MAX, error);
        find_saga(play);
    }
    return status;
}

static void judge(struct play *play) {
    struct sp_saga_case_result *result = play->result;
    const struct sp_doc_node *then = get(play->played->node, "then");
    char status[32];
    status_of(play, status, sizeof(status));
    struct sp_saga_seen seen = {.rehearsal = play->rehearsal,
                                .from = play->from,
                                .sagaid = sp_str_from(play->sagaid),
                                .status = sp_str_from(status)};
    result->passed = sp_saga_case_match(then, &seen, result->text, sizeof(result->text));
}

static sp_status check_case(const struct sp_doc_node *node, struct sp_error *error) {
    static const char *const KEYS[] = {"case",  "about", "definition", "definitions",
                                       "files", "joins", "schedules",  "workers",
                                       "start", "when",  "then"};
    static const char *const THEN[] = {"status", "events", "exactly", "never", "count", "invalid"};
    struct sp_doc_problems problems;
    sp_doc_problems_init(&problems);
    (void)sp_doc_keys(node, "a case", KEYS, sizeof(KEYS) / sizeof(KEYS[0]), &problems);
    const struct sp_doc_node *then = get(node, "then");
    if (then == NULL) {
        sp_doc_wrong(&problems, node->place, "a case needs `then`: what must come of it");
    } else {
        (void)sp_doc_keys(then, "what is expected", THEN, sizeof(THEN) / sizeof(THEN[0]),
                          &problems);
    }
    return sp_doc_problems_status(&problems, error);
}

sp_status sp_saga_case_play(const struct sp_saga_case *played, struct sp_saga_case_result *result,
                            struct sp_error *error) {
    struct play play = {.played = played, .result = result};
    struct sp_rehearsal_ports ports = {.context = &play,
                                       .batch = 16,
                                       .remember = 3,
                                       .evaluate = on_program,
                                       .command = on_command,
                                       .fate = on_append};
    bool refused = false;
    result->passed = false;
    result->text[0] = '\0';
    sp_status status = check_case(played->node, error);
    if (status != SP_OK) {
        return status;
    }
    sp_buf_init(&play.data, TEXT_BYTES_MAX);
    status = sp_rehearsal_new(1, BEGIN_US, &ports, &play.rehearsal, error);
    status = status == SP_OK ? define_all(&play, &refused, error) : status;
    if (status == SP_OK && refused) {
        result->passed = true;
    } else if (status == SP_OK) {
        status = play_all(&play, error);
        tell(&play);
        result->hash = sp_rehearsal_hash(play.rehearsal);
        result->events = sp_rehearsal_count(play.rehearsal);
        if (status == SP_OK) {
            judge(&play);
        }
    }
    if (status != SP_OK && status != SP_INVALID) {
        (void)snprintf(result->text, sizeof(result->text), "%s", error->text);
        status = SP_OK;
    }
    sp_rehearsal_free(play.rehearsal);
    sp_buf_fini(&play.data);
    return status;
}
