#include "sim/saga_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void saga_plan_init(struct saga_plan *plan, const char *name) {
    memset(plan, 0, sizeof(*plan));
    (void)snprintf(plan->name, sizeof(plan->name), "%s", name);
    plan->count = 1;
    plan->steps[0] = (struct saga_step){.kind = SAGA_SEQUENCE,
                                        .parent = SAGA_NONE,
                                        .first = SAGA_NONE,
                                        .next = SAGA_NONE,
                                        .previous = SAGA_NONE};
}

int saga_plan_add(struct saga_plan *plan, int parent, enum saga_step_kind kind, const char *name) {
    if (plan->count == SAGA_STEPS_MAX) {
        abort();
    }
    int at = plan->count++;
    struct saga_step *step = &plan->steps[at];
    *step = (struct saga_step){.kind = kind,
                               .parent = parent,
                               .first = SAGA_NONE,
                               .next = SAGA_NONE,
                               .previous = SAGA_NONE,
                               .limit = 1,
                               .undo_limit = 1,
                               .timeout_us = 10000000,
                               .undo_timeout_us = 10000000,
                               .backoff_us = 1000000,
                               .concurrency = 1};
    (void)snprintf(step->name, sizeof(step->name), "%s", name);
    int last = plan->steps[parent].first;
    if (last == SAGA_NONE) {
        plan->steps[parent].first = at;
        return at;
    }
    while (plan->steps[last].next != SAGA_NONE) {
        last = plan->steps[last].next;
    }
    plan->steps[last].next = at;
    step->previous = last;
    return at;
}

void saga_plan_finish(struct saga_plan *plan) {
    for (int i = 1; i < plan->count; i++) { /* parents come first */
        struct saga_step *step = &plan->steps[i];
        const struct saga_step *parent = &plan->steps[step->parent];
        const char *joint = step->parent == 0 || step->is_item ? "" : "/";
        char path[sizeof(step->path)]; /* apart: a compiler cannot see that the two differ */
        int len = snprintf(path, sizeof(path), "%s%s%s", parent->path, joint, step->name);
        if (len < 0 || (size_t)len >= sizeof(path)) {
            abort();
        }
        memcpy(step->path, path, (size_t)len + 1);
    }
}

int saga_plan_find(const struct saga_plan *plan, sp_str path) {
    for (int i = 1; i < plan->count; i++) {
        if (sp_str_eq(path, sp_str_from(plan->steps[i].path))) {
            return i;
        }
    }
    return SAGA_NONE;
}

/* ---- its text -------------------------------------------------------------------------------- */

static void put(struct sp_buf *to, const char *text) {
    sp_buf_add(to, text, strlen(text));
}

static void put_seconds(struct sp_buf *to, const char *key, uint64_t us) {
    char text[96];
    (void)snprintf(text, sizeof(text), ",\"%s\":\"%llums\"", key, (unsigned long long)(us / 1000));
    put(to, text);
}

static void put_retry(struct sp_buf *to, uint32_t limit, uint64_t backoff_us) {
    char text[160];
    (void)snprintf(text, sizeof(text),
                   ",\"retry\":{\"limit\":%u,\"backoff\":\"%llums\",\"factor\":2,"
                   "\"max\":\"60s\",\"jitter\":0}",
                   limit, (unsigned long long)(backoff_us / 1000));
    put(to, text);
}

static void write_action(const struct saga_step *step, struct sp_buf *to) {
    char text[160];
    (void)snprintf(text, sizeof(text), ",\"action\":\"do.%s\"", step->name);
    put(to, text);
    put_seconds(to, "timeout", step->timeout_us);
    if (step->limit > 0) {
        put_retry(to, step->limit, step->backoff_us);
    }
    if (step->compensable) {
        (void)snprintf(text, sizeof(text), ",\"compensate\":{\"action\":\"undo.%s\"", step->name);
        put(to, text);
        put_seconds(to, "timeout", step->undo_timeout_us);
        put_retry(to, step->undo_limit, step->backoff_us);
        put(to, "}");
    }
    put(to, step->on_failure ? ",\"compensate_on_failure\":true" : "");
    put(to, step->pivot ? ",\"pivot\":true" : "");
    put(to, step->irreversible ? ",\"irreversible\":true" : "");
    put(to, step->at_most_once ? ",\"semantics\":\"at_most_once\"" : "");
}

