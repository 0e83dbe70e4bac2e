#define XXH_STATIC_LINKING_ONLY /* the size of the hash's state */
#include "record/stamp.h"

#include "base/hash.h"
#include "base/wire.h"

/* Over all of it, the check's own eight bytes taken as zero. */
static uint64_t check_of(const void *bytes, size_t len) {
    static const uint8_t zero[8] = {0};
    const uint8_t *at = bytes;
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    (void)XXH3_64bits_reset(&state);
    (void)XXH3_64bits_update(&state, at, SP_STAMP_AT_CHECK);
    (void)XXH3_64bits_update(&state, zero, sizeof(zero));
    (void)XXH3_64bits_update(&state, at + SP_STAMP_BYTES, len - SP_STAMP_BYTES);
    return XXH3_64bits_digest(&state);
}

uint64_t sp_stamp_put(uint8_t *bytes, size_t len, const char magic[8]) {
    sp_require(len >= SP_STAMP_BYTES);
    memcpy(bytes, magic, 8);
    sp_put_u32(bytes + SP_STAMP_AT_VERSION, SP_FORMAT_VERSION);
    sp_put_u32(bytes + SP_STAMP_AT_FEATURES, 0);
    uint64_t check = check_of(bytes, len);
    sp_put_u64(bytes + SP_STAMP_AT_CHECK, check);
    return check;
}

sp_status sp_stamp_check(sp_str bytes, const char magic[8]) {
    if (bytes.len < SP_STAMP_BYTES || memcmp(bytes.ptr, magic, 8) != 0 ||
        sp_get_u64(bytes.ptr + SP_STAMP_AT_CHECK) != check_of(bytes.ptr, bytes.len)) {
        return SP_CORRUPT;
    }
    bool known =
        sp_get_u32(bytes.ptr + SP_STAMP_AT_VERSION) == SP_FORMAT_VERSION &&
        (sp_get_u32(bytes.ptr + SP_STAMP_AT_FEATURES) & ~(uint32_t)SP_FORMAT_FEATURES) == 0;
    return known ? SP_OK : SP_UNSUPPORTED;
}
