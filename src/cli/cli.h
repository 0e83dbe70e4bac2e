/*
 * What every command is given, and the few things they all do: open the store, read events, show
 * one, say what went wrong. loop-thread
 *
 * stdout is data, stderr is messages, each line of which begins with `spoor: `.
 */
#ifndef SP_CLI_CLI_H
#define SP_CLI_CLI_H

#include "base/error.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/out.h"
#include "spoor.h"

/* Exit codes of the program; scripts rely on them. */
enum sp_exit {
    SP_EXIT_OK = 0,
    SP_EXIT_FAILURE = 1,
    SP_EXIT_USAGE = 2,
    SP_EXIT_NOT_FOUND = 3,
    SP_EXIT_CONFLICT = 4,
    SP_EXIT_DENIED = 5,
    SP_EXIT_DAMAGED = 6, /* verification failed, or a read met damage */
    SP_EXIT_TIMEOUT = 7,
    SP_EXIT_INTERRUPTED = 130, /* as a shell says it of SIGINT */
};

struct sp_cli {
    struct sp_args args;
    struct sp_out out;     /* stdout */
    const char *folder;    /* the data folder */
    const char *url;       /* of the server in its place; NULL: the folder it is */
    bool is_url_guessed;   /* nobody named it: the folder is good as well */
    char place[512];       /* which it is, for messages: without secrets */
    bool wants_json;       /* NDJSON: asked for, or stdout is no terminal */
    bool is_json_explicit; /* --json was given */
    bool is_quiet;
    struct sp_registry *schemas;    /* that upcasters are held to; NULL likewise */
    struct sp_upcasters *upcasters; /* NULL: events are shown as they are stored */
    char *json;                     /* a buffer of spoor_format_json's */
    size_t json_capacity;
};

/* Runs the command line; returns the exit code. */
int sp_cli_main(int argc, char *const argv[]);

/* The exit code that stands for a status. */
int sp_cli_exit_code(spoor_status status);

/* Says something on stderr, unless --quiet. */
void sp_cli_say(const struct sp_cli *cli, const char *format, ...) SP_PRINTF(2, 3);

/* Says what went wrong on stderr; also without a context. Control characters are made safe. */
void sp_cli_complain(const char *format, ...) SP_PRINTF(1, 2);

/* Says what a call of the library reported; returns the exit code. */
int sp_cli_fail(const spoor_error *error);

/* Says that the command was called wrongly, and where help is; returns SP_EXIT_USAGE. */
int sp_cli_usage(const struct sp_cli *cli, const char *text);

/*
 * Opens the server, or the data folder where one is named or no server answers at the usual place.
 * On failure says why; returns an exit code.
 */
SP_WARN_UNUSED int sp_cli_open(struct sp_cli *cli, unsigned flags, spoor **ret_store);

/* Where a server is looked for that nobody named. */
#define SP_CLI_URL_USUAL "http://127.0.0.1:7380"

/* The command asks a server: where nothing is named, that at the usual place. */
void sp_cli_want_server(struct sp_cli *cli);

/* Who asks where nobody is named: `user:` and the person at the keyboard. */
enum { SP_CLI_WHO_SIZE = 128 };
void sp_cli_who(char who[SP_CLI_WHO_SIZE]);

/* Writes cli->place anew, after url has changed. */
void sp_cli_name_place(struct sp_cli *cli);

/* The query that the options describe; borrowed from the arguments. */
spoor_query sp_cli_query(const struct sp_args *args);

/*
 * Events that are shown from now on are brought up by the store's upcasters, unless --raw was
 * given. Returns an exit code. cli/upcast.c.
 */
SP_WARN_UNUSED int sp_cli_upcast(struct sp_cli *cli, spoor *store);

/*
 * The event as it is to be shown: itself, or `room` until the next call. Says what is wrong;
 * returns an exit code.
 */
SP_WARN_UNUSED int sp_cli_view(struct sp_cli *cli, const spoor_event *event, spoor_event *room,
                               const spoor_event **ret_event);

/* Called once per event, which it may show. */
typedef int sp_cli_event_fn(void *context, spoor_cursor *cursor, const spoor_event *event);

/*
 * Reads the cursor to its end, or until `each` returns something else than SP_EXIT_OK, or nobody
 * reads stdout any more; then closes it. Damaged events are said and passed over. `ret_count` (may
 * be NULL) counts what `each` was shown. Returns the exit code.
 */
int sp_cli_read(struct sp_cli *cli, spoor_cursor *cursor, sp_cli_event_fn *each, void *context,
                uint64_t *ret_count);

