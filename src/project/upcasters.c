/*
 * The registry of upcasters: which there are, and which chain leads from a version to the newest;
 * see upcast.h.
 */
#include <stdlib.h>

#include "base/json.h"
#include "engine/engine.h"
#include "engine/query.h"
#include "engine/schemas.h"
#include "event/attributes.h"
#include "project/upcast_int.h"

enum { JSON_BYTES_MAX = 1 << 20 };

/* ---- versions -------------------------------------------------------------------------------- */

static sp_str take_part(sp_str *text) {
    size_t len = 0;
    while (len < text->len && text->ptr[len] != '.') {
        len++;
    }
    sp_str part = sp_str_of(text->ptr, len);
    *text = sp_str_from_byte(*text, len < text->len ? len + 1 : len);
    return part;
}

static bool is_number(sp_str part) {
    for (size_t i = 0; i < part.len; i++) {
        if (part.ptr[i] < '0' || part.ptr[i] > '9') {
            return false;
        }
    }
    return part.len > 0;
}

static sp_str without_zeros(sp_str part) {
    while (part.len > 1 && part.ptr[0] == '0') {
        part = sp_str_from_byte(part, 1);
    }
    return part;
}

static int compare_parts(sp_str a, sp_str b) {
    if (!is_number(a) || !is_number(b)) {
        return sp_str_cmp(a, b);
    }
    a = without_zeros(a);
    b = without_zeros(b);
    return a.len != b.len ? (a.len < b.len ? -1 : 1) : sp_str_cmp(a, b);
}

int sp_version_compare(sp_str a, sp_str b) {
    while (a.len > 0 && b.len > 0) {
        int order = compare_parts(take_part(&a), take_part(&b));
        if (order != 0) {
            return order;
        }
    }
    return (a.len > 0) - (b.len > 0);
}

static bool version_is_right(sp_str version) {
    bool right = version.len > 0 && version.len <= SP_UPCAST_VERSION_BYTES_MAX;
    while (right && version.len > 0) {
        bool ends = version.ptr[version.len - 1] == '.';
        right = is_number(take_part(&version)) && !(version.len == 0 && ends);
    }
    return right;
}

bool sp_upcaster_split(sp_str text, sp_str *ret_from, sp_str *ret_to) {
    size_t at = 0;
    while (at < text.len && text.ptr[at] != '-') {
        at++;
    }
    if (at == text.len) {
        return false;
    }
    sp_str from = sp_str_of(text.ptr, at);
    sp_str to = sp_str_from_byte(text, at + 1);
    if (!version_is_right(from) || !version_is_right(to)) {
        return false;
    }
    *ret_from = from;
    *ret_to = to;
    return true;
}

/* ---- tables ---------------------------------------------------------------------------------- */

struct upcast_table *upcast_table_ref(struct upcast_table *table) {
    (void)atomic_fetch_add(&table->refs, 1);
    return table;
}

void upcast_table_unref(struct upcast_table *table) {
    if (table != NULL && atomic_fetch_sub(&table->refs, 1) == 1) {
        for (uint32_t i = 0; i < table->count; i++) {
            sp_schema_unref(table->steps[i].schema);
            free(table->steps[i].text);
        }
        free(table);
    }
}

struct upcast_table *upcast_table_now(struct sp_upcasters *upcasters) {
    (void)pthread_mutex_lock(&upcasters->lock);
    struct upcast_table *table = upcast_table_ref(upcasters->table);
    (void)pthread_mutex_unlock(&upcasters->lock);
    return table;
}

static int compare(const struct sp_upcaster *a, sp_str type, sp_str from, sp_str to) {
    int order = sp_str_cmp(a->type, type);
    order = order != 0 ? order : sp_version_compare(a->from, from);
    return order != 0 ? order : sp_version_compare(a->to, to);
}

