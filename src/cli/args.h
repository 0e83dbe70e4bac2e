/*
 * What the command line says, checked against the tables. pure
 */
#ifndef SP_CLI_ARGS_H
#define SP_CLI_ARGS_H

#include "base/error.h"
#include "base/str.h"
#include "cli/command.h"

enum {
    SP_ARGS_OPERANDS_MAX = 34, /* a group and its key, and ids of entries */
    SP_ARGS_TYPES_MAX = 64,    /* times a repeatable option may be given */
    SP_ARGS_NUMBERS_MAX = 16,  /* in a list of numbers */
    SP_ARGS_OWN_MAX = 48,      /* options that one command has for itself */
};

/* Everything in it is borrowed from argv. */
struct sp_args {
    const struct sp_command *command;        /* NULL where no command was named */
    const char *values[SP_FLAG_COUNT];       /* NULL: not given; a switch that is on: its name */
    const char *own_values[SP_ARGS_OWN_MAX]; /* likewise, by place among command->own_flags */
    const char *types[SP_ARGS_TYPES_MAX];    /* all values of the one repeatable option */
    size_t type_count;
    const char *operands[SP_ARGS_OPERANDS_MAX];
    size_t operand_count;
};

/*
 * Reads argv[1 …]. Options may stand before and after the command and among its operands; `--` ends
 * them, `-` alone is an operand, `--name=value` and `--name value` are the same. SP_INVALID for
 * what the tables do not know or the command does not take, with the nearest known word; ret_args
 * then holds what was read so far, so that the error can point at the help of the right command.
 * With `--help` the operands are not counted.
 */
SP_WARN_UNUSED sp_status sp_args_parse(const struct sp_command_table *table, int argc,
                                       char *const argv[], struct sp_args *ret_args,
                                       struct sp_error *error);

/* The command of this name, one word or two; NULL where there is none. */
const struct sp_command *sp_args_command(const struct sp_command_table *table, sp_str name);

static inline bool sp_args_has(const struct sp_args *args, enum sp_flag_id id) {
    return args->values[id] != NULL;
}

/*
 * Reads a whole number: digits, then k, M or G (thousands), or Ki, Mi or Gi (powers of 1024), with
 * a B behind it or not. SP_INVALID, also where it does not fit.
 */
SP_WARN_UNUSED sp_status sp_args_number(sp_str text, uint64_t *ret_value, struct sp_error *error);

/*
 * The value of a number option, or `absent` where it was not given. sp_args_parse has checked it.
 */
uint64_t sp_args_u64(const struct sp_args *args, enum sp_flag_id id, uint64_t absent);

/* The values of a list of numbers; returns how many, 0 where the option was not given. */
size_t sp_args_list(const struct sp_args *args, enum sp_flag_id id,
                    uint64_t ret_values[SP_ARGS_NUMBERS_MAX]);

#endif
