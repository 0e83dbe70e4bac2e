/*
 * A projection file, read: which statements run for which events, with which parameters.
 * any-thread
 *
 *     -- spoor: projection NAME version N
 *     CREATE TABLE …;                                  the set-up
 *     -- spoor: on PATTERN, PATTERN where {FILTER}
 *     INSERT … VALUES (:source, :data ->> 'count') …;  a clause: statements for each such event
 *
 * docs/projections.md is the reference. What is read here is the form: directives, where statements
 * begin and end, their parameters, what they may be at all. Whether the SQL is right the database
 * says when a build is opened.
 *
 * Invariants: a definition never changes once it is made; threads share it by counting references.
 * The statements stand in the order of the file: first those of the set-up, then clause by clause.
 * All slices point into its own copy of the text, or into memory that lives as long.
 *
 * Limits: below; beyond them SP_LIMIT. Every error says line and column, both counted from 1, the
 * column in bytes, and what was expected; its offset is the byte position.
 */
#ifndef SP_PROJECT_DEFINITION_H
#define SP_PROJECT_DEFINITION_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/error.h"
#include "match/filter.h"
#include "record/event.h"

enum {
    SP_DEFINITION_BYTES_MAX = 1 << 20,
    SP_DEFINITION_STATEMENTS_MAX = 1000,
    SP_DEFINITION_CLAUSES_MAX = 128,
    SP_DEFINITION_PATTERNS_MAX = 256, /* different ones, as a query may have */
    SP_DEFINITION_TABLES_MAX = 256,
    SP_STATEMENT_BYTES_MAX = 256 << 10,
    SP_STATEMENT_PARAMETERS_MAX = 64, /* different ones */
    SP_STATEMENT_USES_MAX = 512,      /* places where they stand */
    SP_PROJECTION_NAME_MAX = 63,
};

#define SP_PROJECTION_VERSION_MAX UINT64_C(999999999)

/* What a statement may run on, one bit each. */
enum sp_dialect {
    SP_DIALECT_SQLITE = 1,
    SP_DIALECT_POSTGRESQL = 2,
    SP_DIALECT_ALL = 3,
};

enum sp_parameter_kind {
    SP_PARAMETER_ATTRIBUTE, /* one of enum sp_attr */
    SP_PARAMETER_DATA,
    SP_PARAMETER_DATA_TEXT,
    SP_PARAMETER_POSITION,
    SP_PARAMETER_VERSION,
    SP_PARAMETER_RECORDEDTIME,
    SP_PARAMETER_ENTRYID,
    SP_PARAMETER_TIME_MS,
    SP_PARAMETER_RECORDEDTIME_MS,
    SP_PARAMETER_EXTENSION, /* any other name */
};

struct sp_parameter {
    enum sp_parameter_kind kind;
    enum sp_attr attr; /* ATTRIBUTE */
    sp_str name;       /* without the colon */
};

/* One place of a statement's text where a parameter stands, colon included. */
struct sp_parameter_use {
    uint32_t offset; /* in the statement's text */
    uint32_t length;
    uint32_t number; /* from 1: which of the statement's parameters */
};

struct sp_statement {
    sp_str text;       /* as it stands in the file, without the `;` at its end */
    unsigned dialects; /* of enum sp_dialect */
    uint32_t line;     /* where it begins */
    uint32_t column;
    uint64_t offset;                       /* of its first byte in the file */
    const struct sp_parameter *parameters; /* number n is [n - 1]; in order of their first use */
    uint32_t parameter_count;
    const struct sp_parameter_use *uses; /* in order of the text */
    uint32_t use_count;
};

struct sp_clause {
    const sp_str *patterns; /* at least one; any of them */
    uint32_t pattern_count;
    struct sp_filter *filter; /* NULL: none; sp_filter_match may be called by any thread */
    sp_str filter_text;       /* empty: none */
    const struct sp_statement *statements; /* at least one */
    uint32_t statement_count;
    uint32_t line;
};

