#include "flow/saga_fork.h"

#include <stdlib.h>

#include "base/hash.h"
#include "flow/saga_int.h"

enum { ENTRIES_MAX = 200000 };

/* What became of one step. */
struct entry {
    uint32_t offset; /* of its path */
    uint32_t len;
    uint64_t begun;  /* position of what it began with */
    uint64_t result; /* position of what its result is in */
    uint32_t number;
    uint8_t kind; /* enum sp_inherited_kind */
    bool is_done; /* or begun, or skipped, as its kind says */
    bool is_undone;
    bool is_irreversible;
};

struct sp_saga_fork {
    const struct sp_sagas *sagas;
    struct sp_buf texts; /* paths */
    struct sp_htab by_path;
    struct entry *entries;
    uint32_t count;
    uint32_t capacity;
    char sagaid[SP_SAGA_ID_SIZE];
    struct sp_buf at;
    struct sp_buf data; /* asked for, else the other saga's */
    struct sp_buf by;
    struct sp_buf failed; /* the step that failed last */
    struct sp_buf correlation;
    struct sp_buf started_id;
    struct sp_buf definition; /* its text, where it is not in memory */
    struct sp_buf scratch;
    bool is_saga;
    uint8_t sha256[SP_SHA256_BYTES];
};

static sp_str str(const struct sp_buf *buf) {
    return sp_buf_str(buf);
}

static void set(struct sp_buf *buf, sp_str text) {
    sp_buf_reset(buf);
    sp_buf_add_str(buf, text);
}

sp_status sp_saga_fork_new(const struct sp_sagas *sagas, const struct sp_saga_fork_ask *ask,
                           struct sp_saga_fork **ret_fork, struct sp_error *error) {
    uint8_t id[16];
    if (!sp_uuid_pack(ask->sagaid, id)) {
        return sp_error_set(error, SP_INVALID, "'%.*s' is no saga's id", SP_STR_ARG(ask->sagaid));
    }
    if (ask->data.len > 0) {
        sp_status status = sp_json_check(ask->data, error);
        if (status != SP_OK) {
            return sp_error_prefix(error, status, "data");
        }
    }
    struct sp_saga_fork *fork = calloc(1, sizeof(*fork));
    if (fork == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    fork->sagas = sagas;
    sp_htab_init(&fork->by_path);
    struct sp_buf *bufs[] = {&fork->texts,      &fork->at,         &fork->data,
                             &fork->by,         &fork->failed,     &fork->correlation,
                             &fork->started_id, &fork->definition, &fork->scratch};
    for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++) {
        sp_buf_init(bufs[i], UINT32_MAX);
    }
    memcpy(fork->sagaid, ask->sagaid.ptr, SP_UUID_TEXT_SIZE);
    set(&fork->at, ask->at);
    set(&fork->data, ask->data);
    set(&fork->by, ask->by);
    *ret_fork = fork;
    return SP_OK;
}

void sp_saga_fork_free(struct sp_saga_fork *fork) {
    if (fork == NULL) {
        return;
    }
    sp_htab_fini(&fork->by_path);
    sp_buf_fini(&fork->texts);
    sp_buf_fini(&fork->at);
    sp_buf_fini(&fork->data);
    sp_buf_fini(&fork->by);
    sp_buf_fini(&fork->failed);
    sp_buf_fini(&fork->correlation);
    sp_buf_fini(&fork->started_id);
    sp_buf_fini(&fork->definition);
    sp_buf_fini(&fork->scratch);
    free(fork->entries);
    free(fork);
}

/* ---- what became of its steps ---- */

static sp_str path_of(const struct sp_saga_fork *fork, const struct entry *entry) {
    return sp_str_of(fork->texts.data + entry->offset, entry->len);
}

static struct entry *find(struct sp_saga_fork *fork, sp_str path) {
    struct sp_htab_probe probe = sp_htab_find(&fork->by_path, sp_hash(path.ptr, path.len));
    uint32_t at = 0;
    while (sp_htab_next(&probe, &at)) {
        if (sp_str_eq(path_of(fork, &fork->entries[at]), path)) {
            return &fork->entries[at];
        }
    }
    return NULL;
}

