/*
 * A saga as its tester knows it: the tree of steps with everything decided that a run would find
 * out, and the definition's text made of it. pure
 *
 * It shares no code with the product: what is written here is what the text says. Where a run's
 * course follows from data (which branch holds, how many items, whether `when` is true), the plan
 * knows the outcome, and writes a program and start data that give it.
 *
 * Items of a for_each are steps of the plan of their own, `ship[0]`, `ship[1]` …, each a sequence.
 */
#ifndef SIM_SAGA_PLAN_H
#define SIM_SAGA_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/prng.h"

enum {
    SAGA_STEPS_MAX = 192,
    SAGA_PATH_SIZE = 96,
    SAGA_NAME_SIZE = 24,
    SAGA_NONE = -1,
};

enum saga_step_kind {
    SAGA_SEQUENCE = 0, /* also the saga itself, a nested one, a branch that holds, an item */
    SAGA_PARALLEL,
    SAGA_EACH,
    SAGA_CHOICE, /* its children are those of the branch that holds */
    SAGA_ACTION,
    SAGA_WAIT,  /* for a time */
    SAGA_AWAIT, /* for an event, of type `event.<name>` */
    SAGA_APPROVAL,
    SAGA_EMIT,
};

struct saga_step {
    enum saga_step_kind kind;
    char name[SAGA_NAME_SIZE];
    char path[SAGA_PATH_SIZE];
    int parent;
    int first;
    int next;
    int previous;
    bool is_item;
    bool is_nested; /* a sequence that is a saga of its own */
    bool skipped;   /* its `when` is false */
    /* actions */
    bool compensable;
    bool on_failure; /* compensate_on_failure */
    bool pivot;
    bool irreversible;
    bool at_most_once;
    uint32_t limit; /* attempts; 0: any number */
    uint32_t undo_limit;
    uint64_t timeout_us;
    uint64_t undo_timeout_us;
    uint64_t backoff_us;
    /* others */
    uint32_t concurrency;     /* EACH */
    bool timeout_continues;   /* AWAIT; APPROVAL: on_timeout approve */
    bool timeout_fails;       /* APPROVAL: neither approve nor reject */
    bool rejection_continues; /* APPROVAL */
};

struct saga_plan {
    char name[SAGA_NAME_SIZE];
    int count;
    struct saga_step steps[SAGA_STEPS_MAX]; /* 0: the saga itself */
    uint64_t timeout_us;                    /* of the whole; 0: none */
    bool pauses;                            /* on_failure: pause */
};

/* Begins a plan: the saga itself, with no steps. */
void saga_plan_init(struct saga_plan *plan, const char *name);

/* Adds a step behind its siblings, with everything at its default; paths are made later. */
int saga_plan_add(struct saga_plan *plan, int parent, enum saga_step_kind kind, const char *name);

/* Makes paths and whatever follows from the tree; to be called once when it is whole. */
void saga_plan_finish(struct saga_plan *plan);

/* The step of this path; SAGA_NONE where there is none. */
int saga_plan_find(const struct saga_plan *plan, sp_str path);

/* The definition, which starts by an event of type `go.<name>`, as JSON. */
void saga_plan_write(const struct saga_plan *plan, struct sp_buf *to);

/* The start data with which it goes as planned. */
void saga_plan_write_data(const struct saga_plan *plan, struct sp_buf *to);

/* One of any kind, by the generator: up to `steps_max` leaves. */
void saga_plan_random(struct saga_plan *plan, const char *name, struct sp_prng *prng,
                      uint32_t steps_max);

#endif
