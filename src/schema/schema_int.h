/*
 * A compiled schema from within; for src/schema alone. pure
 *
 * A document is a text and its tape. In it lie resources (what has an $id, and the whole), and in
 * these subschemas, each a `struct sch`: made when its document is walked, filled when its turn in
 * the queue comes, so that neither recurses. Everything lies in the schema's pool.
 */
#ifndef SP_SCHEMA_SCHEMA_INT_H
#define SP_SCHEMA_SCHEMA_INT_H

#include <stdatomic.h>

#include "match/pool.h"
#include "match/regex.h"
#include "schema/json_schema.h"
#include "schema/tape.h"

enum sch_kind {
    KIND_NULL = 1,
    KIND_BOOLEAN = 2,
    KIND_INTEGER = 4,
    KIND_NUMBER = 8, /* that is no integer */
    KIND_STRING = 16,
    KIND_ARRAY = 32,
    KIND_OBJECT = 64,
    KIND_ALL = 127,
};

enum sch_vocabulary {
    VOCABULARY_CORE = 1,
    VOCABULARY_APPLICATOR = 2,
    VOCABULARY_UNEVALUATED = 4,
    VOCABULARY_VALIDATION = 8,
    VOCABULARY_FORMAT = 16, /* `format` asserts */
    VOCABULARY_USUAL = 15,
};

struct sch_anchor {
    struct sch_anchor *next;
    sp_str name;
    struct sch *schema;
    bool dynamic;
};

struct sch_resource {
    struct sch_resource *next;
    sp_str uri; /* absolute, or what there is of it; without a fragment */
    struct sch_document *document;
    uint32_t at;
    unsigned vocabulary;
    struct sch_anchor *anchors;
};

struct sch_document {
    struct sch_document *next;
    sp_str uri; /* it was asked for by; "" for the schema itself */
    sp_str text;
    struct sp_tape tape;
    struct sch **schemas; /* by node: the subschema there, or NULL */
    struct sch_resource *root;
};

struct sch_list {
    struct sch **items;
    uint32_t count;
};

struct sch_text_list {
    sp_str *items;
    uint32_t count;
};

struct sch_number {
    sp_str minimum; /* ptr NULL: none; and so on */
    sp_str maximum;
    sp_str above;
    sp_str below;
    sp_str multiple;
};

struct sch_string {
    uint64_t min;
    uint64_t max;
    struct sp_regex *pattern;
    sp_str pattern_text;
};

struct sch_array {
    uint64_t min;
    uint64_t max;
    bool unique;
    struct sch_list prefix;
    struct sch *items;
    struct sch *contains;
    uint64_t contains_min;
    uint64_t contains_max;
};

struct sch_property {
    sp_str name;
    struct sch *schema; /* NULL: it is only required */
    uint32_t required;  /* 1 and up: its place among those required; 0: it is not */
};

struct sch_pattern {
    struct sp_regex *regex;
    struct sch *schema;
};

/* dependentRequired or dependentSchemas, of one member. */
struct sch_dependent {
    sp_str name;
    const char *keyword;
    struct sch *schema; /* or NULL and: */
    struct sch_text_list required;
};

struct sch_object {
    uint64_t min;
    uint64_t max;
    struct sch_property *properties;
    uint32_t property_count;
    uint32_t required_count;
    uint32_t *slots; /* by hash of the name: index plus one; open addressing */
    uint32_t mask;
    struct sch_pattern *patterns;
    uint32_t pattern_count;
    struct sch *additional;
    struct sch *names;
    struct sch_dependent *dependents;
    uint32_t dependent_count;
};

struct sch_logic {
    struct sch *ref;
    struct sch *dynamic_ref; /* what it means where no outer resource has the anchor */
    sp_str dynamic_name;     /* the anchor's name; ptr NULL: as ref */
    struct sch_list all_of;
    struct sch_list any_of;
    struct sch_list one_of;
    struct sch *not_this;
    struct sch *if_this;
    struct sch *then_this;
    struct sch *else_this;
};

