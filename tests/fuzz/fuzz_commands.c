/*
 * Whatever clients say: a server over a log in memory, four connections, a clock that the input
 * turns. Each line of the input is for one of them:
 *
 *     0XADD s * a 1     an inline command of connection 0 (to 3)
 *     =2*1\r\n          bytes for connection 2 as they are, \r and \n written out
 *     ~250              so many ms go by
 *     !1                connection 1 hangs up, and another takes its place
 *
 * What every connection is sent must be whole replies of the Redis protocol.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "server/pubsub.h"
#include "server/server.h"
#include "sim/log_memory.h"

enum {
    CLIENTS = 4,
    INPUT_BYTES_MAX = 1 << 14,
    LINES_MAX = 300,
    TURNS_MAX = 64,
    SENT_BYTES_MAX = 64 << 20,
};

struct rig {
    struct sim_log_store *store;
    struct sp_engine *engine;
    struct sp_bus *bus;
    struct sp_server server;
    struct sp_connection *clients[CLIENTS];
    struct sp_buf sent[CLIENTS];
    uint64_t wall_us;
    uint64_t monotonic_ns;
};

static uint64_t wall_us(void *context) {
    return ((struct rig *)context)->wall_us;
}

static uint64_t monotonic_ns(void *context) {
    return ((struct rig *)context)->monotonic_ns;
}

static void entropy(void *bytes, size_t len) {
    memset(bytes, 7, len);
}

/* ---- what is sent ---------------------------------------------------------------------------- */

/* The number of a header's line, *at behind it; -1 for nulls. */
static int64_t take_number(const struct sp_buf *sent, size_t *at) {
    int64_t value = 0;
    bool negative = sent->data[*at] == '-';
    *at += negative;
    for (; sent->data[*at] != '\r'; (*at)++) {
        sp_require(sent->data[*at] >= '0' && sent->data[*at] <= '9');
        value = value * 10 + (sent->data[*at] - '0');
        sp_require(*at + 2 < sent->len);
    }
    *at += 2;
    return negative ? -value : value;
}

/* One element without those in it; returns how many those are. */
static uint64_t skip_element(const struct sp_buf *sent, size_t *at) {
    char kind = (char)sent->data[(*at)++];
    sp_require(kind != '\0' && strchr("+-:$*%~>_#,=", kind) != NULL);
    const uint8_t *end = memchr(sent->data + *at, '\n', sent->len - *at);
    sp_require(end != NULL && end[-1] == '\r');
    if (strchr("+-_#,:", kind) != NULL) {
        *at = (size_t)(end - sent->data) + 1;
        return 0;
    }
    int64_t number = take_number(sent, at);
    if (kind == '$' || kind == '=') {
        if (number >= 0) {
            *at += (size_t)number + 2;
            sp_require(*at <= sent->len && sent->data[*at - 1] == '\n');
        }
        return 0;
    }
    return number <= 0 ? 0 : (uint64_t)number * (kind == '%' ? 2 : 1);
}

static void check_sent(struct sp_buf *sent) {
    uint64_t pending = 0;
    size_t at = 0;
    while (at < sent->len) {
        pending += pending == 0;
        pending += skip_element(sent, &at) - 1;
    }
    sp_require(pending == 0 && at == sent->len);
    sp_buf_reset(sent);
}

static void take_sent(struct rig *rig, int client) {
    struct iovec pieces[8];
    struct sp_output *output = &rig->clients[client]->output;
    size_t count = sp_output_pieces(output, pieces, 8);
    while (count > 0) {
        size_t total = 0;
        for (size_t i = 0; i < count; i++) {
            sp_buf_add(&rig->sent[client], pieces[i].iov_base, pieces[i].iov_len);
            total += pieces[i].iov_len;
        }
        sp_output_sent(output, total);
        count = sp_output_pieces(output, pieces, 8);
    }
    if (sp_output_waiting(output) == 0) {
        check_sent(&rig->sent[client]);
    }
}

/* ---- turning --------------------------------------------------------------------------------- */

static void renew(struct rig *rig, int client) {
    if (rig->clients[client] != NULL) {
        sp_connection_free(rig->clients[client]);
    }
    rig->clients[client] = sp_connection_new(&rig->server, "fuzz");
    sp_require(rig->clients[client] != NULL);
    sp_buf_reset(&rig->sent[client]);
}

