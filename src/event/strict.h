/*
 * What CloudEvents 1.0.2 demands of the values of attributes, by whatever protocol they came. pure
 *
 * The rules are those of the specification's type system, without leniency: a URI has no blank and
 * no letter beyond ASCII, a time has seconds and a zone, a string no control character. What is
 * refused gets SP_INVALID, and an error that names the attribute, what was found and what was
 * expected. All cost O(bytes).
 */
#ifndef SP_EVENT_STRICT_H
#define SP_EVENT_STRICT_H

#include "event/attributes.h"

/*
 * SP_OK where the attribute may have the value. All of them: not empty, Unicode without control
 * characters and noncharacters; source a URI-reference, datacontenttype a media type with its
 * parameters, time a time of RFC 3339.
 */
SP_WARN_UNUSED sp_status sp_strict_check(enum sp_attr attr, sp_str value, struct sp_error *error);

/*
 * The same for an extension, whose name is right already. It may be empty, but for subject and
 * dataschema, which are optional attributes of CloudEvents; dataschema is a URI.
 */
SP_WARN_UNUSED sp_status sp_strict_check_extension(sp_str name, sp_str value,
                                                   struct sp_error *error);

/* SP_OK for the one version that is spoken here, 1.0. */
SP_WARN_UNUSED sp_status sp_strict_check_specversion(sp_str value, struct sp_error *error);

/* True for a URI-reference (RFC 3986, section 4.1), which may be relative, but not empty. */
bool sp_uri_reference_valid(sp_str text);

/* True for a URI with its scheme. A fragment is allowed, as schemas are named by it. */
bool sp_uri_valid(sp_str text);

/* True for a media type (RFC 2046): `type/subtype`, then parameters behind semicolons. */
bool sp_media_type_valid(sp_str text);

#endif
