/* The table of keywords, and finding one by its name. */
#include "base/suggest.h"
#include "schema/schema_int.h"

const struct sch_keyword_info sch_keywords[KW_COUNT] = {
#define SCH_KEYWORD_(code, text, shape, words)                                                     \
    [KW_##code] = {.name = (text), .form = FORM_##shape, .vocabulary = VOCABULARY_##words},
#include "schema/keywords.h"
#undef SCH_KEYWORD_
};

enum sch_keyword sch_keyword_of(sp_str name) {
    for (int i = KW_UNKNOWN + 1; i < KW_COUNT; i++) {
        if (sp_str_eq(name, sp_str_from(sch_keywords[i].name))) {
            return (enum sch_keyword)i;
        }
    }
    return KW_UNKNOWN;
}

static void tell_of(const struct sch_document *document, uint32_t key, sp_schema_unknown_fn *each,
                    void *context) {
    struct sp_buf pointer;
    sp_buf_init(&pointer, SP_SCHEMA_BYTES_MAX);
    sp_tape_pointer(&document->tape, key, &pointer);
    sp_buf_add_byte(&pointer, 0);
    const struct sp_tape_node *node = &document->tape.nodes[key];
    struct sp_suggest suggest;
    sp_suggest_init(&suggest, sp_tape_str(node));
    for (int i = KW_UNKNOWN + 1; i < KW_COUNT; i++) {
        sp_suggest_try(&suggest, sch_keywords[i].name);
    }
    if (pointer.status == SP_OK) {
        each(context, node->offset, (const char *)pointer.data, suggest.best);
    }
    sp_buf_fini(&pointer);
}

void sp_schema_unknown(const struct sp_schema *schema, sp_schema_unknown_fn *each, void *context) {
    const struct sch_document *document = schema->root->resource->document;
    const struct sp_tape_node *nodes = document->tape.nodes;
    for (uint32_t at = 0; at < document->tape.count; at++) {
        const struct sch *part = document->schemas[at];
        uint32_t end = part != NULL && !part->is_boolean ? nodes[at].next : 0;
        for (uint32_t key = at + 1; key < end; key = nodes[key].next) {
            if (sch_keyword_of(sp_tape_str(&nodes[key])) == KW_UNKNOWN) {
                tell_of(document, key, each, context);
            }
        }
    }
}
