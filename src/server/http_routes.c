/* The tables of routes: each part has its own, and its line here. */
#include "server/http.h"
#include "server/http_parts.h"

const struct sp_http_route *const *sp_http_route_tables(void) {
    /* One line for each part. */
    /* clang-format off */
    static const struct sp_http_route *const TABLES[] = {
        sp_http_own_routes,
        sp_http_agent_routes,
        sp_http_append_routes,
        sp_http_event_routes,
        sp_http_stream_routes,
        sp_http_run_routes,
        sp_http_metrics_routes,
        sp_http_projection_routes,
        sp_http_schema_routes,
        sp_http_desk_routes,
        sp_http_upcaster_routes,
        sp_http_command_routes,
        sp_http_subscribe_routes,
        sp_http_group_routes,
        sp_http_sql_routes,
        sp_http_state_routes,
        sp_http_ui_routes,
        NULL,
    };
    /* clang-format on */
    return TABLES;
}
