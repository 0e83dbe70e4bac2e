#include "flow/definition.h"

#include <stdlib.h>

#include "flow/definition_int.h"

enum { DEFINITION_MEMORY_MAX = 4 << 20 };

/* ---- the count ------------------------------------------------------------------------------- */

struct sp_saga_definition *sp_saga_definition_ref(struct sp_saga_definition *definition) {
    sp_require(definition->refs > 0 && definition->refs < UINT32_MAX);
    definition->refs++;
    return definition;
}

static void free_definition(struct sp_saga_definition *definition, const struct sp_saga_node *nodes,
                            uint16_t node_count) {
    for (uint16_t i = 0; i < node_count; i++) {
        if (nodes[i].wait != NULL) {
            sp_filter_free(nodes[i].wait->filter);
        }
    }
    sp_filter_free(definition->start_filter);
    sp_pool_fini(&definition->pool);
    free(definition);
}

void sp_saga_definition_unref(struct sp_saga_definition *definition) {
    if (definition == NULL) {
        return;
    }
    sp_require(definition->refs > 0);
    if (--definition->refs == 0) {
        free_definition(definition, definition->nodes, definition->node_count);
    }
}

/* ---- the graph ------------------------------------------------------------------------------- */

/* The path of a step: that of what it is in, its own name, and a place for an index. */
static void make_path(struct saga_compiler *compiler, uint16_t number) {
    struct sp_saga_node *node = &compiler->nodes[number];
    sp_str above = compiler->nodes[node->parent].path;
    if (node->kind == SP_SAGA_BRANCH) {
        node->path = above;
        return;
    }
    size_t slash = above.len != 0;
    size_t index = node->kind == SP_SAGA_FOR_EACH ? 2 : 0;
    size_t len = above.len + slash + node->name.len + index;
    char *path = saga_take(compiler, len + 1);
    if (path == NULL) {
        return;
    }
    memcpy(path, above.ptr, above.len);
    memcpy(path + above.len, "/", slash);
    memcpy(path + above.len + slash, node->name.ptr, node->name.len);
    memcpy(path + len - index, "[]", index);
    node->path = sp_str_of(path, len);
}

/* Names are unique among siblings, and among all steps of a choice: paths must differ. */
static void check_name(struct saga_compiler *compiler, uint16_t number) {
    const struct sp_saga_node *node = &compiler->nodes[number];
    if (node->name.len == 0) {
        return;
    }
    for (uint16_t i = 1; i < number; i++) {
        const struct sp_saga_node *other = &compiler->nodes[i];
        bool same_place =
            other->parent == node->parent ||
            (compiler->nodes[node->parent].kind == SP_SAGA_BRANCH &&
             compiler->nodes[other->parent].kind == SP_SAGA_BRANCH &&
             compiler->nodes[other->parent].parent == compiler->nodes[node->parent].parent);
        if (same_place && sp_str_eq(other->name, node->name)) {
            sp_doc_wrong(compiler->problems, node->place,
                         "a step `%.*s` is there already, in line %u; names beside one another "
                         "must differ%s",
                         SP_STR_ARG(node->name), other->place.line,
                         other->parent != node->parent ? ", in all branches of a choice" : "");
            return;
        }
    }
}

/* The next node, below the frame's; SP_SAGA_NO_NODE: there is no room. */
static uint16_t add_node(struct saga_compiler *compiler, struct saga_frame *frame,
                         const struct sp_doc_node *doc) {
    if (compiler->node_count == SAGA_NODES_MAX || compiler->step_count == SP_SAGA_STEPS_MAX) {
        sp_doc_wrong(compiler->problems, doc->place, "more than %d steps", SP_SAGA_STEPS_MAX);
        return SP_SAGA_NO_NODE;
    }
    uint16_t number = compiler->node_count++;
    struct sp_saga_node *node = &compiler->nodes[number];
    struct sp_saga_node *parent = &compiler->nodes[frame->parent];
    *node = (struct sp_saga_node){.parent = frame->parent, .first = SP_SAGA_NO_NODE};
    node->name = SP_STR("");
    node->next = SP_SAGA_NO_NODE;
    node->previous = frame->last;
    node->end = (uint16_t)(number + 1);
    node->branch = frame->has_branches ? parent->child_count : 0;
    if (frame->last == SP_SAGA_NO_NODE) {
        parent->first = number;
    } else {
        compiler->nodes[frame->last].next = number;
    }
    frame->last = number;
    parent->child_count++;
    compiler->step_count += !frame->has_branches;
    return number;
}

