/*
 * Which log the read models of a folder were filled from.
 *
 * A data folder may be put back from a copy, or begun anew with a part of it left behind. Read
 * models of another log are no fold of this one, whatever their positions say: they are removed and
 * made anew. The file ORIGIN tells: the log's uuid, one line. Snapshots lie in a folder beneath and
 * go with them. ORIGIN is written last, so that what a crash left of them goes the next time.
 */
#include <string.h>

#include "base/time.h"
#include "project/sqlite_int.h"

enum { ORIGIN_BYTES_MAX = 256, NAMES_BYTES_MAX = 64 << 20 };

static bool note_name(void *context, sp_str name) {
    struct sp_buf *names = context;
    sp_buf_add_str(names, name);
    sp_buf_add_byte(names, '\0');
    return true;
}

/* `folder/name` as the file system takes it; false where it is too long. */
static bool join(char to[SP_FS_PATH_BYTES_MAX + 1], sp_str folder, sp_str name) {
    if (folder.len + 1 + name.len > SP_FS_PATH_BYTES_MAX) {
        return false;
    }
    memcpy(to, folder.ptr, folder.len);
    to[folder.len] = '/';
    memcpy(to + folder.len + 1, name.ptr, name.len);
    to[folder.len + 1 + name.len] = '\0';
    return true;
}

/* What would be taken for a build, or a part of one, if it stayed. */
static bool is_database(sp_str name) {
    for (size_t at = 0; at + 3 <= name.len; at++) {
        if (memcmp(name.ptr + at, ".db", 3) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * Removes the files of a folder but LOCK. What is no database and cannot be removed (a folder,
 * somebody's own file) is passed over.
 */
static sp_status remove_files(struct sp_fs *fs, const char *folder, struct sp_error *error) {
    struct sp_buf names;
    sp_buf_init(&names, NAMES_BYTES_MAX);
    sp_status status = fs->ops->list(fs, folder, note_name, &names, error);
    status = status == SP_NOT_FOUND ? SP_OK : status;
    if (status == SP_OK && names.status != SP_OK) {
        status = sp_error_set(error, names.status, "%s: too many files", folder);
    }
    for (size_t at = 0; status == SP_OK && at < names.len;) {
        const char *name = (const char *)names.data + at;
        char path[SP_FS_PATH_BYTES_MAX + 1];
        size_t len = strlen(name);
        at += len + 1;
        if (strcmp(name, "LOCK") != 0 && join(path, sp_str_from(folder), sp_str_of(name, len))) {
            sp_status removed = fs->ops->unlink(fs, path, error);
            bool matters = removed != SP_NOT_FOUND && is_database(sp_str_of(name, len));
            status = matters ? removed : SP_OK;
        }
    }
    sp_buf_fini(&names);
    return status;
}

sp_status sqlite_origin_settle(struct sp_fs *fs, const uint8_t log[16], struct sp_error *error) {
    char text[SP_UUID_TEXT_SIZE + 1];
    struct sp_buf found;
    sp_uuid_format(log, text);
    text[SP_UUID_TEXT_SIZE] = '\n';
    const sp_str wanted = sp_str_of(text, sizeof(text));
    sp_buf_init(&found, ORIGIN_BYTES_MAX);
    sp_status status = sp_fs_read_all(fs, "ORIGIN", &found, error);
    bool missing = status == SP_NOT_FOUND;
    bool same = status == SP_OK && sp_str_eq(sp_buf_str(&found), wanted);
    sp_buf_fini(&found);
    if (same || (status != SP_OK && status != SP_NOT_FOUND && status != SP_LIMIT)) {
        return status; /* what cannot be read just now says nothing */
    }
    status = SP_OK;
    if (!missing) {
        status = remove_files(fs, "snapshots", error);
        status = status == SP_OK ? remove_files(fs, ".", error) : status;
    }
    return status == SP_OK ? sp_fs_replace(fs, "ORIGIN", wanted, error) : status;
}
