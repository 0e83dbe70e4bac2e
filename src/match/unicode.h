/*
 * The general categories of Unicode, for classes such as \p{L}; a table that the build makes. pure
 */
#ifndef SP_MATCH_UNICODE_H
#define SP_MATCH_UNICODE_H

#include <stdint.h>

enum { SP_UNICODE_CATEGORIES = 30 };

/* Code points from `first` to below that of the next entry have the category. */
struct sp_unicode_run {
    uint32_t first;
    uint32_t category; /* index in the names */
};

extern const char sp_unicode_category_names[SP_UNICODE_CATEGORIES][3];
extern const struct sp_unicode_run sp_unicode_runs[]; /* one more than the count, which ends it */
extern const unsigned sp_unicode_run_count;

#endif