static void push_list(struct saga_compiler *compiler, struct saga_children children,
                      uint16_t parent) {
    const struct sp_doc_node *list = children.list;
    uint32_t max = children.are_branches ? SP_SAGA_BRANCHES_MAX : SP_SAGA_STEPS_MAX;
    if (list->kind != SP_DOC_ARRAY || list->count == 0 || list->count > max) {
        sp_doc_wrong(compiler->problems, list->place, "`%.*s`: expected a list of 1 to %u %s%s",
                     SP_STR_ARG(list->key), max, children.are_branches ? "branches" : "steps",
                     list->kind != SP_DOC_ARRAY ? ""
                     : list->count == 0         ? ", found an empty one"
                                                : ", found a longer one");
        return;
    }
    sp_invariant(compiler->frame_count < SAGA_FRAMES_MAX);
    compiler->frames[compiler->frame_count++] = (struct saga_frame){
        .at = list->first,
        .parent = parent,
        .last = SP_SAGA_NO_NODE,
        .has_branches = children.are_branches,
    };
}

/* How many containers, and how many sagas, a node is in. */
static bool is_deep(struct saga_compiler *compiler, uint16_t number) {
    uint32_t containers = 0;
    uint32_t sagas = 0;
    for (uint16_t at = number; at != 0; at = compiler->nodes[at].parent) {
        containers += compiler->nodes[at].kind != SP_SAGA_BRANCH;
        sagas += compiler->nodes[at].kind == SP_SAGA_NESTED;
    }
    if (sagas > SP_SAGA_NESTED_MAX) {
        sp_doc_wrong(compiler->problems, compiler->nodes[number].place,
                     "more than %d sagas within one another", SP_SAGA_NESTED_MAX);
    } else if (containers > SP_SAGA_DEPTH_MAX) {
        sp_doc_wrong(compiler->problems, compiler->nodes[number].place,
                     "more than %d steps within one another", SP_SAGA_DEPTH_MAX);
    }
    return sagas > SP_SAGA_NESTED_MAX || containers > SP_SAGA_DEPTH_MAX;
}

/* A branch behind one that has no condition is never reached. */
static void check_branch(struct saga_compiler *compiler, struct saga_frame *frame,
                         const struct sp_saga_node *node) {
    if (frame->has_else) {
        sp_doc_wrong(compiler->problems, node->place,
                     "this branch is never reached: one before it has no `when`");
    }
    frame->has_else |= node->when.len == 0;
}

/* Reads the next item of the list on top. */
static void read_item(struct saga_compiler *compiler, struct saga_frame *frame) {
    const struct sp_doc_node *doc = frame->at;
    frame->at = doc->next;
    uint16_t number = add_node(compiler, frame, doc);
    if (number == SP_SAGA_NO_NODE) {
        compiler->frame_count = 0;
        return;
    }
    struct saga_children children = frame->has_branches ? saga_read_branch(compiler, doc, number)
                                                        : saga_read_step(compiler, doc, number);
    struct sp_saga_node *node = &compiler->nodes[number];
    node->scope = node->is_scope ? number : compiler->nodes[node->parent].scope;
    make_path(compiler, number);
    if (frame->has_branches) {
        check_branch(compiler, frame, node);
    } else {
        check_name(compiler, number);
    }
    if (children.list != NULL && !is_deep(compiler, number)) {
        push_list(compiler, children, number);
    }
}

static void read_graph(struct saga_compiler *compiler, const struct sp_doc_node *root) {
    compiler->nodes[0] = (struct sp_saga_node){
        .kind = SP_SAGA_ROOT,
        .is_scope = true,
        .parent = SP_SAGA_NO_NODE,
        .first = SP_SAGA_NO_NODE,
        .next = SP_SAGA_NO_NODE,
        .previous = SP_SAGA_NO_NODE,
        .path = SP_STR(""),
        .place = root->place,
    };
    compiler->node_count = 1;
    saga_read_top(compiler, root, 0);
    const struct sp_doc_node *steps = sp_doc_get(root, "steps");
    if (steps != NULL) {
        push_list(compiler, (struct saga_children){.list = steps}, 0);
    }
    while (compiler->frame_count > 0 && compiler->status == SP_OK) {
        struct saga_frame *top = &compiler->frames[compiler->frame_count - 1];
        if (top->at == NULL) {
            compiler->nodes[top->parent].end = compiler->node_count;
            compiler->frame_count--;
        } else {
            read_item(compiler, top);
        }
    }
    compiler->nodes[0].end = compiler->node_count;
}

/* ---- compiling ------------------------------------------------------------------------------- */

