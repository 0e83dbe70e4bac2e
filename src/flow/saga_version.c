#include "flow/saga_int.h"

#include <stdlib.h>

#include "base/hash.h"

enum { VERSION_MEMORY_MAX = 8 << 20 };

/* ---- names ---- */

static sp_str name_text(const struct sp_saga_name *name) {
    return sp_str_of(name->text, name->len);
}

struct sp_saga_name *sp_sagas_name(const struct sp_sagas *sagas, sp_str text) {
    struct sp_htab_probe probe = sp_htab_find(&sagas->by_name, sp_hash(text.ptr, text.len));
    uint32_t at = 0;
    while (sp_htab_next(&probe, &at)) {
        if (sp_str_eq(name_text(sagas->names[at]), text)) {
            return sagas->names[at];
        }
    }
    return NULL;
}

static struct sp_saga_name *add_name(struct sp_sagas *sagas, sp_str text) {
    uint32_t at = 0;
    while (at < sagas->name_count && sagas->names[at] != NULL) {
        at++;
    }
    if (!sp_sagas_room(sagas, &sagas->names, &sagas->name_capacity, at,
                       sizeof(struct sp_saga_name *))) {
        return NULL;
    }
    struct sp_saga_name *name = calloc(1, sizeof(*name));
    char *copy = malloc(text.len + 1);
    if (name == NULL || copy == NULL ||
        sp_htab_add(&sagas->by_name, sp_hash(text.ptr, text.len), at) != SP_OK) {
        free(name);
        free(copy);
        sagas->failed = SP_NO_MEMORY;
        return NULL;
    }
    memcpy(copy, text.ptr, text.len);
    *name = (struct sp_saga_name){.text = copy,
                                  .len = (uint32_t)text.len,
                                  .slot = at,
                                  .queue_head = SP_NONE,
                                  .queue_tail = SP_NONE};
    sagas->names[at] = name;
    sagas->name_count = at == sagas->name_count ? at + 1 : sagas->name_count;
    return name;
}

static void drop_name(struct sp_sagas *sagas, struct sp_saga_name *name) {
    if (--name->refs > 0) {
        return;
    }
    sp_invariant(name->running == 0 && name->waiting == 0 && name->current == NULL);
    sp_htab_remove(&sagas->by_name, sp_hash(name->text, name->len), name->slot);
    sagas->names[name->slot] = NULL;
    free(name->text);
    free(name);
}

/* ---- programs ---- */

static sp_str keep(struct sp_saga_version *version, struct sp_buf *from) {
    sp_str text = from->status == SP_OK ? sp_pool_copy(&version->pool, sp_buf_str(from))
                                        : (sp_str){.ptr = NULL};
    sp_buf_reset(from);
    return text;
}

static void add(struct sp_buf *to, const char *text) {
    sp_buf_add_str(to, sp_str_from(text));
}

/* A program in parentheses, on lines of its own: it may end in a comment. */
static void add_program(struct sp_buf *to, sp_str program) {
    add(to, "(\n");
    sp_buf_add_str(to, program);
    add(to, "\n)");
}

/* The number of the first branch that holds, -1 where none does. */
static void add_choice(struct sp_buf *to, const struct sp_saga_definition *definition,
                       const struct sp_saga_node *choice) {
    bool is_open = false;
    for (uint16_t at = choice->first; at != SP_SAGA_NO_NODE; at = definition->nodes[at].next) {
        const struct sp_saga_node *branch = &definition->nodes[at];
        if (branch->when.len == 0) { /* the last one, for all others */
            add(to, is_open ? " else " : "");
            sp_buf_add_u64(to, branch->branch);
            add(to, is_open ? " end" : "");
            return;
        }
        add(to, is_open ? " elif " : "if ");
        add_program(to, branch->when);
        add(to, " then ");
        sp_buf_add_u64(to, branch->branch);
        is_open = true;
    }
    add(to, is_open ? " else -1 end" : "-1");
}

