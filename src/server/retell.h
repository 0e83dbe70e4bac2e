/*
 * What must outlive the retention of events. loop-thread
 *
 * Upcasters and commands are folded from events. Where retention drops the oldest segments, their
 * definitions would be gone with the next start. Those that lie in the older half of the log are
 * therefore told again, by an event of the same content. Schemas and projections do so themselves.
 */
#ifndef SP_SERVER_RETELL_H
#define SP_SERVER_RETELL_H

#include "server/server.h"

/* Looks every few seconds, where retention is set. After upcasters and decisions. */
void sp_retell_init(struct sp_server *server);

#endif
