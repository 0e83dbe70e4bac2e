/*
 * What programs see of a saga, as JSON:
 *
 *     {<members of the start data>, "data": …, "saga": {"id", "name", "key"}, "item", "index",
 *      "steps": {<name>: {"status", "result", "error", "steps"}}}
 *
 * `steps` has the steps of the scope, those within containers under them, and once more at the top
 * where no other step of the scope has the name. Within a for_each they are those of the item.
 * Results are read from the log.
 */
#include "flow/saga_int.h"

enum { DEPTH_MAX = 160 };

struct context {
    struct sp_sagas *sagas;
    const struct sp_saga *saga;
    const struct sp_flow_ports *ports;
    struct sp_buf *to;
    struct sp_error *error;
    uint32_t at;    /* for whom it is */
    uint32_t scope; /* the activation of its scope */
};

sp_status sp_saga_read(const struct sp_flow_ports *ports, uint64_t position,
                       struct sp_event *ret_event, struct sp_error *error) {
    sp_status status = ports->read(ports->context, position, ret_event, error);
    return status == SP_NOT_FOUND
               ? sp_error_set(error, SP_CORRUPT, "event %llu, which a saga needs, is gone",
                              (unsigned long long)position)
               : status;
}

static sp_status read_event(const struct context *context, uint64_t position,
                            struct sp_event *ret_event) {
    return sp_saga_read(context->ports, position, ret_event, context->error);
}

static sp_status no_memory(const struct context *context) {
    return sp_error_set(context->error, SP_NO_MEMORY, "out of memory");
}

/* ---- where it stands ---- */

static uint32_t scope_of(const struct sp_saga *saga, uint32_t at) {
    do {
        at = saga->acts[at].parent;
    } while (!sp_act_node(saga, &saga->acts[at])->is_scope);
    return at;
}

/* The item that an activation stands in, within its scope; SP_NONE: in none. */
static uint32_t item_of(const struct sp_saga *saga, uint32_t at, uint32_t scope) {
    while (at != scope && (saga->acts[at].flags & SP_ACT_IS_ITEM) == 0) {
        at = saga->acts[at].parent;
    }
    return at == scope ? SP_NONE : at;
}

/* ---- start data and items ---- */

/* `data` of the event that began the scope; a nested saga without input has that around it. */
static sp_status scope_data(const struct context *context, uint32_t scope,
                            struct sp_member *members, size_t count) {
    const struct sp_saga *saga = context->saga;
    struct sp_event event;
    while (scope != 0 && sp_act_node(saga, &saga->acts[scope])->input.len == 0) {
        scope = scope_of(saga, scope);
    }
    uint64_t position = scope == 0 ? saga->started : saga->acts[scope].input;
    sp_status status = read_event(context, position, &event);
    if (status != SP_OK) {
        return status;
    }
    sp_buf_reset(&context->sagas->scratch);
    status = sp_members_of(&event, members, count, &context->sagas->scratch);
    return status == SP_OK ? SP_OK : no_memory(context);
}

/* The item with this index of the list that a for_each began with. Borrowed. */
static sp_status read_item(const struct context *context, uint32_t item, sp_str *ret_json) {
    const struct sp_saga *saga = context->saga;
    uint32_t list = saga->acts[item].parent;
    struct sp_member member = {.name = "items"};
    struct sp_event event;
    struct sp_json json;
    sp_status status = read_event(context, saga->acts[list].input, &event);
    if (status != SP_OK) {
        return status;
    }
    sp_buf_reset(&context->sagas->scratch);
    if (sp_members_of(&event, &member, 1, &context->sagas->scratch) != SP_OK) {
        return no_memory(context);
    }
    *ret_json = SP_STR("null");
    sp_json_init(&json, member.json);
    struct sp_json_token token = sp_json_next(&json);
    token = sp_json_next(&json);
    for (uint32_t i = item - saga->acts[list].first;
         token.type != SP_JSON_ARRAY_END && token.type != SP_JSON_ERROR &&
         token.type != SP_JSON_END;
         i--) {
        sp_str value = sp_json_skip(&json, token);
        if (i == 0) {
            *ret_json = value;
            return SP_OK;
        }
        token = sp_json_next(&json);
    }
    return SP_OK;
}

