/* events, event, export: reading what is there. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/list.h"
#include "cli/text.h"

/* ---- lists of events ------------------------------------------------------------------------- */

static const struct sp_table_column COLUMNS[] = {
    {.title = "POSITION", .is_number = true},
    {.title = "TIME (UTC)", .is_dim = true},
    {.title = "TYPE"},
    {.title = "SOURCE", .columns_max = 28},
    {.title = "DATA", .is_dim = true},
};

static const struct sp_table_column STREAM_COLUMNS[] = {
    {.title = "VERSION", .is_number = true},
    {.title = "TIME (UTC)", .is_dim = true},
    {.title = "TYPE"},
    {.title = "SOURCE", .columns_max = 28},
    {.title = "DATA", .is_dim = true},
};

struct list {
    struct sp_table table;
    struct sp_buf summary;
    size_t summary_columns;
    bool shows_version;
};

static int show_row(void *context, spoor_cursor *cursor, const spoor_event *event) {
    (void)cursor;
    struct list *list = context;
    char time[SP_TEXT_TIME_SIZE];
    sp_text_event_time(event, time);
    sp_buf_reset(&list->summary);
    sp_text_add_summary(&list->summary, event, list->summary_columns);
    sp_table_add_u64(&list->table, list->shows_version ? event->version : event->position);
    sp_table_add(&list->table, sp_str_from(time));
    sp_table_add(&list->table, sp_text_str(event->type));
    sp_table_add(&list->table, sp_text_str(event->source));
    sp_table_add(&list->table, sp_buf_str(&list->summary));
    return SP_EXIT_OK;
}

int sp_list_events(struct sp_cli *cli, spoor_cursor *cursor, bool shows_version,
                   uint64_t *ret_count) {
    if (cli->wants_json) {
        return sp_cli_read(cli, cursor, sp_cli_show_json, cli, ret_count);
    }
    struct list list = {.summary_columns = cli->out.columns, .shows_version = shows_version};
    sp_buf_init(&list.summary, SIZE_MAX);
    sp_table_init(&list.table, &cli->out, shows_version ? STREAM_COLUMNS : COLUMNS,
                  sizeof(COLUMNS) / sizeof(*COLUMNS));
    int code = sp_cli_read(cli, cursor, show_row, &list, ret_count);
    sp_table_fini(&list.table);
    sp_buf_fini(&list.summary);
    return code;
}

int sp_list_query(struct sp_cli *cli, spoor *store, const spoor_query *query, bool shows_version,
                  uint64_t *ret_count) {
    spoor_cursor *cursor = NULL;
    spoor_error error = {.status = SPOOR_OK};
    spoor_status status = spoor_read(store, query, &cursor, &error);
    if (status != SPOOR_OK) {
        return sp_cli_fail(&error);
    }
    return sp_list_events(cli, cursor, shows_version, ret_count);
}

int sp_cmd_events(struct sp_cli *cli) {
    spoor *store = NULL;
    int code = sp_cli_open(cli, SPOOR_READ_ONLY, &store);
    if (code != SP_EXIT_OK) {
        return code;
    }
    spoor_query query = sp_cli_query(&cli->args);
    code = sp_cli_upcast(cli, store);
    code = code == SP_EXIT_OK ? sp_list_query(cli, store, &query, false, NULL) : code;
    spoor_close(store);
    return code;
}

/* ---- one event ------------------------------------------------------------------------------- */

static void show_attribute(struct sp_cli *cli, const char *name, sp_str text) {
    struct sp_out *out = &cli->out;
    if (text.ptr == NULL) {
        return;
    }
    sp_out_print(out, out->has_colour ? "\x1b[1m%-16s\x1b[0m " : "%-16s ", name);
    (void)sp_text_add(&out->buf, text, SP_TEXT_WHOLE);
    sp_out_print(out, "\n");
}

