/*
 * A schema is a conjunction: of its own keywords, of what it refers to and of allOf. So the narrow
 * one is flattened into parts, and each keyword of each part of the wide one has to follow from
 * some part of the narrow one. Members, items and what else lies deeper are compared in the same
 * way. Schemas may refer to themselves: a question that is being asked already is answered yes, as
 * a difference would be found on the way.
 */
#include "schema/compatible.h"

#include "schema/schema_int.h"

enum {
    PARTS_MAX = 24,
    DEPTH_MAX = 96,
    STEPS_MAX = 200000,
};

/* Schemas that hold all together. None at all accept anything. */
struct parts {
    const struct sch *items[PARTS_MAX];
    uint32_t count;
    bool too_many;
    bool nothing; /* one of them is false: they accept nothing */
};

/* A question that is being asked. */
struct question {
    const struct question *outer;
    const struct sch *wide;
    const struct parts *narrow;
};

struct compare {
    struct sp_schema_scratch *scratch;
    const struct question *asked;
    uint32_t depth;
    uint32_t steps;
    struct sp_error *error;
};

static sp_status covers(struct compare *c, const struct sch *wide, const struct parts *narrow);

/* ---- saying no ---- */

static sp_status refuse(struct compare *c, const struct sch *wide, const char *keyword,
                        const char *before, sp_str detail, const char *after) {
    struct sp_buf pointer;
    sp_buf_init(&pointer, SP_SCHEMA_BYTES_MAX);
    sp_tape_pointer(&wide->resource->document->tape, wide->at, &pointer);
    if (keyword != NULL) {
        sp_pointer_add(&pointer, sp_str_from(keyword));
    }
    sp_str where = pointer.len > 0 ? sp_buf_str(&pointer) : SP_STR("the top");
    sp_status status = sp_error_set(c->error, SP_CONFLICT, "at %.*s: %s%.*s%s", SP_STR_ARG(where),
                                    before, SP_STR_ARG(detail), after);
    sp_buf_fini(&pointer);
    return status;
}

static sp_status narrower(struct compare *c, const struct sch *wide, const char *keyword) {
    return refuse(c, wide, keyword, "narrower than in the other version", SP_STR(""), "");
}

static sp_status unknown(struct compare *c, const struct sch *wide, const char *keyword) {
    return refuse(c, wide, keyword, "that this is compatible cannot be shown", SP_STR(""), "");
}

/* ---- parts ---- */

/* Adds a schema with all that it refers to and all of allOf. */
static void add_part(struct parts *parts, const struct sch *schema) {
    uint32_t next = parts->count;
    for (uint32_t i = 0; i < parts->count; i++) {
        if (parts->items[i] == schema) {
            return;
        }
    }
    if (parts->count == PARTS_MAX) {
        parts->too_many = true;
        return;
    }
    parts->items[parts->count++] = schema;
    for (; next < parts->count; next++) {
        const struct sch *part = parts->items[next];
        parts->nothing |= part->is_boolean && !part->accepts;
        if (part->logic == NULL) {
            continue;
        }
        uint32_t wanted = part->logic->all_of.count + (part->logic->ref != NULL);
        for (uint32_t i = 0; i < wanted; i++) {
            const struct sch *more =
                i < part->logic->all_of.count ? part->logic->all_of.items[i] : part->logic->ref;
            bool known = false;
            for (uint32_t k = 0; k < parts->count; k++) {
                known |= parts->items[k] == more;
            }
            if (!known && parts->count == PARTS_MAX) {
                parts->too_many = true;
            } else if (!known) {
                parts->items[parts->count++] = more;
            }
        }
    }
}

static bool same_parts(const struct parts *a, const struct parts *b) {
    return a->count == b->count && memcmp(a->items, b->items, a->count * sizeof(struct sch *)) == 0;
}

/* The kinds of values that the parts accept. */
static uint8_t kinds_of(const struct parts *parts) {
    uint8_t kinds = KIND_ALL;
    for (uint32_t i = 0; i < parts->count; i++) {
        kinds &= parts->items[i]->kinds;
    }
    return kinds;
}

