#include "match/cidr.h"

#include "base/json_escape.h"

enum { IPV4_BYTES = 4, IPV6_BYTES = 16, IPV6_GROUPS = 8 };

/* Reads a decimal number up to `max` without leading zeros from the start of *rest. */
static bool take_decimal(sp_str *rest, uint32_t max, uint32_t *ret_value) {
    sp_require(max < 1000);
    uint32_t value = 0;
    size_t len = 0;
    for (; len < rest->len && len < 4; len++) {
        uint8_t digit = (uint8_t)(rest->ptr[len] - '0');
        if (digit > 9) {
            break;
        }
        value = value * 10 + digit;
    }
    if (len == 0 || value > max || (len > 1 && rest->ptr[0] == '0')) {
        return false;
    }
    *rest = sp_str_from_byte(*rest, len);
    *ret_value = value;
    sp_ensure(value <= max && len <= 3);
    return true;
}

static bool parse_ipv4(sp_str text, uint8_t *bytes) {
    for (int i = 0; i < IPV4_BYTES; i++) {
        uint32_t value = 0;
        if (i > 0) {
            if (text.len == 0 || text.ptr[0] != '.') {
                return false;
            }
            text = sp_str_from_byte(text, 1);
        }
        if (!take_decimal(&text, 255, &value)) {
            return false;
        }
        bytes[i] = (uint8_t)value;
    }
    return text.len == 0;
}

/* Reads one to four hexadecimal digits. */
static bool take_group(sp_str *rest, uint32_t *ret_value) {
    uint32_t value = 0;
    size_t len = 0;
    for (; len < rest->len && sp_json_hex[(uint8_t)rest->ptr[len]] != 0; len++) {
        if (len == 4) {
            return false;
        }
        value = value << 4 | (sp_json_hex[(uint8_t)rest->ptr[len]] - 1u);
    }
    *rest = sp_str_from_byte(*rest, len);
    *ret_value = value;
    sp_ensure(value <= 0xffff);
    return len > 0;
}

/*
 * Reads groups joined by colons, up to the end of the text or to `::`, which is left. An IPv4 tail
 * counts as two groups. Returns their number, -1 where there is something else.
 */
static int take_groups(sp_str *rest, uint8_t bytes[IPV6_BYTES]) {
    int count = 0;
    while (rest->len > 0 && !sp_str_starts_with(*rest, SP_STR("::"))) {
        if (count > 0) {
            if (rest->ptr[0] != ':') {
                return -1;
            }
            *rest = sp_str_from_byte(*rest, 1);
        }
        if (count <= IPV6_GROUPS - 2 && parse_ipv4(*rest, bytes + 2 * count)) {
            *rest = sp_str_from_byte(*rest, rest->len);
            return count + 2;
        }
        uint32_t value = 0;
        if (count == IPV6_GROUPS || !take_group(rest, &value)) {
            return -1;
        }
        bytes[2 * count] = (uint8_t)(value >> 8);
        bytes[2 * count + 1] = (uint8_t)value;
        count++;
    }
    sp_ensure(count <= IPV6_GROUPS);
    return count;
}

static bool parse_ipv6(sp_str text, uint8_t bytes[IPV6_BYTES]) {
    uint8_t tail[IPV6_BYTES] = {0};
    memset(bytes, 0, IPV6_BYTES);
    int head_count = take_groups(&text, bytes);
    if (head_count < 0 || text.len == 0) {
        return head_count == IPV6_GROUPS;
    }
    sp_invariant(sp_str_starts_with(text, SP_STR("::")));
    text = sp_str_from_byte(text, 2);
    int tail_count = take_groups(&text, tail);
    if (tail_count < 0 || text.len > 0 || head_count + tail_count >= IPV6_GROUPS) {
        return false;
    }
    memcpy(bytes + IPV6_BYTES - 2 * tail_count, tail, 2 * (size_t)tail_count);
    return true;
}

bool sp_address_parse(sp_str text, struct sp_address *ret_address) {
    if (text.len == 0) {
        return false;
    }
    struct sp_address address = {.size = IPV4_BYTES};
    if (!parse_ipv4(text, address.bytes)) {
        address.size = IPV6_BYTES;
        if (!parse_ipv6(text, address.bytes)) {
            return false;
        }
    }
    sp_ensure(address.size == IPV4_BYTES || address.size == IPV6_BYTES);
    *ret_address = address;
    return true;
}

sp_status sp_cidr_parse(sp_str text, struct sp_cidr *ret_cidr, struct sp_error *error) {
    const char *slash = text.len == 0 ? NULL : memchr(text.ptr, '/', text.len);
    if (slash == NULL) {
        return sp_error_set(error, SP_INVALID, "expected an address, a slash and a number of bits");
    }
    struct sp_cidr cidr;
    if (!sp_address_parse(sp_str_of(text.ptr, (size_t)(slash - text.ptr)), &cidr.address)) {
        return sp_error_set(error, SP_INVALID, "expected an IPv4 or IPv6 address before the slash");
    }
    sp_str rest = sp_str_from_byte(text, (size_t)(slash - text.ptr) + 1);
    uint32_t bits = 0;
    if (!take_decimal(&rest, cidr.address.size * 8u, &bits) || rest.len > 0) {
        return sp_error_set(error, SP_INVALID, "expected a number of bits from 0 to %u",
                            cidr.address.size * 8u);
    }
    cidr.bits = (uint8_t)bits;
    sp_ensure(cidr.bits <= cidr.address.size * 8);
    *ret_cidr = cidr;
    return SP_OK;
}

bool sp_cidr_has(const struct sp_cidr *cidr, const struct sp_address *address) {
    sp_require(cidr->bits <= cidr->address.size * 8);
    if (cidr->address.size != address->size) {
        return false;
    }
    size_t whole = cidr->bits / 8;
    uint8_t mask = (uint8_t)(0xff00 >> cidr->bits % 8);
    sp_invariant(whole <= address->size);
    return memcmp(cidr->address.bytes, address->bytes, whole) == 0 &&
           (mask == 0 || ((cidr->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0);
}
