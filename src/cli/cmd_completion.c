/*
 * Completion scripts, made of the tables. Each script counts the words that are no options to know
 * the command, offers its second word, then its options; where nothing fits, files.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

/* Bytes of a command's first word, where it has two; else 0. */
static size_t group_len(const struct sp_command *command) {
    const char *space = strchr(command->name, ' ');
    return space == NULL ? 0 : (size_t)(space - command->name);
}

/* True for the first command of a group: those of one group are neighbours in the table. */
static bool begins_group(const struct sp_command_table *table, size_t i) {
    const struct sp_command *command = sp_command_at(table, i);
    size_t len = group_len(command);
    return len > 0 &&
           (i == 0 || strncmp(sp_command_at(table, i - 1)->name, command->name, len + 1) != 0);
}

/* The first words of all commands, each once. */
static void show_first_words(struct sp_out *out, const struct sp_command_table *table) {
    for (size_t i = 0; i < sp_command_count(table); i++) {
        size_t len = group_len(sp_command_at(table, i));
        if (len == 0) {
            sp_out_print(out, "%s ", sp_command_at(table, i)->name);
        } else if (begins_group(table, i)) {
            sp_out_print(out, "%.*s ", (int)len, sp_command_at(table, i)->name);
        }
    }
}

/* What may follow the first word of the group that begins at row i. */
static void show_second_words(struct sp_out *out, const struct sp_command_table *table, size_t i) {
    const char *first = sp_command_at(table, i)->name;
    size_t len = group_len(sp_command_at(table, i));
    for (; i < sp_command_count(table); i++) {
        if (strncmp(sp_command_at(table, i)->name, first, len + 1) == 0) {
            sp_out_print(out, "%s ", sp_command_at(table, i)->name + len + 1);
        }
    }
}

static void show_flag_names(struct sp_out *out, const struct sp_command_table *table,
                            uint64_t ids) {
    for (unsigned i = 0; i < SP_FLAG_COUNT; i++) {
        if ((ids & SP_FLAG_BIT(i)) != 0) {
            sp_out_print(out, "--%s ", table->flags[i].name);
        }
    }
}

static void show_own_flag_names(struct sp_out *out, const struct sp_command *command) {
    for (size_t i = 0; i < command->own_flag_count; i++) {
        if (!sp_flag_is_common(&command->own_flags[i])) {
            sp_out_print(out, "--%s ", command->own_flags[i].name);
        }
    }
}

/* Operands that are fixed words: `bash|zsh|fish`. */
static void show_fixed_operands(struct sp_out *out, const char *operands) {
    if (strspn(operands, "abcdefghijklmnopqrstuvwxyz|") != strlen(operands)) {
        return;
    }
    for (const char *at = operands; *at != '\0'; at++) {
        sp_out_print(out, "%c", *at == '|' ? ' ' : *at);
    }
    sp_out_print(out, " ");
}

/* The part that bash and zsh share: from the words so far to what may come. */
static void show_shell_body(struct sp_out *out, const char *each_word) {
    struct sp_command_table table = sp_command_table();
    sp_out_print(out,
                 "    local command='' offers='' word\n"
                 "    for word in %s; do\n"
                 "        case \"$word\" in\n"
                 "        -*) continue ;;\n"
                 "        esac\n"
                 "        case \"$command\" in\n"
                 "        '') command=$word ;;\n",
                 each_word);
    for (size_t i = 0; i < sp_command_count(&table); i++) {
        if (begins_group(&table, i)) {
            sp_out_print(out, "        %.*s) command=\"$command $word\" ;;\n",
                         (int)group_len(sp_command_at(&table, i)), sp_command_at(&table, i)->name);
        }
    }
    sp_out_print(out, "        esac\n    done\n    case \"$command\" in\n");
    for (size_t i = 0; i < sp_command_count(&table); i++) {
        const struct sp_command *command = sp_command_at(&table, i);
        if (begins_group(&table, i)) {
            sp_out_print(out, "    %.*s) offers=\"", (int)group_len(command), command->name);
            show_second_words(out, &table, i);
            sp_out_print(out, "\" ;;\n");
        }
        sp_out_print(out, "    '%s') offers=\"", command->name);
        show_fixed_operands(out, command->operands);
        show_flag_names(out, &table, command->flags | SP_FLAGS_GLOBAL);
        show_own_flag_names(out, command);
        sp_out_print(out, "\" ;;\n");
    }
    sp_out_print(out, "    *) offers=\"");
    show_first_words(out, &table);
    show_flag_names(out, &table, SP_FLAGS_GLOBAL);
    sp_out_print(out, "\" ;;\n    esac\n");
}

