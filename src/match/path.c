#include "match/path.h"

#include "base/time.h"
#include "event/attributes.h"

enum { INDEX_DIGITS_MAX = 9 };

/* A path taken apart. */
struct path_parts {
    sp_str text; /* in full; the names are slices of it */
    sp_str names[SP_PATH_NAMES_MAX];
    uint32_t count;
};

void sp_paths_init(struct sp_paths *paths, struct sp_pool *pool) {
    *paths = (struct sp_paths){.pool = pool};
}

static sp_status path_error(struct sp_error *error, sp_status status, sp_str path,
                            const char *problem) {
    return sp_error_set(error, status, "path `%.*s`: %s", SP_STR_ARG(path), problem);
}

static sp_status split(sp_str text, struct path_parts *ret_parts, struct sp_error *error) {
    sp_require(text.ptr != NULL);
    ret_parts->text = text;
    ret_parts->count = 0;
    sp_str rest = text;
    do {
        const char *dot = rest.len == 0 ? NULL : memchr(rest.ptr, '.', rest.len);
        sp_str name = {.ptr = rest.ptr, .len = dot == NULL ? rest.len : (size_t)(dot - rest.ptr)};
        if (name.len == 0) {
            return path_error(error, SP_INVALID, text, "a name between two dots is empty");
        }
        if (ret_parts->count == SP_PATH_NAMES_MAX) {
            return path_error(error, SP_LIMIT, text, "more than 32 names");
        }
        ret_parts->names[ret_parts->count++] = name;
        rest = sp_str_from_byte(rest, dot == NULL ? name.len : name.len + 1);
        if (dot == NULL) {
            sp_ensure(ret_parts->count > 0 && rest.len == 0);
            return SP_OK;
        }
    } while (true);
}

/* The name as a place in an array: decimal, without sign or leading zeros. */
static uint32_t name_index(sp_str name) {
    if (name.len == 0 || name.len > INDEX_DIGITS_MAX || (name.len > 1 && name.ptr[0] == '0')) {
        return UINT32_MAX;
    }
    uint32_t index = 0;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t digit = (uint8_t)(name.ptr[i] - '0');
        if (digit > 9) {
            return UINT32_MAX;
        }
        index = index * 10 + digit;
    }
    return index;
}

/* The tree. */

static sp_status node_add(struct sp_paths *paths, uint16_t parent, uint16_t *ret_node) {
    if (paths->node_count == SP_PATH_NODES_MAX) {
        return SP_LIMIT;
    }
    struct sp_path_node *nodes =
        sp_pool_grow(paths->pool, paths->nodes, paths->node_count, sizeof(*nodes));
    if (nodes == NULL) {
        return SP_NO_MEMORY;
    }
    paths->nodes = nodes;
    *ret_node = paths->node_count++;
    nodes[*ret_node] =
        (struct sp_path_node){.edges = SP_PATH_NONE, .path = SP_PATH_NONE, .parent = parent};
    return SP_OK;
}

static uint16_t find_edge(const struct sp_paths *paths, uint16_t node, sp_str name) {
    struct sp_json_token key = {.type = SP_JSON_KEY, .raw = name};
    return sp_path_child(paths, node, key);
}

static sp_status edge_add(struct sp_paths *paths, uint16_t from, sp_str name, uint16_t to) {
    if (paths->edge_count == SP_PATH_EDGES_MAX) {
        return SP_LIMIT;
    }
    struct sp_path_edge *edges =
        sp_pool_grow(paths->pool, paths->edges, paths->edge_count, sizeof(*edges));
    if (edges == NULL) {
        return SP_NO_MEMORY;
    }
    paths->edges = edges;
    sp_require(from < paths->node_count && to < paths->node_count);
    struct sp_path_node *node = &paths->nodes[from];
    uint16_t number = paths->edge_count++;
    edges[number] = (struct sp_path_edge){
        .name = name, .index = name_index(name), .node = to, .next = node->edges};
    node->edges = number;
    node->lengths |= UINT64_C(1) << (name.len & 63);
    node->has_index |= edges[number].index != UINT32_MAX;
    return SP_OK;
}

/* Several names at once, as a key with dots has them: a slice over all of them. */
static sp_str joined(const struct path_parts *parts, uint32_t first, uint32_t last) {
    const char *end = parts->names[last].ptr + parts->names[last].len;
    const char *start = parts->names[first].ptr;
    sp_require(first < last && last < parts->count);
    return sp_str_of(start, (size_t)(end - start));
}

/*
 * Leads the keys with dots to the nodes of one path that is in the tree: nodes[i] is behind name i.
 */