static void write_approval(const struct saga_step *step, struct sp_buf *to) {
    put(to, ",\"approval\":{\"prompt\":\"Go on?\"");
    put_seconds(to, "timeout", step->timeout_us);
    put(to, step->timeout_fails       ? ",\"on_timeout\":\"fail\""
            : step->timeout_continues ? ",\"on_timeout\":\"approve\""
                                      : ",\"on_timeout\":\"reject\"");
    put(to, step->rejection_continues ? ",\"on_reject\":\"continue\"}" : "}");
}

static void write_leaf(const struct saga_step *step, struct sp_buf *to) {
    char text[160] = "";
    switch (step->kind) {
    case SAGA_ACTION:
        write_action(step, to);
        return;
    case SAGA_APPROVAL:
        write_approval(step, to);
        return;
    case SAGA_WAIT:
        (void)snprintf(text, sizeof(text), ",\"wait\":\"%llums\"",
                       (unsigned long long)(step->timeout_us / 1000));
        break;
    case SAGA_AWAIT:
        (void)snprintf(text, sizeof(text),
                       ",\"wait\":{\"event\":\"event.%s\",\"timeout\":\"%llums\","
                       "\"on_timeout\":\"%s\"}",
                       step->name, (unsigned long long)(step->timeout_us / 1000),
                       step->timeout_continues ? "continue" : "fail");
        break;
    case SAGA_EMIT:
        (void)snprintf(text, sizeof(text), ",\"emit\":{\"type\":\"emitted.%s\"}", step->name);
        break;
    case SAGA_SEQUENCE:
    case SAGA_PARALLEL:
    case SAGA_EACH:
    case SAGA_CHOICE:
    default:
        abort();
    }
    put(to, text);
}

/* What stands before the children of a container, and behind them. */
static void open_container(const struct saga_plan *plan, int at, struct sp_buf *to) {
    const struct saga_step *step = &plan->steps[at];
    char text[160] = "";
    switch (step->kind) {
    case SAGA_SEQUENCE:
        put(to, step->is_nested ? ",\"saga\":\"" : ",\"sequence\":[");
        if (step->is_nested) {
            put(to, step->name);
            put(to, "\",\"definition\":{\"saga\":\"");
            put(to, step->name);
            put(to, "\",\"steps\":[");
        }
        return;
    case SAGA_PARALLEL:
        put(to, ",\"parallel\":[");
        return;
    case SAGA_EACH:
        (void)snprintf(text, sizeof(text), ",\"for_each\":\".items%d\",\"concurrency\":%u,", at,
                       step->concurrency);
        put(to, text);
        put(to, "\"steps\":[");
        return;
    case SAGA_CHOICE:
        put(to, ",\"choice\":[{\"when\":\".no\",\"steps\":[{\"name\":\"never\",\"action\":"
                "\"do.never\"}]},{\"when\":\".yes\",\"steps\":[");
        return;
    case SAGA_ACTION:
    case SAGA_WAIT:
    case SAGA_AWAIT:
    case SAGA_APPROVAL:
    case SAGA_EMIT:
    default:
        abort();
    }
}

static bool is_container(const struct saga_step *step) {
    return step->kind <= SAGA_CHOICE;
}

/* The first of the children as they stand in the text: of items, those of the first one. */
static int text_child(const struct saga_plan *plan, int at) {
    int first = plan->steps[at].first;
    return plan->steps[at].kind == SAGA_EACH ? plan->steps[first].first : first;
}

static void begin_step(const struct saga_plan *plan, int at, struct sp_buf *to) {
    const struct saga_step *step = &plan->steps[at];
    put(to, "{\"name\":\"");
    put(to, step->name);
    put(to, "\"");
    put(to, step->skipped ? ",\"when\":\".no\"" : "");
    if (is_container(step)) {
        open_container(plan, at, to);
    } else {
        write_leaf(step, to);
        put(to, "}");
    }
}

