/*
 * A log of any kind with its model, for the conformance cases: opened, filled, reopened, compared.
 */
#ifndef TESTS_CONFORMANCE_LOG_RIG_H
#define TESTS_CONFORMANCE_LOG_RIG_H

#include "log/local.h"
#include "sim/disk.h"
#include "sim/log_memory.h"
#include "sim/model.h"
#include "sim/workload.h"

enum { KIB = 1 << 10, BLOCK_BYTES = 64 * KIB, BODY_BYTES = BLOCK_BYTES - SP_BLOCK_HEADER_BYTES };

enum kind { ON_DISK, ON_SIM, IN_MEMORY };

struct rig {
    enum kind kind;
    char folder[64];
    struct sim_clock virtual_clock;
    struct sim_disk *disk;
    struct sim_log_store *store;
    struct sp_log_local_options options;
    struct sp_log *log;
    struct sp_log_description description;
    struct sim_model model;
    struct sim_workload workload;
    uint64_t recovered_block; /* last one that recovery showed */
    uint32_t recovered_count;
    uint32_t sealed_count;
};

/* One for each kind of log; cmocka's fixtures. */
int rig_set_up_threads(void **state);
int rig_set_up_inline(void **state);
int rig_set_up_sim(void **state);
int rig_set_up_sim_in_flight(void **state);
int rig_set_up_memory(void **state);
int rig_tear_down(void **state);

/* ---- life ---- */

/* Another process on the same folder; the caller destroys it. */
struct sp_fs *rig_mount(struct rig *rig, bool read_only);
/* The local driver on rig->options.fs. */
sp_status rig_open_local(struct rig *rig, struct sp_log **ret_log, struct sp_error *error);
/* Opens and recovers; what is found is at least what was durable, at most what was appended. */
void rig_start(struct rig *rig);
void rig_stop(struct rig *rig);
void rig_restart(struct rig *rig);

/* ---- appending ---- */

/* Polls, compares with the model, and tells the model what is durable. */
struct sp_log_progress rig_progress(struct rig *rig);
void rig_wait_until_ready(struct rig *rig);
void rig_wait_until_durable(struct rig *rig);
/* Appends this body, which lies in the blob; the model forgets it where it is not taken. */
sp_status rig_append_body(struct rig *rig, uint64_t head, sp_str body, struct sp_blob *blob);
/* Appends a random block of at most so many bytes, expecting this head. */
sp_status rig_append_at(struct rig *rig, uint64_t head, size_t size_max);
/* Appends a random block as soon as the log is ready for one. */
void rig_append(struct rig *rig, size_t size_max);
/* Appends so many blocks, and gives the log time to seal on the way. */
void rig_fill(struct rig *rig, int count, size_t size_max);
/* Lets the log seal what is full, and a little longer. */
void rig_settle_down(struct rig *rig);

/* ---- reading ---- */

struct sp_log_reader *rig_new_reader(struct rig *rig);
/* Reads on to the end, comparing; returns the record that comes next. */
uint64_t rig_read_to_end(struct rig *rig, struct sp_log_reader *reader, uint64_t record);
/* Reads all there is: from the first event kept to the last record appended. */
void rig_check_all(struct rig *rig);
void rig_expect_seek(struct rig *rig, struct sp_log_reader *reader, uint64_t position);
sp_status rig_seek_status(struct sp_log_reader *reader, uint64_t position);
/* Asks for every leaf, and compares the root with one computed from them. */
void rig_check_tree(struct rig *rig);
void rig_assert_bounds(struct rig *rig, uint64_t first, uint64_t last);

#endif
