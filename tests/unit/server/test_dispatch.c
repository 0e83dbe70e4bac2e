/* From words to handlers: checks in the order of Redis, gates, transactions, waiting. */
#include "desk.h"

#include <stdio.h>

#include "server/command.h"
#include "server/transaction.h"

/* ---- the table ------------------------------------------------------------------------------- */

static void check_row(const struct sp_command_row *row, bool is_subcommand) {
    const unsigned gated = SP_CMD_BUS | SP_CMD_READ | SP_CMD_WRITE;
    assert_true(row->arity != 0);
    assert_true(strlen(row->summary) > 0 && strlen(row->since) > 0);
    assert_true(is_subcommand || strlen(row->group) > 0);
    assert_true((row->handler != NULL) || (row->subcommands != NULL && !is_subcommand));
    assert_true((row->first_key == 0) == (row->last_key == 0));
    bool keyed = row->first_key != 0 && strcmp(row->group, "pubsub") != 0;
    assert_true(!keyed || (row->flags & (gated | SP_CMD_IN_MULTI)) != 0);
    for (const char *at = row->name; *at != '\0'; at++) {
        assert_false(*at >= 'A' && *at <= 'Z');
    }
}

static void every_command_is_found_by_its_name(void **state) {
    struct desk *desk = *state;
    const struct sp_command_index *index = &desk->server->commands;
    for (const struct sp_command_row *row = sp_command_rows(); row->name != NULL; row++) {
        char upper[40];
        (void)snprintf(upper, sizeof(upper), "%s", row->name);
        for (char *at = upper; *at != '\0'; at++) {
            *at = *at >= 'a' && *at <= 'z' ? (char)(*at & ~0x20) : *at;
        }
        assert_ptr_equal(sp_command_find(index, sp_str_from(row->name)), row);
        assert_ptr_equal(sp_command_find(index, sp_str_from(upper)), row);
        check_row(row, false);
        for (const struct sp_command_row *sub = row->subcommands; sub != NULL && sub->name != NULL;
             sub++) {
            assert_ptr_equal(sp_subcommand_find(row, sp_str_from(sub->name)), sub);
            check_row(sub, true);
        }
    }
    assert_null(sp_command_find(index, SP_STR("")));
    assert_null(sp_command_find(index, SP_STR("xad")));
    assert_null(sp_command_find(index, SP_STR("a-name-that-is-longer-than-any-command")));
}

