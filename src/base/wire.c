#include "base/wire.h"

uint64_t sp_wire_varint_long(struct sp_wire *w) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && w->at < w->end; shift += 7) {
        uint8_t byte = *w->at++;
        if (shift == 63 && byte > 1) {
            break; /* more than 64 bits */
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (byte == 0 && shift > 0) {
                break; /* overlong: one value has one encoding, as hashes depend on it */
            }
            return value;
        }
    }
    w->bad = true;
    w->at = w->end;
    return 0;
}
