/*
 * A definition of a saga, in JSON or YAML. What is read as a document is written as JSON that is
 * the same document; what is let in is let in again in its canonical form, is the same graph, and
 * keeps to what definition.h promises of one.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "flow/definition.h"
#include "yaml/yaml.h"

static void check_graph(const struct sp_saga_definition *definition) {
    sp_require(definition->node_count >= 2 && definition->step_count <= SP_SAGA_STEPS_MAX);
    for (uint16_t i = 1; i < definition->node_count; i++) {
        const struct sp_saga_node *node = &definition->nodes[i];
        const struct sp_saga_node *parent = &definition->nodes[node->parent];
        sp_require(node->parent < i && i < parent->end && node->end > i);
        sp_require(node->end <= parent->end && definition->nodes[node->scope].is_scope);
        sp_require((node->previous == SP_SAGA_NO_NODE) == (parent->first == i));
        sp_require(node->next == SP_SAGA_NO_NODE ? node->end == parent->end
                                                 : node->next == node->end);
        if (node->kind != SP_SAGA_BRANCH) {
            sp_require(sp_saga_definition_find(definition, node->path) == i);
        }
        sp_require(node->kind != SP_SAGA_ACTION || node->action.len > 0);
    }
    for (uint32_t i = 0; i < definition->program_count; i++) {
        sp_require(definition->programs[i].text.len > 0);
        sp_require(definition->programs[i].node < definition->node_count);
    }
}

static void check_definition(const struct sp_doc *doc) {
    struct sp_doc_problems *problems = malloc(sizeof(*problems));
    struct sp_saga_definition *first = NULL;
    struct sp_saga_definition *second = NULL;
    struct sp_error error;
    sp_require(problems != NULL);
    sp_doc_problems_init(problems);
    sp_status status = sp_saga_definition_compile(doc, false, problems, &first, &error);
    sp_require(status == SP_OK || error.text[0] != '\0');
    if (status == SP_OK) {
        check_graph(first);
        sp_require(sp_saga_definition_parse(first->text, &second, &error) == SP_OK);
        sp_require(sp_str_eq(first->text, second->text));
        sp_require(memcmp(first->sha256, second->sha256, SP_SHA256_BYTES) == 0);
        sp_require(first->node_count == second->node_count && first->pivot == second->pivot);
    }
    sp_saga_definition_unref(first);
    sp_saga_definition_unref(second);
    free(problems);
}

/* What was written reads as what it was written from. */
static void check_document(const struct sp_doc *doc) {
    struct sp_buf first;
    struct sp_buf second;
    struct sp_doc again;
    sp_buf_init(&first, 1 << 24);
    sp_buf_init(&second, 1 << 24);
    sp_doc_write(doc->root, &first);
    sp_doc_init(&again);
    sp_require(first.status == SP_OK);
    if (first.len <= SP_DOC_BYTES_MAX) {
        sp_require(sp_doc_parse_json(&again, sp_buf_str(&first), NULL) == SP_OK);
        sp_doc_write(again.root, &second);
        sp_require(sp_str_eq(sp_buf_str(&first), sp_buf_str(&second)));
    }
    sp_doc_fini(&again);
    sp_buf_fini(&first);
    sp_buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sp_doc doc;
    struct sp_error error = {.text = ""};
    sp_doc_init(&doc);
    if (sp_yaml_read(&doc, sp_str_of(data, size), SP_YAML_GUESS, &error) == SP_OK) {
        check_document(&doc);
        check_definition(&doc);
    } else {
        sp_require(error.text[0] != '\0');
    }
    sp_doc_fini(&doc);
    return 0;
}
