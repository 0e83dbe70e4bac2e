/* help and version: what the tables say, for people. */
#include <string.h>

#include "base/assert.h"
#include "cli/cli.h"
#include "cli/text.h"

enum { NAME_COLUMNS = 19, FLAG_COLUMNS = 26, HELP_COLUMNS = 68, TEXT_COLUMNS = 78 };

/* ---- help ------------------------------------------------------------------------------------ */

static void show_wrapped(struct sp_out *out, const char *text) {
    size_t column = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > TEXT_COLUMNS) {
            sp_out_print(out, "\n");
            column = 0;
        }
        sp_out_print(out, "%s%.*s", column > 0 ? " " : "", (int)word, text);
        column += word + (column > 0);
        text += word + (text[word] == ' ');
    }
    sp_out_print(out, "\n");
}

static void show_examples(struct sp_out *out, const char *examples) {
    sp_out_print(out, "\nExamples:\n");
    while (*examples != '\0') {
        size_t len = strcspn(examples, "\n");
        sp_out_print(out, "  %.*s\n", (int)len, examples);
        examples += len + (examples[len] == '\n');
    }
}

/* What does not fit into the line goes on below, as far to the right. */
static void show_help_of(struct sp_out *out, const char *help) {
    size_t left = HELP_COLUMNS;
    for (const char *at = help; *at != '\0';) {
        size_t word = strcspn(at, " ");
        if (at != help && word + 1 > left) {
            sp_out_print(out, "\n");
            sp_text_add_blanks(&out->buf, FLAG_COLUMNS + 3);
            left = HELP_COLUMNS;
        } else if (at != help) {
            sp_out_print(out, " ");
            left--;
        }
        sp_out_print(out, "%.*s", (int)word, at);
        left -= word < left ? word : left;
        at += word + (at[word] == ' ');
    }
    sp_out_print(out, "\n");
}

static void show_flag(struct sp_out *out, const struct sp_flag *flag) {
    struct sp_buf buf;
    sp_buf_init(&buf, SIZE_MAX);
    if (flag->letter != 0) {
        sp_buf_add_byte(&buf, '-');
        sp_buf_add_byte(&buf, (uint8_t)flag->letter);
        sp_buf_add_str(&buf, SP_STR(", "));
    }
    sp_buf_add_str(&buf, SP_STR("--"));
    sp_buf_add_str(&buf, sp_str_from(flag->name));
    if (flag->value != NULL) {
        sp_buf_add_byte(&buf, ' ');
        sp_buf_add_str(&buf, sp_str_from(flag->value));
    }
    size_t columns = sp_text_columns(sp_buf_str(&buf));
    sp_out_print(out, "  %.*s", (int)buf.len, (const char *)buf.data);
    sp_text_add_blanks(&out->buf, columns < FLAG_COLUMNS ? FLAG_COLUMNS - columns : 1);
    sp_out_print(out, " ");
    show_help_of(out, flag->help);
    sp_buf_fini(&buf);
}

static void show_flags(struct sp_out *out, const char *title, uint64_t ids) {
    sp_out_print(out, "\n%s:\n", title);
    for (unsigned i = 0; i < SP_FLAG_COUNT; i++) {
        if ((ids & SP_FLAG_BIT(i)) != 0) {
            show_flag(out, &sp_flag_table()[i]);
        }
    }
}

static bool has_options(const struct sp_command *command) {
    return command->flags != 0 || command->own_flag_count > 0;
}

static void show_own_flags(struct sp_out *out, const struct sp_command *command) {
    for (size_t i = 0; i < command->own_flag_count; i++) {
        if (!sp_flag_is_common(&command->own_flags[i])) {
            show_flag(out, &command->own_flags[i]);
        }
    }
}

static void show_command(struct sp_out *out, const struct sp_command *command) {
    sp_out_print(out, "usage: spoor %s%s%s%s\n\n", command->name,
                 command->operands[0] != '\0' ? " " : "", command->operands,
                 has_options(command) ? " [options]" : "");
    show_wrapped(out, command->text[0] != '\0' ? command->text : command->summary);
    if (has_options(command)) {
        show_flags(out, "Options", command->flags);
        show_own_flags(out, command);
    }
    show_flags(out, "Options of every command", SP_FLAGS_GLOBAL);
    if (command->examples[0] != '\0') {
        show_examples(out, command->examples);
    }
}

static void show_all(struct sp_out *out) {
    struct sp_command_table table = sp_command_table();
    sp_out_print(out,
                 "usage: spoor COMMAND [options]\n\n"
                 "The event store of AI agents: what each of them did, in one order, durably.\n\n"
                 "Commands:\n");
    for (size_t i = 0; i < sp_command_count(&table); i++) {
        sp_out_print(out, "  %-*s %s\n", NAME_COLUMNS, sp_command_at(&table, i)->name,
                     sp_command_at(&table, i)->summary);
    }
    show_flags(out, "Options of every command", SP_FLAGS_GLOBAL);
    show_examples(out, "spoor import runs.jsonl.zst\n"
                       "spoor events --type 'tool.*' --limit 10\n"
                       "spoor why 42\n"
                       "spoor help events\n");
    sp_out_print(
        out, "\nOn a terminal there are tables; piped, or with --json, one JSON object a line.\n"
             "Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 conflict, 5 not allowed,\n"
             "6 verification failed or damage met, 7 timeout, 130 interrupted.\n");
}

int sp_help_show(struct sp_out *out, const struct sp_command *command) {
    if (command != NULL) {
        show_command(out, command);
    } else {
        show_all(out);
    }
    return SP_EXIT_OK;
}

/* The commands that begin with this word, for `help stream`. */
static bool show_group(struct sp_out *out, const char *word) {
    struct sp_command_table table = sp_command_table();
    size_t len = strlen(word);
    bool found = false;
    for (size_t i = 0; i < sp_command_count(&table); i++) {
        const struct sp_command *command = sp_command_at(&table, i);
        if (strncmp(command->name, word, len) == 0 && command->name[len] == ' ') {
            sp_out_print(out, "  %-*s %s\n", NAME_COLUMNS, command->name, command->summary);
            found = true;
        }
    }
    return found;
}

int sp_cmd_help(struct sp_cli *cli) {
    const struct sp_args *args = &cli->args;
    if (args->operand_count == 0) {
        return sp_help_show(&cli->out, NULL);
    }
    struct sp_buf name;
    sp_buf_init(&name, SIZE_MAX);
    sp_buf_add_str(&name, sp_str_from(args->operands[0]));
    if (args->operand_count > 1) {
        sp_buf_add_byte(&name, ' ');
        sp_buf_add_str(&name, sp_str_from(args->operands[1]));
    }
    struct sp_command_table table = sp_command_table();
    const struct sp_command *command = sp_args_command(&table, sp_buf_str(&name));
    sp_buf_fini(&name);
    if (command != NULL) {
        return sp_help_show(&cli->out, command);
    }
    if (args->operand_count == 1 && show_group(&cli->out, args->operands[0])) {
        return SP_EXIT_OK;
    }
    return sp_cli_usage(cli, "there is no such command");
}

int sp_cmd_version(struct sp_cli *cli) {
    if (cli->is_json_explicit) {
        sp_out_print(&cli->out, "{\"version\":\"%s\"}\n", spoor_version());
    } else {
        sp_out_print(&cli->out, "spoor %s\n", spoor_version());
    }
    return SP_EXIT_OK;
}
