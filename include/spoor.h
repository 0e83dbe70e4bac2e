/*
 * spoor.h: an embedded event store for what AI agents do.
 *
 * One log holds every event in one order. What an append acknowledged is on stable storage, in
 * order, and visible to every reader and subscriber, and stays so through a crash.
 *
 *     #include <spoor.h>
 *
 *     spoor *store;
 *     spoor_error error;
 *     if (spoor_open("./data", NULL, &store, &error) != SPOOR_OK) { fputs(error.text, stderr); … }
 *     spoor_event event = SPOOR_EVENT_INIT;
 *     event.type = spoor_text("task.completed");
 *     event.source = spoor_text("agent:reviewer");
 *     event.data = spoor_text("{\"ok\": true}");
 *     spoor_append(store, &event, SPOOR_ANY_VERSION, NULL, &error);
 *     spoor_close(store);
 *
 * Rules that hold everywhere:
 * - Text is UTF-8, as pointer and length, and need not end in a NUL. A NULL pointer means absent.
 * - What a call is given stays the caller's; it may be freed when the call returns.
 * - What a call gives (const pointers) stays the library's, for as long as its description says.
 * - Every function that can fail returns a spoor_status and fills `error` where it is not NULL; its
 *   outputs
 *   are untouched on failure.
 * - Structs that may grow begin with `size`; the _INIT macros and spoor_*_init functions set it.
 * - No globals, no signal handlers, nothing printed. Many stores may be open in one process, each
 *   folder by
 *   one writer in one process at a time. A store does not survive fork() in the child.
 * - Threads: a store opened with SPOOR_OWN_THREAD may be used by any thread; any other by one
 *   thread at a
 *   time. A cursor belongs to one thread at a time in every case.
 * - Times are microseconds since 1970-01-01T00:00:00Z; positions and versions count from 1.
 */
#ifndef SPOOR_H
#define SPOOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SPOOR_API __attribute__((visibility("default")))
#else
#define SPOOR_API
#endif

#define SPOOR_VERSION_MAJOR 0
#define SPOOR_VERSION_MINOR 1
#define SPOOR_VERSION_PATCH 0

/* The library's version, "0.1.0". Static storage. */
SPOOR_API const char *spoor_version(void);

/*
 * ---- statuses
 * ------------------------------------------------------------------------------------
 */

typedef enum spoor_status {
    SPOOR_OK = 0,
    SPOOR_INVALID = 1,   /* a wrong argument or bad input; the text says what was expected */
    SPOOR_LIMIT = 2,     /* beyond a configured limit; nothing was stored */
    SPOOR_NOT_FOUND = 3, /* no such store, event, stream or run */
    SPOOR_CONFLICT = 4,  /* the stream is not at the expected version; nothing was stored */
    SPOOR_DENIED = 5,    /* the store was opened read-only */
    SPOOR_BUSY = 6,    /* another process holds the folder; or the queue is full, call spoor_turn */
    SPOOR_TIMEOUT = 7, /* nothing came in time */
    SPOOR_END = 8,     /* no more events */
    SPOOR_UNSUPPORTED = 9, /* a newer format, or not built in */
    SPOOR_CORRUPT = 10,  /* stored data is damaged; the text names file and offset, or positions */
    SPOOR_IO = 11,       /* the device failed */
    SPOOR_NO_SPACE = 12, /* the device is full; nothing of this append was stored */
    SPOOR_FENCED = 13,   /* another writer took over the log */
    SPOOR_FAILED = 14,   /* the store failed before; close it and open it again */
    SPOOR_NO_MEMORY = 15,
    SPOOR_CANCELLED = 16 /* the store was closed before this was done */
} spoor_status;

typedef struct spoor_error {
    spoor_status status;
    int os_error;    /* errno of a failed system call, else 0 */
    uint64_t offset; /* byte position in the input or file the text speaks of, else 0 */
    char text[240];  /* one line, NUL-terminated */
} spoor_error;

/* "not_found", and "not found". Static storage. */
SPOOR_API const char *spoor_status_name(spoor_status status);
SPOOR_API const char *spoor_status_text(spoor_status status);

/*
 * ---- events
 * --------------------------------------------------------------------------------------
 */

typedef struct spoor_str {
    const char *ptr; /* NULL: absent */
    size_t len;
} spoor_str;

/* Borrows a NUL-terminated string; NULL is absent. */
static inline spoor_str spoor_text(const char *text) {
    spoor_str s;
    s.ptr = text;
    s.len = text != NULL ? strlen(text) : 0;
    return s;
}

/* An attribute beyond the known ones. */
typedef struct spoor_extension {
    spoor_str name;
    spoor_str value;
    int is_json; /* 0: text; 1: the JSON text of a number, true, false, an object or an array */
} spoor_extension;

/* An event, as CloudEvents 1.0 has it, and what spoor assigns to it. */
typedef struct spoor_event {
    size_t size; /* sizeof(spoor_event) */

    /*
     * Assigned on append; ignored on input, but that an event which was recorded before
     * (recorded_us is not 0) tells of the past: it is no sign of life of the agent that is its
     * source.
     */
    uint64_t position;    /* in the whole log, from 1, without gaps */
    uint64_t version;     /* in the event's stream, from 1, without gaps */
    uint64_t recorded_us; /* when the store took it; never falls from one position to the next */
    uint64_t entry_ms;    /* entryid is <entry_ms>-<entry_seq>, strictly rising over the log */
    uint32_t entry_seq;

    /* From the producer. Only type and source are demanded. */
    uint32_t data_is_json;   /* output: data is JSON text. Input: see datacontenttype */
    spoor_str id;            /* unique per source; absent: a UUIDv7 is made */
    spoor_str type;          /* tokens joined by '.', at most 255 bytes */
    spoor_str source;        /* who did it */
    spoor_str stream;        /* absent: the source */
    spoor_str time;          /* the producer's time, RFC 3339 */
    spoor_str correlationid; /* the run; absent: the cause's, else the event's own id */
    spoor_str causationid;   /* id of the event that caused this one */
    spoor_str schemaversion;
    spoor_str datacontenttype; /* application/json or +json: data must be JSON; absent: it may be */
    spoor_str metadata;        /* a JSON object */
    spoor_str data;
    const spoor_extension *extensions;
    size_t extension_count; /* 64 attributes in all */
} spoor_event;