/* NULL: no memory, or too many. */
static struct entry *entry_of(struct sp_saga_fork *fork, sp_str path) {
    struct entry *entry = find(fork, path);
    if (entry != NULL || fork->count >= ENTRIES_MAX) {
        return entry;
    }
    if (fork->count == fork->capacity) {
        uint32_t capacity = fork->capacity == 0 ? 64 : fork->capacity * 2;
        struct entry *entries = realloc(fork->entries, capacity * sizeof(*entries));
        if (entries == NULL) {
            return NULL;
        }
        fork->entries = entries;
        fork->capacity = capacity;
    }
    size_t offset = fork->texts.len;
    sp_buf_add_str(&fork->texts, path);
    if (fork->texts.status != SP_OK ||
        sp_htab_add(&fork->by_path, sp_hash(path.ptr, path.len), fork->count) != SP_OK) {
        return NULL;
    }
    entry = &fork->entries[fork->count++];
    *entry = (struct entry){.offset = (uint32_t)offset, .len = (uint32_t)path.len};
    return entry;
}

static uint64_t number_of(const struct sp_member *member) {
    uint64_t number = 0;
    for (size_t i = 0; member->type == SP_TYPE_NUMBER && i < member->json.len && i < 19; i++) {
        char digit = member->json.ptr[i];
        number = digit >= '0' && digit <= '9' ? number * 10 + (uint64_t)(digit - '0') : number;
    }
    return number;
}

/* What the other saga had inherited itself: it is as good as done by it. */
static sp_status take_inherited(struct sp_saga_fork *fork, sp_str array) {
    struct sp_json json;
    struct sp_buf scratch;
    sp_status status = SP_OK;
    sp_buf_init(&scratch, UINT32_MAX);
    sp_json_init(&json, array);
    struct sp_json_token token = sp_json_next(&json);
    for (token = sp_json_next(&json); token.type == SP_JSON_OBJECT && status == SP_OK;
         token = sp_json_next(&json)) {
        struct sp_member members[] = {{.name = "step"},     {.name = "kind"},
                                      {.name = "position"}, {.name = "begun"},
                                      {.name = "number"},   {.name = "irreversible"}};
        sp_buf_reset(&scratch);
        status = sp_members_read(sp_json_skip(&json, token), members, 6, &scratch);
        struct entry *entry = status == SP_OK ? entry_of(fork, sp_member_text(&members[0])) : NULL;
        if (entry == NULL) {
            status = SP_NO_MEMORY;
            break;
        }
        sp_str kind = sp_member_text(&members[1]);
        entry->kind = sp_str_eq(kind, SP_STR("begun"))     ? SP_INHERITED_BEGUN
                      : sp_str_eq(kind, SP_STR("skipped")) ? SP_INHERITED_SKIPPED
                                                           : SP_INHERITED_DONE;
        entry->is_done = true;
        entry->result = number_of(&members[2]);
        entry->begun = number_of(&members[3]);
        entry->number = (uint32_t)number_of(&members[4]);
        entry->is_irreversible = members[5].type == SP_TYPE_TRUE;
    }
    sp_buf_fini(&scratch);
    return status;
}

static sp_status take_started(struct sp_saga_fork *fork, const struct sp_event *event) {
    struct sp_member members[] = {{.name = "data"}, {.name = "inherited"}};
    sp_buf_reset(&fork->scratch);
    if (sp_members_of(event, members, 2, &fork->scratch) != SP_OK) {
        return SP_NO_MEMORY;
    }
    fork->is_saga = sp_sha256_parse(sp_saga_extension(event, SP_STR("definition")), fork->sha256);
    set(&fork->correlation, event->attr[SP_ATTR_CORRELATION]);
    set(&fork->started_id, event->attr[SP_ATTR_ID]);
    if (fork->data.len == 0) {
        set(&fork->data, members[0].json);
    }
    return members[1].type == SP_TYPE_ARRAY ? take_inherited(fork, members[1].json) : SP_OK;
}

static void take_step_started(struct entry *entry, const struct sp_event *event,
                              struct sp_member *members) {
    sp_str kind = sp_member_text(&members[1]);
    bool is_leaf =
        kind.len == 0 || sp_str_eq(kind, SP_STR("wait")) || sp_str_eq(kind, SP_STR("emit"));
    bool is_for_each = sp_str_eq(kind, SP_STR("for_each"));
    entry->is_undone = false;
    entry->begun =
        is_leaf && !sp_str_eq(kind, SP_STR("wait")) ? event->position - 1 : event->position;
    entry->is_irreversible = members[2].type == SP_TYPE_TRUE || members[3].type == SP_TYPE_TRUE;
    entry->kind = is_leaf ? SP_INHERITED_DONE : SP_INHERITED_BEGUN;
    entry->is_done = !is_leaf;
    entry->number =
        (uint32_t)sp_saga_number(event, is_for_each ? SP_STR("items") : SP_STR("branch"));
}

