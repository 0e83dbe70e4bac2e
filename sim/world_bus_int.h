/*
 * What sim/world_bus*.c share. loop-thread; for these only
 */
#ifndef SIM_WORLD_BUS_INT_H
#define SIM_WORLD_BUS_INT_H

#include "engine/bus_agents.h"
#include "engine/bus_groups.h"
#include "engine/query.h"
#include "sim/bus_model.h"
#include "sim/world.h"
#include "sim/world_bus.h"

enum { BUS_BOUNDARIES = 16, BUS_SUBSCRIBERS = 3, BUS_GIVEN_MAX = 600, BUS_HOLDERS = 2 };

/* What must be found where the log ends with a block. */
struct bus_boundary {
    bool known;
    uint64_t block;
    uint64_t hash; /* of the core */
    struct bus_model model;
};

/* Events of the store's own, as they are counted within a call. */
enum bus_told {
    BUS_TOLD_CREATED,
    BUS_TOLD_MOVED,
    BUS_TOLD_POLICY,
    BUS_TOLD_DROPPED,
    BUS_TOLD_FAILED,
    BUS_TOLD_DEAD,
    BUS_TOLD_REDRIVEN,
    BUS_TOLD_DISCARDED,
    BUS_TOLD_TRIMMED,
    BUS_TOLD_HIDDEN,
    BUS_TOLD_DELETED,
    BUS_TOLD_EXPIRED,
    BUS_TOLD_RENAMED,
    BUS_TOLD_SUSPECTED,
    BUS_TOLD_RECOVERED,
    BUS_TOLD_COUNT,
};

/* Why an entry may fail now. */
enum bus_cause { BUS_CAUSE_NONE, BUS_CAUSE_TIME, BUS_CAUSE_NACK, BUS_CAUSE_LEAVE };

/* A call that is being made. */
struct bus_call {
    const char *what;
    uint64_t head; /* block */
    uint64_t position;
    uint64_t hash; /* of the core, before */
    uint64_t from_ms;
    uint64_t live_from_ms; /* the same by the clock that nobody sets */
    uint64_t until_ms;
    bool copied;   /* `before` is what was before */
    bool lazy;     /* it needs no gate */
    bool in_parts; /* a part of it may have happened though it was refused */
    uint32_t told[BUS_TOLD_COUNT];
    enum bus_cause cause;
    uint32_t cause_group;
    uint32_t cause_consumer;
    uint64_t cause_position;
    struct sp_bus_nack nack;
    uint8_t agent_facts; /* that an agent says */
};

/* What a consumer was given. */
struct bus_given {
    uint64_t position; /* 0: the event is gone */
    struct sp_entry_id id;
    uint32_t count;
};

struct bus_subscriber {
    bool used;
    bool live;
    uint32_t pattern;
    uint64_t next;
    struct sp_cursor *cursor;
};

/* What the store keeps of an agent in memory only, as far as it can be known. */
struct bus_life {
    uint64_t seen_from_ms; /* its last sign of life came between these two */
    uint64_t seen_until_ms;
    bool held[BUS_HOLDERS];
    bool lost;             /* all its connections are gone, */
    uint64_t lost_from_ms; /* between these two */
    uint64_t lost_until_ms;
    bool may_recover;  /* suspected: it may have given a sign of life */
    bool must_recover; /* it has */
    uint32_t load;
};

struct bus_system {
    struct sim_system base;
    struct sim_world *world;
    struct sp_engine_options options;
    struct sp_engine *engine; /* NULL while closed */
    struct sp_bus *bus;
    struct bus_log log;
    struct bus_model model;
    struct bus_model before; /* of a call */
    struct bus_boundary boundaries[BUS_BOUNDARIES];
    struct bus_call call;
    uint64_t passed;        /* block that was durable, once */
    uint64_t gate;          /* of the last call that was answered */
    uint64_t gate_calls;    /* and of how many it is the last */
    uint64_t kept_calls;    /* whose gates have passed: they must not be lost */
    uint64_t failed_before; /* reads that failed before this life */
    bool lost;              /* what is in the core cannot be known any more */
    bool trims;             /* the log may forget its oldest events */
    bool held;              /* between begin and end */
    bool large;             /* events */
    bool fills;
    bool tight; /* blocks are filled up, so that calls are refused half way */
    bool draining;
    bool blocked[BUS_GROUPS]; /* somebody waits for the group to have more */
    uint64_t live_next;
    struct bus_subscriber subscribers[BUS_SUBSCRIBERS];
    struct bus_given given[BUS_GIVEN_MAX];
    size_t given_count;
    uint64_t id_number;
    struct bus_life lives[BUS_AGENTS];
    struct sp_agent_holder holders[BUS_HOLDERS];
};

/* ---- world_bus.c ---- */

uint64_t bus_world_now_ms(const struct bus_system *sys);
uint64_t bus_durable(const struct bus_system *sys);
/*
 * The model cannot follow any more: the power is gone, the engine dead, or a read failed. Stop.
 */
