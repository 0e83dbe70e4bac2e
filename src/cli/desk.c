#include "cli/desk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/member.h"
#include "cli/server.h"
#include "cli/text.h"

enum { PAGE_ROWS = 100, NUMBERS_SIZE = 48 };

int sp_cli_desk_open(struct sp_cli *cli, unsigned flags, struct sp_cli_desk *desk) {
    *desk = (struct sp_cli_desk){.cli = cli};
    sp_buf_init(&desk->text, SIZE_MAX / 2);
    sp_cli_who(desk->who);
    return sp_server_or_folder(cli, flags, &desk->store, &desk->client);
}

void sp_cli_desk_close(struct sp_cli_desk *desk) {
    sp_client_close(desk->client);
    spoor_close(desk->store);
    sp_buf_fini(&desk->text);
}

/* ---- what is asked --------------------------------------------------------------------------- */

static bool is_other(const char *const *others, const char *name) {
    for (; others != NULL && *others != NULL; others++) {
        if (strcmp(*others, name) == 0) {
            return true;
        }
    }
    return false;
}

/* The verb that a command of two words names. */
static const struct sp_desk_verb *verb_of(const struct sp_command *command) {
    const char *space = strchr(command->name, ' ');
    sp_require(space != NULL);
    const struct sp_desk_verb *verb = sp_desk_find(
        sp_str_of(command->name, (size_t)(space - command->name)), sp_str_from(space + 1));
    sp_require(verb != NULL);
    return verb;
}

static sp_status set_options(const struct sp_args *args, const char *const *others,
                             struct sp_desk_request *request, struct sp_error *error) {
    sp_status status = SP_OK;
    for (size_t i = 0; i < args->command->own_flag_count && status == SP_OK; i++) {
        const char *name = args->command->own_flags[i].name;
        if (args->own_values[i] != NULL && !is_other(others, name)) {
            status =
                sp_desk_set(request, sp_str_from(name), sp_str_from(args->own_values[i]), error);
        }
    }
    return status;
}

