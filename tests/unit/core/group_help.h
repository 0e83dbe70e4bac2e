/*
 * What the tests of groups and views share: a core, decisions that are folded in and kept, and the
 * same once more by replaying them and by way of a snapshot.
 */
#ifndef SP_TESTS_GROUP_HELP_H
#define SP_TESTS_GROUP_HELP_H

#include "core_help.h"

struct help_core {
    struct sp_core core;
    struct sp_buf ops;    /* of the decision that is being made */
    struct sp_buf record; /* all that was folded: per control record its length (u32) and ops */
    struct sp_error error;
};

void help_core_init(struct help_core *help);
void help_core_fini(struct help_core *help);

/* Folds what was decided into the core, and keeps it as one control record. */
void help_fold(struct help_core *help);

/* A fresh core into which all control records were folded; events are the caller's. */
void help_replay_ops(const struct help_core *help, struct sp_core *core);

/* Goes on from a snapshot of the state; its hash must be the same. */
void help_reopen(struct help_core *help);

/* Expects that a replay of all control records gives the state of the core, which has no events. */
void help_expect_replay(const struct help_core *help);

/* The id that the tests give an entry at a position: it rises with it. */
static inline struct sp_entry_id help_id(uint64_t position) {
    return (struct sp_entry_id){.ms = 1000 + position / 3, .seq = position % 3};
}

/* A group on the key "k", its cursor at the start. */
const struct sp_group *help_group(struct help_core *help, const char *name);
/* The group again, after a fold. */
const struct sp_group *help_group_again(const struct help_core *help, const char *name);
uint32_t help_consumer(struct help_core *help, const char *group, const char *name,
                       uint64_t now_ms);
void help_policy(struct help_core *help, const char *group, const struct sp_group_policy *policy);

/* Offers the entries behind the cursor up to a position; returns how many were delivered. */
uint32_t help_deliver(struct help_core *help, const char *group, uint32_t consumer, uint64_t until,
                      uint32_t wanted, uint64_t now_ms);
/* Acknowledges one entry. */
size_t help_ack(struct help_core *help, const char *group, uint64_t position);

#endif
