/*
 * Signs of life, holders, and what happens to those who give none: nothing of it is stored but the
 * suspicion that follows.
 *
 * A timer stands at the earliest time at which the agent may have been silent for too long, as it
 * was known when the timer was set. When it fires it looks at what is known now.
 */
#include <stdlib.h>

#include "core/presence_int.h"

/* When the agent is to be looked at next, if nothing comes from it. */
static uint64_t deadline_ms(const struct sp_presence *presence, const struct sp_agent *agent) {
    const struct sp_presence_limits *limits = &presence->limits;
    uint64_t silence = agent->stale || limits->stale_ms > limits->suspect_ms ? limits->suspect_ms
                                                                             : limits->stale_ms;
    uint64_t at = agent->seen_ms + silence;
    if (agent->lost_ms != 0 && agent->lost_ms + limits->grace_ms < at) {
        at = agent->lost_ms + limits->grace_ms;
    }
    return at == 0 ? 1 : at; /* 0 is never */
}

sp_status sp_agent_set_timer(struct sp_presence *presence, struct sp_agent *agent) {
    uint64_t at = agent->status == SP_AGENT_ONLINE ? deadline_ms(presence, agent) : 0;
    return sp_heap_set(&presence->timers, &agent->timer, at);
}

/* Moves a timer that is set: no room is needed. */
static void move_timer(struct sp_presence *presence, struct sp_agent *agent) {
    if (agent->timer.at != 0) {
        sp_status status = sp_agent_set_timer(presence, agent);
        sp_ensure(status == SP_OK);
    }
}

static void set_stale(struct sp_presence *presence, struct sp_agent *agent, bool stale) {
    if (agent->stale != stale) {
        agent->stale = stale;
        presence->stale_count += stale ? 1 : UINT32_MAX; /* one fewer */
        sp_agent_settle_free(agent);
    }
}

/* ---- holders ---- */

static void hold_unlink(struct sp_agent_hold *hold) {
    *(hold->before != NULL ? &hold->before->next : &hold->holder->first) = hold->next;
    if (hold->next != NULL) {
        hold->next->before = hold->before;
    }
}

static void drop_holds(struct sp_agent *agent) {
    while (agent->holds != NULL) {
        struct sp_agent_hold *hold = agent->holds;
        agent->holds = hold->next_of_agent;
        hold_unlink(hold);
        free(hold);
    }
}

sp_status sp_presence_hold(struct sp_agent *agent, struct sp_agent_holder *holder) {
    uint32_t count = 0;
    for (const struct sp_agent_hold *at = agent->holds; at != NULL; at = at->next_of_agent) {
        if (at->holder == holder) {
            return SP_OK;
        }
        count++;
    }
    if (count >= SP_AGENT_HOLDS_MAX) {
        return SP_OK;
    }
    struct sp_agent_hold *hold = malloc(sizeof(*hold));
    if (hold == NULL) {
        return SP_NO_MEMORY;
    }
    *hold = (struct sp_agent_hold){
        .agent = agent, .holder = holder, .next_of_agent = agent->holds, .next = holder->first};
    if (holder->first != NULL) {
        holder->first->before = hold;
    }
    holder->first = hold;
    agent->holds = hold;
    return SP_OK;
}

bool sp_agent_is_held(const struct sp_agent *agent) {
    return agent->holds != NULL;
}

void sp_presence_let_go(struct sp_presence *presence, struct sp_agent_holder *holder, bool lost) {
    while (holder->first != NULL) {
        struct sp_agent_hold *hold = holder->first;
        struct sp_agent *agent = hold->agent;
        struct sp_agent_hold **at = &agent->holds;
        while (*at != hold) {
            at = &(*at)->next_of_agent;
        }
        *at = hold->next_of_agent;
        hold_unlink(hold);
        free(hold);
        if (lost && agent->holds == NULL && agent->status == SP_AGENT_ONLINE) {
            agent->lost_ms = presence->live_ms;
            move_timer(presence, agent);
        }
    }
}

/* ---- signs of life ---- */

