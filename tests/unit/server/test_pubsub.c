/*
 * Subscriptions of connections without sockets, over a store in a folder: turns, flushes and reads
 * are interleaved by chance, and what each client was sent is compared with the log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/prng.h"
#include "os/fs.h"
#include "os/os.h"
#include "server/pubsub_int.h"
#include "server/server.h"

enum { PIECES = 64, CLIENTS = 6, NUMBERS_MAX = 200000 };

struct rig {
    char folder[64];
    struct sp_fs *fs;
    struct sp_engine *engine;
    struct sp_bus *bus;
    struct sp_server server;
};

static struct rig rig;

static void must(sp_status status, const struct sp_error *error) {
    if (status != SP_OK) {
        fail_msg("%s", error->text);
    }
}

static void set(struct sp_settings *settings, enum sp_setting_id id, const char *value) {
    struct sp_error error;
    must(sp_settings_set(settings, id, sp_str_from(value), &error), &error);
}

static int begin(void **state) {
    (void)state;
    struct sp_error error;
    struct sp_settings settings;
    sp_error_clear(&error);
    (void)snprintf(rig.folder, sizeof(rig.folder), "/tmp/spoor-pubsub-XXXXXX");
    assert_non_null(mkdtemp(rig.folder));
    must(sp_fs_posix_open(rig.folder, true, false, &rig.fs, &error), &error);
    const struct sp_engine_options options = {
        .fs = rig.fs,
        .clock = sp_clock_system(),
        .entropy = sp_entropy,
        .create = true,
        .inline_jobs = true,
        .outstanding_max = 1 << 16,
        .limits = SP_EVENT_LIMITS_DEFAULT,
    };
    must(sp_engine_open(&options, &rig.engine, NULL, &error), &error);
    must(sp_bus_new(rig.engine, &rig.bus, &error), &error);
    must(sp_settings_init(&settings), &error);
    set(&settings, SP_SET_OUTPUT_BUFFER, "1Mi");
    set(&settings, SP_SET_EPHEMERAL_TOPICS, "e.# other");
    must(sp_server_init(&rig.server, &settings, rig.engine, rig.bus, sp_clock_system(), -1, &error),
         &error);
    must(sp_pubsub_init(&rig.server, &error), &error);
    return 0;
}

static int end(void **state) {
    (void)state;
    char command[96];
    sp_server_fini(&rig.server);
    sp_bus_free(rig.bus);
    sp_engine_close(rig.engine);
    rig.fs->ops->destroy(rig.fs);
    (void)snprintf(command, sizeof(command), "rm -rf %s", rig.folder);
    return system(command);
}

/* -- Clients ----------------------------------------------------------------------------------- */

/* A client: what it was sent, and the numbers among it in order. */
struct client {
    struct sp_connection *connection;
    struct sp_buf got;
    size_t passed; /* bytes of `got` in which numbers have been looked for */
    uint32_t numbers[NUMBERS_MAX];
    uint32_t number_count;
};

static void client_open(struct client *client) {
    memset(client, 0, sizeof(*client));
    client->connection = sp_connection_new(&rig.server, "test");
    assert_non_null(client->connection);
    sp_buf_init(&client->got, (size_t)1 << 30);
}

static void client_close(struct client *client) {
    if (client->connection != NULL) {
        sp_connection_free(client->connection);
    }
    client->connection = NULL;
    sp_buf_fini(&client->got);
}

static void say(struct client *client, const char *line) {
    char bytes[4096];
    int len = snprintf(bytes, sizeof(bytes), "%s\r\n", line);
    assert_true(len > 0 && (size_t)len < sizeof(bytes));
    sp_connection_feed(client->connection, bytes, (size_t)len);
}

/* Takes up to `most` bytes of what may be sent; returns how many. */
static size_t take(struct client *client, size_t most) {
    struct iovec pieces[PIECES];
    size_t taken = 0;
    while (taken < most) {
        size_t count = sp_output_pieces(&client->connection->output, pieces, PIECES);
        if (count == 0) {
            break;
        }
        size_t len = pieces[0].iov_len < most - taken ? pieces[0].iov_len : most - taken;
        sp_buf_add(&client->got, pieces[0].iov_base, len);
        sp_output_sent(&client->connection->output, len);
        sp_connection_touch(client->connection);
        taken += len;
    }
    return taken;
}

