/*
 * Stories of groups and views, told in virtual time: each file tests/golden/bus-*.trace holds what
 * was asked, in lines that begin with '>', and below each what came of it: the op's bytes behind
 * "op", then what the caller is told. The requests are told again here, and the whole text must
 * come out as it stands in the file. All groups belong to the key k; the order-by value of an entry
 * is its position modulo 3.
 *
 *     > at MS                                  > add STREAM COUNT [MS-SEQ]
 *     > make GROUP | drop GROUP                > trim STREAM KEEP [NODE LIMIT]
 *     > policy GROUP NAME=NUMBER...            > hide STREAM VERSION...
 *     > plain GROUP                            > delete STREAM
 *     > consumer GROUP NAME | leave | remove   > expire STREAM MS
 *     > offer GROUP NAME UNTIL WANTED [noack]  > rename KEY KEY
 *     > again GROUP NAME MAX                   > view STREAM
 *     > reread GROUP NAME POSITION...          > keys KEY...
 *     > ack | forget GROUP POSITION...
 *     > claim GROUP NAME IDLE [force|justid] POSITION...
 *     > autoclaim GROUP NAME IDLE FROM MAX     (every seventh entry is gone)
 *     > extend GROUP MS|anew POSITION...
 *     > fail GROUP POSITION [DELAY]            > due
 *     > bury | redrive | discard GROUP POSITION...
 *     > show GROUP                             > reopen
 *
 * SPOOR_GOLDEN=1 in the environment writes the files anew.
 */
#include "group_help.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 1 << 18, LINE_SIZE = 256, WORDS_MAX = 32, LIST_MAX = 64 };

struct story {
    struct help_core help;
    struct help_append append;
    uint64_t now_ms;
    struct sp_buf text;
    char *words[WORDS_MAX];
    size_t count;
};

static void print(struct story *story, const char *format, ...) SP_PRINTF(2, 3);

static void print(struct story *story, const char *format, ...) {
    char line[LINE_SIZE];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    sp_buf_add(&story->text, line, (size_t)len);
}

static void fold(struct story *story) {
    if (story->help.ops.len > 0) {
        print(story, "  op");
        for (size_t i = 0; i < story->help.ops.len; i++) {
            print(story, " %02x", story->help.ops.data[i]);
        }
        print(story, "\n");
    }
    help_fold(&story->help);
}

static const char *word(const struct story *story, size_t i) {
    return i < story->count ? story->words[i] : "";
}

static uint64_t number(const struct story *story, size_t i) {
    return strtoull(word(story, i), NULL, 10);
}

static size_t numbers_from(const struct story *story, size_t first, uint64_t *numbers) {
    size_t count = 0;
    for (size_t i = first; i < story->count; i++) {
        numbers[count++] = number(story, i);
    }
    return count;
}

static const struct sp_group *group_of(const struct story *story) {
    return help_group_again(&story->help, word(story, 1));
}

/* The consumer that the third word names; made where it is new. */
static uint32_t consumer_of(struct story *story) {
    uint32_t consumer = sp_consumer_find(group_of(story), sp_str_from(word(story, 2)));
    if (consumer == SP_CONSUMER_NONE) {
        assert_int_equal(sp_consumer_make(group_of(story), sp_str_from(word(story, 2)),
                                          story->now_ms, &story->help.ops, &consumer, NULL),
                         SP_OK);
        fold(story);
    }
    return consumer;
}

static void print_given(struct story *story, const struct sp_group_given *given, size_t count) {
    for (size_t i = 0; i < count; i++) {
        print(story, "  given %llu, delivery %u\n", (unsigned long long)given[i].position,
              given[i].count);
    }
}

/* ---- groups ---- */

