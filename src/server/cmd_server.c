/* INFO, CONFIG and what else is asked of the server as a whole. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "match/glob.h"
#include "os/os.h"
#include "server/handlers.h"
#include "server/pubsub.h"
#include "server/server.h"
#include "spoor.h"

#define REDIS_VERSION "7.4.0"

enum {
    MS_PER_S = 1000,
    US_PER_S = 1000000,
    S_PER_DAY = 86400,
    ENTRY_BYTES_GUESS = 160, /* MEMORY USAGE: of an entry, on disk */
    STREAM_BYTES_GUESS = 256,
};

/* ---- INFO ------------------------------------------------------------------------------------ */

static void add(struct sp_buf *to, const char *format, ...) SP_PRINTF(2, 3);

static void add(struct sp_buf *to, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    sp_buf_add(to, text, len < 0 ? 0 : (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

static void add_server(struct sp_server *server, struct sp_buf *to) {
    struct utsname system;
    uint64_t up_s = (server->wall_ms - server->started_ms) / MS_PER_S;
    (void)uname(&system);
    add(to, "# Server\r\nredis_version:%s\r\nspoor_version:%s\r\nredis_mode:standalone\r\n",
        REDIS_VERSION, spoor_version());
    add(to, "os:%s %s %s\r\narch_bits:64\r\nprocess_id:%u\r\ntcp_port:%d\r\n", system.sysname,
        system.release, system.machine, sp_process_id(), server->resp_port);
    add(to, "server_time_usec:%llu\r\nuptime_in_seconds:%llu\r\nuptime_in_days:%llu\r\n",
        (unsigned long long)server->clock.wall_us(server->clock.context), (unsigned long long)up_s,
        (unsigned long long)(up_s / S_PER_DAY));
}

static void add_clients(struct sp_server *server, struct sp_buf *to) {
    uint32_t blocked = 0;
    uint32_t subscribed = 0;
    for (const struct sp_connection *at = server->connections; at != NULL; at = at->all.next) {
        blocked += at->wait != NULL;
        subscribed += at->subscription_count > 0;
    }
    add(to, "# Clients\r\nconnected_clients:%u\r\nmaxclients:%llu\r\nblocked_clients:%u\r\n",
        server->connection_count,
        (unsigned long long)sp_settings_u64(&server->settings, SP_SET_MAX_CONNECTIONS), blocked);
    add(to, "pubsub_clients:%u\r\nclient_buffers_bytes:%zu\r\n", subscribed, server->buffer_bytes);
}

unsigned long long sp_server_resident_bytes(void) {
    unsigned long long size = 0;
    unsigned long long resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%llu %llu", &size, &resident) != 2) {
        resident = 0;
    }
    (void)fclose(file);
    return resident * (unsigned long long)sysconf(_SC_PAGESIZE);
}

static void add_memory(struct sp_server *server, struct sp_buf *to) {
    struct rusage usage;
    unsigned long long peak = 0;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        peak = (unsigned long long)usage.ru_maxrss * 1024;
    }
    unsigned long long used = (unsigned long long)mallinfo2().uordblks;
    add(to, "# Memory\r\nused_memory:%llu\r\nused_memory_rss:%llu\r\nused_memory_peak:%llu\r\n",
        used, sp_server_resident_bytes(), peak);
    add(to, "maxmemory:%llu\r\nmaxmemory_policy:noeviction\r\n",
        (unsigned long long)sp_settings_u64(&server->settings, SP_SET_MEMORY_BUDGET));
}

static void add_persistence(struct sp_server *server, struct sp_buf *to) {
    add(to, "# Persistence\r\nloading:0\r\nasync_loading:0\r\naof_enabled:1\r\n");
    add(to, "aof_last_write_status:%s\r\nspoor_durable_position:%llu\r\n",
        server->failed ? "err" : "ok",
        (unsigned long long)sp_engine_durable_position(server->engine));
}

static void add_stats(struct sp_server *server, struct sp_buf *to) {
    const struct sp_server_stats *stats = &server->stats;
    add(to, "# Stats\r\ntotal_connections_received:%llu\r\ntotal_commands_processed:%llu\r\n",
        (unsigned long long)stats->connections_total, (unsigned long long)stats->commands);
    add(to, "total_net_input_bytes:%llu\r\ntotal_net_output_bytes:%llu\r\n",
        (unsigned long long)stats->bytes_in, (unsigned long long)stats->bytes_out);
    add(to, "rejected_connections:%llu\r\ntotal_error_replies:%llu\r\nspoor_turns:%llu\r\n",
        (unsigned long long)stats->connections_rejected, (unsigned long long)stats->errors,
        (unsigned long long)stats->turns);
    const struct sp_pubsub_facts facts = sp_pubsub_facts(server);
    add(to, "pubsub_channels:%u\r\npubsub_patterns:%u\r\npubsubshard_channels:%u\r\n",
        facts.channels, facts.patterns, facts.shard_channels);
    add(to, "spoor_subscriptions:%u\r\nspoor_subscriptions_lagging:%u\r\n", facts.subscriptions,
        facts.lagging);
    add(to, "spoor_backpressure_episodes:%llu\r\nspoor_messages_dropped:%llu\r\n",
        (unsigned long long)facts.episodes, (unsigned long long)facts.messages_dropped);
}

static void add_replication(struct sp_server *server, struct sp_buf *to) {
    (void)server;
    add(to, "# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_repl_offset:0\r\n");
}

static void add_cpu(struct sp_server *server, struct sp_buf *to) {
    struct rusage usage;
    (void)server;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        add(to, "# CPU\r\nused_cpu_sys:%ld.%06ld\r\nused_cpu_user:%ld.%06ld\r\n",
            (long)usage.ru_stime.tv_sec, (long)usage.ru_stime.tv_usec, (long)usage.ru_utime.tv_sec,
            (long)usage.ru_utime.tv_usec);
    }
}

