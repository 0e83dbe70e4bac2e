/*
 * What the device can do, measured: published beside every throughput, because no durable number
 * means anything without it. helper
 */
#ifndef SP_OS_PROBE_H
#define SP_OS_PROBE_H

#include "os/fs.h"
#include "os/os.h"

enum { SP_PROBE_WRITES_MAX = 1000000 };

struct sp_device_sync_latency {
    double p50_us;
    double p99_us;
    double writes_per_second; /* one after another */
};

/*
 * Writes and removes a temporary file `spoor-probe.tmp` in `folder` of the file system ("" is its
 * own folder): a few MiB of synced zeros, then `write_count` (1 … SP_PROBE_WRITES_MAX) durable
 * writes of SP_FS_BLOCK_BYTES over them in sequence. Takes some 0.1 ms each on a good device, 10 ms
 * on a disk.
 */
SP_WARN_UNUSED sp_status sp_device_sync_latency(struct sp_fs *fs, const struct sp_clock *clock,
                                                const char *folder, uint32_t write_count,
                                                struct sp_device_sync_latency *ret_latency,
                                                struct sp_error *error);

#endif
