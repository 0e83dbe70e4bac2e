/* One set of cases over every file system behind os/fs.h: the real one and the simulated disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/prng.h"
#include "os/fs.h"
#include "os/os.h"
#include "os/probe.h"
#include "sim/disk.h"

enum { BLOCK = SP_FS_BLOCK_BYTES };

/* A file system and what is needed to mount it once more. */
struct world {
    struct sp_fs *fs;
    struct sim_disk *disk;
    char folder[64];
};

static struct sp_fs *mount(struct world *world, bool read_only) {
    struct sp_fs *fs = NULL;
    if (world->disk != NULL) {
        return sim_disk_process(world->disk, read_only);
    }
    assert_int_equal(sp_fs_posix_open(world->folder, true, read_only, &fs, NULL), SP_OK);
    return fs;
}

static int set_up_sim(void **state) {
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->disk = sim_disk_new(&(struct sim_disk_options){.seed = 1});
    world->fs = mount(world, false);
    *state = world;
    return 0;
}

static int set_up_in(const char *parent, void **state) {
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    (void)snprintf(world->folder, sizeof(world->folder), "%s/spoor-fs-XXXXXX", parent);
    assert_non_null(mkdtemp(world->folder));
    world->fs = mount(world, false);
    *state = world;
    return 0;
}

static int set_up_posix(void **state) {
    return set_up_in(P_tmpdir, state);
}

/* A memory file system: it refuses what a disk grants, or grants it otherwise. */
static int set_up_memory(void **state) {
    return set_up_in("/dev/shm", state);
}

