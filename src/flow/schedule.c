#include "flow/schedule.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/put.h"
#include "base/time.h"
#include "flow/members.h"
#include "flow/timers.h"

#define STREAM    SP_STR("$schedules")
#define T_FIRED   SP_STR("schedule.fired")
#define T_SKIPPED SP_STR("schedule.skipped")
#define T_FAILED  SP_STR("schedule.failed")
#define X_DUE     SP_STR("dueus")

enum {
    FORMAT = 1, /* of a snapshot */
    WORK_FIRE = 1,
    ID_BYTES_MAX = SP_DOC_NAME_BYTES_MAX + SP_TIME_TEXT_SIZE + 16,
    THIN_MIN = 64,
};

static const struct sp_rule_kind kind = {
    .key = "schedule",
    .stream = "$schedules",
    .defined = "schedule.defined",
    .removed = "schedule.removed",
};

struct schedule {
    sp_str text; /* owned; of the definition as it came */
    char name[SP_DOC_NAME_BYTES_MAX + 1];
    struct sp_schedule_definition *definition; /* NULL: unusable */
    char unusable[SP_ERROR_TEXT_SIZE];         /* why */
    uint64_t defined_position;
    uint64_t defined_us;
    uint64_t settled_us; /* due times up to this one are over */
    uint64_t last_us;    /* the last one that an event told of; 0: none */
    uint64_t fired;
    uint64_t next_us; /* follows from the above; NEVER */
};

struct sp_schedules {
    struct schedule **list; /* by name */
    uint32_t count;
    uint32_t capacity;
    struct sp_timers timers; /* a: the position of the definition; those that are stale stay */
    bool is_short;           /* not all are armed: they are, in the next `next` */
    struct sp_schedule_starter starter;
    struct sp_buf scratch;
};

sp_status sp_schedules_new(struct sp_schedules **ret_schedules,
                           struct sp_schedule_starter starter) {
    struct sp_schedules *schedules = calloc(1, sizeof(*schedules));
    if (schedules == NULL) {
        return SP_NO_MEMORY;
    }
    sp_timers_init(&schedules->timers);
    sp_buf_init(&schedules->scratch, SIZE_MAX);
    schedules->starter = starter;
    *ret_schedules = schedules;
    return SP_OK;
}

static void schedule_free(struct schedule *schedule) {
    sp_schedule_definition_free(schedule->definition);
    free((char *)(uintptr_t)schedule->text.ptr);
    free(schedule);
}

void sp_schedules_free(struct sp_schedules *schedules) {
    if (schedules != NULL) {
        for (uint32_t i = 0; i < schedules->count; i++) {
            schedule_free(schedules->list[i]);
        }
        free(schedules->list);
        sp_timers_fini(&schedules->timers);
        sp_buf_fini(&schedules->scratch);
        free(schedules);
    }
}

/* ---- due times ---- */

/* The first one behind `after`; NEVER. */
static uint64_t due_after(const struct schedule *schedule, uint64_t after_us) {
    const struct sp_schedule_definition *def = schedule->definition;
    uint64_t due = SP_CRON_NEVER;
    if (def->has_cron) {
        bool waits = def->from_us > after_us;
        due = sp_cron_next(&def->cron, waits ? def->from_us - 1 : after_us);
    } else {
        uint64_t base = def->from_us != 0 ? def->from_us : schedule->defined_us + def->every_us;
        due =
            base > after_us ? base : base + ((after_us - base) / def->every_us + 1) * def->every_us;
    }
    bool is_over = due > SP_TIME_US_MAX || (def->until_us != 0 && due >= def->until_us);
    return is_over ? SP_CRON_NEVER : due;
}

/* The last one at `at` or before it, which is not before `due`, a due time itself. */
static uint64_t last_due(const struct schedule *schedule, uint64_t due, uint64_t at_us) {
    const struct sp_schedule_definition *def = schedule->definition;
    uint64_t end = def->until_us != 0 && def->until_us <= at_us ? def->until_us - 1 : at_us;
    if (end <= due) {
        return due;
    }
    if (def->has_cron) {
        uint64_t last = sp_cron_last(&def->cron, end);
        return last == SP_CRON_NEVER || last < due ? due : last;
    }
    return due + (end - due) / def->every_us * def->every_us;
}

