/*
 * Schemas of events in an engine: what is registered, and who is told of events that do not keep
 * to one. loop-thread
 *
 * The engine folds the stream `$schemas` (schema/registry.h) when it opens and as it is appended
 * to: a registration is an append of its own, which is refused where the schema has a mistake or is
 * not compatible. From then on, also in the same turn, events are held to it, by whatever way they
 * come. Events of the store's own streams, which begin with `$`, are never refused, and neither are
 * repetitions of what is stored.
 */
#ifndef SP_ENGINE_SCHEMAS_H
#define SP_ENGINE_SCHEMAS_H

#include "engine/engine.h"
#include "schema/registry.h"

/* Borrowed, never NULL. */
struct sp_registry *sp_engine_schemas(struct sp_engine *engine);

/*
 * What an append's error is about, where a schema refused it and no append came since; else NULL.
 */
const struct sp_schema_refusal *sp_engine_refusal(const struct sp_engine *engine,
                                                  const struct sp_error *error);

/* Called for each event that is stored although it is not valid, for its schema only warns. */
typedef void sp_engine_warn_fn(void *context, const struct sp_schema_refusal *refusal);
void sp_engine_on_schema_warning(struct sp_engine *engine, sp_engine_warn_fn *warn, void *context);

/*
 * Registers a schema: appends its event. What the registration does not say is filled in.
 * *ret_known: the very same was there, and nothing is appended. See sp_registry_prepare and
 * sp_engine_submit for what may be wrong. Like any append it counts once it is durable, *ret_result
 * at once.
 */
SP_WARN_UNUSED sp_status sp_engine_schema_add(struct sp_engine *engine,
                                              struct sp_schema_registration *registration,
                                              bool *ret_known, struct sp_engine_result *ret_result,
                                              struct sp_error *error);

/* Removes a version. SP_NOT_FOUND. */
SP_WARN_UNUSED sp_status sp_engine_schema_remove(struct sp_engine *engine, sp_str type,
                                                 sp_str version, struct sp_error *error);

#endif
