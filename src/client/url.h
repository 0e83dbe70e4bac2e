/*
 * The address of a server. pure
 *
 *     http://[user[:password]@]host[:7380]     HTTP, from which the connection goes over to RESP
 *     redis://[user[:password]@]host[:7379]    RESP at once; spoor:// is the same
 *
 * A host is a name, an IPv4 address, or an IPv6 one in brackets. In user and password %XX stands
 * for a byte. What follows the host (a path, a query) is not looked at, as a database is none: `/`
 * alone may stand there. https:// and rediss:// are understood and refused: there is no TLS.
 */
#ifndef SP_CLIENT_URL_H
#define SP_CLIENT_URL_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

enum { SP_URL_PART_SIZE = 256 };

struct sp_url {
    bool is_http;
    bool has_password;
    char host[SP_URL_PART_SIZE];
    char port[8];
    char user[SP_URL_PART_SIZE]; /* `default` where none is given */
    char password[SP_URL_PART_SIZE];
    char shown[SP_URL_PART_SIZE + 24]; /* `http://host:port`: for messages, without secrets */
};

/* True where a text is meant as a URL and not as a folder: it begins with `word://`. */
bool sp_url_is(sp_str text);

/* SP_INVALID says what was expected; SP_UNSUPPORTED for TLS. */
SP_WARN_UNUSED sp_status sp_url_parse(sp_str text, struct sp_url *ret_url, struct sp_error *error);

#endif
