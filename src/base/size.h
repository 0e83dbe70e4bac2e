/*
 * Whole numbers as people write them, with a unit behind. pure
 */
#ifndef SP_BASE_SIZE_H
#define SP_BASE_SIZE_H

#include "base/error.h"
#include "base/str.h"

/*
 * Reads digits, then k, M or G (thousands), or Ki, Mi or Gi (powers of 1024), with a B behind it or
 * not; kb, mb and gb are powers of 1024, as Redis has them. SP_INVALID, also where it does not fit.
 */
SP_WARN_UNUSED sp_status sp_size_parse(sp_str text, uint64_t *ret_value, struct sp_error *error);

#endif
