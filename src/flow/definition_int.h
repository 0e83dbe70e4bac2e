/*
 * What the files of definitions share: a definition while it is compiled. pure
 */
#ifndef SP_FLOW_DEFINITION_INT_H
#define SP_FLOW_DEFINITION_INT_H

#include "flow/definition.h"

enum {
    /* A branch has at least one step, so there are never more branches than steps. */
    SAGA_NODES_MAX = 2 * SP_SAGA_STEPS_MAX + 1,
    /* Lists that are being read: containers, a choice having two, and the root's. */
    SAGA_FRAMES_MAX = 2 * SP_SAGA_DEPTH_MAX + 2,
};

/* A list of steps, or of the branches of a choice, that is being read. */
struct saga_frame {
    const struct sp_doc_node *at; /* the next one */
    uint16_t parent;
    uint16_t last; /* child of the parent, SP_SAGA_NO_NODE: none yet */
    bool has_branches;
    bool has_else; /* a branch without a condition was there */
};

struct saga_compiler {
    struct sp_saga_definition *definition;
    struct sp_doc_problems *problems;
    struct sp_saga_node *nodes; /* SAGA_NODES_MAX of them */
    bool *limit_given;          /* by node: its retry says how often */
    uint16_t node_count;
    uint16_t step_count;
    bool open_nested;
    sp_status status; /* SP_NO_MEMORY, SP_LIMIT: sticky */
    struct sp_saga_program *programs;
    struct saga_frame frames[SAGA_FRAMES_MAX];
    uint32_t frame_count;
};

/* ---- definition_read.c: the parts of a document, each into its room in a node ---------------- */

/* A step's list of steps or branches; NULL: it has none. */
struct saga_children {
    const struct sp_doc_node *list;
    bool are_branches;
};

/* The members of a definition but its steps, into its node (ROOT, NESTED) and, for the root, into
 * the definition. */
void saga_read_top(struct saga_compiler *compiler, const struct sp_doc_node *doc, uint16_t node);
/* A step, into its node, whose place in the graph is known. */
struct saga_children saga_read_step(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                                    uint16_t node);
/* A branch of a choice. */
struct saga_children saga_read_branch(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                                      uint16_t node);
/* A copy in the definition's memory. */
sp_str saga_copy(struct saga_compiler *compiler, sp_str text);
sp_str saga_copy_json(struct saga_compiler *compiler, const struct sp_doc_node *doc);
/* Notes a type that only spoor itself writes. */
void saga_check_own_type(struct saga_compiler *compiler, const struct sp_doc_node *type);
/* Zeroed memory of the definition; NULL: the compiler's status says why. */
void *saga_take(struct saga_compiler *compiler, size_t size);
/* A jq program: noted in the list of programs, and *ret_text set. */
void saga_read_program(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                       const char *key, uint16_t node, sp_str *ret_text);

/* ---- definition_parts.c: the parts of single kinds of steps ---------------------------------- */

void saga_read_wait(struct saga_compiler *compiler, const struct sp_doc_node *doc, uint16_t node);
void saga_read_approval(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                        uint16_t node);
void saga_read_emit(struct saga_compiler *compiler, const struct sp_doc_node *doc, uint16_t node);
void saga_read_retry(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                     struct sp_saga_retry *retry, bool *ret_limit_given);
void saga_read_compensation(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                            uint16_t node);

/* ---- definition_rules.c: what holds between steps -------------------------------------------- */

/* Marks what runs after the pivot, and gives it its defaults; notes what is wrong or doubtful. */
void saga_check_rules(struct saga_compiler *compiler);

#endif
