/*
 * A forger's tools: changes a sealed file and computes every checksum of it again.
 */
#ifndef TESTS_UNIT_LOG_FORGE_H
#define TESTS_UNIT_LOG_FORGE_H

#include "log/sealed.h"
#include "memory_fs.h"

struct forgery {
    struct memory_fs *fs;
    uint64_t id;
    uint64_t position;   /* the event whose data gets another byte; 0: none */
    uint64_t swap_with;  /* an event that changes places with `position`; 0: none */
    uint64_t leave_out;  /* an event that is left out; the following ones move up; 0: none */
    bool tags;           /* compute the tags anew */
    bool tiles_and_tree; /* and the tiles, and the tree at the end */
    bool manifest;       /* have the manifest name the forged file */
};

/*
 * Writes the sealed file anew, its frames stored and not compressed, with all checksums in order.
 */
void forge_sealed(const struct forgery *forgery);

/* Has the manifest name what the sealed file of this segment is now. */
void forge_manifest(struct memory_fs *fs, uint64_t id);

#endif
