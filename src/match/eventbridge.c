/*
 * Compiling event patterns: reading the pattern, multiplying `$or` out while reading, and giving
 * each condition its bit.
 */
#include "match/eventbridge.h"

#define FAIL_AT(c, token, ...)                                                                     \
    sp_error_set_at((c)->error, SP_INVALID, sp_compile_at((c), (token)), __VA_ARGS__)

enum { LEAF_WORDS = SP_EB_LEAVES_MAX / 64 };

/* A rule while reading: which leaves it has. */
struct draft {
    uint64_t leaves[LEAF_WORDS];
};

struct drafts {
    struct draft *rules;
    uint32_t count;
};

/* The leaves are numbered as they come; the array grows, so that they are named by number. */
struct eb_compile {
    struct sp_compile *c;
    struct sp_eventbridge *eb;
};

static bool draft_has(const struct draft *draft, uint32_t leaf) {
    sp_require(leaf < SP_EB_LEAVES_MAX);
    return (draft->leaves[leaf / 64] >> leaf % 64 & 1) != 0;
}

static sp_status drafts_add(struct eb_compile *e, struct drafts *drafts, struct draft draft) {
    if (drafts->count == SP_EB_RULES_MAX) {
        return sp_error_set(e->c->error, SP_LIMIT, "filter: $or makes more than %d combinations",
                            SP_EB_RULES_MAX);
    }
    struct draft *rules =
        sp_pool_grow(&e->c->filter->pool, drafts->rules, drafts->count, sizeof(*rules));
    if (rules == NULL) {
        return sp_compile_no_memory(e->c);
    }
    rules[drafts->count++] = draft;
    drafts->rules = rules;
    return SP_OK;
}

static sp_status drafts_append(struct eb_compile *e, struct drafts *to, const struct drafts *from) {
    sp_require(to != from);
    sp_status status = SP_OK;
    for (uint32_t i = 0; status == SP_OK && i < from->count; i++) {
        status = drafts_add(e, to, from->rules[i]);
    }
    return status;
}

/* Reads the array of a field into a new leaf, which every rule so far then has. */
static sp_status read_leaf(struct eb_compile *e, sp_str field, struct sp_json_token key,
                           struct drafts *drafts) {
    struct sp_compile *c = e->c;
    struct sp_eventbridge *eb = e->eb;
    struct sp_eb_leaf leaf = {.path = SP_PATH_NONE};
    sp_status status = sp_paths_add(&c->filter->paths, field, true, &leaf.path, c->error);
    if (status != SP_OK) {
        (void)sp_error_prefix(c->error, status, "filter");
        if (c->error != NULL) {
            c->error->offset = sp_compile_at(c, key);
        }
        return status;
    }
    sp_ensure(leaf.path < c->filter->paths.path_count);
    status = sp_eb_read_terms(c, field, &leaf);
    if (status == SP_OK && eb->leaf_count == SP_EB_LEAVES_MAX) {
        status = sp_error_set(c->error, SP_LIMIT, "filter: more than %d fields", SP_EB_LEAVES_MAX);
    }
    if (status != SP_OK) {
        return status;
    }
    struct sp_eb_leaf *leaves =
        sp_pool_grow(&c->filter->pool, eb->leaves, eb->leaf_count, sizeof(*leaves));
    if (leaves == NULL) {
        return sp_compile_no_memory(c);
    }
    eb->leaves = leaves;
    sp_require(drafts->count > 0);
    uint32_t number = eb->leaf_count++;
    leaves[number] = leaf;
    for (uint32_t i = 0; i < drafts->count; i++) {
        drafts->rules[i].leaves[number / 64] |= UINT64_C(1) << number % 64;
    }
    return SP_OK;
}

static sp_status read_fields(struct eb_compile *e, sp_str prefix, struct drafts *drafts);

/* Reads the alternatives of `$or`: each continues the rules so far in its own way. */
static sp_status read_or(struct eb_compile *e, sp_str prefix, struct sp_json_token key,
                         struct drafts *drafts) {
    struct drafts all = {.rules = NULL};
    uint32_t count = 0;
    sp_require(drafts->count > 0);
    for (;;) {
        struct sp_json_token token;
        sp_status status = sp_compile_next(e->c, &token);
        if (status == SP_OK && token.type == SP_JSON_ARRAY_END) {
            sp_invariant(all.count >= count);
            *drafts = all;
            return count >= 2 ? SP_OK
                              : FAIL_AT(e->c, key, "filter: $or: expected two objects or more");
        }
        if (status == SP_OK && token.type != SP_JSON_OBJECT) {
            return FAIL_AT(e->c, token, "filter: $or: expected an array of objects");
        }
        struct drafts branch = {.rules = NULL};
        status = status == SP_OK ? drafts_append(e, &branch, drafts) : status;
        status = status == SP_OK ? read_fields(e, prefix, &branch) : status;
        status = status == SP_OK ? drafts_append(e, &all, &branch) : status;
        if (status != SP_OK) {
            return status;
        }
        count++;
    }
}

