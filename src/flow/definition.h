/*
 * Saga definitions: checked, compiled into a flat graph, written in one canonical form. pure
 *
 * A definition is a document (doc.h), from JSON or YAML. On the way in:
 *
 *     text ──► doc ──sp_saga_definition_inline──► doc with nested sagas in it
 *                      └──sp_saga_definition_compile──► problems; the graph, where none is an error
 *
 * The graph's `text` is the canonical one, which goes into `saga.defined`; on replay it is read by
 * sp_saga_definition_parse, which accepts exactly what compile let in. Canonical is: compact JSON,
 * members in the order in which they were written, numbers as they were written, nested sagas in
 * their steps under `definition`. Its SHA-256 is the definition's identity: a saga keeps the
 * definition it began with.
 *
 * jq programs are not compiled here (the floor is pure): whoever lets a definition in compiles
 * those in `programs` first, and notes what is wrong with sp_doc_wrong at the program's place.
 *
 * The graph: node 0 is the saga itself, a sequence; `first` and `next` lead through its steps in
 * the order of the text; a node's number is above its parent's, and the nodes below a node are the
 * numbers [node, end). Nodes never change; the definition is counted, by one thread.
 *
 *   kind       children                                    path
 *   ROOT       steps, one after another                    ""
 *   ACTION     none                                        name
 *   PARALLEL   steps, all at once                          name
 *   SEQUENCE   steps, one after another                    name
 *   CHOICE     BRANCHes: the first whose `when` holds      name
 *   BRANCH     steps, one after another                    that of the choice
 *   FOR_EACH   steps, one after another, for each item     name[]
 *   NESTED     steps, one after another: a scope           name
 *   WAIT, APPROVAL, EMIT  none                             name
 *
 * Limits: below; beyond them there is a problem that says so.
 */
#ifndef SP_FLOW_DEFINITION_H
#define SP_FLOW_DEFINITION_H

#include "flow/doc.h"
#include "flow/part.h"
#include "match/filter.h"
#include "record/sha256.h"

enum {
    SP_SAGA_BYTES_MAX = 65536, /* of the canonical text */
    SP_SAGA_STEPS_MAX = 256,   /* with those of nested sagas; branches do not count */
    SP_SAGA_DEPTH_MAX = 16,    /* containers within one another */
    SP_SAGA_NESTED_MAX = 8,    /* sagas within one another */
    SP_SAGA_ITEMS_MAX = 10000, /* of a for_each, at run time */
    SP_SAGA_CHOICES_MAX = 16,  /* of an approval */
    SP_SAGA_PEOPLE_MAX = 64,   /* who may decide */
    SP_SAGA_BRANCHES_MAX = 64,
    SP_SAGA_ID_BYTES_MAX = 255, /* of a person's or agent's id */
    SP_SAGA_PROMPT_BYTES_MAX = 1024,
    SP_SAGA_NO_NODE = 0xffff,
};

#define SP_SAGA_TIMEOUT_US_DEFAULT UINT64_C(300000000)       /* of an action */
#define SP_SAGA_DURATION_US_MAX    UINT64_C(315360000000000) /* ten years */

enum sp_saga_kind {
    SP_SAGA_ROOT = 1,
    SP_SAGA_ACTION,
    SP_SAGA_PARALLEL,
    SP_SAGA_SEQUENCE,
    SP_SAGA_CHOICE,
    SP_SAGA_BRANCH,
    SP_SAGA_FOR_EACH,
    SP_SAGA_NESTED,
    SP_SAGA_WAIT,
    SP_SAGA_APPROVAL,
    SP_SAGA_EMIT,
};

/* What is done where a wait, an approval or a saga has run out of time, or the answer was no. */
enum sp_saga_outcome { SP_SAGA_FAIL = 0, SP_SAGA_CONTINUE, SP_SAGA_REJECT, SP_SAGA_APPROVE };

struct sp_saga_retry {
    uint32_t limit;        /* attempts, the first included; 0: without limit */
    uint32_t factor_milli; /* 2000: doubled each time */
    uint32_t jitter_milli; /* 200: up to 20 % more or less; at most 1000 */
    uint64_t backoff_us;   /* before the second attempt */
    uint64_t max_us;       /* never more, before jitter */
};

struct sp_saga_texts {
    const sp_str *items;
    uint32_t count;
};

struct sp_saga_compensation {
    sp_str action; /* the command's type */
    sp_str input;  /* jq; empty: {input, result, error} */
    uint64_t timeout_us;
    struct sp_saga_retry retry;
};

/* Exactly one of for_us (even 0, then for_given), for_program, until and pattern. */
struct sp_saga_wait {
    bool for_given;
    uint64_t for_us;
    sp_str for_program;              /* jq: a duration as text, or seconds */
    sp_str until;                    /* jq: a time (RFC 3339) */
    sp_str pattern;                  /* of the event's type */
    struct sp_filter *filter;        /* NULL: none */
    sp_str filter_text;              /* its JSON */
    sp_str key;                      /* jq over the context; empty: any event will do */
    sp_str match;                    /* the path in the event whose value is to equal it */
    enum sp_saga_outcome on_timeout; /* FAIL or CONTINUE; the time is the node's timeout_us */
};

/* A choice `reject` says no; every other says yes, and which. */
struct sp_saga_approval {
    sp_str prompt;
    sp_str data;                  /* jq: what the one who decides is shown besides; or empty */
    struct sp_saga_texts choices; /* at least one; [approve, reject] where none are given */
    struct sp_saga_texts who;     /* who may decide; none: anybody */
    uint64_t escalate_after_us;   /* 0: never */
    struct sp_saga_texts escalate_to;
    enum sp_saga_outcome on_timeout; /* REJECT, APPROVE or FAIL */
    enum sp_saga_outcome on_reject;  /* FAIL or CONTINUE */
};

