/*
 * Filters agree with their definition on random documents. The definition is written here once
 * more, in the plainest way: on trees, by recursion, trying every choice.
 *
 * For spoor's dialect: a path leads through the tree, an operator looks at what is there. For event
 * patterns: the event is a list of fields, each with its path, its value and the array elements it
 * lies in; a rule matches where a field can be chosen for each of its conditions such that no two
 * of them lie in different elements of the same array, and none exists, so chosen, for a condition
 * of absence.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "helper.h"

/* Documents. */

enum { PARTS_MAX = 3, DEPTH_MAX = 4, TREES_MAX = 400 };

enum tree_kind { TREE_NUMBER, TREE_TEXT, TREE_TRUE, TREE_NULL, TREE_OBJECT, TREE_ARRAY };

struct tree {
    enum tree_kind kind;
    int number;          /* NUMBER, TEXT: the value */
    int count;           /* OBJECT, ARRAY */
    char key[PARTS_MAX]; /* OBJECT: each member's key, a letter */
    struct tree *part[PARTS_MAX];
};

static struct tree trees[TREES_MAX];
static int tree_count;

static struct tree *random_tree(struct sp_prng *prng, int depth) {
    struct tree *tree = &trees[tree_count++];
    assert_true(tree_count < TREES_MAX);
    uint32_t kinds = depth > 0 ? 10 : 4;
    uint32_t kind = sp_prng_below(prng, kinds);
    *tree = (struct tree){.kind = kind < 4   ? (enum tree_kind)kind
                                  : kind < 7 ? TREE_OBJECT
                                             : TREE_ARRAY};
    tree->number = (int)sp_prng_below(prng, 3);
    if (depth == DEPTH_MAX) {
        tree->kind = TREE_OBJECT;
    }
    if (tree->kind == TREE_OBJECT || tree->kind == TREE_ARRAY) {
        tree->count = (int)sp_prng_below(prng, PARTS_MAX + 1);
        uint32_t first = sp_prng_below(prng, 3);
        for (int i = 0; i < tree->count; i++) {
            tree->key[i] = (char)('a' + (first + (uint32_t)i) % 3);
            tree->part[i] = random_tree(prng, depth - 1);
        }
    }
    return tree;
}

static size_t write_tree(const struct tree *tree, char *to) {
    size_t at = 0;
    switch (tree->kind) {
    case TREE_NUMBER:
        return (size_t)sprintf(to, tree->number == 1 ? "1.0" : "%d", tree->number);
    case TREE_TEXT:
        return (size_t)sprintf(to, tree->number == 1 ? "\"\\u0078\"" : "\"x%d\"", tree->number);
    case TREE_TRUE:
        return (size_t)sprintf(to, "true");
    case TREE_NULL:
        return (size_t)sprintf(to, "null");
    case TREE_OBJECT:
    case TREE_ARRAY:
        break;
    }
    to[at++] = tree->kind == TREE_OBJECT ? '{' : '[';
    for (int i = 0; i < tree->count; i++) {
        at += (size_t)sprintf(to + at, i > 0 ? ", " : "");
        if (tree->kind == TREE_OBJECT) {
            at += (size_t)sprintf(to + at, "\"%c\":", tree->key[i]);
        }
        at += write_tree(tree->part[i], to + at);
    }
    to[at++] = tree->kind == TREE_OBJECT ? '}' : ']';
    to[at] = '\0';
    return at;
}

/* One value, in a tree and in a filter alike: the text number 1 is "x". */
static const char *text_of(int number) {
    static const char *const TEXTS[] = {"x0", "x", "x2"};
    return TEXTS[number];
}

static bool same_scalar(const struct tree *tree, enum tree_kind kind, int number) {
    bool counts = kind == TREE_NUMBER || kind == TREE_TEXT;
    return tree->kind == kind && (!counts || tree->number == number);
}

/* spoor's dialect. */

struct condition {
    char path[3]; /* keys below data */
    int names;
    int op;
    enum tree_kind kind;
    int number;
};

enum { OP_EQ, OP_NE, OP_GT, OP_LTE, OP_EXISTS, OP_MISSING, OP_CONTAINS, OP_PREFIX, OP_COUNT };

static const char *const OP_NAMES[OP_COUNT] = {"$eq",     "$ne",     "$gt",       "$lte",
                                               "$exists", "$exists", "$contains", "$prefix"};

