#include "flow/approvals_int.h"

#include <stdlib.h>

#include "base/hash.h"
#include "flow/members.h"

sp_status sp_approvals_new(struct sp_approvals **ret_approvals) {
    struct sp_approvals *approvals = calloc(1, sizeof(*approvals));
    struct room *room = calloc(1, sizeof(*room));
    if (approvals == NULL || room == NULL) {
        free(approvals);
        free(room);
        return SP_NO_MEMORY;
    }
    approvals->room = room;
    approvals->free = APPROVAL_NONE;
    approvals->pending = (struct list){.first = APPROVAL_NONE, .last = APPROVAL_NONE};
    approvals->settled = approvals->pending;
    sp_htab_init(&approvals->by_id);
    sp_timers_init(&approvals->timers);
    sp_queue_init(&approvals->queue);
    sp_buf_init(&room->text, SIZE_MAX);
    sp_buf_init(&approvals->scratch, SIZE_MAX);
    sp_buf_init(&approvals->scratch_nested, SIZE_MAX);
    *ret_approvals = approvals;
    return SP_OK;
}

void sp_approvals_free(struct sp_approvals *approvals) {
    if (approvals == NULL) {
        return;
    }
    for (uint32_t i = 0; i < approvals->slot_count; i++) {
        free(approvals->slots[i].bytes);
    }
    free(approvals->slots);
    sp_htab_fini(&approvals->by_id);
    sp_timers_fini(&approvals->timers);
    sp_queue_fini(&approvals->queue);
    sp_buf_fini(&approvals->room->text);
    free(approvals->room);
    sp_buf_fini(&approvals->scratch);
    sp_buf_fini(&approvals->scratch_nested);
    free(approvals);
}

/* ---- slots, lists, texts ---- */

sp_status approval_set_texts(struct approval *approval, const sp_str texts[TEXTS]) {
    size_t size = 1;
    for (uint32_t i = 0; i < TEXTS; i++) {
        size += texts[i].len;
    }
    char *bytes = malloc(size);
    if (bytes == NULL) {
        return SP_NO_MEMORY;
    }
    sp_str kept[TEXTS];
    char *at = bytes;
    for (uint32_t i = 0; i < TEXTS; i++) {
        memcpy(at, texts[i].len == 0 ? "" : texts[i].ptr, texts[i].len);
        kept[i] = sp_str_of(at, texts[i].len);
        at += texts[i].len;
    }
    free(approval->bytes);
    approval->bytes = bytes;
    memcpy(approval->texts, kept, sizeof(kept));
    return SP_OK;
}

sp_status approval_take_slot(struct sp_approvals *approvals, uint32_t *ret_slot) {
    if (approvals->free != APPROVAL_NONE) {
        *ret_slot = approvals->free;
        approvals->free = approvals->slots[approvals->free].next;
        return SP_OK;
    }
    if (approvals->slot_count == approvals->capacity) {
        uint32_t capacity = approvals->capacity == 0 ? 16 : approvals->capacity * 2;
        struct approval *slots = realloc(approvals->slots, capacity * sizeof(*slots));
        if (slots == NULL) {
            return SP_NO_MEMORY;
        }
        approvals->slots = slots;
        approvals->capacity = capacity;
    }
    *ret_slot = approvals->slot_count++;
    approvals->slots[*ret_slot] = (struct approval){.position = 0};
    return SP_OK;
}

static void give_slot(struct sp_approvals *approvals, uint32_t slot) {
    struct approval *approval = &approvals->slots[slot];
    free(approval->bytes);
    *approval = (struct approval){.next = approvals->free};
    approvals->free = slot;
}

void approval_append(struct sp_approvals *approvals, struct list *list, uint32_t slot) {
    struct approval *approval = &approvals->slots[slot];
    approval->next = APPROVAL_NONE;
    approval->previous = list->last;
    if (list->last == APPROVAL_NONE) {
        list->first = slot;
    } else {
        approvals->slots[list->last].next = slot;
    }
    list->last = slot;
    list->count++;
}