static sp_str body_of(const struct sp_saga_node *node) {
    switch (node->kind) {
    case SP_SAGA_ACTION:
    case SP_SAGA_NESTED:
        return node->input;
    case SP_SAGA_FOR_EACH:
        return node->items;
    case SP_SAGA_WAIT:
        if (node->wait->for_program.len > 0) {
            return node->wait->for_program;
        }
        return node->wait->until.len > 0 ? node->wait->until : node->wait->key;
    case SP_SAGA_APPROVAL:
        return node->approval->data;
    case SP_SAGA_EMIT:
        return node->emit->data;
    case SP_SAGA_ROOT:
    case SP_SAGA_PARALLEL:
    case SP_SAGA_SEQUENCE:
    case SP_SAGA_CHOICE:
    case SP_SAGA_BRANCH:
        return (sp_str){.ptr = NULL};
    }
    sp_never();
}

/*
 * What is run before a step begins. With `when` it gives null where that does not hold, else an
 * array that holds what the step's own program gave; without, that itself.
 */
static sp_str make_begin(struct sp_saga_version *version, const struct sp_saga_node *node,
                         struct sp_buf *scratch) {
    sp_str when = node->kind == SP_SAGA_BRANCH ? (sp_str){.ptr = NULL} : node->when;
    sp_str body = body_of(node);
    bool is_choice = node->kind == SP_SAGA_CHOICE;
    if (when.len > 0) {
        add(scratch, "if ");
        add_program(scratch, when);
        add(scratch, " then [");
    }
    if (is_choice) {
        add_choice(scratch, version->definition, node);
    } else if (body.len > 0 && when.len > 0) {
        add_program(scratch, body);
    } else {
        sp_buf_add_str(scratch, body);
    }
    if (when.len > 0) {
        add(scratch, "] else null end");
    }
    return keep(version, scratch);
}

/* What is run before a saga begins by an event: {key, data}, as far as there are programs. */
static sp_str make_start(struct sp_saga_version *version, struct sp_buf *scratch) {
    const struct sp_saga_definition *definition = version->definition;
    bool has_key = definition->start_key.len > 0;
    bool has_data = definition->start_data.len > 0;
    if (!has_key && !has_data) {
        return (sp_str){.ptr = NULL};
    }
    add(scratch, "{");
    if (has_key) {
        add(scratch, "\"key\":");
        add_program(scratch, definition->start_key);
    }
    add(scratch, has_key && has_data ? "," : "");
    if (has_data) {
        add(scratch, "\"data\":");
        add_program(scratch, definition->start_data);
    }
    add(scratch, "}");
    return keep(version, scratch);
}

/* ---- what is worked out once for a version ---- */

static uint16_t scope_of_name(const struct sp_saga_definition *definition, uint16_t at) {
    const struct sp_saga_node *node = &definition->nodes[at];
    return node->is_scope && node->parent != SP_SAGA_NO_NODE ? definition->nodes[node->parent].scope
                                                             : node->scope;
}

static bool is_unique(const struct sp_saga_definition *definition, uint16_t at) {
    sp_str name = definition->nodes[at].name;
    for (uint16_t i = 1; i < definition->node_count; i++) {
        if (i != at && sp_str_eq(definition->nodes[i].name, name) &&
            scope_of_name(definition, i) == scope_of_name(definition, at)) {
            return false;
        }
    }
    return name.len > 0;
}

static sp_status prepare_wait(struct sp_saga_version *version, uint16_t at,
                              struct sp_error *error) {
    const struct sp_saga_wait *wait = version->definition->nodes[at].wait;
    struct sp_saga_watcher *watcher = &version->waits[at];
    *watcher = (struct sp_saga_watcher){.version = version, .node = at, .path = SP_PATH_NONE};
    return wait->match.len == 0
               ? SP_OK
               : sp_paths_add(&version->paths, wait->match, false, &watcher->path, error);
}

