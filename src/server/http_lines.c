/*
 * Reads whose replies are streams of lines: a piece a turn for each of them, and none for a client
 * that has not read the last ones. So a reply of any size takes one piece of memory, and holds
 * nobody up.
 *
 *     ACTIVE ──► a piece, every turn ──► the end
 *       ▲ drained      │ too much unread
 *       └── STALLED ◄──┘
 */
#include <stdlib.h>

#include "base/json.h"
#include "server/http_events.h"

enum {
    PIECE_EVENTS = 512,      /* looked at in a turn, for one client */
    PIECE_BYTES = 128 << 10, /* a piece ends behind the line that goes beyond */
    UNSENT_HIGH = 512 << 10, /* no piece more from here on */
    UNSENT_LOW = 128 << 10,  /* until fewer are unread */
};

struct read {
    struct sp_http_reads *reads;
    struct sp_connection *connection;
    struct sp_cursor *cursor;
    struct sp_server *upcast; /* NULL: as stored */
    struct read *next;
    struct read *before;
    bool stalled;
};

struct sp_http_reads {
    struct read *first;
    uint32_t active;
    struct sp_buf piece;
};

/* ---- the list -------------------------------------------------------------------------------- */

static void set_stalled(struct read *read, bool stalled) {
    if (read->stalled != stalled) {
        read->stalled = stalled;
        read->reads->active += stalled ? UINT32_MAX : 1;
    }
}

static void free_read(struct sp_connection *connection, void *state) {
    struct read *read = state;
    (void)connection;
    set_stalled(read, true);
    *(read->before != NULL ? &read->before->next : &read->reads->first) = read->next;
    if (read->next != NULL) {
        read->next->before = read->before;
    }
    sp_cursor_close(read->cursor);
    free(read);
}

static struct read *add_read(struct sp_http_reads *reads, struct sp_http_request *request,
                             struct sp_cursor *cursor, struct sp_server *upcast) {
    struct read *read = calloc(1, sizeof(*read));
    if (read == NULL) {
        return NULL;
    }
    *read = (struct read){.reads = reads,
                          .connection = request->connection,
                          .cursor = cursor,
                          .upcast = upcast,
                          .next = reads->first};
    if (read->next != NULL) {
        read->next->before = read;
    }
    reads->first = read;
    reads->active++;
    request->state = read;
    request->free_state = free_read;
    request->finite = true;
    return read;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

/* An event that cannot be brought up is the end, and a line that says so stands in its place. */
static sp_status end_with(struct sp_buf *piece, const struct sp_error *error) {
    sp_buf_add_str(piece, SP_STR("{\"error\":"));
    sp_json_add_string(piece, sp_str_from(error->text));
    sp_buf_add_str(piece, SP_STR("}\n"));
    return piece->status == SP_OK ? SP_END : piece->status;
}

/* Gathers lines; SP_BUSY: there may be more. */
static sp_status gather(struct read *read, struct sp_buf *piece) {
    struct sp_error error;
    const struct sp_event *event = NULL;
    sp_status status = SP_OK;
    sp_buf_reset(piece);
    sp_error_clear(&error);
    sp_cursor_allow(read->cursor, PIECE_EVENTS);
    while (piece->len < PIECE_BYTES) {
        status = sp_cursor_next(read->cursor, &event, &error);
        if (status != SP_OK) {
            return status;
        }
        status = sp_http_write_event(SP_HTTP_FORM_LINES, read->upcast, read->cursor, event, piece,
                                     &error);
        if (status == SP_INVALID) {
            return end_with(piece, &error);
        }
        if (status != SP_OK) {
            return status;
        }
        sp_buf_add_byte(piece, '\n');
    }
    return piece->status != SP_OK ? piece->status : SP_BUSY;
}

/* Sends a piece. The read may be gone afterwards. */
static void send_piece(struct read *read) {
    struct sp_connection *connection = read->connection;
    struct sp_buf *piece = &read->reads->piece;
    if (sp_connection_unsent(connection) >= UNSENT_HIGH) {
        set_stalled(read, true);
        connection->drain_below = UNSENT_LOW;
        return;
    }
    sp_status status = gather(read, piece);
    bool sent = sp_http_stream_write(connection, sp_buf_str(piece));
    if (sent && status == SP_END) {
        sp_http_stream_end(connection);
    } else if (!sent || status != SP_BUSY) {
        sp_http_stream_abort(connection); /* the end that is missing tells the client */
    }
}

/* ---- the server's side ----------------------------------------------------------------------- */

static bool on_turn(struct sp_server *server, void *context) {
    struct sp_http_reads *reads = context;
    (void)server;
    for (struct read *read = reads->first, *next; read != NULL; read = next) {
        next = read->next;
        if (!read->stalled) {
            send_piece(read);
        }
    }
    return reads->active > 0;
}

static void on_drained(struct sp_server *server, void *context, struct sp_connection *connection) {
    struct sp_http_reads *reads = context;
    for (struct read *read = reads->first; read != NULL; read = read->next) {
        if (read->connection == connection) {
            set_stalled(read, false);
            server->again = true;
        }
    }
}

static void on_fini(struct sp_server *server, void *context) {
    struct sp_http_reads *reads = context;
    sp_require(reads->first == NULL);
    sp_buf_fini(&reads->piece);
    free(reads);
    server->http_reads = NULL;
}

static struct sp_http_reads *reads_of(struct sp_server *server) {
    if (server->http_reads == NULL) {
        struct sp_http_reads *reads = calloc(1, sizeof(*reads));
        if (reads == NULL) {
            return NULL;
        }
        sp_buf_init(&reads->piece, SIZE_MAX / 4);
        const struct sp_server_hooks hooks = {
            .turn = on_turn, .drained = on_drained, .fini = on_fini, .context = reads};
        sp_server_hook(server, &hooks);
        server->http_reads = reads;
    }
    return server->http_reads;
}

enum sp_http_verdict sp_http_send_lines(struct sp_http_request *request, struct sp_cursor *cursor,
                                        struct sp_server *upcast) {
    struct sp_http_reads *reads = reads_of(request->server);
    struct read *read = reads == NULL ? NULL : add_read(reads, request, cursor, upcast);
    if (read == NULL) {
        sp_cursor_close(cursor);
        return sp_http_refuse_status(request, SP_NO_MEMORY, NULL);
    }
    enum sp_http_verdict verdict =
        sp_http_stream_begin(request, 200, "application/x-ndjson", NULL, 0);
    if (verdict == SP_HTTP_OPEN) {
        request->server->again = true; /* the first piece goes with this turn */
    }
    return verdict;
}
