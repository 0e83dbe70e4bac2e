/* Definitions of joins: what they may say, and what is wrong with one that does not. */
#include <stdlib.h>

#include "flow/join.h"

#define WINDOW_US_MIN UINT64_C(1000)

enum { DESCRIPTION_BYTES_MAX = 1024 };

static sp_str kept(struct sp_join_definition *definition, sp_str text) {
    return sp_rule_keep(&definition->pool, text);
}

/* One element of `of`: a pattern, or {type, key}. */
static void read_type(struct sp_join_definition *definition, const struct sp_doc_node *node,
                      sp_str common_key, struct sp_doc_problems *problems) {
    static const char *const keys[] = {"type", "key"};
    const struct sp_doc_node *type = node;
    sp_str pattern = {.ptr = NULL, .len = 0};
    sp_str key = common_key;
    if (node->kind == SP_DOC_OBJECT) {
        (void)sp_doc_keys(node, "an event of `of`", keys, 2, problems);
        (void)sp_rule_needs(node, "type", problems);
        (void)sp_doc_path(sp_doc_get(node, "key"), &key, problems);
        type = sp_doc_get(node, "type");
    }
    (void)sp_doc_pattern(type, &pattern, problems);
    for (uint32_t i = 0; i < definition->type_count; i++) {
        if (pattern.ptr != NULL && sp_str_eq(definition->types[i], pattern)) {
            sp_doc_wrong(problems, node->place,
                         "`of` names `%.*s` twice: an event counts for the first of them alone",
                         SP_STR_ARG(pattern));
        }
    }
    if (key.ptr == NULL) {
        sp_doc_wrong(problems, node->place,
                     "no key for it: `key` is missing, of the join or of this event");
    }
    definition->keys[definition->type_count] = kept(definition, key);
    definition->types[definition->type_count++] = kept(definition, pattern);
}

static void read_types(struct sp_join_definition *definition, const struct sp_doc_node *root,
                       struct sp_doc_problems *problems) {
    const struct sp_doc_node *of = sp_doc_get(root, "of");
    sp_str key = {.ptr = NULL, .len = 0};
    (void)sp_doc_path(sp_doc_get(root, "key"), &key, problems);
    if (!sp_rule_needs(root, "of", problems)) {
        return;
    }
    if (of->kind != SP_DOC_ARRAY || of->count == 0 || of->count > SP_JOIN_TYPES_MAX) {
        sp_doc_wrong(problems, of->place, "`of`: expected a list of 1 to %d patterns of types",
                     SP_JOIN_TYPES_MAX);
        return;
    }
    for (const struct sp_doc_node *at = of->first; at != NULL; at = at->next) {
        read_type(definition, at, key, problems);
    }
}

static void read_need(struct sp_join_definition *definition, const struct sp_doc_node *node,
                      struct sp_doc_problems *problems) {
    static const char *const words[] = {"all", "any"};
    uint32_t word = 0;
    uint64_t number = definition->type_count;
    if (node != NULL && node->kind == SP_DOC_NUMBER) {
        uint64_t most = definition->type_count == 0 ? SP_JOIN_TYPES_MAX : definition->type_count;
        (void)sp_doc_integer(node, 1, most, &number, problems);
    } else if (sp_doc_word(node, words, 2, &word, problems) && word == 1) {
        number = 1;
    }
    definition->need = (uint32_t)number;
}

static void read_emit(struct sp_join_definition *definition, const struct sp_doc_node *node,
                      const char *what, struct sp_join_emit *ret_emit,
                      struct sp_doc_problems *problems) {
    struct sp_rule_emit read;
    sp_str program = {.ptr = NULL, .len = 0};
    sp_rule_emit(node, what, &read, problems);
    (void)sp_doc_program(read.data, &program, problems);
    *ret_emit = (struct sp_join_emit){
        .type = kept(definition, read.type),
        .stream = kept(definition, read.stream),
        .data = kept(definition, program),
    };
    if (read.data != NULL) {
        ret_emit->data_at = read.data->place;
    }
}

