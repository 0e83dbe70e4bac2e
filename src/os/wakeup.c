#include "os/wakeup.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"

int sp_wakeup_open(void) {
    return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

void sp_wakeup_signal(int fd) {
    const uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof(one));
    (void)written; /* full means that it is readable already */
}

void sp_wakeup_drain(int fd) {
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof(count));
    (void)got; /* nothing to read means that it is drained already */
}

void sp_wakeup_close(int fd) {
    sp_require(fd >= 0);
    (void)close(fd);
}
