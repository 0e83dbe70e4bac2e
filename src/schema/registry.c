/*
 * Types are found by hash; the versions of a type are few and lie in order. Every list grows when a
 * change is prepared, so that committing one cannot fail.
 */
#include "schema/registry.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/htab.h"
#include "base/utf8.h"
#include "match/pattern.h"
#include "schema/compatible.h"
#include "schema/tape.h"

struct version_list {
    sp_str type; /* that of its first entry, owned here */
    struct sp_schema_entry **entries;
    uint32_t count;
    uint32_t capacity;
    struct sp_schema_entry *newest; /* that is not off; NULL: none */
    bool has_braces;
};

struct sp_registry {
    struct version_list *types;
    uint32_t type_count;
    uint32_t type_capacity;
    struct sp_htab by_type;
    uint32_t brace_count; /* types with braces, whether they have versions or not */
    struct sp_schema_entry **sorted;
    uint32_t count;
    uint32_t capacity;
    struct sp_schema_scratch *scratch;
    struct sp_registry_counts counts;
};

struct sp_registry_change {
    struct sp_schema_entry *added; /* or NULL, and: */
    uint32_t type;                 /* whose version goes */
    uint32_t removed;
};

/* ---- names ---- */

static const char *const MODES[] = {"enforce", "warn", "off"};
static const char *const COMPATIBILITIES[] = {"backward", "forward", "full", "none"};

const char *sp_schema_mode_name(enum sp_schema_mode mode) {
    return MODES[mode];
}

const char *sp_schema_compatibility_name(enum sp_schema_compatibility compatibility) {
    return COMPATIBILITIES[compatibility];
}

bool sp_schema_mode_read(sp_str name, enum sp_schema_mode *ret_mode) {
    for (int i = 0; i < 3; i++) {
        if (sp_str_eq(name, sp_str_from(MODES[i]))) {
            *ret_mode = (enum sp_schema_mode)i;
            return true;
        }
    }
    return false;
}

bool sp_schema_compatibility_read(sp_str name, enum sp_schema_compatibility *ret_compatibility) {
    for (int i = 0; i < 4; i++) {
        if (sp_str_eq(name, sp_str_from(COMPATIBILITIES[i]))) {
            *ret_compatibility = (enum sp_schema_compatibility)i;
            return true;
        }
    }
    return false;
}

static bool is_digit(char c) {
    return (uint8_t)(c - '0') < 10;
}

/* Takes a run of digits off, without the zeros before it. */
static sp_str take_digits(sp_str *text) {
    size_t n = 0;
    while (n < text->len && is_digit(text->ptr[n])) {
        n++;
    }
    sp_str digits = sp_str_of(text->ptr, n);
    *text = sp_str_from_byte(*text, n);
    while (digits.len > 1 && digits.ptr[0] == '0') {
        digits = sp_str_from_byte(digits, 1);
    }
    return digits;
}

int sp_schema_version_compare(sp_str a, sp_str b) {
    sp_str x = a;
    sp_str y = b;
    while (x.len > 0 && y.len > 0) {
        if (is_digit(x.ptr[0]) && is_digit(y.ptr[0])) {
            sp_str p = take_digits(&x);
            sp_str q = take_digits(&y);
            int order = p.len != q.len ? (p.len < q.len ? -1 : 1) : sp_str_cmp(p, q);
            if (order != 0) {
                return order;
            }
        } else if (x.ptr[0] != y.ptr[0]) {
            return (uint8_t)x.ptr[0] < (uint8_t)y.ptr[0] ? -1 : 1;
        } else {
            x = sp_str_from_byte(x, 1);
            y = sp_str_from_byte(y, 1);
        }
    }
    if (x.len != y.len) {
        return x.len < y.len ? -1 : 1;
    }
    return sp_str_cmp(a, b); /* 1 and 01 are two */
}

/* ---- entries ---- */

static void entry_free(struct sp_schema_entry *entry) {
    if (entry != NULL) {
        sp_schema_unref(entry->schema);
        free(entry->problem);
        free(entry);
    }
}