#ifdef __cplusplus
static inline spoor_event spoor_event_none(void) {
    spoor_event none = {};
    none.size = sizeof(none);
    return none;
}
#define SPOOR_EVENT_INIT spoor_event_none()
#else
#define SPOOR_EVENT_INIT                                                                           \
    { .size = sizeof(spoor_event) }
#endif

/*
 * ---- opening
 * -------------------------------------------------------------------------------------
 */

typedef struct spoor spoor;

enum spoor_flags {
    SPOOR_CREATE = 1,     /* make the store where there is none */
    SPOOR_READ_ONLY = 2,  /* change nothing; works beside a live writer, and sees what is durable */
    SPOOR_OWN_THREAD = 4, /* a thread of the store's drives it: any thread may call */
    SPOOR_NO_THREADS = 8, /* no helper threads either: all work happens inside calls */
    /* Do nothing of what falls due of sagas, timers, joins and schedules: for who opens a store for
     * a moment. It is done when it is opened without this. */
    SPOOR_NO_FLOWS = 16
};

/* What an event must have reached to count as durable; docs/durability.md. */
enum spoor_durability {
    SPOOR_DURABLE_ALWAYS = 0,   /* stable storage: survives a power cut */
    SPOOR_DURABLE_INTERVAL = 1, /* the operating system, which syncs it within sync_period_us */
    SPOOR_DURABLE_OS = 2        /* the operating system, which syncs it about once a second */
};

typedef struct spoor_options {
    size_t size;
    unsigned flags;           /* default SPOOR_CREATE */
    uint32_t event_bytes_max; /* of one event: default 1 MiB, at most 16 MiB */
    uint32_t outstanding_max; /* appends submitted and not yet durable; default 65536 */
    uint64_t
        segment_bytes_max; /* of one log file before it is sealed; default 128 MiB, at most 256 */
    uint64_t retain_bytes_max; /* drop the oldest whole segments beyond; default 0: keep all */
    uint64_t retain_age_us;    /* drop whole segments older; default 0: keep all */
    uint64_t cache_bytes_max;  /* of recent blocks kept in memory; default 32 MiB */
    uint32_t timeout_ms; /* over a server: of each call, connecting again included; default 30 s */
    enum spoor_durability durability; /* default SPOOR_DURABLE_ALWAYS */
    uint64_t sync_period_us;          /* with SPOOR_DURABLE_INTERVAL; default 100 ms */
} spoor_options;

SPOOR_API void spoor_options_init(spoor_options *options);

/*
 * Opens the store in a folder, or that of a server: `http://[:password@]host[:7380]`, or
 * `redis://[:password@]host[:7379]` (`spoor://` is the same). What differs over a server stands in
 * docs/c-api.md; the functions are the same. SPOOR_IO where nobody answers there, SPOOR_DENIED for
 * a wrong password, SPOOR_UNSUPPORTED for another program, and for TLS.
 *
 * A folder is recovered where the last writer died. `options` NULL: the defaults. SPOOR_BUSY where
 * another process writes there; SPOOR_CORRUPT where acknowledged data is damaged or missing (open
 * with the command line's `verify` for the details). Blocks for the time of recovery: under a
 * second for 10 GiB. Close with spoor_close.
 */
SPOOR_API spoor_status spoor_open(const char *folder_or_url, const spoor_options *options,
                                  spoor **ret_store, spoor_error *error);

/*
 * Finishes what is in flight, leaves the folder in order, frees. Callbacks run; what they submit is
 * refused with SPOOR_CANCELLED. NULL is fine.
 */
SPOOR_API void spoor_close(spoor *store);

typedef struct spoor_info {
    size_t size;
    uint64_t first_position; /* first event kept; 0 where there is none */
    uint64_t last_position;  /* last durable event; 0 where there is none */
    uint64_t stream_count;
    uint64_t bytes_on_disk; /* log files in use, spare ones not counted */
    uint64_t tree_size;     /* events the Merkle tree covers so far */
    uint8_t tree_root[32];
    uint32_t segments_sealed;
    uint32_t segments_waiting; /* full, and not yet sealed */
    uint64_t bytes_sealed;
    uint64_t events_sealed;
    uint64_t cut_bytes; /* of an unacknowledged write that opening found torn and cut; 0: none */
    uint8_t uuid[16];
    char notice[240]; /* what opening has to say to a person; empty if nothing */
} spoor_info;

SPOOR_API spoor_status spoor_get_info(spoor *store, spoor_info *ret_info, spoor_error *error);

/*
 * ---- appending
 * -----------------------------------------------------------------------------------
 */

#define SPOOR_ANY_VERSION UINT64_MAX /* no expectation */
#define SPOOR_NO_STREAM   0          /* the stream must not exist yet */

/* Where an event went. */
typedef struct spoor_appended {
    uint64_t position;
    uint64_t version;
    uint64_t recorded_us;
    uint64_t entry_ms;
    uint32_t entry_seq;
    /* Where the event asked to come later (extension `deliverat`, a time): when it will, in
     * microseconds since 1970; the other places are then those of what tells of it. Else 0. */
    uint64_t delayed_us;
    uint32_t duplicate; /* 1: this source and id were there already; nothing was appended */
    char id[40];        /* the event's id where it was made by the store (a UUID), else empty */
} spoor_appended;

/* "Stream s is at version v", as a condition of an append. */
typedef struct spoor_expect {
    spoor_str stream;
    uint64_t version; /* SPOOR_NO_STREAM, or a version */
} spoor_expect;

/*
 * Appends one event and returns when it is durable. expected_version is that of its stream before
 * the append, or SPOOR_ANY_VERSION. The same source and id again gives the first one's position,
 * also where the expectation no longer holds. SPOOR_CONFLICT names the actual version in the error.
 */