int sp_cli_desk_request(struct sp_cli_desk *desk, const char *const *others,
                        struct sp_desk_request *ret_request) {
    const struct sp_args *args = &desk->cli->args;
    struct sp_error error;
    struct sp_desk_request request = {.verb = verb_of(args->command),
                                      .limit = SP_DESK_LIMIT_DEFAULT};
    sp_error_clear(&error);
    if (request.verb->subject != NULL && args->operand_count > 0) {
        request.subject = sp_str_from(args->operands[0]);
    }
    sp_status status = set_options(args, others, &request, &error);
    if (status != SP_OK) {
        return sp_cli_usage(desk->cli, error.text);
    }
    if ((request.verb->options & SP_DESK_BIT(SP_DESK_BY)) != 0 &&
        request.options[SP_DESK_BY].ptr == NULL) {
        request.options[SP_DESK_BY] = sp_str_from(desk->who);
    }
    *ret_request = request;
    return SP_EXIT_OK;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void take_answer(struct sp_cli_desk *desk, const struct sp_reply_node *node) {
    if (node->kind != SP_REPLY_ARRAY) {
        sp_str text = sp_answer_text(node);
        sp_buf_add_str(&desk->text, text.ptr != NULL ? text : SP_STR(""));
        return;
    }
    const struct sp_reply_node *at = sp_reply_child(node);
    for (desk->row_count = 0; desk->row_count < node->count; desk->row_count++) {
        sp_str text = sp_answer_text(at);
        sp_buf_add_str(&desk->text, text.ptr != NULL ? text : SP_STR("{}"));
        sp_buf_add_byte(&desk->text, '\n');
        at = sp_reply_next(at);
    }
}

static sp_status ask_server(struct sp_cli_desk *desk, const struct sp_desk_request *request) {
    struct sp_answer answer;
    char room[SP_DESK_ROOM_SIZE];
    sp_str words[SP_DESK_WORDS_MAX];
    uint32_t count = sp_desk_words(request, room, words);
    sp_status status = sp_client_call(desk->client, words, count, 0, &answer, &desk->error);
    if (status == SP_OK) {
        take_answer(desk, sp_answer_node(&answer));
        sp_answer_fini(&answer);
    }
    return status;
}

static sp_status ask_folder(struct sp_cli_desk *desk, const struct sp_desk_request *request) {
    struct sp_desk_answer answer;
    sp_desk_answer_init(&answer);
    sp_status status =
        sp_api_ask(desk->store, request, sp_str_from(desk->who), &answer, &desk->error);
    if (status == SP_OK) {
        sp_buf_add_str(&desk->text, sp_buf_str(&answer.text));
        desk->row_count = answer.row_count;
    }
    sp_desk_answer_fini(&answer);
    return status;
}

sp_status sp_cli_desk_try(struct sp_cli_desk *desk, const struct sp_desk_request *request) {
    sp_error_clear(&desk->error);
    sp_buf_reset(&desk->text);
    desk->row_count = 0;
    sp_status status = sp_desk_check(request, &desk->error);
    if (status != SP_OK) {
        return status;
    }
    return desk->client != NULL ? ask_server(desk, request) : ask_folder(desk, request);
}

int sp_cli_desk_ask(struct sp_cli_desk *desk, const struct sp_desk_request *request) {
    sp_status status = sp_cli_desk_try(desk, request);
    if (status != SP_OK) {
        sp_cli_complain("%s", desk->error.text);
    }
    return sp_cli_exit_code((spoor_status)status);
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Behind which row the next page begins: as the desk's answer says it over HTTP. */
struct behind {
    uint64_t position; /* the highest of a row */
    uint64_t due_us;   /* of the last row, where rows have it: they are in its order */
};

static uint64_t number_of(sp_str row, const char *name) {
    uint64_t number = 0;
    return sp_args_number(sp_cli_member(row, name), &number, NULL) == SP_OK ? number : 0;
}

static struct behind show_page(struct sp_cli_desk *desk, sp_cli_desk_row_fn *row, void *context) {
    sp_str rest = sp_buf_str(&desk->text);
    struct behind behind = {.position = 0};
    while (rest.len > 0 && !sp_out_is_over(&desk->cli->out)) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        sp_str one = sp_str_of(rest.ptr, len);
        uint64_t position = number_of(one, "position");
        behind.due_us = number_of(one, "due_us");
        behind.position =
            position > behind.position || behind.due_us > 0 ? position : behind.position;
        row(context, one);
        sp_out_line_end(&desk->cli->out);
        rest = sp_str_from_byte(rest, len < rest.len ? len + 1 : len);
    }
    return behind;
}

static void set_page(struct sp_desk_request *request, struct behind behind, char rows[NUMBERS_SIZE],
                     char after[NUMBERS_SIZE]) {
    (void)snprintf(rows, NUMBERS_SIZE, "%" PRIu32, request->limit);
    if (behind.due_us > 0) {
        (void)snprintf(after, NUMBERS_SIZE, "%" PRIu64 "-%" PRIu64, behind.due_us, behind.position);
    } else {
        (void)snprintf(after, NUMBERS_SIZE, "%" PRIu64, behind.position);
    }
    request->options[SP_DESK_LIMIT] = sp_str_from(rows);
    request->options[SP_DESK_AFTER] = sp_str_from(after);
}

int sp_cli_desk_list(struct sp_cli_desk *desk, struct sp_desk_request *request, uint64_t limit,
                     sp_cli_desk_row_fn *row, void *context) {
    char rows[NUMBERS_SIZE];
    char after[NUMBERS_SIZE];
    uint64_t left = limit > 0 ? limit : UINT64_MAX;
    bool pages = (request->verb->options & SP_DESK_BIT(SP_DESK_LIMIT)) != 0;
    struct behind behind = {.position = 0};
    bool more = true;
    int code = SP_EXIT_OK;
    while (more && code == SP_EXIT_OK) {
        request->limit = left < PAGE_ROWS ? (uint32_t)left : PAGE_ROWS;
        if (pages) {
            set_page(request, behind, rows, after);
        }
        code = sp_cli_desk_ask(desk, request);
        if (code == SP_EXIT_OK) {
            behind = show_page(desk, row, context);
            left -= desk->row_count < left ? desk->row_count : left;
            more = pages && desk->row_count == request->limit && left > 0 &&
                   !sp_out_is_over(&desk->cli->out);
        }
    }
    return code;
}

void sp_cli_desk_show(struct sp_cli_desk *desk) {
    struct sp_out *out = &desk->cli->out;
    if (desk->cli->wants_json) {
        sp_buf_add_str(&out->buf, sp_buf_str(&desk->text));
    } else {
        sp_text_add_pretty(&out->buf, sp_buf_str(&desk->text), 0);
    }
    sp_out_print(out, "\n");
}
