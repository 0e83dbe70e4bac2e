/*
 * A descriptor that one thread makes readable and another waits for with poll. any-thread
 */
#ifndef SP_OS_WAKEUP_H
#define SP_OS_WAKEUP_H

/* Makes one (Linux eventfd, non-blocking, close-on-exec); -1 where there is none to be had. */
int sp_wakeup_open(void);

/* Makes it readable. Never blocks. */
void sp_wakeup_signal(int fd);

/* Makes it unreadable again. */
void sp_wakeup_drain(int fd);

void sp_wakeup_close(int fd);

#endif
