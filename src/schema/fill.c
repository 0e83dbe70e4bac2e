/*
 * From the members of a subschema to its compiled form. Every keyword has the value that the draft
 * allows, or the schema is refused with the place: a mistake that were passed over would let bad
 * events in unnoticed.
 */
#include "base/hash.h"
#include "schema/schema_int.h"

enum { PROPERTIES_MAX = 1 << 16 };

/* The subschema being filled in, and the keyword whose turn it is. */
struct fill {
    struct sch_compile *c;
    struct sch *schema;
    struct sch_document *document;
    const struct sp_tape_node *nodes;
    enum sch_keyword keyword;
    uint32_t at; /* of the keyword's value */
};

static sp_status fail(struct fill *f, const char *problem) {
    return sch_fail(f->c, f->document, f->at, SP_INVALID, problem);
}

static sp_status expect(struct fill *f, enum sp_json_type type, const char *problem) {
    return f->nodes[f->at].type == type ? SP_OK : fail(f, problem);
}

static struct sch *schema_at(struct fill *f, uint32_t at) {
    sp_ensure(f->document->schemas[at] != NULL);
    return f->document->schemas[at];
}

/* ---- groups, made when the first keyword of theirs comes ---- */

static struct sch_number *number_of(struct fill *f) {
    if (f->schema->number == NULL) {
        f->schema->number = sch_take(f->c, sizeof(*f->schema->number));
    }
    return f->schema->number;
}

static struct sch_string *string_of(struct fill *f) {
    if (f->schema->string == NULL) {
        f->schema->string = sch_take(f->c, sizeof(*f->schema->string));
        if (f->schema->string != NULL) {
            f->schema->string->max = UINT64_MAX;
        }
    }
    return f->schema->string;
}

static struct sch_array *array_of(struct fill *f) {
    if (f->schema->array == NULL) {
        f->schema->array = sch_take(f->c, sizeof(*f->schema->array));
        if (f->schema->array != NULL) {
            f->schema->array->max = UINT64_MAX;
            f->schema->array->contains_min = 1;
            f->schema->array->contains_max = UINT64_MAX;
        }
    }
    return f->schema->array;
}

static struct sch_object *object_of(struct fill *f) {
    if (f->schema->object == NULL) {
        f->schema->object = sch_take(f->c, sizeof(*f->schema->object));
        if (f->schema->object != NULL) {
            f->schema->object->max = UINT64_MAX;
        }
    }
    return f->schema->object;
}

static struct sch_logic *logic_of(struct fill *f) {
    if (f->schema->logic == NULL) {
        f->schema->logic = sch_take(f->c, sizeof(*f->schema->logic));
    }
    return f->schema->logic;
}

/* ---- values of keywords ---- */

static sp_status fill_kinds(struct fill *f, uint32_t at, uint8_t *kinds) {
    static const struct {
        const char *name;
        uint8_t kinds;
    } NAMES[] = {
        {"null", KIND_NULL},
        {"boolean", KIND_BOOLEAN},
        {"integer", KIND_INTEGER},
        {"string", KIND_STRING},
        {"array", KIND_ARRAY},
        {"object", KIND_OBJECT},
        {"number", KIND_NUMBER | KIND_INTEGER},
    };
    const struct sp_tape_node *node = &f->nodes[at];
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (node->type == SP_JSON_STRING &&
            sp_str_eq(sp_tape_str(node), sp_str_from(NAMES[i].name))) {
            *kinds |= NAMES[i].kinds;
            return SP_OK;
        }
    }
    return sch_fail(f->c, f->document, at, SP_INVALID,
                    "expected null, boolean, object, array, number, integer or string, or an array "
                    "of these");
}

static sp_status fill_type(struct fill *f) {
    uint8_t kinds = 0;
    const struct sp_tape_node *node = &f->nodes[f->at];
    sp_status status = SP_OK;
    if (node->type != SP_JSON_ARRAY || node->count == 0) {
        status = fill_kinds(f, f->at, &kinds);
    } else {
        for (uint32_t at = f->at + 1; at < node->next && status == SP_OK; at++) {
            status = fill_kinds(f, at, &kinds);
        }
    }
    f->schema->kinds = kinds;
    return status;
}

/* A bound of a number, kept as it is written. */
static sp_status fill_number(struct fill *f, sp_str *to) {
    sp_status status = expect(f, SP_JSON_NUMBER, "expected a number");
    if (status == SP_OK) {
        *to = sp_tape_str(&f->nodes[f->at]);
    }
    return status;
}

