/* schema add, rm: what events of the store are held to. */
#include <string.h>

#include "cli/cli.h"
#include "cli/files.h"
#include "schema/json_schema.h"
#include "schema/vocabulary.h"

enum { FILE_BYTES_MAX = SP_SCHEMA_BYTES_MAX + (128 << 10) };

/* The mode that the options name; NULL: none. */
static const char *mode_of(const struct sp_args *args, bool *ret_several) {
    static const char *const MODES[] = {"enforce", "warn", "off"};
    const char *mode = NULL;
    *ret_several = false;
    for (int i = 0; i < 3; i++) {
        if (args->own_values[SP_SCHEMA_ENFORCE_FLAG + i] != NULL) {
            *ret_several |= mode != NULL;
            mode = MODES[i];
        }
    }
    return mode;
}

struct adding {
    const char *type;
    const char *version;
    const char *mode;
    const char *compatibility;
};

static int add_text(struct sp_cli *cli, const struct adding *adding, sp_str text) {
    spoor *store = NULL;
    spoor_error error = {.status = SPOOR_OK};
    struct sp_schema *schema = NULL;
    struct sp_error mistake;
    /* A mistake is told with its place in the file, and no store is asked. */
    if (sp_schema_compile(text, NULL, &schema, &mistake) != SP_OK) {
        unsigned line;
        unsigned column;
        sp_cli_place_of(text, mistake.offset, &line, &column);
        sp_cli_complain("%s:%u:%u: %s",
                        cli->args.operand_count > 0 ? cli->args.operands[0] : adding->type, line,
                        column, mistake.text);
        return SP_EXIT_FAILURE;
    }
    if (cli->args.operand_count > 0) {
        sp_cli_tell_unknown(cli, cli->args.operands[0], text, schema);
    }
    sp_schema_unref(schema);
    int code = sp_cli_open(cli, SPOOR_CREATE, &store);
    if (code != SP_EXIT_OK) {
        return code;
    }
    spoor_status status = spoor_schema_add(store, adding->type, adding->version, text.ptr,
                                           adding->mode, adding->compatibility, &error);
    code = status == SPOOR_OK ? SP_EXIT_OK : sp_cli_fail(&error);
    if (status == SPOOR_OK) {
        sp_cli_say(cli, "schema of %s version %s is registered", adding->type, adding->version);
    }
    spoor_close(store);
    return code;
}

static int add_builtin(struct sp_cli *cli, struct adding *adding) {
    const struct sp_vocabulary_type *type = sp_vocabulary_find(sp_str_from(adding->type));
    if (cli->args.operand_count > 0) {
        return sp_cli_usage(cli, "--builtin stands in place of a file");
    }
    if (type == NULL) {
        sp_cli_complain("the vocabulary has no type %s; `spoor schema ls` lists them",
                        adding->type);
        return SP_EXIT_NOT_FOUND;
    }
    if (adding->version != NULL && strcmp(adding->version, type->version) != 0) {
        sp_cli_complain("the vocabulary has version %s of %s", type->version, type->type);
        return SP_EXIT_NOT_FOUND;
    }
    adding->type = type->type;
    adding->version = type->version;
    return add_text(cli, adding, sp_str_from(type->schema));
}

int sp_cmd_schema_add(struct sp_cli *cli) {
    const struct sp_args *args = &cli->args;
    bool several = false;
    struct adding adding = {
        .type = args->own_values[SP_SCHEMA_TYPE],
        .version = args->own_values[SP_SCHEMA_VERSION],
        .mode = mode_of(args, &several),
        .compatibility = args->own_values[SP_SCHEMA_COMPATIBILITY],
    };
    if (several) {
        return sp_cli_usage(cli, "give one of --enforce, --warn and --off");
    }
    if (adding.type == NULL) {
        return sp_cli_usage(cli, "--type is missing: of which events?");
    }
    if (args->own_values[SP_SCHEMA_BUILTIN] != NULL) {
        return add_builtin(cli, &adding);
    }
    if (args->operand_count == 0) {
        return sp_cli_usage(cli, "a file with the schema is missing, or --builtin");
    }
    if (adding.version == NULL) {
        return sp_cli_usage(cli, "--version is missing: which one of the schema is it?");
    }
    struct sp_buf text;
    sp_buf_init(&text, FILE_BYTES_MAX);
    int code = sp_cli_read_file(args->operands[0], &text);
    if (code == SP_EXIT_OK) {
        sp_str whole = sp_buf_str(&text);
        sp_buf_add_byte(&text, 0);
        whole.ptr = (const char *)text.data;
        code = add_text(cli, &adding, whole);
    }
    sp_buf_fini(&text);
    return code;
}

int sp_cmd_schema_rm(struct sp_cli *cli) {
    spoor *store = NULL;
    spoor_error error = {.status = SPOOR_OK};
    const char *type = cli->args.operands[0];
    const char *version = cli->args.operands[1];
    int code = sp_cli_open(cli, 0, &store);
    if (code != SP_EXIT_OK) {
        return code;
    }
    if (spoor_schema_remove(store, type, version, &error) != SPOOR_OK) {
        code = sp_cli_fail(&error);
    } else {
        sp_cli_say(cli, "schema of %s version %s is removed", type, version);
    }
    spoor_close(store);
    return code;
}