static void add_keyspace(struct sp_server *server, struct sp_buf *to) {
    uint64_t keys = sp_bus_key_count(server->bus);
    add(to, "# Keyspace\r\n");
    if (keys > 0) {
        add(to, "db0:keys=%llu,expires=0,avg_ttl=0\r\n", (unsigned long long)keys);
    }
}

static const struct {
    const char *name;
    void (*add)(struct sp_server *server, struct sp_buf *to);
} SECTIONS[] = {
    {"server", add_server}, {"clients", add_clients},
    {"memory", add_memory}, {"persistence", add_persistence},
    {"stats", add_stats},   {"replication", add_replication},
    {"cpu", add_cpu},       {"keyspace", add_keyspace},
};

static bool wants_section(const struct sp_request *request, const char *name) {
    bool wanted = request->argc == 1;
    for (uint32_t i = 1; i < request->argc; i++) {
        sp_str word = request->args[i];
        wanted = wanted || sp_word_is(word, name) || sp_word_is(word, "all") ||
                 sp_word_is(word, "default") || sp_word_is(word, "everything");
    }
    return wanted;
}

enum sp_verdict sp_on_info(struct sp_request *request) {
    struct sp_buf *scratch = &request->server->scratch;
    sp_buf_reset(scratch);
    for (size_t i = 0; i < sizeof(SECTIONS) / sizeof(*SECTIONS); i++) {
        if (wants_section(request, SECTIONS[i].name)) {
            sp_buf_add_str(scratch, scratch->len > 0 ? SP_STR("\r\n") : SP_STR(""));
            SECTIONS[i].add(request->server, scratch);
        }
    }
    sp_resp_verbatim(request->reply, "txt", sp_buf_str(scratch));
    return SP_DONE;
}

/* ---- CONFIG ---------------------------------------------------------------------------------- */

/* What clients and tools ask of Redis and what has no setting here: fixed. */
static const struct {
    const char *name;
    const char *value;
} FIXED[] = {
    {"save", ""},
    {"appendonly", "yes"},
    {"appendfsync", "always"},
    {"replica-read-only", "yes"},
    {"cluster-enabled", "no"},
    {"maxmemory-policy", "noeviction"},
    {"notify-keyspace-events", ""},
};

