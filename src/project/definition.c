#include "project/definition.h"

#include <stdlib.h>

#include "project/definition_int.h"

struct sp_definition *sp_definition_ref(struct sp_definition *definition) {
    (void)atomic_fetch_add_explicit(&definition->refs, 1, memory_order_relaxed);
    return definition;
}

static void definition_free(struct definition *definition) {
    struct sp_clause *clauses = (struct sp_clause *)(void *)definition->clauses.data;
    for (size_t i = 0; i < definition->clauses.len / sizeof(*clauses); i++) {
        sp_filter_free(clauses[i].filter);
    }
    sp_buf_fini(&definition->text);
    sp_buf_fini(&definition->statements);
    sp_buf_fini(&definition->parameters);
    sp_buf_fini(&definition->uses);
    sp_buf_fini(&definition->clauses);
    sp_buf_fini(&definition->patterns);
    sp_buf_fini(&definition->each);
    sp_buf_fini(&definition->tables);
    free(definition);
}

void sp_definition_unref(struct sp_definition *definition) {
    if (definition != NULL &&
        atomic_fetch_sub_explicit(&definition->refs, 1, memory_order_acq_rel) == 1) {
        definition_free((struct definition *)definition);
    }
}

bool sp_projection_name_valid(sp_str name) {
    if (name.len == 0 || name.len > SP_PROJECTION_NAME_MAX || name.ptr[0] < 'a' ||
        name.ptr[0] > 'z') {
        return false;
    }
    for (size_t i = 1; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) {
            return false;
        }
    }
    return true;
}

void sp_statement_write(const struct sp_statement *statement, enum sp_dialect dialect,
                        struct sp_buf *to) {
    size_t at = 0;
    for (uint32_t i = 0; i < statement->use_count; i++) {
        const struct sp_parameter_use *use = &statement->uses[i];
        sp_buf_add(to, statement->text.ptr + at, use->offset - at);
        sp_buf_add_byte(to, dialect == SP_DIALECT_SQLITE ? '?' : '$');
        sp_buf_add_u64(to, use->number);
        at = use->offset + use->length;
    }
    sp_buf_add(to, statement->text.ptr + at, statement->text.len - at);
}

/* How many digits a number has. */
static size_t digits(uint32_t number) {
    return number < 10 ? 1 : number < 100 ? 2 : 3;
}

sp_status sp_statement_fail(const struct sp_definition *definition,
                            const struct sp_statement *statement, size_t written_offset,
                            struct sp_error *error, const char *what) {
    size_t shrunk = 0; /* so many bytes more are in the file than were written, up to here */
    for (uint32_t i = 0; i < statement->use_count; i++) {
        const struct sp_parameter_use *use = &statement->uses[i];
        size_t start = use->offset - shrunk;
        size_t written = 1 + digits(use->number);
        if (written_offset < start + written) {
            written_offset = written_offset < start ? written_offset : start;
            break;
        }
        shrunk += use->length - written; /* may wrap around: it is added again */
    }
    size_t offset = written_offset + shrunk;
    offset = offset < statement->text.len ? offset : statement->text.len;
    return lex_fail(definition->text, statement->offset + offset, error, SP_INVALID, "%s", what);
}