static sp_status fill_multiple(struct fill *f, sp_str *to) {
    sp_status status = fill_number(f, to);
    if (status == SP_OK && sp_json_compare_exact(*to, SP_STR("0")) <= 0) {
        return fail(f, "expected a number above 0");
    }
    if (status == SP_OK && !sp_json_is_divisor(*to)) {
        return sch_fail(f->c, f->document, f->at, SP_LIMIT,
                        "expected at most 18 significant digits");
    }
    return status;
}

/* A number of things. What is beyond 2^53 is no bound that anything could reach. */
static sp_status fill_count(struct fill *f, uint64_t *to) {
    const struct sp_tape_node *node = &f->nodes[f->at];
    if (node->type != SP_JSON_NUMBER || !sp_json_is_integral(sp_tape_str(node)) ||
        sp_json_compare_exact(sp_tape_str(node), SP_STR("0")) < 0) {
        return fail(f, "expected a whole number, 0 or more");
    }
    double value = sp_json_number(sp_tape_str(node));
    *to = value < 9007199254740992.0 ? (uint64_t)value : UINT64_C(1) << 53;
    return SP_OK;
}

static sp_status fill_boolean(struct fill *f, bool *to) {
    enum sp_json_type type = f->nodes[f->at].type;
    *to = type == SP_JSON_TRUE;
    return type == SP_JSON_TRUE || type == SP_JSON_FALSE ? SP_OK
                                                         : fail(f, "expected true or false");
}

static sp_status compile_regex(struct fill *f, uint32_t at, struct sp_regex **ret_regex) {
    struct sch_regex *kept = sch_take(f->c, sizeof(*kept));
    if (kept == NULL) {
        return sch_full(f->c);
    }
    struct sp_error error;
    sp_status status =
        sp_regex_compile_as(sp_tape_str(&f->nodes[at]), SP_REGEX_ECMA, &kept->regex, &error);
    if (status == SP_NO_MEMORY) {
        return sch_full(f->c);
    }
    if (status != SP_OK) {
        return sch_fail(f->c, f->document, at, status, error.text);
    }
    kept->next = f->c->schema->regexes;
    f->c->schema->regexes = kept;
    *ret_regex = kept->regex;
    return SP_OK;
}

static sp_status fill_pattern(struct fill *f, struct sch_string *string) {
    sp_status status = expect(f, SP_JSON_STRING, "expected a regular expression, a string");
    string->pattern_text = sp_tape_str(&f->nodes[f->at]);
    return status == SP_OK ? compile_regex(f, f->at, &string->pattern) : status;
}

static sp_status fill_enum(struct fill *f) {
    sp_status status = expect(f, SP_JSON_ARRAY, "expected an array of values");
    f->schema->enumeration = f->at;
    return status;
}

static sp_status fill_list(struct fill *f, struct sch_list *list) {
    const struct sp_tape_node *node = &f->nodes[f->at];
    list->items = sch_take(f->c, node->count * sizeof(struct sch *));
    if (list->items == NULL) {
        return sch_full(f->c);
    }
    for (uint32_t at = f->at + 1; at < node->next; at = f->nodes[at].next) {
        list->items[list->count++] = schema_at(f, at);
    }
    sp_ensure(list->count == node->count);
    return SP_OK;
}

static sp_status fill_texts(struct fill *f, uint32_t array, struct sch_text_list *list) {
    const struct sp_tape_node *node = &f->nodes[array];
    if (node->type != SP_JSON_ARRAY) {
        return sch_fail(f->c, f->document, array, SP_INVALID, "expected an array of strings");
    }
    list->items = sch_take(f->c, (node->count + 1) * sizeof(sp_str));
    if (list->items == NULL) {
        return sch_full(f->c);
    }
    for (uint32_t at = array + 1; at < node->next; at = f->nodes[at].next) {
        if (f->nodes[at].type != SP_JSON_STRING) {
            return sch_fail(f->c, f->document, at, SP_INVALID, "expected a string");
        }
        list->items[list->count++] = sp_tape_str(&f->nodes[at]);
    }
    return SP_OK;
}

/* ---- objects ---- */

