#include "base/json_escape.h"
#include "base/time.h"

/* Where the sixteen bytes' digits begin in the canonical text; the gaps hold the hyphens. */
static const uint8_t PLACES[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

/* Every byte as two lower-case digits. */
static const char PAIRS[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
                            "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
                            "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
                            "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
                            "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
                            "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
                            "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
                            "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

bool sp_uuid_pack(sp_str text, uint8_t bytes[16]) {
    if (text.len != SP_UUID_TEXT_SIZE || text.ptr[8] != '-' || text.ptr[13] != '-' ||
        text.ptr[18] != '-' || text.ptr[23] != '-') {
        return false;
    }
    sp_invariant(PLACES[15] + 2 == SP_UUID_TEXT_SIZE);
    uint8_t packed[16];
    uint32_t bad = 0;
    for (size_t i = 0; i < 16; i++) {
        uint8_t high = (uint8_t)text.ptr[PLACES[i]];
        uint8_t low = (uint8_t)text.ptr[PLACES[i] + 1];
        /* Of a byte that is no digit the table says 0: one less sets all bits above the value. */
        uint32_t value = (sp_json_hex[high] - 1u) << 4 | (sp_json_hex[low] - 1u);
        /* Of all digits only upper-case letters lie from 0x40 to 0x5f. */
        bad |= (value >> 8) | ((high & 0x60u) == 0x40u) | ((low & 0x60u) == 0x40u);
        packed[i] = (uint8_t)value;
    }
    if (bad != 0) {
        return false;
    }
    memcpy(bytes, packed, sizeof(packed));
    return true;
}

void sp_uuid_format(const uint8_t bytes[16], char text[SP_UUID_TEXT_SIZE]) {
    for (size_t i = 0; i < 16; i++) {
        memcpy(text + PLACES[i], PAIRS + (size_t)bytes[i] * 2, 2);
    }
    text[8] = '-';
    text[13] = '-';
    text[18] = '-';
    text[23] = '-';
}
