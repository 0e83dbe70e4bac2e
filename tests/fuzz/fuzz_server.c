/*
 * A script of what clients say, and of what happens to the server between: fake connections over a
 * store on the simulated disk, with a virtual clock. One line each:
 *
 *     0 XADD s * f v     a command of connection 0, as an array; words and escapes see below
 *     p0 3 XADD s …      the same, handed over in pieces of 3 bytes
 *     i0 PING "a b"      an inline command
 *     r0 *1%0d%0a…       bytes as they are
 *     x20                the next line 20 times
 *     t3                 3 turns; q: turns until all is at rest
 *     s1500              time passes, in ms; j-5000: the wall clock is set back
 *     o0  O0             connection 0 stops reading what it is sent, and reads again
 *     h0  d0             it says that nothing more will come; it is gone
 *     R                  the store is closed and opened again
 *     Cl  Ca  Ck         the power fails: what was not synced is lost, lost in part, kept
 *     F                  the next write to the disk fails
 *
 * In a word `%xx` is a byte, `%e` nothing, `@300` 300 times `a`.
 *
 * Whatever is said: every reply is well-formed, one for each command, and none that a gate holds
 * back leaves before; memory stays within the settings; what was closed in order comes back as it
 * was, and what was shown to be durable is there after a crash.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "base/prng.h"
#include "server/pubsub.h"
#include "server/server.h"
#include "server_checks.h"
#include "server_mutate.h"
#include "sim/disk.h"

enum {
    CLIENTS = 6,
    WORDS_MAX = 400,
    LINES_MAX = 600,
    REPEATS_MAX = 60,
    COMMANDS_MAX = 4000, /* of one script */
    WORD_BYTES_MAX = 20000,
    TURNS_MAX = 20000,
    QUERY_BUFFER = 96 << 10, /* small, so that limits are met */
    BULK_BYTES_MAX = 24 << 10,
    REPLY_BYTES_MAX = 48 << 10,
    OUTPUT_BUFFER = 32 << 10,
    EVENT_BYTES_MAX = 16 << 10,
    MEMORY_BUDGET = 1 << 20,
    BLOCK_BYTES = 64 << 10,
    SEGMENT_BYTES = 128 << 10,
    MS_US = 1000,
    MS_NS = 1000000,
};

struct client {
    struct sp_connection *connection; /* NULL: not connected */
    struct check check;
    bool deaf; /* reads nothing */
};

struct world {
    struct sim_clock clock;
    struct sim_disk *disk;
    struct sp_fs *fs;
    struct sp_engine *engine;
    struct sp_bus *bus;
    struct sp_server *server;
    struct client clients[CLIENTS];
    uint64_t durable; /* what the store has shown to be */
    uint32_t commands;
    bool faulty; /* the disk was told to fail */
    struct sp_buf bytes;
    struct sp_buf text; /* of a line, unescaped */
    sp_str words[WORDS_MAX];
};

static struct sp_prng entropy_prng;

