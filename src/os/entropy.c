#include <errno.h>
#include <sys/random.h>

#include "base/assert.h"
#include "os/os.h"

/* Secrets made from anything weaker would be worse than no process at all, hence the assertion. */
void sp_entropy(void *bytes, size_t len) {
    sp_require(bytes != NULL || len == 0);
    uint8_t *at = bytes;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        sp_ensure(got > 0 || errno == EINTR);
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        }
    }
}