/* A table or view that the set-up makes. */
struct sp_definition_table {
    sp_str name; /* as written, without quotes */
    unsigned dialects;
    bool view;
    bool virtual_table; /* its rows live in further tables, whose names begin with this one */
};

struct sp_definition {
    _Atomic uint32_t refs;
    char name[SP_PROJECTION_NAME_MAX + 1];
    uint64_t version;
    uint8_t sha256[32]; /* of the file, byte by byte */
    sp_str text;        /* the file */

    const struct sp_statement *statements; /* all of them */
    uint32_t statement_count;
    uint32_t setup_count; /* so many of them are the set-up */
    const struct sp_clause *clauses;
    uint32_t clause_count;
    const sp_str *patterns; /* of all clauses, each once: what a query for its events asks for */
    uint32_t pattern_count;
    const struct sp_definition_table *tables;
    uint32_t table_count;
};

/*
 * Reads a projection file; the text is copied. SP_INVALID where it is none, SP_LIMIT,
 * SP_UNSUPPORTED (a regular expression in a filter), SP_NO_MEMORY. The caller has one reference.
 * O(bytes).
 */
SP_WARN_UNUSED sp_status sp_definition_parse(sp_str text, struct sp_definition **ret_definition,
                                             struct sp_error *error);

/* Takes one more reference; returns its argument. */
struct sp_definition *sp_definition_ref(struct sp_definition *definition);

/* Gives a reference back; the last one frees. NULL is fine. */
void sp_definition_unref(struct sp_definition *definition);

/* True where the text may be the name of a projection: [a-z][a-z0-9_]{0,62}. */
bool sp_projection_name_valid(sp_str name);

/*
 * Appends the statement's text with its parameters as the database wants them: `?1` on SQLite, `$1`
 * on PostgreSQL; the numbers are those of `parameters`. Failure sticks in the buffer.
 */
void sp_statement_write(const struct sp_statement *statement, enum sp_dialect dialect,
                        struct sp_buf *to);

/*
 * Fills the error with what a database said of a statement: SP_INVALID, with line and column of the
 * file. `written_offset` is a byte of what sp_statement_write wrote; 0 where it is not known.
 */
SP_WARN_UNUSED sp_status sp_statement_fail(const struct sp_definition *definition,
                                           const struct sp_statement *statement,
                                           size_t written_offset, struct sp_error *error,
                                           const char *what);

/*
 * ---- the values of parameters
 * --------------------------------------------------------------------
 */

enum sp_bound_type {
    SP_BOUND_NULL,
    SP_BOUND_INTEGER,
    SP_BOUND_TEXT,
    SP_BOUND_JSON,  /* JSON text: data that is JSON, metadata */
    SP_BOUND_BYTES, /* data that is not JSON */
};

struct sp_bound {
    enum sp_bound_type type;
    int64_t integer; /* INTEGER */
    sp_str text;     /* TEXT, JSON, BYTES; borrowed from the event or the scratch space */
};

/* Where values are written that the event does not hold as text. One per event. */
struct sp_bound_scratch {
    char recordedtime[32];
    char time[32];
    char entryid[32];
};

/*
 * What a parameter is for an event:
 *   :position :version :time_ms :recordedtime_ms   INTEGER; :time_ms NULL where there is no time
 *   :data         JSON, or BYTES, which sinks give as NULL: `->>` of what is no JSON would stop the
 *                 projection; NULL where there is none
 *   :data_text    TEXT: data as it was given, JSON or not; NULL where it is not UTF-8, or has a
 *                 zero byte, which PostgreSQL has no text with
 *   :metadata     JSON, or NULL
 *   all others    TEXT, or NULL where the event has none. A time is in UTC: as given where it ends
 *                 in `Z`, else turned; an extension that is no string is its JSON text.
 * Lasts as long as event and scratch. No allocation.
 */
void sp_parameter_get(const struct sp_parameter *parameter, const struct sp_event *event,
                      struct sp_bound_scratch *scratch, struct sp_bound *ret_bound);

#endif
