/* info: where a store stands. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/text.h"
#include "log/checkpoint.h"

/* The checkpoint that lies in the folder; not present where there is none to be read. */
static struct sp_checkpoint load_checkpoint(const char *folder, const uint8_t uuid[16]) {
    struct sp_checkpoint checkpoint = {.present = false};
    struct sp_fs *fs = NULL;
    if (sp_fs_posix_open(folder, false, true, &fs, NULL) != SP_OK) {
        return checkpoint;
    }
    if (sp_checkpoint_load(fs, uuid, &checkpoint, NULL) != SP_OK) {
        checkpoint.present = false;
    }
    fs->ops->destroy(fs);
    return checkpoint;
}

static uint64_t count_of(const spoor_info *info) {
    return info->last_position == 0 ? 0 : info->last_position - info->first_position + 1;
}

static void show_json(struct sp_out *out, const char *folder, const spoor_info *info,
                      const struct sp_checkpoint *checkpoint) {
    struct sp_buf hex;
    sp_buf_init(&hex, 64);
    sp_out_print(out, "{");
    sp_out_json_text(out, "program", sp_str_from(spoor_version()));
    sp_out_json_text(out, "folder", sp_str_from(folder));
    sp_text_add_hex(&hex, info->uuid, sizeof(info->uuid));
    sp_out_json_text(out, "uuid", sp_buf_str(&hex));
    sp_out_json_u64(out, "events", count_of(info));
    sp_out_json_u64(out, "first_position", info->first_position);
    sp_out_json_u64(out, "last_position", info->last_position);
    sp_out_json_u64(out, "streams", info->stream_count);
    sp_out_json_u64(out, "bytes", info->bytes_on_disk);
    sp_out_json_u64(out, "sealed_segments", info->segments_sealed);
    sp_out_json_u64(out, "sealed_bytes", info->bytes_sealed);
    sp_out_json_u64(out, "sealed_events", info->events_sealed);
    sp_out_json_u64(out, "waiting_segments", info->segments_waiting);
    if (checkpoint->present) {
        sp_buf_reset(&hex);
        sp_text_add_hex(&hex, checkpoint->root, sizeof(checkpoint->root));
        sp_out_json_u64(out, "checkpoint_events", checkpoint->size);
        sp_out_json_text(out, "checkpoint_root", sp_buf_str(&hex));
    }
    sp_out_print(out, "}\n");
    sp_buf_fini(&hex);
}

static void show_text(struct sp_out *out, const char *folder, const spoor_info *info,
                      const struct sp_checkpoint *checkpoint) {
    char bytes[SP_TEXT_BYTES_SIZE];
    char sealed[SP_TEXT_BYTES_SIZE];
    sp_text_bytes(info->bytes_on_disk, bytes);
    sp_text_bytes(info->bytes_sealed, sealed);
    sp_out_print(out, "spoor %s\nfolder      ", spoor_version());
    (void)sp_text_add(&out->buf, sp_str_from(folder), SP_TEXT_WHOLE);
    sp_out_print(out, "\nevents      %" PRIu64, count_of(info));
    if (info->last_position != 0) {
        sp_out_print(out, ", positions %" PRIu64 " to %" PRIu64, info->first_position,
                     info->last_position);
    }
    sp_out_print(out, "\nstreams     %" PRIu64 "\non disk     %s\n", info->stream_count, bytes);
    sp_out_print(out, "sealed      %" PRIu32 " segment%s of %s, %" PRIu64 " events",
                 info->segments_sealed, info->segments_sealed == 1 ? "" : "s", sealed,
                 info->events_sealed);
    if (info->segments_waiting > 0) {
        sp_out_print(out, "; %" PRIu32 " more to be sealed", info->segments_waiting);
    }
    sp_out_print(out, "\n");
    if (checkpoint->present) {
        sp_out_print(out, "checkpoint  %" PRIu64 " events, root ", checkpoint->size);
        sp_text_add_hex(&out->buf, checkpoint->root, sizeof(checkpoint->root));
        sp_out_print(out, "\n");
    }
}

/* Makes the store where there is none, and lets go of it again. */
static int create(struct sp_cli *cli) {
    spoor *store = NULL;
    int code = sp_cli_open(cli, SPOOR_CREATE, &store);
    spoor_close(store);
    return code;
}

int sp_cmd_info(struct sp_cli *cli) {
    spoor *store = NULL;
    spoor_options options;
    spoor_error error = {.status = SPOOR_OK};
    cli->url = NULL; /* it is about files */
    spoor_options_init(&options);
    options.flags = SPOOR_READ_ONLY;
    spoor_status status = spoor_open(cli->folder, &options, &store, &error);
    int code = SP_EXIT_OK;
    if (status == SPOOR_NOT_FOUND && sp_args_has(&cli->args, SP_FLAG_CREATE)) {
        code = create(cli);
    }
    if (status != SPOOR_OK && code == SP_EXIT_OK) {
        code = sp_cli_open(cli, SPOOR_READ_ONLY, &store); /* says what is wrong, if it still is */
    }
    if (code != SP_EXIT_OK) {
        return code;
    }
    spoor_info info = {.size = sizeof(info)};
    status = spoor_get_info(store, &info, &error);
    if (status == SPOOR_OK) {
        struct sp_checkpoint checkpoint = load_checkpoint(cli->folder, info.uuid);
        (cli->wants_json ? show_json : show_text)(&cli->out, cli->folder, &info, &checkpoint);
        if (info.notice[0] != '\0') {
            sp_cli_say(cli, "%s", info.notice);
        }
    } else {
        code = sp_cli_fail(&error);
    }
    spoor_close(store);
    return code;
}
