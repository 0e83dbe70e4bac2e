/* schema ls, show, export: the vocabulary, which is compiled in; no store, no server is needed. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "cli/text.h"
#include "match/pattern.h"
#include "schema/vocabulary.h"

enum { PATH_BYTES_MAX = 4096 };

/* ---- ls ---- */

int sp_cmd_schema_ls(struct sp_cli *cli) {
    static const struct sp_table_column columns[] = {
        {.title = "TYPE", .columns_max = 40},
        {.title = "VERSION"},
        {.title = "DOMAIN", .is_dim = true},
        {.title = "MEANING"},
    };
    sp_str pattern = sp_str_from(cli->args.operand_count > 0 ? cli->args.operands[0] : "#");
    struct sp_error error;
    if (sp_pattern_check(pattern, &error) != SP_OK) {
        return sp_cli_usage(cli, error.text);
    }
    struct sp_table table;
    size_t count = 0;
    sp_table_init(&table, &cli->out, columns, sizeof(columns) / sizeof(*columns));
    for (size_t i = 0; i < sp_vocabulary_count(); i++) {
        const struct sp_vocabulary_type *type = sp_vocabulary_at(i);
        if (!sp_vocabulary_matches(type, pattern)) {
            continue;
        }
        count++;
        if (cli->wants_json) {
            sp_out_print(&cli->out, "%s\n", type->row);
            sp_out_line_end(&cli->out);
            continue;
        }
        sp_table_add(&table, sp_str_from(type->type));
        sp_table_add(&table, sp_str_from(type->version));
        sp_table_add(&table, sp_str_from(type->domain));
        sp_table_add(&table, sp_str_from(type->meaning));
    }
    sp_table_fini(&table);
    if (count == 0) {
        sp_cli_complain("no type of the vocabulary matches %s", cli->args.operands[0]);
        return SP_EXIT_NOT_FOUND;
    }
    return SP_EXIT_OK;
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

int sp_cmd_schema_show(struct sp_cli *cli) {
    const char *name = cli->args.operands[0];
    const struct sp_vocabulary_type *type = sp_vocabulary_find(sp_str_from(name));
    if (type == NULL) {
        sp_cli_complain("the vocabulary has no type %s; `spoor schema ls` lists them", name);
        return SP_EXIT_NOT_FOUND;
    }
    if (cli->wants_json) {
        sp_out_print(&cli->out, "%s\n", type->json);
    } else {
        show_type(&cli->out, type);
    }
    return SP_EXIT_OK;
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