static void turn(void) {
    sp_server_tick(&rig.server);
    (void)sp_server_turn(&rig.server);
}

/* Turns until nothing more is sent to anybody. */
static void settle(struct client *clients, uint32_t count) {
    for (unsigned idle = 0; idle < 3; idle++) {
        turn();
        for (uint32_t i = 0; i < count; i++) {
            idle = take(&clients[i], SIZE_MAX) > 0 ? 0 : idle;
        }
    }
}

static const char *text_of(struct client *client) {
    sp_buf_add_byte(&client->got, 0);
    client->got.len--;
    return (const char *)client->got.data;
}

static void assert_got(struct client *client, const char *expected) {
    assert_string_equal(text_of(client), expected);
    sp_buf_reset(&client->got);
}

/* Finds `#<6 digits>` in what came: each message has one. */
static void note_numbers(struct client *client) {
    const uint8_t *data = client->got.data;
    while (client->passed + 7 <= client->got.len) {
        const uint8_t *mark =
            memchr(data + client->passed, '#', client->got.len - 6 - client->passed);
        if (mark == NULL) {
            client->passed = client->got.len - 6;
            return;
        }
        uint32_t number = 0;
        for (int i = 1; i <= 6; i++) {
            number = number * 10 + mark[i] - '0';
        }
        assert_true(client->number_count < NUMBERS_MAX);
        client->numbers[client->number_count++] = number;
        client->passed = (size_t)(mark - data) + 7;
    }
}

/* -- Tests ------------------------------------------------------------------------------------- */

static void test_messages_come_when_they_are_durable(void **state) {
    (void)state;
    static struct client clients[2];
    client_open(&clients[0]);
    client_open(&clients[1]);
    say(&clients[0], "SUBSCRIBE ch");
    (void)take(&clients[0], SIZE_MAX);
    assert_got(&clients[0], "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n");
    say(&clients[1], "PUBLISH ch hello");
    assert_int_equal(take(&clients[0], SIZE_MAX), 0);
    assert_int_equal(take(&clients[1], SIZE_MAX), 0); /* the reply waits for its gate */
    settle(clients, 2);
    assert_got(&clients[0], "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$5\r\nhello\r\n");
    assert_got(&clients[1], ":1\r\n");
    assert_int_equal(sp_engine_durable_position(rig.engine), 1);
    client_close(&clients[0]);
    client_close(&clients[1]);
    assert_int_equal(rig.server.listening, 0);
}

/* What was decided before is not for who subscribes now, though it becomes durable later. */
static void test_who_subscribes_late_hears_late(void **state) {
    (void)state;
    static struct client client;
    client_open(&client);
    say(&client, "HELLO 3");
    (void)take(&client, SIZE_MAX);
    sp_buf_reset(&client.got);
    say(&client, "PUBLISH ch before");
    say(&client, "SUBSCRIBE ch");
    say(&client, "SPOOR.SUBSCRIBE TYPE ch FROM now AS s");
    say(&client, "PUBLISH ch after");
    settle(&client, 1);
    const char *got = text_of(&client);
    assert_null(strstr(got, "before"));
    assert_non_null(strstr(got, ">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$5\r\nafter\r\n"));
    assert_non_null(strstr(got, ">5\r\n$5\r\nevent\r\n$1\r\ns\r\n"));
    client_close(&client);
}

static void test_not_stored_and_not_to_oneself_before(void **state) {
    (void)state;
    static struct client client;
    uint64_t durable = sp_engine_durable_position(rig.engine);
    client_open(&client);
    say(&client, "HELLO 3");
    (void)take(&client, SIZE_MAX);
    sp_buf_reset(&client.got);
    say(&client, "PUBLISH e.x one");
    say(&client, "PSUBSCRIBE e*");
    say(&client, "PUBLISH e.x two");
    say(&client, "PUBLISH other three");
    settle(&client, 1);
    assert_got(&client, ":0\r\n>3\r\n$10\r\npsubscribe\r\n$2\r\ne*\r\n:1\r\n:1\r\n:0\r\n"
                        ">4\r\n$8\r\npmessage\r\n$2\r\ne*\r\n$3\r\ne.x\r\n$3\r\ntwo\r\n");
    assert_int_equal(sp_engine_durable_position(rig.engine), durable);
    client_close(&client);
}