static sp_status prepare(struct sp_saga_version *version, struct sp_buf *scratch,
                         struct sp_error *error) {
    const struct sp_saga_definition *definition = version->definition;
    sp_status status = SP_OK;
    size_t count = definition->node_count;
    version->begin = sp_pool_take(&version->pool, count * sizeof(*version->begin));
    version->unique = sp_pool_take(&version->pool, count);
    version->waits = sp_pool_take(&version->pool, count * sizeof(*version->waits));
    version->starter = sp_pool_take(&version->pool, sizeof(*version->starter));
    if (version->begin == NULL || version->unique == NULL || version->waits == NULL ||
        version->starter == NULL) {
        return SP_NO_MEMORY;
    }
    *version->starter = (struct sp_saga_watcher){.version = version, .node = SP_NONE};
    for (uint16_t i = 1; i < count && status == SP_OK; i++) {
        const struct sp_saga_node *node = &definition->nodes[i];
        version->begin[i] = make_begin(version, node, scratch);
        version->unique[i] = is_unique(definition, i);
        if (node->kind == SP_SAGA_WAIT && node->wait->pattern.len > 0) {
            status = prepare_wait(version, i, error);
        }
    }
    version->start = make_start(version, scratch);
    return status == SP_OK && version->pool.full ? SP_NO_MEMORY : status;
}

/* ---- versions ---- */

struct sp_saga_version *sp_sagas_version(const struct sp_sagas *sagas,
                                         const uint8_t sha256[SP_SHA256_BYTES]) {
    for (struct sp_saga_version *at = sagas->versions; at != NULL; at = at->next) {
        if (memcmp(at->sha256, sha256, SP_SHA256_BYTES) == 0) {
            return at;
        }
    }
    return NULL;
}

void sp_saga_version_ref(struct sp_saga_version *version) {
    version->refs++;
}

static void free_version(struct sp_saga_version *version) {
    sp_saga_definition_unref(version->definition);
    sp_pool_fini(&version->pool);
    free(version->unusable);
    free(version->text);
    free(version);
}

void sp_saga_version_unref(struct sp_sagas *sagas, struct sp_saga_version *version) {
    sp_require(version->refs > 0);
    if (--version->refs > 0) {
        return;
    }
    sp_invariant(!version->is_current);
    struct sp_saga_version **back =
        version->previous != NULL ? &version->previous->next : &sagas->versions;
    *back = version->next;
    if (version->next != NULL) {
        version->next->previous = version->previous;
    } else {
        sagas->versions_last = version->previous;
    }
    sagas->version_count--;
    drop_name(sagas, version->name);
    free_version(version);
}

static void link_version(struct sp_sagas *sagas, struct sp_saga_version *version) {
    version->previous = sagas->versions_last;
    if (sagas->versions_last != NULL) {
        sagas->versions_last->next = version;
    } else {
        sagas->versions = version;
    }
    sagas->versions_last = version;
    sagas->version_count++;
}

/* It cannot be used here, but is kept: a later spoor may know better. */
static sp_status spoil(struct sp_saga_version *version, sp_str text, const char *why) {
    sp_saga_definition_unref(version->definition);
    version->definition = NULL;
    version->unusable = malloc(SP_ERROR_TEXT_SIZE);
    version->text = malloc(text.len + 1);
    if (version->unusable == NULL || version->text == NULL) {
        return SP_NO_MEMORY;
    }
    size_t len = strnlen(why, SP_ERROR_TEXT_SIZE - 1);
    memcpy(version->unusable, why, len);
    version->unusable[len] = '\0';
    memcpy(version->text, text.ptr, text.len);
    version->text_len = text.len;
    return SP_OK;
}

static sp_status load(struct sp_sagas *sagas, struct sp_saga_version *version, sp_str text) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status = sp_saga_definition_parse(text, &version->definition, &error);
    if (status == SP_OK) {
        sp_buf_reset(&sagas->scratch);
        status = prepare(version, &sagas->scratch, &error);
    }
    if (status == SP_OK || status == SP_NO_MEMORY) {
        return status;
    }
    return spoil(version, text, error.text);
}

struct sp_saga_version *sp_sagas_add_version(struct sp_sagas *sagas, sp_str name, sp_str text,
                                             const uint8_t sha256[SP_SHA256_BYTES],
                                             uint64_t position, uint64_t defined_us) {
    struct sp_saga_name *of = sp_sagas_name(sagas, name);
    of = of != NULL ? of : add_name(sagas, name);
    struct sp_saga_version *version = of == NULL ? NULL : calloc(1, sizeof(*version));
    if (version == NULL) {
        sagas->failed = SP_NO_MEMORY;
        return NULL;
    }
    sp_pool_init(&version->pool, VERSION_MEMORY_MAX);
    sp_paths_init(&version->paths, &version->pool);
    memcpy(version->sha256, sha256, SP_SHA256_BYTES);
    version->position = position;
    version->defined_us = defined_us;
    version->name = of;
    if (load(sagas, version, text) != SP_OK) {
        free_version(version);
        sagas->failed = SP_NO_MEMORY;
        return NULL;
    }
    of->refs++;
    link_version(sagas, version);
    return version;
}

