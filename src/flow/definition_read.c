/* The members of a definition and of its steps, each read into its room in a node. */
#include "flow/definition_int.h"
#include "match/pattern.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

enum { DESCRIPTION_BYTES_MAX = 1024, VERSION_BYTES_MAX = 64, ITEMS_AT_ONCE = 10 };

static const uint64_t MS_US = 1000;
static const uint64_t SECOND_US = 1000000;

/* ---- memory ---------------------------------------------------------------------------------- */

void *saga_take(struct saga_compiler *compiler, size_t size) {
    void *taken = sp_pool_take(&compiler->definition->pool, size);
    if (taken == NULL) {
        compiler->status = compiler->definition->pool.full ? SP_LIMIT : SP_NO_MEMORY;
    }
    return taken;
}

sp_str saga_copy(struct saga_compiler *compiler, sp_str text) {
    sp_str copy = text.len == 0 ? SP_STR("") : sp_pool_copy(&compiler->definition->pool, text);
    if (copy.ptr == NULL) {
        compiler->status = compiler->definition->pool.full ? SP_LIMIT : SP_NO_MEMORY;
    }
    return copy;
}

sp_str saga_copy_json(struct saga_compiler *compiler, const struct sp_doc_node *doc) {
    struct sp_buf text;
    sp_buf_init(&text, SP_SAGA_BYTES_MAX);
    sp_doc_write(doc, &text);
    if (text.status != SP_OK) {
        compiler->status = text.status;
    }
    sp_str copy = text.status == SP_OK ? saga_copy(compiler, sp_buf_str(&text)) : SP_STR("");
    sp_buf_fini(&text);
    return copy;
}

void saga_read_program(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                       const char *key, uint16_t node, sp_str *ret_text) {
    struct sp_saga_definition *definition = compiler->definition;
    sp_str text = SP_STR("");
    if (doc == NULL || !sp_doc_program(doc, &text, compiler->problems)) {
        return;
    }
    text = saga_copy(compiler, text);
    compiler->programs = sp_pool_grow(&definition->pool, compiler->programs,
                                      definition->program_count, sizeof(*compiler->programs));
    if (compiler->programs == NULL) {
        definition->program_count = 0;
        compiler->status = definition->pool.full ? SP_LIMIT : SP_NO_MEMORY;
        return;
    }
    compiler->programs[definition->program_count++] =
        (struct sp_saga_program){.text = text, .key = key, .node = node, .place = doc->place};
    *ret_text = text;
}

void saga_check_own_type(struct saga_compiler *compiler, const struct sp_doc_node *type) {
    if (type->kind == SP_DOC_TEXT && (sp_str_starts_with(type->text, SP_STR("saga.")) ||
                                      sp_str_starts_with(type->text, SP_STR("action.")))) {
        sp_doc_wrong(compiler->problems, type->place,
                     "`%.*s`: types of `saga.` and `action.` have a meaning of their own",
                     SP_STR_ARG(type->text));
    }
}

static void read_text(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                      size_t bytes_max, sp_str *ret_text) {
    if (sp_doc_text(doc, bytes_max, ret_text, compiler->problems) && doc != NULL) {
        *ret_text = saga_copy(compiler, *ret_text);
    }
}

/* ---- the definition itself ------------------------------------------------------------------- */

/* A pattern that wants what sagas themselves write would start one for every step of every one. */
static void check_start_pattern(struct saga_compiler *compiler, const struct sp_doc_node *start,
                                sp_str pattern) {
    if (pattern.len != 0 && sp_doc_get(start, "filter") == NULL &&
        sp_pattern_match(pattern, SP_STR("saga.started"))) {
        sp_doc_wrong(compiler->problems, sp_doc_get(start, "on")->place,
                     "`%.*s` wants the events of sagas too, and would start without end; name "
                     "types, or add a `filter`",
                     SP_STR_ARG(pattern));
    }
}

