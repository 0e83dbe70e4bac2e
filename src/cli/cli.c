#include "cli/cli.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "cli/text.h"
#include "client/url.h"
#include "project/upcast.h"
#include "schema/registry.h"

enum { SAME_DAMAGE_MAX = 3 }; /* times a cursor may report one damage before it counts as stuck */

int sp_cli_exit_code(spoor_status status) {
    switch (status) {
    case SPOOR_OK:
    case SPOOR_END:
        return SP_EXIT_OK;
    case SPOOR_INVALID:
        return SP_EXIT_USAGE;
    case SPOOR_NOT_FOUND:
        return SP_EXIT_NOT_FOUND;
    case SPOOR_CONFLICT:
        return SP_EXIT_CONFLICT;
    case SPOOR_DENIED:
        return SP_EXIT_DENIED;
    case SPOOR_CORRUPT:
        return SP_EXIT_DAMAGED;
    case SPOOR_TIMEOUT:
        return SP_EXIT_TIMEOUT;
    case SPOOR_LIMIT:
    case SPOOR_BUSY:
    case SPOOR_UNSUPPORTED:
    case SPOOR_IO:
    case SPOOR_NO_SPACE:
    case SPOOR_FENCED:
    case SPOOR_FAILED:
    case SPOOR_NO_MEMORY:
    case SPOOR_CANCELLED:
        return SP_EXIT_FAILURE;
    }
    return SP_EXIT_FAILURE;
}

/* ---- messages -------------------------------------------------------------------------------- */

static void print_message(const char *format, va_list args) SP_PRINTF(1, 0);

static void print_message(const char *format, va_list args) {
    char text[1024];
    (void)vsnprintf(text, sizeof(text), format, args);
    struct sp_buf line;
    sp_buf_init(&line, 4 * sizeof(text));
    sp_buf_add_str(&line, SP_STR("spoor: "));
    (void)sp_text_add(&line, sp_str_from(text), SP_TEXT_WHOLE);
    sp_buf_add_byte(&line, '\n');
    (void)fwrite(line.data, 1, line.len, stderr);
    sp_buf_fini(&line);
}

void sp_cli_complain(const char *format, ...) {
    va_list args;
    va_start(args, format);
    print_message(format, args);
    va_end(args);
}

void sp_cli_say(const struct sp_cli *cli, const char *format, ...) {
    if (cli->is_quiet) {
        return;
    }
    va_list args;
    va_start(args, format);
    print_message(format, args);
    va_end(args);
}

int sp_cli_fail(const spoor_error *error) {
    sp_cli_complain("%s", error->text[0] != '\0' ? error->text : spoor_status_text(error->status));
    return sp_cli_exit_code(error->status);
}

int sp_cli_usage(const struct sp_cli *cli, const char *text) {
    sp_cli_complain("%s", text);
    if (cli->args.command != NULL) {
        sp_cli_complain("try 'spoor help %s'", cli->args.command->name);
    } else {
        sp_cli_complain("try 'spoor help'");
    }
    return SP_EXIT_USAGE;
}

static bool is_given(const char *text) {
    return text != NULL && text[0] != '\0';
}

void sp_cli_who(char who[SP_CLI_WHO_SIZE]) {
    const char *user = getenv("USER");
    bool known = is_given(user);
    (void)snprintf(who, SP_CLI_WHO_SIZE, "%s%s", known ? "user:" : "cli", known ? user : "");
}

/* ---- the store ------------------------------------------------------------------------------- */

/* Where no server answers at the usual place, and nobody named one, the folder is meant. */
static bool means_folder(const struct sp_cli *cli, spoor_status status) {
    return cli->is_url_guessed &&
           (status == SPOOR_IO || status == SPOOR_UNSUPPORTED || status == SPOOR_DENIED);
}

