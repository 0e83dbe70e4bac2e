/*
 * Resolving URI references against a base (RFC 3986, section 5). pure
 *
 * As JSON Schema needs it: URIs are compared as they are written, apart from dots in paths.
 */
#ifndef SP_SCHEMA_URI_H
#define SP_SCHEMA_URI_H

#include "base/buf.h"

/* Appends the URI that the reference names where the base is valid; without its fragment. */
void sp_uri_resolve(sp_str base, sp_str reference, struct sp_buf *to);

/* Splits at the first `#`: what is before it is returned, what follows is *ret_fragment. */
sp_str sp_uri_split(sp_str uri, sp_str *ret_fragment);

/* Appends the text with %XX resolved; what is no such escape stays. */
void sp_uri_decode(sp_str text, struct sp_buf *to);

#endif