static sp_status add_joined(struct sp_paths *paths, const struct path_parts *parts,
                            const uint16_t *nodes) {
    for (uint32_t first = 1; first < parts->count; first++) {
        for (uint32_t last = first + 1; last < parts->count; last++) {
            sp_str name = joined(parts, first, last);
            if (find_edge(paths, nodes[first - 1], name) != SP_PATH_NONE) {
                continue;
            }
            sp_status status = edge_add(paths, nodes[first - 1], name, nodes[last]);
            if (status != SP_OK) {
                return status;
            }
        }
    }
    return SP_OK;
}

/* Adds the names behind the first below `root`; the last one's node is *ret_node. */
static sp_status add_names(struct sp_paths *paths, uint16_t root, const struct path_parts *parts,
                           uint16_t *ret_node) {
    uint16_t nodes[SP_PATH_NAMES_MAX] = {root};
    sp_require(parts->count > 0 && parts->count <= SP_PATH_NAMES_MAX);
    for (uint32_t i = 1; i < parts->count; i++) {
        nodes[i] = find_edge(paths, nodes[i - 1], parts->names[i]);
        if (nodes[i] != SP_PATH_NONE) {
            continue;
        }
        sp_status status = node_add(paths, nodes[i - 1], &nodes[i]);
        status =
            status == SP_OK ? edge_add(paths, nodes[i - 1], parts->names[i], nodes[i]) : status;
        if (status != SP_OK) {
            return status;
        }
    }
    *ret_node = nodes[parts->count - 1];
    return add_joined(paths, parts, nodes);
}

static sp_status root_add(struct sp_paths *paths, struct sp_path_root root, uint16_t *ret_root) {
    for (uint16_t i = 0; i < paths->root_count; i++) {
        if (paths->roots[i].kind == root.kind && sp_str_eq(paths->roots[i].name, root.name)) {
            *ret_root = i;
            return SP_OK;
        }
    }
    if (paths->root_count == SP_PATH_ROOTS_MAX) {
        return SP_LIMIT;
    }
    sp_status status = node_add(paths, SP_PATH_NONE, &root.node);
    if (status != SP_OK) {
        return status;
    }
    struct sp_path_root *roots =
        sp_pool_grow(paths->pool, paths->roots, paths->root_count, sizeof(*roots));
    if (roots == NULL) {
        return SP_NO_MEMORY;
    }
    paths->roots = roots;
    *ret_root = paths->root_count++;
    roots[*ret_root] = root;
    return SP_OK;
}

/* Paths. */

static sp_status path_add(struct sp_paths *paths, struct sp_path path, uint16_t *ret_path) {
    sp_require(path.name.len > 0);
    for (uint16_t i = 0; path.kind != SP_PATH_TREE && i < paths->path_count; i++) {
        if (paths->paths[i].kind == path.kind && sp_str_eq(paths->paths[i].name, path.name)) {
            *ret_path = i;
            return SP_OK;
        }
    }
    if (paths->path_count == SP_PATHS_MAX) {
        return SP_LIMIT;
    }
    struct sp_path *grown =
        sp_pool_grow(paths->pool, paths->paths, paths->path_count, sizeof(*grown));
    if (grown == NULL) {
        return SP_NO_MEMORY;
    }
    paths->paths = grown;
    *ret_path = paths->path_count++;
    grown[*ret_path] = path;
    return SP_OK;
}

static sp_status tree_path_add(struct sp_paths *paths, struct sp_path_root root,
                               const struct path_parts *parts, uint16_t *ret_path) {
    struct sp_path path = {.kind = SP_PATH_TREE, .name = parts->text};
    sp_status status = root_add(paths, root, &path.root);
    if (status == SP_OK) {
        status = add_names(paths, paths->roots[path.root].node, parts, &path.node);
    }
    if (status != SP_OK) {
        return status;
    }
    sp_invariant(path.root < paths->root_count && path.node < paths->node_count);
    if (paths->nodes[path.node].path != SP_PATH_NONE) {
        *ret_path = paths->nodes[path.node].path;
        return SP_OK;
    }
    status = path_add(paths, path, ret_path);
    if (status == SP_OK) {
        paths->nodes[path.node].path = *ret_path;
    }
    return status;
}

static bool is_data(sp_str name, bool eventbridge) {
    const struct sp_name *known = sp_name_find(name);
    return (eventbridge && sp_str_eq(name, SP_STR("detail"))) ||
           (known != NULL && (known->kind == SP_NAME_DATA || known->kind == SP_NAME_DATA_ALIAS));
}

