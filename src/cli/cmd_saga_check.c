/* saga check: definitions of sagas, by their grammar and jq alone, without a store. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/files.h"
#include "flow/definition.h"
#include "jq/jq.h"
#include "yaml/yaml.h"

/* What is looked at. Definitions of earlier files are there for nested sagas of later ones. */
struct checking {
    struct sp_cli *cli;
    struct sp_jq *jq;
    struct sp_doc_problems *problems;
    struct sp_saga_definition **known;
    size_t known_count;
    const char *path;
    sp_str text; /* of the file */
    bool all_good;
};

static sp_str find_known(void *context, sp_str name) {
    const struct checking *c = context;
    for (size_t i = c->known_count; i-- > 0;) {
        if (sp_str_eq(c->known[i]->name, name)) {
            return c->known[i]->text;
        }
    }
    return SP_STR("");
}

/* ---- jq -------------------------------------------------------------------------------------- */

/* The first line of what jq says, without its own name before it. */
static sp_str first_line(const char *text) {
    sp_str line = sp_str_from(text);
    const char *end = line.len == 0 ? NULL : memchr(line.ptr, '\n', line.len);
    return end != NULL ? sp_str_of(line.ptr, (size_t)(end - line.ptr)) : line;
}

/* Compiles every program; what is none is a problem at its place. */
static sp_status check_programs(struct checking *c, const struct sp_saga_definition *definition,
                                struct sp_error *error) {
    for (uint32_t i = 0; i < definition->program_count; i++) {
        const struct sp_saga_program *program = &definition->programs[i];
        struct sp_jq_program *compiled = NULL;
        sp_status status = sp_jq_define(c->jq, program->text, NULL, 0, &compiled, error);
        sp_jq_drop(compiled);
        if (status == SP_INVALID || status == SP_LIMIT) {
            sp_doc_wrong(c->problems, program->place, "`%s`: %.*s", program->key,
                         SP_STR_ARG(first_line(error->text)));
        } else if (status != SP_OK) {
            return status;
        }
    }
    return SP_OK;
}

/* ---- telling --------------------------------------------------------------------------------- */

/* The line of the text, counted from 1, without its end. */
static sp_str line_of(sp_str text, uint32_t number) {
    sp_str rest = text;
    for (;;) {
        const char *end = rest.len == 0 ? NULL : memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        if (--number == 0 || end == NULL) {
            size_t shown = len > 0 && rest.ptr[len - 1] == '\r' ? len - 1 : len;
            return number == 0 ? sp_str_of(rest.ptr, shown) : SP_STR("");
        }
        rest = sp_str_from_byte(rest, len + 1);
    }
}

/* The line, and a caret below the column: what is before it keeps its tabs, to stand below it. */
static void show_line(struct sp_out *out, sp_str line, uint32_t column) {
    enum { LINE_COLUMNS_MAX = 120 };
    uint32_t at = 1;
    if (line.len == 0 || column > LINE_COLUMNS_MAX) {
        return;
    }
    sp_str shown = line.len > LINE_COLUMNS_MAX ? sp_str_of(line.ptr, LINE_COLUMNS_MAX) : line;
    while (shown.len < line.len && ((uint8_t)line.ptr[shown.len] & 0xc0) == 0x80) {
        shown.len++;
    }
    sp_out_print(out, "  %.*s\n  ", SP_STR_ARG(shown));
    for (size_t i = 0; i < line.len && at < column; i++) {
        if (((uint8_t)line.ptr[i] & 0xc0) != 0x80) {
            sp_buf_add_byte(&out->buf, line.ptr[i] == '\t' ? '\t' : ' ');
            at++;
        }
    }
    sp_out_print(out, "^\n");
}

static void tell_problems(struct checking *c) {
    struct sp_out *out = &c->cli->out;
    for (uint32_t i = 0; i < c->problems->count; i++) {
        const struct sp_doc_problem *problem = &c->problems->items[i];
        sp_out_print(out, "%s:%u:%u: %s: %s\n", c->path, problem->place.line, problem->place.column,
                     problem->is_warning ? "warning" : "error", problem->text);
        show_line(out, line_of(c->text, problem->place.line), problem->place.column);
    }
    uint32_t more = c->problems->error_count + c->problems->warning_count - c->problems->count;
    if (more > 0) {
        sp_out_print(out, "%s: %u more\n", c->path, more);
    }
}

static void tell_json(struct checking *c, const struct sp_saga_definition *definition) {
    struct sp_out *out = &c->cli->out;
    sp_out_print(out, "{");
    sp_out_json_text(out, "file", sp_str_from(c->path));
    sp_out_print(out, ",\"valid\":%s", c->problems->error_count == 0 ? "true" : "false");
    if (definition != NULL) {
        sp_out_json_text(out, "saga", definition->name);
        sp_out_json_u64(out, "steps", definition->step_count);
        sp_out_print(out, ",\"sha256\":\"");
        for (size_t i = 0; i < SP_SHA256_BYTES; i++) {
            sp_out_print(out, "%02x", definition->sha256[i]);
        }
        sp_out_print(out, "\"");
    }
    sp_out_print(out, ",\"problems\":");
    sp_doc_problems_write(c->problems, &out->buf);
    sp_out_print(out, "}\n");
    sp_out_line_end(out);
}

