/* publish: one event, from the command line. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/time.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "os/os.h"

enum { DATA_BYTES_MAX = 64 << 20 };

static sp_status read_stdin(struct sp_buf *to, struct sp_error *error) {
    for (;;) {
        uint8_t *at = sp_buf_reserve(to, 64 * 1024);
        if (at == NULL) {
            return sp_error_set(error, SP_LIMIT, "the data on stdin is too large");
        }
        ssize_t count = read(STDIN_FILENO, at, 64 * 1024);
        if (count == 0) {
            return SP_OK;
        }
        if (count > 0) {
            sp_buf_advance(to, (size_t)count);
        } else if (errno != EINTR) {
            char text[128];
            return sp_error_set_os(error, SP_IO, errno, "stdin: %s",
                                   strerror_r(errno, text, sizeof(text)));
        }
    }
}

/* Reads `N`, `none` or `any`. */
static bool parse_expect(const char *text, uint64_t *ret_version) {
    if (text == NULL || strcmp(text, "any") == 0) {
        *ret_version = SPOOR_ANY_VERSION;
        return true;
    }
    if (strcmp(text, "none") == 0) {
        *ret_version = SPOOR_NO_STREAM;
        return true;
    }
    return sp_args_number(sp_str_from(text), ret_version, NULL) == SP_OK;
}

static spoor_event event_of(const struct sp_args *args) {
    spoor_event event = {.size = sizeof(event)};
    event.type = spoor_text(args->operands[0]);
    event.id = spoor_text(args->values[SP_FLAG_EVENT_ID]);
    event.source = spoor_text(args->values[SP_FLAG_EVENT_SOURCE]);
    event.stream = spoor_text(args->values[SP_FLAG_EVENT_STREAM]);
    event.time = spoor_text(args->values[SP_FLAG_EVENT_TIME]);
    event.correlationid = spoor_text(args->values[SP_FLAG_EVENT_CORRELATION]);
    event.causationid = spoor_text(args->values[SP_FLAG_EVENT_CAUSATION]);
    event.schemaversion = spoor_text(args->values[SP_FLAG_EVENT_SCHEMAVERSION]);
    event.datacontenttype = spoor_text(args->values[SP_FLAG_EVENT_CONTENT_TYPE]);
    event.metadata = spoor_text(args->values[SP_FLAG_EVENT_METADATA]);
    return event;
}

/* When the event is to happen: --deliver-at, --in; empty: now. */
struct delivery {
    uint64_t due_us;
    char text[SP_TIME_TEXT_SIZE];
    spoor_extension extension;
};

static int read_delivery(const struct sp_cli *cli, struct delivery *delivery) {
    const char *at = cli->args.own_values[SP_PUBLISH_DELIVER_AT];
    const char *in = cli->args.own_values[SP_PUBLISH_IN];
    struct sp_clock clock = sp_clock_system();
    struct sp_error error;
    *delivery = (struct delivery){.due_us = 0};
    sp_error_clear(&error);
    if (at != NULL && in != NULL) {
        return sp_cli_usage(cli, "--deliver-at says when, and --in too: expected one of them");
    }
    if (in != NULL && sp_duration_parse(sp_str_from(in), &delivery->due_us, &error) != SP_OK) {
        return sp_cli_usage(cli, "--in takes a time, such as 30s, 5m or 1h30m");
    }
    if (at != NULL && sp_time_parse(sp_str_from(at), true, &delivery->due_us, &error) != SP_OK) {
        return sp_cli_usage(cli, "--deliver-at takes a time, such as 2026-11-21T08:00:00Z");
    }
    if (in != NULL) {
        delivery->due_us += clock.wall_us(clock.context);
    }
    if (delivery->due_us > SP_TIME_US_MAX) {
        return sp_cli_usage(cli, "--in ends behind the year 9999");
    }
    if (at != NULL || in != NULL) {
        sp_time_format(delivery->due_us, delivery->text);
        delivery->extension.name = spoor_text("deliverat");
        delivery->extension.value = spoor_text(delivery->text);
    }
    return SP_EXIT_OK;
}