static void tell_policy(struct story *story) {
    struct sp_group_policy policy = sp_group_policy_default();
    for (size_t i = 2; i < story->count; i++) {
        const char *at = strchr(word(story, i), '=');
        assert_non_null(at);
        uint64_t value = strtoull(at + 1, NULL, 10);
        size_t len = (size_t)(at - word(story, i));
        sp_str name = sp_str_of(word(story, i), len);
        if (sp_str_eq(name, SP_STR("ack-wait"))) {
            policy.ack_wait_ms = value;
        } else if (sp_str_eq(name, SP_STR("max-deliveries"))) {
            policy.deliveries_max = (uint32_t)value;
        } else if (sp_str_eq(name, SP_STR("jitter"))) {
            policy.backoff_jitter_milli = (uint32_t)value;
        } else if (sp_str_eq(name, SP_STR("order-by"))) {
            policy.order_by = (enum sp_group_order)value;
        } else if (sp_str_eq(name, SP_STR("max-in-flight"))) {
            policy.in_flight_max = (uint32_t)value;
        } else {
            fail_msg("no such setting: %s", word(story, i));
        }
    }
    sp_status status =
        sp_group_set_policy(group_of(story), &policy, &story->help.ops, &story->help.error);
    if (status != SP_OK) {
        print(story, "  %s: %s\n", sp_status_name(status), story->help.error.text);
    }
    fold(story);
}

static void tell_plain(struct story *story) {
    sp_status status = sp_group_clear_policy(group_of(story), &story->help.ops, &story->help.error);
    if (status != SP_OK) {
        print(story, "  %s: %s\n", sp_status_name(status), story->help.error.text);
    }
    fold(story);
}

static void tell_offer(struct story *story) {
    static const char *const texts[] = {"left", "delivered", "parked", "passed over"};
    struct sp_group_entry entries[LIST_MAX];
    uint8_t what[LIST_MAX];
    struct sp_group_offered offered;
    struct sp_group_facts facts = sp_group_get(group_of(story));
    struct sp_group_offer offer = {.consumer = consumer_of(story),
                                   .now_ms = story->now_ms,
                                   .noack = strcmp(word(story, 5), "noack") == 0,
                                   .entries = entries,
                                   .wanted = (uint32_t)number(story, 4)};
    uint64_t until = number(story, 3);
    bool ordered = facts.has_policy && facts.policy.order_by != SP_GROUP_ORDER_NONE;
    for (uint64_t i = facts.cursor.position + 1; i <= until; i++) {
        entries[offer.entry_count++] =
            (struct sp_group_entry){.position = i,
                                    .version = i,
                                    .id = help_id(i),
                                    .key = ordered ? 1 + (uint32_t)(i % 3) : 0};
    }
    offer.until =
        (struct sp_group_cursor){.position = until, .version = until, .id = help_id(until)};
    sp_status status = sp_group_offer(&story->help.core.groups, group_of(story), &offer, what,
                                      &offered, &story->help.ops, &story->help.error);
    if (status != SP_OK) {
        print(story, "  %s: %s\n", sp_status_name(status), story->help.error.text);
        return;
    }
    fold(story);
    for (uint32_t i = 0; i < offer.entry_count; i++) {
        print(story, "  %llu %s\n", (unsigned long long)entries[i].position, texts[what[i]]);
    }
}

static void tell_again(struct story *story) {
    struct sp_group_given given[LIST_MAX];
    uint32_t consumer = consumer_of(story);
    size_t count = sp_group_again(group_of(story), consumer, story->now_ms, given, number(story, 3),
                                  &story->help.ops);
    fold(story);
    print_given(story, given, count);
}

static void tell_reread(struct story *story) {
    uint64_t positions[WORDS_MAX];
    size_t count = numbers_from(story, 3, positions);
    uint32_t consumer = consumer_of(story);
    count = sp_group_reread(group_of(story), consumer, story->now_ms, positions, count,
                            &story->help.ops);
    fold(story);
    print(story, "  %zu\n", count);
}

static void tell_done(struct story *story) {
    uint64_t positions[WORDS_MAX];
    struct sp_entry_id ids[WORDS_MAX];
    size_t count = numbers_from(story, 2, positions);
    for (size_t i = 0; i < count; i++) {
        ids[i] = help_id(positions[i]);
    }
    bool ack = strcmp(word(story, 0), "ack") == 0;
    size_t done = ack ? sp_group_ack(group_of(story), ids, count, &story->help.ops)
                      : sp_group_forget(group_of(story), positions, count, &story->help.ops);
    fold(story);
    print(story, "  %zu\n", done);
}

