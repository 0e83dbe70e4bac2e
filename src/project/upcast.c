/*
 * Bringing events up; see upcast.h. What a thread needs for it is its *runner*: a jq worker, the
 * programs it has compiled, two buffers that a chain goes back and forth between.
 */
#include <stdio.h>
#include <stdlib.h>

#include "project/upcast_int.h"

enum { DATA_BYTES_MAX = SP_JQ_VALUE_BYTES_MAX, SHOWN_BYTES_MAX = 80 };

struct upcast_runner {
    struct sp_upcasters *upcasters;
    struct upcast_runner *next; /* under the lock */
    struct upcast_runner *before;
    struct sp_jq *jq;
    struct upcast_table *table;
    uint64_t changes;                /* that the table is of */
    struct sp_jq_program **programs; /* by step of the table; NULL: not compiled yet */
    struct sp_buf data[2];
};

/* ---- runners --------------------------------------------------------------------------------- */

static void drop_programs(struct sp_jq_program **programs, uint32_t count) {
    for (uint32_t i = 0; programs != NULL && i < count; i++) {
        sp_jq_drop(programs[i]);
    }
    free(programs);
}

static void runner_free(struct upcast_runner *runner) {
    if (runner->table != NULL) {
        drop_programs(runner->programs, runner->table->count);
        upcast_table_unref(runner->table);
    }
    sp_jq_free(runner->jq);
    sp_buf_fini(&runner->data[0]);
    sp_buf_fini(&runner->data[1]);
    free(runner);
}

static void unlink_runner(struct upcast_runner *runner) {
    struct sp_upcasters *upcasters = runner->upcasters;
    *(runner->before != NULL ? &runner->before->next : &upcasters->runners) = runner->next;
    if (runner->next != NULL) {
        runner->next->before = runner->before;
    }
}

void upcast_runner_end(void *context) {
    struct upcast_runner *runner = context;
    struct sp_upcasters *upcasters = runner->upcasters;
    (void)pthread_mutex_lock(&upcasters->lock);
    unlink_runner(runner);
    (void)pthread_mutex_unlock(&upcasters->lock);
    runner_free(runner);
}

void upcast_runners_free(struct sp_upcasters *upcasters) {
    while (upcasters->runners != NULL) {
        struct upcast_runner *runner = upcasters->runners;
        unlink_runner(runner);
        runner_free(runner);
    }
}

static sp_status runner_new(struct sp_upcasters *upcasters, struct upcast_runner **ret_runner,
                            struct sp_error *error) {
    struct upcast_runner *runner = calloc(1, sizeof(*runner));
    if (runner == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "upcasters");
    }
    runner->upcasters = upcasters;
    sp_buf_init(&runner->data[0], DATA_BYTES_MAX);
    sp_buf_init(&runner->data[1], DATA_BYTES_MAX);
    sp_status status = sp_jq_new(&upcasters->options.jq, &runner->jq, error);
    if (status == SP_OK && pthread_setspecific(upcasters->key, runner) != 0) {
        status = sp_error_set(error, SP_NO_MEMORY, "upcasters");
    }
    if (status != SP_OK) {
        runner_free(runner);
        return status;
    }
    (void)pthread_mutex_lock(&upcasters->lock);
    runner->next = upcasters->runners;
    if (runner->next != NULL) {
        runner->next->before = runner;
    }
    upcasters->runners = runner;
    (void)pthread_mutex_unlock(&upcasters->lock);
    *ret_runner = runner;
    return SP_OK;
}

/* What was compiled for a step of the old table stays, also where it was refused. */
static void keep_programs(struct upcast_runner *runner, const struct upcast_table *table,
                          struct sp_jq_program **programs) {
    for (uint32_t i = 0; i < table->count; i++) {
        for (uint32_t old = 0; runner->table != NULL && old < runner->table->count; old++) {
            if (runner->table->steps[old].upcaster.position == table->steps[i].upcaster.position) {
                programs[i] = runner->programs[old];
                runner->programs[old] = NULL;
            }
        }
    }
}

