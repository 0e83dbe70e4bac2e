/* Definitions of sagas, joins and schedules: files that are checked and defined. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/desk.h"
#include "cli/files.h"
#include "cli/flows.h"
#include "cli/member.h"

enum { FILE_BYTES_MAX = 2 << 20 }; /* more than a definition may have: the parser says how much */

struct problems {
    const struct sp_cli *cli;
    const char *path;
    unsigned error_count;
};

/* {"line", "column", "severity", "text"} as `file:3:7: …`. */
static void show_problem(void *context, sp_str problem) {
    struct problems *problems = context;
    struct sp_buf text;
    sp_str line = sp_cli_member(problem, "line");
    sp_str column = sp_cli_member(problem, "column");
    bool warns = sp_str_eq(sp_cli_member_raw(problem, "severity"), SP_STR("warning"));
    sp_buf_init(&text, SIZE_MAX / 2);
    sp_str said = sp_cli_member_text(problem, "text", &text);
    if (warns) {
        sp_cli_say(problems->cli, "%s:%.*s:%.*s: warning: %.*s", problems->path, SP_STR_ARG(line),
                   SP_STR_ARG(column), SP_STR_ARG(said));
    } else {
        sp_cli_complain("%s:%.*s:%.*s: error: %.*s", problems->path, SP_STR_ARG(line),
                        SP_STR_ARG(column), SP_STR_ARG(said));
        problems->error_count++;
    }
    sp_buf_fini(&text);
}

/* Refused: asks what is wrong, with places, and says it. */
static int complain(struct sp_cli_desk *desk, const struct sp_desk_request *refused,
                    const char *path) {
    struct problems problems = {.cli = desk->cli, .path = path};
    struct sp_error error = desk->error;
    const struct sp_desk_request request = {
        .verb = sp_desk_find(sp_str_from(refused->verb->desk), SP_STR("check")),
        .subject = refused->subject,
    };
    if (sp_cli_desk_try(desk, &request) == SP_OK) {
        sp_cli_member_items(sp_cli_member(sp_buf_str(&desk->text), "problems"), show_problem,
                            &problems);
    }
    if (problems.error_count == 0) {
        sp_cli_complain("%s: %s", path, error.text);
    }
    return SP_EXIT_FAILURE;
}

static void show_defined(struct sp_cli_desk *desk, const struct sp_desk_request *request,
                         const char *path) {
    struct problems problems = {.cli = desk->cli, .path = path};
    struct sp_out *out = &desk->cli->out;
    sp_str answer = sp_buf_str(&desk->text);
    sp_str name = sp_cli_member_raw(answer, request->verb->desk);
    bool unchanged = sp_str_eq(sp_cli_member(answer, "unchanged"), SP_STR("true"));
    sp_cli_member_items(sp_cli_member(answer, "warnings"), show_problem, &problems);
    if (desk->cli->wants_json) {
        sp_cli_desk_show(desk);
    } else {
        sp_out_print(out, "%s %.*s is %s\n", request->verb->desk, SP_STR_ARG(name),
                     unchanged ? "unchanged" : "defined");
    }
}

static int define_file(struct sp_cli_desk *desk, struct sp_desk_request *request,
                       const char *path) {
    struct sp_buf file;
    sp_buf_init(&file, FILE_BYTES_MAX);
    int code = sp_cli_read_file(path, &file);
    if (code == SP_EXIT_OK && file.len == 0) {
        sp_cli_complain("%s: found nothing, expected a definition", path);
        code = SP_EXIT_FAILURE;
    }
    if (code == SP_EXIT_OK) {
        request->subject = sp_buf_str(&file);
        sp_status status = sp_cli_desk_try(desk, request);
        if (status == SP_OK) {
            show_defined(desk, request, path);
        } else if (status == SP_INVALID) {
            code = complain(desk, request, path);
        } else {
            sp_cli_complain("%s: %s", path, desk->error.text);
            code = sp_cli_exit_code((spoor_status)status);
        }
    }
    sp_buf_fini(&file);
    return code;
}

/* saga define, join add, schedule add. Each file for itself; the first failure is the exit code. */
int sp_cmd_flow_add(struct sp_cli *cli) {
    struct sp_cli_desk desk;
    struct sp_desk_request request;
    int code = sp_cli_desk_open(cli, SPOOR_CREATE, &desk);
    code = code == SP_EXIT_OK ? sp_cli_desk_request(&desk, NULL, &request) : code;
    if (code == SP_EXIT_OK) {
        for (size_t i = 0; i < cli->args.operand_count; i++) {
            int one = define_file(&desk, &request, cli->args.operands[i]);
            code = code == SP_EXIT_OK ? one : code;
        }
    }
    sp_cli_desk_close(&desk);
    return code;
}
