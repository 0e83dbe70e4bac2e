/*
 * The settings of `spoor serve`: one table from which the options of the command line, the lines
 * of a configuration file, CONFIG GET and SET, the help and docs/settings.md come. pure
 *
 * A value is text in all of them, in the same form: sizes `64Ki`, `8MiB` or a plain number of
 * bytes; durations `30s`, `1h30m` or a plain number of seconds; `yes` and `no`; lists are words
 * between blanks. What Redis has a name for is known by that name as well (`maxclients`), and then
 * has Redis' unit.
 *
 * Order of precedence: the command line, the file, the default.
 */
#ifndef SP_SERVER_SETTINGS_H
#define SP_SERVER_SETTINGS_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

enum sp_setting_type {
    SP_SETTING_SIZE,     /* bytes */
    SP_SETTING_DURATION, /* kept in milliseconds */
    SP_SETTING_INTEGER,
    SP_SETTING_BOOLEAN,
    SP_SETTING_CHOICE, /* the number of a word of `choices` */
    SP_SETTING_TEXT,
    SP_SETTING_LIST, /* words between blanks, kept as one text */
};

/*
 * One row: ID, name, Redis' name ("" where it has none), type, choices, least, greatest, default,
 * LIVE or START (may CONFIG SET change it), meaning.
 */
