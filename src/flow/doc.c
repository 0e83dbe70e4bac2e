#include "flow/doc.h"

#include "base/json.h"

void sp_doc_init(struct sp_doc *doc) {
    *doc = (struct sp_doc){.root = NULL};
    sp_pool_init(&doc->pool, SP_DOC_MEMORY_MAX);
}

void sp_doc_fini(struct sp_doc *doc) {
    sp_pool_fini(&doc->pool);
    *doc = (struct sp_doc){.root = NULL};
}

const char *sp_doc_kind_name(enum sp_doc_kind kind) {
    switch (kind) {
    case SP_DOC_NULL:
        return "null";
    case SP_DOC_FALSE:
        return "false";
    case SP_DOC_TRUE:
        return "true";
    case SP_DOC_NUMBER:
        return "a number";
    case SP_DOC_TEXT:
        return "text";
    case SP_DOC_ARRAY:
        return "a list";
    case SP_DOC_OBJECT:
        return "an object";
    }
    return "nothing";
}

/* ---- building -------------------------------------------------------------------------------- */

static sp_status fail_at(struct sp_error *error, sp_status status, struct sp_doc_place place,
                         const char *problem) {
    return sp_error_set(error, status, "line %u, column %u: %s", place.line, place.column, problem);
}

static sp_status fail_memory(const struct sp_doc *doc, struct sp_doc_place place,
                             struct sp_error *error) {
    return doc->pool.full ? fail_at(error, SP_LIMIT, place, "the document is too large")
                          : sp_error_set(error, SP_NO_MEMORY, "out of memory");
}

static const struct sp_doc_node *find(const struct sp_doc_node *object, sp_str key) {
    for (const struct sp_doc_node *at = object->first; at != NULL; at = at->next) {
        if (sp_str_eq(at->key, key)) {
            return at;
        }
    }
    return NULL;
}

/* Whether there may be one more below this one, and of this key. */
static sp_status check_room(const struct sp_doc *doc, const struct sp_doc_node *parent,
                            const struct sp_doc_value *value, struct sp_error *error) {
    if (doc->node_count == SP_DOC_NODES_MAX) {
        return fail_at(error, SP_LIMIT, value->place, "more than 32768 values");
    }
    if (parent == NULL || parent->kind == SP_DOC_ARRAY) {
        return SP_OK;
    }
    if (parent->count == SP_DOC_MEMBERS_MAX) {
        return fail_at(error, SP_LIMIT, value->key_at, "more than 1024 members in one object");
    }
    const struct sp_doc_node *there = find(parent, value->key);
    if (there != NULL) {
        return sp_error_set(error, SP_INVALID,
                            "line %u, column %u: the key `%.*s` is there twice, first in line %u",
                            value->key_at.line, value->key_at.column, SP_STR_ARG(value->key),
                            there->key_at.line);
    }
    return SP_OK;
}

static void link_below(struct sp_doc *doc, struct sp_doc_node *parent, struct sp_doc_node *node) {
    node->parent = parent;
    doc->node_count++;
    if (parent == NULL) {
        doc->root = node;
        return;
    }
    if (parent->last == NULL) {
        parent->first = node;
    } else {
        parent->last->next = node;
    }
    parent->last = node;
    parent->count++;
}

sp_status sp_doc_add(struct sp_doc *doc, struct sp_doc_node *parent,
                     const struct sp_doc_value *value, struct sp_doc_node **ret_node,
                     struct sp_error *error) {
    sp_require(parent != NULL ? parent->kind >= SP_DOC_ARRAY : doc->root == NULL);
    sp_status status = check_room(doc, parent, value, error);
    if (status != SP_OK) {
        return status;
    }
    struct sp_doc_node *node = sp_pool_take(&doc->pool, sizeof(*node));
    sp_str key = sp_pool_copy(&doc->pool, value->key);
    sp_str text = sp_pool_copy(&doc->pool, value->text);
    if (node == NULL || key.ptr == NULL || text.ptr == NULL) {
        return fail_memory(doc, value->place, error);
    }
    *node = (struct sp_doc_node){.kind = value->kind, .place = value->place, .key = key};
    node->text = text;
    node->key_at = value->key_at.line != 0 ? value->key_at : value->place;
    link_below(doc, parent, node);
    *ret_node = node;
    return SP_OK;
}

/* The node after this one in the order of the text, within `top`; how its parent's copy is found
 * is told by *up: so many levels up from the copy of this one. */
