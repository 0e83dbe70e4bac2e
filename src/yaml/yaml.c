#include "yaml/yaml.h"

#include <yaml.h>

#include "base/json.h"

struct yaml_reader {
    yaml_parser_t parser;
    struct sp_doc *doc;
    struct sp_doc_node *above; /* the mapping or list that is open */
    struct sp_buf key;
    struct sp_doc_place key_at;
    bool has_key; /* the next value of the mapping is this key's */
    bool done;    /* the root is there */
    uint32_t depth;
};

static struct sp_doc_place place_of(yaml_mark_t mark) {
    return (struct sp_doc_place){.line = (uint32_t)mark.line + 1,
                                 .column = (uint32_t)mark.column + 1};
}

static sp_status fail_at(struct sp_error *error, sp_status status, struct sp_doc_place place,
                         const char *problem) {
    return sp_error_set(error, status, "line %u, column %u: %s", place.line, place.column, problem);
}

/* ---- scalars --------------------------------------------------------------------------------- */

static bool is_number(sp_str text) {
    enum sp_json_type type = SP_JSON_ERROR;
    bool first = text.len > 0 && (text.ptr[0] == '-' || (text.ptr[0] >= '0' && text.ptr[0] <= '9'));
    return first && sp_json_check_value(text, 1, &type, NULL) == SP_OK && type == SP_JSON_NUMBER &&
           text.ptr[text.len - 1] != ' ';
}

static enum sp_doc_kind plain_kind(sp_str text) {
    if (text.len == 0 || sp_str_eq(text, SP_STR("null")) || sp_str_eq(text, SP_STR("~"))) {
        return SP_DOC_NULL;
    }
    if (sp_str_eq(text, SP_STR("true"))) {
        return SP_DOC_TRUE;
    }
    if (sp_str_eq(text, SP_STR("false"))) {
        return SP_DOC_FALSE;
    }
    return is_number(text) ? SP_DOC_NUMBER : SP_DOC_TEXT;
}

/* ---- events ---------------------------------------------------------------------------------- */

static bool is_key_next(const struct yaml_reader *reader) {
    return reader->above != NULL && reader->above->kind == SP_DOC_OBJECT && !reader->has_key;
}

/* Adds a value at its place; one with members or items is open then. */
static sp_status add(struct yaml_reader *reader, struct sp_doc_value *value,
                     struct sp_error *error) {
    struct sp_doc_node *node = NULL;
    if (reader->above != NULL && reader->above->kind == SP_DOC_OBJECT) {
        value->key = sp_buf_str(&reader->key);
        value->key_at = reader->key_at;
    }
    sp_status status = sp_doc_add(reader->doc, reader->above, value, &node, error);
    reader->has_key = false;
    if (status == SP_OK && value->kind >= SP_DOC_ARRAY) {
        reader->above = node;
        reader->depth++;
    }
    return status;
}

static sp_status take_key(struct yaml_reader *reader, const yaml_event_t *event,
                          struct sp_error *error) {
    sp_buf_reset(&reader->key);
    sp_buf_add(&reader->key, event->data.scalar.value, event->data.scalar.length);
    reader->key_at = place_of(event->start_mark);
    reader->has_key = true;
    return reader->key.status == SP_OK
               ? SP_OK
               : fail_at(error, reader->key.status, reader->key_at, "no memory for the key");
}

static sp_status take_scalar(struct yaml_reader *reader, const yaml_event_t *event,
                             struct sp_error *error) {
    sp_str text = sp_str_of(event->data.scalar.value, event->data.scalar.length);
    struct sp_doc_value value = {.kind = SP_DOC_TEXT, .place = place_of(event->start_mark)};
    if (is_key_next(reader)) {
        return take_key(reader, event, error);
    }
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        value.kind = plain_kind(text);
    }
    if (value.kind == SP_DOC_TEXT || value.kind == SP_DOC_NUMBER) {
        value.text = text;
    }
    return add(reader, &value, error);
}

static sp_status take_begin(struct yaml_reader *reader, const yaml_event_t *event,
                            struct sp_error *error) {
    struct sp_doc_value value = {.place = place_of(event->start_mark)};
    value.kind = event->type == YAML_MAPPING_START_EVENT ? SP_DOC_OBJECT : SP_DOC_ARRAY;
    if (is_key_next(reader)) {
        return fail_at(error, SP_INVALID, value.place,
                       "a key is text, not a list or a mapping (jq programs need quotes)");
    }
    if (reader->depth == SP_DOC_DEPTH_MAX) {
        return fail_at(error, SP_LIMIT, value.place, "more than 64 levels");
    }
    return add(reader, &value, error);
}

