/*
 * Compiling: the schema's document is walked, which makes its subschemas and puts them into a
 * queue; each is filled in from its members in its turn. A reference may bring in another document,
 * whose subschemas join the queue.
 */
#include <stdlib.h>

#include "schema/schema_int.h"

sp_status sch_fail(struct sch_compile *c, const struct sch_document *document, uint32_t at,
                   sp_status status, const char *problem) {
    struct sp_buf pointer;
    sp_buf_init(&pointer, SP_SCHEMA_BYTES_MAX);
    sp_tape_pointer(&document->tape, at, &pointer);
    bool own = document->uri.len == 0;
    sp_str where = pointer.len > 0 ? sp_buf_str(&pointer) : SP_STR("the top");
    sp_status failed = sp_error_set_at(c->error, status, own ? document->tape.nodes[at].offset : 0,
                                       "at %.*s%s%.*s: %s", SP_STR_ARG(where), own ? "" : " of ",
                                       SP_STR_ARG(document->uri), problem);
    sp_buf_fini(&pointer);
    return failed;
}

sp_status sch_full(struct sch_compile *c) {
    return c->schema->pool.full ? sp_error_set(c->error, SP_LIMIT,
                                               "the schema is too large: it takes more than "
                                               "%d MiB of memory",
                                               SP_SCHEMA_MEMORY_MAX >> 20)
                                : sp_error_set(c->error, SP_NO_MEMORY, "out of memory");
}

void *sch_take(struct sch_compile *c, size_t size) {
    return sp_pool_take(&c->schema->pool, size);
}

static sp_status fill_all(struct sch_compile *c) {
    sp_status status = SP_OK;
    while (c->first != NULL && status == SP_OK) {
        struct sch *schema = c->first;
        c->first = schema->todo;
        c->last = c->first == NULL ? NULL : c->last;
        status = sch_fill(c, schema);
        schema->filled = true;
    }
    return status;
}

static sp_status compile(struct sch_compile *c, sp_str text) {
    struct sch_document *document = NULL;
    sp_status status = sch_document_add(c, SP_STR(""), text, &document);
    if (status != SP_OK) {
        return status;
    }
    c->schema->root = document->schemas[0];
    return fill_all(c);
}

sp_status sp_schema_compile(sp_str text, const struct sp_schema_options *options,
                            struct sp_schema **ret_schema, struct sp_error *error) {
    static const struct sp_schema_options NONE = {.documents = NULL};
    struct sp_schema *schema = calloc(1, sizeof(*schema));
    if (schema == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    schema->refs = 1;
    sp_pool_init(&schema->pool, SP_SCHEMA_MEMORY_MAX);
    struct sch_compile c = {
        .schema = schema, .options = options != NULL ? options : &NONE, .error = error};
    sp_buf_init(&c.text, SP_SCHEMA_BYTES_MAX);
    sp_status status = compile(&c, text);
    sp_buf_fini(&c.text);
    if (status != SP_OK) {
        sp_schema_unref(schema);
        return status;
    }
    *ret_schema = schema;
    return SP_OK;
}

struct sp_schema *sp_schema_ref(struct sp_schema *schema) {
    uint32_t before = atomic_fetch_add_explicit(&schema->refs, 1, memory_order_relaxed);
    sp_require(before > 0);
    return schema;
}

void sp_schema_unref(struct sp_schema *schema) {
    if (schema == NULL || atomic_fetch_sub_explicit(&schema->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (struct sch_regex *regex = schema->regexes; regex != NULL; regex = regex->next) {
        sp_regex_free(regex->regex);
    }
    for (struct sch_document *document = schema->documents; document != NULL;
         document = document->next) {
        sp_tape_fini(&document->tape);
    }
    sp_pool_fini(&schema->pool);
    free(schema);
}
