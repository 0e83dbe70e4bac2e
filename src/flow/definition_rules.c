/* What holds between the steps of a definition: the pivot, what can be undone, what is reached. */
#include "base/json.h"
#include "base/suggest.h"
#include "base/time.h"
#include "flow/definition_int.h"
#include "match/pattern.h"

/* True for what runs its children one after another. */
static bool is_ordered(enum sp_saga_kind kind) {
    return kind == SP_SAGA_ROOT || kind == SP_SAGA_SEQUENCE || kind == SP_SAGA_BRANCH ||
           kind == SP_SAGA_NESTED;
}

/* ---- the pivot ------------------------------------------------------------------------------- */

static void mark_after(struct saga_compiler *compiler, uint16_t from) {
    for (uint16_t i = from; i < compiler->nodes[from].end; i++) {
        compiler->nodes[i].after_pivot = true;
    }
}

/* What follows the pivot in the lists that it is in. */
static void mark_all_after(struct saga_compiler *compiler, uint16_t pivot) {
    for (uint16_t at = pivot; at != 0; at = compiler->nodes[at].parent) {
        if (!is_ordered(compiler->nodes[compiler->nodes[at].parent].kind)) {
            continue;
        }
        for (uint16_t next = compiler->nodes[at].next; next != SP_SAGA_NO_NODE;
             next = compiler->nodes[next].next) {
            mark_after(compiler, next);
        }
    }
}

/* Where there may be none: a step that runs beside others, or many times, divides nothing. */
static void check_pivot_place(struct saga_compiler *compiler, uint16_t pivot) {
    for (uint16_t at = compiler->nodes[pivot].parent; at != 0; at = compiler->nodes[at].parent) {
        enum sp_saga_kind kind = compiler->nodes[at].kind;
        if (kind == SP_SAGA_PARALLEL || kind == SP_SAGA_FOR_EACH) {
            sp_doc_wrong(compiler->problems, compiler->nodes[pivot].place,
                         "`%.*s` cannot be the pivot: it is in a %s step",
                         SP_STR_ARG(compiler->nodes[pivot].path),
                         kind == SP_SAGA_PARALLEL ? "parallel" : "for_each");
            return;
        }
    }
}

static void find_pivot(struct saga_compiler *compiler) {
    struct sp_saga_definition *definition = compiler->definition;
    for (uint16_t i = 1; i < compiler->node_count; i++) {
        const struct sp_saga_node *node = &compiler->nodes[i];
        if (!node->pivot) {
            continue;
        }
        if (definition->pivot != SP_SAGA_NO_NODE) {
            sp_doc_wrong(compiler->problems, node->place,
                         "`%.*s` is a second pivot; the first is `%.*s`, in line %u",
                         SP_STR_ARG(node->path),
                         SP_STR_ARG(compiler->nodes[definition->pivot].path),
                         compiler->nodes[definition->pivot].place.line);
            continue;
        }
        definition->pivot = i;
        check_pivot_place(compiler, i);
        mark_all_after(compiler, i);
    }
}

static void check_after_pivot(struct saga_compiler *compiler, struct sp_saga_node *node,
                              bool limit_given) {
    if (node->kind != SP_SAGA_ACTION) {
        return;
    }
    if (node->compensation != NULL) {
        sp_doc_wrong(compiler->problems, node->place,
                     "`%.*s` runs after the pivot, behind which nothing is undone: it cannot have "
                     "a `compensate`",
                     SP_STR_ARG(node->path));
    }
    if (!limit_given) {
        node->retry.limit = 0;
    } else if (node->retry.limit != 0) {
        sp_doc_warn(compiler->problems, node->place,
                    "`%.*s` runs after the pivot: when its %u attempts are used up, the saga waits "
                    "for a person; without `limit` it is tried until it succeeds",
                    SP_STR_ARG(node->path), node->retry.limit);
    }
}

/* ---- what is doubtful ------------------------------------------------------------------------ */

