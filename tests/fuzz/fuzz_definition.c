/*
 * A projection file. What is refused says where and why; what is read keeps to its limits, and its
 * statements, written for either database and read again, are the same statements.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "project/definition.h"

/* Slices lie within the file, in order, and every parameter is one of the statement's. */
static void check_statement(const struct sp_definition *definition,
                            const struct sp_statement *statement) {
    sp_require(statement->offset + statement->text.len <= definition->text.len);
    sp_require(statement->text.len > 0 && statement->line > 0 && statement->column > 0);
    size_t at = 0;
    for (uint32_t i = 0; i < statement->use_count; i++) {
        const struct sp_parameter_use *use = &statement->uses[i];
        sp_require(use->offset >= at && use->offset + use->length <= statement->text.len);
        sp_require(use->number >= 1 && use->number <= statement->parameter_count);
        sp_require(statement->text.ptr[use->offset] == ':');
        at = use->offset + use->length;
    }
}

/* Where a database finds a mistake in what is written, the file has a place. */
static void check_places(const struct sp_definition *definition,
                         const struct sp_statement *statement) {
    struct sp_buf written;
    sp_buf_init(&written, SIZE_MAX / 2);
    sp_statement_write(statement, SP_DIALECT_POSTGRESQL, &written);
    sp_require(written.status == SP_OK);
    for (size_t at = 0; at <= written.len; at += 1 + written.len / 16) {
        struct sp_error error;
        sp_status status = sp_statement_fail(definition, statement, at, &error, "x");
        sp_require(status == SP_INVALID && error.offset >= statement->offset);
        sp_require(error.offset <= statement->offset + statement->text.len);
    }
    sp_buf_fini(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sp_definition *definition = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_definition_parse(sp_str_of(data, size), &definition, &error) != SP_OK) {
        sp_require(error.text[0] != '\0' && error.offset <= size);
        return 0;
    }
    sp_require(definition->clause_count > 0 && definition->table_count > 0);
    sp_require(definition->pattern_count > 0 && definition->version > 0);
    sp_require(sp_projection_name_valid(sp_str_from(definition->name)));
    uint32_t in_clauses = 0;
    for (uint32_t i = 0; i < definition->clause_count; i++) {
        sp_require(definition->clauses[i].statement_count > 0);
        sp_require(definition->clauses[i].pattern_count > 0);
        in_clauses += definition->clauses[i].statement_count;
    }
    sp_require(in_clauses + definition->setup_count == definition->statement_count);
    for (uint32_t i = 0; i < definition->statement_count; i++) {
        check_statement(definition, &definition->statements[i]);
        check_places(definition, &definition->statements[i]);
    }
    sp_definition_unref(definition);
    return 0;
}
