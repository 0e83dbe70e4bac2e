#include "server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../engine/folder.h"

static pid_t server;
static int port;
static char url[64];

bool help_is_remote(void) {
    return getenv("SPOOR_TEST_REMOTE") != NULL;
}

void help_needs_folder(void) {
    if (help_is_remote()) {
        skip();
    }
}

static void run_server(int out) {
    char text[16];
    (void)snprintf(text, sizeof(text), "%d", port);
    (void)dup2(out, STDOUT_FILENO);
    (void)execl(getenv("SPOOR"), "spoor", "serve", "--data", help_folder, "--resp-port", text,
                "--http-port", "0", "--log-level", "warning", "--idle-timeout", "0", (char *)NULL);
    _exit(127);
}

/* Waits for the line `ready resp=127.0.0.1:PORT …`, or for the end of the output. */
static void read_port(int fd) {
    char text[512];
    size_t len = 0;
    ssize_t count = 0;
    while (len + 1 < sizeof(text) && (len == 0 || text[len - 1] != '\n') &&
           (count = read(fd, text + len, sizeof(text) - 1 - len)) > 0) {
        len += (size_t)count;
    }
    text[len] = '\0';
    if (sscanf(text, "ready resp=127.0.0.1:%d ", &port) != 1) {
        fail_msg("the server does not start: %s", text);
    }
}

void help_start_server(void) {
    int fds[2];
    assert_non_null(getenv("SPOOR"));
    assert_int_equal(server, 0);
    assert_int_equal(pipe(fds), 0);
    server = fork();
    if (server == 0) {
        (void)close(fds[0]);
        run_server(fds[1]);
    }
    assert_true(server > 0);
    (void)close(fds[1]);
    read_port(fds[0]);
    (void)close(fds[0]);
    (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%d", port);
}

void help_stop_server(bool is_kill) {
    int status = 0;
    if (server == 0) {
        return;
    }
    (void)kill(server, is_kill ? SIGKILL : SIGTERM);
    (void)waitpid(server, &status, 0);
    server = 0;
    assert_true(is_kill || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

const char *help_place_before(void) {
    return url;
}

const char *help_place(void) {
    if (!help_is_remote()) {
        return help_folder;
    }
    if (server == 0) {
        port = 0;
        help_start_server();
    }
    return url;
}
