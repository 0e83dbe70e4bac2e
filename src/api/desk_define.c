/* Definitions of sagas, joins and schedules: checking, defining, listing and removing them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/desk_int.h"
#include "base/json.h"
#include "flow/doc.h"
#include "flow/flow.h"
#include "flow/saga.h"
#include "yaml/yaml.h"

static enum sp_flow_defines kind_of(const struct sp_desk_call *call) {
    const char *desk = call->request->verb->desk;
    return strcmp(desk, "saga") == 0   ? SP_FLOW_DEFINES_SAGA
           : strcmp(desk, "join") == 0 ? SP_FLOW_DEFINES_JOIN
                                       : SP_FLOW_DEFINES_SCHEDULE;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* One problem, as sp_doc_problems_write writes several: the text says `line 3, column 7: …`. */
static void tell_syntax(struct sp_desk_call *call, const struct sp_error *error) {
    struct sp_doc_place place = {.line = 1, .column = 1};
    struct sp_buf *to = &call->answer->member;
    const char *text = error->text;
    unsigned line;
    unsigned column;
    int len = 0;
    if (sscanf(text, "line %u, column %u: %n", &line, &column, &len) == 2 && len > 0) {
        place = (struct sp_doc_place){.line = line, .column = column};
        text += len;
    }
    sp_buf_add_str(to, SP_STR("[{"));
    desk_add_u64(to, "line", place.line);
    desk_add_u64(to, "column", place.column);
    desk_add_text(to, "severity", SP_STR("error"));
    desk_add_text(to, "text", sp_str_from(text));
    sp_buf_add_str(to, SP_STR("}]"));
}

static sp_status read_doc(struct sp_desk_call *call, struct sp_doc *doc, struct sp_error *error) {
    sp_str text = call->request->subject;
    sp_status status = sp_yaml_read(doc, text, SP_YAML_GUESS, error);
    if (status == SP_INVALID || status == SP_LIMIT) {
        call->answer->member_name = "errors";
        tell_syntax(call, error);
    }
    return status;
}

/* The name in the text must be the one that was asked for, where one was. */
static sp_status check_name(const struct sp_desk_call *call, const struct sp_doc *doc,
                            struct sp_doc_problems *problems, struct sp_error *error) {
    sp_str wanted = desk_option(call, SP_DESK_NAME);
    const struct sp_doc_node *node = sp_doc_get(doc->root, call->request->verb->desk);
    if (wanted.len == 0 || node == NULL || node->kind != SP_DOC_TEXT ||
        sp_str_eq(node->text, wanted)) {
        return SP_OK;
    }
    sp_doc_wrong(problems, node->place, "expected the name %.*s, found %.*s",
                 wanted.len > 64 ? 64 : (int)wanted.len, wanted.ptr,
                 node->text.len > 64 ? 64 : (int)node->text.len, node->text.ptr);
    return sp_doc_problems_status(problems, error);
}

/* ---- define, check --------------------------------------------------------------------------- */

static void add_problems(struct sp_buf *to, const char *name,
                         const struct sp_doc_problems *problems) {
    desk_add_name(to, name);
    sp_doc_problems_write(problems, to);
}

static void tell_defined(struct sp_desk_call *call, const struct sp_doc *doc,
                         const struct sp_engine_defined *defined,
                         const struct sp_doc_problems *problems) {
    const char *desk = call->request->verb->desk;
    const struct sp_doc_node *name = sp_doc_get(doc->root, desk);
    struct sp_buf *to = &call->answer->text;
    call->answer->changed = call->answer->created = !defined->unchanged;
    sp_buf_add_byte(to, '{');
    desk_add_text(to, desk, name != NULL ? name->text : SP_STR(""));
    desk_add_text(to, "sha256", sp_str_from(defined->sha256));
    desk_add_u64(to, "position", defined->position);
    desk_add_bool(to, "unchanged", defined->unchanged);
    add_problems(to, "warnings", problems);
    sp_buf_add_byte(to, '}');
}

static sp_status define(struct sp_desk_call *call, struct sp_doc *doc,
                        struct sp_doc_problems *problems, struct sp_error *error) {
    struct sp_engine_defined defined;
    sp_status status = read_doc(call, doc, error);
    if (status != SP_OK) {
        return status;
    }
    status = check_name(call, doc, problems, error);
    if (status == SP_OK) {
        status = sp_engine_flow_define(call->engine, kind_of(call), doc, call->by, problems,
                                       &defined, error);
    }
    sp_doc_problems_sort(problems);
    if (status == SP_OK) {
        tell_defined(call, doc, &defined, problems);
    } else if (status == SP_INVALID) {
        call->answer->member_name = "errors";
        sp_doc_problems_write(problems, &call->answer->member);
    }
    return status;
}

