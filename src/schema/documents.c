/*
 * Documents, the resources in them, and what references lead to.
 *
 * A walk of a document goes from its root to every place where the draft expects a schema, so that
 * an $id within an enum or an unknown keyword names nothing. Where a reference leads to a place
 * that no walk came to, a further walk begins there.
 */
#include "schema/schema_int.h"
#include "schema/uri.h"

enum {
    RESOURCES_MAX = 4096,
    LOOKUPS_MAX = 64 << 20, /* nodes passed to follow all the references of a schema */
};

static sp_str node_str(const struct sch_document *document, uint32_t at) {
    return sp_tape_str(&document->tape.nodes[at]);
}

/* The value of a keyword as a string; ptr NULL where it is absent. SP_INVALID where it is none. */
static sp_status string_member(struct sch_compile *c, const struct sch_document *document,
                               uint32_t at, enum sch_keyword keyword, sp_str *ret_value,
                               uint32_t *ret_at) {
    sp_str name = sp_str_from(sch_keywords[keyword].name);
    uint32_t value = sp_tape_member(&document->tape, at, name);
    *ret_value = sp_str_of(NULL, 0);
    if (value == UINT32_MAX) {
        return SP_OK;
    }
    if (document->tape.nodes[value].type != SP_JSON_STRING) {
        return sch_fail(c, document, value, SP_INVALID, "expected a string");
    }
    *ret_value = node_str(document, value);
    *ret_at = value;
    return SP_OK;
}

static struct sch_resource *find_resource(struct sch_compile *c, sp_str uri) {
    struct sch_resource *resource = c->schema->resources;
    while (resource != NULL && !sp_str_eq(resource->uri, uri)) {
        resource = resource->next;
    }
    return resource;
}

static sp_status resource_new(struct sch_compile *c, struct sch_document *document, uint32_t at,
                              sp_str uri, unsigned vocabulary, struct sch_resource **ret_resource) {
    struct sch_resource *resource = sch_take(c, sizeof(*resource));
    if (resource == NULL) {
        return sch_full(c);
    }
    if (++c->schema->resource_count > RESOURCES_MAX) {
        return sch_fail(c, document, at, SP_LIMIT, "more than 4096 schemas have an $id");
    }
    *resource = (struct sch_resource){.next = c->schema->resources,
                                      .uri = uri,
                                      .document = document,
                                      .at = at,
                                      .vocabulary = vocabulary};
    c->schema->resources = resource;
    *ret_resource = resource;
    return SP_OK;
}

/* The reference against the base, without its fragment, in the pool; ptr NULL without memory. */
static sp_str resolve(struct sch_compile *c, sp_str base, sp_str reference) {
    sp_buf_reset(&c->text);
    sp_uri_resolve(base, reference, &c->text);
    return c->text.status == SP_OK ? sp_pool_copy(&c->schema->pool, sp_buf_str(&c->text))
                                   : sp_str_of(NULL, 0);
}

/* ---- vocabularies ---- */

static unsigned vocabulary_of(sp_str uri) {
    static const struct {
        const char *name;
        unsigned vocabulary;
    } KNOWN[] = {
        {"core", VOCABULARY_CORE},
        {"applicator", VOCABULARY_APPLICATOR},
        {"unevaluated", VOCABULARY_UNEVALUATED},
        {"validation", VOCABULARY_VALIDATION},
        {"format-assertion", VOCABULARY_FORMAT},
        {"format-annotation", VOCABULARY_CORE},
        {"meta-data", VOCABULARY_CORE},
        {"content", VOCABULARY_CORE},
    };
    sp_str prefix = SP_STR("https://json-schema.org/draft/2020-12/vocab/");
    if (!sp_str_starts_with(uri, prefix)) {
        return 0;
    }
    sp_str name = sp_str_from_byte(uri, prefix.len);
    for (size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++) {
        if (sp_str_eq(name, sp_str_from(KNOWN[i].name))) {
            return KNOWN[i].vocabulary;
        }
    }
    return 0;
}