static void read_start(struct saga_compiler *compiler, const struct sp_doc_node *doc) {
    static const char *const KEYS[] = {"on", "filter", "key", "data"};
    struct sp_saga_definition *definition = compiler->definition;
    if (doc == NULL || (!sp_doc_keys(doc, "`start`", KEYS, COUNT_OF(KEYS), compiler->problems) &&
                        doc->kind != SP_DOC_OBJECT)) {
        return;
    }
    const struct sp_doc_node *on = sp_doc_get(doc, "on");
    const struct sp_doc_node *filter = sp_doc_get(doc, "filter");
    if (on == NULL && doc->count != 0) {
        sp_doc_wrong(compiler->problems, doc->place,
                     "`start` has no `on`: the type of the event that starts it, or a pattern");
    }
    if (sp_doc_pattern(on, &definition->start_pattern, compiler->problems)) {
        definition->start_pattern = saga_copy(compiler, definition->start_pattern);
        check_start_pattern(compiler, doc, definition->start_pattern);
    }
    if (sp_doc_filter(filter, &definition->start_filter, compiler->problems) && filter != NULL) {
        definition->start_filter_text = saga_copy_json(compiler, filter);
    }
    saga_read_program(compiler, sp_doc_get(doc, "key"), "start.key", 0, &definition->start_key);
    saga_read_program(compiler, sp_doc_get(doc, "data"), "start.data", 0, &definition->start_data);
}

/* A label: a whole number, or text. */
static sp_str read_version(struct saga_compiler *compiler, const struct sp_doc_node *doc) {
    sp_str version = SP_STR("");
    uint64_t number = 0;
    if (doc == NULL) {
        return version;
    }
    if (doc->kind != SP_DOC_NUMBER) {
        read_text(compiler, doc, VERSION_BYTES_MAX, &version);
    } else if (sp_doc_integer(doc, 0, UINT32_MAX, &number, compiler->problems)) {
        version = saga_copy(compiler, doc->text);
    }
    return version;
}

/* What a nested saga has no use for is checked all the same, and forgotten. */
static void read_root_only(struct saga_compiler *compiler, const struct sp_doc_node *doc) {
    static const char *const WORDS[] = {"compensate", "pause"};
    struct sp_saga_definition *definition = compiler->definition;
    uint64_t concurrency = 0;
    uint32_t word = 0;
    read_start(compiler, sp_doc_get(doc, "start"));
    (void)sp_doc_integer(sp_doc_get(doc, "concurrency"), 1, 1000000, &concurrency,
                         compiler->problems);
    (void)sp_doc_word(sp_doc_get(doc, "on_failure"), WORDS, COUNT_OF(WORDS), &word,
                      compiler->problems);
    definition->concurrency = (uint32_t)concurrency;
    definition->pause_on_failure = word == 1;
    definition->version = read_version(compiler, sp_doc_get(doc, "version"));
    read_text(compiler, sp_doc_get(doc, "description"), DESCRIPTION_BYTES_MAX,
              &definition->description);
}

void saga_read_top(struct saga_compiler *compiler, const struct sp_doc_node *doc, uint16_t number) {
    static const char *const KEYS[] = {"saga",       "version",     "description",
                                       "start",      "concurrency", "timeout",
                                       "on_failure", "output",      "steps"};
    struct sp_saga_node *node = &compiler->nodes[number];
    bool is_root = number == 0;
    if (!sp_doc_keys(doc, "a saga's definition", KEYS, COUNT_OF(KEYS), compiler->problems) &&
        doc->kind != SP_DOC_OBJECT) {
        return;
    }
    const struct sp_doc_node *name = sp_doc_get(doc, "saga");
    const struct sp_doc_node *steps = sp_doc_get(doc, "steps");
    sp_str read = SP_STR("");
    if (name == NULL) {
        sp_doc_wrong(compiler->problems, doc->place, "the definition has no `saga`: its name");
    } else if (sp_doc_name(name, true, &read, compiler->problems) && is_root) {
        compiler->definition->name = saga_copy(compiler, read);
    } else if (!is_root && read.len != 0 && !sp_str_eq(read, node->saga)) {
        sp_doc_wrong(compiler->problems, name->place, "`definition` is that of `%.*s`, not `%.*s`",
                     SP_STR_ARG(read), SP_STR_ARG(node->saga));
    }
    if (steps == NULL) {
        sp_doc_wrong(compiler->problems, doc->place, "the definition has no `steps`");
    }
    if (is_root) {
        read_root_only(compiler, doc);
    }
    (void)sp_doc_duration(sp_doc_get(doc, "timeout"), MS_US, SP_SAGA_DURATION_US_MAX,
                          &node->timeout_us, compiler->problems);
    saga_read_program(compiler, sp_doc_get(doc, "output"), "output", number, &node->output);
}

