#include "cli/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

void sp_interrupt_open(struct sp_interrupt *interrupt) {
    sigset_t watched;
    (void)sigemptyset(&watched);
    (void)sigaddset(&watched, SIGINT);
    (void)sigaddset(&watched, SIGTERM);
    (void)sigaddset(&watched, SIGHUP);
    interrupt->came = false;
    (void)sigprocmask(SIG_BLOCK, &watched, &interrupt->before);
    interrupt->fd = signalfd(-1, &watched, SFD_NONBLOCK | SFD_CLOEXEC);
    if (interrupt->fd < 0) {
        (void)sigprocmask(SIG_SETMASK, &interrupt->before, NULL);
    }
}

void sp_interrupt_close(struct sp_interrupt *interrupt) {
    if (interrupt->fd >= 0) {
        (void)close(interrupt->fd);
        (void)sigprocmask(SIG_SETMASK, &interrupt->before, NULL);
        interrupt->fd = -1;
    }
}

bool sp_interrupt_came(struct sp_interrupt *interrupt) {
    struct signalfd_siginfo info;
    if (!interrupt->came && interrupt->fd >= 0 &&
        read(interrupt->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        interrupt->came = true;
        (void)sigprocmask(SIG_SETMASK, &interrupt->before, NULL);
    }
    return interrupt->came;
}

bool sp_interrupt_wait(struct sp_interrupt *interrupt, int fd) {
    struct pollfd fds[2] = {
        {.fd = fd, .events = POLLIN},
        {.fd = interrupt->came ? -1 : interrupt->fd, .events = POLLIN},
    };
    while (!sp_interrupt_came(interrupt)) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            return true; /* let read say what is wrong */
        }
        if (fds[0].revents != 0) {
            return true;
        }
    }
    return false;
}
