/*
 * What sim/world_engine*.c share. loop-thread; for these only
 */
#ifndef SIM_WORLD_ENGINE_INT_H
#define SIM_WORLD_ENGINE_INT_H

#include "engine/engine.h"
#include "engine/engine_ops.h"
#include "engine/query.h"
#include "sim/model_engine.h"
#include "sim/world.h"
#include "sim/world_engine.h"

enum { SIM_REMEMBERED = 32 };

struct engine_system;

/* An append that the engine took and has not answered yet. */
struct engine_ticket {
    struct engine_system *sys;
    struct engine_ticket *next;
    struct engine_ticket **link; /* what points here */
    uint32_t count;
    struct sim_prediction prediction;
};

/* An op that the engine took. */
struct engine_op {
    size_t end;           /* of the bytes of all up to it */
    uint64_t groups_hash; /* after it */
    uint64_t gate;        /* it is durable when this has passed */
};

struct engine_ops {
    struct sp_buf bytes;   /* of all ops that are part of the state */
    struct sp_buf decided; /* struct engine_op each */
    size_t acked;          /* so many were said to be durable */
    bool lost;             /* by the last crash some were */
};

struct engine_system {
    struct sim_system base;
    struct sim_world *world;
    struct sp_engine_options options;
    struct sp_engine *engine; /* NULL while closed */
    struct sim_engine_model model;
    struct engine_ticket *tickets;
    struct engine_ops ops;
    bool has_schemas;  /* some are registered in this story, and nothing is trimmed */
    bool may_keep_raw; /* in some lives nothing is sealed: segments wait */
    bool closing;
    bool dying;    /* the disk is dead, or will be in a moment */
    bool dropping; /* the log may forget its oldest events: retention, or a trim */
    struct sim_append_spec remembered[SIM_REMEMBERED]; /* to be tried again */
    uint32_t remembered_count;
    uint32_t large_percent; /* of the events */
    struct sp_cursor *follower;
    struct sim_question followed; /* its `from` moves on */
    uint64_t hash_at_end;         /* of the core when the engine was closed last */
    uint64_t count_at_end;        /* events it had then */
    uint64_t control_at_end;      /* control records */
    uint8_t *data;                /* of one append's events */
};

/* The first event kept; 1 where there is none. */
uint64_t engine_first(struct engine_system *sys);
/* The last durable event. Readers see it even before its append is answered. */
uint64_t engine_last(struct engine_system *sys);

/* True where the engine lives; a failure without a cause is said to be wrong. */
bool engine_alive(struct engine_system *sys);

/* ---- sim/world_engine_check.c ---- */

/* Reads everything, and compares it, the core and the tree with the model. */
void engine_check_all(struct engine_system *sys);

/* Asks something at random, and compares the answer. */
void engine_check_query(struct engine_system *sys);
void engine_check_find(struct engine_system *sys);
void engine_check_runs(struct engine_system *sys);

/* An error while reading needs a reason. True where it has one. */
bool engine_judge(struct engine_system *sys, const char *what, sp_status status,
                  const struct sp_error *error);

/* The texts that a question's query borrows. */
struct sim_question_texts {
    char of[4][SIM_TEXT_SIZE];
    char from[24];
    char until[24];
    sp_str types[1];
};

struct sp_query sim_query_of(const struct sim_engine_model *model,
                             const struct sim_question *question, struct sim_question_texts *texts);

/* ---- sim/world_engine_follow.c ---- */

/* Reads on in the subscription, or begins one. */
void engine_follow(struct engine_system *sys);
void engine_unfollow(struct engine_system *sys);

/* ---- sim/world_engine_ops.c ---- */

void engine_ops_init(struct engine_system *sys);
void engine_ops_fini(struct engine_system *sys);
void engine_ops_step(struct engine_system *sys);
/* Notes what has become durable. */
void engine_ops_note(struct engine_system *sys);
/* After opening: what is there now is what there is. */
void engine_ops_settle(struct engine_system *sys);
/* All that are part of the state. */
sp_str engine_ops_all(const struct engine_system *sys);

/* ---- sim/world_engine_step.c ---- */

bool engine_step(struct engine_system *sys);

#endif