/* Appends the event as one line of JSON with its hash. Returns the exit code. */
int sp_cli_add_json(struct sp_cli *cli, struct sp_buf *to, spoor_cursor *cursor,
                    const spoor_event *event);

/* As sp_cli_add_json, to stdout; fits sp_cli_event_fn, the context being the sp_cli. */
int sp_cli_show_json(void *context, spoor_cursor *cursor, const spoor_event *event);

/*
 * The id of the event that the user means: the text itself where an event has it as its id, else,
 * where it is a number, the id of the event at that position. Writes it with a NUL. Returns the
 * exit code; what cannot be found is said.
 */
enum { SP_CLI_ID_SIZE = 4096 };
SP_WARN_UNUSED int sp_cli_find_id(const struct sp_cli *cli, spoor *store, const char *text,
                                  char ret_id[SP_CLI_ID_SIZE]);

/* The commands; see commands.c for what each does. */
sp_command_fn sp_cmd_serve;
sp_command_fn sp_cmd_import;
sp_command_fn sp_cmd_export;
sp_command_fn sp_cmd_publish;
sp_command_fn sp_cmd_events;
sp_command_fn sp_cmd_event;
sp_command_fn sp_cmd_why;
sp_command_fn sp_cmd_effects;
sp_command_fn sp_cmd_stream_ls;
sp_command_fn sp_cmd_stream_show;
sp_command_fn sp_cmd_run_ls;
sp_command_fn sp_cmd_run_show;
sp_command_fn sp_cmd_run_fork;
sp_command_fn sp_cmd_run_resume;
sp_command_fn sp_cmd_state;
sp_command_fn sp_cmd_query;
sp_command_fn sp_cmd_saga_test;
sp_command_fn sp_cmd_schema_ls;
sp_command_fn sp_cmd_schema_show;
sp_command_fn sp_cmd_schema_export;
sp_command_fn sp_cmd_schema_add;
sp_command_fn sp_cmd_schema_rm;
sp_command_fn sp_cmd_schema_check;
sp_command_fn sp_cmd_tail;
sp_command_fn sp_cmd_upcaster_ls;
sp_command_fn sp_cmd_upcaster_add;
sp_command_fn sp_cmd_upcaster_rm;
sp_command_fn sp_cmd_command_ls;
sp_command_fn sp_cmd_command_show;
sp_command_fn sp_cmd_command_add;
sp_command_fn sp_cmd_command_run;
sp_command_fn sp_cmd_command_rm;
sp_command_fn sp_cmd_saga_check;
sp_command_fn sp_cmd_group_ls;
sp_command_fn sp_cmd_group_create;
sp_command_fn sp_cmd_group_set;
sp_command_fn sp_cmd_group_lag;
sp_command_fn sp_cmd_group_rm;
sp_command_fn sp_cmd_dead_ls;
sp_command_fn sp_cmd_dead_redrive;
sp_command_fn sp_cmd_dead_discard;
sp_command_fn sp_cmd_projection_ls;
sp_command_fn sp_cmd_projection_show;
sp_command_fn sp_cmd_projection_add;
sp_command_fn sp_cmd_projection_rebuild;
sp_command_fn sp_cmd_projection_resume;
sp_command_fn sp_cmd_projection_status;
sp_command_fn sp_cmd_projection_rm;
sp_command_fn sp_cmd_saga_ls;
sp_command_fn sp_cmd_saga_start;
sp_command_fn sp_cmd_saga_show;
sp_command_fn sp_cmd_saga_ask;
sp_command_fn sp_cmd_flow_add;
sp_command_fn sp_cmd_flow_show;
sp_command_fn sp_cmd_approval_ls;
sp_command_fn sp_cmd_join_ls;
sp_command_fn sp_cmd_schedule_ls;
sp_command_fn sp_cmd_timer_ls;
sp_command_fn sp_cmd_agent_ls;
sp_command_fn sp_cmd_agent_show;
sp_command_fn sp_cmd_top;
sp_command_fn sp_cmd_info;
sp_command_fn sp_cmd_verify;
sp_command_fn sp_cmd_bench_append;
sp_command_fn sp_cmd_bench_replay;
sp_command_fn sp_cmd_bench_open;
sp_command_fn sp_cmd_bench_query;
sp_command_fn sp_cmd_bench_streams;
sp_command_fn sp_cmd_help;
sp_command_fn sp_cmd_completion;
sp_command_fn sp_cmd_version;

/* `help` and `help COMMAND`; also for --help. */
int sp_help_show(struct sp_out *out, const struct sp_command *command);

#endif