SPOOR_API spoor_status spoor_append(spoor *store, const spoor_event *event,
                                    uint64_t expected_version, spoor_appended *ret_appended,
                                    spoor_error *error);

/*
 * Appends several events, of any streams, all or none, and returns when they are durable. They take
 * neighbouring positions; duplicates among them keep their first positions and the others are
 * appended. `ret_appended`, where not NULL, has room for `count`. All must fit one block (4 MiB).
 */
SPOOR_API spoor_status spoor_append_batch(spoor *store, const spoor_event *events, size_t count,
                                          const spoor_expect *expects, size_t expect_count,
                                          spoor_appended *ret_appended, spoor_error *error);

/*
 * Called once per spoor_submit, when its events are durable or never will be: from spoor_turn or
 * another call that drives the store; with SPOOR_OWN_THREAD from the store's thread or from any
 * that is in a call, and never two at a time. `appended` and `error` last for the call. It may
 * submit more, and must not wait: no spoor_append, no spoor_turn, no spoor_close.
 */
typedef void spoor_append_fn(void *context, spoor_status status, const spoor_appended *appended,
                             size_t count, const spoor_error *error);

/*
 * As spoor_append_batch, without waiting: `done` (may be NULL) hears of the outcome. What is wrong
 * with the events themselves is said at once, and `done` is then not called. SPOOR_BUSY where
 * outstanding_max is reached: call spoor_turn, or wait for callbacks, and submit again.
 */
SPOOR_API spoor_status spoor_submit(spoor *store, const spoor_event *events, size_t count,
                                    const spoor_expect *expects, size_t expect_count,
                                    spoor_append_fn *done, void *context, spoor_error *error);

/*
 * Drives the store: writes what was submitted, calls back what became durable, does upkeep. Waits
 * up to timeout_ms (negative: no limit) for something to finish; 0 never waits. SPOOR_OK where
 * something finished, SPOOR_TIMEOUT where not. With SPOOR_OWN_THREAD there is no need for it.
 */
SPOOR_API spoor_status spoor_turn(spoor *store, int timeout_ms, spoor_error *error);

/* A descriptor that polls readable when spoor_turn has something to do; -1 where there is none. */
SPOOR_API int spoor_fd(spoor *store);

/* Milliseconds until spoor_turn wants to be called even so; -1: no need. */
SPOOR_API int spoor_deadline_ms(spoor *store);

/*
 * ---- reading
 * -------------------------------------------------------------------------------------
 */

/* Which events, in which order. All conditions must hold; absent ones do not restrict. */
typedef struct spoor_query {
    size_t size;
    const char *const *types; /* patterns ("task.*", "agent.#", "a.>"); one of them must match */
    size_t type_count;
    const char *source;
    const char *stream;
    const char *correlation;
    const char *filter;    /* JSON, in either dialect of docs/filters.md */
    const char *from;      /* first position, entryid, RFC 3339 time, "now" or "-10m"; inclusive */
    const char *until;     /* last one, likewise; inclusive */
    uint64_t limit;        /* 0: no limit */
    int reverse;           /* newest first */
    uint64_t from_version; /* with `stream`: first version; 0: from the start */
} spoor_query;

#ifdef __cplusplus
static inline spoor_query spoor_query_none(void) {
    spoor_query none = {};
    none.size = sizeof(none);
    return none;
}
#define SPOOR_QUERY_INIT spoor_query_none()
#else
#define SPOOR_QUERY_INIT                                                                           \
    { .size = sizeof(spoor_query) }
#endif

typedef struct spoor_cursor spoor_cursor;

/*
 * Starts a read of what is durable now. `query` NULL: everything. Costs one index lookup and then
 * follows the matches; a query without any indexed condition scans. Close the cursor before the
 * store.
 */
SPOOR_API spoor_status spoor_read(spoor *store, const spoor_query *query, spoor_cursor **ret_cursor,
                                  spoor_error *error);

/*
 * As spoor_read, and then live: history first, then what comes, one sequence without gap or double.
 * `from` "now" starts with what comes; `until` and `reverse` are refused. SPOOR_UNSUPPORTED on a
 * store that is open read-only: it sees what was there when it was opened.
 */
SPOOR_API spoor_status spoor_subscribe(spoor *store, const spoor_query *query,
                                       spoor_cursor **ret_cursor, spoor_error *error);

/*
 * The next event, valid until the next call with this cursor. SPOOR_END after the last one of a
 * read. A subscription waits up to timeout_ms (0: not at all, negative: without limit) and then
 * says SPOOR_TIMEOUT; reads ignore timeout_ms. Without SPOOR_OWN_THREAD it drives the store while
 * it waits, and says SPOOR_TIMEOUT at once where nothing is under way, as nothing can come then.
 * SPOOR_CORRUPT where an event is damaged: the text names the positions, and the next call goes on
 * behind them. SPOOR_NOT_FOUND where retention has dropped what was to be next; the next call goes
 * on with what is kept.
 */
SPOOR_API spoor_status spoor_next(spoor_cursor *cursor, int timeout_ms,
                                  const spoor_event **ret_event, spoor_error *error);

/* The hash (SHA-256, Merkle leaf) of the event that spoor_next gave last. */
SPOOR_API spoor_status spoor_event_hash(spoor_cursor *cursor, uint8_t ret_hash[32],
                                        spoor_error *error);

/* How deep in the tree of effects the last event stands (0: the event asked for); else 0. */
SPOOR_API unsigned spoor_cursor_depth(const spoor_cursor *cursor);

SPOOR_API void spoor_cursor_close(spoor_cursor *cursor);

/* Events with this id: one, or one per source that used it. `source` NULL: any. */
SPOOR_API spoor_status spoor_find(spoor *store, const char *id, const char *source,
                                  spoor_cursor **ret_cursor, spoor_error *error);

