/*
 * A PostgreSQL server of a test's own: the keeper of tests/system/postgres.py, which stops it and
 * removes its folder however the test ends.
 */
#ifndef SP_TEST_POSTGRES_SERVER_H
#define SP_TEST_POSTGRES_SERVER_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

struct postgres_server {
    pid_t pid;
    FILE *to;
    FILE *from;
    char url[512];
    char answer[65536]; /* of the last request, without its line's end */
};

/* False where PostgreSQL is not installed; `answer` says what is missing. */
bool postgres_server_start(struct postgres_server *server);
void postgres_server_stop(struct postgres_server *server);

/* One line to the keeper: `start`, `stop`, `crash`, `psql SQL`. The test fails where it fails. */
const char *postgres_server_ask(struct postgres_server *server, const char *request);

/* What psql prints for the SQL, as it stands in one line of JSON: "1|x\n2|y". */
const char *postgres_server_psql(struct postgres_server *server, const char *sql);

#endif
