#include "project/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "project/sqlite_int.h"
#include "project/sqlite_query.h"

static struct sqlite_sink *of(struct sp_sink *sink) {
    return (struct sqlite_sink *)(void *)sink;
}

/*
 * ---- names
 * ---------------------------------------------------------------------------------------
 */

/* `NAME.<number>.db` and what SQLite puts behind it; relative to the folder. */
static void build_name(char to[SQLITE_NAME_SIZE], sp_str name, uint64_t number,
                       const char *behind) {
    sp_require(name.len <= SP_PROJECTION_NAME_MAX);
    (void)snprintf(to, SQLITE_NAME_SIZE, "%.*s.%llu.db%s", SP_STR_ARG(name),
                   (unsigned long long)number, behind);
}

/* `NAME.db`, the link. */
static void link_name(char to[SQLITE_NAME_SIZE], sp_str name, const char *behind) {
    (void)snprintf(to, SQLITE_NAME_SIZE, "%.*s.db%s", SP_STR_ARG(name), behind);
}

/* The same as a path; false where it would be too long. */
static bool path_of(const struct sqlite_sink *sink, const char *name, char to[SQLITE_PATH_SIZE]) {
    int len = snprintf(to, SQLITE_PATH_SIZE, "%s/%s", sink->folder, name);
    return len > 0 && len < SQLITE_PATH_SIZE;
}

/* Takes `NAME.<number>` apart, behind which `rest` stands in the file's name. */
static bool split_name(sp_str file, sp_str *ret_name, uint64_t *ret_number, sp_str *ret_rest) {
    const char *dot = file.len == 0 ? NULL : memchr(file.ptr, '.', file.len);
    if (dot == NULL) {
        return false;
    }
    *ret_name = sp_str_of(file.ptr, (size_t)(dot - file.ptr));
    sp_str rest = sp_str_from_byte(file, ret_name->len + 1);
    uint64_t number = 0;
    size_t digits = 0;
    while (digits < rest.len && rest.ptr[digits] >= '0' && rest.ptr[digits] <= '9' && digits < 18) {
        number = number * 10 + (uint64_t)(rest.ptr[digits++] - '0');
    }
    *ret_number = number;
    *ret_rest = sp_str_from_byte(rest, digits);
    return digits > 0 && sp_projection_name_valid(*ret_name);
}

/*
 * The number of the current build of a name, and since when; 0 where there is none. The link's own
 * time is that of the last swap: it needs no note that could contradict it.
 */
static uint64_t current_number(const struct sqlite_sink *sink, sp_str name,
                               uint64_t *ret_since_us) {
    char link[SQLITE_NAME_SIZE];
    char path[SQLITE_PATH_SIZE];
    char target[SQLITE_NAME_SIZE];
    struct stat facts;
    sp_str target_name;
    sp_str rest;
    uint64_t number = 0;
    link_name(link, name, "");
    if (!path_of(sink, link, path) || lstat(path, &facts) != 0) {
        return 0;
    }
    ssize_t len = readlink(path, target, sizeof(target));
    if (len <= 0 || !split_name(sp_str_of(target, (size_t)len), &target_name, &number, &rest) ||
        !sp_str_eq(target_name, name) || !sp_str_eq(rest, SP_STR(".db"))) {
        return 0;
    }
    *ret_since_us =
        (uint64_t)facts.st_mtim.tv_sec * 1000000 + (uint64_t)facts.st_mtim.tv_nsec / 1000;
    return number;
}

static bool is_there(const struct sqlite_sink *sink, const char *name) {
    char path[SQLITE_PATH_SIZE];
    struct stat facts;
    return path_of(sink, name, path) && stat(path, &facts) == 0;
}

/*
 * ---- listing
 * -------------------------------------------------------------------------------------
 */

struct listed {
    struct sqlite_sink *sink;
    struct sp_buf names; /* of files, a NUL behind each */
};

static bool note_name(void *context, sp_str name) {
    struct listed *listed = context;
    sp_buf_add_str(&listed->names, name);
    sp_buf_add_byte(&listed->names, '\0');
    return true;
}

