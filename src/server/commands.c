/*
 * Every command there is, with what COMMAND says of it. What is not in this table does not exist.
 *
 * Columns: name, arity, flags, first key, last key, step, group, since, handler, summary.
 */
#include "server/cmd_groups.h"
#include "server/handlers.h"
#include "server/pubsub.h"

#define ROW(name_, arity_, flags_, first, last, step, group_, since_, handler_, summary_)          \
    {                                                                                              \
        .name = name_, .arity = arity_, .flags = flags_, .first_key = first, .last_key = last,     \
        .key_step = step, .handler = handler_, .group = group_, .since = since_,                   \
        .summary = summary_                                                                        \
    }
/* A command that is nothing without its subcommand. */
#define PARENT(name_, group_, since_, subcommands_, summary_)                                      \
    {                                                                                              \
        .name = name_, .arity = -2, .subcommands = subcommands_, .group = group_, .since = since_, \
        .summary = summary_                                                                        \
    }
/* HELP of the command before which it stands. */
#define HELP(since_)                                                                               \
    ROW("help", 2, SP_CMD_FAST, 0, 0, 0, "", since_, sp_on_help,                                   \
        "Returns helpful text about the subcommands.")

enum {
    WRITE = SP_CMD_WRITE,
    READ = SP_CMD_READ,
    BUS = SP_CMD_BUS,
    FAST = SP_CMD_FAST,
    NO_AUTH = SP_CMD_NO_AUTH,
    NO_MULTI = SP_CMD_NO_MULTI,
    IN_MULTI = SP_CMD_IN_MULTI,
    PUBSUB = SP_CMD_PUBSUB,
    BLOCKING = SP_CMD_BLOCKING,
    ADMIN = SP_CMD_ADMIN,
    KEYS_MOVE = SP_CMD_KEYS_MOVE,
    SETTLED = SP_CMD_SETTLED,
};

static const struct sp_command_row CLIENT[] = {
    ROW("id", 2, FAST, 0, 0, 0, "connection", "5.0.0", sp_on_client_id,
        "Returns the unique client ID of the connection."),
    ROW("info", 2, 0, 0, 0, 0, "connection", "6.2.0", sp_on_client_info,
        "Returns information about the connection."),
    ROW("list", -2, ADMIN, 0, 0, 0, "connection", "2.4.0", sp_on_client_list,
        "Lists open connections."),
    ROW("getname", 2, FAST, 0, 0, 0, "connection", "2.6.9", sp_on_client_getname,
        "Returns the name of the connection."),
    ROW("setname", 3, FAST, 0, 0, 0, "connection", "2.6.9", sp_on_client_setname,
        "Sets the connection name."),
    ROW("setinfo", 4, FAST, 0, 0, 0, "connection", "7.2.0", sp_on_client_setinfo,
        "Sets information specific to the client or connection."),
    ROW("no-evict", 3, ADMIN, 0, 0, 0, "connection", "7.0.0", sp_on_client_no_evict,
        "Accepted; clients are closed by memory-budget all the same."),
    ROW("no-touch", 3, FAST, 0, 0, 0, "connection", "7.2.0", sp_on_client_no_touch,
        "Accepted; keys have no access time."),
    ROW("reply", 3, FAST, 0, 0, 0, "connection", "3.2.0", sp_on_client_reply,
        "Instructs the server whether to reply to commands."),
    ROW("unblock", -3, ADMIN, 0, 0, 0, "connection", "5.0.0", sp_on_client_unblock,
        "Unblocks a client blocked by a blocking command from a different connection."),
    ROW("kill", -3, ADMIN, 0, 0, 0, "connection", "2.4.0", sp_on_client_kill,
        "Terminates open connections."),
    ROW("tracking", -3, 0, 0, 0, 0, "connection", "6.0.0", sp_on_client_tracking,
        "Refused: there is no server-assisted client-side caching."),
    HELP("5.0.0"),
    {.name = NULL},
};

static const struct sp_command_row CONFIG[] = {
    ROW("get", -3, ADMIN, 0, 0, 0, "server", "2.0.0", sp_on_config_get,
        "Returns the effective values of configuration parameters."),
    ROW("set", -4, ADMIN, 0, 0, 0, "server", "2.0.0", sp_on_config_set,
        "Sets configuration parameters in-flight."),
    ROW("resetstat", 2, ADMIN, 0, 0, 0, "server", "2.0.0", sp_on_config_resetstat,
        "Resets the server's statistics."),
    ROW("rewrite", 2, ADMIN, 0, 0, 0, "server", "2.8.0", sp_on_config_rewrite,
        "Refused: the configuration file is its owner's."),
    HELP("5.0.0"),
    {.name = NULL},
};