static const struct sp_doc_node *following(const struct sp_doc_node *at,
                                           const struct sp_doc_node *top, uint32_t *up) {
    *up = 0;
    if (at->first != NULL) {
        return at->first;
    }
    for (; at != top; at = at->parent) {
        *up += 1;
        if (at->next != NULL) {
            return at->next;
        }
    }
    return NULL;
}

sp_status sp_doc_graft(struct sp_doc *doc, struct sp_doc_node *object, sp_str key,
                       const struct sp_doc_node *other, struct sp_doc_place place,
                       struct sp_error *error) {
    sp_require(object->kind == SP_DOC_OBJECT);
    struct sp_doc_node *above = object;
    uint32_t up = 0;
    sp_status status = SP_OK;
    for (const struct sp_doc_node *at = other; at != NULL && status == SP_OK;) {
        struct sp_doc_value value = {.kind = at->kind, .place = place, .key_at = place};
        struct sp_doc_node *made = NULL;
        value.key = at == other ? key : at->key;
        value.text = at->text;
        status = sp_doc_add(doc, above, &value, &made, error);
        at = following(at, other, &up);
        for (above = made; status == SP_OK && up > 0; up--) {
            above = above->parent;
        }
    }
    return status;
}

const struct sp_doc_node *sp_doc_get(const struct sp_doc_node *object, const char *key) {
    return object == NULL || object->kind != SP_DOC_OBJECT ? NULL : find(object, sp_str_from(key));
}

/* ---- JSON in --------------------------------------------------------------------------------- */

struct json_reader {
    struct sp_doc *doc;
    struct sp_json json;
    struct sp_buf room; /* the key, unescaped */
    struct sp_buf text; /* the value, unescaped */
    const char *at;     /* the place below is this byte's */
    struct sp_doc_place place;
    struct sp_doc_place key_at;
    struct sp_doc_node *above; /* the object or array that is open */
};

/* Moves the place on to a byte of the text. */
static struct sp_doc_place place_of(struct json_reader *reader, const char *to) {
    for (; reader->at < to; reader->at++) {
        if (*reader->at == '\n') {
            reader->place.line++;
            reader->place.column = 1;
        } else if (((uint8_t)*reader->at & 0xc0) != 0x80) {
            reader->place.column++;
        }
    }
    return reader->place;
}

static sp_str unescaped(struct sp_buf *room, struct sp_json_token token) {
    if (!token.escaped) {
        return token.raw;
    }
    sp_buf_reset(room);
    sp_json_unescape(room, token.raw);
    return sp_buf_str(room);
}

static sp_status syntax_error(struct json_reader *reader, struct sp_error *error) {
    struct sp_doc_place place = place_of(reader, reader->json.at);
    return fail_at(error, SP_INVALID, place,
                   reader->json.problem != NULL ? reader->json.problem : "not JSON");
}

static enum sp_doc_kind kind_of(enum sp_json_type type) {
    switch (type) {
    case SP_JSON_OBJECT:
        return SP_DOC_OBJECT;
    case SP_JSON_ARRAY:
        return SP_DOC_ARRAY;
    case SP_JSON_STRING:
        return SP_DOC_TEXT;
    case SP_JSON_NUMBER:
        return SP_DOC_NUMBER;
    case SP_JSON_TRUE:
        return SP_DOC_TRUE;
    case SP_JSON_FALSE:
        return SP_DOC_FALSE;
    case SP_JSON_NULL:
    case SP_JSON_ERROR:
    case SP_JSON_OBJECT_END:
    case SP_JSON_ARRAY_END:
    case SP_JSON_KEY:
    case SP_JSON_END:
        break;
    }
    return SP_DOC_NULL;
}

static sp_status add_value(struct json_reader *reader, struct sp_json_token token, sp_str key,
                           struct sp_error *error) {
    const char *begin = token.type == SP_JSON_STRING ? token.raw.ptr - 1 : token.raw.ptr;
    struct sp_doc_value value = {.kind = kind_of(token.type), .place = place_of(reader, begin)};
    struct sp_doc_node *node = NULL;
    if (reader->above != NULL && reader->above->kind == SP_DOC_OBJECT) {
        value.key = key;
        value.key_at = reader->key_at;
    }
    if (value.kind == SP_DOC_TEXT) {
        value.text = unescaped(&reader->text, token);
    } else if (value.kind == SP_DOC_NUMBER) {
        value.text = token.raw;
    }
    sp_status status = reader->text.status != SP_OK
                           ? sp_error_set(error, reader->text.status, "out of memory")
                           : sp_doc_add(reader->doc, reader->above, &value, &node, error);
    if (status == SP_OK && value.kind >= SP_DOC_ARRAY) {
        reader->above = node;
    }
    return status;
}