static void remove_name(struct sqlite_sink *sink, const char *name) {
    sp_status status = sink->fs->ops->unlink(sink->fs, name, NULL);
    (void)status; /* what is left is removed the next time */
}

/* Removes a build's files: the database first, for what is left of it then is no build. */
static void remove_build(struct sqlite_sink *sink, sp_str name, uint64_t number) {
    static const char *const behind[] = {"", "-wal", "-shm", "-journal"};
    char file[SQLITE_NAME_SIZE];
    for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
        build_name(file, name, number, behind[i]);
        remove_name(sink, file);
    }
}

/* Sets a file that is no database any more aside, under a name that nothing else looks at. */
static void set_aside(struct sqlite_sink *sink, sp_str name, uint64_t number) {
    char from[SQLITE_NAME_SIZE];
    char to[SQLITE_NAME_SIZE];
    build_name(from, name, number, "");
    build_name(to, name, number, ".damaged");
    sp_status status = sink->fs->ops->rename(sink->fs, from, to, NULL);
    (void)status; /* it is looked at again the next time */
    remove_build(sink, name, number);
}

/* Opens a file to look at its state. */
static sp_status look_at(struct sqlite_sink *sink, const char *file,
                         struct sp_build_state *ret_state, struct sp_error *error) {
    char path[SQLITE_PATH_SIZE];
    sqlite3 *db = NULL;
    int flags = (sink->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
                SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (!path_of(sink, file, path)) {
        return sp_error_set(error, SP_LIMIT, "%s/%s: the path is too long", sink->folder, file);
    }
    int code = sqlite3_open_v2(path, &db, flags, NULL);
    (void)sqlite3_busy_timeout(db, SQLITE_BUSY_MS);
    sp_status status = code == SQLITE_OK ? sqlite_state_read(db, ret_state, error)
                                         : sqlite_fail(db, code, error, file);
    (void)sqlite3_close_v2(db);
    return status;
}

/* Tells of one file of the folder, where it is a build. *go_on turns false where enough was told.
 */
static sp_status tell(struct sqlite_sink *sink, const char *file, sp_sink_build_fn *each,
                      void *context, bool *go_on, struct sp_error *error) {
    sp_str name;
    sp_str rest;
    uint64_t number;
    uint64_t since_us = 0;
    struct sp_build_state state;
    if (!split_name(sp_str_from(file), &name, &number, &rest)) {
        return SP_OK;
    }
    if (!sp_str_eq(rest, SP_STR(".db"))) {
        char base[SQLITE_NAME_SIZE];
        build_name(base, name, number, "");
        bool orphan = sp_str_starts_with(rest, SP_STR(".db-")) && !is_there(sink, base);
        if (orphan && !sink->read_only) {
            remove_name(sink, file); /* a later build of this number would take it for its own */
        }
        return SP_OK;
    }
    sp_status status = look_at(sink, file, &state, error);
    bool other =
        status == SP_OK && (state.number != number || !sp_str_eq(name, sp_str_from(state.name)));
    if (status == SP_CORRUPT || other) {
        if (!sink->read_only) {
            set_aside(sink, name, number);
        }
        return SP_OK;
    }
    if (status == SP_NOT_FOUND) {
        if (!sink->read_only) {
            remove_build(sink, name, number);
        }
        return SP_OK;
    }
    if (status != SP_OK) {
        return sp_error_prefix(error, status, "%s/%s", sink->folder, file);
    }
    uint64_t current = current_number(sink, name, &since_us);
    state.current = current == number;
    state.retired_us = current > number ? since_us : 0; /* numbers rise: it came before */
    *go_on = each(context, &state);
    return SP_OK;
}

static sp_status sink_builds(struct sp_sink *pub, sp_sink_build_fn *each, void *context,
                             struct sp_error *error) {
    struct sqlite_sink *sink = of(pub);
    struct listed listed = {.sink = sink};
    sp_buf_init(&listed.names, 64 << 20);
    sp_status status = sink->fs->ops->list(sink->fs, ".", note_name, &listed, error);
    if (status == SP_OK && listed.names.status != SP_OK) {
        status = sp_error_set(error, listed.names.status, "%s: too many files", sink->folder);
    }
    bool go_on = true;
    for (size_t at = 0; status == SP_OK && go_on && at < listed.names.len;) {
        const char *file = (const char *)listed.names.data + at;
        at += strlen(file) + 1;
        status = tell(sink, file, each, context, &go_on, error);
    }
    sp_buf_fini(&listed.names);
    return status;
}

/*
 * ---- builds
 * --------------------------------------------------------------------------------------
 */

static sp_status denied(const struct sqlite_sink *sink, struct sp_error *error) {
    return sp_error_set(error, SP_DENIED, "%s: another process fills these read models",
                        sink->folder);
}

static sp_status same_text(const struct sqlite_build *build, struct sp_error *error) {
    const struct sp_definition *definition = build->pub.definition;
    if (memcmp(build->committed.sha256, definition->sha256, 32) != 0) {
        return sp_error_set(error, SP_CONFLICT, "build %llu of %s was made from another text",
                            (unsigned long long)build->committed.number, definition->name);
    }
    return SP_OK;
}

/* Makes the build where it is not there yet: half of one counts as none. */
static sp_status make_or_start(struct sqlite_build *build, uint64_t number,
                               struct sp_error *error) {
    struct sp_build_state state;
    sp_status status = sqlite_state_read(build->db, &state, error);
    if (status == SP_NOT_FOUND) {
        status = sqlite_build_make(build, number, error);
    }
    status = status == SP_OK ? sqlite_build_start(build, error) : status;
    return status == SP_OK ? same_text(build, error) : status;
}

static sp_status sink_open(struct sp_sink *pub, struct sp_definition *definition, uint64_t number,
                           struct sp_build **ret_build, struct sp_error *error) {
    struct sqlite_sink *sink = of(pub);
    struct sqlite_build *build = NULL;
    char file[SQLITE_NAME_SIZE];
    char path[SQLITE_PATH_SIZE];
    sp_str name = sp_str_from(definition->name);
    if (sink->read_only) {
        return denied(sink, error);
    }
    build_name(file, name, number, "");
    if (!path_of(sink, file, path)) {
        return sp_error_set(error, SP_LIMIT, "%s/%s: the path is too long", sink->folder, file);
    }
    bool fresh = !is_there(sink, file);
    if (fresh) {
        remove_build(sink, name, number); /* a write-ahead log that was left of another one */
    }
    sp_status status =
        sqlite_build_new(definition, sink->clock, path, sink->cache_kib, &build, error);
    status = status == SP_OK ? make_or_start(build, number, error) : status;
    if (status == SP_OK) {
        *ret_build = &build->pub;
        return SP_OK;
    }
    sqlite_build_free(build);
    if (fresh) {
        remove_build(sink, name, number);
    }
    return sp_error_prefix(error, status, "%s", definition->name);
}

static sp_status sink_swap(struct sp_sink *pub, sp_str name, uint64_t number,
                           struct sp_error *error) {
    struct sqlite_sink *sink = of(pub);
    char file[SQLITE_NAME_SIZE];
    char link[SQLITE_NAME_SIZE];
    char fresh[SQLITE_NAME_SIZE];
    char path[SQLITE_PATH_SIZE];
    if (sink->read_only) {
        return denied(sink, error);
    }
    build_name(file, name, number, "");
    link_name(link, name, "");
    link_name(fresh, name, ".new");
    if (!is_there(sink, file)) {
        return sp_error_set(error, SP_NOT_FOUND, "%s/%s is not there", sink->folder, file);
    }
    remove_name(sink, fresh); /* of a swap that a crash cut short */
    uint64_t now_us = sink->clock.wall_us(sink->clock.context);
    struct timespec now = {.tv_sec = (time_t)(now_us / 1000000),
                           .tv_nsec = (long)(now_us % 1000000 * 1000)};
    const struct timespec times[2] = {now, now};
    if (!path_of(sink, fresh, path) || symlink(file, path) != 0 ||
        utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) != 0) {
        return sp_error_set_os(error, SP_IO, errno, "%s: the link cannot be made (errno %d)", path,
                               errno);
    }
    sp_status status = sink->fs->ops->rename(sink->fs, fresh, link, error);
    return status == SP_OK ? sink->fs->ops->sync_dir(sink->fs, ".", error) : status;
}

