/* Approvals: the inbox of those that wait for somebody, and deciding them. */
#include <stdio.h>
#include <string.h>

#include "api/desk_int.h"
#include "base/json.h"
#include "base/time.h"
#include "engine/query.h"
#include "flow/approvals.h"
#include "flow/flow.h"
#include "flow/saga.h"

enum { ID_SIZE = SP_SAGA_PATH_BYTES_MAX + 64 };

static const struct sp_sagas *sagas_of(const struct sp_desk_call *call) {
    return sp_flow_sagas(sp_engine_flow(call->engine));
}

static const struct sp_approvals *approvals_of(const struct sp_desk_call *call) {
    return sp_flow_part(sp_engine_flow(call->engine), &sp_approvals_part);
}

/* ---- deciding -------------------------------------------------------------------------------- */

/* When the event at a position was recorded; 0 where it cannot be read (any more). */
static uint64_t time_at(struct sp_desk_call *call, uint64_t position) {
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = desk_open_at(call, position, &cursor);
    uint64_t recorded_us = event != NULL ? event->recorded_us : 0;
    sp_cursor_close(cursor);
    return recorded_us;
}

/* {"choice", "by", "position", "at"} of the decision that counts, and a text that says so. */
static sp_status refuse_second(struct sp_desk_call *call, const struct sp_engine_decided *decided,
                               struct sp_error *error) {
    char at[SP_TIME_TEXT_SIZE] = "";
    struct sp_buf *to = &call->answer->member;
    uint64_t time_us = time_at(call, decided->first_position);
    call->answer->member_name = "decision";
    sp_buf_add_byte(to, '{');
    desk_add_text(to, "choice", sp_str_from(decided->first_choice));
    desk_add_text(to, "by", sp_str_from(decided->first_by));
    desk_add_u64(to, "position", decided->first_position);
    desk_add_time(to, "at", time_us);
    sp_buf_add_byte(to, '}');
    if (time_us != 0) {
        sp_time_format(time_us, at);
    }
    return sp_error_set(error, SP_CONFLICT, "it is decided: %s by %s%s%.19s%s",
                        decided->first_choice,
                        decided->first_by[0] != '\0' ? decided->first_by : "nobody named",
                        time_us != 0 ? " at " : "", at, time_us != 0 ? "Z" : "");
}

/* The approval that is meant: an id, or a saga's with a step. */
static sp_str approval_of(const struct sp_desk_call *call, char room[ID_SIZE]) {
    sp_str step = desk_option(call, SP_DESK_STEP);
    if (step.len == 0) {
        return call->request->subject;
    }
    (void)snprintf(room, ID_SIZE, "%.*s/%.*s",
                   call->request->subject.len > 64 ? 64 : (int)call->request->subject.len,
                   call->request->subject.ptr,
                   step.len > SP_SAGA_PATH_BYTES_MAX ? SP_SAGA_PATH_BYTES_MAX : (int)step.len,
                   step.ptr);
    return sp_str_from(room);
}

/* What the verb means where no choice is named. */
static sp_status choice_of(const struct sp_desk_call *call, sp_str *ret_choice,
                           struct sp_error *error) {
    const char *verb = call->request->verb->name;
    sp_str choice = desk_option(call, SP_DESK_CHOICE);
    bool rejects = strcmp(verb, "reject") == 0;
    bool is_reject = sp_str_eq(choice, SP_STR("reject"));
    if (choice.len > 0 && rejects != is_reject && strcmp(verb, "decide") != 0) {
        return sp_error_set(error, SP_INVALID, "%s with the choice '%.*s': expected %s", verb,
                            choice.len > 64 ? 64 : (int)choice.len, choice.ptr,
                            rejects ? "reject, or none" : "one that is not reject");
    }
    if (choice.len == 0 && strcmp(verb, "decide") == 0) {
        return sp_error_set(error, SP_INVALID, "decide: expected a choice, found none");
    }
    *ret_choice = choice.len > 0 ? choice : rejects ? SP_STR("reject") : SP_STR("approve");
    return SP_OK;
}

