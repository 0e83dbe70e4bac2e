/*
 * Commands that only a server can answer: connecting to it, asking it, showing what it says.
 * loop-thread
 */
#ifndef SP_CLI_SERVER_H
#define SP_CLI_SERVER_H

#include "cli/cli.h"
#include "client/client.h"

/* Connects to the server that is meant. On failure says why; returns an exit code. */
SP_WARN_UNUSED int sp_server_connect(struct sp_cli *cli, struct sp_client **ret_client);

/*
 * Opens the server or the folder, whichever is meant: one of the two is set. `flags` are those of
 * spoor_open. On failure says why; returns an exit code, and close both.
 */
SP_WARN_UNUSED int sp_server_or_folder(struct sp_cli *cli, unsigned flags, spoor **ret_store,
                                       struct sp_client **ret_client);

/* Asks; on failure says what the server said. Returns an exit code; with 0 the answer is yours. */
SP_WARN_UNUSED int sp_server_ask(struct sp_client *client, const sp_str *args, size_t argc,
                                 struct sp_answer *answer);

/* Connects, asks and hangs up. */
SP_WARN_UNUSED int sp_server_ask_once(struct sp_cli *cli, const sp_str *args, size_t argc,
                                      struct sp_answer *answer);

/*
 * Appends a map of the server's as a JSON object: texts, numbers, booleans and null as they are, an
 * array as one of texts.
 */
void sp_server_add_object(struct sp_out *out, const struct sp_reply_node *map);

/* A value of a map as text for a table: numbers as digits; empty where it is not there. */
sp_str sp_server_text(const struct sp_reply_node *map, const char *key);

#endif
