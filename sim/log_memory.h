/*
 * A log in memory behind the table of log/log.h: it stands for one that is kept elsewhere.
 * loop-thread
 *
 * The store is what several openers share, as they would share a table or a stream on another
 * machine; it outlives them. Appends complete later, in order, after as many polls as the
 * generator says. The compare is made when an append arrives: a second opener takes the log over,
 * and what the first one then appends fails, which it learns by SP_FENCED. What was not complete
 * when its opener was dropped may be there or not, in order, by the seed.
 *
 * Invariants: blocks are dense and chained; a block is durable as a whole or not there. No
 * segments: nothing is sealed, all blocks are shown to `recover`, trimming goes by whole blocks.
 */
#ifndef SIM_LOG_MEMORY_H
#define SIM_LOG_MEMORY_H

#include "log/log.h"

struct sim_log_store;

struct sim_log_store_options {
    uint64_t seed;
    uint32_t block_bytes_max; /* 0: 1 MiB */
    uint32_t polls_max;       /* a block takes up to so many polls to be durable; 0: 3 */
};

struct sim_log_store *sim_log_store_new(const struct sim_log_store_options *options);

/* No log may be open on it. */
void sim_log_store_free(struct sim_log_store *store);

/* Opens the log of the store, which from now on belongs to this opener and to no earlier one. */
struct sp_log *sim_log_memory_open(struct sim_log_store *store);

/* Lets the opener's process die: like close, but what is in flight arrives or not by the seed. */
void sim_log_memory_abandon(struct sp_log *log);

/* The next append that would complete fails with this status instead, which ends the log. */
void sim_log_store_fail_next(struct sim_log_store *store, sp_status status);

/* Refuses room, as a full device would: `ready` says SP_NO_SPACE until it is given again. */
void sim_log_store_set_full(struct sim_log_store *store, bool full);

#endif