static void read_all(struct sp_join_definition *definition, const struct sp_doc_node *root,
                     struct sp_doc_problems *problems) {
    static const char *const keys[] = {"join",       "description", "of",     "need",
                                       "key",        "filter",      "window", "emit",
                                       "on_timeout", "late",        "limit"};
    static const char *const late_words[] = {"ignore", "emit"};
    sp_str name = {.ptr = NULL, .len = 0};
    sp_str description;
    uint32_t late = SP_JOIN_LATE_IGNORE;
    uint64_t limit = SP_JOIN_OPEN_MAX;
    (void)sp_doc_keys(root, "a join", keys, sizeof(keys) / sizeof(keys[0]), problems);
    if (root->kind != SP_DOC_OBJECT) {
        return;
    }
    (void)sp_rule_needs(root, "join", problems);
    (void)sp_doc_name(sp_doc_get(root, "join"), true, &name, problems);
    (void)sp_doc_text(sp_doc_get(root, "description"), DESCRIPTION_BYTES_MAX, &description,
                      problems);
    definition->name = kept(definition, name);
    read_types(definition, root, problems);
    read_need(definition, sp_doc_get(root, "need"), problems);
    (void)sp_doc_filter(sp_doc_get(root, "filter"), &definition->filter, problems);
    (void)sp_rule_needs(root, "window", problems);
    (void)sp_doc_duration(sp_doc_get(root, "window"), WINDOW_US_MIN, SP_JOIN_WINDOW_US_MAX,
                          &definition->window_us, problems);
    (void)sp_rule_needs(root, "emit", problems);
    read_emit(definition, sp_doc_get(root, "emit"), "`emit`", &definition->emit, problems);
    read_emit(definition, sp_doc_get(root, "on_timeout"), "`on_timeout`", &definition->on_timeout,
              problems);
    (void)sp_doc_word(sp_doc_get(root, "late"), late_words, 2, &late, problems);
    definition->late = (enum sp_join_late)late;
    (void)sp_doc_integer(sp_doc_get(root, "limit"), 1, SP_JOIN_OPEN_LIMIT_MAX, &limit, problems);
    definition->open_max = (uint32_t)limit;
    (void)sp_rule_json(&definition->pool, root, &definition->text, problems);
}

sp_status sp_join_definition_compile(const struct sp_doc *doc, struct sp_doc_problems *problems,
                                     struct sp_join_definition **ret_definition,
                                     struct sp_error *error) {
    struct sp_join_definition *definition = calloc(1, sizeof(*definition));
    if (definition == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    sp_pool_init(&definition->pool, SP_RULE_MEMORY_MAX);
    read_all(definition, doc->root, problems);
    sp_status status = sp_doc_problems_status(problems, error);
    if (status == SP_OK && (definition->name.ptr == NULL || definition->text.ptr == NULL ||
                            definition->emit.type.ptr == NULL)) {
        status = sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    if (status != SP_OK) {
        sp_join_definition_free(definition);
        return status;
    }
    *ret_definition = definition;
    return SP_OK;
}

sp_status sp_join_definition_parse(sp_str text, struct sp_join_definition **ret_definition,
                                   struct sp_error *error) {
    struct sp_doc doc;
    struct sp_doc_problems *problems = malloc(sizeof(*problems));
    if (problems == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    sp_doc_init(&doc);
    sp_doc_problems_init(problems);
    sp_status status = sp_doc_parse_json(&doc, text, error);
    if (status == SP_OK) {
        status = sp_join_definition_compile(&doc, problems, ret_definition, error);
    }
    sp_doc_fini(&doc);
    free(problems);
    return status;
}

void sp_join_definition_free(struct sp_join_definition *definition) {
    if (definition != NULL) {
        sp_filter_free(definition->filter);
        sp_pool_fini(&definition->pool);
        free(definition);
    }
}