static void show_appended(struct sp_cli *cli, const spoor_event *event,
                          const spoor_appended *appended, const struct delivery *delivery) {
    bool delayed = delivery->due_us > appended->recorded_us && appended->duplicate == 0;
    struct sp_out *out = &cli->out;
    sp_str id = event->id.ptr != NULL ? sp_text_str(event->id) : sp_str_from(appended->id);
    sp_str stream = sp_text_str(event->stream.ptr != NULL ? event->stream : event->source);
    stream = delayed ? SP_STR("$delayed") : stream;
    if (!cli->wants_json) {
        sp_out_print(out, "%s",
                     appended->duplicate != 0 ? "known"
                     : delayed                ? "waits until "
                                              : "appended");
        sp_out_print(out, "%s%s at position %" PRIu64 ", version %" PRIu64 " of ",
                     delayed ? delivery->text : "", delayed ? "," : "", appended->position,
                     appended->version);
        (void)sp_text_add(&out->buf, stream, SP_TEXT_WHOLE);
        sp_out_print(out, ", id ");
        (void)sp_text_add(&out->buf, id, SP_TEXT_WHOLE);
        sp_out_print(out, "\n");
        return;
    }
    char entryid[SP_ENTRYID_TEXT_SIZE];
    (void)sp_entryid_format(appended->entry_ms, appended->entry_seq, entryid);
    sp_out_print(out, "{");
    sp_out_json_text(out, "id", id);
    sp_out_json_u64(out, "position", appended->position);
    sp_out_json_text(out, "stream", stream);
    sp_out_json_u64(out, "version", appended->version);
    sp_out_json_text(out, "entryid", sp_str_from(entryid));
    sp_out_print(out, ",\"duplicate\":%s", appended->duplicate != 0 ? "true" : "false");
    if (delayed) {
        sp_out_print(out, ",\"delayed\":true");
        sp_out_json_text(out, "due", sp_str_from(delivery->text));
    }
    sp_out_print(out, "}\n");
}

static int publish(struct sp_cli *cli, const spoor_event *event, uint64_t expected,
                   const struct delivery *delivery) {
    spoor *store = NULL;
    int code = sp_cli_open(cli, SPOOR_CREATE | SPOOR_NO_FLOWS, &store);
    if (code != SP_EXIT_OK) {
        return code;
    }
    spoor_appended appended = {.position = 0};
    spoor_error error = {.status = SPOOR_OK};
    if (spoor_append(store, event, expected, &appended, &error) == SPOOR_OK) {
        show_appended(cli, event, &appended, delivery);
    } else {
        code = sp_cli_fail(&error);
    }
    spoor_close(store);
    return code;
}

/* Says what is wrong with data that nobody said to be anything else than JSON. */
static int check_data(const struct sp_cli *cli, const spoor_event *event) {
    struct sp_error problem;
    sp_error_clear(&problem);
    if (event->datacontenttype.ptr != NULL || event->data.ptr == NULL ||
        sp_json_check(sp_text_str(event->data), &problem) == SP_OK) {
        return SP_EXIT_OK;
    }
    sp_cli_complain("the data is not JSON: %s", problem.text);
    return sp_cli_usage(cli, "--content-type says what else it is");
}

int sp_cmd_publish(struct sp_cli *cli) {
    const struct sp_args *args = &cli->args;
    uint64_t expected = 0;
    if (!parse_expect(args->values[SP_FLAG_EXPECT], &expected)) {
        return sp_cli_usage(cli, "--expect takes a version, none or any");
    }
    struct delivery delivery;
    int code = read_delivery(cli, &delivery);
    if (code != SP_EXIT_OK) {
        return code;
    }
    spoor_event event = event_of(args);
    event.extensions = &delivery.extension;
    event.extension_count = delivery.extension.name.len > 0;
    char source[SP_CLI_WHO_SIZE];
    if (event.source.ptr == NULL) {
        sp_cli_who(source);
        event.source = spoor_text(source);
    }
    struct sp_buf data;
    sp_buf_init(&data, DATA_BYTES_MAX);
    if (args->operand_count > 1 && strcmp(args->operands[1], "-") == 0) {
        struct sp_error problem;
        sp_error_clear(&problem);
        if (read_stdin(&data, &problem) != SP_OK) {
            sp_cli_complain("%s", problem.text);
            code = SP_EXIT_FAILURE;
        }
        event.data = (spoor_str){.ptr = (const char *)data.data, .len = data.len};
    } else if (args->operand_count > 1) {
        event.data = spoor_text(args->operands[1]);
    }
    if (code == SP_EXIT_OK) {
        code = check_data(cli, &event);
    }
    if (code == SP_EXIT_OK) {
        code = publish(cli, &event, expected, &delivery);
    }
    sp_buf_fini(&data);
    return code;
}
