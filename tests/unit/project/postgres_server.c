#include "postgres_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void read_answer(struct postgres_server *server) {
    if (fgets(server->answer, sizeof(server->answer), server->from) == NULL) {
        fail_msg("the keeper of PostgreSQL is gone");
    }
    server->answer[strcspn(server->answer, "\n")] = '\0';
}

bool postgres_server_start(struct postgres_server *server) {
    int to[2];
    int from[2];
    char path[4096];
    const char *source = getenv("SPOOR_SOURCE");
    (void)snprintf(path, sizeof(path), "%s/tests/system/postgres.py",
                   source != NULL ? source : ".");
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        (void)dup2(to[0], STDIN_FILENO);
        (void)dup2(from[1], STDOUT_FILENO);
        for (int fd = 3; fd < 256; fd++) {
            (void)close(fd);
        }
        (void)setsid();
        (void)execlp("python3", "python3", path, (char *)NULL);
        _exit(127);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    (void)signal(SIGPIPE, SIG_IGN);
    server->to = fdopen(to[1], "w");
    server->from = fdopen(from[0], "r");
    assert_non_null(server->to);
    assert_non_null(server->from);
    read_answer(server);
    if (strncmp(server->answer, "missing ", 8) == 0) {
        postgres_server_stop(server);
        return false;
    }
    if (strncmp(server->answer, "ready ", 6) != 0) {
        fail_msg("PostgreSQL did not start: %s", server->answer);
    }
    (void)snprintf(server->url, sizeof(server->url), "%.511s", server->answer + 6);
    return true;
}

void postgres_server_stop(struct postgres_server *server) {
    (void)fclose(server->to);
    (void)waitpid(server->pid, NULL, 0);
    (void)fclose(server->from);
}

const char *postgres_server_ask(struct postgres_server *server, const char *request) {
    (void)fprintf(server->to, "%s\n", request);
    (void)fflush(server->to);
    read_answer(server);
    if (strncmp(server->answer, "error ", 6) == 0) {
        fail_msg("%s: %s", request, server->answer);
    }
    return server->answer;
}

const char *postgres_server_psql(struct postgres_server *server, const char *sql) {
    char request[4096];
    (void)snprintf(request, sizeof(request), "psql %s", sql);
    return postgres_server_ask(server, request);
}
