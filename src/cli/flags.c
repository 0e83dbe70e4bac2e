#include <string.h>

#include "cli/args.h"
#include "cli/command.h"
#include "server/settings.h"

static const struct sp_flag FLAGS[SP_FLAG_COUNT] = {
    [SP_FLAG_DATA] = {.name = "data",
                      .kind = SP_FLAG_TEXT,
                      .value = "DIR",
                      .help = "data folder (default: $SPOOR_DATA, else ./data)"},
    [SP_FLAG_JSON] = {.name = "json", .help = "NDJSON on stdout, also on a terminal"},
    [SP_FLAG_NO_COLOR] = {.name = "no-color", .help = "no colours (as does a set NO_COLOR)"},
    [SP_FLAG_QUIET] = {.name = "quiet", .letter = 'q', .help = "no messages but errors"},
    [SP_FLAG_HELP] = {.name = "help", .letter = 'h', .help = "help on the command"},

    [SP_FLAG_URL] = {.name = "url",
                     .kind = SP_FLAG_TEXT,
                     .value = "URL",
                     .help = "a server (default: $SPOOR_URL, else http://127.0.0.1:7380)"},

    [SP_FLAG_TYPE] = {.name = "type",
                      .kind = SP_FLAG_TEXT,
                      .is_repeatable = true,
                      .value = "PATTERN",
                      .help = "only types that match, as 'task.*'; repeatable"},
    [SP_FLAG_SOURCE] = {.name = "source",
                        .kind = SP_FLAG_TEXT,
                        .value = "S",
                        .help = "only events of this source"},
    [SP_FLAG_STREAM] = {.name = "stream",
                        .kind = SP_FLAG_TEXT,
                        .value = "S",
                        .help = "only events of this stream"},
    [SP_FLAG_CORRELATION] = {.name = "correlation",
                             .kind = SP_FLAG_TEXT,
                             .value = "ID",
                             .help = "only events of this run"},
    [SP_FLAG_FILTER] = {.name = "filter",
                        .kind = SP_FLAG_TEXT,
                        .value = "JSON",
                        .help = "only events that this filter accepts"},
    [SP_FLAG_FROM] = {.name = "from",
                      .kind = SP_FLAG_TEXT,
                      .value = "WHEN",
                      .help = "first position, entryid, RFC 3339 time, or -10m"},
    [SP_FLAG_UNTIL] = {.name = "until",
                       .kind = SP_FLAG_TEXT,
                       .value = "WHEN",
                       .help = "last one, likewise; inclusive"},
    [SP_FLAG_LIMIT] = {.name = "limit",
                       .kind = SP_FLAG_NUMBER,
                       .value = "N",
                       .help = "at most so many"},
    [SP_FLAG_REVERSE] = {.name = "reverse", .help = "newest first"},

    [SP_FLAG_RAW] = {.name = "raw", .help = "data as it is stored, not brought up by upcasters"},
    [SP_FLAG_AT] = {.name = "at",
                    .kind = SP_FLAG_TEXT,
                    .value = "WHEN",
                    .help = "as it was at its N-th event, or at this moment"},
    [SP_FLAG_OUT] = {.name = "out",
                     .letter = 'o',
                     .kind = SP_FLAG_TEXT,
                     .value = "FILE",
                     .help = "write to this file, compressed where it ends in .zst"},
    [SP_FLAG_SKIP_BAD] = {.name = "skip-bad", .help = "go on behind lines that are no event"},
    [SP_FLAG_CREATE] = {.name = "create", .help = "make the store where there is none"},

    [SP_FLAG_EVENT_SOURCE] = {.name = "source",
                              .kind = SP_FLAG_TEXT,
                              .value = "S",
                              .help = "who did it (default: user:$USER)"},
    [SP_FLAG_EVENT_STREAM] = {.name = "stream",
                              .kind = SP_FLAG_TEXT,
                              .value = "S",
                              .help = "the stream (default: the source)"},
    [SP_FLAG_EVENT_CORRELATION] = {.name = "correlation",
                                   .kind = SP_FLAG_TEXT,
                                   .value = "ID",
                                   .help = "the run (default: that of the cause)"},
    [SP_FLAG_EVENT_CAUSATION] = {.name = "causation",
                                 .kind = SP_FLAG_TEXT,
                                 .value = "ID",
                                 .help = "id of the event that caused it"},
    [SP_FLAG_EVENT_ID] = {.name = "id",
                          .kind = SP_FLAG_TEXT,
                          .value = "ID",
                          .help = "the event's id (default: a new UUID)"},
    [SP_FLAG_EVENT_TIME] = {.name = "time",
                            .kind = SP_FLAG_TEXT,
                            .value = "TIME",
                            .help = "the producer's time, RFC 3339"},
    [SP_FLAG_EVENT_SCHEMAVERSION] = {.name = "schemaversion",
                                     .kind = SP_FLAG_TEXT,
                                     .value = "V",
                                     .help = "version of the data's schema"},
    [SP_FLAG_EVENT_CONTENT_TYPE] = {.name = "content-type",
                                    .kind = SP_FLAG_TEXT,
                                    .value = "TYPE",
                                    .help = "of the data (default: JSON)"},
    [SP_FLAG_EVENT_METADATA] = {.name = "metadata",
                                .kind = SP_FLAG_TEXT,
                                .value = "JSON",
                                .help = "a JSON object"},
    [SP_FLAG_EXPECT] = {.name = "expect",
                        .kind = SP_FLAG_TEXT,
                        .value = "N|none|any",
                        .help = "only if the stream is at this version"},

    [SP_FLAG_EVENTS] = {.name = "events",
                        .kind = SP_FLAG_NUMBER,
                        .value = "N",
                        .help = "how many events"},
    [SP_FLAG_OUTSTANDING] = {.name = "outstanding",
                             .kind = SP_FLAG_NUMBERS,
                             .value = "N,…",
                             .help = "appends in flight at once; one measurement each"},
    [SP_FLAG_SIZE] = {.name = "size",
                      .kind = SP_FLAG_NUMBER,
                      .value = "BYTES",
                      .help = "of an event (default: 300)"},
    [SP_FLAG_IDS] = {.name = "ids",
                     .kind = SP_FLAG_TEXT,
                     .value = "store|uuid4",
                     .help = "who makes the ids (default: the store)"},
    [SP_FLAG_STREAMS] = {.name = "streams",
                         .kind = SP_FLAG_NUMBERS,
                         .value = "N,…",
                         .help = "how many streams the events are spread over"},
    [SP_FLAG_BYTES] = {.name = "bytes",
                       .kind = SP_FLAG_NUMBER,
                       .value = "BYTES",
                       .help = "size of the log to build (default: 10Gi)"},
    [SP_FLAG_SEGMENT_BYTES] = {.name = "segment-bytes",
                               .kind = SP_FLAG_NUMBER,
                               .value = "BYTES",
                               .help = "of one log file at most (default: the store's)"},
    [SP_FLAG_KEEP] = {.name = "keep", .help = "keep the log that was built, and reuse one kept"},
    [SP_FLAG_SEED] = {.name = "seed",
                      .kind = SP_FLAG_NUMBER,
                      .value = "N",
                      .help = "of the random events (default: 1)"},
};