/* ---- steps ----------------------------------------------------------------------------------- */

#define ANY_STEP "name", "when", "description"

static const char *const ACTION_KEYS[] = {
    ANY_STEP, "action",    "input", "compensate",   "timeout",
    "retry",  "semantics", "pivot", "irreversible", "compensate_on_failure"};
static const char *const PARALLEL_KEYS[] = {ANY_STEP, "parallel"};
static const char *const SEQUENCE_KEYS[] = {ANY_STEP, "sequence"};
static const char *const CHOICE_KEYS[] = {ANY_STEP, "choice"};
static const char *const FOR_EACH_KEYS[] = {ANY_STEP, "for_each", "concurrency", "steps"};
static const char *const SAGA_KEYS[] = {ANY_STEP, "saga", "input", "definition"};
static const char *const WAIT_KEYS[] = {ANY_STEP, "wait"};
static const char *const APPROVAL_KEYS[] = {ANY_STEP, "approval"};
static const char *const EMIT_KEYS[] = {ANY_STEP, "emit"};

static const struct {
    const char *key; /* that says which kind it is */
    const char *what;
    const char *const *keys;
    size_t key_count;
    enum sp_saga_kind kind;
} KINDS[] = {
    {"action", "an action step", ACTION_KEYS, COUNT_OF(ACTION_KEYS), SP_SAGA_ACTION},
    {"parallel", "a parallel step", PARALLEL_KEYS, COUNT_OF(PARALLEL_KEYS), SP_SAGA_PARALLEL},
    {"sequence", "a sequence", SEQUENCE_KEYS, COUNT_OF(SEQUENCE_KEYS), SP_SAGA_SEQUENCE},
    {"choice", "a choice", CHOICE_KEYS, COUNT_OF(CHOICE_KEYS), SP_SAGA_CHOICE},
    {"for_each", "a for_each step", FOR_EACH_KEYS, COUNT_OF(FOR_EACH_KEYS), SP_SAGA_FOR_EACH},
    {"saga", "a nested saga", SAGA_KEYS, COUNT_OF(SAGA_KEYS), SP_SAGA_NESTED},
    {"wait", "a wait step", WAIT_KEYS, COUNT_OF(WAIT_KEYS), SP_SAGA_WAIT},
    {"approval", "an approval step", APPROVAL_KEYS, COUNT_OF(APPROVAL_KEYS), SP_SAGA_APPROVAL},
    {"emit", "an emit step", EMIT_KEYS, COUNT_OF(EMIT_KEYS), SP_SAGA_EMIT},
};

static const char *const STEP_KEYS[] = {
    ANY_STEP,  "action",      "parallel",   "sequence",     "choice",    "for_each",
    "saga",    "wait",        "approval",   "emit",         "input",     "compensate",
    "timeout", "retry",       "pivot",      "irreversible", "semantics", "compensate_on_failure",
    "steps",   "concurrency", "definition",
};

/* Which of the kinds a step is; COUNT_OF(KINDS) where that cannot be told, and a problem. */
static size_t kind_of(struct saga_compiler *compiler, const struct sp_doc_node *doc) {
    size_t found = COUNT_OF(KINDS);
    for (size_t i = 0; i < COUNT_OF(KINDS); i++) {
        const struct sp_doc_node *at = sp_doc_get(doc, KINDS[i].key);
        if (at != NULL && found != COUNT_OF(KINDS)) {
            sp_doc_wrong(compiler->problems, at->key_at,
                         "a step is one thing: `%s` or `%s`, not both", KINDS[found].key,
                         KINDS[i].key);
            return COUNT_OF(KINDS);
        }
        found = at != NULL ? i : found;
    }
    if (found == COUNT_OF(KINDS) &&
        sp_doc_keys(doc, "a step", STEP_KEYS, COUNT_OF(STEP_KEYS), compiler->problems)) {
        sp_doc_wrong(compiler->problems, doc->place,
                     "a step needs one of `action`, `parallel`, `sequence`, `choice`, `for_each`, "
                     "`saga`, `wait`, `approval` and `emit`");
    }
    return found;
}