static sp_status take_step(struct sp_saga_fork *fork, const struct sp_event *event, sp_str kind,
                           sp_str path) {
    struct sp_member members[] = {
        {.name = "result_position"}, {.name = "kind"}, {.name = "irreversible"}, {.name = "pivot"}};
    struct entry *entry = entry_of(fork, path);
    sp_buf_reset(&fork->scratch);
    if (entry == NULL || sp_members_of(event, members, 4, &fork->scratch) != SP_OK) {
        return SP_NO_MEMORY;
    }
    if (sp_str_eq(kind, SP_STR("step.started"))) {
        take_step_started(entry, event, members);
    } else if (sp_str_eq(kind, SP_STR("approval.requested"))) {
        entry->begun = event->position - 1;
    } else if (sp_str_eq(kind, SP_STR("step.completed")) ||
               sp_str_eq(kind, SP_STR("approval.granted"))) {
        uint64_t position = number_of(&members[0]);
        entry->is_done = true;
        entry->result = position != 0 ? position : event->position;
    } else if (sp_str_eq(kind, SP_STR("step.skipped"))) {
        entry->is_done = true;
        entry->kind = SP_INHERITED_SKIPPED;
    } else if (sp_str_eq(kind, SP_STR("step.compensating"))) {
        entry->is_undone = true;
    } else if (sp_str_eq(kind, SP_STR("step.failed")) ||
               sp_str_eq(kind, SP_STR("step.timed_out")) ||
               sp_str_eq(kind, SP_STR("approval.rejected"))) {
        set(&fork->failed, path);
    }
    return SP_OK;
}

/* The text of the definition, from `$sagas`. */
static sp_status take_definition(struct sp_saga_fork *fork, const struct sp_event *event) {
    struct sp_member member = {.name = "definition"};
    uint8_t sha256[SP_SHA256_BYTES];
    sp_buf_reset(&fork->scratch);
    if (!sp_str_starts_with(event->attr[SP_ATTR_TYPE], SP_STR("saga."))) {
        return SP_OK;
    }
    if (sp_members_of(event, &member, 1, &fork->scratch) != SP_OK) {
        return SP_NO_MEMORY;
    }
    if (member.type == SP_TYPE_OBJECT) {
        sp_sha256_salted("", 0, member.json.ptr, member.json.len, sha256);
        if (memcmp(sha256, fork->sha256, sizeof(sha256)) == 0) {
            set(&fork->definition, member.json);
        }
    }
    return SP_OK;
}

sp_status sp_saga_fork_take(struct sp_saga_fork *fork, const struct sp_event *event,
                            struct sp_error *error) {
    sp_str stream = event->attr[SP_ATTR_STREAM];
    sp_str type = event->attr[SP_ATTR_TYPE];
    sp_str step = sp_saga_extension(event, SP_STR("sagastep"));
    sp_status status = SP_OK;
    if (sp_str_eq(stream, SP_STR("$sagas"))) {
        status = take_definition(fork, event);
    } else if (stream.len != 5 + SP_UUID_TEXT_SIZE ||
               memcmp(stream.ptr + 5, fork->sagaid, SP_UUID_TEXT_SIZE) != 0) {
        return SP_OK;
    } else if (sp_str_eq(type, SP_STR("saga.started"))) {
        status = take_started(fork, event);
    } else if (step.len > 0 && sp_str_starts_with(type, SP_STR("saga."))) {
        status = take_step(fork, event, sp_str_from_byte(type, 5), step);
    }
    return status == SP_OK ? SP_OK
                           : sp_error_set(error, status, "out of memory, or of room for steps");
}

bool sp_saga_fork_needs_definition(const struct sp_saga_fork *fork) {
    const struct sp_saga_version *version =
        fork->is_saga ? sp_sagas_version(fork->sagas, fork->sha256) : NULL;
    return fork->is_saga && (version == NULL || version->definition == NULL);
}

/* ---- what is inherited ---- */

static sp_str next_segment(sp_str *rest) {
    const char *slash = rest->len == 0 ? NULL : memchr(rest->ptr, '/', rest->len);
    sp_str segment = *rest;
    if (slash == NULL) {
        *rest = (sp_str){.ptr = NULL};
        return segment;
    }
    segment.len = (size_t)(slash - rest->ptr);
    *rest = sp_str_from_byte(*rest, segment.len + 1);
    return segment;
}