bool bus_is_blind(struct bus_system *sys);
bool bus_alive(struct bus_system *sys);
struct sp_key bus_world_key(struct bus_system *sys, uint32_t key);
/* Writes what is decided, as far as the log takes it. */
void bus_poll(struct bus_system *sys);
void bus_tick(struct bus_system *sys);
/* Polls until all is durable. False where that cannot be. */
bool bus_flush(struct bus_system *sys);

/* ---- world_bus_call.c ---- */

void bus_call_begin(struct bus_system *sys, const char *what);
/*
 * What the call has written goes into the model. False where nothing more is to be compared. A
 * status that is not `expected` is wrong, but for those that the world excuses; `ret_done` says
 * whether it was SP_OK.
 */
bool bus_call_returned(struct bus_system *sys, sp_status status, sp_status expected,
                       const struct sp_error *error);
/* So many events of the kind had to be told of. */
void bus_call_told(struct bus_system *sys, enum bus_told kind, uint32_t count);
/* The model is complete again: everything is compared. */
void bus_call_end(struct bus_system *sys);
/* Calls whose gates have passed are there for good. */
void bus_note_passed(struct bus_system *sys);
/* Keeps what must be found where the next block is the last. */
void bus_keep_boundary(struct bus_system *sys);
uint64_t bus_hash_event(const struct sp_event *event);

/* ---- world_bus_check.c ---- */

void bus_compare(struct bus_system *sys);
bool bus_core_has_parked(const struct sp_group *of_core, uint64_t position);
void bus_check_read(struct bus_system *sys);
void bus_check_all(struct bus_system *sys);
void bus_check_info(struct bus_system *sys);
void bus_check_lag(struct bus_system *sys, struct bus_group *group);
void bus_check_keys(struct bus_system *sys);

/* ---- world_bus_stream.c ---- */

bool bus_key_lives(struct bus_system *sys, uint32_t key);
void bus_step_add(struct bus_system *sys);
/* Many at once, until the block is nearly full, or all the way. */
void bus_step_fill(struct bus_system *sys);
void bus_step_append(struct bus_system *sys);
void bus_step_batch(struct bus_system *sys);
void bus_step_trim(struct bus_system *sys);
void bus_step_hide(struct bus_system *sys);
void bus_step_delete(struct bus_system *sys);
void bus_step_expire(struct bus_system *sys);
void bus_step_rename(struct bus_system *sys);
void bus_step_set_id(struct bus_system *sys);

/* ---- world_bus_group.c, world_bus_settle.c ---- */

struct bus_group *bus_pick_group(struct bus_system *sys);
void bus_step_make(struct bus_system *sys);
void bus_step_move(struct bus_system *sys);
void bus_step_drop(struct bus_system *sys);
void bus_step_policy(struct bus_system *sys);
void bus_step_receive(struct bus_system *sys, struct bus_group *group, uint32_t consumer,
                      uint32_t count, bool noack);
void bus_step_history(struct bus_system *sys);
void bus_step_ready(struct bus_system *sys);
void bus_step_ack(struct bus_system *sys, struct bus_group *group, bool all);
void bus_step_nack(struct bus_system *sys);
void bus_step_extend(struct bus_system *sys);
void bus_step_claim(struct bus_system *sys);
void bus_step_autoclaim(struct bus_system *sys, struct bus_group *group, uint64_t idle_ms);
void bus_step_leave(struct bus_system *sys);
void bus_step_consumer(struct bus_system *sys);
void bus_step_dig(struct bus_system *sys, struct bus_group *group, bool redrive, bool all);
/* Entries whose events are gone may have been forgotten by the call: how many were. */
uint32_t bus_forget_gone(struct bus_system *sys, struct bus_group *group);
void bus_see(void *context, const struct sp_event *event, struct sp_entry_id id, uint32_t count);

/* ---- world_presence.c ---- */

uint64_t bus_world_live_ms(const struct bus_system *sys);
/* The bus was opened, not before from_ms by the live clock. */
void bus_agents_open(struct bus_system *sys, uint64_t from_ms);
void bus_step_agent(struct bus_system *sys);
/* An event has come into the log. */
void bus_agents_heard(struct bus_system *sys, const struct sp_event *event);
/* The store tells of an agent. */
void bus_agents_told(struct bus_system *sys, const struct sp_event *event, bool recovered);
void bus_agents_compare(struct bus_system *sys);
/* A tick is over, which was not refused anything. */
void bus_agents_ticked(struct bus_system *sys, int wait_ms);
/* Streams that agents have of their own name; how many exist. */
bool bus_agents_own_stream(sp_str stream);
uint32_t bus_agents_streams(struct bus_system *sys);

/* ---- world_bus_live.c ---- */

void bus_listen_all(struct bus_system *sys);
void bus_step_subscribe(struct bus_system *sys);
void bus_step_follow(struct bus_system *sys);
void bus_end_subscribers(struct bus_system *sys);
void bus_check_subscribers(struct bus_system *sys);

#endif
