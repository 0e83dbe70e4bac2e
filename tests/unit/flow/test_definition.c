#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "flow/definition.h"

/* JSON with ' for ": easier to read in C. */
static char *quoted(const char *text) {
    char *copy = strdup(text);
    for (char *at = copy; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    return copy;
}

static struct sp_saga_definition *compiled(const char *text) {
    struct sp_saga_definition *definition = NULL;
    struct sp_error error;
    char *json = quoted(text);
    if (sp_saga_definition_parse(sp_str_from(json), &definition, &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    free(json);
    return definition;
}

/* All problems of a text, one a line: "3:7 error: …". */
static void assert_problems(const char *text, const char *expected) {
    struct sp_doc doc;
    struct sp_error error;
    struct sp_buf list;
    struct sp_saga_definition *definition = NULL;
    struct sp_doc_problems *problems = malloc(sizeof(*problems));
    char *json = quoted(text);
    sp_doc_init(&doc);
    sp_doc_problems_init(problems);
    if (sp_doc_parse_json(&doc, sp_str_from(json), &error) != SP_OK) {
        fail_msg("%s", error.text);
    }
    sp_status status = sp_saga_definition_compile(&doc, false, problems, &definition, &error);
    assert_int_equal(status, problems->error_count > 0 ? SP_INVALID : SP_OK);
    sp_saga_definition_unref(definition);
    sp_doc_problems_sort(problems);
    sp_buf_init(&list, 1 << 20);
    for (uint32_t i = 0; i < problems->count; i++) {
        sp_buf_add_u64(&list, problems->items[i].place.line);
        sp_buf_add_byte(&list, ':');
        sp_buf_add_u64(&list, problems->items[i].place.column);
        sp_buf_add_str(&list, problems->items[i].is_warning ? SP_STR(" warning: ") : SP_STR(" "));
        sp_buf_add_str(&list, sp_str_from(problems->items[i].text));
        sp_buf_add_byte(&list, '\n');
    }
    sp_buf_add_byte(&list, 0);
    assert_string_equal((const char *)list.data, expected);
    sp_buf_fini(&list);
    sp_doc_fini(&doc);
    free(problems);
    free(json);
}

static const struct sp_saga_node *at(const struct sp_saga_definition *definition,
                                     const char *path) {
    uint16_t number = sp_saga_definition_find(definition, sp_str_from(path));
    if (number == SP_SAGA_NO_NODE) {
        fail_msg("no step %s", path);
    }
    return &definition->nodes[number];
}

static void assert_text(sp_str text, const char *expected) {
    if (!sp_str_eq(text, sp_str_from(expected))) {
        fail_msg("`%.*s` is not `%s`", SP_STR_ARG(text), expected);
    }
}

static const char BOOK_DEMO[] =
    "{'saga':'book-demo','version':1,'start':{'on':'lead.received'},'steps':["
    "{'name':'qualify_lead','action':'sales.qualify_lead','input':'{lead_id: .lead_id}',"
    "'compensate':'sales.unqualify_lead','timeout':'30s',"
    "'retry':{'limit':3,'backoff':'1s','factor':2,'max':'30s','jitter':0.2}},"
    "{'name':'confirm','approval':{'prompt':'Book the demo?','timeout':'24h',"
    "'on_timeout':'reject'}},"
    "{'name':'book','parallel':["
    "{'name':'slot','action':'calendar.book','compensate':'calendar.cancel'},"
    "{'name':'crm','action':'crm.create_opportunity','compensate':'crm.delete_opportunity'}]}]}";

static void the_demo_of_the_interfaces_is_compiled(void **state) {
    struct sp_saga_definition *definition = compiled(BOOK_DEMO);
    (void)state;
    assert_text(definition->name, "book-demo");
    assert_text(definition->version, "1");
    assert_text(definition->start_pattern, "lead.received");
    assert_int_equal(definition->node_count, 6);
    assert_int_equal(definition->step_count, 5);
    assert_int_equal(definition->pivot, SP_SAGA_NO_NODE);
    const struct sp_saga_node *lead = at(definition, "qualify_lead");
    assert_int_equal(lead->kind, SP_SAGA_ACTION);
    assert_int_equal(lead->timeout_us, 30000000);
    assert_int_equal(lead->retry.max_us, 30000000);
    assert_int_equal(lead->retry.factor_milli, 2000);
    assert_int_equal(lead->retry.jitter_milli, 200);
    assert_text(lead->compensation->action, "sales.unqualify_lead");
    assert_int_equal(lead->compensation->timeout_us, 30000000);
    assert_int_equal(lead->compensation->retry.max_us, 30000000);
    const struct sp_saga_node *confirm = at(definition, "confirm");
    assert_int_equal(confirm->approval->choices.count, 2);
    assert_text(confirm->approval->choices.items[1], "reject");
    assert_int_equal(confirm->approval->on_timeout, SP_SAGA_REJECT);
    assert_int_equal(confirm->approval->on_reject, SP_SAGA_FAIL);
    const struct sp_saga_node *book = at(definition, "book");
    assert_int_equal(book->kind, SP_SAGA_PARALLEL);
    assert_int_equal(book->child_count, 2);
    assert_int_equal(book->end, 6);
    const struct sp_saga_node *slot = &definition->nodes[book->first];
    assert_text(slot->path, "book/slot");
    assert_int_equal(slot->timeout_us, SP_SAGA_TIMEOUT_US_DEFAULT);
    assert_text(definition->nodes[slot->next].path, "book/crm");
    assert_int_equal(definition->nodes[slot->next].next, SP_SAGA_NO_NODE);
    assert_int_equal(definition->program_count, 1);
    assert_string_equal(definition->programs[0].key, "input");
    sp_saga_definition_unref(definition);
}

static void what_was_let_in_is_let_in_again(void **state) {
    struct sp_saga_definition *first = compiled(BOOK_DEMO);
    struct sp_saga_definition *second = NULL;
    (void)state;
    assert_int_equal(sp_saga_definition_parse(first->text, &second, NULL), SP_OK);
    assert_true(sp_str_eq(first->text, second->text));
    assert_memory_equal(first->sha256, second->sha256, SP_SHA256_BYTES);
    sp_saga_definition_unref(sp_saga_definition_ref(first));
    sp_saga_definition_unref(first);
    sp_saga_definition_unref(second);
}

static void every_kind_of_step_is_read(void **state) {
    struct sp_saga_definition *definition = compiled(
        "{'saga':'all','concurrency':5,'timeout':'2h','on_failure':'pause','output':'.steps.a',"
        "'start':{'on':'a.#','filter':{'data.x':1},'key':'.data.k','data':'.data'},'steps':["
        "{'name':'a','action':'t.a','semantics':'at_most_once','irreversible':true},"
        "{'name':'b','action':'t.b','when':'.x','compensate_on_failure':true,'compensate':"
        "{'action':'t.unb','input':'.result','timeout':'1s','retry':{'limit':'unlimited'}}},"
        "{'name':'c','choice':[{'when':'.x == 1','steps':[{'name':'d','wait':'90s'}]},"
        "{'steps':[{'name':'e','wait':{'for':'.pause'}},"
        "{'name':'f','wait':{'until':'.at'}}]}]},"
        "{'name':'g','for_each':'.items','concurrency':3,'steps':[{'name':'h','sequence':["
        "{'name':'i','emit':{'type':'t.i','data':'.item','stream':'s'}}]}]},"
        "{'name':'j','wait':{'event':'pay.*','filter':{'data.ok':true},'key':'.order',"
        "'match':'data.order','timeout':'1h','on_timeout':'continue'}},"
        "{'name':'k','approval':{'prompt':'p','choices':['yes','no','reject'],'who':['ann','bob'],"
        "'timeout':600,'on_timeout':'approve','on_reject':'continue','data':'.x',"
        "'escalate':{'after':'5m','to':['eve']}}},"
        "{'name':'l','action':'t.l','pivot':true},{'name':'m','action':'t.m'}]}");
    (void)state;
    assert_int_equal(definition->concurrency, 5);
    assert_true(definition->pause_on_failure);
    assert_int_equal(definition->nodes[0].timeout_us, UINT64_C(7200000000));
    assert_text(definition->nodes[0].output, ".steps.a");
    assert_non_null(definition->start_filter);
    assert_text(definition->start_filter_text, "{\"data.x\":1}");
    assert_text(definition->start_key, ".data.k");
    assert_true(at(definition, "a")->at_most_once && at(definition, "a")->irreversible);
    const struct sp_saga_node *b = at(definition, "b");
    assert_true(b->compensate_on_failure);
    assert_int_equal(b->compensation->timeout_us, 1000000);
    assert_int_equal(b->compensation->retry.limit, 0);
    assert_int_equal(b->compensation->retry.backoff_us, 1000000);
    assert_text(b->when, ".x");
    const struct sp_saga_node *c = at(definition, "c");
    assert_int_equal(c->kind, SP_SAGA_CHOICE);
    assert_int_equal(c->child_count, 2);
    assert_int_equal(definition->nodes[c->first].kind, SP_SAGA_BRANCH);
    assert_int_equal(definition->nodes[definition->nodes[c->first].next].branch, 1);
    assert_int_equal(at(definition, "c/d")->wait->for_us, 90000000);
    assert_text(at(definition, "c/e")->wait->for_program, ".pause");
    assert_text(at(definition, "c/f")->wait->until, ".at");
    assert_int_equal(at(definition, "g")->concurrency, 3);
    assert_text(at(definition, "g[7]/h/i")->path, "g[]/h/i");
    assert_text(at(definition, "g/h/i")->emit->stream, "s");
    const struct sp_saga_node *j = at(definition, "j");
    assert_text(j->wait->pattern, "pay.*");
    assert_non_null(j->wait->filter);
    assert_text(j->wait->match, "data.order");
    assert_int_equal(j->wait->on_timeout, SP_SAGA_CONTINUE);
    assert_int_equal(j->timeout_us, UINT64_C(3600000000));
    const struct sp_saga_node *k = at(definition, "k");
    assert_int_equal(k->approval->choices.count, 3);
    assert_int_equal(k->approval->who.count, 2);
    assert_int_equal(k->approval->on_timeout, SP_SAGA_APPROVE);
    assert_int_equal(k->approval->on_reject, SP_SAGA_CONTINUE);
    assert_int_equal(k->approval->escalate_after_us, 300000000);
    assert_int_equal(k->timeout_us, 600000000);
    assert_text(definition->nodes[definition->pivot].path, "l");
    assert_true(at(definition, "m")->after_pivot);
    assert_int_equal(at(definition, "m")->retry.limit, 0);
    assert_int_equal(at(definition, "l")->retry.limit, 3);
    assert_int_equal(sp_saga_definition_find(definition, SP_STR("c/x")), SP_SAGA_NO_NODE);
    assert_int_equal(sp_saga_definition_find(definition, SP_STR("g[7")), SP_SAGA_NO_NODE);
    sp_saga_definition_unref(definition);
}

static void the_graph_is_in_order(void **state) {
    struct sp_saga_definition *definition = compiled(
        "{'saga':'s','steps':[{'name':'p','sequence':[{'name':'q','parallel':[{'name':'r',"
        "'wait':1},{'name':'s','wait':1}]},{'name':'t','wait':1}]},{'name':'u','wait':1}]}");
    (void)state;
    for (uint16_t i = 1; i < definition->node_count; i++) {
        const struct sp_saga_node *node = &definition->nodes[i];
        const struct sp_saga_node *parent = &definition->nodes[node->parent];
        assert_true(node->parent < i && i < parent->end && node->end <= parent->end);
        assert_true(node->previous == SP_SAGA_NO_NODE
                        ? parent->first == i
                        : definition->nodes[node->previous].next == i);
        assert_int_equal(node->scope, 0);
    }
    assert_int_equal(at(definition, "p")->end, 6);
    sp_saga_definition_unref(definition);
}

static void several_mistakes_are_told_at_once(void **state) {
    (void)state;
    assert_problems(
        "{'saga':'x y','stepz':[],\n"
        " 'steps':[\n"
        "  {'name':'a','acton':'t.a'},\n"
        "  {'name':'b','action':'t b','tiemout':'3s'},\n"
        "  {'name':'b','action':'t.b','timeout':'soon','retry':{'limit':0,'max':'1s',"
        "'backoff':'2s'}},\n"
        "  {'name':'c','action':'t.c','wait':'3s'},\n"
        "  {'action':'saga.started','input':{'a':'.b'}},\n"
        "  {'name':'d'},\n"
        "  {'name':'e','irreversible':true,'compensate':'t.e','action':'t.e2'},\n"
        "  7]}",
        "1:9 `x y` is no name: a letter, then letters, digits, `_`, `-`, `.`, at most 63\n"
        "1:15 a saga's definition has no key `stepz`; did you mean `steps`?\n"
        "3:15 a step has no key `acton`; did you mean `action`?\n"
        "4:24 `action`: type: found white space at byte 1, expected tokens joined by '.'\n"
        "4:30 an action step has no key `tiemout`; did you mean `timeout`?\n"
        "5:11 a step `b` is there already, in line 4; names beside one another must differ\n"
        "5:40 `timeout`: not a duration: byte 1: expected a whole number\n"
        "5:64 `limit`: expected a whole number from 1 to 1000000, found 0\n"
        "5:72 `max` is less than `backoff`\n"
        "6:30 a step is one thing: `action` or `wait`, not both\n"
        "7:3 a step has no `name`\n"
        "7:13 `saga.started`: types of `saga.` and `action.` have a meaning of their own\n"
        "7:36 `input`: expected a jq program in quotes, found an object\n"
        "8:3 a step needs one of `action`, `parallel`, `sequence`, `choice`, `for_each`, `saga`, "
        "`wait`, `approval` and `emit`\n"
        "9:15 a step is `irreversible` or has a `compensate`, not both\n"
        "10:3 a step is an object, not a number\n");
}

static void the_parts_of_steps_are_checked(void **state) {
    (void)state;
    assert_problems(
        "{'saga':'x','start':{'key':'.a'},'steps':[\n"
        "{'name':'a','wait':{'for':'1s','until':'.x'}},\n"
        "{'name':'b','wait':{'event':'a','key':'.x','on_timeout':'maybe'}},\n"
        "{'name':'c','wait':{'for':'1s','filter':{}}},\n"
        "{'name':'d','approval':{'choices':[],'on_timeout':'reject','escalate':{'to':[1]}}},\n"
        "{'name':'e','emit':{'stream':'$x'}},\n"
        "{'name':'f','for_each':'.x'},\n"
        "{'name':'g','choice':[{'steps':[{'name':'h','wait':1}]},{'when':'.y','steps':[{'name':'h',"
        "'wait':1}]}]},\n"
        "{'name':'i','saga':'other'},\n"
        "{'name':'j','parallel':[]}]}",
        "1:21 `start` has no `on`: the type of the event that starts it, or a pattern\n"
        "2:20 `wait` needs exactly one of `for`, `until` and `event`\n"
        "3:33 `key` (jq over the context) and `match` (a path in the event, which is to equal it) "
        "belong together\n"
        "3:44 `on_timeout` without `timeout`\n"
        "3:57 `on_timeout`: expected fail or continue, found `maybe`\n"
        "4:32 `filter` goes with `event` only\n"
        "5:24 `approval` has no `prompt`: what is asked of the one who decides\n"
        "5:35 `choices`: expected a list of 1 to 16 texts\n"
        "5:38 `on_timeout` without `timeout`\n"
        "5:71 `escalate` needs `after` and `to`\n"
        "5:78 `to`: expected text, found a number\n"
        "6:20 `emit` has no `type`\n"
        "6:30 `stream`: `$x` is written by spoor alone\n"
        "7:1 a for_each step has no `steps`: what is done with each item\n"
        "8:57 this branch is never reached: one before it has no `when`\n"
        "8:87 a step `h` is there already, in line 8; names beside one another must differ, in all "
        "branches of a choice\n"
        "9:20 the definition of the saga `other` is not there\n"
        "10:24 `parallel`: expected a list of 1 to 256 steps, found an empty one\n");
}

static void nothing_behind_the_pivot_is_undone(void **state) {
    (void)state;
    assert_problems(
        "{'saga':'x','steps':[{'name':'s','sequence':[\n"
        "{'name':'a','action':'t.a','pivot':true},\n"
        "{'name':'b','action':'t.b','compensate':'t.unb'}]},\n"
        "{'name':'c','action':'t.c','pivot':true},\n"
        "{'name':'p','parallel':[{'name':'d','action':'t.d','retry':{'limit':2}}]}]}",
        "3:9 `s/b` runs after the pivot, behind which nothing is undone: it cannot have a "
        "`compensate`\n"
        "4:9 `c` is a second pivot; the first is `s/a`, in line 2\n"
        "5:33 warning: `p/d` runs after the pivot: when its 2 attempts are used up, the saga waits "
        "for a person; without `limit` it is tried until it succeeds\n");
    assert_problems("{'saga':'x','steps':[{'name':'p','parallel':[\n"
                    "{'name':'a','action':'t.a','pivot':true}]}]}",
                    "2:9 `p/a` cannot be the pivot: it is in a parallel step\n");
}

static void what_is_doubtful_is_told(void **state) {
    (void)state;
    assert_problems(
        "{'saga':'x','timeout':'1m','start':{'on':'t.*'},'steps':[\n"
        "{'name':'a','action':'t.a','timeout':'30s'},\n"
        "{'name':'b','action':'u.b','compensate':'u.b','retry':{'limit':'unlimited'}},\n"
        "{'name':'c','wait':'1h','when':' false '},\n"
        "{'name':'d','action':'u.d','timeout':1,'input':'.steps.a.result + .steps.bb.result, "
        ".data.steps.zz, \\'.steps.yy\\''},\n"
        "{'name':'e','approval':{'prompt':'?','timeout':'10s','escalate':{'after':'1m','to':"
        "['a']}},'when':'.steps.f'},\n"
        "{'name':'f','action':'u.f','timeout':1}]}",
        "2:9 warning: `a` has no `compensate`: where a later step fails, what it did stays; add "
        "one, or say `irreversible: true`\n"
        "2:9 warning: `a` appends `t.a`, which starts this saga again, without end\n"
        "3:9 warning: `b` is tried without limit before the pivot: the saga may never come to an "
        "end, nor be undone\n"
        "3:9 warning: `b` may take 5m, longer than the saga's timeout of 1m\n"
        "3:41 warning: `compensate` is the very action that it should undo\n"
        "4:9 warning: `c` may take 1h, longer than the saga's timeout of 1m\n"
        "4:9 warning: `when` is always false: this is never reached\n"
        "5:9 warning: `d` has no `compensate`: where a later step fails, what it did stays; add "
        "one, or say `irreversible: true`\n"
        "5:48 warning: `input` reads `.steps.bb`: there is no such step; did you mean `b`?\n"
        "6:74 warning: it is escalated only after its `timeout`, so never\n"
        "6:99 warning: `when` reads `.steps.f`, which runs only later\n");
    assert_problems("{'saga':'x','start':{'on':'#'},'steps':[{'name':'a','wait':1}]}",
                    "1:27 `#` wants the events of sagas too, and would start without end; name "
                    "types, or add a `filter`\n");
}

/* ---- nested ---- */

struct library {
    struct sp_saga_definition *inner;
};

static sp_str find_inner(void *context, sp_str name) {
    struct library *library = context;
    return sp_str_eq(name, SP_STR("inner")) ? library->inner->text : SP_STR("");
}

static void nested_sagas_are_put_in_their_places(void **state) {
    struct library library = {
        .inner = compiled("{'saga':'inner','timeout':'9s','output':'.steps.x.result','steps':["
                          "{'name':'x','action':'t.x','timeout':'1s','compensate':'t.unx',"
                          "'input':'.n'}]}")};
    struct sp_saga_lookup lookup = {.context = &library, .find = find_inner};
    struct sp_doc_problems *problems = malloc(sizeof(*problems));
    struct sp_saga_definition *definition = NULL;
    struct sp_error error;
    struct sp_doc doc;
    char *json = quoted("{'saga':'outer','steps':[{'name':'n','saga':'inner','input':'{n: 1}'},"
                        "{'name':'p','parallel':[{'name':'m','saga':'inner'}]}]}");
    (void)state;
    sp_doc_init(&doc);
    sp_doc_problems_init(problems);
    assert_int_equal(sp_doc_parse_json(&doc, sp_str_from(json), &error), SP_OK);
    assert_int_equal(sp_saga_definition_inline(&doc, &lookup, problems, &error), SP_OK);
    assert_int_equal(sp_saga_definition_compile(&doc, false, problems, &definition, &error), SP_OK);
    const struct sp_saga_node *n = at(definition, "n");
    assert_true(n->is_scope);
    assert_int_equal(n->timeout_us, 9000000);
    assert_text(n->saga, "inner");
    assert_text(n->output, ".steps.x.result");
    const struct sp_saga_node *x = at(definition, "n/x");
    assert_int_equal(x->scope, n - definition->nodes);
    assert_text(at(definition, "p/m/x")->path, "p/m/x");
    struct sp_saga_definition *again = NULL;
    assert_int_equal(sp_saga_definition_parse(definition->text, &again, &error), SP_OK);
    assert_memory_equal(again->sha256, definition->sha256, SP_SHA256_BYTES);
    assert_int_equal(again->node_count, definition->node_count);
    sp_saga_definition_unref(again);
    sp_saga_definition_unref(definition);
    sp_saga_definition_unref(library.inner);
    sp_doc_fini(&doc);
    free(problems);
    free(json);
}

static void an_unknown_nested_saga_is_a_problem(void **state) {
    struct library library = {.inner = compiled(BOOK_DEMO)};
    struct sp_saga_lookup lookup = {.context = &library, .find = find_inner};
    struct sp_doc_problems *problems = malloc(sizeof(*problems));
    struct sp_saga_definition *definition = NULL;
    struct sp_error error;
    struct sp_doc doc;
    char *json = quoted("{'saga':'outer','steps':[{'name':'n','saga':'ghost'}]}");
    (void)state;
    sp_doc_init(&doc);
    sp_doc_problems_init(problems);
    assert_int_equal(sp_doc_parse_json(&doc, sp_str_from(json), &error), SP_OK);
    assert_int_equal(sp_saga_definition_inline(&doc, &lookup, problems, &error), SP_OK);
    assert_int_equal(problems->error_count, 1);
    assert_string_equal(problems->items[0].text, "no saga `ghost` is defined; define it first");
    assert_int_equal(sp_saga_definition_compile(&doc, false, problems, &definition, &error),
                     SP_INVALID);
    assert_int_equal(problems->error_count, 1); /* told once */
    sp_doc_problems_init(problems);
    assert_int_equal(sp_saga_definition_compile(&doc, true, problems, &definition, &error), SP_OK);
    assert_int_equal(at(definition, "n")->child_count, 0);
    sp_saga_definition_unref(definition);
    sp_saga_definition_unref(library.inner);
    sp_doc_fini(&doc);
    free(problems);
    free(json);
}

/* ---- limits ---- */

/* `count` steps beside one another, and `depth` sequences around the last one. */
static sp_status compile_large(uint32_t count, uint32_t depth, struct sp_error *error) {
    struct sp_saga_definition *definition = NULL;
    struct sp_buf text;
    sp_buf_init(&text, 1 << 20);
    sp_buf_add_str(&text, SP_STR("{\"saga\":\"x\",\"steps\":["));
    for (uint32_t i = 0; i + 1 < count; i++) {
        sp_buf_add_str(&text, SP_STR("{\"name\":\"a"));
        sp_buf_add_u64(&text, i);
        sp_buf_add_str(&text, SP_STR("\",\"wait\":1},"));
    }
    for (uint32_t i = 0; i < depth; i++) {
        sp_buf_add_str(&text, SP_STR("{\"name\":\"s\",\"sequence\":["));
    }
    sp_buf_add_str(&text, SP_STR("{\"name\":\"last\",\"wait\":1}"));
    for (uint32_t i = 0; i < depth; i++) {
        sp_buf_add_str(&text, SP_STR("]}"));
    }
    sp_buf_add_str(&text, SP_STR("]}"));
    sp_status status = sp_saga_definition_parse(sp_buf_str(&text), &definition, error);
    sp_saga_definition_unref(definition);
    sp_buf_fini(&text);
    return status;
}

static void definitions_have_limits(void **state) {
    struct sp_error error;
    (void)state;
    assert_int_equal(compile_large(256, 0, &error), SP_OK);
    assert_int_equal(compile_large(257, 0, &error), SP_INVALID);
    assert_non_null(strstr(error.text, "a list of 1 to 256 steps"));
    assert_int_equal(compile_large(256, 1, &error), SP_INVALID);
    assert_non_null(strstr(error.text, "more than 256 steps"));
    assert_int_equal(compile_large(1, 16, &error), SP_OK);
    assert_int_equal(compile_large(1, 17, &error), SP_INVALID);
    assert_non_null(strstr(error.text, "more than 16 steps within one another"));
    char *text = calloc(1, SP_SAGA_BYTES_MAX + 100);
    memset(text, ' ', SP_SAGA_BYTES_MAX + 99);
    const char *head = "{\"saga\":\"x\",\"steps\":[{\"name\":\"a\",\"wait\":1,\"emit\":\"";
    memcpy(text, head, strlen(head));
    struct sp_saga_definition *definition = NULL;
    assert_int_equal(sp_saga_definition_parse(sp_str_from(text), &definition, &error), SP_INVALID);
    free(text);
}

static void a_definition_has_a_largest_size(void **state) {
    struct sp_buf text;
    struct sp_error error;
    struct sp_saga_definition *definition = NULL;
    (void)state;
    sp_buf_init(&text, 1 << 20);
    sp_buf_add_str(&text, SP_STR("{\"saga\":\"x\",\"steps\":["));
    for (uint32_t i = 0; i < 100; i++) {
        sp_buf_add_str(&text, i == 0 ? SP_STR("{\"name\":\"a") : SP_STR(",{\"name\":\"a"));
        sp_buf_add_u64(&text, i);
        sp_buf_add_str(&text, SP_STR("\",\"wait\":1,\"description\":\""));
        for (int j = 0; j < 100; j++) {
            sp_buf_add_str(&text, SP_STR("0123456"));
        }
        sp_buf_add_str(&text, SP_STR("\"}"));
    }
    sp_buf_add_str(&text, SP_STR("]}"));
    assert_int_equal(sp_saga_definition_parse(sp_buf_str(&text), &definition, &error), SP_LIMIT);
    assert_non_null(strstr(error.text, "more than 65536 bytes"));
    sp_buf_fini(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_demo_of_the_interfaces_is_compiled),
        cmocka_unit_test(what_was_let_in_is_let_in_again),
        cmocka_unit_test(every_kind_of_step_is_read),
        cmocka_unit_test(the_graph_is_in_order),
        cmocka_unit_test(several_mistakes_are_told_at_once),
        cmocka_unit_test(the_parts_of_steps_are_checked),
        cmocka_unit_test(nothing_behind_the_pivot_is_undone),
        cmocka_unit_test(what_is_doubtful_is_told),
        cmocka_unit_test(nested_sagas_are_put_in_their_places),
        cmocka_unit_test(an_unknown_nested_saga_is_a_problem),
        cmocka_unit_test(definitions_have_limits),
        cmocka_unit_test(a_definition_has_a_largest_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