/* The retry is there before the compensation, which takes from it. */
static void read_action(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                        uint16_t number) {
    static const char *const WORDS[] = {"at_least_once", "at_most_once"};
    struct sp_saga_node *node = &compiler->nodes[number];
    const struct sp_doc_node *action = sp_doc_get(doc, "action");
    uint32_t word = 0;
    node->timeout_us = SP_SAGA_TIMEOUT_US_DEFAULT;
    node->retry = (struct sp_saga_retry){
        .limit = 3,
        .factor_milli = 2000,
        .jitter_milli = 200,
        .backoff_us = SECOND_US,
        .max_us = 60 * SECOND_US,
    };
    if (sp_doc_type(action, &node->action, compiler->problems)) {
        saga_check_own_type(compiler, action);
        node->action = saga_copy(compiler, node->action);
    }
    saga_read_program(compiler, sp_doc_get(doc, "input"), "input", number, &node->input);
    (void)sp_doc_duration(sp_doc_get(doc, "timeout"), MS_US, SP_SAGA_DURATION_US_MAX,
                          &node->timeout_us, compiler->problems);
    saga_read_retry(compiler, sp_doc_get(doc, "retry"), &node->retry,
                    &compiler->limit_given[number]);
    saga_read_compensation(compiler, sp_doc_get(doc, "compensate"), number);
    (void)sp_doc_word(sp_doc_get(doc, "semantics"), WORDS, COUNT_OF(WORDS), &word,
                      compiler->problems);
    node->at_most_once = word == 1;
    (void)sp_doc_bool(sp_doc_get(doc, "pivot"), &node->pivot, compiler->problems);
    (void)sp_doc_bool(sp_doc_get(doc, "irreversible"), &node->irreversible, compiler->problems);
    (void)sp_doc_bool(sp_doc_get(doc, "compensate_on_failure"), &node->compensate_on_failure,
                      compiler->problems);
    if (node->compensate_on_failure && node->compensation == NULL) {
        sp_doc_wrong(compiler->problems, sp_doc_get(doc, "compensate_on_failure")->key_at,
                     "`compensate_on_failure` without `compensate`");
    }
    if (node->irreversible && node->compensation != NULL) {
        sp_doc_wrong(compiler->problems, sp_doc_get(doc, "irreversible")->key_at,
                     "a step is `irreversible` or has a `compensate`, not both");
    }
}

static struct saga_children read_for_each(struct saga_compiler *compiler,
                                          const struct sp_doc_node *doc, uint16_t number) {
    struct sp_saga_node *node = &compiler->nodes[number];
    uint64_t concurrency = ITEMS_AT_ONCE;
    (void)sp_doc_integer(sp_doc_get(doc, "concurrency"), 1, SP_SAGA_ITEMS_MAX, &concurrency,
                         compiler->problems);
    node->concurrency = (uint32_t)concurrency;
    saga_read_program(compiler, sp_doc_get(doc, "for_each"), "for_each", number, &node->items);
    const struct sp_doc_node *steps = sp_doc_get(doc, "steps");
    if (steps == NULL) {
        sp_doc_wrong(compiler->problems, doc->place,
                     "a for_each step has no `steps`: what is done with each item");
    }
    return (struct saga_children){.list = steps};
}

/* Whether something is wrong there already: that no saga of this name is defined. */
static bool is_told(const struct sp_doc_problems *problems, struct sp_doc_place place) {
    for (uint32_t i = 0; i < problems->count; i++) {
        const struct sp_doc_problem *at = &problems->items[i];
        if (!at->is_warning && at->place.line == place.line && at->place.column == place.column) {
            return true;
        }
    }
    return false;
}

static struct saga_children read_nested(struct saga_compiler *compiler,
                                        const struct sp_doc_node *doc, uint16_t number) {
    struct sp_saga_node *node = &compiler->nodes[number];
    const struct sp_doc_node *definition = sp_doc_get(doc, "definition");
    if (sp_doc_name(sp_doc_get(doc, "saga"), true, &node->saga, compiler->problems)) {
        node->saga = saga_copy(compiler, node->saga);
    }
    saga_read_program(compiler, sp_doc_get(doc, "input"), "input", number, &node->input);
    if (definition == NULL) {
        const struct sp_doc_node *saga = sp_doc_get(doc, "saga");
        if (compiler->open_nested) {
            sp_doc_warn(compiler->problems, saga->place,
                        "the saga `%.*s` is not there: what it does is not checked",
                        SP_STR_ARG(node->saga));
        } else if (!is_told(compiler->problems, saga->place)) {
            sp_doc_wrong(compiler->problems, saga->place,
                         "the definition of the saga `%.*s` is not there", SP_STR_ARG(node->saga));
        }
        return (struct saga_children){.list = NULL};
    }
    saga_read_top(compiler, definition, number);
    return (struct saga_children){.list = sp_doc_get(definition, "steps")};
}

