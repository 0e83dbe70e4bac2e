#include <stdio.h>
#include <stdlib.h>

#include "base/blob.h"
#include "log/local_int.h"
#include "log/local_open.h"

enum { SPARE_PROBE_BYTES = 64 << 10 };

void wal_listing_fini(struct wal_listing *listing) {
    free(listing->files);
    *listing = (struct wal_listing){.files = NULL};
}

/* Collects the numbers of `<8 digits>.seg`. */
static bool collect(void *context, sp_str name) {
    struct sp_buf *numbers = context;
    uint32_t number = 0;
    if (name.len != 12 || !sp_str_ends_with(name, SP_STR(".seg"))) {
        return true;
    }
    for (size_t i = 0; i < 8; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9') {
            return true;
        }
        number = number * 10 + (uint32_t)(name.ptr[i] - '0');
    }
    sp_buf_add(numbers, &number, sizeof(number));
    return true;
}

sp_status wal_numbers(struct sp_fs *fs, struct sp_buf *to, struct sp_error *error) {
    sp_status status = fs->ops->list(fs, SP_WAL_FOLDER, collect, to, error);
    return status == SP_OK && to->status != SP_OK ? sp_error_set(error, to->status, "wal") : status;
}

sp_status wal_file_read(struct sp_fs *fs, uint32_t number, struct wal_file *file,
                        struct sp_error *error) {
    *file = (struct wal_file){.number = number};
    char path[RAW_PATH_BYTES];
    local_raw_path(number, path);
    struct sp_blob *page = sp_blob_new(SP_RAW_HEADER_BYTES, SP_BLOCK_ALIGN);
    if (page == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "%s", path);
    }
    struct sp_file *open = NULL;
    size_t got = 0;
    sp_status status = fs->ops->open(fs, path, SP_FS_READ | SP_FS_DIRECT, &open, error);
    if (status == SP_OK) {
        status = fs->ops->size(open, &file->bytes, error);
        status = status == SP_OK
                     ? fs->ops->read(open, page->data, SP_RAW_HEADER_BYTES, 0, &got, error)
                     : status;
        fs->ops->close(open);
    }
    if (status == SP_OK) {
        status = sp_raw_header_decode(sp_str_of(page->data, got), &file->header);
        if (status == SP_CORRUPT) {
            (void)sp_error_set(error, status, "%s: the segment header at offset 0 is damaged",
                               path);
        } else if (status == SP_UNSUPPORTED) {
            (void)sp_error_set(error, status, "%s: a newer format", path);
        } else if (status == SP_OK && file->bytes != file->header.segment_bytes) {
            status = sp_error_set_at(error, SP_CORRUPT, file->bytes,
                                     "%s: the file has %llu bytes and should have %llu", path,
                                     (unsigned long long)file->bytes,
                                     (unsigned long long)file->header.segment_bytes);
        }
    }
    sp_blob_unref(page);
    return status;
}

static int by_epoch(const void *a, const void *b) {
    const struct wal_file *left = a;
    const struct wal_file *right = b;
    if (left->spare != right->spare) {
        return left->spare ? 1 : -1;
    }
    return (left->header.epoch > right->header.epoch) - (left->header.epoch < right->header.epoch);
}

/* Reads the beginning of a file past the page cache, and says whether it is nothing but zeros. */
static sp_status read_zeros(struct sp_fs *fs, const char *path, bool *ret_zero,
                            struct sp_error *error) {
    struct sp_blob *start = sp_blob_new(SPARE_PROBE_BYTES, SP_BLOCK_ALIGN);
    if (start == NULL) {
        return sp_error_set(error, SP_NO_MEMORY, "%s", path);
    }
    struct sp_file *open = NULL;
    size_t got = 0;
    sp_status status = fs->ops->open(fs, path, SP_FS_READ | SP_FS_DIRECT, &open, error);
    if (status == SP_OK) {
        status = fs->ops->read(open, start->data, SPARE_PROBE_BYTES, 0, &got, error);
        fs->ops->close(open);
    }
    if (status == SP_OK) {
        *ret_zero =
            got == 0 || (start->data[0] == 0 && memcmp(start->data, start->data + 1, got - 1) == 0);
    }
    sp_blob_unref(start);
    return status;
}

/*
 * A spare is taken for one only after a second look: a header that got lost, or that a read missed,
 * would let acknowledged blocks pass for a spare and be written over. A live writer may have begun
 * to use it.
 */
static sp_status confirm_spare(struct sp_fs *fs, struct wal_file *file, struct sp_error *error) {
    char path[RAW_PATH_BYTES];
    local_raw_path(file->number, path);
    bool zero = false;
    sp_status status = read_zeros(fs, path, &zero, error);
    if (status != SP_OK || zero) {
        return status == SP_OK ? SP_NOT_FOUND : status;
    }
    status = wal_file_read(fs, file->number, file, error);
    return status != SP_NOT_FOUND
               ? status
               : sp_error_set(error, SP_CORRUPT, "%s: blocks without a segment header at offset 0",
                              path);
}

static sp_status classify(struct sp_fs *fs, const uint8_t uuid[16], uint64_t sealed_epoch,
                          uint32_t number, struct wal_file *file, struct sp_error *error) {
    sp_status status = wal_file_read(fs, number, file, error);
    if (status == SP_NOT_FOUND && file->bytes > 0) {
        status = confirm_spare(fs, file, error);
    }
    if (status == SP_NOT_FOUND && file->bytes > 0) {
        file->spare = true;
        return SP_OK;
    }
    if (status != SP_OK) {
        return status;
    }
    if (memcmp(file->header.uuid, uuid, 16) != 0) {
        char path[RAW_PATH_BYTES];
        local_raw_path(number, path);
        return sp_error_set(error, SP_CORRUPT, "%s: belongs to another log", path);
    }
    if (file->header.epoch <= sealed_epoch) {
        file->spare = true;
        file->bytes = 0;
    }
    return SP_OK;
}

sp_status wal_list(struct sp_fs *fs, const uint8_t uuid[16], uint64_t sealed_epoch,
                   struct wal_listing *ret_listing, struct sp_error *error) {
    struct sp_buf numbers;
    sp_buf_init(&numbers, 1 << 26);
    struct wal_listing listing = {.files = NULL};
    sp_status status = wal_numbers(fs, &numbers, error);
    size_t count = numbers.len / sizeof(uint32_t);
    if (status == SP_OK) {
        listing.files = calloc(count + 1, sizeof(*listing.files));
        status = listing.files == NULL ? sp_error_set(error, SP_NO_MEMORY, "wal") : SP_OK;
    }
    for (size_t i = 0; status == SP_OK && i < count; i++) {
        uint32_t number;
        memcpy(&number, numbers.data + i * sizeof(number), sizeof(number));
        struct wal_file *file = &listing.files[listing.count];
        status = classify(fs, uuid, sealed_epoch, number, file, error);
        listing.number_max = number > listing.number_max ? number : listing.number_max;
        listing.count++;
        listing.live_count += status == SP_OK && !file->spare ? 1 : 0;
    }
    sp_buf_fini(&numbers);
    if (status != SP_OK) {
        wal_listing_fini(&listing);
        return status;
    }
    qsort(listing.files, listing.count, sizeof(*listing.files), by_epoch);
    *ret_listing = listing;
    return SP_OK;
}