static bool names_it(const struct sp_request *request, const char *name) {
    for (uint32_t i = 2; i < request->argc; i++) {
        char folded[128];
        sp_str pattern = request->args[i];
        size_t len = pattern.len < sizeof(folded) ? pattern.len : sizeof(folded);
        for (size_t k = 0; k < len; k++) {
            char byte = pattern.ptr[k];
            folded[k] = byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
        }
        if (sp_redis_glob_match(sp_str_of(folded, len), sp_str_from(name))) {
            return true;
        }
    }
    return false;
}

static uint64_t add_setting(struct sp_request *request, enum sp_setting_id id, bool by_redis_name) {
    const struct sp_setting *setting = &sp_setting_table()[id];
    const char *name = by_redis_name ? setting->redis_name : setting->name;
    bool twice = by_redis_name && strcmp(setting->name, setting->redis_name) == 0;
    if (name[0] == '\0' || twice || !names_it(request, name)) {
        return 0;
    }
    struct sp_buf *scratch = &request->server->scratch;
    sp_buf_reset(scratch);
    sp_settings_format(&request->server->settings, id, by_redis_name, scratch);
    sp_resp_bulk_text(request->reply, name);
    sp_resp_bulk(request->reply, sp_buf_str(scratch));
    return 1;
}

enum sp_verdict sp_on_config_get(struct sp_request *request) {
    struct sp_resp_open open = sp_resp_open_map(request->reply, 1);
    uint64_t count = 0;
    for (unsigned i = 0; i < SP_SET_COUNT; i++) {
        count += add_setting(request, (enum sp_setting_id)i, false);
        count += add_setting(request, (enum sp_setting_id)i, true);
    }
    for (size_t i = 0; i < sizeof(FIXED) / sizeof(*FIXED); i++) {
        if (names_it(request, FIXED[i].name)) {
            sp_resp_bulk_text(request->reply, FIXED[i].name);
            sp_resp_bulk_text(request->reply, FIXED[i].value);
            count++;
        }
    }
    sp_resp_close(request->reply, open, count);
    return SP_DONE;
}

static void refuse_unknown(struct sp_request *request, sp_str name) {
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "Unknown option or number of arguments for CONFIG SET - '%.*s'",
                   name.len > 128 ? 128 : (int)name.len, name.len > 0 ? name.ptr : "");
    (void)sp_reply_error(request, text);
}

static void refuse_value(struct sp_request *request, sp_str name, const char *why) {
    char text[512];
    (void)snprintf(text, sizeof(text),
                   "CONFIG SET failed (possibly related to argument '%.*s') - %s",
                   name.len > 128 ? 128 : (int)name.len, name.len > 0 ? name.ptr : "", why);
    (void)sp_reply_error(request, text);
}

/* The row that a parameter means, or SP_SET_COUNT with the reply written. */
static enum sp_setting_id find_setting(struct sp_request *request, sp_str name) {
    enum sp_setting_id id = sp_setting_find(name);
    if (id == SP_SET_COUNT) {
        refuse_unknown(request, name);
    } else if (!sp_setting_table()[id].live) {
        refuse_value(request, name, "can't set immutable config");
        id = SP_SET_COUNT;
    }
    return id;
}

/* All or nothing: each value is tried on a copy first. */
static bool try_all(struct sp_request *request, struct sp_settings *trial) {
    for (uint32_t i = 2; i < request->argc; i += 2) {
        struct sp_error error;
        sp_error_clear(&error);
        enum sp_setting_id id = find_setting(request, request->args[i]);
        if (id == SP_SET_COUNT) {
            return false;
        }
        if (sp_settings_set(trial, id, request->args[i + 1], &error) != SP_OK) {
            refuse_value(request, request->args[i], error.text);
            return false;
        }
    }
    return true;
}

enum sp_verdict sp_on_config_set(struct sp_request *request) {
    struct sp_settings trial;
    struct sp_server *server = request->server;
    if (request->argc % 2 != 0) {
        return sp_reply_arity(request);
    }
    if (sp_settings_init(&trial) != SP_OK) {
        return sp_reply_status(request, SP_NO_MEMORY, NULL);
    }
    bool fine = try_all(request, &trial);
    for (uint32_t i = 2; fine && i < request->argc; i += 2) {
        enum sp_setting_id id = sp_setting_find(request->args[i]);
        fine = sp_settings_set(&server->settings, id, request->args[i + 1], NULL) == SP_OK;
        if (!fine) {
            (void)sp_reply_status(request, SP_NO_MEMORY, NULL);
        }
    }
    sp_settings_fini(&trial);
    if (fine) {
        sp_server_apply_settings(server);
        sp_resp_ok(request->reply);
    }
    return SP_DONE;
}