static void show_assigned(struct sp_cli *cli, const spoor_event *event) {
    char text[SP_TIME_TEXT_SIZE];
    char number[24];
    char entryid[SP_ENTRYID_TEXT_SIZE];
    (void)snprintf(number, sizeof(number), "%" PRIu64, event->position);
    show_attribute(cli, "position", sp_str_from(number));
    show_attribute(cli, "stream", sp_text_str(event->stream));
    (void)snprintf(number, sizeof(number), "%" PRIu64, event->version);
    show_attribute(cli, "version", sp_str_from(number));
    sp_time_format(event->recorded_us > SP_TIME_US_MAX ? SP_TIME_US_MAX : event->recorded_us, text);
    show_attribute(cli, "recordedtime", sp_str_from(text));
    (void)sp_entryid_format(event->entry_ms, event->entry_seq, entryid);
    show_attribute(cli, "entryid", sp_str_from(entryid));
}

static void show_data(struct sp_cli *cli, const spoor_event *event) {
    struct sp_out *out = &cli->out;
    if (event->data.ptr == NULL) {
        return;
    }
    show_attribute(cli, "data", SP_STR(""));
    sp_out_print(out, "  ");
    if (event->data_is_json) {
        sp_text_add_pretty(&out->buf, sp_text_str(event->data), 2);
    } else {
        sp_text_add_summary(&out->buf, event, SP_TEXT_WHOLE);
    }
    sp_out_print(out, "\n");
}

static int show_detail(void *context, spoor_cursor *cursor, const spoor_event *event) {
    struct sp_cli *cli = context;
    uint8_t hash[32];
    spoor_error error = {.status = SPOOR_OK};
    if (spoor_event_hash(cursor, hash, &error) != SPOOR_OK) {
        return sp_cli_fail(&error);
    }
    show_attribute(cli, "id", sp_text_str(event->id));
    show_attribute(cli, "type", sp_text_str(event->type));
    show_attribute(cli, "source", sp_text_str(event->source));
    show_assigned(cli, event);
    show_attribute(cli, "time", sp_text_str(event->time));
    show_attribute(cli, "correlationid", sp_text_str(event->correlationid));
    show_attribute(cli, "causationid", sp_text_str(event->causationid));
    show_attribute(cli, "schemaversion", sp_text_str(event->schemaversion));
    show_attribute(cli, "datacontenttype", sp_text_str(event->datacontenttype));
    show_attribute(cli, "metadata", sp_text_str(event->metadata));
    for (size_t i = 0; i < event->extension_count; i++) {
        struct sp_buf name;
        sp_buf_init(&name, SIZE_MAX);
        (void)sp_text_add(&name, sp_text_str(event->extensions[i].name), SP_TEXT_WHOLE);
        sp_buf_add_byte(&name, '\0');
        show_attribute(cli, (const char *)name.data, sp_text_str(event->extensions[i].value));
        sp_buf_fini(&name);
    }
    struct sp_buf hex;
    sp_buf_init(&hex, 64);
    sp_text_add_hex(&hex, hash, sizeof(hash));
    show_attribute(cli, "hash", sp_buf_str(&hex));
    sp_buf_fini(&hex);
    show_data(cli, event);
    return SP_EXIT_OK;
}

int sp_cmd_event(struct sp_cli *cli) {
    spoor *store = NULL;
    int code = sp_cli_open(cli, SPOOR_READ_ONLY, &store);
    if (code != SP_EXIT_OK) {
        return code;
    }
    char id[SP_CLI_ID_SIZE];
    code = sp_cli_upcast(cli, store);
    code = code == SP_EXIT_OK ? sp_cli_find_id(cli, store, cli->args.operands[0], id) : code;
    if (code == SP_EXIT_OK) {
        spoor_cursor *cursor = NULL;
        spoor_error error = {.status = SPOOR_OK};
        uint64_t count = 0;
        spoor_status status =
            spoor_find(store, id, cli->args.values[SP_FLAG_SOURCE], &cursor, &error);
        code = status != SPOOR_OK
                   ? sp_cli_fail(&error)
                   : sp_cli_read(cli, cursor, cli->wants_json ? sp_cli_show_json : show_detail, cli,
                                 &count);
        if (code == SP_EXIT_OK && count == 0) {
            sp_cli_complain("this source has no event of the id '%s'", id);
            code = SP_EXIT_NOT_FOUND;
        }
    }
    spoor_close(store);
    return code;
}

