/*
 * Feeds: no event skipped, none double, none out of order, however history, live events, slow
 * clients and turns interleave. The log and the clients are arrays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "server/subscribe.h"

enum {
    LOG_MAX = 4000,
    FEEDS = 5,
    MESSAGES_MAX = 3, /* of one event, for one feed */
    UNSENT_MAX = 2000,
    REFUSED_FROM = 5000, /* a client takes no more unsent bytes, but for one message alone */
};

/* A client with one feed, and what it has been sent. */
struct client {
    struct sp_feed feed; /* first */
    uint32_t number;
    size_t unsent;
    size_t await; /* 0: the feed is awake */
    uint64_t got[LOG_MAX * MESSAGES_MAX];
    uint32_t got_count;
    uint64_t from;
    uint32_t episodes_begun;
    uint32_t episodes_over;
    uint32_t troubles;
    sp_status ended_with;
    bool over;
};

struct world {
    struct sp_feeds feeds;
    struct sp_prng prng;
    struct client clients[FEEDS];
    uint32_t cursors;
    uint32_t sizes[LOG_MAX + 1]; /* bytes of a message of the event at this position */
    uint64_t durable;
    uint64_t head;    /* what was handed out live */
    uint64_t damaged; /* 0: nothing is */
    uint64_t dropped; /* positions up to it are not there */
    sp_status open_fails;
    uint64_t failed_read;
};

struct cursor {
    uint64_t at;
    struct sp_event event;
};

/* How many messages of an event are for a client: a fixed riddle. */
static uint32_t messages_of(uint32_t client, uint64_t position) {
    uint64_t mixed = (position * 2654435761u) ^ (client * 40503u);
    return (uint32_t)((mixed >> 7) % (MESSAGES_MAX + 1));
}

static bool push(struct world *world, struct client *client, uint64_t position) {
    if (client->unsent > 0 && client->unsent + world->sizes[position] > REFUSED_FROM) {
        return false;
    }
    client->unsent += world->sizes[position];
    assert_true(client->got_count < LOG_MAX * MESSAGES_MAX);
    client->got[client->got_count++] = position;
    return true;
}

static sp_status on_open(void *context, struct sp_feed *feed, uint64_t from, void **ret_cursor,
                         struct sp_error *error) {
    struct world *world = context;
    assert_int_equal(from, feed->next);
    if (world->open_fails != SP_OK) {
        return sp_error_set(error, world->open_fails, "no");
    }
    struct cursor *cursor = calloc(1, sizeof(*cursor));
    cursor->at = from;
    world->cursors++;
    *ret_cursor = cursor;
    return SP_OK;
}

static void on_close(void *context, void *cursor) {
    struct world *world = context;
    world->cursors--;
    free(cursor);
}

static sp_status on_read(void *context, void *opaque, uint32_t *steps,
                         const struct sp_event **ret_event, uint64_t *ret_next,
                         struct sp_error *error) {
    struct world *world = context;
    struct cursor *cursor = opaque;
    *ret_next = cursor->at;
    if (*steps == 0) {
        return SP_BUSY;
    }
    if (cursor->at > world->durable) {
        return SP_TIMEOUT;
    }
    if (cursor->at <= world->dropped) {
        cursor->at = world->dropped + 1;
        *ret_next = cursor->at;
        return sp_error_set(error, SP_NOT_FOUND, "dropped");
    }
    (*steps)--;
    cursor->event.position = cursor->at++;
    *ret_next = cursor->at;
    if (cursor->event.position == world->damaged) {
        return sp_error_set(error, SP_CORRUPT, "damaged");
    }
    if (cursor->event.position == world->failed_read) {
        return sp_error_set(error, SP_FAILED, "dead");
    }
    *ret_event = &cursor->event;
    return SP_OK;
}

static bool on_give(void *context, struct sp_feed *feed, const struct sp_event *event) {
    struct client *client = (struct client *)feed;
    uint32_t count = messages_of(client->number, event->position);
    while (feed->given < count) {
        if (!push(context, client, event->position)) {
            return false;
        }
        sp_feed_gave(feed);
    }
    return true;
}

static size_t on_unsent(void *context, const struct sp_feed *feed) {
    (void)context;
    return ((const struct client *)feed)->unsent;
}