static int fail_to_open(const struct sp_cli *cli, const spoor_error *error) {
    if (cli->url == NULL && error->status == SPOOR_NOT_FOUND) {
        sp_cli_complain("there is no event store in %s; --data or $SPOOR_DATA names another folder",
                        cli->folder);
        return SP_EXIT_NOT_FOUND;
    }
    int code = sp_cli_fail(error);
    if (cli->url == NULL && error->status == SPOOR_CORRUPT) {
        sp_cli_complain("'spoor verify --data %s' tells all that is wrong", cli->folder);
    }
    if (cli->url != NULL && error->status == SPOOR_IO) {
        sp_cli_complain("'spoor serve --data %s' starts a server; --data DIR works without one",
                        cli->folder);
    }
    return code == SP_EXIT_NOT_FOUND ? SP_EXIT_FAILURE : code;
}

int sp_cli_open(struct sp_cli *cli, unsigned flags, spoor **ret_store) {
    spoor_options options;
    spoor_error error = {.status = SPOOR_OK};
    spoor_options_init(&options);
    options.flags = flags;
    const char *place = cli->url != NULL ? cli->url : cli->folder;
    spoor_status status = spoor_open(place, &options, ret_store, &error);
    if (cli->url != NULL && means_folder(cli, status)) {
        cli->url = NULL;
        status = spoor_open(cli->folder, &options, ret_store, &error);
    }
    sp_cli_name_place(cli);
    if (status != SPOOR_OK) {
        return fail_to_open(cli, &error);
    }
    spoor_info info = {.size = sizeof(info)};
    if (cli->url == NULL && spoor_get_info(*ret_store, &info, &error) == SPOOR_OK &&
        info.notice[0] != '\0') {
        sp_cli_say(cli, "%s", info.notice);
    }
    return SP_EXIT_OK;
}

spoor_query sp_cli_query(const struct sp_args *args) {
    spoor_query query = {.size = sizeof(query)};
    query.types = args->types;
    query.type_count = args->type_count;
    query.source = args->values[SP_FLAG_SOURCE];
    query.stream = args->values[SP_FLAG_STREAM];
    query.correlation = args->values[SP_FLAG_CORRELATION];
    query.filter = args->values[SP_FLAG_FILTER];
    query.from = args->values[SP_FLAG_FROM];
    query.until = args->values[SP_FLAG_UNTIL];
    query.limit = sp_args_u64(args, SP_FLAG_LIMIT, 0);
    query.reverse = sp_args_has(args, SP_FLAG_REVERSE);
    return query;
}

/* True where the cursor says the same thing over and over, so that it cannot have gone on. */
static bool is_stuck(const spoor_error *error, spoor_error *before, unsigned *repeats) {
    bool same = before->offset == error->offset && strcmp(before->text, error->text) == 0;
    *repeats = same ? *repeats + 1 : 0;
    *before = *error;
    return *repeats >= SAME_DAMAGE_MAX;
}

int sp_cli_read(struct sp_cli *cli, spoor_cursor *cursor, sp_cli_event_fn *each, void *context,
                uint64_t *ret_count) {
    int code = SP_EXIT_OK;
    int damage = SP_EXIT_OK;
    uint64_t count = 0;
    unsigned repeats = 0;
    spoor_error before = {.status = SPOOR_OK};
    while (code == SP_EXIT_OK && !sp_out_is_over(&cli->out)) {
        const spoor_event *event = NULL;
        spoor_error error = {.status = SPOOR_OK};
        spoor_status status = spoor_next(cursor, 0, &event, &error);
        if (status == SPOOR_END) {
            break;
        }
        if (status == SPOOR_OK) {
            spoor_event room;
            code = sp_cli_view(cli, event, &room, &event);
            code = code == SP_EXIT_OK ? each(context, cursor, event) : code;
            count++;
            continue;
        }
        sp_out_flush(&cli->out); /* so that the message stands where the event is missing */
        damage = sp_cli_fail(&error);
        if (status != SPOOR_CORRUPT || is_stuck(&error, &before, &repeats)) {
            break;
        }
    }
    spoor_cursor_close(cursor);
    if (ret_count != NULL) {
        *ret_count = count;
    }
    return code != SP_EXIT_OK ? code : damage;
}