/* What YAML has and is not taken: the reason, or NULL. */
static const char *refusal(const struct yaml_reader *reader, const yaml_event_t *event) {
    const yaml_char_t *tag = NULL;
    const yaml_char_t *anchor = NULL;
    if (event->type == YAML_ALIAS_EVENT) {
        return "aliases (`*name`) are not taken: write it out";
    }
    if (event->type == YAML_DOCUMENT_START_EVENT && reader->done) {
        return "a second document begins here; one is expected";
    }
    if (event->type == YAML_SCALAR_EVENT) {
        tag = event->data.scalar.tag;
        anchor = event->data.scalar.anchor;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        tag = event->data.sequence_start.tag;
        anchor = event->data.sequence_start.anchor;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        tag = event->data.mapping_start.tag;
        anchor = event->data.mapping_start.anchor;
    }
    return anchor != NULL ? "anchors (`&name`) are not taken: write it out"
           : tag != NULL  ? "tags (`!name`) are not taken"
                          : NULL;
}

static sp_status take(struct yaml_reader *reader, const yaml_event_t *event,
                      struct sp_error *error) {
    const char *refused = refusal(reader, event);
    if (refused != NULL) {
        return fail_at(error, SP_INVALID, place_of(event->start_mark), refused);
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return take_scalar(reader, event, error);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return take_begin(reader, event, error);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        reader->above = reader->above->parent;
        reader->depth--;
        break;
    case YAML_DOCUMENT_END_EVENT:
        reader->done = true;
        break;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_ALIAS_EVENT:
        break;
    }
    return SP_OK;
}

static sp_status parser_error(const struct yaml_reader *reader, struct sp_error *error) {
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem != NULL ? parser->problem : "not YAML";
    if (parser->error == YAML_MEMORY_ERROR) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    if (parser->error == YAML_READER_ERROR) {
        return sp_error_set(error, SP_INVALID, "byte %zu: %s", parser->problem_offset, problem);
    }
    struct sp_doc_place place = place_of(parser->problem_mark);
    if (parser->context == NULL) {
        return fail_at(error, SP_INVALID, place, problem);
    }
    return sp_error_set(error, SP_INVALID, "line %u, column %u: %s, %s", place.line, place.column,
                        problem, parser->context);
}

static sp_status read_events(struct yaml_reader *reader, struct sp_error *error) {
    for (;;) {
        yaml_event_t event;
        if (yaml_parser_parse(&reader->parser, &event) == 0) {
            return parser_error(reader, error);
        }
        bool is_end = event.type == YAML_STREAM_END_EVENT;
        sp_status status = take(reader, &event, error);
        yaml_event_delete(&event);
        if (status != SP_OK || is_end) {
            return status;
        }
    }
}

static sp_status read_yaml(struct sp_doc *doc, sp_str text, struct sp_error *error) {
    struct yaml_reader reader = {.doc = doc};
    if (yaml_parser_initialize(&reader.parser) == 0) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    sp_buf_init(&reader.key, SP_DOC_BYTES_MAX);
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text.ptr, text.len);
    sp_status status = read_events(&reader, error);
    if (status == SP_OK && doc->root == NULL) {
        status = sp_error_set(error, SP_INVALID, "line 1, column 1: the document is empty");
    }
    sp_buf_fini(&reader.key);
    yaml_parser_delete(&reader.parser);
    return status;
}

sp_status sp_yaml_read(struct sp_doc *doc, sp_str text, enum sp_yaml_form form,
                       struct sp_error *error) {
    size_t at = 0;
    sp_require(doc->root == NULL);
    while (at < text.len && memchr(" \t\r\n", text.ptr[at], 4) != NULL) {
        at++;
    }
    bool is_json = form == SP_YAML_JSON || (form == SP_YAML_GUESS && at < text.len &&
                                            (text.ptr[at] == '{' || text.ptr[at] == '['));
    if (is_json) {
        return sp_doc_parse_json(doc, text, error);
    }
    if (text.len > SP_DOC_BYTES_MAX) {
        return sp_error_set(error, SP_LIMIT, "%zu bytes, more than %d", text.len, SP_DOC_BYTES_MAX);
    }
    return read_yaml(doc, text, error);
}

enum sp_yaml_form sp_yaml_form_of(sp_str file_name) {
    if (sp_str_ends_with(file_name, SP_STR(".json"))) {
        return SP_YAML_JSON;
    }
    return sp_str_ends_with(file_name, SP_STR(".yaml")) ||
                   sp_str_ends_with(file_name, SP_STR(".yml"))
               ? SP_YAML_YAML
               : SP_YAML_GUESS;
}
