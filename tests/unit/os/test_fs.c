/*
 * What is particular to the POSIX file system; what all file systems share is in
 * tests/conformance/test_fs.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/fs.h"

enum { BLOCK = SP_FS_BLOCK_BYTES };

static char root[64];

static int make_root(void **state) {
    (void)state;
    (void)snprintf(root, sizeof(root), "%s/spoor-posix-XXXXXX", P_tmpdir);
    return mkdtemp(root) == NULL;
}

/* Each test leaves the folder as it found it. */
static int remove_root(void **state) {
    (void)state;
    return rmdir(root);
}

static struct sp_fs *open_root(void) {
    struct sp_fs *fs = NULL;
    assert_int_equal(sp_fs_posix_open(root, false, false, &fs, NULL), SP_OK);
    return fs;
}

enum { PATH_SIZE = 256 };

/* The absolute path of a name within the root; good until the next but one call. */
static const char *below(const char *name) {
    static char paths[2][PATH_SIZE];
    static unsigned turn;
    char *path = paths[turn++ % 2];
    (void)snprintf(path, PATH_SIZE, "%.64s/%.160s", root, name);
    return path;
}

static struct sp_file *open_file(struct sp_fs *fs, const char *path, unsigned flags) {
    struct sp_file *file = NULL;
    assert_int_equal(fs->ops->open(fs, path, flags, &file, NULL), SP_OK);
    return file;
}

static void close_and_unlink(struct sp_file *file, struct sp_fs *fs, const char *path) {
    fs->ops->close(file);
    assert_int_equal(fs->ops->unlink(fs, path, NULL), SP_OK);
}

/* ---- the folder ---- */

static void test_folder_is_made_on_demand(void **state) {
    (void)state;
    struct sp_fs *fs = NULL;
    struct sp_error error;
    const char *folder = below("data");
    assert_int_equal(sp_fs_posix_open(folder, false, false, &fs, &error), SP_NOT_FOUND);
    assert_non_null(strstr(error.text, folder));
    assert_non_null(strstr(error.text, "No such file"));
    assert_int_equal(error.os_error, ENOENT);
    assert_int_equal(sp_fs_posix_open(folder, true, true, &fs, &error), SP_NOT_FOUND);
    assert_int_equal(sp_fs_posix_open(below("a/b"), true, false, &fs, &error), SP_NOT_FOUND);
    assert_null(fs);
    assert_int_equal(sp_fs_posix_open(folder, true, false, &fs, &error), SP_OK);
    fs->ops->destroy(fs);
    struct stat facts;
    assert_int_equal(stat(folder, &facts), 0);
    assert_int_equal(facts.st_mode & 07, 0); /* what agents wrote is not for everybody */
    assert_int_equal(sp_fs_posix_open(folder, true, false, &fs, &error), SP_OK);
    fs->ops->destroy(fs);
    assert_int_equal(rmdir(folder), 0);
}

static void test_folder_must_be_one(void **state) {
    (void)state;
    struct sp_fs *fs = open_root();
    struct sp_file *file = open_file(fs, "file", SP_FS_WRITE | SP_FS_CREATE);
    struct stat facts;
    assert_int_equal(stat(below("file"), &facts), 0);
    assert_int_equal(facts.st_mode & 07, 0);
    struct sp_fs *none = NULL;
    assert_int_equal(sp_fs_posix_open(below("file"), true, false, &none, NULL), SP_INVALID);
    struct sp_file *no_file = NULL;
    assert_int_equal(fs->ops->open(fs, "file/x", SP_FS_READ, &no_file, NULL), SP_INVALID);
    close_and_unlink(file, fs, "file");
    fs->ops->destroy(fs);
}

/* The folder may be renamed while it is open: files are found from its descriptor. */
static void test_folder_may_move(void **state) {
    (void)state;
    struct sp_fs *fs = NULL;
    const char *from = below("from");
    assert_int_equal(sp_fs_posix_open(from, true, false, &fs, NULL), SP_OK);
    assert_int_equal(rename(from, below("to")), 0);
    assert_int_equal(sp_fs_replace(fs, "f", SP_STR("x"), NULL), SP_OK);
    assert_int_equal(access(below("to/f"), R_OK), 0);
    assert_int_equal(fs->ops->unlink(fs, "f", NULL), SP_OK);
    fs->ops->destroy(fs);
    assert_int_equal(rmdir(below("to")), 0);
}

/* ---- errors say what, where and why ---- */

static void test_errors_name_operation_path_and_cause(void **state) {
    (void)state;
    struct sp_fs *fs = open_root();
    struct sp_file *file = NULL;
    struct sp_error error;
    assert_int_equal(fs->ops->open(fs, "wal/1.seg", SP_FS_READ, &file, &error), SP_NOT_FOUND);
    char expected[200];
    (void)snprintf(expected, sizeof(expected), "open %s/wal/1.seg: No such file or directory",
                   root);
    assert_string_equal(error.text, expected);
    assert_int_equal(error.os_error, ENOENT);
    assert_int_equal(error.status, SP_NOT_FOUND);
    fs->ops->destroy(fs);
}

