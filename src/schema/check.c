/*
 * Checking: the graph of the schema and the tape of the instance are walked together. The walk
 * recurses, at most SP_SCHEMA_LEVELS_MAX levels of schemas within schemas.
 *
 * What `unevaluated…` has to know is kept as bits, one for each member or element of the value at
 * hand. A schema with such a keyword begins a set of its own; the schemas that apply to the same
 * value mark in it what they looked at. Where one of them fails without failing the whole (anyOf,
 * oneOf, not, if), what it marked is taken back. Without such a keyword there is no set, and no
 * work.
 *
 * A dynamic reference looks through the resources that the walk has come through, which are chained
 * on the stack.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "schema/schema_int.h"

enum {
    UNIQUE_PAIRS_MAX = 16, /* larger arrays are compared by hash first */
    TAPE_KEPT = 4096,      /* nodes that a scratch keeps between two checks */
    REQUIRED_BITS = 64,    /* so many required names cost nothing to look for */
};

struct sp_schema_scratch {
    struct sp_tape tape;
    uint64_t *bits; /* sets of what was evaluated, one behind the other */
    size_t bits_capacity;
};

/* A set of bits in the scratch: begins at word `from`. */
struct marks {
    size_t from;
    size_t words;
};

struct scope {
    const struct sch_resource *resource;
    const struct scope *outer;
};

struct check {
    struct sp_schema_scratch *scratch;
    const struct sp_tape *tape;
    const struct sp_tape_node *nodes;
    const struct scope *scope;
    size_t bits_used;
    uint32_t level;
    uint32_t steps;
    uint32_t quiet; /* above 0: a failure here is not the answer */
    struct sp_schema_fault *fault;
    const struct sch *fault_schema;
    uint32_t fault_at;
    const char *fault_keyword;
};

static sp_status check_schema(struct check *c, const struct sch *schema, uint32_t at,
                              const struct marks *marks);

/* ---- faults ---- */

/*
 * Notes what is wrong, unless some other schema may yet accept the value: "before `detail` after".
 */
static sp_status refuse(struct check *c, const struct sch *schema, const char *keyword, uint32_t at,
                        const char *before, sp_str detail, const char *after) {
    if (c->quiet > 0 || c->fault == NULL) {
        return SP_INVALID;
    }
    struct sp_error error;
    (void)sp_error_set(&error, SP_INVALID, "%s%.*s%s", before, SP_STR_ARG(detail), after);
    memcpy(c->fault->text, error.text, sizeof(c->fault->text));
    c->fault_schema = schema;
    c->fault_keyword = keyword;
    c->fault_at = at;
    return SP_INVALID;
}

static sp_status stop(struct check *c, sp_status status, const char *text) {
    if (c->fault != NULL) {
        struct sp_error error;
        (void)sp_error_set(&error, status, "%s", text);
        memcpy(c->fault->text, error.text, sizeof(c->fault->text));
        c->fault_schema = NULL;
    }
    return status;
}

static void copy_pointer(char to[SP_SCHEMA_POINTER_SIZE], const struct sp_buf *from) {
    size_t len = from->len < SP_SCHEMA_POINTER_SIZE ? from->len : SP_SCHEMA_POINTER_SIZE - 1;
    while (len < from->len && len > 0 && ((uint8_t)from->data[len] & 0xc0) == 0x80) {
        len--; /* not within a code point */
    }
    if (len > 0) {
        memcpy(to, from->data, len);
    }
    to[len] = '\0';
}

/* Says where, once the whole has failed. */
static void complete_fault(struct check *c, sp_status status) {
    struct sp_buf pointer;
    sp_buf_init(&pointer, SP_SCHEMA_BYTES_MAX);
    if (c->fault_schema == NULL) {
        c->fault->pointer[0] = '\0';
        c->fault->rule[0] = '\0';
        c->fault->offset = 0;
        sp_require(status != SP_INVALID);
        return;
    }
    sp_tape_pointer(c->tape, c->fault_at, &pointer);
    copy_pointer(c->fault->pointer, &pointer);
    c->fault->offset = c->nodes[c->fault_at].offset;
    const struct sch_document *document = c->fault_schema->resource->document;
    sp_buf_reset(&pointer);
    if (document->uri.len > 0) {
        sp_buf_add_str(&pointer, document->uri);
        sp_buf_add_byte(&pointer, '#');
    }
    sp_tape_pointer(&document->tape, c->fault_schema->at, &pointer);
    if (c->fault_keyword != NULL) {
        sp_pointer_add(&pointer, sp_str_from(c->fault_keyword));
    }
    copy_pointer(c->fault->rule, &pointer);
    sp_buf_fini(&pointer);
}

