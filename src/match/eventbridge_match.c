/*
 * Matching event patterns. First the attributes; if they leave no rule a chance, or satisfy one by
 * themselves, nothing else is read. Then each JSON text that has wanted fields, once, token by
 * token.
 */
#include "match/eventbridge.h"

enum { OPEN_MAX = 2 * (SP_PATH_NAMES_MAX + 1) };

/* What has been found so far: conditions that a value meets, and conditions that had a value. */
struct found {
    uint64_t met[SP_EB_WORDS_MAX];
    uint64_t present[SP_EB_WORDS_MAX];
};

/* An object on the way to wanted fields, or an array: of arrays in arrays only the outermost. */
struct open_value {
    uint16_t node;
    bool is_array;
    bool is_element; /* an object that stands in an array: its findings are kept apart */
    uint32_t arrays; /* levels of arrays that are open here */
};

struct eb_match {
    const struct sp_filter *filter;
    const struct sp_eventbridge *eb;
    struct sp_path_values values;
    struct sp_json json;
    uint32_t depth;
    uint32_t found_depth;
    struct open_value open[OPEN_MAX];
    struct found found[SP_PATH_NAMES_MAX + 2]; /* of the event, and of each element within */
};

static void found_clear(struct found *found, uint32_t words) {
    for (uint32_t w = 0; w < words; w++) {
        found->met[w] = 0;
        found->present[w] = 0;
    }
}

/* A scalar at a path: asks the leaves there. */
static void see_value(struct eb_match *m, uint16_t path, struct sp_value value) {
    sp_require(path < m->filter->paths.path_count && m->found_depth <= m->depth);
    struct found *found = &m->found[m->found_depth];
    for (const struct sp_eb_leaf *leaf = m->eb->by_path[path]; leaf != NULL; leaf = leaf->next) {
        bool fits = sp_eb_leaf_fits(leaf, value);
        for (uint32_t w = 0; w < m->eb->words; w++) {
            found->present[w] |= leaf->bits[w];
            found->met[w] |= fits ? leaf->bits[w] : 0;
        }
    }
}

/*
 * The scalars of an array, and of the arrays in it. What is inside objects is no value of this
 * path.
 */
static void see_array(struct eb_match *m, uint16_t path, sp_str text) {
    struct sp_json json;
    uint32_t arrays = 0;
    sp_require(text.len > 0 && text.ptr[0] == '[');
    sp_json_init(&json, text);
    do {
        struct sp_json_token token = sp_json_next(&json);
        if (token.type == SP_JSON_ARRAY) {
            arrays++;
        } else if (token.type == SP_JSON_ARRAY_END) {
            arrays--;
        } else if (token.type == SP_JSON_OBJECT) {
            (void)sp_json_skip(&json, token);
        } else if (token.type == SP_JSON_ERROR || token.type == SP_JSON_END) {
            return;
        } else {
            see_value(m, path, sp_value_of_token(token));
        }
    } while (arrays > 0);
}

static void see_any(struct eb_match *m, uint16_t path, struct sp_value value) {
    if (value.type == SP_TYPE_ARRAY) {
        see_array(m, path, value.raw);
    } else if (value.type != SP_TYPE_MISSING && value.type != SP_TYPE_OBJECT) {
        see_value(m, path, value);
    }
}

/* The end of an element: what it meets as a whole counts outside, rule by rule. */
static void close_element(struct eb_match *m, uint16_t node) {
    const struct sp_eventbridge *eb = m->eb;
    sp_require(m->found_depth > 0 && node < m->filter->paths.node_count);
    const struct found *inner = &m->found[m->found_depth--];
    struct found *outer = &m->found[m->found_depth];
    for (const struct sp_eb_group *group = eb->groups[node]; group != NULL; group = group->next) {
        bool complete = true;
        uint64_t met = 0;
        for (uint32_t w = 0; w < eb->words; w++) {
            uint64_t holds = inner->met[w] | (eb->absent[w] & ~inner->present[w]);
            complete &= (group->bits[w] & ~holds) == 0;
            met |= group->bits[w] & inner->met[w];
        }
        /* Fields that are only absent do not choose this element before all others. */
        for (uint32_t w = 0; complete && met != 0 && w < eb->words; w++) {
            outer->met[w] |= group->bits[w];
        }
    }
    for (uint32_t w = 0; w < eb->words; w++) {
        outer->present[w] |= inner->present[w];
    }
}

static void open_push(struct eb_match *m, struct open_value open) {
    sp_invariant(m->depth < OPEN_MAX);
    sp_require(!(open.is_array && open.is_element));
    if (open.is_element) {
        sp_invariant(m->found_depth + 1 < sizeof(m->found) / sizeof(m->found[0]));
        found_clear(&m->found[++m->found_depth], m->eb->words);
    }
    m->open[m->depth++] = open;
}

