/*
 * schema ls, show, export: what is registered in the store, where there is one, and the vocabulary,
 * which is compiled in.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "cli/text.h"
#include "match/pattern.h"
#include "schema/vocabulary.h"

enum { PATH_BYTES_MAX = 4096 };

/* ---- the store ------------------------------------------------------------------------------- */

/*
 * Opens the store where one is there. That there is none matters only to who named it, or asks for
 * what only a store can tell.
 */
static int open_store(struct sp_cli *cli, bool needed, spoor **ret_store) {
    bool named = needed || (cli->url != NULL && !cli->is_url_guessed) ||
                 sp_args_has(&cli->args, SP_FLAG_DATA);
    *ret_store = NULL;
    if (named) {
        return sp_cli_open(cli, SPOOR_READ_ONLY, ret_store);
    }
    spoor_options options;
    spoor_options_init(&options);
    options.flags = SPOOR_READ_ONLY;
    const char *const places[] = {cli->url, cli->folder};
    for (int i = 0; i < 2 && *ret_store == NULL; i++) {
        if (places[i] != NULL && spoor_open(places[i], &options, ret_store, NULL) != SPOOR_OK) {
            *ret_store = NULL;
        }
    }
    return SP_EXIT_OK;
}

/* The text of a member of a flat JSON object; empty where it is not there. */
static sp_str member_text(sp_str object, const char *name) {
    struct sp_json json;
    sp_json_init(&json, object);
    struct sp_json_token token = sp_json_next(&json);
    while ((token = sp_json_next(&json)).type == SP_JSON_KEY) {
        bool wanted = sp_json_equal(token, sp_str_from(name));
        token = sp_json_next(&json);
        sp_str raw = sp_json_skip(&json, token);
        if (wanted) {
            return token.type == SP_JSON_STRING ? token.raw : raw;
        }
    }
    return SP_STR("");
}

/* ---- ls -------------------------------------------------------------------------------------- */

struct listing {
    struct sp_cli *cli;
    struct sp_table table;
    sp_str pattern;
    size_t count;
};

static void list_registered(void *context, const char *text, size_t len) {
    struct listing *listing = context;
    sp_str row = sp_str_of(text, len);
    sp_str type = member_text(row, "type");
    if (!sp_pattern_match(listing->pattern, type)) {
        return;
    }
    listing->count++;
    if (listing->cli->wants_json) {
        sp_out_print(&listing->cli->out, "%.*s\n", SP_STR_ARG(row));
        sp_out_line_end(&listing->cli->out);
        return;
    }
    struct sp_buf about;
    sp_buf_init(&about, 256);
    sp_buf_add_str(&about, SP_STR("registered; "));
    sp_buf_add_str(&about, member_text(row, "compatibility"));
    sp_table_add(&listing->table, type);
    sp_table_add(&listing->table, member_text(row, "version"));
    sp_table_add(&listing->table, member_text(row, "mode"));
    sp_table_add(&listing->table, sp_buf_str(&about));
    sp_buf_fini(&about);
}

static void list_builtin(struct listing *listing) {
    for (size_t i = 0; i < sp_vocabulary_count(); i++) {
        const struct sp_vocabulary_type *type = sp_vocabulary_at(i);
        if (!sp_vocabulary_matches(type, listing->pattern)) {
            continue;
        }
        listing->count++;
        if (listing->cli->wants_json) {
            sp_out_print(&listing->cli->out, "%s\n", type->row);
            sp_out_line_end(&listing->cli->out);
            continue;
        }
        sp_table_add(&listing->table, sp_str_from(type->type));
        sp_table_add(&listing->table, sp_str_from(type->version));
        sp_table_add(&listing->table, sp_str_from(type->domain));
        sp_table_add(&listing->table, sp_str_from(type->meaning));
    }
}

