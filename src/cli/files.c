#include "cli/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "schema/json_schema.h"

enum { PIECE_BYTES = 64 << 10 };

static int fail_at(const char *path) {
    char text[128];
    sp_cli_complain("%s: %s", path, strerror_r(errno, text, sizeof(text)));
    return SP_EXIT_FAILURE;
}

int sp_cli_read_file(const char *path, struct sp_buf *to) {
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? (void)fail_at(path), SP_EXIT_NOT_FOUND : fail_at(path);
    }
    int code = SP_EXIT_OK;
    ssize_t got = 1;
    while (got > 0 && code == SP_EXIT_OK) {
        uint8_t *room = sp_buf_reserve(to, PIECE_BYTES);
        got = room != NULL ? read(fd, room, PIECE_BYTES) : 0;
        if (room == NULL) {
            sp_cli_complain("%s: more than %zu bytes", path, to->size_bytes_max - PIECE_BYTES);
            code = SP_EXIT_FAILURE;
        } else if (got < 0 && errno != EINTR) {
            code = fail_at(path);
        } else if (got > 0) {
            sp_buf_advance(to, (size_t)got);
        } else if (got < 0) {
            got = 1;
        }
    }
    if (!is_stdin) {
        (void)close(fd);
    }
    return code;
}

void sp_cli_place_of(sp_str text, uint64_t offset, unsigned *ret_line, unsigned *ret_column) {
    unsigned line = 1;
    unsigned column = 1;
    for (uint64_t i = 0; i < offset && i < text.len; i++) {
        bool ends = text.ptr[i] == '\n';
        column = ends ? 1 : column + (((uint8_t)text.ptr[i] & 0xc0) != 0x80);
        line += ends;
    }
    *ret_line = line;
    *ret_column = column;
}

struct telling {
    const struct sp_cli *cli;
    const char *path;
    sp_str text;
};

static void tell_unknown(void *context, uint64_t offset, const char *pointer, const char *meant) {
    const struct telling *telling = context;
    unsigned line;
    unsigned column;
    sp_cli_place_of(telling->text, offset, &line, &column);
    sp_cli_say(telling->cli, "%s:%u:%u: at %s: this is no keyword, and is passed over%s%s%s",
               telling->path, line, column, pointer, meant != NULL ? "; did you mean " : "",
               meant != NULL ? meant : "", meant != NULL ? "?" : "");
}

void sp_cli_tell_unknown(struct sp_cli *cli, const char *path, sp_str text,
                         const struct sp_schema *schema) {
    struct telling telling = {.cli = cli, .path = path, .text = text};
    sp_schema_unknown(schema, tell_unknown, &telling);
}
