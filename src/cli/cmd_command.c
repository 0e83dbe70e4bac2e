/* command, upcaster: what a server is told to decide, and how it brings old events up. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/server.h"
#include "cli/table.h"
#include "cli/text.h"

enum { FILE_BYTES_MAX = 1 << 20, PIECE_BYTES = 64 << 10 };

/* ---- files ----------------------------------------------------------------------------------- */

static int read_fd(int fd, const char *name, struct sp_buf *to) {
    for (;;) {
        char text[128];
        uint8_t *at = sp_buf_reserve(to, PIECE_BYTES);
        ssize_t count = at != NULL ? read(fd, at, PIECE_BYTES) : -1;
        if (at == NULL) {
            sp_cli_complain("%s: more than %d bytes", name, FILE_BYTES_MAX);
            return SP_EXIT_FAILURE;
        }
        if (count < 0 && errno != EINTR) {
            sp_cli_complain("%s: %s", name, strerror_r(errno, text, sizeof(text)));
            return SP_EXIT_FAILURE;
        }
        if (count == 0) {
            return SP_EXIT_OK;
        }
        sp_buf_advance(to, count > 0 ? (size_t)count : 0);
    }
}

/* A file, or stdin for "-". */
static int read_file(const char *path, struct sp_buf *to) {
    char text[128];
    if (strcmp(path, "-") == 0) {
        return read_fd(STDIN_FILENO, "stdin", to);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        sp_cli_complain("%s: %s", path, strerror_r(errno, text, sizeof(text)));
        return SP_EXIT_FAILURE;
    }
    int code = read_fd(fd, path, to);
    (void)close(fd);
    return code;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* A wrong definition is no wrong use of the command line. */
static int ask(struct sp_cli *cli, const sp_str *words, size_t count, struct sp_answer *answer) {
    int code = sp_server_ask_once(cli, words, count, answer);
    return code == SP_EXIT_USAGE && cli->url != NULL ? SP_EXIT_FAILURE : code;
}

/* Asks, and says in one word what came of it. */
static int ask_and_say(struct sp_cli *cli, const sp_str *words, size_t count, const char *what) {
    struct sp_answer answer;
    int code = ask(cli, words, count, &answer);
    if (code == SP_EXIT_OK) {
        sp_cli_say(cli, "%s %.*s", what, SP_STR_ARG(sp_answer_text(sp_answer_node(&answer))));
        sp_answer_fini(&answer);
    }
    return code;
}

/* Asks, and prints the JSON that is answered. */
static int ask_and_print(struct sp_cli *cli, const sp_str *words, size_t count) {
    struct sp_answer answer;
    int code = ask(cli, words, count, &answer);
    if (code == SP_EXIT_OK) {
        sp_str text = sp_answer_text(sp_answer_node(&answer));
        if (cli->wants_json) {
            sp_buf_add_str(&cli->out.buf, text);
        } else {
            sp_text_add_pretty(&cli->out.buf, text, 0);
        }
        sp_out_print(&cli->out, "\n");
        sp_answer_fini(&answer);
    }
    return code;
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Shows one object of an array: as it is, or as a row of some of its members. */
struct listing {
    struct sp_cli *cli;
    struct sp_table *table;
    const char *const *members;
    size_t member_count;
    sp_str type; /* only those of this one; NULL ptr: all */
};

/* The raw value of a member; of a string its text. Empty where there is none. */
static sp_str member_of(sp_str object, const char *name, struct sp_buf *to) {
    struct sp_json json;
    sp_buf_reset(to);
    sp_json_init(&json, object);
    (void)sp_json_next(&json);
    for (struct sp_json_token key = sp_json_next(&json); key.type == SP_JSON_KEY;
         key = sp_json_next(&json)) {
        struct sp_json_token value = sp_json_next(&json);
        sp_str raw = sp_json_skip(&json, value);
        if (sp_json_equal(key, sp_str_from(name))) {
            if (value.type == SP_JSON_STRING) {
                sp_json_unescape(to, value.raw);
            } else {
                sp_buf_add_str(to, raw);
            }
            break;
        }
    }
    return sp_buf_str(to);
}

static void list_object(const struct listing *listing, sp_str object) {
    struct sp_cli *cli = listing->cli;
    struct sp_buf text;
    sp_buf_init(&text, SIZE_MAX);
    bool wanted =
        listing->type.ptr == NULL || sp_str_eq(member_of(object, "type", &text), listing->type);
    if (wanted && cli->wants_json) {
        sp_buf_add_str(&cli->out.buf, object);
        sp_out_print(&cli->out, "\n");
        sp_out_line_end(&cli->out);
    }
    for (size_t i = 0; wanted && !cli->wants_json && i < listing->member_count; i++) {
        sp_table_add(listing->table, member_of(object, listing->members[i], &text));
    }
    sp_buf_fini(&text);
}

static void list_array(const struct listing *listing, sp_str array) {
    struct sp_json json;
    sp_json_init(&json, array);
    (void)sp_json_next(&json);
    for (struct sp_json_token token = sp_json_next(&json); token.type == SP_JSON_OBJECT;
         token = sp_json_next(&json)) {
        list_object(listing, sp_json_skip(&json, token));
    }
}

static int list(struct sp_cli *cli, const sp_str words[2], const struct sp_table_column *columns,
                struct listing *listing) {
    struct sp_answer answer;
    struct sp_table table;
    int code = ask(cli, words, 2, &answer);
    if (code == SP_EXIT_OK) {
        listing->cli = cli;
        listing->table = &table;
        sp_table_init(&table, &cli->out, columns, listing->member_count);
        list_array(listing, sp_answer_text(sp_answer_node(&answer)));
        sp_table_fini(&table);
        sp_answer_fini(&answer);
    }
    return code;
}

/* ---- upcaster -------------------------------------------------------------------------------- */

int sp_cmd_upcaster_ls(struct sp_cli *cli) {
    static const struct sp_table_column columns[] = {
        {.title = "TYPE", .columns_max = 40},
        {.title = "FROM"},
        {.title = "TO"},
        {.title = "PROGRAM", .is_dim = true},
    };
    static const char *const members[] = {"type", "from", "to", "program"};
    const sp_str words[] = {SP_STR("SPOOR.UPCASTER"), SP_STR("LIST")};
    struct listing listing = {.members = members, .member_count = 4, .type = {.ptr = NULL}};
    if (cli->args.operand_count > 0) {
        listing.type = sp_str_from(cli->args.operands[0]);
    }
    return list(cli, words, columns, &listing);
}

int sp_cmd_upcaster_add(struct sp_cli *cli) {
    const char *const *operands = cli->args.operands;
    const char *program = operands[2];
    struct sp_buf text;
    sp_buf_init(&text, FILE_BYTES_MAX);
    int code = SP_EXIT_OK;
    if (program[0] == '@' || strcmp(program, "-") == 0) {
        code = read_file(program[0] == '@' ? program + 1 : program, &text);
    } else {
        sp_buf_add_str(&text, sp_str_from(program));
    }
    if (code == SP_EXIT_OK) {
        const sp_str words[] = {SP_STR("SPOOR.UPCASTER"), SP_STR("PUT"), sp_str_from(operands[0]),
                                sp_str_from(operands[1]), sp_buf_str(&text)};
        code = ask_and_say(cli, words, 5, operands[0]);
    }
    sp_buf_fini(&text);
    return code;
}

int sp_cmd_upcaster_rm(struct sp_cli *cli) {
    const char *const *operands = cli->args.operands;
    const sp_str words[] = {SP_STR("SPOOR.UPCASTER"), SP_STR("DEL"), sp_str_from(operands[0]),
                            sp_str_from(operands[1])};
    return ask_and_say(cli, words, 4, operands[0]);
}

/* ---- command --------------------------------------------------------------------------------- */

int sp_cmd_command_ls(struct sp_cli *cli) {
    static const struct sp_table_column columns[] = {
        {.title = "COMMAND", .columns_max = 40},
        {.title = "SHIPPED", .is_dim = true},
    };
    static const char *const members[] = {"name", "shipped"};
    const sp_str words[] = {SP_STR("SPOOR.COMMANDS"), SP_STR("LIST")};
    struct listing listing = {.members = members, .member_count = 2, .type = {.ptr = NULL}};
    return list(cli, words, columns, &listing);
}

int sp_cmd_command_show(struct sp_cli *cli) {
    const sp_str words[] = {SP_STR("SPOOR.COMMANDS"), SP_STR("GET"),
                            sp_str_from(cli->args.operands[0])};
    return ask_and_print(cli, words, 3);
}

int sp_cmd_command_add(struct sp_cli *cli) {
    struct sp_buf text;
    sp_buf_init(&text, FILE_BYTES_MAX);
    int code = read_file(cli->args.operands[1], &text);
    if (code == SP_EXIT_OK) {
        const sp_str words[] = {SP_STR("SPOOR.COMMANDS"), SP_STR("PUT"),
                                sp_str_from(cli->args.operands[0]), sp_buf_str(&text)};
        code = ask_and_say(cli, words, 4, cli->args.operands[0]);
    }
    sp_buf_fini(&text);
    return code;
}

int sp_cmd_command_rm(struct sp_cli *cli) {
    const sp_str words[] = {SP_STR("SPOOR.COMMANDS"), SP_STR("DEL"),
                            sp_str_from(cli->args.operands[0])};
    return ask_and_say(cli, words, 3, cli->args.operands[0]);
}

/* {"id": …, "source": …, "data": …}. */
static void write_command(const struct sp_args *args, sp_str data, struct sp_buf *to) {
    static const struct {
        const char *name;
        enum sp_flag_id flag;
    } rows[] = {{"id", SP_FLAG_EVENT_ID},
                {"source", SP_FLAG_EVENT_SOURCE},
                {"correlationid", SP_FLAG_EVENT_CORRELATION},
                {"causationid", SP_FLAG_EVENT_CAUSATION}};
    sp_buf_add_str(to, SP_STR("{\"data\":"));
    sp_buf_add_str(to, data.len > 0 ? data : SP_STR("null"));
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (args->values[rows[i].flag] != NULL) {
            sp_buf_add_str(to, SP_STR(",\""));
            sp_buf_add_str(to, sp_str_from(rows[i].name));
            sp_buf_add_str(to, SP_STR("\":"));
            sp_json_add_string(to, sp_str_from(args->values[rows[i].flag]));
        }
    }
    sp_buf_add_byte(to, '}');
}

int sp_cmd_command_run(struct sp_cli *cli) {
    const struct sp_args *args = &cli->args;
    struct sp_error error;
    struct sp_buf data;
    struct sp_buf body;
    int code = SP_EXIT_OK;
    sp_buf_init(&data, FILE_BYTES_MAX);
    sp_buf_init(&body, SIZE_MAX);
    if (args->operand_count > 1 && strcmp(args->operands[1], "-") == 0) {
        code = read_file("-", &data);
    } else if (args->operand_count > 1) {
        sp_buf_add_str(&data, sp_str_from(args->operands[1]));
    }
    if (code == SP_EXIT_OK && data.len > 0 && sp_json_check(sp_buf_str(&data), &error) != SP_OK) {
        sp_cli_complain("data: %s", error.text);
        code = SP_EXIT_USAGE;
    }
    if (code == SP_EXIT_OK) {
        write_command(args, sp_buf_str(&data), &body);
        const sp_str words[] = {SP_STR("SPOOR.COMMAND"), sp_str_from(args->operands[0]),
                                sp_buf_str(&body)};
        code = ask_and_print(cli, words, 3);
    }
    sp_buf_fini(&data);
    sp_buf_fini(&body);
    return code;
}