static sp_status set_text(struct saga_compiler *compiler, const struct sp_doc_node *root,
                          struct sp_error *error) {
    struct sp_saga_definition *definition = compiler->definition;
    struct sp_buf text;
    sp_buf_init(&text, SP_SAGA_BYTES_MAX);
    sp_doc_write(root, &text);
    sp_status status = text.status;
    if (status == SP_OK) {
        definition->text = saga_copy(compiler, sp_buf_str(&text));
        sp_sha256_salted("", 0, text.data, text.len, definition->sha256);
        status = compiler->status;
    }
    sp_buf_fini(&text);
    return status == SP_LIMIT
               ? sp_error_set(error, SP_LIMIT,
                              "the definition, with the sagas in it, has more than %d bytes",
                              SP_SAGA_BYTES_MAX)
               : (status == SP_OK ? SP_OK : sp_error_set(error, status, "out of memory"));
}

/* Moves what was built to where it stays. */
static sp_status keep(struct saga_compiler *compiler, struct sp_error *error) {
    struct sp_saga_definition *definition = compiler->definition;
    size_t size = compiler->node_count * sizeof(*compiler->nodes);
    struct sp_saga_node *nodes = saga_take(compiler, size);
    if (nodes == NULL) {
        return sp_error_set(error, compiler->status, "no memory for the definition");
    }
    memcpy(nodes, compiler->nodes, size);
    definition->nodes = nodes;
    definition->node_count = compiler->node_count;
    definition->step_count = compiler->step_count;
    definition->programs = compiler->programs;
    return SP_OK;
}

static sp_status compile(struct saga_compiler *compiler, const struct sp_doc_node *root,
                         struct sp_error *error) {
    read_graph(compiler, root);
    if (compiler->status != SP_OK) {
        return sp_error_set(error, compiler->status, "the definition needs too much memory");
    }
    if (compiler->problems->error_count == 0) {
        saga_check_rules(compiler);
    }
    sp_status status = sp_doc_problems_status(compiler->problems, error);
    if (status == SP_OK) {
        status = set_text(compiler, root, error);
    }
    return status == SP_OK ? keep(compiler, error) : status;
}

sp_status sp_saga_definition_compile(const struct sp_doc *doc, bool open_nested,
                                     struct sp_doc_problems *problems,
                                     struct sp_saga_definition **ret_definition,
                                     struct sp_error *error) {
    sp_require(doc->root != NULL);
    struct saga_compiler compiler = {.problems = problems, .open_nested = open_nested};
    struct sp_saga_definition *definition = calloc(1, sizeof(*definition));
    compiler.definition = definition;
    compiler.nodes = calloc(SAGA_NODES_MAX, sizeof(*compiler.nodes));
    compiler.limit_given = calloc(SAGA_NODES_MAX, sizeof(*compiler.limit_given));
    sp_status status = SP_NO_MEMORY;
    if (definition != NULL && compiler.nodes != NULL && compiler.limit_given != NULL) {
        definition->refs = 1;
        definition->pivot = SP_SAGA_NO_NODE;
        sp_pool_init(&definition->pool, DEFINITION_MEMORY_MAX);
        status = compile(&compiler, doc->root, error);
    } else {
        status = sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    if (status == SP_OK) {
        *ret_definition = definition;
    } else if (definition != NULL) {
        free_definition(definition, compiler.nodes, compiler.node_count);
    }
    free(compiler.nodes);
    free(compiler.limit_given);
    return status;
}

sp_status sp_saga_definition_parse(sp_str text, struct sp_saga_definition **ret_definition,
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
        status = sp_saga_definition_compile(&doc, false, problems, ret_definition, error);
    }
    sp_doc_fini(&doc);
    free(problems);
    return status;
}

/* ---- looking up ------------------------------------------------------------------------------ */

/* The length of `[12]` or `[]` at the beginning of the text; 0 where there is none. */
static size_t index_length(sp_str text) {
    size_t at = 1;
    while (at < text.len && text.ptr[0] == '[' && text.ptr[at] >= '0' && text.ptr[at] <= '9') {
        at++;
    }
    return at < text.len && text.ptr[0] == '[' && text.ptr[at] == ']' ? at + 1 : 0;
}

/* The same path, where `[]` of the template also stands for `[12]` and for nothing. */
static bool path_is(sp_str template, sp_str path) {
    size_t at = 0;
    for (size_t i = 0; i < template.len; i++) {
        if (template.ptr[i] == '[') {
            i++; /* its closing bracket */
            at += index_length(sp_str_from_byte(path, at));
        } else if (at < path.len && path.ptr[at] == template.ptr[i]) {
            at++;
        } else {
            return false;
        }
    }
    return at == path.len;
}

uint16_t sp_saga_definition_find(const struct sp_saga_definition *definition, sp_str path) {
    for (uint16_t i = 1; i < definition->node_count; i++) {
        const struct sp_saga_node *node = &definition->nodes[i];
        if (node->kind != SP_SAGA_BRANCH && path_is(node->path, path)) {
            return i;
        }
    }
    return SP_SAGA_NO_NODE;
}