/* ---- keywords that are the same ---- */

static uint32_t keyword_at(const struct sch *schema, const char *keyword) {
    return schema->is_boolean ? UINT32_MAX
                              : sp_tape_member(&schema->resource->document->tape, schema->at,
                                               sp_str_from(keyword));
}

/* Whether a value of the schema has references in it, whose meaning is not in the text. */
static bool has_references(const struct sch *schema, uint32_t at) {
    const struct sp_tape_node *nodes = schema->resource->document->tape.nodes;
    for (uint32_t i = at; i < nodes[at].next; i++) {
        sp_str name = sp_tape_str(&nodes[i]);
        if (nodes[i].type == SP_JSON_KEY &&
            (sp_str_eq(name, SP_STR("$ref")) || sp_str_eq(name, SP_STR("$dynamicRef")))) {
            return true;
        }
    }
    return false;
}

/* A keyword that no rule knows: fine where a part of the narrow one has it with the same value. */
static sp_status same_keyword(struct compare *c, const struct sch *wide, const struct parts *narrow,
                              const char *keyword) {
    uint32_t own = keyword_at(wide, keyword);
    if (own == UINT32_MAX) {
        return SP_OK;
    }
    for (uint32_t i = 0; i < narrow->count && !has_references(wide, own); i++) {
        uint32_t other = keyword_at(narrow->items[i], keyword);
        if (other != UINT32_MAX &&
            sp_tape_equal(&wide->resource->document->tape, own,
                          &narrow->items[i]->resource->document->tape, other)) {
            return SP_OK;
        }
    }
    return unknown(c, wide, keyword);
}

/* ---- scalars ---- */

static sp_status covers_number(struct compare *c, const struct sch *wide,
                               const struct parts *narrow) {
    const struct sch_number *w = wide->number;
    bool low = w->minimum.ptr == NULL;
    bool high = w->maximum.ptr == NULL;
    bool above = w->above.ptr == NULL;
    bool below = w->below.ptr == NULL;
    bool multiple = w->multiple.ptr == NULL;
    bool whole = (kinds_of(narrow) & KIND_NUMBER) == 0;
    multiple = multiple || (whole && sp_json_is_multiple(SP_STR("1"), w->multiple));
    for (uint32_t i = 0; i < narrow->count; i++) {
        const struct sch_number *n = narrow->items[i]->number;
        if (n == NULL) {
            continue;
        }
        low = low || (n->minimum.ptr != NULL && sp_json_compare_exact(n->minimum, w->minimum) >= 0);
        low = low || (n->above.ptr != NULL && sp_json_compare_exact(n->above, w->minimum) >= 0);
        high =
            high || (n->maximum.ptr != NULL && sp_json_compare_exact(n->maximum, w->maximum) <= 0);
        high = high || (n->below.ptr != NULL && sp_json_compare_exact(n->below, w->maximum) <= 0);
        above =
            above || (n->minimum.ptr != NULL && sp_json_compare_exact(n->minimum, w->above) > 0);
        above = above || (n->above.ptr != NULL && sp_json_compare_exact(n->above, w->above) >= 0);
        below =
            below || (n->maximum.ptr != NULL && sp_json_compare_exact(n->maximum, w->below) < 0);
        below = below || (n->below.ptr != NULL && sp_json_compare_exact(n->below, w->below) <= 0);
        multiple =
            multiple || (n->multiple.ptr != NULL && sp_json_is_multiple(n->multiple, w->multiple));
    }
    return !low        ? narrower(c, wide, "minimum")
           : !high     ? narrower(c, wide, "maximum")
           : !above    ? narrower(c, wide, "exclusiveMinimum")
           : !below    ? narrower(c, wide, "exclusiveMaximum")
           : !multiple ? narrower(c, wide, "multipleOf")
                       : SP_OK;
}