/* ---- what was evaluated ---- */

static bool marks_reserve(struct check *c, size_t words) {
    struct sp_schema_scratch *scratch = c->scratch;
    if (words <= scratch->bits_capacity - c->bits_used) {
        return true;
    }
    size_t capacity = 2 * (c->bits_used + words) + 16;
    uint64_t *bits = realloc(scratch->bits, capacity * sizeof(*bits));
    if (bits == NULL) {
        return false;
    }
    scratch->bits = bits;
    scratch->bits_capacity = capacity;
    return true;
}

static void mark(struct check *c, const struct marks *marks, uint32_t index) {
    if (marks != NULL) {
        sp_require(index / 64 < marks->words);
        c->scratch->bits[marks->from + index / 64] |= UINT64_C(1) << (index % 64);
    }
}

static bool is_marked(const struct check *c, const struct marks *marks, uint32_t index) {
    return (c->scratch->bits[marks->from + index / 64] >> (index % 64) & 1) != 0;
}

static void mark_all(struct check *c, const struct marks *marks) {
    for (size_t i = 0; marks != NULL && i < marks->words; i++) {
        c->scratch->bits[marks->from + i] = UINT64_MAX;
    }
}

/* A set of no marks for a value of so many parts. */
static bool marks_begin(struct check *c, uint32_t count, struct marks *ret_marks) {
    size_t words = count / 64 + 1;
    if (!marks_reserve(c, words)) {
        return false;
    }
    *ret_marks = (struct marks){.from = c->bits_used, .words = words};
    memset(&c->scratch->bits[c->bits_used], 0, words * sizeof(uint64_t));
    c->bits_used += words;
    return true;
}

/*
 * Checks by a schema whose failure is not the end. Its marks stay only where it accepts, and where
 * they are wanted at all.
 */
static sp_status attempt(struct check *c, const struct sch *schema, uint32_t at,
                         const struct marks *marks) {
    size_t used = c->bits_used;
    struct marks own = {.words = 0};
    if (marks != NULL && !marks_begin(c, c->nodes[at].count, &own)) {
        return stop(c, SP_NO_MEMORY, "out of memory");
    }
    c->quiet++;
    sp_status status = check_schema(c, schema, at, marks != NULL ? &own : NULL);
    c->quiet--;
    for (size_t i = 0; status == SP_OK && i < own.words; i++) {
        c->scratch->bits[marks->from + i] |= c->scratch->bits[own.from + i];
    }
    c->bits_used = used;
    return status;
}

/* ---- scalars ---- */

static uint8_t kind_of(const struct sp_tape_node *node) {
    switch (node->type) {
    case SP_JSON_OBJECT:
        return KIND_OBJECT;
    case SP_JSON_ARRAY:
        return KIND_ARRAY;
    case SP_JSON_STRING:
    case SP_JSON_KEY:
        return KIND_STRING;
    case SP_JSON_NUMBER:
        return KIND_NUMBER | KIND_INTEGER;
    case SP_JSON_TRUE:
    case SP_JSON_FALSE:
        return KIND_BOOLEAN;
    case SP_JSON_NULL:
        return KIND_NULL;
    case SP_JSON_ERROR:
    case SP_JSON_OBJECT_END:
    case SP_JSON_ARRAY_END:
    case SP_JSON_END:
        break;
    }
    sp_never();
}

static bool fits_kinds(const struct sch *schema, const struct sp_tape_node *node) {
    uint8_t common = kind_of(node) & schema->kinds;
    return common == KIND_INTEGER ? sp_json_is_integral(sp_tape_str(node)) : common != 0;
}

