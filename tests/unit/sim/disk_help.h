/*
 * Shorthand for tests over the simulated disk: each call must succeed unless its name says
 * otherwise.
 */
#ifndef TESTS_UNIT_SIM_DISK_HELP_H
#define TESTS_UNIT_SIM_DISK_HELP_H

#include "sim/disk.h"

enum { BLOCK = SP_FS_BLOCK_BYTES };

struct sim_disk *disk_of_seed(uint64_t seed);

struct sp_file *open_file(struct sp_fs *fs, const char *path, unsigned flags);

/* Writes text at an offset, not durably. */
void put(struct sp_file *file, const char *text, uint64_t offset);

/* Writes one block of equal bytes, durably or not. */
sp_status try_fill(struct sp_file *file, uint8_t fill, uint64_t block, bool durable);
void fill_durable(struct sp_file *file, uint8_t fill, uint64_t block);

/* The byte at an offset; -1 beyond the end, -2 where the read fails. */
int byte_at(struct sp_file *file, uint64_t offset);

/* Makes a file with this content, durable with its name; its folder is there. */
void make_durable(struct sp_fs *fs, const char *path, const char *text);

bool exists(struct sp_fs *fs, const char *path);

/* True where the file is there and has this content. */
bool has_content(struct sp_fs *fs, const char *path, const char *text);

#endif