static sp_status covers_string(struct compare *c, const struct sch *wide,
                               const struct parts *narrow) {
    const struct sch_string *w = wide->string;
    bool min = w->min == 0;
    bool max = w->max == UINT64_MAX;
    bool pattern = w->pattern == NULL;
    for (uint32_t i = 0; i < narrow->count; i++) {
        const struct sch_string *n = narrow->items[i]->string;
        if (n != NULL) {
            min = min || n->min >= w->min;
            max = max || n->max <= w->max;
            pattern =
                pattern || (n->pattern != NULL && sp_str_eq(n->pattern_text, w->pattern_text));
        }
    }
    return !min       ? narrower(c, wide, "minLength")
           : !max     ? narrower(c, wide, "maxLength")
           : !pattern ? unknown(c, wide, "pattern")
                      : SP_OK;
}

/* Every value of the narrow one's list that it accepts itself is tried. */
static sp_status covers_values(struct compare *c, const struct sch *wide,
                               const struct parts *narrow, const struct sch *with_values) {
    const struct sp_tape_node *nodes = with_values->resource->document->tape.nodes;
    uint32_t list = with_values->enumeration;
    uint32_t at = list != 0 ? list + 1 : with_values->constant;
    uint32_t end = list != 0 ? nodes[list].next : nodes[at].next;
    for (; at < end; at = nodes[at].next) {
        sp_str value = sch_written(with_values, at);
        bool accepted = true;
        for (uint32_t i = 0; i < narrow->count && accepted; i++) {
            accepted = sch_check(narrow->items[i], c->scratch, value, NULL) == SP_OK;
        }
        if (accepted && sch_check(wide, c->scratch, value, NULL) != SP_OK) {
            return refuse(c, wide, NULL, "does not accept ", value,
                          ", which the other version accepts");
        }
    }
    return SP_OK;
}

/* ---- arrays ---- */

/* What the narrow one says of the element at `index`; UINT32_MAX: of those behind all others. */
static void item_parts(const struct parts *narrow, uint32_t index, struct parts *ret) {
    *ret = (struct parts){.count = 0};
    for (uint32_t i = 0; i < narrow->count; i++) {
        const struct sch_array *n = narrow->items[i]->array;
        if (n != NULL && index < n->prefix.count) {
            add_part(ret, n->prefix.items[index]);
        } else if (n != NULL && n->items != NULL) {
            add_part(ret, n->items);
        }
    }
}

static sp_status covers_items(struct compare *c, const struct sch_array *w,
                              const struct parts *narrow) {
    uint32_t last = w->prefix.count;
    for (uint32_t i = 0; i < narrow->count; i++) {
        const struct sch_array *n = narrow->items[i]->array;
        last = n != NULL && n->prefix.count > last ? n->prefix.count : last;
    }
    sp_status status = SP_OK;
    for (uint32_t i = 0; i <= last && status == SP_OK; i++) {
        const struct sch *by = i < w->prefix.count ? w->prefix.items[i] : w->items;
        struct parts item;
        item_parts(narrow, i, &item);
        status = by != NULL ? covers(c, by, &item) : SP_OK;
    }
    return status;
}

static sp_status covers_array(struct compare *c, const struct sch *wide,
                              const struct parts *narrow) {
    const struct sch_array *w = wide->array;
    bool min = w->min == 0;
    bool max = w->max == UINT64_MAX;
    bool unique = !w->unique;
    for (uint32_t i = 0; i < narrow->count; i++) {
        const struct sch_array *n = narrow->items[i]->array;
        if (n != NULL) {
            min = min || n->min >= w->min;
            max = max || n->max <= w->max;
            unique = unique || n->unique || n->max <= 1;
        }
    }
    if (!min || !max || !unique) {
        return narrower(c, wide, !min ? "minItems" : !max ? "maxItems" : "uniqueItems");
    }
    static const char *const OTHERS[] = {"contains", "minContains", "maxContains"};
    sp_status status = covers_items(c, w, narrow);
    for (int i = 0; i < 3 && status == SP_OK && w->contains != NULL; i++) {
        status = same_keyword(c, wide, narrow, OTHERS[i]);
    }
    return status;
}

