/* Snapshots of read models as files: whole or not there, evenly thinned, damaged ones dropped. */
#include "../engine/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "project/snapshots.h"

struct room {
    struct sp_fs *fs;
    struct sp_snapshots *snapshots;
    uint64_t bytes_max;
    unsigned said;
    char last[512];
};

static void on_say(void *context, const char *text) {
    struct room *room = context;
    room->said++;
    (void)snprintf(room->last, sizeof(room->last), "%s", text);
}

static void room_open(struct room *room, uint64_t bytes_max) {
    struct sp_error error;
    assert_int_equal(sp_fs_posix_open(help_folder, false, false, &room->fs, &error), SP_OK);
    const struct sp_snapshots_options options = {
        .fs = room->fs, .bytes_max = bytes_max, .say = on_say, .say_context = room};
    assert_int_equal(sp_snapshots_open(&options, &room->snapshots, &error), SP_OK);
}

static void room_close(struct room *room) {
    sp_snapshots_close(room->snapshots);
    room->fs->ops->destroy(room->fs);
}

static struct sp_snapshot_key key_of(const char *name, uint8_t version) {
    struct sp_snapshot_key key = {.name = sp_str_from(name)};
    memset(key.sha256, version, sizeof(key.sha256));
    return key;
}

/* Content that does not compress, so that sizes are what they seem. */
static void write_copy(struct room *room, const char *path, size_t len, uint64_t seed) {
    struct sp_buf bytes;
    sp_buf_init(&bytes, SIZE_MAX);
    for (size_t i = 0; i < len; i++) {
        sp_buf_add_byte(&bytes, (uint8_t)help_random(&seed));
    }
    assert_int_equal(sp_fs_replace(room->fs, path, sp_buf_str(&bytes), NULL), SP_OK);
    sp_buf_fini(&bytes);
}

static sp_status save(struct room *room, const struct sp_snapshot_key *key, uint64_t position,
                      size_t len) {
    write_copy(room, "copy", len, position);
    struct sp_error error;
    return sp_snapshots_save(room->snapshots, key, position, position / 2, "copy", &error);
}

static sp_status load(struct room *room, const struct sp_snapshot_key *key, uint64_t position,
                      struct sp_buf *to) {
    struct sp_error error;
    sp_buf_reset(to);
    sp_status status =
        sp_snapshots_load(room->snapshots, key, position, room->fs, "loaded", &error);
    if (status == SP_OK) {
        assert_int_equal(sp_fs_read_all(room->fs, "loaded", to, &error), SP_OK);
        assert_int_equal(room->fs->ops->unlink(room->fs, "loaded", &error), SP_OK);
    }
    return status;
}

static void what_was_saved_is_loaded(void **state) {
    (void)state;
    struct room room = {.fs = NULL};
    struct sp_snapshot_key key = key_of("runs", 1);
    struct sp_buf bytes;
    struct sp_buf wanted;
    sp_buf_init(&bytes, SIZE_MAX);
    sp_buf_init(&wanted, SIZE_MAX);
    room_open(&room, 1 << 30);
    static const size_t LENGTHS[] = {1, 4096, (256 << 10) - 1, 256 << 10, (1 << 20) + 17};
    for (size_t i = 0; i < sizeof(LENGTHS) / sizeof(*LENGTHS); i++) {
        uint64_t position = 100 * (i + 1);
        assert_int_equal(save(&room, &key, position, LENGTHS[i]), SP_OK);
        assert_int_equal(load(&room, &key, position, &bytes), SP_OK);
        sp_buf_reset(&wanted);
        assert_int_equal(sp_fs_read_all(room.fs, "copy", &wanted, NULL), SP_OK);
        assert_true(sp_str_eq(sp_buf_str(&bytes), sp_buf_str(&wanted)));
    }
    room_close(&room);
    room_open(&room, 1 << 30); /* found again */
    struct sp_snapshot found;
    assert_false(sp_snapshots_before(room.snapshots, &key, 99, &found));
    assert_true(sp_snapshots_before(room.snapshots, &key, 299, &found));
    assert_int_equal(found.position, 200);
    assert_int_equal(found.applied, 100);
    assert_true(sp_snapshots_before(room.snapshots, &key, UINT64_MAX, &found));
    assert_int_equal(found.position, 500);
    assert_int_equal(load(&room, &key, 500, &bytes), SP_OK);
    struct sp_snapshot_key other = key_of("runs", 2);
    assert_false(sp_snapshots_before(room.snapshots, &other, UINT64_MAX, &found));
    room_close(&room);
    sp_buf_fini(&wanted);
    sp_buf_fini(&bytes);
}