void sp_sagas_make_current(struct sp_sagas *sagas, struct sp_saga_name *name,
                           struct sp_saga_version *version) {
    struct sp_saga_version *old = name->current;
    if (version != NULL && version != old) {
        sp_saga_version_ref(version);
        version->is_current = true;
        if (version->definition != NULL && version->definition->start_pattern.len > 0) {
            sp_saga_watcher_use(sagas, version->starter, version->definition->start_pattern);
        }
    }
    name->current = version;
    if (version != NULL && version->definition != NULL) {
        name->limit = version->definition->concurrency;
        sp_sagas_admit(sagas, name);
    }
    if (old != NULL && old != version) {
        old->is_current = false;
        if (old->definition != NULL && old->definition->start_pattern.len > 0) {
            sp_saga_watcher_leave(sagas, old->starter);
        }
        sp_saga_version_unref(sagas, old);
    }
}

void sp_sagas_free_versions(struct sp_sagas *sagas) {
    while (sagas->versions != NULL) {
        struct sp_saga_version *version = sagas->versions;
        sagas->versions = version->next;
        free_version(version);
    }
    for (uint32_t i = 0; i < sagas->name_count; i++) {
        if (sagas->names[i] != NULL) {
            free(sagas->names[i]->text);
            free(sagas->names[i]);
        }
    }
    free(sagas->names);
}

/* ---- the events of $sagas ---- */

static void define(struct sp_sagas *sagas, const struct sp_event *event, bool is_newest) {
    struct sp_member members[] = {{.name = "saga"}, {.name = "definition"}};
    sp_buf_reset(&sagas->scratch_more);
    if (sp_members_of(event, members, 2, &sagas->scratch_more) != SP_OK) {
        sagas->failed = SP_NO_MEMORY;
        return;
    }
    sp_str name = sp_member_text(&members[0]);
    sp_str text = members[1].json;
    if (name.len == 0 || members[1].type != SP_TYPE_OBJECT) {
        return; /* written by nobody who was let in */
    }
    uint8_t sha256[SP_SHA256_BYTES];
    sp_sha256_salted("", 0, text.ptr, text.len, sha256);
    struct sp_saga_version *version = sp_sagas_version(sagas, sha256);
    if (version == NULL) {
        version =
            sp_sagas_add_version(sagas, name, text, sha256, event->position, event->recorded_us);
    }
    if (version == NULL || !is_newest) {
        return;
    }
    version->position = event->position;
    version->defined_us = event->recorded_us;
    sp_sagas_make_current(sagas, version->name, version);
}

static void remove_definition(struct sp_sagas *sagas, const struct sp_event *event) {
    struct sp_member member = {.name = "saga"};
    sp_buf_reset(&sagas->scratch_more);
    if (sp_members_of(event, &member, 1, &sagas->scratch_more) != SP_OK) {
        sagas->failed = SP_NO_MEMORY;
        return;
    }
    struct sp_saga_name *name = sp_sagas_name(sagas, sp_member_text(&member));
    if (name != NULL && name->current != NULL) {
        sp_sagas_make_current(sagas, name, NULL);
    }
}

void sp_sagas_fold_definition(struct sp_sagas *sagas, const struct sp_event *event) {
    sp_str type = event->attr[SP_ATTR_TYPE];
    if (sp_str_eq(type, SP_STR("saga.defined"))) {
        define(sagas, event, true);
    } else if (sp_str_eq(type, SP_STR("saga.recalled"))) {
        define(sagas, event, false);
    } else if (sp_str_eq(type, SP_STR("saga.removed"))) {
        remove_definition(sagas, event);
    } else if (sp_str_eq(type, SP_STR("saga.start.ignored"))) {
        sp_sagas_end_start(sagas, sp_saga_number(event, SP_STR("trigger")),
                           sp_saga_extension(event, SP_STR("definition")));
    }
}