/* "a string or null" and the like. */
static sp_str kinds_text(uint8_t kinds, char room[96]) {
    static const struct {
        uint8_t kinds;
        const char *text;
    } NAMES[] = {
        {KIND_OBJECT, "an object"}, {KIND_ARRAY, "an array"},     {KIND_STRING, "a string"},
        {KIND_NUMBER, "a number"},  {KIND_INTEGER, "an integer"}, {KIND_BOOLEAN, "true or false"},
        {KIND_NULL, "null"},
    };
    size_t len = 0;
    if ((kinds & KIND_NUMBER) != 0) {
        kinds &= (uint8_t)~KIND_INTEGER;
    }
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if ((kinds & NAMES[i].kinds) != 0) {
            const char *parts[] = {len > 0 ? " or " : "", NAMES[i].text};
            for (int k = 0; k < 2; k++) {
                size_t size = strlen(parts[k]);
                memcpy(room + len, parts[k], size);
                len += size;
            }
        }
    }
    sp_ensure(len < 96);
    return sp_str_of(room, len);
}

static sp_status refuse_kind(struct check *c, const struct sch *schema, uint32_t at) {
    if (c->quiet > 0 || c->fault == NULL) {
        return SP_INVALID;
    }
    char room[96];
    const char *found = c->nodes[at].type == SP_JSON_NUMBER && (schema->kinds & KIND_INTEGER) != 0
                            ? "a number with a fraction"
                        : c->nodes[at].type == SP_JSON_KEY ? "a string"
                                                           : sp_json_type_name(c->nodes[at].type);
    struct sp_error error;
    (void)sp_error_set(&error, SP_INVALID, "expected %.*s, found %s",
                       SP_STR_ARG(kinds_text(schema->kinds, room)), found);
    return refuse(c, schema, "type", at, "", sp_str_from(error.text), "");
}

static bool equals(struct check *c, const struct sch *schema, uint32_t wanted, uint32_t at) {
    const struct sp_tape *tape = &schema->resource->document->tape;
    if (c->nodes[at].type == SP_JSON_KEY) { /* by propertyNames */
        return tape->nodes[wanted].type == SP_JSON_STRING &&
               sp_str_eq(sp_tape_str(&tape->nodes[wanted]), sp_tape_str(&c->nodes[at]));
    }
    return sp_tape_equal(tape, wanted, c->tape, at);
}

/* A value of the schema as it is written there. */
sp_str sch_written(const struct sch *schema, uint32_t at) {
    const struct sch_document *document = schema->resource->document;
    const struct sp_tape_node *node = &document->tape.nodes[at];
    struct sp_json json;
    sp_json_init(&json,
                 sp_str_from_byte(document->text, node->offset - (node->type == SP_JSON_STRING)));
    return sp_json_skip(&json, sp_json_next(&json));
}

static sp_status check_values(struct check *c, const struct sch *schema, uint32_t at) {
    if (schema->constant != 0 && !equals(c, schema, schema->constant, at)) {
        if (c->quiet > 0) {
            return SP_INVALID;
        }
        return refuse(c, schema, "const", at, "expected ", sch_written(schema, schema->constant),
                      "");
    }
    if (schema->enumeration == 0) {
        return SP_OK;
    }
    const struct sp_tape_node *nodes = schema->resource->document->tape.nodes;
    uint32_t end = nodes[schema->enumeration].next;
    for (uint32_t value = schema->enumeration + 1; value < end; value = nodes[value].next) {
        if (equals(c, schema, value, at)) {
            return SP_OK;
        }
    }
    return c->quiet > 0 ? SP_INVALID
                        : refuse(c, schema, "enum", at, "expected one of ",
                                 sch_written(schema, schema->enumeration), "");
}

static sp_status check_number(struct check *c, const struct sch *schema, uint32_t at) {
    const struct sch_number *number = schema->number;
    sp_str value = sp_tape_str(&c->nodes[at]);
    if (number->minimum.ptr != NULL && sp_json_compare_exact(value, number->minimum) < 0) {
        return refuse(c, schema, "minimum", at, "expected at least ", number->minimum, "");
    }
    if (number->maximum.ptr != NULL && sp_json_compare_exact(value, number->maximum) > 0) {
        return refuse(c, schema, "maximum", at, "expected at most ", number->maximum, "");
    }
    if (number->above.ptr != NULL && sp_json_compare_exact(value, number->above) <= 0) {
        return refuse(c, schema, "exclusiveMinimum", at, "expected more than ", number->above, "");
    }
    if (number->below.ptr != NULL && sp_json_compare_exact(value, number->below) >= 0) {
        return refuse(c, schema, "exclusiveMaximum", at, "expected less than ", number->below, "");
    }
    if (number->multiple.ptr != NULL && !sp_json_is_multiple(value, number->multiple)) {
        return refuse(c, schema, "multipleOf", at, "expected a multiple of ", number->multiple, "");
    }
    return SP_OK;
}