/*
 * The chain of causes: the event with this id first, then what caused it, up to a root. A cause
 * that is not in the log ends the chain. SPOOR_NOT_FOUND where no event has the id.
 */
SPOOR_API spoor_status spoor_causes(spoor *store, const char *id, spoor_cursor **ret_cursor,
                                    spoor_error *error);

/*
 * The tree of what the event caused, depth first, each level by position; the event itself first.
 */
SPOOR_API spoor_status spoor_effects(spoor *store, const char *id, spoor_cursor **ret_cursor,
                                     spoor_error *error);

/*
 * ---- streams and runs
 * ----------------------------------------------------------------------------
 */

typedef struct spoor_stream {
    spoor_str name;
    uint64_t version; /* of its last durable event */
    uint64_t last_position;
} spoor_stream;

/* Called once per stream; not 0 ends the walk. */
typedef int spoor_stream_fn(void *context, const spoor_stream *stream);

/* Walks the streams in order of their first event, from the `skip`-th on. */
SPOOR_API spoor_status spoor_streams(spoor *store, uint64_t skip, spoor_stream_fn *each,
                                     void *context, spoor_error *error);

/* One stream. SPOOR_NOT_FOUND where it has no event. */
SPOOR_API spoor_status spoor_stream_get(spoor *store, const char *name, spoor_stream *ret_stream,
                                        spoor_error *error);

/* A run: the events of one correlation id. */
typedef struct spoor_run {
    spoor_str correlationid;
    spoor_str status; /* running, completed or failed, by the type of its last terminal event */
    uint64_t event_count;
    uint64_t first_position;
    uint64_t last_position;
    uint64_t first_recorded_us;
    uint64_t last_recorded_us;
    spoor_str first_type;
    spoor_str last_type;
    spoor_str first_time; /* the producers' times; absent where they gave none */
    spoor_str last_time;
} spoor_run;

/* Called once per run; not 0 ends the walk. */
typedef int spoor_run_fn(void *context, const spoor_run *run);

/*
 * Walks the runs whose first event matches the query (NULL: all), oldest first or, with `reverse`,
 * newest first; `limit` counts runs.
 */
SPOOR_API spoor_status spoor_runs(spoor *store, const spoor_query *query, spoor_run_fn *each,
                                  void *context, spoor_error *error);

/*
 * ---- read models
 * -----------------------------------------------------------------------------
 *
 * Tables that projections make of the events, and SQL over them: docs/sql.md, docs/projections.md.
 * Over a folder the tables that a query reads are brought up to the end of the log within the call,
 * unless another process does that there; a server keeps them by itself.
 */

enum spoor_sql_kind {
    SPOOR_SQL_NULL = 0,
    SPOOR_SQL_INTEGER = 1,
    SPOOR_SQL_REAL = 2,
    SPOOR_SQL_TEXT = 3,
    SPOOR_SQL_BLOB = 4
};

/* A value of a row, or of a parameter. */
typedef struct spoor_sql_value {
    enum spoor_sql_kind kind;
    int64_t integer; /* INTEGER */
    double real;     /* REAL */
    spoor_str text;  /* TEXT and BLOB; never a NULL ptr in a row */
} spoor_sql_value;

typedef struct spoor_sql_param {
    const char
        *name; /* `id` of `:id`; NULL: the next one by order. All of a query have one or none */
    spoor_sql_value value;
} spoor_sql_param;

/* How far a read model is that is being filled within a call; not 0 ends it: SPOOR_CANCELLED. */
typedef int spoor_progress_fn(void *context, const char *projection, uint64_t position,
                              uint64_t last_position);

typedef struct spoor_sql_options {
    size_t size;
    const char *sql; /* one SELECT, with `?` or `:name` for parameters */
    const spoor_sql_param *params;
    size_t param_count;
    uint64_t seen;       /* read models must have seen this position: waits for it; 0: none */
    uint32_t timeout_ms; /* of the query, what is waited for included; 0: 10 s */
    uint64_t rows_max;   /* 0: 10,000 */
    spoor_progress_fn *progress; /* over a folder; NULL: none */
    void *progress_context;
} spoor_sql_options;

typedef struct spoor_sql_result {
    size_t size;
    /*
     * The least position that the read models it read have seen; UINT64_MAX where it read none.
     */
    uint64_t position;
    uint64_t row_count;
    char notice[240]; /* over a folder: why a read model is not at the end; empty if nothing */
} spoor_sql_result;

#ifdef __cplusplus
static inline spoor_sql_options spoor_sql_options_none(void) {
    spoor_sql_options none = {};
    none.size = sizeof(none);
    return none;
}
#define SPOOR_SQL_INIT spoor_sql_options_none()
static inline spoor_sql_result spoor_sql_result_none(void) {
    spoor_sql_result none = {};
    none.size = sizeof(none);
    return none;
}
#define SPOOR_SQL_RESULT_INIT spoor_sql_result_none()
#else
#define SPOOR_SQL_INIT                                                                             \
    { .size = sizeof(spoor_sql_options) }
#define SPOOR_SQL_RESULT_INIT                                                                      \
    { .size = sizeof(spoor_sql_result) }
#endif

/* Not 0 ends the query: SPOOR_CANCELLED. What they are given lasts for the call. */
typedef int spoor_columns_fn(void *context, const spoor_str *names, size_t count);
typedef int spoor_row_fn(void *context, const spoor_sql_value *values, size_t count);

/*
 * Asks read models: `columns` (NULL is fine) is called once, then `row` for each row. The query
 * reads and changes nothing, and sees one moment of each read model. `ret_result` may be NULL.
 *
 * SPOOR_INVALID: the SQL, with line and column, or its parameters; SPOOR_NOT_FOUND: a table that is
 * not there, with those that are named alike; SPOOR_DENIED: it would change something; SPOOR_LIMIT:
 * more rows, bytes or memory than allowed; SPOOR_TIMEOUT: it took too long, or a read model had not
 * seen `seen`; SPOOR_FAILED: a read model that it needs has stopped at an event; SPOOR_BUSY: too
 * many queries wait at the server; SPOOR_UNSUPPORTED: it needs more than 10 read models at once.
 * Rows that were given before a failure are part of an answer at most.
 */