/* ---- objects ---- */

static const struct sch_property *find_property(const struct sch_object *object, sp_str name) {
    for (uint32_t i = 0; object != NULL && i < object->property_count; i++) {
        if (sp_str_eq(object->properties[i].name, name)) {
            return &object->properties[i];
        }
    }
    return NULL;
}

/*
 * What the narrow one says of a member. *ret_named is false where it does not name it: then, by the
 * custom of schemas, nobody wrote one.
 */
static void member_parts(const struct parts *narrow, sp_str name, struct parts *ret,
                         bool *ret_named) {
    *ret = (struct parts){.count = 0};
    *ret_named = false;
    for (uint32_t i = 0; i < narrow->count; i++) {
        const struct sch_object *n = narrow->items[i]->object;
        const struct sch_property *property = find_property(n, name);
        bool known = property != NULL && property->schema != NULL;
        if (known) {
            add_part(ret, property->schema);
            *ret_named = true;
        }
        for (uint32_t k = 0; n != NULL && k < n->pattern_count; k++) {
            if (sp_regex_search(n->patterns[k].regex, name, false)) {
                add_part(ret, n->patterns[k].schema);
                known = true;
                *ret_named = true;
            }
        }
        if (!known && n != NULL && n->additional != NULL) {
            add_part(ret, n->additional);
            *ret_named = true;
        }
    }
}

static bool is_required(const struct parts *narrow, sp_str name) {
    for (uint32_t i = 0; i < narrow->count; i++) {
        const struct sch_property *property = find_property(narrow->items[i]->object, name);
        if (property != NULL && property->required != 0) {
            return true;
        }
    }
    return false;
}

static sp_status covers_properties(struct compare *c, const struct sch *wide,
                                   const struct parts *narrow) {
    const struct sch_object *w = wide->object;
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < w->property_count && status == SP_OK; i++) {
        const struct sch_property *property = &w->properties[i];
        struct parts member;
        bool named = false;
        member_parts(narrow, property->name, &member, &named);
        if (property->required != 0 && !is_required(narrow, property->name)) {
            return refuse(c, wide, "required", "\"", property->name,
                          "\" is required here and not in the other version");
        }
        if (property->schema != NULL && (named || is_required(narrow, property->name))) {
            status = covers(c, property->schema, &member);
        }
    }
    return status;
}

/* The members that the narrow one names and the wide one does not, by its additionalProperties. */
static sp_status covers_additional(struct compare *c, const struct sch *wide,
                                   const struct parts *narrow) {
    const struct sch_object *w = wide->object;
    bool closed = false;
    struct parts rest = {.count = 0};
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < narrow->count && status == SP_OK; i++) {
        const struct sch_object *n = narrow->items[i]->object;
        for (uint32_t k = 0; n != NULL && k < n->property_count && status == SP_OK; k++) {
            const struct sch_property *own = find_property(w, n->properties[k].name);
            bool known = own != NULL && own->schema != NULL;
            for (uint32_t p = 0; p < w->pattern_count && !known; p++) {
                known = sp_regex_search(w->patterns[p].regex, n->properties[k].name, false);
            }
            struct parts member;
            bool named = false;
            member_parts(narrow, n->properties[k].name, &member, &named);
            if (!known && !member.nothing && w->additional->is_boolean && !w->additional->accepts) {
                return refuse(c, wide, "additionalProperties", "\"", n->properties[k].name,
                              "\" may be in the other version and not here");
            }
            status = known ? SP_OK : covers(c, w->additional, &member);
        }
        if (n != NULL && n->additional != NULL) {
            add_part(&rest, n->additional);
            closed = true;
        }
    }
    if (status != SP_OK || rest.nothing) {
        return status;
    }
    if (!closed && w->additional->is_boolean && !w->additional->accepts) {
        return refuse(c, wide, "additionalProperties",
                      "other members may be in the other version and not here", SP_STR(""), "");
    }
    return closed ? covers(c, w->additional, &rest) : SP_OK;
}