static sp_str copy_behind(char **at, sp_str text) {
    char *to = *at;
    if (text.len > 0) {
        memcpy(to, text.ptr, text.len);
    }
    to[text.len] = '\0';
    *at = to + text.len + 1;
    return sp_str_of(to, text.len);
}

static struct sp_schema_entry *entry_new(const struct sp_schema_registration *registration) {
    size_t bytes = registration->type.len + registration->version.len + registration->text.len + 3;
    struct sp_schema_entry *entry = calloc(1, sizeof(*entry) + bytes);
    if (entry != NULL) {
        char *at = (char *)(entry + 1);
        entry->type = copy_behind(&at, registration->type);
        entry->version = copy_behind(&at, registration->version);
        entry->text = copy_behind(&at, registration->text);
        entry->mode = registration->mode;
        entry->compatibility = registration->compatibility;
    }
    return entry;
}

struct sp_registry *sp_registry_new(void) {
    struct sp_registry *registry = calloc(1, sizeof(*registry));
    if (registry != NULL) {
        sp_htab_init(&registry->by_type);
    }
    return registry;
}

void sp_registry_free(struct sp_registry *registry) {
    if (registry == NULL) {
        return;
    }
    for (uint32_t i = 0; i < registry->count; i++) {
        entry_free(registry->sorted[i]);
    }
    for (uint32_t i = 0; i < registry->type_count; i++) {
        free((void *)(uintptr_t)registry->types[i].type.ptr);
        free(registry->types[i].entries);
    }
    free(registry->types);
    free(registry->sorted);
    sp_htab_fini(&registry->by_type);
    sp_schema_scratch_free(registry->scratch);
    free(registry);
}

uint32_t sp_registry_count(const struct sp_registry *registry) {
    return registry->count;
}

const struct sp_schema_entry *sp_registry_at(const struct sp_registry *registry, uint32_t index) {
    sp_require(index < registry->count);
    return registry->sorted[index];
}

struct sp_registry_counts sp_registry_counts(const struct sp_registry *registry) {
    return registry->counts;
}

/* ---- finding ---- */

static uint64_t hash_type(sp_str type) {
    return sp_hash(type.ptr, type.len);
}

static struct version_list *find_exact(const struct sp_registry *registry, sp_str type) {
    struct sp_htab_probe probe = sp_htab_find(&registry->by_type, hash_type(type));
    uint32_t index = 0;
    while (sp_htab_next(&probe, &index)) {
        if (sp_str_eq(registry->types[index].type, type)) {
            return &registry->types[index];
        }
    }
    return NULL;
}

static bool is_open_token(sp_str token) {
    return token.len > 2 && token.ptr[0] == '{' && token.ptr[token.len - 1] == '}';
}

static bool has_braces(sp_str type) {
    for (sp_str rest = type; rest.ptr != NULL;) {
        if (is_open_token(sp_token_next(&rest))) {
            return true;
        }
    }
    return false;
}

/* Whether the type is like the one registered but for tokens in braces. */
static bool stands_for(sp_str registered, sp_str type) {
    sp_str left = registered;
    sp_str rest = type;
    while (left.ptr != NULL && rest.ptr != NULL) {
        sp_str wanted = sp_token_next(&left);
        sp_str token = sp_token_next(&rest);
        if (is_open_token(wanted) ? token.len == 0 : !sp_str_eq(wanted, token)) {
            return false;
        }
    }
    return left.ptr == NULL && rest.ptr == NULL;
}

/* The versions that an event of the type is held to. */
static const struct version_list *find_for(const struct sp_registry *registry, sp_str type) {
    const struct version_list *list = find_exact(registry, type);
    if (list != NULL && list->count > 0) {
        return list;
    }
    for (uint32_t i = 0; registry->brace_count > 0 && i < registry->type_count; i++) {
        const struct version_list *other = &registry->types[i];
        if (other->has_braces && other->count > 0 && stands_for(other->type, type)) {
            return other;
        }
    }
    return NULL;
}