static uint64_t count_codes(sp_str text) {
    uint64_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        count += ((uint8_t)text.ptr[i] & 0xc0) != 0x80;
    }
    return count;
}

/* "expected at least 3 items, found 2" and the like. */
static sp_status refuse_count(struct check *c, const struct sch *schema, const char *keyword,
                              uint32_t at, uint64_t found, const char *relation, uint64_t bound,
                              const char *things) {
    struct sp_error error;
    (void)sp_error_set(&error, SP_INVALID, "%s %llu %s, found %llu", relation,
                       (unsigned long long)bound, things, (unsigned long long)found);
    return refuse(c, schema, keyword, at, "expected ", sp_str_from(error.text), "");
}

static sp_status check_string(struct check *c, const struct sch *schema, uint32_t at) {
    const struct sch_string *string = schema->string;
    sp_str text = sp_tape_str(&c->nodes[at]);
    if (string->min > 0 || string->max < text.len) {
        uint64_t count = count_codes(text);
        if (count < string->min) {
            return refuse_count(c, schema, "minLength", at, count, "at least", string->min,
                                "characters");
        }
        if (count > string->max) {
            return refuse_count(c, schema, "maxLength", at, count, "at most", string->max,
                                "characters");
        }
    }
    if (string->pattern != NULL && !sp_regex_search(string->pattern, text, false)) {
        return refuse(c, schema, "pattern", at, "expected a match of ", string->pattern_text, "");
    }
    return SP_OK;
}

/* ---- arrays ---- */

struct seen {
    uint64_t hash;
    uint32_t at;
};

static sp_status refuse_twice(struct check *c, const struct sch *schema, uint32_t at) {
    return refuse(c, schema, "uniqueItems", at, "expected no two equal items", SP_STR(""), "");
}

static sp_status check_unique_pairs(struct check *c, const struct sch *schema, uint32_t at) {
    uint32_t end = c->nodes[at].next;
    for (uint32_t x = at + 1; x < end; x = c->nodes[x].next) {
        for (uint32_t y = c->nodes[x].next; y < end; y = c->nodes[y].next) {
            if (sp_tape_equal(c->tape, x, c->tape, y)) {
                return refuse_twice(c, schema, y);
            }
        }
    }
    return SP_OK;
}

/* By an open table of hashes. */
static sp_status check_unique_many(struct check *c, const struct sch *schema, uint32_t at) {
    const struct sp_tape_node *node = &c->nodes[at];
    size_t slots = 64;
    while (slots < 2 * (size_t)node->count) {
        slots *= 2;
    }
    struct seen *table = calloc(slots, sizeof(*table));
    if (table == NULL) {
        return stop(c, SP_NO_MEMORY, "out of memory");
    }
    uint32_t twice = 0;
    for (uint32_t x = at + 1; x < node->next && twice == 0; x = c->nodes[x].next) {
        uint64_t hash = sp_tape_hash(c->tape, x);
        size_t slot = hash & (slots - 1);
        while (table[slot].at != 0 && twice == 0) {
            bool same =
                table[slot].hash == hash && sp_tape_equal(c->tape, table[slot].at, c->tape, x);
            twice = same ? x : 0;
            slot = (slot + 1) & (slots - 1);
        }
        table[slot] = (struct seen){.hash = hash, .at = x};
    }
    free(table);
    return twice != 0 ? refuse_twice(c, schema, twice) : SP_OK;
}

static sp_status check_contains(struct check *c, const struct sch *schema, uint32_t at,
                                const struct marks *marks) {
    const struct sch_array *array = schema->array;
    uint64_t count = 0;
    uint32_t index = 0;
    for (uint32_t item = at + 1; item < c->nodes[at].next; item = c->nodes[item].next) {
        sp_status status = attempt(c, array->contains, item, NULL);
        if (status == SP_OK) {
            count++;
            mark(c, marks, index);
        } else if (status != SP_INVALID) {
            return status;
        }
        index++;
    }
    if (count < array->contains_min) {
        const char *keyword = array->contains_min == 1 ? "contains" : "minContains";
        return refuse_count(c, schema, keyword, at, count, "at least", array->contains_min,
                            "items as in contains");
    }
    if (count > array->contains_max) {
        return refuse_count(c, schema, "maxContains", at, count, "at most", array->contains_max,
                            "items as in contains");
    }
    return SP_OK;
}

