#include "log/snapshot.h"

#include <stdio.h>

#include "base/wire.h"
#include "record/stamp.h"

static const char snapshot_magic[8] = {'s', 'p', 'o', 'o', 'r', 'S', 'N', 'P'};

enum {
    AT_UUID = SP_STAMP_BYTES,
    AT_POSITION = 40,
    AT_BYTES = 48, /* from 56 on unused */
    NAME_DIGITS = 16,
};

void sp_snapshot_path(uint64_t position, char path[SP_SNAPSHOT_PATH_BYTES]) {
    (void)snprintf(path, SP_SNAPSHOT_PATH_BYTES, SP_SNAPSHOT_FOLDER "/%016llx.snap",
                   (unsigned long long)position);
}

bool sp_snapshot_of_name(sp_str name, uint64_t *ret_position) {
    uint64_t position = 0;
    if (name.len != NAME_DIGITS + 5 || !sp_str_ends_with(name, SP_STR(".snap"))) {
        return false;
    }
    for (size_t i = 0; i < NAME_DIGITS; i++) {
        char c = name.ptr[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit == 16) {
            return false;
        }
        position = position << 4 | digit;
    }
    *ret_position = position;
    return true;
}

void sp_snapshot_encode(const uint8_t uuid[16], uint64_t position, sp_str state,
                        struct sp_buf *to) {
    uint8_t *at = sp_buf_reserve(to, SP_SNAPSHOT_HEADER_BYTES + state.len);
    if (at == NULL) {
        return;
    }
    memset(at, 0, SP_SNAPSHOT_HEADER_BYTES);
    memcpy(at + AT_UUID, uuid, 16);
    sp_put_u64(at + AT_POSITION, position);
    sp_put_u64(at + AT_BYTES, state.len);
    if (state.len > 0) {
        memcpy(at + SP_SNAPSHOT_HEADER_BYTES, state.ptr, state.len);
    }
    (void)sp_stamp_put(at, SP_SNAPSHOT_HEADER_BYTES + state.len, snapshot_magic);
    sp_buf_advance(to, SP_SNAPSHOT_HEADER_BYTES + state.len);
}

sp_status sp_snapshot_decode(sp_str file, const uint8_t uuid[16], uint64_t position,
                             sp_str *ret_state) {
    sp_status status = sp_stamp_check(file, snapshot_magic);
    if (status != SP_OK) {
        return status;
    }
    if (file.len < SP_SNAPSHOT_HEADER_BYTES || memcmp(file.ptr + AT_UUID, uuid, 16) != 0 ||
        sp_get_u64(file.ptr + AT_POSITION) != position ||
        sp_get_u64(file.ptr + AT_BYTES) != file.len - SP_SNAPSHOT_HEADER_BYTES) {
        return SP_CORRUPT;
    }
    *ret_state = sp_str_from_byte(file, SP_SNAPSHOT_HEADER_BYTES);
    return SP_OK;
}
