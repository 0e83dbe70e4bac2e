#include "os/memory.h"

#include <stdlib.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

/* Blocks on their way to the disk stay below: they come and go by the thousand. */
enum {
    LARGE_BYTES = 512 << 10,
    KEPT_BYTES = 16 << 20, /* so that the heap's end does not go back and forth with each of them */
};

void sp_memory_keep_small(void) {
#if defined(__GLIBC__)
    /* Hints: where they are refused nothing is lost. */
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
#endif
}
