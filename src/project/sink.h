/*
 * Where read models live, and one set of their tables. helper
 *
 * A *sink* is a folder of SQLite files (sqlite.h) or one PostgreSQL database (postgres.h). A
 * *build* is one set of tables of one projection version, with a number; two builds of one
 * projection may be filled side by side. The *current* build of a name is the one that queries see.
 *
 *     sink ─ open ─► build:  begin ─► apply* ─► commit(position) ─► begin …
 *                              ▲         └── wrong ──► rollback ──┘
 *     swap: the build becomes the current one; the one before is retired and later dropped
 *
 * Invariants: effects of events and the position up to which they are applied commit in one
 * transaction: whenever the process dies, a build is the fold of the events up to its position. A
 * swap is one instant: after a crash the old or the new build is current.
 *
 * Threads: a build belongs to one thread at a time, and so does a sink, but builds of one sink may
 * be used by different threads at once, also while the sink itself is. Close builds first.
 */
#ifndef SP_PROJECT_SINK_H
#define SP_PROJECT_SINK_H

#include "project/definition.h"

enum { SP_BUILD_ID_SIZE = 256, SP_BUILD_TEXT_SIZE = SP_ERROR_TEXT_SIZE };

struct sp_build_state {
    char name[SP_PROJECTION_NAME_MAX + 1];
    uint64_t number;
    uint64_t version;
    uint8_t sha256[32]; /* of the projection file */
    uint64_t position;  /* all events up to here were looked at */
    uint64_t applied;   /* of these, events that a clause wanted */
    bool failed;        /* it stopped at an event: */
    uint64_t failed_position;
    char failed_id[SP_BUILD_ID_SIZE]; /* cut where it is longer */
    char failed_text[SP_BUILD_TEXT_SIZE];
    uint64_t started_us;
    uint64_t changed_us; /* of the last commit that changed a row, fail or resume */
    bool current;
    uint64_t retired_us; /* when another build took its place; 0: never */
};

struct sp_sink;
struct sp_build;
struct sp_sql_reader; /* query.h */

/* False ends the list. */
typedef bool sp_sink_build_fn(void *context, const struct sp_build_state *state);

struct sp_sink_ops {
    /* Tells every build that is there. What a crash left half made is removed, and not told. */
    sp_status (*builds)(struct sp_sink *sink, sp_sink_build_fn *each, void *context,
                        struct sp_error *error);
    /*
     * Opens the build of this number, or, where there is none, makes its tables, at position 0: all
     * of it or nothing. Every statement of the definition is checked: SP_INVALID with line and
     * column of the file. SP_CONFLICT where the build is there and was made from another text.
     */
    sp_status (*open)(struct sp_sink *sink, struct sp_definition *definition, uint64_t number,
                      struct sp_build **ret_build, struct sp_error *error);
    /* The build, open or not, becomes the current one of its name. SP_NOT_FOUND. */
    sp_status (*swap)(struct sp_sink *sink, sp_str name, uint64_t number, struct sp_error *error);
    /* Removes a build that nobody has open for writing; one that is not there is fine. */
    sp_status (*drop)(struct sp_sink *sink, sp_str name, uint64_t number, struct sp_error *error);
    /* A connection for queries. Any thread may call it. */
    sp_status (*reader_new)(struct sp_sink *sink, struct sp_sql_reader **ret_reader,
                            struct sp_error *error);
    void (*close)(struct sp_sink *sink);
};

struct sp_sink {
    const struct sp_sink_ops *ops;
};

/*
 * apply, commit: SP_INVALID means that an event cannot be applied, now or ever: its position is in
 * error->offset, the reason in the text. A sink that sends statements ahead may say so late, of an
 * event that was applied earlier in the same batch. After any failure the batch is lost and the
 * caller rolls back; other statuses (SP_IO, SP_NO_SPACE, SP_BUSY …) speak of the sink, not of the
 * event, and the batch may be tried again.
 */
struct sp_build_ops {
    sp_status (*begin)(struct sp_build *build, struct sp_error *error);
    /*
     * Runs the statements of these clauses of the definition, in this order. The event is borrowed
     * for the call.
     */
    sp_status (*apply)(struct sp_build *build, const struct sp_event *event,
                       const uint16_t *clauses, size_t clause_count, struct sp_error *error);
    /* Effects and position in one transaction. Not below the position that is there. */
    sp_status (*commit)(struct sp_build *build, uint64_t position, struct sp_error *error);
    void (*rollback)(struct sp_build *build);
    /* Notes the event that cannot be applied, in a transaction of its own. Outside a batch. */
    sp_status (*fail)(struct sp_build *build, uint64_t position, sp_str id, const char *text,
                      struct sp_error *error);
    /* Takes the note away: the event is tried again. Outside a batch. */
    sp_status (*resume)(struct sp_build *build, struct sp_error *error);
    /* As of the last commit. `current` and `retired_us` are the sink's to tell: not filled in. */
    void (*state)(const struct sp_build *build, struct sp_build_state *ret_state);
    /* A batch that was begun is rolled back. */
    void (*close)(struct sp_build *build);
};

struct sp_build {
    const struct sp_build_ops *ops;
    struct sp_definition *definition; /* a reference */
};

#endif
