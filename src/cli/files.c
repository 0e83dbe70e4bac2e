#include "cli/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

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
