#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "os/os.h"

static const uint64_t PERIOD_NS = 200 * 1000 * 1000;

static uint64_t now_ns(void) {
    struct sp_clock clock = sp_clock_system();
    return clock.monotonic_ns(clock.context);
}

void sp_progress_init(struct sp_progress *progress, bool is_quiet) {
    *progress = (struct sp_progress){
        .is_shown = !is_quiet && isatty(STDERR_FILENO) == 1,
        .started_ns = now_ns(),
    };
    progress->shown_ns = progress->started_ns;
}

double sp_progress_seconds(const struct sp_progress *progress) {
    return (double)(now_ns() - progress->started_ns) / 1e9;
}

bool sp_progress_is_due(struct sp_progress *progress) {
    return progress->is_shown && now_ns() - progress->shown_ns >= PERIOD_NS;
}

void sp_progress_show(struct sp_progress *progress, const char *format, ...) {
    char text[200];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)fprintf(stderr, "\r%s\x1b[K", text);
    (void)fflush(stderr);
    progress->has_line = true;
    progress->shown_ns = now_ns();
}

void sp_progress_clear(struct sp_progress *progress) {
    if (progress->has_line) {
        (void)fputs("\r\x1b[K", stderr);
        (void)fflush(stderr);
        progress->has_line = false;
    }
}
