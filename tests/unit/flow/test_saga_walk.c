/*
 * Sagas with random workers, people and clocks, until all have ended: whatever happens, each one
 * comes to an end or waits for something that can be named, and nothing is undone that was not
 * done. The definitions are given; what happens to them follows from the seed.
 */
#include "saga_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"

enum { SAGAS = 3, MOVES = 400, SEEDS = 60 };

static const char *const definitions[] = {
    "{'saga':'s','steps':["
    "{'name':'a','action':'do.a','compensate':'undo.a','retry':{'limit':2}},"
    "{'name':'p','parallel':["
    "{'name':'x','action':'do.x','compensate':'undo.x','retry':{'limit':2}},"
    "{'name':'q','sequence':["
    "{'name':'y','action':'do.y','compensate':'undo.y','retry':{'limit':1}},"
    "{'name':'z','action':'do.z','irreversible':true,'retry':{'limit':2}}]},"
    "{'name':'ok','approval':{'prompt':'?','timeout':'1h','escalate':{'after':'10m',"
    "'to':['eve']},'who':['ann']}}]},"
    "{'name':'b','action':'do.b','irreversible':true,'retry':{'limit':2}}]}",

    "{'saga':'s','on_failure':'pause','timeout':'3h','concurrency':2,'steps':["
    "{'name':'each','for_each':'.items','concurrency':2,'steps':["
    "{'name':'a','action':'do.a','compensate':{'action':'undo.a','retry':{'limit':1}}},"
    "{'name':'w','wait':'5m'},"
    "{'name':'b','action':'do.b','compensate':'undo.b','semantics':'at_most_once'}]},"
    "{'name':'c','action':'do.c','irreversible':true}]}",

    "{'saga':'s','steps':["
    "{'name':'a','action':'do.a','compensate':{'action':'undo.a','retry':{'limit':2}}},"
    "{'name':'n','saga':'in','definition':{'saga':'in','timeout':'20m','steps':["
    "{'name':'x','action':'do.x','compensate':'undo.x','retry':{'limit':2}},"
    "{'name':'e','emit':{'type':'told'}}]}},"
    "{'name':'w','wait':{'event':'paid','timeout':'30m'}},"
    "{'name':'p','action':'do.p','pivot':true,'retry':{'limit':2}},"
    "{'name':'b','action':'do.b','retry':{'limit':2}}]}",

    "{'saga':'s','steps':["
    "{'name':'k','choice':[{'when':'.one','steps':["
    "{'name':'a','action':'do.a','compensate':'undo.a'}]},"
    "{'steps':[{'name':'b','action':'do.b','compensate':'undo.b',"
    "'compensate_on_failure':true}]}]},"
    "{'name':'g','when':'.gate','parallel':["
    "{'name':'x','action':'do.x','compensate':{'action':'undo.x','retry':{'limit':1}}},"
    "{'name':'y','action':'do.y','compensate':'undo.y','retry':{'limit':1}}]}]}",
};

struct walk {
    struct help *help;
    struct sp_prng prng;
    char ids[SAGAS][SP_SAGA_ID_SIZE];
};

static const char *say(void *context, const char *program, const char *input) {
    struct walk *walk = context;
    (void)input;
    uint32_t dice = sp_prng_below(&walk->prng, 10);
    if (dice == 0) {
        return NULL;
    }
    if (strstr(program, ".items") != NULL) {
        return dice == 1 ? "[]" : "[1,2,3,4]";
    }
    if (strstr(program, ".gate") != NULL) {
        return dice < 4 ? "null" : "[]";
    }
    return dice < 5 ? "0" : "1";
}

/* The commands that were ever sent; answers go to any of them, old ones too. */
static bool random_command(struct walk *walk, struct sp_event *ret_event) {
    for (unsigned tries = 0; tries < 20; tries++) {
        uint32_t back = sp_prng_below(&walk->prng, 40);
        if (back < walk->help->count) {
            help_event(walk->help, walk->help->count - back, ret_event);
            for (uint16_t i = 0; i < ret_event->extension_count; i++) {
                if (sp_str_eq(ret_event->extensions[i].name, SP_STR("idempotencykey"))) {
                    return true;
                }
            }
        }
    }
    return false;
}