static sp_status check_items(struct check *c, const struct sch *schema, uint32_t at,
                             const struct marks *marks) {
    const struct sch_array *array = schema->array;
    uint32_t end = c->nodes[at].next;
    uint32_t index = 0;
    sp_status status = SP_OK;
    for (uint32_t item = at + 1; item < end && status == SP_OK; item = c->nodes[item].next) {
        const struct sch *by =
            index < array->prefix.count ? array->prefix.items[index] : array->items;
        if (by == NULL) {
            break;
        }
        status = check_schema(c, by, item, NULL);
        mark(c, marks, index++);
    }
    return status;
}

static sp_status check_array(struct check *c, const struct sch *schema, uint32_t at,
                             const struct marks *marks) {
    const struct sch_array *array = schema->array;
    uint32_t count = c->nodes[at].count;
    if (count < array->min) {
        return refuse_count(c, schema, "minItems", at, count, "at least", array->min, "items");
    }
    if (count > array->max) {
        return refuse_count(c, schema, "maxItems", at, count, "at most", array->max, "items");
    }
    sp_status status = SP_OK;
    if (array->prefix.count > 0 || array->items != NULL) {
        status = check_items(c, schema, at, marks);
    }
    if (status == SP_OK && array->contains != NULL) {
        status = check_contains(c, schema, at, marks);
    }
    if (status == SP_OK && array->unique && count > 1) {
        status = count <= UNIQUE_PAIRS_MAX ? check_unique_pairs(c, schema, at)
                                           : check_unique_many(c, schema, at);
    }
    return status;
}

/* ---- objects ---- */

static const struct sch_property *find_property(const struct sch_object *object, sp_str name) {
    if (object->slots == NULL) {
        return NULL;
    }
    uint32_t slot = (uint32_t)sp_hash(name.ptr, name.len) & object->mask;
    while (object->slots[slot] != 0) {
        const struct sch_property *property = &object->properties[object->slots[slot] - 1];
        if (sp_str_eq(property->name, name)) {
            return property;
        }
        slot = (slot + 1) & object->mask;
    }
    return NULL;
}

/* Checks a member by all that speaks of it; *ret_known is whether anything did. */
static sp_status check_member(struct check *c, const struct sch *schema, uint32_t key,
                              const struct sch_property *property, bool *ret_known) {
    const struct sch_object *object = schema->object;
    sp_status status = SP_OK;
    bool known = property != NULL && property->schema != NULL;
    if (known) {
        status = check_schema(c, property->schema, key + 1, NULL);
    }
    for (uint32_t i = 0; i < object->pattern_count && status == SP_OK; i++) {
        if (sp_regex_search(object->patterns[i].regex, sp_tape_str(&c->nodes[key]), false)) {
            known = true;
            status = check_schema(c, object->patterns[i].schema, key + 1, NULL);
        }
    }
    if (!known && object->additional != NULL && status == SP_OK) {
        known = true;
        if (object->additional->is_boolean && !object->additional->accepts) {
            return refuse(c, schema, "additionalProperties", key, "\"", sp_tape_str(&c->nodes[key]),
                          "\" is none of the properties that may be here");
        }
        status = check_schema(c, object->additional, key + 1, NULL);
    }
    if (object->names != NULL && status == SP_OK) {
        status = check_schema(c, object->names, key, NULL);
    }
    *ret_known = known;
    return status;
}

/* Names the first required member that is not there. */
static sp_status check_required(struct check *c, const struct sch *schema, uint32_t at,
                                uint64_t seen) {
    const struct sch_object *object = schema->object;
    for (uint32_t i = 0; i < object->property_count; i++) {
        const struct sch_property *property = &object->properties[i];
        bool there = property->required == 0 ||
                     (property->required <= REQUIRED_BITS
                          ? (seen >> (property->required - 1) & 1) != 0
                          : sp_tape_member(c->tape, at, property->name) != UINT32_MAX);
        if (!there) {
            return refuse(c, schema, "required", at, "\"", property->name,
                          "\" is required, and is not there");
        }
    }
    return SP_OK;
}

