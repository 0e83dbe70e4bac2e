#include "cli/args.h"

#include <string.h>

#include "base/assert.h"
#include "base/size.h"
#include "base/suggest.h"

struct parser {
    const struct sp_command_table *table;
    char *const *argv;
    int argc;
    int at;             /* next argument */
    bool options_ended; /* `--` was seen */
    const char *group;  /* first word of a command of two */
    struct sp_args *args;
    struct sp_error *error;
};

/* ---- numbers --------------------------------------------------------------------------------- */

sp_status sp_args_number(sp_str text, uint64_t *ret_value, struct sp_error *error) {
    return sp_size_parse(text, ret_value, error);
}

/* Reads numbers joined by commas. ret_values may be NULL: then they are only checked. */
static sp_status parse_list(sp_str text, uint64_t *ret_values, size_t *ret_count,
                            struct sp_error *error) {
    size_t count = 0;
    for (;;) {
        const char *comma = text.len == 0 ? NULL : memchr(text.ptr, ',', text.len);
        sp_str one = text;
        one.len = comma == NULL ? text.len : (size_t)(comma - text.ptr);
        uint64_t value = 0;
        sp_status status = sp_args_number(one, &value, error);
        if (status != SP_OK) {
            return status;
        }
        if (count == SP_ARGS_NUMBERS_MAX) {
            return sp_error_set(error, SP_INVALID, "more than %d numbers", SP_ARGS_NUMBERS_MAX);
        }
        if (ret_values != NULL) {
            ret_values[count] = value;
        }
        count++;
        if (comma == NULL) {
            *ret_count = count;
            return SP_OK;
        }
        text = sp_str_from_byte(text, one.len + 1);
    }
}

uint64_t sp_args_u64(const struct sp_args *args, enum sp_flag_id id, uint64_t absent) {
    uint64_t value = absent;
    if (sp_args_has(args, id)) {
        sp_status status = sp_args_number(sp_str_from(args->values[id]), &value, NULL);
        sp_ensure(status == SP_OK);
    }
    return value;
}

size_t sp_args_list(const struct sp_args *args, enum sp_flag_id id,
                    uint64_t ret_values[SP_ARGS_NUMBERS_MAX]) {
    size_t count = 0;
    if (sp_args_has(args, id)) {
        sp_status status = parse_list(sp_str_from(args->values[id]), ret_values, &count, NULL);
        sp_ensure(status == SP_OK);
    }
    return count;
}

/* ---- options --------------------------------------------------------------------------------- */

static bool accepts(const struct parser *parser, enum sp_flag_id id) {
    uint64_t accepted = SP_FLAGS_GLOBAL;
    if (parser->args->command != NULL) {
        accepted |= parser->args->command->flags;
    }
    return (accepted & SP_FLAG_BIT(id)) != 0;
}

/* The accepted option of this name or letter; SP_FLAG_COUNT where there is none. */
static enum sp_flag_id find_flag(const struct parser *parser, sp_str name, char letter) {
    for (unsigned i = 0; i < SP_FLAG_COUNT; i++) {
        const struct sp_flag *flag = &parser->table->flags[i];
        bool same = letter != 0 ? flag->letter == letter : sp_str_eq(name, sp_str_from(flag->name));
        if (same && accepts(parser, (enum sp_flag_id)i)) {
            return (enum sp_flag_id)i;
        }
    }
    return SP_FLAG_COUNT;
}

/* The place of an option among those of the command itself; -1 where it is none of them. */
static int find_own_flag(const struct parser *parser, sp_str name) {
    const struct sp_command *command = parser->args->command;
    for (size_t i = 0; command != NULL && i < command->own_flag_count; i++) {
        if (sp_str_eq(name, sp_str_from(command->own_flags[i].name))) {
            return (int)i;
        }
    }
    return -1;
}