sp_status sp_saga_write_default(struct sp_sagas *sagas, const struct sp_saga *saga, uint32_t at,
                                const struct sp_flow_ports *ports, struct sp_buf *to,
                                struct sp_error *error) {
    struct context context = {.sagas = sagas,
                              .saga = saga,
                              .ports = ports,
                              .to = to,
                              .error = error,
                              .at = at,
                              .scope = scope_of(saga, at)};
    uint32_t item = item_of(saga, at, context.scope);
    struct sp_member data = {.name = "data"};
    sp_status status = item == SP_NONE ? scope_data(&context, context.scope, &data, 1)
                                       : read_item(&context, item, &data.json);
    if (status == SP_OK) {
        sp_buf_add_str(to, data.json.len > 0 ? data.json : SP_STR("null"));
    }
    return status;
}

static bool is_reserved(struct sp_json_token key) {
    return sp_json_equal(key, SP_STR("data")) || sp_json_equal(key, SP_STR("steps")) ||
           sp_json_equal(key, SP_STR("saga")) || sp_json_equal(key, SP_STR("item")) ||
           sp_json_equal(key, SP_STR("index"));
}

/* The members of the start data, where it is an object, each with a comma behind. */
static void write_members(struct sp_buf *to, sp_str object) {
    struct sp_json json;
    sp_json_init(&json, object);
    struct sp_json_token token = sp_json_next(&json);
    if (token.type != SP_JSON_OBJECT) {
        return;
    }
    for (token = sp_json_next(&json); token.type == SP_JSON_KEY; token = sp_json_next(&json)) {
        struct sp_json_token key = token;
        sp_str value = sp_json_skip(&json, sp_json_next(&json));
        if (!is_reserved(key)) {
            sp_buf_add_byte(to, '"');
            sp_buf_add_str(to, key.raw);
            sp_buf_add_str(to, SP_STR("\":"));
            sp_buf_add_str(to, value);
            sp_buf_add_byte(to, ',');
        }
    }
}

static sp_status write_start(const struct context *context) {
    struct sp_member members[] = {{.name = "data"}, {.name = "key"}};
    char id[SP_UUID_TEXT_SIZE];
    struct sp_buf *to = context->to;
    sp_status status = scope_data(context, context->scope, members, 2);
    if (status != SP_OK) {
        return status;
    }
    write_members(to, members[0].json);
    sp_buf_add_str(to, SP_STR("\"data\":"));
    sp_buf_add_str(to, members[0].json.len > 0 ? members[0].json : SP_STR("null"));
    sp_uuid_format(context->saga->id, id);
    sp_json_member(to, "saga");
    sp_json_open(to);
    sp_json_text(to, "id", sp_str_of(id, sizeof(id)));
    sp_json_text(to, "name", context->saga->version->definition->name);
    sp_json_text(to, "key", sp_member_text(&members[1]));
    sp_json_close(to);
    return SP_OK;
}

static sp_status write_item(const struct context *context) {
    const struct sp_saga *saga = context->saga;
    uint32_t item = item_of(saga, context->at, context->scope);
    if (item == SP_NONE) {
        return SP_OK;
    }
    sp_str json = {.ptr = NULL};
    sp_status status = read_item(context, item, &json);
    if (status == SP_OK) {
        sp_json_raw(context->to, "item", json);
        sp_json_u64(context->to, "index", item - saga->acts[saga->acts[item].parent].first);
    }
    return status;
}

/* ---- results ---- */

/* What an event that gave a result says it is. */
static sp_status write_event_result(const struct context *context, const struct sp_act *act,
                                    const struct sp_event *event) {
    struct sp_buf *to = context->to;
    enum sp_saga_kind kind = sp_act_node(context->saga, act)->kind;
    if (!sp_str_starts_with(event->attr[SP_ATTR_STREAM], SP_STR("saga:")) ||
        !sp_str_starts_with(event->attr[SP_ATTR_TYPE], SP_STR("saga."))) {
        if (kind == SP_SAGA_WAIT) {
            sp_json_open(to);
            sp_json_text(to, "id", event->attr[SP_ATTR_ID]);
            sp_json_text(to, "type", event->attr[SP_ATTR_TYPE]);
            sp_json_text(to, "source", event->attr[SP_ATTR_SOURCE]);
            sp_json_u64(to, "position", event->position);
            sp_json_member(to, "data");
            sp_saga_event_data(event, to);
            sp_json_close(to);
        } else {
            sp_saga_event_data(event, to);
        }
        return SP_OK;
    }
    if (sp_str_starts_with(event->attr[SP_ATTR_TYPE], SP_STR("saga.approval."))) {
        sp_saga_event_data(event, to);
        return SP_OK;
    }
    struct sp_member member = {.name = "result"};
    sp_buf_reset(&context->sagas->scratch);
    if (sp_members_of(event, &member, 1, &context->sagas->scratch) != SP_OK) {
        return no_memory(context);
    }
    sp_buf_add_str(to, member.json.len > 0 ? member.json : SP_STR("null"));
    return SP_OK;
}