static void answer(struct walk *walk) {
    static const char *const data[] = {"{}",
                                       NULL,
                                       "{'error':'no'}",
                                       "{'retryable':false}",
                                       "not JSON",
                                       "{'unknown':true,'retryable':false}"};
    struct sp_event command;
    char id[256];
    char type[64];
    if (!random_command(walk, &command)) {
        return;
    }
    bool is_ok = sp_prng_below(&walk->prng, 3) > 0;
    (void)snprintf(id, sizeof(id), "%.*s", SP_STR_ARG(command.attr[SP_ATTR_ID]));
    (void)snprintf(type, sizeof(type), "%.*s.%s", SP_STR_ARG(command.attr[SP_ATTR_TYPE]),
                   is_ok ? "completed" : "failed");
    (void)help_put(walk->help, type, NULL, id, data[sp_prng_below(&walk->prng, 6)]);
}

static void person(struct walk *walk) {
    static const enum sp_saga_action actions[] = {SP_SAGA_RETRY, SP_SAGA_RETRY,     SP_SAGA_SKIP,
                                                  SP_SAGA_UNDO,  SP_SAGA_MARK_DONE, SP_SAGA_CANCEL};
    uint32_t which = sp_prng_below(&walk->prng, SAGAS);
    memcpy(walk->help->sagaid, walk->ids[which], SP_SAGA_ID_SIZE);
    uint32_t dice = sp_prng_below(&walk->prng, 24);
    enum sp_saga_action action = actions[dice < 6 ? dice : dice % 5];
    if (action == SP_SAGA_CANCEL && sp_prng_below(&walk->prng, 4) > 0) {
        return;
    }
    (void)help_request(walk->help, action, NULL, NULL);
}

static void decision(struct walk *walk) {
    struct sp_saga_approval_info info;
    uint32_t which = sp_prng_below(&walk->prng, SAGAS);
    bool is_yes = sp_prng_below(&walk->prng, 3) > 0;
    const char *by = sp_prng_below(&walk->prng, 2) > 0 ? "{'by':'ann'}" : "{'by':'eve'}";
    if (sp_sagas_find_approval(walk->help->sagas, sp_str_from(walk->ids[which]), &info, NULL) ==
        SP_OK) {
        (void)help_put(walk->help, is_yes ? "action.approved" : "action.vetoed", NULL,
                       info.proposal, by);
    }
}

static void time_passes(struct walk *walk) {
    uint64_t due_us = sp_flow_due(walk->help->flow);
    if (due_us != UINT64_MAX && due_us > walk->help->now_us) {
        walk->help->now_us = due_us;
    }
}

static bool names_its_wait(void *context, const struct sp_saga_info *info) {
    (void)context;
    if (info->waiting == SP_SAGA_WAITS_NOT) {
        fail_msg("%s is %.*s and waits for nothing", info->id, SP_STR_ARG(info->status));
    }
    return true;
}

static void move(struct walk *walk) {
    uint32_t dice = sp_prng_below(&walk->prng, 100);
    if (dice < 55) {
        answer(walk);
    } else if (dice < 70) {
        time_passes(walk);
    } else if (dice < 80) {
        person(walk);
    } else if (dice < 85) {
        decision(walk);
    } else if (dice < 87) {
        (void)help_put(walk->help, "paid", NULL, NULL, "{}");
    }
    for (uint32_t i = sp_prng_below(&walk->prng, 6); i > 0; i--) {
        uint32_t most = walk->help->lazy ? 1 + sp_prng_below(&walk->prng, HELP_BATCH_MAX) : 1;
        (void)help_batch(walk->help, most); /* some of what there is to do, or all */
    }
    if (dice >= 50) {
        help_run(walk->help);
        sp_sagas_each(walk->help->sagas, names_its_wait, NULL);
    }
}

/* ---- what must hold of the whole record ---- */

static bool has_id(const struct sp_event *event, const char *id) {
    return sp_str_eq(event->attr[SP_ATTR_STREAM], sp_str_from(id));
}