/* Takes the value that begins with the token, at a node of the tree. */
static void visit(struct eb_match *m, uint16_t number, struct sp_json_token token) {
    sp_require(number < m->filter->paths.node_count);
    const struct sp_path_node *node = &m->filter->paths.nodes[number];
    bool in_array = m->depth > 0 && m->open[m->depth - 1].is_array;
    if (token.type == SP_JSON_ARRAY) {
        if (in_array) {
            m->open[m->depth - 1].arrays++;
        } else {
            open_push(m, (struct open_value){.node = number, .is_array = true, .arrays = 1});
        }
    } else if (token.type == SP_JSON_OBJECT) {
        if (node->edges != SP_PATH_NONE) {
            open_push(m, (struct open_value){.node = number, .is_element = in_array});
        } else {
            (void)sp_json_skip(&m->json, token);
        }
    } else if (node->path != SP_PATH_NONE) {
        see_value(m, node->path, sp_value_of_token(token));
    }
}

/* The end of an object or array. */
static void leave(struct eb_match *m) {
    sp_require(m->depth > 0);
    struct open_value *open = &m->open[m->depth - 1];
    if (open->is_array && --open->arrays > 0) {
        return;
    }
    sp_invariant(open->arrays == 0);
    if (open->is_element) {
        close_element(m, open->node);
    }
    m->depth--;
}

/* Reads a whole JSON text; the first token has been read, and belongs to `node`. */
static void read_text(struct eb_match *m, uint16_t node, struct sp_json_token token) {
    const struct sp_paths *paths = &m->filter->paths;
    sp_require(m->depth == 0 && m->found_depth == 0);
    visit(m, node, token);
    while (m->depth > 0) {
        const struct open_value *open = &m->open[m->depth - 1];
        token = sp_json_next(&m->json);
        if (token.type == SP_JSON_OBJECT_END || token.type == SP_JSON_ARRAY_END) {
            leave(m);
            continue;
        }
        node = open->node;
        if (token.type == SP_JSON_KEY) {
            node = sp_path_child(paths, open->node, token);
            token = sp_json_next(&m->json);
        }
        if (token.type == SP_JSON_ERROR || token.type == SP_JSON_END) {
            return;
        }
        if (node == SP_PATH_NONE) {
            (void)sp_json_skip(&m->json, token);
        } else {
            visit(m, node, token);
        }
    }
}

static void read_root(struct eb_match *m, uint16_t number) {
    const struct sp_paths *paths = &m->filter->paths;
    const struct sp_path_root *root = &paths->roots[number];
    sp_str text = sp_path_root_text(root, m->values.event);
    m->depth = 0;
    m->found_depth = 0;
    if (text.ptr != NULL) {
        sp_json_init(&m->json, text);
        struct sp_json_token token = sp_json_next(&m->json);
        if (token.type != SP_JSON_ERROR && token.type != SP_JSON_END) {
            read_text(m, root->node, token);
        }
    }
    m->found_depth = 0; /* a broken text may have left elements open */
    for (uint16_t i = 0; i < paths->path_count; i++) {
        const struct sp_path *path = &paths->paths[i];
        if (path->kind == SP_PATH_TREE && path->root == number) {
            see_any(m, i, sp_path_beside(paths, path, m->values.event));
        }
    }
}

/* True where some rule has all its conditions met; of those in `only` alone where that is given. */
static bool some_rule_holds(const struct eb_match *m, const uint64_t *only, bool *ret_complete) {
    const struct sp_eventbridge *eb = m->eb;
    sp_require(m->found_depth == 0 && eb->rule_count > 0);
    bool possible = false;
    *ret_complete = false;
    for (uint32_t r = 0; r < eb->rule_count; r++) {
        const uint64_t *rule = eb->rules + (size_t)r * eb->words;
        uint64_t failed = 0;
        uint64_t open = 0;
        for (uint32_t w = 0; w < eb->words; w++) {
            uint64_t asked = only != NULL ? only[w] : UINT64_MAX;
            uint64_t holds = m->found[0].met[w] | (eb->absent[w] & ~m->found[0].present[w]);
            failed |= rule[w] & asked & ~holds;
            open |= rule[w] & ~asked;
        }
        possible |= failed == 0;
        *ret_complete |= failed == 0 && open == 0;
    }
    return possible;
}

SP_HOT bool sp_eventbridge_match(const struct sp_filter *filter, const struct sp_event *event) {
    struct eb_match m;
    const struct sp_paths *paths = &filter->paths;
    m.filter = filter;
    m.eb = filter->eventbridge;
    m.depth = 0;
    m.found_depth = 0;
    sp_require(m.eb != NULL && m.eb->words <= SP_EB_WORDS_MAX);
    sp_path_values_init(&m.values, event);
    found_clear(&m.found[0], m.eb->words);
    for (uint16_t i = 0; i < paths->path_count; i++) {
        if (paths->paths[i].kind != SP_PATH_TREE) {
            see_any(&m, i, sp_path_get(paths, &m.values, i));
        }
    }
    bool complete = false;
    if (!some_rule_holds(&m, m.eb->early, &complete) || complete) {
        return complete;
    }
    for (uint16_t i = 0; i < paths->root_count; i++) {
        read_root(&m, i);
    }
    return some_rule_holds(&m, NULL, &complete);
}