static uint32_t find_slot(const struct sch_object *object, sp_str name) {
    uint32_t slot = (uint32_t)sp_hash(name.ptr, name.len) & object->mask;
    while (object->slots[slot] != 0 &&
           !sp_str_eq(object->properties[object->slots[slot] - 1].name, name)) {
        slot = (slot + 1) & object->mask;
    }
    return slot;
}

/* The entry of a name, a new one where there is none. There is room. */
static struct sch_property *property_of(struct sch_object *object, sp_str name) {
    uint32_t slot = find_slot(object, name);
    if (object->slots[slot] == 0) {
        object->properties[object->property_count].name = name;
        object->slots[slot] = ++object->property_count;
    }
    return &object->properties[object->slots[slot] - 1];
}

/* The value of another keyword of the schema, if it has the right type and is in force. */
static uint32_t sibling(struct fill *f, enum sch_keyword keyword, enum sp_json_type type) {
    uint32_t at =
        sp_tape_member(&f->document->tape, f->schema->at, sp_str_from(sch_keywords[keyword].name));
    bool known = (sch_keywords[keyword].vocabulary & f->schema->resource->vocabulary) != 0;
    return known && at != UINT32_MAX && f->nodes[at].type == type ? at : 0;
}

/* Makes the table of `properties` and `required`, whichever of the two comes first. */
static sp_status fill_members(struct fill *f, struct sch_object *object) {
    if (object->slots != NULL) {
        return SP_OK;
    }
    uint32_t schemas = sibling(f, KW_PROPERTIES, SP_JSON_OBJECT);
    uint32_t required = sibling(f, KW_REQUIRED, SP_JSON_ARRAY);
    uint32_t count = (schemas != 0 ? f->nodes[schemas].count : 0) +
                     (required != 0 ? f->nodes[required].count : 0);
    if (count > PROPERTIES_MAX) {
        return sch_fail(f->c, f->document, f->at, SP_LIMIT, "more than 65536 names");
    }
    uint32_t slots = 4;
    while (slots < 2 * count + 2) {
        slots *= 2;
    }
    object->properties = sch_take(f->c, (count + 1) * sizeof(*object->properties));
    object->slots = sch_take(f->c, slots * sizeof(*object->slots));
    object->mask = slots - 1;
    if (object->properties == NULL || object->slots == NULL) {
        return sch_full(f->c);
    }
    uint32_t end = schemas != 0 ? f->nodes[schemas].next : 0;
    for (uint32_t key = schemas + 1; key < end; key = f->nodes[key].next) {
        property_of(object, sp_tape_str(&f->nodes[key]))->schema = schema_at(f, key + 1);
    }
    end = required != 0 ? f->nodes[required].next : 0;
    for (uint32_t at = required + 1; at < end; at = f->nodes[at].next) {
        if (f->nodes[at].type != SP_JSON_STRING) {
            return sch_fail(f->c, f->document, at, SP_INVALID, "expected a string");
        }
        struct sch_property *property = property_of(object, sp_tape_str(&f->nodes[at]));
        property->required =
            property->required != 0 ? property->required : ++object->required_count;
    }
    return SP_OK;
}

static sp_status fill_required(struct fill *f, struct sch_object *object) {
    sp_status status = expect(f, SP_JSON_ARRAY, "expected an array of names");
    return status == SP_OK ? fill_members(f, object) : status;
}

static sp_status fill_patterns(struct fill *f, struct sch_object *object) {
    const struct sp_tape_node *node = &f->nodes[f->at];
    object->patterns = sch_take(f->c, (node->count + 1) * sizeof(*object->patterns));
    if (object->patterns == NULL) {
        return sch_full(f->c);
    }
    for (uint32_t key = f->at + 1; key < node->next; key = f->nodes[key].next) {
        struct sch_pattern *pattern = &object->patterns[object->pattern_count];
        sp_status status = compile_regex(f, key, &pattern->regex);
        if (status != SP_OK) {
            return status;
        }
        pattern->schema = schema_at(f, key + 1);
        object->pattern_count++;
    }
    return SP_OK;
}