static void seeded_entropy(void *bytes, size_t len) {
    uint8_t *to = bytes;
    for (size_t i = 0; i < len; i++) {
        to[i] = (uint8_t)(sp_prng_next(&entropy_prng) >> 32);
    }
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void set_limits(struct sp_settings *settings) {
    settings->numbers[SP_SET_QUERY_BUFFER] = QUERY_BUFFER;
    settings->numbers[SP_SET_BULK_BYTES_MAX] = BULK_BYTES_MAX;
    settings->numbers[SP_SET_REPLY_BYTES_MAX] = REPLY_BYTES_MAX;
    settings->numbers[SP_SET_OUTPUT_BUFFER] = OUTPUT_BUFFER;
    settings->numbers[SP_SET_EVENT_BYTES_MAX] = EVENT_BYTES_MAX;
    settings->numbers[SP_SET_MEMORY_BUDGET] = MEMORY_BUDGET;
    settings->numbers[SP_SET_ALLOW_FLUSHALL] = 1;
}

static void must(sp_status status, const struct sp_error *error) {
    if (status != SP_OK) {
        (void)fprintf(stderr, "fuzz_server: %s: %s\n", sp_status_text(status), error->text);
        abort();
    }
}

static void open_world(struct world *world) {
    struct sp_settings settings;
    struct sp_error error;
    sp_error_clear(&error);
    struct sp_clock clock = sim_clock_face(&world->clock);
    world->fs = sim_disk_process(world->disk, false);
    struct sp_engine_options options = {.fs = world->fs,
                                        .clock = clock,
                                        .entropy = seeded_entropy,
                                        .create = true,
                                        .inline_jobs = true,
                                        .block_bytes_max = BLOCK_BYTES,
                                        .segment_bytes_min = SEGMENT_BYTES,
                                        .segment_bytes_max = SEGMENT_BYTES,
                                        .snapshot_events = 40,
                                        .limits = SP_EVENT_LIMITS_DEFAULT};
    options.limits.event_bytes_max = EVENT_BYTES_MAX;
    must(sp_engine_open(&options, &world->engine, NULL, &error), &error);
    must(sp_bus_new(world->engine, &world->bus, &error), &error);
    must(sp_settings_init(&settings), &error);
    set_limits(&settings);
    must(sp_settings_set(&settings, SP_SET_EPHEMERAL_TOPICS, SP_STR("tmp.*"), &error), &error);
    world->server = malloc(sizeof(*world->server));
    sp_require(world->server != NULL);
    must(sp_server_init(world->server, &settings, world->engine, world->bus, clock, -1, &error),
         &error);
    must(sp_pubsub_init(world->server, &error), &error);
    sp_require(sp_engine_durable_position(world->engine) >= world->durable);
}

static void hang_up(struct client *client) {
    if (client->connection != NULL) {
        sp_connection_free(client->connection);
        client->connection = NULL;
    }
    check_fini(&client->check);
    client->deaf = false;
}

static void close_world(struct world *world) {
    for (int i = 0; i < CLIENTS; i++) {
        hang_up(&world->clients[i]);
    }
    sp_server_fini(world->server);
    free(world->server);
    sp_bus_free(world->bus);
    sp_engine_close(world->engine);
    world->fs->ops->destroy(world->fs);
}

static struct client *client_of(struct world *world, char digit) {
    struct client *client = &world->clients[(unsigned char)digit % CLIENTS];
    if (client->connection == NULL) {
        client->connection = sp_connection_new(world->server, "fuzz");
        sp_require(client->connection != NULL);
        check_init(&client->check);
    }
    return client;
}

/* ---- what leaves ----------------------------------------------------------------------------- */

/* As the loop does it. */
static bool is_over(const struct sp_connection *connection) {
    bool waits = (connection->pause & (SP_PAUSE_GATE | SP_PAUSE_BUSY)) != 0 ||
                 sp_connection_unsent(connection) > 0;
    bool ends = connection->ended || (connection->pause & SP_PAUSE_CLOSING) != 0;
    return connection->broken || (ends && !waits);
}

static void hear(struct world *world, struct client *client) {
    struct sp_connection *connection = client->connection;
    struct iovec pieces[4];
    size_t bytes = 1;
    while (bytes > 0 && !client->deaf && !connection->broken) {
        size_t count = sp_output_pieces(&connection->output, pieces, 4);
        bytes = 0;
        for (size_t i = 0; i < count; i++) {
            check_hear(&client->check, world->bus, pieces[i].iov_base, pieces[i].iov_len);
            bytes += pieces[i].iov_len;
        }
        sp_output_sent(&connection->output, bytes);
    }
    if (connection->output.bytes.len == 0) {
        sp_spare_take(&world->server->spares, &connection->output.bytes);
    }
}

static void hear_again(struct client *client) {
    client->deaf = false;
    if (client->connection != NULL) {
        sp_connection_touch(client->connection); /* its socket is writable */
    }
}

/* Sends to everybody, closes who is done. True where somebody can go on at once. */
static bool flush(struct world *world) {
    bool more = false;
    for (int i = 0; i < CLIENTS; i++) {
        struct client *client = &world->clients[i];
        struct sp_connection *connection = client->connection;
        if (connection == NULL || !connection->dirty.linked) {
            continue; /* nobody looks at it, in the loop neither */
        }
        hear(world, client);
        if (is_over(connection)) {
            hang_up(client);
            continue;
        }
        size_t unsent = sp_connection_unsent(connection);
        bool goes_on =
            ((connection->pause & SP_PAUSE_OUTPUT) != 0 && unsent < SP_OUTPUT_PAUSE_BYTES / 2) ||
            unsent < connection->drain_below;
        more = more || goes_on;
        if (!goes_on && (connection->pause & (SP_PAUSE_GATE | SP_PAUSE_BUSY)) == 0 &&
            sp_output_gate(&connection->output) == 0) {
            sp_connection_settle(connection);
        }
    }
    return more;
}

/* ---- turns ----------------------------------------------------------------------------------- */

static void check_memory(struct world *world) {
    size_t sum = 0;
    for (int i = 0; i < CLIENTS; i++) {
        const struct sp_connection *connection = world->clients[i].connection;
        if (connection != NULL) {
            sum += connection->counted_bytes;
            sp_require(connection->input.capacity <= 2 * QUERY_BUFFER);
            sp_require(sp_connection_unsent(connection) <=
                       SP_OUTPUT_PAUSE_BYTES + OUTPUT_BUFFER + 2 * REPLY_BYTES_MAX);
        }
    }
    sp_require(sum == world->server->buffer_bytes);
}

/* Returns whether there is more to do at once. */
static bool turn(struct world *world) {
    sp_server_tick(world->server);
    bool more = sp_server_turn(world->server) == 0;
    more = flush(world) || more;
    check_memory(world);
    uint64_t durable = sp_engine_durable_position(world->engine);
    sp_require(durable >= world->durable);
    world->durable = durable;
    if (sp_engine_must_wait(world->engine)) {
        sp_engine_wait(world->engine, 1);
    }
    return more;
}

static bool is_at_rest(const struct world *world) {
    for (int i = 0; i < CLIENTS; i++) {
        const struct sp_connection *at = world->clients[i].connection;
        if (at != NULL && (sp_output_gate(&at->output) != 0 ||
                           (at->pause & (SP_PAUSE_GATE | SP_PAUSE_BUSY)) != 0)) {
            return false;
        }
    }
    return !sp_engine_must_wait(world->engine);
}

static void settle(struct world *world) {
    for (int i = 0; i < TURNS_MAX; i++) {
        bool more = turn(world);
        if ((!more && i > 1 && is_at_rest(world)) || world->server->failed) {
            return;
        }
        if (i % 64 == 63) {
            sim_clock_advance_ns(&world->clock, MS_NS); /* what waits for the next millisecond */
        }
    }
    (void)fprintf(stderr, "fuzz_server: the server does not come to rest\n");
    for (int i = 0; i < CLIENTS; i++) {
        const struct sp_connection *at = world->clients[i].connection;
        if (at != NULL) {
            (void)fprintf(stderr, "client %d: pause %u, unsent %zu, drain below %zu, gate %llu\n",
                          i, at->pause, sp_connection_unsent(at), at->drain_below,
                          (unsigned long long)sp_output_gate(&at->output));
        }
    }
    abort();
}

static void settle_and_count(struct world *world) {
    settle(world);
    for (int i = 0; i < CLIENTS && !world->server->failed; i++) {
        struct client *client = &world->clients[i];
        if (client->connection != NULL && !client->deaf) {
            check_count(&client->check, client->connection);
        }
    }
}

/* ---- reopening ------------------------------------------------------------------------------- */

static void reopen(struct world *world) {
    if (world->faulty) {
        return;
    }
    settle_and_count(world);
    for (int i = 0; i < CLIENTS; i++) {
        hang_up(&world->clients[i]);
    }
    settle(world);
    const struct sp_core *core = sp_engine_core(world->engine);
    /* Not the hash of all: ops that are in no record yet get one by closing. */
    uint64_t position = core->position;
    uint64_t views = sp_views_hash(&core->views);
    uint64_t groups = sp_groups_hash(&core->groups);
    close_world(world);
    open_world(world);
    core = sp_engine_core(world->engine);
    sp_require(core->position == position);
    sp_require(sp_views_hash(&core->views) == views);
    sp_require(sp_groups_hash(&core->groups) == groups);
}

static void crash(struct world *world, char how) {
    enum sim_crash crash = how == 'l'   ? SIM_CRASH_LOSE
                           : how == 'k' ? SIM_CRASH_KEEP
                                        : SIM_CRASH_ANY;
    sim_disk_disarm(world->disk);
    sim_disk_crash(world->disk, crash);
    close_world(world);
    world->faulty = false;
    open_world(world);
}

static void fail_next_write(struct world *world) {
    if (world->faulty) {
        return;
    }
    world->faulty = true;
    struct sim_fault fault = {
        .kind = SIM_FAULT_EIO, .op = SIM_OP_WRITE_DURABLE, .countdown = 1, .repeat = 1};
    sim_disk_arm(world->disk, &fault);
}

/* ---- the script ------------------------------------------------------------------------------ */

static uint64_t number_of(sp_str text, uint64_t most) {
    uint64_t value = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
        value = value > most ? most : value;
    }
    return value;
}