static const struct tree *walk(const struct tree *tree, const char *path, int names) {
    for (int n = 0; n < names && tree != NULL; n++) {
        const struct tree *next = NULL;
        for (int i = 0; i < tree->count; i++) {
            bool here = tree->kind == TREE_OBJECT ? tree->key[i] == path[n] : path[n] - '0' == i;
            next = here ? tree->part[i] : next;
        }
        tree = next;
    }
    return tree;
}

static bool condition_holds(const struct condition *c, const struct tree *root) {
    const struct tree *tree = walk(root, c->path, c->names);
    bool same = tree != NULL && same_scalar(tree, c->kind, c->number);
    bool ordered = tree != NULL && tree->kind == c->kind;
    int order = 0;
    if (ordered) {
        order = c->kind == TREE_TEXT ? strcmp(text_of(tree->number), text_of(c->number))
                                     : tree->number - c->number;
    }
    switch (c->op) {
    case OP_EQ:
        return same;
    case OP_NE:
        return !same;
    case OP_GT:
        return ordered && order > 0;
    case OP_LTE:
        return ordered && order <= 0;
    case OP_EXISTS:
        return tree != NULL;
    case OP_MISSING:
        return tree == NULL;
    case OP_PREFIX:
        return tree != NULL && tree->kind == TREE_TEXT &&
               strncmp(text_of(tree->number), text_of(c->number), strlen(text_of(c->number))) == 0;
    default: /* OP_CONTAINS */
        if (tree != NULL && tree->kind == TREE_TEXT && c->kind == TREE_TEXT) {
            return strstr(text_of(tree->number), text_of(c->number)) != NULL;
        }
        for (int i = 0; tree != NULL && tree->kind == TREE_ARRAY && i < tree->count; i++) {
            if (same_scalar(tree->part[i], c->kind, c->number)) {
                return true;
            }
        }
        return false;
    }
}

static size_t write_scalar(enum tree_kind kind, int number, char *to) {
    return kind == TREE_NUMBER ? (size_t)sprintf(to, "%d", number)
           : kind == TREE_TEXT ? (size_t)sprintf(to, "\"%s\"", text_of(number))
                               : (size_t)sprintf(to, kind == TREE_TRUE ? "true" : "null");
}

static size_t random_condition(struct sp_prng *prng, struct condition *c, char *to) {
    *c = (struct condition){.op = (int)sp_prng_below(prng, OP_COUNT)};
    c->names = 1 + (int)sp_prng_below(prng, 3);
    for (int i = 0; i < c->names; i++) {
        c->path[i] = "abcabc01"[sp_prng_below(prng, 8)];
    }
    bool text_only = c->op == OP_PREFIX;
    bool ordered = c->op == OP_GT || c->op == OP_LTE;
    c->kind = text_only ? TREE_TEXT : (enum tree_kind)sp_prng_below(prng, ordered ? 2 : 4);
    c->number = (int)sp_prng_below(prng, 3);
    size_t at = (size_t)sprintf(to, "\"data");
    for (int i = 0; i < c->names; i++) {
        at += (size_t)sprintf(to + at, ".%c", c->path[i]);
    }
    at += (size_t)sprintf(to + at, "\":{\"%s\":", OP_NAMES[c->op]);
    if (c->op == OP_EXISTS || c->op == OP_MISSING) {
        at += (size_t)sprintf(to + at, c->op == OP_EXISTS ? "true" : "false");
    } else {
        at += write_scalar(c->kind, c->number, to + at);
    }
    to[at++] = '}';
    to[at] = '\0';
    return at;
}

/* Writes a random filter around conditions, and says whether it holds. */
static bool random_filter(struct sp_prng *prng, int depth, const struct tree *root, char *to,
                          size_t *ret_len) {
    struct condition c;
    size_t at = 0;
    uint32_t form = depth == 0 ? 0 : sp_prng_below(prng, 5);
    if (form == 4) {
        size_t len = 0;
        at += (size_t)sprintf(to, "{\"$not\":");
        bool inner = random_filter(prng, depth - 1, root, to + at, &len);
        *ret_len = at + len + (size_t)sprintf(to + at + len, "}");
        return !inner;
    }
    uint32_t count = 1 + sp_prng_below(prng, 3);
    if (form == 0) {
        bool all = true;
        at += (size_t)sprintf(to, "{");
        for (uint32_t i = 0; i < count; i++) {
            at += (size_t)sprintf(to + at, i > 0 ? "," : "");
            at += random_condition(prng, &c, to + at);
            all &= condition_holds(&c, root);
        }
        *ret_len = at + (size_t)sprintf(to + at, "}");
        return all;
    }
    bool is_and = form == 1;
    bool result = is_and;
    at += (size_t)sprintf(to, "{\"%s\":[", is_and ? "$and" : "$or");
    for (uint32_t i = 0; i < count; i++) {
        size_t len = 0;
        at += (size_t)sprintf(to + at, i > 0 ? "," : "");
        bool part = random_filter(prng, depth - 1, root, to + at, &len);
        result = is_and ? result && part : result || part;
        at += len;
    }
    *ret_len = at + (size_t)sprintf(to + at, "]}");
    return result;
}