static void test_reset_and_leaving_forget_everything(void **state) {
    (void)state;
    static struct client client;
    client_open(&client);
    say(&client, "SUBSCRIBE a b");
    say(&client, "PSUBSCRIBE a* b*");
    say(&client, "SSUBSCRIBE s");
    say(&client, "SPOOR.SUBSCRIBE FROM 1");
    assert_int_equal(client.connection->subscription_count, 6);
    assert_int_equal(rig.server.listening, 1);
    turn();
    say(&client, "RESET");
    assert_int_equal(client.connection->subscription_count, 0);
    assert_int_equal(rig.server.listening, 0);
    assert_null(client.connection->subscriber);
    settle(&client, 1);
    sp_buf_reset(&client.got);
    say(&client, "PUBLISH a x");
    settle(&client, 1);
    assert_got(&client, ":0\r\n");
    client_close(&client);
}

/* The numbers that a client was sent are a run of all those that were published. */
static void check_run(const struct client *client, uint32_t first, uint32_t last,
                      uint32_t times_each) {
    uint32_t at = 0;
    for (uint32_t number = first; number <= last; number++) {
        for (uint32_t k = 0; k < times_each; k++, at++) {
            if (at >= client->number_count || client->numbers[at] != number) {
                fail_msg("place %u of %u: not %u but %u", at, client->number_count, number,
                         at < client->number_count ? client->numbers[at] : 0);
            }
        }
    }
    assert_int_equal(at, client->number_count);
}

/*
 * Clients that read little or much or not at all, over both kinds of subscription; one is closed
 * in the middle. A payload is large enough for outputs to be full again and again.
 */
static void test_slow_clients_miss_nothing(void **state) {
    (void)state;
    static struct client clients[CLIENTS];
    static struct client publisher;
    static const char *const SUBSCRIBE[CLIENTS] = {
        "SUBSCRIBE load",
        "PSUBSCRIBE l* *d",
        "SPOOR.SUBSCRIBE TYPE load FROM 1",
        "SPOOR.SUBSCRIBE TYPE load FROM now",
        "SUBSCRIBE load other",
        "PSUBSCRIBE l*",
    };
    struct sp_prng prng = sp_prng_seed(77);
    char command[3200];
    char filling[2600];
    uint32_t sent = 0;
    memset(filling, 'x', sizeof(filling) - 1);
    filling[sizeof(filling) - 1] = '\0';
    client_open(&publisher);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        client_open(&clients[i]);
        if (i % 2 == 0) {
            say(&clients[i], "HELLO 3");
        }
        say(&clients[i], SUBSCRIBE[i]);
    }
    for (unsigned step = 0; step < 20000 && sent < 4000; step++) {
        struct client *client = &clients[sp_prng_below(&prng, CLIENTS)];
        uint32_t drawn = sp_prng_below(&prng, 100);
        if (drawn < 40) {
            (void)snprintf(command, sizeof(command), "PUBLISH load #%06u%.*s", ++sent,
                           (int)sp_prng_below(&prng, sizeof(filling)), filling);
            say(&publisher, command);
        } else if (drawn < 70) {
            turn();
            (void)take(&publisher, SIZE_MAX);
        } else if (client != &clients[0] && client->connection != NULL) {
            size_t wanted = drawn < 99 ? 500 : 300000;
            (void)take(client, client == &clients[1] ? wanted / 10 : wanted);
        }
        if (step == 5000) {
            client_close(&clients[5]);
        }
        for (uint32_t i = 0; i < CLIENTS - 1; i++) {
            assert_true(sp_connection_unsent(clients[i].connection) < (1 << 20) + 8192);
        }
    }
    assert_int_equal(sent, 4000);
    assert_true(rig.server.pubsub->feeds.lagging_count > 3); /* it was tried, indeed */
    settle(clients, CLIENTS - 1);
    for (uint32_t i = 0; i < CLIENTS - 1; i++) {
        note_numbers(&clients[i]);
        check_run(&clients[i], 1, sent, i == 1 ? 2 : 1);
        client_close(&clients[i]);
    }
    client_close(&publisher);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_come_when_they_are_durable),
        cmocka_unit_test(test_who_subscribes_late_hears_late),
        cmocka_unit_test(test_not_stored_and_not_to_oneself_before),
        cmocka_unit_test(test_reset_and_leaving_forget_everything),
        cmocka_unit_test(test_slow_clients_miss_nothing),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
