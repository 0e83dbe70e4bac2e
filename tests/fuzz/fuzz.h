/*
 * What a fuzz target defines. Built two ways: with libFuzzer (./dev fuzz), and with replay.c, which
 * feeds it the saved corpus as an ordinary test.
 */
#ifndef SPOOR_FUZZ_H
#define SPOOR_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* One input of size bytes, which may be 0. Returns 0; what it finds, it finds by crashing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
