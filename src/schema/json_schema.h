/*
 * JSON Schema, draft 2020-12: compiled once, then asked whether JSON is valid. pure
 *
 * All of the core, applicator, unevaluated and validation vocabularies: references (also to the
 * draft's own meta-schemas and to documents handed over), anchors, dynamic references, custom
 * meta-schemas with $vocabulary. Numbers are compared as written, whatever their size; `pattern` is
 * an ECMA-262 expression as match/regex.h knows it, so that matching takes linear time. `format` is
 * an annotation, unless asked for or the meta-schema asserts it. Nothing is ever fetched: a
 * reference to a document that is not there is an error when compiling.
 *
 * Happy path: sp_schema_compile parses the text, notes every $id and anchor, and turns each
 * subschema into a node of a graph; sp_schema_check reads the instance into a flat tape and walks
 * both. A mistake in a schema is SP_INVALID with the place in the schema, where its byte is
 * error->offset. An instance that is not valid is SP_INVALID with a fault: where in the instance,
 * which rule of the schema, and a sentence.
 *
 * Limits: SP_SCHEMA_BYTES_MAX for the text, SP_SCHEMA_DEPTH_MAX levels of a schema, and while
 * checking SP_SCHEMA_LEVELS_MAX levels of schemas within schemas and SP_SCHEMA_STEPS_MAX
 * applications of one, beyond which the answer is SP_LIMIT: a schema that refers to itself cannot
 * run for ever. Memory of a compiled schema is bounded by SP_SCHEMA_MEMORY_MAX.
 *
 * A compiled schema never changes and is counted: threads may share it. A scratch belongs to one
 * caller at a time and spares allocations.
 */
#ifndef SP_SCHEMA_JSON_SCHEMA_H
#define SP_SCHEMA_JSON_SCHEMA_H

#include "base/error.h"
#include "base/str.h"

enum {
    SP_SCHEMA_BYTES_MAX = 1 << 20,
    SP_SCHEMA_DEPTH_MAX = 128,
    SP_SCHEMA_LEVELS_MAX = 512,
    SP_SCHEMA_STEPS_MAX = 4 << 20,
    SP_SCHEMA_MEMORY_MAX = 32 << 20,
    SP_SCHEMA_POINTER_SIZE =
        192, /* of a JSON pointer in a fault, NUL and all; longer ones are cut */
};

struct sp_schema;
struct sp_schema_scratch;

/* A document that references may lead to, by its absolute URI. */
struct sp_schema_document {
    sp_str uri;
    sp_str text;
};

struct sp_schema_options {
    const struct sp_schema_document *documents;
    size_t document_count;
    bool asserts_formats;
};

/* Why an instance is not valid: the first thing found. All texts end in a NUL. */
struct sp_schema_fault {
    char pointer[SP_SCHEMA_POINTER_SIZE]; /* in the instance; "" is all of it */
    char rule[SP_SCHEMA_POINTER_SIZE];    /* in the schema, its last token the keyword */
    char text[SP_ERROR_TEXT_SIZE];        /* a phrase: "expected a number, found a string" */
    uint64_t offset;                      /* in the instance's bytes */
};

/*
 * Compiles a schema; options may be NULL. SP_INVALID (not JSON, a keyword with a value that it
 * cannot have, a reference that leads nowhere), SP_UNSUPPORTED (another draft, an expression that
 * needs backtracking, an unknown required vocabulary), SP_LIMIT, SP_NO_MEMORY. The caller holds one
 * reference.
 */
SP_WARN_UNUSED sp_status sp_schema_compile(sp_str text, const struct sp_schema_options *options,
                                           struct sp_schema **ret_schema, struct sp_error *error);

/*
 * Tells of each keyword of the schema's own text that the draft does not have: it is passed over,
 * as the draft demands, and is often a misspelt one. `offset` is its byte, `meant` the keyword that
 * it is like, or NULL.
 */
typedef void sp_schema_unknown_fn(void *context, uint64_t offset, const char *pointer,
                                  const char *meant);
void sp_schema_unknown(const struct sp_schema *schema, sp_schema_unknown_fn *each, void *context);

struct sp_schema *sp_schema_ref(struct sp_schema *schema);

/* The last reference frees. NULL is fine. */
void sp_schema_unref(struct sp_schema *schema);

/* NULL where memory is out. */
struct sp_schema_scratch *sp_schema_scratch_new(void);

/* NULL is fine. */
void sp_schema_scratch_free(struct sp_schema_scratch *scratch);

/*
 * SP_OK where the JSON text is valid; SP_INVALID where it is not, or is no JSON (the rule is then
 * ""); SP_LIMIT where that cannot be said within the limits above; SP_NO_MEMORY. The fault, which
 * may be NULL, is filled in unless SP_OK. A scratch of NULL is made for the call.
 */
SP_WARN_UNUSED sp_status sp_schema_check(const struct sp_schema *schema,
                                         struct sp_schema_scratch *scratch, sp_str json,
                                         struct sp_schema_fault *fault);

#endif
