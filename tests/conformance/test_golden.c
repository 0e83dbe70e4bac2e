/*
 * The stored format never changes: a log of format 1 that is kept in tests/golden is read and
 * verified, and what is written today is compared with it. SPOOR_GOLDEN_WRITE=1 writes the files
 * anew.
 */
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

#include "golden_writer.h"
#include "log/manifest.h"
#include "log/raw.h"
#include "log/sealed.h"
#include "log/verify.h"

#define GOLDEN "tests/golden/format-1"
#define EVENTS "events.txt" /* position and hash of each event, and at last size and root */

struct world {
    char written[64]; /* a folder with what is written today */
    char kept[64];    /* a copy of the golden one */
    struct sp_fs *written_fs;
    struct sp_fs *kept_fs;
    struct sp_fs *golden; /* the files themselves */
    uint64_t events;
};

/* ---- files ---- */

static void read_file(struct sp_fs *fs, const char *path, struct sp_buf *to) {
    struct sp_error error;
    sp_buf_init(to, SIZE_MAX / 2);
    sp_status status = sp_fs_read_all(fs, path, to, &error);
    if (status != SP_OK) {
        fail_msg("%s: %s", path, error.text);
    }
}

static void write_file(struct sp_fs *fs, const char *path, sp_str content) {
    struct sp_error error;
    if (sp_fs_replace(fs, path, content, &error) != SP_OK) {
        fail_msg("%s: %s", path, error.text);
    }
}

/* Collects "wal/00000001.seg" and so on, in order. */
struct names {
    char paths[32][64];
    size_t count;
    const char *folder;
};

static bool collect(void *context, sp_str name) {
    struct names *names = context;
    assert_true(names->count < 32);
    (void)snprintf(names->paths[names->count++], sizeof(names->paths[0]), "%s/%.*s", names->folder,
                   SP_STR_ARG(name));
    return true;
}

static int by_path(const void *a, const void *b) {
    return strcmp(a, b);
}

static void list(struct sp_fs *fs, struct names *names) {
    static const char *const folders[] = {"seg", "snap", "wal"};
    *names = (struct names){.count = 0};
    for (size_t i = 0; i < 3; i++) {
        names->folder = folders[i];
        assert_int_equal(fs->ops->list(fs, folders[i], collect, names, NULL), SP_OK);
    }
    (void)snprintf(names->paths[names->count++], sizeof(names->paths[0]), "MANIFEST");
    (void)snprintf(names->paths[names->count++], sizeof(names->paths[0]), "checkpoint");
    qsort(names->paths, names->count, sizeof(names->paths[0]), by_path);
}

/* A raw file is kept without the zeros at its end; a spare, all zeros, not at all. */
static sp_str trimmed(const char *path, const struct sp_buf *content) {
    sp_str bytes = sp_buf_str(content);
    while (strncmp(path, "wal/", 4) == 0 && bytes.len > 0 && bytes.ptr[bytes.len - 1] == 0) {
        bytes.len--;
    }
    return bytes;
}

static void copy_files(struct sp_fs *from, struct sp_fs *to, bool pad) {
    struct names names;
    list(from, &names);
    for (size_t i = 0; i < names.count; i++) {
        struct sp_buf content;
        read_file(from, names.paths[i], &content);
        sp_str kept = trimmed(names.paths[i], &content);
        struct sp_raw_header header;
        if (pad && strncmp(names.paths[i], "wal/", 4) == 0) {
            assert_int_equal(sp_raw_header_decode(sp_buf_str(&content), &header), SP_OK);
            size_t zeros = (size_t)header.segment_bytes - content.len;
            memset(sp_buf_reserve(&content, zeros), 0, zeros);
            sp_buf_advance(&content, zeros);
            kept = sp_buf_str(&content);
        }
        if (kept.len > 0) {
            write_file(to, names.paths[i], kept);
        }
        sp_buf_fini(&content);
    }
}