/* Reads the $vocabulary of a meta-schema. */
static sp_status read_vocabulary(struct sch_compile *c, const struct sch_document *meta,
                                 uint32_t at, unsigned *ret_vocabulary) {
    const struct sp_tape_node *nodes = meta->tape.nodes;
    uint32_t value = sp_tape_member(&meta->tape, at, SP_STR("$vocabulary"));
    *ret_vocabulary = VOCABULARY_USUAL;
    if (value == UINT32_MAX) {
        return SP_OK;
    }
    if (nodes[value].type != SP_JSON_OBJECT) {
        return sch_fail(c, meta, value, SP_INVALID, "expected an object");
    }
    unsigned vocabulary = VOCABULARY_CORE;
    for (uint32_t key = value + 1; key < nodes[value].next; key = nodes[key].next) {
        unsigned known = vocabulary_of(node_str(meta, key));
        if (known == 0 && nodes[key + 1].type == SP_JSON_TRUE) {
            return sch_fail(c, meta, key, SP_UNSUPPORTED,
                            "this vocabulary is required, and not known here");
        }
        vocabulary |= known;
    }
    *ret_vocabulary = vocabulary;
    return SP_OK;
}

static sp_status find_document(struct sch_compile *c, sp_str uri, struct sch_resource **ret);

/* What the $schema of the schema at `at` says, if it has one. */
static sp_status declared_vocabulary(struct sch_compile *c, const struct sch_document *document,
                                     uint32_t at, unsigned *vocabulary) {
    sp_str uri;
    uint32_t where = at;
    sp_status status = string_member(c, document, at, KW_SCHEMA, &uri, &where);
    if (status != SP_OK || uri.ptr == NULL) {
        return status;
    }
    uri.len -= uri.len > 0 && uri.ptr[uri.len - 1] == '#';
    if (sp_str_eq(uri, SP_STR("https://json-schema.org/draft/2020-12/schema"))) {
        *vocabulary = VOCABULARY_USUAL;
        return SP_OK;
    }
    struct sch_resource *meta = NULL;
    status = find_document(c, uri, &meta);
    if (status == SP_OK && meta == NULL) {
        bool draft = sp_str_starts_with(uri, SP_STR("http://json-schema.org/")) ||
                     sp_str_starts_with(uri, SP_STR("https://json-schema.org/"));
        return sch_fail(c, document, where, SP_UNSUPPORTED,
                        draft ? "only draft 2020-12 is known: "
                                "https://json-schema.org/draft/2020-12/schema"
                              : "this meta-schema is not known here");
    }
    return status == SP_OK ? read_vocabulary(c, meta->document, meta->at, vocabulary) : status;
}

/* ---- walking ---- */

struct visit {
    struct visit *next;
    uint32_t at;
    struct sch_resource *resource;
};

struct walk {
    struct sch_compile *c;
    struct sch_document *document;
    struct visit *stack;
    struct visit *spare;
};

static bool push(struct walk *walk, uint32_t at, struct sch_resource *resource) {
    struct visit *visit = walk->spare;
    if (visit != NULL) {
        walk->spare = visit->next;
    } else {
        visit = sch_take(walk->c, sizeof(*visit));
    }
    if (visit == NULL) {
        return false;
    }
    *visit = (struct visit){.next = walk->stack, .at = at, .resource = resource};
    walk->stack = visit;
    return true;
}

static sp_status anchor_add(struct sch_compile *c, struct sch *schema, sp_str name, uint32_t at,
                            bool dynamic) {
    struct sch_resource *resource = schema->resource;
    bool good = name.len > 0;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = (uint8_t)name.ptr[i];
        bool letter = (uint8_t)((byte | 0x20) - 'a') < 26 || byte == '_';
        good = good &&
               (letter || (i > 0 && ((uint8_t)(byte - '0') < 10 || byte == '-' || byte == '.')));
    }
    if (!good) {
        return sch_fail(c, resource->document, at, SP_INVALID,
                        "an anchor is a letter or _, then letters, digits, - _ and .");
    }
    for (struct sch_anchor *other = resource->anchors; other != NULL; other = other->next) {
        if (sp_str_eq(other->name, name) && other->schema != schema) {
            return sch_fail(c, resource->document, at, SP_INVALID, "this anchor is there twice");
        }
    }
    struct sch_anchor *anchor = sch_take(c, sizeof(*anchor));
    if (anchor == NULL) {
        return sch_full(c);
    }
    *anchor = (struct sch_anchor){
        .next = resource->anchors, .name = name, .schema = schema, .dynamic = dynamic};
    resource->anchors = anchor;
    return SP_OK;
}

static sp_status anchors_add(struct sch_compile *c, struct sch *schema) {
    sp_str plain;
    sp_str dynamic;
    uint32_t at = schema->at;
    struct sch_document *document = schema->resource->document;
    sp_status status = string_member(c, document, schema->at, KW_ANCHOR, &plain, &at);
    if (status == SP_OK && plain.ptr != NULL) {
        status = anchor_add(c, schema, plain, at, false);
    }
    if (status == SP_OK) {
        status = string_member(c, document, schema->at, KW_DYNAMIC_ANCHOR, &dynamic, &at);
    }
    if (status == SP_OK && dynamic.ptr != NULL) {
        status = anchor_add(c, schema, dynamic, at, true);
    }
    return status;
}

