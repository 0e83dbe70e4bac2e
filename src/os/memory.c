#include "os/memory.h"

#include <stdlib.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

/* Blocks on their way to the disk stay below: they come and go by the thousand. */
enum { LARGE_BYTES = 512 << 10 };

void sp_memory_keep_small(void) {
#if defined(__GLIBC__)
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES); /* a hint: where it is refused nothing is lost */
#endif
}