static sp_status refuse_flag(const struct parser *parser, const char *word, sp_str name) {
    const struct sp_command *command = parser->args->command;
    struct sp_suggest suggest;
    sp_suggest_init(&suggest, name);
    bool known = false;
    for (unsigned i = 0; i < SP_FLAG_COUNT; i++) {
        const char *other = parser->table->flags[i].name;
        known = known || sp_str_eq(name, sp_str_from(other));
        if (accepts(parser, (enum sp_flag_id)i)) {
            sp_suggest_try(&suggest, other);
        }
    }
    for (size_t i = 0; command != NULL && i < command->own_flag_count; i++) {
        sp_suggest_try(&suggest, command->own_flags[i].name);
    }
    int len = (int)name.len + 2;
    if (known && command == NULL) {
        return sp_error_set(parser->error, SP_INVALID, "%.*s goes behind the command", len, word);
    }
    if (known) {
        return sp_error_set(parser->error, SP_INVALID, "'%s' takes no %.*s", command->name, len,
                            word);
    }
    if (suggest.best != NULL) {
        return sp_error_set(parser->error, SP_INVALID, "unknown option %.*s; did you mean --%s?",
                            len, word, suggest.best);
    }
    return sp_error_set(parser->error, SP_INVALID, "unknown option %.*s", len, word);
}

static sp_status check_value(const struct parser *parser, const struct sp_flag *flag,
                             const char *value) {
    uint64_t number = 0;
    size_t count = 0;
    sp_status status = SP_OK;
    switch (flag->kind) {
    case SP_FLAG_SWITCH:
    case SP_FLAG_TEXT:
        return SP_OK;
    case SP_FLAG_NUMBER:
        status = sp_args_number(sp_str_from(value), &number, parser->error);
        break;
    case SP_FLAG_NUMBERS:
        status = parse_list(sp_str_from(value), NULL, &count, parser->error);
        break;
    }
    return status == SP_OK ? SP_OK : sp_error_prefix(parser->error, status, "--%s", flag->name);
}

static sp_status store_repeated(struct parser *parser, const struct sp_flag *flag,
                                const char *value) {
    struct sp_args *args = parser->args;
    if (args->type_count == SP_ARGS_TYPES_MAX) {
        return sp_error_set(parser->error, SP_INVALID, "--%s more than %d times", flag->name,
                            SP_ARGS_TYPES_MAX);
    }
    args->types[args->type_count++] = value;
    return SP_OK;
}

static sp_status store_flag(struct parser *parser, enum sp_flag_id id, const char *value) {
    const struct sp_flag *flag = &parser->table->flags[id];
    struct sp_args *args = parser->args;
    sp_status status = check_value(parser, flag, value);
    if (status != SP_OK) {
        return status;
    }
    if (flag->is_repeatable) {
        status = store_repeated(parser, flag, value);
        if (status != SP_OK) {
            return status;
        }
    } else if (args->values[id] != NULL && flag->kind != SP_FLAG_SWITCH) {
        return sp_error_set(parser->error, SP_INVALID, "--%s is given twice", flag->name);
    }
    args->values[id] = value;
    return SP_OK;
}

/* Stores an option with the value that stands behind `=`, or else in the next argument. */
static sp_status take_flag(struct parser *parser, enum sp_flag_id id, const char *inline_value) {
    const struct sp_flag *flag = &parser->table->flags[id];
    if (flag->kind == SP_FLAG_SWITCH) {
        if (inline_value != NULL) {
            return sp_error_set(parser->error, SP_INVALID, "--%s takes no value", flag->name);
        }
        return store_flag(parser, id, flag->name);
    }
    if (inline_value == NULL && parser->at == parser->argc) {
        return sp_error_set(parser->error, SP_INVALID, "--%s needs a value: %s", flag->name,
                            flag->value);
    }
    return store_flag(parser, id, inline_value != NULL ? inline_value : parser->argv[parser->at++]);
}