SPOOR_API spoor_status spoor_sql(spoor *store, const spoor_sql_options *options,
                                 spoor_columns_fn *columns, spoor_row_fn *row, void *context,
                                 spoor_sql_result *ret_result, spoor_error *error);

typedef struct spoor_table_column {
    spoor_str name;
    spoor_str type; /* as declared; may be empty */
    uint32_t key;   /* place in the primary key, from 1; 0: not in it */
} spoor_table_column;

typedef struct spoor_table {
    spoor_str name;
    spoor_str projection;
    int is_view;
    uint64_t position; /* that its read model has seen */
    const spoor_table_column *columns;
    size_t column_count;
} spoor_table;

typedef int spoor_table_fn(void *context, const spoor_table *table);

/*
 * Tells every table and view that is there, by projection and name, until a call returns not 0.
 * Those of a projection that no event was for yet are not there.
 */
SPOOR_API spoor_status spoor_tables(spoor *store, spoor_table_fn *each, void *context,
                                    spoor_error *error);

/* Takes a text, which lasts for the call. */
typedef void spoor_text_fn(void *context, const char *text, size_t len);

/*
 * Adds a projection, or replaces the one of its name: `text` is a projection file. `take` (NULL is
 * fine) is called with the status, as spoor_projection_status has it. Over a folder its tables are
 * filled when they are first asked for; a server begins at once, and what was there before serves
 * until the new one has caught up. SPOOR_INVALID: the text, with line and column.
 */
SPOOR_API spoor_status spoor_projection_add(spoor *store, const char *text, size_t len,
                                            spoor_text_fn *take, void *context, spoor_error *error);

/* Adds one that ships with the library: `event_search`, or one that was removed. */
SPOOR_API spoor_status spoor_projection_add_shipped(spoor *store, const char *name,
                                                    spoor_text_fn *take, void *context,
                                                    spoor_error *error);

/* Stops it and drops its tables. SPOOR_NOT_FOUND. */
SPOOR_API spoor_status spoor_projection_remove(spoor *store, const char *name, spoor_error *error);

/* Builds its tables anew, beside those that are there. `take` as of spoor_projection_add. */
SPOOR_API spoor_status spoor_projection_rebuild(spoor *store, const char *name, spoor_text_fn *take,
                                                void *context, spoor_error *error);

/* Tells all of them: `take` is called once, with a status a line, by name. */
SPOOR_API spoor_status spoor_projection_list(spoor *store, spoor_text_fn *take, void *context,
                                             spoor_error *error);

/*
 * Tells how it is, as one JSON object: name, version, state (waiting, building, running, failed),
 * position, lag_events, tables, rebuild, error: docs/projections.md. SPOOR_NOT_FOUND.
 */
SPOOR_API spoor_status spoor_projection_status(spoor *store, const char *name, spoor_text_fn *take,
                                               void *context, spoor_error *error);

/*
 * ---- states: read models as they were
 * -------------------------------------------------------------
 */

typedef struct spoor_state_options {
    size_t size;
    const char *projection;
    /*
     * Which of its events count; NULL: all. `until` is the moment (NULL: now): a position, an entry
     * id, or a time, of which the events' own times are meant. `limit` is of rows.
     */
    const spoor_query *query;
    const char *diff;    /* "A..B": what changed between two moments, instead of one state */
    const char *table;   /* NULL: that which is called as the projection, else its first */
    const char *sql;     /* a statement over the state, instead of a table; NULL: none */
    int by_recorded;     /* times are those of recording */
    unsigned timeout_ms; /* 0: 30000 */
} spoor_state_options;

#ifdef __cplusplus
static inline spoor_state_options spoor_state_options_none(void) {
    spoor_state_options none = {};
    none.size = sizeof(none);
    return none;
}
#define SPOOR_STATE_INIT spoor_state_options_none()
#else
#define SPOOR_STATE_INIT                                                                           \
    { .size = sizeof(spoor_state_options) }
#endif

/*
 * A read model as it was at a moment, as JSON: {"projection", "version", "position", "events",
 * "table", "columns": [...], "rows": [[...], ...]}, with "time" where the moment is one, "notices"
 * and "cut": true where there is cause; or of a difference "changes" instead of columns and rows
 * (docs/time-travel.md). `take` is called once, before a SPOOR_OK. SPOOR_NOT_FOUND: no such
 * projection or table, or all events up to the moment were dropped; SPOOR_INVALID: the query, the
 * moment or the SQL; SPOOR_FAILED: an event that cannot be applied; SPOOR_LIMIT; SPOOR_TIMEOUT.
 * Costs a fold of the events that count, where nothing restricts them from a snapshot on.
 */
SPOOR_API spoor_status spoor_state(spoor *store, const spoor_state_options *options,
                                   spoor_text_fn *take, void *context, spoor_error *error);

/*
 * ---- schemas
 * -------------------------------------------------------------------------------------
 *
 * What the data of events is held to: docs/schemas.md. An append that a schema refuses is
 * SPOOR_INVALID, and the error names the type, the version, the place and the rule.
 */

/*
 * Registers a JSON Schema (2020-12) for a type of events and a version of it. `mode`: "enforce",
 * "warn" or "off"; `compatibility` with the version before: "backward", "forward", "full" or
 * "none"; NULL: as the version before, else enforce and backward. The same schema again changes its
 * mode.
 * SPOOR_INVALID: a mistake in the schema, with its place; SPOOR_CONFLICT: not compatible, or
 * registered with another schema; SPOOR_UNSUPPORTED: another draft. Durable when it returns.
 */
SPOOR_API spoor_status spoor_schema_add(spoor *store, const char *type, const char *version,
                                        const char *schema, const char *mode,
                                        const char *compatibility, spoor_error *error);