static void end_container(const struct saga_step *step, struct sp_buf *to) {
    put(to, step->kind == SAGA_CHOICE ? "]}]}" : step->is_nested ? "]}}" : "]}");
}

/* Walks the tree without recursion: down to children, to the next one, up where there is none. */
void saga_plan_write(const struct saga_plan *plan, struct sp_buf *to) {
    put(to, "{\"saga\":\"");
    put(to, plan->name);
    put(to, "\",\"start\":{\"on\":\"go.");
    put(to, plan->name);
    put(to, "\"}");
    if (plan->timeout_us > 0) {
        put_seconds(to, "timeout", plan->timeout_us);
    }
    put(to, plan->pauses ? ",\"on_failure\":\"pause\"" : "");
    put(to, ",\"steps\":[");
    int at = plan->steps[0].first;
    while (at != 0) {
        begin_step(plan, at, to);
        if (is_container(&plan->steps[at])) {
            at = text_child(plan, at);
            continue;
        }
        while (at != 0 && plan->steps[at].next == SAGA_NONE) {
            at = plan->steps[at].parent;
            at = plan->steps[at].is_item ? plan->steps[at].parent : at;
            if (at != 0) {
                end_container(&plan->steps[at], to);
            }
        }
        if (at != 0) {
            put(to, ",");
            at = plan->steps[at].next;
        }
    }
    put(to, "]}");
}

void saga_plan_write_data(const struct saga_plan *plan, struct sp_buf *to) {
    put(to, "{\"yes\":true,\"no\":false");
    for (int i = 1; i < plan->count; i++) {
        if (plan->steps[i].kind != SAGA_EACH) {
            continue;
        }
        char text[48];
        (void)snprintf(text, sizeof(text), ",\"items%d\":[", i);
        put(to, text);
        for (int item = plan->steps[i].first; item != SAGA_NONE; item = plan->steps[item].next) {
            put(to, item == plan->steps[i].first ? "1" : ",1");
        }
        put(to, "]");
    }
    put(to, "}");
}

/* ---- any ------------------------------------------------------------------------------------- */

struct maker {
    struct saga_plan *plan;
    struct sp_prng *prng;
    uint32_t left;   /* leaves that may still be made */
    uint32_t number; /* of the next name */
    bool pivoted;    /* what follows is behind the pivot */
};

static bool chance(struct maker *maker, uint32_t percent) {
    return sp_prng_below(maker->prng, 100) < percent;
}

static int add(struct maker *maker, int parent, enum saga_step_kind kind) {
    char name[SAGA_NAME_SIZE];
    (void)snprintf(name, sizeof(name), "s%u", maker->number++);
    return saga_plan_add(maker->plan, parent, kind, name);
}

static void make_action(struct maker *maker, int parent, bool may_pivot) {
    struct saga_step *step = &maker->plan->steps[add(maker, parent, SAGA_ACTION)];
    step->limit = maker->pivoted && chance(maker, 50) ? 0 : 1 + sp_prng_below(maker->prng, 3);
    step->undo_limit = 1 + sp_prng_below(maker->prng, 2);
    step->skipped = chance(maker, 8);
    if (!maker->pivoted) {
        step->compensable = chance(maker, 65);
        step->irreversible = !step->compensable && chance(maker, 30);
        step->on_failure = step->compensable && chance(maker, 10);
        step->at_most_once = chance(maker, 10);
        step->pivot = may_pivot && !step->compensable && !step->skipped && chance(maker, 25);
        maker->pivoted = step->pivot;
    }
}

