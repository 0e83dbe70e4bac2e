/*
 * How a match goes: a set of nodes is kept that the tokens read so far can lead to. For each token
 * every node of the set is asked for its child of that name and for its `*`. A `#` node, once
 * reached, stays for the rest of the type, as `#` can swallow any token; such nodes have a list of
 * their own. After the last token the nodes of both lists hold the answer. `>` needs one more token
 * and nothing else, so the ids of `a.>` wait at node `a` and are found as soon as there is another
 * token to step over.
 *
 * Marks in the nodes keep a node from being visited twice in a turn: `#.a.#.a.#` cannot multiply.
 */
#include "match/trie.h"

#include <stdlib.h>

#include "base/hash.h"

/* Sorted, without duplicates. */
struct trie_ids {
    uint32_t *ids;
    uint32_t count;
    uint32_t capacity;
};

struct sp_trie_node {
    char *token;            /* NULL: the root, a `*` or `#` node, or a freed one */
    uint32_t token_len;     /* 0 where there is no token */
    uint32_t parent;        /* number of the node above; of a freed one: the next freed one */
    uint32_t star;          /* the child `*`, 0 if none: the root is nobody's child */
    uint32_t hash;          /* the child `#` */
    uint32_t literal_count; /* children with a token */
    struct trie_ids here;   /* the patterns that end in this node */
    struct trie_ids tail;   /* the patterns that end in `>` below this node */
    uint64_t reached;       /* the turn that reached it last */
    uint64_t reported;      /* the match that found its tail last */
};

enum {
    TRIE_NODES_FIRST = 16,
    TRIE_IDS_FIRST = 64,
    TRIE_EDGES_DEAD_MAX = 64, /* and as many as there are live ones */
};

/* Where a pattern's ids are kept. */
struct trie_place {
    uint32_t node;
    bool is_tail;
};

void sp_trie_init(struct sp_trie *trie, uint32_t pair_count_max, uint32_t id_max) {
    sp_require(pair_count_max <= SP_TRIE_PAIRS_MAX && id_max < SP_TRIE_IDS_MAX);
    *trie = (struct sp_trie){.pair_count_max = pair_count_max, .id_max = id_max};
    sp_htab_init(&trie->edges);
}

void sp_trie_fini(struct sp_trie *trie) {
    for (uint32_t i = 0; i < trie->node_count; i++) {
        free(trie->nodes[i].token);
        free(trie->nodes[i].here.ids);
        free(trie->nodes[i].tail.ids);
    }
    free(trie->nodes);
    free(trie->queue);
    free(trie->id_seen);
    free(trie->found);
    sp_htab_fini(&trie->edges);
    *trie = (struct sp_trie){.nodes = NULL};
}

/* Lists of ids. */

static uint32_t ids_lower_bound(const struct trie_ids *list, uint32_t id) {
    uint32_t low = 0;
    uint32_t high = list->count;
    sp_require(list->count <= list->capacity);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list->ids[middle] < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool ids_have(const struct trie_ids *list, uint32_t id) {
    uint32_t at = ids_lower_bound(list, id);
    return at < list->count && list->ids[at] == id;
}

static sp_status ids_add(struct trie_ids *list, uint32_t id) {
    sp_require(!ids_have(list, id));
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity == 0 ? 1 : list->capacity * 2;
        uint32_t *ids = realloc(list->ids, capacity * sizeof(*ids));
        if (ids == NULL) {
            return SP_NO_MEMORY;
        }
        list->ids = ids;
        list->capacity = capacity;
    }
    uint32_t at = ids_lower_bound(list, id);
    memmove(list->ids + at + 1, list->ids + at, (list->count - at) * sizeof(*list->ids));
    list->ids[at] = id;
    list->count++;
    return SP_OK;
}