/* ---- export ---------------------------------------------------------------------------------- */

static int fail_file(const char *path) {
    char text[128];
    sp_cli_complain("%s: %s", path, strerror_r(errno, text, sizeof(text)));
    return SP_EXIT_FAILURE;
}

/* Reads the query's events into cli->out. */
static int export_events(struct sp_cli *cli, uint64_t *ret_count) {
    spoor *store = NULL;
    int code = sp_cli_open(cli, SPOOR_READ_ONLY, &store);
    if (code != SP_EXIT_OK) {
        return code;
    }
    spoor_query query = sp_cli_query(&cli->args);
    spoor_cursor *cursor = NULL;
    spoor_error error = {.status = SPOOR_OK};
    spoor_status status = spoor_read(store, &query, &cursor, &error);
    code = status == SPOOR_OK ? sp_cli_read(cli, cursor, sp_cli_show_json, cli, ret_count)
                              : sp_cli_fail(&error);
    spoor_close(store);
    return code;
}

/* Exports into the open file in the place of stdout, and makes it durable. */
static int export_to(struct sp_cli *cli, const char *path, int fd, uint64_t *ret_count) {
    struct sp_out stdout_out = cli->out;
    struct sp_error problem;
    sp_error_clear(&problem);
    sp_out_init(&cli->out, fd, false);
    bool compresses = sp_str_ends_with(sp_str_from(path), SP_STR(".zst"));
    sp_status status = compresses ? sp_out_compress(&cli->out, &problem) : SP_OK;
    int code = status == SP_OK ? export_events(cli, ret_count) : SP_EXIT_FAILURE;
    sp_status written = sp_out_fini(&cli->out, status == SP_OK ? &problem : NULL);
    cli->out = stdout_out;
    if (status != SP_OK || written != SP_OK) {
        sp_cli_complain("%s: %s", path, problem.text);
        return SP_EXIT_FAILURE;
    }
    return fsync(fd) != 0 ? fail_file(path) : code;
}

/* The file gets its name once it holds all that there is to be had, damage or not. */
static int export_file(struct sp_cli *cli, const char *path, uint64_t *ret_count) {
    size_t size = strlen(path) + sizeof(".part");
    char *part = malloc(size);
    sp_require(part != NULL);
    (void)snprintf(part, size, "%s.part", path);
    int code = SP_EXIT_OK;
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        code = fail_file(part);
    } else {
        code = export_to(cli, path, fd, ret_count);
        (void)close(fd);
        bool is_complete = code == SP_EXIT_OK || code == SP_EXIT_DAMAGED;
        if (!is_complete) {
            (void)unlink(part);
        } else if (rename(part, path) != 0) {
            code = fail_file(path);
        }
    }
    free(part);
    return code;
}

static bool is_special(const char *path) {
    struct stat facts;
    return stat(path, &facts) == 0 && !S_ISREG(facts.st_mode);
}

/* Pipes and devices are written as they are: they have no name to keep free. */
static int export_special(struct sp_cli *cli, const char *path, uint64_t *ret_count) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail_file(path);
    }
    struct sp_out stdout_out = cli->out;
    struct sp_error problem;
    sp_error_clear(&problem);
    sp_out_init(&cli->out, fd, false);
    int code = export_events(cli, ret_count);
    if (sp_out_fini(&cli->out, &problem) != SP_OK) {
        sp_cli_complain("%s: %s", path, problem.text);
        code = SP_EXIT_FAILURE;
    }
    cli->out = stdout_out;
    (void)close(fd);
    return code;
}

int sp_cmd_export(struct sp_cli *cli) {
    const char *path = cli->args.values[SP_FLAG_OUT];
    uint64_t count = 0;
    int code = SP_EXIT_OK;
    if (path == NULL || strcmp(path, "-") == 0) {
        return export_events(cli, &count);
    }
    if (is_special(path)) {
        code = export_special(cli, path, &count);
    } else {
        code = export_file(cli, path, &count);
    }
    if (code == SP_EXIT_OK) {
        sp_cli_say(cli, "%" PRIu64 " event%s exported to %s", count, count == 1 ? "" : "s", path);
    }
    return code;
}