static sp_status write_result(const struct context *context, uint32_t at) {
    const struct sp_act *act = &context->saga->acts[at];
    struct sp_event event;
    bool is_done = act->state == SP_ACT_DONE || act->state >= SP_ACT_UNDO_READY;
    if (!is_done || act->result == 0) {
        sp_buf_add_str(context->to, SP_STR("null"));
        return SP_OK;
    }
    sp_status status = read_event(context, act->result, &event);
    return status == SP_OK ? write_event_result(context, act, &event) : status;
}

/* The results of the last steps of all items. */
static sp_status write_items(const struct context *context, uint32_t at) {
    const struct sp_saga *saga = context->saga;
    const struct sp_act *list = &saga->acts[at];
    sp_status status = SP_OK;
    sp_buf_add_byte(context->to, '[');
    for (uint32_t i = 0; i < list->count && list->first != SP_NONE && status == SP_OK; i++) {
        const struct sp_act *item = &saga->acts[list->first + i];
        if (i > 0) {
            sp_buf_add_byte(context->to, ',');
        }
        if (item->first == SP_NONE || item->count == 0) {
            sp_buf_add_str(context->to, SP_STR("null"));
        } else {
            status = write_result(context, item->first + item->count - 1);
        }
    }
    sp_buf_add_byte(context->to, ']');
    return status;
}

/* What the last attempt said, of a step that is not done. */
static sp_status write_error(const struct context *context, uint32_t at) {
    const struct sp_act *act = &context->saga->acts[at];
    struct sp_event event;
    bool has_failed = act->state == SP_ACT_FAILED || act->state == SP_ACT_SKIPPED ||
                      act->state == SP_ACT_BACKOFF || act->state == SP_ACT_STUCK ||
                      (act->state >= SP_ACT_UNDO_READY && (act->flags & SP_ACT_IS_OK) == 0);
    sp_json_member(context->to, "error");
    if (!has_failed || act->result == 0 ||
        sp_act_node(context->saga, act)->kind != SP_SAGA_ACTION) {
        bool is_unknown = has_failed && (act->flags & SP_ACT_IS_UNKNOWN) != 0;
        sp_buf_add_str(context->to,
                       is_unknown ? SP_STR("\"no answer came in time\"") : SP_STR("null"));
        return SP_OK;
    }
    sp_status status = read_event(context, act->result, &event);
    if (status != SP_OK) {
        return status;
    }
    struct sp_failure failure;
    if (!sp_str_ends_with(event.attr[SP_ATTR_TYPE], SP_STR(".failed"))) {
        sp_buf_add_str(context->to, SP_STR("null"));
        return SP_OK;
    }
    if (sp_failure_read(&event, &context->sagas->scratch, &failure) != SP_OK) {
        return no_memory(context);
    }
    sp_json_bytes(context->to, failure.error);
    return SP_OK;
}

sp_status sp_act_write_result(struct sp_sagas *sagas, const struct sp_saga *saga, uint32_t at,
                              const struct sp_flow_ports *ports, struct sp_buf *to,
                              struct sp_error *error) {
    struct context context = {
        .sagas = sagas, .saga = saga, .ports = ports, .to = to, .error = error};
    return write_result(&context, at);
}

/* ---- steps ---- */

/* The activation that holds those of the nodes directly below a container's node. */
static uint32_t holder_of(const struct context *context, uint32_t at) {
    const struct sp_saga *saga = context->saga;
    if (at == SP_NONE) {
        return SP_NONE;
    }
    const struct sp_act *act = &saga->acts[at];
    if (sp_act_node(saga, act)->kind != SP_SAGA_FOR_EACH) {
        return at;
    }
    for (uint32_t i = context->at; i != 0 && i != context->scope; i = saga->acts[i].parent) {
        if (saga->acts[i].parent == at) {
            return i; /* the item that the one who asks stands in */
        }
    }
    return SP_NONE;
}