static sp_status sink_drop(struct sp_sink *pub, sp_str name, uint64_t number,
                           struct sp_error *error) {
    struct sqlite_sink *sink = of(pub);
    char link[SQLITE_NAME_SIZE];
    uint64_t since_us;
    if (sink->read_only) {
        return denied(sink, error);
    }
    if (current_number(sink, name, &since_us) == number) {
        link_name(link, name, "");
        remove_name(sink, link);
    }
    remove_build(sink, name, number);
    return SP_OK;
}

static sp_status sink_reader_new(struct sp_sink *pub, struct sp_sql_reader **ret_reader,
                                 struct sp_error *error) {
    struct sqlite_sink *sink = of(pub);
    return sp_sqlite_reader_new(sink->folder, sink->clock, ret_reader, error);
}

/*
 * ---- the sink
 * ------------------------------------------------------------------------------------
 */

static void sink_close(struct sp_sink *pub) {
    struct sqlite_sink *sink = of(pub);
    if (sink == NULL) {
        return;
    }
    if (sink->lock != NULL) {
        sink->fs->ops->close(sink->lock);
    }
    if (sink->owns_fs) {
        sink->fs->ops->destroy(sink->fs);
    }
    free(sink->folder);
    free(sink);
}

static const struct sp_sink_ops sink_ops = {
    .builds = sink_builds,
    .open = sink_open,
    .swap = sink_swap,
    .drop = sink_drop,
    .reader_new = sink_reader_new,
    .close = sink_close,
};