static const struct sp_command_row COMMAND[] = {
    ROW("count", 2, 0, 0, 0, 0, "server", "2.8.13", sp_on_command_count,
        "Returns a count of commands."),
    ROW("docs", -2, 0, 0, 0, 0, "server", "7.0.0", sp_on_command_docs,
        "Returns documentary information about one, multiple or all commands."),
    ROW("info", -2, 0, 0, 0, 0, "server", "2.8.13", sp_on_command_info,
        "Returns information about one, multiple or all commands."),
    ROW("list", -2, 0, 0, 0, 0, "server", "7.0.0", sp_on_command_list,
        "Returns a list of command names."),
    ROW("getkeys", -3, 0, 0, 0, 0, "server", "2.8.13", sp_on_command_getkeys,
        "Extracts the key names from an arbitrary command."),
    HELP("5.0.0"),
    {.name = NULL},
};

static const struct sp_command_row COMMANDS[] = {
    ROW("put", 4, WRITE | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_commands_put,
        "Defines a command: name, definition."),
    ROW("del", 3, WRITE | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_commands_del,
        "Takes one away."),
    ROW("get", 3, READ, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_commands_get,
        "Shows a definition, as JSON."),
    ROW("list", 2, READ, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_commands_list,
        "Lists them, as JSON."),
    HELP("7.4.0"),
    {.name = NULL},
};

static const struct sp_command_row UPCASTER[] = {
    ROW("put", 5, WRITE | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_upcaster_put,
        "Registers a jq program from one version of a type to another."),
    ROW("del", 4, WRITE | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_upcaster_del,
        "Takes one away."),
    ROW("list", 2, READ, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_upcaster_list,
        "Lists them, as JSON."),
    HELP("7.4.0"),
    {.name = NULL},
};

static const struct sp_command_row MEMORY[] = {
    ROW("usage", -3, BUS, 2, 2, 1, "server", "4.0.0", sp_on_memory_usage,
        "Estimates the memory usage of a key."),
    HELP("4.0.0"),
    {.name = NULL},
};

static const struct sp_command_row OBJECT[] = {
    ROW("encoding", 3, BUS, 2, 2, 1, "generic", "2.2.3", sp_on_object_encoding,
        "Returns the internal encoding of a Redis object."),
    HELP("6.2.0"),
    {.name = NULL},
};

static const struct sp_command_row XINFO[] = {
    ROW("stream", -3, READ, 2, 2, 1, "stream", "5.0.0", sp_on_xinfo_stream,
        "Returns information about a stream."),
    ROW("groups", 3, READ, 2, 2, 1, "stream", "5.0.0", sp_on_xinfo_groups,
        "Returns a list of the consumer groups of a stream."),
    ROW("consumers", 4, BUS, 2, 2, 1, "stream", "5.0.0", sp_on_xinfo_consumers,
        "Returns a list of the consumers in a consumer group."),
    HELP("5.0.0"),
    {.name = NULL},
};

static const struct sp_command_row XGROUP[] = {
    ROW("create", -5, WRITE, 2, 2, 1, "stream", "5.0.0", sp_on_xgroup_create,
        "Creates a consumer group."),
    ROW("setid", -5, WRITE, 2, 2, 1, "stream", "5.0.0", sp_on_xgroup_setid,
        "Sets the last-delivered ID of a consumer group."),
    ROW("destroy", 4, WRITE, 2, 2, 1, "stream", "5.0.0", sp_on_xgroup_destroy,
        "Destroys a consumer group."),
    ROW("createconsumer", 5, WRITE, 2, 2, 1, "stream", "6.2.0", sp_on_xgroup_createconsumer,
        "Creates a consumer in a consumer group."),
    ROW("delconsumer", 5, WRITE, 2, 2, 1, "stream", "5.0.0", sp_on_xgroup_delconsumer,
        "Deletes a consumer from a consumer group."),
    HELP("5.0.0"),
    {.name = NULL},
};