static void on_await(void *context, struct sp_feed *feed, size_t unsent_max) {
    (void)context;
    ((struct client *)feed)->await = unsent_max + 1;
}

static void on_trouble(void *context, struct sp_feed *feed, sp_status status,
                       const struct sp_error *error) {
    (void)context;
    struct client *client = (struct client *)feed;
    assert_int_equal(error->status, status);
    client->troubles++;
    client->ended_with = feed->state == SP_FEED_OFF ? status : SP_OK;
}

static void on_episode(void *context, struct sp_feed *feed, bool begins) {
    (void)context;
    struct client *client = (struct client *)feed;
    client->episodes_begun += begins;
    client->episodes_over += !begins;
    assert_int_equal(client->episodes_begun - client->episodes_over, begins);
}

static void on_over(void *context, struct sp_feed *feed) {
    (void)context;
    ((struct client *)feed)->over = true;
}

static const struct sp_feeds_io IO = {
    .open = on_open,
    .close = on_close,
    .read = on_read,
    .give = on_give,
    .unsent = on_unsent,
    .await = on_await,
    .trouble = on_trouble,
    .episode = on_episode,
    .over = on_over,
};

static void world_init(struct world *world, uint64_t seed, uint32_t size_max) {
    memset(world, 0, sizeof(*world));
    world->prng = sp_prng_seed(seed);
    sp_feeds_init(&world->feeds, &IO, world, UNSENT_MAX);
    for (uint32_t i = 0; i < FEEDS; i++) {
        world->clients[i].number = i;
    }
    for (uint32_t i = 0; i <= LOG_MAX; i++) {
        world->sizes[i] = 1 + sp_prng_below(&world->prng, size_max);
    }
}

/* Hands out the next durable event, as the server does with each that a match finds. */
static void go_live(struct world *world) {
    uint64_t position = ++world->head;
    sp_feeds_live(&world->feeds, position);
    for (uint32_t i = 0; i < FEEDS; i++) {
        struct client *client = &world->clients[i];
        uint32_t count = messages_of(i, position);
        for (uint32_t k = 0; k < count && sp_feed_takes(&client->feed, position); k++) {
            if (!push(world, client, position)) {
                sp_feed_falls(&world->feeds, &client->feed, position, false);
                break;
            }
            sp_feed_gave(&client->feed);
        }
        if (count > 0 && client->feed.state == SP_FEED_LIVE && client->feed.at == position) {
            sp_feed_took(&world->feeds, &client->feed);
        }
    }
}

/* The client reads some of what waits, and so may wake its feed. */
static void client_reads(struct world *world, struct client *client, size_t bytes) {
    client->unsent -= bytes < client->unsent ? bytes : client->unsent;
    if (client->await != 0 && client->unsent < client->await) {
        client->await = 0;
        sp_feed_wake(&world->feeds, &client->feed);
    }
}

/* From `from` on every message must have come, in order, up to what the feed is done with. */
static void check(const struct client *client, uint64_t until, bool complete) {
    uint32_t at = 0;
    for (uint64_t position = client->from; position <= until; position++) {
        for (uint32_t k = 0; k < messages_of(client->number, position); k++) {
            if (at == client->got_count && !complete) {
                return;
            }
            assert_true(at < client->got_count);
            assert_int_equal(client->got[at], position);
            at++;
        }
    }
    assert_int_equal(at, client->got_count);
}

static void start(struct world *world, struct client *client) {
    uint64_t seen = world->head;
    if (sp_prng_below(&world->prng, 3) == 0) {
        client->from = world->durable + 1;
        sp_feed_start_live(&world->feeds, &client->feed, world->durable);
    } else {
        client->from = 1 + sp_prng_below(&world->prng, (uint32_t)seen + 20);
        sp_feed_start(&world->feeds, &client->feed, client->from, 0);
    }
    client->got_count = 0;
}

static void stop(struct world *world, struct client *client) {
    sp_feed_stop(&world->feeds, &client->feed);
    client->got_count = 0;
    client->await = 0;
    client->unsent = 0;
    assert_int_equal(client->episodes_begun, client->episodes_over);
}

