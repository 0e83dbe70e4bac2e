/*
 * Upcasters: jq programs that bring the data of old events up to a newer version of their schema,
 * while they are read. What is stored never changes.
 *
 *     upcasters of order.placed:  1-2, 2-3        event of version 1 ──1-2──► 2 ──2-3──► 3
 *
 * An event's version is its `schemaversion`; one without is of version 1. It is brought to the
 * newest version that can be reached from there, in as few steps as possible. Versions are numbers,
 * or numbers joined by dots (3, 1.10, 2.0.1), and compare so; an upcaster leads upwards, so that
 * every chain ends. What comes out is compared with the schema of that version, where there is one
 * that is enforced.
 *
 * The registry is folded from the events `upcaster.registered` and `upcaster.removed` of the stream
 * `$schemas`, in their order; what is no such event is passed over.
 *
 * Threads: sp_upcast may be called by many at once. Each has a jq worker of its own, which is
 * started by the first event that needs it. The others belong to the thread that turns the engine.
 *
 * Limits: SP_UPCASTERS_MAX; chains of SP_UPCAST_STEPS_MAX; those of jq/jq.h.
 */
#ifndef SP_PROJECT_UPCAST_H
#define SP_PROJECT_UPCAST_H

#include "base/buf.h"
#include "base/error.h"
#include "jq/jq.h"
#include "record/event.h"

enum {
    SP_UPCASTERS_MAX = 2048,
    SP_UPCAST_STEPS_MAX = 64,
    SP_UPCAST_VERSION_BYTES_MAX = 64,
};

#define SP_UPCASTERS_STREAM "$schemas"

struct sp_engine;
struct sp_upcasters;

struct sp_upcaster {
    sp_str type;
    sp_str from;
    sp_str to;
    sp_str program;
    uint64_t position; /* of the event that registered it */
};

/* Whether data fits the schema of this type and version; SP_OK also where there is none. */
typedef sp_status sp_upcast_check_fn(void *context, sp_str type, sp_str version, sp_str data,
                                     struct sp_error *error);

struct sp_upcasters_options {
    struct sp_jq_options jq;
    sp_upcast_check_fn *check; /* any thread; NULL: nothing is compared */
    void *check_context;
};

SP_WARN_UNUSED sp_status sp_upcasters_new(const struct sp_upcasters_options *options,
                                          struct sp_upcasters **ret_upcasters,
                                          struct sp_error *error);

/* No other thread uses them any more. NULL is fine. */
void sp_upcasters_free(struct sp_upcasters *upcasters);

/*
 * Less than 0, 0, more than 0, as versions compare: part by part, numbers as numbers. `1` and `1.0`
 * differ.
 */
int sp_version_compare(sp_str a, sp_str b);

/*
 * ---- the registry
 * --------------------------------------------------------------------------------
 */

/* Takes in one event of the stream. `data` is its JSON. SP_INVALID, SP_LIMIT, SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_upcasters_fold(struct sp_upcasters *upcasters, sp_str event_type,
                                           sp_str data, uint64_t position, struct sp_error *error);

/*
 * Takes in all that are there. From then on results are compared with the engine's schemas, as far
 * as those are enforced.
 */
SP_WARN_UNUSED sp_status sp_upcasters_load(struct sp_upcasters *upcasters, struct sp_engine *engine,
                                           struct sp_error *error);

/* The engine's schemas have changed. SP_NO_MEMORY: those of before stay. */
SP_WARN_UNUSED sp_status sp_upcasters_refresh(struct sp_upcasters *upcasters,
                                              struct sp_error *error);

/* Compares with these schemas from now on, which outlive it: for who folds events himself. */
struct sp_registry;
SP_WARN_UNUSED sp_status sp_upcasters_compare(struct sp_upcasters *upcasters,
                                              const struct sp_registry *registry,
                                              struct sp_error *error);

enum sp_upcaster_outcome {
    SP_UPCASTER_ADDED,
    SP_UPCASTER_REPLACED,
    SP_UPCASTER_UNCHANGED, /* it was there: nothing is appended */
};

/*
 * Checks it, the program compiled, appends the event and takes it in. An unchanged one whose
 * program was refused is appended anew, so that it may try again. SP_INVALID, SP_LIMIT, SP_BUSY and
 * so on as sp_engine_submit.
 */
SP_WARN_UNUSED sp_status sp_upcasters_put(struct sp_upcasters *upcasters, struct sp_engine *engine,
                                          const struct sp_upcaster *upcaster,
                                          enum sp_upcaster_outcome *ret_outcome,
                                          struct sp_error *error);

/*
 * Registers anew, as they are, those whose event lies before a position: retention is to drop it.
 * What stops it may be tried again: SP_BUSY and so on.
 */
SP_WARN_UNUSED sp_status sp_upcasters_retell(struct sp_upcasters *upcasters,
                                             struct sp_engine *engine, uint64_t before,
                                             struct sp_error *error);

/* SP_NOT_FOUND. */
SP_WARN_UNUSED sp_status sp_upcasters_remove(struct sp_upcasters *upcasters,
                                             struct sp_engine *engine, sp_str type, sp_str from,
                                             sp_str to, struct sp_error *error);

/* NULL where there is none. Until the registry changes. */
const struct sp_upcaster *sp_upcasters_find(struct sp_upcasters *upcasters, sp_str type,
                                            sp_str from, sp_str to);

/* In the order of their types, then of their versions. False ends the walk. */
typedef bool sp_upcaster_fn(void *context, const struct sp_upcaster *upcaster);
void sp_upcasters_each(struct sp_upcasters *upcasters, sp_upcaster_fn *each, void *context);

/* Appends it as a JSON object; `program` may be left out. */
void sp_upcaster_to_json(const struct sp_upcaster *upcaster, bool with_program, struct sp_buf *to);

/* `1-2` of a path; false where it is not two versions. */
SP_WARN_UNUSED bool sp_upcaster_split(sp_str text, sp_str *ret_from, sp_str *ret_to);

/*
 * ---- bringing events up
 * --------------------------------------------------------------------------
 */

/*
 * Brings data up. `version`: NULL ptr where the event has none. *ret_changed false: nothing is to
 * be done, and nothing is set. What is returned lasts until the next call of the same thread.
 * SP_INVALID: a program failed, or its result is not what the newer schema says; the error begins
 * with `upcaster FROM-TO: `. SP_TIMEOUT, SP_IO, SP_NO_MEMORY: it could not be run.
 */
SP_WARN_UNUSED sp_status sp_upcast_data(struct sp_upcasters *upcasters, sp_str type, sp_str version,
                                        bool data_is_json, sp_str data, bool *ret_changed,
                                        sp_str *ret_version, sp_str *ret_data,
                                        struct sp_error *error);

/*
 * The same of an event: replaces data and schemaversion. The error names the event as well. Fits
 * the hook of fold.h; the context is the sp_upcasters.
 */
SP_WARN_UNUSED sp_status sp_upcast(void *upcasters, struct sp_event *event, struct sp_error *error);

/*
 * The same without touching the event: *ret_event is the event itself, or `room` where it changed,
 * valid as above.
 */
SP_WARN_UNUSED sp_status sp_upcast_view(struct sp_upcasters *upcasters,
                                        const struct sp_event *event, struct sp_event *room,
                                        const struct sp_event **ret_event, struct sp_error *error);

#endif