static void make_leaf(struct maker *maker, int parent, bool may_pivot) {
    uint32_t what = sp_prng_below(maker->prng, 100);
    maker->left--;
    if (what < 70) {
        make_action(maker, parent, may_pivot);
        return;
    }
    struct saga_step *step = &maker->plan->steps[add(maker, parent,
                                                     what < 78   ? SAGA_WAIT
                                                     : what < 85 ? SAGA_AWAIT
                                                     : what < 94 ? SAGA_APPROVAL
                                                                 : SAGA_EMIT)];
    step->timeout_us = 1000000 * (1 + sp_prng_below(maker->prng, 20));
    step->timeout_continues = maker->pivoted || chance(maker, 40);
    step->timeout_fails = !step->timeout_continues && chance(maker, 30);
    step->rejection_continues = maker->pivoted || chance(maker, 40);
}

/* The steps of the first item once more, for a further one. */
static void copy_item(struct maker *maker, int from, int to) {
    for (int i = maker->plan->steps[from].first; i != SAGA_NONE; i = maker->plan->steps[i].next) {
        const struct saga_step *step = &maker->plan->steps[i];
        int at = saga_plan_add(maker->plan, to, step->kind, step->name);
        struct saga_step *copy = &maker->plan->steps[at];
        int parent = copy->parent;
        int previous = copy->previous;
        *copy = maker->plan->steps[i];
        copy->parent = parent;
        copy->previous = previous;
        copy->next = SAGA_NONE;
    }
}

static void make_each(struct maker *maker, int parent) {
    int each = add(maker, parent, SAGA_EACH);
    uint32_t items = 1 + sp_prng_below(maker->prng, 4);
    uint32_t leaves = 1 + sp_prng_below(maker->prng, 2);
    maker->plan->steps[each].concurrency = 1 + sp_prng_below(maker->prng, 3);
    int first = SAGA_NONE;
    for (uint32_t i = 0; i < items; i++) {
        char name[SAGA_NAME_SIZE];
        (void)snprintf(name, sizeof(name), "[%u]", i);
        int item = saga_plan_add(maker->plan, each, SAGA_SEQUENCE, name);
        maker->plan->steps[item].is_item = true;
        for (uint32_t k = 0; k < leaves && i == 0; k++) {
            make_leaf(maker, item, false);
            maker->left++;
        }
        first = i == 0 ? item : first;
        if (i > 0) {
            copy_item(maker, first, item);
        }
    }
    maker->left -= maker->left < leaves ? maker->left : leaves;
}

static void make_steps(struct maker *maker, int parent, uint32_t depth);

static void make_container(struct maker *maker, int parent, uint32_t depth) {
    static const enum saga_step_kind KINDS[] = {SAGA_PARALLEL, SAGA_PARALLEL, SAGA_SEQUENCE,
                                                SAGA_SEQUENCE, SAGA_CHOICE};
    uint32_t pick = sp_prng_below(maker->prng, sizeof(KINDS) / sizeof(KINDS[0]));
    int at = add(maker, parent, KINDS[pick]);
    maker->plan->steps[at].is_nested = KINDS[pick] == SAGA_SEQUENCE && chance(maker, 40);
    make_steps(maker, at, depth + 1);
}

/* Recursion no deeper than three: the tree's own depth. */
static void make_steps(struct maker *maker, int parent, uint32_t depth) {
    uint32_t count = 1 + sp_prng_below(maker->prng, depth == 0 ? 5 : 3);
    for (uint32_t i = 0; (i < count && maker->left > 0) || i == 0; i++) {
        bool deeper = depth < 3 && maker->left > 1;
        if (deeper && chance(maker, 15)) {
            make_each(maker, parent);
        } else if (deeper && chance(maker, 35)) {
            make_container(maker, parent, depth);
        } else {
            maker->left += maker->left == 0 ? 1 : 0;
            make_leaf(maker, parent, depth == 0);
        }
    }
}

void saga_plan_random(struct saga_plan *plan, const char *name, struct sp_prng *prng,
                      uint32_t steps_max) {
    saga_plan_init(plan, name);
    struct maker maker = {.plan = plan, .prng = prng, .left = steps_max};
    make_steps(&maker, 0, 0);
    plan->timeout_us = chance(&maker, 15) ? 1000000 * (5 + sp_prng_below(prng, 60)) : 0;
    plan->pauses = chance(&maker, 10);
    saga_plan_finish(plan);
}
