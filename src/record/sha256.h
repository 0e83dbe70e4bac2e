/*
 * SHA-256 of many short messages. pure
 *
 * A message's rounds wait for one another, so a processor with instructions for them is idle half
 * of the time: two messages side by side cost hardly more than one, 19 ns instead of 31 ns a block
 * of 64 bytes. The two need not be of one length. Without such instructions, and on other
 * processors, libcrypto takes the messages one after another.
 */
#ifndef SP_RECORD_SHA256_H
#define SP_RECORD_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SP_SHA256_BYTES = 32, SP_SHA256_BLOCK_BYTES = 64 };

/* A message that was padded to whole blocks. Borrowed. */
struct sp_sha256_message {
    const uint8_t *blocks;
    size_t block_count;
    uint8_t *hash; /* SP_SHA256_BYTES, to be written */
};

/* Blocks that a message takes with its padding. */
static inline size_t sp_sha256_blocks(size_t len) {
    return (len + 9 + SP_SHA256_BLOCK_BYTES - 1) / SP_SHA256_BLOCK_BYTES;
}

/*
 * Writes the padding behind the `len` bytes that lie in `blocks`, which has room for it, and
 * returns the number of blocks.
 */
size_t sp_sha256_pad(uint8_t *blocks, size_t len);

/*
 * Whether the processor has what it takes to hash two at a time. About a microsecond in a virtual
 * machine: ask once.
 */
bool sp_sha256_can_pair(void);

/* Hashes the messages; `pair` is what sp_sha256_can_pair said, or false. */
void sp_sha256_all(const struct sp_sha256_message *messages, size_t count, bool pair);

/* SHA-256 of a salt and a run of bytes of any length, through libcrypto. */
void sp_sha256_salted(const void *salt, size_t salt_len, const void *bytes, size_t len,
                      uint8_t ret_hash[SP_SHA256_BYTES]);

#endif
