/*
 * import: the events of an NDJSON file, each appended unless its source and id are there already.
 *
 * Happy path: lines are parsed and submitted with many appends outstanding; the store calls back as
 * they become durable, in order. What can go wrong: a line that is no event ends the import, or is
 * counted with --skip-bad; a signal ends the reading; in both cases what was submitted is waited
 * for, so that the summary speaks of what is on disk. A store that fails ends it at once. Running
 * it again goes on where it ended, because what is there is known.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/lines.h"
#include "cli/progress.h"

enum {
    OUTSTANDING_MAX = 8192,
    TURN_PERIOD = 256,    /* events between two turns of the store */
    BUSY_MS = 2,          /* between two turns while no input comes and appends are under way */
    IDLE_MS = 100,        /* while none are: the store looks after itself */
    BAD_LINES_SHOWN = 20, /* with --skip-bad; the others are counted */
};

struct import {
    struct sp_cli *cli;
    spoor *store;
    const char *path;
    const char *name; /* of the file, without folders and .zst: part of ids that are made */
    struct sp_lines lines;
    struct sp_interrupt interrupt;
    struct sp_progress progress;
    spoor_parsed *parsed;
    bool skips_bad;
    uint64_t submitted;
    uint64_t added;
    uint64_t known;
    uint64_t bad;
    uint64_t last_position;
    spoor_error failure; /* of an append, the first one */
};

static uint64_t outstanding(const struct import *import) {
    return import->submitted - import->added - import->known;
}

static void appended(void *context, spoor_status status, const spoor_appended *appended,
                     size_t count, const spoor_error *error) {
    struct import *import = context;
    if (status != SPOOR_OK) { /* without a place, where a server has refused it */
        if (import->failure.status == SPOOR_OK) {
            import->failure = *error;
        }
        import->submitted--;
        return;
    }
    sp_require(count == 1);
    import->known += appended->duplicate;
    import->added += appended->duplicate == 0;
    if (appended->position > import->last_position) {
        import->last_position = appended->position;
    }
}

static bool has_failed(const struct import *import) {
    return import->failure.status != SPOOR_OK;
}

/* Lets the store work; waits for something to finish where wait is set. False where it cannot. */
static bool turn(struct import *import, bool wait) {
    spoor_error error = {.status = SPOOR_OK};
    spoor_status status = spoor_turn(import->store, wait ? -1 : 0, &error);
    bool fine = status == SPOOR_OK || status == SPOOR_TIMEOUT;
    if (!fine && !has_failed(import)) {
        import->failure = error;
        import->failure.status = status;
    }
    return fine;
}

/*
 * Waits for all that was submitted; after a failure too, as events before it may be on their way.
 */
static void drain(struct import *import) {
    while (outstanding(import) > 0 && turn(import, true)) {
        /* The callbacks count. */
    }
}

/* No input comes for now: what is there must not wait for more. */
static int work_meanwhile(void *context) {
    struct import *import = context;
    (void)turn(import, false);
    return outstanding(import) > 0 ? BUSY_MS : IDLE_MS;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/*
 * An id for an event that has none: the same file gives the same ids again, and equal lines
 * elsewhere give others. A UUID of version 8.
 */
static void make_id(const struct import *import, sp_str line, char id[SP_UUID_TEXT_SIZE]) {
    sp_str name = sp_str_from(import->name);
    if (sp_str_ends_with(name, SP_STR(".zst"))) {
        name.len -= 4;
    }
    uint64_t seed = sp_hash_seeded(name.ptr, name.len, import->lines.number);
    uint64_t halves[2] = {sp_hash_seeded(line.ptr, line.len, seed),
                          sp_hash_seeded(line.ptr, line.len, ~seed)};
    uint8_t bytes[16];
    memcpy(bytes, halves, sizeof(bytes));
    bytes[6] = (uint8_t)(0x80 | (bytes[6] & 0x0f));
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f));
    sp_uuid_format(bytes, id);
}

/* Submits one event, waiting for room where there is none. */
static spoor_status submit(struct import *import, const spoor_event *event, spoor_error *error) {
    while (outstanding(import) >= OUTSTANDING_MAX && !has_failed(import)) {
        (void)turn(import, true);
    }
    for (;;) {
        if (has_failed(import)) {
            *error = import->failure;
            return import->failure.status;
        }
        spoor_status status =
            spoor_submit(import->store, event, 1, NULL, 0, appended, import, error);
        if (status != SPOOR_BUSY) {
            import->submitted += status == SPOOR_OK;
            return status;
        }
        (void)turn(import, true);
    }
}

static spoor_status import_line(struct import *import, sp_str line, spoor_error *error) {
    const spoor_event *parsed = NULL;
    spoor_status status = spoor_parse_json(line.ptr, line.len, &import->parsed, &parsed, error);
    if (status != SPOOR_OK) {
        return status;
    }
    spoor_event event = *parsed;
    char id[SP_UUID_TEXT_SIZE];
    if (event.id.ptr == NULL) {
        make_id(import, line, id);
        event.id = (spoor_str){.ptr = id, .len = sizeof(id)};
    }
    return submit(import, &event, error);
}

static bool is_blank(sp_str line) {
    for (size_t i = 0; i < line.len; i++) {
        if (strchr(" \t\r", line.ptr[i]) == NULL || line.ptr[i] == '\0') {
            return false;
        }
    }
    return true;
}

/* Statuses that speak of one event; every other one of the store. */
static bool is_bad_line(spoor_status status) {
    return status == SPOOR_INVALID || status == SPOOR_LIMIT || status == SPOOR_UNSUPPORTED;
}

