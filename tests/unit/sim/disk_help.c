#include "disk_help.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/buf.h"

struct sim_disk *disk_of_seed(uint64_t seed) {
    return sim_disk_new(&(struct sim_disk_options){.seed = seed});
}

struct sp_file *open_file(struct sp_fs *fs, const char *path, unsigned flags) {
    struct sp_file *file = NULL;
    assert_int_equal(fs->ops->open(fs, path, flags, &file, NULL), SP_OK);
    return file;
}

void put(struct sp_file *file, const char *text, uint64_t offset) {
    assert_int_equal(file->fs->ops->write(file, text, strlen(text), offset, NULL), SP_OK);
}

sp_status try_fill(struct sp_file *file, uint8_t fill, uint64_t block, bool durable) {
    uint8_t *bytes = aligned_alloc(BLOCK, BLOCK);
    assert_non_null(bytes);
    memset(bytes, fill, BLOCK);
    const struct sp_fs_ops *ops = file->fs->ops;
    sp_status status = durable ? ops->write_durable(file, bytes, BLOCK, block * BLOCK, NULL)
                               : ops->write(file, bytes, BLOCK, block * BLOCK, NULL);
    free(bytes);
    return status;
}

void fill_durable(struct sp_file *file, uint8_t fill, uint64_t block) {
    assert_int_equal(try_fill(file, fill, block, true), SP_OK);
}

int byte_at(struct sp_file *file, uint64_t offset) {
    uint8_t byte = 0;
    size_t len = 0;
    if (file->fs->ops->read(file, &byte, 1, offset, &len, NULL) != SP_OK) {
        return -2;
    }
    return len == 1 ? byte : -1;
}

void make_durable(struct sp_fs *fs, const char *path, const char *text) {
    assert_int_equal(sp_fs_replace(fs, path, sp_str_from(text), NULL), SP_OK);
}

bool exists(struct sp_fs *fs, const char *path) {
    struct sp_file *file = NULL;
    sp_status status = fs->ops->open(fs, path, SP_FS_READ, &file, NULL);
    assert_true(status == SP_OK || status == SP_NOT_FOUND);
    fs->ops->close(file);
    return status == SP_OK;
}

bool has_content(struct sp_fs *fs, const char *path, const char *text) {
    struct sp_buf content;
    sp_buf_init(&content, 1 << 20);
    bool same = sp_fs_read_all(fs, path, &content, NULL) == SP_OK &&
                sp_str_eq(sp_buf_str(&content), sp_str_from(text));
    sp_buf_fini(&content);
    return same;
}
