/*
 * projection: read models, of a server or of a folder. Both tell of a projection with the same line
 * of JSON; over a folder everything happens within the command.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/projections.h"
#include "base/json.h"
#include "cli/interrupt.h"
#include "cli/member.h"
#include "cli/progress.h"
#include "cli/projections.h"
#include "cli/server.h"
#include "cli/table.h"
#include "cli/text.h"
#include "os/os.h"

enum {
    FILE_BYTES_MAX = 2 << 20, /* more than a definition may have: the parser says how much */
    POLL_US = 100000,
    NAME_SIZE = SP_PROJECTS_NAME_BYTES_MAX + 1,
};

const struct sp_flag sp_projection_flags[] = {
    [SP_PROJECTION_NO_WAIT] = {.name = "no-wait",
                               .kind = SP_FLAG_SWITCH,
                               .help = "do not wait until the tables are there"},
};

/* What is asked: one of the two. */
struct desk {
    struct sp_cli *cli;
    spoor *store;
    struct sp_projects *projects; /* of the folder */
    struct sp_client *client;     /* of the server */
    struct sp_buf text;           /* of the answer */
};

/* ---- opening --------------------------------------------------------------------------------- */

static int begin(struct sp_cli *cli, bool writes, struct desk *desk) {
    struct sp_error error;
    *desk = (struct desk){.cli = cli};
    sp_buf_init(&desk->text, SIZE_MAX / 2);
    sp_error_clear(&error);
    int code = sp_server_or_folder(cli, writes ? 0 : SPOOR_READ_ONLY, &desk->store, &desk->client);
    if (code != SP_EXIT_OK || desk->client != NULL) {
        return code;
    }
    sp_status status = sp_api_projects(desk->store, &desk->projects, &error);
    if (status != SP_OK) {
        sp_cli_complain("%s", error.text);
    }
    return sp_cli_exit_code((spoor_status)status);
}

static void end(struct desk *desk) {
    sp_client_close(desk->client);
    spoor_close(desk->store);
    sp_buf_fini(&desk->text);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static sp_status add_here(struct desk *desk, sp_str text, struct sp_error *error) {
    enum sp_projects_outcome outcome;
    char name[NAME_SIZE];
    const sp_str any = {.ptr = NULL};
    sp_status status = sp_projects_add(desk->projects, text, any, name, &outcome, error);
    return status == SP_OK
               ? sp_projects_status(desk->projects, sp_str_from(name), &desk->text, error)
               : status;
}

static sp_status ask_here(struct desk *desk, const char *verb, sp_str operand,
                          struct sp_error *error) {
    struct sp_projects *projects = desk->projects;
    enum sp_projects_outcome outcome;
    uint64_t number;
    sp_status status = SP_OK;
    if (strcmp(verb, "LIST") == 0) {
        sp_projects_list(projects, &desk->text, SP_STR("\n"));
        return desk->text.status;
    }
    if (strcmp(verb, "GET") == 0) {
        return sp_projects_show(projects, operand, &desk->text, error);
    }
    if (strcmp(verb, "ADD") == 0) {
        return add_here(desk, operand, error);
    }
    if (strcmp(verb, "DROP") == 0) {
        return sp_projects_remove(projects, operand, error);
    }
    if (strcmp(verb, "SHIPPED") == 0) {
        status = sp_projects_add_shipped(projects, operand, &outcome, error);
    } else if (strcmp(verb, "REBUILD") == 0) {
        status = sp_projects_rebuild(projects, operand, &number, error);
    } else if (strcmp(verb, "RESUME") == 0) {
        status = sp_projects_resume(projects, operand, error);
    }
    return status == SP_OK ? sp_projects_status(projects, operand, &desk->text, error) : status;
}

static sp_status ask_server(struct desk *desk, const char *verb, sp_str operand,
                            struct sp_error *error) {
    struct sp_answer answer;
    const sp_str words[] = {SP_STR("SPOOR.PROJECTION"), sp_str_from(verb), operand};
    size_t count = operand.ptr != NULL ? 3 : 2;
    sp_status status = sp_client_call(desk->client, words, count, 0, &answer, error);
    if (status == SP_OK) {
        sp_str text = sp_answer_text(sp_answer_node(&answer));
        sp_buf_add_str(&desk->text, text.ptr != NULL ? text : SP_STR(""));
        sp_answer_fini(&answer);
    }
    return status;
}

/* The answer is in desk->text; on failure it is said, behind `about` where that is not NULL. */
static int ask(struct desk *desk, const char *verb, sp_str operand, const char *about) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_buf_reset(&desk->text);
    sp_status status = desk->client != NULL ? ask_server(desk, verb, operand, &error)
                                            : ask_here(desk, verb, operand, &error);
    if (status == SP_OK && desk->projects != NULL) {
        status = sp_api_settle(desk->store, &error);
    }
    if (status == SP_OK) {
        return SP_EXIT_OK;
    }
    sp_cli_complain("%s%s%s", about != NULL ? about : "", about != NULL ? ": " : "", error.text);
    int code = sp_cli_exit_code((spoor_status)status);
    return code == SP_EXIT_USAGE ? SP_EXIT_FAILURE : code;
}

