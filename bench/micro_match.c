/*
 * How fast matching is, in one thread: filters over events of about 300 bytes of data, the trie
 * with 10, 1,000 and 100,000 patterns of which the same ones match, regular expressions. Prints one
 * JSON line a measure: the best of several repeats, since what disturbs only slows down.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "event/envelope.h"
#include "event/event_json.h"
#include "match/filter.h"
#include "match/regex.h"
#include "match/trie.h"

enum { REPEATS = 7, EVENTS = 4, ROUNDS = 200000 };

static const char *const EVENT_TEXTS[EVENTS] = {
    "{'type':'task.completed','source':'reviewer-7','id':'e-1','correlationid':'run-19',"
    "'data':{'task_id':'t-4711','agent':'reviewer-7','status':'done','priority':'high',"
    "'domain':'financial','repository':'payments/ledger','duration_ms':8123,'score':0.9375,"
    "'tags':['review','nightly','eu-west'],'usage':{'input_tokens':1834,'output_tokens':412},"
    "'summary':'Two findings, none of them blocking; approved after the second pass.'}}",
    "{'type':'tool.called','source':'triage-2','id':'e-2','correlationid':'run-20',"
    "'data':{'tool':'search_orders','call_id':'call_91','arguments':{'customer':'c-5512',"
    "'status':'open','limit':20},'priority':'low','domain':'support','duration_ms':57,"
    "'retry':false,'result':{'count':3,'ids':['o-1','o-7','o-12'],'next':null},"
    "'summary':'Three open orders found; the oldest has waited for nine days already.'}}",
    "{'type':'agent.message','source':'refund-1','id':'e-3','correlationid':'run-21',"
    "'data':{'role':'assistant','content':'I can refund the second item.\\nThe first one was "
    "delivered as described, so the rules of the shop allow an exchange only.\\nShall I go on?',"
    "'priority':'normal','domain':'refund','duration_ms':1290,'usage':{'input_tokens':702,"
    "'output_tokens':44},'model':'m-large','temperature':0.2,'finish':'stop'}}",
    "{'type':'deploy.failed','source':'deployer-3','id':'e-4','correlationid':'run-22',"
    "'data':{'service':'ledger-api','environment':'production','version':'2.14.1','priority':"
    "'critical','domain':'infrastructure','duration_ms':45012,'attempt':2,'error':{'kind':"
    "'timeout','message':'health check did not answer within 30 s','retryable':true},"
    "'nodes':['n-1','n-2','n-3','n-4'],'rolled_back':true,'owner':'platform'}}",
};

static struct sp_event events[EVENTS];
static char event_texts[EVENTS][1024];
static struct sp_buf scratch;

static double now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void fail(const char *what, const struct sp_error *error) {
    fprintf(stderr, "micro_match: %s: %s\n", what, error->text);
    exit(1);
}

/* Writes the text with " for each ', which can be read in C. */
static sp_str requote(const char *text, char *to, size_t size) {
    size_t len = strlen(text);
    if (len >= size) {
        exit(1);
    }
    for (size_t i = 0; i < len; i++) {
        to[i] = text[i] == '\'' ? '"' : text[i];
    }
    return sp_str_of(to, len);
}

static void make_events(void) {
    struct sp_event_limits limits = SP_EVENT_LIMITS_DEFAULT;
    struct sp_error error;
    sp_buf_init(&scratch, 1 << 20);
    (void)sp_buf_reserve(&scratch, 1 << 18); /* so that nothing moves */
    for (int i = 0; i < EVENTS; i++) {
        sp_str text = requote(EVENT_TEXTS[i], event_texts[i], sizeof(event_texts[i]));
        if (sp_event_from_json(text, SP_EVENT_LENIENT, &scratch, &events[i], &error) != SP_OK ||
            sp_event_check(&events[i], SP_EVENT_FROM_JSON, &limits, &scratch, &error) != SP_OK) {
            fail(EVENT_TEXTS[i], &error);
        }
    }
}

static void bench_filter(const char *name, const char *text) {
    struct sp_filter *filter = NULL;
    struct sp_error error;
    char quoted[1024];
    if (sp_filter_compile(requote(text, quoted, sizeof(quoted)), &filter, &error) != SP_OK) {
        fail(text, &error);
    }
    double best = 1e18;
    size_t matched = 0;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now_ns();
        matched = 0;
        for (int round = 0; round < ROUNDS; round++) {
            matched += sp_filter_match(filter, &events[round % EVENTS]);
        }
        double took = now_ns() - start;
        best = took < best ? took : best;
    }
    printf("{\"bench\":\"filter\",\"name\":\"%s\",\"events_per_s\":%.0f,\"ns_per_event\":%.1f,"
           "\"matched\":%.2f}\n",
           name, ROUNDS / best * 1e9, best / ROUNDS, (double)matched / ROUNDS);
    sp_filter_free(filter);
}

