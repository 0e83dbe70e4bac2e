/*
 * gzip: bodies of requests inflated piece by piece, bodies of replies deflated whole. loop-thread
 */
#ifndef SP_SERVER_GZIP_H
#define SP_SERVER_GZIP_H

#include "base/buf.h"

struct sp_gzip;
struct sp_gunzip;

/* NULL where memory is out. */
struct sp_gzip *sp_gzip_new(void);
void sp_gzip_free(struct sp_gzip *gzip); /* NULL is fine */

/*
 * Appends the bytes deflated. False where that is not shorter, or memory is out: nothing was
 * appended.
 */
SP_WARN_UNUSED bool sp_gzip_add(struct sp_gzip *gzip, struct sp_buf *to, sp_str bytes);

/* Inflates one gzip file. NULL where memory is out. */
struct sp_gunzip *sp_gunzip_new(void);
void sp_gunzip_free(struct sp_gunzip *gunzip); /* NULL is fine */

enum sp_gunzip_result {
    SP_GUNZIP_MORE, /* all bytes were taken, or `room` is full */
    SP_GUNZIP_END,  /* the file is whole; bytes that were not taken do not belong to it */
    SP_GUNZIP_BAD,  /* this is no gzip file, or it is damaged */
    SP_GUNZIP_NO_MEMORY,
};

/* Appends at most `room` inflated bytes; *ret_used says how many compressed ones were taken. */
enum sp_gunzip_result sp_gunzip_read(struct sp_gunzip *gunzip, sp_str bytes, struct sp_buf *to,
                                     size_t room, size_t *ret_used);

#endif