/* ---- reading a status ------------------------------------------------------------------------ */

static bool is_state(sp_str status, const char *state) {
    sp_str raw = sp_cli_member(status, "state");
    return raw.len == strlen(state) + 2 && strncmp(raw.ptr + 1, state, strlen(state)) == 0;
}

/* ---- ls -------------------------------------------------------------------------------------- */

/* What a person has to know beside the numbers: why it stands, or how far another build is. */
static void add_remark(struct sp_table *table, sp_str status, struct sp_buf *room) {
    sp_str error = sp_cli_member(status, "error");
    sp_str rebuild = sp_cli_member(status, "rebuild");
    sp_buf_reset(room);
    if (error.len > 0) {
        sp_str position = sp_cli_member(error, "position");
        sp_buf_add_str(room, position.len > 0 ? SP_STR("at event ") : SP_STR(""));
        sp_buf_add_str(room, position);
        sp_buf_add_str(room, position.len > 0 ? SP_STR(": ") : SP_STR(""));
        (void)sp_cli_member_text(error, "text", room);
    } else if (rebuild.len > 0 && sp_cli_member(rebuild, "error").len > 0) {
        sp_buf_add_str(room, SP_STR("rebuild failed: "));
        (void)sp_cli_member_text(sp_cli_member(rebuild, "error"), "text", room);
    } else if (rebuild.len > 0) {
        sp_buf_add_str(room, SP_STR("rebuild at "));
        sp_buf_add_str(room, sp_cli_member(rebuild, "percent"));
        sp_buf_add_str(room, SP_STR(" %"));
    }
    sp_table_add(table, sp_buf_str(room));
}

static void add_row(struct sp_table *table, sp_str status, struct sp_buf *room) {
    static const char *const NUMBERS[] = {"version", "build", "position", "lag_events", "applied"};
    sp_buf_reset(room);
    sp_table_add(table, sp_cli_member_text(status, "name", room));
    sp_buf_reset(room);
    sp_table_add(table, sp_cli_member_text(status, "state", room));
    for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(*NUMBERS); i++) {
        sp_table_add(table, sp_cli_member(status, NUMBERS[i]));
    }
    add_remark(table, status, room);
}

static void show_list(struct desk *desk) {
    static const struct sp_table_column COLUMNS[] = {
        {.title = "PROJECTION", .columns_max = 40}, {.title = "STATE"},
        {.title = "VERSION", .is_number = true},    {.title = "BUILD", .is_number = true},
        {.title = "POSITION", .is_number = true},   {.title = "LAG", .is_number = true},
        {.title = "APPLIED", .is_number = true},    {.title = "REMARK"},
    };
    struct sp_table table;
    struct sp_buf room;
    sp_str rest = sp_buf_str(&desk->text);
    sp_buf_init(&room, SIZE_MAX / 2);
    sp_table_init(&table, &desk->cli->out, COLUMNS, sizeof(COLUMNS) / sizeof(*COLUMNS));
    while (rest.len > 0) {
        const char *line_end = memchr(rest.ptr, '\n', rest.len);
        size_t len = line_end != NULL ? (size_t)(line_end - rest.ptr) : rest.len;
        add_row(&table, sp_str_of(rest.ptr, len), &room);
        rest = sp_str_from_byte(rest, len < rest.len ? len + 1 : len);
    }
    sp_table_fini(&table);
    sp_buf_fini(&room);
}

