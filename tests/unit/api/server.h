/*
 * The same tests over a server: where $SPOOR_TEST_REMOTE is set, the store of a test is that of a
 * server of its own, over the test's folder.
 */
#ifndef SP_TESTS_API_SERVER_H
#define SP_TESTS_API_SERVER_H

#include <stdbool.h>

/* True where the tests run over a server. */
bool help_is_remote(void);

/* What spoor_open is given for the test's store: the folder, or the URL of its server. */
const char *help_place(void);

/* The URL of the server that was, whether it runs or not. */
const char *help_place_before(void);

/* Skips the test where it runs over a server: what it is about is a folder. */
void help_needs_folder(void);

/* Starts a server on the test's folder, at the port it had before if there was one. */
void help_start_server(void);

/* Ends the server, with SIGKILL or so that it drains; nothing where there is none. */
void help_stop_server(bool kill);

#endif