static const struct sp_command_row GROUP[] = {
    ROW("create", -4, WRITE | SETTLED, 3, 3, 1, "spoor", "7.4.0", sp_on_spoor_group_create,
        "Creates a consumer group with a policy: name, key, FROM, MKSTREAM, options."),
    ROW("set", -5, WRITE, 3, 3, 1, "spoor", "7.4.0", sp_on_spoor_group_set,
        "Changes options of a group's policy; NONE takes it away."),
    ROW("get", 4, READ, 3, 3, 1, "spoor", "7.4.0", sp_on_spoor_group_get,
        "Returns a group's policy and where it stands."),
    ROW("list", -2, BUS, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_group_list,
        "Lists the groups, or those of one key."),
    ROW("drop", 4, WRITE, 3, 3, 1, "spoor", "7.4.0", sp_on_spoor_group_drop, "Drops a group."),
    ROW("lag", 4, READ, 3, 3, 1, "spoor", "7.4.0", sp_on_spoor_group_lag,
        "Returns how far a group is behind, in events and seconds."),
    HELP("7.4.0"),
    {.name = NULL},
};

static const struct sp_command_row AGENT[] = {
    ROW("online", -3, WRITE, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_agent_online,
        "Announces an agent: id, CAPABILITY, CAPACITY, VERSION, DATA."),
    ROW("heartbeat", -3, BUS | FAST, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_agent_heartbeat,
        "A sign of life of an agent: id, LOAD."),
    ROW("offline", -3, WRITE, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_agent_offline,
        "Says that an agent leaves: id, REASON."),
    ROW("get", 3, BUS, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_agent_get,
        "Returns an agent, as JSON."),
    ROW("list", -2, BUS, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_agent_list,
        "Lists agents, as JSON: CAPABILITY, STATUS, FREE, AFTER, LIMIT."),
    HELP("7.4.0"),
    {.name = NULL},
};

static const struct sp_command_row PROJECTION[] = {
    ROW("list", 2, READ, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_projection_list,
        "Returns the status of every projection, as JSON lines."),
    ROW("status", 3, READ, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_projection_status,
        "Returns the status of a projection, as JSON."),
    ROW("get", 3, READ, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_projection_get,
        "Returns the status of a projection with its file, as JSON."),
    ROW("add", 3, WRITE | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_projection_add,
        "Adds a projection file, or replaces the one of its name."),
    ROW("shipped", 3, WRITE | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_projection_shipped,
        "Adds a projection that ships with the program."),
    ROW("drop", 3, WRITE | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_projection_drop,
        "Stops a projection and drops its tables."),
    ROW("rebuild", 3, WRITE | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_projection_rebuild,
        "Builds a projection anew, beside what is there."),
    ROW("resume", 3, WRITE | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_projection_resume,
        "Tries the event again that a projection stopped at."),
    HELP("7.4.0"),
    {.name = NULL},
};

/* What these take is the desk's to say (api/desk.h); a test holds the tables together. */
#define ASK(name_, arity_, flags_, summary_)                                                       \
    ROW(name_, arity_, (flags_) | SP_CMD_NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_desk,    \
        summary_)

static const struct sp_command_row SAGA[] = {
    ASK("define", -3, WRITE, "Defines a saga, JSON or YAML: text, NAME, BY."),
    ASK("check", -3, BUS, "Tells what is wrong with a definition: text, NAME."),
    ASK("rm", -3, WRITE, "Removes a definition; what runs goes on: name, BY."),
    ASK("definitions", 2, BUS, "Lists the definitions of sagas, as JSON."),
    ASK("definition", 3, BUS, "Returns the definition of a saga, as JSON: name."),
    ASK("start", -3, WRITE, "Starts a saga: name, data as JSON, KEY, CORRELATION, CAUSATION, BY."),
    ASK("ls", -2, READ, "Lists running sagas, as JSON: NAME, STATUS, STEP, WAITING, AFTER, LIMIT."),
    ASK("show", 3, READ, "Returns what happened to a saga, as JSON: id."),
    ASK("story", 3, READ, "Returns what happened to a saga, in words: id."),
    ASK("approve", -3, WRITE, "Approves what a saga asks: id, CHOICE, STEP, BY, REASON, DATA."),
    ASK("reject", -3, WRITE, "Rejects what a saga asks: id, STEP, BY, REASON, DATA."),
    ASK("cancel", -3, WRITE, "Cancels a saga; what it did is undone: id, BY, REASON."),
    ASK("retry", -3, WRITE, "Tries again what needs attention: id, STEP, BY, REASON."),
    ASK("skip", -3, WRITE, "Goes on without what needs attention: id, STEP, BY, REASON."),
    ASK("done", -3, WRITE, "Marks as done what needs attention: id, STEP, RESULT, BY, REASON."),
    ASK("compensate", -3, WRITE, "Gives a saga up that needs attention, and undoes it: id."),
    ASK("resume", -3, READ | WRITE,
        "Goes on where a saga stands or ended: retries, or forks at the step that failed: id."),
    ASK("fork", -3, READ | WRITE, "Starts a saga from a step of another: id, AT, DATA, BY."),
    HELP("7.4.0"),
    {.name = NULL},
};

