/*
 * What comes from outside: answers to commands, decisions of people; and the beginning of sagas.
 */
#include "flow/saga_int.h"

#include <stdlib.h>

#include "flow/approval.h"

/* ---- answers ---- */

/* One that changes nothing is recorded, as often as the limit allows. */
static void ignore(struct sp_sagas *sagas, struct sp_saga *saga, const struct sp_event *event,
                   enum sp_ignored_reason reason) {
    if (saga->ignored < SP_SAGA_IGNORED_MAX) {
        saga->ignored++;
        sp_sagas_add_ignored(sagas, saga->id, event->position, reason);
    }
}

static void ignore_ended(struct sp_sagas *sagas, const uint8_t id[16],
                         const struct sp_event *event) {
    struct sp_saga_ended *ended = sp_sagas_find_ended(sagas, id);
    if (ended != NULL && ended->ignored < SP_SAGA_IGNORED_MAX) {
        ended->ignored++;
        sp_sagas_add_ignored(sagas, id, event->position, SP_IGNORED_LATE);
    }
}

enum answer { ANSWER_NONE, ANSWER_COMPLETED, ANSWER_FAILED };

/* Whether the type is an answer to a command of this type. */
static enum answer read_type(sp_str type, sp_str action) {
    if (!sp_str_starts_with(type, action)) {
        return ANSWER_NONE;
    }
    sp_str rest = sp_str_from_byte(type, action.len);
    if (sp_str_eq(rest, SP_STR(".completed"))) {
        return ANSWER_COMPLETED;
    }
    return sp_str_eq(rest, SP_STR(".failed")) ? ANSWER_FAILED : ANSWER_NONE;
}

/* Without a step nobody knows its type: what looks like an answer is one. */
static bool looks_like_answer(sp_str type) {
    return sp_str_ends_with(type, SP_STR(".completed")) ||
           sp_str_ends_with(type, SP_STR(".failed"));
}

/* Why an answer to an attempt that is not waited for has no effect. */
static enum sp_ignored_reason why_not(uint32_t attempt, uint32_t newest, uint64_t answer) {
    if (attempt > newest) {
        return SP_IGNORED_WRONG_ATTEMPT;
    }
    return attempt == newest && answer != 0 ? SP_IGNORED_DUPLICATE : SP_IGNORED_LATE;
}

static void answer_forward(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at,
                           const struct sp_command_id *id, const struct sp_event *event,
                           enum answer answer) {
    struct sp_act *act = &saga->acts[at];
    bool waits = act->state == SP_ACT_RUNNING || act->state == SP_ACT_CANCELLING;
    if (!waits || id->attempt != act->attempt) {
        bool has_come = (act->flags & SP_ACT_IS_INHERITED) == 0;
        ignore(sagas, saga, event, why_not(id->attempt, act->attempt, has_come ? act->result : 0));
        return;
    }
    act->result = event->position;
    act->flags &= (uint8_t)~SP_ACT_IS_OK;
    act->flags |= answer == ANSWER_COMPLETED ? SP_ACT_IS_OK : 0;
    sp_act_move(sagas, saga, at, SP_ACT_ANSWERED);
}

static void answer_undo(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at,
                        const struct sp_command_id *id, const struct sp_event *event,
                        enum answer answer) {
    struct sp_act *act = &saga->acts[at];
    if (act->state != SP_ACT_UNDO_RUNNING || id->attempt != act->undo_attempt) {
        ignore(sagas, saga, event, why_not(id->attempt, act->undo_attempt, act->undo_answer));
        return;
    }
    act->undo_answer = event->position;
    act->flags &= (uint8_t)~SP_ACT_IS_OK;
    act->flags |= answer == ANSWER_COMPLETED ? SP_ACT_IS_OK : 0;
    sp_act_move(sagas, saga, at, SP_ACT_UNDO_ANSWERED);
}