static void integers_are_those_of_redis(void **state) {
    (void)state;
    int64_t value = 7;
    const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-1", -1},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    const char *const bad[] = {
        "", "-", "+1", " 1", "1 ", "01", "-0", "1x", "9223372036854775808", "-9223372036854775809"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_true(sp_word_i64(sp_str_from(good[i].text), &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (sp_word_i64(sp_str_from(bad[i]), &value)) {
            fail_msg("'%s' was read as a number", bad[i]);
        }
    }
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void what_is_no_command_is_refused_in_redis_words(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    desk_expect(desk, client, "Foo bar baz",
                "-ERR unknown command 'Foo', with args beginning with: 'bar' 'baz' |");
    desk_expect(desk, client, "foo", "-ERR unknown command 'foo', with args beginning with: |");
    desk_expect(desk, client, "client nope", "-ERR unknown subcommand 'nope'. Try CLIENT HELP.|");
    desk_expect(desk, client, "CLIENT", "-ERR wrong number of arguments for 'client' command|");
    desk_expect(desk, client, "CLIENT SETNAME",
                "-ERR wrong number of arguments for 'client|setname' command|");
    desk_expect(desk, client, "XADD s *", "-ERR wrong number of arguments for 'xadd' command|");
    desk_expect(desk, client, "GET k",
                "-ERR unknown command 'GET', with args beginning with: 'k' |");
}

static void a_password_comes_first(void **state) {
    struct desk *desk = *state;
    struct sp_error error;
    assert_int_equal(
        sp_settings_set(&desk->server->settings, SP_SET_PASSWORD, SP_STR("pw"), &error), SP_OK);
    struct sp_connection *client = desk_connect(desk);
    desk_expect(desk, client, "PING", "-NOAUTH Authentication required.|");
    desk_expect(desk, client, "NOPE", "-ERR unknown command…");
    desk_expect(desk, client, "AUTH x", "-WRONGPASS…");
    desk_expect(desk, client, "AUTH other pw", "-WRONGPASS…");
    desk_expect(desk, client, "HELLO 3", "-NOAUTH HELLO must be called…");
    desk_expect(desk, client, "AUTH default pw", "+OK|");
    desk_expect(desk, client, "PING", "+PONG|");
    desk_expect(desk, client, "RESET", "+RESET|");
    desk_expect(desk, client, "PING", "-NOAUTH Authentication required.|");
    desk_expect(desk, client, "HELLO 2 AUTH default pw", "*14|…");
}

static void replies_can_be_switched_off(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    desk_expect(desk, client, "CLIENT REPLY SKIP", "");
    desk_expect(desk, client, "PING", "");
    desk_expect(desk, client, "PING", "+PONG|");
    desk_expect(desk, client, "CLIENT REPLY OFF", "");
    desk_expect(desk, client, "XADD s 1-1 n 1", "");
    desk_expect(desk, client, "CLIENT REPLY ON", "+OK|");
    desk_expect(desk, client, "XLEN s", ":1|");
}

/* ---- gates ----------------------------------------------------------------------------------- */

static void feed(struct sp_connection *client, const char *text) {
    sp_connection_feed(client, text, strlen(text));
}

static void nothing_is_said_before_it_is_durable(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *other = desk_connect(desk);
    feed(client, "PING\r\nXADD s 1-1 n 1\r\nPING\r\n");
    assert_string_equal(desk_hear(desk, client), "+PONG|");
    feed(other, "XLEN s\r\n"); /* decided, and not shown yet */
    assert_string_equal(desk_hear(desk, other), "");
    feed(other, "PING\r\n");
    assert_string_equal(desk_hear(desk, other), "");
    desk_turn(desk);
    assert_string_equal(desk_hear(desk, client), "$3|1-1|+PONG|");
    assert_string_equal(desk_hear(desk, other), ":1|+PONG|");
}

static void a_read_waits_for_the_own_writes(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *other = desk_connect(desk);
    feed(client, "XADD s 1-1 n 1\r\nXRANGE s - +\r\nPING\r\n");
    assert_true((client->pause & SP_PAUSE_GATE) != 0);
    feed(other, "XRANGE s - +\r\nPING\r\n"); /* nobody else's reads wait */
    assert_int_equal(other->pause, 0);
    desk_turn(desk);
    assert_int_equal(client->pause, 0);
    assert_string_equal(desk_hear(desk, client), "$3|1-1|*1|*2|$3|1-1|*2|$1|n|$1|1|+PONG|");
    assert_string_equal(desk_hear(desk, other), "*0|+PONG|");
}

static void an_idle_connection_owns_no_buffers(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    feed(client, "*3\r\n$4\r\nXADD");
    assert_true(client->input.len > 0);
    feed(client, "\r\n$1\r\ns\r\n$1\r\n*\r\n");
    assert_int_equal(client->input.len, 0);
    desk_turn(desk);
    assert_string_equal(desk_hear(desk, client),
                        "-ERR wrong number of arguments for 'xadd' command|");
    assert_null(client->input.data);
    assert_int_equal(client->output.mark_count, 0);
    assert_true(sizeof(*client) < 1024);
}

static void replies_stop_at_their_limit(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = NULL;
    struct sp_error error;
    char line[5000] = "XADD s * v ";
    assert_int_equal(
        sp_settings_set(&desk->server->settings, SP_SET_REPLY_BYTES_MAX, SP_STR("1Mi"), &error),
        SP_OK);
    client = desk_connect(desk);
    memset(line + strlen(line), 'x', 4000);
    for (int i = 0; i < 300; i++) {
        desk_say(desk, client, line);
    }
    (void)desk_hear(desk, client);
    desk_expect(desk, client, "XRANGE s - +", "-ERR the reply would be larger…");
    desk_expect(desk, client, "XLEN s", ":300|");
}

static void commands_wait_for_a_client_that_does_not_read(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    char line[3000] = "ECHO ";
    memset(line + 5, 'x', 2900);
    for (int i = 0; i < 400; i++) {
        feed(client, line);
        feed(client, "\r\n");
    }
    assert_true((client->pause & SP_PAUSE_OUTPUT) != 0);
    assert_true(sp_connection_unsent(client) < SP_OUTPUT_PAUSE_BYTES + 3000);
    assert_true(client->input.len > 0);
    while (sp_connection_unsent(client) > 0 || client->input.len > 0) {
        sp_output_sent(&client->output, sp_connection_unsent(client));
        desk_turn(desk);
    }
    assert_int_equal(client->pause, 0);
    desk_expect(desk, client, "PING", "+PONG|");
}

static void set(struct desk *desk, enum sp_setting_id id, const char *value) {
    assert_int_equal(sp_settings_set(&desk->server->settings, id, sp_str_from(value), NULL), SP_OK);
}

static void who_holds_most_goes_first(void **state) {
    struct desk *desk = *state;
    char piece[4096];
    set(desk, SP_SET_MEMORY_BUDGET, "2Mi");
    struct sp_connection *small = desk_connect(desk);
    struct sp_connection *large = desk_connect(desk);
    memset(piece, 'x', sizeof(piece));
    feed(small, "*2\r\n$4\r\nECHO\r\n$500000\r\n");
    feed(large, "*2\r\n$4\r\nECHO\r\n$5000000\r\n");
    for (int i = 0; i < 600; i++) {
        sp_connection_feed(large, piece, sizeof(piece));
        sp_connection_feed(small, piece, i < 100 ? sizeof(piece) : 0);
        if (i % 100 == 0) {
            desk_turn(desk);
        }
    }
    desk_turn(desk);
    assert_true(large->broken);
    assert_false(small->broken);
    sp_connection_free(large);
    assert_true(desk->server->buffer_bytes < 2 << 20);
}

static void a_command_has_a_largest_size(void **state) {
    struct desk *desk = *state;
    char piece[4096];
    set(desk, SP_SET_QUERY_BUFFER, "1Mi");
    struct sp_connection *client = desk_connect(desk);
    memset(piece, 'x', sizeof(piece));
    feed(client, "*2\r\n$4\r\nECHO\r\n$5000000\r\n");
    for (int i = 0; i < 250; i++) {
        sp_connection_feed(client, piece, sizeof(piece));
    }
    assert_false(client->broken);
    for (int i = 0; i < 10; i++) {
        sp_connection_feed(client, piece, sizeof(piece));
    }
    assert_true(client->broken);
}

/* ---- transactions ---------------------------------------------------------------------------- */

static void a_transaction_runs_at_exec(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    desk_expect(desk, client, "EXEC", "-ERR EXEC without MULTI|");
    desk_expect(desk, client, "DISCARD", "-ERR DISCARD without MULTI|");
    desk_expect(desk, client, "MULTI", "+OK|");
    desk_expect(desk, client, "MULTI", "-ERR MULTI calls can not be nested|");
    desk_expect(desk, client, "WATCH s", "-ERR WATCH inside MULTI is not allowed|");
    desk_expect(desk, client, "XADD s 1-1 n 1", "+QUEUED|");
    desk_expect(desk, client, "XADD s 1-1 n 1", "+QUEUED|");
    desk_expect(desk, client, "XRANGE s - +", "+QUEUED|");
    desk_expect(desk, client, "SELECT 3", "+QUEUED|");
    desk_expect(desk, client, "XADD s 5-5 n 1", "+QUEUED|");
    desk_expect(desk, client, "XLEN s", "+QUEUED|");
    desk_expect(desk, client, "EXEC",
                "*6|$3|1-1|-ERR The ID specified in XADD is equal or smaller than the target "
                "stream top item|*1|*2|$3|1-1|*2|$1|n|$1|1|+OK|$3|5-5|:1|");
    desk_expect(desk, client, "XRANGE s - +", "*1|*2|$3|5-5|*2|$1|n|$1|1|");
    desk_expect(desk, client, "SELECT 0", "+OK|");
    desk_expect(desk, client, "XLEN db3:s", ":1|");
    desk_expect(desk, client, "MULTI", "+OK|");
    desk_expect(desk, client, "EXEC", "*0|");
    assert_null(client->transaction);
}

static void a_transaction_lands_in_one_block(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    desk_say(desk, client, "MULTI");
    for (int i = 0; i < 50; i++) {
        desk_say(desk, client, "XADD s * n 1");
    }
    (void)desk_hear(desk, client);
    uint64_t gate = sp_bus_gate(desk->bus);
    feed(client, "EXEC\r\n");
    assert_int_equal(sp_bus_gate(desk->bus), gate + 1);
    assert_string_equal(desk_hear(desk, client), "");
    desk_turn(desk);
    assert_memory_equal(desk_hear(desk, client), "*50|$", 5);
}

static void a_watched_key_that_changed_stops_it(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *other = desk_connect(desk);
    desk_expect(desk, client, "WATCH a b", "+OK|");
    desk_expect(desk, other, "XADD b 1-1 n 1", "$3|1-1|");
    desk_expect(desk, client, "MULTI", "+OK|");
    desk_expect(desk, client, "XADD a 1-1 n 1", "+QUEUED|");
    desk_expect(desk, client, "EXEC", "*-1|");
    desk_expect(desk, client, "EXISTS a", ":0|");
    desk_expect(desk, client, "WATCH a b", "+OK|");
    desk_expect(desk, other, "XDEL b 1-1", ":1|");
    desk_expect(desk, client, "UNWATCH", "+OK|");
    desk_expect(desk, client, "MULTI", "+OK|");
    desk_expect(desk, client, "XADD a 1-1 n 1", "+QUEUED|");
    desk_expect(desk, client, "EXEC", "*1|$3|1-1|");
}

static void a_refused_command_spoils_it(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    desk_expect(desk, client, "MULTI", "+OK|");
    desk_expect(desk, client, "XADD a 1-1 n 1", "+QUEUED|");
    desk_expect(desk, client, "NOPE", "-ERR unknown command…");
    desk_expect(desk, client, "EXEC",
                "-EXECABORT Transaction discarded because of previous errors.|");
    desk_expect(desk, client, "EXISTS a", ":0|");
    desk_expect(desk, client, "MULTI", "+OK|");
    desk_expect(desk, client, "XREAD BLOCK 0 STREAMS a $", "+QUEUED|");
    desk_expect(desk, client, "EXEC", "*1|*-1|"); /* nothing waits within */
    desk_expect(desk, client, "MULTI", "+OK|");
    desk_expect(desk, client, "RESET", "+RESET|");
    desk_expect(desk, client, "EXEC", "-ERR EXEC without MULTI|");
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void a_reader_waits_until_something_comes(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *other = desk_connect(desk);
    desk_expect(desk, other, "XADD a 1-1 n 1", "$3|1-1|");
    desk_expect(desk, client, "XREAD BLOCK 0 STREAMS a $type:x.* $ $", "");
    desk_expect(desk, client, "PING", "");
    desk_expect(desk, other, "XADD b 1-1 n 1", "$3|1-1|");
    desk_expect_heard(desk, client, "");
    desk_expect(desk, other, "XADD b 1-2 type x.y", "$3|1-2|");
    desk_expect_heard(desk, client, "*1|*2|$9|$type:x.*|*1|*2|…");
    assert_int_equal(client->pause, 0);
    desk_expect(desk, client, "XREAD BLOCK 0 STREAMS a 1-0", "*1|*2|$1|a|*1|*2|$3|1-1|…");
    assert_int_equal(desk->server->listening, 0);
}

static void waiting_ends_in_time(void **state) {
    struct desk *desk = *state;
    struct sp_connection *clients[3];
    const char *const lines[] = {"XREAD BLOCK 300 STREAMS a $", "XREAD BLOCK 100 STREAMS a $",
                                 "XREAD BLOCK 200 STREAMS a $"};
    for (int i = 0; i < 3; i++) {
        clients[i] = desk_connect(desk);
        desk_expect(desk, clients[i], lines[i], "");
    }
    assert_in_range(desk_sleep(desk, 50), 1, 50);
    desk_expect_heard(desk, clients[1], "");
    (void)desk_sleep(desk, 50);
    desk_expect_heard(desk, clients[1], "*-1|");
    desk_expect_heard(desk, clients[2], "");
    (void)desk_sleep(desk, 100);
    desk_expect_heard(desk, clients[2], "*-1|");
    desk_hang_up(desk, clients[0]);
    assert_int_equal(desk->server->listening, 0);
}

static void others_can_end_it(void **state) {
    struct desk *desk = *state;
    struct sp_connection *client = desk_connect(desk);
    struct sp_connection *other = desk_connect(desk);
    char line[64];
    desk_expect(desk, client, "XREAD BLOCK 0 STREAMS a $", "");
    (void)snprintf(line, sizeof(line), "CLIENT UNBLOCK %d ERROR", (int)client->id);
    desk_expect(desk, other, line, ":1|");
    desk_expect_heard(desk, client, "-UNBLOCKED client unblocked via CLIENT UNBLOCK|");
    desk_expect(desk, other, line, ":0|");
    desk_expect(desk, client, "XREAD BLOCK 0 STREAMS a $", "");
    (void)snprintf(line, sizeof(line), "CLIENT UNBLOCK %d", (int)client->id);
    desk_expect(desk, other, line, ":1|");
    desk_expect_heard(desk, client, "*-1|");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_begin, desk_end)
    const struct CMUnitTest tests[] = {
        TEST(every_command_is_found_by_its_name),
        cmocka_unit_test(integers_are_those_of_redis),
        TEST(what_is_no_command_is_refused_in_redis_words),
        TEST(a_password_comes_first),
        TEST(replies_can_be_switched_off),
        TEST(nothing_is_said_before_it_is_durable),
        TEST(a_read_waits_for_the_own_writes),
        TEST(an_idle_connection_owns_no_buffers),
        TEST(replies_stop_at_their_limit),
        TEST(commands_wait_for_a_client_that_does_not_read),
        TEST(who_holds_most_goes_first),
        TEST(a_command_has_a_largest_size),
        TEST(a_transaction_runs_at_exec),
        TEST(a_transaction_lands_in_one_block),
        TEST(a_watched_key_that_changed_stops_it),
        TEST(a_refused_command_spoils_it),
        TEST(a_reader_waits_until_something_comes),
        TEST(waiting_ends_in_time),
        TEST(others_can_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