static void unlink_slot(struct sp_approvals *approvals, struct list *list, uint32_t slot) {
    const struct approval *approval = &approvals->slots[slot];
    if (approval->previous == APPROVAL_NONE) {
        list->first = approval->next;
    } else {
        approvals->slots[approval->previous].next = approval->next;
    }
    if (approval->next == APPROVAL_NONE) {
        list->last = approval->previous;
    } else {
        approvals->slots[approval->next].previous = approval->previous;
    }
    list->count--;
}

static uint64_t hash_text(sp_str text) {
    return sp_hash(text.ptr, text.len);
}

static bool has_action_id(const struct approval *approval) {
    return approval->texts[TEXT_ACTION_ID].len > 0 &&
           !sp_str_eq(approval->texts[TEXT_ACTION_ID], approval->texts[TEXT_ID]);
}

sp_status approval_index(struct sp_approvals *approvals, uint32_t slot) {
    const struct approval *approval = &approvals->slots[slot];
    sp_status status = sp_htab_add(&approvals->by_id, hash_text(approval->texts[TEXT_ID]), slot);
    if (status == SP_OK && has_action_id(approval)) {
        status = sp_htab_add(&approvals->by_id, hash_text(approval->texts[TEXT_ACTION_ID]), slot);
    }
    return status;
}

static void forget(struct sp_approvals *approvals, struct list *list, uint32_t slot) {
    const struct approval *approval = &approvals->slots[slot];
    sp_htab_remove(&approvals->by_id, hash_text(approval->texts[TEXT_ID]), slot);
    if (has_action_id(approval)) {
        sp_htab_remove(&approvals->by_id, hash_text(approval->texts[TEXT_ACTION_ID]), slot);
    }
    unlink_slot(approvals, list, slot);
    give_slot(approvals, slot);
}

/*
 * The one that is called so: by the id of its event before by its action_id, a pending one before
 * one that is settled, and then the newest.
 */
static uint32_t find(const struct sp_approvals *approvals, sp_str id) {
    uint32_t best = APPROVAL_NONE;
    uint32_t slot = 0;
    uint64_t best_rank = 0;
    struct sp_htab_probe probe = sp_htab_find(&approvals->by_id, hash_text(id));
    while (id.len > 0 && sp_htab_next(&probe, &slot)) {
        const struct approval *approval = &approvals->slots[slot];
        bool is_own = sp_str_eq(approval->texts[TEXT_ID], id);
        if (!is_own && !sp_str_eq(approval->texts[TEXT_ACTION_ID], id)) {
            continue;
        }
        uint64_t rank = approval->position |
                        (approval->state == SP_APPROVAL_PENDING ? UINT64_C(1) << 62 : 0) |
                        (is_own ? UINT64_C(1) << 63 : 0);
        if (best == APPROVAL_NONE || rank > best_rank) {
            best = slot;
            best_rank = rank;
        }
    }
    return best;
}

/* The one of a proposal that stands there. */
uint32_t approval_at(const struct sp_approvals *approvals, sp_str id, uint64_t position) {
    uint32_t slot = 0;
    struct sp_htab_probe probe = sp_htab_find(&approvals->by_id, hash_text(id));
    while (sp_htab_next(&probe, &slot)) {
        if (approvals->slots[slot].position == position) {
            return slot;
        }
    }
    return APPROVAL_NONE;
}

/* ---- time ---- */

/* When something is to be done about it; TIMERS_NEVER. */
static uint64_t time_of(const struct approval *approval) {
    uint64_t at = approval->deadline_us != 0 ? approval->deadline_us : SP_TIMERS_NEVER;
    bool escalates = approval->escalate_us != 0 && !approval->is_escalated;
    return escalates && approval->escalate_us < at ? approval->escalate_us : at;
}

bool approval_is_alive(const void *context, const struct sp_timer *timer) {
    const struct sp_approvals *approvals = context;
    const struct approval *approval = &approvals->slots[timer->b];
    return approval->position == timer->a && approval->state == SP_APPROVAL_PENDING &&
           time_of(approval) == timer->at_us;
}

void approval_arm(struct sp_approvals *approvals, uint32_t slot) {
    const struct approval *approval = &approvals->slots[slot];
    struct sp_timer timer = {.at_us = time_of(approval), .a = approval->position, .b = slot};
    if (approvals->timers.count >= 64 && approvals->timers.count / 2 > approvals->pending.count) {
        sp_timers_keep(&approvals->timers, approval_is_alive, approvals);
    }
    if (timer.at_us != SP_TIMERS_NEVER && sp_timers_arm(&approvals->timers, timer) != SP_OK) {
        approvals->is_short = true;
    }
}

