#include "flow_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void assert_str(sp_str text, const char *expected) {
    if (!sp_str_eq(text, sp_str_from(expected))) {
        fail_msg("'%.*s' instead of '%s'", SP_STR_ARG(text), expected);
    }
}

static sp_status read_event(void *context, uint64_t position, struct sp_event *ret_event,
                            struct sp_error *error) {
    struct stage *stage = context;
    if (position == 0 || position > stage->count) {
        return sp_error_set(error, SP_NOT_FOUND, "no event at %llu", (unsigned long long)position);
    }
    struct stage_event *kept = &stage->events[position - 1];
    struct sp_record record;
    assert_int_equal(sp_record_read(sp_str_of(kept->record, kept->size), position, &record), SP_OK);
    assert_int_equal(sp_record_decode(&record, kept->scratch, ret_event), SP_OK);
    return SP_OK;
}

const struct sp_flow_ports *stage_ports(struct stage *stage) {
    static struct sp_flow_ports ports;
    ports = (struct sp_flow_ports){.context = stage, .read = read_event};
    return &ports;
}

void stage_begin(struct stage *stage) {
    sp_watch_init(&stage->watch);
    sp_flow_out_init(&stage->out);
    stage->self = stage->make(stage);
    stage->now_us = stage->now_us == 0 ? UINT64_C(1700000000000000) : stage->now_us;
}

static void apply(struct stage *stage, uint64_t position) {
    struct sp_event event;
    struct sp_error error;
    sp_error_clear(&error);
    assert_int_equal(read_event(stage, position, &event, &error), SP_OK);
    (void)sp_watch_match(&stage->watch, event.attr[SP_ATTR_TYPE]);
    if (stage->ops->apply(stage->self, &event, &error) != SP_OK) {
        fail_msg("apply at %llu: %s", (unsigned long long)position, error.text);
    }
}

/* Makes another one beside this one, and leaves this one's state in its hands. */
static void *fresh(struct stage *stage, struct sp_watch *old_watch) {
    void *old = stage->self;
    *old_watch = stage->watch;
    sp_watch_init(&stage->watch);
    stage->self = stage->make(stage);
    return old;
}

static void restore(struct stage *stage, void *old) {
    struct sp_buf bytes;
    sp_buf_init(&bytes, SIZE_MAX);
    stage->ops->encode(old, &bytes);
    assert_int_equal(bytes.status, SP_OK);
    struct sp_wire wire = sp_wire_of(bytes.data, bytes.len);
    assert_int_equal(stage->ops->restore(stage->self, &wire), SP_OK);
    assert_false(wire.bad);
    assert_int_equal(sp_wire_left(&wire), 0);
    sp_buf_fini(&bytes);
}

static void refold(struct stage *stage) {
    for (uint64_t i = 1; i <= stage->count; i++) {
        apply(stage, i);
    }
}

void stage_restart(struct stage *stage, bool from_snapshot) {
    struct sp_watch watch;
    void *old = fresh(stage, &watch);
    if (from_snapshot) {
        restore(stage, old);
    } else {
        refold(stage);
    }
    assert_true(stage->ops->hash(stage->self) == stage->ops->hash(old));
    assert_true(stage->ops->oldest(stage->self) == stage->ops->oldest(old));
    stage->drop(old);
    sp_watch_fini(&watch);
}

/* A snapshot made now says the same; then it is thrown away. */
static void compare_snapshot(struct stage *stage) {
    struct sp_watch watch;
    void *old = fresh(stage, &watch);
    restore(stage, old);
    uint64_t hash = stage->ops->hash(stage->self);
    stage->drop(stage->self);
    sp_watch_fini(&stage->watch);
    stage->self = old;
    stage->watch = watch;
    assert_true(hash == stage->ops->hash(old));
}

void stage_end(struct stage *stage) {
    stage_restart(stage, true);
    stage_restart(stage, false);
    stage->drop(stage->self);
    sp_watch_fini(&stage->watch);
    sp_flow_out_fini(&stage->out);
    for (uint64_t i = 0; i < stage->count; i++) {
        free(stage->events[i].record);
    }
    free(stage->events);
}