int sp_cli_add_json(struct sp_cli *cli, struct sp_buf *to, spoor_cursor *cursor,
                    const spoor_event *event) {
    uint8_t hash[32];
    size_t len = 0;
    spoor_error error = {.status = SPOOR_OK};
    spoor_status status = spoor_event_hash(cursor, hash, &error);
    if (status == SPOOR_OK) {
        status = spoor_format_json(event, hash, &cli->json, &cli->json_capacity, &len, &error);
    }
    if (status != SPOOR_OK) {
        return sp_cli_fail(&error);
    }
    sp_buf_add(to, cli->json, len);
    if (len == 0 || cli->json[len - 1] != '\n') {
        sp_buf_add_byte(to, '\n');
    }
    return SP_EXIT_OK;
}

int sp_cli_show_json(void *context, spoor_cursor *cursor, const spoor_event *event) {
    struct sp_cli *cli = context;
    int code = sp_cli_add_json(cli, &cli->out.buf, cursor, event);
    sp_out_line_end(&cli->out);
    return code;
}

/* ---- which event ----------------------------------------------------------------------------- */

static bool is_number(const char *text) {
    return text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
}

/* Takes the first event of a cursor and keeps its id. SPOOR_END where there is none. */
static spoor_status take_id(spoor_cursor *cursor, char ret_id[SP_CLI_ID_SIZE], spoor_error *error) {
    const spoor_event *event = NULL;
    spoor_status status = spoor_next(cursor, 0, &event, error);
    if (status == SPOOR_OK && event->id.len < SP_CLI_ID_SIZE) {
        memcpy(ret_id, event->id.ptr, event->id.len);
        ret_id[event->id.len] = '\0';
    } else if (status == SPOOR_OK) {
        status = SPOOR_END;
    }
    spoor_cursor_close(cursor);
    return status;
}

int sp_cli_find_id(const struct sp_cli *cli, spoor *store, const char *text,
                   char ret_id[SP_CLI_ID_SIZE]) {
    spoor_error error = {.status = SPOOR_OK};
    spoor_cursor *cursor = NULL;
    spoor_status status = spoor_find(store, text, NULL, &cursor, &error);
    if (status == SPOOR_OK) {
        status = take_id(cursor, ret_id, &error);
    }
    if ((status == SPOOR_END || status == SPOOR_NOT_FOUND) && is_number(text)) {
        spoor_query query = {.size = sizeof(query)};
        query.from = text;
        query.until = text;
        status = spoor_read(store, &query, &cursor, &error);
        if (status == SPOOR_OK) {
            status = take_id(cursor, ret_id, &error);
        }
    }
    if (status == SPOOR_END || status == SPOOR_NOT_FOUND) {
        sp_cli_complain("no event has the id '%s' in %s", text, cli->place);
        return SP_EXIT_NOT_FOUND;
    }
    return status == SPOOR_OK ? SP_EXIT_OK : sp_cli_fail(&error);
}

/* ---- from start to end ----------------------------------------------------------------------- */

