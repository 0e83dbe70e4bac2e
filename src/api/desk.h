/*
 * The desk: what people and programs ask of sagas, approvals, joins, schedules and delayed events,
 * whichever way they come. loop-thread
 *
 *     SPOOR.SAGA START name …   ┐
 *     POST /v1/sagas            ├─► request ──ask──► answer: JSON, or a refusal with members
 *     spoor saga start name …   ┘
 *
 * One table (desk.c) says what can be asked: its desk ("saga"), its verb ("start"), what it is
 * about (a name, an id, a text), and its options. The Redis protocol gives words, HTTP members of a
 * JSON object and parameters of a query, the command line options: all of them become a request
 * here, so that the same is asked everywhere by the same names and refused with the same words.
 * Over a server the command line sends the request's words; over a folder it asks the engine.
 *
 * What is asked is decided in the call; show it when it is durable (engine/flows.h).
 */
#ifndef SP_API_DESK_H
#define SP_API_DESK_H

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

struct sp_engine;
struct spoor;

enum sp_desk_option {
    SP_DESK_BY,     /* who asks */
    SP_DESK_REASON, /* why */
    SP_DESK_CHOICE,
    SP_DESK_STEP, /* a step's path */
    SP_DESK_KEY,
    SP_DESK_CORRELATION,
    SP_DESK_CAUSATION,
    SP_DESK_DATA, /* JSON */
    SP_DESK_NAME,
    SP_DESK_STATUS,
    SP_DESK_WAITING, /* for what: worker, timer, approval … */
    SP_DESK_WHO,
    SP_DESK_SOURCE,
    SP_DESK_AFTER, /* of a list: the `next` of the page before; of most a position */
    SP_DESK_LIMIT, /* of a list: a number */
    SP_DESK_OPTION_COUNT,
};

#define SP_DESK_BIT(option) (UINT32_C(1) << (option))

enum {
    SP_DESK_LIMIT_DEFAULT = 100,
    SP_DESK_LIMIT_MAX = 10000,
    SP_DESK_TEXT_BYTES_MAX = 64 << 10, /* of a definition */
    SP_DESK_NEXT_SIZE = 48,
    SP_DESK_WORDS_MAX = 4 + 2 * SP_DESK_OPTION_COUNT,
};

struct sp_desk_call;
typedef sp_status sp_desk_fn(struct sp_desk_call *call, struct sp_error *error);

/* A row of the table. */
struct sp_desk_verb {
    const char *desk;    /* lower case: "saga" */
    const char *name;    /* "start" */
    const char *subject; /* what the operand is: "name", "id", "text"; NULL: there is none */
    uint32_t options;    /* SP_DESK_BIT of those it takes */
    bool takes_data;     /* DATA may stand behind the subject without its name */
    bool writes;
    bool reads;       /* looks into the log: behind what the client appended itself */
    const char *rows; /* its answer is a list of these: "sagas"; NULL: it is one thing */
    sp_desk_fn *run;
};

/* The table, ended by a row without a desk. */
const struct sp_desk_verb *sp_desk_verbs(void);

/* NULL where there is none of these names. */
const struct sp_desk_verb *sp_desk_find(sp_str desk, sp_str verb);

/* True where the subject is a whole text: a definition. */
bool sp_desk_takes_text(const struct sp_desk_verb *verb);
/* True where the value of this option is JSON. */
bool sp_desk_takes_json(const struct sp_desk_verb *verb, sp_str option);

/* What is asked. All of it is borrowed. */
struct sp_desk_request {
    const struct sp_desk_verb *verb;
    sp_str subject;                       /* NULL ptr: not given */
    sp_str options[SP_DESK_OPTION_COUNT]; /* NULL ptr: not given */
    uint32_t limit;                       /* as read from LIMIT, or the default */
};

/*
 * Sets an option by its name, whose case does not count, or the subject by its own name.
 * SP_INVALID: the verb takes no such option, and the error lists those it takes; it was given
 * before; or LIMIT is no number.
 */
SP_WARN_UNUSED sp_status sp_desk_set(struct sp_desk_request *request, sp_str name, sp_str value,
                                     struct sp_error *error);

/*
 * Reads `subject [data] [OPTION value]…`, what stands behind a verb in the Redis protocol, and
 * checks that all is there. SP_INVALID.
 */
SP_WARN_UNUSED sp_status sp_desk_read(const struct sp_desk_verb *verb, const sp_str *words,
                                      uint32_t count, struct sp_desk_request *ret_request,
                                      struct sp_error *error);

/* What was set by sp_desk_set is complete: the subject is there. SP_INVALID. */
SP_WARN_UNUSED sp_status sp_desk_check(const struct sp_desk_request *request,
                                       struct sp_error *error);

/*
 * The words that ask this of a server, SPOOR.… included; returns how many. `room` holds the first
 * word, and lasts as long as they do.
 */
enum { SP_DESK_ROOM_SIZE = 32 };
uint32_t sp_desk_words(const struct sp_desk_request *request, char room[SP_DESK_ROOM_SIZE],
                       sp_str words[SP_DESK_WORDS_MAX]);

/*
 * Whether a list of sagas that have ended is asked for, by their status. The desk knows those that
 * run only; those that have ended are in the read model `sagas`.
 */
bool sp_desk_asks_ended(const struct sp_desk_request *request);
/*
 * How that is asked: a SELECT with the parameters status, name, step (empty: any) and after (a
 * number as text), whose columns have the names of a row's members. Static.
 */
const char *sp_desk_sagas_ended_sql(void);

/* What is answered. */
struct sp_desk_answer {
    struct sp_buf text; /* one JSON object; of a list one a line */
    uint32_t row_count; /* of a list */
    bool more;          /* of a list: there are more, AFTER `next` */
    char next[SP_DESK_NEXT_SIZE];
    bool changed; /* something was appended */
    bool created; /* it was not there before */
    /* Of a refusal: what programs may read of it, as JSON; NULL: nothing beyond the text. */
    const char *member_name; /* "errors", "decision" */
    struct sp_buf member;
};

void sp_desk_answer_init(struct sp_desk_answer *answer);
void sp_desk_answer_fini(struct sp_desk_answer *answer);

/*
 * Asks. `by` is who asks where the request does not say; `now_us` is the wall clock, for ages.
 * SP_BUSY: turn, and ask again. Otherwise as engine/flows.h says of each, and SP_LIMIT where the
 * answer grows beyond what a reply may hold.
 */
SP_WARN_UNUSED sp_status sp_desk_ask(struct sp_engine *engine,
                                     const struct sp_desk_request *request, sp_str by,
                                     uint64_t now_us, struct sp_desk_answer *answer,
                                     struct sp_error *error);

/*
 * The same of a store that is open by the public API, a folder: turns while it is busy, and returns
 * when what was appended is durable. Not of a store with its own thread. SP_UNSUPPORTED: it is a
 * server.
 */
SP_WARN_UNUSED sp_status sp_api_ask(struct spoor *store, const struct sp_desk_request *request,
                                    sp_str by, struct sp_desk_answer *answer,
                                    struct sp_error *error);

#endif
