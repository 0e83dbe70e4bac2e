#include "verify_help.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/wire.h"

static bool keep(void *context, const struct sp_verify_finding *finding) {
    struct verified *verified = context;
    if (verified->count < SAID_MAX) {
        struct said *said = &verified->said[verified->count];
        said->finding = *finding;
        (void)snprintf(said->file, sizeof(said->file), "%s",
                       finding->file != NULL ? finding->file : "");
        (void)snprintf(said->text, sizeof(said->text), "%s", finding->text);
    }
    verified->count++;
    return true;
}

static sp_status take_record(void *context, const struct sp_record *record,
                             const struct sp_verify_place *place, struct sp_error *error) {
    struct verified *verified = context;
    (void)error;
    sp_require(place->file[0] != '\0' && place->offset > 0);
    verified->records++;
    if (record->kind == SP_RECORD_EVENT) {
        sp_require(record->position >= verified->next_position);
        verified->next_position = record->position + 1;
    }
    return SP_OK;
}

static sp_status take_segment(void *context, const struct sp_verify_segment *segment,
                              struct sp_error *error) {
    struct verified *verified = context;
    (void)error;
    verified->segments++;
    verified->index_bytes += segment->index.len;
    return SP_OK;
}

void verify(struct memory_fs *fs, struct verified *ret_verified) {
    *ret_verified = (struct verified){.status = SP_OK};
    struct sp_verify_options options = {.fs = &fs->base,
                                        .inline_jobs = true,
                                        .context = ret_verified,
                                        .finding = keep,
                                        .record = take_record,
                                        .segment = take_segment};
    ret_verified->status = sp_verify_log(&options, &ret_verified->result, &ret_verified->error);
}

bool said_of(const struct verified *verified, enum sp_verify_level level, const char *file,
             uint64_t position) {
    for (size_t i = 0; i < verified->count && i < SAID_MAX; i++) {
        const struct said *said = &verified->said[i];
        const struct sp_verify_finding *finding = &said->finding;
        bool covers =
            position == 0 || (finding->first_position <= position && finding->first_position != 0 &&
                              (finding->last_position >= position || finding->last_position == 0));
        if (finding->level == level && covers && strcmp(said->file, file) == 0) {
            return true;
        }
    }
    return false;
}

const struct said *said_that(const struct verified *verified, const char *part) {
    for (size_t i = 0; i < verified->count && i < SAID_MAX; i++) {
        if (strstr(verified->said[i].text, part) != NULL) {
            return &verified->said[i];
        }
    }
    return NULL;
}

void print_said(const struct verified *verified) {
    for (size_t i = 0; i < verified->count && i < SAID_MAX; i++) {
        const struct said *said = &verified->said[i];
        (void)fprintf(stderr, "level %d, events %llu to %llu, %s at %llu: %s\n",
                      (int)said->finding.level, (unsigned long long)said->finding.first_position,
                      (unsigned long long)said->finding.last_position, said->file,
                      (unsigned long long)said->finding.offset, said->text);
    }
}

struct memory_fs *small_log(void) {
    struct memory_fs *fs = memory_fs_new();
    struct help_log help = {.wall_us = 0};
    help_open(&help, &fs->base);
    for (unsigned i = 0; i < SMALL_LOG_BLOCKS; i++) {
        help_append(&help, 1 + i % 3, i % 4 == 0 ? 1 : 0, 40 + i);
    }
    sp_status status =
        help.log->ops->snapshot_store(help.log, help.position, SP_STR("some state"), NULL);
    sp_require(status == SP_OK);
    help_close(&help);
    return fs;
}

const char *newest_raw(struct memory_fs *fs) {
    const char *newest = NULL;
    uint64_t epoch = 0;
    for (size_t i = 0; i < fs->count; i++) {
        struct sp_raw_header header;
        const struct memory_file *file = &fs->files[i];
        if (strncmp(file->path, "wal/", 4) == 0 &&
            sp_raw_header_decode(sp_str_of(file->data, file->len), &header) == SP_OK &&
            header.epoch > epoch) {
            epoch = header.epoch;
            newest = file->path;
        }
    }
    return newest;
}

uint64_t block_at(const struct memory_file *file, unsigned index) {
    uint64_t at = SP_RAW_HEADER_BYTES;
    struct sp_block_header header;
    for (;;) {
        if (at >= file->len ||
            sp_block_read_header(sp_str_of(file->data + at, file->len - at), &header) != SP_OK) {
            return 0;
        }
        if (index-- == 0) {
            return at;
        }
        at += sp_block_stored_bytes(header.body_bytes);
    }
}

void reseal_block(struct memory_file *file, uint64_t offset) {
    struct sp_block_header header;
    /* The header's own check is compared when it is read: what is there is taken as it is. */
    uint8_t *at = file->data + offset;
    header = (struct sp_block_header){.log_id = sp_get_u64(at + 16),
                                      .epoch = sp_get_u64(at + 24),
                                      .file_offset = sp_get_u64(at + 32),
                                      .number = sp_get_u64(at + 40),
                                      .first_position = sp_get_u64(at + 48),
                                      .event_count = sp_get_u32(at + 56),
                                      .record_count = sp_get_u32(at + 60),
                                      .body_bytes = sp_get_u32(at + 64),
                                      .durable_upto = sp_get_u64(at + 80),
                                      .prev_check = sp_get_u64(at + 88),
                                      .tree_size = sp_get_u64(at + 96),
                                      .recorded_us = sp_get_u64(at + 136)};
    memcpy(header.tree_root, at + 104, SP_HASH_BYTES);
    sp_block_finish(at, &header);
}

void rechain(struct memory_file *file, uint64_t offset) {
    struct sp_block_header header;
    sp_status status =
        sp_block_read_header(sp_str_of(file->data + offset, file->len - offset), &header);
    sp_require(status == SP_OK);
    uint64_t check = header.check;
    for (offset += sp_block_stored_bytes(header.body_bytes);
         offset < file->len &&
         sp_block_read_header(sp_str_of(file->data + offset, file->len - offset), &header) == SP_OK;
         offset += sp_block_stored_bytes(header.body_bytes)) {
        header.prev_check = check;
        sp_block_finish(file->data + offset, &header);
        check = header.check;
    }
}
