/*
 * Every command there is, but those of commands_flow.c. What is not in the tables does not exist:
 * help, completion and the parser read them, and docs/cli.md is compared with them.
 */
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/projections.h"
#include "server/settings.h"

#define BIT(name)    SP_FLAG_BIT(SP_FLAG_##name)
#define FLAGS_WINDOW (BIT(FROM) | BIT(UNTIL) | BIT(LIMIT) | BIT(REVERSE))
#define FLAGS_QUERY                                                                                \
    (BIT(URL) | BIT(TYPE) | BIT(SOURCE) | BIT(STREAM) | BIT(CORRELATION) | BIT(FILTER) |           \
     FLAGS_WINDOW)
#define FLAGS_EVENT                                                                                \
    (BIT(URL) | BIT(EVENT_SOURCE) | BIT(EVENT_STREAM) | BIT(EVENT_CORRELATION) |                   \
     BIT(EVENT_CAUSATION) | BIT(EVENT_ID) | BIT(EVENT_TIME) | BIT(EVENT_SCHEMAVERSION) |           \
     BIT(EVENT_CONTENT_TYPE) | BIT(EVENT_METADATA) | BIT(EXPECT))
#define FLAGS_BENCH (BIT(SIZE) | BIT(IDS) | BIT(STREAMS) | BIT(SEGMENT_BYTES) | BIT(SEED))