static enum sp_path_kind assigned_kind(sp_str name) {
    return sp_str_eq(name, SP_STR("position"))       ? SP_PATH_POSITION
           : sp_str_eq(name, SP_STR("version"))      ? SP_PATH_VERSION
           : sp_str_eq(name, SP_STR("recordedtime")) ? SP_PATH_RECORDEDTIME
           : sp_str_eq(name, SP_STR("entryid"))      ? SP_PATH_ENTRYID
                                                     : SP_PATH_EXTENSION;
}

/* A path of one name that is not data and not metadata. */
static struct sp_path single_path(sp_str name) {
    struct sp_path path = {.kind = SP_PATH_EXTENSION, .name = name};
    const struct sp_name *known = sp_name_find(name);
    if (known == NULL) {
        return path;
    }
    switch ((enum sp_name_kind)known->kind) {
    case SP_NAME_ATTRIBUTE:
    case SP_NAME_ALIAS:
        path.kind = known->kind == SP_NAME_ALIAS ? SP_PATH_ALIAS : SP_PATH_ATTRIBUTE;
        path.attr = (enum sp_attr)known->attr;
        break;
    case SP_NAME_ASSIGNED:
        path.kind = assigned_kind(name);
        break;
    case SP_NAME_DATA:
    case SP_NAME_DATA_ALIAS:
    case SP_NAME_DATA_BASE64:
    case SP_NAME_SPECVERSION:
        break;
    }
    return path;
}

static sp_status parts_add(struct sp_paths *paths, const struct path_parts *parts, bool eventbridge,
                           uint16_t *ret_path) {
    sp_str first = parts->names[0];
    if (is_data(first, eventbridge)) {
        struct sp_path_root root = {.kind = SP_ROOT_DATA, .name = SP_STR("data")};
        return tree_path_add(paths, root, parts, ret_path);
    }
    if (sp_str_eq(first, SP_STR("metadata"))) {
        struct sp_path_root root = {.kind = SP_ROOT_METADATA, .name = first};
        return tree_path_add(paths, root, parts, ret_path);
    }
    if (parts->count > 1) {
        struct sp_path_root root = {.kind = SP_ROOT_EXTENSION, .name = first};
        return tree_path_add(paths, root, parts, ret_path);
    }
    if (eventbridge && sp_str_eq(first, SP_STR("detail-type"))) {
        first = SP_STR("type");
    }
    if (sp_path_is_marked(first)) {
        struct sp_path path = {.kind = SP_PATH_EXTENSION, .name = sp_str_from_byte(first, 1)};
        return path_add(paths, path, ret_path);
    }
    return path_add(paths, single_path(first), ret_path);
}

bool sp_path_is_marked(sp_str name) {
    return name.len > 1 && name.ptr[0] == '$' && sp_name_find(sp_str_from_byte(name, 1)) != NULL;
}

sp_status sp_paths_add(struct sp_paths *paths, sp_str text, bool eventbridge, uint16_t *ret_path,
                       struct sp_error *error) {
    struct path_parts parts;
    sp_str copy = sp_pool_copy(paths->pool, text);
    if (copy.ptr == NULL) {
        return path_error(error, SP_NO_MEMORY, text, "out of memory");
    }
    sp_status status = split(copy, &parts, error);
    if (status != SP_OK) {
        return status;
    }
    if (parts.count == 1 && sp_str_eq(copy, SP_STR("hash"))) {
        return path_error(error, SP_UNSUPPORTED, text, "no filter can be set on the hash");
    }
    status = parts_add(paths, &parts, eventbridge, ret_path);
    if (status == SP_LIMIT) {
        return path_error(error, status, text, "more paths than a filter may have");
    }
    return status == SP_OK ? SP_OK : path_error(error, status, text, "out of memory");
}

sp_status sp_paths_add_entrykey(struct sp_paths *paths, uint16_t *ret_path,
                                struct sp_error *error) {
    struct sp_path path = {.kind = SP_PATH_ENTRYKEY, .name = SP_STR("entryid")};
    sp_status status = path_add(paths, path, ret_path);
    return status == SP_OK ? SP_OK : path_error(error, status, path.name, "no room for the path");
}

/* Values. */