static void ids_remove(struct trie_ids *list, uint32_t id) {
    uint32_t at = ids_lower_bound(list, id);
    sp_require(at < list->count && list->ids[at] == id);
    list->count--;
    memmove(list->ids + at, list->ids + at + 1, (list->count - at) * sizeof(*list->ids));
    if (list->count == 0) {
        free(list->ids);
        *list = (struct trie_ids){.ids = NULL};
    }
}

/* Nodes. */

/* Makes room for one node more and for the scratch lists that hold every node. */
static sp_status nodes_reserve(struct sp_trie *trie) {
    if (trie->node_free != 0 || trie->node_count < trie->node_capacity) {
        return SP_OK;
    }
    uint32_t capacity = trie->node_capacity == 0 ? TRIE_NODES_FIRST : trie->node_capacity * 2;
    uint32_t *queue = realloc(trie->queue, 3 * (size_t)capacity * sizeof(*queue));
    if (queue == NULL) {
        return SP_NO_MEMORY;
    }
    trie->queue = queue;
    struct sp_trie_node *nodes = realloc(trie->nodes, capacity * sizeof(*nodes));
    if (nodes == NULL) {
        return SP_NO_MEMORY;
    }
    trie->nodes = nodes;
    trie->node_capacity = capacity;
    return SP_OK;
}

static uint32_t node_take(struct sp_trie *trie) {
    uint32_t number = trie->node_free;
    if (number != 0) {
        sp_invariant(number < trie->node_count);
        trie->node_free = trie->nodes[number].parent;
    } else {
        sp_require(trie->node_count < trie->node_capacity);
        number = trie->node_count++;
    }
    trie->nodes[number] = (struct sp_trie_node){.token = NULL};
    return number;
}

static uint64_t edge_hash(uint32_t parent, sp_str token) {
    return sp_hash_seeded(token.ptr, token.len, parent);
}

static sp_str node_token(const struct sp_trie_node *node) {
    return sp_str_of(node->token, node->token_len);
}

/* The child that an ordinary token leads to, 0 if none. */
static uint32_t find_literal(const struct sp_trie *trie, uint32_t parent, sp_str token) {
    if (trie->nodes[parent].literal_count == 0) {
        return 0;
    }
    struct sp_htab_probe probe = sp_htab_find(&trie->edges, edge_hash(parent, token));
    uint32_t number = 0;
    while (sp_htab_next(&probe, &number)) {
        const struct sp_trie_node *node = &trie->nodes[number];
        if (node->parent == parent && node->token != NULL && sp_str_eq(node_token(node), token)) {
            return number;
        }
    }
    return 0;
}

/*
 * The table of edges forgets nothing by itself; here the entries of nodes that are gone leave it.
 */
static void edges_rebuild(struct sp_trie *trie) {
    sp_htab_clear(&trie->edges);
    for (uint32_t i = 1; i < trie->node_count; i++) {
        const struct sp_trie_node *node = &trie->nodes[i];
        if (node->token != NULL) {
            sp_status status =
                sp_htab_add(&trie->edges, edge_hash(node->parent, node_token(node)), i);
            sp_invariant(status == SP_OK); /* it held more entries before */
        }
    }
    sp_ensure(trie->edges.count == trie->edge_count);
}

static sp_status edges_reserve(struct sp_trie *trie) {
    sp_invariant(trie->edges.count >= trie->edge_count);
    uint32_t dead = trie->edges.count - trie->edge_count;
    if (dead > trie->edge_count + TRIE_EDGES_DEAD_MAX) {
        edges_rebuild(trie);
    }
    return sp_htab_reserve(&trie->edges, (size_t)trie->edges.count + 1);
}