/* `"name":{"status":…,"result":…,"error":…`: left open, for the steps that are in it. */
static sp_status open_step(const struct context *context, uint16_t number, uint32_t at) {
    const struct sp_saga *saga = context->saga;
    const struct sp_saga_node *node = &saga->version->definition->nodes[number];
    struct sp_buf *to = context->to;
    sp_status status = SP_OK;
    if (to->data != NULL && to->data[to->len - 1] != '{') {
        sp_buf_add_byte(to, ',');
    }
    sp_json_add_string(to, node->name);
    sp_buf_add_str(to, SP_STR(":{\"status\":"));
    const struct sp_act *act = at == SP_NONE ? NULL : &saga->acts[at];
    const char *name =
        sp_act_state_name(act == NULL ? SP_ACT_PENDING : (enum sp_act_state)act->state);
    sp_json_bytes(to, sp_str_from(name));
    sp_json_member(to, "result");
    if (act == NULL) {
        sp_buf_add_str(to, SP_STR("null,\"error\":null"));
        return SP_OK;
    }
    if (node->kind != SP_SAGA_FOR_EACH) {
        status = write_result(context, at);
    } else if (holder_of(context, at) != SP_NONE) {
        sp_buf_add_str(to, SP_STR("null")); /* to its own items it is not done */
    } else {
        status = write_items(context, at);
    }
    return status == SP_OK ? write_error(context, at) : status;
}

static uint32_t child_of(const struct sp_saga *saga, uint32_t holder, uint16_t number) {
    if (holder == SP_NONE || saga->acts[holder].first == SP_NONE) {
        return SP_NONE;
    }
    const struct sp_act *act = &saga->acts[holder];
    for (uint32_t i = act->first; i < act->first + act->count; i++) {
        if (saga->acts[i].node == number) {
            return i;
        }
    }
    return SP_NONE;
}

struct level {
    uint16_t end;    /* the first node behind it */
    bool is_silent;  /* a branch: its steps are shown as those of the choice */
    uint32_t holder; /* the activation that its steps' are in */
    uint32_t alias;  /* of the container, SP_NONE: none */
};

/* A step within a container that is the only one of its name is at the top too: as a copy. */
struct alias {
    uint32_t from; /* bytes of the context */
    uint32_t end;
};

struct tree {
    struct level levels[DEPTH_MAX];
    uint32_t depth;
    struct alias aliases[SP_SAGA_STEPS_MAX];
    uint32_t alias_count;
};

static void close_alias(const struct context *context, struct tree *tree, uint32_t alias) {
    if (alias != SP_NONE) {
        tree->aliases[alias].end = (uint32_t)context->to->len;
    }
}

static void close_level(const struct context *context, struct tree *tree) {
    const struct level *level = &tree->levels[--tree->depth];
    if (!level->is_silent) {
        sp_buf_add_str(context->to, SP_STR("}}"));
        close_alias(context, tree, level->alias);
    }
}

static void push_level(struct tree *tree, struct level level) {
    sp_require(tree->depth < DEPTH_MAX);
    tree->levels[tree->depth++] = level;
}

/* One step; what is in it follows. Returns the node to go on with. */
static sp_status write_step(const struct context *context, struct tree *tree, uint16_t number,
                            uint32_t at, uint16_t *ret_next) {
    const struct sp_saga_node *node = &context->saga->version->definition->nodes[number];
    struct sp_buf *to = context->to;
    uint32_t alias = SP_NONE;
    size_t comma = to->len > 0 && to->data[to->len - 1] != '{';
    if (tree->depth > 0 && at != SP_NONE && context->saga->version->unique[number] &&
        tree->alias_count < SP_SAGA_STEPS_MAX) {
        alias = tree->alias_count++;
        tree->aliases[alias].from = (uint32_t)(to->len + comma);
    }
    sp_status status = open_step(context, number, at);
    if (node->is_scope || node->first == SP_SAGA_NO_NODE) {
        sp_json_close(to);
        close_alias(context, tree, alias);
        *ret_next = node->end;
        return status;
    }
    sp_buf_add_str(to, SP_STR(",\"steps\":{"));
    push_level(tree,
               (struct level){.end = node->end, .holder = holder_of(context, at), .alias = alias});
    *ret_next = (uint16_t)(number + 1);
    return status;
}

