/*
 * Consumer groups as Redis has them: XGROUP, XREADGROUP, XACK, XPENDING, XCLAIM, XAUTOCLAIM and
 * XINFO's part of them. What is spoor's own about groups is in cmd_policy.c. loop-thread
 *
 * A group may be made for every key, the virtual streams too. What a command decides is decided in
 * core/groups.h, by way of engine/bus_groups.h; here are words, checks in the order of Redis, and
 * replies.
 */
#include "server/handlers.h"