/* Where the schema at `at` has an $id a resource of its own begins. */
static sp_status enter_resource(struct sch_compile *c, struct sch_document *document, uint32_t at,
                                struct sch_resource **resource) {
    sp_str id;
    uint32_t where = at;
    sp_status status = string_member(c, document, at, KW_ID, &id, &where);
    if (status != SP_OK || id.ptr == NULL) {
        return status;
    }
    sp_str fragment;
    (void)sp_uri_split(id, &fragment);
    if (fragment.len > 0) {
        return sch_fail(c, document, where, SP_INVALID, "an $id has no fragment; use $anchor");
    }
    sp_str uri = resolve(c, (*resource)->uri, id);
    if (uri.ptr == NULL) {
        return sch_full(c);
    }
    unsigned vocabulary = (*resource)->vocabulary;
    status = declared_vocabulary(c, document, at, &vocabulary);
    if (status != SP_OK || sp_str_eq(uri, (*resource)->uri)) {
        return status;
    }
    if (find_resource(c, uri) != NULL) {
        return sch_fail(c, document, where, SP_INVALID, "this $id is there twice");
    }
    return resource_new(c, document, at, uri, vocabulary, resource);
}

/* Pushes the schemas that lie in the value of a keyword. */
static sp_status push_schemas(struct walk *walk, uint32_t value, enum sch_form form,
                              struct sch_resource *resource) {
    const struct sp_tape_node *nodes = walk->document->tape.nodes;
    const struct sp_tape_node *node = &nodes[value];
    bool pushed = true;
    if (form == FORM_SCHEMA) {
        return push(walk, value, resource) ? SP_OK : sch_full(walk->c);
    }
    if (form == FORM_SCHEMAS) {
        if (node->type != SP_JSON_ARRAY || node->count == 0) {
            return sch_fail(walk->c, walk->document, value, SP_INVALID,
                            "expected an array of schemas, at least one");
        }
        for (uint32_t at = value + 1; at < node->next && pushed; at = nodes[at].next) {
            pushed = push(walk, at, resource);
        }
        return pushed ? SP_OK : sch_full(walk->c);
    }
    if (node->type != SP_JSON_OBJECT) {
        return sch_fail(walk->c, walk->document, value, SP_INVALID,
                        "expected an object, its values schemas");
    }
    for (uint32_t key = value + 1; key < node->next && pushed; key = nodes[key].next) {
        bool is_list = form == FORM_MIXED && nodes[key + 1].type == SP_JSON_ARRAY;
        pushed = is_list || push(walk, key + 1, resource);
    }
    return pushed ? SP_OK : sch_full(walk->c);
}

static sp_status sch_new(struct walk *walk, uint32_t at, struct sch_resource *resource) {
    struct sch_compile *c = walk->c;
    struct sch *schema = sch_take(c, sizeof(*schema));
    if (schema == NULL) {
        return sch_full(c);
    }
    const struct sp_tape_node *node = &walk->document->tape.nodes[at];
    schema->resource = resource;
    schema->at = at;
    schema->kinds = KIND_ALL;
    schema->is_boolean = node->type != SP_JSON_OBJECT;
    schema->accepts = node->type == SP_JSON_TRUE;
    walk->document->schemas[at] = schema;
    if (c->last != NULL) {
        c->last->todo = schema;
    } else {
        c->first = schema;
    }
    c->last = schema;
    return schema->is_boolean ? SP_OK : anchors_add(c, schema);
}

static sp_status visit_node(struct walk *walk, uint32_t at, struct sch_resource *resource) {
    struct sch_compile *c = walk->c;
    const struct sp_tape_node *nodes = walk->document->tape.nodes;
    if (walk->document->schemas[at] != NULL) {
        return SP_OK;
    }
    enum sp_json_type type = nodes[at].type;
    if (type != SP_JSON_OBJECT && type != SP_JSON_TRUE && type != SP_JSON_FALSE) {
        return sch_fail(c, walk->document, at, SP_INVALID,
                        "expected a schema, which is an object or true or false");
    }
    sp_status status = SP_OK;
    if (type == SP_JSON_OBJECT) {
        status = enter_resource(c, walk->document, at, &resource);
    }
    status = status == SP_OK ? sch_new(walk, at, resource) : status;
    uint32_t end = type == SP_JSON_OBJECT ? nodes[at].next : 0;
    for (uint32_t key = at + 1; key < end && status == SP_OK; key = nodes[key].next) {
        enum sch_keyword keyword = sch_keyword_of(sp_tape_str(&nodes[key]));
        enum sch_form form = sch_keywords[keyword].form;
        if (keyword != KW_UNKNOWN && form != FORM_VALUE) {
            status = push_schemas(walk, key + 1, form, resource);
        }
    }
    return status;
}

