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

enum sp_interrupt_wait sp_interrupt_wait(struct sp_interrupt *interrupt, int fd, int timeout_ms) {
    struct pollfd fds[2] = {
        {.fd = fd, .events = POLLIN},
        {.fd = interrupt->fd, .events = POLLIN},
    };
    if (sp_interrupt_came(interrupt)) {
        return SP_INTERRUPT_CAME;
    }
    int count = poll(fds, 2, timeout_ms);
    if (count < 0 && errno != EINTR) {
        return SP_INTERRUPT_READY; /* let read say what is wrong */
    }
    if (sp_interrupt_came(interrupt)) {
        return SP_INTERRUPT_CAME;
    }
    return count > 0 && fds[0].revents != 0 ? SP_INTERRUPT_READY : SP_INTERRUPT_TIMEOUT;
}
