#include "saga_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/time.h"
#include "flow/saga_fork.h"

static sp_status read_port(void *context, uint64_t position, struct sp_event *ret_event,
                           struct sp_error *error) {
    struct help *help = context;
    if (position == 0 || position > help->count) {
        return sp_error_set(error, SP_NOT_FOUND, "no event %llu", (unsigned long long)position);
    }
    help_event(help, position, ret_event);
    return SP_OK;
}

void help_event(struct help *help, uint64_t position, struct sp_event *ret_event) {
    struct sp_record record;
    const struct help_event *event = &help->events[position - 1];
    assert_int_equal(sp_record_read(sp_str_of(event->record, event->size), position, &record),
                     SP_OK);
    assert_int_equal(sp_record_decode(&record, help->room, ret_event), SP_OK);
}

static void make_flow(struct sp_flow **flow) {
    assert_int_equal(sp_flow_new(flow, NULL), SP_OK);
}

struct help *help_new(void) {
    struct help *help = calloc(1, sizeof(*help));
    assert_non_null(help);
    make_flow(&help->flow);
    help->sagas = sp_flow_sagas(help->flow);
    help->now_us = UINT64_C(1800000000000000);
    help->out = malloc(sizeof(*help->out));
    assert_non_null(help->out);
    sp_flow_out_init(help->out);
    return help;
}

void help_free(struct help *help) {
    sp_flow_free(help->flow);
    for (uint64_t i = 0; i < help->count; i++) {
        free(help->events[i].record);
    }
    sp_flow_out_fini(help->out);
    free(help->out);
    free(help);
}

static const char *reply(void *context, const char *program, const char *input) {
    (void)input;
    for (const struct help_reply *at = context; at->part != NULL; at++) {
        if (strstr(program, at->part) != NULL) {
            return at->value;
        }
    }
    fail_msg("nobody told what %s says", program);
    return NULL;
}

void help_programs(struct help *help, struct help_reply *replies) {
    help->program = reply;
    help->context = replies;
}

/* ---- the same state, made again ---- */

static uint64_t hash_from_log(struct help *help) {
    struct sp_flow *flow = NULL;
    struct sp_event event;
    make_flow(&flow);
    for (uint64_t i = 1; i <= help->count; i++) {
        help_event(help, i, &event);
        assert_int_equal(sp_flow_apply(flow, &event, NULL), SP_OK);
    }
    uint64_t hash = sp_flow_hash(flow);
    sp_flow_free(flow);
    return hash;
}

static void check_again(struct help *help) {
    struct sp_buf bytes;
    struct sp_flow *flow = NULL;
    uint64_t hash = sp_flow_hash(help->flow);
    sp_buf_init(&bytes, SIZE_MAX);
    sp_flow_encode(help->flow, &bytes);
    make_flow(&flow);
    struct sp_wire wire = sp_wire_of(bytes.data, bytes.len);
    assert_int_equal(sp_flow_restore(flow, &wire, NULL), SP_OK);
    assert_true(sp_flow_hash(flow) == hash);
    sp_buf_fini(&bytes);
    assert_true(hash_from_log(help) == hash);
    /* What goes on goes on with the restored one: so its queues and timers are tried as well. */
    sp_flow_free(help->flow);
    help->flow = flow;
    help->sagas = sp_flow_sagas(flow);
}

/* ---- appending ---- */

/* Quotes are written as apostrophes in the tests. */
static const char *quoted(const char *text, char *room, size_t size) {
    if (text == NULL) {
        return NULL;
    }
    size_t len = strlen(text);
    assert_true(len < size);
    for (size_t i = 0; i <= len; i++) {
        room[i] = text[i] == '\'' ? '"' : text[i];
    }
    return room;
}

