/*
 * Sorting of many 64-bit numbers by some of their bits. pure
 */
#ifndef SP_INDEX_RADIX_H
#define SP_INDEX_RADIX_H

#include <stddef.h>
#include <stdint.h>

/*
 * Sorts by bits [low, high), stably, in passes of up to 11 bits; `spare` has room for as many
 * numbers. The result is in `numbers`. O(count) per pass.
 */
void sp_radix_sort(uint64_t *numbers, uint64_t *spare, size_t count, unsigned low, unsigned high);

#endif