/* The first step that is not below; `to` empty: of all that lead from there. */
static uint32_t lower_bound(const struct upcast_table *table, sp_str type, sp_str from, sp_str to) {
    uint32_t low = 0;
    uint32_t high = table->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare(&table->steps[middle].upcaster, type, from, to) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* True where step a leads further than b, or as far in fewer steps. */
static bool is_better(const struct upcast_step *a, const struct upcast_step *b) {
    int order = sp_version_compare(a->reaches, b->reaches);
    return order != 0 ? order > 0 : a->steps < b->steps;
}

uint32_t upcast_table_find(const struct upcast_table *table, sp_str type, sp_str version) {
    uint32_t best = UPCAST_NONE;
    for (uint32_t i = lower_bound(table, type, version, SP_STR("")); i < table->count; i++) {
        const struct upcast_step *step = &table->steps[i];
        if (!sp_str_eq(step->upcaster.type, type) ||
            sp_version_compare(step->upcaster.from, version) != 0) {
            break;
        }
        if (best == UPCAST_NONE || is_better(step, &table->steps[best])) {
            best = i;
        }
    }
    return best;
}

/* From the last step to the first: what a step leads to stands behind it, for versions rise. */
static sp_status link_steps(struct upcast_table *table, struct sp_error *error) {
    for (uint32_t i = table->count; i-- > 0;) {
        struct upcast_step *step = &table->steps[i];
        step->next = upcast_table_find(table, step->upcaster.type, step->upcaster.to);
        step->steps = 1;
        step->reaches = step->upcaster.to;
        if (step->next != UPCAST_NONE) {
            sp_require(step->next > i);
            step->steps += table->steps[step->next].steps;
            step->reaches = table->steps[step->next].reaches;
        }
        if (step->steps > SP_UPCAST_STEPS_MAX) {
            return sp_error_set(error, SP_LIMIT, "a chain of more than %d upcasters",
                                SP_UPCAST_STEPS_MAX);
        }
    }
    return SP_OK;
}

static sp_str keep(char **at, sp_str text) {
    sp_str kept = sp_str_of(*at, text.len);
    if (text.len > 0) {
        memcpy(*at, text.ptr, text.len);
    }
    *at += text.len;
    return kept;
}

static bool copy_step(struct upcast_step *to, const struct sp_upcaster *from) {
    to->text = malloc(from->type.len + from->from.len + from->to.len + from->program.len + 1);
    if (to->text == NULL) {
        return false;
    }
    char *at = to->text;
    to->upcaster = (struct sp_upcaster){
        .type = keep(&at, from->type),
        .from = keep(&at, from->from),
        .to = keep(&at, from->to),
        .program = keep(&at, from->program),
        .position = from->position,
    };
    return true;
}

/* The old table without the one at `left_out`, and with `added`; either may be none. */
static struct upcast_table *table_with(const struct upcast_table *old, uint32_t left_out,
                                       const struct sp_upcaster *added) {
    uint32_t room = old->count + 1;
    struct upcast_table *table = calloc(1, sizeof(*table) + room * sizeof(struct upcast_step));
    if (table == NULL) {
        return NULL;
    }
    atomic_init(&table->refs, 1);
    bool copied = true;
    bool waits = added != NULL;
    for (uint32_t i = 0; i <= old->count && copied; i++) {
        bool here = waits && (i == old->count || compare(&old->steps[i].upcaster, added->type,
                                                         added->from, added->to) >= 0);
        if (here) {
            copied = copy_step(&table->steps[table->count++], added);
            waits = false;
        }
        if (i < old->count && i != left_out && copied) {
            copied = copy_step(&table->steps[table->count++], &old->steps[i].upcaster);
        }
    }
    if (!copied) {
        upcast_table_unref(table);
        return NULL;
    }
    return table;
}

static uint32_t find_step(const struct upcast_table *table, sp_str type, sp_str from, sp_str to) {
    uint32_t at = lower_bound(table, type, from, to);
    bool found = at < table->count && compare(&table->steps[at].upcaster, type, from, to) == 0;
    return found ? at : UPCAST_NONE;
}

static void replace_table(struct sp_upcasters *upcasters, struct upcast_table *table) {
    (void)pthread_mutex_lock(&upcasters->lock);
    struct upcast_table *old = upcasters->table;
    upcasters->table = table;
    (void)pthread_mutex_unlock(&upcasters->lock);
    upcast_table_unref(old);
    atomic_store(&upcasters->count, table->count);
    (void)atomic_fetch_add(&upcasters->changes, 1);
}

static void find_schemas(const struct sp_upcasters *upcasters, struct upcast_table *table) {
    for (uint32_t i = 0; upcasters->registry != NULL && i < table->count; i++) {
        const struct sp_upcaster *upcaster = &table->steps[i].upcaster;
        const struct sp_schema_entry *entry =
            sp_registry_find(upcasters->registry, upcaster->type, upcaster->to);
        if (entry != NULL && entry->schema != NULL && entry->mode == SP_SCHEMA_ENFORCE) {
            table->steps[i].schema = sp_schema_ref(entry->schema);
        }
    }
}

/* The table as it would be; *ret_table is a reference. */
static sp_status make_table(struct sp_upcasters *upcasters, const struct sp_upcaster *upcaster,
                            bool removed, struct upcast_table **ret_table, struct sp_error *error) {
    const struct upcast_table *old = upcasters->table;
    uint32_t there = find_step(old, upcaster->type, upcaster->from, upcaster->to);
    if (!removed && there == UPCAST_NONE && old->count == SP_UPCASTERS_MAX) {
        return sp_error_set(error, SP_LIMIT, "more than %d upcasters", SP_UPCASTERS_MAX);
    }
    struct upcast_table *table = table_with(old, there, removed ? NULL : upcaster);
    if (table == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "upcasters");
    }
    sp_status status = link_steps(table, error);
    if (status != SP_OK) {
        upcast_table_unref(table);
        return status;
    }
    find_schemas(upcasters, table);
    *ret_table = table;
    return SP_OK;
}

