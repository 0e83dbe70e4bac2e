/*
 * The registry: which schema the data of an event is held to, by the event's type and the version
 * of its schema. loop-thread
 *
 * It is folded from events of the stream SP_SCHEMAS_STREAM: `schema.registered` (type, version,
 * schema, mode, compatibility) and `schema.removed` (type, version); the engine folds them when it
 * opens and when they are appended, and asks for every other event. An event is held to the schema
 * of its `schemaversion`; without one, to the newest that is not off. Versions are compared part by
 * part, numbers as numbers: 2 < 10, 1.9 < 1.10. A type may have tokens in braces, which stand for
 * any one token: `task.assigned.{agent}`.
 *
 * A registered version does not change: the same type and version with another schema is
 * SP_CONFLICT; with the same schema it may get another mode. A new version has to be compatible
 * with the one before it, as its registration asks (compatible.h).
 *
 * Registering is in two steps, so that the event and the registry agree: sp_registry_prepare does
 * all that can fail, sp_registry_commit takes the prepared entry in.
 *
 * Limits: SP_REGISTRY_ENTRIES_MAX versions in all, those of json_schema.h for each.
 */
#ifndef SP_SCHEMA_REGISTRY_H
#define SP_SCHEMA_REGISTRY_H

#include "record/event.h"
#include "schema/json_schema.h"

#define SP_SCHEMAS_STREAM "$schemas"

enum {
    SP_REGISTRY_ENTRIES_MAX = 10000,
    SP_SCHEMA_VERSION_BYTES_MAX = 64,
};

/* What becomes of an event that is not valid: refused; stored and told of; nothing. */
enum sp_schema_mode { SP_SCHEMA_ENFORCE, SP_SCHEMA_WARN, SP_SCHEMA_OFF };

/*
 * Backward: what was valid by the version before is valid by this one. Forward: the other way
 * round. Full: both. None: nothing is asked.
 */
enum sp_schema_compatibility {
    SP_SCHEMA_BACKWARD,
    SP_SCHEMA_FORWARD,
    SP_SCHEMA_FULL,
    SP_SCHEMA_NONE,
};

/* Static storage; false and untouched where there is none of the name. */
const char *sp_schema_mode_name(enum sp_schema_mode mode);
bool sp_schema_mode_read(sp_str name, enum sp_schema_mode *ret_mode);
const char *sp_schema_compatibility_name(enum sp_schema_compatibility compatibility);
bool sp_schema_compatibility_read(sp_str name, enum sp_schema_compatibility *ret_compatibility);

/* Less than 0, 0, more than 0, as versions compare. */
int sp_schema_version_compare(sp_str a, sp_str b);

/* What a registration says. What is not said is taken from the version before, else the first. */
struct sp_schema_registration {
    sp_str type;
    sp_str version;
    sp_str text; /* of the schema */
    bool has_mode;
    enum sp_schema_mode mode;
    bool has_compatibility;
    enum sp_schema_compatibility compatibility;
};

/* A registered version. Everything ends in a NUL. */
struct sp_schema_entry {
    sp_str type;
    sp_str version;
    sp_str text;
    enum sp_schema_mode mode;
    enum sp_schema_compatibility compatibility;
    struct sp_schema *schema; /* NULL: it cannot be compiled here, and holds nothing */
    char *problem;            /* why */
    uint64_t position;        /* of its event; 0: not durable yet */
    uint64_t checked;         /* events, since the store was opened */
    uint64_t refused;
    uint64_t warned;
};

struct sp_registry;

/* NULL where memory is out. */
struct sp_registry *sp_registry_new(void);
void sp_registry_free(struct sp_registry *registry);

uint32_t sp_registry_count(const struct sp_registry *registry);
/* In the order of types, then of versions. Until the registry changes. */
const struct sp_schema_entry *sp_registry_at(const struct sp_registry *registry, uint32_t index);
/* NULL where there is none. An empty version asks for the newest. */
const struct sp_schema_entry *sp_registry_find(const struct sp_registry *registry, sp_str type,
                                               sp_str version);

/* Appends the entry as a JSON object, with its schema where asked for. */
void sp_schema_entry_to_json(const struct sp_schema_entry *entry, bool with_schema,
                             struct sp_buf *to);

/* ---- events ---- */

/* Appends a registration as the data of its event. */
void sp_schema_registration_write(const struct sp_schema_registration *registration,
                                  struct sp_buf *to);

/*
 * Makes ready what an event of SP_SCHEMAS_STREAM will change. SP_OK and *ret_change NULL: the event
 * is no such one. SP_INVALID (a mistake, which the error places), SP_CONFLICT (see above, or not
 * compatible), SP_NOT_FOUND (to be removed), SP_UNSUPPORTED, SP_LIMIT, SP_NO_MEMORY. With
 * `trusted`, for what is in the log already, what cannot be compiled makes an entry with a problem,
 * and nothing is asked about compatibility. At most one change is ready at a time.
 */
struct sp_registry_change;
SP_WARN_UNUSED sp_status sp_registry_prepare(struct sp_registry *registry, sp_str event_type,
                                             sp_str data, bool trusted,
                                             struct sp_registry_change **ret_change,
                                             struct sp_error *error);
/* Takes the change in, and frees it; cannot fail. */
void sp_registry_commit(struct sp_registry *registry, struct sp_registry_change *change,
                        uint64_t position);
/* NULL is fine. */
void sp_registry_forget(struct sp_registry_change *change);

/*
 * Whether a registration would be taken, and what it would come to: its mode and compatibility are
 * filled in. *ret_known: the very same is there already.
 */
SP_WARN_UNUSED sp_status sp_registry_try(struct sp_registry *registry,
                                         struct sp_schema_registration *registration,
                                         bool *ret_known, struct sp_error *error);

/* ---- checking ---- */

/* Why an event was refused, or warned of. */
struct sp_schema_refusal {
    bool enforced;
    uint32_t event; /* index within its append */
    char type[SP_EVENT_TYPE_BYTES_MAX + 1];
    char version[SP_SCHEMA_VERSION_BYTES_MAX + 1]; /* of the schema; "" where it has no such one */
    struct sp_schema_fault fault;
};

/*
 * Checks an event's data. SP_OK, also where no schema is registered for it; SP_INVALID with the
 * refusal, which the caller obeys where it is `enforced`; SP_NO_MEMORY. About 100 ns beside the
 * check itself.
 */
SP_WARN_UNUSED sp_status sp_registry_check(struct sp_registry *registry,
                                           const struct sp_event *event,
                                           struct sp_schema_refusal *ret_refusal);

/* Fills an error with what a refusal says, and returns SP_INVALID. */
sp_status sp_schema_refusal_say(const struct sp_schema_refusal *refusal, struct sp_error *error);

/* How often, over all entries, since the store was opened. */
struct sp_registry_counts {
    uint64_t checked;
    uint64_t refused;
    uint64_t warned;
};
struct sp_registry_counts sp_registry_counts(const struct sp_registry *registry);

#endif