/* Goes over to the table that is valid now. */
static sp_status renew(struct upcast_runner *runner, struct sp_error *error) {
    struct sp_upcasters *upcasters = runner->upcasters;
    uint64_t changes = atomic_load(&upcasters->changes);
    if (runner->table != NULL && runner->changes == changes) {
        return SP_OK;
    }
    struct upcast_table *table = upcast_table_now(upcasters);
    struct sp_jq_program **programs = calloc(table->count + 1, sizeof(struct sp_jq_program *));
    if (programs == NULL) {
        upcast_table_unref(table);
        return sp_error_set(error, SP_NO_MEMORY, "upcasters");
    }
    keep_programs(runner, table, programs);
    if (runner->table != NULL) {
        drop_programs(runner->programs, runner->table->count);
        upcast_table_unref(runner->table);
    }
    runner->table = table;
    runner->programs = programs;
    runner->changes = changes;
    return SP_OK;
}

/* This thread's runner, up to date. */
static sp_status runner_here(struct sp_upcasters *upcasters, struct upcast_runner **ret_runner,
                             struct sp_error *error) {
    struct upcast_runner *runner = pthread_getspecific(upcasters->key);
    sp_status status = runner == NULL ? runner_new(upcasters, &runner, error) : SP_OK;
    status = status == SP_OK ? renew(runner, error) : status;
    if (status == SP_OK) {
        *ret_runner = runner;
    }
    return status;
}

sp_status upcast_compile(struct sp_upcasters *upcasters, sp_str program, struct sp_error *error) {
    struct upcast_runner *runner = NULL;
    struct sp_jq_program *compiled = NULL;
    sp_status status = runner_here(upcasters, &runner, error);
    if (status == SP_OK) {
        status = sp_jq_define(runner->jq, program, NULL, 0, &compiled, error);
    }
    if (status == SP_OK) {
        sp_jq_drop(compiled);
    }
    return status;
}

bool upcast_is_refused(struct sp_upcasters *upcasters, uint32_t step) {
    struct upcast_runner *runner = NULL;
    return runner_here(upcasters, &runner, NULL) == SP_OK && step < runner->table->count &&
           runner->programs[step] != NULL && sp_jq_is_refused(runner->programs[step]);
}

/* ---- one event ------------------------------------------------------------------------------- */

/* What a program did is the event's fault, what the machine did is not. */
static sp_status of_program(sp_status status) {
    return status == SP_LIMIT || status == SP_DENIED ? SP_INVALID : status;
}

static sp_status take_step(struct upcast_runner *runner, uint32_t number, sp_str data,
                           struct sp_buf *to, struct sp_error *error) {
    const struct sp_upcaster *upcaster = &runner->table->steps[number].upcaster;
    struct sp_jq_program **program = &runner->programs[number];
    sp_status status = SP_OK;
    if (*program == NULL) {
        status = sp_jq_define(runner->jq, upcaster->program, NULL, 0, program, error);
    }
    if (status == SP_OK) {
        sp_buf_reset(to);
        status = sp_jq_value(*program, &data, to, error);
        if (status == SP_IO && sp_jq_is_refused(*program)) {
            status = SP_INVALID;
        }
    }
    if (status != SP_OK) {
        status = of_program(status);
        (void)sp_error_prefix(error, status, "upcaster %.*s-%.*s", SP_STR_ARG(upcaster->from),
                              SP_STR_ARG(upcaster->to));
    }
    return status;
}

/* The result of a whole chain against the schema of its version. */
static sp_status check_result(const struct upcast_runner *runner, const struct upcast_step *last,
                              sp_str data, struct sp_error *error) {
    const struct sp_upcasters_options *options = &runner->upcasters->options;
    const struct sp_upcaster *upcaster = &last->upcaster;
    struct sp_schema_fault fault;
    sp_status status = SP_OK;
    if (options->check != NULL) {
        status = options->check(options->check_context, upcaster->type, upcaster->to, data, error);
    }
    if (status == SP_OK && last->schema != NULL) {
        status = sp_schema_check(last->schema, NULL, data, &fault);
        if (status != SP_OK) {
            (void)sp_error_set(error, status, "%s: %s", fault.pointer, fault.text);
        }
    }
    if (status != SP_OK) {
        (void)sp_error_prefix(
            error, status, "upcaster %.*s-%.*s: the result is not of version %.*s",
            SP_STR_ARG(upcaster->from), SP_STR_ARG(upcaster->to), SP_STR_ARG(upcaster->to));
        return status == SP_NO_MEMORY ? status : SP_INVALID;
    }
    return SP_OK;
}