static sp_str number_text(char *text, size_t size, const char *what, uint64_t number) {
    int len = snprintf(text, size, "%s%llu", what, (unsigned long long)number);
    return sp_str_of(text, (size_t)len);
}

uint64_t stage_append(struct stage *stage, struct sp_event *event) {
    char id[32];
    sp_str *attr = event->attr;
    if (attr[SP_ATTR_ID].ptr == NULL) {
        attr[SP_ATTR_ID] = number_text(id, sizeof(id), "e", stage->count + 1);
    }
    attr[SP_ATTR_SOURCE] = attr[SP_ATTR_SOURCE].ptr != NULL ? attr[SP_ATTR_SOURCE] : SP_STR("test");
    attr[SP_ATTR_STREAM] =
        attr[SP_ATTR_STREAM].ptr != NULL ? attr[SP_ATTR_STREAM] : attr[SP_ATTR_SOURCE];
    if (attr[SP_ATTR_CORRELATION].ptr == NULL) {
        attr[SP_ATTR_CORRELATION] = attr[SP_ATTR_ID];
    }
    event->position = stage->count + 1;
    event->version = event->position;
    event->recorded_us = stage->now_us;
    if ((stage->count & (stage->count + 1)) == 0) {
        stage->events = realloc(stage->events, (stage->count * 2 + 2) * sizeof(*stage->events));
        assert_non_null(stage->events);
    }
    struct stage_event *kept = &stage->events[stage->count++];
    *kept = (struct stage_event){.position = event->position, .recorded_us = event->recorded_us};
    kept->record = calloc(1, sp_record_size_max(event) + SP_RECORD_ALIGN);
    assert_non_null(kept->record);
    kept->size = sp_record_encode(event, kept->record);
    apply(stage, event->position);
    if (!stage->is_quick) {
        compare_snapshot(stage);
    }
    return event->position;
}

struct sp_event stage_make(const char *type, const char *stream, const char *data) {
    struct sp_event event = {.has_data = data != NULL, .data_is_json = data != NULL};
    event.attr[SP_ATTR_TYPE] = sp_str_from(type);
    event.attr[SP_ATTR_STREAM] = sp_str_from(stream);
    event.data = sp_str_from(data);
    return event;
}

void stage_extend(struct sp_event *event, const char *name, const char *number) {
    event->extensions[event->extension_count++] = (struct sp_extension){
        .name = sp_str_from(name), .value = sp_str_from(number), .kind = SP_VALUE_JSON};
}

uint64_t stage_add(struct stage *stage, const char *type, const char *stream, const char *data) {
    struct sp_event event = stage_make(type, stream, data);
    return stage_append(stage, &event);
}

static bool is_there(struct stage *stage, const struct sp_event *event) {
    for (uint64_t i = 1; sp_event_has(event, SP_ATTR_ID) && i <= stage->count; i++) {
        const struct sp_event *other = stage_event(stage, i);
        if (sp_str_eq(other->attr[SP_ATTR_ID], event->attr[SP_ATTR_ID]) &&
            sp_str_eq(other->attr[SP_ATTR_SOURCE], event->attr[SP_ATTR_SOURCE])) {
            return true;
        }
    }
    return false;
}

static uint32_t append_out(struct stage *stage) {
    uint32_t appended = 0;
    assert_int_equal(sp_flow_out_status(&stage->out), SP_OK);
    for (uint32_t i = 0; i < stage->out.count; i++) {
        struct sp_event event;
        sp_flow_out_event(&stage->out, i, &event);
        if (!is_there(stage, &event)) {
            (void)stage_append(stage, &event);
            appended++;
        }
    }
    return appended;
}

struct taken {
    struct sp_flow_work work;
    struct sp_buf answer;
    sp_status status;
    bool is_over;
};