static void show_lines(struct desk *desk) {
    if (desk->text.len > 0) {
        sp_buf_add_str(&desk->cli->out.buf, sp_buf_str(&desk->text));
        sp_out_print(&desk->cli->out, "\n");
    }
}

int sp_cmd_projection_ls(struct sp_cli *cli) {
    struct desk desk;
    const sp_str none = {.ptr = NULL};
    int code = begin(cli, false, &desk);
    code = code == SP_EXIT_OK ? ask(&desk, "LIST", none, NULL) : code;
    if (code == SP_EXIT_OK && cli->wants_json) {
        show_lines(&desk);
    } else if (code == SP_EXIT_OK) {
        show_list(&desk);
    }
    end(&desk);
    return code;
}

/* ---- status, show ---------------------------------------------------------------------------- */

int sp_cmd_projection_status(struct sp_cli *cli) {
    struct desk desk;
    int code = begin(cli, false, &desk);
    code =
        code == SP_EXIT_OK ? ask(&desk, "STATUS", sp_str_from(cli->args.operands[0]), NULL) : code;
    if (code == SP_EXIT_OK && cli->wants_json) {
        show_lines(&desk);
    } else if (code == SP_EXIT_OK) {
        sp_text_add_pretty(&cli->out.buf, sp_buf_str(&desk.text), 0);
        sp_out_print(&cli->out, "\n");
    }
    end(&desk);
    return code;
}

/* The file as it was given; as JSON its status with it. */
int sp_cmd_projection_show(struct sp_cli *cli) {
    struct desk desk;
    int code = begin(cli, false, &desk);
    code = code == SP_EXIT_OK ? ask(&desk, "GET", sp_str_from(cli->args.operands[0]), NULL) : code;
    if (code == SP_EXIT_OK && cli->is_json_explicit) {
        show_lines(&desk);
    } else if (code == SP_EXIT_OK) {
        (void)sp_cli_member_text(sp_buf_str(&desk.text), "text", &cli->out.buf);
    }
    end(&desk);
    return code;
}

/* ---- waiting --------------------------------------------------------------------------------- */

struct waiting {
    struct desk *desk;
    struct sp_progress progress;
    struct sp_interrupt interrupt;
};

static bool on_progress(void *context, const struct sp_projects_progress *at) {
    struct waiting *waiting = context;
    if (sp_progress_is_due(&waiting->progress)) {
        double share = at->head > 0 ? (double)at->position / (double)at->head * 100 : 100;
        double rate = (double)at->position / (sp_progress_seconds(&waiting->progress) + 1e-9);
        sp_progress_show(&waiting->progress, "%.*s: %.0f %%, %.0f events/s", SP_STR_ARG(at->name),
                         share, rate);
    }
    return !sp_interrupt_came(&waiting->interrupt);
}

static int wait_here(struct waiting *waiting, sp_str name) {
    struct sp_error error;
    sp_error_clear(&error);
    sp_status status =
        sp_projects_catch_up(waiting->desk->projects, name, on_progress, waiting, &error);
    sp_progress_clear(&waiting->progress);
    if (status == SP_OK) {
        status = sp_api_settle(waiting->desk->store, &error);
    }
    if (status == SP_OK) {
        return SP_EXIT_OK;
    }
    sp_cli_complain("%s", error.text);
    return status == SP_CANCELLED ? SP_EXIT_INTERRUPTED : SP_EXIT_FAILURE;
}

