/*
 * The engine's driver of flows, within src/engine. See flows.h.
 *
 * A turn takes some works, asks what their programs are to see, runs the programs, and then lets
 * each act, in order: its events are appended at once, and what apply makes of them is the state
 * for the next act. What the log has no room for is given back and comes again with the next turn.
 *
 * While a command is being decided (sp_bus_bar) nothing is done: what it read stays true. When the
 * barrier is lifted flows have a turn before it can be let down again, so that commands, one after
 * the other, never keep them waiting for ever.
 */
#ifndef SP_ENGINE_FLOWS_INT_H
#define SP_ENGINE_FLOWS_INT_H

#include "engine/engine_int.h"
#include "engine/flows.h"
#include "flow/delayed.h"
#include "flow/flow.h"
#include "jq/jq.h"

enum {
    FLOWS_BATCH = 64,       /* works whose programs run together */
    FLOWS_TURN_WORKS = 256, /* of one turn */
    FLOWS_TURN_US = 2000,   /* and no longer than about so */
    FLOWS_PROGRAMS_MAX = 512,
    FLOWS_WAIT_MS_MAX = 60000,
    FLOWS_ASKS_BYTES_MAX = 64 << 20,
    FLOWS_PAUSE_US = 100000, /* where no process for programs is to be had */
    FLOWS_NO_ROOM_MS =
        10, /* where the log takes nothing: room is being made, or the disk is full */
    FLOWS_IDLE_US = 1000,
    FLOWS_PAUSES_MAX = 50, /* in a row: then it is the program's failure */
};

/* A program that is compiled already. */
struct flow_program {
    sp_str text; /* owned; a NULL ptr: the place is free */
    uint64_t hash;
    uint64_t used; /* when it was used last, in counts of uses */
    struct sp_jq_program *program;
};

/* A piece of work on its way from next to act. */
struct flow_item {
    struct sp_flow_work work;
    struct sp_jq_program *program; /* NULL: none */
    bool over;                     /* there is nothing to be done for it any more */
    bool again;                    /* its program could not be run for now */
    size_t ask_offset;             /* in asks */
    size_t ask_len;
    sp_status status;     /* of its answer */
    size_t answer_offset; /* in answers: the value, or the error's text */
    size_t answer_len;
};

struct engine_flows {
    struct sp_engine *engine;
    struct sp_flow *flow;
    bool on;                 /* does its work */
    bool barred;             /* a command is being decided */
    bool working;            /* within a turn of works */
    uint64_t pause_until_us; /* by the wall; 0: there is none */
    uint64_t idle_until_us;  /* what was due was not: until then, or the next event */
    uint64_t now_us;         /* within a turn of works: the clock, read for each batch */
    uint32_t pauses;         /* in a row */

    /* The parts, for looks and checks. */
    struct sp_sagas *sagas;
    struct sp_approvals *approvals;
    struct sp_joins *joins;
    struct sp_schedules *schedules;
    struct sp_delayed *delayed;

    struct sp_flow_ports ports;
    struct sp_event read_event; /* that a part reads */
    char read_scratch[SP_RECORD_SCRATCH_BYTES];

    struct sp_flow_out out;
    struct sp_flow_out delay_out;                   /* of an event that is to come later */
    struct sp_event events[SP_FLOW_OUT_EVENTS_MAX]; /* of one act */
    struct sp_engine_result results[SP_FLOW_OUT_EVENTS_MAX];
    struct flow_item items[FLOWS_BATCH];
    struct sp_buf asks;
    struct sp_buf answers;
    struct sp_prng random;

    struct sp_jq *jq; /* made when the first program is needed */
    struct flow_program *programs;
    uint32_t program_count;
    uint64_t program_uses;
    struct sp_htab program_table;

    struct sp_flow_stats stats;
};

/* ---- flows.c; see also engine_int.h ---- */
/* Whether the log takes what works would append. */
bool engine_flows_have_room(const struct sp_engine *engine);
/* Makes a fresh id and random number, as acts are given them. */
void engine_flows_now(struct engine_flows *flows, struct sp_flow_now *ret_now);
/* Appends what is in `out`, all of it together. ret_results: flows->results. */
SP_WARN_UNUSED sp_status engine_flows_append(struct engine_flows *flows, struct sp_error *error);

/* ---- flows_ask.c ---- */
/* Members of a JSON object that is being written, whose opening brace is there. */
void flows_add_json(struct sp_buf *to, const char *name, sp_str json);
void flows_add_text(struct sp_buf *to, const char *name, sp_str text);
/* Texts from outside: UTF-8, at most SP_FLOW_TEXT_BYTES_MAX. */
SP_WARN_UNUSED sp_status flows_check_text(const char *name, sp_str text, struct sp_error *error);
/* JSON from outside, or nothing. */
SP_WARN_UNUSED sp_status flows_check_json(const char *name, sp_str json, struct sp_error *error);
/* Appends what begins a saga, or finds the one that was begun by its key. */
SP_WARN_UNUSED sp_status flows_append_start(struct engine_flows *flows,
                                            struct sp_engine_saga_started *ret_started,
                                            struct sp_error *error);

/* ---- flows_jq.c ---- */
/* The compiled program of a text; borrowed until the next call. SP_INVALID, SP_LIMIT, SP_IO. */
SP_WARN_UNUSED sp_status flows_program(struct engine_flows *flows, sp_str text,
                                       struct sp_jq_program **ret_program, struct sp_error *error);
/* Runs the programs of items, and writes what they say to their answers. */
void flows_run_programs(struct engine_flows *flows, uint32_t count);
void flows_programs_free(struct engine_flows *flows);

#endif