struct sp_saga_emit {
    sp_str type;
    sp_str stream; /* empty: the saga's own */
    sp_str data;   /* jq; empty: the start data */
};

struct sp_saga_node {
    enum sp_saga_kind kind;
    bool pivot;
    bool irreversible;
    bool at_most_once;
    bool compensate_on_failure; /* also where every attempt answered that it failed */
    bool after_pivot;           /* runs only once the pivot is done */
    bool is_scope;              /* ROOT and NESTED: names of steps below are its own */
    uint16_t parent;            /* SP_SAGA_NO_NODE: the root */
    uint16_t first;             /* child, SP_SAGA_NO_NODE: none */
    uint16_t next;              /* sibling, likewise */
    uint16_t previous;          /* sibling, likewise */
    uint16_t end;               /* the nodes below are the numbers from this one's to this */
    uint16_t scope;             /* the nearest node above that is one; its own number if it is */
    uint16_t child_count;
    uint16_t branch; /* BRANCH: its number within the choice, from 0 */
    sp_str name;     /* empty: ROOT, BRANCH */
    sp_str path;     /* template: `book/slot`, `ship[]/pack`: one index for each [] */
    sp_str action;   /* ACTION: the command's type */
    sp_str saga;     /* NESTED: the name of the definition */
    sp_str when;     /* jq, empty: always */
    sp_str input;    /* jq, ACTION and NESTED, empty: the start data */
    sp_str items;    /* jq, FOR_EACH */
    sp_str output;   /* jq, ROOT and NESTED, over the context at the end of the scope; or empty */
    uint32_t concurrency;       /* FOR_EACH: items at once */
    uint64_t timeout_us;        /* ACTION, WAIT for an event, APPROVAL, NESTED, ROOT; 0: none */
    struct sp_saga_retry retry; /* ACTION */
    const struct sp_saga_compensation *compensation; /* ACTION; NULL: none */
    const struct sp_saga_wait *wait;                 /* WAIT */
    const struct sp_saga_approval *approval;         /* APPROVAL */
    const struct sp_saga_emit *emit;                 /* EMIT */
    struct sp_doc_place place;                       /* in the text it was compiled from */
};

/* A jq program of the definition and where it stands, for whoever compiles it first. */
struct sp_saga_program {
    sp_str text;
    const char *key; /* "input", "when", "compensate.input" …; static storage */
    uint16_t node;   /* whose it is */
    struct sp_doc_place place;
};

struct sp_saga_definition {
    uint32_t refs;
    sp_str name;
    sp_str version;     /* the label; empty: none */
    sp_str description; /* or empty */
    sp_str text;        /* canonical */
    uint8_t sha256[SP_SHA256_BYTES];
    /* How it begins by itself; pattern empty: by call only. */
    sp_str start_pattern;
    struct sp_filter *start_filter; /* NULL: none */
    sp_str start_filter_text;
    sp_str start_key;      /* jq over the event, empty: each event begins one */
    sp_str start_data;     /* jq over the event, empty: the event's data */
    uint32_t concurrency;  /* sagas of this name at once; 0: any number */
    bool pause_on_failure; /* on_failure: pause */
    uint16_t pivot;        /* its node, SP_SAGA_NO_NODE: none */
    uint16_t node_count;
    uint16_t step_count; /* nodes but ROOT and BRANCH */
    const struct sp_saga_node *nodes;
    uint32_t program_count;
    const struct sp_saga_program *programs;
    struct sp_pool pool; /* of everything above */
};

/*
 * Gives the canonical text of the newest definition of a name; borrowed until the next call. An
 * empty text: there is none, which is a problem, unless such names may be `open`.
 */
struct sp_saga_lookup {
    void *context;
    bool open;
    sp_str (*find)(void *context, sp_str name);
};

/*
 * Puts the definitions of nested sagas in their places, where they are not there yet. Problems are
 * noted (an unknown name); SP_LIMIT, SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_saga_definition_inline(struct sp_doc *doc,
                                                   const struct sp_saga_lookup *lookup,
                                                   struct sp_doc_problems *problems,
                                                   struct sp_error *error);

/*
 * Checks the whole document and compiles it. What is wrong or doubtful is added to `problems`;
 * SP_INVALID where there is an error in it, which `error` tells. `open_nested`: a nested saga whose
 * definition is not there is a warning, and has no children (checking a file alone). The caller
 * holds one reference; the document may go.
 */
SP_WARN_UNUSED sp_status sp_saga_definition_compile(const struct sp_doc *doc, bool open_nested,
                                                    struct sp_doc_problems *problems,
                                                    struct sp_saga_definition **ret_definition,
                                                    struct sp_error *error);

/* The same from canonical text. SP_INVALID with the first error's place, SP_LIMIT, SP_NO_MEMORY. */
SP_WARN_UNUSED sp_status sp_saga_definition_parse(sp_str text,
                                                  struct sp_saga_definition **ret_definition,
                                                  struct sp_error *error);

struct sp_saga_definition *sp_saga_definition_ref(struct sp_saga_definition *definition);
void sp_saga_definition_unref(struct sp_saga_definition *definition); /* NULL is fine */

/*
 * The step that a path without its indexes names ("ship/pack", also "ship[3]/pack"), or
 * SP_SAGA_NO_NODE. O(path).
 */
uint16_t sp_saga_definition_find(const struct sp_saga_definition *definition, sp_str path);

#endif
