#include "flow/approvals.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/htab.h"
#include "base/put.h"
#include "base/time.h"
#include "event/attributes.h"
#include "flow/members.h"
#include "flow/proposal.h"
#include "flow/queue.h"
#include "flow/timers.h"

#define STREAM      SP_STR("$approvals")
#define T_PROPOSED  SP_STR("action.proposed")
#define T_GRANTED   SP_STR("approval.granted")
#define T_REJECTED  SP_STR("approval.rejected")
#define T_EXPIRED   SP_STR("approval.expired")
#define T_ESCALATED SP_STR("approval.escalated")
#define T_IGNORED   SP_STR("approval.ignored")
#define X_PROPOSAL  SP_STR("proposalposition")
#define X_DECISION  SP_STR("decisionposition")

#define NONE UINT32_MAX

/* Kinds of work: the first three are kinds of items in the queue too. */
enum {
    WORK_DECIDED = 1, /* a: the decision, c: the proposal */
    WORK_IGNORED,     /* a: the decision, b: the reason, c: the proposal */
    WORK_NOT_OPENED,  /* a: the proposal, b: the reason */
    WORK_TIME,        /* a: the proposal, b: its slot, c: the time */
};

enum reason { REASON_INVALID = 64, REASON_SAME_ID, REASON_FULL }; /* above those of the judge */

enum text {
    TEXT_ID,
    TEXT_ACTION_ID,
    TEXT_PROMPT,
    TEXT_ASKED_BY,
    TEXT_CHOICES,
    TEXT_WHO,
    TEXT_ESCALATE_TO,
    TEXT_CHOICE,
    TEXT_BY,
    TEXTS,
};

struct approval {
    uint64_t position; /* of the proposal; 0: a free slot */
    uint64_t since_us;
    uint64_t deadline_us;
    uint64_t escalate_us;
    uint64_t settled_position;
    uint32_t next; /* in its list */
    uint32_t previous;
    enum sp_approval_state state;
    enum sp_proposal_end on_timeout;
    bool is_escalated;
    bool by_time; /* settled by its deadline */
    char *bytes;  /* owned: of the texts */
    sp_str texts[TEXTS];
};

struct list {
    uint32_t first;
    uint32_t last;
    uint32_t count;
};

/* Room for the rules of one approval, as the judge takes them. */
struct room {
    sp_str choices[SP_APPROVAL_CHOICES_MAX];
    sp_str who[SP_APPROVAL_WHO_MAX];
    sp_str escalate_to[SP_APPROVAL_WHO_MAX];
    struct sp_buf text;
};

struct sp_approvals {
    struct approval *slots;
    uint32_t slot_count;
    uint32_t capacity;
    uint32_t free;
    struct list pending; /* in the order of proposal */
    struct list settled; /* in the order of settling */
    struct sp_htab by_id;
    struct sp_timers timers;
    bool is_short;
    struct sp_queue queue;
    struct room *room;
    struct sp_buf scratch;
    struct sp_buf scratch_nested;
};