static sp_status check_members(struct check *c, const struct sch *schema, uint32_t at,
                               const struct marks *marks) {
    const struct sch_object *object = schema->object;
    uint64_t seen = 0;
    uint32_t index = 0;
    uint32_t end = c->nodes[at].next;
    for (uint32_t key = at + 1; key < end; key = c->nodes[key].next) {
        const struct sch_property *property = find_property(object, sp_tape_str(&c->nodes[key]));
        if (property != NULL && property->required - 1 < REQUIRED_BITS) {
            seen |= UINT64_C(1) << (property->required - 1);
        }
        bool known = false;
        sp_status status = check_member(c, schema, key, property, &known);
        if (status != SP_OK) {
            return status;
        }
        if (known) {
            mark(c, marks, index);
        }
        index++;
    }
    uint64_t all = object->required_count >= REQUIRED_BITS
                       ? UINT64_MAX
                       : (UINT64_C(1) << object->required_count) - 1;
    return seen == all && object->required_count <= REQUIRED_BITS
               ? SP_OK
               : check_required(c, schema, at, seen);
}

static sp_status check_dependent(struct check *c, const struct sch *schema,
                                 const struct sch_dependent *dependent, uint32_t at,
                                 const struct marks *marks) {
    if (sp_tape_member(c->tape, at, dependent->name) == UINT32_MAX) {
        return SP_OK;
    }
    if (dependent->schema != NULL) {
        return check_schema(c, dependent->schema, at, marks);
    }
    for (uint32_t i = 0; i < dependent->required.count; i++) {
        if (sp_tape_member(c->tape, at, dependent->required.items[i]) == UINT32_MAX) {
            return refuse(c, schema, dependent->keyword, at, "\"", dependent->required.items[i],
                          "\" is required with what is there, and is not there");
        }
    }
    return SP_OK;
}

static sp_status check_object(struct check *c, const struct sch *schema, uint32_t at,
                              const struct marks *marks) {
    const struct sch_object *object = schema->object;
    uint32_t count = c->nodes[at].count;
    if (count < object->min) {
        return refuse_count(c, schema, "minProperties", at, count, "at least", object->min,
                            "members");
    }
    if (count > object->max) {
        return refuse_count(c, schema, "maxProperties", at, count, "at most", object->max,
                            "members");
    }
    sp_status status = check_members(c, schema, at, marks);
    for (uint32_t i = 0; i < object->dependent_count && status == SP_OK; i++) {
        status = check_dependent(c, schema, &object->dependents[i], at, marks);
    }
    return status;
}

/* ---- schemas of schemas ---- */

/* The schema that a dynamic reference means: by the outermost resource that has the anchor. */
static const struct sch *dynamic_target(struct check *c, const struct sch_logic *logic) {
    const struct sch *target = logic->dynamic_ref;
    if (logic->dynamic_name.ptr == NULL) {
        return target;
    }
    for (const struct scope *scope = c->scope; scope != NULL; scope = scope->outer) {
        for (const struct sch_anchor *anchor = scope->resource->anchors; anchor != NULL;
             anchor = anchor->next) {
            c->steps++;
            if (anchor->dynamic && sp_str_eq(anchor->name, logic->dynamic_name)) {
                target = anchor->schema;
            }
        }
    }
    return target;
}

static sp_status check_any_of(struct check *c, const struct sch *schema, uint32_t at,
                              const struct marks *marks) {
    const struct sch_list *list = &schema->logic->any_of;
    bool accepted = false;
    for (uint32_t i = 0; i < list->count && (!accepted || marks != NULL); i++) {
        sp_status status = attempt(c, list->items[i], at, marks);
        if (status != SP_OK && status != SP_INVALID) {
            return status;
        }
        accepted |= status == SP_OK;
    }
    return accepted ? SP_OK
                    : refuse(c, schema, "anyOf", at, "none of the schemas of anyOf accepts it",
                             SP_STR(""), "");
}

static sp_status check_one_of(struct check *c, const struct sch *schema, uint32_t at,
                              const struct marks *marks) {
    const struct sch_list *list = &schema->logic->one_of;
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < list->count && accepted < 2; i++) {
        sp_status status = attempt(c, list->items[i], at, marks);
        if (status != SP_OK && status != SP_INVALID) {
            return status;
        }
        accepted += status == SP_OK;
    }
    return accepted == 1 ? SP_OK
                         : refuse(c, schema, "oneOf", at, "",
                                  accepted == 0 ? SP_STR("no") : SP_STR("more than one"),
                                  " schema of oneOf accepts it, expected one");
}

