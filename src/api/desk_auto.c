/* Joins, schedules and delayed events: what there is of them, and how it stands. */
#include <inttypes.h>
#include <stdio.h>

#include "api/desk_int.h"
#include "base/json.h"
#include "engine/query.h"
#include "flow/delayed.h"
#include "flow/flow.h"
#include "flow/join.h"
#include "flow/members.h"
#include "flow/schedule.h"

enum {
    WINDOWS_SHOWN = 100, /* of a join, the oldest */
    TIMERS_PAGE = 256,
};

static const struct sp_flow *flow_of(const struct sp_desk_call *call) {
    return sp_engine_flow(call->engine);
}

static sp_status refuse_unknown(const struct sp_desk_call *call, struct sp_error *error) {
    sp_str name = call->request->subject;
    return sp_error_set(error, SP_NOT_FOUND, "there is no %s '%.*s'", call->request->verb->desk,
                        name.len > 64 ? 64 : (int)name.len, name.ptr);
}

/* ---- joins ----------------------------------------------------------------------------------- */

static void begin_join(struct sp_buf *to, const struct sp_join_info *info) {
    sp_buf_add_byte(to, '{');
    desk_add_text(to, "join", info->name);
    if (info->unusable != NULL) {
        desk_add_text(to, "unusable", sp_str_from(info->unusable));
    }
    desk_add_u64(to, "open", info->open);
    desk_add_u64(to, "done", info->done);
    desk_add_u64(to, "emitted", info->emitted);
    desk_add_u64(to, "timed_out", info->timed_out);
    desk_add_u64(to, "late", info->late);
    desk_add_u64(to, "repeated", info->repeated);
    desk_add_u64(to, "unkeyed", info->unkeyed);
    desk_add_u64(to, "refused", info->refused);
    desk_add_time(to, "defined", info->defined_us);
    desk_add_u64(to, "position", info->defined_position);
}

sp_status desk_join_ls(struct sp_desk_call *call, struct sp_error *error) {
    const struct sp_joins *joins = sp_flow_part(flow_of(call), &sp_joins_part);
    (void)error;
    for (uint32_t i = 0; i < sp_joins_count(joins); i++) {
        struct sp_join_info info;
        sp_joins_get(joins, i, &info);
        begin_join(&call->answer->text, &info);
        sp_buf_add_byte(&call->answer->text, '}');
        desk_end_row(call);
    }
    return SP_OK;
}

/* Which windows are open, the oldest of them. */
static void add_windows(struct sp_desk_call *call, const struct sp_joins *joins, sp_str name) {
    struct sp_join_window windows[WINDOWS_SHOWN];
    struct sp_buf *to = &call->answer->text;
    size_t count = sp_joins_windows(joins, name, 0, windows, WINDOWS_SHOWN);
    desk_add_name(to, "windows");
    sp_buf_add_byte(to, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            sp_buf_add_byte(to, ',');
        }
        sp_buf_add_byte(to, '{');
        desk_add_text(to, "key", windows[i].key);
        desk_add_time(to, "first", windows[i].first_us);
        desk_add_time(to, "ends", windows[i].ends_us);
        desk_add_u64(to, "have", windows[i].have);
        desk_add_u64(to, "position", windows[i].first_position);
        sp_buf_add_byte(to, '}');
    }
    sp_buf_add_byte(to, ']');
}

sp_status desk_join_show(struct sp_desk_call *call, struct sp_error *error) {
    const struct sp_joins *joins = sp_flow_part(flow_of(call), &sp_joins_part);
    struct sp_buf *to = &call->answer->text;
    struct sp_join_info info;
    if (!sp_joins_find(joins, call->request->subject, &info)) {
        return refuse_unknown(call, error);
    }
    begin_join(to, &info);
    add_windows(call, joins, info.name);
    desk_add_definition(to, info.text);
    sp_buf_add_byte(to, '}');
    return SP_OK;
}

/* ---- schedules ------------------------------------------------------------------------------- */

static void begin_schedule(struct sp_buf *to, const struct sp_schedule_info *info) {
    sp_buf_add_byte(to, '{');
    desk_add_text(to, "schedule", info->name);
    if (info->unusable != NULL) {
        desk_add_text(to, "unusable", sp_str_from(info->unusable));
    }
    desk_add_bool(to, "paused", info->is_paused);
    desk_add_time(to, "next", info->next_us);
    desk_add_time(to, "last", info->last_us);
    desk_add_u64(to, "fired", info->fired);
    desk_add_time(to, "defined", info->defined_us);
    desk_add_u64(to, "position", info->defined_position);
}

sp_status desk_schedule_ls(struct sp_desk_call *call, struct sp_error *error) {
    const struct sp_schedules *schedules = sp_flow_part(flow_of(call), &sp_schedules_part);
    (void)error;
    for (uint32_t i = 0; i < sp_schedules_count(schedules); i++) {
        struct sp_schedule_info info;
        sp_schedules_get(schedules, i, &info);
        begin_schedule(&call->answer->text, &info);
        sp_buf_add_byte(&call->answer->text, '}');
        desk_end_row(call);
    }
    return SP_OK;
}

