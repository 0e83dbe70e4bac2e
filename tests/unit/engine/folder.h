/*
 * What every test over real files shares, here and on the floors above: a folder of one's own, and
 * small random numbers.
 */
#ifndef SP_TESTS_ENGINE_FOLDER_H
#define SP_TESTS_ENGINE_FOLDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The folder of the running test: made by help_begin, removed with all in it by help_end. */
extern char help_folder[64];
int help_begin(void **state);
int help_end(void **state);

/* SplitMix64, and a number below a bound. */
uint64_t help_random(uint64_t *state);
uint32_t help_below(uint64_t *state, uint32_t bound);

#endif