/* One random thing happens. */
static void step(struct world *world, uint32_t reads) {
    struct client *client = &world->clients[sp_prng_below(&world->prng, FEEDS)];
    uint32_t drawn = sp_prng_below(&world->prng, 100);
    if (drawn < 25) {
        uint32_t more = sp_prng_below(&world->prng, 12);
        world->durable += world->durable + more <= LOG_MAX ? more : 0;
    } else if (drawn < 55) {
        for (uint32_t i = sp_prng_below(&world->prng, 8); i > 0 && world->head < world->durable;
             i--) {
            go_live(world);
        }
    } else if (drawn < 55 + reads) {
        client_reads(world, client, sp_prng_below(&world->prng, 3000));
    } else if (drawn < 96) {
        (void)sp_feeds_turn(&world->feeds);
    } else if (client->feed.state == SP_FEED_OFF) {
        start(world, client);
    } else if (drawn == 99 && sp_prng_below(&world->prng, 4) == 0) {
        stop(world, client);
    } else {
        sp_feed_reopen(&world->feeds, &client->feed);
    }
    check(client, world->durable, false);
}

/* Everything is read to the end: each feed must be live, and complete. */
static void settle(struct world *world) {
    bool more = true;
    while (world->head < world->durable) {
        go_live(world);
    }
    while (more) {
        more = sp_feeds_turn(&world->feeds);
        for (uint32_t i = 0; i < FEEDS; i++) {
            more = more || world->clients[i].unsent > 0;
            client_reads(world, &world->clients[i], 3000);
        }
    }
    for (uint32_t i = 0; i < FEEDS; i++) {
        struct client *client = &world->clients[i];
        if (client->feed.state != SP_FEED_OFF) {
            assert_int_equal(client->feed.state, SP_FEED_LIVE);
            check(client, world->durable, true);
        }
        assert_int_equal(client->episodes_begun, client->episodes_over);
    }
    assert_int_equal(world->feeds.lagging_now, 0);
    assert_int_equal(world->cursors, 0);
}

/*
 * Clients that read fast, seldom, hardly ever; messages that are small or fill what a client takes.
 */
static void test_no_gap_and_no_double(void **state) {
    (void)state;
    static struct world world;
    uint64_t falls = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        world_init(&world, seed, seed % 3 == 0 ? 6000 : seed % 3 == 1 ? 200 : 20);
        uint32_t reads = seed % 5 == 0 ? 2 : seed % 5 == 1 ? 8 : 25;
        for (unsigned i = 0; i < 1500; i++) {
            step(&world, reads);
        }
        settle(&world);
        falls += world.feeds.lagging_count;
        for (uint32_t i = 0; i < FEEDS; i++) {
            sp_feed_stop(&world.feeds, &world.clients[i].feed);
        }
    }
    assert_true(falls > 300); /* it was tried, indeed */
}

static void test_limit_counts_history_and_live(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 1, 10);
    world.durable = 30;
    while (world.head < 30) {
        go_live(&world);
    }
    struct client *client = &world.clients[2];
    sp_feed_start(&world.feeds, &client->feed, 21, 14);
    client->from = 21;
    (void)sp_feeds_turn(&world.feeds);
    assert_int_equal(client->feed.state, SP_FEED_LIVE);
    assert_int_equal(client->feed.left, 4);
    world.durable = 60;
    while (world.head < 60) {
        go_live(&world);
    }
    assert_int_equal(client->feed.state, SP_FEED_OVER);
    assert_false(client->over);
    (void)sp_feeds_turn(&world.feeds);
    assert_true(client->over);
    assert_int_equal(client->feed.state, SP_FEED_OFF);
    assert_false(sp_feeds_turn(&world.feeds));
}

static void test_losses_are_told_and_passed(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 1, 10);
    world.durable = 30;
    world.dropped = 5;
    world.damaged = 20;
    sp_feeds_listen(&world.feeds, 30);
    struct client *client = &world.clients[1];
    sp_feed_start(&world.feeds, &client->feed, 1, 0);
    (void)sp_feeds_turn(&world.feeds);
    assert_int_equal(client->feed.state, SP_FEED_LIVE);
    assert_int_equal(client->troubles, 2);
    assert_int_equal(client->ended_with, SP_OK);
    for (uint32_t i = 0; i < client->got_count; i++) {
        assert_true(client->got[i] > 5 && client->got[i] != 20);
    }
}