static void test_spoor_dialect(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(23);
    static char filter[1 << 16];
    static char event[1 << 16];
    int matched = 0;
    for (int i = 0; i < 20000; i++) {
        tree_count = 0;
        const struct tree *root = random_tree(&prng, DEPTH_MAX);
        size_t len = 0;
        bool expected = random_filter(&prng, 2, root, filter, &len);
        size_t at = (size_t)sprintf(event, "{\"data\":");
        at += write_tree(root, event + at);
        at += (size_t)sprintf(event + at, "}");
        if (filter_matches(sp_str_of(filter, len), sp_str_of(event, at)) != expected) {
            fail_msg("%s on %s: expected %d", filter, event, expected);
        }
        matched += expected;
    }
    assert_true(matched > 4000 && matched < 16000);
}

/* Event patterns. */

enum { FIELDS_MAX = 400, CONDITIONS_MAX = 4, ALTERNATIVES_MAX = 3 };

/* Where a field lies: of every array around it, which one and in which element. */
struct field {
    char path[DEPTH_MAX + 1];
    const struct tree *value;
    const struct tree *array[DEPTH_MAX + 1];
    int element[DEPTH_MAX + 1];
    int arrays;  /* that count */
    int pending; /* and those that count only for an object */
};

static struct field fields[FIELDS_MAX];
static int field_count;

/*
 * An object lies in an element of each array around it; a scalar only where an object around it
 * does.
 */
static void list_fields(const struct tree *tree, struct field at) {
    if (tree->kind == TREE_OBJECT) {
        for (int i = 0; i < tree->count; i++) {
            struct field below = at;
            below.arrays = at.pending;
            size_t len = strlen(below.path);
            below.path[len] = tree->key[i];
            below.path[len + 1] = '\0';
            list_fields(tree->part[i], below);
        }
        return;
    }
    if (tree->kind == TREE_ARRAY) {
        for (int i = 0; i < tree->count; i++) {
            struct field below = at;
            below.array[below.pending] = tree;
            below.element[below.pending++] = i;
            list_fields(tree->part[i], below);
        }
        return;
    }
    assert_true(field_count < FIELDS_MAX);
    fields[field_count] = at;
    fields[field_count++].value = tree;
}

static bool consistent(const struct field *a, const struct field *b) {
    for (int i = 0; i < a->arrays; i++) {
        for (int k = 0; k < b->arrays; k++) {
            if (a->array[i] == b->array[k] && a->element[i] != b->element[k]) {
                return false;
            }
        }
    }
    return true;
}

/* A field of a pattern: any of some values, or any value at all, or none. */
struct eb_condition {
    char path[DEPTH_MAX + 1];
    enum tree_kind kind[ALTERNATIVES_MAX];
    int number[ALTERNATIVES_MAX];
    int count;
    bool any;
    bool or_absent;
};

static bool eb_fits(const struct eb_condition *c, const struct field *field) {
    if (strcmp(c->path, field->path) != 0) {
        return false;
    }
    for (int i = 0; i < c->count; i++) {
        if (same_scalar(field->value, c->kind[i], c->number[i])) {
            return true;
        }
    }
    return c->any;
}