/* ---- fold ---- */

static sp_status tell(struct sp_approvals *approvals, struct sp_queue_item item) {
    if (approvals->queue.live >= SP_APPROVALS_NOTES_MAX && item.kind != WORK_DECIDED) {
        return SP_OK;
    }
    return sp_queue_add(&approvals->queue, item);
}

/* What is asked, from the approval's own texts, as the judge takes it. */
struct sp_approval_rules approval_rules(const struct sp_approvals *approvals,
                                        const struct approval *approval) {
    struct room *room = approvals->room;
    struct sp_approval_rules rules = {
        .choices = room->choices,
        .who = room->who,
        .escalate_to = room->escalate_to,
        .is_escalated = approval->is_escalated,
        .deadline_us = approval->by_time ? 1 : approval->deadline_us,
        .is_decided = approval->state != SP_APPROVAL_PENDING && !approval->by_time,
    };
    const sp_str *texts = approval->texts;
    sp_buf_reset(&room->text);
    /* All room at once: what was read first must not move. */
    (void)sp_buf_reserve(&room->text, texts[TEXT_CHOICES].len + texts[TEXT_WHO].len +
                                          texts[TEXT_ESCALATE_TO].len + 1);
    uint32_t choices = sp_proposal_texts(texts[TEXT_CHOICES], SP_APPROVAL_CHOICE_BYTES_MAX,
                                         room->choices, SP_APPROVAL_CHOICES_MAX, &room->text);
    uint32_t who = sp_proposal_texts(texts[TEXT_WHO], SP_PROPOSAL_ID_BYTES_MAX, room->who,
                                     SP_APPROVAL_WHO_MAX, &room->text);
    uint32_t more = sp_proposal_texts(texts[TEXT_ESCALATE_TO], SP_PROPOSAL_ID_BYTES_MAX,
                                      room->escalate_to, SP_APPROVAL_WHO_MAX, &room->text);
    rules.choice_count = choices == UINT32_MAX ? 0 : choices;
    rules.who_count = who == UINT32_MAX ? 0 : who;
    rules.escalate_to_count = more == UINT32_MAX ? 0 : more;
    return rules;
}

static sp_status open_one(struct sp_approvals *approvals, const struct sp_event *event,
                          const struct sp_proposal *proposal) {
    uint32_t slot = APPROVAL_NONE;
    sp_status status = approval_take_slot(approvals, &slot);
    if (status != SP_OK) {
        return status;
    }
    struct approval *approval = &approvals->slots[slot];
    *approval = (struct approval){
        .position = event->position,
        .since_us = event->recorded_us,
        .deadline_us = proposal->deadline_us,
        .escalate_us = proposal->escalate_us,
        .on_timeout = proposal->on_timeout,
    };
    const sp_str texts[TEXTS] = {
        [TEXT_ID] = event->attr[SP_ATTR_ID],        [TEXT_ACTION_ID] = proposal->action_id,
        [TEXT_PROMPT] = proposal->prompt,           [TEXT_ASKED_BY] = event->attr[SP_ATTR_SOURCE],
        [TEXT_CHOICES] = proposal->choices,         [TEXT_WHO] = proposal->who,
        [TEXT_ESCALATE_TO] = proposal->escalate_to,
    };
    approval_append(approvals, &approvals->pending, slot);
    status = approval_set_texts(approval, texts);
    if (status == SP_OK) {
        status = approval_index(approvals, slot);
        approval_arm(approvals, slot);
    }
    return status;
}

static sp_status on_proposed(struct sp_approvals *approvals, const struct sp_event *event) {
    struct sp_proposal proposal;
    uint32_t same = find(approvals, event->attr[SP_ATTR_ID]);
    enum reason reason = REASON_INVALID;
    sp_status status =
        sp_proposal_read(event, &approvals->scratch, &approvals->scratch_nested, &proposal);
    if (status != SP_OK) {
        return status;
    }
    if (proposal.wrong == NULL && same == APPROVAL_NONE) {
        same = find(approvals, proposal.action_id);
    }
    bool is_same = same != APPROVAL_NONE && approvals->slots[same].state == SP_APPROVAL_PENDING;
    if (proposal.wrong == NULL && !is_same && approvals->pending.count < SP_APPROVALS_MAX) {
        return open_one(approvals, event, &proposal);
    }
    if (proposal.wrong == NULL) {
        reason = is_same ? REASON_SAME_ID : REASON_FULL;
    }
    return tell(approvals,
                (struct sp_queue_item){.kind = WORK_NOT_OPENED, .a = event->position, .b = reason});
}