/* The name of a field below another: joined by a dot, as a path. */
static sp_status join_names(struct eb_compile *e, sp_str prefix, struct sp_json_token key,
                            sp_str *ret_field) {
    sp_require(key.type == SP_JSON_KEY);
    sp_str name = {.ptr = NULL, .len = 0};
    sp_status status = sp_compile_text(e->c, key, &name);
    if (status != SP_OK || prefix.len == 0) {
        *ret_field = name;
        return status;
    }
    char *joined = sp_pool_take(&e->c->filter->pool, prefix.len + 1 + name.len);
    if (joined == NULL) {
        return sp_compile_no_memory(e->c);
    }
    memcpy(joined, prefix.ptr, prefix.len);
    joined[prefix.len] = '.';
    if (name.len > 0) {
        memcpy(joined + prefix.len + 1, name.ptr, name.len);
    }
    *ret_field = sp_str_of(joined, prefix.len + 1 + name.len);
    return SP_OK;
}

static sp_status read_field(struct eb_compile *e, sp_str prefix, struct sp_json_token key,
                            struct drafts *drafts) {
    struct sp_json_token token;
    sp_str field = {.ptr = NULL, .len = 0};
    sp_status status = sp_compile_next(e->c, &token);
    if (status == SP_OK && token.type == SP_JSON_ARRAY && sp_str_eq(key.raw, SP_STR("$or"))) {
        return read_or(e, prefix, key, drafts);
    }
    status = status == SP_OK ? join_names(e, prefix, key, &field) : status;
    if (status != SP_OK) {
        return status;
    }
    if (token.type == SP_JSON_ARRAY) {
        return read_leaf(e, field, key, drafts);
    }
    if (token.type == SP_JSON_OBJECT) {
        return read_fields(e, field, drafts);
    }
    return FAIL_AT(e->c, token, "filter: `%.*s`: expected an array or an object",
                   SP_STR_ARG(field));
}

/* Reads the fields of the object that was just opened; the rules so far get all of them. */
static sp_status read_fields(struct eb_compile *e, sp_str prefix, struct drafts *drafts) {
    uint32_t count = 0;
    for (;;) {
        struct sp_json_token key;
        sp_status status = sp_compile_next(e->c, &key);
        if (status == SP_OK && key.type == SP_JSON_OBJECT_END) {
            return count > 0 ? SP_OK
                             : FAIL_AT(e->c, key, "filter: an empty object matches nothing");
        }
        status = status == SP_OK ? read_field(e, prefix, key, drafts) : status;
        if (status != SP_OK) {
            return status;
        }
        count++;
    }
}

/* Bits. */

static uint64_t *bits_new(struct eb_compile *e) {
    sp_require(e->eb->words > 0 && e->eb->words <= SP_EB_WORDS_MAX);
    return sp_pool_take(&e->c->filter->pool, e->eb->words * sizeof(uint64_t));
}

static void bit_set(uint64_t *bits, uint32_t bit) {
    sp_require(bit < SP_FILTER_TESTS_MAX);
    bits[bit / 64] |= UINT64_C(1) << bit % 64;
}

static sp_status make_leaf_bits(struct eb_compile *e) {
    struct sp_eventbridge *eb = e->eb;
    const struct sp_paths *paths = &e->c->filter->paths;
    eb->by_path =
        sp_pool_take(paths->pool, (size_t)paths->path_count * sizeof(struct sp_eb_leaf *));
    eb->absent = bits_new(e);
    eb->early = bits_new(e);
    if (eb->by_path == NULL || eb->absent == NULL || eb->early == NULL) {
        return sp_compile_no_memory(e->c);
    }
    for (uint32_t i = 0; i < eb->leaf_count; i++) {
        struct sp_eb_leaf *leaf = &eb->leaves[i];
        sp_invariant(leaf->path < paths->path_count && leaf->bits == NULL);
        leaf->bits = bits_new(e);
        if (leaf->bits == NULL) {
            return sp_compile_no_memory(e->c);
        }
        leaf->next = eb->by_path[leaf->path];
        eb->by_path[leaf->path] = leaf;
    }
    return SP_OK;
}