/* Where there are too many between `due` and `last`: the first of the newest ones, else `due`. */
static uint64_t skip_oldest(const struct schedule *schedule, uint64_t due, uint64_t last) {
    const struct sp_schedule_definition *def = schedule->definition;
    if (!def->has_cron) {
        uint64_t count = (last - due) / def->every_us + 1;
        return count <= SP_SCHEDULE_CATCH_UP_MAX
                   ? due
                   : last - (SP_SCHEDULE_CATCH_UP_MAX - 1) * def->every_us;
    }
    uint64_t first = last;
    for (uint32_t i = 1; i < SP_SCHEDULE_CATCH_UP_MAX && first > due; i++) {
        first = sp_cron_last(&def->cron, first - 1);
    }
    return first > due ? first : due;
}

/* What is to be done at `now` about a time that was due. */
struct firing {
    uint64_t at_us;      /* NEVER: nothing is fired */
    uint64_t skipped_us; /* the first due time that is passed over; NEVER: none is */
    uint64_t settled_us;
};

static struct firing decide(const struct schedule *schedule, uint64_t due, uint64_t now_us) {
    uint64_t last = last_due(schedule, due, now_us);
    uint64_t at = due;
    switch (schedule->definition->catch_up) {
    case SP_SCHEDULE_ALL:
        at = skip_oldest(schedule, due, last);
        break;
    case SP_SCHEDULE_LAST:
        at = last;
        break;
    case SP_SCHEDULE_NONE: {
        uint64_t next = due_after(schedule, last);
        uint64_t half = next == SP_CRON_NEVER ? SP_SCHEDULE_GRACE_US : (next - last) / 2;
        uint64_t grace = half < SP_SCHEDULE_GRACE_US ? half : SP_SCHEDULE_GRACE_US;
        at = now_us > last && now_us - last > grace ? SP_CRON_NEVER : last;
        break;
    }
    }
    return (struct firing){
        .at_us = at,
        .skipped_us = at == due ? SP_CRON_NEVER : due,
        .settled_us = at == SP_CRON_NEVER ? last : at,
    };
}

/* ---- the list ---- */