static struct sp_schema_entry *find_version(const struct version_list *list, sp_str version) {
    for (uint32_t i = list->count; i > 0; i--) {
        if (sp_str_eq(list->entries[i - 1]->version, version)) {
            return list->entries[i - 1];
        }
    }
    return NULL;
}

const struct sp_schema_entry *sp_registry_find(const struct sp_registry *registry, sp_str type,
                                               sp_str version) {
    const struct version_list *list = find_exact(registry, type);
    if (list == NULL || list->count == 0) {
        return NULL;
    }
    return version.len > 0 ? find_version(list, version) : list->entries[list->count - 1];
}

/* ---- room ---- */

static bool grow(void **array, uint32_t *capacity, size_t size, uint32_t count) {
    if (count < *capacity) {
        return true;
    }
    uint32_t wanted = *capacity == 0 ? 4 : 2 * *capacity;
    void *grown = realloc(*array, wanted * size);
    if (grown == NULL) {
        return false;
    }
    *array = grown;
    *capacity = wanted;
    return true;
}

/* The list of a type, a new and empty one where there is none; NULL where memory is out. */
static struct version_list *list_of(struct sp_registry *registry, sp_str type) {
    struct version_list *list = find_exact(registry, type);
    if (list != NULL) {
        return list;
    }
    void *types = registry->types;
    bool room =
        grow(&types, &registry->type_capacity, sizeof(*registry->types), registry->type_count);
    registry->types = types;
    char *name = malloc(type.len + 1);
    if (!room || name == NULL ||
        sp_htab_add(&registry->by_type, hash_type(type), registry->type_count) != SP_OK) {
        free(name);
        return NULL;
    }
    memcpy(name, type.ptr, type.len);
    list = &registry->types[registry->type_count++];
    *list =
        (struct version_list){.type = sp_str_of(name, type.len), .has_braces = has_braces(type)};
    registry->brace_count += list->has_braces;
    return list;
}

static sp_status reserve(struct sp_registry *registry, sp_str type, struct version_list **ret_list,
                         struct sp_error *error) {
    if (registry->count >= SP_REGISTRY_ENTRIES_MAX) {
        return sp_error_set(error, SP_LIMIT, "%u schemas are registered, at most %d may be",
                            registry->count, SP_REGISTRY_ENTRIES_MAX);
    }
    struct version_list *list = list_of(registry, type);
    void *sorted = registry->sorted;
    void *entries = list != NULL ? list->entries : NULL;
    bool room = list != NULL &&
                grow(&sorted, &registry->capacity, sizeof(*registry->sorted), registry->count) &&
                grow(&entries, &list->capacity, sizeof(*list->entries), list->count);
    registry->sorted = sorted;
    if (list != NULL) {
        list->entries = entries;
    }
    *ret_list = list;
    return room ? SP_OK : sp_error_set(error, SP_NO_MEMORY, "out of memory");
}

/* ---- registrations as JSON ---- */

static void add_text(struct sp_buf *to, const char *name, sp_str value) {
    bool first = to->len > 0 && to->data[to->len - 1] == '{';
    sp_buf_add_str(to, first ? SP_STR("\"") : SP_STR(",\""));
    sp_buf_add_str(to, sp_str_from(name));
    sp_buf_add_str(to, SP_STR("\":"));
    sp_json_add_string(to, value);
}

void sp_schema_registration_write(const struct sp_schema_registration *registration,
                                  struct sp_buf *to) {
    sp_buf_add_byte(to, '{');
    add_text(to, "type", registration->type);
    add_text(to, "version", registration->version);
    if (registration->has_mode) {
        add_text(to, "mode", sp_str_from(MODES[registration->mode]));
    }
    if (registration->has_compatibility) {
        add_text(to, "compatibility", sp_str_from(COMPATIBILITIES[registration->compatibility]));
    }
    if (registration->text.len > 0) {
        sp_buf_add_str(to, SP_STR(",\"schema\":"));
        sp_buf_add_str(to, registration->text);
    }
    sp_buf_add_byte(to, '}');
}