static void note(struct help *help, const struct sp_event *event) {
    size_t len = strlen(help->types);
    sp_str step = {.ptr = "", .len = 0};
    for (uint16_t i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, SP_STR("sagastep"))) {
            step = event->extensions[i].value;
        }
    }
    int added =
        snprintf(help->types + len, sizeof(help->types) - len, "%.*s%s%.*s\n",
                 SP_STR_ARG(event->attr[SP_ATTR_TYPE]), step.len > 0 ? " " : "", SP_STR_ARG(step));
    assert_true(added > 0 && (size_t)added < sizeof(help->types) - len);
}

static bool is_there(struct help *help, const struct sp_event *event) {
    struct sp_event other;
    for (uint64_t i = 1; i <= help->count; i++) {
        help_event(help, i, &other);
        if (sp_str_eq(other.attr[SP_ATTR_ID], event->attr[SP_ATTR_ID]) &&
            sp_str_eq(other.attr[SP_ATTR_SOURCE], event->attr[SP_ATTR_SOURCE])) {
            return true;
        }
    }
    return false;
}

static void append(struct help *help, struct sp_event *event) {
    char id[32];
    assert_true(help->count < HELP_EVENTS_MAX);
    int len = snprintf(id, sizeof(id), "id-%llu", (unsigned long long)(help->count + 1));
    if (event->attr[SP_ATTR_ID].ptr == NULL) {
        event->attr[SP_ATTR_ID] = sp_str_of(id, (size_t)len);
    }
    if (event->attr[SP_ATTR_CORRELATION].ptr == NULL) {
        event->attr[SP_ATTR_CORRELATION] = event->attr[SP_ATTR_ID];
    }
    event->position = help->count + 1;
    event->version = 1;
    event->recorded_us = help->now_us;
    struct help_event *to = &help->events[help->count];
    to->record = malloc(sp_record_size_max(event));
    assert_non_null(to->record);
    to->size = sp_record_encode(event, to->record);
    help->count++;
    struct sp_event stored;
    help_event(help, help->count, &stored);
    assert_int_equal(sp_flow_apply(help->flow, &stored, NULL), SP_OK);
    note(help, &stored);
}

static void append_out(struct help *help) {
    struct sp_event event;
    for (uint32_t i = 0; i < help->out->count; i++) {
        sp_flow_out_event(help->out, i, &event);
        append(help, &event);
    }
    if (!help->lazy) {
        check_again(help);
    }
}

uint64_t help_put(struct help *help, const char *type, const char *stream, const char *causation,
                  const char *data) {
    struct sp_event event = {.has_data = data != NULL, .data_is_json = true};
    char room[4096];
    data = quoted(data, room, sizeof(room));
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.attr[SP_ATTR_SOURCE] = SP_STR("worker");
    event.attr[SP_ATTR_STREAM] = sp_str_from(stream != NULL ? stream : "worker");
    event.attr[SP_ATTR_CAUSATION] = sp_str_from(causation);
    event.data = sp_str_from(data);
    event.data_is_json = data != NULL && sp_json_check(event.data, NULL) == SP_OK;
    append(help, &event);
    if (!help->lazy) {
        check_again(help);
    }
    return help->count;
}

/* ---- definitions and starts ---- */