/* Where the name is, or belongs. */
static uint32_t place_of(const struct sp_schedules *schedules, sp_str name, bool *ret_there) {
    uint32_t low = 0;
    uint32_t high = schedules->count;
    *ret_there = false;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = sp_str_cmp(sp_str_from(schedules->list[middle]->name), name);
        if (order == 0) {
            *ret_there = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct schedule *find(const struct sp_schedules *schedules, sp_str name) {
    bool is_there = false;
    uint32_t at = place_of(schedules, name, &is_there);
    return is_there ? schedules->list[at] : NULL;
}

static sp_status insert(struct sp_schedules *schedules, uint32_t at, struct schedule *schedule) {
    if (schedules->count == schedules->capacity) {
        uint32_t capacity = schedules->capacity == 0 ? 16 : schedules->capacity * 2;
        struct schedule **list = realloc(schedules->list, capacity * sizeof(struct schedule *));
        if (list == NULL) {
            return SP_NO_MEMORY;
        }
        schedules->list = list;
        schedules->capacity = capacity;
    }
    memmove(&schedules->list[at + 1], &schedules->list[at],
            (schedules->count - at) * sizeof(schedules->list[0]));
    schedules->list[at] = schedule;
    schedules->count++;
    return SP_OK;
}

static void take_out(struct sp_schedules *schedules, uint32_t at) {
    schedule_free(schedules->list[at]);
    schedules->count--;
    memmove(&schedules->list[at], &schedules->list[at + 1],
            (schedules->count - at) * sizeof(schedules->list[0]));
}

static struct schedule *find_position(const struct sp_schedules *schedules, uint64_t position) {
    for (uint32_t i = 0; i < schedules->count; i++) {
        if (schedules->list[i]->defined_position == position) {
            return schedules->list[i];
        }
    }
    return NULL;
}

static bool is_alive(const void *context, const struct sp_timer *timer) {
    const struct schedule *schedule = find_position(context, timer->a);
    return schedule != NULL && schedule->next_us == timer->at_us;
}

static void arm(struct sp_schedules *schedules, const struct schedule *schedule) {
    struct sp_timer timer = {.at_us = schedule->next_us, .a = schedule->defined_position};
    if (schedules->timers.count >= THIN_MIN && schedules->timers.count / 4 > schedules->count) {
        sp_timers_keep(&schedules->timers, is_alive, schedules);
    }
    if (timer.at_us != SP_CRON_NEVER && sp_timers_arm(&schedules->timers, timer) != SP_OK) {
        schedules->is_short = true;
    }
}

static void plan(struct sp_schedules *schedules, struct schedule *schedule) {
    bool sleeps = schedule->definition == NULL || schedule->definition->is_paused;
    schedule->next_us = sleeps ? SP_CRON_NEVER : due_after(schedule, schedule->settled_us);
    arm(schedules, schedule);
}

/* ---- fold ---- */

/* A schedule of its texts; what cannot be compiled is kept, with the reason. */
static sp_status make(sp_str name, sp_str text, struct schedule **ret_schedule) {
    struct sp_error why;
    struct schedule *schedule = calloc(1, sizeof(*schedule));
    char *copy = schedule == NULL ? NULL : malloc(text.len + 1);
    if (copy == NULL) {
        free(schedule);
        return SP_NO_MEMORY;
    }
    memcpy(copy, text.len == 0 ? "" : text.ptr, text.len);
    memcpy(schedule->name, name.ptr, name.len);
    schedule->text = sp_str_of(copy, text.len);
    sp_error_clear(&why);
    sp_status status = sp_schedule_definition_parse(schedule->text, &schedule->definition, &why);
    if (status == SP_NO_MEMORY) {
        schedule_free(schedule);
        return status;
    }
    if (status == SP_OK && !sp_str_eq(schedule->definition->name, name)) {
        sp_schedule_definition_free(schedule->definition);
        schedule->definition = NULL;
        (void)sp_error_set(&why, SP_INVALID, "it is defined by another name");
    }
    memcpy(schedule->unusable, why.text, sizeof(why.text));
    *ret_schedule = schedule;
    return SP_OK;
}

static sp_status on_defined(struct sp_schedules *schedules, const struct sp_event *event,
                            sp_str name, sp_str text) {
    struct schedule *schedule = NULL;
    bool is_there = false;
    uint32_t at = place_of(schedules, name, &is_there);
    if (!is_there && schedules->count >= SP_SCHEDULES_MAX) {
        return SP_OK;
    }
    sp_status status = make(name, text, &schedule);
    if (status != SP_OK) {
        return status;
    }
    schedule->defined_position = event->position;
    schedule->defined_us = event->recorded_us;
    schedule->settled_us = event->recorded_us;
    if (is_there) {
        const struct schedule *old = schedules->list[at];
        schedule->last_us = old->last_us;
        if (old->settled_us > schedule->settled_us) {
            schedule->settled_us = old->settled_us;
        }
        schedule_free(schedules->list[at]);
        schedules->list[at] = schedule;
    } else {
        status = insert(schedules, at, schedule);
        if (status != SP_OK) {
            schedule_free(schedule);
            return status;
        }
    }
    plan(schedules, schedule);
    return SP_OK;
}

static void on_settled(struct sp_schedules *schedules, const struct sp_event *event, sp_str name,
                       bool is_fired) {
    struct schedule *schedule = find(schedules, name);
    uint64_t due_us = 0;
    if (schedule == NULL || !sp_event_number(event, X_DUE, &due_us) || due_us > SP_TIME_US_MAX ||
        due_us <= schedule->settled_us) {
        return;
    }
    schedule->settled_us = due_us;
    schedule->last_us = due_us;
    schedule->fired += is_fired;
    plan(schedules, schedule);
}

static sp_status part_apply(void *self, const struct sp_event *event, struct sp_error *error) {
    struct sp_schedules *schedules = self;
    sp_str type = event->attr[SP_ATTR_TYPE];
    sp_str name;
    sp_str text;
    if (!sp_str_eq(event->attr[SP_ATTR_STREAM], STREAM)) {
        return SP_OK;
    }
    sp_status status = sp_rule_read(&kind, event, &schedules->scratch, &name, &text);
    if (status != SP_OK) {
        return sp_error_set(error, status, "schedules");
    }
    bool is_there = false;
    uint32_t at = place_of(schedules, name, &is_there);
    if (name.len == 0) {
        return SP_OK;
    }
    if (sp_str_eq(type, sp_str_from(kind.defined))) {
        status = on_defined(schedules, event, name, text);
    } else if (sp_str_eq(type, sp_str_from(kind.removed)) && is_there) {
        take_out(schedules, at);
    } else if (sp_str_eq(type, T_FIRED)) {
        on_settled(schedules, event, name, true);
    } else if (sp_str_eq(type, T_SKIPPED) || sp_str_eq(type, T_FAILED)) {
        on_settled(schedules, event, name, false);
    }
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "schedules");
}

/* ---- work ---- */

static bool part_next(void *self, uint64_t now_us, struct sp_flow_work *ret_work) {
    struct sp_schedules *schedules = self;
    struct sp_timer timer;
    if (schedules->is_short) {
        schedules->is_short = false;
        schedules->timers.count = 0;
        for (uint32_t i = 0; i < schedules->count; i++) {
            arm(schedules, schedules->list[i]);
        }
    }
    while (sp_timers_take(&schedules->timers, now_us, &timer)) {
        if (is_alive(schedules, &timer)) {
            *ret_work = (struct sp_flow_work){.kind = WORK_FIRE, .a = timer.a, .c = timer.at_us};
            return true;
        }
    }
    return false;
}

static void part_back(void *self, const struct sp_flow_work *work) {
    struct sp_schedules *schedules = self;
    const struct schedule *schedule = find_position(schedules, work->a);
    if (schedule != NULL && schedule->next_us == work->c) {
        arm(schedules, schedule);
    }
}

static sp_status part_ask(void *self, const struct sp_flow_work *work,
                          const struct sp_flow_ports *ports, struct sp_buf *to,
                          struct sp_error *error) {
    (void)self;
    (void)work;
    (void)ports;
    (void)to;
    return sp_error_set(error, SP_NOT_FOUND, "schedules have no programs");
}

static sp_str join_texts(char *to, size_t size, sp_str a, sp_str b, sp_str c) {
    sp_require(a.len + b.len + c.len <= size);
    memcpy(to, a.ptr, a.len);
    memcpy(to + a.len, b.ptr, b.len);
    memcpy(to + a.len + b.len, c.ptr, c.len);
    return sp_str_of(to, a.len + b.len + c.len);
}

/* `<name>:<due>` */
static sp_str key_of(const struct schedule *schedule, uint64_t at_us, char to[ID_BYTES_MAX]) {
    char due[SP_TIME_TEXT_SIZE];
    sp_time_format(at_us, due);
    return join_texts(to, ID_BYTES_MAX, sp_str_from(schedule->name), SP_STR(":"), sp_str_from(due));
}

static void add_default_data(const struct schedule *schedule, uint64_t at_us, struct sp_buf *to) {
    sp_buf_add_byte(to, '{');
    sp_put_text(to, "schedule", sp_str_from(schedule->name));
    sp_put_time(to, "at", at_us);
    sp_buf_add_byte(to, '}');
}

static sp_status emit(const struct schedule *schedule, uint64_t at_us, sp_str key,
                      struct sp_flow_out *out) {
    const struct sp_schedule_definition *def = schedule->definition;
    char id[ID_BYTES_MAX];
    char stream[SP_DOC_NAME_BYTES_MAX + 16];
    char due[SP_TIME_TEXT_SIZE];
    sp_str own = join_texts(stream, sizeof(stream), SP_STR("schedule:"),
                            sp_str_from(schedule->name), SP_STR(""));
    sp_time_format(at_us, due);
    sp_flow_out_begin(out, def->type, def->stream.len > 0 ? def->stream : own);
    sp_flow_out_attr(out, SP_ATTR_ID,
                     join_texts(id, sizeof(id), SP_STR("schedule:"), key, SP_STR("")));
    sp_flow_out_attr(out, SP_ATTR_TIME, sp_str_from(due));
    sp_flow_out_text(out, SP_STR("schedule"), sp_str_from(schedule->name));
    if (def->data.len > 0) {
        sp_flow_out_data(out, def->data);
    } else {
        add_default_data(schedule, at_us, sp_flow_out_data_begin(out));
        sp_flow_out_data_end(out);
    }
    return SP_OK;
}

static sp_status start(struct sp_schedules *schedules, const struct schedule *schedule,
                       uint64_t at_us, sp_str key, const struct sp_flow_now *now,
                       struct sp_flow_out *out, struct sp_error *error) {
    const struct sp_schedule_definition *def = schedule->definition;
    char by[SP_DOC_NAME_BYTES_MAX + 16];
    struct sp_schedule_start begin = {.saga = def->saga, .key = key, .data = def->data};
    begin.by =
        join_texts(by, sizeof(by), SP_STR("schedule:"), sp_str_from(schedule->name), SP_STR(""));
    if (def->data.len == 0) {
        sp_buf_reset(&schedules->scratch);
        add_default_data(schedule, at_us, &schedules->scratch);
        begin.data = sp_buf_str(&schedules->scratch);
    }
    return schedules->starter.start(schedules->starter.context, &begin, now, out, error);
}

/* The event that settles it, in `$schedules`. */
static void settle(const struct schedule *schedule, const struct firing *firing, sp_str failure,
                   struct sp_flow_out *out) {
    const struct sp_schedule_definition *def = schedule->definition;
    bool skips = firing->at_us == SP_CRON_NEVER;
    char key[ID_BYTES_MAX];
    char id[ID_BYTES_MAX];
    sp_flow_out_begin(out, skips ? T_SKIPPED : failure.len > 0 ? T_FAILED : T_FIRED, STREAM);
    sp_flow_out_number(out, X_DUE, firing->settled_us);
    struct sp_buf *data = sp_flow_out_data_begin(out);
    sp_buf_add_byte(data, '{');
    sp_put_text(data, "schedule", sp_str_from(schedule->name));
    if (skips) {
        sp_put_time(data, "from", firing->skipped_us);
        sp_put_time(data, "to", firing->settled_us);
    } else {
        sp_str text = key_of(schedule, firing->at_us, key);
        sp_put_time(data, "at", firing->at_us);
        sp_put_text(data, "saga", def->saga);
        sp_put_text(data, def->saga.len > 0 ? "key" : "event",
                    def->saga.len > 0
                        ? text
                        : join_texts(id, sizeof(id), SP_STR("schedule:"), text, SP_STR("")));
        if (firing->skipped_us != SP_CRON_NEVER) {
            sp_put_time(data, "skipped_from", firing->skipped_us);
        }
        sp_put_text(data, "error", failure);
    }
    sp_buf_add_byte(data, '}');
    sp_flow_out_data_end(out);
}

static sp_status part_act(void *self, const struct sp_flow_work *work,
                          const struct sp_flow_now *now, struct sp_flow_out *out,
                          struct sp_error *error) {
    struct sp_schedules *schedules = self;
    const struct schedule *schedule = find_position(schedules, work->a);
    if (schedule == NULL || schedule->next_us != work->c) {
        return sp_error_set(error, SP_NOT_FOUND, "it was replaced, removed or fired meanwhile");
    }
    struct firing firing = decide(schedule, work->c, now->now_us);
    char key[ID_BYTES_MAX];
    struct sp_error why;
    sp_status status = SP_OK;
    sp_error_clear(&why);
    if (now->answer.refused) {
        sp_str said = now->answer.error;
        status = sp_error_set(&why, SP_INVALID, "%.*s", SP_STR_ARG(said));
    } else if (firing.at_us != SP_CRON_NEVER) {
        sp_str text = key_of(schedule, firing.at_us, key);
        status = schedule->definition->saga.len > 0
                     ? start(schedules, schedule, firing.at_us, text, now, out, &why)
                     : emit(schedule, firing.at_us, text, out);
    }
    if (status == SP_NO_MEMORY) {
        return sp_error_set(error, status, "schedule %s", schedule->name);
    }
    if (status != SP_OK && !now->answer.refused) {
        sp_flow_out_reset(out); /* nothing of a start that was refused half way */
    }
    settle(schedule, &firing, status == SP_OK ? SP_STR("") : sp_str_from(why.text), out);
    return sp_flow_out_status(out);
}

static uint64_t part_due(const void *self) {
    const struct sp_schedules *schedules = self;
    return schedules->is_short ? 0 : sp_timers_due(&schedules->timers);
}

static uint64_t part_oldest(const void *self) {
    (void)self;
    return UINT64_MAX; /* definitions are in memory */
}

/* ---- requests and lists ---- */

sp_status sp_schedules_define(const struct sp_schedules *schedules,
                              const struct sp_schedule_definition *definition, sp_str by,
                              struct sp_flow_out *out, struct sp_rule_defined *ret_defined,
                              struct sp_error *error) {
    const struct schedule *old = find(schedules, definition->name);
    sp_rule_sha256(definition->text, ret_defined->sha256);
    ret_defined->is_unchanged = old != NULL && sp_str_eq(old->text, definition->text);
    ret_defined->position = old != NULL ? old->defined_position : 0;
    if (ret_defined->is_unchanged) {
        return SP_OK;
    }
    if (old == NULL && schedules->count >= SP_SCHEDULES_MAX) {
        return sp_error_set(error, SP_LIMIT, "there are %d schedules, and no more can be",
                            SP_SCHEDULES_MAX);
    }
    return sp_rule_define(&kind, definition->name, definition->text, by, out);
}

sp_status sp_schedules_remove(const struct sp_schedules *schedules, sp_str name, sp_str by,
                              struct sp_flow_out *out, struct sp_error *error) {
    if (find(schedules, name) == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "no schedule is called %.*s", SP_STR_ARG(name));
    }
    return sp_rule_remove(&kind, name, by, out);
}