/* Adds the members of dependentRequired, dependentSchemas or dependencies. */
static sp_status fill_dependents(struct fill *f, struct sch_object *object) {
    const struct sp_tape_node *node = &f->nodes[f->at];
    sp_status status = expect(f, SP_JSON_OBJECT, "expected an object of arrays of names");
    uint32_t end = status == SP_OK ? node->next : 0;
    for (uint32_t key = f->at + 1; key < end && status == SP_OK; key = f->nodes[key].next) {
        struct sch_dependent *grown =
            sp_pool_grow(&f->c->schema->pool, object->dependents, object->dependent_count,
                         sizeof(*object->dependents));
        if (grown == NULL) {
            return sch_full(f->c);
        }
        object->dependents = grown;
        struct sch_dependent *dependent = &object->dependents[object->dependent_count++];
        *dependent = (struct sch_dependent){.name = sp_tape_str(&f->nodes[key]),
                                            .keyword = sch_keywords[f->keyword].name};
        bool list = f->keyword == KW_DEPENDENT_REQUIRED ||
                    (f->keyword == KW_DEPENDENCIES && f->nodes[key + 1].type == SP_JSON_ARRAY);
        if (list) {
            status = fill_texts(f, key + 1, &dependent->required);
        } else {
            dependent->schema = schema_at(f, key + 1);
        }
    }
    return status;
}

/* ---- references ---- */

static sp_status fill_reference(struct fill *f, struct sch_logic *logic, bool dynamic) {
    struct sch_anchor *anchor = NULL;
    struct sch *target = NULL;
    sp_status status = expect(f, SP_JSON_STRING, "expected a URI reference, a string");
    status = status == SP_OK ? sch_reference(f->c, f->schema, f->at, &target, &anchor) : status;
    if (status != SP_OK) {
        return status;
    }
    if (!dynamic) {
        logic->ref = target;
        return SP_OK;
    }
    logic->dynamic_ref = target;
    if (anchor != NULL && anchor->dynamic) {
        logic->dynamic_name = anchor->name;
    }
    return SP_OK;
}

/* ---- one keyword ---- */

static sp_status fill_number_keyword(struct fill *f) {
    struct sch_number *number = number_of(f);
    if (number == NULL) {
        return sch_full(f->c);
    }
    switch ((int)f->keyword) {
    case KW_MINIMUM:
        return fill_number(f, &number->minimum);
    case KW_MAXIMUM:
        return fill_number(f, &number->maximum);
    case KW_EXCLUSIVE_MINIMUM:
        return fill_number(f, &number->above);
    case KW_EXCLUSIVE_MAXIMUM:
        return fill_number(f, &number->below);
    case KW_MULTIPLE_OF:
        return fill_multiple(f, &number->multiple);
    default:
        sp_never();
    }
}

static sp_status fill_string_keyword(struct fill *f) {
    struct sch_string *string = string_of(f);
    if (string == NULL) {
        return sch_full(f->c);
    }
    switch ((int)f->keyword) {
    case KW_MIN_LENGTH:
        return fill_count(f, &string->min);
    case KW_MAX_LENGTH:
        return fill_count(f, &string->max);
    case KW_PATTERN:
        return fill_pattern(f, string);
    default:
        sp_never();
    }
}

static sp_status fill_array_keyword(struct fill *f) {
    struct sch_array *array = array_of(f);
    if (array == NULL) {
        return sch_full(f->c);
    }
    switch ((int)f->keyword) {
    case KW_MIN_ITEMS:
        return fill_count(f, &array->min);
    case KW_MAX_ITEMS:
        return fill_count(f, &array->max);
    case KW_UNIQUE_ITEMS:
        return fill_boolean(f, &array->unique);
    case KW_PREFIX_ITEMS:
        return fill_list(f, &array->prefix);
    case KW_ITEMS:
        array->items = schema_at(f, f->at);
        return SP_OK;
    case KW_CONTAINS:
        array->contains = schema_at(f, f->at);
        return SP_OK;
    case KW_MIN_CONTAINS:
        return fill_count(f, &array->contains_min);
    case KW_MAX_CONTAINS:
        return fill_count(f, &array->contains_max);
    default:
        sp_never();
    }
}

static sp_status fill_object_keyword(struct fill *f) {
    struct sch_object *object = object_of(f);
    if (object == NULL) {
        return sch_full(f->c);
    }
    switch ((int)f->keyword) {
    case KW_MIN_PROPERTIES:
        return fill_count(f, &object->min);
    case KW_MAX_PROPERTIES:
        return fill_count(f, &object->max);
    case KW_PROPERTIES:
        return fill_members(f, object);
    case KW_REQUIRED:
        return fill_required(f, object);
    case KW_PATTERN_PROPERTIES:
        return fill_patterns(f, object);
    case KW_ADDITIONAL_PROPERTIES:
        object->additional = schema_at(f, f->at);
        return SP_OK;
    case KW_PROPERTY_NAMES:
        object->names = schema_at(f, f->at);
        return SP_OK;
    case KW_DEPENDENT_REQUIRED:
    case KW_DEPENDENT_SCHEMAS:
    case KW_DEPENDENCIES:
        return fill_dependents(f, object);
    default:
        sp_never();
    }
}