static const struct sp_command COMMANDS[] = {
    {
        .name = "serve",
        .operands = "",
        .own_flags = sp_serve_flags,
        .own_flag_count = SP_SET_COUNT + 1,
        .run = sp_cmd_serve,
        .summary = "run the server",
        .text =
            "Opens the data folder, which is made where it is missing, and serves it to clients "
            "of the Redis protocol until SIGTERM or SIGINT: then what was received is finished "
            "and answered, and it exits 0. Prints one line, `ready ...`, once clients can "
            "connect; log lines go to stderr. Every option is also a line, name and value, of "
            "the file that --config names; the command line wins. docs/settings.md tells what "
            "can be changed while it runs.",
        .examples = "spoor serve --data ./data\n"
                    "spoor serve --resp-port 0 --log-format json --config spoor.conf\n",
    },
    {
        .name = "publish",
        .operands = "TYPE [JSON|-]",
        .operand_count_min = 1,
        .operand_count_max = 2,
        .flags = FLAGS_EVENT,
        .own_flags = sp_publish_flags,
        .own_flag_count = SP_PUBLISH_FLAG_COUNT,
        .run = sp_cmd_publish,
        .summary = "append one event",
        .text =
            "Appends one event and returns when it is on stable storage. Its data is the "
            "operand, or stdin where that is -. The same source and id again appends nothing "
            "and gives the first one's position. With --deliver-at or --in it waits, and happens "
            "then; 'timer ls' lists what waits.",
        .examples = "spoor publish task.completed '{\"ok\": true}' --source agent:reviewer\n"
                    "spoor publish order.paid --stream order-7 --expect 3 '{\"amount\": 12}'\n"
                    "spoor publish mail.remind '{\"to\": \"ann\"}' --in 2h\n",
    },
    {
        .name = "import",
        .operands = "FILE|-",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL) | BIT(SKIP_BAD),
        .run = sp_cmd_import,
        .summary = "append the events of an NDJSON file",
        .text = "Reads one event a line, plain or compressed with zstd, and appends those that are "
                "not there yet: an event of a known source and id counts as known. So an import "
                "that was broken off is resumed by running it again. An event without id is given "
                "one that depends on the file's name, the line's number and its text. A line that "
                "is no event ends the import, and what came before is kept; --skip-bad goes on "
                "behind it.",
        .examples = "spoor import runs.jsonl.zst\n"
                    "zcat old.jsonl.gz | spoor import - --data ./archive\n",
    },
    {
        .name = "export",
        .operands = "",
        .flags = FLAGS_QUERY | BIT(OUT),
        .run = sp_cmd_export,
        .summary = "write events as NDJSON",
        .text = "Writes every event, or those of the query, one a line with its hash, in the shape "
                "that import reads. A file given with --out appears under its name only once it is "
                "complete.",
        .examples = "spoor export --out backup.jsonl.zst\n"
                    "spoor export --type 'tool.*' --from -24h | jq .data.tool\n",
    },
    {
        .name = "events",
        .operands = "",
        .flags = FLAGS_QUERY | BIT(RAW),
        .run = sp_cmd_events,
        .summary = "list events",
        .text = "Lists the events that all given options hold for, oldest first. Times are UTC, "
                "the producer's where it gave one.",
        .examples = "spoor events --type 'tool.*' --filter '{\"data.is_error\": true}'\n"
                    "spoor events --correlation run-17 --reverse --limit 5\n",
    },
    {
        .name = "tail",
        .operands = "[PATTERN]",
        .operand_count_max = 1,
        .flags = BIT(URL) | BIT(SOURCE) | BIT(STREAM) | BIT(CORRELATION) | BIT(FILTER) | BIT(FROM) |
                 BIT(LIMIT) | BIT(RAW),
        .run = sp_cmd_tail,
        .summary = "show events as they come",
        .text = "Shows what comes from now on, or from --from on: history first, then what comes, "
                "without gap or double, also where the server is started anew meanwhile. Ends with "
                "Ctrl-C, or after --limit events. Wants a server.",
        .examples = "spoor tail 'task.#' --filter '{\"data.priority\": {\"$gte\": \"high\"}}'\n"
                    "spoor tail --from -10m | jq -r .type\n",
    },
    {
        .name = "event",
        .operands = "ID",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL) | BIT(SOURCE) | BIT(RAW),
        .run = sp_cmd_event,
        .summary = "show one event whole",
        .text = "Shows the event of this id, or the one at this position. Ids are unique per "
                "source: where several used it, all are shown, or that of --source.",
        .examples = "spoor event 42\n",
    },
    {
        .name = "why",
        .operands = "ID",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL) | BIT(RAW),
        .run = sp_cmd_why,
        .summary = "show what led to an event",
        .text = "Follows the causes of the event, an id or a position, back to the root and tells "
                "them oldest first.",
        .examples = "spoor why 42\n",
    },
    {
        .name = "effects",
        .operands = "ID",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL) | BIT(RAW),
        .run = sp_cmd_effects,
        .summary = "show what an event led to",
        .text = "Shows the tree of everything that the event, an id or a position, caused.",
        .examples = "spoor effects 42 --json | jq -r .type | sort | uniq -c\n",
    },
    {
        .name = "stream ls",
        .operands = "",
        .flags = BIT(URL) | BIT(LIMIT),
        .run = sp_cmd_stream_ls,
        .summary = "list streams",
        .text = "Lists the streams in the order of their first events.",
        .examples = "",
    },
    {
        .name = "stream show",
        .operands = "NAME",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL) | BIT(TYPE) | BIT(SOURCE) | BIT(CORRELATION) | BIT(FILTER) |
                 FLAGS_WINDOW | BIT(RAW),
        .run = sp_cmd_stream_show,
        .summary = "list the events of a stream",
        .text = "Lists the events of one stream with their versions.",
        .examples = "spoor stream show order-7 --reverse --limit 1\n",
    },
    {
        .name = "run ls",
        .operands = "",
        .flags = FLAGS_QUERY,
        .run = sp_cmd_run_ls,
        .summary = "list runs",
        .text = "Lists the runs whose first event the query accepts. A run is all events of one "
                "correlation id.",
        .examples = "spoor run ls --reverse --limit 20\n",
    },
    {
        .name = "run show",
        .operands = "ID",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL) | BIT(AT) | BIT(RAW),
        .run = sp_cmd_run_show,
        .summary = "show a run, now or as it was",
        .text =
            "Shows one run: how it stands, what it counts of each type, its events. With --at N "
            "what its N-th event did: its row of `runs` before and after it, and the events "
            "before; likewise at a position (a number that is larger than the run is long), "
            "entryid or time. With --json it is one object.",
        .examples = "spoor run show run-17 --at 5\n"
                    "spoor run show run-17 --at 2026-11-20T05:49:12Z\n",
    },
    {
        .name = "run fork",
        .operands = "ID",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL),
        .own_flags = sp_run_fork_flags,
        .own_flag_count = SP_RUN_FORK_FLAG_COUNT,
        .run = sp_cmd_run_fork,
        .summary = "go on from a point of a run, in a run of its own",
        .text =
            "Makes a run that shares what this one was up to the event --at, and publishes that "
            "event anew in it (of a recorded step: the event that was handled): agents go on from "
            "there, with the results that were recorded. Prints the new run's id.",
        .examples = "spoor run fork run-17 --at 1031 --reason 'another model'\n",
    },
    {
        .name = "run resume",
        .operands = "ID",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL),
        .run = sp_cmd_run_resume,
        .summary = "go on with a run whose handlers gave up",
        .text = "Gives what groups gave up of the run (dead letters) to them again, their attempts "
                "counted from 0: each goes on behind the last step that was recorded. Prints how "
                "many they were.",
        .examples = "spoor run resume run-17\n",
    },
    {
        .name = "query",
        .operands = "[SQL|-]",
        .operand_count_max = 1,
        .flags = BIT(URL),
        .own_flags = sp_query_flags,
        .own_flag_count = SP_QUERY_FLAG_COUNT,
        .run = sp_cmd_query,
        .summary = "ask read models in SQL",
        .text =
            "Runs one SELECT over the tables of projections; without SQL it lists them. A value "
            "of --param that is a number, true, false, null or a \"text\" in JSON is that, all "
            "else is text. Over a folder the tables that are read are brought up to date first, "
            "unless a server does so.",
        .examples = "spoor query\n"
                    "spoor query 'SELECT status, count(*) FROM runs GROUP BY status'\n"
                    "spoor query 'SELECT * FROM agent_stats WHERE agent_id = :id' --param id=anna\n"
                    "spoor query 'SELECT * FROM tool_usage' --csv\n",
    },
    {
        .name = "state",
        .operands = "PROJECTION",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL) | BIT(TYPE) | BIT(SOURCE) | BIT(STREAM) | BIT(CORRELATION) | BIT(FILTER) |
                 BIT(FROM) | BIT(UNTIL) | BIT(LIMIT),
        .own_flags = sp_state_flags,
        .own_flag_count = SP_STATE_FLAG_COUNT,
        .run = sp_cmd_state,
        .summary = "show a read model as it was",
        .text = "Runs a projection over the events up to a moment: a position, an entryid, or a "
                "time, of which the events' own are meant. A query restricts it to some events: of "
                "one run it costs milliseconds. --diff shows which rows came, went and changed. "
                "--limit counts rows.",
        .examples = "spoor state runs --until 2026-11-20T05:49:12Z\n"
                    "spoor state runs --correlation run-17 --until 4711\n"
                    "spoor state agent_stats --diff 1000..2000\n"
                    "spoor state runs --until -1h --sql 'SELECT status, count(*) FROM runs GROUP "
                    "BY 1'\n",
    },
    {
        .name = "saga test",
        .operands = "FILE…",
        .operand_count_min = 1,
        .operand_count_max = 34,
        .own_flags = sp_saga_test_flags,
        .own_flag_count = SP_SAGA_TEST_FLAG_COUNT,
        .run = sp_cmd_saga_test,
        .summary = "test sagas: what happens, and what must come of it, without a store",
        .text = "Plays the cases in the files, or in all YAML and JSON files of a folder: each has "
                "a saga's definition, what workers and people do, and the events that must come "
                "of it. Nothing is stored, no worker is called, and the clock jumps from deadline "
                "to deadline. Each case is played twice, the second time with the process dying "
                "at every append. Exits with 1 where a case fails.",
        .examples = "spoor saga test cases.yaml\n"
                    "spoor saga test ./cases --only approval --show\n",
    },
    {
        .name = "schema ls",
        .operands = "[PATTERN]",
        .operand_count_max = 1,
        .flags = BIT(URL),
        .own_flags = sp_schema_ls_flags,
        .own_flag_count = SP_SCHEMA_LS_FLAG_COUNT,
        .run = sp_cmd_schema_ls,
        .summary = "list the schemas that are registered, and the vocabulary",
        .text = "Lists the schemas that events of the store are held to, if there is a store, and "
                "the event types that agents have in common, with what they mean: those that the "
                "pattern matches, or of the domain that it names. The vocabulary is built in: "
                "nothing is refused because of it, until a schema of it is registered.",
        .examples = "spoor schema ls 'task.*'\n"
                    "spoor schema ls --registered\n"
                    "spoor schema ls security\n",
    },
    {
        .name = "schema show",
        .operands = "TYPE [VERSION]",
        .operand_count_min = 1,
        .operand_count_max = 2,
        .flags = BIT(URL),
        .run = sp_cmd_schema_show,
        .summary = "show a schema, or what an event type means",
        .text = "Shows the newest registered schema of the type, or that version; where none is "
                "registered, what the vocabulary says of the type, who emits it, and what its data "
                "holds. As JSON, both have the JSON Schema (2020-12) of the data.",
        .examples = "spoor schema show task.assigned\n"
                    "spoor schema show tool.called --json | jq .schema\n",
    },
    {
        .name = "schema add",
        .operands = "[FILE]",
        .operand_count_max = 1,
        .flags = BIT(URL),
        .own_flags = sp_schema_flags,
        .own_flag_count = SP_SCHEMA_FLAG_COUNT,
        .run = sp_cmd_schema_add,
        .summary = "register a schema: events of its type are held to it",
        .text = "Registers the JSON Schema (2020-12) in the file, - for stdin, for a type and a "
                "version. A new version has to be compatible with the one before it (backward "
                "where nothing else is said). The same schema again, with --enforce, --warn or "
                "--off, changes what becomes of events that are not valid. --builtin takes the "
                "vocabulary's schema of the type.",
        .examples = "spoor schema add task.json --type task.created --version 1\n"
                    "spoor schema add task.json --type task.created --version 1 --warn\n"
                    "spoor schema add --builtin --type tool.called --enforce\n",
    },
    {
        .name = "schema rm",
        .operands = "TYPE VERSION",
        .operand_count_min = 2,
        .operand_count_max = 2,
        .flags = BIT(URL),
        .run = sp_cmd_schema_rm,
        .summary = "take a registered schema away",
        .text = "Events of this version are held to nothing any more.",
        .examples = "spoor schema rm task.created 1\n",
    },
    {
        .name = "schema check",
        .operands = "FILE [EVENT…]",
        .operand_count_min = 1,
        .operand_count_max = 64,
        .own_flags = sp_schema_check_flags,
        .own_flag_count = SP_SCHEMA_CHECK_FLAG_COUNT,
        .run = sp_cmd_schema_check,
        .summary = "check a schema, or events against it, without a store",
        .text = "Says whether the file is a JSON Schema (2020-12), with line and column of the "
                "mistake. Of events, one JSON object or one a line, - for stdin, the data is held "
                "to the schema. Exits with 1 where something is wrong.",
        .examples = "spoor schema check task.json\n"
                    "spoor schema check task.json events.jsonl\n"
                    "echo '{\"task_id\": 7}' | spoor schema check task.json --plain -\n",
    },
    {
        .name = "schema export",
        .operands = "DIR",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .run = sp_cmd_schema_export,
        .summary = "write the vocabulary's JSON Schemas to files",
        .text = "Writes the schema of each type to DIR/<type>/<version>.json, over what is there.",
        .examples = "spoor schema export ./schemas\n",
    },
    {
        .name = "group ls",
        .operands = "[KEY]",
        .operand_count_max = 1,
        .flags = BIT(URL),
        .run = sp_cmd_group_ls,
        .summary = "list consumer groups",
        .text = "Lists the groups of a server, or those of one key, with what each has in hand. "
                "All of 'group', 'dead' and 'agent' want a server.",
        .examples = "spoor group ls\n",
    },
    {
        .name = "group create",
        .operands = "NAME KEY",
        .operand_count_min = 2,
        .operand_count_max = 2,
        .flags = BIT(URL),
        .own_flags = sp_group_flags,
        .own_flag_count = SP_GROUP_FLAG_COUNT,
        .run = sp_cmd_group_create,
        .summary = "make a group with a policy",
        .text = "Makes a group that shares the entries of a key among workers, tries again what "
                "failed and gives up what keeps failing. The key is a stream, or $all, "
                "$type:PATTERN, $source:ID, $correlation:ID. docs/groups.md tells what the options "
                "mean.",
        .examples = "spoor group create mailers '$type:mail.*' --max-deliveries 3\n"
                    "spoor group create steps '$type:step.#' --order-by correlation --from 0\n",
    },
    {
        .name = "group set",
        .operands = "NAME KEY",
        .operand_count_min = 2,
        .operand_count_max = 2,
        .flags = BIT(URL),
        .own_flags = sp_group_flags,
        .own_flag_count = SP_GROUP_POLICY_FLAG_COUNT,
        .run = sp_cmd_group_set,
        .summary = "change a group's policy",
        .text = "Changes what is given, and leaves the rest of the policy as it is.",
        .examples = "spoor group set mailers '$type:mail.*' --ack-wait 2m\n",
    },
    {
        .name = "group lag",
        .operands = "[NAME KEY]",
        .operand_count_max = 2,
        .flags = BIT(URL),
        .run = sp_cmd_group_lag,
        .summary = "show how far behind groups are",
        .text = "Shows how many events each group, or the one that is named, has not been given "
                "yet, and how old the first of them is.",
        .examples = "spoor group lag\n",
    },
    {
        .name = "group rm",
        .operands = "NAME KEY",
        .operand_count_min = 2,
        .operand_count_max = 2,
        .flags = BIT(URL),
        .run = sp_cmd_group_rm,
        .summary = "drop a group",
        .text = "Drops the group with all it has in hand; the events stay.",
        .examples = "",
    },
    {
        .name = "dead ls",
        .operands = "GROUP KEY",
        .operand_count_min = 2,
        .operand_count_max = 2,
        .flags = BIT(URL) | BIT(LIMIT),
        .run = sp_cmd_dead_ls,
        .summary = "list what a group gave up",
        .text = "Lists dead entries, the oldest first, with the error of the last attempt.",
        .examples = "spoor dead ls mailers '$type:mail.*'\n",
    },
    {
        .name = "dead redrive",
        .operands = "GROUP KEY [ID...]",
        .operand_count_min = 2,
        .operand_count_max = SP_ARGS_OPERANDS_MAX,
        .flags = BIT(URL),
        .own_flags = sp_dead_flags,
        .own_flag_count = SP_DEAD_FLAG_COUNT,
        .run = sp_cmd_dead_redrive,
        .summary = "give dead entries to their group again",
        .text = "Gives the entries of these ids, the oldest --count, or --all, to the group again, "
                "their attempts counted from 0. Prints how many.",
        .examples = "spoor dead redrive mailers '$type:mail.*' --all\n",
    },
    {
        .name = "dead discard",
        .operands = "GROUP KEY [ID...]",
        .operand_count_min = 2,
        .operand_count_max = SP_ARGS_OPERANDS_MAX,
        .flags = BIT(URL),
        .own_flags = sp_dead_flags,
        .own_flag_count = SP_DEAD_FLAG_COUNT,
        .run = sp_cmd_dead_discard,
        .summary = "drop dead entries for good",
        .text = "Takes the entries off the group's list; their letters stay in the log.",
        .examples = "",
    },
    {
        .name = "projection ls",
        .operands = "",
        .flags = BIT(URL),
        .run = sp_cmd_projection_ls,
        .summary = "list projections and how far they are",
        .text =
            "Lists the projections: state, position, how many events behind, and what is wrong.",
        .examples = "spoor projection ls\n",
    },
    {
        .name = "projection add",
        .operands = "FILE|NAME",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL),
        .own_flags = sp_projection_flags,
        .own_flag_count = SP_PROJECTION_FLAG_COUNT,
        .run = sp_cmd_projection_add,
        .summary = "add a projection, or replace it",
        .text =
            "Adds a projection file, or replaces the one of its name, whose tables stay until the "
            "new ones have caught up; waits for that. A name adds one that ships with the program.",
        .examples = "spoor projection add calls.sql\n"
                    "spoor projection add event_search --no-wait\n",
    },
    {
        .name = "projection show",
        .operands = "NAME",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL),
        .run = sp_cmd_projection_show,
        .summary = "show a projection's file",
        .text = "Prints the projection file; with --json its status with it.",
        .examples = "spoor projection show runs > runs.sql\n",
    },
    {
        .name = "projection status",
        .operands = "NAME",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL),
        .run = sp_cmd_projection_status,
        .summary = "show how far a projection is",
        .text = "Shows position, lag, rate, what it stopped at, and how far a rebuild is.",
        .examples = "spoor projection status runs --json | jq .lag_events\n",
    },
    {
        .name = "projection rebuild",
        .operands = "NAME",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL),
        .own_flags = sp_projection_flags,
        .own_flag_count = SP_PROJECTION_FLAG_COUNT,
        .run = sp_cmd_projection_rebuild,
        .summary = "build a projection's tables anew",
        .text =
            "Builds the tables anew beside those that are there, which serve until the new ones "
            "have caught up; waits for that.",
        .examples = "spoor projection rebuild runs\n",
    },
    {
        .name = "projection resume",
        .operands = "NAME",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL),
        .own_flags = sp_projection_flags,
        .own_flag_count = SP_PROJECTION_FLAG_COUNT,
        .run = sp_cmd_projection_resume,
        .summary = "try the event again that a projection stopped at",
        .text = "A projection stops at an event that cannot be applied. This tries it again.",
        .examples = "spoor projection resume calls\n",
    },
    {
        .name = "projection rm",
        .operands = "NAME",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL),
        .run = sp_cmd_projection_rm,
        .summary = "remove a projection and its tables",
        .text =
            "Stops the projection and drops its tables. The events stay: it can be added again.",
        .examples = "spoor projection rm calls\n",
    },
    {
        .name = "upcaster ls",
        .operands = "[TYPE]",
        .operand_count_max = 1,
        .flags = BIT(URL),
        .run = sp_cmd_upcaster_ls,
        .summary = "list what brings old events up",
        .text = "Lists the jq programs that bring the data of old events up to newer versions of "
                "their schema while they are read.",
        .examples = "spoor upcaster ls order.placed\n",
    },
    {
        .name = "upcaster add",
        .operands = "TYPE FROM-TO PROGRAM|@FILE|-",
        .operand_count_min = 3,
        .operand_count_max = 3,
        .flags = BIT(URL),
        .run = sp_cmd_upcaster_add,
        .summary = "bring events of one version up to a newer one",
        .text = "Registers a jq program whose input is the data of an event of version FROM, and "
                "whose result is that of version TO. It runs where events are read; what is stored "
                "does not change. Events without a version are of version 1. Read models that are "
                "there do not change either, until they are rebuilt.",
        .examples = "spoor upcaster add order.placed 1-2 '.currency //= \"EUR\"'\n"
                    "spoor upcaster add order.placed 2-3 @order-2-3.jq\n",
    },
    {
        .name = "upcaster rm",
        .operands = "TYPE FROM-TO",
        .operand_count_min = 2,
        .operand_count_max = 2,
        .flags = BIT(URL),
        .run = sp_cmd_upcaster_rm,
        .summary = "take an upcaster away",
        .text = "Events are shown as if it had never been there.",
        .examples = "spoor upcaster rm order.placed 1-2\n",
    },
    {
        .name = "command ls",
        .operands = "",
        .flags = BIT(URL),
        .run = sp_cmd_command_ls,
        .summary = "list commands that decide",
        .text = "Lists the commands that the server knows: those that ship with it, and those that "
                "were added.",
        .examples = "spoor command ls\n",
    },
    {
        .name = "command show",
        .operands = "NAME",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL),
        .run = sp_cmd_command_show,
        .summary = "show the definition of a command",
        .text = "Shows schema, conditions and what it emits, as JSON.",
        .examples = "spoor command show task.assign\n",
    },
    {
        .name = "command add",
        .operands = "NAME FILE|-",
        .operand_count_min = 2,
        .operand_count_max = 2,
        .flags = BIT(URL),
        .run = sp_cmd_command_add,
        .summary = "define a command",
        .text = "Defines a command, or replaces the one of its name. All of the definition is "
                "checked: its schema, its jq programs, its SQL.",
        .examples = "spoor command add account.open account.open.json\n",
    },
    {
        .name = "command run",
        .operands = "NAME [JSON|-]",
        .operand_count_min = 1,
        .operand_count_max = 2,
        .flags = BIT(URL) | BIT(EVENT_ID) | BIT(EVENT_SOURCE) | BIT(EVENT_CORRELATION) |
                 BIT(EVENT_CAUSATION),
        .run = sp_cmd_command_run,
        .summary = "run a command: its events are appended, or it is refused",
        .text = "Runs a command with this data. Its conditions are looked at and its events "
                "appended in one; where a condition does not hold nothing is appended, and the "
                "exit code is 4. The same --id of the same --source again is answered as the first "
                "time.",
        .examples = "spoor command run task.assign '{\"task_id\": \"t1\", \"agent_id\": \"ann\"}' "
                    "--id assign-t1\n",
    },
    {
        .name = "command rm",
        .operands = "NAME",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL),
        .run = sp_cmd_command_rm,
        .summary = "take a command away",
        .text = "What it appended stays.",
        .examples = "spoor command rm account.open\n",
    },
    {
        .name = "agent ls",
        .operands = "",
        .flags = BIT(URL),
        .own_flags = sp_agent_flags,
        .own_flag_count = SP_AGENT_FLAG_COUNT,
        .run = sp_cmd_agent_ls,
        .summary = "list agents: who is there and able",
        .text = "Lists the agents that have announced themselves, with status, load and "
                "capabilities.",
        .examples = "spoor agent ls --capability code.review --free\n",
    },
    {
        .name = "agent show",
        .operands = "ID",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .flags = BIT(URL),
        .run = sp_cmd_agent_show,
        .summary = "show one agent",
        .text = "Shows what is known of an agent.",
        .examples = "spoor agent show agent:reviewer\n",
    },
    {
        .name = "top",
        .operands = "",
        .flags = BIT(URL),
        .own_flags = sp_top_flags,
        .own_flag_count = SP_TOP_FLAG_COUNT,
        .run = sp_cmd_top,
        .summary = "watch a server: rates, groups, agents",
        .text = "Shows every second what the server does: events, clients, how far behind groups "
                "are, what they gave up, which agents are there. Ctrl-C ends it. Piped, or with "
                "--json, it prints a JSON object each time.",
        .examples = "spoor top\n"
                    "spoor top --once --json | jq .rate\n",
    },
    {
        .name = "info",
        .operands = "",
        .flags = BIT(CREATE),
        .run = sp_cmd_info,
        .summary = "show where the store stands",
        .text = "Shows how many events and streams there are, what they take on disk, how much of "
                "it is sealed, and the checkpoint: the size and the root of the log as it was "
                "noted last.",
        .examples = "spoor info --data ./data\n",
    },
    {
        .name = "verify",
        .operands = "",
        .run = sp_cmd_verify,
        .summary = "prove that nothing was altered",
        .text = "Reads every byte of the folder and derives all checks, commitments and indexes "
                "anew, also beside a writer. Exits 6 where there is a finding.",
        .examples = "spoor verify --data ./data\n",
    },
    {
        .name = "bench append",
        .operands = "",
        .flags = FLAGS_BENCH | BIT(EVENTS) | BIT(OUTSTANDING),
        .run = sp_cmd_bench_append,
        .summary = "measure appending",
        .text = "Appends events in a closed loop with so many outstanding, each acknowledged once "
                "durable, and the device's own rate of 4 KiB synced writes beside it. Builds in a "
                "temporary folder beside the data folder and removes it. Prints a JSON line for "
                "each measurement, as all benchmarks do.",
        .examples = "spoor bench append --outstanding 1,64,1000 --events 2M\n",
    },
    {
        .name = "bench replay",
        .operands = "",
        .flags = FLAGS_BENCH | BIT(EVENTS),
        .run = sp_cmd_bench_replay,
        .summary = "measure reading everything",
        .text = "Reads all events in order, from segments still open and from sealed ones, with a "
                "cold and a warm page cache.",
        .examples = "",
    },
    {
        .name = "bench open",
        .operands = "",
        .flags = FLAGS_BENCH | BIT(BYTES) | BIT(KEEP),
        .run = sp_cmd_bench_open,
        .summary = "measure opening after a crash",
        .text = "Builds a log, kills the writer in the middle of its appends, and measures how "
                "long opening takes and how much memory it leaves in use.",
        .examples = "spoor bench open --bytes 10Gi --streams 1M --keep\n",
    },
    {
        .name = "bench query",
        .operands = "",
        .flags = FLAGS_BENCH | BIT(EVENTS),
        .run = sp_cmd_bench_query,
        .summary = "measure lookups",
        .text = "Looks up random events by id, and first pages of ten by stream, type and "
                "correlation.",
        .examples = "",
    },
    {
        .name = "bench streams",
        .operands = "",
        .flags = FLAGS_BENCH | BIT(EVENTS) | BIT(OUTSTANDING),
        .run = sp_cmd_bench_streams,
        .summary = "measure appending to many streams",
        .text = "Compares the rates of appending to stores that hold different numbers of streams, "
                "in turns, so that a noisy machine does not favour one.",
        .examples = "spoor bench streams --streams 1k,1M,10M\n",
    },
    {
        .name = "completion",
        .operands = "bash|zsh|fish",
        .operand_count_min = 1,
        .operand_count_max = 1,
        .run = sp_cmd_completion,
        .summary = "print a completion script",
        .text = "",
        .examples = "source <(spoor completion bash)\n",
    },
    {
        .name = "version",
        .operands = "",
        .run = sp_cmd_version,
        .summary = "print the version",
        .text = "",
        .examples = "",
    },
    {
        .name = "help",
        .operands = "[COMMAND]",
        .operand_count_max = 2,
        .run = sp_cmd_help,
        .summary = "show this, or help on one command",
        .text = "",
        .examples = "",
    },
};

struct sp_command_table sp_command_table(void) {
    return (struct sp_command_table){
        .commands = COMMANDS,
        .command_count = sizeof(COMMANDS) / sizeof(*COMMANDS),
        .more = sp_flow_commands,
        .more_count = sp_flow_command_count,
        .flags = sp_flag_table(),
    };
}