static void add_number(struct sp_buf *to, sp_str name, uint64_t value) {
    sp_buf_add_str(to, name);
    sp_buf_add_u64(to, value);
}

void sp_schema_entry_to_json(const struct sp_schema_entry *entry, bool with_schema,
                             struct sp_buf *to) {
    sp_buf_add_byte(to, '{');
    add_text(to, "type", entry->type);
    add_text(to, "version", entry->version);
    add_text(to, "mode", sp_str_from(MODES[entry->mode]));
    add_text(to, "compatibility", sp_str_from(COMPATIBILITIES[entry->compatibility]));
    add_number(to, SP_STR(",\"position\":"), entry->position);
    add_number(to, SP_STR(",\"checked\":"), entry->checked);
    add_number(to, SP_STR(",\"refused\":"), entry->refused);
    add_number(to, SP_STR(",\"warned\":"), entry->warned);
    if (entry->problem != NULL) {
        add_text(to, "problem", sp_str_from(entry->problem));
    }
    if (with_schema) {
        sp_buf_add_str(to, SP_STR(",\"schema\":"));
        sp_buf_add_str(to, entry->text);
    }
    sp_buf_add_byte(to, '}');
}

/* The text of a value as it is written. */
static sp_str raw_value(const struct sp_tape *tape, uint32_t at) {
    const struct sp_tape_node *node = &tape->nodes[at];
    struct sp_json json;
    uint32_t from = node->offset - (node->type == SP_JSON_STRING);
    sp_json_init(&json, sp_str_from_byte(tape->text, from));
    return sp_json_skip(&json, sp_json_next(&json));
}

static sp_status read_text(const struct sp_tape *tape, const char *name, sp_str *ret_value,
                           struct sp_error *error) {
    uint32_t at = sp_tape_member(tape, 0, sp_str_from(name));
    *ret_value = sp_str_of(NULL, 0);
    if (at == UINT32_MAX) {
        return SP_OK;
    }
    if (tape->nodes[at].type != SP_JSON_STRING) {
        return sp_error_set(error, SP_INVALID, "%s: expected a string, found %s", name,
                            sp_json_type_name(tape->nodes[at].type));
    }
    *ret_value = sp_tape_str(&tape->nodes[at]);
    return SP_OK;
}

static sp_status read_words(const struct sp_tape *tape, struct sp_schema_registration *read,
                            struct sp_error *error) {
    sp_str mode;
    sp_str compatibility;
    sp_status status = read_text(tape, "mode", &mode, error);
    status = status == SP_OK ? read_text(tape, "compatibility", &compatibility, error) : status;
    if (status != SP_OK) {
        return status;
    }
    read->has_mode = mode.ptr != NULL;
    read->has_compatibility = compatibility.ptr != NULL;
    if (read->has_mode && !sp_schema_mode_read(mode, &read->mode)) {
        return sp_error_set(error, SP_INVALID, "mode: expected enforce, warn or off, found %.*s",
                            SP_STR_ARG(mode));
    }
    if (read->has_compatibility &&
        !sp_schema_compatibility_read(compatibility, &read->compatibility)) {
        return sp_error_set(error, SP_INVALID,
                            "compatibility: expected backward, forward, full or none, found %.*s",
                            SP_STR_ARG(compatibility));
    }
    return SP_OK;
}

static sp_status check_names(const struct sp_schema_registration *read, struct sp_error *error) {
    if (read->type.len == 0 || read->type.len > SP_EVENT_TYPE_BYTES_MAX) {
        return sp_error_set(error, SP_INVALID, "type: expected 1 to %d bytes, found %zu",
                            SP_EVENT_TYPE_BYTES_MAX, read->type.len);
    }
    if (sp_pattern_check(read->type, NULL) != SP_OK || !sp_pattern_is_exact(read->type)) {
        return sp_error_set(error, SP_INVALID, "type: expected the type of an event, found %.*s",
                            SP_STR_ARG(read->type));
    }
    bool good = read->version.len > 0 && read->version.len <= SP_SCHEMA_VERSION_BYTES_MAX &&
                sp_utf8_valid(read->version);
    for (size_t i = 0; i < read->version.len && good; i++) {
        good = (uint8_t)read->version.ptr[i] > ' ' && read->version.ptr[i] != 0x7f;
    }
    return good ? SP_OK
                : sp_error_set(error, SP_INVALID,
                               "version: expected 1 to %d bytes without blanks, such as 2 or 1.4",
                               SP_SCHEMA_VERSION_BYTES_MAX);
}