static sp_status walk(struct upcast_runner *runner, uint32_t first, sp_str data,
                      sp_str *ret_version, sp_str *ret_data, struct sp_error *error) {
    const struct upcast_table *table = runner->table;
    uint32_t last = first;
    unsigned to = 0;
    for (uint32_t at = first; at != UPCAST_NONE; at = table->steps[at].next) {
        sp_status status = take_step(runner, at, data, &runner->data[to], error);
        if (status != SP_OK) {
            return status;
        }
        data = sp_buf_str(&runner->data[to]);
        to = 1 - to;
        last = at;
    }
    sp_status status = check_result(runner, &table->steps[last], data, error);
    if (status == SP_OK) {
        *ret_version = table->steps[last].upcaster.to;
        *ret_data = data;
    }
    return status;
}

sp_status sp_upcast_data(struct sp_upcasters *upcasters, sp_str type, sp_str version,
                         bool data_is_json, sp_str data, bool *ret_changed, sp_str *ret_version,
                         sp_str *ret_data, struct sp_error *error) {
    *ret_changed = false;
    if (atomic_load(&upcasters->count) == 0) {
        return SP_OK;
    }
    struct upcast_runner *runner = NULL;
    sp_status status = runner_here(upcasters, &runner, error);
    if (status != SP_OK) {
        return status;
    }
    version = version.len > 0 ? version : SP_STR("1");
    uint32_t first = upcast_table_find(runner->table, type, version);
    if (first == UPCAST_NONE) {
        return SP_OK;
    }
    if (!data_is_json && data.len > 0) {
        const struct sp_upcaster *upcaster = &runner->table->steps[first].upcaster;
        return sp_error_set(error, SP_INVALID, "upcaster %.*s-%.*s: the data is no JSON",
                            SP_STR_ARG(upcaster->from), SP_STR_ARG(upcaster->to));
    }
    data = data.len > 0 ? data : SP_STR("null");
    status = walk(runner, first, data, ret_version, ret_data, error);
    *ret_changed = status == SP_OK;
    return status;
}

static sp_status name_event(const struct sp_event *event, sp_status status,
                            struct sp_error *error) {
    sp_str type = event->attr[SP_ATTR_TYPE];
    sp_str id = event->attr[SP_ATTR_ID];
    return sp_error_prefix(
        error, status, "event %llu (%.*s, id %.*s)", (unsigned long long)event->position,
        (int)(type.len < SHOWN_BYTES_MAX ? type.len : SHOWN_BYTES_MAX), type.ptr,
        (int)(id.len < SHOWN_BYTES_MAX ? id.len : SHOWN_BYTES_MAX), id.len > 0 ? id.ptr : "");
}

sp_status sp_upcast_view(struct sp_upcasters *upcasters, const struct sp_event *event,
                         struct sp_event *room, const struct sp_event **ret_event,
                         struct sp_error *error) {
    bool changed = false;
    sp_str version;
    sp_str data;
    sp_status status =
        sp_upcast_data(upcasters, event->attr[SP_ATTR_TYPE], event->attr[SP_ATTR_SCHEMAVERSION],
                       event->data_is_json, event->has_data ? event->data : SP_STR(""), &changed,
                       &version, &data, error);
    if (status != SP_OK) {
        return name_event(event, status, error);
    }
    *ret_event = event;
    if (changed) {
        if (room != event) {
            *room = *event;
        }
        room->attr[SP_ATTR_SCHEMAVERSION] = version;
        room->data = data;
        room->has_data = true;
        room->data_is_json = true;
        *ret_event = room;
    }
    return SP_OK;
}

sp_status sp_upcast(void *upcasters, struct sp_event *event, struct sp_error *error) {
    const struct sp_event *same = NULL;
    return sp_upcast_view(upcasters, event, event, &same, error);
}