static sp_status take_own_flag(struct parser *parser, size_t place, const char *inline_value) {
    const struct sp_flag *flag = &parser->args->command->own_flags[place];
    const char *value = flag->name;
    sp_require(place < SP_ARGS_OWN_MAX);
    if (parser->args->own_values[place] != NULL && !flag->is_repeatable) {
        return sp_error_set(parser->error, SP_INVALID, "--%s is given twice", flag->name);
    }
    if (flag->kind == SP_FLAG_SWITCH && inline_value != NULL) {
        return sp_error_set(parser->error, SP_INVALID, "--%s takes no value", flag->name);
    }
    if (flag->kind != SP_FLAG_SWITCH) {
        if (inline_value == NULL && parser->at == parser->argc) {
            return sp_error_set(parser->error, SP_INVALID, "--%s needs a value: %s", flag->name,
                                flag->value);
        }
        value = inline_value != NULL ? inline_value : parser->argv[parser->at++];
    }
    parser->args->own_values[place] = value;
    return flag->is_repeatable ? store_repeated(parser, flag, value) : SP_OK;
}

static sp_status parse_long(struct parser *parser, const char *word) {
    sp_str name = sp_str_from(word + 2);
    const char *equals = strchr(word, '=');
    if (equals != NULL) {
        name.len = (size_t)(equals - name.ptr);
    }
    enum sp_flag_id id = find_flag(parser, name, 0);
    int own = id == SP_FLAG_COUNT ? find_own_flag(parser, name) : -1;
    if (own >= 0) {
        return take_own_flag(parser, (size_t)own, equals != NULL ? equals + 1 : NULL);
    }
    if (id == SP_FLAG_COUNT) {
        return refuse_flag(parser, word, name);
    }
    return take_flag(parser, id, equals != NULL ? equals + 1 : NULL);
}

/* One letter, its value behind it or in the next argument. Letters are not bundled. */
static sp_status parse_short(struct parser *parser, const char *word) {
    enum sp_flag_id id = find_flag(parser, SP_STR(""), word[1]);
    bool is_switch = id != SP_FLAG_COUNT && parser->table->flags[id].kind == SP_FLAG_SWITCH;
    if (id == SP_FLAG_COUNT || (is_switch && word[2] != '\0')) {
        return sp_error_set(parser->error, SP_INVALID, "unknown option %s", word);
    }
    return take_flag(parser, id, word[2] != '\0' ? word + 2 : NULL);
}

/* ---- command and operands -------------------------------------------------------------------- */

const struct sp_command *sp_args_command(const struct sp_command_table *table, sp_str name) {
    for (size_t i = 0; i < sp_command_count(table); i++) {
        if (sp_str_eq(name, sp_str_from(sp_command_at(table, i)->name))) {
            return sp_command_at(table, i);
        }
    }
    return NULL;
}

/* True where the word is the first of a command of two. */
static bool is_group(const struct sp_command *command, sp_str word) {
    sp_str name = sp_str_from(command->name);
    return name.len > word.len && name.ptr[word.len] == ' ' && sp_str_starts_with(name, word);
}

static sp_status refuse_command(const struct parser *parser, const char *word) {
    struct sp_suggest suggest;
    sp_suggest_init(&suggest, sp_str_from(word));
    for (size_t i = 0; i < sp_command_count(parser->table); i++) {
        sp_suggest_try(&suggest, sp_command_at(parser->table, i)->name);
    }
    if (suggest.best != NULL) {
        return sp_error_set(parser->error, SP_INVALID, "unknown command '%s'; did you mean '%s'?",
                            word, suggest.best);
    }
    return sp_error_set(parser->error, SP_INVALID, "unknown command '%s'", word);
}