/* Takes a registered schema away. SPOOR_NOT_FOUND. */
SPOOR_API spoor_status spoor_schema_remove(spoor *store, const char *type, const char *version,
                                           spoor_error *error);

/*
 * A registered schema as JSON: {"type", "version", "mode", "compatibility", "position", "checked",
 * "refused", "warned", "schema"}. `version` NULL: the newest. SPOOR_NOT_FOUND.
 */
SPOOR_API spoor_status spoor_schema_get(spoor *store, const char *type, const char *version,
                                        spoor_text_fn *take, void *context, spoor_error *error);

/* Each registered schema as such JSON without "schema", by type, then by version. */
SPOOR_API spoor_status spoor_schemas(spoor *store, spoor_text_fn *each, void *context,
                                     spoor_error *error);

/*
 * ---- groups
 * --------------------------------------------------------------------------------------
 *
 * Workers that share what comes: docs/groups.md. A server keeps them: over a folder these calls say
 * SPOOR_UNSUPPORTED.
 */

/* An option of a group's policy by its name there: "ack-wait", "30s". */
typedef struct spoor_group_option {
    const char *name;
    const char *value;
} spoor_group_option;

/*
 * Makes a group with a policy on a key: a stream, which need not be there yet, or "$all",
 * "$type:<pattern>", "$source:<id>", "$correlation:<id>". `from` as in queries; NULL: what comes
 * from now on. SPOOR_CONFLICT where there is one of this name, whatever its policy.
 */
SPOOR_API spoor_status spoor_group_create(spoor *store, const char *key, const char *name,
                                          const char *from, const spoor_group_option *options,
                                          size_t option_count, spoor_error *error);

typedef struct spoor_group spoor_group;

/*
 * Joins a group as a worker, with a connection of its own, that belongs to one thread at a time.
 * What it has when that ends goes back to the group. Close it before the store.
 */
SPOOR_API spoor_status spoor_group_join(spoor *store, const char *key, const char *name,
                                        const char *consumer, spoor_group **ret_group,
                                        spoor_error *error);

/* What a worker is handed out. */
typedef struct spoor_delivery {
    size_t size;
    const char *entry; /* names it to the calls below */
    uint32_t attempts; /* this one included */
    const spoor_event *event;
} spoor_delivery;

/*
 * The next entry, valid until the next receive; waits up to timeout_ms (negative: without limit),
 * then SPOOR_TIMEOUT. SPOOR_NOT_FOUND where there is no such group. An entry may come again: where
 * its attempt failed, took too long, or its outcome was lost on the way.
 */
SPOOR_API spoor_status spoor_group_receive(spoor_group *group, int timeout_ms,
                                           const spoor_delivery **ret_delivery, spoor_error *error);

/* Done with it. SPOOR_NOT_FOUND where it is not in flight any more. */
SPOOR_API spoor_status spoor_group_ack(spoor_group *group, const char *entry, spoor_error *error);

/*
 * The attempt failed, for `reason` (NULL: unsaid). delay_ms until the next one; negative: as the
 * policy says. `dead`: no next one. SPOOR_NOT_FOUND as above.
 */
SPOOR_API spoor_status spoor_group_nack(spoor_group *group, const char *entry, int64_t delay_ms,
                                        const char *reason, int dead, spoor_error *error);

/* More time: for_ms from now; 0: ack-wait anew. SPOOR_NOT_FOUND as above. */
SPOOR_API spoor_status spoor_group_extend(spoor_group *group, const char *entry, uint64_t for_ms,
                                          spoor_error *error);

SPOOR_API void spoor_group_leave(spoor_group *group);

/*
 * ---- sagas, approvals, joins, schedules
 * ----------------------------------------------------------------------------------------
 *
 * Workflows that finish or undo themselves: docs/sagas.md. Over a folder the program that has it
 * open for writing does what falls due, while it turns (spoor_turn, SPOOR_OWN_THREAD); over a
 * server the server does. What is answered is durable.
 *
 * An event with an extension `deliverat`, a time, is appended then: spoor_append tells where it is
 * kept until then, and spoor_delayed_cancel takes it back.
 */

/* An option of what is asked, by its name: "key", "order-7". */
typedef struct spoor_ask_option {
    const char *name;
    const char *value; /* NULL: not given */
} spoor_ask_option;

/*
 * Asks for anything that `spoor help` and docs/redis.md have of sagas, approvals, joins, schedules
 * and timers, by the same names: "saga start", "saga ls", "approval approve", "timer cancel". The
 * subject is a name, an id or a text, NULL where there is none. `take` (may be NULL) gets the
 * answer as JSON, of a list once for each row. SPOOR_INVALID, SPOOR_NOT_FOUND, SPOOR_CONFLICT,
 * SPOOR_DENIED: the error says why.
 */
SPOOR_API spoor_status spoor_ask(spoor *store, const char *what, const char *subject,
                                 const spoor_ask_option *options, size_t option_count,
                                 spoor_text_fn *take, void *context, spoor_error *error);

typedef enum spoor_definition_kind {
    SPOOR_DEFINES_SAGA = 0,
    SPOOR_DEFINES_JOIN = 1,
    SPOOR_DEFINES_SCHEDULE = 2,
} spoor_definition_kind;

typedef struct spoor_defined {
    size_t size;
    uint64_t position; /* of the event that defines it */
    int unchanged;     /* 1: the very same was there, and nothing was appended */
    char sha256[65];   /* its identity */
} spoor_defined;

/*
 * Defines a saga, a join or a schedule by its text, JSON or YAML: what begins from now on goes by
 * it. ret_defined may be NULL. SPOOR_INVALID: the error has line and column of the first mistake.
 */
SPOOR_API spoor_status spoor_define(spoor *store, spoor_definition_kind kind, const char *text,
                                    size_t len, spoor_defined *ret_defined, spoor_error *error);

/* What runs goes on, and nothing begins any more. SPOOR_NOT_FOUND. */
SPOOR_API spoor_status spoor_undefine(spoor *store, spoor_definition_kind kind, const char *name,
                                      spoor_error *error);

