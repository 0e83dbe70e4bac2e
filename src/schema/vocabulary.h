/*
 * The vocabulary: the event types that agents have in common, each with its meaning and the JSON
 * Schema of its data. pure
 *
 * It is data, in the files of vocabulary/ at the root, which the build turns into a table that is
 * compiled in: nobody needs the files to browse it, and nothing is enforced by it.
 *
 * A type may have tokens that stand for names, as in `task.assigned.{agent}`. Everything returned
 * is static and ends in a NUL.
 */
#ifndef SP_SCHEMA_VOCABULARY_H
#define SP_SCHEMA_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* A member of the data. */
struct sp_vocabulary_field {
    const char *name;
    const char *kind; /* of the value, in words: `string`, `number or null` */
    const char *meaning;
    bool is_required;
};

struct sp_vocabulary_type {
    const char *type;
    const char *version; /* of the schema */
    const char *domain;
    const char *meaning;    /* one sentence */
    const char *emitted_by; /* who does, in words */
    const char *also;       /* other spellings, separated by blanks */
    const char *see;        /* types to be told apart, separated by blanks */
    const struct sp_vocabulary_field *fields;
    size_t field_count;
    const char *schema;  /* the JSON Schema (2020-12) of the data, a document of its own */
    const char *example; /* JSON data that the schema accepts */
    const char *json;    /* all of the above but the fields, as one object */
    const char *row;     /* the first five, as one object */
};

size_t sp_vocabulary_count(void);

/* In the order of the types, bytewise; the index is below the count. */
const struct sp_vocabulary_type *sp_vocabulary_at(size_t index);

/*
 * The type of this name: its own, else another spelling of it, else one that stands for it
 * (`task.assigned.ann` is found under `task.assigned.{agent}`). NULL where there is none.
 */
const struct sp_vocabulary_type *sp_vocabulary_find(sp_str name);

/*
 * True where the pattern, which sp_pattern_check has accepted, matches the type, or is the name of
 * its domain.
 */
bool sp_vocabulary_matches(const struct sp_vocabulary_type *type, sp_str pattern);

#endif