static sp_status walk_from(struct sch_compile *c, struct sch_document *document, uint32_t at,
                           struct sch_resource *resource) {
    struct walk walk = {.c = c, .document = document};
    sp_status status = push(&walk, at, resource) ? SP_OK : sch_full(c);
    while (status == SP_OK && walk.stack != NULL) {
        struct visit *visit = walk.stack;
        walk.stack = visit->next;
        uint32_t node = visit->at;
        struct sch_resource *inside = visit->resource;
        visit->next = walk.spare;
        walk.spare = visit;
        status = visit_node(&walk, node, inside);
    }
    return status;
}

/* ---- documents ---- */

static sp_status check_depth(struct sch_compile *c, sp_str text) {
    enum sp_json_type type;
    struct sp_error error;
    sp_status status = sp_json_check_value(text, SP_SCHEMA_DEPTH_MAX, &type, &error);
    return status == SP_OK ? SP_OK
                           : sp_error_set_at(c->error, status, error.offset, "%s", error.text);
}

sp_status sch_document_add(struct sch_compile *c, sp_str uri, sp_str text,
                           struct sch_document **ret_document) {
    struct sp_schema *schema = c->schema;
    if (text.len > SP_SCHEMA_BYTES_MAX) {
        return sp_error_set(c->error, SP_LIMIT, "a schema has at most %d bytes, this one %zu",
                            SP_SCHEMA_BYTES_MAX, text.len);
    }
    sp_status status = check_depth(c, text);
    if (status != SP_OK) {
        return uri.len > 0 ? sp_error_prefix(c->error, status, "%.*s", SP_STR_ARG(uri)) : status;
    }
    struct sch_document *document = sch_take(c, sizeof(*document));
    sp_str own_uri = sp_pool_copy(&schema->pool, uri);
    sp_str own_text = sp_pool_copy(&schema->pool, text);
    if (document == NULL || own_uri.ptr == NULL || own_text.ptr == NULL) {
        return sch_full(c);
    }
    document->uri = own_uri;
    document->text = own_text;
    sp_tape_init(&document->tape);
    document->next = schema->documents;
    schema->documents = document;
    status = sp_tape_read(&document->tape, own_text, c->error);
    if (status != SP_OK) {
        return status;
    }
    document->schemas = sch_take(c, document->tape.count * sizeof(struct sch *));
    if (document->schemas == NULL) {
        return sch_full(c);
    }
    status = resource_new(c, document, 0, own_uri, VOCABULARY_USUAL, &document->root);
    if (status == SP_OK && document->tape.nodes[0].type == SP_JSON_OBJECT) {
        status = declared_vocabulary(c, document, 0, &document->root->vocabulary);
    }
    status = status == SP_OK ? walk_from(c, document, 0, document->root) : status;
    *ret_document = document;
    return status;
}

/* The resource of this URI, of what is there or can be brought in; NULL where there is none. */
static sp_status find_document(struct sch_compile *c, sp_str uri, struct sch_resource **ret) {
    *ret = find_resource(c, uri);
    if (*ret != NULL) {
        return SP_OK;
    }
    sp_str text = sch_metaschema(uri);
    for (size_t i = 0; i < c->options->document_count && text.ptr == NULL; i++) {
        if (sp_str_eq(c->options->documents[i].uri, uri)) {
            text = c->options->documents[i].text;
        }
    }
    if (text.ptr == NULL) {
        return SP_OK;
    }
    struct sch_document *document = NULL;
    sp_status status = sch_document_add(c, uri, text, &document);
    if (status == SP_OK) {
        *ret = document->root;
    }
    return status;
}

/* ---- references ---- */

/* The array element that a token of a pointer names; UINT32_MAX where there is none. */
static uint32_t element(const struct sch_document *document, uint32_t at, sp_str token) {
    const struct sp_tape_node *nodes = document->tape.nodes;
    uint32_t index = 0;
    bool number = token.len > 0 && token.len < 9 && (token.len == 1 || token.ptr[0] != '0');
    for (size_t i = 0; i < token.len && number; i++) {
        number = (uint8_t)(token.ptr[i] - '0') < 10;
        index = index * 10 + (uint32_t)(token.ptr[i] - '0');
    }
    if (!number || index >= nodes[at].count) {
        return UINT32_MAX;
    }
    uint32_t child = at + 1;
    for (; index > 0; index--) {
        child = nodes[child].next;
    }
    return child;
}