/* Names what may follow the first word. */
static sp_status refuse_second(const struct parser *parser, const char *second) {
    sp_str group = sp_str_from(parser->group);
    char list[128] = "";
    size_t len = 0;
    for (size_t i = 0; i < sp_command_count(parser->table); i++) {
        const struct sp_command *command = sp_command_at(parser->table, i);
        sp_str name = sp_str_from(command->name);
        if (is_group(command, group) && len + name.len - group.len + 2 < sizeof(list)) {
            sp_str rest = sp_str_from_byte(name, group.len + 1);
            memcpy(list + len, len == 0 ? "" : ", ", len == 0 ? 0 : 2);
            len += len == 0 ? 0 : 2;
            memcpy(list + len, rest.ptr, rest.len);
            len += rest.len;
            list[len] = '\0';
        }
    }
    if (second == NULL) {
        return sp_error_set(parser->error, SP_INVALID, "'%s' needs one of: %s", parser->group,
                            list);
    }
    return sp_error_set(parser->error, SP_INVALID, "'%s' knows no '%s', only: %s", parser->group,
                        second, list);
}

static sp_status parse_command(struct parser *parser, const char *word) {
    char name[64];
    sp_str first = sp_str_from(parser->group != NULL ? parser->group : word);
    size_t len = first.len;
    if (len + strlen(word) + 2 > sizeof(name)) {
        return refuse_command(parser, word);
    }
    memcpy(name, first.ptr, len);
    if (parser->group != NULL) {
        name[len++] = ' ';
        memcpy(name + len, word, strlen(word));
        len += strlen(word);
    }
    parser->args->command = sp_args_command(parser->table, sp_str_of(name, len));
    if (parser->args->command != NULL) {
        return SP_OK;
    }
    if (parser->group != NULL) {
        return refuse_second(parser, word);
    }
    for (size_t i = 0; i < sp_command_count(parser->table); i++) {
        if (is_group(sp_command_at(parser->table, i), first)) {
            parser->group = word;
            return SP_OK;
        }
    }
    return refuse_command(parser, word);
}

static sp_status parse_operand(struct parser *parser, const char *word) {
    struct sp_args *args = parser->args;
    const struct sp_command *command = args->command;
    if (args->operand_count == command->operand_count_max) {
        return sp_error_set(parser->error, SP_INVALID, "'%s' has no use for '%s'", command->name,
                            word);
    }
    sp_invariant(args->operand_count < SP_ARGS_OPERANDS_MAX);
    args->operands[args->operand_count++] = word;
    return SP_OK;
}

static sp_status parse_word(struct parser *parser, const char *word) {
    if (!parser->options_ended && strcmp(word, "--") == 0) {
        parser->options_ended = true;
        return SP_OK;
    }
    if (!parser->options_ended && word[0] == '-' && word[1] == '-') {
        return parse_long(parser, word);
    }
    if (!parser->options_ended && word[0] == '-' && word[1] != '\0') {
        return parse_short(parser, word);
    }
    return parser->args->command == NULL ? parse_command(parser, word)
                                         : parse_operand(parser, word);
}

static sp_status check_complete(const struct parser *parser) {
    const struct sp_args *args = parser->args;
    if (sp_args_has(args, SP_FLAG_HELP)) {
        return SP_OK;
    }
    if (args->command == NULL) {
        return parser->group != NULL
                   ? refuse_second(parser, NULL)
                   : sp_error_set(parser->error, SP_INVALID, "no command was given");
    }
    if (args->operand_count < args->command->operand_count_min) {
        return sp_error_set(parser->error, SP_INVALID, "'%s' needs more: %s", args->command->name,
                            args->command->operands);
    }
    return SP_OK;
}

sp_status sp_args_parse(const struct sp_command_table *table, int argc, char *const argv[],
                        struct sp_args *ret_args, struct sp_error *error) {
    sp_require(table != NULL && ret_args != NULL);
    *ret_args = (struct sp_args){.command = NULL};
    struct parser parser = {
        .table = table, .argv = argv, .argc = argc, .at = 1, .args = ret_args, .error = error};
    while (parser.at < argc) {
        sp_status status = parse_word(&parser, argv[parser.at++]);
        if (status != SP_OK) {
            return status;
        }
    }
    return check_complete(&parser);
}
