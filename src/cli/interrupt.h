/*
 * Being asked to stop: SIGINT, SIGTERM and SIGHUP as something to look at, so that long work ends
 * where it chooses. loop-thread
 *
 * Open before any thread is started: threads inherit the mask. The second signal of a kind, once
 * the first was seen, has its usual effect.
 */
#ifndef SP_CLI_INTERRUPT_H
#define SP_CLI_INTERRUPT_H

#include <signal.h>
#include <stdbool.h>

struct sp_interrupt {
    int fd; /* readable once a signal came; -1 where there is no such thing */
    bool came;
    sigset_t before; /* mask to go back to */
};

void sp_interrupt_open(struct sp_interrupt *interrupt);
void sp_interrupt_close(struct sp_interrupt *interrupt);

/* True from the first signal on. Costs a system call. */
bool sp_interrupt_came(struct sp_interrupt *interrupt);

enum sp_interrupt_wait {
    SP_INTERRUPT_READY,   /* the descriptor can be read */
    SP_INTERRUPT_TIMEOUT, /* not within the time */
    SP_INTERRUPT_CAME,    /* a signal came, now or before */
};

/* Waits until `fd` can be read, a signal came, or timeout_ms went by (negative: no limit). */
enum sp_interrupt_wait sp_interrupt_wait(struct sp_interrupt *interrupt, int fd, int timeout_ms);

#endif