void sp_sagas_fold_answer(struct sp_sagas *sagas, const struct sp_event *event) {
    struct sp_command_id id;
    sp_str type = event->attr[SP_ATTR_TYPE];
    if (!sp_command_id_parse(event->attr[SP_ATTR_CAUSATION], &id) || !looks_like_answer(type)) {
        return;
    }
    struct sp_saga *saga = sp_sagas_get(sagas, id.sagaid);
    if (saga == NULL) {
        ignore_ended(sagas, id.sagaid, event);
        return;
    }
    uint32_t at = sp_saga_find_path(saga, id.path);
    const struct sp_saga_node *node = at == SP_NONE ? NULL : sp_act_node(saga, &saga->acts[at]);
    if (node == NULL || node->kind != SP_SAGA_ACTION ||
        (id.is_undo && node->compensation == NULL)) {
        ignore(sagas, saga, event, SP_IGNORED_UNKNOWN_STEP);
        return;
    }
    enum answer answer = read_type(type, id.is_undo ? node->compensation->action : node->action);
    if (answer == ANSWER_NONE) {
        return; /* something else that the command led to */
    }
    if (id.is_undo) {
        answer_undo(sagas, saga, at, &id, event, answer);
    } else {
        answer_forward(sagas, saga, at, &id, event, answer);
    }
}

/* ---- decisions ---- */

void sp_act_rules(const struct sp_saga *saga, const struct sp_act *act,
                  struct sp_approval_rules *ret_rules) {
    const struct sp_saga_approval *approval = sp_act_node(saga, act)->approval;
    *ret_rules = (struct sp_approval_rules){
        .choices = approval->choices.items,
        .choice_count = approval->choices.count,
        .who = approval->who.items,
        .who_count = approval->who.count,
        .escalate_to = approval->escalate_to.items,
        .escalate_to_count = approval->escalate_to.count,
        .deadline_us = act->due_us,
        .is_escalated = (act->flags & SP_ACT_IS_ESCALATED) != 0,
    };
}

static enum sp_ignored_reason reason_of(enum sp_approval_fault fault) {
    switch (fault) {
    case SP_APPROVAL_DUPLICATE:
        return SP_IGNORED_DUPLICATE;
    case SP_APPROVAL_LATE:
        return SP_IGNORED_LATE;
    case SP_APPROVAL_NOT_ALLOWED:
        return SP_IGNORED_NOT_ALLOWED;
    case SP_APPROVAL_UNKNOWN_CHOICE:
        return SP_IGNORED_UNKNOWN_CHOICE;
    case SP_APPROVAL_ACCEPTED:
        break;
    }
    sp_never();
}

static void decide(struct sp_sagas *sagas, struct sp_saga *saga, uint32_t at,
                   const struct sp_event *event) {
    struct sp_approval_rules rules;
    struct sp_approval_verdict verdict;
    struct sp_act *act = &saga->acts[at];
    sp_act_rules(saga, act, &rules);
    sp_buf_reset(&sagas->scratch);
    if (sp_approval_judge(&rules, event, &sagas->scratch, &verdict) != SP_OK) {
        sagas->failed = SP_NO_MEMORY;
        return;
    }
    if (verdict.fault != SP_APPROVAL_ACCEPTED) {
        ignore(sagas, saga, event, reason_of(verdict.fault));
        return;
    }
    act->result = event->position;
    act->flags &= (uint8_t)~SP_ACT_IS_OK;
    act->flags |= verdict.is_granted ? SP_ACT_IS_OK : 0;
    sp_act_move(sagas, saga, at, SP_ACT_ANSWERED);
}