static void test_failures_end_the_feed(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 1, 10);
    world.durable = 30;
    world.failed_read = 10;
    sp_feeds_listen(&world.feeds, 30);
    sp_feed_start(&world.feeds, &world.clients[0].feed, 1, 0);
    assert_false(sp_feeds_turn(&world.feeds));
    assert_int_equal(world.clients[0].feed.state, SP_FEED_OFF);
    assert_int_equal(world.clients[0].ended_with, SP_FAILED);
    world.open_fails = SP_NO_MEMORY;
    sp_feed_start(&world.feeds, &world.clients[1].feed, 1, 0);
    assert_false(sp_feeds_turn(&world.feeds));
    assert_int_equal(world.clients[1].ended_with, SP_NO_MEMORY);
    assert_int_equal(world.cursors, 0);
}

/* A turn is bounded, and those who are behind share it. */
static void test_feeds_take_turns(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 1, 1);
    world.durable = world.head = LOG_MAX;
    sp_feeds_listen(&world.feeds, LOG_MAX);
    for (uint32_t i = 0; i < FEEDS; i++) {
        world.clients[i].from = 1;
        sp_feed_start(&world.feeds, &world.clients[i].feed, 1, 0);
    }
    unsigned turns = 0;
    bool more = true;
    while (more) {
        more = sp_feeds_turn(&world.feeds);
        turns++;
        uint64_t least = UINT64_MAX;
        uint64_t most = 0;
        for (uint32_t i = 0; i < FEEDS; i++) {
            uint64_t next = world.clients[i].feed.next;
            least = next < least ? next : least;
            most = next > most ? next : most;
            client_reads(&world, &world.clients[i], UNSENT_MAX);
        }
        assert_true(most - least <= SP_FEED_SLICE_EVENTS);
    }
    assert_true(turns >= FEEDS * LOG_MAX / SP_FEED_TURN_EVENTS);
    settle(&world);
}

/* Who does not read holds a position, and neither a cursor nor a place among those that go on. */
static void test_who_does_not_read_costs_nothing(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 1, 100);
    struct client *client = &world.clients[3];
    client->from = 1;
    sp_feed_start_live(&world.feeds, &client->feed, 0);
    for (world.durable = 1; world.durable < LOG_MAX; world.durable++) {
        go_live(&world);
        (void)sp_feeds_turn(&world.feeds);
    }
    world.durable--;
    assert_int_equal(client->feed.state, SP_FEED_LAGGING);
    assert_true(client->feed.asleep);
    assert_int_equal(client->episodes_begun, 1);
    assert_int_equal(client->episodes_over, 0);
    assert_true(client->unsent < REFUSED_FROM + 100);
    assert_int_equal(world.cursors, 0);
    assert_false(sp_feeds_turn(&world.feeds));
    settle(&world);
    assert_int_equal(client->episodes_over, 1);
}

static void test_a_quiet_episode_is_not_told(void **state) {
    (void)state;
    static struct world world;
    world_init(&world, 1, 100);
    struct client *client = &world.clients[0];
    sp_feed_start_live(&world.feeds, &client->feed, 0);
    sp_feeds_live(&world.feeds, 1);
    assert_true(sp_feed_takes(&client->feed, 1));
    sp_feed_falls(&world.feeds, &client->feed, 1, true);
    world.durable = world.head = 1;
    client->await = 0;
    sp_feed_wake(&world.feeds, &client->feed);
    assert_false(sp_feeds_turn(&world.feeds));
    assert_int_equal(client->feed.state, SP_FEED_LIVE);
    assert_int_equal(client->episodes_begun + client->episodes_over, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_gap_and_no_double),
        cmocka_unit_test(test_limit_counts_history_and_live),
        cmocka_unit_test(test_losses_are_told_and_passed),
        cmocka_unit_test(test_failures_end_the_feed),
        cmocka_unit_test(test_feeds_take_turns),
        cmocka_unit_test(test_who_does_not_read_costs_nothing),
        cmocka_unit_test(test_a_quiet_episode_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
