/*
 * Runs the verification over a folder in memory and keeps what it said.
 */
#ifndef TESTS_UNIT_LOG_VERIFY_HELP_H
#define TESTS_UNIT_LOG_VERIFY_HELP_H

#include "log/raw.h"
#include "log/verify.h"
#include "log_help.h"

enum { SAID_MAX = 64 };

struct said {
    struct sp_verify_finding finding;
    char file[64];
    char text[256];
};

struct verified {
    sp_status status;
    struct sp_error error;
    struct sp_verify_result result;
    struct said said[SAID_MAX];
    size_t count; /* of what was said; the first SAID_MAX are kept */
    uint64_t records;
    uint64_t next_position; /* that the records should go on with; checked by the helper */
    uint64_t segments;
    uint64_t index_bytes;
};

void verify(struct memory_fs *fs, struct verified *ret_verified);

/* Something of that level was said of the file whose events include the position (0: whatever). */
bool said_of(const struct verified *verified, enum sp_verify_level level, const char *file,
             uint64_t position);

/* The finding whose text holds `part`, or NULL. */
const struct said *said_that(const struct verified *verified, const char *part);

/* Writes everything that was said to standard error: a failed test is then readable. */
void print_said(const struct verified *verified);

/*
 * A log of two sealed segments and a raw one, closed in order: blocks of one to three events,
 * control records in some; a snapshot.
 */
struct memory_fs *small_log(void);

enum { SMALL_LOG_BLOCKS = 37 };

/* The number of the wal file that holds the newest segment. */
const char *newest_raw(struct memory_fs *fs);

/* Where block `index` of a raw file lies, counted from 0; 0 where there is none. */
uint64_t block_at(const struct memory_file *file, unsigned index);

/*
 * Computes the checks of a block's header and body again, and those of all that follow, as a
 * forger would.
 */
void reseal_block(struct memory_file *file, uint64_t offset);
void rechain(struct memory_file *file, uint64_t offset);

#endif