static void ask(struct stage *stage, struct taken *taken) {
    struct sp_buf input;
    struct sp_error error;
    sp_buf_init(&input, SIZE_MAX);
    sp_buf_init(&taken->answer, SIZE_MAX);
    if (taken->work.program.len > 0) {
        sp_status status =
            stage->ops->ask(stage->self, &taken->work, stage_ports(stage), &input, &error);
        taken->is_over = status == SP_NOT_FOUND;
        assert_true(taken->is_over || status == SP_OK);
        if (status == SP_OK && stage->program != NULL) {
            taken->status = stage->program(taken->work.program, sp_buf_str(&input), &taken->answer);
        } else if (status == SP_OK) {
            sp_buf_add_str(&taken->answer, sp_buf_str(&input));
        }
    }
    sp_buf_fini(&input);
}

static bool act(struct stage *stage, struct taken *taken, bool refused) {
    struct sp_error error;
    struct sp_flow_now now = {
        .now_us = stage->now_us, .random = stage->acts * 77, .ports = stage_ports(stage)};
    memcpy(now.new_id, &stage->acts, sizeof(stage->acts));
    sp_error_clear(&error);
    now.answer.status = taken->status;
    now.answer.value = sp_buf_str(&taken->answer);
    now.answer.error = taken->status == SP_OK ? SP_STR("") : sp_buf_str(&taken->answer);
    if (refused) {
        now.answer.refused = true;
        now.answer.status = SP_INVALID;
        now.answer.error = SP_STR("a schema does not allow it");
    }
    sp_flow_out_reset(&stage->out);
    sp_status status = stage->ops->act(stage->self, &taken->work, &now, &stage->out, &error);
    if (status != SP_OK && status != SP_NOT_FOUND) {
        fail_msg("act: %s", error.text);
    }
    return status == SP_OK;
}

static void finish(struct stage *stage, struct taken *taken) {
    stage->acts++;
    if (!taken->is_over && act(stage, taken, false)) {
        bool refused = stage->acts == stage->refused_at;
        if (refused && !act(stage, taken, true)) {
            fail_msg("what is refused is over");
        }
        if (append_out(stage) == 0) { /* all of it is there */
            assert_true(act(stage, taken, true));
            (void)append_out(stage);
        }
    }
    sp_buf_fini(&taken->answer);
}

uint32_t stage_work_batch(struct stage *stage, uint32_t batch) {
    struct taken taken[64];
    uint32_t count = 0;
    while (count < batch && count < 64 &&
           stage->ops->next(stage->self, stage->now_us, &taken[count].work)) {
        taken[count].status = SP_OK;
        taken[count].is_over = false;
        ask(stage, &taken[count]);
        count++;
    }
    for (uint32_t i = 0; i < count; i++) {
        finish(stage, &taken[i]);
    }
    return count;
}

uint32_t stage_work(struct stage *stage, uint32_t max) {
    uint32_t done = 0;
    while (done < max && stage_work_batch(stage, 1) > 0) {
        done++;
    }
    return done;
}

bool stage_advance(struct stage *stage, uint64_t until_us) {
    uint64_t due = stage->ops->due(stage->self);
    if (due > until_us) {
        stage->now_us = until_us;
        return false;
    }
    stage->now_us = due > stage->now_us ? due : stage->now_us;
    (void)stage_work(stage, UINT32_MAX);
    return true;
}

const struct sp_event *stage_event(struct stage *stage, uint64_t position) {
    struct sp_error error;
    assert_int_equal(read_event(stage, position, &stage->read, &error), SP_OK);
    return &stage->read;
}

uint32_t stage_count(struct stage *stage, const char *type, uint64_t *ret_last) {
    uint32_t count = 0;
    for (uint64_t i = 1; i <= stage->count; i++) {
        if (sp_str_eq(stage_event(stage, i)->attr[SP_ATTR_TYPE], sp_str_from(type))) {
            count++;
            if (ret_last != NULL) {
                *ret_last = i;
            }
        }
    }
    return count;
}

void stage_assert_data(struct stage *stage, uint64_t position, const char *expected) {
    assert_str(stage_event(stage, position)->data, expected);
}

void stage_assert_attr(struct stage *stage, uint64_t position, enum sp_attr attr,
                       const char *expected) {
    assert_str(stage_event(stage, position)->attr[attr], expected);
}