/* Tries every choice for condition n and those behind it. */
static bool eb_choose(const struct eb_condition *conditions, int count, int n,
                      const struct field **chosen) {
    if (n == count) {
        for (int i = 0; i < count; i++) {
            for (int f = 0; chosen[i] == NULL && f < field_count; f++) {
                bool there = strcmp(conditions[i].path, fields[f].path) == 0;
                for (int k = 0; there && k < count; k++) {
                    there = chosen[k] == NULL || consistent(chosen[k], &fields[f]);
                }
                if (there) {
                    return false;
                }
            }
        }
        return true;
    }
    for (int f = 0; f < field_count; f++) {
        bool possible = eb_fits(&conditions[n], &fields[f]);
        for (int k = 0; possible && k < n; k++) {
            possible = chosen[k] == NULL || consistent(chosen[k], &fields[f]);
        }
        chosen[n] = &fields[f];
        if (possible && eb_choose(conditions, count, n + 1, chosen)) {
            return true;
        }
    }
    chosen[n] = NULL;
    return conditions[n].or_absent && eb_choose(conditions, count, n + 1, chosen);
}

static size_t random_eb_condition(struct sp_prng *prng, struct eb_condition *c, char *to) {
    *c = (struct eb_condition){.count = 0};
    size_t names = 1 + sp_prng_below(prng, 3);
    for (size_t i = 0; i < names; i++) {
        c->path[i] = (char)('a' + sp_prng_below(prng, 3));
    }
    size_t at = (size_t)sprintf(to, "\"detail");
    for (size_t i = 0; i < names; i++) {
        at += (size_t)sprintf(to + at, ".%c", c->path[i]);
    }
    at += (size_t)sprintf(to + at, "\":[");
    uint32_t form = sp_prng_below(prng, 6);
    c->any = form == 0;
    c->or_absent = form == 1 || form == 2;
    c->count = form == 0 || form == 1 ? 0 : 1 + (int)sp_prng_below(prng, ALTERNATIVES_MAX);
    for (int i = 0; i < c->count; i++) {
        c->kind[i] = (enum tree_kind)sp_prng_below(prng, 4);
        c->number[i] = (int)sp_prng_below(prng, 3);
        at += (size_t)sprintf(to + at, i > 0 ? "," : "");
        at += write_scalar(c->kind[i], c->number[i], to + at);
    }
    if (c->any || c->or_absent) {
        at += (size_t)sprintf(to + at, "%s{\"exists\":%s}", c->count > 0 ? "," : "",
                              c->any ? "true" : "false");
    }
    return at + (size_t)sprintf(to + at, "]");
}

static bool rule_holds(const struct eb_condition *conditions, int count) {
    const struct field *chosen[CONDITIONS_MAX] = {NULL};
    return eb_choose(conditions, count, 0, chosen);
}

/* A pattern of two rules: what they share, and one alternative each. */
static bool random_pattern(struct sp_prng *prng, char *to) {
    struct eb_condition conditions[CONDITIONS_MAX];
    int shared = 1 + (int)sp_prng_below(prng, CONDITIONS_MAX - 1);
    size_t at = (size_t)sprintf(to, "{");
    for (int i = 0; i < shared; i++) {
        at += (size_t)sprintf(to + at, i > 0 ? "," : "");
        at += random_eb_condition(prng, &conditions[i], to + at);
    }
    bool holds = false;
    if (sp_prng_below(prng, 3) == 0) {
        at += (size_t)sprintf(to + at, ",\"$or\":[");
        for (int i = 0; i < 2; i++) {
            at += (size_t)sprintf(to + at, i > 0 ? ",{" : "{");
            at += random_eb_condition(prng, &conditions[shared], to + at);
            at += (size_t)sprintf(to + at, "}");
            holds |= rule_holds(conditions, shared + 1);
        }
        at += (size_t)sprintf(to + at, "]");
    } else {
        holds = rule_holds(conditions, shared);
    }
    sprintf(to + at, "}");
    return holds;
}

static void test_event_patterns(void **state) {
    (void)state;
    struct sp_prng prng = sp_prng_seed(29);
    static char pattern[1 << 14];
    static char event[1 << 16];
    int matched = 0;
    for (int i = 0; i < 60000; i++) {
        tree_count = 0;
        field_count = 0;
        const struct tree *root = random_tree(&prng, DEPTH_MAX);
        list_fields(root, (struct field){.arrays = 0});
        bool expected = random_pattern(&prng, pattern);
        size_t at = (size_t)sprintf(event, "{\"data\":");
        at += write_tree(root, event + at);
        at += (size_t)sprintf(event + at, "}");
        if (filter_matches(sp_str_from(pattern), sp_str_of(event, at)) != expected) {
            fail_msg("%s on %s: expected %d", pattern, event, expected);
        }
        matched += expected;
    }
    assert_true(matched > 3000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spoor_dialect),
        cmocka_unit_test(test_event_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