sp_status sp_upcasters_compare(struct sp_upcasters *upcasters, const struct sp_registry *registry,
                               struct sp_error *error) {
    upcasters->registry = registry;
    return sp_upcasters_refresh(upcasters, error);
}

sp_status sp_upcasters_refresh(struct sp_upcasters *upcasters, struct sp_error *error) {
    if (upcasters->table->count == 0) {
        return SP_OK;
    }
    struct upcast_table *table = table_with(upcasters->table, UPCAST_NONE, NULL);
    if (table == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "upcasters");
    }
    sp_status status = link_steps(table, error);
    sp_ensure(status == SP_OK); /* it is the same as before */
    find_schemas(upcasters, table);
    replace_table(upcasters, table);
    return SP_OK;
}

/* ---- the registry ---------------------------------------------------------------------------- */

sp_status sp_upcasters_new(const struct sp_upcasters_options *options,
                           struct sp_upcasters **ret_upcasters, struct sp_error *error) {
    struct sp_upcasters *upcasters = calloc(1, sizeof(*upcasters));
    struct upcast_table *table = calloc(1, sizeof(*table));
    if (upcasters == NULL || table == NULL ||
        pthread_key_create(&upcasters->key, upcast_runner_end) != 0) {
        free(upcasters);
        free(table);
        return sp_error_set(error, SP_NO_MEMORY, "upcasters");
    }
    (void)pthread_mutex_init(&upcasters->lock, NULL);
    atomic_init(&table->refs, 1);
    atomic_init(&upcasters->changes, 1);
    atomic_init(&upcasters->count, 0);
    upcasters->options = *options;
    upcasters->table = table;
    *ret_upcasters = upcasters;
    return SP_OK;
}

void sp_upcasters_free(struct sp_upcasters *upcasters) {
    if (upcasters == NULL) {
        return;
    }
    (void)pthread_key_delete(upcasters->key);
    upcast_runners_free(upcasters);
    upcast_table_unref(upcasters->table);
    (void)pthread_mutex_destroy(&upcasters->lock);
    free(upcasters);
}

static sp_status check(const struct sp_upcaster *upcaster, struct sp_error *error) {
    sp_status status = sp_event_type_check(upcaster->type, error);
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "type");
    }
    if (!version_is_right(upcaster->from) || !version_is_right(upcaster->to)) {
        return sp_error_set(error, SP_INVALID,
                            "an upcaster leads from a version to a version (1-2, 1.9-1.10): "
                            "numbers, or numbers joined by dots");
    }
    if (sp_version_compare(upcaster->from, upcaster->to) >= 0) {
        return sp_error_set(error, SP_INVALID,
                            "an upcaster leads to a newer version, and %.*s is not newer than %.*s",
                            SP_STR_ARG(upcaster->to), SP_STR_ARG(upcaster->from));
    }
    return SP_OK;
}

/* A member that is a string; its text goes to `to`, in which there is room for all of them. */
static bool take_member(struct sp_json_token key, struct sp_json_token value,
                        struct sp_upcaster *upcaster, struct sp_buf *to) {
    static const char *const names[] = {"type", "from", "to", "program"};
    sp_str *const places[] = {&upcaster->type, &upcaster->from, &upcaster->to, &upcaster->program};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (sp_json_equal(key, sp_str_from(names[i]))) {
            size_t at = to->len;
            if (value.type != SP_JSON_STRING) {
                return false;
            }
            sp_json_unescape(to, value.raw);
            *places[i] = sp_str_of(to->data + at, to->len - at);
        }
    }
    return true;
}