/* Says what is wrong with a line, at which byte of it; false where the import ends there. */
static bool pass_bad_line(struct import *import, const char *text) {
    import->bad++;
    sp_progress_clear(&import->progress);
    if (!import->skips_bad || (import->bad <= BAD_LINES_SHOWN && !import->cli->is_quiet)) {
        sp_cli_complain("%s: line %" PRIu64 ": %s", import->path, import->lines.number, text);
    }
    return import->skips_bad;
}

static void show_progress(struct import *import) {
    const struct sp_lines *lines = &import->lines;
    uint64_t done = import->added + import->known;
    double rate = (double)done / (sp_progress_seconds(&import->progress) + 1e-9);
    if (lines->bytes_total > 0) {
        sp_progress_show(&import->progress, "%" PRIu64 " events, %.0f %%, %.0f/s", done,
                         100.0 * (double)lines->bytes_read / (double)lines->bytes_total, rate);
    } else {
        sp_progress_show(&import->progress, "%" PRIu64 " events, %.0f/s", done, rate);
    }
}

/* Every so many lines: let the store work, look at the clock. */
static void pause_for_store(struct import *import) {
    if (import->lines.number % TURN_PERIOD != 0) {
        return;
    }
    (void)turn(import, false);
    if (sp_progress_is_due(&import->progress)) {
        show_progress(import);
    }
}

/* Reads and submits to the end, or to what ends it before; returns the exit code so far. */
static int import_lines(struct import *import) {
    for (;;) {
        sp_str line = {.ptr = NULL};
        struct sp_error problem;
        sp_error_clear(&problem);
        sp_status status = sp_lines_next(&import->lines, &line, &problem);
        if (status == SP_END || status == SP_CANCELLED) {
            return status == SP_END ? SP_EXIT_OK : SP_EXIT_INTERRUPTED;
        }
        if (status == SP_LIMIT) {
            if (!pass_bad_line(import, problem.text)) {
                return SP_EXIT_FAILURE;
            }
            continue;
        }
        if (status != SP_OK) {
            sp_cli_complain("%s: behind line %" PRIu64 ": %s", import->path, import->lines.number,
                            problem.text);
            return SP_EXIT_FAILURE;
        }
        spoor_error error = {.status = SPOOR_OK};
        spoor_status done = is_blank(line) ? SPOOR_OK : import_line(import, line, &error);
        if (is_bad_line(done) && !has_failed(import)) {
            if (!pass_bad_line(import, error.text)) {
                return SP_EXIT_FAILURE;
            }
        } else if (done != SPOOR_OK) {
            import->failure = error;
            return SP_EXIT_FAILURE;
        }
        pause_for_store(import);
    }
}

static void show_summary(struct import *import) {
    struct sp_cli *cli = import->cli;
    double seconds = sp_progress_seconds(&import->progress);
    char bad[64] = "";
    if (import->bad > 0) {
        (void)snprintf(bad, sizeof(bad), ", %" PRIu64 " bad line%s", import->bad,
                       import->bad == 1 ? "" : "s");
    }
    sp_cli_say(cli, "%" PRIu64 " event%s imported, %" PRIu64 " known already%s, from %s, in %.2f s",
               import->added, import->added == 1 ? "" : "s", import->known, bad, import->path,
               seconds);
    if (cli->is_json_explicit) {
        sp_out_print(&cli->out, "{");
        sp_out_json_text(&cli->out, "file", sp_str_from(import->path));
        sp_out_json_u64(&cli->out, "events", import->added + import->known);
        sp_out_json_u64(&cli->out, "new", import->added);
        sp_out_json_u64(&cli->out, "known", import->known);
        sp_out_json_u64(&cli->out, "bad", import->bad);
        sp_out_json_u64(&cli->out, "last_position", import->last_position);
        sp_out_print(&cli->out, ",\"seconds\":%.3f}\n", seconds);
    }
}

static int run_import(struct import *import) {
    int code = import_lines(import);
    drain(import);
    sp_progress_clear(&import->progress);
    if (has_failed(import)) {
        code = sp_cli_fail(&import->failure);
        code = code == SP_EXIT_USAGE ? SP_EXIT_FAILURE : code;
    }
    if (code == SP_EXIT_INTERRUPTED) {
        sp_cli_complain("interrupted behind line %" PRIu64 " of %s; the same command goes on there",
                        import->lines.number, import->path);
    }
    show_summary(import);
    return code;
}

int sp_cmd_import(struct sp_cli *cli) {
    struct import import = {
        .cli = cli,
        .path = cli->args.operands[0],
        .name = base_name(cli->args.operands[0]),
        .skips_bad = sp_args_has(&cli->args, SP_FLAG_SKIP_BAD),
    };
    struct sp_error problem;
    sp_error_clear(&problem);
    sp_interrupt_open(&import.interrupt); /* before the store starts its threads */
    if (sp_lines_open(&import.lines, import.path, &import.interrupt, &problem) != SP_OK) {
        sp_cli_complain("%s", problem.text);
        return problem.status == SP_NOT_FOUND ? SP_EXIT_NOT_FOUND : SP_EXIT_FAILURE;
    }
    int code = sp_cli_open(cli, SPOOR_CREATE | SPOOR_NO_FLOWS, &import.store);
    if (code == SP_EXIT_OK) {
        import.lines.idle = work_meanwhile;
        import.lines.idle_context = &import;
        sp_progress_init(&import.progress, cli->is_quiet);
        code = run_import(&import);
        spoor_close(import.store);
    }
    spoor_parsed_free(import.parsed);
    sp_lines_close(&import.lines);
    sp_interrupt_close(&import.interrupt);
    return code;
}
