/* saga test: cases of sagas, played without a store. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/files.h"
#include "cli/saga_case.h"
#include "flow/definition.h"
#include "jq/jq.h"
#include "yaml/yaml.h"

enum { PATH_SIZE = 4096, PROGRAMS_MAX = 256, LOG_BYTES_MAX = 64 << 20 };

/* A program that was compiled, by its text. */
struct known_program {
    char *text;
    size_t len;
    struct sp_jq_program *program;
};

struct testing {
    struct sp_cli *cli;
    struct sp_jq *jq;
    struct known_program programs[PROGRAMS_MAX];
    uint32_t program_count;
    const char *path; /* of the file that is being read */
    const char *only; /* cases whose name holds this; NULL: all */
    bool shows;
    uint64_t passed;
    uint64_t failed;
};

/* ---- programs -------------------------------------------------------------------------------- */

static void drop_programs(struct testing *t) {
    for (uint32_t i = 0; i < t->program_count; i++) {
        sp_jq_drop(t->programs[i].program);
        free(t->programs[i].text);
    }
    t->program_count = 0;
}

static sp_status find_program(struct testing *t, sp_str text, struct sp_jq_program **ret,
                              struct sp_error *error) {
    for (uint32_t i = 0; i < t->program_count; i++) {
        if (sp_str_eq(text, sp_str_of(t->programs[i].text, t->programs[i].len))) {
            *ret = t->programs[i].program;
            return SP_OK;
        }
    }
    if (t->program_count == PROGRAMS_MAX) {
        drop_programs(t);
    }
    struct known_program known = {.text = malloc(text.len + 1), .len = text.len};
    if (known.text == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "out of memory");
    }
    memcpy(known.text, text.ptr, text.len);
    sp_status status = sp_jq_define(t->jq, text, NULL, 0, &known.program, error);
    if (status != SP_OK) {
        free(known.text);
        return status;
    }
    t->programs[t->program_count++] = known;
    *ret = known.program;
    return SP_OK;
}

static sp_status evaluate(void *context, sp_str text, sp_str input, struct sp_buf *to,
                          struct sp_error *error) {
    struct sp_jq_program *program = NULL;
    sp_status status = find_program(context, text, &program, error);
    return status == SP_OK ? sp_jq_value(program, &input, to, error) : status;
}

/* ---- definitions ----------------------------------------------------------------------------- */

/* The documents that a case defines; each is a copy of its own. */
struct definitions {
    struct sp_doc docs[SP_SAGA_CASE_DEFINITIONS_MAX];
    uint32_t count;
};

static void free_definitions(struct definitions *definitions) {
    for (uint32_t i = 0; i < definitions->count; i++) {
        sp_doc_fini(&definitions->docs[i]);
    }
    free(definitions);
}

static sp_status add_text(struct definitions *definitions, sp_str text, enum sp_yaml_form form,
                          struct sp_error *error) {
    if (definitions->count == SP_SAGA_CASE_DEFINITIONS_MAX) {
        return sp_error_set(error, SP_LIMIT, "a case defines at most %d sagas",
                            SP_SAGA_CASE_DEFINITIONS_MAX);
    }
    struct sp_doc *doc = &definitions->docs[definitions->count];
    sp_doc_init(doc);
    sp_status status = sp_yaml_read(doc, text, form, error);
    if (status != SP_OK) {
        sp_doc_fini(doc);
        return status;
    }
    definitions->count++;
    return SP_OK;
}

static sp_status add_node(struct definitions *definitions, const struct sp_doc_node *node,
                          struct sp_error *error) {
    struct sp_buf json;
    sp_buf_init(&json, SP_DOC_BYTES_MAX);
    sp_doc_write(node, &json);
    sp_status status = add_text(definitions, sp_buf_str(&json), SP_YAML_JSON, error);
    sp_buf_fini(&json);
    return status;
}

/* A file is named from where the file with the case is. */
static sp_status add_file(struct testing *t, struct definitions *definitions, sp_str name,
                          struct sp_error *error) {
    char path[PATH_SIZE];
    const char *slash = strrchr(t->path, '/');
    int folder =
        slash == NULL || (name.len > 0 && name.ptr[0] == '/') ? 0 : (int)(slash - t->path) + 1;
    int len = snprintf(path, sizeof(path), "%.*s%.*s", folder, t->path, SP_STR_ARG(name));
    struct sp_buf text;
    sp_buf_init(&text, SP_DOC_BYTES_MAX);
    sp_status status = SP_INVALID;
    if (len < 0 || (size_t)len >= sizeof(path) || sp_cli_read_file(path, &text) != SP_EXIT_OK) {
        (void)sp_error_set(error, SP_INVALID, "the file %.*s cannot be read", SP_STR_ARG(name));
    } else {
        status = add_text(definitions, sp_buf_str(&text), sp_yaml_form_of(name), error);
        status = status == SP_OK ? SP_OK : sp_error_prefix(error, SP_INVALID, "%s", path);
    }
    sp_buf_fini(&text);
    return status;
}

