/*
 * The handlers of the commands, each a row of commands.c; those of pub/sub are in pubsub.h.
 * loop-thread
 */
#ifndef SP_SERVER_HANDLERS_H
#define SP_SERVER_HANDLERS_H

#include "server/command.h"

/* transaction.c */
sp_handler_fn sp_on_multi;
sp_handler_fn sp_on_exec;
sp_handler_fn sp_on_discard;
sp_handler_fn sp_on_watch;
sp_handler_fn sp_on_unwatch;

/* cmd_runs.c */
sp_handler_fn sp_on_spoor_run_fork;
sp_handler_fn sp_on_spoor_run_resume;

/* cmd_connection.c */
sp_handler_fn sp_on_hello;
sp_handler_fn sp_on_auth;
sp_handler_fn sp_on_ping;
sp_handler_fn sp_on_echo;
sp_handler_fn sp_on_quit;
sp_handler_fn sp_on_reset;
sp_handler_fn sp_on_select;

/* cmd_client.c */
sp_handler_fn sp_on_client_id;
sp_handler_fn sp_on_client_info;
sp_handler_fn sp_on_client_list;
sp_handler_fn sp_on_client_getname;
sp_handler_fn sp_on_client_setname;
sp_handler_fn sp_on_client_setinfo;
sp_handler_fn sp_on_client_no_evict;
sp_handler_fn sp_on_client_no_touch;
sp_handler_fn sp_on_client_reply;
sp_handler_fn sp_on_client_unblock;
sp_handler_fn sp_on_client_kill;
sp_handler_fn sp_on_client_tracking;

/* cmd_server.c */
sp_handler_fn sp_on_info;
sp_handler_fn sp_on_time;
sp_handler_fn sp_on_dbsize;
sp_handler_fn sp_on_wait;
sp_handler_fn sp_on_debug;
sp_handler_fn sp_on_memory_usage;
sp_handler_fn sp_on_config_get;
sp_handler_fn sp_on_config_set;
sp_handler_fn sp_on_config_resetstat;
sp_handler_fn sp_on_config_rewrite;

/* cmd_command.c */
sp_handler_fn sp_on_command;
sp_handler_fn sp_on_command_count;
sp_handler_fn sp_on_command_docs;
sp_handler_fn sp_on_command_info;
sp_handler_fn sp_on_command_list;
sp_handler_fn sp_on_command_getkeys;
sp_handler_fn sp_on_help; /* HELP of any command that has subcommands */

/* cmd_keys.c */
sp_handler_fn sp_on_type;
sp_handler_fn sp_on_exists;
sp_handler_fn sp_on_del;
sp_handler_fn sp_on_keys;
sp_handler_fn sp_on_scan;
sp_handler_fn sp_on_rename;
sp_handler_fn sp_on_renamenx;
sp_handler_fn sp_on_expire;
sp_handler_fn sp_on_ttl;
sp_handler_fn sp_on_persist;
sp_handler_fn sp_on_flush;
sp_handler_fn sp_on_object_encoding;
sp_handler_fn sp_on_randomkey;

/* cmd_projections.c */
sp_handler_fn sp_on_spoor_projection_list;
sp_handler_fn sp_on_spoor_projection_status;
sp_handler_fn sp_on_spoor_projection_get;
sp_handler_fn sp_on_spoor_projection_add;
sp_handler_fn sp_on_spoor_projection_shipped;
sp_handler_fn sp_on_spoor_projection_drop;
sp_handler_fn sp_on_spoor_projection_rebuild;
sp_handler_fn sp_on_spoor_projection_resume;

/* cmd_state.c */
sp_handler_fn sp_on_spoor_state;

/* cmd_agents.c */
sp_handler_fn sp_on_spoor_agent_online;
sp_handler_fn sp_on_spoor_agent_heartbeat;
sp_handler_fn sp_on_spoor_agent_offline;
sp_handler_fn sp_on_spoor_agent_get;
sp_handler_fn sp_on_spoor_agent_list;

/* cmd_desk.c */
sp_handler_fn sp_on_spoor_desk;

/* cmd_schema.c */
sp_handler_fn sp_on_spoor_schema_add;
sp_handler_fn sp_on_spoor_schema_remove;
sp_handler_fn sp_on_spoor_schema_get;
sp_handler_fn sp_on_spoor_schema_list;

/* cmd_streams.c */
sp_handler_fn sp_on_xadd;
sp_handler_fn sp_on_xlen;
sp_handler_fn sp_on_xdel;
sp_handler_fn sp_on_xtrim;
sp_handler_fn sp_on_xsetid;

/* cmd_read.c */
sp_handler_fn sp_on_xrange;
sp_handler_fn sp_on_xrevrange;
sp_handler_fn sp_on_xread;

/* cmd_xinfo.c */
sp_handler_fn sp_on_xinfo_stream;

/* cmd_own.c */
sp_handler_fn sp_on_spoor_append;
sp_handler_fn sp_on_spoor_read;
sp_handler_fn sp_on_spoor_trace;
sp_handler_fn sp_on_spoor_event;

/* decisions_http.c */
sp_handler_fn sp_on_spoor_command;
sp_handler_fn sp_on_spoor_commands_list;
sp_handler_fn sp_on_spoor_commands_get;
sp_handler_fn sp_on_spoor_commands_put;
sp_handler_fn sp_on_spoor_commands_del;

/* upcasting.c */
sp_handler_fn sp_on_spoor_upcaster_put;
sp_handler_fn sp_on_spoor_upcaster_del;
sp_handler_fn sp_on_spoor_upcaster_list;

/* cmd_batch.c */
sp_handler_fn sp_on_spoor_batch;

/* cmd_list.c */
sp_handler_fn sp_on_spoor_streams;
sp_handler_fn sp_on_spoor_runs;
sp_handler_fn sp_on_spoor_info;

/* cmd_query.c */
sp_handler_fn sp_on_spoor_query;
sp_handler_fn sp_on_spoor_tables;
sp_handler_fn sp_on_hgetall;
sp_handler_fn sp_on_hget;

#endif