static void bench_filters(void) {
    size_t bytes = 0;
    for (int i = 0; i < EVENTS; i++) {
        bytes += events[i].data.len;
    }
    printf("{\"bench\":\"events\",\"count\":%d,\"data_bytes_mean\":%zu}\n", EVENTS, bytes / EVENTS);
    bench_filter("attribute", "{'type':'task.completed'}");
    bench_filter("type_prefix", "{'type':{'$prefix':'task.'}}");
    bench_filter("data_1", "{'data.domain':'financial'}");
    bench_filter("data_1_missing", "{'data.none':'x'}");
    bench_filter("data_2", "{'data.priority':{'$gte':'high'},'data.domain':'financial'}");
    bench_filter("data_3", "{'data.priority':{'$gte':'high'},'data.duration_ms':{'$gt':1000},"
                           "'data.usage.output_tokens':{'$exists':true}}");
    bench_filter("attribute_then_data_2",
                 "{'data.priority':{'$gte':'high'},'data.domain':'financial',"
                 "'type':{'$prefix':'task.'}}");
    bench_filter("or_of_4", "{'$or':[{'data.domain':'financial'},{'data.priority':'critical'},"
                            "{'data.attempt':{'$gte':2}},{'data.usage.input_tokens':{'$gt':"
                            "1000}}]}");
    bench_filter("in_8", "{'data.domain':{'$in':['a','b','c','d','e','financial','g',"
                         "'support']}}");
    bench_filter("contains", "{'data.summary':{'$contains':'already'}}");
    bench_filter("regex", "{'data.domain':{'$regex':'^(fin|infra)'}}");
    bench_filter("regex_text", "{'data.content':{'$regex':'(?i)\\\\brefund\\\\b.*exchange'}}");
    bench_filter("eventbridge_2", "{'data':{'priority':['high','critical'],'domain':"
                                  "['financial']}}");
    bench_filter("eventbridge_4",
                 "{'type':[{'prefix':'task.'},{'prefix':'deploy.'}],'detail':{'priority':"
                 "['high','critical'],'duration_ms':[{'numeric':['>',1000]}],'retry':"
                 "[{'exists':false}]}}");
}

/* The trie with `others` patterns beside the five that match. */
static double bench_trie(uint32_t others) {
    static const char *const MATCHING[] = {"agent.*.memory", "#.memory", "agent.planner.memory",
                                           "agent.>", "#"};
    struct sp_trie trie;
    struct sp_error error;
    sp_trie_init(&trie, 200000, 200000);
    uint32_t id = 0;
    for (; id < 5; id++) {
        if (sp_trie_add(&trie, sp_str_from(MATCHING[id]), id, &error) != SP_OK) {
            fail(MATCHING[id], &error);
        }
    }
    for (; id < others; id++) {
        char pattern[64];
        static const char *const FORMS[] = {"agent.a%u.*", "#.done%u", "task.t%u.>", "run%u.#",
                                            "agent.*.m%u"};
        snprintf(pattern, sizeof(pattern), "%s", FORMS[id % 5]);
        char number[16];
        snprintf(number, sizeof(number), "%u", id);
        char *hole = strstr(pattern, "%u");
        char whole[64];
        snprintf(whole, sizeof(whole), "%.*s%s%s", (int)(hole - pattern), pattern, number,
                 hole + 2);
        if (sp_trie_add(&trie, sp_str_from(whole), id, &error) != SP_OK) {
            fail(whole, &error);
        }
    }
    double best = 1e18;
    for (int repeat = 0; repeat < 3 * REPEATS; repeat++) {
        double start = now_ns();
        for (int round = 0; round < ROUNDS; round++) {
            const uint32_t *ids = NULL;
            if (sp_trie_match(&trie, SP_STR("agent.planner.memory"), &ids) != 5) {
                fail("trie", &(struct sp_error){.text = "wrong number of matches"});
            }
        }
        double took = now_ns() - start;
        best = took < best ? took : best;
    }
    printf("{\"bench\":\"trie\",\"patterns\":%u,\"matches\":5,\"ns_per_match\":%.1f}\n",
           trie.pair_count, best / ROUNDS);
    sp_trie_fini(&trie);
    return best / ROUNDS;
}

static void bench_regex(const char *name, const char *expression) {
    static char text[65536];
    struct sp_regex *regex = NULL;
    struct sp_error error;
    if (sp_regex_compile(sp_str_from(expression), &regex, &error) != SP_OK) {
        fail(expression, &error);
    }
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = "the agent has read the file and will now write "[i % 47];
    }
    double best = 1e18;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = now_ns();
        if (sp_regex_search(regex, sp_str_of(text, sizeof(text)), false)) {
            fail(expression, &(struct sp_error){.text = "found, and should not be"});
        }
        double took = now_ns() - start;
        best = took < best ? took : best;
    }
    printf("{\"bench\":\"regex\",\"name\":\"%s\",\"table\":%s,\"mb_per_s\":%.1f}\n", name,
           sp_regex_is_table(regex) ? "true" : "false", (double)sizeof(text) / best * 1e3);
    sp_regex_free(regex);
}

int main(void) {
    make_events();
    bench_filters();
    double few = bench_trie(10);
    (void)bench_trie(1000);
    double many = bench_trie(100000);
    printf("{\"bench\":\"trie_growth\",\"from\":10,\"to\":100000,\"ratio\":%.3f}\n", many / few);
    bench_regex("words", "error|timeout|refused");
    bench_regex("nested", "(e*)*q");
    bench_regex("too_many_states", "(t|e)*t(t|e| ){12}q");
    sp_buf_fini(&scratch);
    return 0;
}