static void tell_extend(struct story *story) {
    uint64_t positions[WORDS_MAX];
    struct sp_entry_id ids[WORDS_MAX];
    size_t count = numbers_from(story, 3, positions);
    bool anew = strcmp(word(story, 2), "anew") == 0;
    const struct sp_group_extension extension = {
        .now_ms = story->now_ms, .has_ms = !anew, .ms = anew ? 0 : number(story, 2)};
    for (size_t i = 0; i < count; i++) {
        ids[i] = help_id(positions[i]);
    }
    size_t done = sp_group_extend(group_of(story), ids, count, &extension, &story->help.ops);
    fold(story);
    print(story, "  %zu\n", done);
}

static bool exists(void *context, uint64_t position, struct sp_entry_id id) {
    (void)context;
    (void)id;
    return position % 7 != 0;
}

static struct sp_group_claim claim_of(struct story *story) {
    return (struct sp_group_claim){.consumer = consumer_of(story),
                                   .now_ms = story->now_ms,
                                   .idle_min_ms = number(story, 3),
                                   .time_ms = UINT64_MAX,
                                   .exists = exists};
}

static void tell_claim(struct story *story) {
    uint64_t positions[WORDS_MAX];
    struct sp_group_claim_id ids[WORDS_MAX];
    struct sp_group_given given[WORDS_MAX];
    struct sp_group_claim claim = claim_of(story);
    bool force = strcmp(word(story, 4), "force") == 0;
    claim.justid = strcmp(word(story, 4), "justid") == 0;
    size_t count = numbers_from(story, force || claim.justid ? 5 : 4, positions);
    for (size_t i = 0; i < count; i++) {
        ids[i] = (struct sp_group_claim_id){.id = help_id(positions[i]),
                                            .position = force ? positions[i] : 0};
    }
    size_t claimed;
    sp_status status = sp_group_claim(&story->help.core.groups, group_of(story), &claim, ids, count,
                                      given, &claimed, &story->help.ops, &story->help.error);
    if (status != SP_OK) {
        print(story, "  %s: %s\n", sp_status_name(status), story->help.error.text);
        return;
    }
    fold(story);
    print_given(story, given, claimed);
}

static void tell_autoclaim(struct story *story) {
    struct sp_group_given given[WORDS_MAX];
    struct sp_entry_id gone[WORDS_MAX];
    struct sp_group_claim claim = claim_of(story);
    struct sp_group_autoclaimed done =
        sp_group_autoclaim(group_of(story), &claim, help_id(number(story, 4)), given, gone,
                           number(story, 5), &story->help.ops);
    fold(story);
    print_given(story, given, done.given);
    for (size_t i = 0; i < done.gone; i++) {
        print(story, "  gone %llu-%llu\n", (unsigned long long)gone[i].ms,
              (unsigned long long)gone[i].seq);
    }
    print(story, "  next %llu-%llu\n", (unsigned long long)done.next.ms,
          (unsigned long long)done.next.seq);
}

static void tell_fail(struct story *story) {
    struct sp_group_failure failure = {.position = number(story, 2),
                                       .now_ms = story->now_ms,
                                       .has_delay = story->count > 3,
                                       .delay_ms = number(story, 3),
                                       .random = 4711};
    struct sp_group_failed failed = sp_group_fail(group_of(story), &failure, &story->help.ops);
    fold(story);
    switch (failed.what) {
    case SP_FAIL_NONE:
        print(story, "  not in flight\n");
        break;
    case SP_FAIL_RETRY:
        print(story, "  due at %llu\n", (unsigned long long)failed.due_ms);
        break;
    case SP_FAIL_BURY:
        print(story, "  to be buried after %u deliveries\n", failed.entry.count);
        break;
    }
}