sp_status sp_approvals_new(struct sp_approvals **ret_approvals) {
    struct sp_approvals *approvals = calloc(1, sizeof(*approvals));
    struct room *room = calloc(1, sizeof(*room));
    if (approvals == NULL || room == NULL) {
        free(approvals);
        free(room);
        return SP_NO_MEMORY;
    }
    approvals->room = room;
    approvals->free = NONE;
    approvals->pending = (struct list){.first = NONE, .last = NONE};
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

static sp_status set_texts(struct approval *approval, const sp_str texts[TEXTS]) {
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

static sp_status take_slot(struct sp_approvals *approvals, uint32_t *ret_slot) {
    if (approvals->free != NONE) {
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

static void append(struct sp_approvals *approvals, struct list *list, uint32_t slot) {
    struct approval *approval = &approvals->slots[slot];
    approval->next = NONE;
    approval->previous = list->last;
    if (list->last == NONE) {
        list->first = slot;
    } else {
        approvals->slots[list->last].next = slot;
    }
    list->last = slot;
    list->count++;
}

static void unlink_slot(struct sp_approvals *approvals, struct list *list, uint32_t slot) {
    const struct approval *approval = &approvals->slots[slot];
    if (approval->previous == NONE) {
        list->first = approval->next;
    } else {
        approvals->slots[approval->previous].next = approval->next;
    }
    if (approval->next == NONE) {
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

static sp_status index_slot(struct sp_approvals *approvals, uint32_t slot) {
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
    uint32_t best = NONE;
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
        if (best == NONE || rank > best_rank) {
            best = slot;
            best_rank = rank;
        }
    }
    return best;
}

/* The one of a proposal that stands there. */
static uint32_t find_at(const struct sp_approvals *approvals, sp_str id, uint64_t position) {
    uint32_t slot = 0;
    struct sp_htab_probe probe = sp_htab_find(&approvals->by_id, hash_text(id));
    while (sp_htab_next(&probe, &slot)) {
        if (approvals->slots[slot].position == position) {
            return slot;
        }
    }
    return NONE;
}

/* ---- time ---- */

/* When something is to be done about it; TIMERS_NEVER. */
static uint64_t time_of(const struct approval *approval) {
    uint64_t at = approval->deadline_us != 0 ? approval->deadline_us : SP_TIMERS_NEVER;
    bool escalates = approval->escalate_us != 0 && !approval->is_escalated;
    return escalates && approval->escalate_us < at ? approval->escalate_us : at;
}

static bool is_alive(const void *context, const struct sp_timer *timer) {
    const struct sp_approvals *approvals = context;
    const struct approval *approval = &approvals->slots[timer->b];
    return approval->position == timer->a && approval->state == SP_APPROVAL_PENDING &&
           time_of(approval) == timer->at_us;
}

static void arm(struct sp_approvals *approvals, uint32_t slot) {
    const struct approval *approval = &approvals->slots[slot];
    struct sp_timer timer = {.at_us = time_of(approval), .a = approval->position, .b = slot};
    if (approvals->timers.count >= 64 && approvals->timers.count / 2 > approvals->pending.count) {
        sp_timers_keep(&approvals->timers, is_alive, approvals);
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
static struct sp_approval_rules rules_of(const struct sp_approvals *approvals,
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
    uint32_t slot = NONE;
    sp_status status = take_slot(approvals, &slot);
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
    append(approvals, &approvals->pending, slot);
    status = set_texts(approval, texts);
    if (status == SP_OK) {
        status = index_slot(approvals, slot);
        arm(approvals, slot);
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
    if (proposal.wrong == NULL && same == NONE) {
        same = find(approvals, proposal.action_id);
    }
    bool is_same = same != NONE && approvals->slots[same].state == SP_APPROVAL_PENDING;
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
    append(approvals, &approvals->settled, slot);
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
    return set_texts(approval, texts);
}

/* The approval that a decision means, and has not to be the one its causationid is about. */
static sp_status find_target(struct sp_approvals *approvals, const struct sp_event *event,
                             uint32_t *ret_slot) {
    struct sp_event other = *event;
    sp_str id;
    *ret_slot = find(approvals, event->attr[SP_ATTR_CAUSATION]);
    if (*ret_slot != NONE) {
        return SP_OK;
    }
    other.attr[SP_ATTR_CAUSATION] = (sp_str){.ptr = NULL, .len = 0};
    sp_buf_reset(&approvals->scratch);
    sp_status status = sp_approval_target(&other, &approvals->scratch, &id);
    *ret_slot = status == SP_OK ? find(approvals, id) : NONE;
    return status;
}

static sp_status on_decision(struct sp_approvals *approvals, const struct sp_event *event) {
    struct sp_approval_verdict verdict;
    uint32_t slot = NONE;
    sp_status status = find_target(approvals, event, &slot);
    if (status != SP_OK || slot == NONE) {
        return status;
    }
    struct approval *approval = &approvals->slots[slot];
    struct sp_approval_rules rules = rules_of(approvals, approval);
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
    uint32_t slot = find_at(approvals, sp_member_text(&members[0]), proposal);
    if (status != SP_OK || slot == NONE || approvals->slots[slot].state != SP_APPROVAL_PENDING) {
        return status;
    }
    struct approval *approval = &approvals->slots[slot];
    if (state == SP_APPROVAL_PENDING) {
        approval->is_escalated = true;
        arm(approvals, slot);
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
        for (uint32_t at = approvals->pending.first; at != NONE; at = approvals->slots[at].next) {
            arm(approvals, at);
        }
    }
    while (sp_timers_take(&approvals->timers, now_us, &timer)) {
        if (is_alive(approvals, &timer)) {
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
    } else if (is_alive(approvals, &timer)) {
        arm(approvals, timer.b);
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

/* The event that tells of a proposal, its data begun. */
static void begin(struct sp_flow_out *out, sp_str type, const struct sp_event *proposal,
                  sp_str cause) {
    sp_flow_out_begin(out, type, STREAM);
    sp_flow_out_attr(out, SP_ATTR_CAUSATION, cause);
    sp_flow_out_attr(out, SP_ATTR_CORRELATION, proposal->attr[SP_ATTR_CORRELATION]);
    sp_flow_out_number(out, X_PROPOSAL, proposal->position);
}

static struct sp_buf *begin_data(struct sp_flow_out *out, sp_str proposal_id) {
    struct sp_buf *data = sp_flow_out_data_begin(out);
    sp_buf_add_byte(data, '{');
    sp_put_text(data, "proposal", proposal_id);
    return data;
}

static void end_data(struct sp_flow_out *out, struct sp_buf *data) {
    sp_buf_add_byte(data, '}');
    sp_flow_out_data_end(out);
}

static sp_status act_decided(struct sp_approvals *approvals, const struct sp_flow_work *work,
                             const struct sp_flow_ports *ports, struct sp_flow_out *out,
                             struct sp_error *error) {
    struct sp_event event;
    struct sp_event proposal;
    struct sp_approval_verdict verdict;
    struct sp_approval_rules rules = {.choices = NULL};
    char id[SP_EVENT_ID_BYTES_MAX];
    sp_status status = ports->read(ports->context, work->c, &proposal, error);
    if (status != SP_OK) {
        return status;
    }
    sp_str proposal_id = proposal.attr[SP_ATTR_ID];
    sp_require(proposal_id.len <= sizeof(id));
    memcpy(id, proposal_id.ptr, proposal_id.len);
    proposal_id.ptr = id;
    uint32_t slot = find_at(approvals, proposal_id, work->c);
    sp_flow_out_begin(out, T_GRANTED, STREAM);
    sp_flow_out_attr(out, SP_ATTR_CORRELATION, proposal.attr[SP_ATTR_CORRELATION]);
    status = ports->read(ports->context, work->a, &event, error);
    if (status != SP_OK) {
        return status;
    }
    /* Judged once more for what it says; whether it counts was decided when it came. */
    sp_buf_reset(&approvals->scratch);
    status = sp_approval_judge(&rules, &event, &approvals->scratch, &verdict);
    if (status != SP_OK) {
        return sp_error_set(error, status, "approvals");
    }
    bool is_known = slot != NONE && approvals->slots[slot].settled_position == work->a;
    const sp_str *texts = is_known ? approvals->slots[slot].texts : NULL;
    if (!sp_str_eq(event.attr[SP_ATTR_TYPE], SP_STR("action.approved"))) {
        sp_flow_out_attr(out, SP_ATTR_TYPE, T_REJECTED);
    }
    sp_flow_out_attr(out, SP_ATTR_CAUSATION, event.attr[SP_ATTR_ID]);
    sp_flow_out_number(out, X_PROPOSAL, work->c);
    sp_flow_out_number(out, X_DECISION, work->a);
    struct sp_buf *data = begin_data(out, proposal_id);
    sp_put_text(data, "action_id", is_known ? texts[TEXT_ACTION_ID] : SP_STR(""));
    sp_put_text(data, "choice", is_known ? texts[TEXT_CHOICE] : verdict.choice);
    sp_put_text(data, "by", verdict.by);
    sp_put_text(data, "reason", verdict.reason);
    sp_put_json(data, "data", verdict.data);
    sp_put_json(data, "on_timeout", SP_STR("false"));
    end_data(out, data);
    return sp_flow_out_status(out);
}

static const char *reason_name(uint32_t reason) {
    switch (reason) {
    case REASON_INVALID:
        return "invalid";
    case REASON_SAME_ID:
        return "same_id";
    case REASON_FULL:
        return "full";
    default:
        return sp_approval_fault_name((enum sp_approval_fault)reason);
    }
}

static sp_status act_ignored(struct sp_approvals *approvals, const struct sp_flow_work *work,
                             const struct sp_flow_ports *ports, struct sp_flow_out *out,
                             struct sp_error *error) {
    struct sp_event event;
    uint32_t slot = NONE;
    sp_status status = ports->read(ports->context, work->a, &event, error);
    status = status == SP_OK ? find_target(approvals, &event, &slot) : status;
    if (status != SP_OK) {
        return status;
    }
    sp_flow_out_begin(out, T_IGNORED, STREAM);
    sp_flow_out_attr(out, SP_ATTR_CAUSATION, event.attr[SP_ATTR_ID]);
    sp_flow_out_attr(out, SP_ATTR_CORRELATION, event.attr[SP_ATTR_CORRELATION]);
    sp_flow_out_number(out, X_PROPOSAL, work->c);
    sp_flow_out_number(out, X_DECISION, work->a);
    bool is_known = slot != NONE && approvals->slots[slot].position == work->c;
    const struct approval *approval = is_known ? &approvals->slots[slot] : NULL;
    struct sp_buf *data = begin_data(out, is_known ? approval->texts[TEXT_ID] : SP_STR(""));
    sp_put_text(data, "decision", event.attr[SP_ATTR_ID]);
    sp_put_text(data, "reason", sp_str_from(reason_name((uint32_t)work->b)));
    if (is_known && approval->texts[TEXT_CHOICE].len > 0) {
        sp_buf_add_str(data, SP_STR(",\"first\":{"));
        sp_put_text(data, "choice", approval->texts[TEXT_CHOICE]);
        sp_put_text(data, "by", approval->texts[TEXT_BY]);
        sp_buf_add_byte(data, '}');
    }
    end_data(out, data);
    return sp_flow_out_status(out);
}

static sp_status act_not_opened(struct sp_approvals *approvals, const struct sp_flow_work *work,
                                const struct sp_flow_ports *ports, struct sp_flow_out *out,
                                struct sp_error *error) {
    struct sp_event event;
    struct sp_proposal proposal;
    sp_status status = ports->read(ports->context, work->a, &event, error);
    if (status == SP_OK) {
        status =
            sp_proposal_read(&event, &approvals->scratch, &approvals->scratch_nested, &proposal);
    }
    if (status != SP_OK) {
        return status;
    }
    begin(out, T_IGNORED, &event, event.attr[SP_ATTR_ID]);
    struct sp_buf *data = begin_data(out, event.attr[SP_ATTR_ID]);
    sp_put_text(data, "reason", sp_str_from(reason_name((uint32_t)work->b)));
    sp_put_text(data, "error", sp_str_from(proposal.wrong));
    end_data(out, data);
    return sp_flow_out_status(out);
}

static sp_status act_time(struct sp_approvals *approvals, const struct sp_flow_work *work,
                          const struct sp_flow_ports *ports, struct sp_flow_out *out,
                          struct sp_error *error) {
    struct sp_timer timer = {.at_us = work->c, .a = work->a, .b = (uint32_t)work->b};
    struct sp_event event;
    if (!is_alive(approvals, &timer)) {
        return sp_error_set(error, SP_NOT_FOUND, "it was decided meanwhile");
    }
    sp_status status = ports->read(ports->context, work->a, &event, error);
    if (status != SP_OK) {
        return status;
    }
    const struct approval *approval = &approvals->slots[timer.b];
    bool is_over = approval->deadline_us == work->c;
    sp_str type = T_ESCALATED;
    sp_str choice = SP_STR("");
    struct sp_approval_rules rules = rules_of(approvals, approval);
    if (is_over && approval->on_timeout == SP_PROPOSAL_EXPIRE) {
        type = T_EXPIRED;
    } else if (is_over) {
        bool grants = approval->on_timeout == SP_PROPOSAL_APPROVE;
        type = grants ? T_GRANTED : T_REJECTED;
        choice = grants ? sp_approval_default_choice(&rules) : SP_STR("reject");
    }
    begin(out, type, &event, event.attr[SP_ATTR_ID]);
    struct sp_buf *data = begin_data(out, approval->texts[TEXT_ID]);
    sp_put_text(data, "action_id", approval->texts[TEXT_ACTION_ID]);
    sp_put_text(data, "choice", choice);
    if (is_over) {
        sp_put_time(data, "deadline", approval->deadline_us);
        sp_put_json(data, "on_timeout", SP_STR("true"));
    } else {
        sp_put_json(data, "to", approval->texts[TEXT_ESCALATE_TO]);
    }
    end_data(out, data);
    return sp_flow_out_status(out);
}

static sp_status part_act(void *self, const struct sp_flow_work *work,
                          const struct sp_flow_now *now, struct sp_flow_out *out,
                          struct sp_error *error) {
    struct sp_approvals *approvals = self;
    if (work->kind == WORK_TIME) {
        return act_time(approvals, work, now->ports, out, error);
    }
    if (sp_queue_find(&approvals->queue, work->kind, work->a, work->c) == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "it is told already");
    }
    switch (work->kind) {
    case WORK_DECIDED:
        return act_decided(approvals, work, now->ports, out, error);
    case WORK_IGNORED:
        return act_ignored(approvals, work, now->ports, out, error);
    case WORK_NOT_OPENED:
        return act_not_opened(approvals, work, now->ports, out, error);
    default:
        sp_never();
    }
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
    uint64_t oldest = approvals->pending.first == NONE
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
    if (slot == NONE) {
        return false;
    }
    fill(&approvals->slots[slot], ret_info);
    *cursor = (uint64_t)slot + 1;
    return true;
}

bool sp_approvals_find(const struct sp_approvals *approvals, sp_str id,
                       struct sp_approval_info *ret_info) {
    uint32_t slot = find(approvals, id);
    if (slot != NONE) {
        fill(&approvals->slots[slot], ret_info);
    }
    return slot != NONE;
}

bool sp_approvals_rules(const struct sp_approvals *approvals, sp_str id,
                        struct sp_approval_rules *ret_rules) {
    uint32_t slot = find(approvals, id);
    if (slot != NONE) {
        *ret_rules = rules_of(approvals, &approvals->slots[slot]);
    }
    return slot != NONE;
}

/* ---- snapshot ---- */

static void encode_list(const struct sp_approvals *approvals, const struct list *list,
                        struct sp_buf *to) {
    sp_add_number(to, list->count);
    for (uint32_t at = list->first; at != NONE; at = approvals->slots[at].next) {
        const struct approval *approval = &approvals->slots[at];
        sp_add_number(to, approval->position);
        sp_add_number(to, approval->since_us);
        sp_add_number(to, approval->deadline_us);
        sp_add_number(to, approval->escalate_us);
        sp_add_number(to, approval->settled_position);
        sp_add_number(to, (uint64_t)approval->state | (uint64_t)approval->on_timeout << 2 |
                              (uint64_t)approval->is_escalated << 4 |
                              (uint64_t)approval->by_time << 5);
        for (uint32_t i = 0; i < TEXTS; i++) {
            sp_add_text(to, approval->texts[i]);
        }
    }
}

static void part_encode(const void *self, struct sp_buf *to) {
    const struct sp_approvals *approvals = self;
    encode_list(approvals, &approvals->pending, to);
    encode_list(approvals, &approvals->settled, to);
    sp_queue_encode(&approvals->queue, to);
}

static uint64_t part_hash(const void *self) {
    struct sp_buf bytes;
    sp_buf_init(&bytes, SIZE_MAX);
    part_encode(self, &bytes);
    uint64_t hash = sp_hash(bytes.data, bytes.len);
    sp_buf_fini(&bytes);
    return hash;
}

static sp_status restore_one(struct sp_approvals *approvals, struct list *list,
                             struct sp_wire *wire) {
    sp_str texts[TEXTS];
    struct approval read = {.position = sp_wire_varint(wire)};
    read.since_us = sp_wire_varint(wire);
    read.deadline_us = sp_wire_varint(wire);
    read.escalate_us = sp_wire_varint(wire);
    read.settled_position = sp_wire_varint(wire);
    uint64_t flags = sp_wire_varint(wire);
    for (uint32_t i = 0; i < TEXTS; i++) {
        texts[i] = sp_wire_lstr(wire);
    }
    bool is_pending = (flags & 3) == SP_APPROVAL_PENDING;
    if (wire->bad || read.position == 0 || flags > 63 || (flags >> 2 & 3) > SP_PROPOSAL_APPROVE ||
        is_pending != (list == &approvals->pending)) {
        return SP_CORRUPT;
    }
    read.state = (enum sp_approval_state)(flags & 3);
    read.on_timeout = (enum sp_proposal_end)(flags >> 2 & 3);
    read.is_escalated = (flags >> 4 & 1) != 0;
    read.by_time = (flags >> 5 & 1) != 0;
    uint32_t slot = NONE;
    sp_status status = take_slot(approvals, &slot);
    if (status != SP_OK) {
        return status;
    }
    approvals->slots[slot] = read;
    append(approvals, list, slot);
    status = set_texts(&approvals->slots[slot], texts);
    if (status == SP_OK) {
        status = index_slot(approvals, slot);
    }
    if (status == SP_OK && is_pending) {
        arm(approvals, slot);
    }
    return status;
}

static sp_status restore_list(struct sp_approvals *approvals, struct list *list, uint32_t max,
                              struct sp_wire *wire) {
    uint64_t count = sp_wire_varint(wire);
    if (wire->bad || count > max) {
        return SP_CORRUPT;
    }
    for (uint64_t i = 0; i < count; i++) {
        sp_status status = restore_one(approvals, list, wire);
        if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

static sp_status part_restore(void *self, struct sp_wire *wire) {
    struct sp_approvals *approvals = self;
    sp_status status = restore_list(approvals, &approvals->pending, SP_APPROVALS_MAX, wire);
    if (status == SP_OK) {
        status = restore_list(approvals, &approvals->settled, SP_APPROVALS_SETTLED_MAX, wire);
    }
    return status == SP_OK ? sp_queue_restore(&approvals->queue, UINT32_MAX, wire) : status;
}

const struct sp_flow_part_ops sp_approvals_part = {
    .name = "approvals",
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