static size_t name_len(sp_str segment) {
    const char *bracket = segment.len == 0 ? NULL : memchr(segment.ptr, '[', segment.len);
    return bracket == NULL ? segment.len : (size_t)(bracket - segment.ptr);
}

/* Of `[12]`; a segment without is that of the whole list, before its items. */
static int64_t index_of(sp_str segment) {
    int64_t index = -1;
    for (size_t i = name_len(segment) + 1; i + 1 < segment.len && index < 100000; i++) {
        index = (index < 0 ? 0 : index) * 10 + (segment.ptr[i] - '0');
    }
    return index;
}

/* Whether a step stands before another in the order in which they are done. */
static bool is_before(const struct sp_saga_definition *definition, sp_str path, sp_str other) {
    sp_str a = path;
    sp_str b = other;
    while (a.len > 0 && b.len > 0) {
        sp_str from_a = next_segment(&a);
        sp_str from_b = next_segment(&b);
        if (sp_str_eq(from_a, from_b)) {
            continue;
        }
        size_t len = name_len(from_a);
        if (len == name_len(from_b) && memcmp(from_a.ptr, from_b.ptr, len) == 0) {
            return index_of(from_a) < index_of(from_b);
        }
        uint16_t node_a = sp_saga_definition_find(definition, path);
        uint16_t node_b = sp_saga_definition_find(definition, other);
        return node_a < node_b;
    }
    return a.len == 0 && b.len > 0; /* what it stands in */
}

static int compare_entries(const struct sp_saga_fork *fork, uint32_t a, uint32_t b) {
    return sp_str_cmp(path_of(fork, &fork->entries[a]), path_of(fork, &fork->entries[b]));
}

/* The inherited entries, by path: a heap's sort, as there may be many. */
static void sift(const struct sp_saga_fork *fork, uint32_t *order, uint32_t at, uint32_t count) {
    for (uint32_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && compare_entries(fork, order[child], order[child + 1]) < 0) {
            child++;
        }
        if (compare_entries(fork, order[at], order[child]) >= 0) {
            return;
        }
        uint32_t swap = order[at];
        order[at] = order[child];
        order[child] = swap;
        at = child;
    }
}

static void sort(const struct sp_saga_fork *fork, uint32_t *order, uint32_t count) {
    for (uint32_t i = count / 2; i > 0; i--) {
        sift(fork, order, i - 1, count);
    }
    for (uint32_t i = count; i > 1; i--) {
        uint32_t swap = order[0];
        order[0] = order[i - 1];
        order[i - 1] = swap;
        sift(fork, order, 0, i - 1);
    }
}

static bool is_inherited(const struct sp_saga_fork *fork,
                         const struct sp_saga_definition *definition, const struct entry *entry,
                         sp_str at) {
    sp_str path = path_of(fork, entry);
    if (!entry->is_done) {
        return false;
    }
    if (entry->kind == SP_INHERITED_DONE && entry->is_irreversible) {
        return true;
    }
    return !entry->is_undone && is_before(definition, path, at);
}

static void write_entry(const struct sp_saga_fork *fork, const struct entry *entry,
                        struct sp_buf *to) {
    static const char *const kinds[] = {"done", "begun", "skipped"};
    sp_json_open(to);
    sp_json_text(to, "step", path_of(fork, entry));
    sp_json_text(to, "kind", sp_str_from(kinds[entry->kind]));
    sp_json_u64(to, "position", entry->result);
    sp_json_u64(to, "begun", entry->begun);
    sp_json_u64(to, "number", entry->number);
    sp_json_bool(to, "irreversible", entry->is_irreversible);
    sp_json_close(to);
}

static sp_status write_inherited(struct sp_saga_fork *fork,
                                 const struct sp_saga_definition *definition, sp_str at,
                                 struct sp_buf *to, uint32_t *ret_count) {
    uint32_t *order = malloc((fork->count + 1) * sizeof(*order));
    uint32_t count = 0;
    if (order == NULL) {
        return SP_NO_MEMORY;
    }
    for (uint32_t i = 0; i < fork->count; i++) {
        if (is_inherited(fork, definition, &fork->entries[i], at)) {
            order[count++] = i;
        }
    }
    sort(fork, order, count);
    sp_buf_add_byte(to, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            sp_buf_add_byte(to, ',');
        }
        write_entry(fork, &fork->entries[order[i]], to);
    }
    sp_buf_add_byte(to, ']');
    free(order);
    *ret_count = count;
    return to->status;
}