/* A long folder is shown by its end; the cause stays readable. */
static void test_long_folder_does_not_hide_the_cause(void **state) {
    (void)state;
    char name[151];
    memset(name, 'd', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    const char *folder = below(name);
    struct sp_fs *fs = NULL;
    assert_int_equal(sp_fs_posix_open(folder, true, false, &fs, NULL), SP_OK);
    struct sp_error error;
    assert_int_equal(fs->ops->unlink(fs, "f", &error), SP_NOT_FOUND);
    assert_non_null(strstr(error.text, "unlink ..."));
    assert_non_null(strstr(error.text, "ddd/f: No such file or directory"));
    fs->ops->destroy(fs);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- limits of the system ---- */

/*
 * In a child, because the limit is the process's. A write beyond it fails; part of it may be there.
 */
static int write_beyond_limit(void) {
    struct sp_fs *fs = open_root();
    struct sp_file *file = open_file(fs, "f", SP_FS_READ | SP_FS_WRITE | SP_FS_CREATE);
    struct rlimit limit = {.rlim_cur = 2 * BLOCK, .rlim_max = 2 * BLOCK};
    uint8_t *blocks = aligned_alloc(BLOCK, 4 * BLOCK);
    if (blocks == NULL || setrlimit(RLIMIT_FSIZE, &limit) != 0 ||
        signal(SIGXFSZ, SIG_IGN) == SIG_ERR) {
        return 1;
    }
    memset(blocks, 'x', 4 * BLOCK);
    sp_status short_durable = fs->ops->write_durable(file, blocks, 4 * BLOCK, 0, NULL);
    sp_status beyond = fs->ops->write(file, blocks, BLOCK, 3 * BLOCK, NULL);
    sp_status looped = fs->ops->write(file, blocks, 4 * BLOCK, 0, NULL);
    sp_status within = fs->ops->write_durable(file, blocks, BLOCK, BLOCK, NULL);
    free(blocks);
    fs->ops->close(file);
    fs->ops->destroy(fs);
    return short_durable == SP_IO && beyond == SP_IO && looped == SP_IO && within == SP_OK ? 0 : 2;
}

static void test_short_writes_are_errors(void **state) {
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(write_beyond_limit());
    }
    int result = 0;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 0);
    assert_int_equal(unlink(below("f")), 0);
}

/* The device that is always full. */
static void test_full_device(void **state) {
    (void)state;
    struct sp_fs *fs = NULL;
    if (access("/dev/full", W_OK) != 0 ||
        sp_fs_posix_open("/dev", false, false, &fs, NULL) != SP_OK) {
        skip();
    }
    struct sp_file *file = open_file(fs, "full", SP_FS_WRITE);
    struct sp_error error;
    assert_int_equal(fs->ops->write(file, "x", 1, 0, &error), SP_NO_SPACE);
    assert_int_equal(error.os_error, ENOSPC);
    assert_non_null(strstr(error.text, "write /dev/full: No space left on device"));
    fs->ops->close(file);
    fs->ops->destroy(fs);
}

static void test_descriptors_are_not_inherited(void **state) {
    (void)state;
    struct sp_fs *fs = open_root();
    struct sp_file *file = open_file(fs, "f", SP_FS_WRITE | SP_FS_CREATE | SP_FS_DIRECT);
    unsigned open_count = 0;
    for (int fd = 3; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        char link[64];
        char target[256];
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t len = flags >= 0 ? readlink(link, target, sizeof(target)) : -1;
        if (len >= (ssize_t)strlen(root) && memcmp(target, root, strlen(root)) == 0) {
            assert_true((flags & FD_CLOEXEC) != 0);
            open_count++;
        }
    }
    assert_int_equal(open_count, 2);
    close_and_unlink(file, fs, "f");
    fs->ops->destroy(fs);
}

/* ---- locks end with the process ---- */

static void test_lock_dies_with_its_process(void **state) {
    (void)state;
    struct sp_fs *fs = open_root();
    struct sp_file *mine = open_file(fs, "LOCK", SP_FS_WRITE | SP_FS_CREATE);
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct sp_fs *theirs_fs = open_root();
        struct sp_file *theirs = open_file(theirs_fs, "LOCK", SP_FS_WRITE);
        char result = theirs_fs->ops->lock(theirs, NULL) == SP_OK ? 'y' : 'n';
        (void)!write(ready[1], &result, 1);
        (void)pause();
        _exit(0);
    }
    char result = 0;
    assert_int_equal(read(ready[0], &result, 1), 1);
    assert_int_equal(result, 'y');
    assert_int_equal(fs->ops->lock(mine, NULL), SP_BUSY);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(fs->ops->lock(mine, NULL), SP_OK);
    (void)close(ready[0]);
    (void)close(ready[1]);
    close_and_unlink(mine, fs, "LOCK");
    fs->ops->destroy(fs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder_is_made_on_demand),
        cmocka_unit_test(test_folder_must_be_one),
        cmocka_unit_test(test_folder_may_move),
        cmocka_unit_test(test_errors_name_operation_path_and_cause),
        cmocka_unit_test(test_long_folder_does_not_hide_the_cause),
        cmocka_unit_test(test_short_writes_are_errors),
        cmocka_unit_test(test_full_device),
        cmocka_unit_test(test_descriptors_are_not_inherited),
        cmocka_unit_test(test_lock_dies_with_its_process),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