static struct sp_fs *open_folder(const char *path, bool read_only) {
    struct sp_fs *fs = NULL;
    assert_int_equal(sp_fs_posix_open(path, true, read_only, &fs, NULL), SP_OK);
    return fs;
}

static struct sp_fs *make_folder(char *path) {
    (void)snprintf(path, 64, "%s/spoor-golden-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(path));
    struct sp_fs *fs = open_folder(path, false);
    assert_int_equal(fs->ops->mkdir(fs, "seg", NULL), SP_OK);
    assert_int_equal(fs->ops->mkdir(fs, "wal", NULL), SP_OK);
    assert_int_equal(fs->ops->mkdir(fs, "snap", NULL), SP_OK);
    return fs;
}

static void remove_folder(struct sp_fs *fs, const char *path) {
    struct names names;
    list(fs, &names);
    for (size_t i = 0; i < names.count; i++) {
        (void)fs->ops->unlink(fs, names.paths[i], NULL);
    }
    (void)fs->ops->unlink(fs, "LOCK", NULL);
    fs->ops->destroy(fs);
    static const char *const folders[] = {"seg", "snap", "wal", ""};
    for (size_t i = 0; i < 4; i++) {
        char name[128];
        (void)snprintf(name, sizeof(name), "%s/%s", path, folders[i]);
        (void)rmdir(name);
    }
}

/* ---- the listing of events ---- */

/* All events of an open log and their hashes, as text; compares each with the writer's. */
static void describe(struct sp_log *log, struct sp_buf *to) {
    struct sp_log_reader *reader = NULL;
    struct sp_log_chunk chunk;
    uint64_t position = 0;
    assert_int_equal(log->ops->reader_new(log, &reader, NULL), SP_OK);
    while (reader->ops->next(reader, &chunk, NULL) == SP_OK) {
        struct sp_block_walk walk = sp_block_walk_of(chunk.body, chunk.first_position);
        struct sp_record record;
        while (sp_block_walk_next(&walk, &record) == SP_OK) {
            if (record.kind != SP_RECORD_EVENT) {
                continue;
            }
            uint8_t hash[SP_HASH_BYTES];
            char line[128];
            assert_int_equal(record.position, ++position);
            assert_int_equal(log->ops->leaf(log, &record, hash, NULL), SP_OK);
            int len = snprintf(line, sizeof(line), "%llu ", (unsigned long long)position);
            sp_hash_hex(hash, line + len);
            line[len + SP_HASH_HEX_BYTES] = '\n';
            sp_buf_add(to, line, (size_t)len + SP_HASH_HEX_BYTES + 1);
        }
    }
    reader->ops->free(reader);
    struct sp_log_tree tree;
    assert_int_equal(log->ops->tree(log, true, &tree, NULL), SP_OK);
    char line[128];
    int len = snprintf(line, sizeof(line), "root %llu ", (unsigned long long)tree.size);
    sp_hash_hex(tree.root, line + len);
    line[len + SP_HASH_HEX_BYTES] = '\n';
    sp_buf_add(to, line, (size_t)len + SP_HASH_HEX_BYTES + 1);
}

/* ---- set-up ---- */

static void golden_path(char path[1024]) {
    const char *source = getenv("SPOOR_SOURCE");
    (void)snprintf(path, 1024, "%s/%s", source != NULL ? source : ".", GOLDEN);
}

/* Puts what was written today in the place of the golden files. */
static void write_golden(struct world *world) {
    char path[1024];
    struct golden_world log = {.log = NULL};
    struct sp_buf text;
    golden_path(path);
    struct sp_fs *to = open_folder(path, false);
    sp_buf_init(&text, 1 << 20);
    (void)to->ops->mkdir(to, "seg", NULL);
    (void)to->ops->mkdir(to, "wal", NULL);
    (void)to->ops->mkdir(to, "snap", NULL);
    copy_files(world->written_fs, to, false);
    golden_open(&log, world->written_fs);
    describe(log.log, &text);
    log.log->ops->close(log.log);
    write_file(to, EVENTS, sp_buf_str(&text));
    sp_buf_fini(&text);
    to->ops->destroy(to);
}

/* Writes the log once, for all tests. */
static int write_all(void **state) {
    struct world *world = calloc(1, sizeof(*world));
    world->written_fs = make_folder(world->written);
    world->events = golden_write(world->written_fs);
    if (getenv("SPOOR_GOLDEN_WRITE") != NULL) {
        write_golden(world);
    }
    *state = world;
    return 0;
}

static int remove_all(void **state) {
    struct world *world = *state;
    remove_folder(world->written_fs, world->written);
    free(world);
    return 0;
}

static int set_up(void **state) {
    struct world *world = *state;
    char path[1024];
    golden_path(path);
    world->golden = open_folder(path, true);
    world->kept_fs = make_folder(world->kept);
    copy_files(world->golden, world->kept_fs, true);
    return 0;
}

static int tear_down(void **state) {
    struct world *world = *state;
    world->golden->ops->destroy(world->golden);
    remove_folder(world->kept_fs, world->kept);
    return 0;
}

/* ---- reading ---- */

static bool print_finding(void *context, const struct sp_verify_finding *finding) {
    (void)context;
    (void)fprintf(stderr, "%s: %s\n", finding->file != NULL ? finding->file : "-", finding->text);
    return true;
}

static void test_verifies(void **state) {
    struct world *world = *state;
    struct sp_verify_options options = {.fs = world->kept_fs, .finding = print_finding};
    struct sp_verify_result result;
    assert_int_equal(sp_verify_log(&options, &result, NULL), SP_OK);
    assert_int_equal(result.finding_count, 0);
    assert_int_equal(result.notice_count, 0);
    assert_int_equal(result.last_position, world->events);
    assert_int_equal(result.segments_sealed, 2);
    assert_int_equal(result.segments_raw, 1);
    assert_true(result.tree_whole);
}

static void test_hashes_and_root(void **state) {
    struct world *world = *state;
    struct golden_world log = {.log = NULL};
    struct sp_buf expected;
    struct sp_buf found;
    read_file(world->golden, EVENTS, &expected);
    sp_buf_init(&found, 1 << 20);
    golden_open(&log, world->kept_fs);
    describe(log.log, &found);
    log.log->ops->close(log.log);
    assert_int_equal(found.len, expected.len);
    assert_memory_equal(found.data, expected.data, found.len);
    sp_buf_fini(&expected);
    sp_buf_fini(&found);
}

static void compare_event(const struct sp_event *a, const struct sp_event *b) {
    assert_int_equal(a->position, b->position);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->recorded_us, b->recorded_us);
    assert_int_equal(a->entry_seq, b->entry_seq);
    assert_int_equal(a->has_data, b->has_data);
    assert_int_equal(a->data_is_json, b->data_is_json);
    assert_true(sp_str_eq(a->data, b->data));
    for (int i = 0; i < SP_ATTR_COUNT; i++) {
        assert_true((a->attr[i].ptr == NULL) == (b->attr[i].ptr == NULL));
        assert_true(sp_str_eq(a->attr[i], b->attr[i]));
    }
    assert_int_equal(a->extension_count, b->extension_count);
    for (unsigned i = 0; i < a->extension_count; i++) {
        assert_int_equal(a->extensions[i].kind, b->extensions[i].kind);
        assert_true(sp_str_eq(a->extensions[i].name, b->extensions[i].name));
        assert_true(sp_str_eq(a->extensions[i].value, b->extensions[i].value));
    }
}