static void tell_leave(struct story *story) {
    struct sp_pending used_up[LIST_MAX];
    uint32_t consumer = consumer_of(story);
    size_t count = sp_group_leave(group_of(story), consumer, true, story->now_ms, used_up, LIST_MAX,
                                  &story->help.ops);
    fold(story);
    for (size_t i = 0; i < count; i++) {
        print(story, "  to be buried: %llu\n", (unsigned long long)used_up[i].position);
    }
}

static void tell_remove(struct story *story) {
    uint64_t pending = 0;
    uint32_t consumer = consumer_of(story);
    sp_status status =
        sp_consumer_drop(group_of(story), consumer, &pending, &story->help.ops, &story->help.error);
    fold(story);
    if (status == SP_OK) {
        print(story, "  %llu were pending\n", (unsigned long long)pending);
    } else {
        print(story, "  %s: %s\n", sp_status_name(status), story->help.error.text);
    }
}

static void tell_bury(struct story *story) {
    bool done = sp_group_bury(group_of(story), number(story, 2), SP_DEAD_ATTEMPTS, 99,
                              story->now_ms, &story->help.ops);
    fold(story);
    print(story, "  %s\n", done ? "buried" : "not pending");
}

static void tell_undead(struct story *story) {
    uint64_t positions[WORDS_MAX];
    size_t count = numbers_from(story, 2, positions);
    const uint64_t *named = count > 0 ? positions : NULL;
    count = count > 0 ? count : 1000;
    size_t done = strcmp(word(story, 0), "redrive") == 0
                      ? sp_group_redrive(&story->help.core.groups, group_of(story), named, count,
                                         story->now_ms, &story->help.ops)
                      : sp_group_discard(group_of(story), named, count, &story->help.ops);
    fold(story);
    print(story, "  %zu\n", done);
}

static void tell_due(struct story *story) {
    struct sp_group_due due[LIST_MAX];
    print(story, "  next at %llu\n", (unsigned long long)sp_groups_next(&story->help.core.groups));
    size_t count = sp_groups_due(&story->help.core.groups, story->now_ms, due, LIST_MAX);
    for (size_t i = 0; i < count; i++) {
        struct sp_group_facts facts = sp_group_get(due[i].group);
        if (due[i].position == 0) {
            print(story, "  %.*s has something to hand out\n", SP_STR_ARG(facts.name));
        } else {
            print(story, "  %.*s: ack-wait of %llu is over\n", SP_STR_ARG(facts.name),
                  (unsigned long long)due[i].position);
        }
    }
}

static void tell_show(struct story *story) {
    struct sp_group_facts facts = sp_group_get(group_of(story));
    struct sp_pending pending[LIST_MAX];
    struct sp_dead dead[LIST_MAX];
    struct sp_pending_range range = {.until = SP_ENTRY_ID_MAX, .consumer = SP_CONSUMER_NONE};
    print(story, "  cursor %llu; %llu in flight, %llu waiting, %llu parked, %llu dead\n",
          (unsigned long long)facts.cursor.position, (unsigned long long)facts.in_flight,
          (unsigned long long)facts.waiting, (unsigned long long)facts.parked,
          (unsigned long long)facts.dead);
    size_t count = sp_pending_list(group_of(story), &range, pending, LIST_MAX);
    for (size_t i = 0; i < count; i++) {
        struct sp_consumer_facts consumer;
        if (sp_consumer_get(group_of(story), pending[i].consumer, &consumer)) {
            print(story, "  %llu: %.*s has it since %llu, delivery %u\n",
                  (unsigned long long)pending[i].position, SP_STR_ARG(consumer.name),
                  (unsigned long long)pending[i].time_ms, pending[i].count);
        } else {
            print(story, "  %llu: due at %llu after %u deliveries\n",
                  (unsigned long long)pending[i].position, (unsigned long long)pending[i].time_ms,
                  pending[i].count);
        }
    }
    count = sp_dead_list(group_of(story), 0, dead, LIST_MAX);
    for (size_t i = 0; i < count; i++) {
        print(story, "  %llu: dead since %llu after %u deliveries, letter %llu\n",
              (unsigned long long)dead[i].position, (unsigned long long)dead[i].time_ms,
              dead[i].count, (unsigned long long)dead[i].letter);
    }
}