static sp_status check_condition(struct check *c, const struct sch_logic *logic, uint32_t at,
                                 const struct marks *marks) {
    sp_status status = attempt(c, logic->if_this, at, marks);
    if (status != SP_OK && status != SP_INVALID) {
        return status;
    }
    const struct sch *next = status == SP_OK ? logic->then_this : logic->else_this;
    return next != NULL ? check_schema(c, next, at, marks) : SP_OK;
}

static sp_status check_logic(struct check *c, const struct sch *schema, uint32_t at,
                             const struct marks *marks) {
    const struct sch_logic *logic = schema->logic;
    sp_status status = SP_OK;
    if (logic->ref != NULL) {
        status = check_schema(c, logic->ref, at, marks);
    }
    if (status == SP_OK && logic->dynamic_ref != NULL) {
        status = check_schema(c, dynamic_target(c, logic), at, marks);
    }
    for (uint32_t i = 0; i < logic->all_of.count && status == SP_OK; i++) {
        status = check_schema(c, logic->all_of.items[i], at, marks);
    }
    if (status == SP_OK && logic->any_of.count > 0) {
        status = check_any_of(c, schema, at, marks);
    }
    if (status == SP_OK && logic->one_of.count > 0) {
        status = check_one_of(c, schema, at, marks);
    }
    if (status == SP_OK && logic->not_this != NULL) {
        status = attempt(c, logic->not_this, at, NULL);
        if (status == SP_OK) {
            return refuse(c, schema, "not", at, "the schema of not accepts it", SP_STR(""), "");
        }
        status = status == SP_INVALID ? SP_OK : status;
    }
    if (status == SP_OK && logic->if_this != NULL) {
        status = check_condition(c, logic, at, marks);
    }
    return status;
}

/* ---- unevaluated ---- */

static sp_status check_unevaluated(struct check *c, const struct sch *schema, uint32_t at,
                                   const struct marks *marks) {
    bool object = c->nodes[at].type == SP_JSON_OBJECT;
    const struct sch *by = object ? schema->unevaluated_properties : schema->unevaluated_items;
    const char *keyword = object ? "unevaluatedProperties" : "unevaluatedItems";
    uint32_t index = 0;
    for (uint32_t part = at + 1; by != NULL && part < c->nodes[at].next;
         part = c->nodes[part].next) {
        if (is_marked(c, marks, index++)) {
            continue;
        }
        if (by->is_boolean && !by->accepts) {
            return refuse(c, schema, keyword, part, "nothing else may be here", SP_STR(""), "");
        }
        sp_status status = check_schema(c, by, object ? part + 1 : part, NULL);
        if (status != SP_OK) {
            return status;
        }
    }
    if (by != NULL) {
        mark_all(c, marks);
    }
    return SP_OK;
}

/* ---- one schema ---- */

static sp_status check_groups(struct check *c, const struct sch *schema, uint32_t at,
                              const struct marks *marks) {
    const struct sp_tape_node *node = &c->nodes[at];
    if (schema->kinds != KIND_ALL && !fits_kinds(schema, node)) {
        return refuse_kind(c, schema, at);
    }
    sp_status status = SP_OK;
    if ((schema->constant | schema->enumeration) != 0) {
        status = check_values(c, schema, at);
    }
    bool is_text = node->type == SP_JSON_STRING || node->type == SP_JSON_KEY;
    if (status == SP_OK && schema->string != NULL && is_text) {
        status = check_string(c, schema, at);
    }
    if (status == SP_OK && schema->number != NULL && node->type == SP_JSON_NUMBER) {
        status = check_number(c, schema, at);
    }
    if (status == SP_OK && schema->object != NULL && node->type == SP_JSON_OBJECT) {
        status = check_object(c, schema, at, marks);
    }
    if (status == SP_OK && schema->array != NULL && node->type == SP_JSON_ARRAY) {
        status = check_array(c, schema, at, marks);
    }
    if (status == SP_OK && schema->format.ptr != NULL && is_text &&
        !sch_format_holds(schema->format, sp_tape_str(node))) {
        return refuse(c, schema, "format", at, "expected text of the format ", schema->format, "");
    }
    if (status == SP_OK && schema->logic != NULL) {
        status = check_logic(c, schema, at, marks);
    }
    return status;
}