static void tell(struct checking *c, const struct sp_saga_definition *definition) {
    if (c->cli->args.own_values[SP_SAGA_CHECK_PRINT] != NULL && definition != NULL) {
        sp_out_print(&c->cli->out, "%.*s\n", SP_STR_ARG(definition->text));
        return;
    }
    if (c->cli->wants_json) {
        tell_json(c, definition);
        return;
    }
    tell_problems(c);
    if (definition != NULL) {
        sp_out_print(&c->cli->out, "%s: saga %.*s, %u steps, sha256 %02x%02x%02x%02x\n", c->path,
                     SP_STR_ARG(definition->name), definition->step_count, definition->sha256[0],
                     definition->sha256[1], definition->sha256[2], definition->sha256[3]);
    }
}

/* ---- checking -------------------------------------------------------------------------------- */

/* What could not be read as a document at all: its error has the place in its text. */
static void note_unread(struct checking *c, const struct sp_error *error) {
    struct sp_doc_place place = {.line = 1, .column = 1};
    const char *text = error->text;
    unsigned line = 0;
    unsigned column = 0;
    int used = 0;
    if (sscanf(text, "line %u, column %u: %n", &line, &column, &used) == 2 && used > 0) {
        place = (struct sp_doc_place){.line = line, .column = column};
        text += used;
    }
    sp_doc_wrong(c->problems, place, "%s", text);
}

/* The status is SP_OK where the file could be looked at, whatever was found. */
static sp_status check_document(struct checking *c, struct sp_doc *doc,
                                struct sp_saga_definition **ret_definition,
                                struct sp_error *error) {
    struct sp_saga_lookup lookup = {.context = c, .open = true, .find = find_known};
    sp_status status = sp_saga_definition_inline(doc, &lookup, c->problems, error);
    if (status == SP_OK) {
        status = sp_saga_definition_compile(doc, true, c->problems, ret_definition, error);
    }
    if (status == SP_OK) {
        return check_programs(c, *ret_definition, error);
    }
    if (c->problems->error_count == 0 && (status == SP_INVALID || status == SP_LIMIT)) {
        note_unread(c, error);
    }
    return status == SP_INVALID || status == SP_LIMIT ? SP_OK : status;
}

static int check_text(struct checking *c) {
    struct sp_saga_definition *definition = NULL;
    struct sp_error error;
    struct sp_doc doc;
    sp_doc_init(&doc);
    sp_doc_problems_init(c->problems);
    sp_status status = sp_yaml_read(&doc, c->text, sp_yaml_form_of(sp_str_from(c->path)), &error);
    if (status == SP_INVALID || status == SP_LIMIT) {
        note_unread(c, &error);
        status = SP_OK;
    } else if (status == SP_OK) {
        status = check_document(c, &doc, &definition, &error);
    }
    sp_doc_fini(&doc);
    if (status != SP_OK) {
        sp_cli_complain("%s: %s", c->path, error.text);
        sp_saga_definition_unref(definition);
        return SP_EXIT_FAILURE;
    }
    sp_doc_problems_sort(c->problems);
    bool good = c->problems->error_count == 0;
    c->all_good = c->all_good && good;
    tell(c, good ? definition : NULL);
    if (good) {
        c->known[c->known_count++] = definition;
    } else {
        sp_saga_definition_unref(definition);
    }
    return SP_EXIT_OK;
}

static int check_file(struct checking *c, const char *path) {
    struct sp_buf text;
    sp_buf_init(&text, SP_DOC_BYTES_MAX + 1);
    int code = sp_cli_read_file(path, &text);
    if (code == SP_EXIT_OK) {
        c->path = path;
        c->text = sp_buf_str(&text);
        code = check_text(c);
    }
    sp_buf_fini(&text);
    return code;
}

int sp_cmd_saga_check(struct sp_cli *cli) {
    struct checking c = {.cli = cli, .all_good = true};
    struct sp_error error;
    if (sp_jq_new(NULL, &c.jq, &error) != SP_OK) {
        sp_cli_complain("%s", error.text);
        return SP_EXIT_FAILURE;
    }
    c.problems = malloc(sizeof(*c.problems));
    c.known = calloc(cli->args.operand_count, sizeof(struct sp_saga_definition *));
    int code = c.problems != NULL && c.known != NULL ? SP_EXIT_OK : SP_EXIT_FAILURE;
    for (size_t i = 0; i < cli->args.operand_count && code == SP_EXIT_OK; i++) {
        code = check_file(&c, cli->args.operands[i]);
    }
    for (size_t i = 0; i < c.known_count; i++) {
        sp_saga_definition_unref(c.known[i]);
    }
    free(c.known);
    free(c.problems);
    sp_jq_free(c.jq);
    return code == SP_EXIT_OK && !c.all_good ? SP_EXIT_FAILURE : code;
}