static sp_status fill_logic_keyword(struct fill *f) {
    struct sch_logic *logic = logic_of(f);
    if (logic == NULL) {
        return sch_full(f->c);
    }
    switch ((int)f->keyword) {
    case KW_REF:
        return fill_reference(f, logic, false);
    case KW_DYNAMIC_REF:
        return fill_reference(f, logic, true);
    case KW_ALL_OF:
        return fill_list(f, &logic->all_of);
    case KW_ANY_OF:
        return fill_list(f, &logic->any_of);
    case KW_ONE_OF:
        return fill_list(f, &logic->one_of);
    case KW_NOT:
        logic->not_this = schema_at(f, f->at);
        return SP_OK;
    case KW_IF:
        logic->if_this = schema_at(f, f->at);
        return SP_OK;
    case KW_THEN:
        logic->then_this = schema_at(f, f->at);
        return SP_OK;
    case KW_ELSE:
        logic->else_this = schema_at(f, f->at);
        return SP_OK;
    default:
        sp_never();
    }
}

static sp_status fill_format(struct fill *f) {
    sp_status status = expect(f, SP_JSON_STRING, "expected the name of a format, a string");
    if (f->c->options->asserts_formats ||
        (f->schema->resource->vocabulary & VOCABULARY_FORMAT) != 0) {
        f->schema->format = sp_tape_str(&f->nodes[f->at]);
    }
    return status;
}

/* Keywords of a group have one function, others are few. */
static sp_status fill_keyword(struct fill *f) {
    enum sch_keyword k = f->keyword;
    if (k >= KW_MULTIPLE_OF && k <= KW_EXCLUSIVE_MINIMUM) {
        return fill_number_keyword(f);
    }
    if (k >= KW_MAX_LENGTH && k <= KW_PATTERN) {
        return fill_string_keyword(f);
    }
    if ((k >= KW_PREFIX_ITEMS && k <= KW_CONTAINS) || (k >= KW_MAX_ITEMS && k <= KW_MIN_CONTAINS)) {
        return fill_array_keyword(f);
    }
    if ((k >= KW_ADDITIONAL_PROPERTIES && k <= KW_PROPERTY_NAMES) ||
        (k >= KW_MAX_PROPERTIES && k <= KW_DEPENDENT_REQUIRED)) {
        return fill_object_keyword(f);
    }
    if ((k >= KW_IF && k <= KW_NOT) || k == KW_REF || k == KW_DYNAMIC_REF) {
        return fill_logic_keyword(f);
    }
    switch ((int)k) {
    case KW_TYPE:
        return fill_type(f);
    case KW_ENUM:
        return fill_enum(f);
    case KW_CONST:
        f->schema->constant = f->at;
        return SP_OK;
    case KW_UNEVALUATED_ITEMS:
        f->schema->unevaluated_items = schema_at(f, f->at);
        return SP_OK;
    case KW_UNEVALUATED_PROPERTIES:
        f->schema->unevaluated_properties = schema_at(f, f->at);
        return SP_OK;
    case KW_FORMAT:
        return fill_format(f);
    default:
        return SP_OK;
    }
}

sp_status sch_fill(struct sch_compile *c, struct sch *schema) {
    struct fill f = {.c = c,
                     .schema = schema,
                     .document = schema->resource->document,
                     .nodes = schema->resource->document->tape.nodes};
    sp_status status = SP_OK;
    uint32_t end = schema->is_boolean ? 0 : f.nodes[schema->at].next;
    for (uint32_t key = schema->at + 1; key < end && status == SP_OK; key = f.nodes[key].next) {
        f.keyword = sch_keyword_of(sp_tape_str(&f.nodes[key]));
        f.at = key + 1;
        if ((sch_keywords[f.keyword].vocabulary & schema->resource->vocabulary) != 0) {
            status = fill_keyword(&f);
        }
    }
    return status;
}
