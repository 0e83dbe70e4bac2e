#include "base/assert.h"

#include <stdlib.h>

/* Kept in the frame so that a core dump shows them without debug information of the caller. */
void sp_assert_failed(const char *kind, const char *what, const char *file, int line) {
    const char *volatile seen_kind = kind;
    const char *volatile seen_what = what;
    const char *volatile seen_file = file;
    volatile int seen_line = line;
    (void)seen_kind;
    (void)seen_what;
    (void)seen_file;
    (void)seen_line;
    abort();
}