static void test_events_come_back(void **state) {
    struct world *world = *state;
    struct golden_world log = {.log = NULL};
    struct sp_log_reader *reader = NULL;
    golden_open(&log, world->kept_fs);
    assert_int_equal(log.log->ops->reader_new(log.log, &reader, NULL), SP_OK);
    for (uint64_t position = 1; position <= world->events; position++) {
        struct sp_log_chunk chunk;
        struct sp_record record;
        assert_int_equal(reader->ops->seek(reader, position, &chunk, NULL), SP_OK);
        struct sp_block_walk walk = sp_block_walk_of(chunk.body, chunk.first_position);
        do {
            assert_int_equal(sp_block_walk_next(&walk, &record), SP_OK);
        } while (record.kind != SP_RECORD_EVENT || record.position != position);
        struct golden_event expected;
        struct sp_event event;
        char scratch[SP_RECORD_SCRATCH_BYTES];
        golden_event(position, &expected);
        assert_int_equal(sp_record_decode(&record, scratch, &event), SP_OK);
        compare_event(&event, &expected.event);
    }
    reader->ops->free(reader);
    log.log->ops->close(log.log);
}

static void test_snapshot_comes_back(void **state) {
    struct world *world = *state;
    struct golden_world log = {.log = NULL};
    struct sp_buf bytes;
    uint64_t position = 0;
    sp_buf_init(&bytes, 1 << 20);
    golden_open(&log, world->kept_fs);
    assert_int_equal(log.log->ops->snapshot_load(log.log, &bytes, &position, NULL), SP_OK);
    assert_int_equal(position, world->events);
    assert_true(sp_str_eq(sp_buf_str(&bytes), SP_STR("the state of whoever owns the log")));
    log.log->ops->close(log.log);
    sp_buf_fini(&bytes);
}