/* The steps below the scope, as the members of `steps`; nodes in their order, which is preorder. */
static sp_status write_tree(const struct context *context, struct tree *tree) {
    const struct sp_saga *saga = context->saga;
    const struct sp_saga_definition *definition = saga->version->definition;
    uint16_t top = saga->acts[context->scope].node;
    uint16_t number = (uint16_t)(top + 1);
    sp_status status = SP_OK;
    while (number < definition->nodes[top].end && status == SP_OK) {
        while (tree->depth > 0 && number >= tree->levels[tree->depth - 1].end) {
            close_level(context, tree);
        }
        const struct sp_saga_node *node = &definition->nodes[number];
        uint32_t holder = tree->depth == 0 ? context->scope : tree->levels[tree->depth - 1].holder;
        uint32_t at = child_of(saga, holder, number);
        if (node->kind != SP_SAGA_BRANCH) {
            status = write_step(context, tree, number, at, &number);
            continue;
        }
        /* Branches that were not chosen are left out: their names may be those of others. */
        push_level(tree, (struct level){.end = node->end, .is_silent = true, .holder = at});
        number = at == SP_NONE ? node->end : (uint16_t)(number + 1);
    }
    while (tree->depth > 0) {
        close_level(context, tree);
    }
    return status;
}

static void write_aliases(const struct context *context, const struct tree *tree) {
    struct sp_buf *to = context->to;
    for (uint32_t i = 0; i < tree->alias_count && to->status == SP_OK; i++) {
        size_t len = tree->aliases[i].end - tree->aliases[i].from;
        if (sp_buf_reserve(to, len + 1) == NULL) {
            return;
        }
        sp_buf_add_byte(to, ',');
        sp_buf_add(to, to->data + tree->aliases[i].from, len);
    }
}

sp_status sp_saga_write_context(struct sp_sagas *sagas, const struct sp_saga *saga, uint32_t at,
                                bool is_inside, const struct sp_flow_ports *ports,
                                struct sp_buf *to, struct sp_error *error) {
    struct context context = {.sagas = sagas,
                              .saga = saga,
                              .ports = ports,
                              .to = to,
                              .error = error,
                              .at = at,
                              .scope = is_inside ? at : scope_of(saga, at)};
    sp_json_open(to);
    sp_status status = write_start(&context);
    if (status == SP_OK) {
        status = write_item(&context);
    }
    if (status == SP_OK) {
        sp_json_member(to, "steps");
        sp_json_open(to);
        struct tree tree = {.depth = 0};
        status = write_tree(&context, &tree);
        write_aliases(&context, &tree);
    }
    sp_json_close(to);
    sp_json_close(to);
    return status == SP_OK && to->status != SP_OK
               ? sp_error_set(error, to->status, "what the program would see is too large")
               : status;
}

/* ---- what undoes a step ---- */

sp_status sp_act_write_undo_data(struct sp_sagas *sagas, const struct sp_saga *saga, uint32_t at,
                                 const struct sp_flow_ports *ports, bool bare, struct sp_buf *to,
                                 struct sp_error *error) {
    struct context context = {
        .sagas = sagas, .saga = saga, .ports = ports, .to = to, .error = error};
    const struct sp_act *act = &saga->acts[at];
    struct sp_event event;
    size_t begin = to->len;
    sp_status status = read_event(&context, act->input, &event);
    if (status != SP_OK) {
        return status;
    }
    sp_buf_add_str(to, bare ? SP_STR("\"input\":") : SP_STR("{\"input\":"));
    sp_saga_event_data(&event, to);
    sp_json_member(to, "result");
    size_t result = to->len;
    bool is_ok = (act->flags & SP_ACT_IS_OK) != 0 && act->result != 0;
    if (is_ok) {
        status = write_result(&context, at);
    } else {
        sp_buf_add_str(to, SP_STR("null"));
    }
    if (to->len - begin > SP_SAGA_DATA_BYTES_MAX) {
        to->len = result; /* together they do not fit into an event: it is where it is */
        sp_buf_add_str(to, SP_STR("null"));
        sp_json_u64(to, "result_position", act->result);
    }
    if (status == SP_OK) {
        status = write_error(&context, at);
    }
    if (!bare) {
        sp_json_close(to);
    }
    return status;
}