typedef struct spoor_saga_options {
    size_t size;
    const char *data; /* JSON; NULL: null */
    const char *key;  /* one that was started by this key is the one there is. NULL: over a server a
                         key is made, so that a request that is sent again starts one only */
    const char *correlation; /* the run; NULL: the saga's own id */
    const char *causation;
    const char *by; /* who asks */
} spoor_saga_options;

typedef struct spoor_saga_started {
    size_t size;
    uint64_t position; /* of saga.started */
    int known;         /* 1: it was there by this key */
    char sagaid[37];
} spoor_saga_started;

#ifdef __cplusplus
static inline spoor_saga_options spoor_saga_options_none(void) {
    spoor_saga_options none = {};
    none.size = sizeof(none);
    return none;
}
#define SPOOR_SAGA_INIT spoor_saga_options_none()
#else
#define SPOOR_SAGA_INIT                                                                            \
    { .size = sizeof(spoor_saga_options) }
#endif

/* Starts a saga; options may be NULL. SPOOR_NOT_FOUND: there is no definition of this name. */
SPOOR_API spoor_status spoor_saga_start(spoor *store, const char *name,
                                        const spoor_saga_options *options,
                                        spoor_saga_started *ret_started, spoor_error *error);

/* How a saga stands: one JSON object, {"sagaid", "status", "steps": […], …}. SPOOR_NOT_FOUND. */
SPOOR_API spoor_status spoor_saga_show(spoor *store, const char *sagaid, spoor_text_fn *take,
                                       void *context, spoor_error *error);

/* What a person asks of a saga. */
typedef enum spoor_saga_wish {
    SPOOR_SAGA_CANCEL = 0,
    SPOOR_SAGA_RETRY = 1, /* the step that needs attention */
    SPOOR_SAGA_SKIP = 2,
    SPOOR_SAGA_DONE = 3, /* somebody did it: as if it had succeeded */
    SPOOR_SAGA_COMPENSATE = 4,
} spoor_saga_wish;

typedef struct spoor_wish_options {
    size_t size;
    const char *step;   /* its path; NULL: the one that needs attention, where it is the only one */
    const char *by;     /* who */
    const char *why;    /* and why: both are recorded */
    const char *result; /* of SPOOR_SAGA_DONE: JSON */
} spoor_wish_options;

#ifdef __cplusplus
static inline spoor_wish_options spoor_wish_options_none(void) {
    spoor_wish_options none = {};
    none.size = sizeof(none);
    return none;
}
#define SPOOR_WISH_INIT spoor_wish_options_none()
#else
#define SPOOR_WISH_INIT                                                                            \
    { .size = sizeof(spoor_wish_options) }
#endif

/* SPOOR_NOT_FOUND: no such saga runs; SPOOR_CONFLICT: that cannot be done to it as it is. */
SPOOR_API spoor_status spoor_saga_request(spoor *store, const char *sagaid, spoor_saga_wish wish,
                                          const spoor_wish_options *options, spoor_error *error);

typedef struct spoor_decision {
    size_t size;
    const char *choice; /* "approve", "reject", or one of its own */
    const char *step;   /* of a saga with several that wait; else NULL */
    const char *by;
    const char *reason;
    const char *data; /* JSON */
} spoor_decision;

/*
 * Decides a pending approval: its id, or a saga's. The first decision counts: SPOOR_CONFLICT, and
 * the error tells who decided how. SPOOR_DENIED: not one of those who may.
 */
SPOOR_API spoor_status spoor_decide(spoor *store, const char *approval,
                                    const spoor_decision *decision, spoor_error *error);

/* Takes a delayed event back; source NULL: any, where only one has the id. SPOOR_NOT_FOUND. */
SPOOR_API spoor_status spoor_delayed_cancel(spoor *store, const char *source, const char *id,
                                            const char *by, const char *reason, spoor_error *error);

/*
 * ---- workers
 * -------------------------------------------------------------------------------------
 *
 * Steps of sagas, and compensations, as callbacks: docs/sagas.md. A worker is handed the commands
 * of the types it has callbacks for, and answers them with what its callbacks say.
 *
 * Over a server the commands come from groups, so that workers of one name share them, in whatever
 * language, and what one had when it died goes to another. Over a folder they come from the log;
 * there each type belongs to one worker of the program.
 *
 * Every command is carried out at least once: hand idempotencykey, which is the same for all
 * attempts of a step, to whatever must not happen twice. A command that the saga no longer waits
 * for is not carried out. A worker belongs to one thread at a time.
 */

/* A command, for as long as its callback runs. */
typedef struct spoor_job {
    size_t size;
    const spoor_event *command;
    spoor_str type; /* of the command: the action */
    spoor_str data; /* its input, JSON; of a compensation {"input", "result", "error"} */
    spoor_str saga; /* the saga's name */
    spoor_str sagaid;
    spoor_str step; /* its path: "book/slot" */
    spoor_str idempotencykey;
    uint32_t attempt;    /* of the step, from 1 */
    uint32_t deliveries; /* of this very command, this one included */
    int compensates;     /* 1: it undoes what the step did */
} spoor_job;

/*
 * Carries out a command. What it sets last counts: spoor_job_result or spoor_job_fail; where it
 * sets nothing, the step is done with the result null.
 */
typedef void spoor_step_fn(void *context, spoor_job *job);

/* The result: JSON, copied. SPOOR_INVALID where it is none, and the step fails for that reason. */
SPOOR_API spoor_status spoor_job_result(spoor_job *job, const char *json, size_t len);

/* It failed. `retryable`: another attempt may succeed. The text is copied. */
SPOOR_API void spoor_job_fail(spoor_job *job, const char *error, int retryable);

/*
 * Nobody can tell whether it was done: the step is over, and is undone as one that may have been.
 * The text is copied.
 */
SPOOR_API void spoor_job_unknown(spoor_job *job, const char *error);

/*
 * 1 where the saga no longer wants it: it is being cancelled, or another attempt has taken over.
 * Stop then, and say spoor_job_fail where nothing was done, spoor_job_unknown otherwise.
 */