/* What the node says of definitions, in this order: files, several, one. */
static sp_status gather(struct testing *t, const struct sp_doc_node *node,
                        struct definitions *definitions, struct sp_error *error) {
    const struct sp_doc_node *files = sp_doc_get(node, "files");
    const struct sp_doc_node *several = sp_doc_get(node, "definitions");
    const struct sp_doc_node *one = sp_doc_get(node, "definition");
    sp_status status = SP_OK;
    for (const struct sp_doc_node *at = files != NULL ? files->first : NULL;
         at != NULL && status == SP_OK; at = at->next) {
        status = add_file(t, definitions, at->text, error);
    }
    for (const struct sp_doc_node *at = several != NULL ? several->first : NULL;
         at != NULL && status == SP_OK; at = at->next) {
        status = add_node(definitions, at, error);
    }
    return status == SP_OK && one != NULL ? add_node(definitions, one, error) : status;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void report(struct testing *t, sp_str name, const struct sp_doc_node *node,
                   const struct sp_saga_case_result *result) {
    struct sp_out *out = &t->cli->out;
    if (result->passed) {
        t->passed++;
    } else {
        t->failed++;
    }
    if (t->cli->wants_json) {
        sp_out_print(out, "{");
        sp_out_json_text(out, "file", sp_str_from(t->path));
        sp_out_json_u64(out, "line", node->place.line);
        sp_out_json_text(out, "case", name);
        sp_out_json_text(out, "result", result->passed ? SP_STR("passed") : SP_STR("failed"));
        sp_out_json_text(out, "problem", sp_str_from(result->text));
        sp_out_print(out, "}\n");
    } else if (result->passed) {
        sp_out_print(out, "ok      %.*s\n", SP_STR_ARG(name));
    } else {
        sp_out_print(out, "FAILED  %.*s (%s:%u): %s\n", SP_STR_ARG(name), t->path, node->place.line,
                     result->text);
    }
    if (result->log != NULL && (t->shows || !result->passed) && !t->cli->wants_json) {
        sp_buf_add_str(&out->buf, sp_buf_str(result->log));
    }
    sp_out_flush(out);
}

/* As it stands, then with the process dying all the time: as expected both times. */
static sp_status play(struct testing *t, struct sp_saga_case *played, sp_str name,
                      struct sp_error *error) {
    struct sp_buf log;
    sp_buf_init(&log, LOG_BYTES_MAX);
    struct sp_saga_case_result alive = {.log = &log};
    struct sp_saga_case_result dying = {.passed = false};
    played->crashes = SP_SAGA_CASE_LIVES;
    sp_status status = sp_saga_case_play(played, &alive, error);
    if (status == SP_OK && alive.passed) {
        played->crashes = SP_SAGA_CASE_DIES_OFTEN;
        status = sp_saga_case_play(played, &dying, error);
        alive.passed = dying.passed;
        (void)snprintf(alive.text, sizeof(alive.text), "%s%.900s",
                       alive.passed ? "" : "with the process dying at every append: ", dying.text);
    }
    if (status == SP_OK) {
        report(t, name, played->node, &alive);
    }
    sp_buf_fini(&log);
    return status;
}

static bool is_wanted(const struct testing *t, sp_str name) {
    size_t len = t->only == NULL ? 0 : strlen(t->only);
    bool wanted = len == 0;
    for (size_t at = 0; at + len <= name.len && !wanted; at++) {
        wanted = memcmp(name.ptr + at, t->only, len) == 0;
    }
    return wanted;
}

static void test_case(struct testing *t, const struct sp_doc_node *root,
                      const struct sp_doc_node *node) {
    struct sp_error error = {.status = SP_OK};
    const struct sp_doc_node *name = sp_doc_get(node, "case");
    struct definitions *definitions = calloc(1, sizeof(*definitions));
    sp_status status = definitions == NULL ? sp_error_set(&error, SP_NO_MEMORY, "out of memory")
                       : name == NULL || name->kind != SP_DOC_TEXT
                           ? sp_error_set(&error, SP_INVALID,
                                          "line %u, column %u: a case has a name, as `case: NAME`",
                                          node->place.line, node->place.column)
                           : SP_OK;
    if (status == SP_OK && !is_wanted(t, name->text)) {
        free(definitions);
        return;
    }
    if (status == SP_OK) { /* its own, or else those of the file */
        status = gather(t, node, definitions, &error);
    }
    if (status == SP_OK && definitions->count == 0 && root->kind == SP_DOC_OBJECT) {
        status = gather(t, root, definitions, &error);
    }
    if (status == SP_OK) {
        struct sp_saga_case played = {.node = node, .context = t, .evaluate = evaluate};
        for (uint32_t i = 0; i < definitions->count; i++) {
            played.definitions[played.definition_count++] = &definitions->docs[i];
        }
        status = play(t, &played, name->text, &error);
    }
    if (status != SP_OK) {
        t->failed++;
        sp_cli_complain("%s: %s", t->path, error.text);
    }
    if (definitions != NULL) {
        free_definitions(definitions);
    }
}

static void test_document(struct testing *t, const struct sp_doc_node *root) {
    const struct sp_doc_node *cases = root;
    if (root->kind == SP_DOC_OBJECT && sp_doc_get(root, "case") != NULL) {
        test_case(t, root, root);
        return;
    }
    if (root->kind == SP_DOC_OBJECT) {
        cases = sp_doc_get(root, "cases");
    }
    if (cases == NULL || cases->kind != SP_DOC_ARRAY) {
        t->failed++;
        sp_cli_complain(
            "%s: it holds no cases: a list of them is expected, by itself or as `cases`", t->path);
        return;
    }
    for (const struct sp_doc_node *at = cases->first; at != NULL; at = at->next) {
        test_case(t, root, at);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

static int test_file(struct testing *t, const char *path) {
    struct sp_error error;
    struct sp_buf text;
    struct sp_doc doc;
    sp_buf_init(&text, SP_DOC_BYTES_MAX);
    int code = sp_cli_read_file(path, &text);
    if (code == SP_EXIT_OK) {
        t->path = path;
        sp_doc_init(&doc);
        if (sp_yaml_read(&doc, sp_buf_str(&text), sp_yaml_form_of(sp_str_from(path)), &error) ==
            SP_OK) {
            test_document(t, doc.root);
        } else {
            t->failed++;
            sp_cli_complain("%s: %s", path, error.text);
        }
        sp_doc_fini(&doc);
    }
    sp_buf_fini(&text);
    return code;
}

static int is_case_file(const struct dirent *entry) {
    sp_str name = sp_str_from(entry->d_name);
    return sp_str_ends_with(name, SP_STR(".yaml")) || sp_str_ends_with(name, SP_STR(".yml")) ||
           sp_str_ends_with(name, SP_STR(".json"));
}

/* The files of a folder that are YAML or JSON, in the order of their names. */
static int test_folder(struct testing *t, const char *folder) {
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_case_file, alphasort);
    if (count <= 0) {
        sp_cli_complain("%s: %s", folder,
                        count < 0 ? "it cannot be read" : "there are no files of cases in it");
        free(entries);
        return SP_EXIT_NOT_FOUND;
    }
    int code = SP_EXIT_OK;
    for (int i = 0; i < count; i++) {
        char path[PATH_SIZE];
        int len = snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        if (code == SP_EXIT_OK && len > 0 && (size_t)len < sizeof(path)) {
            code = test_file(t, path);
        }
        free(entries[i]);
    }
    free(entries);
    return code;
}

int sp_cmd_saga_test(struct sp_cli *cli) {
    struct sp_error error;
    struct testing *t = calloc(1, sizeof(*t));
    if (t == NULL || sp_jq_new(NULL, &t->jq, &error) != SP_OK) {
        free(t);
        sp_cli_complain("out of memory");
        return SP_EXIT_FAILURE;
    }
    t->cli = cli;
    t->only = cli->args.own_values[SP_SAGA_TEST_ONLY];
    t->shows = cli->args.own_values[SP_SAGA_TEST_SHOW] != NULL;
    int code = SP_EXIT_OK;
    for (size_t i = 0; i < cli->args.operand_count && code == SP_EXIT_OK; i++) {
        struct stat about;
        const char *path = cli->args.operands[i];
        bool is_folder = stat(path, &about) == 0 && S_ISDIR(about.st_mode);
        code = is_folder ? test_folder(t, path) : test_file(t, path);
    }
    drop_programs(t);
    sp_jq_free(t->jq);
    sp_out_flush(&cli->out);
    if (code == SP_EXIT_OK) {
        sp_cli_say(cli, "%llu passed, %llu failed", (unsigned long long)t->passed,
                   (unsigned long long)t->failed);
        code = t->failed > 0 || t->passed == 0 ? SP_EXIT_FAILURE : SP_EXIT_OK;
    }
    free(t);
    return code;
}
