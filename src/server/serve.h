/*
 * A server from beginning to end: opens the folder, listens, says so, turns, drains, closes.
 * loop-thread
 */
#ifndef SP_SERVER_SERVE_H
#define SP_SERVER_SERVE_H

#include "server/settings.h"

/* Called once, when clients can connect: the line to print, without its end. */
typedef void sp_serve_ready_fn(void *context, const char *line);

/*
 * Serves until a signal ends it. Takes the settings over, also on failure. Log lines go to
 * `log_fd`. SP_OK: drained after SIGTERM or SIGINT. SP_BUSY: another process has the folder (the
 * error has its pid) or the port; else what opening said; SP_FAILED: the store died.
 */
SP_WARN_UNUSED sp_status sp_serve(struct sp_settings *settings, int log_fd,
                                  sp_serve_ready_fn *ready, void *context, struct sp_error *error);

#endif