static int hex(char byte) {
    return byte >= '0' && byte <= '9'   ? byte - '0'
           : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
                                        : -1;
}

static void unescape(struct sp_buf *to, sp_str word) {
    if (word.len > 1 && word.ptr[0] == '@') {
        uint64_t count = number_of(sp_str_from_byte(word, 1), WORD_BYTES_MAX);
        for (uint64_t i = 0; i < count; i++) {
            sp_buf_add_byte(to, 'a');
        }
        return;
    }
    for (size_t i = 0; i < word.len; i++) {
        bool escape = word.ptr[i] == '%' && word.len - i > 2 && hex(word.ptr[i + 1]) >= 0 &&
                      hex(word.ptr[i + 2]) >= 0;
        if (escape) {
            sp_buf_add_byte(to, (uint8_t)(hex(word.ptr[i + 1]) * 16 + hex(word.ptr[i + 2])));
            i += 2;
        } else if (!(word.len == 2 && memcmp(word.ptr, "%e", 2) == 0)) {
            sp_buf_add_byte(to, (uint8_t)word.ptr[i]);
        }
    }
}

/* The words of a line, unescaped; returns how many. */
static uint32_t read_words(struct world *world, sp_str line) {
    uint32_t count = 0;
    size_t starts[WORDS_MAX + 1];
    sp_buf_reset(&world->text);
    while (line.len > 0 && count < WORDS_MAX) {
        const char *blank = memchr(line.ptr, ' ', line.len);
        size_t len = blank == NULL ? line.len : (size_t)(blank - line.ptr);
        if (len > 0) {
            starts[count++] = world->text.len;
            unescape(&world->text, sp_str_of(line.ptr, len));
        }
        line = sp_str_from_byte(line, len + (blank != NULL));
    }
    starts[count] = world->text.len;
    for (uint32_t i = 0; i < count; i++) {
        world->words[i] = sp_str_of(world->text.data + starts[i], starts[i + 1] - starts[i]);
    }
    return count;
}

