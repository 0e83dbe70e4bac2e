/* Members of groups that wait, and consumers that leave, over connections the test speaks for. */
#include "desk.h"

#include <stdio.h>

#include "server/cmd_groups.h"
#include "server/consumers.h"

#define NEXT(id, n) "*1|*2|$1|s|*1|*2|$3|" id "|*2|$1|n|$1|" n "|"

/* A stream with a plain group, and so many members that wait for it. */
static void begin_waiting(struct desk *desk, struct sp_connection *client,
                          struct sp_connection **members, int count, const char *options) {
    char line[128];
    desk_expect(desk, client, "XGROUP CREATE s g $ MKSTREAM", "+OK|");
    for (int i = 0; i < count; i++) {
        members[i] = desk_connect(desk);
        (void)snprintf(line, sizeof(line), "XREADGROUP GROUP g m%d %s STREAMS s >", i, options);
        desk_expect(desk, members[i], line, "");
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void who_came_first_is_served_first(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *members[3];
    begin_waiting(desk, client, members, 3, "BLOCK 0");
    desk_expect(desk, client, "XADD s 1-1 n 1", "$3|1-1|");
    desk_expect_heard(desk, members[0], NEXT("1-1", "1"));
    desk_expect_heard(desk, members[1], "");
    desk_expect(desk, client, "XADD s 1-2 n 2", "$3|1-2|");
    desk_expect_heard(desk, members[1], NEXT("1-2", "2"));
    desk_expect(desk, members[0], "XREADGROUP GROUP g m0 BLOCK 0 STREAMS s >", "");
    desk_expect(desk, client, "XADD s 1-3 n 3", "$3|1-3|");
    desk_expect_heard(desk, members[2], NEXT("1-3", "3"));
    desk_expect_heard(desk, members[0], "");
    desk_expect(desk, client, "XADD s 1-4 n 4", "$3|1-4|");
    desk_expect_heard(desk, members[0], NEXT("1-4", "4"));
}

/* How many entries stand in what a member heard. */
static int count_heard(struct desk *desk, struct sp_connection *member) {
    const char *heard = desk_hear(desk, member);
    int count = 0;
    for (const char *at = strstr(heard, "|$3|1-"); at != NULL; at = strstr(at + 1, "|$3|1-")) {
        count++;
    }
    return count;
}

static void add_at_once(struct desk *desk, struct sp_connection *client, int count) {
    char line[64];
    desk_expect(desk, client, "MULTI", "+OK|");
    for (int i = 1; i <= count; i++) {
        (void)snprintf(line, sizeof(line), "XADD s 1-%d n %d", i, i);
        desk_expect(desk, client, line, "+QUEUED|");
    }
    desk_say(desk, client, "EXEC");
    (void)desk_hear(desk, client);
}

static void members_share_what_comes_at_once(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *members[4];
    begin_waiting(desk, client, members, 4, "COUNT 100 BLOCK 0");
    add_at_once(desk, client, 9);
    assert_int_equal(count_heard(desk, members[0]), 3);
    assert_int_equal(count_heard(desk, members[1]), 2);
    assert_int_equal(count_heard(desk, members[2]), 2);
    assert_int_equal(count_heard(desk, members[3]), 2);
}

static void no_more_members_wake_than_there_are_entries(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *members[8];
    begin_waiting(desk, client, members, 8, "COUNT 100 BLOCK 0");
    add_at_once(desk, client, 3);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(count_heard(desk, members[i]), i < 3);
        assert_true((members[i]->wait != NULL) == (i >= 3));
    }
}

static void a_member_alone_takes_what_it_wants(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *member;
    begin_waiting(desk, client, &member, 1, "COUNT 7 BLOCK 0");
    add_at_once(desk, client, 9);
    assert_int_equal(count_heard(desk, member), 7);
}

static void waiting_has_an_end(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *members[3];
    char line[64];
    begin_waiting(desk, client, members, 3, "BLOCK 500");
    int wait_ms = desk_sleep(desk, 300);
    assert_true(wait_ms > 0 && wait_ms <= 200);
    desk_expect_heard(desk, members[0], "");
    (void)snprintf(line, sizeof(line), "CLIENT UNBLOCK %d ERROR", (int)members[1]->id);
    desk_expect(desk, client, line, ":1|");
    desk_expect_heard(desk, members[1], "-UNBLOCKED client unblocked via CLIENT UNBLOCK|");
    desk_hang_up(desk, members[2]);
    (void)desk_sleep(desk, 300);
    desk_expect_heard(desk, members[0], "*-1|");
    desk_expect(desk, client, "XADD s 1-1 n 1", "$3|1-1|");
    desk_expect(desk, client, "XREADGROUP GROUP g c STREAMS s >", NEXT("1-1", "1"));
}

#define GONE "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option|"

static void members_hear_that_their_group_is_gone(void **state) {
    static const char *const WAYS[] = {"XGROUP DESTROY s g", "DEL s", "SPOOR.GROUP DROP g s",
                                       "RENAME t s"};
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    for (size_t i = 0; i < sizeof(WAYS) / sizeof(*WAYS); i++) {
        struct sp_connection *members[2];
        desk_say(desk, client, "XADD t * n 1");
        (void)desk_hear(desk, client);
        begin_waiting(desk, client, members, 2, "BLOCK 0");
        desk_say(desk, client, WAYS[i]);
        (void)desk_hear(desk, client);
        desk_expect_heard(desk, members[0], GONE);
        desk_expect_heard(desk, members[1], GONE);
    }
}

static void several_groups_are_waited_for_at_once(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *member = desk_connect(desk);
    desk_expect(desk, client, "XGROUP CREATE s g $ MKSTREAM", "+OK|");
    desk_expect(desk, client, "XGROUP CREATE t g $ MKSTREAM", "+OK|");
    desk_expect(desk, member, "XREADGROUP GROUP g m BLOCK 0 STREAMS t s > >", "");
    desk_expect(desk, client, "XADD s 1-1 n 1", "$3|1-1|");
    desk_expect_heard(desk, member, NEXT("1-1", "1"));
    desk_expect(desk, client, "XADD t 1-1 n 1", "$3|1-1|");
    desk_expect_heard(desk, member, "");
    desk_expect(desk, member, "HELLO 3", "%7|…");
    desk_expect(desk, member, "XREADGROUP GROUP g m STREAMS t s > 0",
                "%2|$1|t|*1|*2|$3|1-1|*2|$1|n|$1|1|$1|s|*1|*2|$3|1-1|*2|$1|n|$1|1|");
}

static void an_entry_that_becomes_due_wakes_a_member(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *member = desk_connect(desk);
    desk_expect(desk, client, "SPOOR.GROUP CREATE g s MKSTREAM backoff '2s jitter 0'", "+OK|");
    desk_expect(desk, client, "XADD s 1-1 n 1", "$3|1-1|");
    desk_expect(desk, client, "XREADGROUP GROUP g c STREAMS s >", NEXT("1-1", "1"));
    desk_expect(desk, client, "SPOOR.NACK s g 1-1 ERROR 'no luck'", ":1|");
    desk_expect(desk, client, "XPENDING s g - + 10", "*1|*4|$3|1-1|$0||:-1|:1|");
    desk_expect(desk, member, "XREADGROUP GROUP g m BLOCK 0 STREAMS s >", "");
    (void)desk_sleep(desk, 1900);
    desk_expect_heard(desk, member, "");
    (void)desk_sleep(desk, 200);
    desk_expect_heard(desk, member, NEXT("1-1", "1"));
    desk_expect(desk, client, "XPENDING s g - + 10", "*1|*4|$3|1-1|$1|m|:0|:2|");
}

/* Whether there is something to hand out does not depend on who was the first consumer. */
static void a_member_is_woken_where_consumers_are_deleted(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *member = desk_connect(desk);
    desk_expect(desk, client, "SPOOR.GROUP CREATE g s MKSTREAM backoff '2s jitter 0'", "+OK|");
    desk_expect(desk, client, "XADD s 1-1 n 1", "$3|1-1|");
    desk_expect(desk, client, "XREADGROUP GROUP g c STREAMS s >", NEXT("1-1", "1"));
    desk_expect(desk, client, "SPOOR.NACK s g 1-1", ":1|");
    desk_expect(desk, member, "XREADGROUP GROUP g m BLOCK 0 STREAMS s >", "");
    desk_expect(desk, client, "XGROUP DELCONSUMER s g c", ":0|");
    desk_expect(desk, client, "XGROUP DELCONSUMER s g m", ":0|");
    (void)desk_sleep(desk, 2001);
    desk_expect_heard(desk, member, NEXT("1-1", "1"));
}

/* ---- leaving --------------------------------------------------------------------------------- */

/* A group with a policy, of which a new connection has the entry 1-1 as consumer `a`. */
static struct sp_connection *begin_leaving(struct desk *desk, struct sp_connection *client,
                                           const char *options) {
    char line[128];
    struct sp_connection *worker = desk_connect(desk);
    (void)snprintf(line, sizeof(line), "SPOOR.GROUP CREATE g s MKSTREAM %s", options);
    desk_expect(desk, client, line, "+OK|");
    desk_expect(desk, client, "XADD s 1-1 n 1", "$3|1-1|");
    desk_expect(desk, worker, "XREADGROUP GROUP g a STREAMS s >", NEXT("1-1", "1"));
    assert_int_equal(sp_consumers_count(desk->server), 1);
    return worker;
}

static void entries_of_one_that_left_go_back_after_a_grace(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *worker = begin_leaving(desk, client, "");
    sp_connection_free(worker);
    int wait_ms = desk_sleep(desk, 400);
    assert_true(wait_ms > 0 && wait_ms <= 600);
    desk_expect(desk, client, "XREADGROUP GROUP g b STREAMS s >", "*-1|");
    (void)desk_sleep(desk, 700);
    desk_expect(desk, client, "XREADGROUP GROUP g b STREAMS s >", NEXT("1-1", "1"));
    desk_expect(desk, client, "XPENDING s g - + 10", "*1|*4|$3|1-1|$1|b|:0|:2|");
    assert_int_equal(sp_consumers_leaving(desk->server), 0);
    assert_int_equal(sp_consumers_count(desk->server), 1);
}

static void who_reads_again_in_time_keeps_them(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *worker = begin_leaving(desk, client, "");
    struct sp_connection *again = desk_connect(desk);
    desk_hang_up(desk, worker);
    (void)desk_sleep(desk, 900);
    assert_int_equal(sp_consumers_leaving(desk->server), 1);
    desk_expect(desk, again, "XREADGROUP GROUP g a STREAMS s 0", NEXT("1-1", "1"));
    assert_int_equal(sp_consumers_leaving(desk->server), 0);
    (void)desk_sleep(desk, 5000);
    desk_expect(desk, client, "XREADGROUP GROUP g b STREAMS s >", "*-1|");
    desk_hang_up(desk, again);
    (void)desk_sleep(desk, 1001);
    desk_expect(desk, client, "XREADGROUP GROUP g b STREAMS s >", NEXT("1-1", "1"));
}

static void the_end_of_an_earlier_reader_does_not_count(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *worker = begin_leaving(desk, client, "");
    struct sp_connection *second = desk_connect(desk);
    desk_expect(desk, second, "XREADGROUP GROUP g a STREAMS s >", "*-1|");
    assert_int_equal(sp_consumers_count(desk->server), 1);
    desk_hang_up(desk, worker);
    assert_int_equal(sp_consumers_leaving(desk->server), 0);
    (void)desk_sleep(desk, 3000);
    desk_expect(desk, client, "XREADGROUP GROUP g b STREAMS s >", "*-1|");
}

static void reset_is_leaving_and_a_claim_is_reading(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *worker = begin_leaving(desk, client, "");
    struct sp_connection *thief = desk_connect(desk);
    desk_expect(desk, worker, "RESET", "+RESET|");
    assert_int_equal(sp_consumers_leaving(desk->server), 1);
    desk_expect(desk, thief, "XCLAIM s g b 0 1-1 JUSTID", "*1|$3|1-1|");
    (void)desk_sleep(desk, 2000);
    desk_expect(desk, client, "XREADGROUP GROUP g c STREAMS s >", "*-1|");
    desk_hang_up(desk, thief);
    (void)desk_sleep(desk, 1001);
    desk_expect(desk, client, "XREADGROUP GROUP g c STREAMS s >", NEXT("1-1", "1"));
}

static void on_leave_keep_keeps_them(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    desk_hang_up(desk, begin_leaving(desk, client, "on-leave keep ack-wait 10s"));
    (void)desk_sleep(desk, 5000);
    desk_expect(desk, client, "XREADGROUP GROUP g b STREAMS s >", "*-1|");
}

static void plain_groups_are_not_followed(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *worker = desk_connect(desk);
    desk_expect(desk, client, "XGROUP CREATE s g $ MKSTREAM", "+OK|");
    desk_expect(desk, client, "XADD s 1-1 n 1", "$3|1-1|");
    desk_expect(desk, worker, "XREADGROUP GROUP g a STREAMS s >", NEXT("1-1", "1"));
    assert_int_equal(sp_consumers_count(desk->server), 0);
    desk_hang_up(desk, worker);
    (void)desk_sleep(desk, 3000);
    desk_expect(desk, client, "XPENDING s g - + 10", "*1|*4|$3|1-1|$1|a|:3000|:1|");
}

static void many_consumers_of_many_connections_leave(void **state) {
    enum { CONNECTIONS = 20, EACH = 30 };
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *workers[CONNECTIONS];
    char line[128];
    desk_expect(desk, client, "SPOOR.GROUP CREATE g s MKSTREAM", "+OK|");
    for (int i = 0; i < CONNECTIONS; i++) {
        workers[i] = desk_connect(desk);
        for (int k = 0; k < EACH; k++) {
            (void)snprintf(line, sizeof(line), "XREADGROUP GROUP g c%d-%d STREAMS s >", i, k);
            desk_expect(desk, workers[i], line, "*-1|");
        }
    }
    /* The first half of each moves on to the next connection. */
    for (int i = 0; i < CONNECTIONS; i++) {
        for (int k = 0; k < EACH / 2; k++) {
            (void)snprintf(line, sizeof(line), "XREADGROUP GROUP g c%d-%d STREAMS s >", i, k);
            desk_expect(desk, workers[(i + 1) % CONNECTIONS], line, "*-1|");
        }
    }
    assert_int_equal(sp_consumers_count(desk->server), CONNECTIONS * EACH);
    for (int i = 0; i < CONNECTIONS; i += 2) {
        desk_hang_up(desk, workers[i]);
    }
    assert_int_equal(sp_consumers_leaving(desk->server), CONNECTIONS * EACH / 2);
    (void)desk_sleep(desk, 1001);
    assert_int_equal(sp_consumers_leaving(desk->server), 0);
    assert_int_equal(sp_consumers_count(desk->server), CONNECTIONS * EACH / 2);
}

/* ---- replies --------------------------------------------------------------------------------- */

static void autoclaim_says_where_to_go_on(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    desk_expect(desk, client, "XGROUP CREATE s g $ MKSTREAM", "+OK|");
    add_at_once(desk, client, 5);
    desk_say(desk, client, "XREADGROUP GROUP g a STREAMS s >");
    (void)desk_hear(desk, client);
    desk_expect(desk, client, "XDEL s 1-2", ":1|");
    desk_expect(desk, client, "XAUTOCLAIM s g b 0 0 COUNT 2 JUSTID",
                "*3|$3|1-3|*1|$3|1-1|*1|$3|1-2|");
    desk_expect(desk, client, "XAUTOCLAIM s g b 0 1-4",
                "*3|$3|0-0|*2|*2|$3|1-4|*2|$1|n|$1|4|*2|$3|1-5|*2|$1|n|$1|5|*0|");
}

static void own_commands_say_what_they_expected(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    static const char *const WRONG[][2] = {
        {"SPOOR.GROUP CREATE g s", "-ERR there is no such key; MKSTREAM makes it|"},
        {"SPOOR.GROUP CREATE g s MKSTREAM colour blue", "-ERR 'colour' is no option; expected …"},
        {"SPOOR.GROUP CREATE g s MKSTREAM ack-wait", "-ERR ack-wait: a value was expected …"},
        {"SPOOR.GROUP CREATE g s MKSTREAM ack-wait 0s", "-ERR ack-wait: '0s' is not from 1ms …"},
        {"SPOOR.GROUP CREATE g s MKSTREAM max-deliveries 0", "-ERR max-deliveries: '0' is not …"},
        {"SPOOR.GROUP CREATE g s MKSTREAM backoff often", "-ERR backoff: a backoff is written …"},
        {"SPOOR.GROUP CREATE g s MKSTREAM order-by size", "-ERR order-by: 'size' is none of: …"},
        {"SPOOR.GROUP CREATE g s MKSTREAM on-leave stay", "-ERR on-leave: 'stay' is neither …"},
        {"SPOOR.GROUP CREATE g s MKSTREAM type a.>.b", "-ERR type: …"},
        {"SPOOR.GROUP CREATE g s MKSTREAM filter x", "-ERR filter: …"},
        {"SPOOR.GROUP CREATE g s MKSTREAM FROM yesterday", "-ERR …"},
        {"SPOOR.GROUP SET g s max-in-flight 1", "-NOGROUP No such key 's' or consumer group 'g'|"},
        {"SPOOR.NACK s g 1-1", "-NOGROUP No such key 's' or consumer group 'g'|"},
        {"SPOOR.DEAD LIST s g", "-NOGROUP No such key 's' or consumer group 'g'|"},
        {"XNACK s g FAIL IDS 1 1-1", "-NOGROUP No such key 's' or consumer group 'g'|"},
        {"SPOOR.GROUP DROP g s", ":0|"},
        {"SPOOR.GROUP LIST", "*0|"},
        {"XGROUP CREATE s g $ MKSTREAM", "+OK|"},
        {"SPOOR.GROUP CREATE g s", "-BUSYGROUP Consumer Group name already exists|"},
        {"SPOOR.NACK s g 1-1", "-ERR the group has no policy…"},
        {"SPOOR.NACK s g 1-1 DELAY soon", "-ERR DELAY: expected milliseconds, or a wait as 30s|"},
        {"SPOOR.NACK s g 1-1 LOUDLY", "-ERR syntax error, expected DELAY ms, ERROR text or DEAD|"},
        {"SPOOR.GROUP SET g s NONE", "+OK|"},
        {"SPOOR.GROUP SET g s max-in-flight 1", "+OK|"},
        {"SPOOR.NACK s g 1-1", ":0|"},
        {"XNACK s g SILENT IDS 1 1-1", "-ERR SILENT is not supported…"},
        {"XNACK s g FAIL IDS 2 1-1", "-ERR The number of ids is not that of IDS…"},
        {"XNACK s g FAIL IDS 1 1-1", ":0|"},
        {"SPOOR.DEAD REDRIVE s g ALL", ":0|"},
        {"SPOOR.DEAD DISCARD s g COUNT 5", ":0|"},
        {"SPOOR.DEAD DISCARD s g COUNT x", "-ERR value is not an integer or out of range|"},
        {"SPOOR.DEAD DISCARD s g COUNT 1 1-1", "-ERR syntax error, expected ALL, COUNT n, …"},
        {"SPOOR.DEAD LIST s g ALL", "*0|"},
        {"XREADGROUP GROUP g c CLAIM 5 STREAMS s >", "-ERR syntax error, XREADGROUP has no CLAIM…"},
    };
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(*WRONG); i++) {
        desk_expect(desk, client, WRONG[i][0], WRONG[i][1]);
    }
}