#define SP_SETTING_TABLE(X)                                                                        \
    X(DATA, "data", "dir", TEXT, "", 1, 4096, "./data", START, "the data folder")                  \
    X(LISTEN, "listen", "bind", TEXT, "", 1, 255, "127.0.0.1", START,                              \
      "the address to listen at; 0.0.0.0 or :: for all")                                           \
    X(RESP_PORT, "resp-port", "port", INTEGER, "", 0, 65535, "7379", START,                        \
      "port of the Redis protocol; 0 picks a free one")                                            \
    X(HTTP_PORT, "http-port", "", INTEGER, "", 0, 65535, "7380", START,                            \
      "port of HTTP; 0 picks a free one; where resp-port is 0 and this is not given, it is 0")     \
    X(NO_HTTP, "no-http", "", BOOLEAN, "", 0, 1, "no", START, "whether HTTP is not spoken at all") \
    X(HTTP_BODY_BYTES_MAX, "http-body-bytes-max", "", SIZE, "", 1024, 1073741824, "16Mi", LIVE,    \
      "bytes of the body of one HTTP request, inflated; streamed imports have no limit")           \
    X(HTTP_REQUEST_TIMEOUT, "http-request-timeout", "", DURATION, "", 0, 86400000, "30s", LIVE,    \
      "an HTTP request that is not complete after so long is refused; bodies get a second more "   \
      "for each 16000 bytes; 0: never")                                                            \
    X(CORS_ORIGINS, "cors-origins", "", LIST, "", 0, 16384, "", LIVE,                              \
      "origins of web pages that may use HTTP from a browser, or *; empty: none but its own")      \
    X(DURABILITY, "durability", "", CHOICE, "always interval os", 0, 2, "always", START,           \
      "when an append is acknowledged: always: once it is on stable storage; interval, os: once "  \
      "the operating system has it, which a crash of the machine may take back")                   \
    X(DURABILITY_INTERVAL, "durability-interval", "", DURATION, "", 1, 60000, "100ms", START,      \
      "with durability interval: how often what is new is synced")                                 \
    X(ALLOW_FLUSHALL, "allow-flushall", "", BOOLEAN, "", 0, 1, "no", LIVE,                         \
      "whether FLUSHALL and FLUSHDB hide all streams; else they are refused")                      \
    X(PASSWORD, "password", "requirepass", TEXT, "", 0, 512, "", LIVE,                             \
      "what AUTH must say before anything else; empty: nothing")                                   \
    X(MAX_CONNECTIONS, "max-connections", "maxclients", INTEGER, "", 1, 1000000, "10000", LIVE,    \
      "connections at a time; one more is told so and closed")                                     \
    X(IDLE_TIMEOUT, "idle-timeout", "timeout", DURATION, "", 0, 31536000000, "0s", LIVE,           \
      "a connection that says nothing for so long is closed; 0: never; blocked and subscribed "    \
      "ones stay")                                                                                 \
    X(OUTPUT_BUFFER, "output-buffer", "", SIZE, "", 1048576, 4294967296, "8Mi", LIVE,              \
      "bytes that may wait for a client that does not read; beyond, it is closed or lags")         \
    X(REPLY_BYTES_MAX, "reply-bytes-max", "", SIZE, "", 1048576, 1073741824, "256Mi", LIVE,        \
      "bytes of one reply; a command that asks for more is told to use COUNT")                     \
    X(QUERY_BUFFER, "query-buffer", "client-query-buffer-limit", SIZE, "", 1048576, 1073741824,    \
      "64Mi", LIVE, "bytes of one command with all its arguments")                                 \
    X(BULK_BYTES_MAX, "bulk-bytes-max", "proto-max-bulk-len", SIZE, "", 1048576, 536870912,        \
      "16Mi", LIVE, "bytes of one argument of a command")                                          \
    X(EVENT_BYTES_MAX, "event-bytes-max", "", SIZE, "", 1024, 16777216, "1Mi", START,              \
      "bytes of one event; a larger one is refused")                                               \
    X(MEMORY_BUDGET, "memory-budget", "maxmemory", SIZE, "", 0, 1099511627776, "1Gi", LIVE,        \
      "bytes of all connections' buffers; beyond, the one that takes most is closed; 0: no limit") \
    X(CACHE_BYTES_MAX, "cache-bytes-max", "", SIZE, "", 1048576, 1099511627776, "32Mi", START,     \
      "bytes of indexes in memory for segments that wait to be sealed")                            \
    X(DATABASES, "databases", "databases", INTEGER, "", 1, 16, "16", START,                        \
      "how many numbers SELECT takes; keys of number 9 are the streams that begin with db9:")      \
    X(EPHEMERAL_TOPICS, "ephemeral-topics", "", LIST, "", 0, 16384, "", LIVE,                      \
      "patterns of channels whose messages are delivered and not stored")                          \
    X(STREAM_NODE_MAX_ENTRIES, "stream-node-max-entries", "stream-node-max-entries", INTEGER, "",  \
      100, 100, "100", START, "entries of a node, which trimming with ~ goes by: always 100")      \
    X(SSE_HEARTBEAT, "sse-heartbeat", "", DURATION, "", 10, 3600000, "15s", LIVE,                  \
      "how often a subscriber over HTTP is sent something, if only a comment")                     \
    X(RETAIN_BYTES, "retain-bytes", "", SIZE, "", 0, UINT64_MAX, "0", START,                       \
      "the oldest segments are dropped where the log is larger; 0: never")                         \
    X(RETAIN_AGE, "retain-age", "", DURATION, "", 0, UINT64_MAX / 1000, "0s", START,               \
      "segments whose events are all older are dropped; 0: never")                                 \
    X(AGENT_STALE_AFTER, "agent-stale-after", "", DURATION, "", 1, 31536000000, "30s", LIVE,       \
      "an agent that was silent for so long is stale: it is not offered as free")                  \
    X(AGENT_SUSPECT_AFTER, "agent-suspect-after", "", DURATION, "", 1, 31536000000, "90s", LIVE,   \
      "an agent that was silent for so long is suspected to have failed, and an event says so")    \
    X(AGENT_GRACE, "agent-grace", "", DURATION, "", 0, 31536000000, "2s", LIVE,                    \
      "how long an agent whose connections are all gone has to come back")                         \
    X(PROJECTIONS, "projections", "", BOOLEAN, "", 0, 1, "yes", START,                             \
      "whether projections run here, and read models with them")                                   \
    X(READ_MODELS, "read-models", "", TEXT, "", 0, 2048, "sqlite", START,                          \
      "where read models live: sqlite is the folder projections of the data folder; or the URL "   \
      "of a PostgreSQL database, postgres://...")                                                  \
    X(PROJECTION_GRACE, "projection-grace", "", DURATION, "", 0, 31536000000, "60s", START,        \
      "how long the build that a rebuilt read model has replaced is kept")                         \
    X(SNAPSHOT_BYTES, "snapshot-bytes", "", SIZE, "", 0, 1099511627776, "1Gi", START,              \
      "disk that snapshots of read models may take, from which states of the past begin; 0: none") \
    X(QUERY_THREADS, "query-threads", "", INTEGER, "", 1, 64, "2", START,                          \
      "queries over read models that run at a time")                                               \
    X(QUERY_QUEUE, "query-queue", "", INTEGER, "", 0, 100000, "1024", LIVE,                        \
      "queries that wait beside them; one more is refused")                                        \
    X(QUERY_TIMEOUT, "query-timeout", "", DURATION, "", 1, 86400000, "10s", LIVE,                  \
      "how long a query may take that does not say, waiting included")                             \
    X(QUERY_TIMEOUT_MAX, "query-timeout-max", "", DURATION, "", 1, 86400000, "5m", LIVE,           \
      "the longest that a query may ask for")                                                      \
    X(QUERY_ROWS_MAX, "query-rows-max", "", INTEGER, "", 1, 100000000, "1000000", LIVE,            \
      "the most rows that a query may ask for; one that does not say has 10000")                   \
    X(QUERY_BYTES_MAX, "query-bytes-max", "", SIZE, "", 65536, 1073741824, "16Mi", LIVE,           \
      "bytes of the values of one answer")                                                         \
    X(LOG_FORMAT, "log-format", "", CHOICE, "logfmt json", 0, 1, "logfmt", LIVE,                   \
      "how log lines on stderr are written")                                                       \
    X(LOG_LEVEL, "log-level", "loglevel", CHOICE, "debug info warn error", 0, 3, "info", LIVE,     \
      "the least grave lines that are logged")

