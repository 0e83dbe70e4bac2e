/*
 * The commands and the options of the command line, as data: parsing, help and shell completion all
 * derive from these two tables, and a test holds docs/cli.md to them. pure
 *
 * A command of two words ("stream ls") is one row; the first word alone is no command. Two options
 * may share a name where no command accepts both: `--source` restricts a query and names a
 * publisher.
 */
#ifndef SP_CLI_COMMAND_H
#define SP_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sp_flag_id {
    /* Every command takes these. */
    SP_FLAG_DATA = 0,
    SP_FLAG_JSON,
    SP_FLAG_NO_COLOR,
    SP_FLAG_QUIET,
    SP_FLAG_HELP,
    /* Of every command that works over a server as well. */
    SP_FLAG_URL,
    /* Queries. */
    SP_FLAG_TYPE,
    SP_FLAG_SOURCE,
    SP_FLAG_STREAM,
    SP_FLAG_CORRELATION,
    SP_FLAG_FILTER,
    SP_FLAG_FROM,
    SP_FLAG_UNTIL,
    SP_FLAG_LIMIT,
    SP_FLAG_REVERSE,
    /* Of one command or two. */
    SP_FLAG_AT,
    SP_FLAG_RAW,
    SP_FLAG_OUT,
    SP_FLAG_SKIP_BAD,
    SP_FLAG_CREATE,
    /* publish: the attributes of the event. */
    SP_FLAG_EVENT_SOURCE,
    SP_FLAG_EVENT_STREAM,
    SP_FLAG_EVENT_CORRELATION,
    SP_FLAG_EVENT_CAUSATION,
    SP_FLAG_EVENT_ID,
    SP_FLAG_EVENT_TIME,
    SP_FLAG_EVENT_SCHEMAVERSION,
    SP_FLAG_EVENT_CONTENT_TYPE,
    SP_FLAG_EVENT_METADATA,
    SP_FLAG_EXPECT,
    /* bench. */
    SP_FLAG_EVENTS,
    SP_FLAG_OUTSTANDING,
    SP_FLAG_SIZE,
    SP_FLAG_IDS,
    SP_FLAG_STREAMS,
    SP_FLAG_BYTES,
    SP_FLAG_SEGMENT_BYTES,
    SP_FLAG_KEEP,
    SP_FLAG_SEED,
    SP_FLAG_COUNT,
};

enum sp_flag_kind {
    SP_FLAG_SWITCH, /* takes no value */
    SP_FLAG_TEXT,
    SP_FLAG_NUMBER,  /* a whole number; k, M, G for thousands, Ki, Mi, Gi for powers of 1024 */
    SP_FLAG_NUMBERS, /* several, joined by commas */
};

struct sp_flag {
    const char *name; /* without the hyphens */
    char letter;      /* -q; 0 where there is none */
    enum sp_flag_kind kind;
    bool is_repeatable;
    const char *value; /* what stands for the value in help; NULL for a switch */
    const char *help;  /* one line */
};

#define SP_FLAG_BIT(id) (UINT64_C(1) << (id))

#define SP_FLAGS_GLOBAL                                                                            \
    (SP_FLAG_BIT(SP_FLAG_DATA) | SP_FLAG_BIT(SP_FLAG_JSON) | SP_FLAG_BIT(SP_FLAG_NO_COLOR) |       \
     SP_FLAG_BIT(SP_FLAG_QUIET) | SP_FLAG_BIT(SP_FLAG_HELP))

struct sp_cli;

/* Runs a command; returns the exit code. */
typedef int sp_command_fn(struct sp_cli *cli);

struct sp_command {
    const char *name;     /* "events", "stream ls" */
    const char *operands; /* "[JSON|-]"; empty where it takes none */
    unsigned operand_count_min;
    unsigned operand_count_max;
    uint64_t flags;                  /* SP_FLAG_BIT of those it accepts besides the global ones */
    const struct sp_flag *own_flags; /* options of this command alone: texts and switches */
    size_t own_flag_count;           /* at most SP_ARGS_OWN_MAX */
    sp_command_fn *run;
    const char *summary;  /* one line */
    const char *text;     /* paragraphs for `help COMMAND`; may be empty */
    const char *examples; /* one command a line; may be empty */
};

struct sp_command_table {
    const struct sp_command *commands; /* the first part, of so many */
    size_t command_count;
    const struct sp_command *more; /* the others */
    size_t more_count;
    const struct sp_flag *flags; /* SP_FLAG_COUNT of them, by id */
};

