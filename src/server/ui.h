/*
 * The dashboard: static files that were bundled when the program was built, served under /ui/.
 * loop-thread
 *
 * Everything the page asks for comes from here, and a strict Content-Security-Policy holds it so.
 * The page itself needs no password, so that it can ask for one; what it then reads does.
 */
#ifndef SP_SERVER_UI_H
#define SP_SERVER_UI_H

#include <stddef.h>

struct sp_ui_file {
    const char *name; /* NULL: the last one */
    const char *content_type;
    const char *etag; /* with its quotes */
    const unsigned char *gzip;
    size_t gzip_len;
};

/* Made by tools/ui.py; empty where the program was built without Node.js. */
extern const struct sp_ui_file SP_UI_FILES[];

#endif