static const struct sp_command_row APPROVAL[] = {
    ASK("ls", -2, READ, "Lists what waits for a decision, as JSON: WHO, STATUS, AFTER, LIMIT."),
    ASK("show", 3, READ, "Returns an approval, as JSON: id."),
    ASK("approve", -3, WRITE, "Approves: id, CHOICE, BY, REASON, DATA."),
    ASK("reject", -3, WRITE, "Rejects: id, BY, REASON, DATA."),
    ASK("decide", -3, WRITE, "Decides: id, CHOICE, BY, REASON, DATA."),
    HELP("7.4.0"),
    {.name = NULL},
};

static const struct sp_command_row JOIN[] = {
    ASK("add", -3, WRITE, "Defines a join, JSON or YAML: text, NAME, BY."),
    ASK("check", -3, BUS, "Tells what is wrong with a join: text, NAME."),
    ASK("rm", -3, WRITE, "Removes a join, and forgets its windows: name, BY."),
    ASK("ls", 2, BUS, "Lists joins, as JSON."),
    ASK("show", 3, BUS, "Returns a join with its open windows, as JSON: name."),
    HELP("7.4.0"),
    {.name = NULL},
};

static const struct sp_command_row SCHEDULE[] = {
    ASK("add", -3, WRITE, "Defines a schedule, JSON or YAML: text, NAME, BY."),
    ASK("check", -3, BUS, "Tells what is wrong with a schedule: text, NAME."),
    ASK("rm", -3, WRITE, "Removes a schedule: name, BY."),
    ASK("ls", 2, BUS, "Lists schedules, as JSON."),
    ASK("show", 3, BUS, "Returns a schedule, as JSON: name."),
    HELP("7.4.0"),
    {.name = NULL},
};

static const struct sp_command_row TIMER[] = {
    ASK("ls", -2, READ, "Lists delayed events, the next one first, as JSON: AFTER, LIMIT."),
    ASK("cancel", -3, WRITE, "Cancels a delayed event: id, SOURCE, BY, REASON."),
    HELP("7.4.0"),
    {.name = NULL},
};

static const struct sp_command_row SCHEMA[] = {
    ROW("add", -5, WRITE, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_schema_add,
        "Registers a JSON Schema: type, version, schema, MODE, COMPATIBILITY."),
    ROW("remove", 4, WRITE, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_schema_remove,
        "Takes a registered schema away: type, version."),
    ROW("get", -3, BUS, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_schema_get,
        "Returns a registered schema, as JSON: type, version."),
    ROW("list", 2, BUS, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_schema_list,
        "Lists the registered schemas, as JSON."),
    HELP("7.4.0"),
    {.name = NULL},
};

static const struct sp_command_row DEAD[] = {
    ROW("list", -4, READ, 2, 2, 1, "spoor", "7.4.0", sp_on_spoor_dead_list,
        "Lists the entries that a group gave up, with reason and error."),
    ROW("redrive", -5, WRITE, 2, 2, 1, "spoor", "7.4.0", sp_on_spoor_dead_redrive,
        "Gives dead entries to their group again."),
    ROW("discard", -5, WRITE, 2, 2, 1, "spoor", "7.4.0", sp_on_spoor_dead_discard,
        "Drops dead entries for good."),
    HELP("7.4.0"),
    {.name = NULL},
};

static const struct sp_command_row RUN[] = {
    ROW("fork", -4, WRITE | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_run_fork,
        "Forks a run: a new one that shares what was up to an event, and goes on from there."),
    ROW("resume", 3, WRITE | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_run_resume,
        "Gives what groups gave up of a run to them again."),
    HELP("7.4.0"),
    {.name = NULL},
};

