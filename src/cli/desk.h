/*
 * Asking a server or a folder about sagas, approvals, joins, schedules and timers, with the words
 * of the command line: `saga approve` is the verb "approve" of the desk "saga" (api/desk.h), and
 * the command's own options are the verb's. loop-thread
 */
#ifndef SP_CLI_DESK_H
#define SP_CLI_DESK_H

#include "api/desk.h"
#include "cli/cli.h"
#include "client/client.h"

/* What is asked, one of the two, and what it said. */
struct sp_cli_desk {
    struct sp_cli *cli;
    spoor *store;             /* a folder */
    struct sp_client *client; /* a server */
    char who[SP_CLI_WHO_SIZE];
    struct sp_buf text; /* the answer: JSON; of a list an object a line */
    uint32_t row_count;
    struct sp_error error; /* of the last asking */
};

/* As sp_server_or_folder. Close it in any case. */
SP_WARN_UNUSED int sp_cli_desk_open(struct sp_cli *cli, unsigned flags, struct sp_cli_desk *desk);
void sp_cli_desk_close(struct sp_cli_desk *desk);

/*
 * The request that the command line describes. Options that are only the command line's, which
 * `others` lists (ended by NULL, may be NULL), are passed over. Says what is wrong; returns an exit
 * code.
 */
SP_WARN_UNUSED int sp_cli_desk_request(struct sp_cli_desk *desk, const char *const *others,
                                       struct sp_desk_request *ret_request);

/* Asks; the answer is in the desk. What was wrong is in desk->error, and is not said. */
SP_WARN_UNUSED sp_status sp_cli_desk_try(struct sp_cli_desk *desk,
                                         const struct sp_desk_request *request);

/* Asks, and says what is wrong; returns an exit code. */
SP_WARN_UNUSED int sp_cli_desk_ask(struct sp_cli_desk *desk, const struct sp_desk_request *request);

/* Called for each row of a list: one JSON object. */
typedef void sp_cli_desk_row_fn(void *context, sp_str row);

/*
 * Asks for a list, page after page, and shows each row; `limit` of them at most, 0: all. Returns an
 * exit code.
 */
SP_WARN_UNUSED int sp_cli_desk_list(struct sp_cli_desk *desk, struct sp_desk_request *request,
                                    uint64_t limit, sp_cli_desk_row_fn *row, void *context);

/* The answer as a line of JSON, or for people over several lines. */
void sp_cli_desk_show(struct sp_cli_desk *desk);

#endif
