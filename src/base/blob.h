/*
 * A reference-counted, immutable run of bytes. any-thread
 *
 * Made with one reference and filled by its maker; from the moment it is shared nobody writes it.
 * The count is atomic: a block of the log is held by the writer, the Merkle worker and readers at
 * once.
 */
#ifndef SP_BASE_BLOB_H
#define SP_BASE_BLOB_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct sp_blob {
    _Atomic uint32_t refs;
    size_t len;      /* bytes in use */
    size_t capacity; /* bytes allocated behind `data` */
    uint8_t *data;   /* aligned as asked for */
};

/*
 * Allocates room for `capacity` bytes aligned to `alignment` (a power of two, at least 16); len is
 * 0. NULL where memory is out.
 */
struct sp_blob *sp_blob_new(size_t capacity, size_t alignment);

/* Takes one more reference; returns its argument. */
struct sp_blob *sp_blob_ref(struct sp_blob *blob);

/* Gives a reference back; the last one frees. NULL is fine. */
void sp_blob_unref(struct sp_blob *blob);

#endif
