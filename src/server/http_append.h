/*
 * Appending over HTTP: POST /v1/events, and its import of lines. loop-thread
 */
#ifndef SP_SERVER_HTTP_APPEND_H
#define SP_SERVER_HTTP_APPEND_H

#include "server/http.h"

enum { SP_HTTP_BATCH_EVENTS_MAX = 10000 }; /* of one request; 413 beyond. An import has no limit */

/* What the request says beside its events. */
struct sp_http_append_options {
    sp_str stream;     /* of all its events; NULL ptr: each its own */
    uint64_t expected; /* its version; SP_CORE_ANY_VERSION: any */
};

/*
 * Reads `?stream=` and the header Spoor-Expected-Version. False where a problem was written: the
 * verdict is then DONE.
 */
SP_WARN_UNUSED bool sp_http_append_options(struct sp_http_request *request,
                                           struct sp_http_append_options *ret_options);

/*
 * Puts an event into the stream that the request names, where it does. SP_INVALID where the event
 * names another one itself.
 */
SP_WARN_UNUSED sp_status sp_http_set_stream(const struct sp_http_append_options *options,
                                            struct sp_event *event, struct sp_error *error);

/*
 * What a refused append says: as sp_http_refuse_status, with the member `attribute` where the error
 * is about one, and `event` or `line`, counted from 1, where `place` is not NULL.
 */
enum sp_http_verdict sp_http_refuse_append(struct sp_http_request *request, sp_status status,
                                           const struct sp_error *error, const char *place,
                                           uint64_t number, const struct sp_http_member *more,
                                           uint32_t more_count);

/* http_import.c: a body of lines, in pieces. */
enum sp_http_verdict sp_http_import(struct sp_http_request *request);

#endif
