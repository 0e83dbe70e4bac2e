/*
 * Sorting of numbers. pure
 */
#ifndef SP_CORE_SORT_H
#define SP_CORE_SORT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Sorts the numbers and leaves each once; returns how many are left. Numbers that rise already cost
 * one pass, others O(n log n).
 */
size_t sp_sort_unique(uint64_t *numbers, size_t count);

#endif