static sp_status add_literal(struct sp_trie *trie, uint32_t parent, sp_str token,
                             uint32_t *ret_number) {
    sp_status status = edges_reserve(trie);
    char *copy = status == SP_OK ? malloc(token.len + 1) : NULL;
    if (copy == NULL) {
        return SP_NO_MEMORY;
    }
    memcpy(copy, token.ptr, token.len);
    copy[token.len] = '\0';
    uint32_t number = node_take(trie);
    struct sp_trie_node *node = &trie->nodes[number];
    node->token = copy;
    node->token_len = (uint32_t)token.len;
    node->parent = parent;
    status = sp_htab_add(&trie->edges, edge_hash(parent, token), number);
    sp_ensure(status == SP_OK); /* there is room */
    trie->edge_count++;
    trie->nodes[parent].literal_count++;
    *ret_number = number;
    return SP_OK;
}

static uint32_t find_child(const struct sp_trie *trie, uint32_t parent, sp_str token) {
    if (sp_token_is(token, '*')) {
        return trie->nodes[parent].star;
    }
    if (sp_token_is(token, '#')) {
        return trie->nodes[parent].hash;
    }
    return find_literal(trie, parent, token);
}

static sp_status add_child(struct sp_trie *trie, uint32_t parent, sp_str token,
                           uint32_t *ret_number) {
    sp_status status = nodes_reserve(trie);
    if (status != SP_OK) {
        return status;
    }
    bool is_star = sp_token_is(token, '*');
    if (!is_star && !sp_token_is(token, '#')) {
        return add_literal(trie, parent, token, ret_number);
    }
    uint32_t number = node_take(trie);
    trie->nodes[number].parent = parent;
    *(is_star ? &trie->nodes[parent].star : &trie->nodes[parent].hash) = number;
    *ret_number = number;
    return SP_OK;
}

static bool node_is_used(const struct sp_trie_node *node) {
    return node->here.count != 0 || node->tail.count != 0 || node->literal_count != 0 ||
           node->star != 0 || node->hash != 0;
}

static void node_free(struct sp_trie *trie, uint32_t number) {
    struct sp_trie_node *node = &trie->nodes[number];
    struct sp_trie_node *parent = &trie->nodes[node->parent];
    sp_require(number != 0 && !node_is_used(node));
    if (node->token != NULL) {
        sp_invariant(parent->literal_count > 0 && trie->edge_count > 0);
        parent->literal_count--;
        trie->edge_count--; /* its entry stays in the table until that is built anew */
        free(node->token);
    } else if (parent->star == number) {
        parent->star = 0;
    } else {
        sp_invariant(parent->hash == number);
        parent->hash = 0;
    }
    *node = (struct sp_trie_node){.parent = trie->node_free};
    trie->node_free = number;
}

/* Frees the node and those above it as far as nothing needs them. */
static void prune(struct sp_trie *trie, uint32_t number) {
    while (number != 0 && !node_is_used(&trie->nodes[number])) {
        uint32_t parent = trie->nodes[number].parent;
        node_free(trie, number);
        number = parent;
    }
}

/* Patterns. */

/* The next token of a pattern; `#.#` says no more than `#`, and comes as one. */
static sp_str pattern_next(sp_str *rest) {
    sp_str token = sp_token_next(rest);
    while (sp_token_is(token, '#') && rest->ptr != NULL) {
        sp_str ahead = *rest;
        if (!sp_token_is(sp_token_next(&ahead), '#')) {
            break;
        }
        *rest = ahead;
    }
    return token;
}

static sp_status place_make(struct sp_trie *trie, sp_str pattern, struct trie_place *ret_place) {
    sp_str rest = pattern;
    uint32_t node = 0;
    while (rest.ptr != NULL) {
        sp_str token = pattern_next(&rest);
        if (sp_token_is(token, '>')) {
            *ret_place = (struct trie_place){.node = node, .is_tail = true};
            return SP_OK;
        }
        uint32_t child = find_child(trie, node, token);
        if (child == 0 && add_child(trie, node, token, &child) != SP_OK) {
            prune(trie, node);
            return SP_NO_MEMORY;
        }
        node = child;
    }
    *ret_place = (struct trie_place){.node = node, .is_tail = false};
    return SP_OK;
}