enum sp_verdict sp_on_config_resetstat(struct sp_request *request) {
    request->server->stats = (struct sp_server_stats){.commands = 0};
    sp_resp_ok(request->reply);
    return SP_DONE;
}

enum sp_verdict sp_on_config_rewrite(struct sp_request *request) {
    return sp_reply_error(request, "The server is running without a config file");
}

/* ---- the small ones -------------------------------------------------------------------------- */

enum sp_verdict sp_on_time(struct sp_request *request) {
    struct sp_clock clock = request->server->clock;
    uint64_t now_us = clock.wall_us(clock.context);
    sp_resp_array(request->reply, 2);
    sp_resp_bulk_unsigned(request->reply, now_us / US_PER_S);
    sp_resp_bulk_unsigned(request->reply, now_us % US_PER_S);
    return SP_DONE;
}

/* The answer of a server without replicas, at once. */
enum sp_verdict sp_on_wait(struct sp_request *request) {
    int64_t replicas = 0;
    int64_t timeout_ms = 0;
    if (!sp_word_i64(request->args[1], &replicas)) {
        return sp_reply_not_integer(request);
    }
    if (!sp_word_i64(request->args[2], &timeout_ms)) {
        return sp_reply_error(request, "timeout is not an integer or out of range");
    }
    if (timeout_ms < 0) {
        return sp_reply_error(request, "timeout is negative");
    }
    sp_resp_integer(request->reply, 0);
    return SP_DONE;
}

static enum sp_verdict debug_log(struct sp_request *request) {
    sp_say(&request->server->logger, SP_LEVEL_INFO, "DEBUG LOG",
           SP_FIELD_NUMBER("client", request->connection->id),
           SP_FIELD_TEXT("text", request->argc > 2 ? request->args[2] : SP_STR("")));
    sp_resp_ok(request->reply);
    return SP_DONE;
}

/* What test suites switch has no counterpart here and is accepted. */
enum sp_verdict sp_on_debug(struct sp_request *request) {
    static const char *const ACCEPTED[] = {
        "jmap",    "set-active-expire", "quicklist-packed-threshold", "listpack", "reload",
        "loadaof", "stringmatch-len",   "set-disable-deny-scripts",   "replicate"};
    sp_str word = request->args[1];
    if (sp_word_is(word, "log")) {
        return debug_log(request);
    }
    for (size_t i = 0; i < sizeof(ACCEPTED) / sizeof(*ACCEPTED); i++) {
        if (sp_word_is(word, ACCEPTED[i])) {
            sp_resp_ok(request->reply);
            return SP_DONE;
        }
    }
    char text[256];
    (void)snprintf(text, sizeof(text), "unknown subcommand '%.*s'. Try DEBUG HELP.",
                   word.len > 128 ? 128 : (int)word.len, word.len > 0 ? word.ptr : "");
    return sp_reply_error(request, text);
}

enum sp_verdict sp_on_memory_usage(struct sp_request *request) {
    struct sp_key key;
    uint64_t length = 0;
    struct sp_error error;
    if (request->argc != 3 && !(request->argc == 5 && sp_word_is(request->args[3], "samples"))) {
        return sp_reply_syntax(request);
    }
    if (!sp_request_key(request, request->args[2], &key)) {
        return SP_DONE;
    }
    sp_error_clear(&error);
    if (!sp_bus_exists(request->server->bus, &key)) {
        sp_resp_null(request->reply);
        return SP_DONE;
    }
    sp_status status = sp_bus_length(request->server->bus, &key, &length, &error);
    if (status != SP_OK) {
        return sp_reply_status(request, status, &error);
    }
    sp_resp_unsigned(request->reply, STREAM_BYTES_GUESS + length * ENTRY_BYTES_GUESS);
    return SP_DONE;
}