int sp_cmd_schema_ls(struct sp_cli *cli) {
    static const struct sp_table_column columns[] = {
        {.title = "TYPE", .columns_max = 40},
        {.title = "VERSION"},
        {.title = "DOMAIN", .is_dim = true},
        {.title = "MEANING"},
    };
    bool registered = cli->args.own_values[SP_SCHEMA_REGISTERED] != NULL;
    struct listing listing = {
        .cli = cli,
        .pattern = sp_str_from(cli->args.operand_count > 0 ? cli->args.operands[0] : "#")};
    struct sp_error error;
    spoor_error failure = {.status = SPOOR_OK};
    spoor *store = NULL;
    if (sp_pattern_check(listing.pattern, &error) != SP_OK) {
        return sp_cli_usage(cli, error.text);
    }
    int code = open_store(cli, registered, &store);
    if (code != SP_EXIT_OK) {
        return code;
    }
    sp_table_init(&listing.table, &cli->out, columns, sizeof(columns) / sizeof(*columns));
    if (store != NULL && spoor_schemas(store, list_registered, &listing, &failure) != SPOOR_OK) {
        code = sp_cli_fail(&failure);
    }
    if (!registered) {
        list_builtin(&listing);
    }
    sp_table_fini(&listing.table);
    spoor_close(store);
    if (code == SP_EXIT_OK && listing.count == 0 && cli->args.operand_count > 0) {
        sp_cli_complain("no type %s %s",
                        registered ? "that is registered matches" : "of the vocabulary matches",
                        cli->args.operands[0]);
        return SP_EXIT_NOT_FOUND;
    }
    return code;
}

/* ---- show ---- */

static void show_line(struct sp_out *out, const char *title, const char *text) {
    if (*text != '\0') {
        sp_out_print(out, "%-10s  %s\n", title, text);
    }
}

static void show_fields(struct sp_out *out, const struct sp_vocabulary_type *type) {
    static const struct sp_table_column columns[] = {
        {.title = "DATA", .columns_max = 32},
        {.title = "VALUE", .is_dim = true, .columns_max = 32},
        {.title = "REQUIRED", .is_dim = true},
        {.title = "MEANING"},
    };
    struct sp_table table;
    sp_table_init(&table, out, columns, sizeof(columns) / sizeof(*columns));
    for (size_t i = 0; i < type->field_count; i++) {
        const struct sp_vocabulary_field *field = &type->fields[i];
        sp_table_add(&table, sp_str_from(field->name));
        sp_table_add(&table, sp_str_from(field->kind));
        sp_table_add(&table, field->is_required ? SP_STR("yes") : SP_STR(""));
        sp_table_add(&table, sp_str_from(field->meaning));
    }
    sp_table_fini(&table);
}

static void show_type(struct sp_out *out, const struct sp_vocabulary_type *type) {
    sp_out_print(out, "%s, version %s\n%s\n\n", type->type, type->version, type->meaning);
    show_line(out, "domain", type->domain);
    show_line(out, "emitted by", type->emitted_by);
    show_line(out, "also", type->also);
    show_line(out, "see", type->see);
    sp_out_print(out, "\n");
    if (type->field_count > 0) {
        show_fields(out, type);
        sp_out_print(out, "\n");
    }
    sp_out_print(out, "example     ");
    sp_text_add_pretty(&out->buf, sp_str_from(type->example), 12);
    sp_out_print(out, "\n");
}

static void show_registered(void *context, const char *text, size_t len) {
    struct sp_cli *cli = context;
    sp_str row = sp_str_of(text, len);
    if (cli->wants_json) {
        sp_out_print(&cli->out, "%.*s\n", SP_STR_ARG(row));
        return;
    }
    static const char *const LINES[] = {"mode",    "compatibility", "position",
                                        "checked", "refused",       "warned"};
    sp_out_print(&cli->out, "%.*s, version %.*s, registered\n\n",
                 SP_STR_ARG(member_text(row, "type")), SP_STR_ARG(member_text(row, "version")));
    for (size_t i = 0; i < sizeof(LINES) / sizeof(LINES[0]); i++) {
        sp_out_print(&cli->out, "%-14s  %.*s\n", LINES[i], SP_STR_ARG(member_text(row, LINES[i])));
    }
    sp_out_print(&cli->out, "\n");
    sp_text_add_pretty(&cli->out.buf, member_text(row, "schema"), 0);
    sp_out_print(&cli->out, "\n");
}