static void thinning_keeps_gaps_even(void **state) {
    (void)state;
    struct room room = {.fs = NULL};
    struct sp_snapshot_key key = key_of("runs", 1);
    room_open(&room, 10 * 1100);
    for (uint64_t position = 1000; position <= 64000; position += 1000) {
        assert_int_equal(save(&room, &key, position, 900), SP_OK);
    }
    uint64_t count;
    uint64_t bytes;
    sp_snapshots_count(room.snapshots, &count, &bytes);
    assert_true(bytes <= 10 * 1100);
    assert_in_range(count, 8, 11);
    struct sp_snapshot found;
    uint64_t widest = 0;
    uint64_t after = 64000;
    assert_true(sp_snapshots_before(room.snapshots, &key, 64000, &found));
    assert_int_equal(found.position, 64000); /* the newest stays */
    while (sp_snapshots_before(room.snapshots, &key, after - 1, &found)) {
        widest = after - found.position > widest ? after - found.position : widest;
        after = found.position;
    }
    widest = after > widest ? after : widest;
    assert_true(widest <= 3 * 64000 / count);
    room_close(&room);
}

/* One that takes much room makes way before one that takes little. */
static void the_largest_projection_pays(void **state) {
    (void)state;
    struct room room = {.fs = NULL};
    struct sp_snapshot_key small = key_of("small", 1);
    struct sp_snapshot_key large = key_of("large", 1);
    room_open(&room, 60000);
    for (uint64_t position = 1; position <= 5; position++) {
        assert_int_equal(save(&room, &small, position * 100, 200), SP_OK);
        assert_int_equal(save(&room, &large, position * 100, 25000), SP_OK);
    }
    struct sp_snapshot found;
    for (uint64_t position = 1; position <= 5; position++) {
        assert_true(sp_snapshots_before(room.snapshots, &small, position * 100, &found));
        assert_int_equal(found.position, position * 100);
    }
    assert_true(sp_snapshots_before(room.snapshots, &large, 500, &found));
    assert_int_equal(found.position, 500);
    assert_int_equal(save(&room, &large, 600, 70000), SP_LIMIT);
    assert_true(sp_snapshots_before(room.snapshots, &large, 600, &found));
    assert_int_equal(found.position, 500);
    room_close(&room);
}

/* The only file whose name ends so. */
static void find_file(const char *suffix, char path[256]) {
    char command[512];
    (void)snprintf(command, sizeof(command), "ls %s/*%s", help_folder, suffix);
    FILE *list = popen(command, "r");
    assert_non_null(list);
    assert_non_null(fgets(path, 256, list));
    path[strcspn(path, "\n")] = '\0';
    assert_int_equal(pclose(list), 0);
}

static void flip(const char *path, off_t at) {
    int fd = open(path, O_RDWR);
    uint8_t byte;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(close(fd), 0);
}

/* Whatever byte is damaged, and wherever the file ends: it is said, dropped, and never loaded. */
static void damaged_ones_are_dropped(void **state) {
    (void)state;
    struct sp_snapshot_key key = key_of("runs", 1);
    struct sp_buf bytes;
    sp_buf_init(&bytes, SIZE_MAX);
    static const off_t PLACES[] = {0, 9, 20, 30, 58, 66, 74, 80, 90, 1500, 3000, -1, -2};
    for (size_t i = 0; i < sizeof(PLACES) / sizeof(*PLACES); i++) {
        struct room room = {.fs = NULL};
        char path[256];
        room_open(&room, 1 << 30);
        assert_int_equal(save(&room, &key, 100, 4000), SP_OK);
        find_file(".snap", path);
        if (PLACES[i] == -1) {
            assert_int_equal(truncate(path, 2000), 0);
        } else if (PLACES[i] == -2) {
            assert_int_equal(truncate(path, 40), 0);
        } else {
            flip(path, PLACES[i]);
        }
        struct sp_snapshot found;
        assert_true(sp_snapshots_before(room.snapshots, &key, 100, &found));
        assert_int_equal(load(&room, &key, 100, &bytes), SP_CORRUPT);
        assert_int_equal(room.said, 1);
        assert_non_null(strstr(room.last, "runs."));
        assert_false(sp_snapshots_before(room.snapshots, &key, 100, &found));
        assert_int_not_equal(access(path, F_OK), 0);
        room_close(&room);
    }
    sp_buf_fini(&bytes);
}