static sp_status take_lock(struct sqlite_sink *sink, struct sp_error *error) {
    sp_status status = sink->fs->ops->open(
        sink->fs, "LOCK", SP_FS_READ | SP_FS_WRITE | SP_FS_CREATE, &sink->lock, error);
    status = status == SP_OK ? sink->fs->ops->lock(sink->lock, error) : status;
    if (status == SP_BUSY) {
        return sp_error_set(error, status, "%s: another process fills these read models",
                            sink->folder);
    }
    return status;
}

sp_status sp_sqlite_sink_open(const struct sp_sqlite_options *options, struct sp_sink **ret_sink,
                              struct sp_error *error) {
    struct sqlite_sink *sink = calloc(1, sizeof(*sink));
    size_t len = strlen(options->folder);
    if (sink != NULL) {
        sink->folder = malloc(len + 1);
    }
    if (sink == NULL || sink->folder == NULL) {
        free(sink);
        return sp_error_set(error, SP_NO_MEMORY, "read models: out of memory");
    }
    memcpy(sink->folder, options->folder, len + 1);
    sink->pub.ops = &sink_ops;
    sink->clock = options->clock;
    sink->read_only = options->read_only;
    sink->cache_kib = options->cache_kib;
    sink->fs = options->fs;
    sp_status status = SP_OK;
    if (sink->fs == NULL) {
        status =
            sp_fs_posix_open(sink->folder, !sink->read_only, sink->read_only, &sink->fs, error);
        sink->owns_fs = status == SP_OK;
    }
    if (status == SP_OK && !sink->read_only) {
        status = take_lock(sink, error);
    }
    if (status == SP_OK && !sink->read_only && options->log != NULL) {
        status = sqlite_origin_settle(sink->fs, options->log, error);
    }
    if (status != SP_OK) {
        sink_close(&sink->pub);
        return status;
    }
    *ret_sink = &sink->pub;
    return SP_OK;
}

const char *sp_sqlite_sink_folder(const struct sp_sink *sink) {
    return ((const struct sqlite_sink *)(const void *)sink)->folder;
}