/* A schema with unevaluated… looks at what its own parts have marked, and hands that on. */
static sp_status check_marked(struct check *c, const struct sch *schema, uint32_t at,
                              const struct marks *marks) {
    size_t used = c->bits_used;
    struct marks own;
    if (!marks_begin(c, c->nodes[at].count, &own)) {
        return stop(c, SP_NO_MEMORY, "out of memory");
    }
    sp_status status = check_groups(c, schema, at, &own);
    status = status == SP_OK ? check_unevaluated(c, schema, at, &own) : status;
    for (size_t i = 0; marks != NULL && status == SP_OK && i < own.words; i++) {
        c->scratch->bits[marks->from + i] |= c->scratch->bits[own.from + i];
    }
    c->bits_used = used;
    return status;
}

static bool needs_marks(const struct sch *schema, const struct sp_tape_node *node) {
    return (schema->unevaluated_properties != NULL && node->type == SP_JSON_OBJECT) ||
           (schema->unevaluated_items != NULL && node->type == SP_JSON_ARRAY);
}

static sp_status check_schema(struct check *c, const struct sch *schema, uint32_t at,
                              const struct marks *marks) {
    if (schema->is_boolean) {
        return schema->accepts ? SP_OK
                               : refuse(c, schema, NULL, at, "nothing may be here", SP_STR(""), "");
    }
    if (++c->steps > SP_SCHEMA_STEPS_MAX) {
        return stop(c, SP_LIMIT, "checking this by the schema takes too many steps");
    }
    if (c->level == SP_SCHEMA_LEVELS_MAX) {
        return stop(c, SP_LIMIT, "checking this by the schema goes too deep");
    }
    const struct scope *outer = c->scope;
    struct scope scope = {.resource = schema->resource, .outer = outer};
    if (outer == NULL || outer->resource != schema->resource) {
        c->scope = &scope;
    }
    c->level++;
    sp_status status = needs_marks(schema, &c->nodes[at]) ? check_marked(c, schema, at, marks)
                                                          : check_groups(c, schema, at, marks);
    c->level--;
    c->scope = outer;
    return status;
}

/* ---- from outside ---- */

struct sp_schema_scratch *sp_schema_scratch_new(void) {
    struct sp_schema_scratch *scratch = calloc(1, sizeof(*scratch));
    if (scratch != NULL) {
        sp_tape_init(&scratch->tape);
    }
    return scratch;
}

void sp_schema_scratch_free(struct sp_schema_scratch *scratch) {
    if (scratch != NULL) {
        sp_tape_fini(&scratch->tape);
        free(scratch->bits);
        free(scratch);
    }
}

static sp_status check_text(const struct sch *schema, struct sp_schema_scratch *scratch,
                            sp_str json, struct sp_schema_fault *fault) {
    struct sp_error error;
    sp_status status = sp_tape_read(&scratch->tape, json, fault != NULL ? &error : NULL);
    if (status != SP_OK) {
        if (fault != NULL) {
            fault->pointer[0] = '\0';
            fault->rule[0] = '\0';
            fault->offset = error.offset;
            memcpy(fault->text, error.text, sizeof(fault->text));
        }
        return status;
    }
    struct check c = {
        .scratch = scratch, .tape = &scratch->tape, .nodes = scratch->tape.nodes, .fault = fault};
    status = check_schema(&c, schema, 0, NULL);
    if (status != SP_OK && fault != NULL) {
        complete_fault(&c, status);
    }
    return status;
}

SP_HOT sp_status sch_check(const struct sch *schema, struct sp_schema_scratch *scratch, sp_str json,
                           struct sp_schema_fault *fault) {
    struct sp_schema_scratch *own = scratch == NULL ? sp_schema_scratch_new() : NULL;
    struct sp_schema_scratch *used = scratch != NULL ? scratch : own;
    if (used == NULL) {
        return SP_NO_MEMORY;
    }
    sp_status status = check_text(schema, used, json, fault);
    if (used->tape.capacity > TAPE_KEPT) {
        sp_tape_fini(&used->tape);
        sp_tape_init(&used->tape);
    }
    sp_schema_scratch_free(own);
    return status;
}

sp_status sp_schema_check(const struct sp_schema *schema, struct sp_schema_scratch *scratch,
                          sp_str json, struct sp_schema_fault *fault) {
    return sch_check(schema->root, scratch, json, fault);
}