static void tell_make(struct story *story) {
    struct sp_group_cursor start = {.position = 0};
    assert_int_equal(sp_group_make(&story->help.core.groups, SP_STR("k"),
                                   sp_str_from(word(story, 1)), &start, &story->help.ops, NULL),
                     SP_OK);
    fold(story);
}

static void tell_drop(struct story *story) {
    sp_group_drop(group_of(story), &story->help.ops);
    fold(story);
}

static void tell_consumer(struct story *story) {
    (void)consumer_of(story);
}

/* ---- views ---- */

static sp_str stream_of(const struct story *story) {
    return sp_view_resolve(&story->help.core.views, sp_str_from(word(story, 1)));
}

static void tell_add(struct story *story) {
    for (uint64_t i = 0; i < number(story, 2); i++) {
        char name[HELP_NAME_SIZE];
        unsigned long long ms;
        unsigned long long seq;
        (void)snprintf(name, sizeof(name), "%.*s", SP_STR_ARG(stream_of(story)));
        help_append_init(&story->append, story->now_ms * 1000);
        struct sp_core_candidate *candidate = help_append_add(&story->append, name);
        if (sscanf(word(story, 3), "%llu-%llu", &ms, &seq) == 2) {
            candidate->id_wish = SP_ID_WISH_GIVEN;
            candidate->wished_id = (struct sp_entry_id){.ms = ms, .seq = seq};
        }
        sp_status status = help_step(&story->help.core, &story->append, NULL, NULL);
        if (status != SP_OK) {
            print(story, "  %s\n", sp_status_name(status));
        } else if (!sp_entry_id_is_none(candidate->own_id)) {
            print(story, "  own id %llu-%llu\n", (unsigned long long)candidate->own_id.ms,
                  (unsigned long long)candidate->own_id.seq);
        }
    }
}

static void tell_trim(struct story *story) {
    struct sp_view_trim trim = {.node = (uint32_t)number(story, 3), .limit = number(story, 4)};
    uint64_t count = sp_view_trim_to_length(&story->help.core.views, stream_of(story),
                                            number(story, 2), &trim, &story->help.ops);
    fold(story);
    print(story, "  %llu went\n", (unsigned long long)count);
}

static void tell_hide(struct story *story) {
    uint64_t versions[WORDS_MAX];
    size_t count = numbers_from(story, 2, versions);
    struct sp_entry_id greatest = {.ms = story->now_ms, .seq = 0};
    uint64_t hidden = sp_view_hide(&story->help.core.views, stream_of(story), versions, count,
                                   greatest, &story->help.ops);
    fold(story);
    print(story, "  %llu went\n", (unsigned long long)hidden);
}

static void tell_delete(struct story *story) {
    bool there = sp_view_delete(&story->help.core.views, stream_of(story), &story->help.ops);
    fold(story);
    print(story, "  %s\n", there ? "gone" : "was not there");
}

static void tell_expire(struct story *story) {
    (void)sp_view_expire(&story->help.core.views, stream_of(story), number(story, 2),
                         &story->help.ops);
    fold(story);
    print(story, "  next at %llu\n",
          (unsigned long long)sp_view_next_expiry(&story->help.core.views));
}

static void tell_rename(struct story *story) {
    sp_status status =
        sp_view_rename(&story->help.core.views, sp_str_from(word(story, 1)),
                       sp_str_from(word(story, 2)), &story->help.ops, &story->help.error);
    fold(story);
    if (status != SP_OK) {
        print(story, "  %s: %s\n", sp_status_name(status), story->help.error.text);
    }
}

static void tell_view(struct story *story) {
    struct sp_view_facts facts = sp_view_get(&story->help.core.views, stream_of(story));
    print(story, "  %s, %llu entries of %llu added, versions %llu to %llu\n",
          facts.exists ? "exists" : "does not exist", (unsigned long long)facts.length,
          (unsigned long long)facts.entries_added, (unsigned long long)facts.first,
          (unsigned long long)facts.last);
}

