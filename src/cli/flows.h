/*
 * Options of the commands for sagas, approvals, joins, schedules and timers. An option that has the
 * name of one of the desk's (api/desk.h) is it. pure
 */
#ifndef SP_CLI_FLOWS_H
#define SP_CLI_FLOWS_H

#include "cli/cli.h"
#include "cli/text.h"

enum {
    SP_SAGA_START_KEY,
    SP_SAGA_START_CORRELATION,
    SP_SAGA_START_CAUSATION,
    SP_SAGA_START_BY,
    SP_SAGA_START_WAIT,
    SP_SAGA_START_TIMEOUT,
    SP_SAGA_START_FLAG_COUNT,
};
extern const struct sp_flag sp_saga_start_flags[SP_SAGA_START_FLAG_COUNT];

enum {
    SP_SAGA_LS_DEFINITIONS,
    SP_SAGA_LS_NAME,
    SP_SAGA_LS_STATUS,
    SP_SAGA_LS_STEP,
    SP_SAGA_LS_WAITING,
    SP_SAGA_LS_FLAG_COUNT,
};
extern const struct sp_flag sp_saga_ls_flags[SP_SAGA_LS_FLAG_COUNT];

enum { SP_SAGA_SHOW_EVENTS, SP_SAGA_SHOW_FLAG_COUNT };
extern const struct sp_flag sp_saga_show_flags[SP_SAGA_SHOW_FLAG_COUNT];

/* Of what people ask: by and reason first, then what some of the verbs take besides. */
enum {
    SP_ASK_BY,
    SP_ASK_REASON,
    SP_ASK_WHY_COUNT,
    SP_ASK_STEP = SP_ASK_WHY_COUNT,
    SP_ASK_STEP_COUNT,
    SP_ASK_RESULT = SP_ASK_STEP_COUNT,
    SP_ASK_RESULT_COUNT,
};
extern const struct sp_flag sp_ask_flags[SP_ASK_RESULT_COUNT];

enum { SP_DECIDE_CHOICE = SP_ASK_WHY_COUNT, SP_DECIDE_DATA, SP_DECIDE_STEP, SP_DECIDE_FLAG_COUNT };
extern const struct sp_flag sp_decide_flags[SP_DECIDE_FLAG_COUNT];

enum { SP_FORK_BY, SP_FORK_AT, SP_FORK_DATA, SP_FORK_FLAG_COUNT };
extern const struct sp_flag sp_fork_flags[SP_FORK_FLAG_COUNT];

enum { SP_DEFINE_BY, SP_DEFINE_FLAG_COUNT };
extern const struct sp_flag sp_define_flags[SP_DEFINE_FLAG_COUNT];

enum { SP_APPROVAL_LS_WHO, SP_APPROVAL_LS_STATUS, SP_APPROVAL_LS_FLAG_COUNT };
extern const struct sp_flag sp_approval_ls_flags[SP_APPROVAL_LS_FLAG_COUNT];

enum { SP_TIMER_CANCEL_SOURCE = SP_ASK_WHY_COUNT, SP_TIMER_CANCEL_FLAG_COUNT };
extern const struct sp_flag sp_timer_cancel_flags[SP_TIMER_CANCEL_FLAG_COUNT];

/*
 * How long it is from now to a member of a row that is a time, or since then, in words; empty where
 * there is none.
 */
sp_str sp_cli_span(sp_str row, const char *name, uint64_t now_us, char text[SP_TEXT_SPAN_SIZE]);

/* `saga start --wait`: watches the saga until it ends, needs a person, or the time is over. */
struct sp_cli_desk;
SP_WARN_UNUSED int sp_cli_saga_watch(struct sp_cli_desk *desk, sp_str sagaid, uint64_t timeout_us);

/* Shows what happened to a saga: JSON, or words for people. */
SP_WARN_UNUSED int sp_cli_saga_tell(struct sp_cli_desk *desk, sp_str sagaid);

#endif