static bool place_find(const struct sp_trie *trie, sp_str pattern, struct trie_place *ret_place) {
    sp_str rest = pattern;
    uint32_t node = 0;
    while (rest.ptr != NULL) {
        sp_str token = pattern_next(&rest);
        if (sp_token_is(token, '>')) {
            *ret_place = (struct trie_place){.node = node, .is_tail = true};
            return true;
        }
        node = find_child(trie, node, token);
        if (node == 0) {
            return false;
        }
    }
    *ret_place = (struct trie_place){.node = node, .is_tail = false};
    return true;
}

static struct trie_ids *place_ids(struct sp_trie *trie, struct trie_place place) {
    sp_require(place.node < trie->node_count);
    struct sp_trie_node *node = &trie->nodes[place.node];
    return place.is_tail ? &node->tail : &node->here;
}

/* Makes the scratch space of a match large enough for the id. */
static sp_status ids_reserve(struct sp_trie *trie, uint32_t id) {
    if (id < trie->id_capacity) {
        return SP_OK;
    }
    uint32_t capacity = trie->id_capacity == 0 ? TRIE_IDS_FIRST : trie->id_capacity;
    while (capacity <= id) {
        capacity *= 2;
    }
    uint32_t *found = realloc(trie->found, capacity * sizeof(*found));
    if (found == NULL) {
        return SP_NO_MEMORY;
    }
    trie->found = found;
    uint64_t *seen = realloc(trie->id_seen, capacity * sizeof(*seen));
    if (seen == NULL) {
        return SP_NO_MEMORY;
    }
    memset(seen + trie->id_capacity, 0, (capacity - trie->id_capacity) * sizeof(*seen));
    trie->id_seen = seen;
    trie->id_capacity = capacity;
    return SP_OK;
}

static sp_status check_limits(const struct sp_trie *trie, uint32_t id, struct sp_error *error) {
    if (id > trie->id_max) {
        return sp_error_set(error, SP_LIMIT, "subscription: id %u is above %u", id, trie->id_max);
    }
    if (trie->pair_count >= trie->pair_count_max) {
        return sp_error_set(error, SP_LIMIT, "subscription: %u patterns are subscribed already",
                            trie->pair_count);
    }
    return SP_OK;
}

/* The root is there from the first addition on. */
static sp_status root_make(struct sp_trie *trie) {
    if (trie->node_count > 0) {
        return SP_OK;
    }
    sp_status status = nodes_reserve(trie);
    if (status == SP_OK) {
        uint32_t root = node_take(trie);
        sp_ensure(root == 0);
    }
    return status;
}

sp_status sp_trie_add(struct sp_trie *trie, sp_str pattern, uint32_t id, struct sp_error *error) {
    sp_status status = sp_pattern_check(pattern, error);
    if (status == SP_OK) {
        status = check_limits(trie, id, error);
    }
    if (status != SP_OK) {
        return status;
    }
    struct trie_place place = {.node = 0};
    status = root_make(trie);
    status = status == SP_OK ? ids_reserve(trie, id) : status;
    status = status == SP_OK ? place_make(trie, pattern, &place) : status;
    if (status != SP_OK) {
        return sp_error_set(error, status, "subscription: out of memory");
    }
    struct trie_ids *list = place_ids(trie, place);
    if (ids_have(list, id)) {
        return sp_error_set(error, SP_CONFLICT, "subscription: %u has the pattern `%.*s` already",
                            id, SP_STR_ARG(pattern));
    }
    status = ids_add(list, id);
    if (status != SP_OK) {
        prune(trie, place.node);
        return sp_error_set(error, status, "subscription: out of memory");
    }
    trie->pair_count++;
    return SP_OK;
}

sp_status sp_trie_remove(struct sp_trie *trie, sp_str pattern, uint32_t id) {
    struct trie_place place = {.node = 0};
    if (trie->node_count == 0 || sp_pattern_check(pattern, NULL) != SP_OK ||
        !place_find(trie, pattern, &place) || !ids_have(place_ids(trie, place), id)) {
        return SP_NOT_FOUND;
    }
    ids_remove(place_ids(trie, place), id);
    prune(trie, place.node);
    sp_invariant(trie->pair_count > 0);
    trie->pair_count--;
    return SP_OK;
}