/* Today's program goes on with the old log. */
static void test_can_be_continued(void **state) {
    struct world *world = *state;
    struct golden_world log = {.log = NULL};
    golden_open(&log, world->kept_fs);
    golden_append(&log, 3, 1);
    log.log->ops->close(log.log);
    struct sp_verify_options options = {.fs = world->kept_fs, .finding = print_finding};
    struct sp_verify_result result;
    assert_int_equal(sp_verify_log(&options, &result, NULL), SP_OK);
    assert_int_equal(result.finding_count, 0);
    assert_int_equal(result.last_position, world->events + 3);
}

/* ---- writing ---- */

/* What is not compressed is written today as it was then, byte for byte. */
static void test_same_bytes(void **state) {
    struct world *world = *state;
    struct names kept;
    unsigned compared = 0;
    list(world->golden, &kept);
    for (size_t i = 0; i < kept.count; i++) {
        const char *path = kept.paths[i];
        if (strncmp(path, "seg/", 4) == 0 || strcmp(path, "MANIFEST") == 0) {
            continue; /* the manifest has the sizes of the compressed files */
        }
        struct sp_buf then;
        struct sp_buf now;
        read_file(world->golden, path, &then);
        read_file(world->written_fs, path, &now);
        sp_str bytes = trimmed(path, &now);
        assert_int_equal(bytes.len, then.len);
        assert_memory_equal(bytes.ptr, then.data, then.len);
        sp_buf_fini(&then);
        sp_buf_fini(&now);
        compared++;
    }
    assert_int_equal(compared, 3);
}

static void test_same_manifest(void **state) {
    struct world *world = *state;
    struct sp_manifest then;
    struct sp_manifest now;
    assert_int_equal(sp_manifest_load(world->golden, &then, NULL), SP_OK);
    assert_int_equal(sp_manifest_load(world->written_fs, &now, NULL), SP_OK);
    assert_int_equal(now.segment_count, then.segment_count);
    for (uint32_t i = 0; i < now.segment_count; i++) {
        now.segments[i].file_bytes = then.segments[i].file_bytes;
        now.segments[i].footer_check = then.segments[i].footer_check;
    }
    struct sp_buf bytes;
    struct sp_buf kept;
    sp_buf_init(&bytes, 1 << 20);
    sp_manifest_encode(&now, &bytes);
    read_file(world->golden, "MANIFEST", &kept);
    assert_int_equal(bytes.len, kept.len);
    assert_memory_equal(bytes.data, kept.data, kept.len);
    sp_buf_fini(&bytes);
    sp_buf_fini(&kept);
    sp_manifest_fini(&then);
    sp_manifest_fini(&now);
}