static const struct sp_command_row PUBSUB_SUBCOMMANDS[] = {
    ROW("channels", -2, 0, 0, 0, 0, "pubsub", "2.8.0", sp_on_pubsub_channels,
        "Returns the active channels."),
    ROW("numpat", 2, 0, 0, 0, 0, "pubsub", "2.8.0", sp_on_pubsub_numpat,
        "Returns a count of unique pattern subscriptions."),
    ROW("numsub", -2, 0, 0, 0, 0, "pubsub", "2.8.0", sp_on_pubsub_numsub,
        "Returns a count of subscribers to channels."),
    ROW("shardchannels", -2, 0, 0, 0, 0, "pubsub", "7.0.0", sp_on_pubsub_shardchannels,
        "Returns the active shard channels."),
    ROW("shardnumsub", -2, 0, 0, 0, 0, "pubsub", "7.0.0", sp_on_pubsub_shardnumsub,
        "Returns the count of subscribers of shard channels."),
    HELP("6.2.0"),
    {.name = NULL},
};

static const struct sp_command_row ROWS[] = {
    /* connection */
    ROW("hello", -1, FAST | NO_AUTH, 0, 0, 0, "connection", "6.0.0", sp_on_hello,
        "Handshakes with the Redis server."),
    ROW("auth", -2, FAST | NO_AUTH, 0, 0, 0, "connection", "1.0.0", sp_on_auth,
        "Authenticates the connection."),
    ROW("ping", -1, FAST | PUBSUB, 0, 0, 0, "connection", "1.0.0", sp_on_ping,
        "Returns the server's liveliness response."),
    ROW("echo", 2, FAST, 0, 0, 0, "connection", "1.0.0", sp_on_echo, "Returns the given string."),
    ROW("quit", -1, FAST | NO_AUTH | PUBSUB | IN_MULTI, 0, 0, 0, "connection", "1.0.0", sp_on_quit,
        "Closes the connection."),
    ROW("reset", 1, FAST | NO_AUTH | PUBSUB | IN_MULTI, 0, 0, 0, "connection", "6.2.0", sp_on_reset,
        "Resets the connection."),
    ROW("select", 2, FAST, 0, 0, 0, "connection", "1.0.0", sp_on_select,
        "Changes the selected database."),
    PARENT("client", "connection", "2.4.0", CLIENT, "A container for client connection commands."),

    /* server */
    ROW("info", -1, 0, 0, 0, 0, "server", "1.0.0", sp_on_info,
        "Returns information and statistics about the server."),
    {.name = "command",
     .arity = -1,
     .subcommands = COMMAND,
     .handler = sp_on_command,
     .group = "server",
     .since = "2.8.13",
     .summary = "Returns detailed information about all commands."},
    PARENT("config", "server", "2.0.0", CONFIG, "A container for server configuration commands."),
    PARENT("memory", "server", "4.0.0", MEMORY, "A container for memory diagnostics commands."),
    ROW("time", 1, FAST, 0, 0, 0, "server", "2.6.0", sp_on_time, "Returns the server time."),
    ROW("dbsize", 1, BUS | FAST, 0, 0, 0, "server", "1.0.0", sp_on_dbsize,
        "Returns the number of keys in the database."),
    ROW("wait", 3, BUS, 0, 0, 0, "generic", "3.0.0", sp_on_wait,
        "Returns 0: there are no replicas."),
    ROW("debug", -2, ADMIN, 0, 0, 0, "server", "1.0.0", sp_on_debug,
        "LOG, and what test suites switch on and off."),
    ROW("flushall", -1, WRITE, 0, 0, 0, "server", "1.0.0", sp_on_flush,
        "Hides all streams from clients, where the setting allow-flushall permits."),
    ROW("flushdb", -1, WRITE, 0, 0, 0, "server", "1.0.0", sp_on_flush,
        "Hides all streams of the database, where the setting allow-flushall permits."),

    /* keys */
    ROW("type", 2, BUS | FAST, 1, 1, 1, "generic", "1.0.0", sp_on_type,
        "Determines the type of value stored at a key."),
    ROW("exists", -2, BUS | FAST, 1, -1, 1, "generic", "1.0.0", sp_on_exists,
        "Determines whether one or more keys exist."),
    ROW("touch", -2, BUS | FAST, 1, -1, 1, "generic", "3.2.1", sp_on_exists,
        "Returns the number of existing keys out of those specified."),
    ROW("del", -2, WRITE, 1, -1, 1, "generic", "1.0.0", sp_on_del,
        "Hides one or more streams; what is added later begins anew."),
    ROW("unlink", -2, WRITE | FAST, 1, -1, 1, "generic", "4.0.0", sp_on_del, "As DEL."),
    ROW("keys", 2, BUS, 0, 0, 0, "generic", "1.0.0", sp_on_keys,
        "Returns all key names that match a pattern."),
    ROW("scan", -2, BUS, 0, 0, 0, "generic", "2.8.0", sp_on_scan,
        "Iterates over the key names in the database."),
    ROW("randomkey", 1, BUS, 0, 0, 0, "generic", "1.0.0", sp_on_randomkey,
        "Returns a random key name from the database."),
    ROW("rename", 3, WRITE, 1, 2, 1, "generic", "1.0.0", sp_on_rename,
        "Renames a key and overwrites the destination."),
    ROW("renamenx", 3, WRITE | FAST, 1, 2, 1, "generic", "1.0.0", sp_on_renamenx,
        "Renames a key only when the target key name doesn't exist."),
    ROW("expire", -3, WRITE | FAST, 1, 1, 1, "generic", "1.0.0", sp_on_expire,
        "Sets the expiration time of a key in seconds."),
    ROW("pexpire", -3, WRITE | FAST, 1, 1, 1, "generic", "2.6.0", sp_on_expire,
        "Sets the expiration time of a key in milliseconds."),
    ROW("expireat", -3, WRITE | FAST, 1, 1, 1, "generic", "1.2.0", sp_on_expire,
        "Sets the expiration time of a key to a Unix timestamp."),
    ROW("pexpireat", -3, WRITE | FAST, 1, 1, 1, "generic", "2.6.0", sp_on_expire,
        "Sets the expiration time of a key to a Unix milliseconds timestamp."),
    ROW("ttl", 2, BUS | FAST, 1, 1, 1, "generic", "1.0.0", sp_on_ttl,
        "Returns the expiration time in seconds of a key."),
    ROW("pttl", 2, BUS | FAST, 1, 1, 1, "generic", "2.6.0", sp_on_ttl,
        "Returns the expiration time in milliseconds of a key."),
    ROW("expiretime", 2, BUS | FAST, 1, 1, 1, "generic", "7.0.0", sp_on_ttl,
        "Returns the expiration time of a key as a Unix timestamp."),
    ROW("pexpiretime", 2, BUS | FAST, 1, 1, 1, "generic", "7.0.0", sp_on_ttl,
        "Returns the expiration time of a key as a Unix milliseconds timestamp."),
    ROW("persist", 2, WRITE | FAST, 1, 1, 1, "generic", "2.2.0", sp_on_persist,
        "Removes the expiration time of a key."),
    PARENT("object", "generic", "2.2.3", OBJECT, "A container for object introspection commands."),

    /* transactions */
    ROW("multi", 1, FAST | IN_MULTI, 0, 0, 0, "transactions", "1.2.0", sp_on_multi,
        "Starts a transaction."),
    ROW("exec", 1, BUS | IN_MULTI, 0, 0, 0, "transactions", "1.2.0", sp_on_exec,
        "Executes all commands in a transaction."),
    ROW("discard", 1, FAST | IN_MULTI, 0, 0, 0, "transactions", "2.0.0", sp_on_discard,
        "Discards a transaction."),
    ROW("watch", -2, FAST | IN_MULTI, 1, -1, 1, "transactions", "2.2.0", sp_on_watch,
        "Monitors changes to keys to determine the execution of a transaction."),
    ROW("unwatch", 1, FAST, 0, 0, 0, "transactions", "2.2.0", sp_on_unwatch,
        "Forgets about watched keys of a transaction."),

    /* streams */
    ROW("xadd", -5, WRITE | FAST, 1, 1, 1, "stream", "5.0.0", sp_on_xadd,
        "Appends a new message to a stream. Creates the key if it doesn't exist."),
    ROW("xlen", 2, BUS | FAST, 1, 1, 1, "stream", "5.0.0", sp_on_xlen,
        "Return the number of messages in a stream."),
    ROW("xrange", -4, READ, 1, 1, 1, "stream", "5.0.0", sp_on_xrange,
        "Returns the messages from a stream within a range of IDs."),
    ROW("xrevrange", -4, READ, 1, 1, 1, "stream", "5.0.0", sp_on_xrevrange,
        "Returns the messages from a stream within a range of IDs in reverse order."),
    ROW("xread", -4, READ | BLOCKING | KEYS_MOVE, 0, 0, 1, "stream", "5.0.0", sp_on_xread,
        "Returns messages from multiple streams with IDs greater than the ones requested."),
    ROW("xdel", -3, WRITE | SETTLED | FAST, 1, 1, 1, "stream", "5.0.0", sp_on_xdel,
        "Hides messages of a stream."),
    ROW("xtrim", -4, WRITE | SETTLED, 1, 1, 1, "stream", "5.0.0", sp_on_xtrim,
        "Hides messages from the beginning of a stream."),
    ROW("xsetid", -3, WRITE | FAST, 1, 1, 1, "stream", "5.0.0", sp_on_xsetid,
        "Sets the last-delivered ID of a stream."),
    PARENT("xinfo", "stream", "5.0.0", XINFO, "A container for stream introspection commands."),
    PARENT("xgroup", "stream", "5.0.0", XGROUP, "A container for consumer groups commands."),
    ROW("xreadgroup", -7, READ | WRITE | BLOCKING | KEYS_MOVE, 0, 0, 1, "stream", "5.0.0",
        sp_on_xreadgroup,
        "Returns new or historical messages from a stream for a consumer in a group."),
    ROW("xack", -4, WRITE | FAST, 1, 1, 1, "stream", "5.0.0", sp_on_xack,
        "Returns the number of messages that were successfully acknowledged by the consumer group "
        "member of a stream."),
    ROW("xpending", -3, BUS, 1, 1, 1, "stream", "5.0.0", sp_on_xpending,
        "Returns the information and entries from a stream consumer group's pending entries list."),
    ROW("xclaim", -6, WRITE | SETTLED | FAST, 1, 1, 1, "stream", "5.0.0", sp_on_xclaim,
        "Changes, or acquires, ownership of a message in a consumer group."),
    ROW("xautoclaim", -6, WRITE | FAST, 1, 1, 1, "stream", "6.2.0", sp_on_xautoclaim,
        "Changes, or acquires, ownership of messages in a consumer group."),
    ROW("xnack", -6, WRITE | FAST, 1, 1, 1, "stream", "8.8.0", sp_on_xnack,
        "Says that attempts at messages failed: FAIL tries again, FATAL does not."),

    /* publish and subscribe */
    ROW("publish", 3, WRITE | FAST, 0, 0, 0, "pubsub", "2.0.0", sp_on_publish,
        "Posts a message to a channel, and stores it as an event."),
    ROW("subscribe", -2, PUBSUB, 0, 0, 0, "pubsub", "2.0.0", sp_on_subscribe,
        "Listens for messages published to channels."),
    ROW("unsubscribe", -1, PUBSUB, 0, 0, 0, "pubsub", "2.0.0", sp_on_unsubscribe,
        "Stops listening to messages posted to channels."),
    ROW("psubscribe", -2, PUBSUB, 0, 0, 0, "pubsub", "2.0.0", sp_on_psubscribe,
        "Listens for messages published to channels that match one or more patterns."),
    ROW("punsubscribe", -1, PUBSUB, 0, 0, 0, "pubsub", "2.0.0", sp_on_punsubscribe,
        "Stops listening to messages published to channels that match one or more patterns."),
    ROW("spublish", 3, FAST, 1, 1, 1, "pubsub", "7.0.0", sp_on_spublish,
        "Posts a message to a shard channel; it is not stored."),
    ROW("ssubscribe", -2, PUBSUB, 1, -1, 1, "pubsub", "7.0.0", sp_on_ssubscribe,
        "Listens for messages published to shard channels."),
    ROW("sunsubscribe", -1, PUBSUB, 1, -1, 1, "pubsub", "7.0.0", sp_on_sunsubscribe,
        "Stops listening to messages posted to shard channels."),
    PARENT("pubsub", "pubsub", "2.8.0", PUBSUB_SUBCOMMANDS, "A container for Pub/Sub commands."),

    /* spoor's own */
    ROW("spoor.append", -5, WRITE, 1, 1, 1, "spoor", "7.4.0", sp_on_spoor_append,
        "Appends an event: stream, expected version or *, type, data, attributes."),
    ROW("spoor.batch", -5, WRITE | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_batch,
        "Appends events of any streams, all or none, under any number of expectations."),
    ROW("spoor.streams", -1, BUS, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_streams,
        "Lists streams with their versions, in the order of their first events."),
    ROW("spoor.runs", -1, READ, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_runs,
        "Lists the runs whose first event matches a query."),
    ROW("spoor.info", 1, READ, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_info,
        "Says where the store stands: positions, streams, bytes, segments, tree."),
    ROW("spoor.query", -2, READ | BLOCKING | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_query,
        "Returns the columns and rows that a SELECT over the read models gives."),
    ROW("spoor.state", -3, READ | BLOCKING | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_state,
        "Returns a read model as it was, or what changed between two moments, as JSON."),
    ROW("spoor.tables", 1, READ | BLOCKING | NO_MULTI, 0, 0, 0, "spoor", "7.4.0",
        sp_on_spoor_tables, "Lists the tables of the read models with their columns."),
    ROW("hgetall", 2, READ | NO_MULTI, 1, 1, 1, "hash", "2.0.0", sp_on_hgetall,
        "Returns a row of a read model, table:key, as fields and values."),
    ROW("hget", 3, READ | NO_MULTI | FAST, 1, 1, 1, "hash", "2.0.0", sp_on_hget,
        "Returns one value of a row of a read model, table:key."),
    ROW("spoor.read", -1, READ, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_read,
        "Reads events by a query, as JSON."),
    PARENT("spoor.group", "spoor", "7.4.0", GROUP, "A container for groups with a policy."),
    PARENT("spoor.agent", "spoor", "7.4.0", AGENT, "A container for who is there and alive."),
    ROW("spoor.command", 3, WRITE | NO_MULTI, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_command,
        "Runs a command: it is decided and its events are appended, or it is refused."),
    PARENT("spoor.commands", "spoor", "7.4.0", COMMANDS,
           "A container for the definitions of commands."),
    PARENT("spoor.upcaster", "spoor", "7.4.0", UPCASTER,
           "A container for what brings old events up while they are read."),
    PARENT("spoor.projection", "spoor", "7.4.0", PROJECTION,
           "A container for projections and how far they are."),
    PARENT("spoor.saga", "spoor", "7.4.0", SAGA, "A container for sagas and their definitions."),
    PARENT("spoor.approval", "spoor", "7.4.0", APPROVAL,
           "A container for what waits for somebody's decision."),
    PARENT("spoor.join", "spoor", "7.4.0", JOIN, "A container for joins of events."),
    PARENT("spoor.schedule", "spoor", "7.4.0", SCHEDULE, "A container for schedules."),
    PARENT("spoor.timer", "spoor", "7.4.0", TIMER, "A container for delayed events."),
    PARENT("spoor.schema", "spoor", "7.4.0", SCHEMA, "A container for schemas of events."),
    PARENT("spoor.run", "spoor", "7.4.0", RUN, "A container for forks of runs."),
    PARENT("spoor.dead", "spoor", "7.4.0", DEAD, "A container for what groups gave up."),
    ROW("spoor.nack", -4, WRITE | FAST, 1, 1, 1, "spoor", "7.4.0", sp_on_spoor_nack,
        "Says that an attempt failed: key, group, id, DELAY, ERROR, DEAD."),
    ROW("spoor.receive", -6, READ | WRITE | BLOCKING | KEYS_MOVE, 0, 0, 1, "spoor", "7.4.0",
        sp_on_spoor_receive,
        "Hands entries of groups to a consumer, as JSON: GROUP, COUNT, BLOCK, KEYS."),
    ROW("spoor.extend", -4, WRITE | FAST, 1, 1, 1, "spoor", "7.4.0", sp_on_spoor_extend,
        "Gives a worker more time for entries: key, group, ids, MS."),
    ROW("spoor.event", -2, READ, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_event,
        "Reads the events with an id, as JSON: id, SOURCE."),
    ROW("spoor.trace", -2, READ, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_trace,
        "Reads an event with its causes, its effects or both, as JSON."),
    ROW("spoor.subscribe", -1, BUS | PUBSUB, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_subscribe,
        "Sends the events of a query, history first, then what comes."),
    ROW("spoor.unsubscribe", -1, PUBSUB, 0, 0, 0, "spoor", "7.4.0", sp_on_spoor_unsubscribe,
        "Ends subscriptions by name, or all of them."),
    {.name = NULL},
};

const struct sp_command_row *sp_command_rows(void) {
    return ROWS;
}