/* Matching. */

/* The lists of nodes of one match: those of this turn and of the next, and the `#` nodes. */
struct trie_walk {
    uint32_t *now;
    uint32_t *next;
    uint32_t *hashes;
    uint32_t now_count;
    uint32_t next_count;
    uint32_t hash_count;
};

static void report(struct sp_trie *trie, const struct trie_ids *list) {
    for (uint32_t i = 0; i < list->count; i++) {
        uint32_t id = list->ids[i];
        sp_invariant(id < trie->id_capacity);
        if (trie->id_seen[id] != trie->match) {
            trie->id_seen[id] = trie->match;
            trie->found[trie->found_count++] = id;
        }
    }
}

static inline void reach(struct sp_trie *trie, struct trie_walk *walk, uint32_t number) {
    struct sp_trie_node *node = &trie->nodes[number];
    if (node->reached == trie->turn) {
        return;
    }
    node->reached = trie->turn;
    sp_invariant(walk->next_count < trie->node_capacity);
    walk->next[walk->next_count++] = number;
    /* A `#` node is reached once a match: it then stays, so its mark is the match's own number. */
    if (node->hash != 0 && trie->nodes[node->hash].reached != trie->match) {
        trie->nodes[node->hash].reached = trie->match;
        walk->hashes[walk->hash_count++] = node->hash;
    }
}

static inline void step(struct sp_trie *trie, struct trie_walk *walk, uint32_t number,
                        sp_str token) {
    struct sp_trie_node *node = &trie->nodes[number];
    trie->steps++;
    if (node->tail.count != 0 && node->reported != trie->match) {
        node->reported = trie->match;
        report(trie, &node->tail);
    }
    uint32_t child = find_literal(trie, number, token);
    if (child != 0) {
        reach(trie, walk, child);
    }
    if (node->star != 0) {
        reach(trie, walk, node->star);
    }
}

static void walk_turn(struct trie_walk *walk) {
    uint32_t *spare = walk->now;
    walk->now = walk->next;
    walk->now_count = walk->next_count;
    walk->next = spare;
    walk->next_count = 0;
}

size_t sp_trie_match(struct sp_trie *trie, sp_str type, const uint32_t **ret_ids) {
    trie->found_count = 0;
    trie->match = ++trie->turn;
    *ret_ids = trie->found;
    if (trie->pair_count == 0) {
        return 0;
    }
    struct trie_walk walk = {.now = trie->queue,
                             .next = trie->queue + trie->node_capacity,
                             .hashes = trie->queue + 2 * (size_t)trie->node_capacity};
    reach(trie, &walk, 0);
    walk_turn(&walk);
    sp_str rest = type.len > 0 ? type : (sp_str){.ptr = NULL, .len = 0};
    while (rest.ptr != NULL && walk.now_count + walk.hash_count > 0) {
        sp_str token = sp_token_next(&rest);
        uint32_t hash_count = walk.hash_count; /* those reached in this turn wait for the next */
        trie->turn++;
        for (uint32_t i = 0; i < walk.now_count; i++) {
            step(trie, &walk, walk.now[i], token);
        }
        for (uint32_t i = 0; i < hash_count; i++) {
            step(trie, &walk, walk.hashes[i], token);
        }
        walk_turn(&walk);
    }
    for (uint32_t i = 0; i < walk.now_count; i++) {
        report(trie, &trie->nodes[walk.now[i]].here);
    }
    for (uint32_t i = 0; i < walk.hash_count; i++) {
        report(trie, &trie->nodes[walk.hashes[i]].here);
    }
    sp_ensure(trie->found_count <= trie->id_capacity);
    return trie->found_count;
}