static struct saga_children read_kind(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                                      uint16_t number, const struct sp_doc_node *what) {
    switch (compiler->nodes[number].kind) {
    case SP_SAGA_ACTION:
        read_action(compiler, doc, number);
        break;
    case SP_SAGA_PARALLEL:
    case SP_SAGA_SEQUENCE:
        return (struct saga_children){.list = what};
    case SP_SAGA_CHOICE:
        return (struct saga_children){.list = what, .are_branches = true};
    case SP_SAGA_FOR_EACH:
        return read_for_each(compiler, doc, number);
    case SP_SAGA_NESTED:
        return read_nested(compiler, doc, number);
    case SP_SAGA_WAIT:
        saga_read_wait(compiler, what, number);
        break;
    case SP_SAGA_APPROVAL:
        saga_read_approval(compiler, what, number);
        break;
    case SP_SAGA_EMIT:
        saga_read_emit(compiler, what, number);
        break;
    case SP_SAGA_ROOT:
    case SP_SAGA_BRANCH:
        sp_never();
    }
    return (struct saga_children){.list = NULL};
}

static void read_name(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                      struct sp_saga_node *node) {
    const struct sp_doc_node *name = sp_doc_get(doc, "name");
    if (name == NULL) {
        sp_doc_wrong(compiler->problems, doc->place, "a step has no `name`");
    } else if (sp_doc_name(name, false, &node->name, compiler->problems)) {
        node->name = saga_copy(compiler, node->name);
        node->place = name->place;
    }
}

struct saga_children saga_read_step(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                                    uint16_t number) {
    struct saga_children none = {.list = NULL};
    struct sp_saga_node *node = &compiler->nodes[number];
    sp_str description = SP_STR("");
    node->kind = SP_SAGA_SEQUENCE; /* until it is known; nothing runs that has errors */
    node->place = doc->place;
    if (doc->kind != SP_DOC_OBJECT) {
        sp_doc_wrong(compiler->problems, doc->place, "a step is an object, not %s",
                     sp_doc_kind_name(doc->kind));
        return none;
    }
    read_name(compiler, doc, node);
    saga_read_program(compiler, sp_doc_get(doc, "when"), "when", number, &node->when);
    (void)sp_doc_text(sp_doc_get(doc, "description"), DESCRIPTION_BYTES_MAX, &description,
                      compiler->problems);
    size_t kind = kind_of(compiler, doc);
    if (kind == COUNT_OF(KINDS)) {
        return none;
    }
    node->kind = KINDS[kind].kind;
    node->is_scope = node->kind == SP_SAGA_NESTED;
    (void)sp_doc_keys(doc, KINDS[kind].what, KINDS[kind].keys, KINDS[kind].key_count,
                      compiler->problems);
    return read_kind(compiler, doc, number, sp_doc_get(doc, KINDS[kind].key));
}

struct saga_children saga_read_branch(struct saga_compiler *compiler, const struct sp_doc_node *doc,
                                      uint16_t number) {
    static const char *const KEYS[] = {"when", "steps", "description"};
    struct sp_saga_node *node = &compiler->nodes[number];
    node->kind = SP_SAGA_BRANCH;
    node->place = doc->place;
    if (!sp_doc_keys(doc, "a branch of a choice", KEYS, COUNT_OF(KEYS), compiler->problems) &&
        doc->kind != SP_DOC_OBJECT) {
        return (struct saga_children){.list = NULL};
    }
    saga_read_program(compiler, sp_doc_get(doc, "when"), "when", number, &node->when);
    const struct sp_doc_node *steps = sp_doc_get(doc, "steps");
    if (steps == NULL) {
        sp_doc_wrong(compiler->problems, doc->place, "a branch of a choice has no `steps`");
    }
    return (struct saga_children){.list = steps};
}