static sp_str step_of(const struct sp_event *event) {
    for (uint16_t i = 0; i < event->extension_count; i++) {
        if (sp_str_eq(event->extensions[i].name, SP_STR("sagastep"))) {
            return event->extensions[i].value;
        }
    }
    return SP_STR("");
}

/* S1: what is undone was begun before. S3: nothing begins once something is undone. S6: nothing
 * follows the end but answers that are ignored. */
static void check_record(struct walk *walk, const char *sagaid) {
    char stream[64];
    char begun[4096] = "";
    bool is_back = false;
    bool is_over = false;
    struct sp_event event;
    (void)snprintf(stream, sizeof(stream), "saga:%s", sagaid);
    for (uint64_t i = 1; i <= walk->help->count; i++) {
        help_event(walk->help, i, &event);
        if (!has_id(&event, stream)) {
            continue;
        }
        char line[256];
        sp_str type = event.attr[SP_ATTR_TYPE];
        bool is_ignored = sp_str_eq(type, SP_STR("saga.answer.ignored"));
        assert_true(!is_over || is_ignored);
        (void)snprintf(line, sizeof(line), "<%.*s>", SP_STR_ARG(step_of(&event)));
        if (sp_str_eq(type, SP_STR("saga.step.started"))) {
            assert_false(is_back);
            assert_true(strlen(begun) + strlen(line) < sizeof(begun));
            strcat(begun, line);
        } else if (sp_str_eq(type, SP_STR("saga.step.compensating"))) {
            assert_true(is_back);
            assert_non_null(strstr(begun, line));
        } else if (sp_str_eq(type, SP_STR("saga.compensation.started"))) {
            assert_false(is_back);
            is_back = true;
        }
        is_over = is_over || sp_str_eq(type, SP_STR("saga.completed")) ||
                  sp_str_eq(type, SP_STR("saga.compensated")) ||
                  sp_str_eq(type, SP_STR("saga.cancelled"));
        assert_false(sp_str_eq(type, SP_STR("saga.completed")) && is_back);
    }
    assert_true(is_over);
}

/* S10: with workers that answer and people who decide, all of them end. */
static void let_end(struct walk *walk) {
    for (unsigned i = 0; sp_sagas_count(walk->help->sagas) > 0; i++) {
        struct sp_saga_info info;
        assert_true(i < 2000);
        help_run(walk->help);
        for (uint32_t s = 0; s < SAGAS; s++) {
            memcpy(walk->help->sagaid, walk->ids[s], SP_SAGA_ID_SIZE);
            if (sp_sagas_find(walk->help->sagas, sp_str_from(walk->ids[s]), &info) &&
                info.waiting == SP_SAGA_WAITS_OPERATOR) {
                (void)help_request(walk->help, SP_SAGA_SKIP, info.step, NULL);
            }
        }
        answer(walk);
        time_passes(walk);
    }
}

static void walk_with(const char *definition, uint64_t seed) {
    struct walk walk = {.help = help_new(), .prng = sp_prng_seed(seed)};
    walk.help->program = say;
    walk.help->context = &walk;
    walk.help->lazy = seed % 4 != 0; /* the others are made again after each event */
    help_define(walk.help, definition);
    for (uint32_t i = 0; i < SAGAS; i++) {
        help_start(walk.help, "s", "{'n':1}");
        memcpy(walk.ids[i], walk.help->sagaid, SP_SAGA_ID_SIZE);
    }
    for (unsigned i = 0; i < MOVES / (walk.help->lazy ? 1 : 4); i++) {
        walk.help->random = sp_prng_next(&walk.prng);
        move(&walk);
    }
    let_end(&walk);
    for (uint32_t i = 0; i < SAGAS; i++) {
        check_record(&walk, walk.ids[i]);
    }
    assert_int_equal(walk.help->flow->watch.live, 0);
    help_free(walk.help);
}

static void test_walks(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(definitions) / sizeof(definitions[0]); i++) {
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            walk_with(definitions[i], seed * 7 + i);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_walks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
