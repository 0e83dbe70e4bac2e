/*
 * Schedules: events and sagas at times that come again. pure
 *
 *     {schedule: nightly, cron: "0 3 * * *", timezone: "+02:00", start: {saga: report}}
 *     {schedule: pulse, every: 10m, emit: {type: pulse.beat}}
 *
 * Due times are a function of the definition: those of cron (cron.h), or `every` counted from
 * `from`, else from the moment of definition. Each firing is one append: the event (or the start of
 * a saga) with the id `schedule:<name>:<due>`, and schedule.fired, whose extension `dueus` says up
 * to which due time the schedule is settled. So each due time is fired once, whatever dies when.
 *
 * Times that passed while nobody did the work are caught up, in their order, by `catch_up`:
 *   all    every one; the newest SP_SCHEDULE_CATCH_UP_MAX of them where there are more (default)
 *   last   only the newest one
 *   none   none of them: what is later than SP_SCHEDULE_GRACE_US (half an interval, if that is
 *          less) is passed over
 * What was passed over is told: schedule.fired has `skipped_from`, the first such due time, and
 * where nothing is fired there is schedule.skipped {from, to}.
 *
 * A definition that replaces another goes on behind what was settled: no time is fired twice, and
 * times before the moment of replacing that were not fired yet are dropped with the old one. So it
 * is with `paused: true` and its end.
 *
 * Events of `$schedules`: schedule.defined {schedule, definition, sha256, by}, schedule.removed
 * {schedule, by}, schedule.fired {schedule, at, event or saga and key}, schedule.skipped,
 * schedule.failed {schedule, at, error}: the event or the start of the saga was refused, and the
 * due time is settled all the same.
 *
 * Limits: SP_SCHEDULES_MAX schedules; the interval is at least a second.
 */
#ifndef SP_FLOW_SCHEDULE_H
#define SP_FLOW_SCHEDULE_H

#include "flow/cron.h"
#include "flow/doc.h"
#include "flow/part.h"
#include "flow/rule.h"

enum {
    SP_SCHEDULES_MAX = 10000,
    SP_SCHEDULE_CATCH_UP_MAX = 1000,
};

#define SP_SCHEDULE_GRACE_US UINT64_C(60000000)

enum sp_schedule_catch_up {
    SP_SCHEDULE_ALL = 0,
    SP_SCHEDULE_LAST,
    SP_SCHEDULE_NONE,
};

struct sp_schedule_definition {
    sp_str name;
    sp_str text; /* canonical JSON */
    bool has_cron;
    struct sp_cron cron;
    uint64_t every_us; /* 0: cron */
    uint64_t from_us;  /* 0: since it was defined */
    uint64_t until_us; /* no due time at or behind it; 0: none */
    enum sp_schedule_catch_up catch_up;
    bool is_paused;
    sp_str saga;   /* to start; empty: an event */
    sp_str type;   /* of the event */
    sp_str stream; /* empty: `schedule:<name>` */
    sp_str data;   /* JSON, of the event or saga; empty: {"schedule": …, "at": …} */
    struct sp_pool pool;
};

/* As sp_join_definition_compile and so on. */
SP_WARN_UNUSED sp_status sp_schedule_definition_compile(
    const struct sp_doc *doc, struct sp_doc_problems *problems,
    struct sp_schedule_definition **ret_definition, struct sp_error *error);
SP_WARN_UNUSED sp_status sp_schedule_definition_parse(
    sp_str text, struct sp_schedule_definition **ret_definition, struct sp_error *error);
void sp_schedule_definition_free(struct sp_schedule_definition *definition);

/* How schedules start a saga: given by the floor's composition (flow.c). */
struct sp_schedule_start {
    sp_str saga;
    sp_str key;  /* `<schedule>:<due>` */
    sp_str data; /* JSON */
    sp_str by;   /* `schedule:<name>` */
};
struct sp_schedule_starter {
    void *context;
    /* Adds the events that start it. SP_NOT_FOUND: no such definition; the error says so. */
    sp_status (*start)(void *context, const struct sp_schedule_start *start,
                       const struct sp_flow_now *now, struct sp_flow_out *out,
                       struct sp_error *error);
};

struct sp_schedules;

/* The starter is copied; its context outlives the part. */
SP_WARN_UNUSED sp_status sp_schedules_new(struct sp_schedules **ret_schedules,
                                          struct sp_schedule_starter starter);
void sp_schedules_free(struct sp_schedules *schedules);

extern const struct sp_flow_part_ops sp_schedules_part;

/* As lists show it. Texts are borrowed until the next apply. */
struct sp_schedule_info {
    sp_str name;
    sp_str text;
    const char *unusable; /* why its definition cannot be used; NULL: it can */
    uint64_t defined_position;
    uint64_t defined_us;
    bool is_paused;
    uint64_t next_us; /* UINT64_MAX: never again */
    uint64_t last_us; /* the last due time that was settled; 0: none yet */
    uint64_t fired;   /* since it was defined */
};

/*
 * Adds the event that defines it, unless the very same is there. SP_LIMIT: there are too many.
 */
SP_WARN_UNUSED sp_status sp_schedules_define(const struct sp_schedules *schedules,
                                             const struct sp_schedule_definition *definition,
                                             sp_str by, struct sp_flow_out *out,
                                             struct sp_rule_defined *ret_defined,
                                             struct sp_error *error);
/* Adds the event that removes it. SP_NOT_FOUND. */
SP_WARN_UNUSED sp_status sp_schedules_remove(const struct sp_schedules *schedules, sp_str name,
                                             sp_str by, struct sp_flow_out *out,
                                             struct sp_error *error);

uint32_t sp_schedules_count(const struct sp_schedules *schedules);
void sp_schedules_get(const struct sp_schedules *schedules, uint32_t at,
                      struct sp_schedule_info *ret_info); /* by name, bytewise; at < count */
bool sp_schedules_find(const struct sp_schedules *schedules, sp_str name,
                       struct sp_schedule_info *ret_info);

#endif
