/*
 * The part of GET /v1/sagas that is about sagas which have ended. loop-thread
 */
#ifndef SP_SERVER_HTTP_SAGAS_H
#define SP_SERVER_HTTP_SAGAS_H

#include "api/desk.h"
#include "server/http.h"

/* Asks the read model; the handler is run again, and then calls _go_on: request->state is set. */
enum sp_http_verdict sp_http_sagas_start(struct sp_http_request *request,
                                         const struct sp_desk_request *asked);
enum sp_http_verdict sp_http_sagas_go_on(struct sp_http_request *request);

#endif