static void tell_keys(struct story *story) {
    print(story, "  %llu keys\n", (unsigned long long)sp_view_key_count(&story->help.core.views));
    for (size_t i = 1; i < story->count; i++) {
        sp_str stream = sp_view_resolve(&story->help.core.views, sp_str_from(word(story, i)));
        print(story, "  %s stands for %.*s\n", word(story, i),
              SP_STR_ARG(stream.len > 0 ? stream : SP_STR("nothing: the name is taken")));
    }
}

/* ---- telling ---- */

static void tell_at(struct story *story) {
    story->now_ms = number(story, 1);
}

static void tell_reopen(struct story *story) {
    help_reopen(&story->help);
    print(story, "  same state\n");
}

static const struct {
    const char *name;
    void (*tell)(struct story *story);
} requests[] = {
    {"at", tell_at},          {"make", tell_make},      {"drop", tell_drop},
    {"policy", tell_policy},  {"plain", tell_plain},    {"consumer", tell_consumer},
    {"leave", tell_leave},    {"remove", tell_remove},  {"offer", tell_offer},
    {"again", tell_again},    {"reread", tell_reread},  {"ack", tell_done},
    {"forget", tell_done},    {"claim", tell_claim},    {"autoclaim", tell_autoclaim},
    {"fail", tell_fail},      {"due", tell_due},        {"bury", tell_bury},
    {"redrive", tell_undead}, {"discard", tell_undead}, {"show", tell_show},
    {"add", tell_add},        {"trim", tell_trim},      {"hide", tell_hide},
    {"delete", tell_delete},  {"expire", tell_expire},  {"rename", tell_rename},
    {"view", tell_view},      {"keys", tell_keys},      {"reopen", tell_reopen},
    {"extend", tell_extend},
};

static void tell_line(struct story *story, const char *line) {
    char words[LINE_SIZE];
    char *rest = NULL;
    (void)snprintf(words, sizeof(words), "%s", line + 1);
    story->count = 0;
    for (char *at = strtok_r(words, " \n", &rest); at != NULL; at = strtok_r(NULL, " \n", &rest)) {
        assert_true(story->count < WORDS_MAX);
        story->words[story->count++] = at;
    }
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        if (strcmp(requests[i].name, word(story, 0)) == 0) {
            requests[i].tell(story);
            return;
        }
    }
    fail_msg("no such request: %s", line);
}

static void tell_file(const char *path) {
    struct story story = {.now_ms = 0};
    struct sp_buf golden;
    char line[LINE_SIZE];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    help_core_init(&story.help);
    sp_buf_init(&story.text, TEXT_MAX);
    sp_buf_init(&golden, TEXT_MAX);
    while (fgets(line, sizeof(line), file) != NULL) {
        sp_buf_add(&golden, line, strlen(line));
        if (line[0] == '>' || line[0] == '#' || line[0] == '\n') {
            print(&story, "%s", line);
        }
        if (line[0] == '>') {
            tell_line(&story, line);
        }
    }
    (void)fclose(file);
    sp_buf_add_byte(&golden, 0);
    sp_buf_add_byte(&story.text, 0);
    if (getenv("SPOOR_GOLDEN") != NULL) {
        file = fopen(path, "w");
        assert_non_null(file);
        (void)fputs((const char *)story.text.data, file);
        (void)fclose(file);
    } else {
        assert_string_equal((const char *)story.text.data, (const char *)golden.data);
    }
    sp_buf_fini(&golden);
    sp_buf_fini(&story.text);
    help_core_fini(&story.help);
}

static void test_golden_stories(void **state) {
    (void)state;
    char pattern[512];
    glob_t found;
    const char *source = getenv("SPOOR_SOURCE");
    (void)snprintf(pattern, sizeof(pattern), "%s/tests/golden/bus-*.trace",
                   source != NULL ? source : ".");
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        tell_file(found.gl_pathv[i]);
    }
    globfree(&found);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden_stories)};
    return cmocka_run_group_tests_name("bus_story", tests, NULL, NULL);
}