static void encode(struct world *world, uint32_t count) {
    struct sp_resp resp = {.to = &world->bytes, .version = SP_RESP_2};
    sp_buf_reset(&world->bytes);
    sp_resp_array(&resp, count);
    for (uint32_t i = 0; i < count; i++) {
        sp_resp_bulk(&resp, world->words[i]);
    }
}

static void feed(struct world *world, struct client *client, size_t piece) {
    struct sp_connection *connection = client->connection;
    const struct sp_buf *bytes = &world->bytes;
    sp_server_tick(world->server);
    for (size_t at = 0; at < bytes->len; at += piece) {
        bool full = connection->pause != 0 && connection->input.len >= SP_INPUT_PAUSED_BYTES;
        if (connection->ended || connection->broken || full) {
            client->check.sure = false;
            break;
        }
        size_t len = bytes->len - at < piece ? bytes->len - at : piece;
        /* Exactly as large as what is read, so that the sanitizer sees a read past its end. */
        char *copy = malloc(len);
        sp_require(copy != NULL);
        memcpy(copy, bytes->data + at, len);
        sp_connection_feed(connection, copy, len);
        free(copy);
    }
}

static void say(struct world *world, char who, sp_str line, size_t piece) {
    struct client *client = client_of(world, who);
    uint32_t count = read_words(world, line);
    if (count == 0 || world->commands++ > COMMANDS_MAX) {
        return;
    }
    encode(world, count);
    check_asked(&client->check, client->connection, world->words, count);
    bool idle = client->connection->pause == 0 && client->connection->input.len == 0;
    feed(world, client, piece == 0 ? SIZE_MAX / 2 : piece);
    if (idle) {
        check_gate(&client->check, client->connection, world->bus, world->words[0]);
    }
}

static void say_raw(struct world *world, char who, sp_str line, bool is_inline) {
    struct client *client = client_of(world, who);
    if (world->commands++ > COMMANDS_MAX) {
        return;
    }
    sp_buf_reset(&world->bytes);
    if (is_inline) {
        sp_buf_add_str(&world->bytes, line);
        sp_buf_add_str(&world->bytes, SP_STR("\r\n"));
    } else {
        unescape(&world->bytes, line);
    }
    client->check.sure = false;
    client->check.resp3 = true;
    feed(world, client, SIZE_MAX / 2);
}

static void half_close(struct world *world, char who) {
    struct sp_connection *connection = client_of(world, who)->connection;
    connection->ended = true;
    if (connection->wait != NULL || connection->subscription_count > 0) {
        sp_connection_break(connection);
    }
    sp_connection_touch(connection);
}

static void sleep_ms(struct world *world, sp_str text) {
    sim_clock_advance_ns(&world->clock, number_of(text, UINT64_C(10000000000)) * MS_NS);
    (void)turn(world);
}

