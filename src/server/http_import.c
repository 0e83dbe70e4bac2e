/*
 * Import: a body of lines, each an event in JSON, read leniently. Lines are appended some at a
 * time, as they come, each some in one block; what is known already is counted and not appended
 * again, so that an import which broke off is simply sent again. A body may be of any length: while
 * the store is busy nothing is read from the client.
 *
 * An error names the line and what of the lines before it was stored; nothing behind it is.
 */
#include <stdlib.h>

#include "event/event_json.h"
#include "server/http_append.h"

enum {
    CHUNK_EVENTS_MAX = 128,
    CHUNK_BYTES_MAX = 256 << 10, /* of lines; one alone may be longer */
    LINE_BYTES_MAX = SP_HTTP_WINDOW_BYTES / 2,
};

/* What is kept from piece to piece. */
struct import {
    uint64_t lines; /* done with */
    uint64_t appended;
    uint64_t known;
    uint64_t position; /* of the last event, known or not */
    struct sp_event events[CHUNK_EVENTS_MAX];
    struct sp_bus_added added[CHUNK_EVENTS_MAX];
};

/* One look at the body. */
struct looking {
    struct sp_http_request *request;
    struct import *import;
    struct sp_http_append_options options;
    struct sp_buf text;
    struct sp_error error;
};

static void free_import(struct sp_connection *connection, void *state) {
    (void)connection;
    free(state);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static bool is_blank(sp_str line) {
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] != ' ' && line.ptr[i] != '\t' && line.ptr[i] != '\r') {
            return false;
        }
    }
    return true;
}

/*
 * Takes a line off the text, without its end. False where it is not all there. The last one of a
 * body needs no end.
 */
static bool take_line(sp_str *text, bool is_last_piece, sp_str *ret_line) {
    const char *end = text->len == 0 ? NULL : memchr(text->ptr, '\n', text->len);
    if (text->len == 0 || (end == NULL && !is_last_piece)) {
        return false;
    }
    size_t len = end == NULL ? text->len : (size_t)(end - text->ptr);
    *ret_line = sp_str_of(text->ptr, len);
    *text = sp_str_from_byte(*text, end == NULL ? len : len + 1);
    return true;
}

/* Some lines of the body. */
struct chunk {
    size_t bytes;     /* of the body, its blank lines included */
    uint32_t lines;   /* likewise */
    uint32_t events;  /* read into import.events */
    sp_status status; /* of the line that ended it: SP_OK, or why it is none */
};

static sp_status read_line(struct looking *looking, sp_str line, struct sp_event *event) {
    sp_status status =
        sp_event_from_json(line, SP_EVENT_LENIENT, &looking->text, event, &looking->error);
    status =
        status == SP_OK ? sp_http_set_stream(&looking->options, event, &looking->error) : status;
    bool has_stream = sp_event_has(event, SP_ATTR_STREAM) || sp_event_has(event, SP_ATTR_SOURCE);
    return status == SP_OK && !has_stream
               ? sp_error_set(&looking->error, SP_INVALID,
                              "attribute source: absent, expected who did it")
               : status;
}

/* Reads lines until the chunk is full, the piece is over, or one is wrong. */
static void read_chunk(struct looking *looking, sp_str rest, struct chunk *chunk) {
    const char *start = rest.ptr;
    sp_str line;
    *chunk = (struct chunk){.status = SP_OK};
    sp_buf_reset(&looking->text);
    while (chunk->events < CHUNK_EVENTS_MAX && chunk->bytes < CHUNK_BYTES_MAX &&
           take_line(&rest, looking->request->body_ended, &line)) {
        if (!is_blank(line)) {
            chunk->status = read_line(looking, line, &looking->import->events[chunk->events]);
            if (chunk->status != SP_OK) {
                return;
            }
            chunk->events++;
        }
        chunk->lines++;
        chunk->bytes = (size_t)(rest.ptr - start);
    }
}

/* ---- appending ------------------------------------------------------------------------------- */

static void count_results(struct import *import, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        import->known += import->added[i].duplicate;
        import->appended += !import->added[i].duplicate;
        import->position = import->added[i].position;
    }
}

static sp_status append(struct looking *looking, uint32_t count) {
    struct import *import = looking->import;
    sp_status status = sp_bus_import(looking->request->server->bus, import->events, count,
                                     SP_EVENT_FROM_JSON, import->added, &looking->error);
    if (status == SP_OK) {
        looking->request->appended = true;
        count_results(import, count);
    }
    return status;
}

/*
 * A chunk was refused for one of its events: they are appended one by one, up to that one. What
 * was taken is in chunk->bytes and lines; the status is that of the line behind.
 */
static sp_status append_singly(struct looking *looking, sp_str rest, struct chunk *chunk) {
    const char *start = rest.ptr;
    uint32_t lines = chunk->lines;
    sp_status status = SP_OK;
    sp_str line;
    *chunk = (struct chunk){.status = SP_OK};
    while (chunk->lines < lines && take_line(&rest, looking->request->body_ended, &line)) {
        sp_buf_reset(&looking->text);
        if (!is_blank(line)) {
            status = read_line(looking, line, &looking->import->events[0]);
            status = status == SP_OK ? append(looking, 1) : status;
        }
        if (status != SP_OK) {
            return status;
        }
        chunk->lines++;
        chunk->bytes = (size_t)(rest.ptr - start);
    }
    return SP_OK;
}

