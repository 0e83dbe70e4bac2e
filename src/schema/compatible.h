/*
 * Whether one schema accepts all that another accepts, decided by rules on their keywords. pure
 *
 * Deciding it for any two schemas is not possible; the rules know what people change from version
 * to version: types, required members, properties, enumerations, bounds, items, additional
 * properties. What they cannot decide is refused with "cannot be shown". A member that the narrow
 * schema does not name counts as absent there, although most schemas would let it be anything: or
 * nobody could ever add a property.
 */
#ifndef SP_SCHEMA_COMPATIBLE_H
#define SP_SCHEMA_COMPATIBLE_H

#include "schema/json_schema.h"

/*
 * SP_OK where every instance that `narrow` accepts is accepted by `wide`; else SP_CONFLICT, with
 * the place in the wide schema and why. SP_NO_MEMORY.
 */
SP_WARN_UNUSED sp_status sp_schema_accepts_all(const struct sp_schema *wide,
                                               const struct sp_schema *narrow,
                                               struct sp_error *error);

#endif