static void recall(const struct sp_saga_fork *fork, const struct sp_saga_definition *definition,
                   struct sp_flow_out *out) {
    char sha256[2 * SP_SHA256_BYTES];
    sp_sha256_hex(fork->sha256, sha256);
    sp_flow_out_begin(out, SP_STR("saga.recalled"), SP_STR("$sagas"));
    struct sp_buf *to = sp_flow_out_data_begin(out);
    sp_json_open(to);
    sp_json_text(to, "saga", definition->name);
    sp_json_text(to, "sha256", sp_str_of(sha256, sizeof(sha256)));
    sp_json_raw(to, "definition", str(&fork->definition));
    sp_json_close(to);
    sp_flow_out_data_end(out);
}

static sp_status find_at(const struct sp_saga_fork *fork,
                         const struct sp_saga_definition *definition, sp_str *ret_at,
                         struct sp_error *error) {
    sp_str at = fork->at.len > 0 ? str(&fork->at) : str(&fork->failed);
    if (at.len == 0) {
        return sp_error_set(error, SP_INVALID,
                            "no step of the saga failed: say at which one to go on");
    }
    if (sp_saga_definition_find(definition, at) == SP_SAGA_NO_NODE) {
        return sp_error_set(error, SP_NOT_FOUND, "the saga has no step '%.*s'", SP_STR_ARG(at));
    }
    *ret_at = at;
    return SP_OK;
}

static sp_status fork_with(struct sp_saga_fork *fork, const struct sp_saga_definition *definition,
                           const uint8_t new_id[16], uint64_t now_us, struct sp_flow_out *out,
                           struct sp_error *error) {
    sp_str at = {.ptr = NULL};
    uint32_t count = 0;
    sp_status status = find_at(fork, definition, &at, error);
    if (status != SP_OK) {
        return status;
    }
    sp_buf_reset(&fork->scratch);
    status = write_inherited(fork, definition, at, &fork->scratch, &count);
    if (status != SP_OK) {
        return sp_error_set(error, status, "out of memory");
    }
    if (fork->scratch.len + fork->data.len > SP_SAGA_DATA_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT,
                            "the saga did too many steps for what it did to fit into an event");
    }
    const struct sp_saga_beginning from = {
        .definition = definition,
        .data = str(&fork->data),
        .correlation = str(&fork->correlation),
        .causation = str(&fork->started_id),
        .by = str(&fork->by),
        .now_us = now_us,
        .id = new_id,
        .forked_from = sp_str_of(fork->sagaid, SP_UUID_TEXT_SIZE),
        .forked_at = at,
        .inherited = str(&fork->scratch),
        .inherited_count = count,
    };
    if (fork->definition.len > 0) {
        recall(fork, definition, out);
    }
    sp_saga_write_started(&from, out, &fork->failed);
    return sp_flow_out_status(out);
}

sp_status sp_saga_fork_events(struct sp_saga_fork *fork, const uint8_t new_id[16], uint64_t now_us,
                              struct sp_flow_out *out, struct sp_error *error) {
    if (!fork->is_saga) {
        return sp_error_set(error, SP_NOT_FOUND, "there is no saga '%s'", fork->sagaid);
    }
    if (fork->sagas->count >= SP_SAGAS_RUNNING_MAX) {
        return sp_error_set(error, SP_LIMIT, "%d sagas run already", SP_SAGAS_RUNNING_MAX);
    }
    if (!sp_saga_fork_needs_definition(fork)) {
        const struct sp_saga_version *version = sp_sagas_version(fork->sagas, fork->sha256);
        sp_buf_reset(&fork->definition);
        return fork_with(fork, version->definition, new_id, now_us, out, error);
    }
    struct sp_saga_definition *definition = NULL;
    if (fork->definition.len == 0) {
        return sp_error_set(error, SP_UNSUPPORTED, "the saga's definition is gone");
    }
    sp_status status = sp_saga_definition_parse(str(&fork->definition), &definition, error);
    if (status != SP_OK) {
        return sp_error_prefix(error, SP_UNSUPPORTED, "the saga's definition cannot be used");
    }
    status = fork_with(fork, definition, new_id, now_us, out, error);
    sp_saga_definition_unref(definition);
    return status;
}