uint32_t sp_schedules_count(const struct sp_schedules *schedules) {
    return schedules->count;
}

void sp_schedules_get(const struct sp_schedules *schedules, uint32_t at,
                      struct sp_schedule_info *ret_info) {
    sp_require(at < schedules->count);
    const struct schedule *schedule = schedules->list[at];
    *ret_info = (struct sp_schedule_info){
        .name = sp_str_from(schedule->name),
        .text = schedule->text,
        .unusable = schedule->definition == NULL ? schedule->unusable : NULL,
        .defined_position = schedule->defined_position,
        .defined_us = schedule->defined_us,
        .is_paused = schedule->definition != NULL && schedule->definition->is_paused,
        .next_us = schedule->next_us,
        .last_us = schedule->last_us,
        .fired = schedule->fired,
    };
}

bool sp_schedules_find(const struct sp_schedules *schedules, sp_str name,
                       struct sp_schedule_info *ret_info) {
    bool is_there = false;
    uint32_t at = place_of(schedules, name, &is_there);
    if (is_there) {
        sp_schedules_get(schedules, at, ret_info);
    }
    return is_there;
}

/* ---- snapshot ---- */

static void part_encode(const void *self, struct sp_buf *to) {
    const struct sp_schedules *schedules = self;
    sp_add_number(to, FORMAT);
    sp_add_number(to, schedules->count);
    for (uint32_t i = 0; i < schedules->count; i++) {
        const struct schedule *schedule = schedules->list[i];
        sp_add_text(to, sp_str_from(schedule->name));
        sp_add_text(to, schedule->text);
        sp_add_number(to, schedule->defined_position);
        sp_add_number(to, schedule->defined_us);
        sp_add_number(to, schedule->settled_us);
        sp_add_number(to, schedule->last_us);
        sp_add_number(to, schedule->fired);
    }
}

