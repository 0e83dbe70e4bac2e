/*
 * GET /metrics: what is counted and measured, in Prometheus' text format. Names end in their unit,
 * counters in `_total`; a server's counters begin anew with it.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "engine/bus_agents.h"
#include "engine/bus_groups.h"
#include "engine/flows.h"
#include "engine/schemas.h"
#include "flow/approvals.h"
#include "flow/delayed.h"
#include "flow/flow.h"
#include "flow/join.h"
#include "flow/saga.h"
#include "flow/schedule.h"
#include "log/local.h"
#include "project/projects.h"
#include "server/http_int.h"
#include "server/http_parts.h"
#include "server/pubsub.h"
#include "server/queries.h"
#include "spoor.h"

enum {
    GROUPS_MAX = 1000, /* of which lines are written; the rest is only counted */
    MS_PER_S = 1000,
    US_PER_S = 1000000,
};

static void add(struct sp_buf *to, const char *format, ...) SP_PRINTF(2, 3);

static void add(struct sp_buf *to, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    sp_ensure(len >= 0 && (size_t)len < sizeof(text));
    sp_buf_add(to, text, (size_t)len);
}

static void begin(struct sp_buf *to, const char *name, const char *type, const char *help) {
    add(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct sp_buf *to, const char *name, const char *type, const char *help,
                uint64_t value) {
    begin(to, name, type, help);
    add(to, "%s %llu\n", name, (unsigned long long)value);
}

/* ---- the store ------------------------------------------------------------------------------- */

static void add_store(struct sp_server *server, struct sp_buf *to) {
    struct sp_log *log = sp_engine_log(server->engine);
    struct sp_log_local_stats stats;
    uint64_t first = 0;
    uint64_t last = 0;
    log->ops->bounds(log, &first, &last);
    sp_log_local_stats(log, &stats);
    one(to, "spoor_events_total", "counter", "Events appended since the log began.",
        sp_engine_durable_position(server->engine));
    one(to, "spoor_first_position", "gauge", "Position of the oldest event in the log.", first);
    one(to, "spoor_streams", "gauge", "Streams that the log has.",
        sp_engine_core(server->engine)->streams.count);
    begin(to, "spoor_log_bytes", "gauge", "Bytes of the log on disk.");
    add(to, "spoor_log_bytes{kind=\"sealed\"} %llu\n", (unsigned long long)stats.bytes_sealed);
    add(to, "spoor_log_bytes{kind=\"raw\"} %llu\n", (unsigned long long)stats.bytes_raw);
    begin(to, "spoor_log_segments", "gauge", "Segments of the log.");
    add(to, "spoor_log_segments{kind=\"sealed\"} %u\n", stats.segments_sealed);
    add(to, "spoor_log_segments{kind=\"raw\"} %u\n", stats.segments_raw);
    add(to, "spoor_log_segments{kind=\"waiting\"} %u\n", stats.segments_waiting);
    one(to, "spoor_tree_lag_events", "gauge", "Durable events that the Merkle tree has not yet.",
        stats.tree_lag);
    one(to, "spoor_background_failed", "gauge", "1 where a background job of the log failed.",
        stats.background != SP_OK);
    one(to, "spoor_store_failed", "gauge", "1 where the store takes nothing more.",
        sp_engine_state(server->engine, NULL) != SP_OK);
    const struct sp_registry_counts counts = sp_registry_counts(sp_engine_schemas(server->engine));
    one(to, "spoor_schemas", "gauge", "Versions of schemas that are registered.",
        sp_registry_count(sp_engine_schemas(server->engine)));
    one(to, "spoor_schema_checked_total", "counter", "Events that were held to a schema.",
        counts.checked);
    one(to, "spoor_schema_refused_total", "counter", "Events that a schema refused.",
        counts.refused);
    one(to, "spoor_schema_warned_total", "counter",
        "Events that were stored although their schema does not accept them.", counts.warned);
    one(to, "spoor_outstanding_appends", "gauge", "Appends on their way to the disk.",
        sp_engine_outstanding(server->engine));
}

/* ---- clients --------------------------------------------------------------------------------- */

static void add_connections(struct sp_server *server, struct sp_buf *to) {
    uint64_t http = 0;
    uint64_t waiting = 0;
    uint64_t open = 0;
    for (const struct sp_connection *at = server->connections; at != NULL; at = at->all.next) {
        http += at->protocol == &http_protocol;
        waiting += at->wait != NULL;
        open += at->http.stream_open;
    }
    begin(to, "spoor_connections", "gauge", "Connections of clients.");
    add(to, "spoor_connections{protocol=\"resp\"} %llu\n",
        (unsigned long long)(server->connection_count - http));
    add(to, "spoor_connections{protocol=\"http\"} %llu\n", (unsigned long long)http);
    one(to, "spoor_waiting_connections", "gauge", "Connections whose request waits for entries.",
        waiting);
    one(to, "spoor_open_replies", "gauge", "Streamed replies of HTTP that go on.", open);
    one(to, "spoor_connections_opened_total", "counter", "Connections that were taken.",
        server->stats.connections_total);
    one(to, "spoor_connections_rejected_total", "counter",
        "Connections refused for max-connections.", server->stats.connections_rejected);
    one(to, "spoor_client_buffer_bytes", "gauge", "Bytes that all connections hold.",
        server->buffer_bytes);
}

static void add_work(struct sp_server *server, struct sp_buf *to) {
    const struct sp_server_stats *stats = &server->stats;
    begin(to, "spoor_commands_total", "counter", "Commands and requests that were answered.");
    add(to, "spoor_commands_total{protocol=\"resp\"} %llu\n",
        (unsigned long long)(stats->commands - stats->http_requests));
    add(to, "spoor_commands_total{protocol=\"http\"} %llu\n",
        (unsigned long long)stats->http_requests);
    begin(to, "spoor_http_replies_total", "counter", "Replies of HTTP by the class of status.");
    for (int i = 1; i <= 5; i++) {
        add(to, "spoor_http_replies_total{class=\"%dxx\"} %llu\n", i,
            (unsigned long long)stats->http_replies[i]);
    }
    one(to, "spoor_error_replies_total", "counter", "Replies that are errors.", stats->errors);
    one(to, "spoor_received_bytes_total", "counter", "Bytes from clients.", stats->bytes_in);
    one(to, "spoor_sent_bytes_total", "counter", "Bytes to clients.", stats->bytes_out);
    one(to, "spoor_turns_total", "counter", "Turns of the server's loop.", stats->turns);
}

static void add_queries(struct sp_server *server, struct sp_buf *to) {
    const struct sp_query_figures figures = sp_queries_figures(server);
    one(to, "spoor_queries_total", "counter", "Queries over read models.", figures.started);
    one(to, "spoor_queries_failed_total", "counter", "Those that ended in an error.",
        figures.failed);
    one(to, "spoor_queries_refused_total", "counter", "Those that found the queue full.",
        figures.refused);
    one(to, "spoor_queries_running", "gauge", "Queries that run.", figures.running);
    one(to, "spoor_queries_waiting", "gauge", "Queries that wait.", figures.waiting);
}

static void add_subscriptions(struct sp_server *server, struct sp_buf *to) {
    const struct sp_pubsub_facts facts = sp_pubsub_facts(server);
    one(to, "spoor_subscriptions", "gauge", "Subscriptions of all clients.", facts.subscriptions);
    one(to, "spoor_subscriptions_lagging", "gauge",
        "Subscriptions that read the log since their clients do not keep up.", facts.lagging);
    one(to, "spoor_backpressure_episodes_total", "counter",
        "How often a subscription began to lag.", facts.episodes);
    one(to, "spoor_messages_dropped_total", "counter",
        "Messages that are not stored and that a client did not take.", facts.messages_dropped);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void add_label(struct sp_buf *to, const char *name, sp_str value) {
    sp_buf_add_str(to, sp_str_from(name));
    sp_buf_add_str(to, SP_STR("=\""));
    for (size_t i = 0; i < value.len; i++) {
        char byte = value.ptr[i];
        if (byte == '\\' || byte == '"') {
            sp_buf_add_byte(to, '\\');
        }
        if (byte == '\n') {
            sp_buf_add_str(to, SP_STR("\\n"));
        } else {
            sp_buf_add_byte(to, (uint8_t)byte);
        }
    }
    sp_buf_add_byte(to, '"');
}

enum group_metric {
    GROUP_LAG,
    GROUP_LAG_MS,
    GROUP_PENDING,
    GROUP_IN_FLIGHT,
    GROUP_DEAD,
    GROUP_CONSUMERS
};

static void add_number(struct sp_buf *to, uint64_t number) {
    add(to, " %llu\n", (unsigned long long)number);
}

/* One line of a group. */
static void add_group(struct sp_server *server, const struct sp_group_facts *facts,
                      enum group_metric metric, const char *name, struct sp_buf *to) {
    struct sp_bus_group_info info = {.lag = 0};
    struct sp_key key;
    if (metric == GROUP_LAG || metric == GROUP_LAG_MS) {
        if (sp_key_parse(server->bus, facts->key, &key, NULL) != SP_OK ||
            sp_bus_group_info(server->bus, &key, facts->name, &info, NULL) != SP_OK) {
            return; /* its key is gone, or cannot be counted */
        }
    }
    sp_buf_add_str(to, sp_str_from(name));
    sp_buf_add_byte(to, '{');
    add_label(to, "key", facts->key);
    sp_buf_add_byte(to, ',');
    add_label(to, "group", facts->name);
    sp_buf_add_byte(to, '}');
    switch (metric) {
    case GROUP_LAG:
        add_number(to, info.lag);
        return;
    case GROUP_LAG_MS:
        add(to, " %llu.%03u\n", (unsigned long long)(info.lag_ms / MS_PER_S),
            (unsigned)(info.lag_ms % MS_PER_S));
        return;
    case GROUP_PENDING:
        add_number(to, facts->pending);
        return;
    case GROUP_IN_FLIGHT:
        add_number(to, facts->in_flight);
        return;
    case GROUP_DEAD:
        add_number(to, facts->dead);
        return;
    case GROUP_CONSUMERS:
        add_number(to, facts->consumers);
        return;
    }
    sp_never();
}

static void add_groups(struct sp_server *server, struct sp_buf *to) {
    static const struct {
        enum group_metric metric;
        const char *name;
        const char *help;
    } METRICS[] = {
        {GROUP_LAG, "spoor_group_lag_events", "Entries that a consumer group has still to read."},
        {GROUP_LAG_MS, "spoor_group_lag_seconds", "Age of the first entry still to be read."},
        {GROUP_PENDING, "spoor_group_pending_entries",
         "Entries in flight or waiting to be retried."},
        {GROUP_IN_FLIGHT, "spoor_group_in_flight_entries", "Entries that a consumer works on."},
        {GROUP_DEAD, "spoor_group_dead_letters", "Entries that a consumer group gave up."},
        {GROUP_CONSUMERS, "spoor_group_consumers", "Consumers of a group."},
    };
    const struct sp_groups *groups = &sp_engine_core(server->engine)->groups;
    one(to, "spoor_groups", "gauge", "Consumer groups.", groups->count);
    for (size_t m = 0; m < sizeof(METRICS) / sizeof(*METRICS) && groups->count > 0; m++) {
        begin(to, METRICS[m].name, "gauge", METRICS[m].help);
        for (size_t i = 0; i < GROUPS_MAX; i++) {
            const struct sp_group *group = sp_group_nth(groups, i);
            if (group == NULL) {
                break;
            }
            struct sp_group_facts facts = sp_group_get(group);
            add_group(server, &facts, METRICS[m].metric, METRICS[m].name, to);
        }
    }
}

/* ---- agents ---------------------------------------------------------------------------------- */

static void add_agents(struct sp_server *server, struct sp_buf *to) {
    static const enum sp_agent_status ALL[] = {SP_AGENT_ONLINE, SP_AGENT_STALE, SP_AGENT_SUSPECTED,
                                               SP_AGENT_OFFLINE};
    begin(to, "spoor_agents", "gauge", "Agents that announced themselves, by status.");
    for (size_t i = 0; i < sizeof(ALL) / sizeof(ALL[0]); i++) {
        add(to, "spoor_agents{status=\"%s\"} %u\n", sp_agent_status_name(ALL[i]),
            sp_bus_agent_count(server->bus, ALL[i]));
    }
}

/* ---- projections ----------------------------------------------------------------------------- */

enum projection_metric {
    PROJECTION_POSITION,
    PROJECTION_LAG,
    PROJECTION_LAG_US,
    PROJECTION_APPLIED,
    PROJECTION_FAILED,
    PROJECTION_REBUILDING,
};

struct projection_lines {
    struct sp_buf *to;
    const char *name;
    enum projection_metric metric;
};

static void add_projection(void *context, const struct sp_projects_figures *figures) {
    const struct projection_lines *lines = context;
    struct sp_buf *to = lines->to;
    add(to, "%s{projection=\"%.*s\"}", lines->name, SP_STR_ARG(figures->name));
    switch (lines->metric) {
    case PROJECTION_POSITION:
        add_number(to, figures->position);
        return;
    case PROJECTION_LAG:
        add_number(to, figures->lag_events);
        return;
    case PROJECTION_LAG_US:
        add(to, " %llu.%06u\n", (unsigned long long)(figures->lag_us / US_PER_S),
            (unsigned)(figures->lag_us % US_PER_S));
        return;
    case PROJECTION_APPLIED:
        add_number(to, figures->applied);
        return;
    case PROJECTION_FAILED:
        add_number(to, figures->failed);
        return;
    case PROJECTION_REBUILDING:
        add_number(to, figures->rebuilding);
        return;
    }
    sp_never();
}

static void add_projections(struct sp_server *server, struct sp_buf *to) {
    static const struct {
        enum projection_metric metric;
        const char *name;
        const char *help;
    } METRICS[] = {
        {PROJECTION_POSITION, "spoor_projection_position",
         "Position up to which a read model has looked at all events."},
        {PROJECTION_LAG, "spoor_projection_lag_events", "Events that a read model has not yet."},
        {PROJECTION_LAG_US, "spoor_projection_lag_seconds",
         "How long the first of them has been durable."},
        {PROJECTION_APPLIED, "spoor_projection_applied_events",
         "Events that a read model has taken in."},
        {PROJECTION_FAILED, "spoor_projection_failed",
         "1 where a projection has stopped at an event."},
        {PROJECTION_REBUILDING, "spoor_projection_rebuilding",
         "1 while a build beside the current one is on its way."},
    };
    for (size_t m = 0; m < sizeof(METRICS) / sizeof(*METRICS) && server->projects != NULL; m++) {
        struct projection_lines lines = {
            .to = to, .name = METRICS[m].name, .metric = METRICS[m].metric};
        begin(to, METRICS[m].name, "gauge", METRICS[m].help);
        sp_projects_figures(server->projects, add_projection, &lines);
    }
}

/* ---- sagas and what belongs to them ---------------------------------------------------------- */

static void add_sagas(struct sp_server *server, struct sp_buf *to) {
    struct sp_sagas_stats sagas;
    const struct sp_flow *flow = sp_engine_flow(server->engine);
    sp_sagas_stats(sp_flow_sagas(flow), &sagas);
    one(to, "spoor_sagas_running", "gauge", "Sagas that run.", sagas.running);
    one(to, "spoor_sagas_waiting", "gauge", "Sagas that wait for others of their name to end.",
        sagas.waiting);
    one(to, "spoor_sagas_needing_attention", "gauge", "Sagas that wait for a person.", sagas.stuck);
    one(to, "spoor_saga_timers", "gauge", "Timers of sagas.", sagas.timers);
    one(to, "spoor_saga_memory_bytes", "gauge", "Bytes that running sagas take.",
        sagas.memory_bytes);
    one(to, "spoor_approvals_pending", "gauge", "Approvals that stand alone and wait.",
        sp_approvals_count(sp_flow_part(flow, &sp_approvals_part)));
    one(to, "spoor_delayed_events", "gauge", "Events that wait for their time.",
        sp_delayed_count(sp_flow_part(flow, &sp_delayed_part)));
    one(to, "spoor_joins", "gauge", "Joins that are defined.",
        sp_joins_count(sp_flow_part(flow, &sp_joins_part)));
    one(to, "spoor_schedules", "gauge", "Schedules that are defined.",
        sp_schedules_count(sp_flow_part(flow, &sp_schedules_part)));
}

static void add_flows(struct sp_server *server, struct sp_buf *to) {
    struct sp_flow_stats stats;
    sp_engine_flow_stats(server->engine, &stats);
    one(to, "spoor_flow_works_total", "counter",
        "Pieces of work of sagas, joins, schedules and timers.", stats.works);
    one(to, "spoor_flow_events_total", "counter", "Events that they appended.", stats.events);
    one(to, "spoor_flow_postponed_total", "counter",
        "Pieces of work that were given back, for the log took no more.", stats.postponed);
    one(to, "spoor_flow_failed_total", "counter", "Those that gave nothing but an error.",
        stats.failed);
    one(to, "spoor_flow_jq_runs_total", "counter", "Runs of jq programs of definitions.",
        stats.jq_runs);
    one(to, "spoor_flow_jq_failures_total", "counter", "Those that failed.", stats.jq_failures);
    begin(to, "spoor_flow_jq_seconds_total", "counter", "Time spent waiting for them.");
    add(to, "spoor_flow_jq_seconds_total %llu.%06u\n", (unsigned long long)(stats.jq_us / US_PER_S),
        (unsigned)(stats.jq_us % US_PER_S));
    begin(to, "spoor_flow_late_seconds", "gauge", "How late the newest work of a deadline came.");
    add(to, "spoor_flow_late_seconds %llu.%06u\n", (unsigned long long)(stats.late_us / US_PER_S),
        (unsigned)(stats.late_us % US_PER_S));
    one(to, "spoor_flow_pinned_position", "gauge", "The first position kept for them; 0: none.",
        stats.pinned);
}

/* ---- the process ----------------------------------------------------------------------------- */

static void add_process(struct sp_server *server, struct sp_buf *to) {
    struct rusage usage;
    begin(to, "spoor_build_info", "gauge", "The version that runs.");
    add(to, "spoor_build_info{version=\"%s\"} 1\n", spoor_version());
    begin(to, "process_start_time_seconds", "gauge", "When the process started, in Unix time.");
    add(to, "process_start_time_seconds %llu.%03u\n",
        (unsigned long long)(server->started_ms / MS_PER_S),
        (unsigned)(server->started_ms % MS_PER_S));
    one(to, "process_resident_memory_bytes", "gauge", "Bytes of the process in memory.",
        sp_server_resident_bytes());
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        long us = (long)usage.ru_utime.tv_usec + (long)usage.ru_stime.tv_usec;
        long s = (long)usage.ru_utime.tv_sec + (long)usage.ru_stime.tv_sec + us / US_PER_S;
        begin(to, "process_cpu_seconds_total", "counter", "Time of processors that was used.");
        add(to, "process_cpu_seconds_total %ld.%06ld\n", s, us % US_PER_S);
    }
}

void sp_metrics_write(struct sp_server *server, struct sp_buf *to) {
    add_process(server, to);
    add_store(server, to);
    add_connections(server, to);
    add_work(server, to);
    add_subscriptions(server, to);
    add_groups(server, to);
    add_agents(server, to);
    add_projections(server, to);
    add_queries(server, to);
    add_sagas(server, to);
    add_flows(server, to);
}

static enum sp_http_verdict on_metrics(struct sp_http_request *request) {
    struct sp_buf *to = sp_http_scratch(request);
    sp_metrics_write(request->server, to);
    if (to->status != SP_OK) {
        return sp_http_refuse_status(request, to->status, NULL);
    }
    struct sp_http_reply reply = {.status = 200,
                                  .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                  .body = sp_buf_str(to)};
    return sp_http_reply(request, &reply);
}

const struct sp_http_route sp_http_metrics_routes[] = {
    {SP_HTTP_GET, "/metrics", 0, on_metrics},
    {.path = NULL},
};