void sp_presence_tell(struct sp_presence *presence, uint64_t live_ms, uint64_t wall_ms) {
    uint64_t now_ms = live_ms == 0 ? 1 : live_ms; /* 0 is never */
    presence->live_ms = now_ms > presence->live_ms ? now_ms : presence->live_ms;
    presence->wall_ms = wall_ms;
}

void sp_presence_sign(struct sp_presence *presence, struct sp_agent *agent) {
    if (agent->status == SP_AGENT_OFFLINE) {
        return;
    }
    if (agent->status == SP_AGENT_SUSPECTED) {
        struct sp_agent_list *list = &presence->revived;
        if (!agent->revived) { /* when it was seen before is part of the suspicion */
            agent->revived = true;
            agent->next_revived = NULL;
            agent->before_revived = list->last;
            *(list->last != NULL ? &list->last->next_revived : &list->first) = agent;
            list->last = agent;
            list->count++;
        }
        return;
    }
    agent->seen_ms = presence->live_ms;
    agent->last_ms = presence->wall_ms;
    agent->lost_ms = 0;
    if (agent->stale) {
        set_stale(presence, agent, false);
        move_timer(presence, agent);
    }
}

void sp_presence_sign_event(struct sp_presence *presence, struct sp_agent *agent) {
    agent->event_ms = presence->wall_ms;
    sp_presence_sign(presence, agent);
}

void sp_presence_load(struct sp_presence *presence, struct sp_agent *agent, uint32_t load) {
    (void)presence;
    agent->load = load;
    sp_agent_settle_free(agent);
}

void sp_agent_stop(struct sp_presence *presence, struct sp_agent *agent, bool holders) {
    sp_status status = sp_heap_set(&presence->timers, &agent->timer, 0);
    sp_ensure(status == SP_OK); /* out never fails */
    set_stale(presence, agent, false);
    agent->lost_ms = 0;
    if (holders) {
        drop_holds(agent);
    }
}

/* ---- time ---- */

void sp_presence_open(struct sp_presence *presence) {
    struct sp_agent *agent = presence->by_status[SP_AGENT_ONLINE].first;
    for (; agent != NULL; agent = agent->next) {
        agent->seen_ms = presence->live_ms;
        agent->last_ms = presence->wall_ms;
        agent->lost_ms = 0;
        set_stale(presence, agent, false);
        move_timer(presence, agent);
    }
}

void sp_presence_set_limits(struct sp_presence *presence, const struct sp_presence_limits *limits) {
    presence->limits = *limits;
    struct sp_agent *agent = presence->by_status[SP_AGENT_ONLINE].first;
    for (; agent != NULL; agent = agent->next) {
        set_stale(presence, agent, false); /* the timer finds out anew */
        move_timer(presence, agent);
    }
}

/* Looks at an agent whose timer fired. True where it is to be suspected. */
static bool has_failed(struct sp_presence *presence, struct sp_agent *agent,
                       enum sp_agent_reason *ret_reason) {
    uint64_t now_ms = presence->live_ms;
    const struct sp_presence_limits *limits = &presence->limits;
    if (agent->lost_ms != 0 && now_ms >= agent->lost_ms + limits->grace_ms) {
        *ret_reason = SP_AGENT_CONNECTION_LOST;
        return true;
    }
    if (now_ms >= agent->seen_ms + limits->suspect_ms) {
        *ret_reason = SP_AGENT_SILENT;
        return true;
    }
    if (now_ms >= agent->seen_ms + limits->stale_ms) {
        set_stale(presence, agent, true);
    }
    return false;
}

struct sp_agent *sp_presence_due(struct sp_presence *presence, enum sp_agent_reason *ret_reason) {
    struct sp_heap_item *top = sp_heap_top(&presence->timers);
    while (top != NULL && top->at <= presence->live_ms) {
        struct sp_agent *agent = (struct sp_agent *)top;
        if (has_failed(presence, agent, ret_reason)) {
            return agent;
        }
        move_timer(presence, agent);
        top = sp_heap_top(&presence->timers);
    }
    return NULL;
}

struct sp_agent *sp_presence_revived(const struct sp_presence *presence) {
    return presence->revived.first;
}

uint64_t sp_presence_next(const struct sp_presence *presence) {
    const struct sp_heap_item *top = sp_heap_top(&presence->timers);
    return top == NULL ? 0 : top->at;
}