static sp_status covers_patterns(struct compare *c, const struct sch *wide,
                                 const struct parts *narrow) {
    const struct sch_object *w = wide->object;
    return w->pattern_count > 0 ? same_keyword(c, wide, narrow, "patternProperties") : SP_OK;
}

static sp_status covers_object(struct compare *c, const struct sch *wide,
                               const struct parts *narrow) {
    static const char *const OTHERS[] = {"propertyNames", "dependentRequired", "dependentSchemas",
                                         "dependencies"};
    const struct sch_object *w = wide->object;
    bool min = w->min == 0;
    bool max = w->max == UINT64_MAX;
    for (uint32_t i = 0; i < narrow->count; i++) {
        const struct sch_object *n = narrow->items[i]->object;
        if (n != NULL) {
            min = min || n->min >= w->min || n->required_count >= w->min;
            max = max || n->max <= w->max;
        }
    }
    if (!min || !max) {
        return narrower(c, wide, !min ? "minProperties" : "maxProperties");
    }
    sp_status status = covers_properties(c, wide, narrow);
    status = status == SP_OK ? covers_patterns(c, wide, narrow) : status;
    if (status == SP_OK && w->additional != NULL) {
        status = covers_additional(c, wide, narrow);
    }
    for (int i = 0; i < 4 && status == SP_OK; i++) {
        status = same_keyword(c, wide, narrow, OTHERS[i]);
    }
    return status;
}

/* ---- schemas of schemas ---- */

/* One that accepts everything is enough. */
static sp_status covers_any_of(struct compare *c, const struct sch *wide,
                               const struct parts *narrow) {
    const struct sch_list *list = &wide->logic->any_of;
    for (uint32_t i = 0; i < list->count; i++) {
        sp_status status = covers(c, list->items[i], narrow);
        if (status != SP_CONFLICT) {
            return status;
        }
    }
    return same_keyword(c, wide, narrow, "anyOf");
}

static sp_status covers_logic(struct compare *c, const struct sch *wide,
                              const struct parts *narrow) {
    static const char *const OTHERS[] = {"$dynamicRef", "oneOf", "not", "if", "then", "else"};
    sp_status status = SP_OK;
    if (wide->logic->any_of.count > 0) {
        status = covers_any_of(c, wide, narrow);
    }
    for (int i = 0; i < 6 && status == SP_OK; i++) {
        bool idle = i >= 4 && wide->logic->if_this == NULL;
        status = idle ? SP_OK : same_keyword(c, wide, narrow, OTHERS[i]);
    }
    return status;
}

/* The keywords of one part of the wide schema, those of its allOf and reference left out. */
static sp_status covers_part(struct compare *c, const struct sch *wide,
                             const struct parts *narrow) {
    if (wide->is_boolean) {
        return wide->accepts ? SP_OK : refuse(c, wide, NULL, "nothing may be here", SP_STR(""), "");
    }
    uint8_t kinds = kinds_of(narrow);
    for (uint32_t i = 0; i < narrow->count; i++) {
        if ((narrow->items[i]->constant | narrow->items[i]->enumeration) != 0) {
            return covers_values(c, wide, narrow, narrow->items[i]);
        }
    }
    if ((kinds & ~wide->kinds) != 0) {
        return narrower(c, wide, "type");
    }
    if ((wide->constant | wide->enumeration) != 0) {
        return narrower(c, wide, wide->constant != 0 ? "const" : "enum");
    }
    sp_status status = SP_OK;
    if (wide->number != NULL && (kinds & (KIND_NUMBER | KIND_INTEGER)) != 0) {
        status = covers_number(c, wide, narrow);
    }
    if (status == SP_OK && wide->string != NULL && (kinds & KIND_STRING) != 0) {
        status = covers_string(c, wide, narrow);
    }
    if (status == SP_OK && wide->format.ptr != NULL && (kinds & KIND_STRING) != 0) {
        status = same_keyword(c, wide, narrow, "format");
    }
    if (status == SP_OK && wide->array != NULL && (kinds & KIND_ARRAY) != 0) {
        status = covers_array(c, wide, narrow);
    }
    if (status == SP_OK && wide->object != NULL && (kinds & KIND_OBJECT) != 0) {
        status = covers_object(c, wide, narrow);
    }
    if (status == SP_OK && wide->logic != NULL) {
        status = covers_logic(c, wide, narrow);
    }
    if (status == SP_OK && (kinds & KIND_ARRAY) != 0) {
        status = same_keyword(c, wide, narrow, "unevaluatedItems");
    }
    if (status == SP_OK && (kinds & KIND_OBJECT) != 0) {
        status = same_keyword(c, wide, narrow, "unevaluatedProperties");
    }
    return status;
}