void sp_sagas_fold_decision(struct sp_sagas *sagas, const struct sp_event *event) {
    struct sp_command_id id;
    sp_str target = {.ptr = NULL};
    sp_buf_reset(&sagas->scratch_more);
    if (sp_approval_target(event, &sagas->scratch_more, &target) != SP_OK) {
        sagas->failed = SP_NO_MEMORY;
        return;
    }
    if (!sp_command_id_parse(target, &id) || id.is_undo) {
        return;
    }
    struct sp_saga *saga = sp_sagas_get(sagas, id.sagaid);
    if (saga == NULL) {
        ignore_ended(sagas, id.sagaid, event);
        return;
    }
    uint32_t at = sp_saga_find_path(saga, id.path);
    const struct sp_act *act = at == SP_NONE ? NULL : &saga->acts[at];
    if (act == NULL || sp_act_node(saga, act)->kind != SP_SAGA_APPROVAL) {
        ignore(sagas, saga, event, SP_IGNORED_UNKNOWN_STEP);
    } else if (id.attempt != act->attempt || act->state != SP_ACT_RUNNING) {
        bool was_decided = act->state == SP_ACT_ANSWERED || act->state == SP_ACT_DONE ||
                           act->state == SP_ACT_FAILED;
        ignore(sagas, saga, event,
               was_decided ? why_not(id.attempt, act->attempt, act->result)
                           : SP_IGNORED_NOT_WAITING);
    } else if (saga->phase != SP_SAGA_PHASE_FORWARD) {
        ignore(sagas, saga, event, SP_IGNORED_NOT_WAITING);
    } else {
        decide(sagas, saga, at, event);
    }
}

/* ---- beginning ---- */

static void sort_inherited(struct sp_inheritance *from) {
    /* They come in the order of their paths from whoever made them: this only makes sure. */
    for (uint32_t i = 1; i < from->count; i++) {
        struct sp_inherited item = from->items[i];
        sp_str path = sp_str_of(from->texts + item.offset, item.len);
        uint32_t at = i;
        while (at > 0) {
            const struct sp_inherited *before = &from->items[at - 1];
            if (sp_str_cmp(sp_str_of(from->texts + before->offset, before->len), path) <= 0) {
                break;
            }
            from->items[at] = *before;
            at--;
        }
        from->items[at] = item;
    }
}

struct sp_inheritance *sp_inheritance_new(uint32_t count, uint32_t text_bytes) {
    struct sp_inheritance *from =
        calloc(1, sizeof(*from) + count * sizeof(struct sp_inherited) + text_bytes);
    if (from != NULL) {
        from->items = (struct sp_inherited *)(void *)(from + 1);
        from->texts = (char *)(from->items + count);
    }
    return from;
}

static uint64_t member_number(const struct sp_member *member) {
    uint64_t number = 0;
    if (member->type != SP_TYPE_NUMBER) {
        return 0;
    }
    for (size_t i = 0; i < member->json.len && i < 19; i++) {
        if (member->json.ptr[i] < '0' || member->json.ptr[i] > '9') {
            return 0;
        }
        number = number * 10 + (uint64_t)(member->json.ptr[i] - '0');
    }
    return number;
}

static sp_status read_inherited(struct sp_inheritance *from, sp_str object, uint32_t text_max,
                                struct sp_buf *scratch) {
    struct sp_member members[] = {{.name = "step"},
                                  {.name = "kind"},
                                  {.name = "position"},
                                  {.name = "begun"},
                                  {.name = "number"}};
    sp_buf_reset(scratch);
    if (sp_members_read(object, members, 5, scratch) != SP_OK) {
        return SP_NO_MEMORY;
    }
    sp_str path = sp_member_text(&members[0]);
    sp_str kind = sp_member_text(&members[1]);
    if (path.len == 0 || from->text_bytes + path.len > text_max) {
        return SP_OK;
    }
    struct sp_inherited *item = &from->items[from->count++];
    *item = (struct sp_inherited){.input = member_number(&members[3]),
                                  .result = member_number(&members[2]),
                                  .offset = from->text_bytes,
                                  .len = (uint32_t)path.len,
                                  .number = (uint32_t)member_number(&members[4])};
    item->kind = sp_str_eq(kind, SP_STR("begun"))     ? SP_INHERITED_BEGUN
                 : sp_str_eq(kind, SP_STR("skipped")) ? SP_INHERITED_SKIPPED
                                                      : SP_INHERITED_DONE;
    item->number = item->number > SP_SAGA_ITEMS_MAX ? SP_SAGA_ITEMS_MAX : item->number;
    memcpy(from->texts + from->text_bytes, path.ptr, path.len);
    from->text_bytes += (uint32_t)path.len;
    return SP_OK;
}

