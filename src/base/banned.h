/*
 * Functions that must not be used, refused by the compiler. Force-included before every file of
 * src/; each is redeclared as deprecated, which -Werror turns into an error that names the cure.
 * Redeclaring, unlike poisoning the name, leaves fields and variables called `time` alone.
 */
#ifndef SP_BASE_BANNED_H
#define SP_BASE_BANNED_H

#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#define SP_BANNED(cure) __attribute__((deprecated("banned: " cure)))

/* No bound on what is written. */
SP_BANNED("use snprintf") int sprintf(char *restrict to, const char *restrict format, ...);
SP_BANNED("use vsnprintf")
int vsprintf(char *restrict to, const char *restrict format, va_list args);
SP_BANNED("use memcpy with a length") char *strcpy(char *restrict to, const char *restrict from);
SP_BANNED("use memcpy with a length") char *strcat(char *restrict to, const char *restrict from);
SP_BANNED("use memcpy with a length")
char *strncpy(char *restrict to, const char *restrict from, size_t size);
SP_BANNED("use memcpy with a length")
char *strncat(char *restrict to, const char *restrict from, size_t size);
SP_BANNED("use fgets or read") char *gets(char *to);

/* Hidden state shared by the whole process. */
SP_BANNED("walk a slice") char *strtok(char *restrict text, const char *restrict separators);
SP_BANNED("use strerror_r") char *strerror(int number);
SP_BANNED("use base/prng.h") int rand(void);
SP_BANNED("use base/prng.h") void srand(unsigned int seed);

/* The clock is an input; os reads it with clock_gettime. */
SP_BANNED("take the time as an argument") time_t time(time_t *ret_time);
SP_BANNED("use gmtime_r") struct tm *gmtime(const time_t *when);
SP_BANNED("use gmtime_r") struct tm *localtime(const time_t *when);
SP_BANNED("format RFC 3339") char *ctime(const time_t *when);
SP_BANNED("format RFC 3339") char *asctime(const struct tm *when);

/* No way to tell an error from a zero. */
SP_BANNED("parse with a range check") int atoi(const char *text);
SP_BANNED("parse with a range check") long atol(const char *text);
SP_BANNED("parse with a range check") double atof(const char *text);

#endif
