/* serve: settings from the command line and a file, then the server. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "server/serve.h"

enum { CONFIG_BYTES_MAX = 1 << 20 };

/* Reads a whole file. Returns an exit code; what is wrong is said. */
static int read_file(const char *path, struct sp_buf *to) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        sp_cli_complain("cannot read %s", path);
        return SP_EXIT_NOT_FOUND;
    }
    for (;;) {
        uint8_t *room = sp_buf_reserve(to, 4096);
        size_t len = room == NULL ? 0 : fread(room, 1, 4096, file);
        if (len == 0) {
            break;
        }
        sp_buf_advance(to, len);
    }
    bool failed = ferror(file) != 0;
    (void)fclose(file);
    if (failed || to->status != SP_OK) {
        sp_cli_complain("cannot read %s: %s", path,
                        failed ? "input/output error" : "it is too large");
        return SP_EXIT_FAILURE;
    }
    return SP_EXIT_OK;
}

static int take_file(struct sp_settings *settings, const char *path) {
    struct sp_buf text;
    struct sp_error error;
    sp_buf_init(&text, CONFIG_BYTES_MAX);
    sp_error_clear(&error);
    int code = read_file(path, &text);
    if (code == SP_EXIT_OK && sp_settings_read(settings, sp_buf_str(&text), &error) != SP_OK) {
        sp_cli_complain("%s: %s", path, error.text);
        code = SP_EXIT_USAGE;
    }
    sp_buf_fini(&text);
    return code;
}

/* The folder is that of every command, unless only the file names one. */
static int take_options(struct sp_settings *settings, const struct sp_cli *cli) {
    struct sp_error error;
    const char *config = cli->args.own_values[SP_SET_COUNT];
    sp_error_clear(&error);
    sp_status status = sp_settings_set(settings, SP_SET_DATA, sp_str_from(cli->folder), &error);
    int code = status == SP_OK && config != NULL ? take_file(settings, config) : SP_EXIT_OK;
    if (code != SP_EXIT_OK) {
        return code;
    }
    if (sp_args_has(&cli->args, SP_FLAG_DATA)) {
        status = sp_settings_set(settings, SP_SET_DATA, sp_str_from(cli->folder), &error);
    }
    for (unsigned i = 0; i < SP_SET_COUNT && status == SP_OK; i++) {
        const char *value = cli->args.own_values[i];
        bool is_switch = sp_setting_table()[i].type == SP_SETTING_BOOLEAN;
        if (value != NULL) {
            status = sp_settings_set(settings, (enum sp_setting_id)i,
                                     is_switch ? SP_STR("yes") : sp_str_from(value), &error);
        }
    }
    return status == SP_OK ? SP_EXIT_OK : sp_cli_usage(cli, error.text);
}

static void on_ready(void *context, const char *line) {
    struct sp_cli *cli = context;
    sp_out_print(&cli->out, "%s\n", line);
    sp_out_flush(&cli->out);
}

int sp_cmd_serve(struct sp_cli *cli) {
    struct sp_settings settings;
    struct sp_error error;
    sp_error_clear(&error);
    if (sp_settings_init(&settings) != SP_OK) {
        sp_cli_complain("out of memory");
        return SP_EXIT_FAILURE;
    }
    int code = take_options(&settings, cli);
    if (code != SP_EXIT_OK) {
        sp_settings_fini(&settings);
        return code;
    }
    sp_status status = sp_serve(&settings, STDERR_FILENO, on_ready, cli, &error);
    if (status == SP_OK) {
        return SP_EXIT_OK;
    }
    sp_cli_complain("%s", error.text[0] != '\0' ? error.text : sp_status_text(status));
    return sp_cli_exit_code((spoor_status)status);
}
