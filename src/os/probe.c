#include "os/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

enum {
    PROBE_FILE_BYTES = 4 * 1024 * 1024,
    PROBE_FILL_BYTES = 256 * 1024,
};

/*
 * Written, not only allocated: turning unwritten blocks into written ones would cost a journal
 * commit.
 */
static sp_status fill_file(struct sp_file *file, const uint8_t *zeros, struct sp_error *error) {
    const struct sp_fs_ops *ops = file->fs->ops;
    for (uint64_t at = 0; at < PROBE_FILE_BYTES; at += PROBE_FILL_BYTES) {
        sp_status status = ops->write(file, zeros, PROBE_FILL_BYTES, at, error);
        if (status != SP_OK) {
            return status;
        }
    }
    return ops->sync(file, error);
}

static sp_status time_writes(struct sp_file *file, const struct sp_clock *clock, uint8_t *block,
                             uint64_t *took_ns, uint32_t count, struct sp_error *error) {
    for (uint32_t i = 0; i < count; i++) {
        uint64_t offset = (uint64_t)i * SP_FS_BLOCK_BYTES % PROBE_FILE_BYTES;
        memcpy(block, &i, sizeof(i)); /* a device that drops equal writes must not look fast */
        uint64_t before = clock->monotonic_ns(clock->context);
        sp_status status =
            file->fs->ops->write_durable(file, block, SP_FS_BLOCK_BYTES, offset, error);
        if (status != SP_OK) {
            return status;
        }
        took_ns[i] = clock->monotonic_ns(clock->context) - before;
    }
    return SP_OK;
}

static int compare_ns(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static struct sp_device_sync_latency summarise(uint64_t *took_ns, uint32_t count) {
    sp_require(count > 0);
    double total_ns = 0;
    for (uint32_t i = 0; i < count; i++) {
        total_ns += (double)took_ns[i];
    }
    qsort(took_ns, count, sizeof(*took_ns), compare_ns);
    return (struct sp_device_sync_latency){
        .p50_us = (double)took_ns[count / 2] / 1000.0,
        .p99_us = (double)took_ns[(uint64_t)count * 99 / 100] / 1000.0,
        .writes_per_second = total_ns > 0 ? (double)count * 1e9 / total_ns : 0,
    };
}

static sp_status measure(struct sp_file *file, const struct sp_clock *clock, uint32_t count,
                         struct sp_device_sync_latency *ret_latency, struct sp_error *error) {
    uint8_t *zeros = aligned_alloc(SP_FS_BLOCK_BYTES, PROBE_FILL_BYTES);
    uint64_t *took_ns = malloc(count * sizeof(*took_ns));
    sp_status status = SP_NO_MEMORY;
    if (zeros != NULL && took_ns != NULL) {
        memset(zeros, 0, PROBE_FILL_BYTES);
        status = fill_file(file, zeros, error);
    }
    if (status == SP_OK) {
        status = time_writes(file, clock, zeros, took_ns, count, error);
    }
    if (status == SP_OK) {
        *ret_latency = summarise(took_ns, count);
    }
    free(took_ns);
    free(zeros);
    return status;
}

sp_status sp_device_sync_latency(struct sp_fs *fs, const struct sp_clock *clock, const char *folder,
                                 uint32_t write_count, struct sp_device_sync_latency *ret_latency,
                                 struct sp_error *error) {
    sp_require(write_count > 0 && write_count <= SP_PROBE_WRITES_MAX);
    char path[SP_FS_PATH_BYTES_MAX + 1];
    int len =
        snprintf(path, sizeof(path), "%s%sspoor-probe.tmp", folder, folder[0] != '\0' ? "/" : "");
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return sp_error_set(error, SP_INVALID, "probe %s: the path is too long", folder);
    }
    struct sp_file *file;
    unsigned flags = SP_FS_READ | SP_FS_WRITE | SP_FS_CREATE | SP_FS_DIRECT;
    sp_status status = fs->ops->open(fs, path, flags, &file, error);
    if (status != SP_OK) {
        return status;
    }
    status = measure(file, clock, write_count, ret_latency, error);
    fs->ops->close(file);
    (void)fs->ops->unlink(fs, path, NULL);
    return status;
}
