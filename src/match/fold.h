/*
 * Letters without their case: which code points are the same letter. pure
 *
 * Simple one-to-one folding for Latin (Basic, Latin-1, Extended-A), Greek, Cyrillic and Armenian,
 * that is for every code point below SP_FOLD_END; the rest has no case here. A letter and its fold
 * take the same number of bytes in UTF-8, so folding never moves anything. The dotted and dotless i
 * of Turkish, the long s and the Kelvin sign keep to themselves.
 */
#ifndef SP_MATCH_FOLD_H
#define SP_MATCH_FOLD_H

#include <stdint.h>

enum { SP_FOLD_END = 0x587 };

/* The code point in lower case. Two letters are alike where their folds are equal. */
uint32_t sp_fold(uint32_t code);

#endif