/* Whether anything may still run, and fail, beside or after this step. */
static bool is_last(const struct saga_compiler *compiler, uint16_t number) {
    for (uint16_t at = number; at != 0; at = compiler->nodes[at].parent) {
        const struct sp_saga_node *parent = &compiler->nodes[compiler->nodes[at].parent];
        if ((is_ordered(parent->kind) && compiler->nodes[at].next != SP_SAGA_NO_NODE) ||
            (parent->kind == SP_SAGA_PARALLEL && parent->child_count > 1) ||
            parent->kind == SP_SAGA_FOR_EACH) {
            return false;
        }
    }
    return true;
}

static void check_action(struct saga_compiler *compiler, uint16_t number) {
    const struct sp_saga_node *node = &compiler->nodes[number];
    if (node->after_pivot) {
        return;
    }
    if (node->compensation == NULL && !node->irreversible && !node->pivot &&
        !is_last(compiler, number)) {
        sp_doc_warn(compiler->problems, node->place,
                    "`%.*s` has no `compensate`: where a later step fails, what it did stays; add "
                    "one, or say `irreversible: true`",
                    SP_STR_ARG(node->path));
    }
    if (node->retry.limit == 0) {
        sp_doc_warn(compiler->problems, node->place,
                    "`%.*s` is tried without limit before the pivot: the saga may never come to "
                    "an end, nor be undone",
                    SP_STR_ARG(node->path));
    }
}

/* A step that may take longer than the saga it is in. */
static void check_times(struct saga_compiler *compiler, const struct sp_saga_node *node) {
    uint64_t takes_us = node->timeout_us;
    uint64_t limit_us = compiler->nodes[compiler->nodes[node->parent].scope].timeout_us;
    if (node->wait != NULL && node->wait->for_us > takes_us) {
        takes_us = node->wait->for_us;
    }
    if (limit_us != 0 && takes_us > limit_us) {
        char text[SP_DURATION_TEXT_SIZE];
        char limit[SP_DURATION_TEXT_SIZE];
        sp_duration_format(takes_us, text);
        sp_duration_format(limit_us, limit);
        sp_doc_warn(compiler->problems, node->place,
                    "`%.*s` may take %s, longer than the saga's timeout of %s",
                    SP_STR_ARG(node->path), text, limit);
    }
}

static sp_str trimmed(sp_str text) {
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\n')) {
        text = sp_str_from_byte(text, 1);
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\n')) {
        text.len--;
    }
    return text;
}

static void check_when(struct saga_compiler *compiler, const struct sp_saga_node *node) {
    sp_str when = trimmed(node->when);
    if (sp_str_eq(when, SP_STR("false")) || sp_str_eq(when, SP_STR("null"))) {
        sp_doc_warn(compiler->problems, node->place, "`when` is always %.*s: this is never reached",
                    SP_STR_ARG(when));
    }
}

/* What a saga writes itself must not begin the next one of its kind, for ever. */
static void check_loop(struct saga_compiler *compiler, const struct sp_saga_node *node) {
    sp_str pattern = compiler->definition->start_pattern;
    sp_str type = node->emit != NULL ? node->emit->type : node->action;
    if (pattern.len != 0 && type.len != 0 && compiler->definition->start_filter == NULL &&
        sp_pattern_match(pattern, type)) {
        sp_doc_warn(compiler->problems, node->place,
                    "`%.*s` appends `%.*s`, which starts this saga again, without end",
                    SP_STR_ARG(node->path), SP_STR_ARG(type));
    }
}

/* ---- names in programs ----------------------------------------------------------------------- */

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/*
 * The next `.steps.<name>` of a program that begins a path: of the context, as far as can be told
 * without reading jq. Empty: none. *at moves behind it.
 */