static void show_bash(struct sp_out *out) {
    sp_out_print(out, "# bash completion of spoor; use: source <(spoor completion bash)\n"
                      "_spoor() {\n");
    show_shell_body(out, "\"${COMP_WORDS[@]:1:COMP_CWORD-1}\"");
    sp_out_print(out, "    mapfile -t COMPREPLY < <(compgen -W \"$offers\" -- \"$2\")\n"
                      "    if [[ ${#COMPREPLY[@]} -eq 0 ]]; then\n"
                      "        mapfile -t COMPREPLY < <(compgen -f -- \"$2\")\n"
                      "    fi\n"
                      "}\n"
                      "complete -o filenames -F _spoor spoor\n");
}

static void show_zsh(struct sp_out *out) {
    sp_out_print(out, "#compdef spoor\n"
                      "# zsh completion of spoor; use: source <(spoor completion zsh)\n"
                      "_spoor() {\n");
    show_shell_body(out, "\"${(@)words[2,CURRENT-1]}\"");
    sp_out_print(out, "    compadd -- ${=offers}\n"
                      "    _files\n"
                      "}\n"
                      "compdef _spoor spoor\n");
}

static void show_fish_flag(struct sp_out *out, const char *condition, const struct sp_flag *flag) {
    sp_out_print(out, "complete -c spoor%s -l %s", condition, flag->name);
    if (flag->letter != 0) {
        sp_out_print(out, " -s %c", flag->letter);
    }
    sp_out_print(out, "%s -d \"", flag->kind == SP_FLAG_SWITCH ? "" : " -r");
    for (const char *at = flag->help; *at != '\0'; at++) {
        sp_out_print(out, *at == '$' ? "\\%c" : "%c", *at);
    }
    sp_out_print(out, "\"\n");
}

static void show_fish_flags(struct sp_out *out, const char *condition, uint64_t ids) {
    for (unsigned i = 0; i < SP_FLAG_COUNT; i++) {
        if ((ids & SP_FLAG_BIT(i)) != 0) {
            show_fish_flag(out, condition, &sp_flag_table()[i]);
        }
    }
}

static void show_fish_command(struct sp_out *out, const struct sp_command_table *table, size_t i) {
    const struct sp_command *command = sp_command_at(table, i);
    int len = (int)group_len(command);
    const char *second = command->name + (len > 0 ? len + 1 : 0);
    if (begins_group(table, i)) {
        sp_out_print(out, "complete -c spoor -n __fish_use_subcommand -f -a %.*s\n", len,
                     command->name);
    }
    if (len == 0) {
        sp_out_print(out, "complete -c spoor -n __fish_use_subcommand -f -a %s -d '%s'\n", second,
                     command->summary);
    } else {
        sp_out_print(out,
                     "complete -c spoor -n '__fish_seen_subcommand_from %.*s' -f -a %s -d '%s'\n",
                     len, command->name, second, command->summary);
    }
    char condition[96];
    (void)snprintf(condition, sizeof(condition), " -n '__fish_seen_subcommand_from %s'", second);
    show_fish_flags(out, condition, command->flags);
    for (size_t k = 0; k < command->own_flag_count; k++) {
        if (!sp_flag_is_common(&command->own_flags[k])) {
            show_fish_flag(out, condition, &command->own_flags[k]);
        }
    }
}

static void show_fish(struct sp_out *out) {
    struct sp_command_table table = sp_command_table();
    sp_out_print(out, "# fish completion of spoor; use: spoor completion fish | source\n");
    show_fish_flags(out, "", SP_FLAGS_GLOBAL);
    for (size_t i = 0; i < sp_command_count(&table); i++) {
        show_fish_command(out, &table, i);
    }
}

int sp_cmd_completion(struct sp_cli *cli) {
    const char *shell = cli->args.operands[0];
    if (strcmp(shell, "bash") == 0) {
        show_bash(&cli->out);
    } else if (strcmp(shell, "zsh") == 0) {
        show_zsh(&cli->out);
    } else if (strcmp(shell, "fish") == 0) {
        show_fish(&cli->out);
    } else {
        return sp_cli_usage(cli, "completion is there for bash, zsh and fish");
    }
    return SP_EXIT_OK;
}