static sp_status read_tokens(struct json_reader *reader, struct sp_error *error) {
    sp_str key = SP_STR("");
    for (;;) {
        struct sp_json_token token = sp_json_next(&reader->json);
        sp_status status = SP_OK;
        switch (token.type) {
        case SP_JSON_END:
            return SP_OK;
        case SP_JSON_ERROR:
            return syntax_error(reader, error);
        case SP_JSON_KEY:
            reader->key_at = place_of(reader, token.raw.ptr - 1);
            key = unescaped(&reader->room, token);
            status = reader->room.status;
            break;
        case SP_JSON_OBJECT_END:
        case SP_JSON_ARRAY_END:
            reader->above = reader->above->parent;
            break;
        case SP_JSON_OBJECT:
        case SP_JSON_ARRAY:
        case SP_JSON_STRING:
        case SP_JSON_NUMBER:
        case SP_JSON_TRUE:
        case SP_JSON_FALSE:
        case SP_JSON_NULL:
            status = add_value(reader, token, key, error);
            break;
        }
        if (status != SP_OK) {
            return status;
        }
    }
}

sp_status sp_doc_parse_json(struct sp_doc *doc, sp_str text, struct sp_error *error) {
    sp_require(doc->root == NULL);
    if (text.len > SP_DOC_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "%zu bytes, more than %d", text.len, SP_DOC_BYTES_MAX);
    }
    struct json_reader reader = {.doc = doc, .at = text.ptr, .place = {.line = 1, .column = 1}};
    sp_json_init(&reader.json, text);
    reader.json.depth_max = SP_DOC_DEPTH_MAX;
    sp_buf_init(&reader.room, SP_DOC_BYTES_MAX);
    sp_buf_init(&reader.text, SP_DOC_BYTES_MAX);
    sp_status status = read_tokens(&reader, error);
    sp_buf_fini(&reader.room);
    sp_buf_fini(&reader.text);
    sp_ensure(status != SP_OK || doc->root != NULL);
    return status;
}

/* ---- JSON out -------------------------------------------------------------------------------- */

static void write_begin(const struct sp_doc_node *node, struct sp_buf *to) {
    switch (node->kind) {
    case SP_DOC_NULL:
        sp_buf_add_str(to, SP_STR("null"));
        break;
    case SP_DOC_FALSE:
        sp_buf_add_str(to, SP_STR("false"));
        break;
    case SP_DOC_TRUE:
        sp_buf_add_str(to, SP_STR("true"));
        break;
    case SP_DOC_NUMBER:
        sp_buf_add_str(to, node->text);
        break;
    case SP_DOC_TEXT:
        sp_json_add_string(to, node->text);
        break;
    case SP_DOC_ARRAY:
        sp_buf_add_byte(to, '[');
        break;
    case SP_DOC_OBJECT:
        sp_buf_add_byte(to, '{');
        break;
    }
}

static void write_end(const struct sp_doc_node *node, struct sp_buf *to) {
    if (node->kind >= SP_DOC_ARRAY) {
        sp_buf_add_byte(to, node->kind == SP_DOC_ARRAY ? ']' : '}');
    }
}

/* What stands before a node below the top: a comma, its key. */
static void write_before(const struct sp_doc_node *node, struct sp_buf *to) {
    if (node->parent->first != node) {
        sp_buf_add_byte(to, ',');
    }
    if (node->parent->kind == SP_DOC_OBJECT) {
        sp_json_add_string(to, node->key);
        sp_buf_add_byte(to, ':');
    }
}

void sp_doc_write(const struct sp_doc_node *node, struct sp_buf *to) {
    const struct sp_doc_node *at = node;
    uint32_t up = 0;
    write_begin(at, to);
    for (;;) {
        const struct sp_doc_node *then = following(at, node, &up);
        if (at->first == NULL) {
            write_end(at, to);
        }
        for (const struct sp_doc_node *done = at; up > 0 && done != node; done = done->parent) {
            if (done != at) {
                write_end(done, to);
            }
            up--;
        }
        if (then == NULL) {
            break;
        }
        write_before(then, to);
        write_begin(then, to);
        at = then;
    }
    if (node->first != NULL) {
        write_end(node, to);
    }
}