/* How the value of a setting is shown in help. */
#define VALUE_SIZE     "BYTES"
#define VALUE_DURATION "TIME"
#define VALUE_INTEGER  "N"
#define VALUE_BOOLEAN  NULL
#define VALUE_CHOICE   "WORD"
#define VALUE_TEXT     "TEXT"
#define VALUE_LIST     "WORDS"
#define KIND_SIZE      SP_FLAG_TEXT
#define KIND_DURATION  SP_FLAG_TEXT
#define KIND_INTEGER   SP_FLAG_TEXT
#define KIND_BOOLEAN   SP_FLAG_SWITCH
#define KIND_CHOICE    SP_FLAG_TEXT
#define KIND_TEXT      SP_FLAG_TEXT
#define KIND_LIST      SP_FLAG_TEXT

const struct sp_flag sp_serve_flags[] = {
#define FLAG(id, name_, redis, type, choices, least, most, initial, when, meaning)                 \
    [SP_SET_##id] = {.name = name_, .kind = KIND_##type, .value = VALUE_##type, .help = meaning},
    SP_SETTING_TABLE(FLAG)
#undef FLAG
        [SP_SET_COUNT] = {.name = "config",
                          .kind = SP_FLAG_TEXT,
                          .value = "FILE",
                          .help = "lines of settings: name value"},
};

_Static_assert((int)SP_SET_COUNT < (int)SP_ARGS_OWN_MAX, "all have a place");

/* Named as the options of SPOOR.GROUP are. */
const struct sp_flag sp_group_flags[] = {
    {.name = "type",
     .kind = SP_FLAG_TEXT,
     .value = "PATTERN",
     .help = "only entries of these types"},
    {.name = "filter", .kind = SP_FLAG_TEXT, .value = "JSON", .help = "only what it accepts"},
    {.name = "ack-wait",
     .kind = SP_FLAG_TEXT,
     .value = "TIME",
     .help = "how long an attempt may take (default: 30s)"},
    {.name = "max-deliveries",
     .kind = SP_FLAG_TEXT,
     .value = "N",
     .help = "attempts, after which an entry is dead (default: 5)"},
    {.name = "backoff",
     .kind = SP_FLAG_TEXT,
     .value = "TEXT",
     .help = "between attempts (default: '1s..60s x2 jitter 0.2')"},
    {.name = "order-by",
     .kind = SP_FLAG_TEXT,
     .value = "WORD",
     .help = "one at a time of each stream, source or correlation"},
    {.name = "max-in-flight",
     .kind = SP_FLAG_TEXT,
     .value = "N",
     .help = "entries in flight at most, of all workers"},
    {.name = "on-leave",
     .kind = SP_FLAG_TEXT,
     .value = "return|keep",
     .help = "what a worker had that disconnects"},
    [SP_GROUP_FROM] = {.name = "from",
                       .kind = SP_FLAG_TEXT,
                       .value = "WHEN",
                       .help = "where it begins: 0, -1h, a position (default: now)"},
    [SP_GROUP_MKSTREAM] = {.name = "mkstream", .help = "make the stream where there is none"},
};

const struct sp_flag sp_dead_flags[] = {
    [SP_DEAD_ALL] = {.name = "all", .help = "every dead entry"},
    [SP_DEAD_OLDEST] = {.name = "count",
                        .kind = SP_FLAG_TEXT,
                        .value = "N",
                        .help = "the oldest so many"},
};

const struct sp_flag sp_run_fork_flags[] = {
    [SP_RUN_FORK_AT] = {.name = "at",
                        .kind = SP_FLAG_TEXT,
                        .value = "N|EVENT",
                        .help = "the last event that is shared: its position, or its id"},
    [SP_RUN_FORK_ID] = {.name = "id",
                        .kind = SP_FLAG_TEXT,
                        .value = "ID",
                        .help = "of the new run; one is made where it is missing"},
    [SP_RUN_FORK_BY] = {.name = "by", .kind = SP_FLAG_TEXT, .value = "WHO", .help = "who asks"},
    [SP_RUN_FORK_REASON] = {.name = "reason",
                            .kind = SP_FLAG_TEXT,
                            .value = "TEXT",
                            .help = "why, for the record"},
};

const struct sp_flag sp_publish_flags[] = {
    [SP_PUBLISH_DELIVER_AT] = {.name = "deliver-at",
                               .kind = SP_FLAG_TEXT,
                               .value = "TIME",
                               .help = "when it is to happen, RFC 3339; until then it waits"},
    [SP_PUBLISH_IN] = {.name = "in",
                       .kind = SP_FLAG_TEXT,
                       .value = "TIME",
                       .help = "how long it waits: 30s, 5m, 1h30m"},
};

const struct sp_flag sp_agent_flags[] = {
    [SP_AGENT_CAPABILITY] = {.name = "capability",
                             .kind = SP_FLAG_TEXT,
                             .value = "C",
                             .help = "only agents that can do this"},
    [SP_AGENT_STATUS] = {.name = "status",
                         .kind = SP_FLAG_TEXT,
                         .value = "S",
                         .help = "online, stale, suspected or offline"},
    [SP_AGENT_FREE] = {.name = "free", .help = "only those online that have capacity left"},
};

const struct sp_flag sp_schema_flags[] = {
    [SP_SCHEMA_TYPE] = {.name = "type",
                        .kind = SP_FLAG_TEXT,
                        .value = "T",
                        .help = "of the events that it is for"},
    [SP_SCHEMA_VERSION] = {.name = "version",
                           .kind = SP_FLAG_TEXT,
                           .value = "V",
                           .help = "of the schema: the schemaversion of the events"},
    [SP_SCHEMA_COMPATIBILITY] = {.name = "compatibility",
                                 .kind = SP_FLAG_TEXT,
                                 .value = "C",
                                 .help = "with the version before: backward, forward, full, none"},
    [SP_SCHEMA_ENFORCE_FLAG] = {.name = "enforce", .help = "refuse events that are not valid"},
    [SP_SCHEMA_WARN_FLAG] = {.name = "warn", .help = "store them, and say so in the server's log"},
    [SP_SCHEMA_OFF_FLAG] = {.name = "off", .help = "look at none"},
    [SP_SCHEMA_BUILTIN] = {.name = "builtin",
                           .help = "the vocabulary's schema of the type, in place of a file"},
};

const struct sp_flag sp_schema_ls_flags[] = {
    [SP_SCHEMA_REGISTERED] = {.name = "registered", .help = "only what is registered in the store"},
};

const struct sp_flag sp_schema_check_flags[] = {
    [SP_SCHEMA_PLAIN] = {.name = "plain", .help = "the files hold data, not events"},
};

const struct sp_flag sp_saga_check_flags[] = {
    [SP_SAGA_CHECK_PRINT] = {.name = "print", .help = "write the canonical JSON of what is good"},
};

const struct sp_flag sp_state_flags[] = {
    [SP_STATE_BY] = {.name = "by",
                     .kind = SP_FLAG_TEXT,
                     .value = "WORD",
                     .help = "own: times of the events (default); recorded: of recording"},
    [SP_STATE_DIFF] = {.name = "diff",
                       .kind = SP_FLAG_TEXT,
                       .value = "A..B",
                       .help = "what changed between two moments"},
    [SP_STATE_TABLE] = {.name = "table",
                        .kind = SP_FLAG_TEXT,
                        .value = "T",
                        .help = "this table of it (default: that of its name)"},
    [SP_STATE_SQL] = {.name = "sql",
                      .kind = SP_FLAG_TEXT,
                      .value = "SQL",
                      .help = "a statement over it, instead of a table"},
    [SP_STATE_CSV] = {.name = "csv", .help = "CSV on stdout"},
};

const struct sp_flag sp_saga_test_flags[] = {
    [SP_SAGA_TEST_ONLY] = {.name = "only",
                           .kind = SP_FLAG_TEXT,
                           .value = "TEXT",
                           .help = "cases with this in their name"},
    [SP_SAGA_TEST_SHOW] = {.name = "show", .help = "show the events of cases that pass, too"},
};

const struct sp_flag sp_top_flags[] = {
    [SP_TOP_ONCE] = {.name = "once", .help = "show it once and end"},
};

bool sp_flag_is_common(const struct sp_flag *flag) {
    for (unsigned i = 0; i < SP_FLAG_COUNT; i++) {
        if ((SP_FLAGS_GLOBAL & SP_FLAG_BIT(i)) != 0 && strcmp(flag->name, FLAGS[i].name) == 0) {
            return true;
        }
    }
    return false;
}

const struct sp_flag *sp_flag_table(void) {
    return FLAGS;
}