static sp_status covers_parts(struct compare *c, const struct sch *wide,
                              const struct parts *narrow) {
    struct parts all = {.count = 0};
    add_part(&all, wide);
    if (all.too_many || narrow->too_many) {
        return unknown(c, wide, NULL);
    }
    sp_status status = SP_OK;
    for (uint32_t i = 0; i < all.count && status == SP_OK; i++) {
        status = covers_part(c, all.items[i], narrow);
    }
    return status;
}

/* Where the narrow one is a choice, every branch of it may be looked at alone. */
static sp_status covers_branches(struct compare *c, const struct sch *wide,
                                 const struct parts *narrow) {
    for (uint32_t i = 0; i < narrow->count; i++) {
        const struct sch_logic *logic = narrow->items[i]->logic;
        const struct sch_list *list = logic == NULL             ? NULL
                                      : logic->any_of.count > 0 ? &logic->any_of
                                      : logic->one_of.count > 0 ? &logic->one_of
                                                                : NULL;
        sp_status status = list != NULL ? SP_OK : SP_CONFLICT;
        for (uint32_t k = 0; list != NULL && k < list->count && status == SP_OK; k++) {
            struct parts branch = *narrow;
            add_part(&branch, list->items[k]);
            status = branch.nothing ? SP_OK : covers_parts(c, wide, &branch);
        }
        if (status != SP_CONFLICT) {
            return status;
        }
    }
    return SP_CONFLICT;
}

static sp_status covers(struct compare *c, const struct sch *wide, const struct parts *narrow) {
    if (narrow->nothing || (wide->is_boolean && wide->accepts)) {
        return SP_OK;
    }
    for (const struct question *asked = c->asked; asked != NULL; asked = asked->outer) {
        if (asked->wide == wide && same_parts(asked->narrow, narrow)) {
            return SP_OK;
        }
    }
    if (c->depth == DEPTH_MAX || ++c->steps > STEPS_MAX) {
        return unknown(c, wide, NULL);
    }
    const struct question *outer = c->asked;
    const struct question question = {.outer = outer, .wide = wide, .narrow = narrow};
    c->asked = &question;
    c->depth++;
    sp_status status = covers_parts(c, wide, narrow);
    if (status == SP_CONFLICT) {
        struct sp_error first;
        struct sp_error *shown = c->error;
        c->error = &first; /* what is said is why the whole is not covered */
        sp_status by_branch = covers_branches(c, wide, narrow);
        c->error = shown;
        status = by_branch == SP_CONFLICT ? SP_CONFLICT : by_branch;
    }
    c->depth--;
    c->asked = outer;
    return status;
}

sp_status sp_schema_accepts_all(const struct sp_schema *wide, const struct sp_schema *narrow,
                                struct sp_error *error) {
    struct sp_error own;
    struct compare c = {.scratch = sp_schema_scratch_new(), .error = error != NULL ? error : &own};
    if (c.scratch == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    struct parts parts = {.count = 0};
    add_part(&parts, narrow->root);
    sp_status status = covers(&c, wide->root, &parts);
    if (status == SP_OK) {
        sp_error_clear(c.error);
    }
    sp_schema_scratch_free(c.scratch);
    return status;
}
