/*
 * Events over HTTP, on their way out: in which form, and page by page. loop-thread
 */
#ifndef SP_SERVER_HTTP_EVENTS_H
#define SP_SERVER_HTTP_EVENTS_H

#include "engine/query.h"
#include "server/http.h"

enum {
    SP_HTTP_PAGE_DEFAULT = 1000, /* events of an array where the query has no limit */
    SP_HTTP_PAGE_MAX = 10000,
    SP_HTTP_PAGE_BYTES_MAX = 8 << 20, /* a page ends behind the event that goes beyond */
};

/* How events are written: by Accept. */
enum sp_http_form {
    SP_HTTP_FORM_JSON,  /* spoor's own shape (docs/events.md), in an array */
    SP_HTTP_FORM_LINES, /* the same, one a line: application/x-ndjson */
    SP_HTTP_FORM_CLOUD, /* CloudEvents: in an array, or one alone */
};

enum sp_http_form sp_http_form_of(const struct sp_http_request *request);

/*
 * Appends the event that the cursor has just yielded, as one line without its end; brought up by
 * the server `upcast`, or as it is stored where that is NULL. SP_INVALID: an upcaster is broken.
 */
SP_WARN_UNUSED sp_status sp_http_write_event(enum sp_http_form form, struct sp_server *upcast,
                                             struct sp_cursor *cursor, const struct sp_event *event,
                                             struct sp_buf *to, struct sp_error *error);

/*
 * Reads a parameter that is a whole number from 1 to `most`; *ret_value stays where it is absent.
 * False where a problem was written.
 */
SP_WARN_UNUSED bool sp_http_number(struct sp_http_request *request, const char *name, uint64_t most,
                                   uint64_t *ret_value);

/* Refuses with 400 what is not among the names, which end with NULL. False: it was. */
SP_WARN_UNUSED bool sp_http_only(struct sp_http_request *request, const char *const *names);

/* Long work goes on after other clients had their turn: `return` it, with the state kept. */
enum sp_http_verdict sp_http_pause(struct sp_http_request *request);

/* http_lines.c: the reads whose replies are streams; made when the first one comes. */
struct sp_http_reads;

/*
 * Sends all that the cursor has, line by line, however much: a piece a turn, and none while the
 * client does not read. Takes the cursor over. `upcast` as above; what cannot be brought up ends
 * the lines with one that says so: {"error": "…"}.
 */
enum sp_http_verdict sp_http_send_lines(struct sp_http_request *request, struct sp_cursor *cursor,
                                        struct sp_server *upcast);

#endif