/* Reads the data of an event of the registry. The texts go to `to`. */
static sp_status read_event(sp_str data, struct sp_buf *to, struct sp_upcaster *upcaster,
                            struct sp_error *error) {
    struct sp_json json;
    if (sp_buf_reserve(to, data.len + 1) == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "upcasters");
    }
    sp_json_init(&json, data);
    bool right = sp_json_next(&json).type == SP_JSON_OBJECT;
    while (right) {
        struct sp_json_token key = sp_json_next(&json);
        if (key.type != SP_JSON_KEY) {
            right = key.type == SP_JSON_OBJECT_END;
            break;
        }
        struct sp_json_token value = sp_json_next(&json);
        right = value.type != SP_JSON_ERROR && take_member(key, value, upcaster, to);
        if (right) {
            (void)sp_json_skip(&json, value);
        }
    }
    return right ? check(upcaster, error)
                 : sp_error_set(error, SP_INVALID, "the event tells of no upcaster");
}

sp_status sp_upcasters_fold(struct sp_upcasters *upcasters, sp_str event_type, sp_str data,
                            uint64_t position, struct sp_error *error) {
    bool removed = sp_str_eq(event_type, SP_STR("upcaster.removed"));
    if (!removed && !sp_str_eq(event_type, SP_STR("upcaster.registered"))) {
        return SP_OK;
    }
    struct sp_buf text;
    struct sp_upcaster upcaster = {.position = position};
    struct upcast_table *table = NULL;
    sp_buf_init(&text, JSON_BYTES_MAX);
    sp_status status = read_event(data, &text, &upcaster, error);
    status = status == SP_OK ? make_table(upcasters, &upcaster, removed, &table, error) : status;
    if (status == SP_OK) {
        replace_table(upcasters, table);
    }
    sp_buf_fini(&text);
    return status == SP_OK ? SP_OK
                           : sp_error_prefix(error, status, "event %llu of " SP_UPCASTERS_STREAM,
                                             (unsigned long long)position);
}

sp_status sp_upcasters_load(struct sp_upcasters *upcasters, struct sp_engine *engine,
                            struct sp_error *error) {
    const sp_str types[] = {SP_STR("upcaster.*")};
    const struct sp_query query = {
        .types = types, .type_count = 1, .stream = SP_STR(SP_UPCASTERS_STREAM)};
    struct sp_cursor *cursor = NULL;
    const struct sp_event *event = NULL;
    upcasters->registry = sp_engine_schemas(engine);
    sp_status status = sp_cursor_open(engine, &query, &cursor, error);
    while (status == SP_OK) {
        status = sp_cursor_next(cursor, &event, error);
        if (status == SP_OK) {
            status = sp_upcasters_fold(upcasters, event->attr[SP_ATTR_TYPE], event->data,
                                       event->position, error);
        }
    }
    sp_cursor_close(cursor);
    return status == SP_END ? SP_OK : status;
}

/* ---- changing it ----------------------------------------------------------------------------- */

void sp_upcaster_to_json(const struct sp_upcaster *upcaster, bool with_program, struct sp_buf *to) {
    sp_buf_add_str(to, SP_STR("{\"type\":"));
    sp_json_add_string(to, upcaster->type);
    sp_buf_add_str(to, SP_STR(",\"from\":"));
    sp_json_add_string(to, upcaster->from);
    sp_buf_add_str(to, SP_STR(",\"to\":"));
    sp_json_add_string(to, upcaster->to);
    if (with_program) {
        sp_buf_add_str(to, SP_STR(",\"program\":"));
        sp_json_add_string(to, upcaster->program);
    }
    if (upcaster->position != 0) {
        sp_buf_add_str(to, SP_STR(",\"position\":"));
        sp_buf_add_u64(to, upcaster->position);
    }
    sp_buf_add_byte(to, '}');
}