static double number_of(sp_str object, const char *name) {
    sp_str raw = sp_cli_member(object, name);
    return raw.len > 0 ? sp_json_number(raw) : 0;
}

/* A name has no escapes: it is what stands between the quotes. */
static sp_str name_of(sp_str status) {
    sp_str raw = sp_cli_member(status, "name");
    return raw.len >= 2 ? sp_str_of(raw.ptr + 1, raw.len - 2) : raw;
}

static void show_status(struct waiting *waiting, sp_str status) {
    sp_str rebuild = sp_cli_member(status, "rebuild");
    sp_str from = rebuild.len > 0 ? rebuild : status;
    sp_str name = name_of(status);
    char left[48] = "";
    if (!sp_progress_is_due(&waiting->progress) || sp_cli_member(from, "percent").len == 0) {
        return;
    }
    if (sp_cli_member(from, "eta_s").len > 0) {
        (void)snprintf(left, sizeof(left), ", %.0f s left", number_of(from, "eta_s"));
    }
    sp_progress_show(&waiting->progress, "%.*s: %.0f %%, %.0f events/s%s", SP_STR_ARG(name),
                     number_of(from, "percent"), number_of(from, "rate"), left);
}

/* Says why a build came to nothing. */
static int complain_of(struct waiting *waiting, sp_str status, sp_str error) {
    struct sp_buf room;
    sp_buf_init(&room, SIZE_MAX / 2);
    sp_progress_clear(&waiting->progress);
    sp_str position = sp_cli_member(error, "position");
    sp_str text = sp_cli_member_text(error, "text", &room);
    sp_str name = name_of(status);
    sp_cli_complain("projection '%.*s' stops%s%.*s: %.*s", SP_STR_ARG(name),
                    position.len > 0 ? " at event " : "", SP_STR_ARG(position), SP_STR_ARG(text));
    sp_buf_fini(&room);
    return SP_EXIT_FAILURE;
}

/* Looks again and again, until queries see what was asked for, or it has failed. */
static int wait_server(struct waiting *waiting, sp_str name) {
    struct desk *desk = waiting->desk;
    for (;;) {
        int code = ask(desk, "STATUS", name, NULL);
        sp_str status = sp_buf_str(&desk->text);
        if (code != SP_EXIT_OK) {
            return code;
        }
        bool settled = sp_str_eq(sp_cli_member(status, "settled"), SP_STR("true"));
        sp_str failed = sp_cli_member(sp_cli_member(status, "rebuild"), "error");
        if (is_state(status, "failed") && (settled || sp_cli_member(status, "build").len == 0)) {
            return complain_of(waiting, status, sp_cli_member(status, "error"));
        }
        if (!settled && failed.len > 0) {
            return complain_of(waiting, status, failed);
        }
        if (settled && !is_state(status, "building")) {
            sp_progress_clear(&waiting->progress);
            return SP_EXIT_OK;
        }
        show_status(waiting, status);
        if (sp_interrupt_came(&waiting->interrupt)) {
            sp_progress_clear(&waiting->progress);
            sp_cli_say(desk->cli, "it goes on without being watched");
            return SP_EXIT_INTERRUPTED;
        }
        sp_sleep_us(POLL_US);
    }
}

static int wait_for(struct desk *desk, sp_str name) {
    struct waiting waiting = {.desk = desk};
    if (desk->cli->args.own_values[SP_PROJECTION_NO_WAIT] != NULL) {
        return SP_EXIT_OK;
    }
    sp_progress_init(&waiting.progress, desk->cli->is_quiet);
    sp_interrupt_open(&waiting.interrupt);
    int code = desk->client != NULL ? wait_server(&waiting, name) : wait_here(&waiting, name);
    sp_interrupt_close(&waiting.interrupt);
    return code;
}

/* ---- changing -------------------------------------------------------------------------------- */