void help_define(struct help *help, const char *text) {
    struct sp_doc doc;
    char room[8192];
    text = quoted(text, room, sizeof(room));
    struct sp_doc_problems *problems = malloc(sizeof(*problems));
    struct sp_saga_definition *definition = NULL;
    struct sp_rule_defined defined;
    struct sp_error error;
    sp_error_clear(&error);
    assert_non_null(problems);
    sp_doc_init(&doc);
    sp_doc_problems_init(problems);
    if (sp_doc_parse_json(&doc, sp_str_from(text), &error) != SP_OK ||
        sp_saga_definition_compile(&doc, false, problems, &definition, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    sp_flow_out_reset(help->out);
    assert_int_equal(
        sp_sagas_define(help->sagas, definition, SP_STR("me"), help->out, &defined, &error), SP_OK);
    append_out(help);
    sp_saga_definition_unref(definition);
    sp_doc_fini(&doc);
    free(problems);
}

static void new_id(struct help *help, uint8_t id[16]) {
    memset(id, 0, 16);
    help->ids++;
    memcpy(id + 8, &help->ids, 8);
    id[6] = 0x70;
    id[0] = 1;
}

void help_start_key(struct help *help, const char *name, const char *data, const char *key) {
    uint8_t id[16];
    char room[4096];
    struct sp_error error;
    data = quoted(data, room, sizeof(room));
    struct sp_saga_start start = {
        .name = sp_str_from(name), .data = sp_str_from(data), .key = sp_str_from(key)};
    new_id(help, id);
    sp_uuid_format(id, help->sagaid);
    help->sagaid[36] = '\0';
    sp_flow_out_reset(help->out);
    if (sp_saga_start_events(help->sagas, &start, id, help->now_us, help->out, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    append_out(help);
}

void help_start(struct help *help, const char *name, const char *data) {
    help_mark(help);
    help_start_key(help, name, data, NULL);
    help_run(help);
}

sp_status help_fork(struct help *help, const char *at, const char *data) {
    char room[4096];
    data = quoted(data, room, sizeof(room));
    struct sp_saga_fork_ask ask = {.sagaid = sp_str_from(help->sagaid),
                                   .at = sp_str_from(at),
                                   .data = sp_str_from(data),
                                   .by = SP_STR("ann")};
    struct sp_saga_fork *fork = NULL;
    struct sp_event event;
    uint8_t id[16];
    assert_int_equal(sp_saga_fork_new(help->sagas, &ask, &fork, NULL), SP_OK);
    for (uint64_t i = 1; i <= help->count; i++) {
        help_event(help, i, &event);
        if (sp_str_starts_with(event.attr[SP_ATTR_STREAM], SP_STR("saga:"))) {
            assert_int_equal(sp_saga_fork_take(fork, &event, NULL), SP_OK);
        }
    }
    for (uint64_t i = 1; i <= help->count && sp_saga_fork_needs_definition(fork); i++) {
        help_event(help, i, &event);
        assert_int_equal(sp_saga_fork_take(fork, &event, NULL), SP_OK);
    }
    new_id(help, id);
    sp_flow_out_reset(help->out);
    sp_status status = sp_saga_fork_events(fork, id, help->now_us, help->out, NULL);
    sp_saga_fork_free(fork);
    if (status == SP_OK) {
        sp_uuid_format(id, help->sagaid);
        append_out(help);
        help_run(help);
    }
    return status;
}

/* ---- work ---- */

static void answer(struct help *help, const struct sp_flow_work *work,
                   const struct sp_flow_ports *ports, struct sp_buf *input,
                   struct sp_flow_now *now) {
    struct sp_error error;
    char program[8192];
    sp_error_clear(&error);
    sp_status status = sp_flow_ask(help->flow, work, ports, input, &error);
    if (status != SP_OK) {
        fail_msg("ask: %s", error.text);
    }
    assert_int_equal(sp_json_check(sp_buf_str(input), &error), SP_OK);
    sp_buf_add_byte(input, '\0');
    assert_true(work->program.len < sizeof(program));
    memcpy(program, work->program.ptr, work->program.len);
    program[work->program.len] = '\0';
    char room[4096];
    const char *value = NULL;
    if (help->program != NULL) {
        value = quoted(help->program(help->context, program, (const char *)input->data), room,
                       sizeof(room));
    }
    (void)snprintf(help->input, sizeof(help->input), "%s", (const char *)input->data);
    (void)snprintf(help->value, sizeof(help->value), "%s", value == NULL ? "" : value);
    value = value == NULL ? NULL : help->value;
    now->answer.status = value == NULL ? SP_INVALID : SP_OK;
    now->answer.value = sp_str_from(value);
    now->answer.error = SP_STR("wrong");
}

/* As an engine would: appended together, and where all of it is there already, asked once more. */
static bool refuse(struct help *help, struct sp_flow_now *now) {
    struct sp_event event;
    for (uint32_t i = 0; i < help->out->count; i++) {
        sp_flow_out_event(help->out, i, &event);
        if (event.attr[SP_ATTR_ID].ptr == NULL || !is_there(help, &event)) {
            return false;
        }
    }
    now->answer = (struct sp_flow_answer){
        .status = SP_CONFLICT, .refused = true, .error = SP_STR("it is there already")};
    return true;
}

/* An append that the engine would refuse for good, as one that a schema does not allow. */
static bool is_refused(struct help *help, struct sp_flow_now *now) {
    struct sp_event event;
    for (uint32_t i = 0; i < help->out->count && help->refused_type != NULL; i++) {
        sp_flow_out_event(help->out, i, &event);
        if (sp_str_eq(event.attr[SP_ATTR_TYPE], sp_str_from(help->refused_type))) {
            now->answer = (struct sp_flow_answer){
                .status = SP_INVALID, .refused = true, .error = SP_STR("the schema says no")};
            return true;
        }
    }
    return refuse(help, now);
}

static void check_out(struct help *help, const struct sp_flow_now *now) {
    struct sp_event event;
    struct sp_error error;
    for (uint32_t i = 0; i < help->out->count; i++) {
        sp_flow_out_event(help->out, i, &event);
        if (event.has_data && sp_json_check(event.data, &error) != SP_OK) {
            fail_msg("%.*s: %s", SP_STR_ARG(event.data), error.text);
        }
        if (sp_str_eq(event.attr[SP_ATTR_TYPE], SP_STR("saga.started"))) {
            sp_uuid_format(now->new_id, help->sagaid);
        }
    }
}

/* Works are taken and their programs run before the first of them is acted upon. */
struct in_hand {
    struct sp_flow_work work;
    struct sp_flow_now now;
    struct sp_buf input;
    char value[sizeof(((struct help *)NULL)->value)];
};

static void take(struct help *help, const struct sp_flow_ports *ports, struct in_hand *hand) {
    hand->now =
        (struct sp_flow_now){.now_us = help->now_us, .random = help->random, .ports = ports};
    new_id(help, hand->now.new_id);
    sp_buf_init(&hand->input, SIZE_MAX);
    if (hand->work.program.len > 0) {
        answer(help, &hand->work, ports, &hand->input, &hand->now);
        memcpy(hand->value, help->value, sizeof(hand->value));
        if (hand->now.answer.status == SP_OK) {
            hand->now.answer.value = sp_str_from(hand->value);
        }
    }
}

static void act(struct help *help, struct in_hand *hand) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_flow_out_reset(help->out);
    sp_status status = sp_flow_act(help->flow, &hand->work, &hand->now, help->out, &error);
    if (status == SP_OK && is_refused(help, &hand->now)) {
        sp_flow_out_reset(help->out);
        status = sp_flow_act(help->flow, &hand->work, &hand->now, help->out, &error);
    }
    if (status == SP_OK) {
        check_out(help, &hand->now);
        append_out(help);
    } else if (status != SP_NOT_FOUND || !help->lazy) {
        fail_msg("act: %s", error.text); /* alone, nothing came between */
    }
    sp_buf_fini(&hand->input);
}

bool help_batch(struct help *help, uint32_t most) {
    struct sp_flow_ports ports = {.context = help, .read = read_port};
    static _Thread_local struct in_hand hands[HELP_BATCH_MAX];
    uint32_t count = 0;
    assert_true(most <= HELP_BATCH_MAX && (most == 1 || help->lazy));
    while (count < most && sp_flow_next(help->flow, help->now_us, &hands[count].work)) {
        take(help, &ports, &hands[count++]);
    }
    if (count == 0) {
        assert_true(sp_flow_due(help->flow) > help->now_us);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && help->random % 7 == 1) { /* it took no more for now */
            sp_flow_back(help->flow, &hands[i].work);
            sp_buf_fini(&hands[i].input);
        } else {
            act(help, &hands[i]);
        }
    }
    return true;
}

bool help_step(struct help *help) {
    return help_batch(help, 1);
}

void help_run(struct help *help) {
    for (unsigned i = 0; help_step(help); i++) {
        assert_true(i < 10000);
    }
}

void help_wait(struct help *help) {
    uint64_t due_us = sp_flow_due(help->flow);
    assert_true(due_us != UINT64_MAX);
    help->now_us = due_us > help->now_us ? due_us : help->now_us;
    help_run(help);
}

void help_pass(struct help *help, uint64_t us) {
    help->now_us += us;
    help_run(help);
}

/* ---- answers ---- */

uint64_t help_answer(struct help *help, const char *command, const char *suffix, const char *data) {
    char id[512];
    char type[300];
    struct sp_event event;
    int len = snprintf(id, sizeof(id), "%s/%s", help->sagaid, command);
    for (uint64_t i = help->count; i > 0; i--) {
        help_event(help, i, &event);
        if (sp_str_eq(event.attr[SP_ATTR_ID], sp_str_of(id, (size_t)len))) {
            (void)snprintf(type, sizeof(type), "%.*s.%s", SP_STR_ARG(event.attr[SP_ATTR_TYPE]),
                           suffix);
            return help_put(help, type, NULL, id, data);
        }
    }
    fail_msg("there is no command %s", id);
    return 0;
}

void help_complete(struct help *help, const char *command, const char *result) {
    (void)help_answer(help, command, "completed", result);
    help_run(help);
}

void help_fail(struct help *help, const char *command, const char *data) {
    (void)help_answer(help, command, "failed", data);
    help_run(help);
}

sp_status help_request(struct help *help, enum sp_saga_action action, const char *step,
                       const char *result) {
    struct sp_saga_request request = {.action = action,
                                      .sagaid = sp_str_from(help->sagaid),
                                      .step = sp_str_from(step),
                                      .by = SP_STR("ann"),
                                      .why = SP_STR("because"),
                                      .result = sp_str_from(result)};
    sp_status checked = sp_sagas_check_request(help->sagas, &request, NULL);
    sp_flow_out_reset(help->out);
    sp_status status = sp_sagas_request_events(help->sagas, &request, help->out, NULL);
    assert_int_equal(checked, status);
    if (status == SP_OK) {
        append_out(help);
        help_run(help);
    }
    return status;
}

/* ---- looking ---- */

void help_mark(struct help *help) {
    help->types[0] = '\0';
}

void help_expect(struct help *help, const char *lines) {
    assert_string_equal(help->types, lines);
    help_mark(help);
}

const char *help_data(struct help *help, const char *type) {
    static _Thread_local char text[1 << 17];
    struct sp_event event;
    for (uint64_t i = help->count; i > 0; i--) {
        help_event(help, i, &event);
        if (sp_str_eq(event.attr[SP_ATTR_TYPE], sp_str_from(type))) {
            (void)snprintf(text, sizeof(text), "%.*s", SP_STR_ARG(event.data));
            return text;
        }
    }
    return NULL;
}

void help_expect_data(struct help *help, const char *type, const char *part) {
    char room[4096];
    part = quoted(part, room, sizeof(room));
    const char *data = help_data(help, type);
    if (data == NULL || strstr(data, part) == NULL) {
        fail_msg("the data of %s is %s, without %s", type, data == NULL ? "nothing" : data, part);
    }
}

void help_expect_waiting(struct help *help, const char *status, const char *waiting,
                         const char *step) {
    struct sp_saga_info info;
    assert_true(sp_sagas_find(help->sagas, sp_str_from(help->sagaid), &info));
    assert_int_equal(info.status.len, strlen(status));
    assert_memory_equal(info.status.ptr, status, info.status.len);
    sp_str name = sp_saga_waiting_name(info.waiting);
    assert_int_equal(name.len, strlen(waiting));
    assert_memory_equal(name.ptr, waiting, name.len);
    assert_string_equal(info.step, step);
}

bool help_is_running(struct help *help) {
    struct sp_saga_info info;
    return sp_sagas_find(help->sagas, sp_str_from(help->sagaid), &info);
}