/* Straight to the engine: the bus keeps clients from streams that begin with `$`. */
static sp_status append(struct sp_upcasters *upcasters, struct sp_engine *engine, const char *type,
                        const struct sp_upcaster *upcaster, bool with_program,
                        struct sp_error *error) {
    struct sp_buf data;
    struct sp_engine_result result = {.position = 0};
    struct sp_event *event = calloc(1, sizeof(*event));
    sp_buf_init(&data, JSON_BYTES_MAX);
    sp_upcaster_to_json(upcaster, with_program, &data);
    sp_status status = event == NULL ? SP_NO_MEMORY : data.status;
    if (status == SP_OK) {
        *event =
            (struct sp_event){.has_data = true, .data_is_json = true, .data = sp_buf_str(&data)};
        event->attr[SP_ATTR_TYPE] = sp_str_from(type);
        event->attr[SP_ATTR_SOURCE] = SP_STR("spoor");
        event->attr[SP_ATTR_STREAM] = SP_STR(SP_UPCASTERS_STREAM);
        const struct sp_engine_append append = {
            .events = event, .count = 1, .origin = SP_EVENT_FROM_JSON, .results = &result};
        status = sp_engine_submit(engine, &append, error);
    } else {
        status = sp_error_set(error, status, "upcaster");
    }
    if (status == SP_OK) {
        status = sp_upcasters_fold(upcasters, sp_str_from(type), sp_buf_str(&data), result.position,
                                   error);
    }
    free(event);
    sp_buf_fini(&data);
    return status;
}

sp_status sp_upcasters_put(struct sp_upcasters *upcasters, struct sp_engine *engine,
                           const struct sp_upcaster *upcaster,
                           enum sp_upcaster_outcome *ret_outcome, struct sp_error *error) {
    struct upcast_table *table = NULL;
    struct sp_upcaster added = *upcaster;
    added.position = 0;
    sp_status status = check(&added, error);
    status = status == SP_OK ? upcast_compile(upcasters, added.program, error) : status;
    status = status == SP_OK ? make_table(upcasters, &added, false, &table, error) : status;
    if (status != SP_OK) {
        return status;
    }
    upcast_table_unref(table); /* it could be made: so what is appended can be folded */
    uint32_t there = find_step(upcasters->table, added.type, added.from, added.to);
    bool known = there != UPCAST_NONE;
    if (known && sp_str_eq(upcasters->table->steps[there].upcaster.program, added.program) &&
        !upcast_is_refused(upcasters, there)) {
        *ret_outcome = SP_UPCASTER_UNCHANGED;
        return SP_OK;
    }
    status = append(upcasters, engine, "upcaster.registered", &added, true, error);
    if (status == SP_OK) {
        *ret_outcome = known ? SP_UPCASTER_REPLACED : SP_UPCASTER_ADDED;
    }
    return status;
}

/* One that was told before a position; NULL: none. */
static const struct sp_upcaster *find_old(const struct upcast_table *table, uint64_t before) {
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->steps[i].upcaster.position < before) {
            return &table->steps[i].upcaster;
        }
    }
    return NULL;
}

sp_status sp_upcasters_retell(struct sp_upcasters *upcasters, struct sp_engine *engine,
                              uint64_t before, struct sp_error *error) {
    const struct sp_upcaster *old;
    sp_status status = SP_OK;
    while (status == SP_OK && (old = find_old(upcasters->table, before)) != NULL) {
        struct upcast_table *table = upcast_table_ref(upcasters->table); /* append makes another */
        status = append(upcasters, engine, "upcaster.registered", old, true, error);
        upcast_table_unref(table);
    }
    return status;
}

const struct sp_upcaster *sp_upcasters_find(struct sp_upcasters *upcasters, sp_str type,
                                            sp_str from, sp_str to) {
    uint32_t there = find_step(upcasters->table, type, from, to);
    return there == UPCAST_NONE ? NULL : &upcasters->table->steps[there].upcaster;
}

sp_status sp_upcasters_remove(struct sp_upcasters *upcasters, struct sp_engine *engine, sp_str type,
                              sp_str from, sp_str to, struct sp_error *error) {
    if (sp_upcasters_find(upcasters, type, from, to) == NULL) {
        return sp_error_set(error, SP_NOT_FOUND, "there is no upcaster %.*s-%.*s of %.*s",
                            SP_STR_ARG(from), SP_STR_ARG(to), SP_STR_ARG(type));
    }
    const struct sp_upcaster removed = {.type = type, .from = from, .to = to};
    return append(upcasters, engine, "upcaster.removed", &removed, false, error);
}

void sp_upcasters_each(struct sp_upcasters *upcasters, sp_upcaster_fn *each, void *context) {
    const struct upcast_table *table = upcasters->table;
    for (uint32_t i = 0; i < table->count; i++) {
        if (!each(context, &table->steps[i].upcaster)) {
            return;
        }
    }
}