/* Reads the data of an event; the registration's slices are the tape's. */
static sp_status read_registration(struct sp_tape *tape, sp_str data, bool with_schema,
                                   struct sp_schema_registration *read, struct sp_error *error) {
    *read = (struct sp_schema_registration){.type = {.ptr = NULL}};
    sp_status status = sp_tape_read(tape, data, error);
    if (status != SP_OK) {
        return status;
    }
    if (tape->nodes[0].type != SP_JSON_OBJECT) {
        return sp_error_set(error, SP_INVALID, "expected an object with type, version and schema");
    }
    status = read_text(tape, "type", &read->type, error);
    status = status == SP_OK ? read_text(tape, "version", &read->version, error) : status;
    status = status == SP_OK ? read_words(tape, read, error) : status;
    status = status == SP_OK ? check_names(read, error) : status;
    uint32_t schema = status == SP_OK ? sp_tape_member(tape, 0, SP_STR("schema")) : UINT32_MAX;
    if (status == SP_OK && with_schema && schema == UINT32_MAX) {
        return sp_error_set(error, SP_INVALID, "schema: absent, expected a JSON Schema");
    }
    if (schema != UINT32_MAX) {
        read->text = raw_value(tape, schema);
    }
    return status;
}

/* ---- preparing ---- */

/* The version before this one, or the one after it. */
static const struct sp_schema_entry *version_before(const struct version_list *list,
                                                    sp_str version) {
    const struct sp_schema_entry *before = NULL;
    for (uint32_t i = 0; i < list->count; i++) {
        if (sp_schema_version_compare(list->entries[i]->version, version) < 0) {
            before = list->entries[i];
        }
    }
    return before;
}

static bool same_json(sp_str a, sp_str b) {
    struct sp_tape x;
    struct sp_tape y;
    sp_tape_init(&x);
    sp_tape_init(&y);
    bool same = sp_tape_read(&x, a, NULL) == SP_OK && sp_tape_read(&y, b, NULL) == SP_OK &&
                sp_tape_equal(&x, 0, &y, 0);
    sp_tape_fini(&x);
    sp_tape_fini(&y);
    return same;
}

static sp_status check_compatible(const struct sp_schema_registration *registration,
                                  const struct sp_schema *schema,
                                  const struct sp_schema_entry *before, struct sp_error *error) {
    enum sp_schema_compatibility wanted = registration->compatibility;
    if (before == NULL || before->schema == NULL || wanted == SP_SCHEMA_NONE) {
        return SP_OK;
    }
    sp_status status = SP_OK;
    const char *way = "backward";
    if (wanted == SP_SCHEMA_BACKWARD || wanted == SP_SCHEMA_FULL) {
        status = sp_schema_accepts_all(schema, before->schema, error);
    }
    if (status == SP_OK && wanted != SP_SCHEMA_BACKWARD) {
        way = "forward";
        status = sp_schema_accepts_all(before->schema, schema, error);
    }
    return status == SP_OK ? SP_OK
                           : sp_error_prefix(error, status, "not %s compatible with version %.*s",
                                             way, SP_STR_ARG(before->version));
}

/* Fills in what the registration does not say. */
static void complete(struct sp_schema_registration *registration,
                     const struct sp_schema_entry *there, const struct sp_schema_entry *before) {
    const struct sp_schema_entry *like = there != NULL ? there : before;
    if (!registration->has_mode) {
        registration->mode = like != NULL ? like->mode : SP_SCHEMA_ENFORCE;
    }
    if (!registration->has_compatibility) {
        registration->compatibility = like != NULL ? like->compatibility : SP_SCHEMA_BACKWARD;
    }
    registration->has_mode = true;
    registration->has_compatibility = true;
}

