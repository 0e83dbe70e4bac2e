/*
 * The tables of routes, one for each part; http_routes.c lists them. loop-thread
 */
#ifndef SP_SERVER_HTTP_PARTS_H
#define SP_SERVER_HTTP_PARTS_H

#include "server/http.h"

/* http_own.c: the server itself. */
extern const struct sp_http_route sp_http_own_routes[];
/* http_agents.c: who is there and alive. */
extern const struct sp_http_route sp_http_agent_routes[];
/* http_projections.c: read models and how far they are. */
extern const struct sp_http_route sp_http_projection_routes[];
/* http_desk.c: sagas, approvals, joins, schedules, timers. */
extern const struct sp_http_route sp_http_desk_routes[];
/* http_schemas.c: the vocabulary. */
extern const struct sp_http_route sp_http_schema_routes[];
/* http_append.c: POST /v1/events. */
extern const struct sp_http_route sp_http_append_routes[];
/* http_events.c: GET /v1/events. */
extern const struct sp_http_route sp_http_event_routes[];
/* http_streams.c: /v1/streams and /v1/runs. */
extern const struct sp_http_route sp_http_stream_routes[];
extern const struct sp_http_route sp_http_run_routes[];

/* decisions_http.c */
extern const struct sp_http_route sp_http_command_routes[];

/* upcasting.c */
extern const struct sp_http_route sp_http_upcaster_routes[];

/* http_metrics.c */
extern const struct sp_http_route sp_http_metrics_routes[];
/* Appends what GET /metrics says. O(groups + read models). */
void sp_metrics_write(struct sp_server *server, struct sp_buf *to);

/* openapi.json, which describes them all: embedded when the program is built. */
extern const char sp_openapi_json[];
extern const size_t sp_openapi_json_len;

/* subscribe_sse.c: server-sent events. */
extern const struct sp_http_route sp_http_subscribe_routes[];

/* http_sql.c: POST /v1/query. */
extern const struct sp_http_route sp_http_sql_routes[];
/* The client has read: the next pieces of an answer. */
void sp_http_query_drained(struct sp_connection *connection);

/* http_state.c: read models as they were. */
extern const struct sp_http_route sp_http_state_routes[];

/* ui.c: the dashboard. */
extern const struct sp_http_route sp_http_ui_routes[];

/* http_groups.c: worker queues. */
extern const struct sp_http_route sp_http_group_routes[];

#endif