/* What was asked has begun: waits for it, and tells how it stands. */
static int finish(struct desk *desk, const char *name) {
    sp_str text = sp_str_from(name);
    int code = wait_for(desk, text);
    if (code != SP_EXIT_OK) {
        return code;
    }
    code = ask(desk, "STATUS", text, NULL);
    if (code == SP_EXIT_OK && desk->cli->wants_json) {
        show_lines(desk);
    } else if (code == SP_EXIT_OK) {
        show_list(desk);
    }
    return code;
}

static int change(struct sp_cli *cli, const char *verb) {
    struct desk desk;
    const char *name = cli->args.operands[0];
    int code = begin(cli, true, &desk);
    code = code == SP_EXIT_OK ? ask(&desk, verb, sp_str_from(name), NULL) : code;
    code = code == SP_EXIT_OK ? finish(&desk, name) : code;
    end(&desk);
    return code;
}

int sp_cmd_projection_rebuild(struct sp_cli *cli) {
    return change(cli, "REBUILD");
}

int sp_cmd_projection_resume(struct sp_cli *cli) {
    return change(cli, "RESUME");
}

int sp_cmd_projection_rm(struct sp_cli *cli) {
    struct desk desk;
    const char *name = cli->args.operands[0];
    int code = begin(cli, true, &desk);
    code = code == SP_EXIT_OK ? ask(&desk, "DROP", sp_str_from(name), NULL) : code;
    if (code == SP_EXIT_OK) {
        sp_cli_say(cli, "projection %s is removed", name);
    }
    end(&desk);
    return code;
}

/* ---- add ------------------------------------------------------------------------------------- */

/* A name is one word of small letters; what looks like a path, or is a file, is a file. */
static bool is_file(const char *operand) {
    struct stat info;
    size_t len = strlen(operand);
    return strchr(operand, '/') != NULL || strcmp(operand, "-") == 0 ||
           (len > 4 && strcmp(operand + len - 4, ".sql") == 0) ||
           (stat(operand, &info) == 0 && S_ISREG(info.st_mode));
}

static int read_file(const char *path, struct sp_buf *to) {
    char text[128];
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? 1 : -1;
    while (len > 0) {
        uint8_t *at = sp_buf_reserve(to, 65536);
        if (at == NULL) {
            break;
        }
        len = read(fd, at, 65536);
        sp_buf_advance(to, len > 0 ? (size_t)len : 0);
        len = len < 0 && errno == EINTR ? 1 : len;
    }
    int os_error = errno;
    if (fd >= 0 && !is_stdin) {
        (void)close(fd);
    }
    if (len < 0) {
        sp_cli_complain("%s: %s", path, strerror_r(os_error, text, sizeof(text)));
    } else if (to->status != SP_OK) {
        sp_cli_complain("%s: too long for a projection file", path);
    }
    return len < 0 ? (os_error == ENOENT ? SP_EXIT_NOT_FOUND : SP_EXIT_FAILURE)
                   : (to->status == SP_OK ? SP_EXIT_OK : SP_EXIT_FAILURE);
}

static int add_text(struct desk *desk, sp_str text, const char *path) {
    char name[NAME_SIZE];
    struct sp_buf room;
    int code = ask(desk, "ADD", text, path);
    if (code != SP_EXIT_OK) {
        return code;
    }
    sp_buf_init(&room, NAME_SIZE);
    sp_str said = sp_cli_member_text(sp_buf_str(&desk->text), "name", &room);
    (void)snprintf(name, sizeof(name), "%.*s", SP_STR_ARG(said));
    sp_buf_fini(&room);
    return finish(desk, name);
}

int sp_cmd_projection_add(struct sp_cli *cli) {
    const char *operand = cli->args.operands[0];
    struct sp_buf file;
    struct desk desk;
    if (!is_file(operand)) {
        return change(cli, "SHIPPED");
    }
    sp_buf_init(&file, FILE_BYTES_MAX);
    int code = read_file(operand, &file);
    if (code == SP_EXIT_OK) {
        code = begin(cli, true, &desk);
        code = code == SP_EXIT_OK ? add_text(&desk, sp_buf_str(&file), operand) : code;
        end(&desk);
    }
    sp_buf_fini(&file);
    return code;
}