sp_status desk_decide(struct sp_desk_call *call, struct sp_error *error) {
    char room[ID_SIZE];
    struct sp_engine_decided decided = {.position = 0};
    struct sp_engine_decision decision = {
        .approval = approval_of(call, room),
        .by = call->by,
        .reason = desk_option(call, SP_DESK_REASON),
        .data = desk_option(call, SP_DESK_DATA),
    };
    sp_status status = choice_of(call, &decision.choice, error);
    status = status == SP_OK ? desk_check_json(decision.data, "data", error) : status;
    if (status == SP_OK) {
        status = sp_engine_decide(call->engine, &decision, &decided, error);
    }
    if (status == SP_CONFLICT && decided.first_choice[0] != '\0') {
        return refuse_second(call, &decided, error);
    }
    if (status == SP_OK) {
        struct sp_buf *to = &call->answer->text;
        call->answer->changed = true;
        sp_buf_add_byte(to, '{');
        desk_add_text(to, "approval", decision.approval);
        desk_add_text(to, "choice", decision.choice);
        desk_add_text(to, "by", decision.by);
        desk_add_u64(to, "position", decided.position);
        sp_buf_add_byte(to, '}');
    }
    return status;
}

/* ---- the inbox ------------------------------------------------------------------------------- */

/* One that waits, a saga's or one that stands alone; texts last as long as both do. */
struct one {
    sp_str id;
    uint64_t position;
    sp_str prompt;
    sp_str choices; /* JSON arrays */
    sp_str who;
    sp_str escalate_to;
    bool is_escalated;
    uint64_t deadline_us;
    sp_str asked_by;
    sp_str saga;
    sp_str sagaid;
    sp_str step;
    struct sp_buf room; /* of the arrays of a saga's */
};

struct inbox {
    struct sp_desk_call *call;
    struct desk_page page;
    bool writes; /* the page is cut: rows are written */
};

/* Whether this one is among those of an array; where nobody is named, anybody is. */
static bool is_among(sp_str array, sp_str who, bool empty) {
    struct sp_json json;
    sp_json_init(&json, array);
    bool found = false;
    bool any = false;
    for (struct sp_json_token at = sp_json_next(&json);
         at.type != SP_JSON_END && at.type != SP_JSON_ERROR; at = sp_json_next(&json)) {
        any = any || at.type == SP_JSON_STRING;
        found = found || (at.type == SP_JSON_STRING && sp_json_equal(at, who));
    }
    return any ? found : empty;
}

static bool may_decide(const struct sp_desk_call *call, const struct one *one) {
    sp_str who = desk_option(call, SP_DESK_WHO);
    return who.len == 0 || is_among(one->who, who, true) ||
           (one->is_escalated && is_among(one->escalate_to, who, false));
}

static void add_text_if(struct sp_buf *to, const char *name, sp_str text) {
    if (text.len > 0) {
        desk_add_text(to, name, text);
    }
}

static void add_array(struct sp_buf *to, const char *name, sp_str array) {
    desk_add_name(to, name);
    sp_buf_add_str(to, array.len > 0 ? array : SP_STR("[]"));
}

static void begin_one(struct sp_desk_call *call, const struct one *one, const char *status) {
    struct sp_buf *to = &call->answer->text;
    sp_buf_add_byte(to, '{');
    desk_add_text(to, "id", one->id);
    desk_add_text(to, "status", sp_str_from(status));
    desk_add_text(to, "prompt", one->prompt);
    add_text_if(to, "asked_by", one->asked_by);
    add_text_if(to, "saga", one->saga);
    add_text_if(to, "sagaid", one->sagaid);
    add_text_if(to, "step", one->step);
    add_array(to, "choices", one->choices);
    add_array(to, "who", one->who);
    if (one->is_escalated) {
        add_array(to, "escalated_to", one->escalate_to);
    }
    desk_add_time(to, "deadline", one->deadline_us);
    desk_add_u64(to, "position", one->position);
}

static bool take_one(struct inbox *inbox, const struct one *one) {
    struct sp_desk_call *call = inbox->call;
    if (!may_decide(call, one)) {
        return true;
    }
    if (!inbox->writes) {
        desk_page_note(&inbox->page, one->position);
    } else if (desk_page_has(&inbox->page, one->position)) {
        begin_one(call, one, "pending");
        sp_buf_add_byte(&call->answer->text, '}');
        desk_end_row(call);
    }
    return !inbox->page.failed && call->answer->text.status == SP_OK;
}

static void add_texts(struct sp_buf *to, struct sp_saga_texts texts) {
    sp_buf_add_byte(to, '[');
    for (uint32_t i = 0; i < texts.count; i++) {
        if (i > 0) {
            sp_buf_add_byte(to, ',');
        }
        sp_json_add_string(to, texts.items[i]);
    }
    sp_buf_add_byte(to, ']');
}

