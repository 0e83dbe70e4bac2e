/*
 * States as the command line asks for them: the answers of spoor_state, and what is in them.
 * loop-thread
 */
#ifndef SP_CLI_STATE_H
#define SP_CLI_STATE_H

#include "base/json.h"
#include "cli/cli.h"

/* Asks and appends the answer to `to`. On failure says why; returns the exit code. */
SP_WARN_UNUSED int sp_state_ask(struct sp_cli *cli, spoor *store,
                                const spoor_state_options *options, struct sp_buf *to);

/*
 * The raw value of a member of a JSON object, and its first token; a NULL ptr where there is none.
 */
sp_str sp_state_member(sp_str answer, const char *name, struct sp_json_token *ret_token);

/* Walks an array: false where it is none, or, of the second, where it is over. */
SP_WARN_UNUSED bool sp_state_begin(sp_str array, struct sp_json *json);
SP_WARN_UNUSED bool sp_state_next(struct sp_json *json, struct sp_json_token *ret_token,
                                  sp_str *ret_raw);

/* Says the notices of an answer on stderr. */
void sp_state_say_notices(sp_str answer);

#endif
