/*
 * Cases for sagas: a definition, what happens, and what must come of it; played in a rehearsal, so
 * without a store, and with a clock that jumps. docs/sagas-testing.md is the reference of the file.
 * loop-thread
 *
 * A case is played once as it stands, and again with the process dying at every append and coming
 * back: both times the log must be the same, and be as the case says.
 */
#ifndef SP_CLI_SAGA_CASE_H
#define SP_CLI_SAGA_CASE_H

#include "flow/doc.h"
#include "flow/rehearsal.h"

enum { SP_SAGA_CASE_TEXT_SIZE = 1024, SP_SAGA_CASE_DEFINITIONS_MAX = 16 };

/* How the process fares while a case is played. */
enum sp_saga_case_crashes { SP_SAGA_CASE_LIVES, SP_SAGA_CASE_DIES_OFTEN };

struct sp_saga_case {
    const struct sp_doc_node *node; /* the case */
    /* What it defines, in this order; the first one is the one that it starts. */
    const struct sp_doc *definitions[SP_SAGA_CASE_DEFINITIONS_MAX];
    uint32_t definition_count;
    enum sp_saga_case_crashes crashes;
    void *context; /* of evaluate */
    sp_status (*evaluate)(void *context, sp_str program, sp_str input, struct sp_buf *to,
                          struct sp_error *error);
};

struct sp_saga_case_result {
    bool passed;
    char text[SP_SAGA_CASE_TEXT_SIZE]; /* what was wrong */
    uint64_t hash;                     /* of the log */
    uint64_t events;
    uint64_t crashes;
    struct sp_buf *log; /* NULL, or where the events are told, a line of JSON each */
};

/*
 * Plays it. SP_INVALID: the case itself makes no sense, and the error says what; everything else
 * that goes wrong is in the result.
 */
SP_WARN_UNUSED sp_status sp_saga_case_play(const struct sp_saga_case *played,
                                           struct sp_saga_case_result *result,
                                           struct sp_error *error);

/* ---- what must have come (saga_case_match.c) ------------------------------------------------- */

struct sp_saga_seen {
    struct sp_rehearsal *rehearsal;
    uint64_t from; /* the first position that counts */
    sp_str sagaid; /* stands for {saga} in what is expected */
    sp_str status; /* of the first saga */
};

/* Holds `then` against the log. True: it is as expected; otherwise `text` says what is not. */
bool sp_saga_case_match(const struct sp_doc_node *then, const struct sp_saga_seen *seen, char *text,
                        size_t size);

/* Whether a value is as expected: of objects, what is expected must be there; more may be. */
bool sp_saga_case_covers(const struct sp_doc_node *expected, sp_str json, sp_str sagaid);

#endif