/* It is pending no more; of those that are over the oldest is forgotten. */
static void settle(struct sp_approvals *approvals, uint32_t slot, enum sp_approval_state state,
                   uint64_t position) {
    struct approval *approval = &approvals->slots[slot];
    approval->state = state;
    approval->settled_position = position;
    unlink_slot(approvals, &approvals->pending, slot);
    approval_append(approvals, &approvals->settled, slot);
    if (approvals->settled.count > SP_APPROVALS_SETTLED_MAX) {
        forget(approvals, &approvals->settled, approvals->settled.first);
    }
}

/* The choice and who made it, among the texts. */
static sp_status set_choice(struct approval *approval, sp_str choice, sp_str by) {
    sp_str texts[TEXTS];
    memcpy(texts, approval->texts, sizeof(texts));
    texts[TEXT_CHOICE] = choice;
    texts[TEXT_BY] = by;
    return approval_set_texts(approval, texts);
}

/* The approval that a decision means, and has not to be the one its causationid is about. */
sp_status approval_target(struct sp_approvals *approvals, const struct sp_event *event,
                          uint32_t *ret_slot) {
    struct sp_event other = *event;
    sp_str id;
    *ret_slot = find(approvals, event->attr[SP_ATTR_CAUSATION]);
    if (*ret_slot != APPROVAL_NONE) {
        return SP_OK;
    }
    other.attr[SP_ATTR_CAUSATION] = (sp_str){.ptr = NULL, .len = 0};
    sp_buf_reset(&approvals->scratch);
    sp_status status = sp_approval_target(&other, &approvals->scratch, &id);
    *ret_slot = status == SP_OK ? find(approvals, id) : APPROVAL_NONE;
    return status;
}

static sp_status on_decision(struct sp_approvals *approvals, const struct sp_event *event) {
    struct sp_approval_verdict verdict;
    uint32_t slot = APPROVAL_NONE;
    sp_status status = approval_target(approvals, event, &slot);
    if (status != SP_OK || slot == APPROVAL_NONE) {
        return status;
    }
    struct approval *approval = &approvals->slots[slot];
    struct sp_approval_rules rules = approval_rules(approvals, approval);
    sp_buf_reset(&approvals->scratch);
    status = sp_approval_judge(&rules, event, &approvals->scratch, &verdict);
    if (status != SP_OK) {
        return status;
    }
    struct sp_queue_item item = {
        .kind = WORK_IGNORED, .a = event->position, .b = verdict.fault, .c = approval->position};
    if (verdict.fault == SP_APPROVAL_ACCEPTED) {
        item.kind = WORK_DECIDED;
        status = set_choice(approval, verdict.choice, verdict.by);
        settle(approvals, slot, verdict.is_granted ? SP_APPROVAL_GRANTED : SP_APPROVAL_REJECTED,
               event->position);
    }
    return status == SP_OK ? tell(approvals, item) : status;
}

static void end_item(struct sp_approvals *approvals, uint32_t kind, uint64_t a, uint64_t c) {
    struct sp_queue_item *item = sp_queue_find(&approvals->queue, kind, a, c);
    if (item != NULL) {
        sp_queue_end(&approvals->queue, item);
    }
}

/* The deadline has passed, and somebody saw to it. */
static sp_status on_time(struct sp_approvals *approvals, const struct sp_event *event,
                         uint64_t proposal, enum sp_approval_state state) {
    struct sp_member members[] = {{.name = "proposal"}, {.name = "choice"}};
    sp_buf_reset(&approvals->scratch);
    sp_status status = sp_members_of(event, members, 2, &approvals->scratch);
    uint32_t slot = approval_at(approvals, sp_member_text(&members[0]), proposal);
    if (status != SP_OK || slot == APPROVAL_NONE ||
        approvals->slots[slot].state != SP_APPROVAL_PENDING) {
        return status;
    }
    struct approval *approval = &approvals->slots[slot];
    if (state == SP_APPROVAL_PENDING) {
        approval->is_escalated = true;
        approval_arm(approvals, slot);
        return SP_OK;
    }
    approval->by_time = true;
    status = set_choice(approval, sp_member_text(&members[1]), SP_STR(""));
    settle(approvals, slot, state, proposal);
    return status;
}

