/*
 * Addresses of the Internet Protocol as text, and blocks of them. pure
 */
#ifndef SP_MATCH_CIDR_H
#define SP_MATCH_CIDR_H

#include "base/error.h"
#include "base/str.h"

struct sp_address {
    uint8_t bytes[16];
    uint8_t size; /* 4 or 16 */
};

struct sp_cidr {
    struct sp_address address;
    uint8_t bits; /* that all addresses of the block share */
};

/*
 * Reads an IPv4 address (four decimal numbers without leading zeros) or an IPv6 address (RFC 4291,
 * also with an IPv4 tail, without a zone). False for every other text.
 */
bool sp_address_parse(sp_str text, struct sp_address *ret_address);

/* Reads `address/bits`. SP_INVALID. Bits of the address behind the first `bits` do not count. */
SP_WARN_UNUSED sp_status sp_cidr_parse(sp_str text, struct sp_cidr *ret_cidr,
                                       struct sp_error *error);

/* True where the address is of the same family and within the block. */
bool sp_cidr_has(const struct sp_cidr *cidr, const struct sp_address *address);

#endif