/* What a kill leaves half written is removed; files of others are left alone. */
static void leftovers_go(void **state) {
    (void)state;
    struct room room = {.fs = NULL};
    room_open(&room, 1 << 30);
    write_copy(&room, "runs.0101010101010101.00000000000000000100-00000000000000000050.snap.tmp",
               100, 1);
    write_copy(&room, "copy-1-1.tmp", 100, 1);
    write_copy(&room, "README", 100, 1);
    write_copy(&room, "runs.01.snap", 100, 1);
    room_close(&room);
    room_open(&room, 1 << 30);
    uint64_t count;
    uint64_t total;
    sp_snapshots_count(room.snapshots, &count, &total);
    assert_int_equal(count, 0);
    struct sp_buf bytes;
    sp_buf_init(&bytes, SIZE_MAX);
    assert_int_equal(sp_fs_read_all(room.fs, "copy-1-1.tmp", &bytes, NULL), SP_NOT_FOUND);
    assert_int_equal(sp_fs_read_all(room.fs, "README", &bytes, NULL), SP_OK);
    sp_buf_fini(&bytes);
    room_close(&room);
}

static void they_go_with_their_projection(void **state) {
    (void)state;
    struct room room = {.fs = NULL};
    struct sp_snapshot_key old = key_of("runs", 1);
    struct sp_snapshot_key new = key_of("runs", 2);
    struct sp_snapshot_key other = key_of("run", 1);
    struct sp_snapshot found;
    room_open(&room, 1 << 30);
    assert_int_equal(save(&room, &old, 100, 100), SP_OK);
    assert_int_equal(save(&room, &new, 100, 100), SP_OK);
    assert_int_equal(save(&room, &other, 100, 100), SP_OK);
    sp_snapshots_forget(room.snapshots, SP_STR("runs"), new.sha256);
    assert_false(sp_snapshots_before(room.snapshots, &old, 100, &found));
    assert_true(sp_snapshots_before(room.snapshots, &new, 100, &found));
    sp_snapshots_forget(room.snapshots, SP_STR("runs"), NULL);
    assert_false(sp_snapshots_before(room.snapshots, &new, 100, &found));
    assert_true(sp_snapshots_before(room.snapshots, &other, 100, &found));
    room_close(&room);
}

/* A log that was put back from a copy ends earlier: what was kept of its lost events goes. */
static void what_lies_behind_the_log_goes(void **state) {
    (void)state;
    struct room room = {.fs = NULL};
    struct sp_snapshot_key key = key_of("runs", 1);
    struct sp_snapshot found;
    room_open(&room, 1 << 30);
    assert_int_equal(save(&room, &key, 100, 100), SP_OK);
    assert_int_equal(save(&room, &key, 200, 100), SP_OK);
    sp_snapshots_trim(room.snapshots, 150);
    assert_true(sp_snapshots_before(room.snapshots, &key, 1000, &found));
    assert_int_equal(found.position, 100);
    room_close(&room);
    room_open(&room, 1 << 30);
    assert_true(sp_snapshots_before(room.snapshots, &key, 1000, &found));
    assert_int_equal(found.position, 100);
    room_close(&room);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, help_begin, help_end)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_was_saved_is_loaded),
        IN_FOLDER(thinning_keeps_gaps_even),
        IN_FOLDER(the_largest_projection_pays),
        IN_FOLDER(damaged_ones_are_dropped),
        IN_FOLDER(leftovers_go),
        IN_FOLDER(they_go_with_their_projection),
        IN_FOLDER(what_lies_behind_the_log_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
