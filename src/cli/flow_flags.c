#include "cli/flows.h"

#define TEXT(name_, value_, help_)                                                                 \
    { .name = name_, .kind = SP_FLAG_TEXT, .value = value_, .help = help_ }
#define BY     TEXT("by", "WHO", "who asks (default: user:$USER)")
#define REASON TEXT("reason", "TEXT", "why; it is recorded")

const struct sp_flag sp_saga_start_flags[] = {
    [SP_SAGA_START_KEY] = TEXT("key", "K", "once for this key: again gives the one there is"),
    [SP_SAGA_START_CORRELATION] = TEXT("correlation", "C", "the run it belongs to"),
    [SP_SAGA_START_CAUSATION] = TEXT("causation", "ID", "the event that caused it"),
    [SP_SAGA_START_BY] = BY,
    [SP_SAGA_START_WAIT] = {.name = "wait", .help = "wait until it has ended, and tell how"},
    [SP_SAGA_START_TIMEOUT] = TEXT("timeout", "TIME", "of --wait: 30s, 5m; then exit 7"),
};

const struct sp_flag sp_saga_ls_flags[] = {
    [SP_SAGA_LS_DEFINITIONS] = {.name = "definitions", .help = "the definitions, not the sagas"},
    [SP_SAGA_LS_NAME] = TEXT("name", "NAME", "only sagas of this definition"),
    [SP_SAGA_LS_STATUS] = TEXT("status", "S",
                               "running, compensating, needs_attention; an ended one: completed, "
                               "compensated, cancelled"),
    [SP_SAGA_LS_STEP] = TEXT("step", "PATH", "only those at this step"),
    [SP_SAGA_LS_WAITING] =
        TEXT("waiting", "FOR", "worker, timer, approval, event, join, limit, operator"),
};

const struct sp_flag sp_saga_show_flags[] = {
    [SP_SAGA_SHOW_EVENTS] = {.name = "events", .help = "the events of its stream"},
};

const struct sp_flag sp_ask_flags[] = {
    [SP_ASK_BY] = BY,
    [SP_ASK_REASON] = REASON,
    [SP_ASK_STEP] = TEXT("step", "PATH", "which step, where several wait for a person"),
    [SP_ASK_RESULT] = TEXT("result", "JSON", "what the step gave"),
};

const struct sp_flag sp_decide_flags[] = {
    [SP_ASK_BY] = BY,
    [SP_ASK_REASON] = REASON,
    [SP_DECIDE_CHOICE] = TEXT("choice", "C", "one of its choices"),
    [SP_DECIDE_DATA] = TEXT("data", "JSON", "what comes with the decision"),
    [SP_DECIDE_STEP] = TEXT("step", "PATH", "which step, where several wait"),
};

const struct sp_flag sp_fork_flags[] = {
    [SP_FORK_BY] = BY,
    [SP_FORK_AT] = TEXT("at", "PATH", "the step to go on with (default: the one that failed)"),
    [SP_FORK_DATA] = TEXT("data", "JSON", "start data in place of the first one's"),
};

const struct sp_flag sp_define_flags[] = {
    [SP_DEFINE_BY] = BY,
};

const struct sp_flag sp_approval_ls_flags[] = {
    [SP_APPROVAL_LS_WHO] = TEXT("who", "ID", "only those that this one may decide"),
    [SP_APPROVAL_LS_STATUS] = TEXT("status", "S", "pending"),
};

const struct sp_flag sp_timer_cancel_flags[] = {
    [SP_ASK_BY] = BY,
    [SP_ASK_REASON] = REASON,
    [SP_TIMER_CANCEL_SOURCE] = TEXT("source", "ID", "of the event, where several have the id"),
};