static void compare_sections(struct sp_log_sealed *then, struct sp_log_sealed *now) {
    static const enum sp_sealed_section sections[] = {SP_SECTION_TAGS, SP_SECTION_TILES,
                                                      SP_SECTION_TREE, SP_SECTION_INDEX};
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        struct sp_buf a;
        struct sp_buf b;
        sp_buf_init(&a, 1 << 20);
        sp_buf_init(&b, 1 << 20);
        assert_int_equal(sp_log_sealed_section_all(then, sections[i], &a, NULL), SP_OK);
        assert_int_equal(sp_log_sealed_section_all(now, sections[i], &b, NULL), SP_OK);
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.data, b.data, a.len);
        sp_buf_fini(&a);
        sp_buf_fini(&b);
    }
}

static void compare_frames(struct sp_log_sealed *then, struct sp_log_sealed *now) {
    struct sp_sealed_scratch *a = sp_sealed_scratch_new();
    struct sp_sealed_scratch *b = sp_sealed_scratch_new();
    uint32_t count = sp_log_sealed_footer(then)->frame_count;
    assert_true(count > 0 && count == sp_log_sealed_footer(now)->frame_count);
    for (uint32_t i = 0; i < count; i++) {
        sp_str rows_then;
        sp_str rows_now;
        assert_int_equal(sp_log_sealed_read(then, i, a, &rows_then, NULL), SP_OK);
        assert_int_equal(sp_log_sealed_read(now, i, b, &rows_now, NULL), SP_OK);
        assert_true(sp_str_eq(rows_then, rows_now));
    }
    sp_sealed_scratch_free(a);
    sp_sealed_scratch_free(b);
}

/* Compressed bytes may differ from one version of zstd to the next; what they hold may not. */
static void test_same_sealed_content(void **state) {
    struct world *world = *state;
    for (uint64_t id = 1; id <= 2; id++) {
        struct sp_log_sealed *then = NULL;
        struct sp_log_sealed *now = NULL;
        assert_int_equal(sp_log_sealed_open(world->golden, id, &then, NULL), SP_OK);
        assert_int_equal(sp_log_sealed_open(world->written_fs, id, &now, NULL), SP_OK);
        const struct sp_sealed_footer *a = sp_log_sealed_footer(then);
        const struct sp_sealed_footer *b = sp_log_sealed_footer(now);
        assert_memory_equal(a->uuid, b->uuid, 16);
        assert_memory_equal(a->salt_key, b->salt_key, SP_HASH_BYTES);
        assert_int_equal(a->first_position, b->first_position);
        assert_int_equal(a->last_position, b->last_position);
        assert_int_equal(a->last_block, b->last_block);
        assert_int_equal(a->prev_check, b->prev_check);
        assert_int_equal(a->last_check, b->last_check);
        assert_int_equal(a->first_recorded_us, b->first_recorded_us);
        assert_int_equal(a->last_recorded_us, b->last_recorded_us);
        assert_int_equal(a->record_count, b->record_count);
        assert_int_equal(a->tile_count, b->tile_count);
        assert_true(a->sections[SP_SECTION_DICTIONARY].bytes > 0);
        compare_sections(then, now);
        compare_frames(then, now);
        sp_log_sealed_unref(then);
        sp_log_sealed_unref(now);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        CASE(test_verifies),         CASE(test_hashes_and_root),
        CASE(test_events_come_back), CASE(test_snapshot_comes_back),
        CASE(test_can_be_continued), CASE(test_same_bytes),
        CASE(test_same_manifest),    CASE(test_same_sealed_content),
    };
    return cmocka_run_group_tests(tests, write_all, remove_all);
}
