/* Putting the definitions of nested sagas in their places. */
#include <stdlib.h>

#include "flow/definition.h"

/* The next node in the order of the text. */
static struct sp_doc_node *following(struct sp_doc_node *at) {
    if (at->first != NULL) {
        return at->first;
    }
    while (at != NULL && at->next == NULL) {
        at = at->parent;
    }
    return at != NULL ? at->next : NULL;
}

/* Whether this is a step that names a saga whose definition is not there. */
static bool is_open(const struct sp_doc_node *node) {
    const struct sp_doc_node *list = node->parent;
    const struct sp_doc_node *saga = sp_doc_get(node, "saga");
    return list != NULL && list->kind == SP_DOC_ARRAY && saga != NULL &&
           saga->kind == SP_DOC_TEXT && sp_doc_get(node, "definition") == NULL &&
           (sp_str_eq(list->key, SP_STR("steps")) || sp_str_eq(list->key, SP_STR("parallel")) ||
            sp_str_eq(list->key, SP_STR("sequence")));
}

static sp_status put_in(struct sp_doc *doc, struct sp_doc_node *step, sp_str text,
                        struct sp_error *error) {
    const struct sp_doc_node *saga = sp_doc_get(step, "saga");
    struct sp_doc other;
    sp_doc_init(&other);
    sp_status status = sp_doc_parse_json(&other, text, error);
    if (status == SP_OK) {
        status = sp_doc_graft(doc, step, SP_STR("definition"), other.root, saga->place, error);
    } else {
        (void)sp_error_prefix(error, status, "the definition of `%.*s`", SP_STR_ARG(saga->text));
    }
    sp_doc_fini(&other);
    return status;
}

sp_status sp_saga_definition_inline(struct sp_doc *doc, const struct sp_saga_lookup *lookup,
                                    struct sp_doc_problems *problems, struct sp_error *error) {
    sp_status status = SP_OK;
    for (struct sp_doc_node *at = doc->root; at != NULL && status == SP_OK; at = following(at)) {
        const struct sp_doc_node *saga = is_open(at) ? sp_doc_get(at, "saga") : NULL;
        if (saga == NULL) {
            continue;
        }
        sp_str text = lookup->find(lookup->context, saga->text);
        if (text.len != 0) {
            status = put_in(doc, at, text, error);
        } else if (!lookup->open) {
            sp_doc_wrong(problems, saga->place, "no saga `%.*s` is defined; define it first",
                         SP_STR_ARG(saga->text));
        }
    }
    return status;
}