static size_t format_u64(uint64_t value, char *to) {
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    memcpy(to, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}

static void format_padded(uint64_t value, char *to, size_t width) {
    for (size_t i = width; i > 0; i--) {
        to[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
}

void sp_entrykey_format(uint64_t ms, uint32_t seq, char text[SP_ENTRYKEY_BYTES]) {
    format_padded(ms, text, 20);
    text[20] = '-';
    format_padded(seq, text + 21, 10);
}

static const struct sp_extension *find_extension(const struct sp_event *event, sp_str name) {
    for (uint16_t i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, name)) {
            return &event->extensions[i];
        }
    }
    return NULL;
}

static struct sp_value missing(void) {
    return (struct sp_value){.type = SP_TYPE_MISSING};
}

static struct sp_value text_value(sp_str text) {
    return text.ptr == NULL ? missing() : (struct sp_value){.type = SP_TYPE_TEXT, .raw = text};
}

static struct sp_value extension_value(const struct sp_extension *extension) {
    if (extension == NULL) {
        return missing();
    }
    if (extension->kind == SP_VALUE_JSON) {
        return sp_value_of_json(extension->value);
    }
    sp_str text = extension->value;
    return text_value(text.ptr != NULL ? text : SP_STR(""));
}

static struct sp_value assigned_value(struct sp_path_values *values, enum sp_path_kind kind) {
    const struct sp_event *event = values->event;
    sp_require(kind >= SP_PATH_POSITION && kind <= SP_PATH_ENTRYKEY);
    struct sp_value value = {.type = SP_TYPE_TEXT};
    char *room = values->room[kind - SP_PATH_POSITION];
    value.raw.ptr = room;
    if (kind == SP_PATH_POSITION || kind == SP_PATH_VERSION) {
        value.type = SP_TYPE_NUMBER;
        value.raw.len =
            format_u64(kind == SP_PATH_POSITION ? event->position : event->version, room);
    } else if (kind == SP_PATH_RECORDEDTIME) {
        sp_time_format(event->recorded_us, room);
        value.raw.len = SP_TIME_TEXT_SIZE - 1;
    } else if (kind == SP_PATH_ENTRYID) {
        value.raw.len = sp_entryid_format(event->recorded_us / 1000, event->entry_seq, room);
    } else {
        sp_require(kind == SP_PATH_ENTRYKEY);
        sp_entrykey_format(event->recorded_us / 1000, event->entry_seq, room);
        value.raw.len = SP_ENTRYKEY_BYTES;
    }
    sp_ensure(value.raw.len > 0 && value.raw.len <= SP_PATH_ROOM_BYTES);
    return value;
}

sp_str sp_path_root_text(const struct sp_path_root *root, const struct sp_event *event) {
    sp_str none = {.ptr = NULL, .len = 0};
    switch (root->kind) {
    case SP_ROOT_DATA:
        return event->has_data && event->data_is_json ? event->data : none;
    case SP_ROOT_METADATA:
        return event->attr[SP_ATTR_METADATA];
    case SP_ROOT_EXTENSION: {
        const struct sp_extension *extension = find_extension(event, root->name);
        return extension != NULL && extension->kind == SP_VALUE_JSON ? extension->value : none;
    }
    }
    sp_never();
}

/* Reading a root's text. */

/* An object or array on the way to a wanted value. */
struct open_value {
    uint16_t node;
    bool is_array;
    uint32_t index; /* of the next element */
};

struct path_scan {
    const struct sp_paths *paths;
    struct sp_value *values;
    struct sp_json json;
    uint32_t wanted; /* paths of this root not found yet */
    uint32_t depth;
    struct open_value stack[SP_PATH_NAMES_MAX];
};

static uint16_t index_child(const struct sp_paths *paths, uint16_t node, uint32_t index) {
    for (uint16_t e = paths->nodes[node].edges; e != SP_PATH_NONE; e = paths->edges[e].next) {
        if (paths->edges[e].index == index) {
            return paths->edges[e].node;
        }
    }
    return SP_PATH_NONE;
}

/*
 * Passes to the next value that a path leads to or through: its node is returned, its first token
 * is *token. SP_PATH_NONE at the end.
 */
static uint16_t next_wanted(struct path_scan *scan, struct sp_json_token *token) {
    while (scan->depth > 0) {
        struct open_value *open = &scan->stack[scan->depth - 1];
        sp_invariant(open->node < scan->paths->node_count);
        *token = sp_json_next(&scan->json);
        if (token->type == SP_JSON_OBJECT_END || token->type == SP_JSON_ARRAY_END) {
            scan->depth--;
            continue;
        }
        uint16_t child = SP_PATH_NONE;
        if (open->is_array) {
            child = index_child(scan->paths, open->node, open->index++);
        } else if (token->type == SP_JSON_KEY) {
            child = sp_path_child(scan->paths, open->node, *token);
            *token = sp_json_next(&scan->json);
        }
        if (token->type == SP_JSON_ERROR || token->type == SP_JSON_END) {
            return SP_PATH_NONE;
        }
        if (child != SP_PATH_NONE) {
            return child;
        }
        (void)sp_json_skip(&scan->json, *token);
    }
    return SP_PATH_NONE;
}

/* Takes the value that begins with the token, if it is the first one here, and goes into it. */
static void visit(struct path_scan *scan, uint16_t number, struct sp_json_token token) {
    const struct sp_path_node *node = &scan->paths->nodes[number];
    bool is_array = token.type == SP_JSON_ARRAY;
    struct sp_value *value = node->path == SP_PATH_NONE ? NULL : &scan->values[node->path];
    if (value != NULL && value->type == SP_TYPE_MISSING) {
        *value = sp_value_of_token(token);
        if (is_array) {
            value->raw.len = (size_t)(scan->json.end - token.raw.ptr);
        }
        sp_invariant(scan->wanted > 0);
        scan->wanted--;
    }
    bool inside =
        is_array ? node->has_index : token.type == SP_JSON_OBJECT && node->edges != SP_PATH_NONE;
    if (!inside || scan->depth == SP_PATH_NAMES_MAX) {
        (void)sp_json_skip(&scan->json, token);
        return;
    }
    scan->stack[scan->depth++] = (struct open_value){.node = number, .is_array = is_array};
}

static void scan_root(const struct sp_paths *paths, struct sp_path_values *values,
                      uint16_t number) {
    sp_require(number < paths->root_count && number < 64);
    const struct sp_path_root *root = &paths->roots[number];
    struct path_scan scan; /* all that is read of it is set below */
    scan.paths = paths;
    scan.values = values->values;
    scan.wanted = 0;
    scan.depth = 0;
    for (uint16_t i = 0; i < paths->path_count; i++) {
        if (paths->paths[i].kind == SP_PATH_TREE && paths->paths[i].root == number) {
            values->values[i].type = SP_TYPE_MISSING;
            scan.wanted++;
        }
    }
    values->scanned |= UINT64_C(1) << number;
    sp_str text = sp_path_root_text(root, values->event);
    if (text.ptr == NULL) {
        return;
    }
    sp_json_init(&scan.json, text);
    struct sp_json_token token = sp_json_next(&scan.json);
    for (uint16_t node = root->node; node != SP_PATH_NONE;) {
        visit(&scan, node, token);
        node = scan.wanted > 0 ? next_wanted(&scan, &token) : SP_PATH_NONE;
    }
}

struct sp_value sp_path_beside(const struct sp_paths *paths, const struct sp_path *path,
                               const struct sp_event *event) {
    const struct sp_path_root *root = &paths->roots[path->root];
    if (root->kind == SP_ROOT_EXTENSION) {
        return extension_value(find_extension(event, path->name));
    }
    bool whole = path->node == root->node;
    if (root->kind == SP_ROOT_DATA && whole && event->has_data && !event->data_is_json) {
        return text_value(event->data.ptr != NULL ? event->data : SP_STR(""));
    }
    return missing();
}

bool sp_path_is_below(const struct sp_paths *paths, uint16_t node, uint16_t above) {
    sp_require(node < paths->node_count && above < paths->node_count);
    while (node != SP_PATH_NONE) {
        node = paths->nodes[node].parent;
        if (node == above) {
            return true;
        }
    }
    return false;
}

static struct sp_value tree_value(const struct sp_paths *paths, struct sp_path_values *values,
                                  uint16_t number) {
    const struct sp_path *path = &paths->paths[number];
    sp_require(path->kind == SP_PATH_TREE);
    if ((values->scanned >> path->root & 1) == 0) {
        scan_root(paths, values, path->root);
    }
    struct sp_value value = values->values[number];
    return value.type != SP_TYPE_MISSING ? value : sp_path_beside(paths, path, values->event);
}

struct sp_value sp_path_get(const struct sp_paths *paths, struct sp_path_values *values,
                            uint16_t number) {
    sp_require(number < paths->path_count);
    const struct sp_path *path = &paths->paths[number];
    switch (path->kind) {
    case SP_PATH_TREE:
        return tree_value(paths, values, number);
    case SP_PATH_ALIAS: {
        const struct sp_extension *extension = find_extension(values->event, path->name);
        return extension != NULL ? extension_value(extension)
                                 : text_value(values->event->attr[path->attr]);
    }
    case SP_PATH_ATTRIBUTE:
        return text_value(values->event->attr[path->attr]);
    case SP_PATH_EXTENSION:
        return extension_value(find_extension(values->event, path->name));
    case SP_PATH_POSITION:
    case SP_PATH_VERSION:
    case SP_PATH_RECORDEDTIME:
    case SP_PATH_ENTRYID:
    case SP_PATH_ENTRYKEY:
        return assigned_value(values, path->kind);
    }
    sp_never();
}