static uint64_t part_hash(const void *self) {
    struct sp_buf bytes;
    sp_buf_init(&bytes, SIZE_MAX);
    part_encode(self, &bytes);
    uint64_t hash = sp_hash(bytes.data, bytes.len);
    sp_buf_fini(&bytes);
    return hash;
}

static sp_status restore_one(struct sp_schedules *schedules, struct sp_wire *wire) {
    struct schedule *schedule = NULL;
    sp_str name = sp_wire_lstr(wire);
    sp_str text = sp_wire_lstr(wire);
    bool is_there = false;
    uint32_t at = place_of(schedules, name, &is_there);
    if (wire->bad || is_there || name.len == 0 || name.len > SP_DOC_NAME_BYTES_MAX ||
        text.len > SP_RULE_BYTES_MAX) {
        return SP_CORRUPT;
    }
    sp_status status = make(name, text, &schedule);
    if (status != SP_OK) {
        return status;
    }
    schedule->defined_position = sp_wire_varint(wire);
    schedule->defined_us = sp_wire_varint(wire);
    schedule->settled_us = sp_wire_varint(wire);
    schedule->last_us = sp_wire_varint(wire);
    schedule->fired = sp_wire_varint(wire);
    bool is_wrong =
        wire->bad || schedule->defined_us > SP_TIME_US_MAX || schedule->settled_us > SP_TIME_US_MAX;
    status = is_wrong ? SP_CORRUPT : insert(schedules, at, schedule);
    if (status != SP_OK) {
        schedule_free(schedule);
        return status;
    }
    plan(schedules, schedule);
    return SP_OK;
}

static sp_status part_restore(void *self, struct sp_wire *wire) {
    struct sp_schedules *schedules = self;
    uint64_t format = sp_wire_varint(wire);
    uint64_t count = sp_wire_varint(wire);
    if (wire->bad || format != FORMAT || count > SP_SCHEDULES_MAX) {
        return SP_CORRUPT;
    }
    for (uint64_t i = 0; i < count; i++) {
        sp_status status = restore_one(schedules, wire);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

const struct sp_flow_part_ops sp_schedules_part = {
    .name = "schedules",
    .apply = part_apply,
    .next = part_next,
    .back = part_back,
    .ask = part_ask,
    .act = part_act,
    .due = part_due,
    .oldest = part_oldest,
    .hash = part_hash,
    .encode = part_encode,
    .restore = part_restore,
};