static sp_str next_reference(sp_str program, size_t *at) {
    static const char WORD[] = ".steps.";
    size_t len = sizeof(WORD) - 1;
    bool quoted = false;
    for (size_t i = *at; i < program.len; i++) {
        char c = program.ptr[i];
        if (quoted && c == '\\') {
            i++;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && c == '.' && program.len - i > len &&
                   memcmp(program.ptr + i, WORD, len) == 0 &&
                   (i == 0 || (!is_word(program.ptr[i - 1]) && program.ptr[i - 1] != ']' &&
                               program.ptr[i - 1] != ')' && program.ptr[i - 1] != '?'))) {
            size_t end = i + len;
            while (end < program.len && is_word(program.ptr[end])) {
                end++;
            }
            *at = end;
            return sp_str_of(program.ptr + i + len, end - i - len);
        }
    }
    *at = program.len;
    return SP_STR("");
}

/* The step of this name in a scope; SP_SAGA_NO_NODE: none. */
static uint16_t find_name(const struct saga_compiler *compiler, uint16_t scope, sp_str name) {
    for (uint16_t i = (uint16_t)(scope + 1); i < compiler->nodes[scope].end; i++) {
        const struct sp_saga_node *node = &compiler->nodes[i];
        if (compiler->nodes[node->parent].scope == scope && sp_str_eq(node->name, name)) {
            return i;
        }
    }
    return SP_SAGA_NO_NODE;
}

static void no_such_step(struct saga_compiler *compiler, const struct sp_saga_program *program,
                         uint16_t scope, sp_str name) {
    struct sp_suggest suggest;
    char names[SP_DOC_NAME_BYTES_MAX + 1];
    char best[SP_DOC_NAME_BYTES_MAX + 1] = "";
    sp_suggest_init(&suggest, name);
    for (uint16_t i = (uint16_t)(scope + 1); i < compiler->nodes[scope].end; i++) {
        const struct sp_saga_node *node = &compiler->nodes[i];
        const char *before = suggest.best;
        if (compiler->nodes[node->parent].scope == scope && node->name.len != 0) {
            memcpy(names, node->name.ptr, node->name.len);
            names[node->name.len] = '\0';
            suggest.best = NULL;
            sp_suggest_try(&suggest, names);
            if (suggest.best != NULL) {
                memcpy(best, names, node->name.len + 1);
            }
            suggest.best = suggest.best != NULL ? best : before;
        }
    }
    sp_doc_warn(compiler->problems, program->place,
                "`%s` reads `.steps.%.*s`: there is no such "
                "step%s%s%s",
                program->key, SP_STR_ARG(name), best[0] != '\0' ? "; did you mean `" : "", best,
                best[0] != '\0' ? "`?" : "");
}

static void check_references(struct saga_compiler *compiler,
                             const struct sp_saga_program *program) {
    const struct sp_saga_node *node = &compiler->nodes[program->node];
    bool own = node->kind == SP_SAGA_ROOT || sp_str_eq(sp_str_from(program->key), SP_STR("output"));
    uint16_t scope = own ? program->node : compiler->nodes[node->parent].scope;
    size_t at = 0;
    for (;;) {
        sp_str name = next_reference(program->text, &at);
        if (name.len == 0 && at >= program->text.len) {
            return;
        }
        uint16_t found = name.len == 0 ? scope : find_name(compiler, scope, name);
        if (found == SP_SAGA_NO_NODE) {
            no_such_step(compiler, program, scope, name);
        } else if (!own && found > program->node) {
            sp_doc_warn(compiler->problems, program->place,
                        "`%s` reads `.steps.%.*s`, which runs only later", program->key,
                        SP_STR_ARG(name));
        }
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

void saga_check_rules(struct saga_compiler *compiler) {
    find_pivot(compiler);
    for (uint16_t i = 1; i < compiler->node_count; i++) {
        struct sp_saga_node *node = &compiler->nodes[i];
        if (node->after_pivot) {
            check_after_pivot(compiler, node, compiler->limit_given[i]);
        }
        if (node->kind == SP_SAGA_ACTION) {
            check_action(compiler, i);
        }
        check_times(compiler, node);
        check_when(compiler, node);
        check_loop(compiler, node);
    }
    for (uint32_t i = 0; i < compiler->definition->program_count; i++) {
        check_references(compiler, &compiler->programs[i]);
    }
}
