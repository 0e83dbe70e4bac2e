#include "base/utf8.h"

#include "base/scan.h"

bool sp_utf8_valid(sp_str text) {
    if (text.len == 0) {
        return true;
    }
    sp_require(text.ptr != NULL);
    const char *at = text.ptr;
    const char *end = text.ptr + text.len;
    while ((at = sp_scan_ascii(at, end)) < end) {
        /* Foreign letters come in runs: stay here until the next ASCII byte. */
        do {
            uint32_t code = 0;
            size_t length = sp_utf8_decode(at, end, &code);
            if (length == 0) {
                return false;
            }
            at += length;
        } while (at < end && (uint8_t)*at >= 0x80);
    }
    sp_ensure(at == end);
    return true;
}

size_t sp_utf8_encode(uint32_t code, char to[SP_UTF8_SEQUENCE_MAX]) {
    sp_require(code <= 0x10ffff && (code & 0xfffff800) != 0xd800);
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (char)(0xc0 | code >> 6);
        to[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (char)(0xe0 | code >> 12);
        to[1] = (char)(0x80 | (code >> 6 & 0x3f));
        to[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | code >> 18);
    to[1] = (char)(0x80 | (code >> 12 & 0x3f));
    to[2] = (char)(0x80 | (code >> 6 & 0x3f));
    to[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

bool sp_utf8_is_space(uint32_t code) {
    if (code <= 0x20) {
        return code == 0x20 || (code >= 0x09 && code <= 0x0d);
    }
    return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
           code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}