/* Until nothing waits for the log, or it has waited long enough. */
static void turn(struct rig *rig) {
    bool waits = true;
    for (int i = 0; waits && i < TURNS_MAX; i++) {
        waits = false;
        sp_server_tick(&rig->server);
        (void)sp_server_turn(&rig->server);
        for (int k = 0; k < CLIENTS; k++) {
            struct sp_connection *client = rig->clients[k];
            take_sent(rig, k);
            waits = waits || sp_output_gate(&client->output) != 0 ||
                    (client->pause & (SP_PAUSE_GATE | SP_PAUSE_BUSY | SP_PAUSE_OUTPUT)) != 0;
            if (client->broken || (client->pause & SP_PAUSE_CLOSING) != 0) {
                renew(rig, k);
            }
        }
    }
}

static void say_raw(struct sp_connection *client, sp_str text) {
    char bytes[INPUT_BYTES_MAX];
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool escape = text.ptr[i] == '\\' && i + 1 < text.len;
        char next = escape ? text.ptr[i + 1] : '\0';
        bytes[len++] = next == 'r' ? '\r' : next == 'n' ? '\n' : text.ptr[i];
        i += next == 'r' || next == 'n';
    }
    sp_connection_feed(client, bytes, len);
}

static void run_line(struct rig *rig, sp_str line) {
    char mark = line.ptr[0];
    sp_str rest = sp_str_from_byte(line, 1);
    if (mark == '~') {
        uint64_t ms = rest.len > 0 ? (uint64_t)(uint8_t)rest.ptr[0] * 10 : 1;
        rig->wall_us += ms * 1000;
        rig->monotonic_ns += ms * 1000000;
    } else if (mark == '!') {
        renew(rig, rest.len > 0 ? rest.ptr[0] & 3 : 0);
    } else if (mark == '=' && rest.len > 0) {
        say_raw(rig->clients[rest.ptr[0] & 3], sp_str_from_byte(rest, 1));
        return; /* without a turn: what comes next finds it on its way */
    } else {
        struct sp_connection *client = rig->clients[mark & 3];
        sp_connection_feed(client, rest.ptr, rest.len);
        sp_connection_feed(client, "\r\n", 2);
    }
    turn(rig);
}

/* ---- one input ------------------------------------------------------------------------------- */

static void begin(struct rig *rig) {
    struct sp_settings settings;
    struct sp_error error;
    struct sp_clock clock = {.wall_us = wall_us, .monotonic_ns = monotonic_ns, .context = rig};
    rig->wall_us = UINT64_C(1700000000000000);
    rig->monotonic_ns = 1000000000;
    rig->store = sim_log_store_new(&(struct sim_log_store_options){.seed = 1});
    struct sp_engine_options options = {.clock = clock,
                                        .entropy = entropy,
                                        .create = true,
                                        .inline_jobs = true,
                                        .limits = SP_EVENT_LIMITS_DEFAULT};
    sp_error_clear(&error);
    sp_status status =
        sp_engine_open_log(&options, sim_log_memory_open(rig->store), &rig->engine, NULL, &error);
    sp_require(status == SP_OK);
    sp_require(sp_bus_new(rig->engine, &rig->bus, &error) == SP_OK);
    sp_require(sp_settings_init(&settings) == SP_OK);
    status = sp_settings_set(&settings, SP_SET_ALLOW_FLUSHALL, SP_STR("yes"), &error);
    sp_require(status == SP_OK);
    status = sp_server_init(&rig->server, &settings, rig->engine, rig->bus, clock, -1, &error);
    sp_require(status == SP_OK && sp_pubsub_init(&rig->server, &error) == SP_OK);
    for (int i = 0; i < CLIENTS; i++) {
        sp_buf_init(&rig->sent[i], SENT_BYTES_MAX);
        renew(rig, i);
    }
}

static void end(struct rig *rig) {
    sp_server_fini(&rig->server);
    sp_bus_free(rig->bus);
    sp_engine_close(rig->engine);
    sim_log_store_free(rig->store);
    for (int i = 0; i < CLIENTS; i++) {
        sp_buf_fini(&rig->sent[i]);
    }
    free(rig);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > INPUT_BYTES_MAX) {
        return 0;
    }
    struct rig *rig = calloc(1, sizeof(*rig));
    sp_require(rig != NULL);
    begin(rig);
    sp_str left = sp_str_of(data, size);
    for (int i = 0; i < LINES_MAX && left.len > 0; i++) {
        const char *stop = memchr(left.ptr, '\n', left.len);
        sp_str line = sp_str_of(left.ptr, stop == NULL ? left.len : (size_t)(stop - left.ptr));
        if (line.len > 0) {
            run_line(rig, line);
        }
        left = sp_str_from_byte(left, line.len + (stop != NULL));
    }
    turn(rig);
    end(rig);
    return 0;
}