static int show_builtin(struct sp_cli *cli, const char *name, const char *version) {
    const struct sp_vocabulary_type *type = sp_vocabulary_find(sp_str_from(name));
    if (type == NULL || (version != NULL && strcmp(type->version, version) != 0)) {
        sp_cli_complain("there is no schema of %s%s%s; `spoor schema ls` lists all", name,
                        version != NULL ? " version " : "", version != NULL ? version : "");
        return SP_EXIT_NOT_FOUND;
    }
    if (cli->wants_json) {
        sp_out_print(&cli->out, "%s\n", type->json);
    } else {
        show_type(&cli->out, type);
    }
    return SP_EXIT_OK;
}

int sp_cmd_schema_show(struct sp_cli *cli) {
    const char *name = cli->args.operands[0];
    const char *version = cli->args.operand_count > 1 ? cli->args.operands[1] : NULL;
    spoor *store = NULL;
    spoor_error error = {.status = SPOOR_OK};
    int code = open_store(cli, false, &store);
    if (code != SP_EXIT_OK) {
        return code;
    }
    spoor_status status = SPOOR_NOT_FOUND;
    if (store != NULL) {
        status = spoor_schema_get(store, name, version, show_registered, cli, &error);
        spoor_close(store);
    }
    return status == SPOOR_OK          ? SP_EXIT_OK
           : status == SPOOR_NOT_FOUND ? show_builtin(cli, name, version)
                                       : sp_cli_fail(&error);
}

/* ---- export ---- */

static int fail_at(const char *path) {
    char text[128];
    sp_cli_complain("%s: %s", path, strerror_r(errno, text, sizeof(text)));
    return SP_EXIT_FAILURE;
}

static int make_folder(const char *path) {
    return mkdir(path, 0777) == 0 || errno == EEXIST ? SP_EXIT_OK : fail_at(path);
}

/* The schema over several lines, as a person would keep it. */
static int write_schema(const char *path, const struct sp_vocabulary_type *type) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        return fail_at(path);
    }
    struct sp_out out;
    struct sp_error error;
    sp_out_init(&out, fd, false);
    sp_text_add_pretty(&out.buf, sp_str_from(type->schema), 0);
    sp_out_print(&out, "\n");
    sp_status status = sp_out_fini(&out, &error);
    if (close(fd) != 0) {
        return fail_at(path);
    }
    if (status != SP_OK) {
        sp_cli_complain("%s: %s", path, error.text);
        return SP_EXIT_FAILURE;
    }
    return SP_EXIT_OK;
}

static int export_type(const char *folder, const struct sp_vocabulary_type *type) {
    struct sp_buf path;
    sp_buf_init(&path, PATH_BYTES_MAX);
    sp_buf_add_str(&path, sp_str_from(folder));
    sp_buf_add_byte(&path, '/');
    sp_buf_add_str(&path, sp_str_from(type->type));
    size_t folder_len = path.len;
    sp_buf_add_byte(&path, '/');
    sp_buf_add_str(&path, sp_str_from(type->version));
    sp_buf_add_str(&path, SP_STR(".json"));
    sp_buf_add_byte(&path, 0);
    if (path.status != SP_OK) {
        sp_buf_fini(&path);
        sp_cli_complain("%s: the path is too long", folder);
        return SP_EXIT_FAILURE;
    }
    char *text = (char *)path.data;
    text[folder_len] = '\0';
    int code = make_folder(text);
    text[folder_len] = '/';
    code = code == SP_EXIT_OK ? write_schema(text, type) : code;
    sp_buf_fini(&path);
    return code;
}

int sp_cmd_schema_export(struct sp_cli *cli) {
    const char *folder = cli->args.operands[0];
    int code = make_folder(folder);
    for (size_t i = 0; i < sp_vocabulary_count() && code == SP_EXIT_OK; i++) {
        code = export_type(folder, sp_vocabulary_at(i));
    }
    if (code == SP_EXIT_OK) {
        sp_cli_say(cli, "%zu schemas written to %s", sp_vocabulary_count(), folder);
    }
    return code;
}