sp_status desk_schedule_show(struct sp_desk_call *call, struct sp_error *error) {
    struct sp_buf *to = &call->answer->text;
    struct sp_schedule_info info;
    if (!sp_schedules_find(sp_flow_part(flow_of(call), &sp_schedules_part), call->request->subject,
                           &info)) {
        return refuse_unknown(call, error);
    }
    begin_schedule(to, &info);
    desk_add_definition(to, info.text);
    sp_buf_add_byte(to, '}');
    return SP_OK;
}

/* ---- timers ---------------------------------------------------------------------------------- */

/* Behind which one a page begins: `due_us-position`, the `next` of the page before. */
static sp_status read_after(struct sp_desk_call *call, struct sp_delayed_info *ret_after,
                            struct sp_error *error) {
    sp_str after = desk_option(call, SP_DESK_AFTER);
    *ret_after = (struct sp_delayed_info){.position = 0};
    if (after.len == 0 || sp_str_eq(after, SP_STR("0"))) {
        return SP_OK;
    }
    const char *dash = memchr(after.ptr, '-', after.len);
    size_t len = dash != NULL ? (size_t)(dash - after.ptr) : 0;
    bool good = dash != NULL && desk_read_u64(sp_str_of(after.ptr, len), &ret_after->due_us) &&
                desk_read_u64(sp_str_from_byte(after, len + 1), &ret_after->position);
    return good ? SP_OK
                : sp_error_set(error, SP_INVALID,
                               "after: expected the next of the page before, found '%.*s'",
                               after.len > 48 ? 48 : (int)after.len, after.ptr);
}

/* What the delayed event says of itself: its id, type, source and stream. */
static void add_event(struct sp_desk_call *call, const struct sp_event *delayed) {
    struct sp_buf *to = &call->answer->text;
    struct sp_buf scratch;
    struct sp_member members[] = {
        {.name = "id"}, {.name = "type"}, {.name = "source"}, {.name = "stream"}};
    sp_buf_init(&scratch, DESK_ANSWER_BYTES_MAX);
    if (sp_members_of(delayed, members, 4, &scratch) == SP_OK) {
        for (size_t i = 0; i < 4; i++) {
            sp_str text = sp_member_text(&members[i]);
            if (text.len > 0) {
                desk_add_text(to, members[i].name, text);
            }
        }
    }
    sp_buf_fini(&scratch);
}

static void write_timer(struct sp_desk_call *call, struct sp_delayed_info info) {
    struct sp_buf *to = &call->answer->text;
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = desk_open_at(call, info.position, &cursor);
    sp_buf_add_byte(to, '{');
    if (event != NULL) {
        add_event(call, event);
        desk_add_time(to, "since", event->recorded_us);
    }
    sp_cursor_close(cursor);
    desk_add_time(to, "due", info.due_us);
    desk_add_u64(to, "due_us", info.due_us);
    desk_add_u64(to, "position", info.position);
    sp_buf_add_byte(to, '}');
    desk_end_row(call);
}

sp_status desk_timer_ls(struct sp_desk_call *call, struct sp_error *error) {
    const struct sp_delayed *delayed = sp_flow_part(flow_of(call), &sp_delayed_part);
    struct sp_delayed_info infos[TIMERS_PAGE];
    struct sp_delayed_info after;
    sp_status status = read_after(call, &after, error);
    size_t left = call->request->limit;
    size_t count = 1;
    while (status == SP_OK && left > 0 && count > 0) {
        count = sp_delayed_list(delayed, after, infos, left < TIMERS_PAGE ? left : TIMERS_PAGE);
        for (size_t i = 0; i < count; i++) {
            write_timer(call, infos[i]);
            after = infos[i];
        }
        left -= count;
    }
    if (status == SP_OK && left == 0 && sp_delayed_list(delayed, after, infos, 1) > 0) {
        call->answer->more = true;
        (void)snprintf(call->answer->next, sizeof(call->answer->next), "%" PRIu64 "-%" PRIu64,
                       after.due_us, after.position);
    }
    return status;
}

sp_status desk_timer_cancel(struct sp_desk_call *call, struct sp_error *error) {
    uint64_t position = 0;
    struct sp_buf *to = &call->answer->text;
    sp_status status = sp_engine_delayed_cancel(
        call->engine, desk_option(call, SP_DESK_SOURCE), call->request->subject, call->by,
        desk_option(call, SP_DESK_REASON), &position, error);
    if (status == SP_OK) {
        call->answer->changed = true;
        sp_buf_add_byte(to, '{');
        desk_add_text(to, "id", call->request->subject);
        desk_add_bool(to, "cancelled", true);
        desk_add_u64(to, "position", position);
        sp_buf_add_byte(to, '}');
    }
    return status;
}
