/*
 * Writes HTTP/1.1 replies: heads, chunks, problems. pure
 *
 * Everything is appended to a buffer, whose status says in the end whether it held all.
 */
#ifndef SP_PROTO_HTTP_WRITE_H
#define SP_PROTO_HTTP_WRITE_H

#include "base/buf.h"
#include "base/str.h"

enum { SP_HTTP_DATE_SIZE = 32, SP_HTTP_CHUNK_HEAD_SIZE = 16 };

/* What a status is called: "Not Found"; an unknown one "Unknown". Static storage. */
const char *sp_http_phrase(int status);

/* `HTTP/1.1 404 Not Found` with the end of its line. */
void sp_http_add_status(struct sp_buf *to, int status);

/* One header line. Bytes that would end the line or are no text are left out of the value. */
void sp_http_add_field(struct sp_buf *to, sp_str name, sp_str value);
void sp_http_add_field_u64(struct sp_buf *to, sp_str name, uint64_t value);

/* `Sun, 06 Nov 1994 08:49:37 GMT`; returns its length. */
size_t sp_http_date(uint64_t wall_ms, char to[SP_HTTP_DATE_SIZE]);

/* The line before a chunk of so many bytes, at least one; returns its length. */
size_t sp_http_chunk_head(size_t len, char to[SP_HTTP_CHUNK_HEAD_SIZE]);

/* Appends text as a JSON string; where it is not UTF-8 each byte beyond ASCII becomes U+FFFD. */
void sp_http_add_json_text(struct sp_buf *to, sp_str text);

#endif