/* Makes the entry that a registration comes to. */
static sp_status make_entry(const struct sp_registry *registry,
                            struct sp_schema_registration *registration, bool trusted,
                            struct sp_schema_entry **ret_entry, struct sp_error *error) {
    const struct version_list *list = find_exact(registry, registration->type);
    const struct sp_schema_entry *there =
        list != NULL ? find_version(list, registration->version) : NULL;
    const struct sp_schema_entry *before =
        list != NULL ? version_before(list, registration->version) : NULL;
    complete(registration, there, before);
    if (there != NULL && !trusted && !same_json(there->text, registration->text)) {
        return sp_error_set(error, SP_CONFLICT,
                            "version %.*s of %.*s is registered with another schema: a version "
                            "does not change, register the next one",
                            SP_STR_ARG(registration->version), SP_STR_ARG(registration->type));
    }
    struct sp_schema *schema = NULL;
    struct sp_error problem;
    sp_error_clear(&problem);
    sp_status status = sp_schema_compile(registration->text, NULL, &schema, &problem);
    if (status != SP_OK && (!trusted || status == SP_NO_MEMORY)) {
        return sp_error_set_at(error, status, problem.offset, "%s", problem.text);
    }
    if (status == SP_OK && !trusted && there == NULL) {
        status = check_compatible(registration, schema, before, error);
        if (status != SP_OK) {
            sp_schema_unref(schema);
            return status;
        }
    }
    struct sp_schema_entry *entry = entry_new(registration);
    char *text = schema == NULL ? malloc(sizeof(problem.text)) : NULL;
    if (entry == NULL || (schema == NULL && text == NULL)) {
        sp_schema_unref(schema);
        free(entry);
        free(text);
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    if (text != NULL) {
        memcpy(text, problem.text, sizeof(problem.text));
    }
    entry->schema = schema;
    entry->problem = text;
    *ret_entry = entry;
    return SP_OK;
}

sp_status sp_registry_try(struct sp_registry *registry, struct sp_schema_registration *registration,
                          bool *ret_known, struct sp_error *error) {
    struct sp_schema_entry *entry = NULL;
    sp_status status = check_names(registration, error);
    status = status == SP_OK ? make_entry(registry, registration, false, &entry, error) : status;
    if (status == SP_OK) {
        const struct sp_schema_entry *there =
            sp_registry_find(registry, registration->type, registration->version);
        *ret_known = there != NULL && there->mode == entry->mode &&
                     there->compatibility == entry->compatibility;
        entry_free(entry);
    }
    return status;
}

static sp_status prepare_added(struct sp_registry *registry, sp_str data, bool trusted,
                               struct sp_registry_change *change, struct sp_error *error) {
    struct sp_tape tape;
    struct sp_schema_registration read;
    struct version_list *list = NULL;
    sp_tape_init(&tape);
    sp_status status = read_registration(&tape, data, true, &read, error);
    status = status == SP_OK ? reserve(registry, read.type, &list, error) : status;
    status = status == SP_OK ? make_entry(registry, &read, trusted, &change->added, error) : status;
    sp_tape_fini(&tape);
    return status;
}

static sp_status prepare_removed(struct sp_registry *registry, sp_str data,
                                 struct sp_registry_change *change, struct sp_error *error) {
    struct sp_tape tape;
    struct sp_schema_registration read;
    sp_tape_init(&tape);
    sp_status status = read_registration(&tape, data, false, &read, error);
    const struct version_list *list = status == SP_OK ? find_exact(registry, read.type) : NULL;
    const struct sp_schema_entry *entry = list != NULL ? find_version(list, read.version) : NULL;
    if (status == SP_OK && entry == NULL) {
        status = sp_error_set(error, SP_NOT_FOUND, "there is no version %.*s of the schema of %.*s",
                              SP_STR_ARG(read.version), SP_STR_ARG(read.type));
    }
    for (uint32_t i = 0; status == SP_OK && i < list->count; i++) {
        if (list->entries[i] == entry) {
            change->type = (uint32_t)(list - registry->types);
            change->removed = i;
        }
    }
    sp_tape_fini(&tape);
    return status;
}

sp_status sp_registry_prepare(struct sp_registry *registry, sp_str event_type, sp_str data,
                              bool trusted, struct sp_registry_change **ret_change,
                              struct sp_error *error) {
    bool adds = sp_str_eq(event_type, SP_STR("schema.registered"));
    *ret_change = NULL;
    if (!adds && !sp_str_eq(event_type, SP_STR("schema.removed"))) {
        return SP_OK;
    }
    struct sp_registry_change *change = calloc(1, sizeof(*change));
    if (registry->scratch == NULL) {
        registry->scratch = sp_schema_scratch_new();
    }
    if (change == NULL || registry->scratch == NULL) {
        free(change);
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    sp_status status = adds ? prepare_added(registry, data, trusted, change, error)
                            : prepare_removed(registry, data, change, error);
    if (status != SP_OK) {
        sp_registry_forget(change);
        return sp_error_prefix(error, status, "schema");
    }
    *ret_change = change;
    return SP_OK;
}

void sp_registry_forget(struct sp_registry_change *change) {
    if (change != NULL) {
        entry_free(change->added);
        free(change);
    }
}

/* ---- committing ---- */

static void find_newest(struct version_list *list) {
    list->newest = NULL;
    for (uint32_t i = list->count; i > 0 && list->newest == NULL; i--) {
        list->newest = list->entries[i - 1]->mode != SP_SCHEMA_OFF ? list->entries[i - 1] : NULL;
    }
}

static int compare_entries(const struct sp_schema_entry *a, const struct sp_schema_entry *b) {
    int order = sp_str_cmp(a->type, b->type);
    return order != 0 ? order : sp_schema_version_compare(a->version, b->version);
}

static void insert_at_place(struct sp_schema_entry **entries, uint32_t *count,
                            struct sp_schema_entry *entry) {
    uint32_t at = (*count)++;
    for (; at > 0 && compare_entries(entries[at - 1], entry) > 0; at--) {
        entries[at] = entries[at - 1];
    }
    entries[at] = entry;
}

static void take_out(struct sp_schema_entry **entries, uint32_t *count,
                     const struct sp_schema_entry *entry) {
    uint32_t at = 0;
    while (at < *count && entries[at] != entry) {
        at++;
    }
    sp_require(at < *count);
    (*count)--;
    memmove(&entries[at], &entries[at + 1], (*count - at) * sizeof(struct sp_schema_entry *));
}

static void remove_entry(struct sp_registry *registry, struct version_list *list,
                         struct sp_schema_entry *entry) {
    take_out(list->entries, &list->count, entry);
    take_out(registry->sorted, &registry->count, entry);
    entry_free(entry);
}

void sp_registry_commit(struct sp_registry *registry, struct sp_registry_change *change,
                        uint64_t position) {
    struct version_list *list = NULL;
    struct sp_schema_entry *entry = change->added;
    if (entry == NULL) {
        list = &registry->types[change->type];
        remove_entry(registry, list, list->entries[change->removed]);
    } else {
        list = find_exact(registry, entry->type);
        sp_require(list != NULL);
        struct sp_schema_entry *there = find_version(list, entry->version);
        entry->position = position;
        if (there != NULL) {
            entry->checked = there->checked;
            entry->refused = there->refused;
            entry->warned = there->warned;
            remove_entry(registry, list, there);
        }
        sp_require(list->count < list->capacity && registry->count < registry->capacity);
        insert_at_place(list->entries, &list->count, entry);
        insert_at_place(registry->sorted, &registry->count, entry);
    }
    find_newest(list);
    free(change);
}

/* ---- checking ---- */

static void copy_name(char *to, size_t size, sp_str from) {
    size_t len = from.len < size ? from.len : size - 1;
    if (len > 0) {
        memcpy(to, from.ptr, len);
    }
    to[len] = '\0';
}

static void fault_text(struct sp_schema_fault *fault, const char *text) {
    *fault = (struct sp_schema_fault){.offset = 0};
    copy_name(fault->text, sizeof(fault->text), sp_str_from(text));
}

/* Notes an event that is not valid by the entry, or of a version that is not there. */
static sp_status refuse(struct sp_registry *registry, struct sp_schema_entry *entry,
                        const struct sp_event *event, sp_str version,
                        struct sp_schema_refusal *refusal) {
    refusal->enforced = entry->mode == SP_SCHEMA_ENFORCE;
    refusal->event = 0;
    copy_name(refusal->type, sizeof(refusal->type), event->attr[SP_ATTR_TYPE]);
    copy_name(refusal->version, sizeof(refusal->version), version);
    entry->refused += refusal->enforced;
    entry->warned += !refusal->enforced;
    registry->counts.refused += refusal->enforced;
    registry->counts.warned += !refusal->enforced;
    return SP_INVALID;
}

/* The event names a version that is not registered: it is as the newest one says. */
static sp_status refuse_version(struct sp_registry *registry, const struct version_list *list,
                                const struct sp_event *event, struct sp_schema_refusal *refusal) {
    struct sp_error error;
    if (list->newest == NULL) {
        return SP_OK;
    }
    sp_str version = event->attr[SP_ATTR_SCHEMAVERSION];
    version.len =
        version.len < SP_SCHEMA_VERSION_BYTES_MAX ? version.len : SP_SCHEMA_VERSION_BYTES_MAX;
    (void)sp_error_set(&error, SP_INVALID,
                       "no schema of this version is registered; the newest is %.*s",
                       SP_STR_ARG(list->entries[list->count - 1]->version));
    fault_text(&refusal->fault, error.text);
    return refuse(registry, list->newest, event, version, refusal);
}

sp_status sp_registry_check(struct sp_registry *registry, const struct sp_event *event,
                            struct sp_schema_refusal *ret_refusal) {
    const struct version_list *list = find_for(registry, event->attr[SP_ATTR_TYPE]);
    if (list == NULL) {
        return SP_OK;
    }
    struct sp_schema_entry *entry = list->newest;
    if (sp_event_has(event, SP_ATTR_SCHEMAVERSION)) {
        entry = find_version(list, event->attr[SP_ATTR_SCHEMAVERSION]);
        if (entry == NULL) {
            return refuse_version(registry, list, event, ret_refusal);
        }
    }
    if (entry == NULL || entry->mode == SP_SCHEMA_OFF || entry->schema == NULL) {
        return SP_OK;
    }
    entry->checked++;
    registry->counts.checked++;
    if (event->has_data && !event->data_is_json) {
        fault_text(&ret_refusal->fault, "the data is not JSON");
        return refuse(registry, entry, event, entry->version, ret_refusal);
    }
    sp_status status =
        sp_schema_check(entry->schema, registry->scratch,
                        event->has_data ? event->data : SP_STR("null"), &ret_refusal->fault);
    if (status == SP_OK || status == SP_NO_MEMORY) {
        return status;
    }
    if (!event->has_data) {
        struct sp_error error;
        (void)sp_error_set(&error, status, "there is no data, which counts as null: %s",
                           ret_refusal->fault.text);
        copy_name(ret_refusal->fault.text, sizeof(error.text), sp_str_from(error.text));
    }
    return refuse(registry, entry, event, entry->version, ret_refusal);
}

sp_status sp_schema_refusal_say(const struct sp_schema_refusal *refusal, struct sp_error *error) {
    const struct sp_schema_fault *fault = &refusal->fault;
    const char *place = fault->pointer[0] != '\0' ? fault->pointer : "the data";
    return sp_error_set(error, SP_INVALID, "schema %.80s version %s: %.80s: %.120s%s%.60s",
                        refusal->type, refusal->version, place, fault->text,
                        fault->rule[0] != '\0' ? ", by " : "", fault->rule);
}
