/* verify: proof that the record is whole, or what is wrong with it. */
#include <inttypes.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/text.h"

struct verify {
    struct sp_cli *cli;
    struct sp_progress progress;
    uint64_t findings;
};

static void show_finding_json(struct sp_out *out, const spoor_verify_report *report) {
    sp_out_print(out, "{");
    const char *name = report->kind == SPOOR_VERIFY_NOTICE ? "notice" : "finding";
    sp_out_json_text(out, name, sp_str_from(report->text));
    sp_out_json_text(out, "file", sp_str_from(report->file));
    sp_out_json_u64(out, "offset", report->offset);
    sp_out_json_u64(out, "first_position", report->first_position);
    sp_out_json_u64(out, "last_position", report->last_position);
    sp_out_print(out, "}\n");
    sp_out_line_end(out);
}

static void show_finding_text(struct sp_out *out, const spoor_verify_report *report) {
    if (report->file != NULL) {
        (void)sp_text_add(&out->buf, sp_str_from(report->file), SP_TEXT_WHOLE);
        sp_out_print(out, ", byte %" PRIu64 ": ", report->offset);
    }
    (void)sp_text_add(&out->buf, sp_str_from(report->text), SP_TEXT_WHOLE);
    if (report->first_position != 0) {
        sp_out_print(out, " (positions %" PRIu64 " to %" PRIu64 ")", report->first_position,
                     report->last_position);
    }
    sp_out_print(out, "\n");
    sp_out_flush(out);
}

static int hear(void *context, const spoor_verify_report *report) {
    struct verify *verify = context;
    struct sp_out *out = &verify->cli->out;
    if (report->kind == SPOOR_VERIFY_PROGRESS) {
        if (sp_progress_is_due(&verify->progress)) {
            sp_progress_show(&verify->progress, "verified up to position %" PRIu64,
                             report->last_position);
        }
        return sp_out_is_over(out);
    }
    verify->findings += report->kind == SPOOR_VERIFY_FINDING ? 1 : 0;
    sp_progress_clear(&verify->progress);
    if (verify->cli->wants_json) {
        show_finding_json(out, report);
    } else {
        show_finding_text(out, report);
    }
    return sp_out_is_over(out);
}

static void show_verdict(struct verify *verify, const spoor_verified *verified, bool is_whole) {
    struct sp_out *out = &verify->cli->out;
    struct sp_buf root;
    sp_buf_init(&root, 64);
    sp_text_add_hex(&root, verified->tree_root, sizeof(verified->tree_root));
    if (verify->cli->wants_json) {
        sp_out_print(out, "{\"whole\":%s", is_whole ? "true" : "false");
        sp_out_json_u64(out, "events", verified->event_count);
        sp_out_json_u64(out, "first_position", verified->first_position);
        sp_out_json_u64(out, "last_position", verified->last_position);
        sp_out_json_u64(out, "findings", verified->finding_count);
        sp_out_json_u64(out, "bytes", verified->bytes);
        sp_out_json_text(out, "root", is_whole ? sp_buf_str(&root) : sp_str_of(NULL, 0));
        sp_out_print(out, ",\"seconds\":%.3f}\n", sp_progress_seconds(&verify->progress));
    } else if (is_whole) {
        char bytes[SP_TEXT_BYTES_SIZE];
        sp_text_bytes(verified->bytes, bytes);
        sp_out_print(out,
                     "whole: %" PRIu64 " events, positions %" PRIu64 " to %" PRIu64
                     ", %s read in %.1f s\nroot:  %.*s\n",
                     verified->event_count, verified->first_position, verified->last_position,
                     bytes, sp_progress_seconds(&verify->progress), SP_STR_ARG(sp_buf_str(&root)));
    }
    sp_buf_fini(&root);
}

int sp_cmd_verify(struct sp_cli *cli) {
    struct verify verify = {.cli = cli};
    spoor_verified verified = {.size = sizeof(verified)};
    spoor_error error = {.status = SPOOR_OK};
    sp_progress_init(&verify.progress, cli->is_quiet);
    spoor_status status = spoor_verify(cli->folder, hear, &verify, &verified, &error);
    sp_progress_clear(&verify.progress);
    if (status == SPOOR_NOT_FOUND) {
        sp_cli_complain("there is no event store in %s", cli->folder);
        return SP_EXIT_NOT_FOUND;
    }
    if (status == SPOOR_OK || (status == SPOOR_CORRUPT && verify.findings > 0)) {
        show_verdict(&verify, &verified, status == SPOOR_OK);
    }
    if (status == SPOOR_OK) {
        return SP_EXIT_OK;
    }
    sp_out_flush(&cli->out);
    return sp_cli_fail(&error);
}