static inline size_t sp_command_count(const struct sp_command_table *table) {
    return table->command_count + table->more_count;
}

static inline const struct sp_command *sp_command_at(const struct sp_command_table *table,
                                                     size_t i) {
    return i < table->command_count ? &table->commands[i] : &table->more[i - table->command_count];
}

/* The tables of this program. What they point to is static. */
struct sp_command_table sp_command_table(void);

/* Its commands for sagas, approvals, joins, schedules and timers: commands_flow.c. */
extern const struct sp_command sp_flow_commands[];
extern const size_t sp_flow_command_count;

/*
 * The options of `serve`: the server's settings by enum sp_setting_id, then --config. `data` among
 * them is an option of every command, and never reached here.
 */
extern const struct sp_flag sp_serve_flags[];

/* Of `group create`, of which `group set` takes the policy's; of `dead`, `agent` and `top`. */
enum {
    SP_GROUP_POLICY_FLAG_COUNT = 8,
    SP_GROUP_FROM = SP_GROUP_POLICY_FLAG_COUNT,
    SP_GROUP_MKSTREAM,
    SP_GROUP_FLAG_COUNT,
};
extern const struct sp_flag sp_group_flags[];

enum { SP_DEAD_ALL, SP_DEAD_OLDEST, SP_DEAD_FLAG_COUNT };
extern const struct sp_flag sp_dead_flags[];

enum { SP_PUBLISH_DELIVER_AT, SP_PUBLISH_IN, SP_PUBLISH_FLAG_COUNT };
extern const struct sp_flag sp_publish_flags[];

enum { SP_AGENT_CAPABILITY, SP_AGENT_STATUS, SP_AGENT_FREE, SP_AGENT_FLAG_COUNT };
extern const struct sp_flag sp_agent_flags[];

enum {
    SP_RUN_FORK_AT,
    SP_RUN_FORK_ID,
    SP_RUN_FORK_BY,
    SP_RUN_FORK_REASON,
    SP_RUN_FORK_FLAG_COUNT,
};
extern const struct sp_flag sp_run_fork_flags[];

/* Of `query`. */
enum {
    SP_QUERY_FLAG_PARAM,
    SP_QUERY_FLAG_CSV,
    SP_QUERY_FLAG_TABLE,
    SP_QUERY_FLAG_SEEN,
    SP_QUERY_FLAG_TIMEOUT,
    SP_QUERY_FLAG_MAX_ROWS,
    SP_QUERY_FLAG_COUNT,
};
extern const struct sp_flag sp_query_flags[];

enum {
    SP_STATE_BY,
    SP_STATE_DIFF,
    SP_STATE_TABLE,
    SP_STATE_SQL,
    SP_STATE_CSV,
    SP_STATE_FLAG_COUNT,
};
extern const struct sp_flag sp_state_flags[];

enum {
    SP_SCHEMA_TYPE,
    SP_SCHEMA_VERSION,
    SP_SCHEMA_COMPATIBILITY,
    SP_SCHEMA_ENFORCE_FLAG,
    SP_SCHEMA_WARN_FLAG,
    SP_SCHEMA_OFF_FLAG,
    SP_SCHEMA_BUILTIN,
    SP_SCHEMA_FLAG_COUNT,
};
extern const struct sp_flag sp_schema_flags[];

enum { SP_SCHEMA_REGISTERED, SP_SCHEMA_LS_FLAG_COUNT };
extern const struct sp_flag sp_schema_ls_flags[];

enum { SP_SCHEMA_PLAIN, SP_SCHEMA_CHECK_FLAG_COUNT };
extern const struct sp_flag sp_schema_check_flags[];

enum { SP_SAGA_CHECK_PRINT, SP_SAGA_CHECK_FLAG_COUNT };
extern const struct sp_flag sp_saga_check_flags[];

enum { SP_SAGA_TEST_ONLY, SP_SAGA_TEST_SHOW, SP_SAGA_TEST_FLAG_COUNT };
extern const struct sp_flag sp_saga_test_flags[];

enum { SP_TOP_ONCE, SP_TOP_FLAG_COUNT };
extern const struct sp_flag sp_top_flags[];

/* True where every command has an option of this name. */
bool sp_flag_is_common(const struct sp_flag *flag);

/* The options alone, SP_FLAG_COUNT of them. Static storage. */
const struct sp_flag *sp_flag_table(void);

#endif