/* Fini it. */
static void init_of_saga(struct one *one, const struct sp_saga_approval_info *info) {
    size_t ends[2];
    *one = (struct one){.id = sp_str_from(info->proposal),
                        .position = info->position,
                        .prompt = info->rules->prompt,
                        .is_escalated = info->is_escalated,
                        .deadline_us = info->deadline_us,
                        .saga = info->saga,
                        .sagaid = sp_str_from(info->sagaid),
                        .step = sp_str_from(info->step)};
    sp_buf_init(&one->room, DESK_ANSWER_BYTES_MAX);
    add_texts(&one->room, info->rules->choices);
    ends[0] = one->room.len;
    add_texts(&one->room, info->rules->who);
    ends[1] = one->room.len;
    add_texts(&one->room, info->rules->escalate_to);
    if (one->room.status == SP_OK) {
        one->choices = sp_str_of(one->room.data, ends[0]);
        one->who = sp_str_of(one->room.data + ends[0], ends[1] - ends[0]);
        one->escalate_to = sp_str_of(one->room.data + ends[1], one->room.len - ends[1]);
    }
}

static bool take_of_saga(void *context, const struct sp_saga_approval_info *info) {
    struct one one;
    init_of_saga(&one, info);
    bool goes_on = take_one(context, &one);
    sp_buf_fini(&one.room);
    return goes_on;
}

static struct one one_alone(const struct sp_approval_info *info) {
    return (struct one){.id = info->id,
                        .position = info->position,
                        .prompt = info->prompt,
                        .choices = info->choices,
                        .who = info->who,
                        .escalate_to = info->escalate_to,
                        .is_escalated = info->is_escalated,
                        .deadline_us = info->deadline_us,
                        .asked_by = info->asked_by};
}

static void walk(struct inbox *inbox) {
    const struct sp_approvals *approvals = approvals_of(inbox->call);
    struct sp_approval_info info;
    uint64_t cursor = 0;
    sp_sagas_approvals(sagas_of(inbox->call), take_of_saga, inbox);
    while (sp_approvals_next(approvals, &cursor, &info)) {
        struct one one = one_alone(&info);
        if (!take_one(inbox, &one)) {
            return;
        }
    }
}

sp_status desk_approval_ls(struct sp_desk_call *call, struct sp_error *error) {
    struct inbox inbox = {.call = call};
    sp_str wanted = desk_option(call, SP_DESK_STATUS);
    if (wanted.len > 0 && !sp_str_eq(wanted, SP_STR("pending"))) {
        return sp_error_set(error, SP_INVALID,
                            "status: expected pending, found '%.*s'; those that are decided are in "
                            "the read model approvals",
                            wanted.len > 32 ? 32 : (int)wanted.len, wanted.ptr);
    }
    sp_status status = desk_page_begin(call, &inbox.page, error);
    if (status == SP_OK) {
        walk(&inbox);
        status = desk_page_cut(call, &inbox.page, error);
    }
    if (status == SP_OK) {
        inbox.writes = true;
        walk(&inbox);
    }
    return status;
}

/* ---- one ------------------------------------------------------------------------------------- */

static void show_alone(struct sp_desk_call *call, const struct sp_approval_info *info) {
    static const char *const STATES[] = {
        [SP_APPROVAL_PENDING] = "pending",
        [SP_APPROVAL_GRANTED] = "granted",
        [SP_APPROVAL_REJECTED] = "rejected",
        [SP_APPROVAL_EXPIRED] = "expired",
    };
    struct sp_buf *to = &call->answer->text;
    struct one one = one_alone(info);
    begin_one(call, &one, STATES[info->state]);
    add_text_if(to, "action_id", info->action_id);
    desk_add_time(to, "since", info->since_us);
    if (info->state != SP_APPROVAL_PENDING) {
        add_text_if(to, "choice", info->choice);
        add_text_if(to, "by", info->by);
        desk_add_u64(to, "settled", info->settled_position);
    }
    sp_buf_add_byte(to, '}');
}

sp_status desk_approval_show(struct sp_desk_call *call, struct sp_error *error) {
    struct sp_saga_approval_info of_saga;
    struct sp_approval_info alone;
    struct one one;
    sp_str id = call->request->subject;
    if (sp_approvals_find(approvals_of(call), id, &alone)) {
        show_alone(call, &alone);
        return SP_OK;
    }
    sp_status status = sp_sagas_find_approval(sagas_of(call), id, &of_saga, error);
    if (status == SP_OK) {
        init_of_saga(&one, &of_saga);
        begin_one(call, &one, "pending");
        sp_buf_add_byte(&call->answer->text, '}');
        sp_buf_fini(&one.room);
    }
    return status;
}