static bool wants_colour(const struct sp_args *args) {
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return !sp_args_has(args, SP_FLAG_NO_COLOR) && (no_color == NULL || no_color[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

static const char *choose_folder(const struct sp_args *args) {
    const char *from_environment = getenv("SPOOR_DATA");
    if (sp_args_has(args, SP_FLAG_DATA)) {
        return args->values[SP_FLAG_DATA];
    }
    return from_environment != NULL && from_environment[0] != '\0' ? from_environment : "./data";
}

/*
 * True where the folder holds a store that nobody writes. Asks who has the lock without taking it,
 * not even for a moment: a server that starts meanwhile is not to be refused.
 */
static bool is_free_store(const char *folder) {
    char path[PATH_MAX];
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int len = snprintf(path, sizeof(path), "%s/LOCK", folder);
    int fd = len > 0 && (size_t)len < sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return false;
    }
    bool asked = fcntl(fd, F_OFD_GETLK, &whole) == 0;
    (void)close(fd);
    return asked && whole.l_type == F_UNLCK;
}

/*
 * A folder or a URL that is named wins. Else a store that lies here and that nobody writes is
 * meant; and else a server is looked for at the usual place.
 */
static void choose_url(struct sp_cli *cli) {
    const struct sp_args *args = &cli->args;
    const char *from_environment = getenv("SPOOR_URL");
    cli->url = NULL;
    if (sp_args_has(args, SP_FLAG_URL)) {
        cli->url = args->values[SP_FLAG_URL];
    } else if (sp_args_has(args, SP_FLAG_DATA)) {
        return;
    } else if (is_given(from_environment)) {
        cli->url = from_environment;
    } else if (!is_given(getenv("SPOOR_DATA")) && !is_free_store(cli->folder)) {
        cli->url = SP_CLI_URL_USUAL;
        cli->is_url_guessed = true;
    }
}

void sp_cli_want_server(struct sp_cli *cli) {
    bool named = sp_args_has(&cli->args, SP_FLAG_DATA) || is_given(getenv("SPOOR_DATA"));
    if (cli->url == NULL && !named) {
        cli->url = SP_CLI_URL_USUAL;
        sp_cli_name_place(cli);
    }
    cli->is_url_guessed = false;
}

void sp_cli_name_place(struct sp_cli *cli) {
    struct sp_url url;
    const char *shown = cli->folder;
    if (cli->url != NULL) {
        bool whole = sp_url_parse(sp_str_from(cli->url), &url, NULL) == SP_OK;
        shown = whole ? url.shown : "the server";
    }
    (void)snprintf(cli->place, sizeof(cli->place), "%s", shown);
}

static int run_command(struct sp_cli *cli) {
    if (sp_args_has(&cli->args, SP_FLAG_HELP)) {
        return sp_help_show(&cli->out, cli->args.command);
    }
    return cli->args.command->run(cli);
}

/* `spoor --version`, as everybody tries it. */
static bool asks_version(int argc, char *const argv[]) {
    return argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0);
}

int sp_cli_main(int argc, char *const argv[]) {
    struct sp_cli cli = {.folder = NULL};
    struct sp_error error;
    sp_error_clear(&error);
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that has gone is an error of write, see out.h */
    char *const version[] = {argv[0], (char[]){"version"}, NULL};
    struct sp_command_table table = sp_command_table();
    sp_status status =
        sp_args_parse(&table, argc, asks_version(argc, argv) ? version : argv, &cli.args, &error);
    if (status != SP_OK) {
        return sp_cli_usage(&cli, error.text);
    }
    if (sp_args_has(&cli.args, SP_FLAG_DATA) && sp_args_has(&cli.args, SP_FLAG_URL)) {
        return sp_cli_usage(&cli, "--data names a folder and --url a server: give one of them");
    }
    cli.folder = choose_folder(&cli.args);
    choose_url(&cli);
    sp_cli_name_place(&cli);
    cli.is_quiet = sp_args_has(&cli.args, SP_FLAG_QUIET);
    cli.is_json_explicit = sp_args_has(&cli.args, SP_FLAG_JSON);
    sp_out_init(&cli.out, STDOUT_FILENO, wants_colour(&cli.args));
    cli.wants_json = cli.is_json_explicit || !cli.out.is_terminal;
    int code = run_command(&cli);
    spoor_free(cli.json);
    sp_upcasters_free(cli.upcasters);
    if (cli.schemas != NULL) {
        sp_registry_free(cli.schemas);
    }
    if (sp_out_fini(&cli.out, &error) != SP_OK) {
        sp_cli_complain("%s", error.text);
        code = code == SP_EXIT_OK ? SP_EXIT_FAILURE : code;
    }
    return code;
}
