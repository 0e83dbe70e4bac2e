#include "desk.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

enum { TURNS_MAX = 10000 };

static uint64_t wall_us(void *context) {
    return ((struct desk *)context)->wall_us;
}

static uint64_t monotonic_ns(void *context) {
    return ((struct desk *)context)->monotonic_ns;
}

static void must(sp_status status, const struct sp_error *error) {
    if (status != SP_OK) {
        fail_msg("%s: %s", sp_status_text(status), error->text);
    }
}

int desk_begin(void **state) {
    struct desk *desk = calloc(1, sizeof(*desk));
    struct sp_settings settings;
    struct sp_error error;
    assert_non_null(desk);
    desk->wall_us = UINT64_C(1700000000000000);
    desk->monotonic_ns = 1000000000;
    (void)snprintf(desk->folder, sizeof(desk->folder), "/tmp/spoor-desk-XXXXXX");
    assert_non_null(mkdtemp(desk->folder));
    struct sp_clock clock = {.wall_us = wall_us, .monotonic_ns = monotonic_ns, .context = desk};
    sp_error_clear(&error);
    must(sp_fs_posix_open(desk->folder, true, false, &desk->fs, &error), &error);
    struct sp_engine_options options = {.fs = desk->fs,
                                        .clock = clock,
                                        .create = true,
                                        .inline_jobs = true,
                                        .limits = SP_EVENT_LIMITS_DEFAULT};
    must(sp_engine_open(&options, &desk->engine, NULL, &error), &error);
    must(sp_bus_new(desk->engine, &desk->bus, &error), &error);
    must(sp_settings_init(&settings), &error);
    desk->server = malloc(sizeof(*desk->server));
    assert_non_null(desk->server);
    must(sp_server_init(desk->server, &settings, desk->engine, desk->bus, clock, -1, &error),
         &error);
    *state = desk;
    return 0;
}

int desk_end(void **state) {
    struct desk *desk = *state;
    char command[128];
    sp_server_fini(desk->server);
    free(desk->server);
    sp_bus_free(desk->bus);
    sp_engine_close(desk->engine);
    desk->fs->ops->destroy(desk->fs);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", desk->folder);
    int code = system(command);
    free(desk);
    return code;
}

struct sp_connection *desk_connect(struct desk *desk) {
    struct sp_connection *connection = sp_connection_new(desk->server, "test");
    assert_non_null(connection);
    return connection;
}

void desk_hang_up(struct desk *desk, struct sp_connection *connection) {
    sp_connection_free(connection);
    desk_turn(desk);
}

/* True where nobody's reply waits for the disk. */
static bool is_settled(const struct desk *desk) {
    const struct sp_connection *at = desk->server->connections;
    while (at != NULL && sp_output_gate(&at->output) == 0 &&
           (at->pause & (SP_PAUSE_GATE | SP_PAUSE_BUSY)) == 0) {
        at = at->all.next;
    }
    return at == NULL && !sp_engine_must_wait(desk->engine);
}

static int turn(struct desk *desk) {
    int wait_ms = 0;
    for (int i = 0; i < TURNS_MAX; i++) {
        sp_server_tick(desk->server);
        wait_ms = sp_server_turn(desk->server);
        if (wait_ms != 0 && i > 1 && is_settled(desk)) {
            return wait_ms;
        }
        if (sp_engine_must_wait(desk->engine)) {
            sp_engine_wait(desk->engine, 1);
        }
    }
    fail_msg("the server does not come to rest");
    return wait_ms;
}

void desk_turn(struct desk *desk) {
    (void)turn(desk);
}

int desk_sleep(struct desk *desk, uint64_t ms) {
    desk->wall_us += ms * 1000;
    desk->monotonic_ns += ms * 1000000;
    return turn(desk);
}

void desk_say(struct desk *desk, struct sp_connection *connection, const char *line) {
    sp_connection_feed(connection, line, strlen(line));
    sp_connection_feed(connection, "\r\n", 2);
    desk_turn(desk);
}

/* Appends bytes, `|` for a line's end. */
static size_t keep(struct desk *desk, size_t len, const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != '\r') {
            assert_true(len + 1 < sizeof(desk->reply));
            desk->reply[len++] = bytes[i];
        }
        if (bytes[i] == '\n') {
            desk->reply[len - 1] = '|';
        }
    }
    return len;
}

const char *desk_hear(struct desk *desk, struct sp_connection *connection) {
    struct iovec pieces[16];
    size_t len = 0;
    for (;;) {
        size_t count = sp_output_pieces(&connection->output, pieces, 16);
        size_t bytes = 0;
        for (size_t i = 0; i < count; i++) {
            len = keep(desk, len, pieces[i].iov_base, pieces[i].iov_len);
            bytes += pieces[i].iov_len;
        }
        if (count == 0 || bytes == 0) {
            break;
        }
        sp_output_sent(&connection->output, bytes);
    }
    desk->reply[len] = '\0';
    return desk->reply;
}

void desk_expect_heard(struct desk *desk, struct sp_connection *connection, const char *reply) {
    static const char ANY[] = "…";
    const char *heard = desk_hear(desk, connection);
    size_t len = strlen(reply);
    size_t any = sizeof(ANY) - 1;
    if (len >= any && strcmp(reply + len - any, ANY) == 0) {
        if (strncmp(heard, reply, len - any) != 0) {
            fail_msg("heard '%s', not '%s'", heard, reply);
        }
        return;
    }
    if (strcmp(heard, reply) != 0) {
        fail_msg("heard '%s', not '%s'", heard, reply);
    }
}

void desk_expect(struct desk *desk, struct sp_connection *connection, const char *line,
                 const char *reply) {
    desk_say(desk, connection, line);
    desk_expect_heard(desk, connection, reply);
}