enum sp_setting_id {
#define SP_SETTING_ENUM_(id, name, redis, type, choices, least, most, initial, when, meaning)      \
    SP_SET_##id,
    SP_SETTING_TABLE(SP_SETTING_ENUM_)
#undef SP_SETTING_ENUM_
        SP_SET_COUNT,
};

/* The numbers are those of enum sp_log_local_durability. */
enum { SP_DURABILITY_ALWAYS, SP_DURABILITY_INTERVAL, SP_DURABILITY_OS };

struct sp_setting {
    const char *name;
    const char *redis_name; /* empty where Redis has none */
    enum sp_setting_type type;
    const char *choices; /* words between blanks */
    uint64_t least;      /* of a text or list: bytes */
    uint64_t most;
    const char *initial;
    bool live; /* CONFIG SET may change it */
    const char *meaning;
};

/* The table, SP_SET_COUNT rows by id. Static storage. */
const struct sp_setting *sp_setting_table(void);

/*
 * The row of this name, spoor's or Redis'; SP_SET_COUNT where there is none. Case does not count.
 */
enum sp_setting_id sp_setting_find(sp_str name);

struct sp_settings {
    uint64_t numbers[SP_SET_COUNT]; /* of every type but text and list */
    char *texts[SP_SET_COUNT];      /* of texts and lists; owned, NUL-terminated */
    bool given[SP_SET_COUNT];       /* set since the defaults were */
};

/* Sets all defaults. SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_settings_init(struct sp_settings *settings);
void sp_settings_fini(struct sp_settings *settings);

/*
 * Sets one. A plain number of a size is bytes, of a duration seconds, under both names. SP_INVALID
 * with what was expected; nothing has changed then.
 */
SP_WARN_UNUSED sp_status sp_settings_set(struct sp_settings *settings, enum sp_setting_id id,
                                         sp_str value, struct sp_error *error);

/* Reads lines `name value`; `#` begins a comment. SP_INVALID names the line. */
SP_WARN_UNUSED sp_status sp_settings_read(struct sp_settings *settings, sp_str text,
                                          struct sp_error *error);

/*
 * Appends the value as sp_settings_set takes it; by Redis' name as Redis would say it (bytes,
 * seconds, yes and no).
 */
void sp_settings_format(const struct sp_settings *settings, enum sp_setting_id id,
                        bool by_redis_name, struct sp_buf *to);

/* The word of a choice. */
sp_str sp_setting_choice(const struct sp_setting *setting, uint64_t number);

static inline uint64_t sp_settings_u64(const struct sp_settings *settings, enum sp_setting_id id) {
    return settings->numbers[id];
}

static inline sp_str sp_settings_text(const struct sp_settings *settings, enum sp_setting_id id) {
    return sp_str_from(settings->texts[id]);
}

/* Appends docs/settings.md's table. */
void sp_settings_document(struct sp_buf *to);

#endif