/* data.inherited: an array of {step, kind, position, begun, number}. */
static sp_status inherit(struct sp_sagas *sagas, struct sp_saga *saga, sp_str array,
                         uint32_t count) {
    struct sp_json json;
    uint32_t text_max = array.len > UINT32_MAX ? UINT32_MAX : (uint32_t)array.len;
    saga->inheritance = sp_inheritance_new(count, text_max);
    if (saga->inheritance == NULL) {
        return SP_NO_MEMORY;
    }
    sp_json_init(&json, array);
    struct sp_json_token token = sp_json_next(&json);
    if (token.type != SP_JSON_ARRAY) {
        return SP_OK;
    }
    for (token = sp_json_next(&json);
         token.type == SP_JSON_OBJECT && saga->inheritance->count < count;
         token = sp_json_next(&json)) {
        sp_str object = sp_json_skip(&json, token);
        sp_status status = read_inherited(saga->inheritance, object, text_max, &sagas->scratch);
        if (status != SP_OK) {
            return status;
        }
    }
    sort_inherited(saga->inheritance);
    return SP_OK;
}

static sp_status fill(struct sp_sagas *sagas, struct sp_saga *saga, const struct sp_event *event) {
    uint64_t count = sp_saga_number(event, SP_STR("inherited"));
    uint64_t depth = sp_saga_number(event, SP_STR("depth"));
    saga->depth = depth > SP_SAGA_CHAIN_MAX ? SP_SAGA_CHAIN_MAX : (uint32_t)depth;
    saga->started = event->position;
    saga->started_us = event->recorded_us;
    sp_status status =
        sp_saga_set_origin(saga, event->attr[SP_ATTR_CORRELATION], event->attr[SP_ATTR_ID]);
    if (status != SP_OK || count == 0 || count > event->data.len) {
        return status;
    }
    struct sp_member member = {.name = "inherited"};
    sp_buf_reset(&sagas->scratch_more);
    status = sp_members_of(event, &member, 1, &sagas->scratch_more);
    return status == SP_OK && member.type == SP_TYPE_ARRAY
               ? inherit(sagas, saga, member.json, (uint32_t)count)
               : status;
}

void sp_sagas_fold_started(struct sp_sagas *sagas, const struct sp_event *event, sp_str sagaid) {
    uint8_t id[16];
    uint8_t sha256[SP_SHA256_BYTES];
    sp_str definition = sp_saga_extension(event, SP_STR("definition"));
    if (!sp_uuid_pack(sagaid, id) || !sp_sha256_parse(definition, sha256) ||
        sp_sagas_get(sagas, id) != NULL || sp_sagas_find_ended(sagas, id) != NULL) {
        return;
    }
    struct sp_saga_version *version = sp_sagas_version(sagas, sha256);
    struct sp_saga *saga =
        version == NULL || version->definition == NULL ? NULL : sp_sagas_add(sagas, id, version);
    if (saga == NULL) {
        return; /* nobody here knows how it goes */
    }
    if (fill(sagas, saga, event) != SP_OK) {
        sagas->failed = SP_NO_MEMORY;
    }
    sp_act_set_due(sagas, saga, 0, sp_saga_number(event, SP_STR("dueus")));
    sp_sagas_end_start(sagas, sp_saga_number(event, SP_STR("trigger")), definition);
    struct sp_saga_name *name = version->name;
    sp_sagas_queue(sagas, saga);
    sp_sagas_admit(sagas, name);
}