/* Gives each leaf of each rule its bit. */
static sp_status make_rules(struct eb_compile *e, const struct drafts *drafts) {
    struct sp_eventbridge *eb = e->eb;
    const struct sp_paths *paths = &e->c->filter->paths;
    eb->rules = sp_pool_take(paths->pool, (size_t)drafts->count * eb->words * sizeof(uint64_t));
    if (eb->rules == NULL) {
        return sp_compile_no_memory(e->c);
    }
    eb->rule_count = drafts->count;
    uint32_t bit = 0;
    for (uint32_t r = 0; r < drafts->count; r++) {
        for (uint32_t i = 0; i < eb->leaf_count; i++) {
            const struct sp_eb_leaf *leaf = &eb->leaves[i];
            if (!draft_has(&drafts->rules[r], i)) {
                continue;
            }
            bit_set(eb->rules + (size_t)r * eb->words, bit);
            bit_set(leaf->bits, bit);
            if (leaf->or_absent) {
                bit_set(eb->absent, bit);
            }
            if (paths->paths[leaf->path].kind != SP_PATH_TREE) {
                bit_set(eb->early, bit);
            }
            bit++;
        }
    }
    sp_ensure(bit <= eb->words * 64);
    return SP_OK;
}

/* The conditions of rule r that lie below the node, in a new group; none where there are none. */
static sp_status make_group(struct eb_compile *e, uint16_t node, uint32_t r) {
    struct sp_eventbridge *eb = e->eb;
    const struct sp_paths *paths = &e->c->filter->paths;
    const uint64_t *rule = eb->rules + (size_t)r * eb->words;
    uint64_t bits[SP_EB_WORDS_MAX] = {0};
    uint64_t any = 0;
    sp_require(node < paths->node_count && r < eb->rule_count);
    for (uint32_t i = 0; i < eb->leaf_count; i++) {
        const struct sp_path *path = &paths->paths[eb->leaves[i].path];
        if (path->kind != SP_PATH_TREE || !sp_path_is_below(paths, path->node, node)) {
            continue;
        }
        for (uint32_t w = 0; w < eb->words; w++) {
            bits[w] |= eb->leaves[i].bits[w] & rule[w];
            any |= bits[w];
        }
    }
    if (any == 0) {
        return SP_OK;
    }
    struct sp_eb_group *group = sp_pool_take(paths->pool, sizeof(*group));
    uint64_t *copy = bits_new(e);
    if (group == NULL || copy == NULL) {
        return sp_compile_no_memory(e->c);
    }
    memcpy(copy, bits, eb->words * sizeof(*copy));
    *group = (struct sp_eb_group){.bits = copy, .next = eb->groups[node]};
    eb->groups[node] = group;
    return SP_OK;
}

static sp_status make_groups(struct eb_compile *e) {
    const struct sp_paths *paths = &e->c->filter->paths;
    struct sp_eventbridge *eb = e->eb;
    eb->groups =
        sp_pool_take(paths->pool, ((size_t)paths->node_count + 1) * sizeof(struct sp_eb_group *));
    if (eb->groups == NULL) {
        return sp_compile_no_memory(e->c);
    }
    for (uint16_t node = 0; node < paths->node_count; node++) {
        for (uint32_t r = 0; paths->nodes[node].edges != SP_PATH_NONE && r < eb->rule_count; r++) {
            sp_status status = make_group(e, node, r);
            if (status != SP_OK) {
                return status;
            }
        }
    }
    return SP_OK;
}

static sp_status count_words(struct eb_compile *e, const struct drafts *drafts) {
    uint32_t bits = 0;
    for (uint32_t r = 0; r < drafts->count; r++) {
        for (uint32_t i = 0; i < e->eb->leaf_count; i++) {
            bits += draft_has(&drafts->rules[r], i);
        }
    }
    if (bits > SP_FILTER_TESTS_MAX) {
        return sp_error_set(e->c->error, SP_LIMIT,
                            "filter: %u conditions once $or is multiplied out, at most %d are "
                            "allowed",
                            bits, SP_FILTER_TESTS_MAX);
    }
    e->eb->words = (bits + 63) / 64;
    sp_ensure(e->eb->words > 0 && e->eb->words <= SP_EB_WORDS_MAX);
    return SP_OK;
}

sp_status sp_eventbridge_compile(struct sp_compile *c) {
    struct sp_eventbridge *eb = sp_pool_take(&c->filter->pool, sizeof(*eb));
    if (eb == NULL) {
        return sp_compile_no_memory(c);
    }
    struct eb_compile e = {.c = c, .eb = eb};
    struct drafts drafts = {.rules = NULL};
    sp_status status = drafts_add(&e, &drafts, (struct draft){.leaves = {0}});
    status = status == SP_OK ? read_fields(&e, SP_STR(""), &drafts) : status;
    status = status == SP_OK ? count_words(&e, &drafts) : status;
    status = status == SP_OK ? make_leaf_bits(&e) : status;
    status = status == SP_OK ? make_rules(&e, &drafts) : status;
    status = status == SP_OK ? make_groups(&e) : status;
    if (status == SP_OK) {
        sp_ensure(eb->leaf_count > 0 && eb->rule_count > 0);
        c->filter->eventbridge = eb;
    }
    return status;
}