/* A subschema. Groups of keywords that it has none of are NULL. */
struct sch {
    struct sch *todo; /* the queue while compiling */
    struct sch_resource *resource;
    uint32_t at; /* its node in the resource's document */
    bool is_boolean;
    bool accepts; /* a boolean's value */
    bool filled;
    uint8_t kinds;
    uint32_t constant;    /* node of the value of const; 0: none */
    uint32_t enumeration; /* node of the array of enum; 0: none */
    sp_str format;        /* ptr NULL: none, or it is an annotation */
    struct sch_number *number;
    struct sch_string *string;
    struct sch_array *array;
    struct sch_object *object;
    struct sch_logic *logic;
    struct sch *unevaluated_items;
    struct sch *unevaluated_properties;
};

struct sch_regex {
    struct sch_regex *next;
    struct sp_regex *regex;
};

struct sp_schema {
    _Atomic uint32_t refs;
    struct sp_pool pool;
    struct sch_document *documents; /* the last one is the schema itself */
    struct sch_resource *resources;
    struct sch_regex *regexes;
    struct sch *root;
    uint32_t resource_count;
};

/* ---- keywords.c ---- */

enum sch_keyword {
    KW_UNKNOWN,
#define SCH_KEYWORD_(code, name, form, vocabulary) KW_##code,
#include "schema/keywords.h"
#undef SCH_KEYWORD_
    KW_COUNT,
};

/* What a keyword's value is made of. */
enum sch_form {
    FORM_VALUE,   /* no schemas */
    FORM_SCHEMA,  /* one */
    FORM_SCHEMAS, /* an array of them */
    FORM_MAP,     /* an object of them */
    FORM_MIXED,   /* an object of them and of arrays of strings */
};

struct sch_keyword_info {
    const char *name;
    enum sch_form form;
    unsigned vocabulary;
};

extern const struct sch_keyword_info sch_keywords[KW_COUNT];

enum sch_keyword sch_keyword_of(sp_str name);

/* ---- compile.c ---- */

struct sch_compile {
    struct sp_schema *schema;
    const struct sp_schema_options *options;
    struct sp_error *error;
    struct sch *first; /* the queue of what is to be filled */
    struct sch *last;
    uint64_t lookups;   /* nodes passed for references */
    struct sp_buf text; /* scratch */
};

/* Fails with "at <pointer>: <text>"; the error's offset is the node's. */
SP_WARN_UNUSED sp_status sch_fail(struct sch_compile *c, const struct sch_document *document,
                                  uint32_t at, sp_status status, const char *problem);
/* SP_LIMIT or SP_NO_MEMORY, after the pool gave nothing. */
SP_WARN_UNUSED sp_status sch_full(struct sch_compile *c);
/* Memory of the schema's pool; NULL: see sch_full. */
void *sch_take(struct sch_compile *c, size_t size);

/* ---- documents.c ---- */

/* Reads a document and makes its resources and subschemas. */
SP_WARN_UNUSED sp_status sch_document_add(struct sch_compile *c, sp_str uri, sp_str text,
                                          struct sch_document **ret_document);
/* The subschema that a reference from another one leads to; *ret_anchor where it is by one. */
SP_WARN_UNUSED sp_status sch_reference(struct sch_compile *c, const struct sch *from, uint32_t at,
                                       struct sch **ret_schema, struct sch_anchor **ret_anchor);

/* ---- fill.c ---- */

/* Fills a subschema in from its members. */
SP_WARN_UNUSED sp_status sch_fill(struct sch_compile *c, struct sch *schema);

/* ---- check.c ---- */

/* As sp_schema_check, by one subschema. */
SP_WARN_UNUSED sp_status sch_check(const struct sch *schema, struct sp_schema_scratch *scratch,
                                   sp_str json, struct sp_schema_fault *fault);
/* The text of a value of the schema's document. */
sp_str sch_written(const struct sch *schema, uint32_t at);

/* ---- metaschema.c ---- */

/* The text of one of the draft's own documents; ptr NULL where it is none. */
sp_str sch_metaschema(sp_str uri);

/* ---- format.c ---- */

/* False where the string is not of the format; true for formats that are not known. */
bool sch_format_holds(sp_str format, sp_str text);

#endif
