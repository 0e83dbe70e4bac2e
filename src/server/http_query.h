/*
 * A query as the parameters of a URL: type (repeatable), source, stream, correlation, filter, from,
 * until, limit, reverse. pure
 *
 * Other parameters are refused, but for those that the route names as its own.
 */
#ifndef SP_SERVER_HTTP_QUERY_H
#define SP_SERVER_HTTP_QUERY_H

#include "server/http.h"
#include "server/subscribe_query.h"

/*
 * Reads the parameters of the request. `others`: names that are the route's own, ended by NULL;
 * NULL: none. The slices last as long as the request. SP_INVALID and SP_LIMIT name the parameter.
 * That patterns, filter and moments are any is for the engine to say.
 */
SP_WARN_UNUSED sp_status sp_http_query_read(const struct sp_http_request *request,
                                            const char *const *others,
                                            struct sp_query_words *ret_read,
                                            struct sp_error *error);

#endif