static void set_clock(struct world *world, sp_str text) {
    bool back = text.len > 0 && text.ptr[0] == '-';
    uint64_t us = number_of(sp_str_from_byte(text, back), 100000000) * MS_US;
    struct sp_clock face = sim_clock_face(&world->clock);
    uint64_t now_us = face.wall_us(face.context);
    sim_clock_set_wall_us(&world->clock, back ? now_us - us : now_us + us);
    (void)turn(world);
}

static void do_turns(struct world *world, sp_str text) {
    uint64_t count = number_of(text, 50);
    for (uint64_t i = 0; i < (count == 0 ? 1 : count); i++) {
        (void)turn(world);
    }
}

static void say_in_pieces(struct world *world, sp_str line) {
    sp_str rest = sp_str_from_byte(line, 2);
    while (rest.len > 0 && rest.ptr[0] == ' ') {
        rest = sp_str_from_byte(rest, 1);
    }
    size_t piece = (size_t)number_of(rest, 1000);
    while (rest.len > 0 && rest.ptr[0] >= '0' && rest.ptr[0] <= '9') {
        rest = sp_str_from_byte(rest, 1);
    }
    say(world, line.ptr[1], rest, piece);
}

static void do_line(struct world *world, sp_str line) {
    char who = line.len > 1 ? line.ptr[1] : '0';
    sp_str rest = sp_str_from_byte(line, 1);
    sp_str behind = sp_str_from_byte(line, line.len > 2 ? 3 <= line.len ? 3 : 2 : line.len);
    switch (line.ptr[0]) {
    case 'p':
        if (line.len > 2) {
            say_in_pieces(world, line);
        }
        return;
    case 'i':
        say_raw(world, who, behind, true);
        return;
    case 'r':
        say_raw(world, who, behind, false);
        return;
    case 't':
        do_turns(world, rest);
        return;
    case 'q':
        settle_and_count(world);
        return;
    case 's':
        sleep_ms(world, rest);
        return;
    case 'j':
        set_clock(world, rest);
        return;
    case 'o':
        client_of(world, who)->deaf = true;
        return;
    case 'O':
        hear_again(client_of(world, who));
        return;
    case 'h':
        half_close(world, who);
        return;
    case 'd':
        hang_up(client_of(world, who));
        return;
    case 'R':
        reopen(world);
        return;
    case 'C':
        crash(world, who);
        return;
    case 'F':
        fail_next_write(world);
        return;
    default:
        if (line.ptr[0] >= '0' && line.ptr[0] <= '9') {
            say(world, line.ptr[0], rest, 0);
        }
        return;
    }
}

/* Once more a word to everybody: who is not in the middle of something answers it, and last. */
static void say_goodbye(struct world *world) {
    for (int i = 0; i < CLIENTS; i++) {
        hear_again(&world->clients[i]);
    }
    settle_and_count(world);
    for (int i = 0; i < CLIENTS; i++) {
        if (world->clients[i].connection != NULL && !world->server->failed) {
            say(world, (char)i, SP_STR("echo goodbye"), 0);
        }
    }
    settle_and_count(world);
}

static void tell_story(struct world *world, sp_str script) {
    uint64_t repeats = 1;
    for (int lines = 0; script.len > 0 && lines < LINES_MAX; lines++) {
        const char *end = memchr(script.ptr, '\n', script.len);
        sp_str line = sp_str_of(script.ptr, end == NULL ? script.len : (size_t)(end - script.ptr));
        script = sp_str_from_byte(script, line.len + (end != NULL));
        if (line.len == 0) {
            continue;
        }
        if (line.ptr[0] == 'x') {
            repeats = number_of(sp_str_from_byte(line, 1), REPEATS_MAX);
            continue;
        }
        for (uint64_t i = 0; i < (repeats == 0 ? 1 : repeats); i++) {
            do_line(world, line);
        }
        repeats = 1;
        if (world->server->failed) {
            crash(world, 'a');
        }
    }
    say_goodbye(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct world *world = calloc(1, sizeof(*world));
    sp_require(world != NULL);
    entropy_prng = sp_prng_seed(1);
    world->clock = sim_clock_at(UINT64_C(1700000000000000));
    world->disk = sim_disk_new(&(struct sim_disk_options){.seed = 1, .clock = &world->clock});
    sp_buf_init(&world->bytes, SIZE_MAX);
    sp_buf_init(&world->text, SIZE_MAX);
    open_world(world);
    tell_story(world, size > 0 ? sp_str_of(data, size) : SP_STR(""));
    reopen(world);
    close_world(world);
    sim_disk_free(world->disk);
    sp_buf_fini(&world->bytes);
    sp_buf_fini(&world->text);
    free(world);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed) {
    return mutate_script(data, size, size_max, seed);
}
