#include "folder.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char help_folder[64];

int help_begin(void **state) {
    (void)state;
    (void)snprintf(help_folder, sizeof(help_folder), "%s/spoor-engine-XXXXXX", P_tmpdir);
    return mkdtemp(help_folder) == NULL;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place) {
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

int help_end(void **state) {
    (void)state;
    return nftw(help_folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

uint64_t help_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t help_below(uint64_t *state, uint32_t bound) {
    return (uint32_t)(((help_random(state) >> 32) * bound) >> 32);
}