/* Takes the next token of a pointer off, with ~0 and ~1 resolved in place. */
static sp_str next_token(char **at, char *end) {
    char *from = *at + 1;
    char *to = from;
    char *read = from;
    for (; read < end && *read != '/'; read++) {
        char byte = *read;
        if (byte == '~' && end - read > 1 && (read[1] == '0' || read[1] == '1')) {
            byte = *++read == '0' ? '~' : '/';
        }
        *to++ = byte;
    }
    *at = read;
    return sp_str_of(from, (size_t)(to - from));
}

/* Follows a JSON pointer from a resource's root. UINT32_MAX: it leads nowhere. */
static sp_status follow_pointer(struct sch_compile *c, struct sch_resource **resource,
                                struct sp_buf *pointer, uint32_t *ret_at) {
    struct sch_document *document = (*resource)->document;
    const struct sp_tape_node *nodes = document->tape.nodes;
    uint32_t at = (*resource)->at;
    char *read = (char *)pointer->data;
    char *end = read + pointer->len;
    while (read < end && at != UINT32_MAX) {
        c->lookups += 1 + nodes[at].count;
        sp_str token = next_token(&read, end);
        if (nodes[at].type == SP_JSON_OBJECT) {
            at = sp_tape_member(&document->tape, at, token);
        } else {
            at = nodes[at].type == SP_JSON_ARRAY ? element(document, at, token) : UINT32_MAX;
        }
        if (at != UINT32_MAX && document->schemas[at] != NULL) {
            *resource = document->schemas[at]->resource;
        }
    }
    *ret_at = at;
    return c->lookups > LOOKUPS_MAX
               ? sp_error_set(c->error, SP_LIMIT, "following its references takes too long")
               : SP_OK;
}

static struct sch_anchor *find_anchor(const struct sch_resource *resource, sp_str name) {
    struct sch_anchor *anchor = resource->anchors;
    while (anchor != NULL && !sp_str_eq(anchor->name, name)) {
        anchor = anchor->next;
    }
    return anchor;
}

/* The subschema that a fragment names; NULL where it names none. */
static sp_status find_fragment(struct sch_compile *c, struct sch_resource *resource,
                               sp_str fragment, struct sch **ret_schema,
                               struct sch_anchor **ret_anchor) {
    sp_buf_reset(&c->text);
    sp_uri_decode(fragment, &c->text);
    if (c->text.status != SP_OK) {
        return sp_error_set(c->error, c->text.status, "%s", sp_status_text(c->text.status));
    }
    if (c->text.len > 0 && c->text.data[0] != '/') {
        *ret_anchor = find_anchor(resource, sp_buf_str(&c->text));
        *ret_schema = *ret_anchor != NULL ? (*ret_anchor)->schema : NULL;
        return SP_OK;
    }
    uint32_t at = UINT32_MAX;
    sp_status status = follow_pointer(c, &resource, &c->text, &at);
    if (status != SP_OK || at == UINT32_MAX) {
        return status;
    }
    struct sch_document *document = resource->document;
    if (document->schemas[at] == NULL) {
        status = walk_from(c, document, at, resource);
    }
    *ret_schema = document->schemas[at];
    return status;
}

sp_status sch_reference(struct sch_compile *c, const struct sch *from, uint32_t at,
                        struct sch **ret_schema, struct sch_anchor **ret_anchor) {
    struct sch_document *document = from->resource->document;
    sp_str reference = node_str(document, at);
    sp_str fragment;
    sp_str uri = resolve(c, from->resource->uri, sp_uri_split(reference, &fragment));
    if (uri.ptr == NULL) {
        return sch_full(c);
    }
    struct sch_resource *resource = NULL;
    struct sch *found = NULL;
    *ret_anchor = NULL;
    sp_status status = find_document(c, uri, &resource);
    if (status == SP_OK && resource != NULL) {
        status = find_fragment(c, resource, fragment, &found, ret_anchor);
    }
    if (status != SP_OK) {
        return status;
    }
    if (found == NULL) {
        return sch_fail(c, document, at, SP_INVALID,
                        resource == NULL
                            ? "this refers to a document that is not here (nothing is fetched)"
                            : "this refers to a place that is not there");
    }
    *ret_schema = found;
    return SP_OK;
}