static void what_is_left_out_of_set_stays(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    desk_expect(desk, client,
                "SPOOR.GROUP CREATE g $all type order.* backoff '2s..1m x3 jitter 0.5' "
                "order-by source",
                "+OK|");
    desk_expect(desk, client, "SPOOR.GROUP SET g $all ack-wait 90s max-in-flight 7 on-leave keep",
                "+OK|");
    desk_say(desk, client, "SPOOR.GROUP GET g $all");
    const char *heard = desk_hear(desk, client);
    assert_non_null(strstr(heard, "*16|$4|type|$7|order.*|$6|filter|$0||$8|ack-wait|$3|90s|"
                                  "$14|max-deliveries|$1|5|$7|backoff|$20|2s..1m x3 jitter 0.5|"
                                  "$8|order-by|$6|source|$13|max-in-flight|$1|7|"
                                  "$8|on-leave|$4|keep|"));
}

static void a_group_begins_where_it_is_told(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    static const char *const FROM[][2] = {
        {"0", "*1|*2|$1|s|*3|*2|$3|1-1|…"},
        {"2", "*1|*2|$1|s|*2|*2|$3|1-2|…"},
        {"1-2", "*1|*2|$1|s|*1|*2|$3|1-3|…"},
        {"$", "*-1|"},
        {"999", "*-1|"},
    };
    char line[64];
    add_at_once(desk, client, 3);
    for (int i = 0; i < (int)(sizeof(FROM) / sizeof(*FROM)); i++) {
        (void)snprintf(line, sizeof(line), "SPOOR.GROUP CREATE g%d s FROM %s", i, FROM[i][0]);
        desk_expect(desk, client, line, "+OK|");
        (void)snprintf(line, sizeof(line), "XREADGROUP GROUP g%d c STREAMS s >", i);
        desk_expect(desk, client, line, FROM[i][1]);
    }
    desk_expect(desk, client, "SPOOR.GROUP CREATE all $all FROM 3", "+OK|");
    desk_say(desk, client, "XREADGROUP GROUP all c STREAMS $all >");
    assert_non_null(strstr(desk_hear(desk, client), "|$1|n|$1|3|"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_begin, desk_end)
    const struct CMUnitTest tests[] = {
        TEST(who_came_first_is_served_first),
        TEST(members_share_what_comes_at_once),
        TEST(no_more_members_wake_than_there_are_entries),
        TEST(a_member_alone_takes_what_it_wants),
        TEST(waiting_has_an_end),
        TEST(members_hear_that_their_group_is_gone),
        TEST(several_groups_are_waited_for_at_once),
        TEST(an_entry_that_becomes_due_wakes_a_member),
        TEST(a_member_is_woken_where_consumers_are_deleted),
        TEST(entries_of_one_that_left_go_back_after_a_grace),
        TEST(who_reads_again_in_time_keeps_them),
        TEST(the_end_of_an_earlier_reader_does_not_count),
        TEST(reset_is_leaving_and_a_claim_is_reading),
        TEST(on_leave_keep_keeps_them),
        TEST(plain_groups_are_not_followed),
        TEST(many_consumers_of_many_connections_leave),
        TEST(autoclaim_says_where_to_go_on),
        TEST(own_commands_say_what_they_expected),
        TEST(what_is_left_out_of_set_stays),
        TEST(a_group_begins_where_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