static sp_status on_outcome(struct sp_approvals *approvals, const struct sp_event *event) {
    sp_str type = event->attr[SP_ATTR_TYPE];
    uint64_t proposal = 0;
    uint64_t decision = 0;
    bool is_decided = sp_event_number(event, X_DECISION, &decision);
    if (!sp_event_number(event, X_PROPOSAL, &proposal)) {
        return SP_OK;
    }
    if (sp_str_eq(type, T_IGNORED)) {
        end_item(approvals, is_decided ? WORK_IGNORED : WORK_NOT_OPENED,
                 is_decided ? decision : proposal, is_decided ? proposal : 0);
        return SP_OK;
    }
    bool is_granted = sp_str_eq(type, T_GRANTED);
    if (is_granted || sp_str_eq(type, T_REJECTED)) {
        if (is_decided) {
            end_item(approvals, WORK_DECIDED, decision, proposal);
            return SP_OK;
        }
        return on_time(approvals, event, proposal,
                       is_granted ? SP_APPROVAL_GRANTED : SP_APPROVAL_REJECTED);
    }
    if (sp_str_eq(type, T_EXPIRED)) {
        return on_time(approvals, event, proposal, SP_APPROVAL_EXPIRED);
    }
    return sp_str_eq(type, T_ESCALATED) ? on_time(approvals, event, proposal, SP_APPROVAL_PENDING)
                                        : SP_OK;
}

static sp_status part_apply(void *self, const struct sp_event *event, struct sp_error *error) {
    struct sp_approvals *approvals = self;
    sp_str stream = event->attr[SP_ATTR_STREAM];
    sp_status status = SP_OK;
    if (sp_str_eq(stream, STREAM)) {
        status = on_outcome(approvals, event);
    } else if (sp_str_starts_with(stream, SP_STR("saga:"))) {
        return SP_OK; /* a saga's own */
    } else if (sp_str_eq(event->attr[SP_ATTR_TYPE], T_PROPOSED)) {
        status = on_proposed(approvals, event);
    } else if (sp_approval_is_decision(event)) {
        status = on_decision(approvals, event);
    }
    return status == SP_OK ? SP_OK : sp_error_set(error, status, "approvals");
}

/* ---- work ---- */

static bool next_time(struct sp_approvals *approvals, uint64_t now_us,
                      struct sp_flow_work *ret_work) {
    struct sp_timer timer;
    if (approvals->is_short) {
        approvals->is_short = false;
        approvals->timers.count = 0;
        for (uint32_t at = approvals->pending.first; at != APPROVAL_NONE;
             at = approvals->slots[at].next) {
            approval_arm(approvals, at);
        }
    }
    while (sp_timers_take(&approvals->timers, now_us, &timer)) {
        if (approval_is_alive(approvals, &timer)) {
            *ret_work = (struct sp_flow_work){
                .kind = WORK_TIME, .a = timer.a, .b = timer.b, .c = timer.at_us};
            return true;
        }
    }
    return false;
}

static bool part_next(void *self, uint64_t now_us, struct sp_flow_work *ret_work) {
    struct sp_approvals *approvals = self;
    const struct sp_queue_item *item = sp_queue_next(&approvals->queue);
    if (item != NULL) {
        *ret_work =
            (struct sp_flow_work){.kind = item->kind, .a = item->a, .b = item->b, .c = item->c};
        return true;
    }
    return next_time(approvals, now_us, ret_work);
}

static void part_back(void *self, const struct sp_flow_work *work) {
    struct sp_approvals *approvals = self;
    struct sp_timer timer = {.at_us = work->c, .a = work->a, .b = (uint32_t)work->b};
    if (work->kind != WORK_TIME) {
        sp_queue_back(&approvals->queue, work->kind, work->a, work->c);
    } else if (approval_is_alive(approvals, &timer)) {
        approval_arm(approvals, timer.b);
    }
}