static void remove_tree(const char *folder) {
    char path[512];
    DIR *open_folder = opendir(folder);
    assert_non_null(open_folder);
    for (const struct dirent *entry; (entry = readdir(open_folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
            if (unlink(path) != 0) {
                remove_tree(path);
            }
        }
    }
    (void)closedir(open_folder);
    assert_int_equal(rmdir(folder), 0);
}

static int tear_down(void **state) {
    struct world *world = *state;
    world->fs->ops->destroy(world->fs);
    if (world->disk != NULL) {
        sim_disk_free(world->disk);
    } else {
        remove_tree(world->folder);
    }
    free(world);
    return 0;
}

static struct sp_fs *fs_of(void **state) {
    return ((struct world *)*state)->fs;
}

/* ---- shorthand ---- */

static struct sp_file *open_file(struct sp_fs *fs, const char *path, unsigned flags) {
    struct sp_file *file = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    if (fs->ops->open(fs, path, flags, &file, &error) != SP_OK) {
        fail_msg("open %s: %s", path, error.text);
    }
    assert_ptr_equal(file->fs, fs);
    return file;
}

/* Tries to open and expects a refusal, which must leave the out-parameter alone. */
static void refuse_open(struct sp_fs *fs, const char *path, unsigned flags, sp_status expected) {
    struct sp_file *file = NULL;
    struct sp_error error;
    sp_error_clear(&error);
    assert_int_equal(fs->ops->open(fs, path, flags, &file, &error), expected);
    assert_null(file);
    assert_int_equal(error.status, expected);
    assert_non_null(strstr(error.text, "open"));
    assert_non_null(strstr(error.text, path));
}

static void write_at(struct sp_file *file, const char *text, uint64_t offset) {
    assert_int_equal(file->fs->ops->write(file, text, strlen(text), offset, NULL), SP_OK);
}

static void make_file(struct sp_fs *fs, const char *path, const char *text) {
    struct sp_file *file = open_file(fs, path, SP_FS_WRITE | SP_FS_CREATE);
    write_at(file, text, 0);
    fs->ops->close(file);
}

static void assert_content(struct sp_fs *fs, const char *path, const char *expected) {
    struct sp_buf content;
    struct sp_error error;
    sp_error_clear(&error);
    sp_buf_init(&content, 1 << 20);
    if (sp_fs_read_all(fs, path, &content, &error) != SP_OK) {
        fail_msg("%s: %s", path, error.text);
    }
    assert_int_equal(content.len, strlen(expected));
    assert_memory_equal(content.data, expected, content.len);
    sp_buf_fini(&content);
}

static uint64_t size_of(struct sp_file *file) {
    uint64_t size = UINT64_MAX;
    assert_int_equal(file->fs->ops->size(file, &size, NULL), SP_OK);
    return size;
}

static uint8_t *blocks_of(size_t count, uint8_t fill) {
    uint8_t *blocks = aligned_alloc(BLOCK, count * BLOCK);
    assert_non_null(blocks);
    memset(blocks, fill, count * BLOCK);
    return blocks;
}

/* ---- files ---- */

static void test_open_finds_and_makes(void **state) {
    struct sp_fs *fs = fs_of(state);
    refuse_open(fs, "a", SP_FS_READ, SP_NOT_FOUND);
    refuse_open(fs, "a", SP_FS_READ | SP_FS_WRITE, SP_NOT_FOUND);
    refuse_open(fs, "missing/a", SP_FS_WRITE | SP_FS_CREATE, SP_NOT_FOUND);
    unsigned exclusive = SP_FS_WRITE | SP_FS_CREATE | SP_FS_EXCLUSIVE;
    struct sp_file *file = open_file(fs, "a", exclusive);
    write_at(file, "kept", 0);
    fs->ops->close(file);
    refuse_open(fs, "a", exclusive, SP_CONFLICT);
    fs->ops->close(open_file(fs, "a", SP_FS_WRITE | SP_FS_CREATE));
    assert_content(fs, "a", "kept");
}

static void test_paths_stay_within(void **state) {
    struct sp_fs *fs = fs_of(state);
    static const char *const bad[] = {"/etc/passwd", "..", "../a", "a/../../b", "a/.."};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        refuse_open(fs, bad[i], SP_FS_READ, SP_INVALID);
        assert_int_equal(fs->ops->unlink(fs, bad[i], NULL), SP_INVALID);
        assert_int_equal(fs->ops->mkdir(fs, bad[i], NULL), SP_INVALID);
        assert_int_equal(fs->ops->rename(fs, "a", bad[i], NULL), SP_INVALID);
        assert_int_equal(fs->ops->sync_dir(fs, bad[i], NULL), SP_INVALID);
    }
    char longest[SP_FS_PATH_BYTES_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(fs->ops->unlink(fs, longest, NULL), SP_INVALID);
    assert_int_equal(sp_fs_replace(fs, longest + 1, SP_STR("x"), NULL), SP_INVALID);
    make_file(fs, "..a..", "dots are a name as well");
    assert_content(fs, "./..a..", "dots are a name as well");
}

static void test_read_what_was_written(void **state) {
    struct sp_fs *fs = fs_of(state);
    struct sp_file *file = open_file(fs, "f", SP_FS_READ | SP_FS_WRITE | SP_FS_CREATE);
    write_at(file, "0123456789", 0);
    write_at(file, "ABC", 4);
    char got[32];
    size_t len = 99;
    assert_int_equal(fs->ops->read(file, got, sizeof(got), 2, &len, NULL), SP_OK);
    assert_int_equal(len, 8);
    assert_memory_equal(got, "23ABC789", 8);
    assert_int_equal(fs->ops->read(file, got, 3, 0, &len, NULL), SP_OK);
    assert_int_equal(len, 3);
    assert_int_equal(fs->ops->read(file, got, 3, 10, &len, NULL), SP_OK);
    assert_int_equal(len, 0);
    assert_int_equal(fs->ops->read(file, got, 3, 1000000, &len, NULL), SP_OK);
    assert_int_equal(len, 0);
    assert_int_equal(fs->ops->read(file, got, 0, 0, &len, NULL), SP_OK);
    assert_int_equal(len, 0);
    fs->ops->advise(file, 0, 10, true);
    fs->ops->advise(file, 0, 10, false);
    fs->ops->close(file);
    fs->ops->close(NULL);
}

static void test_holes_are_zeros(void **state) {
    struct sp_fs *fs = fs_of(state);
    struct sp_file *file = open_file(fs, "f", SP_FS_READ | SP_FS_WRITE | SP_FS_CREATE);
    write_at(file, "x", 5000);
    assert_int_equal(size_of(file), 5001);
    char got[5001];
    size_t len = 0;
    assert_int_equal(fs->ops->read(file, got, sizeof(got), 0, &len, NULL), SP_OK);
    assert_int_equal(len, 5001);
    for (size_t i = 0; i < 5000; i++) {
        assert_int_equal(got[i], 0);
    }
    assert_int_equal(got[5000], 'x');
    fs->ops->close(file);
}

static void test_truncate_cuts_and_extends(void **state) {
    struct sp_fs *fs = fs_of(state);
    make_file(fs, "f", "0123456789");
    struct sp_file *file = open_file(fs, "f", SP_FS_READ | SP_FS_WRITE);
    assert_int_equal(fs->ops->truncate(file, 4, NULL), SP_OK);
    assert_int_equal(size_of(file), 4);
    assert_content(fs, "f", "0123");
    assert_int_equal(fs->ops->truncate(file, 6, NULL), SP_OK);
    char got[8];
    size_t len = 0;
    assert_int_equal(fs->ops->read(file, got, sizeof(got), 0, &len, NULL), SP_OK);
    assert_int_equal(len, 6);
    assert_memory_equal(got, "0123\0\0", 6);
    assert_int_equal(fs->ops->sync(file, NULL), SP_OK);
    fs->ops->close(file);
}

static void test_direct_and_cached_agree(void **state) {
    struct sp_fs *fs = fs_of(state);
    unsigned flags = SP_FS_READ | SP_FS_WRITE | SP_FS_CREATE | SP_FS_DIRECT;
    struct sp_file *direct = open_file(fs, "f", flags);
    struct sp_file *cached = open_file(fs, "f", SP_FS_READ | SP_FS_WRITE);
    uint8_t *blocks = blocks_of(3, 'a');
    uint8_t *got = blocks_of(3, 0);
    size_t len = 0;
    assert_int_equal(fs->ops->write_durable(direct, blocks, 3 * BLOCK, 0, NULL), SP_OK);
    assert_int_equal(fs->ops->read(cached, got, 3 * BLOCK, 0, &len, NULL), SP_OK);
    assert_int_equal(len, 3 * BLOCK);
    assert_memory_equal(got, blocks, 3 * BLOCK);
    write_at(cached, "seen at once", BLOCK + 7);
    assert_int_equal(fs->ops->read(direct, got, BLOCK, BLOCK, &len, NULL), SP_OK);
    assert_memory_equal(got + 7, "seen at once", 12);
    memset(blocks, 'b', BLOCK);
    assert_int_equal(fs->ops->write(direct, blocks, BLOCK, 2 * BLOCK, NULL), SP_OK);
    assert_int_equal(fs->ops->sync(direct, NULL), SP_OK);
    assert_int_equal(fs->ops->read(cached, got, 1, 2 * BLOCK, &len, NULL), SP_OK);
    assert_int_equal(got[0], 'b');
    assert_int_equal(size_of(direct), 3 * BLOCK);
    fs->ops->close(direct);
    fs->ops->close(cached);
    free(blocks);
    free(got);
}

/* Durable writes do not need a direct file. */
static void test_durable_write_through_the_cache(void **state) {
    struct sp_fs *fs = fs_of(state);
    struct sp_file *file = open_file(fs, "f", SP_FS_READ | SP_FS_WRITE | SP_FS_CREATE);
    uint8_t *block = blocks_of(1, 'd');
    assert_int_equal(fs->ops->write_durable(file, block, BLOCK, 2 * BLOCK, NULL), SP_OK);
    assert_int_equal(size_of(file), 3 * BLOCK);
    char got = 0;
    size_t len = 0;
    assert_int_equal(fs->ops->read(file, &got, 1, 3 * BLOCK - 1, &len, NULL), SP_OK);
    assert_int_equal(got, 'd');
    fs->ops->close(file);
    free(block);
}

/* A direct file may be read at any offset, of any length, into any memory. */
static void test_direct_reads_need_no_alignment(void **state) {
    enum { FILE_BYTES = 700001, TRIES = 400 };
    struct sp_fs *fs = fs_of(state);
    struct sp_prng prng = sp_prng_seed(7);
    uint8_t *expected = malloc(FILE_BYTES);
    uint8_t *got = malloc(FILE_BYTES + 64);
    assert_true(expected != NULL && got != NULL);
    for (size_t i = 0; i < FILE_BYTES; i++) {
        expected[i] = (uint8_t)sp_prng_next(&prng);
    }
    struct sp_file *file = open_file(fs, "f", SP_FS_WRITE | SP_FS_CREATE);
    assert_int_equal(fs->ops->write(file, expected, FILE_BYTES, 0, NULL), SP_OK);
    fs->ops->close(file);
    file = open_file(fs, "f", SP_FS_READ | SP_FS_DIRECT);
    for (unsigned i = 0; i < TRIES; i++) {
        size_t offset = sp_prng_below(&prng, FILE_BYTES + 5000);
        size_t asked = sp_prng_below(&prng, i % 2 == 0 ? 9000 : FILE_BYTES);
        size_t shift = sp_prng_below(&prng, 64);
        size_t left = offset < FILE_BYTES ? FILE_BYTES - offset : 0;
        size_t len = 0;
        assert_int_equal(fs->ops->read(file, got + shift, asked, offset, &len, NULL), SP_OK);
        assert_int_equal(len, asked < left ? asked : left);
        assert_true(len == 0 || memcmp(got + shift, expected + offset, len) == 0);
    }
    fs->ops->close(file);
    free(expected);
    free(got);
}

/* ---- names ---- */

static void test_rename_replaces(void **state) {
    struct sp_fs *fs = fs_of(state);
    make_file(fs, "old", "old");
    make_file(fs, "new", "new");
    struct sp_file *held = open_file(fs, "old", SP_FS_READ);
    assert_int_equal(fs->ops->rename(fs, "new", "old", NULL), SP_OK);
    assert_content(fs, "old", "new");
    refuse_open(fs, "new", SP_FS_READ, SP_NOT_FOUND);
    char got[3];
    size_t len = 0;
    assert_int_equal(fs->ops->read(held, got, 3, 0, &len, NULL), SP_OK);
    assert_memory_equal(got, "old", 3);
    fs->ops->close(held);
    assert_int_equal(fs->ops->rename(fs, "old", "old", NULL), SP_OK);
    assert_content(fs, "old", "new");
    assert_int_equal(fs->ops->rename(fs, "nothing", "old", NULL), SP_NOT_FOUND);
    assert_int_equal(fs->ops->rename(fs, "old", "missing/old", NULL), SP_NOT_FOUND);
    assert_content(fs, "old", "new");
}

static void test_folders(void **state) {
    struct sp_fs *fs = fs_of(state);
    assert_int_equal(fs->ops->mkdir(fs, "seg", NULL), SP_OK);
    assert_int_equal(fs->ops->mkdir(fs, "seg", NULL), SP_OK);
    assert_int_equal(fs->ops->mkdir(fs, "missing/seg", NULL), SP_NOT_FOUND);
    make_file(fs, "seg/1", "one");
    make_file(fs, "file", "f");
    assert_int_equal(fs->ops->mkdir(fs, "file", NULL), SP_CONFLICT);
    assert_int_equal(fs->ops->rename(fs, "seg/1", "one", NULL), SP_OK);
    assert_content(fs, "one", "one");
    refuse_open(fs, "seg/1", SP_FS_READ, SP_NOT_FOUND);
    assert_int_equal(fs->ops->rename(fs, "one", "seg/2", NULL), SP_OK);
    assert_content(fs, "seg/2", "one");
    assert_int_equal(fs->ops->sync_dir(fs, "seg", NULL), SP_OK);
    assert_int_equal(fs->ops->sync_dir(fs, "", NULL), SP_OK);
    assert_int_equal(fs->ops->sync_dir(fs, ".", NULL), SP_OK);
    assert_int_equal(fs->ops->sync_dir(fs, "missing", NULL), SP_NOT_FOUND);
}

static void test_unlink(void **state) {
    struct sp_fs *fs = fs_of(state);
    make_file(fs, "f", "still here");
    struct sp_file *held = open_file(fs, "f", SP_FS_READ);
    assert_int_equal(fs->ops->unlink(fs, "f", NULL), SP_OK);
    refuse_open(fs, "f", SP_FS_READ, SP_NOT_FOUND);
    assert_int_equal(size_of(held), 10);
    fs->ops->close(held);
    struct sp_error error;
    assert_int_equal(fs->ops->unlink(fs, "f", &error), SP_NOT_FOUND);
    assert_non_null(strstr(error.text, "unlink"));
}

struct listing {
    unsigned count;
    unsigned seen; /* bit i: the name was 'a' + i */
    unsigned limit;
};

static bool note_name(void *context, sp_str name) {
    struct listing *listing = context;
    assert_int_equal(name.len, 1);
    listing->seen |= 1u << (unsigned)(name.ptr[0] - 'a');
    listing->count++;
    return listing->count < listing->limit;
}

static void test_list(void **state) {
    struct sp_fs *fs = fs_of(state);
    assert_int_equal(fs->ops->mkdir(fs, "d", NULL), SP_OK);
    make_file(fs, "a", "");
    make_file(fs, "b", "");
    make_file(fs, "d/x", "");
    struct listing all = {.limit = 100};
    assert_int_equal(fs->ops->list(fs, "", note_name, &all, NULL), SP_OK);
    assert_int_equal(all.count, 3);
    assert_int_equal(all.seen, 1 | 2 | 8);
    struct listing inner = {.limit = 100};
    assert_int_equal(fs->ops->list(fs, "d", note_name, &inner, NULL), SP_OK);
    assert_int_equal(inner.count, 1);
    struct listing cut = {.limit = 2};
    assert_int_equal(fs->ops->list(fs, ".", note_name, &cut, NULL), SP_OK);
    assert_int_equal(cut.count, 2);
    assert_int_equal(fs->ops->list(fs, "missing", note_name, &cut, NULL), SP_NOT_FOUND);
    assert_int_equal(fs->ops->list(fs, "a", note_name, &cut, NULL), SP_INVALID);
}

/* ---- processes ---- */

static void test_lock_excludes(void **state) {
    struct world *world = *state;
    struct sp_fs *fs = world->fs;
    struct sp_fs *other = mount(world, false);
    unsigned flags = SP_FS_READ | SP_FS_WRITE | SP_FS_CREATE;
    struct sp_file *first = open_file(fs, "LOCK", flags);
    struct sp_file *second = open_file(other, "LOCK", flags);
    struct sp_file *third = open_file(fs, "LOCK", flags);
    struct sp_error error;
    assert_int_equal(fs->ops->lock(first, NULL), SP_OK);
    assert_int_equal(fs->ops->lock(first, NULL), SP_OK);
    assert_int_equal(other->ops->lock(second, &error), SP_BUSY);
    assert_non_null(strstr(error.text, "LOCK"));
    assert_int_equal(fs->ops->lock(third, NULL), SP_BUSY);
    fs->ops->close(third); /* plain POSIX locks would be gone now */
    assert_int_equal(other->ops->lock(second, NULL), SP_BUSY);
    fs->ops->close(first);
    assert_int_equal(other->ops->lock(second, NULL), SP_OK);
    other->ops->close(second);
    other->ops->destroy(other);
}

/* Open for reading only, a file asks for the lock and never takes it. */
static void test_reader_only_asks_for_the_lock(void **state) {
    struct world *world = *state;
    struct sp_fs *fs = world->fs;
    make_file(fs, "LOCK", "");
    struct sp_fs *reading = mount(world, true);
    struct sp_file *reader = open_file(reading, "LOCK", SP_FS_READ);
    struct sp_file *writer = open_file(fs, "LOCK", SP_FS_READ | SP_FS_WRITE);
    assert_int_equal(reading->ops->lock(reader, NULL), SP_OK);
    assert_int_equal(fs->ops->lock(writer, NULL), SP_OK);
    assert_int_equal(reading->ops->lock(reader, NULL), SP_BUSY);
    fs->ops->close(writer);
    assert_int_equal(reading->ops->lock(reader, NULL), SP_OK);
    reading->ops->close(reader);
    reading->ops->destroy(reading);
}

static void test_read_only_changes_nothing(void **state) {
    struct world *world = *state;
    make_file(world->fs, "f", "as it was");
    struct sp_fs *fs = mount(world, true);
    refuse_open(fs, "f", SP_FS_WRITE, SP_DENIED);
    refuse_open(fs, "g", SP_FS_WRITE | SP_FS_CREATE, SP_DENIED);
    assert_int_equal(fs->ops->unlink(fs, "f", NULL), SP_DENIED);
    assert_int_equal(fs->ops->rename(fs, "f", "g", NULL), SP_DENIED);
    assert_int_equal(fs->ops->mkdir(fs, "d", NULL), SP_DENIED);
    assert_int_equal(sp_fs_replace(fs, "f", SP_STR("new"), NULL), SP_DENIED);
    assert_content(fs, "f", "as it was");
    fs->ops->destroy(fs);
}

/* ---- what is built upon the table ---- */

static void test_replace(void **state) {
    struct sp_fs *fs = fs_of(state);
    assert_int_equal(fs->ops->mkdir(fs, "d", NULL), SP_OK);
    assert_int_equal(sp_fs_replace(fs, "d/f", SP_STR("first, and longer"), NULL), SP_OK);
    assert_content(fs, "d/f", "first, and longer");
    make_file(fs, "d/f.tmp", "left over from a crash, and longer than what comes");
    assert_int_equal(sp_fs_replace(fs, "d/f", SP_STR("second"), NULL), SP_OK);
    assert_content(fs, "d/f", "second");
    refuse_open(fs, "d/f.tmp", SP_FS_READ, SP_NOT_FOUND);
    assert_int_equal(sp_fs_replace(fs, "f", SP_STR(""), NULL), SP_OK);
    assert_content(fs, "f", "");
    assert_int_equal(sp_fs_replace(fs, "missing/f", SP_STR("x"), NULL), SP_NOT_FOUND);
}

static void test_read_all_is_limited(void **state) {
    struct sp_fs *fs = fs_of(state);
    make_file(fs, "f", "0123456789");
    struct sp_buf buf;
    struct sp_error error;
    sp_buf_init(&buf, 10);
    assert_int_equal(sp_fs_read_all(fs, "f", &buf, &error), SP_OK);
    assert_int_equal(buf.len, 10);
    sp_buf_fini(&buf);
    sp_buf_init(&buf, 9);
    assert_int_equal(sp_fs_read_all(fs, "f", &buf, &error), SP_LIMIT);
    assert_non_null(strstr(error.text, "f: 10 bytes"));
    assert_int_equal(buf.len, 0);
    sp_buf_reset(&buf);
    assert_int_equal(sp_fs_read_all(fs, "missing", &buf, &error), SP_NOT_FOUND);
    sp_buf_fini(&buf);
}

static void test_space(void **state) {
    struct sp_fs *fs = fs_of(state);
    uint64_t free_bytes = 0;
    assert_int_equal(fs->ops->space(fs, &free_bytes, NULL), SP_OK);
    assert_true(free_bytes > 0);
}

static void test_probe_measures_and_tidies_up(void **state) {
    struct world *world = *state;
    struct sim_clock virtual_clock = sim_clock_at(0);
    struct sp_clock clock = sp_clock_system();
    if (world->disk != NULL) {
        clock = sim_clock_face(&virtual_clock);
    }
    struct sp_device_sync_latency latency = {.p50_us = -1};
    assert_int_equal(sp_device_sync_latency(world->fs, &clock, "", 20, &latency, NULL), SP_OK);
    assert_true(latency.p50_us >= 0 && latency.p99_us >= latency.p50_us);
    struct listing none = {.limit = 100};
    assert_int_equal(world->fs->ops->list(world->fs, "", note_name, &none, NULL), SP_OK);
    assert_int_equal(none.count, 0);
    sp_status status = sp_device_sync_latency(world->fs, &clock, "missing", 1, &latency, NULL);
    assert_int_equal(status, SP_NOT_FOUND);
}

#define CASE(test)                                                                                 \
    { .name = #test, .test_func = (test), .teardown_func = tear_down }

static const struct CMUnitTest cases[] = {
    CASE(test_open_finds_and_makes),
    CASE(test_paths_stay_within),
    CASE(test_read_what_was_written),
    CASE(test_holes_are_zeros),
    CASE(test_truncate_cuts_and_extends),
    CASE(test_direct_and_cached_agree),
    CASE(test_durable_write_through_the_cache),
    CASE(test_direct_reads_need_no_alignment),
    CASE(test_rename_replaces),
    CASE(test_folders),
    CASE(test_unlink),
    CASE(test_list),
    CASE(test_lock_excludes),
    CASE(test_reader_only_asks_for_the_lock),
    CASE(test_read_only_changes_nothing),
    CASE(test_replace),
    CASE(test_read_all_is_limited),
    CASE(test_space),
    CASE(test_probe_measures_and_tidies_up),
};

/* Runs all cases over one file system, whose name each case's name then ends with. */
static int run(const char *where, CMFixtureFunction set_up) {
    enum { COUNT = sizeof(cases) / sizeof(cases[0]) };
    struct CMUnitTest tests[COUNT];
    char names[COUNT][80];
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%s (%s)", cases[i].name, where);
        tests[i] = cases[i];
        tests[i].name = names[i];
        tests[i].setup_func = set_up;
    }
    return cmocka_run_group_tests_name(where, tests, NULL, NULL);
}

int main(void) {
    int failed = run("sim", set_up_sim) + run("posix", set_up_posix);
    struct stat facts;
    if (stat("/dev/shm", &facts) == 0 && access("/dev/shm", W_OK) == 0) {
        failed += run("memory", set_up_memory);
    }
    return failed;
}