/* {"valid", "problems"}: what is wrong with it is no error of the call. */
static sp_status check(struct sp_desk_call *call, struct sp_doc *doc,
                       struct sp_doc_problems *problems, struct sp_error *error) {
    struct sp_buf *to = &call->answer->text;
    sp_status status = read_doc(call, doc, error);
    bool syntax = status == SP_INVALID || status == SP_LIMIT;
    if (status == SP_OK) {
        status = check_name(call, doc, problems, error);
        sp_status checked = sp_engine_flow_check(call->engine, kind_of(call), doc, problems, error);
        status = checked != SP_OK ? checked : status;
    }
    if (status != SP_OK && status != SP_INVALID && !syntax) {
        return status;
    }
    sp_buf_add_byte(to, '{');
    desk_add_bool(to, "valid", status == SP_OK);
    desk_add_name(to, "problems");
    if (syntax) {
        sp_buf_add_str(to, sp_buf_str(&call->answer->member));
    } else {
        sp_doc_problems_sort(problems);
        sp_doc_problems_write(problems, to);
    }
    sp_buf_add_byte(to, '}');
    return SP_OK;
}

/* Problems are large: they are not for the stack. */
static sp_status with_doc(struct sp_desk_call *call, struct sp_error *error,
                          sp_status (*what)(struct sp_desk_call *call, struct sp_doc *doc,
                                            struct sp_doc_problems *problems,
                                            struct sp_error *error)) {
    struct sp_doc doc;
    struct sp_doc_problems *problems = malloc(sizeof(*problems));
    if (problems == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "no memory for the definition");
    }
    sp_doc_problems_init(problems);
    sp_doc_init(&doc);
    sp_status status = what(call, &doc, problems, error);
    sp_doc_fini(&doc);
    free(problems);
    return status;
}

sp_status desk_define(struct sp_desk_call *call, struct sp_error *error) {
    return with_doc(call, error, define);
}

sp_status desk_check(struct sp_desk_call *call, struct sp_error *error) {
    return with_doc(call, error, check);
}

sp_status desk_undefine(struct sp_desk_call *call, struct sp_error *error) {
    uint64_t position = 0;
    struct sp_buf *to = &call->answer->text;
    sp_status status = sp_engine_flow_remove(call->engine, kind_of(call), call->request->subject,
                                             call->by, &position, error);
    if (status == SP_OK) {
        call->answer->changed = true;
        sp_buf_add_byte(to, '{');
        desk_add_text(to, call->request->verb->desk, call->request->subject);
        desk_add_bool(to, "removed", true);
        desk_add_u64(to, "position", position);
        sp_buf_add_byte(to, '}');
    }
    return status;
}

/* ---- definitions of sagas -------------------------------------------------------------------- */

static void add_sha256(struct sp_buf *to, const uint8_t sha256[SP_SHA256_BYTES]) {
    static const char DIGITS[] = "0123456789abcdef";
    char text[2 * SP_SHA256_BYTES];
    for (size_t i = 0; i < SP_SHA256_BYTES; i++) {
        text[2 * i] = DIGITS[sha256[i] >> 4];
        text[2 * i + 1] = DIGITS[sha256[i] & 15];
    }
    desk_add_text(to, "sha256", sp_str_of(text, sizeof(text)));
}

static void add_usable(struct sp_buf *to, const struct sp_saga_definition *definition) {
    if (definition->version.len > 0) {
        desk_add_text(to, "version", definition->version);
    }
    if (definition->description.len > 0) {
        desk_add_text(to, "description", definition->description);
    }
    add_sha256(to, definition->sha256);
    desk_add_u64(to, "steps", definition->step_count);
    if (definition->start_pattern.len > 0) {
        desk_add_text(to, "on", definition->start_pattern);
    }
}

static void write_definition(struct sp_desk_call *call, const struct sp_saga_definition_info *info,
                             bool with_text) {
    struct sp_buf *to = &call->answer->text;
    sp_buf_add_byte(to, '{');
    desk_add_text(to, "saga", info->name);
    if (info->definition != NULL) {
        add_usable(to, info->definition);
    } else {
        desk_add_text(to, "unusable", info->unusable);
    }
    desk_add_u64(to, "running", info->running);
    desk_add_u64(to, "position", info->position);
    desk_add_time(to, "defined", info->defined_us);
    if (with_text && info->definition != NULL) {
        desk_add_name(to, "definition");
        sp_buf_add_str(to, info->definition->text);
    }
    sp_buf_add_byte(to, '}');
}

static bool list_definition(void *context, const struct sp_saga_definition_info *info) {
    struct sp_desk_call *call = context;
    write_definition(call, info, false);
    desk_end_row(call);
    return call->answer->text.status == SP_OK;
}

sp_status desk_saga_definitions(struct sp_desk_call *call, struct sp_error *error) {
    (void)error;
    sp_sagas_definitions(sp_flow_sagas(sp_engine_flow(call->engine)), list_definition, call);
    return SP_OK;
}

sp_status desk_saga_definition(struct sp_desk_call *call, struct sp_error *error) {
    struct sp_saga_definition_info info;
    sp_str name = call->request->subject;
    if (!sp_sagas_definition(sp_flow_sagas(sp_engine_flow(call->engine)), name, &info)) {
        return sp_error_set(error, SP_NOT_FOUND, "there is no definition of a saga '%.*s'",
                            name.len > 64 ? 64 : (int)name.len, name.ptr);
    }
    write_definition(call, &info, true);
    return SP_OK;
}