static sp_status part_ask(void *self, const struct sp_flow_work *work,
                          const struct sp_flow_ports *ports, struct sp_buf *to,
                          struct sp_error *error) {
    (void)self;
    (void)work;
    (void)ports;
    (void)to;
    return sp_error_set(error, SP_NOT_FOUND, "approvals have no programs");
}

static uint64_t part_due(const void *self) {
    const struct sp_approvals *approvals = self;
    bool now = approvals->is_short || sp_queue_has_next(&approvals->queue);
    return now ? 0 : sp_timers_due(&approvals->timers);
}

static uint64_t part_oldest(const void *self) {
    const struct sp_approvals *approvals = self;
    const struct sp_queue_item *item;
    uint32_t at = approvals->queue.head;
    uint64_t oldest = approvals->pending.first == APPROVAL_NONE
                          ? UINT64_MAX
                          : approvals->slots[approvals->pending.first].position;
    while ((item = sp_queue_walk(&approvals->queue, &at)) != NULL) {
        uint64_t first = item->c != 0 && item->c < item->a ? item->c : item->a;
        oldest = first < oldest ? first : oldest;
    }
    return oldest;
}

/* ---- lists ---- */

static void fill(const struct approval *approval, struct sp_approval_info *ret_info) {
    const sp_str *texts = approval->texts;
    sp_str none = SP_STR("[]");
    *ret_info = (struct sp_approval_info){
        .state = approval->state,
        .id = texts[TEXT_ID],
        .action_id = texts[TEXT_ACTION_ID],
        .position = approval->position,
        .prompt = texts[TEXT_PROMPT],
        .asked_by = texts[TEXT_ASKED_BY],
        .choices =
            texts[TEXT_CHOICES].len > 0 ? texts[TEXT_CHOICES] : SP_STR("[\"approve\",\"reject\"]"),
        .who = texts[TEXT_WHO].len > 0 ? texts[TEXT_WHO] : none,
        .escalate_to = texts[TEXT_ESCALATE_TO].len > 0 ? texts[TEXT_ESCALATE_TO] : none,
        .since_us = approval->since_us,
        .deadline_us = approval->deadline_us,
        .escalate_us = approval->escalate_us,
        .is_escalated = approval->is_escalated,
        .sagaid = SP_STR(""),
        .saga = SP_STR(""),
        .step = SP_STR(""),
        .settled_position = approval->settled_position,
        .choice = texts[TEXT_CHOICE],
        .by = texts[TEXT_BY],
    };
}

uint32_t sp_approvals_count(const struct sp_approvals *approvals) {
    return approvals->pending.count;
}

bool sp_approvals_next(const struct sp_approvals *approvals, uint64_t *cursor,
                       struct sp_approval_info *ret_info) {
    uint32_t slot = *cursor == 0 ? approvals->pending.first
                                 : approvals->slots[*cursor - 1].next; /* it was told before */
    if (slot == APPROVAL_NONE) {
        return false;
    }
    fill(&approvals->slots[slot], ret_info);
    *cursor = (uint64_t)slot + 1;
    return true;
}

bool sp_approvals_find(const struct sp_approvals *approvals, sp_str id,
                       struct sp_approval_info *ret_info) {
    uint32_t slot = find(approvals, id);
    if (slot != APPROVAL_NONE) {
        fill(&approvals->slots[slot], ret_info);
    }
    return slot != APPROVAL_NONE;
}

bool sp_approvals_rules(const struct sp_approvals *approvals, sp_str id,
                        struct sp_approval_rules *ret_rules) {
    uint32_t slot = find(approvals, id);
    if (slot != APPROVAL_NONE) {
        *ret_rules = approval_rules(approvals, &approvals->slots[slot]);
    }
    return slot != APPROVAL_NONE;
}

const struct sp_flow_part_ops sp_approvals_part = {
    .name = "approvals",
    .apply = part_apply,
    .next = part_next,
    .back = part_back,
    .ask = part_ask,
    .act = approval_act,
    .due = part_due,
    .oldest = part_oldest,
    .hash = approval_hash,
    .encode = approval_encode,
    .restore = approval_restore,
};