static bool is_about_an_event(sp_status status) {
    return status != SP_OK && status != SP_BUSY && status != SP_FAILED && status != SP_NO_SPACE &&
           status != SP_NO_MEMORY && status != SP_CANCELLED;
}

/* ---- replies --------------------------------------------------------------------------------- */

static enum sp_http_verdict reply(struct looking *looking) {
    const struct import *import = looking->import;
    struct sp_buf *body = sp_http_scratch(looking->request);
    sp_buf_add_str(body, SP_STR("{\"appended\":"));
    sp_buf_add_u64(body, import->appended);
    sp_buf_add_str(body, SP_STR(",\"known\":"));
    sp_buf_add_u64(body, import->known);
    sp_buf_add_str(body, SP_STR(",\"lines\":"));
    sp_buf_add_u64(body, import->lines);
    sp_buf_add_str(body, SP_STR(",\"position\":"));
    sp_buf_add_u64(body, import->position);
    sp_buf_add_str(body, SP_STR("}\n"));
    return sp_http_json(looking->request, 200, sp_buf_str(body));
}

/* The line behind those done with is wrong, or cannot be stored. */
static enum sp_http_verdict refuse(struct looking *looking, sp_status status) {
    const struct import *import = looking->import;
    const struct sp_http_member members[] = {
        {.name = "appended", .kind = SP_HTTP_NUMBER, .number = import->appended},
        {.name = "known", .kind = SP_HTTP_NUMBER, .number = import->known},
        {.name = "position", .kind = SP_HTTP_NUMBER, .number = import->position},
    };
    uint64_t line = import->lines + 1;
    (void)sp_error_prefix(&looking->error, status, "line %llu", (unsigned long long)line);
    return sp_http_refuse_append(looking->request, status, &looking->error, "line", line, members,
                                 sizeof(members) / sizeof(members[0]));
}

/* The store is busy: what was done is kept, the rest waits. */
static enum sp_http_verdict put_off(struct looking *looking, size_t done) {
    struct sp_http_request *request = looking->request;
    if (done == 0) {
        return SP_HTTP_LATER;
    }
    request->body_taken = done;
    return SP_HTTP_MORE;
}

/* ---- the handler ----------------------------------------------------------------------------- */

/* Appends what is there of the body. */
static enum sp_http_verdict take(struct looking *looking) {
    struct sp_http_request *request = looking->request;
    struct import *import = looking->import;
    size_t done = 0;
    for (;;) {
        struct chunk chunk;
        sp_str rest = sp_str_from_byte(request->body, done);
        read_chunk(looking, rest, &chunk);
        sp_status line_status = chunk.status;
        sp_status status = chunk.events > 0 ? append(looking, chunk.events) : SP_OK;
        if (is_about_an_event(status)) {
            status = append_singly(looking, rest, &chunk);
            line_status = is_about_an_event(status) ? status : SP_OK;
            status = is_about_an_event(status) ? SP_OK : status;
        } else if (status != SP_OK) {
            chunk.bytes = 0;
            chunk.lines = 0;
        }
        import->lines += chunk.lines;
        done += chunk.bytes;
        if (status == SP_BUSY) {
            return put_off(looking, done);
        }
        if (status != SP_OK || line_status != SP_OK) {
            return refuse(looking, status != SP_OK ? status : line_status);
        }
        if (chunk.bytes == 0) {
            break;
        }
    }
    if (request->body_ended) {
        return reply(looking);
    }
    if (request->body.len - done > LINE_BYTES_MAX) {
        (void)sp_error_set(&looking->error, SP_LIMIT, "found more than %d bytes, expected fewer",
                           LINE_BYTES_MAX);
        return refuse(looking, SP_LIMIT);
    }
    request->body_taken = done;
    return SP_HTTP_MORE;
}

enum sp_http_verdict sp_http_import(struct sp_http_request *request) {
    struct looking looking = {.request = request};
    sp_error_clear(&looking.error);
    if (!sp_http_append_options(request, &looking.options)) {
        return SP_HTTP_DONE;
    }
    if (looking.options.expected != (uint64_t)SP_CORE_ANY_VERSION) {
        return sp_http_refuse(request, 400, "invalid",
                              "Spoor-Expected-Version is for a batch; an import has none");
    }
    if (request->state == NULL) {
        struct import *import = malloc(sizeof(*import));
        if (import == NULL) {
            return sp_http_refuse_status(request, SP_NO_MEMORY, NULL);
        }
        memset(import, 0, offsetof(struct import, events));
        request->state = import;
        request->free_state = free_import;
    }
    looking.import = request->state;
    sp_buf_init(&looking.text, SIZE_MAX / 4);
    enum sp_http_verdict verdict = take(&looking);
    sp_buf_fini(&looking.text);
    return verdict;
}
