/*
 * What sim/world_saga*.c share. loop-thread; for these only
 */
#ifndef SIM_WORLD_SAGA_INT_H
#define SIM_WORLD_SAGA_INT_H

#include "engine/engine.h"
#include "engine/flows.h"
#include "sim/saga_model.h"
#include "sim/world.h"
#include "sim/world_saga.h"

enum {
    SAGA_PLANS = 2,      /* each costs the compiling of its programs */
    SAGA_SAGAS_MAX = 40, /* of a story */
    SAGA_MAIL_MAX = 4096,
    SAGA_TOLD_MAX = 8192,
    SAGA_JOIN_KEYS = 6,
    SAGA_DELAYED_MAX = 24,
};

/* Something that somebody outside is going to send, again and again until it is acknowledged. */
struct saga_mail {
    uint64_t at_us;
    uint64_t position; /* where it is, not durable yet; 0: not sent, or lost again */
    bool is_done;
    uint32_t number; /* its id is made of it */
    char type[48];
    char cause[160];
    char data[64];
    uint64_t deliver_us; /* 0: at once */
};

/* What was appended, until it is durable: then it must never be missing. */
struct saga_told {
    uint64_t position;
    uint64_t hash; /* of its type, stream and id */
};

struct saga_system {
    struct sim_system base;
    struct sim_world *world;
    struct sp_engine_options options;
    struct sp_engine *engine; /* NULL while closed */
    struct saga_plan plans[SAGA_PLANS];
    struct saga_model *models[SAGA_SAGAS_MAX];
    uint32_t saga_count;
    uint32_t starts; /* asked for so far */
    uint64_t seen;   /* the last durable event that outsiders and the oracle have looked at */
    struct saga_mail *mail;
    uint32_t mail_count;
    uint32_t mail_done; /* all before are done */
    uint64_t hash_at_end;
    uint64_t count_at_end;
    bool peaceful;    /* workers answer at once and well: all is to come to its end */
    bool keeps_all;   /* nothing is dropped from the log in this story */
    uint64_t *hashes; /* of the durable events, by position */
    uint64_t hash_capacity;
    /* what must come of it */
    bool has_join;
    uint32_t join_seen[SAGA_JOIN_KEYS][2];
    uint32_t join_emitted[SAGA_JOIN_KEYS];
    uint64_t ticks;
    uint64_t tick_last_us;
    uint32_t delayed_count;
    uint64_t delayed_due_us[SAGA_DELAYED_MAX];
    uint32_t delayed_came[SAGA_DELAYED_MAX];
};

uint64_t saga_now_us(const struct saga_system *sys);

/* True where the engine lives; a failure without a cause is said to be wrong. */
bool saga_alive(struct saga_system *sys);

/* ---- sim/world_saga_step.c ---- */

bool saga_step_once(struct saga_system *sys);
/* Sends what is due; without faults and with time all of it arrives. */
void saga_send(struct saga_system *sys);
/* When the next of what was not sent yet is due; UINT64_MAX: there is none. */
uint64_t saga_next_mail_us(const struct saga_system *sys);
void saga_turn(struct saga_system *sys);
/* People help every saga that is stuck. */
void saga_help(struct saga_system *sys);
struct saga_mail *saga_post(struct saga_system *sys, uint64_t after_us, const char *type);
/* What workers and people do about a command or a proposal. */
void saga_react(struct saga_system *sys, const struct sp_event *event);

/* ---- sim/world_saga_check.c ---- */

/* Shows the oracle, workers and people what has become durable. */
void saga_look(struct saga_system *sys);
/* Folds the whole log anew, and compares. Everything is durable. */
void saga_check_state(struct saga_system *sys);
/* Where nothing is due: is that so? */
void saga_check_rest(struct saga_system *sys);
/* Nothing is left that somebody waits for. */
bool saga_all_over(const struct saga_system *sys);
/* In the end. */
void saga_check_end(struct saga_system *sys);

#endif