SPOOR_API int spoor_job_cancelled(spoor_job *job);

/*
 * Lets time pass, up to timeout_ms (negative: no limit): SPOOR_TIMEOUT where it is over,
 * SPOOR_CANCELLED as soon as the saga no longer wants it.
 */
SPOOR_API spoor_status spoor_job_wait(spoor_job *job, int timeout_ms);

typedef struct spoor_worker_options {
    size_t size;
    const char *name;     /* the agent: the source of its answers; NULL: "worker" */
    const char *group;    /* of the server; NULL: the name */
    const char *consumer; /* within the group; NULL: one of its own */
    const char *from;     /* where a group that is made begins, as in queries; NULL: "-1d" */
    const char *ack_wait; /* of a group that is made: after so long another worker gets what this
                             one neither answered nor gave back; NULL: "5m" */
    uint32_t batch; /* commands taken from the server at once, 1 to 1024; 0: 1. More of them wait
                       for one another, and cost less */
} spoor_worker_options;

#ifdef __cplusplus
static inline spoor_worker_options spoor_worker_options_none(void) {
    spoor_worker_options none = {};
    none.size = sizeof(none);
    return none;
}
#define SPOOR_WORKER_INIT spoor_worker_options_none()
#else
#define SPOOR_WORKER_INIT                                                                          \
    { .size = sizeof(spoor_worker_options) }
#endif

typedef struct spoor_worker spoor_worker;

/*
 * A worker of the commands of a type; options may be NULL. The context is handed to the callback.
 * Free it before the store is closed.
 */
SPOOR_API spoor_status spoor_worker_new(spoor *store, const char *type, spoor_step_fn *step,
                                        void *context, const spoor_worker_options *options,
                                        spoor_worker **ret_worker, spoor_error *error);

/* One more type, such as that of the compensation; before the first run. At most 64. */
SPOOR_API spoor_status spoor_worker_add(spoor_worker *worker, const char *type, spoor_step_fn *step,
                                        void *context, spoor_error *error);

/*
 * Works for timeout_ms (negative: until it is stopped); 0: what is there now. SPOOR_OK when the
 * time is over or it was stopped; otherwise why it cannot go on: SPOOR_DENIED over a folder that is
 * open for reading only.
 */
SPOOR_API spoor_status spoor_worker_run(spoor_worker *worker, int timeout_ms, spoor_error *error);

/* Lets run return after the command in hand. From any thread, also from a signal's handler. */
SPOOR_API void spoor_worker_stop(spoor_worker *worker);

/* How many commands it has answered. */
SPOOR_API uint64_t spoor_worker_answered(const spoor_worker *worker);

/* What it had and did not answer goes back to its group. NULL is fine. */
SPOOR_API void spoor_worker_free(spoor_worker *worker);

/*
 * ---- JSON
 * ----------------------------------------------------------------------------------------
 */

/* An event read from JSON, and the memory it points into. */
typedef struct spoor_parsed spoor_parsed;

/*
 * Reads one JSON object in the shape of docs/events.md: every alias, `null` means absent, unknown
 * members are extensions, `data` is kept byte for byte. Assigned members (position, version, …) are
 * dropped. The event lives as long as ret_parsed, which spoor_parsed_free frees and a further call
 * may reuse (pass the same variable, NULL at first).
 */
SPOOR_API spoor_status spoor_parse_json(const char *json, size_t len, spoor_parsed **parsed,
                                        const spoor_event **ret_event, spoor_error *error);
SPOOR_API void spoor_parsed_free(spoor_parsed *parsed);

/*
 * Writes the event as one line of JSON. `hash` NULL leaves the hash out. The text is NUL-terminated
 * and belongs to the caller, who gives it to spoor_free. `buffer` and `capacity` may be reused
 * between calls (NULL and 0 at first).
 */
SPOOR_API spoor_status spoor_format_json(const spoor_event *event, const uint8_t hash[32],
                                         char **buffer, size_t *capacity, size_t *ret_len,
                                         spoor_error *error);

/* Frees what the library allocated for the caller. */
SPOOR_API void spoor_free(void *memory);

/*
 * ---- verification
 * --------------------------------------------------------------------------------
 */

enum spoor_verify_kind {
    SPOOR_VERIFY_PROGRESS = 0, /* positions verified so far */
    /*
     * Something is wrong. The text begins with "damage" where a checksum does not fit, and with
     * "alteration" where the checksums do and the hashes, or the order, do not.
     */
    SPOOR_VERIFY_FINDING = 1,
    SPOOR_VERIFY_NOTICE =
        2 /* worth telling and no fault: what a crash left and nobody was promised */
};

/* One line of a verification. */
typedef struct spoor_verify_report {
    size_t size;
    enum spoor_verify_kind kind;
    uint64_t first_position; /* of what is affected; of progress: verified up to here */
    uint64_t last_position;
    const char *file; /* relative to the folder; NULL where it is not one file */
    uint64_t offset;
    const char *text; /* for people, one line */
} spoor_verify_report;

/* Not 0 ends the verification. */
typedef int spoor_verify_fn(void *context, const spoor_verify_report *report);

typedef struct spoor_verified {
    size_t size;
    uint64_t event_count;
    uint64_t first_position;
    uint64_t last_position;
    uint64_t finding_count;
    uint64_t bytes;
    uint8_t tree_root[32]; /* over everything verified; meaningless with findings */
} spoor_verified;

/*
 * Re-derives everything from the files of a folder that nobody needs to have open: checksums,
 * order, versions, commitments, Merkle tree, indexes. Changes nothing. SPOOR_OK where the record is
 * whole; SPOOR_CORRUPT where there is a finding, and the error tells the first. Reads all bytes.
 */
SPOOR_API spoor_status spoor_verify(const char *folder, spoor_verify_fn *report, void *context,
                                    spoor_verified *ret_verified, spoor_error *error);

#ifdef __cplusplus
}
#endif

#endif
